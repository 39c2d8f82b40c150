/* SPDX-License-Identifier: MIT */
/*
 * kerf bench --transfers: tensors of mixed sizes over one connection to a node's sink, or from
 * its source, each predicted before it begins. The connection is looked at before, during and after
 * each, and everything goes into a trace: what predictors are judged by (tests/bench/predict).
 *
 * What counts as a transfer, and how long it took, is as for the remote engine's jobs (struct
 * kerf_transfer); an exchange with the source has both directions, the request being a small up.
 */
#include "cli/bench.h"
#include "cli/cli.h"
#include "cli/options.h"
#include "net/http_client.h"
#include "net/http_head.h"
#include "telemetry/predict.h"
#include "telemetry/record.h"
#include "telemetry/source.h"
#include "telemetry/tcp_info.h"
#include "telemetry/trace.h"
#include "util/clock.h"
#include "util/rng.h"

#include <math.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#define MAX_SIZES 32
#define MAX_STEPS 32
#define MAX_COUNT 100000
#define MAX_BYTES (16u << 20) /* what a node's sink and source take at once */
#define BUFFER (256u << 10)
#define LOOK_NS 20000000u  /* between looks at the connection */
#define STALL_NS 60000000000ull
#define NODE 1 /* the peer's place in the trace; 0 is this machine */

struct step {
	long before; /* transfer, from 1 */
	const char *command;
};

struct options {
	const char *url, *trace;
	size_t size[MAX_SIZES];
	uint32_t n_size, n_step;
	struct step step[MAX_STEPS];
	long count, seed, gap_ms;
	bool down, bpf, insecure, json;
};

/* One transfer of the direction that is measured. */
struct sample {
	uint32_t size; /* index in options.size */
	double took_s, predicted_s, low_s, high_s; /* predicted 0: nothing was expected */
};

/* One direction: who predicts, and what was expected when the exchange began. */
struct direction {
	struct kerf_predictor *predictor;
	struct kerf_link_estimate before;
};

struct transfers {
	const struct options *o;
	struct kerf_wire *wire;
	const char *host;
	struct kerf_trace_writer *trace; /* or NULL */
	char url[256], *buf;		 /* BUFFER bytes */
	struct direction up, down;
	uint64_t cookie, next_look_ns;
	struct kerf_bpf *bpf;		  /* or NULL */
	const struct kerf_link_rec *link; /* of its region, KERF_STATE_LINKS; NULL: none */
	uint32_t slot;			  /* where our connection is in link */
	uint64_t seen_ns;		  /* its last record's updated_ns */
	struct sample *sample; /* o->count of them */
	long n_sample;
};

static const char help[] =
	"usage: kerf bench --transfers http://HOST:PORT [OPTIONS]\n"
	"\n"
	"Sends tensors to a node's sink over one connection, predicts each before it begins, and\n"
	"tells how long they took and how far the predictions were off.\n"
	"\n"
	"  --sizes LIST     bytes, with K (1000) or M (1000000) (default 100K,250K,500K,1M,2M,4M)\n"
	"  --count N        transfers, each of a size drawn from the list (default 60)\n"
	"  --seed N         of the draw (default 1)\n"
	"  --down           fetch from the node's source instead\n"
	"  --gap MS         pause between transfers (default 0)\n"
	"  --at N=COMMAND   run a shell command before transfer N (from 1) and mark the trace with the\n"
	"                   first line it prints, or with itself; as often as needed\n"
	"  --bpf            look with BPF programs too; predictions are then made from what those see\n"
	"  --trace FILE     record the connection, the transfers and the marks\n"
	"  --insecure       talk plain TCP to other than loopback\n"
	"  --json           machine-readable output\n";

/* --- What goes into the trace --- */

static int put(struct transfers *t, struct kerf_trace_rec *rec)
{
	rec->t_ns = kerf_now_ns();
	return t->trace ? kerf_trace_put(t->trace, rec) : 0;
}

static int put_node(struct transfers *t)
{
	struct kerf_trace_rec rec = {.kind = KERF_TRACE_NODE, .node = NODE};
	struct kerf_node_state *node = &rec.u.node;
	uint64_t now = kerf_now_ns();

	memcpy(node->url, t->url, strlen(t->url));
	node->connections = 1;
	kerf_predictor_estimate(t->up.predictor, now, &node->up);
	kerf_predictor_estimate(t->down.predictor, now, &node->down);
	return put(t, &rec);
}

