/* SPDX-License-Identifier: MIT */
/* The policies that cut once: against brute force under what each of them promises. */
#include "policy_case.h"

#include "plan/scan.h"
#include "plan/two_tier.h"

static const enum kerf_objective objectives[] = {KERF_FOR_LATENCY, KERF_FOR_PERIOD, KERF_FOR_ENERGY,
						 KERF_FOR_MEMORY, KERF_FOR_WEIGHTED};

static void random_goal(struct pcase *c, struct kerf_rng *rng)
{
	c->p.goal.objective = objectives[kerf_rng_below(rng, KERF_ARRAY_SIZE(objectives))];
	c->p.goal.latency_weight = case_between(rng, 0, 1);
	c->p.goal.energy_weight = case_between(rng, 0, 0.1);
	c->p.goal.period_weight = case_between(rng, 0, 1);
}

static bool same(double a, double b)
{
	return fabs(a - b) <= 1e-9 * fmax(fabs(a), fabs(b)) + 1e-15;
}

/* What a scan says of a plan in O(1) is what the price says of it. */
static void test_scan_is_the_price(void **state)
{
	struct kerf_rng rng;
	uint32_t round, k, codec, priced = 0;
	int32_t exit;

	kerf_rng_seed(&rng, 1);
	for (round = 0; round < 400; round++) {
		struct kerf_scan scan;
		struct pcase c;

		case_make(&c, &rng, round % 2 ? CASE_DAG : CASE_CHAIN,
			  2 + (uint32_t)kerf_rng_below(&rng, CASE_OPS - 1), 3, round % 6 == 0);
		case_enrich(&c, &rng);
		if (round % 4 == 1)
			case_exits(&c);
		random_goal(&c, &rng);
		c.p.goal.codecs = 7;
		c.p.goal.keep = (uint32_t)kerf_rng_below(&rng, 3);
		c.p.goal.deadline_s = case_between(&rng, 0, 0.05);
		c.node[kerf_rng_below(&rng, 2)].memory_bytes = case_between(&rng, 0, 20000);
		for (exit = -1; exit < (int32_t)c.g->n_exit; exit++) {
			uint32_t here = UINT32_MAX, there = UINT32_MAX;

			assert_int_equal(kerf_scan_make(&scan, &c.p, exit), 0);
			while (kerf_scan_next_pair(&c.p, &here, &there)) {
				kerf_scan_pair(&scan, here, there);
				for (k = 0; k <= c.g->n_op; k++)
					for (codec = 0; codec < KERF_N_CODECS; codec++) {
						struct kerf_choice choice = {0};
						struct kerf_scan_cut cut;
						struct kerf_plan *plan;

						kerf_scan_at(&scan, k, (enum kerf_codec)codec,
							     &cut);
						kerf_scan_offer(&scan, &cut, &choice);
						assert_int_equal(cut.runs,
								 choice.have || choice.have_near);
						if (!cut.runs)
							continue;
						plan = choice.have ? &choice.best : &choice.near;
						priced++;
						assert_true(same(plan->total_s, cut.total_s));
						assert_true(same(plan->period_s, cut.period_s));
						assert_true(same(plan->energy_j, cut.energy_j));
						assert_true(same(plan->wire_bytes, cut.wire_bytes));
						assert_true(
							same(plan->memory_bytes, cut.memory_bytes));
						assert_true(same(plan->accuracy, cut.accuracy));
						assert_true(choice.have == (cut.violation <= 0));
						assert_true(choice.have ||
							    same(choice.violation, cut.violation));
						kerf_choice_drop(&choice);
					}
			}
			kerf_scan_finish(&scan);
		}
		case_drop(&c);
	}
	assert_true(priced > 20000);
}

/* No operator that is there feeds one that is here. */
static bool one_way(const struct kerf_graph *g, uint32_t away)
{
	uint32_t o;
	int k;

	for (o = 0; o < g->n_op; o++)
		for (k = 0; k < g->op[o].n_in; k++) {
			int32_t made = g->value[g->op[o].in[k]].producer;

			if (made >= 0 && away >> made & 1 && !(away >> o & 1))
				return false;
		}
	return true;
}

/*
 * DADS's stages: operators here, values that cross, operators there, outputs back, in seconds or as
 * the goal weighs them. Engine 0 is here, engine 1 there.
 */
