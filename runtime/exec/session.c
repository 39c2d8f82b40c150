/* SPDX-License-Identifier: MIT */
#include "exec/session.h"

#include "exec/remote_part.h"
#include "exec/session_route.h"
#include "util/clock.h"
#include "util/completion.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DEFAULT_DEPTH 2

/* Of one step of one request. */
struct work {
	struct kerf_job job;
	struct kerf_err why;
	struct kerf_tensor *io;	   /* job.in, then job.out */
	struct kerf_tensor *fed;   /* per input: memory put together, or none */
	struct kerf_tensor to, back; /* a part's messages */
	struct kerf_job tell;	   /* a part: that the request failed */
	uint32_t waits;		   /* earlier steps not done yet */
	bool flying;		   /* submitted, not done */
};

/* One request in flight. */
struct request {
	struct kerf_session *session;
	bool busy;
	struct kerf_tensor *store; /* as routes.store, with data */
	struct work *work;	   /* per step */
	uint32_t in_flight;	   /* jobs, and callers that may still add some */
	int status;
	bool told;		 /* parts were, that it failed */
	char sentence[KERF_PART_WHY];
	struct kerf_tensor what; /* the sentence */
	struct kerf_tensor *out; /* the caller's */
	uint64_t begin_ns;
	struct kerf_step_time *times;
	kerf_session_done done;
	void *user;
};

struct kerf_session {
	struct kerf_routes routes;
	uint32_t depth;
	struct request *request;
	pthread_mutex_t lock;
	pthread_cond_t idle;
	uint32_t busy;
	uint64_t numbers; /* of requests begun */
	struct kerf_err why; /* of the last one that failed */
	struct kerf_err lost; /* a node that no request can do without is */
	struct kerf_watch *watch; /* of each engine that has parts */
	struct kerf_engine **watched;
	uint32_t n_watch;
	struct kerf_session_stats stats;
};

static void job_done(struct kerf_job *job, int status);
static void tell_done(struct kerf_job *job, int status);

/* --- memory of a request --- */

static int get_memory(struct kerf_session *s, struct kerf_engine *engine, struct kerf_tensor *t)
{
	size_t bytes = kerf_tensor_bytes(t);

	t->data = kerf_engine_alloc(engine, bytes);
	if (!t->data)
		return -ENOMEM;
	s->stats.tensor_bytes += bytes;
	return 0;
}

static int get_message(struct kerf_session *s, const struct kerf_message *msg,
		       struct kerf_tensor *t)
{
	*t = (struct kerf_tensor){.dtype = KERF_U8, .rank = 1, .dims = {(int64_t)msg->bytes}};
	return msg->bytes ? get_memory(s, NULL, t) : 0;
}

static int make_work(struct kerf_session *s, struct request *q, uint32_t i)
{
	const struct kerf_route *step = &s->routes.step[i];
	const struct kerf_graph *g = step->slice;
	struct work *w = &q->work[i];
	uint32_t k;
	int r = 0;

	w->io = calloc((size_t)g->n_in + g->n_out + 2, sizeof(*w->io));
	w->fed = calloc((size_t)g->n_in + 1, sizeof(*w->fed));
	if (!w->io || !w->fed)
		return -ENOMEM;
	w->job = (struct kerf_job){.program = step->program,
				   .in = w->io,
				   .out = w->io + g->n_in + 1,
				   .done = job_done,
				   .user = q,
				   .why = &w->why};
	if (step->way == KERF_PART) {
		struct kerf_program *failure =
			step->engine->ops->part_failure
				? step->engine->ops->part_failure(step->program)
				: NULL;

		w->tell = (struct kerf_job){.program = failure, .in = &q->what, .done = tell_done,
					    .user = q};
		r = get_message(s, &step->to, &w->to);
		return r ? r : get_message(s, &step->back, &w->back);
	}
	for (k = 0; k < g->n_in && !r; k++) {
		w->fed[k] = step->feed[k].t;
		if (!step->feed[k].in_place)
			r = get_memory(s, step->feed[k].engine, &w->fed[k]);
	}
	return r;
}

