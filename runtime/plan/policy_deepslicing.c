/* SPDX-License-Identifier: MIT */
/*
 * DeepSlicing: S. Zhang, S. Zhang, Z. Qian, J. Wu, Y. Jin, S. Lu, "DeepSlicing: Collaborative and
 * adaptive CNN inference with low latency", IEEE TPDS 32(9), 2021.
 *
 * The model, any DAG, is cut into blocks at synchronisation points; within a block each worker
 * computes a range of rows, whose ranges in all earlier layers follow by going back through the
 * block. The "proportional synchronized scheduler" trades overlap against synchronisation: it
 * chooses the points, and parts such that all workers reach a point at the same time.
 *
 * Modelled: cross-layer ranges over DAGs, synchronisation points by dynamic programming, parts
 * that are corrected in rounds by how long each worker computed and waited for rows, as the priced
 * plan says, the best round kept. Not: the paper's threads that overlap a worker's own computing
 * and sending; parts that change while a session runs (a new plan does that).
 */
#include "plan/fused.h"
#include "plan/policy.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#define ROUNDS 5

/* Seconds that each worker computes, and that its pieces take to come, in this plan. */
static void worker_times(const struct kerf_problem *p, const struct kerf_plan *plan,
			 const struct kerf_fused_search *o, double *time)
{
	uint32_t i, w, k = 0;

	memset(time, 0, KERF_MAX_ENGINES * sizeof(*time));
	for (i = 0; i < plan->n_step; i++) {
		const struct kerf_plan_step *s = &plan->step[i];
		double start = INFINITY, end = 0;

		for (; k < plan->n_edge && plan->edge[k].to == i; k++)
			if (plan->edge[k].bytes > 0) {
				start = fmin(start, plan->edge[k].start_s);
				end = fmax(end, plan->edge[k].end_s);
			}
		for (w = 0; w < o->n_worker; w++)
			if (o->worker[w] == s->engine && s->rows.end)
				time[w] += s->compute_s + fmax(end - start, 0);
	}
}

/* Parts move halfway to where all would take the same time; false if they stay. */
static bool correct(struct kerf_fused_search *o, const double *time)
{
	double sum = 0, most = 0, least = INFINITY;
	uint32_t w;

	for (w = 0; w < o->n_worker; w++) {
		if (o->part[w] <= 0 || time[w] <= 0)
			continue;
		most = fmax(most, time[w]);
		least = fmin(least, time[w]);
		o->part[w] /= sqrt(time[w]);
	}
	for (w = 0; w < o->n_worker; w++)
		sum += o->part[w];
	for (w = 0; w < o->n_worker && sum > 0; w++)
		o->part[w] /= sum;
	return most > 1.02 * least;
}

int kerf_policy_deepslicing(const struct kerf_problem *p, struct kerf_plan *plan,
			    struct kerf_err *err)
{
	struct kerf_fused_search o = {.always = true};
	double time[KERF_MAX_ENGINES], sum = 0, s;
	struct kerf_choice c = {0};
	struct kerf_bands b = {0};
	struct kerf_plan tried;
	struct kerf_fused *f;
	uint32_t w, round;
	bool again = true;
	int r = kerf_fused_make(p, KERF_FUSED_REACH, KERF_FUSED_BLOCKS, &f);

	if (r)
		return r;
	o.n_worker = kerf_fused_workers(f, o.worker, o.part);
	for (w = 0; w < o.n_worker; w++)
		sum += o.part[w];
	for (w = 0; w < o.n_worker; w++)
		o.part[w] /= sum;
	for (round = 0; round < ROUNDS && again && !r; round++) {
		r = kerf_fused_search(f, &o, &b, &s, err);
		if (!r)
			r = kerf_bands_build(p, &b, &tried, err);
		kerf_bands_finish(&b);
		if (r)
			break;
		worker_times(p, &tried, &o, time);
		again = correct(&o, time);
		tried.policy = "deepslicing";
		snprintf(tried.reason, sizeof(tried.reason),
			 "blocks between synchronisations over %u engines, parts of round %u",
			 o.n_worker, round + 1);
		kerf_choice_offer(p, &c, &tried, 0);
	}
	kerf_fused_free(f);
	if (r)
		kerf_choice_drop(&c);
	return r ? r : kerf_choice_end(p, &c, plan, err);
}