static void dads_stages(const struct pcase *c, uint32_t away, double sum[KERF_N_STAGES])
{
	const struct kerf_graph *g = c->g;
	double up = 1 / c->link[1].rate_bytes_s, down = 1 / c->link[2].rate_bytes_s;
	double a[2] = {1, 1};
	uint32_t v, o;
	int k;

	if (c->p.goal.objective == KERF_FOR_ENERGY) {
		double idle = c->node[0].idle_w + c->node[1].idle_w;

		a[0] = c->p.engine[0].active_w + idle;
		a[1] = c->p.engine[1].active_w + idle;
		up = up * idle + c->node[0].send_j_byte + c->node[1].receive_j_byte;
		down = down * idle + c->node[1].send_j_byte + c->node[0].receive_j_byte;
	}
	memset(sum, 0, KERF_N_STAGES * sizeof(*sum));
	for (o = 0; o < g->n_op; o++)
		sum[away >> o & 1 ? KERF_STAGE_THERE : KERF_STAGE_HERE] +=
			c->op_s[2 * o + (away >> o & 1)] * a[away >> o & 1];
	for (v = 0; v < g->n_value; v++) {
		bool there = g->value[v].producer >= 0 && away >> g->value[v].producer & 1;
		bool crosses = false;

		if (kerf_value_is_const(&g->value[v]))
			continue;
		for (o = 0; o < g->n_op; o++)
			for (k = 0; k < g->op[o].n_in; k++)
				crosses |= g->op[o].in[k] == (int32_t)v && !there && away >> o & 1;
		if (crosses)
			sum[KERF_STAGE_UP] += c->outline->value_bytes[v] * up;
		if (there && c->outline->is_out[v])
			sum[KERF_STAGE_DOWN] += c->outline->value_bytes[v] * down;
	}
}

static double dads_sum(const struct pcase *c, uint32_t away)
{
	double sum[KERF_N_STAGES];

	dads_stages(c, away, sum);
	return sum[0] + sum[1] + sum[2] + sum[3];
}

static double longest_stage(const struct pcase *c, uint32_t away)
{
	double sum[KERF_N_STAGES];

	dads_stages(c, away, sum);
	return fmax(fmax(sum[0], sum[1]), fmax(sum[2], sum[3]));
}

/* Under DADS's own objective both find what brute force over all one-way partitions finds. */
static void test_dads_and_qdmp_are_optimal(void **state)
{
	struct kerf_rng rng;
	uint32_t round, away, o, method, keep, blocks = 0;

	kerf_rng_seed(&rng, 2);
	for (round = 0; round < 600; round++) {
		struct kerf_two_tier t;
		double best = INFINITY;
		struct pcase c;

		case_make(&c, &rng, round % 4 ? CASE_DAG : CASE_CHAIN,
			  2 + (uint32_t)kerf_rng_below(&rng, 9), 2, false);
		c.p.goal.objective = round % 3 ? KERF_FOR_LATENCY : KERF_FOR_ENERGY;
		if (round % 5 == 0) /* the way up costs much: cuts move into blocks */
			c.link[1].rate_bytes_s = 5e4;
		if (round % 3 == 0)
			c.p.goal.keep = (uint32_t)kerf_rng_below(&rng, 4);
		keep = (1u << c.p.goal.keep) - 1;
		for (away = 0; away < 1u << c.g->n_op; away++)
			if (one_way(c.g, away) && !(away & keep))
				best = fmin(best, dads_sum(&c, away));
		assert_int_equal(kerf_two_tier_make(&t, &c.p), 0);
		kerf_two_tier_weigh(&t, 0, 1, c.p.goal.objective, NULL);
		for (method = 0; method < 2; method++) {
			uint32_t solved = t.work.solved;

			assert_int_equal(method ? kerf_qdmp_solve(&t) : kerf_dads_solve(&t), 0);
			for (o = away = 0; o < c.g->n_op; o++)
				away |= (uint32_t)t.away[o] << o;
			assert_true(one_way(c.g, away) && !(away & keep));
			assert_true(same(dads_sum(&c, away), best));
			blocks += method ? t.work.solved - solved : 0;
		}
		kerf_two_tier_finish(&t);
		case_drop(&c);
	}
	assert_true(blocks > 50); /* pruning is not all there is to qdmp */
}

/*
 * Long graphs of blocks, some with an end of their own inside: what pruning leaves costs what the
 * whole graph's minimum cut does.
 */
