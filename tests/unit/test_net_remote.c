/* SPDX-License-Identifier: MIT */
/*
 * The remote engine against a node in this process: the bits of the local run, for
 * whole models, slices and tiles; many jobs at once; peers that die, lie or dawdle.
 */
#include "net_job.h"

#include "graph/slice.h"
#include "net/http_client.h"
#include "net/listen.h"

#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include <cmocka.h>

#define JOBS 40

static struct test_node node;

static int setup(void **state)
{
	struct kerf_node_config cfg = {.slice_bytes = 256 << 20};

	net_open(&node, &cfg, "N");
	return 0;
}

static int teardown(void **state)
{
	net_close(&node);
	return 0;
}

static struct kerf_graph *load(int64_t rows)
{
	return net_load(&node, rows);
}

static void same_outputs(const struct net_io *a, const struct net_io *b)
{
	uint32_t i;

	for (i = 0; i < a->n_out; i++) {
		assert_true(kerf_tensor_same_shape(&a->out[i], &b->out[i]));
		assert_memory_equal(a->out[i].data, b->out[i].data, kerf_tensor_bytes(&a->out[i]));
	}
}

/* Runs g here and there. */
static void compare(struct kerf_engine *remote, struct kerf_graph *g, uint64_t seed)
{
	struct kerf_engine *local;
	struct kerf_program *p, *q;
	struct net_io a, b;
	struct kerf_job times;

	assert_int_equal(kerf_engine_open("ref", NULL, &local, NULL), 0);
	p = net_prepare(local, g);
	q = net_prepare(remote, g);
	net_io_init(&a, g, seed);
	net_io_init(&b, g, seed);
	assert_int_equal(kerf_engine_run(p, a.in, a.out, NULL), 0);
	assert_int_equal(kerf_engine_run(q, b.in, b.out, &times), 0);
	same_outputs(&a, &b);
	assert_true(times.queued_ns <= times.start_ns && times.start_ns <= times.end_ns);
	assert_true(times.busy_ns <= times.end_ns - times.start_ns);
	net_io_finish(&a);
	net_io_finish(&b);
	q->engine->ops->release(q);
	p->engine->ops->release(p);
	kerf_engine_close(local);
}

/* Sizes from less than a segment to more than the socket buffers hold. */
static void test_whole(void **state)
{
	static const int64_t rows[] = {1, 3, 700, 1000, 20000, 300000};
	struct kerf_engine *e = net_engine(node.url, "ref", 0);
	struct kerf_engine_info info;
	unsigned i;

	e->ops->describe(e, &info);
	assert_string_equal(info.kind, "remote");
	assert_true(info.remote);
	for (i = 0; i < KERF_ARRAY_SIZE(rows); i++) {
		struct kerf_graph *g = load(rows[i]);

		compare(e, g, i);
		kerf_graph_unref(g);
	}
	kerf_engine_close(e);
}

static void test_slices(void **state)
{
	struct kerf_engine *e = net_engine(node.url, "ref", 0);
	struct kerf_graph *g = load(7), *slice;
	uint32_t ids[8], a, b, i;

	for (a = 0; a < g->n_op; a++)
		for (b = a + 1; b <= g->n_op; b++) {
			struct kerf_slice_spec spec = {.n_op = b - a, .op = ids};

			for (i = a; i < b; i++)
				ids[i - a] = i;
			assert_int_equal(kerf_slice_make(g, &spec, &slice, NULL), 0);
			compare(e, slice, a * 10 + b);
			kerf_graph_unref(slice);
		}
	kerf_graph_unref(g);
	kerf_engine_close(e);
}

/* Shapes known only at run time do not travel: refused, not run with the bounds. */
static void test_bounded_input(void **state)
{
	struct kerf_slice_spec spec = {.n_op = 1, .op = (uint32_t[]){1}};
	struct kerf_engine *e = net_engine(node.url, "ref", 0);
	struct kerf_program *p = NULL;
	struct kerf_graph *g, *slice;
	struct kerf_err err = {""};
	struct onnx_build b;
	uint8_t *bytes;
	size_t size;

	onnx_build_init(&b, 13);
	onnx_build_input(&b, "x", 1, "8");
	onnx_build_node(&b, "NonZero", "x", "y");
	onnx_build_node(&b, "Neg", "y", "z");
	onnx_build_output(&b, "z", 7, NULL);
	bytes = onnx_build_pack(&b, &size);
	assert_int_equal(kerf_model_parse(bytes, size, NULL, NULL, &g, &err), 0);
	onnx_build_finish(&b);
	assert_int_equal(g->n_op, 2);
	assert_int_equal(kerf_slice_make(g, &spec, &slice, &err), 0);
	assert_int_equal(e->ops->prepare(e, slice, &p, &err), -EOPNOTSUPP);
	assert_non_null(strstr(err.msg, "run time"));
	kerf_graph_unref(slice);
	kerf_graph_unref(g);
	kerf_engine_close(e);
}

