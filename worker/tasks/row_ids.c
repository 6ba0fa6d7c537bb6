#include "worker/tasks/row_ids.h"

#include "common/text.h"
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The words of training rows, in their order from 1. */
static mn_status list_words(const mn_experiment *e, const mn_data_table *table, uint32_t place,
                            uint32_t n_train, const uint32_t *train, mn_words *words, mn_error *err)
{
    uint32_t *renamed = NULL, number;
    mn_status status = MN_OK;
    for (uint32_t i = 0; i < n_train && status == MN_OK; i++) {
        char word[MN_DATA_TABLE_WORD];
        mn_data_table_word(table, train[i], place, word);
        if (!mn_text_is_plain(word) ||
            mn_words_add(words, word, strlen(word), &number, err) != MN_OK) {
            char shown[200];
            (void)mn_text_escape(word, strlen(word), shown, sizeof shown);
            status = mn_fail(err, MN_ERR_DATA,
                             "%s: row %" PRIu32
                             ", column %s (tasks.id_column): \"%.60s\" is no id: expected a word "
                             "or a number of 1 to %u bytes of UTF-8 without line ends, at most %u "
                             "of them",
                             e->tasks.table, train[i] + 1, e->tasks.id_column, shown,
                             MN_WORD_BYTES - 1, MN_MAX_WORDS - 1);
        }
    }
    if (status == MN_OK)
        status = mn_words_sort(words, &renamed, err);
    free(renamed);
    return status;
}

mn_status mn_row_ids_make(const mn_experiment *e, const mn_data_table *table, uint32_t n_train,
                          const uint32_t *train, mn_row_ids *out, mn_error *err)
{
    uint32_t place = 0, many = 0;
    mn_words *words = NULL;
    *out = (mn_row_ids){.hidden = e->tasks.hidden_ids};
    if (e->tasks.id_column[0] == '\0')
        return MN_OK;
    (void)snprintf(out->column, sizeof out->column, "%s", e->tasks.id_column);
    mn_status status = mn_data_table_find(table, out->column, &place, &many, err);
    if (status == MN_OK && many != 1)
        return mn_fail(err, MN_ERR_CONFIG,
                       "tasks.id_column: \"%s\" is %" PRIu32 " columns: expected one, as \"%s.1\"",
                       out->column, many, out->column);
    if (status == MN_OK)
        status = mn_words_new(&words, err);
    if (status == MN_OK)
        status = list_words(e, table, place, n_train, train, words, err);
    out->at = status == MN_OK ? calloc(table->n_rows, sizeof *out->at) : NULL;
    if (status == MN_OK && out->at == NULL)
        status = mn_fail(err, MN_ERR_NOMEM, "ids of rows");
    for (uint32_t row = 0; row < table->n_rows && status == MN_OK; row++) {
        char word[MN_DATA_TABLE_WORD];
        mn_data_table_word(table, row, place, word);
        out->at[row] = mn_words_find(words, word, strlen(word));
    }
    if (status == MN_OK)
        out->n = mn_words_count(words);
    out->words = words;
    return status;
}

void mn_row_ids_fini(mn_row_ids *ids)
{
    free(ids->at);
    mn_words_destroy(&ids->words);
    *ids = (mn_row_ids){0};
}

mn_status mn_row_ids_add(const mn_row_ids *ids, mn_fields *fields, mn_error *err)
{
    return ids->n > 0 ? mn_fields_add_ids(fields, ids->n, err) : MN_OK;
}

void mn_row_ids_put(const mn_row_ids *ids, uint32_t row, mn_role role, uint32_t item, mn_task *task)
{
    if (ids->n > 0)
        mn_task_find(task, role, "id")[item] = (float)ids->at[row];
}

void mn_row_ids_hide(const mn_row_ids *ids, mn_random *random, mn_task *task)
{
    if (!(ids->hidden > 0))
        return;
    const uint64_t lot = mn_random_u32(random);
    for (mn_role role = MN_SUPPORT; role <= MN_QUERY; role++) {
        const mn_field *field = mn_fields_find(&task->fields, role, "id");
        float *at = task->block + field->offset;
        for (uint32_t i = 0; i < field->n; i++) {
            mn_random of_id = mn_random_stream(lot, MN_RANDOM_TASK_TRAIN, (uint64_t)at[i]);
            if (mn_random_unit(&of_id) < ids->hidden)
                at[i] = 0;
        }
    }
}
