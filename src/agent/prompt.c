#include "agent/prompt.h"

#include <stdio.h>

#include "agent/agent.h"
#include "base/fd.h"
#include "base/mem.h"
#include "codec/utf8.h"

static const char default_identity[] =
    "You are Hermes, a private assistant on your owner's own machine. Be brief, exact and "
    "frank; say what you do not know.";

static const char tool_rules[] =
    "\n\nFiles: only your workspace, by relative paths. Before you say that something was done, "
    "do it with a tool and look at the result. What must outlive this conversation goes to "
    "remember; look with recall before you ask again.";

static size_t first_characters(struct span text, size_t count)
{
    size_t at = 0;
    uint32_t rune;
    while (count-- && at < text.len)
        at += utf8_decode(span_skip(text, at), &rune);
    return at;
}

static bool append_soul(const char *home, struct buf *out)
{
    CLEANUP(mem_cleanup) char *path = mem_printf("%s/SOUL.md", home);
    BUF_AUTO file = BUF_INIT(4 * SOUL_CHARACTERS_MAX + 4);
    int r = fd_read_file(path, &file, NULL);
    struct span text = span_trim(buf_span(&file));
    if ((r < 0 && file.len == 0) || text.len == 0)
        return false;
    size_t shown = first_characters(text, SOUL_CHARACTERS_MAX);
    utf8_sanitize(span_make(text.data, shown), out);
    if (shown < text.len || r < 0)
        buf_append_text(out, "\n[SOUL.md is longer; the rest is not shown]");
    return true;
}

void prompt_build(const struct agent_config *config, const char *home, struct buf *out)
{
    if (config->system_prompt && *config->system_prompt)
        utf8_sanitize(span_of(config->system_prompt), out);
    else if (!append_soul(home, out))
        buf_append_text(out, default_identity);
    buf_append_text(out, tool_rules);
}
