/* For any number of ranks: the suite runs it alone and under mpirun -n 3. */
#include "coordinator/links/job.h"

#include "coordinator/links/rank_link.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zmq.h>

#include <cmocka.h>

static mn_job job;

static void all_ranks_learn_which_one_failed_and_why(void **state)
{
    (void)state;
    mn_error err = {0};
    uint32_t unlucky = job.n_ranks - 1;
    assert_int_equal(mn_job_agree(&job, MN_OK, &err), MN_OK);
    mn_status status = MN_OK;
    if (job.rank == unlucky)
        status = mn_fail(&err, MN_ERR_NO_INPUT, "no such file");
    assert_int_equal(mn_job_agree(&job, status, &err), MN_ERR_NO_INPUT);
    assert_non_null(strstr(err.message, "no such file"));
    if (job.n_ranks > 1) {
        char name[32];
        (void)snprintf(name, sizeof name, "rank %u (", unlucky);
        assert_int_equal(strncmp(err.message, name, strlen(name)), 0);
    }
}

static void text_and_bytes_come_from_rank_0(void **state)
{
    (void)state;
    char *text = job.rank == 0 ? strdup("seed: 1\n") : NULL;
    uint32_t bytes[2] = {job.rank + 7, job.rank + 8};
    assert_int_equal(mn_job_share_text(&job, &text, NULL), MN_OK);
    assert_string_equal(text, "seed: 1\n");
    free(text);
    mn_job_share(&job, bytes, sizeof bytes);
    assert_int_equal(bytes[1], 8);
}

/* Alone this is a process that nobody launched; the suite's other runs are of mpirun. */
static void mpi_is_started_only_where_somebody_launched_us(void **state)
{
    (void)state;
    int started = 0;
    MPI_Initialized(&started);
    assert_int_equal(started, getenv("OMPI_COMM_WORLD_SIZE") != NULL);
    assert_int_equal(job.comm != MPI_COMM_NULL, started);
    assert_true(job.n_here >= 1 && job.n_here <= job.n_ranks);
    assert_true(job.host[0] != '\0');
}

/* As a launcher leaves it whose word MPI does not hear. */
static void one_of_several_that_know_nothing_of_each_other_is_told_so(void **state)
{
    (void)state;
    char text[MN_JOB_WARNING];
    const mn_job alone = {.n_ranks = 1};
    const mn_job joined = {.n_ranks = 4};
    char *before = getenv("OMPI_COMM_WORLD_SIZE"); /* of mpirun, when this test has ranks */
    before = before != NULL ? strdup(before) : NULL;
    assert_int_equal(unsetenv("OMPI_COMM_WORLD_SIZE"), 0);
    mn_job_tell_lonely(&alone, text);
    assert_string_equal(text, "");
    assert_int_equal(setenv("SLURM_STEP_NUM_TASKS", "4", 1), 0);
    mn_job_tell_lonely(&alone, text);
    assert_non_null(strstr(text, "SLURM_STEP_NUM_TASKS=4"));
    assert_non_null(strstr(text, "srun --mpi=pmix"));
    mn_job_tell_lonely(&joined, text);
    assert_string_equal(text, "");
    assert_int_equal(setenv("OMPI_COMM_WORLD_SIZE", "1", 1), 0); /* mpirun -n 1 within the step */
    mn_job_tell_lonely(&alone, text);
    assert_string_equal(text, "");
    assert_int_equal(setenv("OMPI_COMM_WORLD_SIZE", "2", 1), 0);
    mn_job_tell_lonely(&alone, text);
    assert_non_null(strstr(text, "OMPI_COMM_WORLD_SIZE=2"));
    assert_int_equal(unsetenv("OMPI_COMM_WORLD_SIZE"), 0);
    assert_int_equal(unsetenv("SLURM_STEP_NUM_TASKS"), 0);
    if (before != NULL)
        assert_int_equal(setenv("OMPI_COMM_WORLD_SIZE", before, 1), 0);
    free(before);
}

