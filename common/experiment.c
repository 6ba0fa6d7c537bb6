#include "common/experiment.h"

#include "common/file.h"
#include "common/yaml_reader.h"
#include <assert.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define N_ROWS (sizeof own_rows / sizeof *own_rows)

/* clang-format off */
/* A row's key is the field's name. */
#define KEY(kind, field, text, least, most, of, words, ...)                                        \
    {.key = #field, .type = MN_OPTION_##kind, .offset = offsetof(mn_experiment, field),            \
     .size = sizeof(((mn_experiment *)0)->field), .fallback = text, .min = least, .max = most,     \
     .unit = of, .help = words, __VA_ARGS__}
#define THETA .decides = true
#define OTHER .decides = false
#define THETA_FROM(...) .decides = true, .choices = (const char *const[]){__VA_ARGS__, NULL}
#define OTHER_FROM(...) .decides = false, .choices = (const char *const[]){__VA_ARGS__, NULL}
#define BY(text) .readers = text /* who reads it; see options.h */

static const mn_option own_rows[] = {
    /*  type    field                  default         min    max      unit            help */
    KEY(TEXT,   plugins,               "",             0,     0,       "",
        "the plug-ins that kinds here come from, NAME@SHA-256 with ',' between, as mnemo writes it down: the files "
        "are named by --plugin or MNEMO_PLUGINS", OTHER,
        BY("tasks.kind=plug-in")), /* and by kinds from outside: see add_reader() */
    KEY(NAME,   name,                  "experiment",   1,     0,       "",
        "name of the experiment, also of its run folders; default: the file's name", OTHER),
    KEY(U64,    seed,                  "1",            0,     MN_OPTION_WHOLE, "",
        "the one number that all randomness comes from", THETA),

    KEY(CHOICE, tasks.kind,            "sinusoid",     0,     0,       "",
        "what a task is made of",
        THETA_FROM("sinusoid", "images", "glyphs", "sequences", "stories", "generated-stories",
                   "tables", "rows", "described-images", "dialogues", "class-stream", "sinusoid-stream",
                   "external")),
    KEY(TEXT,   tasks.learner,         "",             0,     0,       "",
        "external: tasks and network are a program's of your own, which joins as a worker (worker/python); this "
        "safetensors file says what theta is made of and begins with, as `python3 -m mnemo_worker card` writes it; "
        "its path, or one below a folder of run.data_path", OTHER,
        BY("tasks.kind=external")),
    KEY(NAME,   tasks.data,            "",             0,     0,       "",
        "images, sequences, class-stream: name of the packed file; the last two without: glyphs; stories: folder of "
        "the sets, or a file qaN_..._train.txt; dialogues: folder of the sets; found on run.data_path", OTHER,
        BY("tasks.kind=images|sequences|stories|described-images|dialogues|class-stream")),
    KEY(NAME,   tasks.runs,            "",             0,     0,       "",
        "images: test tasks are the runs of this packed file, as Omniglot's official ones", OTHER,
        BY("tasks.kind=images")),
    KEY(U32,    tasks.way,             "5",            1,     1024,     "classes",
        "images, glyphs, rows: classes of a task; sequences, class-stream: of a sequence; tables: from 2 to so many", THETA,
        BY("tasks.kind=images|glyphs|sequences|tables|rows|described-images|class-stream")),
    KEY(U32,    tasks.length,          "50",           2,     1000,    "items",
        "sequences: images of a sequence, as many of each class; sinusoid-stream: points", THETA,
        BY("tasks.kind=sequences|sinusoid-stream")),
    KEY(CHOICE, tasks.order,           "classes",      0,     0,       "",
        "class-stream: class after class, or for comparison all images shuffled",
        THETA_FROM("classes", "shuffled"),
        BY("tasks.kind=class-stream")),
    KEY(REAL,   tasks.jumps,           "0.05",         0,     1,       "",
        "sinusoid-stream: chance at each point but the first that amplitude and phase are drawn anew", THETA,
        BY("tasks.kind=sinusoid-stream")),
    KEY(CHOICE, tasks.points,          "age",          0,     0,       "",
        "sinusoid-stream: tell test errors apart by the points since the last jump, or by the place in the stream",
        OTHER_FROM("age", "position"),
        BY("tasks.kind=sinusoid-stream")),
    KEY(CHOICE, tasks.labels,          "one-hot",      0,     0,       "",
        "sequences: a class is called by a number, or by a string of five letters a to e",
        THETA_FROM("one-hot", "letters"),
        BY("tasks.kind=sequences")),
    KEY(U32,    tasks.bundle,          "16",           1,     1024,    "sequences or questions",
        "sequences, stories: side by side in one task; dialogues: responses, of training", THETA,
        BY("tasks.kind=sequences|stories|generated-stories|dialogues|sinusoid-stream")),
    KEY(U32,    tasks.shot,            "1",            0,     1000,    "items",
        "support items a class; sinusoid: support points; tables, rows with a y: support rows; stories: support "
        "questions, of the set of the others", THETA,
        BY("tasks.kind=sinusoid|images|glyphs|stories|generated-stories|tables|rows|described-images|class-stream")),
    KEY(U32,    tasks.query,           "1",            1,     1000,    "items",
        "query items a class; sinusoid: query points; tables, rows with a y: query rows", THETA,
        BY("tasks.kind=sinusoid|images|glyphs|tables|rows|described-images|class-stream")),
    KEY(U32,    tasks.way_from,        "0",            0,     64,      "classes",
        "images, glyphs: tasks have from so many classes to tasks.way, each number as often; 0: all have tasks.way",
        THETA,
        BY("tasks.kind=images|glyphs")),
    KEY(U32,    tasks.shot_from,       "0",            0,     1000,    "items",
        "images, glyphs: tasks have from so many support items a class to tasks.shot; a class that has fewer "
        "beside its query items gives those; 0: all have tasks.shot", THETA,
        BY("tasks.kind=images|glyphs")),
    KEY(BOOL,   tasks.unbalanced,      "false",        0,     0,       "",
        "images, glyphs: from tasks.shot_from to tasks.shot is drawn for each class, not for the task", THETA,
        BY("tasks.kind=images|glyphs")),
    KEY(U32,    tasks.features,        "5",            1,     32,      "features",
        "tables: from 1 to so many; those that a table has not are 0", THETA,
        BY("tasks.kind=tables")),
    KEY(U32,    tasks.image_size,      "28",           4,     256,     "pixels",
        "images, glyphs, sequences, class-stream: height and width", THETA,
        BY("tasks.kind=images|glyphs|sequences|described-images|class-stream")),
    KEY(BOOL,   tasks.rotations,       "true",         0,     0,       "",
        "images, sequences: quarter turns that the packed file lists (characters) are classes too", THETA,
        BY("tasks.kind=images|sequences|class-stream")),
    KEY(REAL,   tasks.warp,            "0",            0,     0.5,     "",
        "images, sequences: each training image of the file is turned, sheared, scaled and shifted by up to about this",
        THETA,
        BY("tasks.kind=images|sequences|described-images|class-stream")),
    KEY(REAL,   tasks.bend,            "0",            0,     0.5,     "",
        "images, sequences: each training image of the file is bent: places a quarter of it apart are moved, "
        "each by itself, by up to this share of half its size",
        THETA,
        BY("tasks.kind=images|sequences|described-images|class-stream")),
    KEY(BOOL,   tasks.mirror,          "false",        0,     0,       "",
        "images, sequences: every other training image of the file, at random, is seen in a mirror, left for "
        "right: for photographs, not for writing",
        THETA,
        BY("tasks.kind=images|sequences|described-images|class-stream")),
    KEY(CHOICE, tasks.sampling,        "random",       0,     0,       "",
        "images, sequences: classes of a task from anywhere, or all from one group, as an alphabet, or "
        "from one group in one turn", THETA_FROM("random", "group", "turned-group"),
        BY("tasks.kind=images|sequences|class-stream")),
    KEY(PAIR,   tasks.amplitude,       "0.1, 5",       -1e6,  1e6,     "",
        "sinusoid: amplitude is drawn from here", THETA,
        BY("tasks.kind=sinusoid|sinusoid-stream")),
    KEY(PAIR,   tasks.phase,           "0, 3.141592653589793", -1e6, 1e6, "radians",
        "sinusoid: phase is drawn from here", THETA,
        BY("tasks.kind=sinusoid|sinusoid-stream")),
    KEY(CHOICE, tasks.curve,           "sine",         0,     0,       "",
        "sinusoid: y = amplitude f(x - phase), where f is the sine, x itself (a line) or its sign (a step)",
        THETA_FROM("sine", "line", "step"),
        BY("tasks.kind=sinusoid")),
    KEY(PAIR,   tasks.x_range,         "-5, 5",        -1e6,  1e6,     "",
        "sinusoid: x is drawn from here", THETA,
        BY("tasks.kind=sinusoid|sinusoid-stream")),
    KEY(TEXT,   tasks.stories,         "all",          1,     0,       "",
        "stories: numbers of the sets, as in \"1-3,7\", or all", THETA,
        BY("tasks.kind=stories")),
    KEY(U32,    tasks.sentences,       "50",           1,     1024,    "sentences",
        "stories, dialogues: the memory holds the most recent so many", THETA,
        BY("tasks.kind=stories|generated-stories|dialogues")),
    KEY(REAL,   tasks.noise,           "0.1",          0,     1,       "",
        "stories: at most this share of empty memories is put among those of training", THETA,
        BY("tasks.kind=stories")),
    KEY(REAL,   tasks.held_out,        "0.1",          0.0001, 0.9,    "",
        "stories: the last of each set's training questions, kept for validation", THETA,
        BY("tasks.kind=stories")),
    KEY(U64,    tasks.linear_start,    "0",            0,     1e9,     "meta-steps",
        "stories: train at first without softmax in the attention (linear start)", THETA,
        BY("tasks.kind=stories|generated-stories,model.memory=story")),
    KEY(CHOICE, tasks.world,           "rooms",        0,     0,       "",
        "generated-stories: people in rooms with things, two agents on a 10 x 10 grid, or letters "
        "with a digit each", THETA_FROM("rooms", "grid", "pairs"),
        BY("tasks.kind=generated-stories")),
    KEY(U32,    tasks.shortest,        "0",            0,     1024,    "sentences",
        "grid: training stories have from so many sentences to tasks.sentences; 0: all as many",
        THETA, BY("tasks.kind=generated-stories,tasks.world=grid")),
    KEY(TEXT,   tasks.table,           "",             0,     0,       "",
        "rows: a CSV, TSV, .npy, .npz or .safetensors file below a folder of run.data_path, or several with ',' "
        "between, side by side, as \"x.npy, y.csv\"", OTHER,
        BY("tasks.kind=rows")),
    KEY(CHOICE, tasks.header,          "auto",         0,     0,       "",
        "rows: does a text begin with the names of its columns? auto: if no number is in its first line",
        THETA_FROM("auto", "yes", "no"),
        BY("tasks.kind=rows")),
    KEY(TEXT,   tasks.class_column,    "",             0,     0,       "",
        "rows: few-shot classification of rows: the column of their classes, by name or by number from 1", THETA,
        BY("tasks.kind=rows")),
    KEY(TEXT,   tasks.task_column,     "",             0,     0,       "",
        "rows: regression: rows that are alike in this column are a task, as of a school or a patient", THETA,
        BY("tasks.kind=rows")),
    KEY(TEXT,   tasks.y_column,        "",             0,     0,       "",
        "rows: regression: the number that is asked for", THETA,
        BY("tasks.kind=rows")),
    KEY(TEXT,   tasks.columns,         "",             0,     0,       "",
        "rows: columns that are features, as \"age, sex, 7-22\"; empty: all others", THETA,
        BY("tasks.kind=rows")),
    KEY(TEXT,   tasks.id_column,       "",             0,     0,       "",
        "rows: the id of a row, as its school or patient, which model.memory table is asked by: each word of the training "
        "rows is one, numbered from 1 in alphabetical order; any other, in validation and test, is id 0", THETA,
        BY("tasks.kind=rows")),
    KEY(REAL,   tasks.hidden_ids,      "0",            0,     1,       "",
        "id_column: share of the ids of a training task that become id 0, so that there is something learned for ids "
        "that training has not; 0: none", THETA,
        BY("tasks.kind=rows")),
    KEY(TEXT,   tasks.split_column,    "",             0,     0,       "",
        "rows: a column of the words train, val and test", THETA,
        BY("tasks.kind=rows")),
    KEY(TEXT,   tasks.split_list,      "",             0,     0,       "",
        "rows: a file of lines \"NAME,train\" (val, test) for each class or task", OTHER,
        BY("tasks.kind=rows")),
    KEY(LIST,   tasks.shares,          "70, 15, 15",   0,     100,     "%",
        "rows without these: shares of the classes or tasks for train, val and test, drawn by seed and name", THETA,
        BY("tasks.kind=rows")),
    KEY(CHOICE, tasks.split_by,        "task",         0,     0,       "",
        "rows: what is split: classes or tasks; or the rows of each task (regression): then a test task adapts to its "
        "other rows and is asked for all those of the test split", THETA_FROM("task", "row"),
        BY("tasks.kind=rows")),
    KEY(CHOICE, tasks.missing,         "refuse",       0,     0,       "",
        "rows: features that are missing: refused, or the mean of the training rows (no word, of words)",
        THETA_FROM("refuse", "mean"),
        BY("tasks.kind=rows")),
    KEY(CHOICE, tasks.words,           "refuse",       0,     0,       "",
        "rows: columns of words: refused, or a number for each word of the training rows",
        THETA_FROM("refuse", "one-hot"),
        BY("tasks.kind=rows")),
    KEY(BOOL,   tasks.standardise,     "true",         0,     0,       "",
        "rows: features, and y, less the mean of the training rows, by their deviation", THETA,
        BY("tasks.kind=rows")),
    KEY(BOOL,   tasks.one_scale,       "false",        0,     0,       "",
        "rows: all columns of numbers that are features are divided by one deviation, the root mean square of theirs, as "
        "where they are shares of a whole", THETA,
        BY("tasks.kind=rows,tasks.standardise=true")),
    KEY(BOOL,   tasks.roots,           "false",        0,     0,       "",
        "rows: features, described-images: attributes: their square roots are taken first, as of shares and counts, "
        "whose deviations grow with them", THETA,
        BY("tasks.kind=rows|described-images")),
    KEY(U32,    tasks.dialog,          "1",            1,     6,       "",
        "dialogues: which set of the bAbI dialog tasks", THETA,
        BY("tasks.kind=dialogues")),
    KEY(BOOL,   tasks.oov,             "false",        0,     0,       "",
        "dialogues: test with entities that training has not (tst-OOV) instead of those that it has (tst)",
        THETA, BY("tasks.kind=dialogues")),
    KEY(CHOICE, tasks.time,            "turns",        0,     0,       "",
        "dialogues: when something was said is a word, its turn from the first on, or its age, which a "
        "memory has vectors of its own for", THETA_FROM("turns", "ages"),
        BY("tasks.kind=dialogues")),
    KEY(CHOICE, tasks.vocabulary,      "training",     0,     0,       "",
        "dialogues: words of training have vectors, or also those that are found in candidates alone, where "
        "they are never right", THETA_FROM("training", "candidates"),
        BY("tasks.kind=dialogues")),
    KEY(BOOL,   tasks.match,           "false",        0,     0,       "",
        "dialogues: a candidate tells of which types it holds an entity that the dialogue holds too", THETA,
        BY("tasks.kind=dialogues")),
    KEY(TEXT,   tasks.mix,             "",             0,     0,       "",
        "a mixture: parts \"WEIGHT NAME: KEY=VALUE ...\" with ';' between, each these tasks with some "
        "keys of this section set otherwise, as in \"3 slow: phase=0,1; 1 fast: phase=2,3\"", THETA,
        BY("tasks.kind=sinusoid|images|glyphs|tables|rows")),
    KEY(CHOICE, tasks.mix_by,          "weight",       0,     0,       "",
        "a mixture: a part is drawn as often as its weight says; or as weight times its classes (tasks, of rows "
        "with a y), in each split; or in training as weight times its loss of late, which theta tells",
        THETA_FROM("weight", "size", "difficulty"),
        BY("tasks.kind=sinusoid|images|glyphs|tables|rows")),
    KEY(REAL,   tasks.mix_power,       "1",            0,     4,       "",
        "size, difficulty: to this power; 0: as weight; 0.5: large sets less often than their size says", THETA,
        BY("tasks.mix_by=size|difficulty")),
    KEY(REAL,   tasks.mix_renewal,     "0.1",          0.0001, 1,      "",
        "difficulty: a meta-step moves a set's running loss this share of the way to that of its tasks, times "
        "their share of all tasks", THETA,
        BY("tasks.mix_by=difficulty")),
    KEY(NAME,   tasks.descriptions,    "",             0,     0,       "",
        "described-images: name of a table of the classes' attributes, or of a matrix with classes.txt "
        "beside it; found on run.data_path", OTHER,
        BY("tasks.kind=described-images")),
    KEY(CHOICE, tasks.attributes,      "given",        0,     0,       "",
        "described-images: numbers as they are given; or each attribute less its mean over the described classes, by "
        "its deviation, so that what all classes share says nothing", THETA_FROM("given", "standardised"),
        BY("tasks.kind=described-images")),
    KEY(U32,    tasks.unseen,          "5",            1,     64,      "classes",
        "described-images: so many classes of a task have no support images; as many as tasks.way: none has",
        THETA, BY("tasks.kind=described-images")),
    KEY(BOOL,   tasks.generalised,     "false",        0,     0,       "",
        "described-images: training tasks ask for images of seen classes too, and among all classes",
        THETA, BY("tasks.kind=described-images")),
    KEY(U32,    tasks.class_split,     "0",            0,     1e6,     "",
        "described-images: which random division of the classes into seen and unseen ones, whatever the "
        "seed; 0: the packed file's own", THETA,
        BY("tasks.kind=described-images")),
    KEY(U32,    tasks.val_classes,     "0",            0,     64,      "classes",
        "of such a division: seen classes kept from training, among which validation has its unseen ones",
        THETA, BY("tasks.kind=described-images")),
    KEY(BOOL,   tasks.redraw,          "false",        0,     0,       "",
        "described-images, where nothing is trained: task i has the division class_split + i", THETA,
        BY("tasks.kind=described-images")),

    KEY(CHOICE, model.input,           "mlp",          0,     0,       "",
        "the input module, x -> u", THETA_FROM("mlp", "conv4", "identity", "sentences", "linear"),
        BY("tasks.kind!=external")),
    KEY(CHOICE, model.memory,          "none",         0,     0,       "",
        "the memory module, m = M(u)",
        THETA_FROM("none", "class-means", "support", "table", "lrua", "mean", "story", "sentences",
                   "entities", "key-value", "fast-weights", "context", "transformer",
                   "descriptions", "ridge"),
        BY("tasks.kind!=external")),
    KEY(CHOICE, model.reasoning,       "none",         0,     0,       "",
        "the reasoning module, o = R(u, m)",
        THETA_FROM("none", "concat-linear", "lstm", "feedforward", "concat-mlp", "hops",
                   "query-reduction", "prelu-hops", "read"),
        BY("tasks.kind!=external")),
    KEY(CHOICE, model.output,          "linear",       0,     0,       "",
        "the output module, y = O(o)",
        THETA_FROM("linear", "distance", "match", "gaussian", "words", "compatibility", "candidates"),
        BY("tasks.kind!=external")),
    KEY(U32,    model.slots,           "16",           1,     65536,   "slots",
        "table, lrua, entities: slots of the memory; with tasks.id_column one for each id, id 0 included", THETA,
        BY("model.memory=table|lrua|entities")),
    KEY(U32,    model.slot_size,       "20",           1,     4096,    "numbers",
        "table, lrua: numbers of a slot", THETA,
        BY("model.memory=table|lrua")),
    KEY(U32,    model.context,         "5",            1,     4096,    "numbers",
        "context: numbers that are zero when a task begins, and that no training but the inner loop moves",
        THETA,
        BY("model.memory=context")),
    KEY(U32,    model.units,           "40",           1,     4096,    "units",
        "concat-linear, lstm, feedforward: width of the layer, or of the controller", THETA,
        BY("model.reasoning=concat-linear|lstm|feedforward")),
    KEY(LIST,   model.encoder,         "128, 128, 128", 1,    4096,    "units",
        "mean: widths of the layers that encode a support item, the last one linear", THETA,
        BY("model.memory=mean")),
    KEY(LIST,   model.decoder,         "128, 128",     1,     4096,    "units",
        "concat-mlp: widths of the layers over features and memory", THETA,
        BY("model.reasoning=concat-mlp")),
    KEY(BOOL,   model.full_context,    "false",        0,     0,       "",
        "support: embed an item in the light of the whole support set, by LSTMs (matching networks)",
        THETA,
        BY("model.memory=support")),
    KEY(U32,    model.context_steps,   "5",            1,     64,      "steps",
        "full_context: how often a query item looks at the support set", THETA,
        BY("model.full_context=true")),
    KEY(U32,    model.embedding,       "50",           1,     4096,    "numbers",
        "sentences: numbers of a word's vector", THETA,
        BY("model.input=sentences")),
    KEY(REAL,   model.word_scale,      "0.1",          1e-6,  100,     "",
        "story, candidates: words' vectors begin normal with this standard deviation; sentences: those of "
        "the candidates", THETA,
        BY("model.memory=story or model.output=candidates")),
    KEY(CHOICE, model.encoding,        "position",     0,     0,       "",
        "sentences: a sentence is the sum of its words, or weighted by their positions, as memory "
        "networks were programmed or printed, or by what is learned for each position",
        THETA_FROM("bag", "position", "position-printed", "mask"),
        BY("model.input=sentences")),
    KEY(CHOICE, model.control,         "none",         0,     0,       "",
        "sentences: for comparison, look at the question alone, or at the story alone",
        THETA_FROM("none", "question", "story"),
        BY("model.input=sentences")),
    KEY(U32,    model.hops,            "3",            1,     16,      "hops",
        "hops, prelu-hops: how often the memory is asked", THETA,
        BY("model.reasoning=hops|prelu-hops")),
    KEY(U32,    model.layers,          "2",            1,     16,      "layers",
        "query-reduction: how often the story is read, with the same weights; transformer: layers, each "
        "with its own", THETA,
        BY("model.reasoning=query-reduction or model.memory=transformer")),
    KEY(CHOICE, model.tokens,          "row",          0,     0,       "",
        "transformer: a token is an item (a row of a table), or each of its numbers (a cell)",
        THETA_FROM("row", "cell"),
        BY("model.memory=transformer")),
    KEY(U32,    model.token_size,      "64",           1,     4096,    "numbers",
        "transformer: width of a token", THETA,
        BY("model.memory=transformer")),
    KEY(U32,    model.heads,           "4",            1,     64,      "heads",
        "transformer: attentions side by side, each of an equal part of a token", THETA,
        BY("model.memory=transformer")),
    KEY(U32,    model.mlp_size,        "128",          1,     16384,   "units",
        "transformer: hidden units of a layer", THETA,
        BY("model.memory=transformer")),
    KEY(CHOICE, model.layer_weights,   "shared",       0,     0,       "",
        "query-reduction: all layers have the same weights, or each its own; words are always the same",
        THETA_FROM("shared", "own"),
        BY("model.reasoning=query-reduction")),
    KEY(CHOICE, model.gates,           "scalar",       0,     0,       "",
        "query-reduction: a gate is one number, or as many as a sentence has",
        THETA_FROM("scalar", "vector"),
        BY("model.reasoning=query-reduction")),
    KEY(REAL,   model.gate_lean,       "-2.5",         -20,   20,      "",
        "query-reduction: added to the bias of update gates; below 0 they begin nearly shut", THETA,
        BY("model.reasoning=query-reduction")),
    KEY(REAL,   model.gate_start,      "1",            0,     100,     "",
        "query-reduction: standard deviation of the gates' weights at the start", THETA,
        BY("model.reasoning=query-reduction")),
    KEY(REAL,   model.word_start,      "1",            0,     100,     "",
        "memory sentences: standard deviation of the words' vectors at the start", THETA,
        BY("model.memory=sentences")),
    KEY(BOOL,   model.reset_gates,     "true",         0,     0,       "",
        "query-reduction: a sentence may be kept from the next layer's queries", THETA,
        BY("model.reasoning=query-reduction")),
    KEY(BOOL,   model.bidirectional,   "true",         0,     0,       "",
        "query-reduction: the next layer's queries know of later sentences too", THETA,
        BY("model.reasoning=query-reduction")),
    KEY(CHOICE, model.tying,           "adjacent",     0,     0,       "",
        "story: a hop reads from what the next one matches with, or all hops share two tables, or one that "
        "is the question's too",
        THETA_FROM("adjacent", "layer-wise", "single"),
        BY("model.memory=story")),
    KEY(CHOICE, model.candidates,      "own",          0,     0,       "",
        "candidates: their words have vectors of their own, or those of what the memory gives",
        THETA_FROM("own", "tied"),
        BY("model.output=candidates")),
    KEY(BOOL,   model.linear_attention, "false",       0,     0,       "",
        "story: never a softmax in the attention", THETA,
        BY("model.memory=story")),
    KEY(BOOL,   model.empty_slots,     "true",         0,     0,       "",
        "story: attention may fall on empty slots, which give nothing", THETA,
        BY("model.memory=story")),
    KEY(LIST,   model.hidden,          "40, 40",       1,     4096,    "units",
        "mlp: widths of the hidden layers", THETA,
        BY("model.input=mlp")),
    KEY(U32,    model.width,           "40",           1,     4096,    "units",
        "linear: width of the layer, which has no activation", THETA,
        BY("model.input=linear")),
    KEY(LIST,   model.describer,       "",             1,     4096,    "units",
        "descriptions: widths of the hidden layers over a class's attributes; empty: none", THETA,
        BY("model.memory=descriptions")),
    KEY(REAL,   model.ridge_gamma,     "0.1",          1e-9,  1e9,     "",
        "ridge: of the features, which have variance 1", THETA,
        BY("model.memory=ridge")),
    KEY(REAL,   model.ridge_lambda,    "0.1",          1e-9,  1e9,     "",
        "ridge: of the attributes, which have length 1", THETA,
        BY("model.memory=ridge")),
    KEY(REAL,   model.scale,           "10",           1e-6,  1e6,     "",
        "compatibility: what products are multiplied by before the softmax", THETA,
        BY("model.output=compatibility")),
    KEY(REAL,   model.calibration,     "0",            -1e6,  1e6,     "",
        "what the answers of seen classes are lowered by, where unseen ones stand beside them (calibrated "
        "stacking), in standard deviations of the item's answers among seen classes, so that it means the same "
        "for any number of these", THETA,
        BY("tasks.kind=described-images")),
    KEY(U32,    model.filters,         "64",           1,     1024,    "channels",
        "conv4: channels of each block", THETA,
        BY("model.input=conv4")),
    KEY(U32,    model.blocks,          "4",            1,     8,       "",
        "conv4: blocks of 3x3 convolution, batch norm, ReLU and halving", THETA,
        BY("model.input=conv4")),
    KEY(CHOICE, model.downsampling,    "stride",       0,     0,       "",
        "conv4: how a block halves the image", THETA_FROM("stride", "max-pool"),
        BY("model.input=conv4")),
    KEY(CHOICE, model.readout,         "mean",         0,     0,       "",
        "conv4: what the last layer sees of the last image; blocks: the means of each block's image, side by side",
        THETA_FROM("mean", "flatten", "blocks"),
        BY("model.input=conv4")),
    KEY(CHOICE, model.activation,      "relu",         0,     0,       "",
        "mlp, mean, transformer, descriptions, concat-linear, concat-mlp, feedforward: activation", THETA_FROM("relu", "tanh"),
        BY("model.input=mlp or model.memory=mean|transformer|descriptions or model.reasoning=concat-linear|concat-mlp|feedforward")),
    KEY(U32,    model.read_heads,      "4",            1,     8,       "",
        "lrua: slots that are read and written at a step", THETA,
        BY("model.memory=lrua")),
    KEY(CHOICE, model.sharpness,       "one",          0,     0,       "",
        "lrua: likeness is multiplied by this before the softmax over slots: 1, or learned, at least 1",
        THETA_FROM("one", "learned"),
        BY("model.memory=lrua")),
    KEY(REAL,   model.usage_decay,     "0.99",         0,     1,       "",
        "lrua: what is left of the usage of a slot after a step", THETA,
        BY("model.memory=lrua")),
    KEY(U32,    model.fast_steps,      "1",            1,     16,      "steps",
        "fast-weights: steps of the inner loop, in which a state is drawn to states before it", THETA,
        BY("model.memory=fast-weights")),
    KEY(REAL,   model.fast_decay,      "0.95",         0,     1,       "",
        "fast-weights: what is left of the matrix after a step", THETA,
        BY("model.memory=fast-weights")),
    KEY(REAL,   model.fast_rate,       "0.5",          0,     100,     "",
        "fast-weights: how much of a step's state is written into the matrix", THETA,
        BY("model.memory=fast-weights")),
    KEY(BOOL,   model.batch_norm,      "false",        0,     0,       "",
        "mlp: batch norm after each hidden layer; conv4 always has it", THETA,
        BY("model.input=mlp")),
    KEY(BOOL,   model.residual,        "false",        0,     0,       "",
        "mlp: features are the items themselves and, added to them, a linear map of the last layer (of the items, where "
        "there is none) times a learned vector that begins at 0", THETA,
        BY("model.input=mlp")),
    KEY(BOOL,   model.batch_norm_by_step, "false",     0,     0,       "",
        "batch norm has scales and shifts for each inner step, which the inner loop does not move (MAML++)",
        THETA,
        BY("meta.kind=maml,model.input=conv4 or meta.kind=maml,model.input=mlp,model.batch_norm=true")),
    KEY(REAL,   model.batch_norm_eps,  "0.00001",      1e-12, 1,       "",
        "added to the variance", THETA,
        BY("model.input=conv4 or model.input=mlp,model.batch_norm=true")),
    KEY(CHOICE, model.batch_norm_statistics, "batch",  0,     0,       "",
        "mean and variance: of the batch at hand (transductive), or inductive: in tests running ones "
        "(meta.kind episodic), for query items those of the support set, or each image's own (conv4)",
        THETA_FROM("batch", "running", "support", "item"),
        BY("model.input=conv4 or model.input=mlp,model.batch_norm=true")),
    KEY(REAL,   model.batch_norm_momentum, "0.1",      0,     1,       "",
        "running: the share of it that a meta-step renews", THETA,
        BY("model.batch_norm_statistics=running")),
    KEY(CHOICE, model.init,            "glorot",       0,     0,       "",
        "how weights begin", THETA_FROM("glorot", "he", "truncated-normal", "lecun"),
        BY("tasks.kind!=external")),

    KEY(CHOICE, meta.kind,             "maml",         0,     0,       "",
        "how a task is learned", THETA_FROM("maml", "anil", "meta-sgd", "reptile", "episodic", "imaml", "online"),
        BY("tasks.kind!=external")),
    KEY(CHOICE, meta.adapts,           "all",          0,     0,       "",
        "maml, meta-sgd, imaml, online: the modules whose parameters the inner loop moves; body: all but the output (BOIL)",
        THETA_FROM("all", "output", "body", "memory"),
        BY("meta.kind=maml|meta-sgd|imaml|online")),
    KEY(U32,    meta.order,            "2",            1,     2,       "",
        "2: differentiate through the inner loop; 1: first order (FOMAML)", THETA,
        BY("meta.kind=maml|anil|meta-sgd|online")),
    KEY(U64,    meta.second_order_from, "0",           0,     1e9,     "meta-steps",
        "so many are first order, before the inner loop is differentiated through", THETA,
        BY("meta.kind=maml|anil|meta-sgd,meta.order=2")),
    KEY(U64,    meta.step_losses,      "0",            0,     1e9,     "meta-steps",
        "the query loss after every inner step counts, at first alike, and over so many meta-steps ever "
        "more the last (MAML++); 0: the last alone", THETA,
        BY("meta.kind=maml|anil,meta.order=2")),
    KEY(U32,    meta.inner_steps,      "1",            0,     1000,    "steps",
        "steps of adaptation", THETA,
        BY("meta.kind=maml|anil,meta.step_items=0 or meta.kind=meta-sgd|reptile|imaml")),
    KEY(U32,    meta.step_items,       "0",            0,     1000,    "items",
        "the support set is a stream: an inner step reads so many of its items, the next step the next, and "
        "meta.inner_steps is what it takes to read all; 0: a step reads all items", THETA,
        BY("meta.kind=maml|anil")),
    KEY(REAL,   meta.inner_lr,         "0.01",         0,     100,     "",
        "rate of adaptation, for a loss that is the mean over items", THETA,
        BY("meta.kind=maml|anil|meta-sgd|reptile|imaml|online")),
    KEY(REAL,   meta.lambda,           "2",            1e-6,  1e9,     "",
        "imaml: how strongly the inner loop is held near theta: lambda/2 times the square of its way is "
        "added to its loss", THETA,
        BY("meta.kind=imaml")),
    KEY(U32,    meta.cg_steps,         "5",            0,     1000,    "steps",
        "imaml: conjugate gradients for the meta-gradient, a Hessian-vector product each; 0: first order",
        THETA,
        BY("meta.kind=imaml")),
    KEY(CHOICE, meta.update,           "gradient",     0,     0,       "",
        "maml, anil: a step along the gradient, or one whose rates and momenta, one of each tensor, "
        "are meta-learned, or whose rates are, one of each tensor for each inner step (MAML++), or along "
        "the gradient as meta-learned matrices turn it, one for each mode of a tensor (Meta-Curvature); "
        "meta.inner_lr is where rates begin",
        THETA_FROM("gradient", "learned", "step-rates", "curvature"),
        BY("meta.kind=maml|anil")),
    KEY(U32,    meta.update_units,     "0",            0,     64,      "units",
        "learned: hidden units of a small network that scales each element of a step by its size; 0: "
        "none", THETA,
        BY("meta.update=learned")),
    KEY(CHOICE, meta.head_start,       "learned",      0,     0,       "",
        "maml, anil: the linear output begins each task as meta-learned, or with the prototypes of its "
        "support set (Proto-MAML) or zeros, whatever the number of classes",
        THETA_FROM("learned", "prototypes", "zero"),
        BY("meta.kind=maml|anil")),

    KEY(U64,    outer.steps,           "1000",         0,     1e9,     "meta-steps",
        "length of training", THETA),
    KEY(U32,    outer.batch,           "32",           1,     32768,   "tasks",
        "tasks of one meta-step", THETA),
    KEY(CHOICE, outer.optimiser,       "adam",         0,     0,       "",
        "outer optimiser", THETA_FROM("sgd", "adam", "adamw", "adagrad")),
    KEY(REAL,   outer.lr,              "0.001",        0,     100,     "",
        "outer learning rate", THETA),
    KEY(REAL,   outer.momentum,        "0",            0,     0.999999, "",
        "sgd: momentum", THETA,
        BY("outer.optimiser=sgd")),
    KEY(REAL,   outer.beta1,           "0.9",          0,     0.999999, "",
        "adam, adamw: decay of the mean", THETA,
        BY("outer.optimiser=adam|adamw")),
    KEY(REAL,   outer.beta2,           "0.999",        0,     0.999999, "",
        "adam, adamw: decay of the mean square", THETA,
        BY("outer.optimiser=adam|adamw")),
    KEY(REAL,   outer.eps,             "0.00000001",   1e-16, 1,       "",
        "adam, adamw, adagrad: added to the root of the squares", THETA,
        BY("outer.optimiser=adam|adamw|adagrad")),
    KEY(REAL,   outer.accumulator,     "0.1",          0,     1e9,     "",
        "adagrad: what each sum of squared gradients begins with", THETA,
        BY("outer.optimiser=adagrad")),
    KEY(REAL,   outer.weight_decay,    "0",            0,     10,      "",
        "adamw: decoupled; others: added to the gradient, as half of it times the squares of theta "
        "in the loss would be", THETA),
    KEY(CHOICE, outer.decays,          "all",          0,     0,       "",
        "outer.weight_decay is of all tensors, or only of those of two dimensions and more, not of "
        "biases", THETA_FROM("all", "weights")),
    KEY(REAL,   outer.clip_norm,       "0",            0,     1e9,     "",
        "longest meta-gradient (2-norm); 0: no limit", THETA),
    KEY(REAL,   outer.clip_value,      "0",            0,     1e9,     "",
        "largest element of the meta-gradient; 0: no limit", THETA),
    KEY(CHOICE, outer.schedule,        "constant",     0,     0,       "",
        "how the rate goes over the meta-steps", THETA_FROM("constant", "cosine", "step")),
    KEY(U64,    outer.warmup,          "0",            0,     1e9,     "meta-steps",
        "the rate grows to its schedule in equal steps at first; 0: it is there at once", THETA),
    KEY(REAL,   outer.lr_min,          "0",            0,     100,     "",
        "cosine: rate at the last meta-step", THETA,
        BY("outer.schedule=cosine")),
    KEY(U64,    outer.lr_step_every,   "1000",         1,     1e9,     "meta-steps",
        "step: how often outer.lr_factor is applied", THETA,
        BY("outer.schedule=step")),
    KEY(REAL,   outer.lr_factor,       "0.5",          0,     10,      "",
        "step: factor of the rate", THETA,
        BY("outer.schedule=step")),
    KEY(REAL,   outer.average,         "0",            0,     0.999999, "",
        "decay of a running average of theta; if not 0, it is what is validated, tested and asked "
        "(Polyak averaging)", THETA),
    KEY(CHOICE, outer.nonfinite,       "skip",         0,     0,       "",
        "a task whose loss or gradient is not finite", THETA_FROM("skip", "abort")),
    KEY(U64,    outer.max_skipped_steps, "10",         0,     1e9,     "meta-steps",
        "so many in a row with all tasks skipped end the run; 0: it goes on", OTHER),

    KEY(U32,    evaluate.tasks,        "600",          1,     32768,   "tasks",
        "test tasks", OTHER),
    KEY(CHOICE, evaluate.split,        "test",         0,     0,       "",
        "classes, or stories, that test tasks are drawn from: of val or train where the test is not to "
        "be looked at yet", OTHER_FROM("train", "val", "test"),
        BY("tasks.kind!=external")),
    KEY(TEXT,   evaluate.episodes,     "",             0,     0,       "",
        "images: a file that lists the items of each test task, as mnemo evaluate --write-episodes "
        "writes it; empty: they are drawn", OTHER, BY("tasks.kind=images")),
    KEY(LIST,   evaluate.inner_steps,  "",             0,     100000,  "steps",
        "measure after these steps of adaptation; empty: after meta.inner_steps, or a whole stream", OTHER,
        BY("meta.kind=maml|anil|meta-sgd|reptile|imaml")),
    KEY(U32,    evaluate.way,          "0",            0,     1024,    "classes",
        "as tasks.way, for validation and test; 0: the same", OTHER,
        BY("tasks.kind=images|glyphs|rows|described-images|class-stream")),
    KEY(U32,    evaluate.shot,         "0",            0,     1000,    "items",
        "as tasks.shot, for validation and test; 0: the same", OTHER,
        BY("tasks.kind=sinusoid|images|glyphs|tables|rows|described-images|class-stream")),
    KEY(U32,    evaluate.query,        "0",            0,     1000,    "items",
        "as tasks.query, for validation and test; 0: the same", OTHER,
        BY("tasks.kind=sinusoid|images|glyphs|tables|rows|described-images|class-stream")),
    KEY(U32,    evaluate.way_from,     "0",            0,     64,      "classes",
        "as tasks.way_from, for validation and test; 0: the same, or where evaluate.way is given all have that", OTHER,
        BY("tasks.kind=images|glyphs")),
    KEY(U32,    evaluate.shot_from,    "0",            0,     1000,    "items",
        "as tasks.shot_from, for validation and test; 0: the same, or where evaluate.shot is given all have that",
        OTHER,
        BY("tasks.kind=images|glyphs")),
    KEY(U32,    evaluate.length,       "0",            0,     1000,    "items",
        "as tasks.length, for validation and test; 0: the same", OTHER,
        BY("tasks.kind=sequences|sinusoid-stream")),
    KEY(U32,    evaluate.unseen,       "0",            0,     64,      "classes",
        "as tasks.unseen, for validation and test; 0: the same", OTHER,
        BY("tasks.kind=described-images")),
    KEY(U32,    evaluate.every,        "0",            0,     1e9,     "meta-steps",
        "how often to validate; 0: never", OTHER),
    KEY(U32,    evaluate.val_tasks,    "200",          1,     32768,   "tasks",
        "validation tasks", OTHER),
    KEY(BOOL,   evaluate.shared_classes, "false",      0,     0,       "",
        "test classes may be training classes: that is warned of, and does not end the run", OTHER,
        BY("tasks.kind=images|sequences")),
    KEY(BOOL,   evaluate.keep_best,    "false",        0,     0,       "",
        "test with the parameters that were best on validation", OTHER),
    KEY(CHOICE, evaluate.choose,       "score",        0,     0,       "",
        "what says which parameters are best on validation: the score that is judged by, that is accuracy or "
        "else loss or squared error; or the loss", THETA_FROM("score", "loss")),
    KEY(U32,    evaluate.patience,     "0",            0,     1e9,     "validations",
        "so many in a row that are no better than the best before end the training; 0: none does", OTHER),

    KEY(I32,    pool.threads,          "-1",           -1,    1024,    "threads",
        "local worker threads of a rank; -1: as many as its cores", OTHER),
    KEY(U32,    pool.activation_mib,   "16",           0,     1048576, "MiB",
        "a thread keeps activations of inner steps up to this, and computes the others twice", OTHER,
        BY("tasks.kind!=external")),
    KEY(TEXT,   pool.listen,           "tcp://127.0.0.1:*", 0, 0,      "",
        "where remote workers may come: tcp://ADDRESS:PORT (an interface or a name will do), "
        "ipc://PATH; empty: nowhere", OTHER),
    KEY(TEXT,   pool.keys,             "",             0,     0,       "",
        "folder of `mnemo keys new`: encrypt, and take only workers of its workers.allow", OTHER),
    KEY(BOOL,   pool.insecure,         "false",        0,     0,       "",
        "listen beyond this machine without keys", OTHER),
    KEY(U32,    pool.heartbeat_ms,     "1000",         10,    600000,  "milliseconds",
        "how often a worker shows that it lives", OTHER),
    KEY(U32,    pool.silence_ms,       "5000",         20,    3600000, "milliseconds",
        "a worker not heard of for so long is gone", OTHER),
    KEY(U32,    pool.lease_floor_ms,   "2000",         1,     3600000, "milliseconds",
        "no lease runs out before", OTHER),
    KEY(U32,    pool.io_threads,       "1",            1,     64,      "threads",
        "of a rank, which carry and encrypt what goes to workers and comes from them; more than one pays with keys, for "
        "large networks or many hundreds of workers", OTHER),
    KEY(TEXT,   pool.numeric_class,    "",             0,     0,       "",
        "external: the class that workers must have, 64 hexadecimal digits as `python3 -m mnemo_worker check` prints "
        "them; empty: that of the first who joins, which is for one rank", OTHER,
        BY("tasks.kind=external")),
    KEY(BOOL,   pool.any_numeric_class, "false",       0,     0,       "",
        "accept workers whose arithmetic gives other bits", OTHER),

    KEY(TEXT,   run.data_path,         "data:../shared/data", 0, 0,    "",
        "folders to look for data files in, ':' between; default: MNEMO_DATA if set", OTHER),
    KEY(U32,    run.checkpoint_every,  "500",          1,     1e9,     "meta-steps",
        "how often a checkpoint is written", OTHER),
    KEY(U32,    run.keep,              "3",            1,     1000,    "checkpoints",
        "how many are kept", OTHER),
    KEY(U32,    run.log_every,         "10",           1,     86400,   "seconds",
        "time between log lines when there is no terminal", OTHER),
    KEY(BOOL,   run.pictures,          "true",         0,     0,       "",
        "draw the learning curve and an adapted task", OTHER),
    KEY(TEXT,   run.page,              "127.0.0.1:0",  1,     0,       "",
        "where the run shows itself to browsers and Prometheus, ADDRESS:PORT, port 0 for any free one; beyond this "
        "machine only who gives a token sees it; none: no page", OTHER),
    KEY(TEXT,   run.page_token,        "",             0,     0,       "",
        "file whose first line is the token that the page asks for; empty: one is made up if the page is open to "
        "other machines", OTHER),
    KEY(TEXT,   run.prometheus_textfile, "",           0,     0,       "",
        "file for the textfile collector of Prometheus' node_exporter, NAME.prom, written every 10 seconds; empty: "
        "none", OTHER),
    KEY(TEXT,   run.tensorboard,       "false",        1,     0,       "",
        "event files for TensorBoard: numbers of metrics.jsonl and of the test, pictures at the end; true: in the run's folder; "
        "false: none; else a folder for those of all runs", OTHER),
};
_Static_assert(N_ROWS <= MN_MAX_OPTIONS, "more options than lists by option hold");
/* clang-format on */

