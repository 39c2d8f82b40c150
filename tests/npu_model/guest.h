/* SPDX-License-Identifier: MIT */
/*
 * A guest's memory, for tests: what a driver would allocate, from a bump pointer. Window w is
 * made of pieces that stand in memory in another order than in the window.
 */
#ifndef NPU_GUEST_H
#define NPU_GUEST_H

#include "uapi/kerf_npu.h"
#include "util/base.h"

#include <stdlib.h>
#include <string.h>

#define GUEST_MAX_WINDOWS 8

struct guest {
	uint8_t *ram;
	uint64_t size, used;
	struct kerf_npu_window *table; /* in RAM */
	uint64_t table_at;
	uint32_t n_window;
	uint8_t commands[1 << 16];
	uint32_t n_bytes;
};

/* DMA address of zeroed memory. */
static inline uint64_t guest_alloc(struct guest *g, uint64_t bytes)
{
	uint64_t at = (g->used + 63) & ~(uint64_t)63;

	if (at > g->size || bytes > g->size - at)
		abort();
	g->used = at + bytes;
	memset(g->ram + at, 0, bytes);
	return at;
}

static inline void guest_init(struct guest *g, uint8_t *ram, uint64_t size)
{
	g->ram = ram;
	g->size = size;
	g->used = 4096; /* address 0 is nobody's */
	g->n_window = g->n_bytes = 0;
	g->table_at = guest_alloc(g, GUEST_MAX_WINDOWS * sizeof(*g->table));
	g->table = (struct kerf_npu_window *)(ram + g->table_at);
}

/*
 * A window of bytes in pieces of `piece` bytes (a multiple of 64; 0: in one), the extent list in
 * parts of 3. It begins 64 bytes into its extents. Its index.
 */
static inline uint32_t guest_window(struct guest *g, uint64_t bytes, uint32_t flags, uint64_t piece)
{
	uint64_t total = 64 + ((bytes + 63) & ~(uint64_t)63), n, i, memory, at = 0, part = 0;
	struct kerf_npu_window *w = &g->table[g->n_window];

	piece = piece ? piece : total;
	n = (total + piece - 1) / piece;
	memory = guest_alloc(g, n * (piece + 64));
	for (i = 0; i < n; i++) {
		struct kerf_npu_extents *head;
		struct kerf_npu_extent *e;

		if (i % 3 == 0) {
			at = guest_alloc(g, sizeof(*head) + 3 * sizeof(*e));
			if (i)
				((struct kerf_npu_extents *)(g->ram + part))->next = at;
			else
				w->extents = at;
			part = at;
		}
		head = (struct kerf_npu_extents *)(g->ram + part);
		e = (struct kerf_npu_extent *)(head + 1);
		/* The last piece of the window comes first in memory. */
		e[head->count++] = (struct kerf_npu_extent){
			memory + (n - 1 - i) * (piece + 64), piece};
	}
	w->offset = 64;
	w->size = bytes;
	w->flags = flags;
	w->n_extents = (uint32_t)n;
	return g->n_window++;
}

/* Bytes between a window and data. */
static inline void guest_move(struct guest *g, uint32_t window, uint64_t offset, void *data,
			      uint64_t n, bool to_guest)
{
	const struct kerf_npu_window *w = &g->table[window];
	const struct kerf_npu_extents *head =
		(const struct kerf_npu_extents *)(g->ram + w->extents);
	uint64_t at = w->offset + offset, some;
	uint8_t *p = data;
	uint32_t k = 0;

	while (n) {
		const struct kerf_npu_extent *e = (const struct kerf_npu_extent *)(head + 1) + k;

		if (at < e->size) {
			some = KERF_MIN(n, e->size - at);
			if (to_guest)
				memcpy(g->ram + e->addr + at, p, some);
			else
				memcpy(p, g->ram + e->addr + at, some);
			p += some;
			n -= some;
			at = 0;
		} else {
			at -= e->size;
		}
		if (++k == head->count) {
			head = (const struct kerf_npu_extents *)(g->ram + head->next);
			k = 0;
		}
	}
}

static inline void guest_put(struct guest *g, uint32_t window, uint64_t offset, const void *data,
			     uint64_t n)
{
	guest_move(g, window, offset, (void *)(uintptr_t)data, n, true);
}

static inline void guest_get(struct guest *g, uint32_t window, uint64_t offset, void *data,
			     uint64_t n)
{
	guest_move(g, window, offset, data, n, false);
}

static inline void guest_command(struct guest *g, const void *cmd, size_t size)
{
	memcpy(g->commands + g->n_bytes, cmd, size);
	g->n_bytes += (uint32_t)size;
}

/* A job of the commands and windows so far; the commands begin anew. */
static inline struct kerf_npu_job guest_job(struct guest *g, uint64_t seqno)
{
	struct kerf_npu_job job = {
		.seqno = seqno,
		.windows = g->table_at,
		.n_windows = g->n_window,
		.commands_size = g->n_bytes,
	};

	job.commands = guest_alloc(g, g->n_bytes + 1);
	memcpy(g->ram + job.commands, g->commands, g->n_bytes);
	g->n_bytes = 0;
	return job;
}

static inline struct kerf_npu_cmd npu_cmd(uint16_t opcode, size_t size)
{
	return (struct kerf_npu_cmd){.opcode = opcode, .size = (uint16_t)size};
}

static inline void guest_delay(struct guest *g, uint32_t us)
{
	struct kerf_npu_delay d = {npu_cmd(KERF_NPU_DELAY, sizeof(d)), us, 0};

	guest_command(g, &d, sizeof(d));
}

#endif