/* Ours is the sending end of what goes up; the other way it is the node's, unseen here. */
static int saw(struct transfers *t, const struct kerf_link_rec *link)
{
	struct kerf_trace_rec rec = {.kind = KERF_TRACE_LINK, .u.link = *link};

	if ((link->source == KERF_SOURCE_TCP_INFO) == !t->link)
		kerf_predictor_link(t->up.predictor, link);
	return put(t, &rec);
}

/* What a program last wrote of our connection, if that is new. */
static int look_at_record(struct transfers *t)
{
	struct kerf_link_rec link;
	uint32_t i;

	for (i = 0; i < KERF_STATE_LINKS; i++) {
		uint32_t k = (t->slot + i) % KERF_STATE_LINKS;

		if (!kerf_record_read(&t->link[k], &link, sizeof(link)) ||
		    link.life != KERF_LINK_LIVE || link.cookie != t->cookie)
			continue;
		t->slot = k;
		if (link.updated_ns == t->seen_ns)
			return 0;
		t->seen_ns = link.updated_ns;
		return saw(t, &link);
	}
	return 0;
}

/* Looks at the connection. */
static int look(struct transfers *t)
{
	struct kerf_link_rec link;
	uint64_t now = kerf_now_ns();
	int r = kerf_tcp_info_read(kerf_wire_fd(t->wire), now, &link);

	if (r)
		return r;
	t->cookie = link.cookie;
	t->next_look_ns = now + LOOK_NS;
	r = saw(t, &link);
	return r || !t->link ? r : look_at_record(t);
}

/* A direction of an exchange is over. Returns how long it took in *s if that is wanted. */
static int ended(struct transfers *t, const struct kerf_transfer *transfer, uint32_t size,
		 bool counts)
{
	struct direction *d = transfer->down ? &t->down : &t->up;
	struct kerf_trace_rec rec = {.kind = KERF_TRACE_TRANSFER, .node = NODE,
				     .u.transfer = *transfer};

	if (d->before.rate_bytes_s)
		rec.predicted_s = kerf_estimate_s(&d->before, (double)transfer->bytes, &rec.low_s,
						  &rec.high_s);
	kerf_predictor_learn(d->predictor, transfer);
	if (counts)
		t->sample[t->n_sample++] = (struct sample){
			.size = size,
			.took_s = (double)(transfer->end_ns - transfer->start_ns -
					   transfer->hold_ns) * 1e-9,
			.predicted_s = rec.predicted_s,
			.low_s = rec.low_s,
			.high_s = rec.high_s,
		};
	return put(t, &rec);
}

/* --- An exchange --- */

/* Until the connection can go on, looking at it from time to time. */
static int wait_for(struct transfers *t, short events)
{
	struct pollfd pfd = {.fd = kerf_wire_fd(t->wire), .events = events};
	uint64_t begin = kerf_now_ns(), now = begin;
	int n, r;

	while (now - begin < STALL_NS) {
		uint64_t left = t->next_look_ns > now ? t->next_look_ns - now : 0;

		n = poll(&pfd, 1, (int)((left + 999999) / 1000000));
		if (n > 0)
			return 0;
		if (n < 0 && errno != EINTR)
			return -errno;
		r = look(t);
		if (r)
			return r;
		now = kerf_now_ns();
	}
	return -ETIMEDOUT;
}

static int send_all(struct transfers *t, const char *data, size_t n)
{
	while (n) {
		ssize_t k = kerf_wire_send(t->wire, data, n);
		int r = 0;

		if (!k)
			r = wait_for(t, POLLOUT);
		else if (k > 0 && kerf_now_ns() >= t->next_look_ns)
			r = look(t);
		if (k < 0 || r < 0)
			return k < 0 ? (int)k : r;
		data += k;
		n -= (size_t)k;
	}
	return 0;
}

/* -EPIPE: the node has closed. Never 0 bytes. */
static ssize_t recv_some(struct transfers *t, char *to, size_t n)
{
	for (;;) {
		ssize_t k = kerf_wire_recv(t->wire, to, n);
		int r;

		if (k)
			return k;
		r = wait_for(t, POLLIN);
		if (r)
			return r;
	}
}

struct reply {
	struct kerf_http_head head;
	size_t have, body_at;
	uint64_t first_ns; /* its first read was over */
	size_t first_bytes;
};

