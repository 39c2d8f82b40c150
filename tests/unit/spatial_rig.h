/* SPDX-License-Identifier: MIT */
/*
 * For tests of plans with tiles: problems over a graph with made-up engines and links, what every
 * plan must obey, and a run of a plan in this process, step by step on pieces.
 */
#ifndef KERF_TESTS_SPATIAL_RIG_H
#define KERF_TESTS_SPATIAL_RIG_H

#include "exec/engine.h"
#include "graph/slice.h"
#include "plan/bands.h"
#include "plan/policy.h"
#include "util/rng.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

struct rig {
	struct kerf_graph *g;
	struct kerf_outline *outline;
	struct kerf_link_model link[KERF_MAX_ENGINES * KERF_MAX_ENGINES];
	struct kerf_plan_node node[KERF_MAX_ENGINES];
	double *op_s, *op_fixed_s;
	struct kerf_problem p;
};

static const char *const rig_names[KERF_MAX_ENGINES] = {"e0",  "e1",  "e2",  "e3", "e4",  "e5",
							"e6",  "e7",  "e8",  "e9", "e10", "e11",
							"e12", "e13", "e14", "e15"};

/* One engine a node, engine i with speed[i] FLOP/s; every link with this rate and latency. */
static inline void rig_make(struct rig *x, struct kerf_graph *g, uint32_t n, const double *speed,
			    double rate_bytes_s, double latency_s)
{
	uint32_t o, i;

	memset(x, 0, sizeof(*x));
	x->g = g;
	assert_int_equal(kerf_outline_make(g, &x->outline), 0);
	x->op_s = calloc((size_t)g->n_op * n + 1, sizeof(*x->op_s));
	x->op_fixed_s = calloc((size_t)g->n_op * n + 1, sizeof(*x->op_s));
	assert_true(x->op_s && x->op_fixed_s);
	x->p = (struct kerf_problem){.graph = g,
				     .outline = x->outline,
				     .n_engine = n,
				     .n_node = n,
				     .node = x->node,
				     .link = x->link,
				     .op_s = x->op_s,
				     .op_fixed_s = x->op_fixed_s};
	for (i = 0; i < n; i++) {
		x->p.engine[i] = (struct kerf_plan_engine){
			.name = rig_names[i], .node = i, .job_s = i ? latency_s : 0, .active_w = 5};
		x->node[i] = (struct kerf_plan_node){
			.idle_w = 1, .send_j_byte = 1e-7, .receive_j_byte = 1e-7};
		for (o = 0; o < g->n_op; o++) {
			x->op_fixed_s[(size_t)o * n + i] = 1e-6;
			x->op_s[(size_t)o * n + i] =
				1e-6 + (double)kerf_op_work(g, &g->op[o]) / speed[i];
		}
	}
	for (i = 0; i < n * n; i++)
		x->link[i] = (struct kerf_link_model){.latency_s = latency_s,
						      .rate_bytes_s = rate_bytes_s};
}

static inline void rig_drop(struct rig *x)
{
	kerf_outline_free(x->outline);
	free(x->op_s);
	free(x->op_fixed_s);
}

/* Up to four nodes of other speeds; some neighbours have no path to one another. */
static inline void rig_random(struct rig *x, struct kerf_graph *g, struct kerf_rng *rng)
{
	uint32_t n = 2 + (uint32_t)kerf_rng_below(rng, 4), i, k;
	double speed[KERF_MAX_ENGINES];

	for (i = 0; i < n; i++)
		speed[i] = 1e8 * pow(10, (double)kerf_rng_float(rng));
	rig_make(x, g, n, speed, 1e6 * pow(100, (double)kerf_rng_float(rng)), 1e-4);
	x->p.home = (uint32_t)kerf_rng_below(rng, n);
	for (i = 0; i < n; i++)
		for (k = 0; k < n; k++)
			if (i != x->p.home && k != x->p.home && !kerf_rng_below(rng, 3))
				x->link[i * n + k].rate_bytes_s = 0;
}

/* --- a value in memory, whole or a piece ---------------------------------- */

struct held {
	struct kerf_tensor t;
	struct kerf_rows rows, channels; /* of the whole that t holds */
};

/* A tensor as [n][rows][mid][channels]. */
struct shape4 {
	int64_t n, rows, mid, channels;
};

static inline struct shape4 shape4_of(const struct kerf_tensor *t)
{
	struct shape4 s = {1, 1, 1, 1};
	int i;

	if (t->rank > 0)
		s.channels = t->dims[t->rank - 1];
	if (t->rank > 1)
		s.n = t->dims[0];
	if (t->rank > 2)
		s.rows = t->dims[1];
	for (i = 2; i + 1 < t->rank; i++)
		s.mid *= t->dims[i];
	return s;
}

