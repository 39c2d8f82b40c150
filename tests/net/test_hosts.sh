#!/bin/sh
# SPDX-License-Identifier: MIT
# More than two hosts: any two reach each other without a third's seeing it, each direction has
# its own rate, a quota is of the host it was set for, and nothing is left behind. Needs root.
set -u
cd "$(dirname "$0")/../.." || exit 1
KERF=${KERF:-$PWD/build/kerf}
. tests/net/lib.sh
why=$(net_possible) || { echo "$why"; exit 77; }
work=$(mktemp -d)
bad=0

wrong() {
	echo "$*"
	bad=1
}

net_init 4 || { echo "cannot set up four hosts"; exit 1; }
trap 'net_finish; rm -rf "$work"' EXIT
{ net_rate 100 && net_rate_way 5 2 3; } || { echo "cannot shape the links"; exit 1; }
nodes=
for host in 1 2 3; do
	net_node_at $host "$work/log$host" --engine null --cache "$work/cache$host" ||
		{ cat "$work/log$host"; exit 1; }
	nodes="$nodes $!"
done

seen() {
	echo $(($(net_sent 0 "$1") + $(net_sent "$1" 0)))
}
before2=$(seen 2) before3=$(seen 3) straight=$(net_sent 2 3)
net_at 2 "$KERF" node probe --quick "http://$(net_addr 3):8470" --insecure --json >"$work/probe" ||
	wrong "host 2 does not reach host 3"
up=$(sed 's/.*"up_bytes_s":\([0-9]*\).*/\1/' "$work/probe")
down=$(sed 's/.*"down_bytes_s":\([0-9]*\).*/\1/' "$work/probe")
# 5 Mbit/s are 598 KB/s of payload; the other way is twenty times as fast.
[ "$up" -lt 900000 ] && [ "$down" -gt "$((up * 4))" ] ||
	wrong "2 to 3 at $up bytes/s, back at $down: expected 598000 and much more"
[ $(($(net_sent 2 3) - straight)) -gt 20000 ] || wrong "2 to 3: not counted"
[ $(($(seen 2) - before2 + $(seen 3) - before3)) -lt 10000 ] || wrong "host 0 has seen it"

if net_quota 30 2 >"$work/quota"; then
	dir=${NET_CGROUPS# }
	[ "$(net_at 2 cat /proc/self/cgroup | grep -c "kerf-$$-2\$")" = 1 ] || wrong "host 2: not in its group"
	[ "$(net_at 3 cat /proc/self/cgroup | grep -c "kerf-$$")" = 0 ] || wrong "host 3: in a group"
else
	echo "quotas not tested: $(cat "$work/quota")"
	dir=
fi

net_finish
for pid in $nodes; do
	! kill -0 "$pid" 2>/dev/null || wrong "a node is left behind: $pid"
done
! ip netns list | grep "kerf-$$-" || wrong "namespaces are left behind"
[ -z "$dir" ] || [ ! -d "$dir" ] || wrong "left behind: $dir"
exit $bad
