#include "channels/telegram_media.h"

#include "base/hash.h"
#include "base/mem.h"
#include "codec/document.h"

static const struct {
    const char *key, *what, *sense; // `sense` NULL: it is fetched
} media[] = {
    {"photo", "a photo", NULL},
    {"sticker", "a sticker", "seen"},
    {"voice", "a voice message", NULL},
    {"audio", "an audio file", NULL},
    {"animation", "an animation", NULL}, // is a document as well
    {"document", "a document", NULL},
    {"video", "a video", NULL},
    {"video_note", "a video message", NULL},
    {"location", "a location", "read"},
    {"contact", "a contact", "read"},
    {"poll", "a poll", "read"},
    {"story", "a story", "seen"},
    {"paid_media", "paid media", "seen"},
    {"dice", "a throw of dice", "seen"},
};

// The place of what there is in `media`; ARRAY_LEN(media): nothing.
static size_t find(struct json_value message)
{
    size_t i = 0;
    while (i < ARRAY_LEN(media) && json_type(json_get(message, media[i].key)) <= JSON_NULL)
        i++;
    return i;
}

void telegram_media_note(struct json_value message, struct buf *out)
{
    size_t i = find(message);
    if (i < ARRAY_LEN(media) && media[i].sense)
        buf_printf(out, "[%s came with this; it cannot be %s yet]", media[i].what, media[i].sense);
}

// The largest one that is not too large, else the first, which is the smallest.
static struct json_value choose_size(struct json_value sizes)
{
    struct json_iter it = json_iter_init(sizes);
    struct json_value size, chosen = {0};
    int64_t bytes, most = -1;
    while (json_iter_next(&it, NULL, &size)) {
        if (!json_int64(json_get(size, "file_size"), &bytes))
            bytes = 0;
        if (most < 0 || (bytes > most && bytes <= TELEGRAM_PHOTO_WANTED)) {
            chosen = size;
            most = bytes;
        }
    }
    return chosen;
}

static void copy(struct node out, const char *key, struct json_value value)
{
    BUF_AUTO text = BUF_INIT(TELEGRAM_FILE_TEXT_MAX);
    if (!json_string(value, &text) || text.len == 0)
        return;
    for (size_t i = 0; i < text.len; i++) // which no document holds
        if (text.data[i] == '\0')
            text.data[i] = ' ';
    node_add_string(out, key, buf_span(&text));
}

static void copy_number(struct node out, const char *key, struct json_value value)
{
    int64_t number;
    if (json_int64(value, &number) && number >= 0)
        node_add_int(out, key, number);
}

char *telegram_media_read(struct json_value message, uint64_t *ret_unique)
{
    BUF_AUTO text = BUF_INIT(TELEGRAM_MEDIA_MAX);
    BUF_AUTO unique = BUF_INIT(TELEGRAM_FILE_TEXT_MAX);
    DOCUMENT_AUTO doc = DOCUMENT_INIT(DOCUMENT_SMALL);
    size_t i = find(message);
    *ret_unique = 0;
    if (i == ARRAY_LEN(media) || media[i].sense)
        return NULL;
    struct json_value file = json_get(message, media[i].key);
    if (json_type(file) == JSON_ARRAY)
        file = choose_size(file);
    struct node out = document_object(&doc);
    node_add_text(out, "kind", media[i].key);
    node_add_text(out, "what", media[i].what);
    copy(out, "file", json_get(file, "file_id"));
    copy(out, "name", json_get(file, "file_name"));
    copy(out, "group", json_get(message, "media_group_id"));
    copy_number(out, "size", json_get(file, "file_size"));
    copy_number(out, "seconds", json_get(file, "duration"));
    if (json_string(json_get(file, "file_unique_id"), &unique))
        *ret_unique = hash_of(buf_span(&unique));
    return document_print(&doc, &text, NULL) < 0 ? NULL : buf_take_text(&text);
}
