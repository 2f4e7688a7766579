#pragma once

#include <stddef.h>
#include <stdint.h>

struct chat_failure;
struct chat_reply;
struct turn;
struct turn_call;
struct turn_request;

// Private to the agent: the record of a turn, for the log.
void turn_log_begin(const struct turn *turn, const struct turn_request *request);
void turn_log_compressed(const struct turn *turn, int64_t tokens, int64_t after, size_t messages,
                         const char *trouble);
void turn_log_reply(const struct turn *turn, const struct chat_reply *reply);
void turn_log_failure(const struct turn *turn, const struct chat_failure *failure);
void turn_take_failure(struct turn *turn, const struct chat_failure *failure); // and what it means
void turn_log_notice(const struct turn *turn, const char *notice);
void turn_log_taint(const struct turn_call *call); // by its result, unless it is already
void turn_log_judgement(const struct turn_call *call, const char *tool); // that it runs
// The reply of the approval model, or NULL; `trouble`: it could not decide, or "".
void turn_log_verdict(const struct turn_call *call, const struct chat_reply *reply,
                      const char *trouble);
void turn_log_call(const struct turn_call *call, int64_t ms);
void turn_log_end(const struct turn *turn);
