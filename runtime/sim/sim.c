/* SPDX-License-Identifier: MIT */
#include "sim/sim.h"

#include "sim/planner.h"
#include "sim/random.h"

#include <stdlib.h>
#include <string.h>

#define NONE KERF_SIM_NONE
#define MAX_OUTAGES 1000000


static int make_nodes(const struct kerf_scenario *s, struct kerf_sim_world *w, struct kerf_err *err)
{
	uint64_t nodes = 0, engines = 0;
	uint32_t i, k, n;

	for (i = 0; i < s->n_node; i++) {
		nodes += s->node[i].count;
		engines += (uint64_t)s->node[i].count * s->node[i].n_engine;
		if (nodes > KERF_SCENARIO_MAX_NODES)
			return kerf_fail(err, -E2BIG, "nodes: more than %d in all", KERF_SCENARIO_MAX_NODES);
	}
	w->node = calloc(nodes, sizeof(*w->node));
	w->engine = calloc(engines, sizeof(*w->engine));
	if (!w->node || !w->engine)
		return -ENOMEM;
	w->n_node = (uint32_t)nodes;
	for (i = 0; i < s->n_node; i++)
		for (n = 0; n < s->node[i].count; n++) {
			const struct kerf_scenario_node *g = &s->node[i];
			struct kerf_sim_node *node = &w->node[g->first + n];

			if (asprintf(&node->name, g->count > 1 ? "%s-%u" : "%s", g->name, n) < 0) {
				node->name = NULL;
				return -ENOMEM;
			}
			node->idle_w = g->about.idle_w;
			node->send_j_byte = g->about.send_j_byte;
			node->receive_j_byte = g->about.receive_j_byte;
			node->first_engine = w->n_engine;
			node->n_engine = g->n_engine;
			for (k = 0; k < g->n_engine; k++) {
				const struct kerf_scenario_engine *e = &s->engine[g->engine[k]];

				w->engine[w->n_engine++] =
					(struct kerf_sim_engine){.name = e->name,
								 .node = g->first + n,
								 .variation = e->variation,
								 .active_w = e->active_w};
			}
		}
	return 0;
}

/* --- Links --- */

struct linking {
	struct kerf_sim_world *w;
	const struct kerf_scenario *s;
	struct class_of {
		struct kerf_sim_link link;
		uint32_t class;
	} *made;
	uint64_t n, room;
	uint32_t n_medium;
	bool no_memory;
};

static uint32_t new_medium(struct linking *x)
{
	return x->n_medium++;
}

static void add_way(struct linking *x, uint32_t from, uint32_t to, uint32_t class, uint32_t medium,
		    double shift)
{
	const struct kerf_scenario_link *l = &x->s->link[class / 2];

	if (x->n == x->room) {
		uint64_t room = x->room * 2 + 64;
		void *more = realloc(x->made, room * sizeof(*x->made));

		x->no_memory |= !more;
		if (!more)
			return;
		x->made = more;
		x->room = room;
	}
	x->made[x->n++] = (struct class_of){
		.class = class,
		.link = {.from = from,
			 .to = to,
			 .model = class % 2 ? l->back : l->there,
			 .trace = l->trace == NONE ? NULL : &x->s->trace[l->trace].rate,
			 .shift_s = shift,
			 .medium = medium}};
}

static int add_links(struct linking *x, uint32_t i, struct kerf_err *err)
{
	const struct kerf_scenario_link *l = &x->s->link[i];
	const struct kerf_scenario_node *a = &x->s->node[l->from], *b = &x->s->node[l->to];
	uint32_t one = l->medium == KERF_SCENARIO_ONE ? new_medium(x) : NONE, base = x->n_medium;
	uint64_t n = 0;
	uint32_t p, q;

	if (l->medium == KERF_SCENARIO_AT_FROM)
		x->n_medium += a->count;
	if (l->medium == KERF_SCENARIO_AT_TO)
		x->n_medium += b->count;
	for (p = 0; p < a->count && !x->no_memory; p++) {
		uint32_t first = 0, last = b->count;

		if (l->pattern == KERF_SCENARIO_SPREAD)
			first = p % b->count;
		else if (l->pattern == KERF_SCENARIO_RING)
			first = (p + 1) % b->count;
		else if (l->from == l->to)
			first = p + 1;
		if (l->pattern != KERF_SCENARIO_ALL)
			last = first + 1;
		for (q = first; q < last; q++) {
			double shift = l->shift_s * (double)n++;
			bool own = l->medium == KERF_SCENARIO_WIRE;
			uint32_t m = l->medium == KERF_SCENARIO_AT_FROM ? base + p
				     : l->medium == KERF_SCENARIO_AT_TO ? base + q
									: one;

			if (a->first + p == b->first + q)
				continue;
			add_way(x, a->first + p, b->first + q, 2 * i, own ? new_medium(x) : m,
				shift);
			add_way(x, b->first + q, a->first + p, 2 * i + 1, own ? new_medium(x) : m,
				shift);
			if (x->n > KERF_SCENARIO_MAX_LINKS)
				return kerf_fail(err, -E2BIG, "links[%u]: more than %d directions in all", i,
						 KERF_SCENARIO_MAX_LINKS);
		}
	}
	return x->no_memory ? -ENOMEM : 0;
}

