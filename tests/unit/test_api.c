/* SPDX-License-Identifier: MIT */
/*
 * The public API, used as a stranger would: kerf.h and nothing else of kerf's, but for
 * making a model that `kerf gen` has not.
 */
#include "kerf.h"

#include "onnx_build.h"

#include <errno.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static char model[64];

struct buffers {
	void *in[4], *out[4];
};

static void make_buffers(struct kerf_handle *k, struct buffers *b)
{
	struct kerf_io_info info = {.size = sizeof(info)};
	uint32_t i;
	size_t j;

	memset(b, 0, sizeof(*b));
	for (i = 0; i < kerf_inputs(k); i++) {
		assert_int_equal(kerf_input(k, i, &info), 0);
		assert_string_equal(info.datatype, "FP32");
		b->in[i] = kerf_buffer(info.bytes);
		for (j = 0; j < info.bytes / sizeof(float); j++)
			((float *)b->in[i])[j] = sinf((float)j);
	}
	for (i = 0; i < kerf_outputs(k); i++) {
		assert_int_equal(kerf_output(k, i, &info), 0);
		b->out[i] = kerf_buffer(info.bytes);
	}
}

static void free_buffers(struct buffers *b)
{
	int i;

	for (i = 0; i < 4; i++) {
		free(b->in[i]);
		free(b->out[i]);
	}
}

static int done_status = 1;

static void done(void *user, int status)
{
	__atomic_store_n(&done_status, status, __ATOMIC_RELEASE);
}

static void test_run_and_submit_agree(void **state)
{
	struct kerf_config cfg = {.size = sizeof(cfg), .engines = "cpu", .threads = 1};
	struct kerf_stats stats = {.size = sizeof(stats)};
	struct kerf_io_info info = {.size = sizeof(info)};
	struct kerf_handle *k;
	struct buffers a, b;
	char msg[256] = "";
	int i;

	assert_int_equal(kerf_open(model, &cfg, &k, msg, sizeof(msg)), 0);
	make_buffers(k, &a);
	make_buffers(k, &b);
	assert_int_equal(kerf_run(k, (const void *const *)a.in, a.out, NULL), 0);
	assert_int_equal(kerf_submit(k, (const void *const *)b.in, b.out, NULL, done, NULL), 0);
	for (i = 0; i < 10000 && __atomic_load_n(&done_status, __ATOMIC_ACQUIRE) == 1; i++)
		usleep(1000);
	assert_int_equal(done_status, 0);
	assert_int_equal(kerf_output(k, 0, &info), 0);
	assert_memory_equal(a.out[0], b.out[0], info.bytes);
	assert_int_equal(kerf_output(k, kerf_outputs(k), &info), -EINVAL);
	assert_int_equal(kerf_get_stats(k, &stats), 0);
	assert_int_equal(stats.requests, 2);
	assert_int_equal(stats.steps, 1);
	kerf_close(k);
	free_buffers(&a);
	free_buffers(&b);
}

static void test_failure_says_why(void **state)
{
	struct kerf_config cfg = {.size = sizeof(cfg), .engines = "warp"};
	struct kerf_handle *k = NULL;
	char msg[256] = "";

	assert_int_equal(kerf_open("/nonexistent.onnx", NULL, &k, msg, sizeof(msg)), -ENOENT);
	assert_non_null(strstr(msg, "/nonexistent.onnx"));
	assert_true(kerf_open(model, &cfg, &k, msg, sizeof(msg)) < 0);
	assert_non_null(strstr(msg, "warp"));
	cfg.engines = NULL;
	cfg.reserved = 1;
	assert_int_equal(kerf_open(model, &cfg, &k, msg, sizeof(msg)), -EINVAL);
	assert_null(k);
}

/* A caller built against an older, smaller struct. */
static void test_small_structs(void **state)
{
	struct kerf_config cfg = {.size = offsetof(struct kerf_config, policy), .policy = "bogus"};
	struct kerf_stats stats;
	struct kerf_handle *k;

	memset(&stats, 0x55, sizeof(stats));
	stats.size = offsetof(struct kerf_stats, weight_bytes);
	assert_int_equal(kerf_open(model, &cfg, &k, NULL, 0), 0);
	assert_int_equal(kerf_get_stats(k, &stats), 0);
	assert_int_equal(stats.requests, 0);
	assert_int_equal(stats.weight_bytes, (size_t)0x5555555555555555u);
	kerf_close(k);
}

