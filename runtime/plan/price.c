/* SPDX-License-Identifier: MIT */
/*
 * What a plan costs: a simulation of one request alone, step by step in the plan's order.
 *
 * A message carries all pieces that go together (plan.h) and starts when the last of them is made
 * and the bytes before it have gone their way between its two nodes (its latency keeps no other
 * waiting, and a shaper's bucket is as full as the time since lets it be: Turner's leaky bucket, as
 * ITU-T I.371's virtual scheduling has it); what comes from home starts a job's exchange,
 * what goes to home is its reply. A value relayed by home is in a reply, and then in a message
 * from home. A step computes when its messages have arrived and its engine is free. Engines
 * work, links carry and nodes encode and decode at the same time.
 *
 * Memory of a node: the weights of every operator that runs there, once however many tiles of it
 * do (of channels, the shares that they have), and the most that is held while any operator of its
 * steps runs. For a whole step that is all that lives in the graph at that point (outline.h),
 * wherever it is: never too little where steps follow graph order. A tile holds its share of that;
 * beside it are what earlier steps of the node made that later ones read (what patches made so
 * far), and on home the request's inputs, until the last step that reads them. Not counted: what a
 * kernel needs while it runs, messages that wait, requests beyond the first.
 *
 * Work is linear in the steps' operators, edges and n_node^2; one block of memory holds all.
 */
#include "plan/goal.h"
#include "plan/plan.h"
#include "util/link_time.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* A scale and a zero point. */
#define INT8_HEAD 8

double kerf_problem_transfer_s(const struct kerf_problem *p, uint32_t from, uint32_t to,
			       double bytes)
{
	double hold_s;

	return kerf_problem_carry_s(p, from, to, bytes, 0, &hold_s);
}

double kerf_problem_carry_s(const struct kerf_problem *p, uint32_t from, uint32_t to,
			    double bytes, double wait_s, double *hold_s)
{
	const struct kerf_link_model *l = &p->link[from * p->n_node + to];

	*hold_s = 0;
	if (from == to)
		return 0;
	if (l->rate_bytes_s <= 0)
		return INFINITY;
	*hold_s = bytes / l->rate_bytes_s;
	return kerf_link_wait_s(bytes, wait_s, l->latency_s, l->least_s, 1 / l->rate_bytes_s,
				l->window_bytes, l->round_s);
}

#define NONE UINT32_MAX

struct pricing {
	const struct kerf_problem *p;
	struct kerf_plan *plan;
	/* Per step: its end, when its reply was at home, what being apart costs it. */
	double *made, *home, *apart;
	double *engine_free, *engine_busy; /* per engine */
	double *link_free, *link_busy;	   /* per direction, as p->link */
	double *coding;			   /* per node: seconds */
	double *weights, *peak;		   /* per node: bytes */
	double *drop;		    /* per step: bytes that no step after it needs on its node */
	uint32_t *last;		    /* per step: the last on its node that reads what it made */
	double *held;		    /* per operator: share of its weights that a node has */
	uint32_t *holder;	    /* per operator: that node */
	uint32_t *node_first, *by_node; /* steps of node i: by_node[node_first[i] .. [i + 1]) */
	uint32_t *first;		/* edges into step i: [first[i], first[i + 1]) */
	uint32_t *reply_first, *reply;	/* edges that step i's reply carries */
	uint32_t *counted; /* per value: in reply[], its last that adds to the message */
	uint32_t *earlier; /* per reply[]: the one of its value counted before it */
};

static uint32_t node_of(const struct pricing *x, uint32_t step)
{
	return step == KERF_PLAN_HOME ? x->p->home
				      : x->p->engine[x->plan->step[step].engine].node;
}

static double wire_bytes(const struct kerf_problem *p, const struct kerf_plan_edge *e, double raw)
{
	if (p->graph->value[e->value].t.dtype != KERF_F32)
		return raw;
	return e->codec == KERF_CODEC_F16    ? raw / 2
	       : e->codec == KERF_CODEC_INT8 ? raw / 4 + INT8_HEAD
					     : raw;
}

