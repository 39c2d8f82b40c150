/* SPDX-License-Identifier: MIT */
/* The trace events kerf:kerf_job_queued, _started and _done, read through an instance of tracefs.
 */
#include <inttypes.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "kerf_test.h"

#define TRACING "/sys/kernel/tracing"

enum { QUEUED, STARTED, DONE };

struct event {
	int kind;
	unsigned device, engine, queue, waiting, running;
	uint64_t client, seqno, wait_ns, busy_ns, bytes, cookie;
	int status;
};

static char instance[128];

static int write_text(const char *name, const char *text)
{
	char path[256];
	int fd, r = 0;

	snprintf(path, sizeof(path), "%s/%s", instance, name);
	fd = open(path, O_WRONLY | O_TRUNC);
	if (fd < 0)
		return -errno;
	if (write(fd, text, strlen(text)) != (ssize_t)strlen(text))
		r = -errno;
	close(fd);
	return r;
}

static uint64_t client_of(int fd)
{
	struct drm_kerf_device_info info = {0};

	REQUIRE_OK(kt_device_info(fd, &info));
	return info.client_id;
}

/* Begins to record the events of @fd's client alone. */
static void record(int fd)
{
	char filter[64];

	snprintf(instance, sizeof(instance), TRACING "/instances/kerf-test-%d", (int)getpid());
	if (mkdir(instance, 0700))
		ktap_skip("no tracefs instance: %s", strerror(errno));
	snprintf(filter, sizeof(filter), "client==%" PRIu64, client_of(fd));
	EXPECT_OK(write_text("events/kerf/filter", filter));
	EXPECT_OK(write_text("events/kerf/enable", "1"));
}

/* Ends recording; @events in the order in which they came, at most @max. */
static int recorded(struct event *events, int max)
{
	static const char *const names[] = {
		"kerf_job_queued: ", "kerf_job_started: ", "kerf_job_done: "};
	char path[160], line[512];
	int n = 0;
	FILE *f;

	EXPECT_OK(write_text("events/kerf/enable", "0"));
	snprintf(path, sizeof(path), "%s/trace", instance);
	f = fopen(path, "r");
	REQUIRE(f);
	while (fgets(line, sizeof(line), f)) {
		for (int kind = QUEUED; kind <= DONE; kind++) {
			const char *text = strstr(line, names[kind]);
			struct event e = {.kind = kind};

			if (!text)
				continue;
			EXPECT_EQ(12,
				  sscanf(text + strlen(names[kind]),
					 "device=%u engine=%u client=%" SCNu64
					 " queue=%u seqno=%" SCNu64 " wait_ns=%" SCNu64
					 " busy_ns=%" SCNu64 " bytes=%" SCNu64
					 " status=%d cookie=%" SCNu64
					 " waiting=%u running=%u",
					 &e.device, &e.engine, &e.client, &e.queue, &e.seqno,
					 &e.wait_ns, &e.busy_ns, &e.bytes, &e.status, &e.cookie,
					 &e.waiting, &e.running));
			if (EXPECT(n < max))
				events[n++] = e;
		}
	}
	fclose(f);
	rmdir(instance);
	return n;
}

static uint32_t queue_of(int fd)
{
	uint32_t queue;

	REQUIRE_OK(kt_queue_create(fd, kt_engine(fd, KERF_ENGINE_SIM), KERF_PRIORITY_NORMAL, 64,
				   &queue));
	return queue;
}

static void a_job_has_three_events(void)
{
	int fd = kt_open(KERF_ENGINE_SIM), n, status;
	uint32_t queue = queue_of(fd), bo;
	struct drm_kerf_sim_cmd cmd = {.duration_us = 2000};
	struct drm_kerf_bo_ref refs[2];
	struct drm_kerf_job job = {.cmd = (uintptr_t)&cmd,
				   .cmd_size = sizeof(cmd),
				   .bos = KT_ARRAY(refs, 2),
				   .cookie = 0xfedcba9876543210};
	struct drm_kerf_queue_state state;
	struct event events[8];
	uint64_t seqno;
	struct stat st;

	REQUIRE_OK(kt_bo_create(fd, 16384, 0, &bo));
	refs[0] = (struct drm_kerf_bo_ref){.handle = bo, .flags = KERF_BO_REF_READ, .size = 1000};
	refs[1] = (struct drm_kerf_bo_ref){
		.handle = bo, .flags = KERF_BO_REF_WRITE, .offset = 8192, .size = 24};
	record(fd);
	REQUIRE_OK(kt_submit(fd, queue, &job, 1, &seqno));
	REQUIRE_OK(kt_wait(fd, queue, seqno, -1, &status));
	n = recorded(events, 8);
	REQUIRE_OK(kt_queue_state(fd, queue, &state));
	fstat(fd, &st);

	REQUIRE(n == 3);
	for (int i = 0; i < 3; i++) {
		EXPECT_EQ(QUEUED + i, events[i].kind);
		EXPECT_EQ(minor(st.st_rdev), events[i].device);
		EXPECT_EQ(kt_engine(fd, KERF_ENGINE_SIM), events[i].engine);
		EXPECT_EQ(client_of(fd), events[i].client);
		EXPECT_EQ(queue, events[i].queue);
		EXPECT_EQ(1, events[i].seqno);
		EXPECT_EQ(1024, events[i].bytes);
		EXPECT_EQ(job.cookie, events[i].cookie);
		EXPECT_EQ(0, events[i].status);
	}
	EXPECT_EQ(0, events[0].wait_ns);
	EXPECT_EQ(0, events[1].busy_ns);
	EXPECT_EQ(events[1].wait_ns, events[2].wait_ns);
	EXPECT_EQ(state.busy_ns, events[2].busy_ns);
	EXPECT(events[2].busy_ns > 0);
}

