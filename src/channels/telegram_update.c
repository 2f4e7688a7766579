#include "channels/telegram_update.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/hash.h"
#include "base/mem.h"
#include "channels/telegram_media.h"
#include "codec/entries.h"
#include "codec/telegram_text.h"
#include "codec/utf8.h"

enum { NOTE_MAX = 128 }; // bytes

static bool is_passed_on(struct json_value message)
{
    static const char *const marks[] = {"forward_origin", "forward_date", "via_bot"};
    for (size_t i = 0; i < ARRAY_LEN(marks); i++)
        if (json_type(json_get(message, marks[i])) > JSON_NULL)
            return true;
    return false;
}

// What the sender wrote themselves: nothing of a chat elsewhere, of a bot, or of somebody else.
static bool is_own(struct json_value replied, struct json_value message)
{
    int64_t author, sender;
    return json_int64(json_get(json_get(replied, "from"), "id"), &author) &&
           json_int64(json_get(json_get(message, "from"), "id"), &sender) && author == sender &&
           !is_passed_on(replied);
}

// The part that was chosen to be quoted, or what is replied to.
static void append_quote(struct json_value message, struct buf *out, bool *ret_tainted)
{
    BUF_AUTO quoted = BUF_INIT(TELEGRAM_MESSAGE_MAX);
    struct json_value replied = json_get(message, "reply_to_message");
    bool found = json_string(json_get(json_get(message, "quote"), "text"), &quoted) ||
                 json_string(json_get(replied, "text"), &quoted) ||
                 json_string(json_get(replied, "caption"), &quoted);
    if (!found || quoted.len == 0)
        return;
    *ret_tainted = *ret_tainted || !is_own(replied, message);
    struct span rest = {quoted.data, entries_cut(buf_span(&quoted), TELEGRAM_QUOTE_MAX)};
    bool cut = rest.len < quoted.len;
    while (rest.len) {
        struct span line = span_cut(&rest, '\n');
        buf_append_text(out, "> ");
        buf_append_span(out, line);
        buf_append_text(out, rest.len == 0 && cut ? " ...\n" : "\n");
    }
    buf_append_char(out, '\n');
}

/*
 * The text as the dispatcher gets it: what is replied to as a quote before it, unless it is a
 * command, which must stand first; what cannot be shown as a note behind it.
 */
static char *message_text(struct json_value message, bool has_media, bool *ret_cut,
                          bool *ret_tainted)
{
    BUF_AUTO own = BUF_INIT(TELEGRAM_MESSAGE_MAX);
    struct json_value text = json_get(message, "text");
    if (json_type(text) != JSON_STRING)
        text = json_get(message, "caption");
    BUF_AUTO note = BUF_INIT(NOTE_MAX);
    if (json_type(text) == JSON_STRING && !json_string(text, &own))
        buf_append_text(&note, "[a message that is too long to be read]");
    else
        telegram_media_note(message, &note);
    if (own.len == 0 && note.len == 0 && !has_media)
        return NULL;

    BUF_AUTO all = BUF_INIT(2 * TELEGRAM_MESSAGE_MAX);
    *ret_cut = telegram_units(buf_span(&own)) >= TELEGRAM_CUT_UNITS;
    *ret_tainted = is_passed_on(message);
    if (!span_starts_with(buf_span(&own), "/"))
        append_quote(message, &all, ret_tainted);
    buf_append_span(&all, buf_span(&own));
    if (own.len && note.len)
        buf_append_char(&all, '\n');
    buf_append_span(&all, buf_span(&note));
    for (size_t i = 0; i < all.len; i++) // a C string from here on
        if (all.data[i] == '\0')
            all.data[i] = ' ';
    return buf_take_text(&all);
}

static void copy_text(struct json_value v, char *out, size_t size)
{
    BUF_AUTO text = BUF_INIT(4096);
    if (json_string(v, &text))
        snprintf(out, size, "%s", buf_text(&text));
    size_t len = strlen(out);
    out[len - utf8_incomplete_tail(span_make(out, len))] = '\0';
}

static void read_name(struct json_value from, struct telegram_update *update)
{
    char last[sizeof update->name] = "";
    copy_text(json_get(from, "username"), update->username, sizeof update->username);
    copy_text(json_get(from, "first_name"), update->name, sizeof update->name);
    copy_text(json_get(from, "last_name"), last, sizeof last);
    size_t used = strlen(update->name);
    if (*last && used + strlen(last) + 2 <= sizeof update->name)
        snprintf(update->name + used, sizeof update->name - used, "%s%s", used ? " " : "", last);
}

