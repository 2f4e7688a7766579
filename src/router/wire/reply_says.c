// What a reply says of itself and of its failure, for both halves of reply_watch.
#include <stdio.h>
#include <string.h>

#include "llm/openai_error.h"
#include "router/wire/reply_stream.h"

/* Failure */

void reply_fail(struct reply_watch *w, enum chat_failure_kind kind, const char *sentence)
{
    w->state = REPLY_FAILED;
    w->failure = (struct chat_failure){.kind = kind, .retry_after_ms = -1};
    snprintf(w->failure.text, sizeof w->failure.text, "%s", sentence);
}

// True when the text, of which it is known that it is JSON, really reports an error.
static bool fail_with_error(struct reply_watch *w, struct span text)
{
    if (json_parse(&w->doc, text, NULL) < 0)
        return false;
    struct json_value error = openai_find_error(json_root(&w->doc));
    if (json_type(error) == JSON_ABSENT)
        return false;
    w->state = REPLY_FAILED;
    w->failure = (struct chat_failure){.retry_after_ms = -1};
    openai_read_error(error, 0, &w->failure);
    w->words = router_error_words_of(error);
    return true;
}

void reply_fail_with_body(struct reply_watch *w)
{
    w->state = REPLY_FAILED;
    openai_read_error_body(buf_span(&w->held), w->status, &w->failure);
    struct span text = span_trim(buf_span(&w->held));
    if (json_parse(&w->doc, text, NULL) == 0)
        w->words = router_error_words_of(openai_find_error(json_root(&w->doc)));
    else // JSON that was too long to be read whole is still some
        w->words.foreign = !text.len || (text.data[0] != '{' && text.data[0] != '[');
}

// The answer has ended, and there was nothing in it.
void reply_fail_empty(struct reply_watch *w)
{
    if (w->finish == REPLY_FINISH_CONTENT_FILTER)
        reply_fail(w, CHAT_FORBIDDEN, "the provider's content filter withheld the answer");
    else if (w->shape == REPLY_STREAM && !w->done && w->finish == REPLY_FINISH_NONE)
        reply_fail(w, CHAT_EMPTY, "the provider ended the stream without an answer");
    else
        reply_fail(w, CHAT_EMPTY, "the provider sent an empty answer");
}

/* What a chunk or an answer says */

static void note_string(char *to, size_t size, struct span raw)
{
    if (*to || raw.len < 2)
        return;
    if (!memchr(raw.data, '\\', raw.len)) {
        router_word_copy(to, size, span_make(raw.data + 1, raw.len - 2));
        return;
    }
    JSON_AUTO doc = JSON_INIT;
    if (raw.len <= REPLY_ID_MAX && json_parse(&doc, raw, NULL) == 0)
        router_word_copy_json(to, size, json_root(&doc));
}

// Takes over what the text said. False when it was a failure.
bool reply_note(struct reply_watch *w, struct span text, const struct reply_look *look)
{
    note_string(w->id, sizeof w->id, look->id);
    note_string(w->model, sizeof w->model, look->model);
    w->content |= look->content;
    if (look->usage) {
        w->usage = look->used;
        bool ends = look->finish != REPLY_FINISH_NONE || w->finish != REPLY_FINISH_NONE;
        w->usage_whole = w->shape == REPLY_WHOLE || !look->choices || (ends && w->answers <= 1);
    }
    if (look->error && fail_with_error(w, text)) {
        w->error_shown = look->error_top && w->passed;
        return false;
    }
    if (look->failed) {
        reply_fail(w, CHAT_SERVER, "the provider failed in the middle of the answer");
        return false;
    }
    if (look->finish != REPLY_FINISH_NONE)
        w->finish = look->finish;
    bool any = w->kind == REPLY_OTHER && look->type == JSON_OBJECT;
    if (look->content || any || look->finish == REPLY_FINISH_LENGTH)
        w->content = true;
    return true;
}

void reply_begin_to_pass(struct reply_watch *w)
{
    pieces_add(&w->pieces, buf_span(&w->held));
    w->state = REPLY_PASS;
    w->passed = w->content = true;
}