static int make_request(struct kerf_session *s, struct request *q)
{
	const struct kerf_routes *x = &s->routes;
	uint32_t i;
	int r = 0;

	q->session = s;
	q->what = (struct kerf_tensor){.dtype = KERF_U8, .rank = 1, .dims = {KERF_PART_WHY},
				       .data = q->sentence};
	q->store = calloc((size_t)x->n_store + 1, sizeof(*q->store));
	q->work = calloc((size_t)x->n_step + 1, sizeof(*q->work));
	if (!q->store || !q->work)
		return -ENOMEM;
	for (i = 0; i < x->n_store && !r; i++) {
		const struct kerf_store *st = &x->store[i];

		q->store[i] = st->t;
		if (st->kept && st->in < 0 && st->out < 0)
			r = get_memory(s, st->engine, &q->store[i]);
	}
	for (i = 0; i < x->n_step && !r; i++)
		r = make_work(s, q, i);
	return r;
}

static void free_request(struct kerf_session *s, struct request *q)
{
	const struct kerf_routes *x = &s->routes;
	uint32_t i, k;

	for (i = 0; q->store && i < x->n_store; i++)
		if (x->store[i].in < 0 && x->store[i].out < 0)
			kerf_engine_free(x->store[i].engine, q->store[i].data);
	for (i = 0; q->work && i < x->n_step; i++) {
		struct work *w = &q->work[i];

		for (k = 0; w->fed && x->step[i].feed && k < x->step[i].slice->n_in; k++)
			kerf_engine_free(x->step[i].feed[k].engine, w->fed[k].data);
		kerf_engine_free(NULL, w->to.data);
		kerf_engine_free(NULL, w->back.data);
		free(w->fed);
		free(w->io);
	}
	free(q->store);
	free(q->work);
}

static void engine_lost(struct kerf_watch *w, const char *why);

static int watch_engines(struct kerf_session *s)
{
	uint32_t i, k;

	s->watch = calloc((size_t)s->routes.n_step + 1, sizeof(*s->watch));
	s->watched = calloc((size_t)s->routes.n_step + 1, sizeof(struct kerf_engine *));
	if (!s->watch || !s->watched)
		return -ENOMEM;
	for (i = 0; i < s->routes.n_step; i++) {
		struct kerf_engine *e = s->routes.step[i].engine;

		for (k = 0; k < s->n_watch && s->watched[k] != e; k++)
			;
		if (s->routes.step[i].way != KERF_PART || k < s->n_watch || !e->ops->watch)
			continue;
		s->watched[k] = e;
		s->watch[k] = (struct kerf_watch){.lost = engine_lost, .user = s};
		s->n_watch++;
		e->ops->watch(e, &s->watch[k]);
	}
	return 0;
}

static void unwatch_engines(struct kerf_session *s)
{
	while (s->n_watch--)
		s->watched[s->n_watch]->ops->unwatch(s->watched[s->n_watch], &s->watch[s->n_watch]);
	free(s->watch);
	free(s->watched);
}

static void add_up(struct kerf_session *s)
{
	struct kerf_program_info info;
	uint32_t i;

	for (i = 0; i < s->routes.n_step; i++) {
		const struct kerf_program *p = s->routes.step[i].program;

		if (!p->engine->ops->program_info)
			continue;
		p->engine->ops->program_info(p, &info);
		s->stats.weight_bytes += info.weight_bytes;
		s->stats.arena_bytes += info.arena_bytes;
	}
}

int kerf_session_open(struct kerf_graph *g, const struct kerf_plan *plan,
		      struct kerf_engine *const *engines, uint32_t depth,
		      struct kerf_session **out, struct kerf_err *err)
{
	struct kerf_session *s = calloc(1, sizeof(*s));
	uint32_t i;
	int r;

	if (!s)
		return -ENOMEM;
	pthread_mutex_init(&s->lock, NULL);
	pthread_cond_init(&s->idle, NULL);
	s->depth = s->stats.depth = depth ? depth : DEFAULT_DEPTH;
	r = kerf_routes_make(g, plan, engines, &s->routes, err);
	if (r)
		goto fail;
	add_up(s);
	s->request = calloc(s->depth, sizeof(*s->request));
	r = s->request ? 0 : -ENOMEM;
	for (i = 0; !r && i < s->depth; i++)
		r = make_request(s, &s->request[i]);
	if (!r)
		r = watch_engines(s);
	if (r)
		goto fail;
	*out = s;
	return 0;
fail:
	kerf_fail(err, r, "cannot open a session: %s", strerror(-r));
	kerf_session_close(s);
	return r;
}

void kerf_session_close(struct kerf_session *s)
{
	uint32_t i;

	if (!s)
		return;
	pthread_mutex_lock(&s->lock);
	while (s->busy)
		pthread_cond_wait(&s->idle, &s->lock);
	pthread_mutex_unlock(&s->lock);
	unwatch_engines(s);
	for (i = 0; s->request && i < s->depth; i++)
		free_request(s, &s->request[i]);
	free(s->request);
	kerf_routes_finish(&s->routes);
	pthread_cond_destroy(&s->idle);
	pthread_mutex_destroy(&s->lock);
	free(s);
}

