/* import_report.h: what an import took, what it left and why, for the person who started it. */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#define MN_REPORT_REASONS 24u

typedef struct mn_import_left {
    const char *what;   /* lives as long as the program: "GIF pictures", "hidden files" */
    const char *remedy; /* likewise; "": nothing to do */
    uint64_t n;
    char first[160]; /* the first of them, fit to print */
} mn_import_left;

typedef struct mn_import_report {
    mn_import_left left[MN_REPORT_REASONS];
    uint32_t n_reasons;
    uint64_t n_png, n_jpeg;  /* pictures taken */
    uint64_t n_plain;        /* taken from arrays */
    bool on_their_side;      /* these look transposed */
    char splits[200];        /* how the classes came into splits; "": an import without a choice */
    mn_import_left blank;    /* taken, but of one colour throughout */
    mn_import_left unlisted; /* classes taken, but in no split */
} mn_import_report;          /* all zero: nothing happened */

/* Count one more that is left for this reason. */
void mn_import_report_leave(mn_import_report *report, const char *what, const char *remedy,
                            const char *name);

/* One more of a kind. */
void mn_import_left_count(mn_import_left *left, const char *name);

/* One line of a kind: how many, what, what to do, the first. */
void mn_import_left_print(const mn_import_left *left, const char *what, const char *remedy,
                          FILE *out);

/* A line for each reason; nothing if all was taken. */
void mn_import_report_print_left(const mn_import_report *report, FILE *out);

/* What was taken, how it was split, what was left, what looks odd. */
void mn_import_report_print(const mn_import_report *report, FILE *out);
