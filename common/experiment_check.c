/* Rules that concern more than one key of an experiment: mn_experiment_check. */
#include "common/experiment.h"

#include "common/digest.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define MAX_TASK_NUMBERS (64u << 20) /* float32 pixels of one task: 256 MiB */
#define MAX_KEYS 512u /* read_heads * slot_size; the engine keeps them on the stack */

typedef mn_status rule(const mn_experiment *e, mn_error *err);
static rule check_mix, check_stories, check_images, check_sequences, check_sinusoid, check_rows,
    check_streams, check_steps, check_model, check_memory, check_statistics, check_meta,
    check_outer, check_evaluate, check_pool, check_environment, check_descriptions, check_external;

mn_status mn_experiment_check(const mn_experiment *experiment, mn_error *err)
{
    static rule *const rules[] = {
        check_external,  check_descriptions, check_mix,  check_stories, check_images,
        check_sequences, check_sinusoid,     check_rows, check_streams, check_model,
        check_memory,    check_statistics,   check_meta, check_outer,   check_evaluate,
        check_pool,      check_environment};
    mn_status status =
        mn_options_check_read(mn_experiment_options(), experiment->overridden, experiment, err);
    for (size_t i = 0; i < sizeof rules / sizeof *rules && status == MN_OK; i++)
        status = rules[i](experiment, err);
    return status;
}

static mn_status check_mix(const mn_experiment *e, mn_error *err)
{
    if (e->tasks.mix_by == MN_MIX_BY_WEIGHT || e->tasks.mix[0] != '\0')
        return MN_OK;
    return mn_fail(err, MN_ERR_CONFIG,
                   "tasks.mix_by says how often the parts of a mixture are drawn, but tasks.mix is "
                   "empty: give it parts, as in \"1 slow: phase=0,1; 1 fast: phase=2,3\", or set "
                   "tasks.mix_by to weight");
}

static mn_status check_external(const mn_experiment *e, mn_error *err)
{
    if (e->tasks.kind != MN_TASKS_EXTERNAL)
        return MN_OK;
    if (e->tasks.learner[0] == '\0')
        return mn_fail(err, MN_ERR_CONFIG,
                       "tasks.kind external needs tasks.learner, the file that says what theta is "
                       "made of: `python3 -m mnemo_worker card my_learner.py:MyLearner -o "
                       "my_learner.safetensors` writes it");
    mn_digest class;
    if (e->pool.numeric_class[0] != '\0' && !mn_digest_read(e->pool.numeric_class, &class))
        return mn_fail(err, MN_ERR_CONFIG,
                       "pool.numeric_class is \"%s\": expected the 64 hexadecimal digits that "
                       "`python3 -m mnemo_worker check my_learner.py:MyLearner` prints",
                       e->pool.numeric_class);
    if (e->pool.threads != 0)
        return mn_fail(err, MN_ERR_CONFIG,
                       "tasks.kind external is computed by workers of your own, not by threads of "
                       "this program: set pool.threads to 0 (it is %d), and start them with "
                       "`python3 -m mnemo_worker my_learner.py:MyLearner RUN/endpoint`",
                       (int)e->pool.threads);
    return MN_OK;
}

/* Which classes there are is the task set's matter. */
static mn_status check_descriptions(const mn_experiment *e, mn_error *err)
{
    const bool described = e->tasks.kind == MN_TASKS_DESCRIBED_IMAGES;
    const bool of_classes =
        e->model.memory == MN_MEMORY_DESCRIPTIONS || e->model.memory == MN_MEMORY_RIDGE;
    if (!described && of_classes)
        return mn_fail(err, MN_ERR_CONFIG,
                       "model.memory descriptions and ridge read what classes are like, which "
                       "tasks.kind described-images alone tells: use that, or another memory");
    if (!described)
        return MN_OK;
    if (e->tasks.data[0] == '\0' || e->tasks.descriptions[0] == '\0')
        return mn_fail(err, MN_ERR_CONFIG,
                       "tasks.kind described-images needs tasks.data, the name of a packed file, "
                       "and tasks.descriptions, that of a table of its classes, as in "
                       "\"animals.csv\"");
    if (e->tasks.unseen > e->tasks.way)
        return mn_fail(err, MN_ERR_CONFIG,
                       "tasks.unseen is %u, but a task has tasks.way %u classes: expected at most "
                       "as many",
                       (unsigned)e->tasks.unseen, (unsigned)e->tasks.way);
    if (e->tasks.unseen == 1 && !e->tasks.generalised)
        return mn_fail(err, MN_ERR_CONFIG,
                       "tasks.unseen is 1, so that there is one answer alone: expected at least 2, "
                       "or tasks.generalised true");
    if (e->model.memory == MN_MEMORY_RIDGE && e->tasks.unseen == e->tasks.way)
        return mn_fail(err, MN_ERR_CONFIG,
                       "model.memory ridge learns from images of seen classes, but of tasks.way %u "
                       "classes tasks.unseen %u are none: expected fewer",
                       (unsigned)e->tasks.way, (unsigned)e->tasks.unseen);
    return MN_OK;
}

