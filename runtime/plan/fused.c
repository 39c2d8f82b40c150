/* SPDX-License-Identifier: MIT */
#include "plan/fused.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* --- blocks --------------------------------------------------------------- */

/*
 * Layers between two points where one value is live become a block if all of them can be cut;
 * else each stays alone, and is not fused with what comes before.
 */
static uint32_t find_blocks(const struct kerf_problem *p, struct kerf_tile *room,
			    const struct kerf_unit *unit, uint32_t n, bool layers,
			    struct kerf_block *block)
{
	const struct kerf_outline *x = p->outline;
	uint32_t a = 0, b, k, at = 0, n_block = 0;

	for (a = 0; a < n; a = b) {
		bool cut = unit[a].rows > 0, narrow;
		int64_t rows;

		for (b = a + 1; b < n; b++) {
			while (at < x->n_narrow && x->narrow[at] < unit[b].begin)
				at++;
			if (at < x->n_narrow && x->narrow[at] == unit[b].begin)
				break;
			cut &= unit[b].rows > 0;
		}
		narrow = n_block > 0;
		rows = cut && !layers ? kerf_bands_rows(p, room, unit[a].begin, unit[b - 1].end)
				      : 0;
		if (rows) {
			block[n_block] = (struct kerf_block){
				.begin = unit[a].begin,
				.end = unit[b - 1].end,
				.rows = rows,
				.joint = narrow && block[n_block - 1].rows > 0};
			n_block++;
			continue;
		}
		for (k = a; k < b; k++)
			block[n_block++] = (struct kerf_block){
				.begin = unit[k].begin,
				.end = unit[k].end,
				.rows = unit[k].rows,
				.joint = k == a && narrow && unit[k].rows &&
					 block[n_block - 1].rows > 0};
	}
	return n_block;
}

/* One pass of pairs into one, as long as there are too many. */
static uint32_t pair_up(const struct kerf_problem *p, struct kerf_tile *room,
			struct kerf_block *block, uint32_t n, uint32_t enough)
{
	uint32_t i, to = 0, left = n;

	for (i = 0; i < n; i++) {
		struct kerf_block *a = &block[to], *b = &block[i + 1];
		int64_t rows = 0;

		*a = block[i];
		if (left > enough && i + 1 < n) {
			bool both = a->rows && b->rows && b->joint;
			bool none = !a->rows && !b->rows &&
				    (a->begin >= p->goal.keep || b->end <= p->goal.keep);

			if (both)
				rows = kerf_bands_rows(p, room, a->begin, b->end);
			if (rows || none) {
				a->end = b->end;
				a->rows = rows;
				left--;
				i++;
			}
		}
		to++;
	}
	return to;
}

/* What goes in and out, and whether it may go anywhere. */
static int measure(const struct kerf_problem *p, struct kerf_block *b)
{
	struct kerf_run run;
	uint32_t k;

	if (kerf_run_make(p, b->begin, b->end, &run))
		return -ENOMEM;
	b->stays = b->begin < p->goal.keep;
	/* All that lives has to be where it goes on: also what a later block reads. */
	b->in_bytes = p->outline->live_bytes[b->begin];
	for (k = 0; k < run.n_in; k++)
		b->stays |= p->graph->value[run.in[k]].bounded;
	for (k = 0; k < run.n_out; k++) {
		b->out_bytes += p->outline->value_bytes[run.out[k]];
		b->stays |= p->graph->value[run.out[k]].bounded;
	}
	kerf_run_finish(&run);
	return 0;
}

static int make_blocks(const struct kerf_problem *p, struct kerf_tile *room, uint32_t most,
		       struct kerf_fused *f)
{
	struct kerf_unit *unit;
	uint32_t n, i, before;

	if (kerf_bands_units(p, &unit, &n))
		return -ENOMEM;
	f->block = calloc((size_t)n + 1, sizeof(*f->block));
	if (f->block) {
		f->n = find_blocks(p, room, unit, n, f->reach == 1, f->block);
		do {
			before = f->n;
			f->n = pair_up(p, room, f->block, f->n, most ? most : f->n);
		} while (f->n < before);
	}
	free(unit);
	if (!f->block)
		return -ENOMEM;
	for (i = 0; i < f->n; i++)
		if (measure(p, &f->block[i]))
			return -ENOMEM;
	return 0;
}

