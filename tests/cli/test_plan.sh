#!/bin/sh
# SPDX-License-Identifier: MIT
# kerf plan: goals and what misses them, policies.
set -u
cd "$(dirname "$0")/../.." || exit 1
KERF=${KERF:-$PWD/build/kerf}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
export KERF_PROFILE_DIR="$work/profiles" XDG_CACHE_HOME="$work/cache"
bad=0

# expect STATUS PATTERN COMMAND...: the status, and a line of stdout or stderr that matches.
expect() {
	status=$1 pattern=$2
	shift 2
	"$@" >"$work/out" 2>&1
	got=$?
	if [ $got != "$status" ]; then
		echo "$*: status $got, expected $status: $(cat "$work/out")"
		bad=1
	elif ! grep -q -e "$pattern" "$work/out"; then
		echo "$*: no '$pattern' in: $(cat "$work/out")"
		bad=1
	fi
}

model=$work/tiny.onnx
"$KERF" gen tiny -o "$model" || exit 1

# every policy has a name and a line, and --explain says of each what it would cost, or why not
expect 0 '^kerf  *.*default' "$KERF" plan --policies
n=$(grep -cv '^cut ' "$work/out")
expect 0 '^plan by ' "$KERF" plan "$model" --on cpu,ref --explain
[ "$(grep -c '^policy ..*: ..*' "$work/out")" = "$n" ] || { echo "--explain leaves policies out"; bad=1; }
expect 0 'policy remote: no engine of another node' "$KERF" plan "$model" --on cpu,ref --explain

expect 3 '^policy local: .*misses deadline' "$KERF" plan "$model" --on cpu,ref --explain --deadline 0.000001

# one engine leaves no choice, and what it costs is told all the same
expect 0 '"total_s":[0-9.e-]*[1-9]' "$KERF" plan "$model" --on cpu --json
expect 0 '^policy neurosurgeon: [0-9.]* ms' "$KERF" plan "$model" --on cpu --explain

# objectives
for o in latency throughput energy memory weighted:1,2 weighted:1,0,3; do
	expect 0 '^plan by ' "$KERF" plan "$model" --on cpu,ref --objective $o
done
expect 2 'expected latency' "$KERF" plan "$model" --objective speed
expect 2 'two or three weights' "$KERF" plan "$model" --objective weighted:1
expect 2 'two or three weights' "$KERF" plan "$model" --objective weighted:1,2,3,4
expect 2 'numbers from 0' "$KERF" plan "$model" --objective weighted:1,-2
expect 2 'numbers from 0' "$KERF" plan "$model" --objective weighted:1,
expect 2 'all weights are 0' "$KERF" plan "$model" --objective weighted:0,0

expect 0 'energy: nothing is known' "$KERF" plan "$model" --on cpu,ref --objective energy
echo '{"kerf_power":1,"engines":{"*":{"active_w":2}}}' >"$work/power.json"
expect 0 '^plan by .* J,' "$KERF" plan "$model" --on cpu,ref --objective energy --power "$work/power.json"
grep 'energy: nothing' "$work/out" && bad=1

# a policy without any plan: status 3 too, and who has one
expect 3 'no engine of another node.*; --policy kerf has a plan' "$KERF" plan "$model" --on cpu,ref --policy remote
expect 3 'no engine of another node.*; --policy kerf has a plan' \
	"$KERF" bench "$model" --on cpu,ref --policy remote --runs 1
# an exit's reason is about the operators up to it
"$KERF" gen resnet18-exits --size 32x32 -o "$work/exits.onnx" || exit 1
expect 0 "^why: exit 'exit[0-9]': everything on cpu" "$KERF" plan "$work/exits.onnx" --on cpu --exits --policy spinn

# constraints: status 3, what is missed, and an option that is then met
expect 3 'misses deadline .*; --deadline [0-9.e+-]* would be met' "$KERF" plan "$model" --deadline 0.000001
expect 0 '^plan by ' "$KERF" plan "$model" --deadline 100000
expect 3 'memory.*--memory cpu=' \
	"$KERF" run "$model" --random 1 --memory home=0.000001 --policy local
