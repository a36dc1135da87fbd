/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef FUSE_HSM_SETTINGS_H
#define FUSE_HSM_SETTINGS_H
/*
 * The command line of fuse_hsm, which has two forms: that of a program, and that of mount(8) and
 * fstab(5), where everything is in -o. Both set the same options.
 */
#include "fuse_hsm/mode.h"
#include "hsm/hsm.h"

struct fuse_hsm_settings {
	struct hsm_options hsm;
	struct fuse_hsm_mode mode;
	bool uring;
	bool pin_fds; /* each inode holds a descriptor */
	bool read_only;
	bool features; /* print what this build and kernel can do, and exit */
	char *mount_options; /* those for libfuse and the kernel, comma list; NULL = none */
	char *words; /* what values of .hsm point into */
	const char *origin, *cache, *mountpoint;
};

/* Sets the defaults and parses. -EINVAL + text. Strings of @argv are kept by reference. */
int fuse_hsm_settings_parse(struct fuse_hsm_settings *s, int argc, char **argv);
void fuse_hsm_settings_release(struct fuse_hsm_settings *s);

/* The text of --help, and that of --features: a line each, "name yes" or "name no REASON". Owned. */
char *fuse_hsm_settings_help(void);
char *fuse_hsm_settings_features(void);

#endif
