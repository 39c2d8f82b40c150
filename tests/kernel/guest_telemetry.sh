#!/bin/sh
# SPDX-License-Identifier: MIT
# Engines as the runtime's BPF programs see them: behind kerf's queues, and behind the kernel's GPU
# scheduler (gpu_jobs, a module for this test).
# limit-s: 180
# module-params: sim_depth=2
: "${KERF_BUILD:=build}"
test=$KERF_BUILD/tests/telemetry/test_engine_events
if [ ! -x "$test" ]; then
	printf 'KTAP version 1\n1..1\nok 1 telemetry # SKIP test_engine_events is not built\n'
	exit 4
fi
modprobe gpu_jobs || echo "# no gpu_jobs"
KERF_TEST_PARAMS="$KERF_VM_PARAMS sim_depth=2" "$test"
status=$?
! grep -q '^gpu_jobs ' /proc/modules || rmmod gpu_jobs || status=1
exit $status
