/* kernels_tables.h: the tables that a build may have beside the reference; kernels.c asks the
 * machine which of them it can run. */
#pragma once

#include "worker/engine/kernels.h"

/* Vectors of 16 bytes, as the compiler's base instruction set has them. */
extern const mn_kernels mn_kernels_portable;

/* x86-64 only: AVX2 with FMA; AVX-512 F, VL, BW and DQ. */
extern const mn_kernels mn_kernels_avx2;
extern const mn_kernels mn_kernels_avx512;
