/* SPDX-License-Identifier: MIT */
/* The simulator: one request is what pricing says, many are what queueing theory says. */
#include "plan_rig.h"

#include "plan/policy.h"
#include "sim/random.h"
#include "sim/sim.h"

#include <stdio.h>
#include <unistd.h>

static void near(double found, double expected, double share)
{
	if (!(fabs(found - expected) <= share * fabs(expected)))
		fail_msg("%.12g, expected %.12g within %g of it", found, expected, share);
}

/* --- One request alone --- */

static double fraction(struct kerf_rng *rng)
{
	return (double)(kerf_rng_next(rng) >> 11) * 0x1p-53;
}

/* A random DAG; engines on nodes of their own or shared, links that may not be there. */
static void random_problem(struct rig *s, struct kerf_rng *rng)
{
	uint32_t n = 2 + (uint32_t)kerf_rng_below(rng, RIG_OPS - 1), o, i;
	uint32_t engines = 2 + (uint32_t)kerf_rng_below(rng, RIG_ENGINES - 1);

	rig_begin(s, 1 + (int64_t)kerf_rng_below(rng, 1000));
	for (o = 0; o < n; o++)
		rig_add(s, (uint32_t)kerf_rng_below(rng, o + 1),
			(uint32_t)kerf_rng_below(rng, o + 1),
			1 + (int64_t)kerf_rng_below(rng, 2000), 0);
	rig_end(s, engines);
	for (i = 0; i < engines; i++) {
		s->p.engine[i].job_s = fraction(rng) * 1e-3;
		s->node[i].codec_byte_s[KERF_CODEC_F16] = fraction(rng) * 1e-7;
		s->node[i].codec_byte_s[KERF_CODEC_INT8] = fraction(rng) * 1e-7;
	}
	if (engines > 2 && kerf_rng_below(rng, 3) == 0)
		s->p.engine[engines - 1].node = (uint32_t)kerf_rng_below(rng, engines - 1);
	for (i = 0; i < engines * engines; i++) {
		struct kerf_link_model *l = &s->link[i];

		if (i % (engines + 1) == 0)
			continue;
		l->rate_bytes_s = exp(fraction(rng) * 8) * 1e4;
		l->latency_s = fraction(rng) * 1e-3;
		l->window_bytes = 1000;
		l->round_s = kerf_rng_below(rng, 2) ? 1e-3 : 0;
		/* Between neighbours there may be no link: what goes there is relayed. */
		if (i / engines && i % engines && kerf_rng_below(rng, 3) == 0)
			l->rate_bytes_s = 0;
	}
	for (i = 0; i < n * engines; i++)
		s->op_s[i] = fraction(rng) * 3e-3;
}

static void same_as_priced(const struct kerf_problem *p, const struct kerf_plan *plan)
{
	double alone;

	assert_int_equal(kerf_sim_alone(p, plan, &alone), 0);
	near(alone, plan->total_s, 1e-12);
}

static void test_one_request_alone_takes_what_pricing_says(void **state)
{
	uint32_t tries, relayed = 0, coded = 0, o;
	struct kerf_rng rng;

	kerf_rng_seed(&rng, 1);
	for (tries = 0; tries < 5000; tries++) {
		uint32_t assign[RIG_OPS];
		uint8_t codec[RIG_OPS + 1];
		struct kerf_plan plan;
		struct rig s;

		random_problem(&s, &rng);
		for (o = 0; o < s.g->n_op; o++)
			assign[o] = (uint32_t)kerf_rng_below(&rng, s.p.n_engine);
		for (o = 0; o < s.g->n_value; o++)
			codec[o] = (uint8_t)kerf_rng_below(&rng, KERF_N_CODECS);
		assert_int_equal(kerf_plan_from_assignment(&s.p, assign, codec, &plan, NULL), 0);
		same_as_priced(&s.p, &plan);
		for (o = 0; o < plan.n_edge; o++) {
			relayed += plan.edge[o].relayed;
			coded += plan.edge[o].bytes > 0 && plan.edge[o].codec;
		}
		kerf_plan_finish(&plan);
		rig_drop(&s);
	}
	assert_true(relayed > 1000 && coded > 1000);
}

/* --- Scenarios --- */

/* A chain of operators that take op_s each; 4 kB in, 40 B out. */
static int load_chain(void *user, const struct kerf_scenario_model *m, struct kerf_graph **g,
		      struct kerf_err *err)
{
	struct rig s;
	uint32_t n = (uint32_t)strlen(m->arch), i;

