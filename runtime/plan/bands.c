/* SPDX-License-Identifier: MIT */
#include "plan/bands.h"

#include "graph/channels.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* --- the list of groups --------------------------------------------------- */

static int grow(void **list, uint32_t n, uint32_t more, size_t size)
{
	void *p = reallocarray(*list, (size_t)n + more + 1, size);

	if (!p)
		return -ENOMEM;
	*list = p;
	return 0;
}

int kerf_bands_whole(struct kerf_bands *b, uint32_t begin, uint32_t end, uint32_t engine)
{
	if (grow((void **)&b->group, b->n_group, 1, sizeof(*b->group)))
		return -ENOMEM;
	b->group[b->n_group++] = (struct kerf_group){.begin = begin, .end = end, .engine = engine};
	return 0;
}

int kerf_bands_tiled(struct kerf_bands *b, uint32_t begin, uint32_t end, uint32_t whole_engine,
		     uint32_t n, const uint32_t *engine, const struct kerf_rows *rows)
{
	struct kerf_group *g;
	uint32_t i;

	if (grow((void **)&b->band, b->n_band, n, sizeof(*b->band)) ||
	    kerf_bands_whole(b, begin, end, whole_engine))
		return -ENOMEM;
	g = &b->group[b->n_group - 1];
	g->first_band = b->n_band;
	for (i = 0; i < n; i++)
		if (rows[i].end > rows[i].begin)
			b->band[b->n_band++] = (struct kerf_band){engine[i], rows[i]};
	g->n_band = b->n_band - g->first_band;
	if (g->n_band == 1) { /* which holds all of every input, as no tile does */
		g->engine = b->band[g->first_band].engine;
		g->n_band = 0;
	}
	return 0;
}

void kerf_bands_finish(struct kerf_bands *b)
{
	free(b->group);
	free(b->band);
	memset(b, 0, sizeof(*b));
}

/* --- what a run of operators reads and makes ------------------------------ */

static bool read_from(const struct kerf_outline *x, int32_t v, uint32_t begin)
{
	uint32_t i;

	for (i = x->first[v]; i < x->first[v + 1]; i++)
		if (x->reader[i] >= begin)
			return true;
	return false;
}

void kerf_run_finish(struct kerf_run *r)
{
	free(r->op);
	free(r->in);
}

static bool listed(const int32_t *list, uint32_t n, int32_t v)
{
	while (n--)
		if (list[n] == v)
			return true;
	return false;
}

int kerf_run_make(const struct kerf_problem *p, uint32_t begin, uint32_t end, struct kerf_run *r)
{
	const struct kerf_graph *g = p->graph;
	size_t n_in = 0, n_out = 0;
	uint32_t o;
	int k;

	memset(r, 0, sizeof(*r));
	for (o = begin; o < end; o++) {
		n_in += (size_t)g->op[o].n_in;
		n_out += (size_t)g->op[o].n_out;
	}
	r->op = malloc((size_t)(end - begin + 1) * sizeof(*r->op));
	r->in = malloc((n_in + n_out + 1) * sizeof(*r->in));
	if (!r->op || !r->in) {
		kerf_run_finish(r);
		return -ENOMEM;
	}
	r->out = r->in + n_in;
	for (o = begin; o < end; o++) {
		const struct kerf_op *op = &g->op[o];

		r->op[r->n_op++] = o;
		for (k = 0; k < op->n_in; k++) {
			int32_t v = op->in[k];

			if (v >= 0 && !kerf_value_is_const(&g->value[v]) &&
			    g->value[v].producer < (int32_t)begin && !listed(r->in, r->n_in, v))
				r->in[r->n_in++] = v;
		}
		for (k = 0; k < op->n_out; k++) {
			int32_t v = op->out[k];

			if (v >= 0 && (p->outline->is_out[v] || read_from(p->outline, v, end)))
				r->out[r->n_out++] = v;
		}
	}
	return 0;
}

static int64_t height(const struct kerf_graph *g, int32_t v)
{
	return g->value[v].nhwc && g->value[v].t.rank >= 3 ? g->value[v].t.dims[1] : 0;
}

