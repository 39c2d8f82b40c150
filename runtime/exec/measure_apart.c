/* SPDX-License-Identifier: MIT */
/*
 * What running operators apart costs. The whole graph and its two halves at some cuts run in
 * turns; the second half reads the first one's outputs where they lie, as in a session. Of each
 * turn the difference counts, and of all turns its median: a machine whose speed drifts drifts for
 * both, and a burst of other work hits either as often.
 */
#include "exec/measure_priv.h"
#include "graph/slice.h"
#include "plan/outline.h"
#include "util/clock.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define MIN_ROUNDS 5
#define MAX_ROUNDS 100
/* Of jobs that are measured alone: between two, and of all. */
#define JOB_PAUSE_NS 200000
#define JOB_NS 100000000u

/* A job's time where the engine is: beyond a link, as the peer says. */
static int run_once(struct kerf_half *h, bool remote, double *s)
{
	uint64_t begin = kerf_now_ns(), ns;
	struct kerf_job job;
	int r = kerf_engine_run(h->program, h->io.in, h->io.out, &job);

	if (r)
		return r;
	ns = remote ? job.busy_ns : kerf_now_ns() - begin;
	*s = (double)ns * 1e-9;
	return 0;
}

int kerf_half_make(struct kerf_engine *e, struct kerf_graph *g, uint32_t begin, uint32_t end,
		     struct kerf_half *h, struct kerf_err *err)
{
	struct kerf_slice_spec spec = {.n_op = end - begin};
	uint32_t *op = malloc((spec.n_op + 1) * sizeof(*op)), i;
	int r = op ? 0 : -ENOMEM;

	for (i = 0; op && i < spec.n_op; i++)
		op[i] = begin + i;
	spec.op = op;
	if (!r)
		r = kerf_slice_make(g, &spec, &h->slice, err);
	free(op);
	if (!r)
		r = e->ops->prepare(e, h->slice, &h->program, err);
	return r ? r : kerf_io_make_on(e, h->slice, 1, &h->io);
}

void kerf_half_finish(struct kerf_engine *e, struct kerf_half *h)
{
	if (h->program)
		e->ops->release(h->program);
	kerf_io_finish(&h->io);
	kerf_graph_unref(h->slice);
	memset(h, 0, sizeof(*h));
}

int32_t kerf_half_output(const struct kerf_half *h, const char *name)
{
	uint32_t i;

	for (i = 0; i < h->slice->n_out; i++)
		if (!strcmp(h->slice->value[h->slice->out[i]].name, name))
			return (int32_t)i;
	return -1;
}

/* Counts what goes over, and lets b read it where a put it; *own keeps b's memory, in[] of it. */
static void join(const struct kerf_half *a, struct kerf_half *b, void **own, struct kerf_cut *cut)
{
	uint32_t i;

	for (i = 0; i < b->io.n_in; i++) {
		int32_t from = kerf_half_output(a, b->slice->value[b->slice->in[i]].name);

		own[i] = b->io.in[i].data;
		if (from < 0)
			continue;
		b->io.in[i].data = a->io.out[from].data;
		cut->values++;
		cut->bytes += (double)kerf_tensor_bytes(&b->io.in[i]);
	}
}

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static double median(double *v, uint32_t n)
{
	qsort(v, n, sizeof(*v), compare);
	return n % 2 ? v[n / 2] : (v[n / 2 - 1] + v[n / 2]) / 2;
}

/* Once whole and once in halves: how much longer the halves took. */
static int run_turn(struct kerf_half *whole, struct kerf_half *a, struct kerf_half *b, bool remote,
		    double *extra, double *one)
{
	double first, second;
	int r = run_once(whole, remote, one);

	if (!r)
		r = run_once(a, remote, &first);
	if (!r)
		r = run_once(b, remote, &second);
	if (!r)
		*extra = first + second - *one;
	return r;
}

static int measure_cut(struct kerf_engine *e, struct kerf_graph *g, bool remote, double seconds,
		       struct kerf_cut *cut, struct kerf_err *err)
{
	uint64_t end = kerf_now_ns() + (uint64_t)(seconds * 1e9);
	double extra[MAX_ROUNDS], one[MAX_ROUNDS];
	struct kerf_half whole = {0}, a = {0}, b = {0};
	void **own = NULL;
	uint32_t round, i;
	int r;

	r = kerf_half_make(e, g, 0, g->n_op, &whole, err);
	if (!r)
		r = kerf_half_make(e, g, 0, cut->op, &a, err);
	if (!r)
		r = kerf_half_make(e, g, cut->op, g->n_op, &b, err);
	if (!r) {
		own = calloc(b.io.n_in + 1, sizeof(*own));
		r = own ? 0 : -ENOMEM;
	}
	if (!r)
		join(&a, &b, own, cut);
	for (round = 0; !r && round < MAX_ROUNDS && (round < MIN_ROUNDS || kerf_now_ns() < end);
	     round++)
		r = run_turn(&whole, &a, &b, remote, &extra[round], &one[round]);
	if (!r) {
		cut->extra_s = median(extra, round);
		cut->whole_s = median(one, round);
	}
	for (i = 0; own && i < b.io.n_in; i++)
		b.io.in[i].data = own[i];
	free(own);
	kerf_half_finish(e, &whole);
	kerf_half_finish(e, &a);
	kerf_half_finish(e, &b);
	return r;
}

