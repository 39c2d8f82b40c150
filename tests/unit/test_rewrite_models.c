/* SPDX-License-Identifier: MIT */
/*
 * Every model at hand, as imported and rewritten: both give the same outputs on the
 * same random inputs. Folders: /usr/share/libonnx-testdata/data and $KERF_TEST_DATA;
 * skipped where neither is there. An argument names one model or folder instead.
 * And what `kerf gen` makes: there the number of operators and transposes that are
 * left may not grow either.
 */
#include "graph/import.h"

#include "graph_eval.h"

#include <dirent.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#define ONNX_DATA "/usr/share/libonnx-testdata/data"
#define MAX_FLOPS 2000000000ll

static struct {
	int same, refused, failed, large, wrong;
} tally;

static const char *only; /* from the command line */

static int64_t flops_of(const struct kerf_graph *g)
{
	int64_t n = 0;
	uint32_t i;

	for (i = 0; i < g->n_op; i++)
		n += kerf_op_flops(g, &g->op[i]);
	return n;
}

static bool impure(const struct kerf_graph *g)
{
	uint32_t i;

	for (i = 0; i < g->n_op; i++)
		if (g->op[i].def->flags & KERF_OP_IMPURE)
			return true;
	return false;
}

static bool same_interface(const struct kerf_graph *a, const struct kerf_graph *b)
{
	uint32_t i;

	if (a->n_in != b->n_in || a->n_out != b->n_out)
		return false;
	for (i = 0; i < a->n_in + a->n_out; i++) {
		const struct kerf_value *x =
			&a->value[i < a->n_in ? a->in[i] : a->out[i - a->n_in]];
		const struct kerf_value *y =
			&b->value[i < a->n_in ? b->in[i] : b->out[i - a->n_in]];

		if (strcmp(x->name, y->name) || x->t.dtype != y->t.dtype || y->nhwc ||
		    !kerf_tensor_same_shape(&x->t, &y->t))
			return false;
	}
	return true;
}

/*
 * Rounding to 8 bits turns the last bit of a float into a step of 1/255, and a network
 * may amplify that.
 */
static double tolerance(const struct kerf_graph *g)
{
	return count_ops(g, "QuantizeLinear") ? 0.05 : 2e-5;
}

/* Negative if neither runs on these inputs, which then tell nothing. */
static double worst_difference(const struct kerf_graph *a, const struct kerf_graph *b)
{
	struct kerf_tensor *x = calloc(a->n_out, sizeof(*x)), *y = calloc(a->n_out, sizeof(*y));
	double worst = 0;
	uint32_t i;
	int ra = graph_eval(a, 1, x), rb = graph_eval(b, 1, y);

	if (ra != rb)
		worst = INFINITY;
	for (i = 0; !ra && !rb && i < a->n_out; i++)
		worst = fmax(worst, tensor_difference(&x[i], &y[i], 1));
	graph_eval_free(a, x);
	graph_eval_free(b, y);
	free(x);
	free(y);
	return ra && ra == rb ? -1 : worst;
}

static void compare(const char *path)
{
	struct kerf_load_options keep = {.no_rewrite = true};
	struct kerf_graph *a = NULL, *b = NULL, *c = NULL;
	struct kerf_err err = {""};
	double d;

	if (kerf_model_load(path, &keep, &a, &err)) {
		tally.refused++;
		return;
	}
	if (kerf_model_load(path, NULL, &b, &err) || kerf_graph_verify(b, &err)) {
		print_message("%s: %s\n", path, err.msg);
		tally.wrong++;
	} else if (!same_interface(a, b)) {
		print_message("%s: other inputs or outputs\n", path);
		tally.wrong++;
	} else if (kerf_model_load(path, NULL, &c, &err) ||
	           kerf_graph_fingerprint(b) != kerf_graph_fingerprint(c)) {
		print_message("%s: other graph the second time\n", path);
		tally.wrong++;
	} else if (flops_of(a) > MAX_FLOPS || impure(a)) {
		tally.large++;
	} else if ((d = worst_difference(a, b)) > tolerance(a)) {
		print_message("%s: differs by %g\n", path, d);
		tally.wrong++;
	} else if (d < 0) {
		tally.failed++;
	} else {
		tally.same++;
		if (only || b->n_op > 8)
			print_message(
				"%s: %u operators became %u, %u transposes, difference %.1e\n",
				path, a->n_op, b->n_op, count_ops(b, "Transpose"), d);
	}
	kerf_graph_unref(a);
	kerf_graph_unref(b);
	kerf_graph_unref(c);
}

