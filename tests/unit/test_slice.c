/* SPDX-License-Identifier: MIT */
/*
 * Slices and tiles with operators of the test's own: a row window whose taps are
 * weighted differently, a broadcasting sum, a sum over rows. Every operator counts
 * where it stands by kerf_op_window() and op->tile alone, as engines do. Cuts and
 * tiles of real operators and models are in tests/ops/test_cuts.c.
 */
#include "graph/slice.h"

#include "util/rng.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* --- operators over [N,H,W,C] float32 ------------------------------------- */

static int window_infer(const struct kerf_op *op, const struct kerf_tensor *in,
			struct kerf_tensor *out, struct kerf_err *err)
{
	struct kerf_window w;
	int r = kerf_op_window(op, &in[0], NULL, &w, err);

	if (r)
		return r;
	out[0] = in[0];
	out[0].dims[1] = (in[0].dims[1] + w.pad_begin[0] + w.pad_end[0] -
			  (w.kernel[0] - 1) * w.dilation[0] - 1) / w.stride[0] + 1;
	return out[0].dims[1] > 0 ? 0 : kerf_fail(err, -EINVAL, "no rows");
}

static int64_t row_bytes(const struct kerf_tensor *t)
{
	return t->dims[2] * t->dims[3];
}

static int window_eval(const struct kerf_op *op, const struct kerf_tensor *in,
		       struct kerf_tensor *out)
{
	int64_t n, h, k, i, row = row_bytes(&in[0]);
	struct kerf_window w;

	if (kerf_op_window(op, &in[0], NULL, &w, NULL))
		return -EINVAL;
	for (n = 0; n < out[0].dims[0]; n++)
		for (h = 0; h < out[0].dims[1]; h++) {
			float *y = (float *)out[0].data + (n * out[0].dims[1] + h) * row;

			memset(y, 0, (size_t)row * sizeof(*y));
			for (k = 0; k < w.kernel[0]; k++) {
				int64_t at = h * w.stride[0] - w.pad_begin[0] + k * w.dilation[0];
				const float *x = (const float *)in[0].data +
						 (n * in[0].dims[1] + at) * row;

				for (i = 0; at >= 0 && at < in[0].dims[1] && i < row; i++)
					y[i] += (float)(k + 2) * x[i];
			}
		}
	return 0;
}

static int window_rows(const struct kerf_op *op, const struct kerf_tensor *in,
		       const struct kerf_tensor *out, int i, struct kerf_rows want,
		       struct kerf_rows *need)
{
	struct kerf_window w;

	if (kerf_op_window(op, &in[0], NULL, &w, NULL))
		return -EINVAL;
	need->begin = want.begin * w.stride[0] - w.pad_begin[0];
	need->end = (want.end - 1) * w.stride[0] - w.pad_begin[0] +
		    (w.kernel[0] - 1) * w.dilation[0] + 1;
	need->begin = KERF_MIN(KERF_MAX(need->begin, 0), in[0].dims[1]);
	need->end = KERF_MIN(KERF_MAX(need->end, 0), in[0].dims[1]);
	return 0;
}

static int sum_infer(const struct kerf_op *op, const struct kerf_tensor *in,
		     struct kerf_tensor *out, struct kerf_err *err)
{
	return kerf_broadcast(&in[0], &in[1], &out[0]) ? kerf_fail(err, -EINVAL, "shapes") : 0;
}

static int sum_eval(const struct kerf_op *op, const struct kerf_tensor *in, struct kerf_tensor *out)
{
	int64_t n, h, i, row = row_bytes(&out[0]);

	for (n = 0; n < out[0].dims[0]; n++)
		for (h = 0; h < out[0].dims[1]; h++) {
			float *y = (float *)out[0].data + (n * out[0].dims[1] + h) * row;
			const float *x[2];
			int k;

			for (k = 0; k < 2; k++) {
				bool one = in[k].dims[in[k].rank - 3] == 1;
				int64_t at = in[k].rank == 3 ? 0 : n * in[k].dims[1];

				x[k] = (const float *)in[k].data + (at + (one ? 0 : h)) * row;
			}
			for (i = 0; i < row; i++)
				y[i] = x[0][i] + x[1][i] / 3;
		}
	return 0;
}

