/* SPDX-License-Identifier: MIT */
#include "cost/boost.h"

#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define BINS 64
#define MAX_FEATURES 64

struct bin_sum {
	double w, wr;
};

struct trainer {
	const struct kerf_boost_options *opt;
	uint32_t n, n_feature;
	const double *y, *w;
	uint8_t *bin;	 /* [feature * n + row] */
	float *edge;	 /* [feature * BINS + b]: rows of a bin <= b are at most this */
	uint32_t *n_bin; /* per feature */
	double *value, *residual; /* per row */
	uint8_t *leaf;		  /* per row: where it stands in the level */
	struct bin_sum *sum;	  /* [node * BINS + bin] of one feature */
};

static int compare_floats(const void *a, const void *b)
{
	float x = *(const float *)a, y = *(const float *)b;

	return (x > y) - (x < y);
}

/* Edges at quantiles of the distinct values, so that no bin is empty. */
static void make_bins(struct trainer *t, const float *x, uint32_t f, float *sorted)
{
	float *edge = t->edge + (size_t)f * BINS;
	uint32_t i, n = 0, k = 0, b;

	for (i = 0; i < t->n; i++)
		sorted[i] = x[(size_t)i * t->n_feature + f];
	qsort(sorted, t->n, sizeof(*sorted), compare_floats);
	for (i = 0; i < t->n; i++)
		if (!n || sorted[i] > sorted[n - 1])
			sorted[n++] = sorted[i];
	for (i = 0; i < KERF_MIN(n, BINS); i++) {
		uint32_t at = n <= BINS ? i : (uint32_t)(((uint64_t)i + 1) * n / BINS - 1);

		/* Half way to the next value, where new rows may fall either way. */
		edge[k++] =
			at + 1 < n ? sorted[at] + (sorted[at + 1] - sorted[at]) / 2 : sorted[at];
	}
	t->n_bin[f] = k;
	for (i = 0; i < t->n; i++) {
		uint32_t low = 0, high = k - 1;

		while (low < high) {
			b = (low + high) / 2;
			if (x[(size_t)i * t->n_feature + f] > edge[b])
				low = b + 1;
			else
				high = b;
		}
		t->bin[(size_t)f * t->n + i] = (uint8_t)low;
	}
}

static double gain(double w, double wr, double ridge)
{
	return w > 0 ? wr * wr / (w + ridge) : 0;
}

struct split {
	double gain;
	uint8_t feature, bin;
};

/* The best split of every node of a level by feature f, if it beats the one in best. */
static void try_feature(struct trainer *t, uint32_t f, uint32_t nodes, struct split *best)
{
	const uint8_t *bin = t->bin + (size_t)f * t->n;
	uint32_t i, node, b;

	memset(t->sum, 0, (size_t)nodes * BINS * sizeof(*t->sum));
	for (i = 0; i < t->n; i++) {
		struct bin_sum *s = &t->sum[(size_t)t->leaf[i] * BINS + bin[i]];

		s->w += t->w[i];
		s->wr += t->w[i] * t->residual[i];
	}
	for (node = 0; node < nodes; node++) {
		const struct bin_sum *s = t->sum + (size_t)node * BINS;
		double w = 0, wr = 0, left_w = 0, left_wr = 0;

		for (b = 0; b < t->n_bin[f]; b++) {
			w += s[b].w;
			wr += s[b].wr;
		}
		for (b = 0; b + 1 < t->n_bin[f]; b++) {
			double g;

			left_w += s[b].w;
			left_wr += s[b].wr;
			if (left_w < t->opt->least || w - left_w < t->opt->least)
				continue;
			g = gain(left_w, left_wr, t->opt->ridge) +
			    gain(w - left_w, wr - left_wr, t->opt->ridge) -
			    gain(w, wr, t->opt->ridge);
			if (g > best[node].gain)
				best[node] = (struct split){g, (uint8_t)f, (uint8_t)b};
		}
	}
}

