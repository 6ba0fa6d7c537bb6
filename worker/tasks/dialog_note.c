#include "worker/tasks/dialog_note.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* What is read, line by line. */
struct reader {
    mn_dialog_book *book;
    uint32_t line;
    FILE *candidates; /* as a file of them would be */
    uint32_t n_candidates;
    bool has_slots, has_turns;
    mn_error *err;
};

static mn_status read_line(struct reader *r, const char *line, size_t n);
static mn_status take_candidates(mn_dialog_book *book, char *list, size_t n, mn_error *err);
static mn_status find_own_words(mn_dialog_book *book, mn_error *err);

mn_status mn_dialog_note_write(const mn_dialog_book *book, char **text, mn_error *err)
{
    size_t n = 0;
    *text = NULL;
    FILE *out = open_memstream(text, &n);
    if (out == NULL)
        return mn_fail(err, MN_ERR_NOMEM, "what a dialogue needs, as text");
    (void)fprintf(out, "slots %" PRIu32 "\nturns %" PRIu32 "\nlongest %" PRIu32 "\n", book->slots,
                  book->n_turns, book->longest);
    for (uint32_t i = 0; i < book->entities.n_types; i++)
        (void)fprintf(out, "type %s\n", book->entities.type_names[i]);
    for (uint32_t i = 1; book->entities.names != NULL && i < mn_words_count(book->entities.names);
         i++)
        (void)fprintf(out, "entity %" PRIx32 " %s\n", book->entities.types[i],
                      mn_words_text(book->entities.names, i));
    for (uint32_t i = 0; i < book->candidates.n; i++)
        (void)fprintf(out, "candidate %s\n", book->candidates.texts[i]);
    if (fclose(out) == 0)
        return MN_OK;
    free(*text);
    *text = NULL;
    return mn_fail(err, MN_ERR_NOMEM, "what a dialogue needs, as text");
}

mn_status mn_dialog_note_read(const char *text, const char *words, mn_dialog_book *out,
                              mn_error *err)
{
    struct reader r = {.book = out, .err = err};
    char *list = NULL;
    size_t n = 0;
    memset(out, 0, sizeof *out);
    mn_status status = mn_words_parse(words, &out->words, err);
    if (status == MN_OK && (r.candidates = open_memstream(&list, &n)) == NULL)
        status = mn_fail(err, MN_ERR_NOMEM, "candidates of a dialogue");
    for (const char *line = text; status == MN_OK && *line != '\0';) {
        const size_t length = strcspn(line, "\n");
        r.line++;
        status = read_line(&r, line, length);
        line += length + (line[length] == '\n');
    }
    if (r.candidates != NULL && fclose(r.candidates) != 0 && status == MN_OK)
        status = mn_fail(err, MN_ERR_NOMEM, "candidates of a dialogue");
    if (status == MN_OK && (!r.has_slots || !r.has_turns || out->longest == 0))
        status = mn_fail(err, MN_ERR_DATA, "the note of dialogues lacks slots, turns or longest");
    if (status == MN_OK)
        status = take_candidates(out, list, n, err);
    if (status == MN_OK)
        status = find_own_words(out, err);
    free(list);
    return status;
}

static mn_status refuse(const struct reader *r, const char *expected)
{
    return mn_fail(r->err, MN_ERR_DATA, "line %" PRIu32 " of the note of dialogues: expected %s",
                   r->line, expected);
}

/* "NAME 12" with 0 or `least` to `most`. */
static bool take_number(const char *line, size_t n, const char *name, uint32_t least, uint32_t most,
                        uint32_t *out)
{
    const size_t begin = strlen(name) + 1;
    uint32_t number = 0;
    if (n <= begin || n > begin + 6)
        return false;
    for (size_t i = begin; i < n; i++) {
        if (line[i] < '0' || line[i] > '9')
            return false;
        number = 10 * number + (uint32_t)(line[i] - '0');
    }
    *out = number;
    return number >= least && number <= most;
}

static mn_status read_type(struct reader *r, const char *name, size_t n)
{
    mn_dialog_entities *entities = &r->book->entities;
    if (n == 0 || n >= MN_WORD_BYTES || entities->n_types == MN_DIALOG_MAX_TYPES ||
        entities->names != NULL)
        return refuse(r, "\"type NAME\", before all entities, and few of them");
    memcpy(entities->type_names[entities->n_types++], name, n);
    return MN_OK;
}

