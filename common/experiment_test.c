#include "common/experiment.h"

#include "common/file.h"
#include "common/random.h"
#include "common/text.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static mn_experiment fresh(void)
{
    mn_experiment e;
    mn_experiment_init(&e);
    return e;
}

static mn_experiment parsed(const char *text)
{
    mn_experiment e = fresh();
    mn_error err = {0};
    if (mn_experiment_parse(&e, "x.yaml", text, strlen(text), &err) != MN_OK)
        fail_msg("%s", err.message);
    return e;
}

static mn_experiment shipped(const char *name)
{
    char path[512];
    mn_experiment e = fresh();
    mn_error err = {0};
    (void)snprintf(path, sizeof path, "%s/%s.yaml", MN_EXPERIMENTS, name);
    if (mn_experiment_read(&e, path, &err) != MN_OK || mn_experiment_check(&e, &err) != MN_OK)
        fail_msg("%s", err.message);
    assert_string_equal(e.name, name);
    return e;
}

static char *print(const mn_experiment *e, bool with_help)
{
    char *text = NULL;
    assert_int_equal(mn_experiment_print(e, with_help, &text, NULL), MN_OK);
    return text;
}

/* Equal in every option: the print has them all, exactly. */
static void assert_same(const mn_experiment *a, const mn_experiment *b)
{
    char *a_text = print(a, false);
    char *b_text = print(b, false);
    assert_string_equal(a_text, b_text);
    free(a_text);
    free(b_text);
}

static void assert_contradiction(const char *assignments, const char *words)
{
    char copy[256];
    mn_experiment e = fresh();
    mn_error err = {0};
    (void)snprintf(copy, sizeof copy, "%s", assignments);
    char *rest = copy;
    for (char *one = strsep(&rest, " "); one != NULL; one = strsep(&rest, " "))
        if (mn_experiment_set(&e, one, &err) != MN_OK)
            fail_msg("%s", err.message);
    assert_int_equal(mn_experiment_check(&e, &err), MN_ERR_CONFIG);
    assert_string_equal(err.message, words);
}

static void defaults_are_valid_and_those_of_the_manual(void **state)
{
    mn_experiment e = fresh();
    mn_error err = {0};
    (void)state;
    assert_int_equal(mn_experiment_check(&e, &err), MN_OK);
    assert_string_equal(e.name, "experiment");
    assert_int_equal(e.seed, 1);
    assert_int_equal(e.tasks.kind, MN_TASKS_SINUSOID);
    assert_true(e.tasks.way == 5 && e.tasks.shot == 1 && e.tasks.query == 1);
    assert_true(e.tasks.phase[1] == 3.141592653589793);
    assert_true(e.model.hidden.n == 2 && e.model.hidden.at[1] == 40);
    assert_true(e.model.batch_norm_eps == 1e-5 && e.outer.eps == 1e-8);
    assert_true(e.outer.beta1 == 0.9 && e.outer.beta2 == 0.999);
    assert_int_equal(e.pool.threads, -1);
    assert_int_equal(e.pool.activation_mib, 16);
    assert_string_equal(e.pool.listen, "tcp://127.0.0.1:*");
    assert_string_equal(e.run.data_path, "data:../shared/data");
}

static void every_choice_has_its_name(void **state)
{
    static const char *const names[] = {"tasks.kind=sinusoid",
                                        "tasks.kind=images",
                                        "tasks.kind=glyphs",
                                        "tasks.sampling=random",
                                        "tasks.sampling=group",
                                        "model.input=mlp",
                                        "model.input=conv4",
                                        "model.downsampling=stride",
                                        "model.downsampling=max-pool",
                                        "model.readout=mean",
                                        "model.readout=flatten",
                                        "model.activation=relu",
                                        "model.activation=tanh",
                                        "model.init=glorot",
                                        "model.init=he",
                                        "model.init=truncated-normal",
                                        "meta.kind=maml",
                                        "meta.kind=anil",
                                        "meta.kind=meta-sgd",
                                        "meta.kind=reptile",
                                        "outer.optimiser=sgd",
                                        "outer.optimiser=adam",
                                        "outer.optimiser=adagrad",
                                        "outer.optimiser=adamw",
                                        "outer.schedule=constant",
                                        "outer.schedule=cosine",
                                        "outer.schedule=step",
                                        "outer.nonfinite=skip",
                                        "outer.nonfinite=abort"};
    mn_experiment e = fresh();
    (void)state;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        assert_int_equal(mn_experiment_set(&e, names[i], NULL), MN_OK);
    assert_int_equal(e.tasks.kind, MN_TASKS_GLYPHS);
    assert_int_equal(e.tasks.sampling, MN_SAMPLE_GROUP);
    assert_int_equal(e.model.input, MN_INPUT_CONV4);
    assert_int_equal(e.model.downsampling, MN_DOWN_MAX_POOL);
    assert_int_equal(e.model.readout, MN_READOUT_FLATTEN);
    assert_int_equal(e.model.activation, MN_TANH);
    assert_int_equal(e.model.init, MN_INIT_TRUNCATED_NORMAL);
    assert_int_equal(e.meta.kind, MN_META_REPTILE);
    assert_int_equal(e.outer.optimiser, MN_OPT_ADAMW);
    assert_int_equal(e.outer.schedule, MN_LR_STEP);
    assert_int_equal(e.outer.nonfinite, MN_NONFINITE_ABORT);
}

