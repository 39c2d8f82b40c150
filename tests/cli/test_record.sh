#!/bin/sh
# SPDX-License-Identifier: MIT
# kerf record: what it writes is whole however it ends, and its errors are one line.
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

# expect STATUS PATTERN ARG...: exit status, and what stderr says
expect() {
	status=$1 pattern=$2
	shift 2
	timeout 60 "$KERF" record "$@" 2>"$dir/err"
	got=$?
	[ $got = "$status" ] || fail "record $*: status $got, expected $status: $(cat "$dir/err")"
	grep -q -- "$pattern" "$dir/err" || fail "record $*: no '$pattern' in: $(cat "$dir/err")"
}

whole() {
	[ "$(tail -c 1 "$1" | od -An -tx1)" = " 0a" ] || fail "$1: its last line is cut off"
	timeout 60 "$KERF" report "$1" --json >"$dir/json" 2>"$dir/err" || fail "$1: $(cat "$dir/err")"
}

expect 2 usage
expect 2 usage -o "$dir/t" more
expect 2 'expected a whole number' -o "$dir/t" --interval 0
expect 1 "$dir/none: nobody publishes" -o "$dir/t" --state "$dir/none"
[ ! -e "$dir/t" ] || fail "a trace without a state"

"$server" "$dir/sock" &
node=$!
n=0
until [ -S "$dir/sock" ] || [ $n = 100 ]; do
	n=$((n + 1))
	sleep 0.1
done
expect 1 "$dir/no/t: No such file" -o "$dir/no/t" --state "$dir/sock"
expect 1 'No space left' -o /dev/full --state "$dir/sock" --seconds 1
expect 0 'records' -o "$dir/t" --state "$dir/sock" --seconds 2 --interval 20
whole "$dir/t"
for kind in link node transfer plan; do
	grep -q "^{\"t_ns\":[0-9]*,\"$kind\":{" "$dir/t" || fail "no $kind in the trace"
done

# A signal ends it cleanly; so does the node's end.
KERF_STATE=$dir/sock "$KERF" record -o "$dir/u" 2>"$dir/err" &
recorder=$!
sleep 1
kill -TERM $recorder
wait $recorder || fail "interrupted: status $?: $(cat "$dir/err")"
whole "$dir/u"
"$KERF" record -o "$dir/v" --state "$dir/sock" 2>"$dir/err" &
recorder=$!
sleep 0.5
kill $node
wait $recorder || fail "node ended: status $?"
grep -q 'the node has ended' "$dir/err" || fail "node ended: $(cat "$dir/err")"
whole "$dir/v"
exit $bad
