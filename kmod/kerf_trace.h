/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Trace events of jobs. All three have the same arguments, plain integers, so that a BPF program on
 * the raw tracepoint reads them without type information:
 *
 *   0 device   N of the node /dev/accel/accelN or /dev/dri/renderDN
 *   1 engine   index
 *   2 client   as in fdinfo
 *   3 queue    id, the client's own
 *   4 seqno    the job; (device, client, queue, seqno) names it
 *   5 wait_ns  from submission to its last start; 0 if it has not started
 *   6 busy_ns  of the engine; 0 before it is done
 *   7 bytes    sum of its windows
 *   8 status   0 or a negative errno; 0 before it is done
 *   9 cookie   the client's own
 *  10 waiting  jobs of the engine that have not started, whoever's, after this
 *  11 running  jobs on the engine, after this
 *
 * An engine's events come one at a time (under kdev->lock), so the last two are its state in each.
 */
#undef TRACE_SYSTEM
#define TRACE_SYSTEM kerf

#if !defined(KERF_TRACE_H) || defined(TRACE_HEADER_MULTI_READ)
#define KERF_TRACE_H

#include <linux/tracepoint.h>

DECLARE_EVENT_CLASS(kerf_job,
	TP_PROTO(u32 device, u32 engine, u64 client, u32 queue, u64 seqno, u64 wait_ns, u64 busy_ns,
		 u64 bytes, int status, u64 cookie, u32 waiting, u32 running),
	TP_ARGS(device, engine, client, queue, seqno, wait_ns, busy_ns, bytes, status, cookie,
		waiting, running),
	TP_STRUCT__entry(
		__field(u32, device)
		__field(u32, engine)
		__field(u64, client)
		__field(u64, seqno)
		__field(u64, wait_ns)
		__field(u64, busy_ns)
		__field(u64, bytes)
		__field(u64, cookie)
		__field(u32, queue)
		__field(int, status)
		__field(u32, waiting)
		__field(u32, running)
	),
	TP_fast_assign(
		__entry->device = device;
		__entry->engine = engine;
		__entry->client = client;
		__entry->seqno = seqno;
		__entry->wait_ns = wait_ns;
		__entry->busy_ns = busy_ns;
		__entry->bytes = bytes;
		__entry->cookie = cookie;
		__entry->queue = queue;
		__entry->status = status;
		__entry->waiting = waiting;
		__entry->running = running;
	),
	TP_printk("device=%u engine=%u client=%llu queue=%u seqno=%llu wait_ns=%llu busy_ns=%llu bytes=%llu status=%d cookie=%llu waiting=%u running=%u",
		  __entry->device, __entry->engine, __entry->client, __entry->queue, __entry->seqno,
		  __entry->wait_ns, __entry->busy_ns, __entry->bytes, __entry->status,
		  __entry->cookie, __entry->waiting, __entry->running)
);

#define KERF_JOB_EVENT_DEF(name)                                                                 \
	DEFINE_EVENT(kerf_job, name,                                                             \
		TP_PROTO(u32 device, u32 engine, u64 client, u32 queue, u64 seqno, u64 wait_ns,  \
			 u64 busy_ns, u64 bytes, int status, u64 cookie, u32 waiting,            \
			 u32 running),                                                           \
		TP_ARGS(device, engine, client, queue, seqno, wait_ns, busy_ns, bytes, status,   \
			cookie, waiting, running))

KERF_JOB_EVENT_DEF(kerf_job_queued);
KERF_JOB_EVENT_DEF(kerf_job_started);
KERF_JOB_EVENT_DEF(kerf_job_done);

#endif

#undef TRACE_INCLUDE_PATH
#define TRACE_INCLUDE_PATH .
#undef TRACE_INCLUDE_FILE
#define TRACE_INCLUDE_FILE kerf_trace
#include <trace/define_trace.h>
