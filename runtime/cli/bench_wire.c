/* SPDX-License-Identifier: MIT */
/*
 * kerf bench --wire: what the wire costs beyond TCP itself.
 *
 * A kerfd in a child process serves a slice of the null engine that takes N bytes and
 * gives N bytes back. Beside it a child process echoes N bytes over a plain TCP
 * connection: reads the whole message, then sends it back. Both over loopback, both
 * with TCP_NODELAY, sampled in turns, so that what else the machine does hits both, in
 * several rounds with fresh processes. The client runs on one CPU, kerfd and the echo on
 * another, as they would on two machines: left to itself, the scheduler puts the two ends
 * of a connection now on one CPU, now on two, which makes a factor of two for either.
 */
#include "cli/bench.h"
#include "cli/cli.h"
#include "cli/gen.h"
#include "exec/engine.h"
#include "graph/import.h"
#include "util/clock.h"

#include <getopt.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

struct wire {
	char dir[64];
	pid_t node, echo;
	int fd; /* to the echo */
	int cpu[2]; /* of the client and of its peers; -1: any */
	struct kerf_engine *engine;
};

#define ROUNDS 10
#define WARM_UP 10

struct wire_size {
	size_t bytes;
	uint32_t n; /* samples of a round */
	double *echo_us, *slice_us; /* ROUNDS * n */
};

static bool move_all(int fd, char *p, size_t n, bool out)
{
	while (n) {
		ssize_t k = out ? send(fd, p, n, MSG_NOSIGNAL) : recv(fd, p, n, 0);

		if (k < 0 && errno == EINTR)
			continue;
		if (k <= 0)
			return false;
		p += k;
		n -= (size_t)k;
	}
	return true;
}

/* --- Places --- */

/* The first two CPUs we may use. */
static void find_cpus(int cpu[2])
{
	cpu_set_t set;
	int i, n = 0;

	cpu[0] = cpu[1] = -1;
	if (sched_getaffinity(0, sizeof(set), &set) || CPU_COUNT(&set) < 2)
		return;
	for (i = 0; i < CPU_SETSIZE && n < 2; i++)
		if (CPU_ISSET(i, &set))
			cpu[n++] = i;
}

static bool stay_on(int cpu)
{
	cpu_set_t set;

	if (cpu < 0)
		return true;
	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	return !sched_setaffinity(0, sizeof(set), &set);
}

/* --- The plain echo --- */

static void serve_echo(int listener, size_t bytes, int cpu)
{
	char *buf = malloc(bytes);
	int fd, on = 1;

	fd = accept(listener, NULL, NULL);
	if (!stay_on(cpu) || fd < 0 || !buf ||
	    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)))
		_exit(1);
	while (move_all(fd, buf, bytes, false) && move_all(fd, buf, bytes, true))
		;
	_exit(0);
}

static int start_echo(struct wire *w, size_t bytes, struct kerf_err *err)
{
	struct sockaddr_in at = {.sin_family = AF_INET,
				 .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t len = sizeof(at);
	int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), on = 1;

	w->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (listener < 0 || w->fd < 0 || bind(listener, (struct sockaddr *)&at, sizeof(at)) ||
	    listen(listener, 1) || getsockname(listener, (struct sockaddr *)&at, &len))
		goto fail;
	w->echo = fork();
	if (w->echo < 0)
		goto fail;
	if (!w->echo)
		serve_echo(listener, bytes, w->cpu[1]);
	if (connect(w->fd, (struct sockaddr *)&at, sizeof(at)) ||
	    setsockopt(w->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)))
		goto fail;
	close(listener);
	return 0;
fail:
	if (listener >= 0)
		close(listener);
	return kerf_fail(err, -EIO, "cannot set up the echo: %s", strerror(errno));
}

static void stop_child(pid_t *pid)
{
	if (*pid <= 0)
		return;
	kill(*pid, SIGTERM);
	waitpid(*pid, NULL, 0);
	*pid = 0;
}

static void stop_echo(struct wire *w)
{
	if (w->fd >= 0)
		close(w->fd);
	w->fd = -1;
	stop_child(&w->echo);
}

/* --- The node --- */

