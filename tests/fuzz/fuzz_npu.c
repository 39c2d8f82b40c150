/* SPDX-License-Identifier: MIT */
/*
 * The NPU's device model against hostile guests. An input is 8 bytes {mode, writes, 0...}, then an
 * image of the guest's RAM that begins with a job descriptor, then `writes` writes of registers,
 * {register, value}. Mode 0 loads and runs that job, and checks that nothing but writable windows
 * changed; mode 1 lets the device live through the writes, each KICK ending a wait.
 */
#include "fuzz/fuzz.h"

#include "npu_model/guest.h"
#include "npu_model/npu.h"

#include <stdio.h>

#define RAM_SIZE (96u << 10)
#define HEAD 8
#define WRITE_BYTES 8

static uint8_t *ram, *before;

static int64_t budget;

static bool go_on(void *arg)
{
	return --budget > 0;
}

static bool no_delay(void *arg, uint32_t us)
{
	return true;
}

static void done(void *arg)
{
}

static const struct npu_limits limits = {
	.max_commands = 1 << 14,
	.max_windows = GUEST_MAX_WINDOWS,
	.max_extents = 64,
	.tensor_bits = 17,
	.work_bits = 21,
};

/* Puts what the job may have changed back, and compares. */
static void check_rest(const struct npu_job *job)
{
	uint32_t i, k;

	for (i = 0; i < job->n_window; i++)
		for (k = 0; k < job->window[i].n_piece; k++) {
			const struct npu_piece *p = &job->window[i].piece[k];

			if (job->window[i].flags & KERF_NPU_WINDOW_WRITE)
				memcpy(p->at, before + (p->at - ram), p->size);
		}
	if (memcmp(ram, before, RAM_SIZE)) {
		fprintf(stderr, "memory outside of windows was written\n");
		abort();
	}
}

static void run_job(void)
{
	static struct npu_machine m;
	struct kerf_npu_job desc;
	struct npu_job job;

	if (!m.ram) {
		m = (struct npu_machine){
			.ram = ram,
			.ram_size = RAM_SIZE,
			.limits = limits,
			.go_on = go_on,
			.delay = no_delay,
			.command_done = done,
		};
		if (kerf_isa_init(&m.isa, NULL))
			abort();
	}
	memcpy(&desc, ram, sizeof(desc));
	memcpy(before, ram, RAM_SIZE);
	budget = 20000;
	if (!npu_job_load(&job, &m, &desc))
		npu_job_run(&job);
	check_rest(&job);
	npu_job_free(&job);
}

/* --- the device ------------------------------------------------------------------------ */

static uint8_t regs[KERF_NPU_REGS_SIZE] __attribute__((aligned(64)));

struct script {
	const uint8_t *at;
	int left;
};

static void no_raise(void *arg, int vector)
{
}

static void say_nothing(void *arg, const char *format, ...)
{
}

/* Plays writes until a kick; without any left the power goes off. */
static bool play(void *arg, int64_t until_ns)
{
	struct script *s = arg;
	uint32_t write[2];

	if (!until_ns)
		return --budget > 0;
	while (s->left > 0) {
		memcpy(write, s->at, sizeof(write));
		s->at += WRITE_BYTES;
		s->left--;
		if (write[0] == KERF_NPU_KICK)
			return true;
		/* The driver's registers alone. */
		memcpy(regs + 0x80 + write[0] % 0x40 / 4 * 4, &write[1], 4);
	}
	return false;
}

static void run_device(const uint8_t *writes, int n)
{
	struct script s = {writes, n};
	struct npu_host host = {no_raise, play, say_nothing, NULL, &s};
	struct npu_tricks tricks = {0};
	struct npu_device *d;
	const char *bad;

	npu_tricks_parse(&tricks, "twice@2,stale@3,hang@4,seqno@5,late@6:1,wedged@7,storm@8:5",
			 &bad);
	memset(regs, 0, sizeof(regs));
	budget = 3; /* looks at the host: jobs here are bounded by that alone */
	if (npu_device_new(regs, ram, RAM_SIZE, &host, &tricks, &d))
		abort();
	npu_device_run(d);
	npu_device_free(d);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	size_t writes;

	if (size < HEAD)
		return 0;
	writes = (size_t)data[1] * WRITE_BYTES;
	if (writes > size - HEAD || size - HEAD - writes > RAM_SIZE)
		return 0;
	if (!ram) {
		ram = aligned_alloc(64, RAM_SIZE);
		before = aligned_alloc(64, RAM_SIZE);
		if (!ram || !before)
			abort();
	}
	memset(ram, 0, RAM_SIZE);
	memcpy(ram, data + HEAD, size - HEAD - writes);
	if (data[0] & 1)
		run_device(data + size - writes, data[1]);
	else
		run_job();
	return 0;
}

/* --- seeds ----------------------------------------------------------------------------- */

static struct kerf_npu_tensor t4(uint32_t window, uint32_t h, uint32_t w, uint32_t c,
				 uint32_t dtype)
{
	return (struct kerf_npu_tensor){KERF_NPU_ADDR(window, 0), 1, h, w, c, dtype, 0};
}

