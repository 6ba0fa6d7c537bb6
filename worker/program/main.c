/* mnemo-worker: join a run and compute its tasks. */
#include "common/log.h"
#include "common/processors.h"
#include "proto/key_file.h"
#include "worker/plugin/plugin.h"
#include "worker/program/worker.h"

#include <errno.h>
#include <getopt.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define DEFAULT_PATIENCE_S 600
#define MAX_THREADS 4096

static const char help[] =
    "usage: mnemo-worker [options] ENDPOINT\n"
    "\n"
    "Join a running meta-training and compute its tasks until it is over. The experiment comes "
    "from\n"
    "the coordinator; data files are found here by their digest.\n"
    "\n"
    "ENDPOINT is tcp://HOST:PORT, the endpoint file of a run, or the run's folder. A file is read "
    "again\n"
    "before each dial, so that a run may move; several ranks in it share the workers. One that is\n"
    "not there yet is waited for; if not even its folder is there, that is told at once.\n"
    "\n"
    "options:\n"
    "  --threads N      threads that compute (default: all cores that this process may use)\n"
    "  --data PATHS     folders to look for data files in, ':' between (default: as "
    "run.data_path)\n"
    "  --plugin FILE    load a plug-in that the experiment needs; as often as you like\n"
    "  --patience S     seconds without a coordinator until giving up (default: 600)\n"
    "  --once           do not wait for a coordinator that is not there\n"
    "  --name NAME      what the coordinator calls this worker (default: HOST:PID)\n"
    "  --key KEY        public key of the coordinator (Z85), for a tcp:// endpoint; files hold it\n"
    "  --secret FILE    this worker's secret key, for a run that takes workers with keys only:\n"
    "                   NAME.secret as `mnemo keys` made it (default: MNEMO_WORKER_SECRET)\n"
    "  --quiet          say only what goes wrong\n"
    "  --verbose        say more\n"
    "  --help           print this and end\n"
    "  --version        print the version and end\n"
    "\n"
    "environment: MNEMO_WORKER_SECRET: file with the secret key; MNEMO_DATA: folders of data "
    "files;\n"
    "MNEMO_PLUGINS: plug-ins, ':' between.\n"
    "\n"
    "SIGTERM, SIGINT and SIGHUP give the tasks back and end; a second signal ends at once.\n"
    "\n"
    "exit codes:\n"
    "  0   the run is over, or a signal asked to leave\n"
    "  64  wrong command line\n"
    "  65  other data than the coordinator's, damaged data, or not an endpoint file\n"
    "  66  missing data (the message says which file and where to put it), or with --once no "
    "endpoint\n"
    "      file\n"
    "  69  no coordinator was heard for the time of --patience\n"
    "  71  out of memory\n"
    "  74  input or output failed\n"
    "  76  refused by the coordinator: another version or another numeric class; the message says "
    "which\n"
    "  77  this worker's key is missing, open to others, or not on the coordinator's allow-list\n"
    "  78  an endpoint, key or experiment that cannot be used\n";

static mn_status read_options(int argc, char **argv, mn_worker_options *options,
                              char secret[MN_WIRE_KEY_CHARS + 1], mn_log_level *level,
                              mn_error *err);

int main(int argc, char **argv)
{
    mn_error err = {0};
    mn_worker_options options = {.patience_s = DEFAULT_PATIENCE_S};
    mn_log_level level = MN_LOG_INFO;
    char secret[MN_WIRE_KEY_CHARS + 1] = "", who[96];
    (void)signal(SIGXFSZ, SIG_IGN); /* neither a log beyond a quota */
    (void)signal(SIGPIPE, SIG_IGN); /* nor one whose reader has gone ends the work */
    mn_status status = read_options(argc, argv, &options, secret, &level, &err);
    if (status == MN_OK) {
        (void)snprintf(who, sizeof who, "worker %d", (int)getpid());
        mn_log_init(level, options.name != NULL ? options.name : who);
        status = mn_worker_run(&options, &err);
        explicit_bzero(secret, sizeof secret);
    }
    if (status != MN_OK)
        mn_log_last_word("mnemo-worker: %s: %s", mn_status_text(status), err.message);
    return mn_status_exit_code(status);
}

