/* SPDX-License-Identifier: MIT */
/*
 * A home looks at its neighbourhood when a request arrives and refresh_s have passed since it last
 * did, or a request failed. What it sees, in steps, is the key of a plan: node groups, who is
 * there, loads, and classes and rates of links, all in the home's numbering. So homes that look
 * alike share plans, and the planner (plan/planner.h) that makes them: one for each model and row
 * of node groups.
 *
 * A plan is made for what is seen: an engine with a line of n jobs (smoothed) is taken for 1 + n
 * times slower, as telemetry has it of a CPU that others use. What its jobs then take is priced
 * without that: the line itself is simulated. A node that is down stays in the problem; there is no
 * path to it, and nothing runs there.
 *
 * Whether the plan for what is seen now takes the place of the one in force says the controller
 * (plan/replan.h), one for each home and model, with the simulation's time for the clock.
 */
#include "sim/planner.h"

#include "cost/profile.h"
#include "graph/op.h"
#include "plan/planner.h"
#include "plan/replan.h"
#include "sim/random.h"
#include "util/hash.h"

#include <stdlib.h>
#include <string.h>

#define MAX_PLANS 16384
#define MAX_PLANNERS 256 /* kept; a row of groups has its place among them */
#define RATE_STEPS 8 /* to an octave */
#define LOAD_STEPS 4
#define PAST 32 /* looks back, for policies that look back */
#define NONE KERF_SIM_NONE

struct model {
	struct kerf_graph *graph;
	struct kerf_outline *outline;
	double **op_s, **fixed_s; /* [engine class][operator]; NULL until needed */
};

struct made {
	struct made *next; /* of its bucket */
	uint64_t hash;
	uint32_t n_key, refs;
	struct kerf_plan plan; /* nodes are the home's slots */
	struct kerf_flow flow;
	uint8_t *key;
	bool fails;
};

/* A home's plan for one model. */
struct in_force {
	struct made *made; /* NULL: none yet */
	struct kerf_replan *replan;
	bool fails; /* it cannot run now, nor is there another */
	double seen_s; /* when it last looked */
};

/* Who plans for homes with one row of node groups. */
struct shared {
	struct kerf_planner *planner;
	uint32_t n_key;
	uint8_t *key;
};

struct kerf_sim_planner {
	const struct kerf_policy *policy;
	uint32_t n_model, n_class;
	struct model *model;
	uint32_t *class_of; /* per engine of the world */
	uint32_t *group_of; /* per node */
	uint32_t *link_class;
	struct in_force *force; /* [home * n_model + model] */
	size_t n_force;
	struct made **bucket;
	uint32_t n_bucket, n_made;
	struct shared *shared; /* [MAX_PLANNERS] */
	/* One problem at a time. */
	struct kerf_problem p;
	struct kerf_link_model *link;
	struct kerf_plan_node *node;
	double *op_s, *fixed_s, past[PAST];
	uint8_t *key;
	size_t n_key, n_groups; /* bytes of it; of those, model and node groups */
};

uint32_t kerf_sim_engine_class(const struct kerf_sim *sim, uint32_t engine)
{
	return sim->planner->class_of[engine];
}

/* --- Costs --- */

static int roofline(const struct kerf_scenario_engine *e, const struct model *m, double *op_s,
		    double *fixed_s)
{
	uint32_t o;

	for (o = 0; o < m->graph->n_op; o++) {
		double flops = (double)kerf_op_flops(m->graph, &m->graph->op[o]);
		double bytes = m->outline->op_bytes[o] + m->outline->weight_bytes[o];

		op_s[o] = fmax(flops / e->flops_s, bytes / e->bytes_s) * e->factor + e->op_s;
		fixed_s[o] = e->op_s;
	}
	return 0;
}