/* --- what overlaps cost --------------------------------------------------- */

/* Beyond its own, the part of a value's rows that a band of one row of `rows` holds. */
static double beyond(const struct kerf_graph *g, const struct kerf_tile *t, int32_t v, int64_t rows)
{
	double own = 1 / (double)rows, held;

	if (!t->hold[v].end)
		return 1;
	held = (double)(t->hold[v].end - t->hold[v].begin) / (double)g->value[v].t.dims[1];
	return held > own ? held - own : 0;
}

static double halo_of_op(const struct kerf_graph *g, const struct kerf_tile *t, uint32_t o,
			 int64_t rows)
{
	int k;

	for (k = 0; k < g->op[o].n_out; k++)
		if (g->op[o].out[k] >= 0)
			return beyond(g, t, g->op[o].out[k], rows);
	return 1;
}

static int input_halo(const struct kerf_fused *f, const struct kerf_tile *t, uint32_t i, uint32_t j)
{
	const struct kerf_problem *p = f->p;
	double sum = 0;
	struct kerf_run run;
	uint32_t k;

	if (kerf_run_make(p, f->block[i].begin, f->block[i].end, &run))
		return -ENOMEM;
	for (k = 0; k < run.n_in; k++)
		sum += p->outline->value_bytes[run.in[k]] *
		       beyond(p->graph, t, run.in[k], f->block[j].rows);
	f->halo_in[(size_t)j * f->reach + j - i] = sum / fmax(f->block[i].in_bytes, 1);
	kerf_run_finish(&run);
	return 0;
}

/* From block j back to i: sums of everything between. */
static int sum_back(const struct kerf_fused *f, const struct kerf_tile *t, uint32_t from,
		    uint32_t j)
{
	const struct kerf_problem *p = f->p;
	uint32_t i, o, e;

	for (i = j + 1; i-- > from;) {
		struct kerf_fused_s *s = kerf_fused_cost(f, i, j, 0);

		if (i < j)
			memcpy(s, kerf_fused_cost(f, i + 1, j, 0), p->n_engine * sizeof(*s));
		for (o = f->block[i].begin; o < f->block[i].end; o++) {
			double halo = halo_of_op(p->graph, t, o, f->block[j].rows);

			for (e = 0; e < p->n_engine; e++) {
				size_t at = (size_t)o * p->n_engine + e;
				double fixed = p->op_fixed_s ? p->op_fixed_s[at] : 0;

				s[e].fixed += fixed;
				s[e].each += p->op_s[at] - fixed;
				s[e].halo +=
					isfinite(p->op_s[at]) ? (p->op_s[at] - fixed) * halo : 0;
			}
		}
		if (input_halo(f, t, i, j))
			return -ENOMEM;
	}
	return 0;
}

/* All that can be fused with block j, in one go back from a band of one row. */
static int sweep(struct kerf_fused *f, struct kerf_tile *room, uint32_t j)
{
	struct kerf_slice_spec spec;
	struct kerf_run run;
	uint32_t from = j;
	int r;

	while (f->block[from].joint && j - from + 1 < f->reach &&
	       f->block[j].end - f->block[from - 1].begin <= KERF_FUSED_OPS)
		from--;
	for (;; from = (from + j + 1) / 2) {
		r = kerf_run_make(f->p, f->block[from].begin, f->block[j].end, &run);
		if (r)
			return r;
		spec = (struct kerf_slice_spec){.n_op = run.n_op, .op = run.op};
		spec.rows.begin = f->block[j].rows / 2;
		spec.rows.end = spec.rows.begin + 1;
		r = kerf_tile_fill(f->p->graph, &spec, run.n_out, run.out, room, NULL);
		if (!r) {
			f->since[j] = from;
			r = sum_back(f, room, from, j);
			kerf_tile_clear(f->p->graph, &spec, room);
		}
		kerf_run_finish(&run);
		if (r != -EINVAL && r != -EOPNOTSUPP)
			return r;
		if (from == j) { /* one row cannot be had apart, though halves can */
			f->block[j].rows = 0;
			f->block[j].joint = false;
			if (j + 1 < f->n)
				f->block[j + 1].joint = false;
			return 0;
		}
	}
}

