/* SPDX-License-Identifier: MIT */
/*
 * Calls that are right, but for a field now and then, from several threads that share a few files,
 * handles and queues, open and close them meanwhile, and are killed at times; where the kernel
 * injects faults, some calls meet one. Nothing is asserted of a single call; the device must serve
 * as ever afterwards, and the kernel's log stays clean. KERF_FUZZ_SEED and KERF_FUZZ_COUNT (calls)
 * say what is done; the same seed makes the same calls in each thread.
 */
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/eventfd.h>

#include "fail_nth.h"
#include "kerf_test.h"

#define N_THREADS 4
#define N_FILES 4
#define N_BUFS 4
#define N_ROUNDS 8
#define ARENA 16384 /* bytes of arrays and commands; what follows is not mapped */

static _Atomic int files[N_FILES];
static _Atomic int bufs[N_BUFS];

struct fuzzer {
	uint64_t state;
	unsigned char *arena;
	size_t used;
	unsigned long n_calls;
	unsigned long n_accepted;
	int fail_nth;
};

static uint64_t rnd(struct fuzzer *f)
{
	f->state ^= f->state << 13;
	f->state ^= f->state >> 7;
	f->state ^= f->state << 17;
	return f->state;
}

static uint32_t below(struct fuzzer *f, uint32_t n)
{
	return (rnd(f) >> 16) % n;
}

static bool one_in(struct fuzzer *f, uint32_t n)
{
	return !below(f, n);
}

static uint64_t interesting(struct fuzzer *f)
{
	static const uint64_t values[] = {0,	      1,	  2,	      7,
					  63,	      64,	  65,	      4095,
					  4096,	      65535,	  65536,      65537,
					  0x7fffffff, 0x80000000, 0xffffffff, 0x100000000,
					  INT64_MAX,  1ull << 63, UINT64_MAX, UINT64_MAX - 7};

	switch (below(f, 4)) {
	case 0: return values[below(f, sizeof(values) / sizeof(values[0]))];
	case 1: return 1ull << below(f, 64);
	case 2: return (uintptr_t)f->arena + below(f, ARENA + 64);
	default: return rnd(f);
	}
}

/* Makes one field of a struct something else. */
static void spoil(struct fuzzer *f, void *p, size_t size)
{
	uint64_t value = interesting(f);
	size_t n = one_in(f, 2) && size >= 8 ? 8 : 4;

	memcpy((char *)p + below(f, size / n) * n, &value, n);
}

static void maybe_spoil(struct fuzzer *f, void *p, size_t size)
{
	if (one_in(f, 6))
		spoil(f, p, size);
}

/* Room in the arena for an array; now and then it ends where the arena does, or a bit beyond. */
static void *room(struct fuzzer *f, size_t size)
{
	unsigned char *p = f->arena + f->used;

	if (one_in(f, 64) || f->used + size > ARENA)
		p = f->arena + ARENA - size + (one_in(f, 4) ? 8 : 0);
	else
		f->used += size;
	return p;
}

/* Copies as much as lies in the arena. */
static uintptr_t put(struct fuzzer *f, const void *data, size_t size)
{
	unsigned char *p = room(f, size), *end = f->arena + ARENA;

	if (p < end)
		memcpy(p, data, size < (size_t)(end - p) ? size : (size_t)(end - p));
	return (uintptr_t)p;
}

static int some_file(struct fuzzer *f)
{
	return files[below(f, N_FILES)];
}

static uint32_t some_id(struct fuzzer *f)
{
	return one_in(f, 16) ? (uint32_t)interesting(f) : 1 + below(f, 6);
}

/* Never far from now, so that no call lasts */
static int64_t some_time(struct fuzzer *f)
{
	return one_in(f, 4) ? -(int64_t)(rnd(f) >> 1) : kt_now() + below(f, 2000000);
}

static void call(struct fuzzer *f, unsigned long request, void *args)
{
	bool faulty = f->fail_nth >= 0 && one_in(f, 4);
	int file = some_file(f);

	f->n_calls++;
	if (faulty)
		fail_nth_arm(f->fail_nth, 1 + below(f, 24));
	f->n_accepted += !kt_ioctl(file, request, args);
	if (faulty)
		fail_nth_disarm(f->fail_nth);
}

static struct drm_kerf_obj_array some_bos(struct fuzzer *f)
{
	struct drm_kerf_bo_ref refs[4];
	uint32_t n = below(f, 4);

	for (uint32_t i = 0; i < n; i++) {
		refs[i] = (struct drm_kerf_bo_ref){.handle = some_id(f),
						   .flags = 1 + below(f, 3),
						   .offset = below(f, 4) * 64,
						   .size = 1 + below(f, 3000)};
		maybe_spoil(f, &refs[i], sizeof(refs[i]));
	}
	return (struct drm_kerf_obj_array){
		.stride = sizeof(refs[0]), .count = n, .array = put(f, refs, n * sizeof(refs[0]))};
}

