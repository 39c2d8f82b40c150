/* SPDX-License-Identifier: MIT */
/* Operators that find their elements through indices. Indices are never trusted. */
#include "graph/op_elementwise.h"

#include <math.h>
#include <string.h>

/* Element i of a tensor as an index in [0, dim), negative ones counted from the end; else -1. */
static int64_t index_at(const struct kerf_tensor *t, int64_t i, int64_t dim)
{
	int64_t v;

	/* OneHot takes real numbers too. */
	if (KERF_T_FLOAT >> t->dtype & 1 && !(fabs(kerf_tensor_float(t, i)) < 0x1p62))
		return -1;
	v = kerf_tensor_int(t, i);
	if (v < 0)
		v += dim;
	return v >= 0 && v < dim ? v : -1;
}

/* --- Gather --- */

static int gather_infer(const struct kerf_op *op, const struct kerf_tensor *in,
			struct kerf_tensor *out, struct kerf_err *err)
{
	const struct kerf_tensor *x = &in[0], *idx = &in[1];
	int64_t dims[2 * KERF_MAX_RANK];
	int axis, i, rank = 0, r = kerf_want_dtype(in, 1, KERF_T_INDEX, err);

	if (!r)
		r = kerf_want_axis(op, "axis", 0, x->rank, &axis, err);
	if (r)
		return r;
	if (x->rank - 1 + idx->rank > KERF_MAX_RANK)
		return kerf_fail(err, -EOPNOTSUPP, "result has rank %d, at most %d is supported",
				 x->rank - 1 + idx->rank, KERF_MAX_RANK);
	for (i = 0; i < axis; i++)
		dims[rank++] = x->dims[i];
	for (i = 0; i < idx->rank; i++)
		dims[rank++] = idx->dims[i];
	for (i = axis + 1; i < x->rank; i++)
		dims[rank++] = x->dims[i];
	kerf_shape_set(out, x->dtype, rank, dims);
	return 0;
}

static int gather_eval(const struct kerf_op *op, const struct kerf_tensor *in,
		       struct kerf_tensor *out)
{
	const struct kerf_tensor *x = &in[0], *idx = &in[1];
	int axis, r = kerf_want_axis(op, "axis", 0, x->rank, &axis, NULL);
	int64_t outer, n = kerf_tensor_count(idx), o, i;
	const char *src = x->data;
	char *dst = out->data;
	size_t run;

	if (r)
		return r;
	outer = kerf_span(x, 0, axis);
	run = (size_t)kerf_span(x, axis + 1, x->rank) * kerf_dtype_size(x->dtype);
	/* Of nothing to copy only the indices are looked at, once. */
	if (!run)
		outer = KERF_MIN(outer, 1);
	for (o = 0; o < outer; o++, src += (size_t)x->dims[axis] * run) {
		for (i = 0; i < n; i++, dst += run) {
			int64_t at = index_at(idx, i, x->dims[axis]);

			if (at < 0)
				return -EINVAL;
			memcpy(dst, src + (size_t)at * run, run);
		}
	}
	return 0;
}

/* --- GatherElements, ScatterElements: an index replaces one coordinate --- */

/* Indices have the rank of the data and stay inside it on the other axes. */
static int check_element_indices(const struct kerf_op *op, const struct kerf_tensor *in, int *axis,
				 struct kerf_err *err)
{
	int i, r = kerf_want_dtype(in, 1, KERF_T_INDEX, err);

	if (!r)
		r = kerf_want_axis(op, "axis", 0, in[0].rank, axis, err);
	if (!r && in[1].rank != in[0].rank)
		r = kerf_fail(err, -EINVAL, "indices have rank %d, the data %d", in[1].rank,
			      in[0].rank);
	for (i = 0; !r && i < in[0].rank; i++)
		if (i != *axis && in[1].dims[i] > in[0].dims[i])
			r = kerf_fail(err, -EINVAL, "indices have %lld elements on axis %d, the data %lld",
				      (long long)in[1].dims[i], i, (long long)in[0].dims[i]);
	return r;
}

static int gather_elements_infer(const struct kerf_op *op, const struct kerf_tensor *in,
				 struct kerf_tensor *out, struct kerf_err *err)
{
	int axis, r = check_element_indices(op, in, &axis, err);

	if (!r)
		kerf_shape_set(out, in[0].dtype, in[1].rank, in[1].dims);
	return r;
}

