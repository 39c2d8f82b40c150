// SPDX-License-Identifier: MIT
/*
 * limit-s: 240
 *
 * The NPU as a PCI device: it sleeps between jobs, is pulled out under load, is bound and unbound;
 * and memory that clients let go while a job still uses it.
 */
#include <sys/socket.h>

#include "npu_test.h"

static struct npu npu;
static char address[32];

static void setup(void)
{
	npu = npu_open();
	npu_pci_address(&npu, address);
}

static const char *attribute(const char *name)
{
	static char path[128];

	snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/%s", address, name);
	return path;
}

static bool wait_for(const char *name, const char *value, unsigned timeout_ms)
{
	char text[32];

	for (unsigned i = 0; i <= timeout_ms; i += 5) {
		npu_sysfs_read(attribute(name), text, sizeof(text));
		if (!strcmp(text, value))
			return true;
		usleep(5000);
	}
	return false;
}

/* --- runtime PM --- */

static void sleeps_between_jobs(void)
{
	struct npu_job j = {0};

	setup();
	EXPECT_OK(npu_sysfs_write(attribute("power/control"), "auto"));
	for (int i = 0; i < 10; i++) {
		REQUIRE(wait_for("power/runtime_status", "suspended", 5000));
		EXPECT_OK(npu_run(&npu, &j));
	}
	npu_expect_sane();
	EXPECT_OK(npu_sysfs_write(attribute("power/control"), "on"));
	EXPECT(wait_for("power/runtime_status", "active", 5000));
}

static void awake_while_a_job_runs(void)
{
	struct npu_job j = {0};
	char text[32];
	int status = -1;
	uint64_t seqno;

	setup();
	EXPECT_OK(npu_sysfs_write(attribute("power/control"), "auto"));
	EXPECT_OK(npu_sysfs_write(attribute("power/autosuspend_delay_ms"), "1"));
	npu_add_delay(&j, 300000);
	REQUIRE_OK(npu_submit_to(&npu, npu.queue, &j, &seqno));
	while (kt_wait(npu.fd, npu.queue, seqno, 20, &status) == -ETIME) {
		npu_sysfs_read(attribute("power/runtime_status"), text, sizeof(text));
		/* The job may have ended since. */
		if (kt_wait(npu.fd, npu.queue, seqno, 0, &status) == -ETIME)
			EXPECT(!strcmp(text, "active"));
	}
	EXPECT_OK(status);
	EXPECT(wait_for("power/runtime_status", "suspended", 5000));
	EXPECT_OK(npu_sysfs_write(attribute("power/autosuspend_delay_ms"), "200"));
	EXPECT_OK(npu_sysfs_write(attribute("power/control"), "on"));
}

/* No pause at all before it sleeps: jobs and suspends race. */
static void sleeps_at_once(void)
{
	struct npu_bo bo;
	struct npu_job j = {0};

	setup();
	bo = npu_bo(&npu, 4096);
	npu_window_all(&j, &bo);
	npu_add_copy(&j, KERF_NPU_ADDR(0, 0), KERF_NPU_ADDR(0, 64), 4);
	EXPECT_OK(npu_sysfs_write(attribute("power/control"), "auto"));
	EXPECT_OK(npu_sysfs_write(attribute("power/autosuspend_delay_ms"), "0"));
	for (uint32_t i = 0; i < 300; i++) {
		*(uint32_t *)bo.map = i;
		if (!EXPECT_OK(npu_run(&npu, &j)))
			break;
		EXPECT_EQ(i, ((uint32_t *)bo.map)[16]);
	}
	EXPECT_OK(npu_sysfs_write(attribute("power/autosuspend_delay_ms"), "200"));
	EXPECT_OK(npu_sysfs_write(attribute("power/control"), "on"));
}

/*
 * The system sleeps while jobs wait: none is lost, and none runs twice. Asked for by
 * KERF_TEST_SLEEP alone, since all other devices sleep too, and not all wake up: virtio-9p, which
 * holds a guest's files, does not.
 */
