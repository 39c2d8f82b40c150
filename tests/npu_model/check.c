/* SPDX-License-Identifier: MIT */
/*
 * What a command must look like: docs/npu.md, Commands. Every function checks in the order of
 * the table there, so that a command that breaks several rules always gives the same fault.
 */
#include "npu.h"

#include <math.h>
#include <string.h>

#define WANT(condition, fault)                          \
	do {                                            \
		if (!(condition))                       \
			return KERF_NPU_FAULT_##fault; \
	} while (0)

#define TRY(check)                             \
	do {                                   \
		uint32_t code_ = (check);      \
		if (code_)                     \
			return code_;          \
	} while (0)

static uint32_t dtypes(int n, const struct kerf_npu_tensor *const *t)
{
	int i;

	for (i = 0; i < n; i++)
		WANT(t[i]->dtype >= KERF_NPU_F32 && t[i]->dtype <= KERF_NPU_I8, DTYPE);
	return 0;
}

static bool dims_are_sane(const uint32_t *dim, int n)
{
	while (n--)
		if (!dim[n] || dim[n] > KERF_NPU_MAX_DIM)
			return false;
	return true;
}

static uint32_t shapes(const struct npu_job *job, int n, const struct kerf_npu_tensor *const *t)
{
	uint64_t most = (uint64_t)1 << job->m->limits.tensor_bits, bytes;
	int i, d;

	for (i = 0; i < n; i++) {
		const uint32_t dim[4] = {t[i]->n, t[i]->h, t[i]->w, t[i]->c};

		WANT(dims_are_sane(dim, 4), SHAPE);
		bytes = npu_dtype_size(t[i]->dtype);
		/* Never above 2^30 * 2^24 on the way. */
		for (d = 0; d < 4; d++) {
			bytes *= dim[d];
			WANT(bytes <= most, SHAPE);
		}
	}
	return 0;
}

static bool same_dims(const struct kerf_npu_tensor *a, const struct kerf_npu_tensor *b)
{
	return a->n == b->n && a->h == b->h && a->w == b->w && a->c == b->c;
}

static void range_of(uint32_t dtype, int32_t *lo, int32_t *hi)
{
	*lo = dtype == KERF_NPU_I8 ? -128 : 0;
	*hi = dtype == KERF_NPU_I8 ? 127 : dtype == KERF_NPU_U8 ? 255 : 0;
}

static uint32_t zeros(int n, const struct kerf_npu_tensor *const *t)
{
	int32_t lo, hi;
	int i;

	for (i = 0; i < n; i++) {
		range_of(t[i]->dtype, &lo, &hi);
		WANT((int32_t)t[i]->zero >= lo && (int32_t)t[i]->zero <= hi, PARAM);
	}
	return 0;
}

/* The epilogue of an output of y's dtype. pad was looked at with the flags. */
static uint32_t epilogue(const struct kerf_npu_out *o, const struct kerf_npu_tensor *y)
{
	int32_t least, most, lo = (int32_t)o->lo, hi = (int32_t)o->hi;
	struct kerf_act act = npu_act(o);

	if (npu_is_8bit(y->dtype)) {
		range_of(y->dtype, &least, &most);
		WANT(!o->act && !o->a && !o->b, PARAM);
		WANT(least <= lo && lo <= hi && hi <= most, PARAM);
		return 0;
	}
	WANT(o->act < KERF_NPU_N_ACTS && !lo && !hi, PARAM);
	switch (o->act) {
	case KERF_NPU_ACT_CLIP:
	case KERF_NPU_ACT_HARD_SIGMOID: WANT(!isnan(act.a) && !isnan(act.b), PARAM); break;
	case KERF_NPU_ACT_LEAKY_RELU:
	case KERF_NPU_ACT_ELU: WANT(!isnan(act.a) && !o->b, PARAM); break;
	default: WANT(!o->a && !o->b, PARAM);
	}
	return 0;
}

/* A factor that this form needs, or must not have. */
static uint32_t factor(uint32_t bits, bool needed)
{
	float f = npu_float(bits);

	if (needed)
		WANT(f > 0 && f <= 3.40282347e+38f, PARAM);
	else
		WANT(!bits, PARAM);
	return 0;
}

