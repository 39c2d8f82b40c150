/* SPDX-License-Identifier: MIT */
/*
 * Random small networks of the operators that the rewrites touch: rewritten and as
 * built they give the same outputs, after each pass and after all. An argument sets
 * the first seed, a second the number of networks.
 */
#include "graph/rewrite.h"

#include "graph_build.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#define POOL 24

static uint64_t first_seed = 1;
static int n_networks = 150;

struct random_net {
	struct kerf_graph *g;
	struct kerf_rng rng;
	int32_t pool[POOL]; /* images to read from */
	uint32_t n_pool;
};

static int64_t below(struct random_net *n, uint64_t k)
{
	return (int64_t)kerf_rng_below(&n->rng, k);
}

static int32_t pick(struct random_net *n)
{
	/* Recent values more often: deep rather than wide. */
	return below(n, 3) ? n->pool[n->n_pool - 1] : n->pool[below(n, n->n_pool)];
}

static const int64_t *dims_of(const struct random_net *n, int32_t v)
{
	return n->g->value[v].t.dims;
}

static int32_t pick_same(struct random_net *n, int32_t x, bool channels)
{
	const int64_t *a = dims_of(n, x);
	uint32_t i, start = (uint32_t)below(n, n->n_pool);

	for (i = 0; i < n->n_pool; i++) {
		int32_t v = n->pool[(start + i) % n->n_pool];
		const int64_t *b = dims_of(n, v);

		if (v != x && a[0] == b[0] && a[2] == b[2] && a[3] == b[3] &&
		    (!channels || a[1] == b[1]))
			return v;
	}
	return x;
}

static int32_t act(struct random_net *n, int32_t x)
{
	struct kerf_graph *g = n->g;
	int32_t t;

	switch (below(n, 12)) {
	case 0: return b_op(g, "Clip", IN(x, b_scalar(g, 0), b_scalar(g, 6)), NO_ATTR);
	case 1: return b_op(g, "LeakyRelu", IN(x), ATTR(A_FLOAT("alpha", 0.1f)));
	case 2: return b_op(g, "Sigmoid", IN(x), NO_ATTR);
	case 3: return b_op(g, "Mul", IN(x, b_op(g, "Sigmoid", IN(x), NO_ATTR)), NO_ATTR);
	case 4:
		t = b_op(g, "Add", IN(x, b_scalar(g, 3)), NO_ATTR);
		t = b_op(g, "Clip", IN(t, b_scalar(g, 0), b_scalar(g, 6)), NO_ATTR);
		t = b_op(g, "Mul", IN(x, t), NO_ATTR);
		return b_op(g, "Div", IN(t, b_scalar(g, 6)), NO_ATTR);
	case 5:
		t = b_op(g, "Tanh", IN(b_op(g, "Softplus", IN(x), NO_ATTR)), NO_ATTR);
		return b_op(g, "Mul", IN(t, x), NO_ATTR);
	case 6:
		t = b_op(g, "Erf", IN(b_op(g, "Div", IN(x, b_scalar(g, 1.41421356f)), NO_ATTR)),
		         NO_ATTR);
		t = b_op(g, "Mul", IN(x, b_op(g, "Add", IN(t, b_scalar(g, 1)), NO_ATTR)), NO_ATTR);
		return b_op(g, "Mul", IN(t, b_scalar(g, 0.5f)), NO_ATTR);
	case 7:
		t = b_const(g, 0, 1, g->value[x].t.rank - 1, (int64_t[]){dims_of(n, x)[1], 1, 1});
		return b_op(g, "PRelu", IN(x, t), NO_ATTR);
	case 8: return b_op(g, "Elu", IN(x), NO_ATTR);
	case 9: return b_op(g, "HardSigmoid", IN(x), NO_ATTR);
	case 10: return b_op(g, "Tanh", IN(x), NO_ATTR);
	default: return b_op(g, "Relu", IN(x), NO_ATTR);
	}
}

