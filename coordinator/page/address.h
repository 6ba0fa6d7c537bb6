/* address.h: where the page is: a socket that listens there, and what others call the place. */
#pragma once

#include "common/error.h"
#include <stdbool.h>

typedef struct mn_page_address {
    int fd;         /* listens; the caller closes it */
    bool loopback;  /* only this machine can come */
    char text[80];  /* numeric, with the port that it has: "127.0.0.1:43211", "[::1]:8080" */
    char host[300]; /* what others would type: the same, or the machine's name for 0.0.0.0 */
} mn_page_address;

/* Listen at "ADDRESS:PORT"; port 0: any that is free. MN_ERR_UNAVAILABLE: taken, or not an address of
 * this machine: says what to do. */
mn_status mn_page_address_listen(const char *where, mn_page_address *out, mn_error *err);
