/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Passthrough where the kernel will not have it: the files are opened in cached mode, and counted. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "fuse_hsm/backing.h"
#include "hsm/util.h"

static unsigned int logged;

static void count_log(enum hsm_log_level level, const char *text)
{
	(void)text;
	logged += level <= HSM_LOG_WARN;
}

struct setup {
	struct fuse_session *session; /* never mounted: every registration fails */
	struct fuse_hsm_backings *b;
	struct fuse_hsm_inode *inode[2];
};

static int set_up(void **state)
{
	static const struct fuse_lowlevel_ops none;
	struct fuse_args args = FUSE_ARGS_INIT(0, NULL);
	struct setup *s = calloc(1, sizeof(*s));

	fuse_opt_add_arg(&args, "test");
	s->session = fuse_session_new(&args, &none, sizeof(none), NULL);
	fuse_opt_free_args(&args);
	s->b = s->session ? fuse_hsm_backings_new(s->session) : NULL;
	for (unsigned int n = 0; n < 2; n++)
		s->inode[n] = calloc(1, sizeof(**s->inode));
	hsm_log_to(count_log, HSM_LOG_WARN);
	logged = 0;
	*state = s;
	return s->b ? 0 : -1;
}

static int tear_down(void **state)
{
	struct setup *s = *state;

	fuse_hsm_backings_free(s->b);
	fuse_session_destroy(s->session);
	free(s->inode[0]);
	free(s->inode[1]);
	free(s);
	return 0;
}

static int64_t counter(struct setup *s, const char *name)
{
	json_t *json = fuse_hsm_backings_json(s->b);
	int64_t value = json_integer_value(json_object_get(json, name));

	json_decref(json);
	return value;
}

static struct fuse_hsm_open open_of(struct setup *s, unsigned int inode, bool writable)
{
	return (struct fuse_hsm_open){.inode = s->inode[inode], .fd = -1, .writable = writable};
}

static void refused_is_cached(void **state)
{
	struct setup *s = *state;
	struct fuse_hsm_open o[3] = {
		open_of(s, 0, false), open_of(s, 0, true), open_of(s, 1, true)};

	for (unsigned int n = 0; n < 3; n++) {
		assert_int_equal(fuse_hsm_backing_open(s->b, &o[n]), 0);
		assert_int_equal(o[n].backing_id, 0);
		assert_true(o[n].counted);
	}
	assert_false(fuse_hsm_backing_changing(s->b, s->inode[0]));
	assert_int_equal(counter(s, "opens"), 0);
	assert_int_equal(counter(s, "cached_opens"), 3);
	/* The second open of the first inode did not even ask: it is in use the other way. */
	assert_int_equal(counter(s, "refused"), 2);
	assert_int_equal(logged, 1);
	for (unsigned int n = 0; n < 3; n++)
		fuse_hsm_backing_close(s->b, &o[n]);
}

/* Closing what was never counted, or twice, changes nothing. */
static void close_is_once(void **state)
{
	struct setup *s = *state;
	struct fuse_hsm_open o = open_of(s, 0, false), never = open_of(s, 0, false);

	assert_int_equal(fuse_hsm_backing_open(s->b, &o), 0);
	fuse_hsm_backing_close(s->b, &never);
	fuse_hsm_backing_close(s->b, &o);
	assert_false(o.counted);
	fuse_hsm_backing_close(s->b, &o);
	/* Nothing is left of it: the next open asks the kernel again. */
	assert_int_equal(fuse_hsm_backing_open(s->b, &o), 0);
	assert_int_equal(counter(s, "refused"), 2);
	fuse_hsm_backing_close(s->b, &o);
}

/* A file whose writes the daemon must see is not offered to the kernel at all. */
static void daemon_needed(void **state)
{
	struct setup *s = *state;
	struct fuse_hsm_open o = open_of(s, 0, true);

	o.needs_daemon = true;
	assert_int_equal(fuse_hsm_backing_open(s->b, &o), 0);
	assert_int_equal(counter(s, "refused"), 0);
	assert_int_equal(counter(s, "cached_opens"), 1);
	fuse_hsm_backing_close(s->b, &o);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(refused_is_cached, set_up, tear_down),
		cmocka_unit_test_setup_teardown(close_is_once, set_up, tear_down),
		cmocka_unit_test_setup_teardown(daemon_needed, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
