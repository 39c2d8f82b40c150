/* SPDX-License-Identifier: MIT */
/* The policies with several cuts, exits, local decisions, and the learner. */
#include "policy_case.h"

#include "plan/change_point.h"
#include "plan/scan.h"

static bool same(double a, double b)
{
	return fabs(a - b) <= 1e-9 * fmax(fabs(a), fabs(b)) + 1e-15;
}

/* On chains the path is the best of all assignments, whatever nodes and links there are. */
static void test_jointdnn_is_optimal_on_chains(void **state)
{
	struct kerf_rng rng;
	uint32_t round, several = 0;

	kerf_rng_seed(&rng, 1);
	for (round = 0; round < 150; round++) {
		uint32_t n = 2 + (uint32_t)kerf_rng_below(&rng, 5), code, all = 1, o, changes = 0;
		struct kerf_plan plan;
		double best = INFINITY;
		struct pcase c;
		int r;

		case_make(&c, &rng, CASE_CHAIN, n, 3, round % 3 == 0);
		case_enrich(&c, &rng);
		if (round % 4 == 0) /* no way between the two that are away: by home */
			c.link[1 * c.p.n_node + c.p.n_node - 1].rate_bytes_s = 0;
		if (round % 2) /* cheap links */
			for (o = 0; o < c.p.n_node * c.p.n_node; o++)
				c.link[o] = (struct kerf_link_model){.rate_bytes_s = 1e8};
		for (o = 0; o < n; o++)
			all *= 3;
		for (code = 0; code < all; code++) {
			uint32_t assign[CASE_OPS], rest = code;

			for (o = 0; o < n; o++, rest /= 3)
				assign[o] = rest % 3;
			if (kerf_plan_from_assignment(&c.p, assign, NULL, &plan, NULL))
				continue;
			best = fmin(best, plan.total_s);
			kerf_plan_finish(&plan);
		}
		r = kerf_policy_find("jointdnn")->plan(&c.p, &plan, NULL);
		assert_int_equal(r, isfinite(best) ? 0 : -ENODEV);
		if (!r) {
			case_check(&c, &plan);
			assert_true(same(plan.total_s, best));
			for (o = 1; o < n; o++)
				changes += case_engine(&plan, o) != case_engine(&plan, o - 1);
			several += changes > 1;
			kerf_plan_finish(&plan);
		}
		case_drop(&c);
	}
	assert_true(several > 20);
}

/* Energy under a deadline: kept if it can be, mostly at the least energy of all assignments. */
static void test_jointdnn_keeps_a_deadline(void **state)
{
	enum { N = 6, ALL = 729 };
	struct kerf_rng rng;
	uint32_t round, exact = 0;

	kerf_rng_seed(&rng, 2);
	for (round = 0; round < 100; round++) {
		struct kerf_plan fast, frugal, plan;
		double best = INFINITY;
		struct pcase c;
		uint32_t i, code, assign[N];

		case_make(&c, &rng, CASE_CHAIN, N, 3, false);
		for (i = 0; i < 3; i++)
			c.node[i].idle_w = 0;
		assert_int_equal(kerf_policy_find("jointdnn")->plan(&c.p, &fast, NULL), 0);
		c.p.goal.objective = KERF_FOR_ENERGY;
		assert_int_equal(kerf_policy_find("jointdnn")->plan(&c.p, &frugal, NULL), 0);
		assert_true(frugal.energy_j <= fast.energy_j * (1 + 1e-9));
		c.p.goal.deadline_s = (fast.total_s + frugal.total_s) / 2;
		for (code = 0; code < ALL; code++) {
			uint32_t rest = code;

			for (i = 0; i < N; i++, rest /= 3)
				assign[i] = rest % 3;
			assert_int_equal(kerf_plan_from_assignment(&c.p, assign, NULL, &plan, NULL),
					 0);
			if (!kerf_plan_meets(&c.p, &plan, NULL))
				best = fmin(best, plan.energy_j);
			kerf_plan_finish(&plan);
		}
		assert_int_equal(kerf_policy_find("jointdnn")->plan(&c.p, &plan, NULL), 0);
		assert_true(plan.total_s <= c.p.goal.deadline_s * (1 + 1e-9));
		assert_true(plan.energy_j <= fast.energy_j * (1 + 1e-9));
		exact += same(plan.energy_j, best);
		kerf_plan_finish(&fast);
		kerf_plan_finish(&frugal);
		kerf_plan_finish(&plan);
		case_drop(&c);
	}
	assert_true(exact > 80);
}

