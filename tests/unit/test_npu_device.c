/* SPDX-License-Identifier: MIT */
/*
 * The NPU's device model as a driver meets it: a process behind an ivshmem socket. This program
 * plays QEMU and the driver, on a file that stands for the guest's RAM.
 */
#include "npu_model/guest.h"
#include "npu_model/npu.h"

#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#define RAM_SIZE (1u << 20)
#define PATIENCE_MS 20000

struct rig {
	pid_t child;
	char folder[64], socket[96], ram_path[96], tricks_path[96];
	int client, kick, irq[KERF_NPU_VECTORS];
	uint8_t *regs;
	struct guest g;
	uint32_t generation, ring, submitted, collected, aborts;
	uint64_t jobs, completions;
};

static uint32_t get(struct rig *r, uint32_t reg)
{
	return __atomic_load_n((uint32_t *)(r->regs + reg), __ATOMIC_ACQUIRE);
}

static void set(struct rig *r, uint32_t reg, uint32_t v)
{
	__atomic_store_n((uint32_t *)(r->regs + reg), v, __ATOMIC_RELEASE);
}

static void kick(struct rig *r)
{
	uint64_t one = 1;

	assert_int_equal(write(r->kick, &one, sizeof(one)), sizeof(one));
}

/* Until a register has a value. */
static bool becomes_within(struct rig *r, uint32_t reg, uint32_t v, int ms)
{
	int i;

	for (i = 0; i < ms && get(r, reg) != v; i++)
		usleep(1000);
	return get(r, reg) == v;
}

#define becomes(r, reg, v) assert_true(becomes_within(r, reg, v, PATIENCE_MS))

/* How often a vector came since asked last; waits for the first. */
static uint64_t interrupts(struct rig *r, int vector, int ms)
{
	struct pollfd p = {r->irq[vector], POLLIN, 0};
	uint64_t n = 0;

	if (poll(&p, 1, ms) == 1)
		assert_int_equal(read(r->irq[vector], &n, sizeof(n)), sizeof(n));
	return n;
}

/* --- QEMU's part ----------------------------------------------------------------------- */

static int64_t receive(struct rig *r, int *fd)
{
	union {
		struct cmsghdr head;
		char room[CMSG_SPACE(sizeof(int))];
	} control;
	int64_t word = -2;
	struct iovec iov = {&word, sizeof(word)};
	struct msghdr msg = {.msg_iov = &iov,
			     .msg_iovlen = 1,
			     .msg_control = &control,
			     .msg_controllen = sizeof(control.room)};

	assert_int_equal(recvmsg(r->client, &msg, MSG_WAITALL), sizeof(word));
	*fd = -1;
	if (msg.msg_controllen)
		memcpy(fd, CMSG_DATA(&control.head), sizeof(*fd));
	return word;
}

static void connect_to(struct rig *r)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	int i, fd;

	strcpy(addr.sun_path, r->socket);
	r->client = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	for (i = 0; connect(r->client, (struct sockaddr *)&addr, sizeof(addr)); i++) {
		assert_true(i < PATIENCE_MS);
		usleep(1000);
	}
	assert_int_equal(receive(r, &fd), 0); /* version */
	assert_int_equal(fd, -1);
	assert_int_equal(receive(r, &fd), 1); /* we */
	assert_int_equal(fd, -1);
	assert_int_equal(receive(r, &fd), -1); /* memory */
	assert_true(fd >= 0);
	r->regs = mmap(NULL, KERF_NPU_REGS_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	assert_ptr_not_equal(r->regs, MAP_FAILED);
	close(fd);
	assert_int_equal(receive(r, &r->kick), 0);
	for (i = 0; i < KERF_NPU_VECTORS; i++)
		assert_int_equal(receive(r, &r->irq[i]), 1);
}

