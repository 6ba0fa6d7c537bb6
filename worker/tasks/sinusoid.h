/* sinusoid.h: regression tasks y = A f(x - phase), with A, phase and x uniform. f is the sine, or
 * for mixtures of families of curves x itself (a line) or its sign (a step).
 * Source: Finn, Abbeel, Levine 2017 (arXiv:1703.03400), section 5.1. */
#pragma once

#include "common/experiment.h"
#include "common/random.h"
#include "worker/tasks/task.h"

typedef struct mn_sinusoid {
    double amplitude[2]; /* low and high; the same below */
    double phase[2];     /* radians */
    double x_range[2];
    mn_curve curve;
} mn_sinusoid;

/* Draw a task from its stream: amplitude, phase, the support's x, the query's x. */
void mn_sinusoid_draw(const mn_sinusoid *sinusoid, mn_random *random, mn_task *task);

/* sin(angle) to 1e-15 (absolute) while |angle| < 1e5, by +, -, * alone: the same bits with every C
 * library. */
double mn_sinusoid_sine(double angle);
