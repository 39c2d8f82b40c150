// SPDX-License-Identifier: MIT
/* Engines whose server is a process: /dev/kerf-server, and what clients see of it. */
#include <sys/prctl.h>

#include "kerf_server_test.h"

#define PAGE 4096u

static void *volatile nowhere = (void *)8;

static struct drm_prime_handle prime_import(int client, int fd, int *r)
{
	struct drm_prime_handle prime = {.fd = fd};

	*r = kt_ioctl(client, DRM_IOCTL_PRIME_FD_TO_HANDLE, &prime);
	return prime;
}

/* A job of one window */
static uint64_t window_job(int client, uint32_t queue, uint32_t handle, uint32_t flags)
{
	struct drm_kerf_bo_ref ref = {.handle = handle, .flags = flags, .size = PAGE};
	struct drm_kerf_job job = {.bos = KT_ARRAY(&ref, 1)};
	uint64_t seqno = 0;

	REQUIRE_OK(kt_submit(client, queue, &job, 1, &seqno));
	return seqno;
}

/* --- REGISTER --- */

static void refuse_register(const struct kerf_server_register *reg, int want)
{
	struct ks s;

	EXPECT_ERR(want, ks_register(&s, reg));
	close(s.fd);
}

static void register_bad_name(void)
{
	static const char *const bad[] = {"", "a b", "A", "a/b", "ä"};
	struct kerf_server_register reg = ks_fail_policy("x", 1);

	for (unsigned i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		reg = ks_fail_policy(bad[i], 1);
		refuse_register(&reg, -EINVAL);
	}
	memset(reg.name, 'a', sizeof(reg.name));
	refuse_register(&reg, -EINVAL);
	reg = ks_fail_policy("x", 1);
	reg.name[20] = 'y';
	refuse_register(&reg, -EINVAL);
}

static void register_bad_depth(void)
{
	struct kerf_server_register reg = ks_fail_policy("t-depth", 0);

	refuse_register(&reg, -EINVAL);
	reg.depth = KERF_SERVER_MAX_DEPTH + 1;
	refuse_register(&reg, -EINVAL);
}

static void register_bad_flags(void)
{
	struct kerf_server_register reg = ks_fail_policy("t-flags", 1);

	reg.flags = 1u << 31;
	refuse_register(&reg, -EINVAL);
}

static void register_bad_recovery(void)
{
	struct kerf_server_register reg = ks_fail_policy("t-recovery", 1);

	reg.recovery = 2;
	refuse_register(&reg, -EINVAL);
}

static void register_bad_grace(void)
{
	struct kerf_server_register reg = ks_fail_policy("t-grace", 1);

	reg.grace_ms = 1;
	refuse_register(&reg, -EINVAL);
	reg = ks_wait_policy("t-grace", 1, 0);
	refuse_register(&reg, -EINVAL);
	reg.grace_ms = KERF_SERVER_MAX_GRACE_MS + 1;
	refuse_register(&reg, -EINVAL);
}

static void register_bad_timeout(void)
{
	struct kerf_server_register reg = ks_fail_policy("t-timeout", 1);

	reg.timeout_ms = 0;
	refuse_register(&reg, -EINVAL);
	reg.timeout_ms = KERF_MAX_TIMEOUT_MS + 1;
	refuse_register(&reg, -EINVAL);
}

static void register_bad_attempts(void)
{
	struct kerf_server_register reg = ks_fail_policy("t-attempts", 1);

	reg.max_attempts = 0;
	refuse_register(&reg, -EINVAL);
	reg.max_attempts = KERF_SERVER_MAX_ATTEMPTS + 1;
	refuse_register(&reg, -EINVAL);
}

static void register_bad_address(void)
{
	EXPECT_ERR(-EFAULT, kt_ioctl(ks_open(), KERF_SERVER_IOCTL_REGISTER, nowhere));
}

static void register_taken_name(void)
{
	struct kerf_server_register reg = ks_fail_policy("t-taken", 1);
	struct ks s;

	ks_serve(&s, &reg);
	refuse_register(&reg, -EEXIST);
}

static void register_name_of_sim(void)
{
	struct kerf_server_register reg = ks_fail_policy("sim", 1);

	kt_open(KERF_ENGINE_SIM);
	refuse_register(&reg, -EEXIST);
}

static void register_twice(void)
{
	struct kerf_server_register reg = ks_fail_policy("t-twice", 1);
	struct ks s;

	ks_serve(&s, &reg);
	reg = ks_fail_policy("t-twice2", 1);
	EXPECT_ERR(-EBUSY, kt_ioctl(s.fd, KERF_SERVER_IOCTL_REGISTER, &reg));
}

static void register_too_many(void)
{
	struct ks s;
	int r = 0, n;

	for (n = 0; n <= KERF_MAX_ENGINES && !r; n++) {
		char name[16];
		struct kerf_server_register reg;

		snprintf(name, sizeof(name), "t-many%d", n);
		reg = ks_fail_policy(name, 1);
		r = ks_register(&s, &reg);
	}
	EXPECT_ERR(-ENOSPC, r);
}

static void before_register(void)
{
	struct kerf_server_record rec;
	struct kerf_server_done done = {0};
	struct kerf_server_get_bo get = {0};
	int fd = ks_open();
	struct pollfd p = {.fd = fd, .events = POLLIN};

	EXPECT(read(fd, &rec, sizeof(rec)) < 0 && errno == ENOTCONN);
	EXPECT(write(fd, &done, sizeof(done)) < 0 && errno == ENOTCONN);
	EXPECT_ERR(-ENOTCONN, kt_ioctl(fd, KERF_SERVER_IOCTL_GET_BO, &get));
	EXPECT(mmap(NULL, PAGE, PROT_READ, MAP_SHARED, fd, 0) == MAP_FAILED && errno == ENOTCONN);
	EXPECT_EQ(1, poll(&p, 1, 0));
	EXPECT_EQ(POLLERR, p.revents);
	EXPECT_ERR(-ENOTTY, kt_ioctl(fd, _IO('k', 0x7f), NULL));
}

static void engine_comes_and_goes(void)
{
	struct kerf_server_register reg = ks_fail_policy("t-info:0", 3);
	struct drm_kerf_engine_info info;
	struct ks s;
	int client;

	reg.caps = 0x123456789abcull;
	ks_serve(&s, &reg);
	EXPECT_EQ(0, s.reg.flags);
	EXPECT(s.reg.table_size >= 3 * sizeof(*s.slots));
	client = ks_client(&s);
	REQUIRE_OK(kt_engine_info(client, s.reg.engine, &info));
	EXPECT_EQ(KERF_ENGINE_USER, info.engine_class);
	EXPECT_EQ(0, info.flags & KERF_ENGINE_FENCES);
	EXPECT_EQ(KERF_ENGINE_READY, info.state);
	EXPECT_EQ(3, info.depth);
	EXPECT_EQ(reg.caps, info.caps);
	EXPECT(!strcmp(info.name, "t-info:0"));
	ks_close(&s);
	EXPECT_ERR(-ENOENT, kt_engine_info(client, s.reg.engine, &info));
}

