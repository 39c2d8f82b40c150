/* SPDX-License-Identifier: MIT */
/*
 * Every call with the 1st, 2nd, 3rd ... allocation or copy inside it made to fail.
 *
 * A case opens the node anew, prepares, arms n (fail_nth.h), calls, and goes on with n + 1 until a
 * call passes fewer than n points. A call that fails says -ENOMEM, or -EFAULT where a copy failed,
 * and has changed nothing (but for an answer that cannot be copied out: -EFAULT although the call
 * worked); one that works all the same has worked fully. What is left behind is seen by the
 * kernel's own checkers around this program.
 *
 * Skipped where the kernel injects no faults; `make uml-check` builds one that does.
 */
#include <fcntl.h>
#include <poll.h>
#include <sys/eventfd.h>

#include "fail_nth.h"
#include "kerf_server.h"
#include "kerf_test.h"

#define MAX_POINTS 2000 /* of one call; more means that it does not end */
#define BO_SIZE 65536u
#define DEPTH 8u

/* What a case works on: a fresh client with a queue and what jobs refer to */
struct fixture {
	int fd;
	uint32_t engine;
	uint32_t queue;
	uint32_t bo;
	uint32_t syncobj;
	uint32_t timeline;
	int eventfd;
	int other;  /* a second file: another client, or a server that is to register */
	int server; /* of a user engine */
	int made;   /* what the call made */
	uint64_t seqno;
	void *map;
	struct drm_kerf_queue_wait wait;
	struct kerf_server_record run;
};

struct sweep {
	int (*prepare)(struct fixture *f); /* or NULL */
	int (*call)(struct fixture *f);	   /* 0 or a negative errno */
	void (*check)(struct fixture *f);  /* after a call that worked, or NULL */
	unsigned engine_class;		   /* of the fixture's queue; 0: the sim's */
	int also;			   /* another errno that a fault may become, or 0 */
	bool cannot_fail;		   /* it has no fault point at all */
};

/* --- The fixture --- */

static char node[64]; /* of the device, so that the file can be opened again */

static void name_node(int fd)
{
	char link[32];
	ssize_t n;

	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	n = readlink(link, node, sizeof(node) - 1);
	REQUIRE(n > 0);
	node[n] = 0;
}

static int syncobj_create(int fd, uint32_t *handle)
{
	struct drm_syncobj_create create = {0};
	int r = kt_ioctl(fd, DRM_IOCTL_SYNCOBJ_CREATE, &create);

	*handle = create.handle;
	return r;
}

static int open_server(void)
{
	int fd = open(KERF_SERVER_NODE, O_RDWR | O_CLOEXEC | O_NONBLOCK);

	if (fd < 0)
		ktap_skip("no " KERF_SERVER_NODE);
	return fd;
}

static int register_server(int fd, const char *name, struct kerf_server_register *reg)
{
	*reg = (struct kerf_server_register){.depth = 2, .timeout_ms = 20000, .max_attempts = 2};
	snprintf(reg->name, sizeof(reg->name), "%s", name);
	return kt_ioctl(fd, KERF_SERVER_IOCTL_REGISTER, reg);
}

/* Engine and file: the sim, or a server of the fixture's own, so that no job of a fixture before is
 * met. */
static void open_client(struct fixture *f, unsigned engine_class)
{
	struct kerf_server_register reg;
	int index;

	f->fd = open(node, O_RDWR | O_CLOEXEC);
	REQUIRE(f->fd >= 0);
	if (engine_class == KERF_ENGINE_USER) {
		f->server = open_server();
		REQUIRE_OK(register_server(f->server, "failnth", &reg));
		f->engine = reg.engine;
		return;
	}
	index = kt_engine(f->fd, KERF_ENGINE_SIM);
	REQUIRE(index >= 0);
	f->engine = (uint32_t)index;
}

