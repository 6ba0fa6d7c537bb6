/* Stories that are made up, so that a memory can be tried without data.
 *   rooms   people go from room to room, take things and drop them. "Where is mary" needs one
 *           sentence, "where is the ball" two: who took it, and where they went (as in tasks 1 and
 *           2 of bAbI, Weston et al. 2015). A story has 2 to tasks.sentences sentences.
 *   grid    the world model of Henaff et al. 2017 (EntNet), 5.1: two agents on a 10 x 10 grid, told
 *           where they begin and which way they face; then each sentence turns one or moves it 1 to
 *           5 steps, never over the edge. Asked is where one of them is at the end. All stories
 *           have tasks.sentences sentences, the first four included; those of training from
 *           tasks.shortest on, if it is set, as their model "trained up to T = 20".
 *   pairs   associative retrieval (Ba et al. 2016, 4.1): letters with a digit each, "c 9 k 8", every
 *           one a sentence, no letter twice. Asked with a letter, the answer is its digit. */
#include "worker/tasks/story_kind.h"

#include <stdlib.h>
#include <string.h>

#define LENGTH 5u /* words of the longest sentence */
#define N_PEOPLE 4u
#define N_ROOMS 6u
#define N_THINGS 4u
#define SIDE 10u
#define LONGEST_MOVE 5u
#define N_LETTERS 26u
#define N_DIGITS 10u

static const char *const names[] = {
    "daniel", "john",  "mary", "sandra",  "bathroom", "bedroom", "garden", "hallway",   "kitchen",
    "office", "apple", "ball", "book",    "milk",     "went",    "moved",  "travelled", "journeyed",
    "to",     "the",   "took", "grabbed", "dropped",  "left",    "where",  "is"};
enum {
    PEOPLE = 0,
    ROOMS = PEOPLE + N_PEOPLE,
    THINGS = ROOMS + N_ROOMS,
    GO = THINGS + N_THINGS, /* four ways to say it */
    TO = GO + 4,
    THE,
    TAKE, /* two ways */
    DROP = TAKE + 2,
    WHERE = DROP + 2,
    IS,
    N_NAMES
};
_Static_assert(sizeof names / sizeof *names == N_NAMES, "a name for each number");

struct worlds {
    mn_experiment experiment;
    mn_words *words; /* owned */
    uint32_t name[N_NAMES];
    uint32_t letters[N_LETTERS], digits[N_DIGITS];
    uint32_t agents[2], at, faces[4], moves[LONGEST_MOVE], cells[SIDE * SIDE], where, is;
};

/* Where a sentence or a question goes, one after the other. */
struct teller {
    const struct worlds *worlds;
    mn_random *random;
    mn_story_pages pages;
    uint32_t item, n, told; /* sentences of the story; told so far */
    uint32_t shortest;      /* grid: story there may be */
    double weight;
};

static void tell_rooms(struct teller *teller, uint32_t point);
static void tell_grid(struct teller *teller, uint32_t point);
static void tell_pairs(struct teller *teller, uint32_t point);

static mn_status learn(mn_words *words, const char *text, uint32_t *number, mn_error *err)
{
    return mn_words_add(words, text, strlen(text), number, err);
}

static mn_status learn_rooms(struct worlds *worlds, mn_error *err)
{
    mn_status status = MN_OK;
    for (uint32_t i = 0; i < N_NAMES && status == MN_OK; i++)
        status = learn(worlds->words, names[i], &worlds->name[i], err);
    return status;
}

static mn_status learn_grid(struct worlds *worlds, mn_error *err)
{
    static const char *const faces[4] = {"faces-n", "faces-e", "faces-s", "faces-w"};
    char text[MN_WORD_BYTES];
    mn_status status = learn(worlds->words, "where", &worlds->where, err);
    if (status == MN_OK)
        status = learn(worlds->words, "is", &worlds->is, err);
    if (status == MN_OK)
        status = learn(worlds->words, "at", &worlds->at, err);
    for (uint32_t i = 0; i < 2 && status == MN_OK; i++)
        status = learn(worlds->words, i == 0 ? "agent1" : "agent2", &worlds->agents[i], err);
    for (uint32_t i = 0; i < 4 && status == MN_OK; i++)
        status = learn(worlds->words, faces[i], &worlds->faces[i], err);
    for (uint32_t i = 0; i < LONGEST_MOVE && status == MN_OK; i++) {
        (void)snprintf(text, sizeof text, "moves-%u", (unsigned)i + 1);
        status = learn(worlds->words, text, &worlds->moves[i], err);
    }
    for (uint32_t i = 0; i < SIDE * SIDE && status == MN_OK; i++) {
        (void)snprintf(text, sizeof text, "%u-%u", (unsigned)(i % SIDE) + 1,
                       (unsigned)(i / SIDE) + 1);
        status = learn(worlds->words, text, &worlds->cells[i], err);
    }
    return status;
}

