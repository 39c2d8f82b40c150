/* SPDX-License-Identifier: MIT */
/*
 * MoDNN: J. Mao, X. Chen, K. W. Nixon, C. Krieger, Y. Chen, "MoDNN: Local distributed mobile
 * computing system for deep neural network", DATE 2017.
 *
 * Each layer is cut along one dimension of its feature maps into as many parts as there are
 * worker nodes ("biased one-dimensional partition"), sized by each worker's capability, with the
 * rows that a window needs beyond its own. Layer by layer, all workers, whatever the layer.
 *
 * Modelled: one-dimensional parts in proportion to capability, a barrier of data after every
 * layer, overlap sent and not computed twice, all workers used.
 * Not: the paper's group owner gathers every layer's output and hands out the next layer's input;
 * here rows that are where they are needed stay there and halos go between neighbours, so what is
 * sent is never more than in the paper. Its partition of sparse fully connected layers (spectral
 * co-clustering) is not here: what cannot be cut into rows runs whole, on the engine that answers
 * first (fcsplit cuts fully connected layers).
 */
#include "plan/bands.h"
#include "plan/policy.h"

#include <stdio.h>
#include <stdlib.h>

static int lay_out(const struct kerf_problem *p, struct kerf_bands *b, uint32_t *n_worker,
		   struct kerf_err *err)
{
	uint32_t worker[KERF_MAX_ENGINES], n, i, whole;
	struct kerf_rows rows[KERF_MAX_ENGINES];
	double speed[KERF_MAX_ENGINES];
	struct kerf_unit *unit;
	int r = kerf_bands_units(p, &unit, &n);

	*n_worker = 0;
	for (i = 0; i < n && !r; i++) {
		const struct kerf_unit *u = &unit[i];
		uint32_t m = kerf_bands_workers(p, u->begin, u->end, worker);

		r = kerf_bands_best_engine(p, u->begin, u->end, &whole, err);
		if (r)
			break;
		if (!u->rows || m < 2) {
			r = kerf_bands_whole(b, u->begin, u->end, whole);
			continue;
		}
		kerf_bands_speeds(p, u->begin, u->end, m, worker, speed);
		kerf_bands_split(u->rows, 1, m, speed, rows);
		r = kerf_bands_tiled(b, u->begin, u->end, whole, m, worker, rows);
		*n_worker = KERF_MAX(*n_worker, m);
	}
	free(unit);
	return r;
}

int kerf_policy_modnn(const struct kerf_problem *p, struct kerf_plan *plan, struct kerf_err *err)
{
	struct kerf_choice c = {0};
	struct kerf_bands b = {0};
	uint32_t n;
	int r = lay_out(p, &b, &n, err);

	if (!r)
		kerf_bands_offer(p, &b, "modnn", &c, "each layer in bands over %u engines by speed", n);
	kerf_bands_finish(&b);
	return r ? r : kerf_choice_end(p, &c, plan, err);
}
