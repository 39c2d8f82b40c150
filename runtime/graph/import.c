/* SPDX-License-Identifier: MIT */
#include "graph/import_priv.h"
#include "graph/op.h"
#include "graph/rewrite.h"
#include "util/digest.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MIN_OPSET 1
#define MAX_OPSET 21

/* --- Unpacking --- */

/*
 * A message of two bytes becomes a struct of a hundred, so what protobuf-c may
 * allocate is bounded by the size of what it unpacks.
 */
#define UNPACK_FACTOR 64
#define UNPACK_BASE ((size_t)1 << 20)

static void *budget_alloc(void *arg, size_t n)
{
	struct kerf_importer *im = arg;

	if (n > im->unpack_left)
		return NULL;
	im->unpack_left -= n;
	return malloc(n);
}

static void budget_free(void *arg, void *p)
{
	free(p);
}

static int unpack(struct kerf_importer *im)
{
	ProtobufCAllocator a = {budget_alloc, budget_free, im};
	int r = kerf_wire_split(im->data, im->size, &im->split, im->err);

	if (r)
		return r;
	im->unpack_left = im->split.rest_size * UNPACK_FACTOR + UNPACK_BASE;
	im->model = onnx__model_proto__unpack(&a, im->split.rest_size, im->split.rest);
	if (!im->model)
		return kerf_fail(im->err, -EINVAL,
				 "not an ONNX model: a field has the wrong type, or a name is no text");
	if (!im->model->graph)
		return kerf_fail(im->err, -EINVAL, "not an ONNX model: it has no graph");
	return 0;
}

static void unpack_finish(struct kerf_importer *im)
{
	ProtobufCAllocator a = {budget_alloc, budget_free, im};

	if (im->model)
		onnx__model_proto__free_unpacked(im->model, &a);
	kerf_wire_split_finish(&im->split);
}

/* --- Operator sets --- */

static bool is_standard(const char *domain)
{
	return !domain || !*domain || !strcmp(domain, "ai.onnx");
}

static bool same_domain(const char *a, const char *b)
{
	return is_standard(a) ? is_standard(b) : b && !strcmp(a, b);
}

static const char *domain_text(const char *domain)
{
	return is_standard(domain) ? "ai.onnx" : domain;
}

static int check_opsets(struct kerf_importer *im)
{
	size_t i;

	for (i = 0; i < im->model->n_opset_import; i++) {
		const Onnx__OperatorSetIdProto *o = im->model->opset_import[i];

		if (is_standard(o->domain) &&
		    (o->version < MIN_OPSET || o->version > MAX_OPSET))
			return kerf_fail(im->err, -EOPNOTSUPP,
					 "opset_import: ai.onnx is at version %lld, expected %d to %d",
					 (long long)o->version, MIN_OPSET, MAX_OPSET);
	}
	return 0;
}

/* Before IR version 3 there was one operator set, the first. */
static int64_t opset_of(const struct kerf_importer *im, const char *domain)
{
	int64_t version = is_standard(domain) && im->model->ir_version < 3 ? 1 : 0;
	size_t i;

	for (i = 0; i < im->model->n_opset_import; i++)
		if (same_domain(domain, im->model->opset_import[i]->domain))
			version = im->model->opset_import[i]->version;
	return version;
}

static int find_op(struct kerf_importer *im, const Onnx__NodeProto *n, int *opset,
		   const struct kerf_op_def **def)
{
	const char *type = n->op_type ? n->op_type : "";
	const char *domain = domain_text(n->domain);
	int64_t version = opset_of(im, n->domain);
	const struct kerf_op_def *d;
	uint32_t i;

	if (version < 1 || version > INT32_MAX)
		return kerf_fail(im->err, -EINVAL, "operator %.64s: opset_import has no domain %.64s",
				 type, domain);
	*opset = (int)version;
	*def = kerf_op_find(n->domain, type, *opset);
	if (*def && !((*def)->flags & KERF_OP_INTERNAL))
		return 0;
	for (i = 0; (d = kerf_op_at(i)); i++)
		if (!strcmp(d->name, type) && same_domain(d->domain, n->domain) &&
		    !(d->flags & KERF_OP_INTERNAL))
			return kerf_fail(im->err, -EOPNOTSUPP,
					 "operator %.64s (%.64s) is not supported at opset %d; "
					 "it is from opset %d",
					 type, domain, *opset, d->since);
	return kerf_fail(im->err, -EOPNOTSUPP, "operator %.64s (%.64s, opset %d) is not supported",
			 type, domain, *opset);
}

