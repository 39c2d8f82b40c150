/* SPDX-License-Identifier: MIT */
/* Profiles: figures add up, survive the disk, and damaged files are refused. */
#include "cost/profile.h"
#include "graph/op.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static const struct kerf_op_def any = {.name = "any", .max_in = -1, .max_out = -1};

static struct kerf_graph *two_ops(void)
{
	struct kerf_tensor t = {.dtype = KERF_F32, .rank = 1, .dims = {4}};
	struct kerf_graph *g = kerf_graph_new("t");
	int32_t a = kerf_graph_add_value(g, "a", &t), b = kerf_graph_add_value(g, "b", &t);
	int32_t c = kerf_graph_add_value(g, "c", &t);

	kerf_graph_add_input(g, a);
	kerf_graph_add_op(g, &any, NULL, 1, 1, &a, 1, &b, 0, NULL);
	kerf_graph_add_op(g, &any, NULL, 1, 1, &b, 1, &c, 0, NULL);
	kerf_graph_add_output(g, c);
	return g;
}

/* A throttled CPU: one operator of one run took the whole pause. */
static void test_a_burst_is_shared_out(void **state)
{
	const uint64_t ns[] = {1000, 3000, 1000, 3000, 1000, 11000, 1000, 3000};
	struct kerf_profile p = {0};

	assert_int_equal(kerf_profile_reduce(&p, ns, 2, 4), 0);
	assert_float_equal(p.run_s, 6e-6, 1e-12);
	assert_float_equal(p.op_s[0] + p.op_s[1], p.run_s, 1e-12);
	assert_float_equal(p.op_s[1] / p.op_s[0], 3, 1e-6);
	kerf_profile_finish(&p);
}

static void save(struct kerf_graph *g, struct kerf_profile *p)
{
	const uint64_t ns[] = {1000, 3000};
	struct kerf_err err = {""};

	memset(p, 0, sizeof(*p));
	assert_int_equal(kerf_profile_reduce(p, ns, 2, 1), 0);
	p->fingerprint = kerf_graph_fingerprint(g);
	snprintf(p->engine, sizeof(p->engine), "ref: plain C");
	snprintf(p->machine, sizeof(p->machine), "here");
	assert_int_equal(kerf_profile_save(p, &err), 0);
}

static void test_round_trip(void **state)
{
	struct kerf_graph *g = two_ops();
	struct kerf_profile p, q;
	struct kerf_err err = {""};

	save(g, &p);
	assert_int_equal(kerf_profile_load(g, p.engine, p.machine, &q, &err), 0);
	assert_int_equal(q.n_op, 2);
	assert_float_equal(q.op_s[1], 3e-6, 1e-15);
	kerf_profile_finish(&q);
	assert_int_equal(kerf_profile_load(g, "ref: plain C", "elsewhere", &q, &err), -ENOENT);
	kerf_profile_finish(&p);
	kerf_graph_unref(g);
}

static void test_damage_is_refused(void **state)
{
	static const char *const bad[] = {
		"", "{", "[]", "{\"kerf_profile\":2}", "{\"kerf_profile\":1,\"op_s\":[1,2]}",
	};
	struct kerf_graph *g = two_ops();
	char cmd[256];
	struct kerf_profile p, q;
	size_t i;

	save(g, &p);
	for (i = 0; i < KERF_ARRAY_SIZE(bad); i++) {
		struct kerf_err err = {""};

		snprintf(cmd, sizeof(cmd), "for f in \"$KERF_PROFILE_DIR\"/*.json; do printf '%%s' '%s' >\"$f\"; done",
			 bad[i]);
		assert_int_equal(system(cmd), 0);
		assert_int_equal(kerf_profile_load(g, p.engine, p.machine, &q, &err), -EINVAL);
		assert_non_null(strstr(err.msg, ".json"));
	}
	kerf_profile_finish(&p);
	kerf_graph_unref(g);
}

static int make_dir(void **state)
{
	static char dir[] = "/tmp/kerf-profile-XXXXXX";

	*state = dir;
	return mkdtemp(dir) && !setenv("KERF_PROFILE_DIR", dir, 1) ? 0 : -1;
}

static int remove_dir(void **state)
{
	return system("rm -r \"$KERF_PROFILE_DIR\"");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_burst_is_shared_out),
		cmocka_unit_test(test_round_trip),
		cmocka_unit_test(test_damage_is_refused),
	};

	return cmocka_run_group_tests(tests, make_dir, remove_dir);
}
