#!/bin/sh
# SPDX-License-Identifier: MIT
# A link of 20 Mbit/s becomes one of 5 Mbit/s inside of a transfer of 8 MB: "kerf top" shows the
# new rate, and how long that transfer will take by it, before it ends. Needs root.
set -u
cd "$(dirname "$0")/../.." || exit 1
KERF=${KERF:-$PWD/build/kerf}
export KERF
. tests/net/lib.sh
why=$(net_possible) || { echo "$why"; exit 77; }
work=$(mktemp -d)
client=
finish() {
	[ -z "$client" ] || { kill "$client"; wait "$client"; } 2>/dev/null
	net_finish
	rm -rf "$work"
}
trap finish EXIT
export XDG_CACHE_HOME="$work/cache" KERF_PROFILE_DIR="$work/profiles"
mkdir "$work/cache" "$work/profiles"

fail() {
	echo "$*"
	[ ! -e "$work/log" ] || tail -n 5 "$work/log"
	exit 1
}

net_init || fail "cannot set up two hosts"
"$KERF" gen resnet18 --size=832x832 -o "$work/model.onnx" || fail "cannot generate a model"
net_node "$work/node.log" --cache "$work/node" || { cat "$work/node.log"; fail "no node"; }

# bench RUNS OPTIONS...: jobs of 8 MB there that take no time there.
bench() {
	runs=$1
	shift
	net_dev "$KERF" bench "$work/model.onnx" --on "http://$NET_SRV_ADDR:8470/null" --insecure \
		--policy remote --format csv --runs "$runs" "$@" >"$work/rows" 2>"$work/log"
}

# The model goes there before the link is slow.
bench 1 || fail "the jobs failed"
net_rate 20 || { echo "no token bucket filter here"; exit 77; }
bench 50 --telemetry auto --state "$work/sock" &
client=$!

# look: what is known of the node now; what is not there is 0.
look() {
	kill -0 "$client" 2>/dev/null || fail "the jobs ended"
	"$KERF" top --once --json --state "$work/sock" 2>/dev/null |
		sed 's/.*{"index":1,//; s/"links":\[.*//' >"$work/peer"
	bytes=$(member running_bytes) acked=$(member running_acked_bytes)
	since=$(member running_since_ns) expected=$(member running_expected_ns)
	rate=$(sed -n 's/.*"up":{[^}]*"rate_bytes_s":\([0-9]*\).*/\1/p' "$work/peer")
	by=$(sed -n 's/.*"up":{[^}]*"estimator":"\([a-z_]*\)".*/\1/p' "$work/peer")
	learned=$(sed -n 's/.*"up":{[^}]*"transfers":\([0-9]*\).*/\1/p' "$work/peer")
}
member() {
	v=$(sed -n "s/.*\"$1\":\\([0-9]*\\).*/\\1/p" "$work/peer")
	echo "${v:-0}"
}

# In the second quarter of a transfer, when some were learned.
i=0
look
until [ "${learned:-0}" -ge 2 ] && [ "$acked" -gt $((bytes / 4)) ] &&
	[ "$acked" -lt $((bytes / 2)) ]; do
	[ $i -lt 600 ] || fail "no transfer was seen while it ran"
	i=$((i + 1))
	sleep 0.1
	look
done
echo "before: $acked of $bytes bytes, $expected ns expected, $rate bytes/s by $by"
began=$since before=$expected
[ "$by" != running ] || fail "a link that is as it was is corrected"
{ [ "$bytes" -gt 8000000 ] && [ "$bytes" -lt 8500000 ]; } || fail "that are not the job's bytes"
# 8.3 MB at 20 Mbit/s are 3.5 s, at 5 Mbit/s 13.9 s.
{ [ "$before" -gt 2500000000 ] && [ "$before" -lt 5000000000 ]; } || fail "not what 20 Mbit/s take"
{ [ "$rate" -gt 1800000 ] && [ "$rate" -lt 3000000 ]; } || fail "not the rate of 20 Mbit/s"

net_rate 5 || fail "cannot change the rate"
i=0
while :; do
	look
	{ [ "$since" = "$began" ] && [ "$bytes" -gt 0 ]; } ||
		fail "the transfer ended, and the rate was still ${rate:-?} bytes/s by ${by:-?}"
	[ "$by" = running ] && [ "$rate" -gt 400000 ] && [ "$rate" -lt 1000000 ] &&
		[ "$expected" -gt $((before * 17 / 10)) ] && break
	[ $i -lt 600 ] || fail "still $rate bytes/s by $by"
	i=$((i + 1))
	sleep 0.1
done
echo "after: $acked of $bytes bytes, $expected ns expected, $rate bytes/s by $by, at look" \
	"$((i + 1))"
"$KERF" top --once --state "$work/sock" | grep 'on the way' || fail "people are not shown it"
