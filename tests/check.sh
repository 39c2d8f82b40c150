#!/bin/sh
# SPDX-License-Identifier: MIT
# Runs every test and counts: "N passed, N failed, N skipped" is the last line.
#
# cmocka programs and guests count case by case; scripts count as one: exit 0 passed, 77 skipped
# (the last line says why), anything else failed. Logs stand in $O/log.
# usage: tests/check.sh [STAGE...]   (no STAGE: all of those below)
set -u
cd "$(dirname "$0")/.." || exit 1
O=${O:-build}
MAKE=${MAKE:-make}
JOBS=${JOBS:-$(nproc)}
LIMIT=${KERF_TEST_LIMIT_S:-900}
export KERF_BUILD="$PWD/$O" KERF="$PWD/$O/kerf"
[ -n "${KERF_TEST_DATA:-}" ] || { [ -d ../shared/models ] && KERF_TEST_DATA=$(cd ../shared/models && pwd); }
export KERF_TEST_DATA="${KERF_TEST_DATA:-}"
passed=0 failed=0 skipped=0
log=$O/log
mkdir -p "$log"
rm -f "$log"/*.status
: >"$log/failed-names"
: >"$log/failed-lines"

say() {
	printf '%s\n' "$*"
}

# told_again NAME: what failed in this log, for the end: a reader may have the last lines alone.
# A case with the lines around it; without one, where a sanitizer speaks, or the end.
told_again() {
	awk -v name="$1" '
		/^not ok/ && !/# SKIP/ { print name ": " $0; found = 1 }
		END { if (!found) print name }' "$log/$1" >>"$log/failed-names"
	{
		say "--- $1"
		if grep -q '^not ok' "$log/$1"; then
			awk '/^not ok/ && !/# SKIP/ { for (i = n > 6 ? n - 6 : 0; i < n; i++) print before[i]
					print; n = 0; after = 7; next }
				/^(not )?ok/ { n = after = 0; next }
				after > 0 { print; after--; next }
				{ before[n++] = $0 }' "$log/$1" | head -n 15
		elif grep -qE 'ERROR: .*Sanitizer|runtime error:' "$log/$1"; then
			grep -m 1 -A 14 -E 'ERROR: .*Sanitizer|runtime error:' "$log/$1"
		else
			tail -n 15 "$log/$1"
		fi
	} | cut -c 1-300 >>"$log/failed-lines"
}

# What runs one test: its output in the log, its status beside it. A program of its own, for xargs.
# shellcheck disable=SC2016
run='timeout -k 5 "$LIMIT" "$@" >"$log/$0" 2>&1
	echo $? >"$log/$0.status"'
export log LIMIT

# side_by_side: a line "NAME COMMAND..." of its input each, JOBS at a time; to be counted thereafter
side_by_side() {
	xargs -P "$JOBS" -L 1 sh -c "$run"
}

# count_cases NAME: of a cmocka program that ran, each test case
count_cases() {
	name=$1
	status=$(cat "$log/$name.status")
	ok=$(grep '^ok ' "$log/$name" | grep -vc '# SKIP')
	bad=$(grep '^not ok ' "$log/$name" | grep -vc '# SKIP')
	skip=$(grep -cE '^(not )?ok .*# SKIP' "$log/$name") # cmocka says "not ok" there
	# A crash ends the program before its last case: it counts as a failure of its own.
	[ "$status" = 0 ] || [ "$bad" != 0 ] || bad=1
	[ "$((ok + bad + skip))" != 0 ] || bad=1
	passed=$((passed + ok)) failed=$((failed + bad)) skipped=$((skipped + skip))
	say "$name: $ok passed, $bad failed, $skip skipped"
	[ "$bad" = 0 ] && return
	[ "$status" = 0 ] || say "$name: status $status"
	{ grep -B 3 '^not ok' "$log/$name" | head -n 40 && tail -n 10 "$log/$name"; }
	told_again "$name"
}

# cmocka NAME COMMAND...: each test case counts
cmocka() {
	CMOCKA_MESSAGE_OUTPUT=TAP sh -c "$run" "$@"
	count_cases "$1"
}

# count_script NAME: of a script that ran, one test
count_script() {
	name=$1
	status=$(cat "$log/$name.status")
	case $status in
	0) passed=$((passed + 1)) && say "$name: passed" ;;
	77) skipped=$((skipped + 1)) && say "$name: skipped: $(tail -n 1 "$log/$name")" ;;
	*)
		failed=$((failed + 1))
		say "$name: failed with status $status"
		tail -n 40 "$log/$name"
		told_again "$name"
		;;
	esac
}

# script NAME COMMAND...: one test
script() {
	sh -c "$run" "$@"
	count_script "$1"
}

# alone PROGRAM: it has the box to itself: its source, or a header of the tests, knows of a clock, waits,
# measures, has threads or sockets, or reaches the rooms that do.
alone() {
	# shellcheck disable=SC2046
	grep -qE 'sleep|clock|_now_ns|_ms\b|timeout|pthread|socket|exec/(live|measure)\.h|"(net|node|telemetry)/' \
		$(grep -oE 'tests/[^ :]+\.[ch]' "$1.d" | sort -u)
}

# programs PREFIX FOLDER [COMMAND...]: the unit and operator tests of a build, run by COMMAND; side by
# side but for those that must be alone
programs() {
	prefix=$1 folder=$2
	shift 2
	list=$(for t in "$folder"/tests/unit/test_* "$folder"/tests/ops/test_*; do
		case $t in *.d) ;; *) echo "$t" ;; esac
	done)
	for t in $list; do
		alone "$t" || echo "$prefix${t##*/} $* $t"
	done | CMOCKA_MESSAGE_OUTPUT=TAP side_by_side
	for t in $list; do
		if alone "$t"; then
			cmocka "$prefix${t##*/}" "$@" "$t"
		else
			count_cases "$prefix${t##*/}"
		fi
	done
}