	rig_begin(&s, 1000);
	for (i = 0; i < n; i++)
		rig_add(&s, i, i, i + 1 == n ? 10 : 1000, 0);
	rig_end(&s, 1);
	kerf_outline_free(s.outline);
	*g = s.g;
	return 0;
}

static void run(const char *json, struct kerf_scenario *s, struct kerf_sim *sim)
{
	struct kerf_err err = {""};
	char path[] = "/tmp/kerf-test-sim-XXXXXX";
	int fd = mkstemp(path);
	size_t n = strlen(json);

	assert_true(fd >= 0 && write(fd, json, n) == (ssize_t)n);
	close(fd);
	if (kerf_scenario_read(path, s, &err) || kerf_sim_make(s, load_chain, NULL, sim, &err) ||
	    kerf_sim_run(sim, &err))
		fail_msg("%s", err.msg);
	unlink(path);
}

static void drop(struct kerf_scenario *s, struct kerf_sim *sim)
{
	kerf_sim_finish(sim);
	kerf_scenario_finish(s);
}

/* One engine, jobs of 10 ms, share of it wanted by Poisson arrivals; how many, and the mean. */
static void one_queue(double load, double variation, double *mean_s)
{
	struct kerf_sim_result r;
	struct kerf_scenario s;
	struct kerf_sim sim;
	char text[600];
	double sum = 0;
	size_t i;

	snprintf(text, sizeof(text),
		 "{\"kerf_scenario\":1,\"duration_s\":4000,\"policy\":\"local\",\"see_load\":false,"
		 "\"models\":[{\"name\":\"m\",\"gen\":\"1\"}],"
		 "\"engines\":[{\"name\":\"e\",\"flops_s\":1e18,\"op_s\":0.01,\"job_s\":0,\"variation\":%g}],"
		 "\"nodes\":[{\"name\":\"n\",\"engines\":[\"e\"]}],"
		 "\"arrivals\":[{\"node\":\"n\",\"model\":\"m\",\"poisson_hz\":%g}]}",
		 variation, load * 100);
	run(text, &s, &sim);
	assert_int_equal(kerf_sim_result(&sim, &r), 0);
	assert_int_equal(sim.world.arrived, sim.world.done);
	assert_int_equal(r.all.n, sim.world.done);
	/* Arrivals are as many as were asked for: three deviations of a Poisson count. */
	near((double)sim.world.arrived, load * 100 * 4000, 3 / sqrt(load * 100 * 4000));
	/* The engine is busy as much as it should be. */
	near(sim.world.engine[0].server.busy_s / sim.world.end_s, load, 0.02);
	/* Little: what is in the system, over time, is what each is in it for. */
	for (i = 0; i < sim.world.n_record; i++)
		sum += (double)sim.world.record[i].latency;
	near(sim.world.sum_in_system, sum, 1e-6);
	near(sim.world.engine[0].server.sum_n, sum, 1e-6);
	*mean_s = r.all.mean;
	kerf_sim_result_finish(&r);
	drop(&s, &sim);
}

/*
 * Pollaczek and Khinchine: the wait is load * s (1 + c^2) / (2 (1 - load)); c, deviation over mean,
 * is the variation. Bounds: about four deviations of the mean of that many waits.
 */
static void test_waits_are_what_theory_says(void **state)
{
	static const double loads[] = {0.2, 0.5, 0.8}, bounds[] = {0.02, 0.02, 0.05};
	static const double variations[] = {0, 0.5, 1};
	uint32_t i, k;
	double mean, wait;

	for (i = 0; i < KERF_ARRAY_SIZE(loads); i++)
		for (k = 0; k < KERF_ARRAY_SIZE(variations); k++) {
			wait = loads[i] * 0.01 * (1 + variations[k] * variations[k]) /
			       (2 * (1 - loads[i]));
			one_queue(loads[i], variations[k], &mean);
			near(mean, 0.01 + wait, bounds[i]);
		}
}

