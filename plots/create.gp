# SPDX-License-Identifier: MIT
# create.gp - what does it cost to create an image: time, and bytes on disk?
#
# Reads create.csv: place, label, style, n, median_s, lo_s, hi_s, bytes.
# Bars begin at 0; the line on a bar is the 95 % interval of the median.

name = "create"
load "style.gp"

set yrange [configurations + 0.6 : 0.4]
set style fill solid 0.75 noborder

height = 210 + 34 * configurations

do for [format = 1:2] {
	eval terminal_of(format, 1100, height)
	eval output_of(format)
	set multiplot layout 1,2 title "Creating an image of " . size . "\n" \
		. caption . "\nline: 95 % interval of the median (from n = 6 on)" font ",13" \
		margins screen 0.13, 0.97, 83.0 / height, 1 - 124.0 / height \
		spacing screen 0.14

	set title sprintf("Time to create (n = %s)", n) offset 0,-0.5
	set xlabel "seconds, lower is better"
	set xtics steps(1.45 * most_s)
	set xrange [0 : 1.45 * most_s]
	plot for [s = 1:12] "create.csv" skip 1 \
		using ($5 / 2):($3 == s ? $1 : NaN):(0):5:($1 - 0.33):($1 + 0.33) \
		with boxxyerror linestyle s, \
	     "create.csv" skip 1 using 5:1:(limit(6, 5)):(limit(7, 5)) \
		with xerrorbars pointtype 0 linewidth 1.5 linecolor rgb "#222222", \
	     "create.csv" skip 1 using (valid(7) ? $7 : $5):1:(seconds($5)) \
		with labels left offset 0.8,0

	set title "Bytes on disk after that" offset 0,-0.5
	set xlabel unit . ", lower is better"
	set xtics steps(1.35 * most_bytes / scale)
	set xrange [0 : 1.35 * most_bytes / scale]
	plot for [s = 1:12] "create.csv" skip 1 \
		using ($8 / scale / 2):($3 == s ? $1 : NaN):(0):($8 / scale):($1 - 0.33):($1 + 0.33) \
		with boxxyerror linestyle s, \
	     "create.csv" skip 1 using ($8 / scale):1:(bytes($8)) \
		with labels left offset 0.8,0

	unset multiplot
	unset output
}
