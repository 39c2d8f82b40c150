#!/bin/sh
# SPDX-License-Identifier: MIT
# kerf bench --transfers on loopback: what it counts, what it writes into the trace, when it runs
# commands, and what it refuses.
set -u
cd "$(dirname "$0")/../.." || exit 1
KERF=${KERF:-$PWD/build/kerf}
[ "$("$KERF" inspect --build | grep -Ec '^ *(curl|microhttpd) +yes')" = 2 ] || {
	echo "built without libcurl or libmicrohttpd"
	exit 77
}
work=$(mktemp -d)
node=
bad=0
finish() {
	[ -z "$node" ] || { kill "$node" && wait "$node"; } 2>/dev/null
	rm -rf "$work"
}
trap finish EXIT
trap 'exit 130' INT TERM HUP

wrong() {
	echo "$*"
	bad=1
}

# count PATTERN FILE
count() {
	grep -c -- "$1" "$2"
}

# same WHAT FOUND EXPECTED
same() {
	[ "$2" = "$3" ] || wrong "$1: $2, expected $3"
}

"$KERF" node run --listen 127.0.0.1:0 --engine null --cache "$work/cache" >"$work/node" 2>&1 &
node=$!
i=0
until grep -qs 'listening on port' "$work/node" || [ $i = 100 ]; do
	sleep 0.1
	i=$((i + 1))
done
url=http://127.0.0.1:$(sed -n 's/^listening on port \([0-9]*\).*/\1/p' "$work/node")

# --- Up, with steps ---

"$KERF" bench --transfers "$url" --sizes 1000,50K,1M --count 12 --seed 3 --json --trace "$work/up" \
	--at "3=echo rate 20mbit; echo more; touch $work/third" --at '9=true' >"$work/out" ||
	wrong "up failed"
same "transfers in the table" "$(sed 's/.*"all":{"n":\([0-9]*\).*/\1/' "$work/out")" 12
same "transfers in the trace" "$(count '"transfer":{' "$work/up")" 12
same "marks" "$(sed -n 's/.*"mark":"\(.*\)".*/\1/p' "$work/up" | tr '\n' ,)" "rate 20mbit,true,"
[ -e "$work/third" ] || wrong "the command was not run"
same "transfers before the first mark" "$(sed '/"mark"/q' "$work/up" | grep -c '"transfer":{')" 2
# Each is looked at before and after, and all are the same connection.
[ "$(count '"link":{' "$work/up")" -ge 24 ] || wrong "only $(count '"link":{' "$work/up") looks"
same "connections" "$(sed -n 's/.*"link":{"cookie":\([0-9]*\),.*/\1/p' "$work/up" | sort -u | wc -l)" 1
same "cookies" "$(sed -n 's/.*"cookie":\([0-9]*\),.*/\1/p' "$work/up" | sort -u | wc -l)" 1
# Sizes are those of the list, with the request's head, in the order that the seed makes.
sizes() {
	sed -n 's/.*"transfer":{.*"bytes":\([0-9]*\).*/\1/p' "$1" | sed 's/...$//' | tr '\n' ,
}
"$KERF" bench --transfers "$url" --sizes 1000,50K,1M --count 12 --seed 3 --trace "$work/again" \
	>"$work/out" || wrong "again failed"
same "order of the sizes" "$(sizes "$work/again")" "$(sizes "$work/up")"
same "sizes" "$(sizes "$work/up" | tr , '\n' | sort -un | tr '\n' ,)" "1,50,1000,"
grep -q '^| all | 12 |' "$work/out" || wrong "the table: $(cat "$work/out")"

# Predictions need something to learn from; then there is one for each, with its interval around it.
grep '"transfer":{' "$work/up" | sed -n '5,$p' >"$work/late"
same "late transfers that were predicted" "$(count '"predicted_s":' "$work/late")" 8
# A lower bound of 0 is left out.
sed 's/"predicted_s":\([^,}]*\),"high_s"/"predicted_s":\1,"low_s":0,"high_s"/
	s/.*"predicted_s":\([^,}]*\),"low_s":\([^,}]*\),"high_s":\([^,}]*\).*/\1 \2 \3/' "$work/late" |
	awk '!(NF == 3 && $2 <= $1 && $1 <= $3) { print "no interval: " $0; bad = 1 } END { exit bad }' || bad=1

# --- Down ---

"$KERF" bench --transfers "$url" --down --sizes 200K --count 5 --gap 1 --trace "$work/down" >"$work/out" ||
	wrong "down failed"
grep -q '^| 200000 | 5 |' "$work/out" || wrong "the table: $(cat "$work/out")"
same "requests" "$(grep '"transfer":{' "$work/down" | grep -vc '"down":1')" 5
same "replies" "$(grep '"transfer":{' "$work/down" | grep -c '"down":1')" 5

# --- Refusals ---

# refuse STATUS PATTERN ARG...
refuse() {
	status=$1 pattern=$2
	shift 2
	timeout 30 "$KERF" bench --transfers "$@" >"$work/out" 2>"$work/err"
	got=$?
	[ $got = "$status" ] && grep -q -- "$pattern" "$work/err" ||
		wrong "--transfers $*: status $got, expected $status, saying '$pattern': $(cat "$work/err")"
}

refuse 2 'expected one node'
refuse 2 'expected one node' "$url" "$url"
refuse 2 "--sizes '0'" "$url" --sizes 0
refuse 2 "--sizes '17M'" "$url" --sizes 1M,17M
refuse 2 "--sizes '99999999999999999999K'" "$url" --sizes 99999999999999999999K
refuse 2 "--sizes '-1'" "$url" --sizes -1
refuse 2 "--sizes '1Kx'" "$url" --sizes 1Kx
refuse 2 'expected one or more' "$url" --sizes ,
refuse 2 'count' "$url" --count 0
refuse 2 'expected N=COMMAND' "$url" --at 3
refuse 2 'there are 2 transfers' "$url" --count 2 --at 3=true
refuse 1 "ended with status 7" "$url" --count 2 --at '2=exit 7'
refuse 1 'http://HOST:PORT' ftp://127.0.0.1
refuse 1 '--insecure' http://192.0.2.1:1
refuse 1 '' http://127.0.0.1:1
refuse 1 "$work/none/x" "$url" --count 1 --trace "$work/none/x"

exit $bad
