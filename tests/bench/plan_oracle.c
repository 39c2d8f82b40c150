/* SPDX-License-Identifier: MIT */
/*
 * Policy kerf against brute force: random problems of up to 12 operators and 3 engines, every
 * assignment priced. Prints how many plans cost what the best assignment costs, and fails if any
 * costs more. usage: plan_oracle [PROBLEMS [SEED]]
 */
#include "plan_random.h"
#include "util/clock.h"

int main(int argc, char **argv)
{
	unsigned long n = argc > 1 ? strtoul(argv[1], NULL, 10) : 10000, i;
	unsigned long equal = 0, none = 0, worse = 0;
	uint64_t seed = argc > 2 ? strtoull(argv[2], NULL, 10) : 1, ns = 0;
	const struct kerf_policy *policy = kerf_policy_find("kerf");
	struct random_kind kind = {.min_ops = 2, .max_ops = 12, .engines = 3};
	struct kerf_rng rng;

	kerf_rng_seed(&rng, seed);
	for (i = 0; i < n; i++) {
		struct random_problem r;
		struct kerf_search *x;
		struct kerf_plan plan;
		double best, cost = INFINITY;
		uint64_t begin;

		kind.chain = !kerf_rng_below(&rng, 8);
		random_problem(&r, &rng, &kind);
		if (kerf_search_make(&r.p, &x))
			abort();
		best = brute_force(&r.p, x);
		kerf_search_free(x);
		begin = kerf_now_ns();
		if (!policy->plan(&r.p, &plan, NULL)) {
			cost = plan.total_s;
			kerf_plan_finish(&plan);
		}
		ns += kerf_now_ns() - begin;
		if (best == INFINITY && cost == INFINITY)
			none++;
		else if (cost <= best * (1 + 1e-9))
			equal++;
		else if (worse++ < 10)
			printf("problem %lu: %u operators: %.9g s, the best %.9g s\n", i, r.g->n_op, cost,
			       best);
		random_problem_finish(&r);
	}
	printf("%lu equal, %lu worse, %lu without any plan; kerf took %.1f us a problem\n", equal,
	       worse, none, (double)ns * 1e-3 / (double)n);
	return worse ? 1 : 0;
}
