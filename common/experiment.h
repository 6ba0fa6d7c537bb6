/* experiment.h: all that a run is told, as plain fields. Made by the options table in experiment.c,
 * which is the only place that knows names, defaults, ranges and help; read-only afterwards. */
#pragma once

#include "common/error.h"
#include "common/options.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

typedef enum mn_task_kind {
    MN_TASKS_SINUSOID,
    MN_TASKS_IMAGES,
    MN_TASKS_GLYPHS,
    MN_TASKS_SEQUENCES, /* of images, one after the other */
    MN_TASKS_STORIES,
    MN_TASKS_GENERATED_STORIES,
    MN_TASKS_TABLES, /* made up */
    MN_TASKS_ROWS,   /* of a table of the user's own */
    MN_TASKS_DESCRIBED_IMAGES,
    MN_TASKS_DIALOGUES,
    MN_TASKS_CLASS_STREAM,    /* images, class after class */
    MN_TASKS_SINUSOID_STREAM, /* points of a sinusoid that jumps */
    MN_TASKS_EXTERNAL,        /* made, and learned, by workers of the user's own */
} mn_task_kind;
typedef enum mn_curve { MN_CURVE_SINE, MN_CURVE_LINE, MN_CURVE_STEP } mn_curve;
typedef enum mn_mix_by {
    MN_MIX_BY_WEIGHT,
    MN_MIX_BY_SIZE,
    MN_MIX_BY_DIFFICULTY,
} mn_mix_by;
typedef enum mn_header { MN_HEADER_AUTO, MN_HEADER_YES, MN_HEADER_NO } mn_header; /* of a text */
typedef enum mn_split_by { MN_SPLIT_BY_TASK, MN_SPLIT_BY_ROW } mn_split_by;
typedef enum mn_missing { MN_MISSING_REFUSE, MN_MISSING_MEAN } mn_missing;
typedef enum mn_word_columns { MN_WORDS_REFUSE, MN_WORDS_ONE_HOT } mn_word_columns;
typedef enum mn_world { MN_WORLD_ROOMS, MN_WORLD_GRID, MN_WORLD_PAIRS } mn_world;
typedef enum mn_sampling {
    MN_SAMPLE_RANDOM,
    MN_SAMPLE_GROUP,
    MN_SAMPLE_TURNED_GROUP, /* each quarter turn of a group is a group of its own */
} mn_sampling;
typedef enum mn_input_kind {
    MN_INPUT_MLP,
    MN_INPUT_CONV4,
    MN_INPUT_IDENTITY,
    MN_INPUT_SENTENCES,
    MN_INPUT_LINEAR, /* a layer without an activation */
} mn_input_kind;
typedef enum mn_memory_kind {
    MN_MEMORY_NONE,
    MN_MEMORY_CLASS_MEANS,  /* of the support set's features */
    MN_MEMORY_SUPPORT,      /* the support set: features and labels */
    MN_MEMORY_TABLE,        /* learned slots */
    MN_MEMORY_LRUA,         /* slots written where least recently used */
    MN_MEMORY_MEAN,         /* of the support set's pairs of features and y, encoded */
    MN_MEMORY_STORY,        /* a story's sentences, by tables of its own */
    MN_MEMORY_SENTENCES,    /* a story's sentences, by the question's table */
    MN_MEMORY_ENTITIES,     /* slots that a story's sentences update, one after the other */
    MN_MEMORY_KEY_VALUE,    /* a story's words, found by their sentences */
    MN_MEMORY_FAST_WEIGHTS, /* a matrix that every sentence of a story adds to */
    MN_MEMORY_CONTEXT,      /* numbers that the inner loop moves from zero */
    MN_MEMORY_TRANSFORMER,  /* the support set, attended to layer by layer */
    MN_MEMORY_DESCRIPTIONS, /* a vector of each class, made of its attributes */
    MN_MEMORY_RIDGE,        /* the same by ridge regression on the support set */
} mn_memory_kind;
typedef enum mn_reasoning_kind {
    MN_REASONING_NONE,
    MN_REASONING_CONCAT_LINEAR,
    MN_REASONING_LSTM,
    MN_REASONING_FEEDFORWARD, /* a layer at each step, in the place of the LSTM */
    MN_REASONING_CONCAT_MLP,
    MN_REASONING_HOPS,
    MN_REASONING_QUERY_REDUCTION,
    MN_REASONING_PRELU_HOPS,
    MN_REASONING_READ, /* what the memory gives, and nothing else */
} mn_reasoning_kind;
typedef enum mn_output_kind {
    MN_OUTPUT_LINEAR,
    MN_OUTPUT_DISTANCE, /* to class means */
    MN_OUTPUT_MATCH,    /* with support items */
    MN_OUTPUT_GAUSSIAN, /* means and deviations */
    MN_OUTPUT_WORDS,
    MN_OUTPUT_COMPATIBILITY, /* products with class vectors */
    MN_OUTPUT_CANDIDATES,    /* whole sentences, of which one is the answer */
} mn_output_kind;
typedef enum mn_statistics { /* of batch norm */
                             MN_STATISTICS_BATCH,
                             MN_STATISTICS_RUNNING,
                             MN_STATISTICS_SUPPORT, /* query items by the support set's */
                             MN_STATISTICS_ITEM,    /* each image by its own */
} mn_statistics;
typedef enum mn_tying { MN_TYING_ADJACENT, MN_TYING_LAYER_WISE, MN_TYING_SINGLE } mn_tying;
typedef enum mn_word_encoding {
    MN_ENCODING_BAG,
    MN_ENCODING_POSITION,         /* as the authors of memory networks programmed it */
    MN_ENCODING_POSITION_PRINTED, /* as they printed it */
    MN_ENCODING_MASK,             /* learned */
} mn_word_encoding;
typedef enum mn_tokens { MN_TOKENS_ROW, MN_TOKENS_CELL } mn_tokens;
typedef enum mn_time { MN_TIME_TURNS, MN_TIME_AGES } mn_time;
typedef enum mn_vocabulary { MN_VOCABULARY_TRAINING, MN_VOCABULARY_CANDIDATES } mn_vocabulary;
typedef enum mn_candidate_words { MN_CANDIDATES_OWN, MN_CANDIDATES_TIED } mn_candidate_words;
typedef enum mn_layer_weights { MN_LAYER_WEIGHTS_SHARED, MN_LAYER_WEIGHTS_OWN } mn_layer_weights;
typedef enum mn_gates { MN_GATES_SCALAR, MN_GATES_VECTOR } mn_gates;
typedef enum mn_control { MN_CONTROL_NONE, MN_CONTROL_QUESTION, MN_CONTROL_STORY } mn_control;
typedef enum mn_downsampling { MN_DOWN_STRIDE, MN_DOWN_MAX_POOL } mn_downsampling;
typedef enum mn_labels { MN_LABELS_ONE_HOT, MN_LABELS_LETTERS } mn_labels;
typedef enum mn_stream_order { MN_ORDER_CLASSES, MN_ORDER_SHUFFLED } mn_stream_order;
typedef enum mn_stream_points { MN_BY_AGE, MN_BY_POSITION } mn_stream_points;
typedef enum mn_sharpness { MN_SHARPNESS_ONE, MN_SHARPNESS_LEARNED } mn_sharpness;
typedef enum mn_readout { MN_READOUT_MEAN, MN_READOUT_FLATTEN, MN_READOUT_BLOCKS } mn_readout;
typedef enum mn_attributes { MN_ATTRIBUTES_GIVEN, MN_ATTRIBUTES_STANDARDISED } mn_attributes;
typedef enum mn_activation { MN_RELU, MN_TANH } mn_activation;
typedef enum mn_weight_init {
    MN_INIT_GLOROT,
    MN_INIT_HE,
    MN_INIT_TRUNCATED_NORMAL,
    MN_INIT_LECUN,
} mn_weight_init;
typedef enum mn_meta_kind {
    MN_META_MAML,     /* order 2; with meta.order 1 it is FOMAML */
    MN_META_ANIL,     /* only the output layer adapts */
    MN_META_META_SGD, /* one learned rate per parameter */
    MN_META_REPTILE,
    MN_META_EPISODIC, /* no inner loop: the memory itself adapts */
    MN_META_IMAML,    /* a proximal inner loop, differentiated implicitly */
    MN_META_ONLINE,   /* a step after each item of a sequence, which is judged before it */
} mn_meta_kind;
typedef enum mn_adapts { /* which tensors the inner loop moves */
                         MN_ADAPTS_ALL,
                         MN_ADAPTS_OUTPUT,
                         MN_ADAPTS_BODY,   /* all but the output's */
                         MN_ADAPTS_MEMORY, /* the memory's alone */
} mn_adapts;
typedef enum mn_update_kind {
    MN_UPDATE_GRADIENT,
    MN_UPDATE_LEARNED,
    MN_UPDATE_STEP_RATES, /* a rate for each tensor and inner step */
    MN_UPDATE_CURVATURE,  /* matrices that turn the gradient (Meta-Curvature) */
} mn_update_kind;
typedef enum mn_head_start { MN_HEAD_LEARNED, MN_HEAD_PROTOTYPES, MN_HEAD_ZERO } mn_head_start;
typedef enum mn_optimiser_kind {
    MN_OPT_SGD,
    MN_OPT_ADAM,
    MN_OPT_ADAMW,
    MN_OPT_ADAGRAD,
} mn_optimiser_kind;
typedef enum mn_decays { MN_DECAYS_ALL, MN_DECAYS_WEIGHTS } mn_decays;
typedef enum mn_schedule { MN_LR_CONSTANT, MN_LR_COSINE, MN_LR_STEP } mn_schedule;
typedef enum mn_nonfinite { MN_NONFINITE_SKIP, MN_NONFINITE_ABORT } mn_nonfinite;
typedef enum mn_choose { MN_CHOOSE_SCORE, MN_CHOOSE_LOSS } mn_choose;
typedef enum mn_split { MN_TRAIN, MN_VAL, MN_TEST, MN_N_SPLITS } mn_split;

