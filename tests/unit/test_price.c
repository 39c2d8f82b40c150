/* SPDX-License-Identifier: MIT */
/* Pricing: cases worked out by hand, and what holds of every plan. */
#include "graph/memplan.h"
#include "plan_rig.h"

static void near(double found, double expected)
{
	if (!(fabs(found - expected) <= 1e-9 * fmax(1, fabs(expected))))
		fail_msg("%.12g, expected %.12g", found, expected);
}

/* Home makes 4000 B in 1 ms; they take 4 ms; 2 ms away; 400 B come back. */
static void test_one_cut(void **state)
{
	struct kerf_plan plan;
	struct rig s;

	rig_chain(&s, 2);
	s.p.engine[0].active_w = 2;
	s.p.engine[1].active_w = 10;
	s.node[0] =
		(struct kerf_plan_node){.idle_w = 1, .send_j_byte = 1e-6, .receive_j_byte = 2e-6};
	s.node[1] =
		(struct kerf_plan_node){.idle_w = 3, .send_j_byte = 4e-6, .receive_j_byte = 8e-6};
	assert_int_equal(rig_plan(&s, "011", &plan), 0);
	near(plan.total_s, 1e-3 + 4e-3 + 2e-3 + 0.4e-3);
	near(plan.period_s, 4e-3);
	near(plan.wire_bytes, 4400);
	/* 8000 B of weights, and what operator 1 reads and makes */
	near(plan.memory_bytes, 8000 + 6000);
	near(plan.energy_j, 1e-3 * 2 + 2e-3 * 10 + 4000 * 9e-6 + 400 * 6e-6 + 7.4e-3 * (1 + 3));
	near(plan.step[1].start_s, 5e-3);
	near(plan.step[1].end_s, 7e-3);
	near(plan.edge[1].start_s, 1e-3);
	near(plan.edge[1].end_s, 5e-3);
	kerf_plan_finish(&plan);

	/* A job and a message each cost something of their own. */
	s.p.engine[0].job_s = 1e-4;
	s.p.engine[1].job_s = 2e-4;
	s.link[1].latency_s = 3e-4;
	s.link[2].latency_s = 5e-4;
	assert_int_equal(rig_plan(&s, "011", &plan), 0);
	near(plan.total_s, 1.1e-3 + 4.3e-3 + 2.2e-3 + 0.9e-3);
	kerf_plan_finish(&plan);
	rig_drop(&s);
}

/* A shaper's bucket serves the first message; the next finds it as full as time has let it be. */
static void test_bucket(void **state)
{
	struct kerf_plan plan;
	struct rig s;
	double hold;
	uint32_t i;

	rig_begin(&s, 250);
	for (i = 0; i < 5; i++)
		rig_add(&s, i, i, 250, 0);
	rig_end(&s, 2);
	for (i = 0; i < 10; i++)
		s.op_s[i] = 1e-4;
	s.link[1].least_s = 1e-4;
	s.link[1].latency_s = -5e-4;
	s.link[2].rate_bytes_s = 1e9;
	assert_int_equal(rig_plan(&s, "01010", &plan), 0);
	/*
	 * There at 0.1 + 1 - 0.5 ms; the second is ready at 0.801, the first one's bytes go until
	 * 1.1.
	 */
	near(plan.total_s, 1.1e-3 + 1e-3 - 5e-4 + 1e-4 + 1e-6 + 1e-4);
	kerf_plan_finish(&plan);
	/* One so large that both go by it at once takes the least. */
	s.link[1].latency_s = -5e-3;
	assert_int_equal(rig_plan(&s, "01010", &plan), 0);
	near(plan.total_s, 5 * 1e-4 + 2 * 1e-4 + 2 * 1e-6);
	kerf_plan_finish(&plan);

	/* Latencies pass at the same time, bytes do not. */
	s.link[1].latency_s = 1e-2;
	near(kerf_problem_carry_s(&s.p, 0, 1, 1000, 0, &hold), 1.1e-2);
	near(hold, 1e-3);
	near(kerf_problem_carry_s(&s.p, 0, 1, 1000, hold, &hold), 1.2e-2);
	near(kerf_problem_transfer_s(&s.p, 0, 1, 1000), 1.1e-2);
	near(kerf_problem_carry_s(&s.p, 1, 1, 1000, 0, &hold), 0);
	near(hold, 0);
	rig_drop(&s);
}