static int total_infer(const struct kerf_op *op, const struct kerf_tensor *in,
		       struct kerf_tensor *out, struct kerf_err *err)
{
	out[0] = in[0];
	out[0].dims[1] = 1;
	return 0;
}

static int total_eval(const struct kerf_op *op, const struct kerf_tensor *in,
		      struct kerf_tensor *out)
{
	int64_t n, h, i, row = row_bytes(&in[0]);
	const float *x = in[0].data;

	memset(out[0].data, 0, kerf_tensor_bytes(&out[0]));
	for (n = 0; n < in[0].dims[0]; n++)
		for (h = 0; h < in[0].dims[1]; h++)
			for (i = 0; i < row; i++)
				((float *)out[0].data)[n * row + i] += *x++;
	return 0;
}

static const struct kerf_op_def window_def = {
	.name = "window", .min_in = 1, .max_in = 1, .min_out = 1, .max_out = 1,
	.flags = KERF_OP_WINDOW, .infer = window_infer, .eval = window_eval, .rows = window_rows,
};
/* The same, but never given more rows than it asked for. */
static const struct kerf_op_def exact_def = {
	.name = "exact", .min_in = 1, .max_in = 1, .min_out = 1, .max_out = 1,
	.infer = window_infer, .eval = window_eval, .rows = window_rows,
};
static const struct kerf_op_def sum_def = {
	.name = "sum", .min_in = 2, .max_in = 2, .min_out = 1, .max_out = 1,
	.flags = KERF_OP_ELEMENTWISE, .infer = sum_infer, .eval = sum_eval,
};
static const struct kerf_op_def total_def = {
	.name = "total", .min_in = 1, .max_in = 1, .min_out = 1, .max_out = 1,
	.infer = total_infer, .eval = total_eval,
};

/* --- building ------------------------------------------------------------- */

static int32_t add_value(struct kerf_graph *g, const char *name, int rank, const int64_t *dims)
{
	struct kerf_tensor t = {.dtype = KERF_F32, .rank = rank};
	int32_t id;

	memcpy(t.dims, dims, (size_t)rank * sizeof(*dims));
	id = kerf_graph_add_value(g, name, &t);
	assert_true(id >= 0);
	g->value[id].nhwc = rank == 4;
	return id;
}

static int32_t add_op(struct kerf_graph *g, const struct kerf_op_def *def, int n_in,
		      const int32_t *in, uint32_t n_attr, const struct kerf_attr *attr)
{
	int32_t out, op;
	struct kerf_err err = {""};

	out = add_value(g, NULL, 4, (const int64_t[]){1, 1, 1, 1});
	op = kerf_graph_add_op(g, def, NULL, 13, n_in, in, 1, &out, n_attr, attr);
	assert_true(op >= 0);
	g->op[op].nhwc = true;
	if (kerf_op_infer_shapes(g, &g->op[op], &err))
		fail_msg("%s", err.msg);
	g->value[out].nhwc = true;
	return out;
}

static int32_t add_window(struct kerf_graph *g, const struct kerf_op_def *def, int32_t x, int64_t k,
			  int64_t stride, int64_t dilation, int64_t pad0, int64_t pad1)
{
	const int64_t kernel[] = {k, 1}, strides[] = {stride, 1}, dilations[] = {dilation, 1};
	const int64_t pads[] = {pad0, 0, pad1, 0};
	const struct kerf_attr attr[] = {
		{.name = "kernel_shape", .type = KERF_ATTR_INTS, .n = 2, .ints = kernel},
		{.name = "strides", .type = KERF_ATTR_INTS, .n = 2, .ints = strides},
		{.name = "dilations", .type = KERF_ATTR_INTS, .n = 2, .ints = dilations},
		{.name = "pads", .type = KERF_ATTR_INTS, .n = 4, .ints = pads},
	};

	return add_op(g, def, 1, &x, 4, attr);
}

