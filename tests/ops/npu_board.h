/* SPDX-License-Identifier: MIT */
/*
 * Runs a compiled slice on the device model's machine, in this process: memory with a
 * window for each range that the queue engine would hand to the kernel, and the commands
 * of each job as a driver would give them.
 */
#ifndef TESTS_OPS_NPU_BOARD_H
#define TESTS_OPS_NPU_BOARD_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "exec/npu.h"
#include "npu_model/npu.h"

#define BOARD_GUARD 64
#define BOARD_PATTERN 0xc3
#define BOARD_FEATURES (KERF_NPU_FEATURE_INT8 | KERF_NPU_FEATURE_F32)

struct board {
	struct npu_machine m;
	const struct kerf_graph *g;
	struct kerf_npu_image *im;
	struct kerf_npu_host *host;
	struct kerf_tensor *values;
	uint32_t n_window;
	uint64_t *at, *bytes; /* of each window */
	uint64_t tables, commands;
	void **io;
	char why[160]; /* of a job that failed */
};

static inline bool board_go_on(void *arg)
{
	return true;
}

static inline bool board_delay(void *arg, uint32_t us)
{
	return true;
}

static inline void board_command_done(void *arg)
{
}

static inline uint64_t board_window_bytes(const struct board *b, uint32_t w)
{
	uint32_t k = w - KERF_NPU_W_IO;

	if (w == KERF_NPU_W_WEIGHTS)
		return b->im->weight_bytes;
	if (w == KERF_NPU_W_ARENA)
		return b->im->arena_bytes;
	return kerf_tensor_bytes(
		&b->g->value[k < b->g->n_in ? b->g->in[k] : b->g->out[k - b->g->n_in]].t);
}

static inline uint32_t board_window_flags(const struct board *b, uint32_t w)
{
	return w == KERF_NPU_W_WEIGHTS || (w >= KERF_NPU_W_IO && w < KERF_NPU_W_IO + b->g->n_in)
		       ? KERF_NPU_WINDOW_READ
		       : KERF_NPU_WINDOW_READ | KERF_NPU_WINDOW_WRITE;
}

/* Windows with guards between them, then the tables and the commands of a job. */
static inline int board_init(struct board *b, const struct kerf_graph *g)
{
	uint64_t at = BOARD_GUARD;
	uint32_t w;
	int r;

	memset(b, 0, sizeof(*b));
	b->g = g;
	r = kerf_npu_compile(BOARD_FEATURES, g, &b->im, NULL);
	if (!r)
		r = kerf_npu_host_new(b->im, g, &b->host);
	if (r)
		return r;
	b->values = kerf_npu_host_values(b->host);
	b->n_window = KERF_NPU_W_IO + g->n_in + g->n_out;
	b->at = calloc(2 * b->n_window, sizeof(*b->at));
	b->bytes = b->at + b->n_window;
	b->io = calloc(g->n_in + g->n_out + 1, sizeof(*b->io));
	for (w = 0; w < b->n_window; w++) {
		b->at[w] = at;
		b->bytes[w] = board_window_bytes(b, w);
		at += kerf_align(b->bytes[w]) + BOARD_GUARD;
	}
	b->tables = at;
	b->commands = at + 128 * b->n_window;
	b->m.ram_size = b->commands + 65536;
	b->m.ram = aligned_alloc(KERF_ALIGN, kerf_align(b->m.ram_size));
	memset(b->m.ram, BOARD_PATTERN, kerf_align(b->m.ram_size));
	for (w = KERF_NPU_W_IO; w < b->n_window; w++)
		b->io[w - KERF_NPU_W_IO] = b->m.ram + b->at[w];
	b->m.limits = npu_default_limits;
	b->m.go_on = board_go_on;
	b->m.delay = board_delay;
	b->m.command_done = board_command_done;
	r = kerf_isa_init(&b->m.isa, NULL);
	if (!r)
		r = kerf_npu_put_weights(b->im, g, b->m.ram + b->at[KERF_NPU_W_WEIGHTS]);
	return r;
}

