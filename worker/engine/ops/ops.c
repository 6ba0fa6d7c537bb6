#include "worker/engine/ops/ops.h"

#include "worker/engine/ops/op.h"

#define ROW(NAME, name) [MN_OP_##NAME] = &mn_op_##name,

const mn_op_row *const mn_op_rows[MN_N_OPS] = {MN_OPS(ROW)};

/* Each operation has a row: their number is that of the list. */
#define ONE(NAME, name) +1
_Static_assert(0 MN_OPS(ONE) == MN_N_OPS, "an operation without a row");
