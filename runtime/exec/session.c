/* SPDX-License-Identifier: MIT */
#include "exec/session.h"

#include "graph/slice.h"
#include "util/clock.h"
#include "util/completion.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#define DEFAULT_DEPTH 2

struct step {
	struct kerf_program *program;
	struct kerf_graph *slice;
	int32_t *in, *out;     /* values of the whole graph, in the slice's order */
	uint32_t n_wait;       /* distinct earlier steps whose values it reads */
	uint32_t *next, n_next; /* steps that wait for this one */
};

/* One request in flight. */
struct request {
	struct kerf_session *session;
	bool busy;
	struct kerf_tensor *values; /* per value of the whole graph */
	struct kerf_job *job;	    /* per step */
	uint32_t *waits;	    /* per step: earlier steps not done yet */
	uint32_t in_flight;	    /* jobs, and callers that may still add some */
	int status;
	struct kerf_tensor *out; /* the caller's */
	uint64_t begin_ns;
	struct kerf_step_time *times;
	kerf_session_done done;
	void *user;
};

struct kerf_session {
	struct kerf_graph *graph;
	uint32_t n_step, depth;
	struct step *step;
	struct request *request;
	bool *crosses; /* per value: made by one step and read by another, not an output */
	struct kerf_engine **home; /* per value that crosses: whose memory it is in */
	pthread_mutex_t lock;
	pthread_cond_t idle;
	uint32_t busy;
	struct kerf_session_stats stats;
};

static int map_values(const struct kerf_graph *g, const struct kerf_graph *slice,
		      const int32_t *ids, uint32_t n, int32_t **out)
{
	uint32_t i;

	*out = malloc((n + 1) * sizeof(**out));
	if (!*out)
		return -ENOMEM;
	for (i = 0; i < n; i++)
		(*out)[i] = slice == g ? ids[i] : slice->value[ids[i]].parent;
	return 0;
}

static int prepare_step(struct kerf_session *s, const struct kerf_plan_step *ps,
			struct kerf_engine *engine, struct step *step, struct kerf_err *err)
{
	struct kerf_slice_spec spec = {.n_op = ps->n_op, .op = ps->op};
	struct kerf_program_info info;
	int r;

	if (ps->n_op == s->graph->n_op) {
		step->slice = kerf_graph_ref(s->graph);
	} else {
		r = kerf_slice_make(s->graph, &spec, &step->slice, err);
		if (r)
			return r;
	}
	r = map_values(s->graph, step->slice, step->slice->in, step->slice->n_in, &step->in);
	if (!r)
		r = map_values(s->graph, step->slice, step->slice->out, step->slice->n_out,
			       &step->out);
	if (!r)
		r = engine->ops->prepare(engine, step->slice, &step->program, err);
	if (r)
		return r;
	if (engine->ops->program_info) {
		engine->ops->program_info(step->program, &info);
		s->stats.weight_bytes += info.weight_bytes;
		s->stats.arena_bytes += info.arena_bytes;
	}
	return 0;
}

/* In memory that its maker uses in place, or else a reader. */
static void home_of(struct kerf_session *s, int32_t v, const struct step *maker,
		    const struct step *reader)
{
	struct kerf_engine **home = &s->home[v];

	if (!*home && maker->program->engine->ops->alloc)
		*home = maker->program->engine;
	if (!*home && reader->program->engine->ops->alloc)
		*home = reader->program->engine;
}

/* Who waits for whom, from who makes what; a step waits once for each maker. */
static int link_steps(struct kerf_session *s)
{
	uint32_t *maker = malloc((s->graph->n_value + 1) * sizeof(*maker)), i, j;
	uint32_t *last = malloc((s->n_step + 1) * sizeof(*last));
	int r = -ENOMEM;

	if (!maker || !last)
		goto out;
	memset(maker, 0xff, (s->graph->n_value + 1) * sizeof(*maker));
	memset(last, 0xff, (s->n_step + 1) * sizeof(*last));
	for (i = 0; i < s->n_step; i++) {
		s->step[i].next = malloc((s->n_step + 1) * sizeof(uint32_t));
		if (!s->step[i].next)
			goto out;
		for (j = 0; j < s->step[i].slice->n_out; j++)
			maker[s->step[i].out[j]] = i;
	}
	for (i = 0; i < s->n_step; i++)
		for (j = 0; j < s->step[i].slice->n_in; j++) {
			uint32_t m = maker[s->step[i].in[j]];

			if (m == UINT32_MAX)
				continue;
			s->crosses[s->step[i].in[j]] = true;
			home_of(s, s->step[i].in[j], &s->step[m], &s->step[i]);
			if (last[m] == i)
				continue;
			last[m] = i;
			s->step[m].next[s->step[m].n_next++] = i;
			s->step[i].n_wait++;
		}
	for (i = 0; i < s->graph->n_out; i++)
		s->crosses[s->graph->out[i]] = false;
	r = 0;
out:
	free(maker);
	free(last);
	return r;
}