static int32_t window(struct random_net *n, int32_t x)
{
	static const int64_t out[] = {4, 6, 8, 12};
	struct kerf_graph *g = n->g;
	int64_t c = dims_of(n, x)[1], h = dims_of(n, x)[2], w = dims_of(n, x)[3];
	bool large = h > 4 && w > 4;
	int32_t t;

	switch (below(n, 8)) {
	case 0: return b_conv(g, x, c, 3, 1, c, true);
	case 1: return b_conv(g, x, out[below(n, 4)], 1, 1, 1, below(n, 2));
	case 2: return large ? b_conv(g, x, out[below(n, 4)], 3, 2, 1, true) : x;
	case 3: return c % 2 ? x : b_conv(g, x, 8, 3, 1, 2, false);
	case 4:
		return !large ? x
		              : b_op(g, below(n, 2) ? "MaxPool" : "AveragePool", IN(x),
		                     ATTR(A_INTS("kernel_shape", 3, 3), A_INTS("strides", 1, 2),
		                          A_INTS("pads", 1, 1, 1, 1)));
	case 5:
		t = b_op(g, "Pad", IN(x, b_ints(g, DIMS(0, 0, 1, 0, 0, 0, 0, 2))), NO_ATTR);
		return below(n, 2) ? b_conv(g, t, 4, 3, 1, 1, false)
		                   : b_op(g, below(n, 2) ? "AveragePool" : "MaxPool", IN(t),
		                          ATTR(A_INTS("kernel_shape", 3, 3)));
	case 6:
		if (h * w > 400)
			return x;
		t = b_const(g, -0.5f, 0.5f, DIMS(c, 6, 2, 2));
		return b_op(g, "ConvTranspose", IN(x, t), ATTR(A_INTS("strides", 2, 2)));
	default: return b_conv(g, x, out[below(n, 4)], 3, 1, 1, below(n, 2));
	}
}

/* Squeeze and excite, by GlobalAveragePool or ReduceMean. */
static int32_t excite(struct random_net *n, int32_t x)
{
	struct kerf_graph *g = n->g;
	int32_t t = below(n, 2) ? b_op(g, "GlobalAveragePool", IN(x), NO_ATTR)
	                        : b_op(g, "ReduceMean", IN(x), ATTR(A_INTS("axes", 2, 3)));

	t = act(n, b_conv(g, t, dims_of(n, x)[1], 1, 1, 1, true));
	return b_op(g, "Mul", IN(x, t), NO_ATTR);
}

static int32_t shuffle(struct random_net *n, int32_t x)
{
	struct kerf_graph *g = n->g;
	int64_t d[4];
	int32_t t;

	memcpy(d, dims_of(n, x), sizeof(d));
	if (d[1] % 2)
		return x;
	t = b_reshape(g, x, DIMS(d[0], 2, d[1] / 2, d[2], d[3]));
	t = b_op(g, "Transpose", IN(t), ATTR(A_INTS("perm", 0, 2, 1, 3, 4)));
	return b_reshape(g, t, DIMS(d[0], d[1], d[2], d[3]));
}

/* DepthToSpace or SpaceToDepth as exporters spell them. */
static int32_t pixels(struct random_net *n, int32_t x)
{
	struct kerf_graph *g = n->g;
	int64_t d[4];
	int32_t t;

	memcpy(d, dims_of(n, x), sizeof(d));
	if (d[1] % 4 == 0 && below(n, 2)) {
		bool crd = below(n, 2);

		t = crd ? b_reshape(g, x, DIMS(d[0], d[1] / 4, 2, 2, d[2], d[3]))
		        : b_reshape(g, x, DIMS(d[0], 2, 2, d[1] / 4, d[2], d[3]));
		t = crd ? b_op(g, "Transpose", IN(t), ATTR(A_INTS("perm", 0, 1, 4, 2, 5, 3)))
		        : b_op(g, "Transpose", IN(t), ATTR(A_INTS("perm", 0, 3, 4, 1, 5, 2)));
		return b_reshape(g, t, DIMS(d[0], d[1] / 4, d[2] * 2, d[3] * 2));
	}
	if (d[2] % 2 || d[3] % 2)
		return x;
	t = b_reshape(g, x, DIMS(d[0], d[1], d[2] / 2, 2, d[3] / 2, 2));
	t = b_op(g, "Transpose", IN(t), ATTR(A_INTS("perm", 0, 3, 5, 1, 2, 4)));
	return b_reshape(g, t, DIMS(d[0], d[1] * 4, d[2] / 2, d[3] / 2));
}

