/* SPDX-License-Identifier: MIT */
/*
 * libmicrohttpd with a thread a connection: a handler may block on its job, and no
 * other thread stands between the socket and the job's buffers. Time limits are ours,
 * not the library's: its only timeout knows bytes, and a byte now and then would hold
 * a connection for ever. One thread looks at every connection twice a second.
 */
#include "net/http_server.h"

#ifdef WITH_MICROHTTPD

#include "net/json.h"
#include "net/listen.h"
#include "util/clock.h"

#include <linux/tcp.h>
#include <microhttpd.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

#define MS 1000000ull
#define TICK_MS 500
#define IDLE_MS 75000
#define SEND_MS 30000
#define STOP_MS 10000
/* Slower than this, a body or a reply runs out of time. */
#define SLOWEST_BYTES_S (32u << 10)
/* A refused body up to this size is read and dropped, so that the peer sees the reply. */
#define DRAIN_MAX (1u << 20)
/*
 * The library receives into half of this, and clears it after each request: large
 * costs small requests, small costs large ones system calls.
 */
#define CONNECTION_MEMORY (256u << 10)
#define CONNECTION_STACK (1u << 20)
#define MAX_HEADERS 8
#define MAX_PARTS 64

enum phase { PHASE_IDLE, PHASE_HEAD, PHASE_BODY, PHASE_WORK, PHASE_SEND };

struct conn {
	struct kerf_http_request r; /* first: handlers hold it */
	struct kerf_http_server *s;
	struct conn *next, **prev;
	struct MHD_Connection *mhd;
	int fd;

	/* Under s->lock. */
	enum phase phase;
	uint64_t deadline_ns;
	uint64_t idle_bytes; /* received when it was first seen idle; 0: not seen yet */
	bool slow_head;	     /* idle, but bytes of a request line came since */
	bool dead;	     /* shut down by the watcher */

	/* This request's. */
	uint64_t charged;
	bool nul_path; /* the path had a %00, which ends the string we are given */
	bool begun, drop, unending;
	uint64_t whole_ns; /* the request was; 0: it is not yet */
	int status;
	struct MHD_Response *reply; /* made, not yet queued */
	uint64_t reply_bytes;
	char head[MAX_HEADERS][2][128];
	uint32_t n_head;
};

struct kerf_http_server {
	struct MHD_Daemon *mhd;
	const struct kerf_http_route *routes;
	void (*on_reply)(struct kerf_http_request *r, int64_t hold_ns);
	void *user;
	uint64_t budget, head_ns, body_ns;
	uint16_t port;

	pthread_t watcher;
	pthread_mutex_t lock;
	pthread_cond_t changed;
	struct conn *conns;
	uint64_t charged;
	bool stop;
};

static struct conn *conn_of(struct kerf_http_request *r)
{
	return (struct conn *)r;
}

/* False if the watcher ended the connection meanwhile. */
static bool set_phase(struct conn *c, enum phase phase, uint64_t limit_ns)
{
	bool alive;

	pthread_mutex_lock(&c->s->lock);
	c->phase = phase;
	c->deadline_ns = limit_ns ? kerf_now_ns() + limit_ns : UINT64_MAX;
	c->idle_bytes = 0;
	c->slow_head = false;
	if (c->s->stop)
		pthread_cond_broadcast(&c->s->changed);
	alive = !c->dead;
	pthread_mutex_unlock(&c->s->lock);
	return alive;
}

static uint64_t transfer_ns(uint64_t base_ns, uint64_t bytes)
{
	return base_ns + bytes / SLOWEST_BYTES_S * 1000 * MS;
}

/* --- Replies --- */

static void set_reply(struct conn *c, int status, const char *type, struct MHD_Response *reply,
		      uint64_t bytes)
{
	uint32_t i;

	if (!reply || c->reply) {
		if (reply)
			MHD_destroy_response(reply);
		return;
	}
	if (type)
		MHD_add_response_header(reply, MHD_HTTP_HEADER_CONTENT_TYPE, type);
	for (i = 0; i < c->n_head; i++)
		MHD_add_response_header(reply, c->head[i][0], c->head[i][1]);
	c->reply = reply;
	c->reply_bytes = bytes;
	c->status = status;
}

