/* SPDX-License-Identifier: MIT */
/*
 * What a tile costs. Short runs of consecutive operators are made into tiles of several heights
 * and run in turns with the whole run, so that a machine whose speed drifts drifts for all of
 * them; of each operator the least time of a height counts, over the least of the whole. Groups
 * are short because a fused tile's halo makes it high: the shares have to differ to fit a line.
 * Where rows cannot be cut (a product of [N,C]), an operator is measured by its output channels.
 */
#include "exec/measure.h"
#include "graph/slice.h"
#include "util/clock.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define MAX_GROUP 6
#define N_HEIGHT 4 /* whole, 1/2, 1/4, 1/8 */
#define MIN_ROUNDS 2
#define MAX_ROUNDS 20
/* A clock that is read twice around an operator says little of one that is shorter. */
#define SHORT_NS 1500

struct height {
	struct kerf_graph *slice;
	struct kerf_program *program;
	struct kerf_io io;
	uint64_t *ns, *least; /* per operator of slice */
};

struct group {
	struct kerf_engine *e;
	struct kerf_graph *g;
	uint32_t op[MAX_GROUP], n_op;
	bool by_channels;
	uint32_t n_height;
	struct height height[N_HEIGHT];
};

/* Rows, or channels, of what the operator makes; 0 if it has none. */
static int64_t extent_of(const struct group *x, const struct kerf_graph *g, uint32_t op)
{
	int32_t v = g->op[op].n_out ? g->op[op].out[0] : -1;
	const struct kerf_tensor *t = v < 0 ? NULL : &g->value[v].t;

	if (x->by_channels)
		return t && t->rank > 1 ? t->dims[t->rank - 1] : 0;
	return t && g->value[v].nhwc && t->rank > 2 ? t->dims[1] : 0;
}

static int64_t extent(const struct group *x)
{
	return extent_of(x, x->g, x->op[x->n_op - 1]);
}

/* The first n rows or channels; all of them are no tile. */
static int make_slice(const struct group *x, int64_t n, struct kerf_graph **slice)
{
	struct kerf_slice_spec spec = {.n_op = x->n_op, .op = x->op};

	if (n < extent(x))
		*(x->by_channels ? &spec.channels : &spec.rows) = (struct kerf_rows){0, n};
	return kerf_slice_make(x->g, &spec, slice, NULL);
}

static bool whole_runs(const struct group *x)
{
	uint32_t i;

	for (i = 0; i < x->n_op; i++)
		if (!x->e->ops->supports(x->e, x->g, &x->g->op[x->op[i]]))
			return false;
	return true;
}

/* The longest run of at most n operators from first on that can be half as high, or wide. */
static bool find_run(struct group *x, uint32_t first, uint32_t n)
{
	uint32_t i;

	for (n = KERF_MIN(n, x->g->n_op - first); n; n--) {
		int64_t rows = extent_of(x, x->g, first + n - 1);
		struct kerf_graph *slice;

		x->n_op = n;
		for (i = 0; i < n; i++)
			x->op[i] = first + i;
		if (rows < 2 || !whole_runs(x) || make_slice(x, rows / 2, &slice))
			continue;
		kerf_graph_unref(slice);
		return true;
	}
	return false;
}

static bool find_group(struct group *x, uint32_t first)
{
	x->by_channels = false;
	if (find_run(x, first, MAX_GROUP))
		return true;
	x->by_channels = true;
	return find_run(x, first, 1);
}

static void finish_height(struct group *x, struct height *h)
{
	if (h->program)
		x->e->ops->release(h->program);
	kerf_io_finish(&h->io);
	kerf_graph_unref(h->slice);
	free(h->ns);
	memset(h, 0, sizeof(*h));
}