static struct drm_kerf_obj_array some_syncs(struct fuzzer *f)
{
	struct drm_kerf_sync syncs[3];
	uint32_t n = one_in(f, 2) ? 0 : below(f, 4);

	for (uint32_t i = 0; i < n; i++) {
		syncs[i] = (struct drm_kerf_sync){
			.type = below(f, 3), .handle = some_id(f), .point = below(f, 8)};
		maybe_spoil(f, &syncs[i], sizeof(syncs[i]));
	}
	return (struct drm_kerf_obj_array){.stride = sizeof(syncs[0]),
					   .count = n,
					   .array = put(f, syncs, n * sizeof(syncs[0]))};
}

static void do_submit(struct fuzzer *f)
{
	struct drm_kerf_job jobs[6];
	struct drm_kerf_submit args;
	uint32_t n = 1 + below(f, 6);

	for (uint32_t i = 0; i < n; i++) {
		struct drm_kerf_sim_cmd cmd = {.duration_us = below(f, 300)};

		jobs[i] = (struct drm_kerf_job){.cmd = put(f, &cmd, sizeof(cmd)),
						.cmd_size = one_in(f, 2) ? sizeof(cmd) : 0,
						.flags = one_in(f, 8),
						.bos = some_bos(f),
						.syncs = some_syncs(f),
						.cookie = rnd(f),
						.timeout_ms = one_in(f, 8) ? 1 : 0};
		if (one_in(f, 16))
			spoil(f, &jobs[i], sizeof(jobs[i]));
	}
	args = (struct drm_kerf_submit){.queue_id = some_id(f),
					.jobs = {.stride = sizeof(jobs[0]),
						 .count = n,
						 .array = put(f, jobs, n * sizeof(jobs[0]))}};
	if (one_in(f, 16))
		spoil(f, &args, sizeof(args));
	call(f, DRM_IOCTL_KERF_SUBMIT, &args);
}

static void do_wait(struct fuzzer *f)
{
	struct drm_kerf_queue_wait args = {.queue_id = some_id(f), .seqno = 1 + below(f, 40)};

	maybe_spoil(f, &args, sizeof(args));
	args.timeout_ns = some_time(f);
	call(f, DRM_IOCTL_KERF_QUEUE_WAIT, &args);
}

static void do_state(struct fuzzer *f)
{
	struct drm_kerf_queue_state args = {.queue_id = some_id(f)};

	maybe_spoil(f, &args, sizeof(args));
	call(f, DRM_IOCTL_KERF_QUEUE_STATE, &args);
}

static void do_queue_create(struct fuzzer *f)
{
	struct drm_kerf_queue_create args = {
		.engine = 0, .priority = below(f, 3), .depth = 1 + below(f, 64)};

	maybe_spoil(f, &args, sizeof(args));
	call(f, DRM_IOCTL_KERF_QUEUE_CREATE, &args);
}

static void do_queue_destroy(struct fuzzer *f)
{
	struct drm_kerf_queue_destroy args = {.queue_id = some_id(f)};

	maybe_spoil(f, &args, sizeof(args));
	call(f, DRM_IOCTL_KERF_QUEUE_DESTROY, &args);
}

static void do_eventfd(struct fuzzer *f)
{
	struct drm_kerf_queue_eventfd args = {.queue_id = some_id(f),
					      .fd = one_in(f, 2) ? -1 : eventfd(0, EFD_NONBLOCK)};
	int fd = args.fd;

	maybe_spoil(f, &args, sizeof(args));
	call(f, DRM_IOCTL_KERF_QUEUE_EVENTFD, &args);
	if (fd >= 0)
		close(fd);
}

static void do_query(struct fuzzer *f)
{
	unsigned char answer[128];
	struct drm_kerf_dev_query args = {.type = below(f, 2),
					  .size = below(f, sizeof(answer)),
					  .pointer = (uintptr_t)answer};

	/* Never an answer over our own memory, wherever that lies: the guard page, or the kernel's
	 * half */
	if (one_in(f, 4))
		args.pointer =
			one_in(f, 2) ? (uintptr_t)f->arena + ARENA : interesting(f) | 1ull << 63;
	call(f, DRM_IOCTL_KERF_DEV_QUERY, &args);
}

static void do_bo_create(struct fuzzer *f)
{
	struct drm_kerf_bo_create args = {.size = 1 + below(f, 65536), .flags = below(f, 4)};

	maybe_spoil(f, &args, sizeof(args));
	call(f, DRM_IOCTL_KERF_BO_CREATE, &args);
}

