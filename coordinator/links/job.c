#include "coordinator/links/job.h"

#include "common/log.h"
#include <arpa/inet.h>
#include <ifaddrs.h>
#include <limits.h>
#include <net/if.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static bool has_launcher(void);
static bool address_of_route(int family, char text[MN_ADDRESS_CHARS]);
static bool address_in(const struct ifaddrs *list, int family, char text[MN_ADDRESS_CHARS]);
static bool address_text(const struct sockaddr *address, char text[MN_ADDRESS_CHARS]);

mn_status mn_job_begin(mn_job *job, mn_error *err)
{
    int provided = 0;
    int rank = 0;
    int n_ranks = 0;
    int n_here = 0;
    MPI_Comm here = MPI_COMM_NULL;
    *job = (mn_job){.comm = MPI_COMM_NULL, .n_ranks = 1, .n_here = 1, .one_host = true};
    if (gethostname(job->host, sizeof job->host - 1) != 0)
        (void)snprintf(job->host, sizeof job->host, "?");
    if (!has_launcher())
        return MN_OK;
    job->n_ranks = 0; /* until MPI has begun there is nothing to end */
    if (MPI_Init_thread(NULL, NULL, MPI_THREAD_FUNNELED, &provided) != MPI_SUCCESS)
        return mn_fail(err, MN_ERR_UNAVAILABLE, "MPI does not start; does 'mpirun hostname' work?");
    MPI_Comm_rank(MPI_COMM_WORLD, &rank);
    MPI_Comm_size(MPI_COMM_WORLD, &n_ranks);
    MPI_Comm_split_type(MPI_COMM_WORLD, MPI_COMM_TYPE_SHARED, rank, MPI_INFO_NULL, &here);
    MPI_Comm_size(here, &n_here);
    MPI_Comm_free(&here);
    int all_here = n_here == n_ranks;
    MPI_Allreduce(MPI_IN_PLACE, &all_here, 1, MPI_INT, MPI_MIN, MPI_COMM_WORLD);
    job->comm = MPI_COMM_WORLD;
    job->rank = (uint32_t)rank;
    job->n_ranks = (uint32_t)n_ranks;
    job->n_here = (uint32_t)n_here;
    job->one_host = all_here != 0;
    if (provided < MPI_THREAD_FUNNELED)
        return mn_fail(err, MN_ERR_UNAVAILABLE,
                       "this MPI has no thread support (MPI_THREAD_FUNNELED is needed)");
    return MN_OK;
}

void mn_job_end(mn_job *job)
{
    if (job->n_ranks > 0 && job->comm != MPI_COMM_NULL)
        MPI_Finalize();
    job->n_ranks = 0;
}

void mn_job_abort(const mn_job *job, int exit_code)
{
    if (job->n_ranks > 1)
        MPI_Abort(job->comm, exit_code);
    _exit(exit_code); /* of a job of one there is nobody else to end */
}

mn_status mn_job_agree(const mn_job *job, mn_status status, mn_error *err)
{
    struct {
        int status;
        char host[256];
        char message[sizeof((mn_error *)0)->message];
    } word = {.status = (int)status};
    const int n_ranks = (int)job->n_ranks;
    if (n_ranks == 1)
        return status;
    int first = status == MN_OK ? n_ranks : (int)job->rank;
    MPI_Allreduce(MPI_IN_PLACE, &first, 1, MPI_INT, MPI_MIN, job->comm);
    if (first == n_ranks)
        return MN_OK;
    if (first == (int)job->rank) {
        memcpy(word.host, job->host, sizeof word.host);
        if (err != NULL)
            memcpy(word.message, err->message, sizeof word.message);
    }
    MPI_Bcast(&word, (int)sizeof word, MPI_BYTE, first, job->comm);
    return mn_fail(err, (mn_status)word.status, "rank %d (%s): %s", first, word.host, word.message);
}

