/* SPDX-License-Identifier: MIT */
/*
 * What a client (queue_user.c) and kerfd as engine server (node/serve_queue.c) say to each
 * other through a kernel queue: the commands and windows of a job.
 *
 *   PREPARE  windows: request (read), reply (write), and the model's file (read) if the
 *            server said that it lacks it
 *   RUN      windows: request (read), reply (write), then each input (read) and each
 *            output (write) of the slice, as its values say, aligned to KERF_ALIGN
 *   PROFILE  the same and one more (write): a uint64_t for each operator, its time in ns
 *
 * A program is named by its request's buffer: who cannot refer to that cannot run it, a
 * server that took over finds in it what it must prepare again, and when the last handle
 * of it is closed, by the client or by its death, the program goes. The request is the
 * text of POST /kerf/v1/slices (net/slice_request.h); engine and depth are the server's.
 *
 * The kernel's status of a job says whether the server understood it; what came of it is
 * in the reply.
 */
#ifndef KERF_EXEC_QUEUE_USER_H
#define KERF_EXEC_QUEUE_USER_H

#include "graph/tensor.h"

#define KERF_USER_VERSION 1u
/* An engine's caps: version, and the dtypes of struct kerf_engine_info. */
#define KERF_USER_CAPS(dtypes) (KERF_USER_VERSION | (uint64_t)(dtypes) << 32)

#define KERF_USER_PREPARE 1u
#define KERF_USER_RUN 2u
#define KERF_USER_PROFILE 3u

#define KERF_USER_IO 61 /* inputs and outputs of a slice: windows beside the others */
#define KERF_USER_REQUEST_MAX (4u << 20)

struct kerf_user_cmd {
	uint32_t version, op;
	uint32_t n_in, n_out; /* RUN, PROFILE */
	int64_t dims[KERF_USER_IO][KERF_MAX_RANK]; /* RUN, PROFILE: of each input, no more */
};

#define KERF_USER_CMD_BYTES(n_in) (uint32_t) offsetof(struct kerf_user_cmd, dims[n_in])

struct kerf_user_reply {
	int32_t status; /* 0 or a negative errno; PREPARE: -ENOENT: send the model */
	uint32_t n_in, n_out;
	uint32_t pad;
	uint64_t weight_bytes, arena_bytes; /* PREPARE */
	char message[512];		    /* PREPARE: why it failed */
	int64_t dims[KERF_USER_IO][KERF_MAX_RANK]; /* RUN, PROFILE: of each output */
};

#endif
