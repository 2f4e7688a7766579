#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "escape.h"

static int write_some(const char *path, int flags)
{
    int fd = open(path, O_WRONLY | flags, 0600);
    if (fd < 0)
        return -errno;
    int r = result(write(fd, "mine\n", 5));
    close(fd);
    return r;
}

static int mine(const char *path)
{
    unlink(path);
    return write_some(path, O_CREAT) == 0 ? 0 : UNSTAGED;
}

static const char *of_victim(const char *name)
{
    static char path[4096];
    snprintf(path, sizeof path, "/proc/%d/%s", scene.victim, name);
    return path;
}

static const char *of_parent(const char *name)
{
    static char path[4096];
    snprintf(path, sizeof path, "/proc/%d/%s", getppid(), name);
    return path;
}

static const char *through(const char *prefix, const char *name)
{
    static char path[8192];
    snprintf(path, sizeof path, "%s%s", prefix, outside(name));
    return path;
}

// --- to read

static int read_secret(void)
{
    return read_some(outside("secret.txt"));
}

static int read_state(void)
{
    return read_some(outside("state.db"));
}

static int read_by_symlink(void)
{
    unlink("link");
    return symlink(outside("secret.txt"), "link") < 0 ? -errno : read_some("link");
}

static int read_by_hard_link(void)
{
    unlink("hard");
    return link(outside("secret.txt"), "hard") < 0 ? -errno : read_some("hard");
}

static int read_by_rename(void)
{
    int r = result(rename(outside("secret.txt"), "moved"));
    return r < 0 ? r : read_some("moved");
}

static int read_by_root(void)
{
    return read_some(through("/proc/self/root", "secret.txt"));
}

static int read_by_cwd(void)
{
    return read_some(through("/proc/self/cwd/../../../../../../../../..", "secret.txt"));
}

static int read_by_dots(void)
{
    return read_some(through("../../../../../../../../..", "secret.txt"));
}

static int read_by_directory(void)
{
    int directory = open(scene.outside, O_PATH | O_DIRECTORY);
    if (directory < 0)
        return -errno;
    int fd = openat(directory, "secret.txt", O_RDONLY);
    char byte;
    return fd < 0 ? -errno : result(read(fd, &byte, 1) - 1);
}

static int read_by_path_only(void)
{
    char path[64];
    int fd = open(outside("secret.txt"), O_PATH);
    if (fd < 0)
        return -errno;
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    return read_some(path);
}

static int list_outside(void)
{
    DIR *directory = opendir(scene.outside);
    return directory ? closedir(directory) : -errno;
}

static int execute_outside(void)
{
    char *const argv[] = {"execute-outside", NULL}, *const environment[] = {NULL};
    return result(execve(outside("tool"), argv, environment));
}

static int read_victims_environ(void)
{
    return read_some(of_victim("environ"));
}

static int read_victims_command(void)
{
    return read_some(of_victim("cmdline"));
}

static int read_victims_maps(void)
{
    return read_some(of_victim("maps"));
}

static int read_victims_root(void)
{
    char root[64];
    snprintf(root, sizeof root, "%s", of_victim("root"));
    return read_some(through(root, "secret.txt"));
}

static int read_victims_cwd(void)
{
    return read_some(of_victim("cwd/secret.txt"));
}

static int read_victims_descriptor(void)
{
    return read_some(of_victim("fd/9"));
}

static int read_victims_memory(void)
{
    unsigned long address;
    char byte;
    FILE *maps = fopen(of_victim("maps"), "r");
    if (!maps)
        return -errno;
    int found = fscanf(maps, "%lx", &address);
    fclose(maps);
    int fd = open(of_victim("mem"), O_RDWR);
    if (fd < 0 || found != 1)
        return found == 1 ? -errno : UNSTAGED;
    return result(pread(fd, &byte, 1, (off_t)address));
}

static int read_parents_environ(void)
{
    return read_some(of_parent("environ"));
}

static int read_parents_memory(void)
{
    int fd = open(of_parent("mem"), O_RDWR);
    return fd < 0 ? -errno : 0;
}

// --- to write

static int write_new(void)
{
    return write_some(outside("new.txt"), O_CREAT | O_EXCL);
}

static int write_over(void)
{
    return write_some(outside("target.txt"), O_TRUNC);
}

static int append(void)
{
    return write_some(outside("target.txt"), O_APPEND);
}

static int write_by_symlink(void)
{
    unlink("link");
    return symlink(outside("target.txt"), "link") < 0 ? -errno : write_some("link", O_TRUNC);
}

static int write_by_directory_link(void)
{
    unlink("directory");
    return symlink(scene.outside, "directory") < 0 ? -errno
                                                   : write_some("directory/new.txt", O_CREAT);
}

