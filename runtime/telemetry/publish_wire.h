/* SPDX-License-Identifier: MIT */
/*
 * What goes over the state's socket (SOCK_SEQPACKET): one message from the publisher to whoever
 * connects, then it hangs up. With it go the regions' file descriptors, in the order of the bits.
 */
#ifndef KERF_TELEMETRY_PUBLISH_WIRE_H
#define KERF_TELEMETRY_PUBLISH_WIRE_H

#include "kerf_state.h"

struct kerf_state_hello {
	__u32 magic, version; /* KERF_STATE_MAGIC, KERF_STATE_VERSION */
	__u32 regions;	      /* bit enum kerf_region: its file descriptor comes along */
	__u32 reserved;
};

#endif
