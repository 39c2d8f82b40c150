/* SPDX-License-Identifier: MIT */
#include "exec/interp.h"

#include <string.h>

size_t kerf_interp_slots(const struct kerf_graph *g)
{
	size_t most = 0;
	uint32_t i;

	for (i = 0; i < g->n_op; i++) {
		size_t n = (size_t)(kerf_op_in_slots(&g->op[i]) + kerf_op_out_slots(&g->op[i]));

		most = KERF_MAX(most, n);
	}
	return most;
}

/* Shapes of this run; the memory was planned for the bound, so they must not exceed it. */
static int infer_run_shapes(const struct kerf_graph *g, const struct kerf_op *op,
			    struct kerf_tensor *in, struct kerf_tensor *out)
{
	int k, r = op->def->infer(op, in, out, NULL);

	for (k = 0; !r && k < op->n_out; k++)
		if (op->out[k] >= 0 && (kerf_tensor_check(&out[k]) ||
					kerf_tensor_bytes(&out[k]) >
						kerf_tensor_bytes(&g->value[op->out[k]].t)))
			r = -EINVAL;
	return r;
}

int kerf_interp_op(const struct kerf_graph *g, const struct kerf_op *op,
		   struct kerf_tensor *values, struct kerf_tensor *scratch)
{
	struct kerf_tensor *in = scratch, *out = scratch + kerf_op_in_slots(op);
	bool bounded = false;
	int k, r;

	memset(scratch, 0,
	       (size_t)(kerf_op_in_slots(op) + kerf_op_out_slots(op)) * sizeof(*scratch));
	for (k = 0; k < op->n_in; k++) {
		if (op->in[k] < 0)
			continue;
		in[k] = values[op->in[k]];
		bounded |= g->value[op->in[k]].bounded;
	}
	for (k = 0; k < op->n_out; k++)
		if (op->out[k] >= 0)
			out[k] = values[op->out[k]];
	r = bounded ? infer_run_shapes(g, op, in, out) : 0;
	for (k = 0; k < op->n_out; k++)
		if (op->out[k] >= 0)
			out[k].data = values[op->out[k]].data;
	if (!r)
		r = kerf_op_eval(op, in, out);
	if (r)
		return r;
	for (k = 0; k < op->n_out; k++)
		if (op->out[k] >= 0)
			values[op->out[k]] = out[k];
	return 0;
}
