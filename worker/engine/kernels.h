/* kernels.h: the narrow wall between the mathematics and the instruction set.
 * One table of functions per instruction set, chosen once at the start; `plain` is the reference
 * that the others are tested against. Every kernel is a pure function of its arguments, runs on one
 * thread, takes no memory but some 80 KiB of stack, and gives the same bits at each call. All tables
 * but the reference give the same bits too, whatever the instruction set and the compiler (see
 * kernels_vector.h), as their `arithmetic` says; the reference sums in double. Arrays are dense, row-major, channels last; no dimension is
 * zero; outputs do not overlap inputs unless said. Any alignment of mn_real will do (a parameter
 * inside theta has no other); 64 bytes are faster. `accumulate` adds to what the output holds
 * instead of overwriting it. NaN is never hidden by a ReLU. mn_real is float in the product and
 * double in the library that gradient checks link. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef MN_DOUBLE
typedef double mn_real;
#else
typedef float mn_real;
#endif

#define MN_BN_BLOCK 32 /* rows that batch norm's sums take at once; see bn_add_moments */

/* A 3x3 convolution (cross-correlation) with zero padding 1: x [n, height, width, c_in] ->
 * y [n, out_height, out_width, c_out]; out = (in - 1) / stride + 1, stride 1 or 2. */
typedef struct mn_conv {
    uint32_t n, height, width, c_in, c_out, stride, out_height, out_width;
} mn_conv;

/* A matrix product and what surrounds it in a perceptron, its derivatives and their tangents:
 *   C [m,n] (+)= op(A) op(B) + op(A2) op(B2) + bias, then the ReLU and the mask;
 *   if there is a base, C = base + factor * that.
 * op(A) is [m,k], stored [k,m] if trans_a; op(B) is [k,n], stored [n,k] if trans_b. What is NULL or
 * false is left out. */
typedef struct mn_product {
    bool trans_a, trans_b, accumulate, relu;
    mn_real factor; /* without meaning if there is no base */
    size_t m, n, k;
    const mn_real *a, *b;
    const mn_real *a2, *b2; /* of the same shapes */
    const mn_real *bias;    /* [n], for each row */
    const mn_real *mask;    /* [m,n]: the result is zero where this is not > 0 */
    const mn_real *base;    /* [m,n] */
} mn_product;

typedef struct mn_word_list mn_word_list; /* word_list.h */

/* n memories of `slots` rows [c] each, of which the first filled[i] are there (a number below 0 or
 * NaN: none; more than there are: all). The others are neither read nor written, and may hold
 * anything. */
typedef struct mn_slots {
    size_t n, slots, c;
} mn_slots;

/* How many slots of a memory count, as a number says; NaN: none. */
static inline size_t mn_slots_filled(mn_real filled, size_t slots)
{
    if (!(filled > 0))
        return 0;
    return filled < (mn_real)slots ? (size_t)filled : slots;
}

/* A memory with least-recently-used access (Santoro et al. 2016), of n sequences side by side. Its
 * state, and the adjoint of that, is these arrays one after the other:
 *   memory [n, width, slots]; read weights [n, heads, slots]; usage [n, slots]; what was read
 *   [n, heads, width]; write weights [n, heads, slots]; keys [n, heads, width] and gates [n, heads],
 *   those of a sequence together; the least used slots [n, heads], as numbers. */
typedef struct mn_lrua {
    uint32_t n, heads, slots, width;
    double decay; /* of usage */
} mn_lrua;

#define MN_LRUA_MAX_HEADS 8
#define MN_LRUA_MAX_KEYS 512 /* heads * width */
#define MN_LRUA_EPS 1e-6     /* added to the product of two lengths */

