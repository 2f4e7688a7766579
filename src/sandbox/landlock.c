#include "sandbox/landlock.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/landlock.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/mem.h"
#include "sandbox/privileges.h"
#include "sandbox/system_paths.h"

// Of the rights, how many each version knows; they are numbered as they came.
static const unsigned char rights_of_abi[] = {0, 13, 14, 15, 15, 16};

static const uint64_t rights_to_read =
    LANDLOCK_ACCESS_FS_EXECUTE | LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR;
static const uint64_t rights_of_a_file = LANDLOCK_ACCESS_FS_EXECUTE | LANDLOCK_ACCESS_FS_READ_FILE |
                                         LANDLOCK_ACCESS_FS_WRITE_FILE |
                                         LANDLOCK_ACCESS_FS_TRUNCATE | LANDLOCK_ACCESS_FS_IOCTL_DEV;
// No device is made, and no socket: nothing outside may be reached by one that was granted.
static const uint64_t rights_never =
    LANDLOCK_ACCESS_FS_MAKE_CHAR | LANDLOCK_ACCESS_FS_MAKE_BLOCK | LANDLOCK_ACCESS_FS_MAKE_SOCK;

uint64_t landlock_rights(int abi)
{
    size_t known = ARRAY_LEN(rights_of_abi) - 1;
    size_t at = abi < 0 ? 0 : (size_t)abi < known ? (size_t)abi : known;
    return (UINT64_C(1) << rights_of_abi[at]) - 1;
}

uint64_t landlock_read_rights(void)
{
    return rights_to_read;
}

int landlock_abi(struct error *err)
{
    long abi = syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);
    if (abi > 0)
        return (int)abi;
    if (errno == EOPNOTSUPP)
        return error_set(err, -EOPNOTSUPP,
                         "this kernel has Landlock and does not use it; add landlock to lsm= on "
                         "its command line");
    return error_set(err, -ENOSYS,
                     "this kernel has no Landlock (Linux 5.13 or later, built with "
                     "CONFIG_SECURITY_LANDLOCK)");
}

// What is not there cannot be reached either; a path that somebody granted has to exist.
static int grant(int ruleset, const char *path, uint64_t rights, bool must_exist, struct error *err)
{
    struct stat status;
    FD_AUTO fd = open(path, O_PATH | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &status) < 0)
        return must_exist ? error_errno(err, errno, "cannot grant %s", path) : 0;
    struct landlock_path_beneath_attr rule = {
        .allowed_access = S_ISDIR(status.st_mode) ? rights : rights & rights_of_a_file,
        .parent_fd = fd,
    };
    if (syscall(SYS_landlock_add_rule, ruleset, LANDLOCK_RULE_PATH_BENEATH, &rule, 0) < 0)
        return error_errno(err, errno, "cannot grant %s (Landlock)", path);
    return 0;
}

static int grant_all(int ruleset, const char *const *paths, uint64_t rights, bool must_exist,
                     struct error *err)
{
    int r = 0;
    for (size_t i = 0; paths && paths[i] && r == 0; i++)
        r = grant(ruleset, paths[i], rights, must_exist, err);
    return r;
}

static int fill(int ruleset, uint64_t all, const struct grants *grants, const char *tmp,
                struct error *err)
{
    uint64_t read = all & rights_to_read, write = all & ~rights_never;
    uint64_t file = read & ~LANDLOCK_ACCESS_FS_EXECUTE;
    uint64_t device = all & (LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_WRITE_FILE |
                             LANDLOCK_ACCESS_FS_TRUNCATE);
    int r = grant_all(ruleset, system_programs, read, false, err);
    if (r == 0)
        r = grant_all(ruleset, system_files_of_etc, file, false, err);
    if (r == 0)
        r = grant_all(ruleset, system_files_of_kernel, file, false, err);
    if (r == 0)
        r = grant_all(ruleset, system_devices, device, false, err);
    if (r == 0)
        r = grant_all(ruleset, grants->read, read, true, err);
    if (r == 0)
        r = grant_all(ruleset, grants->write, write, true, err);
    if (r == 0 && tmp)
        r = grant(ruleset, tmp, write, true, err);
    return r;
}

int landlock_enter(const struct grants *grants, const char *tmp, struct error *err)
{
    int abi = landlock_abi(err);
    if (abi < 0)
        return abi;
    struct landlock_ruleset_attr attr = {.handled_access_fs = landlock_rights(abi)};
    if (abi >= 4)
        attr.handled_access_net = LANDLOCK_ACCESS_NET_BIND_TCP | LANDLOCK_ACCESS_NET_CONNECT_TCP;
    if (abi >= LANDLOCK_SCOPES)
        attr.scoped = LANDLOCK_SCOPE_ABSTRACT_UNIX_SOCKET | LANDLOCK_SCOPE_SIGNAL;
    // A kernel that does not know a field takes it when nothing is in it.
    FD_AUTO ruleset = (int)syscall(SYS_landlock_create_ruleset, &attr, sizeof attr, 0);
    if (ruleset < 0)
        return error_errno(err, errno, "cannot make rules for files (Landlock)");
    int r = fill(ruleset, attr.handled_access_fs, grants, tmp, err);
    if (r == 0 && syscall(SYS_landlock_restrict_self, ruleset, 0) < 0)
        r = error_errno(err, errno, "cannot enter the rules for files (Landlock)");
    return r;
}

// To move a file from one directory to another is forbidden in every domain that does not say
// otherwise.
bool landlock_enclose_signals(void)
{
    struct landlock_ruleset_attr attr = {.handled_access_fs = LANDLOCK_ACCESS_FS_REFER,
                                         .scoped = LANDLOCK_SCOPE_SIGNAL};
    FD_AUTO ruleset = (int)syscall(SYS_landlock_create_ruleset, &attr, sizeof attr, 0);
    return ruleset >= 0 && grant(ruleset, "/", LANDLOCK_ACCESS_FS_REFER, true, NULL) == 0 &&
           privileges_seal(NULL) == 0 && syscall(SYS_landlock_restrict_self, ruleset, 0) == 0;
}
