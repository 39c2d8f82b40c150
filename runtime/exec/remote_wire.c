/* SPDX-License-Identifier: MIT */
/*
 * Jobs of a remote engine. Each takes one of a few keep-alive connections, or waits in
 * a queue for one, and then for its turn to send (remote_turn.c). The caller's thread sends the
 * head and the first bytes of the inputs, so that a job costs no thread switch before it is on its
 * way, and no more, as it may be the one that has to compute next; one thread waits on all
 * connections with epoll, sends the rest and receives replies (remote_reply.c).
 *
 * A connection may have been closed by the peer while it was idle: a job that got no
 * byte of a reply is sent once more on a new connection. If that cannot be made, or the
 * peer gives no sign of life (remote_life.c), the engine is dead: every job ends with -EIO and
 * submit says -ENODEV. Jobs that fail say why, with the peer's address.
 *
 * An observer, if there is one, is told of each connection and of what each job's exchange took
 * (kerf_state.h, struct kerf_transfer): two reads of the clock and three calls a job.
 *
 * Locks: e->lock for the queue and who has which connection; c->lock for what goes on
 * on one. e->lock may be taken under c->lock, not the other way round.
 */
#include "exec/remote_conn.h"
#include "net/json.h"
#include "util/clock.h"

#include <linux/sockios.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

/* In which nothing of a job moves, while the peer lives. */
#define JOB_LIMIT_NS (120ull * 1000000000u)
/* Head and first bytes of the inputs leave in one write. */
#define FIRST_SEND (16u << 10)

static void set_events(struct remote_conn *c, bool out)
{
	struct epoll_event ev = {.events = EPOLLIN | (out ? EPOLLOUT : 0u), .data.ptr = c};

	if (c->wants_out == out)
		return;
	c->wants_out = out;
	epoll_ctl(c->e->epoll_fd, EPOLL_CTL_MOD, kerf_wire_fd(c->wire), &ev);
}

static void disconnect(struct remote_conn *c)
{
	const struct kerf_observer *o = c->e->observer;

	if (!c->wire)
		return;
	remote_turn_leave(c);
	c->started = false;
	if (o && o->disconnected)
		o->disconnected(o->user, c->e->url, kerf_wire_fd(c->wire));
	epoll_ctl(c->e->epoll_fd, EPOLL_CTL_DEL, kerf_wire_fd(c->wire), NULL);
	kerf_wire_close(c->wire);
	c->wire = NULL;
	__atomic_store_n(&c->connected, false, __ATOMIC_RELAXED);
	c->wants_out = false;
}

static int do_connect(struct remote_conn *c, struct kerf_err *err)
{
	struct epoll_event ev = {.events = EPOLLIN, .data.ptr = c};
	const struct kerf_observer *o = c->e->observer;
	socklen_t n = sizeof(c->cookie);
	int r = kerf_wire_open(c->e->url, c->e->insecure, &c->wire, err);

	if (r)
		return r;
	if (epoll_ctl(c->e->epoll_fd, EPOLL_CTL_ADD, kerf_wire_fd(c->wire), &ev)) {
		r = -errno;
		kerf_wire_close(c->wire);
		c->wire = NULL;
		return r;
	}
	__atomic_store_n(&c->connected, true, __ATOMIC_RELAXED);
	remote_turn_prepare(c);
	if (getsockopt(kerf_wire_fd(c->wire), SOL_SOCKET, SO_COOKIE, &c->cookie, &n))
		c->cookie = 0;
	if (o && o->connected)
		o->connected(o->user, c->e->url, kerf_wire_fd(c->wire));
	return 0;
}

/* --- Sending --- */

/* Copies the next n bytes of the inputs, taken as one string, to dst; returns how many. */
static size_t gather(const struct remote_program *p, const struct kerf_job *job, uint64_t from,
		     char *dst, size_t n)
{
	size_t done = 0;
	uint32_t i;

	for (i = 0; i < p->spec.n_in && done < n; i++) {
		size_t size = kerf_tensor_bytes(&p->in[i].t), k;

		if (from >= size) {
			from -= size;
			continue;
		}
		k = KERF_MIN(size - (size_t)from, n - done);
		memcpy(dst + done, (const char *)job->in[i].data + from, k);
		done += k;
		from = 0;
	}
	return done;
}

