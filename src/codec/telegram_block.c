/*
 * Markdown is read by lines, and nearly every line is a block of its own. This is not CommonMark:
 * what a model writes for a chat has no lazy continuations, no code by indentation and no
 * underlined headings worth the name, and blocks that end where their line ends make it safe to
 * cut a text at any line end. Only code blocks and tables span lines.
 */
#include "codec/telegram_parse.h"

enum {
    FENCE_MAX = 32, // characters; a longer run is text
    FENCE_INDENT_MAX = 64,
    HEADING_LEVEL_MAX = 6,
    NUMBER_DIGITS_MAX = 9,
    FENCE_END_INDENT_MAX = 3, // beyond the indentation of the opening fence: CommonMark's number
};

static size_t indentation(struct span line)
{
    size_t n = 0;
    while (n < line.len && (line.data[n] == ' ' || line.data[n] == '\t'))
        n++;
    return n;
}

static bool is_rule(struct span text)
{
    char mark = text.data[0];
    size_t marks = 0;
    if (mark != '-' && mark != '*' && mark != '_')
        return false;
    for (size_t i = 0; i < text.len; i++) {
        if (text.data[i] == mark)
            marks++;
        else if (!telegram_is_white(text.data[i]))
            return false;
    }
    return marks >= 3;
}

static bool ends_word(struct span text, size_t at)
{
    return at == text.len || telegram_is_white(text.data[at]);
}

static bool take_heading(struct span text, struct telegram_block *b)
{
    size_t level = telegram_run(text, '#');
    if (level == 0 || level > HEADING_LEVEL_MAX || !ends_word(text, level))
        return false;
    text = span_trim(span_skip(text, level));
    struct span open = text;
    while (open.len && open.data[open.len - 1] == '#')
        open.len--;
    if (open.len == 0 || telegram_is_white(open.data[open.len - 1]))
        text = span_trim(open); // "# Title #" may be closed
    b->kind = TELEGRAM_HEADING;
    b->text = text;
    return true;
}

static bool take_item(struct span text, struct telegram_block *b)
{
    size_t mark = 0;
    while (mark < text.len && text.data[mark] >= '0' && text.data[mark] <= '9')
        mark++;
    char c = mark < text.len ? text.data[mark] : 0;
    bool numbered = mark > 0 && mark <= NUMBER_DIGITS_MAX && (c == '.' || c == ')');
    bool bullet = mark == 0 && (c == '-' || c == '*' || c == '+');
    if ((!numbered && !bullet) || !ends_word(text, mark + 1))
        return false;
    b->kind = TELEGRAM_ITEM;
    b->number = (struct span){text.data, numbered ? mark + 1 : 0};
    text = span_trim(span_skip(text, mark + 1));
    if (text.len >= 3 && text.data[0] == '[' && text.data[2] == ']' && ends_word(text, 3) &&
        memchr(" xX", text.data[1], 3)) {
        b->task = text.data[1] == ' ' ? ' ' : 'x';
        text = span_trim(span_skip(text, 3));
    }
    b->text = text;
    return true;
}

static bool take_quote(struct span text, struct telegram_block *b)
{
    if (text.data[0] != '>')
        return false;
    // Telegram's quotes do not nest.
    while (text.len && (text.data[0] == '>' || telegram_is_white(text.data[0])))
        text = span_skip(text, 1);
    b->kind = TELEGRAM_QUOTE;
    b->text = text;
    return true;
}

static bool take_fence(struct span text, struct telegram_block *b)
{
    char fence = text.data[0];
    size_t length = telegram_run(text, fence);
    if ((fence != '`' && fence != '~') || length < 3 || length > FENCE_MAX ||
        b->indent > FENCE_INDENT_MAX)
        return false;
    struct span info = span_trim(span_skip(text, length));
    if (fence == '`' && info.len && memchr(info.data, '`', info.len))
        return false; // code within the line
    b->kind = TELEGRAM_FENCE;
    b->fence = fence;
    b->fence_length = length;
    size_t word = 0;
    while (word < info.len && !telegram_is_white(info.data[word]) && info.data[word] != fence)
        word++; // written again right behind the fence, it must not lengthen it
    b->language = (struct span){info.data, word};
    return true;
}

void telegram_classify(struct span line, struct telegram_block *b)
{
    struct span whole = line;
    while (whole.len && telegram_is_white(whole.data[whole.len - 1]))
        whole.len--;
    size_t indent = indentation(whole);
    struct span text = span_skip(whole, indent);
    *b = (struct telegram_block){.kind = TELEGRAM_TEXT, .raw = line, .text = whole};
    b->indent = indent;
    b->lead = (struct span){line.data, indent};
    if (span_trim(text).len == 0)
        b->kind = TELEGRAM_BLANK;
    else if (is_rule(text))
        b->kind = TELEGRAM_RULE;
    else if (!take_heading(text, b) && !take_quote(text, b) && !take_item(text, b))
        take_fence(text, b);
}

bool telegram_is_fence_end(struct span line, char fence, size_t length)
{
    line = span_trim(line);
    size_t run = telegram_run(line, fence);
    return run >= length && run == line.len;
}

bool telegram_is_row(struct span line)
{
    struct telegram_block b;
    telegram_classify(line, &b);
    return line.len <= TELEGRAM_TABLE_LINE_MAX && b.kind != TELEGRAM_BLANK &&
           b.kind != TELEGRAM_FENCE && memchr(line.data, '|', line.len);
}

static void take_code(struct span *rest, struct telegram_block *b)
{
    b->kind = TELEGRAM_PRE;
    b->text = (struct span){rest->data, 0};
    while (rest->len && !b->closed) {
        struct span line = telegram_cut_line(rest);
        b->closed = indentation(line) <= b->indent + FENCE_END_INDENT_MAX &&
                    telegram_is_fence_end(line, b->fence, b->fence_length);
        if (!b->closed)
            b->text.len += line.len;
        b->raw.len += line.len;
    }
}

static bool take_table(struct span *rest, struct telegram_block *b)
{
    struct span after = *rest, delimiter = telegram_cut_line(&after);
    if (!telegram_is_row(b->raw) || delimiter.len > TELEGRAM_TABLE_LINE_MAX ||
        !telegram_table_columns(b->raw, delimiter))
        return false;
    b->kind = TELEGRAM_TABLE;
    b->head = (struct span){b->raw.data, b->raw.len + delimiter.len};
    b->text = (struct span){after.data, 0};
    *rest = after;
    while (after.len && telegram_is_row(telegram_cut_line(&after))) {
        b->text.len += rest->len - after.len;
        *rest = after;
    }
    b->raw.len = b->head.len + b->text.len;
    return true;
}

bool telegram_next_block(struct span *rest, struct telegram_block *b)
{
    if (rest->len == 0)
        return false;
    telegram_classify(telegram_cut_line(rest), b);
    if (b->kind == TELEGRAM_FENCE)
        take_code(rest, b);
    else if (b->kind == TELEGRAM_TEXT)
        take_table(rest, b);
    return true;
}