typedef struct mn_kernels {
    const char *name; /* "avx512", "avx2", "portable" or "plain" */
    /* What they compute, to the bit: tables with the same word here are interchangeable. */
    const char *arithmetic;

    void (*gemm)(const mn_product *product, mn_real *c);

    /* w [3, 3, c_in, c_out]. */
    void (*conv_forward)(const mn_conv *conv, const mn_real *x, const mn_real *w, mn_real *y,
                         bool accumulate);
    /* dx = the adjoint in x; wt [3, 3, c_out, c_in] is w with each tap transposed. */
    void (*conv_backward_data)(const mn_conv *conv, const mn_real *dy, const mn_real *wt,
                               mn_real *dx, bool accumulate);
    /* dw = the adjoint in w. */
    void (*conv_backward_weights)(const mn_conv *conv, const mn_real *x, const mn_real *dy,
                                  mn_real *dw, bool accumulate);
    /* n matrices [rows, cols] -> n matrices [cols, rows]. */
    void (*transpose)(size_t n, size_t rows, size_t cols, const mn_real *a, mn_real *at);

    /* Batch normalisation over the rows of x [rows, c], and what its derivatives need (Ioffe,
     * Szegedy 2015; the tangents are the derivative of each line along a direction, marked t). With
     * relu the output is max(0, .), and y > 0 is the mask of all derivatives; without it y may be
     * NULL there.
     *   stats [2, c]: mean, 1/sqrt(biased variance + eps);   xh = (x - mean) * inv_std
     *   y = gamma xh + beta                                  dy' = relu ? (y > 0) dy : dy
     *   sums [2, c]: sum dy', sum dy' xh                     (the gradients of beta and gamma)
     *   dx = gamma inv_std (dy' - sums0/rows - xh sums1/rows)
     *   tsums [2, c]: mean tx, mean xh tx          txh = (tx - tsums0 - xh tsums1) inv_std
     *   ty = mask (gamma txh + tgamma xh + tbeta)
     *   bsums [2, c]: sum tdy', sum (tdy' xh + dy' txh)      (the tangents of sums)
     *   with g = gamma dy', tg = gamma tdy' + tgamma dy', m = gamma sums1/rows,
     *   tm = (gamma bsums1 + tgamma sums1)/rows, mean tg = (gamma bsums0 + tgamma sums0)/rows:
     *   tdx = inv_std (tg - mean tg - txh m - xh tm) - inv_std tsums1 dx
     * tgamma and tbeta may be NULL (zero), and so may tdy in the backward tangents; y may be x in
     * the value, and dx may be x or dy. */
    void (*bn_stats)(size_t rows, size_t c, double eps, const mn_real *x, mn_real *stats);
    /* The same rows part by part, with the same bits if all parts but the last are of a multiple of
     * MN_BN_BLOCK rows. moments [2, c]: the mean and the summed squares about it of `before` rows
     * (0: all zero) become those of these rows too. totals [2, c] += what sums are of, without a
     * ReLU. */
    void (*bn_add_moments)(size_t before, size_t rows, size_t c, const mn_real *x, double *moments);
    void (*bn_add_sums)(size_t rows, size_t c, const mn_real *x, const mn_real *stats,
                        const mn_real *dy, double *totals);
    void (*bn_forward)(size_t rows, size_t c, bool relu, const mn_real *x, const mn_real *stats,
                       const mn_real *gamma, const mn_real *beta, mn_real *y);
    void (*bn_backward_sums)(size_t rows, size_t c, bool relu, const mn_real *x,
                             const mn_real *stats, const mn_real *y, const mn_real *dy,
                             mn_real *sums);
    /* `rows` of the all_rows that the sums are of. */
    void (*bn_backward)(size_t rows, size_t all_rows, size_t c, bool relu, const mn_real *x,
                        const mn_real *stats, const mn_real *gamma, const mn_real *y,
                        const mn_real *dy, const mn_real *sums, mn_real *dx);
    void (*bn_tangent_sums)(size_t rows, size_t c, const mn_real *x, const mn_real *stats,
                            const mn_real *tx, mn_real *tsums);
    void (*bn_tangent)(size_t rows, size_t c, bool relu, const mn_real *x, const mn_real *stats,
                       const mn_real *gamma, const mn_real *y, const mn_real *tx,
                       const mn_real *tsums, const mn_real *tgamma, const mn_real *tbeta,
                       mn_real *ty);
    void (*bn_backward_tangent_sums)(size_t rows, size_t c, bool relu, const mn_real *x,
                                     const mn_real *stats, const mn_real *y, const mn_real *dy,
                                     const mn_real *tdy, const mn_real *tx, const mn_real *tsums,
                                     mn_real *bsums);
    void (*bn_backward_tangent)(size_t rows, size_t c, bool relu, const mn_real *x,
                                const mn_real *stats, const mn_real *gamma, const mn_real *tgamma,
                                const mn_real *y, const mn_real *dy, const mn_real *sums,
                                const mn_real *tdy, const mn_real *tx, const mn_real *tsums,
                                const mn_real *bsums, mn_real *tdx);

    /* 2x2 max-pooling, stride 2, odd edges dropped: x [n, height, width, c] ->
     * [n, height/2, width/2, c]; index 0..3 = the first largest of the window in the order
     * (0,0) (0,1) (1,0) (1,1). scatter is the adjoint of gather; with the y of a ReLU [as dy], of
     * what is > 0 there alone. */
    void (*max_pool_index)(size_t n, size_t height, size_t width, size_t c, const mn_real *x,
                           uint8_t *index);
    void (*max_pool_gather)(size_t n, size_t height, size_t width, size_t c, const mn_real *x,
                            const uint8_t *index, mn_real *y);
    void (*max_pool_scatter)(size_t n, size_t height, size_t width, size_t c, const mn_real *dy,
                             const uint8_t *index, const mn_real *y, mn_real *dx);

    /* Mean over pixels: x [n, pixels, c] -> y [n, c], and its adjoint, dx = dy / pixels. */
    void (*pixel_mean)(size_t n, size_t pixels, size_t c, const mn_real *x, mn_real *y);
    void (*pixel_spread)(size_t n, size_t pixels, size_t c, const mn_real *dy, mn_real *dx);

    /* y = x + b in each row; y may be x. */
    void (*bias_add)(size_t rows, size_t c, const mn_real *x, const mn_real *b, mn_real *y);
    /* sums [c] of the rows of x, or if there is a base [c], base + factor * those. */
    void (*column_sums)(size_t rows, size_t c, const mn_real *x, mn_real factor,
                        const mn_real *base, mn_real *sums);

    /* Element by element; out may be any of the inputs. scale_add is factor * a + b, mask is
     * y > 0 ? x : 0, tanh_backward is (1 - y*y) dy, and tanh_curve, the tangent of that along y, is
     * -2 y ty dy. */
    void (*add)(size_t n, const mn_real *a, const mn_real *b, mn_real *out);
    void (*scale)(size_t n, mn_real factor, const mn_real *a, mn_real *out);
    void (*scale_add)(size_t n, mn_real factor, const mn_real *a, const mn_real *b, mn_real *out);
    void (*multiply)(size_t n, const mn_real *a, const mn_real *b, mn_real *out);
    void (*relu)(size_t n, const mn_real *x, mn_real *y);
    void (*mask)(size_t n, const mn_real *y, const mn_real *x, mn_real *out);
    void (*tanh)(size_t n, const mn_real *x, mn_real *y);
    void (*tanh_backward)(size_t n, const mn_real *y, const mn_real *dy, mn_real *out);
    void (*tanh_curve)(size_t n, const mn_real *y, const mn_real *ty, const mn_real *dy,
                       mn_real *out);

    void (*fill)(size_t n, mn_real value, mn_real *out);
    void (*sigmoid)(size_t n, const mn_real *x, mn_real *y);
    void (*exponential)(size_t n, const mn_real *x, mn_real *y);
    void (*logarithm)(size_t n, const mn_real *x, mn_real *y);
    void (*softplus)(size_t n, const mn_real *x, mn_real *y); /* log(1 + exp(x)) */
    void (*reciprocal)(size_t n, const mn_real *x, mn_real *y);
    void (*root)(size_t n, const mn_real *x, mn_real *y);

    /* Row by row: out [rows] = <a, b>; out = s [rows] times the row; out = the row times v [c]. */
    void (*row_dot)(size_t rows, size_t c, const mn_real *a, const mn_real *b, mn_real *out);
    void (*row_scale)(size_t rows, size_t c, const mn_real *s, const mn_real *a, mn_real *out);
    void (*column_scale)(size_t rows, size_t c, const mn_real *x, const mn_real *v, mn_real *out);
    /* Each row `times` times in a block, and its adjoint; all n numbers `times` times, and its. */
    void (*repeat_rows)(size_t rows, size_t times, size_t c, const mn_real *a, mn_real *out);
    void (*sum_groups)(size_t rows, size_t times, size_t c, const mn_real *a, mn_real *out);
    void (*tile_rows)(size_t n, size_t times, const mn_real *a, mn_real *out);
    void (*sum_tiles)(size_t n, size_t times, const mn_real *a, mn_real *out);
    /* Columns [first, first + c) of rows that are `wide`, from and to rows that are c wide. */
    void (*take_columns)(size_t rows, size_t wide, size_t first, size_t c, const mn_real *a,
                         mn_real *out);
    void (*put_columns)(size_t rows, size_t wide, size_t first, size_t c, const mn_real *a,
                        bool accumulate, mn_real *out);

    /* Rows of c numbers: out[key] (+)= the sum of weights[place] .* from[of] over a group's words, in
     * their order; without weights they are ones. What is no group's key is left as it is. */
    void (*embed)(size_t c, const mn_word_list *list, const mn_real *from, const mn_real *weights,
                  bool accumulate, mn_real *out);
    /* Memory i is [slots, c]; p [n, slots], o [n, c].
     *   match: p[i, s] = <memory[i, s], o[i]>, 0 where there is no row;
     *   read: o[i] = sum_s p[i, s] memory[i, s];  write: memory[i, s] = p[i, s] o[i]
     * Each is an adjoint of the two others. */
    void (*slots_match)(const mn_slots *shape, const mn_real *filled, const mn_real *o,
                        const mn_real *memory, mn_real *p);
    void (*slots_read)(const mn_slots *shape, const mn_real *filled, const mn_real *p,
                       const mn_real *memory, mn_real *o);
    void (*slots_write)(const mn_slots *shape, const mn_real *filled, const mn_real *p,
                        const mn_real *o, bool accumulate, mn_real *memory);
    /* usage [rows, c] -> [rows * k, c]: one-hot rows of the k least used, the least first; of
     * equals the first. */
    void (*least_used)(size_t rows, size_t c, size_t k, const mn_real *usage, mn_real *out);

    /* A step of an LSTM (Hochreiter, Schmidhuber 1997), gates i, f, g, o in columns of c each of
     * z = zx + zr [n, 4c]; zr and the cell before [n, c] may be NULL (zero):
     *   cell = sigmoid(f) before + sigmoid(i) tanh(g);  h = sigmoid(o) tanh(cell)
     * out is h [n, c], cell [n, c], the gates [n, 4c]; the adjoint is given of h and cell, and the
     * result is dz [n, 4c], dbefore [n, c]. */
    void (*lstm)(size_t n, size_t c, const mn_real *zx, const mn_real *zr, const mn_real *before,
                 mn_real *out);
    void (*lstm_backward)(size_t n, size_t c, const mn_real *out, const mn_real *before,
                          const mn_real *adjoint, mn_real *dz);
    /* A step of a memory: asked [n, heads * width + heads] are keys and gates before tanh and
     * sigmoid. For each sequence, with the memory M as rows of slots:
     *   k = tanh, a = sigmoid of what is asked;  lu = the slots of least usage before, one a head
     *   ww = a wr_before + (1 - a) onehot(lu)
     *   M = M_before with slot lu[0] cleared, + ww' k
     *   wr = softmax over slots of sharpness <k, M> / (|k| |M| + MN_LRUA_EPS);  r = wr M
     *   usage = decay usage_before + sum over heads of wr and ww
     * Backwards, the adjoint of memory, read weights and r of the state after gives that of memory
     * and read weights before, of what was asked, in the place of the keys, and of the sharpness, in
     * that of the least used slots; the rest of the result is zero. No derivative goes through usage
     * or the choice of slots. sharpness [n, heads], or NULL: 1. */
    void (*lrua)(const mn_lrua *shape, const mn_real *before, const mn_real *asked,
                 const mn_real *sharpness, mn_real *after);
    void (*lrua_backward)(const mn_lrua *shape, const mn_real *before, const mn_real *after,
                          const mn_real *sharpness, const mn_real *adjoint, mn_real *out);

    /* n sequences of `steps` rows: h_t = decay_t h_(t-1) + u_t, h_0 = 0; u, h [n * steps, c]; decay
     * [n * steps, gates], gates 1 or c. Backwards: h_t = decay_t h_(t+1) + u_t. h may be u. */
    void (*scan)(size_t n, size_t steps, size_t c, size_t gates, bool backwards,
                 const mn_real *decay, const mn_real *u, mn_real *h);

    /* Rows of logits z [rows, c]: p = softmax(z), by the maximum of the row first. */
    void (*softmax)(size_t rows, size_t c, const mn_real *z, mn_real *p);
    /* The same over the entries whose mask is not 0; the others are 0, and so is a row of them. */
    void (*masked_softmax)(size_t rows, size_t c, const mn_real *z, const mn_real *mask,
                           mn_real *p);
    /* p .* (tz - <p, tz>) for each row: the tangent of softmax, and its adjoint. */
    void (*softmax_tangent)(size_t rows, size_t c, const mn_real *p, const mn_real *tz,
                            mn_real *out);
    /* weighted_cross_entropy(), where p = softmax(z) is there: the largest of a row of p is one part
     * in the sum of exp(z - largest z), so that no other exponential is needed. */
    double (*choice_loss)(size_t rows, size_t c, const mn_real *z, const mn_real *p,
                          const mn_real *target, const mn_real *weights);
    /* Mean over rows of -sum target log softmax(z), nats; accumulated in double. */
    double (*cross_entropy)(size_t rows, size_t c, const mn_real *z, const mn_real *target);
    /* Sum over rows of weights [rows] times the same; a row of weight 0 is not looked at. */
    double (*weighted_cross_entropy)(size_t rows, size_t c, const mn_real *z, const mn_real *target,
                                     const mn_real *weights);
    double (*mean)(size_t n, const mn_real *x); /* accumulated in double */
    /* Mean over all n elements of (y - target)^2; accumulated in double. */
    double (*squared_error)(size_t n, const mn_real *y, const mn_real *target);
} mn_kernels;

/* The reference: plain C, float or double with mn_real. */
extern const mn_kernels mn_kernels_plain;

/* The best table for this machine; environment variable MNEMO_KERNELS may name another that this
 * machine can run (a test, or a pool of unlike machines that must agree on one). NULL if it names
 * one that is not there. */
const mn_kernels *mn_kernels_choose(void);

/* All tables that this machine can run, best first; NULL-terminated. */
const mn_kernels *const *mn_kernels_all(void);

/* The best SGEMM rate of this core in GFLOP/s, by the gemm of `kernels` on squares of 256 to 512,
 * repeated for about `seconds` of the thread's CPU time (once at least): what a share of peak is a
 * share of. 0 without memory for the matrices. */
double mn_kernels_peak_gflops(const mn_kernels *kernels, double seconds);
