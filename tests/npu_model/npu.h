/* SPDX-License-Identifier: MIT */
/*
 * The device model of the kerf NPU (docs/npu.md), in three layers:
 *
 *   npu_machine  memory behind windows, and commands (memory.c, check.c, run*.c)
 *   npu_device   registers, rings, reset, aborts, faults on demand (device.c, fault.c)
 *   ivshmem.c    what QEMU talks to
 *
 * One thread does everything. While a command runs, go_on() is asked every few thousand
 * elements whether the job is still wanted; that is where registers are looked at.
 *
 * Nothing that a guest can write is trusted: job descriptors, window tables and commands are
 * copied, then checked; index tables are copied before they are checked. Contents of tensors may
 * change while they are read; no kernel's control flow depends on them.
 */
#ifndef NPU_H
#define NPU_H

#include "exec/cpu_isa.h"
#include "uapi/kerf_npu.h"
#include "util/base.h"
#include "util/pool.h"

#if __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "the model reads the guest's little-endian structs as they are"
#endif

/* --- machine --------------------------------------------------------------------------- */

struct npu_limits {
	uint32_t max_commands, max_windows, max_extents, tensor_bits, work_bits;
};

struct npu_machine {
	uint8_t *ram;
	uint64_t ram_size;
	struct npu_limits limits;
	struct kerf_isa isa;
	/* False once the job is to stop. Called often, must be cheap. */
	bool (*go_on)(void *arg);
	/* Waits us microseconds of DELAY; false if the job is to stop. */
	bool (*delay)(void *arg, uint32_t us);
	void (*command_done)(void *arg);
	void *arg;
};

extern const struct npu_limits npu_default_limits;

struct npu_fault {
	uint32_t code, command, window;
	uint64_t offset;
};

/* A run of host memory that is contiguous in a window, from byte `begin` of it on. */
struct npu_piece {
	uint64_t begin, size;
	uint8_t *at;
};

struct npu_window {
	uint64_t size;
	uint32_t flags, n_piece;
	struct npu_piece *piece;
};

struct npu_scratch {
	struct npu_scratch *next;
};

struct npu_job {
	struct npu_machine *m;
	struct npu_window *window;
	uint32_t n_window;
	uint8_t *commands;
	uint32_t size, done; /* bytes of commands; commands carried out */
	uint64_t work;
	struct npu_fault fault;
	struct npu_scratch *scratch; /* of the command that runs */
};

/* 0 or -1: outside RAM. Copies size bytes at DMA address addr. */
int npu_dma_read(const struct npu_machine *m, uint64_t addr, void *to, uint64_t size);

/*
 * Copies and checks what a descriptor names. 0 or a fault code (job->fault). npu_job_free()
 * is due in both cases.
 */
uint32_t npu_job_load(struct npu_job *job, struct npu_machine *m, const struct kerf_npu_job *desc);
/* Runs all commands. 0, a fault code, or KERF_NPU_FAULT_ABORTED if go_on() said so. */
uint32_t npu_job_run(struct npu_job *job);
void npu_job_free(struct npu_job *job);

/* --- one command ----------------------------------------------------------------------- */

#define NPU_MAX_OPERANDS 6

struct npu_operand {
	uint64_t addr, bytes; /* bytes: from the first to the last */
	uint32_t align;
	bool present, write;
	bool in_place; /* may be exactly the output */
	bool copy;     /* is read once, into scratch, before it is believed */
	bool strided;  /* written element by element: not mapped */
	uint8_t *data; /* mapped */
	bool scattered;
};

/* Operands stand in the order of the command's struct. */
enum { NPU_X, NPU_W, NPU_Y, NPU_BIAS, NPU_SCALE, NPU_RESIDUAL }; /* of CONV and FC */

struct npu_task {
	union {
		struct kerf_npu_cmd cmd;
		struct kerf_npu_delay delay;
		struct kerf_npu_conv conv;
		struct kerf_npu_fc fc;
		struct kerf_npu_pool pool;
		struct kerf_npu_binary binary;
		struct kerf_npu_unary unary;
		struct kerf_npu_copy copy;
		struct kerf_npu_resize resize;
		struct kerf_npu_softmax softmax;
	} c;
	struct npu_operand op[NPU_MAX_OPERANDS];
	int n_op;
	uint64_t work;
};

/* check.c: rules up to PARAM; fills the operands. 0 or a fault code. */
uint32_t npu_check(const struct npu_job *job, const uint8_t *at, uint32_t left,
		   struct npu_task *t);

