/* SPDX-License-Identifier: MIT */
/*
 * kerf bench --wire: what the wire costs beyond TCP itself.
 *
 * A kerfd in a child process serves a slice of the null engine that takes N bytes and
 * gives N bytes back. Beside it a child process echoes N bytes over a plain TCP
 * connection: reads the whole message, then sends it back. Both over loopback, both
 * with TCP_NODELAY, sampled in turns, so that what else the machine does hits both.
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
	struct kerf_engine *engine;
};

struct wire_result {
	size_t bytes;
	struct kerf_bench_stats echo, slice; /* us */
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

/* --- The plain echo --- */

static void serve_echo(int listener, size_t bytes)
{
	char *buf = malloc(bytes);
	int fd, on = 1;

	fd = accept(listener, NULL, NULL);
	if (fd < 0 || !buf || setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)))
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
		serve_echo(listener, bytes);
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

static int sample(struct wire *w, struct kerf_program *p, size_t bytes, uint32_t n,
		  struct wire_result *res, struct kerf_err *err)
{
	struct kerf_tensor in = p->slice->value[p->slice->in[0]].t;
	struct kerf_tensor out = p->slice->value[p->slice->out[0]].t;
	double *us = calloc(2 * n, sizeof(*us));
	char *buf = kerf_tensor_alloc(bytes);
	uint32_t i, warm = 20;
	int r = -ENOMEM;

	in.data = kerf_tensor_alloc(bytes);
	out.data = kerf_tensor_alloc(bytes);
	if (!us || !buf || !in.data || !out.data)
		goto out;
	for (i = 0; i < n + warm; i++) {
		uint32_t k = i < warm ? 0 : i - warm;
		uint64_t t0 = kerf_now_ns(), t1;

		if (!move_all(w->fd, buf, bytes, true) || !move_all(w->fd, buf, bytes, false)) {
			r = kerf_fail(err, -EIO, "the echo broke off");
			goto out;
		}
		t1 = kerf_now_ns();
		us[k] = (double)(t1 - t0) / 1e3;
		r = kerf_engine_run(p, &in, &out, NULL);
		if (r) {
			kerf_fail(err, r, "the remote slice failed: %s", strerror(-r));
			goto out;
		}
		us[n + k] = (double)(kerf_now_ns() - t1) / 1e3;
	}
	res->bytes = bytes;
	kerf_bench_summarise(us, n, &res->echo);
	kerf_bench_summarise(us + n, n, &res->slice);
out:
	free(in.data);
	free(out.data);
	free(buf);
	free(us);
	return r;
}

static int measure(struct wire *w, size_t bytes, uint32_t n, struct wire_result *res,
		   struct kerf_err *err)
{
	struct kerf_program *p;
	int r = prepare(w, bytes, &p, err);

	if (r)
		return r;
	r = start_echo(w, bytes, err);
	if (!r)
		r = sample(w, p, bytes, n, res, err);
	stop_echo(w);
	w->engine->ops->release(p);
	return r;
}

static void print_result(const struct wire_result *r, bool json, bool first)
{
	if (json)
		printf("%s{\"bytes\":%zu,\"samples\":%u,\"echo_us\":%.2f,\"slice_us\":%.2f,"
		       "\"difference_us\":%.2f,\"ratio\":%.3f,\"echo_min_us\":%.2f,\"slice_min_us\":%.2f,"
		       "\"echo_p90_us\":%.2f,\"slice_p90_us\":%.2f}",
		       first ? "[" : ",", r->bytes, r->echo.n, r->echo.median, r->slice.median,
		       r->slice.median - r->echo.median, r->slice.median / r->echo.median,
		       r->echo.min, r->slice.min, r->echo.p90, r->slice.p90);
	else
		printf("%8zu bytes: echo %8.1f us, remote slice %8.1f us: %+7.1f us, %.2fx  (medians of %u; least %.1f, %.1f; p90 %.1f, %.1f)\n",
		       r->bytes, r->echo.median, r->slice.median, r->slice.median - r->echo.median,
		       r->slice.median / r->echo.median, r->echo.n, r->echo.min,
		       r->slice.min, r->echo.p90, r->slice.p90);
}

static int run(uint32_t scale, bool json, struct kerf_err *err)
{
	static const struct {
		size_t bytes;
		uint32_t samples;
	} sizes[] = {{1 << 10, 1000}, {16 << 10, 500}, {1 << 20, 200}};
	struct kerf_engine_config cfg = {.depth = 1};
	struct wire w = {.dir = "/tmp/kerf-wire-XXXXXX", .fd = -1};
	char url[64], cmd[96];
	struct wire_result res;
	unsigned port = 0, i;
	int r;

	if (!mkdtemp(w.dir))
		return kerf_fail(err, -errno, "%s: %s", w.dir, strerror(errno));
	r = start_node(&w, &port, err);
	snprintf(url, sizeof(url), "http://127.0.0.1:%u/null", port);
	if (!r)
		r = kerf_engine_open(url, &cfg, &w.engine, err);
	for (i = 0; !r && i < KERF_ARRAY_SIZE(sizes); i++) {
		r = measure(&w, sizes[i].bytes, sizes[i].samples * scale, &res, err);
		if (!r)
			print_result(&res, json, !i);
	}
	if (json && !r)
		printf("]\n");
	kerf_engine_close(w.engine);
	stop_child(&w.node);
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
			       "Times a remote slice that computes nothing against a plain TCP echo.\n"
			       "  --scale N   N times the usual number of samples\n");
			return KERF_EXIT_OK;
		default: return KERF_EXIT_USAGE;
		}
	}
	signal(SIGPIPE, SIG_IGN);
	r = run(scale, json, &err);
	return r ? kerf_cli_fail(&err, r) : KERF_EXIT_OK;
}
