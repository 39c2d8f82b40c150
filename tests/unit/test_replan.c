/* SPDX-License-Identifier: MIT */
/*
 * Replanning: on links as they were recorded (tests/traces: `kerf bench --transfers --trace`
 * between two namespaces, without the link lines), on made ones, and each reason to keep a plan.
 */
#include "graph/op.h"
#include "plan/planner.h"
#include "plan/replan.h"
#include "telemetry/trace.h"
#include "util/rng.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static const struct kerf_op_def any = {.name = "any", .max_in = -1, .max_out = -1};

#define OPS 12

/* A chain as an image model is: large values first, small ones last, even work. */
struct world {
	struct kerf_graph *g;
	struct kerf_outline *outline;
	struct kerf_link_model link[4];
	double op_s[OPS * 2];
	struct kerf_problem p;
};

static void make_world(struct world *w, double here_s)
{
	struct kerf_tensor t = {.dtype = KERF_F32, .rank = 1, .dims = {150528 / 4}};
	int32_t at, next;
	uint32_t o;

	memset(w, 0, sizeof(*w));
	w->g = kerf_graph_new("chain");
	at = kerf_graph_add_value(w->g, NULL, &t);
	kerf_graph_add_input(w->g, at);
	for (o = 0; o < OPS; o++, at = next) {
		t.dims[0] = 1 + (int64_t)(200000 * pow(0.5, o));
		next = kerf_graph_add_value(w->g, NULL, &t);
		kerf_graph_add_op(w->g, &any, NULL, 1, 1, &at, 1, &next, 0, NULL);
		w->op_s[2 * o] = here_s / OPS;
		w->op_s[2 * o + 1] = here_s / OPS / 8;
	}
	kerf_graph_add_output(w->g, at);
	assert_int_equal(kerf_outline_make(w->g, &w->outline), 0);
	for (o = 0; o < OPS; o++)
		w->outline->weight_bytes[o] = 1e6;
	w->p = (struct kerf_problem){.graph = w->g,
				     .outline = w->outline,
				     .n_engine = 2,
				     .n_node = 2,
				     .engine = {{.name = "here"},
						{.name = "there", .node = 1, .job_s = 1e-4}},
				     .link = w->link,
				     .op_s = w->op_s};
}

static void drop_world(struct world *w)
{
	kerf_outline_free(w->outline);
	kerf_graph_unref(w->g);
}

static void set_link(struct world *w, double rate, double spread)
{
	w->link[1] = w->link[2] = (struct kerf_link_model){.latency_s = 1e-3,
							   .rate_bytes_s = rate,
							   .low = 1 - spread,
							   .high = 1 + spread};
}

static uint64_t plan_id(const struct kerf_plan *plan)
{
	uint64_t bits = 0;
	uint32_t i, k;

	for (i = 0; i < plan->n_step; i++)
		for (k = 0; k < plan->step[i].n_op; k++)
			bits |= (uint64_t)(plan->step[i].engine == 1) << plan->step[i].op[k];
	return bits;
}

/* --- recorded links --- */

struct point {
	double t_s;
	struct kerf_link_model link;
	bool stepped; /* the rate was changed before it */
};

static uint32_t read_trace(const char *path, struct point *point, uint32_t most)
{
	struct kerf_trace_reader *r;
	struct kerf_trace_rec *rec = calloc(1, sizeof(*rec));
	struct kerf_err err = {""};
	bool stepped = false;
	uint32_t n = 0;

	assert_non_null(rec);
	if (kerf_trace_open(path, &r, &err))
		fail_msg("%s (tests run from the top of the tree)", err.msg);
	while (kerf_trace_next(r, rec, &err) == 1) {
		const struct kerf_link_estimate *e = &rec->u.node.up;

		stepped |= rec->kind == KERF_TRACE_MARK;
		if (rec->kind != KERF_TRACE_NODE || !e->rate_bytes_s || n == most)
			continue;
		point[n++] = (struct point){
			(double)rec->t_ns * 1e-9,
			{.latency_s = (double)e->latency_ns * 1e-9,
			 .rate_bytes_s = (double)e->rate_bytes_s,
			 .window_bytes = (double)e->window_bytes,
			 .round_s = (double)e->round_ns * 1e-9,
			 .low = e->low_ppm * 1e-6,
			 .low_s = (double)e->low_ns * 1e-9,
			 .high = e->high_ppm * 1e-6,
			 .high_s = (double)e->high_ns * 1e-9},
			stepped,
		};
	}
	assert_string_equal(err.msg, "");
	kerf_trace_close(r);
	free(rec);
	assert_true(n >= 10);
	return n;
}

