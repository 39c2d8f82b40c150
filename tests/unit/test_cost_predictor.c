/* SPDX-License-Identifier: MIT */
/* Costs that are fitted, learned and predicted: on engines whose law the test knows. */
#include "cost/engine_cost.h"
#include "cost/predictor.h"
#include "cost/store.h"
#include "util/rng.h"

#include "graph_build.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* --- boosted trees ----------------------------------------------------------- */

static const struct kerf_boost_options options = {
	.trees = 100, .rate = 0.2, .ridge = 0.1, .clip = 10, .least = 1};

/* A step of one feature and a slope of another; the third says nothing. */
static double law(const float *x)
{
	return (x[0] > 0.3f ? 2 : -1) + (double)x[1];
}

static void test_trees_learn_a_law(void **state)
{
	enum { N = 400 };
	struct kerf_boost b, again;
	struct kerf_rng rng;
	float x[N * 3];
	double y[N], w[N], sum = 0;
	int i, n = 0;

	kerf_rng_seed(&rng, 1);
	for (i = 0; i < 3 * N; i++)
		x[i] = kerf_rng_float(&rng);
	for (i = 0; i < N; i++) {
		y[i] = law(x + 3 * i);
		w[i] = 1;
	}
	assert_int_equal(kerf_boost_train(x, y, w, N, 3, &options, &b), 0);
	assert_int_equal(kerf_boost_train(x, y, w, N, 3, &options, &again), 0);
	assert_memory_equal(b.tree, again.tree, b.n_tree * sizeof(*b.tree));
	for (i = 0; i < 100; i++) {
		float q[3] = {kerf_rng_float(&rng), kerf_rng_float(&rng), kerf_rng_float(&rng)};

		/* Beside the step, where rows of one bin stand on both sides. */
		if (fabsf(q[0] - 0.3f) < 0.04f)
			continue;
		sum += pow(kerf_boost_value(&b, q) - law(q), 2);
		n++;
	}
	assert_true(n > 80 && sqrt(sum / n) < 0.1);
	kerf_boost_finish(&b);
	kerf_boost_finish(&again);
}

static void test_trees_take_odd_rows(void **state)
{
	const float same[4] = {1, 1, 1, 1};
	const double y[4] = {1, 2, 3, 4}, w[4] = {1, 1, 1, 1}, none[4] = {0};
	struct kerf_boost b;

	assert_int_equal(kerf_boost_train(same, y, w, 4, 1, &options, &b), 0);
	assert_float_equal(kerf_boost_value(&b, same), 2.5, 0.1);
	kerf_boost_finish(&b);
	assert_int_equal(kerf_boost_train(same, y, none, 4, 1, &options, &b), 0);
	assert_float_equal(kerf_boost_value(&b, same), 0, 0);
	kerf_boost_finish(&b);
	assert_int_equal(kerf_boost_train(same, y, w, 0, 1, &options, &b), -EINVAL);
	assert_int_equal(kerf_boost_train(same, y, w, 4, 65, &options, &b), -EINVAL);
}

/* --- fits --------------------------------------------------------------------- */

static void test_sharing_is_fitted(void **state)
{
	const double t[] = {2, 2 * 1.3, 2 * 1.69, 2 * 2.197}, fair[] = {1, 2, 3, 4},
		     down[] = {2, 1};
	double error;

	assert_float_equal(kerf_sharing_fit(t, 4, &error), 0.3, 1e-9);
	assert_float_equal(error, 0, 1e-9);
	assert_float_equal(kerf_sharing_factor(0.3, 3), 1.69, 1e-9);
	assert_float_equal(kerf_sharing_factor(0.3, 1), 1, 0);
	/* An engine that serves one after the other is no power: the error says so. */
	assert_in_range((long)(1000 * kerf_sharing_fit(fair, 4, &error)), 550, 700);
	assert_true(error > 0.1 && error < 0.25);
	assert_float_equal(kerf_sharing_fit(down, 2, &error), 0, 0);
	assert_float_equal(kerf_sharing_fit(t, 1, &error), 0, 0);
	assert_float_equal(kerf_sharing_fit((const double[]){0, 1}, 2, &error), 0, 0);
}

