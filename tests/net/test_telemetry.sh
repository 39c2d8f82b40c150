#!/bin/sh
# SPDX-License-Identifier: MIT
# A node and a client in two namespaces, a slice run remotely over a shaped link: the client's
# state has the link as it is, the node's load and the plan, and says who measured. So it is
# with every source there is, without privileges, and where bpf() is refused. A node that is
# killed leaves no program behind.
set -u
cd "$(dirname "$0")/../.." || exit 1
KERF=${KERF:-$PWD/build/kerf}
export KERF
. tests/net/lib.sh
why=$(net_possible) || { echo "$why"; exit 77; }
work=$(mktemp -d)
chmod 777 "$work" # for a client without privileges
export XDG_CACHE_HOME="$work/cache" KERF_PROFILE_DIR="$work/profiles"
mkdir -m 777 "$work/cache" "$work/profiles"
trap 'net_finish; rm -rf "$work"' EXIT

fail() {
	echo "$*"
	[ ! -e "$work/dev.log" ] || tail -n 5 "$work/dev.log"
	exit 1
}

net_init || fail "cannot set up two hosts"
trap 'net_finish; rm -rf "$work"' EXIT
net_rate 20 || fail "cannot shape the link"
"$KERF" gen resnet18 --size=64x64 -o "$work/model.onnx" || fail "cannot generate a model"
chmod 644 "$work/model.onnx"
net_node "$work/node.log" --state "$work/node.sock" || { cat "$work/node.log"; fail "no node"; }
node=${NET_PIDS##* }
url=http://$NET_SRV_ADDR:8470

# What its programs needed, no thread of the node keeps: CAP_NET_ADMIN, CAP_SYS_ADMIN,
# CAP_SYS_RESOURCE, CAP_PERFMON, CAP_BPF.
for status in "/proc/$node/task/"*/status; do
	caps=$(sed -n 's/^Cap\(Prm\|Bnd\):[[:space:]]*//p' "$status")
	for c in $caps; do
		[ $((0x$c & 0xc001201000)) = 0 ] || fail "$status: capabilities are kept: $c"
	done
	grep -q '^NoNewPrivs:[[:space:]]*1' "$status" || fail "$status: new privileges can be had"
done

# client NAME [COMMAND...]: runs the slice away, under COMMAND, and records what it saw.
client() {
	name=$1
	shift
	rm -f "$work/dev.sock" "$work/trace"
	net_dev "$@" "$KERF" bench "$work/model.onnx" --on "cpu,$url" --insecure --policy remote \
		--runs 40 --format csv --telemetry auto --state "$work/dev.sock" \
		>"$work/rows" 2>"$work/dev.log" &
	pid=$!
	i=0
	while [ ! -S "$work/dev.sock" ] && [ $i -lt 100 ]; do
		sleep 0.1
		i=$((i + 1))
	done
	"$KERF" record -o "$work/trace" --state "$work/dev.sock" 2>"$work/record.log" ||
		fail "$name: $(cat "$work/record.log")"
	wait $pid || fail "$name: the run failed"
	[ "$(wc -l <"$work/rows")" = 2 ] || fail "$name: no result"
}

# expected: how far off, in %, the middle one of the transfers up was from what was expected.
expected() {
	sed -n '/"down"/d; s/.*"transfer":{.*"predicted_s":\([0-9.e-]*\).*"start_ns":\([0-9]*\),"end_ns":\([0-9]*\),"hold_ns":\([0-9]*\).*/\1 \2 \3 \4/p' \
		"$work/trace" |
		awk '{ took = ($3 - $2 - $4) * 1e-9; off = $1 / took - 1; print int((off < 0 ? -off : off) * 100) }' |
		sort -n | awk '{ all[NR] = $1 } END { print NR ? all[int((NR + 1) / 2)] : 100 }'
}

# check NAME SOURCE: what was recorded is right; its links were measured by SOURCE.
check() {
	grep '"node":{"index":1,' "$work/trace" | tail -n 1 >"$work/peer"
	grep -q "\"url\":\"$url\"" "$work/peer" || fail "$1: the peer is not in the state"
	rate=$(sed -n 's/.*"up":{[^}]*"rate_bytes_s":\([0-9]*\).*/\1/p' "$work/peer")
	rtt=$(grep '"node":{"index":1,' "$work/trace" | sed -n 's/.*"rtt_us":\([0-9]*\).*/\1/p' | tail -n 1)
	transfers=$(grep -c '"transfer":{.*"predicted_s"' "$work/trace")
	echo "$1: links by $2, rtt ${rtt:-?} us, up ${rate:-?} bytes/s, $transfers transfers predicted," \
		"the middle one $(expected) % off"
	# 20 Mbit/s are 2.5 MB/s; transfers are of one size, so rate and latency are told apart
	# by little, and the shaper lets their first bytes through at once: an order of magnitude.
	{ [ "${rate:-0}" -gt 600000 ] && [ "$rate" -lt 25000000 ]; } || fail "$1: not the link's rate"
	off=$(expected)
	[ "$off" -le 40 ] || fail "$1: half of the transfers are ${off} % or more off what was expected"
	[ "${rtt:-0}" -gt 0 ] || fail "$1: no round trip"
	[ "$transfers" -ge 30 ] || fail "$1: transfers are missing"
	grep -q "\"link\":{.*\"source\":\"$2\"" "$work/trace" || fail "$1: no link by $2"
	grep -q '"load":{.*"source":"peer"' "$work/peer" || fail "$1: the node's load is not known"
	grep -q '"plan":{.*"policy":"remote"' "$work/trace" || fail "$1: the plan is not told"
	# Not only at the end: 40 runs take three quarters of a second at least.
	[ "$(grep -c '"plan":{.*"requests":' "$work/trace")" -ge 2 ] || fail "$1: requests are not told as they go"
	[ "$(grep -c 'telemetry: links by' "$work/dev.log")" = 1 ] || fail "$1: sources are named once"
}

best=$("$KERF" inspect --telemetry --json |
	sed -n '/"links"/,/}/s/.*"source": *"\([a-z_]*\)".*/\1/p')
[ -n "$best" ] || fail "inspect --telemetry says nothing of links"

client "all there is"
check "all there is" "$best"

if command -v setpriv >/dev/null; then
	client "no privileges" setpriv --reuid 65534 --regid 65534 --clear-groups --inh-caps=-all --bounding-set=-all
	check "no privileges" tcp_info
	[ "$best" = tcp_info ] || grep -q 'CAP_' "$work/dev.log" ||
		fail "no privileges: it does not say what is missing"
else
	echo "setpriv is not installed: not tried without privileges"
fi

if [ "$best" != tcp_info ]; then
	refused=$(net_program bpf_try) || fail "cannot build bpf_try"
	client "bpf() refused" "$refused" --refuse EPERM
	check "bpf() refused" tcp_info
	grep -q 'seccomp' "$work/dev.log" || fail "bpf() refused: it does not say by whom"
fi

if [ "$best" != tcp_info ] && command -v bpftool >/dev/null; then
	held=$(sed -n 's/^prog_id:[[:space:]]*//p' "/proc/$node/fdinfo/"* | sort -u)
	[ -n "$held" ] || fail "the node holds no program"
	kill -KILL "$node"
	i=0
	for id in $held; do
		while bpftool prog show id "$id" >/dev/null 2>&1; do
			[ $i -lt 100 ] || fail "program $id outlives the node"
			i=$((i + 1))
			sleep 0.1
		done
	done
	echo "killed: none of $(echo "$held" | wc -l) programs stays"
fi
