/* SPDX-License-Identifier: MIT */
/* Operators that compare or count elements along an axis. */
#include "graph/op_util.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* An element made comparable: real values by d, integers by i (uint64 with its top bit flipped). */
struct key {
	double d;
	int64_t i;
	int64_t at; /* where it came from */
};

static struct key key_at(const struct kerf_tensor *t, int64_t off, int64_t at)
{
	struct key k = {.at = at};

	if (KERF_T_FLOAT >> t->dtype & 1)
		k.d = kerf_tensor_float(t, off);
	else if (t->dtype == KERF_U64)
		k.i = (int64_t)((uint64_t)kerf_tensor_int(t, off) ^ (uint64_t)1 << 63);
	else
		k.i = kerf_tensor_int(t, off);
	return k;
}

/* -1, 0, 1. NaN is above all else. */
static int order(const struct key *a, const struct key *b)
{
	if (a->d != a->d || b->d != b->d)
		return (a->d != a->d) - (b->d != b->d);
	if (a->d != b->d)
		return a->d < b->d ? -1 : 1;
	return (a->i > b->i) - (a->i < b->i);
}

/* A value seen as outer x n x inner around one axis. */
struct lanes {
	int64_t outer, n, inner;
};

static struct lanes lanes_of(const struct kerf_tensor *t, int axis)
{
	return (struct lanes){kerf_span(t, 0, axis), t->dims[axis],
			      kerf_span(t, axis + 1, t->rank)};
}

/* --- ArgMax, ArgMin --- */

static const int arg_max = 1, arg_min = -1;

static int arg_infer(const struct kerf_op *op, const struct kerf_tensor *in,
		     struct kerf_tensor *out, struct kerf_err *err)
{
	int64_t dims[KERF_MAX_RANK];
	int axis, i, rank = 0, r = kerf_want_dtype(in, 0, KERF_T_NUM, err);

	if (!r)
		r = kerf_want_axis(op, "axis", 0, in->rank, &axis, err);
	if (r)
		return r;
	if (!in->dims[axis])
		return kerf_fail(err, -EINVAL, "axis %d is empty", axis);
	for (i = 0; i < in->rank; i++)
		if (i != axis)
			dims[rank++] = in->dims[i];
		else if (kerf_op_int(op, "keepdims", 1))
			dims[rank++] = 1;
	kerf_shape_set(out, KERF_I64, rank, dims);
	return 0;
}

static int arg_eval(const struct kerf_op *op, const struct kerf_tensor *in,
		    struct kerf_tensor *out)
{
	int sign = *(const int *)op->def->family;
	bool last = kerf_op_int(op, "select_last_index", 0);
	int axis, r = kerf_want_axis(op, "axis", 0, in->rank, &axis, NULL);
	int64_t o, j, k, *y = out->data;
	struct lanes l;

	if (r || !kerf_tensor_count(in))
		return r;
	l = lanes_of(in, axis);
	for (o = 0; o < l.outer; o++) {
		for (k = 0; k < l.inner; k++) {
			int64_t base = o * l.n * l.inner + k;
			struct key best = key_at(in, base, 0);

			for (j = 1; j < l.n; j++) {
				struct key x = key_at(in, base + j * l.inner, j);
				int c = sign * order(&x, &best);

				/* NaN is the answer of both, as it is NumPy's. */
				if (x.d != x.d && best.d == best.d)
					c = 1;
				else if (best.d != best.d && x.d == x.d)
					c = -1;
				if (c > 0 || (c == 0 && last))
					best = x;
			}
			*y++ = best.at;
		}
	}
	return 0;
}

/* --- TopK --- */

static int topk_infer(const struct kerf_op *op, const struct kerf_tensor *in,
		      struct kerf_tensor *out, struct kerf_err *err)
{
	int64_t k;
	int axis, n, i, r = kerf_want_dtype(in, 0, KERF_T_NUM, err);

	if (!r)
		r = kerf_want_axis(op, "axis", -1, in->rank, &axis, err);
	if (r)
		return r;
	if (op->def->max_in == 1) {
		k = kerf_op_int(op, "k", -1);
	} else {
		r = kerf_want_list(op, in, 1, "k", &k, 1, &n, err);
		if (r)
			return r;
		if (n != 1)
			return kerf_fail(err, -EINVAL, "k is not one element");
	}
	if (k < 0 || k > in->dims[axis])
		return kerf_fail(err, -EINVAL, "k is %lld for an axis of %lld elements",
				 (long long)k, (long long)in->dims[axis]);
	for (i = 0; i < 2; i++) {
		if (!kerf_op_has_out(op, out, i))
			continue;
		kerf_shape_set(&out[i], i ? KERF_I64 : in->dtype, in->rank, in->dims);
		out[i].dims[axis] = k;
	}
	return 0;
}

