#include "worker/tasks/episode_list.h"

#include "common/file.h"
#include "common/text.h"
#include "worker/tasks/image_tasks.h"
#include "worker/tasks/task_set_kind.h"
#include <inttypes.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#define NONE UINT32_MAX
#define WORDS "task\tlabel\tclass\tturns\tset\titem"

enum { TASK, LABEL, CLASS, TURNS, SET, ITEM, N_WORDS };

struct mn_episode_list {
    const mn_image_pack *pack; /* lent */
    mn_digest digest;
    uint32_t way, shot, query, n_tasks;
    mn_pack_entry *entries; /* [n_tasks, way]; owned */
    uint32_t *items;        /* [n_tasks, way, shot + query]: numbers within the class; owned */
};

/* A class by "group/name". */
struct name {
    const char *text; /* owned by the reader */
    uint32_t class_number;
};

/* A list being read. */
struct reader {
    const char *source;
    size_t line; /* its number */
    mn_episode_list *list;
    struct name *names; /* [n_names], sorted; owned */
    size_t n_names;
    char *name_text;               /* owned */
    uint32_t room;                 /* tasks that list has memory for */
    uint32_t found[MN_MAX_WAY][2]; /* items of a label so far: support, query */
};

static mn_status sort_names(struct reader *reader, mn_error *err);
static mn_status read_lines(struct reader *reader, const char *text, size_t n, mn_error *err);
static mn_status read_line(struct reader *reader, char *line, mn_error *err);
static mn_status end_task(const struct reader *reader, mn_error *err);

mn_status mn_episode_list_open(const char *path, const mn_image_pack *pack, const mn_fields *test,
                               mn_episode_list **out, mn_error *err)
{
    char *text = NULL;
    size_t n = 0;
    mn_status status = mn_file_read(path, MN_EPISODES_MAX_BYTES, &text, &n, err);
    if (status == MN_OK)
        status = mn_episode_list_parse(path, text, n, pack, test, out, err);
    free(text);
    return status;
}

mn_status mn_episode_list_parse(const char *source, const char *text, size_t n,
                                const mn_image_pack *pack, const mn_fields *test,
                                mn_episode_list **out, mn_error *err)
{
    struct reader reader = {.source = source};
    if (mn_fields_have_padding(test))
        return mn_fail(err, MN_ERR_CONFIG,
                       "%s: the sizes of test tasks vary, which those of a list do not: "
                       "leave out way_from and shot_from",
                       source);
    mn_episode_list *list = reader.list = calloc(1, sizeof *list);
    if (list == NULL)
        return mn_fail(err, MN_ERR_NOMEM, "list of episodes");
    list->pack = pack;
    list->digest = mn_digest_of(text, n);
    list->way = test->y_size;
    list->shot = test->at[MN_SUPPORT_X].n / list->way;
    list->query = test->at[MN_QUERY_X].n / list->way;
    mn_status status = sort_names(&reader, err);
    if (status == MN_OK)
        status = read_lines(&reader, text, n, err);
    if (status == MN_OK && list->n_tasks == 0)
        status = mn_fail(err, MN_ERR_DATA, "%s: holds no task", source);
    free(reader.names);
    free(reader.name_text);
    if (status != MN_OK) {
        mn_episode_list_destroy(&list);
        return status;
    }
    *out = list;
    return MN_OK;
}

void mn_episode_list_destroy(mn_episode_list **list)
{
    if (*list == NULL)
        return;
    free((*list)->entries);
    free((*list)->items);
    free(*list);
    *list = NULL;
}

uint32_t mn_episode_list_count(const mn_episode_list *list)
{
    return list->n_tasks;
}

mn_digest mn_episode_list_digest(const mn_episode_list *list)
{
    return list->digest;
}

mn_pack_part mn_episode_list_classes(const mn_episode_list *list)
{
    return (mn_pack_part){
        .pack = list->pack, .n = list->n_tasks * list->way, .entries = list->entries};
}

mn_pack_entry mn_episode_list_entry(const mn_episode_list *list, const mn_task *task,
                                    uint32_t label)
{
    return list->entries[task->index % list->n_tasks * list->way + label];
}

