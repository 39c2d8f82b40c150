/* SPDX-License-Identifier: MIT */
/*
 * The policies with tiles, on random graphs over random clusters and on the architectures of
 * `kerf gen`: what they answer is a plan that can be played, covers everything once, says the same
 * twice, and has the whole run's bits; and what each paper promises holds.
 *
 * KERF_TEST_QUICK: two architectures, and none is run whole but those.
 */
#include "graph/import.h"
#include "ops/random_graph.h"
#include "plan/fused.h"
#include "plan/plan_check.h"
#include "unit/spatial_rig.h"

#include <limits.h>
#include <unistd.h>

static struct kerf_engine *engine;

static int open_engine(void **state)
{
	struct kerf_engine_config cfg = {.threads = 1};
	struct kerf_err err = {""};

	return kerf_engine_open("cpu", &cfg, &engine, &err);
}

static int close_engine(void **state)
{
	kerf_engine_close(engine);
	return 0;
}

static const char *const exact[] = {"modnn", "mednn", "coedge", "deepthings", "aofl", "deepslicing",
				    "mcunet-patch", "decnn", "fcsplit", "bands", "pico"};

static struct kerf_plan make(const struct rig *x, const char *policy)
{
	struct kerf_err err = {""};
	struct kerf_plan plan;

	if (kerf_policy_find(policy)->plan(&x->p, &plan, &err))
		fail_msg("%s: %s", policy, err.msg);
	assert_string_equal(plan.policy, policy);
	if (kerf_plan_check(x->g, &plan, &err))
		fail_msg("%s: %s", policy, err.msg);
	return plan;
}

static void assert_same_plan(const struct kerf_plan *a, const struct kerf_plan *b)
{
	uint32_t i;

	assert_int_equal(a->n_step, b->n_step);
	assert_int_equal(a->n_edge, b->n_edge);
	for (i = 0; i < a->n_step; i++) {
		assert_int_equal(a->step[i].engine, b->step[i].engine);
		assert_int_equal(a->step[i].n_op, b->step[i].n_op);
		assert_int_equal(a->step[i].rows.begin, b->step[i].rows.begin);
		assert_int_equal(a->step[i].rows.end, b->step[i].rows.end);
	}
	assert_true(a->total_s == b->total_s && a->energy_j == b->energy_j);
	assert_string_equal(a->reason, b->reason);
}

static unsigned tiles_of(const struct kerf_plan *plan)
{
	unsigned n = 0;
	uint32_t i;

	for (i = 0; i < plan->n_step; i++)
		n += plan->step[i].rows.end > 0 || plan->step[i].channels.end > 0;
	return n;
}

static void test_random_graphs(void **state)
{
	unsigned which, tiled[KERF_ARRAY_SIZE(exact)] = {0};
	struct kerf_rng rng;
	uint64_t seed;

	kerf_rng_seed(&rng, 5);
	for (seed = 1000; seed < 1150; seed++) {
		struct kerf_err err = {""};
		struct kerf_graph *g = rg_make(seed, 4 + (int)(seed % 12), &err);
		struct kerf_tensor whole[RG_MAX], parts[RG_MAX];
		struct kerf_plan plan, again;
		struct rig x;

		if (!g)
			continue;
		rig_random(&x, g, &rng);
		run_whole(&x, engine, seed, whole);
		for (which = 0; which < KERF_ARRAY_SIZE(exact); which++) {
			plan = make(&x, exact[which]);
			again = make(&x, exact[which]);
			assert_same_plan(&plan, &again);
			run_plan(g, &plan, engine, seed, parts);
			assert_same_answer(g, whole, parts);
			tiled[which] += tiles_of(&plan);
			free_answer(g, parts);
			kerf_plan_finish(&plan);
			kerf_plan_finish(&again);
		}
		free_answer(g, whole);
		rig_drop(&x);
		kerf_graph_unref(g);
	}
	for (which = 0; which < KERF_ARRAY_SIZE(exact); which++)
		if (tiled[which] < 20 && strcmp(exact[which], "fcsplit") != 0)
			fail_msg("%s made %u tiles in all", exact[which], tiled[which]);
}

