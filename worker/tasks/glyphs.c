#include "worker/tasks/glyphs.h"

#include "worker/tasks/task_set_kind.h"
#include <assert.h>
#include <inttypes.h>
#include <math.h>
#include <stdbool.h>
#include <stdlib.h>

/* Chosen by eye, and so that the nearest neighbour by pixels is right as often as on Omniglot. */
#define STEP_LOW 0.16 /* length of a stroke between control points, before scaling */
#define STEP_HIGH 0.34
#define BEND 0.45     /* tangent of half the largest steady turn between control points */
#define WOBBLE 0.12   /* the same for the turn that is drawn anew at each point */
#define STRAIGHT 0.3  /* share of strokes without a steady turn */
#define ATTACHED 0.6  /* share of strokes that begin on an earlier one */
#define JITTER 0.04   /* of a control point from drawing to drawing; largest, triangular */
#define SLIP 0.08     /* of a whole stroke, likewise */
#define SHEAR 0.36    /* off-diagonal of the drawing's matrix, largest: shears and turns */
#define STRETCH 0.28  /* diagonal less 1, largest */
#define SHIFT 0.12    /* largest, of the image's side */
#define BODY 0.62     /* longer side of the class's box, of the image's side */
#define PEN_LOW 0.022 /* radius, of the image's side */
#define PEN_HIGH 0.032
#define PIECES_A_SPAN 3 /* straight pieces a span of the spline is drawn with */

static mn_glyph_point point_on(const mn_glyph_point *stroke, double at);
static void make_stroke(mn_random *random, const mn_glyph *so_far, mn_glyph_point *stroke);
static void fit_to_box(mn_glyph *glyph);
static double within(mn_random *random, double most);
static void ink_piece(mn_glyph_point from, mn_glyph_point to, float reach, uint32_t size,
                      float *distance2);

mn_glyph mn_glyph_make(uint64_t seed, mn_split split, uint32_t number)
{
    mn_random random = mn_random_stream(seed, MN_RANDOM_GLYPH, (uint64_t)split << 32 | number);
    mn_glyph glyph = {0};
    uint32_t n = 2 + mn_random_below(&random, MN_GLYPH_MAX_STROKES - 1);
    while (glyph.n_strokes < n) {
        make_stroke(&random, &glyph, glyph.strokes[glyph.n_strokes]);
        glyph.n_strokes++;
    }
    fit_to_box(&glyph);
    return glyph;
}

/* The pen's ink at a pixel depends on the distance of its centre from the nearest piece of a
 * stroke. */
void mn_glyph_draw(const mn_glyph *glyph, mn_random *hand, uint32_t size, float *out)
{
    assert(size > 0 && size <= MN_GLYPH_MAX_SIZE);
    double xx = 1.0 + within(hand, STRETCH), yy = 1.0 + within(hand, STRETCH);
    double xy = within(hand, SHEAR), yx = within(hand, SHEAR);
    double shift_x = 0.5 + within(hand, SHIFT), shift_y = 0.5 + within(hand, SHIFT);
    float radius = (float)(mn_random_uniform(hand, PEN_LOW, PEN_HIGH) * size);
    radius = radius < 0.4f ? 0.4f : radius;
    float reach = radius + 0.5f, far = reach * reach;
    for (uint32_t i = 0; i < size * size; i++)
        out[i] = far;

    for (uint32_t s = 0; s < glyph->n_strokes; s++) {
        mn_glyph_point stroke[MN_GLYPH_POINTS];
        double slip_x = within(hand, SLIP) - 0.5, slip_y = within(hand, SLIP) - 0.5;
        for (int i = 0; i < MN_GLYPH_POINTS; i++) {
            double x = glyph->strokes[s][i].x + slip_x + within(hand, JITTER);
            double y = glyph->strokes[s][i].y + slip_y + within(hand, JITTER);
            stroke[i].x = (float)((xx * x + xy * y + shift_x) * size);
            stroke[i].y = (float)((yx * x + yy * y + shift_y) * size);
        }
        const int pieces = (MN_GLYPH_POINTS - 2) * PIECES_A_SPAN;
        mn_glyph_point from = stroke[0];
        for (int piece = 1; piece <= pieces; piece++) {
            mn_glyph_point to = point_on(stroke, (double)piece / pieces);
            ink_piece(from, to, reach, size, out);
            from = to;
        }
    }

    for (uint32_t i = 0; i < size * size;
         i++) { /* from squared distance to ink, with a soft edge */
        float ink = reach - sqrtf(out[i]);
        out[i] = ink < 0.0f ? 0.0f : ink > 1.0f ? 1.0f : ink;
    }
}

