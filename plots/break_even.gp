# SPDX-License-Identifier: MIT
# break_even.gp - after how much written data has a policy paid for itself?
#
# Reads break_even.csv: place, written_bytes, time_s, extrapolated, label; and
# crossings.csv: place, create_s, create_computed, first_write_s_per_gib,
# rewrite_s_per_gib, crossing_bytes, crossing_s, min_bytes, max_bytes, rounds,
# crossed, baseline, label.

name = "break_even"
load "style.gp"

# The legend has a row for each policy, with what its line says; beside its
# label, or below it where that is long.
beside = label_chars <= 34
row_px = beside ? 20 : 38
keys_px = row_px * policies + 4
above = 46
plot_px = 330
below = 56
height = head + keys_px + above + plot_px + below + foot
left = 90
right = width - 30
note_of(i, k, y) = sprintf("set label %d notes[%d] at screen %f, %f left " \
	. "textcolor rgb '#444444'", 2000 + i, i, \
	across(beside ? 14 + 44 + label_px + 6 : 58), \
	down(y + (beside ? 9 : 27)))
entry_of(i, k, y) = sprintf("set arrow %d from screen %f, %f to screen " \
		. "%f, %f nohead linestyle %d;", 100 + i, across(14), \
		down(y + 9), across(50), down(y + 9), styles[k]) \
	. sprintf("set label %d '' at screen %f, %f point linestyle %d;", \
		100 + i, across(32), down(y + 9), styles[k]) \
	. sprintf("set label %d labels[%d] at screen %f, %f left", \
		1000 + i, k, across(58), down(y + 9))
part(x) = log(x / from_bytes) / log(to_bytes / from_bytes)
in(k, value) = column(1) == k ? value : NaN

# Where a line crosses the baseline: in the medians, and from the first to the
# last of the single rounds.  Of lines that do not cross there is nothing to
# plot, and gnuplot would warn.
crossings = ""
do for [i = 1:policies] {
	if (crosses[i]) {
		crossings = crossings . sprintf(", 'crossings.csv' skip 1 " \
			. "using 6:(in(%d, $7)) with points pointtype 6 " \
			. "pointsize 2.4 * points linewidth 2 linecolor rgb '%s'", \
			places[i], colour[styles[places[i]]])
		crossings = crossings . sprintf(", 'crossings.csv' skip 1 " \
			. "using 6:(in(%d, $7)):8:9 with xerrorbars " \
			. "pointtype 7 pointsize 0.6 * points linewidth 1.2 " \
			. "linecolor rgb '#222222' dashtype 1", places[i])
	}
}

set border 3
set grid xtics ytics
set logscale xy
set xrange [from_bytes : to_bytes]
set yrange [least_s / 2 : most_s * 1.5]

# Tics of x: powers of 2, about seven; of y: powers of 10.
stride_log2 = ceil(log(to_bytes / from_bytes) / log(2) / 7)
stride_log2 = stride_log2 < 1 ? 1 : stride_log2
set xtics scale 0.5 ("" 1e-30)
first_log2 = stride_log2 * ceil(log(from_bytes) / log(2) / stride_log2)
do for [e = first_log2 : 80 : stride_log2] {
	if (2.0**e <= 1.0001 * to_bytes) { set xtics add (bytes(2.0**e) 2.0**e) }
}
set ytics scale 0.5 ("" 1e-30)
do for [e = -9:12] {
	v = 10.0**e
	if (v > least_s / 2 && v < 1.5 * most_s) { set ytics add (seconds(v) v) }
}

do for [format = 1:formats] {
	eval terminal_of(format)
	eval plain_of(format)
	eval output_of(format)
	set multiplot
	eval frame_of(format)
	do for [i = 1:policies] {
		y = head + row_px * (i - 1)
		eval entry_of(i, places[i], y)
		eval note_of(i, places[i], y)
	}
	eval place_of(left, right, head + keys_px + above, \
		head + keys_px + above + plot_px)
	if (measured < to_bytes) {
		set object 1 rectangle from measured, graph 0 \
			to to_bytes, graph 1 behind \
			fillcolor rgb "#f2f2f2" fillstyle solid noborder
		set arrow 10 from measured, graph 0 to measured, graph 1.06 \
			nohead linecolor rgb "#777777" dashtype 2
		set label 10 sprintf(" measured up to %s, grey: extrapolated ", \
			bytes(measured)) at measured, graph 1.04 \
			textcolor rgb "#444444"
		if (part(measured) < 0.6) { set label 10 left } \
		else { set label 10 right }
	}
	if (knee < to_bytes) {
		set arrow 11 from knee, graph 0 to knee, graph 1.13 nohead \
			linecolor rgb "#777777" dashtype 2
		set label 11 sprintf(" each %s of the disk written once, " \
			. "then rewrites ", stride) at knee, graph 1.11 \
			textcolor rgb "#444444"
		if (part(knee) < 0.5) { set label 11 left } \
		else { set label 11 right }
	}
	set xlabel "data written by requests of " . request \
		. ", each to another place (log scale)" offset 0,lift - 0.2
	set ylabel "time of creation and writing (log scale)"
	eval "plot for [i = 1:policies] 'break_even.csv' skip 1 " \
		. "using 2:(in(places[i], $3)) " \
		. "with lines linestyle styles[places[i]], " \
		. "for [i = 1:policies] 'break_even.csv' skip 1 " \
		. "every 20::10 using 2:(in(places[i], $3)) " \
		. "with points linestyle styles[places[i]]" . crossings
	eval no_frame
	unset object
	unset multiplot
	unset output
}