static void naming_the_kind_of_tasks_alone_gives_a_good_run(void **state)
{
    static const char *const kinds[] = {"sinusoid", "glyphs", "images\n  data: a.mnd"};
    (void)state;
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        char text[64];
        (void)snprintf(text, sizeof text, "tasks:\n  kind: %s\n", kinds[i]);
        mn_experiment e = parsed(text);
        assert_int_equal(mn_experiment_check(&e, NULL), MN_OK);
        assert_int_equal(e.model.input, i == 0 ? MN_INPUT_MLP : MN_INPUT_CONV4);
        assert_true(e.meta.inner_lr == (i == 0 ? 0.01 : 0.4));
        assert_int_equal(e.tasks.shot, i == 0 ? 10 : 1);
    }
    assert_int_equal(parsed("tasks: {kind: sinusoid, shot: 3}").tasks.shot, 3);
    assert_int_equal(parsed("seed: 2").tasks.shot, 1);
}

/* Its network and its adaptation are the program's own, so no key of ours has a say in them. */
static void an_experiment_of_an_external_learner_reads_only_what_the_coordinator_does(void **state)
{
    static const char *const others[] = {"model.input",   "model.memory",  "model.hidden",
                                         "meta.kind",     "meta.inner_lr", "tasks.shot",
                                         "evaluate.split"};
    static const char *const ours[] = {"seed", "outer.lr", "evaluate.every", "pool.listen"};
    const mn_option_table *table = mn_experiment_options();
    mn_experiment e = parsed("tasks: {kind: external, learner: a.safetensors}");
    (void)state;
    assert_int_equal(mn_experiment_check(&e, NULL), MN_OK);
    assert_int_equal(e.pool.threads, 0);
    for (size_t i = 0; i < sizeof others / sizeof *others; i++)
        assert_false(mn_option_is_read(table, mn_options_find(table, others[i]), &e));
    for (size_t i = 0; i < sizeof ours / sizeof *ours; i++)
        assert_true(mn_option_is_read(table, mn_options_find(table, ours[i]), &e));
    mn_experiment own = parsed("tasks: {kind: sinusoid}");
    for (size_t i = 0; i < sizeof others / sizeof *others; i++)
        assert_true(mn_option_is_read(table, mn_options_find(table, others[i]), &own));
    assert_false(mn_option_is_read(table, mn_options_find(table, "tasks.learner"), &own));
}

static void naming_query_reduction_alone_gives_what_it_reads(void **state)
{
    mn_experiment e =
        parsed("tasks: {kind: generated-stories}\nmodel: {reasoning: query-reduction}");
    (void)state;
    assert_int_equal(mn_experiment_check(&e, NULL), MN_OK);
    assert_int_equal(e.model.memory, MN_MEMORY_SENTENCES);
    assert_int_equal(e.model.encoding, MN_ENCODING_POSITION_PRINTED);
    assert_int_equal(e.model.init, MN_INIT_LECUN);
    e = parsed(
        "tasks: {kind: generated-stories}\nmodel: {reasoning: query-reduction, encoding: bag}");
    assert_int_equal(e.model.encoding, MN_ENCODING_BAG);
}

static void a_file_error_changes_nothing(void **state)
{
    static const char text[] = "seed: 9\nouter:\n  batch: 7\n  lr: fast\n";
    mn_experiment e = fresh();
    mn_experiment before = e;
    mn_error err = {0};
    (void)state;
    assert_int_equal(mn_experiment_parse(&e, "x.yaml", text, strlen(text), &err), MN_ERR_CONFIG);
    assert_string_equal(err.message,
                        "x.yaml:4: outer.lr: \"fast\" is not a number (expected 0 .. 100)");
    assert_same(&e, &before);
    assert_int_equal(mn_experiment_set(&e, "outer.bacth=1", &err), MN_ERR_CONFIG);
    assert_string_equal(err.message, "unknown key \"outer.bacth\"; did you mean \"outer.batch\"?");
    assert_same(&e, &before);
}

static void a_later_word_overrides_an_earlier_one(void **state)
{
    mn_experiment e = parsed("outer: {batch: 7, steps: 3}");
    (void)state;
    assert_int_equal(mn_experiment_set(&e, "outer.batch=8", NULL), MN_OK);
    assert_int_equal(mn_experiment_set(&e, "model.hidden=[40,41]", NULL), MN_OK);
    assert_int_equal(mn_experiment_set(&e, "tasks.phase=0,1.5", NULL), MN_OK);
    assert_int_equal(e.outer.batch, 8);
    assert_int_equal(e.outer.steps, 3);
    assert_true(e.model.hidden.n == 2 && e.model.hidden.at[1] == 41);
    assert_true(e.tasks.phase[0] == 0.0 && e.tasks.phase[1] == 1.5);
}

static void a_nameless_file_gives_its_own_name(void **state)
{
    static const struct {
        const char *file, *text, *name;
    } cases[] = {{"plain-1.yaml", "seed: 2\n", "plain-1"},
                 {"two words.v2.yml", "seed: 2\n", "two-words.v2"},
                 {".hidden", "seed: 2\n", "hidden"},
                 {"\xc3\xa9t\xc3\xa9.yaml", "seed: 2\n", "x-t--"},
                 {"given.yaml", "name: other\n", "other"}};
    char folder[] = "/tmp/mnemo-experiment-test-XXXXXX";
    mn_error err = {0};
    (void)state;
    assert_non_null(mkdtemp(folder));
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char path[128];
        mn_experiment e = fresh();
        (void)snprintf(path, sizeof path, "%s/%s", folder, cases[i].file);
        assert_int_equal(mn_file_write(path, cases[i].text, strlen(cases[i].text), &err), MN_OK);
        assert_int_equal(mn_experiment_read(&e, path, &err), MN_OK);
        assert_string_equal(e.name, cases[i].name);
        char *text = print(&e, false);
        mn_experiment again = parsed(text);
        assert_same(&e, &again);
        free(text);
        assert_int_equal(unlink(path), 0);
    }
    assert_int_equal(rmdir(folder), 0);
}

