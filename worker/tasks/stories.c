/* Stories with questions from files, as the bAbI tasks have them. A task is a bundle of questions,
 * each with what its story has told so far. Training shows all questions of all sets once before
 * any comes again, in an order of its own each time; validation and test show theirs once, set by
 * set. With support questions a bundle is of one set, and they are training questions of it. */
#include "worker/tasks/story_kind.h"

#include "worker/data/babi_folder.h"
#include "worker/data/babi_text.h"
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* Questions of one set that a split shows: [first, first + n) of a text. */
struct part {
    const mn_babi_text *text;
    uint32_t first, n;
};

struct stories {
    mn_experiment experiment;
    mn_words *words; /* of the training files; owned */
    uint32_t n_sets;
    mn_points points;
    mn_babi_text texts[2 * MN_BABI_MAX_SETS]; /* train and test, set by set; owned */
    struct part parts[MN_N_SPLITS][MN_BABI_MAX_SETS];
    uint32_t n_training; /* questions */
    mn_story_shape shape;
};

static mn_status read_sets(struct stories *stories, const mn_babi_folder *folder, mn_error *err);
static mn_status sort_words(struct stories *stories, mn_error *err);
static mn_status split_questions(struct stories *stories, mn_task_set_parts *parts, mn_error *err);
static void name_data(const struct stories *stories, mn_task_set_parts *parts);
static mn_status make_fields(struct stories *stories, mn_task_set_parts *parts, mn_error *err);

static mn_status open_tasks(const mn_experiment *experiment, mn_task_set_parts *parts,
                            mn_error *err)
{
    struct stories *stories = calloc(1, sizeof *stories);
    mn_babi_folder folder = {0};
    parts->state = stories;
    if (stories == NULL)
        return mn_fail(err, MN_ERR_NOMEM, "task set");
    stories->experiment = *experiment;
    (void)snprintf(parts->data_name, sizeof parts->data_name, "%s", experiment->tasks.data);
    mn_status status = mn_babi_folder_find(experiment->tasks.data, experiment->run.data_path,
                                           experiment->tasks.stories, &folder, err);
    if (status == MN_OK)
        status = mn_words_new(&stories->words, err);
    if (status == MN_OK)
        status = read_sets(stories, &folder, err);
    mn_babi_folder_fini(&folder);
    if (status != MN_OK)
        return status;
    name_data(stories, parts);
    status = split_questions(stories, parts, err);
    return status == MN_OK ? make_fields(stories, parts, err) : status;
}

static void close_tasks(void *of)
{
    struct stories *stories = of;
    if (stories == NULL)
        return;
    for (uint32_t i = 0; i < 2 * stories->n_sets; i++)
        mn_babi_text_fini(&stories->texts[i]);
    mn_words_destroy(&stories->words);
    free(stories);
}

/* Opening ------------------------------------------------------------------------- */

static mn_status read_sets(struct stories *stories, const mn_babi_folder *folder, mn_error *err)
{
    mn_status status = MN_OK;
    stories->n_sets = folder->n;
    (void)snprintf(stories->points.axis, sizeof stories->points.axis, "set");
    stories->points.n = folder->n;
    for (uint32_t i = 0; i < folder->n && status == MN_OK; i++) {
        (void)snprintf(stories->points.names[i], sizeof stories->points.names[i], "qa%u",
                       (unsigned)folder->sets[i].number);
        status = mn_babi_text_read(folder->sets[i].train, stories->words, true,
                                   &stories->texts[2 * i], err);
    }
    if (status == MN_OK)
        status = sort_words(stories, err);
    for (uint32_t i = 0; i < folder->n && status == MN_OK; i++)
        status = mn_babi_text_read(folder->sets[i].test, stories->words, false,
                                   &stories->texts[2 * i + 1], err);
    return status;
}

/* So that a word's number is the same whatever file it came from first. */
static mn_status sort_words(struct stories *stories, mn_error *err)
{
    uint32_t *renamed = NULL;
    mn_status status = mn_words_sort(stories->words, &renamed, err);
    for (uint32_t i = 0; i < stories->n_sets && status == MN_OK; i++) {
        mn_babi_text *text = &stories->texts[2 * i];
        for (uint32_t k = 0; k < text->n_words; k++)
            text->words[k] = renamed[text->words[k]];
        for (uint32_t k = 0; k < text->n_questions; k++)
            text->questions[k].answer = renamed[text->questions[k].answer];
    }
    free(renamed);
    return status;
}

