/* SPDX-License-Identifier: MIT */
/*
 * Plans as files. What is accepted computes the model: it can be priced, and survives being written
 * and read again.
 */
#include "fuzz/fuzz.h"

#include "ops/random_graph.h"
#include "plan/bands.h"
#include "plan/plan_check.h"
#include "plan/plan_json.h"

#include <json-c/json.h>
#include <stdlib.h>
#include <string.h>

#define ENGINES 3

static const char *const names[ENGINES] = {"a", "b", "c"};

static struct setup {
	struct kerf_graph *g;
	struct kerf_outline *outline;
	struct kerf_link_model link[ENGINES * ENGINES];
	double *op_s;
	struct kerf_problem p;
} *setup;

static struct setup *make(void)
{
	struct setup *s = calloc(1, sizeof(*s));
	uint32_t i;

	s->g = rg_make(5, 10, NULL);
	if (!s->g || kerf_outline_make(s->g, &s->outline))
		abort();
	s->op_s = calloc((size_t)s->g->n_op * ENGINES, sizeof(*s->op_s));
	s->p = (struct kerf_problem){.graph = s->g,
				     .outline = s->outline,
				     .n_engine = ENGINES,
				     .n_node = ENGINES,
				     .link = s->link,
				     .op_s = s->op_s};
	for (i = 0; i < ENGINES; i++)
		s->p.engine[i] = (struct kerf_plan_engine){.name = names[i], .node = i};
	for (i = 0; i < ENGINES * ENGINES; i++)
		s->link[i].rate_bytes_s = 1e6;
	return s;
}

static struct setup *get(void)
{
	if (!setup)
		setup = make();
	return setup;
}

static struct json_object *write_plan(const struct setup *s, const struct kerf_plan *plan)
{
	struct json_object *o = kerf_plan_to_json(s->g, plan, names);

	if (!o)
		abort();
	return o;
}

static void add_plan(const struct setup *s, struct kerf_plan *plan,
		     void (*add)(const void *data, size_t size))
{
	struct json_object *o = write_plan(s, plan);
	const char *text = json_object_to_json_string_ext(o, JSON_C_TO_STRING_PLAIN);

	add(text, strlen(text));
	json_object_put(o);
	kerf_plan_finish(plan);
}

void kerf_fuzz_seeds(void (*add)(const void *data, size_t size))
{
	const struct setup *s = get();
	const uint32_t engine[2] = {1, 2};
	const double weight[2] = {1, 2};
	uint32_t assign[64] = {0}, i;
	struct kerf_bands b = {0};
	struct kerf_rows part[2];
	struct kerf_tile room;
	struct kerf_plan plan;
	int r = kerf_tile_open(s->g, &room);

	for (i = 0; i < s->g->n_op && i < 64; i++)
		assign[i] = i / 3 % ENGINES;
	if (kerf_plan_from_assignment(&s->p, assign, NULL, &plan, NULL))
		abort();
	add_plan(s, &plan, add);
	for (i = 0; i < s->g->n_op && !r; i++) {
		int64_t rows = kerf_bands_rows(&s->p, &room, i, i + 1);

		kerf_bands_split(rows, 1, 2, weight, part);
		r = rows ? kerf_bands_tiled(&b, i, i + 1, 0, 2, engine, part)
			 : kerf_bands_whole(&b, i, i + 1, 0);
	}
	if (r || kerf_bands_build(&s->p, &b, &plan, NULL))
		abort();
	add_plan(s, &plan, add);
	kerf_bands_finish(&b);
	kerf_tile_finish(&room);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const struct setup *s = get();
	struct kerf_plan plan, again;
	struct kerf_err err = {""};
	struct json_object *o;
	const char *text;

	if (kerf_plan_from_json(s->g, (const char *)data, size, names, ENGINES, &plan, &err)) {
		if (!err.msg[0])
			abort();
		return 0;
	}
	if (kerf_plan_check(s->g, &plan, NULL))
		abort();
	kerf_plan_price(&s->p, &plan);
	o = write_plan(s, &plan);
	text = json_object_to_json_string_ext(o, JSON_C_TO_STRING_PLAIN);
	if (kerf_plan_from_json(s->g, text, strlen(text), names, ENGINES, &again, NULL))
		abort();
	if (again.n_step != plan.n_step || again.n_edge != plan.n_edge ||
	    again.total_s != plan.total_s)
		abort();
	kerf_plan_finish(&again);
	kerf_plan_finish(&plan);
	json_object_put(o);
	return 0;
}
