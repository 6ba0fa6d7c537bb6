#include "worker/tasks/image_warp.h"

#include <assert.h>
#include <stdbool.h>
#include <stddef.h>

/* Places in the image are counted in half pixels from its centre, where rows and columns of even
 * and of odd images are whole numbers, times MN_WARP_ONE. */
#define PIXEL (2 * (int64_t)MN_WARP_ONE)
#define WEIGHTS 256 /* steps between two pixels */

struct place {
    int64_t y, x;
};

struct image {
    const uint8_t *pixels;
    int64_t height, width;
    uint32_t channels;
};

/* Where a row or a column lies in the grid: between corners cell and cell + 1, so far from the first. */
struct mesh {
    uint32_t cell;
    int64_t weight; /* 0 .. WEIGHTS */
};

static int32_t draw_within(mn_random *random, double amount);
static struct mesh mesh_at(uint32_t at, uint32_t n);
static struct place bend_at(const mn_warp *warp, struct mesh y, struct mesh x);
static struct place turned(struct place place, uint32_t quarter_turns);
static void read_between(const struct image *image, struct place at, float *out);
static uint32_t pixel_of(const struct image *image, int64_t y, int64_t x, uint32_t c);

mn_warp mn_warp_draw(mn_random *random, double amount, double bend)
{
    int32_t numbers[6];
    for (int i = 0; i < 6; i++)
        numbers[i] = draw_within(random, amount);
    mn_warp warp = {.matrix = {{numbers[0], numbers[1]}, {numbers[2], numbers[3]}},
                    .shift = {numbers[4], numbers[5]},
                    .bent = bend > 0};
    for (uint32_t y = 0; bend > 0 && y <= MN_BEND_CELLS; y++)
        for (uint32_t x = 0; x <= MN_BEND_CELLS; x++)
            for (int i = 0; i < 2; i++)
                warp.bend[y][x][i] = draw_within(random, bend);
    return warp;
}

/* The same result of an image whose columns run the other way: where p was read, (p.y, -p.x) is. */
void mn_warp_mirror(mn_warp *warp)
{
    warp->matrix[1][0] = -warp->matrix[1][0];
    warp->matrix[1][1] = -2 * MN_WARP_ONE - warp->matrix[1][1];
    warp->shift[1] = -warp->shift[1];
    for (uint32_t y = 0; warp->bent && y <= MN_BEND_CELLS; y++)
        for (uint32_t x = 0; x <= MN_BEND_CELLS; x++)
            warp->bend[y][x][1] = -warp->bend[y][x][1];
}

/* But for the bend, a step to the right or down in the result is always the same step in the image. */
void mn_warp_copy(const mn_warp *warp, const uint8_t *pixels, uint32_t height, uint32_t width,
                  uint32_t channels, uint32_t quarter_turns, float *out)
{
    assert(quarter_turns < 4 && (quarter_turns == 0 || height == width));
    const struct image image = {pixels, height, width, channels};
    struct place down = {MN_WARP_ONE + warp->matrix[0][0], warp->matrix[1][0]};
    struct place right = {warp->matrix[0][1], MN_WARP_ONE + warp->matrix[1][1]};
    struct place shift = {warp->shift[0] * image.height, warp->shift[1] * image.width};
    down = turned(down, quarter_turns);
    right = turned(right, quarter_turns);
    shift = turned(shift, quarter_turns);

    struct place centre = {(image.height - 1) * MN_WARP_ONE + shift.y,
                           (image.width - 1) * MN_WARP_ONE + shift.x};
    for (int64_t y = 1 - image.height; y < image.height; y += 2)
        for (int64_t x = 1 - image.width; x < image.width; x += 2) {
            struct place at = {centre.y + y * down.y + x * right.y,
                               centre.x + y * down.x + x * right.x};
            if (warp->bent) {
                struct place bend = bend_at(warp, mesh_at((uint32_t)(y + image.height) / 2, height),
                                            mesh_at((uint32_t)(x + image.width) / 2, width));
                bend = turned((struct place){bend.y * image.height, bend.x * image.width},
                              quarter_turns);
                at = (struct place){at.y + bend.y, at.x + bend.x};
            }
            read_between(&image, at, out);
            out += channels;
        }
}

