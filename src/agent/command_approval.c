#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "agent/command_word.h"
#include "agent/commands.h"
#include "base/mem.h"
#include "store/turn_read.h"

// /approve, /deny and /stop: what somebody says to a turn that waits for them.

struct question { // copied, since rows live during a call
    char code[16];
    char *turn, *name, *may_answer;
    int iteration, ordinal;
};

struct questions {
    struct question *all;
    size_t count, capacity;
};

static void questions_finish(struct questions *questions)
{
    for (size_t i = 0; i < questions->count; i++) {
        free(questions->all[i].turn);
        free(questions->all[i].name);
        free(questions->all[i].may_answer);
    }
    free(questions->all);
}

static bool on_asked(void *context, const struct store_approval *row)
{
    struct questions *questions = context;
    questions->all =
        mem_grow(questions->all, questions->count, &questions->capacity, sizeof *questions->all);
    struct question *q = &questions->all[questions->count++];
    *q = (struct question){.turn = mem_strndup(row->turn.data, row->turn.len),
                           .name = mem_strndup(row->name.data, row->name.len),
                           .may_answer = mem_strndup(row->may_answer.data, row->may_answer.len),
                           .iteration = row->iteration,
                           .ordinal = row->ordinal};
    snprintf(q->code, sizeof q->code, "%.*s", (int)row->code.len, row->code.data);
    return true;
}

// The one that is meant; NULL, and a reply that says why, when there is none.
static const struct question *choose(const struct questions *questions, struct span code,
                                     struct buf *reply)
{
    for (size_t i = 0; i < questions->count; i++)
        if ((code.len == 0 && questions->count == 1) ||
            (code.len == strlen(questions->all[i].code) &&
             strncasecmp(code.data, questions->all[i].code, code.len) == 0))
            return &questions->all[i];
    if (questions->count == 0)
        buf_append_text(reply, "Nothing waits for approval.");
    else if (code.len)
        buf_printf(reply, "No open question has the code %.*s. Open:", (int)code.len, code.data);
    else
        buf_append_text(reply, "Several questions are open; say which one:");
    for (size_t i = 0; i < questions->count; i++)
        buf_printf(reply, "\n%s: %s", questions->all[i].code, questions->all[i].name);
    return NULL;
}

static int answer(const struct conversation *conversation, struct span rest, bool approved,
                  struct command_effect *effect, struct error *err)
{
    CLEANUP(questions_finish) struct questions questions = {0};
    struct store_session_key key = conversation_key(conversation);
    int r = store_read_questions(store_view(conversation->host->store), &key, on_asked, &questions,
                                 err);
    if (r < 0)
        return r;
    const struct question *q = choose(&questions, command_word_first(rest), &effect->reply);
    if (q && *q->may_answer && strcmp(q->may_answer, effect->sender) != 0) {
        buf_append_text(&effect->reply, "Only the one who asked may answer this.");
        return 0;
    }
    if (!q)
        return 0;
    size_t left = 0;
    for (size_t i = 0; i < questions.count; i++)
        left += strcmp(questions.all[i].turn, q->turn) == 0;
    effect->asking = mem_strdup(q->turn);
    effect->answer = (struct store_answer){.turn = span_of(effect->asking),
                                           .iteration = q->iteration,
                                           .ordinal = q->ordinal,
                                           .approved = approved,
                                           .by = span_of(effect->sender)};
    effect->settlement.answer = &effect->answer;
    effect->changes = true;
    effect->takes_up = left == 1;
    buf_printf(&effect->reply, "%s: %s", approved ? "Approved" : "Denied", q->name);
    if (left > 1)
        buf_printf(&effect->reply, " (%zu more to answer)", left - 1);
    return 0;
}

int command_approve(const struct conversation *conversation, struct span rest,
                    struct command_effect *effect, struct error *err)
{
    return answer(conversation, rest, true, effect, err);
}

int command_deny(const struct conversation *conversation, struct span rest,
                 struct command_effect *effect, struct error *err)
{
    return answer(conversation, rest, false, effect, err);
}

static bool on_waiting(void *context, const struct store_turn_row *row)
{
    *(char **)context = mem_strndup(row->id.data, row->id.len);
    return false;
}

// The turn that runs; where none does, the newest of those that wait, also when all is answered and
// it was not taken up yet.
int command_stop(const struct conversation *conversation, struct span rest,
                 struct command_effect *effect, struct error *err)
{
    (void)rest;
    struct store_session_key key = conversation_key(conversation);
    int r = 0;
    if (!conversation->turn)
        r = store_read_waiting_turn(store_view(conversation->host->store), &key, on_waiting,
                                    &effect->asking, err);
    if (effect->asking) {
        effect->cancel = (struct store_cancellation){span_of(effect->asking),
                                                     SPAN_LITERAL("not run: the user stopped this"),
                                                     span_of(turn_silence)};
        effect->settlement.cancel = &effect->cancel;
        effect->changes = true;
    }
    buf_append_text(&effect->reply,
                    conversation->turn || effect->asking ? "Stopped." : "Nothing is running.");
    effect->stop = true;
    return r < 0 ? r : 0;
}