expect 3 'memory' "$KERF" bench "$model" --runs 1 --memory cpu=0.000001 --policy local
expect 0 '^plan by ' "$KERF" plan "$model" --on cpu,ref --memory cpu=100000 --memory ref=100000
expect 0 '^plan by ' "$KERF" plan "$model" --on cpu,ref --keep 3 --codecs f16,int8 --inexact --exits --accuracy 0.5
expect 1 'no such engine' "$KERF" plan "$model" --memory gpu=10
# what is proposed is met when it is tried
expect 3 'nearest plan misses memory' "$KERF" plan "$model" --on cpu,ref --memory cpu=0.001
expect 0 '^plan by ' "$KERF" plan "$model" --on cpu,ref $(sed -n 's/.*; \(--memory .*\) would be met/\1/p' "$work/out")
expect 2 'more than 0 MB' "$KERF" plan "$model" --memory cpu=0
expect 2 'a number from 0' "$KERF" plan "$model" --memory cpu=nan
expect 2 'a number from 0' "$KERF" plan "$model" --deadline -5
expect 2 'a number from 0' "$KERF" plan "$model" --deadline nan
expect 2 'numbers from 0' "$KERF" plan "$model" --objective weighted:nan,1
echo '{"kerf_power":1,"engines":{"cpu":{"active_w":NaN}}}' >"$work/power.json"
expect 2 'active_w is nan' "$KERF" plan "$model" --power "$work/power.json"
expect 1 'more than 16 engines' "$KERF" plan "$model" --on "$(printf 'ref,%.0s' $(seq 63))cpu"
expect 2 'expected NODE=MB' "$KERF" plan "$model" --memory 10
expect 2 'expected f16 or int8' "$KERF" plan "$model" --codecs f16,zip
expect 2 'number from 0 to 1' "$KERF" plan "$model" --accuracy 2
expect 2 'whole number' "$KERF" plan "$model" --keep -1
expect 2 'number from 0' "$KERF" plan "$model" --deadline soon
expect 2 'unknown policy' "$KERF" plan "$model" --policy magic

# a plan as a file: it runs, for its model and engines alone, and nothing else is taken for one
plan=$work/plan.json
"$KERF" plan "$model" --on cpu,ref --json >"$plan" || bad=1
expect 0 '^output ' "$KERF" run "$model" --on cpu,ref --plan "$plan" --random 1
cp "$work/out" "$work/planned"
"$KERF" run "$model" --on cpu,ref --random 1 >"$work/out"
cmp "$work/out" "$work/planned" || { echo "the plan from a file gives something else"; bad=1; }
expect 0 '^| kerf ' "$KERF" bench "$model" --on cpu,ref --plan "$plan" --runs 2
expect 0 '^plan by kerf' "$KERF" plan "$model" --on cpu,ref --plan "$plan"
"$KERF" gen tiny --seed 2 -o "$work/other.onnx" || bad=1
expect 1 'plan.json: plan: it is for the model [0-9a-f]\{64\}, not for this one, [0-9a-f]\{64\}' \
	"$KERF" run "$work/other.onnx" --on cpu,ref --plan "$plan" --random 1
expect 1 "runs on engine 'cpu', which --on does not name" \
	"$KERF" run "$model" --on null --plan "$plan" --random 1
expect 1 'it has no meaning' "$KERF" run "$model" --plan "$plan" --policy local --random 1
expect 1 'not JSON' "$KERF" run "$model" --plan "$model" --random 1
expect 1 'nowhere.json' "$KERF" run "$model" --plan "$work/nowhere.json" --random 1