/* --- Jobs --- */

static void run_and_done(void)
{
	struct kerf_server_register reg = ks_fail_policy("t-run", 2);
	const char cmd[] = "what this means is between client and server";
	struct drm_kerf_bo_ref ref = {.flags = KERF_BO_REF_READ, .offset = 100, .size = 200};
	struct drm_kerf_job job = {.cmd = (uintptr_t)cmd,
				   .cmd_size = sizeof(cmd),
				   .bos = KT_ARRAY(&ref, 1),
				   .cookie = 0xc00c1e,
				   .timeout_ms = 4321};
	const struct kerf_server_slot *slot;
	struct drm_kerf_device_info dev;
	struct kerf_server_record rec;
	uint64_t seqno = 0;
	uint32_t queue;
	struct ks s;
	int client;

	ks_serve(&s, &reg);
	client = ks_client(&s);
	queue = ks_queue(&s, client);
	REQUIRE_OK(kt_device_info(client, &dev));
	REQUIRE_OK(kt_bo_create(client, 3 * PAGE, 0, &ref.handle));
	REQUIRE_OK(kt_submit(client, queue, &job, 1, &seqno));
	ks_expect(&s, KERF_SERVER_RUN, &rec);
	REQUIRE(rec.slot < 2);
	slot = &s.slots[rec.slot];
	EXPECT_EQ(rec.generation, slot->generation);
	EXPECT_EQ(1, slot->attempt);
	EXPECT_EQ(dev.client_id, slot->client_id);
	EXPECT_EQ(seqno, slot->seqno);
	EXPECT_EQ(0xc00c1e, slot->cookie);
	EXPECT_EQ(queue, slot->queue_id);
	EXPECT_EQ(4321, slot->timeout_ms);
	EXPECT_EQ(sizeof(cmd), slot->cmd_size);
	EXPECT(!memcmp(slot->cmd, cmd, sizeof(cmd)));
	REQUIRE(slot->n_windows == 1);
	EXPECT(slot->window[0].bo_id);
	EXPECT_EQ(3 * PAGE, slot->window[0].bo_size);
	EXPECT_EQ(100, slot->window[0].offset);
	EXPECT_EQ(200, slot->window[0].size);
	EXPECT_EQ(KERF_BO_REF_READ, slot->window[0].flags);
	EXPECT_ERR(-ETIME, kt_wait(client, queue, seqno, 0, NULL));
	EXPECT_OK(ks_done(&s, &rec, 0));
	EXPECT_EQ(0, ks_result(client, queue, seqno));
}

static void largest_commands(void)
{
	struct kerf_server_register reg = ks_fail_policy("t-large", 1);
	uint8_t *cmd = malloc(KERF_MAX_CMD_SIZE);
	struct drm_kerf_job job = {.cmd = (uintptr_t)cmd, .cmd_size = KERF_MAX_CMD_SIZE};
	struct kerf_server_record rec;
	struct ks s;
	int client;

	for (unsigned i = 0; i < KERF_MAX_CMD_SIZE; i++)
		cmd[i] = (uint8_t)(i * 7 + i / 256);
	ks_serve(&s, &reg);
	client = ks_client(&s);
	REQUIRE_OK(kt_submit(client, ks_queue(&s, client), &job, 1, NULL));
	ks_expect(&s, KERF_SERVER_RUN, &rec);
	EXPECT_EQ(KERF_MAX_CMD_SIZE, s.slots[0].cmd_size);
	EXPECT(!memcmp(s.slots[0].cmd, cmd, KERF_MAX_CMD_SIZE));
}

static void several_at_once(void)
{
	struct kerf_server_register reg = ks_fail_policy("t-several", 4);
	struct kerf_server_record rec[8];
	struct kerf_server_done done[4];
	uint32_t queue[4];
	struct ks s;
	int client;

	ks_serve(&s, &reg);
	client = ks_client(&s);
	for (int i = 0; i < 4; i++) {
		queue[i] = ks_queue(&s, client);
		ks_empty_job(client, queue[i]);
		ks_empty_job(client, queue[i]);
	}
	for (int round = 0; round < 2; round++) {
		REQUIRE(read(s.fd, rec, sizeof(rec)) == 4 * sizeof(rec[0]));
		memset(done, 0, sizeof(done));
		for (int i = 0; i < 4; i++) {
			EXPECT_EQ(KERF_SERVER_RUN, rec[i].event);
			done[i].slot = rec[i].slot;
			done[i].generation = rec[i].generation;
		}
		EXPECT_EQ(sizeof(done), write(s.fd, done, sizeof(done)));
	}
	for (int i = 0; i < 4; i++)
		EXPECT_EQ(0, ks_result(client, queue[i], 2));
	EXPECT(ks_quiet(&s));
}

static int status_of(int status)
{
	struct kerf_server_register reg = ks_fail_policy("t-status", 1);
	struct kerf_server_record rec;
	uint32_t queue;
	uint64_t seqno;
	struct ks s;
	int client, result;

	ks_serve(&s, &reg);
	client = ks_client(&s);
	queue = ks_queue(&s, client);
	seqno = ks_empty_job(client, queue);
	ks_expect(&s, KERF_SERVER_RUN, &rec);
	REQUIRE_OK(ks_done(&s, &rec, status));
	result = ks_result(client, queue, seqno);
	close(client);
	ks_close(&s);
	return result;
}

static void statuses_for_clients(void)
{
	EXPECT_EQ(-EIO, status_of(-EIO));
	EXPECT_EQ(-EFAULT, status_of(-EFAULT));
	EXPECT_EQ(-EIO, status_of(-EINVAL));
	EXPECT_EQ(-EIO, status_of(-ETIME));
	EXPECT_EQ(-EIO, status_of(-EOWNERDEAD));
	EXPECT_EQ(-EIO, status_of(-4095));
}

static void failure_stops_queue(void)
{
	struct kerf_server_register reg = ks_fail_policy("t-stops", 1);
	struct drm_kerf_job job = {0};
	struct kerf_server_record rec;
	uint32_t queue, other;
	struct ks s;
	int client;

	ks_serve(&s, &reg);
	client = ks_client(&s);
	queue = ks_queue(&s, client);
	other = ks_queue(&s, client);
	ks_empty_job(client, queue);
	ks_empty_job(client, queue);
	ks_expect(&s, KERF_SERVER_RUN, &rec);
	ks_empty_job(client, other);
	EXPECT_OK(ks_done(&s, &rec, -EIO));
	EXPECT_EQ(-ECANCELED, ks_result(client, queue, 2));
	EXPECT_ERR(-ECANCELED, kt_submit(client, queue, &job, 1, NULL));
	ks_expect(&s, KERF_SERVER_RUN, &rec);
	EXPECT_OK(ks_done(&s, &rec, 0));
	EXPECT_EQ(0, ks_result(client, other, 1));
}

