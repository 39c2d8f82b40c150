/* SPDX-License-Identifier: MIT */
#include "graph/dump.h"

#include "graph/memplan.h"
#include "graph/op.h"
#include "util/digest.h"

#include <inttypes.h>
#include <json-c/json.h>
#include <stdlib.h>
#include <string.h>

static const char *const act_name[KERF_N_ACTS] = {
	[KERF_ACT_NONE] = "",
	[KERF_ACT_RELU] = "Relu",
	[KERF_ACT_CLIP] = "Clip",
	[KERF_ACT_LEAKY_RELU] = "LeakyRelu",
	[KERF_ACT_SIGMOID] = "Sigmoid",
	[KERF_ACT_TANH] = "Tanh",
	[KERF_ACT_SILU] = "Silu",
	[KERF_ACT_HARD_SIGMOID] = "HardSigmoid",
	[KERF_ACT_HARD_SWISH] = "HardSwish",
	[KERF_ACT_GELU] = "Gelu",
	[KERF_ACT_MISH] = "Mish",
	[KERF_ACT_ELU] = "Elu",
};

/* What one operator costs; a weight counts where it is read first. */
struct cost {
	int64_t flops, params;
	size_t param_bytes, out_bytes;
};

struct costs {
	struct cost *op, total;
	size_t peak, live; /* planned arena, and what no plan can be below */
};

static void add_cost(struct cost *sum, const struct cost *c)
{
	sum->flops += c->flops;
	sum->params += c->params;
	sum->param_bytes += c->param_bytes;
	sum->out_bytes += c->out_bytes;
}

static int costs_make(const struct kerf_graph *g, struct costs *c)
{
	bool *counted = calloc(g->n_value + 1u, 1);
	struct kerf_memplan plan;
	uint32_t i;
	int k, r;

	memset(c, 0, sizeof(*c));
	c->op = calloc(g->n_op + 1u, sizeof(*c->op));
	r = counted && c->op ? kerf_memplan_make(g, NULL, NULL, &plan) : -ENOMEM;
	if (r)
		goto out;
	c->peak = plan.bytes;
	c->live = plan.lower_bound;
	kerf_memplan_finish(&plan);
	for (i = 0; i < g->n_op; i++) {
		const struct kerf_op *op = &g->op[i];
		struct cost *o = &c->op[i];

		o->flops = kerf_op_flops(g, op);
		for (k = 0; k < op->n_in; k++) {
			const struct kerf_value *v = op->in[k] < 0 ? NULL : &g->value[op->in[k]];

			if (!v || !kerf_value_is_const(v) || counted[op->in[k]])
				continue;
			counted[op->in[k]] = true;
			o->params += kerf_tensor_count(&v->t);
			o->param_bytes += kerf_tensor_bytes(&v->t);
		}
		for (k = 0; k < op->n_out; k++)
			if (op->out[k] >= 0)
				o->out_bytes += kerf_tensor_bytes(&g->value[op->out[k]].t);
		add_cost(&c->total, o);
	}
out:
	free(counted);
	if (r)
		free(c->op);
	return r;
}

/* "Conv+Relu" */
static void op_text(const struct kerf_op *op, char *buf, size_t size)
{
	bool act = op->act.kind != KERF_ACT_NONE;

	snprintf(buf, size, "%s%s%s", op->def->name, act ? "+" : "", act_name[op->act.kind]);
}

/* Names come from files: none may steer the terminal. */
static const char *printable(const char *name, char buf[128])
{
	size_t i;

	for (i = 0; i < 127 && name[i]; i++)
		buf[i] = (unsigned char)name[i] < 0x20 || name[i] == 0x7f ? '?' : name[i];
	buf[i] = 0;
	return buf;
}

static const struct kerf_tensor *first_output(const struct kerf_graph *g, const struct kerf_op *op)
{
	static const struct kerf_tensor none;
	int k;

	for (k = 0; k < op->n_out; k++)
		if (op->out[k] >= 0)
			return &g->value[op->out[k]].t;
	return &none;
}

static const char *model_hex(const struct kerf_graph *g, char hex[KERF_SHA256_HEX])
{
	uint8_t digest[32];

	kerf_graph_model_sha256(g, digest);
	kerf_hex(digest, sizeof(digest), hex);
	return hex;
}

/* --- Text --- */

