/* SPDX-License-Identifier: MIT */
/*
 * Prices an assignment without making its plan: find_levels() and number_steps() of plan.c and
 * the simulation of price.c on arrays that are there already. A test holds it to both.
 */
#include "plan/goal.h"
#include "plan/search_priv.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define NONE UINT32_MAX
/* A scale and a zero point (price.c). */
#define INT8_HEAD 8
#define ROUNDING (1 + 1e-12) /* of limits (goal.c) */

/* --- making --- */

/* count * size bytes of a block that is measured first (base NULL) and then handed out. */
static void *take(char *base, size_t *at, size_t count, size_t size)
{
	void *p = base ? base + *at : NULL;

	*at = (*at + count * size + 15) & ~(size_t)15;
	return p;
}

static size_t lay_out(struct kerf_search *x, char *base, uint32_t n_slot)
{
	size_t steps = ((size_t)x->n_op + 2) * x->n_engine, links = (size_t)x->n_node * x->n_node;
	size_t at = 0;

	x->id = take(base, &at, x->n_value, sizeof(*x->id));
	x->maker = take(base, &at, x->n_value, sizeof(*x->maker));
	x->read_first = take(base, &at, (size_t)x->n_value + 1, sizeof(*x->read_first));
	x->reader = take(base, &at, n_slot, sizeof(*x->reader));
	x->in_first = take(base, &at, (size_t)x->n_op + 2, sizeof(*x->in_first));
	x->in = take(base, &at, n_slot, sizeof(*x->in));
	x->bytes = take(base, &at, x->n_value, sizeof(*x->bytes));
	x->is_out = take(base, &at, x->n_value, sizeof(*x->is_out));
	x->live = take(base, &at, x->n_op, sizeof(*x->live));
	x->level = take(base, &at, x->n_op, sizeof(*x->level));
	x->bucket = take(base, &at, x->n_op, sizeof(*x->bucket));
	x->step = take(base, &at, steps, sizeof(*x->step));
	x->edge = take(base, &at, n_slot, sizeof(*x->edge));
	x->seen = take(base, &at, steps, sizeof(*x->seen));
	x->list = take(base, &at, n_slot, sizeof(*x->list));
	x->engine_free = take(base, &at, x->n_engine, sizeof(double));
	x->engine_busy = take(base, &at, x->n_engine, sizeof(double));
	x->link_free = take(base, &at, links, sizeof(double));
	x->link_busy = take(base, &at, links, sizeof(double));
	x->coding = take(base, &at, x->n_node, sizeof(double));
	x->weights = take(base, &at, x->n_node, sizeof(double));
	x->peak = take(base, &at, x->n_node, sizeof(double));
	x->at = take(base, &at, x->n_op, sizeof(*x->at));
	x->met = take(base, &at, steps, sizeof(*x->met));
	x->made_first = take(base, &at, (size_t)x->n_op + 2, sizeof(*x->made_first));
	x->made = take(base, &at, x->n_value, sizeof(*x->made));
	x->branch_of = take(base, &at, x->n_op, sizeof(*x->branch_of));
	x->branch = take(base, &at, x->n_op, sizeof(*x->branch));
	x->back = take(base, &at, (size_t)x->n_op * x->n_engine, sizeof(*x->back));
	x->out_bytes = take(base, &at, x->n_op, sizeof(*x->out_bytes));
	x->runs = take(base, &at, x->n_op, sizeof(*x->runs));
	x->trial = take(base, &at, x->n_op, sizeof(*x->trial));
	x->best = take(base, &at, x->n_op, sizeof(*x->best));
	x->trial_codec = take(base, &at, x->p->graph->n_value, sizeof(*x->trial_codec));
	x->best_codec = take(base, &at, x->p->graph->n_value, sizeof(*x->best_codec));
	x->reach = take(base, &at, (size_t)n_slot * x->n_engine, sizeof(*x->reach));
	x->tail = take(base, &at, (size_t)x->n_op * x->n_engine, sizeof(*x->tail));
	x->rest_s = take(base, &at, (size_t)x->n_op + 1, sizeof(*x->rest_s));
	x->rest_j = take(base, &at, (size_t)x->n_op + 1, sizeof(*x->rest_j));
	return at;
}

