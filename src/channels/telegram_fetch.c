/*
 * What came with a message, fetched when the message's turn has come: getFile tells where a file
 * lies for an hour, and a GET brings it. That address holds the token, so it is part of no
 * sentence. What fails is tried again for a while, and without end where there is no way to
 * Telegram, as no answer could go out, either. What Telegram refuses, or what is not what it said,
 * is told to the model in place of the file.
 */
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/attachment.h"
#include "base/log.h"
#include "base/mem.h"
#include "channels/telegram_internal.h"
#include "channels/telegram_media.h"
#include "codec/document.h"
#include "codec/media.h"
#include "net/http_client.h"

enum {
    ATTEMPTS_MAX = 5,
    FIRST_WAIT_MS = 1000,
    MOST_WAIT_MS = 30 * 1000,
    CONNECT_MS = 15 * 1000,
    FIRST_BYTE_MS = 60 * 1000,
    IDLE_MS = 30 * 1000,
    TOTAL_MS = 10 * 60 * 1000,
    IMAGE_MAX = 3840 * 1024, // bytes, as a model's server takes them
    PATH_MAX_BYTES = 512,
    TELLING_MAX = 64 * 1024, // bytes
};

struct fetch {
    struct list link; // telegram::fetches
    struct telegram *telegram;
    uint64_t id;
    attachment_found_fn *done;
    void *of;
    struct document doc; // what the inbox says of it
    telegram_call_id call;
    http_id http;
    loop_id timer;
    int attempts, unreachable; // the latter are among the former, and not counted
    int status;
    int64_t size; // bytes, as Telegram says; -1: it does not
    struct buf body;
    char path[PATH_MAX_BYTES + 1]; // where it lies
    char trouble[TELEGRAM_ANSWER_TEXT_MAX];
};

static void ask_where(void *context);

static const char *said(struct fetch *fetch, const char *key)
{
    const char *text = node_text(node_get(document_root(&fetch->doc), key));
    return text ? text : "";
}

static void fetch_destroy(struct fetch *fetch)
{
    struct telegram *telegram = fetch->telegram;
    telegram_api_cancel(telegram, fetch->call);
    http_client_cancel(telegram->env.http, fetch->http);
    loop_cancel(telegram->env.loop, fetch->timer);
    list_remove(&fetch->link);
    buf_finish(&fetch->body);
    document_finish(&fetch->doc);
    free(fetch);
}

static void end(struct fetch *fetch, enum attachment_kind kind, const char *text)
{
    char name[TELEGRAM_FILE_TEXT_MAX + 32];
    const char *dot = strrchr(fetch->path, '.');
    snprintf(name, sizeof name, "%s", said(fetch, "name"));
    if (!*name)
        snprintf(name, sizeof name, "%.32s%.8s", said(fetch, "kind"), dot ? dot : "");
    struct attachment_found found = {kind, text, name, &fetch->body};
    list_remove(&fetch->link);
    list_init(&fetch->link);
    fetch->done(fetch->of, &found);
    fetch_destroy(fetch);
}

static void give_up(struct fetch *fetch, const char *why)
{
    char text[2 * TELEGRAM_ANSWER_TEXT_MAX];
    LOG_EVENT(LOG_WARNING, "telegram.unfetched", "", LOG_TEXT("kind", said(fetch, "kind")),
              LOG_TEXT("error", why));
    snprintf(text, sizeof text, "%.40s came with this; it could not be fetched: %.300s",
             said(fetch, "what"), why);
    end(fetch, ATTACHMENT_LOST, text);
}

static void try_again(struct fetch *fetch, const char *why, int64_t wait_ms)
{
    if (++fetch->attempts - fetch->unreachable >= ATTEMPTS_MAX) {
        give_up(fetch, why);
        return;
    }
    if (!wait_ms)
        wait_ms = telegram_backoff_jitter_ms(fetch->attempts, FIRST_WAIT_MS, MOST_WAIT_MS);
    fetch->timer = loop_timer_after(fetch->telegram->env.loop, wait_ms, ask_where, fetch);
}

static enum attachment_kind kind_of(struct fetch *fetch)
{
    struct span kind = span_of(said(fetch, "kind"));
    if (span_is(kind, "photo"))
        return ATTACHMENT_IMAGE;
    return span_is(kind, "voice") || span_is(kind, "audio") ? ATTACHMENT_SOUND : ATTACHMENT_FILE;
}

static void arrived(struct fetch *fetch)
{
    char text[128];
    enum attachment_kind kind = kind_of(fetch);
    const struct media_type *type = media_type_of(buf_span(&fetch->body));
    int64_t seconds = 0;
    int len = snprintf(text, sizeof text, "%.40s", said(fetch, "what"));
    if (node_int(node_get(document_root(&fetch->doc), "seconds"), &seconds) && seconds)
        snprintf(text + len, sizeof text - (size_t)len, " of %lld s", (long long)seconds);
    if (fetch->size >= 0 && (int64_t)fetch->body.len < fetch->size)
        try_again(fetch, "less of it came than Telegram says it has", 0);
    else if (kind == ATTACHMENT_IMAGE && (!type || !type->is_image))
        give_up(fetch, "it is no image that is known");
    else
        end(fetch, kind, text);
}

/* The file itself */

static void on_head(void *context, const struct http_head *head)
{
    struct fetch *fetch = context;
    fetch->status = head->status;
}

