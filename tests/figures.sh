#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# Every figure the project promises, PASS or MISS. Wants an idle machine; takes some minutes.
dir=$(dirname "$0")
sh "$dir/figures_warm.sh"
warm=$?
sh "$dir/figures_cold.sh"
cold=$?
[ $warm = 0 ] && [ $cold = 0 ]
