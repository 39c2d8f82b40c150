/* SPDX-License-Identifier: MIT */
/* Guest memory: DMA, window tables, operands mapped or gathered. */
#include "npu.h"

#include <stdlib.h>
#include <string.h>

#define MAX_SCRATCH ((uint64_t)4 << 30)

const struct npu_limits npu_default_limits = {
	.max_commands = 1 << 16,
	.max_windows = 64,
	.max_extents = 1 << 16,
	.tensor_bits = 30,
	.work_bits = 40,
};

static uint8_t *dma(const struct npu_machine *m, uint64_t addr, uint64_t size)
{
	return addr <= m->ram_size && size <= m->ram_size - addr ? m->ram + addr : NULL;
}

int npu_dma_read(const struct npu_machine *m, uint64_t addr, void *to, uint64_t size)
{
	const uint8_t *p = dma(m, addr, size);

	if (!p)
		return -1;
	memcpy(to, p, size);
	return 0;
}

static uint32_t fault_at(struct npu_job *job, uint32_t code, uint32_t window, uint64_t offset)
{
	job->fault.code = code;
	job->fault.window = window;
	job->fault.offset = offset;
	return code;
}

/* --- loading a job --------------------------------------------------------------------- */

/* Appends what of an extent lies in the window; `from` is its place in the extents' bytes. */
static void add_piece(struct npu_window *w, uint8_t *at, uint64_t from, uint64_t size,
		      uint64_t offset)
{
	struct npu_piece *last = w->n_piece ? &w->piece[w->n_piece - 1] : NULL;
	uint64_t skip = from < offset ? offset - from : 0, begin;

	if (skip >= size)
		return;
	at += skip;
	size -= skip;
	begin = from + skip - offset;
	if (begin >= w->size)
		return;
	size = KERF_MIN(size, w->size - begin);
	if (last && last->at + last->size == at)
		last->size += size;
	else
		w->piece[w->n_piece++] = (struct npu_piece){begin, size, at};
}

static uint32_t load_window(struct npu_job *job, uint32_t i, const struct kerf_npu_window *desc)
{
	const struct npu_machine *m = job->m;
	uint64_t part = desc->extents, total = 0;
	struct npu_window *w = &job->window[i];
	uint32_t left = desc->n_extents, k;

	*w = (struct npu_window){.size = desc->size, .flags = desc->flags};
	if (!desc->flags || desc->flags & ~(KERF_NPU_WINDOW_READ | KERF_NPU_WINDOW_WRITE) ||
	    !desc->size || desc->offset % 64 || !left || left > m->limits.max_extents)
		return fault_at(job, KERF_NPU_FAULT_WINDOW_TABLE, i, part);
	w->piece = malloc(left * sizeof(*w->piece));
	if (!w->piece)
		return fault_at(job, KERF_NPU_FAULT_MEMORY, i, part);
	while (left) {
		struct kerf_npu_extents head;
		struct kerf_npu_extent e;

		if (part % 64)
			return fault_at(job, KERF_NPU_FAULT_WINDOW_TABLE, i, part);
		if (npu_dma_read(m, part, &head, sizeof(head)))
			return fault_at(job, KERF_NPU_FAULT_BUS, i, part);
		if (!head.count || head.pad)
			return fault_at(job, KERF_NPU_FAULT_WINDOW_TABLE, i, part);
		for (k = 0; k < head.count && left; k++, left--) {
			uint64_t at = part + sizeof(head) + (uint64_t)k * sizeof(e);

			if (npu_dma_read(m, at, &e, sizeof(e)))
				return fault_at(job, KERF_NPU_FAULT_BUS, i, at);
			if (!e.size || e.size % 64 || e.addr % 64)
				return fault_at(job, KERF_NPU_FAULT_WINDOW_TABLE, i, at);
			if (!dma(m, e.addr, e.size))
				return fault_at(job, KERF_NPU_FAULT_BUS, i, e.addr);
			add_piece(w, m->ram + e.addr, total, e.size, desc->offset);
			/* At most max_extents times RAM: no overflow. */
			total += e.size;
		}
		part = head.next;
	}
	if (desc->offset > total || desc->size > total - desc->offset)
		return fault_at(job, KERF_NPU_FAULT_WINDOW_TABLE, i, desc->extents);
	return 0;
}