#define MN_MAX_OUTSIDE 64

typedef struct mn_experiment {
    char plugins[512]; /* whom kinds from outside are of, as it was read: "NAME@SHA-256, ..." */
    char name[64];     /* default: the file's name without ".yaml" */
    uint64_t seed;
    struct {
        mn_task_kind kind;
        char data[256];       /* images: name of a packed file, found on the data path */
        char runs[256];       /* images: name of a packed file of test tasks; empty: drawn */
        uint32_t way;         /* classes */
        uint32_t length;      /* sequences: items of one */
        mn_labels labels;     /* sequences: what a class is called */
        uint32_t bundle;      /* sequences, stories: side by side in a task */
        uint32_t shot, query; /* support and query items per class (sinusoid: points) */
        uint32_t way_from, shot_from; /* images, glyphs: fewest of a task; 0: way, shot, always */
        bool unbalanced;              /* each class has its own shot */
        uint32_t features;            /* tables: at most */
        uint32_t image_size;          /* images, glyphs: pixels a side */
        bool rotations;               /* images: turned by 90, 180, 270 degrees as new classes */
        double warp;          /* images: random affine map of each training image, 0 to 0.5 */
        double bend;          /* images: random smooth map of each training image, 0 to 0.5 */
        bool mirror;          /* images: training images left for right at random */
        mn_sampling sampling; /* images: classes of a task from anywhere or from one group */
        double amplitude[2];  /* sinusoid: low and high */
        double phase[2];      /* radians */
        double x_range[2];
        mn_curve curve;        /* sinusoid: what stands for the sine */
        char stories[64];      /* stories: which sets, "all" or "1-3,7" */
        uint32_t sentences;    /* the most recent so many are the memory */
        double noise;          /* stories: empty memories among those of training, share at most */
        double held_out;       /* stories: share of training questions for validation */
        uint64_t linear_start; /* meta-steps without softmax in the attention */
        mn_world world;        /* generated-stories */
        uint32_t dialog;       /* dialogues: which set */
        bool oov;              /* dialogues: test on entities that training lacks */
        mn_time time;          /* dialogues: how a memory tells when it was said */
        mn_vocabulary vocabulary; /* dialogues: which words have vectors */
        bool match;               /* dialogues: candidates tell which types they share */
        uint32_t shortest;        /* grid: sentences of a training story at least; 0: all as many */
        /* rows: of a table of the user's own; columns by name or number, from 1 */
        char table[256];       /* a file, or several side by side, ',' between */
        mn_header header;      /* is its first line one? */
        char class_column[64]; /* the class of a row is asked for; or */
        char task_column[64];  /* rows of a task are alike here, and */
        char y_column[64];     /* this number is asked for */
        char columns[512];     /* features, ',' between; empty: all others */
        char id_column[64];    /* what a memory is asked by; empty: there are no ids */
        double hidden_ids;     /* share of the ids of a training task that are not told */
        char split_column[64]; /* train, val or test of each row; or */
        char split_list[256];  /* a table of classes or tasks and their splits; or */
        mn_uint_list shares;   /* per cent for train, val and test */
        mn_split_by split_by;  /* of classes or tasks, or of each task's rows */
        mn_missing missing;
        mn_word_columns words;
        bool standardise;
        bool one_scale;        /* rows: columns are divided by one deviation */
        bool roots;            /* rows, described-images: square roots of numbers are taken first */
        mn_stream_order order; /* class-stream */
        double jumps;          /* sinusoid-stream: chance of one at a point */
        mn_stream_points points;  /* sinusoid-stream: what errors are told apart by */
        char mix[512];            /* parts of a mixture of such tasks; empty: none */
        mn_mix_by mix_by;         /* how often each is drawn */
        double mix_power;         /* of a part's size, or of its difficulty */
        double mix_renewal;       /* difficulty: share of a set's running loss that is renewed */
        char descriptions[256];   /* described-images: name of a table of attributes */
        uint32_t unseen;          /* classes of a task without support images */
        bool generalised;         /* training tasks ask among all classes too */
        uint32_t class_split;     /* which random division of the classes; 0: the file's own */
        uint32_t val_classes;     /* of it: seen classes that validation takes for unseen */
        mn_attributes attributes; /* described-images */
        bool redraw;              /* each task has a division of its own */
        char learner[256];        /* external: file of a learner's card (learner_card.h) */
    } tasks;
    struct {
        mn_input_kind input;
        mn_memory_kind memory;
        mn_reasoning_kind reasoning;
        mn_output_kind output;
        bool full_context;         /* support: embeddings know the whole support set */
        uint32_t context_steps;    /* of the query items' LSTM then */
        uint32_t embedding;        /* sentences: numbers of a word's vector */
        double word_scale;         /* story, candidates: deviation that vectors begin with */
        mn_word_encoding encoding; /* sentences */
        mn_control control;        /* sentences: what alone may be looked at */
        uint32_t hops;             /* hops, prelu-hops */
        uint32_t layers;           /* query-reduction, as what follows; transformer */
        mn_layer_weights layer_weights;
        mn_gates gates;
        double gate_lean;              /* added to the bias of update gates */
        double gate_start, word_start; /* standard deviation of their weights at the start */
        bool reset_gates, bidirectional;
        mn_tying tying;                /* story */
        bool linear_attention;         /* story: never a softmax */
        bool empty_slots;              /* story: attention may fall on them */
        mn_candidate_words candidates; /* candidates: whose vectors their words have */
        mn_tokens tokens;              /* transformer: an item is one, or each of its numbers */
        uint32_t token_size, heads, mlp_size; /* transformer */
        mn_uint_list encoder;                 /* mean: widths of the layers */
        mn_uint_list decoder;                 /* concat-mlp: widths of the layers */
        mn_uint_list hidden;                  /* mlp: widths of the hidden layers */
        uint32_t width;                       /* linear: of its layer */
        mn_uint_list describer;               /* descriptions: widths of the hidden layers */
        double ridge_gamma, ridge_lambda;     /* ridge: of features and attributes */
        double scale;                         /* compatibility */
        double calibration;                   /* what seen classes' answers are lowered by */
        uint32_t filters;                     /* conv4 */
        uint32_t blocks;
        mn_downsampling downsampling;
        mn_readout readout;
        uint32_t units;            /* concat-linear, lstm, feedforward */
        uint32_t slots, slot_size; /* table, lrua; entities: slots */
        uint32_t context;          /* context: numbers */
        uint32_t read_heads;
        mn_sharpness sharpness; /* lrua: of what is compared, before the softmax */
        uint32_t fast_steps;    /* fast-weights: of the inner loop */
        double fast_decay, fast_rate;
        double usage_decay;       /* lrua: of a slot's usage, a step */
        mn_activation activation; /* mlp */
        bool batch_norm;          /* mlp: after each hidden layer; conv4 always has it */
        bool residual;            /* mlp: items are added to what is made of them */
        bool batch_norm_by_step;  /* scales and shifts for each inner step */
        double batch_norm_eps;
        mn_statistics batch_norm_statistics;
        double batch_norm_momentum; /* running: share of the new */
        mn_weight_init init;
    } model;
    struct {
        mn_meta_kind kind;
        mn_adapts adapts;           /* maml, meta-sgd, imaml, online */
        uint32_t order;             /* 1 or 2 */
        uint64_t second_order_from; /* meta-steps of order 1 before */
        uint64_t step_losses;       /* meta-steps until the last inner step alone counts */
        uint32_t inner_steps;
        uint32_t step_items; /* of a stream, that an inner step reads; 0: no stream */
        double inner_lr;
        double lambda;            /* imaml: of the proximal term */
        uint32_t cg_steps;        /* imaml: Hessian-vector products at most */
        mn_update_kind update;    /* maml, anil: what a step makes of the gradient */
        uint32_t update_units;    /* learned: of the network over each element; 0: there is none */
        mn_head_start head_start; /* maml, anil: the output's weights before the first step */
    } meta;
    struct {
        uint64_t steps;
        uint32_t batch; /* tasks per meta-step */
        mn_optimiser_kind optimiser;
        double lr;
        double momentum;     /* sgd */
        double beta1, beta2; /* adam, adamw */
        double eps;
        double accumulator;  /* adagrad: what sums of squares begin with */
        double weight_decay; /* adamw: decoupled; others: added to the gradient */
        mn_decays decays;    /* what weight_decay is of */
        double clip_norm;    /* 0: off; global 2-norm of the meta-gradient */
        double clip_value;   /* 0: off; each element */
        mn_schedule schedule;
        uint64_t warmup;        /* meta-steps of growing to it */
        double lr_min;          /* cosine: the rate at the last step */
        uint64_t lr_step_every; /* step: multiply by lr_factor every so many meta-steps */
        double lr_factor;
        double average;             /* decay of the average of theta that is judged; 0: none */
        mn_nonfinite nonfinite;     /* a task whose loss or gradient is not finite */
        uint64_t max_skipped_steps; /* so many in a row without a task end the run; 0: none */
    } outer;
    struct {
        uint32_t tasks;            /* test tasks */
        mn_split split;            /* what they are drawn from */
        char episodes[256];        /* images: a list of test tasks; empty: they are drawn */
        mn_uint_list inner_steps;  /* after which steps to measure; empty: meta.inner_steps alone */
        uint32_t way, shot, query; /* 0: as in tasks */
        uint32_t way_from, shot_from;
        uint32_t length; /* of sequences; 0: as in tasks */
        uint32_t every;  /* validate each so many meta-steps; 0: never */
        uint32_t unseen; /* described-images; 0: as in tasks */
        uint32_t val_tasks;
        bool shared_classes; /* test classes may be training classes */
        bool keep_best;      /* test with the theta that was best on validation */
        mn_choose choose;    /* which score of a validation says what is best */
        uint32_t patience;   /* so many validations in a row without a best end training; 0: none */
    } evaluate;
    struct {
        int32_t threads;         /* local worker threads a rank; -1: as many as the rank's cores */
        uint32_t activation_mib; /* a thread keeps inner steps' activations up to this */
        char listen[256];        /* "tcp://127.0.0.1:*"; empty: no remote workers */
        char keys[256];          /* folder of keys, as `mnemo keys new` makes it; empty: no keys */
        bool insecure;           /* allow to listen beyond loopback without keys */
        uint32_t heartbeat_ms;
        uint32_t silence_ms;     /* without a sign of life for so long: gone */
        uint32_t lease_floor_ms; /* no lease runs out before */
        uint32_t io_threads;     /* of a rank, for its connections */
        char numeric_class[65];  /* external: of all workers; empty: that of the first who joins */
        bool any_numeric_class;
    } pool;
    struct {
        char data_path[512];       /* folders to look for data files in, ':' between */
        uint32_t checkpoint_every; /* meta-steps */
        uint32_t keep;             /* checkpoints kept */
        uint32_t log_every;        /* seconds between log lines when there is no terminal */
        bool pictures;
        char page[128];                /* "127.0.0.1:0": where the live page is; "none": nowhere */
        char page_token[256];          /* file with the page's token; empty: made up if needed */
        char prometheus_textfile[256]; /* file for node_exporter; empty: none */
        char tensorboard[256];         /* "true": events in the run's folder; "false": none */
    } run;
    union {
        bool flag;
        uint32_t whole;
        double real;
    } outside[MN_MAX_OUTSIDE];       /* options of kinds from outside */
    bool overridden[MN_MAX_OPTIONS]; /* rows that mn_experiment_set was told of */
} mn_experiment;