/* Dialogues are stories too: what was said before is the story, the last that was said the question. */
static bool has_stories(const mn_experiment *e)
{
    return e->tasks.kind == MN_TASKS_STORIES || e->tasks.kind == MN_TASKS_GENERATED_STORIES ||
           e->tasks.kind == MN_TASKS_DIALOGUES;
}

static mn_status check_stories(const mn_experiment *e, mn_error *err)
{
    if (!has_stories(e))
        return e->tasks.shot > 0 ? MN_OK
                                 : mn_fail(err, MN_ERR_CONFIG,
                                           "tasks.shot is 0, but only stories may do without a "
                                           "support set: expected at least 1");
    if (e->tasks.kind == MN_TASKS_STORIES && e->tasks.data[0] == '\0')
        return mn_fail(err, MN_ERR_CONFIG,
                       "tasks.kind stories needs tasks.data, the name of a folder with "
                       "qaN_..._train.txt and qaN_..._test.txt, as in \"en\"");
    if (e->tasks.kind == MN_TASKS_DIALOGUES && e->tasks.data[0] == '\0')
        return mn_fail(err, MN_ERR_CONFIG,
                       "tasks.kind dialogues needs tasks.data, the name of a folder with "
                       "dialog-babi-task1-...-trn.txt and the like, as in \"dialog-babi\"");
    if (e->tasks.kind == MN_TASKS_GENERATED_STORIES && e->tasks.world == MN_WORLD_GRID &&
        e->tasks.sentences < 5)
        return mn_fail(err, MN_ERR_CONFIG,
                       "tasks.sentences is %u, but tasks.world grid needs 4 sentences to say where "
                       "the agents begin: expected at least 5",
                       (unsigned)e->tasks.sentences);
    if (e->tasks.kind == MN_TASKS_GENERATED_STORIES && e->tasks.world == MN_WORLD_PAIRS &&
        (e->tasks.sentences % 2 != 0 || e->tasks.sentences < 4 || e->tasks.sentences > 52))
        return mn_fail(err, MN_ERR_CONFIG,
                       "tasks.sentences is %u, but tasks.world pairs tells pairs of a letter and a "
                       "digit, one after the other: expected an even number from 4 to 52",
                       (unsigned)e->tasks.sentences);
    if (e->tasks.kind == MN_TASKS_GENERATED_STORIES && e->tasks.shortest > 0 &&
        (e->tasks.shortest < 5 || e->tasks.shortest > e->tasks.sentences))
        return mn_fail(err, MN_ERR_CONFIG,
                       "tasks.shortest is %u: expected 0, or from 5 (four sentences say where the "
                       "agents begin) to tasks.sentences, which is %u",
                       (unsigned)e->tasks.shortest, (unsigned)e->tasks.sentences);
    if (e->meta.kind != MN_META_EPISODIC && e->tasks.shot == 0)
        return mn_fail(err, MN_ERR_CONFIG,
                       "this meta.kind adapts to support questions, but tasks.shot is 0: set it, "
                       "as in 8, or meta.kind episodic");
    return MN_OK;
}

static mn_status check_range(const char *from_key, uint32_t from, uint32_t least, const char *key,
                             uint32_t most, mn_error *err)
{
    if (from == 0 || (from >= least && from <= most))
        return MN_OK;
    return mn_fail(err, MN_ERR_CONFIG,
                   "%s is %u, but tasks have from so many up to %s, which is %u: expected 0, or %u "
                   "to %u",
                   from_key, (unsigned)from, key, (unsigned)most, (unsigned)least, (unsigned)most);
}

static mn_status check_ranges(const mn_experiment *e, mn_error *err)
{
    const bool way = e->evaluate.way != 0, shot = e->evaluate.shot != 0;
    mn_status status =
        check_range("tasks.way_from", e->tasks.way_from, 2, "tasks.way", e->tasks.way, err);
    if (status == MN_OK)
        status =
            check_range("tasks.shot_from", e->tasks.shot_from, 1, "tasks.shot", e->tasks.shot, err);
    if (status == MN_OK)
        status = check_range("evaluate.way_from", e->evaluate.way_from, 2,
                             way ? "evaluate.way" : "tasks.way",
                             way ? e->evaluate.way : e->tasks.way, err);
    if (status == MN_OK)
        status = check_range("evaluate.shot_from", e->evaluate.shot_from, 1,
                             shot ? "evaluate.shot" : "tasks.shot",
                             shot ? e->evaluate.shot : e->tasks.shot, err);
    if (status == MN_OK && e->tasks.unbalanced && e->tasks.shot_from == 0 &&
        e->evaluate.shot_from == 0)
        return mn_fail(
            err, MN_ERR_CONFIG,
            "tasks.unbalanced lets each class have its own number of support items, from "
            "tasks.shot_from to tasks.shot: set tasks.shot_from, as in 1");
    return status;
}

