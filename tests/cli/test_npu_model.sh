#!/bin/sh
# SPDX-License-Identifier: MIT
# npu-model's options; what it does is tested by tests/unit/test_npu_device.c.
set -u
model=${KERF_BUILD:?}/npu-model
dir=$(mktemp -d) || exit 1
trap 'rm -rf "$dir"' EXIT
bad=0

# expect STATUS WORD ARG...: its exit status, and a word of what it says
expect() {
	status=$1 word=$2
	shift 2
	timeout 20 "$model" "$@" >"$dir/said" 2>&1
	got=$?
	[ "$got" = "$status" ] && grep -qe "$word" "$dir/said" && return
	echo "npu-model $*: status $got, expected $status, saying '$word':"
	cat "$dir/said"
	bad=1
}

expect 0 usage --help
expect 2 usage
expect 2 usage --socket "$dir/s" --ram "$dir/ram"
expect 2 usage --socket "$dir/s" --ram "$dir/ram" --ram-size 1M more
expect 2 usage --nonsense
for size in 0 -1 x 1T 1MM 4097 99999999999999999999; do
	expect 2 'is no size' --socket "$dir/s" --ram "$dir/ram" --ram-size "$size"
done
expect 2 "what is 'bogus@1'" --socket "$dir/s" --ram "$dir/ram" --ram-size 1M --fault never@1,bogus@1
expect 1 'No such file' --socket "$dir/s" --ram "$dir/none/ram" --ram-size 1M
expect 1 'No such file' --socket "$dir/none/s" --ram "$dir/ram" --ram-size 1M
# What is not a socket is not taken away.
echo mine >"$dir/file"
expect 1 'in use' --socket "$dir/file" --ram "$dir/ram" --ram-size 1M
[ "$(cat "$dir/file" 2>/dev/null)" = mine ] || { echo "$dir/file is gone"; bad=1; }
exit $bad
