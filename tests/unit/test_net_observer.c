/* SPDX-License-Identifier: MIT */
/*
 * What an observer of the remote engine is told: connections, both directions of each job's
 * exchange, the peer's load; from a node as it is, and from one whose replies say absurd things
 * of it (a proxy in between writes other headers).
 */
#include "net_job.h"

#include "exec/cluster.h"
#include "net/listen.h"
#include "net/probe.h"
#include "util/clock.h"

#include <math.h>
#include <pthread.h>
#include <signal.h>

static struct test_node node;

/* --- What was told --- */

static struct {
	pthread_mutex_t lock;
	uint32_t connected, disconnected, started, up, down, load;
	struct kerf_transfer last_started, last_up, last_down;
	uint64_t up_bytes, down_bytes, most_bytes;
	char url[128], text[KERF_LOAD_TEXT];
	bool absurd;
} told = {.lock = PTHREAD_MUTEX_INITIALIZER};

static void begin(void **user)
{
	pthread_mutex_lock(&told.lock);
	told.absurd |= user != (void **)&told;
}

static void on_connected(void *user, const char *url, int fd)
{
	begin(user);
	told.connected++;
	told.absurd |= fd < 0;
	snprintf(told.url, sizeof(told.url), "%s", url);
	pthread_mutex_unlock(&told.lock);
}

static void on_disconnected(void *user, const char *url, int fd)
{
	uint64_t cookie;
	socklen_t n = sizeof(cookie);

	begin(user);
	told.disconnected++;
	/* It is about to be closed, and is not yet. */
	told.absurd |= getsockopt(fd, SOL_SOCKET, SO_COOKIE, &cookie, &n) != 0;
	pthread_mutex_unlock(&told.lock);
}

static void on_transfer(void *user, const char *url, const struct kerf_transfer *t)
{
	begin(user);
	told.absurd |= !t->cookie || !t->bytes || t->end_ns < t->start_ns || t->down > 1 ||
		       t->hold_ns > t->end_ns - t->start_ns || (t->down && t->hold_ns);
	if (t->down) {
		told.down++;
		told.last_down = *t;
		told.down_bytes += t->bytes;
	} else {
		told.up++;
		told.last_up = *t;
		told.up_bytes += t->bytes;
	}
	told.most_bytes = KERF_MAX(told.most_bytes, t->bytes);
	pthread_mutex_unlock(&told.lock);
}

static void on_started(void *user, const char *url, int fd, const struct kerf_transfer *t)
{
	uint64_t cookie = 0;
	socklen_t n = sizeof(cookie);

	begin(user);
	told.started++;
	told.last_started = *t;
	told.absurd |= getsockopt(fd, SOL_SOCKET, SO_COOKIE, &cookie, &n) || cookie != t->cookie ||
		       !t->bytes || !t->start_ns || t->end_ns || t->hold_ns || t->down;
	pthread_mutex_unlock(&told.lock);
}

static void on_load(void *user, const char *url, const char *text, size_t n)
{
	begin(user);
	told.load++;
	told.absurd |= !n || n >= sizeof(told.text);
	memcpy(told.text, text, KERF_MIN(n, sizeof(told.text) - 1));
	told.text[KERF_MIN(n, sizeof(told.text) - 1)] = 0;
	pthread_mutex_unlock(&told.lock);
}

static const struct kerf_observer observer = {&told, on_connected, on_disconnected, on_transfer,
					      on_load, on_started};

static void forget(void)
{
	told.connected = told.disconnected = told.started = told.up = told.down = told.load = 0;
	told.up_bytes = told.down_bytes = told.most_bytes = 0;
	told.text[0] = told.url[0] = 0;
}

/* --- The node's load --- */

static uint32_t asked;
static char load_now[KERF_LOAD_TEXT + 100] = "v=1 cpus=2";

static size_t load_text(void *user, char *text, size_t size)
{
	__atomic_add_fetch(&asked, 1, __ATOMIC_RELAXED);
	return (size_t)snprintf(text, size, "%s", load_now);
}

static int setup(void **state)
{
	struct kerf_node_config cfg = {.slice_bytes = 256 << 20, .load_text = load_text};

	net_open(&node, &cfg, "N");
	return 0;
}

static int teardown(void **state)
{
	net_close(&node);
	return 0;
}

/* --- A proxy that rewrites one header of replies --- */

