/* SPDX-License-Identifier: MIT */
/*
 * The graph: a DAG of operators over values, in static single assignment form.
 *
 * Built by the importer (import.h) or by hand with the functions below, changed
 * by the rewrites (rewrite.h), then frozen: from there on it is immutable, may be
 * read from any thread, and is shared by reference count.
 *
 * Operators stand in a topological order: every input of op[i] is a graph input,
 * a constant, or an output of some op[j], j < i. Ids (indices) are stable from
 * freezing on, so the same file and options give the same ids on every node:
 * kerf_graph_fingerprint() lets two nodes make sure of it.
 *
 * Layout. ONNX's spatial operators are channels-first. The layout rewrite turns
 * them into channels-last ones: op->nhwc is set, and the values around them have
 * their dims stored in that order ([N,H,W,C]; [N,W,C] and [N,D,H,W,C] likewise),
 * with value->nhwc set. Weights of Conv and friends keep ONNX's order (OIHW):
 * engines pack them anyway. Transposes at the border are ordinary operators.
 */
#ifndef KERF_GRAPH_GRAPH_H
#define KERF_GRAPH_GRAPH_H

#include "graph/tensor.h"
#include "util/arena.h"
#include "util/err.h"

#include <pthread.h>

struct kerf_op_def; /* op.h */
struct kerf_file;   /* util/file.h */

struct kerf_value {
	/*
	 * Unique in the graph, never empty; but a model's output that is also its input
	 * has that input's name, and holds the same.
	 */
	const char *name;
	/*
	 * dtype and shape; data set for constants only. Constants are aligned for their
	 * dtype, but for large float32 ones that are read as weights of Conv, Gemm and
	 * MatMul alone: the model's file aligns nothing, and a copy could not be given
	 * back once an engine has packed it. An engine that does not pack copies them.
	 */
	struct kerf_tensor t;
	int32_t producer;      /* op index, or -1: graph input or constant */
	bool nhwc;	       /* stored channels-last */
	bool bounded;	       /* dims are upper bounds: the true ones are known at run time */
	/* In a slice: the value of its parent that this is, or holds rows of. */
	int32_t parent;
	/* In a tile: first row held and rows of the whole; whole_rows 0: not limited. */
	int64_t row0, whole_rows;
	/* In a slice of channels (last axis): the same. */
	int64_t channel0, whole_channels;
};

enum kerf_attr_type {
	KERF_ATTR_INT,
	KERF_ATTR_FLOAT,
	KERF_ATTR_STRING, /* also a list of words, joined by commas */
	KERF_ATTR_INTS,
	KERF_ATTR_FLOATS,
	KERF_ATTR_TENSOR,
};

struct kerf_attr {
	const char *name;
	enum kerf_attr_type type;
	uint32_t n; /* elements of INTS and FLOATS */
	union {
		int64_t i;
		float f;
		const char *s;
		const int64_t *ints;
		const float *floats;
		struct kerf_tensor t;
	};
};

/* Activation applied to each element as it is stored (a fused epilogue). */
enum kerf_act_kind {
	KERF_ACT_NONE,
	KERF_ACT_RELU,
	KERF_ACT_CLIP,	     /* min(max(x, a), b) */
	KERF_ACT_LEAKY_RELU, /* x < 0 ? a * x : x */
	KERF_ACT_SIGMOID,
	KERF_ACT_TANH,
	KERF_ACT_SILU,	       /* x * sigmoid(x) */
	KERF_ACT_HARD_SIGMOID, /* min(max(a * x + b, 0), 1) */
	KERF_ACT_HARD_SWISH,   /* x * min(max(x / 6 + 1/2, 0), 1) */
	KERF_ACT_GELU,	       /* x * (1 + erf(x / sqrt 2)) / 2 */
	KERF_ACT_MISH,	       /* x * tanh(log(1 + exp x)) */
	KERF_ACT_ELU,	       /* x < 0 ? a * (exp(x) - 1) : x */
	KERF_N_ACTS,
};

struct kerf_act {
	enum kerf_act_kind kind;
	float a, b;
};

/*
 * Where an operator of a tile stands in the whole one. Rows are axis 1 of nhwc
 * values. in_* is about input 0. All zero for an operator that is not tiled.
 */
struct kerf_op_tile {
	int64_t in_row0, in_rows;   /* first row held, rows of the whole input */
	int64_t out_row0, out_rows; /* first row made, rows of the whole output */
};

struct kerf_op {
	const struct kerf_op_def *def;
	const char *name; /* unique in the graph, never empty */
	int opset;	  /* version of the operator set whose meaning it has */
	int n_in, n_out;
	int32_t *in, *out; /* value ids; -1: absent optional */
	uint32_t n_attr;
	struct kerf_attr *attr;
	bool nhwc;
	struct kerf_act act;
	struct kerf_op_tile tile;
	uint32_t origin; /* index in the whole model's graph; own index if this is it */
};

/*
 * An output that may be taken for the answer before the whole model has run, as the model's
 * metadata names it ("kerf.exit.NAME" = measured accuracy, 0 to 1).
 */
struct kerf_exit {
	uint32_t output; /* position in out[] */
	double accuracy;
};

