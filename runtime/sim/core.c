/* SPDX-License-Identifier: MIT */
/*
 * A task is offered to its server when all it waits for is over, and served when those offered
 * earlier are: first come, first served, one at a time, as price.c has it within a request. A
 * message occupies its direction (or its medium) for the whole time that the link's model says.
 *
 * A request is freed when nothing refers to it any more: queues, events that name it, itself
 * while it runs. When a node dies, what waits or is served there is gone; the requests it was of
 * are aborted, home hears of it detect_s later and begins again or gives up. What an aborted
 * request has elsewhere is served if it had begun, and skipped if not.
 */
#include "sim/core.h"

#include "sim/random.h"
#include "util/link_time.h"

#include <string.h>

enum {
	EVENT_ARRIVAL,	/* n: stream */
	EVENT_END,	/* what: server, n: generation */
	EVENT_CODED,	/* what: item */
	EVENT_ABORT,	/* what: request */
	EVENT_DOWN,	/* n: outage */
	EVENT_UP,
};

#define NONE KERF_SIM_NONE
#define PROGRESS_EVERY 65536

/* --- Traces --- */

static uint32_t trace_at(const struct kerf_sim_trace *trace, double t)
{
	uint32_t lo = 0, hi = trace->n;

	while (hi - lo > 1) {
		uint32_t mid = lo + (hi - lo) / 2;

		if (trace->t[mid] <= t)
			lo = mid;
		else
			hi = mid;
	}
	return lo;
}

static double trace_time(const struct kerf_sim_trace *trace, double t)
{
	return trace->period > 0 ? fmod(t, trace->period) : t;
}

double kerf_sim_trace_rate(const struct kerf_sim_trace *trace, double t)
{
	return trace->rate[trace_at(trace, trace_time(trace, t))];
}

double kerf_sim_trace_end(const struct kerf_sim_trace *trace, double t, double bytes)
{
	double at = trace_time(trace, t), whole = 0;
	uint32_t i = trace_at(trace, at), rounds = 0;

	for (;;) {
		bool last = i + 1 == trace->n;
		double until = !last		   ? trace->t[i + 1]
			       : trace->period > 0 ? trace->period
						   : INFINITY;
		double room = trace->rate[i] > 0 ? trace->rate[i] * (until - at) : 0;

		if (bytes <= room)
			return t + (bytes > 0 ? bytes / trace->rate[i] : 0);
		if (until == INFINITY)
			return INFINITY;
		bytes -= room;
		whole += room;
		t += until - at;
		at = last ? 0 : until;
		i = last ? 0 : i + 1;
		/* A whole round without a byte: there will be none. */
		if (last && rounds++ && whole <= 0)
			return INFINITY;
	}
}

/* --- Counting --- */

static struct kerf_sim_bin *bin_at(struct kerf_sim_world *w, double t)
{
	double i = t / w->duration_s * KERF_SIM_BINS;

	return &w->bin[i >= KERF_SIM_BINS ? KERF_SIM_BINS - 1 : (uint32_t)i];
}

static void count_in_system(struct kerf_sim_world *w)
{
	double s = w->now - w->in_system_since;

	w->sum_in_system += (double)w->in_system * s;
	if (w->in_system_since < w->duration_s)
		bin_at(w, w->in_system_since)->in_system += (double)w->in_system * s;
	w->in_system_since = w->now;
}

/* Towards n with time constant smooth_s, by a rational step: it needs no exponential. */
static double smoothed(const struct kerf_sim_server *s, double now, double smooth_s)
{
	double dt = now - s->mean_t;

	return dt > 0 ? s->mean_n + ((double)s->n - s->mean_n) * (dt / (smooth_s + dt)) : s->mean_n;
}

double kerf_sim_server_mean(const struct kerf_sim_server *s, double now, double smooth_s)
{
	return smoothed(s, now, smooth_s);
}

static void count_server(struct kerf_sim_world *w, struct kerf_sim_server *s, int more)
{
	s->mean_n = smoothed(s, w->now, w->smooth_s);
	s->sum_n += (double)s->n * (w->now - s->mean_t);
	s->mean_t = w->now;
	s->n = (uint32_t)((int)s->n + more);
}

