/* SPDX-License-Identifier: MIT */
/*
 * kerf conformance itself: that it passes what is right, and that what is wrong,
 * refused, slow, contradictory or broken is told apart. Runs the program that the
 * environment's KERF names; without it the test is skipped.
 */
#include "onnx_build.h"

#include "graph/tensor_file.h"
#include "util/file.h"

#include <json-c/json.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

static char root[64];

static void make_folders(const char *name)
{
	char cmd[256];

	snprintf(cmd, sizeof(cmd), "mkdir -p %s/%s/test_data_set_0", root, name);
	assert_int_equal(system(cmd), 0);
}

static void write_model(struct onnx_build *b, const char *name, size_t cut)
{
	char path[256];
	struct kerf_err err = {""};
	size_t size;
	uint8_t *p = onnx_build_pack(b, &size);

	make_folders(name);
	snprintf(path, sizeof(path), "%s/%s/model.onnx", root, name);
	if (kerf_file_write(path, p, size - cut, &err))
		fail_msg("%s", err.msg);
	onnx_build_finish(b);
}

static void write_tensor(const char *name, const char *file, struct kerf_tensor t)
{
	char path[256];
	struct kerf_err err = {""};

	snprintf(path, sizeof(path), "%s/%s/test_data_set_0/%s.pb", root, name, file);
	if (kerf_tensor_write(path, file, &t, &err))
		fail_msg("%s", err.msg);
}

static struct kerf_tensor floats(float *v, int64_t n)
{
	return (struct kerf_tensor){KERF_F32, 1, {n}, v};
}

/* One operator y = op(x) on float32[3], with given input and expected output. */
static void make_case(const char *name, const char *op, float *x, struct kerf_tensor y, size_t cut)
{
	struct onnx_build b;

	onnx_build_init(&b, 13);
	onnx_build_node(&b, op, "x", "y");
	onnx_build_input(&b, "x", KERF_F32, "3");
	onnx_build_output(&b, "y", KERF_F32, "3");
	write_model(&b, name, cut);
	write_tensor(name, "input_0", floats(x, 3));
	write_tensor(name, "output_0", y);
}

static void make_reshape(const char *name, int64_t *shape)
{
	float x[4] = {1, 2, 3, 4};
	struct onnx_build b;

	onnx_build_init(&b, 13);
	onnx_build_node(&b, "Reshape", "x,shape", "y");
	onnx_build_input(&b, "x", KERF_F32, "N");
	onnx_build_input(&b, "shape", KERF_I64, "2");
	onnx_build_output(&b, "y", KERF_F32, "A,B");
	write_model(&b, name, 0);
	write_tensor(name, "input_0", floats(x, 4));
	write_tensor(name, "input_1", (struct kerf_tensor){KERF_I64, 1, {2}, shape});
	write_tensor(name, "output_0", (struct kerf_tensor){KERF_F32, 2, {2, 2}, x});
}

/* A sum over n samples for each of n bins: no machine does this in a second. */
static void make_slow(const char *name)
{
	enum { N = 300000 };
	float *x = calloc(2 * N, sizeof(*x));
	struct onnx_build b;

	assert_non_null(x);
	onnx_build_init(&b, 17);
	onnx_build_node(&b, "DFT", "x", "y");
	onnx_build_input(&b, "x", KERF_F32, "1,300000,1");
	onnx_build_output(&b, "y", KERF_F32, "1,300000,2");
	write_model(&b, name, 0);
	write_tensor(name, "input_0", (struct kerf_tensor){KERF_F32, 3, {1, N, 1}, x});
	write_tensor(name, "output_0", (struct kerf_tensor){KERF_F32, 3, {1, N, 2}, x});
	free(x);
}

static struct json_object *run(const char *options, int *status)
{
	const char *kerf = getenv("KERF");
	struct json_object *o;
	char cmd[512], *text = calloc(1, 1 << 16);
	FILE *f;

	assert_non_null(text);
	snprintf(cmd, sizeof(cmd), "%s conformance --json %s %s", kerf, options, root);
	f = popen(cmd, "r");
	assert_non_null(f);
	assert_true(fread(text, 1, (1 << 16) - 1, f) > 0);
	*status = WEXITSTATUS(pclose(f));
	o = json_tokener_parse(text);
	assert_non_null(o);
	free(text);
	return o;
}

static int64_t count_of(struct json_object *o, const char *verdict)
{
	return json_object_get_int64(json_object_object_get(o, verdict));
}