/* What brute force over exits, pairs, positions and codecs finds, by price. */
struct found {
	bool meets;
	double cost;	 /* least of those that meet the goal */
	double accuracy; /* most of those that meet the goal */
};

static struct found search(const struct pcase *c, uint32_t codecs)
{
	struct found f = {false, INFINITY, 0};
	int32_t exit;

	for (exit = -1; exit < (c->p.goal.exits ? (int32_t)c->g->n_exit : 0); exit++) {
		uint32_t here = UINT32_MAX, there = UINT32_MAX, k, codec;
		struct kerf_scan scan;

		assert_int_equal(kerf_scan_make(&scan, &c->p, exit), 0);
		while (kerf_scan_next_pair(&c->p, &here, &there))
			for (k = 0; k <= c->g->n_op; k++)
				for (codec = 0; codec < KERF_N_CODECS; codec++) {
					struct kerf_choice choice = {0};
					struct kerf_scan_cut cut = {.exit = exit,
								    .here = here,
								    .there = there,
								    .k = k,
								    .codec =
									    (enum kerf_codec)codec};

					if (!(codecs >> codec & 1))
						continue;
					kerf_scan_offer(&scan, &cut, &choice);
					if (choice.have) {
						f.meets = true;
						f.cost = fmin(f.cost, choice.cost);
						f.accuracy = fmax(f.accuracy, choice.best.accuracy);
					}
					kerf_choice_drop(&choice);
				}
		kerf_scan_finish(&scan);
	}
	return f;
}

/* A model with exits under a deadline and, now and then, an accuracy floor. */
static void exits_case(struct pcase *c, struct kerf_rng *rng)
{
	do {
		case_make(c, rng, CASE_DAG, 6 + (uint32_t)kerf_rng_below(rng, 6), 2, false);
		if (c->g->n_out > 1)
			break;
		case_drop(c);
	} while (true);
	case_enrich(c, rng);
	case_exits(c);
	c->p.goal.deadline_s = case_between(rng, 0.004, 0.06);
	c->p.goal.accuracy = kerf_rng_below(rng, 2) ? 0.54 : 0;
}

/* The deadline is kept whenever any exit and cut keeps it, and then with the best accuracy. */
static void test_edgent_under_a_deadline(void **state)
{
	struct kerf_rng rng;
	uint32_t round, early = 0, late = 0, none = 0;

	kerf_rng_seed(&rng, 3);
	for (round = 0; round < 300; round++) {
		struct kerf_err err = {""};
		struct kerf_plan plan;
		struct found f;
		struct pcase c;
		int r;

		exits_case(&c, &rng);
		f = search(&c, 1);
		r = kerf_policy_find("edgent")->plan(&c.p, &plan, &err);
		if (f.meets) {
			assert_int_equal(r, 0);
			case_check(&c, &plan);
			assert_true(plan.total_s <= c.p.goal.deadline_s * (1 + 1e-9));
			assert_true(plan.accuracy >= c.p.goal.accuracy);
			assert_true(same(plan.accuracy, f.accuracy));
			early += plan.exit >= 0;
			late += plan.exit < 0;
			kerf_plan_finish(&plan);
		} else {
			assert_true(r == -EDOM || r == -ENODEV);
			assert_true(err.msg[0]);
			none++;
		}
		case_drop(&c);
	}
	assert_true(early > 30 && late > 30 && none > 10);
}

