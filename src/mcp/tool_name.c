#include "mcp/tool_name.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "codec/sha256.h"

enum {
    HASH_SHOWN = 8, // hex digits
    TAIL_MAX = 16,  // bytes behind the hash, since names often differ at their end
};

void mcp_tool_name(const char *server, struct span tool, char name[TOOL_NAME_MAX + 1])
{
    CLEANUP(mem_cleanup)
    char *whole = mem_printf("mcp__%s__%.*s", server, (int)tool.len, tool.data);
    size_t len = strlen(whole);
    bool changed = len > TOOL_NAME_MAX || len < tool.len;
    for (size_t i = 0; i < len; i++)
        if (!isalnum((unsigned char)whole[i]) && whole[i] != '_' && whole[i] != '-') {
            changed = true;
            whole[i] = '_';
        }
    if (!changed) {
        memcpy(name, whole, len + 1);
        return;
    }
    struct sha256 hash;
    char hex[SHA256_HEX_SIZE];
    sha256_init(&hash);
    sha256_add(&hash, tool);
    sha256_end_hex(&hash, hex);
    size_t head = TOOL_NAME_MAX - HASH_SHOWN - 2 - TAIL_MAX;
    if (len <= TOOL_NAME_MAX - HASH_SHOWN - 1)
        snprintf(name, TOOL_NAME_MAX + 1, "%s_%.*s", whole, HASH_SHOWN, hex);
    else
        snprintf(name, TOOL_NAME_MAX + 1, "%.*s_%.*s_%s", (int)head, whole, HASH_SHOWN, hex,
                 whole + len - TAIL_MAX);
}
