/* log.h: one event a line on standard error: time, level, who, then words and key=value pairs.
 * Only shells and programs log; a core hands its log lines out as actions. Thread-safe.
 * Nobody need read it: where a pipe stays full, or a terminal is stopped, lines are lost after a
 * second, and how many is told once there is room. A run must not stand still for its log. */
#pragma once

#include <stddef.h>

typedef enum mn_log_level { MN_LOG_ERROR, MN_LOG_WARN, MN_LOG_INFO, MN_LOG_DEBUG } mn_log_level;

/* Set once at the start. `who` is printed in each line, e.g. "rank 0" or "worker host:123". */
void mn_log_init(mn_log_level level, const char *who);

void mn_log(mn_log_level level, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* A line of words alone, of a program that ends. */
void mn_log_last_word(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Called before each line is printed and after it, e.g. to clear and redraw a live progress line.
 */
void mn_log_set_hooks(void (*before)(void *), void (*after)(void *), void *user);

/* Called with each line that is printed, its n bytes without the newline; it must not log. */
void mn_log_set_listener(void (*listener)(void *user, const char *line, size_t n), void *user);
