/* SPDX-License-Identifier: MIT */
#include "telemetry/source_name.h"

#include <string.h>

static const char *const names[KERF_N_SOURCE] = {
	[KERF_SOURCE_NONE] = "none", [KERF_SOURCE_RUNTIME] = "runtime",
	[KERF_SOURCE_PROC] = "proc", [KERF_SOURCE_TCP_INFO] = "tcp_info",
	[KERF_SOURCE_BPF] = "bpf",   [KERF_SOURCE_BTF] = "btf",
	[KERF_SOURCE_PEER] = "peer",
};

const char *kerf_source_name(unsigned int source)
{
	return source < KERF_N_SOURCE ? names[source] : "unknown";
}

int kerf_source_find(const char *name)
{
	int i;

	for (i = 0; i < KERF_N_SOURCE; i++)
		if (!strcmp(name, names[i]))
			return i;
	return -1;
}