static bool is_zero(const void *p, size_t n)
{
	const uint8_t *b = p;

	while (n--)
		if (*b++)
			return false;
	return true;
}

uint32_t npu_job_load(struct npu_job *job, struct npu_machine *m, const struct kerf_npu_job *desc)
{
	uint32_t i, code;

	*job = (struct npu_job){
		.m = m,
		.fault = {.command = KERF_NPU_NO_COMMAND, .window = KERF_NPU_NO_WINDOW},
	};
	if (desc->flags || !is_zero(desc->pad, sizeof(desc->pad)) || desc->commands_size % 8 ||
	    desc->commands_size > m->limits.max_commands ||
	    desc->n_windows > m->limits.max_windows || desc->commands % 64 ||
	    (desc->n_windows && desc->windows % 64))
		return fault_at(job, KERF_NPU_FAULT_JOB, KERF_NPU_NO_WINDOW, 0);
	job->size = desc->commands_size;
	job->commands = malloc(job->size + 1);
	job->window = calloc(desc->n_windows + 1, sizeof(*job->window));
	if (!job->commands || !job->window)
		return fault_at(job, KERF_NPU_FAULT_MEMORY, KERF_NPU_NO_WINDOW, 0);
	for (i = 0; i < desc->n_windows; i++) {
		uint64_t at = desc->windows + (uint64_t)i * sizeof(struct kerf_npu_window);
		struct kerf_npu_window window;

		if (npu_dma_read(m, at, &window, sizeof(window)))
			return fault_at(job, KERF_NPU_FAULT_BUS, i, at);
		job->n_window++;
		code = load_window(job, i, &window);
		if (code)
			return code;
	}
	if (npu_dma_read(m, desc->commands, job->commands, job->size))
		return fault_at(job, KERF_NPU_FAULT_BUS, KERF_NPU_NO_WINDOW, desc->commands);
	return 0;
}

static void free_scratch(struct npu_job *job)
{
	struct npu_scratch *s;

	while ((s = job->scratch)) {
		job->scratch = s->next;
		free(s);
	}
}

void npu_job_free(struct npu_job *job)
{
	uint32_t i;

	free_scratch(job);
	for (i = 0; i < job->n_window; i++)
		free(job->window[i].piece);
	free(job->window);
	free(job->commands);
}

/* --- operands -------------------------------------------------------------------------- */

static uint32_t check_address(struct npu_job *job, const struct npu_operand *o)
{
	uint32_t index = KERF_NPU_ADDR_WINDOW(o->addr), need;
	uint64_t offset = KERF_NPU_ADDR_OFFSET(o->addr);
	const struct npu_window *w = &job->window[index];

	if (index >= job->n_window)
		return fault_at(job, KERF_NPU_FAULT_NO_WINDOW, index, offset);
	if (offset > w->size || o->bytes > w->size - offset)
		return fault_at(job, KERF_NPU_FAULT_RANGE, index, offset);
	need = o->write ? KERF_NPU_WINDOW_WRITE : KERF_NPU_WINDOW_READ;
	if (!(w->flags & need))
		return fault_at(job, KERF_NPU_FAULT_PERMISSION, index, offset);
	if (offset % o->align)
		return fault_at(job, KERF_NPU_FAULT_ALIGN, index, offset);
	return 0;
}

