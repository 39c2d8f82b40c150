#!/bin/sh
# SPDX-License-Identifier: MIT
# Plans of tiles and of channels over a device and three neighbours, each two of them with a wire
# of their own: the outputs are the local run's bits, and what neighbours send each other does not
# pass through home, by the devices' counters against what the plan says of each wire. Then a
# neighbour dies: the next request fails and names it, and a plan over those that are left runs; one
# that is stopped is named too. What codecs and padded tiles change is told. Needs root.
set -u
cd "$(dirname "$0")/../.." || exit 1
KERF=${KERF:-$PWD/build/kerf}
. tests/net/lib.sh
why=$(net_possible) || { echo "$why"; exit 77; }
command -v python3 >/dev/null || { echo "no python3"; exit 77; }
work=$(mktemp -d)
export KERF_PROFILE_DIR="$work/profiles" XDG_CACHE_HOME="$work/cache"
trap 'rm -rf "$work"' EXIT
fail() {
	echo "$*"
	exit 1
}

net_init 4 || fail "cannot set up four hosts"
trap 'net_finish; rm -rf "$work"' EXIT
on=cpu
for host in 1 2 3; do
	net_node_at $host "$work/log$host" --threads 1 --cache "$work/cache$host" ||
		{ cat "$work/log$host"; exit 1; }
	eval "node$host=$!"
	on=$on,http://$(net_addr $host):8470
done
"$KERF" gen squeezenet --size 64x64 -o "$work/model.onnx" || fail "cannot generate a model"
"$KERF" run "$work/model.onnx" --threads 1 --random 1 --json >"$work/local.json" || fail "no local run"

# kerf COMMAND OPTIONS...: of the model, on the device
kerf() {
	command=$1
	shift
	net_dev "$KERF" "$command" "$work/model.onnx" --on "$on" --insecure --threads 1 "$@"
}

# count FILE: bytes on every wire so far, "A B BYTES" a line
count() {
	for from in 0 1 2 3; do
		for to in 0 1 2 3; do
			[ $from = $to ] || echo "$from $to $(net_sent $from $to)"
		done
	done >"$1"
}

cat >"$work/check.py" <<'EOF'
import json, sys

plan, before, after, runs, policy = json.load(open(sys.argv[1])), sys.argv[2], sys.argv[3], int(sys.argv[4]), sys.argv[5]
host = lambda step: 0 if step == "home" or not plan["steps"][step]["engine"].startswith("http") \
    else int(plan["steps"][step]["engine"].split(":")[1].rsplit(".", 1)[1]) - 1
read = lambda name: {tuple(map(int, l.split()[:2])): int(l.split()[2]) for l in open(name)}
a, b = read(before), read(after)
want, messages = {}, {}
for e in plan["edges"]:
    x, y = host(e["from"]), host(e["to"])
    if x == y:
        continue
    for way in [(x, 0), (0, y)] if e.get("relayed") and x and y else [(x, y)]:
        want[way] = want.get(way, 0) + e["bytes"]
        messages[way] = messages.get(way, 0) + 1
bad, direct, home = False, 0, 0
for way in a:
    got, need = (b[way] - a[way]) / runs, want.get(way, 0)
    # Frames, heads of both directions' messages, and acknowledgements of what comes back.
    n = messages.get(way, 0) + messages.get(way[::-1], 0)
    most = need * 1.12 + want.get(way[::-1], 0) * 0.08 + 3000 * n + 3000
    # What is not of requests differs by a segment or two from run to run.
    if got < need - 100 or got > most:
        print("%s: host %d to %d: %d bytes a request, the plan says %d (%d messages)" % (policy, *way, got, need, n))
        bad = True
    direct += got if all(way) else 0
    home += 0 if all(way) else got
print("%s: %d steps; a request has %.0f KB between neighbours, %.0f KB to and from home" %
      (policy, len(plan["steps"]), direct / 1e3, home / 1e3))
between = sum(v for k, v in want.items() if all(k))
if not between:
    print("%s: nothing goes between neighbours: this tests nothing" % policy)
    bad = True
sys.exit(bad)
EOF

# The model goes to the nodes, and is profiled there, before the wires are slow.
kerf plan --policy modnn --json >"$work/plan.json" || fail "no plan"
net_rate 200 || fail "cannot shape the links"
RUNS=6
for policy in modnn decnn; do
	kerf plan --policy $policy --json >"$work/plan.json" || fail "$policy: no plan"
	cp "$work/plan.json" "$work/$policy.json"
	kerf run --plan "$work/plan.json" --random 1 --json >"$work/out.json" || fail "$policy: does not run"
	cmp "$work/local.json" "$work/out.json" || fail "$policy: another answer"
	kerf bench --plan "$work/plan.json" --runs 1 --warmup 0 --format csv >"$work/rows" ||
		fail "$policy: no benchmark"
	# What it takes to open a session is in both.
	count "$work/a"
	kerf bench --plan "$work/plan.json" --runs 1 --warmup 0 --format csv >"$work/rows"
	count "$work/b"
	kerf bench --plan "$work/plan.json" --runs $((RUNS + 1)) --warmup 0 --format csv >"$work/rows"
	count "$work/c"
	paste -d " " "$work/a" "$work/b" | awk '{ print $1, $2, $3 + 2 * ($6 - $3) }' >"$work/begin"
	python3 "$work/check.py" "$work/plan.json" "$work/begin" "$work/c" $RUNS $policy ||
		fail "$policy: not the way the plan says"
