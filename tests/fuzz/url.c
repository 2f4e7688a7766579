#include "codec/url.h"

#include "fuzz.h"

// The parts put together again are the text, byte for byte.
static void reassemble(const struct url *url)
{
    BUF_AUTO text = BUF_INIT(URL_BYTES_MAX);
    buf_append_span(&text, url->scheme);
    buf_append_text(&text, "://");
    buf_append_span(&text, url->authority);
    buf_append_span(&text, url->path);
    if (url->query.data) {
        buf_append_char(&text, '?');
        buf_append_span(&text, url->query);
    }
    if (url->fragment.data) {
        buf_append_char(&text, '#');
        buf_append_span(&text, url->fragment);
    }
    REQUIRE(span_equal(buf_span(&text), url->text));

    BUF_AUTO authority = BUF_INIT(URL_BYTES_MAX);
    buf_printf(&authority, url->ipv6 ? "[%.*s]" : "%.*s", (int)url->host.len, url->host.data);
    REQUIRE(span_starts_with(url->authority, buf_text(&authority)));
    REQUIRE(url->has_port == (authority.len < url->authority.len));
}

static void check_parts(const struct url *url)
{
    REQUIRE(url->port > 0 && url->host.len > 0);
    REQUIRE(url->path.len == 0 || url->path.data[0] == '/');
    for (size_t i = 0; i < url->text.len; i++)
        REQUIRE(url->text.data[i] > ' ' && url->text.data[i] < 0x7F && url->text.data[i] != '\\');
    REQUIRE(!memchr(url->authority.data, '@', url->authority.len));
}

// A joined URL leads to the same place and may be joined again.
static void check_join(const struct url *url)
{
    BUF_AUTO joined = BUF_INIT(2 * URL_BYTES_MAX);
    REQUIRE(url_join_path(url->text, SPAN_LITERAL("a/b?c=d"), &joined));
    struct url again;
    if (joined.len > URL_BYTES_MAX)
        return;
    REQUIRE(url_parse(buf_span(&joined), &again, NULL) == 0);
    REQUIRE(span_equal(again.authority, url->authority) && again.secure == url->secure);
    REQUIRE(span_ends_with(again.path, "/a/b") && span_ends_with(again.query, "c=d"));
    REQUIRE(!again.fragment.data);
}

static void check_encoding(struct span text)
{
    BUF_AUTO encoded = BUF_INIT(3 * text.len);
    REQUIRE(url_encode(text, &encoded));
    REQUIRE(encoded.len >= text.len);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct span text = span_make(data, size);
    struct url url;
    struct error err = ERROR_INIT;
    check_encoding(text);
    if (url_parse(text, &url, &err) < 0) {
        REQUIRE(err.text[0]);
        return 0;
    }
    reassemble(&url);
    check_parts(&url);
    check_join(&url);
    return 0;
}
