/* SPDX-License-Identifier: MIT */
/* The telemetry object: each step of its ladder, peers that come and go, reports, readers. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "telemetry/load_text.h"
#include "telemetry/predict.h"
#include "telemetry/publish.h"
#include "telemetry/record.h"
#include "telemetry/tcp_info.h"
#include "telemetry/peers.h"
#include "telemetry/telemetry.h"
#include "util/clock.h"
#include "util/rng.h"

#define URL "http://10.0.0.2:8470"
#define PATIENCE_NS 10000000000ull /* for what comes with the next samples */

static struct kerf_telemetry *open_at(enum kerf_source best)
{
	const struct kerf_telemetry_config cfg = {.best = best, .period_ms = 2};
	struct kerf_telemetry *t;
	struct kerf_err err = {""};

	if (kerf_telemetry_open(&cfg, &t, &err))
		fail_msg("%s", err.msg);
	return t;
}

/*
 * The state as it is after at least n further samples. A sample that has begun may have looked
 * before what is tried was done: only those that begin from here on count.
 */
static void state_after(struct kerf_telemetry *t, int n, struct kerf_state *s)
{
	uint64_t last = kerf_now_ns(), until = last + PATIENCE_NS;

	while (n > 0 && kerf_now_ns() < until) {
		kerf_telemetry_state(t, s);
		if (s->updated_ns > last) {
			last = s->updated_ns;
			n--;
		}
		usleep(200);
	}
	assert_int_equal(n, 0);
}

static const struct kerf_node_state *peer(const struct kerf_state *s, const char *url)
{
	uint32_t i;

	for (i = 1; i < s->n_node; i++)
		if (!strcmp(s->node[i].url, url))
			return &s->node[i];
	return NULL;
}

static void tell_transfer(const struct kerf_observer *o, const char *url, uint64_t bytes,
			  uint64_t took_ns, bool down)
{
	uint64_t now = kerf_now_ns();
	struct kerf_transfer tr = {.start_ns = now - took_ns, .end_ns = now, .bytes = bytes,
				   .down = down};

	o->transfer(o->user, url, &tr);
}

/* --- the ladder --- */

static void each_step_stands(void **state)
{
	static const enum kerf_source best[] = {KERF_SOURCE_RUNTIME, KERF_SOURCE_PROC,
						KERF_SOURCE_TCP_INFO, KERF_SOURCE_BPF,
						KERF_SOURCE_BTF, KERF_SOURCE_NONE};
	static struct kerf_state s;
	size_t i;
	int r;

	for (i = 0; i < KERF_ARRAY_SIZE(best); i++) {
		enum kerf_source most = best[i] ? best[i] : KERF_SOURCE_BTF;
		struct kerf_telemetry *t = open_at(best[i]);
		struct kerf_state_head head;

		kerf_telemetry_head(t, &head);
		assert_int_equal(head.magic, KERF_STATE_MAGIC);
		assert_int_equal(head.version, KERF_STATE_VERSION);
		for (r = 0; r < KERF_N_REGION; r++) {
			assert_true(head.region[r].source <= most);
			assert_true(head.region[r].records > 0);
		}
		/* What a better source could do is said where it is not there. */
		if (head.region[KERF_REGION_LINKS].source < KERF_SOURCE_BTF)
			assert_true(head.region[KERF_REGION_LINKS].reason[0] != 0);
		state_after(t, 4, &s);
		assert_int_equal(s.n_node, 1);
		assert_true(s.window_ns > 0);
		if (most >= KERF_SOURCE_PROC) {
			assert_true(s.node[0].load.has & KERF_LOAD_HAS_CPU);
			assert_true(s.node[0].load.has & KERF_LOAD_HAS_MEMORY);
			assert_true(s.node[0].load.source != KERF_SOURCE_NONE);
			assert_true(s.node[0].load.source <= most);
			assert_true(s.node[0].load.n_cpu > 0);
		} else {
			assert_int_equal(s.node[0].load.has, 0);
		}
		kerf_telemetry_close(t);
	}
}

