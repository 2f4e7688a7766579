#include "agent/prompt.h"

#include <stdio.h>

#include "agent/agent.h"
#include "agent/memory_block.h"
#include "base/fd.h"
#include "base/mem.h"
#include "codec/entries.h"
#include "codec/utf8.h"

static const char default_identity[] =
    "You are Hermes, a private assistant on your owner's own machine. Be brief, exact and "
    "frank; say what you do not know.";

static const char tool_rules[] =
    "\n\nFiles: only your workspace, by relative paths. Before you say that something was done, "
    "do it with a tool and look at the result. What must outlive this conversation goes to "
    "remember (through call_tool, as all that is not listed); look with recall before you ask "
    "again.";

static bool append_soul(const char *home, struct buf *out)
{
    CLEANUP(mem_cleanup) char *path = mem_printf("%s/SOUL.md", home);
    BUF_AUTO file = BUF_INIT(4 * SOUL_CHARACTERS_MAX + 4);
    int r = fd_read_file(path, &file, NULL);
    struct span text = span_trim(buf_span(&file));
    if ((r < 0 && file.len == 0) || text.len == 0)
        return false;
    size_t shown = entries_cut(text, SOUL_CHARACTERS_MAX);
    utf8_sanitize(span_make(text.data, shown), out);
    if (shown < text.len || r < 0)
        buf_append_text(out, "\n[SOUL.md is longer; the rest is not shown]");
    return true;
}

static const char *append_identity(const struct agent_config *config, const char *home,
                                   struct buf *out)
{
    if (config->system_prompt && *config->system_prompt) {
        utf8_sanitize(span_of(config->system_prompt), out);
        return "config";
    }
    if (append_soul(home, out))
        return "SOUL.md";
    buf_append_text(out, default_identity);
    return "default";
}

void prompt_build_parts(const struct agent_config *config, const struct memory_config *memory,
                        const char *home, struct buf *out, struct prompt_parts *ret_parts)
{
    size_t begin = out->len;
    ret_parts->identity = append_identity(config, home, out);
    ret_parts->bytes[PROMPT_IDENTITY] = out->len - begin;
    for (int part = PROMPT_RULES; part < PROMPT_PARTS; part++) {
        begin = out->len;
        if (part == PROMPT_RULES)
            buf_append_text(out, tool_rules);
        else if (memory)
            memory_block_append_file(memory, home, part == PROMPT_USER ? MEMORY_USER : MEMORY_NOTES,
                                     out);
        ret_parts->bytes[part] = out->len - begin;
    }
}

void prompt_build(const struct agent_config *config, const struct memory_config *memory,
                  const char *home, struct buf *out)
{
    struct prompt_parts parts;
    prompt_build_parts(config, memory, home, out, &parts);
}
