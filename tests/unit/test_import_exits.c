/* SPDX-License-Identifier: MIT */
/* Early exits and accuracies in a model's metadata. */
#include "import_case.h"

static void three_outputs(void)
{
	onnx_build_input(&b, "x", KERF_F32, "2,3");
	onnx_build_node(&b, "Relu", "x", "first");
	onnx_build_node(&b, "Tanh", "first", "second");
	onnx_build_node(&b, "Sigmoid", "second", "last");
	onnx_build_output(&b, "first", KERF_F32, "2,3");
	onnx_build_output(&b, "second", KERF_F32, "2,3");
	onnx_build_output(&b, "last", KERF_F32, "2,3");
}

static void test_exits(void **state)
{
	three_outputs();
	onnx_build_metadata(&b, "author", "somebody");
	onnx_build_metadata(&b, "kerf.exit.second", "0.6");
	onnx_build_metadata(&b, "kerf.accuracy", "0.75");
	onnx_build_metadata(&b, "kerf.exit.first", "0.5");
	onnx_build_metadata(&b, "kerf.other", "not ours to refuse");
	onnx_build_metadata(&b, NULL, "x");
	accept(NULL);
	assert_true(g->accuracy == 0.75);
	assert_int_equal(g->n_exit, 2);
	assert_int_equal(g->exit[0].output, 0);
	assert_true(g->exit[0].accuracy == 0.5);
	assert_int_equal(g->exit[1].output, 1);
	assert_true(g->exit[1].accuracy == 0.6);
}

static void test_no_exits(void **state)
{
	three_outputs();
	onnx_build_metadata(&b, "author", "somebody");
	accept(NULL);
	assert_int_equal(g->n_exit, 0);
	assert_true(g->accuracy == 0);
}

static void test_bad_exits(void **state)
{
	static const struct {
		const char *key, *value, *says;
	} bad[] = {
		{"kerf.exit.third", "0.5", "kerf.exit.third|no such output"},
		{"kerf.exit.", "0.5", "no such output"},
		{"kerf.exit.second", "half", "kerf.exit.second|'half'|expected a number"},
		{"kerf.exit.second", "1.5", "'1.5'"},
		{"kerf.exit.second", "0", "'0'"},
		{"kerf.exit.second", "nan", "'nan'"},
		{"kerf.exit.second", NULL, "''"},
		{"kerf.exit.first", "0.5", "kerf.exit.first|twice"},
		{"kerf.accuracy", "0.5x", "kerf.accuracy|'0.5x'"},
		{"kerf.accuracy", "0.9", "kerf.accuracy|twice"},
	};
	size_t i;

	for (i = 0; i < KERF_ARRAY_SIZE(bad); i++) {
		onnx_build_finish(&b);
		onnx_build_init(&b, 13);
		three_outputs();
		onnx_build_metadata(&b, "kerf.exit.first", "0.4");
		onnx_build_metadata(&b, "kerf.accuracy", "0.75");
		onnx_build_metadata(&b, bad[i].key, bad[i].value);
		refuse_with(NULL, -EINVAL, bad[i].says);
	}
}

/* Entries that are not for kerf cost nothing, however large. */
static void test_large_metadata(void **state)
{
	char *text = malloc(4 << 20);

	assert_non_null(text);
	memset(text, 'x', (4 << 20) - 1);
	text[(4 << 20) - 1] = 0;
	three_outputs();
	onnx_build_metadata(&b, "author", text);
	accept(NULL);
	free(text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(test_exits),
		CASE(test_no_exits),
		CASE(test_bad_exits),
		CASE(test_large_metadata),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
