/* import_survey.h: what an import has found, described before it is packed, with what a person should look at:
 * classes of few pictures, pictures that are twice, in two splits above all, or inverted. */
#pragma once

#include "worker/data/import/import_work.h"

/* Count what work->report lacks, and print all to `out` if it is not NULL. */
mn_status mn_import_survey(mn_import_work *work, const mn_pack_index *index, FILE *out,
                           mn_error *err);