static void test_apart_is_fitted(void **state)
{
	enum { N = 6 };
	const double values[N] = {1, 2, 1, 3, 1, 2}, bytes[N] = {1e6, 4e5, 2e6, 1e4, 3e5, 15e5};
	double extra[N], fixed, byte;
	int i;

	for (i = 0; i < N; i++)
		extra[i] = 2e-5 + 2 * (3e-6 * values[i] + 1e-11 * bytes[i]);
	kerf_apart_fit(extra, values, bytes, N, 2e-5, &fixed, &byte);
	assert_float_equal(fixed, 3e-6, 1e-12);
	assert_float_equal(byte, 1e-11, 1e-17);
	extra[0] += 1; /* one that was disturbed */
	kerf_apart_fit(extra, values, bytes, N, 2e-5, &fixed, &byte);
	assert_float_equal(fixed, 3e-6, 1e-8);
	assert_float_equal(byte, 1e-11, 1e-13);
	/* Never below 0: what is cheaper apart than together is noise. */
	for (i = 0; i < N; i++)
		extra[i] = 2e-5 + 2 * (3e-6 * values[i] - 1e-12 * bytes[i]);
	kerf_apart_fit(extra, values, bytes, N, 2e-5, &fixed, &byte);
	assert_true(fixed > 0);
	assert_float_equal(byte, 0, 0);
	kerf_apart_fit(extra, values, bytes, N, 1, &fixed, &byte);
	assert_float_equal(fixed, 0, 0);
	assert_float_equal(byte, 0, 0);
	kerf_apart_fit(extra, values, bytes, 0, 0, &fixed, &byte);
	assert_float_equal(fixed, 0, 0);
}

/* --- engines by a law ----------------------------------------------------------- */

/* A convolution runs at its rate, less where it has few channels; the rest moves bytes. */
static double true_s(double scale, const struct kerf_features *f)
{
	enum kerf_family family = kerf_features_family(f);
	double bytes = f->v[KERF_FEATURE_IN_BYTES] + f->v[KERF_FEATURE_OUT_BYTES] +
		       f->v[KERF_FEATURE_WEIGHT_BYTES];

	if (family == KERF_FAMILY_VIEW)
		return 1e-8;
	if (family <= KERF_FAMILY_CONV8 && family != KERF_FAMILY_DEPTHWISE)
		return 1e-7 + f->v[KERF_FEATURE_FLOPS] / (scale * 1e11) *
				      (1 + 6 / fmax(f->v[KERF_FEATURE_C_IN], 1));
	return 1e-7 + bytes / (scale * 2e10);
}

static void case_features(const struct kerf_case *c, struct kerf_features *f)
{
	memset(f, 0, sizeof(*f));
	snprintf(f->type, sizeof(f->type), "%s", c->type);
	f->v[KERF_FEATURE_FLOPS] = kerf_case_flops(c);
	f->v[KERF_FEATURE_OUT_BYTES] = kerf_case_bytes(c);
	f->v[KERF_FEATURE_C_IN] = (double)c->c_in;
	f->v[KERF_FEATURE_C_OUT] = (double)c->c_out;
	f->v[KERF_FEATURE_KERNEL] = (double)(c->kernel * c->kernel);
	f->v[KERF_FEATURE_GROUPS] = (double)c->group;
}

static struct kerf_engine_cost calibrated(double scale)
{
	struct kerf_engine_cost cost = {.has_cases = true};
	struct kerf_features f;
	int i;

