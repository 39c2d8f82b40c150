/* SPDX-License-Identifier: MIT */
/*
 * Small ONNX models made in memory, for tests: add parts, then pack. Everything made
 * lives in the builder's arena until onnx_build_finish. Lists are text: "a,,b" for
 * names, "N,3,224" for shapes (a part that is no number is a symbol, "?" is unknown).
 */
#ifndef KERF_TESTS_ONNX_BUILD_H
#define KERF_TESTS_ONNX_BUILD_H

#include "util/arena.h"

#include "onnx.pb-c.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

struct onnx_build {
	struct kerf_arena arena;
	Onnx__ModelProto model;
	Onnx__GraphProto graph;
};

static inline void *onnx_build_alloc(struct onnx_build *b, size_t n)
{
	void *p = kerf_arena_alloc(&b->arena, n);

	if (!p)
		abort();
	return p;
}

/* Appends p to a repeated message field (*list, *n). */
static inline void onnx_build_append(struct onnx_build *b, void *list, size_t *n, void *p)
{
	void ***at = list, **more = onnx_build_alloc(b, (*n + 1) * sizeof(*more));

	if (*n)
		memcpy(more, *at, *n * sizeof(*more));
	more[(*n)++] = p;
	*at = more;
}

static inline void onnx_build_opset(struct onnx_build *b, const char *domain, int64_t version)
{
	Onnx__OperatorSetIdProto *o = onnx_build_alloc(b, sizeof(*o));

	onnx__operator_set_id_proto__init(o);
	o->domain = kerf_arena_strdup(&b->arena, domain);
	o->has_version = 1;
	o->version = version;
	onnx_build_append(b, &b->model.opset_import, &b->model.n_opset_import, o);
}

static inline void onnx_build_metadata(struct onnx_build *b, const char *key, const char *value)
{
	Onnx__StringStringEntryProto *e = onnx_build_alloc(b, sizeof(*e));

	onnx__string_string_entry_proto__init(e);
	e->key = key ? kerf_arena_strdup(&b->arena, key) : NULL;
	e->value = value ? kerf_arena_strdup(&b->arena, value) : NULL;
	onnx_build_append(b, &b->model.metadata_props, &b->model.n_metadata_props, e);
}

static inline void onnx_build_init(struct onnx_build *b, int opset)
{
	memset(b, 0, sizeof(*b));
	onnx__model_proto__init(&b->model);
	onnx__graph_proto__init(&b->graph);
	b->model.has_ir_version = 1;
	b->model.ir_version = 8;
	b->model.graph = &b->graph;
	b->graph.name = kerf_arena_strdup(&b->arena, "test");
	if (opset)
		onnx_build_opset(b, "", opset);
}

static inline void onnx_build_finish(struct onnx_build *b)
{
	kerf_arena_finish(&b->arena);
}

static inline char **onnx_build_names(struct onnx_build *b, const char *text, size_t *n)
{
	char *copy = kerf_arena_strdup(&b->arena, text), *part, **list = NULL;

	*n = 0;
	while (*text && (part = strsep(&copy, ",")))
		onnx_build_append(b, &list, n, part);
	return list;
}

static inline Onnx__NodeProto *onnx_build_node(struct onnx_build *b, const char *type,
					       const char *in, const char *out)
{
	Onnx__NodeProto *n = onnx_build_alloc(b, sizeof(*n));

	onnx__node_proto__init(n);
	n->op_type = kerf_arena_strdup(&b->arena, type);
	n->input = onnx_build_names(b, in, &n->n_input);
	n->output = onnx_build_names(b, out, &n->n_output);
	onnx_build_append(b, &b->graph.node, &b->graph.n_node, n);
	return n;
}

static inline Onnx__AttributeProto *onnx_build_attr(struct onnx_build *b, Onnx__NodeProto *n,
						    const char *name, int type)
{
	Onnx__AttributeProto *a = onnx_build_alloc(b, sizeof(*a));

	onnx__attribute_proto__init(a);
	a->name = kerf_arena_strdup(&b->arena, name);
	a->has_type = 1;
	a->type = type;
	onnx_build_append(b, &n->attribute, &n->n_attribute, a);
	return a;
}