/* The rows, and behind them those of kinds from outside: written by mn_experiment_add_kind() alone. */
static mn_option rows[MN_MAX_OPTIONS];
static mn_option_table table = {own_rows, N_ROWS};
static struct outside {
    const char *key, *choice, *from;
} outside[MN_MAX_OUTSIDE];
static size_t n_outside, n_outside_values;

/* What a file gets that says which tasks it wants and leaves the rest to us: the settings of Finn,
 * Abbeel, Levine 2017 (arXiv:1703.03400) for sinusoids, and for 5-way images. */
static const struct suit {
    const char *when; /* as a row's readers */
    const char *key, *text;
} suits[] = {
    {"tasks.kind=sinusoid", "tasks.shot", "10"},
    {"tasks.kind=sinusoid", "tasks.query", "10"},
    {"tasks.kind=sinusoid", "meta.inner_steps", "5"},
    {"tasks.kind=sinusoid", "outer.batch", "25"},
    {"tasks.kind=images|glyphs", "model.input", "conv4"},
    {"tasks.kind=images|glyphs", "meta.inner_lr", "0.4"},
    {"tasks.kind=images|glyphs", "evaluate.inner_steps", "0, 1, 3"},
    {"tasks.kind=stories|generated-stories", "tasks.shot", "0"},
    {"tasks.kind=stories|generated-stories", "tasks.bundle", "32"},
    {"tasks.kind=stories|generated-stories", "model.input", "sentences"},
    {"tasks.kind=stories|generated-stories", "model.memory", "story"},
    {"tasks.kind=stories|generated-stories", "model.reasoning", "hops"},
    {"tasks.kind=stories|generated-stories", "model.output", "words"},
    {"tasks.kind=stories|generated-stories", "meta.kind", "episodic"},
    {"tasks.kind=stories|generated-stories", "outer.batch", "2"},
    {"tasks.kind=stories", "tasks.data", "en"},
    {"tasks.kind=stories", "evaluate.tasks", "32768"},
    {"tasks.kind=generated-stories", "tasks.sentences", "12"},
    {"tasks.kind=dialogues", "tasks.data", "dialog-babi"}, /* Bordes, Boureau, Weston 2016 */
    {"tasks.kind=dialogues", "tasks.bundle", "32"},
    {"tasks.kind=dialogues", "tasks.sentences", "100"},
    {"tasks.kind=dialogues", "model.input", "sentences"},
    {"tasks.kind=dialogues", "model.memory", "story"},
    {"tasks.kind=dialogues", "model.reasoning", "hops"},
    {"tasks.kind=dialogues", "model.output", "candidates"},
    {"tasks.kind=dialogues", "model.encoding", "bag"},
    {"tasks.kind=dialogues", "meta.kind", "episodic"},
    {"tasks.kind=dialogues", "outer.batch", "1"},
    {"tasks.kind=dialogues", "evaluate.tasks", "1117"},
    {"tasks.kind=tables", "tasks.shot", "64"},
    {"tasks.kind=tables", "tasks.query", "64"},
    {"tasks.kind=tables", "model.input", "identity"},
    {"tasks.kind=tables", "model.memory", "transformer"},
    {"tasks.kind=tables", "model.reasoning", "read"},
    {"tasks.kind=tables", "model.tokens", "cell"},
    {"tasks.kind=tables", "meta.kind", "episodic"},
    {"tasks.kind=described-images", "tasks.query", "10"},
    {"tasks.kind=described-images", "model.input", "conv4"},
    {"tasks.kind=described-images", "model.memory", "descriptions"},
    {"tasks.kind=described-images", "model.output", "compatibility"},
    {"tasks.kind=described-images", "meta.kind", "episodic"},
    {"model.reasoning=query-reduction", "model.memory", "sentences"}, /* Seo et al. 2017 */
    {"model.reasoning=query-reduction", "model.encoding", "position-printed"},
    {"model.reasoning=query-reduction", "model.init", "lecun"},
    {"model.memory=entities", "model.reasoning", "prelu-hops"}, /* Henaff et al. 2017 */
    {"model.memory=entities", "model.encoding", "mask"},
    {"model.memory=entities", "model.slots", "20"},
    {"model.memory=entities", "model.embedding", "100"},
    {"model.memory=fast-weights", "model.reasoning", "prelu-hops"},
    {"model.memory=fast-weights", "model.encoding", "bag"},
    {"model.reasoning=prelu-hops", "model.hops", "1"},
    {"model.memory=lrua", "model.slots", "128"},
    {"model.memory=lrua", "model.slot_size", "40"},
    {"model.reasoning=lstm|feedforward", "model.units", "200"},
    {"tasks.kind=class-stream", "tasks.shot", "5"}, /* Javed and White 2019 */
    {"tasks.kind=class-stream", "tasks.query", "5"},
    {"tasks.kind=class-stream", "model.input", "conv4"},
    {"tasks.kind=class-stream", "model.batch_norm_statistics", "item"},
    {"tasks.kind=class-stream", "meta.kind", "anil"},
    {"tasks.kind=class-stream", "meta.head_start", "zero"},
    {"tasks.kind=class-stream", "meta.step_items", "1"},
    {"tasks.kind=class-stream", "outer.batch", "4"},
    {"tasks.kind=sinusoid-stream", "tasks.bundle", "1"},
    {"tasks.kind=sinusoid-stream", "meta.kind", "online"},
    {"tasks.kind=sinusoid-stream", "outer.batch", "25"},
    {"tasks.kind=sequences", "tasks.image_size", "20"}, /* Santoro et al. 2016 */
    {"tasks.kind=sequences", "model.input", "identity"},
    {"tasks.kind=sequences", "model.memory", "lrua"},
    {"tasks.kind=sequences", "model.reasoning", "lstm"},
    {"tasks.kind=sequences", "meta.kind", "episodic"},
    {"tasks.kind=sequences", "outer.batch", "2"},
    {"tasks.kind=external", "pool.threads", "0"}, /* this program cannot compute such tasks */
};

