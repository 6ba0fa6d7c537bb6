#include "worker/tasks/table_prior.h"

#include "worker/tasks/sinusoid.h"
#include <assert.h>
#include <math.h>

#define LARGEST 1e3 /* of a node; far beyond all but a chain of squares */

static double same(double x)
{
    return x;
}

static double ramp(double x)
{
    return x > 0 ? x : 0;
}

static double bounded(double x)
{
    return x / (1 + fabs(x));
}

static double wave(double x)
{
    return mn_sinusoid_sine(2 * x);
}

static double size(double x)
{
    return fabs(x);
}

static double sign(double x)
{
    return x > 0 ? 1 : -1;
}

static double square(double x)
{
    return x * x - 1;
}

static double (*const functions[])(double) = {same, ramp, bounded, wave, size, sign, square};
#define N_FUNCTIONS (sizeof functions / sizeof *functions)

/* Many weights may be 0, all of a node's never are. */
static void draw_layer(mn_random *random, uint32_t n_in, uint32_t width, mn_table_layer *layer)
{
    const double kept = mn_random_uniform(random, 0.3, 1), scale = 1 / sqrt(n_in * kept);
    layer->function = mn_random_below(random, N_FUNCTIONS);
    for (uint32_t i = 0; i < width; i++) {
        const uint32_t always = mn_random_below(random, n_in);
        for (uint32_t j = 0; j < n_in; j++) {
            const bool is_kept = mn_random_unit(random) < kept || j == always;
            const double weight = mn_random_normal(random);
            layer->weights[i][j] = is_kept ? 1.5 * scale * weight : 0;
        }
        layer->bias[i] = 0.5 * mn_random_normal(random);
    }
}

static void draw_network(mn_random *random, mn_table_prior *prior)
{
    prior->n_layers =
        prior->mechanism == MN_TABLE_LINEAR ? 1 : 1 + mn_random_below(random, MN_TABLE_LAYERS);
    for (uint32_t l = 0; l < prior->n_layers; l++)
        draw_layer(random, l == 0 ? prior->n_in : prior->width, prior->width, &prior->layers[l]);
    if (prior->mechanism == MN_TABLE_LINEAR)
        prior->layers[0].function = 0;
    /* Node 0 of the last layer is the score, the others may be features. */
    if (prior->mechanism == MN_TABLE_CAUSES) {
        mn_random_choose(random, prior->n_layers * prior->width - 1, prior->n_features,
                         prior->feature_node);
        for (uint32_t f = 0; f < prior->n_features; f++)
            prior->feature_node[f] +=
                prior->feature_node[f] >= (prior->n_layers - 1) * prior->width;
    }
}

static void draw_tree(mn_random *random, uint32_t n_features, mn_table_tree *tree)
{
    tree->depth = 1 + mn_random_below(random, MN_TABLE_DEPTH);
    for (uint32_t i = 0; i < 1u << MN_TABLE_DEPTH; i++) {
        tree->feature[i] = mn_random_below(random, n_features);
        tree->threshold[i] = 0.7 * mn_random_normal(random);
        tree->leaf[i] = mn_random_normal(random);
    }
}

void mn_table_prior_draw(mn_random *random, uint32_t n_features, mn_table_prior *prior)
{
    assert(n_features > 0 && n_features <= MN_TABLE_MOST_FEATURES);
    prior->mechanism = (mn_table_mechanism)mn_random_below(random, MN_TABLE_N_MECHANISMS);
    prior->n_features = n_features;
    prior->n_in = prior->mechanism == MN_TABLE_CAUSES ? 1 + mn_random_below(random, n_features + 2)
                                                      : n_features;
    prior->width = n_features + 1 + mn_random_below(random, 7);
    if (prior->mechanism != MN_TABLE_TREES)
        draw_network(random, prior);
    prior->n_trees = 1 + mn_random_below(random, MN_TABLE_TREES_IN_ALL);
    for (uint32_t i = 0; i < prior->n_trees; i++)
        draw_tree(random, n_features, &prior->trees[i]);
    for (uint32_t i = 0; i < prior->n_in; i++)
        prior->spread[i] =
            prior->mechanism == MN_TABLE_TREES ? 1 : mn_random_uniform(random, 0.5, 1.5);
    for (uint32_t f = 0; f < n_features; f++) {
        prior->levels[f] = mn_random_below(random, 5) == 0 ? 1 + mn_random_below(random, 4) : 0;
        prior->stretched[f] = mn_random_below(random, 5) == 0;
    }
    const double share = mn_random_unit(random);
    prior->noise = 0.3 * share * share;
}

/* The score; nodes [n_layers * width] receives all. */
static double run_network(const mn_table_prior *prior, const double *in, double *nodes)
{
    uint32_t n_in = prior->n_in;
    for (uint32_t l = 0; l < prior->n_layers; l++, nodes += prior->width) {
        const mn_table_layer *layer = &prior->layers[l];
        for (uint32_t i = 0; i < prior->width; i++) {
            double sum = layer->bias[i];
            for (uint32_t j = 0; j < n_in; j++)
                sum += layer->weights[i][j] * in[j];
            sum = functions[layer->function](sum);
            nodes[i] = sum > LARGEST ? LARGEST : sum < -LARGEST ? -LARGEST : sum;
        }
        in = nodes;
        n_in = prior->width;
    }
    return in[0];
}

static double run_trees(const mn_table_prior *prior, const double *x)
{
    double sum = 0;
    for (uint32_t k = 0; k < prior->n_trees; k++) {
        const mn_table_tree *tree = &prior->trees[k];
        uint32_t node = 1;
        for (uint32_t level = 0; level < tree->depth; level++)
            node = 2 * node + (x[tree->feature[node]] > tree->threshold[node]);
        sum += tree->leaf[node - (1u << tree->depth)];
    }
    return sum;
}

/* The nearest of `levels` steps a unit; halves go up. |x| is below 2^31. */
static double rounded(double x, uint32_t levels)
{
    const double scaled = x * levels + 0.5;
    const double whole = (double)(int64_t)scaled;
    return (whole - (whole > scaled)) / levels;
}

double mn_table_prior_row(const mn_table_prior *prior, mn_random *random, float *x)
{
    double in[MN_TABLE_MOST_WIDTH] = {0}, nodes[MN_TABLE_LAYERS * MN_TABLE_MOST_WIDTH] = {0}, score;
    const bool has_causes = prior->mechanism == MN_TABLE_CAUSES;
    for (uint32_t i = 0; i < prior->n_in; i++)
        in[i] = prior->spread[i] * mn_random_normal(random);
    if (prior->mechanism == MN_TABLE_TREES)
        score = run_trees(prior, in);
    else
        score = run_network(prior, in, nodes);
    for (uint32_t f = 0; f < prior->n_features; f++) {
        double value = has_causes ? nodes[prior->feature_node[f]] : in[f];
        if (prior->levels[f] > 0)
            value = rounded(value, prior->levels[f]);
        if (prior->stretched[f])
            value *= fabs(value);
        x[f] = (float)value;
    }
    return score + prior->noise * mn_random_normal(random);
}
