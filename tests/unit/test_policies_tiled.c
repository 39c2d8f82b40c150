/* SPDX-License-Identifier: MIT */
/*
 * Every policy on graphs that tile, over clusters and goals of every kind: what it answers can be
 * run and meets the goal, what it cannot do it says, and kerf's plan is never worse. Who is asked
 * again in another state has a plan whenever there is one.
 */
#include "ops/random_graph.h"
#include "plan/plan_check.h"
#include "plan/planner.h"
#include "unit/graph_build.h"
#include "unit/spatial_rig.h"

static double between(struct kerf_rng *rng, double low, double high)
{
	return low + (high - low) * (double)kerf_rng_float(rng);
}

static bool one_in(struct kerf_rng *rng, uint64_t n)
{
	return !kerf_rng_below(rng, n);
}

/* One to five nodes, perhaps two engines on one; some links are missing, to home and back too. */
static void random_cluster(struct rig *x, struct kerf_graph *g, struct kerf_rng *rng)
{
	uint32_t n = 1 + (uint32_t)kerf_rng_below(rng, 5), i, k;
	double speed[KERF_MAX_ENGINES], rate = 1e6 * pow(100, (double)kerf_rng_float(rng));

	for (i = 0; i < n; i++)
		speed[i] = 1e8 * pow(10, (double)kerf_rng_float(rng));
	rig_make(x, g, n, speed, rate, 1e-4);
	if (n > 1 && one_in(rng, 3)) {
		x->p.n_node = n - 1;
		x->p.engine[n - 1].node = (uint32_t)kerf_rng_below(rng, n - 1);
	}
	n = x->p.n_node;
	x->p.home = (uint32_t)kerf_rng_below(rng, n);
	for (i = 0; i < n; i++)
		for (k = 0; k < n; k++) {
			bool home = i == x->p.home || k == x->p.home;

			if (i != k && one_in(rng, home ? 12 : 3))
				x->link[i * n + k].rate_bytes_s = 0;
		}
	for (i = 0; i < n; i++) {
		x->node[i].idle_w = between(rng, 0, 3);
		x->node[i].codec_byte_s[KERF_CODEC_F16] = between(rng, 0, 1e-8);
		x->node[i].codec_byte_s[KERF_CODEC_INT8] = between(rng, 0, 1e-8);
	}
	if (one_in(rng, 3))
		x->op_s[kerf_rng_below(rng, g->n_op * x->p.n_engine)] = INFINITY;
}

/* Limits around what the whole model on home's engine takes. */
static void random_goal(struct rig *x, struct kerf_rng *rng)
{
	static const double loss[KERF_N_CODECS] = {0, 0.001, 0.02};
	struct kerf_goal *goal = &x->p.goal;
	struct kerf_plan plan;
	uint32_t e, i;

	goal->objective = (enum kerf_objective)kerf_rng_below(rng, KERF_FOR_WEIGHTED + 1);
	goal->latency_weight = between(rng, 0, 1);
	goal->energy_weight = between(rng, 0, 0.1);
	goal->period_weight = between(rng, 0, 1);
	goal->codecs = one_in(rng, 3) ? (uint32_t)kerf_rng_below(rng, 8) : 0;
	goal->inexact = one_in(rng, 3);
	goal->keep = one_in(rng, 4) ? (uint32_t)kerf_rng_below(rng, x->g->n_op + 1) : 0;
	if (one_in(rng, 2)) {
		x->g->accuracy = 0.9;
		x->p.codec_loss = loss;
	}
	if (one_in(rng, 4))
		goal->accuracy = between(rng, 0.85, 0.92);
	for (e = 0; x->p.engine[e].node != x->p.home; e++)
		if (e + 1 == x->p.n_engine)
			return;
	if (kerf_plan_whole(&x->p, e, &plan, NULL))
		return;
	if (one_in(rng, 3))
		goal->deadline_s = plan.total_s * between(rng, 0.3, 1.5);
	for (i = 0; i < x->p.n_node; i++)
		if (one_in(rng, 4))
			x->node[i].memory_bytes = plan.memory_bytes * between(rng, 0.3, 1.5);
	kerf_plan_finish(&plan);
}

