// SPDX-License-Identifier: GPL-2.0-only
/* Checks over copied bytes: see the header. */
#ifdef __KERNEL__
#include <linux/errno.h>
#else
#include <errno.h>
#endif

#include "kerf_validate.h"

#define SIM_MAX_DURATION_US 10000000u

int kerf_validate_range(__u64 offset, __u64 size, __u64 total)
{
	if (!size || offset > total || size > total - offset)
		return -EINVAL;
	return 0;
}

int kerf_validate_array(const struct drm_kerf_obj_array *array, __u32 max)
{
	if (!array->count)
		return 0;
	if (array->count > max || !array->stride || array->stride > KERF_MAX_ARRAY_STRIDE ||
	    array->stride % 8)
		return -EINVAL;
	return 0;
}

int kerf_validate_submit(const struct drm_kerf_submit *submit)
{
	if (submit->flags || !submit->jobs.count)
		return -EINVAL;
	return kerf_validate_array(&submit->jobs, KERF_MAX_SUBMIT_JOBS);
}

int kerf_validate_job(const struct drm_kerf_job *job)
{
	if (job->pad || job->flags & ~KERF_JOB_EVENT || job->cmd_size > KERF_MAX_CMD_SIZE ||
	    job->timeout_ms > KERF_MAX_TIMEOUT_MS)
		return -EINVAL;
	if (kerf_validate_array(&job->bos, KERF_MAX_JOB_BOS))
		return -EINVAL;
	return kerf_validate_array(&job->syncs, KERF_MAX_JOB_SYNCS);
}

int kerf_validate_bo_ref(const struct drm_kerf_bo_ref *ref)
{
	if (!ref->flags || ref->flags & ~(KERF_BO_REF_READ | KERF_BO_REF_WRITE))
		return -EINVAL;
	/* whether it lies in the BO is known once that is found */
	return kerf_validate_range(ref->offset, ref->size, ~(__u64)0);
}

int kerf_validate_sync(const struct drm_kerf_sync *sync)
{
	switch (sync->type) {
	case KERF_SYNC_WAIT_QUEUE:
		return sync->point ? 0 : -EINVAL;
	case KERF_SYNC_WAIT_SYNCOBJ:
	case KERF_SYNC_SIGNAL_SYNCOBJ:
		return 0;
	default:
		return -EINVAL;
	}
}

int kerf_validate_sim(const struct drm_kerf_sim_cmd *cmd, __u32 size)
{
	if (!size)
		return 0;
	if (size != sizeof(*cmd) || cmd->flags || cmd->duration_us > SIM_MAX_DURATION_US)
		return -EINVAL;
	return 0;
}
