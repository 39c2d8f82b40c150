#!/bin/sh
# SPDX-License-Identifier: MIT
# Boots one of Debian's kernels in QEMU with kerf.ko, the kernel tests, this tree and the host's
# /usr (both read-only), and the NPU's device model beside it.
# usage: vm.sh [OPTION...] --check | --run COMMAND | --shell
#   --kernel VERSION   6.12 (default), 6.1, or uml: the checking kernel of uml.sh, without QEMU and NPU
#   --params 'A=B...'  parameters of the module
#   --only 'NAME...'   --check: these tests alone
#   --no-load          the guest starts without kerf.ko loaded
#   --no-npu           no NPU on the bus
#   --npu 'ARG...'     more arguments for the device model
#   --memory MIB       of the guest, 1024 unless said
# --check prints one flat TAP stream: every case of every KTAP program, and whether the kernel
# stayed clean. --run prints what COMMAND prints and exits with its status. --shell is
# interactive; the kernel's log goes to $O/vm/VERSION/console either way. In the guest: the tests
# in /kerf/tests, this tree at its own path, /out for files that shall stay ($O/vm/VERSION/out).
set -eu
cd "$(dirname "$0")/../.."
PATH=$PATH:/usr/sbin:/sbin # depmod
tree=$PWD
: "${O:=build}" "${MAKE:=make}" "${KERF_VM_TIMEOUT:=850}"
export O
kernel=6.12 mode='' params='' only='' load=1 npu=1 npu_args='' memory=1024 command=''
while [ $# -gt 0 ]; do
	case $1 in
	--kernel) kernel=$2 && shift ;;
	--params) params=$2 && shift ;;
	--only) only=$2 && shift ;;
	--no-load) load=0 ;;
	--no-npu) npu=0 ;;
	--npu) npu_args=$2 && shift ;;
	--memory) memory=$2 && shift ;;
	--check) mode=check ;;
	--run) mode=run command=$2 && shift ;;
	--shell) mode=shell ;;
	*) mode='' && break ;;
	esac
	shift
done
[ -n "$mode" ] || {
	sed -n '3,/^set/s/^# \{0,1\}//p' "$0" >&2
	exit 2
}

die() {
	echo "vm.sh: $*" >&2
	exit 1
}

[ "$kernel" = uml ] && tools= || tools="qemu-system-x86_64 cpio"
for tool in $tools depmod busybox; do
	command -v $tool >/dev/null || {
		echo "$tool is not installed"
		exit 77
	}
done
tests/kernel/kernels.sh fetch "$kernel"
rel=$(tests/kernel/kernels.sh release "$kernel")
root=$(tests/kernel/kernels.sh root "$kernel")
run=$O/vm/$kernel
mkdir -p "$run/out"
if [ -e kmod/Kbuild ]; then
	$MAKE -s kmod KDIR="$(tests/kernel/kernels.sh kdir "$kernel")" \
		KMOD_ARGS="$([ "$kernel" != uml ] || echo ARCH=um)" >"$run/build" 2>&1 || {
		cat "$run/build" >&2
		die "the module does not build"
	}
	grep -Ev '^Skipping BTF|/kerf\.ko$' "$run/build" >&2 || :
fi
if [ "$kernel" != uml ]; then
	$MAKE -s kmod-test KDIR="$(tests/kernel/kernels.sh kdir "$kernel")" >"$run/build-test" 2>&1 || {
		cat "$run/build-test" >&2
		die "gpu_jobs does not build"
	}
fi
$MAKE -s kernel-tests >&2

