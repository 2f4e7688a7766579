#include "agent/turn_event_json.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "codec/json_write.h"
#include "codec/utf8.h"

enum { RESULT_SHOWN_MAX = 16 << 10 }; // bytes of a tool's result

static const char *const types[] = {
    [TURN_EVENT_WAIT] = "wait", [TURN_EVENT_STEP] = "step",     [TURN_EVENT_TEXT] = "text",
    [TURN_EVENT_CALL] = "call", [TURN_EVENT_RESULT] = "result", [TURN_EVENT_END] = "end",
};

const char *turn_event_type(enum turn_event_kind kind)
{
    return types[kind];
}

static const char *const states[] = {
    [TURN_WAITING] = "waiting",
    [TURN_DONE] = "done",
    [TURN_FAILED] = "failed",
    [TURN_CANCELLED] = "cancelled",
};

static void write_usage(struct json_writer *w, const struct chat_usage *usage)
{
    json_write_key(w, "usage");
    json_write_object_begin(w);
    json_write_member_int(w, "prompt_tokens", usage->prompt_tokens);
    json_write_member_int(w, "completion_tokens", usage->completion_tokens);
    json_write_member_int(w, "cached_tokens", usage->cached_tokens);
    json_write_member_int(w, "reasoning_tokens", usage->reasoning_tokens);
    json_write_member_int(w, "cost_pico", usage->cost_pico);
    json_write_object_end(w);
}

static void write_outcome(struct json_writer *w, const struct turn_outcome *outcome)
{
    json_write_member_text(w, "state", states[outcome->state]);
    json_write_member_text(w, "text", outcome->text);
    json_write_member_text(w, "error", outcome->state == TURN_FAILED ? outcome->error : NULL);
    json_write_member_text(w, "remark", outcome->remark);
    write_usage(w, &outcome->usage);
    json_write_member_int(w, "iterations", outcome->iterations);
    if (outcome->refused)
        json_write_member_bool(w, "refused", true);
    if (outcome->question_count == 0)
        return;
    json_write_key(w, "questions");
    json_write_array_begin(w);
    for (size_t i = 0; i < outcome->question_count; i++) {
        json_write_object_begin(w);
        json_write_member_text(w, "code", outcome->questions[i].code);
        json_write_member_text(w, "name", outcome->questions[i].name);
        json_write_member_text(w, "arguments", outcome->questions[i].arguments);
        json_write_member_text(w, "asks", outcome->questions[i].asks);
        json_write_member_text(w, "why", outcome->questions[i].why);
        json_write_member_int(w, "expires_ms", outcome->questions[i].expires_ms);
        json_write_object_end(w);
    }
    json_write_array_end(w);
}

static void write_result(struct json_writer *w, const struct turn_event *event)
{
    struct span text = event->text;
    if (text.len > RESULT_SHOWN_MAX)
        text.len = RESULT_SHOWN_MAX;
    text.len -= utf8_incomplete_tail(text);
    json_write_member_text(w, "name", event->name);
    json_write_member_bool(w, "failed", event->failed);
    json_write_member_string(w, "text", text);
}

void turn_event_write(const struct turn_event *event, struct buf *out)
{
    struct json_writer w;
    json_writer_init(&w, out);
    json_write_object_begin(&w);
    switch (event->kind) {
    case TURN_EVENT_BEGIN:
    case TURN_EVENT_STEP:
        break;
    case TURN_EVENT_WAIT:
        json_write_member_text(&w, "text", event->sentence);
        break;
    case TURN_EVENT_TEXT:
        json_write_member_string(&w, "delta", event->text);
        break;
    case TURN_EVENT_CALL:
        json_write_member_text(&w, "name", event->name);
        json_write_member_text(&w, "arguments", event->arguments);
        break;
    case TURN_EVENT_RESULT:
        write_result(&w, event);
        break;
    case TURN_EVENT_END:
        write_outcome(&w, event->outcome);
        break;
    }
    json_write_object_end(&w);
}

static char *text_of(struct json_value object, const char *key, size_t max)
{
    char *text = json_strdup(json_get(object, key), max);
    return text ? text : mem_strdup("");
}

static int64_t number_of(struct json_value object, const char *key, int64_t fallback)
{
    int64_t number;
    return json_int64(json_get(object, key), &number) ? number : fallback;
}