struct story {
	uint32_t changes; /* after the first plan */
	uint32_t returns; /* to a plan that had been left */
	uint32_t after;	  /* decisions after the step until the plan was within 25 % of the best */
	double regret;	  /* cost of the plans in force over that of the best ones, summed */
};

static void play(const char *path, double here_s, const struct kerf_replan_options *opt,
		 struct story *story)
{
	static struct point point[256];
	uint32_t n = read_trace(path, point, 256), i, n_seen = 0, since = 0;
	uint64_t seen[256], now = 0;
	double kept = 0, best = 0;
	struct kerf_replan *r;
	struct world w;
	bool settled = false;

	memset(story, 0, sizeof(*story));
	make_world(&w, here_s);
	assert_int_equal(kerf_replan_new(NULL, opt, &r, NULL), 0);
	for (i = 0; i < n; i++) {
		struct kerf_replan_decision d;
		struct kerf_plan free_choice;
		uint32_t k;

		w.link[1] = w.link[2] = point[i].link;
		assert_int_equal(kerf_replan_decide(r, &w.p, point[i].t_s, NULL, &d, NULL), 0);
		assert_true(d.reason[0]);
		if (d.change) {
			now = plan_id(&d.plan);
			story->changes += i > 0;
			for (k = 0; k < n_seen && seen[k] != now; k++)
				;
			story->returns += k < n_seen;
			seen[n_seen++] = now;
			kerf_plan_finish(&d.plan);
		}
		assert_int_equal(kerf_policy_find(NULL)->plan(&w.p, &free_choice, NULL), 0);
		kept += d.change ? d.new_cost : d.old_cost;
		best += free_choice.total_s;
		since += point[i].stepped && !settled;
		settled |= point[i].stepped &&
			   (d.change ? d.new_cost : d.old_cost) <= free_choice.total_s * 1.25;
		kerf_plan_finish(&free_choice);
	}
	story->after = since;
	story->regret = kept / best;
	kerf_replan_free(r);
	drop_world(&w);
}

/*
 * Devices of many speeds, so that for some of them the best plan is at a border: the most of
 * each, and returns in all.
 */
static void play_all(const char *path, const struct kerf_replan_options *opt, struct story *most)
{
	uint32_t i;

	memset(most, 0, sizeof(*most));
	for (i = 0; i < 30; i++) {
		struct story s;

		play(path, 0.02 * pow(1.16, i), opt, &s);
		most->changes = KERF_MAX(most->changes, s.changes);
		most->returns += s.returns;
		most->after = KERF_MAX(most->after, s.after);
		most->regret = fmax(most->regret, s.regret);
	}
}

static void test_steady_links_change_nothing(void **state)
{
	static const char *const traces[] = {"tests/traces/20m.jsonl",
					     "tests/traces/20m_20ms_loss.jsonl"};
	/* What it is without restraint: it would go to and fro. */
	const struct kerf_replan_options free_hand = {
		.gain = -1, .noise = -1, .spread = -1, .interval_s = 1e-9};
	struct story calm, wild;
	uint32_t i, to_and_fro = 0;

	for (i = 0; i < KERF_ARRAY_SIZE(traces); i++) {
		play_all(traces[i], NULL, &calm);
		print_message("%s: at most %u changes, %u returns, %.3f of the best plans' time\n",
			      traces[i], calm.changes, calm.returns, calm.regret);
		assert_int_equal(calm.returns, 0);
		assert_true(calm.changes <= 2);
		play_all(traces[i], &free_hand, &wild);
		to_and_fro += wild.returns;
	}
	assert_true(to_and_fro >= 5);
}

