#include "channels/telegram_file.h"

#include <stdlib.h>
#include <string.h>

#include "base/fd.h"
#include "base/mem.h"
#include "base/random.h"
#include "codec/media.h"
#include "codec/multipart.h"
#include "net/http_client.h"

enum {
    PHOTO_MAX = 10 * 1000 * 1000, // bytes
    FORM_MAX = 8 * 1024,          // bytes around the file
    BYTES_PER_MS = 64,            // of a slow way up
};

struct telegram_file *telegram_file_create(struct span text)
{
    struct telegram_file *file = mem_new(struct telegram_file);
    struct span rest = text;
    span_cut(&rest, '\n');
    span_cut(&rest, '\n');
    file->what = span_make(text.data, text.len - rest.len - (text.len > rest.len));
    file->caption = rest;
    file->fd = -1;
    return file;
}

void telegram_file_destroy(struct telegram_file *file)
{
    if (!file)
        return;
    dispatcher_leave_file(file->opening);
    fd_close(&file->fd);
    buf_finish(&file->head);
    buf_finish(&file->tail);
    free(file->type);
    free(file);
}

struct span telegram_file_path(const struct telegram_file *file)
{
    struct span path = file->what;
    span_cut(&path, '\n');
    return path;
}

void telegram_file_take(struct telegram_file *file, int fd, int64_t size, struct span first)
{
    const struct media_type *type = media_type_of(first);
    file->fd = fd;
    file->size = (size_t)size;
    file->is_image = type && type->is_image &&
                     !span_is(span_of(media_type_word(type)), "gif"); // one picture would be left
}

bool telegram_file_is_photo(const struct telegram_file *file)
{
    return file->is_image && !file->as_document && file->size <= PHOTO_MAX;
}

static void add_text(struct buf *form, const char *boundary, const char *name, struct span text)
{
    if (text.len)
        multipart_field(form, boundary, name, text);
}

telegram_call_id telegram_file_send(struct telegram *telegram, struct telegram_file *file,
                                    struct telegram_place place, telegram_answer_fn *fn,
                                    void *context)
{
    char boundary[33];
    bool photo = telegram_file_is_photo(file);
    struct span name = telegram_file_path(file);
    while (memchr(name.data, '/', name.len))
        span_cut(&name, '/');
    random_hex(boundary, sizeof boundary);
    buf_finish(&file->head);
    buf_finish(&file->tail);
    buf_init(&file->head, FORM_MAX);
    buf_init(&file->tail, FORM_MAX);
    free(file->type);
    file->type = mem_printf("Content-Type: multipart/form-data; boundary=%s", boundary);
    add_text(&file->head, boundary, "chat_id", span_of(place.chat));
    add_text(&file->head, boundary, "message_thread_id", span_of(place.thread));
    add_text(&file->head, boundary, "caption", file->caption);
    multipart_file(&file->head, boundary, photo ? "photo" : "document", name);
    multipart_end(&file->tail, boundary);
    const struct span around[] = {buf_span(&file->head), buf_span(&file->tail)};
    const struct http_file between = {.fd = file->fd, .len = file->size, .after = 1};
    struct telegram_ask ask = {
        .method = photo ? "sendPhoto" : "sendDocument",
        .type = file->type,
        .parts = around,
        .part_count = ARRAY_LEN(around),
        .file = &between,
        .first_byte_ms = TELEGRAM_FIRST_BYTE_MS + (int64_t)file->size / BYTES_PER_MS,
        .once = true,
    };
    return telegram_api_ask(telegram, &ask, fn, context);
}
