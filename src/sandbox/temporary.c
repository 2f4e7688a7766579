#include "sandbox/temporary.h"

#include <ftw.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "base/mem.h"

enum { DEEP = 32 }; // descriptors

const char *temporary_place(void)
{
    const char *place = getenv("TMPDIR");
    return place && *place ? place : "/tmp";
}

char *temporary_make(void)
{
    char *path = mem_printf("%s/hermes-XXXXXX", temporary_place());
    if (mkdtemp(path))
        return path;
    free(path);
    return NULL;
}

// A walk does not get into a directory that its owner may not read, and removes nothing from one
// that may not be written; the next walk does both. Each is opened up once, so that they end.
static bool opened_up;

static int remove_one(const char *path, const struct stat *status, int kind, struct FTW *walk)
{
    (void)kind, (void)walk;
    if (remove(path) < 0 && S_ISDIR(status->st_mode) && (status->st_mode & S_IRWXU) != S_IRWXU)
        opened_up = chmod(path, S_IRWXU) == 0 || opened_up;
    return 0;
}

static int remove_inner(const char *path, const struct stat *status, int kind, struct FTW *walk)
{
    return walk->level ? remove_one(path, status, kind, walk) : 0;
}

static void walk_all(const char *path,
                     int (*handle)(const char *, const struct stat *, int, struct FTW *))
{
    do {
        opened_up = false;
        nftw(path, handle, DEEP, FTW_DEPTH | FTW_PHYS);
    } while (opened_up);
}

void temporary_remove(const char *path)
{
    if (path)
        walk_all(path, remove_one);
}

void temporary_clear(const char *path)
{
    walk_all(path, remove_inner);
}