static void busy_time_is_bounded(void)
{
	struct kerf_server_register reg = ks_fail_policy("t-busy", 1);
	struct kerf_server_record rec;
	struct drm_kerf_queue_state state;
	int64_t start = kt_now();
	uint32_t queue;
	struct ks s;
	int client;

	ks_serve(&s, &reg);
	client = ks_client(&s);
	queue = ks_queue(&s, client);
	ks_empty_job(client, queue);
	ks_expect(&s, KERF_SERVER_RUN, &rec);
	{
		struct kerf_server_done done = {.slot = rec.slot,
						.generation = rec.generation,
						.busy_ns = UINT64_MAX};

		EXPECT_EQ(sizeof(done), write(s.fd, &done, sizeof(done)));
	}
	EXPECT_EQ(0, ks_result(client, queue, 1));
	REQUIRE_OK(kt_queue_state(client, queue, &state));
	EXPECT(state.busy_ns <= (uint64_t)(kt_now() - start));
}

/* --- read() and write() --- */

static void read_refusals(void)
{
	struct kerf_server_register reg = ks_fail_policy("t-read", 1);
	struct kerf_server_record rec;
	uint32_t queue;
	struct ks s;
	int client;

	ks_serve(&s, &reg);
	client = ks_client(&s);
	queue = ks_queue(&s, client);
	EXPECT(read(s.fd, &rec, sizeof(rec)) < 0 && errno == EAGAIN);
	ks_empty_job(client, queue);
	EXPECT(read(s.fd, &rec, sizeof(rec) - 1) < 0 && errno == EINVAL);
	EXPECT(read(s.fd, nowhere, sizeof(rec)) < 0 && errno == EFAULT);
	/* which changed nothing */
	ks_expect(&s, KERF_SERVER_RUN, &rec);
	EXPECT_OK(ks_done(&s, &rec, 0));
	EXPECT_EQ(0, ks_result(client, queue, 1));
}

static void write_refusals(void)
{
	struct kerf_server_register reg = ks_fail_policy("t-write", 1);
	struct kerf_server_done done[2] = {{0}};
	struct kerf_server_record rec;
	uint32_t queue;
	struct ks s;
	int client;

	ks_serve(&s, &reg);
	client = ks_client(&s);
	queue = ks_queue(&s, client);
	ks_empty_job(client, queue);
	ks_expect(&s, KERF_SERVER_RUN, &rec);
	done[0].generation = rec.generation;
	EXPECT(write(s.fd, done, sizeof(done[0]) - 1) < 0 && errno == EINVAL);
	EXPECT(write(s.fd, done, sizeof(done[0]) + 1) < 0 && errno == EINVAL);
	EXPECT(write(s.fd, nowhere, sizeof(done[0])) < 0 && errno == EFAULT);
	done[0].pad = 1;
	EXPECT(write(s.fd, done, sizeof(done[0])) < 0 && errno == EINVAL);
	done[0].pad = 0;
	done[0].slot = 1;
	EXPECT(write(s.fd, done, sizeof(done[0])) < 0 && errno == EINVAL);
	done[0].slot = UINT32_MAX;
	EXPECT(write(s.fd, done, sizeof(done[0])) < 0 && errno == EINVAL);
	done[0].slot = 0;
	done[0].status = 1;
	EXPECT(write(s.fd, done, sizeof(done[0])) < 0 && errno == EINVAL);
	done[0].status = -4096;
	EXPECT(write(s.fd, done, sizeof(done[0])) < 0 && errno == EINVAL);
	done[0].status = INT32_MIN;
	EXPECT(write(s.fd, done, sizeof(done[0])) < 0 && errno == EINVAL);
	EXPECT_ERR(-ETIME, kt_wait(client, queue, 1, 0, NULL));
	/* The first is taken, the second is not valid. */
	done[0].status = 0;
	done[1].slot = 1;
	EXPECT_EQ(sizeof(done[0]), write(s.fd, done, sizeof(done)));
	EXPECT_EQ(0, ks_result(client, queue, 1));
}

static void wrong_answers_ignored(void)
{
	struct kerf_server_register reg = ks_fail_policy("t-wrong", 1);
	struct kerf_server_record rec, next;
	uint32_t queue;
	struct ks s;
	int client;

	ks_serve(&s, &reg);
	client = ks_client(&s);
	queue = ks_queue(&s, client);
	ks_empty_job(client, queue);
	ks_empty_job(client, queue);
	/* Started, but the server has not read it. */
	rec = (struct kerf_server_record){.generation = 1};
	EXPECT_OK(ks_done(&s, &rec, -EIO));
	ks_expect(&s, KERF_SERVER_RUN, &rec);
	next = rec;
	next.generation++;
	EXPECT_OK(ks_done(&s, &next, -EIO));
	EXPECT_OK(ks_done(&s, &rec, 0));
	EXPECT_OK(ks_done(&s, &rec, -EIO));
	ks_expect(&s, KERF_SERVER_RUN, &next);
	EXPECT(next.generation != rec.generation);
	EXPECT_OK(ks_done(&s, &rec, -EIO));
	EXPECT_ERR(-ETIME, kt_wait(client, queue, 2, 0, NULL));
	EXPECT_OK(ks_done(&s, &next, 0));
	EXPECT_EQ(0, ks_result(client, queue, 1));
	EXPECT_EQ(0, ks_result(client, queue, 2));
}

static void table_is_read_only(void)
{
	struct kerf_server_register reg = ks_fail_policy("t-table", 1);
	struct ks s;

	ks_serve(&s, &reg);
	EXPECT(mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, s.fd, 0) == MAP_FAILED &&
	       errno == EACCES);
	EXPECT(mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE, s.fd, 0) == MAP_FAILED && errno == EINVAL);
	EXPECT(mmap(NULL, s.reg.table_size + PAGE, PROT_READ, MAP_SHARED, s.fd, 0) == MAP_FAILED &&
	       errno == EINVAL);
	EXPECT(mprotect((void *)s.slots, PAGE, PROT_READ | PROT_WRITE) < 0 && errno == EACCES);
}

/* --- BOs --- */

static void bo_for_writing(void)
{
	struct kerf_server_register reg = ks_fail_policy("t-rw", 1);
	struct kerf_server_record rec;
	uint32_t queue, handle, *ours, *theirs;
	struct ks s;
	int client, fd;

	ks_serve(&s, &reg);
	client = ks_client(&s);
	queue = ks_queue(&s, client);
	REQUIRE_OK(kt_bo_create(client, PAGE, 0, &handle));
	ours = kt_bo_map(client, handle, NULL);
	REQUIRE(ours);
	ours[7] = 41;
	window_job(client, queue, handle, KERF_BO_REF_READ | KERF_BO_REF_WRITE);
	ks_expect(&s, KERF_SERVER_RUN, &rec);
	fd = ks_get_bo(&s, &rec, 0);
	REQUIRE(fd >= 0);
	EXPECT(fcntl(fd, F_GETFD) & FD_CLOEXEC);
	theirs = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	REQUIRE(theirs != MAP_FAILED);
	theirs[7]++;
	EXPECT_OK(ks_done(&s, &rec, 0));
	EXPECT_EQ(0, ks_result(client, queue, 1));
	EXPECT_EQ(42, ours[7]);
}

