/* glyphs.h: procedurally drawn characters, an endless Omniglot-like set that needs no file.
 * A class is 2 to 4 curved strokes drawn from the class's own random stream; each drawing of it
 * moves the strokes a little (jitter, scale, shear, turn, shift), as a hand does. Classes of
 * different splits differ. Only +, -, *, / and sqrt: the same bits with every C library. */
#pragma once

#include "common/experiment.h"
#include "common/random.h"
#include "worker/tasks/few_shot.h"
#include "worker/tasks/task.h"

#define MN_GLYPH_MAX_STROKES 4
#define MN_GLYPH_POINTS 6 /* control points of a stroke */
#define MN_GLYPH_MAX_SIZE 1024

/* A stroke is a uniform quadratic B-spline that begins and ends in its first and last point. */
typedef struct mn_glyph_point {
    float x, y; /* 0 .. 1 from left and from top */
} mn_glyph_point;

typedef struct mn_glyph {
    uint32_t n_strokes;
    mn_glyph_point strokes[MN_GLYPH_MAX_STROKES][MN_GLYPH_POINTS];
} mn_glyph;

/* The strokes of class `number` of a split. */
mn_glyph mn_glyph_make(uint64_t seed, mn_split split, uint32_t number);

/* Draw it as a hand would this time: size x size values of 0 (paper) to 1 (ink), size up to
 * MN_GLYPH_MAX_SIZE. */
void mn_glyph_draw(const mn_glyph *glyph, mn_random *hand, uint32_t size, float *out);

/* A few-shot task of this kind, items class-major as in few_shot.h. */
void mn_glyphs_draw(uint64_t seed, mn_split split, const mn_few_shot *few_shot, mn_random *random,
                    mn_task *task);
