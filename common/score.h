/* score.h: what a learner measures, as a list of named numbers. Only a learner knows what they mean;
 * tables, files and curves are made from the list. Plain data. */
#pragma once

#include "common/error.h"
#include <stdbool.h>
#include <stdint.h>

#define MN_MAX_SCORES 4096u

typedef struct mn_score {
    char name[32];  /* "loss", "accuracy": a column of a table, a key of a file */
    char axis[24];  /* "inner_steps", "showing", "set": along what it was measured; "" if once */
    char point[24]; /* "5", "2", "qa7": where on the axis; a row of the table */
    char unit[24];  /* "nats"; "" if none */
    bool is_share;  /* 0 to 1, printed in per cent */
    bool higher_is_better; /* else lower */
} mn_score;

/* Zero-initialise. Where there is room for one point, the last one in the list stands for all. */
typedef struct mn_score_list {
    uint32_t n;
    mn_score *at;      /* [n]; owned */
    uint32_t judged;   /* < n: by this one thetas are compared */
    char averaged[24]; /* the axis over whose points a mean is told as well; "": none */
    char remark[80];   /* what must be said with every score; "": nothing */
} mn_score_list;

/* MN_ERR_NOMEM; MN_ERR_RANGE: more than MN_MAX_SCORES. The list is as before then. */
mn_status mn_score_list_add(mn_score_list *list, const mn_score *score, mn_error *err);
/* Takes an empty list too, and leaves one. */
void mn_score_list_fini(mn_score_list *list);

/* For a line or a picture with room for few: the first of the list, and the judged one if that is
 * another. The list is not empty. Returns how many. */
uint32_t mn_score_list_shown(const mn_score_list *list, uint32_t shown[2]);

/* Are they measured at the same point? */
bool mn_score_is_beside(const mn_score *a, const mn_score *b);

/* Is score i measured along another axis than the judged one, as at a showing, or on a set? */
bool mn_score_is_apart(const mn_score_list *list, uint32_t i);

/* The key of a score in a flat record: "loss", or with its point "loss_qa7"; no spaces. */
#define MN_SCORE_KEY 64
void mn_score_key(const mn_score *score, char key[MN_SCORE_KEY]);