static void check_plan(const struct rig *x, const struct kerf_policy *policy, uint64_t seed,
		       struct kerf_plan *plan)
{
	struct kerf_plan said = *plan;
	struct kerf_err err = {""};

	assert_string_equal(plan->policy, policy->name);
	assert_true(plan->reason[0]);
	if (kerf_plan_check(x->g, plan, &err) || kerf_plan_meets(&x->p, plan, &err))
		fail_msg("seed %llu, %s: %s", (unsigned long long)seed, policy->name, err.msg);
	assert_int_equal(kerf_plan_price(&x->p, plan), 0);
	assert_true(said.total_s == plan->total_s && said.period_s == plan->period_s &&
		    said.energy_j == plan->energy_j && said.memory_bytes == plan->memory_bytes &&
		    said.accuracy == plan->accuracy);
}

/* Plans where everything is quick, then where it is as it was: plans that a call finds. */
static bool plan_again(struct rig *x, const struct kerf_policy *kerf, uint64_t seed)
{
	const double quick = 1.0 / 64;
	uint32_t n_cell = x->g->n_op * x->p.n_engine, n_link = x->p.n_node * x->p.n_node, i;
	struct kerf_planner *planner;
	struct kerf_err err = {""};
	struct kerf_plan plan;
	bool found;

	assert_int_equal(kerf_planner_new(&x->p, kerf, &planner), 0);
	for (i = 0; i < n_cell; i++)
		x->op_s[i] *= quick;
	for (i = 0; i < n_link; i++)
		x->link[i].rate_bytes_s /= quick;
	found = !kerf_planner_plan(planner, &x->p, &plan, &err);
	if (found)
		kerf_plan_finish(&plan);
	for (i = 0; i < n_cell; i++)
		x->op_s[i] /= quick;
	for (i = 0; i < n_link; i++)
		x->link[i].rate_bytes_s *= quick;
	if (kerf_planner_plan(planner, &x->p, &plan, &err))
		fail_msg("seed %llu, asked again: %s", (unsigned long long)seed, err.msg);
	check_plan(x, kerf, seed, &plan);
	kerf_plan_finish(&plan);
	kerf_planner_free(planner);
	return found;
}

static void test_any_tiled_problem(void **state)
{
	unsigned plans = 0, tiled = 0, refused = 0, again = 0;
	struct kerf_rng rng;
	uint64_t seed;

	kerf_rng_seed(&rng, 1);
	for (seed = 200; seed < 240; seed++) {
		double best = INFINITY, ours = INFINITY;
		const char *winner = "";
		const struct kerf_policy *policy;
		struct kerf_err err = {""};
		struct kerf_graph *g = rg_make(seed, 2 + (int)(seed % 13), &err);
		struct rig x;
		uint32_t i, s;

		if (!g)
			continue;
		random_cluster(&x, g, &rng);
		random_goal(&x, &rng);
		for (i = 0; (policy = kerf_policy_at(i)); i++) {
			struct kerf_plan plan;
			int r = policy->plan(&x.p, &plan, &err);

			if (r) {
				if ((r != -EDOM && r != -ENODEV) || !err.msg[0])
					fail_msg("seed %llu, %s: %d, '%s'", (unsigned long long)seed,
						 policy->name, r, err.msg);
				err.msg[0] = 0;
				refused++;
				continue;
			}
			check_plan(&x, policy, seed, &plan);
			plans++;
			for (s = 0; s < plan.n_step; s++)
				tiled += plan.step[s].rows.end > 0 || plan.step[s].channels.end > 0;
			if (kerf_plan_cost(&x.p, &plan) < best) {
				best = kerf_plan_cost(&x.p, &plan);
				winner = policy->name;
			}
			if (!strcmp(policy->name, "kerf"))
				ours = kerf_plan_cost(&x.p, &plan);
			kerf_plan_finish(&plan);
		}
		if (!(ours <= best * (1 + 1e-9)) && best < INFINITY)
			fail_msg("seed %llu: kerf %g, %s %g", (unsigned long long)seed, ours, winner, best);
		if (ours < INFINITY)
			again += plan_again(&x, kerf_policy_find(NULL), seed);
		rig_drop(&x);
		kerf_graph_unref(g);
	}
	assert_true(plans > 200 && tiled > 300 && refused > 100 && again > 12);
}

