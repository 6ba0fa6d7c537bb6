/* plugin.h: kinds of your own for mnemo, in C: task sets, parts of the network, rules of adaptation.
 * A plug-in is a shared object with one symbol, mnemo_plugin_entry:
 *
 *     cc -shared -fPIC -O2 -ffp-contract=off $(pkg-config --cflags mnemo) spiral.c -o spiral.so
 *     mnemo plugin check spiral.so
 *     mnemo train --plugin spiral.so experiment.yaml            # tasks: {kind: spiral}
 *     mnemo-worker --plugin spiral.so ENDPOINT                  # on each machine, the same file
 *
 * It is named on the command line, or in MNEMO_PLUGINS (files, ':' between), of each program that
 * needs it, and nowhere else: no experiment, checkpoint or message ever says which file to load. An
 * experiment that uses its kinds tells the name and the SHA-256 of the file. That digest is a part of
 * the numeric class, as the processor's kernels are: programs with another file do not work together,
 * and a run does not go on with another. Only the file itself is digested, not the libraries that it
 * links to. A plug-in is code of yours with all your rights: mnemo does not confine it. `mnemo plugin
 * check` runs it in a process of its own.
 *
 * Threads, ownership, purity. The same for all calls; what differs is said at the call:
 *   - mnemo_plugin_entry and open() are called by one thread at a time, all others by any number of
 *     threads at the same time, each with handles and memory of its own.
 *   - What you return from the entry lasts, unchanged, as long as the process. What open() makes is
 *     yours until close(), and read-only in between: calls get it as const, and mean it.
 *   - Handles (settings, fields, task, random, build, adapting) and what host functions return are
 *     lent for the call in which you got them. Never free or keep them.
 *   - Pure: the result is a function of the arguments, what the handles tell, and the settings, bit
 *     by bit: of no clock, address, thread, environment, file, static variable or call before.
 *     Bits change with fused products (-ffp-contract, -ffast-math) and with the C library's sin, exp
 *     and pow, which differ from machine to machine: take host->sine and host->normal, or sums and
 *     products.
 *   - No call may throw, longjmp, end the process or block. Those that return a mnemo_code fail by
 *     any other than MNEMO_OK, with a sentence in error->message (what, where, what was expected, what
 *     to do), and leave their results alone.
 *
 * Versions. MNEMO_PLUGIN_ABI is the number of this page.
 *   - It grows, and older plug-ins are refused by their number, if a field or an argument changes its
 *     type, meaning or place, if one is taken away, or if a promise above is weakened.
 *   - It stays where a field is added at the end of a struct. Each struct begins with its own size as
 *     its maker's header knows it; what a smaller one lacks is 0 or NULL. So a plug-in of today works in
 *     a later mnemo of the same ABI. One that needs a host function added later looks whether
 *     host->struct_size reaches it.
 *   - It stays where a function takes values that it refused before, an enum gets values at its end, or
 *     messages and the texts of help change.
 *   - Whether the same plug-in gives the same bits in another mnemo is the numeric class's matter.
 *   1  the first (mnemo 0.1.0) */
#ifndef MNEMO_PLUGIN_H
#define MNEMO_PLUGIN_H

#include "mnemo.h"
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define MNEMO_PLUGIN_ABI 1u

typedef struct mnemo_settings mnemo_settings; /* the experiment */
typedef struct mnemo_fields mnemo_fields;     /* what a task is made of */
typedef struct mnemo_task mnemo_task;         /* one, to be filled in */
typedef struct mnemo_random mnemo_random;     /* the task's own stream of random numbers */
typedef struct mnemo_build mnemo_build;       /* a network that is being built */
typedef struct mnemo_adapting mnemo_adapting; /* a task that a thread adapts to */

typedef enum mnemo_split { MNEMO_TRAIN, MNEMO_VAL, MNEMO_TEST } mnemo_split;
typedef enum mnemo_set { MNEMO_SUPPORT, MNEMO_QUERY } mnemo_set;
typedef enum mnemo_target { MNEMO_VALUES, MNEMO_CLASSES } mnemo_target;