static mn_status parse(mn_experiment *experiment, const char *source, const char *text, size_t n,
                       bool strict, bool *named, mn_error *err);
static void apply_suits(mn_experiment *experiment, const size_t lines[MN_MAX_OPTIONS]);
static mn_status find_outside(const mn_experiment *experiment, bool same_digest, mn_error *err);
static mn_status tell_of_plugins(mn_status status, mn_error *err);
static mn_status check_read(const mn_experiment *experiment, const char *source,
                            const size_t lines[MN_MAX_OPTIONS], mn_error *err);
static size_t row_of(const char *key);
static void name_after(const char *path, char name[64]);

void mn_experiment_init(mn_experiment *experiment)
{
    memset(experiment, 0, sizeof *experiment);
    mn_options_default(&table, experiment);
    const char *data = getenv("MNEMO_DATA");
    if (data != NULL && data[0] != '\0') /* an unusable one is told by mn_experiment_check */
        (void)mn_option_set(&table.rows[row_of("run.data_path")], data, experiment, NULL);
}

static mn_status read_file(mn_experiment *experiment, const char *path, bool strict, mn_error *err)
{
    char *text = NULL;
    size_t n = 0;
    bool named = false;
    mn_status status = mn_file_read(path, MN_YAML_MAX_BYTES, &text, &n, err);
    if (status != MN_OK)
        return status;
    status = parse(experiment, path, text, n, strict, &named, err);
    free(text);
    if (status == MN_OK && !named)
        name_after(path, experiment->name);
    return status;
}

