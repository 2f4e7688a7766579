#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "agent/session.h"
#include "base/buf.h"
#include "llm/chat.h"

struct agent_env;

/*
 * How a conversation is made to fit a model again: what was said first is summed up, and results of
 * tools that are old are only named. Here it is decided and done to a history in memory; who asks
 * for the summary and writes it down are turn_compress.c and conversation_compress.c.
 */
struct compression_limits { // in tokens
    int64_t most;           // from which on it is done
    int64_t tail;           // what stays as it was said
};

struct compression_plan {
    size_t cut;     // messages before this one are summed up, or left out; 0: none
    size_t emptied; // results before this one are only named
};

// Of a model, or (NULL) of that of a slot.
struct compression_limits compression_limits_of(const struct agent_env *env, const char *model,
                                                const char *slot);
// Of its next prompt: as the provider counted the last one, and what has been added.
int64_t compression_tokens(const struct agent_env *env, const struct agent_session *session);

// A question that stays, with all behind it: of those that leave `last` messages and no more than
// the tail, the last one of all in any case. 0: nothing stands before it.
size_t compression_cut(const struct chat_history *history, size_t last, int64_t tail);
// Without a summary: results, the oldest first, then what stands before `cut`, as far as needed;
// with one, the rest that stays may still have too many. To have at most `tokens` of history.
struct compression_plan compression_fall_back(const struct chat_history *history, size_t cut,
                                              int64_t tokens);
struct compression_plan compression_shorten(const struct chat_history *history, size_t cut,
                                            int64_t tokens);
int64_t compression_gain(const struct chat_history *history,
                         struct compression_plan plan); // tokens
int64_t compression_tokens_of(size_t bytes);
size_t compression_bytes(const struct chat_history *history, size_t from, size_t to);
int64_t compression_stored(const struct chat_history *history, size_t from); // rows of the store
bool compression_is_tainted(const struct chat_history *history, size_t to);

// What the model that sums up is told and shown. False: there is no room for it.
char *compression_orders(const char *fence, struct span focus); // on the heap
bool compression_write(const struct chat_history *history, size_t cut, const char *fence,
                       size_t bytes_max, struct buf *out);

// What is kept of it: a row "summary" of the store.
struct compression_row {
    char *text; // owned; "": nothing but results is left out
    bool tainted;
    int64_t keeps, keeps_results; // as in struct store_message
};

// Does it to the history. `summary` NULL: none could be had.
struct compression_row compression_apply(struct agent_session *session,
                                         struct compression_plan plan, const char *summary);

// For whoever loads a history.
void compression_show(struct chat_history *history, const char *text, bool tainted);
void compression_empty(struct chat_message *result);
