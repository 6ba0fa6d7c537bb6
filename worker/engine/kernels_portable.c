#include "worker/engine/kernels_table.h"

const mn_kernels mn_kernels_portable = MN_TABLE("portable");