/* Made before, with as many blocks as there may be. */
static struct kerf_fused *made_already(const struct kerf_problem *p, uint32_t reach, uint32_t most)
{
	if (reach == 1)
		return most ? NULL : p->layers;
	if (reach != KERF_FUSED_REACH || !p->fused || most > KERF_FUSED_BLOCKS)
		return NULL;
	return most == KERF_FUSED_BLOCKS || p->fused->n <= most ? p->fused : NULL;
}

int kerf_fused_make(const struct kerf_problem *p, uint32_t reach, uint32_t most,
		    struct kerf_fused **fused)
{
	struct kerf_fused *f = made_already(p, reach, most);
	struct kerf_tile room = {0};
	uint32_t j, e;
	size_t pairs;

	*fused = f;
	if (f) {
		f->users++;
		return 0;
	}
	f = calloc(1, sizeof(*f));
	if (!f)
		return -ENOMEM;
	f->p = p;
	f->users = 1;
	f->reach = reach;
	if (kerf_tile_open(p->graph, &room) || make_blocks(p, &room, most, f))
		goto fail;
	pairs = (size_t)f->n * reach + 1;
	f->since = calloc((size_t)f->n + 1, sizeof(*f->since));
	f->s = calloc(pairs * p->n_engine, sizeof(*f->s));
	f->halo_in = calloc(pairs, sizeof(*f->halo_in));
	f->whole_s = calloc((size_t)f->n * p->n_engine + 1, sizeof(*f->whole_s));
	if (!f->since || !f->s || !f->halo_in || !f->whole_s)
		goto fail;
	for (j = 0; j < f->n; j++) {
		f->since[j] = j;
		for (e = 0; e < p->n_engine; e++)
			f->whole_s[(size_t)j * p->n_engine + e] =
				kerf_bands_op_s(p, f->block[j].begin, f->block[j].end, e);
		if (f->block[j].rows && sweep(f, &room, j))
			goto fail;
	}
	kerf_tile_finish(&room);
	*fused = f;
	return 0;
fail:
	kerf_tile_finish(&room);
	kerf_fused_free(f);
	return -ENOMEM;
}

void kerf_fused_free(struct kerf_fused *f)
{
	if (!f || --f->users)
		return;
	free(f->block);
	free(f->since);
	free(f->s);
	free(f->halo_in);
	free(f->whole_s);
	free(f);
}

uint32_t kerf_fused_workers(const struct kerf_fused *f, uint32_t worker[KERF_MAX_ENGINES],
			    double speed[KERF_MAX_ENGINES])
{
	const struct kerf_problem *p = f->p;
	double sum[KERF_MAX_ENGINES] = {0};
	uint32_t j, e, n;

	for (e = 0; e < p->n_engine; e++)
		for (j = 0; j < f->n; j++)
			if (f->block[j].rows)
				sum[e] += p->engine[e].job_s +
					  f->whole_s[(size_t)j * p->n_engine + e];
	n = kerf_bands_fastest(p, sum, worker);
	for (e = 0; e < n; e++)
		speed[e] = 1 / fmax(sum[worker[e]], 1e-12);
	return n;
}

/* By speed, which their parts are until now: home's stays first, the fastest follow. */
static void sort_workers(const struct kerf_problem *p, struct kerf_fused_search *o)
{
	uint32_t i, k, first = o->n_worker && p->engine[o->worker[0]].node == p->home;

	for (i = first + 1; i < o->n_worker; i++)
		for (k = i; k > first && o->part[k] > o->part[k - 1]; k--) {
			double s = o->part[k];
			uint32_t w = o->worker[k];

			o->part[k] = o->part[k - 1];
			o->part[k - 1] = s;
			o->worker[k] = o->worker[k - 1];
			o->worker[k - 1] = w;
		}
}