/* Roots with nothing in them: no figure, no error, and nothing made up. */
static void nothing_to_read(void **state)
{
	char dir[] = "/tmp/kerf-telemetry-XXXXXX";
	struct kerf_telemetry_config cfg = {.best = KERF_SOURCE_TCP_INFO, .period_ms = 2};
	static struct kerf_state s;
	struct kerf_telemetry *t;

	assert_non_null(mkdtemp(dir));
	cfg.proc = cfg.sys = dir;
	assert_int_equal(kerf_telemetry_open(&cfg, &t, NULL), 0);
	state_after(t, 4, &s);
	assert_int_equal(s.node[0].load.has & ~(KERF_LOAD_HAS_CPU | KERF_LOAD_HAS_RT), 0);
	assert_int_equal(s.node[0].load.fair_permille, 0);
	assert_int_equal(s.node[0].load.memory_bytes, 0);
	kerf_telemetry_close(t);
	rmdir(dir);
}

/* A node says nothing that another would refuse. */
static void own_report_is_believed(void **state)
{
	struct kerf_telemetry *t = open_at(KERF_SOURCE_TCP_INFO);
	struct kerf_node_load load;
	struct kerf_err err = {""};
	char text[KERF_LOAD_TEXT];
	static struct kerf_state s;
	int i;

	for (i = 0; i < 20; i++) {
		size_t n = kerf_telemetry_load_text(t, text, sizeof(text));

		if (kerf_load_parse(text, n, 1, &load, &err))
			fail_msg("'%s': %s", text, err.msg);
		state_after(t, 1, &s);
	}
	kerf_telemetry_close(t);
}

/* --- connections --- */

struct pair {
	int client, server;
};

static struct pair connect_pair(void)
{
	struct sockaddr_in to = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
	socklen_t n = sizeof(to);
	int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct pair p;

	assert_int_equal(bind(listener, (struct sockaddr *)&to, n), 0);
	assert_int_equal(listen(listener, 1), 0);
	assert_int_equal(getsockname(listener, (struct sockaddr *)&to, &n), 0);
	p.client = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(connect(p.client, (struct sockaddr *)&to, n), 0);
	p.server = accept(listener, NULL, NULL);
	assert_true(p.server >= 0);
	close(listener);
	return p;
}

static void push(const struct pair *p, size_t bytes)
{
	static char block[65536];

	while (bytes) {
		size_t n = KERF_MIN(bytes, sizeof(block)), got = 0;

		assert_int_equal(write(p->client, block, n), (ssize_t)n);
		while (got < n) {
			ssize_t r = read(p->server, block, n - got);

			assert_true(r > 0);
			got += (size_t)r;
		}
		bytes -= n;
	}
}

/* Emulators of another machine's user space do not pass TCP_INFO or cookies on. */
static bool kernel_tells(const struct pair *p)
{
	struct kerf_link_rec rec;

	return !kerf_tcp_info_read(p->client, 1, &rec) && rec.cookie;
}

static void connection_is_measured(enum kerf_source best)
{
	struct kerf_telemetry *t = open_at(best);
	const struct kerf_observer *o = kerf_telemetry_observer(t);
	struct pair p = connect_pair();
	const struct kerf_node_state *n;
	static struct kerf_state s;
	uint64_t until = kerf_now_ns() + PATIENCE_NS;

	if (!kernel_tells(&p)) {
		kerf_telemetry_close(t);
		close(p.client);
		close(p.server);
		skip();
	}
	o->connected(o->user, URL, p.client);
	do {
		push(&p, 1 << 20);
		kerf_telemetry_state(t, &s);
		n = peer(&s, URL);
	} while ((!n || !n->rtt_us || !n->goodput_bytes_s) && kerf_now_ns() < until);
	assert_non_null(n);
	assert_int_equal(n->connections, 1);
	assert_in_range(n->rtt_us, 1, 1000000);
	assert_true(n->goodput_bytes_s > 0);
	/* The socket closes; what is known of the path stays. */
	o->disconnected(o->user, URL, p.client);
	close(p.client);
	close(p.server);
	state_after(t, 4, &s);
	n = peer(&s, URL);
	assert_non_null(n);
	assert_int_equal(n->connections, 0);
	assert_true(n->rtt_us > 0);
	assert_int_equal(n->goodput_bytes_s, 0);
	kerf_telemetry_close(t);
}

static void by_tcp_info(void **state)
{
	connection_is_measured(KERF_SOURCE_TCP_INFO);
}

