/* SPDX-License-Identifier: MIT */
/*
 * How long a transfer takes by what is known of a link: the formula behind struct
 * kerf_link_estimate (kerf_state.h), for whoever predicts and whoever plans.
 */
#ifndef KERF_UTIL_LINK_TIME_H
#define KERF_UTIL_LINK_TIME_H

/*
 * Seconds that slow start (RFC 5681, section 3.1) waits in a transfer: windows of window_bytes,
 * twice that, ... leave; before each but the first the sender waits until a round is over, if
 * the window before took less. window_bytes or round_s 0: it does not wait.
 */
static inline double kerf_slow_start_s(double bytes, double byte_s, double window_bytes,
				       double round_s)
{
	double wait = 0;
	int i;

	if (window_bytes <= 0 || round_s <= 0)
		return 0;
	for (i = 0; i < 40 && bytes > window_bytes && window_bytes * byte_s < round_s; i++) {
		wait += round_s - window_bytes * byte_s;
		bytes -= window_bytes;
		window_bytes *= 2;
	}
	return wait;
}

/*
 * Seconds for bytes that are ready wait_s before those ahead of them have gone. A line that begins
 * below 0 says nothing about the smallest transfers: none takes less than least_s.
 */
static inline double kerf_link_wait_s(double bytes, double wait_s, double latency_s,
				      double least_s, double byte_s, double window_bytes,
				      double round_s)
{
	double wire = bytes * byte_s, t = wait_s + latency_s + wire;

	if (least_s < wire / 10)
		least_s = wire / 10;
	return (t > least_s ? t : least_s) +
	       kerf_slow_start_s(bytes, byte_s, window_bytes, round_s);
}

static inline double kerf_link_time_s(double bytes, double latency_s, double byte_s,
				      double window_bytes, double round_s)
{
	return kerf_link_wait_s(bytes, 0, latency_s, 0, byte_s, window_bytes, round_s);
}

#endif
