#!/bin/sh
# SPDX-License-Identifier: MIT
# ONNX's own operator cases: none wrong, none crashes, and no fewer pass than did before.
# usage: tests/ops/conformance.sh DIR
set -u
least=800
out=$("$KERF" conformance "$1") || { echo "$out" | tail -n 20; exit 1; }
last=$(echo "$out" | tail -n 1)
echo "$last"
passed=$(echo "$last" | sed -n 's/^\([0-9]*\) passed.*/\1/p')
[ "${passed:-0}" -ge $least ] || { echo "expected at least $least to pass"; exit 1; }