static void job_done(struct kerf_job *job, int status);

static int make_request(struct kerf_session *s, struct request *q)
{
	uint32_t i;

	q->session = s;
	q->values = calloc(s->graph->n_value + 1, sizeof(*q->values));
	q->job = calloc(s->n_step + 1, sizeof(*q->job));
	q->waits = calloc(s->n_step + 1, sizeof(*q->waits));
	if (!q->values || !q->job || !q->waits)
		return -ENOMEM;
	for (i = 0; i < s->graph->n_value; i++) {
		q->values[i] = s->graph->value[i].t;
		if (!s->crosses[i])
			continue;
		q->values[i].data = kerf_engine_alloc(s->home[i], kerf_tensor_bytes(&q->values[i]));
		if (!q->values[i].data)
			return -ENOMEM;
		s->stats.tensor_bytes += kerf_tensor_bytes(&q->values[i]);
	}
	for (i = 0; i < s->n_step; i++) {
		const struct kerf_graph *g = s->step[i].slice;
		struct kerf_tensor *t = calloc(g->n_in + g->n_out + 1, sizeof(*t));

		if (!t)
			return -ENOMEM;
		q->job[i].program = s->step[i].program;
		q->job[i].in = t;
		q->job[i].out = t + g->n_in;
		q->job[i].done = job_done;
		q->job[i].user = q;
	}
	return 0;
}

static void free_request(struct kerf_session *s, struct request *q)
{
	uint32_t i;

	for (i = 0; q->values && i < s->graph->n_value; i++)
		if (s->crosses[i])
			kerf_engine_free(s->home[i], q->values[i].data);
	for (i = 0; q->job && i < s->n_step; i++)
		free((void *)q->job[i].in);
	free(q->values);
	free(q->job);
	free(q->waits);
}

int kerf_session_open(struct kerf_graph *g, const struct kerf_plan *plan,
		      struct kerf_engine *const *engines, uint32_t depth,
		      struct kerf_session **out, struct kerf_err *err)
{
	struct kerf_session *s = calloc(1, sizeof(*s));
	uint32_t i;
	int r = -ENOMEM;

	if (!s)
		return -ENOMEM;
	pthread_mutex_init(&s->lock, NULL);
	pthread_cond_init(&s->idle, NULL);
	s->graph = kerf_graph_ref(g);
	s->depth = s->stats.depth = depth ? depth : DEFAULT_DEPTH;
	s->step = calloc(plan->n_step + 1, sizeof(*s->step));
	s->request = calloc(s->depth, sizeof(*s->request));
	s->crosses = calloc(g->n_value + 1, sizeof(*s->crosses));
	s->home = calloc(g->n_value + 1, sizeof(*s->home));
	if (!s->step || !s->request || !s->crosses || !s->home)
		goto fail;
	for (i = 0; i < plan->n_step; i++) {
		s->n_step++;
		r = prepare_step(s, &plan->step[i], engines[plan->step[i].engine], &s->step[i],
				 err);
		if (r)
			goto fail;
	}
	r = link_steps(s);
	for (i = 0; !r && i < s->depth; i++)
		r = make_request(s, &s->request[i]);
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
	for (i = 0; s->request && i < s->depth; i++)
		free_request(s, &s->request[i]);
	for (i = 0; i < s->n_step; i++) {
		struct step *step = &s->step[i];

		if (step->program)
			step->program->engine->ops->release(step->program);
		kerf_graph_unref(step->slice);
		free(step->in);
		free(step->out);
		free(step->next);
	}
	free(s->step);
	free(s->request);
	free(s->crosses);
	free(s->home);
	kerf_graph_unref(s->graph);
	pthread_cond_destroy(&s->idle);
	pthread_mutex_destroy(&s->lock);
	free(s);
}

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

	for (i = 0; i < s->graph->n_out; i++)
		memcpy(q->out[i].dims, q->values[s->graph->out[i]].dims, sizeof(q->out[i].dims));
	s->stats.requests++;
	s->stats.failures += status != 0;
	q->busy = false;
	pthread_mutex_unlock(&s->lock);
	done(user, status);
	/* close() may free the session as soon as busy is 0: touch it last, under the lock */
	pthread_mutex_lock(&s->lock);
	if (--s->busy == 0)
		pthread_cond_broadcast(&s->idle);
	pthread_mutex_unlock(&s->lock);
}

