#include "worker/data/text_lines.h"

#include "common/text.h"
#include <inttypes.h>
#include <string.h>

mn_status mn_text_lines_next(mn_text_lines *lines, mn_span *line, bool *more, mn_error *err)
{
    const mn_span left = lines->left;
    *line = (mn_span){left.at, 0};
    *more = left.n > 0;
    if (left.n == 0)
        return MN_OK;
    const char *end = memchr(left.at, '\n', left.n);
    lines->line++;
    if (end == NULL)
        return mn_fail(err, MN_ERR_DATA,
                       "%s:%" PRIu32 ": the file ends within this line: it is cut; get it anew",
                       lines->source, lines->line);
    if (lines->line > MN_TEXT_MAX_LINES)
        return mn_fail(err, MN_ERR_DATA, "%s: more than %u lines", lines->source,
                       MN_TEXT_MAX_LINES);
    line->n = (size_t)(end - left.at);
    lines->left = (mn_span){end + 1, left.n - line->n - 1};
    while (line->n > 0 && (line->at[line->n - 1] == '\r' || line->at[line->n - 1] == ' '))
        line->n--;
    return MN_OK;
}

mn_status mn_text_lines_refuse(const mn_text_lines *lines, mn_span what, const char *expected,
                               mn_error *err)
{
    char text[96];
    (void)mn_text_escape(what.at, what.n, text, sizeof text);
    return mn_fail(err, MN_ERR_DATA, "%s:%" PRIu32 ": \"%s\": expected %s", lines->source,
                   lines->line, text, expected);
}

bool mn_span_cut_number(mn_span *from, uint32_t *number)
{
    size_t n = 0;
    *number = 0;
    while (n < from->n && n < 9 && from->at[n] >= '0' && from->at[n] <= '9')
        *number = *number * 10 + (uint32_t)(from->at[n++] - '0');
    if (n == 0 || n == 9 || n == from->n || from->at[n] != ' ')
        return false;
    *from = (mn_span){from->at + n + 1, from->n - n - 1};
    return true;
}

static bool is_space(char c)
{
    return c == ' ' || c == '\t';
}

mn_span mn_span_cut_word(mn_span *from)
{
    size_t begin = 0, end;
    while (begin < from->n && is_space(from->at[begin]))
        begin++;
    for (end = begin; end < from->n && !is_space(from->at[end]);)
        end++;
    const mn_span word = {from->at + begin, end - begin};
    *from = (mn_span){from->at + end, from->n - end};
    return word;
}

bool mn_span_cut_at_tab(mn_span *from, mn_span *part)
{
    const char *tab = from->n == 0 ? NULL : memchr(from->at, '\t', from->n);
    *part = *from;
    if (tab == NULL)
        return false;
    part->n = (size_t)(tab - from->at);
    *from = (mn_span){tab + 1, from->n - part->n - 1};
    return true;
}
