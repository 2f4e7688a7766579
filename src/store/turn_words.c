#include <errno.h>

#include "store/store_internal.h"

const char *const store_turn_words[STORE_TURN_UNKNOWN] = {
    [STORE_TURN_QUEUED] = "queued",       [STORE_TURN_PROMPT] = "prompt",
    [STORE_TURN_MODEL] = "model",         [STORE_TURN_TOOLS] = "tools",
    [STORE_TURN_DONE] = "done",           [STORE_TURN_FAILED] = "failed",
    [STORE_TURN_CANCELLED] = "cancelled", [STORE_TURN_WAITING] = "waiting",
};

const char *const store_call_words[] = {
    [STORE_CALL_PENDING] = "pending",
    [STORE_CALL_DONE] = "done",
    [STORE_CALL_INTERRUPTED] = "interrupted",
};

int store_word_find(const char *const *words, size_t count, struct span word)
{
    for (size_t i = 0; i < count; i++)
        if (span_is(word, words[i]))
            return (int)i;
    return -1;
}

int store_word_read(const char *const *words, size_t count, struct span word, const char *what,
                    struct error *err)
{
    int found = store_word_find(words, count, word);
    return found >= 0 ? found
                      : error_set(err, -EINVAL, "%s \"%.*s\", which is unknown", what,
                                  (int)word.len, word.data);
}
