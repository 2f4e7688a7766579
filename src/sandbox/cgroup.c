#include "sandbox/cgroup.h"

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

// The path of the group itself, as its mount has it: "" or "/a/b".
static char *read_group(const char *own)
{
    BUF_AUTO text = BUF_INIT(TEXT_MAX);
    fd_read_file(own, &text, NULL);
    struct span lines = buf_span(&text), line = SPAN_LITERAL("0::/");
    while (lines.len) {
        struct span next = span_cut(&lines, '\n');
        line = span_starts_with(next, "0::/") ? next : line;
    }
    line = span_skip(line, sizeof "0::" - 1);
    return mem_strndup(line.data, line.len);
}

int64_t cgroup_memory_max(const char *own, const char *root)
{
    CLEANUP(mem_cleanup) char *group = read_group(own);
    int64_t least = read_limit(root, "");
    for (char *slash; (slash = strrchr(group, '/')); *slash = '\0') {
        int64_t limit = read_limit(root, group);
        least = limit < least ? limit : least;
    }
    return least;
}

int64_t cgroup_oom_kills(const char *own, const char *root)
{
    CLEANUP(mem_cleanup) char *group = read_group(own);
    CLEANUP(mem_cleanup) char *path = mem_printf("%s%s/memory.events", root, group);
    BUF_AUTO text = BUF_INIT(TEXT_MAX);
    fd_read_file(path, &text, NULL);
    struct span lines = buf_span(&text);
    int64_t count = 0;
    while (lines.len) {
        struct span line = span_cut(&lines, '\n');
        if (span_is(span_cut(&line, ' '), "oom_kill"))
            span_to_i64(line, &count);
    }
    return count;
}
