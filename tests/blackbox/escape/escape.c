// usage: escape NAME OUTSIDE VICTIM PORT SOCKET ADDRESS
#include "escape.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { ESCAPED = 0, HELD = 10, NOT_STAGED = 20 };

struct scene scene;

const char *outside(const char *name)
{
    static char paths[2][4096];
    static unsigned next;
    char *path = paths[next++ % 2];
    snprintf(path, sizeof paths[0], "%s/%s", scene.outside, name);
    return path;
}

int result(long returned)
{
    return returned < 0 ? -errno : 0;
}

int read_some(const char *path)
{
    char byte;
    int fd = open(path, O_RDONLY);
    if (fd < 0)
        return -errno;
    ssize_t n = read(fd, &byte, 1);
    int r = n < 0 ? -errno : n == 0 ? -ENODATA : 0;
    close(fd);
    return r;
}

static int run(const struct attempt *attempt)
{
    int r = attempt->run();
    if (r == 0)
        printf("escaped: %s\n", attempt->name);
    else if (r == UNSTAGED)
        printf("not staged: %s: %s\n", attempt->name, strerror(errno));
    else
        printf("held: %s: %s\n", attempt->name, strerror(-r));
    fflush(stdout);
    return r == 0 ? ESCAPED : r == UNSTAGED ? NOT_STAGED : HELD;
}

static int number(const char *digits)
{
    int value = 0;
    while (*digits >= '0' && *digits <= '9')
        value = 10 * value + (*digits++ - '0');
    return value;
}

static int gain_nothing(void)
{
    return 0;
}

static int gain_root(void)
{
    return geteuid() == 0 ? 0 : -EPERM;
}

static int gain_capability(void)
{
    return result(chroot("/"));
}

// What this program is when an attempt has executed it, by its first argument.
static const struct attempt executed[] = {
    {"execute-outside", gain_nothing},
    {"gain-by-setuid", gain_root},
    {"gain-by-capability", gain_capability},
};

int main(int argc, char **argv)
{
    const struct attempt *const tables[] = {attempts_on_files, attempts_on_processes,
                                            attempts_on_kernel, attempts_on_network,
                                            attempts_on_limits};
    const char *name = argc > 1 ? argv[1] : "";
    for (size_t i = 0; i < sizeof executed / sizeof *executed; i++)
        if (strcmp(argv[0], executed[i].name) == 0)
            return run(&executed[i]);
    for (size_t i = 0; i < sizeof tables / sizeof *tables; i++)
        for (const struct attempt *attempt = tables[i]; attempt->name; attempt++) {
            if (argc < 2)
                puts(attempt->name);
            if (strcmp(name, attempt->name) != 0 || argc < 7)
                continue;
            scene = (struct scene){argv[2], number(argv[3]), number(argv[4]), argv[5], argv[6]};
            return run(attempt);
        }
    return argc < 2 ? 0 : NOT_STAGED;
}
