#!/bin/sh
# SPDX-License-Identifier: MIT
# The emulated network itself: a delay line delays by no less than it is told and loses nothing,
# a loss program drops the share it is told, rates change under a living connection, and nothing of
# it is left behind, whether a script ends or is told to end. Needs root.
set -u
cd "$(dirname "$0")/../.." || exit 1
KERF=${KERF:-$PWD/build/kerf}
export KERF
. tests/net/lib.sh
why=$(net_possible) || { echo "$why"; exit 77; }
[ -c /dev/net/tun ] || { echo "no /dev/net/tun"; exit 77; }
work=$(mktemp -d)
bad=0

fail() {
	echo "$*"
	exit 1
}

# wrong WHAT...: goes on
wrong() {
	echo "$*"
	bad=1
}

# field JSON NAME
field() {
	printf '%s\n' "$1" | sed "s/.*\"$2\":\([0-9.]*\).*/\1/"
}

# holds EXPRESSION: of awk
holds() {
	awk "BEGIN { exit !($1) }"
}

# left PID: what a script of that pid left behind
left() {
	{
		ip netns list | grep "kerf-$1-"
		pgrep -af "delay_line /run/netns/kerf-$1-"
	} || true
}

# --- A script that is told to end in the middle ---

cat >"$work/victim.sh" <<'END'
. tests/net/lib.sh
net_init && net_rate 10 && net_delay 4 && echo standing
sleep 60 &
wait $!
END
for signal in TERM INT KILL; do
	# A shell of its own: a background job of this one would ignore SIGINT.
	setsid -f sh -c 'echo $$ >"$1/pid"; exec sh "$1/victim.sh" >"$1/said" 2>&1' sh "$work"
	i=0
	until grep -q standing "$work/said" 2>/dev/null || [ $i = 100 ]; do
		sleep 0.1
		i=$((i + 1))
	done
	pid=$(cat "$work/pid")
	grep -q standing "$work/said" || wrong "before SIG$signal: not set up: $(cat "$work/said")"
	left "$pid" | grep -q delay_line || wrong "before SIG$signal: no delay line is seen"
	kill -s $signal "$pid"
	# Nobody can take the namespaces' names away for a shell that was killed.
	what=kerf
	[ $signal != KILL ] || what=delay_line
	i=0
	while left "$pid" | grep -q $what && [ $i -lt 50 ]; do
		sleep 0.1
		i=$((i + 1))
	done
	[ $i -lt 50 ] || wrong "after SIG$signal: left behind: $(left "$pid")"
	for ns in "kerf-$pid-dev" "kerf-$pid-srv"; do
		ip netns del "$ns" 2>/dev/null
	done
	rm -f "$work/said"
done

# --- Bad arguments of the line ---

line=$(net_program delay_line) || fail "the delay line does not build"
for args in "" "/run/netns/none /run/netns/none d 1" "a b c -1" "a b c 10000001" "a b c 1x"; do
	# shellcheck disable=SC2086
	timeout 10 "$line" $args >"$work/out" 2>&1
	status=$?
	{ [ $status = 1 ] || [ $status = 2 ]; } && [ -s "$work/out" ] ||
		wrong "delay_line $args: status $status, said '$(cat "$work/out")'"
done

# --- Delay ---

net_init || fail "cannot set up two hosts"
trap 'net_finish; rm -rf "$work"' EXIT
net_node "$work/node.log" --engine null --cache "$work/cache" || fail "no node"

# probe: a link probe's JSON
probe() {
	net_dev "$KERF" node probe http://$NET_SRV_ADDR:8470 --insecure --json
}

net_rate 100 || fail "cannot shape the link"
for ms in 4 20 50; do
	net_delay $ms || fail "no delay line of $ms ms"
	# Nothing arrives early. How late depends on who else uses this machine: twice the delay would be
	# another delay, and so would be that each time.
	for try in 1 2 3 4 5; do
		out=$(probe) || fail "no probe at $ms ms"
		echo "$ms ms: $out"
		holds "$(field "$out" rtt_s) >= $ms / 1000" || wrong "$ms ms: faster than the line: $out"
		holds "$(field "$out" rtt_s) < $ms * 2 / 1000" && break
		[ $try != 5 ] || wrong "$ms ms: the round trip took $out"
	done
	ip -s -n "$NET_SRV" link show delay0 >"$work/link"
	lost=$(awk '/RX:/ { getline; rx = $3 + $4 } /TX:/ { getline; tx = $3 + $4 } END { print rx + tx }' \
		"$work/link")
	[ "$lost" = 0 ] || wrong "$ms ms: the line lost $lost packets: $(cat "$work/link")"
done

# --- A rate that changes ---

net_delay 0 || fail "back to the wire"
step=$(net_rate_command 10)
[ "$(sh -c "$step")" = "rate 10mbit" ] || fail "the step's command: $step"
for ns in "$NET_DEV" "$NET_SRV"; do
	tc -n "$ns" qdisc show dev veth0 | grep -q 'rate 10Mbit' || wrong "$ns: $(tc -n "$ns" qdisc)"
done

# --- Loss ---

if ! command -v clang >/dev/null; then
	echo "clang is not installed: loss is not tested"
else
	net_rate 100
	for ppm in 5000 50000; do
		net_delay 2 || fail "no delay line"
		net_loss $ppm || fail "no loss of $ppm ppm"
		i=0 seen=0 lost=0
		while [ "$seen" -lt 6000 ] && [ $i -lt 20 ]; do
			probe >/dev/null # it may give up: what counts is what passed
			# shellcheck disable=SC2046
			set -- $(net_lost)
			seen=${1:-0} lost=${2:-0} i=$((i + 1))
		done
		echo "$ppm ppm: $lost of $seen lost"
		[ "$seen" -ge 6000 ] || wrong "$ppm ppm: only $seen packets came by"
		# Six standard deviations of the binomial distribution: wrong once in 10^9 runs.
		holds "$lost > $seen * $ppm / 1e6 - 6 * sqrt($seen * $ppm / 1e6) &&
			$lost < $seen * $ppm / 1e6 + 6 * sqrt($seen * $ppm / 1e6)" ||
			wrong "$ppm ppm: $lost of $seen lost"
	done
	net_loss 0 || fail "cannot end the loss"
	[ -z "$(net_lost)" ] || wrong "loss is still there: $(net_lost)"
fi

net_finish
[ -z "$(left $$)" ] || wrong "left behind: $(left $$)"
exit $bad
