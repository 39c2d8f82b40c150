/* SPDX-License-Identifier: MIT */
#include "graph/import_priv.h"
#include "graph/op.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct kerf_input_fix *find_fix(const struct kerf_importer *im, const char *name)
{
	uint32_t i;

	for (i = 0; i < im->opt.n_fix; i++)
		if (!strcmp(im->opt.fix[i].name, name))
			return &im->opt.fix[i];
	return NULL;
}

/* The operator that a sentence about a value should name: one that reads or makes it. */
static const char *user_of(const struct kerf_importer *im, const char *name)
{
	const Onnx__GraphProto *graph = im->model->graph;
	size_t i, k;

	for (i = 0; i < graph->n_node; i++) {
		const Onnx__NodeProto *n = graph->node[i];

		for (k = 0; k < n->n_input; k++)
			if (!strcmp(n->input[k], name))
				return n->op_type;
		for (k = 0; k < n->n_output; k++)
			if (!strcmp(n->output[k], name))
				return n->op_type;
	}
	return "no node";
}

/* Inputs and outputs are tensors of a dtype we have, or refused by the name of their kind. */
static int check_type(struct kerf_importer *im, const Onnx__ValueInfoProto *v, const char *what)
{
	const Onnx__TypeProto *t = v->type;
	enum kerf_dtype dtype = KERF_NONE;
	const char *kind;

	if (t && t->tensor_type)
		dtype = (enum kerf_dtype)t->tensor_type->elem_type;
	if (kerf_dtype_size(dtype))
		return 0;
	kind = !t			   ? "nothing"
	       : t->tensor_type		   ? kerf_dtype_name(dtype)
	       : t->has_sequence_type	   ? "sequence"
	       : t->has_map_type	   ? "map"
	       : t->has_optional_type	   ? "optional"
	       : t->has_sparse_tensor_type ? "sparse_tensor"
					   : "nothing";
	return kerf_fail(im->err, -EOPNOTSUPP,
			 "%s '%.128s' of operator %.64s has type %s (%d), expected a tensor of numbers",
			 what, v->name, user_of(im, v->name), kind, (int)dtype);
}

static bool is_symbolic(const Onnx__TensorShapeProto__Dimension *d)
{
	return !d->has_dim_value || d->dim_value < 0;
}

/* Checks one fix against the declaration and binds the names of dims it decides. */
static int bind_symbols(struct kerf_importer *im, const Onnx__ValueInfoProto *v,
			const struct kerf_input_fix *fix, struct kerf_names *symbols)
{
	const Onnx__TensorShapeProto *s = v->type->tensor_type->shape;
	enum kerf_dtype dtype = (enum kerf_dtype)v->type->tensor_type->elem_type;
	struct kerf_tensor given = fix->t;
	char text[KERF_SHAPE_TEXT];
	size_t i;

	given.dtype = dtype;
	if (kerf_tensor_check(&given))
		return kerf_fail(im->err, -EINVAL, "input '%.128s': %s is not a shape, or too large",
				 v->name, kerf_tensor_text(&given, text));
	if (fix->t.data && fix->t.dtype != dtype)
		return kerf_fail(im->err, -EINVAL, "input '%.128s': bound to %s, expected %s",
				 v->name, kerf_dtype_name(fix->t.dtype), kerf_dtype_name(dtype));
	if (!s)
		return 0;
	if (s->n_dim != (size_t)fix->t.rank)
		return kerf_fail(im->err, -EINVAL,
				 "input '%.128s': shape given has rank %d, the model's has %zu",
				 v->name, fix->t.rank, s->n_dim);
	for (i = 0; i < s->n_dim; i++) {
		const Onnx__TensorShapeProto__Dimension *d = s->dim[i];
		int64_t want = fix->t.dims[i], old;
		int r;

		/* A declared 0 is how some writers say "unknown". */
		if (!is_symbolic(d) && d->dim_value && d->dim_value != want)
			return kerf_fail(im->err, -EINVAL,
					 "input '%.128s': axis %zu is %lld in the model, %lld given",
					 v->name, i, (long long)d->dim_value, (long long)want);
		if (!is_symbolic(d) || !d->dim_param || !*d->dim_param)
			continue;
		r = kerf_names_add(symbols, d->dim_param, want, &old);
		if (r == -EEXIST && old != want)
			return kerf_fail(im->err, -EINVAL,
					 "input '%.128s': axis %zu ('%.64s') is given as %lld, "
					 "elsewhere as %lld",
					 v->name, i, d->dim_param, (long long)want,
					 (long long)old);
		if (r == -ENOMEM)
			return r;
	}
	return 0;
}

