/* SPDX-License-Identifier: MIT */
/* The cpu engine as a whole: programs and jobs, and whole models against the reference. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <pthread.h>
#include <sys/wait.h>
#include <unistd.h>

#include "exec/cpu.h"
#include "exec/engine.h"
#include "graph/import.h"
#include "graph/tensor_file.h"
#include "util/clock.h"

#include "unit/graph_eval.h"

/* The kerf program of the same build: it generates models. */
static char kerf[4096];

static struct kerf_engine *open_cpu(int threads)
{
	struct kerf_engine_config cfg = {.threads = threads};
	struct kerf_engine *e = NULL;
	struct kerf_err err = {{0}};

	if (kerf_engine_open("cpu", &cfg, &e, &err))
		fail_msg("%s", err.msg);
	return e;
}

static void test_open(void **state)
{
	struct kerf_engine_config cfg = {.threads = 2, .isa = "vax"};
	struct kerf_engine_info info, again;
	struct kerf_engine *e;
	struct kerf_err err = {{0}};

	assert_int_equal(kerf_engine_open("cpu", &cfg, &e, &err), -ENOENT);
	assert_non_null(strstr(err.msg, "vax"));
	memset(&err, 0, sizeof(err));
	assert_int_equal(kerf_engine_open("cpu:3", NULL, &e, &err), -EINVAL);
	e = open_cpu(2);
	e->ops->describe(e, &info);
	assert_string_equal(info.kind, "cpu");
	assert_non_null(strstr(info.device, "2 threads"));
	assert_int_equal(strlen(info.machine), 64);
	kerf_engine_close(e);
	e = open_cpu(1);
	e->ops->describe(e, &again);
	assert_string_equal(info.machine, again.machine);
	kerf_engine_close(e);
}

/* A graph without operators: its output is its input. */
static void test_empty(void **state)
{
	struct kerf_graph *g = kerf_graph_new("empty");
	struct kerf_tensor t = {KERF_F32, 1, {5}, NULL};
	struct kerf_engine *e = open_cpu(2);
	struct kerf_program *p;
	struct kerf_tensor in, out;
	struct kerf_err err = {{0}};
	int32_t v = kerf_graph_add_value(g, "x", &t);
	float x[5] = {1, 2, 3, 4, 5}, y[5] = {0};

	assert_int_equal(kerf_graph_add_input(g, v), 0);
	assert_int_equal(kerf_graph_add_output(g, v), 0);
	kerf_graph_freeze(g);
	assert_int_equal(e->ops->prepare(e, g, &p, &err), 0);
	in = out = t;
	in.data = x;
	out.data = y;
	assert_int_equal(kerf_engine_run(p, &in, &out, NULL), 0);
	assert_memory_equal(x, y, sizeof(x));
	e->ops->release(p);
	kerf_engine_close(e);
	kerf_graph_unref(g);
}

/* --- whole models ---------------------------------------------------------- */

static struct kerf_tensor *tensors_of(const struct kerf_graph *g, const int32_t *id, uint32_t n,
				      uint64_t seed)
{
	struct kerf_tensor *t = calloc(n + 1, sizeof(*t));
	uint32_t i;
	int64_t k;

	for (i = 0; i < n; i++) {
		t[i] = g->value[id[i]].t;
		t[i].data = kerf_tensor_alloc(kerf_tensor_bytes(&t[i]));
		if (seed)
			eval_fill(&t[i], seed + i);
		/* Indices, of tables that may have no more than two rows. */
		for (k = 0; t[i].dtype == KERF_I64 && k < kerf_tensor_count(&t[i]); k++)
			((int64_t *)t[i].data)[k] &= 1;
	}
	return t;
}

static void free_tensors(struct kerf_tensor *t, uint32_t n)
{
	uint32_t i;

	for (i = 0; i < n; i++)
		free(t[i].data);
	free(t);
}

static struct kerf_graph *load(const char *path)
{
	struct kerf_graph *g = NULL;
	struct kerf_err err = {{0}};

	if (kerf_model_load(path, NULL, &g, &err))
		fail_msg("%s", err.msg);
	return g;
}

