/* SPDX-License-Identifier: MIT */
/* What the rewrites make of known patterns, and that the result computes the same. */
#include "graph/rewrite.h"
#include "util/mincut.h"

#include "graph_build.h"

#include <setjmp.h>
#include <stdarg.h>
#include <sys/resource.h>

#include <cmocka.h>

#define GRAPH(NAME) struct kerf_graph *g = kerf_graph_new(NAME)

/*
 * Runs pass over a copy made by make() and compares outputs with those of another
 * copy; the rewritten graph.
 */
static struct kerf_graph *rewritten(struct kerf_graph *(*make)(void),
                                    int (*pass)(struct kerf_graph *, struct kerf_err *),
                                    double tolerance)
{
	struct kerf_graph *a = make(), *b = make();
	struct kerf_tensor x[4], y[4];
	struct kerf_err err = {""};
	uint32_t i;

	if (kerf_graph_tidy(b, &err) || pass(b, &err) || kerf_graph_verify(b, &err))
		fail_msg("%s", err.msg);
	assert_int_equal(graph_eval(a, 3, x), 0);
	assert_int_equal(graph_eval(b, 3, y), 0);
	assert_int_equal(a->n_out, b->n_out);
	for (i = 0; i < a->n_out; i++) {
		double d = tensor_difference(&x[i], &y[i], 0);

		assert_string_equal(a->value[a->out[i]].name, b->value[b->out[i]].name);
		if (d > tolerance)
			fail_msg("output %u differs by %g", i, d);
	}
	graph_eval_free(a, x);
	graph_eval_free(b, y);
	kerf_graph_unref(a);
	return b;
}

static const struct kerf_op *find(const struct kerf_graph *g, const char *type)
{
	uint32_t i;

	for (i = 0; i < g->n_op; i++)
		if (!strcmp(g->op[i].def->name, type))
			return &g->op[i];
	return NULL;
}

/* --- fold ---------------------------------------------------------------------- */

static struct kerf_graph *make_fold(void)
{
	GRAPH("fold");
	int32_t x = b_input(g, "x", DIMS(2, 3, 4)), t, u;

	/* computed from constants and shapes alone */
	t = b_op(g, "Shape", IN(x), NO_ATTR);
	t = b_reshape(g, t, DIMS(3));
	u = b_op(g, "Mul", IN(b_op(g, "Cast", IN(t), ATTR(A_INT("to", KERF_F32))), b_scalar(g, 2)),
	         NO_ATTR);
	u = b_op(g, "ReduceSum", IN(u), NO_ATTR);
	/* nothing */
	x = b_op(g, "Identity", IN(x), NO_ATTR);
	x = b_op(g, "Cast", IN(x), ATTR(A_INT("to", KERF_F32)));
	x = b_op(g, "Pad", IN(x, b_ints(g, DIMS(0, 0, 0, 0, 0, 0))), NO_ATTR);
	x = b_op(g, "Slice", IN(x, b_ints(g, DIMS(0)), b_ints(g, DIMS(100))), NO_ATTR);
	/* reversing is something */
	x = b_op(g, "Slice",
	         IN(x, b_ints(g, DIMS(-1)), b_ints(g, DIMS(-100)), b_ints(g, DIMS(2)),
	            b_ints(g, DIMS(-1))),
	         NO_ATTR);
	/* two are one */
	t = b_op(g, "Add", IN(b_op(g, "Exp", IN(x), NO_ATTR), b_op(g, "Exp", IN(x), NO_ATTR)),
	         NO_ATTR);
	t = b_op(g, "Mul", IN(t, u), NO_ATTR);
	/* one permutation, one view, and a transpose that only moves an axis of 1 */
	t = b_op(g, "Transpose", IN(t), ATTR(A_INTS("perm", 1, 2, 0)));
	t = b_op(g, "Transpose", IN(t), ATTR(A_INTS("perm", 1, 2, 0)));
	t = b_reshape(g, b_op(g, "Flatten", IN(t), NO_ATTR), DIMS(1, 24, 1));
	t = b_op(g, "Transpose", IN(t), ATTR(A_INTS("perm", 2, 1, 0)));
	kerf_graph_add_output(g, t);
	return g;
}

static void test_fold(void **state)
{
	struct kerf_graph *g = rewritten(make_fold, kerf_rewrite_fold, 0);

	assert_int_equal(count_ops(g, "Slice"), 1);
	assert_int_equal(count_ops(g, "Exp"), 1);
	assert_int_equal(count_ops(g, "Transpose"), 1);
	assert_int_equal(count_ops(g, "Reshape"), 1);
	assert_int_equal(g->n_op, 6);
	kerf_graph_unref(g);
}

/* Much made of little stays an operator; so does what is random. */
static struct kerf_graph *make_large(void)
{
	GRAPH("large");
	int32_t x = b_input(g, "x", DIMS(1024, 1024)), t;