void kerf_sim_world_count_replan(struct kerf_sim_world *w, uint32_t home)
{
	w->replans++;
	w->node[w->home[home].node].replans++;
	bin_at(w, w->now)->replans++;
}

static void push(struct kerf_sim_world *w, double t, uint32_t kind, void *what, uint32_t n)
{
	if (kerf_heap_push(&w->heap,
			   (struct kerf_event){.t = t, .what = what, .kind = kind, .n = n}))
		w->no_memory = true;
}

/* --- Requests --- */

/* Room for n tasks, from those of its size not in use. */
static struct kerf_sim_request *request_new(struct kerf_sim_world *w, uint32_t n)
{
	uint32_t c = 0;
	struct kerf_sim_request *r;

	while ((1U << c) < n)
		c++;
	r = w->spare[c];
	if (r) {
		w->spare[c] = r->next;
	} else {
		r = malloc(sizeof(*r) + ((size_t)1 << c) * sizeof(r->item[0]));
		if (!r) {
			w->no_memory = true;
			return NULL;
		}
		r->made = w->made;
		w->made = r;
	}
	*r = (struct kerf_sim_request){.size_class = c, .made = r->made};
	return r;
}

static void unref(struct kerf_sim_world *w, struct kerf_sim_request *r)
{
	if (--r->refs)
		return;
	w->drop(w->user, r->plan);
	r->next = w->spare[r->size_class];
	w->spare[r->size_class] = r;
}

static uint32_t home_node(const struct kerf_sim_world *w, const struct kerf_sim_request *r)
{
	return w->home[r->home].node;
}

static void record(struct kerf_sim_world *w, const struct kerf_sim_request *r)
{
	if (!w->keep_records || r->arrived < w->warmup_s)
		return;
	if (w->n_record == w->room_record) {
		size_t room = w->room_record * 2 + 1024;
		struct kerf_sim_record *more = realloc(w->record, room * sizeof(*more));

		if (!more) {
			w->no_memory = true;
			return;
		}
		w->record = more;
		w->room_record = room;
	}
	w->record[w->n_record++] = (struct kerf_sim_record){
		r->arrived, (float)(w->now - r->arrived), home_node(w, r)};
}

/* A client of a closed loop thinks before it asks again. */
static void think(struct kerf_sim_world *w, uint32_t stream)
{
	struct kerf_sim_stream *s = &w->stream[stream];

	if (s->kind == KERF_SIM_CLOSED)
		push(w, w->now + s->mean_s * (s->mean_s > 0 ? kerf_sim_exponential(&s->rng) : 0),
		     EVENT_ARRIVAL, NULL, stream);
}

static void leave(struct kerf_sim_world *w)
{
	count_in_system(w);
	w->in_system--;
}

static void lose(struct kerf_sim_world *w, uint32_t home, uint32_t stream)
{
	leave(w);
	w->lost++;
	w->node[w->home[home].node].lost++;
	bin_at(w, w->now)->lost++;
	think(w, stream);
}

static void abort_request(struct kerf_sim_world *w, struct kerf_sim_request *r)
{
	if (r->aborted)
		return;
	r->aborted = true;
	r->refs++;
	push(w, w->now + w->detect_s, EVENT_ABORT, r, 0);
	unref(w, r); /* it runs no longer */
}

static void complete(struct kerf_sim_world *w, struct kerf_sim_request *r)
{
	leave(w);
	w->done++;
	w->node[home_node(w, r)].done++;
	bin_at(w, w->now)->done++;
	record(w, r);
	think(w, r->stream);
	unref(w, r);
}

/* --- Servers --- */

static struct kerf_sim_link *link_of(struct kerf_sim_world *w, const struct kerf_sim_request *r,
				     const struct kerf_flow_task *t)
{
	const struct kerf_sim_home *h = &w->home[r->home];
	uint32_t i = h->link[t->from * h->n_slot + t->to];

	return i == NONE ? NULL : &w->link[i];
}

