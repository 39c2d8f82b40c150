/* SPDX-License-Identifier: MIT */
/*
 * Registers and rings. Everything is found by looking at the registers: a kick only ends a
 * wait. look() is what looks, between jobs and from within them: it deals with CONTROL and ABORT,
 * and says by `stop` that the running job is not wanted any more.
 */
#include "npu.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define MAX_RING 256
#define LOOKS_A_POLL 256 /* looks at registers between looks at the host, in a running job */
#define LOOKS_A_TICK 16	 /* and between steps of PROGRESS */

enum stop { GO, STOP_ABORT, STOP_RESET, STOP_OFF };

struct npu_device {
	struct npu_machine m;
	struct npu_host host;
	struct npu_tricks tricks;
	uint8_t *regs;

	enum kerf_npu_state state;
	uint32_t control; /* as last dealt with */
	uint32_t generation;
	uint32_t wedged; /* resets still to be overlooked */

	uint64_t jobs, completions; /* DMA addresses */
	uint32_t ring, fetched, completed, aborted, progress;
	bool skip[MAX_RING]; /* aborted before their turn */

	bool running;
	bool deaf; /* overlooks aborts */
	enum stop stop;
	uint32_t looks;
	uint64_t taken; /* jobs since power-on or since new tricks */

	bool has_stale;
	struct kerf_npu_completion stale;
};

int64_t npu_now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static uint32_t get(const struct npu_device *d, uint32_t reg)
{
	return __atomic_load_n((uint32_t *)(d->regs + reg), __ATOMIC_ACQUIRE);
}

static void set(struct npu_device *d, uint32_t reg, uint32_t v)
{
	__atomic_store_n((uint32_t *)(d->regs + reg), v, __ATOMIC_RELEASE);
}

#define say(d, ...) ((d)->host.say((d)->host.arg, __VA_ARGS__))

static void event(struct npu_device *d, uint32_t reg, int vector)
{
	set(d, reg, get(d, reg) + 1);
	d->host.raise(d->host.arg, vector);
}

static void set_state(struct npu_device *d, enum kerf_npu_state state)
{
	d->state = state;
	set(d, KERF_NPU_STATUS, d->generation << KERF_NPU_GENERATION_SHIFT | state);
}

static void fail(struct npu_device *d, uint32_t code, uint64_t addr)
{
	say(d, "failed: fault %u at %#llx", code, (unsigned long long)addr);
	set(d, KERF_NPU_FAULT_CODE, code);
	set(d, KERF_NPU_FAULT_ADDR_LO, (uint32_t)addr);
	set(d, KERF_NPU_FAULT_ADDR_HI, (uint32_t)(addr >> 32));
	set_state(d, KERF_NPU_STATE_FAILED);
	event(d, KERF_NPU_IRQ_FAULT, KERF_NPU_VECTOR_FAULT);
}

/* --- completions ----------------------------------------------------------------------- */

static uint64_t entry(const struct npu_device *d, uint64_t ring, uint32_t index, size_t size)
{
	return ring + (uint64_t)(index & (d->ring - 1)) * size;
}

static bool has_room(const struct npu_device *d)
{
	return d->completed - get(d, KERF_NPU_COLLECTED) < d->ring;
}

/* There is room. The ring was checked when it was set. */
static void post(struct npu_device *d, struct kerf_npu_completion *c)
{
	uint8_t *to = d->m.ram + entry(d, d->completions, d->completed, sizeof(*c));

	memcpy(to, c, offsetof(struct kerf_npu_completion, stamp));
	__atomic_store_n((uint32_t *)(to + offsetof(struct kerf_npu_completion, stamp)),
			 ++d->completed, __ATOMIC_RELEASE);
	set(d, KERF_NPU_COMPLETED, d->completed);
}

static void post_event(struct npu_device *d, struct kerf_npu_completion *c)
{
	post(d, c);
	event(d, KERF_NPU_IRQ_DONE, KERF_NPU_VECTOR_DONE);
}

static struct kerf_npu_completion completion(const struct npu_device *d, uint64_t seqno,
					     uint32_t status)
{
	return (struct kerf_npu_completion){
		.seqno = seqno,
		.status = status,
		.generation = d->generation,
		.fault_command = KERF_NPU_NO_COMMAND,
		.fault_window = KERF_NPU_NO_WINDOW,
	};
}

/* --- reset and start ------------------------------------------------------------------- */