skip() {
	skipped=$((skipped + 1))
	say "$1: skipped: $2"
}

build() {
	# shellcheck disable=SC2086
	if ! $MAKE -s -j"$JOBS" "$@" >"$log/build" 2>&1; then
		failed=$((failed + 1))
		say "build ($*): failed"
		tail -n 40 "$log/build"
		told_again build
		return 1
	fi
}

stage_unit() {
	build O="$O" all tests || return
	programs "" "$O"
}

stage_tree() {
	script includes tests/check_includes.sh
	script spdx tests/check_spdx.sh
	script uapi_doc tests/check_uapi_doc.sh
	script merge tests/check_merge.sh
}

stage_scripts() {
	for t in tests/ops/check_*.py; do
		[ -e "$t" ] || continue
		if /usr/bin/python3 -c 'import onnx' 2>/dev/null; then
			script "$(basename "$t")" /usr/bin/python3 "$t"
		else
			skip "$(basename "$t")" "python3-onnx is not installed"
		fi
	done
	for t in tests/cli/test_*.sh tests/net/test_*.sh; do
		[ -e "$t" ] && script "$(basename "$t")" "$t"
	done
}

stage_conformance() {
	data=${KERF_CONFORMANCE_DIR:-/usr/share/libonnx-testdata/data}
	if [ -d "$data" ]; then
		script conformance tests/ops/conformance.sh "$data"
	else
		skip conformance "libonnx-testdata is not installed"
	fi
}

stage_fuzz() {
	build O="$O-asan" CFLAGS="-O1 -g $SANITIZE" LDFLAGS="$SANITIZE" fuzz-programs || return
	fuzzers=$(for t in tests/fuzz/fuzz_*.c; do basename "$t" .c; done)
	# Side by side they do as much in 12 s as alone in 10.
	for t in $fuzzers; do
		echo "$t $O-asan/tests/fuzz/$t --seconds ${KERF_FUZZ_SECONDS:-12}"
	done | side_by_side
	for t in $fuzzers; do
		count_script "$t"
	done
}

SANITIZE="-fsanitize=address,undefined -fno-sanitize-recover=undefined"
stage_asan() {
	build O="$O-asan" CFLAGS="-O1 -g $SANITIZE" LDFLAGS="$SANITIZE" all tests || return
	KERF_TEST_QUICK=1 KERF="$PWD/$O-asan/kerf" programs asan- "$O-asan"
	# What reads files and sockets of others, and is in no library
	for t in record report top; do
		KERF="$PWD/$O-asan/kerf" KERF_BUILD="$PWD/$O-asan" \
			script "asan-test_$t.sh" "tests/cli/test_$t.sh"
	done
}

stage_arm64() {
	cross=aarch64-linux-gnu-
	for tool in ${cross}gcc qemu-aarch64; do
		command -v "$tool" >/dev/null || {
			skip arm64 "$tool is not installed"
			return
		}
	done
	[ -e /usr/lib/aarch64-linux-gnu/pkgconfig/libprotobuf-c.pc ] || {
		skip arm64 "the arm64 libraries are not installed"
		return
	}
	build O="$O-arm64" CROSS_COMPILE=$cross all tests || return
	# No -L: the cross compiler's libc may differ from the arm64 one in the loader's cache.
	KERF_TEST_QUICK=1 programs arm64- "$O-arm64" qemu-aarch64
	# The vector sets agree across machines; plain SSE2 has no fused multiply-add.
	if grep -qw fma /proc/cpuinfo; then
		"$O"/tests/ops/test_cpu_kernels --bits >"$log/bits-host"
		qemu-aarch64 "$O-arm64"/tests/ops/test_cpu_kernels --bits >"$log/bits-arm64"
		script arm64-bits diff "$log/bits-host" "$log/bits-arm64"
	fi
	script same-bits tests/ops/same_bits.sh "$O-arm64"
}

# The module on real kernels, in guests
stage_kernel() {
	for tool in qemu-system-x86_64 busybox cpio depmod; do
		command -v $tool >/dev/null || {
			skip kernel "$tool is not installed"
			return
		}
	done
	build O="$O" all kernel-tests telemetry-tests npu-model || return
	# For guest_npu, which skips a case without it, and for guest_bpf
	$MAKE -s O="$O" "$O/tests/ops/test_npu_queue" >"$log/build-npu" 2>&1
	$MAKE -s O="$O" "$O/tests/net/bpf_try" "$O/tests/unit/test_bpf_link" \
		"$O/tests/unit/test_bpf_slots" >"$log/build-bpf" 2>&1
	script kmod-lint tests/kernel/lint.sh
	for k in ${KERNELS:-6.1 6.12}; do
		if ! tests/kernel/kernels.sh fetch "$k" >"$log/kernel-fetch" 2>&1; then
			skip "kernel-$k" "$(tail -n 1 "$log/kernel-fetch")"
			continue
		fi
		cmocka "kernel-$k" tests/kernel/vm.sh --kernel "$k" --check
	done
}

[ $# -gt 0 ] || set -- tree unit scripts conformance kernel fuzz asan arm64
for stage in "$@"; do
	begin=$(date +%s)
	"stage_$stage"
	say "[$stage took $(($(date +%s) - begin)) s]"
done
if [ "$failed" != 0 ]; then
	say "what failed (the logs are in $log):"
	head -n 60 "$log/failed-lines"
	head -n 20 "$log/failed-names"
fi
say "$passed passed, $failed failed, $skipped skipped"
[ "$failed" = 0 ]
