/* SPDX-License-Identifier: MIT */
#include "plan/goal.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* Of a sum of doubles that should have been equal. */
#define ROUNDING (1 + 1e-12)

double kerf_plan_cost(const struct kerf_problem *p, const struct kerf_plan *plan)
{
	const struct kerf_goal *g = &p->goal;

	switch (g->objective) {
	case KERF_FOR_LATENCY: return plan->total_s;
	case KERF_FOR_PERIOD: return plan->period_s;
	case KERF_FOR_ENERGY: return plan->energy_j;
	case KERF_FOR_MEMORY: return plan->memory_bytes;
	case KERF_FOR_WEIGHTED:
		return g->latency_weight * plan->total_s + g->energy_weight * plan->energy_j +
		       g->period_weight * plan->period_s;
	}
	return INFINITY;
}

const char *kerf_problem_node_name(const struct kerf_problem *p, uint32_t node)
{
	uint32_t e;

	for (e = 0; e < p->n_engine; e++)
		if (p->engine[e].node == node)
			return p->engine[e].name ? p->engine[e].name : "(unnamed)";
	return "(no engine)";
}

/* --- what a plan misses --- */

/* The step that has the first operator which must stay, and is away; n_step: none. */
static uint32_t strayed(const struct kerf_problem *p, const struct kerf_plan *plan)
{
	uint32_t at = plan->n_step, first = p->goal.keep, i;

	for (i = 0; i < plan->n_step; i++)
		if (plan->step[i].n_op && plan->step[i].op[0] < first &&
		    p->engine[plan->step[i].engine].node != p->home) {
			at = i;
			first = plan->step[i].op[0];
		}
	return at;
}

static bool exact(const struct kerf_plan *plan)
{
	uint32_t i;

	for (i = 0; i < plan->n_step; i++)
		if (plan->step[i].padded)
			return false;
	for (i = 0; i < plan->n_edge; i++)
		if (plan->edge[i].codec != KERF_CODEC_NONE && plan->edge[i].bytes > 0)
			return false;
	return plan->exit < 0;
}

static bool padded(const struct kerf_plan *plan)
{
	uint32_t i;

	for (i = 0; i < plan->n_step; i++)
		if (plan->step[i].padded)
			return true;
	return false;
}

/* Codecs that something travels in, as bits. */
static uint32_t codecs_used(const struct kerf_plan *plan)
{
	uint32_t i, bits = 0;

	for (i = 0; i < plan->n_edge; i++)
		if (plan->edge[i].codec != KERF_CODEC_NONE && plan->edge[i].bytes > 0)
			bits |= 1u << plan->edge[i].codec;
	return bits;
}

static double above(double found, double limit)
{
	return limit > 0 && found > limit * ROUNDING ? found / limit - 1 : 0;
}

/*
 * Of a model that does not tell its accuracy only exact plans are let through: they are as good
 * as it gets, of others nothing is known.
 */
static double below(const struct kerf_problem *p, const struct kerf_plan *plan)
{
	double floor = p->goal.accuracy;

	if (floor <= 0)
		return 0;
	if (plan->accuracy <= 0)
		return exact(plan) ? 0 : 1;
	return plan->accuracy * ROUNDING < floor ? 1 - plan->accuracy / floor : 0;
}

double kerf_plan_violation(const struct kerf_problem *p, const struct kerf_plan *plan)
{
	const struct kerf_goal *g = &p->goal;
	double sum = above(plan->total_s, g->deadline_s) + below(p, plan) + plan->over;

	if (g->keep && strayed(p, plan) < plan->n_step)
		sum += KERF_GOAL_BROKEN;
	if (codecs_used(plan) & ~g->codecs)
		sum += KERF_GOAL_BROKEN;
	if (!g->inexact && padded(plan))
		sum += KERF_GOAL_BROKEN;
	if (!g->exits && plan->exit >= 0)
		sum += KERF_GOAL_BROKEN;
	return sum;
}

/* --- sentences --- */

/* Rounded up to four digits, so that what is proposed is met. */
static double up(double x)
{
	double unit;

	if (!(x > 0) || !isfinite(x))
		return x;
	unit = pow(10, floor(log10(x)) - 3);
	return ceil(x * (1 - 1e-12) / unit) * unit;
}

#define MOST_NODES 3 /* in a sentence */

/* What is missed, and the options that would let the plan through. */
struct misses {
	char what[512], options[512];
};

static void KERF_PRINTF(3, 4) append(char *text, size_t size, const char *fmt, ...)
{
	size_t at = strlen(text);
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text + at, size - at, fmt, ap);
	va_end(ap);
}

