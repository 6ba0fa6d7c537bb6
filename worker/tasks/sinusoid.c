#include "worker/tasks/sinusoid.h"

#include "common/vector_clones.h"
#include "worker/tasks/task_set_kind.h"
#include <stdlib.h>
#include <string.h>

static void draw_points(const mn_sinusoid *sinusoid, double amplitude, double phase,
                        mn_random *random, uint32_t n, float *restrict x, float *restrict y);
static void bend(mn_curve curve, double amplitude, double phase, uint32_t n, const float *x,
                 float *y);
static inline double sine(double angle);

static mn_status open_tasks(const mn_experiment *experiment, mn_task_set_parts *parts,
                            mn_error *err)
{
    const uint32_t number[3] = {1, 1, 1};
    mn_sinusoid *sinusoid = calloc(1, sizeof *sinusoid);
    parts->state = sinusoid;
    if (sinusoid == NULL)
        return mn_fail(err, MN_ERR_NOMEM, "task set");
    memcpy(sinusoid->amplitude, experiment->tasks.amplitude, sizeof sinusoid->amplitude);
    memcpy(sinusoid->phase, experiment->tasks.phase, sizeof sinusoid->phase);
    memcpy(sinusoid->x_range, experiment->tasks.x_range, sizeof sinusoid->x_range);
    sinusoid->curve = experiment->tasks.curve;
    mn_status status = MN_OK;
    for (mn_split split = MN_TRAIN; split < MN_N_SPLITS && status == MN_OK; split++) {
        bool other = split != MN_TRAIN;
        uint32_t shot = other && experiment->evaluate.shot != 0 ? experiment->evaluate.shot
                                                                : experiment->tasks.shot;
        uint32_t query = other && experiment->evaluate.query != 0 ? experiment->evaluate.query
                                                                  : experiment->tasks.query;
        status = mn_fields_few_shot(&parts->fields[split], shot, query, number, MN_TARGET_VALUES, 1,
                                    err);
    }
    return status;
}

static void draw(const void *state, mn_split split, uint64_t index, mn_random *random,
                 mn_task *task)
{
    (void)split;
    (void)index;
    mn_sinusoid_draw(state, random, task);
}

const mn_task_set_kind mn_sinusoid_kind = {.open = open_tasks, .close = free, .draw = draw};

void mn_sinusoid_draw(const mn_sinusoid *sinusoid, mn_random *random, mn_task *task)
{
    double amplitude = mn_random_uniform(random, sinusoid->amplitude[0], sinusoid->amplitude[1]);
    double phase = mn_random_uniform(random, sinusoid->phase[0], sinusoid->phase[1]);
    draw_points(sinusoid, amplitude, phase, random, task->fields.at[MN_SUPPORT_X].n,
                task->at[MN_SUPPORT_X], task->at[MN_SUPPORT_Y]);
    draw_points(sinusoid, amplitude, phase, random, task->fields.at[MN_QUERY_X].n,
                task->at[MN_QUERY_X], task->at[MN_QUERY_Y]);
    task->n_classes = 0;
}

/* y belongs to the x that the learner sees, which is the rounded one. The second loop has neither
 * calls nor branches, so the compiler makes vectors of it. */
MN_VECTOR_CLONES
static void draw_points(const mn_sinusoid *sinusoid, double amplitude, double phase,
                        mn_random *random, uint32_t n, float *restrict x, float *restrict y)
{
    for (uint32_t i = 0; i < n; i++)
        x[i] = (float)mn_random_uniform(random, sinusoid->x_range[0], sinusoid->x_range[1]);
    if (sinusoid->curve != MN_CURVE_SINE) {
        bend(sinusoid->curve, amplitude, phase, n, x, y);
        return;
    }
    for (uint32_t i = 0; i < n; i++)
        y[i] = (float)(amplitude * sine((double)x[i] - phase));
}

static void bend(mn_curve curve, double amplitude, double phase, uint32_t n, const float *x,
                 float *y)
{
    for (uint32_t i = 0; i < n; i++) {
        const double from = (double)x[i] - phase;
        const double f = curve == MN_CURVE_LINE ? from : from < 0 ? -1.0 : 1.0;
        y[i] = (float)(amplitude * f);
    }
}

double mn_sinusoid_sine(double angle)
{
    return sine(angle);
}

/* floor(x) for |x| < 2^51: adding 1.5 * 2^52 rounds to the nearest integer. */
static inline double floor_of(double x)
{
    double nearest = (x + 0x1.8p52) - 0x1.8p52;
    return nearest - (nearest > x ? 1.0 : 0.0);
}

/* The angle less the nearest multiple of pi (pi in three parts, so that the products are exact),
 * then the Taylor series to the 21st power: its next term is below 2e-18 on [-pi/2, pi/2]. */
static inline double sine(double angle)
{
    static const double pi_1 = 0x1.921fb54400000p+1;  /* the first 33 bits of pi */
    static const double pi_2 = 0x1.0b4611a600000p-33; /* the next 33 */
    static const double pi_3 = 0x1.3198a2e037073p-68;
    double turns = floor_of(angle * 0x1.45f306dc9c883p-2 + 0.5); /* 1/pi */
    double r = ((angle - turns * pi_1) - turns * pi_2) - turns * pi_3;
    double r2 = r * r, sum = 1.0;
    for (int power = 21; power > 1; power -= 2)
        sum = 1.0 - sum * r2 / (double)(power * (power - 1));
    double half = turns * 0.5, sign = floor_of(half) == half ? 1.0 : -1.0;
    return r * sum * sign;
}