/* Hard constraints hold whenever they can; the objective is within 1 % of the best that does. */
static void test_spinn_by_constraints_and_priorities(void **state)
{
	struct kerf_rng rng;
	uint32_t round, early = 0, coded = 0, none = 0, i;

	kerf_rng_seed(&rng, 4);
	for (round = 0; round < 300; round++) {
		struct kerf_err err = {""};
		struct kerf_plan plan;
		struct found f;
		struct pcase c;
		int r;

		exits_case(&c, &rng);
		c.p.goal.objective = round % 3 ? KERF_FOR_LATENCY : KERF_FOR_ENERGY;
		c.p.goal.codecs = (uint32_t)kerf_rng_below(&rng, 8);
		f = search(&c, c.p.goal.codecs | 1);
		r = kerf_policy_find("spinn")->plan(&c.p, &plan, &err);
		if (f.meets) {
			assert_int_equal(r, 0);
			case_check(&c, &plan);
			assert_true(plan.total_s <= c.p.goal.deadline_s * (1 + 1e-9));
			assert_true(plan.accuracy >= c.p.goal.accuracy);
			assert_true(kerf_plan_cost(&c.p, &plan) <= f.cost * 1.01 * (1 + 1e-9));
			early += plan.exit >= 0;
			for (i = 0; i < plan.n_edge; i++)
				coded += plan.edge[i].codec && plan.edge[i].bytes > 0;
			kerf_plan_finish(&plan);
		} else {
			assert_true(r == -EDOM || r == -ENODEV);
			assert_true(err.msg[0]);
			none++;
		}
		case_drop(&c);
	}
	assert_true(early > 30 && coded > 10 && none > 10);
}

/* Of two exits that cost the same the more accurate one. */
static void test_spinn_prefers_accuracy_among_equals(void **state)
{
	struct kerf_link_model link[4] = {[1] = {.rate_bytes_s = 1e6}, [2] = {.rate_bytes_s = 1e6}};
	struct kerf_graph *g = kerf_graph_new("two exits");
	int32_t v = case_value(g, 10, NULL), end, i;
	double op_s[2 * 3] = {1, 9, 0.5, 9, 0.495, 9};
	struct kerf_outline *outline;
	struct kerf_problem p;
	struct kerf_plan plan;

	kerf_graph_add_input(g, v);
	for (i = 0; i < 3; i++) {
		end = case_value(g, 10, NULL);
		kerf_graph_add_op(g, &case_op, NULL, 1, 1, &v, 1, &end, 0, NULL);
		kerf_graph_add_output(g, end);
	}
	g->exit = kerf_graph_alloc(g, 2 * sizeof(*g->exit));
	g->exit[0] = (struct kerf_exit){2, 0.5}; /* operator 2: 1 % faster */
	g->exit[1] = (struct kerf_exit){1, 0.6};
	g->n_exit = 2;
	g->accuracy = 0.9;
	assert_int_equal(kerf_outline_make(g, &outline), 0);
	p = (struct kerf_problem){.graph = g,
				  .outline = outline,
				  .n_engine = 2,
				  .n_node = 2,
				  .engine = {{.name = "here"}, {.name = "there", .node = 1}},
				  .link = link,
				  .op_s = op_s,
				  .goal = {.exits = true}};
	/* 0.5 s is a little over 1 % above 0.495 s. */
	assert_int_equal(kerf_policy_find("spinn")->plan(&p, &plan, NULL), 0);
	assert_int_equal(plan.exit, 0);
	kerf_plan_finish(&plan);
	op_s[2] = 0.498;
	assert_int_equal(kerf_policy_find("spinn")->plan(&p, &plan, NULL), 0);
	assert_int_equal(plan.exit, 1);
	kerf_plan_finish(&plan);
	kerf_outline_free(outline);
	kerf_graph_unref(g);
}