static int stored(const struct kerf_scenario_engine *e, const struct model *m, double *op_s,
		  double *fixed_s, struct kerf_err *err)
{
	struct kerf_profile profile;
	uint32_t o;
	int r = kerf_profile_load(m->graph, e->engine, e->machine, &profile, err);

	if (r == -ENOENT)
		return kerf_fail(err, r, "no stored profile of '%s' on '%s'; 'kerf profile' makes one",
				 m->graph->name, e->engine);
	if (r)
		return r;
	for (o = 0; o < m->graph->n_op; o++) {
		op_s[o] = profile.op_s[o] * e->factor;
		fixed_s[o] = profile.op_fixed_s ? profile.op_fixed_s[o] * e->factor : 0;
	}
	kerf_profile_finish(&profile);
	return 0;
}

static int cost_of(const struct kerf_scenario *s, struct model *m, struct kerf_err *err)
{
	uint32_t i;
	int r = 0;

	m->op_s = calloc(s->n_engine, sizeof(*m->op_s));
	m->fixed_s = calloc(s->n_engine, sizeof(*m->fixed_s));
	if (!m->op_s || !m->fixed_s)
		return -ENOMEM;
	for (i = 0; i < s->n_engine && !r; i++) {
		const struct kerf_scenario_engine *e = &s->engine[i];

		m->op_s[i] = calloc(m->graph->n_op + 1, sizeof(double));
		m->fixed_s[i] = calloc(m->graph->n_op + 1, sizeof(double));
		if (!m->op_s[i] || !m->fixed_s[i])
			return -ENOMEM;
		r = e->engine ? stored(e, m, m->op_s[i], m->fixed_s[i], err)
			      : roofline(e, m, m->op_s[i], m->fixed_s[i]);
		if (r)
			kerf_err_prefix(err, "engine '%s'", e->name);
	}
	return r;
}

int kerf_sim_planner_new(struct kerf_sim *sim, kerf_sim_load_fn load, void *user,
			 struct kerf_err *err)
{
	const struct kerf_scenario *s = sim->s;
	struct kerf_sim_planner *pl = sim->planner = calloc(1, sizeof(*pl));
	uint32_t most = 1, i;
	int r = 0;

	if (!pl)
		return -ENOMEM;
	pl->policy = kerf_policy_find(s->policy);
	pl->n_model = s->n_model;
	pl->n_class = s->n_engine;
	pl->model = calloc(s->n_model, sizeof(*pl->model));
	pl->n_bucket = 4096;
	pl->bucket = calloc(pl->n_bucket, sizeof(struct made *));
	pl->shared = calloc(MAX_PLANNERS, sizeof(*pl->shared));
	if (!pl->model || !pl->bucket || !pl->shared)
		return -ENOMEM;
	for (i = 0; i < s->n_model && !r; i++) {
		struct model *m = &pl->model[i];

		r = load(user, &s->model[i], &m->graph, err);
		if (!r)
			r = kerf_outline_make(m->graph, &m->outline);
		if (!r)
			r = cost_of(s, m, err);
		if (!r)
			most = KERF_MAX(most, m->graph->n_op);
		else
			kerf_err_prefix(err, "model '%s'", s->model[i].name);
	}
	if (r)
		return r;
	pl->op_s = calloc((size_t)most * KERF_MAX_ENGINES, sizeof(double));
	pl->fixed_s = calloc((size_t)most * KERF_MAX_ENGINES, sizeof(double));
	pl->link = calloc(KERF_MAX_ENGINES * KERF_MAX_ENGINES, sizeof(*pl->link));
	pl->node = calloc(KERF_MAX_ENGINES, sizeof(*pl->node));
	/* Of each slot a group and whether it is there; engines' loads; of each pair a link. */
	pl->key = malloc(16 + KERF_MAX_ENGINES * 12 + KERF_MAX_ENGINES * KERF_MAX_ENGINES * 8 +
			 PAST * 4);
	return pl->op_s && pl->fixed_s && pl->link && pl->node && pl->key ? 0 : -ENOMEM;
}

