/* SPDX-License-Identifier: MIT */
/*
 * Fuzzes the importer: no input crashes it, hangs it or makes it allocate what only
 * the file claims; what it accepts is a graph that verifies. The wire reader has an
 * oracle: where protobuf-c unpacks a whole model and the reader splits it, they see
 * the same nodes and the same initializers, byte for byte. Half of the mutations
 * change the model, not its bytes, so that operators are reached too (onnx_mutate.h).
 */
#include "fuzz/fuzz.h"
#include "fuzz/onnx_mutate.h"
#include "onnx_build.h"

#include "exec/interp.h"
#include "graph/import.h"
#include "graph/wire.h"
#include "util/rng.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size, unsigned int seed)
{
	return onnx_mutate(data, size, max_size, seed);
}

#define REQUIRE(x)                                                                          \
	do {                                                                                \
		if (!(x)) {                                                                 \
			fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #x);             \
			abort();                                                            \
		}                                                                           \
	} while (0)

/* Number of elements protobuf-c sees in the typed field of a dtype, and element i's bytes. */
static size_t typed_element(const Onnx__TensorProto *p, enum kerf_dtype dtype, size_t i,
			    uint64_t *bits)
{
	*bits = 0;
	switch (dtype) {
	case KERF_F32:
		if (i < p->n_float_data)
			memcpy(bits, &p->float_data[i], 4);
		return p->n_float_data;
	case KERF_F64:
		if (i < p->n_double_data)
			memcpy(bits, &p->double_data[i], 8);
		return p->n_double_data;
	case KERF_I64:
		if (i < p->n_int64_data)
			*bits = (uint64_t)p->int64_data[i];
		return p->n_int64_data;
	case KERF_U32:
	case KERF_U64:
		if (i < p->n_uint64_data)
			*bits = p->uint64_data[i];
		return p->n_uint64_data;
	default:
		if (i < p->n_int32_data)
			*bits = (uint32_t)p->int32_data[i];
		return p->n_int32_data;
	}
}

/* The reader may refuse what protobuf-c takes; what it takes it must see as protobuf-c does. */
static void compare_tensor(const Onnx__TensorProto *p, struct kerf_wire_range bytes)
{
	struct kerf_wire_tensor w;
	size_t i, n, size;
	uint8_t *data;
	int k;

	if (kerf_wire_tensor_parse(bytes, &w, NULL))
		return;
	REQUIRE(p->n_dims == (size_t)w.t.rank);
	for (k = 0; k < w.t.rank; k++)
		REQUIRE(p->dims[k] == w.t.dims[k]);
	REQUIRE(p->data_type == (int32_t)w.t.dtype);
	REQUIRE(w.external == (p->data_location == 1));
	REQUIRE((p->name ? strlen(p->name) : 0) <= w.full_name.size);
	if (p->name)
		REQUIRE(!memcmp(p->name, w.full_name.data, strlen(p->name)));
	if (w.external)
		return;
	n = (size_t)kerf_tensor_count(&w.t);
	size = kerf_dtype_size(w.t.dtype);
	data = calloc(n + 1, size);
	REQUIRE(data);
	kerf_wire_tensor_decode(&w, data);
	for (i = 0; i < n; i++) {
		uint64_t bits, got = 0;

		if (p->has_raw_data) {
			REQUIRE(p->raw_data.len == n * size);
			bits = 0;
			memcpy(&bits, p->raw_data.data + i * size, size);
		} else {
			REQUIRE(typed_element(p, w.t.dtype, i, &bits) == n);
			if (size < 8)
				bits &= ((uint64_t)1 << 8 * size) - 1;
		}
		memcpy(&got, data + i * size, size);
		if (w.t.dtype == KERF_BOOL)
			bits = (uint8_t)bits != 0;
		REQUIRE(bits == got);
	}
	free(data);
}

/* Entries of the metadata that are for kerf: none lost, none added. */
static size_t our_entries(const Onnx__ModelProto *m)
{
	size_t i, n = 0;

	for (i = 0; i < m->n_metadata_props; i++) {
		const char *key = m->metadata_props[i]->key;

		n += key && !strncmp(key, "kerf.", 5) && key[5];
	}
	return n;
}