static void list_text(const struct kerf_graph *g, FILE *f, const char *what, const int32_t *id,
		      uint32_t n)
{
	char text[KERF_SHAPE_TEXT], name[128];
	uint32_t i;

	for (i = 0; i < n; i++)
		fprintf(f, "%s %s: %s\n", what, printable(g->value[id[i]].name, name),
			kerf_tensor_text(&g->value[id[i]].t, text));
}

int kerf_graph_dump_text(const struct kerf_graph *g, FILE *f)
{
	char hex[KERF_SHA256_HEX], text[KERF_SHAPE_TEXT], type[96], name[128];
	struct costs c;
	uint32_t i;
	int r = costs_make(g, &c);

	if (r)
		return r;
	fprintf(f, "graph '%s', sha256 %s\n", printable(g->name, name), model_hex(g, hex));
	list_text(g, f, "input ", g->in, g->n_in);
	list_text(g, f, "output", g->out, g->n_out);
	fprintf(f, "\n%5s  %-24s %-28s %-26s %14s %12s %12s\n", "#", "operator", "name", "output",
		"FLOPs", "parameters", "out bytes");
	for (i = 0; i < g->n_op; i++) {
		op_text(&g->op[i], type, sizeof(type));
		fprintf(f, "%5u  %-24s %-28s %-26s %14" PRId64 " %12" PRId64 " %12zu\n", i, type,
			printable(g->op[i].name, name),
			kerf_tensor_text(first_output(g, &g->op[i]), text),
			c.op[i].flops, c.op[i].params, c.op[i].out_bytes);
	}
	fprintf(f,
		"\n%u operators, %" PRId64 " FLOPs, %" PRId64 " parameters in %zu bytes\n"
		"activations: %zu bytes made, %zu planned at peak, %zu live at once\n",
		g->n_op, c.total.flops, c.total.params, c.total.param_bytes, c.total.out_bytes,
		c.peak, c.live);
	if (g->accuracy > 0 || g->n_exit)
		fprintf(f, "accuracy: %.4g of the whole model", g->accuracy);
	for (i = 0; i < g->n_exit; i++)
		fprintf(f, ", %.4g at exit '%s'", g->exit[i].accuracy,
			printable(g->value[g->out[g->exit[i].output]].name, name));
	if (g->accuracy > 0 || g->n_exit)
		fputc('\n', f);
	free(c.op);
	return ferror(f) ? -EIO : 0;
}

/* --- JSON --- */

static json_object *json_text(const char *s)
{
	return json_object_new_string(s);
}

static json_object *json_size(uint64_t n)
{
	return json_object_new_uint64(n);
}

static json_object *json_value(const struct kerf_value *v)
{
	json_object *o = json_object_new_object(), *shape = json_object_new_array();
	int k;

	for (k = 0; k < v->t.rank; k++)
		json_object_array_add(shape, json_object_new_int64(v->t.dims[k]));
	json_object_object_add(o, "name", json_text(v->name));
	json_object_object_add(o, "dtype", json_text(kerf_dtype_name(v->t.dtype)));
	json_object_object_add(o, "shape", shape);
	if (v->nhwc)
		json_object_object_add(o, "layout", json_text("nhwc"));
	if (v->bounded)
		json_object_object_add(o, "bounded", json_object_new_boolean(true));
	return o;
}

static json_object *json_values(const struct kerf_graph *g, const int32_t *id, uint32_t n)
{
	json_object *list = json_object_new_array();
	uint32_t i;

	for (i = 0; i < n; i++)
		json_object_array_add(list, id[i] < 0 ? NULL : json_value(&g->value[id[i]]));
	return list;
}

static json_object *json_inputs(const struct kerf_graph *g, const struct kerf_op *op)
{
	json_object *list = json_object_new_array();
	int k;

	for (k = 0; k < op->n_in; k++)
		json_object_array_add(list, op->in[k] < 0 ? NULL
							  : json_text(g->value[op->in[k]].name));
	return list;
}

static void json_cost(json_object *o, const struct cost *c)
{
	json_object_object_add(o, "flops", json_object_new_int64(c->flops));
	json_object_object_add(o, "parameters", json_object_new_int64(c->params));
	json_object_object_add(o, "parameter_bytes", json_size(c->param_bytes));
	json_object_object_add(o, "activation_bytes", json_size(c->out_bytes));
}