struct proxy {
	int listener;
	uint16_t port;
	const char *find, *line; /* the line that begins with find becomes line */
	uint32_t pause_us;	 /* after each piece of a reply */
	pthread_t thread, pump[16];
	uint32_t n_pump;
};

/* Copies n bytes of buf to out with the header rewritten; out has room. How many. */
static size_t rewrite(const struct proxy *p, const char *buf, size_t n, char *out)
{
	const char *at = memmem(buf, n, p->find, strlen(p->find)), *eol;
	size_t head, line = strlen(p->line);

	eol = at ? memmem(at, n - (size_t)(at - buf), "\r\n", 2) : NULL;
	if (!eol) {
		memcpy(out, buf, n);
		return n;
	}
	head = (size_t)(at - buf);
	memcpy(out, buf, head);
	memcpy(out + head, p->line, line);
	memcpy(out + head + line, eol, n - (size_t)(eol - buf));
	return head + line + n - (size_t)(eol - buf);
}

static void *pump(void *arg)
{
	struct proxy *p = ((void **)arg)[0];
	int client = (int)(intptr_t)((void **)arg)[1], server = net_connect(&node);
	static __thread char buf[65536], out[2 * 65536];
	ssize_t n = 1;

	free(arg);
	while (n > 0) {
		struct pollfd fd[2] = {{client, POLLIN, 0}, {server, POLLIN, 0}};

		if (poll(fd, 2, 20000) <= 0)
			break;
		if (fd[0].revents) {
			n = recv(client, buf, sizeof(buf), 0);
			if (n > 0)
				net_send(server, buf, (size_t)n);
		} else {
			n = recv(server, buf, sizeof(buf), 0);
			if (n > 0)
				net_send(client, out, rewrite(p, buf, (size_t)n, out));
			if (n > 0 && p->pause_us)
				usleep(p->pause_us);
		}
	}
	close(client);
	close(server);
	return NULL;
}

static void *accept_all(void *arg)
{
	struct proxy *p = arg;
	int fd;

	while ((fd = accept(p->listener, NULL, NULL)) >= 0) {
		void **two = malloc(2 * sizeof(*two));

		if (!two || p->n_pump == KERF_ARRAY_SIZE(p->pump))
			abort();
		two[0] = p;
		two[1] = (void *)(intptr_t)fd;
		if (pthread_create(&p->pump[p->n_pump++], NULL, pump, two))
			abort();
	}
	return NULL;
}

static void proxy_open(struct proxy *p, char *url)
{
	p->listener = kerf_listen("127.0.0.1:0", false, &p->port, NULL);
	assert_true(p->listener >= 0 &&
		    !pthread_create(&p->thread, NULL, accept_all, p));
	sprintf(url, "http://127.0.0.1:%u", p->port);
}

/* Whoever connected has closed. */
static void proxy_close(struct proxy *p)
{
	shutdown(p->listener, SHUT_RDWR);
	pthread_join(p->thread, NULL);
	while (p->n_pump)
		pthread_join(p->pump[--p->n_pump], NULL);
	close(p->listener);
}

/* --- Tests --- */

static void run(struct kerf_program *p, struct kerf_graph *g, struct kerf_job *times, int status)
{
	struct net_io io;

	net_io_init(&io, g, 1);
	assert_int_equal(kerf_engine_run(p, io.in, io.out, times), status);
	net_io_finish(&io);
}

/* What goes to the peer takes a part of the job, and what the peer held is in it. */
static void test_transfers(void **state)
{
	static const int64_t rows[] = {1, 1000, 200000};
	struct kerf_engine *e;
	unsigned i;

	forget();
	e = net_engine_watched(node.url, "ref", 1, &observer);
	assert_string_equal(told.url, node.url);
	for (i = 0; i < KERF_ARRAY_SIZE(rows); i++) {
		struct kerf_graph *g = net_load(&node, rows[i]);
		struct kerf_program *p = net_prepare(e, g);
		uint64_t bytes = (uint64_t)rows[i] * 5 * 4 * 2;
		struct kerf_job job;

		told.up = told.down = 0;
		run(p, g, &job, 0);
		assert_int_equal(told.up, 1);
		assert_int_equal(told.started, i + 1);
		assert_true(told.last_started.bytes == told.last_up.bytes);
		assert_true(told.last_started.start_ns == told.last_up.start_ns);
		assert_true(told.last_started.cookie == told.last_up.cookie);
		assert_true(told.last_up.bytes > bytes && told.last_up.bytes < bytes + 1024);
		assert_true(told.last_up.start_ns == job.start_ns);
		assert_true(told.last_up.end_ns <= job.end_ns);
		assert_true(job.busy_ns && told.last_up.hold_ns >= job.busy_ns);
		p->engine->ops->release(p);
		kerf_graph_unref(g);
	}
	assert_int_equal(told.connected, 1);
	assert_int_equal(told.disconnected, 0);
	kerf_engine_close(e);
	assert_int_equal(told.disconnected, 1);
	assert_false(told.absurd);
}