static int32_t add_sum(struct kerf_graph *g, int32_t a, int32_t b)
{
	return add_op(g, &sum_def, 2, (int32_t[]){a, b}, 0, NULL);
}

static int32_t add_const(struct kerf_graph *g, struct kerf_rng *rng, int rank, const int64_t *dims)
{
	int32_t id = add_value(g, NULL, rank, dims);
	struct kerf_tensor *t = &g->value[id].t;
	int64_t i;

	t->data = kerf_graph_alloc(g, kerf_tensor_bytes(t));
	assert_non_null(t->data);
	for (i = 0; i < kerf_tensor_count(t); i++)
		((float *)t->data)[i] = kerf_rng_float(rng);
	return id;
}

static struct kerf_graph *begin(int32_t *x, int64_t n, int64_t h)
{
	struct kerf_graph *g = kerf_graph_new("test");

	assert_non_null(g);
	*x = add_value(g, "x", 4, (const int64_t[]){n, h, 2, 3});
	assert_int_equal(kerf_graph_add_input(g, *x), 0);
	return g;
}

/* --- running -------------------------------------------------------------- */

/* Fills data of every value; inputs are there already. Freed with release(). */
static void run_graph(const struct kerf_graph *g, struct kerf_tensor *v)
{
	struct kerf_tensor in[4], out[1];
	uint32_t i;

	for (i = 0; i < g->n_op; i++) {
		const struct kerf_op *op = &g->op[i];
		int k;

		for (k = 0; k < op->n_in; k++)
			in[k] = v[op->in[k]];
		out[0] = v[op->out[0]];
		out[0].data = malloc(kerf_tensor_bytes(&out[0]) + 1);
		assert_non_null(out[0].data);
		assert_int_equal(kerf_op_eval(op, in, out), 0);
		v[op->out[0]] = out[0];
	}
}

static struct kerf_tensor *values_of(const struct kerf_graph *g)
{
	struct kerf_tensor *v = calloc(g->n_value, sizeof(*v));
	uint32_t i;

	assert_non_null(v);
	for (i = 0; i < g->n_value; i++)
		v[i] = g->value[i].t;
	return v;
}

static void release(const struct kerf_graph *g, struct kerf_tensor *v)
{
	uint32_t i;

	for (i = 0; i < g->n_value; i++)
		if (!kerf_value_is_const(&g->value[i]))
			free(v[i].data);
	free(v);
}

/* Copies the rows of whole into part, both of the same value. */
static void take_rows(const struct kerf_tensor *whole, struct kerf_rows rows,
		      struct kerf_tensor *part)
{
	size_t row = (size_t)row_bytes(whole) * sizeof(float);
	int64_t n, held = rows.end - rows.begin;

	assert_int_equal(part->dims[1], held);
	part->data = malloc((size_t)(whole->dims[0] * held) * row);
	assert_non_null(part->data);
	for (n = 0; n < whole->dims[0]; n++)
		memcpy((char *)part->data + (size_t)(n * held) * row,
		       (char *)whole->data + (size_t)(n * whole->dims[1] + rows.begin) * row,
		       (size_t)held * row);
}

