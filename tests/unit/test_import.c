/* SPDX-License-Identifier: MIT */
/* What the importer makes of good models, and what it says about bad ones. */
#include "onnx_build.h"

#include "graph/import.h"
#include "graph/op.h"
#include "util/digest.h"
#include "util/file.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

static struct onnx_build b;
static struct kerf_err err;
static struct kerf_graph *g;

static int setup(void **state)
{
	onnx_build_init(&b, 13);
	memset(&err, 0, sizeof(err));
	g = NULL;
	return 0;
}

static int teardown(void **state)
{
	onnx_build_finish(&b);
	kerf_graph_unref(g);
	return 0;
}

static int parse(const struct kerf_load_options *opt)
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

static void accept(const struct kerf_load_options *opt)
{
	int r = parse(opt);

	if (r)
		fail_msg("%s", err.msg);
}

/* The sentence must hold every part of says ("a|b"). */
static void check_says(const char *says)
{
	char *copy = strdup(says), *rest = copy, *part;

	while ((part = strsep(&rest, "|")))
		if (!strstr(err.msg, part))
			fail_msg("'%s' is not in: %s", part, err.msg);
	assert_null(strchr(err.msg, '\n'));
	free(copy);
}

static void refuse_with(const struct kerf_load_options *opt, int code, const char *says)
{
	assert_int_equal(parse(opt), code);
	assert_null(g);
	check_says(says);
}

static void refuse(int code, const char *says)
{
	refuse_with(NULL, code, says);
}

static const struct kerf_tensor *value(const char *name)
{
	int32_t id = kerf_graph_find_value(g, name);

	assert_true(id >= 0);
	return &g->value[id].t;
}

static void assert_shape(const char *name, const char *expected)
{
	char text[KERF_SHAPE_TEXT];

	assert_string_equal(kerf_tensor_text(value(name), text), expected);
}

/* y = x + w, both of n floats */
static void add_model(const float *w, size_t n, const char *shape)
{
	onnx_build_input(&b, "x", KERF_F32, shape);
	onnx_build_initializer(&b, onnx_build_raw(&b, "w", KERF_F32, w, n, 4));
	onnx_build_node(&b, "Add", "x,w", "y")->name = kerf_arena_strdup(&b.arena, "sum");
	onnx_build_output(&b, "y", KERF_F32, shape);
}

static const struct kerf_load_options as_is = {.no_rewrite = true};

/* --- Good models --- */

static void test_simple(void **state)
{
	static const float w[] = {1, NAN, -INFINITY};
	uint8_t digest[32], zero[32] = {0};

	add_model(w, 3, "2,3");
	accept(&as_is);
	assert_int_equal(g->n_op, 1);
	assert_string_equal(g->op[0].name, "sum");
	assert_int_equal(g->op[0].opset, 13);
	assert_shape("y", "float32[2,3]");
	/* NaN weights are allowed, and kept bit for bit. */
	assert_memory_equal(value("w")->data, w, sizeof(w));
	assert_string_equal(g->value[g->in[0]].name, "x");
	assert_string_equal(g->value[g->out[0]].name, "y");
	kerf_graph_model_sha256(g, digest);
	assert_memory_not_equal(digest, zero, 32);
}

static void test_symbolic_dims(void **state)
{
	struct kerf_input_fix fix;
	struct kerf_load_options opt = {.no_rewrite = true, .n_fix = 1, .fix = &fix};
	struct kerf_load_options five = {.no_rewrite = true, .default_dim = 5};

	onnx_build_input(&b, "a:0", KERF_F32, "N,3,?");
	onnx_build_input(&b, "c", KERF_F32, "N,3,1");
	onnx_build_node(&b, "Add", "a:0,c", "y");
	onnx_build_output(&b, "y", KERF_F32, "N,3,M");
	accept(NULL);
	assert_shape("y", "float32[1,3,1]");
	kerf_graph_unref(g);
	accept(&five);
	assert_shape("y", "float32[5,3,5]");
	kerf_graph_unref(g);
	/* A name with a colon; N of c follows N of a. */
	assert_int_equal(kerf_input_fix_parse("a:0:4,3,7", &fix, &err), 0);
	accept(&opt);
	assert_shape("c", "float32[4,3,1]");
	assert_shape("y", "float32[4,3,7]");
	free((char *)fix.name);
}

