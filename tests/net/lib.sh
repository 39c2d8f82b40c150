# SPDX-License-Identifier: MIT
# shellcheck shell=sh
# Two hosts on one box: network namespaces kerf-PID-dev and kerf-PID-srv, a veth pair
# shaped by TBF, and a CPU quota for the device. Sourced by the demo and the tests.
# Everything made is removed by net_finish, also on a signal.

NET_DEV=kerf-$$-dev NET_SRV=kerf-$$-srv
NET_DEV_ADDR=10.77.0.1 NET_SRV_ADDR=10.77.0.2
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
}

# net_rate MBIT: both directions. The burst is small, so that it does not hide the rate.
net_rate() {
	for ns in "$NET_DEV" "$NET_SRV"; do
		tc -n "$ns" qdisc replace dev veth0 root tbf rate "$1mbit" burst 16kb latency 100ms || return 1
	done
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

# net_dev COMMAND...: on the device; net_srv COMMAND...: on the server.
net_dev() {
	# Into the cgroup first: ip netns exec mounts a /sys of its own.
	# shellcheck disable=SC2016
	NET_CGROUP=$NET_CGROUP sh -c '
		[ -z "$NET_CGROUP" ] || echo $$ >"$NET_CGROUP/cgroup.procs" || exit 1
		exec "$@"' sh ip netns exec "$NET_DEV" "$@"
}

net_srv() {
	ip netns exec "$NET_SRV" "$@"
}

# net_node LOG OPTIONS...: a kerf node on the server, killed at the end.
net_node() {
	nlog=$1
	shift
	ip netns exec "$NET_SRV" "$KERF" node run --listen $NET_SRV_ADDR:8470 --insecure "$@" \
		>"$nlog" 2>&1 &
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
