/* SPDX-License-Identifier: MIT */
#include "graph/op.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static const struct kerf_op_def *const families[] = {
	kerf_ops_elementwise, kerf_ops_unary,	kerf_ops_reduce,    kerf_ops_order,
	kerf_ops_shape,	      kerf_ops_move,	kerf_ops_index,	    kerf_ops_conv,
	kerf_ops_pool,	      kerf_ops_matmul,	kerf_ops_norm,	    kerf_ops_image,
	kerf_ops_quant,	      kerf_ops_qlinear, kerf_ops_recurrent, kerf_ops_signal, kerf_ops_misc,
	kerf_ops_tile,	      kerf_ops_internal, kerf_ops_resize,   kerf_ops_detect,
};

const struct kerf_op_def *kerf_op_find(const char *domain, const char *name, int opset)
{
	const struct kerf_op_def *d, *best = NULL;
	unsigned f;

	if (!domain || !strcmp(domain, "ai.onnx"))
		domain = "";
	for (f = 0; f < KERF_ARRAY_SIZE(families); f++)
		for (d = families[f]; d->name; d++)
			if (!strcmp(d->name, name) && !strcmp(d->domain ? d->domain : "", domain) &&
			    d->since <= opset && (!d->until || opset <= d->until) &&
			    (!best || d->since > best->since))
				best = d;
	return best;
}

const struct kerf_op_def *kerf_op_at(uint32_t i)
{
	const struct kerf_op_def *d;
	unsigned f;

	for (f = 0; f < KERF_ARRAY_SIZE(families); f++)
		for (d = families[f]; d->name; d++)
			if (!i--)
				return d;
	return NULL;
}

void kerf_op_tensors(const struct kerf_graph *g, const struct kerf_op *op, struct kerf_tensor *in,
		     struct kerf_tensor *out)
{
	static const struct kerf_tensor absent;
	int k;

	for (k = 0; k < kerf_op_in_slots(op); k++)
		in[k] = k < op->n_in && op->in[k] >= 0 ? g->value[op->in[k]].t : absent;
	for (k = 0; k < kerf_op_out_slots(op); k++)
		out[k] = k < op->n_out && op->out[k] >= 0 ? g->value[op->out[k]].t : absent;
}

int kerf_op_infer_shapes(struct kerf_graph *g, struct kerf_op *op, struct kerf_err *err)
{
	const struct kerf_op_def *def = op->def;
	struct kerf_tensor *in, *out;
	bool bounded = def->flags & KERF_OP_BOUNDED;
	int r, k;

	if (op->n_in < def->min_in || (def->max_in >= 0 && op->n_in > def->max_in))
		return kerf_fail(err, -EINVAL, "node '%s' (%s): %d inputs, expected %d to %d",
				 op->name, def->name, op->n_in, def->min_in, def->max_in);
	if (op->n_out < def->min_out || (def->max_out >= 0 && op->n_out > def->max_out))
		return kerf_fail(err, -EINVAL, "node '%s' (%s): %d outputs, expected %d to %d",
				 op->name, def->name, op->n_out, def->min_out, def->max_out);
	in = calloc((size_t)(kerf_op_in_slots(op) + kerf_op_out_slots(op)) + 1, sizeof(*in));
	if (!in)
		return -ENOMEM;
	out = in + kerf_op_in_slots(op);
	kerf_op_tensors(g, op, in, out);
	for (k = 0; k < op->n_in; k++) {
		if (k < def->min_in && op->in[k] < 0) {
			r = kerf_fail(err, -EINVAL, "node '%s' (%s): input %d is missing", op->name,
				      def->name, k);
			goto out;
		}
		if (op->in[k] >= 0 && g->value[op->in[k]].bounded)
			bounded = true;
	}
	/* dtype KERF_NONE means absent; a present one is overwritten by infer */
	for (k = 0; k < op->n_out; k++)
		if (op->out[k] >= 0)
			out[k].dtype = KERF_F32;
	r = def->infer(op, in, out, err);
	for (k = 0; !r && k < op->n_out; k++) {
		char text[KERF_SHAPE_TEXT];

		if (op->out[k] < 0)
			continue;
		r = kerf_tensor_check(&out[k]);
		if (r) {
			kerf_fail(err, r, "output %d would be %s", k,
				  kerf_tensor_text(&out[k], text));
			break;
		}
		out[k].data = NULL;
		g->value[op->out[k]].t = out[k];
		g->value[op->out[k]].bounded = bounded;
	}
	if (r) {
		kerf_fail(err, r, r == -ENODATA ? "contents of a shape input are not known at load"
						: "shape inference failed");
		kerf_err_prefix(err, "node '%s' (%s)", op->name, def->name);
	}
out:
	free(in);
	return r;
}

/* A NaN stays one, as in every kernel: fminf() and fmaxf() would lose it. */
static float clamp(float x, float low, float high)
{
	x = x < low ? low : x;
	return x > high ? high : x;
}

