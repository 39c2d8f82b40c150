/* SPDX-License-Identifier: MIT */
/*
 * Peers that are there and do not answer: a node whose process is stopped while its kernel still
 * takes connections and bytes, one that is busy, and one behind a link so slow that only bytes say
 * it lives.
 */
#include "net_part.h"
#include "net_relay.h"

#include "exec/remote.h"
#include "exec/session.h"
#include "plan/planner.h"
#include "util/completion.h"

#include <pthread.h>
#include <signal.h>
#include <sys/wait.h>

#define PATIENCE_MS 1200
#define ROWS 25000 /* 1 MB of inputs: 60 pieces and more through the slow link */

/* A node of its own process; what it has in memory is the parent's. */
struct other {
	struct test_node at;
	pid_t pid;
};

static void other_open(struct other *o)
{
	int out[2];

	assert_int_equal(pipe(out), 0);
	o->pid = fork();
	assert_true(o->pid >= 0);
	if (!o->pid) {
		struct kerf_node_config cfg = {.part_timeout_ms = 60000};

		close(out[0]);
		net_open(&o->at, &cfg, "N");
		o->at.bytes = NULL;
		if (write(out[1], &o->at, sizeof(o->at)) != (ssize_t)sizeof(o->at))
			_exit(1);
		for (;;)
			pause();
	}
	close(out[1]);
	assert_int_equal(read(out[0], &o->at, sizeof(o->at)), sizeof(o->at));
	close(out[0]);
	o->at.bytes = NULL;
}

static void other_close(struct other *o)
{
	kill(o->pid, SIGKILL);
	waitpid(o->pid, NULL, 0);
	o->at.node = NULL;
	net_close(&o->at);
}

/* All of its threads stand when this returns: kill() alone does not wait for that. */
static void other_stop(const struct other *o)
{
	kill(o->pid, SIGSTOP);
	assert_int_equal(waitpid(o->pid, NULL, WUNTRACED), o->pid);
}

static struct kerf_engine *patient_engine(const char *url, uint32_t depth)
{
	struct kerf_engine_config cfg = {.depth = depth, .patience_ms = PATIENCE_MS};
	struct kerf_err err = {""};
	struct kerf_engine *e;
	char spec[96];

	snprintf(spec, sizeof(spec), "%s/ref", url);
	if (kerf_engine_open(spec, &cfg, &e, &err))
		net_die(spec, &err);
	return e;
}

static void wake(struct kerf_job *job, int status)
{
	kerf_complete(job->user, status);
}

static int run_why(struct kerf_program *p, const struct net_io *io, struct kerf_err *why)
{
	struct kerf_completion c;
	struct kerf_job job = {.program = p, .in = io->in, .out = (struct kerf_tensor *)io->out,
			       .done = wake, .user = &c, .why = why};
	int r;

	kerf_completion_init(&c);
	r = kerf_engine_submit(&job);
	return r ? r : kerf_completion_wait(&c);
}

/* Every job ends, and says who is lost; nobody tries to talk to it afterwards. */
static void test_stopped(void **state)
{
	static char body[1 << 16];
	struct kerf_err why[2] = {{""}, {""}}, err = {""};
	struct kerf_program *p, *q;
	struct kerf_engine *e;
	struct kerf_graph *g;
	struct net_io io;
	struct other o;
	int i;

	other_open(&o);
	g = net_load(&o.at, 4);
	e = patient_engine(o.at.url, 2);
	p = net_prepare(e, g);
	net_io_init(&io, g, 1);
	assert_int_equal(kerf_engine_run(p, io.in, io.out, NULL), 0);
	other_stop(&o);
	for (i = 0; i < 2; i++) {
		assert_int_equal(run_why(p, &io, &why[i]), i ? -ENODEV : -EIO);
		assert_non_null(strstr(why[i].msg, o.at.url));
		assert_non_null(strstr(why[i].msg, "no sign of life"));
	}
	assert_int_equal(e->ops->prepare(e, g, &q, &err), -ENODEV);
	assert_non_null(strstr(err.msg, "no sign of life"));
	p->engine->ops->release(p);
	kerf_engine_close(e);
	/* It was not told to drop the slice, which would have been waited for. */
	kill(o.pid, SIGCONT);
	assert_int_equal(net_exchange(&o.at, "GET /kerf/v1/status HTTP/1.1\r\nHost: x\r\n\r\n", body,
				      sizeof(body)), 200);
	assert_non_null(strstr(body, "kerf-slice-"));
	net_io_finish(&io);
	kerf_graph_unref(g);
	other_close(&o);
}