	t = b_op(g, "Expand", IN(b_const(g, 0, 1, DIMS(1024, 1)), b_ints(g, DIMS(1024, 1024))),
	         NO_ATTR);
	kerf_graph_add_output(g, b_op(g, "Add", IN(x, t), NO_ATTR));
	return g;
}

static void test_large(void **state)
{
	struct kerf_graph *g = rewritten(make_large, kerf_rewrite_fold, 0);

	assert_int_equal(count_ops(g, "Expand"), 1);
	kerf_graph_unref(g);
}

static int random_infer(const struct kerf_op *op, const struct kerf_tensor *in,
                        struct kerf_tensor *out, struct kerf_err *err)
{
	out[0] = (struct kerf_tensor){.dtype = KERF_F32, .rank = 1, .dims = {4}};
	return 0;
}

static int random_eval(const struct kerf_op *op, const struct kerf_tensor *in,
                       struct kerf_tensor *out)
{
	return 0;
}

static void test_random(void **state)
{
	static const struct kerf_op_def def = {.name = "random",
	                                       .min_out = 1,
	                                       .max_out = 1,
	                                       .flags = KERF_OP_IMPURE,
	                                       .infer = random_infer,
	                                       .eval = random_eval};
	GRAPH("random");
	struct kerf_err err = {""};
	int32_t out[2];
	int k;

	for (k = 0; k < 2; k++) {
		out[k] = b_value(g, NULL, KERF_F32, 1, (int64_t[]){4});
		kerf_graph_add_op(g, &def, NULL, 1, 0, NULL, 1, &out[k], 0, NULL);
		assert_int_equal(kerf_op_infer_shapes(g, &g->op[k], &err), 0);
	}
	kerf_graph_add_output(g, b_op(g, "Add", IN(out[0], out[1]), NO_ATTR));
	assert_int_equal(kerf_rewrite(g, &err), 0);
	assert_int_equal(count_ops(g, "random"), 2);
	assert_int_equal(g->n_op, 3);
	kerf_graph_unref(g);
}

/* --- fuse ------------------------------------------------------------------------- */

static struct kerf_graph *make_residual(void)
{
	GRAPH("residual");
	int32_t x = b_input(g, "x", DIMS(1, 4, 6, 6)), t, u;

	t = b_batch_norm(g, b_conv(g, x, 8, 3, 1, 1, false));
	t = b_op(g, "Relu", IN(t), NO_ATTR);
	t = b_batch_norm(g, b_conv(g, t, 8, 3, 1, 1, true));
	t = b_op(g, "Mul", IN(t, b_const(g, 1, 2, DIMS(8, 1, 1))), NO_ATTR);
	u = b_batch_norm(g, b_conv(g, x, 8, 1, 1, 1, false));
	t = b_op(g, "Add", IN(t, u), NO_ATTR);
	kerf_graph_add_output(g, b_op(g, "Relu", IN(t), NO_ATTR));
	return g;
}

static void test_residual(void **state)
{
	struct kerf_graph *g = rewritten(make_residual, kerf_rewrite_fuse, 1e-5);
	uint32_t i, n_residual = 0;

	assert_int_equal(g->n_op, 3);
	assert_int_equal(count_ops(g, "Conv"), 3);
	for (i = 0; i < 3; i++) {
		const struct kerf_op *op = &g->op[i];

		/* the weights are the model's own, the factors beside them */
		assert_int_equal(strncmp(g->value[op->in[1]].name, "v", 1), 0);
		assert_null(strstr(g->value[op->in[1]].name, "const"));
		assert_true(op->in[3] >= 0);
		n_residual += op->n_in == 5;
	}
	assert_int_equal(n_residual, 1);
	assert_int_equal(g->op[2].n_in, 5);
	assert_int_equal(g->op[2].act.kind, KERF_ACT_RELU);
	kerf_graph_unref(g);
}

/* Weights of ConvTranspose and Gemm, which have no S, are scaled. */
static struct kerf_graph *make_scaled(void)
{
	GRAPH("scaled");
	int32_t x = b_input(g, "x", DIMS(2, 4, 3, 3)), t;

	t = b_op(g, "ConvTranspose",
	         IN(x, b_const(g, -1, 1, DIMS(4, 3, 2, 2)), b_const(g, -1, 1, DIMS(6))),
	         ATTR(A_INT("group", 2), A_INTS("strides", 2, 2)));
	t = b_op(g, "Flatten", IN(b_batch_norm(g, t)), NO_ATTR);
	t = b_op(g, "Gemm",
	         IN(t, b_const(g, -0.1f, 0.1f, DIMS(5, 216)), b_const(g, -1, 1, DIMS(5))),
	         ATTR(A_INT("transB", 1)));
	t = b_op(g, "Relu", IN(b_batch_norm(g, t)), NO_ATTR);
	t = b_op(g, "Gemm", IN(t, b_const(g, -1, 1, DIMS(5, 7))), NO_ATTR);
	kerf_graph_add_output(
		g, b_op(g, "Sub", IN(b_batch_norm(g, t), b_const(g, -1, 1, DIMS(7))), NO_ATTR));
	return g;
}