static void drop_questions(struct turn_event_reader *reader)
{
    for (size_t i = 0; i < reader->question_count; i++) {
        free(reader->questions[i].name);
        free(reader->questions[i].arguments);
        free(reader->questions[i].asks);
        free(reader->questions[i].why);
    }
    reader->question_count = 0;
    free(STEAL(reader->questions));
}

static void read_questions(struct turn_event_reader *reader, struct json_value list, size_t max)
{
    size_t capacity = 0;
    struct json_iter it = json_iter_init(list);
    struct json_value entry;
    while (reader->question_count < CHAT_CALLS_MAX && json_iter_next(&it, NULL, &entry)) {
        reader->questions = mem_grow(reader->questions, reader->question_count, &capacity,
                                     sizeof *reader->questions);
        struct turn_question *question = &reader->questions[reader->question_count++];
        CLEANUP(mem_cleanup) char *code = text_of(entry, "code", max);
        *question = (struct turn_question){.name = text_of(entry, "name", max),
                                           .arguments = text_of(entry, "arguments", max),
                                           .asks = json_strdup(json_get(entry, "asks"), max),
                                           .why = text_of(entry, "why", max),
                                           .expires_ms = number_of(entry, "expires_ms", 0)};
        memcpy(question->code, code, strnlen(code, sizeof question->code - 1));
    }
}

static void read_outcome(struct turn_event_reader *reader, struct json_value object, size_t max)
{
    struct json_value usage = json_get(object, "usage");
    enum turn_state state = TURN_FAILED;
    if (json_is(json_get(object, "state"), states[TURN_DONE]))
        state = TURN_DONE;
    else if (json_is(json_get(object, "state"), states[TURN_CANCELLED]))
        state = TURN_CANCELLED;
    else if (json_is(json_get(object, "state"), states[TURN_WAITING]))
        state = TURN_WAITING;
    read_questions(reader, json_get(object, "questions"), max);
    reader->error = text_of(object, "error", max);
    reader->remark = text_of(object, "remark", max);
    reader->outcome = (struct turn_outcome){
        .begun = true,
        .state = state,
        .text = buf_text(&reader->text),
        .error = reader->error,
        .remark = reader->remark,
        .questions = reader->questions,
        .question_count = reader->question_count,
        .iterations = (int)number_of(object, "iterations", 0),
        .refused = json_type(json_get(object, "refused")) == JSON_TRUE,
        .usage = {.prompt_tokens = number_of(usage, "prompt_tokens", -1),
                  .completion_tokens = number_of(usage, "completion_tokens", -1),
                  .cached_tokens = number_of(usage, "cached_tokens", -1),
                  .cache_write_tokens = -1, // not on the wire
                  .reasoning_tokens = number_of(usage, "reasoning_tokens", -1),
                  .cost_pico = number_of(usage, "cost_pico", -1)},
    };
    reader->event.outcome = &reader->outcome;
}

int turn_event_read(struct turn_event_reader *reader, struct span type, struct span data,
                    size_t max)
{
    size_t kind = TURN_EVENT_WAIT;
    while (kind < ARRAY_LEN(types) && !span_is(type, types[kind]))
        kind++;
    if (kind == ARRAY_LEN(types) || json_parse(&reader->document, data, NULL) < 0)
        return -EBADMSG;
    struct json_value object = json_root(&reader->document);
    free(STEAL(reader->name));
    free(STEAL(reader->arguments));
    free(STEAL(reader->error));
    free(STEAL(reader->remark));
    drop_questions(reader);
    buf_finish(&reader->text);
    buf_init(&reader->text, max);
    json_string(json_get(object, kind == TURN_EVENT_TEXT ? "delta" : "text"), &reader->text);
    reader->name = text_of(object, "name", max);
    reader->arguments = text_of(object, "arguments", max);
    reader->event = (struct turn_event){
        .kind = (enum turn_event_kind)kind,
        .turn = "",
        .sentence = buf_text(&reader->text),
        .text = buf_span(&reader->text),
        .name = reader->name,
        .arguments = reader->arguments,
    };
    json_bool(json_get(object, "failed"), &reader->event.failed);
    if (kind == TURN_EVENT_END)
        read_outcome(reader, object, max);
    return 0;
}

void turn_event_reader_finish(struct turn_event_reader *reader)
{
    json_finish(&reader->document);
    buf_finish(&reader->text);
    free(reader->name);
    free(reader->arguments);
    free(reader->error);
    free(reader->remark);
    drop_questions(reader);
}