/* By programs where they may be loaded; where not, it falls back. */
static void by_the_best(void **state)
{
	connection_is_measured(KERF_SOURCE_NONE);
}

/* The number of a socket that closed without a word is not taken for another's. */
static void reused_numbers(void **state)
{
	struct kerf_telemetry *t = open_at(KERF_SOURCE_TCP_INFO);
	const struct kerf_observer *o = kerf_telemetry_observer(t);
	struct pair a = connect_pair(), b = connect_pair();
	static struct kerf_state s;

	o->connected(o->user, URL, a.client);
	/* Now a.client is b's connection, unannounced. */
	assert_int_equal(dup2(b.client, a.client), a.client);
	push(&b, 1 << 20);
	state_after(t, 4, &s);
	assert_int_equal(peer(&s, URL)->goodput_bytes_s, 0);
	o->connected(o->user, "http://b:1", a.client);
	state_after(t, 1, &s);
	assert_int_equal(peer(&s, URL)->connections, 0);
	assert_int_equal(peer(&s, "http://b:1")->connections, 1);
	close(a.client);
	close(a.server);
	close(b.client);
	close(b.server);
	kerf_telemetry_close(t);
}

/* --- peers that come and go --- */

#define FIRST_FD 100000 /* of descriptors that nobody has: only the tables are tried */

static uint32_t connections(struct kerf_telemetry *t, uint32_t *peers)
{
	static struct kerf_state s;
	uint32_t i, n = 0;

	state_after(t, 1, &s);
	for (i = 1, *peers = 0; i < s.n_node; i++) {
		n += s.node[i].connections;
		*peers += s.node[i].url[0] != 0;
	}
	return n;
}

static void no_slot_leaks(void **state)
{
	struct kerf_telemetry *t = open_at(KERF_SOURCE_TCP_INFO);
	const struct kerf_observer *o = kerf_telemetry_observer(t);
	uint32_t peers, i, k;
	char url[64];

	for (i = 0; i < 10000; i++) {
		snprintf(url, sizeof(url), "http://node-%u:8470", i % 300);
		o->connected(o->user, url, FIRST_FD + (int)(i % 7));
		o->disconnected(o->user, url, FIRST_FD + (int)(i % 7));
	}
	assert_int_equal(connections(t, &peers), 0);
	assert_int_equal(peers, KERF_STATE_NODES - 1);
	for (k = 0; k < 40; k++) {
		for (i = 0; i < KERF_STATE_LINKS; i++) {
			snprintf(url, sizeof(url), "http://node-%u:8470", i % 64);
			o->connected(o->user, url, FIRST_FD + (int)i);
		}
		/* One too many is not counted, and takes nothing from the others. */
		o->connected(o->user, "http://node-0:8470", FIRST_FD + KERF_STATE_LINKS);
		if (k % 20 == 0)
			assert_int_equal(connections(t, &peers), KERF_STATE_LINKS);
		o->disconnected(o->user, "http://node-0:8470", FIRST_FD + KERF_STATE_LINKS);
		for (i = 0; i < KERF_STATE_LINKS; i++) {
			snprintf(url, sizeof(url), "http://node-%u:8470", i % 64);
			o->disconnected(o->user, url, FIRST_FD + (int)i);
		}
	}
	assert_int_equal(connections(t, &peers), 0);
	kerf_telemetry_close(t);
}

static bool all_measured(const struct kerf_state *s)
{
	uint32_t i;

	for (i = 1; i < s->n_node; i++)
		if (s->node[i].connections != KERF_STATE_LINKS / (KERF_STATE_NODES - 1) ||
		    !s->node[i].rtt_us)
			return false;
	return s->n_node == KERF_STATE_NODES;
}

