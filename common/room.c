#include "common/room.h"

#include <stdlib.h>

bool mn_room_make(void **array, size_t n, size_t more, size_t *room, size_t bytes)
{
    if (n + more <= *room)
        return true;
    const size_t larger = 2 * (n + more) + 256;
    void *grown = realloc(*array, larger * bytes);
    if (grown == NULL)
        return false;
    *array = grown;
    *room = larger;
    return true;
}
