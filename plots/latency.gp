# SPDX-License-Identifier: MIT
# latency.gp - how long does a request take, also a slow one?
#
# Reads latency.csv: panel, place, nines, named, latency_us, requests,
# quantile_pct, pass, label.

name = "latency"
load "style.gp"

columns = panels < 2 ? panels : 2
lines = (panels + columns - 1) / columns
above = 34
plot_px = 210
below = 54
panel_px = above + plot_px + below
keys_px = 19 * key_rows + 6
height = head + keys_px + foot + lines * panel_px
axis_px = 66
share = (width - 14 - 24 - axis_px * columns) / columns

# All 0, or all equal: an axis needs some length, and a factor of 3 has a tic.
lo_us_of(p) = lo_us[p] > 0 ? lo_us[p] : 0.001
hi_us_of(p) = hi_us[p] > 0 ? hi_us[p] : 1
spread(p) = hi_us_of(p) > 3 * lo_us_of(p) ? 1 : \
	sqrt(3 * lo_us_of(p) / hi_us_of(p))
lo_of(p) = lo_us_of(p) / spread(p) / 1.15
hi_of(p) = hi_us_of(p) * spread(p) * 1.15
in(p, k, value) = column(1) == p && column(2) == k ? value : NaN
at_least(v, least) = v > least ? v : least

set border 3
set grid xtics ytics
set xtics scale 0.5 ("p50" 0.30103, "p90" 1, "p99" 2, "p99.9" 3, \
	"p99.99" 4, "p99.999" 5, "p99.9999" 6, "p99.99999" 7)

do for [format = 1:formats] {
	eval terminal_of(format)
	eval plain_of(format)
	eval output_of(format)
	set multiplot
	eval frame_of(format)
	do for [k = 1:configurations] { eval key_of(k, head) }
	do for [p = 1:panels] {
		top = head + keys_px + panel_px * ((p - 1) / columns)
		from = 14 + axis_px + (share + axis_px) * ((p - 1) % columns)
		eval place_of(from, from + share, top + above, \
			top + above + plot_px)
		set title sprintf("%s (n = %s, %s requests)", pass[p], n[p], \
			requests[p]) offset 0,-0.4
		set xlabel "percentile" offset 0,lift
		set logscale y
		set yrange [lo_of(p) : hi_of(p)]
		set ytics scale 0.5 ("" 1e-30)
		decades = log10(hi_of(p) / lo_of(p))
		do for [e = -4:13] {
			do for [m = 1:5] {
				v = m * 10.0**e
				wanted = m == 1 || (decades < 2.5 && \
					(m == 2 || m == 5))
				if (wanted && v > lo_of(p) && v < hi_of(p)) {
					set ytics add (micros(v) v)
				}
			}
		}
		set xrange [0.2 : (nines[p] > 0.4 ? nines[p] : 0.4) + 0.15]
		plot for [k = 1:configurations] "latency.csv" skip 1 \
			using 3:(in(p, k, at_least($5, lo_of(p)))) \
			with lines linestyle styles[k], \
		     for [k = 1:configurations] "latency.csv" skip 1 \
			using ($4 == 1 ? $3 : NaN):(in(p, k, at_least($5, lo_of(p)))) \
			with points linestyle styles[k]
		eval no_frame
	}
	unset multiplot
	unset output
}