/* ---- options: keys "KIND.NAME" of an experiment that uses the kind */
typedef enum mnemo_option_type { MNEMO_REAL, MNEMO_WHOLE, MNEMO_FLAG } mnemo_option_type;
typedef struct mnemo_option {
    uint32_t struct_size; /* of all options of a kind alike */
    mnemo_option_type type;
    const char *name;             /* small letters, digits and '_', a letter first, at most 30 */
    double fallback, least, most; /* a flag: 0 or 1. A whole number: 0 to 2^32 - 1 */
    const char *unit, *help;      /* "" where there is no unit */
} mnemo_option;

/* ---- task sets: tasks.kind */
typedef struct mnemo_task_set_kind {
    uint32_t struct_size;
    const char
        *name; /* small letters, digits and '-', a letter first, at most 30; so for all kinds */
    const char *help;
    const mnemo_option *options; /* [n_options]; NULL: none */
    uint32_t n_options;
    const char *const
        *reads; /* mnemo's own keys that it reads, as "tasks.shot", NULL at the end; NULL: none */
    /* Check the settings, make what draw() needs. NULL: there is nothing to be made. */
    mnemo_code (*open)(const mnemo_settings *settings, void **state, mnemo_error *error);
    void (*close)(void *state); /* what open() made, once; NULL: nothing is to be freed */
    /* Say what a task of a split is made of: host->few_shot. Pure. */
    mnemo_code (*fields)(const void *state, mnemo_split split, mnemo_fields *fields,
                         mnemo_error *error);
    /* Draw task `index`: fill all numbers of all fields, which hold anything before. Pure; may not
     * allocate or fail. Classes: each row of y is one-hot. */
    void (*draw)(const void *state, mnemo_split split, uint64_t index, mnemo_random *random,
                 mnemo_task *task);
} mnemo_task_set_kind;

/* ---- parts: model.input, .memory, .reasoning, .output */
typedef enum mnemo_module { MNEMO_INPUT, MNEMO_MEMORY, MNEMO_REASONING, MNEMO_OUTPUT } mnemo_module;
typedef int32_t mnemo_node; /* an array that the network computes; of this build alone */
#define MNEMO_NONE (-1)     /* no array */
typedef struct mnemo_extent {
    uint32_t n, h, w, c; /* items, height, width, channels; rows are n * h * w, columns c */
} mnemo_extent;

/* A part writes operations into a graph, which mnemo differentiates: it computes nothing by itself.
 * Its calls are made once to declare its tensors and then for each graph; they must ask for the same
 * tensors each time. All are pure. After a failure (host->fail, or a misfit that mnemo finds) nodes
 * mean nothing, and the part may return any. */
typedef struct mnemo_part_kind {
    uint32_t struct_size;
    mnemo_module module;
    const char *name, *help;
    const mnemo_option *options;
    uint32_t n_options;
    const char *const *reads;
    /* input: features from the fields of a set. reasoning: from features. output: answers [items,
     * y_size] from what reasoning gives. A memory has none. */
    mnemo_node (*build)(mnemo_build *build, mnemo_set set);
    /* memory: keep (host->keep) what the items of a set leave in it; support comes first, where there
     * is one. */
    void (*write)(mnemo_build *build, mnemo_set set);
    /* memory: what it gives for questions u [rows, columns], asked for the hop-th time, from 0. */
    mnemo_node (*read)(mnemo_build *build, mnemo_set set, uint32_t hop, mnemo_node u);
    /* output: the loss, one number. NULL: mean squared error, or cross-entropy of classes. */
    mnemo_node (*loss)(mnemo_build *build, mnemo_set set);
    uint32_t needs_support; /* memory: 1 if the support set writes what query items read */
} mnemo_part_kind;