static void bo_for_reading_alone(void)
{
	struct kerf_server_register reg = ks_fail_policy("t-ro", 1);
	struct kerf_server_record rec;
	uint32_t queue, handle, *ours, *theirs;
	struct ks s;
	int client, fd, r;

	ks_serve(&s, &reg);
	client = ks_client(&s);
	queue = ks_queue(&s, client);
	REQUIRE_OK(kt_bo_create(client, PAGE, 0, &handle));
	ours = kt_bo_map(client, handle, NULL);
	REQUIRE(ours);
	ours[7] = 41;
	window_job(client, queue, handle, KERF_BO_REF_READ);
	ks_expect(&s, KERF_SERVER_RUN, &rec);
	fd = ks_get_bo(&s, &rec, 0);
	REQUIRE(fd >= 0);
	EXPECT(mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0) == MAP_FAILED &&
	       errno == EACCES);
	EXPECT(mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0) == MAP_FAILED &&
	       errno == EACCES);
	theirs = mmap(NULL, PAGE, PROT_READ, MAP_SHARED, fd, 0);
	REQUIRE(theirs != MAP_FAILED);
	EXPECT_EQ(41, theirs[7]);
	EXPECT(mprotect(theirs, PAGE, PROT_READ | PROT_WRITE) < 0 && errno == EACCES);
	/* Nor by the way of a handle, whose mapping would be writable. */
	prime_import(ks_client(&s), fd, &r);
	EXPECT_ERR(-EACCES, r);
}

static void bo_outlives_the_client(void)
{
	struct kerf_server_register reg = ks_fail_policy("t-life", 1);
	struct kerf_server_record rec;
	uint32_t queue, handle;
	uint8_t *theirs;
	struct ks s;
	int client, fd;

	ks_serve(&s, &reg);
	client = ks_client(&s);
	queue = ks_queue(&s, client);
	REQUIRE_OK(kt_bo_create(client, PAGE, 0, &handle));
	window_job(client, queue, handle, KERF_BO_REF_WRITE);
	ks_expect(&s, KERF_SERVER_RUN, &rec);
	fd = ks_get_bo(&s, &rec, 0);
	REQUIRE(fd >= 0);
	theirs = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	REQUIRE(theirs != MAP_FAILED);
	close(client);
	theirs[PAGE - 1] = 1;
	EXPECT_EQ(1, theirs[PAGE - 1]);
	munmap(theirs, PAGE);
	close(fd);
	EXPECT_OK(ks_done(&s, &rec, 0));
}

static void get_bo_refusals(void)
{
	struct kerf_server_register reg = ks_fail_policy("t-getbo", 2);
	struct kerf_server_record rec;
	struct kerf_server_get_bo get;
	uint32_t queue, handle;
	struct ks s;
	int client;

	ks_serve(&s, &reg);
	client = ks_client(&s);
	queue = ks_queue(&s, client);
	REQUIRE_OK(kt_bo_create(client, PAGE, 0, &handle));
	get = (struct kerf_server_get_bo){.generation = 1};
	EXPECT_ERR(-ESTALE, kt_ioctl(s.fd, KERF_SERVER_IOCTL_GET_BO, &get));
	window_job(client, queue, handle, KERF_BO_REF_READ);
	/* It has not been read yet. */
	EXPECT_ERR(-ESTALE, kt_ioctl(s.fd, KERF_SERVER_IOCTL_GET_BO, &get));
	ks_expect(&s, KERF_SERVER_RUN, &rec);
	EXPECT_ERR(-EINVAL, ks_get_bo(&s, &rec, 1));
	EXPECT_ERR(-EINVAL, ks_get_bo(&s, &rec, UINT32_MAX));
	get = (struct kerf_server_get_bo){
		.slot = rec.slot, .generation = rec.generation, .flags = 1};
	EXPECT_ERR(-EINVAL, kt_ioctl(s.fd, KERF_SERVER_IOCTL_GET_BO, &get));
	get.flags = 0;
	get.pad = 1;
	EXPECT_ERR(-EINVAL, kt_ioctl(s.fd, KERF_SERVER_IOCTL_GET_BO, &get));
	get.pad = 0;
	get.slot = 2;
	EXPECT_ERR(-EINVAL, kt_ioctl(s.fd, KERF_SERVER_IOCTL_GET_BO, &get));
	get.slot = rec.slot;
	get.generation++;
	EXPECT_ERR(-ESTALE, kt_ioctl(s.fd, KERF_SERVER_IOCTL_GET_BO, &get));
	EXPECT_ERR(-EFAULT, kt_ioctl(s.fd, KERF_SERVER_IOCTL_GET_BO, nowhere));
}

static void get_bo_after_done(void)
{
	struct kerf_server_register reg = ks_fail_policy("t-late", 1);
	struct kerf_server_record rec;
	uint32_t queue, handle;
	struct ks s;
	int client;

	ks_serve(&s, &reg);
	client = ks_client(&s);
	queue = ks_queue(&s, client);
	REQUIRE_OK(kt_bo_create(client, PAGE, 0, &handle));
	window_job(client, queue, handle, KERF_BO_REF_READ);
	ks_expect(&s, KERF_SERVER_RUN, &rec);
	EXPECT_OK(ks_done(&s, &rec, 0));
	EXPECT_ERR(-ESTALE, ks_get_bo(&s, &rec, 0));
}

static void gone_bo_is_told(void)
{
	struct kerf_server_register reg = ks_fail_policy("t-gone", 1);
	struct kerf_server_record run, rec;
	uint32_t queue, handle;
	uint64_t id;
	struct ks s;
	int client;

	ks_serve(&s, &reg);
	client = ks_client(&s);
	queue = ks_queue(&s, client);
	REQUIRE_OK(kt_bo_create(client, PAGE, 0, &handle));
	window_job(client, queue, handle, KERF_BO_REF_READ);
	ks_expect(&s, KERF_SERVER_RUN, &run);
	id = s.slots[run.slot].window[0].bo_id;
	close(ks_get_bo(&s, &run, 0));
	close(ks_get_bo(&s, &run, 0));
	EXPECT(ks_quiet(&s));
	REQUIRE_OK(kt_bo_close(client, handle));
	/* What was not told stays. */
	EXPECT(read(s.fd, nowhere, sizeof(rec)) < 0 && errno == EFAULT);
	ks_expect(&s, KERF_SERVER_BO_GONE, &rec);
	EXPECT_EQ(id, rec.bo_id);
	EXPECT(ks_quiet(&s));
	/* The job goes on; what it asks for now is gone at once. */
	close(ks_get_bo(&s, &run, 0));
	ks_expect(&s, KERF_SERVER_BO_GONE, &rec);
	EXPECT_EQ(id, rec.bo_id);
	EXPECT_OK(ks_done(&s, &run, 0));
	EXPECT_EQ(0, ks_result(client, queue, 1));
}

