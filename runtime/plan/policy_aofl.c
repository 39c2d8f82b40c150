/* SPDX-License-Identifier: MIT */
/*
 * AOFL: L. Zhou, M. H. Samavatian, A. Bacha, S. Majumdar, R. Teodorescu, "Adaptive parallel
 * execution of deep neural networks on heterogeneous edge devices", SEC 2019.
 *
 * Workers compute one band each, as many workers as pay. Between fusion points they compute on
 * their own, overlaps more than once; at a fusion point they exchange. Where those points stand is
 * found by dynamic programming over what computing overlaps and what exchanging costs, so that a
 * slow network fuses more layers and a fast one fewer.
 *
 * Modelled: for each degree of parallelism (home and the one, two ... fastest others) optimal
 * fusion points by dynamic programming for these workers and links, parts in proportion to speed;
 * the best of these plans is taken. Not: the paper's host gathers and deals out whole maps at each
 * fusion point; here neighbours exchange the rows that are missing. Its tiles may also be a grid;
 * kerf's are bands.
 */
#include "plan/fused.h"
#include "plan/policy.h"

/* Offers the plan of these workers. */
static int try_workers(const struct kerf_fused *f, struct kerf_fused_search *o,
		       struct kerf_choice *c, struct kerf_err *err)
{
	struct kerf_bands b = {0};
	double sum = 0, s;
	uint32_t w, groups = 0, i;
	int r;

	for (w = 0; w < o->n_worker; w++)
		sum += o->part[w];
	for (w = 0; w < o->n_worker; w++)
		o->part[w] /= sum;
	r = kerf_fused_search(f, o, &b, &s, err);
	for (i = 0; i < b.n_group; i++)
		groups += b.group[i].n_band > 1;
	if (!r)
		kerf_bands_offer(f->p, &b, "aofl", c, "%u fused groups over %u engines", groups,
				 o->n_worker);
	kerf_bands_finish(&b);
	return r;
}

int kerf_policy_aofl(const struct kerf_problem *p, struct kerf_plan *plan, struct kerf_err *err)
{
	const struct kerf_fused_search search = {.always = true};

	return kerf_fused_widths(p, &search, try_workers, plan, err);
}
