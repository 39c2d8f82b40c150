/* SPDX-License-Identifier: MIT */
/* The virtual device is unbound from its driver while clients have jobs, mappings and waits. */
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "kerf_server_test.h"

#define DRIVER "/sys/bus/platform/drivers/kerf-virtual/"
#define DEVICE "kerf-virtual"

static const size_t page = 4096;

static int tell_driver(const char *file, const char *device)
{
	int fd = open(file, O_WRONLY), r = 0;

	if (fd < 0)
		return -errno;
	if (write(fd, device, strlen(device)) < 0)
		r = -errno;
	close(fd);
	return r;
}

static bool bound(void)
{
	return !access(DRIVER DEVICE, F_OK);
}

/* A client of the virtual device, with what a client may have */
struct client {
	int fd;
	uint32_t queue;
	uint32_t bo;
	unsigned char *p;
};

static struct client client(void)
{
	struct client c;

	if (!bound() && tell_driver(DRIVER "bind", DEVICE))
		ktap_skip("the driver of the virtual device is not there to be told");
	c.fd = kt_open(KERF_ENGINE_SIM);
	REQUIRE_OK(kt_queue_create(c.fd, kt_engine(c.fd, KERF_ENGINE_SIM), KERF_PRIORITY_NORMAL, 16,
				   &c.queue));
	REQUIRE_OK(kt_bo_create(c.fd, page, 0, &c.bo));
	c.p = kt_bo_map(c.fd, c.bo, NULL);
	REQUIRE(c.p);
	return c;
}

/* A job of ten seconds that writes the BO, and two that wait behind it */
static void give_jobs(struct client *c)
{
	struct drm_kerf_sim_cmd cmd = {.duration_us = 10000000};
	struct drm_kerf_bo_ref ref = {.handle = c->bo, .flags = KERF_BO_REF_WRITE, .size = page};
	struct drm_kerf_job jobs[3] = {{.cmd = (uintptr_t)&cmd,
					.cmd_size = sizeof(cmd),
					.flags = KERF_JOB_EVENT,
					.cookie = 7,
					.timeout_ms = KERF_MAX_TIMEOUT_MS,
					.bos = KT_ARRAY(&ref, 1)}};

	REQUIRE_OK(kt_submit(c->fd, c->queue, jobs, 3, NULL));
}

static void unbind(void)
{
	int r = tell_driver(DRIVER "unbind", DEVICE);

	if (r == -EACCES || r == -EPERM || r == -EROFS)
		ktap_skip("may not unbind: %s", strerror(-r));
	REQUIRE_OK(r);
	EXPECT(!bound());
}

static void bind_again(void)
{
	REQUIRE_OK(tell_driver(DRIVER "bind", DEVICE));
	EXPECT(bound());
}

static void every_ioctl_says_so(void)
{
	struct client c = client();
	struct drm_kerf_device_info info;
	struct drm_kerf_bo_info bo_info = {.handle = c.bo};
	struct drm_kerf_bo_sync sync = {.handle = c.bo, .flags = KERF_SYNC_READ, .size = 1};
	struct drm_kerf_queue_state state;
	struct drm_kerf_queue_eventfd efd = {.queue_id = c.queue, .fd = -1};
	struct drm_prime_handle prime = {.handle = c.bo};
	uint32_t id;

	give_jobs(&c);
	unbind();
	EXPECT_ERR(-ENODEV, kt_device_info(c.fd, &info));
	EXPECT_ERR(-ENODEV, kt_bo_create(c.fd, page, 0, &id));
	EXPECT_ERR(-ENODEV, kt_ioctl(c.fd, DRM_IOCTL_KERF_BO_INFO, &bo_info));
	EXPECT_ERR(-ENODEV, kt_ioctl(c.fd, DRM_IOCTL_KERF_BO_SYNC, &sync));
	EXPECT_ERR(-ENODEV, kt_queue_create(c.fd, 0, KERF_PRIORITY_NORMAL, 1, &id));
	EXPECT_ERR(-ENODEV, kt_submit_sim(c.fd, c.queue, 0, NULL));
	EXPECT_ERR(-ENODEV, kt_wait(c.fd, c.queue, 1, -1, NULL));
	EXPECT_ERR(-ENODEV, kt_queue_state(c.fd, c.queue, &state));
	EXPECT_ERR(-ENODEV, kt_ioctl(c.fd, DRM_IOCTL_KERF_QUEUE_EVENTFD, &efd));
	EXPECT_ERR(-ENODEV, kt_queue_destroy(c.fd, c.queue));
	EXPECT_ERR(-ENODEV, kt_ioctl(c.fd, DRM_IOCTL_PRIME_HANDLE_TO_FD, &prime));
	EXPECT_ERR(-ENODEV, kt_bo_close(c.fd, c.bo));
	close(c.fd);
	bind_again();
}

/* What a waiting process got, from its exit status */
static int result_of(pid_t pid)
{
	int status = 0;

	REQUIRE(waitpid(pid, &status, 0) == pid);
	REQUIRE(WIFEXITED(status));
	return -WEXITSTATUS(status);
}

