/* SPDX-License-Identifier: MIT */
/*
 * Policies choose parts by speeds, by one balance for all layers, or by an estimate that takes all
 * bands to wait for one another. The priced plan knows when each band really ends. So rows go from
 * a band that ends later to its neighbour that ends earlier, as many as would make both end
 * together if nothing else changed:
 *
 *     rows = (end - end') / (compute / height + compute' / height')
 *
 * First at all borders of all groups at once, by the whole of that, a half, a quarter; then, when
 * this does not help any more, at one border after the other, the widest gap first, there and
 * back. A change stays if the choice prefers the plan. Work is bounded by operators whose tiles
 * are found, which is what a plan with bands costs.
 */
#include "plan/rebalance.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define PRICES 24
#define TILES_AN_ENGINE 300 /* operators times bands, of all prices together */
#define LEAST_FACTOR 0.25

static bool is_run(const struct kerf_plan_step *s, uint32_t begin)
{
	return s->n_op && s->op[0] == begin && s->op[s->n_op - 1] + 1 - s->op[0] == s->n_op;
}

static struct kerf_rows extent(const struct kerf_plan_step *s)
{
	return s->channels.end ? s->channels : s->rows;
}

/* Step i and those behind it that are bands of the same group: how many. */
static uint32_t group_size(const struct kerf_plan *plan, uint32_t i)
{
	const struct kerf_plan_step *s = &plan->step[i];
	uint32_t k;

	if (!extent(s).end)
		return 1;
	for (k = i + 1; k < plan->n_step; k++) {
		const struct kerf_plan_step *t = &plan->step[k];

		if (!is_run(t, s->op[0]) || t->n_op != s->n_op || t->padded != s->padded ||
		    extent(t).begin != extent(&plan->step[k - 1]).end)
			break;
	}
	return k - i;
}

static int add_group(struct kerf_bands *b, const struct kerf_plan_step *s, uint32_t n)
{
	uint32_t end = s->op[0] + s->n_op, i, *engine = malloc(n * sizeof(*engine));
	struct kerf_rows *rows = malloc(n * sizeof(*rows));
	struct kerf_group *g;
	int r = engine && rows ? 0 : -ENOMEM;

	for (i = 0; i < n && !r; i++) {
		engine[i] = s[i].engine;
		rows[i] = extent(&s[i]);
	}
	if (!r)
		r = extent(s).end ? kerf_bands_tiled(b, s->op[0], end, s->engine, n, engine, rows)
				  : kerf_bands_whole(b, s->op[0], end, s->engine);
	if (!r) {
		g = &b->group[b->n_group - 1];
		g->channels = s->channels.end > 0;
		g->padded = s->padded;
		g->stage = s->stage;
	}
	free(engine);
	free(rows);
	return r;
}

int kerf_bands_of_plan(const struct kerf_problem *p, const struct kerf_plan *plan,
		       struct kerf_bands *bands)
{
	uint32_t i, n, begin = 0;
	int r = 0;

	memset(bands, 0, sizeof(*bands));
	if (plan->exit >= 0)
		return -EOPNOTSUPP;
	for (i = 0; i < plan->n_edge; i++)
		if (plan->edge[i].codec != KERF_CODEC_NONE)
			return -EOPNOTSUPP;
	for (i = 0; i < plan->n_step && !r; i += n) {
		const struct kerf_plan_step *s = &plan->step[i];

		n = group_size(plan, i);
		r = is_run(s, begin) && !(extent(s).end && n < 2) ? add_group(bands, s, n)
								   : -EOPNOTSUPP;
		begin += s->n_op;
	}
	if (!r && begin != p->graph->n_op)
		r = -EOPNOTSUPP;
	if (r)
		kerf_bands_finish(bands);
	return r;
}

/* A border between two bands of a group; steps stand as bands do. */
struct border {
	uint32_t band;	/* and the next */
	int64_t to_next; /* rows that would go there, all of them; below 0: that come from there */
	double gap_s;
};

struct rebalance {
	const struct kerf_problem *p;
	struct kerf_choice *c;
	struct kerf_bands b;
	struct border *border;
	uint32_t n_border, prices;
	uint64_t tiles, limit;
	bool moved;
};

static const struct kerf_plan *current(const struct rebalance *x)
{
	return x->c->have ? &x->c->best : &x->c->near;
}

static int by_gap(const void *a, const void *b)
{
	const struct border *x = a, *y = b;

	if (x->gap_s != y->gap_s)
		return x->gap_s < y->gap_s ? 1 : -1;
	return (x->band > y->band) - (x->band < y->band);
}

/* How long a row of a step takes. */
static double row_s(const struct kerf_plan_step *s)
{
	return s->compute_s / (double)(extent(s).end - extent(s).begin);
}