/* Opens spec, runs g once on in[]; the outputs are the caller's to free. */
static struct kerf_tensor *run_on(const char *spec, int threads, const char *isa,
				  struct kerf_graph *g, const struct kerf_tensor *in)
{
	struct kerf_engine_config cfg = {.threads = threads, .isa = isa};
	struct kerf_tensor *out = tensors_of(g, g->out, g->n_out, 0);
	struct kerf_engine *e = NULL;
	struct kerf_program *p = NULL;
	struct kerf_err err = {{0}};

	if (kerf_engine_open(spec, &cfg, &e, &err) || e->ops->prepare(e, g, &p, &err))
		fail_msg("%s: %s", g->name, err.msg);
	/* Twice: nothing of the first run may show in the second. */
	assert_int_equal(kerf_engine_run(p, in, out, NULL), 0);
	assert_int_equal(kerf_engine_run(p, in, out, NULL), 0);
	e->ops->release(p);
	kerf_engine_close(e);
	return out;
}

static void assert_near(const char *what, const struct kerf_tensor *a, const struct kerf_tensor *b,
			uint32_t n, double tol)
{
	uint32_t i;

	for (i = 0; i < n; i++) {
		double d = tensor_difference(&a[i], &b[i], 0);

		if (!(d <= tol))
			fail_msg("%s: output %u is off by %g of its greatest magnitude", what, i,
				 d);
	}
}

static void assert_same_bits(const char *what, const struct kerf_tensor *a,
			     const struct kerf_tensor *b, uint32_t n)
{
	uint32_t i;

	for (i = 0; i < n; i++)
		if (memcmp(a[i].data, b[i].data, kerf_tensor_bytes(&a[i])))
			fail_msg("%s: output %u has other bits", what, i);
}

/* cpu against ref, and cpu against itself on other sets of instructions and threads. */
static void check_model(const char *name, struct kerf_graph *g)
{
	struct kerf_tensor *in = tensors_of(g, g->in, g->n_in, 3);
	struct kerf_tensor *ref = run_on("ref", 0, NULL, g, in);
	struct kerf_tensor *cpu = run_on("cpu", 1, NULL, g, in);
	struct kerf_tensor *two = run_on("cpu", 2, NULL, g, in);

	assert_near(name, ref, cpu, g->n_out, 1e-4);
	assert_same_bits(name, cpu, two, g->n_out);
	free_tensors(two, g->n_out);
#ifdef __x86_64__
	if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) {
		two = run_on("cpu", 2, "avx2", g, in);
		assert_same_bits(name, cpu, two, g->n_out);
		free_tensors(two, g->n_out);
	}
	two = run_on("cpu", 2, "baseline", g, in);
	assert_near(name, ref, two, g->n_out, 1e-4);
	free_tensors(two, g->n_out);
#endif
	free_tensors(cpu, g->n_out);
	free_tensors(ref, g->n_out);
	free_tensors(in, g->n_in);
}

/* Generates arch into a file of its own; NULL where this build has no kerf. */
static struct kerf_graph *generate(const char *arch, const char *size)
{
	char path[] = "/tmp/kerf-test-XXXXXX";
	int fd = mkstemp(path), status = -1;
	struct kerf_graph *g = NULL;
	pid_t pid;

	assert_true(fd >= 0);
	close(fd);
	pid = fork();
	if (!pid) {
		execl(kerf, kerf, "gen", arch, "-o", path, "--size", size, (char *)NULL);
		_exit(127);
	}
	waitpid(pid, &status, 0);
	if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
		g = load(path);
	else if (!WIFEXITED(status) || WEXITSTATUS(status) != 127)
		fail_msg("kerf gen %s failed", arch);
	unlink(path);
	return g;
}

