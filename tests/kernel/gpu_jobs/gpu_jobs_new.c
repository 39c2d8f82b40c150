// SPDX-License-Identifier: GPL-2.0-only
/* gpu_jobs, with the scheduler's events under their newer names beside the scheduler's own */
#define CREATE_TRACE_POINTS
#include "gpu_jobs_trace.h"
#include "gpu_jobs.c"