static void do_bo_close(struct fuzzer *f)
{
	struct drm_gem_close args = {.handle = some_id(f)};

	call(f, DRM_IOCTL_GEM_CLOSE, &args);
}

static void do_bo_sync(struct fuzzer *f)
{
	struct drm_kerf_bo_sync args = {.handle = some_id(f),
					.flags = 1 + below(f, 7),
					.offset = below(f, 2) * 128,
					.size = 1 + below(f, 3000)};

	maybe_spoil(f, &args, sizeof(args));
	args.timeout_ns = some_time(f);
	call(f, DRM_IOCTL_KERF_BO_SYNC, &args);
}

static void do_mmap(struct fuzzer *f)
{
	struct drm_kerf_bo_info args = {.handle = some_id(f)};
	int fd = some_file(f);
	volatile unsigned char *p;
	size_t size;

	f->n_calls++;
	if (kt_ioctl(fd, DRM_IOCTL_KERF_BO_INFO, &args) || !args.size)
		return;
	f->n_accepted++;
	size = args.size < 65536 ? args.size : 65536;
	p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd,
		 args.mmap_offset + (one_in(f, 8) ? 4096 : 0));
	if (p == MAP_FAILED)
		return;
	p[0] = 1;
	munmap((void *)p, size);
}

static void do_prime_export(struct fuzzer *f)
{
	struct drm_prime_handle args = {.handle = some_id(f), .flags = DRM_RDWR | DRM_CLOEXEC};

	f->n_calls++;
	if (kt_ioctl(some_file(f), DRM_IOCTL_PRIME_HANDLE_TO_FD, &args))
		return;
	f->n_accepted++;
	args.fd = atomic_exchange(&bufs[below(f, N_BUFS)], args.fd);
	if (args.fd >= 0)
		close(args.fd);
}

static void do_prime_import(struct fuzzer *f)
{
	struct drm_prime_handle args = {.fd = bufs[below(f, N_BUFS)]};

	call(f, DRM_IOCTL_PRIME_FD_TO_HANDLE, &args);
}

static void do_syncobj(struct fuzzer *f)
{
	struct drm_syncobj_create create = {.flags = below(f, 2)};
	struct drm_syncobj_destroy destroy = {.handle = some_id(f)};
	uint32_t handle = some_id(f);
	struct drm_syncobj_wait wait = {.handles = (uintptr_t)&handle,
					.count_handles = 1,
					.timeout_nsec = kt_now() + 500000};

	switch (below(f, 4)) {
	case 0: call(f, DRM_IOCTL_SYNCOBJ_DESTROY, &destroy); break;
	case 1: call(f, DRM_IOCTL_SYNCOBJ_WAIT, &wait); break;
	default: call(f, DRM_IOCTL_SYNCOBJ_CREATE, &create); break;
	}
}

static void do_read(struct fuzzer *f)
{
	struct pollfd node = {.fd = some_file(f), .events = POLLIN};
	char text[512];

	if (poll(&node, 1, 0) == 1)
		f->n_accepted += read(node.fd, text, 1 + below(f, sizeof(text))) > 0;
	f->n_calls++;
}

/*
 * Another thread may take the event that poll() saw, or put another file behind the number: no read
 * may wait, so none of them ever does, from open() on.
 */
static int open_one(void)
{
	return kt_find_with(KERF_ENGINE_SIM, O_NONBLOCK);
}

static void do_reopen(struct fuzzer *f)
{
	int fd = open_one();

	f->n_calls++;
	fd = atomic_exchange(&files[below(f, N_FILES)], fd);
	if (fd >= 0)
		close(fd);
}

/* Any number, any size, any contents */
static void do_anything(struct fuzzer *f)
{
	uint64_t args[64];
	uint32_t nr = DRM_COMMAND_BASE + below(f, 12);

	for (size_t i = 0; i < sizeof(args) / sizeof(args[0]); i++)
		args[i] = one_in(f, 2) ? 0 : interesting(f);
	/* A wait for ever is a right thing to ask for. */
	if (nr == DRM_COMMAND_BASE + DRM_KERF_QUEUE_WAIT)
		args[2] = 0;
	if (nr == DRM_COMMAND_BASE + DRM_KERF_BO_SYNC)
		args[3] = 0;
	/* An answer could be written over what the threads stand on. */
	if (nr == DRM_COMMAND_BASE + DRM_KERF_DEV_QUERY)
		args[2] = 0;
	call(f, _IOC(below(f, 4), DRM_IOCTL_BASE, nr, below(f, sizeof(args))), args);
}