static void tell_started(const struct remote_conn *c)
{
	const struct kerf_observer *o = c->e->observer;
	const struct remote_program *p = remote_program_of(c->job);
	struct kerf_transfer t = {.cookie = c->cookie, .start_ns = c->job->start_ns,
				  .bytes = p->head_size + p->in_bytes};

	if (o && o->started)
		o->started(o->user, c->e->url, kerf_wire_fd(c->wire), &t);
}

static void put_number(char *at, uint64_t n)
{
	int i;

	for (i = REMOTE_NUMBER_DIGITS; i--; n /= 10)
		at[i] = (char)('0' + n % 10);
}

static void start_send(struct remote_conn *c)
{
	struct remote_program *p = remote_program_of(c->job);

	memcpy(c->tx, p->head, p->head_size);
	if (p->number_at)
		put_number(c->tx + p->number_at, c->job->request);
	c->tx_size = p->head_size;
	c->sent = gather(p, c->job, 0, c->tx + c->tx_size, FIRST_SEND - c->tx_size);
	c->tx_size += c->sent;
	c->tx_done = 0;
	c->rx_size = 0;
	c->in_data = c->waited = false;
	c->received = 0;
	c->started = true;
	c->moved = false;
	c->unsent = 0;
	c->head.status = 0;
	kerf_job_start(c->job);
	c->deadline_ns = c->job->start_ns + JOB_LIMIT_NS;
	tell_started(c);
}

/* Where the inputs' byte number c->sent lies, and how many follow it there; *n 0: no more. */
static const char *next_input(const struct remote_conn *c, size_t *n)
{
	struct remote_program *p = remote_program_of(c->job);
	uint64_t from = c->sent;
	uint32_t i;

	for (i = 0; i < p->spec.n_in; i++) {
		size_t size = kerf_tensor_bytes(&p->in[i].t);

		if (from < size) {
			*n = size - (size_t)from;
			return (const char *)c->job->in[i].data + from;
		}
		from -= size;
	}
	*n = 0;
	return NULL;
}

static bool all_taken(const struct remote_conn *c)
{
	return c->tx_done == c->tx_size && c->sent == remote_program_of(c->job)->in_bytes;
}

/* Sends what the socket takes. 0 or a negative errno. */
static int push(struct remote_conn *c)
{
	while (!all_taken(c)) {
		bool head = c->tx_done < c->tx_size;
		const char *data = c->tx + c->tx_done;
		size_t k = c->tx_size - c->tx_done;
		ssize_t n;

		if (!head)
			data = next_input(c, &k);
		n = kerf_wire_send(c->wire, data, k);
		if (n < 0)
			return (int)n;
		if (head)
			c->tx_done += (size_t)n;
		else
			c->sent += (uint64_t)n;
		if ((size_t)n < k)
			break;
	}
	return 0;
}

/* The job's first bytes, if it is its turn. 0 or a negative errno. */
static int begin(struct remote_conn *c)
{
	ssize_t n;

	if (!remote_turn_take(c))
		return 0;
	start_send(c);
	n = kerf_wire_send(c->wire, c->tx, c->tx_size);
	if (n < 0)
		return (int)n;
	c->tx_done = (size_t)n;
	if (all_taken(c) && remote_turn_nearly_sent(c))
		remote_turn_leave(c);
	else
		set_events(c, true);
	return 0;
}

/* There is room again. 0 or a negative errno. */
static int go_on(struct remote_conn *c)
{
	int r;

	if (!all_taken(c)) {
		r = push(c);
		if (r || !all_taken(c) || !remote_turn_nearly_sent(c))
			return r;
	}
	remote_turn_leave(c);
	set_events(c, false);
	return 0;
}

/* The exchange is over and went well. */
static void tell_transfers(const struct remote_conn *c)
{
	const struct kerf_observer *o = c->e->observer;
	const struct remote_program *p = remote_program_of(c->job);
	uint64_t took = c->first_ns - c->job->start_ns, bytes = c->heads + c->expected;
	struct kerf_transfer t = {.cookie = c->cookie, .start_ns = c->job->start_ns,
				  .end_ns = c->first_ns, .hold_ns = (uint64_t)c->head.hold_ns,
				  .bytes = p->head_size + p->in_bytes};

	if (!o || !o->transfer)
		return;
	if (c->head.hold_ns >= 0 && t.hold_ns < took)
		o->transfer(o->user, c->e->url, &t);
	if (!c->waited || bytes <= c->first_bytes)
		return;
	t = (struct kerf_transfer){.cookie = c->cookie, .start_ns = c->first_ns,
				   .end_ns = kerf_now_ns(), .bytes = bytes - c->first_bytes,
				   .down = 1};
	o->transfer(o->user, c->e->url, &t);
}

