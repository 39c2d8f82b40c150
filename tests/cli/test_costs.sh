#!/bin/sh
# SPDX-License-Identifier: MIT
# Costs from the command line: what is profiled, what is learned from it, what is predicted, and
# that each figure says which it is.
set -u
cd "$(dirname "$0")/../.." || exit 1
KERF=${KERF:-$PWD/${O:-build}/kerf}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
export KERF_PROFILE_DIR="$work/profiles" XDG_CACHE_HOME="$work/cache"
bad=0

fail() {
	echo "$*"
	bad=1
}

# expect STATUS PATTERN COMMAND...: the status, and the pattern in what it says on either side.
expect() {
	status=$1 pattern=$2
	shift 2
	"$@" >"$work/out" 2>&1
	got=$?
	[ $got = "$status" ] || fail "$*: status $got, expected $status: $(cat "$work/out")"
	grep -q -- "$pattern" "$work/out" || fail "$*: no '$pattern' in: $(cat "$work/out")"
}

for size in 32x32 64x64; do
	"$KERF" gen tiny --size $size -o "$work/$size.onnx" || exit 1
done
small=$work/32x32.onnx large=$work/64x64.onnx

# Nothing is known yet.
expect 1 'no stored profile' "$KERF" profile "$small" --profile stored
expect 1 'no stored profile.*--train' "$KERF" profile "$small" --profile predicted
expect 1 'kerf profile MODEL' "$KERF" profile --train
expect 1 'kerf profile MODEL' "$KERF" bench --predictor
expect 2 'expected auto, stored' "$KERF" profile "$small" --profile guessed
expect 2 'needs a model' "$KERF" profile --train --sharing

# A profile has what tiles and cuts cost; it is of the engine that was asked.
expect 0 'in every tile' "$KERF" profile "$small" --threads 1 --sharing
grep -q '^apart: a job' "$work/out" || fail "no apart: $(cat "$work/out")"
grep -q '^sharing: d = .* 1: .* 4: ' "$work/out" || fail "no sharing: $(cat "$work/out")"
expect 0 '"predicted":false.*"op_fixed_s":\[' "$KERF" profile "$small" --threads 1 --profile stored --json
expect 1 'no stored profile' "$KERF" profile "$large" --threads 1 --profile stored

# What was learned says what was never measured, and that it was not; a stored one goes first.
expect 0 'learned [0-9]* operators of 1 profiles; 0 left out' "$KERF" profile --train
expect 0 '(predicted)' "$KERF" profile "$large" --threads 1 --profile predicted
expect 0 '"predicted":true' "$KERF" profile "$large" --threads 1 --profile predicted --json
expect 0 '"predicted":false' "$KERF" profile "$small" --threads 1 --profile predicted --json
expect 0 '"predicted":true' "$KERF" plan "$large" --threads 1 --on cpu,ref --profile predicted --json
expect 0 'never run there' "$KERF" plan "$large" --threads 1 --on cpu,ref --profile predicted --explain
expect 1 'no stored profile' "$KERF" profile "$large" --threads 1 --profile stored
expect 1 'too few models' "$KERF" bench --predictor

# A damaged predictor is refused by name.
echo '{"kerf_predictor":1}' >"$KERF_PROFILE_DIR/predictor.json"
expect 1 'predictor.json.*--train' "$KERF" profile "$large" --threads 1 --profile predicted

# What engines and nodes draw.
echo '{"kerf_power":1,"engines":{"cpu":{"active_w":1000},"ref":{"active_w":2000}}}' >"$work/power.json"
expect 0 'step 0 on cpu' "$KERF" plan "$small" --threads 1 --on cpu,ref --objective energy --power "$work/power.json"
echo '{"kerf_power":1,"engines":{"cpu":{"watts":1}}}' >"$work/power.json"
expect 2 "power.json.*'watts'" "$KERF" plan "$small" --on cpu,ref --power "$work/power.json"

exit $bad
