#include "worker/engine/word_list.h"

#include "common/vector_clones.h"
#include <string.h>

enum { N_LENGTHS = 64 }; /* that groups are told apart by */

static mn_word_list *list_of(uint32_t groups, uint32_t words, uint32_t places, mn_word_list *list)
{
    *list = (mn_word_list){.n_places = places, .most_groups = groups, .most_words = words};
    return list;
}

static mn_word_group *groups_of(mn_word_list *list)
{
    return (mn_word_group *)(void *)(list + 1);
}

static mn_word *words_of(mn_word_list *list)
{
    return (mn_word *)(void *)(groups_of(list) + list->most_groups);
}

/* Where groups stand before they are sorted. */
static mn_word_group *unsorted_of(mn_word_list *list)
{
    return (mn_word_group *)(void *)(words_of(list) + list->most_words);
}

size_t mn_word_list_numbers(size_t groups, size_t words)
{
    return (sizeof(mn_word_list) + 2 * groups * sizeof(mn_word_group) + words * sizeof(mn_word)) /
           sizeof(uint32_t);
}

static uint32_t class_of(const mn_word_group *group)
{
    return group->n < N_LENGTHS ? group->n : N_LENGTHS - 1;
}

static void sort_groups(mn_word_list *list)
{
    const mn_word_group *from = unsorted_of(list);
    mn_word_group *to = groups_of(list);
    uint32_t begin[N_LENGTHS + 1] = {0};
    for (uint32_t i = 0; i < list->n_groups; i++)
        begin[class_of(&from[i]) + 1]++;
    for (uint32_t i = 0; i < N_LENGTHS; i++)
        begin[i + 1] += begin[i];
    for (uint32_t i = 0; i < list->n_groups; i++)
        to[begin[class_of(&from[i])]++] = from[i];
}

/* A word is written wherever there is a number, and the next one over it if it was none: which is
 * which cannot be foreseen. */
MN_VECTOR_CLONES
static uint32_t read_item(const mn_words_shape *shape, const mn_real *ids, uint32_t item,
                          mn_word *words)
{
    const mn_real rows = (mn_real)shape->rows;
    const uint32_t padding =
        shape->padding >= 0 && shape->padding < UINT32_MAX ? (uint32_t)shape->padding : UINT32_MAX;
    uint32_t n = 0;
    for (uint32_t k = 0; k < shape->length; k++) {
        const bool there = (ids[k] >= 0) & (ids[k] < rows);
        const uint32_t row = (uint32_t)(int32_t)(there ? ids[k] : 0);
        words[n] = (mn_word){item, row, k};
        n += there & (row != padding);
    }
    return n;
}

void mn_word_list_read(const mn_words_shape *shape, const mn_real *ids, const mn_real *filled,
                       mn_word_list *list)
{
    const size_t together = shape->slots == 0 ? shape->n : shape->slots;
    mn_word_list *to = list_of((uint32_t)shape->n, (uint32_t)(shape->n * shape->length),
                               (uint32_t)shape->length, list);
    mn_word_group *groups = unsorted_of(to);
    mn_word *words = words_of(to);
    for (size_t first = 0; first < shape->n; first += together) {
        const size_t n =
            shape->slots == 0 ? together : mn_slots_filled(filled[first / together], together);
        for (size_t i = first; i < first + n; i++) {
            const uint32_t found =
                read_item(shape, ids + i * shape->length, (uint32_t)i, words + to->n_words);
            groups[to->n_groups++] = (mn_word_group){(uint32_t)i, to->n_words, found};
            to->n_words += found;
        }
    }
    sort_groups(to);
}

void mn_word_list_turn(const mn_word_list *list, size_t rows, mn_word_list *turned)
{
    mn_word_list *to = list_of((uint32_t)rows, list->most_words, list->n_places, turned);
    const mn_word *from = mn_word_list_words(list);
    mn_word_group *groups = unsorted_of(to);
    mn_word *words = words_of(to);
    memset(groups, 0, rows * sizeof *groups);
    for (uint32_t i = 0; i < list->n_words; i++)
        groups[from[i].of].n++;
    for (uint32_t row = 0; row < rows; row++) {
        groups[row].key = row;
        groups[row].first = to->n_words;
        to->n_words += groups[row].n;
        groups[row].n = 0;
    }
    for (uint32_t i = 0; i < list->n_words; i++) {
        mn_word_group *group = &groups[from[i].of];
        words[group->first + group->n++] = (mn_word){from[i].of, from[i].key, from[i].place};
    }
    to->n_groups = (uint32_t)rows;
    sort_groups(to);
}
