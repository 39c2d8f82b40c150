# SPDX-License-Identifier: MIT
# Of the rows of policies.sh: a table of cases, what policies have in common, and the papers' ratios.
BEGIN { FS = "," }
NR > 1 {
	c = $1 " | " $3 " " $4 " | " $5
	if (!(c in seen)) { seen[c] = 1; cases[++n] = c }
	cut = $6 ~ /^cut /
	if (!((c, $6) in ms) || $8 < ms[c, $6]) { ms[c, $6] = $8; kb[c, $6] = $10; j[c, $6] = $11 }
	if (!(c in oracle) || $8 < oracle[c]) { oracle[c] = $8; who[c] = $6 }
	if (!cut && $6 != "kerf" && (!(c in best) || $8 < best[c])) { best[c] = $8; bestwho[c] = $6 }
	if (!cut && !($6 in known)) { known[$6] = 1; policy[++p] = $6 }
}
function ratio(a, b) { return b > 0 ? a / b : 0 }
function show(what, v, m, claim,   i, sum, max, min) {
	if (!m) { printf "| %s | %s | no row |\n", what, claim; return }
	min = max = v[1]
	for (i = 1; i <= m; i++) { sum += v[i]; if (v[i] > max) max = v[i]; if (v[i] < min) min = v[i] }
	printf "| %s | %s | mean %.2f, %.2f to %.2f (%d cases) |\n", what, claim, sum / m, min, max, m
}
# a's latency over b's in every case that has both
function compare(what, a, b, claim,   i, m, v) {
	for (i = 1; i <= n; i++)
		if ((cases[i], a) in ms && (cases[i], b) in ms)
			v[++m] = ratio(ms[cases[i], a], ms[cases[i], b])
	show(what, v, m, claim)
}
END {
	print "| hosts | model | Mbit/s | local ms | remote ms | kerf ms | kB sent | J | best other policy | ms | oracle | ms | kerf / oracle |"
	print "|---|---|---|---|---|---|---|---|---|---|---|---|---|"
	for (i = 1; i <= n; i++) {
		c = cases[i]
		printf "| %s | %.1f | %.1f | %.1f | %.1f | %.3f | %s | %.1f | %s | %.1f | %.3f |\n", c, ms[c, "local"],
			ms[c, "remote"], ms[c, "kerf"], kb[c, "kerf"], j[c, "kerf"], bestwho[c], best[c], who[c], oracle[c],
			ratio(ms[c, "kerf"], oracle[c])
		if ((c, "kerf") in ms) {
			r[++m] = ratio(ms[c, "kerf"], oracle[c])
			near += r[m] <= 1.05
			o[m] = ratio(ms[c, "kerf"], best[c])
		}
	}
	printf "\nkerf within 5 %% of the oracle in %d of %d cases\n\n", near, m
	print "| policy | cases | latency / oracle: median | worst | mean kB sent | mean J |"
	print "|---|---|---|---|---|---|"
	for (k = 1; k <= p; k++) {
		m = sum = sent = worst = 0
		for (i = 1; i <= n; i++)
			if ((cases[i], policy[k]) in ms) {
				v[++m] = ratio(ms[cases[i], policy[k]], oracle[cases[i]])
				sent += kb[cases[i], policy[k]]
				sum += j[cases[i], policy[k]]
				for (q = m; q > 1 && v[q - 1] > v[q]; q--) { t = v[q]; v[q] = v[q - 1]; v[q - 1] = t }
			}
		printf "| %s | %d | %.3f | %.3f | %.1f | %.3f |\n", policy[k], m, v[int((m + 1) / 2)], v[m], sent / m, sum / m
	}
	print "\n| ratio | the paper's | here |"
	print "|---|---|---|"
	compare("Neurosurgeon: latency of cloud-only over its own", "remote", "neurosurgeon", "3.1 mean (LTE, WiFi; GPU cloud)")
	compare("DADS: latency of edge-only over its own", "local", "dads", "up to 6 to 8")
	compare("DADS: latency of cloud-only over its own", "remote", "dads", "up to 6 to 8")
	compare("MoDNN: latency of one device over its own", "local", "modnn", "2.2 to 4.3 (2 to 4 equal phones)")
	compare("DeepThings: latency of one device over its own", "local", "deepthings", "1.7 to 3.5 (2 to 6 equal Pis)")
	compare("AOFL: latency of one device over its own", "local", "aofl", "1.9 to 3.7 (equal Pis)")
	m = 0
	for (i = 1; i <= n; i++)
		if ((cases[i], "coedge") in j && (cases[i], "local") in j)
			e[++m] = ratio(j[cases[i], "coedge"], j[cases[i], "local"])
	show("CoEdge: its energy over one device's", e, m, "0.33 to 0.75")
}