/* Until the message is there; *hold_s: of that, how long its bytes keep others from the link. */
static double message_s(const struct kerf_sim_world *w, const struct kerf_sim_link *l, double bytes,
			double *hold_s)
{
	const struct kerf_link_model *m = &l->model;
	double at = w->now + l->shift_s, rate, fixed, took;

	if (!l->trace) {
		took = kerf_link_wait_s(bytes, 0, m->latency_s, m->least_s, 1 / m->rate_bytes_s,
					m->window_bytes, m->round_s);
		*hold_s = fmin(bytes / m->rate_bytes_s, took);
		return took;
	}
	rate = kerf_sim_trace_rate(l->trace, at);
	fixed = fmax(m->latency_s, m->least_s) +
		(rate > 0 ? kerf_slow_start_s(bytes, 1 / rate, m->window_bytes, m->round_s) : 0);
	*hold_s = kerf_sim_trace_end(l->trace, at, bytes) - at;
	return *hold_s + fixed;
}

static bool is_down(const struct kerf_sim_world *w, const struct kerf_sim_link *l)
{
	return w->node[l->from].down || w->node[l->to].down;
}

/* Until something is served that can be, or nothing waits. */
static void serve_next(struct kerf_sim_world *w, struct kerf_sim_server *s)
{
	while (s->first && !s->now) {
		struct kerf_sim_item *item = s->first;
		struct kerf_sim_request *r = item->request;
		const struct kerf_flow_task *t = &r->flow->task[item->task];
		struct kerf_sim_link *l = t->message ? link_of(w, r, t) : NULL;
		double took, hold;

		s->first = item->next;
		if (!s->first)
			s->last = &s->first;
		if (r->aborted) {
			count_server(w, s, -1);
			unref(w, r);
			continue;
		}
		if (l) {
			s->at = (uint32_t)(l - w->link);
			took = message_s(w, l, t->bytes, &hold);
			item->late_s = took - hold;
			took = hold;
		} else {
			const struct kerf_sim_engine *e =
				&w->engine[w->home[r->home].engine[t->engine]];

			s->at = (uint32_t)(e - w->engine);
			took = t->compute_s;
			if (e->variation > 0)
				took *= 1 - e->variation +
					e->variation * kerf_sim_exponential(&w->rng);
		}
		if ((l && is_down(w, l)) || !isfinite(took)) {
			count_server(w, s, -1);
			abort_request(w, r);
			unref(w, r);
			continue;
		}
		s->now = item;
		s->since = w->now;
		push(w, w->now + took, EVENT_END, s, s->generation);
	}
}

/* A task that waits for nothing but its server. */
static void offer(struct kerf_sim_world *w, struct kerf_sim_request *r, uint32_t task)
{
	const struct kerf_flow_task *t = &r->flow->task[task];
	struct kerf_sim_item *item = &r->item[task];
	struct kerf_sim_server *s;

	if (t->message) {
		struct kerf_sim_link *l = link_of(w, r, t);

		if (!l || is_down(w, l)) {
			abort_request(w, r);
			return;
		}
		s = &w->medium[l->medium];
	} else {
		struct kerf_sim_engine *e = &w->engine[w->home[r->home].engine[t->engine]];

		if (w->node[e->node].down) {
			abort_request(w, r);
			return;
		}
		s = &e->server;
	}
	r->refs++;
	item->next = NULL;
	*s->last = item;
	s->last = &item->next;
	count_server(w, s, 1);
	serve_next(w, s);
}

/* Those that wait for a task until it ended (late: until it was decoded, too). */
static void release(struct kerf_sim_world *w, struct kerf_sim_request *r, uint32_t task, bool late)
{
	const struct kerf_flow *f = r->flow;
	uint32_t i;

	for (i = f->task[task].first_next; i < f->task[task + 1].first_next && !r->aborted; i++)
		if (f->next[i].late == late && !--r->item[f->next[i].task].n_before)
			offer(w, r, f->next[i].task);
	if (late && !r->aborted && !--r->left)
		complete(w, r);
}

