/* SPDX-License-Identifier: MIT */
#include "util/mincut.h"

#include <stdlib.h>
#include <string.h>

#define NONE UINT32_MAX
#define STEPS_AN_EDGE 256 /* layouts take at most 12, measured on models and long networks */
#define MIN_STEPS 10000000

struct kerf_cut_edge {
	uint32_t from, to;
	int64_t left;
};

struct flow {
	const struct kerf_cut *c;
	struct kerf_cut_edge *edge;
	uint32_t *first, *list; /* edges that leave node n: list[first[n] .. first[n + 1]) */
	uint32_t *at;           /* the next of them to try */
	uint32_t *level, *queue, *path;
	int64_t steps;
};

int kerf_cut_edge(struct kerf_cut *c, uint32_t from, uint32_t to, int64_t cost)
{
	if (from == to || cost <= 0)
		return 0;
	if (c->n_edge + 2 > c->cap_edge) {
		uint32_t cap = c->cap_edge ? c->cap_edge * 2 : 256;
		void *p = cap > c->cap_edge ? reallocarray(c->edge, cap, sizeof(*c->edge)) : NULL;

		if (!p)
			return -ENOMEM;
		c->edge = p;
		c->cap_edge = cap;
	}
	c->edge[c->n_edge++] = (struct kerf_cut_edge){from, to, cost};
	c->edge[c->n_edge++] = (struct kerf_cut_edge){to, from, 0};
	return 0;
}

static int init(struct flow *f, const struct kerf_cut *c)
{
	uint32_t n = c->n_node, m = c->n_edge, i;

	f->c = c;
	f->edge = malloc(((size_t)m + 1) * sizeof(*f->edge));
	f->first = calloc((size_t)n + 2, sizeof(*f->first));
	f->list = malloc(((size_t)m + 1) * sizeof(*f->list));
	f->at = malloc((size_t)n * sizeof(*f->at));
	f->level = malloc((size_t)n * sizeof(*f->level));
	f->queue = malloc((size_t)n * sizeof(*f->queue));
	f->path = malloc((size_t)n * sizeof(*f->path));
	if (!f->edge || !f->first || !f->list || !f->at || !f->level || !f->queue || !f->path)
		return -ENOMEM;
	if (m)
		memcpy(f->edge, c->edge, m * sizeof(*f->edge));
	for (i = 0; i < m; i++)
		f->first[f->edge[i].from + 1]++;
	for (i = 0; i < n; i++)
		f->first[i + 1] += f->first[i];
	memcpy(f->at, f->first, n * sizeof(*f->at));
	for (i = 0; i < m; i++)
		f->list[f->at[f->edge[i].from]++] = i;
	f->steps = KERF_MAX((int64_t)m * STEPS_AN_EDGE, MIN_STEPS);
	return 0;
}

static void finish(struct flow *f)
{
	free(f->edge);
	free(f->first);
	free(f->list);
	free(f->at);
	free(f->level);
	free(f->queue);
	free(f->path);
}

/*
 * Distances from a terminal over edges with capacity left (towards it, if reverse);
 * NONE where there is no way.
 */
static void measure(struct flow *f, uint32_t root, bool reverse)
{
	uint32_t head = 0, tail = 0, i;

	memset(f->level, 0xff, f->c->n_node * sizeof(*f->level));
	f->level[root] = 0;
	f->queue[tail++] = root;
	while (head < tail) {
		uint32_t u = f->queue[head++];

		for (i = f->first[u]; i < f->first[u + 1]; i++) {
			uint32_t e = f->list[i], v = f->edge[e].to;

			if (f->level[v] != NONE || !f->edge[reverse ? e ^ 1 : e].left)
				continue;
			f->level[v] = f->level[u] + 1;
			f->queue[tail++] = v;
		}
		f->steps -= f->first[u + 1] - f->first[u] + 1;
	}
}

/* Pushes along the path of n edges what fits; the length up to the first full edge. */
static uint32_t push(struct flow *f, uint32_t n)
{
	int64_t least = INT64_MAX;
	uint32_t i, full = 0;

	for (i = 0; i < n; i++)
		least = KERF_MIN(least, f->edge[f->path[i]].left);
	for (i = n; i-- > 0;) {
		f->edge[f->path[i]].left -= least;
		f->edge[f->path[i] ^ 1].left += least;
		if (!f->edge[f->path[i]].left)
			full = i;
	}
	f->steps -= n;
	return full;
}

/* A blocking flow over the levels: depth first, no edge tried twice. */
static void block(struct flow *f)
{
	uint32_t n = 0, u = KERF_CUT_SOURCE;

	memcpy(f->at, f->first, f->c->n_node * sizeof(*f->at));
	for (;;) {
		if (u == KERF_CUT_SINK) {
			n = push(f, n);
			u = f->edge[f->path[n]].from;
		}
		for (; f->at[u] < f->first[u + 1]; f->at[u]++) {
			const struct kerf_cut_edge *e = &f->edge[f->list[f->at[u]]];

			f->steps--;
			if (e->left && f->level[e->to] == f->level[u] + 1)
				break;
		}
		if (f->at[u] < f->first[u + 1]) {
			f->path[n] = f->list[f->at[u]];
			u = f->edge[f->path[n++]].to;
		} else if (n) {
			u = f->edge[f->path[--n]].from;
			f->at[u]++;
		} else {
			return;
		}
		if (f->steps < 0)
			return;
	}
}

int kerf_cut_solve(const struct kerf_cut *c, bool *side)
{
	struct flow f = {0};
	uint32_t i;
	int r = init(&f, c);

	while (!r) {
		measure(&f, KERF_CUT_SOURCE, false);
		if (f.level[KERF_CUT_SINK] == NONE)
			break;
		block(&f);
		if (f.steps < 0)
			r = -E2BIG;
	}
	if (!r) {
		measure(&f, KERF_CUT_SINK, true);
		for (i = 0; i < c->n_node; i++)
			side[i] = f.level[i] == NONE;
	}
	finish(&f);
	return r;
}

void kerf_cut_finish(struct kerf_cut *c)
{
	free(c->edge);
	c->edge = NULL;
	c->n_edge = c->cap_edge = 0;
}