void mn_job_share(const mn_job *job, void *bytes, size_t n)
{
    for (size_t done = 0; done < n && job->n_ranks > 1;) {
        size_t part = n - done < INT_MAX ? n - done : INT_MAX;
        MPI_Bcast((char *)bytes + done, (int)part, MPI_BYTE, 0, job->comm);
        done += part;
    }
}

mn_status mn_job_share_text(const mn_job *job, char **text, mn_error *err)
{
    uint64_t n = job->rank == 0 ? strlen(*text) + 1 : 0;
    mn_job_share(job, &n, sizeof n);
    mn_status status = MN_OK;
    if (job->rank != 0) {
        *text = malloc(n);
        if (*text == NULL)
            status = mn_fail(err, MN_ERR_NOMEM, "text of %zu bytes", (size_t)n);
    }
    status = mn_job_agree(job, status, err);
    if (status == MN_OK)
        mn_job_share(job, *text, n);
    return status;
}

void mn_job_gather(const mn_job *job, const void *mine, size_t n, void *all)
{
    if (job->n_ranks == 1)
        memcpy(all, mine, n);
    else
        MPI_Gather(mine, (int)n, MPI_BYTE, all, (int)n, MPI_BYTE, 0, job->comm);
}

mn_status mn_job_compare(const mn_job *job, const mn_digest *mine, const char *what, bool must,
                         bool *equal, mn_error *err)
{
    char here[65];
    char there[65];
    mn_digest first = *mine;
    mn_job_share(job, &first, sizeof first);
    *equal = memcmp(&first, mine, sizeof first) == 0;
    mn_status status = MN_OK;
    if (!*equal) {
        mn_digest_hex(mine, here);
        mn_digest_hex(&first, there);
        status =
            mn_fail(err, MN_ERR_CONFIG,
                    "%s is %.16s..., that of rank 0 is %.16s...: its processor or kernels give "
                    "other bits. Give all ranks the same kernels (environment MNEMO_KERNELS), "
                    "or accept it with pool.any_numeric_class=true",
                    what, here, there);
    }
    if (!must && status != MN_OK) {
        mn_log(MN_LOG_WARN, "%s", err->message);
        status = MN_OK;
    }
    int all_equal = *equal;
    if (job->n_ranks > 1)
        MPI_Allreduce(MPI_IN_PLACE, &all_equal, 1, MPI_INT, MPI_MIN, job->comm);
    *equal = all_equal != 0;
    return mn_job_agree(job, status, err);
}

mn_status mn_job_address(char text[MN_ADDRESS_CHARS], mn_error *err)
{
    struct ifaddrs *list = NULL;
    if (getifaddrs(&list) != 0)
        return mn_fail_errno(err, "list the network interfaces");
    const bool found = address_of_route(AF_INET, text) || address_in(list, AF_INET, text) ||
                       address_of_route(AF_INET6, text) || address_in(list, AF_INET6, text);
    freeifaddrs(list);
    if (!found)
        return mn_fail(err, MN_ERR_UNAVAILABLE,
                       "this machine has no network address that others could reach");
    return MN_OK;
}

/* Who starts several processes tells each by the environment which it is: mpirun, PMIx (srun, flux,
 * prun), PMI (Hydra, Slurm), ALPS and PALS, MVAPICH. A variable that is there for another reason costs
 * no more than the start of MPI. */
static bool has_launcher(void)
{
    static const char *const prefixes[] = {
        "OMPI_COMM_WORLD_", "PMIX_", "PMI_", "SLURM_STEP_", "FLUX_", "ALPS_", "PALS_",
        "MV2_COMM_WORLD_"};
    for (char **variable = environ; *variable != NULL; variable++)
        for (size_t i = 0; i < sizeof prefixes / sizeof *prefixes; i++)
            if (strncmp(*variable, prefixes[i], strlen(prefixes[i])) == 0)
                return true;
    return false;
}

