#include "common/descriptors.h"

#include <sys/resource.h>

uint64_t mn_descriptors_raise(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
        return 0;
    const rlim_t now = limit.rlim_cur;
    const rlim_t most = limit.rlim_max < MN_DESCRIPTORS_MOST ? limit.rlim_max : MN_DESCRIPTORS_MOST;
    if (now >= most)
        return now;
    limit.rlim_cur = most;
    return setrlimit(RLIMIT_NOFILE, &limit) == 0 ? most : now;
}
