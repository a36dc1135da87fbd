/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef BENCH_ENVIRON_H
#define BENCH_ENVIRON_H
#include <jansson.h>

#include "harness/session.h"

/*
 * manifest.json: program, versions, machine, storage, settings, how it was called. New
 * reference.
 */
json_t *bench_environ_json(const struct bench_session *s, int argc, char **argv);

#endif
