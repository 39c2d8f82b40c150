#!/bin/sh
# SPDX-License-Identifier: MIT
# Every policy on real hosts: a device and one or four neighbours, each two of them with a shaped link of
# their own. Latency (median), traffic and energy of each policy's plan beside all here (local), all
# away (remote) and the oracle: the least median of all policies and of cuts measured one by one.
#
# The device is a quarter as fast as a neighbour, on every scale of time: its engine computes and
# sleeps until a core so slow would be done (--share). A CPU quota would let requests of a few milliseconds through
# at full speed. With more than one neighbour all are slower still, since they share this box's cores.
# The third setup is five equal boards of some 12 GFLOP/s, as papers on tiles have them.
#
# Distinct plans of a case are run in turns (kerf bench --rounds), more often the shorter they are;
# what is predicted to take more than LONGEST seconds is not run and has n = 0. Traffic is what the plan
# sends; energy is what the plan's work and bytes take by the power file below: there is no meter here.
# Throughput is of THROUGHPUT_POLICIES that plan for it, with four requests in flight.
#
# SETUPS (hosts:percent of a core that the device is:that a neighbour is), MODELS ("name:size
# ..."), RATES, EQUAL_RATES (where all compute as much) and THROUGHPUT_RATES (Mbit/s), POLICIES ("all" or a
# list), CUTS (how many, beside those next to kerf's), ROUNDS, LONGEST and CSV (where the rows are kept)
# may be set. RESUME=1 goes on with the cases that CSV does not have.
set -u
cd "$(dirname "$0")/../.." || exit 1
O=${O:-build}
KERF=${KERF:-$PWD/$O/kerf}
export KERF
# Messages of a few KB must not pass at once.
NET_BURST=3200
. tests/net/lib.sh
why=$(net_possible) || { echo "skipped: $why"; exit 0; }
MODELS=${MODELS:-mobilenet_v2:224x224 squeezenet:224x224 resnet18:160x160 resnet50:128x128 yolov4-tiny:224x224 vgg16:64x64}
RATES=${RATES:-1 2 5 10 50 100 300 1000}
EQUAL_RATES=${EQUAL_RATES:-50 300}
THROUGHPUT_RATES=${THROUGHPUT_RATES:-50 300}
THROUGHPUT_POLICIES=local,remote,pico,kerf
INEXACT=adcnn # is not compared with: its answers are others
POLICIES=${POLICIES:-all}
CUTS=${CUTS:-8}
SETUPS=${SETUPS:-2:25:100 5:5:20 5:5:5}
ROUNDS=${ROUNDS:-3}
LONGEST=${LONGEST:-5}
CSV=${CSV:-$O/policies.csv}
work=$(mktemp -d)
export XDG_CACHE_HOME="$work/cache"
# Beside others' work on this box theirs waits, not what is measured: nodes and device run in real time,
# or at least before others. A wake that waits for somebody's slice costs more than a message.
# Where sessions are scheduled as groups, a nice value counts within one alone.
quiet() {
	renice -n "$1" -p $$ >/dev/null 2>&1
	[ ! -w /proc/$$/autogroup ] || echo "$1" >/proc/$$/autogroup
	if [ "$1" -lt 0 ]; then chrt -r -p 1 $$; else chrt -o -p 0 $$; fi
} 2>/dev/null
quiet -15
finish() {
	net_finish
	quiet 0
	rm -rf "$work"
}
trap finish EXIT
[ -n "${RESUME:-}" ] && [ -s "$CSV" ] ||
	echo "hosts,shares,model,size,mbit,kind,policy,plan,n,median_ms,predicted_ms,sent_kb,energy_j,memory_mb,req_s" >"$CSV"

# power HOSTS: a board and servers, in round numbers
power() {
	printf '{"kerf_power":1,"engines":{"cpu":{"active_w":2.5}'
	i=1
	while [ $i -lt "$1" ]; do
		printf ',"http://%s:8470":{"active_w":15}' "$(net_addr $i)"
		i=$((i + 1))
	done
	printf '},"nodes":{"home":{"idle_w":1.5,"send_j_byte":2.8e-7,"receive_j_byte":1.4e-7}'
	i=1
	while [ $i -lt "$1" ]; do
		printf ',"http://%s:8470":{"idle_w":5}' "$(net_addr $i)"
		i=$((i + 1))
	done
	printf '}}\n'
}

# cuts_of MODEL: some operators, spread evenly, and those around kerf's first way out
cuts_of() {
	# shellcheck disable=SC2086
	net_dev "$KERF" plan "$work/$1.onnx" $common 2>/dev/null </dev/null |
		sed -n 's/^step 0 on cpu: operators 0\(-[0-9]*\)\{0,1\},.*/\1/p' >"$work/at"
	"$KERF" inspect "$work/$1.onnx" | grep -c '^ *[0-9][0-9]*  ' |
		awk -v n="$CUTS" -v at="$(sed 's/^-//' "$work/at")" '
			{
				for (i = 1; i <= n; i++) put(int(i * $1 / (n + 1)), $1)
				for (i = -1; at != "" && i <= 3; i++) put(at + i, $1)
			}
			function put(cut, most) {
				if (cut < 1 || cut >= most || cut in had) return
				had[cut] = 1
				printf("%s%d", (some++ ? "," : ""), cut)
			}'
}

