#include "tools/cgroup.h"

#include <string.h>

#include "base/fd.h"
#include "base/mem.h"

enum { TEXT_MAX = 4096 }; // bytes

static int64_t read_limit(const char *root, const char *group)
{
    CLEANUP(mem_cleanup) char *path = mem_printf("%s%s/memory.max", root, group);
    BUF_AUTO text = BUF_INIT(TEXT_MAX);
    int64_t limit; // "max" where there is none
    return fd_read_file(path, &text, NULL) == 0 && span_to_i64(span_trim(buf_span(&text)), &limit)
               ? limit
               : INT64_MAX;
}

int64_t cgroup_memory_max(const char *own, const char *root)
{
    BUF_AUTO text = BUF_INIT(TEXT_MAX);
    fd_read_file(own, &text, NULL);
    struct span lines = buf_span(&text), line = SPAN_LITERAL("0::/");
    while (lines.len) {
        struct span next = span_cut(&lines, '\n');
        line = span_starts_with(next, "0::/") ? next : line;
    }
    line = span_skip(line, sizeof "0::" - 1);
    CLEANUP(mem_cleanup) char *group = mem_strndup(line.data, line.len);
    int64_t least = read_limit(root, "");
    for (char *slash; (slash = strrchr(group, '/')); *slash = '\0') {
        int64_t limit = read_limit(root, group);
        least = limit < least ? limit : least;
    }
    return least;
}