/* Operators before goal.keep stay, engines that cannot run something are not asked to. */
static void test_constraints(void **state)
{
	struct kerf_rng rng;
	unsigned which;
	uint64_t seed;

	kerf_rng_seed(&rng, 6);
	for (seed = 2000; seed < 2060; seed++) {
		struct kerf_err err = {""};
		struct kerf_graph *g = rg_make(seed, 12, &err);
		struct rig x;
		uint32_t i, e, o;

		if (!g)
			continue;
		rig_random(&x, g, &rng);
		x.p.goal.keep = (uint32_t)kerf_rng_below(&rng, g->n_op);
		for (e = 0; e < x.p.n_engine; e++)
			if (e != x.p.home && kerf_rng_below(&rng, 2)) {
				o = (uint32_t)kerf_rng_below(&rng, g->n_op);
				x.op_s[o * x.p.n_engine + e] = INFINITY;
			}
		for (which = 0; which < KERF_ARRAY_SIZE(exact); which++) {
			struct kerf_plan plan = make(&x, exact[which]);

			for (i = 0; i < plan.n_step; i++)
				assert_true(plan.step[i].op[0] >= x.p.goal.keep ||
					    plan.step[i].engine == x.p.home);
			assert_true(isfinite(plan.total_s));
			kerf_plan_finish(&plan);
		}
		rig_drop(&x);
		kerf_graph_unref(g);
	}
}

/* Without a path to anybody all is done at home. */
static void test_no_links(void **state)
{
	struct kerf_err err = {""};
	struct kerf_graph *g = rg_make(1003, 10, &err);
	double speed[] = {1e8, 1e9, 1e9};
	unsigned which;
	struct rig x;
	uint32_t i;

	assert_non_null(g);
	rig_make(&x, g, 3, speed, 0, 0);
	for (which = 0; which < KERF_ARRAY_SIZE(exact); which++) {
		struct kerf_plan plan = make(&x, exact[which]);

		for (i = 0; i < plan.n_step; i++)
			assert_int_equal(plan.step[i].engine, 0);
		kerf_plan_finish(&plan);
	}
	rig_drop(&x);
	kerf_graph_unref(g);
}

static bool quick(void)
{
	const char *text = getenv("KERF_TEST_QUICK");

	return text && *text && strcmp(text, "0") != 0;
}

/* --- real architectures --------------------------------------------------- */

static struct kerf_graph *generate(const char *arch, const char *size)
{
	char kerf[PATH_MAX], file[] = "/tmp/kerf-spatial-XXXXXX", command[PATH_MAX + 128];
	const char *build = getenv("KERF_BUILD");
	struct kerf_err err = {""};
	struct kerf_graph *g;
	int fd = mkstemp(file);
	ssize_t n;

	assert_true(fd >= 0);
	close(fd);
	if (build && *build) {
		snprintf(kerf, sizeof(kerf), "%s/kerf", build);
	} else {
		n = readlink("/proc/self/exe", kerf, sizeof(kerf) - 32);
		assert_true(n > 0);
		kerf[n] = '\0';
		*strrchr(kerf, '/') = '\0';
		strcat(kerf, "/../../kerf");
	}
	snprintf(command, sizeof(command), "'%s' gen %s --size %s -o %s", kerf, arch, size, file);
	assert_int_equal(system(command), 0);
	if (kerf_model_load(file, NULL, &g, &err))
		fail_msg("%s", err.msg);
	unlink(file);
	return g;
}

static struct kerf_plan local(const struct rig *x)
{
	struct kerf_plan plan;

	assert_int_equal(kerf_plan_whole(&x->p, x->p.home, &plan, NULL), 0);
	return plan;
}

/* No engine is in two stages, and stages come in order. */
static void check_stages(const struct kerf_plan *plan)
{
	uint32_t i, k;

	for (i = 0; i < plan->n_step; i++)
		for (k = 0; k < i; k++) {
			assert_true(plan->step[k].stage <= plan->step[i].stage);
			assert_true(plan->step[k].engine != plan->step[i].engine ||
				    plan->step[k].stage == plan->step[i].stage);
		}
}

