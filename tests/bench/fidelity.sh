#!/bin/sh
# SPDX-License-Identifier: MIT
# Simulated against measured latency: hosts, each pair with a link of its own, and plans of several kinds at
# each bandwidth. A request alone takes in the simulator what its plan is priced at
# (tests/unit/test_sim*.c), so "simulated" is kerf bench's prediction, made before the plan runs, from
# profiles and links measured just before.
#
# Two hosts have one thread each; the device's, on x86-64, with AVX2, the other's with the best there is.
# More than two would wait for one another on a box of two cores: each is a slower core
# (--share), so that all together fit, with what the kernel does for their links. Requests come with
# pauses, as a request alone finds a shaper's bucket full.
#
# Distinct plans run in turns (kerf bench --rounds); what is predicted to take more than LONGEST seconds is
# not run. Such plans, those that failed and policies without a plan are counted below the tables.
#
# MODELS ("name:size ..."), RATES (Mbit/s), ROUNDS, RUNS, LONGEST, HOSTS ("2 4") and CSV (where the rows are
# kept, n = 0 for what was not run) may be set.
set -u
cd "$(dirname "$0")/../.." || exit 1
KERF=${KERF:-$PWD/${O:-build}/kerf}
export KERF
# Messages of a few KB must not pass at once.
NET_BURST=${NET_BURST:-3200}
. tests/net/lib.sh
why=$(net_possible) || { echo "skipped: $why"; exit 0; }
MODELS=${MODELS:-resnet50:160x160 vgg16:112x112 yolov4-tiny:160x160 mobilenet_v2:160x160}
RATES=${RATES:-1 2 5 10 50 100 300 1000}
ROUNDS=${ROUNDS:-2}
RUNS=${RUNS:-3}
HOSTS=${HOSTS:-2 4}
LONGEST=${LONGEST:-6}
work=$(mktemp -d)
CSV=${CSV:-$work/rows.csv}
export XDG_CACHE_HOME="$work/cache"
# Beside others' work on this box theirs waits, not what is measured: in real time where that may be.
# Where sessions are scheduled as groups, a nice value counts within one alone.
quiet() {
	if [ "$1" = 0 ]; then
		chrt -o -p 0 $$
	else
		chrt -r -p 5 $$
	fi
	renice -n "$1" -p $$
	[ ! -w /proc/$$/autogroup ] || echo "$1" >/proc/$$/autogroup
} >/dev/null 2>&1
finish() {
	net_finish
	quiet 0
	rm -rf "$work"
}
trap finish EXIT
echo "hosts,model,size,mbit,policy,plan,simulated_ms,measured_ms,n" >"$CSV"
wanted=0

# measure HOSTS MODEL SIZE MBIT ENGINES POLICIES CUTS SHARE: a row for each distinct plan; POLICIES and CUTS
# without one, or whose plan failed, are missing
measure() {
	common="--on $5 --insecure --threads 1 --telemetry off --share $8"
	[ "$(uname -m)" != x86_64 ] || [ "$8" != 100 ] || common="$common --isa avx2"
	: >"$work/rows"
	# shellcheck disable=SC2086
	net_dev timeout 600 "$KERF" bench "$work/$2.onnx" $common --policy "$6" --cut "$7" --pause $((40 / $4 + 1)) \
		--rounds "$ROUNDS" --runs "$RUNS" --warmup 1 --longest "$LONGEST" \
		--format csv >"$work/rows" 2>"$work/err" </dev/null || echo "# $2 at $4: kerf bench failed" >&2
	sed "s/^/# $2 at $4: /" "$work/err" >&2
	awk -F, -v OFS=, -v hosts="$1" -v model="$2" -v size="$3" -v mbit="$4" \
		'$2 ~ /^[0-9]+$/ { print hosts, model, size, mbit, $1, $16, $13, $6, $4 }' "$work/rows" >>"$CSV"
	wanted=$((wanted + $(echo "$6,$7" | tr , '\n' | grep -vc '^cut$')))
}

# Cuts in the middle of the operators, and behind three quarters of them.
some_cuts() {
	n=$("$KERF" inspect "$work/$1.onnx" | grep -c '^ *[0-9][0-9]*  ')
	echo "$((n / 2)),$((n * 3 / 4))"
}

