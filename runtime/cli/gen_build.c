/* SPDX-License-Identifier: MIT */
#include "cli/gen.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { GRAPH_NODE = 1, GRAPH_INPUT = 11, GRAPH_OUTPUT = 12 };
enum { NODE_INPUT = 1, NODE_OUTPUT = 2, NODE_NAME = 3, NODE_OP = 4, NODE_ATTR = 5 };
enum { ATTR_NAME = 1, ATTR_F = 2, ATTR_I = 3, ATTR_S = 4, ATTR_INTS = 8, ATTR_TYPE = 20 };
/* AttributeProto.AttributeType */
enum { TYPE_FLOAT = 1, TYPE_INT = 2, TYPE_STRING = 3, TYPE_INTS = 7 };
enum { INFO_NAME = 1, INFO_TYPE = 2, TYPE_TENSOR = 1, TENSOR_ELEM = 1, TENSOR_SHAPE = 2 };
enum { SHAPE_DIM = 1, DIM_VALUE = 1, DIM_PARAM = 2 };

void kerf_gen_init(struct kerf_gen *g, uint64_t seed, int64_t batch)
{
	memset(g, 0, sizeof(*g));
	g->seed = seed;
	g->batch = batch;
	g->scope = "";
	kerf_rng_seed(&g->rng, seed);
}

void kerf_gen_finish(struct kerf_gen *g)
{
	kerf_arena_finish(&g->arena);
	free(g->nodes.p);
	free(g->inputs.p);
	free(g->outputs.p);
	free(g->metadata.p);
	free(g->weight);
	memset(g, 0, sizeof(*g));
}

void kerf_gen_fail(struct kerf_gen *g, int code, const char *fmt, ...)
{
	va_list ap;

	if (g->error)
		return;
	g->error = code;
	va_start(ap, fmt);
	vsnprintf(g->err.msg, sizeof(g->err.msg), fmt, ap);
	va_end(ap);
}

/* A name that lives as long as the builder; "" on exhaustion. */
static const char *make_name(struct kerf_gen *g, const char *fmt, ...) KERF_PRINTF(2, 3);
static const char *make_name(struct kerf_gen *g, const char *fmt, ...)
{
	char buf[256];
	const char *p;
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(buf, sizeof(buf), fmt, ap);
	va_end(ap);
	p = kerf_arena_strdup(&g->arena, buf);
	if (!p)
		kerf_gen_fail(g, -ENOMEM, "out of memory");
	return p ? p : "";
}

void kerf_gen_scope(struct kerf_gen *g, const char *fmt, ...)
{
	char buf[128];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(buf, sizeof(buf), fmt, ap);
	va_end(ap);
	g->scope = *buf ? make_name(g, "%s/", buf) : "";
}

/* --- nodes ---------------------------------------------------------------- */

static void put_attr(struct kerf_gen_buf *node, const struct kerf_gen_attr *a)
{
	struct kerf_gen_buf b = {0};
	int i;

	kerf_gen_put_string(&b, ATTR_NAME, a->name);
	switch (a->type) {
	case KERF_GEN_INT:
		kerf_gen_put_int(&b, ATTR_I, a->i);
		kerf_gen_put_int(&b, ATTR_TYPE, TYPE_INT);
		break;
	case KERF_GEN_INTS:
		for (i = 0; i < a->n; i++)
			kerf_gen_put_int(&b, ATTR_INTS, a->ints[i]);
		kerf_gen_put_int(&b, ATTR_TYPE, TYPE_INTS);
		break;
	case KERF_GEN_FLOAT:
		kerf_gen_put_float(&b, ATTR_F, a->f);
		kerf_gen_put_int(&b, ATTR_TYPE, TYPE_FLOAT);
		break;
	case KERF_GEN_STRING:
		kerf_gen_put_string(&b, ATTR_S, a->s);
		kerf_gen_put_int(&b, ATTR_TYPE, TYPE_STRING);
		break;
	}
	kerf_gen_put_bytes(node, NODE_ATTR, b.p, b.n);
	node->failed |= b.failed;
	free(b.p);
}

void kerf_gen_node_n(struct kerf_gen *g, const char *op, int n_in, const char *const *in,
		     int n_out, const char **out, int n_attr, const struct kerf_gen_attr *attr)
{
	const char *name = make_name(g, "%s%s_%u", g->scope, op, g->n_node++);
	struct kerf_gen_buf b = {0};
	int i;

	for (i = 0; i < n_in; i++)
		kerf_gen_put_string(&b, NODE_INPUT, in[i] ? in[i] : "");
	for (i = 0; i < n_out; i++) {
		out[i] = i ? make_name(g, "%s.%d", name, i) : name;
		kerf_gen_put_string(&b, NODE_OUTPUT, out[i]);
	}
	kerf_gen_put_string(&b, NODE_NAME, name);
	kerf_gen_put_string(&b, NODE_OP, op);
	for (i = 0; i < n_attr; i++)
		if (attr[i].name)
			put_attr(&b, &attr[i]);
	kerf_gen_put_bytes(&g->nodes, GRAPH_NODE, b.p, b.n);
	g->nodes.failed |= b.failed;
	free(b.p);
}

