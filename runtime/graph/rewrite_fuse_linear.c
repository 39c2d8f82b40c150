/* SPDX-License-Identifier: MIT */
/*
 * Matrix products with a bias become Gemm, also those of more than two axes: the
 * leading axes are one, between two views that cost nothing. And Pad becomes the
 * padding of the window that reads it.
 */
#include "graph/rewrite_passes.h"

#include <float.h>
#include <math.h>

/* --- MatMul and Gemm ---------------------------------------------------------------- */

/* The vector that a constant adds along the last axis of a value; -1 if it does not. */
static int32_t last_axis_vector(struct kerf_edit *e, int32_t v, const struct kerf_tensor *y)
{
	struct kerf_tensor t;

	if (!kerf_edit_is_const(e, v) || y->rank < 1)
		return -1;
	t = *kerf_edit_t(e, v);
	if (t.dtype != KERF_F32 || t.rank < 1 || t.rank > y->rank ||
	    kerf_tensor_count(&t) != t.dims[t.rank - 1] ||
	    t.dims[t.rank - 1] != y->dims[y->rank - 1])
		return -1;
	if (t.rank == 1)
		return v;
	t.dims[0] = t.dims[t.rank - 1];
	t.rank = 1;
	return kerf_edit_const(e, e->g->value[v].name, &t);
}

static bool is_matrix(const struct kerf_edit *e, int32_t v)
{
	return kerf_edit_is_const(e, v) && kerf_edit_t(e, v)->rank == 2 &&
	       kerf_edit_t(e, v)->dtype == KERF_F32;
}

/* The matrix that MatMul's input 1 is, perhaps transposed; -1 if it is no constant one. */
static int32_t matrix_of(const struct kerf_edit *e, int32_t v, bool *transposed)
{
	const struct kerf_op *p = kerf_edit_producer(e, v);
	uint32_t n;
	const int64_t *perm;

	*transposed = false;
	if (is_matrix(e, v))
		return v;
	if (!p || !kerf_op_is(p, "Transpose") || !is_matrix(e, kerf_edit_in(e, p, 0)))
		return -1;
	perm = kerf_op_ints(p, "perm", &n);
	*transposed = true;
	return n == 0 || (n == 2 && perm[0] == 1) ? kerf_edit_in(e, p, 0) : -1;
}

/* Operator j becomes A B + C with A of any rank: in is {A, B} or {A, B, C}. */
static int become_gemm(struct kerf_edit *e, uint32_t j, bool transposed, int n, int32_t *in)
{
	struct kerf_attr attr = {.name = "transB", .type = KERF_ATTR_INT, .i = 1};
	const struct kerf_tensor a = *kerf_edit_t(e, in[0]);
	const char *name = e->g->op[j].name;
	struct kerf_tensor y = *kerf_edit_t(e, e->g->op[j].out[0]);
	int64_t flat[2] = {1, a.dims[a.rank - 1]};
	int32_t view[2];
	int d;

	if (a.rank == 2)
		return kerf_edit_become(e, j, "Gemm", 13, n, in, transposed, &attr);
	for (d = 0; d < a.rank - 1; d++)
		flat[0] *= a.dims[d];
	in[0] = kerf_edit_reshape(e, j, in[0], "flat", 2, flat);
	if (in[0] < 0)
		return in[0];
	view[0] = kerf_edit_node(e, j, "Gemm", 13, name, "flat", n, in, transposed, &attr);
	if (view[0] < 0)
		return view[0];
	view[1] = kerf_edit_const_i64(e, name, y.dims, y.rank);
	return view[1] < 0 ? view[1] : kerf_edit_become(e, j, "Reshape", 13, 2, view, 0, NULL);
}

static bool can_flatten(const struct kerf_edit *e, const struct kerf_op *op, int32_t a)
{
	const struct kerf_tensor *t = kerf_edit_t(e, a);

	return t->dtype == KERF_F32 && t->rank >= 2 && kerf_tensor_count(t) > 0 &&
	       kerf_tensor_count(kerf_edit_t(e, op->out[0])) > 0 &&
	       !e->g->value[op->out[0]].bounded;
}

/* MatMul by a transposed constant: Gemm reads it as it is, no copy. */
static int match_transposed(struct kerf_edit *e, uint32_t j)
{
	struct kerf_op *op = &e->g->op[j];
	int32_t in[2] = {kerf_edit_in(e, op, 0), kerf_edit_in(e, op, 1)};
	bool transposed;

	in[1] = matrix_of(e, in[1], &transposed);
	if (in[1] < 0 || !transposed || op->act.kind != KERF_ACT_NONE || !can_flatten(e, op, in[0]))
		return 0;
	return become_gemm(e, j, true, 2, in);
}

