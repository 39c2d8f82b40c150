/* SPDX-License-Identifier: MIT */
/* Requests of a part: their messages, in and out, the job between, and their end. */
#include "node/part_priv.h"
#include "util/clock.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Home's connection is gone: it may come again, with the same run, within that time. */
#define GRACE_NS 1000000000u
/* How soon that is noticed. */
#define LOOK_NS 100000000u

/* --- Slots; all under p->lock --- */

static struct part_slot *find_slot(struct kerf_node_part *p, uint64_t request)
{
	uint32_t i;

	for (i = 0; i < p->s->depth; i++)
		if (p->slot[i].state != SLOT_FREE && p->slot[i].request == request)
			return &p->slot[i];
	return NULL;
}

static const struct ended *find_ended(const struct kerf_node_part *p, uint64_t request)
{
	uint64_t i, n = KERF_MIN(p->n_ended, (uint64_t)PART_ENDED);

	for (i = 1; i <= n; i++)
		if (p->ended[(p->n_ended - i) % PART_ENDED].request == request)
			return &p->ended[(p->n_ended - i) % PART_ENDED];
	return NULL;
}

static struct part_slot *take_slot(struct kerf_node_part *p, uint64_t request)
{
	uint32_t i, k;

	for (i = 0; i < p->s->depth; i++) {
		struct part_slot *s = &p->slot[i];

		if (s->state != SLOT_FREE)
			continue;
		s->state = SLOT_FILLING;
		s->request = request;
		s->deadline_ns = kerf_now_ns() + p->n->part_timeout_ns;
		s->n_come = 0;
		s->home = s->answered = s->left = false;
		s->status = 0;
		s->why[0] = 0;
		for (k = 0; k < p->part.n_in; k++)
			s->come[k] = COME_NOT;
		kerf_node_hold(p->n, p->s);
		return s;
	}
	return NULL;
}

/*
 * Frees the slot if nobody has anything to do with it any more. True: the caller calls freed()
 * once it has let go of the lock. *waiting: messages that may find a slot now.
 */
static bool settle(struct part_slot *s, struct part_send **waiting)
{
	struct kerf_node_part *p = s->p;
	struct ended *e;

	*waiting = NULL;
	if (s->state != SLOT_OVER || s->n_writing || s->n_sending || s->home ||
	    (!s->status && !s->answered && p->home_out != KERF_PART_HOME))
		return false;
	e = &p->ended[p->n_ended++ % PART_ENDED];
	e->request = s->request;
	e->status = s->status;
	memcpy(e->why, s->why, sizeof(e->why));
	s->state = SLOT_FREE;
	*waiting = p->waiting;
	p->waiting = NULL;
	p->waiting_tail = &p->waiting;
	pthread_cond_broadcast(&p->changed);
	return true;
}

static void deliver_here(struct part_send *m);

/* p may be gone after this. */
static void freed(struct kerf_node_part *p, struct part_send *waiting)
{
	struct part_send *next;

	for (; waiting; waiting = next) {
		next = waiting->next;
		deliver_here(waiting);
	}
	kerf_node_put_later(p->n, p->s);
}

/* What is wrong with the slot's request, for people. */
static void KERF_PRINTF(2, 3) set_why(struct part_slot *s, const char *fmt, ...)
{
	struct kerf_node_part *p = s->p;
	va_list ap;
	int n;

	memset(s->why, 0, sizeof(s->why));
	n = snprintf(s->why, sizeof(s->why), "request %llu, slice %s at %s: ",
		     (unsigned long long)s->request, kerf_node_slice_id(p->s), p->n->label);
	va_start(ap, fmt);
	if (n > 0 && n < (int)sizeof(s->why))
		vsnprintf(s->why + n, sizeof(s->why) - (size_t)n, fmt, ap);
	va_end(ap);
}

/* --- Messages out --- */