static int by_value(const void *a, const void *b, void *sign)
{
	const struct key *x = a, *y = b;
	int c = *(const int *)sign * order(x, y);

	return c ? c : (x->at > y->at) - (x->at < y->at);
}

static int topk_eval(const struct kerf_op *op, const struct kerf_tensor *in,
		     struct kerf_tensor *out)
{
	int sign = kerf_op_int(op, "largest", 1) ? -1 : 1;
	int axis, r = kerf_want_axis(op, "axis", -1, in->rank, &axis, NULL);
	size_t elem = kerf_dtype_size(in->dtype);
	const struct kerf_tensor *any;
	int64_t o, i, j, kept;
	struct key *keys;
	struct lanes l;

	if (r || !kerf_tensor_count(in))
		return r;
	l = lanes_of(in, axis);
	any = kerf_op_has_out(op, out, 0) ? &out[0] : &out[1];
	kept = any->dims[axis];
	keys = calloc((size_t)KERF_MAX(l.n, 1), sizeof(*keys));
	if (!keys)
		return -ENOMEM;
	for (o = 0; o < l.outer; o++) {
		for (i = 0; i < l.inner; i++) {
			int64_t from = o * l.n * l.inner + i, to = o * kept * l.inner + i;

			for (j = 0; j < l.n; j++)
				keys[j] = key_at(in, from + j * l.inner, j);
			qsort_r(keys, (size_t)l.n, sizeof(*keys), by_value, &sign);
			for (j = 0; j < kept; j++, to += l.inner) {
				if (kerf_op_has_out(op, out, 0))
					memcpy((char *)out[0].data + (size_t)to * elem,
					       (const char *)in->data +
						       (size_t)(from + keys[j].at * l.inner) * elem,
					       elem);
				if (kerf_op_has_out(op, out, 1))
					((int64_t *)out[1].data)[to] = keys[j].at;
			}
		}
	}
	free(keys);
	return 0;
}

/* --- CumSum --- */

static int cumsum_infer(const struct kerf_op *op, const struct kerf_tensor *in,
			struct kerf_tensor *out, struct kerf_err *err)
{
	int r = kerf_want_dtype(in, 0, KERF_T_NUM, err);

	if (!r)
		r = kerf_want_rank(in, 0, 1, KERF_MAX_RANK, err);
	if (!r)
		r = kerf_want_dtype(in, 1, KERF_T_INDEX, err);
	if (!r && kerf_tensor_count(&in[1]) != 1)
		r = kerf_fail(err, -EINVAL, "axis is not one element");
	if (!r)
		kerf_shape_set(out, in->dtype, in->rank, in->dims);
	return r;
}

static int cumsum_eval(const struct kerf_op *op, const struct kerf_tensor *in,
		       struct kerf_tensor *out)
{
	bool exclusive = kerf_op_int(op, "exclusive", 0), reverse = kerf_op_int(op, "reverse", 0);
	bool real = KERF_T_FLOAT >> in->dtype & 1;
	int axis = kerf_axis(kerf_tensor_int(&in[1], 0), in->rank);
	int64_t o, i, j;
	struct lanes l;

	if (axis < 0)
		return -EINVAL;
	if (!kerf_tensor_count(in))
		return 0;
	l = lanes_of(in, axis);
	for (o = 0; o < l.outer; o++) {
		for (i = 0; i < l.inner; i++) {
			double d = 0, d_before;
			uint64_t u = 0, u_before;

			for (j = 0; j < l.n; j++) {
				int64_t lane = reverse ? l.n - 1 - j : j;
				int64_t at = (o * l.n + lane) * l.inner + i;

				d_before = d;
				u_before = u;
				if (real)
					d += kerf_tensor_float(in, at);
				else
					u += (uint64_t)kerf_tensor_int(in, at);
				if (exclusive)
					kerf_row_store(real ? KERF_DOM_D : KERF_DOM_U,
						       real ? (void *)&d_before : &u_before, out,
						       at, 1, 1);
				else
					kerf_row_store(real ? KERF_DOM_D : KERF_DOM_U,
						       real ? (void *)&d : &u, out, at, 1, 1);
			}
		}
	}
	return 0;
}