/* One digest for all files, in the order of the sets. */
static void name_data(const struct stories *stories, mn_task_set_parts *parts)
{
    mn_hasher hasher;
    mn_hasher_init(&hasher);
    for (uint32_t i = 0; i < 2 * stories->n_sets; i++)
        mn_hasher_add(&hasher, stories->texts[i].digest.bytes, sizeof(mn_digest));
    parts->data_digest = mn_hasher_finish(&hasher);
    (void)snprintf(parts->data_where, sizeof parts->data_where, "what tasks.stories %s names of %s",
                   stories->experiment.tasks.stories, parts->data_name);
}

static uint64_t bundles(const struct stories *stories, uint32_t n)
{
    const uint32_t bundle = stories->experiment.tasks.bundle;
    return ((uint64_t)n + bundle - 1) / bundle;
}

/* The last questions of each set's training file are for validation. */
static mn_status split_questions(struct stories *stories, mn_task_set_parts *parts, mn_error *err)
{
    const double share = stories->experiment.tasks.held_out;
    for (uint32_t i = 0; i < stories->n_sets; i++) {
        const mn_babi_text *train = &stories->texts[2 * i], *test = &stories->texts[2 * i + 1];
        uint32_t n_val = (uint32_t)(share * train->n_questions);
        n_val = n_val > 0 ? n_val : 1;
        const uint32_t n_train = train->n_questions - n_val;
        if (n_train == 0 || n_train < stories->experiment.tasks.shot)
            return mn_fail(err, MN_ERR_CONFIG,
                           "set %s has %" PRIu32 " questions for training, %" PRIu32
                           " less those held out; expected at least 1, and tasks.shot %" PRIu32,
                           stories->points.names[i], train->n_questions, n_train,
                           stories->experiment.tasks.shot);
        stories->parts[MN_TRAIN][i] = (struct part){train, 0, n_train};
        stories->parts[MN_VAL][i] = (struct part){train, n_train, n_val};
        stories->parts[MN_TEST][i] = (struct part){test, 0, test->n_questions};
        stories->n_training += n_train;
        parts->n_tasks[MN_VAL] += bundles(stories, n_val);
        parts->n_tasks[MN_TEST] += bundles(stories, test->n_questions);
    }
    return MN_OK;
}

static uint32_t larger(uint32_t a, uint32_t b)
{
    return a > b ? a : b;
}

/* Lengths are those of the training files. */
static mn_status make_fields(struct stories *stories, mn_task_set_parts *parts, mn_error *err)
{
    const mn_experiment *e = &stories->experiment;
    mn_story_shape shape = {.bundle = e->tasks.bundle,
                            .support = e->tasks.shot,
                            .sentences = 1,
                            .length = 1,
                            .vocabulary = mn_words_count(stories->words),
                            .linear_start = e->tasks.linear_start > 0};
    for (uint32_t i = 0; i < stories->n_sets; i++) {
        const mn_babi_text *text = &stories->texts[2 * i];
        shape.sentences = larger(shape.sentences, text->longest_story);
        shape.length = larger(shape.length, text->longest_sentence);
        shape.question = larger(shape.question, text->longest_question);
    }
    if (shape.sentences > e->tasks.sentences)
        shape.sentences = e->tasks.sentences;
    stories->shape = shape;
    mn_status status = MN_OK;
    for (mn_split split = MN_TRAIN; split < MN_N_SPLITS && status == MN_OK; split++)
        status = mn_story_fields(&shape, &stories->points, &parts->fields[split], err);
    return status;
}

/* Drawing ------------------------------------------------------------------------- */

/* Where an item goes. */
struct place {
    const mn_story_pages *pages;
    uint32_t item;
    double weight;
};

/* Ages n .. 1 of the n sentences, oldest first; or, of training, with empty memories among them by
 * lot: up to `noise` times n, so that ages have gaps (Sukhbaatar et al. 2015, 4.2; as in the
 * authors' code, no age is above the number of slots). */
static void make_ages(uint32_t n, uint32_t slots, double noise, mn_random *random, uint32_t *ages)
{
    const double most = noise * n;
    uint32_t blanks = (uint32_t)most;
    blanks += blanks < most;
    blanks = blanks > 0 ? mn_random_below(random, blanks + 1) : 0;
    uint32_t left = n;
    for (uint32_t age = n + blanks; age > 0; age--) /* each subset of n is as likely */
        if (blanks == 0 || mn_random_below(random, age) < left) {
            ages[n - left] = age < slots ? age : slots;
            left--;
        }
}