/* Offsets of the indices (operand 0) and of the data with the indexed coordinate 0 (1). */
static int64_t element_walk(struct kerf_walk *w, const struct kerf_tensor *data,
			    const struct kerf_tensor *idx, int axis)
{
	kerf_strides s[2];
	int64_t step;

	kerf_strides_of(idx, s[0]);
	kerf_strides_of(data, s[1]);
	step = s[1][axis];
	s[1][axis] = 0;
	kerf_walk_init(w, idx->rank, idx->dims, 2, s);
	return step;
}

static int gather_elements_eval(const struct kerf_op *op, const struct kerf_tensor *in,
				struct kerf_tensor *out)
{
	size_t elem = kerf_dtype_size(in->dtype);
	int axis, r = check_element_indices(op, in, &axis, NULL);
	int64_t step, i;
	struct kerf_walk w;

	if (r)
		return r;
	for (step = element_walk(&w, &in[0], &in[1], axis); !w.done; kerf_walk_next(&w)) {
		for (i = 0; i < w.row; i++) {
			int64_t to = w.off[0] + i * w.step[0];
			int64_t at = index_at(&in[1], to, in[0].dims[axis]);

			if (at < 0)
				return -EINVAL;
			at = at * step + w.off[1] + i * w.step[1];
			memcpy((char *)out->data + (size_t)to * elem,
			       (const char *)in->data + (size_t)at * elem, elem);
		}
	}
	return 0;
}

/* How an update meets what is there; -EINVAL on an unknown word. *how NULL: it replaces it. */
static int reduction_of(const struct kerf_op *op, const struct kerf_ew **how, struct kerf_err *err)
{
	static const struct {
		const char *name;
		const struct kerf_ew *how;
	} names[] = {
		{"none", NULL},		{"add", &kerf_ew_add}, {"mul", &kerf_ew_mul},
		{"max", &kerf_ew_max}, {"min", &kerf_ew_min},
	};
	const char *name = kerf_op_string(op, "reduction", "none");
	unsigned i;

	for (i = 0; i < KERF_ARRAY_SIZE(names); i++)
		if (!strcmp(names[i].name, name)) {
			*how = names[i].how;
			return 0;
		}
	return kerf_fail(err, -EINVAL, "reduction is '%.32s', expected none, add, mul, max or min",
			 name);
}

static int check_updates(const struct kerf_op *op, const struct kerf_tensor *in,
			 struct kerf_err *err)
{
	const struct kerf_ew *how;
	int r = reduction_of(op, &how, err);

	if (!r)
		r = kerf_want_dtype(in, 0, how ? KERF_T_NUM : KERF_T_ANY, err);
	if (!r && in[2].dtype != in[0].dtype)
		r = kerf_fail(err, -EINVAL, "updates are %s, the data %s",
			      kerf_dtype_name(in[2].dtype), kerf_dtype_name(in[0].dtype));
	return r;
}

/* Puts n elements of the updates, from `from` on, over those of out, from `to` on. */
static int put(const struct kerf_ew *how, struct kerf_tensor *out, int64_t to,
	       const struct kerf_tensor *updates, int64_t from, int64_t n)
{
	size_t elem = kerf_dtype_size(out->dtype);
	struct kerf_tensor d = {.dtype = out->dtype, .rank = 1, .dims = {n}}, s = d;

	d.data = (char *)out->data + (size_t)to * elem;
	s.data = (char *)updates->data + (size_t)from * elem;
	if (how)
		return kerf_ew_run(how, &d, &s, &d, NULL);
	memcpy(d.data, s.data, (size_t)n * elem);
	return 0;
}

static int scatter_elements_infer(const struct kerf_op *op, const struct kerf_tensor *in,
				  struct kerf_tensor *out, struct kerf_err *err)
{
	int axis, r = check_element_indices(op, in, &axis, err);

	if (!r)
		r = check_updates(op, in, err);
	if (!r && !kerf_tensor_same_shape(&in[1], &in[2]))
		r = kerf_fail(err, -EINVAL, "indices and updates differ in shape");
	if (!r)
		kerf_shape_set(out, in[0].dtype, in[0].rank, in[0].dims);
	return r;
}

static int scatter_elements_eval(const struct kerf_op *op, const struct kerf_tensor *in,
				 struct kerf_tensor *out)
{
	const struct kerf_ew *how;
	int axis, r = check_element_indices(op, in, &axis, NULL);
	int64_t step, i;
	struct kerf_walk w;