static void waits_end(void)
{
	struct client c = client();
	pid_t waiter, syncer;

	give_jobs(&c);
	waiter = fork();
	if (!waiter)
		_exit(-kt_wait(c.fd, c.queue, 3, -1, NULL));
	syncer = fork();
	if (!syncer) {
		struct drm_kerf_bo_sync sync = {.handle = c.bo,
						.flags = KERF_SYNC_READ,
						.size = page,
						.timeout_ns = KT_FOREVER};

		_exit(-kt_ioctl(c.fd, DRM_IOCTL_KERF_BO_SYNC, &sync));
	}
	usleep(100000);
	unbind();
	EXPECT_ERR(-ENODEV, result_of(waiter));
	EXPECT_ERR(-ENODEV, result_of(syncer));
	bind_again();
}

static void event_and_eventfd_tell(void)
{
	struct client c = client();
	struct drm_kerf_queue_eventfd efd = {.queue_id = c.queue, .fd = eventfd(0, EFD_NONBLOCK)};
	struct drm_kerf_event event;
	struct pollfd node = {.fd = c.fd, .events = POLLIN};
	uint64_t count = 0;

	REQUIRE_OK(kt_ioctl(c.fd, DRM_IOCTL_KERF_QUEUE_EVENTFD, &efd));
	give_jobs(&c);
	unbind();
	EXPECT_EQ(sizeof(count), read(efd.fd, &count, sizeof(count)));
	EXPECT(count >= 1);
	EXPECT_EQ(1, poll(&node, 1, 0));
	EXPECT_EQ(sizeof(event), read(c.fd, &event, sizeof(event)));
	EXPECT_EQ(7, event.cookie);
	EXPECT_EQ(1, event.seqno);
	EXPECT_ERR(-ENODEV, event.status);
	bind_again();
}

static void mappings_stay(void)
{
	struct client c = client();
	struct drm_prime_handle prime = {.handle = c.bo, .flags = DRM_RDWR};
	unsigned char *q;

	REQUIRE_OK(kt_ioctl(c.fd, DRM_IOCTL_PRIME_HANDLE_TO_FD, &prime));
	memset(c.p, 0x5c, page);
	give_jobs(&c);
	unbind();
	EXPECT_EQ(0x5c, c.p[page - 1]);
	close(c.fd);
	EXPECT_EQ(0x5c, c.p[0]);
	q = mmap(NULL, page, PROT_READ, MAP_SHARED, prime.fd, 0);
	REQUIRE(q != MAP_FAILED);
	EXPECT_EQ(0x5c, q[page - 1]);
	bind_again();
}

static void new_mappings_are_refused(void)
{
	struct client c = client();
	struct drm_kerf_bo_info info = {.handle = c.bo};

	REQUIRE_OK(kt_ioctl(c.fd, DRM_IOCTL_KERF_BO_INFO, &info));
	unbind();
	EXPECT(mmap(NULL, page, PROT_READ, MAP_SHARED, c.fd, info.mmap_offset) == MAP_FAILED);
	EXPECT_EQ(ENODEV, errno);
	bind_again();
}

static void a_new_device_serves(void)
{
	struct client old = client(), new;
	uint64_t seqno;
	int status = -1;

	give_jobs(&old);
	unbind();
	bind_again();
	new = client();
	EXPECT_ERR(-ENODEV, kt_submit_sim(old.fd, old.queue, 0, NULL));
	REQUIRE_OK(kt_submit_sim(new.fd, new.queue, 100, &seqno));
	EXPECT_OK(kt_wait(new.fd, new.queue, seqno, -1, &status));
	EXPECT_EQ(0, status);
}

/* A server that has a job, one whose engine waits for a successor, and one that comes later */
static void servers_are_given_up(void)
{
	struct kerf_server_register reg = ks_wait_policy("t-unplug", 1, 60000);
	struct kerf_server_register other = ks_wait_policy("t-unplug2", 1, 60000);
	struct client c = client();
	struct kerf_server_record rec;
	struct pollfd p;
	struct ks s, dead, next;
	uint32_t queue;

	ks_serve(&s, &reg);
	ks_serve(&dead, &other);
	REQUIRE_OK(kt_queue_create(c.fd, s.reg.engine, KERF_PRIORITY_NORMAL, 4, &queue));
	ks_empty_job(c.fd, queue);
	ks_expect(&s, KERF_SERVER_RUN, &rec);
	ks_close(&dead);
	unbind();
	p = (struct pollfd){.fd = s.fd, .events = POLLIN};
	EXPECT_EQ(1, poll(&p, 1, 0));
	EXPECT_EQ(POLLHUP, p.revents);
	EXPECT_ERR(-ESHUTDOWN, ks_read(&s, &rec));
	EXPECT_ERR(-ESHUTDOWN, ks_done(&s, &rec, 0));
	bind_again();
	ks_serve(&next, &reg);
	EXPECT_EQ(0, next.reg.flags);
	ks_close(&s);
	ks_close(&next);
}