static void test_steps_are_answered(void **state)
{
	static const char *const traces[] = {"tests/traces/step_100m_20m.jsonl",
					     "tests/traces/step_5m_20m.jsonl"};
	const struct kerf_replan_options free_hand = {
		.gain = -1, .noise = -1, .spread = -1, .interval_s = 1e-9};
	struct story s, wild;
	uint32_t i;

	for (i = 0; i < KERF_ARRAY_SIZE(traces); i++) {
		play_all(traces[i], NULL, &s);
		play_all(traces[i], &free_hand, &wild);
		print_message("%s: at most %u changes, %u returns, settled after %u decisions, %u if every better plan is taken\n",
			      traces[i], s.changes, s.returns, s.after, wild.after);
		assert_int_equal(s.returns, 0);
		/*
		 * An estimator needs a transfer or two to see a step; restraint adds one at most.
		 */
		assert_true(s.after <= wild.after + 1);
	}
}

/* --- made links --- */

/* One decision; true: the plan was changed. Its operators away go to *away. */
static bool decide(struct kerf_replan *r, struct world *w, double now_s,
		   const struct kerf_replan_move *move, uint64_t *away, char *reason)
{
	struct kerf_replan_decision d;
	bool change;

	assert_int_equal(kerf_replan_decide(r, &w->p, now_s, move, &d, NULL), 0);
	change = d.change;
	if (change) {
		*away = plan_id(&d.plan);
		kerf_plan_finish(&d.plan);
	}
	if (reason)
		strcpy(reason, d.reason);
	return change;
}

/* A thousand decisions at a rate that wavers by a quarter around any mean. */
static void test_noise_is_borne(void **state)
{
	struct kerf_rng rng;
	uint32_t k, i, changes = 0;

	kerf_rng_seed(&rng, 1);
	for (k = 0; k < 20; k++) {
		double mean = 2e5 * pow(1.5, k);
		struct kerf_replan *r;
		struct world w;
		uint64_t away;

		make_world(&w, 0.1);
		assert_int_equal(kerf_replan_new("kerf", NULL, &r, NULL), 0);
		for (i = 0; i < 1000; i++) {
			set_link(&w, mean * (0.75 + 0.5 * (double)kerf_rng_float(&rng)), 0.25);
			changes += decide(r, &w, 2 * i, NULL, &away, NULL) && i > 0;
		}
		kerf_replan_free(r);
		drop_world(&w);
	}
	print_message("%u changes in 20 x 1000 decisions\n", changes);
	assert_true(changes <= 20);
}

/* Rate or load change by a factor: the very next decision changes the plan, back and forth. */
static void test_step_at_once(void **state)
{
	char reason[256];
	struct kerf_replan *r;
	struct world w;
	uint64_t away = 0;
	uint32_t i, o;

	make_world(&w, 0.1);
	assert_int_equal(kerf_replan_new(NULL, NULL, &r, NULL), 0);
	set_link(&w, 5e7, 0.2);
	assert_true(decide(r, &w, 0, NULL, &away, NULL));
	assert_true(away != 0);
	for (i = 1; i <= 20; i++) {
		set_link(&w, 5e7 * (i % 2 ? 1.05 : 0.95), 0.2);
		assert_false(decide(r, &w, 10 * i, NULL, &away, NULL));
	}
	set_link(&w, 1e5, 0.2);
	assert_true(decide(r, &w, 300, NULL, &away, reason));
	assert_true(away == 0);
	assert_non_null(strstr(reason, "link"));
	set_link(&w, 5e7, 0.2);
	assert_true(decide(r, &w, 310, NULL, &away, NULL));
	assert_true(away != 0);
	for (o = 0; o < OPS; o++)
		w.op_s[2 * o + 1] *= 40;
	assert_true(decide(r, &w, 400, NULL, &away, reason));
	assert_true(away == 0);
	assert_non_null(strstr(reason, "there takes"));
	kerf_replan_free(r);
	drop_world(&w);
}

/* Somebody walks: fast and slow by turns, each time at once, however often. */
static void test_steps_come_again_and_again(void **state)
{
	struct kerf_replan *r;
	struct world w;
	uint64_t away = 0;
	uint32_t i;

	make_world(&w, 0.1);
	assert_int_equal(kerf_replan_new(NULL, NULL, &r, NULL), 0);
	for (i = 0; i < 60; i++) {
		set_link(&w, i % 6 < 3 ? 5e7 : 1e5, 0.2);
		assert_int_equal(decide(r, &w, 2 * i, NULL, &away, NULL), i % 3 == 0);
	}
	kerf_replan_free(r);
	drop_world(&w);
}

