/* image_warp.h: an image seen through a small random affine map: turned, stretched, sheared and
 * shifted a little. Training that never sees the same drawing twice learns what makes two drawings
 * one class (Santoro et al. 2016, Koch 2015). In whole numbers throughout, so that the
 * bits are the same on every machine. */
#pragma once

#include "common/random.h"
#include <stdint.h>

#define MN_WARP_ONE 65536 /* 1 in the numbers of a warp */

/* With coordinates that run from -1 to 1 across the image's centre, p of the result is read at
 * p + matrix p + shift of the image; y first. */
typedef struct mn_warp {
    int32_t matrix[2][2];
    int32_t shift[2];
} mn_warp;

/* All six numbers uniform in [-amount, amount], amount in 0 .. 0.5. */
mn_warp mn_warp_draw(mn_random *random, double amount);

/* Write [height, width, channels] numbers of 0 to 1, read between pixels by bilinear interpolation
 * (steps of 1/256 pixel), 0 outside. The image is first turned counter-clockwise; only a square can
 * be turned. Sides up to 4096. */
void mn_warp_copy(const mn_warp *warp, const uint8_t *pixels, uint32_t height, uint32_t width,
                  uint32_t channels, uint32_t quarter_turns, float *out);
