/* SPDX-License-Identifier: MIT */
/* Operators that move elements to places known from shapes and attributes. */
#include "graph/op_util.h"

#include <stdlib.h>
#include <string.h>

/* --- Transpose --- */

static int perm_of(const struct kerf_op *op, int rank, int *perm, struct kerf_err *err)
{
	uint32_t n, i, seen = 0;
	const int64_t *p = kerf_op_ints(op, "perm", &n);

	for (i = 0; (int)i < rank; i++) {
		int64_t a = p ? (i < n ? p[i] : -1) : rank - 1 - (int)i;

		if (a < 0 || a >= rank || seen >> a & 1 || (p && (int)n != rank))
			return kerf_fail(err, -EINVAL, "perm is not a permutation of %d axes", rank);
		seen |= 1u << a;
		perm[i] = (int)a;
	}
	return 0;
}

static int transpose_infer(const struct kerf_op *op, const struct kerf_tensor *in,
			   struct kerf_tensor *out, struct kerf_err *err)
{
	int perm[KERF_MAX_RANK], i, r = perm_of(op, in->rank, perm, err);

	if (r)
		return r;
	out->dtype = in->dtype;
	out->rank = in->rank;
	for (i = 0; i < in->rank; i++)
		out->dims[i] = in->dims[perm[i]];
	return 0;
}

static int transpose_eval(const struct kerf_op *op, const struct kerf_tensor *in,
			  struct kerf_tensor *out)
{
	int perm[KERF_MAX_RANK], i, r = perm_of(op, in->rank, perm, NULL);
	kerf_strides d, own, s;

	if (r)
		return r;
	kerf_strides_of(out, d);
	kerf_strides_of(in, own);
	for (i = 0; i < in->rank; i++)
		s[i] = own[perm[i]];
	kerf_copy_strided(out->data, d, in->data, s, out->rank, out->dims,
			  kerf_dtype_size(out->dtype));
	return 0;
}

/* --- Concat, Split --- */

/* Copies the part of whole that stands at [at, at + part's dim) of axis: to part or from it. */
static void copy_part(const struct kerf_tensor *whole, const struct kerf_tensor *part, int axis,
		      int64_t at, bool to_part)
{
	size_t elem = kerf_dtype_size(whole->dtype);
	size_t inner = (size_t)kerf_span(whole, axis + 1, whole->rank) * elem;
	size_t run = inner * (size_t)part->dims[axis], pitch = inner * (size_t)whole->dims[axis];
	char *w = (char *)whole->data + (size_t)at * inner, *p = part->data;
	int64_t i, outer = kerf_span(whole, 0, axis);

	for (i = 0; run && i < outer; i++, w += pitch, p += run)
		memcpy(to_part ? p : w, to_part ? w : p, run);
}

static int concat_axis(const struct kerf_op *op, int rank, int *axis, struct kerf_err *err)
{
	/* Version 1 joins channels unless told otherwise; later ones must be told. */
	if (!op->def->until && !kerf_op_attr(op, "axis"))
		return kerf_fail(err, -EINVAL, "axis is missing");
	return kerf_want_axis(op, "axis", 1, rank, axis, err);
}

static int concat_infer(const struct kerf_op *op, const struct kerf_tensor *in,
			struct kerf_tensor *out, struct kerf_err *err)
{
	int axis, k, i, r = concat_axis(op, in->rank, &axis, err);
	int64_t sum = 0;

	if (r)
		return r;
	for (k = 0; k < op->n_in; k++) {
		bool fits = in[k].rank == in[0].rank && in[k].dtype == in[0].dtype;

		for (i = 0; fits && i < in[0].rank; i++)
			fits = i == axis || in[k].dims[i] == in[0].dims[i];
		if (!fits || __builtin_add_overflow(sum, in[k].dims[axis], &sum)) {
			char a[KERF_SHAPE_TEXT], b[KERF_SHAPE_TEXT];

			return kerf_fail(err, -EINVAL, "input %d is %s, input 0 is %s, axis is %d", k,
					 kerf_tensor_text(&in[k], a), kerf_tensor_text(&in[0], b),
					 axis);
		}
	}
	kerf_shape_set(out, in[0].dtype, in[0].rank, in[0].dims);
	out->dims[axis] = sum;
	return 0;
}

