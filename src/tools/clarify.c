#include "tools/clarify.h"

#include <errno.h>
#include <stdlib.h>

#include "base/mem.h"
#include "codec/json_write.h"
#include "codec/utf8.h"
#include "tools/table.h"

const char clarify_tool_name[] = "clarify";

void clarify_finish(struct clarification *clarification)
{
    free(clarification->question);
    for (size_t i = 0; i < clarification->count; i++)
        free(clarification->choices[i]);
    *clarification = (struct clarification){0};
}

static int read_choices(struct json_value list, struct clarification *clarification,
                        struct error *err)
{
    struct json_iter it = json_iter_init(list);
    struct json_value value;
    bool absent = json_type(list) == JSON_ABSENT || json_type(list) == JSON_NULL;
    if (!absent && (json_type(list) != JSON_ARRAY || json_count(list) > CLARIFY_CHOICES_MAX))
        return error_set(err, -EINVAL, "\"choices\" must be a list of at most %d texts",
                         CLARIFY_CHOICES_MAX);
    while (json_iter_next(&it, NULL, &value)) {
        char *choice = json_strdup(value, CLARIFY_CHOICE_MAX);
        if (!choice || span_trim(span_of(choice)).len == 0) {
            free(choice);
            return error_set(err, -EINVAL, "each choice must be a text of 1 to %d bytes",
                             CLARIFY_CHOICE_MAX);
        }
        clarification->choices[clarification->count++] = choice;
    }
    return 0;
}

// The newer form is a list of questions; one is asked at a time.
static int read_all(struct json_value object, struct clarification *clarification,
                    struct error *err)
{
    struct json_value list = json_get(object, "questions");
    if (json_count(list) > 1)
        return error_set(err, -EINVAL, "ask one question at a time");
    if (json_type(list) == JSON_ARRAY)
        object = json_at(list, 0);
    clarification->question = json_strdup(json_get(object, "question"), CLARIFY_QUESTION_MAX);
    if (!clarification->question || span_trim(span_of(clarification->question)).len == 0)
        return error_set(err, -EINVAL, "\"question\" must be a text of 1 to %d bytes",
                         CLARIFY_QUESTION_MAX);
    return read_choices(json_get(object, "choices"), clarification, err);
}

int clarify_read(struct span arguments, struct clarification *ret, struct error *err)
{
    JSON_AUTO doc = JSON_INIT;
    struct clarification found = {0};
    int r = json_parse(&doc, arguments, err);
    if (r == 0)
        r = read_all(json_root(&doc), &found, err);
    if (r < 0)
        clarify_finish(&found);
    else
        *ret = found;
    return r;
}

void clarify_write(const struct clarification *clarification, struct buf *out)
{
    buf_append_text(out, clarification->question);
    for (size_t i = 0; i < clarification->count; i++)
        buf_printf(out, "\n%zu. %s", i + 1, clarification->choices[i]);
}

static void write_button(struct buf *out, struct span label, const char *command, const char *code,
                         size_t number)
{
    CLEANUP(mem_cleanup)
    char *data = number ? mem_printf("%s %s %zu", command, code, number)
                        : mem_printf("%s %s", command, code);
    struct json_writer w;
    buf_append_text(out, out->len ? "," : "[");
    json_writer_init(&w, out);
    json_write_object_begin(&w);
    json_write_member_string(&w, "text", label);
    json_write_member_text(&w, "data", data);
    json_write_object_end(&w);
}

void clarify_write_buttons(const struct clarification *clarification, const char *code,
                           struct buf *out)
{
    for (size_t i = 0; i < clarification->count; i++) {
        struct span label = span_of(clarification->choices[i]);
        if (label.len > CLARIFY_LABEL_MAX)
            label.len =
                CLARIFY_LABEL_MAX - utf8_incomplete_tail(span_make(label.data, CLARIFY_LABEL_MAX));
        write_button(out, label, "/answer", code, i + 1);
    }
    if (clarification->count % 2)
        write_button(out, SPAN_LITERAL("None of these"), "/deny", code, 0);
}

struct span clarify_choose(const struct clarification *clarification, struct span said)
{
    uint64_t number;
    said = span_trim(said);
    if (span_to_u64(said, &number) && number >= 1 && number <= clarification->count)
        return span_of(clarification->choices[number - 1]);
    return said;
}

static int start(const struct tool_env *env, const struct tool_call *call, struct tool_run *run,
                 struct buf *out, struct error *err)
{
    CLEANUP(clarify_finish) struct clarification asked = {0};
    int r = clarify_read(call->text, &asked, err);
    return r < 0 ? r
                 : error_set(err, -EPERM, "the question could not be shown, so nobody was asked");
}

const struct tool tool_clarify = {
    .name = clarify_tool_name,
    .description = "Ask the user a question, and wait for the answer. Only when you cannot go on "
                   "without it.",
    .parameters = "{\"type\":\"object\",\"properties\":{"
                  "\"question\":{\"type\":\"string\",\"description\":\"One question\"},"
                  "\"choices\":{\"type\":\"array\",\"items\":{\"type\":\"string\"},\"maxItems\":4,"
                  "\"description\":\"Answers to choose from; another one may be given, too\"}},"
                  "\"required\":[\"question\"]}",
    .flags = TOOL_REPEATABLE | TOOL_UNATTENDED | TOOL_FOUND, // there it hears that nobody is
    .start = start,
};
