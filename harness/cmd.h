/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef BENCH_CMD_H
#define BENCH_CMD_H
/* Sub-commands: argv[0] is the name of the command, the return value is the exit code. */

int bench_cmd_list(int argc, char **argv);
int bench_cmd_doctor(int argc, char **argv);
int bench_cmd_run(int argc, char **argv);
int bench_cmd_bench(int argc, char **argv);
int bench_cmd_clean(int argc, char **argv);
int bench_cmd_tree(int argc, char **argv);

#endif
