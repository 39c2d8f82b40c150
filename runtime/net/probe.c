/* SPDX-License-Identifier: MIT */
/*
 * A shaper that saves up tokens while the link is idle lets the first bytes through at line
 * speed, and so does a socket's buffer; so of each transfer only the second half counts
 * (rate_fit.h), as its receiver sees it, and the next one lasts longer until that no longer
 * changes what is found.
 */
#include "net/probe.h"

#include "net/http_client.h"
#include "net/http_head.h"
#include "net/json.h"
#include "net/rate_fit.h"
#include "util/clock.h"

#include <linux/tcp.h>
#include <math.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#define SMALL_REQUESTS 9
/* Between them: messages of a plan come after work, and meet threads that sleep. */
#define SMALL_PAUSE_NS 200000
#define FIRST_BYTES (8u << 10)
#define MAX_BYTES (16u << 20) /* what the node's sink and source take at once */
#define MAX_STREAMS 16
#define GROWTH 4
/*
 * A path of long delay needs some round trips to open its window before it shows a rate; until
 * then a transfer of twice the size is faster, so it takes two of different size to agree.
 */
#define STREAM_RTTS 4
#define MANY_RTTS 20
/* The interval of two transfers that agree, and of a rate that nothing confirmed. */
#define SURE 1.05
#define UNSURE 2.0
/* A transfer that took less than this share of its bytes at the rate passed by a bucket. */
#define WHOLE 0.2
#define INITIAL_WINDOW 10 /* segments: RFC 6928 */
#define STALL_MS 5000
#define BUFFER (256u << 10)

const struct kerf_probe_limits kerf_probe_short = {.bytes = 6u << 20,
						   .link_ms = 600,
						   .stream_ms = 15,
						   .agree = 1.1,
						   .share = 0.5,
						   .wall_ms = 30000};
const struct kerf_probe_limits kerf_probe_thorough = {
	.bytes = 32u << 20, .link_ms = 4000, .stream_ms = 500, .agree = 1.05, .share = 1,
	.wall_ms = 60000};

struct train {
	const struct kerf_probe_limits *limits;
	const struct kerf_observer *observer;
	const char *url;
	struct kerf_wire *wire;
	const char *host;
	uint64_t cookie, total, deadline_ns;
	char *buf; /* BUFFER bytes */
	struct kerf_http_head head;
	size_t have, body_at;  /* of the reply: bytes in buf, where its body begins */
	uint64_t start_ns;     /* the request's first byte left */
	uint64_t first_ns;     /* the reply's first read was over */
	size_t first_bytes;    /* and brought so many */
	bool waited;	       /* for more of it, after that */
	double rtt_s, request_s;
	uint32_t mss_bytes; /* 0: not known */
};

static int wait_for(struct train *p, short events)
{
	struct pollfd pfd = {.fd = kerf_wire_fd(p->wire), .events = events};
	uint64_t now = kerf_now_ns();
	int r;

	/* One that sends a byte now and then never stalls. */
	if (now >= p->deadline_ns)
		return -ETIMEDOUT;
	r = poll(&pfd, 1, (int)KERF_MIN((p->deadline_ns - now) / 1000000 + 1, STALL_MS));
	return r > 0 ? 0 : r ? -EIO : -ETIMEDOUT;
}

static int send_all(struct train *p, const char *data, size_t n)
{
	while (n) {
		ssize_t k = kerf_wire_send(p->wire, data, n);

		if (!k)
			k = wait_for(p, POLLOUT);
		if (k < 0)
			return (int)k;
		data += k;
		n -= (size_t)k;
	}
	return 0;
}

static int send_head(struct train *p, const char *method, const char *path, size_t body)
{
	char head[512];
	int n = snprintf(head, sizeof(head), "%s %s HTTP/1.1\r\nHost: %s\r\n", method, path, p->host);

	if (body)
		n += snprintf(head + n, sizeof(head) - (size_t)n, "Content-Length: %zu\r\n", body);
	n += snprintf(head + n, sizeof(head) - (size_t)n, "\r\n");
	p->start_ns = kerf_now_ns();
	p->total += (uint64_t)n + body;
	return n < (int)sizeof(head) ? send_all(p, head, (size_t)n) : -EINVAL;
}