static int concat_eval(const struct kerf_op *op, const struct kerf_tensor *in,
		       struct kerf_tensor *out)
{
	int axis, k, r = concat_axis(op, in->rank, &axis, NULL);
	int64_t at = 0;

	for (k = 0; k < op->n_in && !r; k++) {
		copy_part(out, &in[k], axis, at, false);
		at += in[k].dims[axis];
	}
	return r;
}

static int axis_rows(const struct kerf_op *op, const struct kerf_tensor *in,
		     const struct kerf_tensor *out, int i, struct kerf_rows want,
		     struct kerf_rows *need)
{
	if (kerf_axis(kerf_op_int(op, "axis", 0), in[0].rank) == 1)
		return -EOPNOTSUPP;
	*need = want;
	return 0;
}

static int split_infer(const struct kerf_op *op, const struct kerf_tensor *in,
		       struct kerf_tensor *out, struct kerf_err *err)
{
	int64_t *part, count = -1, sum = 0, dim;
	int axis, k, n, r = kerf_want_axis(op, "axis", 0, in->rank, &axis, err);

	if (r)
		return r;
	part = calloc((size_t)op->n_out, sizeof(*part));
	if (!part)
		return -ENOMEM;
	dim = in->dims[axis];
	r = kerf_want_list(op, in, 1, "split", part, op->n_out, &n, err);
	if (r)
		goto out;
	if (n < 0) {
		int64_t parts = kerf_op_int(op, "num_outputs", op->n_out);

		/* Since 18 the last part may be smaller. */
		r = -EINVAL;
		if (parts != op->n_out || (op->def->until && dim % parts)) {
			kerf_fail(err, r, "%lld elements of axis %d do not split into %d equal parts",
				  (long long)dim, axis, op->n_out);
			goto out;
		}
		count = kerf_div_up(dim, parts);
		for (k = 0; k < op->n_out; k++)
			part[k] = KERF_MAX(KERF_MIN(count, dim - count * k), 0);
		n = op->n_out;
	}
	r = -EINVAL;
	for (k = 0; k < n; k++) {
		if (part[k] < 0 || __builtin_add_overflow(sum, part[k], &sum)) {
			kerf_fail(err, r, "split[%d] is %lld", k, (long long)part[k]);
			goto out;
		}
	}
	if (n != op->n_out || sum != dim) {
		kerf_fail(err, r, "split has %d parts of %lld elements; %d outputs, %lld elements", n,
			  (long long)sum, op->n_out, (long long)dim);
		goto out;
	}
	for (k = 0; k < n; k++) {
		if (!kerf_op_has_out(op, out, k))
			continue;
		kerf_shape_set(&out[k], in->dtype, in->rank, in->dims);
		out[k].dims[axis] = part[k];
	}
	r = 0;
out:
	free(part);
	return r;
}

static int split_eval(const struct kerf_op *op, const struct kerf_tensor *in,
		      struct kerf_tensor *out)
{
	int64_t at = 0, sum = 0;
	int axis, k, absent = 0, r = kerf_want_axis(op, "axis", 0, in->rank, &axis, NULL);

	if (r)
		return r;
	for (k = 0; k < op->n_out; k++) {
		absent += !kerf_op_has_out(op, out, k);
		sum += kerf_op_has_out(op, out, k) ? out[k].dims[axis] : 0;
	}
	for (k = 0; k < op->n_out; k++) {
		if (kerf_op_has_out(op, out, k)) {
			copy_part(in, &out[k], axis, at, true);
			at += out[k].dims[axis];
		} else if (absent == 1) {
			at += in->dims[axis] - sum;
		} else {
			return -EINVAL;
		}
	}
	return 0;
}

