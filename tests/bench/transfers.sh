#!/bin/sh
# SPDX-License-Identifier: MIT
# Real transfers over emulated links, each case several times: predictions as they were made, and
# traces for tests/bench/predict, which judges predictors side by side. As root; about ten
# minutes. The box must be quiet: at 1000 Mbit/s both ends use what a CPU has. Traces stand in $O/traces/CASE-RUN.jsonl.
#
# usage: tests/bench/transfers.sh [CASE...]   (no CASE: all of those below)
# BENCH_RUNS=N: runs of each (3); steps have two more.
set -u
cd "$(dirname "$0")/../.." || exit 1
O=${O:-build}
KERF=${KERF:-$PWD/$O/kerf}
RUNS=${BENCH_RUNS:-3}
export KERF
. tests/net/lib.sh
why=$(net_possible) || { echo "skipped: $why"; exit 0; }
traces=${KERF_TRACES:-$O/traces}
work=$(mktemp -d)
mkdir -p "$traces"

fail() {
	echo "transfers: $*" >&2
	[ ! -s "$work/node.log" ] || tail -n 5 "$work/node.log" >&2
	exit 1
}

net_init || fail "cannot set up two hosts"
trap 'net_finish; rm -rf "$work"' EXIT
net_rate 100
# The two ends on a CPU each and before what else runs here, as they would be on two machines.
dev="nice -n -15" NET_SRV_BY="nice -n -15"
[ "$(nproc)" = 1 ] || dev="taskset -c 0 $dev" NET_SRV_BY="taskset -c 1 $NET_SRV_BY"
net_node "$work/node.log" --engine null --cache "$work/cache" || fail "no node"

all=100K,250K,500K,1M,2M,4M
# What compute between two slices' tensors leaves of time.
gap=10

# bench CASE RUN OPTIONS...: a run; its summary goes to $work/CASE-RUN
bench() {
	name=$1-$2
	seed=$2
	shift 2
	# shellcheck disable=SC2086
	net_dev $dev "$KERF" bench --transfers http://$NET_SRV_ADDR:8470 --insecure --json --gap $gap \
		--seed "$seed" --trace "$traces/$name.jsonl" "$@" >"$work/$name" || fail "$name"
}

# link MBIT RTT_MS LOSS_PPM
link() {
	net_loss 0 && net_delay "$2" && net_rate "$1" && net_loss "$3" ||
		fail "cannot make a link of $1 Mbit/s, $2 ms, $3 ppm"
}

# steady CASE MBIT RTT_MS LOSS_PPM OPTIONS...
steady() {
	case=$1
	link "$2" "$3" "$4"
	shift 4
	run=1
	while [ $run -le "$RUNS" ]; do
		bench "$case" $run "$@"
		run=$((run + 1))
	done
}

# step CASE FROM_MBIT TO_MBIT OPTIONS...: the rate changes in the middle of each run
step() {
	case=$1 from=$2 to=$3
	shift 3
	run=1
	while [ $run -le $((RUNS + 2)) ]; do
		link "$from" 0 0
		bench "$case" $run --count 16 --at "9=$(net_rate_command "$to")" "$@"
		run=$((run + 1))
	done
}

case_5M() { steady 5M 5 0 0 --sizes $all --count 14; }
case_20M() { steady 20M 20 0 0 --sizes $all --count 30; }
case_100M() { steady 100M 100 0 0 --sizes $all --count 60; }
case_1000M() { steady 1000M 1000 0 0 --sizes $all --count 150; }
case_20M_20ms() { steady 20M_20ms 20 20 0 --sizes $all --count 34; }
case_100M_20ms() { steady 100M_20ms 100 20 0 --sizes $all --count 60; }
case_20M_loss() { steady 20M_loss 20 0 5000 --sizes $all --count 30; }
case_20M_20ms_loss() { steady 20M_20ms_loss 20 20 5000 --sizes $all --count 36; }
case_20M_down() { steady 20M_down 20 0 0 --down --sizes $all --count 20; }
case_100M_20ms_down() { steady 100M_20ms_down 100 20 0 --down --sizes $all --count 40; }
case_step_100M_20M() { step step_100M_20M 100 20 --sizes $all; }
case_step_20M_100M() { step step_20M_100M 20 100 --sizes $all; }
case_step_20M_5M() { step step_20M_5M 20 5 --sizes 100K,250K,500K,1M; }
case_step_5M_20M() { step step_5M_20M 5 20 --sizes 100K,250K,500K,1M; }

# field FILE NAME: of all its transfers
field() {
	sed -n "s/.*\"all\":{.*\"$2\":\([0-9.]*\).*/\1/p" "$1"
}

[ $# -gt 0 ] || set -- 5M 20M 100M 1000M 20M_20ms 100M_20ms 20M_loss 20M_20ms_loss 20M_down \
	100M_20ms_down step_100M_20M step_20M_100M step_20M_5M step_5M_20M
for c in "$@"; do
	command -v "case_$c" >/dev/null || fail "no case $c"
done
echo "| case | run | transfers | median ms | median error % | within 80 % interval |"
echo "|---|---|---|---|---|---|"
for c in "$@"; do
	rm -f "$traces/$c"-[0-9]*.jsonl
	"case_$c"
	for f in "$work/$c"-[0-9]*; do
		echo "| $c | ${f##*-} | $(field "$f" n) | $(field "$f" median_ms) | $(field "$f" error) | $(field "$f" coverage) |"
	done | awk -F'|' -v OFS='|' '$6 + 0 { $6 = sprintf(" %.2f ", $6 * 100); $7 = sprintf(" %.0f ", $7 * 100) } 1'
done

echo
${MAKE:-make} -s O="$O" "$O/tests/bench/predict" || fail "tests/bench/predict does not build"
for c in "$@"; do
	shift
	set -- "$@" "$traces/$c"-[0-9]*.jsonl
done
"$O/tests/bench/predict" "$@"