static void a_missing_or_endless_file_is_refused(void **state)
{
    mn_experiment e = fresh();
    mn_error err = {0};
    (void)state;
    assert_int_equal(mn_experiment_read(&e, "/no/such.yaml", &err), MN_ERR_NO_INPUT);
    assert_string_equal(err.message, "cannot open /no/such.yaml: No such file or directory");
    assert_int_equal(mn_experiment_read(&e, "/dev/zero", &err), MN_ERR_DATA);
}

static void the_environment_says_where_data_is(void **state)
{
    char too_long[600];
    mn_experiment e;
    mn_error err = {0};
    (void)state;
    assert_int_equal(setenv("MNEMO_DATA", "/data/a:/data/b", 1), 0);
    e = fresh();
    assert_string_equal(e.run.data_path, "/data/a:/data/b");

    memset(too_long, 'x', sizeof too_long - 1);
    too_long[sizeof too_long - 1] = '\0';
    assert_int_equal(setenv("MNEMO_DATA", too_long, 1), 0);
    e = parsed("tasks: {kind: images, data: a.mnd}");
    assert_int_equal(mn_experiment_check(&e, &err), MN_ERR_CONFIG);
    assert_non_null(strstr(err.message, "MNEMO_DATA in the environment cannot be used"));
    assert_int_equal(mn_experiment_set(&e, "run.data_path=/data", &err), MN_OK);
    assert_int_equal(mn_experiment_check(&e, &err), MN_OK); /* not needed any more */
    assert_int_equal(unsetenv("MNEMO_DATA"), 0);
}

static void printed_experiments_read_back_to_the_same_values(void **state)
{
    (void)state;
    for (int with_help = 0; with_help < 2; with_help++) {
        mn_experiment e = shipped("omniglot-5w1s-maml");
        assert_int_equal(mn_experiment_set(&e, "outer.lr=0.00030000000000000003", NULL), MN_OK);
        assert_int_equal(mn_experiment_set(&e, "run.data_path=/a \"b\"\\c:# Ü", NULL), MN_OK);
        assert_int_equal(mn_experiment_set(&e, "evaluate.inner_steps=", NULL), MN_OK);
        assert_int_equal(mn_experiment_set(&e, "pool.listen=", NULL), MN_OK);
        char *text = print(&e, with_help == 1);
        assert_int_equal(strstr(text, "# ") != strstr(text, "# Ü"), with_help == 1);
        mn_experiment again = parsed(text);
        assert_same(&e, &again);
        assert_true(again.outer.lr == 0.00030000000000000003);
        free(text);
    }
}

