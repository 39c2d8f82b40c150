/* SPDX-License-Identifier: MIT */
/* Losses, determinants and n-gram counts. */
#include "graph/op_util.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* --- NegativeLogLikelihoodLoss, SoftmaxCrossEntropyLoss --- */

/* How the scores become log probabilities: as they are, or by log-softmax over axis 1. */
static const bool likelihood = false, cross_entropy = true;

static int loss_reduction(const struct kerf_op *op, const char **name, struct kerf_err *err)
{
	*name = kerf_op_string(op, "reduction", "mean");
	if (!strcmp(*name, "none") || !strcmp(*name, "sum") || !strcmp(*name, "mean"))
		return 0;
	return kerf_fail(err, -EINVAL, "reduction is '%.32s', expected none, sum or mean", *name);
}

static int loss_infer(const struct kerf_op *op, const struct kerf_tensor *in,
		      struct kerf_tensor *out, struct kerf_err *err)
{
	const struct kerf_tensor *weight = kerf_op_opt(op, in, 2);
	const char *reduction;
	int i, r = kerf_want_dtype(in, 0, KERF_T_FLOAT, err);

	if (!r)
		r = kerf_want_dtype(in, 1, KERF_T_INDEX, err);
	if (!r)
		r = kerf_want_rank(in, 0, 2, KERF_MAX_RANK, err);
	if (!r)
		r = kerf_want_rank(in, 1, in[0].rank - 1, in[0].rank - 1, err);
	if (!r)
		r = loss_reduction(op, &reduction, err);
	for (i = 0; !r && i < in[1].rank; i++)
		if (in[1].dims[i] != in[0].dims[i ? i + 1 : 0])
			r = kerf_fail(err, -EINVAL, "axis %d of the labels has %lld elements, expected %lld",
				      i, (long long)in[1].dims[i],
				      (long long)in[0].dims[i ? i + 1 : 0]);
	if (!r && weight &&
	    (weight->rank != 1 || weight->dims[0] != in[0].dims[1] || weight->dtype != in->dtype))
		r = kerf_fail(err, -EINVAL, "weights are not %s[%lld]", kerf_dtype_name(in->dtype),
			      (long long)in[0].dims[1]);
	if (r)
		return r;
	kerf_shape_set(&out[0], in->dtype, strcmp(reduction, "none") ? 0 : in[1].rank, in[1].dims);
	if (kerf_op_has_out(op, out, 1))
		kerf_shape_set(&out[1], in->dtype, in->rank, in->dims);
	return 0;
}

/* log(sum(exp(x))) over the classes of one place. */
static double log_total(const struct kerf_tensor *x, int64_t at, int64_t classes, int64_t step)
{
	double max = -INFINITY, total = 0;
	int64_t c;

	for (c = 0; c < classes; c++)
		max = fmax(max, kerf_tensor_float(x, at + c * step));
	if (!isfinite(max))
		return max;
	for (c = 0; c < classes; c++)
		total += exp(kerf_tensor_float(x, at + c * step) - max);
	return max + log(total);
}

static int loss_eval(const struct kerf_op *op, const struct kerf_tensor *in,
		     struct kerf_tensor *out)
{
	bool soft = *(const bool *)op->def->family;
	const struct kerf_tensor *weight = kerf_op_opt(op, in, 2);
	const struct kerf_attr *ignore = kerf_op_attr(op, "ignore_index");
	int64_t ignored = kerf_op_int(op, "ignore_index", 0);
	int64_t classes = in->dims[1], inner = kerf_span(in, 2, in->rank);
	int64_t places = in->dims[0] * inner, i, c;
	double sum = 0, weights = 0;
	const char *reduction;
	int r = loss_reduction(op, &reduction, NULL);

	if (r)
		return r;
	for (i = 0; i < places; i++) {
		int64_t at = i / inner * classes * inner + i % inner;
		int64_t label = kerf_tensor_int(&in[1], i);
		double shift = soft ? log_total(in, at, classes, inner) : 0, w = 1, loss = 0;

		for (c = 0; kerf_op_has_out(op, out, 1) && c < classes; c++) {
			double p = kerf_tensor_float(in, at + c * inner) - shift;

			kerf_row_store(KERF_DOM_D, &p, &out[1], at + c * inner, 1, 1);
		}
		if (ignore && label == ignored) {
			w = 0;
		} else {
			if (label < 0 || label >= classes)
				return -EINVAL;
			if (weight)
				w = kerf_tensor_float(weight, label);
			loss = -(kerf_tensor_float(in, at + label * inner) - shift) * w;
		}
		sum += loss;
		weights += w;
		if (reduction[0] == 'n')
			kerf_row_store(KERF_DOM_D, &loss, &out[0], i, 1, 1);
	}
	if (reduction[0] == 'm')
		sum /= weights;
	if (reduction[0] != 'n')
		kerf_row_store(KERF_DOM_D, &sum, &out[0], 0, 1, 1);
	return 0;
}

