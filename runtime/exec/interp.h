/* SPDX-License-Identifier: MIT */
/*
 * Running operators one by one by their reference meaning. The ref engine is made of
 * it; other engines use it for operators they have no kernel for.
 */
#ifndef KERF_EXEC_INTERP_H
#define KERF_EXEC_INTERP_H

#include "graph/op.h"

/* Slots of scratch[] that kerf_interp_op needs for the hungriest operator of g. */
size_t kerf_interp_slots(const struct kerf_graph *g);

/*
 * Evaluates one operator: values[] holds one tensor per value of g, inputs with their
 * contents, outputs with memory for the shape the graph states. Where an input is
 * bounded, shapes are inferred anew from the true ones and stored in values[].
 * 0, -EINVAL (contents out of range), -ENOMEM.
 */
int kerf_interp_op(const struct kerf_graph *g, const struct kerf_op *op,
		   struct kerf_tensor *values, struct kerf_tensor *scratch);

#endif