void mn_glyphs_draw(uint64_t seed, mn_split split, const mn_few_shot *few_shot, mn_random *random,
                    mn_task *task)
{
    const uint32_t side = task->fields.at[MN_SUPPORT_X].height;
    uint32_t shots[MN_MAX_WAY];
    const uint32_t way = mn_few_shot_draw_way(few_shot, random, MN_MAX_WAY);
    mn_few_shot_draw_shots(few_shot, random, way, shots);
    for (uint32_t label = 0; label < way; label++) {
        bool fresh;
        do {
            task->classes[label] = mn_random_u32(random);
            fresh = true;
            for (uint32_t other = 0; other < label; other++)
                fresh = fresh && task->classes[other] != task->classes[label];
        } while (!fresh);

        mn_glyph glyph = mn_glyph_make(seed, split, task->classes[label]);
        for (uint32_t i = 0; i < shots[label]; i++)
            mn_glyph_draw(&glyph, random, side, mn_few_shot_support(few_shot, task, label, i));
        for (uint32_t i = 0; i < few_shot->query; i++)
            mn_glyph_draw(&glyph, random, side, mn_few_shot_query(few_shot, task, label, i));
    }
    mn_few_shot_finish(few_shot, way, shots, task);
}

struct glyphs {
    uint64_t seed;
    mn_few_shot few_shot[MN_N_SPLITS];
};

static mn_status open_tasks(const mn_experiment *experiment, mn_task_set_parts *parts,
                            mn_error *err)
{
    if (experiment->tasks.image_size == 0 || experiment->tasks.image_size > MN_GLYPH_MAX_SIZE)
        return mn_fail(err, MN_ERR_CONFIG,
                       "tasks.image_size is %" PRIu32 ", but glyphs have 1 to %d pixels a side",
                       experiment->tasks.image_size, MN_GLYPH_MAX_SIZE);
    struct glyphs *glyphs = calloc(1, sizeof *glyphs);
    parts->state = glyphs;
    if (glyphs == NULL)
        return mn_fail(err, MN_ERR_NOMEM, "task set");
    glyphs->seed = experiment->seed;
    for (mn_split split = MN_TRAIN; split < MN_N_SPLITS; split++)
        glyphs->few_shot[split] = mn_few_shot_of(experiment, split);
    return mn_few_shot_images(experiment, experiment->tasks.image_size, 1, parts->fields, err);
}

static void draw(const void *state, mn_split split, uint64_t index, mn_random *random,
                 mn_task *task)
{
    const struct glyphs *glyphs = state;
    (void)index;
    mn_glyphs_draw(glyphs->seed, split, &glyphs->few_shot[split], random, task);
}

const mn_task_set_kind mn_glyph_kind = {.open = open_tasks, .close = free, .draw = draw};

/* Strokes ------------------------------------------------------------------------- */

/* A walk of equal steps that turns steadily one way, or not at all, and wobbles. A turn by the
 * angle whose half has the tangent t is the matrix (1-t^2, -2t; 2t, 1-t^2) / (1+t^2). */
static void make_stroke(mn_random *random, const mn_glyph *so_far, mn_glyph_point *stroke)
{
    double x = mn_random_unit(random), y = mn_random_unit(random);
    if (so_far->n_strokes > 0 && mn_random_unit(random) < ATTACHED) {
        uint32_t other = mn_random_below(random, so_far->n_strokes);
        mn_glyph_point on = point_on(so_far->strokes[other], mn_random_unit(random));
        x = on.x;
        y = on.y;
    }
    double dx, dy, length2;
    do { /* a direction, by rejection from the square */
        dx = mn_random_uniform(random, -1.0, 1.0);
        dy = mn_random_uniform(random, -1.0, 1.0);
        length2 = dx * dx + dy * dy;
    } while (length2 > 1.0 || length2 < 0.01);
    double step = mn_random_uniform(random, STEP_LOW, STEP_HIGH) / sqrt(length2);
    dx *= step;
    dy *= step;
    double bend = mn_random_unit(random) < STRAIGHT ? 0.0 : mn_random_uniform(random, -BEND, BEND);

    stroke[0] = (mn_glyph_point){(float)x, (float)y};
    for (int i = 1; i < MN_GLYPH_POINTS; i++) {
        x += dx;
        y += dy;
        stroke[i] = (mn_glyph_point){(float)x, (float)y};
        double t = bend + within(random, WOBBLE), t2 = t * t;
        double turned = ((1.0 - t2) * dx - 2.0 * t * dy) / (1.0 + t2);
        dy = (2.0 * t * dx + (1.0 - t2) * dy) / (1.0 + t2);
        dx = turned;
    }
}