/* --- Slice --- */

struct slice {
	int64_t start[KERF_MAX_RANK], step[KERF_MAX_RANK], count[KERF_MAX_RANK];
};

static int64_t clamp(int64_t v, int64_t lo, int64_t hi)
{
	return v < lo ? lo : v > hi ? hi : v;
}

/* One axis: ONNX clamps the ends to what a walk in that direction can meet. */
static void slice_axis(struct slice *s, int a, int64_t dim, int64_t start, int64_t end,
		       int64_t step)
{
	int64_t lo = step > 0 ? 0 : -1, hi = step > 0 ? dim : dim - 1;

	start = clamp(start < 0 ? start + dim : start, step > 0 ? 0 : KERF_MIN(dim - 1, 0), hi);
	end = clamp(end < 0 ? end + dim : end, lo, hi);
	if (step > 0 ? start < end : start > end)
		s->count[a] = (end - start - (step > 0 ? 1 : -1)) / step + 1;
	else
		s->count[a] = 0;
	s->start[a] = s->count[a] ? start : 0;
	s->step[a] = s->count[a] > 1 ? step : 0;
}

static int slice_of(const struct kerf_op *op, const struct kerf_tensor *in, struct slice *s,
		    struct kerf_err *err)
{
	static const char *const names[] = {NULL, "starts", "ends", "axes", "steps"};
	int64_t v[5][KERF_MAX_RANK];
	uint32_t set;
	int n[5], k, i, r;

	for (k = 1; k < 5; k++) {
		r = kerf_want_list(op, in, k, names[k], v[k], KERF_MAX_RANK, &n[k], err);
		if (r)
			return r;
		if (k < 3 ? n[k] < 0 : false)
			return kerf_fail(err, -EINVAL, "%s is missing", names[k]);
		if (n[k] >= 0 && n[k] != n[1])
			return kerf_fail(err, -EINVAL, "%s has %d elements, starts has %d", names[k],
					 n[k], n[1]);
	}
	if (n[1] > in->rank)
		return kerf_fail(err, -EINVAL, "starts has %d elements for rank %d", n[1], in->rank);
	for (i = 0; i < n[1]; i++)
		if (n[3] < 0)
			v[3][i] = i;
	r = kerf_axis_set(v[3], n[1], in->rank, &set, err);
	if (r)
		return r;
	for (i = 0; i < in->rank; i++)
		slice_axis(s, i, in->dims[i], 0, in->dims[i], 1);
	for (i = 0; i < n[1]; i++) {
		int a = kerf_axis(v[3][i], in->rank);
		int64_t step = n[4] >= 0 ? v[4][i] : 1;

		if (!step)
			return kerf_fail(err, -EINVAL, "steps[%d] is 0", i);
		slice_axis(s, a, in->dims[a], v[1][i], v[2][i], step);
	}
	return 0;
}

static int slice_infer(const struct kerf_op *op, const struct kerf_tensor *in,
		       struct kerf_tensor *out, struct kerf_err *err)
{
	struct slice s;
	int r = slice_of(op, in, &s, err);

	if (!r)
		kerf_shape_set(out, in->dtype, in->rank, s.count);
	return r;
}

static int slice_eval(const struct kerf_op *op, const struct kerf_tensor *in,
		      struct kerf_tensor *out)
{
	kerf_strides d, own, from;
	struct slice s;
	int64_t at = 0;
	int i, r = slice_of(op, in, &s, NULL);

	if (r)
		return r;
	kerf_strides_of(out, d);
	kerf_strides_of(in, own);
	for (i = 0; i < in->rank; i++) {
		at += s.start[i] * own[i];
		from[i] = s.step[i] * own[i];
	}
	kerf_copy_strided(out->data, d,
			  (const char *)in->data + at * (int64_t)kerf_dtype_size(in->dtype), from,
			  out->rank, out->dims, kerf_dtype_size(out->dtype));
	return 0;
}