int kerf_sim_planner_begin(struct kerf_sim *sim, uint32_t *link_class)
{
	struct kerf_sim_planner *pl = sim->planner;
	const struct kerf_sim_world *w = &sim->world;
	const struct kerf_scenario *s = sim->s;
	uint32_t i, k, n, e = 0;

	pl->link_class = link_class;
	pl->class_of = calloc(w->n_engine + 1, sizeof(*pl->class_of));
	pl->group_of = calloc(w->n_node + 1, sizeof(*pl->group_of));
	pl->n_force = (size_t)w->n_home * s->n_model;
	pl->force = calloc(pl->n_force + 1, sizeof(*pl->force));
	if (!pl->class_of || !pl->group_of || !pl->force)
		return -ENOMEM;
	for (i = 0; i < s->n_node; i++)
		for (n = 0; n < s->node[i].count; n++) {
			pl->group_of[s->node[i].first + n] = i;
			for (k = 0; k < s->node[i].n_engine; k++)
				pl->class_of[e++] = s->node[i].engine[k];
		}
	return 0;
}

/* --- What a home sees --- */

/* 2 to the k / steps, without libm's help. */
static double octaves(int k, int steps)
{
	static const double eighth[] = {1, 1.0905077326652577, 1.189207115002721,
					1.2968395546510096, 1.4142135623730951, 1.5422108254079407,
					1.6817928305074290, 1.8340080864093424};
	int whole = k >= 0 ? k / steps : -((-k + steps - 1) / steps);

	return ldexp(eighth[(k - whole * steps) * (8 / steps)], whole);
}

static int to_octaves(double x, int steps)
{
	return (int)floor(kerf_sim_log(x) * (1 / 0.69314718055994531) * steps + 0.5);
}

static void put(struct kerf_sim_planner *pl, uint32_t v)
{
	memcpy(pl->key + pl->n_key, &v, sizeof(v));
	pl->n_key += sizeof(v);
}

/* The engines of the problem, and how much slower each seems: INFINITY, its node is down. */
static void see_engines(struct kerf_sim *sim, const struct kerf_sim_home *h, uint32_t model,
			double now, double slowdown[KERF_MAX_ENGINES])
{
	struct kerf_sim_planner *pl = sim->planner;
	const struct kerf_sim_world *w = &sim->world;
	struct kerf_problem *p = &pl->p;
	uint32_t i, slot = 0;

	p->n_node = h->n_slot;
	p->n_engine = h->n_engine;
	pl->n_key = 0;
	put(pl, model);
	for (i = 0; i < h->n_slot; i++) {
		put(pl, pl->group_of[h->slot[i]]);
		pl->node[i] = sim->s->node[pl->group_of[h->slot[i]]].about;
	}
	pl->n_groups = pl->n_key;
	for (i = 0; i < h->n_engine; i++) {
		const struct kerf_sim_engine *e = &w->engine[h->engine[i]];
		const struct kerf_scenario_engine *class =
			&sim->s->engine[pl->class_of[h->engine[i]]];
		int step = 0;

		while (h->slot[slot] != e->node)
			slot++;
		p->engine[i] = (struct kerf_plan_engine){.name = class->name,
							 .node = slot,
							 .job_s = class->job_s,
							 .active_w = class->active_w};
		slowdown[i] = INFINITY;
		if (w->node[e->node].down) {
			put(pl, NONE);
			continue;
		}
		if (sim->s->see_load)
			step = to_octaves(1 + kerf_sim_server_mean(&e->server, now, w->smooth_s),
					  LOAD_STEPS);
		put(pl, (uint32_t)step);
		slowdown[i] = octaves(step, LOAD_STEPS);
	}
}