void kerf_http_reply_header(struct kerf_http_request *r, const char *name, const char *value)
{
	struct conn *c = conn_of(r);

	if (c->reply) {
		MHD_add_response_header(c->reply, name, value);
		return;
	}
	if (c->n_head == MAX_HEADERS)
		return;
	snprintf(c->head[c->n_head][0], sizeof(c->head[0][0]), "%s", name);
	snprintf(c->head[c->n_head][1], sizeof(c->head[0][1]), "%s", value);
	c->n_head++;
}

void kerf_http_reply(struct kerf_http_request *r, int status, const char *type, const char *text)
{
	set_reply(conn_of(r), status, type,
		  MHD_create_response_from_buffer(strlen(text), (void *)text,
						  MHD_RESPMEM_MUST_COPY),
		  strlen(text));
}

static void no_free(void *cls)
{
}

void kerf_http_reply_parts(struct kerf_http_request *r, int status, const char *type,
			   const struct kerf_http_part *part, uint32_t n_part)
{
	struct MHD_IoVec iov[MAX_PARTS];
	struct MHD_Response *reply;
	uint64_t bytes = 0;
	uint32_t i;

	if (n_part > MAX_PARTS) {
		kerf_http_error(r, 500, "a reply of %u parts", n_part);
		return;
	}
	for (i = 0; i < n_part; i++) {
		iov[i].iov_base = part[i].data;
		iov[i].iov_len = part[i].size;
		bytes += part[i].size;
	}
	/* One part leaves in the same system call as the head. */
	if (n_part == 1)
		reply = MHD_create_response_from_buffer(part->size, (void *)part->data,
							MHD_RESPMEM_PERSISTENT);
	else
		reply = MHD_create_response_from_iovec(iov, n_part, no_free, NULL);
	set_reply(conn_of(r), status, type, reply, bytes);
}

int kerf_http_error(struct kerf_http_request *r, int status, const char *fmt, ...)
{
	struct json_object *o = json_object_new_object();
	char text[sizeof(((struct kerf_err *)0)->msg)];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	if (o)
		json_object_object_add(o, "error", json_object_new_string(text));
	kerf_http_reply(r, status, "application/json",
			o ? json_object_to_json_string_ext(o, JSON_C_TO_STRING_PLAIN) : "{}");
	json_object_put(o);
	return status;
}

int kerf_http_error_code(struct kerf_http_request *r, int code, const struct kerf_err *err)
{
	static const struct {
		int code, status;
	} map[] = {
		{-EINVAL, 400},	  {-ENODATA, 400}, {-EOVERFLOW, 400}, {-ENOENT, 404},
		{-EEXIST, 409},	  {-ESTALE, 409},  {-EBUSY, 409},     {-EFBIG, 413},
		{-EMSGSIZE, 413}, {-ENOSPC, 507},  {-EDQUOT, 507},    {-EOPNOTSUPP, 501},
		{-EAGAIN, 503},	  {-ENOMEM, 503},  {-ETIMEDOUT, 504},
		{-EREMOTEIO, 502}, {-ECONNREFUSED, 502}, {-EPERM, 403},
	};
	unsigned i;

	for (i = 0; i < KERF_ARRAY_SIZE(map); i++)
		if (map[i].code == code)
			break;
	return kerf_http_error(r, i < KERF_ARRAY_SIZE(map) ? map[i].status : 500, "%s",
			       err && err->msg[0] ? err->msg : strerror(-code));
}

bool kerf_http_charge(struct kerf_http_request *r, uint64_t bytes)
{
	struct conn *c = conn_of(r);
	bool ok;

	pthread_mutex_lock(&c->s->lock);
	ok = bytes <= c->s->budget - c->s->charged;
	if (ok) {
		c->s->charged += bytes;
		c->charged += bytes;
	}
	pthread_mutex_unlock(&c->s->lock);
	return ok;
}

const char *kerf_http_header(struct kerf_http_request *r, const char *name)
{
	return MHD_lookup_connection_value(conn_of(r)->mhd, MHD_HEADER_KIND, name);
}