static bool travels(const struct kerf_problem *p, uint32_t v)
{
	const struct kerf_outline *o = p->outline;

	return !kerf_value_is_const(&p->graph->value[v]) &&
	       (o->first[v] < o->first[v + 1] || o->is_out[v]);
}

static uint32_t root_of(uint32_t *up, uint32_t o)
{
	while (up[o] != o)
		o = up[o] = up[up[o]];
	return o;
}

/* One block, without its last operator: which of its operators hang together. */
static void find_branches(struct kerf_search *x, uint32_t begin, uint32_t end)
{
	uint32_t *up = x->level, o, i, k, before = x->n_branch, *label = x->bucket;

	for (o = begin; o < end; o++) {
		up[o] = o;
		x->branch_of[o] = NONE;
		label[o] = NONE;
	}
	for (o = begin; o + 1 < end; o++)
		for (i = x->in_first[o]; i < x->in_first[o + 1]; i++) {
			uint32_t m = x->maker[x->in[i]];

			if (m != KERF_SEARCH_GIVEN && m >= begin)
				up[root_of(up, m)] = root_of(up, o);
		}
	for (o = begin; o + 1 < end; o++) {
		uint32_t root = root_of(up, o);

		if (label[root] == NONE) {
			label[root] = x->n_branch;
			x->branch[x->n_branch++] =
				(struct kerf_search_branch){.begin = begin, .end = end, .first = o};
		}
		x->branch_of[o] = label[root];
		for (i = x->in_first[o]; i < x->in_first[o + 1]; i++) {
			uint32_t m = x->maker[x->in[i]];

			if (m == KERF_SEARCH_GIVEN || m < begin)
				x->branch[label[root]].in_bytes =
					fmax(x->branch[label[root]].in_bytes, x->bytes[x->in[i]]);
		}
	}
	for (i = x->in_first[end - 1]; i < x->in_first[end]; i++) {
		k = x->maker[x->in[i]];
		if (k != KERF_SEARCH_GIVEN && k >= begin)
			x->branch[x->branch_of[k]].out_bytes += x->bytes[x->in[i]];
	}
	if (x->n_branch < before + 2) {
		x->n_branch = before;
		for (o = begin; o < end; o++)
			x->branch_of[o] = NONE;
	}
}

static void fill(struct kerf_search *x)
{
	const struct kerf_graph *g = x->p->graph;
	const struct kerf_outline *outline = x->p->outline;
	uint32_t v, n = 0, slots = 0, i, o, b;

	for (v = 0; v < g->n_value; v++) {
		if (!travels(x->p, v))
			continue;
		x->id[n] = v;
		x->maker[n] = g->value[v].producer < 0 ? KERF_SEARCH_GIVEN
						       : (uint32_t)g->value[v].producer;
		x->bytes[n] = outline->value_bytes[v];
		x->is_out[n] = outline->is_out[v];
		if (x->is_out[n] && x->maker[n] != KERF_SEARCH_GIVEN)
			x->out_bytes[x->maker[n]] += x->bytes[n];
		x->read_first[n] = slots;
		for (i = outline->first[v]; i < outline->first[v + 1]; i++)
			if (i == outline->first[v] ||
			    outline->reader[i] != outline->reader[i - 1]) {
				x->reader[slots++] = outline->reader[i];
				x->in_first[outline->reader[i] + 2]++;
			}
		if (x->maker[n] != KERF_SEARCH_GIVEN)
			x->made_first[x->maker[n] + 2]++;
		n++;
	}
	x->read_first[n] = slots;
	for (o = 0; o < x->n_op; o++)
		x->made_first[o + 2] += x->made_first[o + 1];
	for (v = 0; v < n; v++)
		if (x->maker[v] != KERF_SEARCH_GIVEN)
			x->made[x->made_first[x->maker[v] + 1]++] = v;
	for (o = 0; o < x->n_op; o++)
		x->in_first[o + 2] += x->in_first[o + 1];
	for (v = 0; v < n; v++)
		for (i = x->read_first[v]; i < x->read_first[v + 1]; i++)
			x->in[x->in_first[x->reader[i] + 1]++] = v;
	for (o = 0; o < x->n_op; o++) {
		x->runs[o] = true;
		x->live[o] = outline->op_live[o];
	}
	for (b = 0; b + 1 < outline->n_narrow; b++)
		if (outline->narrow[b] < outline->narrow[b + 1])
			find_branches(x, outline->narrow[b], outline->narrow[b + 1]);
}

