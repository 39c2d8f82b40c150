/* SPDX-License-Identifier: MIT */
/*
 * Editing a graph while sweeping over it; for the rewrites only.
 *
 * A rewrite visits operators in order and looks back, at the producers of what an
 * operator reads: so a pattern is found at its last operator, whose place the
 * result takes, and nothing read by the result can stand after it. What this keeps
 * up to date meanwhile is how often each value is read, and which value stands in
 * for which: inputs must be read through kerf_edit_in().
 *
 * Every function that returns an id returns -ENOMEM on exhaustion.
 */
#ifndef KERF_GRAPH_REWRITE_EDIT_H
#define KERF_GRAPH_REWRITE_EDIT_H

#include "graph/op.h"

#include <string.h>

struct kerf_edit {
	struct kerf_graph *g;
	struct kerf_err *err;
	/* per value; a model output counts as a read */
	uint32_t *uses;
	int32_t *alias;
	bool *is_output;
	uint32_t cap_value;
	/* per operator added since begin: the one it stands before */
	uint32_t n_op0, *place, cap_place;
	/* names of values and operators in use */
	const char **name;
	uint32_t n_name, cap_name;
	int32_t *stack; /* of kerf_edit_drop() */
	uint32_t n_stack, cap_stack;
};

/* The graph must be tidy. */
int kerf_edit_begin(struct kerf_edit *e, struct kerf_graph *g, struct kerf_err *err);
/* Frees e. Where r is 0, settles the graph (order, substitutes, dead code). Returns r or worse. */
int kerf_edit_end(struct kerf_edit *e, int r);

/* Input k as it stands now, or -1 (absent, or k past the end). */
int32_t kerf_edit_in(const struct kerf_edit *e, const struct kerf_op *op, int k);
/* All inputs of an operator put in their present form. */
void kerf_edit_resolve(struct kerf_edit *e, struct kerf_op *op);

/* A new value; its name is base.suffix, made unique. */
int32_t kerf_edit_value(struct kerf_edit *e, const char *base, const char *suffix,
                        const struct kerf_tensor *t);
/* A constant: the graph keeps t->data as it is (data of a constant, or kerf_graph_alloc). */
int32_t kerf_edit_const(struct kerf_edit *e, const char *base, const struct kerf_tensor *t);
int32_t kerf_edit_const_f32(struct kerf_edit *e, const char *base, const float *v, int64_t n);
int32_t kerf_edit_const_i64(struct kerf_edit *e, const char *base, const int64_t *v, int64_t n);
/* Constant v with its axes permuted: dims[i] of the result is dims[perm[i]] of v. */
int32_t kerf_edit_const_permuted(struct kerf_edit *e, int32_t v, const int *perm);

/*
 * Adds an operator that stands before op `at`, or at the end, named after base. Outputs
 * are inferred. The id of the operator; it may move every struct kerf_op in memory.
 */
#define KERF_EDIT_END UINT32_MAX
int32_t kerf_edit_op(struct kerf_edit *e, uint32_t at, const char *type, int opset,
                     const char *base, int n_in, const int32_t *in, int n_out, const int32_t *out,
                     uint32_t n_attr, const struct kerf_attr *attr);
/* Where what follows op stands: `at` of the functions here. */
uint32_t kerf_edit_behind(const struct kerf_edit *e, uint32_t op);
/* The same for one fresh output; the id of the output. */
int32_t kerf_edit_node(struct kerf_edit *e, uint32_t at, const char *type, int opset,
                       const char *base, const char *suffix, int n_in, const int32_t *in,
                       uint32_t n_attr, const struct kerf_attr *attr);
/* v seen with other dims (same count); the id of the result. */
int32_t kerf_edit_reshape(struct kerf_edit *e, uint32_t at, int32_t v, const char *suffix, int rank,
                          const int64_t *dims);

/* Operator j gets these inputs. */
int kerf_edit_set_inputs(struct kerf_edit *e, uint32_t j, int n, const int32_t *in);
/* Operator i, with these inputs, takes the place of j and makes j's output 0. One output each. */
int kerf_edit_merge(struct kerf_edit *e, uint32_t i, uint32_t j, int n, const int32_t *in);
/*
 * Operator j becomes another type: new definition, inputs and attributes, the same
 * output 0 (further ones must be unused). Shapes must come out the same.
 */
int kerf_edit_become(struct kerf_edit *e, uint32_t j, const char *type, int opset, int n,
                     const int32_t *in, uint32_t n_attr, const struct kerf_attr *attr);
/*
 * Readers of value `old` read `by` instead; its operator goes when nothing reads
 * it. False if that cannot be: old is a model output and by cannot take its name.
 */
bool kerf_edit_replace(struct kerf_edit *e, int32_t old, int32_t by);

static inline bool kerf_op_is(const struct kerf_op *op, const char *type)
{
	return !op->def->domain && !strcmp(op->def->name, type);
}

static inline struct kerf_tensor *kerf_edit_t(const struct kerf_edit *e, int32_t v)
{
	return &e->g->value[v].t;
}

/* The operator that makes v, or NULL: constant, graph input, absent. */
static inline struct kerf_op *kerf_edit_producer(const struct kerf_edit *e, int32_t v)
{
	return v >= 0 && e->g->value[v].producer >= 0 ? &e->g->op[e->g->value[v].producer] : NULL;
}

/* The same if it is of this type and v is its only output and read once. */
struct kerf_op *kerf_edit_only(const struct kerf_edit *e, int32_t v, const char *type);

static inline bool kerf_edit_is_const(const struct kerf_edit *e, int32_t v)
{
	return v >= 0 && kerf_value_is_const(&e->g->value[v]);
}

/* The one element of a constant of one element, as float; false if it is not that. */
bool kerf_edit_scalar(const struct kerf_edit *e, int32_t v, float *x);
/* Constant integers of input k (axes, shapes): up to max; -1 if unknown or more. */
int kerf_edit_ints(const struct kerf_edit *e, const struct kerf_op *op, int k, int64_t *v, int max);
/* Integers from attribute `name`, or else from constant input k; -1 if in neither. */
int kerf_edit_ints_of(const struct kerf_edit *e, const struct kerf_op *op, const char *name, int k,
                      int64_t *v, int max);

#endif
