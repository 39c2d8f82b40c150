/* SPDX-License-Identifier: MIT */
/*
 * Slices compiled to commands of the NPU and run on the device model's machine, against the
 * reference: every operator that can be commands in every dtype, tiles, random graphs, whole
 * networks. 8-bit results are the reference's bits; float32 is within 1e-5 of its greatest
 * magnitude, or of what a network's depth makes of that.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <sys/wait.h>
#include <unistd.h>

#include "graph/import.h"
#include "graph/slice.h"
#include "graph/tensor_file.h"

#include "ops/cpu_subject.h"
#include "ops/npu_board.h"
#include "ops/random_graph.h"
#include "unit/graph_eval.h"

static const char *kerf; /* the program of the same build */

static struct kerf_tensor *tensors_of(const struct kerf_graph *g, const int32_t *id, uint32_t n,
				      uint64_t seed)
{
	struct kerf_tensor *t = calloc(n + 1, sizeof(*t));
	uint32_t i;

	for (i = 0; i < n; i++) {
		t[i] = g->value[id[i]].t;
		t[i].data = kerf_tensor_alloc(kerf_tensor_bytes(&t[i]));
		if (seed)
			eval_fill(&t[i], seed + i);
	}
	return t;
}

static void free_tensors(struct kerf_tensor *t, uint32_t n)
{
	while (n)
		free(t[--n].data);
	free(t);
}

static struct kerf_tensor *run_ref(struct kerf_graph *g, const struct kerf_tensor *in)
{
	struct kerf_tensor *out = tensors_of(g, g->out, g->n_out, 0);
	struct kerf_program *p = NULL;
	struct kerf_engine *e = NULL;
	struct kerf_err err = {{0}};

	if (kerf_engine_open("ref", NULL, &e, &err) || e->ops->prepare(e, g, &p, &err))
		fail_msg("%s", err.msg);
	assert_int_equal(kerf_engine_run(p, in, out, NULL), 0);
	e->ops->release(p);
	kerf_engine_close(e);
	return out;
}

/* Twice, so that nothing of the first run may show in the second. Operators left to the host. */
static uint32_t check_on(const char *what, struct kerf_graph *g, const struct kerf_tensor *in,
			 double tol)
{
	struct kerf_tensor *want = run_ref(g, in), *out = tensors_of(g, g->out, g->n_out, 0);
	uint32_t i, host;
	struct board b;
	int turn;

	assert_int_equal(board_init(&b, g), 0);
	for (turn = 0; turn < 2; turn++) {
		int r = board_run(&b, in, out);

		if (r)
			fail_msg("%s: %s %s", what, strerror(-r), b.why);
		for (i = 0; i < g->n_out; i++) {
			double d = tensor_difference(&want[i], &out[i], 0);

			if (!(d <= tol))
				fail_msg("%s: output %u is off by %g", what, i, d);
		}
	}
	assert_true(board_guards_hold(&b));
	host = board_host_ops(&b);
	board_finish(&b);
	free_tensors(out, g->n_out);
	free_tensors(want, g->n_out);
	return host;
}

static uint32_t check_graph(const char *what, struct kerf_graph *g, double tol)
{
	struct kerf_tensor *in = tensors_of(g, g->in, g->n_in, 3);
	uint32_t host = check_on(what, g, in, tol);

	free_tensors(in, g->n_in);
	return host;
}

/* --- operators --- */

/* The case as a graph of one operator; its constants stay the case's. */
static struct kerf_graph *graph_of(const struct subject *t)
{
	struct kerf_graph *g = kerf_graph_new("case");
	int32_t in[MAX_IN], out[MAX_OUT];
	struct kerf_op *op;
	int k, id;

