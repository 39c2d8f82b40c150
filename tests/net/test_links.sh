#!/bin/sh
# SPDX-License-Identifier: MIT
# The BPF objects on this machine's kernel, in everything that may be missing; and nothing of them is
# left behind. What they measure is tested by tests/unit/test_bpf_link.c.
set -u
cd "$(dirname "$0")/../.." || exit 1
KERF_BUILD=${KERF_BUILD:-$PWD/build} KERF=${KERF:-$PWD/build/kerf}
export KERF_BUILD KERF
"$KERF" inspect --build | grep -q 'bpf *yes' || { echo "built without BPF"; exit 77; }
[ "$(id -u)" = 0 ] || { echo "not root"; exit 77; }
unshare -m true 2>/dev/null || { echo "no mount namespaces here"; exit 77; }
${MAKE:-make} -s O="${O:-build}" "${O:-build}/tests/net/bpf_try" || exit 1
"$KERF_BUILD/tests/net/bpf_try" | grep -qE '^link(_core)? attached' || {
	"$KERF_BUILD/tests/net/bpf_try"
	echo "BPF does not work here: $("$KERF_BUILD/tests/net/bpf_try" | sed -n 's/^link no: //p')"
	exit 77
}

# Folders of processes that are no more. Another kerf on this machine keeps its own.
left() {
	for d in $(sed -n 's/^[^ ]* \([^ ]*\) cgroup2 .*/\1/p' /proc/mounts); do
		for f in "$d"/kerf-bpf-*; do
			[ ! -d "$f" ] || [ -d "/proc/${f##*-}" ] || echo "$f"
		done
	done
}

bad=0
tests/kernel/guest_bpf.sh attach || bad=1
[ -z "$(left)" ] || { echo "left behind: $(left)"; bad=1; }
exit $bad
