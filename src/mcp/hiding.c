#include "mcp/hiding.h"

#include <stdlib.h>

#include "base/mem.h"
#include "sandbox/namespaces.h"

static int work(int directory_fd, struct span input, struct buf *out, struct error *err)
{
    char *paths[MCP_HIDDEN_MAX + 2] = {0}; // up to NULL
    for (size_t i = 0; i <= MCP_HIDDEN_MAX && input.len; i++) {
        struct span line = span_cut(&input, '\n');
        paths[i] = mem_strndup(line.data, line.len);
    }
    int r = namespaces_hide_probe((const char *const *)paths + 1, paths[0], err);
    for (size_t i = 0; paths[i]; i++)
        free(paths[i]);
    return r;
}

const struct process_function mcp_hiding_function = {
    .name = "mcp_hiding", .run = work, .answer_max = 1024};
