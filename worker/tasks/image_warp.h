/* image_warp.h: an image seen through a small random map: turned, stretched, sheared and shifted a
 * little, which is affine, and bent, which is not. Training that never sees the same drawing twice learns what makes two drawings
 * one class (Santoro et al. 2016, Koch 2015). In whole numbers throughout, so that the
 * bits are the same on every machine. */
#pragma once

#include "common/random.h"
#include <stdbool.h>
#include <stdint.h>

#define MN_WARP_ONE 65536 /* 1 in the numbers of a warp */
#define MN_BEND_CELLS 4u  /* of a grid that is laid over an image to bend it, along each side */

/* With coordinates that run from -1 to 1 across the image's centre, p of the result is read at
 * p + matrix p + shift + bend(p) of the image; y first. bend(p) is between the numbers that the
 * corners of the grid's cells have, by bilinear interpolation (Simard, Steinkraus and Platt 2003
 * smooth a field of a number a pixel instead). */
typedef struct mn_warp {
    int32_t matrix[2][2];
    int32_t shift[2];
    bool bent; /* false: bend is all zero, and not looked at */
    int32_t bend[MN_BEND_CELLS + 1][MN_BEND_CELLS + 1][2];
} mn_warp;

/* The affine map's six numbers uniform in [-amount, amount] and those of the grid's corners in
 * [-bend, bend], amount and bend in 0 .. 0.5. Without a bend, none of its numbers is drawn. */
mn_warp mn_warp_draw(mn_random *random, double amount, double bend);

/* Show the image in a mirror: its left and right are exchanged, then all of the warp is done. */
void mn_warp_mirror(mn_warp *warp);

/* Write [height, width, channels] numbers of 0 to 1, read between pixels by bilinear interpolation
 * (steps of 1/256 pixel), 0 outside. The image is first turned counter-clockwise; only a square can
 * be turned. Sides up to 4096. */
void mn_warp_copy(const mn_warp *warp, const uint8_t *pixels, uint32_t height, uint32_t width,
                  uint32_t channels, uint32_t quarter_turns, float *out);