/* A traced link's rate is seen in steps; another's is what it is. */
static void see_links(struct kerf_sim *sim, const struct kerf_sim_home *h, double now)
{
	struct kerf_sim_planner *pl = sim->planner;
	const struct kerf_sim_node *node = sim->world.node;
	uint32_t n = pl->p.n_node, i, k;

	for (i = 0; i < n; i++)
		for (k = 0; k < n; k++) {
			uint32_t at = h->link[i * n + k];
			struct kerf_link_model *m = &pl->link[i * n + k];
			const struct kerf_sim_link *l;
			int step = 0;

			*m = (struct kerf_link_model){.rate_bytes_s = i == k ? INFINITY : 0};
			if (i == k)
				continue;
			if (at == NONE || node[h->slot[i]].down || node[h->slot[k]].down) {
				put(pl, NONE);
				continue;
			}
			put(pl, pl->link_class[at]);
			l = &sim->world.link[at];
			*m = l->model;
			if (!l->trace)
				continue;
			m->rate_bytes_s = kerf_sim_trace_rate(l->trace, now + l->shift_s);
			if (m->rate_bytes_s > 0) {
				step = to_octaves(m->rate_bytes_s, RATE_STEPS);
				m->rate_bytes_s = octaves(step, RATE_STEPS);
			}
			put(pl, m->rate_bytes_s > 0 ? (uint32_t)(step + (1 << 20)) : 0);
		}
}

/* The busiest of home's links, by what carries it; NULL: it has none. */
static const struct kerf_sim_link *busiest_link(const struct kerf_sim_world *w,
						const struct kerf_sim_home *h)
{
	const struct kerf_sim_link *best = NULL;
	uint32_t k;

	for (k = 1; k < h->n_slot; k++) {
		const struct kerf_sim_link *l = h->link[k] == NONE ? NULL : &w->link[h->link[k]];

		if (l && (!best || w->medium[l->medium].busy_s > w->medium[best->medium].busy_s))
			best = l;
	}
	return best;
}

/* Its rates as home would have seen them, a refresh apart. */
static void see_past(struct kerf_sim *sim, const struct kerf_sim_home *h, double now)
{
	struct kerf_sim_planner *pl = sim->planner;
	const struct kerf_sim_link *l = busiest_link(&sim->world, h);
	double apart = fmax(sim->s->refresh_s, 1e-3), t;
	uint32_t i;

	pl->p.past_rate = pl->past;
	pl->p.n_past_rate = 0;
	if (!kerf_policy_looks_back(pl->policy) || !l)
		return;
	pl->p.n_past_rate = now < apart * (PAST - 1) ? (uint32_t)(now / apart) + 1 : PAST;
	for (i = 0; i < pl->p.n_past_rate; i++) {
		int step = 0;

		t = now - apart * (pl->p.n_past_rate - 1 - i);
		pl->past[i] = l->trace ? kerf_sim_trace_rate(l->trace, t + l->shift_s)
				       : l->model.rate_bytes_s;
		if (pl->past[i] > 0) {
			step = to_octaves(pl->past[i], RATE_STEPS) + (1 << 20);
			pl->past[i] = octaves(step - (1 << 20), RATE_STEPS);
		}
		put(pl, (uint32_t)step);
	}
}

static void fill_costs(struct kerf_sim *sim, const struct kerf_sim_home *h, uint32_t model,
		       const double slowdown[KERF_MAX_ENGINES])
{
	struct kerf_sim_planner *pl = sim->planner;
	struct model *m = &pl->model[model];
	struct kerf_problem *p = &pl->p;
	uint32_t i, o;

	p->graph = m->graph;
	p->outline = m->outline;
	p->node = pl->node;
	p->link = pl->link;
	p->op_s = pl->op_s;
	p->op_fixed_s = pl->fixed_s;
	p->goal = sim->s->goal;
	p->seed = sim->s->seed;
	for (i = 0; i < p->n_engine; i++) {
		uint32_t class = pl->class_of[h->engine[i]];
		double slow = slowdown ? slowdown[i] : 1;
		bool there = slow < INFINITY;

		for (o = 0; o < m->graph->n_op; o++) {
			pl->op_s[(size_t)o * p->n_engine + i] =
				there ? m->op_s[class][o] * slow : INFINITY;
			pl->fixed_s[(size_t)o * p->n_engine + i] =
				there ? m->fixed_s[class][o] * slow : 0;
		}
	}
}

