/* class_stream.h: classes that come one after the other, each with all its images and never again;
 * who adapts image by image (meta.step_items) should know them all in the end (Javed and White 2019,
 * arXiv:1905.12588). A few-shot task whose support set has an order, with more that is asked in tests:
 *   support.x, .y  [way * shot] the stream: class after class, or shuffled (tasks.order)
 *   query.x, .y    [way * query] other images, class after class; in tests behind them those of the
 *                  stream again
 *   query.from     tests: how many support items the stream has shown when the item is asked for the
 *                  first time, which is once it has shown all of its class; those of the stream again
 *                  never (a number beyond the stream's end)
 *   query.point    tests: in which tenth of the stream's classes an item's class came, or that it is
 *                  one of the stream's own
 * Images come from a packed file, or are glyphs. */
#pragma once

#include "worker/tasks/task.h"

/* Tenths of the stream, of which a shorter one has fewer, and its own images. */
#define MN_STREAM_PARTS 10u
