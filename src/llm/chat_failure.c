#include "llm/chat_failure.h"

#include <errno.h>

const char *chat_failure_advice(const struct chat_failure *failure)
{
    switch (failure->kind) {
    case CHAT_UNREACHABLE:
        return "check the base URL and the network (hermes doctor)";
    case CHAT_TIMED_OUT:
        return "try again later, or raise the timeout (hermes config keys)";
    case CHAT_INTERRUPTED:
        return "try again";
    case CHAT_RATE_LIMITED:
        return "wait a little, or use another model";
    case CHAT_UNAUTHORIZED:
        return "check OPENROUTER_API_KEY or OPENAI_API_KEY";
    case CHAT_PAYMENT:
        return "top up the account, raise the key's limit, or use another model";
    case CHAT_FORBIDDEN:
        return "ask differently, or use another model";
    case CHAT_NOT_FOUND:
        return "check HERMES_MODEL and the base URL";
    case CHAT_TOO_LONG:
        return "start a new conversation, or use a model with a larger context";
    case CHAT_REJECTED:
        return "check the model's name and the settings (hermes config show)";
    case CHAT_OVERLOADED:
    case CHAT_SERVER:
    case CHAT_EMPTY:
        return "try again later, or use another model";
    case CHAT_MALFORMED:
        return "check the base URL";
    case CHAT_TOO_LARGE:
        return "ask for less at once, or use another model";
    case CHAT_BUDGET:
        return failure->retry_after_ms >= 0 ? "raise it in the configuration, or wait until then"
                                            : "the budget is your own, in the configuration";
    case CHAT_EXHAUSTED:
        return "raise the limit of open files (ulimit -n), or stop other programs on this machine";
    }
    return "try again";
}

int chat_failure_code(const struct chat_failure *failure)
{
    static const unsigned passing = 1 << CHAT_UNREACHABLE | 1 << CHAT_TIMED_OUT |
                                    1 << CHAT_INTERRUPTED | 1 << CHAT_RATE_LIMITED |
                                    1 << CHAT_OVERLOADED | 1 << CHAT_SERVER | 1 << CHAT_EMPTY |
                                    1 << CHAT_EXHAUSTED;
    return failure->kind == CHAT_BUDGET ? -EDQUOT : passing >> failure->kind & 1 ? -EAGAIN : -EIO;
}
