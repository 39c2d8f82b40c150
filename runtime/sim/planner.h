/* SPDX-License-Identifier: MIT */
/* Inside a simulation: who plans for the homes. */
#ifndef KERF_SIM_PLANNER_H
#define KERF_SIM_PLANNER_H

#include "sim/sim.h"

int kerf_sim_planner_new(struct kerf_sim *sim, kerf_sim_load_fn load, void *user,
			 struct kerf_err *err);
void kerf_sim_planner_free(struct kerf_sim_planner *p); /* NULL allowed */

/*
 * link_class[i]: links of the world of one class have one model and are traced alike. Called when
 * the world's homes are there. 0 or -ENOMEM.
 */
int kerf_sim_planner_begin(struct kerf_sim *sim, uint32_t *link_class);

/* As kerf_sim_world's choose and drop; user is the simulation. */
const struct kerf_flow *kerf_sim_choose(void *user, uint32_t home, uint32_t model, double now,
					bool again, void **plan);
void kerf_sim_drop(void *user, void *plan);

/* Engine class of an engine of the world, by its name's place in the scenario. */
uint32_t kerf_sim_engine_class(const struct kerf_sim *sim, uint32_t engine);

#endif
