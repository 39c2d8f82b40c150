#!/bin/sh
# SPDX-License-Identifier: MIT
# kerf top: every section as text and as JSON, nothing of a peer's reaches the terminal raw, and
# the screen comes and goes where there is one.
set -u
KERF=${KERF:-$PWD/build/kerf}
server=${KERF_BUILD:?}/tests/cli/state_server
[ -x "$server" ] || { echo "$server is not built (make tests)"; exit 77; }
dir=$(mktemp -d) || exit 1
node=
trap 'kill $node 2>/dev/null; rm -rf "$dir"' EXIT
bad=0
unset KERF_STATE

fail() {
	echo "$*"
	bad=1
}

# expect STATUS PATTERN ARG...: exit status, and what stderr says (empty: nothing)
expect() {
	status=$1 pattern=$2
	shift 2
	timeout 60 "$KERF" top "$@" >"$dir/out" 2>"$dir/err"
	got=$?
	[ $got = "$status" ] || fail "top $*: status $got, expected $status: $(cat "$dir/err")"
	if [ -n "$pattern" ]; then
		grep -q -- "$pattern" "$dir/err" || fail "top $*: no '$pattern' in: $(cat "$dir/err")"
	elif [ -s "$dir/err" ]; then
		fail "top $*: $(cat "$dir/err")"
	fi
}

# says PATTERN: the last command's output has it
says() {
	grep -q -- "$1" "$dir/out" || fail "no '$1' in: $(cat "$dir/out")"
}

expect 2 usage more
expect 2 'expected a whole number' --interval 0
expect 1 "$dir/none: nobody publishes" --once --state "$dir/none"

"$server" "$dir/sock" &
node=$!
n=0
until [ -S "$dir/sock" ] || [ $n = 100 ]; do
	n=$((n + 1))
	sleep 0.1
done
expect 0 '' --once --state "$dir/sock"
says '^10.0.0.2:8470  *1  *0\.[0-9]* .* 20 -8 +9 % rls\|80 -8 +9 % rls'
says '^10.0.0.2:8470 .* btf *$'       # its connection
says '^this node  *4 .* btf/proc/proc' # load
says '^10.0.0.2:8470  *4 .* - .*peer/peer/peer' # no thermometer: no figure
says '^b.*  0\.[5-9] peer/peer/peer'     # how old what it said is
says '^1  *[0-9]* .*f.*o.* btf$'       # a CPU
says '^this node  *cpu  *runtime  *3  *1  *73.0 '
says 'of kerf, for resnet18: 3 steps'
says '^why: the first 12 operators stay here'
says '^changed: http://10.0.0.2:8470 up went'
says '^engines  *runtime  *no tracepoints of a GPU scheduler'
LC_ALL=C grep -q '[^ -~]' "$dir/out" && fail "raw bytes of a peer in the text"
expect 0 '' --once --json --state "$dir/sock"
[ "$(wc -l <"$dir/out")" = 1 ] || fail "JSON: not one line"
says '"alive":true'
says '"links":\[{"cookie":4711,'
says '"cpus":\[{"cpu":0,"fair":0\.'
says '"engines":\[{"name":"npu:0","kind":1,'
says '"changed":"http://10.0.0.2:8470 up'
LC_ALL=C grep -q '[^ -~]' "$dir/out" && fail "raw bytes of a peer in the JSON"
if command -v python3 >/dev/null; then
	python3 -c 'import json, sys
d = json.load(open(sys.argv[1]))
assert [n["index"] for n in d["nodes"]] == [0, 1, 2]
assert d["nodes"][1]["up"]["low_ppm"] == 920000
assert d["nodes"][2]["load"]["engine"][0]["name"] == "npu\n:0"' "$dir/out" || fail "JSON: other figures"
fi

# Not once, and no terminal: text again and again, until nobody reads it or the node ends
KERF_STATE=$dir/sock timeout 60 "$KERF" top --interval 50 </dev/null 2>"$dir/err" |
	head -n 100 >"$dir/out"
[ "$(grep -c '^PLAN' "$dir/out")" -gt 1 ] || fail "text came once only"

if "$KERF" inspect --build | grep -q 'ncurses *yes' && command -v script >/dev/null; then
	if ! {
		for key in 2 3 4 5 6 1 q; do
			sleep 0.2
			printf '%s' "$key"
		done
		sleep 1
	} | TERM=xterm KERF_STATE=$dir/sock timeout 60 script -qec "$KERF top --interval 100" /dev/null >"$dir/out"; then
		fail "the screen: $(tail -n 1 "$dir/out")"
	fi
	says 'THE NODE\|kerf'
	says 'WHY NONE BETTER'
fi
kill $node
wait $node
node=
expect 1 "$dir/sock: nobody publishes" --once --state "$dir/sock"
exit $bad
