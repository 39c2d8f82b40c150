/* SPDX-License-Identifier: MIT */
/* COPY, FILL, RESIZE. */
#include "npu.h"

#include <string.h>

/*
 * Elements of a strided output, written one by one where they belong: what lies between them
 * is not touched, not even rewritten.
 */
struct cursor {
	const struct npu_window *window;
	uint64_t base; /* offset of the output in the window */
	uint64_t begin, end; /* bytes of the output that `at` reaches */
	uint8_t *at;
};

/* Where byte i of the output is, and how many follow there. */
static uint8_t *reach(struct cursor *c, uint64_t i, uint64_t *contiguous)
{
	if (i < c->begin || i >= c->end) {
		c->at = npu_locate(c->window, c->base + i, contiguous);
		c->begin = i;
		c->end = i + *contiguous;
	}
	*contiguous = c->end - i;
	return c->at + (i - c->begin);
}

/* Elements do not cross pieces: those and elements are aligned. */
static void put_run(struct cursor *to, uint64_t at, uint64_t to_step, const uint8_t *from,
		    uint64_t from_step, uint64_t size, uint64_t n)
{
	uint64_t some, i;

	if (to_step == size && from_step == size) {
		for (n *= size; n; n -= some, at += some, from += some) {
			uint8_t *p = reach(to, at, &some);

			some = KERF_MIN(some, n);
			memmove(p, from, some);
		}
		return;
	}
	for (i = 0; i < n; i++, at += to_step, from += from_step)
		memmove(reach(to, at, &some), from, size);
}

#define RUN ((uint64_t)4096) /* elements between looks at the registers */

uint32_t npu_run_copy(struct npu_job *job, struct npu_task *t)
{
	const struct kerf_npu_copy *c = &t->c.copy;
	const struct npu_operand *dst = &t->op[1];
	bool fill = c->cmd.opcode == KERF_NPU_FILL;
	const uint8_t *src = fill ? (const uint8_t *)&c->src : t->op[0].data;
	struct cursor to = {.window = &job->window[KERF_NPU_ADDR_WINDOW(dst->addr)],
			    .base = KERF_NPU_ADDR_OFFSET(dst->addr)};
	const int last = KERF_NPU_COPY_RANK - 1;
	uint64_t size = c->element_size, from_at = 0, to_at = 0, i, n, since = 0;
	uint64_t from_step = c->src_stride[last] * size, to_step = c->dst_stride[last] * size;
	uint32_t pos[KERF_NPU_COPY_RANK] = {0};
	int d;

	for (;;) {
		for (i = 0; i < c->dims[last]; i += n) {
			if (!since && !npu_go_on(job))
				return KERF_NPU_FAULT_ABORTED;
			n = KERF_MIN(c->dims[last] - i, RUN);
			since = since + n >= RUN ? 0 : since + n;
			put_run(&to, to_at * size + i * to_step, to_step,
				src + from_at * size + i * from_step, from_step, size, n);
		}
		for (d = last - 1; d >= 0; d--) {
			from_at += c->src_stride[d];
			to_at += c->dst_stride[d];
			if (++pos[d] < c->dims[d])
				break;
			from_at -= (uint64_t)c->dims[d] * c->src_stride[d];
			to_at -= (uint64_t)c->dims[d] * c->dst_stride[d];
			pos[d] = 0;
		}
		if (d < 0)
			return 0;
	}
}

/* The first index outside [0, limit), or -1. */
static int64_t bad_index(const uint8_t *table, uint32_t n, uint32_t limit)
{
	uint32_t i;

	for (i = 0; i < n; i++)
		if (((const uint32_t *)table)[i] >= limit)
			return i;
	return -1;
}

static uint32_t index_fault(struct npu_job *job, uint64_t addr, int64_t i)
{
	job->fault.window = KERF_NPU_ADDR_WINDOW(addr);
	job->fault.offset = KERF_NPU_ADDR_OFFSET(addr) + (uint64_t)i * 4;
	return KERF_NPU_FAULT_INDEX;
}

uint32_t npu_run_resize(struct npu_job *job, struct npu_task *t)
{
	const struct kerf_npu_resize *c = &t->c.resize;
	uint64_t pixel = (uint64_t)npu_dtype_size(c->x.dtype) * c->x.c, n, i, j;
	const uint32_t *rows = (const uint32_t *)t->op[2].data;
	const uint32_t *columns = (const uint32_t *)t->op[3].data;
	uint8_t *y = t->op[1].data;
	int64_t bad;

	bad = bad_index(t->op[2].data, c->y.h, c->x.h);
	if (bad >= 0)
		return index_fault(job, c->rows, bad);
	bad = bad_index(t->op[3].data, c->y.w, c->x.w);
	if (bad >= 0)
		return index_fault(job, c->columns, bad);
	for (n = 0; n < c->y.n; n++)
		for (i = 0; i < c->y.h; i++) {
			const uint8_t *row =
				t->op[0].data + (n * c->x.h + rows[i]) * c->x.w * pixel;

			for (j = 0; j < c->y.w; j++, y += pixel) {
				if (j % 64 == 0 && !npu_go_on(job))
					return KERF_NPU_FAULT_ABORTED;
				memmove(y, row + columns[j] * pixel, pixel);
			}
		}
	return 0;
}
