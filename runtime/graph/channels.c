/* SPDX-License-Identifier: MIT */
#include "graph/channels.h"

#include <string.h>

static const struct kerf_tensor *tensor(const struct kerf_graph *g, int32_t v)
{
	return v < 0 ? NULL : &g->value[v].t;
}

/* On the last axis, of a value whose last axis is channels; 0: it has none. */
static int64_t channels_of(const struct kerf_graph *g, int32_t v)
{
	const struct kerf_tensor *t = tensor(g, v);

	if (!t || t->rank < 2 || !(t->rank == 2 || g->value[v].nhwc))
		return 0;
	return t->dims[t->rank - 1];
}

static bool is(const struct kerf_op *op, const char *name)
{
	return !strcmp(op->def->name, name);
}

bool kerf_op_depthwise(const struct kerf_graph *g, const struct kerf_op *op)
{
	int64_t group = kerf_op_int(op, "group", 1);

	return is(op, "Conv") && group > 1 && group == channels_of(g, op->in[0]) &&
	       group == channels_of(g, op->out[0]);
}

static bool is_pool(const struct kerf_op *op)
{
	return (is(op, "MaxPool") || is(op, "AveragePool") || is(op, "GlobalAveragePool") ||
		is(op, "GlobalMaxPool")) &&
	       op->nhwc && op->n_out == 1;
}

/* How an input is read: along an axis of its own in the range, whole, or in no way known here. */
enum { WHOLE = -1, UNKNOWN = -2 };

static bool is_const(const struct kerf_graph *g, int32_t v)
{
	return kerf_value_is_const(&g->value[v]);
}

static int conv_axis(const struct kerf_graph *g, const struct kerf_op *op, int k)
{
	if (k == 0)
		return kerf_op_depthwise(g, op) ? tensor(g, op->in[0])->rank - 1 : WHOLE;
	if (k == 4)
		return tensor(g, op->in[4])->rank - 1; /* the residual */
	return is_const(g, op->in[k]) ? 0 : UNKNOWN;
}

static int product_axis(const struct kerf_graph *g, const struct kerf_op *op, int k, int64_t n)
{
	const struct kerf_tensor *t = tensor(g, op->in[k]);

	if (k == 0)
		return t->rank == 2 && !kerf_op_int(op, "transA", 0) ? WHOLE : UNKNOWN;
	if (!is_const(g, op->in[k]))
		return UNKNOWN;
	if (k == 1)
		return t->rank != 2 ? UNKNOWN : kerf_op_int(op, "transB", 0) ? 0 : 1;
	return t->rank && t->dims[t->rank - 1] == n ? t->rank - 1 : WHOLE;
}

/* Broadcasting joins last axes: one element there serves all channels. */
static int elementwise_axis(const struct kerf_graph *g, const struct kerf_op *op, int k, int64_t n)
{
	const struct kerf_tensor *t = tensor(g, op->in[k]);

	if (!t->rank || t->dims[t->rank - 1] == 1)
		return WHOLE;
	return t->dims[t->rank - 1] == n ? t->rank - 1 : UNKNOWN;
}

static int input_axis(const struct kerf_graph *g, const struct kerf_op *op, int k, int64_t n)
{
	if (is(op, "Conv"))
		return op->nhwc && (kerf_op_int(op, "group", 1) == 1 || kerf_op_depthwise(g, op))
			       ? conv_axis(g, op, k)
			       : UNKNOWN;
	if (is(op, "Gemm") || is(op, "MatMul"))
		return product_axis(g, op, k, n);
	if (is_pool(op))
		return tensor(g, op->in[k])->rank - 1;
	/* A rule for rows of its own: its inputs are not joined as broadcasting does. */
	if (op->def->flags & KERF_OP_ELEMENTWISE && !op->def->rows)
		return elementwise_axis(g, op, k, n);
	return UNKNOWN;
}

static int check(const struct kerf_graph *g, const struct kerf_slice_spec *spec, uint32_t n_out,
		 const int32_t *out, struct kerf_err *err)
{
	int64_t n = n_out ? channels_of(g, out[0]) : 0;

	if (!n)
		return kerf_fail(err, -EINVAL, "slice: output '%s' has no channels on its last axis",
				 n_out ? g->value[out[0]].name : "");
	if (spec->rows.begin || spec->rows.end || spec->padded)
		return kerf_fail(err, -EINVAL, "slice: rows or padding beside channels");
	if (spec->channels.begin < 0 || spec->channels.begin >= spec->channels.end ||
	    spec->channels.end > n)
		return kerf_fail(err, -EINVAL, "slice: channels %lld to %lld of outputs with %lld",
				 (long long)spec->channels.begin, (long long)spec->channels.end,
				 (long long)n);
	return 0;
}

static int limit_op(const struct kerf_graph *g, const struct kerf_slice_spec *spec, int64_t n,
		    const struct kerf_op *op, struct kerf_tile *t, struct kerf_tile_need *need,
		    struct kerf_err *err)
{
	bool makes = op->n_out == 1 && channels_of(g, op->out[0]) == n &&
		     !g->value[op->out[0]].bounded;
	int k, axis;

	for (k = 0; k < op->n_in && makes; k++) {
		int32_t v = op->in[k];

		need[k] = (struct kerf_tile_need){.limited = false};
		if (v < 0)
			continue;
		axis = input_axis(g, op, k, n);
		/* What the slice makes it holds in part. */
		if (axis == UNKNOWN || (axis == WHOLE && t->hold[v].end))
			break;
		if (axis == WHOLE) {
			t->held_whole[v] = true;
			continue;
		}
		need[k] = (struct kerf_tile_need){true, axis, spec->channels};
	}
	if (!makes || k < op->n_in)
		return kerf_fail(err, -EOPNOTSUPP,
				 "slice: node '%s' (%s) cannot be limited to channels", op->name,
				 op->def->name);
	t->hold[op->out[0]] = spec->channels;
	return 0;
}

/* What comes in and is read in the range alone is held in it. */
static void hold_inputs(const struct kerf_graph *g, const struct kerf_slice_spec *spec,
			struct kerf_tile *t)
{
	uint32_t i;
	int k;

	for (i = 0; i < spec->n_op; i++)
		for (k = 0; k < g->op[spec->op[i]].n_in; k++) {
			int32_t v = g->op[spec->op[i]].in[k];

			if (v >= 0 && t->need[t->first[i] + (size_t)k].limited &&
			    !t->held_whole[v] && !is_const(g, v))
				t->hold[v] = spec->channels;
		}
}

int kerf_channels_fill(const struct kerf_graph *g, const struct kerf_slice_spec *spec,
		       uint32_t n_out, const int32_t *out, struct kerf_tile *t,
		       struct kerf_err *err)
{
	int r = check(g, spec, n_out, out, err);
	uint32_t i;

	if (r)
		return r;
	r = kerf_tile_room(g, spec, t);
	for (i = 0; i < spec->n_op && !r; i++)
		r = limit_op(g, spec, channels_of(g, out[0]), &g->op[spec->op[i]], t,
			     t->need + t->first[i], err);
	if (r)
		kerf_tile_clear(g, spec, t);
	else
		hold_inputs(g, spec, t);
	return r;
}
