/* SPDX-License-Identifier: MIT */
/*
 * The messages are those of price.c: what comes from home for a step is one, what goes to home is
 * one, what comes from each other step is one, in the order of the steps that receive them.
 */
#include "sim/flow.h"

#include <stdlib.h>
#include <string.h>

#define NONE UINT32_MAX

struct wait {
	uint32_t before, after;
	bool late;
};

struct making {
	const struct kerf_problem *p;
	const struct kerf_plan *plan;
	struct kerf_flow *flow;
	struct wait *wait;
	uint32_t n_wait, room_wait, room_task;
	uint32_t *job, *reply;	    /* per step: its task, its reply's task or NONE */
	uint32_t *on_engine, *on_link; /* the last task there, or NONE */
	uint32_t *by_from; /* edges that leave a step for home or by way of it, in order of step */
	uint32_t *from_first;
	bool failed;
};

static uint32_t node_of(const struct making *x, uint32_t step)
{
	return step == KERF_PLAN_HOME ? x->p->home
				      : x->p->engine[x->plan->step[step].engine].node;
}

static bool by_home(const struct making *x, const struct kerf_plan_edge *e)
{
	return node_of(x, e->from) == x->p->home || e->relayed;
}

static double codec_s(const struct making *x, const struct kerf_plan_edge *e, uint32_t node)
{
	if (!x->p->node || e->codec == KERF_CODEC_NONE || !e->bytes)
		return 0;
	return x->p->node[node].codec_byte_s[e->codec] * kerf_plan_piece_bytes(x->p->graph, e);
}

static void add_wait(struct making *x, uint32_t before, uint32_t after, bool late)
{
	if (before == NONE || x->failed)
		return;
	if (x->n_wait == x->room_wait) {
		uint32_t room = x->room_wait * 2 + 16;
		struct wait *more = realloc(x->wait, room * sizeof(*more));

		x->failed = !more;
		if (!more)
			return;
		x->wait = more;
		x->room_wait = room;
	}
	x->wait[x->n_wait++] = (struct wait){before, after, late};
	x->flow->task[after].n_before++;
}

/* Its index; on is where the last task of its engine or direction is kept. */
static uint32_t add_task(struct making *x, struct kerf_flow_task t, uint32_t *on)
{
	uint32_t i = x->flow->n_task;

	if (x->failed)
		return 0;
	if (i + 1 >= x->room_task) {
		uint32_t room = x->room_task * 2 + 16;
		struct kerf_flow_task *more = realloc(x->flow->task, room * sizeof(*more));

		x->failed = !more;
		if (!more)
			return 0;
		x->flow->task = more;
		x->room_task = room;
	}
	x->flow->task[i] = t;
	x->flow->n_task++;
	add_wait(x, *on, i, false);
	*on = i;
	return i;
}

/* encode, decode: seconds. */
static uint32_t add_message(struct making *x, uint32_t from, uint32_t to, double bytes,
			    double encode, double decode)
{
	return add_task(
		x,
		(struct kerf_flow_task){.message = true,
					.from = from,
					.to = to,
					.bytes = bytes,
					.coding_s = encode + decode,
					.encode_j = encode * kerf_problem_coding_w(x->p, from),
					.decode_j = decode * kerf_problem_coding_w(x->p, to)},
		&x->on_link[(size_t)from * x->p->n_node + to]);
}

/* What a step made, when it is at home: by its reply, or because home made it. */
static void wait_at_home(struct making *x, uint32_t from, uint32_t after)
{
	if (from == KERF_PLAN_HOME)
		return;
	add_wait(x, x->reply[from] == NONE ? x->job[from] : x->reply[from], after, true);
}

/* Messages into step i, whose edges are [a, end); they are ready before the job is. */
static void receive(struct making *x, uint32_t i, uint32_t a, uint32_t end, uint32_t *came,
		    uint32_t *n_came)
{
	const struct kerf_plan *plan = x->plan;
	uint32_t to = node_of(x, i), k, b, m;
	double bytes = 0, encode = 0, decode = 0;
	bool exchange = false;

	for (k = a; k < end; k++) {
		const struct kerf_plan_edge *e = &plan->edge[k];

		if (!by_home(x, e))
			continue;
		exchange |= to != x->p->home;
		bytes += e->bytes;
		encode += codec_s(x, e, x->p->home);
		decode += codec_s(x, e, to);
	}
	if (exchange) {
		m = add_message(x, x->p->home, to, bytes, encode, decode);
		for (k = a; k < end; k++)
			if (by_home(x, &plan->edge[k]))
				wait_at_home(x, plan->edge[k].from, m);
		came[(*n_came)++] = m;
	}
	for (; a < end; a = b) {
		uint32_t from = plan->edge[a].from, source = node_of(x, from);

		for (b = a + 1; b < end && plan->edge[b].from == from; b++)
			;
		if (by_home(x, &plan->edge[a]) || to == x->p->home || source == to)
			continue;
		for (bytes = encode = decode = 0, k = a; k < b; k++) {
			bytes += plan->edge[k].bytes;
			encode += codec_s(x, &plan->edge[k], source);
			decode += codec_s(x, &plan->edge[k], to);
		}
		m = add_message(x, source, to, bytes, encode, decode);
		add_wait(x, x->job[from], m, true);
		came[(*n_came)++] = m;
	}
}

