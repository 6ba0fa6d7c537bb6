#include "common/thread.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static void *look_at_signals(void *argument)
{
    (void)pthread_sigmask(SIG_SETMASK, NULL, argument);
    return NULL;
}

static void a_thread_takes_no_signals_and_who_starts_it_as_before(void **state)
{
    (void)state;
    pthread_t thread;
    sigset_t before, there, after;
    (void)pthread_sigmask(SIG_SETMASK, NULL, &before);
    assert_true(mn_thread_start(&thread, look_at_signals, &there));
    assert_int_equal(pthread_join(thread, NULL), 0);
    (void)pthread_sigmask(SIG_SETMASK, NULL, &after);
    static const int signals[] = {SIGINT, SIGTERM, SIGHUP, SIGUSR1, SIGUSR2, SIGCHLD};
    for (size_t i = 0; i < sizeof signals / sizeof *signals; i++) {
        assert_int_equal(sigismember(&there, signals[i]), 1);
        assert_int_equal(sigismember(&after, signals[i]), sigismember(&before, signals[i]));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_thread_takes_no_signals_and_who_starts_it_as_before),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