static void test_bad_fixes(void **state)
{
	struct kerf_input_fix fix[2] = {
		{.name = "a", .t = {.rank = 2, .dims = {2, 3}}},
		{.name = "c", .t = {.rank = 2, .dims = {4, 3}}},
	};
	struct kerf_load_options opt = {.n_fix = 2, .fix = fix};

	onnx_build_input(&b, "a", KERF_F32, "N,3");
	onnx_build_input(&b, "c", KERF_F32, "N,3");
	onnx_build_node(&b, "Add", "a,c", "y");
	onnx_build_output(&b, "y", KERF_F32, NULL);
	refuse_with(&opt, -EINVAL, "input 'c'|'N'|given as 4|elsewhere as 2");
	fix[1] = (struct kerf_input_fix){.name = "c", .t = {.rank = 2, .dims = {2, 5}}};
	refuse_with(&opt, -EINVAL, "input 'c'|axis 1 is 3 in the model|5 given");
	fix[1].t.rank = 1;
	refuse_with(&opt, -EINVAL, "input 'c'|rank 1|has 2");
	fix[1].name = "d";
	refuse_with(&opt, -EINVAL, "'d'|no input");
	fix[0].t.dims[0] = -1;
	refuse_with(&opt, -EINVAL, "input 'a'|not a shape");
	fix[0].t.dims[0] = INT64_MAX / 2;
	refuse_with(&opt, -EINVAL, "input 'a'|not a shape");
}

static void test_fix_text(void **state)
{
	static const char *const bad[] = {"", "x", ":1", "x:1,", "x:,1", "x:-1", "x:1.5", "x: 1",
					  "x:99999999999999999999", "x:1,1,1,1,1,1,1,1,1"};
	struct kerf_input_fix fix;
	size_t i;

	for (i = 0; i < KERF_ARRAY_SIZE(bad); i++) {
		memset(&err, 0, sizeof(err));
		assert_int_equal(kerf_input_fix_parse(bad[i], &fix, &err), -EINVAL);
		assert_true(err.msg[0]);
	}
	/* A scalar has no dims. */
	assert_int_equal(kerf_input_fix_parse("x:", &fix, &err), 0);
	assert_int_equal(fix.t.rank, 0);
	free((char *)fix.name);
}

/* Shape -> Gather -> Concat -> Reshape: contents must be known while inferring. */
static void shape_chain(void)
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

static void test_shape_chain(void **state)
{
	struct kerf_load_options two = {.default_dim = 2};

	shape_chain();
	accept(&two);
	assert_shape("y", "float32[2,12]");
	assert_int_equal(g->n_op, 1);
	assert_string_equal(g->op[0].def->name, "Reshape");
	kerf_graph_unref(g);
	two.no_rewrite = true;
	accept(&two);
	assert_shape("y", "float32[2,12]");
	assert_int_equal(g->n_op, 4);
	assert_null(value("to")->data);
}

static void test_unknown_shape_names_input(void **state)
{
	int64_t to[] = {6, -1};
	struct kerf_input_fix fix = {"to", {.dtype = KERF_I64, .rank = 1, .dims = {2}, .data = to}};
	struct kerf_load_options opt = {.n_fix = 1, .fix = &fix};

	onnx_build_input(&b, "x", KERF_F32, "4,3");
	onnx_build_input(&b, "to", KERF_I64, "2");
	onnx_build_node(&b, "Identity", "to", "t");
	onnx_build_node(&b, "Reshape", "x,t", "y");
	onnx_build_output(&b, "y", KERF_F32, NULL);
	refuse(-ENODATA, "Reshape|input 'to'");
	accept(&opt);
	assert_shape("y", "float32[6,2]");
	assert_int_equal(g->n_in, 1);
	kerf_graph_unref(g);
	g = NULL;
	fix.t.dtype = KERF_U64;
	refuse_with(&opt, -EINVAL, "input 'to'|uint64|int64");
}

static void test_nodes_in_any_order(void **state)
{
	onnx_build_input(&b, "x", KERF_F32, "3");
	onnx_build_node(&b, "Relu", "h", "y");
	onnx_build_node(&b, "Abs", "x", "h");
	onnx_build_node(&b, "Neg", "x", "unused");
	onnx_build_output(&b, "y", KERF_F32, "3");
	accept(&as_is);
	assert_int_equal(g->n_op, 2);
	assert_string_equal(g->op[0].def->name, "Abs");
	assert_true(strcmp(g->op[0].name, g->op[1].name) != 0);
}

