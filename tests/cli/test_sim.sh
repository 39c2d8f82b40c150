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
# Energy and traffic over time add up to what they are in all.
if command -v python3 >/dev/null; then
	python3 - "$dir/json1" <<-'EOF' || fail "json: over time it is something else"
	import json, sys
	r = json.load(open(sys.argv[1]))
	steps = r["over_time"]["steps"]
	assert abs(len(steps) * r["over_time"]["step_s"] - 120) < 1e-6
	for key in "arrived", "done", "lost", "replans", "wire_bytes", "work_j":
	    total = sum(s[key] for s in steps)
	    assert abs(total - r[key]) <= 1e-4 * r[key] + 1e-9, (key, total, r[key])
	assert r["replans"] > 100 and r["work_j"] > 0 and r["wire_bytes"] > 0
	EOF
fi
grep -q "traffic on all links" "$dir/svg1" && grep -q "power of work" "$dir/svg1" || fail "svg: no traffic, no power"

# Arrivals and a walk that were recorded; a node that is lost; a bar on a terminal.
cat >"$dir/trace.json" <<EOF
{"kerf_scenario": 1, "duration_s": 10, "models": [{"name": "m", "gen": "tiny"}],
 "engines": [{"name": "slow", "flops_s": 1e6}, {"name": "fast", "flops_s": 1e9}],
 "nodes": [{"name": "phone", "engines": ["slow"]}, {"name": "edge", "engines": ["fast"]}],
 "traces": [{"name": "walk", "points_file": "$dir/walk"}],
 "links": [{"from": "phone", "to": "edge", "trace": "walk"}],
 "arrivals": [{"node": "phone", "model": "m", "times_file": "$dir/times"}],
 "failures": [{"node": "edge", "from_s": 4, "to_s": 5}]}
EOF
printf '# seconds\n0.5 1 2.5\n4.5,6\n\n9\n' >"$dir/times"
printf 'x' >"$dir/walk"
expect 1 "$dir/walk: expected up to 2000000 numbers, found 'x' as number 1" "$dir/trace.json"
printf '0 1e8\n3 1e8 2\n' >"$dir/walk"
expect 1 "points_file: expected pairs of time and rate in it" "$dir/trace.json"
printf '0 1e8\n3 1e8\n2 1e6\n' >"$dir/walk"
expect 1 "points_file: expected pairs of rising times" "$dir/trace.json"
printf '# walk\n0 1e8\n6,1e3 # far away\n' >"$dir/walk"
expect 0 "" --csv "$dir/csv" "$dir/trace.json"
[ "$(grep -c '^"phone",6,6,0,0,[1-9]' "$dir/csv")" = 1 ] || fail "trace: not 6 requests done, with replans: $(cat "$dir/csv")"
printf '2 1' >"$dir/times"
expect 1 "times_file: expected times that do not fall, found 1 as number 1" "$dir/trace.json"
if command -v script >/dev/null; then
	script -qec "$KERF sim tests/sim/campus.json" /dev/null </dev/null 2>&1 | grep -q '\[####.* %' || fail "no bar on a terminal"
fi

# Whatever plans, the same requests come.
expect 0 "" --json --policy local tests/sim/campus.json
[ "$(sed -n 's/.*"arrived":\([0-9]*\),"done.*"plans_made.*/\1/p' "$dir/out")" = \
	"$(sed -n 's/.*"arrived":\([0-9]*\),"done.*"plans_made.*/\1/p' "$dir/json1")" ] || fail "another policy has other arrivals"
exit $bad