/* As many connections as are measured, real ones, over and over: each time all of them are seen. */
static void all_at_once(void **state)
{
	struct kerf_telemetry *t = open_at(KERF_SOURCE_NONE);
	const struct kerf_observer *o = kerf_telemetry_observer(t);
	static struct pair p[KERF_STATE_LINKS];
	static struct kerf_state s;
	uint64_t until;
	int round, i;
	char url[64];

	for (round = 0; round < 4; round++) {
		for (i = 0; i < KERF_STATE_LINKS; i++) {
			p[i] = connect_pair();
			snprintf(url, sizeof(url), "http://node-%d-%d", round, i % 64);
			o->connected(o->user, url, p[i].client);
			push(&p[i], 10000);
		}
		until = kerf_now_ns() + PATIENCE_NS;
		do
			state_after(t, 1, &s);
		while (!all_measured(&s) && kernel_tells(&p[0]) && kerf_now_ns() < until);
		assert_true(all_measured(&s) || !kernel_tells(&p[0]));
		for (i = 0; i < KERF_STATE_LINKS; i++) {
			snprintf(url, sizeof(url), "http://node-%d-%d", round, i % 64);
			o->disconnected(o->user, url, p[i].client);
			close(p[i].client);
			close(p[i].server);
		}
	}
	kerf_telemetry_close(t);
}

static void the_idle_make_room(void **state)
{
	struct kerf_telemetry *t = open_at(KERF_SOURCE_TCP_INFO);
	const struct kerf_observer *o = kerf_telemetry_observer(t);
	static struct kerf_state s;
	char url[64];
	int i;

	for (i = 0; i < KERF_STATE_NODES - 1; i++) {
		snprintf(url, sizeof(url), "http://node-%d:8470", i);
		o->connected(o->user, url, FIRST_FD + i);
	}
	o->connected(o->user, URL, FIRST_FD + i);
	state_after(t, 1, &s);
	assert_null(peer(&s, URL));
	o->disconnected(o->user, "http://node-7:8470", FIRST_FD + 7);
	o->connected(o->user, URL, FIRST_FD + i);
	state_after(t, 1, &s);
	assert_int_equal(peer(&s, URL)->connections, 1);
	assert_null(peer(&s, "http://node-7:8470"));
	/* Names that are none. */
	memset(url, 'x', sizeof(url));
	o->connected(o->user, "", FIRST_FD + 200);
	o->transfer(o->user, "", &(struct kerf_transfer){.end_ns = 1, .bytes = 1});
	kerf_telemetry_close(t);
}

static void long_urls_are_left_out(void **state)
{
	struct kerf_telemetry *t = open_at(KERF_SOURCE_RUNTIME);
	const struct kerf_observer *o = kerf_telemetry_observer(t);
	static struct kerf_state s;
	struct kerf_link_estimate est;
	char url[KERF_URL_BYTES + 1];

	memset(url, 'x', KERF_URL_BYTES);
	url[KERF_URL_BYTES] = 0;
	tell_transfer(o, url, 1000000, 10000000, false);
	state_after(t, 1, &s);
	assert_int_equal(s.n_node, 1);
	kerf_telemetry_estimate(t, url, false, &est);
	assert_int_equal(est.rate_bytes_s, 0);
	url[KERF_URL_BYTES - 1] = 0;
	o->connected(o->user, url, FIRST_FD);
	state_after(t, 1, &s);
	assert_string_equal(s.node[1].url, url);
	kerf_telemetry_close(t);
}

/* --- transfers --- */

/* 10 MB/s, in sizes that tell rate from latency. A prediction holds the transfer before it. */
static void learned_at_once(void **state)
{
	struct kerf_telemetry *t = open_at(KERF_SOURCE_RUNTIME);
	const struct kerf_observer *o = kerf_telemetry_observer(t);
	struct kerf_link_estimate est;
	uint32_t i;

	kerf_telemetry_estimate(t, URL, false, &est);
	assert_int_equal(est.rate_bytes_s, 0);
	for (i = 1; i <= 20; i++) {
		uint64_t bytes = 100000 * (1 + i % 5);

		tell_transfer(o, URL, bytes, bytes * 100 + 2000000, false);
		kerf_telemetry_estimate(t, URL, false, &est);
		assert_int_equal(est.transfers, i);
	}
	assert_in_range(est.rate_bytes_s, 9000000, 11000000);
	/* The other direction is another. */
	kerf_telemetry_estimate(t, URL, true, &est);
	assert_int_equal(est.rate_bytes_s, 0);
	assert_int_equal(est.transfers, 0);
	kerf_telemetry_close(t);
}