int kerf_search_make(const struct kerf_problem *p, struct kerf_search **out)
{
	struct kerf_search *x = calloc(1, sizeof(*x));
	uint32_t v, n_slot;

	*out = NULL;
	if (!x)
		return -ENOMEM;
	x->p = p;
	x->n_op = p->graph->n_op;
	x->n_engine = p->n_engine;
	x->n_node = p->n_node;
	for (v = 0; v < p->graph->n_value; v++)
		x->n_value += travels(p, v);
	n_slot = p->outline->first[p->graph->n_value] + 1;
	x->room = calloc(1, lay_out(x, NULL, n_slot));
	if (!x->room) {
		free(x);
		return -ENOMEM;
	}
	lay_out(x, x->room, n_slot);
	fill(x);
	*out = x;
	return 0;
}

void kerf_search_free(struct kerf_search *x)
{
	if (x)
		free(x->room);
	free(x);
}

void kerf_search_state(struct kerf_search *x, const struct kerf_problem *p)
{
	x->p = p;
}

uint64_t kerf_search_work(const struct kerf_search *x)
{
	return x->work;
}

/* --- pricing --- */

struct way {
	struct kerf_search *x;
	const struct kerf_problem *p;
	const uint32_t *assign;
	const uint8_t *codec;
	uint32_t n, n_bucket, n_edge;
	bool coded[KERF_N_CODECS];
	uint32_t node[KERF_MAX_ENGINES]; /* of each engine */
	struct kerf_search_price *price;
};

/* fmax() is a call, and much of what is done here. */
static inline double max(double a, double b)
{
	return a > b ? a : b;
}

static uint32_t node_of(const struct way *w, uint32_t step)
{
	return step == KERF_SEARCH_GIVEN ? w->p->home : w->node[w->x->step[step].engine];
}

static enum kerf_codec codec_of(const struct way *w, uint32_t v)
{
	const struct kerf_value *value = &w->p->graph->value[w->x->id[v]];

	/* As kerf_plan_from_assignment() has it. */
	if (!w->codec || value->bounded || value->t.dtype != KERF_F32)
		return KERF_CODEC_NONE;
	return (enum kerf_codec)w->codec[w->x->id[v]];
}

static double wire_bytes(const struct way *w, uint32_t v)
{
	double raw = w->x->bytes[v];

	if (codec_of(w, v) == KERF_CODEC_NONE)
		return raw;
	return codec_of(w, v) == KERF_CODEC_F16	   ? raw / 2
	       : codec_of(w, v) == KERF_CODEC_INT8 ? raw / 4 + INT8_HEAD
						   : raw;
}

/* To encode or decode value v on a node. */
static double coding_s(const struct way *w, uint32_t v, uint32_t node)
{
	if (!w->codec || !w->p->node || codec_of(w, v) == KERF_CODEC_NONE || w->x->bytes[v] <= 0)
		return 0;
	return w->p->node[node].codec_byte_s[codec_of(w, v)] * w->x->bytes[v];
}

/* As code() of price.c. */
static double code(struct way *w, uint32_t v, uint32_t from, uint32_t to)
{
	double there = coding_s(w, v, from), here = coding_s(w, v, to);

	if (there > 0 || here > 0) {
		w->x->coding[from] += there;
		w->x->coding[to] += here;
		w->price->energy_j += there * kerf_problem_coding_w(w->p, from) +
				      here * kerf_problem_coding_w(w->p, to);
	}
	return there + here;
}

