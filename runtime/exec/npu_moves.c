/* SPDX-License-Identifier: MIT */
/* Operators that move elements and compute nothing as commands: COPY, and FILL for pads. */
#include "exec/npu_lower.h"

#include "exec/cpu_copy.h"
#include "graph/op_util.h"

#include <string.h>

static struct kerf_copy new_copy(const struct kerf_tensor *t)
{
	return (struct kerf_copy){.esize = kerf_dtype_size(t->dtype)};
}

static int put(struct kerf_lower *b, const struct kerf_lower_op *o, const struct kerf_copy *c,
	       int in, int out)
{
	return kerf_lower_copy(b, c, kerf_lower_in(b, o, in), kerf_lower_out(b, o, out))
		       ? 0
		       : -EOPNOTSUPP;
}

int kerf_lower_whole(struct kerf_lower *b, const struct kerf_lower_op *o)
{
	struct kerf_copy c = new_copy(&o->in[0]);

	if (o->op->n_out != 1)
		return -EOPNOTSUPP;
	kerf_copy_dim(&c, kerf_tensor_count(&o->out[0]), 1, 1);
	return put(b, o, &c, 0, 0);
}

static int transpose(struct kerf_lower *b, const struct kerf_lower_op *o)
{
	const struct kerf_tensor *x = &o->in[0], *y = &o->out[0];
	struct kerf_copy c = new_copy(x);
	kerf_strides from, to;
	const int64_t *perm;
	uint32_t n;
	int d;

	perm = kerf_op_ints(o->op, "perm", &n);
	kerf_strides_of(x, from);
	kerf_strides_of(y, to);
	for (d = 0; d < y->rank; d++)
		kerf_copy_dim(&c, y->dims[d], from[n ? perm[d] : x->rank - 1 - d], to[d]);
	return put(b, o, &c, 0, 0);
}

/* Between the whole of part and its band of whole along an axis. */
static struct kerf_copy band(const struct kerf_tensor *part, const struct kerf_tensor *all,
			     int axis, int64_t at, bool into)
{
	int64_t outer = kerf_span(part, 0, axis), inner = kerf_span(part, axis, part->rank);
	int64_t step = kerf_span(all, axis, all->rank);
	int64_t skip = at * kerf_span(all, axis + 1, all->rank);
	struct kerf_copy c = new_copy(part);

	kerf_copy_dim(&c, outer, into ? inner : step, into ? step : inner);
	kerf_copy_dim(&c, inner, 1, 1);
	c.from0 = into ? 0 : skip;
	c.to0 = into ? skip : 0;
	return c;
}

static bool cuts_rows(const struct kerf_op *op, int axis)
{
	return op->tile.out_rows && axis == 1;
}

static int concat(struct kerf_lower *b, const struct kerf_lower_op *o)
{
	int axis = kerf_axis(kerf_op_int(o->op, "axis", 0), o->out[0].rank), k, r = 0;
	int64_t at = 0;

	if (axis < 0 || cuts_rows(o->op, axis))
		return -EOPNOTSUPP;
	for (k = 0; k < o->op->n_in && !r; k++) {
		struct kerf_copy c = band(&o->in[k], &o->out[0], axis, at, true);

		if (!kerf_tensor_count(&o->in[k]))
			continue;
		at += o->in[k].dims[axis];
		r = put(b, o, &c, k, 0);
	}
	return r;
}

/* y_s, y_z, (x, s, z)...: values of other parameters are rescaled first. */
static int quantised_concat(struct kerf_lower *b, const struct kerf_lower_op *o)
{
	const struct kerf_tensor *y = &o->out[0];
	int axis = kerf_axis(kerf_op_int(o->op, "axis", 1), y->rank), k;
	struct kerf_npu_unary u = {.table = KERF_NPU_NO_ADDR};
	int32_t y_zero, x_zero;
	int64_t at = 0, d[4];
	float sy, sx;

	if (axis < 0 || cuts_rows(o->op, axis) || !npu_is_byte(y) ||
	    !kerf_lower_out_8bit(o, 0, &u.out, &sy, &y_zero))
		return -EOPNOTSUPP;
	for (k = 2; k < o->op->n_in; k += 3) {
		const struct kerf_tensor *x = &o->in[k];
		struct kerf_copy c = band(x, y, axis, at, true);
		uint64_t from = kerf_lower_in(b, o, k);

		if (!npu_is_byte(x) || !kerf_lower_params(o, k + 1, &sx, &x_zero) ||
		    !kerf_lower_dims(x, d))
			return -EOPNOTSUPP;
		at += x->dims[axis];
		if (sx != sy || x_zero != y_zero || x->dtype != y->dtype ||
		    o->op->act.kind != KERF_ACT_NONE) {
			uint64_t to = kerf_lower_scratch(b, kerf_tensor_bytes(x));

			if (!kerf_lower_factor(sx / sy, &u.factor) ||
			    !kerf_lower_tensor(b, &u.x, from, x->dtype, x_zero, d) ||
			    !kerf_lower_tensor(b, &u.y, to, y->dtype, y_zero, d))
				return -EOPNOTSUPP;
			NPU_EMIT(b, KERF_NPU_RESCALE, &u, npu_count(&u.y));
			from = to;
		}
		if (!kerf_lower_copy(b, &c, from, kerf_lower_out(b, o, 0)))
			return -EOPNOTSUPP;
	}
	return 0;
}

