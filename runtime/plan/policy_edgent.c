/* SPDX-License-Identifier: MIT */
/*
 * Edgent: Li, Zeng, Zhou, Chen, "Edge AI: on-demand accelerating deep neural network inference via
 * edge computing", IEEE Transactions on Wireless Communications 19(1), 2020.
 *
 * Modelled. Right-sizing and partitioning under a deadline: from the most accurate exit to the
 * least, the best cut of the network up to it is looked for, and the first exit whose best cut
 * keeps the deadline is taken. So accuracy is as high as the deadline lets it be.
 *   - Static: the link is as the problem says.
 *   - Dynamic, if the problem has the link's past rates: what the rate is now is told by Bayesian
 *     online change point detection (change_point.h): the mean since the last change. The
 *     configuration for that rate is taken. If at the problem's own figures it misses the goal,
 *     the static one stands in.
 *
 * How it is mapped. Cuts are positions in the topological order (scan.h), every pair of an engine
 * of home and another one is tried, and layers' costs are the problem's, where the paper predicts
 * them by regressions. Without a deadline the whole model runs. An exit's best cut is the goal's
 * best; the paper's goal is latency. Which link is meant by the past rates: the one from home whose
 * rate is nearest to theirs; what its rate changes by, the way back changes by too.
 *
 * Not modelled: the paper makes a map from states of the link to configurations beforehand, ranks
 * them by a reward (accuracy and throughput), and looks one up when the state changes; here the one
 * that is needed is searched when it is needed, by the static rule.
 */
#include "plan/change_point.h"
#include "plan/policy.h"
#include "plan/scan.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Fewer samples tell of no state. */
#define MIN_SAMPLES 4

/* The best cut of the most accurate exit that meets the goal, or the one that misses it least. */
static int choose(const struct kerf_problem *p, struct kerf_scan_cut *best)
{
	int32_t exit = p->goal.exits ? (int32_t)p->graph->n_exit : 0, i;
	struct kerf_scan scan;
	int r;

	*best = (struct kerf_scan_cut){.runs = false};
	/* The whole model, then exits by falling accuracy. */
	for (i = exit; i >= 0 && !(best->runs && best->violation <= 0); i--) {
		struct kerf_scan_cut cut = {.runs = false};

		r = kerf_scan_make(&scan, p, i == exit ? -1 : i);
		if (r)
			return r;
		kerf_scan_search(&scan, 1u << KERF_CODEC_NONE, NULL, &cut);
		kerf_scan_finish(&scan);
		if (kerf_scan_better(&cut, best))
			*best = cut;
	}
	return 0;
}

static int offer(const struct kerf_problem *p, const struct kerf_scan_cut *cut,
		 struct kerf_choice *choice)
{
	struct kerf_scan scan;
	int r;

	if (!cut->runs)
		return 0;
	r = kerf_scan_make(&scan, p, cut->exit);
	if (r)
		return r;
	kerf_scan_offer(&scan, cut, choice);
	kerf_scan_finish(&scan);
	return 0;
}

/* The node at the other end of the link whose rate is nearest; home if there is none. */
static uint32_t nearest_link(const struct kerf_problem *p, double rate)
{
	uint32_t i, best = p->home;
	double least = INFINITY;

	for (i = 0; i < p->n_node; i++) {
		double r = p->link[p->home * p->n_node + i].rate_bytes_s;
		double d = i == p->home || r <= 0 ? INFINITY : fabs(log(r / rate));

		if (d < least) {
			least = d;
			best = i;
		}
	}
	return best;
}

/* The choice at the rate of the last samples. 1 if they tell of no rate. */
static int choose_dynamic(const struct kerf_problem *p, struct kerf_scan_cut *best, double *rate,
			  uint32_t *samples)
{
	size_t n_link = (size_t)p->n_node * p->n_node;
	struct kerf_link_model *link;
	struct kerf_problem then = *p;
	double change;
	uint32_t other;
	int r;

	if (!p->past_rate || p->n_past_rate < MIN_SAMPLES)
		return 1;
	*samples = kerf_change_point(p->past_rate, p->n_past_rate, rate);
	other = *samples ? nearest_link(p, *rate) : p->home;
	if (other == p->home)
		return 1;
	link = malloc(n_link * sizeof(*link));
	if (!link)
		return -ENOMEM;
	memcpy(link, p->link, n_link * sizeof(*link));
	change = *rate / link[p->home * p->n_node + other].rate_bytes_s;
	link[p->home * p->n_node + other].rate_bytes_s = *rate;
	link[other * p->n_node + p->home].rate_bytes_s *= change;
	then.link = link;
	r = choose(&then, best);
	free(link);
	return r;
}

int kerf_policy_edgent(const struct kerf_problem *p, struct kerf_plan *plan, struct kerf_err *err)
{
	struct kerf_choice choice = {0};
	struct kerf_scan_cut best;
	uint32_t samples = 0;
	bool dynamic = false;
	double rate = 0;
	size_t at;
	int r = kerf_problem_home_engine(p, err);

	if (r < 0)
		return r;
	r = choose_dynamic(p, &best, &rate, &samples);
	if (!r) {
		r = offer(p, &best, &choice);
		dynamic = choice.have;
	}
	if (r >= 0 && !dynamic)
		r = choose(p, &best);
	if (r >= 0 && !dynamic)
		r = offer(p, &best, &choice);
	if (r < 0) {
		kerf_choice_drop(&choice);
		return r;
	}
	r = kerf_choice_end(p, &choice, plan, err);
	if (r)
		return r;
	plan->policy = "edgent";
	at = strlen(plan->reason);
	if (dynamic)
		snprintf(plan->reason + at, sizeof(plan->reason) - at,
			 "; the link is at %.3g MB/s since %u samples", rate / 1e6, samples);
	return 0;
}