mn_status mn_experiment_read(mn_experiment *experiment, const char *path, mn_error *err)
{
    return read_file(experiment, path, true, err);
}

mn_status mn_experiment_reread(mn_experiment *experiment, const char *path, mn_error *err)
{
    return read_file(experiment, path, false, err);
}

mn_status mn_experiment_glance(mn_experiment *experiment, const char *path, bool *whole,
                               mn_error *err)
{
    char *text = NULL;
    size_t n = 0;
    mn_status status = mn_file_read(path, MN_YAML_MAX_BYTES, &text, &n, err);
    if (status != MN_OK)
        return status;
    mn_experiment copy = *experiment;
    status = mn_yaml_glance(&table, path, text, n, &copy, whole, err);
    free(text);
    if (status == MN_OK)
        *experiment = copy;
    return status;
}

mn_status mn_experiment_parse(mn_experiment *experiment, const char *source, const char *text,
                              size_t n, mn_error *err)
{
    bool named = false;
    return parse(experiment, source, text, n, false, &named, err);
}

mn_status mn_experiment_set(mn_experiment *experiment, const char *assignment, mn_error *err)
{
    mn_status status = mn_options_assign(&table, assignment, experiment, err);
    if (status == MN_OK) {
        char key[128];
        (void)snprintf(key, sizeof key, "%.*s", (int)strcspn(assignment, "="), assignment);
        experiment->overridden[row_of(key)] = true;
    }
    return status == MN_OK ? MN_OK : tell_of_plugins(status, err);
}