/* ---- rules: meta.kind; theta -> phi for a task, and the meta-gradient */
typedef struct mnemo_rule_kind {
    uint32_t struct_size;
    const char *name, *help;
    const mnemo_option *options;
    uint32_t n_options;
    const char *const *reads;
    mnemo_code (*open)(const mnemo_settings *settings, void **state, mnemo_error *error);
    void (*close)(void *state);
    uint32_t (*memory)(
        const void *state); /* vectors like theta that a task takes; NULL: none. Pure */
    /* Inner step k, from 0: move host->phi, which begins as theta. There are meta.inner_steps. Pure.
     * Returns the support loss before the step. */
    double (*step)(const void *state, mnemo_adapting *adapting, uint32_t k);
    /* gradient [n] holds that of the query loss at phi: make the meta-gradient of it. NULL: that is
     * it (first order). Pure. */
    void (*gradient)(const void *state, mnemo_adapting *adapting, float *gradient);
    uint32_t is_exact; /* 1: the meta-gradient is the derivative of the query loss at phi in theta,
                               which `mnemo plugin check` then compares with differences */
    uint32_t uses_hessian; /* 1: host->hessian is called */
} mnemo_rule_kind;

typedef struct mnemo_plugin {
    uint32_t struct_size, abi;  /* sizeof, MNEMO_PLUGIN_ABI */
    const char *name, *version; /* name: as of kinds, at most 18; version: text, at most 30 */
    const mnemo_task_set_kind *const *task_sets; /* NULL at the end; NULL: none; so below */
    const mnemo_part_kind *const *parts;
    const mnemo_rule_kind *const *rules;
} mnemo_plugin;

typedef enum mnemo_unary {
    MNEMO_RELU,
    MNEMO_TANH,
    MNEMO_SIGMOID,
    MNEMO_EXP,
    MNEMO_LOG,
    MNEMO_SOFTPLUS,
    MNEMO_RECIPROCAL,
    MNEMO_ROOT,
    MNEMO_STOP /* the same numbers, through which no derivative goes */
} mnemo_unary;
typedef enum mnemo_start { MNEMO_START_WEIGHTS, MNEMO_START_ZERO, MNEMO_START_ONE } mnemo_start;

