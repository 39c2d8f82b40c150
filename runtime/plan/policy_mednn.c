/* SPDX-License-Identifier: MIT */
/*
 * MeDNN: J. Mao, Z. Yang, W. Wen, C. Wu, L. Song, K. W. Nixon, X. Chen, H. Li, Y. Chen, "MeDNN: A
 * distributed mobile system with enhanced partition and deployment for large-scale DNNs",
 * ICCAD 2017.
 *
 * MoDNN's successor: each layer is partitioned greedily and recursively in two dimensions by what
 * the workers can do ("greedy two dimensional partition"), so that a part's shape, and with it the
 * border that is sent, fits the layer. The paper reports 1.86 to 2.44 times the speed of the
 * original execution, with 2 to 4 workers.
 *
 * Modelled: the recursion, layer by layer. A set of workers takes a range of rows; either its
 * fastest member computes all of it, or set and range are halved, the range as the halves'
 * speeds, and each half goes on by itself. The cheaper by compute and border rows wins, so late
 * layers, small and wide in channels, end on few workers and early ones on many.
 * Not: kerf's only spatial tile is a band of rows. A grid of r x c parts becomes r * c nested
 * bands, whose borders are longer than the grid's: what the paper gains over MoDNN in bytes by
 * parts of two dimensions is not to be had here. Of the paper no more than the abstract was at
 * hand: that the partition is greedy, by halves, and leaves workers out, is our reading of it. Its
 * structured pruning changes the model and is none of a planner's business; as in modnn, what
 * cannot be cut runs whole.
 */
#include "plan/fused.h"
#include "plan/policy.h"

#include <math.h>

struct layer {
	const struct kerf_fused *f;
	uint32_t j, n;
	const uint32_t *worker;
	const double *speed;
	double from[KERF_MAX_ENGINES], to[KERF_MAX_ENGINES]; /* of the input, held by each */
	double part[KERF_MAX_ENGINES];			     /* the answer */
};

/* The part [lo, hi) by one worker: rows that it does not hold come from home or a neighbour. */
static double alone_s(const struct layer *l, uint32_t w, double lo, double hi)
{
	const struct kerf_problem *p = l->f->p;
	double held = fmin(hi, l->to[w]) - fmax(lo, l->from[w]), missing, s = 0, halo;
	uint32_t node = p->engine[l->worker[w]].node, i;

	halo = hi - lo < 1 ? kerf_fused_halo_in(l->f, l->j, l->j) : 0;
	missing = (hi - lo - fmax(held, 0) + halo) * l->f->block[l->j].in_bytes;
	for (i = 0; i < l->n && missing > 0; i++)
		if (i != w && l->to[i] > l->from[i])
			s = fmax(s,
				 kerf_fused_move_s(p, p->engine[l->worker[i]].node, node, missing));
	return s + kerf_fused_band_s(l->f, l->j, l->j, l->worker[w], hi - lo);
}

/* The least time for rows [lo, hi) by workers [a, b), parts in l->part. */
static double divide(struct layer *l, uint32_t a, uint32_t b, double lo, double hi)
{
	double left = 0, right = 0, least = INFINITY, both, cut;
	uint32_t mid = a + (b - a) / 2, best = a, w;

	for (w = a; w < b; w++) {
		double s = alone_s(l, w, lo, hi);

		if (s < least) {
			least = s;
			best = w;
		}
		*(w < mid ? &left : &right) += l->speed[w];
	}
	if (b - a > 1) {
		cut = lo + (hi - lo) * left / (left + right);
		both = divide(l, a, mid, lo, cut);
		both = fmax(both, divide(l, mid, b, cut, hi));
		if (both < least)
			return both;
	}
	for (w = a; w < b; w++)
		l->part[w] = w == best ? hi - lo : 0;
	return least;
}

/* Where a layer's output stands is where the next one's input is. */
static void hold(struct layer *l)
{
	double at = 0;
	uint32_t w;

	for (w = 0; w < l->n; w++) {
		l->from[w] = at;
		l->to[w] = at += l->part[w];
	}
}

static void hold_whole(struct layer *l, uint32_t node)
{
	uint32_t w;

	for (w = 0; w < l->n; w++) {
		l->from[w] = 0;
		l->to[w] = l->f->p->engine[l->worker[w]].node == node;
	}
}

static int lay_out(const struct kerf_fused *f, struct kerf_bands *b, uint32_t *most,
		   struct kerf_err *err)
{
	const struct kerf_problem *p = f->p;
	uint32_t worker[KERF_MAX_ENGINES], whole, w;
	double speed[KERF_MAX_ENGINES];
	struct layer l = {.f = f, .worker = worker, .speed = speed};
	int r = 0;

	l.n = kerf_fused_workers(f, worker, speed);
	hold_whole(&l, p->home);
	for (l.j = 0; l.j < f->n && !r; l.j++) {
		const struct kerf_block *block = &f->block[l.j];
		uint32_t used = 0;

		if (!block->rows || !l.n) {
			r = kerf_bands_best_engine(p, block->begin, block->end, &whole, err);
			if (!r)
				r = kerf_bands_whole(b, block->begin, block->end, whole);
			if (!r)
				hold_whole(&l, p->engine[whole].node);
			continue;
		}
		divide(&l, 0, l.n, 0, 1);
		hold(&l);
		r = kerf_fused_tile(f, l.j, l.j, l.n, worker, l.part, b);
		for (w = 0; w < l.n; w++)
			used += l.part[w] > 0;
		*most = KERF_MAX(*most, used);
	}
	return r;
}

int kerf_policy_mednn(const struct kerf_problem *p, struct kerf_plan *plan, struct kerf_err *err)
{
	struct kerf_choice c = {0};
	struct kerf_bands b = {0};
	struct kerf_fused *f;
	uint32_t most = 1;
	int r = kerf_fused_make(p, 1, 0, &f);

	if (!r)
		r = lay_out(f, &b, &most, err);
	if (!r)
		kerf_bands_offer(p, &b, "mednn", &c,
				 "each layer in nested bands, over up to %u engines", most);
	kerf_bands_finish(&b);
	kerf_fused_free(f);
	return r ? r : kerf_choice_end(p, &c, plan, err);
}