int64_t kerf_bands_rows(const struct kerf_problem *p, struct kerf_tile *room, uint32_t begin,
			uint32_t end)
{
	const struct kerf_graph *g = p->graph;
	struct kerf_slice_spec spec;
	struct kerf_run run;
	bool less = false;
	int64_t rows;
	uint32_t i;
	int half;

	if (begin >= end || kerf_run_make(p, begin, end, &run))
		return 0;
	rows = run.n_out ? height(g, run.out[0]) : 0;
	/* Some operators refuse one part and not the other. */
	for (half = 0; half < 2 && rows > 1; half++) {
		spec = (struct kerf_slice_spec){.n_op = run.n_op, .op = run.op};
		spec.rows.begin = half ? rows / 2 : 0;
		spec.rows.end = half ? rows : rows / 2;
		if (kerf_tile_fill(g, &spec, run.n_out, run.out, room, NULL)) {
			rows = 0;
			break;
		}
		for (i = 0; i < run.n_in; i++)
			less |= room->hold[run.in[i]].end > 0;
		kerf_tile_clear(g, &spec, room);
	}
	kerf_run_finish(&run);
	return rows > 1 && less ? rows : 0;
}

int64_t kerf_bands_channels(const struct kerf_problem *p, struct kerf_tile *room, uint32_t begin,
			    uint32_t end)
{
	struct kerf_slice_spec spec;
	struct kerf_run run;
	int64_t n = 0;

	if (begin >= end || kerf_run_make(p, begin, end, &run))
		return 0;
	spec = (struct kerf_slice_spec){.n_op = run.n_op, .op = run.op, .channels = {0, 1}};
	if (run.n_out && !kerf_channels_fill(p->graph, &spec, run.n_out, run.out, room, NULL)) {
		const struct kerf_tensor *t = &p->graph->value[run.out[0]].t;

		n = t->dims[t->rank - 1];
		kerf_tile_clear(p->graph, &spec, room);
	}
	kerf_run_finish(&run);
	return n > 1 ? n : 0;
}

static void find_units(const struct kerf_problem *p, struct kerf_tile *room,
		       struct kerf_unit *unit, uint32_t *n)
{
	const struct kerf_graph *g = p->graph;
	struct kerf_unit *last;
	int64_t rows;
	uint32_t o;

	for (o = 0; o < g->n_op; o++) {
		last = *n ? &unit[*n - 1] : NULL;
		if (last && last->rows && !(g->op[o].def->flags & KERF_OP_WINDOW)) {
			rows = kerf_bands_rows(p, room, last->begin, o + 1);
			if (rows) {
				last->end = o + 1;
				last->rows = rows;
				continue;
			}
		}
		rows = o < p->goal.keep ? 0 : kerf_bands_rows(p, room, o, o + 1);
		unit[(*n)++] = (struct kerf_unit){o, o + 1, rows};
	}
}

int kerf_bands_units(const struct kerf_problem *p, struct kerf_unit **unit, uint32_t *n)
{
	struct kerf_tile room;

	*n = 0;
	*unit = NULL;
	if (kerf_tile_open(p->graph, &room))
		return -ENOMEM;
	*unit = malloc(((size_t)p->graph->n_op + 1) * sizeof(**unit));
	if (*unit)
		find_units(p, &room, *unit, n);
	kerf_tile_finish(&room);
	return *unit ? 0 : -ENOMEM;
}

/* --- engines -------------------------------------------------------------- */

double kerf_bands_op_s(const struct kerf_problem *p, uint32_t begin, uint32_t end, uint32_t e)
{
	double sum = 0;
	uint32_t o;

	for (o = begin; o < end; o++)
		sum += p->op_s[(size_t)o * p->n_engine + e];
	return sum;
}

static bool reachable(const struct kerf_problem *p, uint32_t node)
{
	return node == p->home || (p->link[p->home * p->n_node + node].rate_bytes_s > 0 &&
				   p->link[node * p->n_node + p->home].rate_bytes_s > 0);
}

