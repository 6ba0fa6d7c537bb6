#include "worker/tasks/story_fields.h"

#include <string.h>

static mn_status add(mn_fields *fields, mn_role role, const char *name, mn_field_type type,
                     uint32_t n, uint32_t height, uint32_t width, mn_error *err)
{
    const uint32_t item[3] = {height, 1, width};
    return mn_fields_add(fields, role, name, type, n, item, err);
}

static mn_status add_role(const mn_story_shape *shape, mn_role role, uint32_t n, mn_fields *fields,
                          mn_error *err)
{
    mn_status status =
        add(fields, role, "story", MN_FIELD_IDS, n, shape->sentences, shape->length, err);
    if (status == MN_OK && !shape->no_ages)
        status = add(fields, role, "age", MN_FIELD_IDS, n, shape->sentences, 1, err);
    if (status == MN_OK)
        status = add(fields, role, "mask", MN_FIELD_MASK, n, 1, shape->sentences, err);
    if (status == MN_OK)
        status = add(fields, role, "question", MN_FIELD_IDS, n, 1, shape->question, err);
    if (status == MN_OK)
        status = add(fields, role, "y", MN_FIELD_NUMBERS, n, 1, fields->y_size, err);
    if (status == MN_OK)
        status = add(fields, role, "weight", MN_FIELD_NUMBERS, n, 1, 1, err);
    if (status == MN_OK && shape->linear_start)
        status = add(fields, role, "linear", MN_FIELD_MASK, n, 1, 1, err);
    if (status == MN_OK && role == MN_QUERY && shape->candidates == 0)
        status = add(fields, role, "point", MN_FIELD_NUMBERS, n, 1, 1, err);
    if (status == MN_OK && shape->types > 0)
        status = add(fields, role, "match", MN_FIELD_MASK, n, shape->types, shape->candidates, err);
    return status;
}

mn_status mn_story_fields(const mn_story_shape *shape, const mn_points *points, mn_fields *fields,
                          mn_error *err)
{
    mn_error why;
    mn_status status = MN_OK;
    const bool words = shape->candidates == 0;
    mn_fields_init(fields, MN_TARGET_CLASSES, words ? shape->vocabulary : shape->candidates);
    fields->vocabulary = words ? 0 : shape->vocabulary;
    fields->bundle = shape->bundle;
    fields->points = *points;
    if (shape->support > 0)
        status = add_role(shape, MN_SUPPORT, shape->support, fields, &why);
    if (status == MN_OK)
        status = add_role(shape, MN_QUERY, shape->bundle, fields, &why);
    if (status == MN_OK && !words)
        status = add(fields, MN_SHARED, "candidates", MN_FIELD_IDS, shape->candidates, 1,
                     shape->candidate_length, &why);
    return status == MN_OK
               ? status
               : mn_fail(err, status, "%s: lower tasks.bundle, tasks.shot or tasks.sentences",
                         why.message);
}

uint32_t mn_story_slots(const mn_fields *fields)
{
    return mn_fields_find(fields, MN_QUERY, "mask")->channels;
}

static float *item_of(const mn_task *task, mn_role role, const char *name, uint32_t item)
{
    const mn_field *field = mn_fields_find(&task->fields, role, name);
    return field == NULL ? NULL : task->block + field->offset + item * mn_field_item(field);
}

static uint32_t width_of(const mn_task *task, mn_role role, const char *name)
{
    return mn_fields_find(&task->fields, role, name)->channels;
}

static void put_words(float *to, uint32_t room, uint32_t n, const uint32_t *words)
{
    for (uint32_t i = 0; i < n && i < room; i++)
        to[i] = (float)words[i];
}

mn_story_pages mn_story_pages_of(const mn_task *task, mn_role role)
{
    return (mn_story_pages){.story = mn_task_find(task, role, "story"),
                            .age = mn_task_find(task, role, "age"),
                            .mask = mn_task_find(task, role, "mask"),
                            .question = mn_task_find(task, role, "question"),
                            .y = mn_task_find(task, role, "y"),
                            .weight = mn_task_find(task, role, "weight"),
                            .point = role == MN_QUERY ? mn_task_find(task, role, "point") : NULL,
                            .slots = width_of(task, role, "mask"),
                            .length = width_of(task, role, "story"),
                            .question_length = width_of(task, role, "question"),
                            .answers = task->fields.y_size};
}

void mn_story_tell(const mn_story_pages *pages, uint32_t item, uint32_t slot, uint32_t age,
                   uint32_t n, const uint32_t *words)
{
    const size_t at = (size_t)item * pages->slots + slot;
    put_words(pages->story + at * pages->length, pages->length, n, words);
    if (pages->age != NULL)
        pages->age[at] = (float)age;
    pages->mask[at] = 1.0f;
}

void mn_story_ask(const mn_story_pages *pages, uint32_t item, uint32_t n, const uint32_t *words,
                  uint32_t answer, uint32_t point, double weight)
{
    const size_t length = pages->question_length, answers = pages->answers;
    put_words(pages->question + item * length, pages->question_length, n, words);
    pages->y[item * answers + (answer < answers ? answer : 0)] = 1.0f;
    pages->weight[item] = (float)weight;
    if (pages->point != NULL)
        pages->point[item] = (float)point;
}

void mn_story_clear(mn_task *task, bool linear)
{
    memset(task->block, 0, task->fields.size * sizeof *task->block);
    for (mn_role role = MN_SUPPORT; role <= MN_QUERY; role++) {
        const mn_field *field = mn_fields_find(&task->fields, role, "linear");
        for (uint32_t i = 0; field != NULL && i < field->n; i++)
            task->block[field->offset + i] = linear ? 1.0f : 0.0f;
    }
    task->n_classes = 0;
}

static void print_words(const float *ids, uint32_t n, const mn_words *words, FILE *out)
{
    for (uint32_t i = 0; i < n && ids[i] != 0; i++) {
        const uint32_t number = (uint32_t)ids[i];
        (void)fprintf(out, "%s%s", i > 0 ? " " : "",
                      number < mn_words_count(words) ? mn_words_text(words, number) : "<unknown>");
    }
}

void mn_story_print_slot(const mn_task *task, mn_role role, uint32_t item, uint32_t slot,
                         const mn_words *words, FILE *out)
{
    const uint32_t length = width_of(task, role, "story");
    print_words(item_of(task, role, "story", item) + (size_t)slot * length, length, words, out);
}

void mn_story_print_question(const mn_task *task, mn_role role, uint32_t item,
                             const mn_words *words, FILE *out)
{
    print_words(item_of(task, role, "question", item), width_of(task, role, "question"), words,
                out);
}

void mn_story_print(const mn_task *task, mn_role role, uint32_t item, const mn_words *words,
                    FILE *out)
{
    const uint32_t slots = mn_story_slots(&task->fields), vocabulary = task->fields.y_size;
    const float *mask = item_of(task, role, "mask", item), *y = item_of(task, role, "y", item);
    const float *age = item_of(task, role, "age", item);
    uint32_t answer = 0;
    for (uint32_t slot = 0; slot < slots; slot++) {
        if (mask[slot] == 0)
            continue;
        (void)fprintf(out, "  %4.0f  ", (double)age[slot]);
        mn_story_print_slot(task, role, item, slot, words, out);
        (void)fputs(".\n", out);
    }
    for (uint32_t i = 1; i < vocabulary; i++)
        answer = y[i] > y[answer] ? i : answer;
    (void)fputs("        ", out);
    mn_story_print_question(task, role, item, words, out);
    (void)fprintf(out, "?  %s\n", answer == 0 ? "<unknown>" : mn_words_text(words, answer));
}
