#!/bin/sh
# SPDX-License-Identifier: MIT
# The kernel tests on this machine, against the module as it is loaded; guest scripts and tests that
# load it with parameters of their own are left to the guests. As root.
# usage: host.sh [NAME...]
set -eu
cd "$(dirname "$0")/../.."
: "${O:=build}" "${KERF_RUN:=$O/kernel-check}"
[ "$(id -u)" = 0 ] || {
	echo "kernel tests need root: they open the nodes and read the kernel's log"
	exit 77
}
grep -qs '^kerf ' /proc/modules || {
	echo "kerf is not loaded: \`make kmod\`, then insmod the kerf.ko it names"
	exit 77
}
mkdir -p "$KERF_RUN"
tests/kernel/list.sh "$@" | grep -v '^guest_' >"$KERF_RUN/list"
start="kerf-vm: start $$ $(date +%s)"
echo "$start" >/dev/kmsg
KERF_TEST_ENGINES=0 tests/kernel/run.sh "$KERF_RUN/list" "$O/tests/kernel" >"$KERF_RUN/output"
dmesg | sed "1,/$start/d" >"$KERF_RUN/log"
awk -v prefix="$(uname -r)" -v "silent=$(tests/kernel/list.sh --silent)" -f tests/kernel/tap.awk "$KERF_RUN/log" "$KERF_RUN/output"
