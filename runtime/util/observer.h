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
	/* The peer's report of its own load, as it came: not checked, not terminated. Each new one. */
	void (*load)(void *user, const char *url, const char *text, size_t n);
};

#endif
