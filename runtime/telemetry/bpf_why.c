// SPDX-License-Identifier: MIT
/* Why a BPF object could not be loaded or attached, in a sentence with advice. */
#include "telemetry/bpf_priv.h"

#include <stdio.h>
#include <string.h>

void kerf_bpf_explain(const struct kerf_bpf *b, const struct kerf_bpf_ops *ops, int code,
		      const char *log, char *why, size_t size)
{
	snprintf(why, size, "%s", strerror(-code));
}
