#include "agent/turn_terms.h"

#include <stdlib.h>

#include "base/mem.h"
#include "llm/origin.h"
#include "store/turn_terms.h"

// What would outlive it, reach a person, or begin more of its kind.
const char turn_child_withheld[] =
    "delegate_task clarify memory remember skill_manage cronjob cronjob_manage send_message";

static char *copy(struct span span)
{
    return span.data ? mem_strndup(span.data, span.len) : NULL;
}

void turn_terms_init(struct turn_terms *terms, const struct store_turn_terms *from)
{
    *terms = (struct turn_terms){
        .origin = copy(from->origin),
        .parent = copy(from->parent),
        .slot = copy(from->slot),
        .model = copy(from->model),
        .tools = copy(from->tools),
        .reply_channel = copy(from->reply_channel),
        .reply_chat = copy(from->reply_chat),
        .reply_thread = copy(from->reply_thread),
        .asker = copy(from->asker),
        .iterations_max = from->iterations_max,
        .limit_ms = from->limit_ms,
        .priority = from->priority >= 0 && from->priority < CHAT_PRIORITIES ? from->priority
                                                                            : CHAT_BACKGROUND,
        .unattended = from->unattended,
        .interactive = from->interactive,
    };
}

void turn_terms_finish(struct turn_terms *terms)
{
    free(terms->origin);
    free(terms->parent);
    free(terms->slot);
    free(terms->model);
    free(terms->tools);
    free(terms->reply_channel);
    free(terms->reply_chat);
    free(terms->reply_thread);
    free(terms->asker);
}
