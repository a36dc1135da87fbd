/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Who may do what: mode bits, owners, groups, the sticky and the set-id bits. */
#include "tests/tools/posix/posix.h"

#include <grp.h>

/* A file of @owner with @mode. */
static void make_of(const char *path, uid_t owner, gid_t group, mode_t mode)
{
	pc_make(path, "content");
	OK(chown(path, owner, group));
	OK(chmod(path, mode));
}

static void mkdir_of(const char *path, uid_t owner, gid_t group, mode_t mode)
{
	OK(mkdir(path, 0700));
	OK(chown(path, owner, group));
	OK(chmod(path, mode));
}

TEST(classes)
{
	make_of("owner", ALICE, TEAM, 0077);
	make_of("group", BOB, TEAM, 0604);
	make_of("other", BOB, BOB, 0004);
	pc_become_with(ALICE, ALICE, TEAM);
	FAILS(EACCES, open("owner", O_RDONLY));
	FAILS(EACCES, open("group", O_RDONLY));
	OK(open("other", O_RDONLY));
	FAILS(EACCES, open("other", O_WRONLY));
	pc_root();
	OK(open("owner", O_RDWR));
}

TEST(supplementary_group)
{
	make_of("f", BOB, TEAM, 0660);
	mkdir_of("d", BOB, TEAM, 0770);
	pc_become(ALICE, ALICE);
	FAILS(EACCES, open("f", O_RDWR));
	FAILS(EACCES, mkdir("d/x", 0755));
	FAILS(EACCES, open("d/x", O_RDONLY));
	pc_root();
	pc_become_with(ALICE, ALICE, TEAM);
	OK(open("f", O_RDWR));
	OK(mkdir("d/x", 0755));
	OK(open("d/y", O_CREAT | O_EXCL | O_RDWR, 0600));
	IS(pc_lstat("d/y").st_gid, ALICE);
}

static void supplementary_reader(void)
{
	gid_t group = TEAM;

	OK(setgroups(1, &group));
	OK(setresgid(ALICE, ALICE, ALICE));
	OK(setresuid(ALICE, ALICE, ALICE));
	HOLDS(pc_holds_text("f", "content"));
	FAILS(EACCES, open("f", O_WRONLY));
	FAILS(EPERM, chmod("f", 0666));
	FAILS(EPERM, setresuid(0, 0, 0));
}

/* With all ids given up, as a login does. */
TEST(process_of_a_user)
{
	make_of("f", BOB, TEAM, 0640);
	pc_join(pc_fork(supplementary_reader));
}

TEST(search_permission)
{
	struct stat st;

	mkdir_of("d", BOB, BOB, 0755);
	make_of("d/f", ALICE, ALICE, 0666);
	OK(chmod("d", 0744));
	pc_become(ALICE, ALICE);
	FAILS(EACCES, open("d/f", O_RDONLY));
	FAILS(EACCES, stat("d/f", &st));
	FAILS(EACCES, chdir("d"));
	FAILS(EACCES, unlink("d/f"));
	FAILS(EACCES, faccessat(AT_FDCWD, "d/f", F_OK, AT_EACCESS));
	FAILS(EACCES, faccessat(AT_FDCWD, "d/nothing", F_OK, AT_EACCESS));
	OK(open("d", O_RDONLY | O_DIRECTORY));
	pc_root();
	OK(chmod("d", 0711));
	pc_become(ALICE, ALICE);
	OK(open("d/f", O_RDWR));
	FAILS(EACCES, open("d", O_RDONLY | O_DIRECTORY));
	OK(chdir("d"));
}

TEST(writing_in_a_directory)
{
	mkdir_of("d", BOB, BOB, 0755);
	make_of("d/f", ALICE, ALICE, 0666);
	make_of("mine", ALICE, ALICE, 0666);
	pc_become(ALICE, ALICE);
	FAILS(EACCES, open("d/new", O_CREAT | O_RDWR, 0644));
	FAILS(EACCES, mkdir("d/new", 0755));
	FAILS(EACCES, symlink("x", "d/new"));
	FAILS(EACCES, mkfifo("d/new", 0644));
	FAILS(EACCES, link("mine", "d/new"));
	FAILS(EACCES, unlink("d/f"));
	FAILS(EACCES, rename("d/f", "d/g"));
	FAILS(EEXIST, mkdir("d/f", 0755));
	OK(open("d/f", O_CREAT | O_RDWR, 0644));
}