static void count_work(struct kerf_sim_world *w, const struct kerf_sim_server *s,
		       const struct kerf_flow_task *t)
{
	double j;

	if (t->message) {
		struct kerf_sim_node *from = &w->node[w->link[s->at].from];
		struct kerf_sim_node *to = &w->node[w->link[s->at].to];

		from->sent_bytes += t->bytes;
		to->received_bytes += t->bytes;
		from->energy_j += t->bytes * from->send_j_byte + t->encode_j;
		to->energy_j += t->bytes * to->receive_j_byte + t->decode_j;
		w->wire_bytes += t->bytes;
		bin_at(w, w->now)->wire_bytes += t->bytes;
		j = t->bytes * (from->send_j_byte + to->receive_j_byte) + t->encode_j + t->decode_j;
	} else {
		j = (w->now - s->since) * w->engine[s->at].active_w;
		w->node[w->engine[s->at].node].energy_j += j;
	}
	w->energy_j += j;
	bin_at(w, w->now)->energy_j += j;
}

static void end_of_service(struct kerf_sim_world *w, struct kerf_sim_server *s)
{
	struct kerf_sim_item *item = s->now;
	struct kerf_sim_request *r = item->request;
	const struct kerf_flow_task *t = &r->flow->task[item->task];

	s->now = NULL;
	s->busy_s += w->now - s->since;
	s->served++;
	count_server(w, s, -1);
	count_work(w, s, t);
	if (!r->aborted) {
		release(w, r, item->task, false);
		if (item->late_s + t->coding_s > 0 && !r->aborted) {
			r->refs++;
			push(w, w->now + item->late_s + t->coding_s, EVENT_CODED, item, 0);
		} else {
			release(w, r, item->task, true);
		}
	}
	unref(w, r);
	serve_next(w, s);
}

/* --- Nodes that fail --- */

static bool stands_on(const struct kerf_sim_world *w, const struct kerf_sim_item *item,
		      uint32_t node)
{
	const struct kerf_sim_request *r = item->request;
	const struct kerf_sim_home *h = &w->home[r->home];
	const struct kerf_flow_task *t = &r->flow->task[item->task];

	return t->message ? h->slot[t->from] == node || h->slot[t->to] == node
			  : w->engine[h->engine[t->engine]].node == node;
}

/* Takes what stands on a node that died from a server's line. */
static void clear_line(struct kerf_sim_world *w, struct kerf_sim_server *s, uint32_t node)
{
	struct kerf_sim_item **at = &s->first;

	if (s->now && stands_on(w, s->now, node)) {
		struct kerf_sim_request *r = s->now->request;

		s->generation++;
		s->busy_s += w->now - s->since;
		s->now = NULL;
		count_server(w, s, -1);
		abort_request(w, r);
		unref(w, r);
	}
	while (*at) {
		struct kerf_sim_item *item = *at;

		if (!stands_on(w, item, node)) {
			at = &item->next;
			continue;
		}
		*at = item->next;
		count_server(w, s, -1);
		abort_request(w, item->request);
		unref(w, item->request);
	}
	s->last = at;
	serve_next(w, s);
}

static void node_down(struct kerf_sim_world *w, uint32_t node)
{
	struct kerf_sim_node *n = &w->node[node];
	uint32_t i;

	n->down = true;
	n->down_since = w->now;
	for (i = 0; i < n->n_engine; i++)
		clear_line(w, &w->engine[n->first_engine + i].server, node);
	for (i = 0; i < w->n_link; i++)
		if (w->link[i].from == node || w->link[i].to == node)
			clear_line(w, &w->medium[w->link[i].medium], node);
}

static void node_up(struct kerf_sim_world *w, uint32_t node)
{
	w->node[node].down = false;
	w->node[node].down_s += w->now - w->node[node].down_since;
}

/* --- Arrivals --- */

static bool over(const struct kerf_sim_world *w, double t)
{
	return t >= w->duration_s || (w->max_requests && w->arrived >= w->max_requests);
}

/* The next of a stream that does not wait for answers. */
static void next_arrival(struct kerf_sim_world *w, uint32_t i)
{
	struct kerf_sim_stream *s = &w->stream[i];
	double t = w->now;

	switch (s->kind) {
	case KERF_SIM_POISSON: t += s->mean_s * kerf_sim_exponential(&s->rng); break;
	case KERF_SIM_REGULAR:
		/* Streams alike do not march in step: each begins at a random phase. */
		t += s->at++ ? s->mean_s
			     : s->mean_s * (double)(kerf_rng_next(&s->rng) >> 11) * 0x1p-53;
		break;
	case KERF_SIM_TIMES:
		if (s->at == s->n)
			return;
		t = s->times[s->at++];
		break;
	case KERF_SIM_CLOSED: return;
	}
	if (t < w->duration_s)
		push(w, t, EVENT_ARRIVAL, NULL, i);
}