/* Runs a slice on rows of the whole run's values and compares its outputs with it. */
static void check_slice(const struct kerf_graph *g, const struct kerf_tensor *whole,
			const struct kerf_graph *slice)
{
	struct kerf_tensor *v = values_of(slice), expected;
	uint32_t i;

	for (i = 0; i < slice->n_in; i++) {
		int32_t id = kerf_graph_find_value(g, slice->value[slice->in[i]].name);

		assert_true(id >= 0);
		take_rows(&whole[id], kerf_slice_rows(slice, slice->in[i]), &v[slice->in[i]]);
	}
	run_graph(slice, v);
	for (i = 0; i < slice->n_out; i++) {
		int32_t id = kerf_graph_find_value(g, slice->value[slice->out[i]].name);

		assert_true(id >= 0);
		expected = slice->value[slice->out[i]].t;
		take_rows(&whole[id], kerf_slice_rows(slice, slice->out[i]), &expected);
		assert_memory_equal(v[slice->out[i]].data, expected.data,
				    kerf_tensor_bytes(&expected));
		free(expected.data);
	}
	release(slice, v);
}

/* --- random DAGs ---------------------------------------------------------- */

static bool same_rows(const struct kerf_graph *g, int32_t a, int32_t b)
{
	return kerf_tensor_same_shape(&g->value[a].t, &g->value[b].t);
}

static struct kerf_graph *random_graph(struct kerf_rng *rng)
{
	int32_t v[32], x, y;
	struct kerf_graph *g = begin(&v[0], 1 + (int64_t)kerf_rng_below(rng, 2), 24);
	uint32_t n = 1, i;

	for (i = 0; i < 12; i++) {
		int64_t k = 1 + (int64_t)kerf_rng_below(rng, 4);
		int64_t d = 1 + (int64_t)kerf_rng_below(rng, 2);
		/* Mostly as many rows as before, so that branches join; some in padding alone. */
		int64_t span = (k - 1) * d, pad = (int64_t)kerf_rng_below(rng, 12) ?
			(int64_t)kerf_rng_below(rng, (uint64_t)span + 1) : span + 2;
		int64_t stride = kerf_rng_below(rng, 8) ? 1 : 2;

		x = v[n - 1 - kerf_rng_below(rng, KERF_MIN(n, 3u))];
		y = v[n - 1 - kerf_rng_below(rng, KERF_MIN(n, 6u))];
		if (g->value[x].t.dims[1] == 1)
			x = v[0];
		switch (kerf_rng_below(rng, 8)) {
		case 0:
		case 3:
			y = same_rows(g, x, y) || g->value[y].t.dims[1] == 1 ? y : x;
			v[n++] = add_sum(g, x, y);
			break;
		case 1: /* a constant with rows of its own, of full or of lower rank */
			y = add_const(g, rng, 3, g->value[x].t.dims + 1);
			v[n++] = add_sum(g, x, y);
			break;
		case 2:
			if (kerf_rng_below(rng, 3) == 0)
				v[n++] = add_op(g, &total_def, 1, &x, 0, NULL);
			break;
		default:
			v[n++] = add_window(g, kerf_rng_below(rng, 3) ? &window_def : &exact_def, x,
					    k, g->value[x].t.dims[1] > 16 ? stride : 1, d, pad,
					    KERF_MAX(span - pad, 0));
		}
	}
	assert_int_equal(kerf_graph_add_output(g, v[n - 1]), 0);
	assert_int_equal(kerf_graph_tidy(g, NULL), 0);
	kerf_graph_freeze(g);
	return g;
}

/* Members by growing from a seed: unions of paths are convex by adding what lies between. */
static uint32_t random_convex(const struct kerf_graph *g, struct kerf_rng *rng, uint32_t *ids)
{
	uint32_t a = (uint32_t)kerf_rng_below(rng, g->n_op), i, n = 0;
	uint32_t b = a + (uint32_t)kerf_rng_below(rng, g->n_op - a);
	bool *marks = calloc(g->n_op, sizeof(*marks));

	assert_non_null(marks);
	for (i = a; i <= b; i++)
		marks[i] = true; /* an interval of a topological order is convex */
	for (i = a; i <= b; i++) {
		marks[i] = kerf_rng_below(rng, 3) != 0;
		if (!kerf_slice_convex(g, marks))
			marks[i] = true;
	}
	for (i = a; i <= b; i++)
		if (marks[i])
			ids[n++] = i;
	assert_true(kerf_slice_convex(g, marks));
	free(marks);
	return n;
}