/* The last rates of transfers there, in order, without small ones and without the other way. */
static void rates_are_kept(void **state)
{
	struct kerf_telemetry *t = open_at(KERF_SOURCE_RUNTIME);
	const struct kerf_observer *o = kerf_telemetry_observer(t);
	double rate[KERF_PEER_RATES + 1];
	uint64_t all = 9;
	uint32_t i;

	assert_int_equal(kerf_telemetry_rates(t, URL, rate, KERF_PEER_RATES, &all), 0);
	assert_int_equal(all, 0);
	for (i = 1; i <= 300; i++) {
		tell_transfer(o, URL, 1000000, 100000000 + i * 1000000, false);
		tell_transfer(o, URL, 1000, 1000000, false);
		tell_transfer(o, URL, 1000000, 1000000, true);
		if (i == 3) {
			assert_int_equal(kerf_telemetry_rates(t, URL, rate, KERF_PEER_RATES, &all),
					 3);
			assert_int_equal(all, 3);
			assert_true(rate[0] > 1e7 / 1.02 && rate[0] < 1e7 / 1.00);
		}
		if (i % 10 == 0)
			kerf_telemetry_rates(t, URL, NULL, 0, NULL);
	}
	assert_int_equal(kerf_telemetry_rates(t, URL, rate, KERF_PEER_RATES + 1, &all),
			 KERF_PEER_RATES);
	assert_int_equal(all, 300);
	/* Latency may be taken off, half of it at most. */
	for (i = 0; i < KERF_PEER_RATES; i++) {
		double plain = 1e6 / (0.1 + 1e-3 * (300 - KERF_PEER_RATES + 1 + i));

		assert_true(rate[i] > plain * (1 - 1e-9) && rate[i] < plain * 2.001);
	}
	assert_int_equal(kerf_telemetry_rates(t, URL, &rate[4], 1, NULL), 1);
	assert_true(rate[4] == rate[KERF_PEER_RATES - 1]);
	kerf_telemetry_close(t);
}

/*
 * Slices of one plan are of one size. Their time says nothing of how it divides into latency and
 * rate; a plan with larger ones must not be told that they take no longer.
 */
static void one_size_is_no_latency(void **state)
{
	struct kerf_telemetry *t = open_at(KERF_SOURCE_RUNTIME);
	const struct kerf_observer *o = kerf_telemetry_observer(t);
	struct kerf_link_estimate est;
	struct kerf_rng rng;
	double low, high;
	int i;

	kerf_rng_seed(&rng, 4);
	for (i = 0; i < 200; i++) {
		/* The link changes now and then, so estimators that begin anew do so. */
		uint64_t took = i / 25 % 2 ? 22000000 : 16000000;

		tell_transfer(o, URL, 50000, took + kerf_rng_next(&rng) % 500000, false);
		kerf_telemetry_estimate(t, URL, false, &est);
		assert_true(kerf_estimate_s(&est, 1e6, &low, &high) > 0.1);
	}
	kerf_telemetry_close(t);
}

static void impossible_transfers(void **state)
{
	static const struct kerf_transfer bad[] = {
		{.start_ns = 5, .end_ns = 5, .bytes = 1},
		{.start_ns = 6, .end_ns = 5, .bytes = 1},
		{.start_ns = 5, .end_ns = 10, .hold_ns = 5, .bytes = 1},
		{.start_ns = 5, .end_ns = 10, .hold_ns = UINT64_MAX, .bytes = 1},
		{.start_ns = 5, .end_ns = 10},
	};
	struct kerf_telemetry *t = open_at(KERF_SOURCE_RUNTIME);
	const struct kerf_observer *o = kerf_telemetry_observer(t);
	struct kerf_link_estimate est;
	size_t i;

	for (i = 0; i < KERF_ARRAY_SIZE(bad); i++)
		o->transfer(o->user, URL, &bad[i]);
	kerf_telemetry_estimate(t, URL, false, &est);
	assert_int_equal(est.transfers, 0);
	assert_int_equal(est.rate_bytes_s, 0);
	kerf_telemetry_close(t);
}

/* --- peers' reports --- */

static void count_lines(void *user, const char *line)
{
	unsigned *n = user;

	assert_non_null(strstr(line, URL));
	++*n;
}

