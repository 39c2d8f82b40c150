/* SPDX-License-Identifier: MIT */
/*
 * Inside `kerf gen`: a builder of ONNX models with seeded weights.
 *
 * Nodes are encoded as they are added; weights are only described, and made while
 * the file is written: a model of 550 MB takes a few kB here. Names belong to the
 * builder. The first failure sticks (kerf_gen_fail), later calls do nothing useful
 * but are safe, and kerf_gen_write() reports it: so architectures read like tables.
 */
#ifndef KERF_CLI_GEN_H
#define KERF_CLI_GEN_H

#include "graph/tensor.h"
#include "util/arena.h"
#include "util/err.h"
#include "util/rng.h"

#define KERF_GEN_OPSET 13
#define KERF_GEN_IR 7

/* A growing byte string. */
struct kerf_gen_buf {
	uint8_t *p;
	size_t n, cap;
	bool failed;
};

/* One initializer: filled uniformly in [lo, hi] (whole numbers for integers), or given. */
struct kerf_gen_weight {
	const char *name;
	struct kerf_tensor t; /* data NULL: random */
	float lo, hi;
	bool trained;	 /* counts as a parameter */
	uint64_t stream; /* of random numbers: from the seed and the weight's position */
	size_t pad;	 /* bytes put before raw_data to align it in the file */
};

struct kerf_gen {
	int64_t batch;	    /* 0: symbolic */
	int64_t height, width; /* asked for; 0: the architecture's own */
	uint64_t seed;

	/* private */
	struct kerf_arena arena;
	struct kerf_gen_buf nodes, inputs, outputs, metadata;
	struct kerf_gen_weight *weight;
	uint32_t n_weight, cap_weight, n_node;
	int64_t n_param;
	const char *scope;
	struct kerf_rng rng; /* for values that the builder itself must know */
	int error;
	struct kerf_err err;
};

/* A feature map [N,c,h,w], by the name of its value. */
struct kerf_feat {
	const char *name;
	int64_t c, h, w;
};

struct kerf_gen_arch {
	const char *name;
	const char *what; /* one line: the paper, the variant */
	int64_t height, width;
	void (*build)(struct kerf_gen *g);
};

extern const struct kerf_gen_arch kerf_gen_classic[], kerf_gen_resnet[], kerf_gen_concat[],
	kerf_gen_mobile[], kerf_gen_detect[], kerf_gen_quant[], kerf_gen_transformer[];

void kerf_gen_init(struct kerf_gen *g, uint64_t seed, int64_t batch);
void kerf_gen_finish(struct kerf_gen *g);

/* Records a failure; the first one stays. */
void kerf_gen_fail(struct kerf_gen *g, int code, const char *fmt, ...) KERF_PRINTF(3, 4);

/* Writes path.tmp-PID and renames it. 0 or the first failure. */
int kerf_gen_write(struct kerf_gen *g, const char *graph_name, const char *path,
		   struct kerf_err *err);

/* As `kerf gen ARCH --size SIZE -o PATH`; size may be NULL. */
int kerf_gen_named(const char *arch, const char *size, const char *path, struct kerf_err *err);

/* --- encoding (gen_write.c) --- */

void kerf_gen_put(struct kerf_gen_buf *b, const void *p, size_t n);
void kerf_gen_put_int(struct kerf_gen_buf *b, int field, int64_t v);
void kerf_gen_put_float(struct kerf_gen_buf *b, int field, float v);
void kerf_gen_put_bytes(struct kerf_gen_buf *b, int field, const void *p, size_t n);
void kerf_gen_put_string(struct kerf_gen_buf *b, int field, const char *s);

/* --- nodes and weights (gen_build.c) --- */

enum kerf_gen_attr_type { KERF_GEN_INT, KERF_GEN_INTS, KERF_GEN_FLOAT, KERF_GEN_STRING };

struct kerf_gen_attr {
	const char *name; /* NULL: not there */
	enum kerf_gen_attr_type type;
	int64_t i;
	float f;
	const char *s;
	int n;
	int64_t ints[8];
};

/* Prefix of the names that follow, printf style. */
void kerf_gen_scope(struct kerf_gen *g, const char *fmt, ...) KERF_PRINTF(2, 3);

