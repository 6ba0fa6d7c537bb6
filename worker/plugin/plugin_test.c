#include "worker/plugin/plugin.h"

#include "common/experiment.h"
#include "common/file.h"
#include "worker/learner/learner.h"
#include <elf.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

static char folder[] = "/tmp/mnemo-plugin-test.XXXXXX";

static int set_up(void **state)
{
    (void)state;
    return mkdtemp(folder) == NULL;
}

static int tear_down(void **state)
{
    char command[128];
    (void)state;
    (void)snprintf(command, sizeof command, "rm -r %s", folder);
    return system(command);
}

static const char *built(const char *name)
{
    static char path[512];
    (void)snprintf(path, sizeof path, "%s/%s.so", PLUGINS, name);
    return path;
}

/* What is loaded stays, and so each is loaded in a process of its own, which says how it went. */
static mn_error load_in_child(const char *path)
{
    int ends[2], how = 0;
    mn_error err = {.status = MN_OK};
    assert_int_equal(pipe(ends), 0);
    const pid_t child = fork();
    if (child == 0) {
        err.status = mn_plugin_load(path, &err);
        _exit(write(ends[1], &err, sizeof err) == sizeof err ? 0 : 1);
    }
    (void)close(ends[1]);
    assert_int_equal(read(ends[0], &err, sizeof err), sizeof err);
    (void)close(ends[0]);
    assert_int_equal(waitpid(child, &how, 0), child);
    assert_int_equal(how, 0);
    return err;
}

static void assert_refused(const char *path, mn_status status, const char *why)
{
    const mn_error err = load_in_child(path);
    if (err.status != status || strstr(err.message, why) == NULL ||
        strstr(err.message, path) == NULL)
        fail_msg("%s: status %d, \"%s\" instead of status %d, \"...%s...\"", path, (int)err.status,
                 err.message, (int)status, why);
}

