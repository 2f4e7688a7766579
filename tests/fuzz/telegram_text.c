/*
 * The first two bytes can make a short input long: how often the rest is repeated, and what stands
 * between. Only some values do, because long inputs are slow. MarkdownV2 is read here the way
 * Telegram's server reads it, and whatever that would refuse ends the run.
 */
#include "codec/telegram_text.h"

#include "codec/utf8.h"
#include "fuzz.h"

enum {
    TEXT_BYTES_MAX = 4 << 20,
    GROWN_BYTES = 12 << 10, // three parts and more
    GROWS = 192,            // from this first byte on
    DEPTH_MAX = 16,
};

struct reading {
    struct span text;
    size_t at;
    char open[DEPTH_MAX]; // * _ ~ [ ` P(re)
    size_t begin[DEPTH_MAX];
    unsigned depth;
    bool links;
    struct buf shown;
};

static char at(const struct reading *r, size_t offset)
{
    return r->at + offset < r->text.len ? r->text.data[r->at + offset] : 0;
}

static bool in_code(const struct reading *r)
{
    char top = r->depth ? r->open[r->depth - 1] : 0;
    return top == '`' || top == 'P';
}

static void open_entity(struct reading *r, char kind, size_t length)
{
    for (unsigned i = 0; i < r->depth; i++)
        REQUIRE(r->open[i] != kind); // Telegram would read the second as the end of the first
    REQUIRE(r->depth < DEPTH_MAX);
    REQUIRE(kind != '`' || r->depth == 0);
    r->begin[r->depth] = r->shown.len;
    r->open[r->depth++] = kind;
    r->at += length;
}

static void read_url(struct reading *r)
{
    REQUIRE(at(r, 1) == '(');
    for (r->at += 2; at(r, 0) != ')'; r->at++) {
        REQUIRE(r->at < r->text.len);
        r->at += at(r, 0) == '\\';
    }
    r->links = true;
}

static void close_entity(struct reading *r, size_t length)
{
    char kind = r->open[--r->depth];
    REQUIRE(r->shown.len > r->begin[r->depth]); // not empty
    if (kind == '[')
        read_url(r);
    r->at += length;
}

static void read_pre(struct reading *r)
{
    REQUIRE(r->depth == 0);
    open_entity(r, 'P', 3);
    while (at(r, 0) != '\n') {
        REQUIRE(r->at < r->text.len && at(r, 0) != '`' && at(r, 0) != ' ');
        r->at++;
    }
    r->at++;
}

static bool is_pre_mark(const struct reading *r)
{
    return at(r, 0) == '`' && at(r, 1) == '`' && at(r, 2) == '`';
}

static void read_mark(struct reading *r)
{
    char c = at(r, 0), top = r->depth ? r->open[r->depth - 1] : 0;
    bool line_start = r->at == 0 || r->text.data[r->at - 1] == '\n';
    REQUIRE(c != '_' || at(r, 1) != '_'); // underline, which is not written
    if (top == 'P') {
        REQUIRE(is_pre_mark(r));
        close_entity(r, 3);
    } else if (c == top || (c == ']' && top == '[')) {
        close_entity(r, 1);
    } else if (is_pre_mark(r)) {
        read_pre(r);
    } else if (c == '>') {
        REQUIRE(line_start && r->depth == 0);
        r->at++;
    } else {
        REQUIRE(c == '*' || c == '_' || c == '~' || c == '`' || c == '[');
        open_entity(r, c, 1);
    }
}

static void read_markdown(struct reading *r)
{
    while (r->at < r->text.len) {
        char c = at(r, 0);
        REQUIRE(c != '\n' || r->depth == 0 || in_code(r));
        if (c == '\\') {
            REQUIRE(at(r, 1) > 0 && at(r, 1) < 127);
            buf_append_char(&r->shown, at(r, 1));
            r->at += 2;
        } else if (c && strchr(in_code(r) ? "`" : "_*[]()~`>#+-=|{}.!", c)) {
            read_mark(r);
        } else {
            buf_append_char(&r->shown, c);
            r->at++;
        }
    }
    REQUIRE(r->depth == 0);
}

static void append_ink(struct buf *out, struct span text)
{
    for (size_t i = 0; i < text.len; i++) {
        if ((unsigned char)text.data[i] > ' ' && text.data[i] != 0x7F)
            buf_append_char(out, text.data[i]);
    }
}

