/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Checks of what a user gave, over bytes already copied. They need nothing of the kernel, so that
 * the host compiles and fuzzes the same code. All return 0 or -EINVAL.
 */
#ifndef KERF_VALIDATE_H
#define KERF_VALIDATE_H

#include "../uapi/kerf_accel.h"

/* @size bytes, not 0, at @offset lie in @total */
int kerf_validate_range(__u64 offset, __u64 size, __u64 total);
/* at most @max elements; the stride is one that copying can take */
int kerf_validate_array(const struct drm_kerf_obj_array *array, __u32 max);
int kerf_validate_submit(const struct drm_kerf_submit *submit);
int kerf_validate_job(const struct drm_kerf_job *job);
int kerf_validate_bo_ref(const struct drm_kerf_bo_ref *ref);
int kerf_validate_sync(const struct drm_kerf_sync *sync);
/* the commands of a job for the sim engine; @cmd may be NULL if @size is 0 */
int kerf_validate_sim(const struct drm_kerf_sim_cmd *cmd, __u32 size);

#endif
