#include "agent/conversation_compress.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/command_word.h"
#include "agent/compression_call.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/random.h"
#include "llm/provider.h"

/*
 * /compress: a model sums up before the command runs, which then is one change of the store like
 * any other. A kill before that leaves the message in the inbox and the conversation as it was.
 */
enum { STAYS = 2 }; // messages: the last question and its answer

void conversation_stop_compressing(struct conversation *conversation)
{
    struct conversation_compressing *own = conversation->compressing;
    if (!conversation_is_compressing(conversation))
        return;
    side_call_cancel(STEAL(own->call));
    snprintf(own->trouble, sizeof own->trouble, "it was stopped");
    conversation_wake(conversation);
}

static void on_done(void *context, struct chat_reply *reply, const char *trouble)
{
    struct conversation *conversation = context;
    struct conversation_compressing *own = conversation->compressing;
    own->call = NULL;
    if (reply)
        own->summary =
            compression_summary(&conversation->session->history, own->cut, reply, &trouble);
    snprintf(own->trouble, sizeof own->trouble, "%s", own->summary ? "" : trouble);
    chat_provider_end_work(agent_env(conversation->host->agent)->provider, own->work, false);
    LOG_EVENT(own->summary ? LOG_INFO : LOG_WARNING, "session.compressed", own->work,
              LOG_TEXT("session", conversation->session->id),
              LOG_NUMBER("messages", (int64_t)own->cut),
              LOG_COUNT("prompt_tokens", reply ? reply->usage.prompt_tokens : -1),
              LOG_COUNT("completion_tokens", reply ? reply->usage.completion_tokens : -1),
              LOG_TEXT("error", own->trouble));
    conversation_wake(conversation);
}

bool conversation_compress(struct conversation *conversation, const struct pending_message *message)
{
    struct agent_session *session = conversation->session;
    struct error err = ERROR_INIT;
    struct span word, rest;
    if (conversation->compressing)
        return true;
    struct conversation_compressing *own = mem_new(struct conversation_compressing);
    conversation->compressing = own;
    random_hex(own->work, sizeof own->work);
    own->cut = session->unsaved ? 0 : compression_cut(&session->history, STAYS, 0);
    command_word_read(span_make(message->text, message->len), &word, &rest);
    if (own->cut && compression_call(conversation->host->agent,
                                     &(struct compression_request){session, own->cut, rest,
                                                                   own->work, CHAT_INTERACTIVE},
                                     on_done, conversation, &own->call, &err) < 0)
        snprintf(own->trouble, sizeof own->trouble, "%s", err.text);
    return !own->call;
}
