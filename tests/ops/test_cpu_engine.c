/* SPDX-License-Identifier: MIT */
/* The cpu engine as a whole: programs and jobs, and whole models against the reference. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "exec/engine.h"

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

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_open),
		cmocka_unit_test(test_empty),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
