/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef BENCH_STATE_H
#define BENCH_STATE_H
/*
 * What a session holds, as a stack kept in a file, so that it can be released by the session
 * itself in one place and by anyone else after the session was killed. The owner holds a
 * flock on the file: a file that can be locked belongs to nobody.
 *
 * An item is recorded before the thing exists; releasing an item that does not exist is no
 * error.
 */
#include <stddef.h>

struct bench_state;

/* Kinds of items and their values. dir: PATH, removed after unmounting what is mounted below. */
#define BENCH_HELD_DIR "dir"
/* PATH VALUE: the value a file of /proc/sys or /sys had. */
#define BENCH_HELD_KNOB "knob"
/* /dev/loopN IMAGE: detached if it still belongs to the image. */
#define BENCH_HELD_LOOP "loop"
/* PATH */
#define BENCH_HELD_MOUNT "mount"
/* PATH of a tracefs instance. */
#define BENCH_HELD_TRACE "trace"
/* PID START, see bench_proc_start(). */
#define BENCH_HELD_PID "pid"

/* $HSMBENCH_RUN, else /run/hsmbench; owned. */
char *bench_state_dir(void);

/* Creates the file of @session in @dir and locks it. -errno + text. */
int bench_state_new(const char *dir, const char *session, struct bench_state **ret_s);

/*
 * Opens an existing file. -EBUSY + text: its owner lives; -ENOENT; -EINVAL: not a state file.
 */
int bench_state_open(const char *path, struct bench_state **ret_s);

/* Removes the file if nothing is held; frees. */
void bench_state_close(struct bench_state *s);

const char *bench_state_session(const struct bench_state *s);
size_t bench_state_count(const struct bench_state *s);

/* Pushes an item. -errno + text (the file could not be written, nothing was pushed). */
int bench_state_push(struct bench_state *s, const char *kind, const char *value);

/* Item @i from the bottom; borrowed. */
const char *bench_state_kind(const struct bench_state *s, size_t i);
const char *bench_state_value(const struct bench_state *s, size_t i);

/* Drops the topmost item from the record. */
void bench_state_pop(struct bench_state *s);

#endif