static int make_height(struct group *x, struct height *h, int64_t rows, struct kerf_err *err)
{
	int r = make_slice(x, rows, &h->slice);

	if (!r)
		r = x->e->ops->prepare(x->e, h->slice, &h->program, err);
	if (!r)
		r = kerf_io_make_on(x->e, h->slice, 1, &h->io);
	if (r)
		return r;
	h->ns = malloc(2 * (h->slice->n_op + 1) * sizeof(*h->ns));
	if (!h->ns)
		return -ENOMEM;
	h->least = h->ns + h->slice->n_op + 1;
	memset(h->least, 0xff, (h->slice->n_op + 1) * sizeof(*h->least));
	/* Warm up. */
	return x->e->ops->profile(h->program, h->io.in, h->io.out, h->ns);
}

static int make_heights(struct group *x, struct kerf_err *err)
{
	int64_t rows = extent(x), h;
	int r = 0, k;

	for (k = 0; k < N_HEIGHT && !r && (h = rows >> k) > 0; k++) {
		x->n_height++;
		r = make_height(x, &x->height[k], h, err);
	}
	return r;
}

static int run_heights(struct group *x, double seconds)
{
	uint64_t end = kerf_now_ns() + (uint64_t)(seconds * 1e9);
	uint32_t round, k, i;
	int r = 0;

	for (round = 0; !r && round < MAX_ROUNDS && (round < MIN_ROUNDS || kerf_now_ns() < end);
	     round++)
		for (k = 0; k < x->n_height && !r; k++) {
			struct height *h = &x->height[k];

			r = x->e->ops->profile(h->program, h->io.in, h->io.out, h->ns);
			for (i = 0; i < h->slice->n_op; i++)
				h->least[i] = KERF_MIN(h->least[i], h->ns[i]);
		}
	return r;
}

/* The operator of h's slice that does op's work, and the share of op's rows that it makes. */
static bool find_share(const struct group *x, const struct height *h, uint32_t op, double *share,
		       uint32_t *at)
{
	uint32_t i;

	for (i = 0; i < h->slice->n_op; i++) {
		if (h->slice->op[i].origin != x->g->op[op].origin ||
		    strcmp(h->slice->op[i].def->name, x->g->op[op].def->name))
			continue;
		*share = (double)extent_of(x, h->slice, i) / (double)extent_of(x, x->g, op);
		*at = i;
		return true;
	}
	return false;
}

static void fit(const struct group *x, struct kerf_profile *p)
{
	double share[N_HEIGHT], time[N_HEIGHT], s;
	uint32_t i, k, n, at;

	for (i = 0; i < x->n_op; i++) {
		double whole = 0;

		for (n = 0, k = 0; k < x->n_height && extent_of(x, x->g, x->op[i]); k++) {
			if (!find_share(x, &x->height[k], x->op[i], &s, &at))
				continue;
			if (!k)
				whole = (double)x->height[k].least[at];
			else if (whole >= SHORT_NS && s < 1) {
				share[n] = s;
				time[n++] = (double)x->height[k].least[at] / whole;
			}
		}
		p->op_fixed_s[x->op[i]] =
			whole >= SHORT_NS
				? p->op_s[x->op[i]] * kerf_profile_fixed_share(share, time, n)
				: p->op_s[x->op[i]];
	}
}

int kerf_measure_tiles(struct kerf_engine *e, struct kerf_graph *g, double seconds,
		       struct kerf_profile *p, struct kerf_err *err)
{
	struct group x = {.e = e, .g = g};
	double *fixed = calloc(g->n_op + 1, sizeof(*fixed));
	uint32_t first, k;
	int r = 0;

	if (!fixed)
		return -ENOMEM;
	free(p->op_fixed_s);
	p->op_fixed_s = fixed;
	for (first = 0; first < g->n_op && !r; first += x.n_op) {
		if (!find_group(&x, first)) {
			x.n_op = 1;
			continue;
		}
		r = make_heights(&x, err);
		if (!r)
			r = run_heights(&x, p->run_s > 0 ? seconds * p->op_s[first] / p->run_s : 0);
		if (!r)
			fit(&x, p);
		for (k = 0; k < x.n_height; k++)
			finish_height(&x, &x.height[k]);
		x.n_height = 0;
	}
	return r;
}
