#include <inttypes.h>
#include <stdio.h>

#include "base/clock.h"
#include "base/fd.h"
#include "channels/pairing_file.h"
#include "codec/entries.h"
#include "codec/utf8.h"

enum {
    TEXT_MAX = 1024,           // bytes of one id or name
    LIST_MEMORY_MAX = 4 << 20, // bytes of the list as JSON is built
};

struct request {
    char id[TEXT_MAX], user[TEXT_MAX], name[TEXT_MAX];
    int64_t at_ms; // asked or approved; 0: not known
};

// A stranger chose his name, and it is not trusted with the terminal.
static void copy_clean(struct json_value value, char *out)
{
    BUF_AUTO text = BUF_INIT(TEXT_MAX / UTF8_BYTES_MAX);
    size_t len = 0;
    uint32_t rune;
    if (json_type(value) == JSON_STRING)
        json_string(value, &text);
    else
        buf_append_span(&text, json_raw(value));
    for (size_t at = 0; at < text.len;) {
        struct span rest = span_skip(buf_span(&text), at);
        size_t bytes = utf8_decode(rest, &rune);
        bool hidden = rune < ' ' || entries_find_hidden(span_make(rest.data, bytes), &rune);
        len += utf8_encode(hidden ? '?' : rune, out + len);
        at += bytes;
    }
    out[len] = '\0';
}

static bool next(const struct pairing *pairing, struct json_iter *it, bool approved,
                 struct request *ret_request)
{
    struct json_value key, entry;
    while (json_iter_next(it, &key, &entry)) {
        if (!approved && !pairing_is_live(pairing, entry))
            continue;
        if (!pairing_time(json_get(entry, approved ? "approved_at" : "created_at"),
                          &ret_request->at_ms))
            ret_request->at_ms = 0;
        copy_clean(key, ret_request->id);
        copy_clean(approved ? key : json_get(entry, "user_id"), ret_request->user);
        copy_clean(json_get(entry, "user_name"), ret_request->name);
        return true;
    }
    return false;
}

static void append_pending(const struct pairing *pairing, const struct pairing_file *pending,
                           struct buf *out)
{
    struct json_iter it = json_iter_init(json_root(&pending->doc));
    struct request request;
    bool any = false;
    while (next(pairing, &it, false, &request)) {
        if (!any)
            buf_printf(out, "%-16s  %-10s  %-14s  %s\n", "WAITING", "ASKED", "USER", "NAME");
        any = true;
        int64_t minutes = (clock_wall_ms(pairing->clock) - request.at_ms) / 60000;
        buf_printf(out, "%-16s  %3" PRId64 " min     %-14s  %s\n", request.id,
                   minutes > 0 ? minutes : 0, request.user, request.name);
    }
    if (any)
        buf_printf(out,
                   "To approve: hermes pairing approve %s CODE, with the user's code or the first "
                   "column\n\n",
                   pairing->platform);
    else
        buf_printf(out, "Nobody is waiting for approval on %s.\n\n", pairing->platform);
}

// *any: a line of them is there already.
static void append_approved(const struct pairing *pairing, const struct pairing_file *approved,
                            bool *any, struct buf *out)
{
    struct json_iter it = json_iter_init(json_root(&approved->doc));
    struct request request;
    char when[CLOCK_TEXT_SIZE];
    while (next(pairing, &it, true, &request)) {
        if (!*any)
            buf_printf(out, "%-16s  %-20s  %s\n", "APPROVED", "SINCE", "NAME");
        *any = true;
        buf_printf(out, "%-16s  %-20s  %s\n", request.user,
                   request.at_ms ? clock_format_utc(request.at_ms, when) : "-", request.name);
    }
}

static void write_time(struct node object, const char *name, int64_t ms)
{
    char text[CLOCK_TEXT_SIZE];
    node_add_text(object, name, ms ? clock_format_utc(ms, text) : NULL);
}

static void write_requests(struct node rows, const struct pairing *pairing,
                           const struct pairing_file *file, bool approved)
{
    struct json_iter it = json_iter_init(json_root(&file->doc));
    struct request request;
    while (next(pairing, &it, approved, &request)) {
        struct node row = node_add_object(rows, NULL);
        if (!approved)
            node_add_text(row, "request_id", request.id);
        node_add_text(row, "user_id", request.user);
        node_add_text(row, "user_name", request.name);
        write_time(row, approved ? "approved_at" : "created_at", request.at_ms);
    }
}

int pairing_list(const struct pairing *pairing, bool json, struct buf *out, struct error *err)
{
    PAIRING_FILE_AUTO pending = {0};
    PAIRING_FILE_AUTO approved = {0};
    PAIRING_FILE_AUTO elsewhere = {0};
    PAIRING_FILE_AUTO limits = {0};
    FD_AUTO fd = -1;
    FD_AUTO other_fd = -1;
    char until[CLOCK_TEXT_SIZE];
    bool any = false;
    int r = pairing_open(pairing, PAIRING_OWN, PAIRING_UNLOCKED, &fd, err);
    if (r == 0)
        r = pairing_open(pairing, PAIRING_OTHER, PAIRING_UNLOCKED, &other_fd, err);
    if (r == 0)
        r = pairing_file_load(pairing, other_fd, pairing_approved, &elsewhere, err);
    if (r == 0)
        r = pairing_file_load(pairing, fd, pairing_pending, &pending, err);
    if (r == 0)
        r = pairing_file_load(pairing, fd, pairing_approved, &approved, err);
    if (r == 0)
        r = pairing_file_load(pairing, fd, pairing_limits, &limits, err);
    if (r < 0)
        return r;
    int64_t until_ms = pairing_lockout_until(pairing, &limits);
    if (json) {
        DOCUMENT_AUTO doc = DOCUMENT_INIT(LIST_MEMORY_MAX);
        struct node root = document_object(&doc);
        node_add_text(root, "platform", pairing->platform);
        write_requests(node_add_array(root, "pending"), pairing, &pending, false);
        struct node rows = node_add_array(root, "approved");
        write_requests(rows, pairing, &approved, true);
        write_requests(rows, pairing, &elsewhere, true);
        write_time(root, "locked_until", until_ms);
        document_print(&doc, out, NULL);
        buf_append_char(out, '\n');
        return 0;
    }
    append_pending(pairing, &pending, out);
    append_approved(pairing, &approved, &any, out);
    append_approved(pairing, &elsewhere, &any, out);
    if (!any)
        buf_printf(out, "Nobody is approved on %s; the configuration may allow users too.\n",
                   pairing->platform);
    if (until_ms)
        buf_printf(out, "\nAfter %d wrong codes none is accepted until %s.\n", PAIRING_FAILURES_MAX,
                   clock_format_utc(until_ms, until));
    return 0;
}
