/* SPDX-License-Identifier: MIT */
/*
 * Reading ONNX's wire format (protocol buffers) in place.
 *
 * protobuf-c copies every byte it unpacks, which weights cannot afford. So this
 * reader walks the mapped file once and splits it: initializers are only noted,
 * tensors in attributes are replaced by their place in the file, fields that kerf
 * does not read are dropped, and the rest, which is small, is handed to protobuf-c.
 * Tensors are then read here, straight from the mapping.
 *
 * Nothing here trusts a length: every range is inside the range that holds it, and
 * no allocation is larger than a small multiple of bytes that are really there.
 */
#ifndef KERF_GRAPH_WIRE_H
#define KERF_GRAPH_WIRE_H

#include "graph/onnx_fields.h"
#include "graph/tensor.h"
#include "util/err.h"

enum kerf_wire_type {
	KERF_WIRE_VARINT = 0,
	KERF_WIRE_FIXED64 = 1,
	KERF_WIRE_BYTES = 2,
	KERF_WIRE_FIXED32 = 5,
};

/* A message, or what is left of it. */
struct kerf_wire {
	const uint8_t *p, *end;
};

struct kerf_wire_field {
	uint32_t number;
	enum kerf_wire_type type;
	uint64_t value;	     /* VARINT, FIXED32, FIXED64 */
	const uint8_t *data; /* BYTES */
	size_t size;
};

/* 1 and the next field, 0 at the end, -EINVAL where the bytes are no message. */
int kerf_wire_next(struct kerf_wire *w, struct kerf_wire_field *f);

/* 0, or -EINVAL if the range ends within the number or it has more than 64 bits. */
int kerf_wire_varint(struct kerf_wire *w, uint64_t *value);

/* A byte range of the model. */
struct kerf_wire_range {
	const uint8_t *data;
	size_t size;
};

struct kerf_wire_split {
	uint8_t *rest; /* a ModelProto without tensors, for protobuf-c */
	size_t rest_size, rest_cap;
	struct kerf_wire_range *tensor; /* initializers (TensorProto), in file order */
	uint32_t n_tensor, cap_tensor;
	uint32_t n_node;
};

/*
 * Splits a ModelProto. -EINVAL on malformed bytes, -EOPNOTSUPP on functions and
 * sparse initializers, -EFBIG past the limits below. Finish also after a failure.
 */
#define KERF_MAX_NODES (1u << 20)
#define KERF_MAX_TENSORS (1u << 20)
#define KERF_MAX_REST ((size_t)256 << 20)
int kerf_wire_split(const uint8_t *data, size_t size, struct kerf_wire_split *s,
		    struct kerf_err *err);
void kerf_wire_split_finish(struct kerf_wire_split *s);

/* One TensorProto, looked at but not decoded. Pointers are into its bytes. */
struct kerf_wire_tensor {
	struct kerf_tensor t; /* dtype and dims, checked; data NULL */
	char name[128];	      /* for sentences: shortened and "" if absent */
	struct kerf_wire_range full_name;
	struct kerf_wire_range message;
	/* Elements as they lie in memory: raw_data, or one packed run of typed data. */
	struct kerf_wire_range raw;
	uint32_t typed; /* field that holds the elements otherwise; 0: none needed or raw */
	bool external;
	struct kerf_wire_range location; /* external */
	uint64_t offset, length;	 /* external; length UINT64_MAX: not said */
};

/*
 * Reads everything but the elements, and checks that exactly the elements that dtype
 * and dims ask for are there (external ones: not looked at). -EOPNOTSUPP names a
 * dtype that kerf does not have.
 */
int kerf_wire_tensor_parse(struct kerf_wire_range message, struct kerf_wire_tensor *t,
			   struct kerf_err *err);

/* Writes the elements (kerf_tensor_bytes of them) to dst. Not for external ones. */
void kerf_wire_tensor_decode(const struct kerf_wire_tensor *t, void *dst);

#endif
