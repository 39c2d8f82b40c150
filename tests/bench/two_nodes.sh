#!/bin/sh
# SPDX-License-Identifier: MIT
# A device with a quarter of a core and a neighbour, over a shaped link: local, remote and
# kerf's plan, and how far that is from the best of all cuts measured one by one.
set -u
cd "$(dirname "$0")/../.." || exit 1
KERF=${KERF:-$PWD/build/kerf}
export KERF
. tests/net/lib.sh
why=$(net_possible) || { echo "skipped: $why"; exit 0; }
work=$(mktemp -d)
trap 'net_finish; rm -rf "$work"' EXIT
export XDG_CACHE_HOME="$work/cache"
{ net_init && net_quota 25 && net_rate 100; } || exit 1
trap 'net_finish; rm -rf "$work"' EXIT
net_node "$work/node.log" || exit 1

echo "| model | Mbit/s | local ms | remote ms | mincut ms | predicted ms | best cut ms | mincut / best | req/s, 1 in flight | req/s, 4 in flight |"
echo "|---|---|---|---|---|---|---|---|---|---|"
for m in ${BENCH_MODELS:-squeezenet resnet18}; do
	"$KERF" gen "$m" -o "$work/model.onnx" || exit 1
	for mbit in ${BENCH_MBIT:-10 50 100 500}; do
		net_rate "$mbit"
		KERF_PROFILE_DIR=$work/$m-$mbit
		export KERF_PROFILE_DIR
		net_dev "$KERF" bench "$work/model.onnx" --on "cpu,http://$NET_SRV_ADDR:8470" \
			--insecure --threads 1 --policy local,remote,mincut,cut,mincut --cut all \
			--runs "${BENCH_RUNS:-3}" --warmup 1 --format csv >"$work/rows" || exit 1
		net_dev "$KERF" bench "$work/model.onnx" --on "cpu,http://$NET_SRV_ADDR:8470" \
			--insecure --threads 1 --depth 1,4 --format csv >"$work/depths" || exit 1
		awk -F, -v m="$m" -v mbit="$mbit" '
			FILENAME ~ /depths$/ { rate[$3] = $9; next }
			$1 == "local" { local = $6 }
			$1 == "remote" { remote = $6 }
			$1 == "mincut" { if (!chosen || $6 < chosen) chosen = $6; predicted = $13 }
			$1 ~ /^cut / { if (!best || $6 < best) best = $6 }
			END { printf "| %s | %d | %.1f | %.1f | %.1f | %.1f | %.1f | %.3f | %.1f | %.1f |\n",
				m, mbit, local, remote, chosen, predicted, best, chosen / best,
				rate[1], rate[4] }' "$work/rows" "$work/depths"
	done
done
