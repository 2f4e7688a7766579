#include "support/samples.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#include "base/fd.h"

enum { SAMPLE_MAX = 1 << 20, PATH_SIZE = 4096 }; // bytes

static bool read_upwards(const char *from, const char *name, struct buf *out)
{
    char directory[PATH_SIZE], path[2 * PATH_SIZE];
    snprintf(directory, sizeof directory, "%s", from);
    for (char *slash; (slash = strrchr(directory, '/'));) {
        snprintf(path, sizeof path, "%s/tests/unit/samples/%s", directory, name);
        if (access(path, R_OK) == 0)
            return fd_read_file(path, out, NULL) == 0;
        *slash = '\0';
    }
    return false;
}

static void find(const char *name, struct buf *out)
{
    char here[PATH_SIZE] = "", program[PATH_SIZE] = "", path[PATH_SIZE];
    const char *directory = getenv("HERMES_TEST_SAMPLES");
    buf_init(out, SAMPLE_MAX);
    snprintf(path, sizeof path, "%s/%s", directory ? directory : "", name);
    if (directory && fd_read_file(path, out, NULL) == 0)
        return;
    bool found = getcwd(here, sizeof here) && read_upwards(here, name, out);
    ssize_t n = found ? 0 : readlink("/proc/self/exe", program, sizeof program - 1);
    if (!found && (n < 0 || !read_upwards(program, name, out)))
        fail_msg("the sample %s was not found; HERMES_TEST_SAMPLES may name its directory", name);
}

void sample_read(const char *name, struct buf *out)
{
    find(name, out);
    if (span_ends_with(span_of(name), ".sse"))
        buf_append_char(out, '\n');
}
