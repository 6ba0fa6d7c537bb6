/* rule.h: the meta-learning module, theta -> theta': how a learner adapts to a task's support set,
 * is judged on its query set, and how the judgement is differentiated in theta. A kind of rule is a
 * row; a new one is a file with its row, a line in rule.c, and its options in common/experiment.c.
 * A rule is compiled for one network and one extent of task, read-only afterwards, and shared by
 * threads; each brings its own scratch. Nothing is allocated per task. */
#pragma once

#include "common/score.h"
#include "worker/engine/plan.h"
#include "worker/learner/network.h"

typedef struct mn_rule mn_rule;

/* What a rule is compiled for. All pointers are lent for the rule's life. */
typedef struct mn_rule_order {
    const mn_network *network;
    const mn_fields *fields;
    const mn_kernels *kernels;
    bool differentiate; /* mn_rule_gradient will be called; else only adapting and judging, in less
                           memory */
    size_t keep_bytes;  /* activations of inner steps are kept as far as they fit here; the others
                           are made again. Same bits. */
} mn_rule_order;

/* A task as the engine sees it. */
typedef struct mn_rule_data {
    const mn_real *task; /* the block of its fields */
    uint64_t meta_step; /* which a training task is drawn for, from 0; for mn_rule_gradient alone */
    mn_profile *profile; /* of the thread, with the rows of mn_rule_profile; NULL: none */
} mn_rule_data;

#define MN_RULE_SCORES 2

typedef struct mn_rule_losses {
    double support_before;       /* at theta; without a support set: NaN */
    double query;                /* after adaptation */
    double more[MN_RULE_SCORES]; /* what the kind has scores for */
} mn_rule_losses;

typedef struct mn_rule_kind {
    const char *name;
    uint32_t n_scores;      /* what it tells of a training task beside losses, */
    const mn_score *scores; /* at most MN_RULE_SCORES */
    /* Add the rule's own tensors behind the network's. NULL: it has none. MN_ERR_CONFIG: it does
     * not suit the network. */
    mn_status (*declare)(mn_network *network, mn_error *err);
    /* *state is the rule's own; whatever is returned, destroy() follows. */
    mn_status (*compile)(const mn_rule_order *order, void **state, mn_error *err);
    void (*destroy)(void *state);
    size_t (*scratch_bytes)(const void *state);
    mn_status (*profile)(const void *state, mn_profile *profile, mn_error *err);
    mn_rule_losses (*gradient)(const void *state, void *scratch, const mn_real *theta,
                               const mn_rule_data *data, mn_real *gradient, mn_real *output);
    void (*begin)(const void *state, void *scratch, const mn_real *theta,
                  const mn_rule_data *data); /* NULL: there is nothing to begin */
    double (*step)(const void *state, void *scratch, const mn_real *theta,
                   const mn_rule_data *data); /* NULL: the rule has no inner steps */
    uint32_t (*steps)(const void *state);     /* NULL: as many as the experiment says */
    double (*judge)(const void *state, void *scratch, const mn_real *theta,
                    const mn_rule_data *data, mn_real *output);
    double (*support)(const void *state, void *scratch, const mn_real *theta,
                      const mn_rule_data *data); /* NULL: there is no support loss */
    void (*adapted)(const void *state, const void *scratch, const mn_real *theta, mn_real *adapted);
    /* What adapting makes beside theta, as tensors; copy it out. NULL: nothing. */
    mn_status (*own)(const void *state, mn_parameters *out, mn_error *err);
    void (*take_own)(const void *state, const void *scratch, mn_real *own);
    /* Be as after so many steps that came to this, to be judged. A rule without steps has nothing to
     * take up; one with steps and without this cannot be kept. */
    void (*resume)(const void *state, void *scratch, const mn_real *adapted, const mn_real *own,
                   uint32_t steps);
    double (*macs)(const void *state); /* multiply-adds of one training task */
} mn_rule_kind;

extern const mn_rule_kind mn_loop_rule, mn_implicit_rule, mn_episodic_rule, mn_online_rule;

/* Declare the tensors of the experiment's rule behind those of the network, and behind them, where the
 * sets of a mixture are drawn by difficulty, the vector mixture.losses. No rule looks at it: it stays
 * as it is in theta', and its gradient is 0 until the learner tells it. */
mn_status mn_rule_declare(mn_network *network, mn_error *err);

mn_status mn_rule_new(const mn_rule_order *order, mn_rule **out, mn_error *err);
void mn_rule_destroy(mn_rule **rule);

size_t mn_rule_scratch_bytes(const mn_rule *rule);

/* The scores of mn_rule_losses.more; returns how many. */
uint32_t mn_rule_scores(const mn_rule *rule, const mn_score **scores);

/* Rows for the operations of all plans. */
mn_status mn_rule_profile(const mn_rule *rule, mn_profile *profile, mn_error *err);

/* Adapt, judge, differentiate. gradient [size of theta] and output [query items, columns] are
 * written. */
mn_rule_losses mn_rule_gradient(const mn_rule *rule, void *scratch, const mn_real *theta,
                                const mn_rule_data *data, mn_real *gradient, mn_real *output);

/* Inner steps that adapt to a task: what the experiment trains with, or what it takes to read a
 * stream once; 0 for a rule that has none. */
uint32_t mn_rule_steps(const mn_rule *rule);
bool mn_rule_has_steps(const mn_rule *rule);

/* Items of a stream that an inner step of this experiment's rule reads; 0: of the support set all. */
uint32_t mn_rule_step_items(const mn_experiment *experiment);

/* Begin adapting to the support set. What follows works on what is in scratch, with the same theta
 * and data. */
void mn_rule_begin(const mn_rule *rule, void *scratch, const mn_real *theta,
                   const mn_rule_data *data);
/* One inner step; returns the support loss before it. Only for a rule that has steps. */
double mn_rule_step(const mn_rule *rule, void *scratch, const mn_real *theta,
                    const mn_rule_data *data);
/* The query loss as adapted so far; output is written. */
double mn_rule_judge(const mn_rule *rule, void *scratch, const mn_real *theta,
                     const mn_rule_data *data, mn_real *output);
/* The support loss as adapted so far; NaN for a rule that has none. */
double mn_rule_support(const mn_rule *rule, void *scratch, const mn_real *theta,
                       const mn_rule_data *data);
/* Theta as adapted so far -> adapted [size of theta]. */
void mn_rule_adapted(const mn_rule *rule, const void *scratch, const mn_real *theta,
                     mn_real *adapted);

/* What an adapted model is made of: theta as adapted, and tensors that adapting made beside it, as a
 * head that begins with prototypes. List these in *out, which is all zero before (MN_ERR_CONFIG: what
 * this rule adapts cannot be kept); copy them out [out->size]; and, in place of beginning and so many
 * steps, take both up in a rule that is compiled for the same network and another extent, to be
 * judged by it. */
mn_status mn_rule_own(const mn_rule *rule, mn_parameters *out, mn_error *err);
void mn_rule_take_own(const mn_rule *rule, const void *scratch, mn_real *own);
void mn_rule_resume(const mn_rule *rule, void *scratch, const mn_real *adapted, const mn_real *own,
                    uint32_t steps);

/* Multiply-adds of one training task, counted from the mathematics (forward 1 unit, gradient 3,
 * Hessian-vector product 6): inner steps x support x 9 + query x 3 for second-order MAML. */
double mn_rule_macs(const mn_rule *rule);
