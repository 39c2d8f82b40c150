/* SPDX-License-Identifier: MIT */
/*
 * The calibration run: a model made of the cases of cost/engine_cost.h, each an operator of its
 * own between an input and an output. It is an ONNX file, so that another node can be sent it as
 * any model; weights are ConstantOfShape nodes, so that it is a few kilobytes.
 */
#include "exec/measure.h"
#include "graph/import.h"
#include "util/clock.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define OPSET 13
#define MIN_RUNS 5
#define MAX_RUNS 200
#define SMALL_BYTES (64 << 10) /* what import always evaluates */

/* --- a few fields of onnx.proto, written in the wire format of protobuf --------------- */

enum { ONNX_FLOAT = 1, ONNX_UINT8 = 2, ONNX_INT8 = 3, ONNX_INT64 = 7 };
enum { ATTR_INT = 2, ATTR_TENSOR = 4, ATTR_INTS = 7 };

struct text {
	uint8_t *data;
	size_t n, room;
	bool failed;
};

static void put(struct text *t, const void *data, size_t n)
{
	if (t->n + n > t->room) {
		size_t room = 2 * (t->room + n);
		uint8_t *more = realloc(t->data, room);

		if (!more) {
			t->failed = true;
			return;
		}
		t->data = more;
		t->room = room;
	}
	memcpy(t->data + t->n, data, n);
	t->n += n;
}

static void put_varint(struct text *t, uint64_t v)
{
	do {
		uint8_t b = (uint8_t)((v & 0x7f) | (v > 0x7f ? 0x80 : 0));

		put(t, &b, 1);
		v >>= 7;
	} while (v);
}

static void put_int(struct text *t, int field, int64_t v)
{
	put_varint(t, (uint64_t)field << 3);
	put_varint(t, (uint64_t)v);
}

static void put_bytes(struct text *t, int field, const void *data, size_t n)
{
	put_varint(t, (uint64_t)field << 3 | 2);
	put_varint(t, n);
	if (n)
		put(t, data, n);
}

static void put_string(struct text *t, int field, const char *s)
{
	put_bytes(t, field, s, strlen(s));
}

/* Moves sub into t as a field, and empties it. */
static void put_message(struct text *t, int field, struct text *sub)
{
	put_bytes(t, field, sub->data, sub->n);
	t->failed |= sub->failed;
	free(sub->data);
	memset(sub, 0, sizeof(*sub));
}

static void put_tensor(struct text *t, int field, const char *name, int type, int n,
		       const int64_t *dims, const void *raw, size_t bytes)
{
	struct text x = {0};
	int i;

	for (i = 0; i < n; i++)
		put_int(&x, 1, dims[i]);
	put_int(&x, 2, type);
	if (name)
		put_string(&x, 8, name);
	put_bytes(&x, 9, raw, bytes);
	put_message(t, field, &x);
}

static void put_attr_ints(struct text *node, const char *name, int n, const int64_t *v)
{
	struct text a = {0};
	int i;

	put_string(&a, 1, name);
	put_int(&a, 20, n ? ATTR_INTS : ATTR_INT);
	for (i = 0; i < n; i++)
		put_int(&a, 8, v[i]);
	if (!n)
		put_int(&a, 3, *v);
	put_message(node, 5, &a);
}

static void put_value(struct text *graph, int field, const char *name, int type, int n,
		      const int64_t *dims)
{
	struct text shape = {0}, dim = {0}, tensor = {0}, kind = {0}, value = {0};
	int i;

	for (i = 0; i < n; i++) {
		put_int(&dim, 1, dims[i]);
		put_message(&shape, 1, &dim);
	}
	put_int(&tensor, 1, type);
	if (n)
		put_message(&tensor, 2, &shape);
	put_message(&kind, 1, &tensor);
	put_string(&value, 1, name);
	put_message(&value, 2, &kind);
	put_message(graph, field, &value);
}

/* --- the model ---------------------------------------------------------------------- */

static void add_filled(struct text *graph, const char *name, int type, int n, const int64_t *dims)
{
	const float f = 0.01f;
	const int8_t i = 1;
	const int64_t one = 1, rank = n;
	struct text node = {0}, attr = {0};
	char shape[64];

	snprintf(shape, sizeof(shape), "%s_shape", name);
	put_tensor(graph, 5, shape, ONNX_INT64, 1, &rank, dims, (size_t)n * sizeof(*dims));
	put_string(&attr, 1, "value");
	put_tensor(&attr, 5, NULL, type, 1, &one, type == ONNX_FLOAT ? (const void *)&f : &i,
		   type == ONNX_FLOAT ? sizeof(f) : sizeof(i));
	put_int(&attr, 20, ATTR_TENSOR);
	put_string(&node, 1, shape);
	put_string(&node, 2, name);
	put_string(&node, 3, name);
	put_string(&node, 4, "ConstantOfShape");
	put_message(&node, 5, &attr);
	put_message(graph, 1, &node);
}

