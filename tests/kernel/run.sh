#!/bin/sh
# SPDX-License-Identifier: MIT
# Runs KTAP programs one after the other, each between two marks that the kernel's log gets too, so
# that tap.awk can tell what belongs to which. The same in a guest and on a user's own machine.
# usage: run.sh LIST FOLDER   (list.sh's lines; where the programs are). KERF_RELOAD=1: the module may be
#        reloaded with the parameters that a test names
mark() {
	echo "kerf-vm: $*"
	echo "kerf-vm: $*" >/dev/kmsg
}

# A process that was killed may hold its files for a moment longer, and a job that hangs its fence
# until its time is up, once for each that had to run again.
unload() {
	tries=0
	while [ $tries -lt 100 ]; do
		rmmod kerf 2>/dev/null && return
		sleep 0.2
		tries=$((tries + 1))
	done
	rmmod kerf
}

while read -r name limit source params; do
	mark "begin $name"
	if [ -n "$params" ] && [ "${KERF_RELOAD:-0}" = 0 ]; then
		printf '1..1\nok 1 all # SKIP needs the module loaded with %s\n' "$params"
		mark "end $name 4"
		continue
	fi
	# shellcheck disable=SC2086
	[ -z "$params" ] || { unload && modprobe kerf $params; } ||
		echo "Bail out! kerf does not load with $params"
	case $source in
	*.sh) timeout -s KILL "$limit" sh "$source" ;;
	*) timeout -s KILL "$limit" "$2/$name" ;;
	esac </dev/null
	status=$?
	# shellcheck disable=SC2086
	[ -z "$params" ] || { unload && modprobe kerf $KERF_VM_PARAMS; } ||
		echo "Bail out! kerf does not load again"
	mark "end $name $status"
done <"$1"
