/* SPDX-License-Identifier: MIT */
/* Whether a plan computes the model: what a session may take for granted. */
#ifndef KERF_PLAN_PLAN_CHECK_H
#define KERF_PLAN_PLAN_CHECK_H

#include "plan/plan.h"

/*
 * 0 if every step is a slice of g that can be made (convex; tiles have what they need) and comes
 * after those it reads from, pieces make up every input of every step exactly, each made
 * where it comes from, and all outputs of the model (of an exit: that one; others whole or not at
 * all) come home exactly. So everything that outputs need is computed; tiles may compute the same.
 * Else -EINVAL with a sentence that names step and value; -ENOMEM.
 *
 * Engines are not looked at, nor is what is predicted. The plan may come from anywhere: any
 * number in it may be wrong.
 */
int kerf_plan_check(struct kerf_graph *g, const struct kerf_plan *plan, struct kerf_err *err);

#endif
