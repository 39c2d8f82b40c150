/* SPDX-License-Identifier: MIT */
/*
 * Element types and tensor descriptions.
 *
 * A tensor is dense and row major in the order of its dims. Rank 0 is a scalar.
 * A dim may be 0 (an empty tensor). Booleans are one byte, 0 or 1.
 */
#ifndef KERF_GRAPH_TENSOR_H
#define KERF_GRAPH_TENSOR_H

#include "util/base.h"

#define KERF_MAX_RANK 8

/* Values are ONNX's TensorProto.DataType numbers, so they are also what travels. */
enum kerf_dtype {
	KERF_NONE = 0, /* an absent optional input or output */
	KERF_F32 = 1,
	KERF_U8 = 2,
	KERF_I8 = 3,
	KERF_U16 = 4,
	KERF_I16 = 5,
	KERF_I32 = 6,
	KERF_I64 = 7,
	KERF_STRING = 8, /* known by name only, to refuse it by name */
	KERF_BOOL = 9,
	KERF_F16 = 10,
	KERF_F64 = 11,
	KERF_U32 = 12,
	KERF_U64 = 13,
	KERF_BF16 = 16,
};

struct kerf_tensor {
	enum kerf_dtype dtype;
	int rank;
	int64_t dims[KERF_MAX_RANK];
	void *data; /* NULL: contents not known (yet); never written through for inputs */
};

size_t kerf_dtype_size(enum kerf_dtype t);	/* bytes an element; 0 for none and string */
const char *kerf_dtype_name(enum kerf_dtype t); /* "float32", "int64", ... */
enum kerf_dtype kerf_dtype_by_name(const char *name); /* the same names; KERF_NONE if unknown */
const char *kerf_dtype_oip(enum kerf_dtype t);	      /* "FP32", "INT64", ...: OIP v2 names */
enum kerf_dtype kerf_dtype_by_oip(const char *name);

/* A float of a tensor that may not be aligned: see kerf_value in graph.h. */
typedef float kerf_any_float __attribute__((aligned(1)));

/* False if data is there but not aligned for its dtype. */
bool kerf_tensor_is_aligned(const struct kerf_tensor *t);

/* Number of elements, bytes. The dims were bounded when the tensor was made. */
int64_t kerf_tensor_count(const struct kerf_tensor *t);
size_t kerf_tensor_bytes(const struct kerf_tensor *t);

/*
 * 0 if rank and dims are sane (0 <= rank <= KERF_MAX_RANK, dims >= 0) and the
 * bytes fit in KERF_MAX_TENSOR_BYTES; -EINVAL or -EOVERFLOW otherwise.
 */
#define KERF_MAX_TENSOR_BYTES ((int64_t)1 << 36)
int kerf_tensor_check(const struct kerf_tensor *t);

bool kerf_tensor_same_shape(const struct kerf_tensor *a, const struct kerf_tensor *b);

/* "float32[1,3,224,224]" into buf; returns buf. */
#define KERF_SHAPE_TEXT 160
const char *kerf_tensor_text(const struct kerf_tensor *t, char buf[KERF_SHAPE_TEXT]);

/* Element i of an integer or bool tensor as int64. Any integer dtype; t->data must be known. */
int64_t kerf_tensor_int(const struct kerf_tensor *t, int64_t i);

/* Element i as double; any numeric dtype. */
double kerf_tensor_float(const struct kerf_tensor *t, int64_t i);

/* IEEE half and bfloat16, round to nearest even. */
float kerf_f16_to_f32(uint16_t h);
uint16_t kerf_f32_to_f16(float f);
float kerf_bf16_to_f32(uint16_t h);
uint16_t kerf_f32_to_bf16(float f);

#endif
