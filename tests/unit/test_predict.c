/* SPDX-License-Identifier: MIT */
/*
 * The predictor on links that are made up, with seeds: constant, noisy, stepping, with a shaper's
 * bucket, with slow start, with losses; and on input that no link gives. Errors are arithmetic, so
 * they can be asserted; real links are tests/bench/predict's.
 */
#include "telemetry/predict.h"
#include "util/base.h"
#include "util/rng.h"

#include <errno.h>
#include <malloc.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define S 1000000000ull
#define MS 1000000ull
#define MOST 600

/* --- A link --- */

struct link {
	struct kerf_rng rng;
	uint64_t now_ns, cookie;
	double latency_s, rate, burst, min_rtt_s;
	double noise;	       /* standard deviation of the logarithm of the time */
	double jitter_s;       /* mean of a wait that does not depend on the size */
	double idle_s;	       /* most between two transfers */
	double cwnd, ssthresh; /* segments; 0: no records */
	bool slow_start, lossy;
	struct kerf_link_rec rec;
};

static double uniform(struct link *l)
{
	return ((double)(kerf_rng_next(&l->rng) >> 11) + 0.5) * 0x1p-53;
}

static double normal(struct link *l)
{
	return sqrt(-2 * log(uniform(l))) * cos(2 * M_PI * uniform(l));
}

static struct link a_link(uint64_t seed)
{
	struct link l = {.now_ns = 1000 * S,
			 .cookie = 7,
			 .latency_s = 0.002,
			 .rate = 2.5e6,
			 .idle_s = 0.01,
			 .min_rtt_s = 0.001};

	kerf_rng_seed(&l.rng, seed);
	return l;
}

static void look(struct link *l, struct kerf_predictor *p)
{
	l->rec = (struct kerf_link_rec){
		.life = KERF_LINK_LIVE,
		.cookie = l->cookie,
		.updated_ns = l->now_ns,
		.has = KERF_LINK_HAS_RTT | KERF_LINK_HAS_RATE | KERF_LINK_HAS_APP_LIMITED,
		.source = KERF_SOURCE_TCP_INFO,
		.mss_bytes = 1448,
		.srtt_us = (uint32_t)(l->min_rtt_s * 1e6),
		.min_rtt_us = (uint32_t)(l->min_rtt_s * 1e6),
		.rttvar_us = 100,
		.cwnd_segments = (uint32_t)l->cwnd,
		.ssthresh_segments = (uint32_t)l->ssthresh,
		.rate_bytes_s = (uint64_t)l->rate,
	};
	kerf_predictor_link(p, &l->rec);
}

/* As TCP does it, packet by packet of thought: the first window, then doubled ones. */
static double slow_start(const struct link *l, double bytes, double pause_s)
{
	double rto = l->min_rtt_s + 0.2, w = l->cwnd * 1448, t = 0;
	int k;

	for (k = 0; k < (int)(pause_s / rto) && w > 10 * 1448; k++)
		w /= 2;
	w = pause_s >= rto ? fmax(w, 10 * 1448) : w;
	while (bytes > w && w / l->rate < l->min_rtt_s) {
		t += l->min_rtt_s;
		bytes -= w;
		w *= 2;
	}
	return t + bytes / l->rate;
}

static struct kerf_transfer transfer(struct link *l, struct kerf_predictor *p, double bytes)
{
	double pause = l->idle_s * uniform(l), rate = l->rate, s;
	struct kerf_transfer t = {.cookie = l->cookie, .bytes = (uint64_t)bytes};

	l->now_ns += (uint64_t)(pause * 1e9) + 1;
	if (l->lossy) { /* the window wanders, and the rate with it */
		l->cwnd = fmin(fmax(l->cwnd * exp(0.35 * normal(l)), 6), 60);
		rate = l->cwnd * 1448 / l->min_rtt_s * exp(0.05 * normal(l));
	}
	if (l->cwnd > 0)
		look(l, p);
	s = l->latency_s + fmax(bytes - l->burst, 0.1 * bytes) / rate;
	if (l->slow_start)
		s = l->latency_s + slow_start(l, bytes, pause);
	s = s * exp(l->noise * normal(l)) - l->jitter_s * log(uniform(l));
	t.start_ns = l->now_ns;
	l->now_ns += (uint64_t)(s * 1e9);
	t.end_ns = l->now_ns;
	return t;
}

