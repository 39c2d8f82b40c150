/* SPDX-License-Identifier: MIT */
/*
 * kerf: several small computers infer as one. The public C API of libkerf.
 *
 *	struct kerf_handle *k;
 *	struct kerf_config cfg = {.size = sizeof(cfg), .engines = "cpu,http://10.0.0.2:8470"};
 *
 *	if (kerf_open("model.onnx", &cfg, &k, msg, sizeof(msg)))
 *		errx(1, "%s", msg);
 *	kerf_run(k, inputs, outputs, NULL);
 *	kerf_close(k);
 *
 * Opening loads the model, measures links and engines (or uses stored profiles), plans,
 * and prepares every slice where it will run. From then on requests cost what they
 * compute and move; nothing on their way allocates, plans or parses.
 *
 * Every call returns 0 or a negative errno. Handles may be used from any thread;
 * opening and closing one handle is for one thread at a time. Structs begin with their
 * size as the caller knows it, so that later versions can add fields: what a caller
 * sets and this version does not know is -E2BIG.
 */
#ifndef KERF_H
#define KERF_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define KERF_API __attribute__((visibility("default")))

struct kerf_handle;

/* Zero in any field but size means the default. */
struct kerf_config {
	size_t size;
	const char *engines; /* separated by commas, home first; "cpu" */
	const char *policy;  /* "kerf" (default), "local"...: 'kerf plan --policies' lists them */
	const char *shapes;  /* separated by ';': "data:1,3,224,224" */
	int32_t threads;     /* of the cpu engine; all CPUs */
	uint32_t depth;	     /* requests in flight; 2 */
	uint32_t flags;	     /* KERF_INSECURE, KERF_INEXACT, KERF_EXITS */
	uint32_t reserved;   /* 0 */
	/* What the plan is for; where no plan meets it, kerf_open is -EDOM and says what would. */
	const char *objective; /* "latency", "throughput", "energy", "memory", "weighted:L,E[,P]" */
	double deadline_ms;    /* of one request; none */
	double accuracy;       /* at least; any */
	const char *codecs;    /* what values may travel as, beside as they are: "f16,int8" */
	uint32_t keep;	       /* the first so many operators stay on this node */
	uint32_t reserved2;    /* 0 */
	const char *plan;      /* a file that 'kerf plan --json' wrote: then nothing is planned */
	/*
	 * Above 0: links and loads are measured, looked at every so many milliseconds, and the plan
	 * is changed when that pays, by a thread of kerf's. KERF_REPLAN_ASKED: measured, and looked
	 * at when kerf_replan() is called. 0: the plan stays. Not beside plan.
	 */
	int32_t replan_ms;
	uint32_t reserved3; /* 0 */
};

#define KERF_REPLAN_ASKED (-1)

/* Talk plain TCP to other than loopback. */
#define KERF_INSECURE 1u
/* Tiles whose border is wrong may be used. */
#define KERF_INEXACT 2u
/* Earlier exits may be taken: outputs that one leaves out have dims of 0. */
#define KERF_EXITS 4u

/*
 * One input or output as the model declares it. datatype is the Open Inference
 * Protocol's name ("FP32", "INT64"); name, datatype and dims live as long as the handle.
 */
struct kerf_io_info {
	size_t size;
	const char *name;
	const char *datatype;
	const int64_t *dims;
	uint32_t rank;
	uint32_t flags; /* KERF_BOUNDED */
	size_t bytes;
};

/*
 * An output whose dims depend on the contents of the inputs (what a detector found):
 * dims and bytes are upper bounds; a request tells the true dims.
 */
#define KERF_BOUNDED 1u

struct kerf_stats {
	size_t size;
	uint64_t requests, failures;
	size_t weight_bytes, arena_bytes, tensor_bytes;
	double predicted_s; /* latency of one request as planned; 0 with one engine */
	uint32_t steps;	    /* jobs a request makes */
	uint32_t depth;
	uint64_t replans; /* how often the plan was changed; the figures above are of the last */
};

/* On failure message (may be NULL) gets one line that says what and where. */
KERF_API int kerf_open(const char *model, const struct kerf_config *config,
		       struct kerf_handle **handle, char *message, size_t message_size);

/* Waits for requests in flight, and for a change of the plan. NULL is allowed. */
KERF_API void kerf_close(struct kerf_handle *handle);

KERF_API uint32_t kerf_inputs(const struct kerf_handle *handle);
KERF_API uint32_t kerf_outputs(const struct kerf_handle *handle);
/* info->size is the caller's sizeof. -EINVAL if i is past the last. */
KERF_API int kerf_input(const struct kerf_handle *handle, uint32_t i, struct kerf_io_info *info);
KERF_API int kerf_output(const struct kerf_handle *handle, uint32_t i, struct kerf_io_info *info);

/*
 * One request. inputs[i] points to kerf_input(i).bytes of data, outputs[i] to
 * kerf_output(i).bytes of room, each aligned to 64 bytes (aligned_alloc, or
 * kerf_buffer). dims may be NULL; else dims[i], unless NULL, gets the kerf_output(i).rank
 * dims that output i has this time: its data fill outputs[i] from the start, densely.
 * Blocks. -EINVAL for memory not so aligned; -EAGAIN when depth requests are in flight;
 * -EIO when an engine or its node died on the way.
 */
KERF_API int kerf_run(struct kerf_handle *handle, const void *const *inputs,
		      void *const *outputs, int64_t *const *dims);

/*
 * The same without waiting: done is called once, from a thread of kerf's, unless
 * submitting failed; it may submit again. All memory stays the caller's until then.
 */
typedef void (*kerf_done)(void *user, int status);
KERF_API int kerf_submit(struct kerf_handle *handle, const void *const *inputs,
			 void *const *outputs, int64_t *const *dims, kerf_done done,
			 void *user);

/* Zeroed memory aligned as requests want it; free() it. */
KERF_API void *kerf_buffer(size_t bytes);

/*
 * Why the plan is as it is that the handle was opened with, one line; lives as long as the handle.
 */
KERF_API const char *kerf_plan_reason(const struct kerf_handle *handle);
/* The same of the plan in force, which replanning changes; cut to size, always terminated. */
KERF_API int kerf_get_reason(struct kerf_handle *handle, char *text, size_t size);

/*
 * Looks at links and loads now, and changes the plan if that pays: *changed (may be NULL) becomes 1
 * or 0, reason (may be NULL) one line that says why or why not. Blocks while a new plan is
 * prepared and the old one's requests end; requests may be made and go on meanwhile: none is
 * lost or waits. Any thread, several at once, but not from a kerf_done. -ENOTSUP: the handle was
 * opened without replan_ms, or with one engine alone, so that there is nothing to change; else
 * the policy's error or that of preparing: then the plan in force stays.
 */
KERF_API int kerf_replan(struct kerf_handle *handle, int *changed, char *reason,
			 size_t reason_size);

/* stats->size is the caller's sizeof. */
KERF_API int kerf_get_stats(struct kerf_handle *handle, struct kerf_stats *stats);

KERF_API const char *kerf_version(void);

#ifdef __cplusplus
}
#endif

#endif