/* --- Plans by what was seen --- */

static void made_free(struct made *made)
{
	kerf_flow_finish(&made->flow);
	kerf_plan_finish(&made->plan);
	free(made->key);
	free(made);
}

/* Forgets what nobody uses. */
static void shrink(struct kerf_sim_planner *pl)
{
	uint32_t i;

	for (i = 0; i < pl->n_bucket; i++) {
		struct made **at = &pl->bucket[i];

		while (*at) {
			struct made *made = *at;

			if (made->refs) {
				at = &made->next;
				continue;
			}
			*at = made->next;
			made_free(made);
			pl->n_made--;
		}
	}
}

/* The planner of the node groups in pl->key; NULL: no memory. */
static struct kerf_planner *planner_of(struct kerf_sim_planner *pl)
{
	uint64_t hash = kerf_hash_mix(KERF_HASH_INIT, pl->key, pl->n_groups);
	struct shared *at = &pl->shared[hash % MAX_PLANNERS];

	if (at->planner && at->n_key == pl->n_groups && !memcmp(at->key, pl->key, pl->n_groups))
		return at->planner;
	kerf_planner_free(at->planner);
	at->planner = NULL;
	free(at->key);
	at->n_key = (uint32_t)pl->n_groups;
	at->key = malloc(pl->n_groups);
	if (!at->key || kerf_planner_new(&pl->p, pl->policy, &at->planner))
		return NULL;
	memcpy(at->key, pl->key, pl->n_groups);
	return at->planner;
}

/* Plans for what is in pl->p; its flow has what jobs take on engines without a line. */
static int plan_now(struct kerf_sim *sim, const struct kerf_sim_home *h, uint32_t model,
		    const double slowdown[KERF_MAX_ENGINES], struct made *made,
		    struct kerf_err *err)
{
	struct kerf_sim_planner *pl = sim->planner;
	struct kerf_planner *planner = planner_of(pl);
	int r;

	if (!planner)
		return -ENOMEM;
	sim->plans_made++;
	r = kerf_planner_plan(planner, &pl->p, &made->plan, err);
	if (r)
		return r;
	fill_costs(sim, h, model, NULL);
	r = kerf_plan_price(&pl->p, &made->plan);
	if (!r)
		r = kerf_flow_make(&pl->p, &made->plan, &made->flow);
	fill_costs(sim, h, model, slowdown);
	return r;
}

/* The plan for pl->key; NULL: no memory. */
static struct made *look_up(struct kerf_sim *sim, const struct kerf_sim_home *h, uint32_t model,
			    const double slowdown[KERF_MAX_ENGINES])
{
	struct kerf_sim_planner *pl = sim->planner;
	uint64_t hash = kerf_hash_mix(KERF_HASH_INIT, pl->key, pl->n_key);
	struct made **bucket = &pl->bucket[hash % pl->n_bucket], *made;
	struct kerf_err err = {""};
	int r;

	for (made = *bucket; made; made = made->next)
		if (made->hash == hash && made->n_key == pl->n_key &&
		    !memcmp(made->key, pl->key, pl->n_key)) {
			sim->plans_kept++;
			return made;
		}
	if (pl->n_made >= MAX_PLANS)
		shrink(pl);
	made = calloc(1, sizeof(*made));
	if (!made)
		return NULL;
	made->key = malloc(pl->n_key);
	r = made->key ? plan_now(sim, h, model, slowdown, made, &err) : -ENOMEM;
	if (r == -ENOMEM) {
		made_free(made);
		return NULL;
	}
	made->fails = r;
	if (r && !sim->why_unplanned[0])
		snprintf(sim->why_unplanned, sizeof(sim->why_unplanned), "%s",
			 err.msg[0] ? err.msg : strerror(-r));
	memcpy(made->key, pl->key, pl->n_key);
	made->n_key = (uint32_t)pl->n_key;
	made->hash = hash;
	made->next = *bucket;
	*bucket = made;
	pl->n_made++;
	return made;
}