/* Kinds from outside, as plug-ins bring them: one more choice of a key, with options of its own. They
 * are added before the first experiment is made, while there is one thread, and stay. */
typedef struct mn_outside_kind {
    const char *key;       /* "tasks.kind", "model.memory"; */
    const char *choice;    /* "spiral" */
    const char *from;      /* "NAME@SHA-256" of who brings it */
    const mn_option *rows; /* [n_rows] keys "spiral.turns" of type BOOL, U32 or REAL; offset, size,
                                     decides and readers are filled in here; texts are copied */
    size_t n_rows;
    const char *const *reads; /* keys of the table that it reads too, NULL at the end; NULL: none */
} mn_outside_kind;

/* *value: what the key's field is where the kind is chosen. MN_ERR_CONFIG: the choice, or a section of
 * this name, is there already; a key that is read is unknown; or there is no room. */
mn_status mn_experiment_add_kind(const mn_outside_kind *kind, unsigned *value, mn_error *err);

/* Who brings the kinds that the experiment uses, as mn_experiment_print tells it in `plugins`; "": all
 * are our own. */
void mn_experiment_outside(const mn_experiment *experiment, char out[512]);

/* Are those who are named in experiment->plugins here, with the digests told there? MN_ERR_CONFIG:
 * names the one that is not, both digests, and what to do. mn_experiment_parse asks for the names
 * alone, as a checkpoint may be looked at with another build of a plug-in. */