/* Our own program as kerfd; it tells its port on its first line. */
static int start_node(struct wire *w, unsigned *port, struct kerf_err *err)
{
	char line[64] = "";
	int out[2];
	FILE *f;

	if (pipe(out))
		return kerf_fail(err, -errno, "pipe: %s", strerror(errno));
	w->node = fork();
	if (!w->node) {
		if (!stay_on(w->cpu[1]))
			_exit(127);
		dup2(out[1], STDOUT_FILENO);
		close(out[0]);
		close(out[1]);
		execl("/proc/self/exe", "kerfd", "--listen", "127.0.0.1:0", "--engine", "null",
		      "--cache", w->dir, (char *)NULL);
		_exit(127);
	}
	close(out[1]);
	f = fdopen(out[0], "r");
	if (!f || !fgets(line, sizeof(line), f) || sscanf(line, "listening on port %u", port) != 1) {
		if (f)
			fclose(f);
		else
			close(out[0]);
		return kerf_fail(err, -EIO, "the node did not start");
	}
	fclose(f);
	return 0;
}

/* One operator from N bytes to N bytes. */
static int write_model(const char *path, size_t bytes, struct kerf_err *err)
{
	int64_t dims[2] = {1, (int64_t)(bytes / sizeof(float))};
	struct kerf_gen g;
	int r;

	kerf_gen_init(&g, 1, 1);
	kerf_gen_output(&g, "y", kerf_gen_node1(&g, "Neg", kerf_gen_input(&g, "x", KERF_F32, 2, dims)),
			KERF_F32, 2, dims);
	r = kerf_gen_write(&g, "wire", path, err);
	kerf_gen_finish(&g);
	return r;
}

static int prepare(struct wire *w, size_t bytes, struct kerf_program **p, struct kerf_err *err)
{
	struct kerf_graph *g;
	char path[96];
	int r;

	snprintf(path, sizeof(path), "%s/wire.onnx", w->dir);
	r = write_model(path, bytes, err);
	if (r)
		return r;
	r = kerf_model_load(path, NULL, &g, err);
	if (!r) {
		r = w->engine->ops->prepare(w->engine, g, p, err);
		kerf_graph_unref(g);
	}
	unlink(path);
	return r;
}

/* --- Measuring --- */

/* One round's samples of one size. */
static int sample(struct wire *w, struct kerf_program *p, const struct wire_size *size,
		  uint32_t round, struct kerf_err *err)
{
	struct kerf_tensor in = p->slice->value[p->slice->in[0]].t;
	struct kerf_tensor out = p->slice->value[p->slice->out[0]].t;
	char *buf = kerf_tensor_alloc(size->bytes);
	int r = -ENOMEM;
	uint32_t i;

	in.data = kerf_tensor_alloc(size->bytes);
	out.data = kerf_tensor_alloc(size->bytes);
	if (!buf || !in.data || !out.data)
		goto out;
	for (i = 0; i < size->n + WARM_UP; i++) {
		uint32_t k = round * size->n + (i < WARM_UP ? 0 : i - WARM_UP);
		uint64_t t0 = kerf_now_ns(), t1;

		if (!move_all(w->fd, buf, size->bytes, true) ||
		    !move_all(w->fd, buf, size->bytes, false)) {
			r = kerf_fail(err, -EIO, "the echo broke off");
			goto out;
		}
		t1 = kerf_now_ns();
		size->echo_us[k] = (double)(t1 - t0) / 1e3;
		r = kerf_engine_run(p, &in, &out, NULL);
		if (r) {
			kerf_fail(err, r, "the remote slice failed: %s", strerror(-r));
			goto out;
		}
		size->slice_us[k] = (double)(kerf_now_ns() - t1) / 1e3;
	}
out:
	free(in.data);
	free(out.data);
	free(buf);
	return r;
}

static int measure(struct wire *w, const struct wire_size *size, uint32_t round,
		   struct kerf_err *err)
{
	struct kerf_program *p;
	int r = prepare(w, size->bytes, &p, err);

	if (r)
		return r;
	r = start_echo(w, size->bytes, err);
	if (!r)
		r = sample(w, p, size, round, err);
	stop_echo(w);
	w->engine->ops->release(p);
	return r;
}

static int run_round(struct wire *w, const struct wire_size *size, uint32_t n_size, uint32_t round,
		     struct kerf_err *err)
{
	struct kerf_engine_config cfg = {.depth = 1};
	unsigned port = 0;
	char url[64];
	uint32_t i;
	int r = start_node(w, &port, err);