/* Hands a step to its engine. The request counts it as in flight already. */
static void submit_step(struct request *q, uint32_t index)
{
	struct kerf_session *s = q->session;
	struct step *step = &s->step[index];
	struct kerf_job *job = &q->job[index];
	struct kerf_tensor *in = (struct kerf_tensor *)job->in;
	uint32_t i;
	int r;

	for (i = 0; i < step->slice->n_in; i++)
		in[i] = q->values[step->in[i]];
	for (i = 0; i < step->slice->n_out; i++) {
		job->out[i] = q->values[step->out[i]];
		memcpy(job->out[i].dims, s->graph->value[step->out[i]].t.dims,
		       sizeof(job->out[i].dims));
	}
	if (q->times)
		q->times[index].submit_ns = kerf_now_ns() - q->begin_ns;
	r = kerf_engine_submit(job);
	if (r)
		job_done(job, r);
}

static void job_done(struct kerf_job *job, int status)
{
	struct request *q = job->user;
	struct kerf_session *s = q->session;
	uint32_t me = (uint32_t)(job - q->job), i;
	struct step *step = &s->step[me];

	if (q->times) {
		q->times[me].done_ns = kerf_now_ns() - q->begin_ns;
		q->times[me].busy_ns = job->busy_ns;
	}
	pthread_mutex_lock(&s->lock);
	if (status && !q->status)
		q->status = status;
	for (i = 0; i < step->slice->n_out; i++)
		memcpy(q->values[step->out[i]].dims, job->out[i].dims, sizeof(job->out[i].dims));
	for (i = 0; i < step->n_next; i++) {
		if (--q->waits[step->next[i]] || q->status)
			continue;
		q->in_flight++;
		pthread_mutex_unlock(&s->lock);
		submit_step(q, step->next[i]);
		pthread_mutex_lock(&s->lock);
	}
	if (--q->in_flight == 0)
		complete(q);
	else
		pthread_mutex_unlock(&s->lock);
}

static int begin(struct kerf_session *s, const struct kerf_tensor *in, struct kerf_tensor *out,
		 kerf_session_done done, void *user, struct kerf_step_time *times)
{
	struct request *q = NULL;
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
	q->status = 0;
	q->in_flight = 1;
	q->out = out;
	q->done = done;
	q->user = user;
	q->times = times;
	q->begin_ns = kerf_now_ns();
	for (i = 0; i < s->graph->n_in; i++)
		q->values[s->graph->in[i]] = in[i];
	for (i = 0; i < s->graph->n_out; i++)
		q->values[s->graph->out[i]] = out[i];
	for (i = 0; i < s->n_step; i++)
		q->waits[i] = s->step[i].n_wait;
	for (i = 0; i < s->n_step; i++) {
		if (s->step[i].n_wait)
			continue;
		q->in_flight++;
		pthread_mutex_unlock(&s->lock);
		submit_step(q, i);
		pthread_mutex_lock(&s->lock);
	}
	if (--q->in_flight == 0)
		complete(q);
	else
		pthread_mutex_unlock(&s->lock);
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

uint32_t kerf_session_steps(const struct kerf_session *s)
{
	return s->n_step;
}

void kerf_session_stats(struct kerf_session *s, struct kerf_session_stats *st)
{
	pthread_mutex_lock(&s->lock);
	*st = s->stats;
	pthread_mutex_unlock(&s->lock);
}