/* A message was taken, or not. */
static void sent(struct part_send *m, int status)
{
	struct part_slot *s = m->slot;
	struct kerf_node_part *p = s->p;
	const struct kerf_port *port = &p->part.out[m->port];
	struct part_send *waiting;
	bool last;

	pthread_mutex_lock(&p->lock);
	if (status && !s->status) {
		s->status = status == -ETIMEDOUT ? -ETIMEDOUT : -EREMOTEIO;
		set_why(s, "port out %u, to %s: %s", m->port,
			port->url[0] ? port->url : "a slice of the same node", kerf_job_text(status));
	}
	s->n_sending--;
	pthread_cond_broadcast(&p->changed);
	last = settle(s, &waiting);
	pthread_mutex_unlock(&p->lock);
	if (last)
		freed(p, waiting);
}

void kerf_node_part_sent(struct kerf_job *job, int status)
{
	sent(job->user, status);
}

static int claim(struct kerf_node_part *p, uint32_t port, uint64_t request,
		 struct part_slot **slot, struct kerf_err *err);

/* Into a slice of this node, now or when it has a slot. */
static void deliver_here(struct part_send *m)
{
	struct kerf_node_part *p = m->slot->p, *q;
	const struct kerf_port *port = &p->part.out[m->port];
	char name[KERF_SERVED_NAME_MAX];
	struct kerf_served *to;
	struct part_slot *slot;
	uint64_t bytes;
	int r;

	snprintf(name, sizeof(name), KERF_NODE_SLICE_NAME "%s", port->slice);
	to = kerf_node_get(p->n, name);
	q = to ? to->part : NULL;
	r = q ? kerf_node_part_length(q, port->port, &bytes, NULL) : -ENOENT;
	if (!r && !m->slot->status && bytes != (uint64_t)m->message.dims[0])
		r = -EINVAL;
	if (!r) {
		pthread_mutex_lock(&q->lock);
		r = claim(q, port->port, m->slot->request, &slot, NULL);
		if (r == -EAGAIN) {
			m->next = NULL;
			*q->waiting_tail = m;
			q->waiting_tail = &m->next;
		}
		pthread_mutex_unlock(&q->lock);
	}
	if (!r)
		r = kerf_node_part_come(slot, port->port, m->message.data, m->slot->status != 0,
					NULL);
	if (to)
		kerf_node_put_later(p->n, to);
	if (r != -EAGAIN)
		sent(m, r);
}

/* Of the slot's tensors, or its sentence; its place among what is sent was taken. */
static void send_message(struct part_slot *s, uint32_t i)
{
	struct kerf_node_part *p = s->p;
	const struct kerf_port *port = &p->part.out[i];
	struct part_send *m = &s->send[i];
	char *to = s->out[i];
	uint32_t k;
	int r;

	m->message.data = s->status ? s->why : to;
	m->message.dims[0] =
		s->status ? KERF_PART_WHY : (int64_t)kerf_port_bytes(graph_of(p), false, port);
	for (k = 0; k < port->n_piece && !s->status; k++) {
		kerf_piece_give(graph_of(p), &port->piece[k], &s->job->out[port->piece[k].io], to);
		to += kerf_piece_bytes(graph_of(p), false, &port->piece[k]);
	}
	if (!p->out[i].link) {
		deliver_here(m);
		return;
	}
	m->job.program = s->status ? p->out[i].failure : p->out[i].message;
	m->job.request = s->request;
	r = kerf_engine_submit(&m->job);
	if (r)
		sent(m, r);
}

/* What the slot made, or that it failed, to all neighbours. Its state was just made SLOT_OVER. */
static void send_all(struct part_slot *s)
{
	struct kerf_node_part *p = s->p;
	struct part_send *waiting;
	uint32_t n = p->part.n_out, home = p->home_out, i;
	bool last;

	for (i = 0; i < n; i++)
		if (i != home)
			send_message(s, i);
	/* The slot is kept by one place more than there are messages, as they may all be taken. */
	pthread_mutex_lock(&p->lock);
	s->n_sending--;
	pthread_cond_broadcast(&p->changed);
	last = settle(s, &waiting);
	pthread_mutex_unlock(&p->lock);
	if (last)
		freed(p, waiting);
}