static double mixed_size(struct link *l)
{
	return floor(1e5 * pow(40, uniform(l)));
}

static double seconds(const struct kerf_transfer *t)
{
	return (double)(t->end_ns - t->start_ns - t->hold_ns) * 1e-9;
}

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return x < y ? -1 : x > y;
}

struct score {
	double error[MOST], median, p90, inside;
	uint32_t n;
};

/* One transfer: predicted, judged, learned; the error. */
static double step(struct link *l, struct kerf_predictor *p, double bytes, struct score *score)
{
	struct kerf_transfer t = transfer(l, p, bytes);
	struct kerf_link_estimate est;
	double low, high, s, e;

	kerf_predictor_estimate(p, t.start_ns, &est);
	s = kerf_estimate_s(&est, bytes, &low, &high);
	e = fabs(s / seconds(&t) - 1);
	if (isfinite(s)) {
		assert_true(low >= 0 && low <= s && s <= high && high < 1e5);
		if (score && score->n < MOST) {
			score->error[score->n++] = e;
			score->inside += seconds(&t) >= low && seconds(&t) <= high;
		}
	}
	kerf_predictor_learn(p, &t);
	return e;
}

static struct score run(struct link l, const char *estimator, uint32_t n)
{
	struct kerf_predictor *p;
	struct score score = {.n = 0};

	assert_int_equal(kerf_predictor_open(estimator, &p, NULL), 0);
	while (n--)
		step(&l, p, mixed_size(&l), &score);
	kerf_predictor_close(p);
	qsort(score.error, score.n, sizeof(double), compare);
	score.median = score.n ? score.error[score.n / 2] : INFINITY;
	score.p90 = score.n ? score.error[score.n * 9 / 10] : INFINITY;
	score.inside /= score.n;
	return score;
}

static void assert_covers(const struct score *s)
{
	if (s->inside < 0.72 || s->inside > 0.88)
		fail_msg("the 80 %% interval held %.1f %%", 100 * s->inside);
}

/* --- Links as they are --- */

static void constant_link(void **state)
{
	struct link l = a_link(1);
	struct score s;

	s = run(l, NULL, 100);
	assert_int_equal(s.n, 99); /* the first is not known */
	assert_true(s.median < 1e-5 && s.p90 < 1e-3);
}

/* Errors of any size and of either kind: the interval holds, and is not wider than it must be. */
static void intervals_hold(void **state)
{
	static const double noise[] = {1e-5, 1e-3, 0.02, 0.3};
	static const double jitter[] = {1e-5, 1e-3, 0.01};
	uint32_t i;

	for (i = 0; i < KERF_ARRAY_SIZE(noise); i++) {
		struct link l = a_link(10 + i);
		struct score s;

		l.noise = noise[i];
		s = run(l, NULL, 400);
		assert_true(s.median < 0.9 * noise[i]); /* of a known normal it is 0.67 */
		assert_covers(&s);
	}
	for (i = 0; i < KERF_ARRAY_SIZE(jitter); i++) {
		struct link l = a_link(20 + i);
		struct score s;

		l.jitter_s = jitter[i];
		s = run(l, NULL, 400);
		assert_covers(&s);
	}
}

/* What does not grow with the size matters to the small ones only. */
static void intervals_know_sizes(void **state)
{
	struct link l = a_link(30);
	struct kerf_link_estimate est;
	struct kerf_predictor *p;
	double low, high, s, narrow, wide;
	int i;

	l.jitter_s = 0.005;
	assert_int_equal(kerf_predictor_open(NULL, &p, NULL), 0);
	for (i = 0; i < 200; i++)
		step(&l, p, mixed_size(&l), NULL);
	kerf_predictor_estimate(p, l.now_ns, &est);
	s = kerf_estimate_s(&est, 1e5, &low, &high);
	wide = (high - low) / s;
	s = kerf_estimate_s(&est, 4e6, &low, &high);
	narrow = (high - low) / s;
	assert_true(wide > 5 * narrow);
	kerf_predictor_close(p);
}