/* --- Life of a job --- */

static int job_status(int status)
{
	switch (status) {
	case 200:
	case 204: return 0;
	case 400: return -EINVAL;
	case 503: return -ENOMEM;
	case 504: return -ETIMEDOUT;
	default: return -EIO;
	}
}

/* The peer's sentence, for who wants to know. */
static void keep_refusal(const struct remote_conn *c)
{
	struct json_object *o;
	const char *text;

	if (!c->job->why)
		return;
	if (c->received <= REMOTE_REFUSAL_MAX && !kerf_json_parse(c->rx, c->received, &o, NULL)) {
		if (!kerf_json_string(o, "error", &text, NULL))
			kerf_fail(c->job->why, -EIO, "%s: %s", c->e->url, text);
		json_object_put(o);
	}
	kerf_fail(c->job->why, -EIO, "%s: HTTP status %d", c->e->url, c->head.status);
}

/* The connection's end, for who wants to know. */
static void say_broken(const struct remote_conn *c, int how)
{
	const struct remote_program *p = remote_program_of(c->job);
	unsigned long long got = c->received, want = p->out_bytes;

	if (how == -ETIMEDOUT)
		kerf_fail(c->job->why, how, "%s: nothing of the job moved for %u s", c->e->url,
			  (unsigned)(JOB_LIMIT_NS / 1000000000u));
	else if (how == -EPROTO && c->rx_size && c->head.status)
		kerf_fail(c->job->why, how, "%s: a reply of %llu bytes with HTTP status %d, expected %llu",
			  c->e->url, (unsigned long long)c->head.length, c->head.status, want);
	else if (how == -EPROTO)
		kerf_fail(c->job->why, how, "%s: what came is no HTTP reply", c->e->url);
	else
		kerf_fail(c->job->why, how, "%s: the connection %s after %llu bytes of %llu", c->e->url,
			  how == -EPIPE ? "was closed" : "broke", got, want);
}

static void finish_job(struct kerf_job *job, int status)
{
	job->end_ns = kerf_now_ns();
	kerf_job_done(job, status);
}

/* Gives the connection its next job, or none. Under c->lock. */
static bool take_next(struct remote_conn *c)
{
	struct remote_engine *e = c->e;
	struct kerf_job *job;

	pthread_mutex_lock(&e->lock);
	job = e->dead ? NULL : e->queue;
	if (job) {
		e->queue = job->next;
		if (!e->queue)
			e->queue_tail = &e->queue;
	}
	__atomic_store_n(&c->job, job, __ATOMIC_RELAXED);
	c->started = c->canceled = c->retried = false;
	pthread_mutex_unlock(&e->lock);
	return job != NULL;
}

void remote_wire_lose(struct remote_engine *e, const struct kerf_err *why)
{
	pthread_mutex_lock(&e->lock);
	e->dead = true;
	kerf_fail(&e->lost, -EIO, "%s", why && why->msg[0] ? why->msg : e->url);
	pthread_mutex_unlock(&e->lock);
}

int remote_wire_lost(struct remote_engine *e, struct kerf_err *err)
{
	int r;

	pthread_mutex_lock(&e->lock);
	r = e->dead ? kerf_fail(err, -ENODEV, "%s", e->lost.msg) : 0;
	pthread_mutex_unlock(&e->lock);
	return r;
}

/* Connects if need be and sends. The reactor's, as it may block. Under c->lock. */
static int launch(struct remote_conn *c, struct kerf_err *err)
{
	int r = c->wire ? 0 : do_connect(c, err);

	if (r)
		return r;
	r = begin(c);
	if (r)
		disconnect(c);
	return r;
}