static inline void board_finish(struct board *b)
{
	kerf_npu_host_free(b->host);
	kerf_npu_image_free(b->im);
	free(b->values);
	free(b->at);
	free(b->io);
	free(b->m.ram);
}

/* One job; windows of no bytes, which a kernel would not take, are left out at the end. */
static inline int board_job(struct board *b, uint32_t begin, uint32_t end)
{
	struct kerf_npu_window *window = (void *)(b->m.ram + b->tables);
	struct kerf_npu_job desc = {.seqno = 1};
	struct npu_job job;
	uint32_t w, code;

	memcpy(b->m.ram + b->commands, b->im->cmd + begin, end - begin);
	for (w = 0; w < b->n_window; w++) {
		uint64_t table = b->tables + 64 * b->n_window + 64 * w;
		struct kerf_npu_extents *head = (void *)(b->m.ram + table);
		struct kerf_npu_extent *e = (void *)(head + 1);

		*head = (struct kerf_npu_extents){.count = 1};
		*e = (struct kerf_npu_extent){b->at[w], kerf_align(b->bytes[w] + !b->bytes[w])};
		window[w] = (struct kerf_npu_window){
			.extents = table,
			.size = b->bytes[w] + !b->bytes[w],
			.flags = board_window_flags(b, w),
			.n_extents = 1,
		};
	}
	desc.commands = b->commands;
	desc.commands_size = end - begin;
	desc.windows = b->tables;
	desc.n_windows = b->n_window;
	code = npu_job_load(&job, &b->m, &desc);
	if (!code)
		code = npu_job_run(&job);
	if (code)
		snprintf(b->why, sizeof(b->why), "fault %u: command %u, window %u, offset %llu",
			 code, job.fault.command, job.fault.window,
			 (unsigned long long)job.fault.offset);
	npu_job_free(&job);
	return code ? -EIO : 0;
}

/* in[], out[] as a kerf_job's. 0, -EIO (b->why), or what a host's operator said. */
static inline int board_run(struct board *b, const struct kerf_tensor *in, struct kerf_tensor *out)
{
	uint32_t k, s, i;
	int r = 0;

	kerf_npu_host_bind(b->host, b->values, b->m.ram + b->at[KERF_NPU_W_ARENA], b->io);
	for (k = 0; k < b->g->n_in; k++)
		memcpy(b->io[k], in[k].data, b->bytes[KERF_NPU_W_IO + k]);
	for (s = 0; s < b->im->n_stage && !r; s++) {
		const struct kerf_npu_stage *stage = &b->im->stage[s];

		if (stage->host)
			r = kerf_npu_host_run(b->host, stage, b->values);
		for (i = 0; i < stage->n_piece && !r; i++) {
			const struct kerf_npu_piece *p = &b->im->piece[stage->first_piece + i];

			r = board_job(b, p->begin, p->end);
		}
	}
	for (k = 0; k < b->g->n_out && !r; k++) {
		const struct kerf_tensor *v = &b->values[b->g->out[k]];

		memcpy(out[k].data, v->data, kerf_tensor_bytes(v));
		memcpy(out[k].dims, v->dims, sizeof(v->dims));
	}
	return r;
}

/* False if something was written between the windows. */
static inline bool board_guards_hold(const struct board *b)
{
	uint32_t w, i;

	for (w = 0; w < b->n_window; w++)
		for (i = 0; i < BOARD_GUARD; i++)
			if (b->m.ram[b->at[w] - BOARD_GUARD + i] != BOARD_PATTERN)
				return false;
	return true;
}

/* Operators that the host runs. */
static inline uint32_t board_host_ops(const struct board *b)
{
	uint32_t s, n = 0;

	for (s = 0; s < b->im->n_stage; s++)
		n += b->im->stage[s].host ? b->im->stage[s].n_op : 0;
	return n;
}

#endif