static void tile_rows(struct kerf_graph *g, struct kerf_slice_spec *spec, struct kerf_rng *rng,
		      const struct kerf_tensor *whole, int *n_tile, int *n_refused)
{
	struct kerf_graph *slice;
	struct kerf_err err = {""};
	int64_t rows, at, step;
	int r;

	assert_int_equal(kerf_slice_make(g, spec, &slice, NULL), 0);
	rows = slice->value[slice->out[0]].t.dims[1];
	kerf_graph_unref(slice);
	step = kerf_div_up(rows, 1 + (int64_t)kerf_rng_below(rng, 6));
	for (at = 0; at < rows; at += step) {
		spec->rows = (struct kerf_rows){at, KERF_MIN(at + step, rows)};
		r = kerf_slice_make(g, spec, &slice, &err);
		if (r) { /* outputs with different rows; total() to be cut */
			assert_true(r == -EINVAL || r == -EOPNOTSUPP);
			assert_true(strlen(err.msg) > 0);
			++*n_refused;
			return;
		}
		check_slice(g, whole, slice);
		kerf_graph_unref(slice);
		++*n_tile;
	}
}

static void random_cuts_and_tiles(void **state)
{
	int round, n_tile = 0, n_refused = 0;
	struct kerf_rng rng;

	kerf_rng_seed(&rng, 7);
	for (round = 0; round < 300; round++) {
		struct kerf_graph *g = random_graph(&rng), *slice;
		struct kerf_tensor *whole;
		uint32_t ids[64], i;
		int64_t k;

		if (!g->n_op) {
			kerf_graph_unref(g);
			continue;
		}
		whole = values_of(g);
		whole[g->in[0]].data = malloc(kerf_tensor_bytes(&whole[g->in[0]]));
		for (k = 0; k < kerf_tensor_count(&whole[g->in[0]]); k++)
			((float *)whole[g->in[0]].data)[k] = kerf_rng_float(&rng);
		run_graph(g, whole);
		for (i = 0; i < 6; i++) {
			struct kerf_slice_spec spec = {.op = ids};

			spec.n_op = random_convex(g, &rng, ids);
			if (!spec.n_op)
				continue;
			assert_int_equal(kerf_slice_make(g, &spec, &slice, NULL), 0);
			check_slice(g, whole, slice);
			kerf_graph_unref(slice);
			tile_rows(g, &spec, &rng, whole, &n_tile, &n_refused);
		}
		release(g, whole);
		kerf_graph_unref(g);
	}
	print_message("%d tiles, %d refused\n", n_tile, n_refused);
	assert_true(n_tile > 1000);
}

/* --- case by case --------------------------------------------------------- */

/* x -> a -> b -> d; a -> c -> d: a residual block. */
static struct kerf_graph *residual(void)
{
	int32_t x, a, b, c, d;
	struct kerf_graph *g = begin(&x, 1, 16);

	a = add_window(g, &window_def, x, 3, 1, 1, 1, 1);
	b = add_window(g, &window_def, a, 3, 1, 1, 1, 1);
	c = add_window(g, &window_def, b, 3, 1, 1, 1, 1);
	d = add_sum(g, c, a);
	assert_int_equal(kerf_graph_add_output(g, d), 0);
	kerf_graph_freeze(g);
	return g;
}

static void expect_failure(struct kerf_graph *g, uint32_t n_op, const uint32_t *op,
			   struct kerf_rows rows, int code, const char *words)
{
	struct kerf_slice_spec spec = {.n_op = n_op, .op = op, .rows = rows};
	struct kerf_err err = {""};
	struct kerf_graph *slice;