/* Whether edge k, of those that step's reply carries from first on, has a piece not yet in it. */
static bool adds(const struct making *x, uint32_t first, uint32_t k)
{
	const struct kerf_plan_edge *e = &x->plan->edge[x->by_from[k]];
	uint32_t j;

	for (j = first; j < k; j++) {
		const struct kerf_plan_edge *o = &x->plan->edge[x->by_from[j]];

		if (o->value == e->value && o->codec == e->codec &&
		    o->rows.begin == e->rows.begin && o->rows.end == e->rows.end &&
		    o->channels.begin == e->channels.begin && o->channels.end == e->channels.end)
			return false;
	}
	return true;
}

static void send_reply(struct making *x, uint32_t i)
{
	uint32_t first = x->from_first[i], end = x->from_first[i + 1], k, node = node_of(x, i);
	double bytes = 0, encode = 0, decode = 0;

	if (first == end)
		return;
	for (k = first; k < end; k++) {
		const struct kerf_plan_edge *e = &x->plan->edge[x->by_from[k]];

		if (!adds(x, first, k))
			continue;
		bytes += e->bytes;
		encode += codec_s(x, e, node);
		decode += codec_s(x, e, x->p->home);
	}
	x->reply[i] = add_message(x, node, x->p->home, bytes, encode, decode);
	add_wait(x, x->job[i], x->reply[i], true);
}

static void add_step(struct making *x, uint32_t i, uint32_t a, uint32_t end, uint32_t *came)
{
	const struct kerf_plan_step *s = &x->plan->step[i];
	uint32_t to = node_of(x, i), n = 0, k;

	receive(x, i, a, end, came, &n);
	x->job[i] = add_task(
		x, (struct kerf_flow_task){.engine = s->engine, .compute_s = s->compute_s},
		&x->on_engine[s->engine]);
	for (k = 0; k < n; k++)
		add_wait(x, came[k], x->job[i], true);
	/* What needs no message. */
	for (k = a; k < end; k++) {
		const struct kerf_plan_edge *e = &x->plan->edge[k];

		if (to == x->p->home)
			wait_at_home(x, e->from, x->job[i]);
		else if (!by_home(x, e) && node_of(x, e->from) == to)
			add_wait(x, x->job[e->from], x->job[i], true);
	}
	send_reply(x, i);
}

/* Edges that replies carry, by the step that replies. */
static void find_replies(struct making *x)
{
	const struct kerf_plan *plan = x->plan;
	uint32_t i, pass;

	for (pass = 0; pass < 2; pass++) {
		for (i = 0; i < plan->n_edge; i++) {
			const struct kerf_plan_edge *e = &plan->edge[i];

			if (e->from == KERF_PLAN_HOME || node_of(x, e->from) == x->p->home ||
			    (node_of(x, e->to) != x->p->home && !e->relayed))
				continue;
			if (pass)
				x->by_from[x->from_first[e->from]++] = i;
			else
				x->from_first[e->from + 1]++;
		}
		for (i = 0; i < plan->n_step && !pass; i++)
			x->from_first[i + 1] += x->from_first[i];
	}
	for (i = plan->n_step; i > 0; i--)
		x->from_first[i] = x->from_first[i - 1];
	x->from_first[0] = 0;
}

/* Waits become lists of those who wait, by whom they wait for. */
static int gather(struct making *x)
{
	struct kerf_flow *f = x->flow;
	uint32_t i;

	f->n_next = x->n_wait;
	f->next = calloc(x->n_wait + 1, sizeof(*f->next));
	if (!f->next)
		return -ENOMEM;
	memset(&f->task[f->n_task], 0, sizeof(*f->task));
	for (i = 0; i <= f->n_task; i++)
		f->task[i].first_next = 0;
	for (i = 0; i < x->n_wait; i++)
		f->task[x->wait[i].before + 1].first_next++;
	for (i = 0; i < f->n_task; i++)
		f->task[i + 1].first_next += f->task[i].first_next;
	for (i = 0; i < x->n_wait; i++)
		f->next[f->task[x->wait[i].before].first_next++] =
			(struct kerf_flow_next){x->wait[i].after, x->wait[i].late};
	for (i = f->n_task; i > 0; i--)
		f->task[i].first_next = f->task[i - 1].first_next;
	f->task[0].first_next = 0;
	return 0;
}

int kerf_flow_make(const struct kerf_problem *p, const struct kerf_plan *plan,
		   struct kerf_flow *flow)
{
	size_t links = (size_t)p->n_node * p->n_node;
	uint32_t *room, *came, i, a, end;
	size_t n = (size_t)plan->n_step * 4 + 2 + p->n_engine + links + (size_t)plan->n_edge;
	struct making x = {.p = p, .plan = plan, .flow = flow};
	int r = -ENOMEM;

	memset(flow, 0, sizeof(*flow));
	room = malloc(n * sizeof(*room));
	if (!room)
		return -ENOMEM;
	x.job = room;
	x.reply = x.job + plan->n_step;
	came = x.reply + plan->n_step; /* one from each step and one from home at most */
	x.from_first = came + plan->n_step + 1;
	x.on_engine = x.from_first + plan->n_step + 1;
	x.on_link = x.on_engine + p->n_engine;
	x.by_from = x.on_link + links;
	memset(room, 0xff, n * sizeof(*room));
	memset(x.from_first, 0, (plan->n_step + 1) * sizeof(*room));
	find_replies(&x);
	for (i = a = 0; i < plan->n_step; i++, a = end) {
		for (end = a; end < plan->n_edge && plan->edge[end].to == i; end++)
			;
		add_step(&x, i, a, end, came);
	}
	if (!x.failed && flow->n_task)
		r = gather(&x);
	free(x.wait);
	free(room);
	return r;
}

void kerf_flow_finish(struct kerf_flow *flow)
{
	free(flow->task);
	free(flow->next);
	memset(flow, 0, sizeof(*flow));
}