static void open_fixture(struct fixture *f, unsigned engine_class)
{
	memset(f, 0, sizeof(*f));
	f->other = f->server = f->made = -1;
	open_client(f, engine_class);
	REQUIRE_OK(kt_queue_create(f->fd, f->engine, KERF_PRIORITY_NORMAL, DEPTH, &f->queue));
	REQUIRE_OK(kt_bo_create(f->fd, BO_SIZE, 0, &f->bo));
	REQUIRE_OK(syncobj_create(f->fd, &f->syncobj));
	REQUIRE_OK(syncobj_create(f->fd, &f->timeline));
	f->eventfd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	REQUIRE(f->eventfd >= 0);
}

static void close_fixture(struct fixture *f)
{
	if (f->map)
		munmap(f->map, BO_SIZE);
	if (f->made >= 0)
		close(f->made);
	if (f->other >= 0)
		close(f->other);
	close(f->eventfd);
	if (f->fd >= 0)
		close(f->fd);
	if (f->server >= 0)
		close(f->server);
}

/* What a failed call must leave as it was */
struct traces {
	uint64_t client_bytes;
	uint64_t last_seqno;
};

static struct traces look(const struct fixture *f)
{
	struct drm_kerf_device_info info = {0};
	struct drm_kerf_queue_state state;

	if (f->fd < 0)
		return (struct traces){0};
	EXPECT_OK(kt_device_info(f->fd, &info));
	return (struct traces){
		.client_bytes = info.client_bytes,
		.last_seqno = kt_queue_state(f->fd, f->queue, &state) ? 0 : state.last_seqno,
	};
}

static void sweep(const struct sweep *s)
{
	int fail_nth = fail_nth_open();

	if (fail_nth < 0)
		ktap_skip("this kernel injects no faults");
	for (unsigned n = 1;; n++) {
		struct traces before, after;
		struct fixture f;
		bool injected;
		int r;

		open_fixture(&f, s->engine_class);
		if (s->prepare)
			REQUIRE_OK(s->prepare(&f));
		before = look(&f);
		fail_nth_arm(fail_nth, n);
		r = s->call(&f);
		injected = fail_nth_disarm(fail_nth);
		if (r && !(injected && (r == -ENOMEM || r == -EFAULT || r == s->also)))
			ktap_check(false, __LINE__, "fault %u%s: %s", n,
				   injected ? "" : " (not reached)", strerror(-r));
		if (r && r != -EFAULT) {
			after = look(&f);
			ktap_check(after.client_bytes == before.client_bytes, __LINE__,
				   "fault %u: the client has other bytes", n);
			ktap_check(after.last_seqno == before.last_seqno, __LINE__,
				   "fault %u: the queue has another job", n);
		}
		if (!r && s->check)
			s->check(&f);
		close_fixture(&f);
		if (!injected) {
			EXPECT_EQ(s->cannot_fail, n == 1);
			ktap_note("%u fault points", n - 1);
			return;
		}
		REQUIRE(n < MAX_POINTS);
	}
}

static void on_sim(struct sweep s)
{
	int fd = kt_open(KERF_ENGINE_SIM);

	name_node(fd);
	close(fd);
	sweep(&s);
}

/* --- Files and descriptions --- */

static int call_open(struct fixture *f)
{
	f->other = open(node, O_RDWR | O_CLOEXEC);
	return f->other < 0 ? -errno : 0;
}

static void open_node(void)
{
	on_sim((struct sweep){.call = call_open});
}

static int call_device_info(struct fixture *f)
{
	struct drm_kerf_device_info info = {0};

	return kt_device_info(f->fd, &info);
}

static void dev_query_device(void)
{
	on_sim((struct sweep){.call = call_device_info});
}

static int call_engine_info(struct fixture *f)
{
	struct drm_kerf_engine_info info = {0};

	return kt_engine_info(f->fd, f->engine, &info);
}

static void dev_query_engine(void)
{
	on_sim((struct sweep){.call = call_engine_info});
}

/* --- Buffer objects --- */

