/* SPDX-License-Identifier: MIT */
/* fdinfo of an open node, by the kernel's drm-usage-stats.rst */
#include <inttypes.h>

#include "kerf_server_test.h"

/* Text of @fd's fdinfo after "@key:" and blanks, or NULL */
static const char *fdinfo(int fd, const char *key)
{
	static char line[256];
	char path[64];
	const char *found = NULL;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", fd);
	f = fopen(path, "r");
	REQUIRE(f);
	while (!found && fgets(line, sizeof(line), f))
		if (!strncmp(line, key, strlen(key)) && line[strlen(key)] == ':')
			found = line + strlen(key) + 1 + strspn(line + strlen(key) + 1, " \t");
	fclose(f);
	return found;
}

static char *sim_key(int fd, const char *form)
{
	static char key[64];
	struct drm_kerf_engine_info info = {0};

	REQUIRE_OK(kt_engine_info(fd, kt_engine(fd, KERF_ENGINE_SIM), &info));
	snprintf(key, sizeof(key), form, info.name);
	return key;
}

static uint64_t busy_ns(int fd)
{
	const char *text = fdinfo(fd, sim_key(fd, "drm-engine-%s"));
	uint64_t ns = 0;
	char unit[8] = "";

	REQUIRE(text);
	EXPECT_EQ(2, sscanf(text, "%" SCNu64 " %7s", &ns, unit));
	EXPECT(!strcmp(unit, "ns"));
	return ns;
}

static uint64_t memory_bytes(int fd)
{
	const char *text = fdinfo(fd, "drm-total-memory");
	uint64_t n = 0;
	char unit[8] = "";

	REQUIRE(text);
	EXPECT(sscanf(text, "%" SCNu64 " %7s", &n, unit) >= 1);
	return n << (!strcmp(unit, "KiB") ? 10 : !strcmp(unit, "MiB") ? 20 : 0);
}

static uint32_t queue_of(int fd)
{
	uint32_t queue;

	REQUIRE_OK(kt_queue_create(fd, kt_engine(fd, KERF_ENGINE_SIM), KERF_PRIORITY_NORMAL, 64,
				   &queue));
	return queue;
}

static void run_jobs(int fd, uint32_t queue, int n, uint32_t us)
{
	uint64_t seqno = 0;
	int status;

	for (int i = 0; i < n; i++)
		REQUIRE_OK(kt_submit_sim(fd, queue, us, &seqno));
	REQUIRE_OK(kt_wait(fd, queue, seqno, -1, &status));
	EXPECT_EQ(0, status);
}

static uint64_t queue_busy_ns(int fd, uint32_t queue)
{
	struct drm_kerf_queue_state state;

	REQUIRE_OK(kt_queue_state(fd, queue, &state));
	return state.busy_ns;
}

static void driver_and_client(void)
{
	struct drm_kerf_device_info info = {0};
	int fd = kt_open(0);
	const char *text = fdinfo(fd, "drm-driver");

	EXPECT(text && !strcmp(text, KERF_ACCEL_NAME "\n"));
	REQUIRE_OK(kt_device_info(fd, &info));
	text = fdinfo(fd, "drm-client-id");
	EXPECT(text && strtoull(text, NULL, 10) == info.client_id);
}

static void clients_have_ids_of_their_own(void)
{
	struct drm_kerf_device_info a = {0}, b = {0};

	REQUIRE_OK(kt_device_info(kt_open(0), &a));
	REQUIRE_OK(kt_device_info(kt_open(0), &b));
	EXPECT(a.client_id != b.client_id);
}

static void busy_begins_at_zero(void)
{
	EXPECT_EQ(0, busy_ns(kt_open(KERF_ENGINE_SIM)));
}

static void busy_never_goes_down(void)
{
	int fd = kt_open(KERF_ENGINE_SIM);
	uint32_t queue = queue_of(fd);
	uint64_t last = 0;

	for (int i = 0; i < 50; i++) {
		uint64_t seqno, now;

		REQUIRE_OK(kt_submit_sim(fd, queue, 500, &seqno));
		if (i % 8 == 7)
			REQUIRE_OK(kt_wait(fd, queue, seqno, -1, NULL));
		now = busy_ns(fd);
		EXPECT(now >= last);
		last = now;
	}
	EXPECT(last > 0);
}

static void busy_is_the_sum_of_queues(void)
{
	int fd = kt_open(KERF_ENGINE_SIM);
	uint32_t a = queue_of(fd), b = queue_of(fd);

	run_jobs(fd, a, 5, 1000);
	run_jobs(fd, b, 3, 2000);
	EXPECT(queue_busy_ns(fd, a) > 0);
	EXPECT_EQ(queue_busy_ns(fd, a) + queue_busy_ns(fd, b), busy_ns(fd));
}

