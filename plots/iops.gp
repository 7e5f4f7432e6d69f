# SPDX-License-Identifier: MIT
# iops.gp - how fast is each configuration in each pass?
#
# Reads iops.csv: pass, unit, place, label, style, n, median, lo, hi; and
# rounds.csv: pass, place, round, value.  A mark is the median, the line
# through it its 95 % interval, the small circles are the single rounds.

name = "iops"
load "style.gp"

columns = passes < 3 ? passes : 3
rows = (passes + columns - 1) / columns
set yrange [configurations + 0.6 : 0.4]
is(pass) = strcol(1) eq pass

do for [format = 1:2] {
	height = 110 + rows * (110 + 26 * configurations)
	eval terminal_of(format, 80 + 380 * columns, height)
	eval output_of(format)
	set multiplot layout rows, columns \
		title "Speed by configuration and pass\n" . caption \
		. "\nmark: median; line: its 95 % interval (from n = 6 on)" \
		. "; small circles: single rounds" font ",13"
	do for [p = 1:passes] {
		pass = word(pass_names, p)
		unit = word(units, p)
		set title sprintf("%s (n = %s)", pass, word(counts, p)) \
			offset 0,-0.5
		set xlabel unit . ", higher is better"
		set format x word(mosts, p) > 4000 ? "%.0s%c" : "%g"
		set xtics steps(1.3 * word(mosts, p))
		set xrange [0 : 1.3 * word(mosts, p)]
		plot "rounds.csv" skip 1 \
			using (is(pass) ? $4 : NaN):($2 + 0.25) \
			with points pointtype 6 pointsize 0.5 \
			linecolor rgb "#999999", \
		     for [s = 1:12] "iops.csv" skip 1 \
			using (is(pass) && $5 == s ? $7 : NaN):3:(limit(8, 7)):(limit(9, 7)) \
			with xerrorbars linestyle s pointsize 0, \
		     for [s = 1:12] "iops.csv" skip 1 \
			using (is(pass) && $5 == s ? $7 : NaN):3 \
			with points linestyle s, \
		     "iops.csv" skip 1 \
			using (is(pass) ? (valid(9) ? $9 : $7) : NaN):3:(rate($7)) \
			with labels left offset 1,0
	}
	unset multiplot
	unset output
}