static int recv_head(struct transfers *t, struct reply *p)
{
	ssize_t k;

	p->have = 0;
	for (;;) {
		k = recv_some(t, t->buf + p->have, KERF_HTTP_REPLY_HEAD_MAX - p->have);
		if (k < 0)
			return (int)k;
		if (!p->have) {
			p->first_ns = kerf_now_ns();
			p->first_bytes = (size_t)k;
		}
		p->have += (size_t)k;
		k = kerf_http_head_parse(t->buf, p->have, &p->head);
		if (k < 0)
			return (int)k;
		if (k)
			break;
		if (p->have == KERF_HTTP_REPLY_HEAD_MAX)
			return -EMSGSIZE;
	}
	p->body_at = (size_t)k;
	return p->head.length < p->have - p->body_at ? -EPROTO : 0;
}

static int recv_body(struct transfers *t, const struct reply *p)
{
	uint64_t left = p->head.length - (p->have - p->body_at);

	while (left) {
		ssize_t k = recv_some(t, t->buf, KERF_MIN(left, BUFFER));

		if (k < 0)
			return (int)k;
		left -= (uint64_t)k;
		if (kerf_now_ns() >= t->next_look_ns) {
			int r = look(t);

			if (r)
				return r;
		}
	}
	return 0;
}

static int check_reply(struct transfers *t, const struct reply *p, size_t bytes,
		       struct kerf_err *err)
{
	if (p->head.status != 200)
		return kerf_fail(err, -EPROTO, "%s: HTTP status %d", t->url, p->head.status);
	if (p->head.hold_ns < 0)
		return kerf_fail(err, -EPROTO, "%s: no Kerf-Hold-Ns: is it a kerf node of this version?",
				 t->url);
	if (p->head.close)
		return kerf_fail(err, -EPIPE, "%s: closes the connection", t->url);
	if (t->o->down ? p->head.length != bytes : p->head.length > BUFFER)
		return kerf_fail(err, -EPROTO, "%s: a reply of %llu bytes, expected %s%zu", t->url,
				 (unsigned long long)p->head.length, t->o->down ? "" : "at most ",
				 t->o->down ? bytes : (size_t)BUFFER);
	return 0;
}

/* The connection's bytes, or a negative errno. */
static int64_t send_request(struct transfers *t, size_t bytes)
{
	char head[512];
	size_t body = t->o->down ? 0 : bytes, left;
	int n, r;

	if (t->o->down)
		n = snprintf(head, sizeof(head),
			     "GET /kerf/v1/source?bytes=%zu HTTP/1.1\r\nHost: %s\r\n\r\n", bytes, t->host);
	else
		n = snprintf(head, sizeof(head),
			     "POST /kerf/v1/sink HTTP/1.1\r\nHost: %s\r\nContent-Length: %zu\r\n\r\n",
			     t->host, bytes);
	r = send_all(t, head, (size_t)n);
	for (left = body; !r && left; left -= KERF_MIN(left, BUFFER))
		r = send_all(t, t->buf, KERF_MIN(left, BUFFER));
	return r ? r : (int64_t)body + n;
}

static int exchange(struct transfers *t, uint32_t size, struct kerf_err *err)
{
	struct kerf_transfer up = {.down = 0}, down = {.down = 1};
	struct reply p = {.have = 0};
	uint64_t now;
	int64_t sent;
	int r = look(t);

	if (r)
		return r;
	now = kerf_now_ns();
	kerf_predictor_estimate(t->up.predictor, now, &t->up.before);
	kerf_predictor_estimate(t->down.predictor, now, &t->down.before);
	up.cookie = down.cookie = t->cookie;
	up.start_ns = kerf_now_ns();
	sent = send_request(t, t->o->size[size]);
	if (sent < 0)
		return (int)sent;
	up.bytes = (uint64_t)sent;
	r = recv_head(t, &p);
	if (!r)
		r = check_reply(t, &p, t->o->size[size], err);
	if (r)
		return r;
	up.end_ns = p.first_ns;
	up.hold_ns = (uint64_t)p.head.hold_ns;
	/* A node that held longer than we waited has another idea of a second. */
	if (up.hold_ns >= up.end_ns - up.start_ns)
		return kerf_fail(err, -EPROTO, "%s: Kerf-Hold-Ns is %llu, more than the exchange took",
				 t->url, (unsigned long long)up.hold_ns);
	r = ended(t, &up, size, !t->o->down);
	if (!r)
		r = recv_body(t, &p);
	if (r)
		return r;
	down.start_ns = p.first_ns;
	down.end_ns = kerf_now_ns();
	down.bytes = p.body_at + p.head.length - p.first_bytes;
	if (down.bytes)
		r = ended(t, &down, size, t->o->down);
	if (!r)
		r = look(t);
	return r ? r : put_node(t);
}