bool kerf_http_gone(struct kerf_http_request *r)
{
	struct pollfd p = {.fd = conn_of(r)->fd, .events = POLLRDHUP};

	return poll(&p, 1, 0) > 0 && (p.revents & (POLLRDHUP | POLLHUP | POLLERR));
}

const char *kerf_http_query(struct kerf_http_request *r, const char *name)
{
	return MHD_lookup_connection_value(conn_of(r)->mhd, MHD_GET_ARGUMENT_KIND, name);
}

/* --- Routing --- */

static bool match(const char *pattern, const char *url, char arg[][KERF_HTTP_ARG_MAX])
{
	int n = 0;

	for (; *pattern; pattern++) {
		if (*pattern == '?') {
			size_t len = strcspn(url, "/");

			if (!len || len >= KERF_HTTP_ARG_MAX || n == KERF_HTTP_ARGS)
				return false;
			memcpy(arg[n], url, len);
			arg[n++][len] = 0;
			url += len;
		} else if (*pattern != *url++) {
			return false;
		}
	}
	return !*url;
}

/* NULL after replying 404 or 405. */
static const struct kerf_http_route *find_route(struct conn *c, const char *method,
						const char *url)
{
	const struct kerf_http_route *p;
	char allow[64] = "";

	for (p = c->s->routes; p->method; p++) {
		if (!match(p->pattern, url, c->r.arg))
			continue;
		if (!strcmp(p->method, method) ||
		    (!strcmp(p->method, "GET") && !strcmp(method, "HEAD")))
			return p;
		if (strlen(allow) + strlen(p->method) + 3 < sizeof(allow)) {
			if (*allow)
				strcat(allow, ", ");
			strcat(allow, p->method);
		}
	}
	if (*allow) {
		kerf_http_reply_header(&c->r, "Allow", allow);
		kerf_http_error(&c->r, 405, "%.16s is not allowed here: %s", method, allow);
	} else {
		kerf_http_error(&c->r, 404, "no resource '%.200s'", url);
	}
	return NULL;
}

/* --- One request --- */

/* Fields that say where a request ends and whose it is, as they stand in the head. */
struct framing {
	unsigned n_length, n_host, n_coding;
	bool malformed;
	const char *coding, *origin;
};

static enum MHD_Result on_field(void *cls, enum MHD_ValueKind kind, const char *key,
				size_t key_size, const char *value, size_t size)
{
	static const char token[] = "!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyz"
				    "ABCDEFGHIJKLMNOPQRSTUVWXYZ";
	struct framing *f = cls;

	if (!key_size || strspn(key, token) != key_size ||
	    (value && strcspn(value, "\r\n") != size))
		f->malformed = true;
	if (!strcasecmp(key, MHD_HTTP_HEADER_CONTENT_LENGTH)) {
		f->n_length++;
	} else if (!strcasecmp(key, MHD_HTTP_HEADER_HOST)) {
		f->n_host++;
	} else if (!strcasecmp(key, MHD_HTTP_HEADER_TRANSFER_ENCODING)) {
		f->n_coding++;
		f->coding = value;
	} else if (!strcasecmp(key, MHD_HTTP_HEADER_ORIGIN)) {
		f->origin = value;
	}
	return MHD_YES;
}

/* "http://localhost:8000": a page of this machine. */
static bool is_local_origin(const char *origin)
{
	static const char *const local[] = {"localhost", "127.0.0.1", "[::1]"};
	const char *host = origin ? strstr(origin, "://") : NULL;
	unsigned i;

	for (i = 0; host && i < KERF_ARRAY_SIZE(local); i++) {
		size_t n = strlen(local[i]);

		if (!strncmp(host + 3, local[i], n) && (!host[3 + n] || host[3 + n] == ':'))
			return true;
	}
	return false;
}

/*
 * A head that another reader could take apart in another way (request smuggling, RFC 9112
 * sections 5.1, 6.1, 6.3): the connection ends with the reply. A page of another site: a
 * browser would let it use a node that only this machine is to reach, by its name as well
 * (DNS rebinding). True if it replied.
 */