/* A tenth of a core takes ten times what operators took when the slice was prepared, each time. */
static void test_share(void **state)
{
	struct kerf_engine_config cfg = {.threads = 1, .share = 101};
	struct kerf_graph *g = generate("mobilenet_v2", "128x128");
	struct kerf_tensor *in, *out[2];
	uint64_t *op_ns, *again, wall = 0, sum = 0;
	struct kerf_engine_info info;
	const uint64_t *pace;
	struct kerf_program *p;
	struct kerf_engine *e;
	struct kerf_err err = {{0}};
	uint32_t i;
	int k;

	if (!g)
		skip();
	in = tensors_of(g, g->in, g->n_in, 1);
	op_ns = calloc(2 * (size_t)g->n_op, sizeof(*op_ns));
	assert_non_null(op_ns);
	again = op_ns + g->n_op;
	assert_int_equal(kerf_engine_open("cpu", &cfg, &e, &err), -EINVAL);
	cfg = (struct kerf_engine_config){.threads = 2, .share = 50};
	assert_int_equal(kerf_engine_open("cpu", &cfg, &e, &err), -EINVAL);
	for (k = 0; k < 2; k++) {
		cfg = (struct kerf_engine_config){.threads = 1, .share = k ? 10 : 100};
		out[k] = tensors_of(g, g->out, g->n_out, 0);
		if (kerf_engine_open("cpu", &cfg, &e, &err) || e->ops->prepare(e, g, &p, &err))
			fail_msg("%s", err.msg);
		e->ops->describe(e, &info);
		assert_int_equal(strstr(info.device, "10 % of its speed") != NULL, k);
		wall = kerf_now_ns();
		assert_int_equal(e->ops->profile(p, in, out[k], op_ns), 0);
		wall = kerf_now_ns() - wall;
		assert_int_equal(e->ops->profile(p, in, out[k], again), 0);
		pace = *kerf_cpu_program_pace((struct kerf_cpu_program *)p);
		assert_int_equal(pace != NULL, k);
		for (i = 0; i < g->n_op && k; i++) {
			assert_true(op_ns[i] == 10 * pace[i] && again[i] == op_ns[i]);
			sum += op_ns[i];
		}
		e->ops->release(p);
		kerf_engine_close(e);
	}
	assert_true(sum > 0 && wall >= sum);
	assert_same_bits("a tenth of its speed", out[0], out[1], g->n_out);
	free_tensors(out[0], g->n_out);
	free_tensors(out[1], g->n_out);
	free_tensors(in, g->n_in);
	free(op_ns);
	kerf_graph_unref(g);
}

static void rest_is_over(struct kerf_job *job, int status)
{
	atomic_store((_Atomic int *)job->user, status);
}

/* A job that has its outputs already, and rests for 99 times what it worked, can be cancelled. */
static void test_share_cancel(void **state)
{
	struct kerf_engine_config cfg = {.threads = 1, .share = 1};
	struct kerf_graph *g = generate("squeezenet", "160x160");
	_Atomic int status = 1;
	struct kerf_job job = {.done = rest_is_over, .user = &status};
	struct kerf_engine *e = NULL;
	volatile float *first;

	if (!g)
		skip();
	job.in = tensors_of(g, g->in, g->n_in, 1);
	job.out = tensors_of(g, g->out, g->n_out, 0);
	assert_int_equal(kerf_engine_open("cpu", &cfg, &e, NULL), 0);
	assert_int_equal(e->ops->prepare(e, g, &job.program, NULL), 0);
	assert_int_equal(kerf_engine_submit(&job), 0);
	for (first = job.out[0].data; *first == 0;)
		usleep(100);
	e->ops->cancel(&job);
	while (status == 1)
		usleep(100);
	assert_int_equal(status, -ECANCELED);
	e->ops->release(job.program);
	kerf_engine_close(e);
	free_tensors((struct kerf_tensor *)job.in, g->n_in);
	free_tensors(job.out, g->n_out);
	kerf_graph_unref(g);
}

static void test_generated(void **state)
{
	static const struct {
		const char *arch, *size;
	} models[] = {
		{"tiny", "32x32"},	   {"squeezenet", "65x63"},	 {"mobilenet_v2", "64x64"},
		{"resnet18", "33x65"},	   {"googlenet", "64x64"},	 {"resnet18-int8", "48x32"},
		{"mobilenet_v3", "64x32"}, {"shufflenet_v2", "64x64"},	 {"bert_mini", "1x17"},
		{"yolov4-tiny", "64x96"},  {"efficientnet_b0", "32x32"},
	};
	unsigned i;

	/* KERF_TEST_QUICK is set under sanitizers and emulation. */
	for (i = 0; i < (getenv("KERF_TEST_QUICK") ? 3 : KERF_ARRAY_SIZE(models)); i++) {
		struct kerf_graph *g = generate(models[i].arch, models[i].size);

		if (!g)
			skip();
		check_model(models[i].arch, g);
		kerf_graph_unref(g);
	}
}

