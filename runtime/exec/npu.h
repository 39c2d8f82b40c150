/* SPDX-License-Identifier: MIT */
/*
 * A slice as commands of the kerf NPU (docs/npu.md): nothing here speaks to a device, so
 * that it is tested without one.
 *
 * The compiler keeps the slice's order. Operators that the NPU has become commands, one
 * run of them a stage, cut into jobs; the others become stages of the host, which runs
 * them with the cpu engine's kernels or by their reference meaning. All activations stand in one
 * arena, planned once.
 *
 * Windows of every job, in this order: weights (read), arena, inputs of the slice (read),
 * outputs of the slice.
 */
#ifndef KERF_EXEC_NPU_H
#define KERF_EXEC_NPU_H

#include "graph/graph.h"

#include <kerf_npu.h>

#define KERF_NPU_W_WEIGHTS 0u
#define KERF_NPU_W_ARENA 1u
#define KERF_NPU_W_IO 2u /* the first input's; outputs follow the inputs */
#define KERF_NPU_NOWHERE UINT32_MAX

/* Where a value lies. */
struct kerf_npu_place {
	uint32_t window; /* NOWHERE: a constant, which is among the weights if need be */
	uint64_t offset;
};

/* Commands of one job: [begin, end) bytes of the image's. */
struct kerf_npu_piece {
	uint32_t begin, end;
};

struct kerf_npu_stage {
	bool host;
	uint32_t first_op, n_op;
	uint32_t first_piece, n_piece; /* host: none */
};

struct kerf_npu_image {
	uint8_t *cmd;
	uint32_t cmd_bytes;
	uint32_t *op_cmd; /* operator i: bytes [op_cmd[i], op_cmd[i + 1]) of cmd */
	uint32_t n_piece, n_stage;
	struct kerf_npu_piece *piece;
	struct kerf_npu_stage *stage;
	struct kerf_npu_place *place; /* per value */
	bool *uses; /* per input, then per output of the slice: commands touch it */
	size_t weight_bytes, arena_bytes;
	uint32_t features; /* compiled for */
};

/* True if the operator becomes commands. features: KERF_NPU_FEATURE_* that the device has. */
bool kerf_npu_supports(uint32_t features, const struct kerf_graph *g, const struct kerf_op *op);

/* 0, -EOPNOTSUPP with a sentence, -ENOMEM. */
int kerf_npu_compile(uint32_t features, const struct kerf_graph *slice,
		     struct kerf_npu_image **image, struct kerf_err *err);
void kerf_npu_image_free(struct kerf_npu_image *im); /* NULL allowed */

/* Writes the weights as the commands want them: weight_bytes at dst, KERF_ALIGN. 0 or -ENOMEM. */
int kerf_npu_put_weights(const struct kerf_npu_image *im, const struct kerf_graph *slice,
			 void *dst);

/* --- The host's share --- */

/* Of one image: kernels of the cpu engine made ready. The image and the slice outlive it. */
struct kerf_npu_host;
int kerf_npu_host_new(const struct kerf_npu_image *im, const struct kerf_graph *slice,
		      struct kerf_npu_host **h);
void kerf_npu_host_free(struct kerf_npu_host *h); /* NULL allowed */

/* Of one execution at a time: a tensor per value of the slice. free() it. NULL: no memory. */
struct kerf_tensor *kerf_npu_host_values(const struct kerf_npu_host *h);
/* Full dims, and where the values lie: the arena, and each window from W_IO on. */
void kerf_npu_host_bind(const struct kerf_npu_host *h, struct kerf_tensor *values, void *arena,
			void *const *io);
/* Runs a stage of the host's. Any thread. 0, -EINVAL (contents), -ENOMEM. */
int kerf_npu_host_run(struct kerf_npu_host *h, const struct kerf_npu_stage *s,
		      struct kerf_tensor *values);

#endif