static int by_ends(const void *a, const void *b)
{
	const struct class_of *x = a, *y = b;

	if (x->link.from != y->link.from)
		return x->link.from < y->link.from ? -1 : 1;
	return (x->link.to > y->link.to) - (x->link.to < y->link.to);
}

static int make_links(struct kerf_sim *sim, uint32_t **classes, struct kerf_err *err)
{
	struct kerf_sim_world *w = &sim->world;
	struct linking x = {.w = w, .s = sim->s};
	uint32_t i;
	int r = 0;

	for (i = 0; i < sim->s->n_link && !r; i++)
		r = add_links(&x, i, err);
	if (r)
		goto out;
	if (x.n)
		qsort(x.made, x.n, sizeof(*x.made), by_ends);
	w->link = calloc(x.n + 1, sizeof(*w->link));
	w->medium = calloc(x.n_medium + 1, sizeof(*w->medium));
	*classes = calloc(x.n + 1, sizeof(**classes));
	r = w->link && w->medium && *classes ? 0 : -ENOMEM;
	for (i = 0; i < x.n && !r; i++) {
		w->link[i] = x.made[i].link;
		(*classes)[i] = x.made[i].class;
		if (i && !by_ends(&x.made[i - 1], &x.made[i]))
			r = kerf_fail(err, -EINVAL, "links: two between %s and %s",
				      w->node[w->link[i].from].name, w->node[w->link[i].to].name);
	}
	w->n_link = r ? 0 : (uint32_t)x.n;
	w->n_medium = r ? 0 : x.n_medium;
out:
	free(x.made);
	return r;
}