	for (k = 0; k < t->op.n_in; k++) {
		struct kerf_tensor x = t->in[k];

		in[k] = -1;
		if (t->op.in[k] < 0)
			continue;
		if (!t->constant[k])
			x.data = NULL;
		in[k] = kerf_graph_add_value(g, NULL, &x);
		if (!t->constant[k])
			kerf_graph_add_input(g, in[k]);
	}
	for (k = 0; k < t->op.n_out; k++) {
		struct kerf_tensor y = t->out[k];

		y.data = NULL;
		out[k] = kerf_graph_add_value(g, NULL, &y);
	}
	id = kerf_graph_add_op(g, t->op.def, "case", t->op.opset, t->op.n_in, in, t->op.n_out, out,
			       t->op.n_attr, t->op.attr);
	op = &g->op[id];
	op->nhwc = t->op.nhwc;
	op->act = t->op.act;
	op->tile = t->op.tile;
	for (k = 0; k < t->op.n_out; k++) {
		g->value[out[k]].producer = id;
		kerf_graph_add_output(g, out[k]);
	}
	kerf_graph_freeze(g);
	return g;
}

/* What must be commands, at least in one of its cases: "no" would pass every comparison. */
static const char *const must[] = {
	"Add",
	"Sub",
	"Mul",
	"Div",
	"Sum",
	"Relu",
	"LeakyRelu",
	"Sigmoid",
	"Tanh",
	"HardSigmoid",
	"HardSwish",
	"Elu",
	"Clip",
	"act",
	"BatchNormalization",
	"Transpose",
	"Concat",
	"Split",
	"Slice",
	"Expand",
	"DepthToSpace",
	"SpaceToDepth",
	"rowCrop",
	"MaxPool",
	"AveragePool",
	"GlobalAveragePool",
	"GlobalMaxPool",
	"Resize",
	"Upsample",
	"Softmax",
	"Conv",
	"Gemm",
	"MatMul",
	"QLinearConv",
	"qGemm",
	"QLinearMatMul",
	"QuantizeLinear",
	"DequantizeLinear",
	"qAdd",
	"qMul",
	"qRescale",
	"qLut",
	"qConcat",
	"qAveragePool",
	"qGlobalAveragePool",
};

/* Values are copied, whatever they are. */
static bool is_move(const char *op)
{
	static const char *const moves[] = {"Transpose", "Concat",	 "Split",	 "Slice",
					    "Expand",	 "DepthToSpace", "SpaceToDepth", "rowCrop"};
	unsigned i;

	for (i = 0; i < KERF_ARRAY_SIZE(moves); i++)
		if (!strcmp(op, moves[i]))
			return true;
	return false;
}

static void test_operators(void **state)
{
	bool seen[KERF_ARRAY_SIZE(must)] = {false};
	unsigned i, k, commands = 0;

	for (i = 0; i < KERF_ARRAY_SIZE(cpu_cases); i++) {
		const struct cpu_case *c = &cpu_cases[i];
		struct subject *t = subject_new(c);
		struct kerf_tensor *in;
		struct kerf_graph *g;
		uint32_t n = 0, host;
		char what[256];

		if (subject_too_long(t)) {
			subject_free(t);
			continue;
		}
		g = graph_of(t);
		in = tensors_of(g, g->in, g->n_in, 0);
		snprintf(what, sizeof(what), "%s %s %s", c->op, c->in[0], c->attr ? c->attr : "");
		for (k = 0; k < (unsigned)t->op.n_in; k++)
			if (t->op.in[k] >= 0 && !t->constant[k])
				memcpy(in[n++].data, t->in[k].data, kerf_tensor_bytes(&t->in[k]));
		host = check_on(what, g, in, 1e-5);
		assert_int_equal(host, !kerf_npu_supports(BOARD_FEATURES, g, &g->op[0]));
		/* A device that has but the other dtypes gets none of it. */
		if (t->in[0].dtype == KERF_F32 && !t->constant[0] && !is_move(c->op))
			assert_false(kerf_npu_supports(KERF_NPU_FEATURE_INT8, g, &g->op[0]));
		commands += !host;
		for (k = 0; k < KERF_ARRAY_SIZE(must) && !host; k++)
			seen[k] = seen[k] || !strcmp(must[k], c->op);
		free_tensors(in, g->n_in);
		kerf_graph_unref(g);
		subject_free(t);
	}
	for (k = 0; k < KERF_ARRAY_SIZE(must); k++)
		if (!seen[k])
			fail_msg("no case of %s becomes commands", must[k]);
	print_message("# %u of %u cases are commands\n", commands,
		      (unsigned)KERF_ARRAY_SIZE(cpu_cases));
}