/* The head of the reply; what came of the body with it stays in buf. */
static int recv_head(struct train *p)
{
	p->have = p->first_bytes = 0;
	p->waited = false;
	for (;;) {
		ssize_t k = kerf_wire_recv(p->wire, p->buf + p->have,
					   KERF_HTTP_REPLY_HEAD_MAX - p->have);

		if (!k) {
			int r = wait_for(p, POLLIN);

			if (r)
				return r;
			continue;
		}
		if (k < 0)
			return (int)k;
		if (!p->have) {
			p->first_ns = kerf_now_ns();
			p->first_bytes = (size_t)k;
		}
		p->have += (size_t)k;
		k = kerf_http_head_parse(p->buf, p->have, &p->head);
		if (k < 0)
			return (int)k;
		if (k) {
			p->body_at = (size_t)k;
			p->total += (size_t)k + p->head.length;
			return p->head.status == 200 ? 0 : -EPROTO;
		}
		if (p->have == KERF_HTTP_REPLY_HEAD_MAX)
			return -EMSGSIZE;
	}
}

/* The rest of the body; marks its arrival in f, keeps it in buf if there is no f. */
static int recv_body(struct train *p, struct kerf_rate_fit *f)
{
	uint64_t got = p->have - p->body_at;

	if (got > p->head.length || (!f && p->body_at + p->head.length >= BUFFER))
		return -EPROTO;
	if (f && got)
		kerf_rate_mark(f, got, p->first_ns);
	while (got < p->head.length) {
		char *to = f ? p->buf : p->buf + p->body_at + got;
		ssize_t k = kerf_wire_recv(p->wire, to, KERF_MIN(p->head.length - got,
								 f ? BUFFER : p->head.length));

		if (!k) {
			int r = wait_for(p, POLLIN);

			if (r)
				return r;
			p->waited = true;
			continue;
		}
		if (k < 0)
			return (int)k;
		got += (uint64_t)k;
		if (f)
			kerf_rate_mark(f, (uint64_t)k, kerf_now_ns());
	}
	return 0;
}

/* From the request's first byte to the reply's, the node's silence not counted. */
static double up_s(const struct train *p)
{
	uint64_t took = p->first_ns - p->start_ns;
	uint64_t hold = p->head.hold_ns > 0 ? (uint64_t)p->head.hold_ns : 0;

	return (double)(took - KERF_MIN(hold, took)) * 1e-9;
}

static void tell(const struct train *p, bool up, uint64_t bytes, uint64_t end_ns)
{
	struct kerf_transfer t = {.cookie = p->cookie, .bytes = bytes, .end_ns = end_ns,
				  .start_ns = up ? p->start_ns : p->first_ns, .down = !up};

	if (!p->observer || !p->observer->transfer)
		return;
	if (up) {
		if (p->head.hold_ns < 0 || (uint64_t)p->head.hold_ns >= end_ns - p->start_ns)
			return;
		t.hold_ns = (uint64_t)p->head.hold_ns;
	}
	p->observer->transfer(p->observer->user, p->url, &t);
}

/* --- Latency --- */

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static int measure_latency(struct train *p, struct kerf_probe *s)
{
	const struct timespec pause = {.tv_nsec = SMALL_PAUSE_NS};
	double t[SMALL_REQUESTS];
	struct tcp_info ti;
	socklen_t n = sizeof(ti);
	int i, r;

	for (i = 0; i < SMALL_REQUESTS; i++) {
		nanosleep(&pause, NULL);
		r = send_head(p, "GET", "/v2/health/live", 0);
		if (!r)
			r = recv_head(p);
		if (!r)
			r = recv_body(p, NULL);
		if (r)
			return r;
		t[i] = up_s(p);
	}
	qsort(t, SMALL_REQUESTS, sizeof(t[0]), compare);
	s->request_s = t[SMALL_REQUESTS / 2];
	s->rtt_s = t[0];
	memset(&ti, 0, sizeof(ti));
	if (!getsockopt(kerf_wire_fd(p->wire), IPPROTO_TCP, TCP_INFO, &ti, &n) && ti.tcpi_min_rtt &&
	    ti.tcpi_min_rtt != UINT32_MAX)
		s->rtt_s = KERF_MIN(s->rtt_s, ti.tcpi_min_rtt * 1e-6);
	p->mss_bytes = ti.tcpi_snd_mss;
	p->rtt_s = s->rtt_s;
	p->request_s = s->request_s;
	return 0;
}

/* --- Rates --- */

/* What one transfer told: as its receiver saw it, and how long bytes were under way. */
struct stream {
	double rate, mean; /* bytes a second, of the second half and of all */
	double took_s; /* the round trip not counted */
	double bytes;
	bool fits; /* rate is of the second half */
};

static double number(struct json_object *o, const char *name)
{
	struct json_object *v;

	return json_object_object_get_ex(o, name, &v) ? json_object_get_double(v) : 0;
}

