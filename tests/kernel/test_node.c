// SPDX-License-Identifier: MIT
/* The node is there, says who it is, and runs a job. */
#include "kerf_test.h"

static void version(void)
{
	char name[16] = "";
	struct drm_version v = {.name = name, .name_len = sizeof(name) - 1};
	int fd = kt_open(0);

	REQUIRE_OK(kt_ioctl(fd, DRM_IOCTL_VERSION, &v));
	EXPECT(!strcmp(name, KERF_ACCEL_NAME));
	EXPECT(v.version_major >= 0);
}

static void engines(void)
{
	struct drm_kerf_device_info dev = {0};
	struct drm_kerf_engine_info info;
	int fd = kt_open(0), n = 0;

	REQUIRE_OK(kt_device_info(fd, &dev));
	EXPECT(dev.n_engines <= KERF_MAX_ENGINES);
	EXPECT_EQ(0, dev.client_bytes);
	for (unsigned i = 0; i < dev.n_engines; i++) {
		if (kt_engine_info(fd, i, &info))
			continue;
		n++;
		EXPECT(info.depth >= 1);
		EXPECT(memchr(info.name, 0, sizeof(info.name)) && info.name[0]);
	}
	EXPECT(n > 0);
}

static void one_job(void)
{
	int fd = kt_open(KERF_ENGINE_SIM), status = -1;
	uint32_t queue;
	uint64_t seqno = 0;

	REQUIRE_OK(kt_queue_create(fd, kt_engine(fd, KERF_ENGINE_SIM), KERF_PRIORITY_NORMAL, 4,
				   &queue));
	REQUIRE_OK(kt_submit_sim(fd, queue, 0, &seqno));
	EXPECT_EQ(1, seqno);
	EXPECT_OK(kt_wait(fd, queue, seqno, -1, &status));
	EXPECT_EQ(0, status);
}

static const struct ktap_case cases[] = {KTAP(version), KTAP(engines), KTAP(one_job)};

int main(int argc, char **argv)
{
	return ktap_main(cases, sizeof(cases) / sizeof(cases[0]), argc, argv);
}