static void same_bo_same_id(void)
{
	struct kerf_server_register reg = ks_fail_policy("t-id", 1);
	struct kerf_server_record rec;
	uint32_t queue, handle, other;
	uint64_t id[3];
	struct ks s;
	int client;

	ks_serve(&s, &reg);
	client = ks_client(&s);
	queue = ks_queue(&s, client);
	REQUIRE_OK(kt_bo_create(client, PAGE, 0, &handle));
	REQUIRE_OK(kt_bo_create(client, PAGE, 0, &other));
	window_job(client, queue, handle, KERF_BO_REF_READ);
	window_job(client, queue, handle, KERF_BO_REF_WRITE);
	window_job(client, queue, other, KERF_BO_REF_READ);
	for (int i = 0; i < 3; i++) {
		ks_expect(&s, KERF_SERVER_RUN, &rec);
		id[i] = s.slots[rec.slot].window[0].bo_id;
		EXPECT_OK(ks_done(&s, &rec, 0));
	}
	EXPECT_EQ(id[0], id[1]);
	EXPECT(id[0] != id[2]);
}

/* --- Death and successors --- */

static void death_fails_jobs(void)
{
	struct kerf_server_register reg = ks_fail_policy("t-death", 1);
	struct drm_kerf_job job = {0};
	struct kerf_server_record rec;
	uint32_t running, waiting;
	struct ks s;
	int client;

	ks_serve(&s, &reg);
	client = ks_client(&s);
	running = ks_queue(&s, client);
	waiting = ks_queue(&s, client);
	ks_empty_job(client, running);
	ks_expect(&s, KERF_SERVER_RUN, &rec);
	ks_empty_job(client, waiting);
	ks_close(&s);
	EXPECT_EQ(-EOWNERDEAD, ks_result(client, running, 1));
	EXPECT_EQ(-EOWNERDEAD, ks_result(client, waiting, 1));
	EXPECT_ERR(-ECANCELED, kt_submit(client, running, &job, 1, NULL));
}

static void death_leaves_idle_queues(void)
{
	struct kerf_server_register reg = ks_fail_policy("t-idle", 1);
	struct drm_kerf_job job = {0};
	uint32_t queue;
	struct ks s;
	int client;

	ks_serve(&s, &reg);
	client = ks_client(&s);
	queue = ks_queue(&s, client);
	ks_close(&s);
	EXPECT_ERR(-EIO, kt_submit(client, queue, &job, 1, NULL));
	EXPECT_OK(kt_queue_destroy(client, queue));
}

/* A server in a process of its own that reads one job, then does as told. */
static pid_t fork_server(const struct kerf_server_register *reg, struct ks *view, bool answer)
{
	struct kerf_server_record rec;
	int ready[2];
	pid_t pid;

	REQUIRE(!pipe(ready));
	pid = fork();
	REQUIRE(pid >= 0);
	if (!pid) {
		struct ks s;

		prctl(PR_SET_PDEATHSIG, SIGKILL);
		ks_serve(&s, reg);
		REQUIRE(write(ready[1], &s.reg, sizeof(s.reg)) == sizeof(s.reg));
		while (ks_read(&s, &rec) == -EAGAIN)
			;
		if (answer)
			REQUIRE_OK(ks_done(&s, &rec, 0));
		REQUIRE(write(ready[1], &s.reg, 1) == 1);
		for (;;)
			pause();
	}
	close(ready[1]);
	memset(view, 0, sizeof(*view));
	view->fd = ready[0];
	REQUIRE(read(ready[0], &view->reg, sizeof(view->reg)) == sizeof(view->reg));
	return pid;
}

/* Once the forked server has read its job (and answered) */
static void kill_server(pid_t pid, const struct ks *view)
{
	char c;

	REQUIRE(read(view->fd, &c, 1) == 1);
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
}

static void killed_while_running(void)
{
	struct kerf_server_register reg = ks_fail_policy("t-killrun", 1);
	struct ks view;
	pid_t pid = fork_server(&reg, &view, false);
	int client = ks_client(&view);
	uint32_t queue = ks_queue(&view, client);

	ks_empty_job(client, queue);
	kill_server(pid, &view);
	EXPECT_EQ(-EOWNERDEAD, ks_result(client, queue, 1));
}

static void killed_after_done(void)
{
	struct kerf_server_register reg = ks_fail_policy("t-killdone", 1);
	struct ks view;
	pid_t pid = fork_server(&reg, &view, true);
	int client = ks_client(&view);
	uint32_t queue = ks_queue(&view, client);

	ks_empty_job(client, queue);
	kill_server(pid, &view);
	EXPECT_EQ(0, ks_result(client, queue, 1));
}

static void killed_with_jobs_queued(void)
{
	struct kerf_server_register reg = ks_fail_policy("t-killq", 1);
	struct ks view;
	pid_t pid = fork_server(&reg, &view, false);
	int client = ks_client(&view);
	uint32_t queue = ks_queue(&view, client), other = ks_queue(&view, client);

	ks_empty_job(client, queue);
	for (int i = 0; i < 10; i++)
		ks_empty_job(client, other);
	kill_server(pid, &view);
	/* The engine went: that is why none of them ran. */
	EXPECT_EQ(-EOWNERDEAD, ks_result(client, other, 1));
	EXPECT_EQ(-EOWNERDEAD, ks_result(client, other, 10));
}

static void duplicate_keeps_alive(void)
{
	struct kerf_server_register reg = ks_fail_policy("t-dup", 1);
	struct kerf_server_record rec;
	uint32_t queue;
	struct ks s;
	int client, copy;

	ks_serve(&s, &reg);
	client = ks_client(&s);
	queue = ks_queue(&s, client);
	copy = dup(s.fd);
	ks_close(&s);
	s.fd = copy;
	ks_empty_job(client, queue);
	ks_expect(&s, KERF_SERVER_RUN, &rec);
	EXPECT_OK(ks_done(&s, &rec, 0));
	EXPECT_EQ(0, ks_result(client, queue, 1));
	ks_empty_job(client, queue);
	close(copy);
	EXPECT_EQ(-EOWNERDEAD, ks_result(client, queue, 2));
}