static void test_op_names_are_unique(void **state)
{
	uint32_t i, j;

	onnx_build_input(&b, "x", KERF_F32, "3");
	onnx_build_node(&b, "Abs", "x", "a")->name = (char *)"same";
	onnx_build_node(&b, "Abs", "a", "c")->name = (char *)"same";
	onnx_build_node(&b, "Abs", "c", "d")->name = (char *)"Abs";
	onnx_build_node(&b, "Abs", "d", "e");
	onnx_build_node(&b, "Abs", "e", "y")->name = (char *)"same.1";
	onnx_build_output(&b, "y", KERF_F32, "3");
	accept(&as_is);
	for (i = 0; i < g->n_op; i++)
		for (j = 0; j < i; j++)
			assert_string_not_equal(g->op[i].name, g->op[j].name);
}

static void test_output_is_input_or_constant(void **state)
{
	static const float w[] = {1, 2};

	onnx_build_input(&b, "x", KERF_F32, "2");
	onnx_build_initializer(&b, onnx_build_raw(&b, "w", KERF_F32, w, 2, 4));
	onnx_build_output(&b, "w", KERF_F32, "2");
	onnx_build_output(&b, "x", KERF_F32, "2");
	accept(NULL);
	assert_int_equal(g->n_out, 2);
	assert_string_equal(g->value[g->out[0]].name, "w");
	assert_string_equal(g->value[g->out[1]].name, "x");
	assert_true(g->value[g->out[0]].producer >= 0);
	assert_true(g->value[g->out[1]].producer >= 0);
	assert_int_equal(g->n_in, 1);
}

static void test_initializer_as_input(void **state)
{
	static const float w[] = {1, 2, 3};
	struct kerf_input_fix fix = {"w", {.rank = 1, .dims = {3}}};
	struct kerf_load_options opt = {.no_rewrite = true, .n_fix = 1, .fix = &fix};

	b.model.ir_version = 3;
	add_model(w, 3, "3");
	onnx_build_input(&b, "w", KERF_F32, "3");
	accept(&as_is);
	assert_int_equal(g->n_in, 1);
	assert_memory_equal(value("w")->data, w, sizeof(w));
	kerf_graph_unref(g);
	/* Given a shape, it is an input after all. */
	accept(&opt);
	assert_int_equal(g->n_in, 2);
	assert_null(value("w")->data);
}

/* Every dtype, by raw_data and by its typed field, gives the same bytes. */
static void test_typed_data(void **state)
{
	static const float f32[] = {1.5f, -2};
	static const double f64[] = {1.5, -2};
	static const int64_t i64[] = {INT64_MIN, 7};
	static const uint64_t u64[] = {UINT64_MAX, 7}, u32[] = {UINT32_MAX, 7};
	static const int32_t i32[] = {INT32_MIN, 7}, i16[] = {-32768, 7}, i8[] = {-128, 7},
			     u8[] = {255, 7}, u16[] = {65535, 7}, boolean[] = {5, 0};
	const struct {
		const char *name;
		enum kerf_dtype dtype;
		const void *typed, *raw;
	} t[] = {
		{"f32", KERF_F32, f32, f32},
		{"f64", KERF_F64, f64, f64},
		{"i64", KERF_I64, i64, i64},
		{"u64", KERF_U64, u64, u64},
		{"u32", KERF_U32, u32, (uint32_t[]){UINT32_MAX, 7}},
		{"i32", KERF_I32, i32, i32},
		{"i16", KERF_I16, i16, (int16_t[]){-32768, 7}},
		{"i8", KERF_I8, i8, (int8_t[]){-128, 7}},
		{"u8", KERF_U8, u8, (uint8_t[]){255, 7}},
		{"u16", KERF_U16, u16, (uint16_t[]){65535, 7}},
		{"f16", KERF_F16, u16, (uint16_t[]){65535, 7}},
		{"bf16", KERF_BF16, u16, (uint16_t[]){65535, 7}},
		{"bool", KERF_BOOL, boolean, (uint8_t[]){1, 0}},
	};
	size_t i;

	for (i = 0; i < KERF_ARRAY_SIZE(t); i++) {
		Onnx__TensorProto *p =
			onnx_build_tensor(&b, t[i].name, t[i].dtype, (int64_t[]){1, 2}, 2);

		switch (t[i].dtype) {
		case KERF_F32:
			p->float_data = (float *)t[i].typed;
			p->n_float_data = 2;
			break;
		case KERF_F64:
			p->double_data = (double *)t[i].typed;
			p->n_double_data = 2;
			break;
		case KERF_I64:
			p->int64_data = (int64_t *)t[i].typed;
			p->n_int64_data = 2;
			break;
		case KERF_U32:
		case KERF_U64:
			p->uint64_data = (uint64_t *)t[i].typed;
			p->n_uint64_data = 2;
			break;
		default:
			p->int32_data = (int32_t *)t[i].typed;
			p->n_int32_data = 2;
		}
		onnx_build_initializer(&b, p);
		onnx_build_node(&b, "Identity", t[i].name, "")->output = onnx_build_names(
			&b, (char[]){'o', (char)('a' + i), 0}, &(size_t){0});
		b.graph.node[i]->n_output = 1;
		onnx_build_output(&b, (char[]){'o', (char)('a' + i), 0}, t[i].dtype, "1,2");
	}
	accept(&as_is);
	for (i = 0; i < KERF_ARRAY_SIZE(t); i++)
		assert_memory_equal(value(t[i].name)->data, t[i].raw,
				    2 * kerf_dtype_size(t[i].dtype));
}