/* The same while a slice is prepared. */
static void test_stopped_call(void **state)
{
	struct kerf_err err = {""};
	struct kerf_program *p;
	struct kerf_engine *e;
	struct kerf_graph *g;
	struct other o;

	other_open(&o);
	g = net_load(&o.at, 4);
	e = patient_engine(o.at.url, 2);
	other_stop(&o);
	assert_int_equal(e->ops->prepare(e, g, &p, &err), -EIO);
	assert_non_null(strstr(err.msg, o.at.url));
	assert_non_null(strstr(err.msg, "no sign of life"));
	kerf_engine_close(e);
	kerf_graph_unref(g);
	other_close(&o);
}

/* A session says which step failed, where, and why. */
static void test_session_why(void **state)
{
	struct kerf_engine *engine[1];
	struct kerf_plan plan = {.exit = -1};
	struct kerf_err err = {""};
	struct kerf_session *s;
	struct kerf_graph *g;
	struct net_io io;
	struct other o;

	other_open(&o);
	g = net_load(&o.at, 4);
	engine[0] = patient_engine(o.at.url, 2);
	assert_int_equal(kerf_plan_only(g, o.at.url, &plan, &err), 0);
	assert_int_equal(kerf_session_open(g, &plan, engine, 1, &s, &err), 0);
	net_io_init(&io, g, 1);
	assert_int_equal(kerf_session_run(s, io.in, io.out, NULL), 0);
	kerf_session_why(s, &err);
	assert_string_equal(err.msg, "");
	net_drop_slice(&o.at);
	assert_int_equal(kerf_session_run(s, io.in, io.out, NULL), -EIO);
	kerf_session_why(s, &err);
	assert_non_null(strstr(err.msg, "step 0 of 1, "));
	assert_non_null(strstr(err.msg, o.at.url));
	assert_non_null(strstr(err.msg, "no model 'kerf-slice-"));
	kill(o.pid, SIGKILL);
	assert_true(kerf_session_run(s, io.in, io.out, NULL) < 0);
	err.msg[0] = 0;
	kerf_session_why(s, &err);
	assert_non_null(strstr(err.msg, o.at.url));
	assert_null(strstr(err.msg, "no model"));
	kerf_session_close(s);
	kerf_engine_close(engine[0]);
	kerf_plan_finish(&plan);
	net_io_finish(&io);
	kerf_graph_unref(g);
	other_close(&o);
}

/* A model in bands, two on engines of one node. */
static void open_bands(struct other *o, struct bands *b, struct kerf_engine *engine[2])
{
	struct kerf_err err = {""};
	char path[96];
	int k;

	other_open(o);
	snprintf(path, sizeof(path), "%.63s/bands.onnx", o->at.dir);
	band_write_model(path);
	band_init(b, path, 2);
	for (k = 0; k < 2; k++)
		engine[k] = patient_engine(o->at.url, 2);
	if (band_prepare(b, engine, &err))
		net_die("prepare", &err);
}

static void close_bands(struct other *o, struct bands *b, struct kerf_engine *engine[2])
{
	int k;

	band_finish(b);
	for (k = 0; k < 2; k++)
		kerf_engine_close(engine[k]);
	other_close(o);
}

/* A job that waits longer than the patience, on a node that answers, is not given up. */
static void test_busy(void **state)
{
	struct kerf_engine *engine[2];
	struct band_request q;
	struct kerf_tensor x;
	struct bands b;
	struct other o;
	uint64_t begin;
	int i, k;

	open_bands(&o, &b, engine);
	x = b.whole->value[b.whole->in[0]].t;
	x.data = kerf_tensor_alloc(kerf_tensor_bytes(&x));
	band_wants(&b, &q, &x, 1);
	for (k = 0; k < 2; k++)
		assert_int_equal(kerf_engine_submit(&q.job[1][k]), 0);
	/* Each has heard answers to questions from long after its last byte. */
	for (k = 0; k < 2; k++) {
		const struct remote_engine *e = (const struct remote_engine *)engine[k];

		begin = q.job[1][k].queued_ns;
		while (__atomic_load_n(&e->heard_ns, __ATOMIC_RELAXED) <
		       begin + PATIENCE_MS * 1000000ull)
			usleep(10000);
	}
	for (k = 0; k < 2; k++)
		assert_int_equal(kerf_engine_submit(&q.job[0][k]), 0);
	assert_true(band_wait(&q, 60000));
	for (i = 0; i < 2; i++)
		for (k = 0; k < 2; k++)
			if (q.status[i][k])
				fail_msg("%d %d: %d %s", i, k, q.status[i][k], q.why[i][k].msg);
	band_request_finish(&q);
	free(x.data);
	close_bands(&o, &b, engine);
}

