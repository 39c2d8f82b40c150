# SPDX-License-Identifier: MIT
# shellcheck shell=sh
# Two hosts on one box: network namespaces kerf-PID-dev and kerf-PID-srv, a veth pair or a
# delay line between them, shaped by TBF, with packets lost at random, and a CPU quota for
# the device. Sourced by the demo and the tests. Everything made is removed by net_finish, also
# on a signal. Rate and loss can be changed at any time, connections stay.

NET_DEV=kerf-$$-dev NET_SRV=kerf-$$-srv
NET_DEV_ADDR=10.77.0.1 NET_SRV_ADDR=10.77.0.2
NET_IF=veth0 # what the two hosts are joined by: veth0, or delay0 after net_delay
NET_MBIT=    # as set by net_rate, for a new NET_IF
NET_PPM=0
NET_LINE= # pid of the delay line
NET_TMP=
NET_SRV_BY= # what a node is started by: "taskset -c 1", "nice -n -15"; or nothing
NET_CGROUP=
NET_PIDS=

# 0 if this box can do it; else says why.
net_possible() {
	[ "$("$KERF" inspect --build | grep -Ec '^ *(curl|microhttpd) +yes')" = 2 ] || {
		echo "built without libcurl or libmicrohttpd"
		return 1
	}
	[ "$(id -u)" = 0 ] || { echo "not root: no network namespaces"; return 1; }
	{ command -v ip && command -v tc; } >/dev/null || { echo "iproute2 is not installed"; return 1; }
	ip netns add "$NET_DEV-try" 2>/dev/null || { echo "no network namespaces here"; return 1; }
	ip netns exec "$NET_DEV-try" tc qdisc add dev lo root tbf rate 1mbit burst 16kb latency 1ms 2>/dev/null
	can=$?
	ip netns del "$NET_DEV-try"
	[ $can = 0 ] || { echo "network namespaces or shaping do not work here"; return 1; }
}

net_init() {
	trap net_finish EXIT
	trap 'exit 130' INT TERM HUP
	ip netns add "$NET_DEV" && ip netns add "$NET_SRV" || return 1
	ip link add veth0 netns "$NET_DEV" type veth peer name veth0 netns "$NET_SRV" || return 1
	ip -n "$NET_DEV" addr add $NET_DEV_ADDR/24 dev veth0
	ip -n "$NET_SRV" addr add $NET_SRV_ADDR/24 dev veth0
	for ns in "$NET_DEV" "$NET_SRV"; do
		ip -n "$ns" link set lo up
		ip -n "$ns" link set veth0 up
	done
	net_route
}

# Traffic to the other host goes through NET_IF, under cubic: the kernel's default may be
# another, and a namespace may not be allowed to set its own.
net_route() {
	ip -n "$NET_DEV" route replace $NET_SRV_ADDR/32 dev $NET_IF src $NET_DEV_ADDR congctl cubic &&
		ip -n "$NET_SRV" route replace $NET_DEV_ADDR/32 dev $NET_IF src $NET_SRV_ADDR congctl cubic
}

# net_rate MBIT: both directions. The burst is small, so that it does not hide the rate: a
# quarter of a millisecond, but one segment of TCP's at least.
net_rate() {
	NET_MBIT=$1
	burst=$((NET_MBIT * 250 / 8))
	[ $burst -gt 16384 ] || burst=16384
	for ns in "$NET_DEV" "$NET_SRV"; do
		tc -n "$ns" qdisc replace dev $NET_IF root tbf rate "${NET_MBIT}mbit" burst $burst \
			latency 100ms || return 1
	done
}

# net_rate_command MBIT: what net_rate would do, as one command for another shell; it prints
# "rate MBITmbit".
net_rate_command() {
	(
		tc() { printf 'tc %s && ' "$*"; }
		net_rate "$1"
		echo "echo rate ${1}mbit"
	)
}

# net_program NAME: one of tests/net/, made if it is missing or old; its path.
net_program() {
	${MAKE:-make} -s O="${O:-build}" "${O:-build}/tests/net/$1" >&2 && echo "${O:-build}/tests/net/$1"
}

# net_delay MS: from now on the round trip takes MS longer than a wire's; 0: a wire again.
net_delay() {
	net_line_end
	NET_IF=veth0
	if [ "$1" != 0 ]; then
		line=$(net_program delay_line) || { echo "no delay line" >&2; return 1; }
		NET_TMP=$(mktemp -d) && mkfifo "$NET_TMP/ready" || return 1
		"$line" "/run/netns/$NET_DEV" "/run/netns/$NET_SRV" delay0 $(($1 * 500)) >"$NET_TMP/ready" &
		NET_LINE=$!
		read -r ready <"$NET_TMP/ready" && [ "$ready" = ready ] || return 1
		NET_IF=delay0
	fi
	net_route || return 1
	[ -z "$NET_MBIT" ] || net_rate "$NET_MBIT" || return 1
	net_loss "$NET_PPM"
}