static mn_status learn_pairs(struct worlds *worlds, mn_error *err)
{
    mn_status status = MN_OK;
    char text[2] = "";
    for (uint32_t i = 0; i < N_LETTERS && status == MN_OK; i++) {
        text[0] = (char)('a' + i);
        status = learn(worlds->words, text, &worlds->letters[i], err);
    }
    for (uint32_t i = 0; i < N_DIGITS && status == MN_OK; i++) {
        text[0] = (char)('0' + i);
        status = learn(worlds->words, text, &worlds->digits[i], err);
    }
    return status;
}

/* A world is a row. */
static const struct world {
    mn_status (*learn)(struct worlds *worlds, mn_error *err); /* its words */
    void (*tell)(struct teller *teller, uint32_t point);      /* a story, and ask */
    mn_points points;
} worlds_by_kind[] = {
    [MN_WORLD_ROOMS] = {learn_rooms,
                        tell_rooms,
                        {.axis = "set", .n = 2, .names = {"1 fact", "2 facts"}}},
    [MN_WORLD_GRID] = {learn_grid,
                       tell_grid,
                       {.axis = "set", .n = 2, .names = {"agent1", "agent2"}}},
    [MN_WORLD_PAIRS] = {learn_pairs,
                        tell_pairs,
                        {.axis = "set", .n = 2, .names = {"first half", "second half"}}},
};

static mn_status open_tasks(const mn_experiment *experiment, mn_task_set_parts *parts,
                            mn_error *err)
{
    const struct world *world = &worlds_by_kind[experiment->tasks.world];
    struct worlds *worlds = calloc(1, sizeof *worlds);
    parts->state = worlds;
    if (worlds == NULL)
        return mn_fail(err, MN_ERR_NOMEM, "task set");
    worlds->experiment = *experiment;
    mn_status status = mn_words_new(&worlds->words, err);
    if (status == MN_OK)
        status = world->learn(worlds, err);
    for (mn_split split = MN_TRAIN; split < MN_N_SPLITS && status == MN_OK; split++) {
        const mn_story_shape shape = {.bundle = experiment->tasks.bundle,
                                      .support = experiment->tasks.shot,
                                      .sentences = experiment->tasks.sentences,
                                      .length = LENGTH,
                                      .question = LENGTH - 1,
                                      .vocabulary = mn_words_count(worlds->words),
                                      .linear_start = experiment->tasks.linear_start > 0};
        status = mn_story_fields(&shape, &world->points, &parts->fields[split], err);
    }
    return status;
}

static void close_tasks(void *of)
{
    struct worlds *worlds = of;
    if (worlds != NULL)
        mn_words_destroy(&worlds->words);
    free(worlds);
}

static void draw_role(const struct worlds *worlds, uint32_t shortest, mn_role role, uint32_t n,
                      uint32_t point, mn_random *random, mn_task *task)
{
    struct teller teller = {.worlds = worlds,
                            .random = random,
                            .pages = mn_story_pages_of(task, role),
                            .weight = 1.0 / n,
                            .shortest = shortest};
    for (teller.item = 0; teller.item < n; teller.item++) {
        const uint32_t set = point < 2 ? point : mn_random_below(random, 2);
        teller.told = 0;
        worlds_by_kind[worlds->experiment.tasks.world].tell(&teller, set);
    }
}

/* With support questions all are of one set; else each is of any. */
static void draw(const void *state, mn_split split, uint64_t index, mn_random *random,
                 mn_task *task)
{
    const struct worlds *worlds = state;
    const uint32_t n_support = worlds->experiment.tasks.shot;
    const uint32_t point = n_support > 0 ? mn_random_below(random, 2) : 2;
    const bool varies = split == MN_TRAIN && worlds->experiment.tasks.shortest > 0;
    const uint32_t shortest =
        varies ? worlds->experiment.tasks.shortest : worlds->experiment.tasks.sentences;
    mn_story_clear(task, split == MN_TRAIN && mn_story_is_linear(&worlds->experiment, index));
    if (n_support > 0)
        draw_role(worlds, shortest, MN_SUPPORT, n_support, point, random, task);
    draw_role(worlds, shortest, MN_QUERY, worlds->experiment.tasks.bundle, point, random, task);
}