static int slice_rows(const struct kerf_op *op, const struct kerf_tensor *in,
		      const struct kerf_tensor *out, int i, struct kerf_rows want,
		      struct kerf_rows *need)
{
	struct slice s;
	int r;

	if (i)
		return -EOPNOTSUPP;
	r = slice_of(op, in, &s, NULL);
	if (r)
		return r;
	if (in->rank < 2 || s.start[1] || s.count[1] != in->dims[1] || s.step[1] < 0)
		return -EOPNOTSUPP;
	*need = want;
	return 0;
}

/* --- Pad --- */

struct pads {
	const char *mode;
	int64_t begin[KERF_MAX_RANK], end[KERF_MAX_RANK];
};

static int pads_of(const struct kerf_op *op, const struct kerf_tensor *in, struct pads *p,
		   struct kerf_err *err)
{
	int64_t v[2 * KERF_MAX_RANK], axes[KERF_MAX_RANK];
	uint32_t set;
	int n, n_axes, i, r;

	memset(p, 0, sizeof(*p));
	p->mode = kerf_op_string(op, "mode", "constant");
	r = kerf_want_list(op, in, 1, op->def->since == 1 ? "paddings" : "pads", v,
			   2 * KERF_MAX_RANK, &n, err);
	if (!r)
		r = kerf_want_list(op, in, 3, "axes", axes, KERF_MAX_RANK, &n_axes, err);
	if (r)
		return r;
	if (n_axes < 0)
		for (n_axes = 0; n_axes < in->rank; n_axes++)
			axes[n_axes] = n_axes;
	if (n != 2 * n_axes)
		return kerf_fail(err, -EINVAL, "pads has %d elements, expected %d", n, 2 * n_axes);
	r = kerf_axis_set(axes, n_axes, in->rank, &set, err);
	for (i = 0; i < n_axes && !r; i++) {
		int a = kerf_axis(axes[i], in->rank);

		p->begin[a] = v[i];
		p->end[a] = v[n_axes + i];
		if (v[i] > KERF_MAX_TENSOR_BYTES || v[n_axes + i] > KERF_MAX_TENSOR_BYTES ||
		    v[i] < -in->dims[a] || v[n_axes + i] < -in->dims[a])
			r = kerf_fail(err, -EINVAL, "pads of axis %d are %lld and %lld", a,
				      (long long)v[i], (long long)v[n_axes + i]);
	}
	return r;
}

static int pad_infer(const struct kerf_op *op, const struct kerf_tensor *in,
		     struct kerf_tensor *out, struct kerf_err *err)
{
	const struct kerf_tensor *value = kerf_op_opt(op, in, 2);
	struct pads p;
	bool constant;
	int i, r = kerf_want_dtype(in, 0, KERF_T_ANY, err);

	if (!r)
		r = pads_of(op, in, &p, err);
	if (r)
		return r;
	constant = !strcmp(p.mode, "constant");
	if (!constant && strcmp(p.mode, "reflect") && strcmp(p.mode, "edge") &&
	    strcmp(p.mode, "wrap"))
		return kerf_fail(err, -EINVAL,
				 "mode is '%.32s', expected constant, reflect, edge or wrap", p.mode);
	if (value && (kerf_tensor_count(value) != 1 || value->dtype != in->dtype))
		return kerf_fail(err, -EINVAL, "input 2 is not one element of %s",
				 kerf_dtype_name(in->dtype));
	kerf_shape_set(out, in->dtype, in->rank, in->dims);
	for (i = 0; i < in->rank; i++) {
		out->dims[i] += p.begin[i] + p.end[i];
		if (out->dims[i] < 0 || (!constant && !in->dims[i] && out->dims[i]))
			return kerf_fail(err, -EINVAL, "axis %d would have %lld elements", i,
					 (long long)out->dims[i]);
	}
	return 0;
}