static void test_constant_forms(void **state)
{
	Onnx__NodeProto *n = onnx_build_node(&b, "Constant", "", "f");
	Onnx__AttributeProto *a = onnx_build_attr(&b, n, "value_float", 1);

	a->has_f = 1;
	a->f = 2.5f;
	n = onnx_build_node(&b, "Constant", "", "i");
	onnx_build_ints(&b, n, "value_ints", (int64_t[]){3, 4}, 2);
	onnx_build_output(&b, "f", KERF_F32, "");
	onnx_build_output(&b, "i", KERF_I64, "2");
	accept(&as_is);
	assert_int_equal(value("f")->rank, 0);
	assert_true(*(float *)value("f.constant")->data == 2.5f);
	assert_int_equal(((int64_t *)value("i.constant")->data)[1], 4);
}

/* --- Refused by name --- */

static void test_unknown_operator(void **state)
{
	onnx_build_input(&b, "x", KERF_F32, "1");
	onnx_build_node(&b, "Frobnicate", "x", "y")->name = (char *)"n1";
	onnx_build_output(&b, "y", KERF_F32, "1");
	refuse(-EOPNOTSUPP, "node 'n1'|Frobnicate|ai.onnx|opset 13");
	b.graph.node[0]->domain = (char *)"com.acme";
	refuse(-EINVAL, "n1|com.acme");
	onnx_build_opset(&b, "com.acme", 1);
	refuse(-EOPNOTSUPP, "n1|Frobnicate|com.acme|opset 1");
	b.graph.node[0]->op_type = NULL;
	refuse(-EOPNOTSUPP, "n1");
}

/* Operators that only rewrites make must not come from a file. */
static void test_internal_operator(void **state)
{
	const struct kerf_op_def *d;
	uint32_t i;

	onnx_build_input(&b, "x", KERF_F32, "1");
	onnx_build_node(&b, "?", "x", "y");
	onnx_build_output(&b, "y", KERF_F32, "1");
	for (i = 0; (d = kerf_op_at(i)); i++) {
		if (!(d->flags & KERF_OP_INTERNAL))
			continue;
		b.graph.node[0]->op_type = (char *)d->name;
		b.graph.node[0]->domain = (char *)(d->domain ? d->domain : "");
		if (d->domain)
			onnx_build_opset(&b, d->domain, d->since);
		refuse(-EOPNOTSUPP, "not supported");
	}
}

static void test_opset(void **state)
{
	static const float w[] = {1};

	add_model(w, 1, "1");
	b.model.opset_import[0]->version = 22;
	refuse(-EOPNOTSUPP, "opset_import|22|1 to 21");
	b.model.opset_import[0]->version = 0;
	refuse(-EOPNOTSUPP, "opset_import|0|1 to 21");
	b.model.opset_import[0]->version = INT64_MIN;
	refuse(-EOPNOTSUPP, "opset_import");
	b.model.n_opset_import = 0;
	refuse(-EINVAL, "sum|opset_import");
}

static void test_subgraphs_and_friends(void **state)
{
	Onnx__NodeProto *n;
	Onnx__AttributeProto *a;

	onnx_build_input(&b, "x", KERF_F32, "1");
	n = onnx_build_node(&b, "Relu", "x", "y");
	a = onnx_build_attr(&b, n, "body", 5);
	a->has_g = 1;
	onnx_build_output(&b, "y", KERF_F32, "1");
	refuse(-EOPNOTSUPP, "Relu|'body'|GRAPH");
	a->has_type = 0;
	refuse(-EOPNOTSUPP, "Relu|'body'|GRAPH");
	a->has_type = 1;
	a->type = 9;
	refuse(-EOPNOTSUPP, "'body'|TENSORS");
	a->type = 11;
	refuse(-EOPNOTSUPP, "'body'|SPARSE_TENSOR");
	a->type = 99;
	refuse(-EOPNOTSUPP, "'body'|unknown");
	a->type = 4;
	refuse(-EINVAL, "'body'|TENSOR|missing");
	a->type = 2;
	a->ref_attr_name = (char *)"outer";
	refuse(-EOPNOTSUPP, "'body'|reference");
	n->op_type = (char *)"Loop";
	refuse(-EOPNOTSUPP, "Loop|not supported");
}

