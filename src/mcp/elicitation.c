#include "mcp/elicitation.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "codec/json_write.h"
#include "codec/url.h"
#include "codec/visible.h"
#include "tools/clarify.h"

enum {
    TITLE_MAX = 4096, // bytes
    URL_SHOWN_MAX = 1024,
    WRONG_MAX = 160, // bytes
    DIGITS = 6,      // behind the point, of bounds that are compared
};

struct elicitation {
    struct list link; // where the caller keeps it
    uint64_t number;
    char *server, *params;
    struct json doc; // of the params
    struct json_value fields;
    char *url;             // NULL: a form
    size_t count, at;      // of the fields; at the end all of them are shown
    struct buf content;    // members that are answered
    struct buf answered;   // the same, for the person
    char wrong[WRONG_MAX]; // why the last answer is none; "": it was one
};

static const char yes[] = "Yes", no[] = "No", opened[] = "I have opened it", sends[] = "Send it",
                  keeps[] = "Do not send it";

/* Reading it */

static int read_url(struct elicitation *e, struct json_value params, struct error *err)
{
    struct url url;
    e->url = json_strdup(json_get(params, "url"), URL_SHOWN_MAX);
    if (!e->url || span_printable(span_of(e->url)) != strlen(e->url) || strchr(e->url, ' ') ||
        url_parse(span_of(e->url), &url, NULL) < 0)
        return error_set(err, -EINVAL, "it is to lead to a page, but names none of http or https");
    return 0;
}

static struct json_value field_at(const struct elicitation *e, size_t place,
                                  struct json_value *ret_key)
{
    struct json_iter it = json_iter_init(e->fields);
    struct json_value value = JSON_VALUE_ABSENT;
    for (size_t i = 0; i <= place; i++)
        if (!json_iter_next(&it, ret_key, &value))
            return JSON_VALUE_ABSENT;
    return value;
}

static bool is_list(struct json_value field)
{
    return json_is(json_get(field, "type"), "array");
}

// The values that may be chosen, bare or with titles.
static struct json_value options_of(struct json_value field)
{
    static const char *const keys[] = {"enum", "oneOf", "anyOf"};
    if (is_list(field))
        field = json_get(field, "items");
    for (size_t i = 0; i < ARRAY_LEN(keys); i++)
        if (json_type(json_get(field, keys[i])) == JSON_ARRAY)
            return json_get(field, keys[i]);
    return JSON_VALUE_ABSENT;
}

static struct json_value option_at(struct json_value field, size_t place,
                                   struct json_value *ret_title)
{
    struct json_value option = json_at(options_of(field), place);
    struct json_value title = json_at(json_get(field, "enumNames"), place);
    if (json_type(option) == JSON_OBJECT) {
        title = json_get(option, "title");
        option = json_get(option, "const");
    }
    *ret_title = json_type(title) == JSON_STRING ? title : option;
    return option;
}

static bool is_known(struct json_value field)
{
    static const char *const types[] = {"string", "integer", "number", "boolean"};
    struct json_value type = json_get(field, "type"), title;
    size_t options = json_count(options_of(field));
    for (size_t i = 0; i < options; i++)
        if (json_type(option_at(field, i, &title)) != JSON_STRING)
            return false;
    for (size_t i = 0; i < ARRAY_LEN(types); i++)
        if (json_is(type, types[i]))
            return options <= ELICITATION_OPTIONS_MAX;
    return options > 0 && options <= ELICITATION_OPTIONS_MAX && is_list(field);
}

static int read_form(struct elicitation *e, struct json_value params, struct error *err)
{
    struct json_value schema = json_get(params, "requestedSchema"), key, field;
    e->fields = json_get(schema, "properties");
    e->count = json_count(e->fields);
    if (json_type(schema) != JSON_OBJECT || e->count > ELICITATION_FIELDS_MAX)
        return error_set(err, -EINVAL, "its form is none, or has more than %d fields",
                         ELICITATION_FIELDS_MAX);
    for (size_t i = 0; i < e->count; i++) {
        BUF_AUTO name = BUF_INIT(ELICITATION_KEY_MAX);
        field = field_at(e, i, &key);
        if (!json_string(key, &name) || !is_known(field))
            return error_set(err, -EINVAL, "its form has a field that nobody can be asked for");
    }
    return 0;
}