uint32_t kerf_bands_fastest(const struct kerf_problem *p, const double *takes_s,
			    uint32_t worker[KERF_MAX_ENGINES])
{
	uint32_t n = 0, i, node, e;

	for (i = 0; i < p->n_node; i++) {
		double best = INFINITY;

		/* Home, then the others. */
		node = i == 0 ? p->home : i <= p->home ? i - 1 : i;
		if (!reachable(p, node))
			continue;
		for (e = 0; e < p->n_engine; e++) {
			if (p->engine[e].node != node || takes_s[e] >= best)
				continue;
			n += isinf(best);
			best = takes_s[e];
			worker[n - 1] = e;
		}
	}
	return n;
}

uint32_t kerf_bands_workers(const struct kerf_problem *p, uint32_t begin, uint32_t end,
			    uint32_t worker[KERF_MAX_ENGINES])
{
	double takes_s[KERF_MAX_ENGINES];
	uint32_t e;

	for (e = 0; e < p->n_engine; e++)
		takes_s[e] = p->engine[e].job_s + kerf_bands_op_s(p, begin, end, e);
	return kerf_bands_fastest(p, takes_s, worker);
}

/* An operator that costs nothing still takes part in proportion: a nanosecond is nothing. */
void kerf_bands_speeds(const struct kerf_problem *p, uint32_t begin, uint32_t end, uint32_t n,
		       const uint32_t *worker, double *speed)
{
	uint32_t i;

	for (i = 0; i < n; i++)
		speed[i] = 1 / fmax(kerf_bands_op_s(p, begin, end, worker[i]), 1e-9);
}

int kerf_bands_best_engine(const struct kerf_problem *p, uint32_t begin, uint32_t end,
			   uint32_t *engine, struct kerf_err *err)
{
	double best = INFINITY, in = 0, out = 0;
	bool bounded = false;
	struct kerf_run run;
	uint32_t e, i;

	if (kerf_run_make(p, begin, end, &run))
		return -ENOMEM;
	for (i = 0; i < run.n_in; i++) {
		in += p->outline->value_bytes[run.in[i]];
		bounded |= p->graph->value[run.in[i]].bounded;
	}
	for (i = 0; i < run.n_out; i++) {
		out += p->outline->value_bytes[run.out[i]];
		bounded |= p->graph->value[run.out[i]].bounded;
	}
	kerf_run_finish(&run);
	for (e = 0; e < p->n_engine; e++) {
		uint32_t node = p->engine[e].node;
		double s = p->engine[e].job_s + kerf_bands_op_s(p, begin, end, e) +
			   kerf_problem_transfer_s(p, p->home, node, in) +
			   kerf_problem_transfer_s(p, node, p->home, out);

		/* Messages to another node have fixed shapes. */
		if ((begin < p->goal.keep || bounded) && node != p->home)
			continue;
		if (s < best) {
			best = s;
			*engine = e;
		}
	}
	if (isinf(best))
		return kerf_fail(err, -ENODEV, "no engine within reach can run operators %u to %u",
				 begin, end);
	return 0;
}

int kerf_bands_home_engine(const struct kerf_problem *p, uint32_t begin, uint32_t end,
			   uint32_t *engine, struct kerf_err *err)
{
	double best = INFINITY, s;
	uint32_t e;

	for (e = 0; e < p->n_engine; e++) {
		s = p->engine[e].job_s + kerf_bands_op_s(p, begin, end, e);
		if (p->engine[e].node == p->home && s < best) {
			best = s;
			*engine = e;
		}
	}
	return isfinite(best) ? 0 : kerf_bands_best_engine(p, begin, end, engine, err);
}

void kerf_bands_split(int64_t total, int64_t step, uint32_t n, const double *weight,
		      struct kerf_rows *part)
{
	double sum = 0, upto = 0;
	int64_t at = 0;
	uint32_t i;

