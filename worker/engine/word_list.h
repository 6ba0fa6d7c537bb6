/* word_list.h: which rows of a table are added up for which item, found out once for all tables that
 * are read by the same numbers, and for their adjoints.
 * A list has groups: a key, and the words of which its sum is. By items, a key is an item, and a word
 * names a row of the table. Turned, a key is a row, and its words name the items that read it, in
 * their order: an adjoint is a sum by rows. Groups stand in the order of their lengths, so that loops
 * over their words are of one length for long: the next one is foreseen by the processor. */
#pragma once

#include "worker/engine/kernels.h"

/* n items of `length` numbers each, of a table of `rows`. What names no row, and `padding` (-1: none),
 * is no word. With `slots`, items are rows of memories, as in mn_slots. */
typedef struct mn_words_shape {
    size_t n, length, rows;
    long padding;
    size_t slots; /* 0: all items count */
} mn_words_shape;

typedef struct mn_word {
    uint32_t key, of, place; /* its group's; what is read; which of the item's numbers it was */
} mn_word;

typedef struct mn_word_group {
    uint32_t key, first, n; /* words [first, first + n) */
} mn_word_group;

/* Behind it, in one array: groups [most_groups], words, and room to sort groups. */
struct mn_word_list {
    uint32_t n_groups, n_words, n_places, most_groups, most_words;
};

static inline const mn_word_group *mn_word_list_groups(const mn_word_list *list)
{
    return (const mn_word_group *)(const void *)(list + 1);
}

static inline const mn_word *mn_word_list_words(const mn_word_list *list)
{
    return (const mn_word *)(const void *)(mn_word_list_groups(list) + list->most_groups);
}

/* Numbers of four bytes that a list of at most so many takes. */
size_t mn_word_list_numbers(size_t groups, size_t words);

/* filled [n / slots] if there are slots, else NULL. There is a group for each item that is there,
 * without words too. */
void mn_word_list_read(const mn_words_shape *shape, const mn_real *ids, const mn_real *filled,
                       mn_word_list *list);

/* The same by rows, a group for each row of the table. */
void mn_word_list_turn(const mn_word_list *list, size_t rows, mn_word_list *turned);