static double codec_s(const struct pricing *x, const struct kerf_plan_edge *e, uint32_t node)
{
	if (!x->p->node || e->codec == KERF_CODEC_NONE || !e->bytes)
		return 0;
	return x->p->node[node].codec_byte_s[e->codec] *
	       kerf_plan_piece_bytes(x->p->graph, e);
}

double kerf_problem_coding_w(const struct kerf_problem *p, uint32_t node)
{
	uint32_t e;

	for (e = 0; e < p->n_engine; e++)
		if (p->engine[e].node == node)
			return p->engine[e].active_w;
	return 0;
}

/* Encoding there, decoding here: how long a piece waits for both. */
static double code(struct pricing *x, const struct kerf_plan_edge *e, uint32_t from, uint32_t to)
{
	double there = codec_s(x, e, from), here = codec_s(x, e, to);

	if (there > 0 || here > 0) {
		x->coding[from] += there;
		x->coding[to] += here;
		x->plan->energy_j += there * kerf_problem_coding_w(x->p, from) +
				     here * kerf_problem_coding_w(x->p, to);
	}
	return there + here;
}

/* One message of bytes from node to node, not before ready: when it is there. */
static double carry(struct pricing *x, uint32_t from, uint32_t to, double bytes, double ready,
		    double *start)
{
	const struct kerf_problem *p = x->p;
	size_t at = (size_t)from * p->n_node + to;
	double hold, s;

	*start = fmax(ready, x->link_free[at]);
	if (from == to)
		return ready;
	s = kerf_problem_carry_s(p, from, to, bytes, *start - ready, &hold);
	x->link_free[at] = *start + hold;
	x->link_busy[at] += hold;
	*start = fmin(*start, ready + s);
	x->plan->wire_bytes += bytes;
	if (p->node)
		x->plan->energy_j +=
			bytes * (p->node[from].send_j_byte + p->node[to].receive_j_byte);
	return ready + s;
}

static bool by_home(const struct pricing *x, const struct kerf_plan_edge *e)
{
	return node_of(x, e->from) == x->p->home || e->relayed;
}

/* What leaving and entering a step costs beside the copy: a piece its share of the whole. */
static void keep_apart(struct pricing *x, const struct kerf_plan_edge *e)
{
	const double *apart = &x->p->apart_s[(size_t)e->value * x->p->n_engine];
	double share = 1;

	if (e->rows.end || e->channels.end)
		share = kerf_plan_piece_bytes(x->p->graph, e) /
			x->p->outline->value_bytes[e->value];
	x->apart[e->from] += apart[x->plan->step[e->from].engine] * share;
	x->apart[e->to] += apart[x->plan->step[e->to].engine] * share;
}

/* Sizes and ways of all edges, and which of them each step's reply carries. */
static int route(struct pricing *x)
{
	const struct kerf_problem *p = x->p;
	struct kerf_plan *plan = x->plan;
	uint32_t i, at = 0;

	for (i = 0; i < plan->n_edge; i++) {
		struct kerf_plan_edge *e = &plan->edge[i];
		uint32_t from = node_of(x, e->from), to = node_of(x, e->to);

		e->relayed = from != to && from != p->home && to != p->home &&
			     p->link[from * p->n_node + to].rate_bytes_s <= 0;
		e->bytes = from == to ? 0 : wire_bytes(p, e, kerf_plan_piece_bytes(p->graph, e));
		/* Messages to another node have fixed shapes. */
		if (to != p->home && from != to && p->graph->value[e->value].bounded)
			return -EINVAL;
		if (e->from != KERF_PLAN_HOME && from != p->home && (to == p->home || e->relayed))
			x->reply_first[e->from + 1]++;
		if (p->apart_s && e->from != KERF_PLAN_HOME && e->to != KERF_PLAN_HOME)
			keep_apart(x, e);
	}
	for (i = 0; i < plan->n_step; i++)
		x->reply_first[i + 1] += x->reply_first[i];
	for (i = 0; i < plan->n_edge; i++) {
		const struct kerf_plan_edge *e = &plan->edge[i];
		uint32_t from = node_of(x, e->from);

		if (e->from != KERF_PLAN_HOME && from != p->home &&
		    (node_of(x, e->to) == p->home || e->relayed))
			x->reply[x->reply_first[e->from]++] = i;
	}
	for (i = plan->n_step; i > 0; i--)
		x->reply_first[i] = x->reply_first[i - 1];
	x->reply_first[0] = 0;
	for (i = 0; i < plan->n_step; i++) {
		x->first[i] = at;
		while (at < plan->n_edge && plan->edge[at].to == i)
			at++;
	}
	x->first[i] = at;
	return 0;
}

