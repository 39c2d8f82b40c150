/* SPDX-License-Identifier: MIT */
/*
 * Gradient boosting of regression trees (Friedman, Greedy function approximation, Annals of
 * Statistics 2001), with features cut into bins (as Ke et al., LightGBM, NIPS 2017) and the
 * residuals clipped (Huber 1964). Trees are full, of BOOST_DEPTH levels. Deterministic: no
 * random numbers, one thread, sums in one order.
 */
#ifndef KERF_COST_BOOST_H
#define KERF_COST_BOOST_H

#include "util/base.h"

#define KERF_BOOST_DEPTH 4
#define KERF_BOOST_NODES ((1 << KERF_BOOST_DEPTH) - 1)
#define KERF_BOOST_LEAVES (1 << KERF_BOOST_DEPTH)

struct kerf_boost_tree {
	/* Breadth first; a row goes right where x[feature] > threshold. A leaf's is its value. */
	uint8_t feature[KERF_BOOST_NODES];
	float threshold[KERF_BOOST_NODES];
	float leaf[KERF_BOOST_LEAVES];
};

struct kerf_boost {
	uint32_t n_feature, n_tree;
	double base;
	struct kerf_boost_tree *tree;
};

struct kerf_boost_options {
	uint32_t trees;
	double rate;	/* of learning, in (0, 1] */
	double ridge;	/* weight that pulls a leaf, and the base, to 0 */
	double clip;	/* of residuals; in y's unit */
	double least;	/* weight of rows that a leaf has */
};

/*
 * Rows x[n * n_feature], targets y[n], weights w[n] >= 0. n_feature <= 64. 0, -EINVAL or -ENOMEM.
 */
int kerf_boost_train(const float *x, const double *y, const double *w, uint32_t n,
		     uint32_t n_feature, const struct kerf_boost_options *opt,
		     struct kerf_boost *b);
double kerf_boost_value(const struct kerf_boost *b, const float *x);
void kerf_boost_finish(struct kerf_boost *b);

#endif
