/* room.h: arrays that grow. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

/* Room for `more` elements of `bytes` at the end of an array that has n of them and room for *room. False: no memory,
 * and the array is as it was. */
bool mn_room_make(void **array, size_t n, size_t more, size_t *room, size_t bytes);
