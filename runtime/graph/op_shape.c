/* SPDX-License-Identifier: MIT */
/* Operators about shapes: those that keep the elements, and those that make them. */
#include "graph/op_util.h"

#include <math.h>
#include <string.h>

static int same_bytes(const struct kerf_op *op, const struct kerf_tensor *in,
		      struct kerf_tensor *out)
{
	memcpy(out->data, in->data, kerf_tensor_bytes(out));
	return 0;
}

/* --- Shape, Size: need no contents --- */

static int64_t clamp_end(int64_t v, int rank)
{
	if (v < 0)
		v += rank;
	return KERF_MIN(KERF_MAX(v, 0), rank);
}

static int shape_infer(const struct kerf_op *op, const struct kerf_tensor *in,
		       struct kerf_tensor *out, struct kerf_err *err)
{
	int64_t begin = clamp_end(kerf_op_int(op, "start", 0), in->rank);
	int64_t end = clamp_end(kerf_op_int(op, "end", in->rank), in->rank);
	int64_t n = KERF_MAX(end - begin, 0);

	kerf_shape_set(out, KERF_I64, 1, &n);
	return 0;
}

static int shape_eval(const struct kerf_op *op, const struct kerf_tensor *in,
		      struct kerf_tensor *out)
{
	int64_t begin = clamp_end(kerf_op_int(op, "start", 0), in->rank);

	memcpy(out->data, in->dims + begin, kerf_tensor_bytes(out));
	return 0;
}

static int size_infer(const struct kerf_op *op, const struct kerf_tensor *in,
		      struct kerf_tensor *out, struct kerf_err *err)
{
	kerf_shape_set(out, KERF_I64, 0, in->dims);
	return 0;
}

static int size_eval(const struct kerf_op *op, const struct kerf_tensor *in,
		     struct kerf_tensor *out)
{
	*(int64_t *)out->data = kerf_tensor_count(in);
	return 0;
}

/* --- Reshape, Flatten, Squeeze, Unsqueeze --- */

static int reshape_infer(const struct kerf_op *op, const struct kerf_tensor *in,
			 struct kerf_tensor *out, struct kerf_err *err)
{
	bool allow_zero = kerf_op_int(op, "allowzero", 0);
	int64_t v[KERF_MAX_RANK], known = 1, count = kerf_tensor_count(in);
	int n, i, free_axis = -1;
	int r = kerf_want_list(op, in, 1, "shape", v, KERF_MAX_RANK, &n, err);

	if (r)
		return r;
	if (n < 0)
		return kerf_fail(err, -EINVAL, "no shape is given");
	for (i = 0; i < n; i++) {
		if (v[i] == 0 && !allow_zero) {
			if (i >= in->rank)
				return kerf_fail(err, -EINVAL,
						 "shape[%d] copies a dim that input 0 lacks", i);
			v[i] = in->dims[i];
		}
		if (v[i] < -1 || (v[i] == -1 && free_axis >= 0))
			return kerf_fail(err, -EINVAL, "shape[%d] is %lld", i, (long long)v[i]);
		if (v[i] == -1)
			free_axis = i;
		else if (!kerf_mul(known, v[i], &known))
			return kerf_fail(err, -EINVAL, "shape[%d] is %lld: too large", i,
					 (long long)v[i]);
	}
	if (free_axis >= 0) {
		if (known == 0 ? count != 0 : count % known)
			return kerf_fail(err, -EINVAL,
					 "%lld elements do not divide by the given dims (%lld)",
					 (long long)count, (long long)known);
		v[free_axis] = known ? count / known : 0;
	} else if (known != count) {
		return kerf_fail(err, -EINVAL, "shape has %lld elements, input 0 has %lld",
				 (long long)known, (long long)count);
	}
	kerf_shape_set(out, in->dtype, n, v);
	return 0;
}

static int flatten_infer(const struct kerf_op *op, const struct kerf_tensor *in,
			 struct kerf_tensor *out, struct kerf_err *err)
{
	int64_t axis = kerf_op_int(op, "axis", 1), dims[2];

	if (axis < 0)
		axis += in->rank;
	if (axis < 0 || axis > in->rank)
		return kerf_fail(err, -EINVAL, "axis is %lld for rank %d",
				 (long long)kerf_op_int(op, "axis", 1), in->rank);
	dims[0] = kerf_span(in, 0, (int)axis);
	dims[1] = kerf_span(in, (int)axis, in->rank);
	kerf_shape_set(out, in->dtype, 2, dims);
	return 0;
}

