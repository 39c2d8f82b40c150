# SPDX-License-Identifier: MIT
# shellcheck shell=sh
# Hosts on one box, two unless net_init is told another number: network namespaces, a veth pair
# between any two of them, each direction shaped by TBF, and CPU quotas. Host 0 is the device,
# kerf-PID-dev, host 1 the server, kerf-PID-srv, further ones kerf-PID-h2 and so on; between 0
# and 1 there may be a delay line instead, with packets lost at random. Sourced by the demo and the
# tests. Everything made is removed by net_finish, also on a signal. Rate and loss can be changed
# at any time, connections stay.

NET_DEV=kerf-$$-dev NET_SRV=kerf-$$-srv
# shellcheck disable=SC2034 # for who sources this
NET_DEV_ADDR=10.77.0.1 NET_SRV_ADDR=10.77.0.2
NET_HOSTS=0
NET_IF=veth0 # what hosts 0 and 1 are joined by: veth0, or delay0 after net_delay
NET_MBIT=    # of hosts 0 and 1, as set by net_rate, for a new NET_IF
NET_PPM=0
NET_BURST=${NET_BURST:-16384}
NET_LINE= # pid of the delay line
NET_TMP=
NET_SRV_BY= # what a node is started by: "taskset -c 1", "nice -n -15"; or nothing
NET_CGROUPS= # made by net_quota
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

# Of a host by its number.
net_ns() {
	case $1 in
	0) echo "$NET_DEV" ;;
	1) echo "$NET_SRV" ;;
	*) echo "kerf-$$-h$1" ;;
	esac
}

net_addr() {
	echo 10.77.0.$(($1 + 1))
}

# net_if A B: the device in host A that leads to B.
net_if() {
	case $1$2 in
	01 | 10) echo "$NET_IF" ;;
	*) echo "to$2" ;;
	esac
}

# net_pairs COMMAND...: runs it with each two hosts' numbers appended, the lower first.
net_pairs() {
	pair_a=0
	while [ $pair_a -lt "$NET_HOSTS" ]; do
		pair_b=$((pair_a + 1))
		while [ $pair_b -lt "$NET_HOSTS" ]; do
			"$@" $pair_a $pair_b || return 1
			pair_b=$((pair_b + 1))
		done
		pair_a=$((pair_a + 1))
	done
}

# net_init [HOSTS]: 2 to 9, a wire between any two.
net_init() {
	trap net_finish EXIT
	trap 'exit 130' INT TERM HUP
	while [ "$NET_HOSTS" -lt "${1:-2}" ]; do
		ns=$(net_ns "$NET_HOSTS")
		ip netns add "$ns" || return 1
		NET_HOSTS=$((NET_HOSTS + 1))
		ip -n "$ns" link set lo up
	done
	net_pairs net_join
}

net_join() {
	ip link add "$(net_if "$1" "$2")" netns "$(net_ns "$1")" type veth \
		peer name "$(net_if "$2" "$1")" netns "$(net_ns "$2")" || return 1
	for end in "$1 $2" "$2 $1"; do
		# shellcheck disable=SC2086
		ip -n "$(net_ns ${end% *})" link set "$(net_if $end)" up
		# One address a host, whichever way it is come by.
		# shellcheck disable=SC2086
		ip -n "$(net_ns ${end% *})" addr add "$(net_addr ${end% *})/32" dev "$(net_if $end)"
	done
	net_route "$1" "$2"
}

# Traffic to the other host goes through net_if, under cubic: the kernel's default may be
# another, and a namespace may not be allowed to set its own.
net_route() {
	ip -n "$(net_ns "$1")" route replace "$(net_addr "$2")/32" dev "$(net_if "$1" "$2")" \
		src "$(net_addr "$1")" congctl cubic &&
		ip -n "$(net_ns "$2")" route replace "$(net_addr "$1")/32" dev "$(net_if "$2" "$1")" \
			src "$(net_addr "$2")" congctl cubic
}