static void test_scaled(void **state)
{
	struct kerf_graph *g = rewritten(make_scaled, kerf_rewrite_fuse, 1e-5);

	assert_int_equal(g->n_op, 4);
	assert_int_equal(count_ops(g, "Gemm"), 2);
	assert_int_equal(count_ops(g, "ConvTranspose"), 1);
	kerf_graph_unref(g);
}

static int32_t hard_swish(struct kerf_graph *g, int32_t x)
{
	int32_t t = b_op(g, "Add", IN(x, b_scalar(g, 3)), NO_ATTR);

	t = b_op(g, "Clip", IN(t, b_scalar(g, 0), b_scalar(g, 6)), NO_ATTR);
	return b_op(g, "Mul", IN(x, b_op(g, "Mul", IN(t, b_scalar(g, 1.0f / 6)), NO_ATTR)),
	            NO_ATTR);
}

/*
 * A Gemm whose C is a column, as long as its rows: not a bias for each column, so what
 * scales columns may not go in.
 */
static struct kerf_graph *make_column(void)
{
	GRAPH("column");
	int32_t x = b_input(g, "x", DIMS(4, 3)), t;

	t = b_op(g, "Gemm", IN(x, b_const(g, -1, 1, DIMS(3, 4)), b_const(g, -1, 1, DIMS(4, 1))),
	         NO_ATTR);
	kerf_graph_add_output(g, b_op(g, "Mul", IN(t, b_const(g, 1, 2, DIMS(4))), NO_ATTR));
	return g;
}

static void test_column(void **state)
{
	struct kerf_graph *g = rewritten(make_column, kerf_rewrite_fuse, 1e-6);

	assert_int_equal(count_ops(g, "Mul"), 1);
	kerf_graph_unref(g);
}

/* A NaN stays one through every activation, fused or not. */
static struct kerf_graph *make_nan(void)
{
	GRAPH("nan");
	int32_t x = b_input(g, "x", DIMS(1, 2, 3, 3));

	x = b_op(g, "Add", IN(x, b_scalar(g, NAN)), NO_ATTR);
#define BRANCH(...) kerf_graph_add_output(g, b_op(g, __VA_ARGS__))
	BRANCH("Relu", IN(b_conv(g, x, 2, 1, 1, 1, true)), NO_ATTR);
	BRANCH("Clip", IN(b_conv(g, x, 2, 1, 1, 1, true), b_scalar(g, 0), b_scalar(g, 6)), NO_ATTR);
	BRANCH("HardSigmoid", IN(b_conv(g, x, 2, 1, 1, 1, true)), NO_ATTR);
	BRANCH("LeakyRelu", IN(b_conv(g, x, 2, 1, 1, 1, true)), NO_ATTR);
#undef BRANCH
	return g;
}

static void test_nan(void **state)
{
	struct kerf_graph *g = rewritten(make_nan, kerf_rewrite_fuse, 0);

	assert_int_equal(g->n_op, 5);
	kerf_graph_unref(g);
}

/*
 * Almost a GELU, a layer norm and a softmax: an activation stands in between, which is
 * part of the operator before it when patterns are looked for the second time.
 */
static struct kerf_graph *make_almost(void)
{
	GRAPH("almost");
	int32_t x = b_input(g, "x", DIMS(2, 6)), t, d;

	t = b_op(g, "Erf", IN(b_op(g, "Div", IN(x, b_scalar(g, sqrtf(2))), NO_ATTR)), NO_ATTR);
	t = b_op(g, "Sigmoid", IN(b_op(g, "Add", IN(t, b_scalar(g, 1)), NO_ATTR)), NO_ATTR);
	t = b_op(g, "Mul", IN(b_op(g, "Mul", IN(x, t), NO_ATTR), b_scalar(g, 0.5f)), NO_ATTR);
	kerf_graph_add_output(g, t);

	t = b_op(g, "Relu", IN(b_op(g, "Div", IN(x, b_scalar(g, sqrtf(2))), NO_ATTR)), NO_ATTR);
	t = b_op(g, "Add", IN(b_op(g, "Erf", IN(t), NO_ATTR), b_scalar(g, 1)), NO_ATTR);
	t = b_op(g, "Mul", IN(b_op(g, "Mul", IN(x, t), NO_ATTR), b_scalar(g, 0.5f)), NO_ATTR);
	kerf_graph_add_output(g, t);

	d = b_op(g, "ReduceMean", IN(x), ATTR(A_INTS("axes", -1)));
	d = b_op(g, "Sub", IN(x, d), NO_ATTR);
	t = b_op(g, "Mul", IN(d, d), NO_ATTR);
	t = b_op(g, "ReduceMean", IN(t), ATTR(A_INTS("axes", -1)));
	t = b_op(g, "Tanh", IN(b_op(g, "Add", IN(t, b_scalar(g, 1e-5f)), NO_ATTR)), NO_ATTR);
	t = b_op(g, "Sqrt", IN(t), NO_ATTR);
	kerf_graph_add_output(g, b_op(g, "Div", IN(d, t), NO_ATTR));

