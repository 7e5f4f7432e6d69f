# SPDX-License-Identifier: MIT
# iops.gp - how fast is each configuration in each pass?
#
# Reads iops.csv: panel, place, style, n, median, lo, hi, unit, pass, label; and
# rounds.csv: panel, place, round, value, pass.

name = "iops"
load "style.gp"

columns = panels < 2 ? panels : 2
lines = (panels + columns - 1) / columns
above = 34
row_px = 26
below = 54
panel_px = above + row_px * configurations + below
height = head + foot + lines * panel_px
left = 14 + label_px
right = width - 20
gap = 30
share = (right - left - gap * (columns - 1)) / columns
in(p, value) = column(1) == p ? value : NaN

set yrange [configurations + 0.7 : 0.3]
# gnuplot 5.4 crashes on labels that are all NaN, if there is just one.
nowhere = 1e9

do for [format = 1:formats] {
	eval terminal_of(format)
	eval plain_of(format)
	eval output_of(format)
	set multiplot
	eval frame_of(format)
	do for [p = 1:panels] {
		at = (p - 1) % columns
		top = head + panel_px * ((p - 1) / columns)
		from = left + (share + gap) * at
		eval place_of(from, from + share, top + above, \
			top + panel_px - below)
		set ytics scale 0 ("" 0)
		if (at == 0) {
			do for [k = 1:configurations] { eval tic_of(k, k) }
		}
		set title sprintf("%s (n = %s)", pass[p], n[p]) offset 0,-0.4
		set xlabel unit[p] offset 0,lift
		set xtics ("0" 0)
		do for [i = 1:6] {
			v = i * steps(1.3 * most[p])
			set xtics add (step_text(v, most[p]) v)
		}
		set xrange [0 : 1.3 * most[p]]
		plot "rounds.csv" skip 1 using 4:(in(p, $2 + 0.3)) \
			with points pointtype 7 pointsize 0.5 * points \
			linecolor rgb "#888888", \
		     for [s = 1:24] "iops.csv" skip 1 \
			using 5:(in(p, $3 == s ? $2 : NaN)):(limit(6, 5)):(limit(7, 5)) \
			with xerrorbars linestyle s dashtype 1 pointtype 0, \
		     for [s = 1:24] "iops.csv" skip 1 \
			using 5:(in(p, $3 == s ? $2 : NaN)) \
			with points linestyle s, \
		     "iops.csv" skip 1 \
			using (limit(7, 5)):(in(p, $2)):(rate($5)) \
			with labels left offset 1,0, \
		     "iops.csv" skip 1 \
			using (0):(in(p, valid(5) ? nowhere : $2)):("not measured") \
			with labels left offset 1,0 textcolor rgb "#777777"
		eval no_frame
	}
	unset multiplot
	unset output
}