static void test_types(void **state)
{
	Onnx__ValueInfoProto *in = onnx_build_input(&b, "x", KERF_STRING, "1");

	onnx_build_node(&b, "Identity", "x", "y");
	onnx_build_output(&b, "y", KERF_F32, "1");
	refuse(-EOPNOTSUPP, "input 'x'|Identity|string");
	in->type->tensor_type->elem_type = 77;
	refuse(-EOPNOTSUPP, "input 'x'|77");
	in->type->tensor_type = NULL;
	in->type->has_sequence_type = 1;
	refuse(-EOPNOTSUPP, "input 'x'|Identity|sequence");
	in->type->has_sequence_type = 0;
	in->type->has_optional_type = 1;
	refuse(-EOPNOTSUPP, "input 'x'|optional");
	in->type = NULL;
	refuse(-EOPNOTSUPP, "input 'x'|nothing");
	in->type = onnx_build_value(&b, "", KERF_F32, NULL)->type;
	refuse(-EINVAL, "input 'x'|no shape");
	in->type = onnx_build_value(&b, "", KERF_F32, "1,1,1,1,1,1,1,1,1")->type;
	refuse(-EOPNOTSUPP, "input 'x'|rank 9");
	in->type = onnx_build_value(&b, "", KERF_F32, "99999999999,99999999999")->type;
	refuse(-EINVAL, "input 'x'|too large");
	in->name = NULL;
	refuse(-EINVAL, "input 0|no name");
}

static void test_functions(void **state)
{
	static const uint8_t functions[] = {0xca, 0x01, 0x00}; /* field 25, empty */
	static const float w[] = {1};
	uint8_t *p, *all;
	size_t size;

	add_model(w, 1, "1");
	p = onnx_build_pack(&b, &size);
	all = onnx_build_alloc(&b, size + sizeof(functions));
	memcpy(all, p, size);
	memcpy(all + size, functions, sizeof(functions));
	assert_int_equal(kerf_model_parse(all, size, NULL, NULL, &g, &err), 0);
	kerf_graph_unref(g);
	g = NULL;
	assert_int_equal(kerf_model_parse(all, size + sizeof(functions), NULL, NULL, &g, &err),
			 -EOPNOTSUPP);
	check_says("functions");
}

/* --- Broken graphs --- */

static void test_cycle(void **state)
{
	onnx_build_input(&b, "x", KERF_F32, "1");
	onnx_build_node(&b, "Add", "x,c", "a");
	onnx_build_node(&b, "Relu", "a", "c");
	onnx_build_output(&b, "c", KERF_F32, "1");
	refuse(-EINVAL, "cycle|node");
	/* and one node that reads itself */
	b.graph.node[0]->input[1] = (char *)"a";
	refuse(-EINVAL, "cycle|Add");
}

static void test_dangling(void **state)
{
	static const float w[] = {1};

	add_model(w, 1, "1");
	b.graph.node[0]->input[1] = (char *)"nowhere";
	refuse(-EINVAL, "node 'sum'|input 1|'nowhere'");
	b.graph.node[0]->input[1] = (char *)"w";
	b.graph.output[0]->name = (char *)"nothing";
	refuse(-EINVAL, "output 'nothing'");
	b.graph.n_output = 0;
	refuse(-EINVAL, "no output");
}

static void test_missing_input(void **state)
{
	static const float w[] = {1};

	add_model(w, 1, "1");
	b.graph.node[0]->input[1] = (char *)"";
	refuse(-EINVAL, "node 'sum'|input 1 is missing");
	b.graph.node[0]->n_input = 1;
	refuse(-EINVAL, "node 'sum'|1 inputs");
	b.graph.node[0]->n_input = 2;
	b.graph.node[0]->input[1] = (char *)"w";
	b.graph.node[0]->output[0] = (char *)"";
	b.graph.output[0]->name = (char *)"x";
	refuse(-EINVAL, "node 'sum'|output 0 is missing");
}