	t = b_op(g, "ReduceMax", IN(x), ATTR(A_INTS("axes", 1)));
	t = b_op(g, "Relu", IN(b_op(g, "Sub", IN(x, t), NO_ATTR)), NO_ATTR);
	t = b_op(g, "Exp", IN(t), NO_ATTR);
	d = b_op(g, "ReduceSum", IN(t, b_ints(g, DIMS(1))), NO_ATTR);
	kerf_graph_add_output(g, b_op(g, "Div", IN(t, d), NO_ATTR));
	return g;
}

static void test_almost(void **state)
{
	struct kerf_graph *g = rewritten(make_almost, kerf_rewrite, 1e-6);

	kerf_graph_unref(g);
}

/* The form of DepthToSpace and SpaceToDepth, of blocks of no pixels. */
static struct kerf_graph *make_empty_blocks(void)
{
	static const int64_t perm[2][6] = {{0, 1, 4, 2, 5, 3}, {0, 3, 5, 1, 2, 4}};
	static const int64_t in[2][4] = {{1, 0, 3, 3}, {1, 3, 0, 0}};
	static const int64_t six[2][6] = {{1, 0, 0, 0, 3, 3}, {1, 3, 0, 0, 0, 0}};
	GRAPH("empty");
	int i;

	for (i = 0; i < 2; i++) {
		struct kerf_attr zero = {.name = "allowzero", .type = KERF_ATTR_INT, .i = 1};
		struct kerf_attr p = {.name = "perm", .type = KERF_ATTR_INTS, .n = 6};
		int32_t x = b_input(g, i ? "y" : "x", 4, in[i]);

		p.ints = perm[i];
		x = b_ops(g, "Reshape", 14, 1, IN(x, b_ints(g, 6, six[i])), 1, &zero);
		x = b_op(g, "Transpose", IN(x), 1, &p);
		x = b_ops(g, "Reshape", 14, 1, IN(x, b_ints(g, DIMS(1, 0, 0, 0))), 1, &zero);
		kerf_graph_add_output(g, x);
	}
	return g;
}

static void test_empty_blocks(void **state)
{
	struct kerf_graph *g = rewritten(make_empty_blocks, kerf_rewrite, 0);

	assert_int_equal(count_ops(g, "DepthToSpace") + count_ops(g, "SpaceToDepth"), 0);
	kerf_graph_unref(g);
}

/*
 * What seems to change nothing may widen a value whose dims are known only at run
 * time: those of the graph are but bounds.
 */
static struct kerf_graph *make_bounded(void)
{
	GRAPH("bounded");
	int32_t x = b_op(g, "NonZero", IN(b_input(g, "x", DIMS(3))), NO_ATTR), t;

	t = b_op(g, "Expand", IN(x, b_ints(g, DIMS(1, 3))), NO_ATTR);
	kerf_graph_add_output(g, b_op(g, "Neg", IN(t), NO_ATTR));
	t = b_op(g, "Cast", IN(x), ATTR(A_INT("to", KERF_F32)));
	t = b_op(g, "Mul", IN(t, b_const(g, 1, 1, DIMS(3))), NO_ATTR);
	kerf_graph_add_output(g, b_op(g, "Neg", IN(t), NO_ATTR));
	return g;
}

static void test_bounded(void **state)
{
	struct kerf_graph *g = make_bounded();
	struct kerf_err err = {""};

	assert_int_equal(kerf_rewrite(g, &err), 0);
	assert_int_equal(count_ops(g, "Expand"), 1);
	assert_int_equal(count_ops(g, "Mul"), 1);
	kerf_graph_unref(g);
}

static struct kerf_graph *make_acts(void)
{
	GRAPH("acts");
	int32_t x = b_input(g, "x", DIMS(1, 4, 6, 6)), t;

	t = hard_swish(g, b_conv(g, x, 4, 3, 1, 1, true));
	t = b_conv(g, t, 4, 3, 1, 1, true);
	t = b_op(g, "Mul", IN(b_op(g, "Sigmoid", IN(t), NO_ATTR), t), NO_ATTR);
	t = b_conv(g, t, 4, 3, 1, 1, true);
	t = b_op(g, "Mul", IN(t, b_op(g, "Tanh", IN(b_op(g, "Softplus", IN(t), NO_ATTR)), NO_ATTR)),
	         NO_ATTR);
	kerf_graph_add_output(g, b_op(g, "MaxPool", IN(t), ATTR(A_INTS("kernel_shape", 1, 1))));
	kerf_graph_add_output(
		g, hard_swish(g, b_op(g, "MaxPool", IN(t), ATTR(A_INTS("kernel_shape", 2, 2)))));
	return g;
}