const char *kerf_gen_node(struct kerf_gen *g, const char *op, int n_in, const char *const *in,
			  int n_attr, const struct kerf_gen_attr *attr)
{
	const char *out;

	kerf_gen_node_n(g, op, n_in, in, 1, &out, n_attr, attr);
	return out;
}

const char *kerf_gen_node1(struct kerf_gen *g, const char *op, const char *in)
{
	return kerf_gen_node(g, op, 1, &in, 0, NULL);
}

const char *kerf_gen_node2(struct kerf_gen *g, const char *op, const char *a, const char *b)
{
	return kerf_gen_node(g, op, 2, (const char *[]){a, b}, 0, NULL);
}

/* --- weights -------------------------------------------------------------- */

const char *kerf_gen_const(struct kerf_gen *g, const char *what, enum kerf_dtype dtype, int rank,
			   const int64_t *dims, const void *data, float lo, float hi, bool trained)
{
	struct kerf_gen_weight *w;

	if (g->n_weight == g->cap_weight) {
		uint32_t cap = g->cap_weight ? 2 * g->cap_weight : 64;

		w = reallocarray(g->weight, cap, sizeof(*w));
		if (!w) {
			kerf_gen_fail(g, -ENOMEM, "out of memory");
			return "";
		}
		g->weight = w;
		g->cap_weight = cap;
	}
	w = &g->weight[g->n_weight];
	*w = (struct kerf_gen_weight){
		.t = {.dtype = dtype, .rank = rank},
		.lo = lo,
		.hi = hi,
		.trained = trained,
		.stream = g->n_weight + 1,
	};
	if (rank)
		memcpy(w->t.dims, dims, (size_t)rank * sizeof(*dims));
	if (kerf_tensor_check(&w->t)) {
		kerf_gen_fail(g, -EINVAL, "%s%s would be too large", g->scope, what);
		w->t.rank = 0;
	}
	if (data) {
		w->t.data = kerf_arena_dup(&g->arena, data, kerf_tensor_bytes(&w->t));
		if (!w->t.data)
			kerf_gen_fail(g, -ENOMEM, "out of memory");
	}
	w->name = make_name(g, "%s%s_%u", g->scope, what, g->n_weight++);
	if (trained)
		g->n_param += kerf_tensor_count(&w->t);
	return w->name;
}

const char *kerf_gen_weight(struct kerf_gen *g, const char *what, int rank, const int64_t *dims,
			    float middle, float limit)
{
	return kerf_gen_const(g, what, KERF_F32, rank, dims, NULL, middle - limit, middle + limit,
			      true);
}

const char *kerf_gen_ints(struct kerf_gen *g, const char *what, int n, const int64_t *v)
{
	return kerf_gen_const(g, what, KERF_I64, 1, (int64_t[]){n}, v, 0, 0, false);
}

const char *kerf_gen_scalar(struct kerf_gen *g, const char *what, float v)
{
	return kerf_gen_const(g, what, KERF_F32, 0, NULL, &v, 0, 0, false);
}

/* --- inputs and outputs --------------------------------------------------- */

static void put_wrapped(struct kerf_gen_buf *b, int field, struct kerf_gen_buf *inner)
{
	kerf_gen_put_bytes(b, field, inner->p, inner->n);
	b->failed |= inner->failed;
	free(inner->p);
}

static void put_info(struct kerf_gen *g, struct kerf_gen_buf *to, int field, const char *name,
		     enum kerf_dtype dtype, int rank, const int64_t *dims)
{
	struct kerf_gen_buf info = {0}, type = {0}, tensor = {0}, shape = {0};
	int i;

	for (i = 0; i < rank; i++) {
		struct kerf_gen_buf dim = {0};

		if (i == 0 && !g->batch)
			kerf_gen_put_string(&dim, DIM_PARAM, "N");
		else
			kerf_gen_put_int(&dim, DIM_VALUE, i ? dims[i] : g->batch);
		put_wrapped(&shape, SHAPE_DIM, &dim);
	}
	kerf_gen_put_int(&tensor, TENSOR_ELEM, dtype);
	put_wrapped(&tensor, TENSOR_SHAPE, &shape);
	put_wrapped(&type, TYPE_TENSOR, &tensor);
	kerf_gen_put_string(&info, INFO_NAME, name);
	put_wrapped(&info, INFO_TYPE, &type);
	put_wrapped(to, field, &info);
}

const char *kerf_gen_input(struct kerf_gen *g, const char *name, enum kerf_dtype dtype, int rank,
			   const int64_t *dims)
{
	put_info(g, &g->inputs, GRAPH_INPUT, name, dtype, rank, dims);
	return name;
}

void kerf_gen_output(struct kerf_gen *g, const char *name, const char *value,
		     enum kerf_dtype dtype, int rank, const int64_t *dims)
{
	struct kerf_gen_buf b = {0};

	/* Values are named after their nodes: a name of the user's choice takes an Identity. */
	kerf_gen_put_string(&b, NODE_INPUT, value);
	kerf_gen_put_string(&b, NODE_OUTPUT, name);
	kerf_gen_put_string(&b, NODE_NAME, name);
	kerf_gen_put_string(&b, NODE_OP, "Identity");
	put_wrapped(&g->nodes, GRAPH_NODE, &b);
	put_info(g, &g->outputs, GRAPH_OUTPUT, name, dtype, rank, dims);
}