static void absurd_reports(void **state)
{
	unsigned warned = 0;
	const struct kerf_telemetry_config cfg = {.best = KERF_SOURCE_RUNTIME, .period_ms = 2,
						  .warn = count_lines, .warn_user = &warned};
	static const char good[] = "v=1 cpus=4 fair=1000 own=0 slowdown=1500",
			  bad[] = "v=1 cpus=4 fair=900000 own=0 slowdown=1000", junk[] = "\0\xff";
	static struct kerf_state s;
	const struct kerf_observer *o;
	struct kerf_telemetry *t;
	int i;

	assert_int_equal(kerf_telemetry_open(&cfg, &t, NULL), 0);
	o = kerf_telemetry_observer(t);
	o->load(o->user, URL, good, sizeof(good) - 1);
	for (i = 0; i < 5; i++)
		o->load(o->user, URL, bad, sizeof(bad) - 1);
	o->load(o->user, URL, junk, sizeof(junk) - 1);
	state_after(t, 1, &s);
	assert_int_equal(peer(&s, URL)->loads_refused, 6);
	assert_non_null(strstr(peer(&s, URL)->refused, "900000"));
	assert_int_equal(warned, 1);
	/* What was believed before stands, with its age. */
	assert_int_equal(peer(&s, URL)->load.fair_permille, 1000);
	assert_int_equal(peer(&s, URL)->load.source, KERF_SOURCE_PEER);
	assert_true(peer(&s, URL)->load.updated_ns < s.updated_ns);
	kerf_telemetry_close(t);
}

/* --- engines --- */

static uint32_t one_engine(void *user, struct kerf_engine_rec *out, uint32_t max)
{
	atomic_uint *calls = user;
	uint64_t n = atomic_fetch_add(calls, 1);

	assert_true(max >= KERF_STATE_ENGINES);
	*out = (struct kerf_engine_rec){.kind = KERF_ENGINE_RUNTIME, .source = KERF_SOURCE_RUNTIME,
					.name = "cpu", .queued = n + 2, .started = n + 1,
					.done = n};
	return 1;
}

static void engines_of_the_process(void **state)
{
	struct kerf_telemetry *t = open_at(KERF_SOURCE_RUNTIME);
	static struct kerf_state s;
	atomic_uint calls = 0;
	unsigned last;

	kerf_telemetry_engines(t, one_engine, &calls);
	state_after(t, 6, &s);
	assert_int_equal(s.node[0].load.n_engine, 1);
	assert_string_equal(s.node[0].load.engine[0].name, "cpu");
	assert_int_equal(s.node[0].load.engine[0].depth, 1);
	assert_int_equal(s.node[0].load.engine[0].running, 1);
	kerf_telemetry_engines(t, NULL, NULL);
	last = atomic_load(&calls);
	state_after(t, 6, &s);
	assert_int_equal(atomic_load(&calls), last);
	assert_int_equal(s.node[0].load.n_engine, 0);
	kerf_telemetry_close(t);
}

/* --- readers --- */

struct writer {
	struct kerf_telemetry *t;
	atomic_bool stop;
};

/* A plan whose fields all say the same. */
static void *note_plans(void *arg)
{
	struct writer *w = arg;
	uint64_t n = 0;

	while (!atomic_load(&w->stop)) {
		struct kerf_plan_note note = {.epoch = ++n, .predicted_ns = n, .observed_ns = n,
					      .requests = n};

		memset(note.reason, (int)('a' + n % 26), sizeof(note.reason) - 1);
		kerf_telemetry_plan(w->t, &note);
		tell_transfer(kerf_telemetry_observer(w->t), URL, 1000 + n, 1000000, n & 1);
	}
	return NULL;
}

static bool whole(const struct kerf_plan_note *p)
{
	size_t i;

	for (i = 0; i + 1 < sizeof(p->reason) && p->epoch; i++)
		if (p->reason[i] != (char)('a' + p->epoch % 26))
			return false;
	return p->predicted_ns == p->epoch && p->requests == p->epoch;
}