const mn_option_table *mn_experiment_options(void)
{
    return &table;
}

mn_status mn_experiment_print(const mn_experiment *experiment, bool with_help, char **text,
                              mn_error *err)
{
    char *printed = NULL;
    size_t n = 0;
    FILE *out = open_memstream(&printed, &n);
    if (out == NULL)
        return mn_fail(err, MN_ERR_NOMEM, "no memory to print the experiment");
    mn_experiment told = *experiment;
    mn_experiment_outside(experiment, told.plugins);
    mn_options_print(&table, &told, with_help, out);
    bool failed = ferror(out) != 0;
    if (fclose(out) != 0 || failed) {
        free(printed);
        return mn_fail(err, MN_ERR_NOMEM, "no memory to print the experiment");
    }
    *text = printed;
    return MN_OK;
}

void mn_experiment_help(FILE *out)
{
    (void)mn_options_help(&table, NULL, out);
    (void)fputs("\nA file that gives tasks.kind and leaves out these keys gets\n", out);
    for (size_t i = 0; i < sizeof suits / sizeof *suits; i++)
        (void)fprintf(out, "  %s: %s %s\n", suits[i].when, suits[i].key, suits[i].text);
}

mn_status mn_experiment_help_on(const char *topic, FILE *out, mn_error *err)
{
    if (mn_options_help(&table, topic, out) > 0)
        return MN_OK;
    return strchr(topic, '=') == NULL
               ? mn_options_unknown(&table, topic, err)
               : mn_fail(err, MN_ERR_CONFIG,
                         "no key belongs to %.100s; `mnemo help %.*s` tells what may be chosen",
                         topic, (int)strcspn(topic, "="), topic);
}