static void start(struct kerf_sim_world *w, uint32_t stream, double arrived, uint32_t attempt)
{
	const struct kerf_sim_stream *s = &w->stream[stream];
	const struct kerf_flow *flow = NULL;
	struct kerf_sim_request *r;
	void *plan = NULL;
	uint32_t i;

	if (!w->node[w->home[s->home].node].down) {
		flow = w->choose(w->user, s->home, s->model, w->now, attempt > 0, &plan);
		w->lost_unplanned += !flow;
	}
	r = flow ? request_new(w, flow->n_task) : NULL;
	if (!r) {
		lose(w, s->home, stream);
		return;
	}
	r->flow = flow;
	r->plan = plan;
	r->home = s->home;
	r->stream = stream;
	r->attempt = attempt;
	r->arrived = arrived;
	r->left = flow->n_task;
	r->refs = 2; /* it runs; and this function */
	for (i = 0; i < flow->n_task; i++)
		r->item[i] = (struct kerf_sim_item){.request = r, .task = i,
						    .n_before = flow->task[i].n_before};
	for (i = 0; i < flow->n_task && !r->aborted; i++)
		if (!flow->task[i].n_before)
			offer(w, r, i);
	unref(w, r);
}

static void arrive(struct kerf_sim_world *w, uint32_t stream)
{
	if (over(w, w->now))
		return;
	w->arrived++;
	w->node[w->home[w->stream[stream].home].node].arrived++;
	bin_at(w, w->now)->arrived++;
	count_in_system(w);
	w->in_system++;
	next_arrival(w, stream);
	start(w, stream, w->now, 0);
}

static void abort_known(struct kerf_sim_world *w, struct kerf_sim_request *r)
{
	if (r->attempt < w->retries && !w->node[home_node(w, r)].down) {
		w->retried++;
		w->node[home_node(w, r)].retried++;
		start(w, r->stream, r->arrived, r->attempt + 1);
	} else {
		lose(w, r->home, r->stream);
	}
	unref(w, r);
}

static void handle(struct kerf_sim_world *w, const struct kerf_event *e)
{
	struct kerf_sim_item *item = e->what;
	struct kerf_sim_server *s = e->what;

	switch (e->kind) {
	case EVENT_ARRIVAL: arrive(w, e->n); break;
	case EVENT_END:
		if (s->generation == e->n)
			end_of_service(w, s);
		break;
	case EVENT_CODED: {
		struct kerf_sim_request *r = item->request;

		if (!r->aborted)
			release(w, r, item->task, true);
		unref(w, r);
		break;
	}
	case EVENT_ABORT: abort_known(w, e->what); break;
	case EVENT_DOWN: node_down(w, w->outage[e->n].node); break;
	case EVENT_UP: node_up(w, w->outage[e->n].node); break;
	}
}

static void begin(struct kerf_sim_world *w)
{
	uint32_t i, k;

	kerf_rng_seed(&w->rng, w->seed);
	for (i = 0; i < w->n_engine; i++)
		w->engine[i].server.last = &w->engine[i].server.first;
	for (i = 0; i < w->n_medium; i++)
		w->medium[i].last = &w->medium[i].first;
	for (i = 0; i < w->n_outage; i++) {
		push(w, w->outage[i].from_s, EVENT_DOWN, NULL, i);
		if (isfinite(w->outage[i].to_s))
			push(w, w->outage[i].to_s, EVENT_UP, NULL, i);
	}
	for (i = 0; i < w->n_stream; i++) {
		/* Streams draw their own numbers: arrivals are the same whatever is planned. */
		kerf_rng_seed(&w->stream[i].rng, w->seed * 0x9e3779b97f4a7c15u + i + 1);
		next_arrival(w, i);
		for (k = 0; w->stream[i].kind == KERF_SIM_CLOSED && k < w->stream[i].n; k++)
			think(w, i);
	}
}