static bool refuse_framing(struct conn *c)
{
	struct framing f = {0};

	MHD_get_connection_values_n(c->mhd, MHD_HEADER_KIND, on_field, &f);
	if (f.malformed || c->nul_path)
		kerf_http_error(&c->r, 400, "malformed head");
	else if (f.n_length > 1 || f.n_host > 1 || f.n_coding > 1)
		kerf_http_error(&c->r, 400, "a field that may come once comes again");
	else if (f.n_coding && f.n_length)
		kerf_http_error(&c->r, 400, "both Content-Length and Transfer-Encoding");
	else if (f.n_coding)
		kerf_http_error(&c->r, 411, "a body needs a Content-Length");
	else if (f.origin && !is_local_origin(f.origin))
		kerf_http_error(&c->r, 403, "not for pages of '%.100s'", f.origin);
	else
		return false;
	MHD_add_response_header(c->reply, MHD_HTTP_HEADER_CONNECTION, "close");
	/* Two lengths, or a coding that the library does not know: nobody can tell the end. */
	c->unending = f.n_length > 1 ||
		      (f.n_coding && (!f.coding || strcasecmp(f.coding, "chunked") != 0));
	return true;
}

/* Digits only; -1 if absent, -2 if not a number. */
static int64_t content_length(struct conn *c)
{
	const char *s = kerf_http_header(&c->r, MHD_HTTP_HEADER_CONTENT_LENGTH);
	int64_t v = 0;

	if (!s)
		return -1;
	if (!*s)
		return -2;
	for (; *s; s++)
		if (*s < '0' || *s > '9' || __builtin_mul_overflow(v, 10, &v) ||
		    __builtin_add_overflow(v, *s - '0', &v))
			return -2;
	return v;
}

static void check_head(struct conn *c, const char *method, const char *url)
{
	const union MHD_ConnectionInfo *size =
		MHD_get_connection_info(c->mhd, MHD_CONNECTION_INFO_REQUEST_HEADER_SIZE);
	const struct kerf_http_route *route;
	int64_t length = content_length(c);

	c->r.length = length > 0 ? (uint64_t)length : 0;
	if (size && size->header_size > KERF_HTTP_HEAD_MAX) {
		kerf_http_error(&c->r, 431, "head of %zu bytes, at most %u expected",
				size->header_size, KERF_HTTP_HEAD_MAX);
		return;
	}
	if (length == -2) {
		kerf_http_error(&c->r, 400, "Content-Length is not a number");
		return;
	}
	if (refuse_framing(c))
		return;
	route = find_route(c, method, url);
	if (!route)
		return;
	if (length < 0 && route->max_body) {
		kerf_http_error(&c->r, 411, "Content-Length is missing");
		return;
	}
	if (c->r.length > route->max_body) {
		kerf_http_error(&c->r, 413, "body of %llu bytes, at most %llu expected",
				(unsigned long long)c->r.length,
				(unsigned long long)route->max_body);
		return;
	}
	c->r.route = route;
	if (route->begin) {
		c->begun = true;
		route->begin(&c->r);
	}
	if (c->reply || c->r.in_pieces || !c->r.length)
		return;
	if (!kerf_http_charge(&c->r, c->r.length)) {
		kerf_http_error(&c->r, 503, "too many bodies at once");
		return;
	}
	c->r.body = malloc(c->r.length + 1);
	if (!c->r.body)
		kerf_http_error(&c->r, 503, "no memory for a body of %llu bytes",
				(unsigned long long)c->r.length);
	else
		c->r.body[c->r.length] = 0;
}

static void take_body(struct conn *c, const char *data, size_t n)
{
	if (c->reply || c->drop)
		return;
	if (n > c->r.length - c->r.got) {
		kerf_http_error(&c->r, 400, "body longer than its Content-Length");
		return;
	}
	if (c->r.in_pieces)
		c->r.route->body(&c->r, data, n);
	else
		memcpy(c->r.body + c->r.got, data, n);
	c->r.got += n;
	if (c->r.got == c->r.length)
		c->whole_ns = kerf_now_ns();
}

static enum MHD_Result send_reply(struct conn *c)
{
	enum MHD_Result ok;