/* What goes in and comes out of operator o, in bytes. */
static double io_bytes(const struct kerf_graph *g, const struct kerf_op *op)
{
	double sum = 0;
	int i;

	for (i = 0; i < op->n_in; i++)
		if (op->in[i] >= 0 && !kerf_value_is_const(&g->value[op->in[i]]))
			sum += (double)kerf_tensor_bytes(&g->value[op->in[i]].t);
	for (i = 0; i < op->n_out; i++)
		if (op->out[i] >= 0)
			sum += (double)kerf_tensor_bytes(&g->value[op->out[i]].t);
	return sum;
}

/*
 * A job's time with its node, threads that must be woken and all: here until its end is told, and
 * whoever is told goes on with the next step; beyond a link from the request to the reply, as the
 * peer says.
 */
static int hold_once(struct kerf_half *h, bool remote, double *s)
{
	struct kerf_job job;
	int r = kerf_engine_run(h->program, h->io.in, h->io.out, &job);

	if (r)
		return r;
	*s = (double)(remote ? KERF_MAX(job.hold_ns, job.busy_ns) : job.end_ns - job.queued_ns) * 1e-9;
	return 0;
}

/*
 * A job of the operator that reads and makes least, less what the operator takes. Jobs of a plan
 * come one by one and meet threads that sleep, so there are pauses.
 */
int kerf_measure_job(struct kerf_engine *e, struct kerf_graph *g, double *job_s,
		     struct kerf_err *err)
{
	const struct timespec pause = {.tv_nsec = JOB_PAUSE_NS};
	uint64_t end = kerf_now_ns() + JOB_NS, ns = 0;
	struct kerf_engine_info info;
	struct kerf_half h = {0};
	double extra[MAX_ROUNDS], held = 0;
	uint32_t i, best = 0, n = 0;
	int r;

	e->ops->describe(e, &info);
	if (!e->ops->profile || !g->n_op)
		return kerf_fail(err, -EOPNOTSUPP, "engine %s cannot profile", info.name);
	for (i = 1; i < g->n_op; i++)
		if (io_bytes(g, &g->op[i]) < io_bytes(g, &g->op[best]))
			best = i;
	r = kerf_half_make(e, g, best, best + 1, &h, err);
	/* The first one meets cold caches. */
	if (!r)
		r = hold_once(&h, info.remote, &held);
	while (!r && n < MAX_ROUNDS && (n < MIN_ROUNDS || kerf_now_ns() < end)) {
		nanosleep(&pause, NULL);
		r = hold_once(&h, info.remote, &held);
		if (!r)
			r = e->ops->profile(h.program, h.io.in, h.io.out, &ns);
		extra[n++] = held - (double)ns * 1e-9;
	}
	kerf_half_finish(e, &h);
	*job_s = r ? 0 : fmax(median(extra, n), 0);
	return r;
}

int kerf_choose_cuts(const struct kerf_graph *g, uint32_t n, struct kerf_cut *cut, uint32_t *found)
{
	struct kerf_outline *x;
	uint32_t i, k;
	int r = kerf_outline_make(g, &x);

	*found = 0;
	if (r)
		return r;
	for (i = 1; i <= n; i++) {
		uint32_t at = (uint32_t)((uint64_t)g->n_op * i / (n + 1));

		/* The narrowest of the operators about there. */
		for (k = at; k < g->n_op && k < at + g->n_op / (2 * n + 2) + 1; k++)
			if (x->n_live[k] < x->n_live[at])
				at = k;
		if (!at || at >= g->n_op || (*found && cut[*found - 1].op >= at))
			continue;
		memset(&cut[*found], 0, sizeof(*cut));
		cut[(*found)++].op = at;
	}
	kerf_outline_free(x);
	return 0;
}

int kerf_measure_cuts(struct kerf_engine *e, struct kerf_graph *g, double seconds, uint32_t most,
		      struct kerf_cut *cut, uint32_t *n, double *job_s, struct kerf_err *err)
{
	struct kerf_engine_info info;
	uint32_t i, kept = 0;
	int r = kerf_choose_cuts(g, most, cut, n);

	e->ops->describe(e, &info);
	if (!r && g->n_op)
		r = kerf_measure_job(e, g, job_s, err);
	for (i = 0; i < *n && !r; i++) {
		struct kerf_cut c = cut[i];

		r = measure_cut(e, g, info.remote, seconds / *n, &c, err);
		/* What cannot be cut there (a value whose shape is not known) is left out. */
		if (r == -EOPNOTSUPP || r == -EINVAL) {
			r = 0;
			continue;
		}
		cut[kept++] = c;
	}
	*n = kept;
	return r;
}

int kerf_measure_apart(struct kerf_engine *e, struct kerf_graph *g, double seconds,
		       struct kerf_engine_cost *cost, struct kerf_err *err)
{
	struct kerf_cut cut[KERF_CUTS];
	double extra[KERF_CUTS], values[KERF_CUTS], bytes[KERF_CUTS], job_s = 0;
	uint32_t n, i;
	int r = kerf_measure_cuts(e, g, seconds, KERF_CUTS, cut, &n, &job_s, err);

	if (r)
		return r;
	for (i = 0; i < n; i++) {
		extra[i] = cut[i].extra_s;
		values[i] = cut[i].values;
		bytes[i] = cut[i].bytes;
	}
	kerf_apart_fit(extra, values, bytes, n, job_s, &cost->apart_fixed_s, &cost->apart_byte_s);
	cost->job_s = job_s;
	cost->has_job = true;
	cost->apart_cuts = n;
	cost->has_apart = n > 0;
	return 0;
}
