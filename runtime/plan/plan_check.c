/* SPDX-License-Identifier: MIT */
#include "plan/plan_check.h"

#include "graph/slice.h"

#include <stdlib.h>
#include <string.h>

/* Pieces of one value into one step that differ in rows and in channels: a grid that large. */
#define MAX_GRID 1024

/* Rows and channels of a value, or of a piece of one: never empty. */
struct area {
	struct kerf_rows rows, channels;
};

struct piece {
	int32_t value;
	struct area area;
};

struct check {
	struct kerf_graph *g;
	const struct kerf_plan *plan;
	bool *marks;	    /* per operator */
	uint32_t *stamp;    /* per value */
	struct piece *need; /* inputs of one step, by value */
	uint32_t n_need;
	struct piece *piece; /* that come to it, by value, rows, channels */
	struct kerf_err *err;
};

static const char *name_of(const struct check *c, int32_t v)
{
	return c->g->value[v].name;
}

/* --- areas --- */

static bool has_rows(const struct kerf_value *v)
{
	return v->nhwc && v->t.rank > 2;
}

static bool has_channels(const struct kerf_value *v)
{
	return v->nhwc || v->t.rank == 2;
}

static struct area whole(const struct kerf_value *v)
{
	int64_t h = has_rows(v) ? v->t.dims[1] : 1,
		n = has_channels(v) ? v->t.dims[v->t.rank - 1] : 1;

	/* Of an empty value too there is one piece. */
	return (struct area){{0, KERF_MAX(h, 1)}, {0, KERF_MAX(n, 1)}};
}

static bool within(struct kerf_rows a, struct kerf_rows b)
{
	return a.begin >= b.begin && a.begin < a.end && a.end <= b.end;
}

/* {0, 0} for all. */
static int area_of(const struct check *c, const struct kerf_plan_edge *e, struct area *area)
{
	const struct kerf_value *v = &c->g->value[e->value];
	bool rows = e->rows.begin || e->rows.end, channels = e->channels.begin || e->channels.end;

	*area = whole(v);
	if ((rows && !(has_rows(v) && within(e->rows, area->rows))) ||
	    (channels && !(has_channels(v) && within(e->channels, area->channels))))
		return kerf_fail(c->err, -EINVAL,
				 "plan: rows %lld-%lld and channels %lld-%lld of '%s', which has no such",
				 (long long)e->rows.begin, (long long)e->rows.end,
				 (long long)e->channels.begin, (long long)e->channels.end,
				 v->name);
	if (rows)
		area->rows = e->rows;
	if (channels)
		area->channels = e->channels;
	if (v->bounded && (rows || channels || e->codec != KERF_CODEC_NONE))
		return kerf_fail(c->err, -EINVAL,
				 "plan: '%s' is known in size only at run time, and goes in pieces or a codec",
				 v->name);
	return 0;
}

static int by_area(const void *a, const void *b)
{
	const struct piece *x = a, *y = b;

	if (x->value != y->value)
		return x->value < y->value ? -1 : 1;
	if (x->area.rows.begin != y->area.rows.begin)
		return x->area.rows.begin < y->area.rows.begin ? -1 : 1;
	return (x->area.channels.begin > y->area.channels.begin) -
	       (x->area.channels.begin < y->area.channels.begin);
}

static bool meet(struct kerf_rows a, struct kerf_rows b)
{
	return a.begin < b.end && b.begin < a.end;
}

static bool same(struct kerf_rows a, struct kerf_rows b)
{
	return a.begin == b.begin && a.end == b.end;
}

/*
 * Whether n pieces, sorted, are need: none twice, none missing. In bands of all channels or
 * stripes of all rows each begins where the one before it ended; in a grid none meets another
 * and their sizes add up.
 */
