#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "agent/command_word.h"
#include "agent/commands.h"
#include "base/mem.h"
#include "store/turn_read.h"
#include "tools/clarify.h"

// /approve, /deny, /answer and /stop: what somebody says to a turn that waits for them.

enum { WORDS_MAX = 16 * 1024 }; // bytes of an answer

struct question { // copied, since rows live during a call
    char code[16];
    char *turn, *name, *arguments, *may_answer;
    int64_t asked_ms;
    int iteration, ordinal;
    bool in_words; // is answered so, not by yes or no
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
        free(questions->all[i].arguments);
        free(questions->all[i].may_answer);
    }
    free(questions->all);
}

static char *copy(struct span text)
{
    return mem_strndup(text.data, text.len);
}

static bool on_asked(void *context, const struct store_approval *row)
{
    struct questions *questions = context;
    questions->all =
        mem_grow(questions->all, questions->count, &questions->capacity, sizeof *questions->all);
    struct question *q = &questions->all[questions->count++];
    *q = (struct question){.turn = copy(row->turn),
                           .name = copy(row->name),
                           .arguments = copy(row->arguments),
                           .may_answer = copy(row->may_answer),
                           .asked_ms = row->asked_ms,
                           .iteration = row->iteration,
                           .ordinal = row->ordinal,
                           .in_words = span_is(row->name, clarify_tool_name)};
    snprintf(q->code, sizeof q->code, "%.*s", (int)row->code.len, row->code.data);
    return true;
}

static int read_asked(const struct conversation *conversation, struct questions *questions,
                      struct error *err)
{
    struct store_session_key key = conversation_key(conversation);
    return store_read_questions(store_view(conversation->host->store), &key, on_asked, questions,
                                err);
}

enum kind { IN_WORDS = 1, BY_YES_OR_NO = 2 }; // of a question: bits

static bool is_of(const struct question *question, unsigned kinds)
{
    return kinds & (question->in_words ? IN_WORDS : BY_YES_OR_NO);
}

static bool has_code(const struct question *question, struct span code)
{
    return code.len == strlen(question->code) &&
           strncasecmp(code.data, question->code, code.len) == 0;
}

// The one that is meant; NULL, and a reply that says why, when there is none.
static const struct question *choose(const struct questions *questions, unsigned kinds,
                                     struct span code, struct buf *reply)
{
    const struct question *found = NULL;
    size_t count = 0;
    for (size_t i = 0; i < questions->count; i++) {
        const struct question *one = &questions->all[i];
        if (is_of(one, kinds) && has_code(one, code))
            return one;
        count += is_of(one, kinds);
        found = is_of(one, kinds) ? one : found;
    }
    if (code.len == 0 && count == 1)
        return found;
    if (count == 0)
        buf_append_text(reply, kinds == IN_WORDS ? "Nothing is asked that words would answer."
                                                 : "Nothing waits for approval.");
    else if (code.len)
        buf_printf(reply, "No open question has the code %.*s. Open:", (int)code.len, code.data);
    else
        buf_append_text(reply, "Several questions are open; say which one:");
    for (size_t i = 0; i < questions->count; i++)
        if (is_of(&questions->all[i], kinds))
            buf_printf(reply, "\n%s: %s", questions->all[i].code, questions->all[i].name);
    return NULL;
}

static void settle(const struct questions *questions, const struct question *q, const char *told,
                   struct command_effect *effect)
{
    size_t left = 0;
    if (*q->may_answer && strcmp(q->may_answer, effect->sender) != 0) {
        buf_append_text(&effect->reply, "Only the one who asked may answer this.");
        return;
    }
    buf_append_text(&effect->reply, told);
    for (size_t i = 0; i < questions->count; i++)
        left += strcmp(questions->all[i].turn, q->turn) == 0;
    effect->asking = mem_strdup(q->turn);
    effect->answer.turn = span_of(effect->asking);
    effect->answer.iteration = q->iteration;
    effect->answer.ordinal = q->ordinal;
    effect->answer.by = span_of(effect->sender);
    effect->settlement.answer = &effect->answer;
    effect->changes = true;
    effect->takes_up = left == 1;
    if (left > 1)
        buf_printf(&effect->reply, " (%zu more to answer)", left - 1);
}

static int answer(const struct conversation *conversation, struct span rest, bool approved,
                  struct command_effect *effect, struct error *err)
{
    CLEANUP(questions_finish) struct questions questions = {0};
    int r = read_asked(conversation, &questions, err);
    if (r < 0)
        return r;
    unsigned kinds = approved ? BY_YES_OR_NO : BY_YES_OR_NO | IN_WORDS;
    const struct question *q = choose(&questions, kinds, command_word_first(rest), &effect->reply);
    if (!q)
        return 0;
    effect->answer.approved = approved;
    CLEANUP(mem_cleanup)
    char *told = mem_printf("%s: %s", approved ? "Approved" : "Denied", q->name);
    settle(&questions, q, told, effect);
    return 0;
}

// "/answer CODE TEXT", or where one such question is open, "/answer TEXT" and any text at all.
int command_answer(const struct conversation *conversation, struct span rest,
                   struct command_effect *effect, struct error *err)
{
    CLEANUP(questions_finish) struct questions questions = {0};
    CLEANUP(clarify_finish) struct clarification asked = {0};
    int r = read_asked(conversation, &questions, err);
    if (r < 0)
        return r;
    struct span code = command_word_first(rest), said = rest;
    bool named = false;
    for (size_t i = 0; i < questions.count; i++)
        named = named || (questions.all[i].in_words && has_code(&questions.all[i], code));
    said = span_trim(named ? span_skip(rest, code.len) : rest);
    const struct question *q =
        choose(&questions, IN_WORDS, named ? code : SPAN_LITERAL(""), &effect->reply);
    if (!q)
        return 0;
    if (said.len == 0 || said.len > WORDS_MAX) {
        buf_printf(&effect->reply, "Say /answer %s and at most %d bytes of text.", q->code,
                   WORDS_MAX);
        return 0;
    }
    clarify_read(span_of(q->arguments), &asked, NULL);
    effect->words = copy(clarify_choose(&asked, said));
    effect->answer.words = span_of(effect->words);
    CLEANUP(mem_cleanup) char *told = mem_printf("Answered: %s", effect->words);
    settle(&questions, q, told, effect);
    return 0;
}

// What was said before it was asked is no answer to it.
bool command_is_answer(const struct conversation *conversation, struct span text,
                       struct span sender, int64_t received_ms)
{
    CLEANUP(questions_finish) struct questions questions = {0};
    struct span word, rest;
    if (command_word_read(text, &word, &rest) || read_asked(conversation, &questions, NULL) < 0)
        return false;
    for (size_t i = 0; i < questions.count; i++) {
        const struct question *q = &questions.all[i];
        if (q->in_words && received_ms >= q->asked_ms &&
            (!*q->may_answer || span_is(sender, q->may_answer)))
            return true;
    }
    return false;
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
                    conversation->turn || effect->asking || conversation->beside_ended
                        ? "Stopped."
                        : "Nothing is running.");
    effect->stop = true;
    return r < 0 ? r : 0;
}
