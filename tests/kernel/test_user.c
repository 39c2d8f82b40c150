// SPDX-License-Identifier: MIT
/* Engines whose server is a process: /dev/kerf-server, and what clients see of it. */
#include "kerf_server_test.h"

#define PAGE 4096u

static void *volatile nowhere = (void *)8;

/* --- REGISTER --- */

static void register_bad_name(void)
{
	static const char *const bad[] = {"", "a b", "A", "a/b", "ä"};
	struct kerf_server_register reg = ks_fail_policy("x", 1);

	for (unsigned i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		reg = ks_fail_policy(bad[i], 1);
		ks_refuse(&reg, -EINVAL);
	}
	memset(reg.name, 'a', sizeof(reg.name));
	ks_refuse(&reg, -EINVAL);
	reg = ks_fail_policy("x", 1);
	reg.name[20] = 'y';
	ks_refuse(&reg, -EINVAL);
}

static void register_bad_depth(void)
{
	struct kerf_server_register reg = ks_fail_policy("t-depth", 0);

	ks_refuse(&reg, -EINVAL);
	reg.depth = KERF_SERVER_MAX_DEPTH + 1;
	ks_refuse(&reg, -EINVAL);
}

static void register_bad_flags(void)
{
	struct kerf_server_register reg = ks_fail_policy("t-flags", 1);

	reg.flags = 1u << 31;
	ks_refuse(&reg, -EINVAL);
}

static void register_bad_recovery(void)
{
	struct kerf_server_register reg = ks_fail_policy("t-recovery", 1);

	reg.recovery = 2;
	ks_refuse(&reg, -EINVAL);
}

static void register_bad_grace(void)
{
	struct kerf_server_register reg = ks_fail_policy("t-grace", 1);

	reg.grace_ms = 1;
	ks_refuse(&reg, -EINVAL);
	reg = ks_wait_policy("t-grace", 1, 0);
	ks_refuse(&reg, -EINVAL);
	reg.grace_ms = KERF_SERVER_MAX_GRACE_MS + 1;
	ks_refuse(&reg, -EINVAL);
}

static void register_bad_timeout(void)
{
	struct kerf_server_register reg = ks_fail_policy("t-timeout", 1);

	reg.timeout_ms = 0;
	ks_refuse(&reg, -EINVAL);
	reg.timeout_ms = KERF_MAX_TIMEOUT_MS + 1;
	ks_refuse(&reg, -EINVAL);
}

static void register_bad_attempts(void)
{
	struct kerf_server_register reg = ks_fail_policy("t-attempts", 1);

	reg.max_attempts = 0;
	ks_refuse(&reg, -EINVAL);
	reg.max_attempts = KERF_SERVER_MAX_ATTEMPTS + 1;
	ks_refuse(&reg, -EINVAL);
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
	ks_refuse(&reg, -EEXIST);
}

static void register_name_of_sim(void)
{
	struct kerf_server_register reg = ks_fail_policy("sim", 1);

	kt_open(KERF_ENGINE_SIM);
	ks_refuse(&reg, -EEXIST);
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
	KTAP(no_fence_out),
	KTAP(no_fence_behind),
};

int main(int argc, char **argv)
{
	return ktap_main(cases, sizeof(cases) / sizeof(cases[0]), argc, argv);
}