static void take(struct in_force *f, struct made *made)
{
	made->refs++;
	if (f->made)
		f->made->refs--;
	f->made = made;
}

/* Home looks: the plan for what it sees is offered to its controller. */
static int look(struct kerf_sim *sim, uint32_t home, uint32_t model, double now, struct in_force *f)
{
	/* Every node has the model; sessions are ready at once. */
	const struct kerf_replan_move move = {.nodes_have = UINT64_MAX};
	struct kerf_sim_planner *pl = sim->planner;
	const struct kerf_sim_home *h = &sim->world.home[home];
	double slowdown[KERF_MAX_ENGINES];
	struct kerf_replan_decision d;
	struct made *made;
	int r;

	f->seen_s = now;
	see_engines(sim, h, model, now, slowdown);
	see_links(sim, h, now);
	see_past(sim, h, now);
	fill_costs(sim, h, model, slowdown);
	made = look_up(sim, h, model, slowdown);
	if (!made)
		return -ENOMEM;
	r = f->replan ? 0 : kerf_replan_new(sim->s->policy, &sim->s->replan, &f->replan, NULL);
	if (!r && !made->fails)
		r = kerf_plan_price(&pl->p, &made->plan);
	if (!r)
		r = kerf_replan_offer(f->replan, &pl->p, made->fails ? NULL : &made->plan, now,
				      &move, &d);
	if (r == -ENOMEM)
		return r;
	f->fails = r != 0;
	if (r || !d.change)
		return 0;
	if (f->made)
		kerf_sim_world_count_replan(&sim->world, home);
	take(f, made);
	return 0;
}

const struct kerf_flow *kerf_sim_choose(void *user, uint32_t home, uint32_t model, double now,
					bool again, void **plan)
{
	struct kerf_sim *sim = user;
	struct in_force *f = &sim->planner->force[(size_t)home * sim->s->n_model + model];

	if (!f->replan || again || now >= f->seen_s + sim->s->refresh_s)
		sim->world.no_memory |= look(sim, home, model, now, f) != 0;
	if (!f->made || f->fails)
		return NULL;
	f->made->refs++;
	*plan = f->made;
	return &f->made->flow;
}

void kerf_sim_drop(void *user, void *plan)
{
	struct made *made = plan;

	made->refs--;
}

void kerf_sim_planner_free(struct kerf_sim_planner *pl)
{
	uint32_t i, k;

	if (!pl)
		return;
	for (i = 0; pl->bucket && i < pl->n_bucket; i++)
		while (pl->bucket[i]) {
			struct made *made = pl->bucket[i];

			pl->bucket[i] = made->next;
			made_free(made);
		}
	for (i = 0; pl->shared && i < MAX_PLANNERS; i++) {
		kerf_planner_free(pl->shared[i].planner);
		free(pl->shared[i].key);
	}
	free(pl->shared);
	for (i = 0; pl->force && i < pl->n_force; i++)
		kerf_replan_free(pl->force[i].replan);
	free(pl->bucket);
	free(pl->class_of);
	free(pl->group_of);
	free(pl->link_class);
	free(pl->force);
	free(pl->link);
	free(pl->node);
	free(pl->op_s);
	free(pl->fixed_s);
	free(pl->key);
	for (i = 0; pl->model && i < pl->n_model; i++) {
		struct model *m = &pl->model[i];

		for (k = 0; k < pl->n_class; k++) {
			free(m->op_s ? m->op_s[k] : NULL);
			free(m->fixed_s ? m->fixed_s[k] : NULL);
		}
		free(m->op_s);
		free(m->fixed_s);
		kerf_outline_free(m->outline);
		kerf_graph_unref(m->graph);
	}
	free(pl->model);
	free(pl);
}