static uint32_t create_flags;

static int call_bo_create(struct fixture *f)
{
	uint32_t handle;

	return kt_bo_create(f->fd, BO_SIZE, create_flags, &handle);
}

static void check_bo_create(struct fixture *f)
{
	EXPECT_EQ(2 * BO_SIZE, look(f).client_bytes);
}

/* shmem says -ENOSPC when it has no memory for an inode. */
static void create(uint32_t flags)
{
	create_flags = flags;
	on_sim((struct sweep){.call = call_bo_create, .check = check_bo_create, .also = -ENOSPC});
}

static void bo_create(void)
{
	create(0);
}

static void bo_create_no_mmap(void)
{
	create(KERF_BO_NO_MMAP);
}

static void bo_create_wc(void)
{
	create(KERF_BO_WC);
}

static int call_bo_info(struct fixture *f)
{
	struct drm_kerf_bo_info info = {.handle = f->bo};

	return kt_ioctl(f->fd, DRM_IOCTL_KERF_BO_INFO, &info);
}

static void bo_info(void)
{
	on_sim((struct sweep){.call = call_bo_info});
}

static int call_bo_map(struct fixture *f)
{
	f->map = kt_bo_map(f->fd, f->bo, NULL);
	return f->map ? 0 : -errno;
}

static void bo_map(void)
{
	on_sim((struct sweep){.call = call_bo_map});
}

static int call_bo_sync(struct fixture *f)
{
	struct drm_kerf_bo_sync sync = {.handle = f->bo,
					.flags = KERF_SYNC_READ | KERF_SYNC_WRITE,
					.size = BO_SIZE,
					.timeout_ns = KT_FOREVER};
	int r = kt_ioctl(f->fd, DRM_IOCTL_KERF_BO_SYNC, &sync);

	if (r)
		return r;
	sync.flags |= KERF_SYNC_END;
	return kt_ioctl(f->fd, DRM_IOCTL_KERF_BO_SYNC, &sync);
}

static void bo_sync(void)
{
	on_sim((struct sweep){.call = call_bo_sync});
}

static int call_bo_close(struct fixture *f)
{
	return kt_bo_close(f->fd, f->bo);
}

static void check_bo_close(struct fixture *f)
{
	EXPECT_EQ(0, look(f).client_bytes);
}

static void gem_close(void)
{
	on_sim((struct sweep){.call = call_bo_close, .check = check_bo_close});
}

static int call_export(struct fixture *f)
{
	struct drm_prime_handle prime = {.handle = f->bo, .flags = DRM_CLOEXEC | DRM_RDWR};
	int r = kt_ioctl(f->fd, DRM_IOCTL_PRIME_HANDLE_TO_FD, &prime);

	if (!r)
		f->made = prime.fd;
	return r;
}

static void prime_export(void)
{
	on_sim((struct sweep){.call = call_export});
}

static int prepare_import(struct fixture *f)
{
	int r = call_export(f);

	return r ? r : call_open(f);
}

static int call_import(struct fixture *f)
{
	struct drm_prime_handle prime = {.fd = f->made};

	return kt_ioctl(f->other, DRM_IOCTL_PRIME_FD_TO_HANDLE, &prime);
}

static void prime_import(void)
{
	on_sim((struct sweep){.prepare = prepare_import, .call = call_import});
}

