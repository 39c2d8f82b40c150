#!/bin/sh
# SPDX-License-Identifier: MIT
# Processes that share an engine of kerfd's through the kernel: same answers as alone, also when the server
# is killed in the middle.
# limit-s: 300
echo "KTAP version 1"
echo "1..9"
n=0 failed=0
check() { # check NAME: of the status just given
	status=$?
	n=$((n + 1))
	if [ $status = 0 ]; then
		echo "ok $n $1"
	else
		failed=1
		echo "not ok $n $1"
	fi
}
if [ ! -x "$KERF" ] || ! "$KERF" node run --help | grep -q serve-engine || [ ! -e /dev/kerf-server ] ||
	[ ! -e /proc/net/tcp ]; then
	for _ in 1 2 3 4 5 6 7 8 9; do
		n=$((n + 1))
		echo "ok $n all # SKIP no kerf with kernel queues, no /dev/kerf-server, or no TCP"
	done
	exit 4
fi
dir=$(mktemp -d)
cd "$dir" || exit 1
server=''
trap '[ -z "$server" ] || kill -KILL $server; rm -rf "$dir"' EXIT

serve() {
	: >server.log
	"$KERF" node run --listen 127.0.0.1:0 --engine cpu --serve-engine cpu --as shared --cache cache \
		--threads 1 >server.log 2>&1 &
	server=$!
	until grep -q '^listening' server.log; do
		kill -0 $server 2>/dev/null || {
			sed 's/^/# /' server.log
			return 1
		}
		usleep 20000
	done
	port=$(sed -n 's/^listening on port //p' server.log)
}

model() { # model NAME ARCH [SIZE]: and what the cpu engine answers
	"$KERF" gen "$2" ${3:+--size $3} -o "$1.onnx" &&
		"$KERF" run "$1.onnx" --random 7 --threads 1 --output "output:$1.cpu" >/dev/null
}

shared() { # shared MODEL FILE
	"$KERF" run "$1.onnx" --random 7 --on q:shared --output "output:$2" >/dev/null
}

engine() { # its line in the listing
	"$KERF" inspect --engines | grep q:shared
}

jobs_done() {
	engine | sed -n 's/.* \([0-9]*\) jobs.*/\1/p'
}

slices() {
	wget -qO- "http://127.0.0.1:$port/kerf/v1/status" | sed -n 's/.*"slices":\([0-9]*\).*/\1/p'
}

model small mobilenet_v2 32x32 && model int8 tiny && model slow googlenet 112x112 && serve || exit 1

shared small a && cmp small.cpu a
check one_client

shared small a &
first=$!
shared small b &
wait $first && wait $! && cmp small.cpu a && cmp small.cpu b
check two_clients

shared int8 a && cmp int8.cpu a
check another_model

XDG_CACHE_HOME=$dir/profiles "$KERF" profile int8.onnx --on q:shared --seconds 1 >profile.log 2>&1 ||
	! sed 's/^/# /' profile.log
check profile

"$KERF" gen googlenet --size 224x224 -o slower.onnx
KERF_SLOW_MODEL=slower.onnx KERF_SLOW_SHA256=$(sha256sum slower.onnx | cut -d ' ' -f 1) \
	"$KERF_BUILD/tests/kernel/test_kerfd_client" >hostile.log &&
	! grep -q '^ok .* long_jobs_without_time # SKIP' hostile.log && shared int8 a && cmp int8.cpu a ||
	! sed 's/^/# /' hostile.log
check hostile_client

# What clients prepared goes with them, however they go.
before=$(jobs_done)
shared slow a &
client=$!
until [ "$(jobs_done)" -gt "$before" ]; do usleep 10000; done
pkill -KILL -P $client
wait $client 2>/dev/null
i=0
until [ "$(slices)" = 0 ] || [ $i = 300 ]; do # its job runs on to its end
	i=$((i + 1))
	usleep 200000
done
[ "$(slices)" = 0 ]
check killed_client_leaves_nothing

# Its slice is prepared, its job runs: now the server dies.
before=$(jobs_done)
shared slow a &
client=$!
until [ "$(jobs_done)" -gt "$before" ]; do usleep 10000; done
kill -KILL $server
wait $server 2>/dev/null
kill -0 $client
check client_of_a_killed_server_waits
engine | grep -q 'waiting for its server'
check engine_waits_for_a_successor
serve && wait $client && cmp slow.cpu a
check successor_gives_the_same_answer

exit $failed