static void successor_runs_again(void)
{
	struct kerf_server_register reg = ks_wait_policy("t-succ", 2, 20000);
	struct drm_kerf_engine_info info;
	struct kerf_server_record rec;
	uint32_t queue, other;
	struct ks s, next;
	int client;

	ks_serve(&s, &reg);
	client = ks_client(&s);
	queue = ks_queue(&s, client);
	other = ks_queue(&s, client);
	ks_empty_job(client, queue);
	ks_expect(&s, KERF_SERVER_RUN, &rec);
	ks_close(&s);
	REQUIRE_OK(kt_engine_info(client, s.reg.engine, &info));
	EXPECT_EQ(KERF_ENGINE_WAITING, info.state);
	ks_empty_job(client, other);

	ks_serve(&next, &reg);
	EXPECT_EQ(KERF_SERVER_SUCCESSOR, next.reg.flags);
	EXPECT_EQ(s.reg.engine, next.reg.engine);
	REQUIRE_OK(kt_engine_info(client, s.reg.engine, &info));
	EXPECT_EQ(KERF_ENGINE_READY, info.state);
	for (int i = 0; i < 2; i++) {
		const struct kerf_server_slot *slot;

		ks_expect(&next, KERF_SERVER_RUN, &rec);
		slot = &next.slots[rec.slot];
		EXPECT_EQ(slot->queue_id == queue ? 2 : 1, slot->attempt);
		EXPECT_OK(ks_done(&next, &rec, 0));
	}
	EXPECT(ks_quiet(&next));
	EXPECT_EQ(0, ks_result(client, queue, 1));
	EXPECT_EQ(0, ks_result(client, other, 1));
}

static void successor_after_done_has_nothing(void)
{
	struct kerf_server_register reg = ks_wait_policy("t-nothing", 1, 20000);
	struct kerf_server_record rec;
	uint32_t queue;
	struct ks s, next;
	int client;

	ks_serve(&s, &reg);
	client = ks_client(&s);
	queue = ks_queue(&s, client);
	ks_empty_job(client, queue);
	ks_expect(&s, KERF_SERVER_RUN, &rec);
	EXPECT_OK(ks_done(&s, &rec, 0));
	ks_close(&s);
	ks_serve(&next, &reg);
	EXPECT(ks_quiet(&next));
	EXPECT_EQ(0, ks_result(client, queue, 1));
}

static void successor_of_another_user(void)
{
	struct kerf_server_register reg = ks_wait_policy("t-uid", 1, 20000);
	struct ks s;
	int fd;

	ks_serve(&s, &reg);
	ks_close(&s);
	fd = ks_open();
	REQUIRE(!seteuid(65534));
	EXPECT_ERR(-EPERM, kt_ioctl(fd, KERF_SERVER_IOCTL_REGISTER, &reg));
	REQUIRE(!seteuid(0));
	EXPECT_OK(kt_ioctl(fd, KERF_SERVER_IOCTL_REGISTER, &reg));
}

static void successor_must_be_alike(void)
{
	struct kerf_server_register reg = ks_wait_policy("t-alike", 2, 20000);
	struct ks s;

	ks_serve(&s, &reg);
	ks_close(&s);
	reg.depth = 1;
	refuse_register(&reg, -EINVAL);
	reg.depth = 2;
	reg.caps = 1;
	refuse_register(&reg, -EINVAL);
	reg.caps = 0;
	ks_serve(&s, &reg);
	EXPECT_EQ(KERF_SERVER_SUCCESSOR, s.reg.flags);
}

static void attempts_are_capped(void)
{
	struct kerf_server_register reg = ks_wait_policy("t-cap", 1, 20000);
	struct kerf_server_record rec;
	uint32_t queue, innocent;
	struct ks s;
	int client;

	reg.max_attempts = 2;
	ks_serve(&s, &reg);
	client = ks_client(&s);
	queue = ks_queue(&s, client);
	innocent = ks_queue(&s, client);
	ks_empty_job(client, queue);
	for (unsigned attempt = 1; attempt <= 2; attempt++) {
		if (attempt > 1)
			ks_serve(&s, &reg);
		ks_expect(&s, KERF_SERVER_RUN, &rec);
		EXPECT_EQ(queue, s.slots[0].queue_id);
		EXPECT_EQ(attempt, s.slots[0].attempt);
		ks_close(&s);
	}
	EXPECT_EQ(-EOWNERDEAD, ks_result(client, queue, 1));
	ks_empty_job(client, innocent);
	ks_serve(&s, &reg);
	ks_expect(&s, KERF_SERVER_RUN, &rec);
	EXPECT_EQ(innocent, s.slots[0].queue_id);
	EXPECT_OK(ks_done(&s, &rec, 0));
	EXPECT_EQ(0, ks_result(client, innocent, 1));
}

static void grace_expires(void)
{
	struct kerf_server_register reg = ks_wait_policy("t-expire", 1, 50);
	struct drm_kerf_engine_info info;
	struct kerf_server_record rec;
	uint32_t queue, other;
	struct ks s;
	int client;

	ks_serve(&s, &reg);
	client = ks_client(&s);
	queue = ks_queue(&s, client);
	other = ks_queue(&s, client);
	ks_empty_job(client, queue);
	ks_expect(&s, KERF_SERVER_RUN, &rec);
	ks_empty_job(client, other);
	ks_close(&s);
	EXPECT_EQ(-EOWNERDEAD, ks_result(client, queue, 1));
	EXPECT_EQ(-EOWNERDEAD, ks_result(client, other, 1));
	while (!kt_engine_info(client, s.reg.engine, &info))
		usleep(1000);
	/* The name is free again. */
	ks_serve(&s, &reg);
	EXPECT_EQ(0, s.reg.flags);
}

/* --- Clients that go, jobs that last --- */

static void killed_client_is_told(void)
{
	struct kerf_server_register reg = ks_fail_policy("t-client", 1);
	struct kerf_server_record run, rec;
	uint32_t queue;
	struct ks s;
	int client, ready[2];
	pid_t pid;
	char c = 0;

	ks_serve(&s, &reg);
	REQUIRE(!pipe(ready));
	pid = fork();
	REQUIRE(pid >= 0);
	if (!pid) {
		client = ks_client(&s);
		ks_empty_job(client, ks_queue(&s, client));
		REQUIRE(write(ready[1], &c, 1) == 1);
		for (;;)
			pause();
	}
	REQUIRE(read(ready[0], &c, 1) == 1);
	ks_expect(&s, KERF_SERVER_RUN, &run);
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	ks_expect(&s, KERF_SERVER_CANCEL, &rec);
	EXPECT_EQ(run.slot, rec.slot);
	EXPECT_EQ(run.generation, rec.generation);
	EXPECT_OK(ks_done(&s, &run, -EIO));
	client = ks_client(&s);
	queue = ks_queue(&s, client);
	ks_empty_job(client, queue);
	ks_expect(&s, KERF_SERVER_RUN, &run);
	EXPECT_OK(ks_done(&s, &run, 0));
	EXPECT_EQ(0, ks_result(client, queue, 1));
}