static void fill(const struct kerf_op *op, const struct kerf_tensor *in, struct kerf_tensor *out)
{
	const struct kerf_tensor *value = kerf_op_opt(op, in, 2);
	double v = kerf_op_float(op, "value", 0);
	kerf_strides d, none = {0};
	uint64_t one;
	struct kerf_tensor t = {.dtype = out->dtype, .data = &one};

	if (!value) {
		kerf_row_store(KERF_DOM_D, &v, &t, 0, 1, 1);
		value = &t;
	}
	kerf_strides_of(out, d);
	kerf_copy_strided(out->data, d, value->data, none, out->rank, out->dims,
			  kerf_dtype_size(out->dtype));
}

static int pad_constant(const struct kerf_op *op, const struct kerf_tensor *in,
			struct kerf_tensor *out, const struct pads *p)
{
	int64_t elem = (int64_t)kerf_dtype_size(in->dtype), to = 0, from = 0;
	int64_t dims[KERF_MAX_RANK];
	kerf_strides d, s;
	int i;

	fill(op, in, out);
	kerf_strides_of(out, d);
	kerf_strides_of(in, s);
	for (i = 0; i < in->rank; i++) {
		to += KERF_MAX(p->begin[i], 0) * d[i];
		from += KERF_MAX(-p->begin[i], 0) * s[i];
		dims[i] = in->dims[i] + KERF_MIN(p->begin[i], 0) + KERF_MIN(p->end[i], 0);
		if (dims[i] <= 0)
			return 0;
	}
	kerf_copy_strided((char *)out->data + to * elem, d, (const char *)in->data + from * elem, s,
			  in->rank, dims, (size_t)elem);
	return 0;
}

/* Where element i, counted from the input's first, is taken from. */
static int64_t fold_index(const char *mode, int64_t i, int64_t dim)
{
	int64_t period;

	if (mode[0] == 'e')
		return clamp(i, 0, dim - 1);
	if (mode[0] == 'w')
		return ((i % dim) + dim) % dim;
	period = 2 * (dim - 1);
	if (!period)
		return 0;
	i = ((i % period) + period) % period;
	return i < dim ? i : period - i;
}

static int pad_fold(const struct kerf_tensor *in, struct kerf_tensor *out, const struct pads *p)
{
	int64_t *map[KERF_MAX_RANK], *block, idx[KERF_MAX_RANK] = {0}, total = 1, i, n;
	size_t elem = kerf_dtype_size(in->dtype);
	const char *src = in->data;
	char *dst = out->data;
	kerf_strides s;
	int a;

	/* An empty result may have axes that no memory stands behind. */
	if (!kerf_tensor_count(out))
		return 0;
	for (a = 0; a < in->rank; a++)
		total += out->dims[a];
	block = calloc((size_t)total, sizeof(*block));
	if (!block)
		return -ENOMEM;
	kerf_strides_of(in, s);
	for (a = 0, n = 0; a < in->rank; a++) {
		map[a] = block + n;
		n += out->dims[a];
		for (i = 0; i < out->dims[a]; i++)
			map[a][i] = fold_index(p->mode, i - p->begin[a], in->dims[a]) * s[a];
	}
	for (n = kerf_tensor_count(out); n > 0; n--, dst += elem) {
		int64_t at = 0;

		for (a = 0; a < in->rank; a++)
			at += map[a][idx[a]];
		memcpy(dst, src + (size_t)at * elem, elem);
		for (a = in->rank - 1; a >= 0 && ++idx[a] == out->dims[a]; a--)
			idx[a] = 0;
	}
	free(block);
	return 0;
}

static int pad_eval(const struct kerf_op *op, const struct kerf_tensor *in,
		    struct kerf_tensor *out)
{
	struct pads p;
	int r = pads_of(op, in, &p, NULL);

	if (r)
		return r;
	if (!strcmp(p.mode, "constant"))
		return pad_constant(op, in, out, &p);
	return pad_fold(in, out, &p);
}

/* --- CenterCropPad: pads of both signs; an odd element goes to the end --- */

