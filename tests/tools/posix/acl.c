/* SPDX-License-Identifier: GPL-2.0-or-later */
/* POSIX access control lists, as the raw attributes system.posix_acl_access and _default. */
#include "tests/tools/posix/posix.h"

#include <endian.h>
#include <linux/posix_acl_xattr.h>
#include <sys/xattr.h>

#define ACCESS	 "system.posix_acl_access"
#define DEFAULT	 "system.posix_acl_default"
#define ROWS_MAX 16

/* As <linux/posix_acl.h> has them. */
enum tag { OWNER = 1, USER = 2, OWNING = 4, GROUP = 8, MASK = 16, OTHER = 32 };

struct row {
	enum tag tag;
	unsigned int perm;
	uint32_t id;
};

struct acl {
	struct posix_acl_xattr_header header;
	struct posix_acl_xattr_entry entries[ROWS_MAX];
};

static int set_acl(const char *path, const char *name, const struct row *rows, size_t count)
{
	struct acl acl = {.header.a_version = htole32(POSIX_ACL_XATTR_VERSION)};

	for (size_t n = 0; n < count; n++)
		acl.entries[n] = (struct posix_acl_xattr_entry){
			.e_tag = htole16((uint16_t)rows[n].tag),
			.e_perm = htole16((uint16_t)rows[n].perm),
			.e_id = htole32(rows[n].tag & (USER | GROUP) ? rows[n].id : ~0U),
		};
	return setxattr(
		path, name, &acl, sizeof(acl.header) + count * sizeof(acl.entries[0]), 0);
}

#define SET(path, name, ...)                                   \
	set_acl(path, name, (const struct row[]){__VA_ARGS__}, \
		ROWS(((const struct row[]){__VA_ARGS__})))

/* The permissions of a row; -1 = no such row. */
static int perm_of(const char *path, const char *name, enum tag tag, uint32_t id)
{
	struct acl acl;
	ssize_t bytes = getxattr(path, name, &acl, sizeof(acl));

	for (size_t n = 0; bytes > 0 && n < (size_t)(bytes - 4) / 8; n++)
		if (le16toh(acl.entries[n].e_tag) == tag &&
			(!(tag & (USER | GROUP)) || le32toh(acl.entries[n].e_id) == id))
			return le16toh(acl.entries[n].e_perm);
	return -1;
}

static void need_acls(void)
{
	pc_make("probe", "");
	if (SET("probe", ACCESS, {OWNER, 6, 0}, {OWNING, 4, 0}, {OTHER, 4, 0}) &&
		errno == EOPNOTSUPP)
		pc_skip("no access control lists");
	OK(unlink("probe"));
}

TEST(named_user)
{
	need_acls();
	pc_make("f", "content");
	OK(SET("f", ACCESS, {OWNER, 6, 0}, {USER, 6, ALICE}, {OWNING, 0, 0}, {MASK, 6, 0},
		{OTHER, 0, 0}));
	IS(pc_mode("f"), 0660);
	IS(perm_of("f", ACCESS, USER, ALICE), 6);
	IS(perm_of("f", ACCESS, OWNING, 0), 0);
	pc_become(ALICE, ALICE);
	OK(open("f", O_RDWR));
	pc_root();
	pc_become(BOB, BOB);
	FAILS(EACCES, open("f", O_RDONLY));
}

TEST(named_group)
{
	need_acls();
	pc_make("f", "content");
	OK(SET("f", ACCESS, {OWNER, 6, 0}, {OWNING, 0, 0}, {GROUP, 4, TEAM}, {MASK, 7, 0},
		{OTHER, 0, 0}));
	pc_become_with(ALICE, ALICE, TEAM);
	OK(open("f", O_RDONLY));
	FAILS(EACCES, open("f", O_WRONLY));
	pc_root();
	pc_become(ALICE, ALICE);
	FAILS(EACCES, open("f", O_RDONLY));
}