// The two forms of a text; `plain` gets its plain one without white space.
static void check_forms(struct span markdown, bool bounded, struct buf *plain)
{
    BUF_AUTO first = BUF_INIT(TEXT_BYTES_MAX), second = BUF_INIT(TEXT_BYTES_MAX);
    BUF_AUTO shown = BUF_INIT(TEXT_BYTES_MAX), ink = BUF_INIT(TEXT_BYTES_MAX);
    telegram_markdown(markdown, &first);
    telegram_plain(markdown, &second);
    struct reading r = {.text = buf_span(&first), .shown = BUF_INIT(TEXT_BYTES_MAX)};
    read_markdown(&r);
    REQUIRE(utf8_valid(buf_span(&first)) && utf8_valid(buf_span(&second)));
    if (bounded)
        REQUIRE(telegram_units(buf_span(&first)) <= TELEGRAM_UNITS_MAX &&
                telegram_units(buf_span(&second)) <= TELEGRAM_UNITS_MAX);
    append_ink(&shown, buf_span(&r.shown));
    append_ink(&ink, buf_span(&second));
    if (!r.links)
        REQUIRE(span_equal(buf_span(&shown), buf_span(&ink)));
    REQUIRE(!bounded || ink.len > 0);
    buf_append_span(plain, buf_span(&ink));
    buf_finish(&r.shown);
}

static bool is_letter(char c)
{
    return ((c | 0x20) >= 'a' && (c | 0x20) <= 'z') || (unsigned char)c >= 0x80;
}

// Where a table was cut its layout may differ from the whole one's, but its words are there.
static void check_words(struct span whole, struct span parts)
{
    for (size_t i = 0; i < whole.len; i++) {
        size_t end = i;
        while (end < whole.len && is_letter(whole.data[end]))
            end++;
        if (end > i && end - i < 100)
            REQUIRE(span_find(parts, (struct span){whole.data + i, end - i}) >= 0);
        i = end;
    }
}

static void check_parts(struct span markdown, struct span whole)
{
    struct telegram_split state = {0};
    struct span rest = markdown;
    BUF_AUTO part = BUF_INIT(TELEGRAM_PART_BYTES_MAX), parts = BUF_INIT(TEXT_BYTES_MAX);
    bool table_cut = false;
    for (size_t count = 0; telegram_next_part(&state, &rest, &part); count++) {
        REQUIRE(count <= markdown.len && !buf_is_full(&part));
        REQUIRE(utf8_valid(buf_span(&part)));
        check_forms(buf_span(&part), true, &parts);
        table_cut |= state.table.data != NULL;
        buf_clear(&part);
    }
    REQUIRE(rest.len == 0);
    if (table_cut)
        check_words(whole, buf_span(&parts));
    else
        REQUIRE(span_equal(whole, buf_span(&parts)));
}

static void check_preview(struct span markdown)
{
    BUF_AUTO preview = BUF_INIT(TEXT_BYTES_MAX);
    telegram_preview(markdown, &preview);
    REQUIRE(telegram_units(buf_span(&preview)) <= TELEGRAM_UNITS_MAX - 2);
    REQUIRE(utf8_valid(buf_span(&preview)));
    bool white = span_trim(markdown).len == 0;
    REQUIRE(white || span_trim(buf_span(&preview)).len > 0);
}

// Bytes that are no UTF-8 are never given, but must do no harm.
static void feed_raw(struct span text)
{
    struct telegram_split state = {0};
    BUF_AUTO out = BUF_INIT(TEXT_BYTES_MAX);
    telegram_preview(text, &out);
    for (struct span rest = text; telegram_next_part(&state, &rest, &out);)
        buf_clear(&out);
}

static void grow(struct span seed, unsigned times, unsigned filler, struct buf *out)
{
    static const char *const between[] = {"", "\n", "\n\n", " ", "word ", "| a | b |\n"};
    for (unsigned i = 0; i < times && out->len < GROWN_BYTES; i++) {
        buf_append_span(out, seed);
        for (unsigned j = 0; j < (filler >> 3) * 24; j++)
            buf_append_text(out, between[(filler & 7) % 6]);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2)
        return 0;
    BUF_AUTO raw = BUF_INIT(TEXT_BYTES_MAX), text = BUF_INIT(TEXT_BYTES_MAX);
    BUF_AUTO plain = BUF_INIT(TEXT_BYTES_MAX);
    struct span seed = span_make(data + 2, size - 2);
    if (data[0] >= GROWS)
        grow(seed, 1 + data[0] % 64, data[1], &raw);
    else
        buf_append_span(&raw, seed);
    feed_raw(buf_span(&raw));
    utf8_sanitize(buf_span(&raw), &text);
    check_forms(buf_span(&text), false, &plain);
    check_parts(buf_span(&text), buf_span(&plain));
    check_preview(buf_span(&text));
    return 0;
}