/* A plan that comes from elsewhere is weighed as one's own is. */
static void test_an_offer_is_weighed(void **state)
{
	struct kerf_replan *own, *other;
	struct kerf_replan_decision d, o;
	struct kerf_planner *planner;
	struct kerf_plan plan;
	struct world w;
	uint32_t i, changes = 0;
	double cost;

	make_world(&w, 0.1);
	set_link(&w, 5e7, 0.2);
	assert_int_equal(kerf_replan_new(NULL, NULL, &own, NULL), 0);
	assert_int_equal(kerf_replan_new(NULL, NULL, &other, NULL), 0);
	assert_int_equal(kerf_planner_new(&w.p, kerf_policy_find(NULL), &planner), 0);
	assert_int_equal(kerf_replan_offer(other, &w.p, NULL, 0, NULL, &o), -ENODEV);
	for (i = 0; i < 40; i++) {
		set_link(&w, 1e5 * (1 + i * 7 % 11 * 20), 0.2);
		assert_int_equal(kerf_replan_decide(own, &w.p, 2 * i, NULL, &d, NULL), 0);
		assert_int_equal(kerf_planner_plan(planner, &w.p, &plan, NULL), 0);
		cost = kerf_plan_cost(&w.p, &plan);
		assert_int_equal(kerf_replan_offer(other, &w.p, &plan, 2 * i, NULL, &o), 0);
		assert_true(kerf_plan_cost(&w.p, &plan) == cost && !o.plan.n_step);
		assert_int_equal(o.change, d.change);
		assert_string_equal(o.reason, d.reason);
		changes += o.change;
		kerf_plan_finish(&plan);
		if (d.change)
			kerf_plan_finish(&d.plan);
	}
	assert_true(changes > 2);
	assert_int_equal(kerf_replan_offer(other, &w.p, NULL, 100, NULL, &o), 0);
	assert_false(o.change);
	kerf_planner_free(planner);
	kerf_replan_free(own);
	kerf_replan_free(other);
	drop_world(&w);
}

static void test_moving_must_pay(void **state)
{
	struct kerf_replan_move move = {.requests_s = 0.01, .prepare_step_s = 0.1};
	char reason[256];
	struct kerf_replan *r;
	struct world w;
	uint64_t away = 0;

	make_world(&w, 0.1);
	assert_int_equal(kerf_replan_new(NULL, NULL, &r, NULL), 0);
	set_link(&w, 1e5, 0.1);
	assert_true(decide(r, &w, 0, &move, &away, NULL));
	assert_true(away == 0);
	/* A request in 100 s saves less in 30 s than 12 MB of weights and two sessions take. */
	set_link(&w, 5e7, 0.1);
	assert_false(decide(r, &w, 10, &move, &away, reason));
	assert_non_null(strstr(reason, "paid"));
	move.requests_s = 8;
	assert_true(decide(r, &w, 20, &move, &away, NULL));
	kerf_replan_free(r);
	drop_world(&w);
}

static void test_changes_are_rare(void **state)
{
	char reason[256];
	struct kerf_replan *r;
	struct world w;
	uint64_t away = 0;

	make_world(&w, 0.1);
	assert_int_equal(kerf_replan_new(NULL, NULL, &r, NULL), 0);
	set_link(&w, 5e7, 0.1);
	assert_true(decide(r, &w, 0, NULL, &away, NULL));
	set_link(&w, 1e5, 0.1);
	assert_false(decide(r, &w, 0.5, NULL, &away, reason));
	assert_non_null(strstr(reason, "ago"));
	assert_true(decide(r, &w, 1.1, NULL, &away, NULL));
	kerf_replan_free(r);
	drop_world(&w);
}