/* --- NonZero --- */

static int nonzero_infer(const struct kerf_op *op, const struct kerf_tensor *in,
			 struct kerf_tensor *out, struct kerf_err *err)
{
	int64_t dims[2] = {in->rank, kerf_tensor_count(in)};
	int r = kerf_want_dtype(in, 0, KERF_T_ANY, err);

	if (!r)
		kerf_shape_set(out, KERF_I64, 2, dims);
	return r;
}

static int nonzero_eval(const struct kerf_op *op, const struct kerf_tensor *in,
			struct kerf_tensor *out)
{
	static const struct key zero;
	/* Zero of uint64 has its top bit flipped, as its key has. */
	static const struct key zero_u64 = {.i = INT64_MIN};
	const struct key *z = in->dtype == KERF_U64 ? &zero_u64 : &zero;
	int64_t n = kerf_tensor_count(in), found = 0, i, k = 0, *y = out->data;
	int a;

	for (i = 0; i < n; i++) {
		struct key x = key_at(in, i, i);

		found += order(&x, z) != 0;
	}
	for (i = 0; i < n; i++) {
		struct key x = key_at(in, i, i);
		int64_t rest = i;

		if (!order(&x, z))
			continue;
		for (a = in->rank - 1; a >= 0; a--) {
			y[a * found + k] = rest % in->dims[a];
			rest /= in->dims[a];
		}
		k++;
	}
	out->dims[1] = found;
	return 0;
}

/* --- Unique --- */

/* Without axis the elements themselves are compared, as n slices of one. */
static int unique_lanes(const struct kerf_op *op, const struct kerf_tensor *in, int *axis,
			struct lanes *l, struct kerf_err *err)
{
	int r;

	*axis = -1;
	*l = (struct lanes){1, kerf_tensor_count(in), 1};
	if (!kerf_op_attr(op, "axis"))
		return 0;
	r = kerf_want_axis(op, "axis", 0, in->rank, axis, err);
	if (!r)
		*l = lanes_of(in, *axis);
	return r;
}

static int unique_infer(const struct kerf_op *op, const struct kerf_tensor *in,
			struct kerf_tensor *out, struct kerf_err *err)
{
	struct lanes l;
	int axis, k, r = kerf_want_dtype(in, 0, KERF_T_ANY, err);

	if (!r)
		r = unique_lanes(op, in, &axis, &l, err);
	if (r)
		return r;
	/* No memory stands behind the number of empty slices. */
	if (l.n && !kerf_tensor_count(in))
		return kerf_fail(err, -EINVAL, "the slices of axis %d are empty", axis);
	if (axis < 0)
		kerf_shape_set(&out[0], in->dtype, 1, &l.n);
	else
		kerf_shape_set(&out[0], in->dtype, in->rank, in->dims);
	for (k = 1; k < 4; k++)
		if (kerf_op_has_out(op, out, k))
			kerf_shape_set(&out[k], KERF_I64, 1, &l.n);
	return 0;
}

struct slices {
	const struct kerf_tensor *t;
	struct lanes l;
};

static int compare_slices(const struct slices *s, int64_t a, int64_t b)
{
	int64_t o, i;

	for (o = 0; o < s->l.outer; o++) {
		for (i = 0; i < s->l.inner; i++) {
			int64_t base = o * s->l.n * s->l.inner + i;
			struct key x = key_at(s->t, base + a * s->l.inner, a);
			struct key y = key_at(s->t, base + b * s->l.inner, b);
			int c = order(&x, &y);

			if (c)
				return c;
		}
	}
	return 0;
}

static int by_slice(const void *a, const void *b, void *arg)
{
	int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
	int c = compare_slices(arg, x, y);

	return c ? c : (x > y) - (x < y);
}

/* Groups of equal slices: the first of each, how many, and the group of every slice. */
struct groups {
	int64_t n, *first, *count, *of;
};

static int by_number(const void *a, const void *b)
{
	int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;

	return (x > y) - (x < y);
}

