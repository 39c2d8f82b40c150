# SPDX-License-Identifier: MIT
# Of the rows of policies.sh: a table of cases, what policies have in common, and the papers' ratios.
# What was not run (n = 0) stands as ~ and the predicted time, which means below use too.
BEGIN {
	FS = ","
	NEAR = 1.05
}
$6 == "latency" || $6 == "inexact" {
	c = $1 SUBSEP $2 SUBSEP $3 SUBSEP $4 SUBSEP $5
	if (!(c in seen)) {
		seen[c] = 1
		case_of[++n] = c
		setup[n] = setup_of(); model[n] = $3; size[n] = $4; mbit[n] = $5
	}
	ran = $9 > 0
	t = ran ? $10 : $11
	cut = $7 ~ /^cut /
	exact = $6 == "latency"
	if (!cut) {
		if (!($7 in known)) { known[$7] = 1; policy[++p] = $7 }
		ms[c, $7] = t; unrun[c, $7] = !ran
		kb[c, $7] = $12; j[c, $7] = $13; mb[c, $7] = $14; plan[c, $7] = $8
		if (ran && exact && !((c, $8) in counted)) { counted[c, $8] = 1; off[++n_off] = $11 / $10; off[n_off] = off[n_off] > 1 ? off[n_off] - 1 : 1 - off[n_off] }
	}
	if (ran && exact && (!(c in oracle) || t < oracle[c])) { oracle[c] = t; who[c] = $7 }
	if (ran && exact && !cut && $7 != "kerf" && (!(c in best) || t < best[c])) { best[c] = t; bestwho[c] = $7 }
}
$6 == "throughput" {
	c = $1 SUBSEP $2 SUBSEP $3 SUBSEP $4 SUBSEP $5
	if (!(c in fast)) { fast[c] = 1; fast_case[++n_fast] = c; fast_setup[n_fast] = setup_of(); fast_name[n_fast] = $3 " " $4 " | " $5 }
	rate[c, $7] = $15
}
# "2 hosts, 25:100": percent of a core that the device and a neighbour are
function setup_of(   s) {
	s = $1 " hosts, " $2
	if (!(s in met)) { met[s] = 1; setups[++n_setup] = s }
	return s
}
function ratio(a, b) { return b > 0 ? a / b : 0 }
function shown(c, name) {
	if (!((c, name) in ms)) return "-"
	return sprintf(unrun[c, name] ? "~%.0f" : "%.1f", ms[c, name])
}
function sort(v, m,   i, k, t) {
	for (i = 2; i <= m; i++)
		for (k = i; k > 1 && v[k - 1] > v[k]; k--) { t = v[k]; v[k] = v[k - 1]; v[k - 1] = t }
}
function show(what, h, claim, v, m,   i, sum) {
	if (!m) { printf "| %s | %s | %s | not measured |\n", what, claim, h; return }
	sort(v, m)
	for (i = 1; i <= m; i++) sum += log(v[i])
	printf "| %s | %s | %s | %.2f; %.2f to %.2f |\n", what, claim, h, exp(sum / m), v[1], v[m]
}
# a's figure over b's in every case of a setup
function compare(what, f, a, b, claim,   h, i, m, v) {
	for (h = 1; h <= n_setup; h++) {
		m = 0
		for (i = 1; i <= n; i++)
			if (setup[i] == setups[h] && f[case_of[i], b] > 0 && f[case_of[i], a] > 0)
				v[++m] = f[case_of[i], a] / f[case_of[i], b]
		if (m) show(what, setups[h], claim, v, m)
	}
}
function cases_of(h,   i, c) {
	printf "\n%s:\n\n", h
	print "| model | Mbit/s | local ms | remote ms | kerf ms | kB | J | oracle ms | of | kerf / oracle | best other policy, ms | of | kerf / it |"
	print "|---|---|---|---|---|---|---|---|---|---|---|---|---|"
	for (i = 1; i <= n; i++) {
		if (setup[i] != h) continue
		c = case_of[i]
		printf "| %s %s | %s | %s | %s | %s | %.1f | %.3f | %.1f | %s | %.2f | %.1f | %s | %.2f |\n", model[i], size[i], mbit[i],
			shown(c, "local"), shown(c, "remote"), shown(c, "kerf"), kb[c, "kerf"], j[c, "kerf"], oracle[c], who[c],
			ratio(ms[c, "kerf"], oracle[c]), best[c], bestwho[c], ratio(ms[c, "kerf"], best[c])
	}
}
function summary_of(h,   i, m, r, near, level, o) {
	for (i = 1; i <= n; i++) {
		if (setup[i] != h || !((case_of[i], "kerf") in ms)) continue
		r[++m] = ratio(ms[case_of[i], "kerf"], oracle[case_of[i]])
		o[m] = ratio(ms[case_of[i], "kerf"], best[case_of[i]])
		near += r[m] <= NEAR
		level += o[m] <= NEAR
	}
	if (!m) return
	sort(r, m); sort(o, m)
	printf "\n%s: kerf within 5 %% of the oracle in %d of %d cases (median %.3f, worst %.3f), and of the best other policy in %d (worst %.3f).\n", h, near, m, r[int((m + 1) / 2)], r[m], level, o[m]
}
function policies_of(h,   k, i, c, m, v, local, remote, kb_sum, j_sum, out) {
	printf "\n| %s | cases | not run | latency / oracle: median | worst | / local: mean | / remote: mean | mean kB | mean J |\n", h
	print "|---|---|---|---|---|---|---|---|---|"
	for (k = 1; k <= p; k++) {
		m = local = remote = kb_sum = j_sum = out = 0
		for (i = 1; i <= n; i++) {
			c = case_of[i]
			if (setup[i] != h || !((c, policy[k]) in ms)) continue
			v[++m] = ratio(ms[c, policy[k]], oracle[c])
			local += log(ratio(ms[c, policy[k]], ms[c, "local"]))
			remote += log(ratio(ms[c, policy[k]], ms[c, "remote"]))
			kb_sum += kb[c, policy[k]]; j_sum += j[c, policy[k]]
			out += unrun[c, policy[k]]
		}
		if (!m) continue
		sort(v, m)
		printf "| %s | %d | %d | %.3f | %.2f | %.2f | %.3f | %.0f | %.3f |\n", policy[k], m, out, v[int((m + 1) / 2)], v[m],
			exp(local / m), exp(remote / m), kb_sum / m, j_sum / m
	}
}
END {
	for (s = 1; s <= n_setup; s++) { cases_of(setups[s]); summary_of(setups[s]) }
	for (s = 1; s <= n_setup; s++) policies_of(setups[s])
	sort(off, n_off)
	if (n_off) printf "\nPredicted against measured, of %d distinct plans of policies: median %.1f %%, p90 %.1f %%.\n", n_off, 100 * off[int((n_off + 1) / 2)], 100 * off[int(n_off * 0.9 + 0.99)]

	if (n_fast) {
		print "\n| setup | model | Mbit/s | local req/s | remote | pico | kerf | pico / local | kerf / local |"
		print "|---|---|---|---|---|---|---|---|---|"
	}
	for (i = 1; i <= n_fast; i++) {
		c = fast_case[i]
		printf "| %s | %s | %.1f | %.1f | %.1f | %.1f | %.2f | %.2f |\n", fast_setup[i], fast_name[i], rate[c, "local"], rate[c, "remote"],
			rate[c, "pico"], rate[c, "kerf"], ratio(rate[c, "pico"], rate[c, "local"]), ratio(rate[c, "kerf"], rate[c, "local"])
	}

	print "\n| ratio | the paper's | setup | here: geometric mean; from, to |"
	print "|---|---|---|---|"
	compare("Neurosurgeon: latency of all away over its own", ms, "remote", "neurosurgeon", "3.1 mean (Jetson TK1, 3G to WiFi, GPU server)")
	compare("DADS: latency of all here over its own", ms, "local", "dads", "up to 6 to 8 (Raspberry Pi, 3G to WiFi, server)")
	compare("DADS: latency of all away over its own", ms, "remote", "dads", "up to 6 to 8")
	compare("MoDNN: latency of all here over its own", ms, "local", "modnn", "2.2 to 4.3 (2 to 4 equal phones, WiFi)")
	compare("DeepThings: latency of all here over its own", ms, "local", "deepthings", "1.7 to 3.5 (2 to 6 equal boards, WiFi)")
	compare("DeepThings: memory of the fullest node over all here's", mb, "deepthings", "local", "0.32 (the fused layers alone)")
	compare("AOFL: latency of all here over its own", ms, "local", "aofl", "1.9 to 3.7 (equal boards, WiFi)")
	compare("CoEdge: its energy over all here's", j, "coedge", "local", "not compared")
	compare("CoEdge: its energy over MoDNN's", j, "coedge", "modnn", "0.33 to 0.75 (of other cooperative methods')")
	for (s = 1; s <= n_setup; s++) {
		m = 0
		for (i = 1; i <= n_fast; i++)
			if (fast_setup[i] == setups[s] && rate[fast_case[i], "pico"] > 0)
				v[++m] = ratio(rate[fast_case[i], "pico"], rate[fast_case[i], "local"])
		if (m) show("PICO: throughput over all here's", setups[s], "1.8 to 6.8 (2 to 8 boards, WiFi)", v, m)
	}
}