/* --- Attributes --- */

enum attr_type { /* ONNX's AttributeProto.AttributeType */
	ATTR_NONE,
	ATTR_FLOAT,
	ATTR_INT,
	ATTR_STRING,
	ATTR_TENSOR,
	ATTR_GRAPH,
	ATTR_FLOATS,
	ATTR_INTS,
	ATTR_STRINGS,
	ATTR_TENSORS,
	ATTR_GRAPHS,
	ATTR_SPARSE_TENSOR,
	ATTR_SPARSE_TENSORS,
	ATTR_TYPE_PROTO,
	ATTR_TYPE_PROTOS,
};

static const char *const attr_type_name[] = {
	"nothing",  "FLOAT",   "INT",	  "STRING", "TENSOR",	     "GRAPH",	       "FLOATS", "INTS",
	"STRINGS", "TENSORS", "GRAPHS", "SPARSE_TENSOR", "SPARSE_TENSORS", "TYPE_PROTO",
	"TYPE_PROTOS",
};

/* Files of IR version 1 do not say the type. */
static int attr_type(const Onnx__AttributeProto *a)
{
	if (a->has_type && a->type)
		return a->type;
	return a->has_f			 ? ATTR_FLOAT
	       : a->has_i		 ? ATTR_INT
	       : a->has_s		 ? ATTR_STRING
	       : a->has_t_offset	 ? ATTR_TENSOR
	       : a->has_g		 ? ATTR_GRAPH
	       : a->n_floats		 ? ATTR_FLOATS
	       : a->n_ints		 ? ATTR_INTS
	       : a->n_strings		 ? ATTR_STRINGS
					 : ATTR_NONE;
}

static int read_attr_tensor(struct kerf_importer *im, const Onnx__AttributeProto *a,
			    struct kerf_attr *out)
{
	struct kerf_wire_range range;
	struct kerf_wire_tensor w;
	int r;

	if (!kerf_import_attr_range(im, a, &range))
		return kerf_fail(im->err, -EINVAL, "a TENSOR is announced and missing");
	r = kerf_wire_tensor_parse(range, &w, im->err);
	if (r)
		return r;
	if (w.external)
		return kerf_fail(im->err, -EOPNOTSUPP, "external data is not supported here");
	out->t = w.t;
	out->t.data = calloc(1, kerf_tensor_bytes(&w.t) + 1);
	if (!out->t.data)
		return -ENOMEM;
	kerf_wire_tensor_decode(&w, out->t.data);
	return 0;
}

/* A list of words as one string, joined by commas: activations of recurrent operators. */
static int join_strings(struct kerf_importer *im, const Onnx__AttributeProto *a, char **out)
{
	size_t i, n = 1;
	char *p;

	for (i = 0; i < a->n_strings; i++) {
		if (a->strings[i].len && memchr(a->strings[i].data, ',', a->strings[i].len))
			return kerf_fail(im->err, -EOPNOTSUPP, "a list of strings that hold commas");
		n += a->strings[i].len + 1;
	}
	p = *out = calloc(1, n);
	if (!p)
		return -ENOMEM;
	for (i = 0; i < a->n_strings; i++) {
		if (i)
			*p++ = ',';
		if (a->strings[i].len)
			memcpy(p, a->strings[i].data, a->strings[i].len);
		p += a->strings[i].len;
	}
	return 0;
}

/* STRING and TENSOR contents are allocated; free_attr releases them. */
static int read_attr(struct kerf_importer *im, const Onnx__AttributeProto *a,
		     struct kerf_attr *out)
{
	int type = attr_type(a);

