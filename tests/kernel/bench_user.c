// SPDX-License-Identifier: MIT
/*
 * What a job on a user engine costs, from SUBMIT to the client's knowing that it is done, beside
 * what it cannot cost less than (two processes waking each other through eventfds) and what the
 * kernel's other broker costs (an empty request of a ublk device, where there is one). One round of
 * each after the other, several times, in the same run; medians, and ratios to the eventfds. usage:
 * bench_user [ROUNDS]
 */
#include <linux/io_uring.h>
#include <linux/ublk_cmd.h>
#include <sched.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#include "kerf_server_test.h"

#define RUNS 9

struct peer {
	const char *name;
	bool (*open)(struct peer *p); /* false: not to be had here, p->why */
	void (*serve)(struct peer *p); /* in a child, until it is killed */
	bool (*ready)(struct peer *p); /* after the child was made; NULL: nothing to do */
	void (*round)(struct peer *p);
	void (*close)(struct peer *p); /* before the child is killed; NULL: nothing to do */
	const char *why;
	pid_t child;
	double us[RUNS];
	int fd[2], client, engine;
	uint32_t queue;
	struct ks server;
};

static void must(bool ok, const char *what)
{
	if (ok)
		return;
	perror(what);
	exit(1);
}

/* --- eventfds --- */

static bool eventfd_open(struct peer *p)
{
	p->fd[0] = eventfd(0, 0);
	p->fd[1] = eventfd(0, 0);
	return true;
}

static void eventfd_pass(int from, int to)
{
	uint64_t n;

	must(read(from, &n, sizeof(n)) == sizeof(n), "eventfd");
	n = 1;
	must(write(to, &n, sizeof(n)) == sizeof(n), "eventfd");
}

static void eventfd_serve(struct peer *p)
{
	for (;;)
		eventfd_pass(p->fd[0], p->fd[1]);
}

static void eventfd_round(struct peer *p)
{
	uint64_t n = 1;

	must(write(p->fd[0], &n, sizeof(n)) == sizeof(n), "eventfd");
	must(read(p->fd[1], &n, sizeof(n)) == sizeof(n), "eventfd");
}

/* --- kerf --- */

static bool user_open(struct peer *p)
{
	struct kerf_server_register reg = ks_fail_policy("bench", 1);
	int fd = open(KERF_SERVER_NODE, O_RDWR | O_CLOEXEC);

	p->why = "no " KERF_SERVER_NODE;
	if (fd < 0)
		return false;
	p->server = (struct ks){.fd = fd, .reg = reg};
	must(!kt_ioctl(fd, KERF_SERVER_IOCTL_REGISTER, &p->server.reg), "REGISTER");
	p->client = ks_client(&p->server);
	must(!kt_queue_create(p->client, p->server.reg.engine, KERF_PRIORITY_NORMAL, 4, &p->queue),
	     "QUEUE_CREATE");
	return true;
}

static void user_serve(struct peer *p)
{
	struct kerf_server_record rec;

	for (;;) {
		must(read(p->server.fd, &rec, sizeof(rec)) == sizeof(rec), "read");
		if (rec.event == KERF_SERVER_RUN)
			must(!ks_done(&p->server, &rec, 0), "write");
	}
}

static bool sim_open(struct peer *p)
{
	p->client = kt_find(KERF_ENGINE_SIM);
	p->why = "no sim engine";
	if (p->client < 0)
		return false;
	p->engine = kt_engine(p->client, KERF_ENGINE_SIM);
	must(!kt_queue_create(p->client, p->engine, KERF_PRIORITY_NORMAL, 4, &p->queue),
	     "QUEUE_CREATE");
	return true;
}

static void kerf_round(struct peer *p)
{
	struct drm_kerf_job job = {0};
	uint64_t seqno;
	int status;

	must(!kt_submit(p->client, p->queue, &job, 1, &seqno), "SUBMIT");
	must(!kt_wait(p->client, p->queue, seqno, -1, &status) && !status, "QUEUE_WAIT");
}

/* --- ublk: a device of one queue and one tag, through io_uring without a library --- */

struct ring {
	int fd;
	struct io_uring_params params;
	void *sq, *cq;
	char *sqes;
};

static void ring_open(struct ring *r)
{
	struct io_uring_params *p = &r->params;

	memset(r, 0, sizeof(*r));
	p->flags = IORING_SETUP_SQE128;
	r->fd = (int)syscall(__NR_io_uring_setup, 4, p);
	must(r->fd >= 0, "io_uring_setup");
	r->sq = mmap(NULL, p->sq_off.array + p->sq_entries * 4, PROT_READ | PROT_WRITE, MAP_SHARED,
		     r->fd, IORING_OFF_SQ_RING);
	r->cq = mmap(NULL, p->cq_off.cqes + p->cq_entries * sizeof(struct io_uring_cqe),
		     PROT_READ | PROT_WRITE, MAP_SHARED, r->fd, IORING_OFF_CQ_RING);
	r->sqes = mmap(NULL, p->sq_entries * 128, PROT_READ | PROT_WRITE, MAP_SHARED, r->fd,
		       IORING_OFF_SQES);
	must(r->sq != MAP_FAILED && r->cq != MAP_FAILED && r->sqes != MAP_FAILED, "io_uring mmap");
}

