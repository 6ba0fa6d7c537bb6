#include "common/score.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

mn_status mn_score_list_add(mn_score_list *list, const mn_score *score, mn_error *err)
{
    if (list->n >= MN_MAX_SCORES)
        return mn_fail(err, MN_ERR_RANGE, "more than %u scores of a task", MN_MAX_SCORES);
    mn_score *more = realloc(list->at, (list->n + 1) * sizeof *more);
    if (more == NULL)
        return mn_fail(err, MN_ERR_NOMEM, "list of scores");
    list->at = more;
    list->at[list->n++] = *score;
    return MN_OK;
}

void mn_score_list_fini(mn_score_list *list)
{
    free(list->at);
    *list = (mn_score_list){0};
}

uint32_t mn_score_list_shown(const mn_score_list *list, uint32_t shown[2])
{
    assert(list->n > 0 && list->judged < list->n);
    shown[0] = 0;
    shown[1] = list->judged;
    return list->judged == 0 ? 1 : 2;
}

bool mn_score_is_beside(const mn_score *a, const mn_score *b)
{
    return strcmp(a->axis, b->axis) == 0 && strcmp(a->point, b->point) == 0;
}

bool mn_score_is_apart(const mn_score_list *list, uint32_t i)
{
    return strcmp(list->at[i].axis, list->at[list->judged].axis) != 0;
}

void mn_score_key(const mn_score *score, char key[MN_SCORE_KEY])
{
    (void)snprintf(key, MN_SCORE_KEY, "%s%s%s", score->name, score->point[0] != '\0' ? "_" : "",
                   score->point);
    for (char *at = key; *at != '\0'; at++)
        if (*at == ' ') /* as in "second half" */
            *at = '_';
}