static bool overlaps(const struct npu_operand *out, const struct npu_operand *in)
{
	uint64_t a = KERF_NPU_ADDR_OFFSET(out->addr), b = KERF_NPU_ADDR_OFFSET(in->addr);

	if (KERF_NPU_ADDR_WINDOW(out->addr) != KERF_NPU_ADDR_WINDOW(in->addr))
		return false;
	if (in->in_place && a == b && out->bytes == in->bytes)
		return false;
	return a < b + in->bytes && b < a + out->bytes;
}

uint32_t npu_check_operands(struct npu_job *job, const struct npu_task *t)
{
	const struct npu_operand *out = NULL, *o;
	uint32_t code;

	for (o = t->op; o < t->op + t->n_op; o++) {
		if (!o->present)
			continue;
		code = check_address(job, o);
		if (code)
			return code;
		if (o->write)
			out = o;
	}
	for (o = t->op; o < t->op + t->n_op; o++)
		if (o->present && !o->write && out && overlaps(out, o))
			return fault_at(job, KERF_NPU_FAULT_OVERLAP, KERF_NPU_ADDR_WINDOW(o->addr),
					KERF_NPU_ADDR_OFFSET(o->addr));
	return 0;
}

static const struct npu_piece *find_piece(const struct npu_window *w, uint64_t offset)
{
	uint32_t lo = 0, hi = w->n_piece;

	while (hi - lo > 1) {
		uint32_t mid = lo + (hi - lo) / 2;

		if (w->piece[mid].begin <= offset)
			lo = mid;
		else
			hi = mid;
	}
	return &w->piece[lo];
}

uint8_t *npu_locate(const struct npu_window *w, uint64_t offset, uint64_t *contiguous)
{
	const struct npu_piece *p = find_piece(w, offset);

	*contiguous = p->size - (offset - p->begin);
	return p->at + (offset - p->begin);
}

void *npu_scratch(struct npu_job *job, uint64_t bytes)
{
	struct npu_scratch *s;

	if (bytes > MAX_SCRATCH)
		return NULL;
	/* The list's link has a line of its own, so that the memory behind it stays aligned. */
	s = aligned_alloc(KERF_ALIGN, KERF_ALIGN + kerf_align(bytes));
	if (!s)
		return NULL;
	s->next = job->scratch;
	job->scratch = s;
	return (uint8_t *)s + KERF_ALIGN;
}

/* All bytes of an operand between memory and scratch. */
static void move(const struct npu_job *job, const struct npu_operand *o, bool out)
{
	const struct npu_window *w = &job->window[KERF_NPU_ADDR_WINDOW(o->addr)];
	uint64_t offset = KERF_NPU_ADDR_OFFSET(o->addr), left = o->bytes, n;
	uint8_t *data = o->data;

	for (; left; left -= n, offset += n, data += n) {
		uint8_t *at = npu_locate(w, offset, &n);

		n = KERF_MIN(n, left);
		if (out)
			memcpy(at, data, n);
		else
			memcpy(data, at, n);
	}
}

uint32_t npu_map(struct npu_job *job, struct npu_task *t)
{
	struct npu_operand *o;
	uint64_t contiguous;

	for (o = t->op; o < t->op + t->n_op; o++) {
		if (!o->present || o->strided)
			continue;
		o->data = npu_locate(&job->window[KERF_NPU_ADDR_WINDOW(o->addr)],
				     KERF_NPU_ADDR_OFFSET(o->addr), &contiguous);
		if (contiguous >= o->bytes && !o->copy)
			continue;
		o->data = npu_scratch(job, o->bytes);
		if (!o->data)
			return KERF_NPU_FAULT_MEMORY;
		if (o->write)
			o->scattered = true;
		else
			move(job, o, false);
	}
	return 0;
}

void npu_unmap(struct npu_job *job, struct npu_task *t, bool done)
{
	struct npu_operand *o;

	for (o = t->op; done && o < t->op + t->n_op; o++)
		if (o->scattered)
			move(job, o, true);
	free_scratch(job);
}