/* A BO of another driver: maps it, which our own do not need. */
static int prepare_foreign(struct fixture *f)
{
	struct drm_mode_create_dumb dumb = {.width = 64, .height = 64, .bpp = 32};
	struct drm_prime_handle prime = {.flags = DRM_CLOEXEC | DRM_RDWR};
	char path[32], name[16];
	int r = -ENODEV, fd;

	for (int i = 0; i < 8 && r; i++) {
		struct drm_version version = {.name = name, .name_len = sizeof(name) - 1};

		snprintf(path, sizeof(path), "/dev/dri/card%d", i);
		fd = open(path, O_RDWR | O_CLOEXEC);
		if (fd < 0)
			continue;
		memset(name, 0, sizeof(name));
		if (!kt_ioctl(fd, DRM_IOCTL_VERSION, &version) && !strcmp(name, "vgem"))
			r = kt_ioctl(fd, DRM_IOCTL_MODE_CREATE_DUMB, &dumb);
		prime.handle = dumb.handle;
		if (!r)
			r = kt_ioctl(fd, DRM_IOCTL_PRIME_HANDLE_TO_FD, &prime);
		close(fd);
	}
	if (r == -ENODEV)
		ktap_skip("no vgem to import from");
	f->made = prime.fd;
	f->other = dup(f->fd);
	return r;
}

static void prime_import_foreign(void)
{
	on_sim((struct sweep){.prepare = prepare_foreign, .call = call_import});
}

/* --- Queues --- */

static int call_queue_create(struct fixture *f)
{
	uint32_t id;

	return kt_queue_create(f->fd, f->engine, KERF_PRIORITY_LOW, DEPTH, &id);
}

static void queue_create(void)
{
	on_sim((struct sweep){.call = call_queue_create});
}

static int prepare_jobs(struct fixture *f)
{
	int r = 0;

	for (int i = 0; !r && i < 3; i++)
		r = kt_submit_sim(f->fd, f->queue, i ? 0 : 2000, &f->seqno);
	return r;
}

static int call_queue_destroy(struct fixture *f)
{
	return kt_queue_destroy(f->fd, f->queue);
}

static void queue_destroy(void)
{
	on_sim((struct sweep){.prepare = prepare_jobs, .call = call_queue_destroy});
}

static int call_queue_wait(struct fixture *f)
{
	/* The deadline is taken beforehand: what is armed is the wait alone. */
	return kt_ioctl(f->fd, DRM_IOCTL_KERF_QUEUE_WAIT, &f->wait);
}

static int prepare_queue_wait(struct fixture *f)
{
	int r = prepare_jobs(f);

	f->wait = (struct drm_kerf_queue_wait){
		.queue_id = f->queue, .seqno = f->seqno, .timeout_ns = kt_now() + 10000000000ll};
	return r;
}

static void check_queue_wait(struct fixture *f)
{
	EXPECT_EQ(0, f->wait.status);
}

static void queue_wait(void)
{
	on_sim((struct sweep){
		.prepare = prepare_queue_wait, .call = call_queue_wait, .check = check_queue_wait});
}

static int call_queue_state(struct fixture *f)
{
	struct drm_kerf_queue_state state;

	return kt_queue_state(f->fd, f->queue, &state);
}

static void queue_state(void)
{
	on_sim((struct sweep){.prepare = prepare_jobs, .call = call_queue_state});
}

static int call_queue_eventfd(struct fixture *f)
{
	struct drm_kerf_queue_eventfd arg = {.queue_id = f->queue, .fd = f->eventfd};

	return kt_ioctl(f->fd, DRM_IOCTL_KERF_QUEUE_EVENTFD, &arg);
}

static void check_queue_eventfd(struct fixture *f)
{
	struct pollfd p = {.fd = f->eventfd, .events = POLLIN};

	EXPECT_OK(kt_submit_sim(f->fd, f->queue, 0, NULL));
	EXPECT_EQ(1, poll(&p, 1, 10000));
}

static void queue_eventfd(void)
{
	on_sim((struct sweep){.call = call_queue_eventfd, .check = check_queue_eventfd});
}

/* --- Jobs --- */

static int call_submit_empty(struct fixture *f)
{
	return kt_submit_sim(f->fd, f->queue, 0, &f->seqno);
}

static void check_submit(struct fixture *f)
{
	int status = 1;

	EXPECT_OK(kt_wait(f->fd, f->queue, f->seqno, 10000, &status));
	EXPECT_EQ(0, status);
	EXPECT_EQ(f->seqno, look(f).last_seqno);
}

