/* SPDX-License-Identifier: MIT */
/*
 * CoEdge: L. Zeng, X. Chen, Z. Zhou, L. Yang, J. Zhang, "CoEdge: Cooperative DNN inference with
 * adaptive workload partitioning over heterogeneous edge devices", IEEE/ACM ToN 29(2), 2021 (online
 * 2020).
 *
 * One vector of parts, the same for every layer; each device computes its rows of each layer and
 * gets the halo from its neighbours. The parts minimise energy under a deadline and each device's
 * memory. As stated that is NP-hard, because a part below what the halo needs is not allowed
 * (a device must get its halo from direct neighbours alone): the paper drops that threshold,
 * solves the linear program that is left, takes out devices whose part came below it, and
 * solves again.
 *
 * The program, with a the seconds of all layers and b what comes whatever the part (jobs, fixed
 * costs, halos): minimise sum e_i x_i where x_i <= (D - b_i) / a_i, x_i <= memory, sum x_i = 1,
 * x >= 0. Bounds and one sum make it a fractional knapsack: devices by energy a part, each up to
 * its bound. The sum over layers leaves out that they wait for one another, so several D are
 * tried, from the least with a solution on, and below the deadline; the priced plan that meets the
 * goal at least cost is taken.
 *
 * Modelled: all of the above; layers that cannot be cut run on the device that asked, as the
 * paper's fully connected ones do. Not: parts that change while it runs: a new plan does that.
 * What halos cost in energy, and what waiting nodes draw, is in the price and not in the programme.
 */
#include "plan/fused.h"
#include "plan/policy.h"

#include <math.h>
#include <string.h>

struct coedge {
	const struct kerf_fused *f;
	const struct kerf_problem *p;
	uint32_t n, worker[KERF_MAX_ENGINES];
	bool out[KERF_MAX_ENGINES];	/* dropped */
	double each[KERF_MAX_ENGINES];	/* seconds for all rows of all layers */
	double fixed[KERF_MAX_ENGINES]; /* whatever the part */
	double joules[KERF_MAX_ENGINES]; /* for all rows */
	double most[KERF_MAX_ENGINES];	/* part that fits in memory */
	double threshold;		/* least part that is more than any layer's halo */
};

/* Weights of all layers, and the largest layer's input and output by the part. */
static double fits(const struct coedge *x, uint32_t worker)
{
	const struct kerf_plan_node *node = x->p->node;
	uint32_t j, o, at = x->p->engine[worker].node;
	double weights = 0, most = 1;

	if (!node || node[at].memory_bytes <= 0)
		return 1;
	for (j = 0; j < x->f->n; j++) {
		const struct kerf_block *b = &x->f->block[j];

		/* Home may also run the layers that are not cut. */
		for (o = b->begin; o < b->end && (b->rows || at == x->p->home); o++)
			weights += x->p->outline->weight_bytes[o];
	}
	for (j = 0; j < x->f->n; j++) {
		const struct kerf_block *b = &x->f->block[j];

		if (b->rows)
			most = fmin(most, (node[at].memory_bytes - weights) /
						  fmax(b->in_bytes + b->out_bytes, 1));
	}
	return fmax(most, 0);
}

static void measure(struct coedge *x)
{
	const struct kerf_problem *p = x->p;
	uint32_t j, w;

	for (w = 0; w < x->n; w++) {
		uint32_t e = x->worker[w], node = p->engine[e].node, by;
		double bytes = 0;

		by = p->engine[x->worker[w ? w - 1 : x->n - 1]].node;
		for (j = 0; j < x->f->n; j++) {
			const struct kerf_block *b = &x->f->block[j];
			const struct kerf_fused_s *s;
			double halo;

			if (!b->rows)
				continue;
			s = kerf_fused_cost(x->f, j, j, e);
			halo = b->in_bytes * kerf_fused_halo_in(x->f, j, j);
			x->each[w] += s->each;
			x->fixed[w] += p->engine[e].job_s + s->fixed + s->halo;
			if (halo > 0)
				x->fixed[w] += kerf_fused_move_s(p, by, node, halo / 2);
			x->threshold = fmax(x->threshold, fmax(kerf_fused_halo_in(x->f, j, j) / 2,
							       0.5 / (double)b->rows));
			bytes = fmax(bytes, b->in_bytes);
		}
		x->joules[w] = x->each[w] * p->engine[e].active_w;
		if (node != p->home) {
			/* The input comes, the result goes back, both by the part. */
			x->each[w] += kerf_fused_move_s(p, p->home, node, bytes) -
				      kerf_fused_move_s(p, p->home, node, 0);
			if (p->node)
				x->joules[w] += bytes * (p->node[p->home].send_j_byte +
							 p->node[node].receive_j_byte);
		}
		x->most[w] = fits(x, e);
	}
}

