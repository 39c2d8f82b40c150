/* SPDX-License-Identifier: GPL-2.0-only WITH Linux-syscall-note OR MIT */
/*
 * /dev/kerf-server: a process as the engine behind kerf queues.
 *
 * A process opens the node and gives REGISTER a name: from then on the virtual kerf device has an
 * engine of class KERF_ENGINE_USER, and this open file is its server. Clients submit to it as to
 * any other engine (kerf_accel.h); what their commands mean is between them and the server.
 *
 *   REGISTER, then mmap the slot table
 *   read()   RUN: a job stands in a slot    CANCEL: nobody wants its result any more
 *            BO_GONE: no client has a handle of a BO any more, so a mapping kept of it is of no use
 *   GET_BO   a dma-buf of one of the job's windows
 *   write()  DONE: how the job ended; its slot is free for the next
 *
 * A slot holds one job. It is named by (slot, generation): the generation goes up with every job,
 * so an answer that is late, doubled or invented is no answer; it is ignored. Between RUN and its
 * DONE the slot's entry in the table does not change.
 *
 * Time. A job that runs longer than its timeout ends for its client with -ETIME whatever the server
 * does; the server is told CANCEL and the slot stays taken until its DONE comes. A server that
 * leaves all its slots so for KERF_SERVER_STUCK_MS is given up, as if it had died: every call on
 * its file is then -ESHUTDOWN.
 *
 * Death. A server dies when the last reference to its open file goes: descriptors (dup, fork,
 * SCM_RIGHTS) and mappings of the table. By its recovery policy its jobs then end with -EOWNERDEAD
 * and the engine goes, or the engine waits for a successor: a REGISTER of the same name, depth and
 * caps, by the same user id or with CAP_SYS_ADMIN. Jobs that ran are run again by the successor, at
 * most max_attempts times in all. So a server should keep nothing between jobs that a successor
 * cannot make again from commands and BOs, or answer -EIO to what it does not know.
 *
 * A job behind this interface never signals a dma_fence: no process can promise that it ends.
 *
 * The rules of kerf_accel.h hold: pads and undefined flags are 0 or the call is -EINVAL; a call
 * that fails has changed nothing. Calls before REGISTER are -ENOTCONN. Any thread may call.
 */
#ifndef KERF_SERVER_H
#define KERF_SERVER_H

#include <linux/ioctl.h>
#include <linux/types.h>

#include "kerf_accel.h"