void mn_episode_list_draw(const mn_episode_list *list, uint64_t index, mn_task *task)
{
    const mn_pack_index *pack = mn_image_pack_index(list->pack);
    const uint32_t way = list->way, shot = list->shot, query = list->query;
    const size_t size = mn_field_item(&task->fields.at[MN_SUPPORT_X]);
    const size_t first = index % list->n_tasks * way;
    for (uint32_t label = 0; label < way; label++) {
        const mn_pack_entry *entry = &list->entries[first + label];
        const mn_pack_class *class = &pack->classes[entry->class_number];
        const uint32_t *items = &list->items[(first + label) * (shot + query)];
        for (uint32_t i = 0; i < shot + query; i++) {
            const uint32_t at = i < shot ? label * shot + i : label * query + i - shot;
            float *x = task->at[i < shot ? MN_SUPPORT_X : MN_QUERY_X] + at * size;
            mn_image_tasks_copy(mn_image_pack_pixels(list->pack, class->first_image + items[i]),
                                pack->height, pack->width, pack->channels, entry->quarter_turns, x);
            if (task->items != NULL)
                task->items[i < shot ? at : way * shot + at] = items[i];
        }
        task->classes[label] = entry->class_number;
    }
    task->n_classes = way;
    mn_few_shot_label(way, shot, task->at[MN_SUPPORT_Y]);
    mn_few_shot_label(way, query, task->at[MN_QUERY_Y]);
}

/* Writing -------------------------------------------------------------------------- */

void mn_episodes_begin(const mn_image_pack *pack, FILE *out)
{
    char hex[65];
    const mn_digest digest = mn_image_pack_digest(pack);
    mn_digest_hex(&digest, hex);
    (void)fprintf(out, "# data %s\n" WORDS "\n", hex);
}

void mn_episodes_write(const mn_image_pack *pack, const mn_task *task, const mn_pack_entry *entries,
                       FILE *out)
{
    const mn_pack_index *index = mn_image_pack_index(pack);
    const uint32_t way = task->fields.y_size;
    const uint32_t each[2] = {task->fields.at[MN_SUPPORT_X].n / way,
                              task->fields.at[MN_QUERY_X].n / way};
    const uint32_t *item = task->items;
    for (int set = 0; set < 2; set++)
        for (uint32_t i = 0; i < way * each[set]; i++) {
            const mn_pack_entry *entry = &entries[i / each[set]];
            const mn_pack_class *class = &index->classes[entry->class_number];
            (void)fprintf(out, "%" PRIu64 "\t%" PRIu32 "\t%s/%s\t%" PRIu32 "\t%s\t%" PRIu32 "\n",
                          task->index, i / each[set], index->groups[class->group], class->name,
                          entry->quarter_turns, set == 0 ? "support" : "query", *item++);
        }
}

/* Reading -------------------------------------------------------------------------- */

__attribute__((format(printf, 3, 4))) static mn_status bad(const struct reader *reader,
                                                           mn_error *err, const char *format, ...)
{
    char what[320];
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(what, sizeof what, format, arguments);
    va_end(arguments);
    return mn_fail(err, MN_ERR_DATA, "%s:%zu: %s", reader->source, reader->line, what);
}

static int by_text(const void *a, const void *b)
{
    return strcmp(((const struct name *)a)->text, ((const struct name *)b)->text);
}

static mn_status sort_names(struct reader *reader, mn_error *err)
{
    const mn_pack_index *index = mn_image_pack_index(reader->list->pack);
    size_t n_bytes = 1;
    for (uint32_t c = 0; c < index->n_classes; c++)
        n_bytes +=
            strlen(index->groups[index->classes[c].group]) + strlen(index->classes[c].name) + 2;
    reader->names = calloc((size_t)index->n_classes + 1, sizeof *reader->names);
    reader->name_text = malloc(n_bytes);
    if (reader->names == NULL || reader->name_text == NULL)
        return mn_fail(err, MN_ERR_NOMEM, "names of %" PRIu32 " classes", index->n_classes);
    char *at = reader->name_text;
    for (uint32_t c = 0; c < index->n_classes; c++) {
        const mn_pack_class *class = &index->classes[c];
        reader->names[c] = (struct name){.text = at, .class_number = c};
        at += sprintf(at, "%s/%s", index->groups[class->group], class->name) + 1;
    }
    reader->n_names = index->n_classes;
    if (reader->n_names > 0)
        qsort(reader->names, reader->n_names, sizeof *reader->names, by_text);
    return MN_OK;
}

static mn_status find_class(const struct reader *reader, const char *text, uint32_t *out,
                            mn_error *err)
{
    const struct name wanted = {.text = text};
    char shown[160];
    const struct name *found =
        bsearch(&wanted, reader->names, reader->n_names, sizeof wanted, by_text);
    (void)mn_text_escape(text, strlen(text), shown, sizeof shown);
    if (found == NULL)
        return bad(reader, err,
                   "class %s is not in %s; expected \"group/name\" as mnemo data show "
                   "lists them",
                   shown, mn_image_pack_path(reader->list->pack));
    const size_t at = (size_t)(found - reader->names);
    if ((at > 0 && strcmp(found[-1].text, text) == 0) ||
        (at + 1 < reader->n_names && strcmp(found[1].text, text) == 0))
        return bad(reader, err, "class %s is in %s twice: which one is meant is not clear", shown,
                   mn_image_pack_path(reader->list->pack));
    *out = found->class_number;
    return MN_OK;
}