/* --- Det --- */

static int det_infer(const struct kerf_op *op, const struct kerf_tensor *in,
		     struct kerf_tensor *out, struct kerf_err *err)
{
	int r = kerf_want_dtype(in, 0, KERF_T_FLOAT, err);

	if (!r)
		r = kerf_want_rank(in, 0, 2, KERF_MAX_RANK, err);
	if (r)
		return r;
	if (in->dims[in->rank - 1] != in->dims[in->rank - 2])
		return kerf_fail(err, -EINVAL, "matrices of %lld x %lld are not square",
				 (long long)in->dims[in->rank - 2],
				 (long long)in->dims[in->rank - 1]);
	kerf_shape_set(out, in->dtype, in->rank - 2, in->dims);
	return 0;
}

/* Gaussian elimination with partial pivoting; a is destroyed. */
static double determinant(double *a, int64_t n)
{
	double det = 1;
	int64_t c, i, j;

	for (c = 0; c < n; c++) {
		int64_t pivot = c;

		for (i = c + 1; i < n; i++)
			if (fabs(a[i * n + c]) > fabs(a[pivot * n + c]))
				pivot = i;
		if (a[pivot * n + c] == 0)
			return 0;
		if (pivot != c) {
			det = -det;
			for (j = c; j < n; j++) {
				double t = a[c * n + j];

				a[c * n + j] = a[pivot * n + j];
				a[pivot * n + j] = t;
			}
		}
		det *= a[c * n + c];
		for (i = c + 1; i < n; i++) {
			double f = a[i * n + c] / a[c * n + c];

			for (j = c; j < n; j++)
				a[i * n + j] -= f * a[c * n + j];
		}
	}
	return det;
}

static int det_eval(const struct kerf_op *op, const struct kerf_tensor *in,
		    struct kerf_tensor *out)
{
	int64_t n = in->dims[in->rank - 1], m = kerf_tensor_count(out), i, k;
	double *a = malloc((size_t)(n * n) * sizeof(*a) + 1);

	if (!a)
		return -ENOMEM;
	for (i = 0; i < m; i++) {
		double det;

		for (k = 0; k < n * n; k++)
			a[k] = kerf_tensor_float(in, i * n * n + k);
		det = determinant(a, n);
		kerf_row_store(KERF_DOM_D, &det, out, i, 1, 1);
	}
	free(a);
	return 0;
}

static int64_t det_flops(const struct kerf_op *op, const struct kerf_tensor *in,
			 const struct kerf_tensor *out)
{
	return kerf_tensor_count(in) * in->dims[in->rank - 1];
}

/* --- TfIdfVectorizer over integers --- */

/*
 * The pool holds first all 1-grams, then all 2-grams...; counts[n - 1] is where the
 * n-grams begin. index[g] is the column of the g-th gram of the pool.
 */
struct grams {
	int64_t shortest, longest, skips;
	const int64_t *pool, *counts, *index;
	const float *weights; /* NULL: all 1 */
	uint32_t n_pool, n_counts, n_index, n_weights;
	int64_t columns;
	char mode; /* 'T' counts, 'I' weights of those present, 'B' both multiplied */
};

static int64_t section_end(const struct grams *g, int64_t n)
{
	return n < g->n_counts ? g->counts[n] : g->n_pool;
}

static int grams_of(const struct kerf_op *op, struct grams *g, struct kerf_err *err)
{
	const char *mode = kerf_op_string(op, "mode", "");
	int64_t total = 0, n;
	uint32_t i;

	g->shortest = kerf_op_int(op, "min_gram_length", 0);
	g->longest = kerf_op_int(op, "max_gram_length", 0);
	g->skips = kerf_op_int(op, "max_skip_count", -1);
	g->pool = kerf_op_ints(op, "pool_int64s", &g->n_pool);
	g->counts = kerf_op_ints(op, "ngram_counts", &g->n_counts);
	g->index = kerf_op_ints(op, "ngram_indexes", &g->n_index);
	g->weights = kerf_op_floats(op, "weights", &g->n_weights);
	g->mode = !strcmp(mode, "TF") ? 'T' : !strcmp(mode, "IDF") ? 'I' : 'B';
	if (g->mode == 'B' && strcmp(mode, "TFIDF"))
		return kerf_fail(err, -EINVAL, "mode is '%.32s', expected TF, IDF or TFIDF", mode);
	if (!g->pool)
		return kerf_fail(err, -EOPNOTSUPP, "pool_int64s is missing: strings are not supported");
	if (g->shortest < 1 || g->longest < g->shortest || g->longest > g->n_counts ||
	    g->skips < 0)
		return kerf_fail(err, -EINVAL,
				 "min_gram_length %lld, max_gram_length %lld, max_skip_count %lld "
				 "do not fit %u ngram_counts",
				 (long long)g->shortest, (long long)g->longest, (long long)g->skips,
				 g->n_counts);
	for (n = 0; n < g->n_counts; n++) {
		int64_t size = section_end(g, n + 1) - g->counts[n];

		if (g->counts[n] < 0 || size < 0 || section_end(g, n + 1) > g->n_pool ||
		    size % (n + 1))
			return kerf_fail(err, -EINVAL, "ngram_counts[%lld] is %lld", (long long)n,
					 (long long)g->counts[n]);
		total += size / (n + 1);
	}
	if (total != g->n_index || (g->weights && g->n_weights != g->n_index))
		return kerf_fail(err, -EINVAL, "%lld n-grams, %u ngram_indexes, %u weights",
				 (long long)total, g->n_index, g->n_weights);
	g->columns = 0;
	for (i = 0; i < g->n_index; i++) {
		if (g->index[i] < 0 || g->index[i] >= (int64_t)1 << 31)
			return kerf_fail(err, -EINVAL, "ngram_indexes[%u] is %lld", i,
					 (long long)g->index[i]);
		g->columns = KERF_MAX(g->columns, g->index[i] + 1);
	}
	return 0;
}