static void keys_that_contradict_each_other_are_named(void **state)
{
    (void)state;
    assert_contradiction("tasks.kind=external",
                         "tasks.kind external needs tasks.learner, the file that says what theta "
                         "is made of: `python3 -m mnemo_worker card my_learner.py:MyLearner -o "
                         "my_learner.safetensors` writes it");
    assert_contradiction("tasks.kind=external tasks.learner=a.safetensors pool.threads=0 "
                         "pool.numeric_class=abc",
                         "pool.numeric_class is \"abc\": expected the 64 hexadecimal digits that "
                         "`python3 -m mnemo_worker check my_learner.py:MyLearner` prints");
    assert_contradiction("tasks.kind=external tasks.learner=a.safetensors pool.threads=2",
                         "tasks.kind external is computed by workers of your own, not by threads "
                         "of this program: set pool.threads to 0 (it is 2), and start them with "
                         "`python3 -m mnemo_worker my_learner.py:MyLearner RUN/endpoint`");
    assert_contradiction("tasks.kind=images",
                         "tasks.kind images needs tasks.data, the name of a packed file, as in "
                         "\"omniglot28.mnd\"");
    assert_contradiction("tasks.kind=images tasks.data=a.mnd run.data_path=",
                         "tasks.kind images needs run.data_path, the folders to look for a.mnd in");
    assert_contradiction("tasks.kind=glyphs tasks.way=1",
                         "tasks.way is 1, but telling classes apart needs at least 2");
    assert_contradiction("tasks.kind=glyphs tasks.way=64 evaluate.query=1000 tasks.image_size=256",
                         "a task of 4198498304 pixels is too large (at most 67108864): lower "
                         "tasks.way, tasks.shot, tasks.query, evaluate.shot, evaluate.query or "
                         "tasks.image_size");
    assert_contradiction("tasks.x_range=5,-5",
                         "tasks.x_range is [5, -5]: expected the lower number first");
    assert_contradiction("model.hidden=",
                         "model.hidden is empty, but model.input mlp needs at least one layer");
    assert_contradiction("model.input=identity model.memory=mean model.encoder=",
                         "model.encoder is empty, but model.memory mean needs at least one layer");
    assert_contradiction("model.input=conv4",
                         "model.input conv4 reads images, but tasks.kind is sinusoid: use "
                         "model.input mlp, or tasks.kind images or glyphs");
    assert_contradiction("tasks.kind=glyphs model.input=conv4 model.downsampling=max-pool "
                         "model.blocks=5",
                         "model.downsampling max-pool leaves nothing of tasks.image_size 28 after "
                         "model.blocks 5: use fewer blocks, a larger image or stride");
    assert_contradiction(
        "meta.kind=reptile meta.inner_steps=0",
        "meta.kind reptile learns from its inner steps: meta.inner_steps must be at "
        "least 1");
    assert_contradiction("tasks.kind=glyphs model.input=conv4 model.batch_norm_statistics=running",
                         "model.batch_norm_statistics running goes with meta.kind episodic alone: "
                         "an inner loop would move what they are statistics of; for an inductive "
                         "score use support or item");
    assert_contradiction("model.batch_norm=true model.batch_norm_statistics=item",
                         "model.batch_norm_statistics item goes over the pixels of an image, which "
                         "model.input conv4 alone has: use support or batch");
    assert_contradiction("tasks.kind=generated-stories tasks.shot=2 model.input=sentences "
                         "model.memory=class-means model.output=words",
                         "model.memory class-means is of support items of every class, but of the "
                         "words of stories only some are answers there: use model.memory story or "
                         "another that reads stories");
    assert_contradiction(
        "model.memory=context meta.adapts=memory",
        "model.memory context is put beside the features, which model.reasoning "
        "concat-linear and concat-mlp alone do: use one of these (with model.input "
        "identity they are the network's first layer)");
    assert_contradiction("model.memory=context model.reasoning=concat-mlp meta.adapts=output",
                         "model.memory context is moved by an inner loop alone, and this one would "
                         "leave it at zero: use meta.kind maml with meta.adapts memory, or another "
                         "rule that moves it");
    assert_contradiction("tasks.kind=glyphs model.input=conv4 model.batch_norm_by_step=true "
                         "meta.adapts=output",
                         "model.batch_norm_by_step is of a body that inner steps move: it needs "
                         "meta.inner_steps of at least 1, meta.adapts all or body, meta.update "
                         "gradient or step-rates, meta.head_start learned and model.memory none");
    assert_contradiction("meta.update=step-rates meta.order=1",
                         "meta.update step-rates learns the rates of inner steps on the way back "
                         "through them: it needs meta.order 2 (with meta.second_order_from, first "
                         "order at first) and meta.inner_steps of at least 1");
    assert_contradiction("model.memory=table model.reasoning=lstm",
                         "model.reasoning lstm and feedforward ask with model.units numbers, which "
                         "model.memory lrua alone takes: use that, model.memory none or another "
                         "model.reasoning");
    assert_contradiction("model.memory=transformer model.reasoning=read model.heads=3",
                         "model.heads 3 do not divide model.token_size 64 into equal parts: "
                         "expected a token_size as 66");
    assert_contradiction("model.memory=transformer",
                         "model.memory transformer is asked by model.reasoning, but that is none: "
                         "use read or concat-mlp");
    assert_contradiction("tasks.kind=sequences model.memory=transformer model.reasoning=read",
                         "model.memory transformer attends to the items of a support set, which "
                         "sequences and stories do not have: use another tasks.kind or "
                         "model.memory");
    assert_contradiction("model.reasoning=read",
                         "model.reasoning read is what the memory gives, but model.memory is none: "
                         "choose one, as transformer");
    assert_contradiction("tasks.kind=tables model.input=conv4",
                         "model.input conv4 reads images, but tasks.kind is tables: use "
                         "model.input mlp, or tasks.kind images or glyphs");
    assert_contradiction("model.memory=context model.reasoning=concat-mlp meta.kind=imaml "
                         "meta.adapts=output",
                         "model.memory context is moved by an inner loop alone, and this one would "
                         "leave it at zero: use meta.kind maml with meta.adapts memory, or another "
                         "rule that moves it");
    assert_contradiction("meta.update=curvature meta.order=1",
                         "meta.update curvature learns matrices for the tensors of theta by "
                         "differentiating through the inner loop: it needs meta.order 2 and "
                         "meta.head_start learned");
    assert_contradiction("meta.update=learned meta.order=1",
                         "meta.update learned is learned by differentiating through the inner "
                         "loop: it needs meta.order 2");
    assert_contradiction("tasks.kind=glyphs meta.head_start=prototypes model.memory=class-means",
                         "meta.head_start prototypes is of a linear output over features: it needs "
                         "model.output linear, model.memory none and model.reasoning none");
    assert_contradiction("tasks.kind=glyphs meta.head_start=prototypes meta.adapts=body",
                         "meta.head_start prototypes gives the inner loop a head to move: it needs "
                         "meta.adapts all or output");
    assert_contradiction("outer.schedule=cosine outer.lr_min=0.1",
                         "outer.lr_min 0.1 is above outer.lr 0.001, but outer.schedule cosine goes "
                         "down");
    assert_contradiction("outer.schedule=cosine outer.steps=0",
                         "outer.schedule cosine needs outer.steps of at least 1");
    assert_contradiction("evaluate.inner_steps=0,5,5",
                         "evaluate.inner_steps has 5 after 5: expected each to be larger than the "
                         "one before");
    assert_contradiction("evaluate.keep_best=true",
                         "evaluate.keep_best needs validation: set evaluate.every, as in 1000");
    assert_contradiction("evaluate.choose=loss",
                         "evaluate.choose needs validation: set evaluate.every, as in 1000");
    assert_contradiction("evaluate.patience=1",
                         "evaluate.patience needs validation: set evaluate.every, as in 1000");
    assert_contradiction(
        "pool.listen=localhost",
        "pool.listen is \"localhost\": expected tcp://ADDRESS:PORT, with * for any "
        "free port, or ipc://FILE");
    assert_contradiction(
        "run.page=127.0.0.1",
        "run.page is \"127.0.0.1\": expected ADDRESS:PORT with a numeric address and a "
        "port up to 65535, 0 for any free one, as in 127.0.0.1:0 or [::1]:8080; or none");
    assert_contradiction("pool.threads=0 pool.listen=",
                         "nobody would compute: pool.threads is 0 and pool.listen is empty");
    assert_contradiction("pool.silence_ms=1500",
                         "pool.silence_ms 1500 is too short: expected at least two of "
                         "pool.heartbeat_ms 1000");
}