static int input_shape(struct kerf_importer *im, const Onnx__ValueInfoProto *v,
		       const struct kerf_input_fix *fix, const struct kerf_names *symbols,
		       struct kerf_tensor *t)
{
	const Onnx__TensorShapeProto *s = v->type->tensor_type->shape;
	int64_t absent = im->opt.default_dim > 0 ? im->opt.default_dim : 1;
	char text[KERF_SHAPE_TEXT];
	size_t i;

	memset(t, 0, sizeof(*t));
	t->dtype = (enum kerf_dtype)v->type->tensor_type->elem_type;
	if (fix) {
		t->rank = fix->t.rank;
		memcpy(t->dims, fix->t.dims, sizeof(t->dims));
	} else if (!s) {
		return kerf_fail(im->err, -EINVAL,
				 "input '%.128s' has no shape in the model: give one", v->name);
	} else if (s->n_dim > KERF_MAX_RANK) {
		return kerf_fail(im->err, -EOPNOTSUPP, "input '%.128s' has rank %zu, at most %d",
				 v->name, s->n_dim, KERF_MAX_RANK);
	} else {
		t->rank = (int)s->n_dim;
		for (i = 0; i < s->n_dim; i++) {
			const Onnx__TensorShapeProto__Dimension *d = s->dim[i];

			t->dims[i] = is_symbolic(d) ? absent : d->dim_value;
			if (is_symbolic(d) && d->dim_param)
				kerf_names_find(symbols, d->dim_param, &t->dims[i]);
		}
	}
	if (kerf_tensor_check(t))
		return kerf_fail(im->err, -EINVAL, "input '%.128s': %s is not a shape, or too large",
				 v->name, kerf_tensor_text(t, text));
	return 0;
}

static int bind_data(struct kerf_importer *im, const struct kerf_input_fix *fix,
		     struct kerf_tensor *t)
{
	t->data = kerf_graph_alloc(im->g, kerf_tensor_bytes(t));
	if (!t->data)
		return -ENOMEM;
	memcpy(t->data, fix->t.data, kerf_tensor_bytes(t));
	return 0;
}

static int add_input(struct kerf_importer *im, const Onnx__ValueInfoProto *v,
		     const struct kerf_names *symbols)
{
	const struct kerf_input_fix *fix = find_fix(im, v->name);
	struct kerf_graph *g = im->g;
	struct kerf_tensor t;
	int64_t known = -1;
	int32_t id;
	int r;

	/* An input that has an initializer is a constant with a name, unless it is given. */
	if (kerf_names_find(&im->values, v->name, &known) && !fix)
		return 0;
	r = input_shape(im, v, fix, symbols, &t);
	if (!r && fix && fix->t.data)
		r = bind_data(im, fix, &t);
	if (r)
		return r;
	if (known >= 0) {
		id = (int32_t)known;
		g->value[id].t = t;
	} else {
		id = kerf_graph_add_value(g, v->name, &t);
		if (id < 0)
			return id;
		r = kerf_names_add(&im->values, v->name, id, NULL);
		if (r)
			return r;
	}
	return t.data ? 0 : kerf_graph_add_input(g, id);
}

int kerf_import_inputs(struct kerf_importer *im)
{
	const Onnx__GraphProto *graph = im->model->graph;
	struct kerf_names symbols = {NULL}, names = {NULL};
	uint32_t k;
	size_t i;
	int r = 0;

	for (i = 0; !r && i < graph->n_input; i++) {
		const Onnx__ValueInfoProto *v = graph->input[i];
		const struct kerf_input_fix *fix;

		if (!v->name || !*v->name) {
			r = kerf_fail(im->err, -EINVAL, "input %zu has no name", i);
			break;
		}
		r = check_type(im, v, "input");
		if (!r)
			r = kerf_names_add(&names, v->name, (int64_t)i, NULL);
		if (r == -EEXIST)
			r = kerf_fail(im->err, -EINVAL, "input '%.128s' is there twice", v->name);
		fix = find_fix(im, v->name);
		if (!r && fix)
			r = bind_symbols(im, v, fix, &symbols);
	}
	for (k = 0; !r && k < im->opt.n_fix; k++) {
		int64_t at;

		if (!kerf_names_find(&names, im->opt.fix[k].name, &at))
			r = kerf_fail(im->err, -EINVAL,
				      "a shape is given for '%.128s', which is no input of the model",
				      im->opt.fix[k].name);
	}
	for (i = 0; !r && i < graph->n_input; i++)
		r = add_input(im, graph->input[i], &symbols);
	kerf_names_finish(&symbols);
	kerf_names_finish(&names);
	return r;
}

