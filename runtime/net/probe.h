/* SPDX-License-Identifier: MIT */
/*
 * What the path to a node can do, when nothing has been sent there yet: a train of transfers of
 * growing size to its sink and from its source, each direction by itself. It ends when two
 * transfers that lasted long enough agree, or when what it may spend is spent; what it found is
 * then said with as wide an interval as is honest.
 *
 * Two ways to spend. The short train is for planning: pauses as long as its transfers, so that
 * it takes half of the link at most. On 20 Mbit/s it moves some 250 KB in 130 ms. It does not
 * see through a shaper whose bucket holds more than it may send. The thorough one does, up to
 * 32 MiB each way: it takes the whole link for one to some seconds.
 *
 * Rates are of payload (what a tensor's bytes see), not of Ethernet frames: 1448 of 1514 bytes
 * of a full frame are payload.
 */
#ifndef KERF_NET_PROBE_H
#define KERF_NET_PROBE_H

#include "util/err.h"
#include "util/observer.h"

struct kerf_probe_limits {
	uint32_t bytes;	    /* each way */
	uint32_t link_ms;   /* time with bytes under way, each way; more on paths of long delay */
	uint32_t stream_ms; /* how long one transfer should last, to be believed */
	double agree;	    /* two are the same rate if their ratio is below this */
	double share;	    /* of the time that transfers may take; the rest is pauses */
	uint32_t wall_ms;   /* all of it, whatever path and node do: a slower one is no answer */
};

extern const struct kerf_probe_limits kerf_probe_short, kerf_probe_thorough;

struct kerf_probe {
	double rtt_s;	  /* the kernel's smallest round trip (TCP_INFO) */
	double request_s; /* median of a small request, what the node held it not counted */
	double tcp_rate_bytes_s; /* TCP_INFO's delivery rate while sending; 0: not limited by the path */
	uint64_t bytes;	  /* sent and received */
	struct kerf_link_estimate up, down; /* kerf_state.h; each has half of request_s */
};

/*
 * url: "http://host:port[/...]". Blocks. observer (or NULL) is told each transfer, as of a job.
 * -EIO, -ETIMEDOUT, -EPROTO with a sentence.
 */
int kerf_probe_run(const char *url, bool insecure, const struct kerf_probe_limits *limits,
		   const struct kerf_observer *observer, struct kerf_probe *probe,
		   struct kerf_err *err);

#endif
