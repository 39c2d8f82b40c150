/* SPDX-License-Identifier: MIT */
/* Dumps of a graph with known costs: the JSON is read back, text and dot are looked at. */
#include "onnx_build.h"

#include "graph/dump.h"
#include "graph/import.h"

#include <json-c/json.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static struct kerf_graph *g;

/* y = Relu(x . w), z = y . w: w counts once */
static int setup(void **state)
{
	static const float w[16] = {1};
	struct kerf_load_options opt = {.no_rewrite = true};
	struct kerf_err err = {0};
	struct onnx_build b;
	Onnx__TensorProto *t;
	uint8_t *p;
	size_t size;
	int r;

	onnx_build_init(&b, 13);
	b.graph.name = (char *)"a\"b\x1b[2J";
	t = onnx_build_raw(&b, "w", KERF_F32, w, 16, 4);
	t->n_dims = 2;
	t->dims = (int64_t[]){4, 4};
	onnx_build_initializer(&b, t);
	onnx_build_input(&b, "x", KERF_F32, "3,4");
	onnx_build_node(&b, "MatMul", "x,w", "h")->name = (char *)"first";
	onnx_build_node(&b, "Relu", "h", "y");
	onnx_build_node(&b, "MatMul", "y,w", "z")->name = (char *)"quote\"d";
	onnx_build_output(&b, "z", KERF_F32, "3,4");
	p = onnx_build_pack(&b, &size);
	r = kerf_model_parse(p, size, NULL, &opt, &g, &err);
	onnx_build_finish(&b);
	return r;
}

static int teardown(void **state)
{
	kerf_graph_unref(g);
	return 0;
}

static char *dump(int (*how)(const struct kerf_graph *, FILE *))
{
	char *text = NULL;
	size_t size;
	FILE *f = open_memstream(&text, &size);

	assert_non_null(f);
	assert_int_equal(how(g, f), 0);
	fclose(f);
	return text;
}

static int64_t number(json_object *o, const char *key)
{
	json_object *v;

	assert_true(json_object_object_get_ex(o, key, &v));
	return json_object_get_int64(v);
}

static void test_json(void **state)
{
	char *text = dump(kerf_graph_dump_json);
	json_object *root = json_tokener_parse(text), *ops, *total, *op;

	assert_non_null(root);
	assert_true(json_object_object_get_ex(root, "operators", &ops));
	assert_true(json_object_object_get_ex(root, "total", &total));
	assert_int_equal(json_object_array_length(ops), 3);
	op = json_object_array_get_idx(ops, 0);
	assert_int_equal(number(op, "flops"), 2 * 3 * 4 * 4);
	assert_int_equal(number(op, "parameters"), 16);
	assert_int_equal(number(op, "parameter_bytes"), 64);
	assert_int_equal(number(op, "activation_bytes"), 48);
	assert_int_equal(number(json_object_array_get_idx(ops, 2), "parameters"), 0);
	assert_int_equal(number(total, "flops"), 2 * 96 + 12);
	assert_int_equal(number(total, "parameters"), 16);
	assert_int_equal(number(total, "activation_bytes"), 3 * 48);
	/* h and y, each rounded up to 64 bytes, live at once */
	assert_int_equal(number(total, "planned_peak_bytes"), 128);
	json_object_put(root);
	free(text);
}

static void test_text(void **state)
{
	char *text = dump(kerf_graph_dump_text);

	assert_non_null(strstr(text, "first"));
	assert_non_null(strstr(text, "float32[3,4]"));
	assert_non_null(strstr(text, "3 operators, 204 FLOPs, 16 parameters in 64 bytes"));
	assert_null(strchr(text, '\x1b'));
	free(text);
}

static void test_dot(void **state)
{
	char *text = dump(kerf_graph_dump_dot), *p;
	int edges = 0;

	for (p = text; (p = strstr(p, "->")); p++)
		edges++;
	assert_int_equal(edges, 4); /* weights have none */
	assert_non_null(strstr(text, "quote\\\"d"));
	assert_non_null(strstr(text, "in0 -> op0"));
	assert_non_null(strstr(text, "op2 -> out0"));
	free(text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_json),
		cmocka_unit_test(test_text),
		cmocka_unit_test(test_dot),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
