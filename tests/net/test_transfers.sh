#!/bin/sh
# SPDX-License-Identifier: MIT
# What the remote engine tells its observer of a link of 20 Mbit/s: no transfer is faster than
# the link, in the median none takes half as long again, also when the node computes for much
# longer than the link is busy. The node's load comes along, and a plan says where its figures
# are from. Needs root.
set -u
cd "$(dirname "$0")/../.." || exit 1
KERF=${KERF:-build/kerf}
. tests/net/lib.sh
why=$(net_possible) || { echo "$why"; exit 77; }

dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
fail() {
	echo "$*"
	exit 1
}
watch=${O:-build}/tests/bench/watch_jobs
${MAKE:-make} -s O="${O:-build}" "$watch" || fail "cannot build $watch"
net_init || fail "cannot set up the namespaces"
trap 'net_finish; rm -rf "$dir"' EXIT
net_node "$dir/log" --cache "$dir/cache" || { cat "$dir/log"; exit 1; }
"$KERF" gen resnet18 --size=112x112 -o "$dir/model.onnx" || fail "cannot generate a model"

# jobs ENGINE N_OPS RUNS
jobs() {
	net_dev "$watch" "http://$NET_SRV_ADDR:8470/$1" "$dir/model.onnx" "$2" "$3" >"$dir/told" ||
		fail "the jobs on $1 failed"
}

# check WHAT LEAST [held]: of WHAT at least so many. A bucket of 16 KiB passes at line speed.
check() {
	grep "^$1 " "$dir/told" | sort -k3n | awk -v least="$2" -v held="${3:-}" '
	{
		link = 20e6 / 8 * 1448 / 1514
		if ($3 < ($2 - 20000) / link) { print "faster than the link: " $0; bad = 1 }
		if (held && $4 < $3) { print "the node did not hold it for long: " $0; bad = 1 }
		bytes[NR] = $2; s[NR] = $3
	}
	END {
		m = int((NR + 1) / 2)
		if (NR < least) { print NR " transfers, at least " least " expected"; exit 1 }
		printf "%d of %d bytes: median %.1f ms, the link needs %.1f ms\n", NR, bytes[m],
			s[m] * 1e3, bytes[m] / link * 1e3
		exit bad || s[m] > 1.5 * bytes[m] / link
	}' || fail "$1: not what a link of 20 Mbit/s does"
}

# The model goes there before the link is slow.
jobs null 1 1
net_rate 20 || { echo "no token bucket filter here"; exit 77; }
# 150 KB there and as much back; the null engine takes no time.
jobs null 1 9
check up 9
check down 7
# The reference engine takes ten times as long for the whole model as the link for its input.
jobs ref 0 3
check up 3 held
grep -q "^load v=1 .*cpus=" "$dir/told" || fail "no load was told"
# Nothing is known of the link when a command begins: it is probed, and the plan says so.
export KERF_PROFILE_DIR="$dir"
net_dev "$KERF" plan "$dir/model.onnx" --on "cpu,http://$NET_SRV_ADDR:8470" --insecure --json >"$dir/plan" ||
	fail "no plan"
! command -v python3 >/dev/null || python3 - "$dir/plan" <<EOF || fail "the plan does not say what it was made from"
import json, sys
here, there = json.load(open(sys.argv[1]))["engines"]
assert here["slowdown"] >= 1 and there["slowdown"] >= 1, "loads"
for way in there["up"], there["down"]:
    assert way["estimator"] == "probe" and way["transfers"] >= 2 and way["age_s"] < 60, way
    assert 1e6 < way["rate_bytes_s"] < 3e6 and way["low"] < 1 < way["high"], way
EOF
