# SPDX-License-Identifier: GPL-2.0-or-later
# Grouped bars with error bars, one panel per cache state, over the variables of NAME.inc.
load "style.gp"
legend_boxes = 1
load "page.gp"

count = words(engines)
group_px = (width - 100) / (groups + 0.2)
bar = 0.84 / count
bar = bar * group_px > 44 ? 44 / group_px : bar
at(group, engine) = group + (engine - (count + 1) / 2.0) * bar
panel_px = (height - legend_px - 125) / words(panels)

set boxwidth bar * 0.92
# Error bars are vectors with flat heads: yerrorbars would blank a dot in their middle.
cap = 4.0 / width
set xrange [-0.6:groups - 0.4]
unset xtics
do for [p = 1:words(panels)] {
	state = word(panels, p)
	file = sprintf("%s-%s.dat", name, state)
	set lmargin at screen x_at(80)
	set rmargin at screen x_at(width - 20)
	set tmargin at screen y_at(84 + legend_px + (p - 1) * panel_px)
	set bmargin at screen y_at(84 + legend_px + p * panel_px - 36)
	set label 1 state at graph 0, graph 1 offset 0, 0.7 font bold(10)
	set label 2 unit at screen x_at(16), graph 0.5 center rotate by 90
	unset logscale y
	unset label 3
	if (is_log[p]) {
		set logscale y 10
		set label 3 "log scale" at graph 1, graph 1 right offset 0, 0.7 textcolor rgb "#505050"
	}
	set yrange [low[p]:high[p]]
	set format y "%g"
	if (p == words(panels)) { eval(step_labels) }
	plot for [e = 1:count] file index e - 1 using (at($1, e)):3 with boxes lc rgb colour(word(engines, e)), \
	     for [e = 1:count] file index e - 1 using (at($1, e)):4:(0):($5 - $4) with vectors heads size screen cap, 90 nofilled lw 1.2 lc rgb "#000000"
}
unset multiplot
set output
