#include "coordinator/run/progress.h"

#include "common/log.h"
#include <pthread.h>
#include <pty.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

#include <cmocka.h>

#define SECOND UINT64_C(1000000)

static mn_score kinds[] = {
    {.name = "loss"}, {.name = "support_loss"}, {.name = "accuracy", .is_share = true}};
static const mn_score_list with_accuracy = {.n = 3, .at = kinds, .judged = 2};
static const mn_score_list loss_alone = {.n = 2, .at = kinds};

static mn_step_record record(uint64_t step, double loss)
{
    static double scores[3];
    scores[0] = loss;
    scores[1] = 7;
    scores[2] = 0.5;
    return (mn_step_record){
        .step = step, .scores = scores, .tasks_per_s = 410, .threads = 4, .workers = 3};
}

static void the_line_tells_step_loss_speed_pool_and_time_left(void **state)
{
    (void)state;
    const mn_progress_config config = {.quiet = true, .scores = &with_accuracy, .steps = 1000};
    mn_progress *progress = NULL;
    char text[256];
    assert_int_equal(mn_progress_new(&config, &progress, NULL), MN_OK);
    for (uint64_t step = 1; step <= 10; step++) {
        const mn_step_record done = record(step, step % 2 == 0 ? 1 : 2);
        mn_progress_step(progress, &done, step * 2 * SECOND);
    }
    mn_progress_text(progress, text, sizeof text);
    assert_string_equal(text, "step 10/1000  loss 1.5000  accuracy 50.0 %  410 tasks/s  "
                              "4 threads (3 workers)  ETA 33:00"); /* 990 steps of 2 s */
    mn_progress_evaluation(progress, "test", 30, 600, 0);
    mn_progress_text(progress, text, sizeof text);
    assert_string_equal(text, "test: 30/600 tasks");
    mn_progress_destroy(&progress);
}

/* A line that wraps leaves its beginning behind at every drawing. */
static void a_narrow_terminal_gets_the_part_that_fits(void **state)
{
    (void)state;
    int master = -1;
    int slave = -1;
    char screen[256] = "";
    const struct winsize narrow = {.ws_row = 25, .ws_col = 21};
    if (openpty(&master, &slave, NULL, NULL, &narrow) != 0)
        skip();
    FILE *terminal = fdopen(slave, "w");
    const mn_progress_config config = {.terminal = terminal, .scores = &loss_alone, .steps = 2};
    const mn_step_record done = record(1, 3);
    mn_progress *progress = NULL;
    assert_int_equal(mn_progress_new(&config, &progress, NULL), MN_OK);
    mn_progress_step(progress, &done, SECOND);
    assert_true(read(master, screen, sizeof screen - 1) > 0);
    assert_string_equal(screen, "\rstep 1/2  loss 3.000\033[K");
    assert_int_equal(tcflow(slave, TCOOFF), 0); /* as Ctrl-S does: nothing of this may wait */
    for (uint64_t i = 2; i < 10000; i++)
        mn_progress_step(progress, &done, i * SECOND);
    mn_progress_destroy(&progress);
    assert_int_equal(tcflow(slave, TCOON), 0);
    (void)fclose(terminal);
    (void)close(master);
}

static void a_log_line_clears_the_live_line_and_draws_it_again(void **state)
{
    (void)state;
    char *screen = NULL;
    size_t n = 0;
    FILE *terminal = open_memstream(&screen, &n);
    assert_non_null(terminal);
    const mn_progress_config config = {.terminal = terminal, .scores = &loss_alone, .steps = 2};
    const mn_step_record done = record(1, 3);
    mn_progress *progress = NULL;
    assert_int_equal(mn_progress_new(&config, &progress, NULL), MN_OK);
    mn_progress_step(progress, &done, SECOND);
    assert_non_null(strstr(screen, "\rstep 1/2  loss 3.0000  410 tasks/s"));
    size_t before = n;
    mn_log(MN_LOG_INFO, "a line in between");
    assert_true(strncmp(screen + before, "\r\033[K", 4) == 0);
    assert_non_null(strstr(screen + before + 4, "\rstep 1/2"));
    mn_progress_destroy(&progress);
    assert_string_equal(screen + n - 4, "\r\033[K");
    before = n;
    mn_log(MN_LOG_INFO, "the hooks are gone");
    assert_int_equal(n, before);
    (void)fclose(terminal);
    free(screen);
}

static void the_live_line_is_not_drawn_more_often_than_an_eye_can_see(void **state)
{
    (void)state;
    char *screen = NULL;
    size_t n = 0;
    FILE *terminal = open_memstream(&screen, &n);
    const mn_progress_config config = {.terminal = terminal, .scores = &loss_alone, .steps = 9};
    const mn_step_record done = record(1, 3);
    mn_progress *progress = NULL;
    assert_int_equal(mn_progress_new(&config, &progress, NULL), MN_OK);
    mn_progress_step(progress, &done, SECOND);
    size_t first = n;
    mn_progress_step(progress, &done, SECOND + 1000);
    assert_int_equal(n, first);
    mn_progress_step(progress, &done, SECOND + 200000);
    assert_true(n > first);
    mn_progress_destroy(&progress);
    (void)fclose(terminal);
    free(screen);
}

/* As the page's thread does; under a sanitizer this finds what is not guarded. */
static void *log_on(void *user)
{
    (void)user;
    for (int i = 0; i < 300; i++)
        mn_log(MN_LOG_INFO, "a line of another thread");
    return NULL;
}

static void other_threads_may_log_meanwhile(void **state)
{
    (void)state;
    char *screen = NULL;
    size_t n = 0;
    pthread_t thread;
    FILE *terminal = open_memstream(&screen, &n);
    const mn_progress_config config = {.terminal = terminal, .scores = &loss_alone, .steps = 9};
    mn_progress *progress = NULL;
    const int quiet = dup(STDERR_FILENO);
    assert_non_null(freopen("/dev/null", "w", stderr));
    assert_int_equal(mn_progress_new(&config, &progress, NULL), MN_OK);
    assert_int_equal(pthread_create(&thread, NULL, log_on, NULL), 0);
    for (uint64_t i = 1; i <= 300; i++) {
        const mn_step_record done = record(i, 3);
        mn_progress_step(progress, &done, i * SECOND);
        mn_progress_evaluation(progress, "test", (uint32_t)i, 300, i * SECOND);
    }
    assert_int_equal(pthread_join(thread, NULL), 0);
    mn_progress_destroy(&progress);
    assert_int_equal(dup2(quiet, STDERR_FILENO), STDERR_FILENO);
    (void)close(quiet);
    (void)fclose(terminal);
    free(screen);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_line_tells_step_loss_speed_pool_and_time_left),
        cmocka_unit_test(a_log_line_clears_the_live_line_and_draws_it_again),
        cmocka_unit_test(a_narrow_terminal_gets_the_part_that_fits),
        cmocka_unit_test(other_threads_may_log_meanwhile),
        cmocka_unit_test(the_live_line_is_not_drawn_more_often_than_an_eye_can_see),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
