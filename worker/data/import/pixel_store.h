/* pixel_store.h: images of one size that wait to be packed, in the order in which they were found. They lie in
 * a file without a name beside the output, so that an archive of any number of them takes no memory,
 * and nothing is left behind however the program ends. */
#pragma once

#include "common/error.h"
#include <stddef.h>
#include <stdint.h>

typedef struct mn_pixel_store mn_pixel_store;

/* Images of image_bytes > 0 bytes. `beside` is a path in the folder to use, NULL: that of temporary files. */
mn_status mn_pixel_store_new(size_t image_bytes, const char *beside, mn_pixel_store **out,
                             mn_error *err);
void mn_pixel_store_destroy(mn_pixel_store **store);

/* Add an image; *place is its number, from 0. */
mn_status mn_pixel_store_add(mn_pixel_store *store, const uint8_t *pixels, uint64_t *place,
                             mn_error *err);

/* Image `place` of those that were added. */
mn_status mn_pixel_store_get(const mn_pixel_store *store, uint64_t place, uint8_t *pixels,
                             mn_error *err);
