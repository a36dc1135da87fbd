/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "hsm/epoch.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "hsm/err.h"
#include "hsm/util.h"

/* Epochs this far above the recorded one may be in use. */
#define SLACK 8

#ifndef STATX_MNT_ID_UNIQUE
#define STATX_MNT_ID_UNIQUE 0x4000u
#endif

static int read_boot_id(char *boot)
{
	auto_fd int fd = open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		return hsm_err(errno, "/proc/sys/kernel/random/boot_id: %s; mount /proc",
			strerror(errno));
	if (read(fd, boot, 36) != 36)
		return hsm_err(EIO, "/proc/sys/kernel/random/boot_id cannot be read");
	boot[36] = 0;
	return 0;
}

static int find_incarnation(struct hsm_epochs *e, int mount_fd)
{
	struct statx stx;
	char boot[37];
	int r = read_boot_id(boot);

	if (r)
		return r;
	if (statx(mount_fd, "", AT_EMPTY_PATH, STATX_MNT_ID_UNIQUE, &stx))
		return hsm_err(errno, "statx of the cache: %s", strerror(errno));
	snprintf(e->incarnation, sizeof(e->incarnation), "%s/%llx", boot,
		(unsigned long long)stx.stx_mnt_id);
	return 0;
}

static int add_bad(struct hsm_epochs *e, uint32_t first, uint32_t last)
{
	struct hsm_epoch_range *bad = realloc(e->bad, (e->bad_count + 1) * sizeof(*bad));

	if (!bad)
		return -ENOMEM;
	bad[e->bad_count++] = (struct hsm_epoch_range){first, last};
	e->bad = bad;
	return 0;
}

static int write_record(FILE *out, const struct hsm_epochs *e)
{
	fprintf(out, "hsm-epochs 1\nmount %s\ndurable %" PRIu32 "\ncurrent %" PRIu32 "\n",
		e->incarnation, e->durable, e->current);
	for (unsigned int i = 0; i < e->bad_count; i++)
		fprintf(out, "bad %" PRIu32 " %" PRIu32 "\n", e->bad[i].first, e->bad[i].last);
	return fflush(out) || ferror(out) || fsync(fileno(out)) ? -EIO : 0;
}

static int save(struct hsm_epochs *e)
{
	int fd = openat(
		e->meta_fd, "epochs.new", O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	FILE *out;
	int r;

	if (fd < 0)
		return hsm_err(errno, "meta/epochs.new: %s", strerror(errno));
	out = fdopen(fd, "w");
	if (!out) {
		close(fd);
		return -ENOMEM;
	}
	r = write_record(out, e);
	if (fclose(out))
		r = -EIO;
	if (!r && renameat(e->meta_fd, "epochs.new", e->meta_fd, "epochs"))
		r = -errno;
	if (!r && fsync(e->meta_fd))
		r = -errno;
	if (r)
		return hsm_err(-r, "meta/epochs cannot be written: %s", strerror(-r));
	e->recorded = e->current;
	return 0;
}

static int parse_line(struct hsm_epochs *e, const char *line, char *mount)
{
	uint32_t a, b;

	if (sscanf(line, "mount %63s", mount) == 1 ||
		sscanf(line, "durable %" SCNu32, &e->durable) == 1 ||
		sscanf(line, "current %" SCNu32, &e->current) == 1)
		return 0;
	if (sscanf(line, "bad %" SCNu32 " %" SCNu32, &a, &b) == 2)
		return add_bad(e, a, b);
	return strncmp(line, "hsm-epochs 1", 12) ? -EBADMSG : 0;
}

static int load(struct hsm_epochs *e, char *mount)
{
	int fd = openat(e->meta_fd, "epochs", O_RDONLY | O_CLOEXEC), r = 0;
	char line[128];
	FILE *in;

	if (fd < 0)
		return -errno;
	in = fdopen(fd, "r");
	if (!in) {
		close(fd);
		return -ENOMEM;
	}
	while (!r && fgets(line, sizeof(line), in))
		r = parse_line(e, line, mount);
	fclose(in);
	return r || e->current ? r : -EBADMSG;
}

/* What the last daemon left: on another mount, its unfinished epochs are lost for good. */
static int adopt(struct hsm_epochs *e, bool same)
{
	uint32_t last = e->current + SLACK;
	int r;

	if (same) {
		e->dirty = true;
	} else {
		r = add_bad(e, e->durable + 1, last);
		if (r)
			return r;
		e->durable = last;
	}
	e->current = last + 1;
	return 0;
}

int hsm_epochs_open(struct hsm_epochs *e, int meta_fd, int mount_fd, bool *ret_same)
{
	char mount[HSM_INCARNATION_SIZE] = "";
	bool same = false;
	int r;

	*e = (struct hsm_epochs){.meta_fd = meta_fd};
	pthread_rwlock_init(&e->stamping, NULL);
	pthread_mutex_init(&e->syncing, NULL);
	r = find_incarnation(e, mount_fd);
	if (r)
		goto fail;
	r = load(e, mount);
	if (r && r != -ENOENT) {
		hsm_err(-r, "meta/epochs is damaged: %s; restore it or empty the cache",
			strerror(-r));
		goto fail;
	}
	if (r == -ENOENT) {
		e->current = 1;
	} else {
		same = !strcmp(mount, e->incarnation);
		r = adopt(e, same);
		if (r)
			goto fail;
	}
	r = save(e);
	if (r)
		goto fail;
	*ret_same = same;
	return 0;
fail:
	hsm_epochs_release(e);
	return r;
}

void hsm_epochs_release(struct hsm_epochs *e)
{
	free(e->bad);
	e->bad = NULL;
	pthread_rwlock_destroy(&e->stamping);
	pthread_mutex_destroy(&e->syncing);
}

bool hsm_epoch_trusted(const struct hsm_epochs *e, uint32_t epoch)
{
	for (unsigned int i = 0; i < e->bad_count; i++)
		if (epoch >= e->bad[i].first && epoch <= e->bad[i].last)
			return false;
	return true;
}

bool hsm_epoch_durable(const struct hsm_epochs *e, uint32_t epoch)
{
	return epoch <= __atomic_load_n(&e->durable, __ATOMIC_ACQUIRE);
}

uint32_t hsm_epoch_begin(struct hsm_epochs *e)
{
	pthread_rwlock_rdlock(&e->stamping);
	return e->current;
}

void hsm_epoch_end(struct hsm_epochs *e)
{
	e->dirty = true;
	pthread_rwlock_unlock(&e->stamping);
}

/* Ends the current epoch; false: the record is too far behind to name another one. */
static bool close_epoch(struct hsm_epochs *e, uint32_t *ret_closed)
{
	if (e->current - e->recorded >= SLACK - 1 && save(e))
		return false;
	pthread_rwlock_wrlock(&e->stamping);
	e->dirty = false;
	*ret_closed = e->current++;
	pthread_rwlock_unlock(&e->stamping);
	return true;
}

int hsm_epoch_sync(struct hsm_epochs *e)
{
	uint32_t closed;
	int r = 0;

	pthread_mutex_lock(&e->syncing);
	if (!e->dirty)
		goto out;
	r = -EIO;
	if (!close_epoch(e, &closed))
		goto out;
	if (syncfs(e->meta_fd)) {
		r = hsm_err(errno, "syncfs of the cache: %s", strerror(errno));
		e->dirty = true;
		goto out;
	}
	__atomic_store_n(&e->durable, closed, __ATOMIC_RELEASE);
	r = save(e);
out:
	pthread_mutex_unlock(&e->syncing);
	return r;
}