/*
 * A constant of the shape, all elements the same. Import evaluates what is small, or not much
 * larger than what it is made of: larger ones are four of a fourth, one behind the other.
 */
static void add_weights(struct text *graph, const char *name, int type, int n, const int64_t *dims)
{
	int64_t part[4], bytes = type == ONNX_FLOAT ? 4 : 1;
	struct text node = {0};
	char fourth[64];
	int i;

	for (i = 0; i < n; i++) {
		part[i] = dims[i];
		bytes *= dims[i];
	}
	if (bytes <= SMALL_BYTES || part[0] % 4) {
		add_filled(graph, name, type, n, dims);
		return;
	}
	part[0] /= 4;
	snprintf(fourth, sizeof(fourth), "%s4", name);
	add_weights(graph, fourth, type, n, part);
	for (i = 0; i < 4; i++)
		put_string(&node, 1, fourth);
	put_string(&node, 2, name);
	put_string(&node, 3, name);
	put_string(&node, 4, "Concat");
	put_attr_ints(&node, "axis", 0, (const int64_t[]){0});
	put_message(graph, 1, &node);
}

static void add_scalar(struct text *graph, const char *name, int type, double v)
{
	const float f = (float)v;
	const int8_t i = (int8_t)v;

	put_tensor(graph, 5, name, type, 0, NULL, type == ONNX_FLOAT ? (const void *)&f : &i,
		   type == ONNX_FLOAT ? sizeof(f) : sizeof(i));
}

static void add_window(struct text *node, const struct kerf_case *c)
{
	const int64_t k = c->kernel, p = c->family == KERF_FAMILY_POOL ? 0 : k / 2;

	put_attr_ints(node, "kernel_shape", 2, (const int64_t[]){k, k});
	put_attr_ints(node, "strides", 2, (const int64_t[]){c->stride, c->stride});
	/* As high as the case's output is said to be, whatever the window. */
	put_attr_ints(node, "pads", 4,
		      c->family == KERF_FAMILY_POOL
			      ? (const int64_t[]){0, 0, k - c->stride, k - c->stride}
			      : (const int64_t[]){p, p, p, p});
	if (c->family != KERF_FAMILY_POOL)
		put_attr_ints(node, "group", 0, &c->group);
}

static void add_quantised(struct text *graph, struct text *node, const char *x, const char *w)
{
	static const char *const names[] = {"q_scale", "q_zero", "q_scale", "q_wzero", "q_yscale",
					    "q_zero"};
	size_t i;

	add_scalar(graph, "q_scale", ONNX_FLOAT, 0.02);
	add_scalar(graph, "q_yscale", ONNX_FLOAT, 0.05);
	add_scalar(graph, "q_zero", ONNX_UINT8, 64);
	add_scalar(graph, "q_wzero", ONNX_INT8, 0);
	put_string(node, 1, x);
	for (i = 0; i < KERF_ARRAY_SIZE(names); i++) {
		if (i == 2)
			put_string(node, 1, w);
		put_string(node, 1, names[i]);
	}
}

static void add_case(struct text *graph, const struct kerf_case *c)
{
	const int64_t image[] = {1, c->c_in, c->side, c->side}, rows[] = {c->side, c->c_in};
	const int64_t stack[] = {c->group, c->side, c->c_in},
		      other[] = {c->group, c->c_in, c->c_out};
	const int64_t weights[] = {c->c_out, c->c_in / c->group, c->kernel, c->kernel};
	bool quantised = c->family == KERF_FAMILY_CONV8, product = c->family == KERF_FAMILY_PRODUCT;
	int type = quantised ? ONNX_UINT8 : ONNX_FLOAT, rank = 2;
	char x[40], y[40], w[40];
	const int64_t *dims = rows;
	struct text node = {0};

	snprintf(x, sizeof(x), "%s_x", c->name);
	snprintf(y, sizeof(y), "%s_y", c->name);
	snprintf(w, sizeof(w), "%s_w", c->name);
	if (c->family == KERF_FAMILY_MATMUL) {
		dims = stack;
		rank = 3;
	} else if (!product && c->family != KERF_FAMILY_NORM && c->family != KERF_FAMILY_MOVE) {
		dims = image;
		rank = 4;
	}
	put_value(graph, 11, x, type, rank, dims);
	if (product)
		add_weights(graph, w, ONNX_FLOAT, 2, (const int64_t[]){c->c_in, c->c_out});
	else if (c->family <= KERF_FAMILY_CONV8 && c->family != KERF_FAMILY_MATMUL)
		add_weights(graph, w, quantised ? ONNX_INT8 : ONNX_FLOAT, 4, weights);
	else if (c->family == KERF_FAMILY_MATMUL || !strcmp(c->type, "Add"))
		put_value(graph, 11, w, type, rank, c->family == KERF_FAMILY_MATMUL ? other : dims);
	if (quantised)
		add_quantised(graph, &node, x, w);
	else
		put_string(&node, 1, x);
	if (!quantised && (c->family <= KERF_FAMILY_CONV8 || !strcmp(c->type, "Add")))
		put_string(&node, 1, w);
	put_string(&node, 2, y);
	put_string(&node, 3, c->name);
	put_string(&node, 4, c->type);
	if (rank == 4 && c->family != KERF_FAMILY_ELEMENTWISE && strcmp(c->type, "GlobalAveragePool"))
		add_window(&node, c);
	if (c->family == KERF_FAMILY_MOVE)
		put_attr_ints(&node, "perm", 2, (const int64_t[]){1, 0});
	put_message(graph, 1, &node);
	put_value(graph, 12, y, type, 0, NULL);
}

