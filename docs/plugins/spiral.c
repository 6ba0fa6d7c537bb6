/* A task set: the arms of a spiral are the classes; where it begins, and which way it winds, is what a
 * task is about. Points are classified after a few of each arm.
 *
 *     cc -shared -fPIC -O2 -ffp-contract=off $(pkg-config --cflags mnemo) spiral.c -o spiral.so
 *     mnemo train --plugin ./spiral.so spiral.yaml        # tasks: {kind: spiral, shot: 5, query: 10} */
#include <mnemo/plugin.h>

#include <stdlib.h>

#define TURN 6.283185307179586

static const mnemo_host *host;

struct spiral {
    uint32_t arms, shot[3], query[3]; /* by split */
    double turns, noise;
};

static mnemo_code open_spiral(const mnemo_settings *settings, void **state, mnemo_error *error)
{
    struct spiral *spiral = malloc(sizeof *spiral);
    (void)error;
    if (spiral == NULL)
        return MNEMO_ERR_NOMEM;
    spiral->arms = (uint32_t)host->setting(settings, "spiral.arms");
    spiral->turns = host->setting(settings, "spiral.turns");
    spiral->noise = host->setting(settings, "spiral.noise");
    for (int split = MNEMO_TRAIN; split <= MNEMO_TEST; split++) {
        const double shot = host->setting(settings, "evaluate.shot"); /* 0: as in training */
        const double query = host->setting(settings, "evaluate.query");
        const int other = split != MNEMO_TRAIN;
        spiral->shot[split] =
            (uint32_t)(other && shot > 0 ? shot : host->setting(settings, "tasks.shot"));
        spiral->query[split] =
            (uint32_t)(other && query > 0 ? query : host->setting(settings, "tasks.query"));
    }
    *state = spiral;
    return MNEMO_OK;
}

static mnemo_code fields(const void *state, mnemo_split split, mnemo_fields *fields,
                         mnemo_error *error)
{
    const struct spiral *spiral = state;
    const uint32_t point[3] = {1, 1, 2};
    return host->few_shot(fields, spiral->arms * spiral->shot[split],
                          spiral->arms * spiral->query[split], point, MNEMO_CLASSES, spiral->arms,
                          error);
}

/* Class after class: as many points of each arm. */
static void draw_set(const struct spiral *spiral, double start, double winding,
                     mnemo_random *random, mnemo_task *task, mnemo_set set)
{
    uint32_t n = 0;
    float *x = host->x(task, set, &n), *y = host->y(task, set, NULL);
    for (uint32_t i = 0; i < n; i++) {
        const uint32_t arm = i / (n / spiral->arms);
        const double radius = host->uniform(random, 0.1, 1);
        const double angle = start + winding * radius + TURN * arm / spiral->arms;
        x[2 * i] =
            (float)(radius * host->sine(angle + TURN / 4) + spiral->noise * host->normal(random));
        x[2 * i + 1] = (float)(radius * host->sine(angle) + spiral->noise * host->normal(random));
        for (uint32_t k = 0; k < spiral->arms; k++)
            y[(size_t)i * spiral->arms + k] = k == arm ? 1.0f : 0.0f;
    }
}

static void draw(const void *state, mnemo_split split, uint64_t index, mnemo_random *random,
                 mnemo_task *task)
{
    const struct spiral *spiral = state;
    const double start = host->uniform(random, 0, TURN);
    const double winding = (host->below(random, 2) == 0 ? 1 : -1) * TURN * spiral->turns;
    (void)split;
    (void)index;
    draw_set(spiral, start, winding, random, task, MNEMO_SUPPORT);
    draw_set(spiral, start, winding, random, task, MNEMO_QUERY);
}

static const mnemo_option options[] = {
    {sizeof(mnemo_option), MNEMO_WHOLE, "arms", 2, 2, 64, "arms", "classes of a task"},
    {sizeof(mnemo_option), MNEMO_REAL, "turns", 0.5, 0, 10, "turns", "from the middle to the rim"},
    {sizeof(mnemo_option), MNEMO_REAL, "noise", 0.02, 0, 1, "", "deviation of both coordinates"},
};
static const char *const reads[] = {"tasks.shot", "tasks.query", "evaluate.shot", "evaluate.query",
                                    NULL};

static const mnemo_task_set_kind spiral = {.struct_size = sizeof spiral,
                                           .name = "spiral",
                                           .help = "points on the arms of a spiral",
                                           .options = options,
                                           .n_options = sizeof options / sizeof *options,
                                           .reads = reads,
                                           .open = open_spiral,
                                           .close = free,
                                           .fields = fields,
                                           .draw = draw};
static const mnemo_task_set_kind *const task_sets[] = {&spiral, NULL};

static const mnemo_plugin plugin = {.struct_size = sizeof plugin,
                                    .abi = MNEMO_PLUGIN_ABI,
                                    .name = "spiral",
                                    .version = "1",
                                    .task_sets = task_sets};

const mnemo_plugin *mnemo_plugin_entry(const mnemo_host *of)
{
    host = of;
    return &plugin;
}
