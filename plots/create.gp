# SPDX-License-Identifier: MIT
# create.gp - what does it cost to create an image: time, and bytes on disk?
#
# Reads create.csv: panel, row, place, style, n, median_s, lo_s, hi_s, bytes,
# pass, label.  Bars begin at 0.

name = "create"
load "style.gp"

# Pixels of a panel: its title, its rows, its axis.
bar_px = 24
below = 54
panel_px(p) = above + bar_px * rows[p] + below
left = 14 + label_px
right = width - 20
gap = 44
middle = (left + right - gap) / 2

# Long labels leave little room for titles.
narrow = middle - left < 300
above = narrow ? 52 : 34
fold = narrow ? "\n" : " "
height = head + foot
do for [p = 1:panels] { height = height + panel_px(p) }
row_at(p, k) = row_of[(p - 1) * configurations + k]

# Seconds in a unit that gives the axis numbers of few digits.
axis(p) = most_s[p] < 0.001 ? 1e6 : most_s[p] < 1 ? 1e3 : 1.0
axis_unit(p) = most_s[p] < 0.001 ? "µs" : most_s[p] < 1 ? "ms" : "seconds"
in(p, value) = column(1) == p ? value : NaN

set style fill solid 0.8 noborder

do for [format = 1:formats] {
	eval terminal_of(format)
	eval plain_of(format)
	eval output_of(format)
	set multiplot
	eval frame_of(format)
	top = head
	do for [p = 1:panels] {
		bottom = top + panel_px(p) - below
		set yrange [rows[p] + 0.6 : 0.4]
		set ytics scale 0 ("" 0)
		do for [k = 1:configurations] {
			if (row_at(p, k) > 0) { eval tic_of(k, row_at(p, k)) }
		}
		eval place_of(left, middle, top + above, bottom)
		set title sprintf("%s disk: time to create%s(n = %s)", \
			size[p], fold, n[p]) offset 0,-0.4
		set xlabel axis_unit(p) offset 0,lift
		set xtics steps(1.45 * most_s[p] * axis(p))
		set format x "%g"
		set xrange [0 : 1.45 * most_s[p] * axis(p)]
		plot for [s = 1:24] "create.csv" skip 1 \
			using ($6 * axis(p) / 2):(in(p, $4 == s ? $2 : NaN)):(0):($6 * axis(p)):($2 - 0.33):($2 + 0.33) \
			with boxxyerror linestyle s dashtype 1, \
		     "create.csv" skip 1 \
			using ($6 * axis(p)):(in(p, $2)):(limit(7, 6) * axis(p)):(limit(8, 6) * axis(p)) \
			with xerrorbars pointtype 0 linewidth 1.2 \
			linecolor rgb "#222222" dashtype 1, \
		     "create.csv" skip 1 \
			using (limit(8, 6) * axis(p)):(in(p, $2)):(seconds($6)) \
			with labels left offset 0.8,0
		eval no_frame

		set ytics scale 0 ("" 0)
		eval place_of(middle + gap, right, top + above, bottom)
		set title sprintf("%s disk: space it takes%s(n = %s)", \
			size[p], fold, n[p])
		set xlabel unit[p] offset 0,lift
		set xtics steps(1.35 * most_bytes[p] / scale[p])
		set format x "%g"
		set xrange [0 : 1.35 * most_bytes[p] / scale[p]]
		plot for [s = 1:24] "create.csv" skip 1 \
			using ($9 / scale[p] / 2):(in(p, $4 == s ? $2 : NaN)):(0):($9 / scale[p]):($2 - 0.33):($2 + 0.33) \
			with boxxyerror linestyle s dashtype 1, \
		     "create.csv" skip 1 \
			using ($9 / scale[p]):(in(p, $2)):(bytes($9)) \
			with labels left offset 0.8,0
		top = top + panel_px(p)
	}
	unset multiplot
	unset output
}
