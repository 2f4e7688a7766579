#pragma once

#include <stdint.h>

#include "base/buf.h"
#include "base/error.h"
#include "base/list.h"
#include "codec/json.h"

/*
 * What a server wants to know of a person (elicitation/create, revision 2025-11-25): a form, whose
 * fields are asked one after the other and shown once more before they are sent, or a page that the
 * person is to visit, which nobody else opens. Everything in it is somebody else's text, and stands
 * behind the server's name; what does not fit into one question is not asked.
 */
enum {
    ELICITATION_FIELDS_MAX = 32,
    ELICITATION_OPTIONS_MAX = 64,          // of one field
    ELICITATION_KEY_MAX = 256,             // bytes
    ELICITATION_CONTENT_MAX = 128 * 1024,  // bytes of an answer
    ELICITATION_ARGUMENTS_MAX = 16 * 1024, // bytes of a question
};

enum elicitation_next {
    ELICITATION_ASKS, // again, or the next field
    ELICITATION_ACCEPT,
    ELICITATION_DECLINE,
};

struct elicitation;

// Negative, with a sentence: it cannot be asked. `number` is the caller's.
int elicitation_create(uint64_t number, const char *server, struct json_value params,
                       struct elicitation **ret_elicitation, struct error *err);
void elicitation_destroy(struct elicitation *elicitation); // takes it out of its list; accepts NULL

uint64_t elicitation_number(const struct elicitation *elicitation);
struct list *elicitation_link(struct elicitation *elicitation);
struct elicitation *elicitation_of(struct list *link);

// What is asked now, as arguments of tools/clarify.h.
int elicitation_write(const struct elicitation *elicitation, struct buf *out, struct error *err);
// What the person said to that.
enum elicitation_next elicitation_take(struct elicitation *elicitation, struct span said);
// Once it is accepted: the object of its answers; empty for a page.
struct span elicitation_content(struct elicitation *elicitation);
