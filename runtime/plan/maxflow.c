/* SPDX-License-Identifier: MIT */
#include "plan/maxflow.h"

#include <stdlib.h>
#include <string.h>

#define NONE UINT32_MAX

/* Edges stand in pairs: e and e ^ 1 are each other's reverse. */
struct edge {
	uint32_t to, next;
	double left;
};

struct kerf_flow {
	uint32_t n_vertex, n_edge, cap_edge;
	struct edge *edge;
	uint32_t *head, *level, *iter, *queue;
	double eps; /* below this a residual is rounding, not capacity */
};

int kerf_flow_new(uint32_t n_vertex, struct kerf_flow **out)
{
	struct kerf_flow *f = calloc(1, sizeof(*f));

	if (!f)
		return -ENOMEM;
	f->n_vertex = n_vertex;
	f->head = malloc(4 * ((size_t)n_vertex + 1) * sizeof(*f->head));
	if (!f->head) {
		free(f);
		return -ENOMEM;
	}
	f->level = f->head + n_vertex;
	f->iter = f->level + n_vertex;
	f->queue = f->iter + n_vertex;
	memset(f->head, 0xff, n_vertex * sizeof(*f->head));
	*out = f;
	return 0;
}

void kerf_flow_free(struct kerf_flow *f)
{
	if (!f)
		return;
	free(f->edge);
	free(f->head);
	free(f);
}

static void put_edge(struct kerf_flow *f, uint32_t from, uint32_t to, double capacity)
{
	f->edge[f->n_edge] = (struct edge){to, f->head[from], capacity};
	f->head[from] = f->n_edge++;
}

int kerf_flow_add(struct kerf_flow *f, uint32_t from, uint32_t to, double capacity)
{
	if (f->n_edge + 2 > f->cap_edge) {
		uint32_t cap = f->cap_edge ? 2 * f->cap_edge : 256;
		struct edge *e = reallocarray(f->edge, cap, sizeof(*e));

		if (!e)
			return -ENOMEM;
		f->edge = e;
		f->cap_edge = cap;
	}
	put_edge(f, from, to, capacity);
	put_edge(f, to, from, 0);
	if (capacity < KERF_FLOW_INF && capacity * 1e-12 > f->eps)
		f->eps = capacity * 1e-12;
	return 0;
}

/* Breadth first: level[] from s; true if t is reached. */
static bool find_levels(struct kerf_flow *f, uint32_t s, uint32_t t)
{
	uint32_t n = 0, i, e;

	memset(f->level, 0xff, f->n_vertex * sizeof(*f->level));
	f->level[s] = 0;
	f->queue[n++] = s;
	for (i = 0; i < n; i++)
		for (e = f->head[f->queue[i]]; e != NONE; e = f->edge[e].next)
			if (f->edge[e].left > f->eps && f->level[f->edge[e].to] == NONE) {
				f->level[f->edge[e].to] = f->level[f->queue[i]] + 1;
				f->queue[n++] = f->edge[e].to;
			}
	return f->level[t] != NONE;
}

/*
 * One augmenting path along the levels, by depth first search without recursion
 * (graphs may be 100,000 vertices deep); queue[] holds the path's edges. 0: none left.
 */
static double augment(struct kerf_flow *f, uint32_t s, uint32_t t)
{
	uint32_t depth = 0, v = s, i;
	double flow = KERF_FLOW_INF;

	while (v != t) {
		uint32_t e = f->iter[v];

		while (e != NONE && !(f->edge[e].left > f->eps &&
				      f->level[f->edge[e].to] == f->level[v] + 1))
			e = f->edge[e].next;
		f->iter[v] = e;
		if (e != NONE) {
			f->queue[depth++] = e;
			v = f->edge[e].to;
			continue;
		}
		if (!depth)
			return 0;
		v = f->edge[f->queue[--depth] ^ 1].to;
		f->iter[v] = f->edge[f->iter[v]].next;
	}
	for (i = 0; i < depth; i++)
		flow = KERF_MIN(flow, f->edge[f->queue[i]].left);
	for (i = 0; i < depth; i++) {
		f->edge[f->queue[i]].left -= flow;
		f->edge[f->queue[i] ^ 1].left += flow;
	}
	return flow;
}

int kerf_flow_solve(struct kerf_flow *f, uint32_t s, uint32_t t, double *value, bool *source_side)
{
	uint32_t i;
	double got;

	*value = 0;
	while (find_levels(f, s, t)) {
		memcpy(f->iter, f->head, f->n_vertex * sizeof(*f->iter));
		while ((got = augment(f, s, t)) > 0)
			*value += got;
	}
	for (i = 0; i < f->n_vertex; i++)
		source_side[i] = f->level[i] != NONE;
	return 0;
}