/* When the piece can leave home for a step: given, made there, or relayed to there. */
static double at_home(const struct pricing *x, const struct kerf_plan_edge *e)
{
	if (e->from == KERF_PLAN_HOME)
		return 0;
	return e->relayed ? x->home[e->from] : x->made[e->from];
}

/* Messages into step i. When the last is there. */
static double receive(struct pricing *x, uint32_t i)
{
	struct kerf_plan *plan = x->plan;
	uint32_t to = node_of(x, i), a, b, k;
	double there = 0, ready = 0, bytes = 0, start, end, coding = 0;
	bool exchange = false;

	for (a = x->first[i]; a < x->first[i + 1]; a++) {
		const struct kerf_plan_edge *e = &plan->edge[a];

		if (!by_home(x, e))
			continue;
		/* To a step of home itself nothing is sent. */
		exchange |= to != x->p->home;
		ready = fmax(ready, at_home(x, e));
		bytes += e->bytes;
		coding += code(x, e, x->p->home, to);
	}
	there = ready;
	start = ready;
	if (exchange)
		there = carry(x, x->p->home, to, bytes, ready, &start) + coding;
	for (a = x->first[i]; a < x->first[i + 1]; a++)
		if (by_home(x, &plan->edge[a])) {
			plan->edge[a].start_s = start;
			plan->edge[a].end_s = there;
		}
	/* Edges are sorted by where they are from: one message each. */
	for (a = x->first[i]; a < x->first[i + 1]; a = b) {
		uint32_t from = plan->edge[a].from;

		for (b = a + 1; b < x->first[i + 1] && plan->edge[b].from == from; b++)
			;
		if (by_home(x, &plan->edge[a]))
			continue;
		for (bytes = coding = 0, k = a; k < b; k++) {
			bytes += plan->edge[k].bytes;
			/* That of a reply was counted when it was sent. */
			if (to != x->p->home)
				coding += code(x, &plan->edge[k], node_of(x, from), to);
		}
		/* What goes to home comes with the job's reply. */
		end = to == x->p->home
			      ? x->home[from]
			      : carry(x, node_of(x, from), to, bytes, x->made[from], &start) +
					coding;
		for (k = a; k < b; k++) {
			plan->edge[k].start_s = to == x->p->home ? x->made[from] : start;
			plan->edge[k].end_s = end;
		}
		there = fmax(there, end);
	}
	return there;
}

static double compute_s(const struct pricing *x, const struct kerf_plan_step *s)
{
	const struct kerf_problem *p = x->p;
	double sum = p->engine[s->engine].job_s;
	uint32_t k;

	for (k = 0; k < s->n_op; k++) {
		size_t at = (size_t)s->op[k] * p->n_engine + s->engine;
		double fixed = p->op_fixed_s ? p->op_fixed_s[at] : 0;

		sum += s->share ? fixed + (p->op_s[at] - fixed) * (double)s->share[k] : p->op_s[at];
	}
	return sum;
}

/* What step i makes for others. */
static double left_behind(const struct pricing *x, uint32_t i)
{
	const struct kerf_plan_step *s = &x->plan->step[i];
	const struct kerf_outline *outline = x->p->outline;
	double bytes = 0;
	uint32_t k;
	int j;

	for (k = 0; k < s->n_op; k++) {
		const struct kerf_op *op = &x->p->graph->op[s->op[k]];

		for (j = 0; j < op->n_out; j++) {
			int32_t v = op->out[j];
			uint32_t end = v < 0 ? 0 : outline->first[v + 1];

			/* Readers stand in order. */
			if (v >= 0 && (outline->is_out[v] ||
				       (end > outline->first[v] &&
					outline->reader[end - 1] > s->op[s->n_op - 1])))
				bytes += outline->value_bytes[v] *
					 (s->share ? (double)s->share[k] : 1);
		}
	}
	return bytes;
}

