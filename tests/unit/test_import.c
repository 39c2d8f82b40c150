/* SPDX-License-Identifier: MIT */
/* What the importer makes of good models, and what it says about graphs it refuses. */
#include "import_case.h"

#include "graph/op.h"

#include <math.h>

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
	uint32_t i, n = 0;

	onnx_build_input(&b, "x", KERF_F32, "2");
	onnx_build_initializer(&b, onnx_build_raw(&b, "w", KERF_F32, w, 2, 4));
	onnx_build_output(&b, "w", KERF_F32, "2");
	onnx_build_output(&b, "x", KERF_F32, "2");
	/* the name that the constant would get when the output takes its own */
	onnx_build_node(&b, "Neg", "x", "w.constant");
	onnx_build_output(&b, "w.constant", KERF_F32, "2");
	accept(NULL);
	for (i = 0; i < g->n_value; i++)
		n += !strcmp(g->value[i].name, "w.constant");
	assert_int_equal(n, 1);
	assert_int_equal(g->n_out, 3);
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

/* Forms that only our rewrites make: a file has ONNX's own, or is refused. */
static void test_extended_forms(void **state)
{
	static const float w[24];
	Onnx__TensorProto *t;

	onnx_build_input(&b, "x", KERF_F32, "1,1,3,3");
	t = onnx_build_raw(&b, "w", KERF_F32, w, 4, 4);
	t->dims = (int64_t[]){2, 1, 1, 2};
	t->n_dims = 4;
	onnx_build_initializer(&b, t);
	onnx_build_initializer(&b, onnx_build_raw(&b, "s", KERF_F32, w, 2, 4));
	onnx_build_node(&b, "Conv", "x,w,s,s", "y");
	onnx_build_output(&b, "y", KERF_F32, NULL);
	refuse(-EINVAL, "Conv|4 inputs|expected 2 to 3");
	b.graph.node[0]->n_input = 3;
	accept(NULL);
	kerf_graph_unref(g);
	g = NULL;

	teardown(NULL);
	setup(NULL);
	onnx_build_input(&b, "x", KERF_F32, "2,3,4");
	t = onnx_build_raw(&b, "w", KERF_F32, w, 20, 4);
	t->dims = (int64_t[]){4, 5};
	t->n_dims = 2;
	onnx_build_initializer(&b, t);
	onnx_build_node(&b, "Gemm", "x,w", "y");
	onnx_build_output(&b, "y", KERF_F32, NULL);
	refuse(-EINVAL, "Gemm|input 0|rank 3|expected 2");
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

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(test_simple),
		CASE(test_symbolic_dims),
		CASE(test_bad_fixes),
		CASE(test_fix_text),
		CASE(test_shape_chain),
		CASE(test_unknown_shape_names_input),
		CASE(test_nodes_in_any_order),
		CASE(test_op_names_are_unique),
		CASE(test_output_is_input_or_constant),
		CASE(test_initializer_as_input),
		CASE(test_typed_data),
		CASE(test_constant_forms),
		CASE(test_unknown_operator),
		CASE(test_internal_operator),
		CASE(test_extended_forms),
		CASE(test_opset),
		CASE(test_subgraphs_and_friends),
		CASE(test_types),
		CASE(test_functions),
		CASE(test_cycle),
		CASE(test_dangling),
		CASE(test_missing_input),
		CASE(test_made_twice),
		CASE(test_shape_mismatch),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