static void test_qdmp_equals_dads_on_long_graphs(void **state)
{
	enum { N = 120 };
	struct kerf_link_model link[4] = {[1] = {.rate_bytes_s = 1e6}, [2] = {.rate_bytes_s = 1e6}};
	static double op_s[2 * N];
	uint32_t round, o, pruned = 0, solved = 0;
	struct kerf_rng rng;

	kerf_rng_seed(&rng, 10);
	for (round = 0; round < 200; round++) {
		struct kerf_graph *g = kerf_graph_new("blocks");
		double sum[KERF_N_STAGES], cost[2], lean = case_between(&rng, 0, 1);
		int32_t made[N + 1];
		uint32_t begin = 0, end = 0, method;
		struct kerf_outline *outline;
		struct kerf_two_tier t;
		struct kerf_problem p;

		made[0] = case_value(g, 1 + (int64_t)kerf_rng_below(&rng, 2000), NULL);
		kerf_graph_add_input(g, made[0]);
		for (o = 0; o < N; o++) {
			int32_t in[2];

			if (o >= end) { /* a new block reads what the last one ended in */
				begin = o;
				end = o + 1 + (uint32_t)kerf_rng_below(&rng, 8);
			}
			in[0] = made[begin + kerf_rng_below(&rng, o - begin + 1)];
			in[1] = made[o];
			made[o + 1] = case_value(g, 1 + (int64_t)kerf_rng_below(&rng, 2000), NULL);
			kerf_graph_add_op(g, &case_op, NULL, 1, in[0] == in[1] ? 1 : 2, in, 1,
					  &made[o + 1], 0, NULL);
			if (round % 4 == 0 && o == N * 2 / 3) { /* and the next reads past it */
				kerf_graph_add_output(g, made[o + 1]);
				made[o + 1] = made[o];
			}
			op_s[2 * o] = case_between(&rng, 0, 1e-3);
			op_s[2 * o + 1] = case_between(&rng, 0, 1e-3) * (o < lean * N ? 4 : 0.25);
		}
		kerf_graph_add_output(g, made[N]);
		assert_int_equal(kerf_outline_make(g, &outline), 0);
		p = (struct kerf_problem){
			.graph = g,
			.outline = outline,
			.n_engine = 2,
			.n_node = 2,
			.engine = {{.name = "here"}, {.name = "there", .node = 1}},
			.link = link,
			.op_s = op_s};
		assert_int_equal(kerf_two_tier_make(&t, &p), 0);
		kerf_two_tier_weigh(&t, 0, 1, KERF_FOR_LATENCY, NULL);
		for (method = 0; method < 2; method++) {
			uint64_t edges = t.work.edges;

			assert_int_equal(method ? kerf_qdmp_solve(&t) : kerf_dads_solve(&t), 0);
			kerf_two_tier_stages(&t, 0, N, sum);
			cost[method] = sum[0] + sum[1] + sum[2] + sum[3];
			if (method) {
				solved += t.work.edges > edges;
				pruned += t.work.edges - edges < edges / 2;
			}
		}
		assert_true(same(cost[0], cost[1]));
		kerf_two_tier_finish(&t);
		kerf_outline_free(outline);
		kerf_graph_unref(g);
	}
	assert_true(solved > 50 && pruned > 50);
}

/* The one engine that is best for the goal, of those that meet it. */
static void test_best_single(void **state)
{
	struct kerf_rng rng;
	uint32_t round, e;

	kerf_rng_seed(&rng, 11);
	for (round = 0; round < 200; round++) {
		double best = INFINITY;
		struct kerf_plan plan;
		struct pcase c;
		int r;

		case_make(&c, &rng, CASE_DAG, 6, 4, round % 2);
		case_enrich(&c, &rng);
		random_goal(&c, &rng);
		if (round % 3 == 0)
			c.p.goal.deadline_s = case_between(&rng, 0, 0.04);
		for (e = 0; e < 4; e++) {
			if (kerf_plan_whole(&c.p, e, &plan, NULL))
				continue;
			if (!kerf_plan_meets(&c.p, &plan, NULL))
				best = fmin(best, kerf_plan_cost(&c.p, &plan));
			kerf_plan_finish(&plan);
		}
		r = kerf_policy_find("best-single")->plan(&c.p, &plan, NULL);
		assert_int_equal(!r, isfinite(best));
		if (!r) {
			assert_int_equal(plan.n_step, 1);
			assert_true(kerf_plan_cost(&c.p, &plan) == best);
			kerf_plan_finish(&plan);
		}
		case_drop(&c);
	}
}

