#include "sandbox/namespaces.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/mount.h>
#include <linux/sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/mem.h"
#include "sandbox/privileges.h"
#include "sandbox/system_paths.h"

enum {
    DETACH = 2,               // umount2's MNT_DETACH; <sys/mount.h> and <linux/mount.h> do not mix
    RECURSIVELY = 0x8000,     // AT_RECURSIVE
    TMP_DEFAULT = 64 << 20,   // bytes
    TREE_SIZE = 1 << 20,      // bytes of what is only directories and links
    FILES_IN_TMP_MAX = 16384, // each takes a kilobyte of the kernel's
};

static const char old_root[] = "/.old";
static const unsigned long plain = MS_NOSUID | MS_NODEV;

static int mount_at(const char *source, const char *target, const char *type, unsigned long flags,
                    const char *data)
{
    return syscall(SYS_mount, source, target, type, flags, data) < 0 ? -errno : 0;
}

static int write_file(const char *path, const char *text)
{
    FD_AUTO fd = open(path, O_WRONLY | O_CLOEXEC);
    return fd < 0 ? -errno : fd_write_all(fd, text, strlen(text));
}

// The one user and the one group that there are inside are those outside.
static int map_ids(uid_t uid, gid_t gid)
{
    char users[64], groups[64];
    snprintf(users, sizeof users, "%u %u 1\n", uid, uid);
    snprintf(groups, sizeof groups, "%u %u 1\n", gid, gid);
    int r = write_file("/proc/self/setgroups", "deny");
    if (r == 0)
        r = write_file("/proc/self/uid_map", users);
    return r == 0 ? write_file("/proc/self/gid_map", groups) : r;
}

static int create(unsigned long kinds, struct error *err)
{
    uid_t uid = geteuid();
    gid_t gid = getegid();
    int r = syscall(SYS_unshare, kinds) < 0 ? -errno : map_ids(uid, gid);
    if (r == 0)
        return 0;
    return error_errno(err, -r,
                       "this machine lets its users make no namespaces (see "
                       "kernel.unprivileged_userns_clone, user.max_user_namespaces and "
                       "kernel.apparmor_restrict_unprivileged_userns of sysctl; a container must "
                       "be allowed to as well)");
}

int namespaces_create(struct error *err)
{
    return create(CLONE_NEWUSER | CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWNET | CLONE_NEWIPC |
                      CLONE_NEWUTS,
                  err);
}

static int make_directories(char *path)
{
    for (char *slash = path + 1; (slash = strchr(slash, '/')); slash++) {
        *slash = '\0';
        int r = mkdir(path, 0755) < 0 && errno != EEXIST && errno != EROFS ? -errno : 0;
        *slash = '/';
        if (r < 0)
            return r;
    }
    return 0;
}

static int make_place(const char *path, bool is_directory)
{
    CLEANUP(mem_cleanup) char *copy = mem_strdup(path);
    struct stat status;
    int r = make_directories(copy);
    if (r < 0 || stat(path, &status) == 0)
        return r;
    if (is_directory)
        return mkdir(path, 0755) < 0 ? -errno : 0;
    FD_AUTO fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
    return fd < 0 ? -errno : 0;
}

static int set_attributes(const char *path, uint64_t attributes)
{
    struct mount_attr attr = {.attr_set = attributes};
    return syscall(SYS_mount_setattr, AT_FDCWD, path, RECURSIVELY, &attr, sizeof attr) < 0 ? -errno
                                                                                           : 0;
}

// With all that is mounted inside. Nothing when there is no such path, unless it was granted.
static int bind_path(const char *path, uint64_t attributes, bool must_exist)
{
    char source[PATH_MAX], target[PATH_MAX];
    struct stat status;
    snprintf(source, sizeof source, "%s%s", old_root, path);
    if (lstat(source, &status) < 0)
        return must_exist ? -errno : 0;
    if (S_ISLNK(status.st_mode)) {
        ssize_t len = readlink(source, target, sizeof target - 1);
        if (len < 0)
            return -errno;
        target[len] = '\0';
        CLEANUP(mem_cleanup) char *copy = mem_strdup(path);
        int r = make_directories(copy);
        return r == 0 && symlink(target, path) < 0 && errno != EEXIST ? -errno : r;
    }
    int r = make_place(path, S_ISDIR(status.st_mode));
    if (r == 0)
        r = mount_at(source, path, NULL, MS_BIND | MS_REC, NULL);
    return r == 0 ? set_attributes(path, attributes) : r;
}