static void rank_0_gathers_in_order(void **state)
{
    (void)state;
    uint32_t *all = calloc(job.n_ranks, sizeof *all);
    const uint32_t mine = job.rank * 10;
    mn_job_gather(&job, &mine, sizeof mine, all);
    for (uint32_t i = 0; job.rank == 0 && i < job.n_ranks; i++)
        assert_int_equal(all[i], i * 10);
    free(all);
}

static void unlike_digests_are_refused_unless_welcome(void **state)
{
    (void)state;
    mn_error err = {0};
    bool equal = false;
    mn_digest mine = {.bytes = {1}};
    assert_int_equal(mn_job_compare(&job, &mine, "the class", true, &equal, &err), MN_OK);
    assert_true(equal);
    mine.bytes[0] = job.rank == job.n_ranks - 1 ? 2 : 1;
    mn_status expected = job.n_ranks == 1 ? MN_OK : MN_ERR_CONFIG;
    assert_int_equal(mn_job_compare(&job, &mine, "the class", true, &equal, &err), expected);
    assert_int_equal(equal, job.n_ranks == 1);
    if (expected != MN_OK)
        assert_non_null(strstr(err.message, "the class is 02"));
    assert_int_equal(mn_job_compare(&job, &mine, "the class", false, &equal, &err), MN_OK);
    assert_int_equal(equal, job.n_ranks == 1);
}

static bool wait_for(mn_rank_link *link, uint32_t *from, mn_message *message)
{
    mn_status status = MN_OK;
    mn_error err;
    while (!mn_rank_link_receive(link, from, message, &status, &err)) {
        zmq_pollitem_t item = {.socket = mn_rank_link_socket(link), .events = ZMQ_POLLIN};
        assert_int_equal(zmq_poll(&item, 1, -1), 1);
    }
    return status == MN_OK;
}

static void leader_and_ranks_hear_each_other(void **state)
{
    (void)state;
    void *context = zmq_ctx_new();
    mn_rank_link *link = NULL;
    mn_message message = {0};
    uint32_t from = 0;
    assert_int_equal(mn_rank_link_new(context, &job, &link, NULL), MN_OK);
    assert_int_equal(link == NULL, job.n_ranks == 1);
    uint64_t heard = 0;
    for (uint32_t i = 1; i < job.n_ranks && job.rank == 0; i++) {
        assert_true(wait_for(link, &from, &message));
        assert_int_equal(message.kind, MN_MSG_ASK);
        assert_int_equal(message.ask.threads, 10 + from);
        heard |= UINT64_C(1) << from;
        const mn_message answer = {
            .kind = MN_MSG_ROUND,
            .round = {.id = from, .kind = MN_ROUND_TRAIN, .split = MN_TRAIN, .n_tasks = 5}};
        assert_int_equal(mn_rank_link_send(link, from, &answer, NULL), MN_OK);
    }
    if (job.rank == 0) {
        assert_true(heard == (UINT64_C(1) << job.n_ranks) - 2);
    } else {
        const mn_message ask = {.kind = MN_MSG_ASK, .ask.threads = 10 + job.rank};
        assert_int_equal(mn_rank_link_send(link, 0, &ask, NULL), MN_OK);
        assert_true(wait_for(link, &from, &message));
        assert_int_equal(message.kind, MN_MSG_ROUND);
        assert_int_equal(message.round.id, job.rank);
    }
    mn_rank_link_destroy(&link);
    assert_int_equal(zmq_ctx_term(context), 0);
}

int main(void)
{
    if (mn_job_begin(&job, NULL) != MN_OK)
        return 1;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(mpi_is_started_only_where_somebody_launched_us),
        cmocka_unit_test(all_ranks_learn_which_one_failed_and_why),
        cmocka_unit_test(text_and_bytes_come_from_rank_0),
        cmocka_unit_test(rank_0_gathers_in_order),
        cmocka_unit_test(one_of_several_that_know_nothing_of_each_other_is_told_so),
        cmocka_unit_test(unlike_digests_are_refused_unless_welcome),
        cmocka_unit_test(leader_and_ranks_hear_each_other),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    mn_job_end(&job);
    return failed;
}