/* A caller built against a newer struct gets what this version has, or is told. */
static void test_large_structs(void **state)
{
	struct {
		struct kerf_config cfg;
		uint64_t newer;
	} big = {.cfg = {.size = sizeof(big)}};
	struct kerf_handle *k = NULL;
	char msg[256] = "";

	assert_int_equal(kerf_open(model, &big.cfg, &k, NULL, 0), 0);
	kerf_close(k);
	big.newer = 1;
	assert_int_equal(kerf_open(model, &big.cfg, &k, msg, sizeof(msg)), -E2BIG);
	assert_non_null(strstr(msg, "config"));
	big.cfg.size = 0;
	assert_int_equal(kerf_open(model, &big.cfg, &k, NULL, 0), -EINVAL);
}

static void test_memory_is_checked(void **state)
{
	struct kerf_handle *k;
	struct buffers b;
	void *good;

	assert_int_equal(kerf_open(model, NULL, &k, NULL, 0), 0);
	make_buffers(k, &b);
	good = b.out[0];
	b.out[0] = (char *)good + 4;
	assert_int_equal(kerf_run(k, (const void *const *)b.in, b.out, NULL), -EINVAL);
	b.out[0] = NULL;
	assert_int_equal(kerf_submit(k, (const void *const *)b.in, b.out, NULL, done, NULL),
			 -EINVAL);
	b.out[0] = good;
	assert_int_equal(kerf_run(k, (const void *const *)b.in, b.out, NULL), 0);
	free_buffers(&b);
	kerf_close(k);
}

/* y: the places of x that are not 0; z: what they are, doubled. Few bytes, some tens. */
static void write_bounded(const char *path)
{
	struct onnx_build b;
	size_t size;
	uint8_t *p;
	FILE *f;

	onnx_build_init(&b, 13);
	onnx_build_input(&b, "x", 1, "2,4");
	onnx_build_node(&b, "NonZero", "x", "y");
	onnx_build_node(&b, "Transpose", "y", "t");
	onnx_build_node(&b, "GatherND", "x,t", "v");
	onnx_build_node(&b, "Add", "v,v", "z");
	onnx_build_output(&b, "y", 7, NULL);
	onnx_build_output(&b, "z", 1, NULL);
	p = onnx_build_pack(&b, &size);
	f = fopen(path, "wb");
	assert_non_null(f);
	assert_int_equal(fwrite(p, 1, size, f), size);
	fclose(f);
	onnx_build_finish(&b);
}

/* Outputs that shrink, one run after the other, on either engine. */
static void test_bounded_outputs(void **state)
{
	static const char *const engines[] = {"cpu", "ref"};
	char path[64];
	struct kerf_io_info info = {.size = sizeof(info)};
	unsigned e, n;

	snprintf(path, sizeof(path), "/tmp/kerf-test-api-bounded-%d.onnx", (int)getpid());
	write_bounded(path);
	for (e = 0; e < 2; e++) {
		struct kerf_config cfg = {.size = sizeof(cfg), .engines = engines[e]};
		int64_t y[2], z[1], *dims[2] = {y, z};
		struct kerf_handle *k;
		struct buffers b;

		assert_int_equal(kerf_open(path, &cfg, &k, NULL, 0), 0);
		assert_int_equal(kerf_output(k, 1, &info), 0);
		assert_int_equal(info.flags, KERF_BOUNDED);
		assert_int_equal(info.dims[0], 8);
		assert_int_equal(kerf_input(k, 0, &info), 0);
		assert_int_equal(info.flags, 0);
		b = (struct buffers){.in = {kerf_buffer(32)},
				     .out = {kerf_buffer(128), kerf_buffer(32)}};
		for (n = 0; n <= 8; n = n * 2 + 1) {
			float *x = b.in[0];
			unsigned i;

			/* the last n elements */
			for (i = 0; i < 8; i++)
				x[i] = i < 8 - n ? 0 : (float)i;
			assert_int_equal(kerf_run(k, (const void *const *)b.in, b.out, dims), 0);
			assert_int_equal(y[0], 2);
			assert_int_equal(y[1], n);
			assert_int_equal(z[0], n);
			for (i = 0; i < n; i++) {
				assert_int_equal(((int64_t *)b.out[0])[i], (8 - n + i) / 4);
				assert_int_equal(((int64_t *)b.out[0])[n + i], (8 - n + i) % 4);
				assert_true(((float *)b.out[1])[i] == 2 * (float)(8 - n + i));
			}
			dims[0] = NULL;
			assert_int_equal(kerf_run(k, (const void *const *)b.in, b.out, dims), 0);
			assert_int_equal(kerf_run(k, (const void *const *)b.in, b.out, NULL), 0);
			dims[0] = y;
		}
		free_buffers(&b);
		kerf_close(k);
	}
	unlink(path);
}

static void refused(const struct kerf_config *cfg, int code, const char *says)
{
	struct kerf_handle *k = NULL;
	char msg[512] = "";

	assert_int_equal(kerf_open(model, cfg, &k, msg, sizeof(msg)), code);
	assert_null(k);
	if (!strstr(msg, says))
		fail_msg("'%s' does not say '%s'", msg, says);
}

