#include "mcp/challenge.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/buf.h"
#include "base/mem.h"

enum { VALUE_MAX = 4096 }; // bytes of one parameter

static bool is_token_char(char c)
{
    return c && (strchr("!#$%&'*+-.^_`|~", c) || (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') ||
                 (c >= 'A' && c <= 'Z'));
}

static struct span cut_token(struct span *rest)
{
    size_t len = 0;
    while (len < rest->len && is_token_char(rest->data[len]))
        len++;
    struct span token = {rest->data, len};
    *rest = span_skip(*rest, len);
    return token;
}

static void skip(struct span *rest, const char *characters)
{
    while (rest->len && strchr(characters, rest->data[0]) && rest->data[0])
        *rest = span_skip(*rest, 1);
}

// A token, or a quoted string without its quotes and backslashes. False: neither.
static bool cut_value(struct span *rest, struct buf *out)
{
    if (!rest->len || rest->data[0] != '"') {
        struct span token = cut_token(rest);
        return token.len && buf_append_span(out, token);
    }
    *rest = span_skip(*rest, 1);
    while (rest->len && rest->data[0] != '"') {
        size_t escaped = rest->data[0] == '\\' && rest->len > 1;
        if (rest->data[escaped] == '\0' || !buf_append_char(out, rest->data[escaped]))
            return false;
        *rest = span_skip(*rest, 1 + escaped);
    }
    bool closed = rest->len > 0;
    *rest = span_skip(*rest, closed);
    return closed;
}

static void take(struct challenge *challenge, struct span name, const char *value)
{
    static const char *const names[] = {"resource_metadata", "scope", "error"};
    char **const members[] = {&challenge->resource_metadata, &challenge->scope, &challenge->error};
    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        if (name.len == strlen(names[i]) && strncasecmp(name.data, names[i], name.len) == 0 &&
            !*members[i])
            *members[i] = mem_strdup(value);
}

/*
 * A scheme and a parameter both begin with a token: it is a parameter's name when "=" and a value
 * follow. What stands behind a scheme alone is its token68, which no challenge that is wanted has.
 */
bool challenge_parse(struct span header, struct challenge *ret_challenge)
{
    struct challenge challenge = {0};
    bool bearer = false, within = false;
    for (;;) {
        skip(&header, " \t,");
        struct span token = cut_token(&header), after = header;
        if (token.len == 0)
            break;
        skip(&after, " \t");
        if (after.len && after.data[0] == '=') {
            BUF_AUTO value = BUF_INIT(VALUE_MAX);
            header = span_skip(after, 1);
            skip(&header, " \t");
            if (header.len && header.data[0] != '"' && !is_token_char(header.data[0])) {
                skip(&header, "="); // the end of a token68
                continue;
            }
            if (!cut_value(&header, &value))
                break;
            if (within)
                take(&challenge, token, buf_text(&value));
            continue;
        }
        within = !bearer && token.len == 6 && strncasecmp(token.data, "Bearer", 6) == 0;
        bearer = bearer || within;
    }
    if (bearer)
        *ret_challenge = challenge;
    else
        challenge_finish(&challenge);
    return bearer;
}

void challenge_finish(struct challenge *challenge)
{
    free(challenge->resource_metadata);
    free(challenge->scope);
    free(challenge->error);
    *challenge = (struct challenge){0};
}