/* Four convolutions of one size, which three like nodes with fast links share. */
static struct kerf_graph *convolutions(void)
{
	struct kerf_graph *g = kerf_graph_new("convolutions");
	struct kerf_err err = {""};
	int32_t v = b_value(g, "x", KERF_F32, 4, (int64_t[]){1, 3, 64, 64});
	int i;

	kerf_graph_add_input(g, v);
	for (i = 0; i < 4; i++)
		v = b_conv(g, v, 16, 3, 1, 1, false);
	kerf_graph_add_output(g, v);
	assert_int_equal(kerf_graph_tidy(g, &err), 0);
	assert_int_equal(kerf_rewrite(g, &err), 0);
	kerf_graph_freeze(g);
	return g;
}

static void set_rates(struct rig *x, double rate)
{
	uint32_t i;

	for (i = 0; i < x->p.n_node * x->p.n_node; i++)
		x->link[i].rate_bytes_s = rate;
}

/* Steps that are tiles; its cost goes to *cost. */
static uint32_t tiles(struct rig *x, int ret, struct kerf_plan *plan, double *cost)
{
	uint32_t s, n = 0;

	assert_int_equal(ret, 0);
	*cost = kerf_plan_cost(&x->p, plan);
	for (s = 0; s < plan->n_step; s++)
		n += plan->step[s].rows.end > 0;
	kerf_plan_finish(plan);
	return n;
}

/*
 * A plan of assignments is left for tiles: by the next decision after a step of the links, and
 * after some where they got better little by little.
 */
static void test_tiles_are_thought_of_again(void **state)
{
	const struct kerf_policy *kerf = kerf_policy_find("kerf");
	const double speed[] = {1e9, 1e9, 1e9}, slow = 1e5, fast = 1e8;
	struct kerf_graph *g = convolutions();
	struct kerf_planner *planner;
	struct kerf_plan plan;
	double best, cost, rate;
	struct rig x;
	int round, i;

	rig_make(&x, g, 3, speed, fast, 1e-4);
	assert_true(tiles(&x, kerf->plan(&x.p, &plan, NULL), &plan, &best) > 4);
	assert_int_equal(kerf_planner_new(&x.p, kerf, &planner), 0);
	set_rates(&x, slow);
	assert_int_equal(tiles(&x, kerf_planner_plan(planner, &x.p, &plan, NULL), &plan, &cost), 0);
	for (round = 0; round < 3; round++) {
		for (rate = slow; round && rate < fast; rate *= 1.1) {
			set_rates(&x, rate);
			tiles(&x, kerf_planner_plan(planner, &x.p, &plan, NULL), &plan, &cost);
		}
		set_rates(&x, fast);
		for (i = 0; i < (round ? 20 : 1); i++)
			tiles(&x, kerf_planner_plan(planner, &x.p, &plan, NULL), &plan, &cost);
		assert_true(cost <= best * (1 + 1e-9));
		set_rates(&x, slow);
		assert_int_equal(
			tiles(&x, kerf_planner_plan(planner, &x.p, &plan, NULL), &plan, &cost), 0);
	}
	kerf_planner_free(planner);
	rig_drop(&x);
	kerf_graph_unref(g);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_any_tiled_problem),
		cmocka_unit_test(test_tiles_are_thought_of_again),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
