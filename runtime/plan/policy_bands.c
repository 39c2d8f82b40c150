/* SPDX-License-Identifier: MIT */
/*
 * Cuts and bands together; kerf's own. Between blocks the value is in bands over some engines, or
 * whole on any one: the dynamic programme of fused.h, which for whole values alone is a shortest
 * path over (block, engine) as jointdnn's. So early layers may be in bands and late ones on the
 * fastest engine, or all on one where the network is slow. Tried for the two, three ... fastest
 * workers, home's always among them, with parts that are corrected as deepslicing does.
 */
#include "plan/fused.h"
#include "plan/policy.h"

#define ROUNDS 3

static int try_workers(const struct kerf_fused *f, struct kerf_fused_search *search,
		       struct kerf_choice *c, struct kerf_err *err)
{
	return kerf_fused_rounds(f, search, ROUNDS, "bands", c, err);
}

int kerf_policy_bands(const struct kerf_problem *p, struct kerf_plan *plan, struct kerf_err *err)
{
	const struct kerf_fused_search search = {.always = false};

	return kerf_fused_widths(p, &search, try_workers, plan, err);
}
