#include <errno.h>
#include <linux/netlink.h>
#include <netinet/in.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "escape.h"

static struct sockaddr_in loopback(void)
{
    return (struct sockaddr_in){.sin_family = AF_INET,
                                .sin_port = htons((unsigned short)scene.port),
                                .sin_addr = {htonl(INADDR_LOOPBACK)}};
}

static int connect_tcp(void)
{
    struct sockaddr_in to = loopback();
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    return fd < 0 ? -errno : result(connect(fd, (struct sockaddr *)&to, sizeof to));
}

static int send_udp(void)
{
    struct sockaddr_in to = loopback();
    int fd = socket(AF_INET, SOCK_DGRAM, 0);
    return fd < 0 ? -errno : result(sendto(fd, "x", 1, 0, (struct sockaddr *)&to, sizeof to));
}

static int listen_tcp(void)
{
    struct sockaddr_in here = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    if (fd < 0 || bind(fd, (struct sockaddr *)&here, sizeof here) < 0)
        return -errno;
    return result(listen(fd, 1));
}

static int open_ipv6(void)
{
    return result(socket(AF_INET6, SOCK_DGRAM, 0));
}

static int open_netlink(void)
{
    return result(socket(AF_NETLINK, SOCK_RAW, NETLINK_ROUTE));
}

static int open_uevents(void)
{
    return result(socket(AF_NETLINK, SOCK_DGRAM, NETLINK_KOBJECT_UEVENT));
}

static int open_raw(void)
{
    return result(socket(AF_INET, SOCK_RAW, IPPROTO_ICMP));
}

static int open_packet(void)
{
    return result(socket(AF_PACKET, SOCK_RAW, 0));
}

static int open_vsock(void)
{
    return result(socket(AF_VSOCK, SOCK_STREAM, 0));
}

static int open_path_socket(void)
{
    return result(socket(AF_UNIX, SOCK_STREAM, 0));
}

static struct sockaddr_un at(const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    snprintf(address.sun_path, sizeof address.sun_path, "%s", path);
    return address;
}

static int connect_path(void)
{
    struct sockaddr_un to = at(scene.socket);
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    return fd < 0 ? -errno : result(connect(fd, (struct sockaddr *)&to, sizeof to));
}

static int connect_abstract(void)
{
    struct sockaddr_un to = {.sun_family = AF_UNIX};
    size_t len = strlen(scene.address);
    memcpy(to.sun_path + 1, scene.address, len);
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    return fd < 0 ? -errno
                  : result(connect(fd, (struct sockaddr *)&to,
                                   (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + len)));
}

// One of a pair of datagrams can be led elsewhere.
static int send_from_pair(void)
{
    char path[200];
    int both[2];
    snprintf(path, sizeof path, "%s.dgram", scene.socket);
    struct sockaddr_un to = at(path);
    if (socketpair(AF_UNIX, SOCK_DGRAM, 0, both) < 0)
        return -errno;
    return result(sendto(both[0], "x", 1, 0, (struct sockaddr *)&to, sizeof to));
}

static int connect_pair(void)
{
    char path[200];
    int both[2];
    snprintf(path, sizeof path, "%s.dgram", scene.socket);
    struct sockaddr_un to = at(path);
    if (socketpair(AF_UNIX, SOCK_RAW, 0, both) < 0)
        return -errno;
    return result(connect(both[0], (struct sockaddr *)&to, sizeof to));
}

const struct attempt attempts_on_network[] = {
    {"connect-tcp", connect_tcp},
    {"send-udp", send_udp},
    {"listen-tcp", listen_tcp},
    {"open-ipv6", open_ipv6},
    {"open-netlink", open_netlink},
    {"open-uevents", open_uevents},
    {"open-raw", open_raw},
    {"open-packet", open_packet},
    {"open-vsock", open_vsock},
    {"open-path-socket", open_path_socket},
    {"connect-path", connect_path},
    {"connect-abstract", connect_abstract},
    {"send-from-pair", send_from_pair},
    {"connect-pair", connect_pair},
    {NULL, NULL},
};
