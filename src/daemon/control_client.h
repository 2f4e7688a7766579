#pragma once

#include "base/buf.h"
#include "base/error.h"
#include "base/span.h"

/*
 * The other end of serve/control.h: commands that ask the process that owns a home. Nobody listens
 * where no hermes runs, and where one was killed its socket is left over: both are
 * CONTROL_NO_OWNER, and then the home's lock can be taken.
 */
enum { CONTROL_NO_OWNER = 1 };

// One question, with a loop of its own. 0 and the answer, which is JSON; CONTROL_NO_OWNER; negative
// with a sentence when the owner refuses (as control_client_refusal()) or does not answer.
int control_client_ask(const char *home, const char *method, const char *path, struct buf *ret_body,
                       struct error *err);
// The same of one with a body, whose answer may take that long to begin.
int control_client_post(const char *home, const char *path, struct span body, int64_t patience_ms,
                        struct buf *ret_body, struct error *err);

// The sentence of an answer with a status of 400 and more; returns a negative code.
int control_client_refusal(unsigned status, struct span body, struct error *err);

char *control_client_socket(const char *home); // its path, on the heap