static void walk(const char *folder, int depth)
{
	struct dirent **list;
	int n = scandir(folder, &list, NULL, alphasort), i;

	for (i = 0; i < n; i++) {
		const char *name = list[i]->d_name;
		size_t len = strlen(name);
		char path[4096];
		struct stat st;

		snprintf(path, sizeof(path), "%s/%s", folder, name);
		if (name[0] != '.' && !stat(path, &st)) {
			if (S_ISDIR(st.st_mode) && depth < 4)
				walk(path, depth + 1);
			else if (len > 5 && !strcmp(name + len - 5, ".onnx"))
				compare(path);
		}
		free(list[i]);
	}
	if (n >= 0)
		free(list);
}

static void test_models(void **state)
{
	const char *data = getenv("KERF_TEST_DATA");
	struct stat st;

	if (only && !stat(only, &st) && !S_ISDIR(st.st_mode)) {
		compare(only);
	} else if (only) {
		walk(only, 0);
	} else {
		walk(ONNX_DATA, 0);
		if (data)
			walk(data, 0);
	}
	print_message("%d same, %d not imported, %d run on no random input, "
	              "%d too large or random, %d wrong\n",
	              tally.same, tally.refused, tally.failed, tally.large, tally.wrong);
	assert_int_equal(tally.wrong, 0);
	if (!tally.same)
		skip();
}

/* --- generated models ------------------------------------------------------------ */

static const struct {
	const char *arch, *size;
	uint32_t ops, transposes; /* at most */
	bool quick;		  /* also where every instruction is checked or emulated */
} generated[] = {
	{"resnet18", "64x64", 25, 1, false},
	{"resnet18-int8", "64x64", 35, 1, false},
	{"mobilenet_v2", "64x64", 56, 1, true},
	{"mobilenet_v3", "64x64", 83, 1, false},
	{"shufflenet_v2", "64x64", 138, 17, true},
	{"efficientnet_b0", "64x64", 117, 1, false},
	{"googlenet", "64x64", 83, 1, false},
	{"squeezenet", "64x64", 40, 1, false},
	{"yolov4-tiny", "64x64", 38, 3, false},
	{"vit_tiny", "64x64", 296, 37, false},
	{"bert_mini", "1x16", 119, 16, true},
};

/* Outputs that are all alike, or not numbers, would make any comparison pass. */
static bool tells_something(const struct kerf_graph *g)
{
	struct kerf_tensor *y = calloc(g->n_out, sizeof(*y));
	bool tells = !graph_eval(g, 1, y);
	uint32_t i;

	for (i = 0; tells && i < g->n_out; i++) {
		int64_t n = kerf_tensor_count(&y[i]), k;
		bool differs = false;

		for (k = 0; tells && k < n; k++) {
			tells = isfinite(kerf_tensor_float(&y[i], k));
			differs |= kerf_tensor_float(&y[i], k) != kerf_tensor_float(&y[i], 0);
		}
		tells = tells && differs;
	}
	graph_eval_free(g, y);
	free(y);
	return tells;
}

static void check_generated(unsigned i)
{
	const char *kerf = getenv("KERF");
	int wrong = tally.wrong, same = tally.same;
	struct kerf_graph *g = NULL;
	struct kerf_err err = {""};
	char cmd[1024], path[64];

	snprintf(path, sizeof(path), "/tmp/kerf-test-rewrite-%d.onnx", (int)getpid());
	snprintf(cmd, sizeof(cmd), "%s gen %s --size %s -o %s", kerf ? kerf : "build/kerf",
	         generated[i].arch, generated[i].size, path);
	assert_int_equal(system(cmd), 0);
	compare(path);
	if (kerf_model_load(path, NULL, &g, &err))
		fail_msg("%s: %s", generated[i].arch, err.msg);
	print_message("%s: %u operators, %u transposes\n", generated[i].arch, g->n_op,
	              count_ops(g, "Transpose"));
	assert_int_equal(tally.wrong, wrong);
	assert_int_equal(tally.same, same + 1);
	assert_true(tells_something(g));
	assert_true(g->n_op <= generated[i].ops);
	assert_true(count_ops(g, "Transpose") <= generated[i].transposes);
	kerf_graph_unref(g);
	unlink(path);
}

static void test_generated(void **state)
{
	bool quick = getenv("KERF_TEST_QUICK") != NULL;
	unsigned i;

	for (i = 0; i < KERF_ARRAY_SIZE(generated); i++)
		if (!only && (!quick || generated[i].quick))
			check_generated(i);
	if (only)
		skip();
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_models),
		cmocka_unit_test(test_generated),
	};

	only = argc > 1 ? argv[1] : NULL;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