/* --- jobs --- */

/* Commands beyond one job's are several jobs. */
static void test_long(void **state)
{
	enum { N = 1500 };
	struct kerf_graph *g = kerf_graph_new("long");
	struct kerf_tensor t = {.dtype = KERF_F32, .rank = 2, .dims = {3, 5}};
	int32_t v = kerf_graph_add_value(g, "x", &t);
	struct kerf_npu_image *im = NULL;
	uint32_t i;

	kerf_graph_add_input(g, v);
	for (i = 0; i < N; i++) {
		int32_t y = kerf_graph_add_value(g, NULL, &t);
		int id = kerf_graph_add_op(g, kerf_op_find(NULL, i % 2 ? "Tanh" : "LeakyRelu", 13),
					   NULL, 13, 1, &v, 1, &y, 0, NULL);

		g->value[y].producer = id;
		v = y;
	}
	kerf_graph_add_output(g, v);
	kerf_graph_freeze(g);
	assert_int_equal(check_graph("a long chain", g, 1e-5), 0);
	assert_int_equal(kerf_npu_compile(BOARD_FEATURES, g, &im, NULL), 0);
	assert_int_equal(im->n_stage, 1);
	assert_true(im->n_piece >= 3);
	for (i = 0; i < im->n_piece; i++)
		assert_true(im->piece[i].end - im->piece[i].begin <= 65536);
	kerf_npu_image_free(im);
	kerf_graph_unref(g);
}

/* --- graphs --- */

static void test_random(void **state)
{
	int n = getenv("KERF_TEST_QUICK") ? 40 : 300, i;
	uint32_t host = 0, all = 0;

	for (i = 1; i <= n; i++) {
		struct kerf_err err = {{0}};
		struct kerf_graph *g = rg_make((uint64_t)i, 4 + i % 24, &err);
		char what[64];

		if (!g)
			continue;
		snprintf(what, sizeof(what), "random graph %d", i);
		host += check_graph(what, g, 2e-5);
		all += g->n_op;
		kerf_graph_unref(g);
	}
	print_message("# %u of %u operators were the host's\n", host, all);
	assert_true(host < all / 4);
}

/* The middle rows of what up to n operators, the last of them op, make; NULL if that cannot be. */
static struct kerf_graph *tile_of(struct kerf_graph *g, uint32_t op, uint32_t n)
{
	const struct kerf_value *y = &g->value[g->op[op].out[0]];
	struct kerf_slice_spec spec = {0};
	struct kerf_graph *slice = NULL;
	uint32_t ops[8], k;

	if (!y->nhwc || y->t.rank != 4 || op + 1 < n)
		return NULL;
	for (k = 0; k < n; k++)
		ops[k] = op + 1 - n + k;
	spec.op = ops;
	spec.n_op = n;
	spec.rows = (struct kerf_rows){y->t.dims[1] / 3, y->t.dims[1] - y->t.dims[1] / 4};
	return kerf_slice_make(g, &spec, &slice, NULL) ? NULL : slice;
}

/* Bands of rows of random graphs: pads that are negative, inputs held from a row on. */
static void test_tiles(void **state)
{
	int n = getenv("KERF_TEST_QUICK") ? 20 : 120, i;
	unsigned made = 0;

	for (i = 1; i <= n; i++) {
		struct kerf_graph *g = rg_make(1000 + (uint64_t)i, 2 + i % 12, NULL), *slice;
		uint32_t op, size;
		char what[64];

		for (op = 0; g && op < g->n_op; op++)
			for (size = 1; size <= 4; size++) {
				slice = tile_of(g, op, size);
				if (!slice)
					continue;
				snprintf(what, sizeof(what), "operator %u of random graph %d", op,
					 1000 + i);
				check_graph(what, slice, 2e-5);
				kerf_graph_unref(slice);
				made++;
			}
		kerf_graph_unref(g);
	}
	print_message("# %u tiles\n", made);
	assert_true(made > (unsigned)n);
}

static struct kerf_graph *load(const char *path)
{
	struct kerf_graph *g = NULL;
	struct kerf_err err = {{0}};