static bool make_up(const struct piece *p, uint32_t n, const struct area *need)
{
	int64_t rows = need->rows.begin, channels = need->channels.begin;
	double sum = 0;
	bool bands = true, stripes = true;
	uint32_t i, j;

	for (i = 0; i < n; i++) {
		const struct area *a = &p[i].area;

		bands = bands && same(a->channels, need->channels) && a->rows.begin == rows;
		stripes = stripes && same(a->rows, need->rows) && a->channels.begin == channels;
		rows = a->rows.end;
		channels = a->channels.end;
		if (!within(a->rows, need->rows) || !within(a->channels, need->channels))
			return false;
		sum += (double)(a->rows.end - a->rows.begin) *
		       (double)(a->channels.end - a->channels.begin);
	}
	if (bands || stripes)
		return n && (bands ? rows == need->rows.end : channels == need->channels.end);
	if (n > MAX_GRID || sum != (double)(need->rows.end - need->rows.begin) *
					   (double)(need->channels.end - need->channels.begin))
		return false;
	for (i = 0; i < n; i++)
		for (j = i + 1; j < n && p[j].area.rows.begin < p[i].area.rows.end; j++)
			if (meet(p[i].area.channels, p[j].area.channels))
				return false;
	return true;
}

/* --- steps --- */

static bool runs(const struct kerf_plan_step *s, int32_t op)
{
	uint32_t a = 0, b = s->n_op;

	while (op >= 0 && a < b) {
		uint32_t m = (a + b) / 2;

		if (s->op[m] == (uint32_t)op)
			return true;
		if (s->op[m] < (uint32_t)op)
			a = m + 1;
		else
			b = m;
	}
	return false;
}

static bool limited(const struct kerf_plan_step *s)
{
	return s->rows.begin || s->rows.end || s->channels.begin || s->channels.end;
}

/* What a tile reads: its slice tells. */
static int tile_needs(struct check *c, const struct kerf_plan_step *s, uint32_t at)
{
	struct kerf_slice_spec spec = {s->n_op, s->op, s->rows, s->channels, s->padded};
	struct kerf_graph *slice;
	uint32_t i;
	int r = kerf_slice_make(c->g, &spec, &slice, c->err);

	if (r) {
		kerf_err_prefix(c->err, "plan: step %u", at);
		return r == -ENOMEM ? r : -EINVAL;
	}
	for (i = 0; i < slice->n_in; i++) {
		const struct kerf_value *in = &slice->value[slice->in[i]];
		const struct kerf_value *v = &c->g->value[in->parent];
		struct piece *p = &c->need[c->n_need++];

		*p = (struct piece){in->parent, whole(v)};
		if (has_rows(v) && in->whole_rows)
			p->area.rows = kerf_slice_rows(slice, slice->in[i]);
		if (has_channels(v) && in->t.dims[v->t.rank - 1] < v->t.dims[v->t.rank - 1])
			p->area.channels = s->channels;
	}
	kerf_graph_unref(slice);
	return 0;
}

static void whole_needs(struct check *c, const struct kerf_plan_step *s, uint32_t stamp)
{
	uint32_t i;
	int k;

	for (i = 0; i < s->n_op; i++) {
		const struct kerf_op *op = &c->g->op[s->op[i]];

		for (k = 0; k < op->n_in; k++) {
			int32_t v = op->in[k];

			if (v < 0 || c->stamp[v] == stamp || kerf_value_is_const(&c->g->value[v]) ||
			    runs(s, c->g->value[v].producer))
				continue;
			c->stamp[v] = stamp;
			c->need[c->n_need++] = (struct piece){v, whole(&c->g->value[v])};
		}
	}
}

static int check_step(struct check *c, uint32_t at)
{
	const struct kerf_plan_step *s = &c->plan->step[at];
	bool convex;
	uint32_t i;

	for (i = 0; i < s->n_op; i++)
		if (s->op[i] >= c->g->n_op || (i && s->op[i] <= s->op[i - 1]))
			return kerf_fail(c->err, -EINVAL,
					 "plan: step %u: operator %u, expected ascending ones below %u",
					 at, s->op[i], c->g->n_op);
	if (!s->n_op)
		return kerf_fail(c->err, -EINVAL, "plan: step %u has no operators", at);
	c->n_need = 0;
	if (limited(s))
		return tile_needs(c, s, at);
	for (i = 0; i < s->n_op; i++)
		c->marks[s->op[i]] = true;
	convex = kerf_slice_convex(c->g, c->marks);
	for (i = 0; i < s->n_op; i++)
		c->marks[s->op[i]] = false;
	if (!convex)
		return kerf_fail(c->err, -EINVAL,
				 "plan: step %u: a path leaves its operators and comes back", at);
	whole_needs(c, s, at + 1);
	return 0;
}

