/* SPDX-License-Identifier: MIT */
/*
 * Random small problems, and the best of all assignments by brute force: what tests of
 * policies are held to. Deterministic by the generator's seed.
 */
#ifndef KERF_TESTS_PLAN_RANDOM_H
#define KERF_TESTS_PLAN_RANDOM_H

#include "graph/op.h"
#include "plan/search.h"
#include "util/rng.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define RANDOM_OPS 160
#define RANDOM_NODES 3

struct random_problem {
	struct kerf_graph *g;
	struct kerf_outline *outline;
	struct kerf_plan_node node[RANDOM_NODES];
	struct kerf_link_model link[RANDOM_NODES * RANDOM_NODES];
	double op_s[RANDOM_OPS * 3];
	double apart_s[(RANDOM_OPS + 2) * 3];
	struct kerf_problem p;
};

struct random_kind {
	uint32_t min_ops, max_ops, engines;
	bool chain;
	bool powers; /* energy and memory are known */
};

static inline void random_problem_finish(struct random_problem *r)
{
	kerf_outline_free(r->outline);
	kerf_graph_unref(r->g);
}

static inline int32_t random_value(struct kerf_graph *g, struct kerf_rng *rng)
{
	/* From a few bytes to 400 KB, each size as likely as its half. */
	int64_t most = (int64_t)1 << (1 + kerf_rng_below(rng, 17));
	struct kerf_tensor t = {.dtype = kerf_rng_below(rng, 8) ? KERF_F32 : KERF_I64,
				.rank = 1,
				.dims = {1 + (int64_t)kerf_rng_below(rng, (uint64_t)most)}};

	return kerf_graph_add_value(g, NULL, &t);
}

/* One to three inputs an operator, near ones more often than far ones; one or two inputs. */
static inline void random_graph(struct random_problem *r, struct kerf_rng *rng,
				const struct random_kind *k)
{
	static const struct kerf_op_def any = {.name = "any", .max_in = -1, .max_out = -1};
	uint32_t n = k->min_ops + (uint32_t)kerf_rng_below(rng, k->max_ops - k->min_ops + 1);
	uint32_t n_given = 1 + !kerf_rng_below(rng, 4), n_made, i, j;
	int32_t made[RANDOM_OPS + 2];
	bool read[RANDOM_OPS + 2] = {false};

	r->g = kerf_graph_new("random");
	for (i = 0; i < n_given; i++) {
		made[i] = random_value(r->g, rng);
		kerf_graph_add_input(r->g, made[i]);
	}
	for (n_made = n_given, i = 0; i < n; i++, n_made++) {
		uint32_t n_in = 1 + (uint32_t)kerf_rng_below(rng, 3), far = k->chain ? 1 : n_made;
		int32_t in[3];

		for (j = 0; j < n_in; j++) {
			uint64_t back = kerf_rng_below(rng, far);

			if (kerf_rng_below(rng, 2))
				back = kerf_rng_below(rng, KERF_MIN(far, 2));
			in[j] = made[n_made - 1 - back];
			read[n_made - 1 - back] = true;
		}
		if (k->chain)
			n_in = 1;
		made[n_made] = random_value(r->g, rng);
		kerf_graph_add_op(r->g, &any, NULL, 1, (int)n_in, in, 1, &made[n_made], 0, NULL);
	}
	for (i = n_given; i < n_made; i++)
		if (!read[i] || !kerf_rng_below(rng, 12))
			kerf_graph_add_output(r->g, made[i]);
}

static inline void random_links(struct random_problem *r, struct kerf_rng *rng, uint32_t n_node)
{
	uint32_t a, b;

	for (a = 0; a < n_node; a++)
		for (b = 0; b < n_node; b++) {
			struct kerf_link_model *l = &r->link[a * n_node + b];

			if (a == b) {
				l->rate_bytes_s = INFINITY;
				continue;
			}
			if (!kerf_rng_below(rng, 6))
				continue; /* no path */
			l->rate_bytes_s = 1e5 * pow(10, 3 * (double)kerf_rng_float(rng));
			l->latency_s =
				kerf_rng_below(rng, 4) ? 1e-3 * (double)kerf_rng_float(rng) : 0;
			if (!kerf_rng_below(rng, 6)) {
				l->window_bytes = 14480;
				l->round_s = 5e-3 * (double)kerf_rng_float(rng);
			}
		}
}

