#include "net/unix_socket.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/mem.h"

// The kernel follows /proc/self/fd/N to the directory, whatever the length of its name.
static int address_through_directory(const char *path, struct unix_socket_address *ret_address,
                                     struct error *err)
{
    const char *slash = strrchr(path, '/');
    size_t directory_len = slash ? (size_t)(slash - path) : 0;
    const char *name = slash ? slash + 1 : path;
    CLEANUP(mem_cleanup)
    char *directory =
        slash ? mem_strndup(path, directory_len ? directory_len : 1) : mem_strdup(".");
    FD_AUTO fd = open(directory, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return error_errno(err, errno, "cannot open the directory %s", directory);
    struct sockaddr_un *kernel = &ret_address->kernel;
    int n = snprintf(kernel->sun_path, sizeof kernel->sun_path, "/proc/self/fd/%d/%s", fd, name);
    if (n >= (int)sizeof kernel->sun_path)
        return error_set(err, -ENAMETOOLONG, "the name of the socket %s is too long", path);
    if (access("/proc/self/fd", X_OK) < 0)
        return error_set(err, -ENAMETOOLONG,
                         "the path of the socket %s is longer than %d bytes, and there is no /proc "
                         "through which it could be shortened: choose a shorter home",
                         path, (int)sizeof kernel->sun_path - 1);
    ret_address->directory = fd;
    fd = -1;
    return 0;
}

int unix_socket_address(const char *path, struct unix_socket_address *ret_address,
                        struct error *err)
{
    struct unix_socket_address address = UNIX_SOCKET_ADDRESS_INIT;
    int r = 0;
    if (strlen(path) < sizeof address.kernel.sun_path)
        memcpy(address.kernel.sun_path, path, strlen(path) + 1);
    else
        r = address_through_directory(path, &address, err);
    if (r == 0)
        *ret_address = address;
    return r;
}

void unix_socket_address_finish(struct unix_socket_address *address)
{
    fd_close(&address->directory);
}

// Non-blocking, so that a listener whose queue is full says so instead of making us wait.
static int try_connect(const struct unix_socket_address *address, int flags, int *ret_fd)
{
    FD_AUTO fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | flags, 0);
    if (fd < 0 ||
        connect(fd, (const struct sockaddr *)&address->kernel, sizeof address->kernel) < 0)
        return -errno;
    *ret_fd = fd;
    fd = -1;
    return 0;
}

static int clear_the_way(const char *path, const struct unix_socket_address *address,
                         struct error *err)
{
    struct stat status;
    FD_AUTO fd = -1;
    if (lstat(path, &status) < 0)
        return errno == ENOENT ? 0 : error_errno(err, errno, "cannot look at %s", path);
    if (!S_ISSOCK(status.st_mode))
        return error_set(err, -EEXIST, "%s is in the way and not a socket; move it away", path);
    int r = try_connect(address, SOCK_NONBLOCK, &fd);
    if (r == 0 || r == -EAGAIN)
        return error_set(err, -EADDRINUSE, "another process listens on %s", path);
    if (unlink(path) < 0 && errno != ENOENT)
        return error_errno(err, errno, "cannot remove the left-over socket %s", path);
    return 0;
}

// Linux gives the file the mode of the socket it is bound to, less the umask: set before bind(),
// there is no moment at which others could connect.
static int bind_and_listen(const char *path, const struct unix_socket_address *address, int backlog,
                           int *ret_fd, struct error *err)
{
    FD_AUTO fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0 || fchmod(fd, 0600) < 0 ||
        bind(fd, (const struct sockaddr *)&address->kernel, sizeof address->kernel) < 0)
        return error_errno(err, errno, "cannot listen on %s", path);
    if (chmod(path, 0600) < 0 || listen(fd, backlog) < 0) {
        int reason = errno;
        unlink(path);
        return error_errno(err, reason, "cannot listen on %s", path);
    }
    *ret_fd = fd;
    fd = -1;
    return 0;
}

int unix_socket_listen(const char *path, int backlog, int *ret_fd, struct error *err)
{
    struct unix_socket_address address = UNIX_SOCKET_ADDRESS_INIT;
    int r = unix_socket_address(path, &address, err);
    if (r == 0)
        r = clear_the_way(path, &address, err);
    if (r == 0)
        r = bind_and_listen(path, &address, backlog, ret_fd, err);
    unix_socket_address_finish(&address);
    return r;
}

int unix_socket_connect(const char *path, int *ret_fd, struct error *err)
{
    struct unix_socket_address address = UNIX_SOCKET_ADDRESS_INIT;
    int r = unix_socket_address(path, &address, err);
    if (r < 0)
        return r;
    r = try_connect(&address, 0, ret_fd);
    unix_socket_address_finish(&address);
    return r < 0 ? error_errno(err, -r, "cannot connect to %s", path) : 0;
}

bool unix_socket_may_serve(int fd)
{
    struct ucred peer;
    socklen_t len = sizeof peer;
    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) < 0 || len != sizeof peer)
        return false;
    return peer.uid == 0 || peer.uid == geteuid();
}

bool unix_socket_may_ask(int fd)
{
    return geteuid() == 0 || unix_socket_may_serve(fd);
}