	out->name = a->name ? a->name : "";
	if (a->ref_attr_name && *a->ref_attr_name)
		return kerf_fail(im->err, -EOPNOTSUPP, "a reference to a function's attribute");
	switch (type) {
	case ATTR_FLOAT:
		out->type = KERF_ATTR_FLOAT;
		out->f = a->f;
		return 0;
	case ATTR_INT:
		out->type = KERF_ATTR_INT;
		out->i = a->i;
		return 0;
	case ATTR_STRING:
		out->type = KERF_ATTR_STRING;
		out->s = strndup(a->s.data ? (const char *)a->s.data : "", a->s.len);
		return out->s ? 0 : -ENOMEM;
	case ATTR_STRINGS:
		out->type = KERF_ATTR_STRING;
		return join_strings(im, a, (char **)&out->s);
	case ATTR_FLOATS:
		out->type = KERF_ATTR_FLOATS;
		out->n = (uint32_t)a->n_floats;
		out->floats = a->floats;
		return 0;
	case ATTR_INTS:
		out->type = KERF_ATTR_INTS;
		out->n = (uint32_t)a->n_ints;
		out->ints = a->ints;
		return 0;
	case ATTR_TENSOR: out->type = KERF_ATTR_TENSOR; return read_attr_tensor(im, a, out);
	}
	return kerf_fail(im->err, -EOPNOTSUPP, "type %s is not supported",
			 type > 0 && type < (int)KERF_ARRAY_SIZE(attr_type_name)
				 ? attr_type_name[type]
				 : "unknown");
}

static void free_attrs(struct kerf_attr *attr, size_t n)
{
	size_t i;

	for (i = 0; attr && i < n; i++) {
		if (attr[i].type == KERF_ATTR_STRING)
			free((char *)attr[i].s);
		if (attr[i].type == KERF_ATTR_TENSOR)
			free(attr[i].t.data);
	}
	free(attr);
}

static int read_attrs(struct kerf_importer *im, const Onnx__NodeProto *n, struct kerf_attr **out)
{
	struct kerf_attr *attr = calloc(n->n_attribute + 1, sizeof(*attr));
	size_t i;
	int r = attr ? 0 : -ENOMEM;

	for (i = 0; !r && i < n->n_attribute; i++) {
		r = read_attr(im, n->attribute[i], &attr[i]);
		if (r && im->err && im->err->msg[0])
			kerf_err_prefix(im->err, "attribute '%.64s'", attr[i].name);
	}
	*out = attr;
	return r;
}

/* --- Nodes --- */

/* Names a node in a sentence as its author can find it. */
static int node_error(struct kerf_importer *im, const Onnx__NodeProto *n, size_t index, int r)
{
	if (!im->err || !im->err->msg[0])
		return r;
	if (n->name && *n->name)
		kerf_err_prefix(im->err, "node '%.128s' (%.64s)", n->name,
				n->op_type ? n->op_type : "no op_type");
	else
		kerf_err_prefix(im->err, "node %zu (%.64s)", index,
				n->op_type ? n->op_type : "no op_type");
	return r;
}

static bool is_constant(const Onnx__NodeProto *n)
{
	return is_standard(n->domain) && n->op_type && !strcmp(n->op_type, "Constant");
}

static int copy_constant(struct kerf_importer *im, enum kerf_dtype dtype, int rank, size_t n,
			 const void *data, struct kerf_tensor *t)
{
	*t = (struct kerf_tensor){.dtype = dtype, .rank = rank, .dims = {(int64_t)n}};
	t->data = kerf_graph_alloc(im->g, n * kerf_dtype_size(dtype));
	if (!t->data)
		return -ENOMEM;
	if (n)
		memcpy(t->data, data, n * kerf_dtype_size(dtype));
	return 0;
}

/* A Constant node is a constant, not an operator. */
static int read_constant(struct kerf_importer *im, const Onnx__NodeProto *n, struct kerf_tensor *t)
{
	const Onnx__AttributeProto *a = n->n_attribute == 1 ? n->attribute[0] : NULL;
	struct kerf_wire_range range;

	if (!a || !a->name || n->n_input)
		return kerf_fail(im->err, -EINVAL, "%zu attributes and %zu inputs, expected 1 and 0",
				 n->n_attribute, n->n_input);
	if (!strcmp(a->name, "value") && kerf_import_attr_range(im, a, &range))
		return kerf_import_tensor(im, range, "attribute value, tensor", t);
	if (!strcmp(a->name, "value_float"))
		return copy_constant(im, KERF_F32, 0, 1, &a->f, t);
	if (!strcmp(a->name, "value_int"))
		return copy_constant(im, KERF_I64, 0, 1, &a->i, t);
	if (!strcmp(a->name, "value_floats"))
		return copy_constant(im, KERF_F32, 1, a->n_floats, a->floats, t);
	if (!strcmp(a->name, "value_ints"))
		return copy_constant(im, KERF_I64, 1, a->n_ints, a->ints, t);
	return kerf_fail(im->err, -EOPNOTSUPP, "attribute '%.64s' is not supported", a->name);
}