static void write_number(char text[TELEGRAM_NUMBER_MAX], int64_t number)
{
    snprintf(text, TELEGRAM_NUMBER_MAX, "%lld", (long long)number);
}

// Replies in a group without topics carry an id as well, which is no place to answer in.
static void read_topic(struct json_value message, struct telegram_update *update)
{
    int64_t thread;
    bool in_topic = false;
    if (json_bool(json_get(message, "is_topic_message"), &in_topic) && in_topic &&
        json_int64(json_get(message, "message_thread_id"), &thread) && thread > 0)
        write_number(update->ids.thread, thread);
}

// False unless a person is there with us, alone or in a group.
static bool read_place(struct json_value message, struct json_value from,
                       struct telegram_update *update)
{
    struct json_value chat = json_get(message, "chat");
    int64_t date, number;
    bool bot = false;
    if (!json_int64(json_get(chat, "id"), &update->chat))
        return false;
    struct json_value type = json_get(chat, "type");
    update->grouped = json_is(type, "group") || json_is(type, "supergroup");
    if (!update->grouped && !json_is(type, "private")) {
        update->kind = TELEGRAM_ELSEWHERE;
        return false;
    }
    if (!json_int64(json_get(from, "id"), &update->user) ||
        (json_bool(json_get(from, "is_bot"), &bot) && bot))
        return false;
    if (json_int64(json_get(message, "date"), &date) && date > 0 && date < INT64_MAX / 1000)
        update->sent_ms = date * 1000;
    if (json_int64(json_get(message, "message_id"), &number))
        write_number(update->ids.message, number);
    write_number(update->ids.external, update->id);
    write_number(update->ids.chat, update->chat);
    write_number(update->ids.user, update->user);
    read_topic(message, update);
    read_name(from, update);
    return true;
}

// "/approve CODE", "/answer CODE 2": all buttons of one question have its code. "/mcp accept NAME"
// is no question, and stands for itself.
static bool is_of_question(struct json_value button, const char *pressed)
{
    BUF_AUTO data = BUF_INIT(TELEGRAM_BUTTON_MAX);
    struct span one = span_of(pressed);
    json_string(json_get(button, "callback_data"), &data);
    struct span other = buf_span(&data), whole = other;
    bool asked = !span_is(span_cut(&one, ' '), "/mcp");
    span_cut(&other, ' ');
    struct span code = span_cut(&one, ' ');
    return asked && code.len ? span_equal(code, span_cut(&other, ' ')) : span_is(whole, pressed);
}

char *telegram_rows_without(struct span rows, const char *data)
{
    BUF_AUTO out = BUF_INIT(TELEGRAM_MESSAGE_MAX);
    JSON_AUTO doc = JSON_INIT;
    json_parse(&doc, rows, NULL);
    struct json_iter all = json_iter_init(json_root(&doc));
    struct json_value row, button;
    while (json_iter_next(&all, NULL, &row)) {
        struct json_iter it = json_iter_init(row);
        bool pressed = false;
        while (json_iter_next(&it, NULL, &button))
            pressed |= is_of_question(button, data);
        if (!pressed) {
            buf_append_char(&out, out.len ? ',' : '[');
            buf_append_span(&out, json_raw(row));
        }
    }
    buf_append_text(&out, out.len ? "]" : "[]");
    return buf_is_full(&out) ? mem_strdup("[]") : buf_take_text(&out);
}

static void read_press(struct json_value press, struct telegram_update *update)
{
    BUF_AUTO data = BUF_INIT(TELEGRAM_BUTTON_MAX);
    copy_text(json_get(press, "id"), update->ids.press, sizeof update->ids.press);
    if (!json_string(json_get(press, "data"), &data) || data.len == 0)
        return;
    update->text = buf_take_text(&data);
    struct json_value markup = json_get(json_get(press, "message"), "reply_markup");
    update->buttons =
        telegram_rows_without(json_raw(json_get(markup, "inline_keyboard")), update->text);
    update->kind = TELEGRAM_BUTTON;
}