/* A recorded pair of the model in folder: false if there is no set n. */
static bool check_recorded(const char *folder, struct kerf_graph *g, int n, double tol)
{
	struct kerf_tensor *in = tensors_of(g, g->in, g->n_in, 0), *out, want;
	struct kerf_err err = {{0}};
	char path[4096];
	uint32_t i;

	for (i = 0; i < g->n_in; i++) {
		snprintf(path, sizeof(path), "%s/test_data_set_%d/input_%u.pb", folder, n, i);
		if (access(path, R_OK)) {
			free_tensors(in, g->n_in);
			return false;
		}
		free(in[i].data);
		if (kerf_tensor_read(path, &g->value[g->in[i]].t, &in[i], &err))
			fail_msg("%s", err.msg);
	}
	out = run_on("cpu", 2, NULL, g, in);
	for (i = 0; i < g->n_out; i++) {
		snprintf(path, sizeof(path), "%s/test_data_set_%d/output_%u.pb", folder, n, i);
		if (kerf_tensor_read(path, &out[i], &want, &err))
			fail_msg("%s", err.msg);
		assert_near(path, &want, &out[i], 1, tol);
		free(want.data);
	}
	free_tensors(out, g->n_out);
	free_tensors(in, g->n_in);
	return true;
}

static void test_trained(void **state)
{
	static const struct {
		const char *name;
		double tol;
	} models[] = {{"mnist", 1e-5}, {"ultraface", 1e-4}};
	const char *data = getenv("KERF_TEST_DATA");
	unsigned i, found = 0;

	for (i = 0; data && i < KERF_ARRAY_SIZE(models); i++) {
		char folder[2048], path[2100];
		struct kerf_graph *g;
		int n = 0;

		snprintf(folder, sizeof(folder), "%s/%s", data, models[i].name);
		snprintf(path, sizeof(path), "%s/model.onnx", folder);
		if (access(path, R_OK))
			continue;
		g = load(path);
		while (check_recorded(folder, g, n, models[i].tol))
			n++;
		assert_true(n > 0);
		found++;
		kerf_graph_unref(g);
	}
	if (!found)
		skip();
}

/* --- many at once -------------------------------------------------------------- */

#define JOBS 24

struct counted {
	struct kerf_job job;
	pthread_mutex_t *lock;
	pthread_cond_t *cond;
	int *left, status, done;
};

static void count_done(struct kerf_job *job, int status)
{
	struct counted *c = job->user;

	pthread_mutex_lock(c->lock);
	c->status = status;
	c->done++;
	--*c->left;
	pthread_cond_signal(c->cond);
	pthread_mutex_unlock(c->lock);
}

/* Submits JOBS jobs in turn to the programs; cancels every third if asked. Waits. */
static void run_jobs(struct kerf_program **p, unsigned n_p, const struct kerf_tensor *in,
		     struct kerf_tensor *out[JOBS], struct counted c[JOBS], bool cancel)
{
	pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
	pthread_cond_t cond = PTHREAD_COND_INITIALIZER;
	int left = JOBS, i;

	for (i = 0; i < JOBS; i++) {
		c[i] = (struct counted){
			.job = {.program = p[i % n_p],
				.in = in,
				.out = out[i],
				.done = count_done,
				.user = &c[i]},
			.lock = &lock,
			.cond = &cond,
			.left = &left,
		};
		while (kerf_engine_submit(&c[i].job) == -EAGAIN)
			usleep(100);
	}
	for (i = 0; i < JOBS && cancel; i += 3) {
		bool over;

		/* A job that is over is no longer the engine's to cancel. */
		pthread_mutex_lock(&lock);
		over = c[i].done;
		pthread_mutex_unlock(&lock);
		if (!over)
			p[0]->engine->ops->cancel(&c[i].job);
	}
	pthread_mutex_lock(&lock);
	while (left)
		pthread_cond_wait(&cond, &lock);
	pthread_mutex_unlock(&lock);
}

