#include "agent/prompt.h"

#include <stdio.h>
#include <string.h>

#include "agent/agent.h"
#include "agent/memory_block.h"
#include "agent/skill_block.h"
#include "base/fd.h"
#include "base/mem.h"
#include "codec/entries.h"
#include "codec/utf8.h"

static const char default_identity[] =
    "You are Hermes, a private assistant on your owner's machine. Be brief, exact and "
    "frank; say what you do not know.";

static const char tool_rules[] =
    "\n\nFiles: only your workspace, by relative paths. Act by tools; look at the result before "
    "you call it done. What must last goes to remember; try recall before you ask again (both by "
    "call_tool, as all that is not listed).";

// English is what everybody's configuration says, and is no wish.
static void append_language(const char *language, struct buf *out)
{
    if (!language || !*language || strcmp(language, "en") == 0)
        return;
    buf_append_text(out, "\n\nAnswer in this language unless you are asked in another one: ");
    utf8_sanitize(span_of(language), out);
}

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
                        struct skills *skills, const char *home, struct buf *out,
                        struct prompt_parts *ret_parts)
{
    size_t begin = out->len;
    ret_parts->identity = append_identity(config, home, out);
    ret_parts->bytes[PROMPT_IDENTITY] = out->len - begin;
    for (int part = PROMPT_RULES; part < PROMPT_PARTS; part++) {
        begin = out->len;
        if (part == PROMPT_RULES) {
            buf_append_text(out, tool_rules);
            append_language(config->language, out);
        } else if (part == PROMPT_SKILLS) {
            skill_block_append(skills, out);
        } else if (memory) {
            memory_block_append_file(memory, home, part == PROMPT_USER ? MEMORY_USER : MEMORY_NOTES,
                                     out);
        }
        ret_parts->bytes[part] = out->len - begin;
    }
}

void prompt_build(const struct agent_config *config, const struct memory_config *memory,
                  struct skills *skills, const char *home, struct buf *out)
{
    struct prompt_parts parts;
    prompt_build_parts(config, memory, skills, home, out, &parts);
}
