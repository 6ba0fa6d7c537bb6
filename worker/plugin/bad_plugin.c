/* Plug-ins that are wrong in one way each, by which FAULT they are compiled with; and two that are right,
 * RIGHT and LATER. tests: plugin_test.c, tests/integration/plugin.sh. */
#include "mnemo/plugin.h"

#include <stdlib.h>
#include <time.h>
#include <unistd.h>

enum fault {
    RIGHT,
    LATER, /* of a header with more fields at the end */
    /* What loading finds. */
    OTHER_ABI,
    SMALL,
    UNWILLING,
    NO_KIND,
    BAD_NAME,
    SMALL_KIND,
    NO_DRAW,
    SMALL_OPTION,
    BAD_OPTION,
    TWICE,
    UNKNOWN_KEY,
    TAKEN,
    CRASHES_AT_ONCE,
    /* What the check finds, of a task set */
    CRASHES,
    ENDS,
    LEAVES_A_CHILD,
    COUNTS,
    ADDRESSES,
    CLOCK,
    UNWRITTEN,
    BEYOND,
    NOT_ONE_HOT,
    NOT_FINITE,
    NO_FIELDS,
    NO_SIZE,
    HUGE_SIZE,
    NO_CLASSES,
    UNWILLING_TO_OPEN,
    /* of a part */
    STOPS,
    NO_NODE,
    MISFIT,
    ZERO_TIMES,
    CHANGES,
    LONG_NAME,
    FAILS,
    NO_LOSS,
    /* of a rule */
    WRONG_GRADIENT,
    COUNTING_RULE,
    NOT_FINITE_RULE,
    MANY_VECTORS
};

static const mnemo_host *host;
static int calls; /* COUNTS, CHANGES, COUNTING_RULE */

static mnemo_code open_tasks(const mnemo_settings *settings, void **state, mnemo_error *error)
{
    (void)settings;
    *state = NULL;
    if (FAULT != UNWILLING_TO_OPEN)
        return MNEMO_OK;
    error->message[0] = '?';
    error->message[1] = '\0';
    return MNEMO_ERR_UNSUITED;
}

static mnemo_code fields(const void *state, mnemo_split split, mnemo_fields *fields,
                         mnemo_error *error)
{
    const uint32_t x[3] = {1, FAULT == HUGE_SIZE ? UINT32_MAX : 1, FAULT == NO_SIZE ? 0 : 2};
    (void)state;
    (void)split;
    return FAULT == NO_FIELDS
               ? MNEMO_OK
               : host->few_shot(fields, 3, 5, x, MNEMO_CLASSES, FAULT == NO_CLASSES ? 0 : 3, error);
}

static void draw(const void *state, mnemo_split split, uint64_t index, mnemo_random *random,
                 mnemo_task *task)
{
    (void)state;
    (void)split;
    for (int set = MNEMO_SUPPORT; set <= MNEMO_QUERY; set++) {
        uint32_t n = 0;
        float *x = host->x(task, (mnemo_set)set, &n), *y = host->y(task, (mnemo_set)set, NULL);
        for (uint32_t i = 0; i < 2 * n; i++)
            x[i] = (float)host->normal(random);
        for (uint32_t i = 0; i < 3 * n; i++)
            y[i] = FAULT == NOT_ONE_HOT ? 0.5f : (float)(i % 3 == i / 3 % 3);
        if (FAULT == COUNTS)
            x[0] = (float)calls++;
        if (FAULT == ADDRESSES)
            x[1] = (float)((uintptr_t)(const void *)&calls >> 12 & 0xffff);
        if (FAULT == CLOCK) {
            struct timespec now;
            (void)clock_gettime(CLOCK_MONOTONIC, &now);
            x[1] = (float)(now.tv_nsec & 0xffff);
        }
        if (FAULT == BEYOND)
            x[2 * n] = 1;
        if (FAULT == NOT_FINITE)
            x[1] = 1e30f * 1e30f;
    }
    if (FAULT == CRASHES && index == 3)
        *(volatile int *)NULL = 1;
    if (FAULT == ENDS)
        _exit(0);
    if (FAULT == LEAVES_A_CHILD && calls++ == 0 && fork() == 0) {
        for (int fd = 0; fd < 64; fd++)
            (void)close(fd);
        for (;;)
            (void)pause();
    }
}

/* The last number of x stays what it was. */
static void draw_less(const void *state, mnemo_split split, uint64_t index, mnemo_random *random,
                      mnemo_task *task)
{
    uint32_t n = 0;
    float *x = host->x(task, MNEMO_QUERY, &n);
    const float last = x[2 * n - 1];
    draw(state, split, index, random, task);
    x[2 * n - 1] = last;
}

