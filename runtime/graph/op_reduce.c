/* SPDX-License-Identifier: MIT */
/* Reduce* and the softmax family. Floating sums run in double, in row-major order. */
#include "graph/op_util.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* --- Reduce* --- */

/*
 * A running value over the elements of one result: start, then step for each
 * element, then finish(acc, count). Integers wrap in 64 bits and are then stored.
 * shift: the maximum is found first and step sees x - maximum (log-sum-exp).
 */
struct reduction {
	double start;
	double (*step)(double acc, double x);
	double (*finish)(double acc, double n);
	int64_t (*step_i)(int64_t acc, int64_t x);
	uint64_t (*step_u)(uint64_t acc, uint64_t x); /* where the sign matters */
	bool shift, extreme;
};

static double add(double acc, double x) { return acc + x; }
static double multiply(double acc, double x) { return acc * x; }
static double add_abs(double acc, double x) { return acc + fabs(x); }
static double add_square(double acc, double x) { return acc + x * x; }
static double add_exp(double acc, double x) { return acc + exp(x); }
static double larger(double acc, double x) { return x > acc || x != x ? x : acc; }
static double smaller(double acc, double x) { return x < acc || x != x ? x : acc; }
static double divide(double acc, double n) { return acc / n; }
static double root(double acc, double n) { return sqrt(acc); }
static double log_of(double acc, double n) { return log(acc); }

static int64_t wrap_add(int64_t acc, int64_t x) { return (int64_t)((uint64_t)acc + (uint64_t)x); }
static int64_t wrap_mul(int64_t acc, int64_t x) { return (int64_t)((uint64_t)acc * (uint64_t)x); }
static int64_t wrap_abs(int64_t acc, int64_t x)
{
	return wrap_add(acc, x < 0 ? (int64_t)(0 - (uint64_t)x) : x);
}
static int64_t wrap_square(int64_t acc, int64_t x) { return wrap_add(acc, wrap_mul(x, x)); }
static int64_t larger_i(int64_t acc, int64_t x) { return x > acc ? x : acc; }
static int64_t smaller_i(int64_t acc, int64_t x) { return x < acc ? x : acc; }
static uint64_t larger_u(uint64_t acc, uint64_t x) { return x > acc ? x : acc; }
static uint64_t smaller_u(uint64_t acc, uint64_t x) { return x < acc ? x : acc; }

static const struct reduction sum = {0, add, NULL, wrap_add, NULL, false, false},
	mean = {0, add, divide, NULL, NULL, false, false},
	prod = {1, multiply, NULL, wrap_mul, NULL, false, false},
	l1 = {0, add_abs, NULL, wrap_abs, NULL, false, false},
	l2 = {0, add_square, root, NULL, NULL, false, false},
	sum_square = {0, add_square, NULL, wrap_square, NULL, false, false},
	log_sum = {0, add, log_of, NULL, NULL, false, false},
	log_sum_exp = {0, add_exp, log_of, NULL, NULL, true, false},
	reduce_max = {-INFINITY, larger, NULL, larger_i, larger_u, false, true},
	reduce_min = {INFINITY, smaller, NULL, smaller_i, smaller_u, false, true};

/* Bit a: axis a is reduced. */
static int reduced_axes(const struct kerf_op *op, const struct kerf_tensor *in, uint32_t *set,
			struct kerf_err *err)
{
	int64_t v[KERF_MAX_RANK];
	int n, r = kerf_want_list(op, in, 1, "axes", v, KERF_MAX_RANK, &n, err);

	if (r)
		return r;
	/* None named: all, unless newer versions are told to reduce nothing. */
	if (n <= 0) {
		*set = kerf_op_int(op, "noop_with_empty_axes", 0) ? 0 : (1u << in->rank) - 1;
		return 0;
	}
	return kerf_axis_set(v, n, in->rank, set, err);
}

