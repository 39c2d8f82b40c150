/* SPDX-License-Identifier: MIT */
/* What is stored of engines and told of nodes is in the problem that policies get. */
#include "cost/predictor.h"
#include "exec/cluster.h"
#include "exec/measure.h"

#include "graph_build.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { REF, NUL, N_ENGINE };

struct fixture {
	struct kerf_graph *g;
	struct kerf_cluster c;
	struct kerf_cluster_view view;
	struct kerf_cluster_problem cp;
	struct kerf_err err;
};

/* Two convolutions: the first op takes 1 ms on ref, the others more. */
static struct kerf_graph *some_graph(void)
{
	struct kerf_graph *g = kerf_graph_new("t");
	int32_t x = b_input(g, "x", DIMS(1, 3, 16, 16));

	x = b_conv(g, x, 8, 3, 1, 1, false);
	x = b_conv(g, x, 8, 3, 1, 1, false);
	kerf_graph_add_output(g, x);
	kerf_graph_freeze(g);
	return g;
}

static void store_profile(struct fixture *f, uint32_t engine, double fixed)
{
	struct kerf_profile p = {.runs = 1};
	uint32_t i;

	assert_int_equal(kerf_profile_describe(&p, f->g), 0);
	kerf_engine_words(&f->c.info[engine], p.engine, sizeof(p.engine));
	snprintf(p.machine, sizeof(p.machine), "%s", f->c.info[engine].machine);
	p.op_s = calloc(p.n_op, sizeof(double));
	p.op_fixed_s = calloc(p.n_op, sizeof(double));
	assert_true(p.op_s && p.op_fixed_s);
	for (i = 0; i < p.n_op; i++) {
		p.op_s[i] = 1e-3 * (i + 1);
		p.op_fixed_s[i] = fixed * p.op_s[i];
	}
	assert_int_equal(kerf_profile_save(&p, &f->err), 0);
	kerf_profile_finish(&p);
}

static struct kerf_engine_cost cost_of(struct fixture *f, uint32_t engine)
{
	struct kerf_engine_cost cost = {.has_cases = false};

	kerf_engine_words(&f->c.info[engine], cost.engine, sizeof(cost.engine));
	snprintf(cost.machine, sizeof(cost.machine), "%s", f->c.info[engine].machine);
	return cost;
}

static void test_stored_costs_are_in_the_problem(void **state)
{
	struct fixture *f = *state;
	struct kerf_power power = {.n_engine = 1, .n_node = 1};
	const struct kerf_profile_options opt = {.stored_only = true, .power = &power};
	struct kerf_engine_cost cost = cost_of(f, REF);
	const struct kerf_problem *p = &f->cp.p;
	uint32_t i;

	snprintf(power.engine[0].name, sizeof(power.engine[0].name), "ref");
	power.engine[0].active_w = 5;
	snprintf(power.node[0].name, sizeof(power.node[0].name), "home");
	power.node[0] = (struct kerf_power_node){"home", 2, 3e-7, 1e-7};
	cost.has_apart = cost.has_sharing = cost.has_codec = cost.has_power = true;
	cost.job_s = 3e-5;
	cost.apart_fixed_s = 2e-6;
	cost.apart_byte_s = 1e-10;
	cost.sharing_d = 0.5;
	cost.f16_byte_s = 2e-10;
	cost.int8_byte_s = 3e-10;
	cost.active_w = 9; /* measured: what was written goes first */
	assert_int_equal(kerf_engine_cost_save(&cost, &f->err), 0);
	cost = cost_of(f, NUL);
	cost.has_power = true;
	cost.active_w = 7;
	assert_int_equal(kerf_engine_cost_save(&cost, &f->err), 0);
	store_profile(f, REF, 0.25);
	store_profile(f, NUL, 0);
	f->view.others[REF] = 2;
	assert_int_equal(kerf_cluster_problem(&f->c, f->g, &opt, &f->view, &f->cp, &f->err), 0);
	assert_float_equal(f->cp.sharing[REF], 2.25, 1e-12);
	assert_float_equal(f->cp.sharing[NUL], 1, 0);
	for (i = 0; i < f->g->n_op; i++) {
		assert_float_equal(p->op_s[i * N_ENGINE + REF], 2.25e-3 * (i + 1), 1e-12);
		assert_float_equal(p->op_fixed_s[i * N_ENGINE + REF], 0.25 * 2.25e-3 * (i + 1),
				   1e-12);
		assert_float_equal(p->op_s[i * N_ENGINE + NUL], 1e-3 * (i + 1), 1e-12);
		assert_float_equal(p->op_fixed_s[i * N_ENGINE + NUL], 0, 0);
	}
	for (i = 0; i < f->g->n_value; i++) {
		const struct kerf_value *v = &f->g->value[i];
		double want = kerf_value_is_const(v)
				      ? 0
				      : 2e-6 + 1e-10 * (double)kerf_tensor_bytes(&v->t);

		assert_float_equal(p->apart_s[i * N_ENGINE + REF], want, 1e-15);
		assert_float_equal(p->apart_s[i * N_ENGINE + NUL], 0, 0);
	}
	assert_float_equal(p->engine[REF].job_s, 3e-5, 1e-15);
	assert_true(p->engine[NUL].job_s > 0); /* not measured: a usual one */
	assert_float_equal(p->engine[REF].active_w, 5, 0);
	assert_float_equal(p->engine[NUL].active_w, 7, 0);
	assert_float_equal(p->node[0].idle_w, 2, 0);
	assert_float_equal(p->node[0].send_j_byte, 3e-7, 0);
	assert_float_equal(p->node[0].receive_j_byte, 1e-7, 0);
	assert_float_equal(p->node[0].memory_bytes, 0, 0); /* a small model */
	assert_true(p->codec_loss[KERF_CODEC_NONE] == 0 && p->codec_loss[KERF_CODEC_INT8] > 0);
	assert_false(f->cp.predicted[REF] || f->cp.predicted[NUL]);
}

