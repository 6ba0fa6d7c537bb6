/* table_prior.h: made-up tables: where their columns come from. A table's rows are drawn independently of
 * one another, by a mechanism that is drawn once (after Hollmann et al. 2023, arXiv:2207.01848,
 * section 4, and Müller et al. 2022, arXiv:2112.10510):
 *   function   features are drawn, and a score is a linear function of them, a small random network, or
 *              a sum of random trees
 *   causes     hidden causes are drawn; features and score are nodes of a random network over them
 * Then single features are rounded to levels or stretched. The arithmetic is + - * / alone, so the
 * numbers are the same with every C library. */
#pragma once

#include "common/random.h"
#include <stdbool.h>
#include <stdint.h>

#define MN_TABLE_MOST_FEATURES 32
#define MN_TABLE_FARTHEST 10.0 /* deviations from the mean: beyond it a feature is cut off */
#define MN_TABLE_MOST_WIDTH (MN_TABLE_MOST_FEATURES + 8)

typedef enum mn_table_mechanism {
    MN_TABLE_LINEAR,
    MN_TABLE_NETWORK,
    MN_TABLE_TREES,
    MN_TABLE_CAUSES,
    MN_TABLE_N_MECHANISMS
} mn_table_mechanism;

enum { MN_TABLE_LAYERS = 3, MN_TABLE_TREES_IN_ALL = 3, MN_TABLE_DEPTH = 4 };

typedef struct mn_table_layer {
    uint32_t function;                                        /* of all nodes, by number */
    double weights[MN_TABLE_MOST_WIDTH][MN_TABLE_MOST_WIDTH]; /* [node][node before] */
    double bias[MN_TABLE_MOST_WIDTH];
} mn_table_layer;

typedef struct mn_table_tree {
    uint32_t depth;
    uint32_t feature[1 << MN_TABLE_DEPTH]; /* node i asks for it; below are 2 i and 2 i + 1 */
    double threshold[1 << MN_TABLE_DEPTH];
    double leaf[1 << MN_TABLE_DEPTH];
} mn_table_tree;

/* How the rows of one table are drawn. */
typedef struct mn_table_prior {
    mn_table_mechanism mechanism;
    uint32_t n_features;
    uint32_t n_in, n_layers, width; /* of the network; n_in causes or features */
    mn_table_layer layers[MN_TABLE_LAYERS];
    uint32_t feature_node[MN_TABLE_MOST_FEATURES]; /* causes: node of all layers, by number */
    uint32_t n_trees;
    mn_table_tree trees[MN_TABLE_TREES_IN_ALL];
    double spread[MN_TABLE_MOST_WIDTH];      /* of the causes or features that are drawn */
    uint32_t levels[MN_TABLE_MOST_FEATURES]; /* a feature has so many a unit; 0: any number */
    bool stretched[MN_TABLE_MOST_FEATURES];
    double noise; /* standard deviation of what is added to a score */
} mn_table_prior;

/* Draw the mechanism of a table of 1 <= n_features <= MN_TABLE_MOST_FEATURES. */
void mn_table_prior_draw(mn_random *random, uint32_t n_features, mn_table_prior *prior);

/* Draw a row: x [n_features]; returns its score. */
double mn_table_prior_row(const mn_table_prior *prior, mn_random *random, float *x);