/* To [N,H,W,C], a product over channels with a bias, perhaps a layer norm, and back. */
static int32_t channels_last(struct random_net *n, int32_t x)
{
	struct kerf_graph *g = n->g;
	int64_t c = dims_of(n, x)[1];
	int32_t t = b_op(g, "Transpose", IN(x), ATTR(A_INTS("perm", 0, 2, 3, 1))), mean, d;

	if (below(n, 2)) {
		mean = b_op(g, "ReduceMean", IN(t), ATTR(A_INTS("axes", -1)));
		d = b_op(g, "Sub", IN(t, mean), NO_ATTR);
		mean = b_op(g, "ReduceMean", IN(b_op(g, "Pow", IN(d, b_scalar(g, 2)), NO_ATTR)),
		            ATTR(A_INTS("axes", -1)));
		mean = b_op(g, "Sqrt", IN(b_op(g, "Add", IN(mean, b_scalar(g, 1e-3f)), NO_ATTR)),
		            NO_ATTR);
		t = b_op(g, "Div", IN(d, mean), NO_ATTR);
		t = b_op(g, "Mul", IN(t, b_const(g, 0.5f, 1, DIMS(c))), NO_ATTR);
		t = b_op(g, "Add", IN(t, b_const(g, -1, 1, DIMS(c))), NO_ATTR);
	}
	t = b_op(g, "MatMul", IN(t, b_const(g, -0.5f, 0.5f, DIMS(c, 6))), NO_ATTR);
	t = b_op(g, "Add", IN(b_const(g, -1, 1, DIMS(6)), t), NO_ATTR);
	if (below(n, 2))
		t = act(n, b_op(g, "Transpose", IN(t), ATTR(A_INTS("perm", 0, 3, 1, 2))));
	else
		t = b_op(g, "Transpose", IN(t), ATTR(A_INTS("perm", 0, 3, 1, 2)));
	return t;
}

static int32_t move(struct random_net *n, int32_t x)
{
	struct kerf_graph *g = n->g;
	int64_t d[4];
	int32_t t;

	memcpy(d, dims_of(n, x), sizeof(d));
	switch (below(n, 10)) {
	case 0: return b_op(g, "Concat", IN(x, pick_same(n, x, false)), ATTR(A_INT("axis", 1)));
	case 1:
		if (d[1] < 2)
			return x;
		t = b_ops(g, "Split", OPSET, 2, IN(x, b_ints(g, DIMS(1, d[1] - 1))),
		          ATTR(A_INT("axis", -3)));
		return t + (int32_t)below(n, 2);
	case 2:
		return b_op(g, "Slice",
		            IN(x, b_ints(g, DIMS(0, 1)), b_ints(g, DIMS(d[1] > 2 ? -1 : 1, 99)),
		               b_ints(g, DIMS(1, 2)), b_ints(g, DIMS(1, 2))),
		            NO_ATTR);
	case 3: return below(n, 2) ? shuffle(n, x) : pixels(n, x);
	case 4: return b_op(g, "Softmax", IN(x), ATTR(A_INT("axis", 1 + below(n, 3))));
	case 5:
		t = b_reshape(g, x, DIMS(d[0], d[1], d[2] * d[3]));
		t = below(n, 2) ? b_op(g, "Relu", IN(t), NO_ATTR)
		                : b_op(g, "Add", IN(t, b_const(g, -1, 1, DIMS(d[1], 1))), NO_ATTR);
		return b_reshape(g, t, DIMS(d[0], d[1], d[3], d[2]));
	case 6:
		return b_op(g, "Pad",
		            IN(x, b_ints(g, DIMS(0, 1, 0, 0, 0, 0, 1, 0)), b_scalar(g, 2)),
		            NO_ATTR);
	case 7: return b_op(g, "Transpose", IN(x), ATTR(A_INTS("perm", 0, 1, 3, 2)));
	case 8:
		t = b_op(g, "ReduceMax", IN(x), ATTR(A_INTS("axes", 1), A_INT("keepdims", 1)));
		return b_op(g, "Sub", IN(x, t), NO_ATTR);
	default: return channels_last(n, x);
	}
}

static int32_t arithmetic(struct random_net *n, int32_t x)
{
	struct kerf_graph *g = n->g;
	int64_t c = dims_of(n, x)[1];

	switch (below(n, 8)) {
	case 0: return b_op(g, "Mul", IN(x, b_const(g, 0.5f, 2, DIMS(c, 1, 1))), NO_ATTR);
	case 1: return b_op(g, "Add", IN(b_const(g, -1, 1, DIMS(1, c, 1, 1)), x), NO_ATTR);
	case 2: return b_op(g, "Sub", IN(x, b_const(g, -1, 1, DIMS(c, 1, 1))), NO_ATTR);
	case 3: return b_op(g, "Div", IN(x, b_scalar(g, 3)), NO_ATTR);
	case 4: return b_op(g, "Mul", IN(x, b_const(g, 0.5f, 1, DIMS(dims_of(n, x)[3]))), NO_ATTR);
	case 5:
	case 6: return b_op(g, "Add", IN(x, pick_same(n, x, true)), NO_ATTR);
	default: return b_batch_norm(g, x);
	}
}