static unsigned *ring_word(void *base, unsigned offset)
{
	return (unsigned *)((char *)base + offset);
}

/* Sends one command to a file and waits for one completion: its result. */
static int ring_call(struct ring *r, int fd, unsigned op, const void *cmd, size_t size)
{
	unsigned *tail = ring_word(r->sq, r->params.sq_off.tail);
	unsigned *head = ring_word(r->cq, r->params.cq_off.head);
	unsigned i = *tail & *ring_word(r->sq, r->params.sq_off.ring_mask);
	struct io_uring_sqe *sqe = (struct io_uring_sqe *)(r->sqes + i * 128);
	const struct io_uring_cqe *cqe;

	memset(sqe, 0, 128);
	sqe->opcode = IORING_OP_URING_CMD;
	sqe->fd = fd;
	sqe->cmd_op = op;
	memcpy((char *)sqe + 48, cmd, size);
	ring_word(r->sq, r->params.sq_off.array)[i] = i;
	__atomic_store_n(tail, *tail + 1, __ATOMIC_RELEASE);
	must(syscall(__NR_io_uring_enter, r->fd, 1, 1, IORING_ENTER_GETEVENTS, NULL, 0) >= 0,
	     "io_uring_enter");
	while (__atomic_load_n(ring_word(r->cq, r->params.cq_off.tail), __ATOMIC_ACQUIRE) == *head)
		must(syscall(__NR_io_uring_enter, r->fd, 0, 1, IORING_ENTER_GETEVENTS, NULL, 0) >=
			     0,
		     "io_uring_enter");
	cqe = (struct io_uring_cqe *)((char *)r->cq + r->params.cq_off.cqes) +
	      (*head & *ring_word(r->cq, r->params.cq_off.ring_mask));
	i = (unsigned)cqe->res;
	__atomic_store_n(head, *head + 1, __ATOMIC_RELEASE);
	return (int)i;
}

static struct ring ublk_ring;
static int ublk_control, ublk_id = -1;

static int ublk_ctrl(unsigned op, void *buf, size_t len, uint64_t data)
{
	struct ublksrv_ctrl_cmd cmd = {.dev_id = (uint32_t)ublk_id,
				       .queue_id = UINT16_MAX,
				       .len = (uint16_t)len,
				       .addr = (uintptr_t)buf,
				       .data = {data}};

	return ring_call(&ublk_ring, ublk_control, op, &cmd, sizeof(cmd));
}

static bool ublk_open(struct peer *p)
{
	struct ublksrv_ctrl_dev_info info = {.nr_hw_queues = 1,
					     .queue_depth = 1,
					     .max_io_buf_bytes = 4096,
					     .dev_id = UINT32_MAX,
					     .ublksrv_pid = getpid()};
	struct ublk_params params = {.len = sizeof(params),
				     .types = UBLK_PARAM_TYPE_BASIC,
				     .basic = {.logical_bs_shift = 9,
					       .physical_bs_shift = 12,
					       .io_opt_shift = 12,
					       .io_min_shift = 9,
					       .max_sectors = 8,
					       .dev_sectors = 2048}};

	ublk_id = -1;
	p->why = "no /dev/ublk-control (module ublk_drv)";
	ublk_control = open("/dev/ublk-control", O_RDWR);
	if (ublk_control < 0)
		return false;
	ring_open(&ublk_ring);
	if (ublk_ctrl(UBLK_CMD_ADD_DEV, &info, sizeof(info), 0)) {
		p->why = "ublk: ADD_DEV is refused";
		return false;
	}
	ublk_id = (int)info.dev_id;
	must(!ublk_ctrl(UBLK_CMD_SET_PARAMS, &params, sizeof(params), 0), "ublk: SET_PARAMS");
	return true;
}

/* A device that /dev is still to show */
static int open_soon(const char *form, int flags)
{
	char path[32];
	int fd = -1;

	snprintf(path, sizeof(path), form, ublk_id);
	for (int i = 0; i < 1000 && fd < 0; i++) {
		fd = open(path, flags);
		if (fd < 0)
			usleep(1000);
	}
	must(fd >= 0, path);
	return fd;
}

