/* drawings.h: classes of drawings for tasks that show many of them one after the other: those of a packed file
 * (image_tasks.h) where the experiment names one, else glyphs without end. */
#pragma once

#include "common/experiment.h"
#include "common/random.h"
#include "worker/data/image_pack.h"
#include "worker/tasks/few_shot.h"
#include "worker/tasks/glyphs.h"
#include "worker/tasks/image_tasks.h"
#include "worker/tasks/task_set_kind.h"

/* Of a class in a task; a draw keeps so many numbers on its stack. */
#define MN_DRAWINGS_MAX_EACH 1024u

typedef struct mn_drawings {
    uint64_t seed;
    uint32_t channels;
    mn_image_pack *pack;    /* owned; NULL: glyphs */
    mn_image_tasks *tables; /* owned */
} mn_drawings;

/* Open the experiment's packed file, if it names one; mn_drawings_close() in any case. */
mn_status mn_drawings_open(mn_drawings *drawings, const mn_experiment *experiment,
                           mn_task_set_parts *parts, mn_error *err);
/* For tasks of so many classes, and drawings of each. */
mn_status mn_drawings_prepare(mn_drawings *drawings, const mn_experiment *experiment,
                              const mn_few_shot few_shot[MN_N_SPLITS], mn_error *err);
void mn_drawings_close(mn_drawings *drawings);

/* May tasks of this split be drawn? As mn_image_tasks_check. */
mn_status mn_drawings_check(const mn_drawings *drawings, mn_split split, mn_error *err);

/* Different classes of a split, in random order -> classes [way]. */
void mn_drawings_choose(const mn_drawings *drawings, mn_split split, mn_random *random,
                        uint32_t way, uint32_t *classes);

/* A class in a task, and which of its drawings are shown, all different. */
typedef struct mn_drawn_class {
    mn_split split;
    uint32_t number;
    mn_glyph glyph;
    uint32_t images[MN_DRAWINGS_MAX_EACH];
} mn_drawn_class;

void mn_drawings_begin(const mn_drawings *drawings, mn_split split, mn_random *random,
                       uint32_t number, uint32_t each, mn_drawn_class *out);
/* Drawing i < each as an item of field x. */
void mn_drawings_show(const mn_drawings *drawings, const mn_drawn_class *class, mn_random *random,
                      uint32_t i, const mn_field *x, float *out);
