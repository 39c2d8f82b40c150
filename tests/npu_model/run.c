/* SPDX-License-Identifier: MIT */
/* A job's commands, one after another. */
#include "npu.h"

#include <string.h>

#define SAME_ACT(name) \
	_Static_assert((int)KERF_NPU_ACT_##name == (int)KERF_ACT_##name, "npu_act()")
SAME_ACT(NONE);
SAME_ACT(RELU);
SAME_ACT(CLIP);
SAME_ACT(LEAKY_RELU);
SAME_ACT(SIGMOID);
SAME_ACT(TANH);
SAME_ACT(SILU);
SAME_ACT(HARD_SIGMOID);
SAME_ACT(HARD_SWISH);
SAME_ACT(GELU);
SAME_ACT(MISH);
SAME_ACT(ELU);
_Static_assert((int)KERF_NPU_N_ACTS == (int)KERF_N_ACTS, "npu_act()");

static uint32_t run_layer(struct npu_job *job, struct npu_task *t)
{
	switch (t->c.cmd.opcode) {
	case KERF_NPU_CONV: return npu_run_conv(job, t);
	case KERF_NPU_FC: return npu_run_fc(job, t);
	case KERF_NPU_POOL_MAX:
	case KERF_NPU_POOL_AVERAGE: return npu_run_pool(job, t);
	case KERF_NPU_ADD:
	case KERF_NPU_MUL:
	case KERF_NPU_SUB:
	case KERF_NPU_DIV: return npu_run_binary(job, t);
	case KERF_NPU_COPY:
	case KERF_NPU_FILL: return npu_run_copy(job, t);
	case KERF_NPU_RESIZE: return npu_run_resize(job, t);
	case KERF_NPU_SOFTMAX: return npu_run_softmax(job, t);
	default: return npu_run_unary(job, t);
	}
}

static uint32_t run_command(struct npu_job *job, struct npu_task *t)
{
	struct npu_machine *m = job->m;
	uint32_t code;

	if (t->c.cmd.opcode == KERF_NPU_NOP)
		return 0;
	if (t->c.cmd.opcode == KERF_NPU_DELAY)
		return m->delay(m->arg, t->c.delay.us) ? 0 : KERF_NPU_FAULT_ABORTED;
	code = npu_check_operands(job, t);
	if (code)
		return code;
	/* Neither wraps: a command's work is below 2^30 * 2^24. */
	job->work += t->work;
	if (job->work > (uint64_t)1 << m->limits.work_bits)
		return KERF_NPU_FAULT_WORK;
	code = npu_map(job, t);
	if (!code)
		code = run_layer(job, t);
	npu_unmap(job, t, !code);
	return code;
}

uint32_t npu_job_run(struct npu_job *job)
{
	uint32_t at = 0, code = 0;

	while (at < job->size) {
		struct npu_task t;

		if (!npu_go_on(job)) {
			code = KERF_NPU_FAULT_ABORTED;
			break;
		}
		code = npu_check(job, job->commands + at, job->size - at, &t);
		if (!code)
			code = run_command(job, &t);
		if (code)
			break;
		at += t.c.cmd.size;
		job->done++;
		job->m->command_done(job->m->arg);
	}
	job->fault.code = code;
	if (code)
		job->fault.command = job->done;
	return code;
}