static int add_value(struct kerf_importer *im, const char *name, const struct kerf_tensor *t)
{
	int32_t id = kerf_graph_add_value(im->g, name, t);
	int r;

	if (id < 0)
		return id;
	r = kerf_names_add(&im->values, name, id, NULL);
	return r == -EEXIST ? kerf_fail(im->err, -EINVAL,
					"'%.128s' is made twice: names of inputs, initializers and "
					"node outputs must differ",
					name)
			    : r;
}

/* Before all else: an operator we lack explains what else is strange about a model. */
static int check_ops(struct kerf_importer *im)
{
	const Onnx__GraphProto *graph = im->model->graph;
	const struct kerf_op_def *def;
	size_t i;
	int opset, r;

	for (i = 0; i < graph->n_node; i++) {
		r = is_constant(graph->node[i]) ? 0 : find_op(im, graph->node[i], &opset, &def);
		if (r)
			return node_error(im, graph->node[i], i, r);
	}
	return 0;
}

/* First the values that nodes make, so that nodes may stand in any order. */
static int add_node_outputs(struct kerf_importer *im, const Onnx__NodeProto *n)
{
	struct kerf_tensor t = {0};
	size_t i;
	int r = 0;

	if (is_constant(n)) {
		if (n->n_output != 1 || !*n->output[0])
			return kerf_fail(im->err, -EINVAL, "it must have one output");
		r = read_constant(im, n, &t);
	}
	for (i = 0; !r && i < n->n_output; i++)
		if (*n->output[i])
			r = add_value(im, n->output[i], &t);
	return r;
}

static int resolve(struct kerf_importer *im, char *const *name, size_t n, int32_t *id)
{
	size_t i;

	for (i = 0; i < n; i++) {
		int64_t at = -1;

		if (*name[i] && !kerf_names_find(&im->values, name[i], &at))
			return kerf_fail(im->err, -EINVAL,
					 "input %zu '%.128s' is no input, initializer or node output",
					 i, name[i]);
		id[i] = (int32_t)at;
	}
	return 0;
}

/* name, or if it is taken one made of it and a number; NULL if out of memory. */
static const char *unique_op_name(struct kerf_importer *im, const char *name, size_t number)
{
	size_t size = strlen(name) + 48;
	int r = kerf_names_add(&im->ops, name, 0, NULL);
	unsigned k;
	char *made;

	if (r != -EEXIST)
		return r ? NULL : name;
	made = kerf_arena_alloc(&im->g->arena, size);
	if (!made)
		return NULL;
	/* Each try has another name: there are at most as many as names taken. */
	for (k = 0; r == -EEXIST; k++) {
		snprintf(made, size, k ? "%s.%zu.%u" : "%s.%zu", name, number, k);
		r = kerf_names_add(&im->ops, made, 0, NULL);
	}
	return r ? NULL : made;
}

static int add_node(struct kerf_importer *im, const Onnx__NodeProto *n, size_t index)
{
	size_t n_id = n->n_input + n->n_output;
	const struct kerf_op_def *def = NULL;
	struct kerf_attr *attr = NULL;
	int32_t *id = NULL;
	const char *name;
	int opset = 0, k, r;

	if (is_constant(n))
		return 0;
	r = find_op(im, n, &opset, &def);
	if (r)
		return r;
	if (n_id > INT16_MAX)
		return kerf_fail(im->err, -EFBIG, "%zu inputs and outputs", n_id);
	name = unique_op_name(im, n->name && *n->name ? n->name : n->op_type, index);
	id = calloc(n_id + 1, sizeof(*id));
	r = name && id ? read_attrs(im, n, &attr) : -ENOMEM;
	if (!r)
		r = resolve(im, n->input, n->n_input, id);
	if (!r)
		r = resolve(im, n->output, n->n_output, id + n->n_input);
	for (k = 0; !r && k < def->min_out; k++)
		if (k >= (int)n->n_output || !*n->output[k])
			r = kerf_fail(im->err, -EINVAL, "output %d is missing", k);
	if (!r)
		r = kerf_graph_add_op(im->g, def, name, opset, (int)n->n_input, id,
				      (int)n->n_output, id + n->n_input, (uint32_t)n->n_attribute,
				      attr);
	free_attrs(attr, n->n_attribute);
	free(id);
	return r < 0 ? r : 0;
}