/* --- Many jobs --- */

struct crowd {
	pthread_mutex_t lock;
	pthread_cond_t cond;
	uint32_t done;
	int status[JOBS];
};

struct crowd_job {
	struct kerf_job job;
	struct net_io io;
	struct crowd *c;
	uint32_t i;
};

static void crowd_done(struct kerf_job *job, int status)
{
	struct crowd_job *j = (struct crowd_job *)job;

	pthread_mutex_lock(&j->c->lock);
	j->c->status[j->i] = status;
	j->c->done++;
	pthread_cond_signal(&j->c->cond);
	pthread_mutex_unlock(&j->c->lock);
}

static void crowd_submit(struct crowd *c, struct crowd_job *j, uint32_t n, struct kerf_program *p)
{
	uint32_t i;

	pthread_mutex_init(&c->lock, NULL);
	pthread_cond_init(&c->cond, NULL);
	c->done = 0;
	for (i = 0; i < n; i++) {
		net_io_init(&j[i].io, p->slice, i);
		j[i].c = c;
		j[i].i = i;
		j[i].job = (struct kerf_job){.program = p, .in = j[i].io.in, .out = j[i].io.out,
					     .done = crowd_done};
	}
	for (i = 0; i < n; i++)
		assert_int_equal(kerf_engine_submit(&j[i].job), 0);
}

static void crowd_wait(struct crowd *c, uint32_t n)
{
	struct timespec ts;

	clock_gettime(CLOCK_REALTIME, &ts);
	ts.tv_sec += 20;
	pthread_mutex_lock(&c->lock);
	while (c->done < n)
		if (pthread_cond_timedwait(&c->cond, &c->lock, &ts))
			break;
	pthread_mutex_unlock(&c->lock);
	assert_int_equal(c->done, n);
}

/* More jobs than connections, large ones, all at once: each gets its own answer. */
static void test_crowd(void **state)
{
	static struct crowd_job j[JOBS];
	struct kerf_engine *e = net_engine(node.url, "ref", 3), *local;
	struct kerf_graph *g = load(4000);
	struct kerf_program *p = net_prepare(e, g), *q;
	struct crowd c;
	uint32_t i;

	assert_int_equal(kerf_engine_open("ref", NULL, &local, NULL), 0);
	q = net_prepare(local, g);
	crowd_submit(&c, j, JOBS, p);
	crowd_wait(&c, JOBS);
	for (i = 0; i < JOBS; i++) {
		struct net_io want;

		assert_int_equal(c.status[i], 0);
		net_io_init(&want, g, i);
		assert_int_equal(kerf_engine_run(q, want.in, want.out, NULL), 0);
		same_outputs(&want, &j[i].io);
		net_io_finish(&want);
		net_io_finish(&j[i].io);
	}
	q->engine->ops->release(q);
	p->engine->ops->release(p);
	kerf_graph_unref(g);
	kerf_engine_close(local);
	kerf_engine_close(e);
}

/* --- Peers that fail --- */

static void test_no_peer(void **state)
{
	struct kerf_err err = {""};
	struct kerf_engine *e;
	char url[80];
	uint16_t port;
	int fd = kerf_listen("127.0.0.1:0", false, &port, NULL);

	assert_true(fd >= 0);
	close(fd);
	snprintf(url, sizeof(url), "http://127.0.0.1:%u", port);
	assert_int_equal(kerf_engine_open(url, NULL, &e, &err), -ECONNREFUSED);
	assert_non_null(strstr(err.msg, url));
	err.msg[0] = 0;
	snprintf(url, sizeof(url), "%s/nope", node.url);
	assert_int_equal(kerf_engine_open(url, NULL, &e, &err), -ENOENT);
	assert_non_null(strstr(err.msg, "nope"));
	err.msg[0] = 0;
	assert_int_equal(kerf_engine_open("http://10.255.255.1:1", NULL, &e, &err), -EPERM);
	assert_non_null(strstr(err.msg, "--insecure"));
}