static int stream_up(struct train *p, size_t bytes, struct stream *st)
{
	struct json_object *o;
	double whole_s;
	size_t left;
	int r = send_head(p, "POST", "/kerf/v1/sink", bytes);

	memset(p->buf, 0, BUFFER);
	for (left = bytes; !r && left; left -= KERF_MIN(left, BUFFER))
		r = send_all(p, p->buf, KERF_MIN(left, BUFFER));
	if (!r)
		r = recv_head(p);
	if (!r)
		r = recv_body(p, NULL);
	if (r)
		return r;
	tell(p, true, bytes, p->first_ns);
	st->took_s = fmax(up_s(p) - p->rtt_s, 1e-6);
	whole_s = (double)(p->first_ns - p->start_ns) * 1e-9;
	r = kerf_json_parse(p->buf + p->body_at, p->head.length, &o, NULL);
	if (r)
		return -EPROTO;
	st->rate = number(o, "bytes_s");
	st->mean = (double)bytes / (number(o, "ns") * 1e-9);
	json_object_put(o);
	/* Half of the bytes cannot have taken the node longer than all of it took here. */
	if (st->rate * whole_s < (double)bytes / 4)
		st->rate = 0;
	return 0;
}

static int stream_down(struct train *p, size_t bytes, struct stream *st)
{
	struct kerf_rate_fit f;
	char path[64];
	int r;

	snprintf(path, sizeof(path), "/kerf/v1/source?bytes=%zu", bytes);
	r = send_head(p, "GET", path, 0);
	if (!r)
		r = recv_head(p);
	if (!r && p->head.length != bytes)
		r = -EPROTO;
	if (r)
		return r;
	kerf_rate_begin(&f, bytes);
	r = recv_body(p, &f);
	if (r)
		return r;
	if (p->waited)
		tell(p, false, bytes + p->body_at - p->first_bytes, f.end_ns);
	st->took_s = fmax((double)(f.end_ns - p->first_ns) * 1e-9, 1e-6);
	st->rate = kerf_rate_bytes_s(&f);
	st->mean = (double)bytes / ((double)(f.end_ns - f.start_ns) * 1e-9);
	return 0;
}

static double ratio(double a, double b)
{
	return a > b ? a / b : b / a;
}

/*
 * Long enough, and as fast as the one before it, of half the bytes. A receiver that could not run
 * for a while finds a heap of bytes afterwards and sees them come faster than any link brought
 * them: then the second half is faster than the whole.
 */
static bool believable(const struct train *p, const struct stream *st, double before, bool larger,
		       double stream_s)
{
	return st->took_s >= stream_s / 2 && (larger || st->took_s >= MANY_RTTS * p->rtt_s) &&
	       ratio(st->rate, before) <= p->limits->agree &&
	       st->rate <= p->limits->agree * st->mean;
}

/* Half of a link at most for who shares it: as long a pause as its share asks for. */
static void rest(const struct train *p, double took_s)
{
	double s = took_s * (1 / p->limits->share - 1);
	struct timespec ts = {.tv_sec = (time_t)s, .tv_nsec = (long)((s - floor(s)) * 1e9)};

	if (s > 0)
		nanosleep(&ts, NULL);
}

/*
 * The rate where no two agreed. A transfer that stalled shows too little, one whose receiver could
 * not run too much, but then more than all of it: of the large ones, the fastest that is not faster
 * than that.
 */
static double likely_rate(const struct stream *st, uint32_t n, double agree)
{
	const struct stream *last = &st[n - 1];
	double best = 0;
	uint32_t i;

	for (i = 0; i < n; i++)
		if (st[i].fits && st[i].bytes * 4 >= last->bytes &&
		    st[i].rate <= agree * st[i].bytes / st[i].took_s)
			best = fmax(best, st[i].rate);
	return best > 0 ? best : fmin(last->rate, agree * last->bytes / last->took_s);
}

/*
 * What a transfer took beside its bytes at the rate: below 0 by what the shaper's bucket let
 * through at once. Above it, it was something else: a window that opened. The last one tells if its
 * rate was confirmed. Else the smallest that did not pass whole does: the larger one is, the more a
 * wrong rate looks like a bucket.
 */
static double beside_s(const struct stream *st, uint32_t n, double rate, bool sure)
{
	uint32_t i = sure ? n - 1 : 0;

	while (i + 1 < n && st[i].took_s < WHOLE * st[i].bytes / rate)
		i++;
	return fmin(st[i].took_s - st[i].bytes / rate, 0);
}

