/* SPDX-License-Identifier: MIT */
/*
 * PICO: X. Yang, Z. Xu, Q. Qi, J. Wang, H. Sun, J. Liao, S. Guo, "PICO: Pipeline inference
 * framework for versatile CNNs on diverse mobile devices", IEEE Transactions on Mobile Computing,
 * 2023 (doi 10.1109/TMC.2023.3265111; arXiv 2206.08662).
 *
 * The model becomes a sequence of pieces, pieces become stages of a pipeline, and each stage has a
 * group of devices that share it in bands. Many requests are under way, one in each stage, so the
 * slowest stage decides how many are answered in a second. Dynamic programming over pieces and
 * numbers of devices finds the stages; the paper solves it for devices of the average speed
 * and then adapts greedily to what they are.
 *
 * Modelled: pieces (our blocks between points where one value is live), stages with groups, bands
 * within a stage fused as far as they go and balanced over the group, the dynamic programme for the
 * least period. Devices are taken in order of speed and a stage's group are neighbours in that
 * order, so the programme sees their true speeds instead of an average; faster or slower first is
 * tried both ways, and every number of devices. The least period is taken whatever the goal's
 * objective, among those that meet its constraints.
 * Not: the paper's search for pieces of least overlap inside wide blocks.
 */
#include "plan/fused.h"
#include "plan/policy.h"

#include <math.h>
#include <stdlib.h>

#define MOST_PIECES 48

struct cell {
	double period_s;
	uint32_t block, used; /* where this stage begins; workers before it */
};

struct pico {
	const struct kerf_fused *f;
	const struct kerf_problem *p;
	uint32_t n, worker[KERF_MAX_ENGINES]; /* in the order that groups are cut from */
	struct cell *cell; /* [(block + 1) * (n + 1) + workers]: stages up to there */
};

/*
 * Seconds for each worker of a group when blocks i..j are one fused run; parts that balance them.
 */
static double run_s(const struct pico *x, uint32_t i, uint32_t j, uint32_t n,
		    const uint32_t *worker, double *part)
{
	const struct kerf_problem *p = x->p;
	double fixed[KERF_MAX_ENGINES], each[KERF_MAX_ENGINES], bytes, halo;
	uint32_t w;

	bytes = x->f->block[i].in_bytes + x->f->block[j].out_bytes;
	halo = kerf_fused_halo_in(x->f, i, j) * x->f->block[i].in_bytes;
	for (w = 0; w < n; w++) {
		const struct kerf_fused_s *s = kerf_fused_cost(x->f, i, j, worker[w]);
		uint32_t node = p->engine[worker[w]].node;
		/* The stage before is somewhere else: by the way to home, or from home itself. */
		uint32_t other = node != p->home ? p->home : p->engine[x->worker[x->n - 1]].node;
		double none = kerf_fused_move_s(p, other, node, 0);

		fixed[w] = p->engine[worker[w]].job_s + s->fixed + s->halo +
			   kerf_fused_move_s(p, other, node, halo);
		each[w] = s->each + kerf_fused_move_s(p, other, node, bytes) - none;
	}
	return kerf_fused_balance(n, fixed, each, part);
}

/* The end of the run of blocks that starts at i and can be fused, not beyond last. */
static uint32_t run_end(const struct kerf_fused *f, uint32_t i, uint32_t last)
{
	uint32_t j = i;

	while (j < last && f->block[j + 1].rows && f->since[j + 1] <= i)
		j++;
	return j;
}

static bool alone(const struct pico *x, uint32_t i, uint32_t n)
{
	return n == 1 || !x->f->block[i].rows;
}

/* Who runs what is not cut: the group's fastest that can, at home where it has to stay. */
static double lead_s(const struct pico *x, uint32_t i, uint32_t n, const uint32_t *worker,
		     uint32_t *lead)
{
	const struct kerf_problem *p = x->p;
	double best = INFINITY;
	uint32_t w, e;

	for (w = 0; w < n; w++) {
		double s = x->f->whole_s[(size_t)i * p->n_engine + worker[w]];

		if (s < best && (!x->f->block[i].stays || p->engine[worker[w]].node == p->home)) {
			best = s;
			*lead = worker[w];
		}
	}
	for (e = 0; isinf(best) && e < p->n_engine; e++)
		if (p->engine[e].node == p->home &&
		    isfinite(x->f->whole_s[(size_t)i * p->n_engine + e])) {
			best = x->f->whole_s[(size_t)i * p->n_engine + e];
			*lead = e;
		}
	return best;
}

/* Period of a stage: its jobs, one after the other, and what comes and goes. */
static double stage_s(const struct pico *x, uint32_t i, uint32_t last, uint32_t n,
		      const uint32_t *worker)
{
	double part[KERF_MAX_ENGINES], sum = 0;
	uint32_t j, lead = 0;

	for (; i <= last; i = j + 1) {
		if (alone(x, i, n)) {
			j = i;
			sum += lead_s(x, i, n, worker, &lead);
		} else {
			j = run_end(x->f, i, last);
			sum += run_s(x, i, j, n, worker, part);
		}
	}
	return sum + x->p->engine[worker[0]].job_s;
}