static void submit_empty(void)
{
	on_sim((struct sweep){.call = call_submit_empty, .check = check_submit});
}

/* Three jobs with all that a job may have */
static int submit_all(struct fixture *f, bool fence)
{
	struct drm_kerf_sim_cmd cmd = {.duration_us = 100};
	struct drm_kerf_bo_ref bos[] = {
		{.handle = f->bo, .flags = KERF_BO_REF_READ, .size = 4096},
		{.handle = f->bo, .flags = KERF_BO_REF_WRITE, .offset = 4096, .size = 4096},
	};
	struct drm_kerf_sync syncs[] = {
		{.type = KERF_SYNC_WAIT_QUEUE, .handle = f->queue, .point = f->seqno},
		{.type = KERF_SYNC_SIGNAL_SYNCOBJ, .handle = f->syncobj},
		{.type = KERF_SYNC_SIGNAL_SYNCOBJ, .handle = f->timeline, .point = 1},
	};
	struct drm_kerf_job jobs[3];

	for (int i = 0; i < 3; i++)
		jobs[i] = (struct drm_kerf_job){
			.cmd = (uintptr_t)&cmd,
			.cmd_size = sizeof(cmd),
			.flags = KERF_JOB_EVENT,
			.bos = KT_ARRAY(bos, 2),
			.syncs = KT_ARRAY(syncs, fence ? 3 : 1),
		};
	return kt_submit(f->fd, f->queue, jobs, 3, &f->seqno);
}

static int call_submit_full(struct fixture *f)
{
	return submit_all(f, true);
}

static void check_submit_full(struct fixture *f)
{
	struct drm_syncobj_wait wait = {.handles = (uintptr_t)&f->syncobj,
					.count_handles = 1,
					.timeout_nsec = kt_now() + 10000000000ll};

	check_submit(f);
	EXPECT_OK(kt_ioctl(f->fd, DRM_IOCTL_SYNCOBJ_WAIT, &wait));
}

static void submit_full(void)
{
	on_sim((struct sweep){
		.prepare = prepare_jobs, .call = call_submit_full, .check = check_submit_full});
}

/* A wait for a fence that is still to come */
static int prepare_fence_wait(struct fixture *f)
{
	int r = prepare_jobs(f);

	return r ? r : submit_all(f, true);
}

static int call_fence_wait(struct fixture *f)
{
	struct drm_kerf_sync sync = {.type = KERF_SYNC_WAIT_SYNCOBJ, .handle = f->syncobj};
	struct drm_kerf_job job = {.syncs = KT_ARRAY(&sync, 1)};

	return kt_submit(f->fd, f->queue, &job, 1, &f->seqno);
}

static void submit_fence_wait(void)
{
	on_sim((struct sweep){
		.prepare = prepare_fence_wait, .call = call_fence_wait, .check = check_submit});
}

static int prepare_event(struct fixture *f)
{
	int status, r = prepare_jobs(f);

	r = r ? r : submit_all(f, false);
	return r ? r : kt_wait(f->fd, f->queue, f->seqno, 10000, &status);
}

static int call_event(struct fixture *f)
{
	struct drm_kerf_event event;

	return read(f->fd, &event, sizeof(event)) == sizeof(event) ? 0 : -errno;
}

static void event_read(void)
{
	on_sim((struct sweep){.prepare = prepare_event, .call = call_event});
}

/* The file goes while one job runs and others wait for it. */
static int call_close(struct fixture *f)
{
	int r = close(f->fd);

	f->fd = -1;
	return r ? -errno : 0;
}

static void close_busy(void)
{
	on_sim((struct sweep){
		.prepare = prepare_fence_wait, .call = call_close, .cannot_fail = true});
}

/* --- A process as the engine --- */

static int prepare_register(struct fixture *f)
{
	f->other = open_server();
	return 0;
}

static int call_register(struct fixture *f)
{
	struct kerf_server_register reg;

	return register_server(f->other, "failnth-other", &reg);
}