mn_status mn_experiment_check_outside(const mn_experiment *experiment, mn_error *err);

/* A number, flag (0, 1) or choice (its place) by its key; NaN: there is none of this key. */
double mn_experiment_number(const mn_experiment *experiment, const char *key);

/* Defaults, as if an empty file had been read. run.data_path is the environment's MNEMO_DATA if
 * that is set. */
void mn_experiment_init(mn_experiment *experiment);

/* Read a YAML file over the present values. A key that nothing reads under the file's own choices is
 * an error. Errors name file:line, key, value, what was expected
 * and the nearest valid name; unknown keys are errors, and then *experiment is as before. A file
 * that gives tasks.kind and leaves out other keys gets the defaults that suit this kind (see
 * mn_experiment_help). A file that gives no name gets its own, without folder and ".yaml". */
mn_status mn_experiment_read(mn_experiment *experiment, const char *path, mn_error *err);

/* The same of a file that mn_experiment_print wrote, perhaps an older version's: keys that nothing
 * reads are let pass. */
mn_status mn_experiment_reread(mn_experiment *experiment, const char *path, mn_error *err);

/* The same for who only looks: kinds and keys that are not known here, as of a plug-in that is not, stay at their
 * defaults. *whole: there were none. */
mn_status mn_experiment_glance(mn_experiment *experiment, const char *path, bool *whole,
                               mn_error *err);

