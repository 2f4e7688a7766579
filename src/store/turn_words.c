#include "base/mem.h"
#include "store/store_internal.h"

static const char *const turn_words[] = {
    [STORE_TURN_QUEUED] = "queued",       [STORE_TURN_PROMPT] = "prompt",
    [STORE_TURN_MODEL] = "model",         [STORE_TURN_TOOLS] = "tools",
    [STORE_TURN_DONE] = "done",           [STORE_TURN_FAILED] = "failed",
    [STORE_TURN_CANCELLED] = "cancelled", [STORE_TURN_WAITING] = "waiting",
};

static const char *const call_words[] = {
    [STORE_CALL_PENDING] = "pending",
    [STORE_CALL_DONE] = "done",
    [STORE_CALL_INTERRUPTED] = "interrupted",
};

const char *store_turn_word(enum store_turn_state state)
{
    return turn_words[state];
}

const char *store_call_word(enum store_call_state state)
{
    return call_words[state];
}

int store_word_find(const char *const *words, size_t count, struct span word)
{
    for (size_t i = 0; i < count; i++)
        if (span_is(word, words[i]))
            return (int)i;
    return -1;
}

int store_turn_state_of(struct span word)
{
    return store_word_find(turn_words, ARRAY_LEN(turn_words), word);
}

int store_call_state_of(struct span word)
{
    return store_word_find(call_words, ARRAY_LEN(call_words), word);
}