/* A number up to `most`. */
static mn_status read_number(const struct reader *reader, const char *what, const char *text,
                             uint32_t most, uint32_t *out, mn_error *err)
{
    char shown[40];
    uint64_t value = 0;
    size_t digits = strspn(text, "0123456789");
    for (size_t i = 0; i < digits && i < 10; i++)
        value = 10 * value + (uint64_t)(text[i] - '0');
    if (digits > 0 && digits <= 10 && text[digits] == '\0' && value <= most) {
        *out = (uint32_t)value;
        return MN_OK;
    }
    (void)mn_text_escape(text, strlen(text), shown, sizeof shown);
    return bad(reader, err, "%s is \"%s\"; expected a whole number from 0 to %" PRIu32, what, shown,
               most);
}

static mn_status read_lines(struct reader *reader, const char *text, size_t n, mn_error *err)
{
    char line[1024];
    bool headed = false;
    mn_status status = MN_OK;
    for (size_t begin = 0; begin < n && status == MN_OK;) {
        const char *end = memchr(text + begin, '\n', n - begin);
        size_t length = end != NULL ? (size_t)(end - text) - begin : n - begin;
        const size_t next = begin + length + 1;
        reader->line++;
        if (length > 0 && text[begin + length - 1] == '\r')
            length--;
        if (length >= sizeof line)
            return bad(reader, err, "a line of %zu bytes; expected less than %zu", length,
                       sizeof line);
        memcpy(line, text + begin, length);
        line[length] = '\0';
        begin = next;
        if (memchr(line, '\0', length) != NULL)
            return bad(reader, err, "a NUL byte; expected text");
        if (line[0] == '\0')
            continue;
        if (line[0] != '#' && !headed && strcmp(line, WORDS) != 0)
            return bad(reader, err,
                       "expected the words task, label, class, turns, set, item, with "
                       "tabs between");
        if (line[0] != '#' && !headed)
            headed = true;
        else
            status = read_line(reader, line, err);
    }
    return status == MN_OK && reader->list->n_tasks > 0 ? end_task(reader, err) : status;
}

/* "# data HEX" */
static mn_status read_remark(const struct reader *reader, const char *line, mn_error *err)
{
    char hex[65];
    char told[65];
    const mn_digest digest = mn_image_pack_digest(reader->list->pack);
    mn_digest_hex(&digest, hex);
    if (sscanf(line, "# data %64[0-9a-f]", told) != 1 || strcmp(hex, told) == 0)
        return MN_OK;
    return bad(reader, err, "made from data %.16s..., but %s is %.16s...: its items are others",
               told, mn_image_pack_path(reader->list->pack), hex);
}

/* Memory for one task more; its classes are unknown. */
static mn_status begin_task(struct reader *reader, mn_error *err)
{
    mn_episode_list *list = reader->list;
    const uint32_t each = list->shot + list->query;
    if (list->n_tasks == MN_EPISODES_MAX)
        return bad(reader, err, "more than %u tasks", MN_EPISODES_MAX);
    if (list->n_tasks == reader->room) {
        const uint32_t room = reader->room == 0 ? 64 : 2 * reader->room;
        mn_pack_entry *entries = realloc(list->entries, (size_t)room * list->way * sizeof *entries);
        if (entries != NULL)
            list->entries = entries;
        uint32_t *items = realloc(list->items, (size_t)room * list->way * each * sizeof *items);
        if (items != NULL)
            list->items = items;
        if (entries == NULL || items == NULL)
            return mn_fail(err, MN_ERR_NOMEM, "list of %" PRIu32 " episodes", room);
        reader->room = room;
    }
    for (uint32_t label = 0; label < list->way; label++)
        list->entries[(size_t)list->n_tasks * list->way + label].class_number = NONE;
    memset(reader->found, 0, sizeof reader->found);
    list->n_tasks++;
    return MN_OK;
}