# pictures: an operator has a box in both, text from the model cannot break out
expect 0 '^plan by ' "$KERF" plan "$model" --on cpu,ref --svg "$work/plan.svg" --dot "$work/plan.dot"
n=$("$KERF" inspect "$model" | sed -n 's/^\([0-9]*\) operators, .*/\1/p')
[ "$(grep -c '<g><title>' "$work/plan.svg")" = "$n" ] || { echo "the SVG has not $n boxes"; bad=1; }
[ "$(grep -c '^	o[0-9]* \[label' "$work/plan.dot")" = "$n" ] || { echo "the DOT has not $n boxes"; bad=1; }
grep -q '>cpu: 1 step, ' "$work/plan.svg" || { echo "the SVG has no legend"; bad=1; }
if command -v python3 >/dev/null; then
	python3 -c 'import sys, xml.dom.minidom; xml.dom.minidom.parse(sys.argv[1])' "$work/plan.svg" || bad=1
fi
! command -v dot >/dev/null || dot -Tsvg "$work/plan.dot" >/dev/null || bad=1
expect 1 'nowhere' "$KERF" plan "$model" --svg "$work/nowhere/plan.svg"

# an exit that is taken: what is behind it is not run
"$KERF" gen resnet18-exits --size 32x32 -o "$work/exits.onnx" || bad=1
expect 0 'accuracy: 0.6976 of the whole model, 0.41 at exit .exit1' "$KERF" inspect "$work/exits.onnx"
expect 0 'accuracy 0.4100' "$KERF" plan "$work/exits.onnx" --exits --objective latency --svg "$work/exits.svg" \
	--policy kerf
first=$("$KERF" run "$work/exits.onnx" --random 1 | grep '^exit1 ')
[ "$("$KERF" run "$work/exits.onnx" --random 1 --exits --accuracy 0.3)" = "$first" ] ||
	{ echo "the first exit is not what the whole model makes there"; bad=1; }
expect 1 "the plan ends at exit 'exit1', and does not make 'output'" \
	"$KERF" run "$work/exits.onnx" --random 1 --exits --output "output:$work/x.npy"
[ ! -e "$work/x.npy" ] || { echo "an output that is not made was written"; bad=1; }
expect 3 'misses accuracy 0.9' "$KERF" plan "$work/exits.onnx" --exits --accuracy 0.9

# the memory of everything on one engine is its weights and what its program plans
"$KERF" gen resnet18 --size 64x64 -o "$work/r18.onnx" || bad=1
peak=$("$KERF" inspect "$work/r18.onnx" | sed -n 's/.* \([0-9]*\) planned at peak.*/\1/p')
"$KERF" plan "$work/r18.onnx" --on cpu --policy local --json |
	sed -n 's/.*"memory_bytes":\([0-9.]*\).*/\1/p' |
	awk -v peak="$peak" -v file="$(wc -c <"$work/r18.onnx")" \
		'{ exit !(peak > 0 && $1 >= 0.99 * file + peak && $1 <= file + 1.2 * peak) }' ||
	{ echo "the plan's memory is not that of its program"; bad=1; }

# tiles over two nodes, by way of a file: the whole run's bits
"$KERF" node run --listen 127.0.0.1:0 --threads 1 --cache "$work/cache" >"$work/node" 2>/dev/null &
node=$!
trap 'kill $node 2>/dev/null; rm -rf "$work"' EXIT
for _ in 1 2 3 4 5 6 7 8 9 10; do
	port=$(sed -n 's/^listening on port \([0-9]*\)$/\1/p' "$work/node")
	[ -z "$port" ] || break
	sleep 0.3
done
on=cpu,http://127.0.0.1:$port
"$KERF" run "$work/r18.onnx" --random 1 >"$work/whole" || bad=1
for policy in modnn deepthings; do
	"$KERF" plan "$work/r18.onnx" --on "$on" --policy $policy --json >"$plan" 2>"$work/err" || { cat "$work/err"; bad=1; }
	"$KERF" run "$work/r18.onnx" --on "$on" --plan "$plan" --random 1 >"$work/out" 2>"$work/err" ||
		{ cat "$work/err"; bad=1; }
	cmp "$work/whole" "$work/out" || { echo "$policy: other bits than the whole run's"; bad=1; }
	grep -q '"rows":\[' "$plan" || echo "$policy: chose no tiles here"
done
exit $bad