static bool in_limits(uint32_t v)
{
	return v && v <= KERF_NPU_MAX_DIM;
}

static bool is_pad(uint32_t v)
{
	int32_t p = (int32_t)v;

	return p >= -(int32_t)KERF_NPU_MAX_DIM && p <= (int32_t)KERF_NPU_MAX_DIM;
}

/* --- operands -------------------------------------------------------------------------- */

static struct npu_operand *add(struct npu_task *t, uint64_t addr, uint64_t bytes, uint32_t align)
{
	struct npu_operand *o = &t->op[t->n_op++];

	*o = (struct npu_operand){.addr = addr, .bytes = bytes, .align = align, .present = true};
	return o;
}

static struct npu_operand *add_tensor(struct npu_task *t, const struct kerf_npu_tensor *x)
{
	uint32_t size = npu_dtype_size(x->dtype);

	return add(t, x->addr, npu_count(x) * size, size);
}

/* bias, scale or residual: 4 bytes an element, maybe absent. */
static void add_vector(struct npu_task *t, uint64_t addr, uint64_t count)
{
	add(t, addr, count * 4, 4)->present = addr != KERF_NPU_NO_ADDR;
}

/* --- commands -------------------------------------------------------------------------- */

static uint32_t check_nop(const struct npu_job *job, struct npu_task *t)
{
	WANT(!t->c.cmd.flags, FLAGS);
	return 0;
}

static uint32_t check_delay(const struct npu_job *job, struct npu_task *t)
{
	WANT(!t->c.cmd.flags && !t->c.delay.pad, FLAGS);
	WANT(t->c.delay.us <= KERF_NPU_MAX_DELAY_US, PARAM);
	return 0;
}

/* What CONV and FC share, once shapes and their own parameters are good. */
static uint32_t check_product(struct npu_task *t, const struct kerf_npu_tensor *const *v,
			      const uint64_t *extra, uint64_t k, const struct kerf_npu_out *out)
{
	const struct kerf_npu_tensor *y = v[2];
	bool quantised = npu_is_8bit(y->dtype);

	TRY(zeros(3, v));
	WANT(k <= KERF_NPU_MAX_K, PARAM);
	WANT((extra[1] != KERF_NPU_NO_ADDR) == quantised, PARAM);
	WANT(!quantised || extra[2] == KERF_NPU_NO_ADDR, PARAM);
	TRY(epilogue(out, y));
	add_tensor(t, v[0]);
	add_tensor(t, v[1]);
	add_tensor(t, y)->write = true;
	add_vector(t, extra[0], y->c);
	add_vector(t, extra[1], y->c);
	add_vector(t, extra[2], npu_count(y));
	t->work = npu_count(y) * k;
	return 0;
}

static bool product_dtypes(const struct kerf_npu_tensor *const *v)
{
	return npu_is_8bit(v[0]->dtype) == npu_is_8bit(v[1]->dtype) &&
	       npu_is_8bit(v[0]->dtype) == npu_is_8bit(v[2]->dtype);
}

static uint32_t check_conv(const struct npu_job *job, struct npu_task *t)
{
	const struct kerf_npu_conv *c = &t->c.conv;
	const struct kerf_npu_tensor *const v[] = {&c->x, &c->w, &c->y};
	const uint64_t extra[] = {c->bias, c->scale, c->residual};

	WANT(!c->cmd.flags && !c->pad && !c->out.pad, FLAGS);
	TRY(dtypes(3, v));
	WANT(product_dtypes(v), DTYPE);
	TRY(shapes(job, 3, v));
	WANT(c->y.n == c->x.n && c->w.n == c->y.c, SHAPE);
	WANT(c->groups && c->x.c % c->groups == 0 && c->y.c % c->groups == 0 &&
		     c->w.c == c->x.c / c->groups,
	     SHAPE);
	WANT(c->w.h <= KERF_NPU_MAX_KERNEL && c->w.w <= KERF_NPU_MAX_KERNEL, PARAM);
	WANT(in_limits(c->stride_h) && in_limits(c->stride_w) && in_limits(c->dilation_h) &&
		     in_limits(c->dilation_w) && is_pad(c->pad_top) && is_pad(c->pad_left),
	     PARAM);
	return check_product(t, v, extra, (uint64_t)c->w.h * c->w.w * c->w.c, &c->out);
}

