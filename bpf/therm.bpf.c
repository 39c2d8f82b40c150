/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Temperatures as the kernel reads them for its own governors, and frequencies as they are set: no
 * sensor is asked once more for us. Half of the records are those of the first thermal zones, half
 * those of the first CPUs, by number: boards that throttle have few of both, and what has no record
 * here is read from /sys. A zone is read, and a policy set, under its own lock: a record has one
 * writer.
 */
#include "kerf_bpf.h"

struct thermal_zone_device {
	int id;
	char type[16]; /* 20 bytes since 4.10; a record's name holds 15 of them */
	int temperature;
} KERF_KERNEL_TYPE;

KERF_REGION_MAP(zones, struct kerf_zone_rec, KERF_STATE_ZONES);

#define HALF (KERF_STATE_ZONES / 2)

static __always_inline struct kerf_zone_rec *record_of(__u32 id, __u32 first)
{
	__u32 i = first + id;

	return id < HALF ? bpf_map_lookup_elem(&zones, &i) : NULL;
}

SEC("tp_btf/thermal_temperature")
int BPF_PROG(kerf_thermal, struct thermal_zone_device *tz)
{
	struct kerf_zone_rec *rec = record_of((__u32)tz->id, 0);

	if (!rec)
		return 0;
	kerf_record_begin(rec);
	rec->kind = KERF_ZONE_THERMAL;
	rec->id = (__u32)tz->id;
	rec->temperature_mc = tz->temperature;
	rec->source = KERF_SOURCE_BTF;
	bpf_probe_read_kernel_str(rec->name, sizeof(rec->name), tz->type);
	rec->updated_ns = bpf_ktime_get_ns();
	kerf_record_end(rec, sizeof(*rec));
	return 0;
}

SEC("tp_btf/cpu_frequency")
int BPF_PROG(kerf_frequency, unsigned int khz, unsigned int cpu)
{
	struct kerf_zone_rec *rec = record_of(cpu, HALF);

	if (!rec)
		return 0;
	kerf_record_begin(rec);
	rec->kind = KERF_ZONE_FREQ;
	rec->id = cpu;
	rec->freq_khz = khz;
	rec->source = KERF_SOURCE_BTF;
	rec->updated_ns = bpf_ktime_get_ns();
	kerf_record_end(rec, sizeof(*rec));
	return 0;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