	assert_int_equal(kerf_slice_make(g, &spec, &slice, &err), code);
	if (!strstr(err.msg, words))
		fail_msg("'%s' does not say '%s'", err.msg, words);
}

static void bad_specs(void **state)
{
	struct kerf_graph *g = residual();
	const struct kerf_rows whole = {0, 0};

	expect_failure(g, 0, NULL, whole, -EINVAL, "no operators");
	expect_failure(g, 2, (uint32_t[]){0, 3}, whole, -EINVAL, "comes back");
	expect_failure(g, 2, (uint32_t[]){1, 0}, whole, -EINVAL, "ascending");
	expect_failure(g, 2, (uint32_t[]){1, 1}, whole, -EINVAL, "ascending");
	expect_failure(g, 1, (uint32_t[]){4}, whole, -EINVAL, "operator 4");
	expect_failure(g, 1, (uint32_t[]){3}, (struct kerf_rows){3, 17}, -EINVAL, "16");
	expect_failure(g, 1, (uint32_t[]){3}, (struct kerf_rows){-1, 4}, -EINVAL, "-1");
	expect_failure(g, 1, (uint32_t[]){3}, (struct kerf_rows){4, 4}, -EINVAL, "4 to 4");
	expect_failure(g, 1, (uint32_t[]){3}, (struct kerf_rows){5, 4}, -EINVAL, "5 to 4");
	kerf_graph_unref(g);
}

static void cannot_be_limited(void **state)
{
	int32_t x, a;
	struct kerf_graph *g = begin(&x, 1, 16), *slice;
	struct kerf_slice_spec spec = {.n_op = 2, .op = (uint32_t[]){0, 1}, .rows = {0, 8}};
	struct kerf_tensor *whole;

	/* The total of the output's rows cannot be cut; the sum that reads it can. */
	a = add_op(g, &total_def, 1, &x, 0, NULL);
	assert_int_equal(kerf_graph_add_output(g, add_sum(g, x, a)), 0);
	kerf_graph_freeze(g);
	assert_int_equal(kerf_slice_make(g, &spec, &slice, NULL), 0);
	assert_int_equal(slice->value[slice->in[0]].whole_rows, 0);
	whole = values_of(g);
	whole[x].data = calloc(1, kerf_tensor_bytes(&whole[x]));
	((float *)whole[x].data)[70] = 1.25f;
	run_graph(g, whole);
	check_slice(g, whole, slice);
	release(g, whole);
	kerf_graph_unref(slice);
	kerf_graph_unref(g);
}

static void shape_of_a_tile(void **state)
{
	struct kerf_graph *g = residual(), *slice, *again;
	struct kerf_slice_spec spec = {.n_op = 4, .op = (uint32_t[]){0, 1, 2, 3}, .rows = {4, 8}};
	struct kerf_rows rows;

	assert_int_equal(kerf_slice_make(g, &spec, &slice, NULL), 0);
	assert_int_equal(slice->n_in, 1);
	assert_string_equal(slice->value[slice->in[0]].name, "x");
	rows = kerf_slice_rows(slice, slice->in[0]);
	assert_int_equal(rows.begin, 1);
	assert_int_equal(rows.end, 11);
	rows = kerf_slice_rows(slice, slice->out[0]);
	assert_int_equal(rows.begin, 4);
	assert_int_equal(rows.end, 8);
	assert_int_equal(slice->value[slice->out[0]].t.dims[1], 4);
	assert_string_equal(slice->value[slice->out[0]].name, g->value[g->out[0]].name);
	/* a is held for b's halo; the sum reads it through a crop. */
	assert_int_equal(slice->n_op, 5);
	assert_string_equal(slice->op[3].def->name, "rowCrop");
	assert_int_equal(slice->op[3].origin, 3);
	assert_int_equal(slice->op[4].origin, 3);
	assert_int_equal(slice->op[0].tile.in_row0, 1);
	assert_int_equal(slice->op[0].tile.in_rows, 16);
	assert_int_equal(slice->op[0].tile.out_row0, 2);
	assert_int_equal(slice->op[0].tile.out_rows, 16);
	/* Made again, it is the same. */
	assert_int_equal(kerf_slice_make(g, &spec, &again, NULL), 0);
	assert_true(kerf_graph_fingerprint(slice) == kerf_graph_fingerprint(again));
	kerf_graph_unref(again);
	/* The slice outlives the reference its maker had. */
	kerf_graph_unref(g);
	assert_int_equal(kerf_graph_verify(slice, NULL), 0);
	kerf_graph_unref(slice);
}