static int center_pads(const struct kerf_op *op, const struct kerf_tensor *in, struct pads *p,
		       struct kerf_err *err)
{
	int64_t want[KERF_MAX_RANK];
	const int64_t *axes;
	uint32_t n_axes, set;
	int n, i, r = kerf_want_list(op, in, 1, "shape", want, KERF_MAX_RANK, &n, err);

	if (r)
		return r;
	memset(p, 0, sizeof(*p));
	axes = kerf_op_ints(op, "axes", &n_axes);
	if (n != (axes ? (int)n_axes : in->rank))
		return kerf_fail(err, -EINVAL, "shape has %d elements, expected %d", n,
				 axes ? (int)n_axes : in->rank);
	r = axes ? kerf_axis_set(axes, n, in->rank, &set, err) : 0;
	for (i = 0; i < n && !r; i++) {
		int a = axes ? kerf_axis(axes[i], in->rank) : i;
		int64_t crop, more;

		if (want[i] < 0 || want[i] > KERF_MAX_TENSOR_BYTES)
			return kerf_fail(err, -EINVAL, "shape[%d] is %lld", i, (long long)want[i]);
		crop = KERF_MAX(in->dims[a] - want[i], 0);
		more = KERF_MAX(want[i] - in->dims[a], 0);
		p->begin[a] = more / 2 - crop / 2;
		p->end[a] = (more - more / 2) - (crop - crop / 2);
	}
	return r;
}

static int center_infer(const struct kerf_op *op, const struct kerf_tensor *in,
			struct kerf_tensor *out, struct kerf_err *err)
{
	struct pads p;
	int i, r = kerf_want_dtype(in, 0, KERF_T_ANY, err);

	if (!r)
		r = center_pads(op, in, &p, err);
	if (r)
		return r;
	kerf_shape_set(out, in->dtype, in->rank, in->dims);
	for (i = 0; i < in->rank; i++)
		out->dims[i] += p.begin[i] + p.end[i];
	return 0;
}

static int center_eval(const struct kerf_op *op, const struct kerf_tensor *in,
		       struct kerf_tensor *out)
{
	struct pads p;
	int r = center_pads(op, in, &p, NULL);

	return r ? r : pad_constant(op, in, out, &p);
}

/* --- Tile --- */

static int repeats_of(const struct kerf_op *op, const struct kerf_tensor *in, int64_t *rep,
		      struct kerf_err *err)
{
	int64_t v[KERF_MAX_RANK], axis[KERF_MAX_RANK];
	int n, n_axis = 1, i, r = kerf_want_list(op, in, 1, "repeats", v, KERF_MAX_RANK, &n, err);

	if (r)
		return r;
	if (op->def->until) { /* version 1: how often, and along which axis */
		r = kerf_want_list(op, in, 2, "axis", axis, 1, &n_axis, err);
		if (r)
			return r;
		i = n == 1 && n_axis == 1 ? kerf_axis(axis[0], in->rank) : -1;
		if (i < 0)
			return kerf_fail(err, -EINVAL, "tiles or axis is not one number in range");
		axis[0] = v[0];
		for (n = 0; n < in->rank; n++)
			v[n] = n == i ? axis[0] : 1;
	}
	if (n != in->rank)
		return kerf_fail(err, -EINVAL, "repeats has %d elements for rank %d", n, in->rank);
	for (i = 0; i < n; i++) {
		if (v[i] < 0)
			return kerf_fail(err, -EINVAL, "repeats[%d] is %lld", i, (long long)v[i]);
		rep[i] = v[i];
	}
	return 0;
}

static int tile_infer(const struct kerf_op *op, const struct kerf_tensor *in,
		      struct kerf_tensor *out, struct kerf_err *err)
{
	int64_t rep[KERF_MAX_RANK];
	int i, r = repeats_of(op, in, rep, err);

	if (r)
		return r;
	kerf_shape_set(out, in->dtype, in->rank, in->dims);
	for (i = 0; i < in->rank; i++)
		if (!kerf_mul(out->dims[i], rep[i], &out->dims[i]))
			return kerf_fail(err, -EINVAL, "repeats[%d] is %lld: too large", i,
					 (long long)rep[i]);
	return 0;
}

