# SPDX-License-Identifier: GPL-2.0-or-later
# Opens the page: title, legend (as boxes or as lines), caption and result id. The panels follow.
set multiplot
engine(k) = word(engines, word(drawn, k) + 0)
set label 1 title_text at screen x_at(14), screen y_at(20) font bold(13)
set label 2 caption at screen x_at(14), screen y_at(height - 12) textcolor rgb "#505050" font sized(9)
set label 3 id at screen x_at(width - 14), screen y_at(height - 12) right textcolor rgb "#505050" font sized(9)
set lmargin at screen 0
set rmargin at screen 1
set tmargin at screen 1
set bmargin at screen 0
unset border
unset tics
set xrange [0:1]
set yrange [0:1]
set key at screen x_at(10), screen y_at(34) left top Left reverse horizontal noautotitle samplen 1.6 width 1
if (legend_boxes) {
	plot 2 with lines, \
	     for [k = 1:words(drawn)] keyentry with boxes lc rgb colour(engine(k)) title engine(k)
} else {
	plot 2 with lines, \
	     for [k = 1:words(drawn)] keyentry with lines lw 1.8 dt dash(engine(k)) lc rgb colour(engine(k)) title engine(k)
}
unset label
unset key
set border 3
set xtics nomirror scale 0
set ytics nomirror
set auto