/* What mnemo does for a plug-in; lasts as long as the process. No pointer is NULL. */
typedef struct mnemo_host {
    uint32_t struct_size, abi;
    const char *version; /* of mnemo */

    /* The value of a key, its own ("spiral.turns") or one of mnemo's ("tasks.shot"): a number, a flag
     * as 0 or 1, a choice by its place. NaN: there is no such key, or it is no number. */
    double (*setting)(const mnemo_settings *settings, const char *key);

    /* ---- task sets: in fields() */
    /* n_support and n_query items x of height, width and channels, and a y of y_size numbers for each:
     * classes are one-hot. n_support 0: there is no support set. MNEMO_ERR_ARGUMENT: one of these is 0,
     * or the task is larger than 2^28 numbers, or was declared before. */
    mnemo_code (*few_shot)(mnemo_fields *fields, uint32_t n_support, uint32_t n_query,
                           const uint32_t x[3], mnemo_target target, uint32_t y_size,
                           mnemo_error *error);
    /* ---- in draw() */
    float *(*x)(mnemo_task *task, mnemo_set set, uint32_t *n_items); /* rows; n_items may be NULL */
    float *(*y)(mnemo_task *task, mnemo_set set, uint32_t *n_items); /* of no support set: NULL */
    double (*uniform)(mnemo_random *random, double low, double high); /* in [low, high) */
    double (*normal)(mnemo_random *random);
    uint32_t (*below)(mnemo_random *random, uint32_t n); /* 0 .. n - 1; n = 0 gives 0 */
    double (*sine)(double angle); /* within 1e-15 for |angle| < 1e6, the same bits everywhere */

    /* ---- parts. A node that is none, or of a shape that does not fit, fails the build with a
     * sentence that names the part and the operation. */
    const mnemo_settings *(*settings)(const mnemo_build *build);
    void (*fail)(mnemo_build *build, const char *message);
    mnemo_node (*field)(mnemo_build *build, mnemo_set set, const char *name); /* "x", "y" */
    mnemo_node (*features)(mnemo_build *build, mnemo_set set); /* reasoning, output: of the input */
    mnemo_node (*conclusions)(mnemo_build *build, mnemo_set set); /* output: of reasoning */
    mnemo_node (*answers)(mnemo_build *build, mnemo_set set);     /* loss: of the output */
    mnemo_node (*ask_memory)(mnemo_build *build, mnemo_set set, uint32_t hop, mnemo_node u);
    uint32_t (*y_size)(const mnemo_build *build);
    mnemo_extent (*extent)(mnemo_build *build, mnemo_node a);
    /* memory: 16 places of each set; a place that is not kept is MNEMO_NONE. */
    void (*keep)(mnemo_build *build, mnemo_set set, uint32_t place, mnemo_node a);
    mnemo_node (*kept)(mnemo_build *build, mnemo_set set, uint32_t place);
    /* Tensors of theta, by name, as "memory.scale"; two parts that name one share it. */
    mnemo_node (*table)(mnemo_build *build, const char *name, uint32_t rows, uint32_t columns,
                        double deviation); /* begins normal */
    mnemo_node (*vector)(mnemo_build *build, const char *name, uint32_t n, mnemo_start start);
    /* x W + b of items read as rows, with NAME.weight [out, in] and NAME.bias. */
    mnemo_node (*linear)(mnemo_build *build, const char *name, mnemo_node x, uint32_t out);
    mnemo_node (*constant)(mnemo_build *build, double value, mnemo_extent extent);
    mnemo_node (*reshape)(mnemo_build *build, mnemo_node a, mnemo_extent extent);
    mnemo_node (*rows)(mnemo_build *build, mnemo_node a, uint32_t first, uint32_t n);
    mnemo_node (*columns)(mnemo_build *build, mnemo_node a, uint32_t first, uint32_t n);
    mnemo_node (*beside)(mnemo_build *build, mnemo_node a, mnemo_node b); /* columns of both */
    mnemo_node (*repeat_rows)(mnemo_build *build, mnemo_node a,
                              uint32_t times); /* each, in a block */
    mnemo_node (*sum_groups)(mnemo_build *build, mnemo_node a, uint32_t times); /* the reverse */
    mnemo_node (*product)(mnemo_build *build, mnemo_node a, mnemo_node b, uint32_t transpose_a,
                          uint32_t transpose_b);
    mnemo_node (*add)(mnemo_build *build, mnemo_node a,
                      mnemo_node b); /* of one shape; so multiply */
    mnemo_node (*multiply)(mnemo_build *build, mnemo_node a, mnemo_node b);
    mnemo_node (*scale)(mnemo_build *build, double factor, mnemo_node a);
    mnemo_node (*bias)(mnemo_build *build, mnemo_node a, mnemo_node vector); /* added to each row */
    mnemo_node (*unary)(mnemo_build *build, mnemo_unary what, mnemo_node a);
    mnemo_node (*row_dot)(mnemo_build *build, mnemo_node a, mnemo_node b);         /* [rows, 1] */
    mnemo_node (*row_scale)(mnemo_build *build, mnemo_node factors, mnemo_node a); /* [rows, 1] */
    mnemo_node (*column_sums)(mnemo_build *build, mnemo_node a); /* [1, columns] */
    mnemo_node (*softmax)(mnemo_build *build, mnemo_node a);     /* of each row */
    mnemo_node (*squared_error)(mnemo_build *build, mnemo_node a, mnemo_node target); /* the mean */
    mnemo_node (*cross_entropy)(mnemo_build *build, mnemo_node logits,
                                mnemo_node target); /* nats */

    /* ---- rules. All vectors have n floats, in an order that is mnemo's own. */
    size_t (*n)(const mnemo_adapting *adapting);
    const float *(*theta)(const mnemo_adapting *adapting);
    float *(*phi)(mnemo_adapting *adapting);
    float *(*memory)(mnemo_adapting *adapting,
                     uint32_t i); /* vector i; all 0 before the first step */
    /* The support loss at phi (which may be moved back and forth); gradient, if not NULL, is written. */
    double (*support)(mnemo_adapting *adapting, float *gradient);
    /* The product of the support loss's second derivative with v, at the phi of this call's last
     * support(); out may not be v. NaN: there was none, or the rule does not say uses_hessian. */
    void (*hessian)(mnemo_adapting *adapting, const float *v, float *out);
} mnemo_host;

/* The one symbol. Called once, at the start of a program. NULL: it cannot work with this host; mnemo
 * says so and ends. */
#if defined(__GNUC__)
__attribute__((visibility("default")))
#endif
const mnemo_plugin *
mnemo_plugin_entry(const mnemo_host *host);

#ifdef __cplusplus
}
#endif
#endif