	for (i = 0; i < n; i++)
		sum += weight[i];
	for (i = 0; i < n; i++) {
		int64_t end;

		upto += weight[i];
		end = sum > 0 ? (int64_t)floor((double)total * upto / sum / (double)step + 0.5) *
					step
			      : total;
		end = i + 1 == n ? total : KERF_MIN(KERF_MAX(end, at), total);
		part[i] = (struct kerf_rows){at, end};
		at = end;
	}
	/* What rounding leaves to one without weight goes to the last one with some. */
	for (i = n; i-- > 1;)
		if (weight[i] <= 0 && part[i].end > part[i].begin) {
			part[i - 1].end = part[i].end;
			part[i].begin = part[i].end;
		}
}

/* --- from groups to steps and edges ---------------------------------------- */

/* A piece of a value that exists somewhere. */
struct piece {
	uint32_t step;
	struct kerf_rows rows, channels; /* {0, 0}: all */
	uint32_t next;			 /* 1 + another of the same value; 0: none */
};

struct builder {
	const struct kerf_problem *p;
	struct kerf_plan *plan;
	uint32_t *head; /* per value: 1 + its first piece */
	struct piece *piece;
	uint32_t n_piece, cap_piece;
	struct kerf_tile room;
};

static int own(struct builder *b, int32_t v, uint32_t step, struct kerf_rows rows,
	       struct kerf_rows channels)
{
	if (b->n_piece == b->cap_piece) {
		uint32_t cap = b->cap_piece ? 2 * b->cap_piece : 64;
		struct piece *more = reallocarray(b->piece, cap, sizeof(*more));

		if (!more)
			return -ENOMEM;
		b->piece = more;
		b->cap_piece = cap;
	}
	b->piece[b->n_piece] = (struct piece){step, rows, channels, b->head[v]};
	b->head[v] = ++b->n_piece;
	return 0;
}

/* What two ranges have in common, {0, 0} being everything; false if it is nothing. */
static bool common(struct kerf_rows a, struct kerf_rows b, struct kerf_rows *both)
{
	if (!a.end || !b.end) {
		*both = a.end ? a : b;
		return true;
	}
	both->begin = KERF_MAX(a.begin, b.begin);
	both->end = KERF_MIN(a.end, b.end);
	return both->begin < both->end;
}

static int add_edge(struct builder *b, int32_t v, uint32_t from, uint32_t to,
		    struct kerf_rows rows, struct kerf_rows channels)
{
	struct kerf_plan_edge *e = kerf_plan_add_edge(b->plan);

	if (!e)
		return -ENOMEM;
	e->value = v;
	e->from = from;
	e->to = to;
	e->rows = rows;
	e->channels = channels;
	return 0;
}

/* These rows and channels of v to a step, from wherever they are. */
static int fetch(struct builder *b, int32_t v, uint32_t to, struct kerf_rows rows,
		 struct kerf_rows channels)
{
	struct kerf_rows r, c;
	uint32_t i;

	if (b->p->graph->value[v].producer < 0)
		return add_edge(b, v, KERF_PLAN_HOME, to, rows, channels);
	for (i = b->head[v]; i; i = b->piece[i - 1].next) {
		const struct piece *x = &b->piece[i - 1];

		if (common(x->rows, rows, &r) && common(x->channels, channels, &c) &&
		    add_edge(b, v, x->step, to, r, c))
			return -ENOMEM;
	}
	return 0;
}

static struct kerf_plan_step *add_step(struct builder *b, const struct kerf_run *run,
				       uint32_t engine, uint32_t stage)
{
	struct kerf_plan_step *s = kerf_plan_add_step(b->plan);

	if (!s)
		return NULL;
	s->engine = engine;
	s->stage = stage;
	s->op = malloc((run->n_op + 1) * sizeof(*s->op));
	if (!s->op)
		return NULL;
	memcpy(s->op, run->op, run->n_op * sizeof(*s->op));
	s->n_op = run->n_op;
	return s;
}

static int build_whole(struct builder *b, const struct kerf_run *run, const struct kerf_group *g)
{
	const struct kerf_rows all = {0, 0};
	uint32_t at = b->plan->n_step, i;

	if (!add_step(b, run, g->engine, g->stage))
		return -ENOMEM;
	for (i = 0; i < run->n_in; i++)
		if (fetch(b, run->in[i], at, all, all))
			return -ENOMEM;
	for (i = 0; i < run->n_out; i++)
		if (own(b, run->out[i], at, all, all))
			return -ENOMEM;
	return 0;
}