/* The group bits of the mode are the mask. */
TEST(mask)
{
	need_acls();
	pc_make("f", "content");
	OK(SET("f", ACCESS, {OWNER, 6, 0}, {USER, 6, ALICE}, {OWNING, 4, 0}, {MASK, 4, 0},
		{OTHER, 0, 0}));
	IS(pc_mode("f"), 0640);
	pc_become(ALICE, ALICE);
	OK(open("f", O_RDONLY));
	FAILS(EACCES, open("f", O_RDWR));
	pc_root();
	OK(chmod("f", 0660));
	IS(perm_of("f", ACCESS, MASK, 0), 6);
	IS(perm_of("f", ACCESS, OWNING, 0), 4);
	pc_become(ALICE, ALICE);
	OK(open("f", O_RDWR));
	pc_root();
	OK(chmod("f", 0600));
	IS(perm_of("f", ACCESS, MASK, 0), 0);
	pc_become(ALICE, ALICE);
	FAILS(EACCES, open("f", O_RDONLY));
}

TEST(minimal_list_is_the_mode)
{
	need_acls();
	pc_make("f", "x");
	FAILS(ENODATA, getxattr("f", ACCESS, NULL, 0));
	OK(SET("f", ACCESS, {OWNER, 7, 0}, {OWNING, 5, 0}, {OTHER, 1, 0}));
	IS(pc_mode("f"), 0751);
	FAILS(ENODATA, getxattr("f", ACCESS, NULL, 0));
	OK(SET("f", ACCESS, {OWNER, 6, 0}, {USER, 4, BOB}, {OWNING, 4, 0}, {MASK, 4, 0},
		{OTHER, 4, 0}));
	OK(removexattr("f", ACCESS));
	FAILS(ENODATA, getxattr("f", ACCESS, NULL, 0));
	IS(pc_mode("f"), 0644);
	pc_note("removing nothing: %s",
		removexattr("f", ACCESS) ? strerrorname_np(errno) : "works");
}

TEST(change_shows_at_once)
{
	need_acls();
	pc_make("f", "x");
	OK(chmod("f", 0600));
	for (int n = 0; n < 3; n++) {
		pc_become(ALICE, ALICE);
		FAILS(EACCES, open("f", O_RDONLY));
		pc_root();
		OK(SET("f", ACCESS, {OWNER, 6, 0}, {USER, 4, ALICE}, {OWNING, 0, 0},
			{MASK, 4, 0}, {OTHER, 0, 0}));
		pc_become(ALICE, ALICE);
		OK(open("f", O_RDONLY));
		pc_root();
		OK(removexattr("f", ACCESS));
		OK(chmod("f", 0600));
	}
}

TEST(errors)
{
	need_acls();
	pc_make("f", "x");
	OK(mkdir("d", 0755));
	FAILS(EINVAL, SET("f", ACCESS, {OWNER, 6, 0}, {OTHER, 4, 0}));
	FAILS(EINVAL, SET("f", ACCESS, {OWNER, 6, 0}, {USER, 6, ALICE}, {OWNING, 4, 0},
			      {OTHER, 4, 0}));
	NOTE(setxattr("f", ACCESS, "nonsense", 8, 0));
	FAILS(EACCES, SET("f", DEFAULT, {OWNER, 6, 0}, {OWNING, 4, 0}, {OTHER, 4, 0}));
	pc_become(ALICE, ALICE);
	FAILS(EPERM, SET("f", ACCESS, {OWNER, 6, 0}, {OWNING, 6, 0}, {OTHER, 6, 0}));
	FAILS(EPERM, removexattr("f", ACCESS));
	FAILS(EPERM, SET("d", DEFAULT, {OWNER, 6, 0}, {OWNING, 6, 0}, {OTHER, 6, 0}));
}

/* ---- lists for what is made in a directory ---- */

static void make_inheriting(const char *path)
{
	OK(mkdir(path, 0777));
	OK(chmod(path, 0777));
	OK(SET(path, DEFAULT, {OWNER, 7, 0}, {USER, 6, ALICE}, {OWNING, 5, 0}, {MASK, 7, 0},
		{OTHER, 1, 0}));
}