static int measure_rate(struct train *p, bool up, struct kerf_link_estimate *est)
{
	double stream_s = fmax(p->limits->stream_ms * 1e-3, STREAM_RTTS * p->rtt_s);
	double left_s = fmax(p->limits->link_ms * 1e-3, 3 * stream_s), spread = UNSURE, before,
	       size;
	size_t bytes = FIRST_BYTES, left = p->limits->bytes, last = FIRST_BYTES;
	struct stream all[MAX_STREAMS] = {{.rate = 0}}, *st = all;
	uint32_t i, n;
	int r;

	for (i = 0; i < MAX_STREAMS; i++) {
		before = st->rate;
		st = &all[i];
		st->bytes = (double)bytes;
		r = up ? stream_up(p, bytes, st) : stream_down(p, bytes, st);
		if (r)
			return r;
		/* Too few marks, or marks all at once: the whole of it is what there is. */
		st->fits = st->rate > 0 && isfinite(st->rate);
		if (!st->fits)
			st->rate = (double)bytes / st->took_s;
		left -= bytes;
		left_s -= st->took_s;
		if (i && believable(p, st, before, bytes / 2 >= last, stream_s)) {
			spread = fmax(ratio(st->rate, before), SURE);
			break;
		}
		size = st->took_s < stream_s / 4 ? (double)bytes * GROWTH
						: fmax(st->rate * stream_s, (double)bytes * 1.5);
		if (st->took_s < MANY_RTTS * p->rtt_s)
			size = fmax(size, (double)bytes * 2);
		size = fmin(size, fmin((double)KERF_MIN(left, MAX_BYTES), left_s * st->rate));
		/* What is left to spend would tell less than was found. */
		if (size < FIRST_BYTES || size < (double)bytes / 2)
			break;
		last = bytes;
		bytes = (size_t)size;
		rest(p, st->took_s);
	}
	n = (uint32_t)(st - all) + 1;
	if (spread == UNSURE)
		st->rate = likely_rate(all, n, p->limits->agree);
	*est = (struct kerf_link_estimate){
		.updated_ns = kerf_now_ns(),
		.latency_ns =
			(int64_t)((p->request_s / 2 + beside_s(all, n, st->rate, spread < UNSURE)) *
				  1e9),
		.least_ns = (uint64_t)(p->request_s / 2 * 1e9),
		.rate_bytes_s = (uint64_t)fmin(fmax(st->rate, 1), 1e15),
		.low_ppm = (uint32_t)(1e6 / spread),
		.high_ppm = (uint32_t)(1e6 * spread),
		.transfers = n,
		/* What the first request meets: its connection is new. */
		.window_bytes = INITIAL_WINDOW * (uint64_t)p->mss_bytes,
		.round_ns = (uint64_t)(p->rtt_s * 1e9),
		.source = KERF_SOURCE_RUNTIME,
		.estimator = "probe",
	};
	return 0;
}

static void read_delivery_rate(struct train *p, struct kerf_probe *s)
{
	struct tcp_info ti;
	socklen_t n = sizeof(ti);

	memset(&ti, 0, sizeof(ti));
	if (!getsockopt(kerf_wire_fd(p->wire), IPPROTO_TCP, TCP_INFO, &ti, &n) &&
	    !ti.tcpi_delivery_rate_app_limited)
		s->tcp_rate_bytes_s = (double)ti.tcpi_delivery_rate;
}

static int measure(struct train *p, struct kerf_probe *s)
{
	int r = measure_latency(p, s);

	if (!r)
		r = measure_rate(p, true, &s->up);
	if (r)
		return r;
	read_delivery_rate(p, s);
	r = measure_rate(p, false, &s->down);
	s->bytes = p->total;
	return r;
}

int kerf_probe_run(const char *url, bool insecure, const struct kerf_probe_limits *limits,
		   const struct kerf_observer *observer, struct kerf_probe *probe,
		   struct kerf_err *err)
{
	struct train p = {.limits = limits,
			  .observer = observer,
			  .deadline_ns = kerf_now_ns() + limits->wall_ms * 1000000ull};
	struct kerf_probe s = {.rtt_s = 0};
	const char *rest_of_url;
	char base[256];
	socklen_t n = sizeof(p.cookie);
	int r = kerf_url_split(url, base, sizeof(base), &p.host, &rest_of_url, err), fd;

	if (r)
		return r;
	p.url = base;
	p.buf = malloc(BUFFER);
	if (!p.buf)
		return -ENOMEM;
	r = kerf_wire_open(base, insecure, &p.wire, err);
	if (r)
		goto out;
	fd = kerf_wire_fd(p.wire);
	if (getsockopt(fd, SOL_SOCKET, SO_COOKIE, &p.cookie, &n))
		p.cookie = 0;
	if (observer && observer->connected)
		observer->connected(observer->user, base, fd);
	r = measure(&p, &s);
	if (r)
		kerf_fail(err, r, "%s: the probe of the link failed: %s", base, strerror(-r));
	else
		*probe = s;
	if (observer && observer->disconnected)
		observer->disconnected(observer->user, base, fd);
out:
	kerf_wire_close(p.wire);
	free(p.buf);
	return r;
}