/* The task that was read has all its items; the sizes to set are those of its first label. */
static mn_status end_task(const struct reader *reader, mn_error *err)
{
    const mn_episode_list *list = reader->list;
    for (uint32_t label = 0; label < list->way; label++) {
        const uint32_t *found = reader->found[label];
        if (found[0] == 0 && found[1] == 0)
            return mn_fail(err, MN_ERR_CONFIG,
                           "%s: task %" PRIu32 " has no label %" PRIu32
                           ", but test tasks have %" PRIu32
                           " classes; set evaluate.way to what the list has",
                           reader->source, list->n_tasks - 1, label, list->way);
        if (found[0] != list->shot || found[1] != list->query)
            return mn_fail(err, MN_ERR_CONFIG,
                           "%s: task %" PRIu32 " has %" PRIu32 " support and %" PRIu32
                           " query items of label %" PRIu32 ", but test tasks have %" PRIu32
                           " and %" PRIu32
                           "; set evaluate.shot and evaluate.query to what the list "
                           "has",
                           reader->source, list->n_tasks - 1, found[0], found[1], label, list->shot,
                           list->query);
    }
    return MN_OK;
}

/* Put an item where it belongs. Too many are counted, and told by end_task. */
static mn_status add_item(struct reader *reader, uint32_t label, bool query,
                          const mn_pack_entry *entry, uint32_t item, mn_error *err)
{
    const mn_episode_list *list = reader->list;
    const uint32_t each = list->shot + list->query, most = query ? list->query : list->shot;
    const size_t first = (size_t)(list->n_tasks - 1) * list->way;
    mn_pack_entry *own = &list->entries[first + label];
    uint32_t *items = &list->items[(first + label) * each];
    uint32_t *found = reader->found[label];
    for (uint32_t other = 0; other < list->way; other++)
        if (other != label && list->entries[first + other].class_number == entry->class_number &&
            list->entries[first + other].quarter_turns == entry->quarter_turns)
            return bad(reader, err, "the class of label %" PRIu32 " is that of label %" PRIu32,
                       label, other);
    if (own->class_number == NONE)
        *own = *entry;
    if (own->class_number != entry->class_number || own->quarter_turns != entry->quarter_turns)
        return bad(reader, err, "label %" PRIu32 " has had another class in this task", label);
    for (uint32_t set = 0; set < 2; set++)
        for (uint32_t i = 0; i < found[set] && i < (set == 0 ? list->shot : list->query); i++)
            if (items[set * list->shot + i] == item)
                return bad(reader, err, "item %" PRIu32 " is in this task already", item);
    if (found[query] < most)
        items[(query ? list->shot : 0) + found[query]] = item;
    found[query]++;
    return MN_OK;
}

static mn_status read_line(struct reader *reader, char *line, mn_error *err)
{
    mn_episode_list *list = reader->list;
    const mn_pack_index *index = mn_image_pack_index(list->pack);
    char *words[N_WORDS], *rest = line;
    uint32_t task = 0, label = 0, item = 0;
    mn_pack_entry entry = {0};
    if (line[0] == '#')
        return read_remark(reader, line, err);
    for (int i = 0; i < N_WORDS; i++)
        if ((words[i] = strsep(&rest, "\t")) == NULL)
            return bad(reader, err, "%d words with tabs between; expected %d", i, N_WORDS);
    if (rest != NULL)
        return bad(reader, err, "more than %d words with tabs between", N_WORDS);
    const bool query = strcmp(words[SET], "query") == 0;
    mn_status status = read_number(reader, "task", words[TASK], MN_EPISODES_MAX - 1, &task, err);
    if (status == MN_OK && task == list->n_tasks) {
        status = task > 0 ? end_task(reader, err) : MN_OK;
        if (status == MN_OK)
            status = begin_task(reader, err);
    }
    if (status == MN_OK && task + 1 != list->n_tasks)
        status = bad(reader, err,
                     "task %" PRIu32 " after task %" PRIu32 "; expected them one after "
                     "the other, from 0",
                     task, list->n_tasks - 1);
    if (status == MN_OK)
        status = read_number(reader, "label", words[LABEL], MN_MAX_WAY - 1, &label, err);
    if (status == MN_OK && label >= list->way)
        status = mn_fail(err, MN_ERR_CONFIG,
                         "%s:%zu: label %" PRIu32 ", but test tasks have %" PRIu32
                         " classes; set evaluate.way to what the list has",
                         reader->source, reader->line, label, list->way);
    if (status == MN_OK)
        status = find_class(reader, words[CLASS], &entry.class_number, err);
    if (status == MN_OK)
        status = read_number(reader, "turns", words[TURNS], index->height == index->width ? 3 : 0,
                             &entry.quarter_turns, err);
    if (status == MN_OK && !query && strcmp(words[SET], "support") != 0)
        status = bad(reader, err, "set is neither support nor query");
    if (status == MN_OK)
        status = read_number(reader, "item", words[ITEM],
                             index->classes[entry.class_number].n_images - 1, &item, err);
    return status == MN_OK ? add_item(reader, label, query, &entry, item, err) : status;
}
