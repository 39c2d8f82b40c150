/* SPDX-License-Identifier: MIT */
#include "plan/replan.h"

#include "plan/drift.h"
#include "plan/goal.h"
#include "plan/planner.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define N_LEFT 4      /* plans remembered */
#define MEMORY 0.2    /* weight of the newest in running means */
#define FEW 3	      /* ordinary deviations: a step counts no more */
#define LEAST 1e-3    /* deviation, as a share, that is ordinary anyway */
#define MOST_FLIPS 6  /* doublings */
#define ENOUGH 0.5    /* a plan of half the cost is better by enough, whatever was before */

struct kerf_replan {
	struct kerf_replan_options opt;
	struct kerf_planner *planner;
	const struct kerf_policy *policy;
	bool have;
	struct kerf_plan plan; /* in force */
	double since_s;
	double last, deviation; /* its cost when it was looked at last; what it wavers by, a share */
	uint32_t flips;
	struct left {
		uint64_t id;
		double at_s;
	} left[N_LEFT];
	uint32_t n_left;
	struct kerf_drift taken; /* the state then, for people */
};

static double or_default(double x, double otherwise)
{
	return x < 0 ? 0 : x > 0 ? x : otherwise;
}

int kerf_replan_new(const char *policy, const struct kerf_replan_options *opt,
		    struct kerf_replan **out, struct kerf_err *err)
{
	struct kerf_replan *r = calloc(1, sizeof(*r));

	*out = NULL;
	if (!r)
		return -ENOMEM;
	r->policy = kerf_policy_find(policy);
	if (!r->policy) {
		free(r);
		return kerf_fail(err, -EINVAL, "unknown policy '%s'", policy);
	}
	r->opt.gain = or_default(opt ? opt->gain : 0, 0.05);
	r->opt.noise = or_default(opt ? opt->noise : 0, 2);
	r->opt.spread = or_default(opt ? opt->spread : 0, 0.5);
	r->opt.interval_s = or_default(opt ? opt->interval_s : 0, 1);
	r->opt.horizon_s = or_default(opt ? opt->horizon_s : 0, 30);
	r->opt.settle_s = or_default(opt ? opt->settle_s : 0, 60);
	*out = r;
	return 0;
}

void kerf_replan_free(struct kerf_replan *r)
{
	if (!r)
		return;
	if (r->have)
		kerf_plan_finish(&r->plan);
	kerf_planner_free(r->planner);
	kerf_drift_finish(&r->taken);
	free(r);
}

static int copy_plan(const struct kerf_plan *from, struct kerf_plan *to)
{
	uint32_t i;

	*to = *from;
	to->n_step = to->n_edge = 0;
	to->step = NULL;
	to->edge = NULL;
	for (i = 0; i < from->n_step; i++) {
		const struct kerf_plan_step *s = &from->step[i];
		struct kerf_plan_step *t = kerf_plan_add_step(to);

		if (!t)
			goto fail;
		*t = *s;
		t->op = malloc((s->n_op + 1) * sizeof(*t->op));
		t->share = s->share ? malloc((s->n_op + 1) * sizeof(*t->share)) : NULL;
		if (!t->op || (s->share && !t->share))
			goto fail;
		memcpy(t->op, s->op, s->n_op * sizeof(*t->op));
		if (s->share)
			memcpy(t->share, s->share, s->n_op * sizeof(*t->share));
	}
	for (i = 0; i < from->n_edge; i++) {
		struct kerf_plan_edge *e = kerf_plan_add_edge(to);

		if (!e)
			goto fail;
		*e = from->edge[i];
	}
	return 0;
fail:
	kerf_plan_finish(to);
	return -ENOMEM;
}

/* FNV-1a over what a plan does, not over what it costs. */
static uint64_t mix(uint64_t h, uint64_t x)
{
	int i;

	for (i = 0; i < 8; i++, x >>= 8)
		h = (h ^ (x & 0xff)) * 0x100000001b3u;
	return h;
}

