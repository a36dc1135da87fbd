/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Durability epochs: what is believed after a restart on the same mount, and after a reboot. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "hsm/epoch.h"
#include "hsm/err.h"

struct fixture {
	char dir[32];
	int fd;
};

static int setup(void **state)
{
	struct fixture *x = calloc(1, sizeof(*x));

	strcpy(x->dir, "epoch-XXXXXX");
	assert_non_null(mkdtemp(x->dir));
	x->fd = open(x->dir, O_RDONLY | O_DIRECTORY);
	*state = x;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *x = *state;

	unlinkat(x->fd, "epochs", 0);
	unlinkat(x->fd, "epochs.new", 0);
	close(x->fd);
	rmdir(x->dir);
	free(x);
	return 0;
}

static uint32_t stamp(struct hsm_epochs *e)
{
	uint32_t epoch = hsm_epoch_begin(e);

	hsm_epoch_end(e);
	return epoch;
}

static void open_epochs(struct fixture *x, struct hsm_epochs *e, bool want_same)
{
	bool same;

	if (hsm_epochs_open(e, x->fd, x->fd, &same))
		fail_msg("%s", hsm_err_text());
	assert_int_equal(same, want_same);
}

/* What a reboot looks like: the record names another mount. */
static void reboot(struct fixture *x)
{
	int fd = openat(x->fd, "epochs", O_RDWR);
	char text[512], *at;
	ssize_t n = read(fd, text, sizeof(text) - 1);

	assert_true(n > 0);
	text[n] = 0;
	at = strstr(text, "mount ");
	assert_non_null(at);
	at[6] = at[6] == 'x' ? 'y' : 'x';
	assert_int_equal(pwrite(fd, text, (size_t)n, 0), n);
	close(fd);
}

static void same_mount_believes_everything(void **state)
{
	struct hsm_epochs e;
	uint32_t first;

	open_epochs(*state, &e, false);
	first = stamp(&e);
	hsm_epochs_release(&e);
	open_epochs(*state, &e, true);
	assert_true(hsm_epoch_trusted(&e, first));
	assert_true(stamp(&e) > first);
	hsm_epochs_release(&e);
}

static void reboot_believes_only_what_was_synced(void **state)
{
	uint32_t synced, lost, later;
	struct hsm_epochs e;

	open_epochs(*state, &e, false);
	synced = stamp(&e);
	assert_int_equal(hsm_epoch_sync(&e), 0);
	lost = stamp(&e);
	assert_true(lost > synced);
	hsm_epochs_release(&e);
	reboot(*state);
	open_epochs(*state, &e, false);
	assert_true(hsm_epoch_trusted(&e, synced));
	assert_false(hsm_epoch_trusted(&e, lost));
	assert_true(hsm_epoch_trusted(&e, 0));
	later = stamp(&e);
	assert_true(hsm_epoch_trusted(&e, later));
	assert_int_equal(hsm_epoch_sync(&e), 0);
	hsm_epochs_release(&e);
	reboot(*state);
	open_epochs(*state, &e, false);
	assert_true(hsm_epoch_trusted(&e, later));
	assert_false(hsm_epoch_trusted(&e, lost));
	hsm_epochs_release(&e);
}

static void a_sync_without_news_does_nothing(void **state)
{
	struct hsm_epochs e;

	open_epochs(*state, &e, false);
	stamp(&e);
	assert_int_equal(hsm_epoch_sync(&e), 0);
	assert_int_equal(e.current, 2);
	assert_int_equal(hsm_epoch_sync(&e), 0);
	assert_int_equal(e.current, 2);
	hsm_epochs_release(&e);
}

static void a_damaged_record_is_refused(void **state)
{
	struct fixture *x = *state;
	struct hsm_epochs e;
	bool same;
	int fd = openat(x->fd, "epochs", O_WRONLY | O_CREAT, 0600);

	assert_int_equal(write(fd, "hsm-epochs 1\nnonsense\n", 22), 22);
	close(fd);
	assert_int_equal(hsm_epochs_open(&e, x->fd, x->fd, &same), -EBADMSG);
	assert_non_null(strstr(hsm_err_text(), "damaged"));
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(same_mount_believes_everything),
		TEST(reboot_believes_only_what_was_synced),
		TEST(a_sync_without_news_does_nothing),
		TEST(a_damaged_record_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