/* Ends c's job and begins the next. Leaves c->lock. */
static void complete(struct remote_conn *c, int status)
{
	struct kerf_job *job = c->job;

	job->busy_ns = status ? 0 : c->head.busy_ns;
	job->hold_ns = status || c->head.hold_ns < 0 ? 0 : (uint64_t)c->head.hold_ns;
	if (c->wire) {
		remote_turn_leave(c);
		set_events(c, false);
	}
	if (take_next(c) && launch(c, NULL))
		c->e->look = true;
	pthread_mutex_unlock(&c->lock);
	finish_job(job, status);
}

/* The connection failed under its job. Leaves c->lock. */
static void broken(struct remote_conn *c, int why)
{
	bool again = !c->rx_size && !c->canceled && !c->retried && why != -ETIMEDOUT;
	struct kerf_err err = {""};

	disconnect(c);
	if (again) {
		c->retried = true;
		if (!launch(c, &err)) {
			pthread_mutex_unlock(&c->lock);
			return;
		}
		remote_wire_lose(c->e, &err);
		remote_wire_lost(c->e, c->job->why);
	}
	say_broken(c, why);
	complete(c, c->canceled ? -ECANCELED : why == -ETIMEDOUT ? -ETIMEDOUT : -EIO);
}

static uint64_t moved_bytes(const struct remote_conn *c)
{
	return c->tx_done + c->sent + c->rx_size + c->received;
}

static void on_event(struct remote_conn *c, uint32_t events)
{
	uint64_t before;
	char byte;
	int r = 0, got;

	pthread_mutex_lock(&c->lock);
	if (!c->wire || !c->started) {
		/* An idle peer says nothing but good-bye; a stale event finds nothing. */
		if (c->wire && kerf_wire_recv(c->wire, &byte, 1)) {
			disconnect(c);
			c->e->suspect = c->e->look = true;
		}
		pthread_mutex_unlock(&c->lock);
		return;
	}
	before = moved_bytes(c);
	if (c->wants_out && (events & (EPOLLOUT | EPOLLERR | EPOLLHUP)))
		r = go_on(c);
	/* Even when sending failed, the peer may have said why. */
	got = remote_reply_read(c);
	if (moved_bytes(c) != before) {
		c->moved = true;
		remote_life_heard(c->e);
	}
	if (got)
		r = got;
	if (r < 0) {
		broken(c, r);
	} else if (!r) {
		c->waited = c->rx_size;
		pthread_mutex_unlock(&c->lock);
	} else {
		if (!remote_reply_good(c))
			keep_refusal(c);
		else if (all_taken(c))
			tell_transfers(c);
		/* After a reply to half a request the rest would be taken for the next one. */
		if (c->head.close || !all_taken(c))
			disconnect(c);
		complete(c, c->canceled ? -ECANCELED : job_status(c->head.status));
	}
}

/* What the peer's kernel has taken of what the socket holds is a sign of life too. */
static void look_at(struct remote_conn *c, uint64_t now)
{
	int unsent = 0;

	if (!ioctl(kerf_wire_fd(c->wire), SIOCOUTQ, &unsent) && unsent < c->unsent) {
		c->moved = true;
		remote_life_heard(c->e);
	}
	c->unsent = unsent;
	if (c->moved)
		c->deadline_ns = now + JOB_LIMIT_NS;
	c->moved = false;
}

/*
 * Jobs that were given an unconnected connection or have their turn, and jobs that take too long.
 * When the oldest began.
 */
static uint64_t look_around(struct remote_engine *e)
{
	uint64_t now = kerf_now_ns(), oldest = 0;
	struct kerf_err err = {""};
	uint32_t i;

	for (i = 0; i < __atomic_load_n(&e->n_conn, __ATOMIC_ACQUIRE); i++) {
		struct remote_conn *c = &e->conn[i];

		pthread_mutex_lock(&c->lock);
		if (__atomic_load_n(&c->job, __ATOMIC_RELAXED) &&
		    (!c->wire || (!c->started && remote_turn_is(c)))) {
			if (c->canceled) {
				complete(c, -ECANCELED);
				continue;
			}
			if (launch(c, &err)) {
				remote_wire_lose(e, &err);
				remote_wire_lost(e, c->job->why);
				complete(c, -EIO);
				continue;
			}
		} else if (c->started && c->wire) {
			look_at(c, now);
			if (now > c->deadline_ns) {
				broken(c, -ETIMEDOUT);
				continue;
			}
		}
		if (c->started && (!oldest || c->job->start_ns < oldest))
			oldest = c->job->start_ns;
		pthread_mutex_unlock(&c->lock);
	}
	return oldest;
}

