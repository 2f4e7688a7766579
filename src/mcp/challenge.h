#pragma once

#include <stdbool.h>

#include "base/span.h"

/*
 * What a server of resources asks for: the parameters of the "Bearer" challenge in a
 * WWW-Authenticate (RFC 6750 §3, RFC 9110 §11.6.1), which may stand behind other challenges.
 */
struct challenge {
    char *resource_metadata; // owned; NULL: not said
    char *scope, *error;     // the same
};

// False: there is no such challenge.
bool challenge_parse(struct span header, struct challenge *ret_challenge);
void challenge_finish(struct challenge *challenge); // accepts zeroed
