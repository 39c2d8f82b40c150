/* SPDX-License-Identifier: MIT */
/* Plans as pictures: the graph, coloured by who runs what, with what crosses between steps. */
#ifndef KERF_CLI_PLAN_DRAW_H
#define KERF_CLI_PLAN_DRAW_H

#include "plan/plan.h"

#include <stdio.h>

/* What is drawn; engine[i] is the name of plan's engine i. */
struct kerf_plan_picture {
	const struct kerf_graph *graph;
	const struct kerf_plan *plan;
	const char *const *engine;
	uint32_t n_engine;
	/* Found by kerf_plan_picture_make(). */
	uint32_t *first, *step;	     /* steps of operator o: step[first[o] .. first[o + 1]) */
	uint32_t *edge_first;	     /* plan's edges into step i; [n_step]: home's */
	uint32_t *read_first, *reader; /* kerf_graph_consumers() */
};

int kerf_plan_picture_make(struct kerf_plan_picture *p); /* or -ENOMEM */
void kerf_plan_picture_finish(struct kerf_plan_picture *p);

/* How value v comes to operator `to`, or home (UINT32_MAX). */
struct kerf_crossing {
	uint32_t pieces; /* 0: it stays within a step */
	double bytes;	 /* on wires */
	double s;	 /* from the first piece's leaving to the last one's arrival */
	enum kerf_codec codec; /* of any */
};
struct kerf_crossing kerf_plan_crossing(const struct kerf_plan_picture *p, int32_t v, uint32_t to);

void kerf_bytes_text(double bytes, char *text, size_t size); /* "4.1 KB" */

/* "4.1 KB 3.20 ms f16": what stands at a crossing; "" where nothing is sent. */
void kerf_crossing_text(const struct kerf_crossing *c, char *text, size_t size);

/* "56x56x64" */
void kerf_plan_dims_text(const struct kerf_value *v, char *text, size_t size);

const char *kerf_plan_colour(uint32_t engine);

/* 0, -ENOMEM, or -EIO if f says so. */
int kerf_plan_draw_svg(const struct kerf_plan_picture *p, FILE *f);
int kerf_plan_draw_dot(const struct kerf_plan_picture *p, FILE *f);

#endif