/* What the system would send from to somewhere far. To connect a datagram socket sends nothing. */
static bool address_of_route(int family, char text[MN_ADDRESS_CHARS])
{
    struct sockaddr_in far4 = {.sin_family = AF_INET, .sin_port = htons(9)};
    struct sockaddr_in6 far6 = {.sin6_family = AF_INET6, .sin6_port = htons(9)};
    struct sockaddr_storage own = {0};
    socklen_t n = sizeof own;
    (void)inet_pton(AF_INET, "203.0.113.1", &far4.sin_addr); /* kept for documentation: nobody's */
    (void)inet_pton(AF_INET6, "2001:db8::1", &far6.sin6_addr);
    const int probe = socket(family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    const bool known =
        probe >= 0 &&
        (family == AF_INET ? connect(probe, (const struct sockaddr *)&far4, sizeof far4)
                           : connect(probe, (const struct sockaddr *)&far6, sizeof far6)) == 0 &&
        getsockname(probe, (struct sockaddr *)&own, &n) == 0;
    if (probe >= 0)
        (void)close(probe);
    return known && address_text((const struct sockaddr *)&own, text);
}

static bool address_in(const struct ifaddrs *list, int family, char text[MN_ADDRESS_CHARS])
{
    for (const struct ifaddrs *i = list; i != NULL; i = i->ifa_next)
        if (i->ifa_addr != NULL && i->ifa_addr->sa_family == family &&
            (i->ifa_flags & IFF_UP) != 0 && (i->ifa_flags & IFF_LOOPBACK) == 0 &&
            address_text(i->ifa_addr, text))
            return true;
    return false;
}

/* False for one that is of use here alone, or by one cable. */
static bool address_text(const struct sockaddr *address, char text[MN_ADDRESS_CHARS])
{
    char digits[INET6_ADDRSTRLEN];
    const bool is_six = address->sa_family == AF_INET6;
    const struct in_addr *four = &((const struct sockaddr_in *)address)->sin_addr;
    const struct in6_addr *six = &((const struct sockaddr_in6 *)address)->sin6_addr;
    if (is_six ? IN6_IS_ADDR_LINKLOCAL(six) || IN6_IS_ADDR_LOOPBACK(six)
               : ntohl(four->s_addr) >> 24 == IN_LOOPBACKNET)
        return false;
    if (inet_ntop(address->sa_family, is_six ? (const void *)six : four, digits, sizeof digits) ==
        NULL)
        return false;
    (void)snprintf(text, MN_ADDRESS_CHARS, is_six ? "[%s]" : "%s", digits);
    return true;
}

/* The first variable that is there is that of the launcher nearest to us. */
void mn_job_tell_lonely(const mn_job *job, char text[MN_JOB_WARNING])
{
    static const struct {
        const char *variable, *who;
    } launchers[] = {{"OMPI_COMM_WORLD_SIZE", "mpirun of another Open MPI"},
                     {"PMI_SIZE", "mpiexec of another MPI"},
                     {"MV2_COMM_WORLD_SIZE", "mpirun of MVAPICH"},
                     {"SLURM_STEP_NUM_TASKS", "srun without PMIx"}};
    text[0] = '\0';
    for (size_t i = 0; i < sizeof launchers / sizeof *launchers && job->n_ranks == 1; i++) {
        const char *size = getenv(launchers[i].variable);
        if (size == NULL)
            continue;
        if (strtoul(size, NULL, 10) > 1)
            (void)snprintf(text, MN_JOB_WARNING,
                           "%s processes were started (%s=%s, by %s?), but each is a job of one "
                           "rank, so all do the same. For one job start them by the mpirun of the "
                           "Open MPI that mnemo is built with, or by `srun --mpi=pmix`; for jobs "
                           "of their own give each a --run-dir",
                           size, launchers[i].variable, size, launchers[i].who);
        return;
    }
}