static mn_status check_images(const mn_experiment *e, mn_error *err)
{
    if (e->tasks.kind != MN_TASKS_IMAGES && e->tasks.kind != MN_TASKS_GLYPHS)
        return MN_OK;
    if (e->tasks.kind == MN_TASKS_IMAGES && e->tasks.data[0] == '\0')
        return mn_fail(err, MN_ERR_CONFIG,
                       "tasks.kind images needs tasks.data, the name of a packed file, as in "
                       "\"omniglot28.mnd\"");
    if (e->tasks.kind == MN_TASKS_IMAGES && e->run.data_path[0] == '\0')
        return mn_fail(err, MN_ERR_CONFIG,
                       "tasks.kind images needs run.data_path, the folders to look for %s in",
                       e->tasks.data);
    if (e->tasks.way < 2)
        return mn_fail(err, MN_ERR_CONFIG,
                       "tasks.way is %u, but telling classes apart needs at least 2",
                       (unsigned)e->tasks.way);
    mn_status ranges = check_ranges(e, err);
    if (ranges != MN_OK)
        return ranges;
    uint64_t shot = e->evaluate.shot > e->tasks.shot ? e->evaluate.shot : e->tasks.shot;
    uint64_t query = e->evaluate.query > e->tasks.query ? e->evaluate.query : e->tasks.query;
    uint64_t numbers =
        e->tasks.way * (shot + query) * e->tasks.image_size * (uint64_t)e->tasks.image_size;
    if (numbers > MAX_TASK_NUMBERS)
        return mn_fail(
            err, MN_ERR_CONFIG,
            "a task of %llu pixels is too large (at most %u): lower tasks.way, tasks.shot, "
            "tasks.query, evaluate.shot, evaluate.query or tasks.image_size",
            (unsigned long long)numbers, MAX_TASK_NUMBERS);
    return MN_OK;
}

static mn_status check_sequences(const mn_experiment *e, mn_error *err)
{
    const uint32_t longest =
        e->evaluate.length > e->tasks.length ? e->evaluate.length : e->tasks.length;
    const uint64_t numbers =
        (uint64_t)longest * e->tasks.bundle * e->tasks.image_size * (uint64_t)e->tasks.image_size;
    if (e->tasks.kind != MN_TASKS_SEQUENCES)
        return MN_OK;
    if (e->tasks.data[0] != '\0' && e->run.data_path[0] == '\0')
        return mn_fail(err, MN_ERR_CONFIG,
                       "tasks.kind sequences needs run.data_path, the folders to look for %s in",
                       e->tasks.data);
    if (e->tasks.way < 2)
        return mn_fail(err, MN_ERR_CONFIG,
                       "tasks.way is %u, but telling classes apart needs at least 2",
                       (unsigned)e->tasks.way);
    if (e->tasks.labels == MN_LABELS_LETTERS && e->model.output != MN_OUTPUT_LINEAR)
        return mn_fail(err, MN_ERR_CONFIG,
                       "tasks.labels letters is answered letter by letter, as model.output linear "
                       "alone does: use that, or tasks.labels one-hot");
    if (e->tasks.length % e->tasks.way != 0)
        return mn_fail(err, MN_ERR_CONFIG,
                       "tasks.length %u is not a multiple of tasks.way %u: a sequence shows each "
                       "class equally often, as in %u",
                       (unsigned)e->tasks.length, (unsigned)e->tasks.way,
                       (unsigned)(10 * e->tasks.way));
    if (e->evaluate.length % e->tasks.way != 0)
        return mn_fail(
            err, MN_ERR_CONFIG,
            "evaluate.length %u is not a multiple of tasks.way %u: a sequence shows each "
            "class equally often, as in %u; 0: as tasks.length",
            (unsigned)e->evaluate.length, (unsigned)e->tasks.way, (unsigned)(10 * e->tasks.way));
    if (numbers > MAX_TASK_NUMBERS)
        return mn_fail(err, MN_ERR_CONFIG,
                       "a task of %llu pixels is too large (at most %u): lower tasks.length, "
                       "evaluate.length, tasks.bundle or tasks.image_size",
                       (unsigned long long)numbers, MAX_TASK_NUMBERS);
    return MN_OK;
}

