/* SPDX-License-Identifier: MIT */
/*
 * What whoever moves data tells whoever measures, as values: neither knows the other.
 *
 * Called from any thread, often under locks: an observer copies what it needs and returns; it
 * does not block, does not call back, does not keep pointers.
 */
#ifndef KERF_UTIL_OBSERVER_H
#define KERF_UTIL_OBSERVER_H

#include "kerf_state.h"

#include <stddef.h>

struct kerf_observer {
	void *user;
	/* A connection to the node at url ("http://host:port") is up, or about to close. */
	void (*connected)(void *user, const char *url, int fd);
	void (*disconnected)(void *user, const char *url, int fd);
	/* One direction of one exchange is over. */
	void (*transfer)(void *user, const char *url, const struct kerf_transfer *t);
	/*
	 * The peer's report of its own load, as it came: not checked, not terminated. Each new one.
	 */
	void (*load)(void *user, const char *url, const char *text, size_t n);
	/*
	 * A request begins on fd: its way there, so down, hold_ns and end_ns are 0. It ends with
	 * its transfer(), with the next that begins on fd, or with the connection. bytes are the
	 * request's and nothing else is sent on fd until then.
	 */
	void (*started)(void *user, const char *url, int fd, const struct kerf_transfer *t);
};

#endif