/* Renumbers the groups by their first slice; g->of holds that instead of a group's number. */
static void order_of_appearance(struct groups *g, int64_t slices, int64_t *scratch)
{
	int64_t *rank = scratch, *count = scratch + slices, i;

	for (i = 0; i < g->n; i++)
		rank[g->first[i]] = i; /* old number, by first slice */
	memcpy(count, g->count, (size_t)g->n * sizeof(*count));
	qsort(g->first, (size_t)g->n, sizeof(*g->first), by_number);
	for (i = 0; i < g->n; i++) {
		int64_t old = rank[g->first[i]];

		g->count[i] = count[old];
		rank[g->first[i]] = i;
	}
	for (i = 0; i < slices; i++)
		g->of[i] = rank[g->of[i]];
}

static void find_groups(struct slices *s, bool sorted, struct groups *g, int64_t *scratch)
{
	int64_t *slice = scratch, i;

	for (i = 0; i < s->l.n; i++)
		slice[i] = i;
	qsort_r(slice, (size_t)s->l.n, sizeof(*slice), by_slice, s);
	g->n = 0;
	for (i = 0; i < s->l.n; i++) {
		if (!i || compare_slices(s, slice[i - 1], slice[i])) {
			g->first[g->n] = slice[i];
			g->count[g->n++] = 0;
		}
		g->count[g->n - 1]++;
		g->of[slice[i]] = sorted ? g->n - 1 : g->first[g->n - 1];
	}
	if (!sorted)
		order_of_appearance(g, s->l.n, scratch);
}

static void copy_groups(const struct slices *s, const struct groups *g, struct kerf_tensor *out)
{
	size_t run = (size_t)s->l.inner * kerf_dtype_size(s->t->dtype);
	const char *src = s->t->data;
	char *dst = out->data;
	int64_t o, i;

	if (!run)
		return;
	for (o = 0; o < s->l.outer; o++, src += (size_t)s->l.n * run)
		for (i = 0; i < g->n; i++, dst += run)
			memcpy(dst, src + (size_t)g->first[i] * run, run);
}

static int unique_eval(const struct kerf_op *op, const struct kerf_tensor *in,
		       struct kerf_tensor *out)
{
	const int64_t *result[4] = {NULL};
	struct slices s = {.t = in};
	struct groups g;
	int64_t *block;
	int axis, k, r = unique_lanes(op, in, &axis, &s.l, NULL);

	if (r)
		return r;
	block = calloc((size_t)(5 * s.l.n) + 1, sizeof(*block));
	if (!block)
		return -ENOMEM;
	g.first = block;
	g.count = block + s.l.n;
	g.of = block + 2 * s.l.n;
	find_groups(&s, kerf_op_int(op, "sorted", 1), &g, block + 3 * s.l.n);
	copy_groups(&s, &g, &out[0]);
	out[0].dims[KERF_MAX(axis, 0)] = g.n;
	result[1] = g.first;
	result[2] = g.of;
	result[3] = g.count;
	for (k = 1; k < 4; k++) {
		if (!kerf_op_has_out(op, out, k))
			continue;
		out[k].dims[0] = k == 2 ? s.l.n : g.n;
		memcpy(out[k].data, result[k], kerf_tensor_bytes(&out[k]));
	}
	free(block);
	return 0;
}

#define ORDER_OP(NAME, SINCE, UNTIL, IN, MIN_OUT, MAX_OUT, FLAGS, SHAPE_IN, TABLE, FN)            \
	{                                                                                         \
		.name = NAME, .since = SINCE, .until = UNTIL, .min_in = IN, .max_in = IN,         \
		.min_out = MIN_OUT, .max_out = MAX_OUT, .flags = FLAGS, .shape_in = SHAPE_IN,     \
		.family = TABLE, .infer = FN##_infer, .eval = FN##_eval,                          \
	}

const struct kerf_op_def kerf_ops_order[] = {
	ORDER_OP("ArgMax", 1, 0, 1, 1, 1, 0, 0, &arg_max, arg),
	ORDER_OP("ArgMin", 1, 0, 1, 1, 1, 0, 0, &arg_min, arg),
	ORDER_OP("TopK", 1, 9, 1, 2, 2, 0, 0, NULL, topk),
	ORDER_OP("TopK", 10, 0, 2, 2, 2, 0, 1 << 1, NULL, topk),
	ORDER_OP("CumSum", 11, 0, 2, 1, 1, 0, 0, NULL, cumsum),
	ORDER_OP("NonZero", 9, 0, 1, 1, 1, KERF_OP_BOUNDED, 0, NULL, nonzero),
	ORDER_OP("Unique", 11, 0, 1, 1, 4, KERF_OP_BOUNDED, 0, NULL, unique),
	{.name = NULL},
};
