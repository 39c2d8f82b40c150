/* SPDX-License-Identifier: MIT */
/*
 * What the path to a node can do, measured by a short exchange with its sink and source
 * resources. Takes about 1.5 s on a 10 Mbit/s link, less on a faster one, at most some
 * seconds; sends and receives at most 64 MiB.
 *
 * Rates are of payload (what a tensor's bytes see), not of Ethernet frames: 1448 of 1514
 * bytes of a full frame are payload.
 */
#ifndef KERF_NET_LINK_PROBE_H
#define KERF_NET_LINK_PROBE_H

#include "util/err.h"

struct kerf_link_state {
	double rtt_s;	  /* the kernel's smallest round trip (TCP_INFO) */
	double request_s; /* median time of a small request, the node's handling included */
	double up_bytes_s, down_bytes_s; /* from here to the node; from it */
	double tcp_rate_bytes_s; /* TCP_INFO's delivery rate while sending; 0: not limited by the path */
	char source[16];	 /* "probe" */
};

/* url: "http://host:port[/...]". Blocks. -EIO, -ETIMEDOUT, -EPROTO with a sentence. */
int kerf_link_probe(const char *url, bool insecure, struct kerf_link_state *state,
		    struct kerf_err *err);

#endif