/* --- requests --- */

/*
 * Called with the lock held when nothing of the request is in flight and nothing will
 * be: gives the slot back, then tells the caller, who may submit the next from there.
 */
static void complete(struct request *q)
{
	struct kerf_session *s = q->session;
	kerf_session_done done = q->done;
	void *user = q->user;
	int status = q->status;
	uint32_t i;

	/* Outputs behind an exit that was taken are empty. */
	for (i = 0; i < s->routes.graph->n_out; i++)
		if (!s->routes.made[i])
			memset(q->out[i].dims, 0, sizeof(q->out[i].dims));
	s->stats.requests++;
	s->stats.failures += status != 0;
	q->busy = false;
	for (i = 0; i < s->n_watch; i++)
		__atomic_fetch_sub(&s->watch[i].waiting, 1, __ATOMIC_RELEASE);
	pthread_mutex_unlock(&s->lock);
	done(user, status);
	/* close() may free the session as soon as busy is 0: touch it last, under the lock */
	pthread_mutex_lock(&s->lock);
	if (--s->busy == 0)
		pthread_cond_broadcast(&s->idle);
	pthread_mutex_unlock(&s->lock);
}

/*
 * With the lock held, nothing of the request in flight. A failed request's parts may have messages
 * that came, and wait for others that never will: they are told, so that they have room for the
 * next request. False: nobody was, or all are by now.
 */
static bool tell_parts(struct request *q)
{
	struct kerf_session *s = q->session;
	uint32_t i;
	int r;

	if (!q->status || q->told)
		return false;
	q->told = true;
	memset(q->sentence, 0, sizeof(q->sentence));
	snprintf(q->sentence, sizeof(q->sentence), "home: %.240s", s->why.msg);
	q->in_flight = 1;
	for (i = 0; i < s->routes.n_step; i++) {
		struct work *w = &q->work[i];

		if (!w->tell.program)
			continue;
		w->tell.request = w->job.request;
		q->in_flight++;
		pthread_mutex_unlock(&s->lock);
		r = kerf_engine_submit(&w->tell);
		pthread_mutex_lock(&s->lock);
		q->in_flight -= r != 0;
	}
	return --q->in_flight;
}

/* With the lock held, which is let go: one thing less is in flight. */
static void let_go(struct request *q)
{
	if (--q->in_flight || tell_parts(q))
		pthread_mutex_unlock(&q->session->lock);
	else
		complete(q);
}

static void tell_done(struct kerf_job *job, int status)
{
	struct request *q = job->user;

	pthread_mutex_lock(&q->session->lock);
	let_go(q);
}

static void encode(const struct request *q, const struct kerf_message *msg, char *wire)
{
	uint32_t i;

	for (i = 0; i < msg->n_piece; i++)
		kerf_codec_encode(msg->piece[i].codec, &msg->piece[i].runs,
				  q->store[msg->piece[i].store].data, wire + msg->piece[i].at);
}

static int decode(struct request *q, const struct kerf_message *msg, const char *wire)
{
	uint32_t i;
	int r = 0;

	for (i = 0; i < msg->n_piece && !r; i++)
		r = kerf_codec_decode(msg->piece[i].codec, &msg->piece[i].runs,
				      q->store[msg->piece[i].store].data, wire + msg->piece[i].at);
	return r ? -EIO : 0;
}

static void feed(const struct request *q, const struct kerf_feed *f, const struct kerf_tensor *fed,
		 struct kerf_tensor *in)
{
	uint32_t i;

	*in = f->t;
	if (f->in_place) {
		const struct kerf_tensor *from = &q->store[f->store];

		in->data = (char *)from->data + f->offset;
		/* What is bounded travels whole, with the dims it has this time. */
		if (kerf_tensor_same_shape(&f->t, &q->session->routes.store[f->store].t))
			memcpy(in->dims, from->dims, sizeof(in->dims));
		return;
	}
	in->data = fed->data;
	for (i = 0; i < f->n_copy; i++)
		kerf_runs_copy(&f->copy[i].from, q->store[f->copy[i].store].data, &f->copy[i].to,
			       fed->data);
}

