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

#define ROUNDS 5

int kerf_policy_deepslicing(const struct kerf_problem *p, struct kerf_plan *plan,
			    struct kerf_err *err)
{
	struct kerf_fused_search o = {.always = true};
	struct kerf_choice c = {0};
	struct kerf_fused *f;
	int r = kerf_fused_make(p, KERF_FUSED_REACH, KERF_FUSED_BLOCKS, &f);

	if (r)
		return r;
	o.n_worker = kerf_fused_workers(f, o.worker, o.part);
	r = kerf_fused_rounds(f, &o, ROUNDS, "deepslicing", &c, err);
	kerf_fused_free(f);
	if (r)
		kerf_choice_drop(&c);
	return r ? r : kerf_choice_end(p, &c, plan, err);
}