static int crop(struct kerf_lower *b, const struct kerf_lower_op *o)
{
	struct kerf_copy c = band(&o->out[0], &o->in[0], (int)kerf_op_int(o->op, "axis", 1),
				  kerf_op_int(o->op, "begin", 0), false);

	return put(b, o, &c, 0, 0);
}

static int split(struct kerf_lower *b, const struct kerf_lower_op *o)
{
	int axis = kerf_axis(kerf_op_int(o->op, "axis", 0), o->in[0].rank), k, r = 0;
	int64_t at = 0;

	if (axis < 0 || cuts_rows(o->op, axis))
		return -EOPNOTSUPP;
	for (k = 0; k < o->op->n_out && !r; k++) {
		struct kerf_copy c;

		if (o->op->out[k] < 0)
			return -EOPNOTSUPP;
		c = band(&o->out[k], &o->in[0], axis, at, false);
		at += o->out[k].dims[axis];
		r = put(b, o, &c, 0, k);
	}
	return r;
}

static int slice(struct kerf_lower *b, const struct kerf_lower_op *o)
{
	const struct kerf_tensor *x = &o->in[0], *y = &o->out[0];
	int64_t start[KERF_MAX_RANK], axis[KERF_MAX_RANK], step[KERF_MAX_RANK];
	struct kerf_copy c = new_copy(x);
	int n, n_axes, n_steps, i, d;
	kerf_strides from, to;

	if (kerf_want_list(o->op, o->in, 1, "starts", start, KERF_MAX_RANK, &n, NULL) ||
	    kerf_want_list(o->op, o->in, 3, "axes", axis, KERF_MAX_RANK, &n_axes, NULL) ||
	    kerf_want_list(o->op, o->in, 4, "steps", step, KERF_MAX_RANK, &n_steps, NULL) || n < 0)
		return -EOPNOTSUPP;
	kerf_strides_of(x, from);
	kerf_strides_of(y, to);
	for (i = 0; i < n; i++) {
		int64_t dim, by = n_steps > 0 ? step[i] : 1, at = start[i];

		d = kerf_axis(n_axes > 0 ? axis[i] : i, x->rank);
		if (d < 0 || cuts_rows(o->op, d))
			return -EOPNOTSUPP;
		dim = x->dims[d];
		at = at < 0 ? at + dim : at;
		at = KERF_MIN(KERF_MAX(at, 0), by < 0 ? dim - 1 : dim);
		c.from0 += at * from[d];
		from[d] *= by;
	}
	for (d = 0; d < y->rank; d++)
		kerf_copy_dim(&c, y->dims[d], from[d], to[d]);
	return put(b, o, &c, 0, 0);
}

static int expand(struct kerf_lower *b, const struct kerf_lower_op *o)
{
	const struct kerf_tensor *y = &o->out[0];
	struct kerf_copy c = new_copy(y);
	kerf_strides from, to;
	int d;

	kerf_strides_bcast(&o->in[0], y->rank, from);
	kerf_strides_of(y, to);
	for (d = 0; d < y->rank; d++)
		kerf_copy_dim(&c, y->dims[d], from[d], to[d]);
	return put(b, o, &c, 0, 0);
}

