#include "codec/html_text.h"

#include "codec/html_token.h"
#include "codec/utf8.h"
#include "fuzz.h"

enum { TEXT_MAX = 1 << 20 };

// Whatever the bytes are: UTF-8 comes out, without a NUL, and never much more than went in.
static void check_text(struct span page, enum charset charset)
{
    BUF_AUTO text = BUF_INIT(TEXT_MAX);
    BUF_AUTO small = BUF_INIT(100);
    struct html_page given = {page, charset, SPAN_LITERAL("https://example.org/a/b?c")};
    bool whole = html_text(&given, &text);
    REQUIRE(whole != buf_is_full(&text));
    REQUIRE(utf8_valid(buf_span(&text)));
    REQUIRE(text.len == 0 || !memchr(text.data, '\0', text.len));
    html_text(&given, &small);
    REQUIRE(small.len <= small.max);
}

// All tokens together are no longer than the page, and there is an end.
static void check_tokens(struct span page)
{
    struct html_tokens tokens;
    struct html_token token;
    size_t count = 0, bytes = 0;
    html_tokens_init(&tokens, page);
    while (html_tokens_next(&tokens, &token)) {
        count++;
        bytes += token.text.len + token.attributes.len;
        REQUIRE(token.kind == HTML_TEXT ? token.text.len > 0 : token.name[0] != '\0');
    }
    REQUIRE(count <= page.len && bytes <= page.len);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct span page = span_make(data, size);
    check_tokens(page);
    check_text(page, CHARSET_UTF8);
    check_text(page, CHARSET_WINDOWS_1252);
    html_charset(page, SPAN_ABSENT);
    html_charset(SPAN_LITERAL(""), page);
    return 0;
}