/* The linear program for deadline d; false if it has no solution. */
static bool solve(const struct coedge *x, double d, double *part)
{
	bool done[KERF_MAX_ENGINES] = {false};
	double left = 1, bound;
	uint32_t round, w, best;

	memset(part, 0, x->n * sizeof(*part));
	for (round = 0; round < x->n && left > 1e-9; round++) {
		for (best = x->n, w = 0; w < x->n; w++)
			if (!done[w] && !x->out[w] &&
			    (best == x->n || x->joules[w] < x->joules[best]))
				best = w;
		if (best == x->n)
			break;
		done[best] = true;
		bound = fmin((d - x->fixed[best]) / fmax(x->each[best], 1e-12), x->most[best]);
		part[best] = fmax(fmin(bound, left), 0);
		left -= part[best];
	}
	return left <= 1e-9;
}

static double least_deadline(const struct coedge *x)
{
	double part[KERF_MAX_ENGINES], low = 0, high = 0;
	uint32_t w;
	int i;

	for (w = 0; w < x->n; w++)
		high += x->fixed[w] + x->each[w];
	if (!solve(x, high, part))
		return INFINITY;
	for (i = 0; i < 50; i++) {
		double mid = (low + high) / 2;

		*(solve(x, mid, part) ? &high : &low) = mid;
	}
	return high;
}

/* Solve, take out who came below the threshold, solve again. d is a factor of the least or, s. */
static bool parts_for(struct coedge *x, double factor, double d, double *part)
{
	uint32_t w, worst;

	memset(x->out, 0, sizeof(x->out));
	for (;;) {
		double least = least_deadline(x);

		if (!isfinite(least) || !solve(x, fmax(d, least * factor), part))
			return false;
		for (worst = x->n, w = 0; w < x->n; w++)
			if (part[w] > 0 && part[w] < x->threshold &&
			    (worst == x->n || part[w] < part[worst]))
				worst = w;
		if (worst == x->n)
			return true;
		x->out[worst] = true;
	}
}

/* part NULL: nothing is cut. */
static int offer(struct coedge *x, const double *part, struct kerf_choice *c, struct kerf_err *err)
{
	struct kerf_bands b = {0};
	uint32_t j, whole, used = 0, w;
	int r = 0;

	for (w = 0; w < x->n && part; w++)
		used += part[w] > 0;
	for (j = 0; j < x->f->n && !r; j++) {
		const struct kerf_block *block = &x->f->block[j];

		if (block->rows && part) {
			r = kerf_fused_tile(x->f, j, j, x->n, x->worker, part, &b);
			continue;
		}
		r = kerf_bands_home_engine(x->p, block->begin, block->end, &whole, err);
		if (!r)
			r = kerf_bands_whole(&b, block->begin, block->end, whole);
	}
	if (!r)
		kerf_bands_offer(x->p, &b, "coedge", c,
				 "one part for each of %u engines in every layer", used);
	kerf_bands_finish(&b);
	return r;
}

int kerf_policy_coedge(const struct kerf_problem *p, struct kerf_plan *plan, struct kerf_err *err)
{
	static const double loose[] = {1, 1.25, 1.5, 2, 4, 1e6};
	static const double tight[] = {0.9, 0.75, 0.6, 0.5, 0.4, 0.3};
	double part[KERF_MAX_ENGINES], last[KERF_MAX_ENGINES] = {0}, speed[KERF_MAX_ENGINES];
	struct coedge x = {.p = p};
	struct kerf_choice c = {0};
	struct kerf_fused *f;
	bool any = false;
	uint32_t i;
	int r = kerf_fused_make(p, 1, 0, &f);

	if (r)
		return r;
	x.f = f;
	x.n = kerf_fused_workers(f, x.worker, speed);
	measure(&x);
	for (i = 0; i < KERF_ARRAY_SIZE(loose) + KERF_ARRAY_SIZE(tight) && !r; i++) {
		double factor = i < KERF_ARRAY_SIZE(loose) ? loose[i] : 1, d = 0;

		if (i >= KERF_ARRAY_SIZE(loose))
			d = p->goal.deadline_s * tight[i - KERF_ARRAY_SIZE(loose)];
		if ((i >= KERF_ARRAY_SIZE(loose) && d <= 0) || !parts_for(&x, factor, d, part))
			continue;
		if (!any || memcmp(part, last, x.n * sizeof(*part)))
			r = offer(&x, part, &c, err);
		memcpy(last, part, x.n * sizeof(*part));
		any = true;
	}
	/* Nobody has the memory, or there is nothing to cut: what is nearest to the goal then. */
	if (!r && !any)
		r = offer(&x, NULL, &c, err);
	kerf_fused_free(f);
	if (r)
		kerf_choice_drop(&c);
	return r ? r : kerf_choice_end(p, &c, plan, err);
}
