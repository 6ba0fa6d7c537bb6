/* vector_clones.h: a plain loop for the vector units that are there.
 * GCC compiles a function marked with MN_VECTOR_CLONES twice, for AVX2 with FMA and for the
 * baseline, and the loader takes the better. Only for operations that have one right result, so
 * that both give the same bits. (AVX-512 gains nothing where it is marked.) Sanitizers cannot be
 * had with it: the loader chooses before they are started. */
#pragma once

#if defined(__x86_64__) && defined(__GLIBC__) && defined(__GNUC__) && !defined(__clang__) &&       \
    !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
#define MN_VECTOR_CLONES __attribute__((target_clones("arch=x86-64-v3", "default")))
#else
#define MN_VECTOR_CLONES
#endif