int elicitation_create(uint64_t number, const char *server, struct json_value params,
                       struct elicitation **ret_elicitation, struct error *err)
{
    struct elicitation *e = mem_new(struct elicitation);
    struct span raw = json_raw(params);
    list_init(&e->link);
    e->number = number;
    e->server = mem_strdup(server);
    e->params = mem_strndup(raw.data, raw.len);
    buf_init(&e->content, ELICITATION_CONTENT_MAX);
    buf_init(&e->answered, ELICITATION_CONTENT_MAX);
    int r = json_parse(&e->doc, span_make(e->params, raw.len), err);
    params = json_root(&e->doc);
    if (r == 0)
        r = json_is(json_get(params, "mode"), "url") ? read_url(e, params, err)
                                                     : read_form(e, params, err);
    BUF_AUTO first = BUF_INIT(ELICITATION_ARGUMENTS_MAX);
    if (r == 0)
        r = elicitation_write(e, &first, err);
    if (r < 0)
        elicitation_destroy(e);
    else
        *ret_elicitation = e;
    return r;
}

void elicitation_destroy(struct elicitation *e)
{
    if (!e)
        return;
    list_remove(&e->link);
    json_finish(&e->doc);
    buf_finish(&e->content);
    buf_finish(&e->answered);
    free(e->server);
    free(e->params);
    free(e->url);
    free(e);
}

uint64_t elicitation_number(const struct elicitation *e)
{
    return e->number;
}

struct list *elicitation_link(struct elicitation *e)
{
    return &e->link;
}

struct elicitation *elicitation_of(struct list *link)
{
    return list_entry(link, struct elicitation, link);
}

/* Showing it */

// A part of it does not fit, so the whole counts as too long.
static void mark_full(struct buf *out)
{
    buf_reserve(out, SIZE_MAX / 2);
}

// On one line, and not as a link that shows another place than it leads to.
static void write_quoted(struct json_value text, struct buf *out)
{
    BUF_AUTO decoded = BUF_INIT(TITLE_MAX);
    BUF_AUTO line = BUF_INIT(4 * TITLE_MAX);
    json_string(text, &decoded);
    visible_write(buf_span(&decoded), "\n\r\t", ' ', &line);
    for (size_t i = 0; i < line.len; i++) {
        buf_append_char(out, line.data[i]);
        if (line.data[i] == ']')
            buf_append_char(out, ' ');
    }
    if (buf_is_full(&decoded) || buf_is_full(&line))
        mark_full(out);
}

// Lines that the server could take for this program's are marked as its own.
static void write_message(struct json_value message, struct buf *out)
{
    BUF_AUTO decoded = BUF_INIT(CLARIFY_QUESTION_MAX);
    json_string(message, &decoded);
    struct span rest = span_trim(buf_span(&decoded));
    while (rest.len) {
        buf_append_text(out, "\n> ");
        visible_write(span_cut(&rest, '\n'), "\r\t", ' ', out);
    }
    if (buf_is_full(&decoded))
        mark_full(out);
}

static bool is_required(const struct elicitation *e, struct json_value key)
{
    struct json_value list = json_get(json_get(json_root(&e->doc), "requestedSchema"), "required");
    BUF_AUTO name = BUF_INIT(ELICITATION_KEY_MAX);
    struct json_iter it = json_iter_init(list);
    struct json_value one;
    json_string(key, &name);
    while (json_iter_next(&it, NULL, &one))
        if (json_is(one, buf_text(&name)))
            return true;
    return false;
}

static void write_bound(struct json_value field, const char *key, const char *words,
                        struct buf *out)
{
    struct span bound = json_raw(json_get(field, key));
    if (json_type(json_get(field, key)) == JSON_NUMBER)
        buf_printf(out, ", %s %.*s", words, (int)bound.len, bound.data);
}

// "(a whole number, at least 1; - for 5)"
static void write_kind(const struct elicitation *e, struct json_value key, struct json_value field,
                       struct buf *out)
{
    struct json_value type = json_get(field, "type"), fallback = json_get(field, "default");
    bool boolean = json_is(type, "boolean");
    buf_printf(out, "\n(%s",
               is_list(field)                 ? "any of these, with commas between them"
               : json_type(options_of(field)) ? "one of these"
               : boolean                      ? "yes or no"
               : json_is(type, "integer")     ? "a whole number"
               : json_is(type, "number")      ? "a number"
                                              : "a text");
    write_bound(field, "minimum", "at least", out);
    write_bound(field, "maximum", "at most", out);
    write_bound(field, "minLength", "characters at least", out);
    write_bound(field, "maxLength", "characters at most", out);
    write_bound(field, "minItems", "at least", out);
    write_bound(field, "maxItems", "at most", out);
    if (json_type(json_get(field, "format")) == JSON_STRING) {
        buf_append_text(out, ", ");
        write_quoted(json_get(field, "format"), out);
    }
    if (json_type(fallback)) {
        struct span raw = json_raw(fallback);
        buf_printf(out, "; - for %.*s", (int)raw.len, raw.data);
    } else if (!is_required(e, key)) {
        buf_append_text(out, "; - leaves it out");
    }
    buf_append_text(out, ")");
}