static struct cell *cell_at(const struct pico *x, uint32_t block, uint32_t used)
{
	return &x->cell[(size_t)block * (x->n + 1) + used];
}

static void programme(struct pico *x)
{
	uint32_t k, i, used, m;

	for (k = 0; k <= x->f->n; k++)
		for (used = 0; used <= x->n; used++)
			cell_at(x, k, used)->period_s = k ? INFINITY : 0;
	for (k = 1; k <= x->f->n; k++)
		for (used = 1; used <= x->n; used++)
			for (m = 1; m <= used; m++)
				for (i = 0; i < k; i++) {
					struct cell *to = cell_at(x, k, used);
					double before = cell_at(x, i, used - m)->period_s, s;

					/*
					 * All inputs and no workers, or stages and workers, before
					 * it.
					 */
					if (before >= to->period_s || (i == 0) != (used == m))
						continue;
					s = stage_s(x, i, k - 1, m, &x->worker[used - m]);
					if (fmax(before, s) < to->period_s)
						*to = (struct cell){fmax(before, s), i, used - m};
				}
}

static int emit_stage(const struct pico *x, uint32_t i, uint32_t last, uint32_t n,
		      const uint32_t *worker, uint32_t stage, struct kerf_bands *b)
{
	double part[KERF_MAX_ENGINES];
	uint32_t j, lead = worker[0];
	int r = 0;

	for (; i <= last && !r; i = j + 1) {
		if (alone(x, i, n)) {
			j = i;
			lead_s(x, i, n, worker, &lead);
			r = kerf_bands_whole(b, x->f->block[i].begin, x->f->block[i].end, lead);
		} else {
			j = run_end(x->f, i, last);
			run_s(x, i, j, n, worker, part);
			r = kerf_fused_tile(x->f, i, j, n, worker, part, b);
		}
		if (!r)
			b->group[b->n_group - 1].stage = stage;
	}
	return r;
}

static int emit(const struct pico *x, uint32_t used, uint32_t *n_stage, struct kerf_bands *b)
{
	uint32_t end[KERF_MAX_ENGINES + 1], upto[KERF_MAX_ENGINES + 1], n = 0, k = x->f->n, i, s;
	int r = 0;

	for (; k; k = i) {
		const struct cell *c = cell_at(x, k, used);

		end[n] = k;
		upto[n++] = used;
		i = c->block;
		used = c->used;
	}
	*n_stage = n;
	for (s = 0, i = 0, used = 0; n-- && !r; s++) {
		r = emit_stage(x, i, end[n] - 1, upto[n] - used, &x->worker[used], s, b);
		i = end[n];
		used = upto[n];
	}
	return r;
}

/* Pipelines of one to all workers, in this order. */
static int pipelines(struct pico *x, struct kerf_choice *c)
{
	uint32_t used, n_stage;
	int r = 0;

	programme(x);
	for (used = 1; used <= x->n && !r; used++) {
		struct kerf_bands b = {0};

		if (!isfinite(cell_at(x, x->f->n, used)->period_s))
			continue;
		r = emit(x, used, &n_stage, &b);
		if (!r)
			kerf_bands_offer(x->p, &b, "pico", c, "%u stages over %u engines", n_stage,
					 used);
		kerf_bands_finish(&b);
	}
	return r;
}

/* Fastest first, or last; equals stay as they are. */
static void sort_workers(struct pico *x, double *speed, bool slow_first)
{
	uint32_t i, k;

	for (i = 1; i < x->n; i++)
		for (k = i; k && (slow_first ? speed[k] < speed[k - 1] : speed[k] > speed[k - 1]);
		     k--) {
			double s = speed[k];
			uint32_t w = x->worker[k];

			speed[k] = speed[k - 1];
			speed[k - 1] = s;
			x->worker[k] = x->worker[k - 1];
			x->worker[k - 1] = w;
		}
}

int kerf_policy_pico(const struct kerf_problem *p, struct kerf_plan *plan, struct kerf_err *err)
{
	struct kerf_problem q = *p;
	struct pico x = {.p = &q};
	struct kerf_choice c = {0};
	double speed[KERF_MAX_ENGINES];
	struct kerf_fused *f;
	uint32_t pass;
	int r;

	q.goal.objective = KERF_FOR_PERIOD;
	r = kerf_fused_make(&q, KERF_FUSED_REACH, MOST_PIECES, &f);
	if (r)
		return r;
	x.f = f;
	x.n = kerf_fused_workers(f, x.worker, speed);
	x.cell = calloc(((size_t)f->n + 1) * (x.n + 1), sizeof(*x.cell));
	if (!x.cell)
		r = -ENOMEM;
	for (pass = 0; pass < 2 && !r; pass++) {
		sort_workers(&x, speed, pass);
		r = pipelines(&x, &c);
	}
	free(x.cell);
	kerf_fused_free(f);
	if (r)
		kerf_choice_drop(&c);
	return r ? r : kerf_choice_end(&q, &c, plan, err);
}
