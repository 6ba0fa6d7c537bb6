#include "coordinator/page/guests.h"

#include <stddef.h>

/* How long each may take; one left out: for ever. */
static const uint64_t patience_us[] = {[MN_GUEST_ASKS] = MN_GUEST_ASKS_US,
                                       [MN_GUEST_TAKES] = MN_GUEST_TAKES_US,
                                       [MN_GUEST_LISTENS] = 0};

static bool is_awaited(const mn_guest *guest);
static uint64_t end_us(const mn_guest *guest);

mn_guest *mn_guests_come(mn_guests *guests, int fd, uint64_t now_us)
{
    for (size_t i = 0; i < MN_GUESTS_MOST; i++)
        if (guests->at[i].doing == MN_GUEST_AWAY) {
            guests->at[i] = (mn_guest){.doing = MN_GUEST_ASKS, .fd = fd, .since_us = now_us};
            return &guests->at[i];
        }
    return NULL;
}

void mn_guest_turn(mn_guest *guest, mn_guest_doing doing, uint64_t now_us)
{
    guest->doing = doing;
    guest->since_us = now_us;
}

void mn_guest_go(mn_guest *guest)
{
    *guest = (mn_guest){.doing = MN_GUEST_AWAY, .fd = -1};
}

mn_guest *mn_guests_late(mn_guests *guests, uint64_t now_us)
{
    mn_guest *oldest = NULL;
    uint32_t n_here = 0;
    for (size_t i = 0; i < MN_GUESTS_MOST; i++) {
        mn_guest *guest = &guests->at[i];
        n_here += guest->doing != MN_GUEST_AWAY && !guest->leaves;
        if (is_awaited(guest) && (oldest == NULL || end_us(guest) < end_us(oldest)))
            oldest = guest;
    }
    if (oldest == NULL || (end_us(oldest) > now_us && n_here <= MN_GUESTS_WELCOME))
        return NULL;
    oldest->leaves = true;
    return oldest;
}

uint64_t mn_guests_due_us(const mn_guests *guests)
{
    uint64_t due_us = UINT64_MAX;
    for (size_t i = 0; i < MN_GUESTS_MOST; i++)
        if (is_awaited(&guests->at[i]) && end_us(&guests->at[i]) < due_us)
            due_us = end_us(&guests->at[i]);
    return due_us;
}

static bool is_awaited(const mn_guest *guest)
{
    return !guest->leaves && patience_us[guest->doing] > 0;
}

static uint64_t end_us(const mn_guest *guest)
{
    return guest->since_us + patience_us[guest->doing];
}