static int squeeze_infer(const struct kerf_op *op, const struct kerf_tensor *in,
			 struct kerf_tensor *out, struct kerf_err *err)
{
	int64_t v[KERF_MAX_RANK], dims[KERF_MAX_RANK];
	uint32_t set = 0;
	int n, i, rank = 0;
	int r = kerf_want_list(op, in, 1, "axes", v, KERF_MAX_RANK, &n, err);

	if (!r && n >= 0)
		r = kerf_axis_set(v, n, in->rank, &set, err);
	if (r)
		return r;
	for (i = 0; i < in->rank; i++) {
		bool drop = n >= 0 ? set >> i & 1 : in->dims[i] == 1;

		if (drop && in->dims[i] != 1)
			return kerf_fail(err, -EINVAL, "axis %d has %lld elements, expected 1", i,
					 (long long)in->dims[i]);
		if (!drop)
			dims[rank++] = in->dims[i];
	}
	kerf_shape_set(out, in->dtype, rank, dims);
	return 0;
}

static int unsqueeze_infer(const struct kerf_op *op, const struct kerf_tensor *in,
			   struct kerf_tensor *out, struct kerf_err *err)
{
	int64_t v[KERF_MAX_RANK], dims[KERF_MAX_RANK];
	uint32_t set;
	int n, i, k = 0;
	int r = kerf_want_list(op, in, 1, "axes", v, KERF_MAX_RANK, &n, err);

	if (r)
		return r;
	if (n < 0)
		return kerf_fail(err, -EINVAL, "no axes are given");
	if (in->rank + n > KERF_MAX_RANK)
		return kerf_fail(err, -EOPNOTSUPP, "result has rank %d, at most %d is supported",
				 in->rank + n, KERF_MAX_RANK);
	r = kerf_axis_set(v, n, in->rank + n, &set, err);
	if (r)
		return r;
	for (i = 0; i < in->rank + n; i++)
		dims[i] = set >> i & 1 ? 1 : in->dims[k++];
	kerf_shape_set(out, in->dtype, in->rank + n, dims);
	return 0;
}

/* --- Expand, ConstantOfShape, Constant, Range, EyeLike --- */

static int expand_infer(const struct kerf_op *op, const struct kerf_tensor *in,
			struct kerf_tensor *out, struct kerf_err *err)
{
	struct kerf_tensor want = {.rank = 0}, y;
	int i, r = kerf_want_list(op, in, 1, "shape", want.dims, KERF_MAX_RANK, &want.rank, err);

	if (r)
		return r;
	for (i = 0; i < want.rank; i++)
		if (want.dims[i] < 0)
			return kerf_fail(err, -EINVAL, "shape[%d] is %lld", i,
					 (long long)want.dims[i]);
	if (kerf_broadcast(in, &want, &y))
		return kerf_fail(err, -EINVAL, "input 0 does not broadcast to the shape of input 1");
	kerf_shape_set(out, in->dtype, y.rank, y.dims);
	return 0;
}

static int expand_eval(const struct kerf_op *op, const struct kerf_tensor *in,
		       struct kerf_tensor *out)
{
	kerf_strides d, s;

	kerf_strides_of(out, d);
	kerf_strides_bcast(in, out->rank, s);
	kerf_copy_strided(out->data, d, in->data, s, out->rank, out->dims,
			  kerf_dtype_size(out->dtype));
	return 0;
}

static const struct kerf_tensor *fill_value(const struct kerf_op *op)
{
	const struct kerf_attr *a = kerf_op_attr(op, "value");

	return a && a->type == KERF_ATTR_TENSOR ? &a->t : NULL;
}

static int const_of_shape_infer(const struct kerf_op *op, const struct kerf_tensor *in,
				struct kerf_tensor *out, struct kerf_err *err)
{
	const struct kerf_tensor *value = fill_value(op);
	int64_t v[KERF_MAX_RANK];
	int n, i, r = kerf_want_list(op, in, 0, "shape", v, KERF_MAX_RANK, &n, err);