TEST(change_shows_at_once)
{
	int fd;

	make_of("f", BOB, BOB, 0644);
	for (int n = 0; n < 3; n++) {
		pc_become(ALICE, ALICE);
		fd = (int)OK(open("f", O_RDONLY));
		pc_root();
		OK(chmod("f", 0600));
		pc_become(ALICE, ALICE);
		FAILS(EACCES, open("f", O_RDONLY));
		HOLDS(pc_fd_holds(fd, "content"));
		pc_root();
		OK(chmod("f", 0644));
	}
}

/* ---- sticky directories ---- */

TEST(sticky_directory)
{
	mkdir_of("d", 0, 0, 01777);
	make_of("d/bob", BOB, BOB, 0666);
	make_of("d/alice", ALICE, ALICE, 0666);
	mkdir_of("d/bobdir", BOB, BOB, 0777);
	pc_become(ALICE, ALICE);
	FAILS(EPERM, unlink("d/bob"));
	FAILS(EPERM, rmdir("d/bobdir"));
	FAILS(EPERM, rename("d/bob", "d/x"));
	FAILS(EPERM, rename("d/alice", "d/bob"));
	FAILS(EPERM, renameat2(AT_FDCWD, "d/alice", AT_FDCWD, "d/bob", RENAME_EXCHANGE));
	OK(rename("d/alice", "d/mine"));
	OK(unlink("d/mine"));
}

TEST(sticky_directory_owner)
{
	mkdir_of("d", ALICE, ALICE, 01777);
	make_of("d/bob", BOB, BOB, 0600);
	make_of("d/too", BOB, BOB, 0600);
	mkdir_of("d/dir", BOB, BOB, 0700);
	pc_become(ALICE, ALICE);
	OK(rename("d/bob", "d/x"));
	OK(unlink("d/x"));
	OK(unlink("d/too"));
	OK(rmdir("d/dir"));
}

/* ---- chmod and chown ---- */

TEST(chmod_all_bits)
{
	pc_make("f", "x");
	for (mode_t mode = 0; mode < 010000; mode += 0111) {
		OK(chmod("f", mode));
		IS(pc_mode("f"), mode);
	}
	OK(mkdir("d", 0755));
	OK(chmod("d", 07777));
	IS(pc_mode("d"), 07777);
	FAILS(ENOENT, chmod("nothing", 0644));
	FAILS(ENOTDIR, chmod("f/x", 0644));
}

TEST(chmod_by_owner_only)
{
	make_of("f", ALICE, ALICE, 0644);
	pc_become_with(BOB, BOB, ALICE);
	FAILS(EPERM, chmod("f", 0666));
	FAILS(EPERM, fchmod((int)OK(open("f", O_RDONLY)), 0666));
	pc_root();
	IS(pc_mode("f"), 0644);
	pc_become(ALICE, ALICE);
	OK(chmod("f", 0));
	OK(chmod("f", 0600));
	IS(pc_mode("f"), 0600);
}

TEST(chmod_setgid_of_a_foreign_group)
{
	make_of("f", ALICE, TEAM, 0755);
	mkdir_of("d", ALICE, TEAM, 0755);
	pc_become(ALICE, ALICE);
	OK(chmod("f", 02755));
	IS(pc_mode("f"), 0755);
	OK(chmod("f", 04755));
	IS(pc_mode("f"), 04755);
	OK(chmod("d", 02755));
	IS(pc_mode("d"), 0755);
	OK(chmod("f", 01644));
	IS(pc_mode("f"), 01644);
	pc_root();
	pc_become_with(ALICE, ALICE, TEAM);
	OK(chmod("f", 02755));
	IS(pc_mode("f"), 02755);
}

TEST(chmod_follows_links)
{
	pc_make("f", "x");
	OK(symlink("f", "l"));
	OK(chmod("l", 0600));
	IS(pc_mode("f"), 0600);
	IS(pc_mode("l"), 0777);
	NOTE(fchmodat(AT_FDCWD, "l", 0600, AT_SYMLINK_NOFOLLOW));
	IS(pc_mode("f"), 0600);
}

