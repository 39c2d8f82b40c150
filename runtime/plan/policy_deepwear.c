/* SPDX-License-Identifier: MIT */
/*
 * DeepWear: Xu, Qian, Zhu, Huang, Pushp, Liu, "DeepWear: adaptive local offloading for on-wearable
 * deep learning", IEEE Transactions on Mobile Computing 19(2), 2020.
 *
 * Modelled. A wearable gives the tail of a network to its paired handheld.
 *   - Contraction: networks repeat small subgraphs (an Inception module, a residual block). A
 *     repeated one is taken for one node, and is never cut within. Subgraphs here are what lies
 *     between two positions at which one value alone is live; two are the same if their operators
 *     are of the same kinds and read each other in the same way, whatever the shapes.
 *   - Pruning: a cut that sends no less and computes no faster than an earlier one is no candidate.
 *   - Stream mode: when many inputs follow one another, both devices and the link work at the same
 *     time, and the longest stage counts (goal: period). Otherwise it is one request's latency or
 *     energy. In stream mode nothing is pruned: a later cut may balance the stages better.
 *
 * Not modelled: the paper finds repeated subgraphs of any shape by mining; its choice by battery
 * levels, screen and processor state of both devices is left to the goal's weights and the
 * engines' costs; nothing predicts whether the user's interactive work would suffer. Every pair
 * of an engine of home and another one is tried.
 */
#include "plan/policy.h"
#include "plan/scan.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static uint64_t mix(uint64_t h, uint64_t x)
{
	return (h ^ x) * 0x100000001b3u;
}

/* What a block's operators are and how they read each other; equal for equal structure. */
static uint64_t block_print(const struct kerf_graph *g, uint32_t begin, uint32_t end)
{
	uint64_t h = 0xcbf29ce484222325u;
	uint32_t o;
	const char *c;
	int k;

	for (o = begin; o < end; o++) {
		const struct kerf_op *op = &g->op[o];

		for (c = op->def->name; *c; c++)
			h = mix(h, (unsigned char)*c);
		h = mix(h, (uint64_t)op->n_out << 8 | (uint64_t)op->act.kind);
		for (k = 0; k < op->n_in; k++) {
			const struct kerf_value *v = op->in[k] < 0 ? NULL : &g->value[op->in[k]];
			uint64_t from = !v			 ? 1
					: kerf_value_is_const(v) ? 2
					: v->producer < (int32_t)begin
						? 3
						: 4 + o - (uint32_t)v->producer;

			h = mix(h, from);
		}
	}
	return h;
}

static int by_value(const void *a, const void *b)
{
	const uint64_t *x = a, *y = b;

	return (*x > *y) - (*x < *y);
}

/* allowed[k] for positions that are not within a repeated block. */
static int contract(const struct kerf_problem *p, bool *allowed)
{
	const struct kerf_outline *x = p->outline;
	uint32_t n = x->n_narrow - 1, i, k;
	uint64_t *print = malloc((2 * (size_t)n + 1) * sizeof(*print)), *sorted = print + n;

	if (!print)
		return -ENOMEM;
	for (i = 0; i < n; i++)
		print[i] = block_print(p->graph, x->narrow[i], x->narrow[i + 1]);
	memcpy(sorted, print, n * sizeof(*print));
	qsort(sorted, n, sizeof(*sorted), by_value);
	for (k = 0; k <= p->graph->n_op; k++)
		allowed[k] = true;
	for (i = 0; i < n; i++) {
		const uint64_t *one = bsearch(&print[i], sorted, n, sizeof(*sorted), by_value);
		bool repeated = (one > sorted && one[-1] == *one) ||
				(one + 1 < sorted + n && one[1] == *one);

		for (k = x->narrow[i] + 1; repeated && k < x->narrow[i + 1]; k++)
			allowed[k] = false;
	}
	free(print);
	return 0;
}

/* What earlier candidates of a pair send and compute: the one that sends least, and the fastest. */
struct front {
	bool any;
	double least_bytes, least_bytes_s, fastest_s, fastest_bytes;
};

static bool dominated(struct front *f, double bytes, double compute_s)
{
	if (f->any && ((f->least_bytes <= bytes && f->least_bytes_s <= compute_s) ||
		       (f->fastest_s <= compute_s && f->fastest_bytes <= bytes)))
		return true;
	if (!f->any || bytes < f->least_bytes) {
		f->least_bytes = bytes;
		f->least_bytes_s = compute_s;
	}
	if (!f->any || compute_s < f->fastest_s) {
		f->fastest_s = compute_s;
		f->fastest_bytes = bytes;
	}
	f->any = true;
	return false;
}

/* The best cut of a pair; the number of candidates looked at. */
static uint32_t try_pair(const struct kerf_scan *s, const bool *allowed, struct kerf_scan_cut *best)
{
	bool prune = s->p->goal.objective == KERF_FOR_LATENCY;
	struct front front = {.any = false};
	struct kerf_scan_cut cut;
	uint32_t k, n = 0;

	for (k = 0; k <= s->n; k++) {
		if (!allowed[k] && k != s->p->goal.keep)
			continue;
		kerf_scan_at(s, k, KERF_CODEC_NONE, &cut);
		/* Whatever misses a limit may not keep others from being looked at. */
		if (cut.runs && cut.violation <= 0 && prune && k < s->n &&
		    dominated(&front, kerf_scan_live_bytes(s, k, KERF_CODEC_NONE),
			      cut.here_s + cut.there_s + cut.down_s))
			continue;
		n++;
		if (kerf_scan_better(&cut, best))
			*best = cut;
	}
	return n;
}

int kerf_policy_deepwear(const struct kerf_problem *p, struct kerf_plan *plan, struct kerf_err *err)
{
	bool stream = p->goal.objective == KERF_FOR_PERIOD;
	uint32_t here = UINT32_MAX, there = UINT32_MAX, n = 0;
	struct kerf_scan_cut best = {.runs = false};
	struct kerf_scan scan;
	bool *allowed;
	size_t at;
	int r = kerf_scan_begin(&scan, p, err);

	if (r)
		return r;
	allowed = malloc((size_t)scan.n + 1);
	r = allowed ? contract(p, allowed) : -ENOMEM;
	if (r) {
		free(allowed);
		kerf_scan_finish(&scan);
		return r;
	}
	while (kerf_scan_next_pair(p, &here, &there)) {
		kerf_scan_pair(&scan, here, there);
		n += try_pair(&scan, allowed, &best);
	}
	free(allowed);
	r = kerf_scan_end(&scan, &best, "deepwear", plan, err);
	if (r)
		return r;
	at = strlen(plan->reason);
	snprintf(plan->reason + at, sizeof(plan->reason) - at, "; %u candidate%s left%s", n,
		 n == 1 ? "" : "s", stream ? ", stream mode" : "");
	return 0;
}
