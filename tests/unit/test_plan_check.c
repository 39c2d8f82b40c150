/* SPDX-License-Identifier: MIT */
/*
 * Checking plans: those that policies' tools make pass, and every way to break one by hand is
 * found. Graphs and groups are random; so is where a plan is broken.
 */
#include "plan/plan_check.h"
#include "unit/random_groups.h"

#define ROUNDS 150

/* A plan of random groups, whole or in bands of rows. */
static bool make_plan(const struct rig *x, struct kerf_rng *rng, struct kerf_plan *plan)
{
	struct kerf_bands b = {0};
	struct kerf_tile room;
	int r;

	assert_int_equal(kerf_tile_open(x->g, &room), 0);
	random_groups(&x->p, &room, rng, &b);
	kerf_tile_finish(&room);
	r = kerf_bands_build(&x->p, &b, plan, NULL);
	kerf_bands_finish(&b);
	return !r;
}

static void test_plans_that_were_made_pass(void **state)
{
	uint32_t assign[64], i, tiled = 0, k;
	struct kerf_rng rng;
	uint64_t seed;

	kerf_rng_seed(&rng, 21);
	for (seed = 1; seed <= ROUNDS; seed++) {
		struct kerf_err err = {""};
		struct kerf_graph *g = rg_make(seed, 14, &err);
		struct kerf_plan plan;
		struct rig x;

		if (!g || g->n_op > KERF_ARRAY_SIZE(assign))
			goto next;
		rig_random(&x, g, &rng);
		if (make_plan(&x, &rng, &plan)) {
			if (kerf_plan_check(g, &plan, &err))
				fail_msg("seed %llu: %s", (unsigned long long)seed, err.msg);
			for (k = 0; k < plan.n_step; k++)
				tiled += plan.step[k].rows.end > 0;
			kerf_plan_finish(&plan);
		}
		for (i = 0; i < g->n_op; i++)
			assign[i] = (uint32_t)kerf_rng_below(&rng, x.p.n_engine);
		if (!kerf_plan_from_assignment(&x.p, assign, NULL, &plan, NULL)) {
			if (kerf_plan_check(g, &plan, &err))
				fail_msg("seed %llu: %s", (unsigned long long)seed, err.msg);
			kerf_plan_finish(&plan);
		}
		rig_drop(&x);
next:
		kerf_graph_unref(g);
	}
	assert_true(tiled > ROUNDS);
}

/* --- breaking --- */

enum harm {
	LOSE_EDGE,
	DOUBLE_EDGE,
	LOSE_ROW,
	LOSE_OPERATOR,
	OTHER_MAKER,
	OTHER_VALUE,
	LATER_MAKER,
	WRONG_EXIT,
	WRONG_OPERATOR,
	OTHER_ROWS,
	N_HARMS,
};

static const char *const harm_names[N_HARMS] = {
	"an edge less",	  "an edge twice",     "a row less",	   "an operator less",
	"another maker",  "another value",     "a later maker",	   "an exit that is not there",
	"no such operator", "a tile of other rows",
};

/* False where this plan cannot be broken so. */
static bool harm_edge(struct kerf_plan *plan, enum harm how, uint32_t at)
{
	struct kerf_plan_edge *e = &plan->edge[at];

	switch (how) {
	case LOSE_EDGE:
		memmove(e, e + 1, (--plan->n_edge - at) * sizeof(*e));
		return true;
	case DOUBLE_EDGE:
		assert_non_null(kerf_plan_add_edge(plan));
		e = &plan->edge[at];
		memmove(e + 1, e, (plan->n_edge - 1 - at) * sizeof(*e));
		return true;
	case LOSE_ROW:
		if (e->rows.end - e->rows.begin < 2)
			return false;
		e->rows.end--;
		return true;
	case OTHER_MAKER:
		e->from = e->from == KERF_PLAN_HOME ? 0 : KERF_PLAN_HOME;
		return e->to != e->from;
	case OTHER_VALUE:
		e->value++;
		return true;
	case LATER_MAKER:
		e->from = plan->n_step;
		return true;
	default:
		return false;
	}
}

