#include <errno.h>
#include <string.h>

#include "agent/skill_block.h"
#include "base/mem.h"
#include "codec/document.h"
#include "daemon/owner.h"
#include "daemon/replay.h"
#include "daemon/settings.h"

enum {
    SESSION_MAX = 64 << 20,        // bytes of what the owner tells
    TREE_MAX = 4 * REPLAY_FILE_MAX // bytes of memory
};

static const char *text_of(struct node node)
{
    const char *text = node_text(node);
    return text ? text : "";
}

static bool is_of(struct node message, const char *turn)
{
    return node_is(node_get(message, "turn"), turn);
}

// The results stand behind the message with the calls, in their order.
static void add_step(struct node steps, struct node message)
{
    struct node step = node_add_object(steps, NULL), call, result = node_next(message);
    node_add_text(step, "text", text_of(node_get(message, "content")));
    call = node_first(node_get(message, "tool_calls"));
    if (node_type(call) == JSON_ABSENT)
        return;
    struct node calls = node_add_array(step, "calls");
    for (; node_type(call) != JSON_ABSENT; call = node_next(call)) {
        struct node item = node_add_object(calls, NULL);
        node_add_text(item, "name", text_of(node_get(call, "name")));
        node_add_text(item, "arguments", text_of(node_get(call, "arguments")));
        if (node_is(node_get(result, "role"), "tool")) {
            node_add_text(item, "result", text_of(node_get(result, "content")));
            result = node_next(result);
        }
    }
}

static int write_turn(struct node messages, const char *turn, struct buf *out, struct error *err)
{
    DOCUMENT_AUTO doc = DOCUMENT_INIT(TREE_MAX);
    struct node root = document_object(&doc), steps = NODE_ABSENT;
    node_add_int(root, "hermes_recording", 1);
    for (struct node m = node_first(messages); node_type(m) != JSON_ABSENT; m = node_next(m)) {
        struct node role = node_get(m, "role");
        if (!is_of(m, turn))
            continue;
        if (node_is(role, "user") && node_type(steps) == JSON_ABSENT) {
            struct span said = span_of(text_of(node_get(m, "content")));
            struct span typed = skill_command_typed(said);
            node_add_string(root, "question", typed);
            if (typed.len < said.len)
                node_add_string(root, "sent", said);
            steps = node_add_array(root, "steps");
        } else if (node_is(role, "assistant")) {
            add_step(steps, m);
        }
    }
    if (node_type(node_first(steps)) == JSON_ABSENT)
        return error_set(err, -ENOENT, "there is no such turn that was answered");
    int r = document_print(&doc, out, err);
    buf_append_char(out, '\n');
    return r;
}

int replay_record(const struct arguments *arguments, const char *session, const char *turn,
                  struct buf *out, struct error *err)
{
    CLEANUP(mem_cleanup) char *home = NULL;
    CLEANUP(mem_cleanup) char *path = mem_printf("/sessions/%s", session);
    BUF_AUTO body = BUF_INIT(SESSION_MAX);
    JSON_AUTO values = JSON_INIT;
    DOCUMENT_AUTO doc = DOCUMENT_INIT(SESSION_MAX);
    struct owner_question question = {.method = "GET", .path = path};
    int r = settings_find_home(arguments, &home, err);
    if (r == 0)
        r = owner_ask(home, &question, &body, &values, err);
    if (r == 0)
        r = document_read(&doc, buf_span(&body), err);
    if (r < 0)
        return r;
    struct node messages = node_get(document_root(&doc), "messages"), m = node_first(messages);
    const char *last = "";
    for (; !turn && node_type(m) != JSON_ABSENT; m = node_next(m))
        last = text_of(node_get(m, "turn"));
    return write_turn(messages, turn ? turn : last, out, err);
}