static void put_question(const struct stories *stories, const struct place *place,
                         const struct part *part, uint32_t number, uint32_t point, double noise,
                         mn_random *random)
{
    uint32_t ages[1024];
    const mn_babi_text *text = part->text;
    const mn_babi_question *question = &text->questions[part->first + number];
    const uint32_t slots = place->pages->slots;
    const uint32_t n = question->n_so_far < slots ? question->n_so_far : slots;
    const mn_babi_words *sentence =
        text->sentences + question->first_sentence + (question->n_so_far - n);
    (void)stories;
    make_ages(n, slots, noise, random, ages);
    for (uint32_t i = 0; i < n; i++)
        mn_story_tell(place->pages, place->item, i, ages[i], sentence[i].n,
                      text->words + sentence[i].first);
    mn_story_ask(place->pages, place->item, question->words.n, text->words + question->words.first,
                 question->answer, point, place->weight);
}

/* Question `number` of all sets together: its set, and its number there. */
static uint32_t set_of(const struct stories *stories, mn_split split, uint32_t *number)
{
    uint32_t set = 0;
    while (*number >= stories->parts[split][set].n)
        *number -= stories->parts[split][set++].n;
    return set;
}

static void draw_training(const struct stories *stories, uint64_t index, mn_random *random,
                          mn_task *task)
{
    const mn_experiment *e = &stories->experiment;
    const mn_story_pages pages = mn_story_pages_of(task, MN_QUERY);
    struct place place = {.pages = &pages, .weight = 1.0 / e->tasks.bundle};
    for (; place.item < e->tasks.bundle; place.item++) {
        const uint64_t at = index * e->tasks.bundle + place.item, epoch = at / stories->n_training;
        uint32_t number =
            mn_random_place(mn_random_stream(e->seed, MN_RANDOM_ORDER, epoch), stories->n_training,
                            (uint32_t)(at % stories->n_training));
        const uint32_t set = set_of(stories, MN_TRAIN, &number);
        put_question(stories, &place, &stories->parts[MN_TRAIN][set], number, set, e->tasks.noise,
                     random);
    }
}

static void draw_support(const struct stories *stories, uint32_t set, double noise,
                         mn_random *random, mn_task *task)
{
    uint32_t chosen[1024];
    const uint32_t n = stories->experiment.tasks.shot;
    const struct part *part = &stories->parts[MN_TRAIN][set];
    const mn_story_pages pages = mn_story_pages_of(task, MN_SUPPORT);
    struct place place = {.pages = &pages, .weight = 1.0 / n};
    mn_random_choose(random, part->n, n, chosen);
    for (; place.item < n; place.item++)
        put_question(stories, &place, part, chosen[place.item], set, noise, random);
}

/* Support and query of one set, which is as likely as it has questions, and apart from each other
 * if there are enough of them. */
static void draw_adapting(const struct stories *stories, mn_random *random, mn_task *task)
{
    const mn_experiment *e = &stories->experiment;
    const uint32_t n_support = e->tasks.shot;
    uint32_t chosen[2048], number = mn_random_below(random, stories->n_training);
    const uint32_t set = set_of(stories, MN_TRAIN, &number);
    const struct part *part = &stories->parts[MN_TRAIN][set];
    const uint32_t n = n_support + e->tasks.bundle;
    const bool enough = n <= part->n;
    const mn_story_pages pages[] = {[MN_SUPPORT] = mn_story_pages_of(task, MN_SUPPORT),
                                    [MN_QUERY] = mn_story_pages_of(task, MN_QUERY)};
    mn_random_choose(random, part->n, enough ? n : n_support, chosen);
    for (uint32_t i = enough ? n : n_support; i < n; i++)
        chosen[i] = mn_random_below(random, part->n);
    for (uint32_t i = 0; i < n; i++) {
        const bool query = i >= n_support;
        const struct place place = {.pages = &pages[query ? MN_QUERY : MN_SUPPORT],
                                    .item = query ? i - n_support : i,
                                    .weight = 1.0 / (query ? e->tasks.bundle : n_support)};
        put_question(stories, &place, part, chosen[i], set, e->tasks.noise, random);
    }
}

