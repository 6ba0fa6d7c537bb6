/* full_context.h: embeddings that know the whole support set (matching networks, Vinyals et al. 2016,
 * arXiv:1606.04080, appendix A), for model.memory support. */
#pragma once

#include "worker/learner/builder.h"

/* Support features u [n, d] -> g [n, d] = u + the outputs of two LSTMs of d units that go over the
 * items in their order, forwards and backwards (tensors support_lstm.*). Declares those of the other
 * set as well. */
mn_node mn_full_context_support(mn_builder *builder, mn_node u);

/* Query features u [m, d] -> h_K [m, d] by K = model.context_steps of an LSTM with attention (tensors
 * query_lstm.*), c_0 = h_0 = 0:
 *   r = softmax(h g') g;  h^, c = LSTM(u, [h, r], c);  h = h^ + u
 * An LSTM step is differentiated once, so that second-order inner loops refuse it. */
mn_node mn_full_context_query(mn_builder *builder, mn_node u, mn_node g);