/* Axis by axis: the first copy is laid down, then repeated in place. */
static int tile_eval(const struct kerf_op *op, const struct kerf_tensor *in,
		     struct kerf_tensor *out)
{
	size_t elem = kerf_dtype_size(in->dtype);
	int64_t i, k, outer, block;
	kerf_strides d, s;
	int a;

	if (!kerf_tensor_count(out))
		return 0;
	kerf_strides_of(out, d);
	kerf_strides_of(in, s);
	kerf_copy_strided(out->data, d, in->data, s, in->rank, in->dims, elem);
	for (a = in->rank - 1; a >= 0; a--) {
		int64_t rep = out->dims[a] / in->dims[a];
		struct kerf_tensor done = *out;

		/* Axes before a hold their first copy only. */
		memcpy(done.dims, in->dims, (size_t)a * sizeof(in->dims[0]));
		outer = kerf_span(&done, 0, a);
		block = in->dims[a] * d[a];
		for (i = 0; i < outer; i++) {
			int64_t rest = i, at = 0;
			char *base;
			int b;

			for (b = a - 1; b >= 0; b--) {
				at += rest % in->dims[b] * d[b];
				rest /= in->dims[b];
			}
			base = (char *)out->data + (size_t)at * elem;
			for (k = 1; k < rep; k++)
				memcpy(base + (size_t)(k * block) * elem, base,
				       (size_t)block * elem);
		}
	}
	return 0;
}

/* --- Trilu, ReverseSequence --- */

static int trilu_infer(const struct kerf_op *op, const struct kerf_tensor *in,
		       struct kerf_tensor *out, struct kerf_err *err)
{
	int r = kerf_want_rank(in, 0, 2, KERF_MAX_RANK, err);

	if (!r && kerf_op_opt(op, in, 1)) {
		r = kerf_want_dtype(in, 1, KERF_T(I64), err);
		if (!r && kerf_tensor_count(&in[1]) != 1)
			r = kerf_fail(err, -EINVAL, "k is not one element");
	}
	if (!r)
		kerf_shape_set(out, in->dtype, in->rank, in->dims);
	return r;
}

static int trilu_eval(const struct kerf_op *op, const struct kerf_tensor *in,
		      struct kerf_tensor *out)
{
	int64_t rows = in->dims[in->rank - 2], cols = in->dims[in->rank - 1];
	int64_t n = kerf_span(in, 0, in->rank - 2) * rows, i;
	int64_t k = kerf_op_opt(op, in, 1) ? kerf_tensor_int(&in[1], 0) : 0;
	bool upper = kerf_op_int(op, "upper", 1);
	size_t elem = kerf_dtype_size(in->dtype);

	k = clamp(k, -rows, cols);
	for (i = 0; cols && i < n; i++) {
		/* Upper keeps [edge, cols), lower [0, edge]. */
		int64_t edge = clamp(i % rows + k + !upper, 0, cols);
		int64_t begin = upper ? edge : 0, end = upper ? cols : edge;
		char *d = (char *)out->data + (size_t)(i * cols) * elem;

		memset(d, 0, (size_t)cols * elem);
		memcpy(d + (size_t)begin * elem,
		       (const char *)in->data + (size_t)(i * cols + begin) * elem,
		       (size_t)(end - begin) * elem);
	}
	return 0;
}

static int reverse_infer(const struct kerf_op *op, const struct kerf_tensor *in,
			 struct kerf_tensor *out, struct kerf_err *err)
{
	int64_t batch = kerf_op_int(op, "batch_axis", 1), time = kerf_op_int(op, "time_axis", 0);
	int r = kerf_want_rank(in, 0, 2, KERF_MAX_RANK, err);