/* Appends a node with n_out outputs, out[] named after it. NULL inputs are absent ones. */
void kerf_gen_node_n(struct kerf_gen *g, const char *op, int n_in, const char *const *in,
		     int n_out, const char **out, int n_attr, const struct kerf_gen_attr *attr);

/* The same with one output, returned. */
const char *kerf_gen_node(struct kerf_gen *g, const char *op, int n_in, const char *const *in,
			  int n_attr, const struct kerf_gen_attr *attr);
const char *kerf_gen_node1(struct kerf_gen *g, const char *op, const char *in);
const char *kerf_gen_node2(struct kerf_gen *g, const char *op, const char *a, const char *b);

/* A trained weight, uniform in [-limit, limit] around middle. Its name. */
const char *kerf_gen_weight(struct kerf_gen *g, const char *what, int rank, const int64_t *dims,
			    float middle, float limit);
/* Any initializer; data is copied, or NULL for whole numbers or reals in [lo, hi]. */
const char *kerf_gen_const(struct kerf_gen *g, const char *what, enum kerf_dtype dtype, int rank,
			   const int64_t *dims, const void *data, float lo, float hi, bool trained);
const char *kerf_gen_ints(struct kerf_gen *g, const char *what, int n, const int64_t *v);
const char *kerf_gen_scalar(struct kerf_gen *g, const char *what, float v);

/* dims[0] stands for the batch and is replaced by it. */
const char *kerf_gen_input(struct kerf_gen *g, const char *name, enum kerf_dtype dtype, int rank,
			   const int64_t *dims);
void kerf_gen_output(struct kerf_gen *g, const char *name, const char *value,
		     enum kerf_dtype dtype, int rank, const int64_t *dims);

/* An entry of the model's metadata. */
void kerf_gen_metadata(struct kerf_gen *g, const char *key, const char *value);

/* --- layers (gen_layer.c) --- */

struct kerf_gen_conv {
	int64_t out, k, stride, pad, groups; /* stride and groups 0: 1 */
	bool bias;
	float gain; /* of the weights' variance over 2 / fan_in; 0: 1 */
};

enum kerf_gen_act {
	KERF_GEN_NONE,
	KERF_GEN_RELU,
	KERF_GEN_RELU6,
	KERF_GEN_LEAKY,
	KERF_GEN_HSWISH,
	KERF_GEN_SILU,
};

struct kerf_feat kerf_gen_image(struct kerf_gen *g, int64_t channels);
struct kerf_feat kerf_gen_conv(struct kerf_gen *g, struct kerf_feat x, struct kerf_gen_conv c);
/* gain scales the output: below 1 at the end of residual branches. */
struct kerf_feat kerf_gen_batchnorm(struct kerf_gen *g, struct kerf_feat x, float epsilon,
				    float gain);
struct kerf_feat kerf_gen_activate(struct kerf_gen *g, struct kerf_feat x, enum kerf_gen_act act);
/* Convolution without bias, batch norm (epsilon 1e-5), activation. */
struct kerf_feat kerf_gen_conv_bn(struct kerf_gen *g, struct kerf_feat x, struct kerf_gen_conv c,
				  enum kerf_gen_act act);
struct kerf_feat kerf_gen_add(struct kerf_gen *g, struct kerf_feat a, struct kerf_feat b);
struct kerf_feat kerf_gen_concat_n(struct kerf_gen *g, int n, const struct kerf_feat *x);
struct kerf_feat kerf_gen_maxpool(struct kerf_gen *g, struct kerf_feat x, int64_t k, int64_t stride,
				  int64_t pad, bool ceil_mode);
/* Squeeze and excitation: x times a gate made of its means. */
struct kerf_feat kerf_gen_squeeze(struct kerf_gen *g, struct kerf_feat x, int64_t hidden,
				  enum kerf_gen_act inner, bool hard_gate);
struct kerf_feat kerf_gen_mean(struct kerf_gen *g, struct kerf_feat x);
/* [N,c,h,w] to [N,c*h*w]; the result's c is the columns, h = w = 1. */
struct kerf_feat kerf_gen_flatten(struct kerf_gen *g, struct kerf_feat x);
/* Gemm with transB, as classifiers have. */
struct kerf_feat kerf_gen_fc(struct kerf_gen *g, struct kerf_feat x, int64_t out);
/* Makes a matrix [N,c] the model's output. */
void kerf_gen_logits(struct kerf_gen *g, struct kerf_feat x);

#endif
