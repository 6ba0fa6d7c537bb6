/* learning_curve.h: a run's scores over its meta-steps, as a picture. */
#pragma once

#include "common/error.h"
#include "common/score.h"

/* From <folder>/metrics.jsonl: curve.dat, curve.gp, and by gnuplot curve.png and curve.svg, with a
 * panel for each score of training, in which validation's of that name is too, and for what only
 * validation measures. Validation's scores along another axis, as of the sets of a mixture, are lines in the
 * panel of their name, or if they are many in panels of their own: those of `tests`, which may be NULL,
 * as metrics.jsonl has them. `title` is for people. MN_ERR_UNAVAILABLE: gnuplot is not installed;
 * MN_ERR_NO_INPUT: no metrics yet. */
mn_status mn_learning_curve_draw(const char *folder, const char *title, const mn_score_list *scores,
                                 const mn_score_list *tests, mn_error *err);