/* Under p->lock: the slot's request is over; the caller calls send_all() without the lock. */
static void end_request(struct part_slot *s, int status)
{
	struct kerf_node_part *p = s->p;

	s->status = status;
	s->state = SLOT_OVER;
	s->n_sending = 1 + p->part.n_out - (p->home_out != KERF_PART_HOME);
	if (!s->left)
		s->deadline_ns = kerf_now_ns() + p->n->part_timeout_ns;
	pthread_cond_broadcast(&p->changed);
}

/* --- The job --- */

static void job_over(struct part_slot *s, int status)
{
	struct kerf_node_part *p = s->p;

	kerf_node_count_job(p->n, -1, status);
	pthread_mutex_lock(&p->lock);
	if (status)
		set_why(s, "the job failed: %s", kerf_job_text(status));
	end_request(s, status);
	pthread_mutex_unlock(&p->lock);
	send_all(s);
}

void kerf_node_part_ran(struct kerf_job *job, int status)
{
	job_over(job->user, status);
}

static void start(struct part_slot *s)
{
	int r;

	kerf_node_count_job(s->p->n, 1, 0);
	r = kerf_engine_submit(&s->job->job);
	if (r)
		job_over(s, r);
}

/* --- Messages in --- */

int kerf_node_part_length(const struct kerf_node_part *p, uint32_t port, uint64_t *bytes,
			  struct kerf_err *err)
{
	*bytes = 0;
	if (port == KERF_PART_HOME) {
		if (p->home_in == KERF_PART_HOME && p->home_out == KERF_PART_HOME)
			return kerf_fail(err, -EINVAL, "no port of slice %s is home's: it runs when its "
						       "neighbours' messages have come",
					 kerf_node_slice_id(p->s));
		port = p->home_in;
		if (port == KERF_PART_HOME)
			return 0;
	} else if (port >= p->part.n_in) {
		return kerf_fail(err, -ENOENT, "slice %s has %u ports in, no port %u",
				 kerf_node_slice_id(p->s), p->part.n_in, port);
	} else if (port == p->home_in) {
		return kerf_fail(err, -EINVAL, "port %u of slice %s is home's: its message comes with run",
				 port, kerf_node_slice_id(p->s));
	}
	*bytes = kerf_port_bytes(graph_of(p), true, &p->part.in[port]);
	return 0;
}

/* Under p->lock. */
static int claim(struct kerf_node_part *p, uint32_t port, uint64_t request,
		 struct part_slot **slot, struct kerf_err *err)
{
	struct part_slot *s = find_slot(p, request);
	const struct ended *e = s ? NULL : find_ended(p, request);
	bool home = port == KERF_PART_HOME;
	uint32_t place = home ? p->home_in : port;

	if (p->stopped)
		return kerf_fail(err, -ENOENT, "slice %s is gone", kerf_node_slice_id(p->s));
	if (e && e->status)
		return kerf_fail(err, home ? e->status : -ESTALE, "%s", e->why);
	if (!s && !e)
		s = take_slot(p, request);
	if (!s && !e)
		return kerf_fail(err, -EAGAIN, "slice %s has %u requests under way",
				 kerf_node_slice_id(p->s), p->s->depth);
	if (s && !home && s->state == SLOT_OVER && s->status)
		return kerf_fail(err, -ESTALE, "%s", s->why);
	/* A neighbour did not get to know that its message was taken, and has sent it again. */
	if (!home && e) {
		*slot = NULL;
		return -EALREADY;
	}
	if (e || (home && (s->home || s->answered)))
		return kerf_fail(err, -EEXIST, "slice %s: the message of request %llu has come before",
				 kerf_node_slice_id(p->s), (unsigned long long)request);
	/* The connection that it came by first may be broken without anybody knowing yet. */
	if (place != KERF_PART_HOME && s->come[place] == COME_CLAIMED)
		return kerf_fail(err, -EAGAIN, "slice %s: the message of request %llu is coming",
				 kerf_node_slice_id(p->s), (unsigned long long)request);
	*slot = s;
	if (home) {
		s->home = true;
		s->left = false;
		s->deadline_ns = kerf_now_ns() + p->n->part_timeout_ns;
	}
	if (place == KERF_PART_HOME)
		return 0;
	/* Again. Whoever brings it keeps the slot, and come() looks whether it is the same. */
	s->n_writing++;
	if (s->come[place] == COME_WHOLE)
		return -EALREADY;
	s->come[place] = COME_CLAIMED;
	return 0;
}