static void noise_grows_and_shrinks(void **state)
{
	struct link l = a_link(31);
	struct score s = {.n = 0};
	struct kerf_predictor *p;
	int i;

	assert_int_equal(kerf_predictor_open(NULL, &p, NULL), 0);
	for (i = 0; i < 600; i++) {
		l.noise = i / 100 % 2 ? 0.1 : 0.005;
		step(&l, p, mixed_size(&l), &s);
	}
	s.inside /= s.n;
	assert_true(s.inside > 0.7 && s.inside < 0.9);
	kerf_predictor_close(p);
}

/* Right from the second transfer after a step, whatever the sizes; any step, either way. */
static void steps(void **state)
{
	static const double to[] = {5e5, 1e6, 1e7, 1.2e8};
	uint32_t i, k, worst = 0;

	for (i = 0; i < 40; i++) {
		struct link l = a_link(100 + i);
		struct kerf_predictor *p;

		l.noise = i % 2 ? 0.02 : 0;
		assert_int_equal(kerf_predictor_open(NULL, &p, NULL), 0);
		for (k = 0; k < 6 + i; k++)
			step(&l, p, mixed_size(&l), NULL);
		l.rate = to[i % 4];
		for (k = 1; step(&l, p, mixed_size(&l), NULL) > 0.25; k++)
			assert_true(k < 4);
		worst = KERF_MAX(worst, k);
		for (k = 0; k < 12; k++)
			step(&l, p, mixed_size(&l), NULL);
		assert_true(step(&l, p, mixed_size(&l), NULL) < 0.1);
		kerf_predictor_close(p);
	}
	assert_in_range(worst, 2, 3);
}

/* One transfer in the way of something costs at most the next one. */
static void outliers(void **state)
{
	uint32_t i, k;

	for (i = 0; i < 20; i++) {
		struct link l = a_link(200 + i);
		struct kerf_predictor *p;

		l.noise = 0.01;
		assert_int_equal(kerf_predictor_open(NULL, &p, NULL), 0);
		for (k = 0; k < 20; k++)
			step(&l, p, mixed_size(&l), NULL);
		l.latency_s += 1;
		step(&l, p, mixed_size(&l), NULL);
		l.latency_s -= 1;
		step(&l, p, mixed_size(&l), NULL);
		for (k = 0; k < 10; k++)
			assert_true(step(&l, p, mixed_size(&l), NULL) < 0.1);
		kerf_predictor_close(p);
	}
}

/* A tenth of the transfers takes twice as long: half of all are still right. */
static void often_in_the_way(void **state)
{
	struct link l = a_link(40);
	struct score s = {.n = 0};
	struct kerf_predictor *p;
	int i;

	assert_int_equal(kerf_predictor_open(NULL, &p, NULL), 0);
	for (i = 0; i < 300; i++) {
		l.latency_s = uniform(&l) < 0.1 ? 0.2 : 0.002;
		step(&l, p, mixed_size(&l), &s);
	}
	qsort(s.error, s.n, sizeof(double), compare);
	assert_true(s.error[s.n / 2] < 0.001);
	kerf_predictor_close(p);
}

static void bucket(void **state)
{
	struct link l = a_link(41);
	struct kerf_link_estimate est;
	struct kerf_predictor *p;
	double low, high;
	int i;

	l.burst = 65536;
	assert_int_equal(kerf_predictor_open(NULL, &p, NULL), 0);
	for (i = 0; i < 20; i++)
		step(&l, p, mixed_size(&l), NULL);
	for (i = 0; i < 20; i++)
		assert_true(step(&l, p, mixed_size(&l), NULL) < 0.001);
	kerf_predictor_estimate(p, l.now_ns, &est);
	assert_true(est.latency_ns < 0);
	assert_true(kerf_estimate_s(&est, 1000, &low, &high) > 0 && low >= 0);
	assert_true(kerf_estimate_s(&est, 0, &low, &high) > 0 && low >= 0);
	kerf_predictor_close(p);
}

