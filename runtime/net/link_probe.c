/* SPDX-License-Identifier: MIT */
/*
 * Each direction is measured with streams of growing size until one lasts long enough
 * and agrees with the one before: a shaper that saves up tokens while the link is idle
 * lets the first bytes through at line speed, and the first streams spend them. Of a
 * stream only the second half counts (rate_fit.h), as its receiver sees it.
 */
#include "net/link_probe.h"

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

#define SMALL_REQUESTS 15
#define FIRST_BYTES (64u << 10)
#define MAX_BYTES (16u << 20)
#define STREAM_S 0.5	  /* how long a stream should last */
#define ENOUGH_S 0.05	  /* from here on its rate tells how large the next must be */
#define MAX_STREAMS 8
#define TOLERANCE 0.05
#define STALL_MS 5000
#define BUFFER (256u << 10)

struct probe {
	struct kerf_wire *wire;
	const char *host;
	char *buf; /* BUFFER bytes */
	struct kerf_http_head head;
	size_t have, body_at; /* of the reply: bytes in buf, where its body begins */
};

static int wait_for(struct probe *p, short events)
{
	struct pollfd pfd = {.fd = kerf_wire_fd(p->wire), .events = events};
	int r = poll(&pfd, 1, STALL_MS);

	return r > 0 ? 0 : r ? -EIO : -ETIMEDOUT;
}

static int send_all(struct probe *p, const char *data, size_t n)
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

static int send_head(struct probe *p, const char *method, const char *path, size_t body)
{
	char head[512];
	int n = snprintf(head, sizeof(head), "%s %s HTTP/1.1\r\nHost: %s\r\n", method, path, p->host);

	if (body)
		n += snprintf(head + n, sizeof(head) - (size_t)n, "Content-Length: %zu\r\n", body);
	n += snprintf(head + n, sizeof(head) - (size_t)n, "\r\n");
	return n < (int)sizeof(head) ? send_all(p, head, (size_t)n) : -EINVAL;
}

/* The head of the reply; what came of the body with it stays in buf. */
static int recv_head(struct probe *p)
{
	p->have = 0;
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
		p->have += (size_t)k;
		k = kerf_http_head_parse(p->buf, p->have, &p->head);
		if (k < 0)
			return (int)k;
		if (k) {
			p->body_at = (size_t)k;
			return p->head.status == 200 ? 0 : -EPROTO;
		}
		if (p->have == KERF_HTTP_REPLY_HEAD_MAX)
			return -EMSGSIZE;
	}
}

