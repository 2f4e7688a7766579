#include "agent/command_word.h"

#include <string.h>

struct span command_word_first(struct span text)
{
    size_t len = 0;
    while (len < text.len && !strchr(" \t\r\n", text.data[len]))
        len++;
    return span_make(text.data, len);
}

bool command_word_read(struct span text, struct span *ret_word, struct span *ret_rest)
{
    struct span word = command_word_first(text);
    if (word.len < 2 || word.data[0] != '/' || memchr(word.data + 1, '/', word.len - 1))
        return false;
    *ret_rest = span_trim(span_skip(text, word.len));
    ptrdiff_t at = span_find(word, SPAN_LITERAL("@"));
    *ret_word = span_make(word.data, at > 0 ? (size_t)at : word.len);
    return true;
}
