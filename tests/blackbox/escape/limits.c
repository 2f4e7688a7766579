#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "escape.h"

enum {
    BOMB = 400,         // processes; the sandbox is told fewer
    MEMORY = 256 << 20, // bytes; the same
    CHUNK = 1 << 20,    // bytes
    PACE_US = 6000,     // for each
    PART = 32 << 20,    // bytes of each of several processes
    BOMB_S = 20,
    ALIVE_S = 2,     // longer than it takes to be seen
    TMP = 160 << 20, // bytes
    DISK = 128,      // MiB, more than the test's disk has: no other is filled
    FILES = 16384,   // the same
};

extern char **environ;

static int bomb(void)
{
    int count = 0;
    while (count < BOMB) {
        pid_t child = fork();
        if (child == 0) {
            sleep(ALIVE_S);
            _exit(0);
        }
        if (child < 0)
            return -errno;
        count++;
    }
    sleep(1);
    return 0;
}

// Each of them forks for as long as it lives, and no signal that it can ignore ends it. Where
// nothing limits them they end by themselves, some time.
static int bomb_without_end(void)
{
    time_t end = time(NULL) + BOMB_S;
    sigaction(SIGCHLD, &(struct sigaction){.sa_handler = SIG_IGN}, NULL);
    sigaction(SIGTERM, &(struct sigaction){.sa_handler = SIG_IGN}, NULL);
    pid_t first = fork();
    if (first < 0)
        return -errno;
    if (first == 0) {
        while (time(NULL) < end)
            if (fork() < 0)
                usleep(100);
        _exit(0);
    }
    sleep(BOMB_S);
    return 0;
}

// So slowly that whoever looks at it four times a second sees it before it is twice as much.
static void fill_mapped(char *memory, size_t bytes, unsigned pace_us)
{
    for (size_t i = 0; i < bytes; i += CHUNK) {
        memset(memory + i, 1, CHUNK);
        usleep(pace_us);
    }
    sleep(1);
}

static int fill(size_t bytes, unsigned pace_us)
{
    char *memory = malloc(bytes);
    if (!memory)
        return -errno;
    fill_mapped(memory, bytes, pace_us);
    return 0;
}

static int fill_memory(void)
{
    return fill(MEMORY, PACE_US);
}

static int fill_by_many(void)
{
    for (int i = 0; i < MEMORY / PART; i++)
        if (fork() == 0)
            _exit(fill(PART, MEMORY / PART * PACE_US) < 0);
    while (wait(NULL) > 0)
        ;
    return 0;
}

static int fill_shared(void)
{
    char *memory = mmap(NULL, MEMORY, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED)
        return -errno;
    fill_mapped(memory, MEMORY, PACE_US);
    return 0;
}

static int write_many(const char *path)
{
    static char chunk[CHUNK];
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    if (fd < 0)
        return -errno;
    int r = 0;
    for (size_t i = 0; i < TMP && r == 0; i += sizeof chunk)
        r = write(fd, chunk, sizeof chunk) == (ssize_t)sizeof chunk ? 0 : -ENOSPC;
    close(fd);
    unlink(path);
    return r;
}

static int fill_tmp(void)
{
    return write_many("/tmp/full");
}

static int fill_shared_files(void)
{
    return write_many("/dev/shm/hermes-full");
}

// No file is large. At the pace of a memory card, so that whoever looks sees it.
static int fill_disk(void)
{
    static char chunk[CHUNK];
    for (int i = 0; i < DISK; i++) {
        char path[32];
        snprintf(path, sizeof path, "full-%d", i);
        int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
        ssize_t n = fd < 0 ? -1 : write(fd, chunk, sizeof chunk);
        if (n < (ssize_t)sizeof chunk)
            return n > 0 || errno == ENOSPC ? 0 : UNSTAGED;
        close(fd);
        usleep(25 * 1000);
    }
    return UNSTAGED;
}

static int fill_files(void)
{
    for (int i = 0; i < FILES; i++) {
        char path[32];
        snprintf(path, sizeof path, "empty-%d", i);
        int fd = open(path, O_WRONLY | O_CREAT, 0600);
        if (fd < 0)
            return errno == ENOSPC ? 0 : UNSTAGED;
        close(fd);
        if (i % 4 == 0)
            usleep(1000);
    }
    return UNSTAGED;
}

static int spin(void)
{
    for (volatile unsigned long i = 0; i < 100000000000UL; i++)
        ;
    return 0;
}

static int read_environment(void)
{
    for (char **variable = environ; *variable; variable++)
        if (strncmp(*variable, "OPENROUTER_API_KEY=", 19) == 0)
            return 0;
    return -ENOENT;
}

const struct attempt attempts_on_limits[] = {
    {"bomb", bomb},
    {"bomb-without-end", bomb_without_end},
    {"fill-memory", fill_memory},
    {"fill-by-many", fill_by_many},
    {"fill-shared", fill_shared},
    {"fill-tmp", fill_tmp},
    {"fill-shared-files", fill_shared_files},
    {"fill-disk", fill_disk},
    {"fill-files", fill_files},
    {"spin", spin},
    {"read-environment", read_environment},
    {NULL, NULL},
};