static void slow_starts(void **state)
{
	struct link l = a_link(42);
	struct kerf_link_estimate est;
	struct kerf_predictor *p;
	struct score s, line;
	double low, high;
	int i;

	l.slow_start = true;
	l.rate = 1.2e7;
	l.latency_s = l.min_rtt_s = 0.02;
	l.cwnd = 200;
	l.idle_s = 1;
	s = run(l, NULL, 150);
	line = run(l, "line", 150);
	assert_true(s.median < 0.001 && s.p90 < 0.05);
	assert_true(line.median > 0.05);

	/* The same pause, told by the estimate alone. */
	assert_int_equal(kerf_predictor_open(NULL, &p, NULL), 0);
	for (i = 0; i < 60; i++)
		step(&l, p, mixed_size(&l), NULL);
	look(&l, p);
	kerf_predictor_estimate(p, l.now_ns + S / 100, &est);
	assert_int_equal(est.window_bytes, 200 * 1448);
	kerf_predictor_estimate(p, l.now_ns + 700 * MS, &est);
	assert_string_equal(est.estimator, "slow_start");
	assert_int_equal(est.window_bytes, 25 * 1448);
	assert_true(
		fabs(kerf_estimate_s(&est, 1e6, &low, &high) / (0.02 + slow_start(&l, 1e6, 0.7)) -
		     1) < 0.01);
	kerf_predictor_close(p);
}

static void losses(void **state)
{
	struct link l = a_link(43);
	struct score s, line, window;

	l.lossy = true;
	l.min_rtt_s = 0.02;
	l.cwnd = 20;
	l.noise = 0.05;
	s = run(l, NULL, 300);
	line = run(l, "line", 300);
	window = run(l, "window", 300);
	assert_true(window.median < 0.5 * line.median);
	assert_true(s.median < 1.2 * window.median);
	assert_covers(&s);
}

/* On all of these the leader is the best, or within a point of it. */
static void beside_the_others(void **state)
{
	static const char *const others[] = {"rtt_cwnd", "last_rate", "max_rate", "ewma", "rls"};
	uint32_t i, k;

	for (i = 0; i < 6; i++) {
		struct link l = a_link(300 + i);
		struct score s, other;

		l.cwnd = 100;
		l.min_rtt_s = i % 2 ? 0.02 : 0.001;
		l.latency_s = l.min_rtt_s;
		l.noise = i < 3 ? 0.002 : 0.05;
		l.rate = 5e5 * pow(5, i % 3);
		s = run(l, NULL, 150);
		for (k = 0; k < KERF_ARRAY_SIZE(others); k++) {
			other = run(l, others[k], 150);
			if (s.median > other.median + 0.01)
				fail_msg("link %u: leader %.4f, %s %.4f", i, s.median, others[k],
					 other.median);
		}
	}
}

/* --- What the table says --- */

static void table(void **state)
{
	struct kerf_err err = {""};
	struct kerf_predictor *p;
	uint32_t i, j;

	assert_string_equal(kerf_estimator_name(0), "leader");
	for (i = 0; kerf_estimator_name(i); i++) {
		assert_true(strlen(kerf_estimator_name(i)) <
			    sizeof(((struct kerf_link_estimate *)0)->estimator));
		assert_non_null(kerf_estimator_what(i));
		for (j = 0; j < i; j++)
			assert_string_not_equal(kerf_estimator_name(i), kerf_estimator_name(j));
		assert_int_equal(kerf_predictor_open(kerf_estimator_name(i), &p, &err), 0);
		kerf_predictor_close(p);
	}
	assert_null(kerf_estimator_what(i));
	assert_int_equal(kerf_predictor_open("guess", &p, &err), -ENOENT);
	assert_non_null(strstr(err.msg, "guess"));
	assert_null(p);
	kerf_predictor_close(NULL);
}

static struct kerf_link_rec plain_link(uint64_t at_ns)
{
	return (struct kerf_link_rec){.life = KERF_LINK_LIVE,
				      .cookie = 9,
				      .updated_ns = at_ns,
				      .has = KERF_LINK_HAS_RTT | KERF_LINK_HAS_RATE,
				      .mss_bytes = 1000,
				      .srtt_us = 20000,
				      .min_rtt_us = 10000,
				      .cwnd_segments = 40,
				      .rate_bytes_s = 1000000};
}

