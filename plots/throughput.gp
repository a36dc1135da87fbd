# SPDX-License-Identifier: GPL-2.0-or-later
# fio: throughput by step and cache state.
if (!exists("name")) name = "throughput"
load name.".inc"
title_text = "fio throughput (more is better)"
load "bars.gp"