static void test_acts(void **state)
{
	struct kerf_graph *g = rewritten(make_acts, kerf_rewrite_fuse, 1e-5);

	assert_int_equal(count_ops(g, "Conv"), 3);
	assert_int_equal(g->op[0].act.kind, KERF_ACT_HARD_SWISH);
	assert_int_equal(g->op[1].act.kind, KERF_ACT_SILU);
	assert_int_equal(g->op[2].act.kind, KERF_ACT_MISH);
	assert_int_equal(count_ops(g, "act"), 1);
	assert_int_equal(g->n_op, 6);
	kerf_graph_unref(g);
}

static struct kerf_graph *make_pad(void)
{
	GRAPH("pad");
	int32_t x = b_input(g, "x", DIMS(1, 4, 6, 6)), pads, t;

	pads = b_ints(g, DIMS(0, 0, 1, 1, 0, 0, 1, 1));
	t = b_op(g, "Relu", IN(b_conv(g, b_op(g, "Pad", IN(x, pads), NO_ATTR), 4, 3, 1, 1, true)),
	         NO_ATTR);
	t = b_op(g, "MaxPool", IN(b_op(g, "Pad", IN(t, pads), NO_ATTR)),
	         ATTR(A_INTS("kernel_shape", 3, 3)));
	t = b_op(g, "AveragePool", IN(b_op(g, "Pad", IN(t, pads), NO_ATTR)),
	         ATTR(A_INTS("kernel_shape", 3, 3)));
	/* values below 0: the padding's 0 may be the maximum, so this Pad stays */
	t = b_op(g, "Sub", IN(t, b_scalar(g, 9)), NO_ATTR);
	t = b_op(g, "MaxPool", IN(b_op(g, "Pad", IN(t, pads), NO_ATTR)),
	         ATTR(A_INTS("kernel_shape", 3, 3)));
	kerf_graph_add_output(g, t);
	return g;
}

static void test_pad(void **state)
{
	struct kerf_graph *g = rewritten(make_pad, kerf_rewrite_fuse, 1e-6);

	assert_int_equal(count_ops(g, "Pad"), 1);
	kerf_graph_unref(g);
}

static int32_t layer_norm(struct kerf_graph *g, int32_t x, int64_t n)
{
	int32_t d = b_op(g, "Sub", IN(x, b_op(g, "ReduceMean", IN(x), ATTR(A_INTS("axes", -1)))),
	                 NO_ATTR);
	int32_t t = b_op(g, "ReduceMean", IN(b_op(g, "Mul", IN(d, d), NO_ATTR)),
	                 ATTR(A_INTS("axes", -1)));

	t = b_op(g, "Sqrt", IN(b_op(g, "Add", IN(t, b_scalar(g, 1e-5f)), NO_ATTR)), NO_ATTR);
	t = b_op(g, "Mul", IN(b_op(g, "Div", IN(d, t), NO_ATTR), b_const(g, 0.5f, 1, DIMS(n))),
	         NO_ATTR);
	return b_op(g, "Add", IN(t, b_const(g, -1, 1, DIMS(n))), NO_ATTR);
}

static int32_t linear(struct kerf_graph *g, int32_t x, int64_t in, int64_t out, bool transposed)
{
	int32_t w = transposed ? b_op(g, "Transpose", IN(b_const(g, -0.3f, 0.3f, DIMS(out, in))),
	                              NO_ATTR)
	                       : b_const(g, -0.3f, 0.3f, DIMS(in, out));

	return b_op(g, "Add",
	            IN(b_op(g, "MatMul", IN(x, w), NO_ATTR), b_const(g, -1, 1, DIMS(out))),
	            NO_ATTR);
}

/* An encoder's feed-forward half and a softmax spelled out. */
static struct kerf_graph *make_encoder(void)
{
	GRAPH("encoder");
	int32_t x = b_input(g, "x", DIMS(2, 5, 8)), t, u;

	t = linear(g, layer_norm(g, x, 8), 8, 16, false);
	u = b_op(g, "Erf", IN(b_op(g, "Mul", IN(t, b_scalar(g, 0.70710678f)), NO_ATTR)), NO_ATTR);
	u = b_op(g, "Add", IN(u, b_scalar(g, 1)), NO_ATTR);
	t = b_op(g, "Mul", IN(b_op(g, "Mul", IN(t, b_scalar(g, 0.5f)), NO_ATTR), u), NO_ATTR);
	t = b_op(g, "Add", IN(linear(g, t, 16, 8, true), x), NO_ATTR);
	u = b_op(g, "Sub", IN(t, b_op(g, "ReduceMax", IN(t), ATTR(A_INTS("axes", 2)))), NO_ATTR);
	u = b_op(g, "Exp", IN(u), NO_ATTR);
	t = b_op(g, "Div", IN(u, b_op(g, "ReduceSum", IN(u, b_ints(g, DIMS(2))), NO_ATTR)),
	         NO_ATTR);
	kerf_graph_add_output(g, t);
	return g;
}