static double asked(const char *estimator, const struct kerf_link_rec *rec, uint32_t n,
		    double bytes)
{
	struct kerf_link_estimate est;
	struct kerf_predictor *p;
	double low, high, s;
	uint32_t i;

	assert_int_equal(kerf_predictor_open(estimator, &p, NULL), 0);
	for (i = 0; i < n; i++)
		kerf_predictor_link(p, &rec[i]);
	kerf_predictor_estimate(p, rec[n - 1].updated_ns, &est);
	s = kerf_estimate_s(&est, bytes, &low, &high);
	kerf_predictor_close(p);
	return s;
}

static void links_alone(void **state)
{
	struct kerf_link_rec rec[4];
	uint32_t i;

	for (i = 0; i < 4; i++)
		rec[i] = plain_link(10 * S + i * 50 * MS);
	assert_true(fabs(asked("rtt_cwnd", rec, 4, 2e5) - (0.02 + 2e5 * 0.02 / 40000)) < 1e-6);
	rec[3].rate_bytes_s = 500000;
	assert_true(fabs(asked("last_rate", rec, 4, 2e5) - 0.41) < 1e-6);
	assert_true(fabs(asked("max_rate", rec, 4, 2e5) - 0.21) < 1e-6);
	/* Ten round trips later the high one does not count any more. */
	rec[3].updated_ns += S;
	assert_true(fabs(asked("max_rate", rec, 4, 2e5) - 0.41) < 1e-6);
	/* A sample that the sender's pause made says nothing, but for that it can be so much. */
	rec[3].app_limited = 1;
	assert_true(fabs(asked("max_rate", rec, 4, 2e5) - 0.21) < 1e-6);
	rec[3].rate_bytes_s = 2000000;
	assert_true(fabs(asked("max_rate", rec, 4, 2e5) - 0.11) < 1e-6);
	/* Without a transfer, none of this is a prediction of the leader's. */
	assert_true(isinf(asked("leader", rec, 4, 2e5)));
	/* Nor what was not measured. */
	rec[3].has = 0;
	assert_true(isinf(asked("rtt_cwnd", &rec[3], 1, 2e5)));
	assert_true(isinf(asked("last_rate", &rec[3], 1, 2e5)));
}

static void not_known(void **state)
{
	struct link l = a_link(50);
	struct kerf_link_estimate est;
	struct kerf_predictor *p;
	double low, high;

	assert_int_equal(kerf_predictor_open(NULL, &p, NULL), 0);
	kerf_predictor_estimate(p, l.now_ns, &est);
	assert_int_equal(est.rate_bytes_s, 0);
	assert_true(isinf(kerf_estimate_s(&est, 1e6, &low, &high)) && low == 0 && isinf(high));
	step(&l, p, 1e6, NULL);
	kerf_predictor_estimate(p, l.now_ns, &est);
	assert_true(est.rate_bytes_s > 0 && est.transfers == 1 && est.updated_ns == l.now_ns);
	assert_int_equal(est.source, KERF_SOURCE_RUNTIME);
	kerf_predictor_estimate(p, l.now_ns + 600 * S, &est);
	assert_true(est.rate_bytes_s > 0);
	kerf_predictor_estimate(p, l.now_ns + 600 * S + 1, &est);
	assert_int_equal(est.rate_bytes_s, 0);
	step(&l, p, 1e6, NULL);
	kerf_predictor_estimate(p, l.now_ns, &est);
	assert_true(est.rate_bytes_s > 0);
	kerf_predictor_close(p);
}

