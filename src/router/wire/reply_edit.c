#include "router/wire/reply_edit.h"

#include <stdio.h>

#include "codec/json_write.h"
#include "codec/utf8.h"

enum { STATUS_TEXT_MAX = 16 };

static void write_message(struct json_writer *w, const struct error_body *error)
{
    struct span message = error->message;
    if (message.len > ERROR_BODY_MAX) {
        message.len = ERROR_BODY_MAX;
        message.len -= utf8_incomplete_tail(message);
    }
    if (!error->name || span_starts_with(message, "litellm.")) { // from a LiteLLM behind us
        json_write_string(w, message);
        return;
    }
    BUF_AUTO text = BUF_INIT(ERROR_BODY_MAX + 256);
    buf_printf(&text, "litellm.%s: ", error->name);
    buf_append_span(&text, message);
    json_write_string(w, buf_span(&text));
}

bool error_body_write(struct buf *out, const struct error_body *error)
{
    size_t before = out->len;
    char status[STATUS_TEXT_MAX];
    snprintf(status, sizeof status, "%d", error->status);
    struct json_writer w;
    json_writer_init(&w, out);
    json_write_object_begin(&w);
    json_write_key(&w, "error");
    json_write_object_begin(&w);
    json_write_key(&w, "message");
    write_message(&w, error);
    json_write_member_text(&w, "type", error->type);
    json_write_member_text(&w, "param", error->param);
    json_write_member_text(&w, "code", status);
    json_write_object_end(&w);
    json_write_object_end(&w);
    if (json_write_done(&w))
        return true;
    buf_truncate(out, before);
    return false;
}

bool reply_edit_error(struct buf *out, const struct error_body *error, bool torn)
{
    size_t before = out->len;
    // The half that went out before becomes an event of its own, which no reader takes for whole.
    if ((!torn || buf_append_text(out, "\n\n")) && buf_append_text(out, "data: ") &&
        error_body_write(out, error) && buf_append_text(out, "\n\n"))
        return true;
    buf_truncate(out, before);
    return false;
}