/* Blocks of channels to blocks of pixels (DepthToSpace), or back. */
static int blocks(struct kerf_lower *b, const struct kerf_lower_op *o)
{
	const bool deep = !strcmp(o->op->def->name, "DepthToSpace"); /* the input is */
	const bool crd = deep && !strcmp(kerf_op_string(o->op, "mode", "DCR"), "CRD");
	const struct kerf_tensor *low = deep ? &o->in[0] : &o->out[0];
	const struct kerf_tensor *high = deep ? &o->out[0] : &o->in[0];
	int64_t bs = kerf_op_int(o->op, "blocksize", 1), c, dim[6], at_low[6], at_high[6];
	int h = o->op->nhwc ? 1 : 2, ch = o->op->nhwc ? 3 : 1, d;
	struct kerf_copy copy = new_copy(low);
	kerf_strides sl, sh;

	if (low->rank != 4 || o->op->tile.out_rows)
		return -EOPNOTSUPP;
	c = high->dims[ch];
	kerf_strides_of(low, sl);
	kerf_strides_of(high, sh);
	/* batch, row, column, channel, row in block, column in block */
	dim[0] = low->dims[0], at_low[0] = sl[0], at_high[0] = sh[0];
	dim[1] = low->dims[h], at_low[1] = sl[h], at_high[1] = bs * sh[h];
	dim[2] = low->dims[h + 1], at_low[2] = sl[h + 1], at_high[2] = bs * sh[h + 1];
	dim[3] = c, at_low[3] = (crd ? bs * bs : 1) * sl[ch], at_high[3] = sh[ch];
	dim[4] = bs, at_low[4] = (crd ? bs : bs * c) * sl[ch], at_high[4] = sh[h];
	dim[5] = bs, at_low[5] = (crd ? 1 : c) * sl[ch], at_high[5] = sh[h + 1];
	for (d = 0; d < 6; d++)
		kerf_copy_dim(&copy, dim[d], deep ? at_low[d] : at_high[d],
			      deep ? at_high[d] : at_low[d]);
	return put(b, o, &copy, 0, 0);
}

/* --- Pad by a constant --- */

static bool pads_of(const struct kerf_lower_op *o, int64_t begin[KERF_MAX_RANK],
		    int64_t end[KERF_MAX_RANK])
{
	int64_t v[2 * KERF_MAX_RANK], axes[KERF_MAX_RANK];
	int rank = o->in[0].rank, n, n_axes, i;

	if (kerf_want_list(o->op, o->in, 1, "pads", v, 2 * KERF_MAX_RANK, &n, NULL) ||
	    kerf_want_list(o->op, o->in, 3, "axes", axes, KERF_MAX_RANK, &n_axes, NULL))
		return false;
	for (i = 0; i < rank; i++)
		begin[i] = end[i] = 0;
	if (n_axes < 0)
		for (n_axes = 0; n_axes < rank; n_axes++)
			axes[n_axes] = n_axes;
	if (n != 2 * n_axes)
		return false;
	for (i = 0; i < n_axes; i++) {
		int a = kerf_axis(axes[i], rank);

		if (a < 0 || v[i] < 0 || v[n_axes + i] < 0)
			return false;
		begin[a] = v[i];
		end[a] = v[n_axes + i];
	}
	return true;
}

static int pad(struct kerf_lower *b, const struct kerf_lower_op *o)
{
	const struct kerf_tensor *x = &o->in[0], *y = &o->out[0];
	const struct kerf_tensor *value = kerf_op_opt(o->op, o->in, 2);
	int64_t begin[KERF_MAX_RANK], end[KERF_MAX_RANK];
	int64_t count = kerf_tensor_count(y);
	struct kerf_npu_copy fill = {.element_size = (uint32_t)kerf_dtype_size(x->dtype)};
	struct kerf_copy c = new_copy(x);
	kerf_strides from, to;
	int d;

	if (strcmp(kerf_op_string(o->op, "mode", "constant"), "constant") || o->op->tile.out_rows ||
	    (value && !value->data) || !pads_of(o, begin, end) || count > KERF_NPU_MAX_DIM ||
	    (!value && x->dtype != KERF_F32 && kerf_op_attr(o->op, "value")))
		return -EOPNOTSUPP;
	if (value)
		memcpy(&fill.src, value->data, fill.element_size);
	else
		fill.src = x->dtype == KERF_F32 ? npu_bits(kerf_op_float(o->op, "value", 0)) : 0;
	fill.dst = kerf_lower_out(b, o, 0);
	for (d = 0; d < KERF_NPU_COPY_RANK; d++)
		fill.dims[d] = 1;
	fill.dims[0] = (uint32_t)count;
	fill.dst_stride[0] = 1;
	NPU_EMIT(b, KERF_NPU_FILL, &fill, (uint64_t)count);
	kerf_strides_of(x, from);
	kerf_strides_of(y, to);
	for (d = 0; d < x->rank; d++) {
		c.to0 += begin[d] * to[d];
		kerf_copy_dim(&c, x->dims[d], from[d], to[d]);
	}
	return put(b, o, &c, 0, 0);
}

const struct kerf_lower_entry kerf_lower_moves[] = {
	{"Identity", kerf_lower_whole},
	{"Reshape", kerf_lower_whole},
	{"Flatten", kerf_lower_whole},
	{"Squeeze", kerf_lower_whole},
	{"Unsqueeze", kerf_lower_whole},
	{"Dropout", kerf_lower_whole},
	{"Transpose", transpose},
	{"Concat", concat},
	{"qConcat", quantised_concat},
	{"Split", split},
	{"Slice", slice},
	{"Expand", expand},
	{"DepthToSpace", blocks},
	{"SpaceToDepth", blocks},
	{"Pad", pad},
	{"rowCrop", crop},
	{NULL, NULL},
};