static mn_status check_sinusoid(const mn_experiment *e, mn_error *err)
{
    const struct {
        const char *key;
        const double *pair;
    } pairs[] = {{"tasks.amplitude", e->tasks.amplitude},
                 {"tasks.phase", e->tasks.phase},
                 {"tasks.x_range", e->tasks.x_range}};
    if (e->tasks.kind != MN_TASKS_SINUSOID && e->tasks.kind != MN_TASKS_SINUSOID_STREAM)
        return MN_OK;
    for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++)
        if (pairs[i].pair[0] > pairs[i].pair[1])
            return mn_fail(err, MN_ERR_CONFIG, "%s is [%g, %g]: expected the lower number first",
                           pairs[i].key, pairs[i].pair[0], pairs[i].pair[1]);
    return MN_OK;
}

static mn_status check_rows(const mn_experiment *e, mn_error *err)
{
    const bool classes = e->tasks.class_column[0] != '\0', values = e->tasks.task_column[0] != '\0';
    const mn_uint_list *shares = &e->tasks.shares;
    if (e->tasks.kind != MN_TASKS_ROWS)
        return MN_OK;
    if (e->tasks.table[0] == '\0' || e->run.data_path[0] == '\0')
        return mn_fail(err, MN_ERR_CONFIG,
                       "tasks.kind rows needs tasks.table, a file as \"flowers.csv\", and "
                       "run.data_path (or MNEMO_DATA), the folders that it lies below");
    if (classes == values || values != (e->tasks.y_column[0] != '\0'))
        return mn_fail(
            err, MN_ERR_CONFIG,
            "tasks.kind rows needs either tasks.class_column, for few-shot "
            "classification, or both tasks.task_column and tasks.y_column, for regression");
    if (classes && e->tasks.way < 2)
        return mn_fail(err, MN_ERR_CONFIG,
                       "tasks.way is %u, but telling classes apart needs at least 2",
                       (unsigned)e->tasks.way);
    if (e->tasks.hidden_ids > 0 && e->tasks.id_column[0] == '\0')
        return mn_fail(err, MN_ERR_CONFIG,
                       "tasks.hidden_ids hides ids, but there are none: name their column "
                       "(tasks.id_column), or leave it 0");
    if (e->tasks.split_column[0] != '\0' && e->tasks.split_list[0] != '\0')
        return mn_fail(err, MN_ERR_CONFIG,
                       "tasks.split_column and tasks.split_list both say what is for training: "
                       "expected one of them, or none");
    if (shares->n != 3 || shares->at[0] + shares->at[1] + shares->at[2] != 100 ||
        shares->at[0] == 0)
        return mn_fail(err, MN_ERR_CONFIG,
                       "tasks.shares: expected three whole numbers that make 100, for train, val "
                       "and test, as [70, 15, 15]");
    if (e->tasks.split_by == MN_SPLIT_BY_ROW && (classes || e->tasks.split_list[0] != '\0'))
        return mn_fail(err, MN_ERR_CONFIG,
                       "tasks.split_by row is of regression (tasks.task_column), by "
                       "tasks.split_column or tasks.shares");
    return MN_OK;
}

static mn_status check_streams(const mn_experiment *e, mn_error *err)
{
    if (e->tasks.kind == MN_TASKS_CLASS_STREAM && e->tasks.data[0] != '\0' &&
        e->run.data_path[0] == '\0')
        return mn_fail(err, MN_ERR_CONFIG,
                       "tasks.kind class-stream needs run.data_path, the folders to look for %s in",
                       e->tasks.data);
    if (e->tasks.kind == MN_TASKS_SINUSOID_STREAM && e->meta.kind != MN_META_ONLINE &&
        e->meta.kind != MN_META_EPISODIC)
        return mn_fail(err, MN_ERR_CONFIG,
                       "tasks.kind sinusoid-stream is one sequence without a support set: use "
                       "meta.kind online, which adapts as it goes, or episodic with a memory that "
                       "does (model.reasoning lstm)");
    return MN_OK;
}

