#pragma once

#include "base/error.h"
#include "base/span.h"

/*
 * The `.env` file of a hermes-agent home, as its reader (python-dotenv) takes it: KEY=VALUE lines,
 * an optional `export`, comments, quotes. 'single' knows the escapes \\ and \', "double" also
 * \" \n \r \t \a \b \f \v; both may span lines. Unquoted text ends at the line or at " #". A key
 * without = is no pair and is passed over. ${NAME} is left alone: substitution is the
 * configuration's business.
 */

enum {
    DOTENV_BYTES_MAX = 1 << 20,
    DOTENV_VALUE_MAX = 1 << 16, // bytes of one value
};

// Key and value live until the callback returns. Nonzero stops and is returned by dotenv_parse().
typedef int (*dotenv_fn)(void *ctx, struct span key, struct span value, unsigned line);

// 0, what `fn` returned, -EBADMSG (the sentence begins with "line N: ") or -EMSGSIZE. Sentences
// never repeat a value, which may be a secret.
int dotenv_parse(struct span text, dotenv_fn fn, void *ctx, struct error *err);