static void test_made_twice(void **state)
{
	static const float w[] = {1};

	add_model(w, 1, "1");
	onnx_build_node(&b, "Relu", "x", "y");
	refuse(-EINVAL, "'y' is made twice|Relu");
	b.graph.node[1]->output[0] = (char *)"x";
	refuse(-EINVAL, "'x' is made twice");
	b.graph.n_node = 1;
	onnx_build_initializer(&b, onnx_build_raw(&b, "w", KERF_F32, w, 1, 4));
	refuse(-EINVAL, "'w' is made twice");
	b.graph.n_initializer = 1;
	onnx_build_input(&b, "x", KERF_F32, "1");
	refuse(-EINVAL, "input 'x' is there twice");
	b.graph.n_input = 1;
	onnx_build_output(&b, "y", KERF_F32, "1");
	refuse(-EINVAL, "output 'y' is there twice");
}

static void test_shape_mismatch(void **state)
{
	static const float w[] = {1, 2, 3};

	add_model(w, 3, "2,3");
	b.graph.input[0]->type->tensor_type->shape->dim[1]->dim_value = 4;
	refuse(-EINVAL, "node 'sum' (Add)");
	b.graph.input[0]->type->tensor_type->shape->dim[1]->dim_value = 3;
	b.graph.output[0]->type->tensor_type->shape->dim[0]->dim_value = 9;
	refuse(-EINVAL, "output 'y'|9 on axis 0|float32[2,3]");
	b.graph.output[0]->type->tensor_type->shape->n_dim = 1;
	refuse(-EINVAL, "output 'y'|rank 1|float32[2,3]");
	b.graph.output[0]->type->tensor_type->elem_type = KERF_I32;
	refuse(-EINVAL, "output 'y'|int32|float32");
}

/* --- Broken bytes --- */

static void test_every_truncation(void **state)
{
	size_t size, n;
	uint8_t *p;

	shape_chain();
	p = onnx_build_pack(&b, &size);
	for (n = 0; n < size; n++) {
		uint8_t *cut = malloc(n + !n);

		memcpy(cut, p, n);
		memset(&err, 0, sizeof(err));
		/* Where only whole opset entries are cut off, the node says so. */
		assert_true(kerf_model_parse(cut, n, NULL, NULL, &g, &err) < 0);
		assert_true(err.msg[0]);
		free(cut);
	}
	memset(&err, 0, sizeof(err));
	assert_int_equal(kerf_model_parse(p, size / 2, NULL, NULL, &g, &err), -EINVAL);
	check_says("truncated");
}

static void test_not_a_model(void **state)
{
	static const char text[] = "this is not a model, however long one looks at it";

	assert_int_equal(kerf_model_parse(text, sizeof(text), NULL, NULL, &g, &err), -EINVAL);
	check_says("not an ONNX model");
	memset(&err, 0, sizeof(err));
	assert_int_equal(kerf_model_parse("", 0, NULL, NULL, &g, &err), -EINVAL);
	check_says("no graph");
}

static long peak_kb(void)
{
	struct rusage u;

	getrusage(RUSAGE_SELF, &u);
	return u.ru_maxrss;
}

/* A file that claims gigabytes costs what it has, not what it claims. */
static void test_claims(void **state)
{
	static const float w[] = {1, 2, 3};
	long before;

	add_model(w, 3, "3");
	before = peak_kb();
	b.graph.initializer[0]->dims[0] = 1 << 29;
	refuse(-EINVAL, "initializer 'w'|raw_data has 12 bytes|2147483648");
	b.graph.initializer[0]->has_raw_data = 0;
	refuse(-EINVAL, "initializer 'w'|float_data has 0 elements|536870912");
	b.graph.initializer[0]->dims[0] = INT64_MAX;
	refuse(-EOVERFLOW, "initializer 'w'|dims");
	b.graph.initializer[0]->dims[0] = -3;
	refuse(-EINVAL, "initializer 'w'|dims");
	assert_true(peak_kb() - before < 8192);
}

/* Two bytes a node become a hundred in memory: a limit on what unpacking may take. */
static void test_many_tiny_nodes(void **state)
{
	size_t n = 200000, i;
	uint8_t *p = malloc(2 * n + 16), *q = p;
	size_t size = 2 * n;

	*q++ = 7 << 3 | 2;
	for (; size >= 0x80; size >>= 7)
		*q++ = (uint8_t)(size | 0x80);
	*q++ = (uint8_t)size;
	for (i = 0; i < n; i++) {
		*q++ = 1 << 3 | 2;
		*q++ = 0;
	}
	assert_true(kerf_model_parse(p, (size_t)(q - p), NULL, NULL, &g, &err) < 0);
	assert_true(err.msg[0]);
	free(p);
}