/* --- All of them --- */

/* Runs a step's command; the trace is marked with the first line it prints, or with itself. */
static int run_step(struct transfers *t, const char *command, struct kerf_err *err)
{
	struct kerf_trace_rec rec = {.kind = KERF_TRACE_MARK};
	char line[sizeof(rec.u.mark)] = "", more[256];
	FILE *f;
	int status;

	fflush(stdout);
	f = popen(command, "r");
	if (!f)
		return kerf_fail(err, -errno, "--at: %s: %s", command, strerror(errno));
	if (fgets(line, sizeof(line), f))
		while (fgets(more, sizeof(more), f))
			;
	status = pclose(f);
	if (status)
		return kerf_fail(err, -EIO, "--at: '%s' ended with status %d", command,
				 WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status));
	line[strcspn(line, "\r\n")] = 0;
	snprintf(rec.u.mark, sizeof(rec.u.mark), "%.*s", (int)sizeof(line) - 1,
		 line[0] ? line : command);
	return put(t, &rec);
}

static int run(struct transfers *t, struct kerf_err *err)
{
	const struct options *o = t->o;
	const struct timespec gap = {.tv_sec = o->gap_ms / 1000,
				     .tv_nsec = o->gap_ms % 1000 * 1000000};
	struct kerf_rng rng;
	uint32_t s;
	long i;
	int r = put_node(t);

	kerf_rng_seed(&rng, (uint64_t)o->seed);
	for (i = 1; !r && i <= o->count; i++) {
		for (s = 0; s < o->n_step && !r; s++)
			if (o->step[s].before == i)
				r = run_step(t, o->step[s].command, err);
		if (r)
			break;
		r = exchange(t, (uint32_t)kerf_rng_below(&rng, o->n_size), err);
		if (r)
			kerf_fail(err, r, "%s: transfer %ld: %s", t->url, i, strerror(-r));
		else if (o->gap_ms && i < o->count)
			nanosleep(&gap, NULL);
	}
	return r;
}

/* The link programs, before there is a connection for them to see. */
static int open_bpf(struct transfers *t, struct kerf_err *err)
{
	const struct kerf_bpf_config cfg = {.best = KERF_SOURCE_BTF};
	size_t size;
	int fd, r = kerf_bpf_open(&cfg, &t->bpf, err);

	if (r)
		return r;
	t->link = kerf_bpf_region(t->bpf, KERF_REGION_LINKS, &fd, &size);
	if (t->link && size >= KERF_STATE_LINKS * sizeof(*t->link))
		return 0;
	return kerf_fail(err, -EOPNOTSUPP, "--bpf: %s", kerf_bpf_why(t->bpf, KERF_BPF_LINK));
}

static int transfers(const struct options *o, struct transfers *t, struct kerf_err *err)
{
	const char *rest;
	int r = kerf_url_split(o->url, t->url, sizeof(t->url), &t->host, &rest, err), end;

	if (r)
		return r;
	if (strlen(t->url) >= KERF_URL_BYTES)
		return kerf_fail(err, -EINVAL, "%s: longer than %d characters", t->url,
				 KERF_URL_BYTES - 1);
	t->o = o;
	t->buf = calloc(1, BUFFER);
	t->sample = calloc((size_t)o->count, sizeof(*t->sample));
	if (!t->buf || !t->sample)
		return -ENOMEM;
	r = kerf_predictor_open(NULL, &t->up.predictor, err);
	if (!r)
		r = kerf_predictor_open(NULL, &t->down.predictor, err);
	if (!r && o->bpf)
		r = open_bpf(t, err);
	if (!r)
		r = kerf_wire_open(t->url, o->insecure, &t->wire, err);
	if (!r && o->trace)
		r = kerf_trace_create(o->trace, &t->trace, err);
	if (!r)
		r = run(t, err);
	if (t->trace) {
		end = kerf_trace_finish(t->trace, err);
		r = r ? r : end;
	}
	return r;
}

