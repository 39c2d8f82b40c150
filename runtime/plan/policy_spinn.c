/* SPDX-License-Identifier: MIT */
/*
 * SPINN: Laskaridis, Venieris, Almeida, Leontiadis, Lane, "SPINN: synergistic progressive inference
 * of neural networks over device and cloud", MobiCom 2020.
 *
 * Modelled. The network has early exits. Exit, split point and the compression of what crosses the
 * split are chosen together: all combinations are looked at, those that break a hard constraint
 * go, and of the others the best by soft targets in the order of their priority is taken.
 *
 * How it is mapped. Hard: the goal's deadline, accuracy floor, memory and operators to keep. Soft,
 * in this order: the goal's objective; accuracy; work given to the other node (the paper's server
 * cost). The paper's users put targets in order; here the order is this one. Costs are real
 * numbers, so the later targets decide between all combinations whose cost is within 1 % of the
 * best. Without an accuracy floor nothing speaks against the
 * first exit: that is the paper's rule too, where accuracy is then no requirement. Compression is a
 * codec that the goal allows, for float32 values on the cut. Splits are positions in the
 * topological order (scan.h); every pair of an engine of home and another one is tried.
 *
 * Not modelled: the paper decides for each input, by the confidence of an exit's answer against a
 * threshold, whether to go on; a kerf plan takes one exit for all, with the accuracy measured for
 * it. When the link fails SPINN answers from the last exit passed; kerf's sessions plan anew.
 */
#include "plan/policy.h"
#include "plan/scan.h"

#include <math.h>
#include <string.h>

#define NEARLY 1.01

struct search {
	const struct kerf_problem *p;
	double cost; /* pass 2: what the first target allows; pass 1: INFINITY */
	double accuracy;
	struct kerf_scan_cut best;
};

static double work_away(const struct search *x, const struct kerf_scan_cut *c)
{
	return x->p->engine[c->there].node == x->p->home ? 0 : c->there_s;
}

/* Of equals by goal: more accurate, then less work for others, then cheaper. */
static bool softly_better(const struct search *x, const struct kerf_scan_cut *a)
{
	const struct kerf_scan_cut *b = &x->best;

	if (!a->runs || a->violation > 0 || a->cost > x->cost)
		return false;
	if (!b->runs || a->accuracy != b->accuracy)
		return !b->runs || a->accuracy > b->accuracy;
	if (work_away(x, a) != work_away(x, b))
		return work_away(x, a) < work_away(x, b);
	return a->cost < b->cost;
}

static void look(struct kerf_scan *s, struct search *x)
{
	uint32_t here = UINT32_MAX, there = UINT32_MAX, codecs = kerf_scan_codecs(x->p), k, codec;
	struct kerf_scan_cut cut;

	while (kerf_scan_next_pair(x->p, &here, &there)) {
		kerf_scan_pair(s, here, there);
		for (k = 0; k <= s->n; k++)
			for (codec = 0; codec < KERF_N_CODECS; codec++) {
				if (!(codecs >> codec & 1))
					continue;
				kerf_scan_at(s, k, (enum kerf_codec)codec, &cut);
				if (isfinite(x->cost) ? softly_better(x, &cut)
						      : kerf_scan_better(&cut, &x->best))
					x->best = cut;
			}
	}
}

/* One pass over everything; with the final best its plan is offered too. */
static int pass(struct search *x, struct kerf_choice *choice)
{
	int32_t exit, n_exit = x->p->goal.exits ? (int32_t)x->p->graph->n_exit : 0;
	struct kerf_scan scan;
	int r;

	for (exit = -1; exit < n_exit; exit++) {
		r = kerf_scan_make(&scan, x->p, exit);
		if (r)
			return r;
		if (!choice)
			look(&scan, x);
		else if (x->best.exit == exit)
			kerf_scan_offer(&scan, &x->best, choice);
		kerf_scan_finish(&scan);
	}
	return 0;
}

int kerf_policy_spinn(const struct kerf_problem *p, struct kerf_plan *plan, struct kerf_err *err)
{
	struct search x = {.p = p, .cost = INFINITY};
	struct kerf_choice choice = {0};
	int r = kerf_problem_home_engine(p, err);

	if (r < 0)
		return r;
	r = pass(&x, NULL);
	if (!r && x.best.runs && x.best.violation <= 0) {
		x.cost = x.best.cost * NEARLY;
		r = pass(&x, NULL);
	}
	if (!r && x.best.runs)
		r = pass(&x, &choice);
	if (r) {
		kerf_choice_drop(&choice);
		return r;
	}
	r = kerf_choice_end(p, &choice, plan, err);
	if (!r)
		plan->policy = "spinn";
	return r;
}