int kerf_node_part_claim(struct kerf_node_part *p, uint32_t port, uint64_t request,
			 uint32_t wait_ms, struct part_slot **slot, struct kerf_err *err)
{
	uint64_t until = kerf_now_ns() + wait_ms * 1000000ull;
	struct timespec ts = {.tv_sec = (time_t)(until / 1000000000u),
			      .tv_nsec = (long)(until % 1000000000u)};
	int r;

	pthread_mutex_lock(&p->lock);
	for (;;) {
		r = claim(p, port, request, slot, err);
		if (r != -EAGAIN || !wait_ms || pthread_cond_timedwait(&p->changed, &p->lock, &ts))
			break;
		if (err)
			err->msg[0] = 0;
	}
	pthread_mutex_unlock(&p->lock);
	return r;
}

static uint32_t place_of(const struct part_slot *s, uint32_t port)
{
	return port == KERF_PART_HOME ? s->p->home_in : port;
}

char *kerf_node_part_room(struct part_slot *s, uint32_t port)
{
	return place_of(s, port) == KERF_PART_HOME ? NULL : s->in[place_of(s, port)];
}

static int take_pieces(struct part_slot *s, uint32_t port, const char *data)
{
	const struct kerf_port *in = &s->p->part.in[port];
	uint32_t i;
	int r = 0;

	for (i = 0; i < in->n_piece && !r; i++) {
		r = kerf_piece_take(graph_of(s->p), &in->piece[i], &s->job->in[in->piece[i].io],
				    data);
		data += kerf_piece_bytes(graph_of(s->p), true, &in->piece[i]);
	}
	return r;
}

/* What a peer says goes into sentences for terminals. */
static void copy_why(char why[KERF_PART_WHY], const char *said)
{
	char *c;

	memcpy(why, said, KERF_PART_WHY);
	why[KERF_PART_WHY - 1] = 0;
	for (c = why; *c; c++)
		if ((unsigned char)*c < 0x20 || *c == 0x7f)
			*c = '?';
	memset(c, 0, (size_t)(why + KERF_PART_WHY - c));
}

int kerf_node_part_again(struct part_slot *s, uint32_t port, const void *data, bool failed,
			 struct kerf_err *err)
{
	struct kerf_node_part *p = s->p;
	uint32_t place = place_of(s, port);
	struct part_send *waiting;
	bool last, same;
	size_t bytes;

	if (place == KERF_PART_HOME)
		return 0;
	bytes = kerf_port_bytes(graph_of(p), true, &p->part.in[place]);
	pthread_mutex_lock(&p->lock);
	same = !failed && !memcmp(s->in[place], data, bytes);
	s->n_writing--;
	last = settle(s, &waiting);
	pthread_mutex_unlock(&p->lock);
	if (last)
		freed(p, waiting);
	return same ? 0 : kerf_fail(err, -EEXIST, "another message of the same request has come before");
}

int kerf_node_part_come(struct part_slot *s, uint32_t port, const void *data, bool failed,
			struct kerf_err *err)
{
	struct kerf_node_part *p = s->p;
	struct part_send *waiting = NULL;
	uint32_t place = place_of(s, port);
	bool ready = false, over = false, last;
	int r = 0;

	if (place != KERF_PART_HOME && !failed) {
		/* Kept as it came, to know it if it comes again. */
		if (data != s->in[place])
			memcpy(s->in[place], data,
			       kerf_port_bytes(graph_of(p), true, &p->part.in[place]));
		r = take_pieces(s, place, data);
	}
	pthread_mutex_lock(&p->lock);
	if (place != KERF_PART_HOME) {
		s->come[place] = COME_WHOLE;
		s->n_writing--;
		s->n_come++;
		pthread_cond_broadcast(&p->changed);
	}
	if (s->state == SLOT_FILLING && (failed || r)) {
		if (failed)
			copy_why(s->why, data);
		else
			set_why(s, "port %u: not what an encoder makes", place);
		end_request(s, -EREMOTEIO);
		over = true;
	} else if (s->state == SLOT_FILLING && s->n_come == p->part.n_in) {
		s->state = SLOT_RUNNING;
		ready = true;
	} else if (s->state == SLOT_OVER && s->status && !failed) {
		r = kerf_fail(err, -ESTALE, "%s", s->why);
	}
	last = settle(s, &waiting);
	pthread_mutex_unlock(&p->lock);
	if (ready)
		start(s);
	if (over)
		send_all(s);
	if (last)
		freed(p, waiting);
	return r ? kerf_fail(err, r, "the message is not what an encoder makes") : 0;
}