static void busy_of_clients_sums_to_the_engines(void)
{
	int a = kt_open(KERF_ENGINE_SIM), b = kt_open(KERF_ENGINE_SIM);
	struct drm_kerf_engine_info before = {0}, after = {0};
	unsigned engine = kt_engine(a, KERF_ENGINE_SIM);

	REQUIRE_OK(kt_engine_info(a, engine, &before));
	run_jobs(a, queue_of(a), 4, 1000);
	run_jobs(b, queue_of(b), 6, 1000);
	REQUIRE_OK(kt_engine_info(a, engine, &after));
	EXPECT_EQ(after.busy_ns - before.busy_ns, busy_ns(a) + busy_ns(b));
	EXPECT_EQ(10, after.jobs_done - before.jobs_done);
}

static void busy_outlives_queues(void)
{
	int fd = kt_open(KERF_ENGINE_SIM);
	uint32_t queue = queue_of(fd);
	uint64_t before;

	run_jobs(fd, queue, 3, 1000);
	before = busy_ns(fd);
	EXPECT_OK(kt_queue_destroy(fd, queue));
	EXPECT_EQ(before, busy_ns(fd));
}

static void busy_of_others_is_not_mine(void)
{
	int a = kt_open(KERF_ENGINE_SIM), b = kt_open(KERF_ENGINE_SIM);

	run_jobs(a, queue_of(a), 3, 1000);
	EXPECT_EQ(0, busy_ns(b));
}

static void busy_of_an_engine_that_went_is_not_anothers(void)
{
	struct kerf_server_register first = ks_fail_policy("fdinfo-first", 1);
	struct kerf_server_register second = ks_fail_policy("fdinfo-second", 1);
	struct kerf_server_record rec;
	struct ks server;
	uint64_t seqno;
	const char *text;
	uint32_t queue;
	int fd;

	ks_serve(&server, &first);
	fd = ks_client(&server);
	queue = ks_queue(&server, fd);
	seqno = ks_empty_job(fd, queue);
	ks_expect(&server, KERF_SERVER_RUN, &rec);
	REQUIRE_OK(ks_done(&server, &rec, 0));
	EXPECT_OK(ks_result(fd, queue, seqno));
	text = fdinfo(fd, "drm-engine-fdinfo-first");
	EXPECT(text && strtoull(text, NULL, 10) > 0);
	ks_close(&server);

	ks_serve(&server, &second);
	text = fdinfo(fd, "drm-engine-fdinfo-second");
	EXPECT(text && strtoull(text, NULL, 10) == 0);
	EXPECT(!fdinfo(fd, "drm-engine-fdinfo-first"));
	ks_close(&server);
	ks_serve(&server, &first);
	text = fdinfo(fd, "drm-engine-fdinfo-first");
	EXPECT(text && strtoull(text, NULL, 10) > 0);
	ks_close(&server);
}

static void capacity_of_an_engine_with_places(void)
{
	struct drm_kerf_engine_info info = {0};
	int fd = kt_open(KERF_ENGINE_SIM);
	const char *text;

	REQUIRE_OK(kt_engine_info(fd, kt_engine(fd, KERF_ENGINE_SIM), &info));
	text = fdinfo(fd, sim_key(fd, "drm-engine-capacity-%s"));
	if (info.depth == 1)
		EXPECT(!text);
	else
		EXPECT(text && strtoul(text, NULL, 10) == info.depth);
}

static void memory_follows_handles(void)
{
	int fd = kt_open(0);
	uint32_t a, b;

	EXPECT_EQ(0, memory_bytes(fd));
	REQUIRE_OK(kt_bo_create(fd, 3 << 20, 0, &a));
	REQUIRE_OK(kt_bo_create(fd, 8192, 0, &b));
	EXPECT_EQ((3 << 20) + 8192, memory_bytes(fd));
	REQUIRE_OK(kt_bo_close(fd, a));
	EXPECT_EQ(8192, memory_bytes(fd));
}

static const struct ktap_case cases[] = {
	KTAP(driver_and_client),
	KTAP(clients_have_ids_of_their_own),
	KTAP(busy_begins_at_zero),
	KTAP(busy_never_goes_down),
	KTAP(busy_is_the_sum_of_queues),
	KTAP(busy_of_clients_sums_to_the_engines),
	KTAP(busy_outlives_queues),
	KTAP(busy_of_others_is_not_mine),
	KTAP(busy_of_an_engine_that_went_is_not_anothers),
	KTAP(capacity_of_an_engine_with_places),
	KTAP(memory_follows_handles),
};

int main(int argc, char **argv)
{
	return ktap_main(cases, sizeof(cases) / sizeof(cases[0]), argc, argv);
}
