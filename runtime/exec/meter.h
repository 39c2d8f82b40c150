/* SPDX-License-Identifier: MIT */
/*
 * Jobs go to an engine and end through here, and are counted: what an engine of this process has
 * to do is known without a kernel that measures it, for remote engines too.
 *
 * Counting takes no lock and allocates nothing: a few relaxed additions a job. Each counter
 * stands for itself and only grows, so a reader may see a job's end before its beginning;
 * telemetry/engine_load.h makes figures of them.
 *
 * A job is queued when kerf_engine_submit() is called. It starts when its engine calls
 * kerf_job_start(), which engines do where they set start_ns: the worker's thread takes it, a
 * context of a kernel queue is bound to it, its request begins to be sent. It ends by
 * kerf_job_done(). One that ends without having started (refused, cancelled in the line, the
 * engine gone) is dropped.
 */
#ifndef KERF_EXEC_METER_H
#define KERF_EXEC_METER_H

#include "kerf_state.h"

#include <stdint.h>

struct kerf_engine;
struct kerf_job;

/* Part of every engine; starts as zeros. Fields as in struct kerf_engine_rec. */
struct kerf_meter {
	uint64_t queued, started, done, dropped;
	uint64_t errors, wait_ns, busy_ns, bytes;
	uint64_t occupied_ns, updated_ns;
	uint64_t running; /* started and not done, to know when the engine falls idle */
};

/*
 * Hands the job to its program's engine: ops->submit, metered. Sets queued_ns; zeroes start_ns,
 * end_ns and busy_ns. What ops->submit returns: if not 0, done is not called.
 */
int kerf_engine_submit(struct kerf_job *job);

/* For engines: the job begins. Sets start_ns; counts once, however often it is tried again. */
void kerf_job_start(struct kerf_job *job);

/*
 * For engines: the job is over, its times are set. Counts, then calls job->done: the job, its
 * program and engine may be gone afterwards. One that was not started gets start_ns = end_ns = now.
 */
void kerf_job_done(struct kerf_job *job, int status);

/*
 * The counters of e[n] as records out[n]; NULL engines are left out. Kind and number are the
 * kernel's for engines behind its queues, so that its own counters of them are known as the
 * same; for others KERF_ENGINE_RUNTIME, device 0 and the place in e. How many. Any thread, while
 * the engines are open.
 */
uint32_t kerf_engine_records(struct kerf_engine *const *e, uint32_t n,
			     struct kerf_engine_rec *out);

#endif
