/* SPDX-License-Identifier: MIT */
/* The search behind policy kerf: its prices, its bound, and its result against brute force. */
#include "plan/search.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "plan_random.h"

static bool close_to(double a, double b)
{
	return a == b || fabs(a - b) <= 1e-9 * fmax(fabs(a), fabs(b));
}

static void random_assignment(const struct random_problem *r, struct kerf_rng *rng,
			      uint32_t *assign, uint8_t *codec)
{
	uint32_t o, v;

	/* Runs, so that steps have several operators, and single ones. */
	for (o = 0; o < r->g->n_op; o++)
		assign[o] = o && kerf_rng_below(rng, 3)
				    ? assign[o - 1]
				    : (uint32_t)kerf_rng_below(rng, r->p.n_engine);
	for (v = 0; v < r->g->n_value; v++)
		codec[v] = r->g->value[v].t.dtype == KERF_F32
				   ? (uint8_t)kerf_rng_below(rng, KERF_N_CODECS)
				   : KERF_CODEC_NONE;
}

/* What the search prices is what the plan costs. */
static void test_prices_agree(void **state)
{
	const struct random_kind kind = {.min_ops = 1, .max_ops = 30, .engines = 3, .powers = true};
	struct kerf_rng rng;
	int round, ran = 0;

	kerf_rng_seed(&rng, 1);
	for (round = 0; round < 3000; round++) {
		uint32_t assign[RANDOM_OPS];
		uint8_t codec[RANDOM_OPS + 2];
		struct kerf_search_price price;
		struct random_problem r;
		struct kerf_search *x;
		struct kerf_plan plan;
		int ret;

		random_problem(&r, &rng, &kind);
		random_assignment(&r, &rng, assign, codec);
		if (!kerf_rng_below(&rng, 4))
			r.g->value[r.g->op[0].out[0]].bounded = true;
		r.p.goal.in_flight = (uint32_t)kerf_rng_below(&rng, 4);
		assert_int_equal(kerf_search_make(&r.p, &x), 0);
		kerf_search_price(x, assign, round % 2 ? codec : NULL, -1, r.g->n_op, &price);
		ret = kerf_plan_from_assignment(&r.p, assign, round % 2 ? codec : NULL, &plan,
						NULL);
		assert_int_equal(ret, price.cost < INFINITY ? 0 : -EINVAL);
		if (!ret) {
			ran++;
			assert_true(close_to(price.total_s, plan.total_s));
			assert_true(close_to(price.period_s, plan.period_s));
			assert_true(close_to(price.energy_j, plan.energy_j));
			assert_true(close_to(price.wire_bytes, plan.wire_bytes));
			assert_true(close_to(price.memory_bytes, plan.memory_bytes));
			assert_true(close_to(price.accuracy, plan.accuracy));
			kerf_plan_finish(&plan);
		}
		kerf_search_free(x);
		random_problem_finish(&r);
	}
	assert_true(ran > 500);
}

static void random_goal(struct random_problem *r, struct kerf_rng *rng)
{
	struct kerf_goal *g = &r->p.goal;

	g->objective = (enum kerf_objective)kerf_rng_below(rng, KERF_FOR_WEIGHTED + 1);
	g->latency_weight = (double)kerf_rng_float(rng);
	g->energy_weight = (double)kerf_rng_float(rng);
	g->period_weight = (double)kerf_rng_float(rng);
	if (!kerf_rng_below(rng, 3))
		g->deadline_s = 0.05 * (double)kerf_rng_float(rng);
	if (!kerf_rng_below(rng, 3))
		g->in_flight = 1 + (uint32_t)kerf_rng_below(rng, 4);
	if (!kerf_rng_below(rng, 4))
		g->keep = (uint32_t)kerf_rng_below(rng, r->g->n_op + 1);
}

/* Leaving out operators at the end makes nothing larger, whatever they would have been. */
static void test_parts_are_bounds(void **state)
{
	const struct random_kind kind = {.min_ops = 2, .max_ops = 20, .engines = 3, .powers = true};
	struct kerf_rng rng;
	int round;

	kerf_rng_seed(&rng, 2);
	for (round = 0; round < 3000; round++) {
		uint32_t assign[RANDOM_OPS], n;
		uint8_t codec[RANDOM_OPS + 2];
		struct kerf_search_price last, price;
		struct random_problem r;
		struct kerf_search *x;

		random_problem(&r, &rng, &kind);
		random_assignment(&r, &rng, assign, codec);
		r.p.goal.in_flight = (uint32_t)kerf_rng_below(&rng, 4);
		assert_int_equal(kerf_search_make(&r.p, &x), 0);
		kerf_search_price(x, assign, NULL, -1, r.g->n_op, &last);
		for (n = r.g->n_op; n-- > 0 && last.cost < INFINITY; last = price) {
			kerf_search_price(x, assign, NULL, -1, n, &price);
			assert_true(price.total_s <= last.total_s * (1 + 1e-12));
			assert_true(price.period_s <= last.period_s * (1 + 1e-12));
			assert_true(price.energy_j <= last.energy_j * (1 + 1e-12));
			assert_true(price.memory_bytes <= last.memory_bytes);
		}
		kerf_search_free(x);
		random_problem_finish(&r);
	}
}