static void server_register(void)
{
	close(open_server());
	on_sim((struct sweep){.prepare = prepare_register, .call = call_register});
}

/* The device of user engines is the sim's. */
static void on_server(struct sweep s)
{
	close(open_server());
	s.engine_class = KERF_ENGINE_USER;
	on_sim(s);
}

static int call_submit_user(struct fixture *f)
{
	struct drm_kerf_bo_ref bo = {
		.handle = f->bo, .flags = KERF_BO_REF_READ | KERF_BO_REF_WRITE, .size = BO_SIZE};
	char cmd[64] = "a command";
	struct drm_kerf_job job = {.cmd = (uintptr_t)cmd,
				   .cmd_size = sizeof(cmd),
				   .flags = KERF_JOB_EVENT,
				   .bos = KT_ARRAY(&bo, 1)};

	return kt_submit(f->fd, f->queue, &job, 1, &f->seqno);
}

static int call_read(struct fixture *f)
{
	ssize_t n = read(f->server, &f->run, sizeof(f->run));

	return n == sizeof(f->run) ? 0 : n < 0 ? -errno : -EIO;
}

static int call_done(struct fixture *f)
{
	struct kerf_server_done done = {.slot = f->run.slot, .generation = f->run.generation};

	return write(f->server, &done, sizeof(done)) == sizeof(done) ? 0 : -errno;
}

static void check_read(struct fixture *f)
{
	EXPECT_EQ(KERF_SERVER_RUN, f->run.event);
	EXPECT_OK(call_done(f));
	check_submit(f);
}

static void check_submit_user(struct fixture *f)
{
	struct pollfd p = {.fd = f->server, .events = POLLIN};

	REQUIRE(poll(&p, 1, 10000) == 1);
	REQUIRE_OK(call_read(f));
	check_read(f);
}

static void submit_user(void)
{
	on_server((struct sweep){.call = call_submit_user, .check = check_submit_user});
}

static void server_read(void)
{
	on_server((struct sweep){
		.prepare = call_submit_user, .call = call_read, .check = check_read});
}

static int prepare_taken(struct fixture *f)
{
	int r = call_submit_user(f);

	return r ? r : call_read(f);
}

static int call_get_bo(struct fixture *f)
{
	struct kerf_server_get_bo get = {.slot = f->run.slot, .generation = f->run.generation};
	int r = kt_ioctl(f->server, KERF_SERVER_IOCTL_GET_BO, &get);

	if (!r)
		f->made = get.fd;
	return r;
}

static void server_get_bo(void)
{
	on_server(
		(struct sweep){.prepare = prepare_taken, .call = call_get_bo, .check = check_read});
}

static void server_write_done(void)
{
	on_server(
		(struct sweep){.prepare = prepare_taken, .call = call_done, .check = check_submit});
}

int main(int argc, char **argv)
{
	static const struct ktap_case cases[] = {
		KTAP(open_node),
		KTAP(dev_query_device),
		KTAP(dev_query_engine),
		KTAP(bo_create),
		KTAP(bo_create_no_mmap),
		KTAP(bo_create_wc),
		KTAP(bo_info),
		KTAP(bo_map),
		KTAP(bo_sync),
		KTAP(gem_close),
		KTAP(prime_export),
		KTAP(prime_import),
		KTAP(prime_import_foreign),
		KTAP(queue_create),
		KTAP(queue_destroy),
		KTAP(queue_wait),
		KTAP(queue_state),
		KTAP(queue_eventfd),
		KTAP(submit_empty),
		KTAP(submit_full),
		KTAP(submit_fence_wait),
		KTAP(event_read),
		KTAP(close_busy),
		KTAP(server_register),
		KTAP(submit_user),
		KTAP(server_read),
		KTAP(server_get_bo),
		KTAP(server_write_done),
	};

	return ktap_main(cases, sizeof(cases) / sizeof(cases[0]), argc, argv);
}