/* --- edges --- */

static int check_maker(const struct check *c, const struct kerf_plan_edge *e,
		       const struct area *area)
{
	const struct kerf_value *v = &c->g->value[e->value];
	const struct kerf_plan_step *s;
	struct area made = whole(v);

	if (e->from == KERF_PLAN_HOME) {
		if (v->producer >= 0)
			return kerf_fail(c->err, -EINVAL, "plan: '%s' comes from home, which has only inputs",
					 v->name);
		return 0;
	}
	s = &c->plan->step[e->from];
	if (!runs(s, v->producer))
		return kerf_fail(c->err, -EINVAL, "plan: step %u does not make '%s'", e->from, v->name);
	if (s->rows.end)
		made.rows = s->rows;
	if (s->channels.end)
		made.channels = s->channels;
	if (!within(area->rows, made.rows) || !within(area->channels, made.channels))
		return kerf_fail(c->err, -EINVAL,
				 "plan: step %u makes rows %lld-%lld and channels %lld-%lld of '%s', not %lld-%lld and %lld-%lld",
				 e->from, (long long)made.rows.begin, (long long)made.rows.end,
				 (long long)made.channels.begin, (long long)made.channels.end,
				 v->name, (long long)area->rows.begin, (long long)area->rows.end,
				 (long long)area->channels.begin, (long long)area->channels.end);
	return 0;
}

static int check_edge(const struct check *c, const struct kerf_plan_edge *e, struct piece *p)
{
	uint32_t n = c->plan->n_step;
	int r;

	if (e->value < 0 || (uint32_t)e->value >= c->g->n_value ||
	    kerf_value_is_const(&c->g->value[e->value]))
		return kerf_fail(c->err, -EINVAL, "plan: an edge carries value %d, which is none", e->value);
	if ((e->from != KERF_PLAN_HOME && e->from >= n) ||
	    (e->to != KERF_PLAN_HOME && e->to >= n) || (e->from == e->to) ||
	    (e->from != KERF_PLAN_HOME && e->from > e->to))
		return kerf_fail(c->err, -EINVAL, "plan: '%s' goes from step %d to step %d, of %u (-1: home)",
				 name_of(c, e->value), (int)e->from, (int)e->to, n);
	if ((uint32_t)e->codec >= KERF_N_CODECS ||
	    (e->codec != KERF_CODEC_NONE && c->g->value[e->value].t.dtype != KERF_F32))
		return kerf_fail(c->err, -EINVAL, "plan: '%s' cannot have codec %u",
				 name_of(c, e->value), (unsigned)e->codec);
	p->value = e->value;
	r = area_of(c, e, &p->area);
	return r ? r : check_maker(c, e, &p->area);
}

/* Pieces [0, n) of one step against what it needs. */
static int compare(struct check *c, uint32_t n, uint32_t to)
{
	uint32_t i, j = 0, k;

	qsort(c->piece, n, sizeof(*c->piece), by_area);
	qsort(c->need, c->n_need, sizeof(*c->need), by_area);
	for (i = 0; i < c->n_need; i++, j = k) {
		const struct piece *need = &c->need[i];

		if (j < n && c->piece[j].value < need->value)
			break;
		for (k = j; k < n && c->piece[k].value == need->value; k++)
			;
		if (!make_up(&c->piece[j], k - j, &need->area))
			return kerf_fail(c->err, -EINVAL,
					 "plan: step %d (-1: home) needs rows %lld-%lld and channels %lld-%lld of '%s' once; %u piece%s come%s that do%s not make them up",
					 (int)to, (long long)need->area.rows.begin,
					 (long long)need->area.rows.end,
					 (long long)need->area.channels.begin,
					 (long long)need->area.channels.end,
					 name_of(c, need->value), k - j, k - j == 1 ? "" : "s",
					 k - j == 1 ? "s" : "", k - j == 1 ? "es" : "");
	}
	if (j < n)
		return kerf_fail(c->err, -EINVAL, "plan: '%s' goes to step %d (-1: home), which does not need it",
				 name_of(c, c->piece[j].value), (int)to);
	return 0;
}

