/* guests.h: who is connected to the page, and for how long yet. A request has ten seconds to come to its
 * end and its answer a minute to be taken; a stream of events stays as long as its reader likes, but
 * each event has a minute too. When more come than there are places, who would be late first makes room:
 * so connections that say or take next to nothing hold up nobody. It decides and counts: no socket, no
 * clock. One thread. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#define MN_GUESTS_WELCOME 48u /* connections that may stay */
#define MN_GUESTS_MOST 64u    /* that there may be, until some have made room */
#define MN_GUEST_ASKS_US UINT64_C(10000000)
#define MN_GUEST_TAKES_US UINT64_C(60000000)

typedef enum mn_guest_doing {
    MN_GUEST_AWAY,    /* a free place */
    MN_GUEST_ASKS,    /* has not said all of a request */
    MN_GUEST_TAKES,   /* has not taken all of an answer or event */
    MN_GUEST_LISTENS, /* has all that there is, and waits for more */
} mn_guest_doing;

typedef struct mn_guest {
    mn_guest_doing doing;
    bool leaves; /* has been told to the caller as late */
    int fd;
    uint64_t since_us;
} mn_guest;

typedef struct mn_guests {
    mn_guest at[MN_GUESTS_MOST];
} mn_guests; /* zero-initialise */

/* Somebody has connected, and asks. NULL: there are MN_GUESTS_MOST already. The guest stays where it is
 * until it goes. */
mn_guest *mn_guests_come(mn_guests *guests, int fd, uint64_t now_us);
/* It does something else from now on, or the same anew. */
void mn_guest_turn(mn_guest *guest, mn_guest_doing doing, uint64_t now_us);
void mn_guest_go(mn_guest *guest);

/* Who is to be sent away, each once; NULL: nobody else. */
mn_guest *mn_guests_late(mn_guests *guests, uint64_t now_us);
/* When the next one will have been too slow; UINT64_MAX: nobody. */
uint64_t mn_guests_due_us(const mn_guests *guests);