net_line_end() {
	[ -z "$NET_LINE" ] || { kill "$NET_LINE" && wait "$NET_LINE"; } 2>/dev/null
	NET_LINE=
	[ -z "$NET_TMP" ] || rm -rf "$NET_TMP"
	NET_TMP=
}

# net_loss PPM: of the packets of either direction, after the shaper; at most 999984.
net_loss() {
	NET_PPM=$1
	for ns in "$NET_DEV" "$NET_SRV"; do
		tc -n "$ns" qdisc del dev $NET_IF clsact 2>/dev/null
		if [ "$NET_PPM" = 0 ]; then
			ip -n "$ns" link set dev $NET_IF gso_max_segs 65535 || return 1
			continue
		fi
		program=$(net_program loss.bpf.o) || { echo "no loss program" >&2; return 1; }
		ip -n "$ns" link set dev $NET_IF gso_max_segs 1 &&
			tc -n "$ns" qdisc add dev $NET_IF clsact &&
			tc -n "$ns" filter add dev $NET_IF ingress bpf direct-action obj "$program" \
				sec classifier classid "1:$(printf %x $(((NET_PPM * 65536 + 500000) / 1000000)))" ||
			return 1
	done
}

# net_lost: packets that reached the server's end of the line, and how many of them were dropped there.
net_lost() {
	tc -s -n "$NET_SRV" qdisc show dev $NET_IF clsact |
		sed -n 's/.* bytes \([0-9]*\) pkt (dropped \([0-9]*\),.*/\1 \2/p'
}

# net_quota PERCENT: of one core, for what net_dev starts from now on. The period is short,
# so that a slice of a few milliseconds is throttled as a long one is; the kernel takes no
# quota below 1 ms.
net_quota() {
	period=4000 quota=$((40 * $1))
	if [ -e /sys/fs/cgroup/cgroup.controllers ]; then
		echo +cpu >/sys/fs/cgroup/cgroup.subtree_control 2>/dev/null
		dir=/sys/fs/cgroup/kerf-$$
		mkdir "$dir" && echo "$quota $period" >"$dir/cpu.max" || return 1
	elif [ -d /sys/fs/cgroup/cpu ]; then
		dir=/sys/fs/cgroup/cpu/kerf-$$
		mkdir "$dir" && echo $period >"$dir/cpu.cfs_period_us" &&
			echo $quota >"$dir/cpu.cfs_quota_us" || return 1
	else
		echo "no cpu cgroup"
		return 1
	fi
	NET_CGROUP=$dir
}

# net_dev COMMAND...: on the device; net_srv COMMAND...: on the server. Not by "ip netns exec",
# which mounts a /sys of its own: without the cgroups in it.
net_dev() {
	# shellcheck disable=SC2016
	NET_CGROUP=$NET_CGROUP sh -c '
		[ -z "$NET_CGROUP" ] || echo $$ >"$NET_CGROUP/cgroup.procs" || exit 1
		exec "$@"' sh nsenter --net="/run/netns/$NET_DEV" "$@"
}

net_srv() {
	nsenter --net="/run/netns/$NET_SRV" "$@"
}

# net_node LOG OPTIONS...: a kerf node on the server, killed at the end.
net_node() {
	nlog=$1
	shift
	# shellcheck disable=SC2086
	$NET_SRV_BY nsenter --net="/run/netns/$NET_SRV" "$KERF" node run --listen $NET_SRV_ADDR:8470 \
		--insecure "$@" >"$nlog" 2>&1 &
	NET_PIDS="$NET_PIDS $!"
	net_wait "$NET_DEV" $NET_SRV_ADDR 8470
}

# net_wait NAMESPACE ADDRESS PORT: until something listens there, 10 s at most.
net_wait() {
	i=0
	while [ $i -lt 100 ]; do
		ip netns exec "$NET_SRV" ss -Hltn "sport = :$3" 2>/dev/null | grep -q . && return 0
		sleep 0.1
		i=$((i + 1))
	done
	echo "nothing listens on $2:$3"
	return 1
}

net_finish() {
	for pid in $NET_PIDS; do
		kill "$pid" 2>/dev/null
		wait "$pid" 2>/dev/null
	done
	NET_PIDS=
	net_line_end
	ip netns del "$NET_DEV" 2>/dev/null
	ip netns del "$NET_SRV" 2>/dev/null
	if [ -n "$NET_CGROUP" ]; then
		i=0
		while ! rmdir "$NET_CGROUP" 2>/dev/null && [ $i -lt 20 ]; do
			sleep 0.1
			i=$((i + 1))
		done
	fi
	NET_CGROUP=
}
