/* SPDX-License-Identifier: MIT */
/*
 * Inside the cpu engine. A program is a list of steps, one an operator, each a
 * function with its arguments resolved: tensors point into the program's arena, the
 * constants, or the job's own tensors (those are set when a job begins).
 *
 * At prepare every operator is offered to the families in turn (kerf_cpu_families);
 * the first that has a kernel for it fills in the step. What none wants runs the
 * operator's reference meaning, so the engine runs all that the table can evaluate.
 *
 * Jobs run one at a time on the engine's thread, which is thread 0 of the pool. A
 * step allocates nothing, except that a reference evaluation may use the heap inside.
 */
#ifndef KERF_EXEC_CPU_H
#define KERF_EXEC_CPU_H

#include "exec/cpu_isa.h"
#include "exec/engine.h"
#include "graph/op.h"
#include "util/arena.h"
#include "util/pool.h"

struct kerf_cpu_step {
	/* 0, or -EINVAL, -ENOMEM from an evaluation of data that turned out wrong. */
	int (*run)(const struct kerf_cpu_step *s, struct kerf_pool *pool);
	const struct kerf_op *op;
	struct kerf_tensor *in, *out; /* as the operator's table functions want them */
	void *scratch;		      /* of scratch_bytes, for this step alone, or NULL */
	size_t scratch_bytes;
	uint32_t overwrite; /* bit k: out[0] may lie in the memory of in[k] */
	const void *arg; /* the kernel's own, in the program's memory */
	const struct kerf_isa *isa;
};

/* What a family may use while it makes a step ready. */
struct kerf_cpu_build {
	const struct kerf_graph *g;
	const struct kerf_isa *isa;
	int threads;
	struct kerf_arena *mem; /* arguments: live as long as the program */
	struct kerf_pool *pool; /* of one thread, for packing */
	struct kerf_err *err;

	/* private */
	struct kerf_cpu_owned *owned;
	uint32_t n_owned, cap_owned;
	size_t weight_bytes;
};

struct kerf_cpu_owned {
	void *p;
	void (*free)(void *p);
};

/* The program frees p in the end, and counts bytes as its weights. On -ENOMEM p is freed. */
int kerf_cpu_own(struct kerf_cpu_build *b, void *p, void (*free_fn)(void *p), size_t bytes);

/* Zeroed memory aligned to KERF_ALIGN that the program owns; NULL on exhaustion. */
void *kerf_cpu_weights(struct kerf_cpu_build *b, size_t bytes);

/* A constant was packed and will not be read again: its file pages may go. */
void kerf_cpu_forget(const struct kerf_cpu_build *b, const void *p, size_t bytes);

/*
 * Fills s->run, arg, scratch_bytes for s->op; shapes and constants are in s->in and
 * s->out. 0, -EOPNOTSUPP if the family has no kernel for it, or another error.
 */
typedef int (*kerf_cpu_family)(struct kerf_cpu_build *b, struct kerf_cpu_step *s);

/* Ended by NULL. */
extern const kerf_cpu_family kerf_cpu_families[];

/* One step for op, the reference meaning where no family wants it. */
int kerf_cpu_choose(struct kerf_cpu_build *b, struct kerf_cpu_step *s);

struct kerf_cpu_program;

int kerf_cpu_program_new(struct kerf_engine *e, const struct kerf_isa *isa, int threads,
			 struct kerf_graph *slice, struct kerf_cpu_program **p,
			 struct kerf_err *err);
void kerf_cpu_program_free(struct kerf_cpu_program *p); /* NULL allowed */
void kerf_cpu_program_info(const struct kerf_cpu_program *p, struct kerf_program_info *info);

/*
 * Runs all steps. op_ns: NULL, or receives the wall time of each operator. cancel is looked at
 * between steps: -ECANCELED once it is not 0. One run of a program, and one of a pool, at a time:
 * the caller serialises.
 */
int kerf_cpu_program_run(struct kerf_cpu_program *p, struct kerf_pool *pool,
			 const struct kerf_tensor *in, struct kerf_tensor *out, uint64_t *op_ns,
			 const uint64_t *cancel);

/*
 * A slower core (cpu_pace.c): one that takes `times` as long for a slice as the slice takes here.
 * learn() finds out how long that is, once a program is prepared; 0, -ENOMEM, -ENOSPC
 * after too many shapes, or what a run fails with. run() is as kerf_cpu_program_run(), sleeps until so much time has passed, and ends with
 * -ECANCELED in its sleep too; op_ns receives what the slower core takes for each operator. All
 * calls on one pace: the caller serialises.
 */
struct kerf_cpu_pace;
int kerf_cpu_pace_new(double times, struct kerf_cpu_pace **pace); /* 0 or -ENOMEM */
void kerf_cpu_pace_free(struct kerf_cpu_pace *pace); /* after its programs; NULL allowed */
int kerf_cpu_pace_learn(struct kerf_cpu_pace *pace, struct kerf_cpu_program *p,
			struct kerf_pool *pool);
int kerf_cpu_pace_run(const struct kerf_cpu_pace *pace, struct kerf_cpu_program *p,
		      struct kerf_pool *pool, const struct kerf_tensor *in,
		      struct kerf_tensor *out, uint64_t *op_ns, const uint64_t *cancel);
/* Where learn() keeps what each operator takes here, for the program to free; NULL before. */
uint64_t **kerf_cpu_program_pace(struct kerf_cpu_program *p);

#endif
