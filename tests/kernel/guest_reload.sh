#!/bin/sh
# SPDX-License-Identifier: MIT
# Loads and unloads the module under submit load: the device is unbound while clients submit, they are killed,
# and the module goes. KERF_TEST_RELOADS cycles (default 5; the whole is 1000).
# limit-s: 3600
cycles=${KERF_TEST_RELOADS:-5}
echo "KTAP version 1"
echo "1..1"
many=/kerf/tests/test_many
[ -x $many ] || many=${0%/*}/test_many
if [ ! -x "$many" ] || ! rmmod kerf; then
	echo "ok 1 reload # SKIP the module cannot be unloaded here, or test_many is missing"
	exit 4
fi

cycle() {
	modprobe kerf || {
		echo "# cycle $1: it does not load"
		return 1
	}
	KERF_TEST_MANY=100000000 setsid $many sixteen_queues_of_four_processes >/dev/null 2>&1 &
	load=$!
	# each cycle meets the clients at another moment
	usleep $((50000 + $1 * 7919 % 100000))
	unbind=/sys/bus/platform/drivers/kerf-virtual/unbind
	[ $(($1 % 2)) = 0 ] || echo kerf-virtual >$unbind
	# its cases and their clients are in process groups of their own, in its session
	pkill -KILL -s $load
	wait $load 2>/dev/null
	for _ in 1 2 3 4 5 6 7 8 9 10; do
		rmmod kerf 2>/dev/null && return 0
		usleep 100000
	done
	echo "# cycle $1: it does not unload: $(rmmod kerf 2>&1), $(cat /sys/module/kerf/refcnt) users"
	return 1
}

result=ok i=1
while [ $i -le "$cycles" ]; do
	cycle $i || {
		result="not ok"
		break
	}
	i=$((i + 1))
done
modprobe kerf
echo "$result 1 reload"
[ "$result" = ok ]