static void snapshots_are_whole(void **state)
{
	struct writer w = {.t = open_at(KERF_SOURCE_TCP_INFO)};
	static struct kerf_state s;
	struct kerf_state_reader r;
	struct kerf_err err = {""};
	char dir[] = "/tmp/kerf-telemetry-XXXXXX", path[64];
	struct kerf_transfer_rec tr = {0};
	uint64_t highest = 0;
	pthread_t thread;
	int i, read = 0;

	assert_non_null(mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/state.sock", dir);
	if (kerf_telemetry_publish(w.t, path, &err))
		fail_msg("%s", err.msg);
	assert_int_equal(kerf_telemetry_publish(w.t, path, NULL), -EBUSY);
	if (kerf_state_open(path, &r, &err))
		fail_msg("%s", err.msg);
	assert_true(kerf_state_alive(&r, kerf_now_ns()));
	assert_int_equal(r.head->pid, getpid());
	assert_int_equal(pthread_create(&thread, NULL, note_plans, &w), 0);
	for (i = 0; i < 2000; i++) {
		kerf_telemetry_state(w.t, &s);
		assert_true(whole(&s.plan));
		if (kerf_record_read(r.state, &s, sizeof(s))) {
			assert_true(whole(&s.plan));
			read++;
		}
	}
	assert_true(read > 0);
	atomic_store(&w.stop, true);
	pthread_join(thread, NULL);
	for (i = 0; i < KERF_STATE_TRANSFERS; i++) {
		assert_true(kerf_record_read(&r.transfer[i], &tr, sizeof(tr)));
		assert_int_equal(tr.number % KERF_STATE_TRANSFERS, tr.number ? (uint64_t)i : 0);
		if (tr.number)
			assert_int_equal(tr.node, 1);
		highest = KERF_MAX(highest, tr.number);
	}
	assert_true(highest > 0);
	kerf_telemetry_close(w.t);
	/* Readers keep what they have mapped when the publisher is gone. */
	assert_true(kerf_record_read(r.state, &s, sizeof(s)));
	kerf_state_close(&r);
	assert_int_equal(rmdir(dir), 0);
}

/* Also where the program that counts the kernel's engines has none yet: it is loaded, and waits. */
static void engines_are_published(void **state)
{
	struct kerf_telemetry *t = open_at(KERF_SOURCE_NONE);
	char dir[] = "/tmp/kerf-telemetry-XXXXXX", path[64];
	struct kerf_state_reader r;
	struct kerf_state_head head;
	static struct kerf_state s;
	struct kerf_err err = {""};
	atomic_uint calls = 0;

	kerf_telemetry_engines(t, one_engine, &calls);
	assert_non_null(mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/state.sock", dir);
	if (kerf_telemetry_publish(t, path, &err) || kerf_state_open(path, &r, &err))
		fail_msg("%s", err.msg);
	state_after(t, 6, &s);
	kerf_telemetry_head(t, &head);
	if (head.region[KERF_REGION_ENGINES].source == KERF_SOURCE_RUNTIME) {
		assert_int_equal(r.engine[0].kind, KERF_ENGINE_RUNTIME);
		assert_string_equal(r.engine[0].name, "cpu");
		assert_int_equal(r.engine[1].kind, KERF_ENGINE_NONE);
	}
	kerf_state_close(&r);
	kerf_telemetry_close(t);
	assert_int_equal(rmdir(dir), 0);
}

/* A socket that cannot be made is said, and telemetry goes on without. */
static void nowhere_to_publish(void **state)
{
	struct kerf_telemetry *t = open_at(KERF_SOURCE_RUNTIME);
	struct kerf_err err = {""};
	static struct kerf_state s;

	assert_true(kerf_telemetry_publish(t, "/proc/nowhere/state.sock", &err) < 0);
	assert_true(err.msg[0] != 0);
	state_after(t, 2, &s);
	kerf_telemetry_close(t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_step_stands),
		cmocka_unit_test(nothing_to_read),
		cmocka_unit_test(own_report_is_believed),
		cmocka_unit_test(by_tcp_info),
		cmocka_unit_test(by_the_best),
		cmocka_unit_test(reused_numbers),
		cmocka_unit_test(no_slot_leaks),
		cmocka_unit_test(all_at_once),
		cmocka_unit_test(the_idle_make_room),
		cmocka_unit_test(long_urls_are_left_out),
		cmocka_unit_test(learned_at_once),
		cmocka_unit_test(rates_are_kept),
		cmocka_unit_test(one_size_is_no_latency),
		cmocka_unit_test(impossible_transfers),
		cmocka_unit_test(absurd_reports),
		cmocka_unit_test(engines_of_the_process),
		cmocka_unit_test(snapshots_are_whole),
		cmocka_unit_test(engines_are_published),
		cmocka_unit_test(nowhere_to_publish),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