/* Fused bands over all workers by their speed, as they are before anybody corrects them. */
static double by_speed_s(const struct rig *x)
{
	struct kerf_fused_search o = {.always = true};
	struct kerf_bands b = {0};
	struct kerf_fused *f;
	struct kerf_plan plan;
	double sum = 0, s;
	uint32_t w;

	assert_int_equal(kerf_fused_make(&x->p, KERF_FUSED_REACH, KERF_FUSED_BLOCKS, &f), 0);
	o.n_worker = kerf_fused_workers(f, o.worker, o.part);
	for (w = 0; w < o.n_worker; w++)
		sum += o.part[w];
	for (w = 0; w < o.n_worker; w++)
		o.part[w] /= sum;
	assert_int_equal(kerf_fused_search(f, &o, &b, &s, NULL), 0);
	assert_int_equal(kerf_bands_build(&x->p, &b, &plan, NULL), 0);
	s = plan.total_s;
	kerf_plan_finish(&plan);
	kerf_bands_finish(&b);
	kerf_fused_free(f);
	return s;
}

/* A worker that would keep the others waiting has no band: aofl's degree of parallelism. */
static void test_degree(void **state)
{
	const double speed[] = {1e9, 1e9, 1e9};
	struct kerf_graph *g = generate("resnet18", "80x64");
	bool second = false;
	struct kerf_plan plan;
	struct rig x;
	uint32_t i;

	rig_make(&x, g, 3, speed, 1e9, 1e-5);
	for (i = 0; i < 2; i++) /* node 2 is far away */
		x.link[i * 3 + 2].latency_s = x.link[2 * 3 + i].latency_s = 0.1;
	assert_true(by_speed_s(&x) > 0.1);
	plan = make(&x, "aofl");
	for (i = 0; i < plan.n_step; i++) {
		assert_true(plan.step[i].engine != 2);
		second |= plan.step[i].engine == 1;
	}
	assert_true(second);
	kerf_plan_finish(&plan);
	rig_drop(&x);
	kerf_graph_unref(g);
}

static void test_architectures(void **state)
{
	static const struct {
		const char *arch, *size;
	} models[] = {{"tiny", "33x30"},       {"mobilenet_v3", "64x64"},  {"mobilenet_v2", "96x64"},
		      {"resnet18", "80x64"},   {"yolov4-tiny", "128x96"}, {"googlenet", "64x64"},
		      {"squeezenet", "97x64"}};
	static const double speed[] = {1e9, 2e9, 1.5e9, 3e9};
	unsigned i, which, n = quick() ? 2 : KERF_ARRAY_SIZE(models);

	for (i = 0; i < n; i++) {
		struct kerf_graph *g = generate(models[i].arch, models[i].size);
		struct kerf_tensor whole[4], parts[4];
		struct kerf_plan alone, plan;
		struct rig x;

		rig_make(&x, g, 4, speed, 20e6, 1e-4);
		alone = local(&x);
		run_whole(&x, engine, 9, whole);
		for (which = 0; which < KERF_ARRAY_SIZE(exact); which++) {
			const char *name = exact[which];

			plan = make(&x, name);
			run_plan(g, &plan, engine, 9, parts);
			assert_same_answer(g, whole, parts);
			free_answer(g, parts);
			if (!strcmp(name, "deepthings") || !strcmp(name, "mcunet-patch"))
				assert_true(plan.memory_bytes < alone.memory_bytes);
			if (!strcmp(name, "mcunet-patch"))
				assert_true(plan.wire_bytes == 0);
			if (!strcmp(name, "deepslicing"))
				assert_true(plan.total_s <= by_speed_s(&x));
			if (!strcmp(name, "bands"))
				assert_true(plan.total_s <= alone.total_s);
			if (!strcmp(name, "pico")) {
				assert_true(plan.period_s < alone.period_s);
				check_stages(&plan);
			}
			kerf_plan_finish(&plan);
		}
		free_answer(g, whole);
		kerf_plan_finish(&alone);
		rig_drop(&x);
		kerf_graph_unref(g);
	}
}

/* A slow node has its classifier made by others, and no weights of theirs. */
static void test_fcsplit(void **state)
{
	struct kerf_graph *g;
	static const double speed[] = {1e8, 1e10, 1e10};
	struct kerf_tensor whole[1], parts[1];
	struct kerf_plan plan;
	unsigned split = 0;
	struct rig x;
	uint32_t i;

	if (quick())
		skip();
	g = generate("resnet18", "64x64");
	rig_make(&x, g, 3, speed, 1e9, 1e-5);
	for (i = 0; i < 2; i++) /* node 2 is far away */
		x.link[i * 3 + 2].latency_s = x.link[2 * 3 + i].latency_s = 0.1;
	assert_true(by_speed_s(&x) > 0.1);
	plan = make(&x, "fcsplit");
	for (i = 0; i < plan.n_step; i++)
		if (plan.step[i].channels.end) {
			assert_string_equal(g->op[plan.step[i].op[0]].def->name, "Gemm");
			split++;
		}
	assert_true(split >= 2);
	run_whole(&x, engine, 3, whole);
	run_plan(g, &plan, engine, 3, parts);
	assert_same_answer(g, whole, parts);
	free_answer(g, whole);
	free_answer(g, parts);
	kerf_plan_finish(&plan);
	rig_drop(&x);
	kerf_graph_unref(g);
}