/* Steps of the first n operators, and what they compute and hold. False: one cannot run. */
static bool place(struct way *w)
{
	struct kerf_search *x = w->x;
	const struct kerf_problem *p = w->p;
	const double *weight = p->outline->weight_bytes;
	uint32_t o, i, ne = x->n_engine;

	for (o = 0; o < w->n; o++) {
		uint32_t e = w->assign[o], level, bucket;
		struct kerf_search_step *s;

		x->bucket[o] = NONE;
		if (e == KERF_PLAN_HOME)
			continue;
		level = w->node[e] == p->home ? 0 : 1;
		for (i = x->in_first[o]; i < x->in_first[o + 1]; i++) {
			uint32_t m = x->maker[x->in[i]], l;

			if (m == KERF_SEARCH_GIVEN)
				continue;
			l = x->level[m] + (w->assign[m] != e);
			level = KERF_MAX(level, l);
		}
		x->level[o] = level;
		x->bucket[o] = bucket = level * ne + e;
		/* Levels grow by one at a time but for the first, which may be the second. */
		while (w->n_bucket <= bucket) {
			memset(&x->step[w->n_bucket], 0, ne * sizeof(*x->step));
			w->n_bucket += ne;
		}
		s = &x->step[bucket];
		if (!s->used) {
			s->used = true;
			s->engine = e;
			s->compute_s = p->engine[e].job_s;
			s->first_in = NONE;
		}
		s->compute_s += p->op_s[(size_t)o * ne + e];
		x->weights[w->node[e]] += weight[o];
		x->peak[w->node[e]] = max(x->peak[w->node[e]], x->live[o]);
	}
	for (i = 0; i < w->n_bucket; i++)
		if (x->step[i].used && !(x->step[i].compute_s < INFINITY))
			return false;
	return true;
}

static void add_edge(struct way *w, uint32_t v, uint32_t from, uint32_t to)
{
	struct kerf_search *x = w->x;

	x->edge[w->n_edge] = (struct kerf_search_edge){v, from, x->step[to].first_in};
	x->step[to].first_in = w->n_edge++;
}

static void apart(struct way *w, uint32_t v, uint32_t step)
{
	struct kerf_search *x = w->x;

	if (w->p->apart_s)
		x->step[step].compute_s +=
			w->p->apart_s[(size_t)x->id[v] * x->n_engine + x->step[step].engine];
}

/* Value v goes from its step to others, and to home. False: it may not. */
static bool join_value(struct way *w, uint32_t v)
{
	struct kerf_search *x = w->x;
	const struct kerf_problem *p = w->p;
	uint32_t m = x->maker[v], from, at, i;
	bool reply = false, sent = false;

	from = m == KERF_SEARCH_GIVEN ? m : x->bucket[m];
	at = node_of(w, from);
	x->stamp++;
	for (i = x->read_first[v]; i < x->read_first[v + 1]; i++) {
		uint32_t r = x->reader[i], to, node;

		if (r >= w->n)
			break;
		to = x->bucket[r];
		if (to == from || to == NONE || x->seen[to] == x->stamp)
			continue;
		x->seen[to] = x->stamp;
		node = node_of(w, to);
		if (node != at) {
			sent = true;
			if (node != p->home && p->graph->value[x->id[v]].bounded)
				return false;
			reply |=
				at != p->home && (node == p->home ||
						  p->link[at * x->n_node + node].rate_bytes_s <= 0);
		}
		add_edge(w, v, from, to);
		if (from != KERF_SEARCH_GIVEN) {
			apart(w, v, from);
			apart(w, v, to);
		}
	}
	if (m == KERF_SEARCH_GIVEN) {
		w->coded[sent ? codec_of(w, v) : KERF_CODEC_NONE] = true;
		return true;
	}
	if (x->is_out[v] && at != p->home)
		reply = sent = true;
	w->coded[sent ? codec_of(w, v) : KERF_CODEC_NONE] = true;
	if (reply) {
		x->step[from].replies = true;
		x->step[from].reply_bytes += wire_bytes(w, v);
		x->step[from].reply_coding_s += code(w, v, at, p->home);
	}
	return true;
}

