/* SPDX-License-Identifier: MIT */
/* The policies, one file each; plan.h has the registry. */
#ifndef KERF_PLAN_POLICY_H
#define KERF_PLAN_POLICY_H

#include "plan/goal.h"
#include "plan/plan.h"

/* Everything on home's first engine. */
int kerf_policy_local(const struct kerf_problem *p, struct kerf_plan *plan, struct kerf_err *err);
/* Everything on one engine of another node, the best for the goal; of any node. */
int kerf_policy_remote(const struct kerf_problem *p, struct kerf_plan *plan, struct kerf_err *err);
int kerf_policy_best_single(const struct kerf_problem *p, struct kerf_plan *plan,
			    struct kerf_err *err);
/* One cut; see their files. */
int kerf_policy_neurosurgeon(const struct kerf_problem *p, struct kerf_plan *plan,
			     struct kerf_err *err);
int kerf_policy_dads(const struct kerf_problem *p, struct kerf_plan *plan, struct kerf_err *err);
int kerf_policy_qdmp(const struct kerf_problem *p, struct kerf_plan *plan, struct kerf_err *err);
int kerf_policy_deepwear(const struct kerf_problem *p, struct kerf_plan *plan,
			 struct kerf_err *err);
int kerf_policy_autosplit(const struct kerf_problem *p, struct kerf_plan *plan,
			  struct kerf_err *err);
/* The best that is found over the whole space. */
int kerf_policy_kerf(const struct kerf_problem *p, struct kerf_plan *plan, struct kerf_err *err);

/* Several cuts, exits, nodes that decide alone, a learner; see their files. */
int kerf_policy_jointdnn(const struct kerf_problem *p, struct kerf_plan *plan,
			 struct kerf_err *err);
int kerf_policy_spinn(const struct kerf_problem *p, struct kerf_plan *plan, struct kerf_err *err);
int kerf_policy_edgent(const struct kerf_problem *p, struct kerf_plan *plan, struct kerf_err *err);
int kerf_policy_crime(const struct kerf_problem *p, struct kerf_plan *plan, struct kerf_err *err);
int kerf_policy_cogent(const struct kerf_problem *p, struct kerf_plan *plan, struct kerf_err *err);

/* problem.cut operators at home, the rest away. */
int kerf_policy_cut(const struct kerf_problem *p, struct kerf_plan *plan, struct kerf_err *err);

/* Spatial: tiles in bands of rows (bands.h). Each file tells its paper. */
int kerf_policy_modnn(const struct kerf_problem *p, struct kerf_plan *plan, struct kerf_err *err);
int kerf_policy_mednn(const struct kerf_problem *p, struct kerf_plan *plan, struct kerf_err *err);
int kerf_policy_coedge(const struct kerf_problem *p, struct kerf_plan *plan, struct kerf_err *err);
int kerf_policy_deepthings(const struct kerf_problem *p, struct kerf_plan *plan,
			   struct kerf_err *err);
int kerf_policy_aofl(const struct kerf_problem *p, struct kerf_plan *plan, struct kerf_err *err);
int kerf_policy_deepslicing(const struct kerf_problem *p, struct kerf_plan *plan,
			    struct kerf_err *err);
/* Cuts and bands together, of our own. */
int kerf_policy_bands(const struct kerf_problem *p, struct kerf_plan *plan, struct kerf_err *err);
/* Inexact: for goal.inexact alone. */
int kerf_policy_adcnn(const struct kerf_problem *p, struct kerf_plan *plan, struct kerf_err *err);
int kerf_policy_mcunet(const struct kerf_problem *p, struct kerf_plan *plan, struct kerf_err *err);
/* Channels: each engine makes some channels of a layer's output. */
int kerf_policy_decnn(const struct kerf_problem *p, struct kerf_plan *plan, struct kerf_err *err);
int kerf_policy_fcsplit(const struct kerf_problem *p, struct kerf_plan *plan, struct kerf_err *err);
/* A pipeline of stages in bands. */
int kerf_policy_pico(const struct kerf_problem *p, struct kerf_plan *plan, struct kerf_err *err);

/* Prices all operators on engine e. */
int kerf_plan_whole(const struct kerf_problem *p, uint32_t e, struct kerf_plan *plan,
		    struct kerf_err *err);

/* Offers everything on engine e. */
void kerf_choice_whole(const struct kerf_problem *p, uint32_t e, struct kerf_choice *choice);

/* First engine of home; -ENODEV with a sentence if there is none. */
int kerf_problem_home_engine(const struct kerf_problem *p, struct kerf_err *err);

#endif
