/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "harness/pagecache.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "harness/err.h"
#include "harness/util.h"

int bench_pagecache_sync(int fd)
{
	if (syncfs(fd) == 0)
		return 0;
	return bench_err(errno, "cannot sync the test file system: %s", strerror(errno));
}

int bench_pagecache_drop(int fd)
{
	int ret = bench_pagecache_sync(fd);

	return ret < 0 ? ret : bench_file_write("/proc/sys/vm/drop_caches", "3");
}