/* The Gemm without C that makes v, directly or through a view; both for one reader. */
static struct kerf_op *gemm_behind(const struct kerf_edit *e, int32_t v, struct kerf_op **view)
{
	struct kerf_op *p = kerf_edit_only(e, v, "Gemm");

	*view = NULL;
	if (!p) {
		*view = kerf_edit_only(e, v, "Reshape");
		if (!*view)
			return NULL;
		p = kerf_edit_only(e, kerf_edit_in(e, *view, 0), "Gemm");
	}
	return p && p->act.kind == KERF_ACT_NONE ? p : NULL;
}

/* What stands between a Gemm and op j, or the Gemm itself, takes j's place. */
static int move_to(struct kerf_edit *e, struct kerf_op *gemm, struct kerf_op *view, uint32_t j,
                   int n, const int32_t *in)
{
	int r;

	if (!view)
		return kerf_edit_merge(e, (uint32_t)(gemm - e->g->op), j, n, in);
	r = kerf_edit_set_inputs(e, (uint32_t)(gemm - e->g->op), n, in);
	return r ? r : kerf_edit_merge(e, (uint32_t)(view - e->g->op), j, view->n_in, view->in);
}

static int match_bias(struct kerf_edit *e, uint32_t j)
{
	struct kerf_op *op = &e->g->op[j], *p, *view;
	const struct kerf_tensor y = *kerf_edit_t(e, op->out[0]);
	int32_t x, in[3];
	bool transposed;
	int k;

	if (op->act.kind != KERF_ACT_NONE || y.dtype != KERF_F32 || kerf_op_attr(op, "axis"))
		return 0;
	for (k = 0; k < 2; k++)
		if (kerf_edit_is_const(e, kerf_edit_in(e, op, k)))
			break;
	if (k == 2)
		return 0;
	x = kerf_edit_in(e, op, !k);
	if (!kerf_tensor_same_shape(kerf_edit_t(e, x), &y))
		return 0;
	in[2] = last_axis_vector(e, kerf_edit_in(e, op, k), &y);
	if (in[2] < 0)
		return in[2] == -1 ? 0 : in[2];
	p = gemm_behind(e, x, &view);
	if (p && kerf_edit_in(e, p, 2) < 0 &&
	    (!view || kerf_edit_t(e, p->out[0])->dims[1] == y.dims[y.rank - 1])) {
		in[0] = p->in[0];
		in[1] = p->in[1];
		return kerf_op_float(p, "beta", 1) == 1 ? move_to(e, p, view, j, 3, in) : 0;
	}
	p = kerf_edit_only(e, x, "MatMul");
	if (!p || p->act.kind != KERF_ACT_NONE || !can_flatten(e, op, kerf_edit_in(e, p, 0)))
		return 0;
	in[0] = kerf_edit_in(e, p, 0);
	in[1] = matrix_of(e, kerf_edit_in(e, p, 1), &transposed);
	return in[1] < 0 ? 0 : become_gemm(e, j, transposed, 3, in);
}

int kerf_fuse_linear(struct kerf_edit *e, uint32_t j)
{
	if (kerf_op_is(&e->g->op[j], "MatMul"))
		return match_transposed(e, j);
	if (kerf_op_is(&e->g->op[j], "Add"))
		return match_bias(e, j);
	return 0;
}

int kerf_fuse_linear_act(struct kerf_edit *e, uint32_t j, const struct kerf_act *act)
{
	struct kerf_op *op = &e->g->op[j], *p, *view;
	int32_t x = kerf_edit_in(e, op, 0);

	p = gemm_behind(e, x, &view);
	if (!p || !view || !kerf_tensor_same_shape(kerf_edit_t(e, x), kerf_edit_t(e, op->out[0])))
		return 0;
	p->act = *act;
	return kerf_edit_merge(e, (uint32_t)(view - e->g->op), j, view->n_in, view->in);
}

/* --- Pad -------------------------------------------------------------------------------- */