/* Clients that submit, wait and close all the time, and a device that comes and goes */
static void under_load(void)
{
	enum { N_CLIENTS = 4, N_TIMES = 10 };
	pid_t pids[N_CLIENTS];

	close(client().fd);
	for (int i = 0; i < N_CLIENTS; i++) {
		pids[i] = fork();
		if (pids[i])
			continue;
		for (;;) {
			struct drm_kerf_sim_cmd cmd = {.duration_us = 100};
			uint32_t queue = 0, bo = 0;
			int fd = kt_find(KERF_ENGINE_SIM), r = fd < 0 ? -1 : 0;

			if (!r)
				r = kt_queue_create(fd, kt_engine(fd, KERF_ENGINE_SIM), 1, 64,
						    &queue);
			if (!r)
				r = kt_bo_create(fd, page, 0, &bo);
			for (int j = 0; !r && j < 200; j++) {
				struct drm_kerf_bo_ref ref = {
					.handle = bo, .flags = KERF_BO_REF_WRITE, .size = page};
				struct drm_kerf_job job = {.cmd = (uintptr_t)&cmd,
							   .cmd_size = sizeof(cmd),
							   .bos = KT_ARRAY(&ref, 1)};
				uint64_t seqno = 0;

				r = kt_submit(fd, queue, &job, 1, &seqno);
				if (r == -EAGAIN || (!r && j % 16 == 15))
					r = kt_wait(fd, queue, j ? 1 : seqno, -1, NULL);
			}
			if (fd >= 0)
				close(fd);
		}
	}
	for (int i = 0; i < N_TIMES; i++) {
		usleep(50000);
		unbind();
		bind_again();
	}
	for (int i = 0; i < N_CLIENTS; i++) {
		kill(pids[i], SIGKILL);
		waitpid(pids[i], NULL, 0);
	}
	a_new_device_serves();
}

/* The NPU's driver maps BOs for its device's DMA; a client keeps them beyond the device. */
static void npu_with_mapped_bos(void)
{
	struct drm_kerf_bo_ref ref = {.flags = KERF_BO_REF_WRITE, .size = 64 * page};
	struct drm_kerf_job job = {.bos = KT_ARRAY(&ref, 1)};
	char link[64], driver[128], device[128] = "", path[192];
	int fd = kt_open(KERF_ENGINE_NPU), status = -1;
	unsigned char *p;
	struct stat st;
	uint32_t queue;
	uint64_t seqno;

	fstat(fd, &st);
	snprintf(link, sizeof(link), "/sys/dev/char/%u:%u/device", major(st.st_rdev),
		 minor(st.st_rdev));
	snprintf(path, sizeof(path), "%s/driver", link);
	REQUIRE(realpath(path, driver) && readlink(link, device, sizeof(device) - 1) > 0);

	REQUIRE_OK(kt_queue_create(fd, kt_engine(fd, KERF_ENGINE_NPU), KERF_PRIORITY_NORMAL, 4,
				   &queue));
	REQUIRE_OK(kt_bo_create(fd, ref.size, 0, &ref.handle));
	REQUIRE_OK(kt_submit(fd, queue, &job, 1, &seqno));
	REQUIRE_OK(kt_wait(fd, queue, seqno, -1, &status));
	EXPECT_EQ(0, status);
	p = kt_bo_map(fd, ref.handle, NULL);
	REQUIRE(p);
	p[0] = 0x5d;

	snprintf(path, sizeof(path), "%s/unbind", driver);
	REQUIRE_OK(tell_driver(path, strrchr(device, '/') + 1));
	EXPECT_ERR(-ENODEV, kt_submit(fd, queue, &job, 1, NULL));
	EXPECT_EQ(0x5d, p[0]);
	munmap(p, ref.size);
	close(fd);
	snprintf(path, sizeof(path), "%s/bind", driver);
	REQUIRE_OK(tell_driver(path, strrchr(device, '/') + 1));

	fd = kt_open(KERF_ENGINE_NPU);
	REQUIRE_OK(kt_queue_create(fd, kt_engine(fd, KERF_ENGINE_NPU), KERF_PRIORITY_NORMAL, 4,
				   &queue));
	REQUIRE_OK(kt_bo_create(fd, ref.size, 0, &ref.handle));
	REQUIRE_OK(kt_submit(fd, queue, &job, 1, &seqno));
	REQUIRE_OK(kt_wait(fd, queue, seqno, -1, &status));
	EXPECT_EQ(0, status);
}

static const struct ktap_case cases[] = {
	KTAP(every_ioctl_says_so),	KTAP(waits_end),
	KTAP(event_and_eventfd_tell),	KTAP(mappings_stay),
	KTAP(new_mappings_are_refused), KTAP(a_new_device_serves),
	KTAP(servers_are_given_up),	KTAP(under_load),
	KTAP(npu_with_mapped_bos),
};

int main(int argc, char **argv)
{
	return ktap_main(cases, sizeof(cases) / sizeof(cases[0]), argc, argv);
}
