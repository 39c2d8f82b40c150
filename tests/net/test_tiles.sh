#!/bin/sh
# SPDX-License-Identifier: MIT
# Plans of tiles and of channels over a device and three neighbours, each two of them with a wire
# of their own: the outputs are the local run's bits, and what neighbours send each other does not
# pass through home, by the devices' counters against what the plan says of each wire. Then a
# neighbour dies: the next request fails, and a plan over those that are left runs. Needs root.
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
    if got < need or got > most:
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

# A neighbour dies under a stream of requests: they end with an error, soon, and nobody else does.
kerf plan --policy modnn --json >"$work/plan.json" || fail "no plan"
{ kerf bench --plan "$work/plan.json" --seconds 20 --format csv >"$work/rows" 2>"$work/err"; echo $? >"$work/status"; } &
stream=$!
sleep 1
# shellcheck disable=SC2154
kill -9 "$node2"
begin=$(date +%s)
wait $stream
took=$(($(date +%s) - begin))
[ "$(cat "$work/status")" = 1 ] && [ $took -lt 15 ] ||
	fail "a neighbour died: status $(cat "$work/status") after $took s: $(cat "$work/err")"
cat "$work/err"
on=cpu,http://$(net_addr 1):8470,http://$(net_addr 3):8470
kerf run --policy modnn --random 1 --json >"$work/out.json" || fail "not without the dead one"
cmp "$work/local.json" "$work/out.json" || fail "without the dead one: another answer"