/* Hands a step to its engine. The request counts it as in flight already. */
static void submit_step(struct request *q, uint32_t index)
{
	struct kerf_session *s = q->session;
	const struct kerf_route *step = &s->routes.step[index];
	struct work *w = &q->work[index];
	uint32_t i;
	int r;

	if (step->way == KERF_PART) {
		w->io[0] = w->to;
		w->job.out[0] = w->back;
		encode(q, &step->to, w->to.data);
	} else {
		for (i = 0; i < step->slice->n_in; i++)
			feed(q, &step->feed[i], &w->fed[i], &w->io[i]);
		for (i = 0; i < step->slice->n_out; i++) {
			w->job.out[i] = s->routes.store[step->first_store + i].t;
			w->job.out[i].data = q->store[step->first_store + i].data;
		}
	}
	if (q->times)
		q->times[index].submit_ns = kerf_now_ns() - q->begin_ns;
	w->why.msg[0] = 0;
	r = kerf_engine_submit(&w->job);
	if (r)
		job_done(&w->job, r);
}

/* What the step made, to where others find it. */
static int take_results(struct request *q, const struct kerf_route *step, struct work *w)
{
	const struct kerf_routes *x = &q->session->routes;
	uint32_t i;
	int r = 0;

	if (step->way == KERF_PART)
		r = decode(q, &step->back, w->back.data);
	for (i = 0; i < step->slice->n_out; i++) {
		uint32_t at = step->first_store + i;

		if (step->way != KERF_PART)
			memcpy(q->store[at].dims, w->job.out[i].dims, sizeof(q->store[at].dims));
		if (x->store[at].out >= 0 && !x->store[at].held.rows.end &&
		    !x->store[at].held.channels.end)
			memcpy(q->out[x->store[at].out].dims, q->store[at].dims,
			       sizeof(q->store[at].dims));
	}
	for (i = 0; i < step->n_answer && !r; i++) {
		const struct kerf_copy *c = &step->answer[i];

		kerf_runs_copy(&c->from, q->store[c->store].data, &c->to, q->out[c->out].data);
	}
	return r;
}

/*
 * With the lock held, which is let go meanwhile; the caller counts as in flight. A part to which
 * others will send nothing any more would wait until its node loses patience.
 */
static void cancel_step(struct request *q, uint32_t index)
{
	struct kerf_session *s = q->session;
	const struct kerf_route *step = &s->routes.step[index];

	if (!q->work[index].flying || step->way != KERF_PART || !step->engine->ops->cancel)
		return;
	pthread_mutex_unlock(&s->lock);
	step->engine->ops->cancel(&q->work[index].job);
	pthread_mutex_lock(&s->lock);
}

static void cancel_steps(struct request *q)
{
	uint32_t i;

	for (i = 0; i < q->session->routes.n_step; i++)
		cancel_step(q, i);
}

/*
 * A node on which some of a request's parts are, though maybe no job: others wait for it in vain.
 */
static void engine_lost(struct kerf_watch *w, const char *why)
{
	struct kerf_session *s = w->user;
	uint32_t i;

	pthread_mutex_lock(&s->lock);
	kerf_fail(&s->lost, -ENODEV, "a node with steps of the plan is lost: %.400s", why);
	for (i = 0; i < s->depth; i++) {
		struct request *q = &s->request[i];

		if (!q->busy || q->status || !q->in_flight)
			continue;
		q->in_flight++;
		q->status = -EIO;
		s->why = s->lost;
		cancel_steps(q);
		let_go(q);
		pthread_mutex_lock(&s->lock);
	}
	pthread_mutex_unlock(&s->lock);
}

/* As above. */
static void launch(struct request *q, uint32_t index)
{
	struct kerf_session *s = q->session;
	const struct kerf_route *step = &s->routes.step[index];
	uint32_t i;

	q->in_flight++;
	q->work[index].flying = true;
	pthread_mutex_unlock(&s->lock);
	submit_step(q, index);
	pthread_mutex_lock(&s->lock);
	/* Who set it meanwhile may have come before the engine had the job. */
	if (q->status)
		cancel_step(q, index);
	for (i = 0; i < step->n_then; i++)
		if (!--q->work[step->then[i]].waits && !q->status)
			launch(q, step->then[i]);
}

/* With the lock held: the request fails by this step. */
static void keep_why(struct request *q, uint32_t index, int status)
{
	struct kerf_session *s = q->session;
	const struct kerf_route *step = &s->routes.step[index];
	const struct kerf_graph *g = step->slice;
	struct kerf_engine_info info = {.name = "?"};
	struct kerf_err *why = &q->work[index].why;

	step->engine->ops->describe(step->engine, &info);
	kerf_fail(why, status, "%s", kerf_job_text(status));
	s->why.msg[0] = 0;
	kerf_fail(&s->why, status, "step %u of %u, from '%.40s' on, by %.80s: %.300s", index,
		  s->routes.n_step, g->n_op ? g->op[0].name : "", info.name, why->msg);
}

