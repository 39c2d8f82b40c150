#!/bin/sh
# SPDX-License-Identifier: MIT
# /init of the guest: runs what vm.sh asked for and powers off. The console (first serial line)
# carries the kernel's log alone; what tests print goes to $KERF_VM_TTY.
export PATH=/bin:/sbin:/usr/local/bin:/usr/bin:/usr/sbin HOME=/tmp TERM=linux LC_ALL=C.UTF-8
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs devtmpfs /dev
mkdir -p /dev/shm /dev/pts /tmp
mount -t tmpfs tmpfs /dev/shm
mount -t tmpfs tmpfs /tmp
mount -t devpts devpts /dev/pts
mount -t debugfs debugfs /sys/kernel/debug
mount -t tracefs tracefs /sys/kernel/tracing
ln -s /proc/self/fd /dev/fd
. /kerf/env
[ "$KERF_VM_MODE" = shell ] || stty -F "$KERF_VM_TTY" raw -echo
exec <"$KERF_VM_TTY" >"$KERF_VM_TTY" 2>&1
[ -n "$KERF_VM_UML" ] || mount -t cgroup2 cgroup2 /sys/fs/cgroup

mark() {
	echo "kerf-vm: $*"
	echo "kerf-vm: $*" >/dev/kmsg
}

for m in $KERF_VM_MODULES; do
	modprobe "$m" || mark "modprobe $m failed"
done
# share TAG DIR OPTIONS [DIR of the host, if another]
share() {
	mkdir -p "$2"
	if [ -n "$KERF_VM_UML" ]; then
		mount -t hostfs -o "${3%%,*},${4:-$2}" "$1" "$2" || mark "mount $1 failed"
		return
	fi
	mount -t 9p -o "trans=virtio,version=9p2000.L,msize=512000,$3" "$1" "$2" || mark "mount $1 failed"
}
share usr /usr ro,cache=loose
share tree "$KERF_VM_TREE" ro,cache=mmap
share out /out rw,cache=mmap "$KERF_VM_OUT"
[ -z "$KERF_TEST_DATA" ] || share data "$KERF_TEST_DATA" ro,cache=loose
[ -n "$KERF_VM_UML" ] || ip link set lo up

load() {
	# shellcheck disable=SC2086
	modprobe kerf $KERF_VM_PARAMS
}

# What a user of the module does last. A process that has just ended may have listened to the module's
# trace events: the kernel lets go of its BPF programs a grace period later.
unload() {
	mark "begin unload"
	echo "1..1"
	tries=0
	while [ $tries -lt 50 ] && ! rmmod kerf 2>/dev/null; do
		sleep 0.2
		tries=$((tries + 1))
	done
	if [ ! -d /sys/module/kerf ] || rmmod kerf; then
		echo "ok 1 unload"
		mark "end unload 0"
	else
		echo "not ok 1 unload"
		mark "end unload 1"
	fi
}

# What nothing points to any more. A pointer may hide for a moment, so what only the second scan
# still misses is a leak; objects younger than five seconds are never reported.
leaks() {
	[ -e /sys/kernel/debug/kmemleak ] || return 0
	mark "begin leaks"
	echo "1..1"
	sleep 6
	echo scan >/sys/kernel/debug/kmemleak
	sleep 1
	echo scan >/sys/kernel/debug/kmemleak
	cat /sys/kernel/debug/kmemleak >/tmp/leaks
	sed 's/^/# /' /tmp/leaks
	status=0
	[ ! -s /tmp/leaks ] || status=1
	[ $status = 0 ] && echo "ok 1 no memory is left behind" ||
		echo "not ok 1 no memory is left behind"
	mark "end leaks $status"
}

# A report turns lockdep off, and so does running out of its tables: then the rest went unseen.
lockdep() {
	[ -e /proc/lockdep_stats ] || return 0
	mark "begin lockdep"
	echo "1..1"
	status=0
	grep -q 'debug_locks: *1' /proc/lockdep_stats || status=1
	[ $status = 0 ] && echo "ok 1 lockdep watched to the end" ||
		echo "not ok 1 lockdep watched to the end"
	mark "end lockdep $status"
}

status=0
mark "up $(cut -d' ' -f1 /proc/uptime) s, $(uname -r)"
if [ -e /sys/kernel/debug/kmemleak ]; then
	# No scan of its own between the tests; what the kernel lost while it booted is not ours.
	echo scan=off >/sys/kernel/debug/kmemleak
	echo scan >/sys/kernel/debug/kmemleak
	echo clear >/sys/kernel/debug/kmemleak
fi
[ "$KERF_VM_LOAD" = 0 ] || load || {
	status=1
	mark "loading kerf failed"
}
cd "$KERF_VM_TREE" || cd /tmp
case $KERF_VM_MODE in
check)
	KERF_RELOAD=1 sh "$KERF_VM_TREE/tests/kernel/run.sh" /kerf/list /kerf/tests
	[ "$KERF_VM_LOAD" = 0 ] || unload
	leaks
	lockdep
	status=0
	;;
run)
	sh /kerf/command
	status=$?
	;;
shell)
	setsid -c sh -l
	status=$?
	;;
esac
mark "end status $status tainted $(cat /proc/sys/kernel/tainted) uptime $(cut -d' ' -f1 /proc/uptime)"
sync
poweroff -f
