/* SPDX-License-Identifier: MIT */
/*
 * Cogent: "Collaborative intelligence: accelerating deep neural network inference via device-edge
 * synergy", Security and Communication Networks, 2020, article 8831341.
 *
 * Modelled. An agent learns by trial and reward where to cut a network between device and edge and
 * how far to shrink it, without being told how costs come about: it proposes a configuration, is
 * told what it costs, and proposes better ones.
 *
 * What differs. The paper's agent is DDPG: two neural networks, an actor that maps the state to an
 * action and a critic that values it, trained over many episodes on the real system. Here one call
 * is one state, so an actor is no more than a distribution over actions, and the critic the rank of
 * what was tried: the cross-entropy method (Rubinstein, 1999). In each round actions are drawn, the
 * best eighth of them says where the next are drawn from, and the best ever seen is the plan.
 * Work is bounded (ROUNDS * DRAWS), rewards come from the cost model, and the seed is the
 * problem's.
 *
 * How it is mapped. An action is a pair of engines (one of home and another), a position of the
 * topological order as a number from 0 to 1 (as DDPG's are), a codec and an exit that the goal
 * allows. The last two stand for the paper's pruning of channels by a rate for each layer, which
 * kerf does not do: it runs the model as it is. Deployment in containers has no part in a plan.
 */
#include "plan/policy.h"
#include "plan/scan.h"
#include "util/rng.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ROUNDS 24
#define DRAWS 64
#define ELITE (DRAWS / 8)
#define KEEP 0.3 /* of what was believed, a round */
#define MAX_PAIRS (KERF_MAX_ENGINES * KERF_MAX_ENGINES)
#define MAX_EXITS 64 /* the most accurate ones */

struct pair {
	uint32_t here, there;
	double mean, spread;
};

struct draw {
	uint32_t pair, exit;
	struct kerf_scan_cut cut;
	double at; /* 0 .. 1 */
};

struct agent {
	const struct kerf_problem *p;
	struct kerf_rng rng;
	uint32_t n_pair, n_exit; /* exit 0 is the whole model, i the i-th best */
	struct pair *pair;
	double chance[MAX_PAIRS], codec[KERF_N_CODECS], exit[MAX_EXITS + 1];
	struct kerf_scan *scan; /* [n_exit] */
	struct draw *draw;	/* [DRAWS], the best first after learning */
	struct kerf_scan_cut best;
};

static void finish(struct agent *a)
{
	uint32_t i;

	for (i = 0; a->scan && i < a->n_exit; i++)
		kerf_scan_finish(&a->scan[i]);
	free(a->scan);
	free(a->pair);
	free(a->draw);
}

static int make(struct agent *a, const struct kerf_problem *p)
{
	uint32_t here = UINT32_MAX, there = UINT32_MAX, i, codecs = kerf_scan_codecs(p), n = 0;
	int r = 0;

	*a = (struct agent){.p = p};
	kerf_rng_seed(&a->rng, p->seed);
	a->n_exit = 1 + (p->goal.exits ? KERF_MIN(p->graph->n_exit, MAX_EXITS) : 0);
	a->pair = malloc(MAX_PAIRS * sizeof(*a->pair));
	a->scan = calloc(a->n_exit, sizeof(*a->scan));
	a->draw = malloc(DRAWS * sizeof(*a->draw));
	if (!a->pair || !a->scan || !a->draw)
		return -ENOMEM;
	for (i = 0; i < a->n_exit && !r; i++)
		r = kerf_scan_make(&a->scan[i], p, i ? (int32_t)(p->graph->n_exit - i) : -1);
	while (kerf_scan_next_pair(p, &here, &there))
		a->pair[a->n_pair++] = (struct pair){here, there, 0.5, 0.5};
	for (i = 0; i < a->n_pair; i++)
		a->chance[i] = 1.0 / a->n_pair;
	for (i = 0; i < KERF_N_CODECS; i++)
		n += codecs >> i & 1;
	for (i = 0; i < KERF_N_CODECS; i++)
		a->codec[i] = codecs >> i & 1 ? 1.0 / n : 0;
	for (i = 0; i < a->n_exit; i++)
		a->exit[i] = 1.0 / a->n_exit;
	return r;
}

static uint32_t pick(struct agent *a, const double *chance, uint32_t n)
{
	double x = (double)kerf_rng_float(&a->rng);
	uint32_t i, last = 0;

	for (i = 0; i < n; i++) {
		if (chance[i] <= 0)
			continue;
		last = i;
		if (x < chance[i])
			break;
		x -= chance[i];
	}
	return last;
}