static int bind_all(const char *const *paths, uint64_t attributes, bool must_exist,
                    struct error *err)
{
    for (size_t i = 0; paths && paths[i]; i++) {
        int r = bind_path(paths[i], attributes, must_exist);
        if (r < 0)
            return error_errno(err, -r, "cannot grant %s", paths[i]);
    }
    return 0;
}

static int make_tmp(const char *path, int64_t bytes)
{
    char options[128];
    snprintf(options, sizeof options, "mode=1777,size=%lld,nr_inodes=%d",
             (long long)(bytes ? bytes : TMP_DEFAULT), FILES_IN_TMP_MAX);
    int r = make_place(path, true);
    return r == 0 ? mount_at("tmpfs", path, "tmpfs", plain, options) : r;
}

static int make_devices(int64_t tmp)
{
    static const char *const links[][2] = {{"/proc/self/fd", "/dev/fd"},
                                           {"/proc/self/fd/0", "/dev/stdin"},
                                           {"/proc/self/fd/1", "/dev/stdout"},
                                           {"/proc/self/fd/2", "/dev/stderr"},
                                           {"pts/ptmx", "/dev/ptmx"}};
    int r = make_place("/dev/pts", true);
    for (size_t i = 0; i < ARRAY_LEN(links) && r == 0; i++)
        r = symlink(links[i][0], links[i][1]) < 0 ? -errno : 0;
    // They can be written to nevertheless: what is read-only is which rights they have.
    for (size_t i = 0; system_devices[i] && r == 0; i++)
        r = bind_path(system_devices[i], MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOEXEC | MOUNT_ATTR_RDONLY,
                      false);
    if (r == 0) // a terminal of its own is a convenience: not every kernel has them for everybody
        (void)mount_at("devpts", "/dev/pts", "devpts", MS_NOSUID | MS_NOEXEC,
                       "newinstance,ptmxmode=0666,mode=620");
    return r == 0 ? make_tmp("/dev/shm", tmp) : r;
}

// The new tree becomes the root, with the old one inside it for a while.
static int turn_root(void)
{
    char options[64], old[64];
    snprintf(options, sizeof options, "mode=755,size=%d", TREE_SIZE);
    snprintf(old, sizeof old, "/proc%s", old_root);
    int r = mount_at(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL);
    if (r == 0)
        r = mount_at("tmpfs", "/proc", "tmpfs", plain, options);
    if (r == 0 && mkdir(old, 0700) < 0)
        r = -errno;
    if (r == 0 && syscall(SYS_pivot_root, "/proc", old) < 0)
        r = -errno;
    return r == 0 && chdir("/") < 0 ? -errno : r;
}

static int leave_old_root(void)
{
    if (syscall(SYS_umount2, old_root, DETACH) < 0 || rmdir(old_root) < 0)
        return -errno;
    return mount_at(NULL, "/", NULL, MS_REMOUNT | MS_BIND | MS_RDONLY | plain, NULL);
}

// Root outside owns files inside as well, those of /proc/sys among them: so /proc is read-only.
static int make_base(const struct grants *grants, struct error *err)
{
    int r = turn_root();
    if (r == 0)
        r = make_place("/proc", true);
    if (r == 0)
        r = mount_at("proc", "/proc", "proc", plain | MS_NOEXEC | MS_RDONLY, NULL);
    if (r == -EPERM)
        return error_set(err, r,
                         "/proc is covered in part, as in a container, so that none of its own can "
                         "be mounted");
    if (r == 0)
        r = make_tmp("/tmp", grants->tmp);
    if (r == 0)
        r = make_devices(grants->tmp);
    return r < 0 ? error_errno(err, -r, "cannot make a tree of files (namespaces)") : 0;
}

int namespaces_enter(const struct grants *grants, struct error *err)
{
    const uint64_t visible = MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV;
    int r = make_base(grants, err);
    if (r == 0)
        r = bind_all(system_programs, visible | MOUNT_ATTR_RDONLY, false, err);
    if (r == 0)
        r = bind_all(system_files_of_etc, visible | MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOEXEC, false,
                     err);
    if (r == 0)
        r = bind_all(grants->read, visible | MOUNT_ATTR_RDONLY, true, err);
    if (r == 0)
        r = bind_all(grants->write, visible, true, err);
    if (r == 0 && (r = leave_old_root()) < 0)
        error_errno(err, -r, "cannot leave the old tree of files (namespaces)");
    return r;
}

