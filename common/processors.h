/* processors.h: how many threads this process can keep busy. */
#pragma once

#include <stdint.h>

/* Those that the process is bound to (taskset, mpirun --bind-to, a cpuset). At least 1. */
uint32_t mn_processors_bound(void);

/* The processors' worth of time that its control groups allow (docker --cpus, a limit of
 * Kubernetes, CPUQuota=), rounded up; UINT32_MAX: any number. More threads would only take turns. */
uint32_t mn_processors_quota(void);

/* The same from other places than /proc/self/cgroup and /sys/fs/cgroup. */
uint32_t mn_processors_quota_in(const char *membership, const char *groups);