static void ublk_serve(struct peer *p)
{
	static char buffer[4096] __attribute__((aligned(4096)));
	struct ublksrv_io_cmd cmd = {.addr = (uintptr_t)buffer};
	const struct ublksrv_io_desc *desc;
	unsigned op = UBLK_IO_FETCH_REQ;
	int fd = open_soon("/dev/ublkc%d", O_RDWR);
	struct ring r;

	desc = mmap(NULL, 4096, PROT_READ, MAP_SHARED | MAP_POPULATE, fd, UBLKSRV_CMD_BUF_OFFSET);
	must(desc != MAP_FAILED, "ublk: descriptors");
	ring_open(&r);
	while (ring_call(&r, fd, op, &cmd, sizeof(cmd)) == UBLK_IO_RES_OK) {
		op = UBLK_IO_COMMIT_AND_FETCH_REQ;
		cmd.result = (int)(desc->nr_sectors << 9);
	}
	_exit(0);
}

static bool ublk_ready(struct peer *p)
{
	if (ublk_ctrl(UBLK_CMD_START_DEV, NULL, 0, (uint64_t)p->child)) {
		p->why = "ublk: START_DEV is refused";
		return false;
	}
	p->client = open_soon("/dev/ublkb%d", O_RDONLY | O_DIRECT);
	return true;
}

static void ublk_round(struct peer *p)
{
	static char buffer[512] __attribute__((aligned(4096)));

	must(pread(p->client, buffer, sizeof(buffer), 0) == sizeof(buffer), "ublk: read");
}

static void ublk_close(struct peer *p)
{
	close(p->client);
	ublk_ctrl(UBLK_CMD_STOP_DEV, NULL, 0, 0);
	ublk_ctrl(UBLK_CMD_DEL_DEV, NULL, 0, 0);
}

/* --- Measuring --- */

static struct peer peers[] = {
	{.name = "eventfd ping-pong",
	 .open = eventfd_open,
	 .serve = eventfd_serve,
	 .round = eventfd_round},
	{.name = "user engine", .open = user_open, .serve = user_serve, .round = kerf_round},
	{.name = "ublk null read",
	 .open = ublk_open,
	 .serve = ublk_serve,
	 .ready = ublk_ready,
	 .round = ublk_round,
	 .close = ublk_close},
	{.name = "sim engine", .open = sim_open, .round = kerf_round},
};
#define N_PEERS (sizeof(peers) / sizeof(peers[0]))

static void pin(int cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	sched_setaffinity(0, sizeof(set), &set);
}

static void start(struct peer *p, int server_cpu)
{
	if (!p->open(p))
		return;
	if (p->serve) {
		p->child = fork();
		must(p->child >= 0, "fork");
		if (!p->child) {
			prctl(PR_SET_PDEATHSIG, SIGKILL);
			pin(server_cpu);
			p->serve(p);
		}
	}
	if (!p->ready || p->ready(p))
		p->why = NULL;
}

static void stop(struct peer *p)
{
	if (!p->why && p->close)
		p->close(p);
	if (p->child > 0) {
		kill(p->child, SIGKILL);
		waitpid(p->child, NULL, 0);
	}
	if (p->server.fd)
		close(p->server.fd);
	p->child = 0;
}

static int less(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static void measure(const char *where, int server_cpu, int rounds)
{
	for (unsigned i = 0; i < N_PEERS; i++)
		start(&peers[i], server_cpu);
	for (int run = 0; run < RUNS; run++) {
		for (unsigned i = 0; i < N_PEERS; i++) {
			int64_t begin;

			if (peers[i].why)
				continue;
			for (int n = 0; n < rounds / 10; n++)
				peers[i].round(&peers[i]);
			begin = kt_now();
			for (int n = 0; n < rounds; n++)
				peers[i].round(&peers[i]);
			peers[i].us[run] = (double)(kt_now() - begin) / rounds / 1000;
		}
	}
	printf("%s: %d runs of %d rounds\n", where, RUNS, rounds);
	for (unsigned i = 0; i < N_PEERS; i++) {
		struct peer *p = &peers[i];

		stop(p);
		if (p->why) {
			printf("  %-18s  not measured: %s\n", p->name, p->why);
			continue;
		}
		qsort(p->us, RUNS, sizeof(p->us[0]), less);
		printf("  %-18s  median %8.2f us  best %8.2f us  %5.2f x eventfd\n", p->name,
		       p->us[RUNS / 2], p->us[0], p->us[RUNS / 2] / peers[0].us[RUNS / 2]);
	}
}

int main(int argc, char **argv)
{
	static struct ktap_shared failures; /* where REQUIRE counts */
	int rounds = argc > 1 ? atoi(argv[1]) : 2000;

	ktap_shared = &failures;
	if (rounds < 10)
		return 2;
	pin(0);
	measure("both processes on one CPU", 0, rounds);
	if (sysconf(_SC_NPROCESSORS_ONLN) > 1)
		measure("each on a CPU of its own", 1, rounds);
	return 0;
}