TEST(chown_by_root)
{
	pc_make("f", "x");
	OK(symlink("f", "l"));
	OK(chown("l", ALICE, TEAM));
	IS(pc_lstat("f").st_uid, ALICE);
	IS(pc_lstat("f").st_gid, TEAM);
	IS(pc_lstat("l").st_uid, 0);
	OK(lchown("l", BOB, BOB));
	IS(pc_lstat("l").st_uid, BOB);
	IS(pc_lstat("f").st_uid, ALICE);
	OK(chown("f", (uid_t)-1, BOB));
	IS(pc_lstat("f").st_uid, ALICE);
	IS(pc_lstat("f").st_gid, BOB);
	OK(chown("f", 0xfffffffe, 0xfffffffe));
	IS(pc_lstat("f").st_uid, 0xfffffffe);
}

TEST(chown_by_users)
{
	make_of("f", ALICE, ALICE, 0644);
	pc_become_with(ALICE, ALICE, TEAM);
	FAILS(EPERM, chown("f", BOB, (gid_t)-1));
	FAILS(EPERM, chown("f", (uid_t)-1, BOB));
	OK(chown("f", ALICE, TEAM));
	IS(pc_lstat("f").st_gid, TEAM);
	OK(chown("f", (uid_t)-1, (gid_t)-1));
	pc_root();
	pc_become(BOB, TEAM);
	FAILS(EPERM, chown("f", BOB, TEAM));
	FAILS(EPERM, chown("f", (uid_t)-1, TEAM));
	NOTE(chown("f", (uid_t)-1, (gid_t)-1));
}

TEST(chown_clears_set_ids)
{
	make_of("exec", ALICE, ALICE, 06755);
	make_of("plain", ALICE, ALICE, 06644);
	mkdir_of("d", ALICE, ALICE, 06755);
	pc_become_with(ALICE, ALICE, TEAM);
	OK(chown("exec", ALICE, TEAM));
	IS(pc_mode("exec"), 0755);
	OK(chown("plain", ALICE, TEAM));
	pc_note("without group execution: %04o", pc_mode("plain"));
	OK(chown("d", ALICE, TEAM));
	pc_note("directory: %04o", pc_mode("d"));
	pc_root();
	make_of("root", 0, 0, 06755);
	OK(chown("root", BOB, BOB));
	pc_note("by root: %04o", pc_mode("root"));
}

/* ---- what a write does to set-id bits ---- */

static int open_set_id(const char *path, mode_t mode)
{
	int fd;

	make_of(path, BOB, BOB, mode);
	fd = (int)OK(open(path, O_RDWR));
	IS(pc_mode(path), mode);
	return fd;
}

TEST(write_clears_set_ids)
{
	int fd = open_set_id("f", 06777);

	pc_become(ALICE, ALICE);
	IS(write(fd, "x", 1), 1);
	IS(pc_mode("f"), 0777);
	IS(pc_fstat(fd).st_mode & 07777, 0777);
}

TEST(write_by_owner_clears_set_ids)
{
	int fd = open_set_id("f", 06755);

	pc_become(BOB, BOB);
	IS(pwrite(fd, "x", 1, 0), 1);
	IS(pc_mode("f"), 0755);
}

TEST(write_by_root_keeps_set_ids)
{
	int fd = open_set_id("f", 06777);

	IS(write(fd, "x", 1), 1);
	IS(pc_mode("f"), 06777);
	OK(ftruncate(fd, 3));
	pc_note("ftruncate: %04o", pc_mode("f"));
	OK(truncate("f", 2));
	pc_note("truncate: %04o", pc_mode("f"));
}

TEST(write_keeps_setgid_without_execution)
{
	int fd = open_set_id("f", 02666);

	pc_become(ALICE, ALICE);
	IS(write(fd, "x", 1), 1);
	pc_note("02666 after a write: %04o", pc_mode("f"));
}

TEST(truncate_clears_set_ids)
{
	int fd = open_set_id("f", 06777), other = open_set_id("g", 06777);

	pc_become(ALICE, ALICE);
	OK(ftruncate(fd, 1));
	IS(pc_mode("f"), 0777);
	OK(truncate("g", 1));
	IS(pc_mode("g"), 0777);
	IS(pc_fstat(other).st_size, 1);
	pc_root();
	open_set_id("h", 06777);
	pc_become(ALICE, ALICE);
	OK(open("h", O_WRONLY | O_TRUNC));
	IS(pc_mode("h"), 0777);
}