/* Sets last[]; returns the last step that reads an input of the request. */
static uint32_t find_last(struct pricing *x)
{
	const struct kerf_plan *plan = x->plan;
	uint32_t i, given = 0;

	for (i = 0; i < plan->n_edge; i++) {
		const struct kerf_plan_edge *e = &plan->edge[i];

		if (e->from == KERF_PLAN_HOME)
			given = e->to == KERF_PLAN_HOME ? given : KERF_MAX(given, e->to);
		else if (node_of(x, e->from) == node_of(x, e->to))
			x->last[e->from] = KERF_MAX(x->last[e->from],
						    KERF_MIN(e->to, plan->n_step));
	}
	return given;
}

static double reads(const struct pricing *x, uint32_t o)
{
	const struct kerf_op *op = &x->p->graph->op[o];
	double bytes = x->p->outline->op_bytes[o];
	int k;

	for (k = 0; k < op->n_out; k++)
		bytes -= op->out[k] < 0 ? 0 : x->p->outline->value_bytes[op->out[k]];
	return bytes;
}

/*
 * One step's part of its node's memory, held beside it; steps of one node come one after the
 * other.
 */
static void use_memory(struct pricing *x, uint32_t i, double held)
{
	const struct kerf_plan_step *s = &x->plan->step[i];
	const struct kerf_outline *outline = x->p->outline;
	uint32_t node = node_of(x, i), k;
	double weights = 0, most = 0;

	for (k = 0; k < s->n_op; k++) {
		uint32_t o = s->op[k];
		double share = s->share ? (double)s->share[k] : 1, more;

		if (x->holder[o] != node) {
			x->holder[o] = node;
			x->held[o] = 0;
		}
		/* Rows read all weights, channels their own. */
		more = fmin(s->channels.end ? share : 1, 1 - x->held[o]);
		x->held[o] += more;
		weights += outline->weight_bytes[o] * more;
		/* Channels are made from all of the input. */
		most = fmax(most, outline->op_live[o] * share +
					  (s->channels.end ? reads(x, o) * (1 - share) : 0));
	}
	x->weights[node] += weights;
	x->peak[node] = fmax(x->peak[node], most + held);
}

static void use_memories(struct pricing *x)
{
	const struct kerf_plan *plan = x->plan;
	uint32_t n = x->p->n_node, given = 0, i, k;
	double inputs = 0, held = 0;
	bool tiled = false;

	for (i = 0; i < plan->n_step; i++)
		x->node_first[node_of(x, i) + 1]++;
	for (i = 0; i < n; i++)
		x->node_first[i + 1] += x->node_first[i];
	for (i = 0; i < plan->n_step; i++) {
		x->by_node[x->node_first[node_of(x, i)]++] = i;
		tiled |= plan->step[i].share != NULL;
	}
	if (tiled) {
		given = find_last(x);
		for (i = 0; i < x->p->graph->n_in; i++)
			inputs += x->p->outline->value_bytes[x->p->graph->in[i]];
	}
	for (k = 0; k < plan->n_step; k++) {
		double beside = 0, made;

		i = x->by_node[k];
		if (!k || node_of(x, i) != node_of(x, x->by_node[k - 1]))
			held = 0;
		held = fmax(held - x->drop[i], 0);
		if (plan->step[i].share)
			beside = held + (node_of(x, i) == x->p->home && i <= given ? inputs : 0);
		use_memory(x, i, beside);
		if (x->last[i] <= i)
			continue;
		made = left_behind(x, i);
		held += made;
		if (x->last[i] < plan->n_step)
			x->drop[x->last[i]] += made;
	}
}

static bool same_piece(const struct kerf_plan_edge *a, const struct kerf_plan_edge *b)
{
	return a->value == b->value && a->codec == b->codec && a->rows.begin == b->rows.begin &&
	       a->rows.end == b->rows.end && a->channels.begin == b->channels.begin &&
	       a->channels.end == b->channels.end;
}

