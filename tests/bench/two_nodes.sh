#!/bin/sh
# SPDX-License-Identifier: MIT
# A device and a faster neighbour over a shaped link: local, remote and kerf's plan, and how far
# that is from the best of the cuts measured one by one. The device has one thread and, on
# x86-64, AVX2; the neighbour everything. Distinct plans run in turns; BENCH_MBIT and BENCH_ROUNDS may be set.
set -u
cd "$(dirname "$0")/../.." || exit 1
KERF=${KERF:-$PWD/${O:-build}/kerf}
export KERF
. tests/net/lib.sh
why=$(net_possible) || { echo "skipped: $why"; exit 0; }
work=$(mktemp -d)
trap 'net_finish; rm -rf "$work"' EXIT
export XDG_CACHE_HOME="$work/cache"
{ net_init && net_rate 100; } || exit 1
trap 'net_finish; rm -rf "$work"' EXIT
net_node "$work/node.log" || exit 1

echo "| model | Mbit/s | local ms | remote ms | kerf ms | predicted ms | best cut ms | kerf / best | req/s, 1 in flight | req/s, 4 in flight |"
echo "|---|---|---|---|---|---|---|---|---|---|"
common="--on cpu,http://$NET_SRV_ADDR:8470 --insecure --threads 1"
[ "$(uname -m)" != x86_64 ] || common="$common --isa avx2"

while read -r m size cuts; do
	# shellcheck disable=SC2086
	"$KERF" gen "$m" --size $size -o "$work/model.onnx" </dev/null || exit 1
	for mbit in ${BENCH_MBIT:-50 100 500}; do
		net_rate "$mbit"
		KERF_PROFILE_DIR=$work/$m-$mbit
		export KERF_PROFILE_DIR
		# shellcheck disable=SC2086
		net_dev "$KERF" bench "$work/model.onnx" $common --rounds "${BENCH_ROUNDS:-3}" \
			--policy local,remote,kerf,cut --cut "$cuts" --longest 5 --format csv \
			>"$work/rows" </dev/null || exit 1
		# shellcheck disable=SC2086
		net_dev "$KERF" bench "$work/model.onnx" $common --depth 1,4 --seconds 2 \
			--format csv >"$work/depths" </dev/null || exit 1
		awk -F, -v m="$m $size" -v mbit="$mbit" '
			FILENAME ~ /depths$/ { rate[$3] = $9; next }
			$1 == "local" { local = $6 }
			$1 == "remote" { remote = $6 }
			$1 == "kerf" { chosen = $6; predicted = $13 }
			$1 ~ /^cut / && $4 > 0 { if (!best || $6 < best) best = $6 }
			END { printf "| %s | %d | %.1f | %.1f | %.1f | %.1f | %.1f | %.3f | %.1f | %.1f |\n",
				m, mbit, local, remote, chosen, predicted, best, chosen / best,
				rate[1], rate[4] }' "$work/rows" "$work/depths"
	done
done <<EOF
resnet18 112x112 all
squeezenet 224x224 all
vit_tiny 128x128 $(seq -s, 0 24),$(seq -s, 32 8 290)
EOF