static int32_t draw_within(mn_random *random, double amount)
{
    assert(amount >= 0 && amount <= 0.5);
    const int32_t most = (int32_t)(amount * MN_WARP_ONE);
    return (int32_t)mn_random_below(random, 2 * (uint32_t)most + 1) - most;
}

/* The first and the last of n pixels lie on the grid's rim. */
static struct mesh mesh_at(uint32_t at, uint32_t n)
{
    const uint32_t steps = n > 1 ? at * MN_BEND_CELLS * WEIGHTS / (n - 1) : 0;
    const uint32_t cell = steps / WEIGHTS < MN_BEND_CELLS ? steps / WEIGHTS : MN_BEND_CELLS - 1;
    return (struct mesh){.cell = cell, .weight = steps - cell * WEIGHTS};
}

static struct place bend_at(const mn_warp *warp, struct mesh y, struct mesh x)
{
    int64_t sums[2];
    for (int i = 0; i < 2; i++) {
        const int64_t above = (WEIGHTS - x.weight) * warp->bend[y.cell][x.cell][i] +
                              x.weight * warp->bend[y.cell][x.cell + 1][i];
        const int64_t below = (WEIGHTS - x.weight) * warp->bend[y.cell + 1][x.cell][i] +
                              x.weight * warp->bend[y.cell + 1][x.cell + 1][i];
        sums[i] = ((WEIGHTS - y.weight) * above + y.weight * below) / (WEIGHTS * WEIGHTS);
    }
    return (struct place){sums[0], sums[1]};
}

static struct place turned(struct place place, uint32_t quarter_turns)
{
    const struct place turns[4] = {
        place,
        {place.x, -place.y},
        {-place.y, -place.x},
        {-place.x, place.y},
    };
    return turns[quarter_turns];
}

/* `at` counts from the middle of the first pixel. */
static void read_between(const struct image *image, struct place at, float *out)
{
    if (at.y <= -PIXEL || at.x <= -PIXEL || at.y >= image->height * PIXEL ||
        at.x >= image->width * PIXEL) {
        for (uint32_t c = 0; c < image->channels; c++)
            out[c] = 0.0f;
        return;
    }
    uint64_t y = (uint64_t)(at.y + PIXEL), x = (uint64_t)(at.x + PIXEL); /* not below 0 */
    int64_t top = (int64_t)(y / PIXEL) - 1, left = (int64_t)(x / PIXEL) - 1;
    uint32_t below = (uint32_t)(y % PIXEL / (PIXEL / WEIGHTS));
    uint32_t beside = (uint32_t)(x % PIXEL / (PIXEL / WEIGHTS));
    const uint32_t weights[2][2] = {
        {(WEIGHTS - below) * (WEIGHTS - beside), (WEIGHTS - below) * beside},
        {below * (WEIGHTS - beside), below * beside},
    };
    bool inside = top >= 0 && left >= 0 && top + 1 < image->height && left + 1 < image->width;
    size_t row = (size_t)image->width * image->channels;
    for (uint32_t c = 0; c < image->channels; c++) {
        uint32_t sum = 0;
        if (inside) { /* a case of its own because nearly all are */
            const uint8_t *p = image->pixels + (top * image->width + left) * image->channels + c;
            sum = weights[0][0] * p[0] + weights[0][1] * p[image->channels] +
                  weights[1][0] * p[row] + weights[1][1] * p[row + image->channels];
        } else {
            for (int64_t i = 0; i < 2; i++)
                for (int64_t j = 0; j < 2; j++)
                    sum += weights[i][j] * pixel_of(image, top + i, left + j, c);
        }
        out[c] = (float)sum / (255.0f * WEIGHTS * WEIGHTS);
    }
}

static uint32_t pixel_of(const struct image *image, int64_t y, int64_t x, uint32_t c)
{
    if (y < 0 || x < 0 || y >= image->height || x >= image->width)
        return 0;
    return image->pixels[(y * image->width + x) * image->channels + c];
}