static void a_failed_job_shows_how(void)
{
	int fd = kt_open(KERF_ENGINE_SIM), n, status;
	uint32_t queue = queue_of(fd);
	struct drm_kerf_sim_cmd cmd = {.duration_us = 10000000};
	struct drm_kerf_job job = {
		.cmd = (uintptr_t)&cmd, .cmd_size = sizeof(cmd), .timeout_ms = 1};
	struct event events[8];
	uint64_t seqno;

	record(fd);
	REQUIRE_OK(kt_submit(fd, queue, &job, 1, &seqno));
	REQUIRE_OK(kt_wait(fd, queue, seqno, -1, &status));
	n = recorded(events, 8);
	REQUIRE(n == 3);
	EXPECT_EQ(DONE, events[2].kind);
	EXPECT_ERR(-ETIME, events[2].status);
}

static void a_cancelled_job_never_started(void)
{
	int fd = kt_open(KERF_ENGINE_SIM), n, seen = 0, status;
	uint32_t queue = queue_of(fd);
	struct drm_kerf_sim_cmd cmd = {.duration_us = 10000000};
	struct drm_kerf_job jobs[2] = {
		{.cmd = (uintptr_t)&cmd, .cmd_size = sizeof(cmd), .timeout_ms = 1}};
	struct event events[8];
	uint64_t seqno;

	record(fd);
	REQUIRE_OK(kt_submit(fd, queue, jobs, 2, &seqno));
	REQUIRE_OK(kt_wait(fd, queue, seqno, -1, &status));
	EXPECT_ERR(-ECANCELED, status);
	n = recorded(events, 8);
	for (int i = 0; i < n; i++) {
		if (events[i].seqno != 2)
			continue;
		seen++;
		EXPECT(events[i].kind != STARTED);
		if (events[i].kind == DONE) {
			EXPECT_ERR(-ECANCELED, events[i].status);
			EXPECT_EQ(0, events[i].busy_ns);
			EXPECT_EQ(0, events[i].waiting);
		}
	}
	EXPECT_EQ(2, seen);
}

static void each_job_of_many_once_and_in_order(void)
{
	enum { N_QUEUES = 4, N_JOBS = 40 };
	static struct event events[3 * N_QUEUES * N_JOBS + 1];
	int fd = kt_open(KERF_ENGINE_SIM), n;
	uint32_t queues[N_QUEUES];
	uint64_t next[N_QUEUES][3];
	uint64_t seqno;

	for (int q = 0; q < N_QUEUES; q++) {
		queues[q] = queue_of(fd);
		for (int kind = QUEUED; kind <= DONE; kind++)
			next[q][kind] = 1;
	}
	record(fd);
	for (int j = 0; j < N_JOBS; j++)
		for (int q = 0; q < N_QUEUES; q++)
			REQUIRE_OK(kt_submit_sim(fd, queues[q], j % 2 ? 200 : 0, &seqno));
	for (int q = 0; q < N_QUEUES; q++)
		REQUIRE_OK(kt_wait(fd, queues[q], N_JOBS, -1, NULL));
	n = recorded(events, sizeof(events) / sizeof(events[0]));
	EXPECT_EQ(3 * N_QUEUES * N_JOBS, n);
	for (int i = 0; i < n; i++) {
		int q = 0;

		while (q < N_QUEUES && queues[q] != events[i].queue)
			q++;
		REQUIRE(q < N_QUEUES);
		/* In order within its queue, and after its event of the kind before */
		EXPECT_EQ(next[q][events[i].kind], events[i].seqno);
		next[q][events[i].kind]++;
		if (events[i].kind != QUEUED)
			EXPECT(events[i].seqno < next[q][events[i].kind - 1]);
		/* What the engine has to do after each, these jobs being all it has */
		if (i) {
			EXPECT_EQ(events[i - 1].waiting + (events[i].kind == QUEUED) -
					  (events[i].kind == STARTED),
				  events[i].waiting);
			EXPECT_EQ(events[i - 1].running + (events[i].kind == STARTED) -
					  (events[i].kind == DONE),
				  events[i].running);
		}
	}
}

static const struct ktap_case cases[] = {
	KTAP(a_job_has_three_events),
	KTAP(a_failed_job_shows_how),
	KTAP(a_cancelled_job_never_started),
	KTAP(each_job_of_many_once_and_in_order),
};

int main(int argc, char **argv)
{
	return ktap_main(cases, sizeof(cases) / sizeof(cases[0]), argc, argv);
}