/* --- Inference --- */

/*
 * Contents learned while inferring are meant for shapes: small, and few. Larger
 * constants are folded by the rewrites.
 */
struct budget {
	size_t bytes;
	int64_t work; /* kerf_op_work() */
};
#define KNOWN_BYTES ((size_t)64 << 10)

/* True if op's outputs follow from constants, or from the shape of its input alone. */
static bool is_decided(const struct kerf_graph *g, const struct kerf_op *op)
{
	bool shape_only = !op->def->domain &&
			  (!strcmp(op->def->name, "Shape") || !strcmp(op->def->name, "Size"));
	int k;

	if (op->def->flags & KERF_OP_IMPURE || !op->def->eval)
		return false;
	/* No shape comes from it, and the quantisation rewrite wants to see 8-bit weights. */
	if (!op->def->domain && !strcmp(op->def->name, "DequantizeLinear"))
		return false;
	for (k = 0; k < op->n_in; k++) {
		const struct kerf_value *v;

		if (op->in[k] < 0)
			continue;
		v = &g->value[op->in[k]];
		if (shape_only ? !v->t.data && v->bounded
			       : !v->t.data || !kerf_tensor_is_aligned(&v->t))
			return false;
	}
	return true;
}

static bool is_affordable(const struct kerf_graph *g, const struct kerf_op *op, struct budget *b)
{
	int64_t work = kerf_op_work(g, op);
	size_t bytes = 0;
	int k;

	for (k = 0; k < op->n_out; k++)
		if (op->out[k] >= 0)
			bytes += kerf_tensor_bytes(&g->value[op->out[k]].t);
	if (bytes > KNOWN_BYTES || bytes > b->bytes || work > b->work)
		return false;
	b->bytes -= bytes;
	b->work -= work;
	return true;
}

static int learn(struct kerf_importer *im, struct kerf_op *op)
{
	int r = kerf_op_eval_known(im->g, op);

	if (r && r != -ENOMEM)
		kerf_fail(im->err, r, "node '%.128s' (%s): its constant inputs do not fit it: %s",
			  op->name, op->def->name, strerror(-r));
	return r;
}

/* The graph input whose unknown contents op waits for, or -1 if there is none. */
static int32_t find_unbound(const struct kerf_graph *g, const struct kerf_op *op)
{
	int32_t *queue = malloc((g->n_value + 1u) * sizeof(*queue)), found = -1;
	bool *seen = calloc(g->n_value + 1u, 1);
	uint32_t n = 0, next = 0;
	int k;

	if (!queue || !seen)
		goto out;
	for (k = 0; k < op->n_in && k < 32; k++)
		if (op->in[k] >= 0 && (op->def->shape_in >> k & 1) && !seen[op->in[k]]) {
			seen[op->in[k]] = true;
			queue[n++] = op->in[k];
		}
	while (next < n) {
		int32_t id = queue[next++];
		const struct kerf_value *v = &g->value[id];

		if (v->t.data)
			continue;
		if (v->producer < 0) {
			found = id;
			break;
		}
		op = &g->op[v->producer];
		for (k = 0; k < op->n_in; k++)
			if (op->in[k] >= 0 && !seen[op->in[k]]) {
				seen[op->in[k]] = true;
				queue[n++] = op->in[k];
			}
	}
out:
	free(queue);
	free(seen);
	return found;
}