/* A Pad with one value around spatial axes only: its pads, 2 * rank of them. */
static bool plain_pad(const struct kerf_edit *e, const struct kerf_op *p, float *value,
                      int64_t *pads)
{
	int rank = kerf_edit_t(e, p->out[0])->rank, i;
	int32_t v = kerf_edit_in(e, p, 2);

	if (strcmp(kerf_op_string(p, "mode", "constant"), "constant") ||
	    kerf_edit_in(e, p, 3) >= 0 || rank < 3 ||
	    kerf_edit_ints_of(e, p, "pads", 1, pads, 2 * KERF_MAX_RANK) != 2 * rank)
		return false;
	*value = kerf_op_float(p, "value", 0);
	if (v >= 0 && !kerf_edit_scalar(e, v, value))
		return false;
	for (i = 0; i < 2 * rank; i++)
		if (pads[i] < 0 || (i % rank < 2 && pads[i]))
			return false;
	return true;
}

/* Whether all elements of v are 0 or more. */
static bool not_negative(const struct kerf_edit *e, int32_t v)
{
	const struct kerf_op *p = kerf_edit_producer(e, v);
	float lo;

	if (!p)
		return false;
	if (kerf_op_is(p, "Clip") && p->opset >= 11)
		return kerf_edit_in(e, p, 1) >= 0 &&
		       kerf_edit_scalar(e, kerf_edit_in(e, p, 1), &lo) && lo >= 0;
	return kerf_op_is(p, "Relu") || kerf_op_is(p, "Sigmoid") || p->act.kind == KERF_ACT_RELU ||
	       p->act.kind == KERF_ACT_SIGMOID || (p->act.kind == KERF_ACT_CLIP && p->act.a >= 0);
}

static bool window_pads(const struct kerf_op *op, int n_spatial, int64_t *pads)
{
	uint32_t n;
	const int64_t *p = kerf_op_ints(op, "pads", &n);

	if (strcmp(kerf_op_string(op, "auto_pad", "NOTSET"), "NOTSET") ||
	    (p && n != 2 * (uint32_t)n_spatial))
		return false;
	memset(pads, 0, 2 * (size_t)n_spatial * sizeof(*pads));
	if (p)
		memcpy(pads, p, n * sizeof(*pads));
	return true;
}

/* Whether op may pad with what the Pad before it pads with. */
static bool pads_alike(const struct kerf_edit *e, const struct kerf_op *op, int32_t x, float value,
                       const int64_t *own, const int64_t *pads, int n)
{
	uint32_t nk;
	const int64_t *kernel = kerf_op_ints(op, "kernel_shape", &nk);
	bool none = true;
	int i;

	if (kerf_op_is(op, "Conv"))
		return value == 0;
	if (!kernel || nk != (uint32_t)n || kerf_op_int(op, "ceil_mode", 0))
		return false;
	/* A window that lies in the padding alone has no maximum, and may not be. */
	for (i = 0; i < n; i++) {
		int64_t begin = own[i] + pads[i + 2], end = own[n + i] + pads[n + 4 + i];

		if (begin >= kernel[i] || end >= kernel[i])
			return false;
		none = none && !own[i] && !own[n + i];
	}
	if (kerf_op_is(op, "MaxPool"))
		return op->n_out == 1 && (value <= -FLT_MAX || (value == 0 && not_negative(e, x)));
	return value == 0 && (none || kerf_op_int(op, "count_include_pad", 0));
}

int kerf_fuse_pad(struct kerf_edit *e, uint32_t j)
{
	struct kerf_op *op = &e->g->op[j];
	const struct kerf_op *p;
	int64_t pads[2 * KERF_MAX_RANK], own[2 * KERF_MAX_RANK];
	int32_t in[5];
	float value;
	int rank, n, i, r;

	if (!(kerf_op_is(op, "Conv") || kerf_op_is(op, "MaxPool") ||
	      kerf_op_is(op, "AveragePool")) ||
	    op->n_in > 5)
		return 0;
	p = kerf_edit_only(e, kerf_edit_in(e, op, 0), "Pad");
	if (!p || p->act.kind != KERF_ACT_NONE || !plain_pad(e, p, &value, pads))
		return 0;
	rank = kerf_edit_t(e, p->out[0])->rank;
	n = rank - 2;
	in[0] = kerf_edit_in(e, p, 0);
	if (!window_pads(op, n, own) || !pads_alike(e, op, in[0], value, own, pads, n))
		return 0;
	for (i = 0; i < n; i++) {
		own[i] += pads[i + 2];
		own[n + i] += pads[rank + i + 2];
	}
	r = kerf_op_set_ints(e->g, op, "pads", own, 2 * (uint32_t)n);
	if (!r && kerf_op_is(op, "AveragePool"))
		r = kerf_op_set_int(e->g, op, "count_include_pad", 1);
	for (i = 1; i < op->n_in; i++)
		in[i] = kerf_edit_in(e, op, i);
	return r ? r : kerf_edit_set_inputs(e, j, op->n_in, in);
}