/* Between two other nodes: by a link of theirs, or by home, where it is in two messages. */
static void test_ways_between_others(void **state)
{
	struct kerf_plan plan;
	struct rig s;

	rig_chain(&s, 3);
	assert_int_equal(rig_plan(&s, "012", &plan), 0);
	near(plan.total_s, 1e-3 + 4e-3 + 1e-3 + 2e-3 + 1e-3 + 0.4e-3);
	near(plan.wire_bytes, 4000 + 2000 + 400);
	kerf_plan_finish(&plan);
	s.link[1 * 3 + 2].rate_bytes_s = 0;
	assert_int_equal(rig_plan(&s, "012", &plan), 0);
	near(plan.total_s, 1e-3 + 4e-3 + 1e-3 + 4e-3 + 1e-3 + 0.4e-3);
	near(plan.wire_bytes, 4000 + 2 * 2000 + 400);
	assert_true(plan.edge[2].relayed);
	kerf_plan_finish(&plan);
	s.link[1 * 3].rate_bytes_s = 0;
	assert_int_equal(rig_plan(&s, "012", &plan), -EINVAL);
	rig_drop(&s);
}

/* Two steps of one node get their messages one after the other, each its own reply. */
static void test_messages_of_one_direction_queue(void **state)
{
	struct kerf_plan plan;
	struct rig s;

	rig_begin(&s, 250);
	rig_add(&s, 0, 0, 1000, 0);
	rig_add(&s, 0, 0, 500, 0);
	rig_end(&s, 3);
	s.p.engine[2].node = 1;
	assert_int_equal(rig_plan(&s, "12", &plan), 0);
	/* there at 1 and 2 ms, done at 2 and 3; replies of 4 and 2 ms */
	near(plan.step[0].end_s, 2e-3);
	near(plan.step[1].end_s, 3e-3);
	near(plan.total_s, 2e-3 + 4e-3 + 2e-3);
	near(plan.period_s, 6e-3);
	near(plan.wire_bytes, 1000 + 1000 + 4000 + 2000);
	kerf_plan_finish(&plan);
	/* The same engine runs them one after the other, as one job. */
	assert_int_equal(rig_plan(&s, "11", &plan), 0);
	assert_int_equal(plan.n_step, 1);
	near(plan.total_s, 1e-3 + 2e-3 + 6e-3);
	kerf_plan_finish(&plan);
	rig_drop(&s);
}

/* What two nodes read by way of home, and home itself, is in the reply once. */
static void test_reply_holds_a_piece_once(void **state)
{
	struct kerf_plan plan;
	struct rig s;

	rig_begin(&s, 250);
	rig_add(&s, 0, 0, 1000, 0);
	rig_add(&s, 1, 1, 100, 0);
	rig_add(&s, 1, 1, 100, 0);
	rig_add(&s, 1, 1, 100, 0);
	rig_end(&s, 4);
	s.link[1 * 4 + 2].rate_bytes_s = s.link[1 * 4 + 3].rate_bytes_s = 0;
	assert_int_equal(rig_plan(&s, "1230", &plan), 0);
	near(plan.wire_bytes, 1000 + 4000 + 2 * 4000 + 2 * 400);
	near(plan.total_s, 1e-3 + 1e-3 + 4e-3 + 4e-3 + 1e-3 + 0.4e-3);
	kerf_plan_finish(&plan);
	rig_drop(&s);
}

static struct kerf_plan_step *add_step(struct kerf_plan *plan, uint32_t engine, uint32_t from,
				       uint32_t n)
{
	struct kerf_plan_step *s = kerf_plan_add_step(plan);
	uint32_t k;

	assert_non_null(s);
	s->engine = engine;
	s->n_op = n;
	s->op = malloc(n * sizeof(*s->op));
	for (k = 0; k < n; k++)
		s->op[k] = from + k;
	return s;
}

