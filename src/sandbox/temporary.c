#include "sandbox/temporary.h"

#include <ftw.h>
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

static int remove_one(const char *path, const struct stat *status, int kind, struct FTW *walk)
{
    (void)status, (void)walk;
    if (kind == FTW_DNR)
        chmod(path, S_IRWXU);
    remove(path);
    return 0;
}

static int remove_inner(const char *path, const struct stat *status, int kind, struct FTW *walk)
{
    return walk->level ? remove_one(path, status, kind, walk) : 0;
}

void temporary_remove(const char *path)
{
    if (path)
        nftw(path, remove_one, DEEP, FTW_DEPTH | FTW_PHYS);
}

void temporary_clear(const char *path)
{
    nftw(path, remove_inner, DEEP, FTW_DEPTH | FTW_PHYS);
}