/* Transfers of one size: the others are in proportion, not all of one time. */
static void one_size(void **state)
{
	struct link l = a_link(51);
	struct kerf_link_estimate est;
	struct kerf_predictor *p;
	double low, high, s;
	int i;

	l.latency_s = 0;
	l.noise = 0.01;
	assert_int_equal(kerf_predictor_open(NULL, &p, NULL), 0);
	for (i = 0; i < 50; i++)
		step(&l, p, 1e6, NULL);
	kerf_predictor_estimate(p, l.now_ns, &est);
	s = kerf_estimate_s(&est, 4e6, &low, &high);
	assert_true(s > 1.2 && s < 2.0);
	s = kerf_estimate_s(&est, 1e6, &low, &high);
	assert_true(s > 0.38 && s < 0.42);
	kerf_predictor_close(p);
}

static void estimates_by_hand(void **state)
{
	struct kerf_link_estimate est = {.latency_ns = 20 * MS,
					 .rate_bytes_s = 10000000,
					 .low_ppm = 900000,
					 .high_ppm = 1100000,
					 .low_ns = 1 * MS,
					 .high_ns = 2 * MS,
					 .window_bytes = 20000,
					 .round_ns = 20 * MS};
	double low, high, s;

	/* One window; two, with a wait of 18 ms; four windows of 20, 40, 80, 160 KB, 18 + 16 + 12.
	 */
	assert_true(fabs(kerf_estimate_s(&est, 20000, &low, &high) - 0.022) < 1e-9);
	assert_true(fabs(kerf_estimate_s(&est, 20001, &low, &high) - 0.0400001) < 1e-9);
	s = kerf_estimate_s(&est, 300000, &low, &high);
	assert_true(fabs(s - (0.020 + 0.030 + 0.046)) < 1e-9);
	assert_true(fabs(low - (0.9 * s - 0.001)) < 1e-9);
	assert_true(fabs(high - (1.1 * s + 0.002)) < 1e-9);
	/* From 320 KB on a window lasts longer than a round. */
	s = kerf_estimate_s(&est, 4e6, &low, &high);
	assert_true(fabs(s - (0.020 + 0.4 + 0.018 + 0.016 + 0.012 + 0.004)) < 1e-9);
	est.window_bytes = 0;
	assert_true(fabs(kerf_estimate_s(&est, 300000, &low, &high) - 0.05) < 1e-9);
	est.latency_ns = -40 * (int64_t)MS;
	s = kerf_estimate_s(&est, 300000, &low, &high);
	assert_true(s > 0 && s <= 0.03 && low >= 0);
	assert_true(kerf_estimate_s(&est, -5, &low, &high) > 0);
}

/* --- Inside a transfer --- */

static void running(void **state)
{
	struct link l = a_link(60);
	struct kerf_predictor *p;
	double low, high, s, f, share;
	uint64_t t0, acked;
	int i;

	l.latency_s = l.min_rtt_s = 0.02;
	l.cwnd = 1000;
	l.noise = 0.01;
	assert_int_equal(kerf_predictor_open(NULL, &p, NULL), 0);
	/* Nothing learned: from the first acknowledgement on it goes by that. */
	assert_true(isinf(kerf_predictor_running(p, 1000000, S, 0, 2 * S, &low, &high)));
	s = kerf_predictor_running(p, 1000000, S, 500000, 2 * S, &low, &high);
	assert_true(s > 1.5 && s < 2.5 && low <= s && s <= high && low >= 1);

	for (i = 0; i < 60; i++)
		step(&l, p, mixed_size(&l), NULL);
	t0 = l.now_ns + MS;
	/* As expected, slower, faster: after a tenth it is right within a tenth. */
	for (f = 0.2; f < 8; f *= 1.3) {
		double whole = 0.02 + 4e6 / (l.rate / f);

		for (share = 0.1; share <= 1; share += 0.1) {
			acked = (uint64_t)(4e6 * share);
			s = kerf_predictor_running(
				p, 4000000, t0, acked,
				t0 + (uint64_t)((0.02 + (double)acked / (l.rate / f)) * 1e9), &low,
				&high);
			assert_true(fabs(s / whole - 1) < 0.1);
			assert_true(low <= s && s <= high && low > 0);
		}
	}
	/* Nothing acknowledged yet: as expected; then later and later. */
	s = kerf_predictor_running(p, 4000000, t0, 0, t0 + 10 * MS, &low, &high);
	assert_true(fabs(s / 1.62 - 1) < 0.05);
	s = kerf_predictor_running(p, 4000000, t0, 0, t0 + 5 * S, &low, &high);
	assert_true(s > 6 && low >= 5);
	/* All of it, more than all of it, before it began. */
	s = kerf_predictor_running(p, 4000000, t0, 4000000, t0 + 2 * S, &low, &high);
	assert_true(fabs(s - 2) < 1e-6);
	s = kerf_predictor_running(p, 4000000, t0, UINT64_MAX, t0 + 2 * S, &low, &high);
	assert_true(fabs(s - 2) < 1e-6);
	s = kerf_predictor_running(p, 4000000, t0, 5, t0 - S, &low, &high);
	assert_true(isfinite(s) && s >= 0);
	kerf_predictor_close(p);
}

