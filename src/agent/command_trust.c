#include <stdlib.h>

#include "agent/command_word.h"
#include "agent/commands.h"
#include "base/clock.h"
#include "base/mem.h"
#include "codec/utf8.h"
#include "tools/toolbox.h"

// /trust: what is marked, and that somebody vouches for one of these things as it is now.

enum { SHOWN_MAX = 30 }; // marks

// Strangers choose these names: one stays in its line.
static void tell_name(const struct listed_mark *listed, struct buf *out)
{
    struct span name = span_of(mark_list_name(listed));
    size_t begin = out->len;
    if (listed->mark.taint.kind == STORE_TAINT_FILE)
        utf8_sanitize(name, out);
    else
        agent_session_title(name, out);
    for (size_t i = begin; i < out->len; i++)
        if ((unsigned char)out->data[i] < ' ' || out->data[i] == 0x7f)
            out->data[i] = '?';
}

static void tell_mark(const struct listed_mark *listed, struct buf *out)
{
    char when[CLOCK_TEXT_SIZE];
    const struct store_mark *mark = &listed->mark;
    bool is_file = mark->taint.kind == STORE_TAINT_FILE;
    buf_printf(out, "%s ", store_taint_words[mark->taint.kind]);
    tell_name(listed, out);
    buf_printf(out, ", marked %s", clock_format_utc(mark->marked_ms, when));
    if (mark->why.len)
        buf_printf(out, " (%s)", mark->why.data);
    if (listed->gone)
        buf_append_text(out, ", is gone or out of reach");
    else if (is_file)
        buf_printf(out, ", last changed %s, %lld bytes", clock_format_utc(listed->changed_ms, when),
                   (long long)listed->size);
}

static void tell_all(const struct mark_list *list, struct buf *out)
{
    if (list->count == 0)
        buf_append_text(out, "Nothing is marked.");
    for (size_t i = 0; i < list->count && i < SHOWN_MAX; i++) {
        buf_printf(out, "%s: ", list->all[i].id);
        tell_mark(&list->all[i], out);
        buf_append_char(out, '\n');
    }
    if (list->count > SHOWN_MAX)
        buf_printf(out, "and %zu more (hermes taint list shows them)\n", list->count - SHOWN_MAX);
    if (list->count)
        buf_append_text(out, "/trust ID lifts a mark while all is as it is shown here.");
    if (list->file_count)
        buf_printf(out, " %s means all %zu files.", list->files_id, list->file_count);
}

int command_trust(const struct conversation *conversation, struct span rest,
                  struct command_effect *effect, struct error *err)
{
    struct span word = span_trim(rest);
    const struct agent_env *env = agent_env(conversation->host->agent);
    int r = mark_list_read(store_view(conversation->host->store),
                           toolbox_env(env->toolbox)->workspace, &effect->marks, err);
    if (r < 0 || word.len == 0) {
        if (r == 0)
            tell_all(&effect->marks, &effect->reply);
        return r;
    }
    if (effect->passed_on) { // its words are somebody else's
        buf_append_text(&effect->reply, "Nothing was lifted: type this yourself, without a quote.");
        return 0;
    }
    CLEANUP(mem_cleanup)
    char *by = mem_printf("%s %s %s", conversation->channel, conversation->chat, effect->sender);
    size_t count = mark_list_lift(&effect->marks, word, by, &effect->lifted);
    if (count == 0) {
        buf_append_text(
            &effect->reply,
            "Nothing was lifted: no file of this path is marked, and no mark has this id "
            "any more, as is so when what it marks has changed. /trust lists them.");
        return 0;
    }
    effect->settlement.lifted = effect->lifted;
    effect->settlement.lifted_count = count;
    effect->changes = true;
    buf_append_text(&effect->reply, "You vouch for what is there now:");
    for (size_t i = 0; i < effect->marks.count; i++)
        if (mark_list_means(&effect->marks, &effect->marks.all[i], word)) {
            buf_append_char(&effect->reply, '\n');
            tell_mark(&effect->marks.all[i], &effect->reply);
        }
    return 0;
}