static void expect(struct json_object *o, const char *name, const char *verdict, const char *says)
{
	struct json_object *cases = json_object_object_get(o, "cases");
	size_t i, n = json_object_array_length(cases);

	for (i = 0; i < n; i++) {
		struct json_object *c = json_object_array_get_idx(cases, i);
		const char *why = json_object_get_string(json_object_object_get(c, "why"));

		if (strcmp(json_object_get_string(json_object_object_get(c, "name")), name))
			continue;
		if (strcmp(json_object_get_string(json_object_object_get(c, "verdict")), verdict) ||
		    (says && (!why || !strstr(why, says))))
			fail_msg("%s, expected %s '%s'", json_object_to_json_string(c), verdict,
				 says ? says : "");
		return;
	}
	fail_msg("%s was not run", name);
}

static void test_passes(void **state)
{
	float x[3] = {-1, NAN, INFINITY}, y[3] = {1, NAN, INFINITY};
	int64_t shape[2] = {2, -1};
	struct json_object *o;
	int status;

	if (!getenv("KERF"))
		skip();
	make_case("good/abs", "Abs", x, floats(y, 3), 0);
	make_case("good/a/b", "Abs", x, floats(y, 3), 0);
	make_case("good/a/c/too/deep", "Abs", x, floats(y, 3), 0);
	make_reshape("good/bound", shape);
	make_case("unknown", "Frobnicate", x, floats(y, 3), 0);
	o = run("", &status);
	assert_int_equal(status, 0);
	assert_int_equal(count_of(o, "passed"), 3);
	assert_int_equal(count_of(o, "refused"), 1);
	expect(o, "good/a/b", "passed", NULL);
	expect(o, "good/bound", "passed", NULL);
	expect(o, "unknown", "refused", "Frobnicate");
	json_object_put(o);
}

static void test_told_apart(void **state)
{
	float x[3] = {-1, 2, 3}, off[3] = {1, 2.01f, 3}, near[3] = {1, 2.001f, 3}, four[4] = {0};
	int64_t ints[3] = {1, 2, 3}, shape[2] = {3, -1};
	struct json_object *o;
	char path[256];
	int status;

	if (!getenv("KERF"))
		skip();
	make_case("near", "Abs", x, floats(near, 3), 0);
	make_case("off", "Abs", x, floats(off, 3), 0);
	make_case("nan", "Sqrt", x, floats(off, 3), 0);
	make_case("dtype", "Abs", x, (struct kerf_tensor){KERF_I64, 1, {3}, ints}, 0);
	make_case("shape", "Abs", x, floats(four, 4), 0);
	make_case("cut", "Abs", x, floats(off, 3), 9);
	make_case("contradicts", "Abs", x, floats(off, 3), 0);
	write_tensor("contradicts", "input_0", floats(four, 4));
	make_case("inputless", "Abs", x, floats(off, 3), 0);
	snprintf(path, sizeof(path), "%s/inputless/test_data_set_0/input_0.pb", root);
	assert_int_equal(unlink(path), 0);
	make_reshape("indivisible", shape);
	make_slow("slow");
	o = run("--timeout 1", &status);
	assert_int_equal(status, 1);
	expect(o, "near", "passed", NULL);
	expect(o, "off", "wrong", "element 1");
	expect(o, "nan", "wrong", "element 0");
	expect(o, "dtype", "wrong", "int64[3]");
	expect(o, "shape", "wrong", "float32[4]");
	expect(o, "cut", "wrong", NULL);
	expect(o, "contradicts", "refused", "Abs");
	expect(o, "inputless", "wrong", "'x'");
	expect(o, "indivisible", "wrong", "Reshape");
	expect(o, "slow", "crashed", "1 s");
	assert_int_equal(count_of(o, "crashed"), 1);
	json_object_put(o);
	o = run("--timeout 1 --rtol 0.1", &status);
	expect(o, "off", "passed", NULL);
	json_object_put(o);
}

static int setup(void **state)
{
	strcpy(root, "/tmp/kerf-conformance-XXXXXX");
	return mkdtemp(root) ? 0 : -1;
}

static int teardown(void **state)
{
	char cmd[128];

	snprintf(cmd, sizeof(cmd), "rm -rf %s", root);
	return system(cmd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_passes, setup, teardown),
		cmocka_unit_test_setup_teardown(test_told_apart, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