static mn_status read_entity(struct reader *r, const char *text, size_t n)
{
    mn_dialog_entities *entities = &r->book->entities;
    char bits[9] = "", *end = NULL;
    const char *space = memchr(text, ' ', n);
    const size_t n_bits = space != NULL ? (size_t)(space - text) : 0;
    uint32_t number = 0;
    mn_error why;
    if (entities->names == NULL) {
        mn_status status = mn_words_new(&entities->names, r->err);
        entities->types = calloc(MN_DIALOG_MAX_ENTITIES, sizeof *entities->types);
        if (status != MN_OK || entities->types == NULL)
            return mn_fail(r->err, MN_ERR_NOMEM, "entities of a dialogue");
    }
    const uint32_t before = mn_words_count(entities->names);
    if (n_bits == 0 || n_bits >= sizeof bits)
        return refuse(r, "\"entity BITS NAME\"");
    memcpy(bits, text, n_bits);
    const unsigned long types = strtoul(bits, &end, 16);
    if (*end != '\0' || types >> entities->n_types != 0 ||
        mn_words_add(entities->names, space + 1, n - n_bits - 1, &number, &why) != MN_OK ||
        number != before || number >= MN_DIALOG_MAX_ENTITIES)
        return refuse(r, "\"entity BITS NAME\" with types that there are, and each name once");
    entities->types[number] = (uint32_t)types;
    return MN_OK;
}

static bool begins(const char *line, size_t n, const char *word)
{
    const size_t length = strlen(word);
    return n > length && memcmp(line, word, length) == 0 && line[length] == ' ';
}

static mn_status read_line(struct reader *r, const char *line, size_t n)
{
    mn_dialog_book *book = r->book;
    if (begins(line, n, "slots")) {
        r->has_slots = take_number(line, n, "slots", 1, MN_DIALOG_MAX_TURN, &book->slots);
        return r->has_slots ? MN_OK : refuse(r, "\"slots N\", a number above 0");
    }
    if (begins(line, n, "turns")) {
        r->has_turns = take_number(line, n, "turns", 0, MN_DIALOG_MAX_TURN, &book->n_turns);
        return r->has_turns ? MN_OK : refuse(r, "\"turns N\"");
    }
    if (begins(line, n, "longest"))
        return take_number(line, n, "longest", 1, MN_DIALOG_MAX_LENGTH, &book->longest)
                   ? MN_OK
                   : refuse(r, "\"longest N\", words of an utterance");
    if (begins(line, n, "type"))
        return read_type(r, line + 5, n - 5);
    if (begins(line, n, "entity"))
        return read_entity(r, line + 7, n - 7);
    if (begins(line, n, "candidate") && r->n_candidates < MN_DIALOG_MAX_CANDIDATES) {
        r->n_candidates++;
        (void)fprintf(r->candidates, "1 %.*s\n", (int)(n - 10), line + 10);
        return MN_OK;
    }
    return refuse(r, "slots, turns, longest, type, entity or candidate, and something behind it");
}

static mn_status take_candidates(mn_dialog_book *book, char *list, size_t n, mn_error *err)
{
    mn_status status = mn_dialog_candidates_parse("candidates of the note of dialogues", list, n,
                                                  &book->candidates, err);
    const mn_dialog_lexicon lexicon = mn_dialog_book_lexicon(book);
    return status == MN_OK
               ? mn_dialog_candidates_number(&book->candidates, book->words, lexicon.entities, err)
               : status;
}

/* Who speaks, and which turn it is, are words too. */
static mn_status find_own_words(mn_dialog_book *book, mn_error *err)
{
    book->time = book->n_turns > 0 ? MN_TIME_TURNS : MN_TIME_AGES;
    book->turns = calloc((size_t)book->n_turns + 1, sizeof *book->turns);
    if (book->turns == NULL)
        return mn_fail(err, MN_ERR_NOMEM, "the words of %" PRIu32 " turns", book->n_turns);
    return mn_dialog_book_find_words(book) ? MN_OK
                                           : mn_fail(err, MN_ERR_DATA,
                                                     "the note of words lacks those of a "
                                                     "dialogue's speakers or turns");
}