static int reduce_infer(const struct kerf_op *op, const struct kerf_tensor *in,
			struct kerf_tensor *out, struct kerf_err *err)
{
	const struct reduction *red = op->def->family;
	int64_t dims[KERF_MAX_RANK];
	uint32_t set;
	int i, rank = 0;
	int r = kerf_want_dtype(in, 0, KERF_T_NUM | (red->extreme ? KERF_T(BOOL) : 0), err);

	if (!r)
		r = reduced_axes(op, in, &set, err);
	if (r)
		return r;
	for (i = 0; i < in->rank; i++) {
		bool gone = set >> i & 1;

		if (!gone)
			dims[rank++] = in->dims[i];
		else if (kerf_op_int(op, "keepdims", 1))
			dims[rank++] = 1;
	}
	kerf_shape_set(out, in->dtype, rank, dims);
	return 0;
}

static double fold_real(const struct reduction *red, const struct kerf_tensor *in, int64_t at,
			struct kerf_walk w, double acc, double shift)
{
	union kerf_row buf;
	int64_t i;
	int k;

	for (; !w.done; kerf_walk_next(&w)) {
		for (i = 0; i < w.row; i += KERF_ROW) {
			int n = (int)KERF_MIN(w.row - i, KERF_ROW);
			const double *x = kerf_row_load(
				KERF_DOM_D, &buf, in, at + w.off[0] + i * w.step[0], w.step[0], n);

			for (k = 0; k < n; k++)
				acc = red->step(acc, x[k] - shift);
		}
	}
	return acc;
}

static double reduce_real(const struct reduction *red, const struct kerf_tensor *in, int64_t at,
			  const struct kerf_walk *w, double n)
{
	double shift = 0, acc;

	if (red->shift) {
		shift = fold_real(&reduce_max, in, at, *w, -INFINITY, 0);
		/* All elements -inf, or one +inf or NaN: that is the result. */
		if (!isfinite(shift))
			return shift;
	}
	acc = fold_real(red, in, at, *w, red->start, shift);
	return (red->finish ? red->finish(acc, n) : acc) + shift;
}

static int64_t fold_int(const struct reduction *red, const struct kerf_tensor *in, int64_t at,
			struct kerf_walk w, int64_t acc)
{
	bool by_u = in->dtype == KERF_U64 && red->step_u;
	int64_t i;

	for (; !w.done; kerf_walk_next(&w)) {
		for (i = 0; i < w.row; i++) {
			int64_t x = kerf_tensor_int(in, at + w.off[0] + i * w.step[0]);

			acc = by_u ? (int64_t)red->step_u((uint64_t)acc, (uint64_t)x)
				   : red->step_i(acc, x);
		}
	}
	return acc;
}

/* What the maximum or minimum of nothing is: the dtype's other end. */
static int64_t start_int(const struct reduction *red, enum kerf_dtype t)
{
	int bits = (int)kerf_dtype_size(t) * 8;
	bool is_signed = KERF_T_SINT >> t & 1, low = red->start < 0;

	if (!red->extreme)
		return (int64_t)red->start;
	if (t == KERF_BOOL)
		return !low;
	if (is_signed)
		return low ? INT64_MIN >> (64 - bits) : INT64_MAX >> (64 - bits);
	return low ? 0 : (int64_t)(UINT64_MAX >> (64 - bits));
}

static int reduce_eval(const struct kerf_op *op, const struct kerf_tensor *in,
		       struct kerf_tensor *out)
{
	const struct reduction *red = op->def->family;
	bool ints = !(KERF_T_FLOAT >> in->dtype & 1) && red->step_i;
	int64_t kept_dims[KERF_MAX_RANK], gone_dims[KERF_MAX_RANK], count = 1, to = 0, i;
	kerf_strides own, kept[1], gone[1];
	struct kerf_walk outer, inner;
	int a, n_kept = 0, n_gone = 0, r;
	uint32_t set;