static uint64_t id_of(const struct kerf_plan *plan)
{
	uint64_t h = mix(0xcbf29ce484222325u, (uint64_t)plan->exit);
	uint32_t i, k;

	for (i = 0; i < plan->n_step; i++) {
		const struct kerf_plan_step *s = &plan->step[i];

		h = mix(h, (uint64_t)s->engine << 32 | s->n_op);
		h = mix(mix(h, (uint64_t)s->rows.begin), (uint64_t)s->rows.end);
		h = mix(mix(h, (uint64_t)s->channels.begin), (uint64_t)s->channels.end);
		for (k = 0; k < s->n_op; k++)
			h = mix(h, s->op[k]);
	}
	for (i = 0; i < plan->n_edge; i++)
		h = mix(h, (uint64_t)plan->edge[i].codec);
	return h;
}

/* --- prices in several states --- */

/* Cost of the goal; INFINITY: it cannot run. A plan keeps its predictions up to date so. */
static double cost_in(const struct kerf_problem *p, struct kerf_plan *plan)
{
	return kerf_plan_price(p, plan) ? INFINITY : kerf_plan_cost(p, plan);
}

/* The links at one end of their spread: t becomes low * t - low_s, or high * t + high_s. */
static void shift_links(const struct kerf_problem *p, bool slow, struct kerf_link_model *link)
{
	uint32_t i, n = p->n_node * p->n_node;

	for (i = 0; i < n; i++) {
		const struct kerf_link_model *l = &p->link[i];
		double times = slow ? l->high : l->low;

		link[i] = *l;
		if (!(times > 0) || !(l->rate_bytes_s > 0))
			continue;
		link[i].latency_s = l->latency_s * times + (slow ? l->high_s : -l->low_s);
		link[i].least_s = l->least_s * times;
		link[i].rate_bytes_s = l->rate_bytes_s / times;
		link[i].round_s = l->round_s * times;
	}
}

/* Half of what the links' spread makes of the difference of two plans' costs. */
static int spread_of(const struct kerf_problem *p, struct kerf_plan *a, struct kerf_plan *b,
		     double *spread)
{
	struct kerf_link_model *link = calloc((size_t)p->n_node * p->n_node + 1, sizeof(*link));
	struct kerf_problem shifted = *p;
	double gain[2];
	int slow;

	if (!link)
		return -ENOMEM;
	shifted.link = link;
	for (slow = 0; slow < 2; slow++) {
		shift_links(p, slow, link);
		gain[slow] = cost_in(&shifted, a) - cost_in(&shifted, b);
	}
	free(link);
	cost_in(p, a);
	cost_in(p, b);
	*spread = fabs(gain[1] - gain[0]) / 2;
	return 0;
}

/* --- moving --- */

/* Weights that nodes do not have yet, over home's links, and sessions to prepare. */
static int move_s(const struct kerf_replan *r, const struct kerf_problem *p,
		  const struct kerf_plan *next, const struct kerf_replan_move *move,
		  double *seconds)
{
	uint32_t n_op = p->graph->n_op, i, k;
	uint64_t *holds = calloc(n_op + 1, sizeof(*holds)); /* per operator: nodes, as bits */
	double bytes[KERF_MAX_NODES] = {0}, sum = 0;

	*seconds = 0;
	if (!holds)
		return -ENOMEM;
	for (i = 0; i < r->plan.n_step; i++)
		for (k = 0; k < r->plan.step[i].n_op; k++)
			holds[r->plan.step[i].op[k]] |= 1ull
							<< p->engine[r->plan.step[i].engine].node;
	for (i = 0; i < next->n_step; i++) {
		const struct kerf_plan_step *s = &next->step[i];
		uint32_t node = p->engine[s->engine].node;

		sum += move->prepare_step_s;
		for (k = 0; k < s->n_op; k++) {
			double weights = p->outline->weight_bytes[s->op[k]];

			sum += weights * move->prepare_byte_s;
			if (holds[s->op[k]] >> node & 1)
				continue;
			holds[s->op[k]] |= 1ull << node;
			if (!(move->nodes_have >> node & 1))
				bytes[node] += weights;
		}
	}
	for (i = 0; i < p->n_node; i++)
		if (i != p->home && bytes[i] > 0)
			sum += kerf_problem_transfer_s(p, p->home, i, bytes[i]);
	free(holds);
	*seconds = sum;
	return 0;
}

/* --- words --- */

static void KERF_PRINTF(2, 3) say(struct kerf_replan_decision *d, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(d->reason, sizeof(d->reason), fmt, ap);
	va_end(ap);
}