/* --help and --version print and end here. */
static void print_and_end(const char *text)
{
    bool failed = fputs(text, stdout) == EOF || fflush(stdout) != 0;
    exit(failed ? mn_status_exit_code(MN_ERR_IO) : EXIT_SUCCESS);
}

static uint32_t allowed_cores(void)
{
    const uint32_t bound = mn_processors_bound();
    const uint32_t quota = mn_processors_quota();
    return bound < quota ? bound : quota;
}

static mn_status read_number(const char *option, const char *text, uint64_t low, uint64_t high,
                             uint64_t *out, mn_error *err)
{
    char *end = NULL;
    errno = 0;
    unsigned long long value = strtoull(text, &end, 10);
    if (errno != 0 || end == text || *end != '\0' || text[0] == '-' || value < low || value > high)
        return mn_fail(err, MN_ERR_USAGE, "%s is \"%s\"; expected a number from %llu to %llu",
                       option, text, (unsigned long long)low, (unsigned long long)high);
    *out = value;
    return MN_OK;
}

static mn_status read_options(int argc, char **argv, mn_worker_options *options,
                              char secret[MN_WIRE_KEY_CHARS + 1], mn_log_level *level,
                              mn_error *err)
{
    static const struct option names[] = {{"threads", required_argument, NULL, 't'},
                                          {"data", required_argument, NULL, 'd'},
                                          {"patience", required_argument, NULL, 'p'},
                                          {"once", no_argument, NULL, 'o'},
                                          {"name", required_argument, NULL, 'n'},
                                          {"key", required_argument, NULL, 'k'},
                                          {"plugin", required_argument, NULL, 'P'},
                                          {"secret", required_argument, NULL, 's'},
                                          {"quiet", no_argument, NULL, 'q'},
                                          {"verbose", no_argument, NULL, 'v'},
                                          {"help", no_argument, NULL, 'h'},
                                          {"version", no_argument, NULL, 'V'},
                                          {NULL, 0, NULL, 0}};
    const char *secret_file = getenv("MNEMO_WORKER_SECRET");
    uint64_t threads = allowed_cores();
    mn_status status = mn_plugin_load_list(getenv("MNEMO_PLUGINS"), err);
    opterr = 0;
    for (int c; status == MN_OK && (c = getopt_long(argc, argv, "", names, NULL)) != -1;) {
        switch (c) {
        case 't':
            status = read_number("--threads", optarg, 1, MAX_THREADS, &threads, err);
            break;
        case 'd':
            options->data_path = optarg;
            break;
        case 'p':
            status = read_number("--patience", optarg, 0, INT_MAX, &options->patience_s, err);
            break;
        case 'o':
            options->once = true;
            break;
        case 'n':
            options->name = optarg;
            break;
        case 'k':
            options->key = optarg;
            break;
        case 'P':
            status = mn_plugin_load(optarg, err);
            break;
        case 's':
            secret_file = optarg;
            break;
        case 'q':
            *level = MN_LOG_ERROR;
            break;
        case 'v':
            *level = MN_LOG_DEBUG;
            break;
        case 'h':
            print_and_end(help);
            break;
        case 'V':
            print_and_end("mnemo-worker " MN_VERSION "\n");
            break;
        default:
            status = mn_fail(err, MN_ERR_USAGE,
                             "%s: no such option, or its value is missing; see "
                             "mnemo-worker --help",
                             argv[optind - 1]);
        }
    }
    if (status == MN_OK && optind + 1 != argc)
        status = mn_fail(err, MN_ERR_USAGE,
                         "expected one ENDPOINT (tcp://HOST:PORT, an endpoint file or "
                         "a run's folder); see mnemo-worker --help");
    if (status == MN_OK && secret_file != NULL && secret_file[0] != '\0') {
        status = mn_key_file_read_secret(secret_file, secret, err);
        options->secret_key = secret;
    }
    options->threads = (uint32_t)threads;
    if (status == MN_OK)
        options->endpoint = argv[optind];
    return status;
}