/* The same from memory, e.g. from a coordinator; keys that nothing reads are let pass; `source` stands for the file's name in errors. */
mn_status mn_experiment_parse(mn_experiment *experiment, const char *source, const char *text,
                              size_t n, mn_error *err);

/* One override "a.b=value". */
mn_status mn_experiment_set(mn_experiment *experiment, const char *assignment, mn_error *err);

/* The table that all this is made of. */
const mn_option_table *mn_experiment_options(void);

/* Rules that concern more than one key. Call once after the last change. */
mn_status mn_experiment_check(const mn_experiment *experiment, mn_error *err);

/* The effective configuration as YAML that mn_experiment_parse reads back to the same values; with
 * `with_help`, units, ranges and help as comments. *text is owned by the caller (free). */
mn_status mn_experiment_print(const mn_experiment *experiment, bool with_help, char **text,
                              mn_error *err);

/* Print the whole options table, and what follows tasks.kind. */
void mn_experiment_help(FILE *out);

/* Print what there is to say of a key ("tasks.shot"), a section ("outer"), or the keys that a choice
 * has ("tasks.kind=images"). MN_ERR_CONFIG: none of these; names the nearest key. */
mn_status mn_experiment_help_on(const char *topic, FILE *out, mn_error *err);

/* May a run begun as `old` go on as `now`? MN_ERR_CONFIG names the first key that must not
 * differ. */
mn_status mn_experiment_may_resume(const mn_experiment *old, const mn_experiment *now,
                                   mn_error *err);

/* May a theta that was trained as `old` says be judged as `now` says? Other tasks, other adaptation
 * and another seed are other questions to the same network. MN_ERR_CONFIG names a key of the
 * network (model.*, tasks.kind) or of training (outer.*) that differs. `changes`, of n > 0 bytes,
 * tells what else does: "meta.inner_lr 0.4 instead of 0.1, ..."; "": nothing. */
mn_status mn_experiment_may_judge(const mn_experiment *old, const mn_experiment *now, char *changes,
                                  size_t n, mn_error *err);

/* Which keys may give the second experiment other test tasks than the first: "seed 2 instead of 1,
 * ..."; what does not fit is cut; "": none. */
void mn_experiment_task_changes(const mn_experiment *first, const mn_experiment *second, char *text,
                                size_t n);
