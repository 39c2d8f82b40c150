/* SPDX-License-Identifier: MIT */
/*
 * Changes to a model that leave its bytes well formed: another operator in a node,
 * other inputs, attributes, dims, dtypes, opsets.
 */
#ifndef KERF_TESTS_ONNX_MUTATE_H
#define KERF_TESTS_ONNX_MUTATE_H

#include "onnx_build.h"

#include "graph/op.h"
#include "util/rng.h"

struct onnx_mutate {
	struct kerf_arena arena;
	struct kerf_rng rng;
	Onnx__ModelProto *model;
	Onnx__GraphProto *graph;
};

static inline void *onnx_mutate_alloc(void *arena, size_t n)
{
	return kerf_arena_alloc(arena, n);
}

static inline void onnx_mutate_free(void *arena, void *p)
{
}

static inline size_t onnx_mutate_pick(struct onnx_mutate *m, size_t n)
{
	return kerf_rng_below(&m->rng, n);
}

static inline int64_t onnx_mutate_number(struct onnx_mutate *m)
{
	static const int64_t odd[] = {INT64_MIN, INT64_MAX, INT32_MAX, -2147483648LL, 1 << 20, 255};

	if (!onnx_mutate_pick(m, 8))
		return odd[onnx_mutate_pick(m, KERF_ARRAY_SIZE(odd))];
	return (int64_t)onnx_mutate_pick(m, 9) - 3;
}

/* The name of some value: input, initializer or node output. */
static inline char *onnx_mutate_value(struct onnx_mutate *m)
{
	const Onnx__GraphProto *g = m->graph;
	size_t i = onnx_mutate_pick(m, g->n_input + g->n_initializer + g->n_node + 1);
	char *name = NULL;

	if (i < g->n_input)
		name = g->input[i]->name;
	else if (i - g->n_input < g->n_initializer)
		name = g->initializer[i - g->n_input]->name;
	else if (i - g->n_input - g->n_initializer < g->n_node &&
		 g->node[i - g->n_input - g->n_initializer]->n_output)
		name = g->node[i - g->n_input - g->n_initializer]->output[0];
	return name ? name : (char *)"";
}

static inline void onnx_mutate_attribute(struct onnx_mutate *m, Onnx__NodeProto *n)
{
	static const char *const names[] = {
		"axis",	    "axes",	 "pads",	"strides",   "dilations",  "kernel_shape",
		"group",    "perm",	 "to",		"keepdims",  "mode",	   "value",
		"alpha",    "epsilon",	 "auto_pad",	"ceil_mode", "split",	   "num_outputs",
		"blocksize", "largest",	 "sorted",	"transA",    "transB",	   "equation",
		"direction", "hidden_size", "output_shape", "output_padding", "size", "starts",
		"ends",	    "batch_dims", "reduction", "fmod",	     "exclusive",  "k",
	};
	Onnx__AttributeProto *a = kerf_arena_alloc(&m->arena, sizeof(*a)), **list;
	size_t i, count;

	if (n->n_attribute && onnx_mutate_pick(m, 3)) {
		a = n->attribute[onnx_mutate_pick(m, n->n_attribute)];
	} else {
		onnx__attribute_proto__init(a);
		a->name = (char *)names[onnx_mutate_pick(m, KERF_ARRAY_SIZE(names))];
		list = kerf_arena_alloc(&m->arena, (n->n_attribute + 1) * sizeof(*list));
		if (n->n_attribute)
			memcpy(list, n->attribute, n->n_attribute * sizeof(*list));
		list[n->n_attribute++] = a;
		n->attribute = list;
	}
	a->has_type = 1;
	switch (onnx_mutate_pick(m, 4)) {
	case 0:
		a->type = 2;
		a->has_i = 1;
		a->i = onnx_mutate_number(m);
		break;
	case 1:
		a->type = 1;
		a->has_f = 1;
		a->f = (float)onnx_mutate_number(m);
		break;
	case 2:
		a->type = 7;
		count = onnx_mutate_pick(m, 7);
		a->ints = kerf_arena_alloc(&m->arena, count * sizeof(*a->ints) + 1);
		for (i = 0; i < count; i++)
			a->ints[i] = onnx_mutate_number(m);
		a->n_ints = count;
		break;
	case 3:
		if (a->n_ints) {
			a->ints[onnx_mutate_pick(m, a->n_ints)] = onnx_mutate_number(m);
		} else if (n->n_attribute > 1) {
			n->n_attribute--;
		}
		break;
	}
}

