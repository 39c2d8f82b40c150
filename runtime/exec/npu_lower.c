/* SPDX-License-Identifier: MIT */
#include "exec/npu_lower.h"

#include "exec/cpu_copy.h"
#include "graph/op_conv.h"
#include "graph/op_quant.h"
#include "graph/op_util.h"

#include <stdlib.h>
#include <string.h>

/* Every kerf NPU holds tensors of this size. */
#define MAX_TENSOR_BYTES ((int64_t)1 << 30)

/*
 * Of one job: the kernel's bound on commands, and work that lets other queues have their
 * turn and stays far from any timeout.
 */
#define MAX_PIECE_BYTES 65536u
#define MAX_PIECE_WORK ((uint64_t)1 << 29)

/* --- Operands --- */

uint64_t kerf_lower_weights(struct kerf_lower *b, size_t bytes, void **data)
{
	size_t at = b->weight_bytes;

	*data = b->weights ? b->weights + at : NULL;
	b->weight_bytes += kerf_align(bytes);
	return KERF_NPU_ADDR(KERF_NPU_W_WEIGHTS, at);
}

uint64_t kerf_lower_scratch(struct kerf_lower *b, size_t bytes)
{
	size_t at = b->scratch_bytes;

	b->scratch_bytes += kerf_align(bytes);
	return KERF_NPU_ADDR(KERF_NPU_W_ARENA, b->scratch_at + at);
}

static uint64_t address_of(const struct kerf_lower *b, int32_t v)
{
	return b->place ? KERF_NPU_ADDR(b->place[v].window, b->place[v].offset) : 0;
}

uint64_t kerf_lower_in(struct kerf_lower *b, const struct kerf_lower_op *o, int k)
{
	int32_t v = o->op->in[k];
	void *data;

	if (!o->in[k].data)
		return address_of(b, v);
	if (!b->const_at[v]) {
		uint64_t at = kerf_lower_weights(b, kerf_tensor_bytes(&o->in[k]), &data);

		b->const_at[v] = 1 + KERF_NPU_ADDR_OFFSET(at);
		if (data)
			memcpy(data, o->in[k].data, kerf_tensor_bytes(&o->in[k]));
	}
	return KERF_NPU_ADDR(KERF_NPU_W_WEIGHTS, b->const_at[v] - 1);
}

uint64_t kerf_lower_out(struct kerf_lower *b, const struct kerf_lower_op *o, int k)
{
	return address_of(b, o->op->out[k]);
}

bool kerf_lower_tensor(const struct kerf_lower *b, struct kerf_npu_tensor *t, uint64_t addr,
		       enum kerf_dtype dtype, int32_t zero, const int64_t dims[4])
{
	int64_t bytes = (int64_t)kerf_dtype_size(dtype);
	int i;

	if (!(dtype == KERF_F32			     ? b->features & KERF_NPU_FEATURE_F32
	      : dtype == KERF_U8 || dtype == KERF_I8 ? b->features & KERF_NPU_FEATURE_INT8
						     : 0))
		return false;
	for (i = 0; i < 4; i++)
		if (dims[i] < 1 || dims[i] > KERF_NPU_MAX_DIM ||
		    !kerf_mul(bytes, dims[i], &bytes) || bytes > MAX_TENSOR_BYTES)
			return false;
	*t = (struct kerf_npu_tensor){
		.addr = addr,
		.n = (uint32_t)dims[0],
		.h = (uint32_t)dims[1],
		.w = (uint32_t)dims[2],
		.c = (uint32_t)dims[3],
		.dtype = dtype, /* the numbers are the same */
		.zero = (uint32_t)zero,
	};
	return true;
}

_Static_assert((int)KERF_NPU_F32 == KERF_F32 && (int)KERF_NPU_U8 == KERF_U8 &&
		       (int)KERF_NPU_I8 == KERF_I8,
	       "dtypes are ONNX's on both sides");

bool kerf_lower_dims(const struct kerf_tensor *t, int64_t dims[4])
{
	int i, extra = KERF_MAX(t->rank - 4, 0);

	for (i = 0; i < 4; i++)
		dims[i] = 1;
	for (i = 0; i < t->rank; i++) {
		int at = 4 - t->rank + i;

		if (i <= extra)
			at = KERF_MAX(4 - t->rank, 0);
		if (!kerf_mul(dims[at], t->dims[i], &dims[at]))
			return false;
	}
	return true;
}

bool kerf_lower_image_dims(const struct kerf_tensor *t, int64_t dims[4])
{
	if (t->rank != 3 && t->rank != 4)
		return false;
	dims[0] = t->dims[0];
	dims[1] = t->rank == 4 ? t->dims[1] : 1;
	dims[2] = t->dims[t->rank - 2];
	dims[3] = t->dims[t->rank - 1];
	return true;
}

bool kerf_lower_known(const struct kerf_lower_op *o, int k, enum kerf_dtype dtype, int64_t count)
{
	const struct kerf_tensor *t = kerf_op_opt(o->op, o->in, k);

	return !t || (t->data && t->dtype == dtype && (!count || kerf_tensor_count(t) == count));
}

bool kerf_lower_params(const struct kerf_lower_op *o, int k, float *scale, int32_t *zero)
{
	const struct kerf_tensor *s = kerf_op_opt(o->op, o->in, k),
				 *z = kerf_op_opt(o->op, o->in, k + 1);

	if (!s || !s->data || s->dtype != KERF_F32 || kerf_tensor_count(s) != 1 ||
	    (z && (!z->data || kerf_tensor_count(z) != 1)))
		return false;
	*scale = (float)kerf_tensor_float(s, 0);
	*zero = (int32_t)kerf_zero_point(z, 0);
	return true;
}

