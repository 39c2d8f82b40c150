/* SPDX-License-Identifier: MIT */
/*
 * MeDNN: J. Mao, Z. Yang, W. Wen, C. Wu, L. Song, K. W. Nixon, X. Chen, H. Li, Y. Chen, "MeDNN: A
 * distributed mobile system with enhanced partition and deployment for large-scale DNNs",
 * ICCAD 2017.
 *
 * MoDNN's successor: each layer is partitioned greedily and recursively in two dimensions by what
 * the workers can do ("greedy two dimensional partition"), so that a part's shape, and with it the
 * border that is sent, fits the layer.
 *
 * Modelled: the recursion, layer by layer. A set of workers takes a range of rows; either its
 * fastest member computes all of it, or set and range are halved, the range as the halves'
 * speeds, and each half goes on by itself. The cheaper by compute and border rows wins, so late
 * layers, small and wide in channels, end on few workers and early ones on many.
 * Not: kerf's only spatial tile is a band of rows. A grid of r x c parts becomes r * c nested bands,
 * whose borders are longer than the grid's: what the paper gains over MoDNN in bytes by parts of
 * two dimensions is not to be had here. Its structured pruning changes the model and is none of a
 * planner's business; as in modnn, what cannot be cut runs whole.
 */
#include "plan/fused.h"
#include "plan/policy.h"

#include <math.h>

struct layer {
	const struct kerf_fused *f;
	uint32_t j;
	const uint32_t *worker;
	const double *speed;
	double part[KERF_MAX_ENGINES]; /* the answer */
};

/* Rows beside its own that a part fetches from a neighbour, who has to send as many. */
static double border_s(const struct layer *l, uint32_t a, uint32_t b)
{
	const struct kerf_problem *p = l->f->p;
	double bytes = l->f->block[l->j].in_bytes * kerf_fused_halo_in(l->f, l->j, l->j) / 2;
	uint32_t from = p->engine[l->worker[a]].node, to = p->engine[l->worker[b]].node;

	return fmax(kerf_fused_move_s(p, from, to, bytes), kerf_fused_move_s(p, to, from, bytes));
}

/* The least time for part of the layer by workers [a, b), parts in l->part. */
static double divide(struct layer *l, uint32_t a, uint32_t b, double part)
{
	const struct kerf_problem *p = l->f->p;
	double kept[KERF_MAX_ENGINES], left = 0, right = 0, alone, both;
	uint32_t mid = a + (b - a) / 2, best = a, w;

	for (w = a; w < b; w++) {
		if (l->speed[w] > l->speed[best])
			best = w;
		*(w < mid ? &left : &right) += l->speed[w];
	}
	alone = kerf_fused_band_s(l->f, l->j, l->j, l->worker[best], part) +
		p->engine[l->worker[best]].job_s;
	if (b - a > 1) {
		both = fmax(divide(l, a, mid, part * left / (left + right)),
			    divide(l, mid, b, part * right / (left + right))) +
		       border_s(l, mid - 1, mid);
		if (both < alone)
			return both;
	}
	for (w = a; w < b; w++)
		kept[w] = w == best ? part : 0;
	for (w = a; w < b; w++)
		l->part[w] = kept[w];
	return alone;
}

static int lay_out(const struct kerf_fused *f, struct kerf_bands *b, uint32_t *most,
		   struct kerf_err *err)
{
	const struct kerf_problem *p = f->p;
	uint32_t worker[KERF_MAX_ENGINES], whole, j, n, w;
	double speed[KERF_MAX_ENGINES];
	int r = 0;

	for (j = 0; j < f->n && !r; j++) {
		const struct kerf_block *block = &f->block[j];
		struct layer l = {.f = f, .j = j, .worker = worker, .speed = speed};
		uint32_t used = 0;

		n = kerf_bands_workers(p, block->begin, block->end, worker);
		if (!block->rows || n < 2) {
			r = kerf_bands_best_engine(p, block->begin, block->end, &whole, err);
			if (!r)
				r = kerf_bands_whole(b, block->begin, block->end, whole);
			continue;
		}
		kerf_bands_speeds(p, block->begin, block->end, n, worker, speed);
		divide(&l, 0, n, 1);
		r = kerf_fused_tile(f, j, j, n, worker, l.part, b);
		for (w = 0; w < n; w++)
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