	snprintf(cost.engine, sizeof(cost.engine), "law: %g, 1 thread", scale);
	snprintf(cost.machine, sizeof(cost.machine), "here");
	for (i = 0; i < KERF_N_CASE; i++) {
		case_features(&kerf_cases[i], &f);
		cost.case_s[i] = true_s(scale, &f);
	}
	return cost;
}

/* Convolutions of this many channels, one behind the other. */
static struct kerf_graph *net(const char *name, int64_t channels, int64_t side)
{
	struct kerf_graph *g = kerf_graph_new(name);
	int32_t x = b_input(g, "x", DIMS(1, 3, side, side));
	int i;

	for (i = 0; i < 6; i++)
		x = b_conv(g, x, channels << (i / 2), i % 2 ? 1 : 3, i == 3 ? 2 : 1, 1, false);
	x = b_op(g, "Relu", IN(x), NO_ATTR);
	kerf_graph_add_output(g, x);
	kerf_graph_freeze(g);
	return g;
}

static void measured(const struct kerf_graph *g, const struct kerf_engine_cost *cost, double scale,
		     struct kerf_profile *p)
{
	uint32_t i;

	memset(p, 0, sizeof(*p));
	assert_int_equal(kerf_profile_describe(p, g), 0);
	memcpy(p->engine, cost->engine, sizeof(p->engine));
	memcpy(p->machine, cost->machine, sizeof(p->machine));
	p->op_s = calloc(g->n_op + 1, sizeof(*p->op_s));
	assert_non_null(p->op_s);
	p->runs = 1;
	for (i = 0; i < g->n_op; i++) {
		p->op_s[i] = true_s(scale, &p->op[i]);
		p->run_s += p->op_s[i];
	}
}

static void some_training(struct kerf_training *t)
{
	static const double scales[] = {0.5, 1, 2, 4};
	char name[16];
	size_t s;
	int m;

	memset(t, 0, sizeof(*t));
	for (s = 0; s < KERF_ARRAY_SIZE(scales); s++)
		for (m = 0; m < 5; m++) {
			struct kerf_engine_cost cost = calibrated(scales[s]);
			struct kerf_graph *g;
			struct kerf_profile p;

			snprintf(name, sizeof(name), "net%d", m);
			g = net(name, 4 << m, 48 - 4 * m);
			measured(g, &cost, scales[s], &p);
			assert_int_equal(kerf_training_add(t, &p, &cost), 0);
			p.predicted = true;
			assert_int_equal(kerf_training_add(t, &p, &cost), -EINVAL);
			kerf_profile_finish(&p);
			kerf_graph_unref(g);
		}
}

static void test_what_was_held_out_is_predicted(void **state)
{
	struct kerf_prediction_error model, engine;
	struct kerf_prediction v[20];
	struct kerf_training t;

	some_training(&t);
	assert_int_equal(t.n_profile, 20);
	assert_int_equal(kerf_predictor_hold_out(&t, KERF_HELD_OUT_MODEL, v), 0);
	assert_int_equal(kerf_prediction_errors(v, 20, NULL, NULL, &model), 0);
	assert_int_equal(model.n, 20);
	assert_true(model.median < 0.12);
	assert_true(model.median < model.guess_median);
	assert_true(model.median <= model.p90 && model.p90 <= model.worst);
	assert_int_equal(kerf_predictor_hold_out(&t, KERF_HELD_OUT_ENGINE, v), 0);
	assert_int_equal(kerf_prediction_errors(v, 20, NULL, NULL, &engine), 0);
	assert_true(engine.p90 < 0.1);
	kerf_training_finish(&t);
}

static bool none(const struct kerf_training_profile *p, const void *user)
{
	return false;
}