static const struct {
	void (*fn)(struct fuzzer *f);
	unsigned weight;
} ops[] = {
	{do_submit, 40},       {do_wait, 8},	{do_state, 4}, {do_queue_create, 8},
	{do_queue_destroy, 3}, {do_eventfd, 3}, {do_query, 2}, {do_bo_create, 6},
	{do_bo_close, 3},      {do_bo_sync, 6}, {do_mmap, 4},  {do_prime_export, 2},
	{do_prime_import, 2},  {do_syncobj, 4}, {do_read, 2},  {do_reopen, 1},
	{do_anything, 4},
};

static unsigned long calls_left;

static void *fuzz(void *arg)
{
	struct fuzzer *f = arg;
	unsigned total = 0;

	f->fail_nth = fail_nth_open();
	for (size_t i = 0; i < sizeof(ops) / sizeof(ops[0]); i++)
		total += ops[i].weight;
	while (f->n_calls < calls_left) {
		unsigned pick = below(f, total);
		size_t i = 0;

		while (pick >= ops[i].weight)
			pick -= ops[i++].weight;
		f->used = 0;
		ops[i].fn(f);
	}
	if (f->fail_nth >= 0)
		close(f->fail_nth);
	return NULL;
}

static unsigned long number(const char *name, unsigned long otherwise)
{
	const char *text = getenv(name);

	return text && *text ? strtoul(text, NULL, 0) : otherwise;
}

/* One process: opens its files, fuzzes with threads, ends with everything open. */
static void round_of(uint64_t seed)
{
	struct fuzzer fuzzers[N_THREADS] = {0};
	pthread_t threads[N_THREADS];
	unsigned long n_calls = 0, n_accepted = 0;

	for (int i = 0; i < N_FILES; i++)
		files[i] = open_one();
	for (int i = 0; i < N_BUFS; i++)
		bufs[i] = -1;
	for (int i = 0; i < N_THREADS; i++) {
		struct fuzzer *f = &fuzzers[i];

		f->state = (seed * N_THREADS + i + 1) * 0x9e3779b97f4a7c15;
		f->arena = mmap(NULL, ARENA + 4096, PROT_READ | PROT_WRITE,
				MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
		REQUIRE(f->arena != MAP_FAILED);
		mprotect(f->arena + ARENA, 4096, PROT_NONE);
		REQUIRE(!pthread_create(&threads[i], NULL, fuzz, f));
	}
	for (int i = 0; i < N_THREADS; i++) {
		pthread_join(threads[i], NULL);
		n_calls += fuzzers[i].n_calls;
		n_accepted += fuzzers[i].n_accepted;
	}
	ktap_note("%lu calls, %lu accepted", n_calls, n_accepted);
	/* Calls that are all refused would test little. */
	EXPECT(n_accepted > n_calls / 10);
}

static void serves_as_ever(void)
{
	int fd = kt_open(KERF_ENGINE_SIM), engine = kt_engine(fd, KERF_ENGINE_SIM), status = -1;
	struct drm_kerf_engine_info info = {0};
	uint32_t queue;
	uint64_t seqno;

	REQUIRE_OK(kt_engine_info(fd, engine, &info));
	EXPECT_EQ(KERF_ENGINE_READY, info.state);
	REQUIRE_OK(kt_queue_create(fd, engine, KERF_PRIORITY_NORMAL, 1, &queue));
	REQUIRE_OK(kt_submit_sim(fd, queue, 100, &seqno));
	EXPECT_OK(kt_wait(fd, queue, seqno, -1, &status));
	EXPECT_EQ(0, status);
	close(fd);
}

static void fuzz_ioctls(void)
{
	unsigned long seed = number("KERF_FUZZ_SEED", 1);
	unsigned long count = number("KERF_FUZZ_COUNT", 40000);

	close(kt_open(KERF_ENGINE_SIM));
	ktap_note("seed %lu, %lu calls", seed, count);
	calls_left = count / N_ROUNDS / N_THREADS;
	for (int i = 0; i < N_ROUNDS; i++) {
		pid_t pid;
		int status;

		fflush(NULL);
		pid = fork();
		if (!pid) {
			round_of(seed * N_ROUNDS + i);
			fflush(NULL);
			_exit(0);
		}
		if (i % 2) {
			usleep(100000);
			kill(pid, SIGKILL);
		}
		REQUIRE(waitpid(pid, &status, 0) == pid);
		EXPECT((WIFEXITED(status) && !WEXITSTATUS(status)) ||
		       (i % 2 && WIFSIGNALED(status)));
		serves_as_ever();
	}
}

static const struct ktap_case cases[] = {KTAP_SLOW(fuzz_ioctls, 55)};

int main(int argc, char **argv)
{
	return ktap_main(cases, sizeof(cases) / sizeof(cases[0]), argc, argv);
}