/* Tiles of their own: no halo between them; another answer, near the model's; only if allowed. */
static void test_adcnn(void **state)
{
	struct kerf_graph *g;
	static const double speed[] = {1e9, 1e9, 1e9};
	struct kerf_tensor whole[1], parts[1];
	double sum = 0, off = 0;
	struct kerf_err err = {""};
	struct kerf_plan plan;
	struct rig x;
	uint32_t i, from, padded = 0;
	int64_t k;

	if (quick())
		skip();
	g = generate("resnet18", "64x64");
	rig_make(&x, g, 3, speed, 1e8, 1e-5);
	assert_int_equal(kerf_policy_find("adcnn")->plan(&x.p, &plan, &err), -EDOM);
	assert_non_null(strstr(err.msg, "--inexact"));
	x.p.goal.inexact = true;
	plan = make(&x, "adcnn");
	assert_true(plan.accuracy == 0);
	for (i = 0; i < plan.n_edge; i++) {
		from = plan.edge[i].from;
		assert_false(from != KERF_PLAN_HOME && plan.edge[i].to != KERF_PLAN_HOME &&
			     plan.step[from].padded && plan.step[plan.edge[i].to].padded);
	}
	for (i = 0; i < plan.n_step; i++) {
		padded += plan.step[i].padded;
		assert_true(!plan.step[i].padded || plan.step[i].rows.end);
	}
	assert_true(padded >= 2);
	run_whole(&x, engine, 3, whole);
	run_plan(g, &plan, engine, 3, parts);
	for (k = 0; k < kerf_tensor_count(&whole[0]); k++) {
		double a = (double)((float *)whole[0].data)[k],
		       b = (double)((float *)parts[0].data)[k];

		sum += a * a;
		off += (a - b) * (a - b);
	}
	assert_true(off > 0 && off < sum);
	free_answer(g, whole);
	free_answer(g, parts);
	kerf_plan_finish(&plan);
	rig_drop(&x);
	kerf_graph_unref(g);
}

/* A slow network fuses more; layers that share all are best on one that costs nothing. */
static void test_aofl_fuses_by_the_network(void **state)
{
	struct kerf_graph *g = generate("resnet18", "96x96");
	static const double speed[] = {1e9, 1e9, 1e9};
	static const double rates[] = {1e5, 1e7, 1e9};
	unsigned i, before = 0;

	for (i = 0; i < KERF_ARRAY_SIZE(rates); i++) {
		struct kerf_plan plan;
		struct rig x;

		rig_make(&x, g, 3, speed, rates[i], i ? 1e-5 : 1e-2);
		plan = make(&x, "aofl");
		assert_true(tiles_of(&plan) >= before);
		assert_true(!i || tiles_of(&plan) > 3);
		before = tiles_of(&plan);
		kerf_plan_finish(&plan);
		rig_drop(&x);
	}
	kerf_graph_unref(g);
}

/* What the search may fuse less of, it does not find better. */
static void test_search_is_monotone(void **state)
{
	struct kerf_rng rng;
	uint64_t seed;

	kerf_rng_seed(&rng, 8);
	for (seed = 3000; seed < 3060; seed++) {
		struct kerf_err err = {""};
		struct kerf_graph *g = rg_make(seed, 14, &err);
		struct kerf_fused_search o = {0};
		double speed[KERF_MAX_ENGINES], sum = 0, all, s;
		struct kerf_bands b = {0};
		struct kerf_fused *f;
		struct rig x;
		uint32_t w;

		if (!g)
			continue;
		rig_random(&x, g, &rng);
		assert_int_equal(kerf_fused_make(&x.p, KERF_FUSED_REACH, 0, &f), 0);
		o.n_worker = kerf_fused_workers(f, o.worker, speed);
		for (w = 0; w < o.n_worker; w++)
			sum += speed[w];
		for (w = 0; w < o.n_worker; w++)
			o.part[w] = speed[w] / sum;
		assert_int_equal(kerf_fused_search(f, &o, &b, &all, &err), 0);
		kerf_bands_finish(&b);
		for (o.most_fused = 1; o.most_fused < 4; o.most_fused++) {
			assert_int_equal(kerf_fused_search(f, &o, &b, &s, &err), 0);
			assert_true(all <= s * (1 + 1e-9));
			kerf_bands_finish(&b);
		}
		o.most_fused = 0;
		o.always = true;
		assert_int_equal(kerf_fused_search(f, &o, &b, &s, &err), 0);
		assert_true(all <= s * (1 + 1e-9));
		kerf_bands_finish(&b);
		kerf_fused_free(f);
		rig_drop(&x);
		kerf_graph_unref(g);
	}
}