static void test_encoder(void **state)
{
	struct kerf_graph *g = rewritten(make_encoder, kerf_rewrite, 1e-5);

	assert_int_equal(count_ops(g, "LayerNormalization"), 1);
	assert_int_equal(count_ops(g, "Gemm"), 2);
	assert_int_equal(find(g, "Gemm")->act.kind, KERF_ACT_GELU);
	assert_int_equal(count_ops(g, "Softmax"), 1);
	assert_int_equal(count_ops(g, "Add"), 1);
	assert_int_equal(count_ops(g, "Transpose"), 0);
	assert_int_equal(g->n_op - count_ops(g, "Reshape"), 5);
	kerf_graph_unref(g);
}

/* --- layout ---------------------------------------------------------------------------- */

static int32_t classifier(struct kerf_graph *g, int32_t x)
{
	int64_t c = g->value[x].t.dims[1];

	x = b_op(g, "Flatten", IN(b_op(g, "GlobalAveragePool", IN(x), NO_ATTR)), NO_ATTR);
	return b_op(g, "Gemm", IN(x, b_const(g, -1, 1, DIMS(5, c)), b_const(g, -1, 1, DIMS(5))),
	            ATTR(A_INT("transB", 1)));
}

/* Every operator that either layout suits, between two convolutions. */
static struct kerf_graph *make_mobile(void)
{
	GRAPH("mobile");
	int32_t x = b_input(g, "x", DIMS(1, 3, 12, 12)), t, u;

	x = hard_swish(g, b_batch_norm(g, b_conv(g, x, 8, 3, 2, 1, false)));
	t = b_op(g, "ReduceMean", IN(x), ATTR(A_INTS("axes", -1, -2)));
	t = b_op(g, "HardSigmoid", IN(b_conv(g, t, 8, 1, 1, 1, true)), NO_ATTR);
	x = b_op(g, "Mul", IN(x, t), NO_ATTR);
	t = b_ops(g, "Split", OPSET, 2, IN(x), ATTR(A_INT("axis", 1)));
	u = b_op(g, "PRelu", IN(b_conv(g, t, 4, 3, 1, 4, false), b_const(g, 0, 1, DIMS(4, 1, 1))),
	         NO_ATTR);
	x = b_op(g, "Concat", IN(u, t + 1), ATTR(A_INT("axis", -3)));
	x = b_op(g, "Pad", IN(x, b_ints(g, DIMS(0, 1, 2, 0, 0, 0, 0, 1)), b_scalar(g, -1)),
	         NO_ATTR);
	x = b_op(g, "Slice",
	         IN(x, b_ints(g, DIMS(1, 1)), b_ints(g, DIMS(9, 99)), b_ints(g, DIMS(1, -1))),
	         NO_ATTR);
	x = b_op(g, "Softmax", IN(x), ATTR(A_INT("axis", 1)));
	/* a channel shuffle */
	t = b_reshape(g, x, DIMS(1, 2, 4, 8, 6));
	t = b_op(g, "Transpose", IN(t), ATTR(A_INTS("perm", 0, 2, 1, 3, 4)));
	x = b_conv(g, b_reshape(g, t, DIMS(1, 8, 8, 6)), 8, 1, 1, 1, true);
	kerf_graph_add_output(g, classifier(g, x));
	return g;
}

static void test_mobile(void **state)
{
	struct kerf_graph *g = rewritten(make_mobile, kerf_rewrite, 1e-5);
	uint32_t i, n = 0;

	/* the input's, and the shuffle's own of rank 5 */
	assert_int_equal(count_ops(g, "Transpose"), 2);
	for (i = 0; i < g->n_op; i++) {
		n += g->value[g->op[i].out[0]].nhwc;
		if (g->op[i].def->flags & KERF_OP_SPATIAL)
			assert_true(g->op[i].nhwc);
	}
	assert_true(n > 10);
	kerf_graph_unref(g);
}

/* One channel: the same order of elements either way. */
static struct kerf_graph *make_grey(void)
{
	GRAPH("grey");
	int32_t x = b_input(g, "x", DIMS(1, 1, 8, 8));

	kerf_graph_add_output(g, classifier(g, b_conv(g, x, 4, 3, 2, 1, true)));
	return g;
}

static void test_grey(void **state)
{
	struct kerf_graph *g = rewritten(make_grey, kerf_rewrite, 1e-6);

	assert_int_equal(count_ops(g, "Transpose"), 0);
	kerf_graph_unref(g);
}

/* The input's smaller copy is transposed: after the pool of an image, not before. */
static struct kerf_graph *make_cheapest(void)
{
	GRAPH("cheapest");
	int32_t x = b_input(g, "x", DIMS(1, 3, 40, 40)), t;

