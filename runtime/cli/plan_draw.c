/* SPDX-License-Identifier: MIT */
/* What both kinds of picture need, and Graphviz's. */
#include "cli/plan_draw.h"

#include "graph/op.h"
#include "plan/goal.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* They tell engines apart also to the colour-blind (Okabe and Ito, 2008). */
static const char *const colours[] = {"#0072b2", "#d55e00", "#009e73", "#cc79a7",
				      "#e69f00", "#56b4e9", "#8c6d31"};

const char *kerf_plan_colour(uint32_t engine)
{
	return engine < KERF_ARRAY_SIZE(colours) ? colours[engine] : "#999999";
}

int kerf_plan_picture_make(struct kerf_plan_picture *p)
{
	const struct kerf_plan *plan = p->plan;
	uint32_t n_op = p->graph->n_op, total = 0, i, k, at = 0;

	for (i = 0; i < plan->n_step; i++)
		total += plan->step[i].n_op;
	p->first = calloc((size_t)n_op + 2, sizeof(*p->first));
	p->step = malloc(((size_t)total + 1) * sizeof(*p->step));
	p->edge_first = calloc((size_t)plan->n_step + 1, sizeof(*p->edge_first));
	p->read_first = NULL;
	if (!p->first || !p->step || !p->edge_first ||
	    kerf_graph_consumers(p->graph, &p->read_first, &p->reader)) {
		kerf_plan_picture_finish(p);
		return -ENOMEM;
	}
	for (i = 0; i < plan->n_step; i++)
		for (k = 0; k < plan->step[i].n_op; k++)
			p->first[plan->step[i].op[k] + 2]++;
	for (i = 0; i < n_op; i++)
		p->first[i + 2] += p->first[i + 1];
	for (i = 0; i < plan->n_step; i++)
		for (k = 0; k < plan->step[i].n_op; k++)
			p->step[p->first[plan->step[i].op[k] + 1]++] = i;
	for (i = 0; i <= plan->n_step; i++) {
		p->edge_first[i] = at;
		while (at < plan->n_edge && plan->edge[at].to == i)
			at++;
	}
	return 0;
}

void kerf_plan_picture_finish(struct kerf_plan_picture *p)
{
	free(p->first);
	free(p->step);
	free(p->edge_first);
	free(p->read_first);
	p->first = p->step = p->edge_first = p->read_first = NULL;
}

/* Adds what of v comes to a step; last: the step after it, or the number of edges. */
static void add_pieces(const struct kerf_plan_picture *p, int32_t v, uint32_t from, uint32_t to,
		       struct kerf_crossing *c, double *begin, double *end)
{
	uint32_t i;

	for (i = from; i < to; i++) {
		const struct kerf_plan_edge *e = &p->plan->edge[i];

		if (e->value != v)
			continue;
		*begin = c->pieces ? KERF_MIN(*begin, e->start_s) : e->start_s;
		*end = c->pieces ? KERF_MAX(*end, e->end_s) : e->end_s;
		c->pieces++;
		c->bytes += e->bytes;
		if (e->codec != KERF_CODEC_NONE)
			c->codec = e->codec;
	}
}

struct kerf_crossing kerf_plan_crossing(const struct kerf_plan_picture *p, int32_t v, uint32_t to)
{
	struct kerf_crossing c = {0};
	double begin = 0, end = 0;
	uint32_t i;

	if (to == UINT32_MAX)
		add_pieces(p, v, p->edge_first[p->plan->n_step], p->plan->n_edge, &c, &begin, &end);
	for (i = to == UINT32_MAX ? 0 : p->first[to]; to != UINT32_MAX && i < p->first[to + 1]; i++)
		add_pieces(p, v, p->edge_first[p->step[i]], p->edge_first[p->step[i] + 1], &c,
			   &begin, &end);
	c.s = end - begin;
	return c;
}

void kerf_bytes_text(double bytes, char *text, size_t size)
{
	if (bytes < 999.5e3)
		snprintf(text, size, "%.3g KB", bytes / 1e3);
	else
		snprintf(text, size, "%.*f MB", bytes < 1e7 ? 2 : 1, bytes / 1e6);
}

void kerf_crossing_text(const struct kerf_crossing *c, char *text, size_t size)
{
	char bytes[32];

	text[0] = 0;
	kerf_bytes_text(c->bytes, bytes, sizeof(bytes));
	if (c->bytes > 0)
		snprintf(text, size, "%s %.3g ms%s%s", bytes, c->s * 1e3,
			 c->codec != KERF_CODEC_NONE ? " " : "",
			 c->codec != KERF_CODEC_NONE ? kerf_codec_name(c->codec) : "");
}