	r = reduced_axes(op, in, &set, NULL);
	if (r)
		return r;
	kerf_strides_of(in, own);
	for (a = 0; a < in->rank; a++) {
		if (set >> a & 1) {
			count *= in->dims[a];
			gone[0][n_gone] = own[a];
			gone_dims[n_gone++] = in->dims[a];
		} else {
			kept[0][n_kept] = own[a];
			kept_dims[n_kept++] = in->dims[a];
		}
	}
	kerf_walk_init(&inner, n_gone, gone_dims, 1, gone);
	for (kerf_walk_init(&outer, n_kept, kept_dims, 1, kept); !outer.done;
	     kerf_walk_next(&outer)) {
		for (i = 0; i < outer.row; i++, to++) {
			int64_t at = outer.off[0] + i * outer.step[0];

			if (ints) {
				int64_t v = fold_int(red, in, at, inner, start_int(red, in->dtype));

				kerf_row_store(KERF_DOM_I, &v, out, to, 1, 1);
			} else {
				double v = reduce_real(red, in, at, &inner, (double)count);

				kerf_row_store(KERF_DOM_D, &v, out, to, 1, 1);
			}
		}
	}
	return 0;
}

static int64_t reduce_flops(const struct kerf_op *op, const struct kerf_tensor *in,
			    const struct kerf_tensor *out)
{
	return kerf_tensor_count(in);
}

/* Rows stand apart if axis 1 is kept, and in its place. */
static int reduce_rows(const struct kerf_op *op, const struct kerf_tensor *in,
		       const struct kerf_tensor *out, int i, struct kerf_rows want,
		       struct kerf_rows *need)
{
	uint32_t set;

	if (i || reduced_axes(op, in, &set, NULL) || set & 2 ||
	    (set & 1 && !kerf_op_int(op, "keepdims", 1)))
		return -EOPNOTSUPP;
	*need = want;
	return 0;
}

/* --- Softmax, LogSoftmax, Hardmax --- */

enum soft_kind { SOFT, LOG_SOFT, HARD };
static const enum soft_kind soft = SOFT, log_soft = LOG_SOFT, hard = HARD;

/* Until 12 axis splits the value into rows and columns; since 13 it names the one axis. */
static bool softmax_flattens(const struct kerf_op *op)
{
	return op->def->until != 0;
}

static int softmax_axis(const struct kerf_op *op, int rank, int *axis, struct kerf_err *err)
{
	/* Flattening takes axis == rank too: every row has one element. */
	if (softmax_flattens(op) && kerf_op_int(op, "axis", 1) == rank) {
		*axis = rank;
		return 0;
	}
	if (!rank) {
		*axis = 0;
		return 0;
	}
	return kerf_want_axis(op, "axis", softmax_flattens(op) ? 1 : -1, rank, axis, err);
}

static int softmax_infer(const struct kerf_op *op, const struct kerf_tensor *in,
			 struct kerf_tensor *out, struct kerf_err *err)
{
	int axis, r = kerf_want_dtype(in, 0, KERF_T_FLOAT, err);

	if (!r)
		r = softmax_axis(op, in->rank, &axis, err);
	if (!r)
		kerf_shape_set(out, in->dtype, in->rank, in->dims);
	return r;
}

/* One run of n elements, step apart. scratch holds n. */
static void softmax_run(enum soft_kind kind, const struct kerf_tensor *in,
			struct kerf_tensor *out, int64_t at, int64_t step, int64_t n,
			double *scratch)
{
	double max = -INFINITY, total = 0;
	int64_t i, first = 0;

	for (i = 0; i < n; i++) {
		scratch[i] = kerf_tensor_float(in, at + i * step);
		if (scratch[i] > max || (scratch[i] != scratch[i] && max == max)) {
			max = scratch[i];
			first = i;
		}
	}
	for (i = 0; i < n; i++)
		total += exp(scratch[i] - max);
	for (i = 0; i < n; i++) {
		double v;

		if (kind == SOFT)
			v = exp(scratch[i] - max) / total;
		else if (kind == LOG_SOFT)
			v = scratch[i] - max - log(total);
		else
			v = i == first;
		kerf_row_store(KERF_DOM_D, &v, out, at + i * step, 1, 1);
	}
}

