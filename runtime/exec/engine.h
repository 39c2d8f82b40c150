/* SPDX-License-Identifier: MIT */
/*
 * An engine runs slices. Local and remote engines stand behind the same table.
 *
 *   open -> prepare(slice) -> program -> kerf_engine_submit(job) ... -> release -> close
 *
 * A slice is a frozen graph (graph/slice.h): a whole model, a cut or a tile of it;
 * an engine does not know which. A program is a slice made ready: kernels chosen,
 * weights packed, memory planned. A job is one execution of a program.
 *
 * Threads: one thread opens and closes an engine; prepare, release and submit may
 * come from any thread, for different programs at once. Jobs of one engine may run
 * at the same time or in order, as the engine likes; one job's done is called once,
 * from any thread, and may submit further jobs but must not block.
 */
#ifndef KERF_EXEC_ENGINE_H
#define KERF_EXEC_ENGINE_H

#include "exec/meter.h"
#include "graph/graph.h"
#include "util/err.h"
#include "util/observer.h"

#define KERF_ENGINE_ABI 1

struct kerf_engine;
struct kerf_program;
struct kerf_part; /* exec/part.h */
struct kerf_job;

struct kerf_engine_config {
	int threads; /* cpu: team size, 0 = all CPUs the process may use */
	bool pin;    /* cpu: bind the team's threads */
	const char *isa; /* cpu: "auto" or NULL, "baseline", "avx2", "avx512", "neon" */
	bool insecure;	 /* remote: plain TCP to other than loopback */
	int share;	 /* cpu, one thread: as a core of so many percent of its speed; 0: 100 */
	/*
	 * Local: jobs that may wait, 0: any number. Remote: requests in flight it is made for, 0:
	 * 2.
	 */
	uint32_t depth;
	uint32_t patience_ms; /* remote: without a sign of life until the node is lost; 0: 10 s */
	const struct kerf_observer *observer; /* remote: is told of traffic; outlives it. NULL: none */
};

struct kerf_engine_info {
	char name[64];	  /* as opened: "cpu", "ref", "http://127.0.0.1:8470/cpu" */
	char kind[16];	  /* "cpu", "ref", "null", "remote": same kind, same bits */
	char device[128]; /* "AMD EPYC ..., avx512, 2 threads" */
	char machine[65]; /* identifies the machine for stored profiles, hex */
	uint32_t dtypes;  /* bit i: enum kerf_dtype i natively */
	uint64_t memory_bytes;
	uint32_t depth; /* jobs worth having in flight */
	uint32_t threads; /* of a job, on the CPUs of its node; 0: none, or not known */
	bool remote;
	bool kernel_queue; /* behind kerf's module: its node's minor, its index there */
	uint32_t kernel_device, kernel_index;
};

struct kerf_program_info {
	size_t weight_bytes; /* packed weights and tables */
	size_t arena_bytes;  /* planned activations, one job */
	uint64_t prepare_ns;
};

/*
 * One execution. The caller owns it and everything it points to until done is
 * called; in and out are in the order of the slice's inputs and outputs, each with
 * the dtype and dims of the slice's value and data aligned to KERF_ALIGN. The
 * engine never writes in[]; out[i].dims may shrink for a bounded value.
 */
struct kerf_job {
	struct kerf_program *program;
	const struct kerf_tensor *in;
	struct kerf_tensor *out;
	/* status: 0, -ECANCELED, -EIO (the engine or peer is gone), -ETIMEDOUT, -ENOMEM, -EINVAL */
	void (*done)(struct kerf_job *job, int status);
	void *user;
	uint64_t request; /* of a part: which request its pieces belong to */
	struct kerf_err *why; /* gets a sentence if the job fails and there is one to say; or NULL */

	/* Filled before done is called: when it was submitted, begun and ended. */
	uint64_t queued_ns, start_ns, end_ns;
	/* Of [start, end]: time on the engine itself; for a remote one, as the peer says. */
	uint64_t busy_ns;
	/* Of a remote one: how long its node had it, waits for threads included; 0: not told. */
	uint64_t hold_ns;

	/* The engine's while the job is in flight. */
	struct kerf_job *next;
	uint64_t engine_word;
};

/*
 * Who waits for an engine that may have no job of his at the time: parts that others made run work
 * there.
 */
struct kerf_watch {
	/*
	 * The engine is gone, for good. From any thread, once; must not block. Submits nothing
	 * there.
	 */
	void (*lost)(struct kerf_watch *w, const char *why);
	void *user;
	/* The watcher's, any time: requests that wait, and when the last of them began. */
	uint32_t waiting;
	uint64_t since_ns;
	struct kerf_watch *next; /* the engine's */
};