	if (!c->reply) /* out of memory */
		return MHD_NO;
	if (c->s->on_reply)
		c->s->on_reply(&c->r, c->whole_ns ? (int64_t)(kerf_now_ns() - c->whole_ns) : -1);
	set_phase(c, PHASE_SEND, transfer_ns(SEND_MS * MS, c->reply_bytes));
	ok = MHD_queue_response(c->mhd, (unsigned)c->status, c->reply);
	MHD_destroy_response(c->reply);
	c->reply = NULL;
	return ok;
}

static bool stopping(struct kerf_http_server *s)
{
	bool stop;

	pthread_mutex_lock(&s->lock);
	stop = s->stop;
	pthread_mutex_unlock(&s->lock);
	return stop;
}

static enum MHD_Result on_request(void *cls, struct MHD_Connection *mhd, const char *url,
				  const char *method, const char *version, const char *data,
				  size_t *size, void **req)
{
	struct conn *c = *req;

	if (!c)
		return MHD_NO;
	if (c->phase == PHASE_HEAD) {
		if (stopping(c->s))
			return MHD_NO;
		c->whole_ns = 0;
		check_head(c, method, url);
		/* Who expects 100 has not sent the body yet. */
		if (c->reply &&
		    (c->r.length > DRAIN_MAX || c->unending || kerf_http_header(&c->r, "Expect")))
			return send_reply(c);
		c->drop = c->reply != NULL;
		if (!c->r.length)
			c->whole_ns = kerf_now_ns();
		set_phase(c, PHASE_BODY, transfer_ns(c->s->body_ns, c->r.length));
		return MHD_YES;
	}
	if (*size) {
		take_body(c, data, *size);
		*size = 0;
		return MHD_YES;
	}
	if (!set_phase(c, PHASE_WORK, 0))
		return MHD_NO;
	if (!c->reply && c->r.got != c->r.length)
		kerf_http_error(&c->r, 400, "body of %llu bytes, Content-Length says %llu",
				(unsigned long long)c->r.got, (unsigned long long)c->r.length);
	if (!c->reply)
		c->r.route->end(&c->r);
	if (!c->reply)
		kerf_http_error(&c->r, 500, "no reply");
	return send_reply(c);
}

static void *on_request_line(void *cls, const char *uri, struct MHD_Connection *mhd)
{
	const union MHD_ConnectionInfo *info =
		MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
	struct conn *c = info ? info->socket_context : NULL;

	if (!c)
		return NULL;
	c->mhd = mhd;
	c->nul_path = strstr(uri, "%00") != NULL;
	set_phase(c, PHASE_HEAD, c->s->head_ns);
	return c;
}

static void on_completed(void *cls, struct MHD_Connection *mhd, void **req,
			 enum MHD_RequestTerminationCode why)
{
	struct kerf_http_server *s = cls;
	struct conn *c = *req;

	if (!c)
		return;
	*req = NULL;
	if (c->begun && c->r.route->done)
		c->r.route->done(&c->r);
	if (c->reply)
		MHD_destroy_response(c->reply);
	c->reply = NULL;
	free(c->r.body);
	memset(&c->r, 0, sizeof(c->r));
	c->r.server_user = s->user;
	c->begun = c->drop = c->unending = false;
	c->n_head = 0;
	pthread_mutex_lock(&s->lock);
	s->charged -= c->charged;
	c->charged = 0;
	pthread_mutex_unlock(&s->lock);
	set_phase(c, PHASE_IDLE, IDLE_MS * MS);
}

static void on_connection(void *cls, struct MHD_Connection *mhd, void **socket_context,
			  enum MHD_ConnectionNotificationCode what)
{
	struct kerf_http_server *s = cls;
	struct conn *c = *socket_context;

	if (what == MHD_CONNECTION_NOTIFY_STARTED) {
		const union MHD_ConnectionInfo *fd =
			MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_CONNECTION_FD);

		c = calloc(1, sizeof(*c));
		if (!c || !fd) {
			free(c);
			return;
		}
		c->s = s;
		c->fd = fd->connect_fd;
		c->r.server_user = s->user;
		*socket_context = c;
		set_phase(c, PHASE_IDLE, IDLE_MS * MS);
		pthread_mutex_lock(&s->lock);
		c->next = s->conns;
		c->prev = &s->conns;
		if (c->next)
			c->next->prev = &c->next;
		s->conns = c;
		pthread_cond_broadcast(&s->changed);
		pthread_mutex_unlock(&s->lock);
	} else if (c) {
		pthread_mutex_lock(&s->lock);
		*c->prev = c->next;
		if (c->next)
			c->next->prev = c->prev;
		pthread_mutex_unlock(&s->lock);
		*socket_context = NULL;
		free(c);
	}
}