static void test_a_predictor_survives_the_disk(void **state)
{
	struct kerf_engine_cost cost = calibrated(3), uncalibrated = {.has_cases = false};
	struct kerf_graph *g = net("other", 24, 40);
	struct kerf_predictor p, q;
	struct kerf_profile a, b;
	struct kerf_err err = {""};
	struct kerf_training t;
	uint32_t i;

	assert_int_equal(kerf_predictor_load(&q, &err), -ENOENT);
	some_training(&t);
	assert_int_equal(kerf_predictor_train(&t, none, NULL, &p), -ENODATA);
	assert_int_equal(kerf_predictor_train(&t, NULL, NULL, &p), 0);
	assert_int_equal(p.n_profile, 20);
	err.msg[0] = 0;
	assert_int_equal(kerf_predictor_save(&p, &err), 0);
	assert_int_equal(kerf_predictor_load(&q, &err), 0);
	assert_int_equal(q.n_sample, p.n_sample);
	assert_int_equal(kerf_predictor_profile(&p, &cost, g, &a), 0);
	assert_int_equal(kerf_predictor_profile(&q, &cost, g, &b), 0);
	assert_true(a.predicted);
	assert_true(a.run_s > 0);
	for (i = 0; i < g->n_op; i++)
		assert_float_equal(a.op_s[i], b.op_s[i], 1e-6 * a.op_s[i]);
	assert_int_equal(kerf_profile_save(&a, &err), -EINVAL);
	kerf_profile_finish(&a);
	kerf_profile_finish(&b);
	assert_int_equal(kerf_predictor_profile(&p, &uncalibrated, g, &a), -EINVAL);
	kerf_predictor_finish(&p);
	kerf_predictor_finish(&q);
	kerf_training_finish(&t);
	kerf_graph_unref(g);
}

static void write_file(const char *name, const char *text)
{
	char *path;
	FILE *f;

	assert_int_equal(kerf_store_path(name, &path), 0);
	f = fopen(path, "w");
	assert_non_null(f);
	fputs(text, f);
	fclose(f);
	free(path);
}

static void test_damaged_predictors_are_refused(void **state)
{
	static const char *const bad[] = {
		"", "[]", "{}", "{\"kerf_predictor\":1}", "{\"kerf_predictor\":2,\"inputs\":20}",
		"{\"kerf_predictor\":1,\"inputs\":%d}",
		"{\"kerf_predictor\":1,\"inputs\":%d,\"family\":{}}",
		"{\"kerf_predictor\":1,\"inputs\":%d,\"profiles\":1,\"operators\":1,\"family\":{\"conv\":7}}",
		"{\"kerf_predictor\":1,\"inputs\":%d,\"profiles\":1,\"operators\":1,\"family\":{\"conv\":{\"base\":0}}}",
		"{\"kerf_predictor\":1,\"inputs\":%d,\"profiles\":1,\"operators\":1,\"family\":{\"conv\":{\"trees\":[]}}}",
		"{\"kerf_predictor\":1,\"inputs\":%d,\"profiles\":1,\"operators\":1,\"family\":{\"conv\":{\"base\":1e9,\"trees\":[]}}}",
		"{\"kerf_predictor\":1,\"inputs\":%d,\"profiles\":1,\"operators\":1,\"family\":{\"conv\":{\"base\":0,\"trees\":[[1]]}}}",
		/* A feature that is not there. */
		"{\"kerf_predictor\":1,\"inputs\":%d,\"profiles\":1,\"operators\":1,\"family\":{\"conv\":{\"base\":0,\"trees\":"
		"[[99,0,0,0,0,0,0,0,0,0,0,0,0,0,0, 0,0,0,0,0,0,0,0,0,0,0,0,0,0,0, 0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0]]}}}",
	};
	struct kerf_predictor p;
	char text[1024];
	size_t i;

	for (i = 0; i < KERF_ARRAY_SIZE(bad); i++) {
		struct kerf_err err = {""};

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
		snprintf(text, sizeof(text), bad[i], kerf_predictor_inputs);
#pragma GCC diagnostic pop
		write_file("predictor.json", text);
		assert_int_equal(kerf_predictor_load(&p, &err), -EINVAL);
		assert_non_null(strstr(err.msg, "predictor.json"));
	}
}