static void destroyed_queue_is_told(void)
{
	struct kerf_server_register reg = ks_fail_policy("t-destroy", 1);
	struct kerf_server_record run, rec;
	uint32_t queue;
	struct ks s;
	int client;

	ks_serve(&s, &reg);
	client = ks_client(&s);
	queue = ks_queue(&s, client);
	ks_empty_job(client, queue);
	REQUIRE_OK(kt_queue_destroy(client, queue));
	/* Also when it has not read the job yet. */
	ks_expect(&s, KERF_SERVER_RUN, &run);
	ks_expect(&s, KERF_SERVER_CANCEL, &rec);
	EXPECT_EQ(run.generation, rec.generation);
	EXPECT_OK(ks_done(&s, &run, 0));
	EXPECT(ks_quiet(&s));
}

static void timeout_holds_the_slot(void)
{
	struct kerf_server_register reg = ks_fail_policy("t-time", 2);
	struct drm_kerf_job job = {.timeout_ms = 30};
	struct kerf_server_record run, rec, other_run;
	uint32_t queue, other;
	struct ks s;
	int client;

	ks_serve(&s, &reg);
	client = ks_client(&s);
	queue = ks_queue(&s, client);
	other = ks_queue(&s, client);
	REQUIRE_OK(kt_submit(client, queue, &job, 1, NULL));
	ks_expect(&s, KERF_SERVER_RUN, &run);
	EXPECT_EQ(-ETIME, ks_result(client, queue, 1));
	ks_expect(&s, KERF_SERVER_CANCEL, &rec);
	EXPECT_EQ(run.slot, rec.slot);
	EXPECT_EQ(run.generation, rec.generation);
	EXPECT_ERR(-ESTALE, ks_get_bo(&s, &run, 0));
	/* The other slot serves all. */
	for (uint64_t seqno = 1; seqno <= 3; seqno++) {
		ks_empty_job(client, other);
		ks_expect(&s, KERF_SERVER_RUN, &other_run);
		EXPECT(other_run.slot != run.slot);
		EXPECT_OK(ks_done(&s, &other_run, 0));
		EXPECT_EQ(0, ks_result(client, other, seqno));
	}
	/* The late answer ends nothing but the wait for it. */
	EXPECT_OK(ks_done(&s, &run, 0));
	EXPECT_EQ(-ETIME, ks_result(client, queue, 1));
	queue = ks_queue(&s, client);
	ks_empty_job(client, queue);
	ks_empty_job(client, other);
	ks_expect(&s, KERF_SERVER_RUN, &run);
	ks_expect(&s, KERF_SERVER_RUN, &other_run);
	EXPECT(run.slot != other_run.slot);
}

static void timeout_of_a_job_not_read(void)
{
	struct kerf_server_register reg = ks_fail_policy("t-unread", 1);
	struct drm_kerf_job job = {.timeout_ms = 30};
	struct kerf_server_record rec;
	uint32_t queue, other;
	struct ks s;
	int client;

	ks_serve(&s, &reg);
	client = ks_client(&s);
	queue = ks_queue(&s, client);
	other = ks_queue(&s, client);
	REQUIRE_OK(kt_submit(client, queue, &job, 1, NULL));
	EXPECT_EQ(-ETIME, ks_result(client, queue, 1));
	EXPECT(ks_quiet(&s));
	/* Its slot was never the server's. */
	ks_empty_job(client, other);
	ks_expect(&s, KERF_SERVER_RUN, &rec);
	EXPECT_OK(ks_done(&s, &rec, 0));
	EXPECT_EQ(0, ks_result(client, other, 1));
}

static void stuck_server_is_given_up(void)
{
	struct kerf_server_register reg = ks_fail_policy("t-stuck", 1);
	struct drm_kerf_job job = {.timeout_ms = 30};
	struct kerf_server_record rec;
	struct pollfd p;
	uint32_t queue, other;
	struct ks s;
	int client;

	ks_serve(&s, &reg);
	client = ks_client(&s);
	queue = ks_queue(&s, client);
	other = ks_queue(&s, client);
	REQUIRE_OK(kt_submit(client, queue, &job, 1, NULL));
	ks_expect(&s, KERF_SERVER_RUN, &rec);
	ks_empty_job(client, other);
	EXPECT_EQ(-ETIME, ks_result(client, queue, 1));
	EXPECT_EQ(-EOWNERDEAD, ks_result(client, other, 1));
	EXPECT_ERR(-ESHUTDOWN, ks_done(&s, &rec, 0));
	EXPECT_ERR(-ESHUTDOWN, ks_read(&s, &rec));
	EXPECT_ERR(-ESHUTDOWN, ks_get_bo(&s, &rec, 0));
	p = (struct pollfd){.fd = s.fd, .events = POLLIN};
	EXPECT_EQ(1, poll(&p, 1, 0));
	EXPECT_EQ(POLLHUP, p.revents);
	EXPECT_ERR(-EBUSY, kt_ioctl(s.fd, KERF_SERVER_IOCTL_REGISTER, &reg));
}

static void successor_of_a_stuck_server(void)
{
	struct kerf_server_register reg = ks_wait_policy("t-stucksucc", 1, 20000);
	struct drm_kerf_job job = {.timeout_ms = 30};
	struct kerf_server_record rec;
	uint32_t queue, other;
	struct ks s, next;
	int client;

	ks_serve(&s, &reg);
	client = ks_client(&s);
	queue = ks_queue(&s, client);
	other = ks_queue(&s, client);
	REQUIRE_OK(kt_submit(client, queue, &job, 1, NULL));
	ks_expect(&s, KERF_SERVER_RUN, &rec);
	ks_empty_job(client, other);
	EXPECT_EQ(-ETIME, ks_result(client, queue, 1));
	while (ks_read(&s, &rec) != -ESHUTDOWN)
		;
	ks_serve(&next, &reg);
	ks_expect(&next, KERF_SERVER_RUN, &rec);
	EXPECT_OK(ks_done(&next, &rec, 0));
	EXPECT_EQ(0, ks_result(client, other, 1));
}

/* --- Fences --- */

static int submit_signal(int client, uint32_t queue, const struct drm_kerf_sync *wait)
{
	struct drm_syncobj_create obj = {0};
	struct drm_kerf_sync syncs[2];
	struct drm_kerf_job job = {0};
	uint32_t n = 0;

	REQUIRE_OK(kt_ioctl(client, DRM_IOCTL_SYNCOBJ_CREATE, &obj));
	if (wait)
		syncs[n++] = *wait;
	syncs[n++] = (struct drm_kerf_sync){.type = KERF_SYNC_SIGNAL_SYNCOBJ, .handle = obj.handle};
	job.syncs = (struct drm_kerf_obj_array)KT_ARRAY(syncs, n);
	return kt_submit(client, queue, &job, 1, NULL);
}

