# SPDX-License-Identifier: MIT
# style.gp - what all plots share: size, colours, marks, numbers for people
#
# Colours are those of Okabe and Ito, told apart by everyone; configurations
# differ by mark and dash too: a grey copy loses nothing.  Loaded by the other
# scripts, which set `name` before, and by hand or by qcowbench title, caption,
# footnote, labels, tics, styles.

set encoding utf8
set datafile separator comma
set datafile missing ""

# ---- the page ----------------------------------------------------------------
# Places are counted in pixels of a page 900 wide, from its upper left corner.
# A PNG has twice as many in each direction, so that it is sharp when shown 900
# wide.
width = 900.0
across(x) = x / width
down(y) = 1 - y / (1.0 * height)

# Format 1 is SVG, which every gnuplot has; 2 is PNG.
is_there(terminal) = strstrt(" " . GPVAL_TERMINALS, " " . terminal . " ") > 0
png = is_there("pngcairo") ? "pngcairo" : "png"
formats = is_there(png) ? 2 : 1
# The two draw a point of size 1, and an axis label, differently.
terminal_of(format) = format == 2 ? \
	sprintf("set terminal %s noenhanced size %d,%d font 'sans-serif,10' " \
		. "fontscale 2 linewidth 2 %s; points = 1; lift = 0.4; ", \
		png, 2 * width, 2 * height, png eq "png" ? "" : \
		"pointscale 1.6 background '#ffffff'") . styles_of : \
	sprintf("set terminal svg noenhanced size %d,%d " \
		. "font 'sans-serif,13' background 'white'; points = 0.62; " \
		. "lift = 0.7; ", width, height) . styles_of

# Of a character that no font has, a PNG would show a box as large as itself.
# `unusual` are the numbers of such that may be none, `glyphs` they themselves:
# where no font has them all they become question marks, but not in the SVG,
# which is drawn first and whose reader may have one.
have_font = unusual eq "" || strlen(system("fc-list ':charset=" . unusual \
	. "' family 2>/dev/null"))
plain_text(name) = sprintf("s = ''; do for [i = 1:strlen(%s)] { " \
	. "c = substr(%s, i, i); s = s . (strstrt(glyphs, c) ? '?' : c) }; " \
	. "%s = s;", name, name, name)
plain_array(name) = sprintf("do for [k = 1:|%s|] { %s };", name, \
	plain_text(name . "[k]"))
plain_of(format) = format == 1 || have_font ? "" : plain_text("title") \
	. plain_text("caption") . plain_text("footnote") \
	. plain_array("labels") . plain_array("tics") \
	. (exists("pass") ? plain_array("pass") : "")
output_of(format) = sprintf("set output '%s.%s'", name, \
	format == 2 ? "png" : "svg")

# Title, caption, footnote around the panels; in the first of them only.
head = 44 + 16 * caption_lines
foot = 16 + 16 * footnote_lines
sized(format, px) = format == 2 ? sprintf("font ',%g'", px / 1.3) : \
	sprintf("font ',%g'", px)
text_of(tag, what, y, format, px) = \
	sprintf("set label %d %s at screen %f, %f left %s " \
		. "textcolor rgb '#222222';", \
		tag, what, across(14), down(y), sized(format, px))
frame_of(format) = text_of(1, "title", 20, format, 17) \
	. text_of(2, "caption", 43, format, 12) \
	. text_of(3, "footnote", height - foot + 10, format, 12)
no_frame = "unset label; unset arrow"

# A panel by its edges.
place_of(left, right, top, bottom) = \
	sprintf("set lmargin at screen %f; set rmargin at screen %f;" \
		. "set tmargin at screen %f; set bmargin at screen %f", \
		across(left), across(right), down(top), down(bottom))

# Room for labels beside an axis.
label_px = 16 + 7.8 * label_chars

# A legend of all configurations in rows below the head: with it no line has to
# be found in a box over the data.
keys_across = int((width - 28) / (label_px + 56))
keys_across = keys_across < 1 ? 1 : keys_across > configurations ? \
	configurations : keys_across
