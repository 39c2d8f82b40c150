/* SPDX-License-Identifier: MIT */
/*
 * A node's load as text, for the Kerf-Load header of replies and the status resource
 * (docs/protocol.md): "v=1 cpus=4 fair=1203 rt=0 ..." words of name=value, any order, unknown
 * names ignored, at most KERF_LOAD_TEXT bytes. Reading trusts nothing.
 */
#ifndef KERF_TELEMETRY_LOAD_TEXT_H
#define KERF_TELEMETRY_LOAD_TEXT_H

#include "kerf_state.h"
#include "util/err.h"

/* Length without the terminating NUL; what does not fit (engines) is left out whole. */
size_t kerf_load_format(const struct kerf_node_load *load, char *text, size_t size);

/*
 * -EINVAL with a sentence for another version, a malformed word or an absurd figure (more busy
 * CPUs than CPUs, more memory available than there is, ...): *load is untouched then.
 * updated_ns becomes now_ns, source KERF_SOURCE_PEER.
 */
int kerf_load_parse(const char *text, size_t n, uint64_t now_ns, struct kerf_node_load *load,
		    struct kerf_err *err);

#endif