float kerf_act_apply(const struct kerf_act *act, float x)
{
	switch (act->kind) {
	case KERF_ACT_RELU: return x > 0 || x != x ? x : 0;
	case KERF_ACT_CLIP: return clamp(x, act->a, act->b);
	case KERF_ACT_LEAKY_RELU: return x < 0 ? act->a * x : x;
	case KERF_ACT_SIGMOID: return 1 / (1 + expf(-x));
	case KERF_ACT_TANH: return tanhf(x);
	case KERF_ACT_SILU: return x / (1 + expf(-x));
	case KERF_ACT_HARD_SIGMOID: return clamp(act->a * x + act->b, 0, 1);
	case KERF_ACT_HARD_SWISH: return x * clamp(x * (1.0f / 6) + 0.5f, 0, 1);
	case KERF_ACT_GELU: return 0.5f * x * (1 + erff(x * 0.70710678f));
	case KERF_ACT_MISH: return x * tanhf(x > 20 ? x : log1pf(expf(x)));
	case KERF_ACT_ELU: return x < 0 ? act->a * expm1f(x) : x;
	default: return x;
	}
}

int kerf_op_eval(const struct kerf_op *op, const struct kerf_tensor *in, struct kerf_tensor *out)
{
	int r = op->def->eval(op, in, out);
	int64_t i, n;

	if (r || op->act.kind == KERF_ACT_NONE)
		return r;
	/* A quantised output was clamped where it was stored: graph/quant.h. */
	if (out[0].dtype == KERF_U8 || out[0].dtype == KERF_I8)
		return 0;
	n = kerf_tensor_count(&out[0]);
	if (out[0].dtype == KERF_F32) {
		float *y = out[0].data;

		for (i = 0; i < n; i++)
			y[i] = kerf_act_apply(&op->act, y[i]);
	} else if (out[0].dtype == KERF_F16) {
		uint16_t *y = out[0].data;

		for (i = 0; i < n; i++)
			y[i] = kerf_f32_to_f16(kerf_act_apply(&op->act, kerf_f16_to_f32(y[i])));
	} else {
		return -EINVAL;
	}
	return 0;
}

int kerf_op_eval_known(struct kerf_graph *g, const struct kerf_op *op)
{
	size_t slots = (size_t)(kerf_op_in_slots(op) + kerf_op_out_slots(op));
	struct kerf_tensor *in = calloc(slots + 1, sizeof(*in)), *out;
	int k, r = -ENOMEM;

	if (!in)
		return -ENOMEM;
	out = in + kerf_op_in_slots(op);
	kerf_op_tensors(g, op, in, out);
	for (k = 0; k < op->n_out; k++) {
		if (op->out[k] < 0)
			continue;
		out[k].data = kerf_graph_alloc(g, kerf_tensor_bytes(&out[k]));
		if (!out[k].data)
			goto out;
	}
	r = kerf_op_eval(op, in, out);
	for (k = 0; !r && k < op->n_out; k++) {
		if (op->out[k] < 0)
			continue;
		g->value[op->out[k]].t = out[k];
		g->value[op->out[k]].bounded = false;
	}
out:
	free(in);
	return r;
}

int64_t kerf_op_flops(const struct kerf_graph *g, const struct kerf_op *op)
{
	size_t slots = (size_t)(kerf_op_in_slots(op) + kerf_op_out_slots(op)) + 1;
	struct kerf_tensor *in = calloc(slots, sizeof(*in)), *out;
	int64_t n;

	if (!in)
		return 0;
	out = in + kerf_op_in_slots(op);
	kerf_op_tensors(g, op, in, out);
	n = op->def->flops ? op->def->flops(op, in, out) : kerf_tensor_count(&out[0]);
	free(in);
	return n;
}

int64_t kerf_op_work(const struct kerf_graph *g, const struct kerf_op *op)
{
	int64_t n = kerf_op_flops(g, op);
	int k;

	for (k = 0; !op->def->flops && k < op->n_in; k++)
		if (op->in[k] >= 0)
			n = KERF_MAX(n, kerf_tensor_count(&g->value[op->in[k]].t));
	return n;
}

int kerf_op_rows(const struct kerf_op *op, const struct kerf_tensor *in,
		 const struct kerf_tensor *out, int i, struct kerf_rows want,
		 struct kerf_rows *need)
{
	int axis = kerf_op_row_axis(&in[i], &out[0]);

	if (op->def->rows)
		return op->def->rows(op, in, out, i, want, need);
	if (!(op->def->flags & KERF_OP_ELEMENTWISE))
		return -EOPNOTSUPP;
	if (axis < 0 || in[i].dims[axis] == 1)
		*need = (struct kerf_rows){0, axis < 0 ? 0 : 1};
	else
		*need = want;
	return 0;
}

int kerf_broadcast(const struct kerf_tensor *a, const struct kerf_tensor *b,
		   struct kerf_tensor *out)
{
	int rank = KERF_MAX(a->rank, b->rank), i;
	int64_t dims[KERF_MAX_RANK];

