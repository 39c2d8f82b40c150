/* SPDX-License-Identifier: MIT */
/*
 * Cuts and bands together; kerf's own. Between blocks the value is in bands over some engines, or
 * whole on any one: the dynamic programme of fused.h, which for whole values alone is a shortest path
 * over (block, engine) as jointdnn's. So early layers may be in bands and late ones on the fastest
 * engine, or all on one where the network is slow. Tried for the two, three ... fastest
 * workers, home's always among them, with parts that are corrected as deepslicing does.
 */
#include "plan/fused.h"
#include "plan/policy.h"

#define ROUNDS 3

int kerf_policy_bands(const struct kerf_problem *p, struct kerf_plan *plan, struct kerf_err *err)
{
	struct kerf_fused_search all = {0}, some;
	struct kerf_choice c = {0};
	struct kerf_fused *f;
	uint32_t n;
	int r = kerf_fused_make(p, KERF_FUSED_REACH, KERF_FUSED_BLOCKS, &f);

	if (r)
		return r;
	all.n_worker = kerf_fused_workers(f, all.worker, all.part);
	kerf_fused_sort(p, &all);
	for (n = KERF_MIN(all.n_worker, 2); n <= all.n_worker && !r; n++) {
		some = all;
		some.n_worker = n;
		r = kerf_fused_rounds(f, &some, ROUNDS, "bands", &c, err);
	}
	kerf_fused_free(f);
	if (r)
		kerf_choice_drop(&c);
	return r ? r : kerf_choice_end(p, &c, plan, err);
}