/* --- an engine's file --------------------------------------------------------------- */

static void test_an_engines_costs_survive_the_disk(void **state)
{
	struct kerf_engine_cost c = calibrated(1), d;
	struct kerf_err err = {""};
	char key[KERF_STORE_KEY], name[64];
	static const char *const bad[] = {
		"", "{\"kerf_engine\":2}",
		"{\"kerf_engine\":1,\"engine\":\"law: 1, 1 thread\",\"machine\":\"there\"}",
		"{\"kerf_engine\":1,\"engine\":\"law: 1, 1 thread\",\"machine\":\"here\",\"calibration\":{}}",
		"{\"kerf_engine\":1,\"engine\":\"law: 1, 1 thread\",\"machine\":\"here\",\"job\":{\"s\":-1}}",
		"{\"kerf_engine\":1,\"engine\":\"law: 1, 1 thread\",\"machine\":\"here\",\"apart\":{\"job_s\":-1}}",
		"{\"kerf_engine\":1,\"engine\":\"law: 1, 1 thread\",\"machine\":\"here\",\"sharing\":{\"d\":1,\"error\":0,\"mean_s\":[1,2,3,4,5,6,7,8,9]}}",
		"{\"kerf_engine\":1,\"engine\":\"law: 1, 1 thread\",\"machine\":\"here\",\"power\":{\"active_w\":1}}",
		"{\"kerf_engine\":1,\"engine\":\"law: 1, 1 thread\",\"machine\":\"here\",\"codec\":{\"f16_byte_s\":2}}",
	};
	size_t i;

	assert_int_equal(kerf_engine_cost_load(c.engine, c.machine, &d, NULL), -ENOENT);
	assert_string_equal(d.engine, c.engine);
	c.has_job = c.has_apart = c.has_sharing = c.has_codec = true;
	c.f16_byte_s = 1e-10;
	c.int8_byte_s = 2e-10;
	c.job_s = 1e-5;
	c.apart_fixed_s = 2e-6;
	c.apart_byte_s = 3e-11;
	c.apart_cuts = 6;
	c.sharing_d = 0.5;
	c.n_sharing = 2;
	c.sharing_s[1] = 0.25;
	assert_int_equal(kerf_engine_cost_save(&c, &err), 0);
	assert_int_equal(kerf_engine_cost_load(c.engine, c.machine, &d, &err), 0);
	assert_memory_equal(&c, &d, sizeof(c));
	kerf_store_key(c.engine, c.machine, key);
	snprintf(name, sizeof(name), "engine-%s.json", key);
	for (i = 0; i < KERF_ARRAY_SIZE(bad); i++) {
		err.msg[0] = 0;
		write_file(name, bad[i]);
		assert_int_equal(kerf_engine_cost_load(c.engine, c.machine, &d, &err), -EINVAL);
		assert_non_null(strstr(err.msg, name));
		assert_false(d.has_cases || d.has_job || d.has_apart || d.has_sharing ||
			     d.has_power);
	}
}

static int make_dir(void **state)
{
	static char dir[] = "/tmp/kerf-predictor-XXXXXX";

	return mkdtemp(dir) && !setenv("KERF_PROFILE_DIR", dir, 1) ? 0 : -1;
}

static int remove_dir(void **state)
{
	return system("rm -r \"$KERF_PROFILE_DIR\"");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_trees_learn_a_law),
		cmocka_unit_test(test_trees_take_odd_rows),
		cmocka_unit_test(test_sharing_is_fitted),
		cmocka_unit_test(test_apart_is_fitted),
		cmocka_unit_test(test_what_was_held_out_is_predicted),
		cmocka_unit_test(test_a_predictor_survives_the_disk),
		cmocka_unit_test(test_damaged_predictors_are_refused),
		cmocka_unit_test(test_an_engines_costs_survive_the_disk),
	};

	return cmocka_run_group_tests(tests, make_dir, remove_dir);
}