/* --- What no link gives --- */

static void assert_sane(const struct kerf_predictor *p, uint64_t now_ns)
{
	static const double bytes[] = {0, 1, 1e5, 4e6, 1e18};
	struct kerf_link_estimate est;
	double low, high, s;
	uint32_t i;

	kerf_predictor_estimate(p, now_ns, &est);
	assert_true(memchr(est.estimator, 0, sizeof(est.estimator)));
	for (i = 0; i < KERF_ARRAY_SIZE(bytes); i++) {
		s = kerf_estimate_s(&est, bytes[i], &low, &high);
		assert_true(s > 0 && low >= 0 && low <= s && s <= high); /* false for a NaN */
		assert_true(isfinite(s) || !est.rate_bytes_s);
	}
	for (i = 0; i < 3; i++) {
		/* Nothing acknowledged at once and later, something */
		s = kerf_predictor_running(p, 4000000, now_ns, i == 2 ? 1000 : 0,
					   now_ns + (i ? S : 0), &low, &high);
		assert_true(s >= 0 && low >= 0 && low <= s && s <= high);
	}
}

static void absurd_transfers(void **state)
{
	static const struct kerf_transfer bad[] = {
		{.start_ns = 5 * S, .end_ns = 5 * S, .bytes = 1000},
		{.start_ns = 5 * S, .end_ns = 4 * S, .bytes = 1000},
		{.start_ns = 5 * S, .end_ns = 6 * S, .bytes = 0},
		{.start_ns = 5 * S, .end_ns = 6 * S, .hold_ns = S, .bytes = 1000},
		{.start_ns = 5 * S, .end_ns = 6 * S, .hold_ns = UINT64_MAX, .bytes = 1000},
		{.start_ns = 0, .end_ns = UINT64_MAX, .bytes = 1000},
		{.start_ns = 5 * S, .end_ns = 5 * S + 4000 * S, .bytes = 1000},
		{.start_ns = 5 * S, .end_ns = 5 * S + 10, .bytes = 1000},
		{.start_ns = 5 * S, .end_ns = 6 * S, .bytes = UINT64_MAX},
	};
	struct kerf_link_estimate est;
	struct kerf_predictor *p;
	uint32_t i;

	assert_int_equal(kerf_predictor_open(NULL, &p, NULL), 0);
	for (i = 0; i < KERF_ARRAY_SIZE(bad); i++)
		kerf_predictor_learn(p, &bad[i]);
	kerf_predictor_estimate(p, 6 * S, &est);
	assert_int_equal(est.rate_bytes_s, 0);
	assert_int_equal(est.transfers, 0);
	kerf_predictor_close(p);
}

