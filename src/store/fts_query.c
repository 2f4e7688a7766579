#include "store/fts_query.h"

#include <stdbool.h>
#include <string.h>

/*
 * Every word is quoted, so that no text can become syntax (AND, NEAR, a column name, an asterisk).
 * Words are runs of letters and digits, where every byte of a non-ASCII character counts as a
 * letter; FTS5's own tokenizer then has the last word, and one without a token in it matches
 * nothing.
 *
 * Words are alternatives, since bm25 puts the rows that hold more of them first, and a person who
 * asks for "the colour of my car" wants the row that says "car: red". A word of some length also
 * matches as a beginning ("apple" finds "apples"), which is all the grammar that a Pi can afford.
 */

enum { PREFIX_BYTES_MIN = 4 };

static bool is_word_byte(unsigned char c)
{
    return c >= 0x80 || (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static struct span next_word(struct span *rest)
{
    size_t start = 0;
    while (start < rest->len && !is_word_byte((unsigned char)rest->data[start]))
        start++;
    size_t end = start;
    while (end < rest->len && is_word_byte((unsigned char)rest->data[end]))
        end++;
    struct span word = span_make(rest->data + start, end - start);
    *rest = span_skip(*rest, end);
    return word;
}

int fts_query_build(struct span text, struct buf *query)
{
    int words = 0;
    while (text.len > 0 && words < FTS_WORDS_MAX) {
        struct span word = next_word(&text);
        if (word.len == 0 || word.len > FTS_WORD_BYTES_MAX)
            continue;
        buf_append_text(query, words ? " OR \"" : "\"");
        buf_append_span(query, word);
        buf_append_text(query, word.len >= PREFIX_BYTES_MIN ? "\" *" : "\"");
        words++;
    }
    return words;
}