static void finish(struct transfers *t)
{
	kerf_wire_close(t->wire);
	kerf_bpf_close(t->bpf);
	kerf_predictor_close(t->up.predictor);
	kerf_predictor_close(t->down.predictor);
	free(t->sample);
	free(t->buf);
}

/* --- The table --- */

struct row {
	struct kerf_bench_stats took_ms, predicted_ms, error; /* error: |predicted / took - 1| */
	uint32_t inside; /* of error.n: took between low and high */
};

/* Of one size, or of all (size: n_size). */
static int summarise(const struct transfers *t, uint32_t size, struct row *row)
{
	size_t n = (size_t)t->n_sample;
	double *v = calloc(3 * n + 1, sizeof(*v)), *predicted = v + n, *error = v + 2 * n;
	uint32_t n_took = 0, n_predicted = 0;
	long i;

	if (!v)
		return -ENOMEM;
	row->inside = 0;
	for (i = 0; i < t->n_sample; i++) {
		const struct sample *s = &t->sample[i];

		if (size < t->o->n_size && s->size != size)
			continue;
		v[n_took++] = s->took_s * 1e3;
		if (!(s->predicted_s > 0))
			continue;
		predicted[n_predicted] = s->predicted_s * 1e3;
		error[n_predicted++] = fabs(s->predicted_s / s->took_s - 1);
		row->inside += s->took_s >= s->low_s && s->took_s <= s->high_s;
	}
	kerf_bench_summarise(v, n_took, &row->took_ms);
	kerf_bench_summarise(predicted, n_predicted, &row->predicted_ms);
	kerf_bench_summarise(error, n_predicted, &row->error);
	free(v);
	return 0;
}

static void print_row(const struct row *row, size_t bytes, bool json)
{
	char name[32];
	uint32_t n = row->error.n;

	if (json) {
		printf("{");
		if (bytes)
			printf("\"bytes\":%zu,", bytes);
		printf("\"n\":%u,\"median_ms\":%.4f,\"p90_ms\":%.4f", row->took_ms.n,
		       row->took_ms.median, row->took_ms.p90);
		if (n)
			printf(",\"predicted_n\":%u,\"predicted_ms\":%.4f,\"error\":%.5f,\"error_p90\":%.5f,"
			       "\"coverage\":%.4f", n, row->predicted_ms.median, row->error.median,
			       row->error.p90, (double)row->inside / n);
		printf("}");
		return;
	}
	snprintf(name, sizeof(name), bytes ? "%zu" : "all", bytes);
	printf("| %s | %u | %.3f | %.3f | ", name, row->took_ms.n, row->took_ms.median,
	       row->took_ms.p90);
	if (n)
		printf("%.3f | %.2f | %.2f | %.0f |\n", row->predicted_ms.median, row->error.median * 100,
		       row->error.p90 * 100, 100.0 * row->inside / n);
	else
		printf("- | - | - | - |\n");
}

static int print(const struct transfers *t)
{
	const struct options *o = t->o;
	bool first = true;
	struct row row;
	uint32_t i;
	int r = 0;

	if (o->json)
		printf("{\"direction\":\"%s\",\"seed\":%ld,\"sizes\":[", o->down ? "down" : "up", o->seed);
	else
		printf("| bytes | n | median ms | p90 ms | predicted ms | median error %% | p90 error %% "
		       "| within 80 %% interval |\n|---|---|---|---|---|---|---|---|\n");
	for (i = 0; i <= o->n_size && !r; i++) {
		r = summarise(t, i, &row);
		if (r)
			break;
		if (!row.took_ms.n)
			continue; /* a size that was not drawn */
		if (o->json && !first)
			printf(i == o->n_size ? "],\"all\":" : ",");
		print_row(&row, i < o->n_size ? o->size[i] : 0, o->json);
		first = false;
	}
	if (o->json)
		printf("}\n");
	return r;
}

/* --- Options --- */

static int parse_size(const char *s, size_t *bytes, struct kerf_err *err)
{
	char *end;
	unsigned long long n;

	errno = 0;
	n = strtoull(s, &end, 10);
	if (*s >= '0' && *s <= '9' && !errno && n && n <= MAX_BYTES) {
		if (*end == 'K')
			n *= 1000, end++;
		else if (*end == 'M')
			n *= 1000000, end++;
		if (!*end && n <= MAX_BYTES) {
			*bytes = (size_t)n;
			return 0;
		}
	}
	return kerf_fail(err, -EINVAL, "--sizes '%s': expected 1 to %u bytes, K (1000) or M (1000000)", s,
			 MAX_BYTES);
}