static const mn_words *words_of(const void *state)
{
    return ((const struct worlds *)state)->words;
}

static void describe(const void *state, const mn_task *task, FILE *out)
{
    mn_story_describe(&task->fields, words_of(state), task, out);
}

const mn_task_set_kind mn_generated_stories_kind = {.open = open_tasks,
                                                    .close = close_tasks,
                                                    .draw = draw,
                                                    .describe = describe,
                                                    .words = words_of};

static void tell(struct teller *teller, uint32_t n, const uint32_t *words)
{
    mn_story_tell(&teller->pages, teller->item, teller->told, teller->n - teller->told, n, words);
    teller->told++;
}

/* Rooms --------------------------------------------------------------------------- */

enum { NOWHERE = N_ROOMS, NOBODY = N_PEOPLE };

struct rooms {
    uint32_t room[N_PEOPLE];   /* NOWHERE: not known yet */
    uint32_t holder[N_THINGS]; /* or NOBODY */
    uint32_t lies[N_THINGS];   /* where it was dropped; NOWHERE: not known */
};

static uint32_t name(const struct teller *teller, uint32_t number)
{
    return teller->worlds->name[number];
}

static void go(struct teller *teller, struct rooms *rooms, uint32_t who)
{
    const uint32_t n = rooms->room[who] == NOWHERE ? N_ROOMS : N_ROOMS - 1;
    uint32_t room = mn_random_below(teller->random, n);
    room += room >= rooms->room[who]; /* another one than where they are */
    const uint32_t words[] = {name(teller, PEOPLE + who),
                              name(teller, GO + mn_random_below(teller->random, 4)),
                              name(teller, TO), name(teller, THE), name(teller, ROOMS + room)};
    rooms->room[who] = room;
    tell(teller, 5, words);
}

/* A thing that nobody holds is taken where it lies, or anywhere if that is not known; one that they
 * hold is dropped. False: they can do neither to it. */
static bool handle(struct teller *teller, struct rooms *rooms, uint32_t who, uint32_t thing)
{
    const uint32_t here = rooms->room[who];
    const bool holds = rooms->holder[thing] == who;
    const bool may_take = rooms->holder[thing] == NOBODY &&
                          (rooms->lies[thing] == NOWHERE || rooms->lies[thing] == here);
    if (here == NOWHERE || (!holds && !may_take))
        return false;
    const uint32_t way = mn_random_below(teller->random, 2);
    const uint32_t words[] = {name(teller, PEOPLE + who), name(teller, (holds ? DROP : TAKE) + way),
                              name(teller, THE), name(teller, THINGS + thing)};
    rooms->holder[thing] = holds ? NOBODY : who;
    rooms->lies[thing] = holds ? here : NOWHERE;
    tell(teller, 4, words);
    return true;
}

/* NOWHERE: the story does not tell. */
static uint32_t room_of_thing(const struct rooms *rooms, uint32_t thing)
{
    return rooms->holder[thing] == NOBODY ? rooms->lies[thing] : rooms->room[rooms->holder[thing]];
}

/* One of those whose room is known, by lot; there is one. */
static uint32_t pick(mn_random *random, uint32_t n, const uint32_t *room)
{
    uint32_t i = mn_random_below(random, n);
    while (room[i] == NOWHERE)
        i = (i + 1) % n;
    return i;
}

static void tell_rooms(struct teller *teller, uint32_t point)
{
    mn_random *random = teller->random;
    const uint32_t most = teller->worlds->experiment.tasks.sentences;
    const uint32_t least = most < 2 ? most : 2;
    struct rooms rooms;
    uint32_t thing_room[N_THINGS], known = 0;
    for (uint32_t i = 0; i < N_PEOPLE; i++)
        rooms.room[i] = NOWHERE;
    for (uint32_t i = 0; i < N_THINGS; i++) {
        rooms.holder[i] = NOBODY;
        rooms.lies[i] = NOWHERE;
    }
    teller->n = least + mn_random_below(random, most - least + 1);
    while (teller->told < teller->n) {
        const uint32_t who = mn_random_below(random, N_PEOPLE);
        if (mn_random_below(random, 3) == 0 ||
            !handle(teller, &rooms, who, mn_random_below(random, N_THINGS)))
            go(teller, &rooms, who);
    }
    for (uint32_t i = 0; i < N_THINGS; i++) {
        thing_room[i] = room_of_thing(&rooms, i);
        known += thing_room[i] != NOWHERE;
    }
    if (point == 0 || known == 0) {
        const uint32_t who = pick(random, N_PEOPLE, rooms.room);
        const uint32_t words[] = {name(teller, WHERE), name(teller, IS),
                                  name(teller, PEOPLE + who)};
        mn_story_ask(&teller->pages, teller->item, 3, words, name(teller, ROOMS + rooms.room[who]),
                     0, teller->weight);
    } else {
        const uint32_t thing = pick(random, N_THINGS, thing_room);
        const uint32_t words[] = {name(teller, WHERE), name(teller, IS), name(teller, THE),
                                  name(teller, THINGS + thing)};
        mn_story_ask(&teller->pages, teller->item, 4, words,
                     name(teller, ROOMS + thing_room[thing]), 1, teller->weight);
    }
}