static void no_fence_out(void)
{
	struct kerf_server_register reg = ks_fail_policy("t-fence", 1);
	struct ks s;
	int client;

	ks_serve(&s, &reg);
	client = ks_client(&s);
	EXPECT_ERR(-EOPNOTSUPP, submit_signal(client, ks_queue(&s, client), NULL));
	EXPECT(ks_quiet(&s));
}

static void no_fence_behind(void)
{
	struct kerf_server_register reg = ks_fail_policy("t-behind", 1);
	struct drm_kerf_sync wait = {.type = KERF_SYNC_WAIT_QUEUE, .point = 1};
	struct drm_kerf_job job = {0};
	struct kerf_server_record rec;
	uint32_t queue, sim;
	struct ks s;
	int client, sim_engine;

	ks_serve(&s, &reg);
	client = ks_client(&s);
	sim_engine = kt_engine(client, KERF_ENGINE_SIM);
	REQUIRE(sim_engine >= 0);
	REQUIRE_OK(kt_queue_create(client, sim_engine, KERF_PRIORITY_NORMAL, 8, &sim));
	queue = ks_queue(&s, client);
	ks_empty_job(client, queue);
	wait.handle = queue;
	EXPECT_ERR(-EOPNOTSUPP, submit_signal(client, sim, &wait));
	/* Nor a job behind one that waits for it. */
	job.syncs = (struct drm_kerf_obj_array)KT_ARRAY(&wait, 1);
	REQUIRE_OK(kt_submit(client, sim, &job, 1, NULL));
	EXPECT_ERR(-EOPNOTSUPP, submit_signal(client, sim, NULL));
	ks_expect(&s, KERF_SERVER_RUN, &rec);
	EXPECT_OK(ks_done(&s, &rec, 0));
	EXPECT_EQ(0, ks_result(client, sim, 1));
	/* Once that is done nothing indefinite is in the way. */
	EXPECT_OK(submit_signal(client, sim, NULL));
	EXPECT_EQ(0, ks_result(client, sim, 2));
}

/* --- A server that writes anything --- */

static uint32_t any(uint32_t *seed)
{
	*seed ^= *seed << 13;
	*seed ^= *seed >> 17;
	*seed ^= *seed << 5;
	return *seed;
}

static void hostile_server(void)
{
	struct kerf_server_register reg = ks_fail_policy("t-hostile", 4);
	struct drm_kerf_bo_ref ref = {.flags = KERF_BO_REF_READ, .size = PAGE};
	struct drm_kerf_job job = {.bos = KT_ARRAY(&ref, 1), .timeout_ms = 20};
	uint32_t queue[8], seed = 12345, known = 0;
	uint64_t last[8] = {0};
	struct ks s;
	int client, status;

	ks_serve(&s, &reg);
	client = ks_client(&s);
	REQUIRE_OK(kt_bo_create(client, PAGE, 0, &ref.handle));
	for (int i = 0; i < 8; i++)
		queue[i] = ks_queue(&s, client);
	for (int n = 0; n < 5000; n++) {
		struct kerf_server_done done = {.slot = any(&seed) % 5,
						.generation = known + any(&seed) % 4 - 2,
						.status = -(int)(any(&seed) % 3 * 5),
						.busy_ns = any(&seed)};
		struct kerf_server_get_bo get = {.slot = done.slot,
						 .generation = done.generation,
						 .window = any(&seed) % 2};
		struct kerf_server_record rec;
		unsigned q = any(&seed) % 8;

		switch (any(&seed) % 4) {
		case 0:
			if (kt_submit(client, queue[q], &job, 1, &last[q]) == -ECANCELED) {
				kt_queue_destroy(client, queue[q]);
				queue[q] = ks_queue(&s, client);
				last[q] = 0;
			}
			break;
		case 1:
			if (read(s.fd, &rec, sizeof(rec)) == sizeof(rec))
				known = rec.generation;
			break;
		case 2:
			if (write(s.fd, &done, sizeof(done)) < 0)
				EXPECT(errno == EINVAL || errno == ESHUTDOWN);
			break;
		case 3:
			if (!kt_ioctl(s.fd, KERF_SERVER_IOCTL_GET_BO, &get))
				close(get.fd);
			break;
		}
		if (read(s.fd, NULL, 0) < 0 && errno == ESHUTDOWN) {
			ks_close(&s);
			ks_serve(&s, &reg);
			for (int i = 0; i < 8; i++) {
				queue[i] = ks_queue(&s, client);
				last[i] = 0;
			}
		}
	}
	/* Whatever it did, every job of its clients ends. */
	ks_close(&s);
	for (int i = 0; i < 8; i++)
		if (last[i])
			EXPECT_OK(kt_wait(client, queue[i], last[i], -1, &status));
}

static const struct ktap_case cases[] = {
	KTAP(register_bad_name),
	KTAP(register_bad_depth),
	KTAP(register_bad_flags),
	KTAP(register_bad_recovery),
	KTAP(register_bad_grace),
	KTAP(register_bad_timeout),
	KTAP(register_bad_attempts),
	KTAP(register_bad_address),
	KTAP(register_taken_name),
	KTAP(register_name_of_sim),
	KTAP(register_twice),
	KTAP(register_too_many),
	KTAP(before_register),
	KTAP(engine_comes_and_goes),
	KTAP(run_and_done),
	KTAP(largest_commands),
	KTAP(several_at_once),
	KTAP(statuses_for_clients),
	KTAP(failure_stops_queue),
	KTAP(busy_time_is_bounded),
	KTAP(read_refusals),
	KTAP(write_refusals),
	KTAP(wrong_answers_ignored),
	KTAP(table_is_read_only),
	KTAP(bo_for_writing),
	KTAP(bo_for_reading_alone),
	KTAP(bo_outlives_the_client),
	KTAP(get_bo_refusals),
	KTAP(get_bo_after_done),
	KTAP(gone_bo_is_told),
	KTAP(same_bo_same_id),
	KTAP(death_fails_jobs),
	KTAP(death_leaves_idle_queues),
	KTAP(killed_while_running),
	KTAP(killed_after_done),
	KTAP(killed_with_jobs_queued),
	KTAP(duplicate_keeps_alive),
	KTAP(successor_runs_again),
	KTAP(successor_after_done_has_nothing),
	KTAP(successor_of_another_user),
	KTAP(successor_must_be_alike),
	KTAP(attempts_are_capped),
	KTAP(grace_expires),
	KTAP(killed_client_is_told),
	KTAP(destroyed_queue_is_told),
	KTAP(timeout_holds_the_slot),
	KTAP(timeout_of_a_job_not_read),
	KTAP(stuck_server_is_given_up),
	KTAP(successor_of_a_stuck_server),
	KTAP(no_fence_out),
	KTAP(no_fence_behind),
	KTAP(hostile_server),
};

int main(int argc, char **argv)
{
	return ktap_main(cases, sizeof(cases) / sizeof(cases[0]), argc, argv);
}