static void add_edge(struct kerf_plan *plan, int32_t value, uint32_t from, uint32_t to,
		     int64_t begin, int64_t end)
{
	struct kerf_plan_edge *e = kerf_plan_add_edge(plan);

	assert_non_null(e);
	*e = (struct kerf_plan_edge){.value = value, .from = from, .to = to, .rows = {begin, end}};
}

/* A value of 10 rows of 100 elements. */
static int32_t rows_value(struct kerf_graph *g)
{
	struct kerf_tensor t = {.dtype = KERF_F32, .rank = 4, .dims = {1, 10, 10, 10}};

	return kerf_graph_add_value(g, NULL, &t);
}

/* One operator over 10 rows with 8000 B of weights: rows 0-4 on engine a, the rest on b. */
static void two_tiles(struct rig *s, struct kerf_plan *plan, uint32_t a, uint32_t b, bool channels)
{
	struct kerf_tensor w = {.dtype = KERF_F32, .rank = 1, .dims = {2000}};
	int32_t in[2], out;
	uint32_t i;

	memset(s, 0, sizeof(*s));
	s->g = kerf_graph_new("t");
	in[0] = rows_value(s->g);
	kerf_graph_add_input(s->g, in[0]);
	w.data = kerf_graph_alloc(s->g, 8000);
	in[1] = kerf_graph_add_value(s->g, NULL, &w);
	out = s->value[1] = rows_value(s->g);
	kerf_graph_add_op(s->g, &rig_op, NULL, 1, 2, in, 1, &out, 0, NULL);
	rig_end(s, 3);
	memset(plan, 0, sizeof(*plan));
	plan->exit = -1;
	for (i = 0; i < 2; i++) {
		struct kerf_plan_step *step = add_step(plan, i ? b : a, 0, 1);
		struct kerf_rows r = {i ? 5 : 0, i ? 10 : 5};

		*(channels ? &step->channels : &step->rows) = r;
		step->share = malloc(sizeof(float));
		step->share[0] = 0.5F;
		/* a halo of one row beside rows; all of it beside channels */
		if (channels)
			add_edge(plan, in[0], KERF_PLAN_HOME, i, 0, 0);
		else
			add_edge(plan, in[0], KERF_PLAN_HOME, i, i ? 4 : 0, i ? 10 : 6);
		add_edge(plan, out, i, KERF_PLAN_HOME, r.begin, r.end);
		if (channels) {
			plan->edge[plan->n_edge - 1].rows = (struct kerf_rows){0, 0};
			plan->edge[plan->n_edge - 1].channels = r;
		}
	}
	kerf_plan_sort(plan);
}

static void test_tiles(void **state)
{
	struct kerf_plan plan;
	double fixed[3] = {0, 4e-4, 4e-4};
	struct rig s;

	/* 6 rows go to each, 0.5 ms of work, 5 rows come back, all at once. */
	two_tiles(&s, &plan, 1, 2, false);
	assert_int_equal(kerf_plan_price(&s.p, &plan), 0);
	near(plan.total_s, 2.4e-3 + 0.5e-3 + 2e-3);
	near(plan.wire_bytes, 2 * 2400 + 2 * 2000);
	near(plan.memory_bytes, 8000 + 4000);
	/* A tile is not charged less than what any tile costs. */
	s.p.op_fixed_s = fixed;
	assert_int_equal(kerf_plan_price(&s.p, &plan), 0);
	near(plan.step[0].compute_s, 4e-4 + 6e-4 / 2);
	kerf_plan_finish(&plan);
	rig_drop(&s);

	/* Both on one node: weights are there once, and one tile is at work at a time. */
	two_tiles(&s, &plan, 1, 1, false);
	assert_int_equal(kerf_plan_price(&s.p, &plan), 0);
	near(plan.memory_bytes, 8000 + 4000);
	near(plan.total_s, 2.4e-3 + 2.4e-3 + 0.5e-3 + 2e-3);
	near(plan.period_s, 4.8e-3);
	kerf_plan_finish(&plan);
	rig_drop(&s);

	/* Channels take their own weights, on one node together all of them. */
	two_tiles(&s, &plan, 1, 2, true);
	assert_int_equal(kerf_plan_price(&s.p, &plan), 0);
	near(plan.memory_bytes, 4000 + 4000 + 2000);
	near(plan.wire_bytes, 2 * 4000 + 2 * 2000);
	kerf_plan_finish(&plan);
	rig_drop(&s);
	two_tiles(&s, &plan, 2, 2, true);
	assert_int_equal(kerf_plan_price(&s.p, &plan), 0);
	near(plan.memory_bytes, 8000 + 4000 + 2000);
	kerf_plan_finish(&plan);
	rig_drop(&s);

	/*
	 * At home the request's input is there as long as a patch reads it, and what patches made.
	 */
	two_tiles(&s, &plan, 0, 0, false);
	assert_int_equal(kerf_plan_price(&s.p, &plan), 0);
	near(plan.memory_bytes, 8000 + 4000 + 2000 + 4000);
	kerf_plan_finish(&plan);
	rig_drop(&s);
}

