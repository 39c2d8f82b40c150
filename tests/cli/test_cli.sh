#!/bin/sh
# SPDX-License-Identifier: MIT
# What a person gets from the command line: exit statuses, one-line errors that name file and
# field, no partial output, machine-readable output that parses.
set -u
cd "$(dirname "$0")/../.." || exit 1
KERF=${KERF:-$PWD/build/kerf}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
export KERF_PROFILE_DIR="$work/profiles" XDG_CACHE_HOME="$work/cache"
bad=0

# expect STATUS PATTERN COMMAND...: the status, and one line on stderr that matches.
expect() {
	status=$1 pattern=$2
	shift 2
	"$@" >"$work/out" 2>"$work/err"
	got=$?
	if [ $got != "$status" ]; then
		echo "$*: status $got, expected $status: $(cat "$work/err")"
		bad=1
	elif [ -n "$pattern" ] && ! grep -q -- "$pattern" "$work/err"; then
		echo "$*: no '$pattern' in: $(cat "$work/err")"
		bad=1
	elif [ "$status" = 1 ] && [ "$(wc -l <"$work/err")" != 1 ]; then
		echo "$*: not one line: $(cat "$work/err")"
		bad=1
	fi
}

model=$work/tiny.onnx
expect 0 '' "$KERF" gen tiny -o "$model"
input=$("$KERF" inspect "$model" --json | sed -n 's/.*"inputs":\[{"name":"\([^"]*\)".*/\1/p')
[ -n "$input" ] || input=$("$KERF" run "$model" 2>&1 | sed -n "s/.*input '\([^']*\)' not given.*/\1/p")
[ -n "$input" ] || { echo "cannot tell the input's name"; bad=1; }
output=$("$KERF" run "$model" --random 1 | cut -d' ' -f1)

# usage
expect 2 'unknown command' "$KERF" fly
expect 2 'usage:' "$KERF"
expect 2 '' "$KERF" run
expect 2 'threads' "$KERF" run "$model" --threads 0
expect 2 'unknown policy' "$KERF" plan "$model" --policy magic
expect 2 'NAME:FILE' "$KERF" run "$model" --input nonsense
expect 2 "--repeat '0'" "$KERF" run "$model" --random 1 --repeat 0
expect 2 'beside --exits' "$KERF" run "$model" --random 1 --replan 1 --exits
for c in bench conformance gen inspect node plan profile run; do
	expect 0 '' "$KERF" $c --help
	grep -q '^usage:' "$work/out" || { echo "$c --help: no usage"; bad=1; }
done

# models
head -c 1000 "$model" >"$work/cut.onnx"
printf 'not a model' >"$work/text.onnx"
mkdir "$work/folder.onnx"
expect 1 'nowhere.onnx' "$KERF" run "$work/nowhere.onnx" --random 1
expect 1 'cut.onnx' "$KERF" run "$work/cut.onnx" --random 1
expect 1 'text.onnx' "$KERF" inspect "$work/text.onnx"
expect 1 'folder.onnx' "$KERF" inspect "$work/folder.onnx"

# inputs and outputs
expect 0 '' "$KERF" run "$model" --random 1
cp "$work/out" "$work/once"
expect 0 '' "$KERF" run "$model" --random 1 --repeat 5 --replan 1 --on cpu,ref
cmp "$work/once" "$work/out" || { echo "--repeat: another answer"; bad=1; }
expect 1 "no input 'wrong'" "$KERF" run "$model" --input "wrong:$model"
expect 1 'not given' "$KERF" run "$model"
printf 'short' >"$work/short.bin"
expect 1 'short.bin' "$KERF" run "$model" --input "$input:$work/short.bin"
expect 1 "no output 'wrong'" "$KERF" run "$model" --random 1 --output "wrong:$work/o.npy"
expect 1 'no/such/place' "$KERF" run "$model" --random 1 --output "$output:$work/no/such/place.npy"
expect 1 'short.bin' "$KERF" run "$model" --input "$input:$work/short.bin" --output "$output:$work/o.npy"
[ ! -e "$work/o.npy" ] || { echo "a failed run left an output"; bad=1; }
expect 0 '' "$KERF" run "$model" --random 1 --output "$output:$work/o.npy"
[ -s "$work/o.npy" ] || { echo "no output written"; bad=1; }
expect 1 '--shape\|shape' "$KERF" run "$model" --random 1 --shape "$input:1,3"

# engines
expect 1 'warp' "$KERF" run "$model" --random 1 --on warp
expect 1 '127.0.0.1:1' "$KERF" run "$model" --random 1 --on cpu,http://127.0.0.1:1
expect 1 'insecure\|built without libcurl' "$KERF" run "$model" --random 1 --on http://192.0.2.1:8470

# telemetry: asked for in words, and never a reason not to run
for sub in "run $model --random 1" "node run"; do
	# shellcheck disable=SC2086
	expect 2 "'guess': expected auto" "$KERF" $sub --telemetry guess
done
expect 1 'no/such/place' "$KERF" run "$model" --random 1 --state /proc/no/such/place/state.sock
expect 2 '--state needs telemetry' "$KERF" run "$model" --random 1 --telemetry off --state "$work/s"
expect 2 '--state needs telemetry' "$KERF" run "$model" --random 1 --state "$work/s" --telemetry off
expect 1 'text.onnx: neither BTF' "$KERF" run "$model" --random 1 --btf "$work/text.onnx"
expect 1 'nowhere.btf' "$KERF" run "$model" --random 1 --btf "$work/nowhere.btf"
for name in auto btf bpf proc off; do
	expect 0 '' "$KERF" run "$model" --random 1 --telemetry $name
	[ $name = off ] || grep -q 'telemetry: links by' "$work/err" || { echo "$name: no source named"; bad=1; }
done
expect 0 '' "$KERF" inspect --telemetry
grep -q '^links .*by' "$work/out" || { echo "inspect --telemetry says nothing of links"; bad=1; }
expect 0 '' "$KERF" inspect --telemetry --json
! command -v python3 >/dev/null || python3 -m json.tool <"$work/out" >/dev/null ||
	{ echo "inspect --telemetry: not JSON"; bad=1; }

# output for machines
for cmd in "inspect --json" "run --random 1 --json" "bench --seconds 1 --runs 2 --format json" "plan --json"; do
	# shellcheck disable=SC2086
	set -- $cmd
	sub=$1
	shift
	expect 0 '' "$KERF" "$sub" "$model" "$@"
	if command -v python3 >/dev/null; then
		python3 -m json.tool <"$work/out" >/dev/null || { echo "$cmd: not JSON"; bad=1; }
	fi
done
exit $bad