static void add_products(struct guest *g, bool quantised)
{
	uint32_t dtype = quantised ? KERF_NPU_U8 : KERF_NPU_F32;
	uint64_t scale = quantised ? KERF_NPU_ADDR(0, 64) : KERF_NPU_NO_ADDR;
	struct kerf_npu_conv conv = {
		.cmd = npu_cmd(KERF_NPU_CONV, sizeof(conv)),
		.x = t4(0, 8, 8, 6, dtype),
		.w = t4(0, 3, 3, 2, quantised ? KERF_NPU_I8 : KERF_NPU_F32),
		.y = t4(1, 8, 8, 9, dtype),
		.bias = KERF_NPU_ADDR(0, 128),
		.scale = scale,
		.residual = quantised ? KERF_NPU_NO_ADDR : KERF_NPU_ADDR(0, 0),
		.stride_h = 1,
		.stride_w = 1,
		.dilation_h = 1,
		.dilation_w = 1,
		.pad_top = 1,
		.pad_left = 1,
		.groups = 3,
	};
	struct kerf_npu_fc fc = {
		.cmd = npu_cmd(KERF_NPU_FC, sizeof(fc)),
		.x = t4(0, 1, 5, 40, dtype),
		.w = t4(0, 1, 17, 40, dtype),
		.y = t4(1, 1, 5, 17, dtype),
		.bias = KERF_NPU_NO_ADDR,
		.scale = scale,
		.residual = KERF_NPU_NO_ADDR,
	};

	conv.w.n = 9;
	if (quantised)
		conv.out.hi = fc.out.hi = 255;
	else
		conv.out.act = fc.out.act = KERF_NPU_ACT_SILU;
	guest_command(g, &conv, sizeof(conv));
	conv.groups = conv.x.c = conv.w.n = conv.y.c = 9;
	conv.w.c = 1;
	guest_command(g, &conv, sizeof(conv));
	guest_command(g, &fc, sizeof(fc));
}

static void add_windows_of(struct guest *g, bool quantised)
{
	uint32_t dtype = quantised ? KERF_NPU_I8 : KERF_NPU_F32, hi = quantised ? 100 : 0;
	struct kerf_npu_pool pool = {
		.cmd = npu_cmd(KERF_NPU_POOL_AVERAGE, sizeof(pool)),
		.x = t4(0, 9, 9, 5, dtype),
		.y = t4(1, 5, 5, 5, dtype),
		.kernel_h = 3,
		.kernel_w = 3,
		.stride_h = 2,
		.stride_w = 2,
		.dilation_h = 1,
		.dilation_w = 1,
		.pad_top = 1,
		.pad_left = 1,
		.factor = quantised ? 0x3f000000 : 0,
		.out = {.hi = hi},
	};
	struct kerf_npu_resize resize = {
		.cmd = npu_cmd(KERF_NPU_RESIZE, sizeof(resize)),
		.x = t4(0, 3, 3, 4, dtype),
		.y = t4(1, 6, 6, 4, dtype),
		.rows = KERF_NPU_ADDR(2, 0),
		.columns = KERF_NPU_ADDR(2, 4),
	};

	guest_command(g, &pool, sizeof(pool));
	pool.cmd.opcode = KERF_NPU_POOL_MAX;
	pool.factor = 0;
	guest_command(g, &pool, sizeof(pool));
	guest_command(g, &resize, sizeof(resize));
}

static void add_elements(struct guest *g, bool quantised)
{
	uint32_t dtype = quantised ? KERF_NPU_U8 : KERF_NPU_F32, hi = quantised ? 255 : 0;
	uint32_t factor = quantised ? 0x3f000000 : 0;
	struct kerf_npu_binary add = {
		.cmd = npu_cmd(KERF_NPU_ADD, sizeof(add)),
		.a = t4(0, 4, 5, 6, dtype),
		.b = t4(0, 1, 1, 6, dtype),
		.y = t4(1, 4, 5, 6, dtype),
		.factor_a = factor,
		.factor_b = factor,
		.out = {.hi = hi},
	};
	struct kerf_npu_unary unary = {
		.cmd = npu_cmd(quantised ? KERF_NPU_RESCALE : KERF_NPU_ACT, sizeof(unary)),
		.x = t4(1, 4, 5, 6, dtype),
		.y = t4(1, 4, 5, 6, dtype),
		.table = KERF_NPU_NO_ADDR,
		.factor = factor,
		.out = {.hi = hi},
	};
	struct kerf_npu_softmax softmax = {
		.cmd = npu_cmd(KERF_NPU_SOFTMAX, sizeof(softmax)),
		.x = t4(0, 4, 5, 6, KERF_NPU_F32),
		.y = t4(1, 4, 5, 6, KERF_NPU_F32),
	};
	struct kerf_npu_copy copy = {
		.cmd = npu_cmd(KERF_NPU_COPY, sizeof(copy)),
		.src = KERF_NPU_ADDR(0, 0),
		.dst = KERF_NPU_ADDR(1, 0),
		.element_size = quantised ? 1 : 4,
		.dims = {1, 1, 2, 3, 4, 5},
		.src_stride = {0, 0, 60, 20, 5, 1},
		.dst_stride = {0, 0, 60, 1, 3, 12},
	};

	guest_command(g, &add, sizeof(add));
	guest_command(g, &unary, sizeof(unary));
	unary.cmd.opcode = quantised ? KERF_NPU_DEQUANTIZE : KERF_NPU_QUANTIZE;
	unary.y.dtype = quantised ? KERF_NPU_F32 : KERF_NPU_I8;
	unary.x.addr = KERF_NPU_ADDR(0, 0);
	unary.factor = 0x3f800000;
	unary.out.hi = quantised ? 0 : 127;
	guest_command(g, &unary, sizeof(unary));
	if (!quantised)
		guest_command(g, &softmax, sizeof(softmax));
	guest_command(g, &copy, sizeof(copy));
}

