/* op.h: what an operation is: one row. Families have a file each; ops.c lists the rows by mn_op.
 * Closed or refused: an operation has a rule for each direction in which it may be differentiated,
 * or says that it is constant; asked for a rule that it has not, the graph remembers the refusal,
 * and compiling it fails with the names of the operation and of the part that used it. */
#pragma once

#include "worker/engine/nodes.h"
#include "worker/engine/operation.h"

/* The weights of a recurrent network are read at each step, and their adjoint is a sum over steps of
 * a' dy. From so many products of one shape on, rows of all a and of all dy are put below each
 * other, and one product makes the sum; and the weights are turned once, for the adjoints of all a. */
#define MN_STACK_FROM 8
typedef struct mn_stack {
    uint32_t n_products, left; /* that read this matrix; not yet met on the way back */
    uint32_t rows;             /* of each a */
    mn_node a, dy;             /* so far */
} mn_stack;

typedef struct mn_adjoints mn_adjoints;
/* Which of the n nodes are read so. */
void mn_stacks_count(const mn_graph *graph, uint32_t n, mn_stack *stacks);
/* Before the adjoint of node i is read: its stack becomes a share of it. */
void mn_stack_finish(mn_adjoints *adjoints, mn_node i);

/* The adjoints of a graph's nodes in the making. */
struct mn_adjoints {
    mn_graph *graph;
    mn_node *of;        /* [n]: MN_NONE: zero so far */
    const bool *wanted; /* [n]: does it depend on anything that is asked for? */
    mn_stack *stacks;   /* [n], of matrices that many products read; NULL: there are none */
};

typedef enum mn_result_kind {
    MN_RESULT_NUMBERS,
    MN_RESULT_BYTES,
    MN_RESULT_DOUBLE,
    MN_RESULT_LIST, /* word_list.h, of so many numbers of four bytes */
} mn_result_kind;

struct mn_op_row {
    const char *name;
    /* Give the inputs of node i their shares of its adjoint. NULL: refused. */
    void (*pull_back)(mn_adjoints *adjoints, mn_node i);
    /* The tangent of node i, given that of its inputs and of its plus, one of which is there; NULL:
     * refused. */
    mn_node (*push_forward)(mn_graph *graph, mn_node i, const mn_node *t, mn_node tplus);
    bool is_constant;    /* its derivative is zero by definition */
    bool is_free;        /* nothing is computed: an input, a view */
    unsigned overwrites; /* bit k: the result may take over the bytes of in[k] */
    mn_result_kind result;
    void (*run)(const mn_operation *operation, const mn_kernels *kernels, const mn_real *const *in,
                mn_real *out);
    double (*macs)(const mn_graph *graph, const mn_graph_node *node); /* NULL: none that count */
};

extern const mn_op_row *const mn_op_rows[MN_N_OPS];

/* Give node `to` a share; MN_NONE: nothing. */
void mn_give(mn_adjoints *adjoints, mn_node to, mn_node share);

/* There is no rule for a derivative of node i that is asked for: compiling will fail. The first one
 * counts. */
void mn_rule_refuse(mn_graph *graph, mn_node i);

/* For rules. Those of MN_NONE are MN_NONE. */
mn_node mn_rule_scale(mn_graph *graph, double factor, mn_node a);
mn_node mn_rule_add(mn_graph *graph, mn_node a, mn_node b);
mn_node mn_rule_subtract(mn_graph *graph, mn_node a, mn_node b);
mn_node mn_rule_multiply(mn_graph *graph, mn_node a, mn_node b);
mn_node mn_rule_zero_like(mn_graph *graph, mn_node a);
mn_node mn_rule_view(mn_graph *graph, mn_node a, size_t offset, mn_extent extent);
mn_node mn_rule_column_sums(mn_graph *graph, mn_node a, mn_extent extent);
mn_node mn_rule_softmax_tangent(mn_graph *graph, mn_node p, mn_node t);
/* The same operation on the tangent of in[0], in which it is linear. */
mn_node mn_rule_linear(mn_graph *graph, mn_node i, mn_node t);
/* a op b is linear in each: t(a op b) = ta op b + a op tb, the sum by `plus`. */
mn_node mn_rule_product(mn_graph *graph, mn_node i, mn_node ta, mn_node tb, mn_node tplus);
/* The same without a plus. */
mn_node mn_rule_bilinear(mn_graph *graph, mn_node i, mn_node ta, mn_node tb);