/* Into a copy, so that nothing is half set. */
static mn_status parse(mn_experiment *experiment, const char *source, const char *text, size_t n,
                       bool strict, bool *named, mn_error *err)
{
    mn_experiment copy = *experiment;
    size_t lines[MN_MAX_OPTIONS];
    mn_status status = mn_yaml_read(&table, source, text, n, &copy, lines, err);
    mn_error why;
    /* Without the plug-in its kinds and keys are unknown, which is what the reader says: say why. */
    const mn_status outside_status = find_outside(&copy, strict, &why);
    if (outside_status != MN_OK)
        return mn_fail(err, outside_status, "%s: %s", source, why.message);
    if (status != MN_OK)
        return tell_of_plugins(status, err);
    if (lines[row_of("tasks.kind")] != 0)
        apply_suits(&copy, lines);
    if (strict)
        status = check_read(&copy, source, lines, err);
    if (status != MN_OK)
        return status;
    *named = lines[row_of("name")] != 0;
    *experiment = copy;
    return MN_OK;
}

static mn_status check_read(const mn_experiment *experiment, const char *source,
                            const size_t lines[MN_MAX_OPTIONS], mn_error *err)
{
    for (size_t i = 0; i < table.n; i++) {
        bool given[MN_MAX_OPTIONS] = {false};
        mn_error why;
        given[i] = lines[i] != 0;
        mn_status status = mn_options_check_read(&table, given, experiment, &why);
        if (status != MN_OK)
            return mn_fail(err, status, "%s:%zu: %s", source, lines[i], why.message);
    }
    return MN_OK;
}