/* A model with these faults, connected. */
static void rig_begin(struct rig *r, const char *tricks)
{
	struct npu_config config = {.ram_size = RAM_SIZE};
	const char *bad;
	uint8_t *ram;
	int fd;

	memset(r, 0, sizeof(*r));
	strcpy(r->folder, "/tmp/kerf-npu-XXXXXX");
	assert_non_null(mkdtemp(r->folder));
	snprintf(r->socket, sizeof(r->socket), "%s/socket", r->folder);
	snprintf(r->ram_path, sizeof(r->ram_path), "%s/ram", r->folder);
	snprintf(r->tricks_path, sizeof(r->tricks_path), "%s/tricks", r->folder);
	config.socket = r->socket;
	config.tricks_file = r->tricks_path;
	config.ram = r->ram_path;
	config.verbose = getenv("NPU_VERBOSE") != NULL;
	assert_true(npu_tricks_parse(&config.tricks, tricks, &bad));
	r->child = fork();
	assert_true(r->child >= 0);
	if (!r->child)
		_exit(npu_serve(&config) ? 1 : 0);
	connect_to(r);
	fd = open(r->ram_path, O_RDWR | O_CLOEXEC);
	assert_true(fd >= 0);
	ram = mmap(NULL, RAM_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	assert_ptr_not_equal(ram, MAP_FAILED);
	close(fd);
	guest_init(&r->g, ram, RAM_SIZE);
}

/* The model ends with its QEMU, successfully, and leaves no socket. */
static void rig_end(struct rig *r)
{
	int status, i;

	close(r->client);
	assert_int_equal(waitpid(r->child, &status, 0), r->child);
	assert_true(WIFEXITED(status) && !WEXITSTATUS(status));
	assert_int_equal(access(r->socket, F_OK), -1);
	for (i = 0; i < KERF_NPU_VECTORS; i++)
		close(r->irq[i]);
	close(r->kick);
	munmap(r->regs, KERF_NPU_REGS_SIZE);
	munmap(r->g.ram, RAM_SIZE);
	unlink(r->ram_path);
	rmdir(r->folder);
}

/* --- the driver's part ----------------------------------------------------------------- */

static bool reset_within(struct rig *r, int ms)
{
	r->generation = ((get(r, KERF_NPU_STATUS) >> 8) + 1) & KERF_NPU_GENERATION_MAX;
	set(r, KERF_NPU_CONTROL, r->generation << 8 | KERF_NPU_CONTROL_RESET);
	kick(r);
	return becomes_within(r, KERF_NPU_STATUS, r->generation << 8 | KERF_NPU_STATE_RESET, ms);
}

static void give_rings(struct rig *r, uint32_t ring)
{
	r->ring = ring;
	r->submitted = r->collected = r->aborts = 0;
	r->jobs = guest_alloc(&r->g, ring * sizeof(struct kerf_npu_job));
	r->completions = guest_alloc(&r->g, ring * sizeof(struct kerf_npu_completion));
	set(r, KERF_NPU_RING_SIZE, ring);
	set(r, KERF_NPU_JOBS_LO, (uint32_t)r->jobs);
	set(r, KERF_NPU_JOBS_HI, 0);
	set(r, KERF_NPU_COMPLETIONS_LO, (uint32_t)r->completions);
	set(r, KERF_NPU_COMPLETIONS_HI, 0);
	set(r, KERF_NPU_SUBMITTED, 0);
	set(r, KERF_NPU_COLLECTED, 0);
	set(r, KERF_NPU_ABORT, 0);
}

static void run(struct rig *r)
{
	set(r, KERF_NPU_CONTROL, r->generation << 8 | KERF_NPU_CONTROL_RUN);
	kick(r);
}

static void start(struct rig *r, uint32_t ring)
{
	assert_true(reset_within(r, PATIENCE_MS));
	give_rings(r, ring);
	run(r);
	becomes(r, KERF_NPU_STATUS, r->generation << 8 | KERF_NPU_STATE_RUN);
}

static void submit(struct rig *r, struct kerf_npu_job job)
{
	struct kerf_npu_job *ring = (struct kerf_npu_job *)(r->g.ram + r->jobs);

	ring[r->submitted & (r->ring - 1)] = job;
	set(r, KERF_NPU_SUBMITTED, ++r->submitted);
	kick(r);
}

static void submit_nop(struct rig *r, uint64_t seqno)
{
	submit(r, (struct kerf_npu_job){.seqno = seqno});
}

static bool collect_within(struct rig *r, struct kerf_npu_completion *c, int ms)
{
	const struct kerf_npu_completion *ring =
		(const struct kerf_npu_completion *)(r->g.ram + r->completions);
	const struct kerf_npu_completion *from = &ring[r->collected & (r->ring - 1)];
	int i;

	for (i = 0; __atomic_load_n(&from->stamp, __ATOMIC_ACQUIRE) != r->collected + 1; i++) {
		if (i >= ms)
			return false;
		usleep(1000);
	}
	*c = *from;
	set(r, KERF_NPU_COLLECTED, ++r->collected);
	return true;
}

static struct kerf_npu_completion collect(struct rig *r)
{
	struct kerf_npu_completion c;

	assert_true(collect_within(r, &c, PATIENCE_MS));
	assert_int_equal(c.generation, r->generation);
	return c;
}

static void expect(struct rig *r, uint64_t seqno, uint32_t status)
{
	struct kerf_npu_completion c = collect(r);

	assert_int_equal(c.seqno, seqno);
	assert_int_equal(c.status, status);
}

static void ask_abort(struct rig *r, uint32_t index)
{
	set(r, KERF_NPU_ABORT_INDEX, index);
	set(r, KERF_NPU_ABORT, ++r->aborts);
	kick(r);
}

static void submit_delay(struct rig *r, uint64_t seqno, uint32_t us)
{
	guest_delay(&r->g, us);
	submit(r, guest_job(&r->g, seqno));
}

/* --- tests ----------------------------------------------------------------------------- */

#define LONG_US KERF_NPU_MAX_DELAY_US

static void test_identity(void **state)
{
	struct rig r;

	rig_begin(&r, "");
	assert_int_equal(get(&r, KERF_NPU_MAGIC), KERF_NPU_MAGIC_VALUE);
	assert_int_equal(get(&r, KERF_NPU_VERSION), KERF_NPU_VERSION_VALUE);
	assert_int_equal(get(&r, KERF_NPU_STATUS), KERF_NPU_STATE_OFF);
	assert_true(get(&r, KERF_NPU_MAX_RING) >= 2);
	assert_int_equal(get(&r, KERF_NPU_DMA_BITS), 20);
	rig_end(&r);
}

static void test_job(void **state)
{
	struct kerf_npu_completion c;
	struct rig r;

	rig_begin(&r, "");
	start(&r, 4);
	submit_delay(&r, 77, 2000);
	c = collect(&r);
	assert_int_equal(c.seqno, 77);
	assert_int_equal(c.status, 0);
	assert_int_equal(c.commands_done, 1);
	assert_true(c.busy_ns >= 2000000);
	assert_int_equal(c.fault_command, KERF_NPU_NO_COMMAND);
	assert_int_equal(c.fault_window, KERF_NPU_NO_WINDOW);
	assert_int_equal(interrupts(&r, KERF_NPU_VECTOR_DONE, PATIENCE_MS), 1);
	assert_int_equal(get(&r, KERF_NPU_IRQ_DONE), 1);
	assert_int_equal(get(&r, KERF_NPU_FETCHED), 1);
	assert_int_equal(get(&r, KERF_NPU_COMPLETED), 1);
	assert_true(get(&r, KERF_NPU_PROGRESS) >= 1);
	rig_end(&r);
}

static void test_rings_wrap(void **state)
{
	struct rig r;
	uint64_t i;

	rig_begin(&r, "");
	start(&r, 4);
	for (i = 0; i < 1000; i++) {
		submit_nop(&r, i);
		if (i >= 3)
			expect(&r, i - 3, 0);
	}
	for (i = 997; i < 1000; i++)
		expect(&r, i, 0);
	rig_end(&r);
}

static void test_full_completions_wait(void **state)
{
	struct kerf_npu_completion c;
	struct rig r;

	rig_begin(&r, "");
	start(&r, 2);
	submit_nop(&r, 1);
	submit_nop(&r, 2);
	becomes(&r, KERF_NPU_COMPLETED, 2);
	submit_nop(&r, 3);
	becomes(&r, KERF_NPU_FETCHED, 3);
	assert_int_equal(get(&r, KERF_NPU_COMPLETED), 2);
	expect(&r, 1, 0);
	kick(&r);
	expect(&r, 2, 0);
	assert_true(collect_within(&r, &c, PATIENCE_MS));
	assert_int_equal(c.seqno, 3);
	rig_end(&r);
}

static void test_bad_rings(void **state)
{
	static const struct {
		uint32_t reg, value, fault;
	} bad[] = {
		{KERF_NPU_RING_SIZE, 0, KERF_NPU_FAULT_RING},
		{KERF_NPU_RING_SIZE, 1, KERF_NPU_FAULT_RING},
		{KERF_NPU_RING_SIZE, 3, KERF_NPU_FAULT_RING},
		{KERF_NPU_RING_SIZE, 1u << 31, KERF_NPU_FAULT_RING},
		{KERF_NPU_JOBS_LO, 4096 + 8, KERF_NPU_FAULT_RING},
		{KERF_NPU_COMPLETIONS_LO, 4096 + 8, KERF_NPU_FAULT_RING},
		{KERF_NPU_JOBS_LO, RAM_SIZE - 64, KERF_NPU_FAULT_BUS},
		{KERF_NPU_JOBS_HI, 1, KERF_NPU_FAULT_BUS},
		{KERF_NPU_COMPLETIONS_LO, RAM_SIZE, KERF_NPU_FAULT_BUS},
		{KERF_NPU_COMPLETIONS_HI, 0xffffffff, KERF_NPU_FAULT_BUS},
	};
	struct rig r;
	unsigned i;

	rig_begin(&r, "");
	for (i = 0; i < KERF_ARRAY_SIZE(bad); i++) {
		assert_true(reset_within(&r, PATIENCE_MS));
		give_rings(&r, 4);
		set(&r, bad[i].reg, bad[i].value);
		run(&r);
		becomes(&r, KERF_NPU_STATUS, r.generation << 8 | KERF_NPU_STATE_FAILED);
		assert_int_equal(get(&r, KERF_NPU_FAULT_CODE), bad[i].fault);
		assert_int_equal(interrupts(&r, KERF_NPU_VECTOR_FAULT, PATIENCE_MS), 1);
		assert_int_equal(get(&r, KERF_NPU_IRQ_FAULT), i + 1);
	}
	start(&r, 4);
	submit_nop(&r, 5);
	expect(&r, 5, 0);
	rig_end(&r);
}

static void test_run_of_another_generation(void **state)
{
	struct rig r;

	rig_begin(&r, "");
	assert_true(reset_within(&r, PATIENCE_MS));
	give_rings(&r, 4);
	set(&r, KERF_NPU_CONTROL, (r.generation + 1) << 8 | KERF_NPU_CONTROL_RUN);
	kick(&r);
	assert_false(becomes_within(&r, KERF_NPU_STATUS,
				    (r.generation + 1) << 8 | KERF_NPU_STATE_RUN, 50));
	run(&r);
	becomes(&r, KERF_NPU_STATUS, r.generation << 8 | KERF_NPU_STATE_RUN);
	rig_end(&r);
}

static void test_too_many_jobs(void **state)
{
	struct rig r;

	rig_begin(&r, "");
	start(&r, 4);
	set(&r, KERF_NPU_SUBMITTED, 5);
	kick(&r);
	becomes(&r, KERF_NPU_STATUS, r.generation << 8 | KERF_NPU_STATE_FAILED);
	assert_int_equal(get(&r, KERF_NPU_FAULT_CODE), KERF_NPU_FAULT_RING);
	rig_end(&r);
}

static void test_abort_running(void **state)
{
	struct rig r;

	rig_begin(&r, "");
	start(&r, 4);
	submit_delay(&r, 1, LONG_US);
	submit_nop(&r, 2);
	becomes(&r, KERF_NPU_FETCHED, 1);
	ask_abort(&r, 0);
	becomes(&r, KERF_NPU_ABORTED, 1);
	assert_true(get(&r, KERF_NPU_COMPLETED) >= 1);
	expect(&r, 1, KERF_NPU_FAULT_ABORTED);
	expect(&r, 2, 0);
	rig_end(&r);
}

/* Some 10^11 multiplications are left in the middle. */
static void test_abort_working(void **state)
{
	struct kerf_npu_conv c = {
		.cmd = npu_cmd(KERF_NPU_CONV, sizeof(c)),
		.x = {KERF_NPU_ADDR(0, 0), 1, 64, 64, 16, KERF_NPU_F32, 0},
		.w = {KERF_NPU_ADDR(0, 0), 1, 64, 64, 16, KERF_NPU_F32, 0},
		.y = {KERF_NPU_ADDR(1, 0), 1, 128, 128, 1, KERF_NPU_F32, 0},
		.bias = KERF_NPU_NO_ADDR,
		.scale = KERF_NPU_NO_ADDR,
		.residual = KERF_NPU_NO_ADDR,
		.stride_h = 1,
		.stride_w = 1,
		.dilation_h = 1,
		.dilation_w = 1,
		.pad_top = 64,
		.pad_left = 64,
		.groups = 1,
	};
	struct rig r;

	rig_begin(&r, "");
	start(&r, 4);
	guest_window(&r.g, 64 * 64 * 16 * 4, KERF_NPU_WINDOW_READ, 4096);
	guest_window(&r.g, 128 * 128 * 4, KERF_NPU_WINDOW_WRITE, 4096);
	while (r.g.n_bytes + sizeof(c) <= sizeof(r.g.commands))
		guest_command(&r.g, &c, sizeof(c));
	submit(&r, guest_job(&r.g, 9));
	becomes(&r, KERF_NPU_FETCHED, 1);
	ask_abort(&r, 0);
	becomes(&r, KERF_NPU_ABORTED, 1);
	expect(&r, 9, KERF_NPU_FAULT_ABORTED);
	rig_end(&r);
}

static void test_abort_waiting(void **state)
{
	struct rig r;

	rig_begin(&r, "");
	start(&r, 4);
	submit_delay(&r, 1, LONG_US);
	submit_nop(&r, 2);
	submit_nop(&r, 3);
	becomes(&r, KERF_NPU_FETCHED, 1);
	ask_abort(&r, 1);
	becomes(&r, KERF_NPU_ABORTED, 1);
	expect(&r, 2, KERF_NPU_FAULT_ABORTED);
	ask_abort(&r, 0);
	expect(&r, 1, KERF_NPU_FAULT_ABORTED);
	expect(&r, 3, 0);
	becomes(&r, KERF_NPU_FETCHED, 3);
	rig_end(&r);
}

static void test_abort_of_nothing(void **state)
{
	struct rig r;

	rig_begin(&r, "");
	start(&r, 4);
	submit_nop(&r, 1);
	expect(&r, 1, 0);
	ask_abort(&r, 0); /* done */
	becomes(&r, KERF_NPU_ABORTED, 1);
	ask_abort(&r, 9); /* never given */
	becomes(&r, KERF_NPU_ABORTED, 2);
	submit_nop(&r, 2);
	expect(&r, 2, 0);
	rig_end(&r);
}

static void test_reset_stops_a_job(void **state)
{
	struct kerf_npu_completion c;
	uint64_t old;
	struct rig r;

	rig_begin(&r, "");
	start(&r, 4);
	submit_delay(&r, 1, LONG_US);
	becomes(&r, KERF_NPU_FETCHED, 1);
	old = r.completions;
	start(&r, 8);
	submit_nop(&r, 2);
	expect(&r, 2, 0);
	assert_int_equal(((struct kerf_npu_completion *)(r.g.ram + old))->stamp, 0);
	assert_false(collect_within(&r, &c, 20));
	rig_end(&r);
}

static void test_leaves_in_the_middle_of_a_job(void **state)
{
	struct rig r;

	rig_begin(&r, "");
	start(&r, 4);
	submit_delay(&r, 1, LONG_US);
	becomes(&r, KERF_NPU_FETCHED, 1);
	rig_end(&r);
}

static void test_bad_jobs(void **state)
{
	struct kerf_npu_completion c;
	struct rig r;
	unsigned i;

	rig_begin(&r, "");
	start(&r, 4);
	for (i = 0; i < 9; i++) {
		struct kerf_npu_job job = {.seqno = i, .commands = 4096, .windows = 4096};
		uint32_t want = KERF_NPU_FAULT_JOB;

		switch (i) {
		case 0: job.flags = 1; break;
		case 1: job.pad[6] = 1; break;
		case 2: job.commands_size = 4; break;
		case 3: job.commands_size = get(&r, KERF_NPU_MAX_COMMANDS) + 8; break;
		case 4: job.n_windows = get(&r, KERF_NPU_MAX_WINDOWS) + 1; break;
		case 5: job.commands = 4096 + 8; break;
		case 6: job.n_windows = 1, job.windows = 4096 + 8; break;
		case 7:
			job.commands_size = 8, job.commands = RAM_SIZE;
			want = KERF_NPU_FAULT_BUS;
			break;
		case 8:
			job.n_windows = 1, job.windows = ~(uint64_t)63;
			want = KERF_NPU_FAULT_BUS;
			break;
		}
		submit(&r, job);
		c = collect(&r);
		assert_int_equal(c.seqno, i);
		assert_int_equal(c.status, want);
		assert_int_equal(c.fault_command, KERF_NPU_NO_COMMAND);
	}
	rig_end(&r);
}

static void test_bad_windows(void **state)
{
	enum { EXTENTS = 17 };
	struct kerf_npu_completion c;
	struct rig r;
	unsigned i;

	rig_begin(&r, "");
	start(&r, 4);
	guest_window(&r.g, 1000, KERF_NPU_WINDOW_READ, 256);
	for (i = 0; i < EXTENTS; i++) {
		struct kerf_npu_window *w = r.g.table, good = *w;
		struct kerf_npu_extents *head = (struct kerf_npu_extents *)(r.g.ram + w->extents);
		struct kerf_npu_extent *e = (struct kerf_npu_extent *)(head + 1);
		struct kerf_npu_extents good_head = *head;
		struct kerf_npu_extent good_e = *e;
		uint32_t want = KERF_NPU_FAULT_WINDOW_TABLE;

		switch (i) {
		case 0: w->flags = 0; break;
		case 1: w->flags = 4 | KERF_NPU_WINDOW_READ; break;
		case 2: w->size = 0; break;
		case 3: w->size = 1 << 16; break;
		case 4: w->size = UINT64_MAX; break;
		case 5: w->offset = 32; break;
		case 6: w->offset = UINT64_MAX - 63; break;
		case 7: w->n_extents = 0; break;
		case 8: w->n_extents = get(&r, KERF_NPU_MAX_EXTENTS) + 1; break;
		case 9: w->n_extents = 1; break;
		case 10: w->extents += 8; break;
		case 11: w->extents = RAM_SIZE, want = KERF_NPU_FAULT_BUS; break;
		case 12: head->count = 0; break;
		case 13: head->pad = 1; break;
		case 14: e->size = 0; break;
		case 15: e->addr += 4; break;
		case 16: e->addr = RAM_SIZE - 64, want = KERF_NPU_FAULT_BUS; break;
		}
		submit(&r, guest_job(&r.g, i));
		c = collect(&r);
		assert_int_equal(c.status, want);
		assert_int_equal(c.fault_window, 0);
		*w = good;
		*head = good_head;
		*e = good_e;
	}
	/* A list that runs in a circle holds as much as its extents say, and no more is read. */
	((struct kerf_npu_extents *)(r.g.ram + r.g.table->extents))->next = r.g.table->extents;
	submit(&r, guest_job(&r.g, 1));
	expect(&r, 1, 0);
	rig_end(&r);
}

/* --- faults on demand ------------------------------------------------------------------ */

static void test_never(void **state)
{
	struct rig r;

	rig_begin(&r, "never@2");
	start(&r, 4);
	submit_nop(&r, 1);
	submit_nop(&r, 2);
	submit_nop(&r, 3);
	expect(&r, 1, 0);
	expect(&r, 3, 0);
	rig_end(&r);
}

static void test_hang(void **state)
{
	struct rig r;

	rig_begin(&r, "hang@1");
	start(&r, 4);
	submit_nop(&r, 1);
	becomes(&r, KERF_NPU_FETCHED, 1);
	ask_abort(&r, 0);
	expect(&r, 1, KERF_NPU_FAULT_ABORTED);
	submit_nop(&r, 2);
	expect(&r, 2, 0);
	rig_end(&r);
}

static void test_dead(void **state)
{
	struct rig r;

	rig_begin(&r, "dead@1");
	start(&r, 4);
	submit_nop(&r, 1);
	becomes(&r, KERF_NPU_FETCHED, 1);
	ask_abort(&r, 0);
	assert_false(becomes_within(&r, KERF_NPU_ABORTED, 1, 50));
	start(&r, 4);
	submit_nop(&r, 2);
	expect(&r, 2, 0);
	rig_end(&r);
}

static void test_wedged(void **state)
{
	uint32_t before;
	struct rig r;

	rig_begin(&r, "wedged@1:2");
	start(&r, 4);
	submit_nop(&r, 1);
	becomes(&r, KERF_NPU_FETCHED, 1);
	before = get(&r, KERF_NPU_STATUS);
	assert_false(reset_within(&r, 50));
	set(&r, KERF_NPU_CONTROL, (r.generation + 1) << 8 | KERF_NPU_CONTROL_RESET);
	kick(&r);
	usleep(50000);
	assert_int_equal(get(&r, KERF_NPU_STATUS), before);
	start(&r, 4);
	submit_nop(&r, 2);
	expect(&r, 2, 0);
	rig_end(&r);
}

static void test_late(void **state)
{
	struct kerf_npu_completion c;
	struct rig r;

	rig_begin(&r, "late@1:100,late@2:10000");
	start(&r, 4);
	submit_nop(&r, 1);
	assert_false(collect_within(&r, &c, 20));
	expect(&r, 1, 0);
	submit_nop(&r, 2);
	becomes(&r, KERF_NPU_FETCHED, 2);
	ask_abort(&r, 1);
	expect(&r, 2, KERF_NPU_FAULT_ABORTED);
	rig_end(&r);
}

static void test_stale(void **state)
{
	struct kerf_npu_completion c;
	struct rig r;
	uint32_t old;

	rig_begin(&r, "stale@1");
	start(&r, 4);
	old = r.generation;
	submit_nop(&r, 1);
	becomes(&r, KERF_NPU_FETCHED, 1);
	start(&r, 4);
	assert_true(collect_within(&r, &c, PATIENCE_MS));
	assert_int_equal(c.seqno, 1);
	assert_int_equal(c.generation, old);
	submit_nop(&r, 2);
	expect(&r, 2, 0);
	rig_end(&r);
}

static void test_twice(void **state)
{
	struct rig r;

	rig_begin(&r, "twice@1");
	start(&r, 4);
	submit_nop(&r, 1);
	expect(&r, 1, 0);
	expect(&r, 1, 0);
	submit_nop(&r, 2);
	expect(&r, 2, 0);
	rig_end(&r);
}

static void test_wrong_answers(void **state)
{
	struct kerf_npu_completion c;
	struct rig r;

	rig_begin(&r, "seqno@1,status@2,dma@3");
	start(&r, 4);
	submit_nop(&r, 1);
	assert_int_not_equal(collect(&r).seqno, 1);
	submit_nop(&r, 2);
	assert_true(collect(&r).status >= KERF_NPU_N_FAULTS);
	submit_nop(&r, 3);
	c = collect(&r);
	assert_int_equal(c.status, KERF_NPU_FAULT_RANGE);
	assert_int_equal(c.fault_window, 0);
	rig_end(&r);
}

static void test_interrupts(void **state)
{
	struct rig r;

	rig_begin(&r, "silent@1,spurious@2,storm@3:50");
	start(&r, 4);
	submit_nop(&r, 1);
	expect(&r, 1, 0);
	assert_int_equal(interrupts(&r, KERF_NPU_VECTOR_DONE, 20), 0);
	submit_nop(&r, 2);
	expect(&r, 2, 0);
	becomes(&r, KERF_NPU_IRQ_DONE, 2);
	submit_nop(&r, 3);
	expect(&r, 3, 0);
	becomes(&r, KERF_NPU_IRQ_DONE, 3);
	submit_nop(&r, 4); /* after its answer, all before it were raised */
	expect(&r, 4, 0);
	assert_true(interrupts(&r, KERF_NPU_VECTOR_DONE, PATIENCE_MS) >= 53);
	rig_end(&r);
}

static void test_fail(void **state)
{
	struct rig r;

	rig_begin(&r, "fail@1");
	start(&r, 4);
	submit_nop(&r, 1);
	becomes(&r, KERF_NPU_STATUS, r.generation << 8 | KERF_NPU_STATE_FAILED);
	assert_int_equal(get(&r, KERF_NPU_FAULT_CODE), KERF_NPU_FAULT_HARDWARE);
	assert_int_equal(interrupts(&r, KERF_NPU_VECTOR_FAULT, PATIENCE_MS), 1);
	start(&r, 4);
	submit_nop(&r, 2);
	expect(&r, 2, 0);
	rig_end(&r);
}

static void give_tricks(struct rig *r, const char *list)
{
	FILE *f = fopen(r->tricks_path, "w");

	assert_non_null(f);
	fputs(list, f);
	fclose(f);
}

/* A list that comes later counts from the next job on, and ends the one before. */
static void test_tricks_file(void **state)
{
	struct rig r;

	rig_begin(&r, "status@1,status@4");
	start(&r, 8);
	submit_nop(&r, 1);
	assert_true(collect(&r).status >= KERF_NPU_N_FAULTS);
	submit_nop(&r, 2);
	expect(&r, 2, 0);
	give_tricks(&r, "dma@1,dma@3\n");
	submit_nop(&r, 3);
	expect(&r, 3, KERF_NPU_FAULT_RANGE);
	assert_int_equal(access(r.tricks_path, F_OK), -1);
	submit_nop(&r, 4);
	expect(&r, 4, 0);
	give_tricks(&r, "");
	submit_nop(&r, 5);
	expect(&r, 5, 0);
	give_tricks(&r, "nonsense");
	submit_nop(&r, 6);
	expect(&r, 6, 0);
	assert_int_equal(access(r.tricks_path, F_OK), -1);
	rig_end(&r);
}

static void test_trick_lists(void **state)
{
	static const char *const bad[] = {
		"never",   "never@", "never@0", "never@x", "nothing@1", "never@1:",
		"never@1x", "@1",    ",",	"never@1,,", "never@-1",
	};
	struct npu_tricks t = {0};
	const char *where;
	unsigned i;

	assert_true(npu_tricks_parse(&t, "never@3,late@5:7,twice@*", &where));
	assert_int_equal(t.n, 3);
	assert_int_equal(npu_trick_of(&t, 3).trick, NPU_NEVER);
	assert_int_equal(npu_trick_of(&t, 5).arg, 7);
	assert_int_equal(npu_trick_of(&t, 6).trick, NPU_TWICE);
	for (i = 0; i < KERF_ARRAY_SIZE(bad); i++) {
		t.n = 0;
		assert_false(npu_tricks_parse(&t, bad[i], &where));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_identity),
		cmocka_unit_test(test_job),
		cmocka_unit_test(test_rings_wrap),
		cmocka_unit_test(test_full_completions_wait),
		cmocka_unit_test(test_bad_rings),
		cmocka_unit_test(test_run_of_another_generation),
		cmocka_unit_test(test_too_many_jobs),
		cmocka_unit_test(test_abort_running),
		cmocka_unit_test(test_abort_working),
		cmocka_unit_test(test_abort_waiting),
		cmocka_unit_test(test_abort_of_nothing),
		cmocka_unit_test(test_reset_stops_a_job),
		cmocka_unit_test(test_leaves_in_the_middle_of_a_job),
		cmocka_unit_test(test_bad_jobs),
		cmocka_unit_test(test_bad_windows),
		cmocka_unit_test(test_never),
		cmocka_unit_test(test_hang),
		cmocka_unit_test(test_dead),
		cmocka_unit_test(test_wedged),
		cmocka_unit_test(test_late),
		cmocka_unit_test(test_stale),
		cmocka_unit_test(test_twice),
		cmocka_unit_test(test_wrong_answers),
		cmocka_unit_test(test_interrupts),
		cmocka_unit_test(test_fail),
		cmocka_unit_test(test_tricks_file),
		cmocka_unit_test(test_trick_lists),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
