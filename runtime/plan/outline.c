/* SPDX-License-Identifier: MIT */
#include "plan/outline.h"

#include <stdlib.h>

/* from[k] and to[k] of what is live: sums over differences. */
static void find_live(const struct kerf_graph *g, struct kerf_outline *x)
{
	uint32_t v, k, i;

	for (v = 0; v < g->n_value; v++) {
		uint32_t from, to = 0;

		if (kerf_value_is_const(&g->value[v]))
			continue;
		from = (uint32_t)(g->value[v].producer + 1);
		for (i = x->first[v]; i < x->first[v + 1]; i++)
			to = KERF_MAX(to, x->reader[i] + 1);
		if (to <= from)
			continue;
		x->n_live[from]++;
		x->n_live[to]--; /* wraps, and the sum wraps back */
		x->live_bytes[from] += x->value_bytes[v];
		x->live_bytes[to] -= x->value_bytes[v];
	}
	for (k = 1; k <= g->n_op; k++) {
		x->n_live[k] += x->n_live[k - 1];
		x->live_bytes[k] += x->live_bytes[k - 1];
	}
	for (k = 0; k <= g->n_op; k++)
		if (!k || k == g->n_op || x->n_live[k] == 1)
			x->narrow[x->n_narrow++] = k;
}

/* After find_live(). */
static void find_held(const struct kerf_graph *g, struct kerf_outline *x)
{
	double answers = 0;
	uint32_t i;
	int k;

	for (i = 0; i < g->n_op; i++) {
		x->op_live[i] = x->live_bytes[i] + answers;
		for (k = 0; k < g->op[i].n_out; k++) {
			int32_t v = g->op[i].out[k];

			if (v < 0)
				continue;
			x->op_live[i] += x->value_bytes[v];
			/* Those that somebody reads are in live_bytes until then. */
			if (x->is_out[v] && x->first[v] == x->first[v + 1])
				answers += x->value_bytes[v];
		}
	}
}

static void find_sizes(const struct kerf_graph *g, struct kerf_outline *x)
{
	uint32_t v, i;
	int k;

	for (i = 0; i < g->n_out; i++)
		x->is_out[g->out[i]] = true;
	for (v = 0; v < g->n_value; v++) {
		double bytes = (double)kerf_tensor_bytes(&g->value[v].t);

		if (!kerf_value_is_const(&g->value[v]))
			x->value_bytes[v] = bytes;
		else if (x->first[v] < x->first[v + 1])
			x->weight_bytes[x->reader[x->first[v]]] += bytes;
	}
	for (i = 0; i < g->n_op; i++) {
		for (k = 0; k < g->op[i].n_in; k++)
			x->op_bytes[i] += g->op[i].in[k] < 0 ? 0 : x->value_bytes[g->op[i].in[k]];
		for (k = 0; k < g->op[i].n_out; k++)
			x->op_bytes[i] += g->op[i].out[k] < 0 ? 0 : x->value_bytes[g->op[i].out[k]];
	}
}

int kerf_outline_make(const struct kerf_graph *g, struct kerf_outline **out)
{
	struct kerf_outline *x = calloc(1, sizeof(*x));

	*out = NULL;
	if (!x)
		return -ENOMEM;
	if (kerf_graph_consumers(g, &x->first, &x->reader))
		x->first = NULL;
	x->is_out = calloc(g->n_value + 1, sizeof(*x->is_out));
	x->value_bytes = calloc(g->n_value + 1, sizeof(*x->value_bytes));
	x->weight_bytes = calloc(g->n_op + 1, sizeof(*x->weight_bytes));
	x->op_bytes = calloc(g->n_op + 1, sizeof(*x->op_bytes));
	x->op_live = calloc(g->n_op + 1, sizeof(*x->op_live));
	x->n_live = calloc(g->n_op + 2, sizeof(*x->n_live));
	x->live_bytes = calloc(g->n_op + 2, sizeof(*x->live_bytes));
	x->narrow = calloc(g->n_op + 2, sizeof(*x->narrow));
	if (!x->first || !x->is_out || !x->value_bytes || !x->weight_bytes || !x->op_bytes ||
	    !x->op_live || !x->n_live || !x->live_bytes || !x->narrow) {
		kerf_outline_free(x);
		return -ENOMEM;
	}
	find_sizes(g, x);
	find_live(g, x);
	find_held(g, x);
	*out = x;
	return 0;
}

void kerf_outline_free(struct kerf_outline *x)
{
	if (!x)
		return;
	free(x->first);
	free(x->is_out);
	free(x->value_bytes);
	free(x->weight_bytes);
	free(x->op_bytes);
	free(x->op_live);
	free(x->n_live);
	free(x->live_bytes);
	free(x->narrow);
	free(x);
}