#if defined(__cplusplus)
extern "C" {
#endif

#define KERF_SERVER_NODE "/dev/kerf-server"

#define KERF_SERVER_MAX_DEPTH 64       /* slots of a server */
#define KERF_SERVER_MAX_ATTEMPTS 16    /* times a job may be run */
#define KERF_SERVER_MAX_GRACE_MS 60000 /* how long an engine may wait for a successor */
#define KERF_SERVER_STUCK_MS 2000      /* how long all slots may lack an answer to CANCEL */
#define KERF_SERVER_MAX_BOS 65536      /* BOs a server was given that are not yet gone */

/** enum kerf_server_recovery - what becomes of the jobs of a server that died */
enum kerf_server_recovery {
	/** @KERF_SERVER_FAIL: they end with -EOWNERDEAD, the engine goes */
	KERF_SERVER_FAIL = 0,
	/** @KERF_SERVER_WAIT: they wait grace_ms for a successor, then as KERF_SERVER_FAIL */
	KERF_SERVER_WAIT = 1,
};

/**
 * struct kerf_server_register - become the server of an engine
 * @name: Input: NUL-terminated, 1 to 31 of a-z 0-9 . _ : -; -EEXIST if an engine of that name has a server
 *   (or is none of a server's), -EPERM if it waits for one but not for this user
 * @caps: Input: told to clients
 * @depth: Input: slots, 1 to KERF_SERVER_MAX_DEPTH
 * @flags: Input: 0; Output: KERF_SERVER_SUCCESSOR
 * @recovery: Input: enum kerf_server_recovery
 * @grace_ms: Input: with KERF_SERVER_WAIT 1 to KERF_SERVER_MAX_GRACE_MS, else 0
 * @timeout_ms: Input: running time of jobs that do not say, 1 to KERF_MAX_TIMEOUT_MS
 * @max_attempts: Input: 1 to KERF_SERVER_MAX_ATTEMPTS
 * @engine: Output: index of the engine in its device
 * @minor: Output: minor number of the device node: N of /dev/accel/accelN or /dev/dri/renderDN
 * @table_size: Output: bytes of the slot table: @depth of &struct kerf_server_slot, rounded up to pages
 *
 * Once per open file (-EBUSY). A successor's @depth and @caps must be those of its predecessor (-EINVAL);
 * its @recovery, @grace_ms, @timeout_ms and @max_attempts hold for what follows. -ENOSPC: the device has
 * no room for another engine.
 */
struct kerf_server_register {
	char name[32];
	__u64 caps;
	__u32 depth;
	__u32 flags;
	__u32 recovery;
	__u32 grace_ms;
	__u32 timeout_ms;
	__u32 max_attempts;
	__u32 engine;
	__u32 minor;
	__u64 table_size;
};

/** @KERF_SERVER_SUCCESSOR: the engine was there, its server had died; jobs may be waiting */
#define KERF_SERVER_SUCCESSOR (1u << 0)

/**
 * struct kerf_server_window - a window of a job
 * @bo_id: identity of its BO, never used again for another: mappings may be kept by it until BO_GONE
 * @bo_size: bytes of the BO
 * @offset: where in the BO the window begins
 * @size: its bytes
 * @flags: KERF_BO_REF_*: what the job may do there, and with what permission GET_BO gives it
 * @pad: 0
 */
struct kerf_server_window {
	__u64 bo_id;
	__u64 bo_size;
	__u64 offset;
	__u64 size;
	__u32 flags;
	__u32 pad;
};

/**
 * struct kerf_server_slot - an entry of the slot table
 * @generation: of the job it describes
 * @attempt: 1 when the job is run for the first time
 * @client_id: whose job: an open file of the device; never used again for another
 * @seqno: the job's number in its queue
 * @cookie: the client's
 * @queue_id: the queue, among the client's
 * @timeout_ms: how long it may run
 * @cmd_size: bytes of @cmd that are the job's
 * @n_windows: entries of @window that are the job's
 * @window: in the client's order
 * @reserved: nothing
 * @cmd: commands, copied: the client can no longer change them
 *
 * The table is mapped with PROT_READ, MAP_SHARED, offset 0 and at most table_size bytes. An entry is
 * filled when read() gives its RUN.
 */
struct kerf_server_slot {
	__u32 generation;
	__u32 attempt;
	__u64 client_id;
	__u64 seqno;
	__u64 cookie;
	__u32 queue_id;
	__u32 timeout_ms;
	__u32 cmd_size;
	__u32 n_windows;
	struct kerf_server_window window[KERF_MAX_JOB_BOS];
	__u8 reserved[4096 - 48 - KERF_MAX_JOB_BOS * sizeof(struct kerf_server_window)];
	__u8 cmd[KERF_MAX_CMD_SIZE];
};

/** enum kerf_server_event - what read() tells */
enum kerf_server_event {
	/** @KERF_SERVER_RUN: run the job that stands in the slot */
	KERF_SERVER_RUN = 1,
	/**
	 * @KERF_SERVER_CANCEL: its client has gone or stopped waiting; send DONE soon, its status is of no
	 * importance. A job ends before it is told at times: then its (slot, generation) is not known any more.
	 */
	KERF_SERVER_CANCEL = 2,
	/**
	 * @KERF_SERVER_BO_GONE: no client has a handle of BO bo_id. A job that still refers to it runs as any
	 * other; GET_BO then makes it known again, and another BO_GONE follows.
	 */
	KERF_SERVER_BO_GONE = 3,
};

/**
 * struct kerf_server_record - what read() gives, as many as there are and fit
 * @event: enum kerf_server_event
 * @slot: RUN, CANCEL: index in the table; else 0
 * @generation: RUN, CANCEL: of the job; else 0
 * @pad: 0
 * @bo_id: BO_GONE: which; else 0
 *
 * read() waits for one, -EAGAIN with O_NONBLOCK; -EINVAL if not even one fits. poll() says POLLIN when
 * there is one, POLLHUP when the server was given up.
 */
struct kerf_server_record {
	__u32 event;
	__u32 slot;
	__u32 generation;
	__u32 pad;
	__u64 bo_id;
};

/**
 * struct kerf_server_done - what write() takes, any number of them
 * @slot: the job's
 * @generation: the job's; an answer to another is ignored
 * @status: 0; -EIO: refused or broken; -EFAULT: its commands reach outside its windows; every other
 *   negative errno is -EIO to the client
 * @pad: 0
 * @busy_ns: how long the engine was busy with it, for shares and accounting; 0: from RUN to DONE; never
 *   more than that
 *
 * write() gives the bytes taken. It stops before a record that is not valid (-EINVAL if it is the first);
 * a length that is no multiple of the record is -EINVAL.
 */
struct kerf_server_done {
	__u32 slot;
	__u32 generation;
	__s32 status;
	__u32 pad;
	__u64 busy_ns;
};

/**
 * struct kerf_server_get_bo - a dma-buf of a window's BO
 * @slot: Input: slot; -EINVAL if there is none
 * @generation: Input: -ESTALE if that job is not running (any more)
 * @window: Input: index; -EINVAL if there is none
 * @flags: Input: 0
 * @fd: Output: a dma-buf, close-on-exec
 * @pad: Input: 0
 *
 * It is the whole BO: a dma-buf has no range, so the server is trusted to stay in the window. Map it
 * from offset 0.
 *
 * With KERF_BO_REF_WRITE it is open for reading and writing and any device may import it. Without, it is
 * open for reading alone: it cannot be mapped writable, and no device can attach to it, since devices are
 * not told to read only. (A client whose inputs shall go to a GPU without a copy gives the window WRITE.)
 * A BO that the client imported is given as the dma-buf it came from, for reading alone likewise.
 *
 * -ENOSPC: KERF_SERVER_MAX_BOS are known and not gone: read() their records.
 */
struct kerf_server_get_bo {
	__u32 slot;
	__u32 generation;
	__u32 window;
	__u32 flags;
	__s32 fd;
	__u32 pad;
};

#define KERF_SERVER_IOCTL_REGISTER _IOWR('k', 0x80, struct kerf_server_register)
#define KERF_SERVER_IOCTL_GET_BO _IOWR('k', 0x81, struct kerf_server_get_bo)

#if defined(__cplusplus)
}
#endif

#endif