static uint32_t check_fc(const struct npu_job *job, struct npu_task *t)
{
	const struct kerf_npu_fc *c = &t->c.fc;
	const struct kerf_npu_tensor *const v[] = {&c->x, &c->w, &c->y};
	const uint64_t extra[] = {c->bias, c->scale, c->residual};

	WANT(!c->cmd.flags && !c->out.pad, FLAGS);
	TRY(dtypes(3, v));
	WANT(product_dtypes(v), DTYPE);
	TRY(shapes(job, 3, v));
	WANT(c->x.h == 1 && c->w.h == 1 && c->y.h == 1 && c->y.n == c->x.n &&
		     (c->w.n == 1 || c->w.n == c->x.n) && c->y.w == c->x.w && c->y.c == c->w.w &&
		     c->w.c == c->x.c,
	     SHAPE);
	return check_product(t, v, extra, c->x.c, &c->out);
}

static uint32_t check_pool(const struct npu_job *job, struct npu_task *t)
{
	const struct kerf_npu_pool *c = &t->c.pool;
	const struct kerf_npu_tensor *const v[] = {&c->x, &c->y};
	bool average = c->cmd.opcode == KERF_NPU_POOL_AVERAGE;
	bool count_pad = c->cmd.flags & KERF_NPU_POOL_COUNT_PAD;

	WANT(!(c->cmd.flags & ~(average ? KERF_NPU_POOL_COUNT_PAD : 0)) && !c->pad && !c->out.pad,
	     FLAGS);
	TRY(dtypes(2, v));
	WANT(average ? npu_is_8bit(c->x.dtype) == npu_is_8bit(c->y.dtype)
		     : c->x.dtype == c->y.dtype,
	     DTYPE);
	TRY(shapes(job, 2, v));
	WANT(c->x.n == c->y.n && c->x.c == c->y.c, SHAPE);
	TRY(zeros(2, v));
	WANT(average || c->x.zero == c->y.zero, PARAM);
	WANT(c->kernel_h && c->kernel_h <= KERF_NPU_MAX_KERNEL && c->kernel_w &&
		     c->kernel_w <= KERF_NPU_MAX_KERNEL,
	     PARAM);
	WANT(in_limits(c->stride_h) && in_limits(c->stride_w) && in_limits(c->dilation_h) &&
		     in_limits(c->dilation_w) && is_pad(c->pad_top) && is_pad(c->pad_left),
	     PARAM);
	WANT(count_pad ? is_pad(c->pad_bottom) && is_pad(c->pad_right)
		       : !c->pad_bottom && !c->pad_right,
	     PARAM);
	TRY(factor(c->factor, average && npu_is_8bit(c->x.dtype)));
	TRY(epilogue(&c->out, &c->y));
	add_tensor(t, &c->x);
	add_tensor(t, &c->y)->write = true;
	t->work = npu_count(&c->y) * c->kernel_h * c->kernel_w;
	return 0;
}

static bool broadcasts(const struct kerf_npu_tensor *a, const struct kerf_npu_tensor *y)
{
	return (a->n == y->n || a->n == 1) && (a->h == y->h || a->h == 1) &&
	       (a->w == y->w || a->w == 1) && (a->c == y->c || a->c == 1);
}

static uint32_t check_binary(const struct npu_job *job, struct npu_task *t)
{
	const struct kerf_npu_binary *c = &t->c.binary;
	const struct kerf_npu_tensor *const v[] = {&c->a, &c->b, &c->y};
	bool quantised;

	WANT(!c->cmd.flags && !c->out.pad, FLAGS);
	TRY(dtypes(3, v));
	quantised = npu_is_8bit(c->y.dtype);
	WANT(product_dtypes(v), DTYPE);
	WANT(!quantised || c->cmd.opcode == KERF_NPU_ADD || c->cmd.opcode == KERF_NPU_MUL, DTYPE);
	TRY(shapes(job, 3, v));
	WANT(broadcasts(&c->a, &c->y) && broadcasts(&c->b, &c->y), SHAPE);
	TRY(zeros(3, v));
	TRY(factor(c->factor_a, quantised));
	TRY(factor(c->factor_b, quantised && c->cmd.opcode == KERF_NPU_ADD));
	TRY(epilogue(&c->out, &c->y));
	add_tensor(t, &c->a)->in_place = same_dims(&c->a, &c->y);
	add_tensor(t, &c->b)->in_place = same_dims(&c->b, &c->y);
	add_tensor(t, &c->y)->write = true;
	t->work = npu_count(&c->y);
	return 0;
}