/* A point of the spline, `at` from 0 (its first control point) to 1 (its last). */
static mn_glyph_point point_on(const mn_glyph_point *stroke, double at)
{
    const int spans = MN_GLYPH_POINTS - 2;
    int span = (int)(at * spans);
    span = span < spans ? span : spans - 1;
    double t = at * spans - span;
    mn_glyph_point a = stroke[span], b = stroke[span + 1], c = stroke[span + 2];
    double ax = a.x, ay = a.y, cx = c.x, cy = c.y;
    if (span > 0) { /* between spans the curve goes through the middle of two control points */
        ax = 0.5 * (ax + b.x);
        ay = 0.5 * (ay + b.y);
    }
    if (span < spans - 1) {
        cx = 0.5 * (cx + b.x);
        cy = 0.5 * (cy + b.y);
    }
    double u = 1.0 - t;
    return (mn_glyph_point){(float)(u * u * ax + 2.0 * u * t * b.x + t * t * cx),
                            (float)(u * u * ay + 2.0 * u * t * b.y + t * t * cy)};
}

/* Scale all strokes together so that the longer side of their box is BODY, in the middle of the
 * image. */
static void fit_to_box(mn_glyph *glyph)
{
    mn_glyph_point low = glyph->strokes[0][0], high = low;
    for (uint32_t s = 0; s < glyph->n_strokes; s++)
        for (int i = 0; i < MN_GLYPH_POINTS; i++) {
            mn_glyph_point p = glyph->strokes[s][i];
            low = (mn_glyph_point){p.x < low.x ? p.x : low.x, p.y < low.y ? p.y : low.y};
            high = (mn_glyph_point){p.x > high.x ? p.x : high.x, p.y > high.y ? p.y : high.y};
        }
    double width = (double)high.x - low.x, height = (double)high.y - low.y;
    double scale = BODY / (width > height ? width : height);
    for (uint32_t s = 0; s < glyph->n_strokes; s++)
        for (int i = 0; i < MN_GLYPH_POINTS; i++) {
            mn_glyph_point *p = &glyph->strokes[s][i];
            p->x = (float)(0.5 + ((double)p->x - low.x - 0.5 * width) * scale);
            p->y = (float)(0.5 + ((double)p->y - low.y - 0.5 * height) * scale);
        }
}

/* -most .. most, small values more likely (the sum of two uniforms). */
static double within(mn_random *random, double most)
{
    double a = mn_random_unit(random), b = mn_random_unit(random);
    return most * (a + b - 1.0);
}

/* Lower distance2 to the squared distance from this piece where the pen may reach. */
static void ink_piece(mn_glyph_point from, mn_glyph_point to, float reach, uint32_t size,
                      float *distance2)
{
    float dx = to.x - from.x, dy = to.y - from.y;
    float length2 = dx * dx + dy * dy;
    float inverse = length2 > 1e-12f ? 1.0f / length2 : 0.0f;
    float left = (dx < 0 ? to.x : from.x) - reach, right = (dx < 0 ? from.x : to.x) + reach;
    float top = (dy < 0 ? to.y : from.y) - reach, bottom = (dy < 0 ? from.y : to.y) + reach;
    if (right <= 0 || bottom <= 0 || left >= (float)size || top >= (float)size)
        return;
    uint32_t x0 = left > 0 ? (uint32_t)left : 0, y0 = top > 0 ? (uint32_t)top : 0;
    uint32_t x1 = right < (float)size ? (uint32_t)right + 1 : size;
    uint32_t y1 = bottom < (float)size ? (uint32_t)bottom + 1 : size;
    for (uint32_t y = y0; y < y1; y++)
        for (uint32_t x = x0; x < x1; x++) {
            float px = (float)x + 0.5f - from.x, py = (float)y + 0.5f - from.y;
            float along = (px * dx + py * dy) * inverse;
            along = along < 0.0f ? 0.0f : along > 1.0f ? 1.0f : along;
            float ex = px - along * dx, ey = py - along * dy;
            float d2 = ex * ex + ey * ey;
            float *pixel = &distance2[y * size + x];
            *pixel = d2 < *pixel ? d2 : *pixel;
        }
}