// A conversation of several shows who said what; what the name could pretend to be is taken out.
static void tell_sender(struct json_value message, struct telegram_update *update)
{
    BUF_AUTO plain = BUF_INIT(TELEGRAM_MESSAGE_MAX);
    struct json_value text = json_get(message, "text");
    json_int64(json_get(json_get(json_get(message, "reply_to_message"), "from"), "id"),
               &update->replied_to);
    json_string(json_type(text) == JSON_STRING ? text : json_get(message, "caption"), &plain);
    update->plain = buf_take_text(&plain);
    for (char *c = update->name; *c; c++)
        if ((unsigned char)*c < ' ' || strchr(":>[]", *c))
            *c = ' ';
    if (update->text[0] == '/')
        return;
    char *told =
        mem_printf("%s: %s", *update->name ? update->name : update->ids.user, update->text);
    free(update->text);
    update->text = told;
}

// Its edits are known by its own id. Telegram dates them in seconds, so the milliseconds keep two
// of one second apart, and from the message itself.
static void read_message(struct json_value message, struct telegram_update *update,
                         enum telegram_update_kind kind)
{
    int64_t date;
    uint64_t unique;
    update->media = telegram_media_read(message, &unique);
    update->text = message_text(message, update->media, &update->cut, &update->tainted);
    if (update->text && update->grouped)
        tell_sender(message, update);
    if (!update->text || (kind == TELEGRAM_EDIT && !*update->ids.message))
        return;
    update->kind = kind;
    snprintf(update->hash, sizeof update->hash, "\"%016" PRIx64 "\"",
             hash_of(span_of(update->text)) ^ unique);
    if (*update->ids.message)
        snprintf(update->ids.external, sizeof update->ids.external, "%s:%s", update->ids.chat,
                 update->ids.message);
    if (json_int64(json_get(message, "edit_date"), &date) && date > 0 && date < INT64_MAX / 1000)
        update->sent_ms = date * 1000 + 1 + update->id % 999;
}

static void read_update(struct json_value value, struct telegram_update *update)
{
    struct json_value message = json_get(value, "message");
    struct json_value edited = json_get(value, "edited_message");
    struct json_value press = json_get(value, "callback_query");
    if (read_place(message, json_get(message, "from"), update)) {
        read_message(message, update, TELEGRAM_MESSAGE);
    } else if (read_place(edited, json_get(edited, "from"), update)) {
        read_message(edited, update, TELEGRAM_EDIT);
    } else if (read_place(json_get(press, "message"), json_get(press, "from"), update)) {
        read_press(press, update);
    }
}

struct found { // an update before it is read
    int64_t id;
    struct json_value value;
};

static int compare_found(const void *left, const void *right)
{
    const struct found *a = left, *b = right;
    return (a->id > b->id) - (a->id < b->id);
}

int telegram_updates_read(struct json_value result, struct telegram_updates *ret_updates,
                          struct error *err)
{
    size_t count = json_count(result), found_count = 0;
    if (json_type(result) != JSON_ARRAY || count > TELEGRAM_UPDATES_MAX)
        return error_set(err, -EBADMSG, "the Bot API did not reply with updates");
    CLEANUP(mem_cleanup) struct found *found = mem_alloc((count + 1) * sizeof *found);
    struct json_iter it = json_iter_init(result);
    struct json_value value;
    while (json_iter_next(&it, NULL, &value)) {
        int64_t id;
        if (json_int64(json_get(value, "update_id"), &id) && id >= 0 && id < INT64_MAX)
            found[found_count++] = (struct found){id, value};
    }
    qsort(found, found_count, sizeof *found, compare_found);
    size_t kept = 0; // each id once
    for (size_t i = 0; i < found_count; i++)
        if (kept == 0 || found[kept - 1].id != found[i].id)
            found[kept++] = found[i];

    struct telegram_updates updates = {NULL, kept < TELEGRAM_BATCH_MAX ? kept : TELEGRAM_BATCH_MAX};
    updates.rows = mem_zalloc((updates.count + 1) * sizeof *updates.rows);
    for (size_t i = 0; i < updates.count; i++) {
        updates.rows[i].id = found[i].id;
        read_update(found[i].value, &updates.rows[i]);
    }
    *ret_updates = updates;
    return 0;
}

void telegram_updates_finish(struct telegram_updates *updates)
{
    for (size_t i = 0; i < updates->count; i++) {
        free(updates->rows[i].text);
        free(updates->rows[i].media);
        free(updates->rows[i].plain);
        free(updates->rows[i].buttons);
    }
    free(updates->rows);
    *updates = (struct telegram_updates){NULL, 0};
}