static void system_sleep(void)
{
	struct npu_bo bo;
	struct npu_job j = {0};
	uint64_t seqno = 0;
	int status = -1;

	if (!getenv("KERF_TEST_SLEEP"))
		ktap_skip("KERF_TEST_SLEEP is not set");
	setup();
	if (access("/sys/power/pm_test", W_OK))
		ktap_skip("this kernel has no /sys/power/pm_test");
	npu_sysfs_write("/sys/module/suspend/parameters/pm_test_delay", "1");
	bo = npu_bo(&npu, 4096);
	npu_window_all(&j, &bo);
	npu_add_copy(&j, KERF_NPU_ADDR(0, 0), KERF_NPU_ADDR(0, 64), 1);
	NPU_ADD(&j, KERF_NPU_ADD,
		(struct kerf_npu_binary){
			.a = npu_tensor(KERF_NPU_ADDR(0, 64), KERF_NPU_U8, 0, 1, 1, 1, 1),
			.b = npu_tensor(KERF_NPU_ADDR(0, 128), KERF_NPU_U8, 0, 1, 1, 1, 1),
			.y = npu_tensor(KERF_NPU_ADDR(0, 0), KERF_NPU_U8, 0, 1, 1, 1, 1),
			.factor_a = npu_f32(1),
			.factor_b = npu_f32(1),
			.out = {.hi = 255}});
	npu_add_delay(&j, 50000);
	((uint8_t *)bo.map)[128] = 1;
	for (int i = 0; i < 20; i++)
		REQUIRE_OK(npu_submit_to(&npu, npu.queue, &j, &seqno));
	EXPECT_OK(npu_sysfs_write("/sys/power/pm_test", "devices"));
	EXPECT_OK(npu_sysfs_write("/sys/power/state", "freeze"));
	EXPECT_OK(npu_sysfs_write("/sys/power/pm_test", "none"));
	EXPECT_OK(kt_wait(npu.fd, npu.queue, seqno, -1, &status));
	EXPECT_OK(status);
	EXPECT_EQ(20, ((uint8_t *)bo.map)[0]);
	npu_expect_sane();
}

/* --- coming and going --- */

/* Submits and waits until the device is gone; what it is told on the way is one of few things. */
static void load(bool die_here)
{
	uint64_t seqno, first;
	struct npu_job j = {0};
	struct npu_bo bo;
	int status, r;

	npu = npu_open();
	bo = npu_bo(&npu, 65536);
	npu_window_all(&j, &bo);
	npu_add_copy(&j, KERF_NPU_ADDR(0, 0), KERF_NPU_ADDR(0, 32768), 32768);
	npu_add_delay(&j, 1000);
	for (;;) {
		r = npu_submit_to(&npu, npu.queue, &j, &first);
		for (int i = 0; !r && i < 10; i++)
			r = npu_submit_to(&npu, npu.queue, &j, &seqno);
		if (r)
			break;
		status = 0;
		r = kt_wait(npu.fd, npu.queue, first, -1, &status);
		if (r || status)
			break;
	}
	if (r)
		EXPECT_ERR(-ENODEV, r);
	else
		EXPECT_ERR(-ENODEV, status);
	EXPECT_ERR(-ENODEV, npu_submit_to(&npu, npu.queue, &j, NULL));
	EXPECT_ERR(-ENODEV, kt_bo_create(npu.fd, 4096, 0, &bo.handle));
	/* What was mapped stays mapped or faults, but does not disturb the kernel. */
	if (die_here)
		*(volatile uint8_t *)bo.map = 1;
}

static void pulled_out(const char *file, const char *text, const char *back, const char *back_text)
{
	pid_t children[4];
	int status;

	setup();
	close(npu.fd);
	for (int i = 0; i < 4; i++) {
		children[i] = fork();
		REQUIRE(children[i] >= 0);
		if (!children[i]) {
			load(i == 0);
			_exit(0);
		}
	}
	usleep(300000);
	EXPECT_OK(npu_sysfs_write(file, text));
	for (int i = 0; i < 4; i++) {
		REQUIRE(waitpid(children[i], &status, 0) == children[i]);
		/* The pages of a device that is gone: SIGBUS, or still there */
		EXPECT(status == 0 ||
		       (i == 0 && WIFSIGNALED(status) && WTERMSIG(status) == SIGBUS));
	}
	EXPECT_OK(npu_sysfs_write(back, back_text));
	npu_expect_sane();
}

static void unplug_under_load(void)
{
	char path[128];

	setup();
	close(npu.fd);
	snprintf(path, sizeof(path), "%s", attribute("remove"));
	for (int i = 0; i < 3; i++)
		pulled_out(path, "1", "/sys/bus/pci/rescan", "1");
}

