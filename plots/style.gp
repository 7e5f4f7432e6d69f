# SPDX-License-Identifier: MIT
# style.gp - what all plots share: colours, marks, numbers for people
#
# Colours are those of Okabe and Ito, told apart by everyone; configurations
# differ by mark too, and are named on the axis: a grey copy loses nothing.
# Loaded by the other scripts, which set `name` before.

set encoding utf8
set datafile separator comma
set datafile missing ""

# Style numbers as in the CSV: 1 to 3 raw sparse, falloc, written; 4 to 7
# off, metadata, falloc, full; 8 own; from 9 anything else.
array colour[12] = ["#000000", "#777777", "#000000", \
	"#0072B2", "#56B4E9", "#009E73", "#D55E00", "#CC79A7", \
	"#E69F00", "#0072B2", "#009E73", "#D55E00"]
array mark[12] = [6, 10, 7, 4, 12, 9, 5, 1, 2, 3, 8, 13]
do for [s = 1:12] {
	set style line s linecolor rgb colour[s] pointtype mark[s] \
		pointsize 1.3 linewidth 2 dashtype 1
}

# An end of an interval in column c: from few rounds there is none, and the
# median in column m stands alone.
limit(c, m) = valid(c) ? column(c) : column(m)

# Seconds and bytes with a unit that suits them.
seconds(s) = s < 0.0009995 ? sprintf("%.0f µs", 1e6 * s) : \
	s < 0.009995 ? sprintf("%.1f ms", 1e3 * s) : \
	s < 0.9995 ? sprintf("%.0f ms", 1e3 * s) : sprintf("%.3g s", s)
exponent(b) = b < 1000 ? 0 : b < 1000 * 2**10 ? 1 : b < 1000 * 2**20 ? 2 : \
	b < 1000 * 2**30 ? 3 : 4
bytes(b) = sprintf("%.3g %s", b / 1024.0**exponent(b), \
	word("B KiB MiB GiB TiB", exponent(b) + 1))
rate(v) = v >= 99950 ? sprintf("%.0fk", v / 1000) : \
	v >= 9995 ? sprintf("%.1fk", v / 1000) : \
	v >= 99.95 ? sprintf("%.0f", v) : sprintf("%.3g", v)

# Round steps on an axis, about five of them: more would overlap.
power(v) = 10.0**floor(log10(v))
steps(most) = most / power(most) <= 1.25 ? 0.25 * power(most) : \
	most / power(most) <= 2.5 ? 0.5 * power(most) : \
	most / power(most) <= 5 ? power(most) : 2 * power(most)

set border 1 linecolor rgb "#555555"
set tics nomirror scale 0.5 textcolor rgb "#222222"
set ytics scale 0
set grid xtics linetype 1 linecolor rgb "#dddddd" linewidth 1
unset key

# The picture's format: 1 PNG, 2 SVG.  Returns nothing; sets the output too.
is_there(terminal) = strstrt(GPVAL_TERMINALS, terminal) > 0
png = is_there("pngcairo") ? "pngcairo" : "png"
terminal_of(format, width, height) = format == 1 ? \
	sprintf("set terminal %s noenhanced size %d,%d font 'sans,11'", \
		png, width, height) : \
	sprintf("set terminal svg noenhanced size %d,%d font 'sans,13' " \
		. "background 'white'", width, height)
output_of(format) = sprintf("set output '%s.%s'", name, \
	format == 1 ? "png" : "svg")