static bool harm(struct kerf_plan *plan, enum harm how, struct kerf_rng *rng, uint32_t n_op)
{
	struct kerf_plan_step *s = &plan->step[kerf_rng_below(rng, plan->n_step)];

	switch (how) {
	case LOSE_OPERATOR:
		memmove(s->op, s->op + 1, --s->n_op * sizeof(*s->op));
		return true;
	case WRONG_EXIT: plan->exit = 0; return true;
	case WRONG_OPERATOR: s->op[s->n_op - 1] = n_op; return true;
	case OTHER_ROWS:
		if (s->rows.end - s->rows.begin < 2)
			return false;
		s->rows.begin++;
		return true;
	default: return harm_edge(plan, how, (uint32_t)kerf_rng_below(rng, plan->n_edge));
	}
}

static void test_broken_plans_are_found(void **state)
{
	uint32_t done[N_HARMS] = {0}, how;
	struct kerf_rng rng;
	uint64_t seed;

	kerf_rng_seed(&rng, 22);
	for (seed = 1; seed <= ROUNDS; seed++) {
		struct kerf_err err = {""};
		struct kerf_graph *g = rg_make(seed, 14, &err);
		struct rig x;

		if (!g)
			continue;
		rig_random(&x, g, &rng);
		for (how = 0; how < N_HARMS; how++) {
			struct kerf_plan plan;

			if (!make_plan(&x, &rng, &plan))
				continue;
			err.msg[0] = 0;
			if (harm(&plan, (enum harm)how, &rng, g->n_op)) {
				done[how]++;
				if (kerf_plan_check(g, &plan, &err) != -EINVAL)
					fail_msg("seed %llu: %s was not found",
						 (unsigned long long)seed, harm_names[how]);
				assert_true(err.msg[0]);
			}
			kerf_plan_finish(&plan);
		}
		rig_drop(&x);
		kerf_graph_unref(g);
	}
	for (how = 0; how < N_HARMS; how++)
		assert_true(done[how] > 20);
}

/* Of an exit its own output is enough; others come whole or not at all. */
static void test_exits(void **state)
{
	static const struct kerf_op_def any = {.name = "any", .max_in = -1, .max_out = -1};
	struct kerf_tensor t = {.dtype = KERF_F32, .rank = 1, .dims = {8}};
	struct kerf_graph *g = kerf_graph_new("t");
	struct kerf_exit exit = {0, 0.5};
	double speed[] = {1e9, 1e9};
	uint32_t assign[] = {0, 1, KERF_PLAN_HOME, KERF_PLAN_HOME};
	struct kerf_err err = {""};
	struct kerf_plan plan;
	struct rig x;
	int32_t v[5], i;

	for (i = 0; i < 5; i++) {
		v[i] = kerf_graph_add_value(g, NULL, &t);
		if (i)
			kerf_graph_add_op(g, &any, NULL, 1, 1, i == 3 ? &v[1] : &v[i - 1], 1, &v[i],
					  0, NULL);
	}
	kerf_graph_add_input(g, v[0]);
	kerf_graph_add_output(g, v[2]);
	kerf_graph_add_output(g, v[4]);
	g->n_exit = 1;
	g->exit = &exit;
	rig_make(&x, g, 2, speed, 1e6, 0);
	assert_int_equal(kerf_plan_from_assignment(&x.p, assign, NULL, &plan, NULL), 0);
	assert_int_equal(kerf_plan_check(g, &plan, &err), -EINVAL);
	plan.exit = 0;
	assert_int_equal(kerf_plan_check(g, &plan, NULL), 0);
	plan.n_edge--;
	assert_int_equal(kerf_plan_check(g, &plan, NULL), -EINVAL);
	kerf_plan_finish(&plan);
	rig_drop(&x);
	g->exit = NULL;
	g->n_exit = 0;
	kerf_graph_unref(g);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_plans_that_were_made_pass),
		cmocka_unit_test(test_broken_plans_are_found),
		cmocka_unit_test(test_exits),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