static int add_nodes(struct kerf_importer *im)
{
	const Onnx__GraphProto *graph = im->model->graph;
	size_t i;
	int r = 0;

	for (i = 0; !r && i < graph->n_node; i++) {
		r = add_node_outputs(im, graph->node[i]);
		if (r)
			return node_error(im, graph->node[i], i, r);
	}
	for (i = 0; !r && i < graph->n_node; i++) {
		r = add_node(im, graph->node[i], i);
		if (r)
			return node_error(im, graph->node[i], i, r);
	}
	return 0;
}

/* --- Initializers and outputs --- */

static int add_initializers(struct kerf_importer *im)
{
	uint32_t i;
	int r = 0;

	for (i = 0; !r && i < im->split.n_tensor; i++) {
		struct kerf_wire_tensor w;
		struct kerf_tensor t;
		char *name;

		r = kerf_import_tensor(im, im->split.tensor[i], "initializer", &t);
		if (r)
			break;
		kerf_wire_tensor_parse(im->split.tensor[i], &w, NULL);
		if (!w.full_name.size || memchr(w.full_name.data, 0, w.full_name.size))
			return kerf_fail(im->err, -EINVAL, "initializer %u has no name", i);
		name = kerf_arena_alloc(&im->g->arena, w.full_name.size + 1);
		if (!name)
			return -ENOMEM;
		memcpy(name, w.full_name.data, w.full_name.size);
		r = add_value(im, name, &t);
	}
	return r;
}

/* What a constant is called that gives its name to an output; NULL if out of memory. */
static const char *constant_name(struct kerf_importer *im, const char *name)
{
	size_t size = strlen(name) + 24;
	char *made = kerf_arena_alloc(&im->g->arena, size);
	int64_t at;
	unsigned k;

	if (!made)
		return NULL;
	snprintf(made, size, "%s.constant", name);
	for (k = 0; kerf_names_find(&im->values, made, &at); k++)
		snprintf(made, size, "%s.constant%u", name, k);
	return kerf_names_add(&im->values, made, 0, NULL) ? NULL : made;
}

/*
 * An output that is a graph input or a constant goes through Identity, because an
 * output is what an operator makes. It takes the name; a constant gives its up.
 */
static int add_identity(struct kerf_importer *im, int32_t *id)
{
	const struct kerf_op_def *def = kerf_op_find(NULL, "Identity", MAX_OPSET);
	struct kerf_graph *g = im->g;
	const char *name = g->value[*id].name;
	struct kerf_tensor t = g->value[*id].t;
	const char *op;
	int32_t out;
	int r;

	if (!def)
		return kerf_fail(im->err, -EOPNOTSUPP, "output '%.128s' needs Identity", name);
	if (t.data) {
		g->value[*id].name = constant_name(im, name);
		if (!g->value[*id].name)
			return -ENOMEM;
	}
	t.data = NULL;
	out = kerf_graph_add_value(g, name, &t);
	if (out < 0)
		return out;
	op = unique_op_name(im, "Identity", (size_t)out);
	if (!op)
		return -ENOMEM;
	r = kerf_graph_add_op(g, def, op, MAX_OPSET, 1, id, 1, &out, 0, NULL);
	*id = out;
	return r < 0 ? r : 0;
}

static int add_outputs(struct kerf_importer *im)
{
	const Onnx__GraphProto *graph = im->model->graph;
	struct kerf_names seen = {NULL};
	size_t i;
	int r = 0;

	if (!graph->n_output)
		return kerf_fail(im->err, -EINVAL, "the graph has no output");
	for (i = 0; !r && i < graph->n_output; i++) {
		const char *name = graph->output[i]->name ? graph->output[i]->name : "";
		int64_t at;
		int32_t id;

		if (!*name || !kerf_names_find(&im->values, name, &at)) {
			r = kerf_fail(im->err, -EINVAL,
				      "output '%.128s' is no input, initializer or node output", name);
			break;
		}
		r = kerf_names_add(&seen, name, 0, NULL);
		if (r == -EEXIST)
			kerf_fail(im->err, -EINVAL, "output '%.128s' is there twice", name);
		id = (int32_t)at;
		if (!r && im->g->value[id].producer < 0)
			r = add_identity(im, &id);
		if (!r)
			r = kerf_graph_add_output(im->g, id);
	}
	kerf_names_finish(&seen);
	return r == -EEXIST ? -EINVAL : r;
}

/* --- The whole --- */