static void a_plugin_that_is_wrong_is_refused_with_what_is_wrong(void **state)
{
    static const struct {
        const char *name;
        mn_status status;
        const char *why;
    } cases[] = {
        {"bad_other_abi", MN_ERR_DATA, "is of ABI 2, but mnemo"},
        {"bad_small", MN_ERR_DATA, "its struct mnemo_plugin has 16 bytes (struct_size)"},
        {"bad_no_symbol", MN_ERR_DATA, "has no symbol mnemo_plugin_entry"},
        {"bad_unwilling", MN_ERR_DATA, "as it says itself"},
        {"bad_no_kind", MN_ERR_DATA, "has no kind"},
        {"bad_bad_name", MN_ERR_DATA, "the name of a task set must have small letters"},
        {"bad_small_kind", MN_ERR_DATA, "the struct of a task set has 16 bytes (struct_size)"},
        {"bad_no_draw", MN_ERR_DATA, "task set bad: it has no call draw()"},
        {"bad_small_option", MN_ERR_DATA, "its struct mnemo_option has 8 bytes (struct_size)"},
        {"bad_bad_option", MN_ERR_DATA, "option 1: its name must have small letters"},
        {"bad_twice", MN_ERR_DATA, "option 2: there is one of this name before"},
        {"bad_unknown_key", MN_ERR_CONFIG, "reads the key tasks.shoot, which there is not"},
        {"bad_taken", MN_ERR_CONFIG, "tasks.kind glyphs is there already"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        assert_refused(built(cases[i].name), cases[i].status, cases[i].why);
}

static const char *written(const char *name, const void *bytes, size_t n)
{
    static char path[128];
    (void)snprintf(path, sizeof path, "%s/%s", folder, name);
    assert_int_equal(mn_file_write(path, bytes, n, NULL), MN_OK);
    return path;
}

/* The byte behind all that a shared object wants to be mapped. */
static size_t end_of(const char *bytes)
{
    Elf64_Ehdr header;
    size_t end = 0;
    memcpy(&header, bytes, sizeof header);
    for (size_t i = 0; i < header.e_phnum; i++) {
        Elf64_Phdr part;
        memcpy(&part, bytes + header.e_phoff + i * sizeof part, sizeof part);
        end = part.p_offset + part.p_filesz > end ? part.p_offset + part.p_filesz : end;
    }
    return end;
}

static void a_file_that_is_no_shared_object_for_this_machine_is_refused(void **state)
{
    char *bytes = NULL;
    size_t n = 0;
    Elf64_Ehdr header, own;
    (void)state;
    assert_refused("/tmp/there/is/none.so", MN_ERR_NO_INPUT, "No such file");
    assert_refused("/tmp", MN_ERR_DATA, "no file");
    assert_refused(written("text.so", "#!/bin/sh\n", 10), MN_ERR_DATA,
                   "is no shared object: expected");
    assert_refused(written("empty.so", "", 0), MN_ERR_DATA, "it is empty");
    assert_int_equal(mn_file_read(built("bad_right"), 1 << 24, &bytes, &n, NULL), MN_OK);
    assert_refused(written("cut.so", bytes, n / 4), MN_ERR_DATA, "is cut off");
    assert_refused(written("cut.so", bytes, end_of(bytes) - 1), MN_ERR_DATA, "is cut off");
    memcpy(&own, bytes, sizeof own);
    header = own;
    header.e_machine = EM_S390;
    memcpy(bytes, &header, sizeof header);
    assert_refused(written("other.so", bytes, n), MN_ERR_DATA,
                   "another kind of processor (ELF machine 22");
    header = own;
    header.e_ident[EI_CLASS] = ELFCLASS32;
    memcpy(bytes, &header, sizeof header);
    assert_refused(written("narrow.so", bytes, n), MN_ERR_DATA, "another kind of processor");
    header = own;
    header.e_type = ET_REL;
    memcpy(bytes, &header, sizeof header);
    assert_refused(written("object.so", bytes, n), MN_ERR_DATA, "but another ELF file");
    header = own;
    header.e_phoff = UINT64_MAX - 8;
    memcpy(bytes, &header, sizeof header);
    assert_refused(written("headers.so", bytes, n), MN_ERR_DATA, "is cut off");
    free(bytes);
}

static void one_of_todays_header_and_one_of_a_later_are_loaded(void **state)
{
    (void)state;
    assert_int_equal(load_in_child(built("bad_right")).status, MN_OK);
    assert_int_equal(load_in_child(built("bad_later")).status, MN_OK);
}

static mn_status parse(const char *text, mn_experiment *out, mn_error *err)
{
    mn_experiment_init(out);
    return mn_experiment_parse(out, "x.yaml", text, strlen(text), err);
}

static void without_it_an_experiment_says_which_plugin_and_digest_it_needs(void **state)
{
    mn_experiment e;
    mn_error err;
    (void)state;
    assert_int_equal(parse("plugins: \"spiral@00ff\"\ntasks: {kind: spiral}\n", &e, &err),
                     MN_ERR_CONFIG);
    assert_non_null(strstr(err.message, "x.yaml: the plug-in spiral (SHA-256 00ff) is needed"));
    assert_non_null(strstr(err.message, "--plugin FILE"));
    assert_int_equal(parse("tasks: {kind: spiral}\n", &e, &err), MN_ERR_CONFIG);
    assert_non_null(strstr(err.message, "a plug-in's kinds are there with --plugin FILE"));
    assert_int_equal(mn_experiment_set(&e, "meta.kind=heavy-ball", &err), MN_ERR_CONFIG);
    assert_non_null(strstr(err.message, "a plug-in's kinds are there with --plugin FILE"));
    assert_int_equal(mn_experiment_set(&e, "outer.optimiser=heavy-ball", &err), MN_ERR_CONFIG);
    assert_null(strstr(err.message, "plug-in"));
}

/* From here on the examples are loaded in this process. */
static void kinds_of_a_plugin_are_choices_with_options_of_their_own(void **state)
{
    mn_experiment e, again;
    mn_error err = {.message = ""};
    char *text = NULL, list[1200], digest[65];
    (void)state;
    (void)snprintf(list, sizeof list, "%s/spiral.so::%s/hebb.so:%s/heavy_ball.so", PLUGINS, PLUGINS,
                   PLUGINS);
    if (mn_plugin_load_list(list, &err) != MN_OK)
        fail_msg("%s", err.message);
    assert_int_equal(mn_plugin_load(built("spiral"), &err), MN_OK); /* again: nothing happens */
    assert_string_equal(mn_plugin_at(0)->name, "spiral");
    assert_string_equal(mn_plugin_at(2)->name, "heavy-ball");
    assert_null(mn_plugin_at(3));
    memcpy(digest, mn_plugin_at(0)->digest, sizeof digest);

    assert_int_equal(parse("tasks: {kind: spiral, shot: 4}\nspiral: {turns: 0.75}\n", &e, &err),
                     MN_OK);
    assert_int_equal(mn_experiment_check(&e, &err), MN_OK);
    assert_true(mn_experiment_number(&e, "spiral.turns") == 0.75);
    assert_true(mn_experiment_number(&e, "spiral.arms") == 2);
    assert_true(isnan(mn_experiment_number(&e, "spiral.legs")));

    assert_int_equal(mn_experiment_print(&e, false, &text, &err), MN_OK);
    assert_non_null(strstr(text, digest));
    assert_null(strstr(text, "hebb"));
    assert_int_equal(parse(text, &again, &err), MN_OK);
    assert_true(mn_experiment_number(&again, "spiral.turns") == 0.75);
    assert_int_equal(mn_experiment_check_outside(&again, &err), MN_OK);
    assert_int_equal(mn_experiment_may_resume(&e, &again, &err), MN_OK);
    free(text);

    assert_int_equal(mn_experiment_set(&again, "spiral.turns=2", &err), MN_OK);
    assert_int_equal(mn_experiment_may_resume(&e, &again, &err), MN_ERR_CONFIG);
    assert_non_null(strstr(err.message, "spiral.turns was 0.75 when this run began and is 2 now"));
    assert_int_equal(mn_experiment_set(&e, "spiral.arms=1", &err), MN_ERR_CONFIG);
    assert_non_null(strstr(err.message, "spiral.arms: \"1\" is out of range (expected 2 .. 64)"));
    assert_int_equal(mn_experiment_set(&e, "tasks.kind=sinusoid", &err), MN_OK);
    assert_int_equal(mn_experiment_set(&e, "spiral.arms=3", &err), MN_OK);
    assert_int_equal(mn_experiment_check(&e, &err), MN_ERR_CONFIG);
    assert_non_null(strstr(err.message, "spiral.arms is read by nothing here"));
    assert_int_equal(mn_experiment_print(&e, false, &text, &err), MN_OK);
    assert_null(strstr(text, "plugins"));
    free(text);
}

static void another_digest_is_told_with_both(void **state)
{
    mn_experiment e;
    mn_error err;
    (void)state;
    assert_int_equal(parse("plugins: \"spiral@0123456789\"\ntasks: {kind: spiral}\n", &e, &err),
                     MN_OK);
    assert_int_equal(mn_experiment_check_outside(&e, &err), MN_ERR_CONFIG);
    assert_non_null(strstr(err.message, "the plug-in spiral of SHA-256 0123456789 is needed"));
    assert_non_null(strstr(err.message, mn_plugin_at(0)->digest));
    assert_int_equal(parse("plugins: \"spiral@0123, nobody\"\n", &e, &err), MN_ERR_CONFIG);
    assert_non_null(strstr(err.message, "the plug-in nobody"));
    /* What a run wrote may be looked at with another build; a user's own file pins one. */
    static const char text[] = "plugins: \"spiral@0123456789\"\ntasks: {kind: spiral}\n";
    const char *path = written("pinned.yaml", text, strlen(text));
    mn_experiment_init(&e);
    assert_int_equal(mn_experiment_read(&e, path, &err), MN_ERR_CONFIG);
    assert_non_null(strstr(err.message, "of SHA-256 0123456789 is needed"));
    assert_int_equal(mn_experiment_reread(&e, path, &err), MN_OK);
}

/* The option of a part is of the network, which stays what it is; that of tasks may change. */
static void a_trained_network_is_judged_with_other_tasks_but_the_same_part(void **state)
{
    mn_experiment e, other;
    mn_error err;
    char changes[256];
    static const char text[] =
        "tasks: {kind: spiral}\nmodel: {memory: hebb, reasoning: read}\nmeta: {kind: episodic}\n";
    (void)state;
    assert_int_equal(parse(text, &e, &err), MN_OK);
    other = e;
    assert_int_equal(mn_experiment_set(&other, "spiral.turns=2", &err), MN_OK);
    assert_int_equal(mn_experiment_may_judge(&e, &other, changes, sizeof changes, &err), MN_OK);
    assert_string_equal(changes, "spiral.turns 2 instead of 0.5");
    assert_int_equal(mn_experiment_set(&other, "hebb.width=2", &err), MN_OK);
    assert_int_equal(mn_experiment_may_judge(&e, &other, changes, sizeof changes, &err),
                     MN_ERR_CONFIG);
}

static mn_digest class_of(const char *text)
{
    mn_experiment e;
    mn_error err = {.message = ""};
    mn_task_set *set = NULL;
    mn_learner *learner = NULL;
    mn_digest digest = {{0}};
    mn_status status = parse(text, &e, &err);
    if (status == MN_OK)
        status = mn_task_set_open(&e, NULL, &set, &err);
    if (status == MN_OK)
        status = mn_learner_new(&e, mn_task_set_fields(set, MN_TRAIN),
                                mn_task_set_fields(set, MN_TEST), &learner, &err);
    if (status == MN_OK)
        status = mn_learner_numeric_class(learner, &digest, &err);
    if (status == MN_OK)
        status = mn_task_set_mix_class(set, &digest, &err);
    mn_learner_destroy(&learner);
    mn_task_set_destroy(&set);
    if (status != MN_OK)
        fail_msg("%s", err.message);
    return digest;
}

/* What a task set draws is in the class, so that another C library or compiler shows. */
static void the_numeric_class_knows_what_a_task_set_draws(void **state)
{
    (void)state;
    const mn_digest first = class_of("tasks: {kind: spiral}\n"),
                    again = class_of("tasks: {kind: spiral}\n");
    const mn_digest other = class_of("tasks: {kind: spiral}\nspiral: {turns: 1}\n");
    assert_memory_equal(first.bytes, again.bytes, sizeof first.bytes);
    assert_memory_not_equal(first.bytes, other.bytes, sizeof first.bytes);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_plugin_that_is_wrong_is_refused_with_what_is_wrong),
        cmocka_unit_test(a_file_that_is_no_shared_object_for_this_machine_is_refused),
        cmocka_unit_test(one_of_todays_header_and_one_of_a_later_are_loaded),
        cmocka_unit_test(without_it_an_experiment_says_which_plugin_and_digest_it_needs),
        cmocka_unit_test(kinds_of_a_plugin_are_choices_with_options_of_their_own),
        cmocka_unit_test(another_digest_is_told_with_both),
        cmocka_unit_test(a_trained_network_is_judged_with_other_tasks_but_the_same_part),
        cmocka_unit_test(the_numeric_class_knows_what_a_task_set_draws),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