double kerf_fused_band_s(const struct kerf_fused *f, uint32_t i, uint32_t j, uint32_t engine,
			 double part)
{
	const struct kerf_fused_s *s = kerf_fused_cost(f, i, j, engine);

	return f->p->engine[engine].job_s + s->fixed + fmin(part * s->each + s->halo, s->each);
}

double kerf_fused_move_s(const struct kerf_problem *p, uint32_t from, uint32_t to, double bytes)
{
	double s = kerf_problem_transfer_s(p, from, to, bytes);

	if (isfinite(s))
		return s;
	return kerf_problem_transfer_s(p, from, p->home, bytes) +
	       kerf_problem_transfer_s(p, p->home, to, bytes);
}

/* --- equal ends ------------------------------------------------------------ */

/*
 * With all members in, they end at t where sum (t - fixed) / each is one. Who would have a part
 * below nothing is left out, and t falls: at most n rounds.
 */
double kerf_fused_balance(uint32_t n, const double *fixed, const double *each, double *part)
{
	bool out[KERF_MAX_ENGINES] = {false}, again = true;
	double t = INFINITY;
	uint32_t i;

	for (i = 0; i < n; i++)
		out[i] = !isfinite(fixed[i]) || !isfinite(each[i]);
	while (again) {
		double speed = 0, head = 0;

		for (i = 0; i < n; i++) {
			if (out[i])
				continue;
			speed += 1 / fmax(each[i], 1e-12);
			head += fixed[i] / fmax(each[i], 1e-12);
		}
		t = speed > 0 ? (1 + head) / speed : INFINITY;
		again = false;
		for (i = 0; i < n; i++)
			if (!out[i] && fixed[i] >= t) {
				out[i] = true;
				again = true;
			}
	}
	for (i = 0; i < n; i++)
		part[i] = out[i] ? 0 : (t - fixed[i]) / fmax(each[i], 1e-12);
	return t;
}

/* --- the search ------------------------------------------------------------ */

/* After some blocks: the least time with the value in bands (0) or whole on an engine (1 + e). */
struct state {
	double s;
	uint32_t from_block, from_state;
};

struct search {
	const struct kerf_fused *f;
	const struct kerf_fused_search *o;
	uint32_t n_state;
	struct state *state; /* [(n + 1) * n_state] */
};

static struct state *state_at(const struct search *x, uint32_t block, uint32_t s)
{
	return &x->state[(size_t)block * x->n_state + s];
}

static uint32_t engine_node(const struct search *x, uint32_t e)
{
	return x->f->p->engine[e].node;
}

/* The slowest band's fetch of part + halo of a value's bytes from a node. */
static double deal_s(const struct search *x, uint32_t node, double bytes, double halo)
{
	double s = 0;
	uint32_t w;

	for (w = 0; w < x->o->n_worker; w++)
		if (x->o->part[w] > 0)
			s = fmax(s,
				 kerf_fused_move_s(x->f->p, node, engine_node(x, x->o->worker[w]),
						   bytes * fmin(x->o->part[w] + halo, 1)));
	return s;
}

static double gather_s(const struct search *x, uint32_t node, double bytes)
{
	double s = 0;
	uint32_t w;

	for (w = 0; w < x->o->n_worker; w++)
		if (x->o->part[w] > 0)
			s = fmax(s, kerf_fused_move_s(x->f->p, engine_node(x, x->o->worker[w]),
						      node, bytes * x->o->part[w]));
	return s;
}

/* Neighbours give each other half of the overlap. */
static double halo_s(const struct search *x, double bytes, double halo)
{
	uint32_t w, before = UINT32_MAX;
	double s = 0;

	for (w = 0; w < x->o->n_worker && halo > 0; w++) {
		uint32_t node = engine_node(x, x->o->worker[w]);

		if (x->o->part[w] <= 0)
			continue;
		if (before != UINT32_MAX) {
			s = fmax(s, kerf_fused_move_s(x->f->p, before, node, bytes * halo / 2));
			s = fmax(s, kerf_fused_move_s(x->f->p, node, before, bytes * halo / 2));
		}
		before = node;
	}
	return s;
}