static inline size_t at4(const struct held *h, struct shape4 s, int64_t n, int64_t row, int64_t mid,
			 int64_t channel)
{
	return (size_t)(((n * s.rows + row - h->rows.begin) * s.mid + mid) * s.channels + channel -
			h->channels.begin);
}

static inline struct held held_new(const struct kerf_tensor *shape, struct kerf_rows rows,
				   struct kerf_rows channels)
{
	struct held h = {*shape, rows, channels};

	h.t.data = kerf_tensor_alloc(kerf_tensor_bytes(shape));
	assert_non_null(h.t.data);
	memset(h.t.data, 0xa5, kerf_tensor_bytes(shape));
	return h;
}

/* Copies a piece and counts each element; a piece must lie in both. */
static inline void move_piece(const struct held *from, struct held *to, struct kerf_rows rows,
			      struct kerf_rows channels, uint8_t *count)
{
	struct shape4 a = shape4_of(&from->t), b = shape4_of(&to->t);
	size_t size = kerf_dtype_size(to->t.dtype), k;
	int64_t n, r, m;

	if (!rows.end)
		rows = (struct kerf_rows){to->rows.begin, to->rows.begin + b.rows};
	if (!channels.end)
		channels = (struct kerf_rows){to->channels.begin, to->channels.begin + b.channels};
	assert_true(rows.begin >= from->rows.begin && rows.end <= from->rows.begin + a.rows);
	assert_true(rows.begin >= to->rows.begin && rows.end <= to->rows.begin + b.rows);
	assert_true(channels.begin >= from->channels.begin &&
		    channels.end <= from->channels.begin + a.channels);
	assert_true(channels.begin >= to->channels.begin &&
		    channels.end <= to->channels.begin + b.channels);
	for (n = 0; n < b.n; n++)
		for (r = rows.begin; r < rows.end; r++)
			for (m = 0; m < b.mid; m++) {
				size_t x = at4(from, a, n, r, m, channels.begin);
				size_t y = at4(to, b, n, r, m, channels.begin);
				size_t c = (size_t)(channels.end - channels.begin);

				memcpy((char *)to->t.data + y * size,
				       (char *)from->t.data + x * size, c * size);
				for (k = 0; k < c; k++)
					count[y + k]++;
			}
}

/* --- a plan, step by step -------------------------------------------------- */

struct run_state {
	struct kerf_graph *g;
	const struct kerf_plan *plan;
	struct held *input;  /* per input of g */
	struct held **out;   /* per step, per value of g */
	struct kerf_engine *engine; /* NULL: geometry alone, nothing is computed */
	size_t moved;	     /* elements that went into steps */
};

static inline const struct held *held_by(const struct run_state *s, uint32_t step, int32_t v)
{
	uint32_t i;

	if (step != KERF_PLAN_HOME)
		return s->out[step][v].t.data ? &s->out[step][v] : NULL;
	for (i = 0; i < s->g->n_in; i++)
		if (s->g->in[i] == v)
			return &s->input[i];
	return NULL;
}

/* Fills to from all pieces of v that go to a step: none twice, none missing. */
static inline void assemble(struct run_state *s, int32_t v, uint32_t step, struct held *to)
{
	size_t n = (size_t)kerf_tensor_count(&to->t), i;
	uint8_t *count = calloc(n + 1, 1);
	uint32_t e;

	assert_non_null(count);
	for (e = 0; e < s->plan->n_edge; e++) {
		const struct kerf_plan_edge *x = &s->plan->edge[e];
		const struct held *from;

		if (x->to != step || x->value != v)
			continue;
		assert_true(x->from == KERF_PLAN_HOME || step == KERF_PLAN_HOME || x->from < step);
		from = held_by(s, x->from, v);
		assert_non_null(from);
		move_piece(from, to, x->rows, x->channels, count);
	}
	for (i = 0; i < n; i++)
		if (count[i] != 1)
			fail_msg("'%s' into step %d: element %zu of %zu comes %u times",
				 s->g->value[v].name, (int)step, i, n, count[i]);
	s->moved += n;
	free(count);
}

