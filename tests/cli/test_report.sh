#!/bin/sh
# SPDX-License-Identifier: MIT
# kerf report: figures that can be counted by hand, a drawing that is XML whatever the trace says,
# and one line for what is no trace.
set -u
KERF=${KERF:-$PWD/build/kerf}
dir=$(mktemp -d) || exit 1
trap 'rm -rf "$dir"' EXIT
bad=0
head='{"kerf_trace":1,"clock":"monotonic"}'

fail() {
	echo "$*"
	bad=1
}

# expect STATUS PATTERN ARG...: exit status, and what stderr says
expect() {
	status=$1 pattern=$2
	shift 2
	timeout 60 "$KERF" report "$@" >"$dir/out" 2>"$dir/err"
	got=$?
	[ $got = "$status" ] || fail "report $*: status $got, expected $status: $(cat "$dir/err")"
	[ -z "$pattern" ] || grep -q -- "$pattern" "$dir/err" || fail "report $*: no '$pattern' in: $(cat "$dir/err")"
}

# says PATTERN: the last command's output has it
says() {
	grep -q -- "$1" "$dir/out" || fail "no '$1' in: $(cat "$dir/out")"
}

is_xml() {
	[ -s "$1" ] || fail "$1: nothing drawn"
	command -v python3 >/dev/null || return
	python3 -c 'import sys, xml.dom.minidom as m; m.parse(sys.argv[1])' "$1" || fail "$1: not XML"
}

expect 2 usage
expect 2 usage "$dir/a" "$dir/b"
expect 1 "$dir/none: No such file" "$dir/none"
printf 'not a trace\n' >"$dir/t"
expect 1 "$dir/t: line 1: expected an object" "$dir/t" -o "$dir/x.svg"
echo "$head" >"$dir/t"
expect 1 "expected records, found none" "$dir/t" -o "$dir/x.svg"
printf '%s\n{"t_ns":1,"mark":"a"}\n{"t_ns":2,"mark"' "$head" >"$dir/t"
expect 1 "$dir/t: line 3: expected a newline" "$dir/t" -o "$dir/x.svg"
[ ! -e "$dir/x.svg" ] || fail "a drawing of a damaged trace"

# Four transfers up: 1 MB each in 1 s. Expected 0.9, 1.1, 1.5 s and nothing; two of three in the band.
{
	echo "$head"
	echo '{"t_ns":1000,"node":{"load":{"has":1,"n_cpu":2,"fair_permille":900,"slowdown_permille":1450}}}'
	echo '{"t_ns":1000,"node":{"index":1,"url":"http://p:1","rtt_us":400,"up":{"rate_bytes_s":1000000}}}'
	for expected in '"predicted_s":0.9,"low_s":0.8,"high_s":1.0,' '"predicted_s":1.1,"low_s":1.0,"high_s":1.2,' \
		'"predicted_s":1.5,"low_s":1.4,"high_s":1.6,' ''; do
		echo "{\"t_ns\":5000000000,\"transfer\":{\"node\":1,$expected\"start_ns\":1,\"end_ns\":3000000001,\"hold_ns\":2000000000,\"bytes\":1000000}}"
	done
	echo '{"t_ns":6000000000,"mark":"]]>&<script>alert(\"1\")</script>\u0007\uffff"}'
	echo '{"t_ns":7000000000,"plan":{"epoch":7,"observed_ns":5000000,"reason":"<&>"}}'
	echo '{"t_ns":10000001000,"node":{"index":1}}'
} >"$dir/t"
expect 0 '' "$dir/t" --json
says '"seconds":10,'
says '"url":"http://p:1"'
says '"transfers":4,'
says '"predicted":3,'
says '"median_goodput_bytes_s":1000000,'
says '"median_abs_error":0.1,'
says '"coverage_80":0.6666'
says '"plans":1,'
says '"marks":1,'
! command -v python3 >/dev/null || python3 -m json.tool <"$dir/out" >/dev/null || fail "not JSON"
expect 0 '' "$dir/t"
says '^p:1  *up  *4  *8.00  *3  *10.0 '
expect 0 '' "$dir/t" -o "$dir/x.svg"
[ ! -s "$dir/out" ] || fail "-o alone printed something"
is_xml "$dir/x.svg"
grep -q 'plan 7' "$dir/x.svg" || fail "no plan in the drawing"
grep -q '<script' "$dir/x.svg" && fail "text was not escaped"
grep -qiE 'href|url\(|@import' "$dir/x.svg" && fail "the drawing asks for something from elsewhere"
expect 1 "$dir/no/x.svg" "$dir/t" -o "$dir/no/x.svg"

# One moment, no transfers, extreme figures, more nodes than there are colours
{
	echo "$head"
	i=0
	while [ $i -le 64 ]; do
		echo "{\"t_ns\":0,\"node\":{\"index\":$i,\"url\":\"http://n$i:1\",\"rtt_us\":$((1 + i * 60000000)),\"up\":{\"rate_bytes_s\":18446744073709551615},\"down\":{\"rate_bytes_s\":1}}}"
		i=$((i + 1))
	done
} >"$dir/t"
expect 0 '' "$dir/t" -o "$dir/y.svg"
is_xml "$dir/y.svg"

# A label that is cut stays text, and so does a file's name that is none.
{
	echo "$head"
	echo '{"t_ns":0,"mark":"ab\ud83d\ude00\ud83d\ude00\ud83d\ude00\ud83d\ude00\ud83d\ude00\ud83d\ude00\ud83d\ude00\ud83d\ude00\ud83d\ude00\ud83d\ude00\ud83d\ude00\ud83d\ude00\ud83d\ude00\ud83d\ude00\ud83d\ude00\ud83d\ude00\ud83d\ude00"}'
} >"$dir/$(printf 'x\377y')"
expect 0 '' "$dir/$(printf 'x\377y')" -o "$dir/w.svg"
is_xml "$dir/w.svg"
{
	cat "$dir/t"
	echo '{"t_ns":0,"transfer":{"node":1,"end_ns":1,"bytes":18446744073709551615,"predicted_s":1e10,"high_s":1e10}}'
	echo '{"t_ns":18446744073709551615,"transfer":{"node":2,"end_ns":18446744073709551615,"bytes":1,"predicted_s":1e-300,"low_s":1e-300,"high_s":1e10}}'
} >"$dir/u"
expect 0 '' "$dir/u" -o "$dir/z.svg" --json
! command -v python3 >/dev/null || python3 -m json.tool <"$dir/out" >/dev/null || fail "not JSON"
is_xml "$dir/z.svg"
grep -qE 'nan|inf' "$dir/z.svg" && fail "a figure that is none in the drawing"
exit $bad