static void four_blocks_of_pooling_leave_one_pixel_of_28(void **state)
{
    mn_experiment e = parsed("tasks: {kind: glyphs}\nmodel: {downsampling: max-pool}");
    (void)state;
    assert_int_equal(mn_experiment_check(&e, NULL), MN_OK);
    e = parsed("tasks: {kind: glyphs}\nmodel: {downsampling: stride, blocks: 8}");
    assert_int_equal(mn_experiment_check(&e, NULL), MN_OK);
}

static bool goes_on_with(const char *assignment)
{
    mn_experiment before = fresh();
    mn_experiment after = before;
    assert_int_equal(mn_experiment_set(&after, assignment, NULL), MN_OK);
    return mn_experiment_may_resume(&before, &after, NULL) == MN_OK;
}

static void a_run_goes_on_with_other_values_of_all_that_does_not_decide_theta(void **state)
{
    static const char *const deciding[] = {
        "seed=2",       "tasks.phase=0,1", "model.hidden=40,41", "model.init=he",
        "meta.order=1", "outer.batch=33",  "outer.lr=0.002",     "outer.nonfinite=abort"};
    static const char *const other[] = {
        "name=b",         "tasks.data=b.mnd", "outer.steps=7",         "evaluate.tasks=7",
        "pool.threads=7", "run.keep=7",       "pool.activation_mib=7", "outer.max_skipped_steps=7"};
    (void)state;
    for (size_t i = 0; i < sizeof deciding / sizeof *deciding; i++)
        assert_false(goes_on_with(deciding[i]));
    for (size_t i = 0; i < sizeof other / sizeof *other; i++)
        assert_true(goes_on_with(other[i]));

    /* What nothing reads decides nothing. */
    assert_true(goes_on_with("tasks.way=6"));
    mn_experiment five = parsed("tasks: {kind: glyphs}"),
                  six = parsed("tasks: {kind: glyphs, way: 6}");
    assert_int_equal(mn_experiment_may_resume(&five, &six, NULL), MN_ERR_CONFIG);

    mn_experiment e = parsed("outer: {schedule: cosine, steps: 7}");
    mn_experiment longer = parsed("outer: {schedule: cosine, steps: 8}");
    assert_int_equal(mn_experiment_may_resume(&e, &longer, NULL), MN_ERR_CONFIG);
}

static void a_run_goes_on_unless_its_answer_would_change(void **state)
{
    mn_experiment old = fresh();
    mn_experiment now = parsed("name: b\nouter: {steps: 7}\npool: {threads: 2}\nrun: {keep: 9}");
    mn_error err = {0};
    (void)state;
    assert_int_equal(mn_experiment_may_resume(&old, &now, &err), MN_OK);
    now = parsed("outer: {batch: 64, lr: 1}");
    assert_int_equal(mn_experiment_may_resume(&old, &now, &err), MN_ERR_CONFIG);
    assert_string_equal(err.message, "outer.batch was 32 when this run began and is 64 now: it "
                                     "cannot go on with another value; set it back or begin a new "
                                     "run");
    old = parsed("outer: {schedule: cosine}");
    now = parsed("outer: {schedule: cosine, steps: 7}");
    assert_int_equal(mn_experiment_may_resume(&old, &now, &err), MN_ERR_CONFIG);
    assert_non_null(strstr(err.message, "outer.steps was 1000"));
    now = parsed("outer: {steps: 7}");
    assert_int_equal(mn_experiment_may_resume(&old, &now, &err), MN_ERR_CONFIG);
    assert_non_null(strstr(err.message, "outer.schedule was cosine"));
    assert_int_equal(mn_experiment_may_resume(&now, &old, &err), MN_ERR_CONFIG);
    assert_non_null(strstr(err.message, "outer.schedule was constant"));
}

static void a_trained_network_is_judged_with_other_tasks_and_another_adaptation(void **state)
{
    mn_experiment old = fresh();
    mn_experiment now = old;
    char changes[256];
    mn_error err = {0};
    (void)state;
    assert_int_equal(mn_experiment_may_judge(&old, &now, changes, sizeof changes, &err), MN_OK);
    assert_string_equal(changes, "");
    now = parsed("seed: 2\ntasks: {shot: 5}\nmeta: {inner_lr: 0.5}\nevaluate: {tasks: 7}");
    old = parsed("tasks: {shot: 10}");
    assert_int_equal(mn_experiment_may_judge(&old, &now, changes, sizeof changes, &err), MN_OK);
    assert_string_equal(changes, "seed 2 instead of 1, tasks.shot 5 instead of 10, meta.inner_lr "
                                 "0.5 instead of 0.01");
    char cut[16]; /* and nothing beyond it */
    assert_int_equal(mn_experiment_may_judge(&old, &now, cut, sizeof cut, &err), MN_OK);
    assert_string_equal(cut, "seed 2 instead ");

    static const char *const others[] = {"model: {hidden: [7]}", "outer: {lr: 1}",
                                         "tasks: {kind: glyphs}"};
    static const char *const keys[] = {"model.hidden was [40, 40]", "outer.lr was 0.001",
                                       "tasks.kind was sinusoid"};
    old = fresh();
    for (size_t i = 0; i < 3; i++) {
        now = parsed(others[i]);
        assert_int_equal(mn_experiment_may_judge(&old, &now, changes, sizeof changes, &err),
                         MN_ERR_CONFIG);
        if (strstr(err.message, keys[i]) == NULL)
            fail_msg("\"%s\" does not say %s", err.message, keys[i]);
    }
}