/* The peer is lost: whoever has a connection waits for nothing. */
static void fail_started(struct remote_engine *e)
{
	uint32_t i;

	for (i = 0; i < __atomic_load_n(&e->n_conn, __ATOMIC_ACQUIRE); i++) {
		struct remote_conn *c = &e->conn[i];

		pthread_mutex_lock(&c->lock);
		disconnect(c);
		if (!__atomic_load_n(&c->job, __ATOMIC_RELAXED)) {
			pthread_mutex_unlock(&c->lock);
			continue;
		}
		remote_wire_lost(e, c->job->why);
		complete(c, c->canceled ? -ECANCELED : -EIO);
	}
}

/* Whether the peer lives, if anybody waits for it. */
static void look_for_life(struct remote_engine *e, uint64_t oldest)
{
	uint64_t calling = __atomic_load_n(&e->calling_ns, __ATOMIC_RELAXED);
	struct kerf_err why = {""};

	if (calling && (!oldest || calling < oldest))
		oldest = calling;
	if (!remote_life_lost(e, oldest, &why))
		return;
	remote_wire_lose(e, &why);
	fail_started(e);
}

/* A dead engine takes no more jobs; those that wait will never get a connection. */
static void fail_queue(struct remote_engine *e)
{
	struct kerf_job *job, *next;

	pthread_mutex_lock(&e->lock);
	job = e->dead ? e->queue : NULL;
	if (job) {
		e->queue = NULL;
		e->queue_tail = &e->queue;
	}
	pthread_mutex_unlock(&e->lock);
	for (; job; job = next) {
		next = job->next;
		remote_wire_lost(e, job->why);
		finish_job(job, -EIO);
	}
}

static void *react(void *arg)
{
	struct remote_engine *e = arg;
	struct epoll_event ev[16];
	uint64_t word, looked = 0, oldest;
	int n, i, tick_ms = remote_life_tick_ms(e);

	while (!__atomic_load_n(&e->stop, __ATOMIC_ACQUIRE)) {
		n = epoll_wait(e->epoll_fd, ev, KERF_ARRAY_SIZE(ev), tick_ms);
		for (i = 0; i < n; i++) {
			if (ev[i].data.ptr == &e->question)
				remote_life_answered(e);
			else if (ev[i].data.ptr)
				on_event(ev[i].data.ptr, ev[i].events);
			else if (read(e->event_fd, &word, sizeof(word)) > 0)
				e->look = true;
		}
		/* A next job may fail to start while we look: hence the loop. */
		while (e->look || kerf_now_ns() - looked > (uint64_t)tick_ms * 1000000u) {
			e->look = false;
			looked = kerf_now_ns();
			oldest = look_around(e);
			look_for_life(e, oldest);
		}
		fail_queue(e);
		remote_life_tell(e);
	}
	return NULL;
}

static void wake(struct remote_engine *e)
{
	uint64_t one = 1;

	/* Fails only when the counter is full: then it is awake anyway. */
	if (write(e->event_fd, &one, sizeof(one)) < 0)
		return;
}

static bool is_connected(const struct remote_conn *c)
{
	return __atomic_load_n(&c->connected, __ATOMIC_RELAXED);
}

/* A free connection for job, connected if possible; NULL after queueing it. Under e->lock. */
static struct remote_conn *assign(struct remote_engine *e, struct kerf_job *job)
{
	struct remote_conn *c = NULL;
	uint32_t i;

	for (i = 0; i < e->n_conn; i++)
		if (!e->conn[i].job && (!c || (is_connected(&e->conn[i]) && !is_connected(c))))
			c = &e->conn[i];
	if (c) {
		__atomic_store_n(&c->job, job, __ATOMIC_RELAXED);
		return c;
	}
	job->next = NULL;
	*e->queue_tail = job;
	e->queue_tail = &job->next;
	return NULL;
}