static mn_status check_model(const mn_experiment *e, mn_error *err)
{
    if (e->model.memory == MN_MEMORY_MEAN && e->model.encoder.n == 0)
        return mn_fail(err, MN_ERR_CONFIG,
                       "model.encoder is empty, but model.memory mean needs at least one layer");
    if (has_stories(e) != (e->model.input == MN_INPUT_SENTENCES))
        return mn_fail(err, MN_ERR_CONFIG,
                       "model.input sentences reads stories, and nothing else does: it goes with "
                       "tasks.kind stories, generated-stories or dialogues, and only with these");
    if ((e->tasks.kind == MN_TASKS_DIALOGUES) != (e->model.output == MN_OUTPUT_CANDIDATES))
        return mn_fail(err, MN_ERR_CONFIG,
                       "model.output candidates chooses one of the sentences that tasks.kind "
                       "dialogues lists, and nothing else does: these go together");
    if (e->model.output == MN_OUTPUT_CANDIDATES)
        return MN_OK;
    if (e->model.input == MN_INPUT_SENTENCES)
        return e->model.output == MN_OUTPUT_WORDS || e->model.output == MN_OUTPUT_LINEAR
                   ? MN_OK
                   : mn_fail(err, MN_ERR_CONFIG,
                             "model.input sentences goes with model.output words or linear");
    if (e->model.input == MN_INPUT_IDENTITY)
        return MN_OK;
    if (e->model.input == MN_INPUT_MLP) {
        if (e->model.hidden.n == 0)
            return mn_fail(err, MN_ERR_CONFIG,
                           "model.hidden is empty, but model.input mlp needs at least one layer");
        return MN_OK;
    }
    if (e->model.input != MN_INPUT_CONV4)
        return MN_OK;
    if (e->tasks.kind == MN_TASKS_SINUSOID || e->tasks.kind == MN_TASKS_TABLES ||
        e->tasks.kind == MN_TASKS_ROWS || e->tasks.kind == MN_TASKS_SINUSOID_STREAM)
        return mn_fail(err, MN_ERR_CONFIG,
                       "model.input conv4 reads images, but tasks.kind is %s: use model.input "
                       "mlp, or tasks.kind images or glyphs",
                       e->tasks.kind == MN_TASKS_SINUSOID ? "sinusoid"
                       : e->tasks.kind == MN_TASKS_ROWS   ? "rows"
                       : e->tasks.kind == MN_TASKS_TABLES ? "tables"
                                                          : "sinusoid-stream");
    /* A stride of 2 rounds up and so never ends below one pixel; pooling rounds down. */
    if (e->model.downsampling == MN_DOWN_MAX_POOL && e->tasks.image_size >> e->model.blocks == 0)
        return mn_fail(err, MN_ERR_CONFIG,
                       "model.downsampling max-pool leaves nothing of tasks.image_size %u after "
                       "model.blocks %u: use fewer blocks, a larger image or stride",
                       (unsigned)e->tasks.image_size, (unsigned)e->model.blocks);
    return MN_OK;
}

static mn_status check_context(const mn_experiment *e, mn_error *err)
{
    if (e->model.reasoning != MN_REASONING_CONCAT_LINEAR &&
        e->model.reasoning != MN_REASONING_CONCAT_MLP)
        return mn_fail(err, MN_ERR_CONFIG,
                       "model.memory context is put beside the features, which model.reasoning "
                       "concat-linear and concat-mlp alone do: use one of these (with model.input "
                       "identity they are the network's first layer)");
    if (e->meta.kind == MN_META_EPISODIC || e->meta.kind == MN_META_ANIL ||
        ((e->meta.kind == MN_META_MAML || e->meta.kind == MN_META_META_SGD ||
          e->meta.kind == MN_META_IMAML) &&
         e->meta.adapts == MN_ADAPTS_OUTPUT))
        return mn_fail(err, MN_ERR_CONFIG,
                       "model.memory context is moved by an inner loop alone, and this one would "
                       "leave it at zero: use meta.kind maml with meta.adapts memory, or another "
                       "rule that moves it");
    return MN_OK;
}

static mn_status check_transformer(const mn_experiment *e, mn_error *err)
{
    if (e->model.token_size % e->model.heads != 0)
        return mn_fail(err, MN_ERR_CONFIG,
                       "model.heads %u do not divide model.token_size %u into equal parts: "
                       "expected a token_size as %u",
                       (unsigned)e->model.heads, (unsigned)e->model.token_size,
                       (unsigned)(e->model.heads * (e->model.token_size / e->model.heads + 1)));
    if (has_stories(e) || e->tasks.kind == MN_TASKS_SEQUENCES)
        return mn_fail(err, MN_ERR_CONFIG,
                       "model.memory transformer attends to the items of a support set, which "
                       "sequences and stories do not have: use another tasks.kind or model.memory");
    if (e->model.reasoning == MN_REASONING_NONE)
        return mn_fail(
            err, MN_ERR_CONFIG,
            "model.memory transformer is asked by model.reasoning, but that is none: use "
            "read or concat-mlp");
    return MN_OK;
}