static void unbind_under_load(void)
{
	setup();
	close(npu.fd);
	for (int i = 0; i < 3; i++)
		pulled_out("/sys/bus/pci/drivers/kerf-npu/unbind", address,
			   "/sys/bus/pci/drivers/kerf-npu/bind", address);
}

/* Gone while it sleeps, and while it hangs */
static void unbind_asleep(void)
{
	setup();
	EXPECT_OK(npu_sysfs_write(attribute("power/control"), "auto"));
	REQUIRE(wait_for("power/runtime_status", "suspended", 5000));
	EXPECT_OK(npu_sysfs_write("/sys/bus/pci/drivers/kerf-npu/unbind", address));
	EXPECT_ERR(-ENODEV, npu_submit_to(&npu, npu.queue, &(struct npu_job){0}, NULL));
	EXPECT_OK(npu_sysfs_write("/sys/bus/pci/drivers/kerf-npu/bind", address));
	npu_expect_sane();
	EXPECT_OK(npu_sysfs_write(attribute("power/control"), "on"));
}

static void unbind_hanging(void)
{
	struct npu_job j = {0};
	int status = 0;
	uint64_t seqno;

	setup();
	npu_fault("dead@1");
	j.job.timeout_ms = KERF_MAX_TIMEOUT_MS;
	REQUIRE_OK(npu_submit_to(&npu, npu.queue, &j, &seqno));
	npu_fault_taken();
	EXPECT_OK(npu_sysfs_write("/sys/bus/pci/drivers/kerf-npu/unbind", address));
	/* After the unplug every ioctl is -ENODEV, that which would tell the job's end too. */
	EXPECT_ERR(-ENODEV, kt_wait(npu.fd, npu.queue, seqno, -1, &status));
	EXPECT_OK(npu_sysfs_write("/sys/bus/pci/drivers/kerf-npu/bind", address));
	npu_expect_sane();
}

/* A device that does not answer is not bound, and nothing of it is left to be looked at. */
static void bind_unanswered(void)
{
	struct npu_job j = {0};
	char path[128];

	setup();
	npu_fault("wedged@1:2");
	j.job.timeout_ms = KERF_MAX_TIMEOUT_MS;
	REQUIRE_OK(npu_submit_to(&npu, npu.queue, &j, NULL));
	npu_fault_taken();
	EXPECT_OK(npu_sysfs_write("/sys/bus/pci/drivers/kerf-npu/unbind", address));
	EXPECT(npu_sysfs_write("/sys/bus/pci/drivers/kerf-npu/bind", address) < 0);
	snprintf(path, sizeof(path), "/sys/kernel/debug/kerf/%s", address);
	EXPECT(access(path, F_OK));
	EXPECT_OK(npu_sysfs_write("/sys/bus/pci/drivers/kerf-npu/bind", address));
	npu_expect_sane();
}

/* --- memory let go while a job uses it --- */

/* Fills window 0 with @value after 100 ms */
static void slow_fill(struct npu_job *j, uint32_t handle, uint8_t value)
{
	npu_window(j, handle, KERF_BO_REF_WRITE, 0, 65536);
	npu_add_delay(j, 100000);
	npu_add_fill(j, value, KERF_NPU_ADDR(0, 0), 65536);
}

static bool filled(const void *map, uint8_t value)
{
	for (int i = 0; i < 65536; i++)
		if (((const uint8_t *)map)[i] != value)
			return false;
	return true;
}

static void handle_closed_in_flight(void)
{
	struct npu_job j = {0};
	struct npu_bo bo;
	int status = -1;
	uint64_t seqno;

	setup();
	bo = npu_bo(&npu, 65536);
	slow_fill(&j, bo.handle, 0x77);
	REQUIRE_OK(npu_submit_to(&npu, npu.queue, &j, &seqno));
	REQUIRE_OK(kt_bo_close(npu.fd, bo.handle));
	EXPECT_OK(kt_wait(npu.fd, npu.queue, seqno, -1, &status));
	EXPECT_OK(status);
	EXPECT(filled(bo.map, 0x77));
}

