/* SPDX-License-Identifier: MIT */
/*
 * The kernel module's checks of what a user gave to SUBMIT, compiled for the host: whatever they
 * let pass stays within the interface's limits, counted here in numbers that cannot overflow.
 */
#include <stdlib.h>
#include <string.h>

#include "../../kmod/kerf_validate.c"
#include "fuzz.h"

typedef unsigned __int128 wide;

#define PROMISE(cond) ((cond) ? (void)0 : abort())

/* The i-th @size bytes of the input, zeros where it ends */
static const uint8_t *input;
static size_t input_size;

static void take(void *to, size_t size)
{
	size_t n = size < input_size ? size : input_size;

	memset(to, 0, size);
	memcpy(to, input, n);
	input += n;
	input_size -= n;
}

static void check_array(const struct drm_kerf_obj_array *a, uint32_t max)
{
	PROMISE(a->count <= max);
	if (a->count) {
		PROMISE(a->stride >= 8 && a->stride <= KERF_MAX_ARRAY_STRIDE);
		PROMISE(a->stride % 8 == 0);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct drm_kerf_submit submit;
	struct drm_kerf_job job;
	struct drm_kerf_bo_ref ref;
	struct drm_kerf_sync sync;
	struct drm_kerf_sim_cmd cmd;
	uint64_t range[3];
	uint32_t cmd_size;

	input = data;
	input_size = size;
	take(range, sizeof(range));
	take(&ref, sizeof(ref));
	take(&sync, sizeof(sync));
	take(&submit, sizeof(submit));
	take(&job, sizeof(job));
	take(&cmd, sizeof(cmd));
	take(&cmd_size, sizeof(cmd_size));

	if (!kerf_validate_range(range[0], range[1], range[2]))
		PROMISE(range[1] && (wide)range[0] + range[1] <= range[2]);
	else
		PROMISE(!range[1] || (wide)range[0] + range[1] > range[2]);

	if (!kerf_validate_bo_ref(&ref)) {
		PROMISE(ref.flags == KERF_BO_REF_READ || ref.flags == KERF_BO_REF_WRITE ||
			ref.flags == (KERF_BO_REF_READ | KERF_BO_REF_WRITE));
		PROMISE(ref.size && ref.offset + ref.size > ref.offset);
	}
	if (!kerf_validate_sync(&sync))
		PROMISE(sync.type <= KERF_SYNC_SIGNAL_SYNCOBJ &&
			(sync.type != KERF_SYNC_WAIT_QUEUE || sync.point));
	if (!kerf_validate_submit(&submit)) {
		PROMISE(!submit.flags && submit.jobs.count);
		check_array(&submit.jobs, KERF_MAX_SUBMIT_JOBS);
	}
	if (!kerf_validate_job(&job)) {
		PROMISE(!job.pad && !(job.flags & ~KERF_JOB_EVENT));
		PROMISE(job.cmd_size <= KERF_MAX_CMD_SIZE && job.timeout_ms <= KERF_MAX_TIMEOUT_MS);
		check_array(&job.bos, KERF_MAX_JOB_BOS);
		check_array(&job.syncs, KERF_MAX_JOB_SYNCS);
	}
	if (!kerf_validate_sim(&cmd, cmd_size) && cmd_size)
		PROMISE(cmd_size == sizeof(cmd) && !cmd.flags && cmd.duration_us <= 10000000);
	return 0;
}

void kerf_fuzz_seeds(void (*add)(const void *data, size_t size))
{
	struct {
		uint64_t range[3];
		struct drm_kerf_bo_ref ref;
		struct drm_kerf_sync sync;
		struct drm_kerf_submit submit;
		struct drm_kerf_job job;
		struct drm_kerf_sim_cmd cmd;
		uint32_t cmd_size, pad;
	} good = {
		.range = {4096, 4096, 8192},
		.ref = {.handle = 1, .flags = KERF_BO_REF_READ, .offset = 4096, .size = 64},
		.sync = {.type = KERF_SYNC_WAIT_QUEUE, .handle = 1, .point = 1},
		.submit = {.queue_id = 1,
			   .jobs = {.stride = sizeof(struct drm_kerf_job), .count = 64}},
		.job = {.cmd_size = 8,
			.flags = KERF_JOB_EVENT,
			.bos = {.stride = sizeof(struct drm_kerf_bo_ref), .count = 64},
			.syncs = {.stride = sizeof(struct drm_kerf_sync), .count = 64}},
		.cmd = {.duration_us = 1000},
		.cmd_size = sizeof(struct drm_kerf_sim_cmd),
	};

	add(&good, sizeof(good));
}