/* The first link of a node; links are sorted. */
static uint32_t first_link(const struct kerf_sim_world *w, uint32_t from, uint32_t to)
{
	uint32_t lo = 0, hi = w->n_link;

	while (lo < hi) {
		uint32_t mid = lo + (hi - lo) / 2;
		const struct kerf_sim_link *l = &w->link[mid];

		if (l->from < from || (l->from == from && l->to < to))
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

/* --- Homes --- */

static int make_home(const struct kerf_scenario *s, struct kerf_sim_world *w, uint32_t node,
		     struct kerf_sim_home *h, struct kerf_err *err)
{
	uint32_t first = first_link(w, node, 0), i, k, engines = w->node[node].n_engine;

	h->node = node;
	h->n_slot = 1;
	for (i = first; i < w->n_link && w->link[i].from == node; i++) {
		engines += w->node[w->link[i].to].n_engine;
		h->n_slot++;
	}
	if (engines > KERF_MAX_ENGINES || h->n_slot > KERF_MAX_ENGINES)
		return kerf_fail(err, -E2BIG,
				 "%s: %u engines of %u nodes are within its reach, a plan may have %d: let links be spread",
				 w->node[node].name, engines, h->n_slot, KERF_MAX_ENGINES);
	h->slot = calloc(h->n_slot, sizeof(*h->slot));
	h->engine = calloc(engines, sizeof(*h->engine));
	h->link = calloc((size_t)h->n_slot * h->n_slot, sizeof(*h->link));
	if (!h->slot || !h->engine || !h->link)
		return -ENOMEM;
	h->slot[0] = node;
	for (i = 1; i < h->n_slot; i++)
		h->slot[i] = w->link[first + i - 1].to;
	for (i = 0; i < h->n_slot; i++) {
		const struct kerf_sim_node *n = &w->node[h->slot[i]];

		for (k = 0; k < n->n_engine; k++)
			h->engine[h->n_engine++] = n->first_engine + k;
		for (k = 0; k < h->n_slot; k++) {
			uint32_t at = first_link(w, h->slot[i], h->slot[k]);
			bool there = at < w->n_link && w->link[at].from == h->slot[i] &&
				     w->link[at].to == h->slot[k];

			h->link[i * h->n_slot + k] = there ? at : NONE;
		}
	}
	return 0;
}

static int make_streams(const struct kerf_scenario *s, struct kerf_sim_world *w,
			struct kerf_err *err)
{
	uint32_t *home_of = malloc(((size_t)w->n_node + 1) * sizeof(*home_of)), i, n;
	size_t streams = 0;
	int r = home_of ? 0 : -ENOMEM;

	for (i = 0; i < s->n_arrivals; i++)
		streams += s->node[s->arrivals[i].node].count;
	w->stream = calloc(streams, sizeof(*w->stream));
	w->home = calloc(KERF_MIN(streams, w->n_node), sizeof(*w->home));
	if (!w->stream || !w->home)
		r = -ENOMEM;
	if (!r)
		memset(home_of, 0xff, w->n_node * sizeof(*home_of));
	for (i = 0; i < s->n_arrivals && !r; i++) {
		const struct kerf_scenario_arrivals *a = &s->arrivals[i];

		for (n = 0; n < s->node[a->node].count && !r; n++) {
			uint32_t node = s->node[a->node].first + n;

			if (home_of[node] == NONE) {
				home_of[node] = w->n_home++;
				r = make_home(s, w, node, &w->home[home_of[node]], err);
			}
			w->stream[w->n_stream++] = (struct kerf_sim_stream){
				.kind = a->kind, .home = home_of[node], .model = a->model,
				.mean_s = a->mean_s, .n = a->n, .times = a->times};
		}
	}
	free(home_of);
	return r;
}

/* --- Outages --- */

static int add_outage(struct kerf_sim_world *w, uint32_t *room, uint32_t node, double from,
		      double to, struct kerf_err *err)
{
	if (w->n_outage == MAX_OUTAGES)
		return kerf_fail(err, -E2BIG, "failures: more than %d", MAX_OUTAGES);
	if (w->n_outage == *room) {
		void *more = realloc(w->outage, (*room * 2 + 16) * sizeof(*w->outage));

		if (!more)
			return -ENOMEM;
		w->outage = more;
		*room = *room * 2 + 16;
	}
	w->outage[w->n_outage++] = (struct kerf_sim_outage){node, from, to};
	return 0;
}

static int make_outages(const struct kerf_scenario *s, struct kerf_sim_world *w,
			struct kerf_err *err)
{
	struct kerf_rng rng;
	uint32_t room = 0, i, n;
	int r = 0;

	for (i = 0; i < s->n_failure && !r; i++) {
		const struct kerf_scenario_failure *f = &s->failure[i];
		uint32_t first = f->index == NONE ? 0 : f->index;
		uint32_t end = f->index == NONE ? s->node[f->node].count : f->index + 1;

		kerf_rng_seed(&rng, s->seed * 0xd1342543de82ef95u + i + 1);
		for (n = first; n < end && !r; n++) {
			uint32_t node = s->node[f->node].first + n;
			double t = 0, back;

			if (!(f->mean_up_s > 0))
				r = add_outage(w, &room, node, f->from_s, f->to_s, err);
			while (f->mean_up_s > 0 && !r) {
				t += f->mean_up_s * kerf_sim_exponential(&rng);
				if (t >= s->duration_s)
					break;
				back = t + f->mean_down_s * kerf_sim_exponential(&rng);
				r = add_outage(w, &room, node, t, back, err);
				t = back;
			}
		}
	}
	return r;
}

static int by_node_and_time(const void *a, const void *b)
{
	const struct kerf_sim_outage *x = a, *y = b;

	if (x->node != y->node)
		return x->node < y->node ? -1 : 1;
	return (x->from_s > y->from_s) - (x->from_s < y->from_s);
}

/* Outages of one node that meet are one: it is down until the last of them is over. */
static void join_outages(struct kerf_sim_world *w)
{
	uint32_t i, n = 0;

	if (w->n_outage)
		qsort(w->outage, w->n_outage, sizeof(*w->outage), by_node_and_time);
	for (i = 0; i < w->n_outage; i++) {
		struct kerf_sim_outage *last = n ? &w->outage[n - 1] : NULL;

		if (last && last->node == w->outage[i].node && last->to_s >= w->outage[i].from_s)
			last->to_s = fmax(last->to_s, w->outage[i].to_s);
		else
			w->outage[n++] = w->outage[i];
	}
	w->n_outage = n;
}

/* --- All of it --- */

int kerf_sim_make(const struct kerf_scenario *s, kerf_sim_load_fn load, void *user,
		  struct kerf_sim *sim, struct kerf_err *err)
{
	struct kerf_sim_world *w = &sim->world;
	uint32_t *classes = NULL;
	int r;

	memset(sim, 0, sizeof(*sim));
	sim->s = s;
	w->seed = s->seed;
	w->max_requests = s->max_requests;
	w->duration_s = s->duration_s;
	w->warmup_s = s->warmup_s;
	w->detect_s = s->detect_s;
	w->smooth_s = s->smooth_s;
	w->retries = s->retries;
	w->keep_records = true;
	w->choose = kerf_sim_choose;
	w->drop = kerf_sim_drop;
	w->user = sim;
	r = make_nodes(s, w, err);
	if (!r)
		r = make_links(sim, &classes, err);
	if (!r)
		r = make_streams(s, w, err);
	if (!r)
		r = make_outages(s, w, err);
	if (!r)
		join_outages(w);
	if (!r)
		r = kerf_sim_planner_new(sim, load, user, err);
	if (!r)
		r = kerf_sim_planner_begin(sim, classes);
	else
		free(classes);
	return r;
}

int kerf_sim_run(struct kerf_sim *sim, struct kerf_err *err)
{
	int r = kerf_sim_world_run(&sim->world);

	return r ? kerf_fail(err, r, "the simulation needs more memory than there is") : 0;
}

void kerf_sim_finish(struct kerf_sim *sim)
{
	kerf_sim_world_finish(&sim->world);
	kerf_sim_planner_free(sim->planner);
	memset(sim, 0, sizeof(*sim));
}