TEST(other_changes_clear_set_ids)
{
	int a = open_set_id("a", 06777), b = open_set_id("b", 06777);
	int c = open_set_id("c", 06777);
	off_t from = 0, to = 0;
	char *map;

	pc_become(ALICE, ALICE);
	OK(fallocate(a, 0, 0, 100));
	IS(pc_mode("a"), 0777);
	OK(copy_file_range(a, &from, b, &to, 5, 0));
	IS(pc_mode("b"), 0777);
	map = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, c, 0);
	HOLDS(map != MAP_FAILED);
	map[0] = 'x';
	OK(msync(map, PAGE, MS_SYNC));
	pc_note("after a mapped write: %04o", pc_mode("c"));
}

/* ---- directories that give their group on ---- */

TEST(setgid_directory)
{
	mkdir_of("d", BOB, TEAM, 02777);
	umask(022);
	pc_become(ALICE, ALICE);
	OK(mkdir("d/sub", 0777));
	IS(pc_lstat("d/sub").st_gid, TEAM);
	IS(pc_mode("d/sub"), 02755);
	pc_make("d/f", "x");
	IS(pc_lstat("d/f").st_gid, TEAM);
	IS(pc_mode("d/f"), 0644);
	OK(symlink("x", "d/l"));
	IS(pc_lstat("d/l").st_gid, TEAM);
	OK(mkfifo("d/p", 0644));
	IS(pc_lstat("d/p").st_gid, TEAM);
	OK(mkdir("d/sub/sub", 0700));
	IS(pc_mode("d/sub/sub"), 02700);
}

/* Not a way to get a set-group-id program of a foreign group. */
TEST(setgid_file_in_setgid_directory)
{
	umask(0);
	mkdir_of("d", BOB, TEAM, 02777);
	pc_become(ALICE, ALICE);
	OK(open("d/f", O_CREAT | O_RDWR, 02777));
	IS(pc_mode("d/f"), 0777);
	OK(mknod("d/g", S_IFREG | 02777, 0));
	IS(pc_mode("d/g"), 0777);
	OK(open("d/h", O_CREAT | O_RDWR, 02767));
	pc_note("without group execution: %04o", pc_mode("d/h"));
	pc_note("nameless: %04o",
		pc_fstat((int)OK(open("d", O_TMPFILE | O_RDWR, 02777))).st_mode & 07777);
	pc_root();
	pc_become_with(ALICE, ALICE, TEAM);
	OK(open("d/mine", O_CREAT | O_RDWR, 02777));
	IS(pc_mode("d/mine"), 02777);
}

TEST(umask_of_the_caller)
{
	static const mode_t masks[] = {0, 022, 077, 0777, 0137};

	OK(chmod(".", 0777));
	pc_become(ALICE, ALICE);
	for (size_t n = 0; n < ROWS(masks); n++) {
		umask(masks[n]);
		OK(mkdir("d", 0777));
		IS(pc_mode("d"), 0777 & ~masks[n]);
		OK(rmdir("d"));
		OK(mknod("f", S_IFREG | 0666, 0));
		IS(pc_mode("f"), 0666 & ~masks[n]);
		OK(unlink("f"));
		OK(open("f", O_CREAT | O_RDWR, 0666));
		IS(pc_mode("f"), 0666 & ~masks[n]);
		OK(unlink("f"));
		OK(mkfifo("p", 0666));
		IS(pc_mode("p"), 0666 & ~masks[n]);
		OK(unlink("p"));
	}
}

/* ---- access ---- */

static void alice_asks(void)
{
	OK(setresgid(ALICE, ALICE, ALICE));
	OK(setresuid(ALICE, ALICE, ALICE));
	OK(access("f", R_OK));
	FAILS(EACCES, access("f", W_OK));
	FAILS(EACCES, access("f", X_OK));
	FAILS(ENOENT, access("nothing", F_OK));
	OK(access("d", X_OK));
	FAILS(EACCES, access("d", R_OK));
}

TEST(access_answers)
{
	make_of("f", BOB, BOB, 0644);
	mkdir_of("d", BOB, BOB, 0711);
	pc_join(pc_fork(alice_asks));
	OK(access("f", R_OK | W_OK));
	FAILS(EACCES, access("f", X_OK));
	OK(chmod("f", 0744));
	OK(access("f", X_OK));
	pc_become(ALICE, ALICE);
	OK(access("f", W_OK));
	FAILS(EACCES, faccessat(AT_FDCWD, "f", W_OK, AT_EACCESS));
	pc_root();
}
