/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The events of a scheduler's jobs under the names that they have in kernels newer than 6.12, with
 * the same arguments, for kernels that do not have them.
 */
#undef TRACE_SYSTEM
#define TRACE_SYSTEM gpu_jobs

#if !defined(GPU_JOBS_TRACE_H) || defined(TRACE_HEADER_MULTI_READ)
#define GPU_JOBS_TRACE_H

#include <linux/tracepoint.h>

#include <drm/gpu_scheduler.h>

DECLARE_EVENT_CLASS(gpu_jobs_job,
	TP_PROTO(struct drm_sched_job *sched_job, struct drm_sched_entity *entity),
	TP_ARGS(sched_job, entity),
	TP_STRUCT__entry(__field(void *, job)),
	TP_fast_assign(__entry->job = sched_job;),
	TP_printk("job=%p", __entry->job)
);

DEFINE_EVENT(gpu_jobs_job, drm_sched_job_queue,
	TP_PROTO(struct drm_sched_job *sched_job, struct drm_sched_entity *entity),
	TP_ARGS(sched_job, entity));
DEFINE_EVENT(gpu_jobs_job, drm_sched_job_run,
	TP_PROTO(struct drm_sched_job *sched_job, struct drm_sched_entity *entity),
	TP_ARGS(sched_job, entity));

#endif

#undef TRACE_INCLUDE_PATH
#define TRACE_INCLUDE_PATH .
#undef TRACE_INCLUDE_FILE
#define TRACE_INCLUDE_FILE gpu_jobs_trace
#include <trace/define_trace.h>