key_rows = (configurations + keys_across - 1) / keys_across
key_px = (width - 28) / keys_across
key_x(k) = 14 + key_px * ((k - 1) % keys_across)
key_y(k, y) = y + 9 + 19 * ((k - 1) / keys_across)
key_of(k, y) = sprintf("set arrow %d from screen %f, %f to screen %f, %f " \
		. "nohead linestyle %d;", 100 + k, across(key_x(k)), \
		down(key_y(k, y)), across(key_x(k) + 36), down(key_y(k, y)), \
		styles[k]) \
	. sprintf("set label %d '' at screen %f, %f point linestyle %d;", \
		100 + k, across(key_x(k) + 18), down(key_y(k, y)), styles[k]) \
	. sprintf("set label %d labels[%d] at screen %f, %f left", \
		1000 + k, k, across(key_x(k) + 44), down(key_y(k, y)))

# ---- styles -------------------------------------------------------------------
# As in the CSV: 1 to 3 raw sparse, falloc, written; 4 to 7 off, metadata,
# falloc, full; 8 our own way; from 9 anything else.
array colour[24] = ["#000000", "#777777", "#000000", \
	"#0072B2", "#56B4E9", "#009E73", "#D55E00", "#CC79A7", \
	"#E69F00", "#0072B2", "#009E73", "#D55E00", \
	"#CC79A7", "#56B4E9", "#000000", "#E69F00", \
	"#0072B2", "#009E73", "#D55E00", "#CC79A7", \
	"#56B4E9", "#000000", "#E69F00", "#0072B2"]
array mark[24] = [6, 10, 7, 4, 12, 9, 5, 1, 8, 13, 14, 2, 11, 15, 3, 4, 6, \
	7, 9, 5, 10, 12, 13, 8]
array dash[24] = [3, 2, 1, 1, 2, 4, 1, 3, 1, 2, 3, 2, 4, 3, 4, 5, 4, 2, 3, \
	5, 4, 2, 3, 5]
styles_of = "do for [s = 1:24] { set style line s linecolor rgb colour[s] " \
	. "pointtype mark[s] pointsize points linewidth 1.8 dashtype dash[s] }"

set border 1 linecolor rgb "#555555"
set tics nomirror scale 0.5 textcolor rgb "#222222"
set ytics scale 0
set grid xtics linetype 1 dashtype 1 linecolor rgb "#dddddd" linewidth 1
unset key

# An axis of configurations by name: number, then row.
tic_of(k, row) = sprintf("set ytics add (tics[%d] %d)", k, row)

# ---- numbers ------------------------------------------------------------------
# An end of an interval in column c: from few rounds there is none, and the
# median in column m stands alone.
limit(c, m) = valid(c) ? column(c) : column(m)

# Seconds, microseconds, bytes, rates with a unit that suits them.
seconds(s) = s <= 0 ? "0 s" : s < 0.0009995 ? sprintf("%.3g µs", 1e6 * s) : \
	s < 0.9995 ? sprintf("%.3g ms", 1e3 * s) : \
	s < 99.95 ? sprintf("%.3g s", s) : \
	s < 9999.5 ? sprintf("%.0f s", s) : sprintf("%.3g h", s / 3600)
micros(u) = u < 0.9995 ? sprintf("%.3g ns", 1e3 * u) : \
	u < 999.5 ? sprintf("%.3g µs", u) : \
	u < 999500 ? sprintf("%.3g ms", u / 1e3) : sprintf("%.3g s", u / 1e6)
exponent(b) = b < 1000 ? 0 : b < 1000 * 2**10 ? 1 : b < 1000 * 2**20 ? 2 : \
	b < 1000.0 * 2**30 ? 3 : 4
bytes(b) = sprintf("%.3g %s", b / 1024.0**exponent(b), \
	word("B KiB MiB GiB TiB", exponent(b) + 1))
rate(v) = v >= 999500 ? sprintf("%.3gM", v / 1e6) : \
	v >= 99950 ? sprintf("%.0fk", v / 1000) : \
	v >= 9995 ? sprintf("%.1fk", v / 1000) : \
	v >= 99.95 ? sprintf("%.0f", v) : sprintf("%.3g", v)

# Round steps on an axis, about five of them: more would overlap.
power(v) = 10.0**floor(log10(v))
steps(most) = most / power(most) <= 1.25 ? 0.25 * power(most) : \
	most / power(most) <= 2.5 ? 0.5 * power(most) : \
	most / power(most) <= 5 ? power(most) : 2 * power(most)
# What stands there: "2.5k", which %.0s%c would make "3k".
step_text(v, most) = most <= 4000 || v < 1000 ? sprintf("%g", v) : \
	v >= 1e6 ? sprintf("%gM", v / 1e6) : sprintf("%gk", v / 1e3)
