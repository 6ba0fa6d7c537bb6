/* What few-shot tasks of images have in common, wherever the images come from. */
#include "worker/tasks/task_set_kind.h"

#include <inttypes.h>
#include <string.h>

mn_status mn_few_shot_images(const mn_experiment *experiment, uint32_t side, uint32_t channels,
                             mn_fields fields[MN_N_SPLITS], mn_error *err)
{
    const uint32_t x[3] = {side, side, channels};
    for (mn_split split = MN_TRAIN; split < MN_N_SPLITS; split++) {
        bool other = split != MN_TRAIN;
        uint32_t way = other && experiment->evaluate.way != 0 ? experiment->evaluate.way
                                                              : experiment->tasks.way;
        uint32_t shot = other && experiment->evaluate.shot != 0 ? experiment->evaluate.shot
                                                                : experiment->tasks.shot;
        uint32_t query = other && experiment->evaluate.query != 0 ? experiment->evaluate.query
                                                                  : experiment->tasks.query;
        uint32_t n_support, n_query;
        if (way == 0 || way > MN_MAX_WAY)
            return mn_fail(err, MN_ERR_CONFIG, "%s is %" PRIu32 ", but a task has 1 to %d classes",
                           other && experiment->evaluate.way != 0 ? "evaluate.way" : "tasks.way",
                           way, MN_MAX_WAY);
        if (__builtin_mul_overflow(way, shot, &n_support) ||
            __builtin_mul_overflow(way, query, &n_query))
            n_support = n_query = 0; /* refused below */
        mn_status status =
            mn_fields_few_shot(&fields[split], n_support, n_query, x, MN_TARGET_CLASSES, way, NULL);
        if (status != MN_OK)
            return mn_fail(err, MN_ERR_CONFIG,
                           "tasks of %" PRIu32 " classes with %" PRIu32 " + %" PRIu32
                           " images of %" PRIu32 "x%" PRIu32
                           " are none, or too large for memory (tasks.way, tasks.shot, tasks.query,"
                           " tasks.image_size, evaluate.way, evaluate.shot, evaluate.query)",
                           way, shot, query, side, side);
    }
    return MN_OK;
}

void mn_few_shot_label(uint32_t way, uint32_t each, float *y)
{
    memset(y, 0, (size_t)way * each * way * sizeof *y);
    for (uint32_t item = 0; item < way * each; item++)
        y[(size_t)item * way + item / each] = 1.0f;
}