/* What is most different from when the plan in force was taken. */
static void say_change(const struct kerf_replan *r, const struct kerf_problem *p, char *out,
		       size_t size)
{
	struct kerf_drift_most most;

	kerf_drift_most(&r->taken, p, &most);
	if (!(most.factor > 1.02))
		snprintf(out, size, "little has changed since the last plan");
	else if (most.link)
		snprintf(out, size, "the link from %s to %s has %.3g MB/s, it had %.3g",
			 kerf_problem_node_name(p, most.from), kerf_problem_node_name(p, most.to),
			 most.now * 1e-6, most.was * 1e-6);
	else
		snprintf(out, size, "%s takes %.2f times what it took", p->engine[most.engine].name,
			 most.now / most.was);
}

/* --- deciding --- */

/*
 * The plan in force as this state prices it, and how it wavers from one look to the next: where a
 * link gets better or worse for long (somebody walks), that is no noise.
 */
static void watch(struct kerf_replan *r, double cost)
{
	double off;

	if (!(cost < INFINITY))
		return;
	if (r->last > 0) {
		/* Two independent samples differ by root two of what each is off the mean. */
		off = fabs(cost - r->last) / fmin(cost, r->last) * 0.7071;
		off = fmin(off, FEW * fmax(r->deviation, LEAST));
		r->deviation += MEMORY * (off - r->deviation);
	}
	r->last = cost;
}

static bool was_left(const struct kerf_replan *r, uint64_t id, double now_s)
{
	uint32_t i;

	for (i = 0; i < r->n_left; i++)
		if (r->left[i].id == id && now_s - r->left[i].at_s < r->opt.settle_s)
			return true;
	return false;
}

static int take(struct kerf_replan *r, const struct kerf_problem *p, const struct kerf_plan *next,
		double now_s, struct kerf_replan_decision *d)
{
	struct kerf_plan copy;
	int ret = kerf_drift_remember(&r->taken, p);

	if (!ret)
		ret = copy_plan(next, &copy);
	if (ret)
		return ret;
	if (r->have) {
		/* What is clearly better is an answer, not a flip. */
		if (was_left(r, id_of(next), now_s) && d->gain < 2 * d->needed)
			r->flips = KERF_MIN(r->flips + 1, MOST_FLIPS);
		memmove(&r->left[1], &r->left[0], (N_LEFT - 1) * sizeof(r->left[0]));
		r->left[0] = (struct left){id_of(&r->plan), now_s};
		r->n_left = KERF_MIN(r->n_left + 1, N_LEFT);
		kerf_plan_finish(&r->plan);
	}
	r->plan = copy;
	r->have = true;
	r->since_s = now_s;
	r->last = d->new_cost;
	d->change = true;
	return 0;
}

/* Whether the plan that would be better is better by enough; says so. */
static int weigh(struct kerf_replan *r, const struct kerf_problem *p, struct kerf_plan *next,
		 double now_s, const struct kerf_replan_move *move, struct kerf_replan_decision *d)
{
	double spread, per_s, saved;
	char why[160];
	int ret = spread_of(p, &r->plan, next, &spread);

	if (!ret)
		ret = move_s(r, p, next, move, &d->move_s);
	if (ret)
		return ret;
	d->gain = d->old_cost > 0 ? 1 - d->new_cost / d->old_cost : 0;
	d->needed = r->opt.gain + r->opt.noise * r->deviation;
	if (d->old_cost > 0 && spread < INFINITY)
		d->needed += r->opt.spread * spread / d->old_cost;
	if (was_left(r, id_of(next), now_s))
		d->needed *= (double)(2u << r->flips);
	/* A gain is below 1: without a bound what is much better could never be taken. */
	d->needed = fmin(d->needed, ENOUGH);
	/* A cost is per request, whatever its unit: seconds saved are those of the latency. */
	per_s = move->requests_s > 0 ? move->requests_s : 1 / fmax(next->total_s, 1e-9);
	saved = fmax(r->plan.total_s - next->total_s, d->gain * r->plan.total_s) * per_s;
	d->pays_s = d->move_s > 0 ? (saved > 0 ? d->move_s / saved : INFINITY) : 0;
	if (d->gain < d->needed)
		say(d, "kept: the best plan now is better by %.1f %%, %.1f %% would be needed", d->gain * 100,
		    d->needed * 100);
	else if (now_s - r->since_s < r->opt.interval_s)
		say(d, "kept: the last change was %.2f s ago, the next comes after %.2f s",
		    now_s - r->since_s, r->opt.interval_s);
	else if (d->pays_s > r->opt.horizon_s)
		say(d, "kept: moving takes %.2f s and has paid after %.0f s, not within %.0f s", d->move_s,
		    d->pays_s, r->opt.horizon_s);
	else {
		say_change(r, p, why, sizeof(why));
		say(d, "changed: better by %.0f %%: %s", d->gain * 100, why);
		return 1;
	}
	return 0;
}