/* Bundle `index` of a split, set by set; from the beginning again beyond the last. */
static void draw_in_order(const struct stories *stories, mn_split split, uint64_t index,
                          mn_random *random, mn_task *task)
{
    const uint32_t bundle = stories->experiment.tasks.bundle;
    uint64_t n_tasks = 0;
    for (uint32_t i = 0; i < stories->n_sets; i++)
        n_tasks += bundles(stories, stories->parts[split][i].n);
    index %= n_tasks;
    uint32_t set = 0;
    for (; index >= bundles(stories, stories->parts[split][set].n); set++)
        index -= bundles(stories, stories->parts[split][set].n);
    const struct part *part = &stories->parts[split][set];
    const uint32_t first = (uint32_t)index * bundle;
    const uint32_t n = part->n - first < bundle ? part->n - first : bundle;
    const mn_story_pages pages = mn_story_pages_of(task, MN_QUERY);
    struct place place = {.pages = &pages, .weight = 1.0 / n};
    for (; place.item < n; place.item++)
        put_question(stories, &place, part, first + place.item, set, 0, random);
    if (stories->experiment.tasks.shot > 0)
        draw_support(stories, set, 0, random, task);
}

static void draw(const void *state, mn_split split, uint64_t index, mn_random *random,
                 mn_task *task)
{
    const struct stories *stories = state;
    mn_story_clear(task, split == MN_TRAIN && mn_story_is_linear(&stories->experiment, index));
    if (split != MN_TRAIN)
        draw_in_order(stories, split, index, random, task);
    else if (stories->experiment.tasks.shot > 0)
        draw_adapting(stories, random, task);
    else
        draw_training(stories, index, random, task);
}

static const mn_words *words_of(const void *state)
{
    return ((const struct stories *)state)->words;
}

static void describe(const void *state, const mn_task *task, FILE *out)
{
    mn_story_describe(&task->fields, words_of(state), task, out);
}

static void tell_unread(const void *state, char *out, size_t n)
{
    const struct stories *stories = state;
    const uint32_t unknown = stories->shape.vocabulary;
    uint32_t words = 0, answers = 0, cut = 0;
    for (uint32_t set = 0; set < stories->n_sets; set++) {
        const mn_babi_text *test = &stories->texts[2 * set + 1];
        for (uint32_t i = 0; i < test->n_words; i++)
            words += test->words[i] == unknown;
        for (uint32_t i = 0; i < test->n_sentences; i++)
            cut += test->sentences[i].n > stories->shape.length;
        for (uint32_t i = 0; i < test->n_questions; i++) {
            cut += test->questions[i].words.n > stories->shape.question;
            answers += test->questions[i].answer == unknown;
        }
    }
    if (words + answers + cut > 0)
        (void)snprintf(out, n,
                       "%s: of words that training lacks, tests have %" PRIu32
                       " in stories and questions, where the network reads nothing, and %" PRIu32
                       " as answers, which it cannot give; %" PRIu32
                       " sentences and questions are longer than training's longest (%" PRIu32
                       " and %" PRIu32 " words) and lose their ends",
                       stories->experiment.tasks.data, words, answers, cut, stories->shape.length,
                       stories->shape.question);
}

const mn_task_set_kind mn_stories_kind = {.open = open_tasks,
                                          .close = close_tasks,
                                          .draw = draw,
                                          .describe = describe,
                                          .tell_unread = tell_unread,
                                          .words = words_of};

/* For both kinds ------------------------------------------------------------------ */

bool mn_story_is_linear(const mn_experiment *experiment, uint64_t index)
{
    return index / experiment->outer.batch < experiment->tasks.linear_start;
}

#define SHOWN 3u /* questions of a set that are printed */

void mn_story_describe(const mn_fields *fields, const mn_words *words, const mn_task *task,
                       FILE *out)
{
    for (mn_role role = MN_SUPPORT; role <= MN_QUERY; role++) {
        const mn_field *weight = mn_fields_find(fields, role, "weight");
        const float *weights = mn_task_find(task, role, "weight");
        const float *points = mn_task_find(task, role, "point");
        uint32_t n = 0;
        for (uint32_t i = 0; weight != NULL && i < weight->n; i++)
            n += weights[i] != 0;
        if (weight == NULL)
            continue;
        (void)fprintf(out,
                      "%s  %" PRIu32 " questions, memory of %" PRIu32 " sentences, %" PRIu32
                      " words; the first %" PRIu32 " (age, sentence):\n",
                      role == MN_SUPPORT ? "support" : "query", n, mn_story_slots(fields),
                      fields->y_size, n < SHOWN ? n : SHOWN);
        for (uint32_t i = 0; i < SHOWN && i < n; i++) {
            (void)fprintf(out, "\nquestion %" PRIu32 "%s%s\n", i, points != NULL ? ", of " : "",
                          points != NULL ? fields->points.names[(uint32_t)points[i]] : "");
            mn_story_print(task, role, i, words, out);
        }
    }
}