static void reset(struct npu_device *d, uint32_t generation)
{
	d->generation = generation;
	d->fetched = d->completed = d->aborted = d->progress = 0;
	d->deaf = false;
	memset(d->skip, 0, sizeof(d->skip));
	set(d, KERF_NPU_FETCHED, 0);
	set(d, KERF_NPU_COMPLETED, 0);
	set(d, KERF_NPU_PROGRESS, 0);
	set(d, KERF_NPU_ABORTED, 0);
	say(d, "reset %u", generation);
	set_state(d, KERF_NPU_STATE_RESET);
}

static bool ring_in_ram(const struct npu_device *d, uint64_t addr, uint64_t size)
{
	return addr <= d->m.ram_size && size <= d->m.ram_size - addr;
}

static void start(struct npu_device *d)
{
	d->ring = get(d, KERF_NPU_RING_SIZE);
	d->jobs = get(d, KERF_NPU_JOBS_LO) | (uint64_t)get(d, KERF_NPU_JOBS_HI) << 32;
	d->completions = get(d, KERF_NPU_COMPLETIONS_LO) |
			 (uint64_t)get(d, KERF_NPU_COMPLETIONS_HI) << 32;
	if (d->ring < 2 || d->ring > MAX_RING || d->ring & (d->ring - 1) || d->jobs % 64 ||
	    d->completions % 64) {
		fail(d, KERF_NPU_FAULT_RING, 0);
	} else if (!ring_in_ram(d, d->jobs, d->ring * sizeof(struct kerf_npu_job))) {
		fail(d, KERF_NPU_FAULT_BUS, d->jobs);
	} else if (!ring_in_ram(d, d->completions,
				d->ring * sizeof(struct kerf_npu_completion))) {
		fail(d, KERF_NPU_FAULT_BUS, d->completions);
	} else {
		say(d, "runs, generation %u, rings of %u", d->generation, d->ring);
		set_state(d, KERF_NPU_STATE_RUN);
		if (d->has_stale && has_room(d))
			post_event(d, &d->stale);
		d->has_stale = false;
	}
}

static void look_at_control(struct npu_device *d)
{
	uint32_t control = get(d, KERF_NPU_CONTROL);
	uint32_t generation = control >> KERF_NPU_GENERATION_SHIFT;

	if (control == d->control)
		return;
	if (d->running && d->wedged) {
		d->wedged--;
		say(d, "CONTROL %#x overlooked", control);
	} else if ((control & 0xff) == KERF_NPU_CONTROL_RESET) {
		/* Answered when the job is left: only then is there no more DMA. */
		if (d->running) {
			d->stop = STOP_RESET;
			return;
		}
		reset(d, generation);
	} else if ((control & 0xff) == KERF_NPU_CONTROL_RUN && generation == d->generation &&
		   d->state == KERF_NPU_STATE_RESET) {
		start(d);
	}
	d->control = control;
}

/* --- aborts ---------------------------------------------------------------------------- */

/* A job that waits in the ring: its completion is written now, and its turn skipped. */
static void abort_waiting(struct npu_device *d, uint32_t index)
{
	struct kerf_npu_completion c;
	struct kerf_npu_job job;
	bool *skip = &d->skip[index & (d->ring - 1)];

	if (*skip)
		return;
	npu_dma_read(&d->m, entry(d, d->jobs, index, sizeof(job)), &job, sizeof(job));
	*skip = true;
	c = completion(d, job.seqno, KERF_NPU_FAULT_ABORTED);
	say(d, "job %llu aborted before its turn", (unsigned long long)job.seqno);
	post_event(d, &c);
}

static void look_at_abort(struct npu_device *d)
{
	uint32_t ask = get(d, KERF_NPU_ABORT), index = get(d, KERF_NPU_ABORT_INDEX);

	if (d->state != KERF_NPU_STATE_RUN || ask == d->aborted || d->deaf || d->stop)
		return;
	if (d->running && index == d->fetched - 1) {
		d->stop = STOP_ABORT; /* answered once the completion is written */
		return;
	}
	if (index - d->fetched < get(d, KERF_NPU_SUBMITTED) - d->fetched &&
	    index - d->fetched < d->ring) {
		if (!has_room(d))
			return; /* asked again when there is */
		abort_waiting(d, index);
	}
	d->aborted = ask;
	set(d, KERF_NPU_ABORTED, ask);
}

static void look(struct npu_device *d)
{
	look_at_control(d);
	look_at_abort(d);
}