struct preparing {
	struct kerf_engine *e;
	struct kerf_graph *g;
	struct kerf_program *p;
	int r;
};

static void *prepare_main(void *arg)
{
	struct preparing *x = arg;
	struct kerf_err err = {{0}};

	x->r = x->e->ops->prepare(x->e, x->g, &x->p, &err);
	return NULL;
}

static void test_many(void **state)
{
	struct kerf_graph *g = generate("squeezenet", "48x48");
	struct kerf_tensor *in, *want, *out[JOBS];
	struct kerf_engine_config cfg = {.threads = 2, .depth = 32};
	struct kerf_engine *e = NULL;
	struct preparing prep[3];
	struct kerf_program *p[3];
	struct counted c[JOBS];
	pthread_t thread[3];
	uint64_t *ns;
	int i, canceled = 0;

	if (!g)
		skip();
	in = tensors_of(g, g->in, g->n_in, 3);
	want = run_on("cpu", 1, NULL, g, in);
	for (i = 0; i < JOBS; i++)
		out[i] = tensors_of(g, g->out, g->n_out, 0);
	assert_int_equal(kerf_engine_open("cpu", &cfg, &e, NULL), 0);
	for (i = 0; i < 3; i++) {
		prep[i] = (struct preparing){e, g, NULL, 0};
		assert_int_equal(pthread_create(&thread[i], NULL, prepare_main, &prep[i]), 0);
	}
	for (i = 0; i < 3; i++) {
		pthread_join(thread[i], NULL);
		assert_int_equal(prep[i].r, 0);
		p[i] = prep[i].p;
	}
	run_jobs(p, 3, in, out, c, false);
	for (i = 0; i < JOBS; i++) {
		assert_int_equal(c[i].status, 0);
		assert_int_equal(c[i].done, 1);
		assert_true(c[i].job.queued_ns <= c[i].job.start_ns);
		assert_true(c[i].job.start_ns <= c[i].job.end_ns);
		assert_same_bits("a job among many", want, out[i], g->n_out);
	}
	run_jobs(p, 3, in, out, c, true);
	for (i = 0; i < JOBS; i++) {
		assert_int_equal(c[i].done, 1);
		assert_true(c[i].status == 0 || (c[i].status == -ECANCELED && i % 3 == 0));
		canceled += c[i].status == -ECANCELED;
		if (!c[i].status)
			assert_same_bits("a job beside cancelled ones", want, out[i], g->n_out);
	}
	assert_true(canceled > 0);
	ns = calloc(g->n_op, sizeof(*ns));
	assert_int_equal(e->ops->profile(p[0], in, out[0], ns), 0);
	for (i = 0; i < (int)g->n_op; i++)
		canceled += ns[i] > 0;
	assert_true(canceled > (int)g->n_op / 2);
	assert_same_bits("a profiled run", want, out[0], g->n_out);
	free(ns);
	for (i = 0; i < 3; i++)
		e->ops->release(p[i]);
	kerf_engine_close(e);
	for (i = 0; i < JOBS; i++)
		free_tensors(out[i], g->n_out);
	free_tensors(want, g->n_out);
	free_tensors(in, g->n_in);
	kerf_graph_unref(g);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_open),	cmocka_unit_test(test_empty),
		cmocka_unit_test(test_share),	cmocka_unit_test(test_share_cancel),
		cmocka_unit_test(test_trained), cmocka_unit_test(test_generated),
		cmocka_unit_test(test_many),
	};
	char *slash;
	int i;

	/* O/tests/ops/test_cpu_engine -> O/kerf */
	snprintf(kerf, sizeof(kerf) - 8, "%s", argv[0]);
	for (i = 0; i < 3 && (slash = strrchr(kerf, '/')); i++)
		*slash = 0;
	strcat(kerf, "/kerf");
	return cmocka_run_group_tests(tests, NULL, NULL);
}
