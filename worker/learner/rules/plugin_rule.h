/* plugin_rule.h: rules of plug-ins (mnemo/plugin.h) beside our own. What is added here stays and is
 * written before there are threads. */
#pragma once

#include "worker/learner/rules/rule.h"
#include "worker/library/mnemo/plugin.h"

/* meta.kind `value` is this kind, which is copied; what it points to lasts as long as the process.
 * MN_ERR_CONFIG: no room. */
mn_status mn_plugin_rule_add(const mnemo_rule_kind *kind, unsigned value, mn_error *err);

/* The row of a rule from outside; NULL: there is none of this value. */
const mn_rule_kind *mn_plugin_rule_kind(unsigned value);

/* Fill in what rules ask of the host. */
void mn_plugin_rule_host(mnemo_host *host);
