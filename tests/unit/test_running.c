/* SPDX-License-Identifier: MIT */
/* Transfers that run: what looks at their connections make of what is expected. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <math.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "telemetry/peers.h"
#include "telemetry/predict.h"
#include "telemetry/record.h"
#include "util/base.h"
#include "util/clock.h"

#define URL "http://10.0.0.2:8470"
#define MS 1000000ull
#define BYTES_MS 2500ull /* what was learned: 20 Mbit/s */
#define BYTES 5000000ull

/* Connections with records as a program would write them. */
static struct {
	struct kerf_peers *peers;
	struct kerf_link_rec link[KERF_STATE_LINKS];
	int fd[3];
	uint64_t cookie[3], now_ns;
} rig;
static struct kerf_node_state node[KERF_PEERS];

static void put(int i, uint64_t acked)
{
	struct kerf_link_rec rec = {.life = KERF_LINK_LIVE,
				    .cookie = rig.cookie[i],
				    .updated_ns = rig.now_ns,
				    .has = KERF_LINK_HAS_RTT,
				    .srtt_us = 400,
				    .min_rtt_us = 200,
				    .mss_bytes = 1448,
				    .cwnd_segments = 200,
				    .ssthresh_segments = 100,
				    .source = KERF_SOURCE_BPF,
				    .bytes_acked = acked};

	kerf_record_write(&rig.link[7 * i], &rec, sizeof(rec));
}

static void learn(void)
{
	uint64_t i;

	for (i = 0; i < 20; i++) {
		struct kerf_transfer t = {.cookie = rig.cookie[0],
					  .start_ns = rig.now_ns,
					  .bytes = 100000 + 37000 * (i % 7)};

		rig.now_ns += MS + t.bytes * MS / BYTES_MS;
		t.end_ns = rig.now_ns;
		kerf_peers_transfer(rig.peers, URL, &t);
		kerf_peers_sample(rig.peers, rig.now_ns, false);
		rig.now_ns += 5 * MS;
	}
}

static int setup(void **state)
{
	const struct kerf_peers_config cfg = {.link = rig.link};
	socklen_t n = sizeof(rig.cookie[0]);
	int i;

	memset(&rig, 0, sizeof(rig));
	memset(node, 0, sizeof(node));
	rig.now_ns = kerf_now_ns() + 1000 * MS;
	assert_int_equal(kerf_peers_open(&cfg, &rig.peers, NULL), 0);
	for (i = 0; i < 3; i++) {
		rig.fd[i] = socket(AF_INET, SOCK_STREAM, 0);
		assert_true(rig.fd[i] >= 0);
		if (getsockopt(rig.fd[i], SOL_SOCKET, SO_COOKIE, &rig.cookie[i], &n))
			return 0; /* qemu's user mode does not know it: see need_cookies() */
		put(i, 1000);
		kerf_peers_connected(rig.peers, URL, rig.fd[i]);
	}
	learn();
	return 0;
}

static void need_cookies(void)
{
	if (!rig.cookie[2])
		skip();
}

static int teardown(void **state)
{
	int i;

	kerf_peers_close(rig.peers);
	for (i = 0; i < 3; i++)
		if (rig.fd[i] > 0)
			close(rig.fd[i]);
	return 0;
}

static struct kerf_transfer begin(int i)
{
	struct kerf_transfer t = {.cookie = rig.cookie[i], .start_ns = rig.now_ns, .bytes = BYTES};

	kerf_peers_started(rig.peers, URL, rig.fd[i], &t);
	return t;
}

/* 50 ms later, with so many bytes of the connection acknowledged. */
static void look(int i, uint64_t acked)
{
	rig.now_ns += 50 * MS;
	put(i, acked);
	kerf_peers_sample(rig.peers, rig.now_ns, false);
	assert_int_equal(kerf_peers_state(rig.peers, rig.now_ns, node), 1);
}

static bool is_running(const struct kerf_link_estimate *est)
{
	return !strcmp(est->estimator, "running");
}

static bool near_rate(uint64_t rate_bytes_s, double bytes_ms)
{
	return fabs(log((double)rate_bytes_s / (bytes_ms * 1000))) < 0.25;
}

static void nothing_runs(void)
{
	struct kerf_link_estimate est;

	assert_int_equal(kerf_peers_state(rig.peers, rig.now_ns, node), 1);
	assert_int_equal(node[0].running_bytes, 0);
	assert_int_equal(node[0].running_expected_ns, 0);
	assert_int_equal(node[0].running_high_ns, 0);
	assert_false(is_running(&node[0].up));
	kerf_peers_estimate(rig.peers, URL, false, rig.now_ns, &est);
	assert_false(is_running(&est));
	assert_true(near_rate(est.rate_bytes_s, BYTES_MS));
}