static void what_gives_two_experiments_other_tasks_is_told(void **state)
{
    (void)state;
    char text[200];
    mn_experiment first, second;
    mn_experiment_init(&first);
    second = first;
    mn_experiment_task_changes(&first, &second, text, sizeof text);
    assert_string_equal(text, "");
    second.outer.lr = 0.5; /* the same tasks */
    second.evaluate.every = 7;
    mn_experiment_task_changes(&first, &second, text, sizeof text);
    assert_string_equal(text, "");
    second.seed = first.seed + 1;
    second.evaluate.shot = 3;
    mn_experiment_task_changes(&first, &second, text, sizeof text);
    assert_non_null(strstr(text, "seed "));
    assert_non_null(strstr(text, ", evaluate.shot 3 instead of 0"));
    mn_experiment_task_changes(&first, &second, text, 10);
    assert_int_equal(strlen(text), 9);
}

static void a_key_that_nothing_reads_is_an_error_that_names_its_readers(void **state)
{
    static const char text[] = "tasks: {kind: sinusoid}\nmodel: {input: mlp, filters: 8}\n";
    char path[] = "/tmp/mnemo-experiment-XXXXXX";
    mn_experiment e;
    mn_error err = {.message = ""};
    char wanted[512];
    (void)state;
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, sizeof text - 1), sizeof text - 1);
    assert_int_equal(close(fd), 0);
    mn_experiment_init(&e);
    mn_status status = mn_experiment_read(&e, path, &err);
    assert_int_equal(mn_experiment_reread(&e, path, NULL),
                     MN_OK); /* as an older version wrote it */
    assert_int_equal(unlink(path), 0);
    assert_int_equal(status, MN_ERR_CONFIG);
    (void)snprintf(wanted, sizeof wanted,
                   "%s:2: model.filters is read by nothing here, where model.input is mlp: it "
                   "belongs to model.input=conv4; leave it out, or choose what reads it",
                   path);
    assert_string_equal(err.message, wanted);

    e = fresh();
    assert_int_equal(mn_experiment_set(&e, "tasks.kind=external", &err), MN_OK);
    assert_int_equal(mn_experiment_set(&e, "model.input=conv4", &err), MN_OK);
    assert_int_equal(mn_experiment_check(&e, &err), MN_ERR_CONFIG);
    assert_string_equal(err.message,
                        "model.input is read by nothing here, where tasks.kind is external: it "
                        "belongs to tasks.kind!=external; leave it out, or choose what reads it");

    e = fresh();
    assert_int_equal(mn_experiment_set(&e, "model.filters=8", &err), MN_OK);
    assert_int_equal(mn_experiment_check(&e, &err), MN_ERR_CONFIG);
    assert_non_null(strstr(err.message, "model.filters is read by nothing here"));
    assert_int_equal(mn_experiment_set(&e, "model.input=conv4", &err), MN_OK);
    assert_int_equal(mn_experiment_set(&e, "tasks.kind=glyphs", &err), MN_OK);
    assert_int_equal(mn_experiment_check(&e, &err), MN_OK);

    e = fresh(); /* one deviation for all, where none is divided by */
    assert_int_equal(mn_experiment_set(&e, "tasks.kind=rows", &err), MN_OK);
    assert_int_equal(mn_experiment_set(&e, "tasks.standardise=false", &err), MN_OK);
    assert_int_equal(mn_experiment_set(&e, "tasks.one_scale=true", &err), MN_OK);
    assert_int_equal(mn_experiment_check(&e, &err), MN_ERR_CONFIG);
    assert_non_null(strstr(err.message, "tasks.one_scale is read by nothing here"));
    assert_non_null(strstr(err.message, "tasks.standardise=true; leave it out"));
}

static char *help_on(const char *topic, mn_status expected, mn_error *err)
{
    char *help = NULL;
    size_t n = 0;
    FILE *out = open_memstream(&help, &n);
    assert_non_null(out);
    assert_int_equal(mn_experiment_help_on(topic, out, err), expected);
    assert_int_equal(fclose(out), 0);
    return help;
}

static void help_on_a_key_or_a_section_tells_only_that(void **state)
{
    (void)state;
    mn_error err = {0};
    char *one = help_on("tasks.shot", MN_OK, &err), *section = help_on("outer", MN_OK, &err);
    assert_string_equal(
        one, "  tasks.shot  support items a class; sinusoid: support points; tables, rows "
             "with a y: support rows; stories: support questions, of the set of the "
             "others\n"
             "                0 .. 1000 items; default 1\n"
             "                read where "
             "tasks.kind=sinusoid|images|glyphs|stories|generated-stories|tables|rows|described-"
             "images|class-stream\n");
    assert_non_null(strstr(section, "outer.lr_factor "));
    assert_null(strstr(section, "tasks."));
    char *none = help_on("taks.shot", MN_ERR_CONFIG, &err);
    assert_string_equal(none, "");
    assert_non_null(strstr(err.message, "did you mean \"tasks.shot\""));
    free(none);
    free(help_on("", MN_ERR_CONFIG, &err));
    free(help_on("out", MN_ERR_CONFIG, &err));
    free(one);
    free(section);
}

