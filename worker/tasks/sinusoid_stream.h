/* sinusoid_stream.h: points of a sinusoid whose amplitude and phase jump now and then: a learner
 * predicts each y before it is told, and goes on. `tasks.bundle` streams lie side by side in a task;
 * row t * bundle + b of a field is point t of stream b.
 *   query.x             [length * bundle] uniform in tasks.x_range
 *   query.label_before  y of the point before, 0 at the first; for learners without inner steps, which
 *                       have no other way to be told
 *   query.y             A sin(x - phase)
 *   query.point         points that the sinusoid at hand has shown before (its age), of the first one
 *                       and from MN_STREAM_AGES on none; or by tasks.points the place in the stream
 * A jump before point t > 0 has chance tasks.jumps, and draws amplitude and phase as for the first. */
#pragma once

#include "worker/tasks/task.h"

#define MN_STREAM_AGES 40u
