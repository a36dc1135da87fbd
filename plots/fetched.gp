# SPDX-License-Identifier: GPL-2.0-or-later
# Bytes fetched from the origin.
if (!exists("name")) name = "fetched"
load name.".inc"
title_text = "Bytes fetched from the origin (less is better)"
load "bars.gp"