/* Somebody began an upload of the model with other bytes: ours goes through all the same. */
static void test_spoilt_upload(void **state)
{
	struct kerf_engine *e = net_engine(node.url, "ref", 1);
	struct kerf_http_client *client;
	struct kerf_http_result res;
	char path[128], range[80];
	struct kerf_http_call call = {.method = "PUT", .path = path, .header = range,
				      .body = "rubbish", .size = 7};
	struct kerf_graph *g = load(2);

	snprintf(path, sizeof(path), "/kerf/v1/models/%s", node.sha);
	snprintf(range, sizeof(range), "Content-Range: bytes 0-6/%zu", node.size);
	assert_int_equal(kerf_http_client_open(node.url, false, &client, NULL), 0);
	assert_int_equal(kerf_http_call(client, &call, &res, NULL), 0);
	assert_int_equal(res.status, 202);
	free(res.body);
	kerf_http_client_close(client);
	compare(e, g, 1);
	kerf_graph_unref(g);
	kerf_engine_close(e);
}

/* x [1] stretched to 512 MiB, and the largest of it: a file of 200 bytes. */
static void test_memory_bomb(void **state)
{
	static const int64_t shape[1] = {1 << 27};
	static const char *const engine[] = {"ref", "cpu"};
	struct kerf_err err = {""};
	struct rusage before, after;
	struct onnx_build b;
	struct kerf_graph *g;
	struct kerf_program *p;
	char path[128];
	uint8_t *bytes;
	unsigned i;
	size_t n;

	onnx_build_init(&b, 13);
	onnx_build_input(&b, "x", 1, "1");
	onnx_build_initializer(&b, onnx_build_raw(&b, "s", 7, shape, 1, sizeof(shape)));
	onnx_build_node(&b, "Expand", "x,s", "y");
	onnx_build_node(&b, "ReduceMax", "y", "z");
	onnx_build_output(&b, "z", 1, "1");
	bytes = onnx_build_pack(&b, &n);
	snprintf(path, sizeof(path), "%s/bomb.onnx", node.dir);
	assert_int_equal(kerf_file_write(path, bytes, n, &err), 0);
	onnx_build_finish(&b);
	if (kerf_model_load(path, NULL, &g, &err))
		net_die("load", &err);
	getrusage(RUSAGE_SELF, &before);
	for (i = 0; i < 2; i++) {
		struct kerf_engine *e = net_engine(node.url, engine[i], 1);

		err.msg[0] = 0;
		assert_int_equal(e->ops->prepare(e, g, &p, &err), -ENOSPC);
		assert_non_null(strstr(err.msg, "no memory left for another slice"));
		kerf_engine_close(e);
	}
	/* Refused before it was taken, not afterwards. */
	getrusage(RUSAGE_SELF, &after);
	assert_true(after.ru_maxrss - before.ru_maxrss < 128 << 10);
	kerf_graph_unref(g);
}

/* A slice that the node dropped: the job fails, the engine lives. */
static void test_dropped_slice(void **state)
{
	struct kerf_engine *e = net_engine(node.url, "ref", 1);
	struct kerf_graph *g = load(2);
	struct kerf_program *p = net_prepare(e, g);
	struct net_io io;

	net_drop_slice(&node);
	net_io_init(&io, g, 1);
	assert_int_equal(kerf_engine_run(p, io.in, io.out, NULL), -EIO);
	net_io_finish(&io);
	compare(e, g, 3);
	p->engine->ops->release(p);
	kerf_graph_unref(g);
	kerf_engine_close(e);
}

/* A node of its own process, to be killed; its port is told through a pipe. */
static pid_t spawn_node(uint16_t *port)
{
	char listen[32];
	int out[2];
	pid_t pid;

	snprintf(listen, sizeof(listen), "127.0.0.1:%u", *port);

	assert_int_equal(pipe(out), 0);
	pid = fork();
	assert_true(pid >= 0);
	if (!pid) {
		static const char *const engines[] = {"ref"};
		struct kerf_node_config cfg = {.listen = listen, .n_engine = 1,
					       .engine = engines};
		char cache[96];
		struct kerf_node *n;
		uint16_t at;

		snprintf(cache, sizeof(cache), "%s/other", node.dir);
		cfg.cache_dir = cache;
		if (kerf_node_open(&cfg, &n, NULL))
			_exit(1);
		at = kerf_node_port(n);
		if (write(out[1], &at, sizeof(at)) != sizeof(at))
			_exit(1);
		for (;;)
			pause();
	}
	close(out[1]);
	assert_int_equal(read(out[0], port, sizeof(*port)), sizeof(*port));
	close(out[0]);
	return pid;
}

