#!/bin/sh
# SPDX-License-Identifier: MIT
# The load of a node: is the expected slowdown right, with all sources and with /proc alone, and
# does each kind of load move its own figures within 200 ms and no other's? As root, best on a box
# that is otherwise idle; takes about 4 minutes. What else runs is part of both sides.
# usage: tests/bench/load.sh [slow|proc|step]...
set -u
cd "$(dirname "$0")/../.." || exit 1
O=${O:-build}
load=$O/tests/bench/load
runs=${BENCH_RUNS:-7}
ms=${BENCH_MS:-1000}
[ -x "$load" ] || { echo "load: $load is not built (make bench-programs)" >&2; exit 1; }

slow_head() {
	echo "| beside | threads | CPUs | predicted | measured | error | error, estimated ahead |"
	echo "|---|---|---|---|---|---|---|"
}

part_slow() {
	slow_head
	for threads in 1 2; do
		for hogs in 0 1 2 3; do
			"$load" slow cpu $hogs $threads 0 "$ms" "$runs"
		done
		for kind in session rt nice memory stream; do
			"$load" slow $kind 1 $threads 0 "$ms" "$runs"
		done
		"$load" slow session 4 $threads 0 "$ms" "$runs"
	done
	for hogs in 0 1 2 3; do
		"$load" slow cpu $hogs 1 1 "$ms" "$runs"
	done
	# Real-time tasks leave 50 ms of each second: over whole seconds only
	"$load" slow rt 1 1 1 10000 3
}

part_proc() {
	slow_head
	for threads in 1 2; do
		for hogs in 0 1 2 3; do
			KERF_LOAD_SOURCE=proc "$load" slow cpu $hogs $threads 0 "$ms" "$runs"
		done
	done
}

# Changes after 200 ms and, settled, after 800 ms; permille, memory in MiB
part_step() {
	echo "| started |$("$load" names)"
	echo "|---|---|---|---|---|---|---|---|---|"
	for what in "cpu 1" "cpu 3" "session 3" "rt 1" "memory 1"; do
		# shellcheck disable=SC2086
		"$load" step $what "$runs"
	done
}

[ $# -gt 0 ] || set -- slow proc step
for part in "$@"; do
	echo
	"part_$part" || exit 1
done