	t = b_op(g, "Slice",
	         IN(x, b_ints(g, DIMS(0, 0)), b_ints(g, DIMS(8, 8)), b_ints(g, DIMS(2, 3))),
	         NO_ATTR);
	t = b_op(g, "Sub", IN(t, b_const(g, 0, 1, DIMS(3, 1, 1))), NO_ATTR);
	kerf_graph_add_output(g, classifier(g, b_conv(g, t, 4, 3, 1, 1, true)));
	return g;
}

static void test_cheapest(void **state)
{
	struct kerf_graph *g = rewritten(make_cheapest, kerf_rewrite, 1e-6);
	const struct kerf_op *t = find(g, "Transpose");

	assert_int_equal(count_ops(g, "Transpose"), 1);
	assert_int_equal(kerf_tensor_count(&g->value[t->in[0]].t), 3 * 8 * 8);
	kerf_graph_unref(g);
}

/* A model with its own transposes from channels-last input, and detector heads to it. */
static struct kerf_graph *make_detector(void)
{
	GRAPH("detector");
	int32_t x = b_input(g, "x", DIMS(1, 8, 8, 3)), t, u;

	x = b_op(g, "Transpose", IN(x), ATTR(A_INTS("perm", 0, 3, 1, 2)));
	x = b_op(g, "Relu", IN(b_conv(g, x, 6, 3, 1, 1, true)), NO_ATTR);
	t = b_op(g, "Transpose", IN(b_conv(g, x, 4, 3, 1, 1, true)),
	         ATTR(A_INTS("perm", 0, 2, 3, 1)));
	t = b_reshape(g, t, DIMS(1, 128, 2));
	u = b_reshape(g, b_conv(g, x, 4, 3, 2, 1, true), DIMS(1, 4, 16));
	u = b_op(g, "Transpose", IN(u), ATTR(A_INTS("perm", 0, 2, 1)));
	u = b_reshape(g, u, DIMS(1, 32, 2));
	kerf_graph_add_output(g, b_op(g, "Concat", IN(t, u), ATTR(A_INT("axis", 1))));
	return g;
}

static void test_detector(void **state)
{
	struct kerf_graph *g = rewritten(make_detector, kerf_rewrite, 1e-6);

	assert_int_equal(count_ops(g, "Transpose"), 0);
	kerf_graph_unref(g);
}

/* A model output in the middle, and one that is channels-last inside. */
static struct kerf_graph *make_outputs(void)
{
	GRAPH("outputs");
	int32_t x = b_input(g, "x", DIMS(2, 3, 6, 6)), t = b_conv(g, x, 4, 3, 1, 1, true);

	kerf_graph_add_output(g, t);
	t = b_op(g, "Relu", IN(b_conv(g, t, 4, 3, 1, 1, true)), NO_ATTR);
	kerf_graph_add_output(g, t);
	kerf_graph_add_output(g, b_op(g, "MatMul", IN(t, t), NO_ATTR));
	return g;
}

static void test_outputs(void **state)
{
	struct kerf_graph *g = rewritten(make_outputs, kerf_rewrite, 1e-6);

	/* in, and each of the two convolutions' outputs once, also for MatMul */
	assert_int_equal(count_ops(g, "Transpose"), 3);
	kerf_graph_unref(g);
}

/* What folding may spend counts what is read, not only what is made. */
static void test_work(void **state)
{
	GRAPH("work");
	int32_t x = b_input(g, "x", DIMS(1000, 1000));

	b_op(g, "ArgMax", IN(b_op(g, "Flatten", IN(x), ATTR(A_INT("axis", 0)))),
	     ATTR(A_INT("axis", 1)));
	b_op(g, "Gather", IN(x, b_ints(g, DIMS(5))), NO_ATTR);
	assert_int_equal(kerf_op_flops(g, &g->op[1]), 1);
	assert_int_equal(kerf_op_work(g, &g->op[1]), 1000000);
	/* a row of a large table costs the row */
	assert_true(kerf_op_work(g, &g->op[2]) <= 1000);
	kerf_graph_unref(g);
}

/* A shape is a claim: what rewriting takes is bounded by what the file holds. */
static struct kerf_graph *make_claims(void)
{
	GRAPH("claims");
	int32_t x = b_input(g, "x", DIMS(1, 1ll << 32));

	kerf_graph_add_output(g, b_op(g, "Add", IN(x, b_scalar(g, 2)), NO_ATTR));
	return g;
}

static void test_claims(void **state)
{
	struct kerf_graph *g = make_claims();
	struct kerf_err err = {""};
	struct rusage before, after;

	getrusage(RUSAGE_SELF, &before);
	assert_int_equal(kerf_rewrite(g, &err), 0);
	getrusage(RUSAGE_SELF, &after);
	assert_true(after.ru_maxrss - before.ru_maxrss < 64 << 10);
	kerf_graph_unref(g);
}

/* A constant beside many maps is stored channels-last once. */
static struct kerf_graph *make_shared_map(void)
{
	GRAPH("map");
	int32_t x = b_input(g, "x", DIMS(1, 3, 4, 5)), c = b_const(g, -1, 1, DIMS(1, 3, 4, 5)), i;

