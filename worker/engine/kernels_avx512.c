#include "worker/engine/kernels_table.h"

const mn_kernels mn_kernels_avx512 = MN_TABLE("avx512");