// False: they are written into the question, by number.
static bool has_buttons(struct json_value field)
{
    return !is_list(field) && json_count(options_of(field)) <= CLARIFY_CHOICES_MAX;
}

static void write_field(const struct elicitation *e, struct buf *out)
{
    struct json_value key, title, field = field_at(e, e->at, &key);
    buf_append_text(out, "\n\n");
    if (e->count > 1)
        buf_printf(out, "%zu of %zu: ", e->at + 1, e->count);
    title = json_get(field, "title");
    write_quoted(json_type(title) == JSON_STRING ? title : key, out);
    if (json_type(json_get(field, "description")) == JSON_STRING) {
        buf_append_text(out, "\n> ");
        write_quoted(json_get(field, "description"), out);
    }
    for (size_t i = 0; i < json_count(options_of(field)) && !has_buttons(field); i++) {
        option_at(field, i, &title);
        buf_printf(out, "\n%zu. ", i + 1);
        write_quoted(title, out);
    }
    write_kind(e, key, field, out);
}

static void write_question(const struct elicitation *e, struct buf *out)
{
    struct url url;
    if (*e->wrong)
        buf_printf(out, "%s\n\n", e->wrong);
    buf_printf(out, "The MCP server %s %s:", e->server,
               e->url ? "asks you to open a page" : "asks you");
    write_message(json_get(json_root(&e->doc), "message"), out);
    if (e->url && url_parse(span_of(e->url), &url, NULL) == 0)
        buf_printf(out, "\n\nOn %.*s:\n%s", (int)url.authority.len, url.authority.data, e->url);
    else if (e->at < e->count)
        write_field(e, out);
    else if (e->count)
        buf_printf(out, "\n\nThis would be sent to it:%.*s", (int)e->answered.len,
                   e->answered.len ? e->answered.data : "");
    buf_append_text(out, "\n\n/deny declines.");
}

static void write_choices(const struct elicitation *e, struct json_writer *w)
{
    struct json_value key, title, field = field_at(e, e->at, &key);
    bool open = e->at < e->count;
    if (!open || json_is(json_get(field, "type"), "boolean")) {
        json_write_text(w, e->url ? opened : !open && e->count ? sends : yes);
        json_write_text(w, !open && e->count ? keeps : no);
        return;
    }
    for (size_t i = 0; i < json_count(options_of(field)) && has_buttons(field); i++) {
        BUF_AUTO text = BUF_INIT(TITLE_MAX);
        option_at(field, i, &title);
        write_quoted(title, &text);
        json_write_string(w, buf_span(&text));
    }
}

int elicitation_write(const struct elicitation *e, struct buf *out, struct error *err)
{
    CLEANUP(clarify_finish) struct clarification asked = {0};
    BUF_AUTO question = BUF_INIT(CLARIFY_QUESTION_MAX);
    struct json_writer w;
    write_question(e, &question);
    json_writer_init(&w, out);
    json_write_object_begin(&w);
    json_write_member_string(&w, "question", buf_span(&question));
    json_write_key(&w, "choices");
    json_write_array_begin(&w);
    write_choices(e, &w);
    json_write_array_end(&w);
    json_write_object_end(&w);
    if (buf_is_full(&question) || !json_write_done(&w) ||
        clarify_read(buf_span(out), &asked, NULL) < 0)
        return error_set(err, -E2BIG, "it is too long to be shown");
    return 0;
}

/* Taking answers */

static enum elicitation_next reject(struct elicitation *e, const char *why)
{
    snprintf(e->wrong, sizeof e->wrong, "That is no answer to it: %s.", why);
    return ELICITATION_ASKS;
}

static size_t characters(struct span text)
{
    size_t count = 0;
    for (size_t i = 0; i < text.len; i++)
        count += (text.data[i] & 0xc0) != 0x80;
    return count;
}

// Is it out of the bounds that these two keys set?
static const char *beyond(struct json_value field, const char *least, const char *most,
                          int64_t value, unsigned digits)
{
    int64_t bound;
    if (json_fixed(json_get(field, least), digits, &bound) && value < bound)
        return "it is too small, short or few";
    if (json_fixed(json_get(field, most), digits, &bound) && value > bound)
        return "it is too large, long or many";
    return NULL;
}

static const char *take_number(struct json_value field, struct span said, struct json_writer *w)
{
    JSON_AUTO doc = JSON_INIT;
    int64_t value;
    if (json_parse(&doc, said, NULL) < 0 || json_type(json_root(&doc)) != JSON_NUMBER)
        return "a number is wanted";
    if (json_is(json_get(field, "type"), "integer") && !json_int64(json_root(&doc), &value))
        return "a whole number is wanted";
    const char *why = json_fixed(json_root(&doc), DIGITS, &value)
                          ? beyond(field, "minimum", "maximum", value, DIGITS)
                          : NULL;
    if (!why)
        json_write_raw(w, json_raw(json_root(&doc)));
    return why;
}