/* A node that is lost, a deadline that is missed: no interval, no gain is asked for. */
static void test_what_cannot_go_on_is_left(void **state)
{
	char reason[256];
	struct kerf_replan_decision d;
	struct kerf_err err = {""};
	struct kerf_replan *r;
	struct world w;
	uint64_t away = 0;
	uint32_t o;

	make_world(&w, 0.1);
	assert_int_equal(kerf_replan_new(NULL, NULL, &r, NULL), 0);
	set_link(&w, 5e7, 0.1);
	w.p.goal.deadline_s = 0.15;
	assert_true(decide(r, &w, 0, NULL, &away, NULL));
	assert_true(away != 0);
	set_link(&w, 1e5, 0.1);
	assert_true(decide(r, &w, 0.01, NULL, &away, reason));
	assert_true(away == 0);
	assert_non_null(strstr(reason, "at once"));
	set_link(&w, 5e7, 0.1);
	assert_true(decide(r, &w, 5, NULL, &away, NULL));
	w.link[1].rate_bytes_s = w.link[2].rate_bytes_s = 0;
	assert_true(decide(r, &w, 5.01, NULL, &away, reason));
	assert_non_null(strstr(reason, "cannot run"));
	/* Nobody can: an error, and the plan stays. */
	for (o = 0; o < OPS; o++)
		w.op_s[2 * o] = INFINITY;
	assert_int_equal(kerf_replan_decide(r, &w.p, 6, NULL, &d, &err), -EDOM);
	assert_true(err.msg[0]);
	/* A deadline that nobody meets: what runs goes on. */
	for (o = 0; o < OPS; o++)
		w.op_s[2 * o] = 0.1;
	assert_false(decide(r, &w, 7, NULL, &away, reason));
	assert_non_null(strstr(reason, "no plan meets"));
	kerf_replan_free(r);
	drop_world(&w);
}

/* A link that becomes slow: codecs are taken up again, as they are by whoever plans anew. */
static void test_codecs_are_taken_up(void **state)
{
	static const double loss[KERF_N_CODECS] = {0, 0.02, 0.01};
	const double seconds_a_byte = 1e-8;
	double floor[] = {0, 0.885}; /* both codecs may be used; one alone leaves enough */
	unsigned i;

	for (i = 0; i < KERF_ARRAY_SIZE(floor); i++) {
		struct kerf_plan_node node[2] = {0};
		struct kerf_plan plan, anew;
		struct kerf_planner *planner;
		struct kerf_err err = {""};
		struct world w;

		make_world(&w, 0.1);
		node[0].codec_byte_s[KERF_CODEC_F16] = node[1].codec_byte_s[KERF_CODEC_F16] = 1;
		node[0].codec_byte_s[KERF_CODEC_INT8] = node[1].codec_byte_s[KERF_CODEC_INT8] =
			seconds_a_byte;
		w.g->accuracy = 0.9;
		w.p.node = node;
		w.p.codec_loss = loss;
		w.p.goal.codecs = 1u << KERF_CODEC_F16 | 1u << KERF_CODEC_INT8;
		w.p.goal.accuracy = floor[i];
		set_link(&w, 5e7, 0.1);
		assert_int_equal(kerf_planner_new(&w.p, kerf_policy_find("kerf"), &planner), 0);
		assert_int_equal(kerf_planner_plan(planner, &w.p, &plan, &err), 0);
		assert_true(plan.accuracy == 0.9);
		kerf_plan_finish(&plan);
		set_link(&w, 1e7, 0.1);
		assert_int_equal(kerf_policy_find("kerf")->plan(&w.p, &anew, &err), 0);
		assert_true(anew.accuracy == 0.9 - loss[KERF_CODEC_INT8]);
		if (kerf_planner_plan(planner, &w.p, &plan, &err))
			fail_msg("%s", err.msg);
		assert_true(plan.total_s <= anew.total_s * (1 + 1e-9));
		kerf_plan_finish(&plan);
		kerf_plan_finish(&anew);
		kerf_planner_free(planner);
		drop_world(&w);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_steady_links_change_nothing),
		cmocka_unit_test(test_steps_are_answered),
		cmocka_unit_test(test_noise_is_borne),
		cmocka_unit_test(test_step_at_once),
		cmocka_unit_test(test_steps_come_again_and_again),
		cmocka_unit_test(test_an_offer_is_weighed),
		cmocka_unit_test(test_moving_must_pay),
		cmocka_unit_test(test_changes_are_rare),
		cmocka_unit_test(test_what_cannot_go_on_is_left),
		cmocka_unit_test(test_codecs_are_taken_up),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
