/* SPDX-License-Identifier: MIT */
/*
 * Ports as they are told to the node that makes the part, and the neighbours' side of them: how one
 * node's messages get to another's ports in (docs/protocol.md).
 *
 * A neighbour is an engine that runs nothing: it has the remote engine's connections and thread,
 * and its programs are ports of slices over there. A job of one sends in[0], a message as
 * bytes, for job->request, and is done when the neighbour has taken it; its observer is told of
 * the transfer as of any other. Submitting does not block.
 */
#ifndef KERF_EXEC_REMOTE_PART_H
#define KERF_EXEC_REMOTE_PART_H

#include "exec/engine.h"
#include "exec/part.h"

#define KERF_PART_PORTS 64   /* each way */
#define KERF_PART_PIECES 64  /* of a port */
/* The message of a request that failed upstream: a sentence, filled up with NULs. */
#define KERF_PART_WHY 256

struct json_object;

/*
 * "ports" of a slice request. Decoding checks every field's form and bounds and allocates within
 * what the text holds; what it means for a slice is kerf_part_check()'s. -EINVAL with a sentence;
 * kerf_part_finish() what was decoded. An address that is base, or none, is left out when
 * encoding: it is a slice of the same node.
 */
int kerf_part_encode(const struct kerf_part *part, const char *base, struct json_object **ports);
int kerf_part_decode(struct json_object *ports, struct kerf_part *part, struct kerf_err *err);

/*
 * url: "http://host:port". Connects; may block 2 s. kerf_engine_close() it when no job is in
 * flight.
 */
int kerf_neighbour_open(const char *url, bool insecure, const struct kerf_observer *observer,
			struct kerf_engine **neighbour, struct kerf_err *err);
/* It was lost, and takes no more jobs. */
bool kerf_neighbour_lost(struct kerf_engine *neighbour);

/*
 * Port number port of its slice, for messages of so many bytes; failed: for the messages of
 * KERF_PART_WHY bytes that stand for those of a failed request. No I/O. ops->release() it.
 */
int kerf_neighbour_port(struct kerf_engine *neighbour, const char *slice, uint32_t port,
			size_t bytes, bool failed, struct kerf_program **program);

#endif
