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
	assert_int_equal(kerf_profile_describe(p, g), 0);
	p->op_fixed_s = calloc(3, sizeof(double));
	assert_non_null(p->op_fixed_s);
	p->op_fixed_s[1] = 2e-6;
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
	assert_float_equal(q.op_fixed_s[1], 2e-6, 1e-15);
	assert_string_equal(q.model, "t");
	assert_memory_equal(q.op, p.op, 2 * sizeof(*q.op));
	assert_string_equal(q.op[0].type, "any");
	assert_float_equal(q.op[0].v[KERF_FEATURE_OUT_BYTES], 16, 0);
	kerf_profile_finish(&q);
	p.predicted = true;
	assert_int_equal(kerf_profile_save(&p, &err), -EINVAL);
	assert_int_equal(kerf_profile_load(g, "ref: plain C", "elsewhere", &q, &err), -ENOENT);
	kerf_profile_finish(&p);
	kerf_graph_unref(g);
}

static int write_all(const char *text)
{
	char cmd[1024];

	snprintf(cmd, sizeof(cmd), "for f in \"$KERF_PROFILE_DIR\"/*.json; do printf '%%s' '%s' >\"$f\"; done",
		 text);
	return system(cmd);
}

/* Format 1 has times alone. */
static void test_an_old_file_is_read(void **state)
{
	struct kerf_graph *g = two_ops();
	struct kerf_err err = {""};
	struct kerf_profile p, q;
	char text[512];

	save(g, &p);
	snprintf(text, sizeof(text),
		 "{\"kerf_profile\":1,\"fingerprint\":\"%016llx\",\"engine\":\"%s\",\"machine\":\"%s\","
		 "\"runs\":7,\"op_s\":[1e-6,2e-6]}",
		 (unsigned long long)p.fingerprint, p.engine, p.machine);
	assert_int_equal(write_all(text), 0);
	assert_int_equal(kerf_profile_load(g, p.engine, p.machine, &q, &err), 0);
	assert_float_equal(q.run_s, 3e-6, 1e-15);
	assert_null(q.op_fixed_s);
	assert_null(q.op);
	kerf_profile_finish(&p);
	kerf_profile_finish(&q);
	kerf_graph_unref(g);
}

static int count(const struct kerf_profile *p, void *user)
{
	++*(uint32_t *)user;
	return 0;
}

static void test_each_leaves_out_what_is_damaged(void **state)
{
	struct kerf_graph *g = two_ops();
	struct kerf_err err = {""};
	struct kerf_profile p;
	uint32_t n = 0, bad = 0;

	save(g, &p);
	assert_int_equal(write_all("{\"kerf_profile\":2}"), 0);
	snprintf(p.machine, sizeof(p.machine), "there");
	assert_int_equal(kerf_profile_save(&p, &err), 0);
	assert_int_equal(kerf_profile_each(count, &n, &bad, &err), 0);
	assert_int_equal(n, 1);
	assert_int_equal(bad, 1);
	kerf_profile_finish(&p);
	kerf_graph_unref(g);
}

/* A tile of share x that takes 0.25 + 0.75 x; and what no line fits stays in range. */
static void test_the_fixed_share_is_found(void **state)
{
	const double x[] = {0.5, 0.25, 0.125}, y[] = {0.625, 0.4375, 0.34375};
	const double less[] = {0.4, 0.2, 0.1}, more[] = {1.2, 1.3, 1.4};

	assert_float_equal(kerf_profile_fixed_share(x, y, 3), 0.25, 1e-12);
	assert_float_equal(kerf_profile_fixed_share(x, less, 3), 0, 0);
	assert_float_equal(kerf_profile_fixed_share(x, more, 3), 1, 0);
	assert_float_equal(kerf_profile_fixed_share(x, y, 0), 0, 0);
}

static void test_damage_is_refused(void **state)
{
	static const char *const bad[] = {
		"", "{", "[]", "{\"kerf_profile\":2}", "{\"kerf_profile\":1,\"op_s\":[1,2]}",
		"{\"kerf_profile\":3}", "{\"kerf_profile\":\"2\"}",
	};
	/* After what a right file begins with. */
	static const char *const tails[] = {
		"\"op_s\":[1]", "\"op_s\":[1,\"x\"]", "\"op_s\":[1,-1]", "\"op_s\":[1,1e300]",
		"\"op_s\":7", "\"op_s\":[1,2],\"op_fixed_s\":[1]",
		"\"op_s\":[1,2],\"op_fixed_s\":[1,2.5]", "\"op_s\":[1,2],\"op\":[1,2]",
		"\"op_s\":[1,2],\"op\":[[1],[2]]", "\"op_s\":[1,2],\"op\":{}",
		"\"op_s\":[1,2],\"runs\":-1",
	};
	struct kerf_graph *g = two_ops();
	struct kerf_profile p, q;
	char text[512];
	size_t i;

	save(g, &p);
	for (i = 0; i < KERF_ARRAY_SIZE(bad); i++) {
		struct kerf_err err = {""};

		assert_int_equal(write_all(bad[i]), 0);
		assert_int_equal(kerf_profile_load(g, p.engine, p.machine, &q, &err), -EINVAL);
		assert_non_null(strstr(err.msg, ".json"));
	}
	for (i = 0; i < KERF_ARRAY_SIZE(tails); i++) {
		struct kerf_err err = {""};

		snprintf(text, sizeof(text),
			 "{\"kerf_profile\":2,\"fingerprint\":\"%016llx\",\"model\":\"t\",\"engine\":\"%s\","
			 "\"machine\":\"%s\",%s}",
			 (unsigned long long)p.fingerprint, p.engine, p.machine, tails[i]);
		assert_int_equal(write_all(text), 0);
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
		cmocka_unit_test(test_an_old_file_is_read),
		cmocka_unit_test(test_damage_is_refused),
		cmocka_unit_test(test_each_leaves_out_what_is_damaged),
		cmocka_unit_test(test_the_fixed_share_is_found),
	};

	return cmocka_run_group_tests(tests, make_dir, remove_dir);
}