	if (kerf_model_load(path, NULL, &g, &err))
		fail_msg("%s", err.msg);
	return g;
}

static struct kerf_graph *generate(const char *arch, const char *size)
{
	char path[] = "/tmp/kerf-test-XXXXXX";
	int fd = mkstemp(path), status = -1;
	struct kerf_graph *g;
	pid_t pid;

	assert_true(fd >= 0);
	close(fd);
	pid = fork();
	if (!pid) {
		execl(kerf, kerf, "gen", arch, "-o", path, "--size", size, (char *)NULL);
		_exit(127);
	}
	waitpid(pid, &status, 0);
	if (!WIFEXITED(status) || WEXITSTATUS(status))
		fail_msg("kerf gen %s failed", arch);
	g = load(path);
	unlink(path);
	return g;
}

static void test_networks(void **state)
{
	static const struct {
		const char *arch, *size;
		uint32_t host; /* operators that may be the host's */
		double tol;
	} nets[] = {
		{"tiny", "32x32", 0, 1e-5},
		{"resnet18-int8", "64x48", 0, 0},
		{"mobilenet_v2", "64x64", 0, 1e-5},
		{"squeezenet", "65x63", 0, 1e-5},
		{"mobilenet_v3", "64x32", 0, 1e-5},
		{"shufflenet_v2", "64x64", 0, 1e-5},
		{"googlenet", "64x64", 0, 1e-5},
		{"resnet18", "33x65", 0, 1e-5},
		{"yolov4-tiny", "64x96", 0, 1e-5},
		{"efficientnet_b0", "32x32", 0, 1e-5},
		{"vit_tiny", "32x32", UINT32_MAX, 1e-4},
	};
	unsigned i;

	if (!kerf || access(kerf, X_OK))
		skip();
	for (i = 0; i < (getenv("KERF_TEST_QUICK") ? 3 : KERF_ARRAY_SIZE(nets)); i++) {
		struct kerf_graph *g = generate(nets[i].arch, nets[i].size);
		uint32_t host = check_graph(nets[i].arch, g, nets[i].tol);

		print_message("# %s: %u of %u operators are the host's\n", nets[i].arch, host,
			      g->n_op);
		if (host > nets[i].host)
			fail_msg("%s: %u operators are the host's", nets[i].arch, host);
		kerf_graph_unref(g);
	}
}

static void test_trained(void **state)
{
	const char *data = getenv("KERF_TEST_DATA");
	struct kerf_tensor *in, want;
	struct kerf_err err = {{0}};
	struct kerf_graph *g;
	struct board b;
	char path[4096];
	int n;

	snprintf(path, sizeof(path), "%s/mnist/model.onnx", data ? data : "");
	if (!data || access(path, R_OK))
		skip();
	g = load(path);
	in = tensors_of(g, g->in, g->n_in, 0);
	assert_int_equal(board_init(&b, g), 0);
	for (n = 0; n < 3; n++) {
		struct kerf_tensor *out = tensors_of(g, g->out, g->n_out, 0);

		free(in[0].data);
		snprintf(path, sizeof(path), "%s/mnist/test_data_set_%d/input_0.pb", data, n);
		assert_int_equal(kerf_tensor_read(path, &g->value[g->in[0]].t, &in[0], &err), 0);
		assert_int_equal(board_run(&b, in, out), 0);
		snprintf(path, sizeof(path), "%s/mnist/test_data_set_%d/output_0.pb", data, n);
		assert_int_equal(kerf_tensor_read(path, &out[0], &want, &err), 0);
		assert_true(tensor_difference(&want, &out[0], 0) <= 1e-5);
		free(want.data);
		free_tensors(out, g->n_out);
	}
	assert_int_equal(board_host_ops(&b), 0);
	board_finish(&b);
	free_tensors(in, g->n_in);
	kerf_graph_unref(g);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_operators), cmocka_unit_test(test_long),
		cmocka_unit_test(test_random),	  cmocka_unit_test(test_tiles),
		cmocka_unit_test(test_networks),  cmocka_unit_test(test_trained),
	};

	kerf = getenv("KERF");
	return cmocka_run_group_tests_name("npu", tests, NULL, NULL);
}