# net_rate MBIT [A B]: both directions, between all hosts or those two. The burst is small, so
# that it does not hide the rate: a quarter of a millisecond, but NET_BURST bytes at least, which is
# one segment of TCP's. The shaper cuts segments that are longer into packets, which two packets are enough
# for, but costs each side microseconds a packet: where the burst is longer TCP makes none that it must cut, as
# a network card that cuts them itself would spare the hosts that work.
net_rate() {
	if [ $# = 1 ]; then
		net_pairs net_rate "$1"
		return
	fi
	net_rate_way "$1" "$2" "$3" && net_rate_way "$1" "$3" "$2" || return 1
	[ "$(($2 + $3))" != 1 ] || NET_MBIT=$1
}

# net_rate_way MBIT A B: from host A to host B.
net_rate_way() {
	burst=$(($1 * 250 / 8))
	[ $burst -gt "$NET_BURST" ] || burst=$NET_BURST
	tc -n "$(net_ns "$2")" qdisc replace dev "$(net_if "$2" "$3")" root tbf rate "${1}mbit" \
		burst $burst latency 100ms || return 1
	# Headers of each packet count too.
	gso=$((burst * 9 / 10))
	[ $gso -lt 65536 ] || gso=65536
	ip -n "$(net_ns "$2")" link set dev "$(net_if "$2" "$3")" gso_max_size $gso
}

# net_sent A B: bytes of frames that host A has sent to B so far, straight.
net_sent() {
	ip -s -n "$(net_ns "$1")" link show "$(net_if "$1" "$2")" |
		awk '/TX:/ { getline; print $1; exit }'
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

# net_delay MS: from now on the round trip of hosts 0 and 1 takes MS longer than a wire's; 0: a
# wire again.
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
	net_route 0 1 || return 1
	[ -z "$NET_MBIT" ] || net_rate "$NET_MBIT" 0 1 || return 1
	net_loss "$NET_PPM"
}

net_line_end() {
	[ -z "$NET_LINE" ] || { kill "$NET_LINE" && wait "$NET_LINE"; } 2>/dev/null
	NET_LINE=
	[ -z "$NET_TMP" ] || rm -rf "$NET_TMP"
	NET_TMP=
}

# net_loss PPM: of the packets of either direction between hosts 0 and 1, after the shaper; at
# most 999984.
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

# net_quota PERCENT [HOST]: of one core, for what net_dev, net_at or net_node starts there from
# now on. The period is short, so that a slice of a few milliseconds is throttled as a long one
# is; the kernel takes no quota below 1 ms.
net_quota() {
	period=4000 quota=$((40 * $1)) name=kerf-$$-${2:-0}
	if [ -e /sys/fs/cgroup/cgroup.controllers ]; then
		echo +cpu >/sys/fs/cgroup/cgroup.subtree_control 2>/dev/null
		dir=/sys/fs/cgroup/$name
		mkdir -p "$dir" && echo "$quota $period" >"$dir/cpu.max" || return 1
	elif [ -d /sys/fs/cgroup/cpu ]; then
		dir=/sys/fs/cgroup/cpu/$name
		mkdir -p "$dir" && echo $period >"$dir/cpu.cfs_period_us" &&
			echo $quota >"$dir/cpu.cfs_quota_us" || return 1
	else
		echo "no cpu cgroup"
		return 1
	fi
	case " $NET_CGROUPS " in
	*" $dir "*) ;;
	*) NET_CGROUPS="$NET_CGROUPS $dir" ;;
	esac
}

# net_at HOST COMMAND...: on a host; net_dev, net_srv COMMAND...: on 0 and 1. Not by "ip netns
# exec", which mounts a /sys of its own: without the cgroups in it.
net_at() {
	(net_become "$@")
}

# The same in place of this shell.
net_become() {
	group=
	for dir in $NET_CGROUPS; do
		[ "${dir##*/}" = "kerf-$$-$1" ] && group=$dir
	done
	ns=$(net_ns "$1")
	shift
	# shellcheck disable=SC2016
	NET_CGROUP=$group exec sh -c '
		[ -z "$NET_CGROUP" ] || echo $$ >"$NET_CGROUP/cgroup.procs" || exit 1
		exec "$@"' sh nsenter --net="/run/netns/$ns" "$@"
}

net_dev() {
	net_at 0 "$@"
}

net_srv() {
	net_at 1 "$@"
}

# net_node LOG OPTIONS...: a kerf node on the server, killed at the end.
net_node() {
	net_node_at 1 "$@"
}

# net_node_at HOST LOG OPTIONS...: on a host, the same; $! is its pid.
net_node_at() {
	node_host=$1 node_log=$2
	shift 2
	# shellcheck disable=SC2086
	net_become "$node_host" $NET_SRV_BY "$KERF" node run --listen "$(net_addr "$node_host"):8470" \
		--insecure "$@" >"$node_log" 2>&1 &
	NET_PIDS="$NET_PIDS $!"
	net_wait "$(net_ns "$node_host")" "$(net_addr "$node_host")" 8470
}

# net_wait NAMESPACE ADDRESS PORT: until something listens there, 60 s at most.
net_wait() {
	net_i=0
	while [ $net_i -lt 600 ]; do
		ip netns exec "$1" ss -Hltn "sport = :$3" 2>/dev/null | grep -q . && return 0
		sleep 0.1
		net_i=$((net_i + 1))
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
	while [ "$NET_HOSTS" -gt 0 ]; do
		NET_HOSTS=$((NET_HOSTS - 1))
		ip netns del "$(net_ns "$NET_HOSTS")" 2>/dev/null
	done
	for dir in $NET_CGROUPS; do
		net_i=0
		while ! rmdir "$dir" 2>/dev/null && [ $net_i -lt 20 ]; do
			sleep 0.1
			net_i=$((net_i + 1))
		done
	done
	NET_CGROUPS=
}