/* Of a node that does not move: no job can end before it is cancelled. */
static void test_cancel(void **state)
{
	static struct crowd_job j[JOBS];
	struct kerf_graph *g = load(40000);
	struct kerf_program *p;
	struct kerf_engine *e;
	uint32_t i;
	uint16_t port = 0;
	pid_t pid = spawn_node(&port);
	struct crowd c;
	char url[64];

	snprintf(url, sizeof(url), "http://127.0.0.1:%u", port);
	e = net_engine(url, "ref", 2);
	p = net_prepare(e, g);
	kill(pid, SIGSTOP);
	assert_int_equal(waitpid(pid, NULL, WUNTRACED), pid);
	crowd_submit(&c, j, JOBS, p);
	for (i = 0; i < JOBS; i++)
		e->ops->cancel(&j[i].job);
	crowd_wait(&c, JOBS);
	for (i = 0; i < JOBS; i++) {
		assert_int_equal(c.status[i], -ECANCELED);
		net_io_finish(&j[i].io);
	}
	kill(pid, SIGCONT);
	/* The engine is as good as before. */
	compare(e, g, 1);
	p->engine->ops->release(p);
	kerf_graph_unref(g);
	kerf_engine_close(e);
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
}

/*
 * Its death ends every job with -EIO; afterwards the engine says -ENODEV. It stands still before,
 * so that no job ends well.
 */
static void test_peer_death(void **state)
{
	static struct crowd_job j[JOBS];
	struct kerf_engine *e;
	struct kerf_graph *g = load(40000);
	struct kerf_program *p;
	struct crowd c;
	uint32_t i;
	char url[64];
	uint16_t port = 0;
	pid_t pid = spawn_node(&port);

	snprintf(url, sizeof(url), "http://127.0.0.1:%u", port);
	e = net_engine(url, "ref", 2);
	p = net_prepare(e, g);
	kill(pid, SIGSTOP);
	assert_int_equal(waitpid(pid, NULL, WUNTRACED), pid);
	crowd_submit(&c, j, JOBS, p);
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	crowd_wait(&c, JOBS);
	for (i = 0; i < JOBS; i++)
		assert_int_equal(c.status[i], -EIO);
	assert_int_equal(kerf_engine_submit(&j[0].job), -ENODEV);
	/* What never reached a connection and what was refused just now did not start. */
	assert_int_equal(e->meter.queued, JOBS + 1);
	assert_int_equal(e->meter.started, e->meter.done);
	assert_int_equal(e->meter.queued, e->meter.done + e->meter.dropped);
	assert_int_equal(e->meter.errors, JOBS + 1);
	for (i = 0; i < JOBS; i++)
		net_io_finish(&j[i].io);
	p->engine->ops->release(p);
	kerf_graph_unref(g);
	kerf_engine_close(e);
}

/* A node that came back while nothing was in flight: old slices are gone, new ones work. */
static void test_peer_restart(void **state)
{
	struct kerf_graph *g = load(3);
	struct kerf_program *p;
	struct kerf_engine *e;
	uint16_t port = 0;
	pid_t pid = spawn_node(&port);
	struct net_io io;
	char url[64];

	snprintf(url, sizeof(url), "http://127.0.0.1:%u", port);
	e = net_engine(url, "ref", 2);
	p = net_prepare(e, g);
	net_io_init(&io, g, 1);
	assert_int_equal(kerf_engine_run(p, io.in, io.out, NULL), 0);
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	pid = spawn_node(&port);
	assert_int_equal(kerf_engine_run(p, io.in, io.out, NULL), -EIO);
	compare(e, g, 5);
	net_io_finish(&io);
	p->engine->ops->release(p);
	kerf_graph_unref(g);
	kerf_engine_close(e);
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_spoilt_upload), cmocka_unit_test(test_memory_bomb),
		cmocka_unit_test(test_peer_death), cmocka_unit_test(test_whole),
		cmocka_unit_test(test_slices),	   cmocka_unit_test(test_crowd),
		cmocka_unit_test(test_bounded_input),
		cmocka_unit_test(test_cancel),	   cmocka_unit_test(test_no_peer),
		cmocka_unit_test(test_dropped_slice), cmocka_unit_test(test_peer_restart),
	};
	const struct CMUnitTest absent[] = {cmocka_unit_test(net_test_absent)};

	signal(SIGPIPE, SIG_IGN);
	if (!NET_BUILT)
		return cmocka_run_group_tests(absent, NULL, NULL);
	return cmocka_run_group_tests(tests, setup, teardown);
}