static inline void random_powers(struct random_problem *r, struct kerf_rng *rng, uint32_t n_node)
{
	uint32_t i;

	for (i = 0; i < n_node; i++) {
		r->node[i].idle_w = 3 * (double)kerf_rng_float(rng);
		r->node[i].send_j_byte = 1e-7 * (double)kerf_rng_float(rng);
		r->node[i].receive_j_byte = 1e-7 * (double)kerf_rng_float(rng);
		r->node[i].codec_byte_s[KERF_CODEC_F16] = 1e-9 * (double)kerf_rng_float(rng);
		r->node[i].codec_byte_s[KERF_CODEC_INT8] = 2e-9 * (double)kerf_rng_float(rng);
	}
	for (i = 0; i < r->p.n_engine; i++)
		r->p.engine[i].active_w = 10 * (double)kerf_rng_float(rng);
	r->p.node = r->node;
}

/*
 * Engines: home has at least one; the others are where they are, two of one node or three too.
 * One operator in twelve cannot run on an engine; some that can run nowhere remain.
 */
static inline void random_problem(struct random_problem *r, struct kerf_rng *rng,
				  const struct random_kind *k)
{
	static const char *const names[] = {"one", "two", "three"};
	uint32_t n_node = k->engines > 1 ? 1 + (uint32_t)kerf_rng_below(rng, RANDOM_NODES) : 1, e,
		 o;
	double speed[3], job = kerf_rng_below(rng, 3) ? 1e-3 * (double)kerf_rng_float(rng) : 0;

	memset(r, 0, sizeof(*r));
	random_graph(r, rng, k);
	random_links(r, rng, n_node);
	if (kerf_outline_make(r->g, &r->outline))
		abort();
	r->p = (struct kerf_problem){.graph = r->g,
				     .outline = r->outline,
				     .n_engine = k->engines,
				     .n_node = n_node,
				     .link = r->link,
				     .op_s = r->op_s};
	for (e = 0; e < k->engines; e++) {
		r->p.engine[e].name = names[e];
		r->p.engine[e].node = e ? (uint32_t)kerf_rng_below(rng, n_node) : 0;
		r->p.engine[e].job_s = job * (double)kerf_rng_float(rng);
		speed[e] = pow(10, (double)kerf_rng_float(rng));
	}
	for (o = 0; o < r->g->n_op; o++) {
		double s = 1e-2 * (double)kerf_rng_float(rng);

		for (e = 0; e < k->engines; e++)
			r->op_s[o * k->engines + e] =
				!kerf_rng_below(rng, 12)
					? INFINITY
					: s / speed[e] * (0.5 + (double)kerf_rng_float(rng));
	}
	if (!kerf_rng_below(rng, 4)) {
		for (o = 0; o < r->g->n_value * k->engines; o++)
			r->apart_s[o] = 1e-4 * (double)kerf_rng_float(rng);
		r->p.apart_s = r->apart_s;
	}
	if (k->powers)
		random_powers(r, rng, n_node);
}

/* The least cost of all assignments that keep the goal's limits; INFINITY: there is none. */
static inline double brute_force(const struct kerf_problem *p, struct kerf_search *x)
{
	uint32_t n = p->graph->n_op, assign[RANDOM_OPS] = {0}, o = 0;
	double best = INFINITY;

	while (o < n) {
		struct kerf_search_price price;
		bool kept = true;

		for (o = 0; o < n && o < p->goal.keep; o++)
			kept &= p->engine[assign[o]].node == p->home;
		kerf_search_price(x, assign, NULL, -1, n, &price);
		if (kept && price.over <= 0)
			best = fmin(best, price.cost);
		for (o = 0; o < n && ++assign[o] == p->n_engine; o++)
			assign[o] = 0;
	}
	return best;
}

#endif
