#!/bin/sh
# SPDX-License-Identifier: MIT
# Simulated against measured latency: two hosts, and four where tests/net/lib.sh has them, each pair
# with a link of its own; plans of several kinds at each bandwidth. A request alone takes in the
# simulator what its plan is priced at (tests/unit/test_sim*.c), so "simulated" is kerf bench's
# prediction, made before the plan runs, from profiles and links measured just before.
#
# The device has one thread and, on x86-64, AVX2; the others one thread and the best there is. MODELS ("name:size ..."),
# RATES (Mbit/s), RUNS, HOSTS ("2 4") and CSV (where the rows are kept) may be set.
set -u
cd "$(dirname "$0")/../.." || exit 1
KERF=${KERF:-$PWD/${O:-build}/kerf}
export KERF
. tests/net/lib.sh
why=$(net_possible) || { echo "skipped: $why"; exit 0; }
MODELS=${MODELS:-resnet50:160x160 vgg16:112x112 yolov4-tiny:160x160 mobilenet_v2:160x160}
RATES=${RATES:-1 2 5 10 50 100 300 1000}
RUNS=${RUNS:-5}
HOSTS=${HOSTS:-2 4}
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
echo "hosts,model,size,mbit,plan,simulated_ms,measured_ms,runs" >"$CSV"

# measure HOSTS MODEL SIZE MBIT ENGINES POLICIES CUTS
measure() {
	common="--on $5 --insecure --threads 1 --telemetry off"
	[ "$(uname -m)" != x86_64 ] || common="$common --isa avx2"
	# shellcheck disable=SC2086
	net_dev timeout 240 "$KERF" bench "$work/$2.onnx" $common --policy "$6" --cut "$7" --runs "$runs" --warmup 1 \
		--format csv >"$work/rows" 2>"$work/err" </dev/null || sed "s/^/# $2 at $4: /" "$work/err" >&2
	awk -F, -v OFS=, -v hosts="$1" -v model="$2" -v size="$3" -v mbit="$4" \
		'$2 ~ /^[0-9]+$/ { print hosts, model, size, mbit, $1, $13, $6, $4 }' "$work/rows" >>"$CSV"
}

# Cuts in the middle of the operators, and behind three quarters of them.
some_cuts() {
	n=$("$KERF" inspect "$work/$1.onnx" | grep -c '^ *[0-9][0-9]*  ')
	echo "$((n / 2)),$((n * 3 / 4))"
}

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
	engines=cpu,http://$NET_SRV_ADDR:8470
	if [ "$hosts" = 2 ]; then
		net_node "$work/node.log" --threads 1 || exit 1
		policies=local,remote,cut,kerf
	else
		i=1
		while [ $i -lt "$hosts" ]; do
			net_node_at $i "$work/node$i.log" --threads 1 || exit 1
			[ $i = 1 ] || engines=$engines,http://$(net_addr $i):8470
			i=$((i + 1))
		done
		policies=remote,jointdnn,modnn,deepslicing,aofl,pico,kerf
	fi
	for m in $MODELS; do
		# The nodes get the model while links are fast.
		net_rate 1000 || exit 1
		KERF_PROFILE_DIR=$work/profiles-first
		export KERF_PROFILE_DIR
		net_dev "$KERF" plan "$work/${m%:*}.onnx" --on "$engines" --insecure >/dev/null 2>&1 </dev/null
		for mbit in $RATES; do
			# Speeds of a shared machine drift: profiles are of the same minute.
			KERF_PROFILE_DIR=$work/profiles-$hosts-${m%:*}-$mbit
			net_rate "$mbit" || exit 1
			runs=$RUNS
			[ "$mbit" -gt 5 ] || runs=$(((RUNS + 1) / 2))
			measure "$hosts" "${m%:*}" "${m#*:}" "$mbit" "$engines" $policies "$(some_cuts "${m%:*}")"
		done
	done
	net_finish
done

awk -F, '
	function sort(v, n,  i, j, t) {
		for (i = 2; i <= n; i++)
			for (j = i; j > 1 && v[j - 1] > v[j]; j--) { t = v[j]; v[j] = v[j - 1]; v[j - 1] = t }
	}
	function show(name, v, n) {
		sort(v, n)
		printf "| %s | %d | %.1f %% | %.1f %% | %.1f %% |\n", name, n, v[int((n + 1) / 2)], v[int(n * 0.9 + 0.999999)], v[n]
	}
	NR > 1 {
		e = $6 / $7 - 1
		if (e < 0) e = -e
		at = $1 " hosts, " $2 " " $3
		if (!(at in n)) order[++groups] = at
		error[at, ++n[at]] = 100 * e
		byrate[$4, ++m[$4]] = 100 * e
		if (m[$4] == 1) rates[++n_rate] = $4
		all[++count] = 100 * e
	}
	END {
		print "| | plans | median error | p90 | worst |"
		print "|---|---|---|---|---|"
		for (g = 1; g <= groups; g++) {
			for (i = 1; i <= n[order[g]]; i++) v[i] = error[order[g], i]
			show(order[g], v, n[order[g]])
		}
		for (g = 1; g <= n_rate; g++) {
			for (i = 1; i <= m[rates[g]]; i++) v[i] = byrate[rates[g], i]
			show(rates[g] " Mbit/s", v, m[rates[g]])
		}
		show("all", all, count)
	}' "$CSV"