/* a is an output of the tile and read inside with a halo: the output is cropped. */
static void output_read_inside(void **state)
{
	struct kerf_graph *g = residual(), *slice;
	struct kerf_slice_spec spec = {.n_op = 2, .op = (uint32_t[]){0, 1}, .rows = {4, 8}};
	uint32_t i;

	assert_int_equal(kerf_slice_make(g, &spec, &slice, NULL), 0);
	assert_int_equal(slice->n_out, 2);
	for (i = 0; i < 2; i++) {
		assert_int_equal(slice->value[slice->out[i]].t.dims[1], 4);
		assert_string_equal(slice->value[slice->out[i]].name,
				    g->value[g->op[i].out[0]].name);
	}
	kerf_graph_unref(slice);
	kerf_graph_unref(g);
}

static void slice_keeps_constants(void **state)
{
	int32_t x, c;
	struct kerf_graph *g = begin(&x, 1, 8), *slice;
	struct kerf_slice_spec spec = {.n_op = 1, .op = (uint32_t[]){0}};
	struct kerf_rng rng;

	kerf_rng_seed(&rng, 3);
	c = add_const(g, &rng, 3, g->value[x].t.dims + 1);
	assert_int_equal(kerf_graph_add_output(g, add_sum(g, x, c)), 0);
	kerf_graph_freeze(g);
	assert_int_equal(kerf_slice_make(g, &spec, &slice, NULL), 0);
	assert_int_equal(slice->n_in, 1);
	assert_ptr_equal(slice->value[slice->op[0].in[1]].t.data, g->value[c].t.data);
	kerf_graph_unref(g);
	kerf_graph_unref(slice);
}

/* A crop a layer: quadratic steps would show as minutes. */
static void long_tile(void **state)
{
	enum { LAYERS = 100000 };
	uint32_t *op = malloc(2 * LAYERS * sizeof(*op)), i;
	struct kerf_slice_spec spec = {.n_op = 2 * LAYERS, .op = op,
				       .rows = {3 * LAYERS, 3 * LAYERS + 10}};
	struct kerf_err err = {""};
	struct kerf_graph *slice;
	int32_t x;
	struct kerf_graph *g = begin(&x, 1, 6 * LAYERS);

	for (i = 0; i < LAYERS; i++)
		x = add_sum(g, x, add_window(g, &window_def, x, 3, 1, 1, 1, 1));
	assert_int_equal(kerf_graph_add_output(g, x), 0);
	kerf_graph_freeze(g);
	for (i = 0; i < spec.n_op; i++)
		op[i] = i;
	if (kerf_slice_make(g, &spec, &slice, &err))
		fail_msg("%s", err.msg);
	assert_int_equal(slice->n_op, 3 * LAYERS);
	kerf_graph_unref(slice);
	kerf_graph_unref(g);
	free(op);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(random_cuts_and_tiles), cmocka_unit_test(bad_specs),
		cmocka_unit_test(cannot_be_limited),	 cmocka_unit_test(shape_of_a_tile),
		cmocka_unit_test(output_read_inside),	 cmocka_unit_test(slice_keeps_constants),
		cmocka_unit_test(long_tile),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