	if (!r)
		r = reduction_of(op, &how, NULL);
	if (r)
		return r;
	memcpy(out->data, in->data, kerf_tensor_bytes(in));
	for (step = element_walk(&w, &in[0], &in[1], axis); !w.done; kerf_walk_next(&w)) {
		for (i = 0; i < w.row && !r; i++) {
			int64_t from = w.off[0] + i * w.step[0];
			int64_t at = index_at(&in[1], from, in[0].dims[axis]);

			if (at < 0)
				return -EINVAL;
			r = put(how, out, at * step + w.off[1] + i * w.step[1], &in[2], from, 1);
		}
	}
	return r;
}

/* --- GatherND, ScatterND: a tuple of indices names a block --- */

static int64_t batch_dims(const struct kerf_op *op)
{
	return kerf_op_int(op, "batch_dims", 0);
}

static int check_tuples(const struct kerf_op *op, const struct kerf_tensor *in, int64_t b,
			struct kerf_err *err)
{
	int i, r = kerf_want_dtype(in, 1, KERF_T_INDEX, err);

	if (!r)
		r = kerf_want_rank(in, 0, 1, KERF_MAX_RANK, err);
	if (!r)
		r = kerf_want_rank(in, 1, 1, KERF_MAX_RANK, err);
	if (r)
		return r;
	if (b < 0 || b >= in[1].rank || b >= in[0].rank)
		return kerf_fail(err, -EINVAL, "batch_dims is %lld", (long long)b);
	for (i = 0; i < b; i++)
		if (in[0].dims[i] != in[1].dims[i])
			return kerf_fail(err, -EINVAL, "batch axis %d has %lld and %lld elements", i,
					 (long long)in[0].dims[i], (long long)in[1].dims[i]);
	if (in[1].dims[in[1].rank - 1] > in[0].rank - b)
		return kerf_fail(err, -EINVAL, "tuples of %lld indices for data of rank %d",
				 (long long)in[1].dims[in[1].rank - 1], in[0].rank);
	return 0;
}

/* Dims of the blocks that the tuples name: indices' dims but the last, then the block's. */
static int tuple_result(const struct kerf_tensor *in, int64_t b, struct kerf_tensor *t,
			struct kerf_err *err)
{
	int first = (int)(b + in[1].dims[in[1].rank - 1]);
	int i;

	if (in[1].rank - 1 + in[0].rank - first > KERF_MAX_RANK)
		return kerf_fail(err, -EOPNOTSUPP, "result has rank %d, at most %d is supported",
				 in[1].rank - 1 + in[0].rank - first, KERF_MAX_RANK);
	kerf_shape_set(t, in[0].dtype, in[1].rank - 1, in[1].dims);
	for (i = first; i < in[0].rank; i++)
		t->dims[t->rank++] = in[0].dims[i];
	return 0;
}

/* First element of the block that tuple i names in the data (of batch i / per_batch), or -1. */
static int64_t block_at(const struct kerf_tensor *in, int64_t b, int64_t i)
{
	int64_t k = in[1].dims[in[1].rank - 1], at = 0, j;
	int64_t per_batch = kerf_span(&in[1], (int)b, in[1].rank - 1);
	kerf_strides s;

	kerf_strides_of(&in[0], s);
	if (b)
		at = i / per_batch * s[b - 1];
	for (j = 0; j < k; j++) {
		int64_t v = index_at(&in[1], i * k + j, in[0].dims[b + j]);

		if (v < 0)
			return -1;
		at += v * s[b + j];
	}
	return at;
}

static int gather_nd_infer(const struct kerf_op *op, const struct kerf_tensor *in,
			   struct kerf_tensor *out, struct kerf_err *err)
{
	int r = check_tuples(op, in, batch_dims(op), err);

	return r ? r : tuple_result(in, batch_dims(op), out, err);
}

static int gather_nd_eval(const struct kerf_op *op, const struct kerf_tensor *in,
			  struct kerf_tensor *out)
{
	int64_t b = batch_dims(op), k = in[1].dims[in[1].rank - 1];
	int64_t n = kerf_span(&in[1], 0, in[1].rank - 1), i;
	int64_t block = kerf_span(&in[0], (int)(b + k), in[0].rank);
	size_t elem = kerf_dtype_size(in->dtype);