/*
 * What lives past operators that do not touch it counts: a value for the last of three, and an
 * output of the model that was made before.
 */
static void test_held(void **state)
{
	struct kerf_plan plan;
	struct rig s;

	rig_begin(&s, 250);
	rig_add(&s, 0, 0, 1000, 0); /* 4000 B for operator 3 */
	rig_add(&s, 0, 0, 50, 0);   /* 200 B, an output */
	rig_add(&s, 0, 0, 500, 0);  /* 2000 B */
	rig_add(&s, 3, 1, 10, 0);
	rig_end(&s, 2);
	assert_int_equal(rig_plan(&s, "0000", &plan), 0);
	near(plan.memory_bytes, 1000 + 4000 + 200 + 2000);
	kerf_plan_finish(&plan);
	rig_drop(&s);
}

/* Being apart costs each side its own, a piece its share of what the whole does. */
static void test_apart(void **state)
{
	double apart[(RIG_OPS + 2) * RIG_ENGINES] = {0};
	struct kerf_plan plan;
	struct rig s;

	rig_chain(&s, 2);
	apart[s.value[1] * 2] = 1e-4;
	apart[s.value[1] * 2 + 1] = 2e-4;
	s.p.apart_s = apart;
	assert_int_equal(rig_plan(&s, "011", &plan), 0);
	near(plan.step[0].compute_s, 1e-3 + 1e-4);
	near(plan.step[1].compute_s, 2e-3 + 2e-4);
	kerf_plan_finish(&plan);
	/* Inside one step nothing is paid. */
	assert_int_equal(rig_plan(&s, "111", &plan), 0);
	near(plan.step[0].compute_s, 3e-3);
	kerf_plan_finish(&plan);
	rig_drop(&s);
}

static void test_codecs(void **state)
{
	const double loss[KERF_N_CODECS] = {0, 0.001, 0.02};
	uint8_t codec[RIG_OPS * 2] = {0};
	uint32_t assign[] = {0, 1, 1};
	struct kerf_plan plan;
	struct rig s;

	rig_chain(&s, 2);
	s.g->accuracy = 0.7;
	s.p.codec_loss = loss;
	s.node[0].codec_byte_s[KERF_CODEC_F16] = 1e-8;
	s.node[1].codec_byte_s[KERF_CODEC_F16] = 2e-8;
	codec[s.value[1]] = KERF_CODEC_F16;
	assert_int_equal(kerf_plan_from_assignment(&s.p, assign, codec, &plan, NULL), 0);
	near(plan.wire_bytes, 2000 + 400);
	near(plan.total_s, 1e-3 + 2e-3 + 4000 * 3e-8 + 2e-3 + 0.4e-3);
	near(plan.accuracy, 0.699);
	near(plan.energy_j, 0);
	/* Coding draws what the node's engine does; where it takes longest it is the period. */
	s.p.engine[0].active_w = 3;
	s.p.engine[1].active_w = 5;
	s.node[1].codec_byte_s[KERF_CODEC_F16] = 1e-6;
	assert_int_equal(kerf_plan_price(&s.p, &plan), 0);
	near(plan.energy_j, 3 * (1e-3 + 4000 * 1e-8) + 5 * (2e-3 + 4000 * 1e-6));
	near(plan.period_s, 4000 * 1e-6);
	kerf_plan_finish(&plan);
	codec[s.value[1]] = KERF_CODEC_INT8;
	assert_int_equal(kerf_plan_from_assignment(&s.p, assign, codec, &plan, NULL), 0);
	near(plan.wire_bytes, 1000 + 8 + 400);
	near(plan.accuracy, 0.68);
	kerf_plan_finish(&plan);
	/* Where nothing is sent nothing is lost. */
	assign[1] = assign[2] = 0;
	assert_int_equal(kerf_plan_from_assignment(&s.p, assign, codec, &plan, NULL), 0);
	near(plan.accuracy, 0.7);
	kerf_plan_finish(&plan);
	rig_drop(&s);
}