static void compare_split(const uint8_t *data, size_t size)
{
	Onnx__ModelProto *whole = onnx__model_proto__unpack(NULL, size, data), *rest;
	const Onnx__GraphProto *a, *b;
	struct kerf_wire_split s = {0};
	size_t i, k;

	if (!whole || !whole->graph || kerf_wire_split(data, size, &s, NULL))
		goto out;
	a = whole->graph;
	REQUIRE(a->n_initializer == s.n_tensor);
	for (i = 0; i < s.n_tensor; i++)
		compare_tensor(a->initializer[i], s.tensor[i]);
	rest = onnx__model_proto__unpack(NULL, s.rest_size, s.rest);
	REQUIRE(rest && rest->graph);
	b = rest->graph;
	REQUIRE(b->n_initializer == 0);
	REQUIRE(a->n_node == b->n_node && a->n_input == b->n_input && a->n_output == b->n_output);
	REQUIRE(whole->n_opset_import == rest->n_opset_import);
	REQUIRE(our_entries(whole) == our_entries(rest));
	for (i = 0; i < a->n_node; i++) {
		const Onnx__NodeProto *m = a->node[i], *n = b->node[i];

		REQUIRE(m->n_input == n->n_input && m->n_output == n->n_output);
		REQUIRE(m->n_attribute == n->n_attribute);
		REQUIRE(!m->op_type == !n->op_type);
		REQUIRE(!m->op_type || !strcmp(m->op_type, n->op_type));
		for (k = 0; k < m->n_input; k++)
			REQUIRE(!strcmp(m->input[k], n->input[k]));
		for (k = 0; k < m->n_attribute; k++) {
			const Onnx__AttributeProto *c = m->attribute[k], *d = n->attribute[k];

			REQUIRE(c->n_ints == d->n_ints && c->n_floats == d->n_floats);
			REQUIRE(!c->n_ints || !memcmp(c->ints, d->ints, c->n_ints * 8));
			REQUIRE(c->has_s == d->has_s && c->i == d->i && c->type == d->type);
			REQUIRE(!c->t == !d->has_t_offset);
			if (c->t)
				compare_tensor(c->t, (struct kerf_wire_range){
							     data + d->t_offset, d->t_size});
		}
	}
	onnx__model_proto__free_unpacked(rest, NULL);
out:
	kerf_wire_split_finish(&s);
	if (whole)
		onnx__model_proto__free_unpacked(whole, NULL);
}

/* A convolution and what classifiers end with. */
static void seed_conv(struct onnx_build *b)
{
	static const float w[2 * 3 * 3 * 3] = {1, -1, 0.5f};
	Onnx__TensorProto *t = onnx_build_tensor(b, "w", KERF_F32, (int64_t[]){2, 3, 3, 3}, 4);
	Onnx__NodeProto *n;

	t->has_raw_data = 1;
	t->raw_data.len = sizeof(w);
	t->raw_data.data = (uint8_t *)w;
	onnx_build_initializer(b, t);
	t = onnx_build_tensor(b, "b", KERF_F32, (int64_t[]){2}, 1);
	t->n_float_data = 2;
	t->float_data = (float *)w;
	onnx_build_initializer(b, t);
	onnx_build_input(b, "x", KERF_F32, "N,3,8,8");
	n = onnx_build_node(b, "Conv", "x,w,b", "c");
	onnx_build_ints(b, n, "pads", (int64_t[]){1, 1, 1, 1}, 4);
	onnx_build_ints(b, n, "strides", (int64_t[]){2, 2}, 2);
	onnx_build_node(b, "Relu", "c", "r");
	onnx_build_node(b, "GlobalAveragePool", "r", "g");
	n = onnx_build_node(b, "Flatten", "g", "f");
	onnx_build_int(b, n, "axis", 1);
	onnx_build_node(b, "Softmax", "f", "y");
	onnx_build_output(b, "f", KERF_F32, "N,2");
	onnx_build_output(b, "y", KERF_F32, "N,2");
	onnx_build_metadata(b, "kerf.exit.f", "0.5");
	onnx_build_metadata(b, "kerf.accuracy", "0.75");
	onnx_build_metadata(b, "author", "nobody");
}

