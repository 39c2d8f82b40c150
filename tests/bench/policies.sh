#!/bin/sh
# SPDX-License-Identifier: MIT
# Every policy on real hosts: a device at a quarter of a core and one or four neighbours, each pair
# with a shaped link of its own. Latency (median), traffic and energy of each policy's plan beside all here
# (local), all away (remote) and the oracle: the least median of all policies and of cuts measured one by
# one. A plan that several policies make is measured once; the column plan numbers the distinct ones of a case.
# Traffic is what the plan sends; energy is what the plan's work and bytes take by the power file below,
# since there is no meter here.
#
# MODELS ("name:size ..."), RATES (Mbit/s), POLICIES ("all" or a list), CUTS (how many), HOSTS ("2 5"),
# QUOTA (percent of a core; 0: none), RUNS and CSV (where the rows are kept) may be set. All of it
# takes about two hours; make bench-policies runs all of it.
set -u
cd "$(dirname "$0")/../.." || exit 1
KERF=${KERF:-$PWD/${O:-build}/kerf}
export KERF
. tests/net/lib.sh
why=$(net_possible) || { echo "skipped: $why"; exit 0; }
MODELS=${MODELS:-mobilenet_v2:160x160 squeezenet:160x160 resnet18:112x112 resnet50:112x112 yolov4-tiny:160x160 vgg16:64x64}
RATES=${RATES:-1 2 5 10 50 100 300 1000}
POLICIES=${POLICIES:-all}
CUTS=${CUTS:-12}
HOSTS=${HOSTS:-2 5}
QUOTA=${QUOTA:-25}
RUNS=${RUNS:-5}
work=$(mktemp -d)
CSV=${CSV:-$work/rows.csv}
export XDG_CACHE_HOME="$work/cache"
# Beside others' work on this box theirs waits, not what is measured; so it is not told as a load.
# Where sessions are scheduled as groups, a nice value counts within one alone.
quiet() {
	renice -n "$1" -p $$ >/dev/null 2>&1
	[ ! -w /proc/$$/autogroup ] || echo "$1" >/proc/$$/autogroup
} 2>/dev/null
quiet -15
finish() {
	net_finish
	quiet 0
	rm -rf "$work"
}
trap finish EXIT
echo "hosts,quota,model,size,mbit,policy,plan,median_ms,predicted_ms,sent_kb,energy_j" >"$CSV"

# power HOSTS: a board and servers, in round numbers
power() {
	printf '{"kerf_power":1,"engines":{"cpu":{"active_w":2.5}'
	i=1
	while [ $i -lt "$1" ]; do
		printf ',"http://%s:8470":{"active_w":15}' "$(net_address $i)"
		i=$((i + 1))
	done
	printf '},"nodes":{"home":{"idle_w":1.5,"send_j_byte":2.8e-7,"receive_j_byte":1.4e-7}'
	i=1
	while [ $i -lt "$1" ]; do
		printf ',"http://%s:8470":{"idle_w":5}' "$(net_address $i)"
		i=$((i + 1))
	done
	printf '}}\n'
}

net_address() {
	if [ "$1" = 1 ]; then echo "$NET_SRV_ADDR"; else net_addr "$1"; fi
}

# Some operators, spread evenly: where to cut.
cuts_of() {
	"$KERF" inspect "$work/$1.onnx" | grep -c '^ *[0-9][0-9]*  ' |
		awk -v n="$CUTS" '{ for (i = 1; i <= n; i++) printf("%s%d", (i > 1 ? "," : ""), i * $1 / (n + 1)) }'
}

# measure HOSTS MODEL SIZE MBIT ENGINES
measure() {
	runs=$RUNS
	[ "$4" -gt 5 ] || runs=$(((RUNS + 1) / 2))
	common="--on $5 --insecure --threads 1 --telemetry off --power $work/power.json"
	# shellcheck disable=SC2086
	net_dev timeout 900 "$KERF" bench "$work/$2.onnx" $common --policy "$list" --cut "$(cuts_of "$2")" --once \
		--runs $runs --warmup 1 --format csv >"$work/rows" 2>"$work/err" </dev/null
	sed "s/^/# $1 hosts, $2, $4 Mbit\/s: /" "$work/err" >&2
	awk -F, -v OFS=, -v hosts="$1" -v quota="$QUOTA" -v model="$2" -v size="$3" -v mbit="$4" '
		$2 ~ /^[0-9]+$/ { print hosts, quota, model, size, mbit, $1, $16, $6, $13, $14, $15 }' "$work/rows" >>"$CSV"
}

list=$POLICIES
[ "$list" != all ] || list=$("$KERF" plan --policies | sed -n 's/^ *\([a-z0-9-]\{2,\}\) .*/\1/p' | grep -vx cut | paste -sd, -)
list=$list,cut
for m in $MODELS; do
	"$KERF" gen "${m%:*}" --size "${m#*:}" -o "$work/${m%:*}.onnx" </dev/null || exit 1
done
for hosts in $HOSTS; do
	if [ "$hosts" != 2 ] && ! command -v net_node_at >/dev/null; then
		echo "skipped: tests/net/lib.sh has two hosts alone"
		continue
	fi
	net_init "$hosts" || exit 1
	trap finish EXIT
	net_node "$work/node.log" --threads 1 || exit 1
	engines=cpu,http://$NET_SRV_ADDR:8470
	i=2
	while [ $i -lt "$hosts" ]; do
		net_node_at $i "$work/node$i.log" --threads 1 || exit 1
		engines=$engines,http://$(net_address $i):8470
		i=$((i + 1))
	done
	power "$hosts" >"$work/power.json"
	net_rate 1000 || exit 1
	for m in $MODELS; do
		# The nodes get the model, and profiles are made, before the device is slow and links are.
		KERF_PROFILE_DIR=$work/profiles-first
		export KERF_PROFILE_DIR
		net_dev "$KERF" plan "$work/${m%:*}.onnx" --on "$engines" --insecure >/dev/null 2>&1 </dev/null
	done
	[ "$QUOTA" = 0 ] || net_quota "$QUOTA" || exit 1
	for m in $MODELS; do
		for mbit in $RATES; do
			# Speeds of a shared machine drift: profiles are of the same minute.
			KERF_PROFILE_DIR=$work/profiles-$hosts-${m%:*}-$mbit
			net_rate "$mbit" || exit 1
			measure "$hosts" "${m%:*}" "${m#*:}" "$mbit" "$engines"
		done
	done
	net_finish
done
awk -f tests/bench/policies.awk "$CSV"
