/* SPDX-License-Identifier: MIT */
#include "telemetry/share.h"

#include "telemetry/publish.h"
#include "telemetry/record.h"

#include <stdlib.h>
#include <string.h>

const uint32_t kerf_region_size[KERF_N_REGION][2] = {
	[KERF_REGION_HEAD] = {sizeof(struct kerf_state_head), 1},
	[KERF_REGION_LINKS] = {sizeof(struct kerf_link_rec), KERF_STATE_LINKS},
	[KERF_REGION_CPUS] = {sizeof(struct kerf_cpu_rec), KERF_STATE_CPUS},
	[KERF_REGION_ENGINES] = {sizeof(struct kerf_engine_rec), KERF_STATE_ENGINES},
	[KERF_REGION_ZONES] = {sizeof(struct kerf_zone_rec), KERF_STATE_ZONES},
	[KERF_REGION_STATE] = {sizeof(struct kerf_state), 1},
	[KERF_REGION_TRANSFERS] = {sizeof(struct kerf_transfer_rec), KERF_STATE_TRANSFERS},
};

static const char *const names[KERF_N_REGION] = {"kerf-head",  "kerf-links", "kerf-cpus",
						 "kerf-engines", "kerf-zones", "kerf-state",
						 "kerf-transfers"};

struct kerf_share {
	struct kerf_shared own[KERF_N_REGION]; /* data NULL: a program's */
	struct kerf_publisher *publisher;
};

int kerf_share_open(const char *path, const struct kerf_bpf *bpf,
		    const struct kerf_state_head *head, struct kerf_share **out,
		    struct kerf_err *err)
{
	struct kerf_share *s = calloc(1, sizeof(*s));
	int fd[KERF_N_REGION], i, r = 0;
	size_t size;

	*out = NULL;
	if (!s)
		return kerf_fail(err, -ENOMEM, "telemetry: out of memory");
	for (i = 0; i < KERF_N_REGION && !r; i++) {
		if (bpf && head->region[i].source >= KERF_SOURCE_BPF &&
		    kerf_bpf_region(bpf, i, &fd[i], &size))
			continue;
		size = (size_t)kerf_region_size[i][0] * kerf_region_size[i][1];
		r = kerf_shared_open(names[i], size, &s->own[i], err);
		fd[i] = s->own[i].fd;
	}
	if (!r) {
		memcpy(s->own[KERF_REGION_HEAD].data, head, sizeof(*head));
		r = kerf_publisher_open(path, fd, &s->publisher, err);
	}
	if (r) {
		kerf_share_close(s);
		return r;
	}
	*out = s;
	return 0;
}

void kerf_share_close(struct kerf_share *s)
{
	int i;

	if (!s)
		return;
	kerf_publisher_close(s->publisher);
	for (i = 0; i < KERF_N_REGION; i++)
		if (s->own[i].data)
			kerf_shared_close(&s->own[i]);
	free(s);
}

void kerf_share_regions(struct kerf_share *s, const struct kerf_state_head *head)
{
	struct kerf_state_head *to = s->own[KERF_REGION_HEAD].data;

	memcpy(to->region, head->region, sizeof(to->region));
}

void kerf_share_beat(struct kerf_share *s, uint64_t now_ns)
{
	struct kerf_state_head *head = s->own[KERF_REGION_HEAD].data;

	__atomic_store_n(&head->alive_ns, now_ns, __ATOMIC_RELAXED);
}

void kerf_share_state(struct kerf_share *s, const struct kerf_state *state)
{
	kerf_record_write(s->own[KERF_REGION_STATE].data, state, sizeof(*state));
}

/* Records with seq; those that were never written are left so. */
static void write_all(struct kerf_share *s, enum kerf_region r, const void *from)
{
	uint32_t size = kerf_region_size[r][0], i;
	char *to = s->own[r].data;

	for (i = 0; to && from && i < kerf_region_size[r][1]; i++) {
		const kerf_half_word *rec = (const kerf_half_word *)((const char *)from + i * size);
		const kerf_half_word *old = (const kerf_half_word *)(to + i * size);

		/* A record's second word is 0 only where nothing is. */
		if (rec[1] || old[1])
			kerf_record_write(to + i * size, rec, size);
	}
}

void kerf_share_links(struct kerf_share *s, const struct kerf_link_rec *link)
{
	write_all(s, KERF_REGION_LINKS, link);
}

void kerf_share_cpus(struct kerf_share *s, const struct kerf_cpu_rec *cpu)
{
	write_all(s, KERF_REGION_CPUS, cpu);
}

void kerf_share_zones(struct kerf_share *s, const struct kerf_zone_rec *zone)
{
	write_all(s, KERF_REGION_ZONES, zone);
}

void kerf_share_engines(struct kerf_share *s, const struct kerf_engine_rec *rec, uint32_t n)
{
	struct kerf_engine_rec *to = s->own[KERF_REGION_ENGINES].data;
	uint32_t i, k;

	/* Counters that each stand for themselves: no seq, but whole words. */
	for (i = 0; to && i < KERF_STATE_ENGINES; i++) {
		static const struct kerf_engine_rec none;
		const kerf_copy_word *from = (const kerf_copy_word *)(i < n ? &rec[i] : &none);

		for (k = 0; k < sizeof(*rec) / sizeof(*from); k++)
			__atomic_store_n((kerf_copy_word *)&to[i] + k, from[k], __ATOMIC_RELAXED);
	}
}

struct kerf_transfer_rec *kerf_share_transfers(struct kerf_share *s)
{
	return s->own[KERF_REGION_TRANSFERS].data;
}