	if (!r)
		r = kerf_want_dtype(in, 1, KERF_T(I64), err);
	if (r)
		return r;
	if ((batch != 0 && batch != 1) || time != !batch)
		return kerf_fail(err, -EINVAL, "batch_axis is %lld, time_axis is %lld: expected 0 and 1",
				 (long long)batch, (long long)time);
	if (in[1].rank != 1 || in[1].dims[0] != in[0].dims[batch])
		return kerf_fail(err, -EINVAL, "sequence_lens has %lld elements, expected %lld",
				 (long long)kerf_tensor_count(&in[1]),
				 (long long)in[0].dims[batch]);
	kerf_shape_set(out, in->dtype, in->rank, in->dims);
	return 0;
}

static int reverse_eval(const struct kerf_op *op, const struct kerf_tensor *in,
			struct kerf_tensor *out)
{
	int64_t time_axis = kerf_op_int(op, "time_axis", 0), b, t;
	int64_t batches = in->dims[!time_axis], times = in->dims[time_axis];
	size_t inner = (size_t)kerf_span(in, 2, in->rank) * kerf_dtype_size(in->dtype);
	size_t step_t = inner * (size_t)(time_axis ? 1 : batches);
	size_t step_b = inner * (size_t)(time_axis ? times : 1);

	for (b = 0; inner && b < batches; b++) {
		int64_t len = kerf_tensor_int(&in[1], b);

		if (len < 0 || len > times)
			return -EINVAL;
		for (t = 0; t < times; t++) {
			int64_t from = t < len ? len - 1 - t : t;

			memcpy((char *)out->data + (size_t)t * step_t + (size_t)b * step_b,
			       (const char *)in->data + (size_t)from * step_t + (size_t)b * step_b,
			       inner);
		}
	}
	return 0;
}

#define MOVE_OP(NAME, SINCE, UNTIL, MIN_IN, MAX_IN, MAX_OUT, SHAPE_IN, FN, ROWS)                  \
	{                                                                                         \
		.name = NAME, .since = SINCE, .until = UNTIL, .min_in = MIN_IN, .max_in = MAX_IN, \
		.min_out = 1, .max_out = MAX_OUT, .shape_in = SHAPE_IN,                           \
		.flops = kerf_flops_none, .infer = FN##_infer, .eval = FN##_eval, .rows = ROWS,   \
	}

const struct kerf_op_def kerf_ops_move[] = {
	MOVE_OP("Transpose", 1, 0, 1, 1, 1, 0, transpose, NULL),
	MOVE_OP("Concat", 1, 3, 1, -1, 1, 0, concat, NULL),
	MOVE_OP("Concat", 4, 0, 1, -1, 1, 0, concat, axis_rows),
	MOVE_OP("Split", 1, 17, 1, 2, -1, 1 << 1, split, axis_rows),
	MOVE_OP("Split", 18, 0, 1, 2, -1, 1 << 1, split, axis_rows),
	MOVE_OP("Slice", 1, 9, 1, 1, 1, 0, slice, slice_rows),
	MOVE_OP("Slice", 10, 0, 3, 5, 1, 0x1e, slice, slice_rows),
	MOVE_OP("Pad", 1, 1, 1, 1, 1, 0, pad, NULL),
	MOVE_OP("Pad", 2, 10, 1, 1, 1, 0, pad, NULL),
	MOVE_OP("Pad", 11, 0, 2, 4, 1, 1 << 1 | 1 << 3, pad, NULL),
	MOVE_OP("CenterCropPad", 18, 0, 2, 2, 1, 1 << 1, center, NULL),
	MOVE_OP("Tile", 1, 5, 3, 3, 1, 1 << 1 | 1 << 2, tile, NULL),
	MOVE_OP("Tile", 6, 0, 2, 2, 1, 1 << 1, tile, NULL),
	MOVE_OP("Trilu", 14, 0, 1, 2, 1, 0, trilu, NULL),
	MOVE_OP("ReverseSequence", 10, 0, 2, 2, 1, 0, reverse, NULL),
	{.name = NULL},
};