static void grow(struct trainer *t, struct kerf_boost_tree *tree)
{
	double w[KERF_BOOST_LEAVES] = {0}, wr[KERF_BOOST_LEAVES] = {0};
	uint32_t level, i, f, first;

	memset(t->leaf, 0, t->n);
	for (level = 0; level < KERF_BOOST_DEPTH; level++) {
		struct split best[KERF_BOOST_LEAVES] = {{0}};

		first = (1u << level) - 1;
		for (f = 0; f < t->n_feature; f++)
			try_feature(t, f, 1u << level, best);
		for (i = 0; i < 1u << level; i++) {
			tree->feature[first + i] = best[i].feature;
			/* A node not worth splitting sends all rows left. */
			tree->threshold[first + i] =
				best[i].gain > 0
					? t->edge[(size_t)best[i].feature * BINS + best[i].bin]
					: FLT_MAX;
		}
		for (i = 0; i < t->n; i++) {
			const struct split *s = &best[t->leaf[i]];
			bool right = s->gain > 0 && t->bin[(size_t)s->feature * t->n + i] > s->bin;

			t->leaf[i] = (uint8_t)(2 * t->leaf[i] + right);
		}
	}
	for (i = 0; i < t->n; i++) {
		w[t->leaf[i]] += t->w[i];
		wr[t->leaf[i]] += t->w[i] * t->residual[i];
	}
	for (i = 0; i < KERF_BOOST_LEAVES; i++)
		tree->leaf[i] =
			w[i] > 0 ? (float)(t->opt->rate * wr[i] / (w[i] + t->opt->ridge)) : 0;
	for (i = 0; i < t->n; i++)
		t->value[i] += (double)tree->leaf[t->leaf[i]];
}

static void train(struct trainer *t, struct kerf_boost *b)
{
	double w = 0, wy = 0;
	uint32_t i, k;

	for (i = 0; i < t->n; i++) {
		w += t->w[i];
		wy += t->w[i] * t->y[i];
	}
	b->base = w > 0 ? wy / (w + t->opt->ridge) : 0;
	for (i = 0; i < t->n; i++)
		t->value[i] = b->base;
	for (k = 0; k < t->opt->trees; k++) {
		for (i = 0; i < t->n; i++)
			t->residual[i] =
				fmin(fmax(t->y[i] - t->value[i], -t->opt->clip), t->opt->clip);
		grow(t, &b->tree[b->n_tree++]);
	}
}

int kerf_boost_train(const float *x, const double *y, const double *w, uint32_t n,
		     uint32_t n_feature, const struct kerf_boost_options *opt, struct kerf_boost *b)
{
	struct trainer t = {.opt = opt, .n = n, .n_feature = n_feature, .y = y, .w = w};
	float *sorted = malloc((n + 1) * sizeof(*sorted));
	uint32_t f;
	int r = 0;

	memset(b, 0, sizeof(*b));
	if (!n || !n_feature || n_feature > MAX_FEATURES) {
		free(sorted);
		return -EINVAL;
	}
	b->n_feature = n_feature;
	b->tree = calloc(opt->trees + 1, sizeof(*b->tree));
	t.bin = malloc((size_t)n * n_feature);
	t.edge = calloc((size_t)n_feature * BINS, sizeof(*t.edge));
	t.n_bin = calloc(n_feature, sizeof(*t.n_bin));
	t.value = calloc(2 * (size_t)n, sizeof(*t.value));
	t.leaf = malloc(n);
	t.sum = calloc((size_t)KERF_BOOST_LEAVES * BINS, sizeof(*t.sum));
	if (sorted && b->tree && t.bin && t.edge && t.n_bin && t.value && t.leaf && t.sum) {
		t.residual = t.value + n;
		for (f = 0; f < n_feature; f++)
			make_bins(&t, x, f, sorted);
		train(&t, b);
	} else {
		r = -ENOMEM;
		kerf_boost_finish(b);
	}
	free(sorted);
	free(t.bin);
	free(t.edge);
	free(t.n_bin);
	free(t.value);
	free(t.leaf);
	free(t.sum);
	return r;
}

double kerf_boost_value(const struct kerf_boost *b, const float *x)
{
	double sum = b->base;
	uint32_t k, level, at;

	for (k = 0; k < b->n_tree; k++) {
		const struct kerf_boost_tree *t = &b->tree[k];

		for (at = 0, level = 0; level < KERF_BOOST_DEPTH; level++)
			at = 2 * at + 1 + (x[t->feature[at]] > t->threshold[at]);
		sum += (double)t->leaf[at - KERF_BOOST_NODES];
	}
	return sum;
}

void kerf_boost_finish(struct kerf_boost *b)
{
	free(b->tree);
	memset(b, 0, sizeof(*b));
}
