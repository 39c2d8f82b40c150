/* SPDX-License-Identifier: MIT */
/*
 * MCUNetV2: J. Lin, W.-M. Chen, H. Cai, C. Gan, S. Han, "MCUNetV2: Memory-efficient patch-based
 * inference for tiny deep learning", NeurIPS 2021.
 *
 * On one device: the first layers, whose maps are the largest, run patch by patch, so that only one
 * patch's maps are in memory at a time; the others run as ever.
 *
 * Modelled: the patches, one after the other on home's engine, and the search for how many layers
 * and patches need least memory: a patch's maps, what patches made so far, which is the paper's
 * buffer for the stage's output, and the whole input, which the paper may decode piece by piece
 * (whatever the goal's objective; its constraints hold). Not: the paper redistributes receptive
 * fields and searches architectures so that patches overlap less, which is training; its patches
 * are squares, here they are bands, so that more of a map is held at once.
 */
#include "plan/fused.h"
#include "plan/policy.h"

#include <math.h>
#include <stdio.h>

#define MOST_PATCHES 16
#define DEPTHS 8

static int try_patches(const struct kerf_problem *p, const struct kerf_fused *f,
		       const struct kerf_fused_head *h, struct kerf_choice *c)
{
	struct kerf_bands b = {0};
	int r = kerf_fused_head(f, h, &b, NULL);

	if (!r)
		kerf_bands_offer(p, &b, "mcunet-patch", c,
				 "the first %u operators in %u patches, one by one",
				 f->block[h->last].end, h->n_tile);
	kerf_bands_finish(&b);
	return r;
}

/*
 * Deeper stages leave less to the rest and more to a patch: first how deep, with as many patches as
 * there may be, then how few of them need no more memory.
 */
static int search(const struct kerf_problem *p, const struct kerf_fused *f, uint32_t e,
		  struct kerf_choice *c)
{
	uint32_t engine[MOST_PATCHES], last, i, best, step;
	struct kerf_fused_head h = {.engine = engine};
	struct kerf_choice deep = {0};
	double before;
	int r = 0;

	for (i = 0; i < MOST_PATCHES; i++)
		engine[i] = e;
	if (!kerf_fused_reach(f, &h.first, &last))
		return 0;
	best = h.meet = h.first;
	step = KERF_MAX((last - h.first) / DEPTHS, 1);
	for (h.last = h.first; h.last <= last && !r; h.last += step) {
		h.n_tile = (uint32_t)KERF_MIN(MOST_PATCHES, f->block[h.last].rows);
		before = deep.have ? deep.cost : INFINITY;
		r = try_patches(p, f, &h, &deep);
		if (deep.have && deep.cost < before)
			best = h.last;
	}
	kerf_choice_drop(&deep);
	h.last = best;
	for (h.n_tile = 2; h.n_tile <= KERF_MIN(MOST_PATCHES, f->block[best].rows) && !r;
	     h.n_tile += h.n_tile < 4 ? 1 : 2)
		r = try_patches(p, f, &h, c);
	return r;
}

int kerf_policy_mcunet(const struct kerf_problem *p, struct kerf_plan *plan, struct kerf_err *err)
{
	struct kerf_problem q = *p;
	struct kerf_choice c = {0};
	struct kerf_plan whole;
	struct kerf_fused *f;
	uint32_t e;
	int home = kerf_problem_home_engine(p, err), r;

	if (home < 0)
		return home;
	q.goal.objective = KERF_FOR_MEMORY;
	r = kerf_bands_home_engine(p, 0, p->graph->n_op, &e, err);
	if (!r && p->engine[e].node != p->home)
		r = kerf_fail(err, -ENODEV, "no engine of this node can run the whole model");
	if (!r)
		r = kerf_fused_make(p, KERF_FUSED_REACH, KERF_FUSED_BLOCKS, &f);
	if (r)
		return r;
	r = kerf_plan_whole(p, e, &whole, NULL);
	if (!r) {
		whole.policy = "mcunet-patch";
		snprintf(whole.reason, sizeof(whole.reason), "patches would need no less memory");
	}
	kerf_choice_offer(&q, &c, &whole, r);
	r = search(&q, f, e, &c);
	kerf_fused_free(f);
	if (r)
		kerf_choice_drop(&c);
	return r ? r : kerf_choice_end(&q, &c, plan, err);
}