/* Anything in any member: numbers come out, and what is learned afterwards is right again. */
static void noise_in_every_member(void **state)
{
	struct link l = a_link(70);
	uint32_t e, i, k;

	for (e = 0; kerf_estimator_name(e); e++) {
		struct kerf_predictor *p;

		assert_int_equal(kerf_predictor_open(kerf_estimator_name(e), &p, NULL), 0);
		for (i = 0; i < 3000; i++) {
			struct kerf_link_rec rec;
			struct kerf_transfer t = {
				.cookie = kerf_rng_next(&l.rng) % 20,
				.start_ns = l.now_ns + kerf_rng_next(&l.rng) % (100 * S),
				.bytes = kerf_rng_next(&l.rng) >> (kerf_rng_next(&l.rng) % 64)};

			for (k = 0; k < sizeof(rec) / 8; k++)
				((uint64_t *)&rec)[k] =
					kerf_rng_next(&l.rng) >> (kerf_rng_next(&l.rng) % 64);
			rec.life = KERF_LINK_LIVE;
			if (i % 2)
				rec.updated_ns = l.now_ns + kerf_rng_next(&l.rng) % (100 * S);
			kerf_predictor_link(p, &rec);
			/* From a microsecond to an hour, as far as those are believed. */
			t.end_ns = t.start_ns + (uint64_t)(1000 * pow(10, 10 * uniform(&l)));
			t.hold_ns = i % 3 ? 0 : kerf_rng_next(&l.rng) % (t.end_ns - t.start_ns);
			kerf_predictor_learn(p, &t);
			assert_sane(p, t.start_ns);
			assert_sane(p, kerf_rng_next(&l.rng));
		}
		if (!strcmp(kerf_estimator_name(e), "leader")) {
			for (i = 0; i < 80; i++)
				step(&l, p, mixed_size(&l), NULL);
			for (i = 0; i < 20; i++)
				assert_true(step(&l, p, mixed_size(&l), NULL) < 0.05);
		}
		kerf_predictor_close(p);
	}
}

/* A new connection, counters from 0, an old clock: the path is the same, and so what is learned. */
static void reconnects(void **state)
{
	struct link l = a_link(71);
	struct kerf_predictor *p;
	int i;

	l.slow_start = true;
	l.rate = 1.2e7;
	l.latency_s = l.min_rtt_s = 0.02;
	assert_int_equal(kerf_predictor_open(NULL, &p, NULL), 0);
	for (i = 0; i < 100; i++) {
		l.cwnd = i % 20 ? 200 : 10;
		if (i % 20 == 0) {
			l.cookie = 1000 + (uint64_t)i;
			/* A look that is late, and one from before its time. */
			l.rec.updated_ns -= S;
			kerf_predictor_link(p, &l.rec);
		}
		if (i > 10)
			assert_true(step(&l, p, mixed_size(&l), NULL) < 0.02);
		else
			step(&l, p, mixed_size(&l), NULL);
	}
	kerf_predictor_close(p);
}

static void same_again_and_no_memory(void **state)
{
	struct kerf_link_estimate est[2];
	struct kerf_predictor *p[2];
	struct mallinfo2 before, after;
	int k, i;

	memset(est, 0, sizeof(est));
	for (k = 0; k < 2; k++) {
		struct link l = a_link(80);

		l.cwnd = 50;
		l.noise = 0.1;
		assert_int_equal(kerf_predictor_open(NULL, &p[k], NULL), 0);
		before = mallinfo2();
		for (i = 0; i < 300; i++)
			step(&l, p[k], mixed_size(&l), NULL);
		kerf_predictor_estimate(p[k], l.now_ns, &est[k]);
		after = mallinfo2();
		assert_int_equal(before.uordblks, after.uordblks);
	}
	assert_memory_equal(&est[0], &est[1], sizeof(est[0]));
	kerf_predictor_close(p[0]);
	kerf_predictor_close(p[1]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(constant_link),
		cmocka_unit_test(intervals_hold),
		cmocka_unit_test(intervals_know_sizes),
		cmocka_unit_test(noise_grows_and_shrinks),
		cmocka_unit_test(steps),
		cmocka_unit_test(outliers),
		cmocka_unit_test(often_in_the_way),
		cmocka_unit_test(bucket),
		cmocka_unit_test(slow_starts),
		cmocka_unit_test(losses),
		cmocka_unit_test(beside_the_others),
		cmocka_unit_test(table),
		cmocka_unit_test(links_alone),
		cmocka_unit_test(not_known),
		cmocka_unit_test(one_size),
		cmocka_unit_test(estimates_by_hand),
		cmocka_unit_test(running),
		cmocka_unit_test(absurd_transfers),
		cmocka_unit_test(noise_in_every_member),
		cmocka_unit_test(reconnects),
		cmocka_unit_test(same_again_and_no_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