// The option of that number, title or value.
static bool take_option(struct json_value field, struct span said, struct json_writer *w)
{
    CLEANUP(mem_cleanup) char *text = mem_strndup(said.data, said.len);
    struct json_value title;
    uint64_t number;
    size_t count = json_count(options_of(field)), found = count;
    for (size_t i = count; i-- > 0;) {
        struct json_value value = option_at(field, i, &title);
        BUF_AUTO shown = BUF_INIT(TITLE_MAX);
        write_quoted(title, &shown);
        if (json_is(value, text) || span_is(buf_span(&shown), text))
            found = i;
    }
    if (found == count && span_to_u64(said, &number) && number >= 1 && number <= count)
        found = (size_t)number - 1;
    if (found < count)
        json_write_raw(w, json_raw(option_at(field, found, &title)));
    return found < count;
}

static const char *take_options(struct json_value field, struct span said, struct json_writer *w)
{
    int64_t taken = 0;
    json_write_array_begin(w);
    while (said.len) {
        struct span one = span_trim(span_cut(&said, ','));
        if (one.len && !take_option(field, one, w))
            return "one of them is not among the choices";
        taken += one.len > 0;
    }
    json_write_array_end(w);
    return beyond(field, "minItems", "maxItems", taken, 0);
}

static const char *take_value(struct json_value field, struct span said, struct json_writer *w)
{
    struct json_value type = json_get(field, "type");
    if (is_list(field))
        return take_options(field, said, w);
    if (json_type(options_of(field)))
        return take_option(field, said, w) ? NULL : "it is not among the choices";
    if (json_is(type, "boolean")) {
        bool value;
        if (!span_to_bool(said, &value))
            return "yes or no is wanted";
        json_write_bool(w, value);
        return NULL;
    }
    if (!json_is(type, "string"))
        return take_number(field, said, w);
    const char *why = beyond(field, "minLength", "maxLength", (int64_t)characters(said), 0);
    if (!why)
        json_write_string(w, said);
    return why;
}

static enum elicitation_next take_field(struct elicitation *e, struct span said)
{
    struct json_value key, field = field_at(e, e->at, &key), title = json_get(field, "title");
    struct json_value fallback = json_get(field, "default");
    BUF_AUTO value = BUF_INIT(ELICITATION_CONTENT_MAX);
    struct json_writer w;
    bool none = span_is(said, "-");
    const char *why = NULL;
    json_writer_init(&w, &value);
    if (none && json_type(fallback))
        json_write_raw(&w, json_raw(fallback));
    else if (none && is_required(e, key))
        why = "it is required";
    else if (!none)
        why = take_value(field, said, &w);
    if (!why && buf_is_full(&value))
        why = "it is too long";
    if (why)
        return reject(e, why);
    if (value.len) {
        struct span name = json_raw(key);
        buf_printf(&e->content, "%s%.*s:", e->content.len ? "," : "{", (int)name.len, name.data);
        buf_append_span(&e->content, buf_span(&value));
    }
    buf_append_text(&e->answered, "\n");
    write_quoted(json_type(title) == JSON_STRING ? title : key, &e->answered);
    buf_append_text(&e->answered, ": ");
    visible_write(value.len ? buf_span(&value) : SPAN_LITERAL("(left out)"), "\n\r", ' ',
                  &e->answered);
    e->at++;
    BUF_AUTO all = BUF_INIT(ELICITATION_ARGUMENTS_MAX); // that were answered one by one
    bool shown = e->at < e->count || (e->count > 1 && elicitation_write(e, &all, NULL) == 0);
    return shown ? ELICITATION_ASKS : ELICITATION_ACCEPT;
}

enum elicitation_next elicitation_take(struct elicitation *e, struct span said)
{
    const char *accepts = e->url ? opened : e->count ? sends : yes;
    said = span_trim(said);
    *e->wrong = '\0';
    if (e->at < e->count)
        return take_field(e, said);
    if (span_is(said, accepts) || span_is(said, "yes") || span_is(said, "y"))
        return ELICITATION_ACCEPT;
    if (span_is(said, no) || span_is(said, keeps) || span_is(said, "no") || span_is(said, "n"))
        return ELICITATION_DECLINE;
    return reject(e, "yes or no is wanted");
}

struct span elicitation_content(struct elicitation *e)
{
    if (e->url)
        return SPAN_ABSENT;
    if (e->content.len == 0)
        buf_append_text(&e->content, "{");
    buf_append_text(&e->content, "}");
    return buf_is_full(&e->content) ? SPAN_ABSENT : buf_span(&e->content);
}