static void test_initializer_forms(void **state)
{
	static const float w[] = {1, 2, 3};
	Onnx__TensorProto *t;

	add_model(w, 3, "3");
	t = b.graph.initializer[0];
	t->raw_data.len = 11;
	refuse(-EINVAL, "initializer 'w'|11 bytes|12");
	t->raw_data.len = 12;
	t->data_type = KERF_STRING;
	refuse(-EOPNOTSUPP, "initializer 'w'|string");
	t->data_type = 17;
	refuse(-EOPNOTSUPP, "initializer 'w'|data_type 17");
	t->data_type = KERF_F32;
	t->dims = (int64_t[]){3, 1, 1, 1, 1, 1, 1, 1, 1};
	t->n_dims = 9;
	refuse(-EOPNOTSUPP, "initializer 'w'|rank");
	t->n_dims = 1;
	t->name = (char *)"";
	refuse(-EINVAL, "initializer 0|no name");
}

/* A constant expression that cannot be evaluated is the node's fault, said at load. */
static void test_bad_constant_index(void **state)
{
	static const int64_t index = 9;

	onnx_build_input(&b, "x", KERF_F32, "2,3");
	onnx_build_initializer(&b, onnx_build_raw(&b, "i", KERF_I64, &index, 1, 8));
	onnx_build_node(&b, "Shape", "x", "s");
	onnx_build_node(&b, "Gather", "s,i", "y");
	onnx_build_output(&b, "y", KERF_I64, NULL);
	refuse(-EINVAL, "node|Gather");
}

/* --- Files --- */

static char folder[64];

static int make_folder(void **state)
{
	strcpy(folder, "/tmp/kerf-test-import-XXXXXX");
	setup(state);
	return mkdtemp(folder) ? 0 : -1;
}

static int remove_folder(void **state)
{
	char cmd[128];

	snprintf(cmd, sizeof(cmd), "rm -rf '%s'", folder);
	return teardown(state) || system(cmd);
}

static const char *in_folder(const char *name)
{
	static char path[2][256];
	static int turn;

	turn = !turn;
	snprintf(path[turn], sizeof(path[turn]), "%s/%s", folder, name);
	return path[turn];
}

static int load(const struct kerf_load_options *opt)
{
	size_t size;
	uint8_t *p = onnx_build_pack(&b, &size);

	memset(&err, 0, sizeof(err));
	assert_int_equal(kerf_file_write(in_folder("m.onnx"), p, size, &err), 0);
	return kerf_model_load(in_folder("m.onnx"), opt, &g, &err);
}

static bool is_mapped(const void *p)
{
	const uint8_t *q = p;

	return q >= g->file->data && q < g->file->data + g->file->size;
}

/* Aligned weights stay in the mapping; unaligned ones are copied; both have their contents. */
static void test_weights_stay_mapped(void **state)
{
	static const float w[] = {1, 2, 3};
	uint8_t digest[32], expected[32];
	unsigned pad, mapped = 0;
	size_t size;
	void *p;

	add_model(w, 3, "3");
	for (pad = 0; pad < 4; pad++) {
		b.model.producer_name = (char *)&"...."[4 - pad];
		assert_int_equal(load(&as_is), 0);
		assert_memory_equal(value("w")->data, w, sizeof(w));
		assert_int_equal((uintptr_t)value("w")->data % 4, 0);
		mapped += is_mapped(value("w")->data);
		if (pad < 3) {
			kerf_graph_unref(g);
			g = NULL;
		}
	}
	assert_int_equal(mapped, 1);
	kerf_graph_model_sha256(g, digest);
	assert_int_equal(kerf_file_read(in_folder("m.onnx"), 1 << 20, &p, &size, &err), 0);
	kerf_sha256(p, size, expected);
	free(p);
	assert_memory_equal(digest, expected, 32);
}

static Onnx__StringStringEntryProto *entry(const char *key, const char *text)
{
	Onnx__StringStringEntryProto *e = onnx_build_alloc(&b, sizeof(*e));

	onnx__string_string_entry_proto__init(e);
	e->key = (char *)key;
	e->value = (char *)text;
	return e;
}

/* w of the add model, at offset 4 of a file of 16 bytes */
static Onnx__TensorProto *external_model(const char *location)
{
	static const float w[] = {1, 2, 3}, bytes[] = {9, 1, 2, 3};
	Onnx__TensorProto *t;

	add_model(w, 3, "3");
	t = b.graph.initializer[0];
	t->has_raw_data = 0;
	t->has_data_location = 1;
	t->data_location = 1;
	onnx_build_append(&b, &t->external_data, &t->n_external_data, entry("location", location));
	onnx_build_append(&b, &t->external_data, &t->n_external_data, entry("offset", "4"));
	onnx_build_append(&b, &t->external_data, &t->n_external_data, entry("length", "12"));
	assert_int_equal(mkdir(in_folder("sub"), 0777), 0);
	assert_int_equal(kerf_file_write(in_folder("sub/w.bin"), bytes, sizeof(bytes), &err), 0);
	return t;
}