/* The rest of the body; marks its arrival in f, keeps it in buf if there is no f. */
static int recv_body(struct probe *p, struct kerf_rate_fit *f)
{
	uint64_t got = p->have - p->body_at;

	if (got > p->head.length || (!f && p->body_at + p->head.length >= BUFFER))
		return -EPROTO;
	if (f && got)
		kerf_rate_mark(f, got, kerf_now_ns());
	while (got < p->head.length) {
		char *to = f ? p->buf : p->buf + p->body_at + got;
		ssize_t k = kerf_wire_recv(p->wire, to, KERF_MIN(p->head.length - got,
								 f ? BUFFER : p->head.length));

		if (!k) {
			int r = wait_for(p, POLLIN);

			if (r)
				return r;
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

/* --- Latency --- */

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static int measure_latency(struct probe *p, struct kerf_link_state *s)
{
	double t[SMALL_REQUESTS];
	struct tcp_info ti;
	socklen_t n = sizeof(ti);
	int i, r;

	for (i = 0; i < SMALL_REQUESTS; i++) {
		uint64_t start = kerf_now_ns();

		r = send_head(p, "GET", "/v2/health/live", 0);
		if (!r)
			r = recv_head(p);
		if (!r)
			r = recv_body(p, NULL);
		if (r)
			return r;
		t[i] = (double)(kerf_now_ns() - start) * 1e-9;
	}
	qsort(t, SMALL_REQUESTS, sizeof(t[0]), compare);
	s->request_s = t[SMALL_REQUESTS / 2];
	s->rtt_s = t[0];
	memset(&ti, 0, sizeof(ti));
	if (!getsockopt(kerf_wire_fd(p->wire), IPPROTO_TCP, TCP_INFO, &ti, &n) && ti.tcpi_min_rtt &&
	    ti.tcpi_min_rtt != UINT32_MAX)
		s->rtt_s = KERF_MIN(s->rtt_s, ti.tcpi_min_rtt * 1e-6);
	return 0;
}

/* --- Rates --- */

/* What one stream told: as its receiver saw it, and how long it took for us. */
struct stream {
	double rate, mean; /* bytes a second, of the second half and of all */
	double took_s;
};

static double number(struct json_object *o, const char *name)
{
	struct json_object *v;

	return json_object_object_get_ex(o, name, &v) ? json_object_get_double(v) : 0;
}

static int stream_up(struct probe *p, size_t bytes, struct stream *st)
{
	uint64_t start = kerf_now_ns();
	struct json_object *o;
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
	st->took_s = (double)(kerf_now_ns() - start) * 1e-9;
	r = kerf_json_parse(p->buf + p->body_at, p->head.length, &o, NULL);
	if (r)
		return -EPROTO;
	st->rate = number(o, "bytes_s");
	st->mean = (double)bytes / (number(o, "ns") * 1e-9);
	json_object_put(o);
	return 0;
}

static int stream_down(struct probe *p, size_t bytes, struct stream *st)
{
	uint64_t start = kerf_now_ns();
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
	st->took_s = (double)(kerf_now_ns() - start) * 1e-9;
	st->rate = kerf_rate_bytes_s(&f);
	st->mean = (double)bytes / ((double)(f.end_ns - f.start_ns) * 1e-9);
	return r;
}

/*
 * Long enough, and as fast as the one before. A receiver that could not run for a while
 * finds a heap of bytes afterwards and sees them come faster than any link brought them:
 * then the second half is faster than the whole.
 */
static bool believable(const struct stream *st, double before, size_t bytes)
{
	return (st->took_s >= STREAM_S / 2 || bytes == MAX_BYTES) &&
	       fabs(st->rate - before) <= TOLERANCE * before &&
	       st->rate <= (1 + TOLERANCE) * st->mean;
}

static int measure_rate(struct probe *p, bool up, double *out)
{
	struct stream st = {.rate = 0};
	size_t bytes = FIRST_BYTES;
	double before;
	int i, r;

	for (i = 0; i < MAX_STREAMS; i++) {
		before = st.rate;
		r = up ? stream_up(p, bytes, &st) : stream_down(p, bytes, &st);
		if (r)
			return r;
		/* Too few marks, or marks all at once: the whole stream is what there is. */
		if (!(st.rate > 0) || !isfinite(st.rate))
			st.rate = (double)bytes / st.took_s;
		if (i && believable(&st, before, bytes))
			break;
		if (st.took_s < ENOUGH_S)
			bytes = KERF_MIN((size_t)bytes * 4, MAX_BYTES);
		else
			bytes = (size_t)KERF_MIN(KERF_MAX(st.rate * STREAM_S, FIRST_BYTES), MAX_BYTES);
	}
	*out = st.rate;
	return 0;
}

static void read_delivery_rate(struct probe *p, struct kerf_link_state *s)
{
	struct tcp_info ti;
	socklen_t n = sizeof(ti);

	memset(&ti, 0, sizeof(ti));
	if (!getsockopt(kerf_wire_fd(p->wire), IPPROTO_TCP, TCP_INFO, &ti, &n) &&
	    !ti.tcpi_delivery_rate_app_limited)
		s->tcp_rate_bytes_s = (double)ti.tcpi_delivery_rate;
}

int kerf_link_probe(const char *url, bool insecure, struct kerf_link_state *state,
		    struct kerf_err *err)
{
	struct kerf_link_state s = {.source = "probe"};
	struct probe p = {.wire = NULL};
	const char *rest;
	char base[256];
	int r = kerf_url_split(url, base, sizeof(base), &p.host, &rest, err);

	if (r)
		return r;
	p.buf = malloc(BUFFER);
	if (!p.buf)
		return -ENOMEM;
	r = kerf_wire_open(base, insecure, &p.wire, err);
	if (r)
		goto out;
	r = measure_latency(&p, &s);
	if (!r)
		r = measure_rate(&p, true, &s.up_bytes_s);
	if (!r) {
		read_delivery_rate(&p, &s);
		r = measure_rate(&p, false, &s.down_bytes_s);
	}
	if (r)
		kerf_fail(err, r, "%s: the link probe failed: %s", base, strerror(-r));
	else
		*state = s;
out:
	kerf_wire_close(p.wire);
	free(p.buf);
	return r;
}