/* Levels of a noisy series are told apart, noise within a level is not. */
static void test_change_points(void **state)
{
	static const double levels[] = {2e6, 8e6, 1e6};
	double x[120], mean;
	struct kerf_rng rng;
	uint32_t i, seed, n;

	assert_int_equal(kerf_change_point(NULL, 0, &mean), 0);
	assert_true(mean == 0);
	for (seed = 0; seed < 20; seed++) {
		kerf_rng_seed(&rng, seed);
		for (i = 0; i < 120; i++)
			x[i] = levels[i / 40] * case_between(&rng, 0.85, 1.15);
		for (i = 10; i <= 120; i++) {
			uint32_t since = (i - 1) % 40 + 1;

			if (since < 4)
				continue;
			n = kerf_change_point(x, i, &mean);
			assert_true(n + 2 >= since && n <= since + 2);
			if (since >= 10)
				assert_true(fabs(mean / levels[(i - 1) / 40] - 1) < 0.15);
		}
	}
	/* Nonsense among samples is left out; the last 256 count. */
	x[3] = 0;
	x[5] = NAN;
	x[7] = -1;
	assert_true(kerf_change_point(x, 40, &mean) <= 37);
	{
		double many[1000];

		for (i = 0; i < 1000; i++)
			many[i] = 1e6;
		assert_int_equal(kerf_change_point(many, 1000, &mean), 256);
		assert_true(fabs(mean / 1e6 - 1) < 1e-9);
	}
}

/*
 * The link's last samples: it has just become slow, while the estimate in the problem still says
 * it is fast. Edgent goes by the new state; without samples by the estimate.
 */
static void test_edgent_follows_the_link(void **state)
{
	struct kerf_link_model link[4] = {[1] = {.rate_bytes_s = 4e6}, [2] = {.rate_bytes_s = 4e6}};
	struct kerf_graph *g = kerf_graph_new("one");
	int32_t v = case_value(g, 100000, NULL), w = case_value(g, 1, NULL); /* 400 kB: 0.1 s */
	double op_s[2] = {0.3, 0.01}, past[24];
	struct kerf_outline *outline;
	struct kerf_problem p;
	struct kerf_plan plan;
	uint32_t i;

	kerf_graph_add_input(g, v);
	kerf_graph_add_op(g, &case_op, NULL, 1, 1, &v, 1, &w, 0, NULL);
	kerf_graph_add_output(g, w);
	assert_int_equal(kerf_outline_make(g, &outline), 0);
	p = (struct kerf_problem){.graph = g,
				  .outline = outline,
				  .n_engine = 2,
				  .n_node = 2,
				  .engine = {{.name = "here"}, {.name = "there", .node = 1}},
				  .link = link,
				  .op_s = op_s};
	assert_int_equal(kerf_policy_find("edgent")->plan(&p, &plan, NULL), 0);
	assert_int_equal(plan.step[0].engine, 1);
	kerf_plan_finish(&plan);
	for (i = 0; i < 24; i++)
		past[i] = (i < 16 ? 4e6 : 0.4e6) * (i % 2 ? 1.05 : 0.95);
	p.past_rate = past;
	p.n_past_rate = 16;
	assert_int_equal(kerf_policy_find("edgent")->plan(&p, &plan, NULL), 0);
	assert_int_equal(plan.step[0].engine, 1);
	assert_non_null(strstr(plan.reason, "since 16 samples"));
	kerf_plan_finish(&plan);
	p.n_past_rate = 24;
	assert_int_equal(kerf_policy_find("edgent")->plan(&p, &plan, NULL), 0);
	assert_int_equal(plan.step[0].engine, 0);
	assert_non_null(strstr(plan.reason, "since 8 samples"));
	kerf_plan_finish(&plan);
	/* Where that would miss a deadline that can be met, by the problem's own figures it is. */
	p.goal.deadline_s = 0.2;
	assert_int_equal(kerf_policy_find("edgent")->plan(&p, &plan, NULL), 0);
	assert_int_equal(plan.step[0].engine, 1);
	kerf_plan_finish(&plan);
	kerf_outline_free(outline);
	kerf_graph_unref(g);
}

