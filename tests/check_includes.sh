#!/bin/sh
# SPDX-License-Identifier: MIT
# Who may include whom (docs/architecture.md): a room lists the rooms whose headers it
# may use; a library's header is confined to the room that wraps it.
cd "$(dirname "$0")/.." || exit 1

allowed() {
	case $1 in
	util) echo "util" ;;
	graph) echo "util graph" ;;
	cost) echo "util graph cost" ;;
	plan) echo "util graph cost plan" ;;
	telemetry) echo "util telemetry" ;;
	net) echo "util net graph/tensor.h" ;;
	exec) echo "util graph cost plan exec" ;;
	sim) echo "util graph cost plan sim" ;;
	steer) echo "util graph cost plan exec telemetry steer" ;;
	node) echo "util graph cost plan exec net telemetry node" ;;
	cli) echo "util graph cost plan exec net telemetry steer sim node cli" ;;
	esac
}

# Files that may reach further than their room.
extra() {
	case $1 in
	runtime/exec/remote*.[ch] | runtime/exec/cluster.[ch] | runtime/exec/queue_user.c) echo "net" ;;
	esac
}

# header -> the only folder or file prefix that may include it
confined='curl/ runtime/net/
microhttpd.h runtime/net/
bpf/ runtime/telemetry/
vulkan/ runtime/exec/vk
libdrm/ runtime/exec/queue
xf86drm.h runtime/exec/queue
kerf_accel.h runtime/exec/queue
kerf_server.h runtime/exec/queue
kerf_npu.h runtime/exec/npu
nettle/ runtime/util/digest
curses.h runtime/cli/top_screen
ncurses runtime/cli/top_screen'

bad=0
for room in util graph cost plan telemetry net exec steer sim node cli; do
	for f in runtime/"$room"/*.[ch]; do
		[ -e "$f" ] || continue
		ok="$(allowed "$room") $(extra "$f")"
		# shellcheck disable=SC2013
		for inc in $(sed -n 's/^#include "\([^"]*\)".*/\1/p' "$f"); do
			case " $ok " in
			*" ${inc%%/*} "* | *" $inc "*) ;;
			*)
				# generated headers and files of the same folder have no room
				case $inc in
				*.pb-c.h) [ "$room" = graph ] || [ "$room" = cli ] && continue ;;
				*.skel.h) [ "$room" = telemetry ] && continue ;;
				kerf_state.h) continue ;; # values, for whoever measures or plans
				esac
				echo "$f: may not include \"$inc\""
				bad=1
				;;
			esac
		done
	done
done
while read -r header home; do
	# shellcheck disable=SC2013
	for f in $(grep -rlE "^#include <$header" runtime --include='*.[ch]'); do
		case $f in
		"$home"*) ;;
		*)
			echo "$f: may not include <$header...>, which belongs to $home"
			bad=1
			;;
		esac
	done
done <<EOF
$confined
EOF
exit $bad