/* As carry() of price.c. */
static double carry(struct way *w, uint32_t from, uint32_t to, double bytes, double ready)
{
	struct kerf_search *x = w->x;
	size_t at = (size_t)from * x->n_node + to;
	double s, start, hold;

	if (from == to)
		return ready;
	start = max(ready, x->link_free[at]);
	s = kerf_problem_carry_s(w->p, from, to, bytes, start - ready, &hold);
	x->link_free[at] = start + hold;
	x->link_busy[at] += hold;
	w->price->wire_bytes += bytes;
	if (w->p->node)
		w->price->energy_j +=
			bytes * (w->p->node[from].send_j_byte + w->p->node[to].receive_j_byte);
	return ready + s;
}

static bool by_home(const struct way *w, uint32_t from, uint32_t to)
{
	uint32_t at = node_of(w, from);

	return at == w->p->home || (at != to && to != w->p->home &&
				    w->p->link[at * w->x->n_node + to].rate_bytes_s <= 0);
}

/* Edges into a step that come not by home, by ascending step and value: their number. */
static uint32_t sort_direct(struct way *w, uint32_t step, uint32_t node)
{
	struct kerf_search *x = w->x;
	uint32_t n = 0, a, i;

	for (a = x->step[step].first_in; a != NONE; a = x->edge[a].next) {
		const struct kerf_search_edge *e = &x->edge[a];

		if (by_home(w, e->from, node))
			continue;
		/* They were put in front, so lists run backwards and this one runs forwards. */
		for (i = n++; i && x->edge[x->list[i - 1]].from >= e->from; i--)
			x->list[i] = x->list[i - 1];
		x->list[i] = a;
	}
	return n;
}

/* As receive() of price.c. */
static double receive(struct way *w, uint32_t step)
{
	struct kerf_search *x = w->x;
	uint32_t home = w->p->home, to = node_of(w, step), a, n, i, k;
	double ready = 0, there, bytes = 0, coding = 0;
	bool exchange = false;

	for (a = x->step[step].first_in; a != NONE; a = x->edge[a].next) {
		const struct kerf_search_edge *e = &x->edge[a];
		uint32_t at = node_of(w, e->from);

		if (!by_home(w, e->from, to))
			continue;
		exchange = to != home;
		if (e->from != KERF_SEARCH_GIVEN)
			ready = max(ready, at == home ? x->step[e->from].made_s
						       : x->step[e->from].home_s);
		if (!exchange)
			continue;
		bytes += wire_bytes(w, e->value);
		coding += code(w, e->value, home, to);
	}
	there = exchange ? carry(w, home, to, bytes, ready) + coding : ready;
	n = sort_direct(w, step, to);
	for (i = 0; i < n; i = k) {
		uint32_t from = x->edge[x->list[i]].from, at = node_of(w, from);
		double end;

		for (bytes = coding = 0, k = i; k < n && x->edge[x->list[k]].from == from; k++) {
			uint32_t v = x->edge[x->list[k]].value;

			/* What goes to home was counted as its maker's reply. */
			if (at == to || to == home)
				continue;
			bytes += wire_bytes(w, v);
			coding += code(w, v, at, to);
		}
		end = to == home ? x->step[from].home_s
				 : carry(w, at, to, bytes, x->step[from].made_s) + coding;
		there = max(there, end);
	}
	return there;
}

static bool run_step(struct way *w, uint32_t step)
{
	struct kerf_search *x = w->x;
	struct kerf_search_step *s = &x->step[step];
	uint32_t e = s->engine;
	double there = receive(w, step);

	s->made_s = s->home_s = max(there, x->engine_free[e]) + s->compute_s;
	x->engine_free[e] = s->made_s;
	x->engine_busy[e] += s->compute_s;
	w->price->energy_j += s->compute_s * w->p->engine[e].active_w;
	if (s->replies)
		s->home_s = carry(w, w->p->engine[e].node, w->p->home, s->reply_bytes, s->made_s) +
			    s->reply_coding_s;
	w->price->total_s = max(w->price->total_s, s->home_s);
	return s->home_s < INFINITY;
}