static inline void onnx_mutate_node(struct onnx_mutate *m)
{
	Onnx__GraphProto *g = m->graph;
	const struct kerf_op_def *d;
	Onnx__NodeProto *n;
	char **list;
	uint32_t count = 0, i;

	if (!g->n_node)
		return;
	n = g->node[onnx_mutate_pick(m, g->n_node)];
	switch (onnx_mutate_pick(m, 5)) {
	case 0:
		while (kerf_op_at(count))
			count++;
		d = kerf_op_at((uint32_t)onnx_mutate_pick(m, count));
		n->op_type = (char *)d->name;
		n->domain = (char *)(d->domain ? d->domain : "");
		for (i = (uint32_t)n->n_input; (int)i < d->min_in && i < 8; i++) {
			list = kerf_arena_alloc(&m->arena, (n->n_input + 1) * sizeof(*list));
			if (n->n_input)
				memcpy(list, n->input, n->n_input * sizeof(*list));
			list[n->n_input++] = onnx_mutate_value(m);
			n->input = list;
		}
		if (d->max_in >= 0 && n->n_input > (size_t)d->max_in)
			n->n_input = (size_t)d->max_in;
		break;
	case 1:
		if (n->n_input)
			n->input[onnx_mutate_pick(m, n->n_input)] = onnx_mutate_value(m);
		break;
	case 2:
		list = kerf_arena_alloc(&m->arena, (n->n_input + 1) * sizeof(*list));
		if (n->n_input)
			memcpy(list, n->input, n->n_input * sizeof(*list));
		list[n->n_input++] = onnx_mutate_pick(m, 4) ? onnx_mutate_value(m) : (char *)"";
		n->input = list;
		break;
	default: onnx_mutate_attribute(m, n); break;
	}
}

static inline void onnx_mutate_tensor(struct onnx_mutate *m)
{
	Onnx__TensorProto *t;
	uint8_t *data;
	size_t i, n = 1, size;

	if (!m->graph->n_initializer)
		return;
	t = m->graph->initializer[onnx_mutate_pick(m, m->graph->n_initializer)];
	if (!onnx_mutate_pick(m, 3))
		t->data_type = 1 + (int32_t)onnx_mutate_pick(m, 16);
	if (t->n_dims && onnx_mutate_pick(m, 2))
		t->dims[onnx_mutate_pick(m, t->n_dims)] = (int64_t)onnx_mutate_pick(m, 7);
	else if (onnx_mutate_pick(m, 2))
		t->n_dims -= t->n_dims > 0;
	/* Mostly as many bytes as it now takes. */
	for (i = 0; i < t->n_dims; i++)
		if (__builtin_mul_overflow(n, (size_t)t->dims[i], &n) || n > 1 << 14)
			return;
	size = kerf_dtype_size((enum kerf_dtype)t->data_type);
	data = kerf_arena_alloc(&m->arena, n * size + 8);
	for (i = 0; i < n; i++) {
		int64_t v = onnx_mutate_number(m);
		float f = (float)v;

		if (size)
			memcpy(data + i * size, t->data_type == KERF_F32 ? (void *)&f : &v, size);
	}
	t->has_raw_data = 1;
	t->raw_data.data = data;
	t->raw_data.len = n * size;
}

static inline void onnx_mutate_input(struct onnx_mutate *m)
{
	Onnx__ValueInfoProto *v;
	Onnx__TypeProto__Tensor *t;
	Onnx__TensorShapeProto__Dimension *d;

	if (!m->graph->n_input)
		return;
	v = m->graph->input[onnx_mutate_pick(m, m->graph->n_input)];
	t = v->type ? v->type->tensor_type : NULL;
	if (!t)
		return;
	if (!onnx_mutate_pick(m, 3))
		t->elem_type = 1 + (int32_t)onnx_mutate_pick(m, 16);
	if (!t->shape || !t->shape->n_dim)
		return;
	if (!onnx_mutate_pick(m, 6)) {
		t->shape->n_dim--;
		return;
	}
	d = t->shape->dim[onnx_mutate_pick(m, t->shape->n_dim)];
	d->has_dim_value = 1;
	d->dim_value = (int64_t)onnx_mutate_pick(m, 9);
}

static inline size_t onnx_mutate(uint8_t *data, size_t size, size_t max_size, unsigned int seed)
{
	struct onnx_mutate m = {.arena = {NULL}};
	ProtobufCAllocator a = {onnx_mutate_alloc, onnx_mutate_free, &m.arena};
	size_t packed, i;

	kerf_rng_seed(&m.rng, seed);
	m.model = onnx__model_proto__unpack(&a, size, data);
	m.graph = m.model ? m.model->graph : NULL;
	if (m.graph) {
		switch (onnx_mutate_pick(&m, 8)) {
		case 0:
			for (i = 0; i < m.model->n_opset_import; i++)
				m.model->opset_import[i]->version =
					1 + (int64_t)onnx_mutate_pick(&m, 21);
			break;
		case 1: onnx_mutate_tensor(&m); break;
		case 2: onnx_mutate_input(&m); break;
		default: onnx_mutate_node(&m); break;
		}
		/*
		 * A changed shape seldom is the declared one: then the check is all that is seen.
		 */
		for (i = 0; i < m.graph->n_output; i++)
			if (m.graph->output[i]->type && m.graph->output[i]->type->tensor_type)
				m.graph->output[i]->type = NULL;
		packed = onnx__model_proto__get_packed_size(m.model);
		if (packed <= max_size)
			size = onnx__model_proto__pack(m.model, data);
	}
	kerf_arena_finish(&m.arena);
	return size;
}

#endif
