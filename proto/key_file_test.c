#include "proto/key_file.h"

#include "common/file.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#define KEY "Yne@$w-vo<fVvi]a<NY6T1ed:M$fCG*[IaLV{hID"
#define HASH_KEY "Y#e@$w-vo<fVvi]a<NY6T1ed:M$fCG*[IaLV{hI#" /* with the sign of comments */

static char folder[64], path[96];
static mn_error err;

static int set_up(void **state)
{
    (void)state;
    (void)snprintf(folder, sizeof folder, "/tmp/mn_key_file_XXXXXX");
    if (mkdtemp(folder) == NULL)
        return -1;
    (void)snprintf(path, sizeof path, "%s/file", folder);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    char command[96];
    (void)snprintf(command, sizeof command, "rm -r '%s'", folder);
    return system(command);
}

static void write_file(const char *text, mode_t mode)
{
    assert_int_equal(mn_file_write(path, text, strlen(text), NULL), MN_OK);
    assert_int_equal(chmod(path, mode), 0);
}

static mode_t mode_of(const char *of)
{
    struct stat info;
    assert_int_equal(stat(of, &info), 0);
    return info.st_mode & 07777;
}

struct taken {
    size_t n;
    char keys[4][41], names[4][64];
};

static mn_status take(void *user, const char *key, const char *name, mn_error *why)
{
    struct taken *taken = user;
    if (taken->n == 4)
        return mn_fail(why, MN_ERR_RANGE, "enough");
    (void)snprintf(taken->keys[taken->n], 41, "%s", key);
    (void)snprintf(taken->names[taken->n++], 64, "%s", name);
    return MN_OK;
}

static void a_pair_that_is_made_fits_and_only_its_owner_can_read_the_secret(void **state)
{
    (void)state;
    char line[128], deep[96], public_path[128], secret_path[128], secret[41], public[41];
    struct taken taken = {0};
    (void)snprintf(deep, sizeof deep, "%s/a/b", folder);
    (void)snprintf(public_path, sizeof public_path, "%s/node-7.public", deep);
    (void)snprintf(secret_path, sizeof secret_path, "%s/node-7.secret", deep);
    mode_t before = umask(0);
    assert_int_equal(mn_key_file_make(deep, "node-7", line, &err), MN_OK);
    (void)umask(before);
    assert_int_equal(mode_of(secret_path), 0600);
    assert_int_equal(mode_of(public_path), 0644);
    assert_int_equal(mn_key_file_read_secret(secret_path, secret, &err), MN_OK);
    assert_int_equal(mn_key_file_read_public(public_path, take, &taken, &err), MN_OK);
    assert_int_equal(taken.n, 1);
    assert_string_equal(taken.names[0], "node-7");
    assert_int_equal(mn_wire_public_key(secret, public, NULL), MN_OK);
    assert_string_equal(taken.keys[0], public);
    assert_non_null(strstr(line, public));
}

static void keys_that_are_there_are_never_overwritten(void **state)
{
    (void)state;
    char line[128], secret_path[96], public_path[96], before[41], after[41];
    (void)snprintf(secret_path, sizeof secret_path, "%s/w.secret", folder);
    (void)snprintf(public_path, sizeof public_path, "%s/w.public", folder);
    assert_int_equal(mn_key_file_make(folder, "w", line, &err), MN_OK);
    assert_int_equal(mn_key_file_read_secret(secret_path, before, &err), MN_OK);
    assert_int_equal(mn_key_file_make(folder, "w", line, &err), MN_ERR_USAGE);
    assert_non_null(strstr(err.message, "never overwritten"));
    assert_int_equal(unlink(public_path), 0); /* the secret alone is in the way too */
    assert_int_equal(mn_key_file_make(folder, "w", line, &err), MN_ERR_USAGE);
    assert_int_not_equal(access(public_path, F_OK), 0);
    assert_int_equal(mn_key_file_read_secret(secret_path, after, &err), MN_OK);
    assert_string_equal(before, after);
}

static void names_cannot_leave_the_folder_or_hide(void **state)
{
    (void)state;
    char line[128], long_name[70];
    (void)snprintf(long_name, sizeof long_name, "%064d", 0);
    const char *const bad[] = {"", ".", "..", ".x", "a/b", "a b", "a\n", "\xc3\xa9", long_name};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_int_equal(mn_key_file_make(folder, bad[i], line, &err), MN_ERR_USAGE);
    assert_true(mn_key_name_is_good(long_name + 1));
}

static void a_secret_that_others_can_read_is_refused_with_the_chmod(void **state)
{
    (void)state;
    static const mode_t open_modes[] = {0604, 0644, 0620, 0610, 0444, 0640, 0440};
    const uid_t somebody = geteuid() == 0 ? 65534 : geteuid();
    char secret[41] = "untouched", words[128];
    (void)snprintf(words, sizeof words, "chmod 600 %s", path);
    for (size_t i = 0; i < sizeof open_modes / sizeof *open_modes; i++) {
        write_file("secret: " KEY "\n", open_modes[i]);
        assert_int_equal(chown(path, somebody, (gid_t)-1), 0);
        assert_int_equal(mn_key_file_read_secret(path, secret, &err), MN_ERR_PERMISSION);
        assert_non_null(strstr(err.message, words));
    }
    assert_string_equal(secret, "untouched");
    write_file("# mine\n\nsecret: " KEY "\r\n", 0400);
    assert_int_equal(mn_key_file_read_secret(path, secret, &err), MN_OK);
    assert_string_equal(secret, KEY);
}