static mn_status check_memory(const mn_experiment *e, mn_error *err)
{
    if (e->model.memory == MN_MEMORY_CLASS_MEANS && has_stories(e))
        return mn_fail(err, MN_ERR_CONFIG,
                       "model.memory class-means is of support items of every class, but of the "
                       "words of stories only some are answers there: use model.memory story or "
                       "another that reads stories");
    const bool steps =
        e->model.reasoning == MN_REASONING_LSTM || e->model.reasoning == MN_REASONING_FEEDFORWARD;
    if (steps && e->model.memory != MN_MEMORY_LRUA && e->model.memory != MN_MEMORY_NONE)
        return mn_fail(err, MN_ERR_CONFIG,
                       "model.reasoning lstm and feedforward ask with model.units numbers, which "
                       "model.memory lrua alone takes: use that, model.memory none or another "
                       "model.reasoning");
    if (e->model.reasoning == MN_REASONING_READ && e->model.memory == MN_MEMORY_NONE)
        return mn_fail(err, MN_ERR_CONFIG,
                       "model.reasoning read is what the memory gives, but model.memory is none: "
                       "choose one, as transformer");
    if (e->model.memory == MN_MEMORY_TRANSFORMER)
        return check_transformer(e, err);
    if (e->model.memory == MN_MEMORY_CONTEXT)
        return check_context(e, err);
    if (e->model.memory != MN_MEMORY_LRUA)
        return MN_OK;
    if (e->model.reasoning == MN_REASONING_NONE)
        return mn_fail(err, MN_ERR_CONFIG,
                       "model.memory lrua is asked step by step, but model.reasoning none asks "
                       "nothing: use model.reasoning lstm or feedforward");
    if (e->model.read_heads > e->model.slots)
        return mn_fail(err, MN_ERR_CONFIG,
                       "model.read_heads %u write to as many slots at a step, but model.slots is "
                       "%u",
                       (unsigned)e->model.read_heads, (unsigned)e->model.slots);
    if (e->model.read_heads * e->model.slot_size > MAX_KEYS)
        return mn_fail(
            err, MN_ERR_CONFIG,
            "model.read_heads %u times model.slot_size %u is too large: expected at most "
            "%u",
            (unsigned)e->model.read_heads, (unsigned)e->model.slot_size, MAX_KEYS);
    return MN_OK;
}

static mn_status check_statistics(const mn_experiment *e, mn_error *err)
{
    const bool has_norm =
        e->model.input == MN_INPUT_CONV4 || (e->model.input == MN_INPUT_MLP && e->model.batch_norm);
    if (has_norm && e->model.batch_norm_statistics == MN_STATISTICS_RUNNING &&
        e->meta.kind != MN_META_EPISODIC)
        return mn_fail(err, MN_ERR_CONFIG,
                       "model.batch_norm_statistics running goes with meta.kind episodic alone: an "
                       "inner loop would move what they are statistics of; for an inductive score "
                       "use support or item");
    if (has_norm && e->model.batch_norm_statistics == MN_STATISTICS_ITEM &&
        e->model.input != MN_INPUT_CONV4)
        return mn_fail(err, MN_ERR_CONFIG,
                       "model.batch_norm_statistics item goes over the pixels of an image, which "
                       "model.input conv4 alone has: use support or batch");
    if (has_norm && e->model.batch_norm_by_step && e->meta.kind == MN_META_MAML &&
        (e->meta.inner_steps == 0 || e->meta.update == MN_UPDATE_LEARNED ||
         e->meta.update == MN_UPDATE_CURVATURE || e->meta.head_start == MN_HEAD_PROTOTYPES ||
         e->model.memory != MN_MEMORY_NONE ||
         (e->meta.adapts != MN_ADAPTS_ALL && e->meta.adapts != MN_ADAPTS_BODY)))
        return mn_fail(err, MN_ERR_CONFIG,
                       "model.batch_norm_by_step is of a body that inner steps move: it needs "
                       "meta.inner_steps of at least 1, meta.adapts all or body, meta.update "
                       "gradient or step-rates, meta.head_start learned and model.memory none");
    return MN_OK;
}