/* --- running jobs ---------------------------------------------------------------------- */

static bool go_on(void *arg)
{
	struct npu_device *d = arg;

	look(d);
	if (++d->looks % LOOKS_A_TICK == 0)
		set(d, KERF_NPU_PROGRESS, ++d->progress);
	if (d->looks % LOOKS_A_POLL == 0 && !d->host.wait(d->host.arg, 0))
		d->stop = STOP_OFF;
	return !d->stop;
}

/* Does nothing until a time; false if the job is to stop. */
static bool idle(struct npu_device *d, int64_t until_ns)
{
	for (;;) {
		look(d);
		if (d->stop)
			return false;
		if (npu_now_ns() >= until_ns)
			return true;
		if (!d->host.wait(d->host.arg, until_ns))
			d->stop = STOP_OFF;
	}
}

static bool delay(void *arg, uint32_t us)
{
	return idle(arg, npu_now_ns() + (int64_t)us * 1000);
}

static void command_done(void *arg)
{
	struct npu_device *d = arg;

	set(d, KERF_NPU_PROGRESS, ++d->progress);
}

static bool wait_for_room(struct npu_device *d)
{
	while (!has_room(d)) {
		look_at_control(d);
		if (d->stop >= STOP_RESET)
			return false;
		if (!d->host.wait(d->host.arg, INT64_MAX))
			d->stop = STOP_OFF;
	}
	return true;
}

static void execute(struct npu_device *d, const struct kerf_npu_job *desc,
		    struct kerf_npu_completion *c)
{
	int64_t begin = npu_now_ns();
	struct npu_job job;

	c->status = npu_job_load(&job, &d->m, desc);
	if (!c->status)
		c->status = npu_job_run(&job);
	c->fault_command = job.fault.command;
	c->fault_window = job.fault.window;
	c->fault_offset = job.fault.offset;
	c->commands_done = job.done;
	npu_job_free(&job);
	c->busy_ns = (uint64_t)(npu_now_ns() - begin);
}

/* What comes instead of executing, or between that and the completion. */
static void play(struct npu_device *d, struct npu_trick_entry trick, struct kerf_npu_completion *c)
{
	uint32_t i;

	switch (trick.trick) {
	case NPU_DEAD:
	case NPU_WEDGED:
		d->deaf = true;
		d->wedged = trick.trick == NPU_WEDGED ? trick.arg : 0;
		idle(d, INT64_MAX);
		break;
	case NPU_HANG: idle(d, INT64_MAX); break;
	case NPU_LATE: idle(d, npu_now_ns() + (int64_t)trick.arg * 1000000); break;
	case NPU_SEQNO: c->seqno ^= 0x5a5a5a5a5a5a5a5aull; break;
	case NPU_STATUS: c->status = 0xdeadbeef; break;
	case NPU_DMA:
		c->status = KERF_NPU_FAULT_RANGE;
		c->fault_command = 0;
		c->fault_window = 0;
		c->fault_offset = 0;
		break;
	case NPU_SPURIOUS: event(d, KERF_NPU_IRQ_DONE, KERF_NPU_VECTOR_DONE); break;
	case NPU_STORM:
		for (i = 0; i < trick.arg && idle(d, 0); i++)
			d->host.raise(d->host.arg, KERF_NPU_VECTOR_DONE);
		break;
	default: break;
	}
}

static void answer(struct npu_device *d, struct npu_trick_entry trick,
		   struct kerf_npu_completion *c)
{
	switch (trick.trick) {
	case NPU_NEVER: break;
	case NPU_STALE:
		d->stale = *c;
		d->has_stale = true;
		break;
	case NPU_SILENT: post(d, c); break;
	case NPU_FAIL: fail(d, KERF_NPU_FAULT_HARDWARE, 0); break;
	case NPU_TWICE:
		post_event(d, c);
		if (wait_for_room(d))
			post_event(d, c);
		break;
	default: post_event(d, c);
	}
}

static struct npu_trick_entry trick_of_next_job(struct npu_device *d)
{
	if (d->host.new_tricks && d->host.new_tricks(d->host.arg, &d->tricks))
		d->taken = 0;
	return npu_trick_of(&d->tricks, ++d->taken);
}

