/* SPDX-License-Identifier: MIT */
/*
 * What lowering an operator needs. An operator is lowered up to four times by the same
 * function: to ask whether it can be and what scratch it wants, to make its commands, and
 * to write its weights. So the order of its calls here must not depend on the pass.
 */
#ifndef KERF_EXEC_NPU_LOWER_H
#define KERF_EXEC_NPU_LOWER_H

#include "exec/npu.h"
#include "graph/op.h"

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "commands are written as they lie here");

struct kerf_lower {
	const struct kerf_graph *g;
	uint32_t features;
	const struct kerf_npu_place *place; /* NULL: only asking */
	size_t *const_at; /* per value: 1 + its place among the weights; 0: not there */
	uint8_t *weights; /* where weights are written, or NULL */
	size_t weight_bytes;

	/* Of the operator being lowered. */
	size_t scratch_bytes;
	uint64_t scratch_at; /* its place in the arena */
	uint32_t overwrite;  /* bit k: output 0 may be written over input k */

	bool emits, nomem; /* emits: this pass makes commands */
	uint8_t *cmd;
	uint32_t cmd_bytes, cmd_cap;
	struct kerf_npu_piece *piece;
	uint32_t n_piece, cap_piece;
	uint64_t piece_work;
	bool cut; /* the next command begins another piece */
};

struct kerf_lower_op {
	const struct kerf_op *op;
	struct kerf_tensor *in, *out; /* all slots */
};

/* 0, or -EOPNOTSUPP: the host's. */
typedef int (*kerf_lower_fn)(struct kerf_lower *b, const struct kerf_lower_op *o);

struct kerf_lower_entry {
	const char *name;
	kerf_lower_fn lower;
};

extern const struct kerf_lower_entry kerf_lower_products[], kerf_lower_pools[],
	kerf_lower_elementwise[], kerf_lower_moves[];

/* Copies input 0 to output 0 as it is. */
int kerf_lower_whole(struct kerf_lower *b, const struct kerf_lower_op *o);

/* --- Operands --- */

/* Addresses of input k (a constant is put among the weights) and of output k. */
uint64_t kerf_lower_in(struct kerf_lower *b, const struct kerf_lower_op *o, int k);
uint64_t kerf_lower_out(struct kerf_lower *b, const struct kerf_lower_op *o, int k);
/* Room among the weights; *data is where to write them, or NULL in this pass. */
uint64_t kerf_lower_weights(struct kerf_lower *b, size_t bytes, void **data);
/* Room in the arena for while the operator runs. */
uint64_t kerf_lower_scratch(struct kerf_lower *b, size_t bytes);

/* False if the NPU cannot hold such a tensor. */
bool kerf_lower_tensor(const struct kerf_lower *b, struct kerf_npu_tensor *t, uint64_t addr,
		       enum kerf_dtype dtype, int32_t zero, const int64_t dims[4]);
/* t's dims as n, h, w, c: the last are the last, leading ones are joined. False: too many. */
bool kerf_lower_dims(const struct kerf_tensor *t, int64_t dims[4]);
/* Channels-last image: rank 4, or 3 without rows. */
bool kerf_lower_image_dims(const struct kerf_tensor *t, int64_t dims[4]);

/* Input k is absent, or a known constant of that dtype and (count > 0) so many elements. */
bool kerf_lower_known(const struct kerf_lower_op *o, int k, enum kerf_dtype dtype, int64_t count);
/* Scale and zero point in inputs k and k + 1: one each, known. */
bool kerf_lower_params(const struct kerf_lower_op *o, int k, float *scale, int32_t *zero);

/* The epilogue of float32. */
struct kerf_npu_out kerf_lower_out_f32(const struct kerf_act *act);
/* y's parameters from inputs k and k + 1, and its bounds after op->act. */
bool kerf_lower_out_8bit(const struct kerf_lower_op *o, int k, struct kerf_npu_out *out,
			 float *scale, int32_t *zero);

static inline bool npu_is_byte(const struct kerf_tensor *t)
{
	return t->dtype == KERF_U8 || t->dtype == KERF_I8;
}

static inline bool npu_is_f32(const struct kerf_tensor *t)
{
	return t->dtype == KERF_F32;
}

static inline uint32_t npu_bits(float f)
{
	union {
		float f;
		uint32_t u;
	} x = {f};

	return x.u;
}

/* The NPU takes factors that are finite and above 0. */
bool kerf_lower_factor(float f, uint32_t *bits);

/* --- Commands --- */

/* Fills in opcode and size and appends. work: as docs/npu.md counts. */
void kerf_lower_emit(struct kerf_lower *b, enum kerf_npu_opcode opcode, struct kerf_npu_cmd *cmd,
		     size_t size, uint64_t work);
#define NPU_EMIT(b, opcode, c, work) kerf_lower_emit(b, opcode, &(c)->cmd, sizeof(*(c)), work)

static inline uint64_t npu_count(const struct kerf_npu_tensor *t)
{
	return (uint64_t)t->n * t->h * t->w * t->c;
}

/* dst[...] = src[...] over up to any number of dims; false if they do not merge to what COPY has.
 */
struct kerf_copy;
bool kerf_lower_copy(struct kerf_lower *b, const struct kerf_copy *copy, uint64_t src,
		     uint64_t dst);

#endif
