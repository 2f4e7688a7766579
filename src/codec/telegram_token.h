#pragma once

#include "codec/telegram_parse.h"

// A line of Markdown as tokens: shared by telegram_inline.c, which pairs and writes them, and
// telegram_link.c, which finds what is not looked into for emphasis.

enum { TELEGRAM_TICKS_MAX = 32, TELEGRAM_EMPHASES = 3 };

enum token_kind { TOKEN_TEXT, TOKEN_CODE, TOKEN_RUN, TOKEN_LINK, TOKEN_LINK_END };

struct token {
    enum token_kind kind;
    bool can_open, can_close;
    bool is_link;     // link: Telegram opens such addresses
    bool shows_url;   // link: its text does not
    struct span text; // link: the address
    size_t length;    // run: characters as written
    size_t left;      // run: characters not paired
    unsigned opens[TELEGRAM_EMPHASES], closes[TELEGRAM_EMPHASES]; // bold, italic, strike-through
};

struct token_reader {
    struct buf tokens;
    bool in_link;
    const char *no_ticks[TELEGRAM_TICKS_MAX + 1]; // from here on no run of so many closes
};

static inline bool token_is_word(char c)
{
    return isalnum((unsigned char)c) || (unsigned char)c >= 0x80;
}

static inline size_t token_run_at(struct span text, size_t at)
{
    size_t end = at;
    while (end < text.len && text.data[end] == text.data[at])
        end++;
    return end - at;
}

static inline void token_add(struct token_reader *r, struct token token)
{
    buf_append(&r->tokens, &token, sizeof token);
}

static inline void token_add_text(struct token_reader *r, struct span text)
{
    if (text.len)
        token_add(r, (struct token){.kind = TOKEN_TEXT, .text = text});
}

struct token_link {
    struct span text, url;
    size_t length; // bytes of it all
};

// Each reads what begins at `at` and returns its bytes; without its end, the mark is text.
size_t token_take_code(struct token_reader *r, struct span text, size_t at);
size_t token_take_angle(struct token_reader *r, struct span text, size_t at); // <address>

// The link whose [ is at `at`; false when it has no end.
bool token_find_link(struct token_reader *r, struct span text, size_t at,
                     struct token_link *ret_link);
bool token_is_url(struct span url); // that Telegram opens

// An address in running text is not looked into for emphasis; 0 when none begins here.
size_t token_bare_url(struct span text, size_t at);