static inline void onnx_build_int(struct onnx_build *b, Onnx__NodeProto *n, const char *name,
				  int64_t v)
{
	Onnx__AttributeProto *a = onnx_build_attr(b, n, name, 2);

	a->has_i = 1;
	a->i = v;
}

static inline void onnx_build_ints(struct onnx_build *b, Onnx__NodeProto *n, const char *name,
				   const int64_t *v, size_t count)
{
	Onnx__AttributeProto *a = onnx_build_attr(b, n, name, 7);

	a->ints = kerf_arena_dup(&b->arena, v, count * sizeof(*v));
	a->n_ints = count;
}

static inline Onnx__TensorProto *onnx_build_tensor(struct onnx_build *b, const char *name,
						   int dtype, const int64_t *dims, size_t rank)
{
	Onnx__TensorProto *t = onnx_build_alloc(b, sizeof(*t));

	onnx__tensor_proto__init(t);
	t->name = kerf_arena_strdup(&b->arena, name);
	t->has_data_type = 1;
	t->data_type = dtype;
	t->n_dims = rank;
	t->dims = kerf_arena_dup(&b->arena, dims, rank * sizeof(*dims));
	return t;
}

/* A tensor of rank 1 with raw_data. */
static inline Onnx__TensorProto *onnx_build_raw(struct onnx_build *b, const char *name, int dtype,
						const void *data, size_t count, size_t size)
{
	Onnx__TensorProto *t = onnx_build_tensor(b, name, dtype, (int64_t[]){(int64_t)count}, 1);

	t->has_raw_data = 1;
	t->raw_data.len = count * size;
	t->raw_data.data = kerf_arena_dup(&b->arena, data, count * size);
	return t;
}

static inline void onnx_build_initializer(struct onnx_build *b, Onnx__TensorProto *t)
{
	onnx_build_append(b, &b->graph.initializer, &b->graph.n_initializer, t);
}

static inline Onnx__ValueInfoProto *onnx_build_value(struct onnx_build *b, const char *name,
						     int dtype, const char *shape)
{
	Onnx__ValueInfoProto *v = onnx_build_alloc(b, sizeof(*v));
	Onnx__TypeProto *type = onnx_build_alloc(b, sizeof(*type));
	Onnx__TypeProto__Tensor *t = onnx_build_alloc(b, sizeof(*t));
	Onnx__TensorShapeProto *s = onnx_build_alloc(b, sizeof(*s));
	char **part;
	size_t n, i;

	onnx__value_info_proto__init(v);
	onnx__type_proto__init(type);
	onnx__type_proto__tensor__init(t);
	onnx__tensor_shape_proto__init(s);
	v->name = kerf_arena_strdup(&b->arena, name);
	v->type = type;
	type->tensor_type = t;
	t->has_elem_type = 1;
	t->elem_type = dtype;
	if (!shape)
		return v;
	t->shape = s;
	part = onnx_build_names(b, shape, &n);
	for (i = 0; i < n; i++) {
		Onnx__TensorShapeProto__Dimension *d = onnx_build_alloc(b, sizeof(*d));
		char *end;

		onnx__tensor_shape_proto__dimension__init(d);
		d->dim_value = strtoll(part[i], &end, 10);
		d->has_dim_value = !*end;
		if (*end && strcmp(part[i], "?"))
			d->dim_param = part[i];
		onnx_build_append(b, &s->dim, &s->n_dim, d);
	}
	return v;
}

static inline Onnx__ValueInfoProto *onnx_build_input(struct onnx_build *b, const char *name,
						     int dtype, const char *shape)
{
	Onnx__ValueInfoProto *v = onnx_build_value(b, name, dtype, shape);

	onnx_build_append(b, &b->graph.input, &b->graph.n_input, v);
	return v;
}

static inline Onnx__ValueInfoProto *onnx_build_output(struct onnx_build *b, const char *name,
						      int dtype, const char *shape)
{
	Onnx__ValueInfoProto *v = onnx_build_value(b, name, dtype, shape);

	onnx_build_append(b, &b->graph.output, &b->graph.n_output, v);
	return v;
}

/* In the arena. */
static inline uint8_t *onnx_build_pack(struct onnx_build *b, size_t *size)
{
	uint8_t *p;

	*size = onnx__model_proto__get_packed_size(&b->model);
	p = onnx_build_alloc(b, *size);
	onnx__model_proto__pack(&b->model, p);
	return p;
}

#endif