/* --- Time --- */

/* A first line that comes byte by byte: the library calls us only once it is whole. */
static void watch_idle(struct kerf_http_server *s, struct conn *c, uint64_t now)
{
	struct tcp_info ti;
	socklen_t n = sizeof(ti);

	memset(&ti, 0, sizeof(ti));
	if (getsockopt(c->fd, IPPROTO_TCP, TCP_INFO, &ti, &n))
		return;
	if (!c->idle_bytes) {
		c->idle_bytes = ti.tcpi_bytes_received + 1;
	} else if (ti.tcpi_bytes_received + 1 != c->idle_bytes && !c->slow_head) {
		c->slow_head = true;
		c->deadline_ns = KERF_MIN(c->deadline_ns, now + s->head_ns);
	}
}

static void end_late(struct conn *c)
{
	static const char late[] = "HTTP/1.1 408 Request Timeout\r\nConnection: close\r\n"
				   "Content-Type: application/json\r\nContent-Length: 35\r\n\r\n"
				   "{\"error\":\"the request is too slow\"}";
	bool begun = c->phase == PHASE_HEAD || c->phase == PHASE_BODY ||
		     (c->phase == PHASE_IDLE && c->slow_head);

	c->dead = true;
	/* Its thread is waiting for more of the request, so nobody else is writing. */
	if (begun && send(c->fd, late, sizeof(late) - 1, MSG_DONTWAIT | MSG_NOSIGNAL) < 0)
		begun = false; /* the peer is gone: closing is all there is to do */
	shutdown(c->fd, SHUT_RDWR);
}

static void *watch(void *arg)
{
	struct kerf_http_server *s = arg;
	struct conn *c;

	pthread_mutex_lock(&s->lock);
	while (!s->stop) {
		uint64_t now, until;
		struct timespec ts;

		while (!s->conns && !s->stop)
			pthread_cond_wait(&s->changed, &s->lock);
		now = kerf_now_ns();
		for (c = s->conns; c; c = c->next) {
			if (c->dead)
				continue;
			if (c->phase == PHASE_IDLE)
				watch_idle(s, c, now);
			if (now > c->deadline_ns)
				end_late(c);
		}
		until = kerf_now_ns() + TICK_MS * MS;
		ts.tv_sec = (time_t)(until / 1000000000u);
		ts.tv_nsec = (long)(until % 1000000000u);
		while (!s->stop && kerf_now_ns() < until)
			pthread_cond_timedwait(&s->changed, &s->lock, &ts);
	}
	pthread_mutex_unlock(&s->lock);
	return NULL;
}

/* --- Life --- */

int kerf_http_server_open(const struct kerf_http_config *cfg, struct kerf_http_server **server,
			  struct kerf_err *err)
{
	struct kerf_http_server *s = calloc(1, sizeof(*s));
	pthread_condattr_t attr;
	int fd, r;