static void apply_suits(mn_experiment *experiment, const size_t lines[MN_MAX_OPTIONS])
{
    for (size_t i = 0; i < sizeof suits / sizeof *suits; i++) {
        size_t row = row_of(suits[i].key);
        const mn_option when = {.readers = suits[i].when};
        if (lines[row] != 0 || !mn_option_is_read(&table, &when, experiment))
            continue;
        mn_status status = mn_option_set(&table.rows[row], suits[i].text, experiment, NULL);
        assert(status == MN_OK);
        (void)status;
    }
}

static size_t row_of(const char *key)
{
    const mn_option *option = mn_options_find(&table, key);
    assert(option != NULL);
    return (size_t)(option - table.rows);
}

/* "dir/Weird name.yaml" -> "Weird-name": whatever a name may not hold becomes '-', or 'x' at its
 * beginning. */
static void name_after(const char *path, char name[64])
{
    const char *slash = strrchr(path, '/');
    const char *base = slash == NULL ? path : slash + 1;
    const char *dot = strrchr(base, '.');
    base += strspn(base, "._-");
    size_t n = dot != NULL && dot > base ? (size_t)(dot - base) : strlen(base);
    if (n == 0)
        return;
    if (n > 63)
        n = 63;
    for (size_t i = 0; i < n; i++) {
        char c = base[i];
        bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
        name[i] = '-';
        if (letter || c == '.' || c == '_')
            name[i] = c;
    }
    name[n] = '\0';
    if (name[0] == '-')
        name[0] = 'x';
}

/* Kinds from outside --------------------------------------------------------------- */

/* For good: what is added here lasts as long as the process. */
static const char *kept(const char *text)
{
    return text == NULL ? NULL : strdup(text);
}

static mn_status no_room(const char *what, mn_error *err)
{
    return mn_fail(err, MN_ERR_CONFIG, "plug-ins bring more %s than there is room for", what);
}

/* The options are read by this kind as well. */
static mn_status add_reader(mn_option *row, const mn_outside_kind *kind, mn_error *err)
{
    char *readers = NULL;
    if (row->readers == NULL || row->readers[0] == '\0')
        return MN_OK;
    if (asprintf(&readers, "%s or %s=%s", row->readers, kind->key, kind->choice) < 0)
        return mn_fail(err, MN_ERR_NOMEM, "options of a plug-in");
    const size_t i = (size_t)(row - rows);
    if (i >= N_ROWS || row->readers != own_rows[i].readers) /* that of a kind before */
        free((void *)(uintptr_t)row->readers);
    row->readers = readers;
    return MN_OK;
}

