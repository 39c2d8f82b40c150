// SPDX-License-Identifier: MIT
/*
 * kernel-log: silent
 *
 * Queues of two priorities on one NPU: who runs when, by the order in which jobs end.
 */
#include "npu_test.h"

#define N_LOW 8
#define N_HIGH 5

static struct npu npu;

static void submit_delay(uint32_t queue, uint32_t us, uint64_t cookie, uint64_t *seqno)
{
	struct npu_job j = {0};

	npu_add_delay(&j, us);
	j.job.cookie = cookie;
	j.job.flags = KERF_JOB_EVENT;
	REQUIRE_OK(npu_submit_to(&npu, queue, &j, seqno));
}

static void read_order(uint64_t *cookies, size_t n)
{
	uint8_t buffer[4096];
	size_t got = 0;

	while (got < n) {
		ssize_t size = read(npu.fd, buffer, sizeof(buffer));

		REQUIRE(size > 0);
		for (ssize_t at = 0; at < size; at += sizeof(struct drm_kerf_event)) {
			struct drm_kerf_event event;

			memcpy(&event, buffer + at, sizeof(event));
			EXPECT_EQ(KERF_EVENT_JOB_DONE, event.base.type);
			EXPECT_OK(event.status);
			if (got < n)
				cookies[got++] = event.cookie;
		}
	}
}

/* Jobs of the low queue wait; high ones that come while the first runs are done before the second.
 */
static void high_goes_first(void)
{
	uint32_t low, high;
	uint64_t order[N_LOW + N_HIGH];
	struct drm_kerf_queue_state state;

	npu = npu_open();
	low = npu_queue(&npu, KERF_PRIORITY_LOW);
	high = npu_queue(&npu, KERF_PRIORITY_HIGH);
	/* A first job so long that the others are submitted in time, longer if they were not */
	for (uint32_t us = 200000;; us *= 2) {
		REQUIRE(us <= 6400000);
		submit_delay(low, us, 1, NULL);
		for (int i = 1; i < N_LOW; i++)
			submit_delay(low, 1000, 1, NULL);
		for (int i = 0; i < N_HIGH; i++)
			submit_delay(high, 1000, 2, NULL);
		REQUIRE_OK(kt_queue_state(npu.fd, low, &state));
		read_order(order, N_LOW + N_HIGH);
		if (state.done_seqno + N_LOW == state.last_seqno)
			break;
	}
	EXPECT_EQ(1, order[0]);
	for (int i = 0; i < N_HIGH; i++)
		EXPECT_EQ(2, order[1 + i]);
	for (int i = 1 + N_HIGH; i < N_LOW + N_HIGH; i++)
		EXPECT_EQ(1, order[i]);
}

/* A high queue that never pauses leaves the low one a job now and then. */
static void low_is_not_starved(void)
{
	uint32_t low, high;
	uint64_t low_seqno, last;
	int status = -1, n = 0;

	npu = npu_open();
	low = npu_queue(&npu, KERF_PRIORITY_LOW);
	high = npu_queue(&npu, KERF_PRIORITY_HIGH);
	for (int i = 0; i < 4; i++) {
		struct npu_job j = {0};

		npu_add_delay(&j, 20000);
		REQUIRE_OK(npu_submit_to(&npu, high, &j, &last));
	}
	{
		struct npu_job j = {0};

		REQUIRE_OK(npu_submit_to(&npu, low, &j, &low_seqno));
	}
	while (kt_wait(npu.fd, low, low_seqno, 0, &status) == -ETIME) {
		struct npu_job j = {0};

		npu_add_delay(&j, 20000);
		REQUIRE_OK(npu_submit_to(&npu, high, &j, &last));
		REQUIRE_OK(kt_wait(npu.fd, high, last - 3, -1, NULL));
		n++;
	}
	EXPECT_OK(status);
	ktap_note("%d high jobs before the low one", n);
}

/* Two processes of one priority, one with jobs five times as long: each has half of the NPU. */
static void equal_shares(void)
{
	static const uint32_t us[2] = {2000, 10000};
	uint32_t queue[2];
	uint64_t last[2] = {0};
	struct npu client[2];
	struct drm_kerf_queue_state a, b;
	double ratio;

	for (int c = 0; c < 2; c++) {
		client[c] = npu_open();
		queue[c] = client[c].queue;
	}
	/* Work for some seconds, so that neither runs dry before the look */
	for (int i = 0; i < 1000; i++) {
		for (int c = 0; c < 2; c++) {
			struct npu_job j = {0};

			npu_add_delay(&j, us[c]);
			if (i * us[c] < 2000000)
				REQUIRE_OK(npu_submit_to(&client[c], queue[c], &j, &last[c]));
		}
	}
	/* Half of what the first has to do */
	REQUIRE_OK(kt_wait(client[0].fd, queue[0], last[0] / 2, -1, NULL));
	REQUIRE_OK(kt_queue_state(client[0].fd, queue[0], &a));
	REQUIRE_OK(kt_queue_state(client[1].fd, queue[1], &b));
	REQUIRE(a.busy_ns && b.busy_ns);
	ratio = (double)a.busy_ns / b.busy_ns;
	ktap_note("busy %.1f ms and %.1f ms", a.busy_ns * 1e-6, b.busy_ns * 1e-6);
	/* One long job more or less, and the jobs that ran before the other client came */
	EXPECT(ratio > 0.8 && ratio < 1.25);
}

static const struct ktap_case cases[] = {
	KTAP_SLOW(high_goes_first, 60),
	KTAP(low_is_not_starved),
	KTAP_SLOW(equal_shares, 60),
};

int main(int argc, char **argv)
{
	return ktap_main(cases, sizeof(cases) / sizeof(cases[0]), argc, argv);
}
