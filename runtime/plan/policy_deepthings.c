/* SPDX-License-Identifier: MIT */
/*
 * DeepThings: Z. Zhao, K. M. Barijough, A. Gerstlauer, "DeepThings: Distributed adaptive deep
 * learning inference on resource-constrained IoT edge clusters", IEEE TCAD 37(11), 2018.
 *
 * The early layers, whose maps are large and weights small, are fused and cut into a grid of
 * tiles ("fused tile partitioning"), each an independent task that needs a fraction of the memory.
 * There are more tiles than nodes: idle nodes steal tiles from those that have some left. What
 * neighbouring tiles both need is computed once where the order of tiles allows it ("data
 * reuse"). The gateway runs the other layers.
 *
 * Modelled: fused tiles, in bands; more tiles than nodes; stealing as it ends when tiles take what
 * they are expected to take: each goes to the node that would be done with it first. How deep to
 * fuse and how many tiles to make, parameters there, are searched: of those that should answer
 * first, the cheapest plan that needs less memory than the whole model at home. Data reuse: a
 * second form of each plan, in which tiles get what they share at one point in the middle of the
 * fused layers from the neighbour that made it, instead of computing it again. Memory as priced: a
 * tile's maps, the image at home, and what tiles made so far. Not: stealing at run time, when a
 * node is slower than expected; reuse at every layer; grids.
 */
#include "plan/fused.h"
#include "plan/policy.h"

#include <math.h>
#include <stdio.h>

/* The paper's finest grid, 5 x 5. */
#define MOST_TILES 25

struct found {
	double whole_bytes; /* that the whole model at home needs */
	struct kerf_choice less, more; /* plans that need less than that, and others */
};

static int try_head(const struct kerf_fused *f, const struct kerf_fused_head *head,
		    struct found *found)
{
	struct kerf_bands b = {0};
	struct kerf_plan plan;
	int r = kerf_fused_head(f, head, &b, NULL);

	if (!r)
		r = kerf_bands_build(f->p, &b, &plan, NULL);
	kerf_bands_finish(&b);
	if (!r) {
		plan.policy = "deepthings";
		snprintf(plan.reason, sizeof(plan.reason),
			 "the first %u operators fused, in %u tiles%s", f->block[head->last].end,
			 head->n_tile,
			 head->meet > head->first ? ", which share rows in the middle" : "");
	}
	kerf_choice_offer(f->p, !r && plan.memory_bytes < found->whole_bytes ? &found->less
									     : &found->more,
			  &plan, r);
	return r == -ENOMEM ? r : 0;
}

/* What should answer first; and if none of that needs less memory, whatever does. */
static int try_heads(const struct kerf_fused *f, struct found *found)
{
	uint32_t worker[KERF_MAX_ENGINES], engine[MOST_TILES], n, n_try, i, last;
	struct kerf_fused_try tries[KERF_FUSED_TRIES];
	struct kerf_fused_head h = {.engine = engine};
	double speed[KERF_MAX_ENGINES];
	int r = 0;

	n = kerf_fused_workers(f, worker, speed);
	n_try = kerf_fused_heads(f, false, MOST_TILES, n, worker, tries);
	for (i = 0; i < n_try && !r; i++) {
		kerf_fused_reach(f, &h.first, &last);
		h.last = tries[i].last;
		h.n_tile = tries[i].n_tile;
		kerf_fused_deal(f, &h, n, worker, engine);
		h.meet = h.first;
		r = try_head(f, &h, found);
		h.meet = h.first + (h.last + 1 - h.first) / 2;
		if (!r && h.meet > h.first)
			r = try_head(f, &h, found);
	}
	if (!n_try || found->less.have || !kerf_fused_reach(f, &h.first, &last))
		return r;
	h.meet = h.first;
	for (h.last = h.first; h.last <= last && !found->less.have && !r; h.last++) {
		h.n_tile = (uint32_t)KERF_MIN(MOST_TILES, f->block[h.last].rows);
		kerf_fused_deal(f, &h, n, worker, engine);
		r = try_head(f, &h, found);
	}
	return r;
}

int kerf_policy_deepthings(const struct kerf_problem *p, struct kerf_plan *plan,
			   struct kerf_err *err)
{
	struct found found = {.whole_bytes = INFINITY};
	struct kerf_plan whole;
	struct kerf_fused *f;
	uint32_t e;
	int r = kerf_bands_home_engine(p, 0, p->graph->n_op, &e, err);

	if (!r)
		r = kerf_fused_make(p, KERF_FUSED_REACH, KERF_FUSED_BLOCKS, &f);
	if (r)
		return r;
	r = kerf_plan_whole(p, e, &whole, NULL);
	if (!r) {
		found.whole_bytes = whole.memory_bytes;
		whole.policy = "deepthings";
		snprintf(whole.reason, sizeof(whole.reason), "no tiles: everything on %s",
			 p->engine[e].name);
	}
	kerf_choice_offer(p, &found.more, &whole, r);
	r = try_heads(f, &found);
	kerf_fused_free(f);
	if (found.less.have && !r) {
		kerf_choice_drop(&found.more);
		return kerf_choice_end(p, &found.less, plan, err);
	}
	kerf_choice_drop(&found.less);
	if (r) {
		kerf_choice_drop(&found.more);
		return r;
	}
	return kerf_choice_end(p, &found.more, plan, err);
}