static uint32_t check_unary(const struct npu_job *job, struct npu_task *t)
{
	const struct kerf_npu_unary *c = &t->c.unary;
	const struct kerf_npu_tensor *const v[] = {&c->x, &c->y};
	uint32_t op = c->cmd.opcode;
	bool lut = op == KERF_NPU_LUT;

	WANT(!c->cmd.flags && !c->pad && !c->out.pad, FLAGS);
	TRY(dtypes(2, v));
	WANT(npu_is_8bit(c->x.dtype) == (op != KERF_NPU_ACT && op != KERF_NPU_QUANTIZE), DTYPE);
	WANT(npu_is_8bit(c->y.dtype) == (op != KERF_NPU_ACT && op != KERF_NPU_DEQUANTIZE), DTYPE);
	TRY(shapes(job, 2, v));
	WANT(same_dims(&c->x, &c->y), SHAPE);
	TRY(zeros(2, v));
	WANT((c->table != KERF_NPU_NO_ADDR) == lut, PARAM);
	TRY(factor(c->factor, !lut && op != KERF_NPU_ACT));
	if (lut)
		WANT(!c->out.act && !c->out.a && !c->out.b && !c->out.lo && !c->out.hi, PARAM);
	else
		TRY(epilogue(&c->out, &c->y));
	add_tensor(t, &c->x)->in_place = true;
	add_tensor(t, &c->y)->write = true;
	add(t, c->table, 256, 1)->present = lut;
	t->op[2].copy = true;
	t->work = npu_count(&c->y);
	return 0;
}

/* Bytes from the first element to the last, and the elements. 0 if that is too much. */
static uint64_t extent(const struct npu_job *job, const struct kerf_npu_copy *c,
		       const uint32_t *stride, uint64_t *count)
{
	uint64_t most = (uint64_t)1 << job->m->limits.tensor_bits, last = 0;
	int d;

	*count = 1;
	for (d = 0; d < KERF_NPU_COPY_RANK; d++) {
		*count *= c->dims[d];
		last += (uint64_t)(c->dims[d] - 1) * stride[d];
		/* Either stays below 2^30 * 2^32. */
		if (*count > most || last > most)
			return 0;
	}
	return last + 1 <= most / c->element_size ? (last + 1) * c->element_size : 0;
}

static uint32_t check_copy(const struct npu_job *job, struct npu_task *t)
{
	const struct kerf_npu_copy *c = &t->c.copy;
	bool fill = c->cmd.opcode == KERF_NPU_FILL;
	uint64_t from, to;
	int d;

	WANT(!c->cmd.flags && !c->pad, FLAGS);
	WANT(c->element_size == 1 || c->element_size == 2 || c->element_size == 4 ||
		     c->element_size == 8,
	     DTYPE);
	WANT(dims_are_sane(c->dims, KERF_NPU_COPY_RANK), SHAPE);
	from = extent(job, c, c->src_stride, &t->work);
	to = extent(job, c, c->dst_stride, &t->work);
	WANT(from && to, SHAPE);
	if (fill) {
		for (d = 0; d < KERF_NPU_COPY_RANK; d++)
			WANT(!c->src_stride[d], PARAM);
		WANT(c->element_size == 8 || !(c->src >> (8 * c->element_size)), PARAM);
	}
	add(t, c->src, from, c->element_size)->present = !fill;
	add(t, c->dst, to, c->element_size)->write = true;
	t->op[1].strided = true;
	return 0;
}