struct kerf_graph {
	const char *name;
	uint32_t n_value, n_op;
	struct kerf_value *value;
	struct kerf_op *op;
	uint32_t n_in, n_out;
	int32_t *in, *out; /* value ids, in the model's order */
	uint32_t n_exit;   /* early ones, by ascending accuracy */
	struct kerf_exit *exit;
	double accuracy; /* of the whole model, metadata "kerf.accuracy"; 0: not told */

	/* private */
	uint32_t cap_value, cap_op;
	bool frozen;
	int refs;
	struct kerf_arena arena;
	struct kerf_file *file;		 /* the model: constants point into it; NULL: none */
	struct kerf_file **ext;		 /* external data that constants point into */
	uint32_t n_ext;
	pthread_mutex_t digest_lock;
	bool has_digest;
	uint8_t digest[32];
	struct kerf_graph *parent;	 /* a slice keeps its model's constants alive */
	bool padded;			 /* a slice: its spec's */
	void **heap;			 /* tensors made by rewrites, aligned to KERF_ALIGN */
	uint32_t n_heap, cap_heap;
};

/* Graphs have one reference at birth. unref(NULL) is allowed. Thread safe. */
struct kerf_graph *kerf_graph_new(const char *name);
struct kerf_graph *kerf_graph_ref(struct kerf_graph *g);
void kerf_graph_unref(struct kerf_graph *g);

/* --- Building: not thread safe; not after freezing. Ids, or -ENOMEM. --- */

/* Copies name (made unique by a suffix if it is taken or NULL) and description. */
int32_t kerf_graph_add_value(struct kerf_graph *g, const char *name, const struct kerf_tensor *t);

/*
 * Appends an operator. in/out are copied, attributes are copied (the arrays too).
 * Does not infer: see kerf_op_infer_shapes() in op.h.
 */
int32_t kerf_graph_add_op(struct kerf_graph *g, const struct kerf_op_def *def, const char *name,
			  int opset, int n_in, const int32_t *in, int n_out, const int32_t *out,
			  uint32_t n_attr, const struct kerf_attr *attr);

int kerf_graph_add_input(struct kerf_graph *g, int32_t value);
int kerf_graph_add_output(struct kerf_graph *g, int32_t value);

/* Zeroed tensor memory that lives as long as the graph; NULL on exhaustion. */
void *kerf_graph_alloc(struct kerf_graph *g, size_t bytes);

/* Sets or replaces one attribute (copied). 0 or -ENOMEM. */
int kerf_op_set_attr(struct kerf_graph *g, struct kerf_op *op, const struct kerf_attr *attr);
int kerf_op_set_int(struct kerf_graph *g, struct kerf_op *op, const char *name, int64_t i);
int kerf_op_set_ints(struct kerf_graph *g, struct kerf_op *op, const char *name, const int64_t *v,
		     uint32_t n);

/*
 * Sorts operators topologically (stable), drops operators and values that no
 * graph output needs (graph inputs stay), renumbers. -EINVAL on a cycle, naming an
 * operator in it. Ids change.
 */
int kerf_graph_tidy(struct kerf_graph *g, struct kerf_err *err);

/* Checks every invariant above; the rewrites' tests call it after each pass. */
int kerf_graph_verify(const struct kerf_graph *g, struct kerf_err *err);

void kerf_graph_freeze(struct kerf_graph *g);

/* --- Reading --- */

int32_t kerf_graph_find_value(const struct kerf_graph *g, const char *name); /* -1: none */
int32_t kerf_graph_find_input(const struct kerf_graph *g, const char *name); /* position or -1 */

const struct kerf_attr *kerf_op_attr(const struct kerf_op *op, const char *name); /* or NULL */
int64_t kerf_op_int(const struct kerf_op *op, const char *name, int64_t absent);
float kerf_op_float(const struct kerf_op *op, const char *name, float absent);
const char *kerf_op_string(const struct kerf_op *op, const char *name, const char *absent);
/* *n elements, or NULL and *n = 0 when absent. */
const int64_t *kerf_op_ints(const struct kerf_op *op, const char *name, uint32_t *n);
const float *kerf_op_floats(const struct kerf_op *op, const char *name, uint32_t *n);

static inline bool kerf_value_is_const(const struct kerf_value *v)
{
	return v->t.data != NULL;
}

/*
 * For each value the ops that read it: list[first[v] .. first[v+1]), an op once per
 * reading input. Caller frees *first (one block holds both). 0 or -ENOMEM.
 */
int kerf_graph_consumers(const struct kerf_graph *g, uint32_t **first, uint32_t **list);

/*
 * SHA-256 of the model's file (not of its external data); a slice gives its whole
 * model's, a graph made by hand zeros. Computed when first asked for, because it
 * takes longer than loading does. Thread safe.
 */
void kerf_graph_model_sha256(const struct kerf_graph *g, uint8_t out[32]);

/* Keeps a file of external data mapped as long as the graph lives: takes the reference. */
int kerf_graph_add_file(struct kerf_graph *g, struct kerf_file *f);

/*
 * Tells that a constant's contents will not be read again soon (packed, copied): if
 * they are mapped from a file they leave this process's memory. Thread safe.
 */
void kerf_graph_forget(const struct kerf_graph *g, const void *p, size_t n);

/* 64-bit hash of operators, attributes, shapes and wiring; not of the weights. */
uint64_t kerf_graph_fingerprint(const struct kerf_graph *g);

#endif