/* POST to a slice, a body of n zeros; the connection stays open. */
static int begin_post(const struct other *o, const char *id, const char *what, int request,
		      size_t n)
{
	char *text = calloc(1, 512 + n);
	int fd = net_connect(&o->at), k;

	assert_non_null(text);
	k = snprintf(text, 512,
		     "POST /kerf/v1/slices/%s/%s HTTP/1.1\r\nHost: x\r\nKerf-Request: %d\r\n"
		     "Content-Length: %zu\r\n\r\n", id, what, request, n);
	net_send(fd, text, (size_t)k + n);
	free(text);
	return fd;
}

static int post(const struct other *o, const char *id, const char *what, int request, size_t n,
		char *body, size_t size)
{
	int fd = begin_post(o, id, what, request, n), status = net_reply(fd, body, size, 20000);

	close(fd);
	return status;
}

/*
 * Home dies while a part waits for its neighbours: the part waits no longer. If home comes back at
 * once with the same run, as when only the connection broke, it gets its answer.
 */
static void test_home_gone(void **state)
{
	char url[256], id[64], what[24], body[512];
	struct kerf_engine *engine[2];
	struct bands b;
	struct other o;
	int fd, status;
	uint32_t i;

	open_bands(&o, &b, engine);
	engine[0]->ops->part_address(b.program[2][0], url, id);
	close(begin_post(&o, id, "run", 1, 0));
	do {
		usleep(20000);
		status = post(&o, id, "ports/0", 1,
			      kerf_port_bytes(b.slice[2][0], true, &b.part[2][0].in[0]), body,
			      sizeof(body));
	} while (status == 204);
	assert_int_equal(status, 409);
	assert_non_null(strstr(body, "home has closed its connection"));

	close(begin_post(&o, id, "run", 2, 0));
	for (;;) {
		fd = begin_post(&o, id, "run", 2, 0);
		if (net_reply(fd, body, sizeof(body), 1000) < 0)
			break; /* it is in; before, the broken connection was not noticed yet */
		close(fd);
	}
	for (i = 0; i < b.part[2][0].n_in; i++) {
		snprintf(what, sizeof(what), "ports/%u", i);
		assert_int_equal(post(&o, id, what, 2,
				      kerf_port_bytes(b.slice[2][0], true, &b.part[2][0].in[i]),
				      NULL, 0),
				 204);
	}
	assert_int_equal(net_reply(fd, NULL, 0, 20000), 200);
	close(fd);
	close_bands(&o, &b, engine);
}

/* --- A slow link: bytes go over one by one, so to say, and questions not at all --- */

static bool slow_pass(void *user, uint32_t conn, bool up, const char *data, size_t n)
{
	static const char question[] = "GET /v2/health";

	if (up && n >= sizeof(question) - 1 && !memcmp(data, question, sizeof(question) - 1))
		return false;
	if (n == NET_RELAY_BYTES)
		usleep(30000);
	return true;
}

/* It takes longer than the patience, and no question is ever answered: the bytes are enough. */
static void test_slow_link(void **state)
{
	struct kerf_err why = {""};
	struct kerf_program *p;
	struct kerf_engine *e;
	struct kerf_graph *g;
	struct net_io io;
	struct net_relay relay = {.pass = slow_pass};
	struct other o;
	int r;

	other_open(&o);
	net_relay_open(&relay, o.at.port);
	g = net_load(&o.at, ROWS);
	e = patient_engine(relay.url, 1);
	p = net_prepare(e, g);
	net_io_init(&io, g, 1);
	r = run_why(p, &io, &why);
	if (r)
		fail_msg("%d %s", r, why.msg);
	p->engine->ops->release(p);
	kerf_engine_close(e);
	net_relay_close(&relay);
	net_io_finish(&io);
	kerf_graph_unref(g);
	other_close(&o);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_stopped),	    cmocka_unit_test(test_stopped_call),
		cmocka_unit_test(test_session_why), cmocka_unit_test(test_busy),
		cmocka_unit_test(test_home_gone),     cmocka_unit_test(test_slow_link),
	};
	const struct CMUnitTest absent[] = {cmocka_unit_test(net_test_absent)};

	if (!NET_BUILT)
		return cmocka_run_group_tests(absent, NULL, NULL);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