/*
 * The reply's way back is told if it was waited for, and then from the moment at which up ended.
 * The proxy holds the second half back; a client that did not run meanwhile tries again.
 */
static void test_way_back(void **state)
{
	struct proxy proxy = {.find = "Kerf-Busy-Ns:", .line = "Kerf-Busy-Ns: 7", .pause_us = 20000};
	uint64_t bytes = 3000 * 5 * 4 * 2;
	struct kerf_graph *g = net_load(&node, 3000);
	struct kerf_engine *e;
	struct kerf_program *p;
	struct kerf_job job;
	char url[64];
	int tries = 0;

	proxy_open(&proxy, url);
	e = net_engine_watched(url, "ref", 1, &observer);
	p = net_prepare(e, g);
	forget();
	do
		run(p, g, &job, 0);
	while (!told.down && tries++ < 50);
	assert_int_equal(told.down, 1);
	assert_int_equal(job.busy_ns, 7);
	assert_true(told.last_down.start_ns == told.last_up.end_ns);
	assert_true(told.last_down.end_ns <= job.end_ns);
	/* All but what the first read brought, which is 4 KiB at most. */
	assert_true(told.last_down.bytes < bytes + 4096 && told.last_down.bytes + 4096 > bytes);
	p->engine->ops->release(p);
	kerf_graph_unref(g);
	kerf_engine_close(e);
	proxy_close(&proxy);
	assert_false(told.absurd);
}

/* A job that the node refuses tells nothing of the link, and its load all the same. */
static void test_refused(void **state)
{
	struct kerf_engine *e = net_engine_watched(node.url, "ref", 1, &observer);
	struct kerf_graph *g = net_load(&node, 2);
	struct kerf_program *p = net_prepare(e, g);

	net_drop_slice(&node);
	forget();
	run(p, g, NULL, -EIO);
	assert_int_equal(told.up + told.down, 0);
	assert_int_equal(told.load, 1);
	p->engine->ops->release(p);
	kerf_graph_unref(g);
	kerf_engine_close(e);
	assert_false(told.absurd);
}

/* In the status when an engine is opened, in every reply, renewed now and then. */
static void test_load(void **state)
{
	struct kerf_graph *g = net_load(&node, 3);
	struct kerf_engine *e;
	struct kerf_program *p;
	uint64_t start = kerf_now_ns(), jobs = 0;
	uint32_t before = asked;

	forget();
	snprintf(load_now, sizeof(load_now), "v=1 cpus=2 fair=17");
	e = net_engine_watched(node.url, "ref", 1, &observer);
	assert_int_equal(told.load, 1);
	assert_memory_equal(told.text, "v=1 cpus=2", 10);
	p = net_prepare(e, g);
	do {
		run(p, g, NULL, 0);
		jobs++;
		assert_true(told.load <= 1 + jobs);
	} while (kerf_now_ns() - start < 120000000u ||
		 (strcmp(told.text, "v=1 cpus=2 fair=17") && jobs < 100000));
	assert_string_equal(told.text, "v=1 cpus=2 fair=17");
	/* Once at first, then once in 50 ms. */
	assert_true(told.load >= 2 && told.load <= 3 + (kerf_now_ns() - start) / 50000000u);
	assert_true(asked - before <= (kerf_now_ns() - start) / 50000000u + 1);
	/* Longer than it may be, and nothing at all: the first is cut to what is promised. */
	memset(load_now, 'a', sizeof(load_now) - 1);
	usleep(60000);
	run(p, g, NULL, 0);
	assert_int_equal(strlen(told.text), KERF_LOAD_TEXT - 1);
	load_now[0] = 0;
	usleep(60000);
	told.load = 0;
	run(p, g, NULL, 0);
	assert_int_equal(told.load, 0);
	snprintf(load_now, sizeof(load_now), "v=1 cpus=2");
	p->engine->ops->release(p);
	kerf_graph_unref(g);
	kerf_engine_close(e);
	assert_false(told.absurd);
}