static void offer(struct search *x, uint32_t block, uint32_t state, double s, uint32_t from_block,
		  uint32_t from_state)
{
	struct state *to = state_at(x, block, state);

	if (s < to->s)
		*to = (struct state){s, from_block, from_state};
}

/* Blocks i..j in bands, after any state. */
static void try_bands(struct search *x, uint32_t i, uint32_t j)
{
	const struct kerf_fused *f = x->f;
	double in = f->block[i].in_bytes, halo = kerf_fused_halo_in(f, i, j), work = 0;
	uint32_t w, e;

	for (w = 0; w < x->o->n_worker; w++)
		if (x->o->part[w] > 0)
			work = fmax(work,
				    kerf_fused_band_s(f, i, j, x->o->worker[w], x->o->part[w]));
	if (!isfinite(work))
		return;
	offer(x, j + 1, 0, state_at(x, i, 0)->s + halo_s(x, in, halo) + work, i, 0);
	for (e = 0; e < f->p->n_engine; e++) {
		double s = state_at(x, i, 1 + e)->s + work;

		if (s < state_at(x, j + 1, 0)->s)
			offer(x, j + 1, 0, s + deal_s(x, engine_node(x, e), in, halo), i, 1 + e);
	}
}

/* Block j whole on each engine. */
static void try_whole(struct search *x, uint32_t j)
{
	const struct kerf_problem *p = x->f->p;
	uint32_t e, from;

	for (e = 0; e < p->n_engine; e++) {
		double s = x->f->whole_s[(size_t)j * p->n_engine + e];
		double in = x->f->block[j].in_bytes;

		if (!isfinite(s) ||
		    (x->f->block[j].stays && engine_node(x, e) != p->home))
			continue;
		if (isfinite(state_at(x, j, 0)->s))
			offer(x, j + 1, 1 + e,
			      state_at(x, j, 0)->s + gather_s(x, engine_node(x, e), in) + s +
				      p->engine[e].job_s,
			      j, 0);
		for (from = 0; from < p->n_engine; from++)
			if (isfinite(state_at(x, j, 1 + from)->s))
				offer(x, j + 1, 1 + e,
				      state_at(x, j, 1 + from)->s + s +
					      kerf_fused_move_s(p, engine_node(x, from),
								engine_node(x, e), in) +
					      (from == e && j ? 0 : p->engine[e].job_s),
				      j, 1 + from);
	}
}

/* At the start the inputs are at home, whichever engine of it runs first. */
static void start(struct search *x)
{
	uint32_t k, e;

	for (k = 0; k < (x->f->n + 1) * x->n_state; k++)
		x->state[k].s = INFINITY;
	for (e = 0; e < x->f->p->n_engine; e++)
		if (engine_node(x, e) == x->f->p->home)
			state_at(x, 0, 1 + e)->s = 0;
}

/* The state at the end that answers home first. */
static uint32_t finish(const struct search *x, double *best)
{
	const struct kerf_fused *f = x->f;
	double bytes = f->block[f->n - 1].out_bytes;
	uint32_t s, at = UINT32_MAX;

	*best = INFINITY;
	for (s = 0; s < x->n_state; s++) {
		double t = state_at(x, f->n, s)->s;

		if (!isfinite(t))
			continue;
		t += s ? kerf_fused_move_s(f->p, engine_node(x, s - 1), f->p->home, bytes)
		       : gather_s(x, f->p->home, bytes);
		if (t < *best) {
			*best = t;
			at = s;
		}
	}
	return at;
}

int kerf_fused_tile(const struct kerf_fused *f, uint32_t i, uint32_t j, uint32_t n,
		    const uint32_t *worker, const double *part, struct kerf_bands *bands)
{
	struct kerf_rows rows[KERF_MAX_ENGINES];
	uint32_t most = 0, k;

	kerf_bands_split(f->block[j].rows, 1, n, part, rows);
	for (k = 0; k < n; k++)
		if (part[k] > part[most])
			most = k;
	return kerf_bands_tiled(bands, f->block[i].begin, f->block[j].end, worker[most], n, worker,
				rows);
}