/*
 * Four nodes: each next one is four times as fast. A node sees its neighbours alone, so the
 * walk goes as far as each step looks better from where it stands.
 */
static void test_crime_sees_its_neighbours(void **state)
{
	struct kerf_link_model link[16] = {{.latency_s = 0}};
	struct kerf_graph *g = kerf_graph_new("one");
	int32_t v = case_value(g, 25000, NULL), w = case_value(g, 1, NULL); /* 100 kB */
	double op_s[4] = {1.6, 0.4, 0.1, 0.025};
	struct kerf_outline *outline;
	struct kerf_problem p;
	struct kerf_plan plan;
	uint32_t i;

	kerf_graph_add_input(g, v);
	kerf_graph_add_op(g, &case_op, NULL, 1, 1, &v, 1, &w, 0, NULL);
	kerf_graph_add_output(g, w);
	assert_int_equal(kerf_outline_make(g, &outline), 0);
	p = (struct kerf_problem){.graph = g,
				  .outline = outline,
				  .n_engine = 4,
				  .n_node = 4,
				  .engine = {{.name = "a"},
					     {.name = "b", .node = 1},
					     {.name = "c", .node = 2},
					     {.name = "d", .node = 3}},
				  .link = link,
				  .op_s = op_s};
	/* a line a - b - c - d at 10 MB/s; home has slow ways of its own to c and d */
	for (i = 0; i < 3; i++)
		link[i * 4 + i + 1].rate_bytes_s = link[(i + 1) * 4 + i].rate_bytes_s = 1e7;
	link[2].rate_bytes_s = link[8].rate_bytes_s = 1e5;
	link[3].rate_bytes_s = link[12].rate_bytes_s = 1e5;
	assert_int_equal(kerf_policy_find("crime")->plan(&p, &plan, NULL), 0);
	assert_int_equal(plan.step[0].engine, 3);
	assert_non_null(strstr(plan.reason, "handed on 3 times"));
	kerf_plan_finish(&plan);
	/* b is slow itself: nobody behind it is seen, though c and d are fast. */
	op_s[1] = 2;
	link[2].rate_bytes_s = link[3].rate_bytes_s = 6e4;
	assert_int_equal(kerf_policy_find("crime")->plan(&p, &plan, NULL), 0);
	assert_int_equal(plan.step[0].engine, 0);
	kerf_plan_finish(&plan);
	/* Operators that have to stay keep the input at home. */
	op_s[1] = 0.4;
	p.goal.keep = 1;
	assert_int_equal(kerf_policy_find("crime")->plan(&p, &plan, NULL), 0);
	assert_int_equal(plan.step[0].engine, 0);
	kerf_plan_finish(&plan);
	kerf_outline_free(outline);
	kerf_graph_unref(g);
}

/* The learner: near the best that there is in its space, the same for one seed. */
static void test_cogent_learns(void **state)
{
	uint32_t round, near = 0, met = 0;
	struct kerf_rng rng;

	kerf_rng_seed(&rng, 5);
	for (round = 0; round < 100; round++) {
		struct kerf_plan plan, again;
		struct found f;
		struct pcase c;
		int r;

		exits_case(&c, &rng);
		c.p.goal.codecs = (uint32_t)kerf_rng_below(&rng, 8);
		c.p.seed = round;
		f = search(&c, c.p.goal.codecs | 1);
		r = kerf_policy_find("cogent")->plan(&c.p, &plan, NULL);
		assert_true(!r || r == -EDOM || r == -ENODEV);
		if (!r) {
			assert_int_equal(kerf_policy_find("cogent")->plan(&c.p, &again, NULL), 0);
			assert_true(plan.total_s == again.total_s && plan.exit == again.exit);
			kerf_plan_finish(&again);
			case_check(&c, &plan);
			assert_int_equal(kerf_plan_meets(&c.p, &plan, NULL), 0);
			near += kerf_plan_cost(&c.p, &plan) <= f.cost * 1.05;
			kerf_plan_finish(&plan);
		}
		met += f.meets;
		case_drop(&c);
	}
	assert_true(met > 50 && near * 10 >= met * 9);
}

