#!/bin/sh
# SPDX-License-Identifier: MIT
# The BPF objects on this kernel, with everything there, without BTF, without each capability, with
# bpf() refused, without cgroup v2: what can work does, what cannot says why, and the runtime works
# in each case. tests/net/test_links.sh runs it on the host, by "attach": without the unit tests, which
# run there by themselves.
# limit-s: 200
: "${KERF:=build/kerf}" "${KERF_BUILD:=build}"
try=$KERF_BUILD/tests/net/bpf_try
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
mkdir "$tmp/empty"
echo "KTAP version 1"
if [ ! -x "$try" ] || ! "$KERF" inspect --build | grep -q 'bpf *yes'; then
	echo "1..1"
	echo "ok 1 bpf # SKIP built without BPF, or without $try"
	exit 4
fi
[ "${1:-}" = attach ] && measured='' || measured="test_bpf_link test_bpf_slots"
# shellcheck disable=SC2086
set -- $measured
echo "1..$((15 + $#))"
n=0 failed=0
sees=$("$KERF" inspect --help 2>&1 | grep -c -- --telemetry)

result() { # result STATUS NAME [DIRECTIVE]
	n=$((n + 1))
	if [ "$1" = 0 ]; then
		echo "ok $n $2${3:+ # SKIP $3}"
	else
		echo "not ok $n $2"
		failed=1
	fi
}

# Each object is attached or has a reason; and what is expected of the links' two.
judge() { # judge LINK LINK_CORE: extended regular expressions
	awk '
	$2 == "attached" && NF == 2 { next }
	$2 == "no:" && NF > 2 { next }
	{ print "# neither attached nor a reason: " $0; bad = 1 }
	END { exit bad || NR < 7 }' "$tmp/out" || return 1
	grep -qE "^link $1" "$tmp/out" || {
		echo "# expected: link $1"
		return 1
	}
	grep -qE "^link_core $2" "$tmp/out" || {
		echo "# expected: link_core $2"
		return 1
	}
}

# row NAME LINK LINK_CORE COMMAND...: COMMAND runs what is added to it
row() {
	name=$1 want_link=$2 want_core=$3
	shift 3
	"$@" "$try" >"$tmp/out" 2>"$tmp/err"
	status=$?
	sed 's/^/#   /' "$tmp/out" "$tmp/err"
	if [ $status = 0 ] && [ ! -s "$tmp/err" ]; then
		judge "$want_link" "$want_core"
		status=$?
	fi
	if [ $status = 0 ] && [ "$sees" != 0 ]; then
		"$@" "$KERF" inspect --telemetry >"$tmp/seen" 2>&1 || {
			status=$?
			sed 's/^/# telemetry: /' "$tmp/seen"
		}
	fi
	result $status "$name"
}

no_btf() {
	unshare -m sh -c 'mount --bind "$0" /sys/kernel/btf && exec "$@"' "$tmp/empty" "$@"
}

no_cgroup() {
	unshare -m sh -c 'for d in $(sed -n "s/^[^ ]* \([^ ]*\) cgroup2 .*/\1/p" /proc/mounts); do
		umount -l "$d" || exit 1
	done
	exec "$@"' sh "$@"
}

ro_cgroup() {
	unshare -m sh -c 'for d in $(sed -n "s/^[^ ]* \([^ ]*\) cgroup2 .*/\1/p" /proc/mounts); do
		mount -o remount,bind,ro "$d" || exit 1
	done
	exec "$@"' sh "$@"
}

# Root's own, without some; CAP_SYS_ADMIN would stand for them.
without() {
	caps=$1
	shift
	/usr/bin/setpriv --bounding-set "-sys_admin$caps" "$@"
}

with() { # another user with these
	caps=$1
	shift
	/usr/bin/setpriv --reuid 65534 --regid 65534 --clear-groups --inh-caps "$caps" \
		--ambient-caps "$caps" "$@"
}