static int emit(const struct search *x, uint32_t at, struct kerf_bands *bands)
{
	const struct kerf_fused *f = x->f;
	uint32_t *end = malloc(((size_t)f->n + 1) * sizeof(*end)), n = 0, block = f->n;
	uint32_t *kind = malloc(((size_t)f->n + 1) * sizeof(*kind));
	int r = end && kind ? 0 : -ENOMEM;

	while (!r && block) {
		const struct state *s = state_at(x, block, at);

		end[n] = block;
		kind[n++] = at;
		block = s->from_block;
		at = s->from_state;
	}
	while (!r && n--) {
		if (kind[n])
			r = kerf_bands_whole(bands, f->block[block].begin, f->block[end[n] - 1].end,
					     kind[n] - 1);
		else
			r = kerf_fused_tile(f, block, end[n] - 1, x->o->n_worker, x->o->worker,
					    x->o->part, bands);
		block = end[n];
	}
	free(end);
	free(kind);
	return r;
}

int kerf_fused_search(const struct kerf_fused *f, const struct kerf_fused_search *search,
		      struct kerf_bands *bands, double *latency_s, struct kerf_err *err)
{
	struct search x = {.f = f, .o = search, .n_state = 1 + f->p->n_engine};
	uint32_t i, j, most = search->most_fused ? search->most_fused : f->n, at;
	int r;

	x.state = calloc(((size_t)f->n + 1) * x.n_state, sizeof(*x.state));
	if (!x.state)
		return -ENOMEM;
	start(&x);
	for (j = 0; j < f->n; j++) {
		if (f->block[j].rows && search->n_worker > 1)
			for (i = j + 1; i-- > f->since[j] && j - i < most;)
				try_bands(&x, i, j);
		if (!search->always || !isfinite(state_at(&x, j + 1, 0)->s))
			try_whole(&x, j);
	}
	at = f->n ? finish(&x, latency_s) : UINT32_MAX;
	r = at == UINT32_MAX ? kerf_fail(err, -ENODEV, "no engines within reach can run all operators")
			     : emit(&x, at, bands);
	free(x.state);
	return r;
}

/* --- parts that end together ------------------------------------------------ */

/* Seconds that each worker computes, and that its pieces take to come, in this plan. */
static void worker_times(const struct kerf_problem *p, const struct kerf_plan *plan,
			 const struct kerf_fused_search *o, double *time)
{
	uint32_t i, w, k = 0;

	memset(time, 0, KERF_MAX_ENGINES * sizeof(*time));
	for (i = 0; i < plan->n_step; i++) {
		const struct kerf_plan_step *s = &plan->step[i];
		double start = INFINITY, end = 0;

		for (; k < plan->n_edge && plan->edge[k].to == i; k++)
			if (plan->edge[k].bytes > 0) {
				start = fmin(start, plan->edge[k].start_s);
				end = fmax(end, plan->edge[k].end_s);
			}
		for (w = 0; w < o->n_worker; w++)
			if (o->worker[w] == s->engine && s->rows.end)
				time[w] += s->compute_s + fmax(end - start, 0);
	}
}

/* Parts add up to one. */
static void norm(struct kerf_fused_search *o)
{
	double sum = 0;
	uint32_t w;

	for (w = 0; w < o->n_worker; w++)
		sum += o->part[w];
	for (w = 0; w < o->n_worker && sum > 0; w++)
		o->part[w] /= sum;
}

/* Parts move halfway to where all would take the same time; false if they stay. */
static bool correct(struct kerf_fused_search *o, const double *time)
{
	double most = 0, least = INFINITY;
	uint32_t w;

	for (w = 0; w < o->n_worker; w++) {
		if (o->part[w] <= 0 || time[w] <= 0)
			continue;
		most = fmax(most, time[w]);
		least = fmin(least, time[w]);
		o->part[w] /= sqrt(time[w]);
	}
	norm(o);
	return most > 1.02 * least;
}