	if (r)
		return r;
	if (value && (kerf_tensor_count(value) != 1 || !(KERF_T_ANY >> value->dtype & 1)))
		return kerf_fail(err, -EINVAL, "value is not one number");
	for (i = 0; i < n; i++)
		if (v[i] < 0)
			return kerf_fail(err, -EINVAL, "shape[%d] is %lld", i, (long long)v[i]);
	kerf_shape_set(out, value ? value->dtype : KERF_F32, n, v);
	return 0;
}

static int const_of_shape_eval(const struct kerf_op *op, const struct kerf_tensor *in,
			       struct kerf_tensor *out)
{
	const struct kerf_tensor *value = fill_value(op);
	kerf_strides d, none = {0};

	if (!value) {
		memset(out->data, 0, kerf_tensor_bytes(out));
		return 0;
	}
	kerf_strides_of(out, d);
	kerf_copy_strided(out->data, d, value->data, none, out->rank, out->dims,
			  kerf_dtype_size(out->dtype));
	return 0;
}

/* The attribute that holds a Constant's contents, seen as a tensor. */
static int constant_of(const struct kerf_op *op, struct kerf_tensor *t, struct kerf_err *err)
{
	static const char *const names[] = {"value",	    "value_int",    "value_ints",
					    "value_float", "value_floats"};
	const struct kerf_attr *a = NULL;
	unsigned i;

	for (i = 0; i < KERF_ARRAY_SIZE(names) && !a; i++)
		a = kerf_op_attr(op, names[i]);
	memset(t, 0, sizeof(*t));
	switch (a ? a->type : KERF_ATTR_STRING) {
	case KERF_ATTR_TENSOR:
		*t = a->t;
		return 0;
	case KERF_ATTR_INT:
	case KERF_ATTR_FLOAT:
		t->dtype = a->type == KERF_ATTR_INT ? KERF_I64 : KERF_F32;
		t->data = (void *)&a->i;
		return 0;
	case KERF_ATTR_INTS:
	case KERF_ATTR_FLOATS:
		t->dtype = a->type == KERF_ATTR_INTS ? KERF_I64 : KERF_F32;
		t->rank = 1;
		t->dims[0] = a->n;
		t->data = (void *)a->ints;
		return 0;
	default:
		return kerf_fail(err, -EOPNOTSUPP, "no dense numeric value is given");
	}
}

static int constant_infer(const struct kerf_op *op, const struct kerf_tensor *in,
			  struct kerf_tensor *out, struct kerf_err *err)
{
	struct kerf_tensor t;
	int r = constant_of(op, &t, err);

	if (!r)
		kerf_shape_set(out, t.dtype, t.rank, t.dims);
	return r;
}

static int constant_eval(const struct kerf_op *op, const struct kerf_tensor *in,
			 struct kerf_tensor *out)
{
	struct kerf_tensor t;
	int r = constant_of(op, &t, NULL);

	if (!r && kerf_tensor_bytes(&t))
		memcpy(out->data, t.data, kerf_tensor_bytes(&t));
	return r;
}

static int range_infer(const struct kerf_op *op, const struct kerf_tensor *in,
		       struct kerf_tensor *out, struct kerf_err *err)
{
	static const char *const what[] = {"start", "limit", "delta"};
	double steps;
	int64_t n;
	int k;

	for (k = 0; k < 3; k++) {
		int r = kerf_want_dtype(in, k, KERF_T(F32) | KERF_T(F64) | KERF_T_SINT, err);

		if (!r)
			r = kerf_want_data(in, k, what[k], err);
		if (r)
			return r;
		if (in[k].dtype != in[0].dtype || kerf_tensor_count(&in[k]) != 1)
			return kerf_fail(err, -EINVAL, "%s is not one element of %s", what[k],
					 kerf_dtype_name(in[0].dtype));
	}
	if (kerf_tensor_float(&in[2], 0) == 0)
		return kerf_fail(err, -EINVAL, "delta is 0");
	steps = ceil((kerf_tensor_float(&in[1], 0) - kerf_tensor_float(&in[0], 0)) /
		     kerf_tensor_float(&in[2], 0));
	if (!(steps < 0x1p40))
		return kerf_fail(err, -EINVAL, "%g elements are too many", steps);
	n = steps > 0 ? (int64_t)steps : 0;
	kerf_shape_set(out, in[0].dtype, 1, &n);
	return 0;
}

static int range_eval(const struct kerf_op *op, const struct kerf_tensor *in,
		      struct kerf_tensor *out)
{
	bool ints = KERF_T_INT >> out->dtype & 1;
	int64_t i;

