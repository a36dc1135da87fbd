# SPDX-License-Identifier: GPL-2.0-or-later
# What all figures share: terminals, fonts, and one fixed colour per engine, looked up by name.
# Colours: Okabe and Ito, safe for the colour-blind; cool for FUSE, warm for fanotify, grey for
# the file system itself. A new engine gets a line here, or else one of the spare colours.

known   = "native fuse-default fan-fs fuse-base fuse-opt fuse-pt fuse-uring fuse-pt-uring fan-inode fan-mount fan-dir fan-perm"
colours = "#8c8c8c #0072b2 #d55e00 #88ccee #56b4e9 #009e73 #332288 #44aa99 #e69f00 #cc79a7 #882255 #ddcc77"
spare   = "#999933 #aa4499 #000000 #661100 #6699cc #888888"

place(list, n) = sum [i = 1:words(list)] (word(list, i) eq n ? i : 0)
# Engines that are not known share the spare colours in the order they come in.
unknown_before(n) = sum [i = 1:place(engines, n)] (place(known, word(engines, i)) ? 0 : 1)
spare_of(n) = word(spare, 1 + (unknown_before(n) - 1) % words(spare))
colour(n) = place(known, n) ? word(colours, place(known, n)) : spare_of(n)
# Lines are told apart without colour as well.
set dashtype 2 (14, 4)
set dashtype 3 (5, 3)
set dashtype 4 (14, 3, 3, 3)
set dashtype 5 (2, 2)
dash(n) = 1 + (place(engines, n) - 1) % 5

# The legend breaks into rows, and the page grows by them.
legend_px = 16 * ((words(drawn) * 140 - 1) / (width - 20))
height = height + legend_px

if (!exists("fmt")) fmt = "png"
font = "DejaVu Sans"
if (fmt eq "svg") {
	set terminal svg noenhanced size width, height font font.",12" background "white"
} else {
	set terminal pngcairo noenhanced size width, height font font.",10" background "white"
}
set output name.".".fmt

set style fill solid 1 border rgb "#202020"
set border 3 lw 1 lc rgb "#404040"
set tics nomirror textcolor rgb "#202020"
set grid ytics lt 1 dt 1 lw 1 lc rgb "#cccccc"

# Pixels from the left and the top as the fractions of the page that margins and labels take.
x_at(px) = px / (width + 0.0)
y_at(px) = 1 - px / (height + 0.0)
sized(pt) = sprintf("%s,%d", font, pt + (fmt eq "svg" ? 2 : 0))
bold(pt) = sprintf("%s:Bold,%d", font, pt + (fmt eq "svg" ? 2 : 0))