int kerf_fused_rounds(const struct kerf_fused *f, struct kerf_fused_search *o, uint32_t rounds,
		      const char *policy, struct kerf_choice *c, struct kerf_err *err)
{
	double time[KERF_MAX_ENGINES], s;
	struct kerf_bands b = {0};
	struct kerf_plan tried;
	bool again = true;
	uint32_t round, i;
	int r = 0;

	norm(o);
	for (round = 0; round < rounds && again && !r; round++) {
		uint32_t tiles = 0;

		r = kerf_fused_search(f, o, &b, &s, err);
		if (!r)
			r = kerf_bands_build(f->p, &b, &tried, NULL);
		kerf_bands_finish(&b);
		/* Bands that cannot be sent what they read are no plan, not a failure. */
		if (r == -EINVAL) {
			kerf_choice_offer(f->p, c, &tried, r);
			return 0;
		}
		if (r)
			break;
		worker_times(f->p, &tried, o, time);
		for (i = 0; i < tried.n_step; i++)
			tiles += tried.step[i].rows.end > 0;
		/* Without tiles there is nothing to correct. */
		again = tiles && correct(o, time);
		tried.policy = policy;
		snprintf(tried.reason, sizeof(tried.reason),
			 "%u steps in bands, %u whole, over %u engines, parts of round %u", tiles,
			 tried.n_step - tiles, o->n_worker, round + 1);
		kerf_choice_offer(f->p, c, &tried, 0);
	}
	return r;
}

int kerf_fused_widths(const struct kerf_problem *p, const struct kerf_fused_search *search,
		      kerf_fused_try try, struct kerf_plan *plan, struct kerf_err *err)
{
	struct kerf_fused_search all = *search, some;
	struct kerf_choice c = {0};
	struct kerf_fused *f;
	uint32_t n;
	int r = kerf_fused_make(p, KERF_FUSED_REACH, KERF_FUSED_BLOCKS, &f);

	if (r)
		return r;
	all.n_worker = kerf_fused_workers(f, all.worker, all.part);
	sort_workers(p, &all);
	for (n = KERF_MIN(all.n_worker, 2); n <= all.n_worker && !r; n++) {
		some = all;
		some.n_worker = n;
		r = try(f, &some, &c, err);
	}
	kerf_fused_free(f);
	if (r)
		kerf_choice_drop(&c);
	return r ? r : kerf_choice_end(p, &c, plan, err);
}

/* --- fused heads ------------------------------------------------------------ */

bool kerf_fused_reach(const struct kerf_fused *f, uint32_t *first, uint32_t *last)
{
	uint32_t j;

	for (*first = 0; *first < f->n && !f->block[*first].rows; (*first)++)
		;
	for (j = *first; j < f->n && f->block[j].rows && f->since[j] <= *first; j++)
		*last = j;
	return *first < f->n;
}

double kerf_fused_deal(const struct kerf_fused *f, const struct kerf_fused_head *h, uint32_t n,
		       const uint32_t *worker, uint32_t *engine)
{
	double end[KERF_MAX_ENGINES] = {0}, part = 1 / (double)h->n_tile, read, s, least, all = 0;
	uint32_t i, w, best;

	/* A padded tile reads no more than its own. */
	read = part + (h->padded ? 0 : kerf_fused_halo_in(f, h->first, h->last));
	read = f->block[h->first].in_bytes * fmin(read, 1);
	for (i = 0; i < h->n_tile; i++) {
		least = INFINITY;
		for (best = w = 0; w < n; w++) {
			uint32_t node = f->p->engine[worker[w]].node;

			s = end[w] + kerf_fused_band_s(f, h->first, h->last, worker[w], part) +
			    kerf_fused_move_s(f->p, f->p->home, node, read) +
			    kerf_fused_move_s(f->p, node, f->p->home,
					      f->block[h->last].out_bytes * part);
			if (s < least) {
				least = s;
				best = w;
			}
		}
		end[best] = least;
		engine[i] = worker[best];
		all = fmax(all, least);
	}
	return all;
}

