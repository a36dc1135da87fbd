# SPDX-License-Identifier: GPL-2.0-or-later
# Time until a command has printed its first line.
if (!exists("name")) name = "first-line"
load name.".inc"
title_text = "Time to the first line of output (less is better)"
load "bars.gp"