/* A closed loop of n clients that do not think: one is served, the others wait. */
static void test_clients_wait_for_answers(void **state)
{
	struct kerf_sim_result r;
	struct kerf_scenario s;
	struct kerf_sim sim;

	run("{\"kerf_scenario\":1,\"duration_s\":100,\"policy\":\"local\",\"warmup_s\":1,"
	    "\"models\":[{\"name\":\"m\",\"gen\":\"1\"}],"
	    "\"engines\":[{\"name\":\"e\",\"flops_s\":1e18,\"op_s\":0.01,\"job_s\":0}],"
	    "\"nodes\":[{\"name\":\"n\",\"engines\":[\"e\"]}],"
	    "\"arrivals\":[{\"node\":\"n\",\"model\":\"m\",\"clients\":5}]}",
	    &s, &sim);
	assert_int_equal(kerf_sim_result(&sim, &r), 0);
	near(r.all.mean, 0.05, 1e-6);
	near(r.throughput_hz, 100, 0.01);
	near(r.mean_in_system, 5, 0.01);
	kerf_sim_result_finish(&r);
	drop(&s, &sim);
}

#define CLUSTER                                                                                    \
	"\"models\":[{\"name\":\"m\",\"gen\":\"3333\"}],"                                          \
	"\"engines\":[{\"name\":\"slow\",\"flops_s\":1e18,\"op_s\":0.02,\"active_w\":2,\"variation\":0.3},"  \
	"{\"name\":\"fast\",\"flops_s\":1e18,\"op_s\":0.001,\"variation\":0.3}],"                     \
	"\"nodes\":[{\"name\":\"d\",\"count\":8,\"engines\":[\"slow\"],\"idle_w\":1,"              \
	"\"send_j_byte\":1e-6},{\"name\":\"e\",\"count\":2,\"engines\":[\"fast\"]}],"              \
	"\"links\":[{\"from\":\"d\",\"to\":\"e\",\"pattern\":\"all\",\"rate_bit_s\":1e7,"          \
	"\"latency_s\":1e-3%s}],"                                                                  \
	"\"arrivals\":[{\"node\":\"d\",\"model\":\"m\",\"poisson_hz\":20}]"

static char *as_json(const struct kerf_sim *sim)
{
	struct kerf_sim_result r;
	char *text = NULL;
	size_t n;
	FILE *f = open_memstream(&text, &n);

	assert_non_null(f);
	assert_int_equal(kerf_sim_result(sim, &r), 0);
	kerf_sim_json(sim, &r, f);
	kerf_sim_csv(sim, &r, f);
	fclose(f);
	kerf_sim_result_finish(&r);
	return text;
}

/* No request vanishes, whatever fails; what is counted of nodes adds up. */
static void count_up(const struct kerf_sim *sim)
{
	const struct kerf_sim_world *w = &sim->world;
	uint64_t arrived = 0, done = 0, lost = 0, retried = 0;
	double j = 0, sent = 0, received = 0;
	uint32_t i;

	assert_int_equal(w->arrived, w->done + w->lost);
	assert_int_equal(w->in_system, 0);
	for (i = 0; i < w->n_node; i++) {
		arrived += w->node[i].arrived;
		done += w->node[i].done;
		lost += w->node[i].lost;
		retried += w->node[i].retried;
		j += w->node[i].energy_j;
		sent += w->node[i].sent_bytes;
		received += w->node[i].received_bytes;
	}
	assert_int_equal(arrived, w->arrived);
	assert_int_equal(done, w->done);
	assert_int_equal(lost, w->lost);
	assert_int_equal(retried, w->retried);
	near(j, w->energy_j, 1e-9);
	near(sent, w->wire_bytes, 1e-9);
	near(received, w->wire_bytes, 1e-9);
}

static void with_failures(const char *medium, const char *more, struct kerf_scenario *s,
			  struct kerf_sim *sim)
{
	char text[2000], cluster[1500];

	snprintf(cluster, sizeof(cluster), CLUSTER, medium);
	snprintf(text, sizeof(text), "{\"kerf_scenario\":1,\"duration_s\":60,%s%s}", cluster, more);
	run(text, s, sim);
	count_up(sim);
}