static void unmapped_in_flight(void)
{
	struct npu_job j = {0};
	struct npu_bo bo;
	int status = -1;
	uint64_t seqno;

	setup();
	bo = npu_bo(&npu, 65536);
	slow_fill(&j, bo.handle, 0x78);
	REQUIRE_OK(npu_submit_to(&npu, npu.queue, &j, &seqno));
	REQUIRE(!munmap(bo.map, bo.size));
	EXPECT_OK(kt_wait(npu.fd, npu.queue, seqno, -1, &status));
	EXPECT_OK(status);
	bo.map = kt_bo_map(npu.fd, bo.handle, NULL);
	REQUIRE(bo.map);
	EXPECT(filled(bo.map, 0x78));
}

/* Everything is closed while the job runs; what it frees is given out again at once. */
static void client_gone_in_flight(void)
{
	setup();
	for (int i = 0; i < 20; i++) {
		struct npu other = npu_open();
		struct npu_bo bo = npu_bo(&other, 65536);
		struct npu_job j = {0};
		uint8_t *reuse;

		slow_fill(&j, bo.handle, 0x99);
		REQUIRE_OK(npu_submit_to(&other, other.queue, &j, NULL));
		usleep(i * 1000);
		munmap(bo.map, bo.size);
		close(other.fd);
		reuse = mmap(NULL, 8 << 20, PROT_READ | PROT_WRITE,
			     MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
		REQUIRE(reuse != MAP_FAILED);
		for (int k = 0; k < 8 << 20; k += 64)
			if (!EXPECT_EQ(0, reuse[k]))
				break;
		munmap(reuse, 8 << 20);
	}
	npu_expect_sane();
}

/* A BO made by one client, written by the NPU for another that got it as a dma-buf */
static void prime(void)
{
	struct npu other;
	struct npu_job j = {0};
	struct npu_bo bo;
	struct drm_prime_handle share = {.flags = DRM_CLOEXEC | DRM_RDWR}, take = {0};
	int status = -1;
	uint64_t seqno;

	setup();
	bo = npu_bo(&npu, 65536);
	share.handle = bo.handle;
	REQUIRE_OK(kt_ioctl(npu.fd, DRM_IOCTL_PRIME_HANDLE_TO_FD, &share));
	other = npu_open();
	take.fd = share.fd;
	REQUIRE_OK(kt_ioctl(other.fd, DRM_IOCTL_PRIME_FD_TO_HANDLE, &take));
	close(share.fd);
	slow_fill(&j, take.handle, 0x79);
	REQUIRE_OK(npu_submit_to(&other, other.queue, &j, &seqno));
	/* The maker goes before the job is done. */
	close(npu.fd);
	EXPECT_OK(kt_wait(other.fd, other.queue, seqno, -1, &status));
	EXPECT_OK(status);
	EXPECT(filled(bo.map, 0x79));
}

/* The dma-buf of a device that was unplugged keeps its memory. */
static void dma_buf_outlives_device(void)
{
	struct npu_bo bo;
	struct npu_job j = {0};
	struct drm_prime_handle share = {.flags = DRM_CLOEXEC | DRM_RDWR};

	setup();
	bo = npu_bo(&npu, 65536);
	slow_fill(&j, bo.handle, 0x7a);
	EXPECT_OK(npu_run(&npu, &j));
	share.handle = bo.handle;
	REQUIRE_OK(kt_ioctl(npu.fd, DRM_IOCTL_PRIME_HANDLE_TO_FD, &share));
	EXPECT_OK(npu_sysfs_write("/sys/bus/pci/drivers/kerf-npu/unbind", address));
	munmap(bo.map, bo.size);
	close(npu.fd);
	close(share.fd);
	EXPECT_OK(npu_sysfs_write("/sys/bus/pci/drivers/kerf-npu/bind", address));
	npu_expect_sane();
}

static const struct ktap_case cases[] = {
	KTAP(sleeps_between_jobs),
	KTAP(awake_while_a_job_runs),
	KTAP_SLOW(sleeps_at_once, 60),
	KTAP(system_sleep),
	KTAP_SLOW(unplug_under_load, 60),
	KTAP_SLOW(unbind_under_load, 60),
	KTAP(unbind_asleep),
	KTAP(unbind_hanging),
	KTAP(bind_unanswered),
	KTAP(handle_closed_in_flight),
	KTAP(unmapped_in_flight),
	KTAP_SLOW(client_gone_in_flight, 60),
	KTAP(prime),
	KTAP(dma_buf_outlives_device),
};

int main(int argc, char **argv)
{
	return ktap_main(cases, sizeof(cases) / sizeof(cases[0]), argc, argv);
}
