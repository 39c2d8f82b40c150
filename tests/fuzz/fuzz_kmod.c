/* SPDX-License-Identifier: MIT */
/*
 * What the module checks of the structs that users give it (kmod/kerf_validate.c, compiled here as
 * it stands): the first byte picks the check, the rest is the struct, zero where it ends early.
 * Whatever passes must keep the promises that the code behind relies on, stated here anew in wide
 * numbers.
 */
#include "fuzz/fuzz.h"

#include "../../kmod/kerf_validate.c"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

/* The input as the kernel would copy it: a struct of this size, its tail zero */
#define COPY(to, data, size)                                                    \
	do {                                                                    \
		memset(&(to), 0, sizeof(to));                                   \
		memcpy(&(to), data, (size) < sizeof(to) ? (size) : sizeof(to)); \
	} while (0)

/* Refused with -EINVAL exactly when it is not good */
static void expect(int ret, bool good)
{
	if (ret != (good ? 0 : -EINVAL))
		abort();
}

static bool good_array(const struct drm_kerf_obj_array *a, uint64_t max)
{
	return a->count == 0 ||
	       (a->count <= max && a->stride >= 8 && a->stride <= 256 && a->stride % 8 == 0);
}

static void range(const uint8_t *data, size_t size)
{
	uint64_t v[3];

	COPY(v, data, size);
	expect(kerf_validate_range(v[0], v[1], v[2]),
	       v[1] && (unsigned __int128)v[0] + v[1] <= v[2]);
}

static void array(const uint8_t *data, size_t size)
{
	struct {
		struct drm_kerf_obj_array a;
		uint32_t max;
	} v;

	COPY(v, data, size);
	expect(kerf_validate_array(&v.a, v.max), good_array(&v.a, v.max));
}

static void submit(const uint8_t *data, size_t size)
{
	struct drm_kerf_submit v;

	COPY(v, data, size);
	expect(kerf_validate_submit(&v),
	       !v.flags && v.jobs.count && good_array(&v.jobs, KERF_MAX_SUBMIT_JOBS));
}

static void job(const uint8_t *data, size_t size)
{
	struct drm_kerf_job v;

	COPY(v, data, size);
	expect(kerf_validate_job(&v), !v.pad && (v.flags | KERF_JOB_EVENT) == KERF_JOB_EVENT &&
					      v.cmd_size <= KERF_MAX_CMD_SIZE &&
					      v.timeout_ms <= KERF_MAX_TIMEOUT_MS &&
					      good_array(&v.bos, KERF_MAX_JOB_BOS) &&
					      good_array(&v.syncs, KERF_MAX_JOB_SYNCS));
}

static void bo_ref(const uint8_t *data, size_t size)
{
	struct drm_kerf_bo_ref v;

	COPY(v, data, size);
	expect(kerf_validate_bo_ref(&v),
	       v.flags >= 1 && v.flags <= 3 && v.size &&
		       (unsigned __int128)v.offset + v.size <= UINT64_MAX);
}

static void sync(const uint8_t *data, size_t size)
{
	struct drm_kerf_sync v;

	COPY(v, data, size);
	expect(kerf_validate_sync(&v),
	       v.type <= KERF_SYNC_SIGNAL_SYNCOBJ && (v.type != KERF_SYNC_WAIT_QUEUE || v.point));
}

/* Commands are as long as they are: a byte read beyond them is seen. */
static void sim(const uint8_t *data, size_t size)
{
	struct drm_kerf_sim_cmd *cmd = NULL;

	if (size > KERF_MAX_CMD_SIZE)
		return;
	if (size) {
		cmd = malloc(size);
		if (!cmd)
			abort();
		memcpy(cmd, data, size);
	}
	expect(kerf_validate_sim(cmd, (uint32_t)size),
	       !size || (size == sizeof(*cmd) && !cmd->flags && cmd->duration_us <= 10000000u));
	free(cmd);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static void (*const checks[])(const uint8_t *, size_t) = {range,  array, submit, job,
								  bo_ref, sync,	 sim};

	if (size)
		checks[data[0] % (sizeof(checks) / sizeof(checks[0]))](data + 1, size - 1);
	return 0;
}

void kerf_fuzz_seeds(void (*add)(const void *data, size_t size))
{
	static const struct drm_kerf_obj_array one = {.stride = 64, .count = 1};
	const struct drm_kerf_submit s = {.queue_id = 1, .jobs = one};
	const struct drm_kerf_job j = {.cmd_size = 8, .bos = one, .syncs = one};
	/* At the limits, which a mutation then oversteps by little */
	const struct drm_kerf_obj_array bos = {.stride = KERF_MAX_ARRAY_STRIDE,
					       .count = KERF_MAX_JOB_BOS};
	const struct drm_kerf_obj_array syncs = {.stride = 8, .count = KERF_MAX_JOB_SYNCS};
	const struct drm_kerf_job l = {.cmd_size = KERF_MAX_CMD_SIZE,
				       .timeout_ms = KERF_MAX_TIMEOUT_MS,
				       .bos = bos,
				       .syncs = syncs};
	const struct drm_kerf_submit m = {.jobs = {.stride = 8, .count = KERF_MAX_SUBMIT_JOBS}};
	const struct drm_kerf_bo_ref b = {.flags = KERF_BO_REF_WRITE, .size = 1};
	const struct drm_kerf_sync y = {.type = KERF_SYNC_WAIT_QUEUE, .point = 1};
	const struct drm_kerf_sim_cmd c = {.duration_us = 10000000};
	const uint64_t r[3] = {0, 1, 1};
	const struct {
		uint8_t check;
		const void *data;
		size_t size;
	} seeds[] = {{0, r, sizeof(r)},	 {1, &one, sizeof(one)}, {2, &s, sizeof(s)},
		     {2, &m, sizeof(m)}, {3, &j, sizeof(j)},	 {3, &l, sizeof(l)},
		     {4, &b, sizeof(b)}, {5, &y, sizeof(y)},	 {6, &c, sizeof(c)}};
	uint8_t input[256];
	size_t i;

	for (i = 0; i < sizeof(seeds) / sizeof(seeds[0]); i++) {
		input[0] = seeds[i].check;
		memcpy(input + 1, seeds[i].data, seeds[i].size);
		add(input, 1 + seeds[i].size);
	}
}