static int build(struct kerf_importer *im)
{
	int r = unpack(im);

	if (!r && im->model->graph->name) {
		im->g->name = kerf_arena_strdup(&im->g->arena, im->model->graph->name);
		r = im->g->name ? 0 : -ENOMEM;
	}
	if (!r)
		r = check_opsets(im);
	if (!r)
		r = check_ops(im);
	if (!r)
		r = kerf_import_find_packed(im);
	if (!r)
		r = add_initializers(im);
	if (!r)
		r = kerf_import_inputs(im);
	if (!r)
		r = add_nodes(im);
	if (!r)
		r = add_outputs(im);
	if (!r)
		r = kerf_graph_tidy(im->g, im->err);
	if (!r)
		r = kerf_import_infer(im);
	if (!r)
		r = kerf_graph_tidy(im->g, im->err);
	if (!r && !im->opt.no_rewrite)
		r = kerf_rewrite(im->g, im->err);
	if (!r)
		r = kerf_import_exits(im);
	if (!r)
		r = kerf_graph_verify(im->g, im->err);
	return r;
}

/* Takes g; on success it is *out. */
static int import(struct kerf_graph *g, const uint8_t *data, size_t size, const char *folder,
		  const struct kerf_load_options *opt, struct kerf_graph **out,
		  struct kerf_err *err)
{
	struct kerf_importer im = {
		.g = g, .err = err, .data = data, .size = size, .folder = folder};
	int r;

	if (opt)
		im.opt = *opt;
	r = build(&im);
	unpack_finish(&im);
	kerf_names_finish(&im.values);
	kerf_names_finish(&im.ops);
	kerf_names_finish(&im.ext);
	kerf_names_finish(&im.packed);
	kerf_names_finish(&im.read);
	if (r) {
		if (r == -ENOMEM)
			kerf_fail(err, r, "out of memory");
		kerf_graph_unref(g);
		return kerf_fail(err, r, "cannot be loaded: %s", strerror(-r));
	}
	kerf_graph_freeze(g);
	*out = g;
	return 0;
}

static char *folder_of(const char *path)
{
	const char *slash = strrchr(path, '/');

	if (!slash)
		return strdup(".");
	return strndup(path, slash == path ? 1 : (size_t)(slash - path));
}

int kerf_model_load(const char *path, const struct kerf_load_options *opt, struct kerf_graph **out,
		    struct kerf_err *err)
{
	struct kerf_file *f;
	struct kerf_graph *g;
	char *folder;
	int r = kerf_file_map(path, &f, err);

	if (r)
		return r;
	g = kerf_graph_new("");
	folder = folder_of(path);
	if (!g || !folder) {
		kerf_graph_unref(g);
		kerf_file_unref(f);
		free(folder);
		return -ENOMEM;
	}
	g->file = f;
	r = import(g, f->data, f->size, folder, opt, out, err);
	free(folder);
	if (r)
		kerf_err_prefix(err, "%s", path);
	return r;
}

int kerf_model_parse(const void *data, size_t size, const char *folder,
		     const struct kerf_load_options *opt, struct kerf_graph **out,
		     struct kerf_err *err)
{
	struct kerf_graph *g = kerf_graph_new("");

	if (!g)
		return -ENOMEM;
	kerf_sha256(data, size, g->digest);
	g->has_digest = true;
	return import(g, data, size, folder, opt, out, err);
}

int kerf_input_fix_parse(const char *text, struct kerf_input_fix *fix, struct kerf_err *err)
{
	const char *colon = strrchr(text, ':'), *p;

	memset(fix, 0, sizeof(*fix));
	if (!colon || colon == text)
		return kerf_fail(err, -EINVAL, "'%.128s': expected NAME:DIM,DIM,...", text);
	for (p = colon + 1; *p;) {
		char *end;
		long long dim;

		errno = 0;
		dim = strtoll(p, &end, 10);
		if (*p < '0' || *p > '9' || errno || (*end && *end != ',') ||
		    (*end == ',' && !end[1]))
			return kerf_fail(err, -EINVAL, "'%.128s': '%.32s' is not a list of dims",
					 text, colon + 1);
		if (fix->t.rank == KERF_MAX_RANK)
			return kerf_fail(err, -EINVAL, "'%.128s': more than %d dims", text,
					 KERF_MAX_RANK);
		fix->t.dims[fix->t.rank++] = dim;
		p = *end ? end + 1 : end;
	}
	fix->name = strndup(text, (size_t)(colon - text));
	return fix->name ? 0 : -ENOMEM;
}
