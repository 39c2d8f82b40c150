/* SPDX-License-Identifier: MIT */
/* QDQ islands of convolutions and matrix products. */
#include "graph/rewrite_quant.h"

#include <math.h>

/* --- bias ------------------------------------------------------------------------------ */

static float scale_at(const struct kerf_edit *e, const struct kerf_quantised *q, int64_t c)
{
	return ((const float *)kerf_edit_t(e, q->scale)->data)[q->n == 1 ? 0 : c];
}

/* Element c of a bias vector of n: a constant, or a dequantised constant. NaN if it is neither. */
static double bias_at(const struct kerf_edit *e, int32_t v, int64_t c, int64_t n)
{
	struct kerf_quantised q;
	int64_t zero = 0;

	if (kerf_edit_is_const(e, v))
		return kerf_tensor_count(kerf_edit_t(e, v)) == n &&
		                       kerf_edit_t(e, v)->dtype == KERF_F32
		               ? kerf_tensor_float(kerf_edit_t(e, v), c)
		               : NAN;
	if (!kerf_dequantised(e, v, &q) || !kerf_edit_is_const(e, q.x) ||
	    kerf_tensor_count(kerf_edit_t(e, q.x)) != n)
		return NAN;
	if (q.zero >= 0)
		zero = kerf_tensor_int(kerf_edit_t(e, q.zero), q.n == 1 ? 0 : c);
	return (double)(kerf_tensor_int(kerf_edit_t(e, q.x), c) - zero) * scale_at(e, &q, c);
}

/*
 * The bias in steps of the accumulator, x_scale * w_scale: an int32 constant. A float
 * bias is rounded to such a step, which is far below a step of the output. -1 if it
 * is not known or does not fit.
 */
static int32_t bias_of(struct kerf_edit *e, int32_t v, const struct kerf_quantised *x,
                       const struct kerf_quantised *w, int64_t n)
{
	struct kerf_tensor t = {.dtype = KERF_I32, .rank = 1, .dims = {n}};
	int64_t c;

	t.data = kerf_graph_alloc(e->g, kerf_tensor_bytes(&t));
	if (!t.data)
		return -ENOMEM;
	for (c = 0; c < n; c++) {
		double b = bias_at(e, v, c, n) / ((double)scale_at(e, x, 0) * scale_at(e, w, c));

		b = nearbyint(b);
		if (!(fabs(b) < 2147483647.0))
			return -1;
		((int32_t *)t.data)[c] = (int32_t)b;
	}
	return kerf_edit_const(e, e->g->value[v].name, &t);
}

/* --- operands ----------------------------------------------------------------------------- */

static int operands(const struct kerf_island *s, const struct kerf_quantised *x,
                    const struct kerf_quantised *w, int32_t *in)
{
	in[0] = x->x;
	in[1] = x->scale;
	in[2] = kerf_quantised_zero(s->e, x);
	in[3] = w->x;
	in[4] = w->scale;
	in[5] = kerf_quantised_zero(s->e, w);
	in[6] = s->scale;
	in[7] = s->zero;
	return in[2] < 0 ? in[2] : in[5] < 0 ? in[5] : 0;
}

int kerf_quant_conv(const struct kerf_island *s)
{
	struct kerf_quantised x, w;
	int32_t in[9], bias = kerf_edit_in(s->e, s->p, 2);
	int r;

	if (!kerf_op_is(s->p, "Conv") || s->p->n_in > 3 ||
	    !kerf_dequantised(s->e, kerf_edit_in(s->e, s->p, 0), &x) || x.n != 1 ||
	    !kerf_dequantised(s->e, kerf_edit_in(s->e, s->p, 1), &w) || (w.n != 1 && w.axis != 0))
		return 0;
	r = operands(s, &x, &w, in);
	if (r)
		return r;
	if (bias >= 0) {
		in[8] = bias_of(s->e, bias, &x, &w, kerf_edit_t(s->e, w.x)->dims[0]);
		if (in[8] < 0)
			return in[8] == -1 ? 0 : in[8];
	}
	return kerf_island_become(s, "QLinearConv", 10, bias >= 0 ? 9 : 8, in, s->p->n_attr,
	                          s->p->attr);
}