static void test_no_request_vanishes_when_nodes_die(void **state)
{
	static const char *const media[] = {"", ",\"medium\":\"to\"", ",\"medium\":\"one\""};
	uint64_t lost_at_once;
	struct kerf_scenario s;
	struct kerf_sim sim;
	uint32_t i;

	for (i = 0; i < KERF_ARRAY_SIZE(media); i++) {
		with_failures(media[i], ",\"policy\":\"kerf\"", &s, &sim);
		assert_int_equal(sim.world.lost, 0);
		drop(&s, &sim);
		/* A neighbour that dies again and again: who may not try again loses. */
		with_failures(media[i],
			      ",\"policy\":\"remote\",\"retries\":0,\"failures\":[{\"node\":\"e\","
			      "\"mean_up_s\":3,\"mean_down_s\":1}]", &s, &sim);
		lost_at_once = sim.world.lost;
		assert_true(lost_at_once > 10);
		assert_int_equal(sim.world.retried, 0);
		drop(&s, &sim);
		with_failures(media[i],
			      ",\"policy\":\"kerf\",\"retries\":5,\"failures\":[{\"node\":\"e\","
			      "\"mean_up_s\":3,\"mean_down_s\":1}]", &s, &sim);
		assert_true(sim.world.retried > 10 && sim.world.lost < lost_at_once / 4);
		assert_true(sim.world.replans > 10);
		drop(&s, &sim);
		/* Homes that die lose what is theirs, and what comes while they are away. */
		with_failures(media[i],
			      ",\"policy\":\"kerf\",\"failures\":[{\"node\":\"d\",\"index\":3,"
			      "\"from_s\":20,\"to_s\":50},{\"node\":\"d\",\"index\":3,\"from_s\":25}]",
			      &s, &sim);
		assert_true(sim.world.node[3].lost > 600);
		assert_true(sim.world.node[3].down);
		assert_int_equal(sim.world.node[2].lost, 0);
		drop(&s, &sim);
	}
}

static void test_same_seed_same_bytes(void **state)
{
	static const char failing[] = ",\"policy\":\"kerf\",\"seed\":%d,\"failures\":[{\"node\":\"e\","
				      "\"mean_up_s\":3,\"mean_down_s\":1}]";
	char *text[3], more[200];
	struct kerf_scenario s;
	struct kerf_sim sim;
	int i;

	for (i = 0; i < 3; i++) {
		snprintf(more, sizeof(more), failing, i < 2 ? 7 : 8);
		with_failures("", more, &s, &sim);
		text[i] = as_json(&sim);
		drop(&s, &sim);
	}
	assert_string_equal(text[0], text[1]);
	assert_string_not_equal(text[0], text[2]);
	for (i = 0; i < 3; i++)
		free(text[i]);
}

/* A link that comes and goes: the model runs away while it is fast, and here while it is not. */
static void test_plans_follow_the_link(void **state)
{
	char text[2000], cluster[1500];
	struct kerf_scenario s;
	struct kerf_sim sim;

	snprintf(cluster, sizeof(cluster), CLUSTER, ",\"trace\":\"t\"");
	snprintf(text, sizeof(text),
		 "{\"kerf_scenario\":1,\"duration_s\":60,\"policy\":\"kerf\",\"see_load\":false,%s,"
		 "\"traces\":[{\"name\":\"t\",\"points_s_bit_s\":[[0,1e8],[20,0],[40,1e8]]}]}",
		 cluster);
	run(text, &s, &sim);
	count_up(&sim);
	/* Each home leaves and comes back, once each; what was on its way in the gap is late. */
	assert_int_equal(sim.world.replans, 16);
	assert_true(sim.plans_made <= 4);
	assert_true(sim.world.node[8].received_bytes > 1e6);
	drop(&s, &sim);
}

/* How often plans change on a link that is fast and slow by turns. */
static uint64_t replans(const char *options)
{
	char text[2000], cluster[1500];
	struct kerf_scenario s;
	struct kerf_sim sim;
	uint64_t n;

	snprintf(cluster, sizeof(cluster), CLUSTER, ",\"trace\":\"t\"");
	snprintf(text, sizeof(text),
		 "{\"kerf_scenario\":1,\"duration_s\":60,\"policy\":\"kerf\",\"see_load\":false,%s%s,"
		 "\"traces\":[{\"name\":\"t\",\"period_s\":8,\"points_s_bit_s\":[[0,1e8],[4,1e4]]}]}",
		 options, cluster);
	run(text, &s, &sim);
	count_up(&sim);
	n = sim.world.replans;
	drop(&s, &sim);
	return n;
}

/* Homes change their plans as the controller of plan/replan.h says, with its options. */
static void test_replanning_is_the_controllers(void **state)
{
	uint64_t often = replans("");

	assert_true(often > 8 * 10);
	assert_int_equal(replans("\"replan\":{},"), often);
	assert_int_equal(replans("\"replan\":{\"interval_s\":1e6},"), 0);
	assert_true(replans("\"replan\":{\"interval_s\":9},") <= 8 * 6);
}

/*
 * A policy that looks back (edgent) sees through a link that wavers; one that does not follows it.
 */