int kerf_sim_world_run(struct kerf_sim_world *w)
{
	begin(w);
	while (w->heap.n && !w->no_memory) {
		struct kerf_event e = kerf_heap_pop(&w->heap);

		/* Nodes fail and come back after the end, too: that is nobody's business. */
		if (!w->in_system && over(w, e.t))
			break;
		w->now = e.t;
		if (w->events++ % PROGRESS_EVERY == 0 && w->progress) {
			double share = w->now / w->duration_s;

			if (w->max_requests)
				share = fmax(share, (double)w->arrived / (double)w->max_requests);
			w->progress(w->user, fmin(share, 1));
		}
		handle(w, &e);
	}
	count_in_system(w);
	w->end_s = w->now;
	return w->no_memory ? -ENOMEM : 0;
}

void kerf_sim_world_finish(struct kerf_sim_world *w)
{
	uint32_t i;

	while (w->made) {
		struct kerf_sim_request *r = w->made;

		w->made = r->made;
		free(r);
	}
	for (i = 0; i < w->n_home; i++) {
		free(w->home[i].slot);
		free(w->home[i].engine);
		free(w->home[i].link);
	}
	for (i = 0; w->node && i < w->n_node; i++)
		free(w->node[i].name);
	free(w->node);
	free(w->engine);
	free(w->link);
	free(w->medium);
	free(w->home);
	free(w->stream);
	free(w->outage);
	free(w->record);
	free(w->heap.e);
}

/* --- One request of one plan --- */

static const struct kerf_flow *choose_only(void *user, uint32_t home, uint32_t model, double now,
					   bool again, void **plan)
{
	return user;
}

static void drop_nothing(void *user, void *plan)
{
}

static int world_of(const struct kerf_problem *p, struct kerf_sim_world *w)
{
	uint32_t n = p->n_node, i, k;
	struct kerf_sim_home *h;

	w->node = calloc(n, sizeof(*w->node));
	w->engine = calloc(p->n_engine, sizeof(*w->engine));
	w->link = calloc((size_t)n * n, sizeof(*w->link));
	w->medium = calloc((size_t)n * n, sizeof(*w->medium));
	w->stream = calloc(1, sizeof(*w->stream));
	h = w->home = calloc(1, sizeof(*w->home));
	if (!w->node || !w->engine || !w->link || !w->medium || !w->stream || !h)
		return -ENOMEM;
	w->n_node = h->n_slot = n;
	w->n_engine = h->n_engine = p->n_engine;
	w->n_link = w->n_medium = n * n;
	w->n_home = w->n_stream = 1;
	h->node = p->home;
	h->slot = calloc(n, sizeof(*h->slot));
	h->engine = calloc(p->n_engine, sizeof(*h->engine));
	h->link = calloc((size_t)n * n, sizeof(*h->link));
	if (!h->slot || !h->engine || !h->link)
		return -ENOMEM;
	for (i = 0; i < n; i++) {
		h->slot[i] = i;
		for (k = 0; k < n; k++) {
			uint32_t at = i * n + k;

			w->link[at] = (struct kerf_sim_link){
				.from = i, .to = k, .model = p->link[at], .medium = at};
			h->link[at] = p->link[at].rate_bytes_s > 0 ? at : NONE;
		}
	}
	for (i = 0; i < p->n_engine; i++) {
		h->engine[i] = i;
		w->engine[i].node = p->engine[i].node;
	}
	return 0;
}

int kerf_sim_alone(const struct kerf_problem *p, const struct kerf_plan *plan, double *latency_s)
{
	static const double now = 0;
	struct kerf_sim_world w = {.duration_s = 1, .smooth_s = 1, .choose = choose_only,
				   .drop = drop_nothing};
	struct kerf_flow flow;
	int r = kerf_flow_make(p, plan, &flow);

	w.user = &flow;
	if (!r)
		r = world_of(p, &w);
	if (!r) {
		w.stream[0] =
			(struct kerf_sim_stream){.kind = KERF_SIM_TIMES, .n = 1, .times = &now};
		r = kerf_sim_world_run(&w);
	}
	*latency_s = w.end_s;
	kerf_sim_world_finish(&w);
	kerf_flow_finish(&flow);
	return r;
}
