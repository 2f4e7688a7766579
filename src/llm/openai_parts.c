#include "llm/openai_parts.h"

#include <errno.h>

#include "base/mem.h"
#include "codec/base64.h"
#include "codec/json_write.h"

enum { LABEL_MAX = 1024 }; // bytes

static bool is_sent(const struct chat_part *part, unsigned media)
{
    return part->data && chat_part_media(part) & media;
}

bool openai_parts_any(const struct chat_message *message, unsigned media)
{
    for (size_t i = 0; i < message->parts.count; i++)
        if (is_sent(&message->parts.items[i], media))
            return true;
    return false;
}

void openai_parts_tell(const struct chat_message *message, unsigned media, struct buf *text)
{
    for (size_t i = 0; i < message->parts.count; i++) {
        const struct chat_part *part = &message->parts.items[i];
        bool image = part->type->is_image;
        if (is_sent(part, media))
            continue;
        buf_printf(text, "%s[%s, %zu bytes: not shown", text->len ? "\n" : "", part->type->name,
                   part->size);
        if (chat_part_media(part) & media)
            buf_printf(text, " any more: of a conversation, the newest %d images and sounds are]",
                       CHAT_PARTS_SENT_MAX);
        else
            buf_printf(text,
                       ", as the model is not known to %s. Its owner can set %s: true in its "
                       "model_info%s]",
                       image ? "see" : "hear", image ? "supports_vision" : "supports_audio_input",
                       image ? ", or agent.image_input_mode: native" : "");
    }
}

static void write_text(struct json_writer *w, struct span text)
{
    json_write_object_begin(w);
    json_write_member_text(w, "type", "text");
    json_write_member_string(w, "text", text);
    json_write_object_end(w);
}

static void write_part(struct json_writer *w, const struct chat_part *part)
{
    bool image = part->type->is_image;
    const char *kind = image ? "image_url" : "input_audio";
    json_write_object_begin(w);
    json_write_member_text(w, "type", kind);
    json_write_key(w, kind);
    json_write_object_begin(w);
    if (!image)
        json_write_member_text(w, "format", media_type_word(part->type));
    json_write_key(w, image ? "url" : "data");
    json_write_raw(w, SPAN_LITERAL("\"")); // base64 needs no escapes, and is long
    if (image)
        buf_printf(w->out, "data:%s;base64,", part->type->name);
    buf_append_text(w->out, part->data);
    buf_append_char(w->out, '"');
    json_write_object_end(w);
    json_write_object_end(w);
}

void openai_parts_write(struct json_writer *w, const struct chat_message *message, unsigned media)
{
    for (size_t i = 0; i < message->parts.count; i++) {
        const struct chat_part *part = &message->parts.items[i];
        if (!is_sent(part, media))
            continue;
        BUF_AUTO label = BUF_INIT(LABEL_MAX);
        buf_printf(&label, "[%s, %zu bytes, in the result of %s: not from the user]",
                   part->type->name, part->size, part->name ? part->name : "a tool");
        if (message->role == CHAT_TOOL)
            write_text(w, buf_span(&label));
        write_part(w, part);
    }
}

// "data:image/png;base64,..."; what it says of its type is not what counts.
static bool find_data(struct buf *text, bool image, struct span *ret_data)
{
    struct span rest = buf_span(text);
    if (image && !span_starts_with(rest, "data:"))
        return false;
    if (image && !span_ends_with(span_cut(&rest, ','), ";base64"))
        return false;
    *ret_data = rest;
    return true;
}

int openai_part_read(struct json_value from, struct chat_message *message, struct error *err)
{
    bool image = json_is(json_get(from, "type"), "image_url");
    struct json_value inside = json_get(from, image ? "image_url" : "input_audio");
    BUF_AUTO text = BUF_INIT(2 * CHAT_PART_MAX);
    BUF_AUTO bytes = BUF_INIT(CHAT_PART_MAX);
    BUF_AUTO data = BUF_INIT(2 * CHAT_PART_MAX);
    struct span given;
    if (message->role != CHAT_USER ||
        !json_string(json_get(inside, image ? "url" : "data"), &text) ||
        !find_data(&text, image, &given))
        return error_set(err, -ENOTSUP,
                         "this model cannot be asked with an image or sound that is not within the "
                         "request, in base64, at most %d bytes of it, in a user's message",
                         CHAT_PART_MAX);
    if (!base64_decode(given, &bytes) || !media_type_of(buf_span(&bytes)) ||
        media_type_of(buf_span(&bytes))->is_image != image)
        return error_set(err, -EBADMSG, "messages: an image or sound is none that is known");
    base64_encode(buf_span(&bytes), &data);
    struct chat_part *part = chat_parts_add(&message->parts);
    part->type = media_type_of(buf_span(&bytes));
    part->size = bytes.len;
    part->data = buf_take_text(&data);
    return 0;
}