static char long_load[3000] = "Kerf-Load: ";

/* Whatever a peer says of itself, jobs end well; what is absurd is not told. */
static void test_absurd_peer(void **state)
{
	static const struct {
		const char *find, *line;
		bool up, load;
	} c[] = {
		{"Kerf-Hold-Ns:", "Kerf-Hold-Ns: 0", true, true},
		{"Kerf-Hold-Ns:", "Somebody-Elses: 1", false, true},
		{"Kerf-Hold-Ns:", "Kerf-Hold-Ns: 9223372036854775807", false, true},
		{"Kerf-Hold-Ns:", "Kerf-Hold-Ns: 99999999999999999999", false, true},
		{"Kerf-Hold-Ns:", "Kerf-Hold-Ns: -1", false, true},
		{"Kerf-Hold-Ns:", "Kerf-Hold-Ns: soon", false, true},
		{"Kerf-Hold-Ns:", "Kerf-Hold-Ns:", false, true},
		{"Kerf-Busy-Ns:", "Kerf-Busy-Ns: 1e9", true, true},
		{"Kerf-Load:", "Somebody-Elses: 1", true, false},
		{"Kerf-Load:", "Kerf-Load:   ", true, false},
		{"Kerf-Load:", long_load, true, false},
		{"Kerf-Load:", "Kerf-Load: v=77 \x01\x80 cpus=-1", true, true},
	};
	struct kerf_graph *g = net_load(&node, 2000);
	unsigned i;

	memset(long_load + 11, 'x', sizeof(long_load) - 12);
	usleep(60000); /* the node has asked for its load anew */
	for (i = 0; i < KERF_ARRAY_SIZE(c); i++) {
		struct proxy proxy = {.find = c[i].find, .line = c[i].line};
		struct kerf_engine *e;
		struct kerf_program *p;
		char url[64];

		proxy_open(&proxy, url);
		e = net_engine_watched(url, "ref", 1, &observer);
		p = net_prepare(e, g);
		forget();
		run(p, g, NULL, 0);
		run(p, g, NULL, 0);
		if (told.up != (c[i].up ? 2u : 0u) || !told.load != !c[i].load)
			fail_msg("'%.40s': %u up, %u loads", c[i].line, told.up, told.load);
		p->engine->ops->release(p);
		kerf_engine_close(e);
		proxy_close(&proxy);
	}
	kerf_graph_unref(g);
	assert_false(told.absurd);
}

/* No more is sent than was allowed, all of it is told, and something is found. */
static void test_probe(void **state)
{
	struct kerf_probe_limits limits = kerf_probe_short;
	struct kerf_err err = {""};
	struct kerf_probe found;

	forget();
	limits.bytes = 100000;
	assert_int_equal(kerf_probe_run(node.url, false, &limits, &observer, &found, &err), 0);
	assert_true(told.up >= 2);
	assert_true(told.connected == 1 && told.disconnected == 1);
	assert_true(told.up_bytes <= limits.bytes && told.down_bytes <= limits.bytes + 20 * 4096);
	assert_true(found.bytes >= told.up_bytes + told.down_bytes && found.bytes < 250000);
	assert_true(found.up.rate_bytes_s && found.down.rate_bytes_s);
	/* A message each way is one of the probe's small exchanges. */
	assert_true(found.request_s > 0 && found.up.least_ns && found.down.least_ns);
	assert_true(fabs((double)(found.up.least_ns + found.down.least_ns) * 1e-9 -
			 found.request_s) < 1e-8);
	assert_true(found.down.latency_ns <= (int64_t)found.down.least_ns &&
		    found.up.latency_ns <= (int64_t)found.up.least_ns);
	assert_true(found.up.transfers == told.up && found.up.low_ppm < 1000000 &&
		    found.up.high_ppm > 1000000 && found.up.updated_ns <= kerf_now_ns());
	assert_string_equal(found.up.estimator, "probe");
	assert_false(told.absurd);
}