static int on_body(void *context, struct span chunk)
{
    struct fetch *fetch = context;
    return fetch->status != 200 || buf_append_span(&fetch->body, chunk) ? 0 : -EFBIG;
}

static void on_done(void *context, enum http_failure failure, const struct error *err)
{
    struct fetch *fetch = context;
    char why[64];
    fetch->http = 0;
    snprintf(why, sizeof why, "Telegram's server of files says %d", fetch->status);
    if (failure == HTTP_STOPPED)
        give_up(fetch, "it is too large");
    else if (failure != HTTP_OK) {
        snprintf(fetch->trouble, sizeof fetch->trouble, "%.*s", (int)sizeof fetch->trouble - 1,
                 err->text);
        telegram_redact(fetch->trouble, fetch->telegram->token);
        try_again(fetch, fetch->trouble, 0);
    } else if (fetch->status != 200) // 404 as well: it lies elsewhere by now
        try_again(fetch, why, 0);
    else
        arrived(fetch);
}

// It becomes part of an address.
static bool is_path(const char *path)
{
    size_t len = strlen(path);
    for (size_t i = 0; i < len; i++)
        if (!isalnum((unsigned char)path[i]) && !strchr("._-/", path[i]))
            return false;
    return len && len < PATH_MAX_BYTES && *path != '/' && !strstr(path, "..");
}

static void download(struct fetch *fetch, const char *path)
{
    static const struct http_handler handler = {on_head, on_body, on_done};
    struct telegram *telegram = fetch->telegram;
    struct error err = ERROR_INIT;
    size_t base = strlen(telegram->api) - strlen(telegram->token) - strlen("/bot/");
    CLEANUP(mem_cleanup)
    char *url = mem_printf("%.*s/file/bot%s/%s", (int)base, telegram->api, telegram->token, path);
    const struct http_request request = {
        .method = "GET",
        .url = url,
        .timeouts = {.connect = CONNECT_MS,
                     .first_byte = FIRST_BYTE_MS,
                     .idle = IDLE_MS,
                     .total = TOTAL_MS},
    };
    buf_finish(&fetch->body);
    buf_init(&fetch->body,
             kind_of(fetch) == ATTACHMENT_IMAGE ? IMAGE_MAX : (size_t)TELEGRAM_FILE_MAX);
    fetch->status = 0;
    if (http_client_start(telegram->env.http, &request, &handler, fetch, &fetch->http, &err) < 0)
        try_again(fetch, "the request could not be made", 0);
}

/* Where it lies */

static void on_where(void *context, const struct telegram_answer *answer)
{
    struct fetch *fetch = context;
    char *path = fetch->path;
    fetch->call = 0;
    *path = '\0';
    if (answer->outcome == TELEGRAM_OK) {
        BUF_AUTO text = BUF_INIT(PATH_MAX_BYTES);
        if (!json_int64(json_get(answer->result, "file_size"), &fetch->size))
            fetch->size = -1;
        if (json_string(json_get(answer->result, "file_path"), &text))
            snprintf(path, sizeof fetch->path, "%s", buf_text(&text));
        if (is_path(path))
            download(fetch, path);
        else
            give_up(fetch, "Telegram does not say where it lies");
    } else if (answer->outcome == TELEGRAM_REFUSED || answer->outcome == TELEGRAM_TOO_LONG) {
        give_up(fetch, answer->text);
    } else {
        fetch->unreachable += answer->outcome == TELEGRAM_UNREACHABLE;
        try_again(fetch, answer->text, answer->retry_after_ms);
    }
}

static void ask_where(void *context)
{
    struct fetch *fetch = context;
    fetch->timer = 0;
    int64_t size = 0;
    BUF_AUTO body = BUF_INIT(8 * TELEGRAM_FILE_TEXT_MAX);
    DOCUMENT_AUTO doc = DOCUMENT_INIT(DOCUMENT_SMALL);
    node_int(node_get(document_root(&fetch->doc), "size"), &size);
    if (!*said(fetch, "file") || size > TELEGRAM_FILE_MAX) {
        give_up(fetch, "it is too large: a bot may fetch 20 MB");
        return;
    }
    node_add_text(document_object(&doc), "file_id", said(fetch, "file"));
    document_print(&doc, &body, NULL);
    struct telegram_ask ask = {.method = "getFile", .body = buf_span(&body)};
    fetch->call = telegram_api_ask(fetch->telegram, &ask, on_where, fetch);
}

uint64_t telegram_fetch(void *context, struct span media, attachment_found_fn *done, void *of)
{
    struct telegram *telegram = context;
    struct fetch *fetch = mem_new(struct fetch);
    fetch->telegram = telegram;
    fetch->id = ++telegram->last_fetch;
    fetch->done = done;
    fetch->of = of;
    fetch->doc.memory_max = DOCUMENT_SMALL;
    document_read(&fetch->doc, media, NULL);
    list_append(&telegram->fetches, &fetch->link);
    fetch->timer = loop_defer(telegram->env.loop, ask_where, fetch);
    return fetch->id;
}

void telegram_fetch_leave(void *context, uint64_t id)
{
    struct telegram *telegram = context;
    list_for_each(link, &telegram->fetches) {
        struct fetch *fetch = list_entry(link, struct fetch, link);
        if (fetch->id == id) {
            fetch_destroy(fetch);
            return;
        }
    }
}

void telegram_fetch_stop(struct telegram *telegram)
{
    list_for_each(link, &telegram->fetches)
        fetch_destroy(list_entry(link, struct fetch, link));
}
