#include "agent/turn_terms.h"

#include <stdlib.h>

#include "base/mem.h"
#include "store/turn_terms.h"

static char *copy(struct span span)
{
    return span.data ? mem_strndup(span.data, span.len) : NULL;
}

void turn_terms_init(struct turn_terms *terms, const struct store_turn_terms *from)
{
    *terms = (struct turn_terms){
        .origin = copy(from->origin),
        .slot = copy(from->slot),
        .model = copy(from->model),
        .tools = copy(from->tools),
        .reply_channel = copy(from->reply_channel),
        .reply_chat = copy(from->reply_chat),
        .reply_thread = copy(from->reply_thread),
        .asker = copy(from->asker),
        .iterations_max = from->iterations_max,
        .limit_ms = from->limit_ms,
        .priority = from->priority,
        .unattended = from->unattended,
        .interactive = from->interactive,
    };
}

void turn_terms_finish(struct turn_terms *terms)
{
    free(terms->origin);
    free(terms->slot);
    free(terms->model);
    free(terms->tools);
    free(terms->reply_channel);
    free(terms->reply_chat);
    free(terms->reply_thread);
    free(terms->asker);
}