/* Their plans cost no more than the best partition's, run one stage after the other. */
static void test_dads_and_qdmp_plans(void **state)
{
	static const char *const names[] = {"dads", "qdmp"};
	struct kerf_rng rng;
	uint32_t round, away, o, i;

	kerf_rng_seed(&rng, 3);
	for (round = 0; round < 300; round++) {
		double best = INFINITY, total[2];
		struct kerf_plan plan;
		struct pcase c;

		case_make(&c, &rng, CASE_DAG, 2 + (uint32_t)kerf_rng_below(&rng, 9), 2, false);
		for (away = 0; away < 1u << c.g->n_op; away++) {
			uint32_t assign[CASE_OPS];
			double fixed = 0;

			if (!one_way(c.g, away))
				continue;
			for (o = 0; o < c.g->n_op; o++)
				assign[o] = away >> o & 1;
			assert_int_equal(kerf_plan_from_assignment(&c.p, assign, NULL, &plan, NULL),
					 0);
			for (i = 0; i < plan.n_step; i++)
				fixed += c.p.engine[plan.step[i].engine].job_s;
			if (away)
				fixed += c.link[1].latency_s + c.link[2].latency_s;
			best = fmin(best, dads_sum(&c, away) + fixed);
			kerf_plan_finish(&plan);
		}
		for (i = 0; i < 2; i++) {
			assert_int_equal(kerf_policy_find(names[i])->plan(&c.p, &plan, NULL), 0);
			case_check(&c, &plan);
			/* A partition with nothing here saves a job: the sum does not know it. */
			assert_true(plan.total_s <= best + c.p.engine[0].job_s + 1e-12);
			total[i] = plan.total_s;
			kerf_plan_finish(&plan);
		}
		assert_true(same(total[0], total[1]));
		case_drop(&c);
	}
}

/* Least energy within a deadline that only the fastest partitions keep. */
static void test_dads_and_qdmp_in_a_hurry(void **state)
{
	static const char *const names[] = {"dads", "qdmp"};
	struct kerf_rng rng;
	uint32_t round, i;

	kerf_rng_seed(&rng, 9);
	for (round = 0; round < 100; round++) {
		struct kerf_plan plan;
		struct pcase c;

		case_make(&c, &rng, CASE_DAG, 2 + (uint32_t)kerf_rng_below(&rng, 9), 2, false);
		for (i = 0; i < 2; i++) {
			double energy_j;

			c.p.goal = (struct kerf_goal){.objective = KERF_FOR_LATENCY};
			assert_int_equal(kerf_policy_find(names[i])->plan(&c.p, &plan, NULL), 0);
			c.p.goal.objective = KERF_FOR_ENERGY;
			c.p.goal.deadline_s = plan.total_s;
			energy_j = plan.energy_j;
			kerf_plan_finish(&plan);
			assert_int_equal(kerf_policy_find(names[i])->plan(&c.p, &plan, NULL), 0);
			assert_true(plan.energy_j <= energy_j * (1 + 1e-9));
			kerf_plan_finish(&plan);
		}
		case_drop(&c);
	}
}

/* Heavy load: within the ratio of the best, and no worse than what light load takes. */
static void test_dads_heavy_load(void **state)
{
	struct kerf_rng rng;
	uint32_t round, away, exact = 0;

	kerf_rng_seed(&rng, 4);
	for (round = 0; round < 200; round++) {
		double best = INFINITY, light_s;
		struct kerf_plan plan;
		struct pcase c;
		uint32_t e;

		case_make(&c, &rng, CASE_DAG, 2 + (uint32_t)kerf_rng_below(&rng, 8), 2, false);
		for (e = 0; e < 2; e++)
			c.p.engine[e].job_s = 0;
		for (e = 0; e < 4; e++)
			c.link[e].latency_s = 0;
		for (away = 0; away < 1u << c.g->n_op; away++)
			if (one_way(c.g, away))
				best = fmin(best, longest_stage(&c, away));
		assert_int_equal(kerf_policy_find("dads")->plan(&c.p, &plan, NULL), 0);
		light_s = plan.period_s;
		kerf_plan_finish(&plan);
		c.p.goal.objective = KERF_FOR_PERIOD;
		assert_int_equal(kerf_policy_find("dads")->plan(&c.p, &plan, NULL), 0);
		assert_true(plan.period_s >= best * (1 - 1e-9));
		assert_true(plan.period_s <= 4 * best * (1 + 1e-9));
		assert_true(plan.period_s <= light_s * (1 + 1e-9));
		exact += same(plan.period_s, best);
		kerf_plan_finish(&plan);
		case_drop(&c);
	}
	assert_true(exact > 120);
}

