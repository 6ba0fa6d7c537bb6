/* A part: a memory that the support set writes into a matrix, by Hebb's rule, and every item reads:
 *     M = K' Y / n,  K = tanh(U W_k + b_k)  [n, width],  Y [n, y_size] the answers of the n items
 *     read(u) = tanh(u W_k + b_k) M         [rows, y_size]
 *
 *     cc -shared -fPIC -O2 -ffp-contract=off $(pkg-config --cflags mnemo) hebb.c -o hebb.so
 *     mnemo train --plugin ./hebb.so EXPERIMENT     # model: {memory: hebb, reasoning: concat-linear} */
#include <mnemo/plugin.h>

enum { MATRIX };

static const mnemo_host *host;

static mnemo_node keys(mnemo_build *build, mnemo_node u)
{
    const uint32_t width = (uint32_t)host->setting(host->settings(build), "hebb.width");
    return host->unary(build, MNEMO_TANH, host->linear(build, "memory.key", u, width));
}

static void write_matrix(mnemo_build *build, mnemo_set set)
{
    const mnemo_node k = keys(build, host->features(build, set)), y = host->field(build, set, "y");
    const uint32_t n = host->extent(build, y).n;
    host->keep(build, set, MATRIX, host->scale(build, 1.0 / n, host->product(build, k, y, 1, 0)));
}

static mnemo_node read_matrix(mnemo_build *build, mnemo_set set, uint32_t hop, mnemo_node u)
{
    (void)set;
    (void)hop;
    return host->product(build, keys(build, u), host->kept(build, MNEMO_SUPPORT, MATRIX), 0, 0);
}

static const mnemo_option options[] = {
    {sizeof(mnemo_option), MNEMO_WHOLE, "width", 16, 1, 4096, "numbers", "of a key"},
};
static const mnemo_part_kind hebb = {.struct_size = sizeof hebb,
                                     .module = MNEMO_MEMORY,
                                     .name = "hebb",
                                     .help = "the support set as a matrix, by Hebb's rule",
                                     .options = options,
                                     .n_options = 1,
                                     .write = write_matrix,
                                     .read = read_matrix,
                                     .needs_support = 1};
static const mnemo_part_kind *const parts[] = {&hebb, NULL};

static const mnemo_plugin plugin = {.struct_size = sizeof plugin,
                                    .abi = MNEMO_PLUGIN_ABI,
                                    .name = "hebb",
                                    .version = "1",
                                    .parts = parts};

const mnemo_plugin *mnemo_plugin_entry(const mnemo_host *of)
{
    host = of;
    return &plugin;
}