static mn_status check_meta(const mn_experiment *e, mn_error *err)
{
    if (e->meta.kind != MN_META_MAML && e->meta.kind != MN_META_ANIL)
        return MN_OK;
    if (e->meta.update == MN_UPDATE_LEARNED && e->meta.order == 1)
        return mn_fail(err, MN_ERR_CONFIG,
                       "meta.update learned is learned by differentiating through the inner loop: "
                       "it needs meta.order 2");
    if (e->meta.update == MN_UPDATE_STEP_RATES && (e->meta.order == 1 || e->meta.inner_steps == 0))
        return mn_fail(err, MN_ERR_CONFIG,
                       "meta.update step-rates learns the rates of inner steps on the way back "
                       "through them: it needs meta.order 2 (with meta.second_order_from, first "
                       "order at first) and meta.inner_steps of at least 1");
    if (e->meta.update == MN_UPDATE_CURVATURE &&
        (e->meta.order == 1 || e->meta.head_start != MN_HEAD_LEARNED))
        return mn_fail(err, MN_ERR_CONFIG,
                       "meta.update curvature learns matrices for the tensors of theta by "
                       "differentiating through the inner loop: it needs meta.order 2 and "
                       "meta.head_start learned");
    if (e->meta.head_start == MN_HEAD_LEARNED)
        return check_steps(e, err);
    const char *start = e->meta.head_start == MN_HEAD_ZERO ? "zero" : "prototypes";
    if (e->model.output != MN_OUTPUT_LINEAR || e->model.memory != MN_MEMORY_NONE ||
        e->model.reasoning != MN_REASONING_NONE)
        return mn_fail(err, MN_ERR_CONFIG,
                       "meta.head_start %s is of a linear output over features: it needs "
                       "model.output linear, model.memory none and model.reasoning none",
                       start);
    if (e->meta.kind == MN_META_MAML && e->meta.adapts != MN_ADAPTS_ALL &&
        e->meta.adapts != MN_ADAPTS_OUTPUT)
        return mn_fail(err, MN_ERR_CONFIG,
                       "meta.head_start %s gives the inner loop a head to move: it needs "
                       "meta.adapts all or output",
                       start);
    return check_steps(e, err);
}

/* What a step that reads only some of the support set cannot go with: all that looks at other items
 * than its own, and what there is of each of a fixed number of steps. */
static mn_status check_steps(const mn_experiment *e, mn_error *err)
{
    const bool has_norm =
        e->model.input == MN_INPUT_CONV4 || (e->model.input == MN_INPUT_MLP && e->model.batch_norm);
    if (e->meta.step_items == 0)
        return MN_OK;
    if (has_norm && e->model.batch_norm_statistics != MN_STATISTICS_ITEM)
        return mn_fail(
            err, MN_ERR_CONFIG,
            "meta.step_items reads the support set as a stream, but batch norm would mix "
            "items that have come with others: use model.batch_norm_statistics item "
            "(model.input conv4), or no batch norm");
    if (e->meta.head_start == MN_HEAD_PROTOTYPES)
        return mn_fail(err, MN_ERR_CONFIG,
                       "meta.step_items reads the support set as a stream, but meta.head_start "
                       "prototypes looks at all of it before the first step: use zero");
    if (e->model.memory != MN_MEMORY_NONE && e->model.memory != MN_MEMORY_TABLE &&
        e->model.memory != MN_MEMORY_CONTEXT)
        return mn_fail(err, MN_ERR_CONFIG,
                       "meta.step_items reads the support set as a stream, but this model.memory "
                       "holds all of it: use none, table or context");
    if (e->meta.update == MN_UPDATE_STEP_RATES ||
        (e->meta.kind == MN_META_MAML && e->model.batch_norm_by_step))
        return mn_fail(err, MN_ERR_CONFIG,
                       "meta.step_items: streams of training and test have other numbers of steps, "
                       "so nothing can be learned for each step: leave out meta.update step-rates "
                       "and model.batch_norm_by_step");
    return MN_OK;
}

static mn_status check_outer(const mn_experiment *e, mn_error *err)
{
    if (e->meta.kind == MN_META_REPTILE && e->meta.inner_steps == 0)
        return mn_fail(err, MN_ERR_CONFIG,
                       "meta.kind reptile learns from its inner steps: meta.inner_steps must be at "
                       "least 1");
    if (e->outer.schedule == MN_LR_COSINE && e->outer.lr_min > e->outer.lr)
        return mn_fail(err, MN_ERR_CONFIG,
                       "outer.lr_min %g is above outer.lr %g, but outer.schedule cosine goes down",
                       e->outer.lr_min, e->outer.lr);
    if (e->outer.schedule == MN_LR_COSINE && e->outer.steps == 0)
        return mn_fail(err, MN_ERR_CONFIG, "outer.schedule cosine needs outer.steps of at least 1");
    return MN_OK;
}