/* The layers after block last, whole at home. */
static double rest_s(const struct kerf_fused *f, uint32_t last)
{
	double least = INFINITY, s;
	uint32_t e, j;

	for (e = 0; e < f->p->n_engine; e++) {
		if (f->p->engine[e].node != f->p->home)
			continue;
		for (s = 0, j = last + 1; j < f->n; j++)
			s += f->whole_s[(size_t)j * f->p->n_engine + e];
		least = fmin(least, s);
	}
	return least;
}

static uint32_t keep_try(struct kerf_fused_try *tries, uint32_t n, struct kerf_fused_try t)
{
	uint32_t i;

	if (n == KERF_FUSED_TRIES && t.s >= tries[n - 1].s)
		return n;
	for (i = KERF_MIN(n, KERF_FUSED_TRIES - 1); i && tries[i - 1].s > t.s; i--)
		tries[i] = tries[i - 1];
	tries[i] = t;
	return KERF_MIN(n + 1, KERF_FUSED_TRIES);
}

uint32_t kerf_fused_heads(const struct kerf_fused *f, bool padded, uint32_t most_tile, uint32_t n,
			  const uint32_t *worker, struct kerf_fused_try tries[KERF_FUSED_TRIES])
{
	uint32_t *engine = malloc(most_tile * sizeof(*engine)), last, k, before, n_try = 0;
	struct kerf_fused_head h = {.padded = padded};
	double rest;

	if (!engine || !n || !kerf_fused_reach(f, &h.first, &last))
		goto out;
	for (h.last = h.first; h.last <= last; h.last++) {
		rest = rest_s(f, h.last);
		for (before = 0, k = 1; k <= 4; k *= 2) {
			int64_t most = KERF_MIN(most_tile, f->block[h.last].rows);

			h.n_tile = (uint32_t)KERF_MIN((int64_t)KERF_MAX(k * n, 2), most);
			if (h.n_tile == before)
				break;
			before = h.n_tile;
			n_try = keep_try(tries, n_try,
					 (struct kerf_fused_try){
						 h.last, h.n_tile,
						 rest + kerf_fused_deal(f, &h, n, worker, engine)});
		}
	}
out:
	free(engine);
	return n_try;
}

static int equal_tiles(const struct kerf_fused *f, const struct kerf_fused_head *h, uint32_t i,
		       uint32_t j, struct kerf_bands *bands)
{
	struct kerf_rows *rows = malloc(h->n_tile * sizeof(*rows));
	double *weight = malloc(h->n_tile * sizeof(*weight));
	int r = -ENOMEM;
	uint32_t k;

	for (k = 0; weight && k < h->n_tile; k++)
		weight[k] = 1;
	if (rows && weight) {
		kerf_bands_split(f->block[j].rows, 1, h->n_tile, weight, rows);
		r = kerf_bands_tiled(bands, f->block[i].begin, f->block[j].end, h->engine[0],
				     h->n_tile, h->engine, rows);
	}
	if (!r)
		bands->group[bands->n_group - 1].padded = h->padded;
	free(rows);
	free(weight);
	return r;
}

int kerf_fused_head(const struct kerf_fused *f, const struct kerf_fused_head *h,
		    struct kerf_bands *bands, struct kerf_err *err)
{
	uint32_t begin = f->block[h->first].begin, end = f->block[h->last].end, e;
	uint32_t n_op = f->p->graph->n_op;
	int r = 0;

	if (begin) {
		r = kerf_bands_home_engine(f->p, 0, begin, &e, err);
		if (!r)
			r = kerf_bands_whole(bands, 0, begin, e);
	}
	if (!r && h->meet > h->first)
		r = equal_tiles(f, h, h->first, h->meet - 1, bands);
	if (!r)
		r = equal_tiles(f, h, KERF_MAX(h->first, h->meet), h->last, bands);
	if (!r && end < n_op) {
		r = kerf_bands_home_engine(f->p, end, n_op, &e, err);
		if (!r)
			r = kerf_bands_whole(bands, end, n_op, e);
	}
	return r;
}
