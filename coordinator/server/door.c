#include "coordinator/server/door.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

bool mn_door_above(const char *listen, uint32_t above, char *out, size_t n)
{
    const char *colon = strrchr(listen, ':');
    char *end = NULL;
    const unsigned long port = colon != NULL ? strtoul(colon + 1, &end, 10) : 0;
    if (strncmp(listen, "tcp://", 6) != 0 || port == 0 || port > UINT16_MAX || *end != '\0')
        return false;
    (void)snprintf(out, n, "%.*s:%lu", (int)(colon - listen), listen, port + above);
    return true;
}
