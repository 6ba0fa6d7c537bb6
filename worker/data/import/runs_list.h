/* runs_list.h: the one-shot runs of Omniglot (Lake, Salakhutdinov, Tenenbaum 2015) in their archive
 * all_runs.zip, as a list of classes. Names and labels only; no picture is read. */
#pragma once

#include "common/error.h"
#include "worker/data/import/archive.h"
#include "worker/data/import/import_list.h"
#include "worker/data/import/import_report.h"

/* Add the pictures of all runs to the list. A run is a folder RUN with a file class_labels.txt, each
 * line of which is "RUN/test/ITEM.png RUN/training/CLASS.png", a drawing to be named and the training
 * drawing of the same character; RUN may be below other folders, as after re-zipping. Each line
 * becomes a class CLASS=ITEM of the group RUN with two pictures, the training one first. `path` names
 * the archive in messages. MN_ERR_DATA: no run, a line of another form, a picture that is missing,
 * in two lines or in none, or runs of different sizes: names the file and the line. */
mn_status mn_runs_list(const mn_archive *zip, const char *path, mn_import_list *list,
                       mn_import_report *report, mn_error *err);