static void without_a_transfer_there_is_nothing(void **state)
{
	need_cookies();
	look(0, 100000);
	look(0, 100001);
	look(0, 100002);
	nothing_runs();
}

static void as_expected_nothing_is_corrected(void **state)
{
	uint64_t acked = 1000;
	int i;

	need_cookies();
	begin(0);
	for (i = 0; i < 20; i++) {
		look(0, acked += 50 * BYTES_MS);
		assert_int_equal(node[0].running_bytes, BYTES);
		assert_int_equal(node[0].running_acked_bytes, acked - 1000);
		assert_false(is_running(&node[0].up));
		assert_in_range(node[0].running_expected_ns, 1950 * MS, 2050 * MS);
		assert_true(node[0].running_low_ns <= node[0].running_expected_ns);
		assert_true(node[0].running_expected_ns <= node[0].running_high_ns);
	}
}

/* From the beginning, or after some looks: the first that sees the new rate corrects both. */
static void rate_falls_to_a_fifth(void **state)
{
	int before, i;

	need_cookies();
	for (before = 0; before <= 10; before += 5) {
		uint64_t acked, since;
		struct kerf_transfer t;
		struct kerf_link_estimate est, down;
		double left_ms;

		teardown(NULL);
		setup(NULL);
		acked = 1000;
		t = begin(0);
		since = t.start_ns;
		for (i = 0; i < before; i++)
			look(0, acked += 50 * BYTES_MS);
		look(0, acked += 10 * BYTES_MS);
		assert_true(is_running(&node[0].up));
		assert_true(near_rate(node[0].up.rate_bytes_s, BYTES_MS / 5.0));
		assert_int_equal(node[0].running_since_ns, since);
		left_ms = (double)(BYTES - (acked - 1000)) / (BYTES_MS / 5.0);
		assert_true(
			fabs(log(((double)node[0].running_expected_ns * 1e-6 - 50 * (before + 1)) /
				 left_ms)) < 0.25);
		assert_true((double)node[0].running_low_ns * 1e-6 < left_ms + 50 * (before + 1));
		assert_true((double)node[0].running_high_ns * 1e-6 > left_ms + 50 * (before + 1));
		/* Who asks in between is told the same; what comes from there is another matter. */
		kerf_peers_estimate(rig.peers, URL, false, rig.now_ns, &est);
		assert_true(is_running(&est));
		kerf_peers_estimate(rig.peers, URL, true, rig.now_ns, &down);
		assert_int_equal(down.rate_bytes_s, 0);
		/* All is there, and the node computes: the end is not known yet, the rate is. */
		put(0, BYTES + 1000);
		look(0, BYTES + 1000);
		assert_int_equal(node[0].running_bytes, 0);
		assert_true(is_running(&node[0].up));
		/* It is over: now it is learned. */
		t.end_ns = rig.now_ns;
		kerf_peers_transfer(rig.peers, URL, &t);
		kerf_peers_estimate(rig.peers, URL, false, rig.now_ns, &est);
		assert_false(is_running(&est));
	}
}

static void rate_that_rises_is_seen_too(void **state)
{
	uint64_t acked = 1000;

	need_cookies();
	begin(0);
	look(0, acked += 50 * BYTES_MS);
	look(0, acked += 200 * BYTES_MS);
	assert_true(is_running(&node[0].up));
	assert_true(near_rate(node[0].up.rate_bytes_s, BYTES_MS * 4.0));
	/* And that it was for a moment only. */
	look(0, acked += 50 * BYTES_MS);
	assert_false(is_running(&node[0].up));
}

static void pause_of_tcp_is_no_rate(void **state)
{
	uint64_t acked = 1000 + 500 * BYTES_MS;
	int i;

	need_cookies();
	begin(0);
	for (i = 1; i <= 10; i++)
		look(0, 1000 + 50 * BYTES_MS * (uint64_t)i);
	for (i = 0; i < 3; i++) {
		look(0, acked);
		assert_false(is_running(&node[0].up));
	}
	/* A standstill is. */
	for (i = 0; i < 20; i++)
		look(0, acked);
	assert_true(is_running(&node[0].up));
	assert_true(node[0].up.rate_bytes_s < BYTES_MS * 1000 / 10);
	assert_true(node[0].running_expected_ns > 10000 * MS);
}