/* Whether reply k of step i adds to its message: a piece for two readers is in it once. */
static bool adds(struct pricing *x, uint32_t i, uint32_t k)
{
	const struct kerf_plan_edge *e = &x->plan->edge[x->reply[k]];
	uint32_t at = x->counted[e->value], j;

	/* One of an earlier step's. */
	if (at != NONE && at < x->reply_first[i])
		at = NONE;
	for (j = at; j != NONE; j = x->earlier[j])
		if (same_piece(&x->plan->edge[x->reply[j]], e))
			return false;
	x->earlier[k] = at;
	x->counted[e->value] = k;
	return true;
}

/* The reply of a step that ended: sets when it is at home. */
static int reply(struct pricing *x, uint32_t i)
{
	const struct kerf_problem *p = x->p;
	uint32_t node = node_of(x, i), k;
	double bytes = 0, coding = 0, start;

	if (node == p->home || x->reply_first[i] == x->reply_first[i + 1])
		return 0;
	for (k = x->reply_first[i]; k < x->reply_first[i + 1]; k++) {
		const struct kerf_plan_edge *e = &x->plan->edge[x->reply[k]];

		if (!adds(x, i, k))
			continue;
		bytes += e->bytes;
		coding += code(x, e, node, p->home);
	}
	x->home[i] = carry(x, node, p->home, bytes, x->made[i], &start) + coding;
	return isfinite(x->home[i]) ? 0 : -EINVAL;
}

static int run_step(struct pricing *x, uint32_t i)
{
	struct kerf_plan_step *s = &x->plan->step[i];
	double there = receive(x, i);

	s->compute_s = compute_s(x, s) + x->apart[i];
	s->start_s = fmax(there, x->engine_free[s->engine]);
	s->end_s = s->start_s + s->compute_s;
	if (!isfinite(s->end_s))
		return -EINVAL;
	x->engine_free[s->engine] = s->end_s;
	x->engine_busy[s->engine] += s->compute_s;
	x->plan->energy_j += s->compute_s * x->p->engine[s->engine].active_w;
	x->made[i] = x->home[i] = s->end_s;
	return reply(x, i);
}

/* What comes back to the request itself. */
static void answer(struct pricing *x)
{
	struct kerf_plan *plan = x->plan;
	uint32_t a, i;

	for (i = 0; i < plan->n_step; i++)
		plan->total_s = fmax(plan->total_s, plan->step[i].end_s);
	for (a = x->first[plan->n_step]; a < plan->n_edge; a++) {
		struct kerf_plan_edge *e = &plan->edge[a];

		e->start_s = x->made[e->from];
		e->end_s = x->home[e->from];
		plan->total_s = fmax(plan->total_s, e->end_s);
	}
}

static void totals(struct pricing *x)
{
	const struct kerf_problem *p = x->p;
	struct kerf_plan *plan = x->plan;
	bool coded[KERF_N_CODECS] = {false};
	uint32_t i;

	for (i = 0; i < p->n_engine; i++)
		plan->period_s = fmax(plan->period_s, x->engine_busy[i]);
	for (i = 0; i < p->n_node * p->n_node; i++)
		plan->period_s = fmax(plan->period_s, x->link_busy[i]);
	for (i = 0; i < p->n_node; i++)
		plan->period_s = fmax(plan->period_s, x->coding[i]);
	plan->period_s = kerf_period_s(&p->goal, plan->period_s, plan->total_s);
	for (i = 0; i < p->n_node; i++) {
		double bytes = x->weights[i] + x->peak[i];

		plan->memory_bytes = fmax(plan->memory_bytes, bytes);
		if (p->node && p->node[i].memory_bytes > 0 &&
		    bytes / p->node[i].memory_bytes - 1 > fmax(plan->over, 1e-12))
			plan->over = bytes / p->node[i].memory_bytes - 1;
		if (p->node && (i == p->home || x->peak[i] > 0))
			plan->energy_j += p->node[i].idle_w * plan->total_s;
	}
	plan->accuracy = plan->exit >= 0 ? p->graph->exit[plan->exit].accuracy : p->graph->accuracy;
	for (i = 0; i < plan->n_edge; i++)
		coded[plan->edge[i].bytes > 0 ? plan->edge[i].codec : KERF_CODEC_NONE] = true;
	for (i = KERF_CODEC_NONE + 1; i < KERF_N_CODECS; i++)
		if (coded[i] && p->codec_loss && plan->accuracy > 0)
			plan->accuracy = fmax(plan->accuracy - p->codec_loss[i], 0);
	/* What padding costs is known when it was measured, and never before. */
	for (i = 0; i < plan->n_step; i++)
		if (plan->step[i].padded)
			plan->accuracy = 0;
}

