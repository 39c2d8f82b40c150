/* SPDX-License-Identifier: MIT */
/* Plans of every policy, with tiles and pipelines, alone in the simulator: as they are priced. */
#include "ops/random_graph.h"
#include "unit/spatial_rig.h"

#include "sim/sim.h"

static void test_plans_of_all_policies_alone(void **state)
{
	uint32_t i, planned = 0, tiled = 0, others = 0;
	const struct kerf_policy *policy;
	struct kerf_rng rng;
	uint64_t seed;

	kerf_rng_seed(&rng, 5);
	for (seed = 1; seed <= 100; seed++) {
		struct kerf_err err = {""};
		struct kerf_graph *g = rg_make(seed, 4 + (int)(seed % 14), &err);
		struct rig x;

		if (!g)
			continue;
		rig_random(&x, g, &rng);
		for (i = 0; (policy = kerf_policy_at(i)); i++) {
			struct kerf_plan plan;
			double alone;
			uint32_t k;

			if (policy->plan(&x.p, &plan, NULL))
				continue;
			assert_int_equal(kerf_sim_alone(&x.p, &plan, &alone), 0);
			if (!(fabs(alone - plan.total_s) <= 1e-12 * plan.total_s))
				fail_msg("seed %d, %s: %.12g alone, priced at %.12g", (int)seed,
					 policy->name, alone, plan.total_s);
			planned++;
			for (k = 0; k < plan.n_step; k++)
				tiled += plan.step[k].rows.end > 0;
			for (k = 0; k < plan.n_edge; k++)
				others += plan.edge[k].bytes > 0 &&
					  plan.edge[k].from != KERF_PLAN_HOME &&
					  plan.edge[k].to != KERF_PLAN_HOME &&
					  !plan.edge[k].relayed;
			kerf_plan_finish(&plan);
		}
		rig_drop(&x);
		kerf_graph_unref(g);
	}
	assert_true(planned > 500 && tiled > 500 && others > 100);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_plans_of_all_policies_alone),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