/* The best of all plans with one cut, by price; UINT32_MAX for *at if none meets the goal. */
static double best_cut(const struct pcase *c, uint32_t *at, const bool *allowed, uint32_t codecs)
{
	uint32_t here = UINT32_MAX, there = UINT32_MAX, k, codec;
	double best = INFINITY;
	struct kerf_scan scan;

	*at = UINT32_MAX;
	assert_int_equal(kerf_scan_make(&scan, &c->p, -1), 0);
	while (kerf_scan_next_pair(&c->p, &here, &there)) {
		kerf_scan_pair(&scan, here, there);
		for (k = 0; k <= c->g->n_op; k++)
			for (codec = 0; codec < KERF_N_CODECS; codec++) {
				struct kerf_choice choice = {0};
				struct kerf_scan_cut cut = {.exit = -1,
							    .here = here,
							    .there = there,
							    .k = k,
							    .codec = (enum kerf_codec)codec};

				if (!(codecs >> codec & 1) || (allowed && !allowed[k]) ||
				    (here == there && k < c->g->n_op))
					continue;
				kerf_scan_offer(&scan, &cut, &choice);
				if (choice.have && choice.cost < best) {
					best = choice.cost;
					*at = k;
				}
				kerf_choice_drop(&choice);
			}
	}
	kerf_scan_finish(&scan);
	return best;
}

static void test_neurosurgeon_is_the_best_cut(void **state)
{
	struct kerf_rng rng;
	uint32_t round, met = 0, missed = 0;

	kerf_rng_seed(&rng, 5);
	for (round = 0; round < 400; round++) {
		struct kerf_err err = {""};
		struct kerf_plan plan;
		struct pcase c;
		uint32_t at;
		double best;
		int r;

		case_make(&c, &rng, round % 2 ? CASE_DAG : CASE_CHAIN,
			  2 + (uint32_t)kerf_rng_below(&rng, CASE_OPS - 1),
			  1 + (uint32_t)kerf_rng_below(&rng, 3), false);
		case_enrich(&c, &rng);
		random_goal(&c, &rng);
		if (round % 3 == 0)
			c.p.goal.deadline_s = case_between(&rng, 0, 0.04);
		if (round % 4 == 0)
			c.p.goal.keep = (uint32_t)kerf_rng_below(&rng, 4);
		if (round % 5 == 0)
			c.node[0].memory_bytes = case_between(&rng, 0, 30000);
		best = best_cut(&c, &at, NULL, 1);
		r = kerf_policy_find("neurosurgeon")->plan(&c.p, &plan, &err);
		if (isfinite(best)) {
			assert_int_equal(r, 0);
			case_check(&c, &plan);
			assert_true(same(kerf_plan_cost(&c.p, &plan), best));
			kerf_plan_finish(&plan);
			met++;
		} else {
			assert_true(r == -EDOM || r == -ENODEV);
			assert_true(err.msg[0]);
			missed++;
		}
		case_drop(&c);
	}
	assert_true(met > 100 && missed > 20);
}

/* Pruning loses nothing: on what has no repeated blocks it is the best cut. */
static void test_deepwear_is_the_best_cut_of_a_chain(void **state)
{
	struct kerf_rng rng;
	uint32_t round, at;

	kerf_rng_seed(&rng, 6);
	for (round = 0; round < 300; round++) {
		struct kerf_plan plan;
		struct pcase c;

		case_make(&c, &rng, CASE_CHAIN, 2 + (uint32_t)kerf_rng_below(&rng, CASE_OPS - 1), 3,
			  false);
		random_goal(&c, &rng);
		assert_int_equal(kerf_policy_find("deepwear")->plan(&c.p, &plan, NULL), 0);
		case_check(&c, &plan);
		assert_true(same(kerf_plan_cost(&c.p, &plan), best_cut(&c, &at, NULL, 1)));
		kerf_plan_finish(&plan);
		case_drop(&c);
	}
}