	for (i = 0; i < n && block; i++) {
		int64_t at = block_at(in, b, i);

		if (at < 0)
			return -EINVAL;
		memcpy((char *)out->data + (size_t)(i * block) * elem,
		       (const char *)in->data + (size_t)at * elem, (size_t)block * elem);
	}
	return 0;
}

static int scatter_nd_infer(const struct kerf_op *op, const struct kerf_tensor *in,
			    struct kerf_tensor *out, struct kerf_err *err)
{
	struct kerf_tensor t = {.rank = 0};
	int r = check_tuples(op, in, 0, err);

	if (!r)
		r = check_updates(op, in, err);
	if (!r)
		r = tuple_result(in, 0, &t, err);
	if (!r && !kerf_tensor_same_shape(&t, &in[2])) {
		char a[KERF_SHAPE_TEXT], c[KERF_SHAPE_TEXT];

		r = kerf_fail(err, -EINVAL, "updates are %s, expected %s",
			      kerf_tensor_text(&in[2], a), kerf_tensor_text(&t, c));
	}
	if (!r)
		kerf_shape_set(out, in[0].dtype, in[0].rank, in[0].dims);
	return r;
}

static int scatter_nd_eval(const struct kerf_op *op, const struct kerf_tensor *in,
			   struct kerf_tensor *out)
{
	int64_t k = in[1].dims[in[1].rank - 1], n = kerf_span(&in[1], 0, in[1].rank - 1), i;
	int64_t block = kerf_span(&in[0], (int)k, in[0].rank);
	const struct kerf_ew *how;
	int r = reduction_of(op, &how, NULL);

	if (r)
		return r;
	memcpy(out->data, in->data, kerf_tensor_bytes(in));
	for (i = 0; i < n && block && !r; i++) {
		int64_t at = block_at(in, 0, i);

		if (at < 0)
			return -EINVAL;
		r = put(how, out, at, &in[2], i * block, block);
	}
	return r;
}

/* --- OneHot --- */

static int onehot_axis(const struct kerf_op *op, const struct kerf_tensor *in, int *axis,
		       struct kerf_err *err)
{
	return kerf_want_axis(op, "axis", -1, in[0].rank + 1, axis, err);
}

static int onehot_infer(const struct kerf_op *op, const struct kerf_tensor *in,
			struct kerf_tensor *out, struct kerf_err *err)
{
	int64_t depth;
	int axis, i, r = kerf_want_dtype(in, 0, KERF_T_NUM, err);

	if (!r)
		r = kerf_want_dtype(in, 1, KERF_T_NUM, err);
	if (!r)
		r = kerf_want_dtype(in, 2, KERF_T_ANY, err);
	if (!r)
		r = kerf_want_data(in, 1, "depth", err);
	if (!r)
		r = onehot_axis(op, in, &axis, err);
	if (r)
		return r;
	if (kerf_tensor_count(&in[1]) != 1 || kerf_tensor_count(&in[2]) != 2)
		return kerf_fail(err, -EINVAL, "depth and values have %lld and %lld elements, expected 1 and 2",
				 (long long)kerf_tensor_count(&in[1]),
				 (long long)kerf_tensor_count(&in[2]));
	if (!(kerf_tensor_float(&in[1], 0) >= 1 && kerf_tensor_float(&in[1], 0) < 0x1p40))
		return kerf_fail(err, -EINVAL, "depth is %g", kerf_tensor_float(&in[1], 0));
	depth = kerf_tensor_int(&in[1], 0);
	if (in[0].rank == KERF_MAX_RANK)
		return kerf_fail(err, -EOPNOTSUPP, "result has rank %d, at most %d is supported",
				 in[0].rank + 1, KERF_MAX_RANK);
	out->dtype = in[2].dtype;
	out->rank = in[0].rank + 1;
	for (i = 0; i < out->rank; i++)
		out->dims[i] = i == axis ? depth : in[0].dims[i - (i > axis)];
	return 0;
}

static int onehot_eval(const struct kerf_op *op, const struct kerf_tensor *in,
		       struct kerf_tensor *out)
{
	size_t elem = kerf_dtype_size(out->dtype);
	const char *off = in[2].data, *on = off + elem;
	int axis, r = onehot_axis(op, in, &axis, NULL);
	int64_t depth, inner, n = kerf_tensor_count(&in[0]), total, i;

