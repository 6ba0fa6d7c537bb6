/* sim_main.c: sweep the simulated cluster over seeds, for long or with many workers. */
#include "common/clock.h"
#include "tests/sim/cluster.h"
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

static const char usage[] = "usage: sim [--seed N] [--seeds N] [--minutes M] [--ranks R --workers "
                            "W [--steps S] [--batch B]\n"
                            "           [--calm]]\n"
                            "Run a cluster in virtual time for each seed from --seed on (default "
                            "1): --seeds of them (default 1000), or\n"
                            "as many as there is time for. Without --workers the cluster is drawn "
                            "from the seed. Exit 1: a check failed;\n"
                            "its seed is printed.\n";

static uint64_t number(const char *text)
{
    char *end;
    uint64_t value = strtoull(text, &end, 10);
    if (end == text || *end != '\0') {
        (void)fprintf(stderr, "sim: \"%s\": expected a whole number\n%s", text, usage);
        exit(64);
    }
    return value;
}

int main(int argc, char **argv)
{
    enum { SEED, SEEDS, MINUTES, RANKS, WORKERS, STEPS, BATCH, N_NUMBERS, CALM, HELP };
    static const struct option names[] = {
        {"seed", required_argument, NULL, SEED},
        {"seeds", required_argument, NULL, SEEDS},
        {"minutes", required_argument, NULL, MINUTES},
        {"ranks", required_argument, NULL, RANKS},
        {"workers", required_argument, NULL, WORKERS},
        {"steps", required_argument, NULL, STEPS},
        {"batch", required_argument, NULL, BATCH},
        {"calm", no_argument, NULL, CALM},
        {"help", no_argument, NULL, HELP},
        {0},
    };
    uint64_t given[N_NUMBERS] = {
        [SEED] = 1, [SEEDS] = 1000, [RANKS] = 2, [STEPS] = 10, [BATCH] = 4096};
    bool calm = false;
    for (int option; (option = getopt_long(argc, argv, "", names, NULL)) != -1;) {
        if (option == HELP) {
            (void)fputs(usage, stdout);
            return 0;
        }
        if (option == '?') {
            (void)fputs(usage, stderr);
            return 64;
        }
        if (option == CALM)
            calm = true;
        else
            given[option] = number(optarg);
    }

    double began = mn_clock_s(CLOCK_MONOTONIC), limit_s = 60.0 * (double)given[MINUTES];
    mn_sim_report sum = {0};
    uint64_t runs = 0, complete = 0;
    for (uint64_t seed = given[SEED];
         limit_s > 0 ? mn_clock_s(CLOCK_MONOTONIC) - began < limit_s : runs < given[SEEDS];
         seed++) {
        mn_sim_options options = mn_sim_draw(seed);
        if (given[WORKERS] > 0) {
            options = (mn_sim_options){.seed = seed,
                                       .ranks = (uint32_t)given[RANKS],
                                       .workers = (uint32_t)given[WORKERS],
                                       .steps = (uint32_t)given[STEPS],
                                       .batch = (uint32_t)given[BATCH],
                                       .faults = true};
        }
        options.faults = options.faults && !calm;
        mn_sim_report report = mn_sim_run(&options);
        if (!report.ok) {
            (void)printf("%s\n", report.failure);
            return 1;
        }
        runs++;
        complete += report.complete;
        sum.events += report.events;
        sum.rounds += report.rounds;
        sum.accepted += report.accepted;
        sum.refused += report.refused;
        sum.expired += report.expired;
        sum.lost += report.lost;
        sum.virtual_s += report.virtual_s;
    }
    double took = mn_clock_s(CLOCK_MONOTONIC) - began;
    (void)printf("runs=%" PRIu64 " complete=%" PRIu64 " rounds=%" PRIu64 " accepted=%" PRIu64
                 " refused=%" PRIu64 " expired=%" PRIu64 " lost=%" PRIu64
                 " virtual_s=%.0f events=%" PRIu64 " seconds=%.2f events_per_minute=%.3g\n",
                 runs, complete, sum.rounds, sum.accepted, sum.refused, sum.expired, sum.lost,
                 sum.virtual_s, sum.events, took, (double)sum.events / took * 60);
    return 0;
}