#define MISS(m, ...) append((m)->what, sizeof((m)->what), __VA_ARGS__)
#define OPTION(m, ...) append((m)->options, sizeof((m)->options), __VA_ARGS__)

static void append_codecs(char *text, size_t size, uint32_t codecs)
{
	const char *comma = "";
	uint32_t c;

	for (c = 0; c < KERF_N_CODECS; c++)
		if (codecs >> c & 1) {
			append(text, size, "%s%s", comma, kerf_codec_name((enum kerf_codec)c));
			comma = ",";
		}
}

static void list_broken(const struct kerf_problem *p, const struct kerf_plan *plan,
			struct misses *m)
{
	const struct kerf_goal *g = &p->goal;
	uint32_t i = strayed(p, plan);
	uint32_t codecs = codecs_used(plan);

	if (g->keep && i < plan->n_step) {
		uint32_t o = plan->step[i].op[0];

		MISS(m, "keep %u: operator %u ('%.64s') runs on %.64s; ", g->keep, o,
		     p->graph->op[o].name, p->engine[plan->step[i].engine].name);
		OPTION(m, " --keep %u", o);
	}
	if (codecs & ~g->codecs) {
		MISS(m, "codecs: values travel as ");
		append_codecs(m->what, sizeof(m->what), codecs & ~g->codecs);
		MISS(m, "; ");
		OPTION(m, " --codecs ");
		append_codecs(m->options, sizeof(m->options),
			      codecs | (g->codecs & ~(1u << KERF_CODEC_NONE)));
	}
	if (!g->inexact && padded(plan)) {
		MISS(m, "exactness: tiles are padded where the image goes on; ");
		OPTION(m, " --inexact");
	}
	if (!g->exits && plan->exit >= 0) {
		MISS(m, "exits: the answer is an earlier exit's; ");
		OPTION(m, " --exits");
	}
}

/* All nodes that are over, the first MOST_NODES by name. */
static void list_memory(const struct kerf_problem *p, const struct kerf_plan *plan,
			struct misses *m)
{
	double bytes[KERF_MAX_NODES], limit, needed;
	uint32_t i, n = 0;
	const char *name;

	if (kerf_plan_memory(p, plan, bytes))
		return;
	for (i = 0; i < p->n_node; i++) {
		if (above(bytes[i], p->node[i].memory_bytes) <= 0 || n++ >= MOST_NODES)
			continue;
		name = kerf_problem_node_name(p, i);
		limit = p->node[i].memory_bytes / 1e6;
		needed = up(bytes[i] / 1e6);
		MISS(m, "memory of %.32s %.4g MB: it needs %.4g MB; ", name, limit, needed);
		OPTION(m, " --memory %.64s=%.4g", name, needed);
	}
	if (n > MOST_NODES) {
		MISS(m, "and memory of %u more nodes; ", n - MOST_NODES);
		OPTION(m, " and --memory of %u more", n - MOST_NODES);
	}
}

static void list_short(const struct kerf_problem *p, const struct kerf_plan *plan,
		       struct misses *m)
{
	const struct kerf_goal *g = &p->goal;

	if (plan->over > 0)
		list_memory(p, plan, m);
	if (above(plan->total_s, g->deadline_s) > 0) {
		MISS(m, "deadline %.4g ms: it takes %.4g ms; ", g->deadline_s * 1e3,
		     up(plan->total_s * 1e3));
		OPTION(m, " --deadline %.4g", up(plan->total_s * 1e3));
	}
	if (below(p, plan) > 0 && plan->accuracy > 0) {
		MISS(m, "accuracy %.4g: it has %.4g; ", g->accuracy, plan->accuracy);
		OPTION(m, " --accuracy %.4g", floor(plan->accuracy * 1e4) / 1e4);
	} else if (below(p, plan) > 0) {
		MISS(m, "accuracy %.4g: the model does not tell its own (metadata kerf.accuracy), and the plan is not exact; ",
		     g->accuracy);
		OPTION(m, " --accuracy 0");
	}
}

static int say(const struct kerf_problem *p, const struct kerf_plan *plan, const char *which,
	       struct kerf_err *err)
{
	struct misses m = {"", ""};

	list_broken(p, plan, &m);
	list_short(p, plan, &m);
	return kerf_fail(err, -EDOM, "%s plan misses %s%s would be met", which, m.what,
			 m.options + 1);
}

int kerf_plan_meets(const struct kerf_problem *p, const struct kerf_plan *plan,
		    struct kerf_err *err)
{
	return kerf_plan_violation(p, plan) > 0 ? say(p, plan, "the", err) : 0;
}

/* --- problems without a plan --- */

