/* SPDX-License-Identifier: MIT */
/* Random models, and random ways to cut them into groups of bands or of channels. */
#ifndef KERF_TESTS_RANDOM_GROUPS_H
#define KERF_TESTS_RANDOM_GROUPS_H

#include "ops/random_graph.h"
#include "unit/graph_build.h"
#include "unit/spatial_rig.h"

static inline struct kerf_graph *random_graph(uint64_t seed, int n_op)
{
	struct kerf_err err = {""};

	return rg_make(seed, n_op, &err);
}

/* Groups of random length, whole or in random bands on random engines. */
static inline void random_groups(const struct kerf_problem *p, struct kerf_tile *room,
			  struct kerf_rng *rng, struct kerf_bands *b)
{
	uint32_t engines[6], at = 0, end, n, i;
	struct kerf_rows part[6];
	double weight[6];

	while (at < p->graph->n_op) {
		int64_t rows;

		end = at + 1 + (uint32_t)kerf_rng_below(rng, 5);
		end = KERF_MIN(end, p->graph->n_op);
		rows = kerf_bands_rows(p, room, at, end);
		n = 1 + (uint32_t)kerf_rng_below(rng, 6);
		for (i = 0; i < n; i++) {
			engines[i] = (uint32_t)kerf_rng_below(rng, p->n_engine);
			weight[i] = 0.05 + (double)kerf_rng_float(rng);
		}
		if (rows)
			kerf_bands_split(rows, 1, n, weight, part);
		assert_int_equal(rows ? kerf_bands_tiled(b, at, end, engines[0], n, engines, part)
				      : kerf_bands_whole(b, at, end, engines[0]),
				 0);
		at = end;
	}
}

/* Runs of operators that make channels apart, over random engines; all else whole. */
static inline void random_channels(const struct kerf_problem *p, struct kerf_tile *room,
			    struct kerf_rng *rng, struct kerf_bands *b)
{
	uint32_t engines[5], at = 0, end, n, i, more;
	struct kerf_rows part[5];
	double weight[5];

	while (at < p->graph->n_op) {
		more = 1 + (uint32_t)kerf_rng_below(rng, 4);
		n = 2 + (uint32_t)kerf_rng_below(rng, 4);
		for (end = at; end < p->graph->n_op && end < at + more &&
			       kerf_bands_channels(p, room, at, end + 1);
		     end++)
			;
		for (i = 0; i < n; i++) {
			engines[i] = (uint32_t)kerf_rng_below(rng, p->n_engine);
			weight[i] = 0.05 + (double)kerf_rng_float(rng);
		}
		if (end == at) {
			end = at + 1;
			assert_int_equal(kerf_bands_whole(b, at, end, engines[0]), 0);
		} else {
			kerf_bands_split(kerf_bands_channels(p, room, at, end), 1, n, weight, part);
			assert_int_equal(
				kerf_bands_tiled(b, at, end, engines[0], n, engines, part), 0);
			b->group[b->n_group - 1].channels = true;
		}
		at = end;
	}
}

#endif