struct kerf_npu_out kerf_lower_out_f32(const struct kerf_act *act)
{
	static const struct {
		enum kerf_npu_act act;
		int params;
	} acts[KERF_N_ACTS] = {
		[KERF_ACT_NONE] = {KERF_NPU_ACT_NONE, 0},
		[KERF_ACT_RELU] = {KERF_NPU_ACT_RELU, 0},
		[KERF_ACT_CLIP] = {KERF_NPU_ACT_CLIP, 2},
		[KERF_ACT_LEAKY_RELU] = {KERF_NPU_ACT_LEAKY_RELU, 1},
		[KERF_ACT_SIGMOID] = {KERF_NPU_ACT_SIGMOID, 0},
		[KERF_ACT_TANH] = {KERF_NPU_ACT_TANH, 0},
		[KERF_ACT_SILU] = {KERF_NPU_ACT_SILU, 0},
		[KERF_ACT_HARD_SIGMOID] = {KERF_NPU_ACT_HARD_SIGMOID, 2},
		[KERF_ACT_HARD_SWISH] = {KERF_NPU_ACT_HARD_SWISH, 0},
		[KERF_ACT_GELU] = {KERF_NPU_ACT_GELU, 0},
		[KERF_ACT_MISH] = {KERF_NPU_ACT_MISH, 0},
		[KERF_ACT_ELU] = {KERF_NPU_ACT_ELU, 1},
	};

	return (struct kerf_npu_out){
		.act = acts[act->kind].act,
		.a = acts[act->kind].params > 0 ? npu_bits(act->a) : 0,
		.b = acts[act->kind].params > 1 ? npu_bits(act->b) : 0,
	};
}

bool kerf_lower_out_8bit(const struct kerf_lower_op *o, int k, struct kerf_npu_out *out,
			 float *scale, int32_t *zero)
{
	struct kerf_quant_target t;

	if (!kerf_lower_params(o, k, scale, zero) ||
	    kerf_quant_target(o->op, &o->in[k], &o->in[k + 1], &t))
		return false;
	*out = (struct kerf_npu_out){.lo = (uint32_t)t.lo, .hi = (uint32_t)t.hi};
	return true;
}

bool kerf_lower_factor(float f, uint32_t *bits)
{
	*bits = npu_bits(f);
	return f > 0 && f <= __FLT_MAX__;
}

/* --- Commands --- */

/* Room for need more elements of size in a growing list. */
static bool grow(void *list, uint32_t have, uint32_t need, uint32_t *cap, size_t size)
{
	uint32_t n = KERF_MAX(2 * *cap, have + need);
	void *p;

	if (have + need <= *cap)
		return true;
	p = reallocarray(*(void **)list, n, size);
	if (!p)
		return false;
	*(void **)list = p;
	*cap = n;
	return true;
}

/* A job's commands end where another would be too much for one. */
static bool begin_piece(struct kerf_lower *b, uint32_t size, uint64_t work)
{
	const struct kerf_npu_piece *last = b->n_piece ? &b->piece[b->n_piece - 1] : NULL;

	if (last && !b->cut && last->end - last->begin + size <= MAX_PIECE_BYTES &&
	    b->piece_work + work <= MAX_PIECE_WORK)
		return true;
	if (!grow(&b->piece, b->n_piece, 1, &b->cap_piece, sizeof(*b->piece)))
		return false;
	b->piece[b->n_piece++] = (struct kerf_npu_piece){b->cmd_bytes, b->cmd_bytes};
	b->piece_work = 0;
	b->cut = false;
	return true;
}

void kerf_lower_emit(struct kerf_lower *b, enum kerf_npu_opcode opcode, struct kerf_npu_cmd *cmd,
		     size_t size, uint64_t work)
{
	if (!b->emits || b->nomem)
		return;
	cmd->opcode = (uint16_t)opcode;
	cmd->size = (uint16_t)size;
	if (!grow(&b->cmd, b->cmd_bytes, (uint32_t)size, &b->cmd_cap, 1) ||
	    !begin_piece(b, (uint32_t)size, work)) {
		b->nomem = true;
		return;
	}
	memcpy(b->cmd + b->cmd_bytes, cmd, size);
	b->cmd_bytes += (uint32_t)size;
	b->piece[b->n_piece - 1].end = b->cmd_bytes;
	b->piece_work += work;
}

bool kerf_lower_copy(struct kerf_lower *b, const struct kerf_copy *copy, uint64_t src, uint64_t dst)
{
	struct kerf_copy k = *copy;
	struct kerf_npu_copy c = {.element_size = (uint32_t)k.esize};
	uint64_t work = 1;
	int i;

	kerf_copy_plan(&k);
	if (k.rank > KERF_NPU_COPY_RANK)
		return false;
	for (i = 0; i < KERF_NPU_COPY_RANK; i++)
		c.dims[i] = 1;
	for (i = 0; i < k.rank; i++) {
		if (k.dim[i] < 1 || k.dim[i] > KERF_NPU_MAX_DIM || k.from[i] < 0 ||
		    k.from[i] > UINT32_MAX || k.to[i] < 0 || k.to[i] > UINT32_MAX)
			return false;
		c.dims[i] = (uint32_t)k.dim[i];
		c.src_stride[i] = (uint32_t)k.from[i];
		c.dst_stride[i] = (uint32_t)k.to[i];
		work *= (uint64_t)k.dim[i];
	}
	c.src = src + (uint64_t)k.from0 * k.esize;
	c.dst = dst + (uint64_t)k.to0 * k.esize;
	NPU_EMIT(b, KERF_NPU_COPY, &c, work);
	return true;
}