/* Of operator o's work, what a tile does that holds these rows or channels. */
static float share_of(const struct kerf_graph *g, uint32_t o, const struct kerf_tile *tile,
		      bool channels)
{
	const struct kerf_op *op = &g->op[o];
	int k;

	for (k = 0; k < op->n_out; k++) {
		int32_t v = op->out[k];
		const struct kerf_tensor *t = v < 0 ? NULL : &g->value[v].t;

		if (t && tile->hold[v].end)
			return (float)((double)(tile->hold[v].end - tile->hold[v].begin) /
				       (double)t->dims[channels ? t->rank - 1 : 1]);
	}
	return 1;
}

/* What bands hold and do: [band * n_in + input], [band * n_op + operator]. */
struct shape {
	struct kerf_rows *hold;
	float *share;
};

/* -EOPNOTSUPP or -EINVAL if one band is refused. */
static int shape_bands(struct builder *b, const struct kerf_run *run, const struct kerf_group *g,
		       const struct kerf_band *band, struct shape *shape)
{
	struct kerf_slice_spec spec = {.n_op = run->n_op, .op = run->op, .padded = g->padded};
	const struct kerf_graph *graph = b->p->graph;
	uint32_t i, k;
	int r;

	for (i = 0; i < g->n_band; i++) {
		*(g->channels ? &spec.channels : &spec.rows) = band[i].rows;
		r = (g->channels ? kerf_channels_fill : kerf_tile_fill)(
			graph, &spec, run->n_out, run->out, &b->room, NULL);
		if (r)
			return r;
		for (k = 0; k < run->n_in; k++)
			shape->hold[i * run->n_in + k] = b->room.hold[run->in[k]];
		for (k = 0; k < run->n_op; k++)
			shape->share[i * run->n_op + k] =
				share_of(graph, run->op[k], &b->room, g->channels);
		kerf_tile_clear(graph, &spec, &b->room);
	}
	return 0;
}

static int build_band(struct builder *b, const struct kerf_run *run, const struct kerf_group *g,
		      const struct kerf_band *band, const struct kerf_rows *hold,
		      const float *share)
{
	const struct kerf_rows all = {0, 0};
	uint32_t at = b->plan->n_step, i;
	struct kerf_plan_step *s = add_step(b, run, band->engine, g->stage);

	if (!s)
		return -ENOMEM;
	s->padded = g->padded;
	*(g->channels ? &s->channels : &s->rows) = band->rows;
	s->share = malloc((run->n_op + 1) * sizeof(*s->share));
	if (!s->share)
		return -ENOMEM;
	memcpy(s->share, share, run->n_op * sizeof(*share));
	for (i = 0; i < run->n_in; i++)
		if (fetch(b, run->in[i], at, g->channels ? all : hold[i],
			  g->channels ? hold[i] : all))
			return -ENOMEM;
	for (i = 0; i < run->n_out; i++)
		if (own(b, run->out[i], at, g->channels ? all : band->rows,
			g->channels ? band->rows : all))
			return -ENOMEM;
	return 0;
}

/* All bands of a group, or -EOPNOTSUPP or -EINVAL, and nothing built, if one is refused. */
static int build_bands(struct builder *b, const struct kerf_run *run, const struct kerf_group *g,
		       const struct kerf_band *band)
{
	struct shape shape;
	uint32_t i;
	int r = -ENOMEM;

	shape.hold = malloc(((size_t)g->n_band * run->n_in + 1) * sizeof(*shape.hold));
	shape.share = malloc(((size_t)g->n_band * run->n_op + 1) * sizeof(*shape.share));
	if (shape.hold && shape.share)
		r = shape_bands(b, run, g, band, &shape);
	for (i = 0; i < g->n_band && !r; i++)
		r = build_band(b, run, g, &band[i], shape.hold + (size_t)i * run->n_in,
			       shape.share + (size_t)i * run->n_op);
	free(shape.hold);
	free(shape.share);
	return r;
}