	for (i = 0; i < out->dims[0]; i++) {
		if (ints) {
			int64_t v = (int64_t)((uint64_t)kerf_tensor_int(&in[0], 0) +
					      (uint64_t)i * (uint64_t)kerf_tensor_int(&in[2], 0));

			kerf_row_store(KERF_DOM_I, &v, out, i, 1, 1);
		} else {
			double v = kerf_tensor_float(&in[0], 0) +
				   (double)i * kerf_tensor_float(&in[2], 0);

			kerf_row_store(KERF_DOM_D, &v, out, i, 1, 1);
		}
	}
	return 0;
}

static int eye_infer(const struct kerf_op *op, const struct kerf_tensor *in,
		     struct kerf_tensor *out, struct kerf_err *err)
{
	int64_t dtype = kerf_op_int(op, "dtype", in->dtype);
	int r = kerf_want_rank(in, 0, 2, 2, err);

	if (r)
		return r;
	if (dtype < 0 || dtype > 31 || !(KERF_T_ANY >> dtype & 1))
		return kerf_fail(err, -EOPNOTSUPP, "dtype %lld is not supported", (long long)dtype);
	kerf_shape_set(out, (enum kerf_dtype)dtype, 2, in->dims);
	return 0;
}

static int eye_eval(const struct kerf_op *op, const struct kerf_tensor *in,
		    struct kerf_tensor *out)
{
	int64_t k = kerf_op_int(op, "k", 0), rows = out->dims[0], cols = out->dims[1], i;
	int64_t one = 1;

	memset(out->data, 0, kerf_tensor_bytes(out));
	if (k <= -rows || k >= cols)
		return 0;
	for (i = KERF_MAX(-k, 0); i < rows && i + k < cols; i++)
		kerf_row_store(KERF_DOM_I, &one, out, i * cols + i + k, 1, 1);
	return 0;
}

#define SHAPE_OP(NAME, SINCE, UNTIL, MIN_IN, MAX_IN, FLAGS, SHAPE_IN, INFER, EVAL)                \
	{                                                                                         \
		.name = NAME, .since = SINCE, .until = UNTIL, .min_in = MIN_IN, .max_in = MAX_IN, \
		.min_out = 1, .max_out = 1, .flags = FLAGS, .shape_in = SHAPE_IN,                 \
		.infer = INFER, .eval = EVAL, .flops = kerf_flops_none,                           \
	}

const struct kerf_op_def kerf_ops_shape[] = {
	SHAPE_OP("Shape", 1, 0, 1, 1, 0, 0, shape_infer, shape_eval),
	SHAPE_OP("Size", 1, 0, 1, 1, 0, 0, size_infer, size_eval),
	SHAPE_OP("Reshape", 1, 4, 1, 1, KERF_OP_VIEW, 0, reshape_infer, same_bytes),
	SHAPE_OP("Reshape", 5, 0, 2, 2, KERF_OP_VIEW, 1 << 1, reshape_infer, same_bytes),
	SHAPE_OP("Flatten", 1, 0, 1, 1, KERF_OP_VIEW, 0, flatten_infer, same_bytes),
	SHAPE_OP("Squeeze", 1, 12, 1, 1, KERF_OP_VIEW, 0, squeeze_infer, same_bytes),
	SHAPE_OP("Squeeze", 13, 0, 1, 2, KERF_OP_VIEW, 1 << 1, squeeze_infer, same_bytes),
	SHAPE_OP("Unsqueeze", 1, 12, 1, 1, KERF_OP_VIEW, 0, unsqueeze_infer, same_bytes),
	SHAPE_OP("Unsqueeze", 13, 0, 2, 2, KERF_OP_VIEW, 1 << 1, unsqueeze_infer, same_bytes),
	SHAPE_OP("Expand", 8, 0, 2, 2, 0, 1 << 1, expand_infer, expand_eval),
	SHAPE_OP("ConstantOfShape", 9, 0, 1, 1, 0, 1 << 0, const_of_shape_infer,
		 const_of_shape_eval),
	SHAPE_OP("Constant", 1, 0, 0, 0, 0, 0, constant_infer, constant_eval),
	SHAPE_OP("Range", 11, 0, 3, 3, 0, 7, range_infer, range_eval),
	SHAPE_OP("EyeLike", 9, 0, 1, 1, 0, 0, eye_infer, eye_eval),
	{.name = NULL},
};