/* As volumes of secrets are mounted: of root, and for the group that the program is in. */
static void a_secret_of_root_may_be_read_by_its_group(void **state)
{
    (void)state;
    char secret[41];
    if (geteuid() != 0)
        skip();
    write_file("secret: " KEY "\n", 0440);
    assert_int_equal(mn_key_file_read_secret(path, secret, &err), MN_OK);
    static const mode_t open_modes[] = {0444, 0460, 0450};
    for (size_t i = 0; i < sizeof open_modes / sizeof *open_modes; i++) {
        write_file("secret: " KEY "\n", open_modes[i]);
        assert_int_equal(mn_key_file_read_secret(path, secret, &err), MN_ERR_PERMISSION);
    }
}

static void comments_names_and_keys_with_a_hash_are_told_apart(void **state)
{
    (void)state;
    struct taken taken = {0};
    write_file("# public: " KEY "\n"
               "public: " HASH_KEY "  lab_3\n"
               "\n"
               "  public:\t" KEY " # of the old machine", /* no newline at the end */
               0644);
    assert_int_equal(mn_key_file_read_public(path, take, &taken, &err), MN_OK);
    assert_int_equal(taken.n, 2);
    assert_string_equal(taken.keys[0], HASH_KEY);
    assert_string_equal(taken.names[0], "lab_3");
    assert_string_equal(taken.keys[1], KEY);
    assert_string_equal(taken.names[1], "");
}

static void damaged_files_are_refused_with_the_line_and_what_was_expected(void **state)
{
    (void)state;
    static const struct {
        bool secret;
        const char *text, *words;
    } cases[] = {
        {true, "", "expected a line \"secret: KEY\""},
        {true, "# nothing\n", "expected a line \"secret: KEY\""},
        {true, "public: " KEY "\n", ":1: this is a public key; expected \"secret: KEY\""},
        {true, "secret: " KEY "\nsecret: " KEY "\n", ":2: a second secret key"},
        {true, KEY "\n", ":1: this is not a line of a key file"},
        {true, "secret:\n", ":1: the key is missing"},
        {true, "secret: " KEY "x\n", ":1: this is not a key"},
        {false, "# x\npublic: \"" KEY "\n", ":2: this is not a key"},
        {false, "public: ~ne@$w-vo<fVvi]a<NY6T1ed:M$fCG*[IaLV{hID\n", ":1: this is not a key"},
        {false, "public: #####################################################\n", "not a key"},
        {false, "\nsecret: " KEY "\n", ":2: a secret key has no place here"},
        {false, "public: " KEY " ../x\n", ":1: the name behind the key"},
        {false, "publicly: " KEY "\n", ":1: this is not a line of a key file"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char secret[41];
        struct taken taken = {0};
        write_file(cases[i].text, 0600);
        mn_status status = cases[i].secret ? mn_key_file_read_secret(path, secret, &err)
                                           : mn_key_file_read_public(path, take, &taken, &err);
        if (status != MN_ERR_DATA || strstr(err.message, cases[i].words) == NULL)
            fail_msg("case %zu: \"%s\" does not say \"%s\"", i, err.message, cases[i].words);
        assert_null(strstr(err.message, KEY)); /* not into a log */
    }
    struct taken taken = {0};
    assert_int_equal(mn_file_write(path, "public: \0" KEY, 50, NULL), MN_OK);
    assert_int_equal(mn_key_file_read_public(path, take, &taken, &err), MN_ERR_DATA);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(mn_key_file_read_public(path, take, &taken, &err), MN_ERR_NO_INPUT);
}

static void reading_ends_where_the_taker_has_enough(void **state)
{
    (void)state;
    struct taken taken = {0};
    write_file("public: " KEY "\npublic: " KEY "\npublic: " KEY "\npublic: " KEY "\n\npublic: " KEY
               "\n",
               0644);
    assert_int_equal(mn_key_file_read_public(path, take, &taken, &err), MN_ERR_RANGE);
    assert_non_null(strstr(err.message, "file:6: enough"));
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(a_pair_that_is_made_fits_and_only_its_owner_can_read_the_secret),
        TEST(keys_that_are_there_are_never_overwritten),
        TEST(names_cannot_leave_the_folder_or_hide),
        TEST(a_secret_that_others_can_read_is_refused_with_the_chmod),
        TEST(a_secret_of_root_may_be_read_by_its_group),
        TEST(comments_names_and_keys_with_a_hash_are_told_apart),
        TEST(damaged_files_are_refused_with_the_line_and_what_was_expected),
        TEST(reading_ends_where_the_taker_has_enough),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
