/* SPDX-License-Identifier: MIT */
#include "telemetry/ladder.h"

#include "telemetry/share.h"

#include <stdio.h>
#include <string.h>

/* The steps of a region from the best down; the first that stands is taken. */
struct step {
	enum kerf_source source;
	int object; /* the program it needs; -1: none */
};

#define MOST_STEPS 4

static const struct step steps[KERF_N_REGION][MOST_STEPS] = {
	[KERF_REGION_HEAD] = {{KERF_SOURCE_RUNTIME, -1}},
	[KERF_REGION_LINKS] = {{KERF_SOURCE_BTF, KERF_BPF_LINK_CORE},
			       {KERF_SOURCE_BPF, KERF_BPF_LINK},
			       {KERF_SOURCE_TCP_INFO, -1}},
	[KERF_REGION_CPUS] = {{KERF_SOURCE_BTF, KERF_BPF_SCHED},
			      {KERF_SOURCE_BPF, KERF_BPF_SCHED_RAW},
			      {KERF_SOURCE_PROC, -1}},
	[KERF_REGION_ENGINES] = {{KERF_SOURCE_BPF, KERF_BPF_ENGINE},
				 {KERF_SOURCE_BTF, KERF_BPF_GPU},
				 {KERF_SOURCE_RUNTIME, -1}},
	[KERF_REGION_ZONES] = {{KERF_SOURCE_BTF, KERF_BPF_THERM}, {KERF_SOURCE_PROC, -1}},
	[KERF_REGION_STATE] = {{KERF_SOURCE_RUNTIME, -1}},
	[KERF_REGION_TRANSFERS] = {{KERF_SOURCE_RUNTIME, -1}},
};

/* NULL: it stands. */
static const char *why_not(const struct kerf_bpf *bpf, enum kerf_source best, const struct step *s)
{
	if (!kerf_source_allowed(s->source, best))
		return "not tried: a lesser source was asked for";
	if (s->object < 0)
		return NULL;
	return bpf ? kerf_bpf_why(bpf, (enum kerf_bpf_object)s->object) : "no program was tried";
}

/* "link_core, link: why": steps that fail alike are told together. */
static void take(const struct kerf_bpf *bpf, enum kerf_source best, const struct step *step,
		 struct kerf_region_info *info)
{
	const char *why = why_not(bpf, best, step);
	size_t at = 0, size = sizeof(info->reason);
	int i;

	memset(info->reason, 0, size);
	for (i = 0; why && at < size; i++) {
		const char *name = step[i].object < 0 ? "" : kerf_bpf_name(step[i].object);
		const char *next = NULL;
		bool more = i + 1 < MOST_STEPS && step[i + 1].source;

		if (more)
			next = why_not(bpf, best, &step[i + 1]);
		at += (size_t)snprintf(info->reason + at, size - at, "%s", name);
		if (at < size && (!next || strcmp(why, next) != 0))
			at += (size_t)snprintf(info->reason + at, size - at, "%s%s%s",
					       name[0] ? ": " : "", why, next ? "; " : "");
		else if (at < size && name[0])
			at += (size_t)snprintf(info->reason + at, size - at, ", ");
		why = next;
		if (!more)
			return; /* none stands */
	}
	info->source = (__u8)step[i].source;
}

void kerf_ladder_regions(const struct kerf_bpf *bpf, enum kerf_source best,
			 struct kerf_state_head *head)
{
	int i;

	for (i = 0; i < KERF_N_REGION; i++) {
		struct kerf_region_info *info = &head->region[i];

		info->record_bytes = kerf_region_size[i][0];
		info->records = kerf_region_size[i][1];
		take(bpf, best, steps[i], info);
	}
}