static void test_the_past_is_seen(void **state)
{
	static const char *const policy[] = {"edgent", "neurosurgeon"};
	uint64_t changes[2];
	uint32_t i;

	for (i = 0; i < 2; i++) {
		char text[2000];
		struct kerf_scenario s;
		struct kerf_sim sim;

		snprintf(text, sizeof(text),
			 "{\"kerf_scenario\":1,\"duration_s\":60,\"policy\":\"%s\",\"see_load\":false,"
			 "\"replan\":{\"gain\":0,\"noise\":0,\"interval_s\":0,\"settle_s\":0},"
			 "\"models\":[{\"name\":\"m\",\"gen\":\"3333\"}],"
			 "\"engines\":[{\"name\":\"slow\",\"flops_s\":1e18,\"op_s\":0.02},"
			 "{\"name\":\"fast\",\"flops_s\":1e18,\"op_s\":0.001}],"
			 "\"nodes\":[{\"name\":\"d\",\"count\":8,\"engines\":[\"slow\"]},"
			 "{\"name\":\"e\",\"engines\":[\"fast\"]}],"
			 "\"links\":[{\"from\":\"d\",\"to\":\"e\",\"trace\":\"t\",\"latency_s\":1e-3}],"
			 "\"arrivals\":[{\"node\":\"d\",\"model\":\"m\",\"poisson_hz\":5}],"
			 "\"traces\":[{\"name\":\"t\",\"period_s\":2,\"points_s_bit_s\":[[0,6e5],[1,4e5]]}]}",
			 policy[i]);
		run(text, &s, &sim);
		count_up(&sim);
		changes[i] = sim.world.replans;
		drop(&s, &sim);
	}
	assert_true(changes[1] > 8 * 20);
	assert_true(changes[0] < changes[1] / 4);
}

static void test_a_trace_is_integrated(void **state)
{
	double t[] = {0, 2, 3}, rate[] = {10, 0, 100};
	struct kerf_sim_trace once = {3, t, rate, 0}, again = {3, t, rate, 4};

	near(kerf_sim_trace_end(&once, 0, 15), 1.5, 1e-12);
	near(kerf_sim_trace_end(&once, 1, 20), 3.1, 1e-12);
	near(kerf_sim_trace_end(&once, 2.5, 100), 4, 1e-12);
	near(kerf_sim_trace_end(&once, 100, 100), 101, 1e-12);
	/* 100 in the last second, then 10 a second for two */
	near(kerf_sim_trace_end(&again, 3, 110), 5, 1e-12);
	near(kerf_sim_trace_end(&again, 7, 110), 9, 1e-12);
	near(kerf_sim_trace_end(&again, 0, 120 * 1000), 4000 - 0, 1e-12);
	rate[2] = 0;
	near(kerf_sim_trace_end(&again, 0, 45), 4 + 4 + 0.5 + 0, 1e-12);
	rate[0] = 0;
	assert_true(isinf(kerf_sim_trace_end(&again, 1, 1)));
	assert_true(isinf(kerf_sim_trace_end(&once, 1, 1)));
}

static void test_events_come_by_time(void **state)
{
	struct kerf_heap h = {.e = NULL};
	struct kerf_event last = {.t = -1}, e;
	struct kerf_rng rng;
	uint32_t i, n = 0;

	kerf_rng_seed(&rng, 3);
	for (i = 0; i < 20000; i++) {
		assert_int_equal(kerf_heap_push(&h, (struct kerf_event){.t = (double)kerf_rng_below(
										&rng, 500)}),
				 0);
		if (kerf_rng_below(&rng, 4) == 0) {
			kerf_heap_pop(&h);
			n++;
		}
	}
	for (; h.n; n++, last = e) {
		e = kerf_heap_pop(&h);
		assert_true(kerf_event_before(&last, &e));
	}
	assert_int_equal(n, 20000);
	free(h.e);
}

static void test_logarithm(void **state)
{
	double x;

	for (x = 1e-16; x < 1e16; x *= 1.37)
		assert_true(fabs(kerf_sim_log(x) - log(x)) <= 1e-15 * fmax(1, fabs(log(x))));
	assert_true(kerf_sim_log(1) == 0);
}

/* --- Damaged scenarios --- */

static void refused(const char *json, const char *expected)
{
	struct kerf_err err = {""};
	char path[] = "/tmp/kerf-test-sim-XXXXXX";
	struct kerf_scenario s;
	int fd = mkstemp(path), r;
	size_t n = strlen(json);

	assert_true(fd >= 0 && write(fd, json, n) == (ssize_t)n);
	close(fd);
	r = kerf_scenario_read(path, &s, &err);
	kerf_scenario_finish(&s);
	unlink(path);
	if (!r || !strstr(err.msg, expected))
		fail_msg("%s: '%s', expected '%s'", json, err.msg, expected);
}