int remote_wire_submit(struct kerf_job *job)
{
	struct remote_engine *e = (struct remote_engine *)job->program->engine;
	struct remote_conn *c;

	pthread_mutex_lock(&e->lock);
	if (e->dead) {
		kerf_fail(job->why, -ENODEV, "%s", e->lost.msg);
		pthread_mutex_unlock(&e->lock);
		return -ENODEV;
	}
	c = assign(e, job);
	pthread_mutex_unlock(&e->lock);
	if (!c)
		return 0;
	pthread_mutex_lock(&c->lock);
	/* The reactor may have been quicker: it looks for jobs without a connection. */
	if (c->job == job && c->wire && !c->started) {
		if (begin(c))
			disconnect(c);
	}
	if (c->job == job && !c->wire)
		wake(e);
	pthread_mutex_unlock(&c->lock);
	return 0;
}

void remote_wire_cancel(struct kerf_job *job)
{
	struct remote_engine *e = (struct remote_engine *)job->program->engine;
	struct remote_conn *c = NULL;
	struct kerf_job **p;
	uint32_t i;

	pthread_mutex_lock(&e->lock);
	for (p = &e->queue; *p && *p != job; p = &(*p)->next)
		;
	if (*p) {
		*p = job->next;
		if (!*p)
			e->queue_tail = p;
		pthread_mutex_unlock(&e->lock);
		finish_job(job, -ECANCELED);
		return;
	}
	for (i = 0; i < e->n_conn; i++)
		if (e->conn[i].job == job)
			c = &e->conn[i];
	pthread_mutex_unlock(&e->lock);
	if (!c)
		return;
	pthread_mutex_lock(&c->lock);
	if (c->job == job) {
		c->canceled = true;
		if (c->wire)
			shutdown(kerf_wire_fd(c->wire), SHUT_RDWR);
		else
			wake(e);
	}
	pthread_mutex_unlock(&c->lock);
}

static void free_conns(struct remote_engine *e)
{
	uint32_t i;

	for (i = 0; i < e->n_conn; i++) {
		disconnect(&e->conn[i]);
		pthread_mutex_destroy(&e->conn[i].lock);
		free(e->conn[i].tx);
		free(e->conn[i].rx);
	}
	free(e->conn);
}

static int add_conn(struct remote_engine *e)
{
	struct remote_conn *c = &e->conn[e->n_conn];

	c->e = e;
	c->tx = malloc(FIRST_SEND);
	c->rx = malloc(REMOTE_HEAD_ROOM);
	if (!c->tx || !c->rx) {
		free(c->tx);
		free(c->rx);
		return -ENOMEM;
	}
	pthread_mutex_init(&c->lock, NULL);
	__atomic_store_n(&e->n_conn, e->n_conn + 1, __ATOMIC_RELEASE);
	return 0;
}

int remote_wire_init(struct remote_engine *e, uint32_t n, struct kerf_err *err)
{
	struct epoll_event ev = {.events = EPOLLIN, .data.ptr = NULL};
	int r = -ENOMEM;

	remote_life_init(e);
	e->queue_tail = &e->queue;
	e->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	e->event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	e->conn = calloc(REMOTE_MAX_CONNS, sizeof(*e->conn));
	if (e->epoll_fd < 0 || e->event_fd < 0 ||
	    epoll_ctl(e->epoll_fd, EPOLL_CTL_ADD, e->event_fd, &ev))
		r = -errno;
	else
		r = e->conn ? 0 : -ENOMEM;
	while (!r && e->n_conn < n)
		r = add_conn(e);
	if (!r)
		r = do_connect(&e->conn[0], err);
	if (!r)
		r = -pthread_create(&e->reactor, NULL, react, e);
	if (!r)
		return 0;
	kerf_fail(err, r, "%s: cannot set up connections: %s", e->url, strerror(-r));
	free_conns(e);
	if (e->epoll_fd >= 0)
		close(e->epoll_fd);
	if (e->event_fd >= 0)
		close(e->event_fd);
	return r;
}

void remote_wire_grow(struct remote_engine *e, uint32_t n)
{
	pthread_mutex_lock(&e->lock);
	while (n-- && e->n_conn < REMOTE_MAX_CONNS && !add_conn(e))
		;
	pthread_mutex_unlock(&e->lock);
}

void remote_wire_finish(struct remote_engine *e)
{
	__atomic_store_n(&e->stop, true, __ATOMIC_RELEASE);
	wake(e);
	pthread_join(e->reactor, NULL);
	remote_life_finish(e);
	free_conns(e);
	close(e->epoll_fd);
	close(e->event_fd);
}