static uint32_t check_resize(const struct npu_job *job, struct npu_task *t)
{
	const struct kerf_npu_resize *c = &t->c.resize;
	const struct kerf_npu_tensor *const v[] = {&c->x, &c->y};

	WANT(!c->cmd.flags, FLAGS);
	TRY(dtypes(2, v));
	WANT(c->x.dtype == c->y.dtype, DTYPE);
	TRY(shapes(job, 2, v));
	WANT(c->x.n == c->y.n && c->x.c == c->y.c, SHAPE);
	TRY(zeros(2, v));
	WANT(c->x.zero == c->y.zero, PARAM);
	add_tensor(t, &c->x);
	add_tensor(t, &c->y)->write = true;
	add(t, c->rows, (uint64_t)c->y.h * 4, 4)->copy = true;
	add(t, c->columns, (uint64_t)c->y.w * 4, 4)->copy = true;
	t->work = KERF_MAX(npu_count(&c->x), npu_count(&c->y));
	return 0;
}

static uint32_t check_softmax(const struct npu_job *job, struct npu_task *t)
{
	const struct kerf_npu_softmax *c = &t->c.softmax;
	const struct kerf_npu_tensor *const v[] = {&c->x, &c->y};

	WANT(!c->cmd.flags, FLAGS);
	TRY(dtypes(2, v));
	WANT(c->x.dtype == KERF_NPU_F32 && c->y.dtype == KERF_NPU_F32, DTYPE);
	TRY(shapes(job, 2, v));
	WANT(same_dims(&c->x, &c->y), SHAPE);
	TRY(zeros(2, v));
	add_tensor(t, &c->x)->in_place = true;
	add_tensor(t, &c->y)->write = true;
	t->work = npu_count(&c->y);
	return 0;
}

static const struct {
	uint32_t size;
	uint32_t (*check)(const struct npu_job *job, struct npu_task *t);
} commands[KERF_NPU_N_OPCODES] = {
	[KERF_NPU_NOP] = {sizeof(struct kerf_npu_cmd), check_nop},
	[KERF_NPU_DELAY] = {sizeof(struct kerf_npu_delay), check_delay},
	[KERF_NPU_CONV] = {sizeof(struct kerf_npu_conv), check_conv},
	[KERF_NPU_FC] = {sizeof(struct kerf_npu_fc), check_fc},
	[KERF_NPU_POOL_MAX] = {sizeof(struct kerf_npu_pool), check_pool},
	[KERF_NPU_POOL_AVERAGE] = {sizeof(struct kerf_npu_pool), check_pool},
	[KERF_NPU_ADD] = {sizeof(struct kerf_npu_binary), check_binary},
	[KERF_NPU_MUL] = {sizeof(struct kerf_npu_binary), check_binary},
	[KERF_NPU_SUB] = {sizeof(struct kerf_npu_binary), check_binary},
	[KERF_NPU_DIV] = {sizeof(struct kerf_npu_binary), check_binary},
	[KERF_NPU_ACT] = {sizeof(struct kerf_npu_unary), check_unary},
	[KERF_NPU_QUANTIZE] = {sizeof(struct kerf_npu_unary), check_unary},
	[KERF_NPU_DEQUANTIZE] = {sizeof(struct kerf_npu_unary), check_unary},
	[KERF_NPU_RESCALE] = {sizeof(struct kerf_npu_unary), check_unary},
	[KERF_NPU_LUT] = {sizeof(struct kerf_npu_unary), check_unary},
	[KERF_NPU_COPY] = {sizeof(struct kerf_npu_copy), check_copy},
	[KERF_NPU_FILL] = {sizeof(struct kerf_npu_copy), check_copy},
	[KERF_NPU_RESIZE] = {sizeof(struct kerf_npu_resize), check_resize},
	[KERF_NPU_SOFTMAX] = {sizeof(struct kerf_npu_softmax), check_softmax},
};

uint32_t npu_check(const struct npu_job *job, const uint8_t *at, uint32_t left, struct npu_task *t)
{
	struct kerf_npu_cmd cmd;

	WANT(left >= sizeof(cmd), SIZE);
	memcpy(&cmd, at, sizeof(cmd));
	WANT(cmd.opcode < KERF_NPU_N_OPCODES, OPCODE);
	WANT(cmd.size == commands[cmd.opcode].size && cmd.size <= left, SIZE);
	memcpy(&t->c, at, cmd.size);
	t->n_op = 0;
	t->work = 0;
	return commands[cmd.opcode].check(job, t);
}