static _Noreturn void try_all(const void *context, int answer)
{
    static const struct grants none = {0};
    (void)context;
    struct error err = ERROR_INIT;
    int r = namespaces_create(&err);
    pid_t first = r == 0 ? fork() : -1;
    if (first == 0) {
        r = namespaces_enter(&none, &err);
        (void)!write(answer, err.text, strlen(err.text));
        _exit(r < 0);
    }
    int status = 0;
    if (first > 0)
        waitpid(first, &status, 0);
    else
        (void)!write(answer, err.text, strlen(err.text));
    _exit(first < 0 || status != 0);
}

// What is entered is never left, so a child tries it. It writes why not, and ends by 0 or not.
static int try_in_child(void (*try)(const void *context, int answer), const void *context,
                        struct error *err)
{
    int both[2], status = 0;
    if (pipe2(both, O_CLOEXEC) < 0)
        return error_errno(err, errno, "cannot try namespaces");
    pid_t child = fork();
    if (child == 0)
        try(context, both[1]);
    fd_close(&both[1]);
    FD_AUTO answer = both[0];
    BUF_AUTO text = BUF_INIT(ERROR_TEXT_MAX);
    fd_read_all(answer, &text);
    if (child < 0 || waitpid(child, &status, 0) < 0)
        return error_errno(err, errno, "cannot try namespaces");
    if (status == 0)
        return 0;
    return error_set(err, -EPERM, "%.*s", (int)text.len, text.data);
}

int namespaces_probe(struct error *err)
{
    return try_in_child(try_all, NULL, err);
}

/* Hiding */

static bool is_around(const char *outer, const char *path)
{
    size_t len = strlen(outer);
    return strncmp(outer, path, len) == 0 && (path[len] == '/' || !path[len]);
}

// With nothing, or with what `tree` holds at its old place inside.
static int cover(const char *path, int tree, const char *shown)
{
    struct stat status;
    if (stat(path, &status) < 0)
        return errno == ENOENT || errno == ENOTDIR ? 0 : -errno;
    if (!S_ISDIR(status.st_mode))
        return mount_at("/dev/null", path, NULL, MS_BIND, NULL);
    int r = mount_at("tmpfs", path, "tmpfs", plain, "mode=755,size=64k,nr_inodes=64");
    if (r == 0 && tree >= 0 && (r = make_place(shown, true)) == 0 &&
        syscall(SYS_move_mount, tree, "", AT_FDCWD, shown, MOVE_MOUNT_F_EMPTY_PATH) < 0)
        r = -errno;
    const unsigned long still = MS_REMOUNT | MS_BIND | MS_RDONLY;
    return r == 0 ? mount_at(NULL, path, NULL, still | plain, NULL) : r;
}

int namespaces_hide(const char *const *hidden, const char *shown, struct error *err)
{
    FD_AUTO tree = -1;
    int r = create(CLONE_NEWUSER | CLONE_NEWNS, err);
    if (r < 0)
        return r;
    r = mount_at(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL);
    if (r == 0 && is_around(hidden[0], shown)) {
        tree = (int)syscall(SYS_open_tree, AT_FDCWD, shown,
                            OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | RECURSIVELY);
        r = tree < 0 ? -errno : 0;
    }
    for (size_t i = 0; hidden[i] && r == 0; i++)
        if (i == 0 || !is_around(hidden[i], shown))
            r = cover(hidden[i], i == 0 ? tree : -1, shown);
    return r < 0 ? error_errno(err, -r, "cannot hide files of ours") : privileges_drop(err);
}

struct hiding {
    const char *const *hidden;
    const char *shown;
};

static _Noreturn void try_hiding(const void *context, int answer)
{
    const struct hiding *hiding = context;
    struct error err = ERROR_INIT;
    int r = namespaces_hide(hiding->hidden, hiding->shown, &err);
    (void)!write(answer, err.text, strlen(err.text));
    _exit(r < 0);
}

int namespaces_hide_probe(const char *const *hidden, const char *shown, struct error *err)
{
    return try_in_child(try_hiding, &(struct hiding){hidden, shown}, err);
}