static void totals(struct way *w, int32_t exit)
{
	const struct kerf_problem *p = w->p;
	struct kerf_search *x = w->x;
	struct kerf_search_price *price = w->price;
	uint32_t i;

	for (i = 0; i < x->n_engine; i++)
		price->period_s = max(price->period_s, x->engine_busy[i]);
	for (i = 0; i < x->n_node * x->n_node; i++)
		price->period_s = max(price->period_s, x->link_busy[i]);
	for (i = 0; i < x->n_node; i++)
		price->period_s = max(price->period_s, x->coding[i]);
	price->period_s = kerf_period_s(&p->goal, price->period_s, price->total_s);
	for (i = 0; i < x->n_node; i++) {
		double bytes = x->weights[i] + x->peak[i];

		price->memory_bytes = max(price->memory_bytes, bytes);
		if (!p->node)
			continue;
		if (i == p->home || x->peak[i] > 0)
			price->energy_j += p->node[i].idle_w * price->total_s;
		if (p->node[i].memory_bytes > 0 && bytes > p->node[i].memory_bytes * ROUNDING)
			price->memory_over =
				max(price->memory_over, bytes / p->node[i].memory_bytes - 1);
	}
	price->accuracy = exit >= 0 ? p->graph->exit[exit].accuracy : p->graph->accuracy;
	price->exact = exit < 0;
	for (i = KERF_CODEC_NONE + 1; i < KERF_N_CODECS; i++)
		price->exact &= !w->coded[i];
	for (i = KERF_CODEC_NONE + 1; i < KERF_N_CODECS; i++)
		if (w->coded[i] && p->codec_loss && price->accuracy > 0)
			price->accuracy = max(price->accuracy - p->codec_loss[i], 0);
}

void kerf_search_judge(const struct kerf_problem *p, struct kerf_search_price *price)
{
	const struct kerf_goal *g = &p->goal;
	struct kerf_plan sum = {.total_s = price->total_s,
				.period_s = price->period_s,
				.energy_j = price->energy_j,
				.memory_bytes = price->memory_bytes};

	price->cost = kerf_plan_cost(p, &sum);
	price->over = price->memory_over;
	if (g->deadline_s > 0 && price->total_s > g->deadline_s * ROUNDING)
		price->over += price->total_s / g->deadline_s - 1;
	if (g->accuracy > 0 && price->accuracy <= 0)
		price->over += !price->exact;
	else if (g->accuracy > 0 && price->accuracy * ROUNDING < g->accuracy)
		price->over += 1 - price->accuracy / g->accuracy;
}

void kerf_search_price(struct kerf_search *x, const uint32_t *assign, const uint8_t *codec,
		       int32_t exit, uint32_t n, struct kerf_search_price *price)
{
	struct way w = {
		.x = x, .p = x->p, .assign = assign, .codec = codec, .n = n, .price = price};
	size_t links = (size_t)x->n_node * x->n_node;
	bool runs;
	uint32_t v, i, k;

	x->work += n;
	memset(price, 0, sizeof(*price));
	memset(x->engine_free, 0, x->n_engine * sizeof(double));
	memset(x->engine_busy, 0, x->n_engine * sizeof(double));
	memset(x->link_free, 0, links * sizeof(double));
	memset(x->link_busy, 0, links * sizeof(double));
	memset(x->coding, 0, x->n_node * sizeof(double));
	memset(x->weights, 0, x->n_node * sizeof(double));
	memset(x->peak, 0, x->n_node * sizeof(double));
	for (i = 0; i < x->n_engine; i++)
		w.node[i] = x->p->engine[i].node;
	runs = place(&w);
	for (v = 0; v < x->n_value && runs; v++) {
		uint32_t m = x->maker[v], end = x->read_first[v + 1];

		if (m != KERF_SEARCH_GIVEN) {
			if (m >= n || x->bucket[m] == NONE)
				continue;
			/* Most stay where they are made. */
			for (k = x->read_first[v]; k < end && x->reader[k] < n &&
						   x->bucket[x->reader[k]] == x->bucket[m];
			     k++)
				;
			if (k == end && !x->is_out[v])
				continue;
		}
		runs = join_value(&w, v);
	}
	for (i = 0; i < w.n_bucket && runs; i++)
		if (x->step[i].used)
			runs = run_step(&w, i);
	if (!runs) {
		price->cost = INFINITY;
		return;
	}
	totals(&w, exit);
	kerf_search_judge(x->p, price);
}