/* 6000 operators, four times as many positions as draws: what is found is learnt. */
static void test_cogent_learns_a_long_chain(void **state)
{
	enum { N = 6000, ROUNDS = 12 };
	struct kerf_link_model link[4] = {[1] = {.rate_bytes_s = 1e6}, [2] = {.rate_bytes_s = 1e6}};
	static double op_s[2 * N];
	struct kerf_rng rng;
	uint32_t round, near = 0, o;

	kerf_rng_seed(&rng, 6);
	for (round = 0; round < ROUNDS; round++) {
		struct kerf_graph *g = kerf_graph_new("chain");
		int32_t v = case_value(g, 5000, NULL), w;
		double narrow = case_between(&rng, 0.2, 0.8);
		struct kerf_scan_cut best = {.runs = false};
		struct kerf_outline *outline;
		struct kerf_problem p;
		struct kerf_scan scan;
		struct kerf_plan plan;

		kerf_graph_add_input(g, v);
		for (o = 0; o < N; o++) {
			double far = fabs((double)o / N - narrow);

			/* values get small towards one place, and vary besides */
			w = case_value(g, 10 + (int64_t)(8000 * far * case_between(&rng, 0.5, 1)),
				       NULL);
			kerf_graph_add_op(g, &case_op, NULL, 1, 1, &v, 1, &w, 0, NULL);
			v = w;
			op_s[2 * o] = case_between(&rng, 0, 2e-5);
			op_s[2 * o + 1] = op_s[2 * o] * (o < narrow * N ? 2 : 0.1);
		}
		kerf_graph_add_output(g, v);
		assert_int_equal(kerf_outline_make(g, &outline), 0);
		p = (struct kerf_problem){
			.graph = g,
			.outline = outline,
			.n_engine = 2,
			.n_node = 2,
			.engine = {{.name = "here"}, {.name = "there", .node = 1}},
			.link = link,
			.op_s = op_s,
			.seed = round};
		assert_int_equal(kerf_scan_make(&scan, &p, -1), 0);
		kerf_scan_search(&scan, 1, NULL, &best);
		kerf_scan_finish(&scan);
		assert_true(best.k > 0 && best.k < N);
		assert_int_equal(kerf_policy_find("cogent")->plan(&p, &plan, NULL), 0);
		assert_true(plan.total_s >= best.total_s * (1 - 1e-9));
		near += plan.total_s <= best.total_s * 1.0001;
		kerf_plan_finish(&plan);
		kerf_outline_free(outline);
		kerf_graph_unref(g);
	}
	assert_true(near >= 10);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_jointdnn_is_optimal_on_chains),
		cmocka_unit_test(test_jointdnn_keeps_a_deadline),
		cmocka_unit_test(test_edgent_under_a_deadline),
		cmocka_unit_test(test_spinn_by_constraints_and_priorities),
		cmocka_unit_test(test_spinn_prefers_accuracy_among_equals),
		cmocka_unit_test(test_change_points),
		cmocka_unit_test(test_edgent_follows_the_link),
		cmocka_unit_test(test_crime_sees_its_neighbours),
		cmocka_unit_test(test_cogent_learns),
		cmocka_unit_test(test_cogent_learns_a_long_chain),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