static void test_external_data(void **state)
{
	Onnx__TensorProto *t = external_model("sub/w.bin");

	assert_int_equal(load(&as_is), 0);
	assert_true(((float *)value("w")->data)[2] == 3);
	assert_int_equal(g->n_ext, 1);
	kerf_graph_unref(g);
	g = NULL;
	/* a link inside the folder is no trick */
	assert_int_equal(symlink("sub/w.bin", in_folder("link.bin")), 0);
	t->external_data[0]->value = (char *)"link.bin";
	assert_int_equal(load(&as_is), 0);
	kerf_graph_unref(g);
	g = NULL;
	/* a model that came without a folder has no external data */
	refuse(-EACCES, "initializer 'w'|external data");
}

static void test_external_tricks(void **state)
{
	Onnx__TensorProto *t = external_model("?");
	const struct {
		const char *location, *offset, *length, *says;
	} bad[] = {
		{"/etc/passwd", "0", "12", "'/etc/passwd'|inside"},
		{"../w.bin", "0", "12", "inside"},
		{"sub/../../w.bin", "0", "12", "inside"},
		{"sub/..", "0", "12", "inside"},
		{"", "0", "12", "location"},
		{"out", "0", "12", "out"},
		{"outdir/passwd", "0", "12", "out"},
		{"sub", "0", "12", "regular"},
		{"missing", "0", "12", "missing"},
		{"fifo", "0", "12", "regular"},
		{"sub/w.bin", "8", "12", "12 bytes at offset 8|16"},
		{"sub/w.bin", "18446744073709551615", "12", "offset"},
		{"sub/w.bin", "18446744073709551616", "12", "not a number"},
		{"sub/w.bin", "-4", "12", "not a number"},
		{"sub/w.bin", "0", "16", "length is 16|expected 12"},
		{"sub/w.bin", "0", "0x10", "not a number"},
	};
	size_t i;

	assert_int_equal(symlink("/etc/passwd", in_folder("out")), 0);
	assert_int_equal(symlink("/etc", in_folder("outdir")), 0);
	assert_int_equal(mkfifo(in_folder("fifo"), 0666), 0);
	for (i = 0; i < KERF_ARRAY_SIZE(bad); i++) {
		t->external_data[0]->value = (char *)bad[i].location;
		t->external_data[1]->value = (char *)bad[i].offset;
		t->external_data[2]->value = (char *)bad[i].length;
		assert_true(load(NULL) < 0);
		assert_null(g);
		check_says(bad[i].says);
		check_says("m.onnx|initializer 'w'");
	}
}

static void test_missing_file(void **state)
{
	assert_int_equal(kerf_model_load("/nonexistent.onnx", NULL, &g, &err), -ENOENT);
	check_says("/nonexistent.onnx");
}

#define GOOD(t) cmocka_unit_test_setup_teardown(t, setup, teardown)
#define FILES(t) cmocka_unit_test_setup_teardown(t, make_folder, remove_folder)

int main(void)
{
	const struct CMUnitTest tests[] = {
		GOOD(test_simple),
		GOOD(test_symbolic_dims),
		GOOD(test_bad_fixes),
		GOOD(test_fix_text),
		GOOD(test_shape_chain),
		GOOD(test_unknown_shape_names_input),
		GOOD(test_nodes_in_any_order),
		GOOD(test_op_names_are_unique),
		GOOD(test_output_is_input_or_constant),
		GOOD(test_initializer_as_input),
		GOOD(test_typed_data),
		GOOD(test_constant_forms),
		GOOD(test_unknown_operator),
		GOOD(test_internal_operator),
		GOOD(test_opset),
		GOOD(test_subgraphs_and_friends),
		GOOD(test_types),
		GOOD(test_functions),
		GOOD(test_cycle),
		GOOD(test_dangling),
		GOOD(test_missing_input),
		GOOD(test_made_twice),
		GOOD(test_shape_mismatch),
		GOOD(test_every_truncation),
		GOOD(test_not_a_model),
		GOOD(test_claims),
		GOOD(test_many_tiny_nodes),
		GOOD(test_initializer_forms),
		GOOD(test_bad_constant_index),
		FILES(test_weights_stay_mapped),
		FILES(test_external_data),
		FILES(test_external_tricks),
		FILES(test_missing_file),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
