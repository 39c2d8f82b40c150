/* SPDX-License-Identifier: MIT */
/* Element by element: ADD, MUL, SUB, DIV, ACT, QUANTIZE, DEQUANTIZE, RESCALE, LUT, SOFTMAX. */
#include "npu.h"

#include <string.h>

#define CHUNK 8192 /* elements between looks at the registers */

/* --- two operands ---------------------------------------------------------------------- */

/* Elements i .. i + n of a tensor repeated to y's dims: where they are, or copied to tmp. */
static const uint8_t *operand(const struct kerf_npu_tensor *a, const struct kerf_npu_tensor *y,
			      const uint8_t *data, uint64_t i, uint64_t n, uint8_t *tmp)
{
	uint64_t size = npu_dtype_size(a->dtype), e;
	uint64_t c = i % y->c, w = i / y->c % y->w, h = i / y->c / y->w % y->h;
	uint64_t image = i / y->c / y->w / y->h;

	if (npu_count(a) == npu_count(y))
		return data + i * size;
	for (e = 0; e < n; e++) {
		uint64_t at = ((a->n > 1 ? image : 0) * a->h + (a->h > 1 ? h : 0)) * a->w;

		at = (at + (a->w > 1 ? w : 0)) * a->c + (a->c > 1 ? c : 0);
		if (size == 4)
			memcpy(tmp + e * 4, data + at * 4, 4);
		else
			tmp[e] = data[at];
		if (++c < y->c)
			continue;
		c = 0;
		if (++w < y->w)
			continue;
		w = 0;
		if (++h < y->h)
			continue;
		h = 0;
		image++;
	}
	return tmp;
}

static void binary8(const struct npu_job *job, const struct kerf_npu_binary *c, uint8_t *y,
		    const uint8_t *a, const uint8_t *b, int64_t n)
{
	struct kerf_binary8 p = {
		.a_signed = c->a.dtype == KERF_NPU_I8,
		.b_signed = c->b.dtype == KERF_NPU_I8,
		.a_zero = (int32_t)c->a.zero,
		.b_zero = (int32_t)c->b.zero,
		.zero = (int32_t)c->y.zero,
		.lo = (int32_t)c->out.lo,
		.hi = (int32_t)c->out.hi,
		.ma = npu_float(c->factor_a),
		.mb = npu_float(c->factor_b),
	};

	if (c->cmd.opcode == KERF_NPU_ADD)
		job->m->isa.int8->add(y, a, b, n, &p);
	else
		job->m->isa.int8->multiply(y, a, b, n, &p);
}

static void binary_f32(const struct npu_job *job, const struct kerf_npu_binary *c, float *y,
		       const float *a, const float *b, int64_t n)
{
	static const enum kerf_map2 map[] = {
		[KERF_NPU_ADD] = KERF_MAP_ADD,
		[KERF_NPU_MUL] = KERF_MAP_MUL,
		[KERF_NPU_SUB] = KERF_MAP_SUB,
		[KERF_NPU_DIV] = KERF_MAP_DIV,
	};
	struct kerf_act act = npu_act(&c->out);

	job->m->isa.map->map2[map[c->cmd.opcode]][0](y, a, b, n);
	if (act.kind)
		job->m->isa.map->act(&act, y, n);
}

uint32_t npu_run_binary(struct npu_job *job, struct npu_task *t)
{
	const struct kerf_npu_binary *c = &t->c.binary;
	uint64_t size = npu_dtype_size(c->y.dtype), count = npu_count(&c->y), i, n;
	uint8_t *tmp_a = npu_scratch(job, CHUNK * 4), *tmp_b = npu_scratch(job, CHUNK * 4);
	uint8_t *y = t->op[2].data;

	if (!tmp_a || !tmp_b)
		return KERF_NPU_FAULT_MEMORY;
	for (i = 0; i < count; i += n) {
		const uint8_t *a, *b;

		if (!npu_go_on(job))
			return KERF_NPU_FAULT_ABORTED;
		n = KERF_MIN(count - i, CHUNK);
		a = operand(&c->a, &c->y, t->op[0].data, i, n, tmp_a);
		b = operand(&c->b, &c->y, t->op[1].data, i, n, tmp_b);
		if (size == 1)
			binary8(job, c, y + i, a, b, (int64_t)n);
		else
			binary_f32(job, c, (float *)y + i, (const float *)a, (const float *)b,
				   (int64_t)n);
	}
	return 0;
}

/* --- one operand ----------------------------------------------------------------------- */

static void unary(const struct npu_job *job, const struct npu_task *t, uint8_t *y, const uint8_t *x,
		  int64_t n)
{
	const struct kerf_npu_unary *c = &t->c.unary;
	const struct kerf_isa *isa = &job->m->isa;
	int32_t zero = (int32_t)c->y.zero, lo = (int32_t)c->out.lo, hi = (int32_t)c->out.hi;
	struct kerf_binary8 p = {
		.a_signed = c->x.dtype == KERF_NPU_I8,
		.a_zero = (int32_t)c->x.zero,
		.zero = zero,
		.lo = lo,
		.hi = hi,
		.ma = npu_float(c->factor),
	};
	struct kerf_act act = npu_act(&c->out);
	int64_t i;

	switch (c->cmd.opcode) {
	case KERF_NPU_QUANTIZE:
		isa->int8->quantize(y, (const float *)x, n, p.ma, zero, lo, hi);
		return;
	case KERF_NPU_RESCALE: isa->int8->rescale(y, x, n, &p); return;
	case KERF_NPU_LUT:
		for (i = 0; i < n; i++)
			y[i] = t->op[2].data[x[i]];
		return;
	case KERF_NPU_DEQUANTIZE:
		isa->int8->dequantize((float *)y, x, n, p.a_signed, p.ma, p.a_zero);
		break;
	default: memmove(y, x, (size_t)n * 4); break;
	}
	if (act.kind)
		isa->map->act(&act, (float *)y, n);
}

uint32_t npu_run_unary(struct npu_job *job, struct npu_task *t)
{
	const struct kerf_npu_unary *c = &t->c.unary;
	uint64_t x_size = npu_dtype_size(c->x.dtype), y_size = npu_dtype_size(c->y.dtype), i, n;
	uint64_t count = npu_count(&c->y);

	for (i = 0; i < count; i += n) {
		if (!npu_go_on(job))
			return KERF_NPU_FAULT_ABORTED;
		n = KERF_MIN(count - i, CHUNK);
		unary(job, t, t->op[1].data + i * y_size, t->op[0].data + i * x_size, (int64_t)n);
	}
	return 0;
}

uint32_t npu_run_softmax(struct npu_job *job, struct npu_task *t)
{
	const struct kerf_npu_softmax *c = &t->c.softmax;
	uint64_t i, count = npu_count(&c->y);

	for (i = 0; i < count; i += c->y.c) {
		if (!npu_go_on(job))
			return KERF_NPU_FAULT_ABORTED;
		job->m->isa.norm->softmax_row((float *)t->op[1].data + i,
					      (const float *)t->op[0].data + i, c->y.c, false);
	}
	return 0;
}