/* a b + bias, b constant; transposed: b is [N, K] as it stands. */
static int become_gemm(const struct kerf_island *s, const struct kerf_quantised *a,
                       const struct kerf_quantised *b, int32_t bias, bool transposed)
{
	static const int swap[] = {1, 0};
	int columns = transposed ? 0 : 1, r;
	int32_t in[9];

	if (a->n != 1 || !kerf_edit_is_const(s->e, b->x) || kerf_edit_t(s->e, b->x)->rank != 2 ||
	    (b->n != 1 && b->axis != columns))
		return 0;
	r = operands(s, a, b, in);
	if (r)
		return r;
	if (!transposed)
		in[3] = kerf_edit_const_permuted(s->e, b->x, swap);
	if (bias >= 0) {
		in[8] = bias_of(s->e, bias, a, b, kerf_edit_t(s->e, b->x)->dims[columns]);
		if (in[8] < 0)
			return in[8] == -1 ? 0 : in[8];
	}
	return kerf_island_become(s, "qGemm", 1, bias >= 0 ? 9 : 8, in, 0, NULL);
}

static int match_gemm(const struct kerf_island *s)
{
	const struct kerf_op *p = s->p;
	struct kerf_quantised a, b;

	if (kerf_op_int(p, "transA", 0) || kerf_op_float(p, "alpha", 1) != 1 ||
	    kerf_op_float(p, "beta", 1) != 1 ||
	    !kerf_dequantised(s->e, kerf_edit_in(s->e, p, 0), &a) ||
	    !kerf_dequantised(s->e, kerf_edit_in(s->e, p, 1), &b))
		return 0;
	return become_gemm(s, &a, &b, kerf_edit_in(s->e, p, 2), kerf_op_int(p, "transB", 0));
}

/* MatMul, then Add of a constant vector. */
static int match_biased(const struct kerf_island *s)
{
	const struct kerf_op *m = NULL;
	struct kerf_quantised a, b;
	int k;

	for (k = 0; k < 2 && !m; k++)
		m = kerf_edit_only(s->e, kerf_edit_in(s->e, s->p, k), "MatMul");
	if (!m || m->act.kind != KERF_ACT_NONE ||
	    !kerf_tensor_same_shape(kerf_edit_t(s->e, m->out[0]),
	                            kerf_edit_t(s->e, s->p->out[0])) ||
	    !kerf_dequantised(s->e, kerf_edit_in(s->e, m, 0), &a) ||
	    !kerf_dequantised(s->e, kerf_edit_in(s->e, m, 1), &b))
		return 0;
	/* k stands one behind the product's side */
	return become_gemm(s, &a, &b, kerf_edit_in(s->e, s->p, k == 1), false);
}

int kerf_quant_matmul(const struct kerf_island *s)
{
	struct kerf_quantised a, b;
	int32_t in[8];
	int r;

	if (kerf_op_is(s->p, "Gemm"))
		return match_gemm(s);
	if (kerf_op_is(s->p, "Add"))
		return match_biased(s);
	if (!kerf_op_is(s->p, "MatMul") ||
	    !kerf_dequantised(s->e, kerf_edit_in(s->e, s->p, 0), &a) || a.n != 1 ||
	    !kerf_dequantised(s->e, kerf_edit_in(s->e, s->p, 1), &b) ||
	    (b.n != 1 && b.axis != kerf_edit_t(s->e, b.x)->rank - 1))
		return 0;
	r = operands(s, &a, &b, in);
	return r ? r : kerf_island_become(s, "QLinearMatMul", 10, 8, in, 0, NULL);
}