/* Outputs that must come home, and those that do beside them. */
static void home_needs(struct check *c, uint32_t first)
{
	const struct kerf_graph *g = c->g;
	int32_t exit = c->plan->exit < 0 ? -1 : g->out[g->exit[c->plan->exit].output];
	uint32_t stamp = c->plan->n_step + 1, i;

	c->n_need = 0;
	/* Of an exit, the others that come at all. */
	for (i = first; exit >= 0 && i < c->plan->n_edge; i++)
		c->stamp[c->plan->edge[i].value] = stamp;
	for (i = 0; i < g->n_out; i++) {
		int32_t v = g->out[i];
		bool wanted = exit < 0 || v == exit || c->stamp[v] == stamp;

		if (!wanted || c->stamp[v] == stamp + 1 || g->value[v].producer < 0)
			continue;
		c->stamp[v] = stamp + 1;
		c->need[c->n_need++] = (struct piece){v, whole(&g->value[v])};
	}
}

/* Pieces into one step, from edge *at on: into piece[0 .. *n). */
static int collect(struct check *c, uint32_t to, uint32_t *at, uint32_t *n)
{
	const struct kerf_plan_edge *e = c->plan->edge;
	uint32_t first = *at;
	int r;

	for (*n = 0; *at < c->plan->n_edge && e[*at].to == to; ++*at, ++*n) {
		if (*at > first && kerf_plan_edge_order(&e[*at - 1], &e[*at]) > 0)
			return kerf_fail(c->err, -EINVAL, "plan: edge %u is out of order", *at);
		r = check_edge(c, &e[*at], &c->piece[*n]);
		if (r)
			return r;
	}
	return 0;
}

static int check_all(struct check *c)
{
	const struct kerf_plan *plan = c->plan;
	uint32_t at = 0, i, n, first;
	int r = 0;

	if (plan->exit < -1 || plan->exit >= (int32_t)c->g->n_exit)
		return kerf_fail(c->err, -EINVAL, "plan: exit %d, the model has %u", plan->exit,
				 c->g->n_exit);
	for (i = 0; i < plan->n_step && !r; i++) {
		r = check_step(c, i);
		if (!r)
			r = collect(c, i, &at, &n);
		if (!r)
			r = compare(c, n, i);
	}
	first = at;
	if (!r)
		r = collect(c, KERF_PLAN_HOME, &at, &n);
	if (!r && at < plan->n_edge)
		r = kerf_fail(c->err, -EINVAL, "plan: edge %u is out of order", at);
	if (r)
		return r;
	home_needs(c, first);
	return compare(c, n, KERF_PLAN_HOME);
}

int kerf_plan_check(struct kerf_graph *g, const struct kerf_plan *plan, struct kerf_err *err)
{
	struct check c = {.g = g, .plan = plan, .err = err};
	int r = -ENOMEM;

	c.marks = calloc((size_t)g->n_op + 1, sizeof(*c.marks));
	c.stamp = calloc((size_t)g->n_value + 1, sizeof(*c.stamp));
	c.need = malloc(((size_t)g->n_value + g->n_out + 1) * sizeof(*c.need));
	c.piece = malloc(((size_t)plan->n_edge + 1) * sizeof(*c.piece));
	if (c.marks && c.stamp && c.need && c.piece)
		r = check_all(&c);
	free(c.marks);
	free(c.stamp);
	free(c.need);
	free(c.piece);
	return r;
}