static void help_on_a_choice_tells_the_keys_that_it_reads(void **state)
{
    (void)state;
    mn_error err = {0};
    char *images = help_on("tasks.kind=images", MN_OK, &err);
    char *grid = help_on("tasks.world=grid", MN_OK, &err); /* behind a ',' */
    assert_non_null(strstr(images, "  tasks.runs "));
    assert_non_null(strstr(images, "  evaluate.way "));
    assert_null(strstr(images, "  tasks.stories "));
    assert_null(strstr(images, "  outer.lr ")); /* which everything reads */
    assert_non_null(strstr(grid, "  tasks.shortest "));
    assert_null(strstr(grid, "  tasks.sentences "));
    free(help_on("tasks.kind=image", MN_ERR_CONFIG, &err));
    assert_non_null(strstr(err.message, "no key belongs to tasks.kind=image;"));
    free(help_on("tasks.kind=", MN_ERR_CONFIG, &err));
    free(help_on("=", MN_ERR_CONFIG, &err));
    free(images);
    free(grid);
}

static void help_lists_every_key_and_what_follows_the_kind(void **state)
{
    mn_experiment e = fresh();
    char *help = NULL;
    size_t n = 0;
    FILE *out = open_memstream(&help, &n);
    (void)state;
    assert_non_null(out);
    mn_experiment_help(out);
    assert_int_equal(fclose(out), 0);
    assert_non_null(strstr(help, "meta.inner_lr "));
    assert_non_null(strstr(help, "  tasks.kind=images|glyphs: model.input conv4\n"));
    assert_non_null(strstr(help, "  tasks.kind=images|glyphs: meta.inner_lr 0.4\n"));

    char section[32] = "";
    char *text = print(&e, false);
    char *rest = text;
    for (char *line = strsep(&rest, "\n"); rest != NULL; line = strsep(&rest, "\n")) {
        char key[128];
        size_t name = strcspn(line, ":");
        if (line[0] != ' ' && line[name + 1] == '\0') {
            (void)snprintf(section, sizeof section, "%.*s.", (int)name, line);
            continue;
        }
        const char *indented = line + strspn(line, " ");
        (void)snprintf(key, sizeof key, "\n  %s%.*s ", line[0] == ' ' ? section : "",
                       (int)strcspn(indented, ":"), indented);
        if (strstr(help, key) == NULL && strncmp(help, key + 1, strlen(key) - 1) != 0)
            fail_msg("not in the help:%s", key);
    }
    free(text);
    free(help);
}

static void the_sinusoid_of_the_manual_is_that_of_the_paper(void **state)
{
    mn_experiment e = shipped("sinusoid-maml");
    (void)state;
    assert_int_equal(e.tasks.kind, MN_TASKS_SINUSOID);
    assert_true(e.tasks.shot == 10 && e.tasks.query == 10);
    assert_true(e.meta.order == 2 && e.meta.inner_steps == 5 && e.meta.inner_lr == 0.01);
    assert_true(e.outer.steps == 15000 && e.outer.batch == 25 && e.outer.lr == 1e-3);
    assert_int_equal(e.outer.optimiser, MN_OPT_ADAM);
    assert_true(e.evaluate.query == 100 && e.evaluate.inner_steps.n == 4);
    assert_int_equal(e.evaluate.inner_steps.at[3], 10);
}

static void the_experiments_with_images_use_the_net_of_the_paper(void **state)
{
    static const struct {
        const char *name;
        mn_task_kind kind;
        uint32_t way, inner_steps, batch;
        double inner_lr;
        uint64_t steps;
        mn_meta_kind meta;
    } cases[] = {{"glyphs-5w1s-maml", MN_TASKS_GLYPHS, 5, 1, 32, 0.4, 2000, MN_META_MAML},
                 {"omniglot-5w1s-maml", MN_TASKS_IMAGES, 5, 1, 32, 0.4, 40000, MN_META_MAML},
                 {"omniglot-20w1s-maml", MN_TASKS_IMAGES, 20, 1, 16, 0.4, 40000, MN_META_MAML},
                 {"omniglot-20w1s-anil", MN_TASKS_IMAGES, 20, 5, 16, 0.5, 6000, MN_META_ANIL}};
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        mn_experiment e = shipped(cases[i].name);
        assert_int_equal(e.tasks.kind, cases[i].kind);
        assert_string_equal(e.tasks.data, e.tasks.kind == MN_TASKS_IMAGES ? "omniglot28.mnd" : "");
        assert_true(e.tasks.shot == 1 && e.tasks.query == 1 && e.tasks.way == cases[i].way);
        assert_true(e.model.input == MN_INPUT_CONV4 && e.model.filters == 64);
        const bool pools = e.meta.kind == MN_META_ANIL; /* as the body that it begins with */
        assert_int_equal(e.model.downsampling, pools ? MN_DOWN_MAX_POOL : MN_DOWN_STRIDE);
        assert_int_equal(e.model.readout, pools ? MN_READOUT_FLATTEN : MN_READOUT_MEAN);
        assert_int_equal(e.meta.kind, cases[i].meta);
        assert_int_equal(e.meta.order, 2);
        assert_int_equal(e.meta.inner_steps, cases[i].inner_steps);
        assert_true(e.meta.inner_lr == cases[i].inner_lr);
        assert_int_equal(e.outer.batch, cases[i].batch);
        assert_int_equal(e.outer.steps, cases[i].steps);
        assert_true(e.evaluate.keep_best && e.evaluate.every > 0);
    }
}

