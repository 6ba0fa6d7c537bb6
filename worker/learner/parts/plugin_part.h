/* plugin_part.h: parts of plug-ins (mnemo/plugin.h) beside our own. What is added here stays and is
 * written before there are threads. */
#pragma once

#include "worker/learner/parts/part.h"
#include "worker/library/mnemo/plugin.h"

/* model.<module> `value` is this kind, which is copied; what it points to lasts as long as the process.
 * MN_ERR_CONFIG: no room. */
mn_status mn_plugin_part_add(const mnemo_part_kind *kind, unsigned value, mn_error *err);

/* The row of a part from outside; NULL: there is none of this module and value. */
const mn_part *mn_plugin_part(unsigned module, unsigned value);

/* Fill in what parts ask of the host. */
void mn_plugin_part_host(mnemo_host *host);