	if (!s)
		return -ENOMEM;
	s->routes = cfg->routes;
	s->on_reply = cfg->reply;
	s->user = cfg->user;
	s->budget = cfg->body_budget ? cfg->body_budget : 256u << 20;
	s->head_ns = (cfg->head_timeout_ms ? cfg->head_timeout_ms : 10000) * MS;
	s->body_ns = (cfg->body_timeout_ms ? cfg->body_timeout_ms : 30000) * MS;
	fd = kerf_listen(cfg->listen, cfg->insecure, &s->port, err);
	if (fd < 0) {
		free(s);
		return fd;
	}
	pthread_mutex_init(&s->lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&s->changed, &attr);
	pthread_condattr_destroy(&attr);
	r = -pthread_create(&s->watcher, NULL, watch, s);
	if (r) {
		kerf_fail(err, r, "cannot start a thread: %s", strerror(-r));
		goto close_fd;
	}
	s->mhd = MHD_start_daemon(
		MHD_USE_THREAD_PER_CONNECTION | MHD_USE_INTERNAL_POLLING_THREAD | MHD_USE_POLL |
			MHD_USE_ITC,
		0, NULL, NULL, on_request, s, MHD_OPTION_LISTEN_SOCKET, fd,
		MHD_OPTION_CONNECTION_LIMIT, cfg->max_connections ? cfg->max_connections : 64u,
		MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)CONNECTION_MEMORY,
		MHD_OPTION_THREAD_STACK_SIZE, (size_t)CONNECTION_STACK,
		MHD_OPTION_STRICT_FOR_CLIENT, 1, MHD_OPTION_URI_LOG_CALLBACK, on_request_line, s,
		MHD_OPTION_NOTIFY_COMPLETED, on_completed, s, MHD_OPTION_NOTIFY_CONNECTION,
		on_connection, s, MHD_OPTION_END);
	if (!s->mhd) {
		r = kerf_fail(err, -EIO, "%s: cannot start the HTTP server", cfg->listen);
		goto stop_watcher;
	}
	*server = s;
	return 0;
stop_watcher:
	pthread_mutex_lock(&s->lock);
	s->stop = true;
	pthread_cond_broadcast(&s->changed);
	pthread_mutex_unlock(&s->lock);
	pthread_join(s->watcher, NULL);
close_fd:
	close(fd);
	pthread_cond_destroy(&s->changed);
	pthread_mutex_destroy(&s->lock);
	free(s);
	return r;
}

static bool answering(const struct kerf_http_server *s)
{
	const struct conn *c;

	for (c = s->conns; c; c = c->next)
		if (c->phase == PHASE_WORK || c->phase == PHASE_SEND)
			return true;
	return false;
}

void kerf_http_server_close(struct kerf_http_server *s)
{
	uint64_t until = kerf_now_ns() + STOP_MS * MS;
	struct timespec ts = {.tv_sec = (time_t)(until / 1000000000u),
			      .tv_nsec = (long)(until % 1000000000u)};
	MHD_socket fd;

	if (!s)
		return;
	fd = MHD_quiesce_daemon(s->mhd);
	pthread_mutex_lock(&s->lock);
	s->stop = true;
	pthread_cond_broadcast(&s->changed);
	while (answering(s) && kerf_now_ns() < until)
		pthread_cond_timedwait(&s->changed, &s->lock, &ts);
	pthread_mutex_unlock(&s->lock);
	pthread_join(s->watcher, NULL);
	MHD_stop_daemon(s->mhd);
	if (fd != MHD_INVALID_SOCKET)
		close(fd);
	pthread_cond_destroy(&s->changed);
	pthread_mutex_destroy(&s->lock);
	free(s);
}

uint16_t kerf_http_server_port(const struct kerf_http_server *s)
{
	return s->port;
}

#else

int kerf_http_server_open(const struct kerf_http_config *cfg, struct kerf_http_server **server,
			  struct kerf_err *err)
{
	return kerf_fail(err, -ENOSYS, "kerf was built without libmicrohttpd: it cannot be a node");
}

void kerf_http_server_close(struct kerf_http_server *s)
{
}

uint16_t kerf_http_server_port(const struct kerf_http_server *s)
{
	return 0;
}

const char *kerf_http_header(struct kerf_http_request *r, const char *name)
{
	return NULL;
}

bool kerf_http_gone(struct kerf_http_request *r)
{
	return false;
}

const char *kerf_http_query(struct kerf_http_request *r, const char *name)
{
	return NULL;
}

void kerf_http_reply_header(struct kerf_http_request *r, const char *name, const char *value)
{
}

void kerf_http_reply(struct kerf_http_request *r, int status, const char *type, const char *text)
{
}

void kerf_http_reply_parts(struct kerf_http_request *r, int status, const char *type,
			   const struct kerf_http_part *part, uint32_t n_part)
{
}

int kerf_http_error(struct kerf_http_request *r, int status, const char *fmt, ...)
{
	return status;
}

int kerf_http_error_code(struct kerf_http_request *r, int code, const struct kerf_err *err)
{
	return 500;
}

bool kerf_http_charge(struct kerf_http_request *r, uint64_t bytes)
{
	return false;
}

#endif
