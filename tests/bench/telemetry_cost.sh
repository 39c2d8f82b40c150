#!/bin/sh
# SPDX-License-Identifier: MIT
# What telemetry costs with every program attached, against the same without, in turns: processor
# time per GB of a TCP stream, per 4 KB request and reply, and of two processes that wake each
# other through pipes. Prints medians, and the median of the ratios of neighbours. As root.
# usage: tests/bench/telemetry_cost.sh [PAIRS]    (default 15; takes about 4 minutes)
set -u
cd "$(dirname "$0")/../.." || exit 1
O=${O:-build}
pairs=${1:-15}
bench=$O/tests/bench
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
for p in attach pingpong; do
	[ -x "$bench/$p" ] || { echo "telemetry_cost: $bench/$p is not built (make bench-programs)" >&2; exit 1; }
done
[ "$(id -u)" = 0 ] || { echo "telemetry_cost: not root" >&2; exit 1; }

# Client and server of a stream of 4 GB on loopback, both measured
stream() {
	# shellcheck disable=SC2016
	"$bench/attach" "$1" sh -c '
		iperf3 -s -1 -B 127.0.0.1 -p 5299 >/dev/null &
		sleep 0.3
		iperf3 -c 127.0.0.1 -p 5299 -n 4G >/dev/null
		wait' 2>&1 | sed -n 's/^cpu_ns=\([0-9]*\) .*/\1/p' | awk '{ print $1 / 4 }'
}

request() {
	"$bench/attach" "$1" "$bench/pingpong" tcp 4096 100000 2>/dev/null | sed 's/.*cpu_ns=//'
}

wakeup() {
	"$bench/attach" "$1" taskset -c 0 "$bench/pingpong" pipe 1 300000 2>/dev/null |
		sed 's/wall_ns=\([0-9]*\).*/\1/'
}

# compare NAME UNIT COMMAND
compare() {
	i=0
	: >"$work/$3"
	while [ $i -lt "$pairs" ]; do
		echo "$($3 off) $($3 on)" >>"$work/$3"
		i=$((i + 1))
	done
	awk -v name="$1" -v unit="$2" '
		function median(a, n,  i, j, t) {
			for (i = 2; i <= n; i++)
				for (j = i; j > 1 && a[j] < a[j - 1]; j--) {
					t = a[j]; a[j] = a[j - 1]; a[j - 1] = t
				}
			return n % 2 ? a[(n + 1) / 2] : (a[n / 2] + a[n / 2 + 1]) / 2
		}
		NF == 2 && $1 > 0 { n++; off[n] = $1; on[n] = $2; ratio[n] = $2 / $1 }
		END {
			if (!n) { print "| " name " | no figure |"; exit 1 }
			printf "| %s | %.4g | %.4g | %s | %.3f | %d |\n", name, median(off, n), median(on, n), unit, median(ratio, n), n
		}' "$work/$3"
}

"$bench/attach" on true 2>&1 | sed 's/.*attached=/attached: /'
echo
echo "| what | without | with | unit | ratio | pairs |"
echo "|---|---|---|---|---|---|"
if command -v iperf3 >/dev/null; then
	compare "TCP stream" "CPU ns a GB" stream
else
	echo "| TCP stream | iperf3 is not installed |"
fi
compare "4 KB request and reply" "CPU ns" request
compare "pipe ping-pong, one CPU" "ns a round trip" wakeup