/* A node for the probe that says of its sink what it likes, and may let its source drip. */
struct liar {
	int listener;
	uint16_t port;
	const char *sink;
	bool drips;
	pthread_t thread;
};

/* A request's head, and its body away; false: the client has closed. */
static bool take_request(int fd, char *head, size_t size)
{
	static char body[65536];
	size_t n = 0, left;
	const char *length;
	ssize_t k;

	while (n + 1 < size && recv(fd, head + n, 1, 0) == 1) {
		head[++n] = 0;
		if (n < 4 || memcmp(head + n - 4, "\r\n\r\n", 4))
			continue;
		length = strstr(head, "Content-Length: ");
		for (left = length ? strtoul(length + 16, NULL, 10) : 0; left; left -= (size_t)k) {
			k = recv(fd, body, KERF_MIN(left, sizeof(body)), 0);
			if (k <= 0)
				return false;
		}
		return true;
	}
	return false;
}

static void *lie(void *arg)
{
	struct liar *l = arg;
	char head[512], reply[256];
	int fd = accept(l->listener, NULL, NULL);

	while (take_request(fd, head, sizeof(head))) {
		const char *source = strstr(head, "source?bytes=");
		const char *text = strstr(head, "sink") ? l->sink : "{}";
		size_t n = source ? strtoul(source + 13, NULL, 10) : strlen(text);

		snprintf(reply, sizeof(reply),
			 "HTTP/1.1 200 OK\r\nContent-Length: %zu\r\nKerf-Hold-Ns: 0\r\n\r\n", n);
		net_send(fd, reply, strlen(reply));
		if (!source)
			net_send(fd, text, n);
		while (source && n && (!l->drips || !usleep(5000)) && send(fd, "", 1, MSG_NOSIGNAL) == 1)
			n--;
	}
	close(fd);
	return NULL;
}

static int probe_liar(struct liar *l, const struct kerf_probe_limits *limits,
		      struct kerf_probe *found)
{
	char url[64];
	int r;

	l->listener = kerf_listen("127.0.0.1:0", false, &l->port, NULL);
	assert_true(l->listener >= 0 && !pthread_create(&l->thread, NULL, lie, l));
	snprintf(url, sizeof(url), "http://127.0.0.1:%u", l->port);
	r = kerf_probe_run(url, false, limits, NULL, found, NULL);
	pthread_join(l->thread, NULL);
	close(l->listener);
	return r;
}

/* Rates that cannot be are not taken: what was seen here stands for them. */
static void test_probe_of_a_liar(void **state)
{
	static const char *const sinks[] = {
		"{\"bytes\":1,\"ns\":1,\"bytes_s\":1e-300}", "{\"ns\":-5,\"bytes_s\":-1e300}",
		"{\"ns\":0,\"bytes_s\":NaN}", "{\"ns\":\"x\",\"bytes_s\":{}}", "{}",
		"{\"ns\":1,\"bytes_s\":1e400}",
	};
	struct kerf_probe_limits limits = kerf_probe_short;
	struct kerf_probe found;
	uint32_t i;

	limits.bytes = 20000;
	for (i = 0; i < KERF_ARRAY_SIZE(sinks); i++) {
		struct liar l = {.sink = sinks[i]};

		assert_int_equal(probe_liar(&l, &limits, &found), 0);
		assert_true(found.up.rate_bytes_s > 1000 && found.up.rate_bytes_s < 1e12);
		assert_true(llabs(found.up.latency_ns) < 10000000000);
	}
}

/* It never stalls, and would take minutes. */
static void test_probe_of_a_dripping_node(void **state)
{
	struct kerf_probe_limits limits = kerf_probe_short;
	struct liar l = {.sink = "{}", .drips = true};
	struct kerf_probe found;

	limits.wall_ms = 300;
	assert_int_equal(probe_liar(&l, &limits, &found), -ETIMEDOUT);
}