/* The best of all assignments, by every objective and within limits; or none where none is. */
static void test_equals_brute_force(void **state)
{
	struct random_kind kind = {.min_ops = 1, .max_ops = 8, .engines = 3};
	struct kerf_rng rng;
	int round, found = 0;

	kerf_rng_seed(&rng, 3);
	for (round = 0; round < 600; round++) {
		struct kerf_search_found f;
		struct random_problem r;
		struct kerf_search *x;
		double best;
		int ret;

		kind.powers = round % 2;
		kind.chain = round % 8 == 0;
		random_problem(&r, &rng, &kind);
		if (kind.powers)
			random_goal(&r, &rng);
		assert_int_equal(kerf_search_make(&r.p, &x), 0);
		best = brute_force(&r.p, x);
		ret = kerf_search_run(x, -1, 0, NULL, &f);
		if (best < INFINITY) {
			assert_int_equal(ret, 0);
			assert_true(f.optimal);
			assert_true(f.price.over <= 0);
			assert_true(close_to(f.price.cost, best));
			found++;
		} else {
			assert_true(ret == -ENODEV || f.price.over > 0);
		}
		kerf_search_free(x);
		random_problem_finish(&r);
	}
	assert_true(found > 300);
}

static void weigh(struct kerf_goal *goal, struct kerf_rng *rng)
{
	goal->objective = KERF_FOR_WEIGHTED;
	goal->latency_weight = 1;
	goal->energy_weight = (double)kerf_rng_float(rng);
	goal->period_weight = 4 * (double)kerf_rng_float(rng);
}

/* No registered policy has a better plan, by any objective; nor of graphs too large to ask all. */
static void test_never_worse_than_others(void **state)
{
	struct random_kind kind = {.min_ops = 2, .max_ops = 40, .engines = 3, .powers = true};
	const struct kerf_policy *policy;
	struct kerf_rng rng;
	int round;
	uint32_t i;

	kerf_rng_seed(&rng, 4);
	for (round = 0; round < 200; round++) {
		struct random_problem r;
		struct kerf_plan best, plan;

		kind.engines = 1 + (uint32_t)kerf_rng_below(&rng, 3);
		if (round >= 180) {
			kind.min_ops = 130;
			kind.max_ops = RANDOM_OPS;
			kind.engines = 3;
		}
		random_problem(&r, &rng, &kind);
		if (round % 2)
			r.p.goal.objective =
				(enum kerf_objective)kerf_rng_below(&rng, KERF_FOR_MEMORY + 1);
		else if (round % 4)
			weigh(&r.p.goal, &rng);
		if (round % 5 < 2)
			r.p.goal.in_flight = 1 + (uint32_t)kerf_rng_below(&rng, 4);
		if (round % 3 == 0)
			r.p.goal.codecs = 1u << KERF_CODEC_F16 | 1u << KERF_CODEC_INT8;
		if (kerf_policy_find("kerf")->plan(&r.p, &best, NULL)) {
			random_problem_finish(&r);
			continue;
		}
		for (i = 0; (policy = kerf_policy_at(i)); i++) {
			if (policy->plan(&r.p, &plan, NULL))
				continue;
			assert_true(kerf_plan_cost(&r.p, &best) <= kerf_plan_cost(&r.p, &plan));
			kerf_plan_finish(&plan);
		}
		kerf_plan_finish(&best);
		random_problem_finish(&r);
	}
}

/* As brute_force(), with one codec for all that is sent. */
static double best_with(const struct random_problem *r, struct kerf_search *x, uint8_t all)
{
	uint32_t n = r->g->n_op, assign[RANDOM_OPS] = {0}, o = 0, v;
	uint8_t codec[RANDOM_OPS + 2];
	double best = INFINITY;

	for (v = 0; v < r->g->n_value; v++)
		codec[v] = r->g->value[v].t.dtype == KERF_F32 ? all : KERF_CODEC_NONE;
	while (o < n) {
		struct kerf_search_price price;

		kerf_search_price(x, assign, codec, -1, n, &price);
		if (price.over <= 0)
			best = fmin(best, price.cost);
		for (o = 0; o < n && ++assign[o] == r->p.n_engine; o++)
			assign[o] = 0;
	}
	return best;
}

