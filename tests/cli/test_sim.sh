#!/bin/sh
# SPDX-License-Identifier: MIT
# kerf sim: the same bytes for the same seed, every output that it makes, and one line for what is
# no scenario.
set -u
cd "$(dirname "$0")/../.." || exit 1
KERF=${KERF:-$PWD/build/kerf}
dir=$(mktemp -d) || exit 1
trap 'rm -rf "$dir"' EXIT
bad=0

fail() {
	echo "$*"
	bad=1
}

# expect STATUS PATTERN ARG...: exit status, and what stderr says
expect() {
	status=$1 pattern=$2
	shift 2
	timeout 60 "$KERF" sim "$@" >"$dir/out" 2>"$dir/err"
	got=$?
	[ $got = "$status" ] || fail "sim $*: status $got, expected $status: $(cat "$dir/err")"
	[ -z "$pattern" ] || grep -q -- "$pattern" "$dir/err" || fail "sim $*: no '$pattern' in: $(cat "$dir/err")"
}

expect 2 "expected one scenario"
expect 2 "unknown policy 'x'" --policy x tests/sim/campus.json
expect 2 "--seed '-1'" --seed=-1 tests/sim/campus.json
expect 1 "$dir/none: No such file" "$dir/none"
sed 's/"squeezenet"/"squeezenot"/' tests/sim/campus.json >"$dir/s"
expect 1 "model 'objects': unknown architecture 'squeezenot'" "$dir/s"
sed 's/"latency_s": 2e-3, "medium": "to"/"latency_s": 2e-3, "pattern": "all", "medium": "to"/; s/"count": 4/"count": 40/' \
	tests/sim/campus.json >"$dir/s"
expect 1 "41 engines of 41 nodes are within its reach" "$dir/s"

for i in 1 2; do
	expect 0 "" --json --csv "$dir/csv$i" -o "$dir/svg$i" tests/sim/campus.json
	mv "$dir/out" "$dir/json$i"
done
for f in csv svg json; do
	cmp "$dir/${f}1" "$dir/${f}2" || fail "$f: other bytes for the same seed"
done
expect 0 "" --json --seed 2 tests/sim/campus.json
cmp -s "$dir/out" "$dir/json1" && fail "the same bytes for another seed"
# 64 nodes, a head and the sum
[ "$(wc -l <"$dir/csv1")" = 66 ] || fail "csv: $(wc -l <"$dir/csv1") rows"
awk -F, 'NR > 1 && $1 != "all" { a += $2; d += $3; l += $4 } $1 == "all" { bad = a != $2 || d != $3 || l != $4 || a != d + l }
	END { exit bad || !a }' "$dir/csv1" || fail "csv: its rows do not add up"
if command -v python3 >/dev/null; then
	python3 -c 'import json, sys; r = json.load(open(sys.argv[1])); assert r["arrived"] == r["done"] + r["lost"] > 10000 and len(r["nodes"]) == 64' \
		"$dir/json1" || fail "json: not what it should be"
	python3 -c 'import sys, xml.dom.minidom as m; m.parse(sys.argv[1])' "$dir/svg1" || fail "svg: not XML"
fi
# Whatever plans, the same requests come.
expect 0 "" --json --policy local tests/sim/campus.json
[ "$(sed -n 's/.*"arrived":\([0-9]*\),"done.*"plans_made.*/\1/p' "$dir/out")" = \
	"$(sed -n 's/.*"arrived":\([0-9]*\),"done.*"plans_made.*/\1/p' "$dir/json1")" ] || fail "another policy has other arrivals"
exit $bad