	x = b_conv(g, x, 3, 3, 1, 1, true);
	for (i = 0; i < 3; i++)
		x = b_op(g, i % 2 ? "Mul" : "Sub", IN(c, x), NO_ATTR);
	kerf_graph_add_output(g, b_conv(g, x, 3, 3, 1, 1, true));
	return g;
}

static void test_shared_map(void **state)
{
	struct kerf_graph *g = rewritten(make_shared_map, kerf_rewrite_layout, 1e-6);
	uint32_t i, n = 0;

	for (i = 0; i < g->n_value; i++)
		n += kerf_value_is_const(&g->value[i]) && g->value[i].nhwc;
	assert_int_equal(n, 1);
	kerf_graph_unref(g);
}

/* --- the cut -------------------------------------------------------------------------------- */

#define CUT_NODES 9

static void test_cut(void **state)
{
	struct kerf_rng rng;
	int round;

	kerf_rng_seed(&rng, 11);
	for (round = 0; round < 500; round++) {
		int64_t cost[CUT_NODES][CUT_NODES] = {{0}}, best = INT64_MAX, got = 0;
		struct kerf_cut cut = {.n_node = CUT_NODES};
		uint32_t best_sides = 0, set, i, j;
		bool side[CUT_NODES];

		for (i = 0; i < 24; i++) {
			uint32_t from = (uint32_t)kerf_rng_below(&rng, CUT_NODES);
			uint32_t to = (uint32_t)kerf_rng_below(&rng, CUT_NODES);
			int64_t c = (int64_t)kerf_rng_below(&rng, 10);

			assert_int_equal(kerf_cut_edge(&cut, from, to, c), 0);
			cost[from][to] += c;
		}
		assert_int_equal(kerf_cut_solve(&cut, side), 0);
		assert_true(side[KERF_CUT_SOURCE] && !side[KERF_CUT_SINK]);
		for (set = 0; set < 1u << CUT_NODES; set++) {
			int64_t sum = 0;

			if (!(set & 1u << KERF_CUT_SOURCE) || set & 1u << KERF_CUT_SINK)
				continue;
			for (i = 0; i < CUT_NODES; i++)
				for (j = 0; j < CUT_NODES; j++)
					if (set & 1u << i && !(set & 1u << j))
						sum += cost[i][j];
			if (sum < best || (sum == best && __builtin_popcount(set) >
			                                          __builtin_popcount(best_sides))) {
				best = sum;
				best_sides = set;
			}
		}
		for (i = 0, set = 0; i < CUT_NODES; i++) {
			set |= (uint32_t)side[i] << i;
			for (j = 0; j < CUT_NODES; j++)
				if (side[i] && !side[j])
					got += cost[i][j];
		}
		assert_int_equal(got, best);
		assert_int_equal(set, best_sides);
		kerf_cut_finish(&cut);
	}
}

/* --- size ---------------------------------------------------------------------------------------
 */

static struct kerf_graph *make_long(void)
{
	GRAPH("long");
	int32_t x = b_input(g, "x", DIMS(1, 2, 4, 4)),
		w = b_const(g, -0.5f, 0.5f, DIMS(2, 2, 1, 1)), t, i;

	for (i = 0; i < 2500; i++) {
		t = b_op(g, "Tanh", IN(b_op(g, "Conv", IN(x, w), NO_ATTR)), NO_ATTR);
		t = b_op(g, "Concat", IN(t, x), ATTR(A_INT("axis", 2)));
		x = b_op(g, "MaxPool", IN(t), ATTR(A_INTS("kernel_shape", 5, 1)));
	}
	kerf_graph_add_output(g, x);
	return g;
}

/* 10,000 operators: a quadratic step would show as minutes. */
static void test_long(void **state)
{
	struct kerf_graph *g = rewritten(make_long, kerf_rewrite, 1e-5);

	assert_int_equal(g->n_op, 7501 + 1);
	kerf_graph_unref(g);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_fold),     cmocka_unit_test(test_large),
		cmocka_unit_test(test_random),   cmocka_unit_test(test_residual),
		cmocka_unit_test(test_scaled),   cmocka_unit_test(test_acts),
		cmocka_unit_test(test_pad),      cmocka_unit_test(test_encoder),
		cmocka_unit_test(test_mobile),   cmocka_unit_test(test_grey),
		cmocka_unit_test(test_cheapest), cmocka_unit_test(test_detector),
		cmocka_unit_test(test_outputs),  cmocka_unit_test(test_cut),
		cmocka_unit_test(test_long),     cmocka_unit_test(test_column),
		cmocka_unit_test(test_nan),      cmocka_unit_test(test_bounded),
		cmocka_unit_test(test_claims),    cmocka_unit_test(test_shared_map),
		cmocka_unit_test(test_work),       cmocka_unit_test(test_almost),
		cmocka_unit_test(test_empty_blocks),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
