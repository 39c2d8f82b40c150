#!/bin/sh
# SPDX-License-Identifier: MIT
# Engines as the runtime's BPF programs see them: behind kerf's queues, and behind the kernel's GPU
# scheduler (gpu_jobs, a module for this test), whose events have other names in newer kernels
# (gpu_jobs_new).
# limit-s: 180
# module-params: sim_depth=2
: "${KERF_BUILD:=build}"
test=$KERF_BUILD/tests/telemetry/test_engine_events
echo "KTAP version 1"
if [ ! -x "$test" ]; then
	printf '1..1\nok 1 telemetry # SKIP test_engine_events is not built\n'
	exit 4
fi
out=$(mktemp)
trap 'rm -f "$out"' EXIT
failed=0

# with MODULE CASE...: those cases, or all, with the module that makes the scheduler's jobs
with() {
	module=$1
	shift
	modprobe "$module" || echo "# no $module"
	KERF_TEST_PARAMS="$KERF_VM_PARAMS sim_depth=2" "$test" "$@" >>"$out"
	case $? in 0 | 4) ;; *) failed=1 ;; esac
	! grep -q "^$module " /proc/modules || rmmod "$module" || failed=1
}

with gpu_jobs
KERF_RELOAD=0 with gpu_jobs_new gpu_jobs_are_counted killed_gpu_clients_leave_nothing
echo "1..$(grep -cE '^(not )?ok ' "$out")"
# One numbering for both
awk '/^(not )?ok / { n++; sub(/ok [0-9]+/, "ok " n) } !/^(KTAP|1\.\.)/' "$out"
exit $failed