static int tfidf_infer(const struct kerf_op *op, const struct kerf_tensor *in,
		       struct kerf_tensor *out, struct kerf_err *err)
{
	struct grams g;
	int64_t dims[2];
	int r = kerf_want_dtype(in, 0, KERF_T_INDEX, err);

	if (!r)
		r = kerf_want_rank(in, 0, 1, 2, err);
	if (!r)
		r = grams_of(op, &g, err);
	if (r)
		return r;
	dims[0] = in->dims[0];
	dims[in->rank - 1] = g.columns;
	kerf_shape_set(out, KERF_F32, in->rank, dims);
	return 0;
}

static bool gram_matches(const struct kerf_tensor *x, int64_t at, int64_t step,
			 const int64_t *gram, int64_t n)
{
	int64_t k;

	for (k = 0; k < n; k++)
		if (kerf_tensor_int(x, at + k * step) != gram[k])
			return false;
	return true;
}

/* Counts the n-grams of one row whose items stand step apart. */
static void count_grams(const struct grams *g, int64_t n, int64_t first, int64_t step,
			const struct kerf_tensor *x, int64_t row, int64_t length, float *y)
{
	int64_t grams = (section_end(g, n) - g->counts[n - 1]) / n, at, k;

	for (at = 0; at + (n - 1) * step < length; at++)
		for (k = 0; k < grams; k++)
			if (gram_matches(x, row + at, step, g->pool + g->counts[n - 1] + k * n, n))
				y[g->index[first + k]]++;
}

static void weigh(const struct grams *g, float *y)
{
	uint32_t i;

	if (g->mode == 'T')
		return;
	for (i = 0; i < g->n_index; i++) {
		float *v = &y[g->index[i]], w = g->weights ? g->weights[i] : 1;

		if (*v > 0)
			*v = g->mode == 'I' ? w : *v * w;
	}
}

static int tfidf_eval(const struct kerf_op *op, const struct kerf_tensor *in,
		      struct kerf_tensor *out)
{
	int64_t rows = in->rank == 2 ? in->dims[0] : 1, length = in->dims[in->rank - 1], i;
	struct grams g;
	int r = grams_of(op, &g, NULL);

	if (r || !kerf_tensor_count(out))
		return r;
	memset(out->data, 0, kerf_tensor_bytes(out));
	for (i = 0; i < rows; i++) {
		float *y = (float *)out->data + i * g.columns;
		int64_t n, step, first = 0;

		for (n = 1; n <= g.longest; n++) {
			/* Skipping between the items of a 1-gram would count it again. */
			int64_t steps = n == 1 ? 1 : KERF_MIN(g.skips, length) + 1;

			for (step = 1; n >= g.shortest && step <= steps; step++)
				count_grams(&g, n, first, step, in, i * length, length, y);
			first += (section_end(&g, n) - g.counts[n - 1]) / n;
		}
		weigh(&g, y);
	}
	return 0;
}

const struct kerf_op_def kerf_ops_misc[] = {
	{.name = "NegativeLogLikelihoodLoss", .since = 12, .min_in = 2, .max_in = 3, .min_out = 1,
	 .max_out = 1, .family = &likelihood, .infer = loss_infer, .eval = loss_eval},
	{.name = "SoftmaxCrossEntropyLoss", .since = 12, .min_in = 2, .max_in = 3, .min_out = 1,
	 .max_out = 2, .family = &cross_entropy, .infer = loss_infer, .eval = loss_eval},
	{.name = "Det", .since = 11, .min_in = 1, .max_in = 1, .min_out = 1, .max_out = 1,
	 .infer = det_infer, .eval = det_eval, .flops = det_flops},
	{.name = "TfIdfVectorizer", .since = 9, .min_in = 1, .max_in = 1, .min_out = 1,
	 .max_out = 1, .infer = tfidf_infer, .eval = tfidf_eval},
	{.name = NULL},
};
