# SPDX-License-Identifier: MIT
# judged.gp - what a suite judges, over the values of the key that it sweeps
#
# Reads judged.csv: panel, line, place, n, median, lo, hi, metric, pass, label.

name = "judged"
load "style.gp"

bars = sweep eq ""
columns = panels < 2 ? panels : 2
lines = (panels + columns - 1) / columns
above = 40
plot_px = bars ? 200 : 190
below = 58
panel_px = above + plot_px + below
keys_px = bars || configurations < 2 ? 4 : 19 * key_rows + 6
height = head + keys_px + foot + lines * panel_px
axis_px = 62
share = (width - 14 - 24 - axis_px * columns) / columns

in(p, k, value) = column(1) == p && column(2) == k ? value : NaN
is_log(p) = !bars && most[p] > 12 * least[p]
top_of(p) = is_log(p) ? 1.6 * most[p] : (bars ? 1.25 : 1.12) * most[p]
bottom_of(p) = is_log(p) ? least[p] / 1.6 : 0
# Lines that share a place stand a little beside each other.
aside(k) = configurations < 2 ? 0 : \
	0.16 * ((k - 1.0) / (configurations - 1.0) - 0.5)
number(v) = v >= 999500 ? sprintf("%.3gM", v / 1e6) : \
	v >= 9999.5 ? sprintf("%.3gk", v / 1000) : \
	v >= 99.95 ? sprintf("%.0f", v) : sprintf("%.3g", v)

set border 3
set style fill solid 0.8 noborder

do for [format = 1:formats] {
	eval terminal_of(format)
	eval plain_of(format)
	eval output_of(format)
	set multiplot
	eval frame_of(format)
	if (keys_px > 4) { do for [k = 1:configurations] { eval key_of(k, head) } }
	do for [p = 1:panels] {
		top = head + keys_px + panel_px * ((p - 1) / columns)
		from = 14 + axis_px + (share + axis_px) * ((p - 1) % columns)
		eval place_of(from, from + share, top + above, \
			top + above + plot_px)
		set title sprintf("%s: %s%s (n = %s)", pass[p], axis[p], \
			is_log(p) ? ", log" : "", n[p]) offset 0,-0.4
		set xlabel sweep offset 0,lift
		set xrange [0.5 : places + 0.5]
		set xtics scale 0.5 ("" 0)
		do for [k = 1:places] { set xtics add (place[k] k) }
		unset logscale y
		unset ytics
		set yrange [bottom_of(p) : top_of(p)]
		if (is_log(p)) {
			set logscale y
			set ytics scale 0.5 nomirror ("" 1e-30)
			decades = log10(top_of(p) / bottom_of(p))
			do for [e = -6:13] {
				do for [m = 1:5] {
					v = m * 10.0**e
					if ((m == 1 || (decades < 2.5 && (m == 2 || m == 5))) \
						&& v > bottom_of(p) && v < top_of(p)) {
						set ytics add (number(v) v)
					}
				}
			}
		} else {
			set ytics scale 0.5 nomirror ("0" 0)
			do for [i = 1:6] {
				v = i * steps(top_of(p))
				set ytics add (step_text(v, top_of(p)) v)
			}
		}
		unset grid
		set grid ytics linetype 1 dashtype 1 linecolor rgb "#dddddd" linewidth 1
		if (bars) {
			plot for [k = 1:configurations] "judged.csv" skip 1 \
				using 3:(in(p, k, $5 / scale[p])):(0.6) \
				with boxes linestyle styles[k] dashtype 1, \
			     for [k = 1:configurations] "judged.csv" skip 1 \
				using 3:(in(p, k, limit(6, 5) / scale[p])):(0):((limit(7, 5) - limit(6, 5)) / scale[p]) \
				with vectors heads size screen 0.004,90 \
				linewidth 1.2 linecolor rgb "#222222" dashtype 1, \
			     for [k = 1:configurations] "judged.csv" skip 1 \
				using 3:(in(p, k, limit(7, 5) / scale[p])):(number($5 / scale[p])) \
				with labels offset 0,0.6
		} else {
			plot for [k = 1:configurations] "judged.csv" skip 1 \
				using ($3 + aside(k)):(in(p, k, $5 / scale[p])):(limit(6, 5) / scale[p]):(limit(7, 5) / scale[p]) \
				with yerrorbars linestyle styles[k] dashtype 1 pointtype 0, \
			     for [k = 1:configurations] "judged.csv" skip 1 \
				using ($3 + aside(k)):(in(p, k, $5 / scale[p])) \
				with linespoints linestyle styles[k]
		}
		eval no_frame
	}
	unset multiplot
	unset output
}