done

# What codecs and padded tiles change is told: against the whole run, for each output.
cat >"$work/error.py" <<'EOF'
import json, sys

# error.py FILE RMS-FROM RMS-TO: what run --check --json wrote
from_, to = float(sys.argv[2]), float(sys.argv[3])
for name, o in json.load(open(sys.argv[1])).items():
    e = o["error"]
    if e["same_bits"] != (to == 0) or not from_ <= e["rms"] <= to or (e["max_abs"] > 0) != (to > 0) or e["rows"] != 1:
        sys.exit("%s: %s, expected an RMS error from %g to %g" % (name, e, from_, to))
EOF
cat >"$work/code.py" <<'EOF'
import json, sys

# code.py CODEC PLAN: every edge that can be coded, is
plan = json.load(open(sys.argv[2]))
n = 0
for e in plan["edges"]:
    if e["from"] != "home" and e["to"] != "home":
        e["codec"] = sys.argv[1]
        n += 1
json.dump(plan, open(sys.argv[2], "w"))
sys.exit(n == 0)
EOF
kerf run --plan "$work/modnn.json" --random 1 --json --check >"$work/out.json" 2>"$work/err" || fail "$(cat "$work/err")"
python3 "$work/error.py" "$work/out.json" 0 0 || fail "modnn is exact"
for codec in f16 int8; do
	cp "$work/modnn.json" "$work/coded.json"
	python3 "$work/code.py" $codec "$work/coded.json" || fail "$codec: nothing to code"
	kerf run --plan "$work/coded.json" --random 1 --json --check >"$work/out.json" 2>"$work/err" ||
		fail "$codec: $(cat "$work/err")"
	python3 "$work/error.py" "$work/out.json" 1e-7 0.1 || fail "$codec: another error"
done
kerf run --plan "$work/coded.json" --random 1 --json >"$work/out.json" 2>"$work/err" || fail "$(cat "$work/err")"
grep -q "not exact (int8 on [0-9]* edges): --check" "$work/err" || fail "int8: not told: $(cat "$work/err")"
# Without memory for the model here, and asked for codecs, the planner sends the image in one, and bench says what that costs.
kerf bench --policy kerf --codecs int8 --memory home=1 --runs 1 --warmup 0 --format csv >"$work/rows" 2>"$work/err" ||
	fail "$(cat "$work/err")"
cat "$work/err"
grep -q "kerf: kerf: output 'output': against the whole run an RMS error of [0-9.e-]*, .* top-1 " "$work/err" ||
	fail "--codecs: no error is told"
awk -F, 'NR == 2 { exit !($19 > 0 && $19 < 0.1 && $20 > 0 && ($21 == "true" || $21 == "false")) }' "$work/rows" ||
	fail "--codecs: $(cat "$work/rows")"
"$KERF" gen mobilenet_v2 --size 64x64 -o "$work/mobile.onnx" || fail "cannot generate a model"
mobile() {
	command=$1
	shift
	net_dev "$KERF" "$command" "$work/mobile.onnx" --on "${on%,*}" --insecure --threads 1 "$@"
}
mobile plan --policy adcnn --inexact --json >"$work/padded.json" || fail "adcnn: no plan"
mobile bench --plan "$work/padded.json" --runs 1 --warmup 0 --format csv >"$work/rows" 2>"$work/err" ||
	fail "adcnn: $(cat "$work/err")"
cat "$work/err"
grep -q "kerf: adcnn: output 'output': against the whole run an RMS error of [0-9.e-]*, .* top-1 " "$work/err" ||
	fail "adcnn: no error is told"

# A neighbour that is stopped under a stream of requests is still there for the kernel: it is named
# all the same, before the minute of requests is over, and when it goes on all is well.
{ kerf bench --plan "$work/modnn.json" --seconds 60 --format csv >"$work/rows" 2>"$work/err"; echo $? >"$work/status"; } &
stream=$!
sleep 1
# shellcheck disable=SC2154
kill -STOP "$node3"
wait $stream
kill -CONT "$node3"
cat "$work/err"
[ "$(cat "$work/status")" = 1 ] && grep -q "http://$(net_addr 3):8470" "$work/err" ||
	fail "a neighbour was stopped: status $(cat "$work/status"): $(cat "$work/err")"
kerf run --plan "$work/modnn.json" --random 1 --json >"$work/out.json" || fail "not with the one that goes on"
cmp "$work/local.json" "$work/out.json" || fail "with the one that goes on: another answer"

# A neighbour dies under a stream of requests: they end with an error, before their time, and nobody else does.
{ kerf bench --plan "$work/modnn.json" --seconds 20 --format csv >"$work/rows" 2>"$work/err"; echo $? >"$work/status"; } &
stream=$!
sleep 1
# shellcheck disable=SC2154
kill -9 "$node2"
wait $stream
[ "$(cat "$work/status")" = 1 ] ||
	fail "a neighbour died: status $(cat "$work/status"): $(cat "$work/err")"
cat "$work/err"
grep -q "http://$(net_addr 2):8470" "$work/err" || fail "who died is not told"
on=cpu,http://$(net_addr 1):8470,http://$(net_addr 3):8470
kerf run --policy modnn --random 1 --json >"$work/out.json" || fail "not without the dead one"
cmp "$work/local.json" "$work/out.json" || fail "without the dead one: another answer"