/* Some bytes replaced, dropped, doubled or swapped for what YAML takes special notice of. */
static size_t mutate(mn_random *random, char *text, size_t n, size_t room)
{
    static const char special[] = "\n:[]{}-#&*!|>'\"%@`,\\ \t\r~?0e.\x00\xff\xc3\xef\xbb\xbf";
    uint32_t changes = 1 + mn_random_below(random, 6);
    for (uint32_t i = 0; i < changes && n > 0; i++) {
        size_t at = mn_random_below(random, (uint32_t)n);
        size_t span = mn_random_below(random, 40);
        if (span > n - at)
            span = n - at;
        switch (mn_random_below(random, 5)) {
        case 0:
            text[at] = special[mn_random_below(random, sizeof special)];
            break;
        case 1:
            text[at] = (char)mn_random_below(random, 256);
            break;
        case 2: /* drop */
            memmove(text + at, text + at + span, n - at - span);
            n -= span;
            break;
        case 3: /* double */
            if (n + span <= room) {
                memmove(text + at + span, text + at, n - at);
                n += span;
            }
            break;
        default: /* cut the end off */
            if (mn_random_below(random, 8) == 0)
                n = at;
        }
    }
    return n;
}

static void damaged_text_is_read_or_refused_with_a_message(void **state)
{
    const uint64_t seed = 20261123;
    mn_experiment whole = shipped("omniglot-20w1s-maml");
    char *original = print(&whole, true);
    size_t n = strlen(original);
    size_t room = n + 1000;
    int accepted = 0;
    (void)state;
    for (uint64_t i = 0; i < 2000; i++) {
        mn_random random = mn_random_stream(seed, MN_RANDOM_SELF_TEST, i);
        mn_experiment e = fresh();
        mn_experiment before = e;
        mn_error err = {0};
        char *text = malloc(room);
        assert_non_null(text);
        memcpy(text, original, n);
        size_t length = mutate(&random, text, n, room);
        char *exact = malloc(length > 0 ? length : 1); /* a sanitizer sees every step beyond it */
        assert_non_null(exact);
        memcpy(exact, text, length);

        mn_status status = mn_experiment_parse(&e, "x.yaml", exact, length, &err);
        if (status == MN_OK) {
            char *printed = print(&e, false);
            mn_experiment again = parsed(printed);
            assert_same(&e, &again);
            free(printed);
            accepted++;
        } else {
            if (status != MN_ERR_CONFIG || strncmp(err.message, "x.yaml:", 7) != 0 ||
                !mn_text_is_plain(err.message))
                fail_msg("seed %d, text %d: %s", (int)seed, (int)i, err.message);
            assert_same(&e, &before);
        }
        free(exact);
        free(text);
    }
    free(original);
    assert_in_range(accepted, 100, 1900);
}

static int clean_environment(void **state)
{
    (void)state;
    return unsetenv("MNEMO_DATA");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(defaults_are_valid_and_those_of_the_manual),
        cmocka_unit_test(every_choice_has_its_name),
        cmocka_unit_test(naming_the_kind_of_tasks_alone_gives_a_good_run),
        cmocka_unit_test(an_experiment_of_an_external_learner_reads_only_what_the_coordinator_does),
        cmocka_unit_test(naming_query_reduction_alone_gives_what_it_reads),
        cmocka_unit_test(a_file_error_changes_nothing),
        cmocka_unit_test(a_later_word_overrides_an_earlier_one),
        cmocka_unit_test(a_nameless_file_gives_its_own_name),
        cmocka_unit_test(a_missing_or_endless_file_is_refused),
        cmocka_unit_test(the_environment_says_where_data_is),
        cmocka_unit_test(printed_experiments_read_back_to_the_same_values),
        cmocka_unit_test(keys_that_contradict_each_other_are_named),
        cmocka_unit_test(four_blocks_of_pooling_leave_one_pixel_of_28),
        cmocka_unit_test(a_run_goes_on_with_other_values_of_all_that_does_not_decide_theta),
        cmocka_unit_test(a_run_goes_on_unless_its_answer_would_change),
        cmocka_unit_test(a_trained_network_is_judged_with_other_tasks_and_another_adaptation),
        cmocka_unit_test(what_gives_two_experiments_other_tasks_is_told),
        cmocka_unit_test(a_key_that_nothing_reads_is_an_error_that_names_its_readers),
        cmocka_unit_test(help_lists_every_key_and_what_follows_the_kind),
        cmocka_unit_test(help_on_a_key_or_a_section_tells_only_that),
        cmocka_unit_test(help_on_a_choice_tells_the_keys_that_it_reads),
        cmocka_unit_test(the_sinusoid_of_the_manual_is_that_of_the_paper),
        cmocka_unit_test(the_experiments_with_images_use_the_net_of_the_paper),
        cmocka_unit_test(damaged_text_is_read_or_refused_with_a_message),
    };
    return cmocka_run_group_tests(tests, clean_environment, NULL);
}
