/* sequences.h: sequences of drawings whose classes are to be named one after the other, the right
 * name being told a step late (Santoro et al. 2016): whoever remembers is right from the second
 * showing of a class on. `tasks.bundle` sequences lie side by side in a task; row t * bundle + b of a
 * field is step t of sequence b.
 *   query.x             [steps * bundle] images
 *   query.label_before  label of the step before; zeros at the first
 *   query.y             label: one-hot, or five letters a to e, each one-hot, side by side
 *   query.point         which showing of its class this is, from 0
 * Each sequence has classes, labels (strings too, no two alike) and order of its own; each class is shown equally often, never
 * twice by one image of a file. */
#pragma once

#include "worker/tasks/task.h"
#include "worker/tasks/task_set.h"

/* Which showing of its class each step of a sequence is, from 0: labels, showings [length],
 * labels below way. */
void mn_sequence_showings(uint32_t way, uint32_t length, const uint32_t *labels,
                          uint32_t *showings);