/* A power grows beyond any engine: one that serves in order is never that bad. */
static void test_sharing_is_bounded(void **state)
{
	struct fixture *f = *state;
	const struct kerf_profile_options opt = {.stored_only = true};
	struct kerf_engine_cost cost = cost_of(f, REF);

	cost.has_sharing = true;
	cost.sharing_d = 0.6;
	assert_int_equal(kerf_engine_cost_save(&cost, &f->err), 0);
	store_profile(f, REF, 0);
	store_profile(f, NUL, 0);
	f->view.others[REF] = 20;
	f->view.node_w[REF] = 4;
	f->view.past_rate[0] = 1e6;
	f->view.past_rate[1] = 2e6;
	f->view.n_past_rate = 2;
	assert_int_equal(kerf_cluster_problem(&f->c, f->g, &opt, &f->view, &f->cp, &f->err), 0);
	assert_float_equal(f->cp.sharing[REF], 21, 0);
	assert_int_equal(f->cp.p.n_past_rate, 2);
	assert_true(f->cp.p.past_rate[0] == 1e6 && f->cp.p.past_rate[1] == 2e6);
	f->view.past_rate[2] = 3e6;
	f->view.n_past_rate = 3;
	kerf_cluster_problem_update(&f->c, &f->view, &f->view, &f->cp);
	assert_int_equal(f->cp.p.n_past_rate, 3);
	assert_true(f->cp.p.past_rate[2] == 3e6);
	assert_float_equal(f->cp.p.op_s[REF], 21e-3, 1e-12);
}

static void test_what_is_not_stored_is_predicted(void **state)
{
	struct fixture *f = *state;
	const struct kerf_profile_options opt = {.predicted = true};
	const struct kerf_profile_options stored = {.stored_only = true};
	struct kerf_engine_cost cost = cost_of(f, REF);
	struct kerf_training t = {0};
	struct kerf_predictor p;
	struct kerf_profile old;
	uint32_t i;

	/* Without a predictor that is said. */
	assert_int_equal(kerf_cluster_problem(&f->c, f->g, &opt, &f->view, &f->cp, &f->err),
			 -ENOENT);
	assert_non_null(strstr(f->err.msg, "--train"));
	cost.has_cases = true;
	for (i = 0; i < KERF_N_CASE; i++)
		cost.case_s[i] = 1e-4;
	assert_int_equal(kerf_engine_cost_save(&cost, &f->err), 0);
	store_profile(f, REF, 0);
	assert_int_equal(kerf_profile_load(f->g, cost.engine, cost.machine, &old, &f->err), 0);
	assert_int_equal(kerf_training_add(&t, &old, &cost), 0);
	assert_int_equal(kerf_predictor_train(&t, NULL, NULL, &p), 0);
	assert_int_equal(kerf_predictor_save(&p, &f->err), 0);
	kerf_predictor_finish(&p);
	kerf_training_finish(&t);
	kerf_profile_finish(&old);
	/* null has no profile and no calibration: it is calibrated on the way. */
	assert_int_equal(kerf_cluster_problem(&f->c, f->g, &opt, &f->view, &f->cp, &f->err), 0);
	assert_false(f->cp.predicted[REF]);
	assert_true(f->cp.predicted[NUL]);
	for (i = 0; i < f->g->n_op; i++)
		assert_true(f->cp.p.op_s[i * N_ENGINE + NUL] > 0);
	kerf_cluster_problem_finish(&f->cp);
	/* And what was predicted was not stored. */
	assert_int_not_equal(kerf_cluster_problem(&f->c, f->g, &stored, &f->view, &f->cp, &f->err),
			     0);
}

static int setup(void **state)
{
	static char dir[32];
	struct fixture *f = calloc(1, sizeof(*f));

	if (!f)
		return -1;
	snprintf(dir, sizeof(dir), "/tmp/kerf-problem-XXXXXX");
	if (!mkdtemp(dir) || setenv("KERF_PROFILE_DIR", dir, 1))
		return -1;
	f->g = some_graph();
	*state = f;
	return kerf_cluster_open("ref,null", NULL, &f->c, &f->err);
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	kerf_cluster_problem_finish(&f->cp);
	kerf_cluster_close(&f->c);
	kerf_graph_unref(f->g);
	free(f);
	return system("rm -r \"$KERF_PROFILE_DIR\"");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_stored_costs_are_in_the_problem, setup,
						teardown),
		cmocka_unit_test_setup_teardown(test_sharing_is_bounded, setup, teardown),
		cmocka_unit_test_setup_teardown(test_what_is_not_stored_is_predicted, setup,
						teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