struct kerf_engine_ops {
	uint32_t abi; /* KERF_ENGINE_ABI */
	const char *kind;
	/* What follows the kind in a spec ("", ":0", or a whole URL). May block on I/O. */
	int (*open)(const char *spec, const struct kerf_engine_config *cfg,
		    struct kerf_engine **engine, struct kerf_err *err);
	void (*close)(struct kerf_engine *e); /* every program was released */
	void (*describe)(struct kerf_engine *e, struct kerf_engine_info *info); /* no I/O */
	/*
	 * The same for a slice whose values travel in pieces; jobs of it have in[0], one message as
	 * bytes, if part has a port in from home, and out[0] if it has one to home. Without either
	 * it is never submitted: it runs when its pieces are there. Ports out name slices that are
	 * prepared already. part is not kept. -EOPNOTSUPP if the peer does not know parts. NULL:
	 * cannot.
	 */
	int (*prepare_part)(struct kerf_engine *e, struct kerf_graph *slice,
			    const struct kerf_part *part, struct kerf_program **p,
			    struct kerf_err *err);
	/* Where neighbours send a part's pieces: what goes to url and slice of struct kerf_port. */
	void (*part_address)(const struct kerf_program *p, char url[256], char slice[64]);
	/*
	 * Whose job, with in[0] of KERF_PART_WHY bytes, a sentence, tells the part that the request
	 * failed, so that it waits for nothing more. The part's, released with it. NULL, or the op
	 * is: there is none.
	 */
	struct kerf_program *(*part_failure)(const struct kerf_program *p);
	/* No I/O, any thread. */
	bool (*supports)(struct kerf_engine *e, const struct kerf_graph *g,
			 const struct kerf_op *op);
	/*
	 * Takes its own reference to slice. Allocates everything that jobs will need
	 * (config depth of them). May block. -EOPNOTSUPP names the operator.
	 */
	int (*prepare)(struct kerf_engine *e, struct kerf_graph *slice, struct kerf_program **p,
		       struct kerf_err *err);
	void (*release)(struct kerf_program *p); /* no job of it is in flight */
	void (*program_info)(const struct kerf_program *p, struct kerf_program_info *info);
	/*
	 * Queues the job; returns at once, without allocating. 0, or -EAGAIN when the
	 * queue is full (done is not called then), or -ENODEV after the engine died. Called by
	 * kerf_engine_submit() alone (exec/meter.h); the engine says kerf_job_start() when the job
	 * begins and kerf_job_done() when it is over.
	 */
	int (*submit)(struct kerf_job *job);
	/*
	 * Tells w when the engine is lost, at once if it is, until unwatch() has returned. Both
	 * NULL: it cannot be.
	 */
	void (*watch)(struct kerf_engine *e, struct kerf_watch *w);
	void (*unwatch)(struct kerf_engine *e, struct kerf_watch *w); /* not from lost() */
	/* Asks; done still comes, with -ECANCELED if it helped. NULL: cannot. */
	void (*cancel)(struct kerf_job *job);
	/*
	 * Runs the program once on the given tensors and stores the wall time of each
	 * operator of its slice, ns; engine-wide exclusive; blocks. NULL: cannot.
	 */
	int (*profile)(struct kerf_program *p, const struct kerf_tensor *in,
		       struct kerf_tensor *out, uint64_t *op_ns);
	/*
	 * Memory that this engine's jobs use in place, where others are copied: zeroed,
	 * KERF_ALIGN. NULL: none. Any thread. Both NULL: every memory is as good.
	 */
	void *(*alloc)(struct kerf_engine *e, size_t bytes);
	void (*free)(struct kerf_engine *e, void *data);
};

/* First member of every engine and program. */
struct kerf_engine {
	const struct kerf_engine_ops *ops;
	struct kerf_meter meter;
};

struct kerf_program {
	struct kerf_engine *engine;
	struct kerf_graph *slice;
	bool part;	   /* jobs carry messages, not the slice's values: */
	bool takes, gives; /* in[0], out[0] is there */
};

/*
 * Opens by spec: "cpu", "ref", "null", "npu:0" (an NPU behind the kernel's queues), "q:NAME"
 * (an engine that a process of this machine serves through them), or a
 * URL of an engine of another node
 * ("http://host:port/cpu"; "http://host:port" means its default engine).
 */
int kerf_engine_open(const char *spec, const struct kerf_engine_config *cfg,
		     struct kerf_engine **engine, struct kerf_err *err);
void kerf_engine_close(struct kerf_engine *e); /* NULL allowed */

/* submit and wait for done. Blocks. The job's status. */
int kerf_engine_run(struct kerf_program *p, const struct kerf_tensor *in, struct kerf_tensor *out,
		    struct kerf_job *job /* NULL, or filled with its times */);

/* What a job's status, or submit's answer, means: for people. */
const char *kerf_job_text(int status);

/* Tensor memory as engines want it: KERF_ALIGN, zeroed; free() it. */
void *kerf_tensor_alloc(size_t bytes);
/* The same, as e likes it best (NULL: any); only kerf_engine_free(e) frees it. */
void *kerf_engine_alloc(struct kerf_engine *e, size_t bytes);
void kerf_engine_free(struct kerf_engine *e, void *data); /* NULL data allowed */

extern const struct kerf_engine_ops kerf_engine_ref, kerf_engine_null, kerf_engine_cpu,
	kerf_engine_remote;
#ifdef WITH_DRM
extern const struct kerf_engine_ops kerf_engine_npu, kerf_engine_user;
#endif

#endif
