/* SPDX-License-Identifier: MIT */
/* A published state in memory of ours, as a node makes it; for tests of readers. */
#ifndef KERF_TESTS_STATE_FIXTURE_H
#define KERF_TESTS_STATE_FIXTURE_H

#include "telemetry/publish.h"
#include "telemetry/record.h"
#include "util/clock.h"

#include <string.h>

struct fixture {
	struct kerf_shared region[KERF_N_REGION];
	int fd[KERF_N_REGION];
	struct kerf_publisher *publisher;
};

static const struct {
	uint32_t bytes, n;
} fixture_layout[KERF_N_REGION] = {
	[KERF_REGION_HEAD] = {sizeof(struct kerf_state_head), 1},
	[KERF_REGION_LINKS] = {sizeof(struct kerf_link_rec), KERF_STATE_LINKS},
	[KERF_REGION_CPUS] = {sizeof(struct kerf_cpu_rec), KERF_STATE_CPUS},
	[KERF_REGION_ENGINES] = {sizeof(struct kerf_engine_rec), KERF_STATE_ENGINES},
	[KERF_REGION_ZONES] = {sizeof(struct kerf_zone_rec), KERF_STATE_ZONES},
	[KERF_REGION_STATE] = {sizeof(struct kerf_state), 1},
	[KERF_REGION_TRANSFERS] = {sizeof(struct kerf_transfer_rec), KERF_STATE_TRANSFERS},
};

static inline struct kerf_state_head *fixture_head(struct fixture *f)
{
	return f->region[KERF_REGION_HEAD].data;
}

/* Regions of memory, not served yet. */
static inline int fixture_make(struct fixture *f)
{
	struct kerf_state_head *head;
	uint32_t i;

	memset(f, 0, sizeof(*f));
	for (i = 0; i < KERF_N_REGION; i++) {
		int r = kerf_shared_open("kerf-test",
					 (size_t)fixture_layout[i].bytes * fixture_layout[i].n,
					 &f->region[i], NULL);

		if (r)
			return r;
		f->fd[i] = f->region[i].fd;
	}
	head = fixture_head(f);
	head->magic = KERF_STATE_MAGIC;
	head->version = KERF_STATE_VERSION;
	head->n_region = KERF_N_REGION;
	head->started_ns = head->alive_ns = kerf_now_ns();
	for (i = 0; i < KERF_N_REGION; i++) {
		head->region[i].record_bytes = fixture_layout[i].bytes;
		head->region[i].records = fixture_layout[i].n;
		head->region[i].source = KERF_SOURCE_RUNTIME;
	}
	return 0;
}

static inline void fixture_free(struct fixture *f)
{
	uint32_t i;

	kerf_publisher_close(f->publisher);
	for (i = 0; i < KERF_N_REGION; i++)
		kerf_shared_close(&f->region[i]);
}

#endif
