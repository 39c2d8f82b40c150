/* SPDX-License-Identifier: MIT */
/*
 * Moves rows, or channels, between neighbouring bands of a plan while that makes it better: the
 * last step of policy kerf, whoever the plan is from.
 */
#ifndef KERF_PLAN_REBALANCE_H
#define KERF_PLAN_REBALANCE_H

#include "plan/bands.h"

/*
 * Groups of a plan that kerf_bands_build() made, or would make the same: its steps are runs of
 * operators that follow one another. *bands is the caller's to finish. -EOPNOTSUPP for others;
 * -ENOMEM.
 */
int kerf_bands_of_plan(const struct kerf_problem *p, const struct kerf_plan *plan,
		       struct kerf_bands *bands);

/*
 * The best plan of a choice, or the nearest if there is none, is replaced by one with the same
 * groups whose bands have other sizes, if that is better. *moved: it was. 0 or -ENOMEM.
 */
int kerf_rebalance(const struct kerf_problem *p, struct kerf_choice *c, bool *moved);

#endif
