/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What every BPF program here needs, in place of a generated vmlinux.h: the few kernel types that
 * are read, with only the fields that are read, and how a record of kerf_state.h is written.
 *
 * Types below are found by name in the BTF of the running kernel, wherever their fields lie
 * there. A field that some kernel between 5.10 and 6.18 lacks or names otherwise has a flavour
 * (name___what) or is asked for with bpf_core_field_exists(). A program that touches none of
 * these types needs no BTF of the kernel.
 */
#ifndef KERF_BPF_H
#define KERF_BPF_H

#include "kerf_state.h"

#include <linux/bpf.h>

#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>

#include <stdbool.h>
#include <stddef.h>

#ifndef barrier
#define barrier() asm volatile("" ::: "memory")
#endif

#define KERF_KERNEL_TYPE __attribute__((preserve_access_index))

struct tcp_sock {
	__u32 snd_nxt;
	__u32 write_seq;
	__u32 mdev_us;
	__u32 delivered;
	__u8 rate_app_limited : 1;
} KERF_KERNEL_TYPE;

/*
 * A map behind a region of the state: an array that user space maps and that is frozen once
 * loaded, so that programs alone write it.
 */
#define KERF_REGION_MAP(name, record, n)                                                         \
	struct {                                                                                 \
		__uint(type, BPF_MAP_TYPE_ARRAY);                                                \
		__uint(map_flags, BPF_F_MMAPABLE);                                               \
		__uint(max_entries, n);                                                          \
		__type(key, __u32);                                                              \
		__type(value, record);                                                           \
	} name SEC(".maps")

/*
 * Around every change of a record with seq and check (first and last word). One writer at a
 * time. BPF has no store that is ordered against others on arm64 before Linux 5.18: there the
 * check word alone tells readers a torn copy.
 */
static __always_inline void kerf_record_begin(void *record)
{
	volatile __u32 *seq = record;

	*seq |= 1;
	barrier();
}

static __always_inline void kerf_record_end(void *record, __u32 size)
{
	volatile __u32 *seq = record;

	barrier();
	((__u32 *)record)[size / 4 - 1] = kerf_record_check(record, size);
	barrier();
	*seq += 1;
}

#endif
