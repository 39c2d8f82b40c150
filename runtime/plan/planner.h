/* SPDX-License-Identifier: MIT */
/*
 * A policy asked again and again as the state changes. Policy kerf keeps its search and its last
 * result: after the first time it goes on from there and asks, of the other policies, the one whose
 * plan it took, if it took one. Those that tile are asked again when a link's rate or an engine's
 * time is half as large again, or two thirds, of what it was when they were asked (of large
 * graphs one a time, until all were), and else one each 16th time, by turns. All policies are asked
 * again when the goal changes, or none of these plans meets it any more. Any other policy is simply
 * called. One thread at a time.
 */
#ifndef KERF_PLAN_PLANNER_H
#define KERF_PLAN_PLANNER_H

#include "plan/plan.h"

struct kerf_planner;

/* p: as for kerf_search_make(). 0 or -ENOMEM. */
int kerf_planner_new(const struct kerf_problem *p, const struct kerf_policy *policy,
		     struct kerf_planner **pl);
void kerf_planner_free(struct kerf_planner *pl); /* NULL allowed */

/* As kerf_policy_fn; p is the same graph, engines and nodes as before, in another state. */
int kerf_planner_plan(struct kerf_planner *pl, const struct kerf_problem *p,
		      struct kerf_plan *plan, struct kerf_err *err);

#endif