	snprintf(url, sizeof(url), "http://127.0.0.1:%u/null", port);
	if (!r)
		r = kerf_engine_open(url, &cfg, &w->engine, err);
	for (i = 0; !r && i < n_size; i++)
		r = measure(w, &size[i], round, err);
	kerf_engine_close(w->engine);
	w->engine = NULL;
	stop_child(&w->node);
	return r;
}

static void print_size(const struct wire_size *size, bool json, bool first)
{
	struct kerf_bench_stats e, s;

	kerf_bench_summarise(size->echo_us, ROUNDS * size->n, &e);
	kerf_bench_summarise(size->slice_us, ROUNDS * size->n, &s);
	if (json)
		printf("%s{\"bytes\":%zu,\"samples\":%u,\"echo_us\":%.2f,\"slice_us\":%.2f,"
		       "\"difference_us\":%.2f,\"ratio\":%.3f,\"echo_min_us\":%.2f,"
		       "\"slice_min_us\":%.2f,\"echo_p90_us\":%.2f,\"slice_p90_us\":%.2f}",
		       first ? "[" : ",", size->bytes, e.n, e.median, s.median, s.median - e.median,
		       s.median / e.median, e.min, s.min, e.p90, s.p90);
	else
		printf("%8zu bytes: echo %8.1f us, remote slice %8.1f us: %+7.1f us, %.2fx  (medians of %u; least %.1f, %.1f; p90 %.1f, %.1f)\n",
		       size->bytes, e.median, s.median, s.median - e.median, s.median / e.median,
		       e.n, e.min, s.min, e.p90, s.p90);
}

static int run(uint32_t scale, bool json, struct kerf_err *err)
{
	struct wire_size size[] = {{.bytes = 1 << 10, .n = 100 * scale},
				   {.bytes = 16 << 10, .n = 50 * scale},
				   {.bytes = 1 << 20, .n = 20 * scale}};
	struct wire w = {.dir = "/tmp/kerf-wire-XXXXXX", .fd = -1};
	uint32_t i, round;
	char cmd[96];
	int r = 0;

	find_cpus(w.cpu);
	if (!stay_on(w.cpu[0]))
		return kerf_fail(err, -errno, "sched_setaffinity: %s", strerror(errno));
	if (!mkdtemp(w.dir))
		return kerf_fail(err, -errno, "%s: %s", w.dir, strerror(errno));
	for (i = 0; i < KERF_ARRAY_SIZE(size); i++) {
		size[i].echo_us = calloc(ROUNDS * size[i].n, sizeof(double));
		size[i].slice_us = calloc(ROUNDS * size[i].n, sizeof(double));
		if (!size[i].echo_us || !size[i].slice_us)
			r = -ENOMEM;
	}
	for (round = 0; !r && round < ROUNDS; round++)
		r = run_round(&w, size, KERF_ARRAY_SIZE(size), round, err);
	for (i = 0; i < KERF_ARRAY_SIZE(size); i++) {
		if (!r)
			print_size(&size[i], json, !i);
		free(size[i].echo_us);
		free(size[i].slice_us);
	}
	if (json && !r)
		printf("]\n");
	/* Made by us a moment ago, under a name that mkdtemp chose. */
	snprintf(cmd, sizeof(cmd), "rm -rf %s", w.dir);
	if (system(cmd))
		fprintf(stderr, "kerf: %s was not removed\n", w.dir);
	return r;
}

int kerf_bench_wire(int argc, char **argv)
{
	static const struct option options[] = {
		{"scale", required_argument, NULL, 'n'},
		{"json", no_argument, NULL, 'j'},
		{"help", no_argument, NULL, 'h'},
		{0},
	};
	struct kerf_err err = {""};
	uint32_t scale = 1;
	bool json = false;
	int opt, r;

	optind = 1;
	while ((opt = getopt_long(argc, argv, "", options, NULL)) != -1) {
		switch (opt) {
		case 'n': scale = (uint32_t)KERF_MIN(KERF_MAX(atoi(optarg), 1), 100); break;
		case 'j': json = true; break;
		case 'h':
			printf("usage: kerf bench --wire [--scale N] [--json]\n\n"
			       "Times a remote slice that computes nothing against a plain TCP\n"
			       "echo. The client has one CPU, the two peers have another.\n"
			       "  --scale N   N times the usual number of samples\n");
			return KERF_EXIT_OK;
		default: return KERF_EXIT_USAGE;
		}
	}
	signal(SIGPIPE, SIG_IGN);
	r = run(scale, json, &err);
	return r ? kerf_cli_fail(&err, r) : KERF_EXIT_OK;
}