	if (r)
		return r;
	depth = out->dims[axis];
	inner = kerf_span(out, axis + 1, out->rank);
	total = n * depth;
	for (i = 0; i < total; i++)
		memcpy((char *)out->data + (size_t)i * elem, off, elem);
	for (i = 0; i < n; i++) {
		int64_t v = index_at(&in[0], i, depth);

		/* An index out of range leaves its row off. */
		if (v >= 0)
			memcpy((char *)out->data +
				       (size_t)((i / inner * depth + v) * inner + i % inner) * elem,
			       on, elem);
	}
	return 0;
}

/* --- Compress: slices of an axis, or elements, where a condition holds --- */

/* *axis is -1 where the data are taken as one row of elements. */
static int compress_axis(const struct kerf_op *op, const struct kerf_tensor *in, int *axis,
			 struct kerf_err *err)
{
	*axis = -1;
	return kerf_op_attr(op, "axis") ? kerf_want_axis(op, "axis", 0, in->rank, axis, err) : 0;
}

static int compress_infer(const struct kerf_op *op, const struct kerf_tensor *in,
			  struct kerf_tensor *out, struct kerf_err *err)
{
	int64_t n;
	int axis, r = kerf_want_dtype(in, 1, KERF_T(BOOL), err);

	if (!r)
		r = kerf_want_rank(in, 1, 1, 1, err);
	if (!r)
		r = compress_axis(op, in, &axis, err);
	if (r)
		return r;
	n = KERF_MIN(in[1].dims[0], axis < 0 ? kerf_tensor_count(in) : in->dims[axis]);
	if (axis < 0) {
		kerf_shape_set(out, in->dtype, 1, &n);
	} else {
		kerf_shape_set(out, in->dtype, in->rank, in->dims);
		out->dims[axis] = n;
	}
	return 0;
}

static int compress_eval(const struct kerf_op *op, const struct kerf_tensor *in,
			 struct kerf_tensor *out)
{
	int axis, r = compress_axis(op, in, &axis, NULL);
	int64_t outer, n, kept = 0, o, i;
	const char *src = in->data;
	char *dst = out->data;
	size_t run;

	if (r)
		return r;
	outer = axis < 0 ? 1 : kerf_span(in, 0, axis);
	n = axis < 0 ? kerf_tensor_count(in) : in->dims[axis];
	run = axis < 0 ? 1 : (size_t)kerf_span(in, axis + 1, in->rank);
	run *= kerf_dtype_size(in->dtype);
	if (!run)
		outer = KERF_MIN(outer, 1);
	for (o = 0; o < outer; o++, src += (size_t)n * run) {
		kept = 0;
		for (i = 0; i < n && i < in[1].dims[0]; i++) {
			if (!((const uint8_t *)in[1].data)[i])
				continue;
			memcpy(dst, src + (size_t)i * run, run);
			dst += run;
			kept++;
		}
	}
	if (outer)
		out->dims[KERF_MAX(axis, 0)] = kept;
	return 0;
}

#define INDEX_OP(NAME, SINCE, UNTIL, IN, FLAGS, SHAPE_IN, FN)                                     \
	{                                                                                         \
		.name = NAME, .since = SINCE, .until = UNTIL, .min_in = IN, .max_in = IN,         \
		.min_out = 1, .max_out = 1, .flags = FLAGS, .shape_in = SHAPE_IN,                 \
		.flops = kerf_flops_none, .infer = FN##_infer, .eval = FN##_eval,                 \
	}

const struct kerf_op_def kerf_ops_index[] = {
	INDEX_OP("Gather", 1, 0, 2, 0, 0, gather),
	INDEX_OP("GatherElements", 11, 0, 2, 0, 0, gather_elements),
	INDEX_OP("GatherND", 11, 0, 2, 0, 0, gather_nd),
	/* Scatter became ScatterElements. */
	INDEX_OP("Scatter", 9, 10, 3, 0, 0, scatter_elements),
	INDEX_OP("ScatterElements", 11, 0, 3, 0, 0, scatter_elements),
	INDEX_OP("ScatterND", 11, 0, 3, 0, 0, scatter_nd),
	INDEX_OP("OneHot", 9, 0, 3, 0, 1 << 1, onehot),
	INDEX_OP("Compress", 9, 0, 2, KERF_OP_BOUNDED, 0, compress),
	{.name = NULL},
};
