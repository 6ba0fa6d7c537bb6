/* admission.h: may this worker compute with us? The reasons that REJECT gives, with both values and
 * the remedy. Pure. */
#pragma once

#include "coordinator/core/rank.h"
#include <stdbool.h>
#include <stddef.h>

/* false: no, and `reason` says why. */
bool mn_admits_hello(const mn_hello *hello, char *reason, size_t size);

/* The same for a JOIN (its kind is checked by the caller). class_open: whatever its numeric class is,
 * it will be that of all. *mixed: taken although its class is another. */
bool mn_admits_join(const mn_rank_config *config, const mn_message *join, bool class_open,
                    bool *mixed, char *reason, size_t size);

/* Does a RESULT have the form and the sizes of its leases of n_tasks in all? Evaluated tasks come
 * as rows, one each. */
bool mn_admits_result(const mn_rank_config *config, mn_round_kind kind, uint32_t n_tasks,
                      const mn_message *message, char *why, size_t size);
