#pragma once

#include "agent/conversation.h"
#include "base/error.h"

struct side_call;

struct conversation_compressing {
    struct side_call *call; // NULL: it has ended
    size_t cut;
    char *summary;                // NULL: there is none
    char trouble[ERROR_TEXT_MAX]; // "": nothing stands before the last question
    char work[33];
};

// A summary for /compress. True: the command can run; else host->next() follows.
bool conversation_compress(struct conversation *conversation,
                           const struct pending_message *message);
void conversation_stop_compressing(struct conversation *conversation); // then the command says so

// conversation.c
bool conversation_is_compressing(const struct conversation *conversation);
void conversation_forget_compressing(struct conversation *conversation);