/* Normal enough: twelve uniforms. */
static double bell(struct agent *a)
{
	double sum = -6;
	int i;

	for (i = 0; i < 12; i++)
		sum += (double)kerf_rng_float(&a->rng);
	return sum;
}

static void act(struct agent *a, struct draw *d)
{
	uint32_t codec, keep = KERF_MIN(a->p->goal.keep, a->p->graph->n_op), k;
	struct kerf_scan *s;
	struct pair *pair;

	d->pair = pick(a, a->chance, a->n_pair);
	codec = pick(a, a->codec, KERF_N_CODECS);
	d->exit = pick(a, a->exit, a->n_exit);
	pair = &a->pair[d->pair];
	d->at = fmin(fmax(pair->mean + pair->spread * bell(a), 0), 1);
	s = &a->scan[d->exit];
	if (s->here != pair->here || s->there != pair->there)
		kerf_scan_pair(s, pair->here, pair->there);
	k = keep + (uint32_t)(d->at * (s->n - keep) + 0.5);
	kerf_scan_at(s, k, (enum kerf_codec)codec, &d->cut);
	if (kerf_scan_better(&d->cut, &a->best))
		a->best = d->cut;
}

/* The reward is the rank: what runs, misses the goal by less, costs less. */
static int by_reward(const void *a, const void *b)
{
	const struct draw *x = a, *y = b;

	if (kerf_scan_better(&x->cut, &y->cut))
		return -1;
	if (kerf_scan_better(&y->cut, &x->cut))
		return 1;
	/* Of equals none but the order of what they are: qsort alone promises nothing. */
	if (x->pair != y->pair)
		return x->pair < y->pair ? -1 : 1;
	if (x->at != y->at)
		return x->at < y->at ? -1 : 1;
	if (x->cut.codec != y->cut.codec)
		return x->cut.codec < y->cut.codec ? -1 : 1;
	return (x->exit > y->exit) - (x->exit < y->exit);
}

static void believe(double *old, double found)
{
	*old = KEEP * *old + (1 - KEEP) * found;
}

static void learn(struct agent *a)
{
	uint32_t i, k;

	qsort(a->draw, DRAWS, sizeof(*a->draw), by_reward);
	for (i = 0; i < a->n_pair; i++) {
		double n = 0, sum = 0, square = 0, mean;

		for (k = 0; k < ELITE; k++)
			if (a->draw[k].pair == i) {
				n++;
				sum += a->draw[k].at;
			}
		believe(&a->chance[i], n / ELITE);
		if (n <= 0)
			continue;
		mean = sum / n;
		for (k = 0; k < ELITE; k++)
			if (a->draw[k].pair == i)
				square += (a->draw[k].at - mean) * (a->draw[k].at - mean);
		believe(&a->pair[i].mean, mean);
		/* Never so sure that a neighbouring position is out of reach. */
		believe(&a->pair[i].spread, fmax(sqrt(square / n), 0.5 / (a->p->graph->n_op + 1)));
	}
	for (i = 0; i < KERF_N_CODECS + a->n_exit; i++) {
		bool codec = i < KERF_N_CODECS;
		double n = 0;

		for (k = 0; k < ELITE; k++)
			n += codec ? a->draw[k].cut.codec == (enum kerf_codec)i
				   : a->draw[k].exit == i - KERF_N_CODECS;
		believe(codec ? &a->codec[i] : &a->exit[i - KERF_N_CODECS], n / ELITE);
	}
}

int kerf_policy_cogent(const struct kerf_problem *p, struct kerf_plan *plan, struct kerf_err *err)
{
	struct kerf_choice choice = {0};
	uint32_t round, i, found = 0;
	struct agent a;
	size_t at;
	int r = kerf_problem_home_engine(p, err);

	if (r < 0)
		return r;
	r = make(&a, p);
	for (i = 0; i < a.n_exit && !r; i++)
		kerf_scan_pair(&a.scan[i], a.pair[0].here, a.pair[0].there);
	for (round = 0; round < ROUNDS && !r; round++) {
		double cost = a.best.cost;

		for (i = 0; i < DRAWS; i++)
			act(&a, &a.draw[i]);
		found = a.best.cost != cost ? round + 1 : found;
		learn(&a);
	}
	for (i = 0; i < a.n_exit && !r && a.best.runs; i++)
		if (a.scan[i].exit == a.best.exit)
			kerf_scan_offer(&a.scan[i], &a.best, &choice);
	finish(&a);
	if (r)
		return r;
	r = kerf_choice_end(p, &choice, plan, err);
	if (r)
		return r;
	plan->policy = "cogent";
	at = strlen(plan->reason);
	snprintf(plan->reason + at, sizeof(plan->reason) - at, "; learned in %u of %u rounds",
		 found, ROUNDS);
	return 0;
}