static bool in_order(const struct kerf_plan *plan)
{
	uint32_t i;

	for (i = 1; i < plan->n_edge; i++)
		if (kerf_plan_edge_order(&plan->edge[i - 1], &plan->edge[i]) > 0)
			return false;
	return true;
}

/* Hands out room; with room NULL it only counts what is needed, in bytes. */
static size_t lay_out(struct pricing *x, char *room)
{
	const struct kerf_problem *p = x->p;
	size_t links = (size_t)p->n_node * p->n_node, n = x->plan->n_step;
	struct {
		void *list;
		size_t n;
	} doubles[] =
		{
			{&x->made, n},
			{&x->home, n},
			{&x->apart, n},
			{&x->engine_free, p->n_engine},
			{&x->engine_busy, p->n_engine},
			{&x->link_free, links},
			{&x->link_busy, links},
			{&x->coding, p->n_node},
			{&x->weights, p->n_node},
			{&x->peak, p->n_node},
			{&x->held, p->graph->n_op},
			{&x->drop, n},
		},
	  words[] = {
		  {&x->node_first, p->n_node + 1},
		  {&x->by_node, n},
		  {&x->last, n},
		  {&x->first, n + 1},
		  {&x->reply_first, n + 1},
		  {&x->reply, x->plan->n_edge},
		  {&x->earlier, x->plan->n_edge},
		  {&x->holder, p->graph->n_op},
		  {&x->counted, p->graph->n_value},
	  };
	size_t at = 0, i;

	for (i = 0; i < KERF_ARRAY_SIZE(doubles); i++) {
		if (room)
			*(double **)doubles[i].list = (double *)(room + at);
		at += doubles[i].n * sizeof(double);
	}
	for (i = 0; i < KERF_ARRAY_SIZE(words); i++) {
		if (room)
			*(uint32_t **)words[i].list = (uint32_t *)(room + at);
		at += words[i].n * sizeof(uint32_t);
	}
	return at;
}

/* Zeroed room for one price; NULL: no memory. */
static char *begin(struct pricing *x)
{
	char *room = calloc(1, lay_out(x, NULL));

	if (!room)
		return NULL;
	lay_out(x, room);
	memset(x->holder, 0xff, x->p->graph->n_op * sizeof(*x->holder));
	memset(x->counted, 0xff, x->p->graph->n_value * sizeof(*x->counted));
	return room;
}

int kerf_plan_memory(const struct kerf_problem *p, const struct kerf_plan *plan, double *bytes)
{
	struct kerf_plan same = *plan;
	struct pricing x = {.p = p, .plan = &same};
	char *room = begin(&x);
	uint32_t i;

	if (!room)
		return -ENOMEM;
	use_memories(&x);
	for (i = 0; i < p->n_node; i++)
		bytes[i] = x.weights[i] + x.peak[i];
	free(room);
	return 0;
}

int kerf_plan_price(const struct kerf_problem *p, struct kerf_plan *plan)
{
	struct pricing x = {.p = p, .plan = plan};
	char *room = begin(&x);
	uint32_t i;
	int r;

	if (!room)
		return -ENOMEM;
	plan->over = plan->total_s = plan->period_s = plan->energy_j = plan->wire_bytes =
		plan->memory_bytes = 0;
	if (!in_order(plan))
		kerf_plan_sort(plan);
	r = route(&x);
	for (i = 0; i < plan->n_step && !r; i++)
		r = run_step(&x, i);
	if (!r) {
		use_memories(&x);
		answer(&x);
		totals(&x);
	}
	free(room);
	return r;
}
