# SPDX-License-Identifier: GPL-2.0-or-later
# Latency over percentiles on a reversed logarithmic axis, one small panel per fio step. Give the
# cache state by name: gnuplot -e "name='latency-warm'" latency.gp
if (!exists("name")) name = "latency-warm"
load name.".inc"
title_text = sprintf("I/O latency by percentile, %s (less is better)", state)
width = columns * 290 + 110
width = width < 700 ? 700 : width
height = rows * 230 + 125
load "style.gp"
legend_boxes = 0
load "page.gp"

count = words(engines)
cell_w = (width - 90.0) / columns
cell_h = (height - legend_px - 125.0) / rows
set logscale y 10
set yrange [low:high]
set xrange [0.0458:tail]
set xtics scale 0.5 ("10" 0.0458, "50" 0.30103, "90" 1, "99" 2, "99.9" 3, "99.99" 4, "99.999" 5, "99.9999" 6)
set grid xtics ytics lt 1 dt 1 lw 1 lc rgb "#dddddd"
set style fill transparent solid 0.18 noborder
do for [p = 1:panels] {
	column = (p - 1) % columns
	row = (p - 1) / columns
	file = sprintf("%s-%d.dat", name, p)
	set lmargin at screen x_at(78 + column * cell_w)
	set rmargin at screen x_at(78 + (column + 1) * cell_w - 22)
	set tmargin at screen y_at(84 + legend_px + row * cell_h)
	set bmargin at screen y_at(84 + legend_px + (row + 1) * cell_h - 50)
	set label 1 titles[p] at graph 0, graph 1 offset 0, 0.6 font bold(10)
	unset label 2
	set format y ""
	unset xlabel
	if (column == 0) {
		set format y "%g"
		set label 2 "us" at screen x_at(16), graph 0.5 center rotate by 90
	}
	if (p + columns > panels) { set xlabel "percentile" offset 0, 0.5 }
	plot for [e = 1:count] file index e - 1 using 1:4:5 with filledcurves lc rgb colour(word(engines, e)), \
	     for [e = 1:count] file index e - 1 using 1:3 with lines lw 1.8 dt dash(word(engines, e)) lc rgb colour(word(engines, e))
}
unset multiplot
set output
