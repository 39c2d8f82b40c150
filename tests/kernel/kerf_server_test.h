/* SPDX-License-Identifier: MIT */
/* What tests of user engines share: serving one, and finding its device node. */
#ifndef KERF_SERVER_TEST_H
#define KERF_SERVER_TEST_H

#include <poll.h>

#include "kerf_server.h"
#include "kerf_test.h"

/* A server: its file, what it registered and its slot table */
struct ks {
	int fd;
	struct kerf_server_register reg;
	const struct kerf_server_slot *slots;
};

static inline struct kerf_server_register ks_fail_policy(const char *name, uint32_t depth)
{
	struct kerf_server_register reg = {
		.depth = depth, .timeout_ms = 10000, .max_attempts = 3};

	snprintf(reg.name, sizeof(reg.name), "%s", name);
	return reg;
}

static inline struct kerf_server_register ks_wait_policy(const char *name, uint32_t depth,
							 uint32_t grace_ms)
{
	struct kerf_server_register reg = ks_fail_policy(name, depth);

	reg.recovery = KERF_SERVER_WAIT;
	reg.grace_ms = grace_ms;
	return reg;
}

static inline int ks_open(void)
{
	int fd = open(KERF_SERVER_NODE, O_RDWR | O_CLOEXEC | O_NONBLOCK);

	if (fd < 0 && (errno == ENOENT || errno == ENODEV))
		ktap_skip("no " KERF_SERVER_NODE);
	REQUIRE(fd >= 0);
	return fd;
}

/* 0 or a negative errno; the file is open either way */
static inline int ks_register(struct ks *s, const struct kerf_server_register *reg)
{
	int r;

	memset(s, 0, sizeof(*s));
	s->reg = *reg;
	s->fd = ks_open();
	r = kt_ioctl(s->fd, KERF_SERVER_IOCTL_REGISTER, &s->reg);
	if (r)
		return r;
	s->slots = mmap(NULL, s->reg.table_size, PROT_READ, MAP_SHARED, s->fd, 0);
	REQUIRE(s->slots != MAP_FAILED);
	return 0;
}

static inline void ks_serve(struct ks *s, const struct kerf_server_register *reg)
{
	REQUIRE_OK(ks_register(s, reg));
}

static inline void ks_refuse(const struct kerf_server_register *reg, int want)
{
	struct ks s;

	EXPECT_ERR(want, ks_register(&s, reg));
	close(s.fd);
}

/* Its death */
static inline void ks_close(struct ks *s)
{
	if (s->slots)
		munmap((void *)s->slots, s->reg.table_size);
	close(s->fd);
}

/* The node that carries its engine */
static inline int ks_client(const struct ks *s)
{
	char path[64];
	int fd;

	snprintf(path, sizeof(path), "/dev/accel/accel%u", s->reg.minor);
	fd = open(path, O_RDWR | O_CLOEXEC);
	if (fd < 0) {
		snprintf(path, sizeof(path), "/dev/dri/renderD%u", s->reg.minor);
		fd = open(path, O_RDWR | O_CLOEXEC);
	}
	REQUIRE(fd >= 0);
	return fd;
}

static inline uint32_t ks_queue(const struct ks *s, int client)
{
	uint32_t queue;

	REQUIRE_OK(kt_queue_create(client, s->reg.engine, KERF_PRIORITY_NORMAL, 64, &queue));
	return queue;
}

static inline uint64_t ks_empty_job(int client, uint32_t queue)
{
	struct drm_kerf_job job = {0};
	uint64_t seqno = 0;

	REQUIRE_OK(kt_submit(client, queue, &job, 1, &seqno));
	return seqno;
}

/* A record, waited for up to two seconds: 0, or a negative errno (-EAGAIN: none came) */
static inline int ks_read(struct ks *s, struct kerf_server_record *rec)
{
	struct pollfd p = {.fd = s->fd, .events = POLLIN};
	ssize_t n;

	memset(rec, 0, sizeof(*rec));
	poll(&p, 1, 2000);
	n = read(s->fd, rec, sizeof(*rec));
	return n < 0 ? -errno : n == sizeof(*rec) ? 0 : -EIO;
}

static inline void ks_expect(struct ks *s, uint32_t event, struct kerf_server_record *rec)
{
	REQUIRE_OK(ks_read(s, rec));
	EXPECT_EQ(event, rec->event);
	EXPECT_EQ(0, rec->pad);
}

/* Nothing is to be read. */
static inline bool ks_quiet(struct ks *s)
{
	struct kerf_server_record rec;

	return read(s->fd, &rec, sizeof(rec)) < 0 && errno == EAGAIN;
}

static inline int ks_done(struct ks *s, const struct kerf_server_record *run, int status)
{
	struct kerf_server_done done = {
		.slot = run->slot, .generation = run->generation, .status = status};
	ssize_t n = write(s->fd, &done, sizeof(done));

	return n < 0 ? -errno : n == sizeof(done) ? 0 : -EIO;
}

/* A dma-buf, or a negative errno */
static inline int ks_get_bo(struct ks *s, const struct kerf_server_record *run, uint32_t window)
{
	struct kerf_server_get_bo get = {
		.slot = run->slot, .generation = run->generation, .window = window};
	int r = kt_ioctl(s->fd, KERF_SERVER_IOCTL_GET_BO, &get);

	return r ? r : get.fd;
}

/* A job of one window of a page */
static inline uint64_t ks_window_job(int client, uint32_t queue, uint32_t handle, uint32_t flags)
{
	struct drm_kerf_bo_ref ref = {.handle = handle, .flags = flags, .size = 4096};
	struct drm_kerf_job job = {.bos = KT_ARRAY(&ref, 1)};
	uint64_t seqno = 0;

	REQUIRE_OK(kt_submit(client, queue, &job, 1, &seqno));
	return seqno;
}

/* How a job ended; a case that would wait for ever is killed by its limit. */
static inline int ks_result(int client, uint32_t queue, uint64_t seqno)
{
	int status = 1, r = kt_wait(client, queue, seqno, -1, &status);

	EXPECT_OK(r);
	return status;
}

#endif