refused() {
	"$try" --refuse "$@"
}

not_needed='no: not needed: link_core is attached'
[ -e /sys/kernel/btf/vmlinux ] && core=attached || core='no: no BTF'
# Before Linux 5.11, and with no more than the usual limit, too little may be locked in memory.
or_memlock="(attached|$not_needed|no: RLIMIT_MEMLOCK)"
[ "$core" = attached ] && link=$not_needed || link=attached

# The program is readable by another user only if every folder above it is.
chmod 755 "$tmp"
cp "$try" "$tmp/try" && chmod 755 "$tmp/try"

row everything "$link" "$core" env
row btf_hidden attached 'no: no BTF: .*CONFIG_DEBUG_INFO_BTF' no_btf
row without_cap_bpf 'no: .*CAP_BPF missing' 'no: .*CAP_BPF missing' without ,-bpf
row without_cap_net_admin 'no: .*CAP_NET_ADMIN missing' 'no: .*CAP_NET_ADMIN missing' \
	without ,-net_admin
row without_cap_perfmon attached 'no: .*CAP_PERFMON missing' without ,-perfmon
row without_cap_sys_admin "$link" "$core" without ''
row without_cap_sys_resource "$or_memlock" "($core|no: RLIMIT_MEMLOCK)" without ,-sys_resource
row without_any 'no: .*CAP_BPF, CAP_NET_ADMIN missing' \
	'no: .*CAP_BPF, CAP_NET_ADMIN, CAP_PERFMON missing' without ,-all
row refused_eperm 'no: .*seccomp' 'no: .*seccomp' refused EPERM
row refused_enosys 'no: .*no bpf\(\).*seccomp' 'no: .*no bpf\(\).*seccomp' refused ENOSYS
row no_cgroup_v2 'no: .*cgroup v2' 'no: .*(cgroup v2|BTF)' no_cgroup
row cgroup_read_only 'no: .*Read-only' 'no: .*(Read-only|BTF)' ro_cgroup

# Another user: programs load, but there is no folder of cgroup v2 that it may write.
try_user() {
	"$@" "$tmp/try" >"$tmp/out" 2>"$tmp/err"
	status=$?
	sed 's/^/#   /' "$tmp/out" "$tmp/err"
	[ $status = 0 ] && [ ! -s "$tmp/err" ]
}
if try_user with +bpf,+net_admin,+perfmon; then
	judge 'no: .*(Delegate=yes|MEMLOCK)' 'no: .*(Delegate=yes|MEMLOCK|BTF)'
	result $? user_with_capabilities
else
	result 1 user_with_capabilities
fi
if ! unshare -U -r true 2>/dev/null; then
	result 0 user_namespace "no user namespaces here"
elif try_user unshare -U -r; then
	judge 'no: .*user namespace' 'no: .*user namespace'
	result $? user_namespace
else
	result 1 user_namespace
fi

# A file in place of what is hidden serves what is relocated alone.
if [ "$core" != attached ]; then
	result 0 btf_from_a_file "this kernel has no BTF"
elif cp /sys/kernel/btf/vmlinux "$tmp/btf" && no_btf "$try" --btf "$tmp/btf" >"$tmp/out" 2>&1; then
	sed 's/^/#   /' "$tmp/out"
	judge "$not_needed" attached && grep -q '^sched_raw attached' "$tmp/out"
	result $? btf_from_a_file
else
	result 1 btf_from_a_file
fi

# What is measured, and that records come back
for t; do
	if [ ! -x "$KERF_BUILD/tests/unit/$t" ]; then
		result 0 $t "it is not built"
		continue
	fi
	timeout 90 "$KERF_BUILD/tests/unit/$t" >"$tmp/out" 2>&1
	status=$?
	grep -E 'ERROR|LINE|FAILED|skipped' "$tmp/out" | sed 's/^/# /'
	result $status $t
done
exit $failed
