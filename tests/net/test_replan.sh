#!/bin/sh
# SPDX-License-Identifier: MIT
# A link gets slow while requests run: the plan is changed, the trace says why, no request is
# lost; on a link that stays as it is, the plan does too. The same by an application of libkerf's,
# and by kerf run.
set -u
cd "$(dirname "$0")/../.." || exit 1
KERF=${KERF:-$PWD/build/kerf}
export KERF
. tests/net/lib.sh
why=$(net_possible) || { echo "$why"; exit 77; }
work=$(mktemp -d)
export XDG_CACHE_HOME="$work/cache" KERF_PROFILE_DIR="$work/profiles"
trap 'net_finish; rm -rf "$work"' EXIT

fail() {
	echo "$*"
	[ ! -e "$work/dev.log" ] || tail -n 8 "$work/dev.log"
	exit 1
}

make -s O="${KERF%/kerf}" "${KERF%/kerf}/tests/net/replan_app" || fail "cannot build the application"
net_init || fail "cannot set up two hosts"
trap 'net_finish; rm -rf "$work"' EXIT
net_rate 500 || fail "cannot shape the link"
"$KERF" gen resnet18 --size=112x112 -o "$work/model.onnx" || fail "cannot generate a model"
net_node "$work/node.log" || { cat "$work/node.log"; fail "no node"; }

# Until host 0 sends requests: what a plan is made of sends less than this, a request 130 KB and more.
requests_go() {
	until [ $(($(net_sent 0 1) - $1)) -gt 20000000 ]; do
		kill -0 "$pid" 2>/dev/null || fail "it ended before it sent requests"
		sleep 0.05
	done
}

# play SECONDS: runs requests with replanning
play() {
	net_dev "$KERF" bench "$work/model.onnx" --on "cpu,http://$NET_SRV_ADDR:8470" --insecure \
		--threads 1 --isa baseline --seconds "$1" --replan 1 --format csv >"$work/rows" 2>"$work/dev.log"
}

play 3 || fail "a steady link: the run failed"
[ "$(grep -c 'plan changed' "$work/dev.log")" -le 2 ] || fail "a steady link: the plan goes to and fro"
before=$(net_sent 0 1)
play 9 &
pid=$!
requests_go "$before"
net_rate 1
wait $pid || fail "a step: the run failed"
grep "plan changed.*the link" "$work/dev.log" || fail "a step: the plan was not changed for the link"
tail -n 1 "$work/rows"

# What was measured of the engines is stored by now.
app() {
	before=$(net_sent 0 1)
	net_dev "$@" >"$work/app" 2>"$work/dev.log" &
	pid=$!
	requests_go "$before"
	net_rate 1
	wait $pid || fail "$1: $(tail -n 2 "$work/app")"
	net_rate 500
}
net_rate 500
app "${KERF%/kerf}/tests/net/replan_app" "$work/model.onnx" "cpu,http://$NET_SRV_ADDR:8470" 4
cat "$work/app"
grep -q "failures 0 replans [1-9]" "$work/app" || fail "libkerf: the plan was not changed"
app timeout 60 "$KERF" run "$work/model.onnx" --on "cpu,http://$NET_SRV_ADDR:8470" --insecure \
	--threads 1 --random 1 --objective throughput --repeat 1000 --replan 1
grep "plan changed.*the link" "$work/dev.log" || fail "kerf run: the plan was not changed for the link"
