// SPDX-License-Identifier: GPL-2.0-only
#include "kerf_drv.h"

#define CREATE_TRACE_POINTS
#include "kerf_trace.h"

static u64 kerf_job_bytes(const struct kerf_job *job)
{
	u64 bytes = 0;
	u32 i;

	for (i = 0; i < job->n_bos; i++)
		bytes += job->bos[i].size;
	return bytes;
}

static u32 kerf_engine_waiting(const struct kerf_engine *engine)
{
	return engine->jobs_armed - engine->jobs_done - engine->n_running;
}

static u64 kerf_job_wait_ns(const struct kerf_job *job)
{
	return job->started ? ktime_to_ns(ktime_sub(job->started, job->queued)) : 0;
}

#define KERF_TRACE(event, job, busy_ns, status)                                                   \
	do {                                                                                      \
		if (trace_kerf_job_##event##_enabled())                                           \
			trace_kerf_job_##event(kerf_device_minor((job)->engine->kdev),            \
					       (job)->engine->index, (job)->queue->client->id,    \
					       (job)->queue->id, (job)->seqno,                    \
					       kerf_job_wait_ns(job), busy_ns,                    \
					       kerf_job_bytes(job), status, (job)->cookie,        \
					       kerf_engine_waiting((job)->engine),                \
					       (job)->engine->n_running);                         \
	} while (0)

void kerf_trace_queued(const struct kerf_job *job)
{
	KERF_TRACE(queued, job, 0, 0);
}

void kerf_trace_started(const struct kerf_job *job)
{
	KERF_TRACE(started, job, 0, 0);
}

void kerf_trace_done(const struct kerf_job *job)
{
	KERF_TRACE(done, job, job->busy_ns, job->error);
}