case $run in /*) ;; *) run=$tree/$run ;; esac
exec 8>"$run/lock"
flock -n 8 || die "a guest of $kernel runs already"
# The guest's memory is a file; a container's /dev/shm may be too small for it.
free=$(df -Pk /dev/shm 2>/dev/null | awk 'NR == 2 {print $4}')
[ "${free:-0}" -gt "$(((memory + 256) * 1024))" ] && shm=/dev/shm || shm=${TMPDIR:-/tmp}
shm=$(mktemp -d "$shm/kerf-vm.XXXXXX")
npu_pid='' machine_pid=''
finish() {
	[ -z "$machine_pid" ] || kill "$machine_pid" 2>/dev/null || :
	[ -z "$npu_pid" ] || kill "$npu_pid" 2>/dev/null || :
	rm -rf "$shm"
}
trap finish EXIT
trap 'exit 130' INT TERM

# --- the initramfs: a base that changes with the kernel, and what changes with each run ---

# What the guest loads beside kerf and what tests use where the kernel has it
boot_modules="virtio_pci 9pnet_virtio 9p"
[ "$kernel" != uml ] || boot_modules= # all of it is built in
more_modules="drm drm_shmem_helper gpu-sched vgem ublk_drv virtio_net"

pack() {
	(cd "$1" && find . -print0 | cpio -0 -o -H newc -R 0:0 --quiet) >"$2"
}

base() {
	dir=$run/base
	rm -rf "$dir"
	mkdir -p "$dir/bin" "$dir/proc" "$dir/sys" "$dir/dev" "$dir/usr" "$dir/out" "$dir/tmp" \
		"$dir/lib/modules/$rel"
	cp "$(command -v busybox)" "$dir/bin/busybox"
	for applet in $(busybox --list); do
		[ "$applet" = busybox ] || ln -s busybox "$dir/bin/$applet"
	done
	ln -s bin "$dir/sbin"
	# The host's loader and libraries, reached through /usr
	for lib in /lib64 /lib/*-linux-gnu; do
		ln -s "/usr$lib" "$dir$lib"
	done
	(cd "$root/lib/modules/$rel" && for m in $boot_modules $more_modules; do
		sed -n "s|^\(.*/$(echo "$m" | sed 's/[-_]/[-_]/g')\.ko[.xzst]*\): *\(.*\)|\1 \2|p" modules.dep
	done) | tr ' ' '\n' | sort -u | while read -r m; do
		[ -n "$m" ] || continue
		to=$dir/lib/modules/$rel/${m%.ko*}.ko
		mkdir -p "${to%/*}"
		case $m in
		*.xz) xz -dc "$root/lib/modules/$rel/$m" >"$to" ;;
		*.zst) zstd -qdc "$root/lib/modules/$rel/$m" >"$to" ;;
		*) cp "$root/lib/modules/$rel/$m" "$to" ;;
		esac
	done
	cp "$root/lib/modules/$rel"/modules.builtin* "$root/lib/modules/$rel/modules.order" \
		"$dir/lib/modules/$rel"
	echo "$rel" >"$dir/release"
}
[ "$(cat "$run/base/release" 2>/dev/null)" = "$rel" ] && [ "$run/base/release" -nt "$0" ] || base

# Classes of engines that must be there: any, sim, npu
engines=''
if [ "$load" = 1 ]; then
	engines="0 1"
	[ "$npu" = 0 ] || [ "$kernel" = uml ] || [ ! -x "$O/npu-model" ] || engines="0 1 2"
fi
ko=$O/kmod/$rel/kmod/kerf.ko
mkdir -p "$run/base/lib/modules/$rel/updates"
if [ -e "$ko" ]; then
	cp "$ko" "$run/base/lib/modules/$rel/updates/"
else
	rm -f "$run/base/lib/modules/$rel/updates/kerf.ko"
	load=0