/* --- what holds of every plan --- */

static void make_random(struct rig *s, struct kerf_rng *rng, uint32_t *assign)
{
	uint32_t n = 1 + (uint32_t)kerf_rng_below(rng, RIG_OPS), ne, i;

	rig_begin(s, 1 + (int64_t)kerf_rng_below(rng, 2000));
	for (i = 0; i < n; i++)
		rig_add(s, (uint32_t)kerf_rng_below(rng, i + 1),
			(uint32_t)kerf_rng_below(rng, i + 1),
			1 + (int64_t)kerf_rng_below(rng, 2000),
			(int64_t)kerf_rng_below(rng, 3) * 500);
	ne = 1 + (uint32_t)kerf_rng_below(rng, RIG_ENGINES);
	rig_end(s, ne);
	for (i = 0; i < n * ne; i++)
		s->op_s[i] = (double)kerf_rng_below(rng, 1000) * 1e-5;
	for (i = 0; i < ne; i++) {
		s->p.engine[i].job_s = (double)kerf_rng_below(rng, 50) * 1e-5;
		s->p.engine[i].active_w = (double)kerf_rng_below(rng, 10);
		s->node[i].idle_w = (double)kerf_rng_below(rng, 3);
	}
	for (i = 0; i < ne * ne; i++) {
		s->link[i].latency_s = (double)kerf_rng_below(rng, 100) * 1e-5;
		/* All have a path to home. */
		if (i >= ne && i % ne && !kerf_rng_below(rng, 3))
			s->link[i].rate_bytes_s = 0;
	}
	for (i = 0; i < n; i++)
		assign[i] = (uint32_t)kerf_rng_below(rng, ne);
}

static void test_order_of_edges_does_not_matter(void **state)
{
	uint32_t assign[RIG_OPS], i;
	struct kerf_rng rng;
	int round;

	kerf_rng_seed(&rng, 11);
	for (round = 0; round < 500; round++) {
		struct kerf_plan plan, before;
		struct rig s;

		make_random(&s, &rng, assign);
		assert_int_equal(kerf_plan_from_assignment(&s.p, assign, NULL, &plan, NULL), 0);
		before = plan;
		for (i = plan.n_edge; i > 1; i--) {
			uint32_t j = (uint32_t)kerf_rng_below(&rng, i);
			struct kerf_plan_edge e = plan.edge[i - 1];

			plan.edge[i - 1] = plan.edge[j];
			plan.edge[j] = e;
		}
		assert_int_equal(kerf_plan_price(&s.p, &plan), 0);
		assert_true(plan.total_s == before.total_s && plan.period_s == before.period_s);
		assert_true(plan.energy_j == before.energy_j &&
			    plan.wire_bytes == before.wire_bytes &&
			    plan.memory_bytes == before.memory_bytes);
		kerf_plan_finish(&plan);
		rig_drop(&s);
	}
}