	/* From the last axis on: out may be a or b, whose axes move up. */
	for (i = rank - 1; i >= 0; i--) {
		int ia = i - (rank - a->rank), ib = i - (rank - b->rank);
		int64_t da = ia < 0 ? 1 : a->dims[ia], db = ib < 0 ? 1 : b->dims[ib];

		if (da != db && da != 1 && db != 1)
			return -EINVAL;
		dims[i] = da == 1 ? db : da;
	}
	out->rank = rank;
	memcpy(out->dims, dims, (size_t)rank * sizeof(dims[0]));
	return 0;
}

/* One axis of auto_pad: out = ceil(in / stride), the odd row at the end or the start. */
static void same_pads(int64_t in, bool upper, int64_t k, int64_t s, int64_t d, int64_t *b,
		      int64_t *e)
{
	int64_t out = kerf_div_up(in, s);
	int64_t total = KERF_MAX((out - 1) * s + (k - 1) * d + 1 - in, 0);

	*b = upper ? total / 2 : total - total / 2;
	*e = total - *b;
}

int kerf_op_window(const struct kerf_op *op, const struct kerf_tensor *x,
		   const int64_t *kernel_from_weights, struct kerf_window *w,
		   struct kerf_err *err)
{
	const char *auto_pad = kerf_op_string(op, "auto_pad", "NOTSET");
	const int64_t *k, *s, *d, *p, *spatial;
	const int64_t limit = 1 << 24;
	uint32_t nk, ns, nd, np, i, n;

	if (x->rank < 3 || x->rank > 5)
		return kerf_fail(err, -EINVAL, "input 0 has rank %d, expected 3 to 5", x->rank);
	n = (uint32_t)x->rank - 2;
	spatial = x->dims + (op->nhwc ? 1 : 2);
	w->n_spatial = (int)n;
	k = kerf_op_ints(op, "kernel_shape", &nk);
	s = kerf_op_ints(op, "strides", &ns);
	d = kerf_op_ints(op, "dilations", &nd);
	p = kerf_op_ints(op, "pads", &np);
	if (!nk && kernel_from_weights) {
		k = kernel_from_weights;
		nk = n;
	}
	if (nk != n || (ns && ns != n) || (nd && nd != n) || (np && np != 2 * n))
		return kerf_fail(err, -EINVAL,
				 "kernel_shape, strides, dilations, pads have %u, %u, %u, %u elements for %u spatial axes",
				 nk, ns, nd, np, n);
	for (i = 0; i < n; i++) {
		w->kernel[i] = k[i];
		w->stride[i] = ns ? s[i] : 1;
		w->dilation[i] = nd ? d[i] : 1;
		w->pad_begin[i] = np ? p[i] : 0;
		w->pad_end[i] = np ? p[n + i] : 0;
		if (kernel_from_weights && k[i] != kernel_from_weights[i])
			return kerf_fail(err, -EINVAL, "kernel_shape[%u] is %lld, weights have %lld", i,
					 (long long)k[i], (long long)kernel_from_weights[i]);
		if (w->kernel[i] < 1 || w->stride[i] < 1 || w->dilation[i] < 1 ||
		    w->kernel[i] > limit || w->stride[i] > limit || w->dilation[i] > limit ||
		    w->pad_begin[i] > limit || w->pad_end[i] > limit || w->pad_begin[i] < -limit ||
		    w->pad_end[i] < -limit)
			return kerf_fail(err, -EINVAL,
					 "kernel %lld, stride %lld, dilation %lld or pads out of range",
					 (long long)w->kernel[i], (long long)w->stride[i],
					 (long long)w->dilation[i]);
		if (!strcmp(auto_pad, "SAME_UPPER") || !strcmp(auto_pad, "SAME_LOWER")) {
			/* SAME depends on the whole input, also in a tile. */
			bool row = i == 0 && op->nhwc && op->tile.out_rows;

			same_pads(row ? op->tile.in_rows : spatial[i], !strcmp(auto_pad, "SAME_UPPER"),
				  w->kernel[i], w->stride[i], w->dilation[i], &w->pad_begin[i],
				  &w->pad_end[i]);
		} else if (!strcmp(auto_pad, "VALID")) {
			w->pad_begin[i] = w->pad_end[i] = 0;
		} else if (strcmp(auto_pad, "NOTSET")) {
			return kerf_fail(err, -EINVAL, "auto_pad is '%.32s'", auto_pad);
		}
	}
	if (op->nhwc && op->tile.out_rows) {
		const struct kerf_op_tile *t = &op->tile;

		/* Whole row of the first tap of our first output, seen from our first row. */
		w->pad_begin[0] = t->in_row0 - (t->out_row0 * w->stride[0] - w->pad_begin[0]);
		w->pad_end[0] += t->in_rows - (t->in_row0 + spatial[0]);
	}
	return 0;
}