void kerf_plan_dims_text(const struct kerf_value *v, char *text, size_t size)
{
	size_t at = 0;
	int k;

	text[0] = 0;
	for (k = v->t.rank > 1 && v->t.dims[0] == 1; k < v->t.rank && at < size; k++)
		at += (size_t)snprintf(text + at, size - at, "%s%" PRId64, at ? "x" : "",
				       v->t.dims[k]);
}

/* --- Graphviz --- */

static void quoted(FILE *f, const char *text)
{
	for (; *text; text++) {
		if (*text == '"' || *text == '\\')
			fputc('\\', f);
		fputc((unsigned char)*text < 0x20 ? '?' : *text, f);
	}
}

static void dot_op(const struct kerf_plan_picture *p, uint32_t o, FILE *f)
{
	const struct kerf_op *op = &p->graph->op[o];
	uint32_t n = p->first[o + 1] - p->first[o], i;
	char dims[64];

	kerf_plan_dims_text(&p->graph->value[op->out[0]], dims, sizeof(dims));
	fprintf(f, "\to%u [label=\"%u %s\\n%s\"", o, o, op->def->name, dims);
	if (!n)
		fputs(", style=dashed, color=\"#999999\", fontcolor=\"#999999\"", f);
	for (i = 0; i < n; i++)
		fprintf(f, "%s%s50", i ? ":" : n > 1 ? ", style=striped, fillcolor=\"" : ", style=filled, fillcolor=\"",
			kerf_plan_colour(p->plan->step[p->step[p->first[o] + i]].engine));
	fprintf(f, "%s, tooltip=\"", n ? "\"" : "");
	quoted(f, op->name);
	fputs("\"];\n", f);
}

static void name_of(const struct kerf_plan_picture *p, int32_t v, char name[16])
{
	int32_t maker = p->graph->value[v].producer;

	snprintf(name, 16, "%c%d", maker < 0 ? 'v' : 'o', maker < 0 ? v : maker);
}

static void dot_edge(const struct kerf_plan_picture *p, int32_t v, const char *to, uint32_t reader,
		     FILE *f)
{
	struct kerf_crossing c = kerf_plan_crossing(p, v, reader);
	char text[64], from[16];

	name_of(p, v, from);
	kerf_crossing_text(&c, text, sizeof(text));
	fprintf(f, "\t%s -> %s", from, to);
	if (text[0])
		fprintf(f, " [label=\"%s\", penwidth=2]", text);
	else if (c.pieces && p->graph->value[v].producer >= 0 && reader != UINT32_MAX)
		fputs(" [style=dashed]", f);
	fputs(";\n", f);
}

int kerf_plan_draw_dot(const struct kerf_plan_picture *p, FILE *f)
{
	const struct kerf_graph *g = p->graph;
	char to[16];
	uint32_t i, j;

	fprintf(f, "digraph plan {\n\tlabel=\"%s: %.3f ms\";\n\tnode [shape=box, fontname=Helvetica, "
		   "fontsize=10, fontcolor=black];\n\tedge [fontname=Helvetica, fontsize=9];\n",
		p->plan->policy ? p->plan->policy : "", p->plan->total_s * 1e3);
	for (i = 0; i < p->n_engine; i++) {
		fprintf(f, "\te%u [shape=plaintext, style=filled, fillcolor=\"%s50\", label=\"", i,
			kerf_plan_colour(i));
		quoted(f, p->engine[i]);
		fputs("\"];\n", f);
	}
	for (i = 0; i < g->n_op; i++)
		dot_op(p, i, f);
	for (i = 0; i < g->n_in; i++) {
		fprintf(f, "\tv%d [shape=ellipse, fontcolor=black, label=\"", g->in[i]);
		quoted(f, g->value[g->in[i]].name);
		fputs("\"];\n", f);
	}
	for (i = 0; i < g->n_value; i++) {
		if (kerf_value_is_const(&g->value[i]))
			continue;
		for (j = p->read_first[i]; j < p->read_first[i + 1]; j++) {
			if (j > p->read_first[i] && p->reader[j] == p->reader[j - 1])
				continue;
			snprintf(to, sizeof(to), "o%u", p->reader[j]);
			dot_edge(p, (int32_t)i, to, p->reader[j], f);
		}
	}
	for (i = 0; i < g->n_out; i++) {
		fprintf(f, "\tout%u [shape=ellipse, fontcolor=black, label=\"", i);
		quoted(f, g->value[g->out[i]].name);
		fputs("\"];\n", f);
		snprintf(to, sizeof(to), "out%u", i);
		dot_edge(p, g->out[i], to, UINT32_MAX, f);
	}
	fputs("}\n", f);
	return ferror(f) ? -EIO : 0;
}