static void test_goals(void **state)
{
	struct kerf_config cfg = {.size = sizeof(cfg), .engines = "cpu", .threads = 1};
	struct kerf_handle *k;

	cfg.deadline_ms = 1e-6;
	refused(&cfg, -EDOM, "--deadline");
	cfg.deadline_ms = -1;
	refused(&cfg, -EINVAL, "deadline_ms -1");
	cfg.deadline_ms = 1e6;
	cfg.objective = "speed";
	refused(&cfg, -EINVAL, "objective 'speed'");
	cfg.objective = "throughput";
	cfg.codecs = "zip";
	refused(&cfg, -EINVAL, "'zip'");
	cfg.codecs = "f16,int8";
	cfg.accuracy = 2;
	refused(&cfg, -EINVAL, "accuracy 2");
	cfg.accuracy = 0.5;
	cfg.keep = 2;
	cfg.flags = KERF_INEXACT | KERF_EXITS;
	assert_int_equal(kerf_open(model, &cfg, &k, NULL, 0), 0);
	kerf_close(k);
	cfg.plan = "/nonexistent.json";
	refused(&cfg, -EINVAL, "beside a plan");
	cfg = (struct kerf_config){.size = sizeof(cfg), .plan = "/nonexistent.json"};
	refused(&cfg, -ENOENT, "/nonexistent.json");
	cfg.plan = model;
	refused(&cfg, -EINVAL, "not JSON");
	cfg.plan = NULL;
	cfg.flags = 8;
	refused(&cfg, -EINVAL, "unknown flag");
}

/* Looks by a thread and when asked, while requests run; what there is to refuse. */
static void test_replanning(void **state)
{
	struct kerf_config cfg = {.size = sizeof(cfg), .engines = "cpu,ref", .threads = 1,
				  .replan_ms = 1};
	struct kerf_stats stats = {.size = sizeof(stats)};
	char why[256] = "", first[512], now[512];
	struct kerf_handle *k;
	struct buffers b;
	int i, changed;

	assert_int_equal(kerf_open(model, &cfg, &k, why, sizeof(why)), 0);
	make_buffers(k, &b);
	for (i = 0; i < 300; i++) {
		assert_int_equal(kerf_run(k, (const void *const *)b.in, b.out, NULL), 0);
		if (i % 50)
			continue;
		assert_int_equal(kerf_replan(k, &changed, why, sizeof(why)), 0);
		assert_true(strstr(why, changed ? "changed" : "kept") == why);
	}
	assert_int_equal(kerf_get_stats(k, &stats), 0);
	assert_int_equal(stats.requests, 300);
	assert_int_equal(stats.failures, 0);
	snprintf(first, sizeof(first), "%s", kerf_plan_reason(k));
	assert_int_equal(kerf_get_reason(k, now, sizeof(now)), 0);
	if (!stats.replans)
		assert_string_equal(first, now);
	assert_int_equal(kerf_get_reason(k, now, 0), -EINVAL);
	kerf_close(k);

	cfg.replan_ms = KERF_REPLAN_ASKED;
	assert_int_equal(kerf_open(model, &cfg, &k, why, sizeof(why)), 0);
	assert_int_equal(kerf_replan(k, NULL, NULL, 0), 0);
	kerf_close(k);
	cfg.engines = "cpu";
	assert_int_equal(kerf_open(model, &cfg, &k, why, sizeof(why)), 0);
	assert_int_equal(kerf_replan(k, &changed, why, sizeof(why)), -ENOTSUP);
	assert_int_equal(changed, 0);
	assert_non_null(strstr(why, "one engine"));
	kerf_close(k);
	free_buffers(&b);
	cfg.replan_ms = -2;
	refused(&cfg, -EINVAL, "replan_ms -2");
	cfg = (struct kerf_config){.size = sizeof(cfg), .plan = "x", .replan_ms = 1};
	refused(&cfg, -EINVAL, "beside a plan");
}

static int make_model(void **state)
{
	const char *kerf = getenv("KERF");
	char cmd[1024];

	snprintf(model, sizeof(model), "/tmp/kerf-test-api-%d.onnx", (int)getpid());
	snprintf(cmd, sizeof(cmd), "%s gen tiny -o %s", kerf ? kerf : "build/kerf", model);
	return system(cmd);
}

static int remove_model(void **state)
{
	return unlink(model);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_run_and_submit_agree),
		cmocka_unit_test(test_failure_says_why),
		cmocka_unit_test(test_small_structs),
		cmocka_unit_test(test_large_structs),
		cmocka_unit_test(test_goals),
		cmocka_unit_test(test_replanning),
		cmocka_unit_test(test_memory_is_checked),
		cmocka_unit_test(test_bounded_outputs),
	};

	return cmocka_run_group_tests(tests, make_model, remove_model);
}