int kerf_replan_adopt(struct kerf_replan *r, const struct kerf_problem *p,
		      const struct kerf_plan *plan, double now_s)
{
	struct kerf_plan copy;
	double cost;
	int ret = kerf_drift_remember(&r->taken, p);

	if (!ret)
		ret = copy_plan(plan, &copy);
	if (ret)
		return ret;
	cost = cost_in(p, &copy);
	if (!(cost < INFINITY)) {
		kerf_plan_finish(&copy);
		return -EINVAL;
	}
	if (r->have)
		kerf_plan_finish(&r->plan);
	r->plan = copy;
	r->have = true;
	r->since_s = now_s;
	r->last = cost;
	return 0;
}

/* The plan in force in this state; whether it misses the goal, or cannot run. */
static bool misses(struct kerf_replan *r, const struct kerf_problem *p,
		   struct kerf_replan_decision *d)
{
	d->old_cost = r->have ? cost_in(p, &r->plan) : INFINITY;
	return !(d->old_cost < INFINITY) || !(kerf_plan_violation(p, &r->plan) <= 0);
}

int kerf_replan_offer(struct kerf_replan *r, const struct kerf_problem *p, struct kerf_plan *next,
		      double now_s, const struct kerf_replan_move *move,
		      struct kerf_replan_decision *d)
{
	static const struct kerf_replan_move nothing = {0};
	double before = r->deviation;
	bool missed;
	int ret = 0;

	memset(d, 0, sizeof(*d));
	missed = misses(r, p, d);
	if (r->flips && now_s - r->since_s > r->opt.settle_s)
		r->flips = 0;
	if (!next) {
		/* What runs still runs, if it can. */
		if (!(d->old_cost < INFINITY)) {
			memset(d, 0, sizeof(*d));
			return -ENODEV;
		}
		say(d, "kept: no plan meets the goal now");
		return 0;
	}
	d->new_cost = kerf_plan_cost(p, next);
	if (!r->have) {
		say(d, "the first plan");
		ret = take(r, p, next, now_s, d);
	} else if (missed) {
		d->gain = 1;
		say(d, d->old_cost < INFINITY ? "changed at once: the plan in force misses the goal"
					      : "changed at once: the plan in force cannot run any more");
		ret = take(r, p, next, now_s, d);
	} else if (id_of(next) == id_of(&r->plan)) {
		say(d, "kept: it is still the best");
	} else {
		ret = weigh(r, p, next, now_s, move ? move : &nothing, d);
		if (ret == 1)
			ret = take(r, p, next, now_s, d);
	}
	/* The step that was answered is no noise; nor does noise hide a step it came before. */
	if (d->change)
		r->deviation = before;
	else
		watch(r, d->old_cost);
	if (ret)
		memset(d, 0, sizeof(*d));
	return ret;
}

int kerf_replan_decide(struct kerf_replan *r, const struct kerf_problem *p, double now_s,
		       const struct kerf_replan_move *move, struct kerf_replan_decision *d,
		       struct kerf_err *err)
{
	struct kerf_plan next;
	int ret = 0, made;

	memset(d, 0, sizeof(*d));
	if (!r->planner)
		ret = kerf_planner_new(p, r->policy, &r->planner);
	if (ret)
		return ret;
	made = kerf_planner_plan(r->planner, p, &next, err);
	if (made == -ENOMEM)
		return made;
	ret = kerf_replan_offer(r, p, made ? NULL : &next, now_s, move, d);
	if (made)
		return ret ? made : 0;
	if (d->change)
		d->plan = next;
	else
		kerf_plan_finish(&next);
	return ret;
}