void kerf_node_part_broken(struct part_slot *s, uint32_t port, bool again)
{
	struct kerf_node_part *p = s->p;
	struct part_send *waiting;
	uint32_t place = place_of(s, port);
	bool last;

	pthread_mutex_lock(&p->lock);
	if (place != KERF_PART_HOME) {
		s->come[place] = again ? COME_WHOLE : COME_NOT;
		s->n_writing--;
	}
	if (port == KERF_PART_HOME)
		s->home = false;
	pthread_cond_broadcast(&p->changed);
	last = settle(s, &waiting);
	pthread_mutex_unlock(&p->lock);
	if (last)
		freed(p, waiting);
}

int kerf_node_part_wait(struct part_slot *s, bool (*gone)(void *user), void *user,
			const void **data, uint64_t *bytes, uint64_t *busy_ns,
			struct kerf_err *err)
{
	struct kerf_node_part *p = s->p;
	const struct kerf_port *port =
		p->home_out == KERF_PART_HOME ? NULL : &p->part.out[p->home_out];
	char *to = port ? s->out[p->home_out] : NULL;
	struct timespec ts;
	uint64_t until;
	uint32_t i;
	int r = 0;

	pthread_mutex_lock(&p->lock);
	/* Home that gets no message gets to know that the neighbours have theirs. */
	while (!r && (s->state != SLOT_OVER || (!s->status && !port && s->n_sending))) {
		until = kerf_now_ns() + LOOK_NS;
		ts = (struct timespec){(time_t)(until / 1000000000u), (long)(until % 1000000000u)};
		if (!pthread_cond_timedwait(&p->changed, &p->lock, &ts))
			continue;
		pthread_mutex_unlock(&p->lock);
		if (gone(user))
			r = kerf_fail(err, -ECANCELED, "the connection is closed");
		pthread_mutex_lock(&p->lock);
	}
	if (!r)
		r = s->status ? kerf_fail(err, s->status, "%s", s->why) : 0;
	pthread_mutex_unlock(&p->lock);
	*data = to;
	*bytes = port ? kerf_port_bytes(graph_of(p), false, port) : 0;
	*busy_ns = s->job->job.busy_ns;
	for (i = 0; port && !r && i < port->n_piece; i++) {
		kerf_piece_give(graph_of(p), &port->piece[i], &s->job->out[port->piece[i].io], to);
		to += kerf_piece_bytes(graph_of(p), false, &port->piece[i]);
	}
	return r;
}

void kerf_node_part_answered(struct part_slot *s)
{
	struct kerf_node_part *p = s->p;
	struct part_send *waiting;
	bool last;

	pthread_mutex_lock(&p->lock);
	s->home = false;
	s->answered = true;
	last = settle(s, &waiting);
	pthread_mutex_unlock(&p->lock);
	if (last)
		freed(p, waiting);
}

void kerf_node_part_left(struct part_slot *s)
{
	struct kerf_node_part *p = s->p;

	pthread_mutex_lock(&p->lock);
	s->home = false;
	s->left = true;
	s->deadline_ns = KERF_MIN(s->deadline_ns, kerf_now_ns() + GRACE_NS);
	pthread_cond_broadcast(&p->changed);
	pthread_mutex_unlock(&p->lock);
}