/* Codecs that the goal allows and leaves accurate enough are used, others are not. */
static void test_codecs(void **state)
{
	static const double loss[KERF_N_CODECS] = {0, 0.01, 0.1};
	static const double floors[] = {0.9, 0.85, 0};
	const struct random_kind kind = {.min_ops = 2, .max_ops = 7, .engines = 3, .powers = true};
	struct kerf_rng rng;
	int round, helped = 0, short_of = 0, found = 0;

	kerf_rng_seed(&rng, 5);
	for (round = 0; round < 150; round++) {
		double last = INFINITY;
		struct random_problem r;
		struct kerf_search *x;
		uint32_t i, k;

		random_problem(&r, &rng, &kind);
		r.g->accuracy = 0.9;
		r.p.codec_loss = loss;
		r.p.goal.codecs = 1u << KERF_CODEC_F16 | 1u << KERF_CODEC_INT8;
		assert_int_equal(kerf_search_make(&r.p, &x), 0);
		for (i = 0; i < KERF_ARRAY_SIZE(floors); i++) {
			struct kerf_plan plan;
			double best;

			r.p.goal.accuracy = floors[i];
			if (kerf_policy_find("kerf")->plan(&r.p, &plan, NULL))
				break;
			found++;
			assert_int_equal(kerf_plan_meets(&r.p, &plan, NULL), 0);
			for (k = 0; k < plan.n_edge; k++)
				assert_true(plan.edge[k].bytes == 0 ||
					    plan.edge[k].codec <= (enum kerf_codec)i);
			assert_true(plan.total_s <= last * (1 + 1e-9));
			helped += i && plan.total_s < last * (1 - 1e-9);
			last = plan.total_s;
			best = fmin(best_with(&r, x, KERF_CODEC_NONE),
				    best_with(&r, x, (uint8_t)i));
			short_of += plan.total_s > best * (1 + 1e-9);
			kerf_plan_finish(&plan);
		}
		kerf_search_free(x);
		random_problem_finish(&r);
	}
	print_message("%d plans, codecs made %d faster; %d slower than the best with one codec\n", found,
		      helped, short_of);
	assert_true(helped > 20);
	assert_true(short_of * 20 <= found);
}

/* An exit is taken if the goal allows it and it is accurate enough; the rest does not run. */
static void test_exits(void **state)
{
	const struct random_kind kind = {.min_ops = 8, .max_ops = 16, .engines = 2, .chain = true};
	struct kerf_exit exit = {.accuracy = 0.8};
	struct kerf_rng rng;
	int round, taken = 0;

	kerf_rng_seed(&rng, 6);
	for (round = 0; round < 100; round++) {
		struct kerf_plan whole, plan;
		struct random_problem r;
		uint32_t i, k;

		random_problem(&r, &rng, &kind);
		/* Some chains have an output on the way. */
		if (r.g->n_out < 2 || kerf_policy_find("kerf")->plan(&r.p, &whole, NULL)) {
			random_problem_finish(&r);
			continue;
		}
		r.g->exit = &exit;
		r.g->n_exit = 1;
		r.g->accuracy = 0.9;
		r.p.goal.exits = true;
		r.p.goal.accuracy = 0.85;
		assert_int_equal(kerf_policy_find("kerf")->plan(&r.p, &plan, NULL), 0);
		assert_int_equal(plan.exit, -1);
		assert_true(close_to(plan.total_s, whole.total_s));
		kerf_plan_finish(&plan);
		r.p.goal.accuracy = 0.75;
		assert_int_equal(kerf_policy_find("kerf")->plan(&r.p, &plan, NULL), 0);
		assert_true(plan.total_s <= whole.total_s * (1 + 1e-9));
		if (plan.exit == 0) {
			taken++;
			assert_true(close_to(plan.accuracy, 0.8));
			for (i = 0; i < plan.n_step; i++)
				for (k = 0; k < plan.step[i].n_op; k++)
					assert_true((int32_t)plan.step[i].op[k] <=
						    r.g->value[r.g->out[0]].producer);
		}
		kerf_plan_finish(&plan);
		kerf_plan_finish(&whole);
		r.g->n_exit = 0;
		random_problem_finish(&r);
	}
	assert_true(taken > 10);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_prices_agree),
		cmocka_unit_test(test_parts_are_bounds),
		cmocka_unit_test(test_equals_brute_force),
		cmocka_unit_test(test_never_worse_than_others),
		cmocka_unit_test(test_codecs),
		cmocka_unit_test(test_exits),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
