#!/bin/sh
# SPDX-License-Identifier: MIT
# The demo: a generated model split over two nodes on this box. As root: two network
# namespaces, a 50 Mbit/s link, and a quarter of a core for the device, so that where to
# cut is a real choice. Otherwise: two processes over loopback.
set -u
cd "$(dirname "$0")/../.." || exit 1
O=${O:-build}
KERF=${KERF:-$PWD/$O/kerf}
MODEL=${DEMO_MODEL:-vit_tiny}
MBIT=${DEMO_MBIT:-50}
CPU=${DEMO_CPU:-25}
export KERF
. tests/net/lib.sh

work=$(mktemp -d)
export KERF_PROFILE_DIR="$work/profiles" XDG_CACHE_HOME="$work/cache"
pid=
finish() {
	[ -z "$pid" ] || kill "$pid" 2>/dev/null
	net_finish
	rm -rf "$work"
}

fail() {
	echo "demo: $*" >&2
	[ -s "$work/node.log" ] && tail -n 5 "$work/node.log" >&2
	exit 1
}

"$KERF" gen "$MODEL" -o "$work/model.onnx" || fail "cannot generate $MODEL"
echo "model: $MODEL with seeded weights, $(($(wc -c <"$work/model.onnx") / 1000)) KB"
if why=$(net_possible); then
	{ net_init && net_rate "$MBIT" && net_quota "$CPU"; } || fail "cannot set up two hosts"
	trap finish EXIT
	net_node "$work/node.log" || fail "the node does not start"
	on=cpu,http://$NET_SRV_ADDR:8470
	insecure=--insecure
	dev=net_dev
	echo "two network namespaces: the device has $CPU % of a core, the link $MBIT Mbit/s"
else
	trap finish EXIT
	echo "$why; using loopback, where the link is as fast as memory and both nodes share the CPU"
	"$KERF" node run --listen 127.0.0.1:0 >"$work/node.log" 2>&1 &
	pid=$!
	i=0 port=
	while [ -z "$port" ] && [ $i -lt 100 ]; do
		sleep 0.1
		i=$((i + 1))
		port=$(sed -n 's/^listening on port \([0-9]*\)$/\1/p' "$work/node.log")
	done
	[ -n "$port" ] || fail "the node does not start"
	on=cpu,http://127.0.0.1:$port
	insecure=
	dev=
fi

echo
echo "== the plan and the link it was made from"
# shellcheck disable=SC2086
$dev "$KERF" plan "$work/model.onnx" --on "$on" $insecure --threads 1 --explain || fail "no plan"

echo
echo "== measured: local, remote, kerf's plan"
# shellcheck disable=SC2086
$dev "$KERF" bench "$work/model.onnx" --on "$on" $insecure --threads 1 --runs "${DEMO_RUNS:-20}" \
	--policy local,remote,kerf || fail "the benchmark failed"

echo
echo "== the answer, whole and split"
"$KERF" run "$work/model.onnx" --threads 1 --random 1 --json >"$work/whole.json" || fail "the whole run failed"
# shellcheck disable=SC2086
$dev "$KERF" run "$work/model.onnx" --on "$on" $insecure --threads 1 --random 1 --json \
	>"$work/split.json" || fail "the split run failed"
cmp "$work/whole.json" "$work/split.json" || fail "the split run gives another answer"
echo "outputs, $(wc -c <"$work/whole.json") bytes with every digit: the same bit for bit"