/* The umask does not count, the mode asked for does. */
TEST(inherited_by_files)
{
	need_acls();
	umask(077);
	make_inheriting("d");
	OK(open("d/f", O_CREAT | O_RDWR, 0666));
	IS(perm_of("d/f", ACCESS, USER, ALICE), 6);
	IS(perm_of("d/f", ACCESS, OWNING, 0), 5);
	IS(perm_of("d/f", ACCESS, MASK, 0), 6);
	IS(pc_mode("d/f"), 0660);
	OK(open("d/g", O_CREAT | O_RDWR, 0600));
	IS(pc_mode("d/g"), 0600);
	OK(mknod("d/n", S_IFREG | 0666, 0));
	IS(pc_mode("d/n"), 0660);
	OK(mkfifo("d/p", 0666));
	IS(pc_mode("d/p"), 0660);
	IS(perm_of("d/p", ACCESS, USER, ALICE), 6);
	FAILS(ENODATA, getxattr("d/f", DEFAULT, NULL, 0));
}

TEST(inherited_by_directories)
{
	need_acls();
	umask(077);
	make_inheriting("d");
	OK(mkdir("d/sub", 0777));
	IS(perm_of("d/sub", DEFAULT, USER, ALICE), 6);
	IS(perm_of("d/sub", ACCESS, USER, ALICE), 6);
	IS(pc_mode("d/sub"), 0771);
	OK(symlink("x", "d/l"));
	OK(mkdir("d/sub/sub", 0700));
	IS(pc_mode("d/sub/sub"), 0700);
	IS(perm_of("d/sub/sub", DEFAULT, MASK, 0), 7);
}

TEST(inherited_as_user)
{
	need_acls();
	umask(027);
	make_inheriting("d");
	pc_become(ALICE, TEAM);
	OK(open("d/f", O_CREAT | O_RDWR, 0666));
	IS(pc_mode("d/f"), 0660);
	IS(pc_lstat("d/f").st_uid, ALICE);
	IS(pc_lstat("d/f").st_gid, TEAM);
	IS(perm_of("d/f", ACCESS, OWNING, 0), 5);
}

TEST(inherited_by_nameless_files)
{
	char path[64];
	int fd;

	need_acls();
	make_inheriting("d");
	fd = (int)OK(open("d", O_TMPFILE | O_RDWR, 0666));
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	pc_note("list: %d, mode: %04o", perm_of(path, ACCESS, USER, ALICE),
		pc_fstat(fd).st_mode & 07777);
}

TEST(no_longer_inherited)
{
	need_acls();
	umask(022);
	make_inheriting("d");
	OK(removexattr("d", DEFAULT));
	OK(open("d/f", O_CREAT | O_RDWR, 0666));
	FAILS(ENODATA, getxattr("d/f", ACCESS, NULL, 0));
	IS(pc_mode("d/f"), 0644);
}

TEST(follows_rename_and_link)
{
	need_acls();
	make_inheriting("d");
	OK(mkdir("plain", 0755));
	OK(open("d/f", O_CREAT | O_RDWR, 0666));
	OK(rename("d/f", "plain/f"));
	IS(perm_of("plain/f", ACCESS, USER, ALICE), 6);
	pc_make("plain/g", "x");
	OK(rename("plain/g", "d/g"));
	FAILS(ENODATA, getxattr("d/g", ACCESS, NULL, 0));
}

TEST(setgid_goes_with_a_foreign_group)
{
	need_acls();
	pc_make("f", "x");
	OK(chown("f", ALICE, TEAM));
	OK(chmod("f", 02755));
	pc_become(ALICE, ALICE);
	OK(SET("f", ACCESS, {OWNER, 7, 0}, {OWNING, 5, 0}, {OTHER, 5, 0}));
	IS(pc_mode("f"), 0755);
}

TEST(listed)
{
	char list[1024];
	ssize_t n;
	bool access = false, inherit = false;

	need_acls();
	make_inheriting("d");
	OK(mkdir("d/sub", 0777));
	n = OK(listxattr("d/sub", list, sizeof(list)));
	for (char *at = list; at < list + n; at += strlen(at) + 1) {
		access |= !strcmp(at, ACCESS);
		inherit |= !strcmp(at, DEFAULT);
	}
	HOLDS(access && inherit);
}
