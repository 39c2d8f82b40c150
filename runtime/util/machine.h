/* SPDX-License-Identifier: MIT */
/* Which machine this is. */
#ifndef KERF_UTIL_MACHINE_H
#define KERF_UTIL_MACHINE_H

#include "util/base.h"

/*
 * 64 hex digits that stay the same for this box and this CPU model: a hash of
 * /etc/machine-id (the host name where there is none) and the CPU's name. The
 * machine-id itself is confidential (machine-id(5)) and does not leave the box.
 */
void kerf_machine_id(char out[65]);

/* The CPU's name as /proc/cpuinfo or the device tree tells it; "unknown CPU" otherwise. */
void kerf_machine_cpu(char *out, size_t n);

uint64_t kerf_machine_memory(void); /* bytes of RAM */

#endif