static void add_seed(void (*add)(const void *data, size_t size), struct guest *g,
		     uint64_t descriptor, const uint32_t (*writes)[2], int n)
{
	struct kerf_npu_job job = guest_job(g, 7);
	size_t used = g->used, bytes = HEAD + used + (size_t)n * WRITE_BYTES;
	uint8_t *data = calloc(1, bytes);

	if (!data)
		abort();
	memcpy(g->ram + descriptor, &job, sizeof(job));
	data[0] = n != 0;
	data[1] = (uint8_t)n;
	memcpy(data + HEAD, g->ram, used);
	memcpy(data + HEAD + used, writes, (size_t)n * WRITE_BYTES);
	add(data, bytes);
	free(data);
}

void kerf_fuzz_seeds(void (*add)(const void *data, size_t size))
{
	static uint8_t image[RAM_SIZE] __attribute__((aligned(64)));
	static struct guest g;
	int i;

	for (i = 0; i < 16; i++) {
		const uint32_t ring = 1024;
		const uint32_t writes[][2] = {
			{KERF_NPU_CONTROL, 1 << 8 | KERF_NPU_CONTROL_RESET},
			{KERF_NPU_KICK, 0},
			{KERF_NPU_RING_SIZE, 4},
			{KERF_NPU_JOBS_LO, ring},
			{KERF_NPU_COMPLETIONS_LO, 2048},
			{KERF_NPU_CONTROL, 1 << 8 | KERF_NPU_CONTROL_RUN},
			{KERF_NPU_KICK, 0},
			{KERF_NPU_SUBMITTED, 4},
			{KERF_NPU_KICK, 0},
			{KERF_NPU_COLLECTED, 3},
			{KERF_NPU_ABORT_INDEX, 3},
			{KERF_NPU_ABORT, 1},
			{KERF_NPU_KICK, 0},
			{KERF_NPU_SUBMITTED, 8},
			{KERF_NPU_KICK, 0},
			{KERF_NPU_COLLECTED, 5},
			{KERF_NPU_ABORT_INDEX, 4},
			{KERF_NPU_ABORT, 2},
			{KERF_NPU_KICK, 0},
		};
		bool device = i >= 12;

		memset(image, 0, sizeof(image));
		guest_init(&g, image, sizeof(image));
		guest_window(&g, 4096, KERF_NPU_WINDOW_READ, i & 1 ? 192 : 0);
		guest_window(&g, 4096, KERF_NPU_WINDOW_READ | KERF_NPU_WINDOW_WRITE,
			     i & 1 ? 320 : 0);
		guest_window(&g, 64, KERF_NPU_WINDOW_READ, 0);
		switch (i / 4) {
		case 0: add_products(&g, i & 2); break;
		case 1: add_windows_of(&g, i & 2); break;
		default: add_elements(&g, i & 2); break;
		}
		add_seed(add, &g, device ? ring : 0, writes,
			 device ? (int)KERF_ARRAY_SIZE(writes) : 0);
	}
}

/* Sets some 32-bit words, mostly in commands and tables, to values that are often wrong. */
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size, unsigned int seed)
{
	static const uint32_t odd[] = {
		0,	    1,		2,	    3,		4,	    5,
		7,	    8,		16,	    63,		64,	    65,
		255,	    256,	0x7fff,	    0x10000,	0x00ffffff, 0x01000000,
		0x01000001, 0x3f800000, 0x7fc00000, 0x80000000, 0xffffff00, 0xffffffff,
	};
	uint64_t r = seed * 0x9e3779b97f4a7c15u + 1;
	int n = 1 + seed % 3;

	while (n-- && size >= HEAD + 4) {
		size_t at;
		uint32_t v;

		r = r * 6364136223846793005u + 1442695040888963407u;
		/* What is not zero matters more often. */
		do {
			at = HEAD + (r >> 20) % ((size - HEAD) / 4) * 4;
			memcpy(&v, data + at, 4);
			r = r * 6364136223846793005u + 1442695040888963407u;
		} while (!v && r >> 62);
		if (r >> 61 & 1)
			v = odd[(r >> 40) % KERF_ARRAY_SIZE(odd)];
		else
			v += (uint32_t)(r >> 40) % 9 - 4;
		memcpy(data + at, &v, 4);
	}
	return size;
}