static int32_t step(struct random_net *n)
{
	int32_t x = pick(n);

	if (dims_of(n, x)[2] < 2 || dims_of(n, x)[3] < 2 ||
	    kerf_tensor_count(&n->g->value[x].t) > 20000)
		return b_conv(n->g, n->pool[0], 4, 3, 1, 1, true);
	switch (below(n, 10)) {
	case 0:
	case 1:
	case 2: return window(n, x);
	case 3: return b_batch_norm(n->g, window(n, x));
	case 4:
	case 5: return act(n, x);
	case 6: return excite(n, x);
	case 7:
	case 8: return move(n, x);
	default: return arithmetic(n, x);
	}
}

/* A classifier's end on the last image, or the image itself. */
static void add_outputs(struct random_net *n)
{
	struct kerf_graph *g = n->g;
	int32_t x = n->pool[n->n_pool - 1], t;
	int64_t c = dims_of(n, x)[1];

	if (below(n, 2)) {
		t = b_op(g, "Flatten", IN(b_op(g, "GlobalAveragePool", IN(x), NO_ATTR)), NO_ATTR);
		t = b_op(g, "Gemm",
		         IN(t, b_const(g, -1, 1, DIMS(5, c)), b_const(g, -1, 1, DIMS(5))),
		         ATTR(A_INT("transB", 1)));
		kerf_graph_add_output(g, t);
	}
	if (g->n_out == 0 || below(n, 2))
		kerf_graph_add_output(g, x);
	t = n->pool[below(n, n->n_pool)];
	if (t != x && g->value[t].producer >= 0)
		kerf_graph_add_output(g, t);
}

static struct kerf_graph *make(uint64_t seed)
{
	struct random_net n = {.g = kerf_graph_new("random")};
	int64_t steps, i;

	kerf_rng_seed(&n.rng, seed);
	n.pool[n.n_pool++] = b_input(n.g, "x", DIMS(1 + below(&n, 2), 3 + below(&n, 3), 9, 8));
	n.pool[n.n_pool++] = b_conv(n.g, n.pool[0], 6, 3, 1, 1, true);
	steps = 2 + below(&n, POOL - 4);
	for (i = 0; i < steps; i++)
		n.pool[n.n_pool++] = step(&n);
	add_outputs(&n);
	return n.g;
}

/* --- networks over sequences: [N,C,L], where one Transpose goes either way ---------- */

static int32_t conv_1d(struct random_net *n, int32_t x, int64_t out, int64_t k, int64_t stride)
{
	struct kerf_graph *g = n->g;
	int64_t c = dims_of(n, x)[1];

	return b_op(g, "Conv",
	            IN(x, b_const(g, -0.4f, 0.4f, DIMS(out, c, k)), b_const(g, -1, 1, DIMS(out))),
	            ATTR(A_INTS("strides", stride), A_INTS("pads", k / 2, k / 2)));
}

static int32_t swap(struct random_net *n, int32_t x)
{
	return b_op(n->g, "Transpose", IN(x), ATTR(A_INTS("perm", 0, 2, 1)));
}

static int32_t step_1d(struct random_net *n)
{
	struct kerf_graph *g = n->g;
	int32_t x = pick(n), t;
	int64_t c = dims_of(n, x)[1], l = dims_of(n, x)[2];

	if (l < 4 || c > 64)
		return conv_1d(n, n->pool[0], 4, 3, 1);
	switch (below(n, 12)) {
	case 0: return conv_1d(n, x, 4 + 2 * below(n, 3), 3, 1);
	case 1: return conv_1d(n, x, 6, 1, 2);
	case 2: return b_batch_norm(g, x);
	case 3: return act(n, conv_1d(n, x, 4, 3, 1));
	case 4:
		return b_op(g, "MaxPool", IN(x),
		            ATTR(A_INTS("kernel_shape", 2), A_INTS("strides", 2)));
	case 5: return swap(n, x);
	case 6:
		t = b_op(g, "MatMul", IN(swap(n, x), b_const(g, -0.5f, 0.5f, DIMS(c, 6))), NO_ATTR);
		t = b_op(g, "Add", IN(t, b_const(g, -1, 1, DIMS(6))), NO_ATTR);
		return swap(n, below(n, 2) ? act(n, t) : t);
	case 7: return b_op(g, "Concat", IN(x, x), ATTR(A_INT("axis", 1 + below(n, 2))));
	case 8: return b_op(g, "Softmax", IN(x), ATTR(A_INT("axis", -1 - below(n, 2))));
	case 9:
		if (l % 2)
			return x;
		t = b_reshape(g, x, DIMS(dims_of(n, x)[0], c, 2, l / 2));
		t = b_conv(g, t, 4, 3, 1, 1, true);
		return b_reshape(g, t, DIMS(dims_of(n, x)[0], 4, l));
	case 10:
		t = b_op(g, "ReduceMax", IN(x),
		         ATTR(A_INTS("axes", 1 + below(n, 2)), A_INT("keepdims", 0)));
		t = b_op(g, "Unsqueeze", IN(t, b_ints(g, DIMS(dims_of(n, t)[1] == c ? 2 : 1))),
		         NO_ATTR);
		return dims_of(n, t)[1] == c || dims_of(n, t)[2] == l
		               ? b_op(g, "Sub", IN(x, t), NO_ATTR)
		               : x;
	default: return b_op(g, "Add", IN(x, b_const(g, -1, 1, DIMS(c, 1))), NO_ATTR);
	}
}