/* Four diamonds, two of a kind: within these no cut, though the best of all would be there. */
static void test_deepwear_does_not_cut_repeated_blocks(void **state)
{
	struct kerf_link_model link[4] = {[1] = {.rate_bytes_s = 1e6}, [2] = {.rate_bytes_s = 1e6}};
	double op_s[2 * 9];
	uint32_t repeated, o;

	for (repeated = 0; repeated < 2; repeated++) {
		struct kerf_graph *g = kerf_graph_new("blocks");
		int32_t v = case_value(g, 1000, NULL);
		struct kerf_outline *outline;
		struct kerf_problem p;
		struct kerf_plan plan;
		uint32_t b, away = 0;

		kerf_graph_add_input(g, v);
		/* a -> (b, c) -> d, where b is what is small, but c lives beside it. */
		for (b = 0; b < 2; b++) {
			int32_t l = case_value(g, 10, NULL), m = case_value(g, 20, NULL);
			int32_t d = case_value(g, 1000, NULL), in[3] = {l, m, v};

			kerf_graph_add_op(g, &case_op, NULL, 1, 1, &v, 1, &l, 0, NULL);
			/* The second block differs unless it is to repeat. */
			kerf_graph_add_op(g, &case_op, NULL, 1, 1, b && !repeated ? &l : &v, 1, &m,
					  0, NULL);
			kerf_graph_add_op(g, &case_op, NULL, 1, 2, in, 1, &d, 0, NULL);
			v = d;
		}
		kerf_graph_add_output(g, v);
		assert_int_equal(kerf_outline_make(g, &outline), 0);
		/* All is fast there but the first two operators of the second block. */
		for (o = 0; o < 6; o++) {
			op_s[2 * o] = 0.01;
			op_s[2 * o + 1] = o < 5 ? 0.1 : 0.0001;
		}
		p = (struct kerf_problem){
			.graph = g,
			.outline = outline,
			.n_engine = 2,
			.n_node = 2,
			.engine = {{.name = "here"}, {.name = "there", .node = 1}},
			.link = link,
			.op_s = op_s};
		assert_int_equal(kerf_policy_find("deepwear")->plan(&p, &plan, NULL), 0);
		for (o = 0; o < 6; o++)
			away += case_engine(&plan, o) == 1;
		assert_int_equal(away, repeated ? 0 : 1);
		kerf_plan_finish(&plan);
		kerf_outline_free(outline);
		kerf_graph_unref(g);
	}
}

/* Device memory and accuracy hold, and among the splits that send no more than the input does
 * none is better. */
static void test_autosplit_under_memory_and_error(void **state)
{
	struct kerf_rng rng;
	uint32_t round, coded = 0, missed = 0;

	kerf_rng_seed(&rng, 7);
	for (round = 0; round < 400; round++) {
		struct kerf_err err = {""};
		bool allowed[CASE_OPS + 1];
		struct kerf_plan plan;
		struct pcase c;
		uint32_t k, i, at;
		double best;
		int r;

		case_make(&c, &rng, CASE_CHAIN, 2 + (uint32_t)kerf_rng_below(&rng, CASE_OPS - 1), 2,
			  false);
		case_enrich(&c, &rng);
		c.p.goal.codecs = 1 + 2 * (uint32_t)kerf_rng_below(&rng, 4);
		c.p.goal.accuracy = kerf_rng_below(&rng, 2) ? 0.89 : 0;
		c.node[0].memory_bytes = case_between(&rng, 5000, 40000);
		for (k = 0; k <= c.g->n_op; k++) {
			double width = c.p.goal.codecs & 4 ? 0.25 : c.p.goal.codecs & 2 ? 0.5 : 1;
			double head = c.p.goal.codecs & 4 && k < c.g->n_op ? 8 : 0;

			allowed[k] =
				!k || k == c.g->n_op ||
				c.outline->live_bytes[k] * width + head <= c.outline->live_bytes[0];
		}
		best = best_cut(&c, &at, allowed, c.p.goal.codecs | 1);
		r = kerf_policy_find("autosplit")->plan(&c.p, &plan, &err);
		if (r) {
			assert_true(r == -EDOM || r == -ENODEV);
			assert_true(err.msg[0] && !isfinite(best));
			missed++;
		} else {
			case_check(&c, &plan);
			assert_true(plan.over <= 0);
			assert_true(plan.accuracy >= c.p.goal.accuracy);
			for (i = 0; i < plan.n_edge; i++) {
				assert_true(!plan.edge[i].codec ||
					    c.p.goal.codecs >> plan.edge[i].codec & 1);
				coded += plan.edge[i].codec && plan.edge[i].bytes > 0;
			}
			assert_true(same(plan.total_s, best));
			kerf_plan_finish(&plan);
		}
		case_drop(&c);
	}
	assert_true(coded > 20 && missed > 5);
}