/* Nothing gets better when an operator takes longer, a link is slower or a job costs more. */
static void test_slower_parts_make_no_plan_faster(void **state)
{
	uint32_t assign[RIG_OPS];
	struct kerf_rng rng;
	int round;

	kerf_rng_seed(&rng, 12);
	for (round = 0; round < 1000; round++) {
		struct kerf_plan plan, before;
		uint32_t ne;
		struct rig s;

		make_random(&s, &rng, assign);
		ne = s.p.n_engine;
		assert_int_equal(kerf_plan_from_assignment(&s.p, assign, NULL, &plan, NULL), 0);
		before = plan;
		switch (round % 3) {
		case 0: s.op_s[kerf_rng_below(&rng, (uint64_t)s.g->n_op * ne)] += 1e-2; break;
		case 1: s.link[kerf_rng_below(&rng, (uint64_t)ne * ne)].latency_s += 1e-2; break;
		case 2: s.p.engine[kerf_rng_below(&rng, ne)].job_s += 1e-2; break;
		}
		assert_int_equal(kerf_plan_price(&s.p, &plan), 0);
		assert_true(plan.total_s >= before.total_s * (1 - 1e-12));
		assert_true(plan.period_s >= before.period_s * (1 - 1e-12));
		assert_true(plan.energy_j >= before.energy_j * (1 - 1e-12));
		kerf_plan_finish(&plan);
		rig_drop(&s);
	}
}

/* No request is faster than its work and its messages on any one engine or link. */
static void test_bounds(void **state)
{
	uint32_t assign[RIG_OPS], i;
	struct kerf_rng rng;
	int round;

	kerf_rng_seed(&rng, 13);
	for (round = 0; round < 500; round++) {
		double sum = 0, longest = 0;
		struct kerf_plan plan;
		struct rig s;

		make_random(&s, &rng, assign);
		assert_int_equal(kerf_plan_from_assignment(&s.p, assign, NULL, &plan, NULL), 0);
		for (i = 0; i < plan.n_step; i++) {
			sum += plan.step[i].compute_s;
			longest = fmax(longest, plan.step[i].end_s);
		}
		assert_true(plan.period_s <= plan.total_s * (1 + 1e-12));
		assert_true(longest <= plan.total_s);
		if (s.p.n_engine == 1)
			near(plan.total_s, sum);
		kerf_plan_finish(&plan);
		rig_drop(&s);
	}
}

/*
 * The plan of everything on one engine says what an engine's memory plan of that graph takes, with
 * the inputs and outputs, which are not in an engine's arena; alignment aside.
 */
static void test_memory_of_programs(void **state)
{
	struct kerf_rng rng;
	uint32_t assign[RIG_OPS], round, i;

	kerf_rng_seed(&rng, 9);
	for (round = 0; round < 300; round++) {
		struct kerf_memplan arena;
		double weights = 0, outside = 0, bytes;
		struct kerf_plan plan;
		struct rig s;

		make_random(&s, &rng, assign);
		memset(assign, 0, sizeof(assign));
		assert_int_equal(kerf_plan_from_assignment(&s.p, assign, NULL, &plan, NULL), 0);
		assert_int_equal(kerf_memplan_make(s.g, NULL, NULL, &arena), 0);
		for (i = 0; i < s.g->n_op; i++)
			weights += s.outline->weight_bytes[i];
		for (i = 0; i < s.g->n_out; i++)
			outside += s.outline->value_bytes[s.g->out[i]];
		outside += s.outline->value_bytes[s.g->in[0]];
		bytes = plan.memory_bytes - weights + (double)s.g->n_value * KERF_ALIGN;
		if (bytes < (double)arena.lower_bound)
			fail_msg("round %u: %g bytes, the arena has %zu", round, bytes, arena.lower_bound);
		assert_true(plan.memory_bytes - weights <= (double)arena.lower_bound + outside);
		kerf_memplan_finish(&arena);
		kerf_plan_finish(&plan);
		rig_drop(&s);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_one_cut),
		cmocka_unit_test(test_bucket),
		cmocka_unit_test(test_ways_between_others),
		cmocka_unit_test(test_messages_of_one_direction_queue),
		cmocka_unit_test(test_reply_holds_a_piece_once),
		cmocka_unit_test(test_tiles),
		cmocka_unit_test(test_held),
		cmocka_unit_test(test_memory_of_programs),
		cmocka_unit_test(test_apart),
		cmocka_unit_test(test_codecs),
		cmocka_unit_test(test_order_of_edges_does_not_matter),
		cmocka_unit_test(test_slower_parts_make_no_plan_faster),
		cmocka_unit_test(test_bounds),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
