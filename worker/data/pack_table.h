/* pack_table.h: what is in a packed file, for a person. */
#pragma once

#include "worker/data/image_pack.h"
#include <stdio.h>

/* A line for each split: classes, how many of them with quarter turns counted, groups, images, and
 * images a class. */
void mn_pack_table_print_splits(const mn_pack_index *index, FILE *out);

/* The first `most` classes, each with its split, group, name and number of images. */
void mn_pack_table_print_classes(const mn_pack_index *index, uint32_t most, FILE *out);