for m in $MODELS; do
	"$KERF" gen "${m%:*}" --size "${m#*:}" -o "$work/${m%:*}.onnx" </dev/null || exit 1
done
quiet -15
began=$(date +%s)
for hosts in $HOSTS; do
	net_init "$hosts" || exit 1
	trap finish EXIT
	share=100
	[ "$hosts" = 2 ] || share=$((60 / hosts))
	engines=cpu
	i=1
	while [ $i -lt "$hosts" ]; do
		net_node_at $i "$work/node$i.log" --threads 1 --share $share --telemetry off || exit 1
		engines=$engines,http://$(net_addr $i):8470
		i=$((i + 1))
	done
	policies=remote,jointdnn,modnn,coedge,deepslicing,aofl,decnn,kerf,cut
	[ "$hosts" = 2 ] || policies=$policies,pico
	[ "$hosts" != 2 ] || policies=local,$policies
	for m in $MODELS; do
		# The nodes get the model while links are fast.
		net_rate 1000 || exit 1
		KERF_PROFILE_DIR=$work/profiles-first
		export KERF_PROFILE_DIR
		net_dev "$KERF" plan "$work/${m%:*}.onnx" --on "$engines" --insecure --telemetry off \
			>/dev/null 2>&1 </dev/null
		for mbit in $RATES; do
			# Speeds of a shared machine drift: profiles are of the same minute.
			KERF_PROFILE_DIR=$work/profiles-$hosts-${m%:*}-$mbit
			net_rate "$mbit" || exit 1
			measure "$hosts" "${m%:*}" "${m#*:}" "$mbit" "$engines" $policies "$(some_cuts "${m%:*}")" $share
			echo "# $hosts hosts, ${m%:*}, $mbit Mbit/s: $(($(date +%s) - began)) s so far" >&2
		done
	done
	net_finish
done

awk -F, -v wanted=$wanted '
	function sort(v, n,  i, j, t) {
		for (i = 2; i <= n; i++)
			for (j = i; j > 1 && v[j - 1] > v[j]; j--) { t = v[j]; v[j] = v[j - 1]; v[j - 1] = t }
	}
	# The signed median tells in which direction a kind of plan is mispriced.
	function show(name,  i, n, v, w) {
		n = count[name]
		for (i = 1; i <= n; i++) {
			w[i] = error[name, i]
			v[i] = w[i] < 0 ? -w[i] : w[i]
		}
		sort(v, n)
		sort(w, n)
		printf "| %s | %d | %.1f %% | %.1f %% | %.1f %% | %+.1f %% |\n", name, n, v[int((n + 1) / 2)],
			v[int(n * 0.9 + 0.999999)], v[n], w[int((n + 1) / 2)]
	}
	function add(kind, name, e) {
		if (!(name in count)) order[kind, ++names[kind]] = name
		error[name, ++count[name]] = e
	}
	function table(kind,  i) {
		for (i = 1; i <= names[kind]; i++) show(order[kind, i])
	}
	NR > 1 {
		rows++
		if ($9 == 0) { left++; next }
		at = $1 FS $2 FS $4 FS $6
		# Cuts are one kind.
		sub(/ .*/, "", $5)
		e = 100 * ($7 / $8 - 1)
		add("policy", $5, e)
		if (at in had) { same++; next }
		had[at] = 1
		add("model", $1 " hosts, " $2 " " $3, e)
		add("rate", $4 " Mbit/s", e)
		add("all", "all", e)
	}
	END {
		if (!count["all"]) { print "nothing was measured"; exit 1 }
		print "| | plans | median error | p90 | worst | signed median |"
		print "|---|---|---|---|---|---|"
		table("model")
		table("rate")
		table("all")
		print ""
		print "| policy | plans | median error | p90 | worst | signed median |"
		print "|---|---|---|---|---|---|"
		table("policy")
		print ""
		printf "%d plans asked for: %d distinct measured, %d the same as another of the case, ", wanted,
			count["all"], same
		printf "%d predicted to take longer than may be, %d without a plan or failed (told above)\n", left,
			wanted - rows
	}' "$CSV"