static mnemo_node build(mnemo_build *build, mnemo_set set)
{
    const mnemo_extent seven = {7, 1, 1, 7};
    mnemo_node x = host->field(build, set, "x");
    mnemo_extent extent = host->extent(build, x);
    if (FAULT == NO_NODE)
        return 123456;
    if (FAULT == MISFIT)
        return host->add(build, x, host->constant(build, 1, seven));
    if (FAULT == ZERO_TIMES)
        return host->sum_groups(build, host->repeat_rows(build, x, 0), 0);
    if (FAULT == FAILS)
        host->fail(build, "it does not want to");
    x = host->reshape(build, x, (mnemo_extent){extent.n, 1, 1, extent.h * extent.w * extent.c});
    if (FAULT == CHANGES)
        return host->linear(build, calls++ % 3 ? "most" : "third", x, 4);
    if (FAULT == LONG_NAME)
        return host->linear(build, "a name that is no name of a tensor, for it has blanks", x, 4);
    const mnemo_node u = host->unary(build, MNEMO_TANH, host->linear(build, "bad", x, 4));
    return host->add(build, u, FAULT == STOPS ? host->unary(build, MNEMO_STOP, u) : u);
}

static mnemo_node build_answers(mnemo_build *build, mnemo_set set)
{
    return host->linear(build, "bad", host->conclusions(build, set), host->y_size(build));
}

static mnemo_node no_loss(mnemo_build *build, mnemo_set set)
{
    return host->answers(build, set);
}

static double step(const void *state, mnemo_adapting *adapting, uint32_t k)
{
    float *gradient = host->memory(adapting, 0), *phi = host->phi(adapting);
    const double loss = host->support(adapting, gradient);
    (void)state;
    (void)k;
    for (size_t i = 0; i < host->n(adapting); i++)
        phi[i] -= (FAULT == COUNTING_RULE ? 0.001f * (float)(++calls % 7) : 0.01f) * gradient[i];
    if (FAULT == NOT_FINITE_RULE)
        host->hessian(adapting, gradient, phi); /* which it does not say that it uses */
    return loss;
}

static void gradient(const void *state, mnemo_adapting *adapting, float *gradient)
{
    (void)state;
    for (size_t i = 0; FAULT == WRONG_GRADIENT && i < host->n(adapting); i++)
        gradient[i] *= 1.1f;
}

static uint32_t memory(const void *state)
{
    (void)state;
    return FAULT == MANY_VECTORS ? UINT32_MAX : 1;
}

static const mnemo_option options[] = {
    {FAULT == SMALL_OPTION ? 8 : sizeof(mnemo_option), MNEMO_REAL,
     FAULT == BAD_OPTION ? "No Name" : "first", 0.5, 0, 1, "", "an option"},
    {sizeof(mnemo_option), MNEMO_FLAG, FAULT == TWICE ? "first" : "second", 1, 0, 1, "", "a flag"},
};
static const char *const reads[] = {FAULT == UNKNOWN_KEY ? "tasks.shoot" : "tasks.shot", NULL};

/* Of a later header: what follows is not known today. */
static const struct {
    mnemo_task_set_kind kind;
    void *more[4];
} tasks = {{.struct_size = FAULT == SMALL_KIND ? 16
                           : FAULT == LATER    ? sizeof tasks
                                               : sizeof(mnemo_task_set_kind),
            .name = FAULT == BAD_NAME ? "../bad"
                    : FAULT == TAKEN  ? "glyphs"
                                      : "bad",
            .help = "tasks that are wrong",
            .options = options,
            .n_options = 2,
            .reads = reads,
            .open = open_tasks,
            .fields = fields,
            .draw = FAULT == NO_DRAW     ? NULL
                    : FAULT == UNWRITTEN ? draw_less
                                         : draw},
           {NULL}};
static const mnemo_part_kind part = {.struct_size = sizeof part,
                                     .module = FAULT == NO_LOSS ? MNEMO_OUTPUT : MNEMO_INPUT,
                                     .name = "bad",
                                     .help = "a part that is wrong",
                                     .build = FAULT == NO_LOSS ? build_answers : build,
                                     .loss = FAULT == NO_LOSS ? no_loss : NULL};
static const mnemo_rule_kind rule = {.struct_size = sizeof rule,
                                     .name = "bad",
                                     .help = "a rule that is wrong",
                                     .memory = memory,
                                     .step = step,
                                     .gradient = gradient,
                                     .is_exact = FAULT == WRONG_GRADIENT};
static const mnemo_task_set_kind *const task_sets[] = {
    FAULT < STOPS && FAULT != NO_KIND ? &tasks.kind : NULL, NULL};
static const mnemo_part_kind *const parts[] = {
    FAULT >= STOPS && FAULT < WRONG_GRADIENT ? &part : NULL, NULL};
static const mnemo_rule_kind *const rules[] = {FAULT >= WRONG_GRADIENT ? &rule : NULL, NULL};

static const struct {
    mnemo_plugin plugin;
    void *more[4];
} all = {{.struct_size = FAULT == SMALL   ? 16
                         : FAULT == LATER ? sizeof all
                                          : sizeof(mnemo_plugin),
          .abi = MNEMO_PLUGIN_ABI + (FAULT == OTHER_ABI),
          .name = "bad",
          .version = "1",
          .task_sets = task_sets,
          .parts = parts,
          .rules = rules},
         {NULL}};

#ifdef WITHOUT_SYMBOL
#define mnemo_plugin_entry mnemo_other_entry
const mnemo_plugin *mnemo_plugin_entry(const mnemo_host *of);
#endif
const mnemo_plugin *mnemo_plugin_entry(const mnemo_host *of)
{
    host = of;
    if (FAULT == CRASHES_AT_ONCE)
        abort();
    return FAULT == UNWILLING ? NULL : &all.plugin;
}