static void run_job(struct npu_device *d)
{
	struct npu_trick_entry trick = trick_of_next_job(d);
	struct kerf_npu_completion c;
	struct kerf_npu_job desc;

	npu_dma_read(&d->m, entry(d, d->jobs, d->fetched, sizeof(desc)), &desc, sizeof(desc));
	d->running = true;
	d->stop = GO;
	set(d, KERF_NPU_FETCHED, ++d->fetched);
	c = completion(d, desc.seqno, 0);
	if (trick.trick)
		say(d, "job %llu: %s", (unsigned long long)desc.seqno, npu_trick_name(trick.trick));
	if (trick.trick != NPU_DEAD && trick.trick != NPU_WEDGED && trick.trick != NPU_HANG &&
	    trick.trick != NPU_DMA)
		execute(d, &desc, &c);
	if (!d->stop)
		play(d, trick, &c);
	if (d->stop == STOP_ABORT) {
		c.status = KERF_NPU_FAULT_ABORTED;
		trick.trick = NPU_NO_TRICK;
	}
	if (d->stop < STOP_RESET && wait_for_room(d)) {
		answer(d, trick, &c);
		say(d, "job %llu: status %u, command %u, %u done, %llu us",
		    (unsigned long long)desc.seqno, c.status, c.fault_command, c.commands_done,
		    (unsigned long long)c.busy_ns / 1000);
	}
	d->running = false;
	if (d->stop == STOP_ABORT) {
		d->aborted = get(d, KERF_NPU_ABORT);
		set(d, KERF_NPU_ABORTED, d->aborted);
	}
	if (d->stop != STOP_OFF)
		d->stop = GO;
}

/* Does one thing; false if there is nothing to do. */
static bool step(struct npu_device *d)
{
	uint32_t given;

	look(d);
	if (d->state != KERF_NPU_STATE_RUN)
		return false;
	given = get(d, KERF_NPU_SUBMITTED) - d->fetched;
	if (given > d->ring || d->completed - get(d, KERF_NPU_COLLECTED) > d->ring) {
		fail(d, KERF_NPU_FAULT_RING, 0);
		return false;
	}
	if (!given)
		return false;
	if (d->skip[d->fetched & (d->ring - 1)]) {
		d->skip[d->fetched & (d->ring - 1)] = false;
		set(d, KERF_NPU_FETCHED, ++d->fetched);
	} else {
		run_job(d);
	}
	return d->stop != STOP_OFF;
}

void npu_device_run(struct npu_device *d)
{
	for (;;) {
		while (step(d))
			;
		if (d->stop == STOP_OFF || !d->host.wait(d->host.arg, INT64_MAX))
			return;
	}
}

int npu_device_new(uint8_t *regs, uint8_t *ram, uint64_t ram_size, const struct npu_host *host,
		   const struct npu_tricks *tricks, struct npu_device **dev)
{
	struct npu_device *d = calloc(1, sizeof(*d));
	int r;

	if (!d)
		return -ENOMEM;
	d->m = (struct npu_machine){
		.ram = ram,
		.ram_size = ram_size,
		.limits = npu_default_limits,
		.go_on = go_on,
		.delay = delay,
		.command_done = command_done,
		.arg = d,
	};
	r = kerf_isa_init(&d->m.isa, NULL);
	if (r) {
		free(d);
		return r;
	}
	d->host = *host;
	d->tricks = *tricks;
	d->regs = regs;
	set(d, KERF_NPU_VERSION, KERF_NPU_VERSION_VALUE);
	set(d, KERF_NPU_FEATURES, KERF_NPU_FEATURE_INT8 | KERF_NPU_FEATURE_F32);
	set(d, KERF_NPU_COMMAND_SET, KERF_NPU_COMMAND_SET_VALUE);
	set(d, KERF_NPU_MAX_RING, MAX_RING);
	set(d, KERF_NPU_MAX_COMMANDS, d->m.limits.max_commands);
	set(d, KERF_NPU_MAX_WINDOWS, d->m.limits.max_windows);
	set(d, KERF_NPU_MAX_EXTENTS, d->m.limits.max_extents);
	set(d, KERF_NPU_DMA_BITS, 64 - (uint32_t)__builtin_clzll(ram_size - 1));
	set(d, KERF_NPU_TENSOR_BITS, d->m.limits.tensor_bits);
	set(d, KERF_NPU_WORK_BITS, d->m.limits.work_bits);
	set(d, KERF_NPU_MAGIC, KERF_NPU_MAGIC_VALUE);
	*dev = d;
	return 0;
}

void npu_device_free(struct npu_device *d)
{
	free(d);
}