static mn_status add_choice(mn_option *row, const char *choice, unsigned *value, mn_error *err)
{
    size_t n = 0;
    while (row->choices[n] != NULL)
        n++;
    const char **choices = calloc(n + 2, sizeof *choices);
    if (choices == NULL)
        return mn_fail(err, MN_ERR_NOMEM, "options of a plug-in");
    memcpy(choices, row->choices, n * sizeof *choices);
    choices[n] = kept(choice);
    if (row->choices != own_rows[row - rows].choices)
        free((void *)(uintptr_t)row->choices);
    row->choices = choices;
    *value = (unsigned)n;
    return choices[n] == NULL ? mn_fail(err, MN_ERR_NOMEM, "options of a plug-in") : MN_OK;
}

static mn_status add_row(const mn_outside_kind *kind, const mn_option *from, mn_error *err)
{
    mn_option *row = &rows[table.n];
    char *readers = NULL;
    if (table.n == MN_MAX_OPTIONS || n_outside_values == MN_MAX_OUTSIDE)
        return no_room("options", err);
    if (asprintf(&readers, "%s=%s", kind->key, kind->choice) < 0)
        return mn_fail(err, MN_ERR_NOMEM, "options of a plug-in");
    *row = *from;
    row->key = kept(from->key);
    row->fallback = kept(from->fallback);
    row->unit = kept(from->unit);
    row->help = kept(from->help);
    row->offset = offsetof(mn_experiment, outside) +
                  n_outside_values * sizeof((mn_experiment *)0)->outside[0];
    row->size = sizeof((mn_experiment *)0)->outside[0];
    row->decides = true;
    row->readers = readers;
    if (row->key == NULL || row->fallback == NULL || row->unit == NULL || row->help == NULL)
        return mn_fail(err, MN_ERR_NOMEM, "options of a plug-in");
    mn_experiment probe;
    mn_status status = mn_option_set(row, row->fallback, &probe, err);
    if (status == MN_OK) {
        n_outside_values++;
        table.n++;
    }
    return status;
}

static mn_status check_kind(const mn_outside_kind *kind, mn_error *err)
{
    const size_t n = strlen(kind->choice);
    const mn_option *key = mn_options_find(&table, kind->key);
    assert(key != NULL && key->choices != NULL);
    for (size_t i = 0; key->choices[i] != NULL; i++)
        if (strcmp(key->choices[i], kind->choice) == 0)
            return mn_fail(
                err, MN_ERR_CONFIG,
                "%s %s is there already: another plug-in, or mnemo itself, has a kind of "
                "this name",
                kind->key, kind->choice);
    for (size_t i = 0; i < table.n && kind->n_rows > 0; i++)
        if (mn_option_section(table.rows[i].key) == n &&
            memcmp(table.rows[i].key, kind->choice, n) == 0)
            return mn_fail(err, MN_ERR_CONFIG,
                           "%s %s: experiments have a section \"%s\" already, so that its options "
                           "have no place: give the kind another name",
                           kind->key, kind->choice, kind->choice);
    for (size_t i = 0; kind->reads != NULL && kind->reads[i] != NULL; i++)
        if (mn_options_find(&table, kind->reads[i]) == NULL)
            return mn_fail(
                err, MN_ERR_CONFIG,
                "%s %s reads the key %.64s, which there is not; `mnemo help options` lists "
                "all",
                kind->key, kind->choice, kind->reads[i]);
    return n_outside == MN_MAX_OUTSIDE ? no_room("kinds", err) : MN_OK;
}

mn_status mn_experiment_add_kind(const mn_outside_kind *kind, unsigned *value, mn_error *err)
{
    mn_status status = check_kind(kind, err);
    if (status != MN_OK)
        return status;
    if (table.rows != rows) { /* the first one */
        memcpy(rows, own_rows, sizeof own_rows);
        table.rows = rows;
    }
    status = add_choice(&rows[row_of(kind->key)], kind->choice, value, err);
    for (size_t i = 0; kind->reads != NULL && kind->reads[i] != NULL && status == MN_OK; i++)
        status = add_reader(&rows[row_of(kind->reads[i])], kind, err);
    if (status == MN_OK)
        status = add_reader(&rows[row_of("plugins")], kind, err);
    for (size_t i = 0; i < kind->n_rows && status == MN_OK; i++)
        status = add_row(kind, &kind->rows[i], err);
    if (status != MN_OK)
        return status;
    struct outside *added = &outside[n_outside];
    *added = (struct outside){kept(kind->key), kept(kind->choice), kept(kind->from)};
    if (added->key == NULL || added->choice == NULL || added->from == NULL)
        return mn_fail(err, MN_ERR_NOMEM, "options of a plug-in");
    n_outside++;
    return MN_OK;
}

void mn_experiment_outside(const mn_experiment *experiment, char out[512])
{
    char value[MN_OPTION_LONGEST];
    size_t at = 0;
    out[0] = '\0';
    for (size_t i = 0; i < n_outside; i++) {
        const mn_option *row = &table.rows[row_of(outside[i].key)];
        mn_option_text(row, experiment, value);
        if (strcmp(value, outside[i].choice) == 0 && strstr(out, outside[i].from) == NULL &&
            at < 512)
            at += (size_t)snprintf(out + at, 512 - at, "%s%s", at > 0 ? ", " : "", outside[i].from);
    }
}

/* Who is here of this name of n bytes; NULL: nobody. */
static const char *here(const char *name, size_t n)
{
    for (size_t i = 0; i < n_outside; i++)
        if (strncmp(outside[i].from, name, n) == 0 && outside[i].from[n] == '@')
            return outside[i].from;
    return NULL;
}

static mn_status find_outside(const mn_experiment *experiment, bool same_digest, mn_error *err)
{
    for (const char *at = experiment->plugins; *at != '\0';) {
        const int length = (int)strcspn(at, ", "), n = (int)strcspn(at, "@, ");
        const char *own = here(at, (size_t)n);
        const char *digest = at[n] == '@' ? at + n + 1 : "";
        const int n_digest = length > n ? length - n - 1 : 0;
        if (own == NULL)
            return mn_fail(err, MN_ERR_CONFIG,
                           "the plug-in %.*s (SHA-256 %.*s) is needed, which is not here: name its "
                           "file with --plugin FILE, or in the environment's MNEMO_PLUGINS",
                           n, at, n_digest, digest);
        if (same_digest && n_digest > 0 &&
            (strlen(own + n + 1) != (size_t)n_digest ||
             memcmp(own + n + 1, digest, (size_t)n_digest) != 0))
            return mn_fail(
                err, MN_ERR_CONFIG,
                "the plug-in %.*s of SHA-256 %.*s is needed, but the one here has %s: it may "
                "give other bits; bring the same file, byte by byte",
                n, at, n_digest, digest, own + n + 1);
        at += length;
        at += strspn(at, ", ");
    }
    return MN_OK;
}

/* A kind that is none may be one of a plug-in that somebody forgot: the message of an unknown choice of
 * such a key says so, too. */
static mn_status tell_of_plugins(mn_status status, mn_error *err)
{
    static const char *const keys[] = {"tasks.kind: \"",   "model.input: \"",
                                       "model.memory: \"", "model.reasoning: \"",
                                       "model.output: \"", "meta.kind: \""};
    if (err == NULL || strstr(err->message, " is not one of ") == NULL ||
        strstr(err->message, "; did you mean ") != NULL)
        return status;
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++)
        if (strstr(err->message, keys[i]) != NULL) {
            const mn_error before = *err;
            return mn_fail(err, status,
                           "%s; a plug-in's kinds are there with --plugin FILE, or MNEMO_PLUGINS",
                           before.message);
        }
    return status;
}

mn_status mn_experiment_check_outside(const mn_experiment *experiment, mn_error *err)
{
    return find_outside(experiment, true, err);
}

double mn_experiment_number(const mn_experiment *experiment, const char *key)
{
    const mn_option *row = mn_options_find(&table, key);
    const char *field = row == NULL ? NULL : (const char *)experiment + row->offset;
    switch (row == NULL ? MN_OPTION_TEXT : row->type) {
    case MN_OPTION_BOOL:
        return *(const bool *)field ? 1 : 0;
    case MN_OPTION_U32:
        return *(const uint32_t *)(const void *)field;
    case MN_OPTION_I32:
        return *(const int32_t *)(const void *)field;
    case MN_OPTION_U64:
        return (double)*(const uint64_t *)(const void *)field;
    case MN_OPTION_REAL:
        return *(const double *)(const void *)field;
    case MN_OPTION_CHOICE:
        return *(const unsigned *)(const void *)field;
    case MN_OPTION_PAIR:
    case MN_OPTION_LIST:
    case MN_OPTION_TEXT:
    case MN_OPTION_NAME:
        break;
    }
    return NAN;
}