static int softmax_eval(const struct kerf_op *op, const struct kerf_tensor *in,
			struct kerf_tensor *out)
{
	const enum soft_kind *kind = op->def->family;
	int axis, r = softmax_axis(op, in->rank, &axis, NULL);
	int64_t outer, n, inner, i, k;
	double *scratch;

	if (r)
		return r;
	outer = kerf_span(in, 0, axis);
	if (softmax_flattens(op) || !in->rank) {
		n = kerf_span(in, axis, in->rank);
		inner = 1;
	} else {
		n = in->dims[axis];
		inner = kerf_span(in, axis + 1, in->rank);
	}
	if (!kerf_tensor_count(in))
		return 0;
	scratch = malloc((size_t)n * sizeof(*scratch));
	if (!scratch)
		return -ENOMEM;
	for (i = 0; i < outer; i++)
		for (k = 0; k < inner; k++)
			softmax_run(*kind, in, out, i * n * inner + k, inner, n, scratch);
	free(scratch);
	return 0;
}

static int64_t softmax_flops(const struct kerf_op *op, const struct kerf_tensor *in,
			     const struct kerf_tensor *out)
{
	return 4 * kerf_tensor_count(in);
}

static int softmax_rows(const struct kerf_op *op, const struct kerf_tensor *in,
			const struct kerf_tensor *out, int i, struct kerf_rows want,
			struct kerf_rows *need)
{
	int axis;

	if (softmax_axis(op, in->rank, &axis, NULL) || axis == 1 ||
	    (softmax_flattens(op) && axis < 1))
		return -EOPNOTSUPP;
	*need = want;
	return 0;
}

#define REDUCE_OP(NAME, SINCE, UNTIL, MAX_IN, TABLE)                                              \
	{                                                                                         \
		.name = NAME, .since = SINCE, .until = UNTIL, .min_in = 1, .max_in = MAX_IN,      \
		.min_out = 1, .max_out = 1, .shape_in = MAX_IN > 1 ? 1 << 1 : 0, .family = TABLE, \
		.infer = reduce_infer, .eval = reduce_eval, .flops = reduce_flops,                \
		.rows = reduce_rows,                                                              \
	}
/* The axes moved from an attribute to an input. */
#define REDUCE(NAME, MOVED, TABLE)                                                                \
	REDUCE_OP(NAME, 1, MOVED - 1, 1, TABLE), REDUCE_OP(NAME, MOVED, 0, 2, TABLE)
#define SOFTMAX_OP(NAME, SINCE, UNTIL, KIND)                                                      \
	{                                                                                         \
		.name = NAME, .since = SINCE, .until = UNTIL, .min_in = 1, .max_in = 1,           \
		.min_out = 1, .max_out = 1, .family = KIND, .infer = softmax_infer,               \
		.eval = softmax_eval, .flops = softmax_flops, .rows = softmax_rows,               \
	}

const struct kerf_op_def kerf_ops_reduce[] = {
	REDUCE("ReduceSum", 13, &sum),
	REDUCE("ReduceMean", 18, &mean),
	REDUCE("ReduceProd", 18, &prod),
	REDUCE("ReduceL1", 18, &l1),
	REDUCE("ReduceL2", 18, &l2),
	REDUCE("ReduceSumSquare", 18, &sum_square),
	REDUCE("ReduceLogSum", 18, &log_sum),
	REDUCE("ReduceLogSumExp", 18, &log_sum_exp),
	REDUCE("ReduceMax", 18, &reduce_max),
	REDUCE("ReduceMin", 18, &reduce_min),
	SOFTMAX_OP("Softmax", 1, 12, &soft),
	SOFTMAX_OP("Softmax", 13, 0, &soft),
	SOFTMAX_OP("LogSoftmax", 1, 12, &log_soft),
	SOFTMAX_OP("LogSoftmax", 13, 0, &log_soft),
	SOFTMAX_OP("Hardmax", 1, 12, &hard),
	SOFTMAX_OP("Hardmax", 13, 0, &hard),
	{.name = NULL},
};