/* Each on every kind of problem: a plan that holds what it says, always the same one, or a
 * sentence. */
static void test_any_problem(void **state)
{
	const struct kerf_policy *policy;
	struct kerf_rng rng;
	uint32_t round, i;

	/* And kerf is at least as good as any other. */
	kerf_rng_seed(&rng, 8);
	for (round = 0; round < 300; round++) {
		double best = INFINITY, ours = INFINITY;
		struct pcase c;

		case_make(&c, &rng, round % 3 ? CASE_DAG : CASE_CHAIN,
			  1 + (uint32_t)kerf_rng_below(&rng, CASE_OPS),
			  1 + (uint32_t)kerf_rng_below(&rng, CASE_ENGINES), round % 4 == 0);
		if (c.p.n_engine == 1) {
			c.p.n_node = 1;
			c.p.engine[0].node = 0;
		}
		case_enrich(&c, &rng);
		random_goal(&c, &rng);
		if (round % 2)
			case_exits(&c);
		c.p.goal.codecs = (uint32_t)kerf_rng_below(&rng, 8);
		if (round % 3 == 0)
			c.p.goal.deadline_s = case_between(&rng, 0, 0.05);
		if (round % 5 == 0)
			c.p.goal.accuracy = case_between(&rng, 0.4, 1);
		c.p.goal.keep = round % 4 ? 0 : (uint32_t)kerf_rng_below(&rng, c.g->n_op + 2);
		if (round % 7 == 0 && c.p.n_node > 1)
			c.link[1].rate_bytes_s = 0;
		for (i = 0; (policy = kerf_policy_at(i)); i++) {
			struct kerf_err err = {""}, err2 = {""};
			struct kerf_plan plan, again;
			int r = policy->plan(&c.p, &plan, &err);

			assert_int_equal(policy->plan(&c.p, &again, &err2), r);
			if (r) {
				if (r != -EDOM && r != -ENODEV)
					fail_msg("round %u, %s: %d, %s", round, policy->name, r, err.msg);
				assert_true(err.msg[0]);
				assert_string_equal(err.msg, err2.msg);
				continue;
			}
			assert_string_equal(plan.policy, policy->name);
			assert_string_equal(plan.reason, again.reason);
			assert_true(plan.total_s == again.total_s && plan.n_step == again.n_step);
			case_check(&c, &plan);
			if (kerf_plan_meets(&c.p, &plan, &err))
				fail_msg("round %u, %s: %s", round, policy->name, err.msg);
			best = fmin(best, kerf_plan_cost(&c.p, &plan));
			if (!strcmp(policy->name, "kerf"))
				ours = kerf_plan_cost(&c.p, &plan);
			kerf_plan_finish(&plan);
			kerf_plan_finish(&again);
		}
		assert_true(ours <= best * (1 + 1e-9));
		case_drop(&c);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_scan_is_the_price),
		cmocka_unit_test(test_dads_and_qdmp_are_optimal),
		cmocka_unit_test(test_qdmp_equals_dads_on_long_graphs),
		cmocka_unit_test(test_dads_and_qdmp_plans),
		cmocka_unit_test(test_best_single),
		cmocka_unit_test(test_dads_and_qdmp_in_a_hurry),
		cmocka_unit_test(test_dads_heavy_load),
		cmocka_unit_test(test_neurosurgeon_is_the_best_cut),
		cmocka_unit_test(test_deepwear_is_the_best_cut_of_a_chain),
		cmocka_unit_test(test_deepwear_does_not_cut_repeated_blocks),
		cmocka_unit_test(test_autosplit_under_memory_and_error),
		cmocka_unit_test(test_any_problem),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