fi
for ko in "$O/kmod-test/$rel"/*.ko; do
	[ ! -e "$ko" ] || cp "$ko" "$run/base/lib/modules/$rel/updates/"
done
depmod -b "$run/base" "$rel"
cp tests/kernel/init.sh "$run/base/init"
chmod +x "$run/base/init"
rm -rf "$run/base/kerf"
mkdir -p "$run/base/kerf/tests"
for t in tests/kernel/test_*.c; do
	cp "$O/tests/kernel/$(basename "$t" .c)" "$run/base/kerf/tests/"
done
# shellcheck disable=SC2086
tests/kernel/list.sh $only >"$run/base/kerf/list"
printf '%s\n' "$command" >"$run/base/kerf/command"
cat >"$run/base/kerf/env" <<EOF
KERF_VM_UML=$([ "$kernel" != uml ] || echo 1)
KERF_VM_TTY=/dev/$([ "$kernel" = uml ] && echo tty2 || echo ttyS1)
KERF_VM_MODULES="$boot_modules"
KERF_VM_OUT="$run/out"
KERF_VM_TREE="$tree"
KERF_VM_LOAD=$load
KERF_VM_MODE=$mode
export KERF_VM_PARAMS="$params"
export KERF_TEST_DATA="${KERF_TEST_DATA:-}"
export KTAP_SCALE=$([ "$kernel" = uml ] && echo 4 || echo 1)
export KERF_TEST_ENGINES="$engines"
export KERF_BUILD="$(realpath "$O")" KERF="$(realpath "$O")/kerf"
EOF

# --- the machine ---

# Each sets machine_pid; the kernel's log goes to $run/console, the tests' output to $run/output.
rm -f "$run/out/npu-fault"
: >"$run/console"
: >"$run/output"

start_qemu() {
	pack "$run/base" "$shm/initrd"
	# One thread for both processors: with two, QEMU 7.2 now and then runs an instruction that the
	# other processor has just patched, and the guest dies of an int3 that nobody owns any more.
	# KVM where it works; a /dev/kvm that opens may still not run a processor.
	accel=tcg,thread=${KERF_VM_THREADS:-single}
	[ ! -w /dev/kvm ] || ! (echo quit | timeout 5 qemu-system-x86_64 -nodefaults -display none \
		-M q35 -accel kvm -cpu max -S -monitor stdio) >/dev/null 2>&1 || accel=kvm
	truncate -s "${memory}M" "$shm/ram"
	set -- -nodefaults -no-user-config -display none -no-reboot -cpu max -smp 2 -m "${memory}M" \
		-M q35,memory-backend=ram -accel "$accel" \
		-object "memory-backend-file,id=ram,size=${memory}M,mem-path=$shm/ram,share=on" \
		-kernel "$root/boot/vmlinux" -initrd "$shm/initrd" \
		-append "console=ttyS0 loglevel=7 panic=-1 oops=panic mitigations=off nokaslr audit=0 \
apparmor=0 no_timer_check cryptomgr.notests random.trust_cpu=on rcupdate.rcu_cpu_stall_timeout=120" \
		-serial "file:$run/console" \
		-virtfs "local,path=/usr,mount_tag=usr,security_model=none,readonly=on" \
		-virtfs "local,path=$tree,mount_tag=tree,security_model=none,readonly=on" \
		-virtfs "local,path=$run/out,mount_tag=out,security_model=none"
	[ -z "${KERF_TEST_DATA:-}" ] || set -- "$@" \
		-virtfs "local,path=$KERF_TEST_DATA,mount_tag=data,security_model=none,readonly=on"

	if [ "$npu" = 1 ] && [ -x "$O/npu-model" ]; then
		# shellcheck disable=SC2086
		"$O/npu-model" --socket "$shm/npu" --ram "$shm/ram" \
			--ram-size "$((memory * 1048576))" --fault-file "$run/out/npu-fault" $npu_args \
			>"$run/npu.log" 2>&1 8>&- &
		npu_pid=$!
		for _ in 1 2 3 4 5 6 7 8 9 10; do
			[ -S "$shm/npu" ] && break
			sleep 0.2
		done
		[ -S "$shm/npu" ] || die "npu-model did not start: $(cat "$run/npu.log")"
		set -- "$@" -chardev "socket,id=npu,path=$shm/npu" \
			-device ivshmem-doorbell,chardev=npu,vectors=2
	fi
	if [ "$mode" = shell ]; then
		echo "the guest starts; Ctrl-A x ends it" >&2
		qemu-system-x86_64 "$@" -serial mon:stdio 8>&- || :
		exit
	fi
	# The tests' line goes through a pipe, so that --run shows it while it comes.
	timeout -k 5 "$KERF_VM_TIMEOUT" qemu-system-x86_64 "$@" -serial "file:$run/output" \
		</dev/null >"$run/machine.log" 2>&1 8>&- &
	machine_pid=$!
}

# A process here, whose root is the base as it lies
start_uml() {
	set -- env TMPDIR="$shm" "$root/boot/linux" "mem=${memory}M" rootfstype=hostfs \
		"rootflags=$run/base" rw init=/init con=null con1=null,fd:2 console=tty1 loglevel=7 panic=-1
	if [ "$mode" = shell ]; then
		"$@" con2=fd:0,fd:1 2>"$run/console" 8>&- || :
		exit
	fi
	timeout -k 5 "$KERF_VM_TIMEOUT" "$@" con2=null,fd:1 \
		</dev/null >"$run/output" 2>"$run/console" 8>&- &
	machine_pid=$!
}

: >"$run/machine.log"
if [ "$kernel" = uml ]; then start_uml; else start_qemu; fi
if [ "$mode" = run ]; then
	tail -n +1 -s 0.2 -f --pid=$machine_pid "$run/output" 2>/dev/null | grep -v '^kerf-vm: '
fi
status=0
wait $machine_pid || status=$?
machine_pid=''
grep -v '^qemu-system-x86_64: warning' "$run/machine.log" >&2 || :
if [ "$mode" = check ]; then
	awk -v "prefix=$kernel" -v "silent=$(tests/kernel/list.sh --silent)" -v boot=1 \
		-f tests/kernel/tap.awk "$run/console" "$run/output" || status=1
	[ "$status" = 0 ] || echo "# the logs are in $run" >&2
	exit "$status"
fi
if [ "$mode" = run ]; then
	last=$(sed -n 's/^kerf-vm: end status \([0-9]*\) .*/\1/p' "$run/output")
	[ -n "$last" ] || {
		tail -n 40 "$run/console" >&2
		die "the guest did not come to its end (machine: $status); $run/console"
	}
	exit "$last"
fi