static int parse_sizes(struct options *o, char *arg, struct kerf_err *err)
{
	char *save, *s;
	int r = 0;

	o->n_size = 0;
	for (s = strtok_r(arg, ",", &save); s && !r; s = strtok_r(NULL, ",", &save)) {
		if (o->n_size == MAX_SIZES)
			return kerf_fail(err, -E2BIG, "--sizes: more than %d", MAX_SIZES);
		r = parse_size(s, &o->size[o->n_size++], err);
	}
	return r || o->n_size ? r : kerf_fail(err, -EINVAL, "--sizes: expected one or more");
}

static int parse_step(struct options *o, char *arg, struct kerf_err *err)
{
	struct step *step = &o->step[o->n_step];
	char *command = strchr(arg, '=');

	if (!command || !command[1])
		return kerf_fail(err, -EINVAL, "--at '%s': expected N=COMMAND", arg);
	if (o->n_step == MAX_STEPS)
		return kerf_fail(err, -E2BIG, "--at: more than %d", MAX_STEPS);
	*command++ = 0;
	step->command = command;
	o->n_step++;
	return kerf_cli_number("--at", arg, 1, MAX_COUNT, &step->before, err);
}

static int parse(int argc, char **argv, struct options *o, struct kerf_err *err)
{
	static const struct option longs[] = {
		{"sizes", required_argument, NULL, 's'}, {"count", required_argument, NULL, 'n'},
		{"seed", required_argument, NULL, 'S'},	 {"down", no_argument, NULL, 'd'},
		{"gap", required_argument, NULL, 'g'},	 {"at", required_argument, NULL, 'a'},
		{"bpf", no_argument, NULL, 'b'},
		{"trace", required_argument, NULL, 't'}, {"insecure", no_argument, NULL, 'k'},
		{"json", no_argument, NULL, 'j'},	 {"help", no_argument, NULL, 'h'},
		{0},
	};
	uint32_t i;
	int c, r = 0;

	optind = 1;
	while (!r && (c = getopt_long(argc, argv, "h", longs, NULL)) != -1) {
		switch (c) {
		case 's': r = parse_sizes(o, optarg, err); break;
		case 'n': r = kerf_cli_number("--count", optarg, 1, MAX_COUNT, &o->count, err); break;
		case 'S': r = kerf_cli_number("--seed", optarg, 0, INT32_MAX, &o->seed, err); break;
		case 'd': o->down = true; break;
		case 'g': r = kerf_cli_number("--gap", optarg, 0, 60000, &o->gap_ms, err); break;
		case 'a': r = parse_step(o, optarg, err); break;
		case 'b': o->bpf = true; break;
		case 't': o->trace = optarg; break;
		case 'k': o->insecure = true; break;
		case 'j': o->json = true; break;
		case 'h': return 1;
		default:
			return kerf_fail(err, -EINVAL, "'kerf bench --transfers --help' tells the options");
		}
	}
	if (!r && optind != argc - 1)
		r = kerf_fail(err, -EINVAL, "expected one node, http://HOST:PORT");
	if (!r)
		o->url = argv[optind];
	for (i = 0; i < o->n_step && !r; i++)
		if (o->step[i].before > o->count)
			r = kerf_fail(err, -EINVAL, "--at %ld: there are %ld transfers",
				      o->step[i].before, o->count);
	return r;
}

int kerf_bench_transfers(int argc, char **argv)
{
	struct options o = {.size = {100000, 250000, 500000, 1000000, 2000000, 4000000},
			    .n_size = 6,
			    .count = 60,
			    .seed = 1};
	struct transfers t = {.n_sample = 0};
	struct kerf_err err = {""};
	int r = parse(argc, argv, &o, &err);

	if (r > 0) {
		fputs(help, stdout);
		return KERF_EXIT_OK;
	}
	if (r) {
		kerf_cli_fail(&err, r);
		return KERF_EXIT_USAGE;
	}
	signal(SIGPIPE, SIG_IGN);
	r = transfers(&o, &t, &err);
	if (!r)
		r = print(&t);
	finish(&t);
	return r ? kerf_cli_fail(&err, r) : KERF_EXIT_OK;
}