static void job_done(struct kerf_job *job, int status)
{
	struct request *q = job->user;
	struct kerf_session *s = q->session;
	struct work *w = (struct work *)((char *)job - offsetof(struct work, job));
	uint32_t me = (uint32_t)(w - q->work), i;
	const struct kerf_route *step = &s->routes.step[me];

	if (q->times) {
		q->times[me].done_ns = kerf_now_ns() - q->begin_ns;
		q->times[me].busy_ns = job->busy_ns;
	}
	if (!status) {
		status = take_results(q, step, w);
		kerf_fail(status ? &w->why : NULL, status, "its message of %zu bytes is not what an encoder makes",
			  step->back.bytes);
	}
	pthread_mutex_lock(&s->lock);
	w->flying = false;
	if (status && !q->status) {
		q->status = status;
		keep_why(q, me, status);
		cancel_steps(q);
	}
	for (i = 0; i < step->n_next; i++)
		if (!--q->work[step->next[i]].waits && !q->status)
			launch(q, step->next[i]);
	let_go(q);
}

static int begin(struct kerf_session *s, const struct kerf_tensor *in, struct kerf_tensor *out,
		 kerf_session_done done, void *user, struct kerf_step_time *times)
{
	const struct kerf_routes *x = &s->routes;
	struct request *q = NULL;
	uint64_t number;
	uint32_t i;

	pthread_mutex_lock(&s->lock);
	for (i = 0; i < s->depth && !q; i++)
		if (!s->request[i].busy)
			q = &s->request[i];
	if (!q) {
		pthread_mutex_unlock(&s->lock);
		return -EAGAIN;
	}
	q->busy = true;
	s->busy++;
	q->status = s->lost.msg[0] ? -ENODEV : 0;
	if (q->status)
		s->why = s->lost;
	q->told = q->status;
	q->in_flight = 1;
	q->out = out;
	q->done = done;
	q->user = user;
	q->times = times;
	q->begin_ns = kerf_now_ns();
	if (times)
		memset(times, 0, x->n_step * sizeof(*times));
	number = s->numbers++;
	for (i = 0; i < s->n_watch; i++) {
		__atomic_store_n(&s->watch[i].since_ns, q->begin_ns, __ATOMIC_RELAXED);
		__atomic_fetch_add(&s->watch[i].waiting, 1, __ATOMIC_RELEASE);
	}
	for (i = 0; i < x->n_store; i++) {
		if (x->store[i].in >= 0)
			q->store[i] = in[x->store[i].in];
		else if (x->store[i].out >= 0)
			q->store[i].data =
				(char *)out[x->store[i].out].data + x->store[i].out_offset;
	}
	for (i = 0; i < x->n_step; i++) {
		q->work[i].waits = x->step[i].n_wait;
		q->work[i].job.request = number;
	}
	for (i = 0; i < x->n_step && !q->status; i++)
		if (!x->step[i].n_wait && !x->step[i].silent)
			launch(q, i);
	let_go(q);
	return 0;
}

int kerf_session_submit(struct kerf_session *s, const struct kerf_tensor *in,
			struct kerf_tensor *out, kerf_session_done done, void *user)
{
	return begin(s, in, out, done, user, NULL);
}

static void wake(void *user, int status)
{
	kerf_complete(user, status);
}

int kerf_session_run(struct kerf_session *s, const struct kerf_tensor *in, struct kerf_tensor *out,
		     struct kerf_step_time *times)
{
	struct kerf_completion c;
	int r;

	kerf_completion_init(&c);
	r = begin(s, in, out, wake, &c, times);
	return r ? r : kerf_completion_wait(&c);
}

void kerf_session_why(struct kerf_session *s, struct kerf_err *err)
{
	pthread_mutex_lock(&s->lock);
	if (s->why.msg[0])
		kerf_fail(err, 0, "%s", s->why.msg);
	pthread_mutex_unlock(&s->lock);
}

uint32_t kerf_session_steps(const struct kerf_session *s)
{
	return s->routes.n_step;
}

void kerf_session_stats(struct kerf_session *s, struct kerf_session_stats *st)
{
	pthread_mutex_lock(&s->lock);
	*st = s->stats;
	pthread_mutex_unlock(&s->lock);
}