static int say_unbound(struct kerf_importer *im, const struct kerf_op *op)
{
	int32_t id = find_unbound(im->g, op);
	struct kerf_err said;

	if (im->opt.unbound)
		snprintf(im->opt.unbound, KERF_UNBOUND_TEXT, "%s",
			 id >= 0 ? im->g->value[id].name : "");
	if (!im->err)
		return -ENODATA;
	said = *im->err;
	im->err->msg[0] = 0;
	return kerf_fail(im->err, -ENODATA, "%.300s; %s%.128s%s", said.msg,
			 id >= 0 ? "bind the contents of input '" : "they are known only at run time",
			 id >= 0 ? im->g->value[id].name : "", id >= 0 ? "' at load" : "");
}

static int infer_op(struct kerf_importer *im, struct kerf_op *op)
{
	int r = op->def->check_file ? op->def->check_file(im->g, op, im->err) : 0;

	if (r) {
		kerf_err_prefix(im->err, "node '%.128s' (%s)", op->name, op->def->name);
		return r;
	}
	r = kerf_op_infer_shapes(im->g, op, im->err);
	return r == -ENODATA ? say_unbound(im, op) : r;
}

static int check_output(struct kerf_importer *im, const Onnx__ValueInfoProto *o,
			const struct kerf_value *v)
{
	const Onnx__TypeProto__Tensor *type;
	char text[KERF_SHAPE_TEXT];
	size_t i;
	int r;

	if (!o->type)
		return 0;
	r = check_type(im, o, "output");
	if (r)
		return r;
	type = o->type->tensor_type;
	if (type->elem_type != (int32_t)v->t.dtype)
		return kerf_fail(im->err, -EINVAL, "output '%.128s' is declared %s, but is %s",
				 o->name, kerf_dtype_name((enum kerf_dtype)type->elem_type),
				 kerf_dtype_name(v->t.dtype));
	if (!type->shape || v->bounded)
		return 0;
	if (type->shape->n_dim != (size_t)v->t.rank)
		return kerf_fail(im->err, -EINVAL, "output '%.128s' is declared with rank %zu, but is %s",
				 o->name, type->shape->n_dim, kerf_tensor_text(&v->t, text));
	for (i = 0; i < type->shape->n_dim; i++) {
		const Onnx__TensorShapeProto__Dimension *d = type->shape->dim[i];

		if (!is_symbolic(d) && d->dim_value && d->dim_value != v->t.dims[i])
			return kerf_fail(im->err, -EINVAL,
					 "output '%.128s' is declared with %lld on axis %zu, but is %s",
					 o->name, (long long)d->dim_value, i,
					 kerf_tensor_text(&v->t, text));
	}
	return 0;
}

/*
 * Operators whose outputs were learned are not needed any more, but for those that
 * make a model's output: an output is made by an operator.
 */
static int settle(struct kerf_importer *im)
{
	struct kerf_graph *g = im->g;
	bool *is_output = calloc(g->n_value + 1u, 1);
	uint32_t i;

	if (!is_output)
		return -ENOMEM;
	for (i = 0; i < g->n_out; i++)
		is_output[g->out[i]] = true;
	for (i = 0; i < g->n_op; i++) {
		struct kerf_op *op = &g->op[i];
		bool keep = im->opt.no_rewrite;
		int k;

		for (k = 0; k < op->n_out; k++)
			keep |= op->out[k] >= 0 && is_output[op->out[k]];
		for (k = 0; k < op->n_out; k++) {
			struct kerf_value *v;

			if (op->out[k] < 0)
				continue;
			v = &g->value[op->out[k]];
			if (!v->t.data)
				continue;
			if (keep)
				v->t.data = NULL;
			else
				v->producer = -1;
		}
	}
	free(is_output);
	return 0;
}

int kerf_import_infer(struct kerf_importer *im)
{
	struct kerf_graph *g = im->g;
	struct budget budget = {.bytes = (size_t)16 << 20, .work = (int64_t)1 << 28};
	uint32_t i;
	int r = 0;

	for (i = 0; i < g->n_op; i++) {
		struct kerf_op *op = &g->op[i];

		r = infer_op(im, op);
		if (!r && is_decided(g, op) && is_affordable(g, op, &budget))
			r = learn(im, op);
		if (r)
			return r;
	}
	for (i = 0; i < g->n_out; i++) {
		r = check_output(im, im->model->graph->output[i], &g->value[g->out[i]]);
		if (r)
			return r;
	}
	return settle(im);
}