/* The links that a view does not know are probed, the others are left as they are. */
static void test_view(void **state)
{
	struct kerf_engine_config cfg = {.observer = &observer};
	struct kerf_profile_options opt = {.seconds = 0.01};
	struct kerf_link_estimate known = {.latency_ns = -5000000, .rate_bytes_s = 1000000,
					   .low_ppm = 900000, .high_ppm = 1200000,
					   .low_ns = 3000000};
	struct kerf_cluster_view view = {.slowdown = {0}};
	struct kerf_graph *g = net_load(&node, 10);
	struct kerf_cluster_problem one, two;
	struct kerf_cluster c;
	char list[192], url[KERF_URL_BYTES], dir[128];
	uint32_t i;

	snprintf(dir, sizeof(dir), "%s/profiles", node.dir);
	setenv("KERF_PROFILE_DIR", dir, 1);
	snprintf(list, sizeof(list), "cpu,%s/ref,%s/null", node.url, node.url);
	assert_int_equal(kerf_cluster_open(list, &cfg, &c, NULL), 0);
	kerf_cluster_url(&c, 0, url);
	assert_string_equal(url, "");
	kerf_cluster_url(&c, 2, url);
	assert_string_equal(url, node.url);
	/* One direction does not help; one train is enough for two engines of a node. */
	view.up[1] = known;
	forget();
	assert_int_equal(kerf_cluster_probe(&c, &cfg, &view, NULL), 0);
	assert_true(view.up[1].rate_bytes_s != known.rate_bytes_s && view.down[1].rate_bytes_s);
	assert_memory_equal(&view.up[1], &view.up[2], sizeof(known));
	assert_memory_equal(&view.down[1], &view.down[2], sizeof(known));
	assert_int_equal(told.up, view.up[1].transfers);
	view.up[1] = view.down[1] = known;
	memset(&view.up[2], 0, sizeof(view.up[2]));
	forget();
	assert_int_equal(kerf_cluster_probe(&c, &cfg, &view, NULL), 0);
	assert_memory_equal(&view.up[1], &known, sizeof(known));
	assert_memory_equal(&view.up[2], &known, sizeof(known));
	assert_int_equal(told.up, 0);

	/* What is measured while the engines are loaded is used as it is, and not kept. */
	view.slowdown[0] = view.slowdown[1] = view.slowdown[2] = 2;
	assert_int_equal(kerf_cluster_problem(&c, g, &opt, &view, &one, NULL), 0);
	kerf_cluster_problem_finish(&one);
	opt.stored_only = true;
	assert_int_equal(kerf_cluster_problem(&c, g, &opt, &view, &one, NULL), -ENOENT);
	opt.stored_only = false;
	memset(view.slowdown, 0, sizeof(view.slowdown));
	assert_int_equal(kerf_cluster_problem(&c, g, &opt, &view, &one, NULL), 0);

	/* The bucket's worth of bytes takes next to no time. */
	view.slowdown[0] = 2;
	view.slowdown[1] = view.slowdown[2] = 3;
	opt.stored_only = true;
	assert_int_equal(kerf_cluster_problem(&c, g, &opt, &view, &two, NULL), 0);
	assert_true(fabs(kerf_problem_transfer_s(&two.p, 0, 1, 15000) - 0.01) < 1e-9);
	assert_true(fabs(kerf_problem_transfer_s(&two.p, 1, 0, 1000) - 1e-4) < 1e-9);
	assert_true(fabs(two.link[1].high - 1.2) < 1e-9 && fabs(two.link[1].low_s - .003) < 1e-9);
	/* Loads slow down what runs on CPUs: here, on the first peer, not on its null engine. */
	for (i = 0; i < g->n_op; i++) {
		assert_true(two.op_s[i * 3] == 2 * one.op_s[i * 3]);
		assert_true(two.op_s[i * 3 + 1] == 3 * one.op_s[i * 3 + 1]);
		assert_true(two.op_s[i * 3 + 2] == one.op_s[i * 3 + 2]);
	}
	kerf_cluster_problem_finish(&one);
	kerf_cluster_problem_finish(&two);
	kerf_cluster_close(&c);
	kerf_graph_unref(g);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_transfers),  cmocka_unit_test(test_load),
		cmocka_unit_test(test_absurd_peer), cmocka_unit_test(test_probe),
		cmocka_unit_test(test_probe_of_a_liar),
		cmocka_unit_test(test_probe_of_a_dripping_node),
		cmocka_unit_test(test_view),	   cmocka_unit_test(test_refused),
		cmocka_unit_test(test_way_back),
	};
	const struct CMUnitTest absent[] = {cmocka_unit_test(net_test_absent)};

	signal(SIGPIPE, SIG_IGN);
	if (!NET_BUILT)
		return cmocka_run_group_tests(absent, NULL, NULL);
	return cmocka_run_group_tests(tests, setup, teardown);
}