# rates_of SETUP
rates_of() {
	if [ "${1#*:}" = "${1##*:}:${1##*:}" ]; then echo "$EQUAL_RATES"; else echo "$RATES"; fi
}

# keep KIND: the rows of one case, at once, as all of them or none are there if this is cut off
keep() {
	sed "s/^/# $setup, $model, $mbit Mbit\/s: /" "$work/err" >&2
	awk -F, -v OFS=, -v case="$hosts,$shares,$model,$size,$mbit,$1" '
		$2 ~ /^[0-9]+$/ && ($3 == 4 || case !~ /throughput$/) { print case, $1, $16, $4, $6, $13, $14, $15, $17, $9 }' \
		"$work/rows" >"$work/kept"
	cat "$work/kept" >>"$CSV"
}

progress() {
	done_cases=$((done_cases + 1))
	now=$(date +%s)
	left=$(((now - began) * (cases - done_cases) / done_cases))
	echo "# $done_cases of $cases cases, $(((now - began) / 60)) minutes; done at about $(date -d "@$((now + left))" +%H:%M)" >&2
}

has() {
	grep -q "^$hosts,$shares,$model,$size,$mbit,$1," "$CSV"
}

measure() {
	common="--on $engines --insecure --threads 1 --share ${shares%:*} --telemetry off --power $work/power.json"
	# Speeds of a shared machine drift: profiles are of the same minute.
	KERF_PROFILE_DIR=$work/profiles-$setup-$model-$mbit
	export KERF_PROFILE_DIR
	net_rate "$mbit" || exit 1
	if ! has latency; then
		cuts=$(cuts_of "$model")
		# shellcheck disable=SC2086
		net_dev timeout 900 "$KERF" bench "$work/$model.onnx" $common --policy "$list" --cut "$cuts" \
			--rounds "$ROUNDS" --longest "$LONGEST" --format csv >"$work/rows" 2>"$work/err" </dev/null
		keep latency
	fi
	if ! has inexact; then
		# shellcheck disable=SC2086
		net_dev timeout 300 "$KERF" bench "$work/$model.onnx" $common --policy local,$INEXACT --inexact \
			--rounds "$ROUNDS" --longest "$LONGEST" --format csv >"$work/rows" 2>"$work/err" </dev/null
		sed -i '/^local,/d' "$work/rows"
		keep inexact
	fi
	case " $THROUGHPUT_RATES " in
	*" $mbit "*)
		has throughput && return
		# shellcheck disable=SC2086
		net_dev timeout 900 "$KERF" bench "$work/$model.onnx" $common --policy $THROUGHPUT_POLICIES \
			--objective throughput --depth 4 --warmup 4 --runs 16 --format csv \
			>"$work/rows" 2>"$work/err" </dev/null
		keep throughput
		;;
	esac
}

list=$POLICIES
[ "$list" != all ] || list=$("$KERF" plan --policies | sed -n 's/^ *\([a-z0-9-]\{2,\}\) .*/\1/p' | grep -vx -e cut -e $INEXACT | paste -sd, -)
list=$list,cut
cases=0
for m in $MODELS; do
	"$KERF" gen "${m%:*}" --size "${m#*:}" -o "$work/${m%:*}.onnx" </dev/null || exit 1
	for setup in $SETUPS; do
		for mbit in $(rates_of "$setup"); do
			cases=$((cases + 1))
		done
	done
done
done_cases=0 began=$(date +%s)
for setup in $SETUPS; do
	hosts=${setup%%:*} shares=${setup#*:}
	net_init "$hosts" || exit 1
	trap finish EXIT
	engines=cpu
	i=1
	while [ $i -lt "$hosts" ]; do
		net_node_at $i "$work/node$i.log" --threads 1 --share "${shares#*:}" --telemetry off || exit 1
		engines=$engines,http://$(net_addr $i):8470
		i=$((i + 1))
	done
	power "$hosts" >"$work/power.json"
	for m in $MODELS; do
		model=${m%:*} size=${m#*:}
		net_rate 1000 || exit 1
		# The nodes get the model before links are slow.
		KERF_PROFILE_DIR=$work/profiles-first net_dev "$KERF" plan "$work/$model.onnx" --on "$engines" \
			--insecure --threads 1 >/dev/null 2>&1 </dev/null
		for mbit in $(rates_of "$setup"); do
			measure
			progress
		done
	done
	net_finish
done
awk -f tests/bench/policies.awk "$CSV"