/* Groups and borders of the plan that the choice has now. */
static int look(struct rebalance *x)
{
	const struct kerf_plan *plan = current(x);
	uint32_t i, k, step = 0;
	int r;

	kerf_bands_finish(&x->b);
	free(x->border);
	x->n_border = 0;
	x->border = malloc((plan->n_step + 1) * sizeof(*x->border));
	if (!x->border)
		return -ENOMEM;
	r = kerf_bands_of_plan(x->p, plan, &x->b);
	for (i = 0; i < x->b.n_group && !r; i++) {
		const struct kerf_group *g = &x->b.group[i];

		for (k = 0; k + 1 < g->n_band; k++) {
			const struct kerf_plan_step *s = &plan->step[step + k];
			double gap = s[0].end_s - s[1].end_s;
			double rows = gap / fmax(row_s(&s[0]) + row_s(&s[1]), 1e-12);

			if (s[0].engine == s[1].engine)
				continue;
			rows = fmin(fmax(round(rows),
					 (double)(extent(&s[1]).begin - extent(&s[1]).end)),
				    (double)(extent(&s[0]).end - extent(&s[0]).begin));
			x->border[x->n_border++] =
				(struct border){g->first_band + k, (int64_t)rows, fabs(gap)};
		}
		step += KERF_MAX(g->n_band, 1);
	}
	qsort(x->border, x->n_border, sizeof(*x->border), by_gap);
	return r;
}

/* rows over a border, as many as leave both bands one; false: none. */
static bool shift(struct kerf_band *band, int64_t rows)
{
	int64_t most = band[0].rows.end - band[0].rows.begin - 1;
	int64_t least = 1 - (band[1].rows.end - band[1].rows.begin);

	rows = KERF_MAX(KERF_MIN(rows, most), least);
	band[0].rows.end -= rows;
	band[1].rows.begin -= rows;
	return rows;
}

static double score(const struct kerf_choice *c)
{
	return c->have ? c->cost : c->violation;
}

/* Prices x->b with band[] in place of its own. 1 if the choice took it, 0 if not, or -ENOMEM. */
static int try(struct rebalance *x, struct kerf_band *band)
{
	const struct kerf_plan *now = current(x);
	const char *policy = now->policy;
	bool had = x->c->have;
	struct kerf_bands b = x->b;
	double before = score(x->c);
	char reason[sizeof(now->reason)];
	struct kerf_plan plan;
	uint32_t i;
	int r;

	memcpy(reason, now->reason, sizeof(reason));
	b.band = band;
	x->prices++;
	for (i = 0; i < b.n_group; i++)
		x->tiles += (uint64_t)b.group[i].n_band * (b.group[i].end - b.group[i].begin);
	r = kerf_bands_build(x->p, &b, &plan, NULL);
	if (!r) {
		plan.policy = policy;
		memcpy(plan.reason, reason, sizeof(reason));
	}
	if (r == -ENOMEM)
		return r;
	if (r)
		return 0;
	kerf_choice_offer(x->p, x->c, &plan, 0);
	if (x->c->have == had && !(score(x->c) < before))
		return 0;
	x->moved = true;
	r = look(x);
	return r ? r : 1;
}

static bool spent(const struct rebalance *x)
{
	return x->prices >= PRICES || x->tiles >= x->limit;
}

/* All borders by a part of what they want. As try(). */
static int try_all(struct rebalance *x, struct kerf_band *band, double factor)
{
	bool any = false;
	uint32_t i;

	memcpy(band, x->b.band, x->b.n_band * sizeof(*band));
	for (i = 0; i < x->n_border; i++)
		any |= shift(&band[x->border[i].band],
			     (int64_t)round((double)x->border[i].to_next * factor));
	return any ? try(x, band) : 0;
}

/* One border, by what it wants or, where that is nothing, or did not help, a row. */
static int try_one(struct rebalance *x, struct kerf_band *band, uint32_t i, int64_t rows)
{
	memcpy(band, x->b.band, x->b.n_band * sizeof(*band));
	return shift(&band[x->border[i].band], rows) ? try(x, band) : 0;
}

static int improve(struct rebalance *x)
{
	struct kerf_band *band = malloc((x->b.n_band + 1) * sizeof(*band));
	double factor = 1;
	uint32_t i;
	int r = band ? 0 : -ENOMEM;

	while (r >= 0 && factor >= LEAST_FACTOR && !spent(x)) {
		r = try_all(x, band, factor);
		factor /= r > 0 ? 1 : 2;
	}
	for (i = 0; r >= 0 && i < x->n_border && !spent(x); i++) {
		int64_t rows = x->border[i].to_next / 2;

		r = try_one(x, band, i, rows ? rows : 1);
		if (!r && !spent(x))
			r = try_one(x, band, i, rows ? -KERF_MAX(rows / 2, 1) : -1);
	}
	free(band);
	return r < 0 ? r : 0;
}

int kerf_rebalance(const struct kerf_problem *p, struct kerf_choice *c, bool *moved)
{
	struct rebalance x = {.p = p, .c = c, .limit = (uint64_t)p->n_engine * TILES_AN_ENGINE};
	int r;

	*moved = false;
	if (!c->have && !c->have_near)
		return 0;
	r = look(&x);
	if (!r && x.n_border)
		r = improve(&x);
	kerf_bands_finish(&x.b);
	free(x.border);
	*moved = x.moved;
	return r == -EOPNOTSUPP ? 0 : r;
}
