/* SPDX-License-Identifier: MIT */
/* A model built in memory, imported, and what became of it; for the importer's tests. */
#ifndef KERF_TESTS_IMPORT_CASE_H
#define KERF_TESTS_IMPORT_CASE_H

#include "onnx_build.h"

#include "graph/import.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static struct onnx_build b;
static struct kerf_err err;
static struct kerf_graph *g;

static inline int setup(void **state)
{
	onnx_build_init(&b, 13);
	memset(&err, 0, sizeof(err));
	g = NULL;
	return 0;
}

static inline int teardown(void **state)
{
	onnx_build_finish(&b);
	kerf_graph_unref(g);
	return 0;
}

static inline int parse(const struct kerf_load_options *opt)
{
	size_t size;
	uint8_t *p = onnx_build_pack(&b, &size), *exact = malloc(size);
	int r;

	/* On its own, so that reading past the end or after the call is seen. */
	assert_non_null(exact);
	memcpy(exact, p, size);
	memset(&err, 0, sizeof(err));
	r = kerf_model_parse(exact, size, NULL, opt, &g, &err);
	free(exact);
	if (!r)
		assert_int_equal(kerf_graph_verify(g, &err), 0);
	return r;
}

static inline void accept(const struct kerf_load_options *opt)
{
	int r = parse(opt);

	if (r)
		fail_msg("%s", err.msg);
}

/* The sentence must hold every part of says ("a|b"). */
static inline void check_says(const char *says)
{
	char *copy = strdup(says), *rest = copy, *part;

	while ((part = strsep(&rest, "|")))
		if (!strstr(err.msg, part))
			fail_msg("'%s' is not in: %s", part, err.msg);
	assert_null(strchr(err.msg, '\n'));
	free(copy);
}

static inline void refuse_with(const struct kerf_load_options *opt, int code, const char *says)
{
	assert_int_equal(parse(opt), code);
	assert_null(g);
	check_says(says);
}

static inline void refuse(int code, const char *says)
{
	refuse_with(NULL, code, says);
}

static inline const struct kerf_tensor *value(const char *name)
{
	int32_t id = kerf_graph_find_value(g, name);

	assert_true(id >= 0);
	return &g->value[id].t;
}

static inline void assert_shape(const char *name, const char *expected)
{
	char text[KERF_SHAPE_TEXT];

	assert_string_equal(kerf_tensor_text(value(name), text), expected);
}

/* y = x + w, both of n floats */
static inline void add_model(const float *w, size_t n, const char *shape)
{
	onnx_build_input(&b, "x", KERF_F32, shape);
	onnx_build_initializer(&b, onnx_build_raw(&b, "w", KERF_F32, w, n, 4));
	onnx_build_node(&b, "Add", "x,w", "y")->name = kerf_arena_strdup(&b.arena, "sum");
	onnx_build_output(&b, "y", KERF_F32, shape);
}

static const struct kerf_load_options as_is __attribute__((unused)) = {.no_rewrite = true};

/* Shape -> Gather -> Concat -> Reshape: contents must be known while inferring. */
static inline void shape_chain(void)
{
	static const int64_t first = 0, minus = -1;
	Onnx__NodeProto *n;

	onnx_build_input(&b, "x", KERF_F32, "N,3,4");
	onnx_build_initializer(&b, onnx_build_raw(&b, "first", KERF_I64, &first, 1, 8));
	onnx_build_node(&b, "Shape", "x", "s");
	onnx_build_node(&b, "Gather", "s,first", "n");
	n = onnx_build_node(&b, "Constant", "", "m");
	onnx_build_attr(&b, n, "value", 4)->t = onnx_build_raw(&b, "", KERF_I64, &minus, 1, 8);
	n = onnx_build_node(&b, "Concat", "n,m", "to");
	onnx_build_int(&b, n, "axis", 0);
	onnx_build_node(&b, "Reshape", "x,to", "y");
	onnx_build_output(&b, "y", KERF_F32, "N,12");
}

/* A test that begins with an empty builder and leaves no graph behind. */
#define CASE(t) cmocka_unit_test_setup_teardown(t, setup, teardown)

#endif