static int build_group(struct builder *b, const struct kerf_group *g, const struct kerf_band *band)
{
	struct kerf_run run;
	int r = kerf_run_make(b->p, g->begin, g->end, &run);

	if (r)
		return r;
	r = g->n_band ? build_bands(b, &run, g, band) : -EOPNOTSUPP;
	if (r == -EOPNOTSUPP || r == -EINVAL)
		r = build_whole(b, &run, g);
	kerf_run_finish(&run);
	return r;
}

static int answer(struct builder *b)
{
	const struct kerf_graph *g = b->p->graph;
	const struct kerf_rows all = {0, 0};
	uint32_t i, k;

	for (i = 0; i < g->n_out; i++) {
		for (k = 0; k < i && g->out[k] != g->out[i]; k++)
			;
		if (k == i && g->value[g->out[i]].producer >= 0 &&
		    fetch(b, g->out[i], KERF_PLAN_HOME, all, all))
			return -ENOMEM;
	}
	return 0;
}

static bool joins(const struct kerf_group *g, const struct kerf_group *next)
{
	return !g->n_band && !next->n_band && g->engine == next->engine &&
	       g->stage == next->stage;
}

int kerf_bands_build(const struct kerf_problem *p, const struct kerf_bands *bands,
		     struct kerf_plan *plan, struct kerf_err *err)
{
	struct builder b = {.p = p, .plan = plan};
	struct kerf_group g;
	uint32_t i, next;
	int r = 0;

	memset(plan, 0, sizeof(*plan));
	plan->exit = -1;
	b.head = calloc((size_t)p->graph->n_value + 1, sizeof(*b.head));
	if (!b.head || kerf_tile_open(p->graph, &b.room))
		r = -ENOMEM;
	for (i = 0; i < bands->n_group && !r; i = next) {
		g = bands->group[i];
		for (next = i + 1; next < bands->n_group && joins(&g, &bands->group[next]); next++)
			g.end = bands->group[next].end;
		r = build_group(&b, &g, bands->band + g.first_band);
	}
	if (!r)
		r = answer(&b);
	if (!r) {
		kerf_plan_sort(plan);
		r = kerf_plan_price(p, plan);
	}
	if (r) {
		kerf_fail(err, r, "%s",
			  r == -EINVAL ? "an engine cannot run an operator given to it, or cannot "
					 "be sent what it reads"
				       : strerror(-r));
		kerf_plan_finish(plan);
	}
	kerf_tile_finish(&b.room);
	free(b.head);
	free(b.piece);
	return r;
}

bool kerf_bands_padded(const struct kerf_problem *p, const struct kerf_bands *b)
{
	struct kerf_slice_spec spec;
	struct kerf_tile tile;
	struct kerf_run run;
	bool all = true;
	uint32_t i, k;

	for (i = 0; i < b->n_group && all; i++) {
		const struct kerf_group *g = &b->group[i];

		if (!g->padded || kerf_run_make(p, g->begin, g->end, &run))
			continue;
		spec = (struct kerf_slice_spec){.n_op = run.n_op, .op = run.op, .padded = true};
		for (k = 0; k < g->n_band && all; k++) {
			spec.rows = b->band[g->first_band + k].rows;
			all = !kerf_tile_make(p->graph, &spec, run.n_out, run.out, &tile, NULL);
			if (all)
				kerf_tile_finish(&tile);
		}
		kerf_run_finish(&run);
	}
	return all;
}

void kerf_bands_offer(const struct kerf_problem *p, const struct kerf_bands *b, const char *policy,
		      struct kerf_choice *c, const char *reason, ...)
{
	struct kerf_plan plan;
	va_list ap;
	int r = kerf_bands_build(p, b, &plan, NULL);

	if (!r) {
		plan.policy = policy;
		va_start(ap, reason);
		vsnprintf(plan.reason, sizeof(plan.reason), reason, ap);
		va_end(ap);
	}
	kerf_choice_offer(p, c, &plan, r);
}