static struct kerf_graph *make_1d(uint64_t seed)
{
	struct random_net n = {.g = kerf_graph_new("sequence")};
	int64_t steps, i;
	int32_t t;

	kerf_rng_seed(&n.rng, seed);
	n.pool[n.n_pool++] = b_input(n.g, "x", DIMS(1 + below(&n, 2), 3, 12));
	n.pool[n.n_pool++] = conv_1d(&n, n.pool[0], 6, 3, 1);
	steps = 2 + below(&n, POOL - 4);
	for (i = 0; i < steps; i++)
		n.pool[n.n_pool++] = step_1d(&n);
	kerf_graph_add_output(n.g, n.pool[n.n_pool - 1]);
	t = n.pool[below(&n, n.n_pool)];
	if (t != n.pool[n.n_pool - 1] && n.g->value[t].producer >= 0)
		kerf_graph_add_output(n.g, t);
	return n.g;
}

/* --- the property ---------------------------------------------------------------- */

static int (*const passes[])(struct kerf_graph *, struct kerf_err *) = {
	kerf_rewrite_fold, kerf_rewrite_quant, kerf_rewrite_fuse, kerf_rewrite_layout, kerf_rewrite,
};

static void check(struct kerf_graph *(*net)(uint64_t), uint64_t seed, unsigned pass)
{
	struct kerf_graph *a = net(seed), *b = net(seed), *c = net(seed);
	struct kerf_tensor x[4], y[4];
	struct kerf_err err = {""};
	double d = 0;
	uint32_t i;

	if (kerf_graph_tidy(b, &err) || passes[pass](b, &err) || kerf_graph_verify(b, &err))
		fail_msg("network %llu, pass %u: %s", (unsigned long long)seed, pass, err.msg);
	assert_int_equal(kerf_graph_tidy(c, &err) || passes[pass](c, &err), 0);
	assert_true(kerf_graph_fingerprint(b) == kerf_graph_fingerprint(c));
	assert_int_equal(a->n_out, b->n_out);
	assert_int_equal(graph_eval(a, seed, x), 0);
	assert_int_equal(graph_eval(b, seed, y), 0);
	for (i = 0; i < a->n_out; i++) {
		assert_string_equal(a->value[a->out[i]].name, b->value[b->out[i]].name);
		d = fmax(d, tensor_difference(&x[i], &y[i], 0));
	}
	/* Folding and layout change no bit of a sum's order but in reductions over channels. */
	if (d > 1e-5)
		fail_msg("network %llu, pass %u: differs by %g", (unsigned long long)seed, pass, d);
	graph_eval_free(a, x);
	graph_eval_free(b, y);
	kerf_graph_unref(a);
	kerf_graph_unref(b);
	kerf_graph_unref(c);
}

static void check_all(struct kerf_graph *(*net)(uint64_t))
{
	unsigned pass;
	int i;

	for (i = 0; i < n_networks; i++)
		for (pass = 0; pass < KERF_ARRAY_SIZE(passes); pass++)
			check(net, first_seed + (uint64_t)i, pass);
}

static void test_images(void **state)
{
	check_all(make);
}

static void test_sequences(void **state)
{
	check_all(make_1d);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_images),
		cmocka_unit_test(test_sequences),
	};

	if (argc > 1)
		first_seed = strtoull(argv[1], NULL, 0);
	if (argc > 2)
		n_networks = atoi(argv[2]);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