/* Grid ---------------------------------------------------------------------------- */

struct agent {
    uint32_t x, y, faces; /* 0 north, 1 east, 2 south, 3 west */
};

static void turn(struct teller *teller, struct agent *agents, uint32_t who, uint32_t faces)
{
    const struct worlds *worlds = teller->worlds;
    agents[who].faces = faces;
    tell(teller, 2, (uint32_t[]){worlds->agents[who], worlds->faces[faces]});
}

/* Steps to the edge ahead. */
static uint32_t room_ahead(const struct agent *agent)
{
    const uint32_t last = SIDE - 1;
    switch (agent->faces) {
    case 0:
        return last - agent->y;
    case 1:
        return last - agent->x;
    case 2:
        return agent->y;
    default:
        return agent->x;
    }
}

static void move(struct teller *teller, struct agent *agents, uint32_t who, uint32_t steps)
{
    const struct worlds *worlds = teller->worlds;
    struct agent *agent = &agents[who];
    agent->y = agent->faces == 0   ? agent->y + steps
               : agent->faces == 2 ? agent->y - steps
                                   : agent->y;
    agent->x = agent->faces == 1   ? agent->x + steps
               : agent->faces == 3 ? agent->x - steps
                                   : agent->x;
    tell(teller, 2, (uint32_t[]){worlds->agents[who], worlds->moves[steps - 1]});
}

static void tell_grid(struct teller *teller, uint32_t point)
{
    const struct worlds *worlds = teller->worlds;
    mn_random *random = teller->random;
    struct agent agents[2];
    teller->n = worlds->experiment.tasks.sentences;
    if (teller->shortest < teller->n)
        teller->n = teller->shortest + mn_random_below(random, teller->n - teller->shortest + 1);
    for (uint32_t who = 0; who < 2; who++) {
        agents[who].x = mn_random_below(random, SIDE);
        agents[who].y = mn_random_below(random, SIDE);
        const uint32_t cell = agents[who].y * SIDE + agents[who].x;
        tell(teller, 4,
             (uint32_t[]){worlds->agents[who], worlds->is, worlds->at, worlds->cells[cell]});
        turn(teller, agents, who, mn_random_below(random, 4));
    }
    while (teller->told < teller->n) {
        const uint32_t who = mn_random_below(random, 2), most = room_ahead(&agents[who]);
        if (most == 0 || mn_random_below(random, 2) == 0)
            turn(teller, agents, who, (agents[who].faces + 1 + mn_random_below(random, 3)) % 4);
        else
            move(teller, agents, who,
                 1 + mn_random_below(random, most < LONGEST_MOVE ? most : LONGEST_MOVE));
    }
    mn_story_ask(&teller->pages, teller->item, 3,
                 (uint32_t[]){worlds->where, worlds->is, worlds->agents[point]},
                 worlds->cells[agents[point].y * SIDE + agents[point].x], point, teller->weight);
}

/* Pairs --------------------------------------------------------------------------- */

static void tell_pairs(struct teller *teller, uint32_t point)
{
    const struct worlds *worlds = teller->worlds;
    mn_random *random = teller->random;
    uint32_t letters[N_LETTERS], digits[N_LETTERS];
    teller->n = worlds->experiment.tasks.sentences;
    const uint32_t n = teller->n / 2, half = n / 2;
    mn_random_choose(random, N_LETTERS, n, letters);
    for (uint32_t i = 0; i < n; i++) {
        digits[i] = mn_random_below(random, N_DIGITS);
        tell(teller, 1, &worlds->letters[letters[i]]);
        tell(teller, 1, &worlds->digits[digits[i]]);
    }
    const uint32_t asked =
        point == 0 ? mn_random_below(random, half) : half + mn_random_below(random, n - half);
    mn_story_ask(&teller->pages, teller->item, 1, &worlds->letters[letters[asked]],
                 worlds->digits[digits[asked]], point, teller->weight);
}