static void test_a_damaged_scenario_is_told(void **state)
{
#define HEAD "{\"kerf_scenario\":1,\"duration_s\":1,"
#define REST                                                                                       \
	"\"models\":[{\"name\":\"m\",\"file\":\"x\"}],\"engines\":[{\"name\":\"e\",\"flops_s\":1}],"
#define NODES "\"nodes\":[{\"name\":\"n\",\"engines\":[\"e\"]},{\"name\":\"k\",\"engines\":[\"e\"],\"count\":3}],"
	refused("", "expected a JSON object");
	refused("[1]", "expected a JSON object");
	refused("{\"kerf_scenario\":2}", "kerf_scenario: expected a number from 1 to 1, found 2");
	refused("{\"kerf_scenario\":1}", "duration_s: expected a number");
	refused(HEAD "\"sped\":1}", "sped: expected none but: ");
	refused(HEAD "\"seed\":\"x\"}", "seed: expected a number from 0 to 9e+15, found \"x\"");
	refused(HEAD "\"policy\":\"best\"}", "policy: unknown policy 'best'");
	refused(HEAD "\"goal\":{\"objective\":\"joy\"}}", "goal.objective: expected one of: latency");
	refused(HEAD "\"goal\":{\"codecs\":[\"zip\"]}}", "goal.codecs: expected one of: none f16 int8, found \"zip\"");
	refused(HEAD "\"models\":[]}", "models: expected a list of 1 to");
	refused(HEAD "\"models\":[3]}", "models[0]: expected an object, found 3");
	refused(HEAD "\"models\":[{\"name\":\"m\"}]}", "models[0].file: expected either it or gen");
	refused(HEAD "\"models\":[{\"name\":\"m\",\"gen\":\"a\"}],\"engines\":[{\"name\":\"e\",\"flops_s\":-1}]}",
		"engines[0].flops_s: expected a number from 1");
	refused(HEAD REST "\"nodes\":[{\"name\":\"n\",\"engines\":[\"x\"]}]}",
		"nodes[0].engines: expected the name of one of the engines");
	refused(HEAD REST NODES "\"links\":[{\"from\":\"n\",\"to\":\"n\",\"rate_bit_s\":1,\"pattern\":\"spread\"}]}",
		"links[0].pattern: expected all or ring");
	refused(HEAD REST NODES "\"links\":[{\"from\":\"n\",\"to\":\"k\"}]}", "links[0].rate_bit_s: expected a number");
	refused(HEAD REST NODES "\"links\":[{\"from\":\"n\",\"to\":\"k\",\"trace\":\"t\"}]}",
		"links[0].trace: expected the name of one of the traces, found \"t\"");
	refused(HEAD REST NODES "\"traces\":[{\"name\":\"t\",\"points_s_bit_s\":[[0,1],[0,2]]}]}",
		"traces[0].points_s_bit_s: expected pairs");
	refused(HEAD REST NODES "\"arrivals\":[{\"node\":\"n\",\"model\":\"m\"}]}",
		"arrivals[0]: expected one of poisson_hz");
	refused(HEAD REST NODES "\"arrivals\":[{\"node\":\"n\",\"model\":\"m\",\"times_s\":[2,1]}]}",
		"arrivals[0].times_s: expected times that do not fall");
	refused(HEAD REST NODES "\"arrivals\":[{\"node\":\"n\",\"model\":\"m\",\"every_s\":1}],"
		"\"failures\":[{\"node\":\"k\",\"index\":3,\"from_s\":0}]}",
		"failures[0].index: expected a number from 0 to 2, found 3");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_one_request_alone_takes_what_pricing_says),
		cmocka_unit_test(test_waits_are_what_theory_says),
		cmocka_unit_test(test_clients_wait_for_answers),
		cmocka_unit_test(test_no_request_vanishes_when_nodes_die),
		cmocka_unit_test(test_same_seed_same_bytes),
		cmocka_unit_test(test_plans_follow_the_link),
		cmocka_unit_test(test_replanning_is_the_controllers),
		cmocka_unit_test(test_the_past_is_seen),
		cmocka_unit_test(test_a_trace_is_integrated),
		cmocka_unit_test(test_events_come_by_time),
		cmocka_unit_test(test_logarithm),
		cmocka_unit_test(test_a_damaged_scenario_is_told),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
