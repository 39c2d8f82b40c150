# SPDX-License-Identifier: MIT
# One flat TAP stream out of what run.sh printed and what the kernel logged meanwhile.
# usage: awk -v prefix=NAME [-v boot=1] [-v silent='TEST...'] -f tap.awk LOG OUTPUT
#        boot: the output must tell a whole boot's end; silent: tests during which the module logs nothing

function result(ok, text) {
	n++
	if (!ok)
		failed++
	sub(/\r$/, "", text)
	print (ok ? "ok " : "not ok ") n " - " prefix ": " text
}

# A test is over, by its end mark or because something else came
function finish(status) {
	if (bail != "")
		result(0, test ": " bail)
	else if (!planned)
		result(0, test ": no plan (status " status ")")
	else if (seen != plan)
		result(0, test ": " seen " of " plan " cases were told (status " status ")")
	else if (status == "none")
		result(0, test ": did not end")
	else if (status != (bad ? 1 : skipped == seen ? 4 : 0))
		result(0, test ": ended with status " status)
	if (test in noise) {
		print "# " noise[test]
		result(0, test ": the module logged what a user's error must not cause")
	}
	if (test in splat) {
		print "# " splat[test]
		result(0, test ": the kernel's log has " splats[test] " complaints")
	}
	test = ""
}

# --- the log ---

FILENAME == ARGV[1] {
	sub(/\r$/, "")
	if (match($0, /kerf-vm: (begin|end) [^ ]*/)) {
		split(substr($0, RSTART, RLENGTH), word, " ")
		during = word[2] == "begin" ? word[3] : "outside"
		next
	}
	if (/kerf|drm/ && index(" " silent " ", " " during " ") && !(during in noise))
		noise[during] = $0
	if (/WARNING:|BUG:|kernel BUG at|Oops|general protection|KASAN|UBSAN|KFENCE|KMSAN|new suspected memory leak/ ||
	    /INFO: task|rcu.*(self-detected stall|detected stalls|starved)|soft lockup|hard LOCKUP|possible recursive locking|inconsistent lock state/ ||
	    /circular locking dependency|suspicious RCU|sleeping function called|scheduling while atomic/ ||
	    /refcount_t:|list_(add|del) corruption|Kernel panic|Unable to handle|bad (page|unlock balance)|held lock freed/ ||
	    /workqueue: .*hogged|DEBUG_LOCKS_WARN|ODEBUG|Objects remaining|still has (ids|nodes|objects)|memory manager not clean/) {
		total++
		if (!(during in splat))
			splat[during] = $0
		splats[during]++
	}
	next
}

# --- the output ---

{ sub(/\r$/, "") }

/^kerf-vm: begin / {
	if (test != "")
		finish("none")
	test = $3
	planned = plan = seen = bad = skipped = 0
	bail = ""
	next
}
/^kerf-vm: end status / {
	tainted = $6
	load_status = $4
	ended = 1
	next
}
/^kerf-vm: end / {
	finish($4)
	next
}
/^kerf-vm: up / {
	print "# " prefix ": " $0
	next
}
/^kerf-vm: / {
	result(0, substr($0, 10))
	next
}
test == "" {
	next
}
/^1\.\.[0-9]+/ {
	planned++
	plan = substr($1, 4) + 0
	next
}
/^Bail out!/ {
	bail = $0
	next
}
/^(not )?ok / {
	seen++
	isbad = /^not ok / && !/# (SKIP|TODO)/
	if (isbad)
		bad++
	if (/# SKIP/)
		skipped++
	text = $0
	sub(/^(not )?ok [0-9]* *(- )?/, "", text)
	result(!isbad, test ": " text)
	next
}
/^KTAP version/ {
	next
}
{ print /^#/ ? $0 : "# " $0 }

END {
	if (test != "")
		finish("none")
	if (boot) {
		result(ended, "the guest came to its end")
		# Of the taints out-of-tree (4096) and unsigned (8192) alone are ours by right.
		result(ended && (tainted == 0 || tainted == 4096 || tainted == 12288), "taint " tainted)
	}
	if ("outside" in splat)
		print "# " splat["outside"]
	if ("" in splat)
		print "# " splat[""]
	result(!total, "the kernel's log is clean")
	print "1.." n
	exit failed ? 1 : 0
}
