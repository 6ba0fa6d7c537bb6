/* task_print.h: a task for a person to read. */
#pragma once

#include "worker/tasks/task.h"
#include <stdio.h>

/* Print fields and classes; points as a table; support images as characters. */
void mn_task_print(const mn_task *task, FILE *out);
