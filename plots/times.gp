# SPDX-License-Identifier: GPL-2.0-or-later
# Elapsed time of the real workloads by step and cache state.
if (!exists("name")) name = "times"
load name.".inc"
title_text = "Elapsed time (less is better)"
load "bars.gp"