/* memory.c */
uint32_t npu_check_operands(struct npu_job *job, const struct npu_task *t);
uint32_t npu_map(struct npu_job *job, struct npu_task *t);
/* Lets go of scratch; done: a scattered output is written to where it belongs. */
void npu_unmap(struct npu_job *job, struct npu_task *t, bool done);
void *npu_scratch(struct npu_job *job, uint64_t bytes);	 /* until npu_unmap(); NULL: no memory */
/* Where bytes `offset` of a window are, and how many follow there. The offset is in it. */
uint8_t *npu_locate(const struct npu_window *w, uint64_t offset, uint64_t *contiguous);

static inline bool npu_go_on(const struct npu_job *job)
{
	return job->m->go_on(job->m->arg);
}

/* run_*.c: operands are checked and mapped. 0, MEMORY, INDEX or ABORTED. */
uint32_t npu_run_conv(struct npu_job *job, struct npu_task *t);
uint32_t npu_run_fc(struct npu_job *job, struct npu_task *t);
uint32_t npu_run_pool(struct npu_job *job, struct npu_task *t);
uint32_t npu_run_binary(struct npu_job *job, struct npu_task *t);
uint32_t npu_run_unary(struct npu_job *job, struct npu_task *t);
uint32_t npu_run_copy(struct npu_job *job, struct npu_task *t);
uint32_t npu_run_resize(struct npu_job *job, struct npu_task *t);
uint32_t npu_run_softmax(struct npu_job *job, struct npu_task *t);

static inline bool npu_is_8bit(uint32_t dtype)
{
	return dtype == KERF_NPU_U8 || dtype == KERF_NPU_I8;
}

static inline uint32_t npu_dtype_size(uint32_t dtype)
{
	return dtype == KERF_NPU_F32 ? 4 : 1;
}

static inline float npu_float(uint32_t bits)
{
	float f;

	__builtin_memcpy(&f, &bits, sizeof(f));
	return f;
}

static inline struct kerf_act npu_act(const struct kerf_npu_out *out)
{
	/* The two enums have the same numbers: run.c asserts it. */
	return (struct kerf_act){(enum kerf_act_kind)out->act, npu_float(out->a),
				 npu_float(out->b)};
}

static inline uint64_t npu_count(const struct kerf_npu_tensor *t)
{
	return (uint64_t)t->n * t->h * t->w * t->c;
}

/* --- faults on demand ------------------------------------------------------------------ */

enum npu_trick {
	NPU_NO_TRICK,
	NPU_NEVER,
	NPU_HANG,
	NPU_DEAD,
	NPU_WEDGED,
	NPU_LATE,
	NPU_STALE,
	NPU_TWICE,
	NPU_SEQNO,
	NPU_SILENT,
	NPU_SPURIOUS,
	NPU_DMA,
	NPU_STATUS,
	NPU_STORM,
	NPU_FAIL,
};

struct npu_trick_entry {
	enum npu_trick trick;
	uint64_t job; /* 0: every */
	uint32_t arg;
};

#define NPU_MAX_TRICKS 64
struct npu_tricks {
	int n;
	struct npu_trick_entry entry[NPU_MAX_TRICKS];
};

/* "kind@N[:ARG],..."; false names what is wrong in *bad. */
bool npu_tricks_parse(struct npu_tricks *t, const char *list, const char **bad);
/* The first entry for job n, or one with NPU_NO_TRICK. */
struct npu_trick_entry npu_trick_of(const struct npu_tricks *t, uint64_t n);
const char *npu_trick_name(enum npu_trick trick);

/* --- device ---------------------------------------------------------------------------- */

struct npu_host {
	void (*raise)(void *arg, int vector);
	/* Waits for a kick, until until_ns (CLOCK_MONOTONIC; INT64_MAX: ever); false: power off. */
	bool (*wait)(void *arg, int64_t until_ns);
	void (*say)(void *arg, const char *format, ...) KERF_PRINTF(2, 3);
	/* A job was taken: true if *tricks are to be played from it on. NULL: never. */
	bool (*new_tricks)(void *arg, struct npu_tricks *tricks);
	void *arg;
};

struct npu_device;

/* regs: KERF_NPU_REGS_SIZE bytes, zeroed, shared with the driver. 0, -ENOMEM. */
int npu_device_new(uint8_t *regs, uint8_t *ram, uint64_t ram_size, const struct npu_host *host,
		   const struct npu_tricks *tricks, struct npu_device **dev);
void npu_device_free(struct npu_device *dev);
void npu_device_run(struct npu_device *dev); /* until power off */

int64_t npu_now_ns(void);

/* --- ivshmem.c ------------------------------------------------------------------------- */

struct npu_config {
	const char *socket, *ram;
	uint64_t ram_size;
	struct npu_tricks tricks;
	const char *tricks_file; /* looked for at each job, or NULL */
	bool verbose;
};

/* Serves one QEMU, from its connection until it goes. 0, or an errno and a line on stderr. */
int npu_serve(const struct npu_config *config);

#endif