/* A chain of shapes, typed data of small dtypes, and a Constant node. */
static void seed_shapes(struct onnx_build *b)
{
	static const int32_t small[] = {1, 2, 255};
	static const int64_t minus = -1, index = 1;
	Onnx__TensorProto *t;
	Onnx__NodeProto *n;

	t = onnx_build_tensor(b, "u", KERF_U8, (int64_t[]){3}, 1);
	t->n_int32_data = 3;
	t->int32_data = (int32_t *)small;
	onnx_build_initializer(b, t);
	onnx_build_initializer(b, onnx_build_raw(b, "i", KERF_I64, &index, 1, 8));
	onnx_build_input(b, "x", KERF_F32, "N,4,?");
	onnx_build_node(b, "Shape", "x", "s");
	onnx_build_node(b, "Gather", "s,i", "d");
	n = onnx_build_node(b, "Constant", "", "m");
	onnx_build_attr(b, n, "value", 4)->t = onnx_build_raw(b, "", KERF_I64, &minus, 1, 8);
	n = onnx_build_node(b, "Concat", "m,d", "to");
	onnx_build_int(b, n, "axis", 0);
	onnx_build_node(b, "Reshape", "x,to", "y");
	onnx_build_output(b, "y", KERF_F32, NULL);
	onnx_build_output(b, "u", KERF_U8, "3");
}

void kerf_fuzz_seeds(void (*add)(const void *data, size_t size))
{
	static void (*const seeds[])(struct onnx_build *) = {seed_conv, seed_shapes};
	size_t i, size;

	for (i = 0; i < KERF_ARRAY_SIZE(seeds); i++) {
		struct onnx_build b;
		uint8_t *data;

		onnx_build_init(&b, 13);
		seeds[i](&b);
		data = onnx_build_pack(&b, &size);
		add(data, size);
		onnx_build_finish(&b);
	}
}

/* Inputs that reach into tables and past them: small integers, odd floats. */
static void fill(const struct kerf_tensor *t, struct kerf_rng *rng)
{
	static const float odd[] = {0, -1, 1, 0.5f, 3, -2.5f, 1e30f, NAN, INFINITY, -0.0f};
	int64_t i, n = kerf_tensor_count(t);

	for (i = 0; i < n; i++) {
		int v = t->dtype == KERF_BOOL ? (int)kerf_rng_below(rng, 2)
					      : (int)kerf_rng_below(rng, 9) - 3;
		size_t size = kerf_dtype_size(t->dtype);
		int64_t wide = v;

		if (t->dtype == KERF_F32)
			((float *)t->data)[i] = odd[kerf_rng_below(rng, KERF_ARRAY_SIZE(odd))];
		else if (t->dtype == KERF_F64)
			((double *)t->data)[i] = odd[kerf_rng_below(rng, KERF_ARRAY_SIZE(odd))];
		else
			memcpy((uint8_t *)t->data + (size_t)i * size, &wide, size);
	}
}

/* A small graph also runs, by the reference: what operators accept they must survive. */
static void run_graph(const struct kerf_graph *g, size_t seed)
{
	struct kerf_tensor *values, *scratch;
	struct kerf_rng rng;
	size_t bytes = 0;
	int64_t flops = 0;
	uint32_t i;

	for (i = 0; i < g->n_op; i++) {
		if (!g->op[i].def->eval ||
		    __builtin_add_overflow(flops, kerf_op_flops(g, &g->op[i]), &flops) ||
		    flops > 1 << 20)
			return;
	}
	for (i = 0; i < g->n_value; i++) {
		bytes += kerf_tensor_bytes(&g->value[i].t);
		if (bytes > 1 << 20)
			return;
	}
	kerf_rng_seed(&rng, seed);
	values = calloc(g->n_value + 1, sizeof(*values));
	scratch = calloc(kerf_interp_slots(g) + 1, sizeof(*scratch));
	REQUIRE(values && scratch);
	for (i = 0; i < g->n_value; i++) {
		values[i] = g->value[i].t;
		if (values[i].data)
			continue;
		values[i].data = malloc(kerf_tensor_bytes(&values[i]) + 1);
		REQUIRE(values[i].data);
		fill(&values[i], &rng);
	}
	for (i = 0; i < g->n_op; i++)
		if (kerf_interp_op(g, &g->op[i], values, scratch))
			break;
	for (i = 0; i < g->n_value; i++)
		if (!g->value[i].t.data)
			free(values[i].data);
	free(values);
	free(scratch);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct kerf_load_options opt = {.default_dim = 2};
	struct kerf_graph *g = NULL;
	struct kerf_err err = {0};

	if (size < 32 << 10)
		compare_split(data, size);
	opt.no_rewrite = size & 1;
	if (kerf_model_parse(data, size, NULL, &opt, &g, &err)) {
		REQUIRE(!g && err.msg[0] && !strchr(err.msg, '\n'));
		return 0;
	}
	REQUIRE(!kerf_graph_verify(g, &err));
	run_graph(g, size);
	kerf_graph_unref(g);
	return 0;
}
