#include "tools/directory.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "base/fd.h"
#include "base/mem.h"

void directory_finish(struct directory *directory)
{
    for (size_t i = 0; i < directory->count; i++)
        free(directory->names[i]);
    free(directory->names);
    *directory = (struct directory){0};
}

static int by_bytes(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

int directory_read(int fd, struct directory *ret_directory, struct error *err)
{
    FD_AUTO readable = openat(fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *stream = readable < 0 ? NULL : fdopendir(readable);
    if (!stream)
        return error_errno(err, errno, "cannot list the directory");
    readable = -1;

    struct directory found = {0};
    struct dirent *entry;
    while ((entry = readdir(stream))) {
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
            continue;
        if (found.count == DIRECTORY_NAMES_MAX) {
            found.more = true;
            break;
        }
        found.names = mem_grow(found.names, found.count, &found.capacity, sizeof *found.names);
        found.names[found.count++] = mem_strdup(entry->d_name);
    }
    closedir(stream);
    if (found.count)
        qsort(found.names, found.count, sizeof *found.names, by_bytes);
    *ret_directory = found;
    return 0;
}