static inline void run_one_step(struct run_state *s, uint32_t at)
{
	const struct kerf_plan_step *step = &s->plan->step[at];
	struct kerf_slice_spec spec = {.n_op = step->n_op,
				       .op = step->op,
				       .rows = step->rows,
				       .channels = step->channels,
				       .padded = step->padded};
	struct kerf_tensor in[64], out[64];
	struct kerf_program *program;
	struct kerf_err err = {""};
	struct kerf_graph *slice;
	uint32_t i, n_edge = 0;
	struct held to;

	if (kerf_slice_make(s->g, &spec, &slice, &err))
		fail_msg("step %u: %s", at, err.msg);
	assert_true(slice->n_in <= 64 && slice->n_out <= 64);
	for (i = 0; i < slice->n_in; i++) {
		const struct kerf_value *v = &slice->value[slice->in[i]];
		const struct kerf_tensor *whole = &s->g->value[v->parent].t;
		struct kerf_rows rows = {v->whole_rows ? v->row0 : 0, 0}, channels = {0, 0};

		if (whole->rank && v->t.dims[whole->rank - 1] < whole->dims[whole->rank - 1])
			channels = step->channels;
		to = held_new(&v->t, rows, channels);
		assemble(s, v->parent, at, &to);
		in[i] = to.t;
	}
	for (i = 0; i < s->plan->n_edge; i++)
		n_edge += s->plan->edge[i].to == at;
	assert_true(n_edge >= slice->n_in);
	s->out[at] = calloc((size_t)s->g->n_value + 1, sizeof(**s->out));
	assert_non_null(s->out[at]);
	for (i = 0; i < slice->n_out; i++) {
		const struct kerf_value *v = &slice->value[slice->out[i]];

		to = held_new(&v->t, step->rows, step->channels);
		s->out[at][v->parent] = to;
		out[i] = to.t;
	}
	if (s->engine) {
		if (s->engine->ops->prepare(s->engine, slice, &program, &err))
			fail_msg("step %u: %s", at, err.msg);
		assert_int_equal(kerf_engine_run(program, in, out, NULL), 0);
		s->engine->ops->release(program);
	}
	for (i = 0; i < slice->n_in; i++)
		free(in[i].data);
	kerf_graph_unref(slice);
}

/* Plays a plan; the answer's tensors in out[n_out] have memory of their own. */
static inline void run_plan(struct kerf_graph *g, const struct kerf_plan *plan,
			    struct kerf_engine *engine, uint64_t seed, struct kerf_tensor *out)
{
	struct run_state s = {.g = g, .plan = plan, .engine = engine};
	struct kerf_rng rng;
	uint32_t i, k;
	int64_t n;

	kerf_rng_seed(&rng, seed);
	s.input = calloc(g->n_in + 1, sizeof(*s.input));
	s.out = calloc(plan->n_step + 1, sizeof(*s.out));
	assert_true(s.input && s.out);
	for (i = 0; i < g->n_in; i++) {
		s.input[i] = held_new(&g->value[g->in[i]].t, (struct kerf_rows){0, 0},
				      (struct kerf_rows){0, 0});
		assert_int_equal(s.input[i].t.dtype, KERF_F32);
		for (n = 0; n < kerf_tensor_count(&s.input[i].t); n++)
			((float *)s.input[i].t.data)[n] = 2 * kerf_rng_float(&rng) - 1;
	}
	for (i = 0; i < plan->n_step; i++)
		run_one_step(&s, i);
	for (i = 0; i < g->n_out; i++) {
		struct held to = held_new(&g->value[g->out[i]].t, (struct kerf_rows){0, 0},
					  (struct kerf_rows){0, 0});

		assemble(&s, g->out[i], KERF_PLAN_HOME, &to);
		out[i] = to.t;
	}
	for (i = 0; i < plan->n_step; i++) {
		for (k = 0; k < g->n_value; k++)
			free(s.out[i][k].t.data);
		free(s.out[i]);
	}
	for (i = 0; i < g->n_in; i++)
		free(s.input[i].t.data);
	free(s.input);
	free(s.out);
}

static inline void free_answer(const struct kerf_graph *g, struct kerf_tensor *out)
{
	uint32_t i;

	for (i = 0; i < g->n_out; i++)
		free(out[i].data);
}

/* The whole model as one step. */
static inline void run_whole(const struct rig *x, struct kerf_engine *engine, uint64_t seed,
			     struct kerf_tensor *out)
{
	struct kerf_plan plan;

	assert_int_equal(kerf_plan_whole(&x->p, 0, &plan, NULL), 0);
	run_plan(x->g, &plan, engine, seed, out);
	kerf_plan_finish(&plan);
}

static inline void assert_same_answer(const struct kerf_graph *g, const struct kerf_tensor *a,
				      const struct kerf_tensor *b)
{
	uint32_t i;

	for (i = 0; i < g->n_out; i++)
		if (memcmp(a[i].data, b[i].data, kerf_tensor_bytes(&a[i])))
			fail_msg("output '%s' has other bits than the whole run's",
				 g->value[g->out[i]].name);
}

#endif
