#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# Every figure the project promises, PASS or MISS. Wants an idle machine; takes some minutes.
dir=$(dirname "$0")
sh "$dir/figures_warm.sh"
warm=$?
sh "$dir/figures_cold.sh"
cold=$?
sh "$dir/figures_fuse.sh"
fuse=$?
sh "$dir/figures_fan.sh"
fan=$?
[ $warm = 0 ] && [ $cold = 0 ] && [ $fuse = 0 ] && [ $fan = 0 ]
