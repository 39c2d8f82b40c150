#!/bin/sh
# SPDX-License-Identifier: MIT
# The probe against shaped links: rates must be right within 5 % of what the shaper
# lets through as payload (1448 of 1514 bytes of a frame), also after the shaper's
# bucket filled up while the link was idle. As for a plan (--quick): within 15 %, at a bounded
# price. Needs root.
# usage: test_probe.sh [MBIT...]
set -u
cd "$(dirname "$0")/../.." || exit 1
KERF=${KERF:-build/kerf}
. tests/net/lib.sh
why=$(net_possible) || { echo "$why"; exit 77; }

dir=$(mktemp -d)
net_init || { echo "cannot set up the namespaces"; exit 1; }
trap 'net_finish; rm -rf "$dir"' EXIT
net_node "$dir/log" --engine null --cache "$dir/cache" || { cat "$dir/log"; exit 1; }

# field JSON NAME
field() {
	printf '%s\n' "$1" | sed "s/.*\"$2\":\([0-9.]*\).*/\1/"
}

# check MBIT: one line; ends with ok or off
check() {
	out=$(net_dev "$KERF" node probe http://$NET_SRV_ADDR:8470 --insecure --json) || return 1
	awk -v mbit="$1" -v up="$(field "$out" up_bytes_s)" -v down="$(field "$out" down_bytes_s)" '
	BEGIN {
		want = mbit * 1e6 / 8 * 1448 / 1514
		ok = up > want * .95 && up < want * 1.05 && down > want * .95 && down < want * 1.05
		printf "%d Mbit/s: payload %.2f up %.2f down, %.2f expected: %s\n", mbit,
			up * 8e-6, down * 8e-6, want * 8e-6, ok ? "ok" : "off"
	}'
}

status=0
for mbit in ${*:-10 50 100}; do
	net_rate "$mbit" || { echo "no token bucket filter here"; exit 77; }
	# A busy machine may disturb one probe: two of three must be right.
	good=0
	for try in 1 2 3; do
		line=$(check "$mbit")
		echo "$line"
		case $line in *ok) good=$((good + 1)) ;; esac
		[ $good -lt 2 ] || break
	done
	[ $good -ge 2 ] || status=1
done

net_rate 20
good=0
for try in 1 2 3; do
	out=$(net_dev "$KERF" node probe http://$NET_SRV_ADDR:8470 --quick --insecure --json) || exit 1
	line=$(awk -v up="$(field "$out" up_bytes_s)" -v down="$(field "$out" down_bytes_s)" \
		-v bytes="$(field "$out" bytes)" '
	BEGIN {
		want = 20e6 / 8 * 1448 / 1514
		ok = up > want * .85 && up < want * 1.15 && down > want * .85 && down < want * 1.15
		printf "quick, 20 Mbit/s: up %.2f down %.2f, %.2f expected, %d KB: %s\n", up * 8e-6,
			down * 8e-6, want * 8e-6, bytes / 1e3,
			(bytes > 350e3 ? "too much" : ok ? "ok" : "off")
	}')
	echo "$line"
	case $line in *ok) good=$((good + 1)) ;; *much) status=1 ;; esac
done
[ $good -ge 2 ] || status=1

# A deep bucket: half a second's worth passes at line speed after a pause.
for ns in "$NET_DEV" "$NET_SRV"; do
	tc -n "$ns" qdisc replace dev veth0 root tbf rate 20mbit burst 1250kb latency 200ms
done
good=0
for try in 1 2 3; do
	sleep 1
	line=$(check 20)
	echo "deep bucket, $line"
	case $line in *ok) good=$((good + 1)) ;; esac
	[ $good = 0 ] || break
done
[ $good -ge 1 ] || status=1

[ $status = 0 ] || echo "a rate is off by more than it may be"
exit $status