static void test_coedge_keeps_deadlines_and_memory(void **state)
{
	struct kerf_graph *g = generate("resnet18", "96x96");
	static const double speed[] = {1e9, 2e9, 1.5e9, 3e9};
	struct kerf_plan fast, plan;
	struct kerf_err err = {""};
	double before = INFINITY;
	struct rig x;
	int i;

	rig_make(&x, g, 4, speed, 50e6, 1e-4);
	/* The fastest are the thirstiest. */
	for (i = 0; i < 4; i++)
		x.p.engine[i].active_w = speed[i] * speed[i] / 1e18;
	fast = make(&x, "coedge");
	x.p.goal.objective = KERF_FOR_ENERGY;
	for (i = 10; i <= 40; i += 5) {
		x.p.goal.deadline_s = fast.total_s * i / 10;
		plan = make(&x, "coedge");
		assert_true(plan.total_s <= x.p.goal.deadline_s * (1 + 1e-9));
		assert_true(plan.energy_j <= before * (1 + 1e-9) || i == 10);
		before = fmin(before, plan.energy_j);
		kerf_plan_finish(&plan);
	}
	assert_true(before < 0.9 * fast.energy_j);
	x.p.goal.deadline_s = fast.total_s / 10;
	assert_int_equal(kerf_policy_find("coedge")->plan(&x.p, &plan, &err), -EDOM);
	assert_non_null(strstr(err.msg, "deadline"));

	/* One that has room for weights and a tenth of what it would take. */
	x.p.goal = (struct kerf_goal){0};
	x.node[3].memory_bytes = 48e6;
	plan = make(&x, "coedge");
	assert_true(plan.over == 0);
	kerf_plan_finish(&plan);
	x.node[3].memory_bytes = 1e6;
	plan = make(&x, "coedge");
	for (i = 0; i < (int)plan.n_step; i++)
		assert_true(plan.step[i].engine != 3);
	kerf_plan_finish(&plan);
	kerf_plan_finish(&fast);
	rig_drop(&x);
	kerf_graph_unref(g);
}

static void test_balance(void **state)
{
	struct kerf_rng rng;
	int round;

	kerf_rng_seed(&rng, 11);
	for (round = 0; round < 1000; round++) {
		uint32_t n = 1 + (uint32_t)kerf_rng_below(&rng, 8), i;
		double fixed[8], each[8], part[8], sum = 0, t;

		for (i = 0; i < n; i++) {
			fixed[i] = (double)kerf_rng_float(&rng);
			each[i] = 0.01 + (double)kerf_rng_float(&rng);
		}
		t = kerf_fused_balance(n, fixed, each, part);
		for (i = 0; i < n; i++) {
			assert_true(part[i] >= 0);
			if (part[i] > 0)
				assert_true(fabs(fixed[i] + each[i] * part[i] - t) < 1e-9);
			else
				assert_true(fixed[i] >= t - 1e-9);
			sum += part[i];
		}
		assert_true(fabs(sum - 1) < 1e-9);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_balance),
		cmocka_unit_test(test_random_graphs),
		cmocka_unit_test(test_constraints),
		cmocka_unit_test(test_no_links),
		cmocka_unit_test(test_search_is_monotone),
		cmocka_unit_test(test_architectures),
		cmocka_unit_test(test_degree),
		cmocka_unit_test(test_fcsplit),
		cmocka_unit_test(test_adcnn),
		cmocka_unit_test(test_aofl_fuses_by_the_network),
		cmocka_unit_test(test_coedge_keeps_deadlines_and_memory),
	};

	return cmocka_run_group_tests(tests, open_engine, close_engine);
}