static mn_status check_evaluate(const mn_experiment *e, mn_error *err)
{
    const mn_uint_list *list = &e->evaluate.inner_steps;
    for (uint32_t i = 1; i < list->n; i++)
        if (list->at[i] <= list->at[i - 1])
            return mn_fail(
                err, MN_ERR_CONFIG,
                "evaluate.inner_steps has %u after %u: expected each to be larger than the "
                "one before",
                (unsigned)list->at[i], (unsigned)list->at[i - 1]);
    if (e->evaluate.episodes[0] != '\0' && e->evaluate.split != MN_TEST)
        return mn_fail(err, MN_ERR_CONFIG,
                       "evaluate.episodes lists the test tasks, so evaluate.split (--split) cannot "
                       "ask for others");
    if (e->evaluate.episodes[0] != '\0' && e->tasks.runs[0] != '\0')
        return mn_fail(
            err, MN_ERR_CONFIG,
            "evaluate.episodes and tasks.runs both give the test tasks: leave one out (a "
            "list of runs is read with tasks.runs empty and their file as tasks.data)");
    if (e->evaluate.keep_best && e->evaluate.every == 0)
        return mn_fail(err, MN_ERR_CONFIG,
                       "evaluate.keep_best needs validation: set evaluate.every, as in 1000");
    if (e->evaluate.choose != MN_CHOOSE_SCORE && e->evaluate.every == 0)
        return mn_fail(err, MN_ERR_CONFIG,
                       "evaluate.choose needs validation: set evaluate.every, as in 1000");
    if (e->evaluate.patience > 0 && e->evaluate.every == 0)
        return mn_fail(err, MN_ERR_CONFIG,
                       "evaluate.patience needs validation: set evaluate.every, as in 1000");
    return MN_OK;
}

/* As far as text can tell. */
static bool is_page_address(const char *page)
{
    const char *colon = strrchr(page, ':');
    if (strcmp(page, "none") == 0)
        return true;
    if (colon == NULL || colon == page || strspn(colon + 1, "0123456789") != strlen(colon + 1) ||
        strlen(colon + 1) == 0 || strlen(colon + 1) > 5 || strtoul(colon + 1, NULL, 10) > 65535)
        return false;
    return memchr(page, ':', (size_t)(colon - page)) == NULL ||
           (page[0] == '[' && colon[-1] == ']');
}

/* What may have been meant as true or false. */
static bool is_word(const char *text)
{
    static const char *const words[] = {"yes", "no", "on", "off", "none", "0", "1"};
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (strcasecmp(text, words[i]) == 0)
            return true;
    return strcasecmp(text, "true") == 0
               ? strcmp(text, "true") != 0
               : strcasecmp(text, "false") == 0 && strcmp(text, "false") != 0;
}

static mn_status check_pool(const mn_experiment *e, mn_error *err)
{
    const char *listen = e->pool.listen;
    if (listen[0] != '\0' && strncmp(listen, "tcp://", 6) != 0 && strncmp(listen, "ipc://", 6) != 0)
        return mn_fail(
            err, MN_ERR_CONFIG,
            "pool.listen is \"%s\": expected tcp://ADDRESS:PORT, with * for any free port, "
            "or ipc://FILE",
            listen);
    if (!is_page_address(e->run.page))
        return mn_fail(
            err, MN_ERR_CONFIG,
            "run.page is \"%s\": expected ADDRESS:PORT with a numeric address and a port "
            "up to 65535, 0 for any free one, as in 127.0.0.1:0 or [::1]:8080; or none",
            e->run.page);
    if (is_word(e->run.tensorboard))
        return mn_fail(err, MN_ERR_CONFIG,
                       "run.tensorboard is \"%s\": expected true, false, or a folder (./%s)",
                       e->run.tensorboard, e->run.tensorboard);
    if (e->pool.threads == 0 && listen[0] == '\0')
        return mn_fail(err, MN_ERR_CONFIG,
                       "nobody would compute: pool.threads is 0 and pool.listen is empty");
    if (e->pool.silence_ms < 2 * e->pool.heartbeat_ms)
        return mn_fail(
            err, MN_ERR_CONFIG,
            "pool.silence_ms %u is too short: expected at least two of pool.heartbeat_ms %u",
            (unsigned)e->pool.silence_ms, (unsigned)e->pool.heartbeat_ms);
    return MN_OK;
}

/* MNEMO_DATA that could not become the default of run.data_path, where it would have been used. */
static mn_status check_environment(const mn_experiment *e, mn_error *err)
{
    const mn_option *option = mn_options_find(mn_experiment_options(), "run.data_path");
    const char *data = getenv("MNEMO_DATA");
    mn_experiment scratch = *e;
    mn_error why;
    if (data == NULL ||
        (e->tasks.kind != MN_TASKS_IMAGES && e->tasks.kind != MN_TASKS_SEQUENCES &&
         e->tasks.kind != MN_TASKS_STORIES && e->tasks.kind != MN_TASKS_ROWS &&
         e->tasks.kind != MN_TASKS_DESCRIBED_IMAGES && e->tasks.kind != MN_TASKS_DIALOGUES &&
         e->tasks.kind != MN_TASKS_CLASS_STREAM) ||
        strcmp(e->run.data_path, option->fallback) != 0 ||
        mn_option_set(option, data, &scratch, &why) == MN_OK)
        return MN_OK;
    return mn_fail(err, MN_ERR_CONFIG, "MNEMO_DATA in the environment cannot be used: %s",
                   why.message);
}