static int write_model(char path[64], struct kerf_err *err)
{
	struct text graph = {0}, set = {0}, model = {0};
	int fd, r = 0;
	uint32_t i;

	for (i = 0; i < KERF_N_CASE; i++)
		add_case(&graph, &kerf_cases[i]);
	put_string(&graph, 2, "kerf-calibration");
	put_int(&model, 1, 7);
	put_message(&model, 7, &graph);
	put_int(&set, 2, OPSET);
	put_message(&model, 8, &set);
	snprintf(path, 64, "/tmp/kerf-calibration-XXXXXX");
	fd = model.failed ? -1 : mkstemp(path);
	if (model.failed)
		r = -ENOMEM;
	else if (fd < 0)
		r = kerf_fail(err, -errno, "%s: %s", path, strerror(errno));
	else if (write(fd, model.data, model.n) != (ssize_t)model.n)
		r = kerf_fail(err, -EIO, "%s: cannot write", path);
	if (fd >= 0)
		close(fd);
	if (r && fd >= 0)
		unlink(path);
	free(model.data);
	return r;
}

int kerf_calibration_graph(struct kerf_graph **g, struct kerf_err *err)
{
	char path[64];
	int r = write_model(path, err);

	if (r)
		return r;
	r = kerf_model_load(path, NULL, g, err);
	unlink(path);
	return r;
}

/* The operator that is case c after the rewrites: its name, or what a rewrite made of that. */
static int32_t find_case(const struct kerf_graph *g, const struct kerf_case *c)
{
	size_t n = strlen(c->name);
	uint32_t i;

	for (i = 0; i < g->n_op; i++)
		if (!strncmp(g->op[i].name, c->name, n) &&
		    (!g->op[i].name[n] || g->op[i].name[n] == '.'))
			return (int32_t)i;
	return -1;
}

int kerf_measure_calibration(struct kerf_engine *e, double seconds, struct kerf_engine_cost *cost,
			     struct kerf_err *err)
{
	uint64_t end = kerf_now_ns() + (uint64_t)(seconds * 1e9);
	struct kerf_program *program = NULL;
	struct kerf_graph *g = NULL;
	struct kerf_io io = {0};
	uint64_t *ns = NULL;
	uint32_t run, i;
	int r = kerf_calibration_graph(&g, err);

	if (!r)
		r = e->ops->prepare(e, g, &program, err);
	if (!r)
		r = kerf_io_make_on(e, g, 1, &io);
	if (!r) {
		ns = calloc(g->n_op + 1, sizeof(*ns));
		r = ns ? e->ops->profile(program, io.in, io.out, ns) : -ENOMEM;
	}
	memset(cost->case_s, 0, sizeof(cost->case_s));
	for (run = 0; !r && run < MAX_RUNS && (run < MIN_RUNS || kerf_now_ns() < end); run++) {
		r = e->ops->profile(program, io.in, io.out, ns);
		for (i = 0; i < KERF_N_CASE && !r; i++) {
			int32_t op = find_case(g, &kerf_cases[i]);
			double s = op < 0 ? 0 : (double)ns[op] * 1e-9;

			if (s > 0 && (s < cost->case_s[i] || !cost->case_s[i]))
				cost->case_s[i] = s;
		}
	}
	cost->has_cases = !r;
	if (program)
		e->ops->release(program);
	kerf_io_finish(&io);
	kerf_graph_unref(g);
	free(ns);
	return r;
}