int kerf_graph_dump_json(const struct kerf_graph *g, FILE *f)
{
	json_object *root, *ops, *total;
	char hex[KERF_SHA256_HEX];
	struct costs c;
	uint32_t i;
	int r = costs_make(g, &c);

	if (r)
		return r;
	root = json_object_new_object();
	ops = json_object_new_array();
	total = json_object_new_object();
	json_object_object_add(root, "name", json_text(g->name));
	json_object_object_add(root, "sha256", json_text(model_hex(g, hex)));
	json_object_object_add(root, "inputs", json_values(g, g->in, g->n_in));
	json_object_object_add(root, "outputs", json_values(g, g->out, g->n_out));
	for (i = 0; i < g->n_op; i++) {
		const struct kerf_op *op = &g->op[i];
		json_object *o = json_object_new_object();

		json_object_object_add(o, "index", json_object_new_int64(i));
		json_object_object_add(o, "type", json_text(op->def->name));
		json_object_object_add(o, "name", json_text(op->name));
		json_object_object_add(o, "opset", json_object_new_int(op->opset));
		if (op->act.kind != KERF_ACT_NONE)
			json_object_object_add(o, "activation",
					       json_text(act_name[op->act.kind]));
		json_object_object_add(o, "inputs", json_inputs(g, op));
		json_object_object_add(o, "outputs",
				       json_values(g, op->out, (uint32_t)op->n_out));
		json_cost(o, &c.op[i]);
		json_object_array_add(ops, o);
	}
	json_object_object_add(root, "operators", ops);
	json_cost(total, &c.total);
	json_object_object_add(total, "planned_peak_bytes", json_size(c.peak));
	json_object_object_add(total, "live_bytes", json_size(c.live));
	json_object_object_add(root, "total", total);
	fprintf(f, "%s\n",
		json_object_to_json_string_ext(root, JSON_C_TO_STRING_PRETTY |
							     JSON_C_TO_STRING_NOSLASHESCAPE));
	json_object_put(root);
	free(c.op);
	return ferror(f) ? -EIO : 0;
}

/* --- Graphviz --- */

/* Inside a quoted label. */
static void dot_text(FILE *f, const char *s)
{
	for (; *s; s++) {
		if (*s == '"' || *s == '\\')
			fputc('\\', f);
		fputc((unsigned char)*s < 0x20 ? ' ' : *s, f);
	}
}

static void dot_port(FILE *f, const char *id, uint32_t i,
		     const struct kerf_value *v)
{
	char text[KERF_SHAPE_TEXT];

	fprintf(f, "\t%s%u [shape=ellipse, label=\"", id, i);
	dot_text(f, v->name);
	fprintf(f, "\\n%s\"];\n", kerf_tensor_text(&v->t, text));
}

static void dot_edge(const struct kerf_graph *g, FILE *f, const int32_t *input_at, int32_t value,
		     const char *to, uint32_t index)
{
	const struct kerf_value *v = &g->value[value];
	char text[KERF_SHAPE_TEXT];

	if (kerf_value_is_const(v))
		return;
	if (v->producer >= 0)
		fprintf(f, "\top%d -> %s%u", v->producer, to, index);
	else
		fprintf(f, "\tin%d -> %s%u", input_at[value], to, index);
	fprintf(f, " [label=\"%s\"];\n", kerf_tensor_text(&v->t, text));
}

int kerf_graph_dump_dot(const struct kerf_graph *g, FILE *f)
{
	int32_t *input_at = calloc(g->n_value + 1u, sizeof(*input_at));
	char type[96];
	uint32_t i;
	int k;

	if (!input_at)
		return -ENOMEM;
	fprintf(f, "digraph \"");
	dot_text(f, g->name);
	fprintf(f, "\" {\n\tnode [shape=box];\n");
	for (i = 0; i < g->n_in; i++) {
		input_at[g->in[i]] = (int32_t)i;
		dot_port(f, "in", i, &g->value[g->in[i]]);
	}
	for (i = 0; i < g->n_op; i++) {
		op_text(&g->op[i], type, sizeof(type));
		fprintf(f, "\top%u [label=\"%u %s\\n", i, i, type);
		dot_text(f, g->op[i].name);
		fprintf(f, "\"];\n");
	}
	for (i = 0; i < g->n_out; i++)
		dot_port(f, "out", i, &g->value[g->out[i]]);
	for (i = 0; i < g->n_op; i++)
		for (k = 0; k < g->op[i].n_in; k++)
			if (g->op[i].in[k] >= 0)
				dot_edge(g, f, input_at, g->op[i].in[k], "op", i);
	for (i = 0; i < g->n_out; i++)
		dot_edge(g, f, input_at, g->out[i], "out", i);
	fprintf(f, "}\n");
	free(input_at);
	return ferror(f) ? -EIO : 0;
}