void kerf_node_part_fail(struct kerf_node_part *p, uint64_t request, const char *why)
{
	struct part_send *waiting = NULL;
	bool over = false, last = false;
	struct part_slot *s;
	struct ended *e;

	pthread_mutex_lock(&p->lock);
	s = find_slot(p, request);
	if (s && s->state == SLOT_FILLING) {
		copy_why(s->why, why);
		end_request(s, -EREMOTEIO);
		over = true;
	}
	if (s && !s->home) {
		/* Nobody will ask for the outcome. */
		s->answered = true;
		last = !over && settle(s, &waiting);
	} else if (!s && !find_ended(p, request)) {
		e = &p->ended[p->n_ended++ % PART_ENDED];
		e->request = request;
		e->status = -EREMOTEIO;
		copy_why(e->why, why);
	}
	pthread_mutex_unlock(&p->lock);
	if (over)
		send_all(s);
	if (last)
		freed(p, waiting);
}

/* --- Time, and the end --- */

/* Under p->lock. */
static void say_missing(struct part_slot *s)
{
	const struct kerf_node_part *p = s->p;
	char list[96] = "";
	size_t n = 0;
	uint32_t i;

	for (i = 0; i < p->part.n_in && n + 16 < sizeof(list); i++)
		if (s->come[i] != COME_WHOLE)
			n += (size_t)snprintf(list + n, sizeof(list) - n, "%s%s%u", n ? ", " : "",
					      i == p->home_in ? "home's " : "", i);
	set_why(s, "no message came in %g s by port %s", (double)p->n->part_timeout_ns * 1e-9, list);
}

/* Ends a request that waits for messages, or for home to ask: all whose time is up, or all. */
static void end_waiting(struct kerf_node_part *p, uint64_t now_ns, const char *why)
{
	struct part_send *waiting;
	bool found, last;
	uint32_t i;

	do {
		struct part_slot *s = NULL;

		found = last = false;
		pthread_mutex_lock(&p->lock);
		for (i = 0; i < p->s->depth && !found; i++) {
			s = &p->slot[i];
			if (!why && now_ns < s->deadline_ns)
				continue;
			if (s->state == SLOT_FILLING) {
				found = true;
				if (why)
					set_why(s, "%s", why);
				else if (s->left)
					set_why(s, "home has closed its connection");
				else
					say_missing(s);
				end_request(s, why || s->left ? -EREMOTEIO : -ETIMEDOUT);
			} else if (s->state == SLOT_OVER && !s->home && !s->answered) {
				s->answered = true;
				last = settle(s, &waiting);
				if (last)
					break;
			}
		}
		pthread_mutex_unlock(&p->lock);
		if (found)
			send_all(s);
		if (last)
			freed(p, waiting);
	} while (found || last);
}

void kerf_node_part_expire(struct kerf_node_part *p, uint64_t now_ns)
{
	end_waiting(p, now_ns, NULL);
}

void kerf_node_part_stop(struct kerf_node_part *p, const char *why)
{
	struct part_send *waiting, *next;

	pthread_mutex_lock(&p->lock);
	p->stopped = true;
	waiting = p->waiting;
	p->waiting = NULL;
	p->waiting_tail = &p->waiting;
	pthread_cond_broadcast(&p->changed);
	pthread_mutex_unlock(&p->lock);
	for (; waiting; waiting = next) {
		next = waiting->next;
		sent(waiting, -ENOENT);
	}
	end_waiting(p, 0, why);
}

void kerf_node_part_drain(struct kerf_node_part *p)
{
	uint32_t i, k;

	pthread_mutex_lock(&p->lock);
	for (i = 0; i < p->s->depth; i++)
		while (p->slot[i].state != SLOT_FREE && p->slot[i].state != SLOT_OVER)
			pthread_cond_wait(&p->changed, &p->lock);
	pthread_mutex_unlock(&p->lock);
	for (i = 0; i < p->s->depth; i++)
		for (k = 0; k < p->part.n_out; k++)
			if (p->out[k].link)
				p->out[k].link->neighbour->ops->cancel(&p->slot[i].send[k].job);
	pthread_mutex_lock(&p->lock);
	for (i = 0; i < p->s->depth; i++)
		while (p->slot[i].state != SLOT_FREE)
			pthread_cond_wait(&p->changed, &p->lock);
	pthread_mutex_unlock(&p->lock);
}
