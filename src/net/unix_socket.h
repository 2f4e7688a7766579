#pragma once

#include <stdbool.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "base/error.h"

/*
 * Sockets that are files: only who may open the file may speak, and only the same user or root is
 * listened to. A path may be longer than a socket's address: then the address goes through a
 * descriptor of its directory.
 */
#define UNIX_SOCKET_PREFIX "unix:"

struct unix_socket_address {
    struct sockaddr_un kernel;
    int directory; // -1, or open for as long as the kernel's is to mean something
};
#define UNIX_SOCKET_ADDRESS_INIT                 \
    {                                            \
        {.sun_family = AF_UNIX}, .directory = -1 \
    }

int unix_socket_address(const char *path, struct unix_socket_address *ret_address,
                        struct error *err);
void unix_socket_address_finish(struct unix_socket_address *address);

/*
 * Listens on `path`, non-blocking; the file is 0600 from its first moment. A socket that nobody
 * listens on is removed first. -EADDRINUSE when somebody does, -EEXIST when the path is something
 * else than a socket.
 */
int unix_socket_listen(const char *path, int backlog, int *ret_fd, struct error *err);

// Connects, blocking. The sentence names the path; the code is connect()'s.
int unix_socket_connect(const char *path, int *ret_fd, struct error *err);

// Whether the process at the other end is of our own user or root's: for who listens. Who connects
// as root may talk to anybody's. False when it is not known.
bool unix_socket_may_serve(int fd);
bool unix_socket_may_ask(int fd);
