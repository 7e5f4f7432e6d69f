# SPDX-License-Identifier: MIT
# progress.gp - does the speed of first writes change on the way?
#
# Reads progress.csv: place, progress_pct, n, min, median, max, unit, label; two
# rows for each part of the pass, its beginning and its end.

name = "progress"
load "style.gp"

# Panels are as wide as their titles need.
columns = label_chars > 24 ? 2 : 3
columns = panels < columns ? panels : columns
lines = (panels + columns - 1) / columns
above = 30
plot_px = 150
below = 50
panel_px = above + plot_px + below
height = head + foot + lines * panel_px
axis_px = 60
gap = 34
share = (width - 14 - axis_px - 26 - gap * (columns - 1)) / columns
in(k, value) = column(1) == k ? value : NaN

set border 3
set grid xtics ytics
set yrange [0 : 1.05 * most]
set xrange [0 : 100]

do for [format = 1:formats] {
	eval terminal_of(format)
	eval plain_of(format)
	eval output_of(format)
	set multiplot
	eval frame_of(format)
	do for [p = 1:panels] {
		k = places[p]
		at = (p - 1) % columns
		top = head + panel_px * ((p - 1) / columns)
		from = 14 + axis_px + (share + gap) * at
		eval place_of(from, from + share, top + above, \
			top + above + plot_px)
		set title labels[k] offset 0,-0.4
		set xlabel "% of the pass done" offset 0,lift
		set xtics scale 0.5 25
		set ytics scale 0.5 (at > 0 ? "" : "0" 0)
		do for [i = 1:6] {
			v = i * steps(most)
			set ytics add (at > 0 ? "" : step_text(v, most) v)
		}
		if (at == 0) { set ylabel unit } else { unset ylabel }
		plot "progress.csv" skip 1 using 2:(in(k, $4)):6 \
			with filledcurves linecolor rgb colour[styles[k]] \
			fillstyle solid 0.25 noborder, \
		     "progress.csv" skip 1 using 2:(in(reference, $5)) \
			with lines linecolor rgb "#999999" linewidth 1.2 \
			dashtype 1, \
		     "progress.csv" skip 1 using 2:(in(k, $5)) \
			with lines linestyle styles[k] dashtype 1
		eval no_frame
	}
	unset multiplot
	unset output
}