static void ends_with_its_connection(void **state)
{
	need_cookies();
	begin(0);
	look(0, 1000 + 10 * BYTES_MS);
	assert_true(is_running(&node[0].up));
	kerf_peers_disconnected(rig.peers, URL, rig.fd[0]);
	nothing_runs();
	/* The number is given again, to another. */
	begin(1);
	look(1, 1000 + 10 * BYTES_MS);
	assert_true(is_running(&node[0].up));
	kerf_peers_connected(rig.peers, URL, rig.fd[1]);
	nothing_runs();
}

static void next_on_the_connection_takes_its_place(void **state)
{
	uint64_t since;

	need_cookies();
	begin(0);
	look(0, 1000 + 10 * BYTES_MS);
	assert_true(is_running(&node[0].up));
	rig.now_ns += MS;
	since = begin(0).start_ns;
	kerf_peers_state(rig.peers, rig.now_ns, node);
	assert_int_equal(node[0].running_acked_bytes, 0);
	assert_int_equal(node[0].running_expected_ns, 0);
	assert_false(is_running(&node[0].up));
	/* Only what is acknowledged from here on counts. */
	look(0, 1000 + 60 * BYTES_MS);
	assert_int_equal(node[0].running_since_ns, since);
	assert_int_equal(node[0].running_acked_bytes, 50 * BYTES_MS);
	assert_false(is_running(&node[0].up));
}

static void another_cookie_is_another_connection(void **state)
{
	struct kerf_transfer t = {.cookie = rig.cookie[1], .start_ns = rig.now_ns, .bytes = BYTES};

	need_cookies();
	kerf_peers_started(rig.peers, URL, rig.fd[0], &t);
	look(0, 1000 + 10 * BYTES_MS);
	nothing_runs();
	/* Nor is one that nobody knows, or has none, or has no bytes. */
	t.cookie = ~rig.cookie[0];
	kerf_peers_started(rig.peers, URL, rig.fd[0], &t);
	t.cookie = 0;
	kerf_peers_started(rig.peers, URL, rig.fd[0], &t);
	t.cookie = rig.cookie[0];
	t.bytes = 0;
	kerf_peers_started(rig.peers, URL, rig.fd[0], &t);
	look(0, 1000 + 20 * BYTES_MS);
	nothing_runs();
}

static void fewer_acknowledged_than_before_is_not_believed(void **state)
{
	need_cookies();
	begin(0);
	look(0, 1000 + 50 * BYTES_MS);
	look(0, 1000 + 20 * BYTES_MS);
	assert_int_equal(node[0].running_acked_bytes, 50 * BYTES_MS);
	look(0, 0); /* fewer than when it began */
	assert_int_equal(node[0].running_acked_bytes, 50 * BYTES_MS);
	assert_false(is_running(&node[0].up));
	look(0, 1000 + 200 * BYTES_MS);
	assert_int_equal(node[0].running_acked_bytes, 200 * BYTES_MS);
	assert_false(is_running(&node[0].up));
	look(0, UINT64_MAX);
	assert_int_equal(node[0].running_bytes, 0);
}

/* Each has half of the link, which is as fast as ever; the older is the one that is shown. */
static void two_at_once_correct_nothing(void **state)
{
	uint64_t since = begin(1).start_ns, i;

	need_cookies();
	rig.now_ns += MS;
	begin(0);
	for (i = 1; i < 10; i++) {
		put(0, 1000 + 20 * i * BYTES_MS);
		look(1, 1000 + 20 * i * BYTES_MS);
		assert_int_equal(node[0].running_since_ns, since);
		assert_true(node[0].running_expected_ns > 3000 * MS);
		assert_false(is_running(&node[0].up));
	}
}

static void one_that_never_ended_is_forgotten(void **state)
{
	need_cookies();
	begin(0);
	look(0, 1000 + 10 * BYTES_MS);
	look(0, 1000 + BYTES);
	assert_true(is_running(&node[0].up));
	rig.now_ns += 11000 * MS;
	nothing_runs();
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(without_a_transfer_there_is_nothing),
		TEST(as_expected_nothing_is_corrected),
		TEST(rate_falls_to_a_fifth),
		TEST(rate_that_rises_is_seen_too),
		TEST(pause_of_tcp_is_no_rate),
		TEST(ends_with_its_connection),
		TEST(next_on_the_connection_takes_its_place),
		TEST(another_cookie_is_another_connection),
		TEST(fewer_acknowledged_than_before_is_not_believed),
		TEST(two_at_once_correct_nothing),
		TEST(one_that_never_ended_is_forgotten),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