static bool reachable(const struct kerf_problem *p, uint32_t node)
{
	return node == p->home || (p->link[p->home * p->n_node + node].rate_bytes_s > 0 &&
				   p->link[node * p->n_node + p->home].rate_bytes_s > 0);
}

/* Somebody runs it who can be reached. */
static int check_op(const struct kerf_problem *p, uint32_t o, struct kerf_err *err)
{
	const struct kerf_op *op = &p->graph->op[o];
	const char *apart = NULL;
	bool keep = o < p->goal.keep, elsewhere = false;
	uint32_t e;

	for (e = 0; e < p->n_engine; e++) {
		if (!isfinite(p->op_s[(size_t)o * p->n_engine + e]))
			continue;
		if (keep && p->engine[e].node != p->home)
			elsewhere = true;
		else if (reachable(p, p->engine[e].node))
			return 0;
		else
			apart = p->engine[e].name;
	}
	if (apart)
		return kerf_fail(err, -EDOM,
				 "operator %u ('%s'): %s can run it, but there is no path to its node and back; with a link both ways it would",
				 o, op->name, apart);
	if (elsewhere)
		return kerf_fail(err, -EDOM,
				 "keep: the first %u operators stay here, but no engine here can run operator %u ('%s'); --keep %u would be met",
				 p->goal.keep, o, op->name, o);
	return kerf_fail(err, -ENODEV, "operator %u ('%s'): no engine can run it", o, op->name);
}

/* All weights of what runs must lie somewhere. */
static int check_memory(const struct kerf_problem *p, struct kerf_err *err)
{
	double weights = 0, room = 0;
	uint32_t i;

	if (!p->node)
		return 0;
	for (i = 0; i < p->n_node; i++) {
		if (!reachable(p, i))
			continue;
		if (p->node[i].memory_bytes <= 0)
			return 0;
		room += p->node[i].memory_bytes;
	}
	for (i = 0; i < p->graph->n_op; i++)
		weights += p->outline->weight_bytes[i];
	if (weights <= room || (p->goal.exits && p->graph->n_exit))
		return 0;
	return kerf_fail(err, -EDOM,
			 "memory: the model's weights are %.4g MB, all nodes together have %.4g MB; --memory %s=%.4g would hold them",
			 weights / 1e6, room / 1e6, kerf_problem_node_name(p, p->home),
			 up((weights - room + p->node[p->home].memory_bytes) / 1e6));
}

int kerf_problem_check(const struct kerf_problem *p, struct kerf_err *err)
{
	uint32_t o;
	int r = 0;

	if (!p->n_engine)
		return kerf_fail(err, -ENODEV, "no engines");
	for (o = 0; o < p->graph->n_op && !r; o++)
		r = check_op(p, o, err);
	return r ? r : check_memory(p, err);
}

/* --- the best of several --- */

void kerf_choice_offer(const struct kerf_problem *p, struct kerf_choice *c, struct kerf_plan *plan,
		       int r)
{
	double violation, cost;

	if (r) {
		c->error = c->error ? c->error : r;
		return;
	}
	violation = kerf_plan_violation(p, plan);
	cost = kerf_plan_cost(p, plan);
	if (violation > 0) {
		if (c->have || (c->have_near && !(violation < c->violation))) {
			kerf_plan_finish(plan);
			return;
		}
		if (c->have_near)
			kerf_plan_finish(&c->near);
		c->near = *plan;
		c->have_near = true;
		c->violation = violation;
		return;
	}
	if (c->have && !(cost < c->cost)) {
		kerf_plan_finish(plan);
		return;
	}
	if (c->have)
		kerf_plan_finish(&c->best);
	c->best = *plan;
	c->have = true;
	c->cost = cost;
}

void kerf_choice_drop(struct kerf_choice *c)
{
	if (c->have)
		kerf_plan_finish(&c->best);
	if (c->have_near)
		kerf_plan_finish(&c->near);
	memset(c, 0, sizeof(*c));
}

int kerf_choice_end(const struct kerf_problem *p, struct kerf_choice *c, struct kerf_plan *plan,
		    struct kerf_err *err)
{
	int r = 0;

	if (c->have) {
		*plan = c->best;
		c->have = false;
	} else if (c->error == -ENOMEM) {
		r = -ENOMEM;
	} else {
		/*
		 * A plan that runs tells what would let it through; the problem only what is in its
		 * way.
		 */
		r = c->have_near ? say(p, &c->near, "the nearest", err) : kerf_problem_check(p, err);
		if (!r)
			r = kerf_fail(err, -ENODEV, "none of the plans that this policy considers can run");
	}
	kerf_choice_drop(c);
	return r;
}