static int write_by_path_only(void)
{
    char path[64];
    int fd = open(scene.outside, O_PATH | O_DIRECTORY);
    if (fd < 0)
        return -errno;
    snprintf(path, sizeof path, "/proc/self/fd/%d/new.txt", fd);
    return write_some(path, O_CREAT);
}

static int write_by_victims_cwd(void)
{
    return write_some(of_victim("cwd/new.txt"), O_CREAT);
}

static int truncate_outside(void)
{
    return result(truncate(outside("target.txt"), 0));
}

static int unlink_outside(void)
{
    return result(unlink(outside("target.txt")));
}

static int rename_over(void)
{
    return mine("mine") < 0 ? UNSTAGED : result(rename("mine", outside("target.txt")));
}

static int exchange(void)
{
    return mine("mine") < 0 ? UNSTAGED
                            : result(renameat2(AT_FDCWD, "mine", AT_FDCWD, outside("target.txt"),
                                               RENAME_EXCHANGE));
}

static int link_outside(void)
{
    return mine("mine") < 0 ? UNSTAGED : result(link("mine", outside("new.txt")));
}

static int mkdir_outside(void)
{
    return result(mkdir(outside("new"), 0700));
}

static int rmdir_outside(void)
{
    return result(rmdir(outside("empty")));
}

static int symlink_outside(void)
{
    return result(symlink("/", outside("new")));
}

static int fifo_outside(void)
{
    return result(mkfifo(outside("new"), 0600));
}

static int chmod_outside(void)
{
    return result(chmod(outside("secret.txt"), 0666));
}

static int chmod_by_link(void)
{
    unlink("link");
    return symlink(outside("secret.txt"), "link") < 0 ? -errno
                                                      : result(fchmodat(AT_FDCWD, "link", 0666, 0));
}

static int chmod_by_descriptor(void)
{
    int fd = open(outside("secret.txt"), O_RDONLY);
    return fd < 0 ? -errno : result(fchmod(fd, 0666));
}

static int chown_outside(void)
{
    return result(chown(outside("target.txt"), getuid(), getgid()));
}

static int touch_outside(void)
{
    const struct timespec times[2] = {{1, 0}, {1, 0}};
    return result(utimensat(AT_FDCWD, outside("target.txt"), times, 0));
}

static int attribute_outside(void)
{
    return result(setxattr(outside("target.txt"), "user.mine", "1", 1, 0));
}

static int write_to_shared_memory(void)
{
    return write_some("/dev/shm/hermes-escape", O_CREAT);
}

static int write_to_tmp(void)
{
    return write_some("/tmp/hermes-escape", O_CREAT);
}

const struct attempt attempts_on_files[] = {
    {"read-secret", read_secret},
    {"read-state", read_state},
    {"read-by-symlink", read_by_symlink},
    {"read-by-hard-link", read_by_hard_link},
    {"read-by-rename", read_by_rename},
    {"read-by-root", read_by_root},
    {"read-by-cwd", read_by_cwd},
    {"read-by-dots", read_by_dots},
    {"read-by-directory", read_by_directory},
    {"read-by-path-only", read_by_path_only},
    {"list-outside", list_outside},
    {"execute-outside", execute_outside},
    {"read-victims-environ", read_victims_environ},
    {"read-victims-command", read_victims_command},
    {"read-victims-maps", read_victims_maps},
    {"read-victims-root", read_victims_root},
    {"read-victims-cwd", read_victims_cwd},
    {"read-victims-descriptor", read_victims_descriptor},
    {"read-victims-memory", read_victims_memory},
    {"read-parents-environ", read_parents_environ},
    {"read-parents-memory", read_parents_memory},
    {"write-new", write_new},
    {"write-over", write_over},
    {"append", append},
    {"write-by-symlink", write_by_symlink},
    {"write-by-directory-link", write_by_directory_link},
    {"write-by-path-only", write_by_path_only},
    {"write-by-victims-cwd", write_by_victims_cwd},
    {"truncate", truncate_outside},
    {"unlink", unlink_outside},
    {"rename-over", rename_over},
    {"exchange", exchange},
    {"link-outside", link_outside},
    {"mkdir", mkdir_outside},
    {"rmdir", rmdir_outside},
    {"symlink", symlink_outside},
    {"fifo", fifo_outside},
    {"chmod", chmod_outside},
    {"chmod-by-link", chmod_by_link},
    {"chmod-by-descriptor", chmod_by_descriptor},
    {"chown", chown_outside},
    {"touch", touch_outside},
    {"attribute", attribute_outside},
    {"shared-memory-file", write_to_shared_memory},
    {"tmp-file", write_to_tmp},
    {NULL, NULL},
};
