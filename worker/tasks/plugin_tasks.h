/* plugin_tasks.h: task sets of plug-ins (mnemo/plugin.h) beside our own. What is added here stays and
 * is written before there are threads. */
#pragma once

#include "worker/library/mnemo/plugin.h"
#include "worker/tasks/task_set_kind.h"

/* tasks.kind `value` is this kind, which is copied; what it points to lasts as long as the process.
 * MN_ERR_CONFIG: no room. */
mn_status mn_plugin_tasks_add(const mnemo_task_set_kind *kind, unsigned value, mn_error *err);

/* The row of a kind from outside; NULL: there is none of this value. */
const mn_task_set_kind *mn_plugin_tasks_kind(unsigned value);

/* Fill in what task sets ask of the host. */
void mn_plugin_tasks_host(mnemo_host *host);
