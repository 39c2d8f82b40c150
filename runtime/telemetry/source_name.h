/* SPDX-License-Identifier: MIT */
/* Sources of figures by their names, as they are shown and stored. */
#ifndef KERF_TELEMETRY_SOURCE_NAME_H
#define KERF_TELEMETRY_SOURCE_NAME_H

#include "kerf_state.h"

/* "none", "runtime", "proc", "tcp_info", "bpf", "btf", "peer"; "unknown" for any other value. */
const char *kerf_source_name(unsigned int source);

/* -1: no source has that name. */
int kerf_source_find(const char *name);

#endif
