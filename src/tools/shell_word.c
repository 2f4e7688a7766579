#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "tools/shell_parser.h"

void shell_word_finish(struct shell_word *word)
{
    free(word->text);
}

static bool is_meta(char c)
{
    return c != '\0' && strchr(" \t\n;&|<>()", c) != NULL;
}

bool shell_is_name(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
}

bool shell_sees(const struct shell_parser *p, const char *text)
{
    size_t len = strlen(text);
    return (size_t)(p->end - p->at) >= len && memcmp(p->at, text, len) == 0;
}

void shell_unsure(struct shell_parser *p, const char *what)
{
    if (!p->line->unsure)
        p->line->unsure = what;
}

int shell_deeper(struct shell_parser *p)
{
    return ++p->depth > SHELL_DEPTH_MAX
               ? error_set(p->err, -E2BIG, "it is nested too deep to be judged")
               : 0;
}

int shell_read_nested(struct shell_parser *p, struct span text, bool whole)
{
    struct shell_parser inner = {.at = text.data,
                                 .end = text.data + text.len,
                                 .line = p->line,
                                 .depth = p->depth,
                                 .commands = p->commands,
                                 .err = p->err};
    int r = shell_deeper(&inner);
    if (r == 0)
        r = whole ? p->commands(&inner, '\0', false) : shell_read_expansions(&inner, text);
    if (inner.document_count)
        shell_unsure(p, "a here-document within backticks");
    for (size_t i = 0; i < inner.document_count; i++)
        free(inner.documents[i].delimiter);
    return r;
}

static int read_single_quotes(struct shell_parser *p, struct buf *out)
{
    const char *close = memchr(p->at, '\'', (size_t)(p->end - p->at));
    if (!close)
        return error_set(p->err, -EINVAL, "a quote is not closed");
    buf_append(out, p->at, (size_t)(close - p->at));
    p->at = close + 1;
    return 0;
}

static unsigned digit_of(char c)
{
    if (c >= '0' && c <= '9')
        return (unsigned)(c - '0');
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? (unsigned)(c - 'a') + 10 : 99;
}

// The byte that the digits stand for. What stands for a character of several bytes is "?".
static char read_digits(struct shell_parser *p, unsigned base, int most)
{
    unsigned value = 0;
    for (; most > 0 && p->at < p->end && digit_of(*p->at) < base; most--)
        value = value * base + digit_of(*p->at++);
    return value < 0x80 ? (char)value : '?';
}

// $'...', with escapes as in C.
static int read_c_quotes(struct shell_parser *p, struct buf *out)
{
    static const char names[] = "abeEfnrtv", values[] = "\a\b\033\033\f\n\r\t\v";
    while (p->at < p->end && *p->at != '\'') {
        char c = *p->at++;
        if (c == '\\' && p->at < p->end) {
            c = *p->at++;
            const char *name = c ? strchr(names, c) : NULL;
            if (name)
                c = values[name - names];
            else if (c == 'x' || c == 'u' || c == 'U')
                c = read_digits(p, 16, c == 'x' ? 2 : c == 'u' ? 4 : 8);
            else if (c >= '0' && c <= '7') {
                p->at--;
                c = read_digits(p, 8, 3);
            }
        }
        buf_append_char(out, c ? c : '?');
    }
    if (p->at == p->end)
        return error_set(p->err, -EINVAL, "a quote is not closed");
    p->at++;
    return 0;
}

static int read_backticks(struct shell_parser *p, bool quoted)
{
    BUF_AUTO text = BUF_INIT(SHELL_LINE_MAX);
    while (p->at < p->end && *p->at != '`') {
        if (quoted && strchr("\\\"", *p->at) && *p->at)
            shell_unsure(p, "quotes in backticks in quotes");
        if (*p->at == '\\' && p->at + 1 < p->end && strchr("`\\$", p->at[1]) && p->at[1])
            p->at++;
        buf_append_char(&text, *p->at++);
    }
    if (p->at == p->end)
        return error_set(p->err, -EINVAL, "a backtick is not closed");
    p->at++;
    return shell_read_nested(p, buf_span(&text), true);
}

// Behind "$((": where its arithmetic ends, or NULL when a command begins here, with a subshell.
static const char *arithmetic_end(const struct shell_parser *p)
{
    int depth = 2;
    for (const char *at = p->at; at < p->end; at++) {
        depth += *at == '(' ? 1 : *at == ')' ? -1 : 0;
        if (depth == 1)
            return at + 1 < p->end && at[1] == ')' ? at : NULL;
    }
    return NULL;
}

static bool has_any(struct span text, const char *bytes)
{
    for (size_t i = 0; i < text.len; i++)
        if (text.data[i] && strchr(bytes, text.data[i]))
            return true;
    return false;
}

// Within "${}": where it ends is what shells disagree about most.
static void doubt_braces(struct shell_parser *p, struct span text)
{
    static const struct span process_in = SPAN_LITERAL("<("), process_out = SPAN_LITERAL(">(");
    bool doubtful = text.len == 0 || has_any(text, "'\"\\\n\t;&|@") || *text.data == ' ' ||
                    span_find(text, process_in) >= 0 || span_find(text, process_out) >= 0;
    for (size_t i = 0; i < text.len; i++)
        doubtful = doubtful || (text.data[i] == '{' && (i == 0 || text.data[i - 1] != '$'));
    if (doubtful && !span_is(text, "@"))
        shell_unsure(p, "what is within ${}");
}

// Behind "${", up to its "}".
static int read_braces(struct shell_parser *p)
{
    const char *begin = p->at;
    int depth = 1;
    char quote = '\0';
    for (; p->at < p->end && depth; p->at++) {
        if (*p->at == '\\' && quote != '\'')
            p->at += p->at + 1 < p->end;
        else if (quote)
            quote = *p->at == quote ? '\0' : quote;
        else if (*p->at == '"' || *p->at == '\'')
            quote = *p->at;
        else
            depth += *p->at == '{' ? 1 : *p->at == '}' ? -1 : 0;
    }
    if (depth)
        return error_set(p->err, -EINVAL, "a brace is not closed");
    struct span text = {begin, (size_t)(p->at - 1 - begin)};
    doubt_braces(p, text);
    return shell_read_nested(p, text, false);
}

static int read_substitution(struct shell_parser *p) // behind its "("
{
    int r = shell_deeper(p);
    if (r == 0)
        r = p->commands(p, ')', false);
    p->depth--;
    return r;
}

// Behind "$". *ret_blank: it stands for a blank.
static int read_dollar(struct shell_parser *p, bool quoted, struct shell_word *word,
                       struct buf *out, bool *ret_blank)
{
    *ret_blank = false;
    if (shell_sees(p, "["))
        shell_unsure(p, "$[");
    if (p->at == p->end || !(shell_is_name(*p->at) || strchr("({'\"@*#?$!-", *p->at))) {
        buf_append_char(out, '$');
        return 0;
    }
    if (!quoted && (*p->at == '\'' || *p->at == '"'))
        shell_unsure(p, "$ before a quote");
    if (!quoted && *p->at == '\'') {
        p->at++;
        return read_c_quotes(p, out);
    }
    if (*p->at == '\'' || *p->at == '"') {
        if (quoted)
            buf_append_char(out, '$');
        return 0;
    }
    bool open = word->open;
    word->open = true;
    if (shell_sees(p, "((")) {
        p->at += 2;
        const char *end = arithmetic_end(p);
        if (end) {
            struct span inner = {p->at, (size_t)(end - p->at)};
            if (has_any(inner, "'\"\\`;\n") || span_find(inner, SPAN_LITERAL(" #")) >= 0)
                shell_unsure(p, "what is within $(())");
            p->at = end + 2;
            return shell_read_nested(p, inner, false);
        }
        shell_unsure(p, "$((");
        p->at -= 2;
    }
    if (*p->at == '(') {
        p->at++;
        return read_substitution(p);
    }
    bool braces = *p->at == '{';
    const char *begin = p->at += braces;
    int r = 0;
    if (braces)
        r = read_braces(p);
    else if (shell_is_name(*p->at))
        while (p->at < p->end && shell_is_name(*p->at))
            p->at++;
    else
        p->at++;
    struct span name = {begin, (size_t)(p->at - begin) - braces};
    *ret_blank = !quoted && span_is(name, "IFS");
    if (*ret_blank)
        shell_unsure(p, "$IFS");
    if (span_is(name, "HOME"))
        word->open = open; // it is where everybody knows
    buf_append_char(out, '$');
    buf_append_span(out, name);
    return r;
}

static int read_double_quotes(struct shell_parser *p, struct shell_word *word, struct buf *out)
{
    int r = 0;
    bool blank;
    while (r == 0 && p->at < p->end && *p->at != '"') {
        char c = *p->at++;
        if (c == '$')
            r = read_dollar(p, true, word, out, &blank);
        else if (c == '`') {
            word->open = true;
            r = read_backticks(p, true);
        } else if (c == '\\' && p->at < p->end && *p->at == '\n') {
            shell_unsure(p, "a line that goes on within quotes");
            p->at++;
        } else {
            if (c == '\\' && p->at < p->end && strchr("$`\"\\", *p->at) && *p->at)
                c = *p->at++;
            buf_append_char(out, c);
        }
    }
    if (r == 0 && p->at == p->end)
        return error_set(p->err, -EINVAL, "a quote is not closed");
    p->at++;
    return r;
}

int shell_read_expansions(struct shell_parser *p, struct span text)
{
    struct shell_word word = {0};
    int r = 0;
    bool blank;
    for (p->at = text.data; r == 0 && p->at < p->end;) {
        BUF_AUTO out = BUF_INIT(SHELL_LINE_MAX);
        char c = *p->at++;
        if (c == '\\') {
            if (shell_sees(p, "\n"))
                shell_unsure(p, "a line of a here-document that goes on");
            p->at += p->at < p->end;
        } else if (c == '$')
            r = read_dollar(p, true, &word, &out, &blank);
        else if (c == '`')
            r = read_backticks(p, true);
    }
    return r;
}

static int read_word_part(struct shell_parser *p, struct shell_word *word, struct buf *out,
                          bool *ret_blank)
{
    char c = *p->at++;
    *ret_blank = false;
    if (c == '\\') {
        if (shell_sees(p, "\n"))
            shell_unsure(p, "a word that goes on in the next line");
        else if (p->at < p->end)
            buf_append_char(out, *p->at);
        word->quoted = true;
        p->at += p->at < p->end;
        return 0;
    }
    if (c == '\'' || c == '"') {
        word->quoted = true;
        return c == '"' ? read_double_quotes(p, word, out) : read_single_quotes(p, out);
    }
    if (c == '$')
        return read_dollar(p, false, word, out, ret_blank);
    if (c == '`') {
        word->open = true;
        return read_backticks(p, false);
    }
    if ((c == '<' || c == '>') && p->at < p->end && *p->at == '(') {
        p->at++;
        word->open = word->processes = true;
        return read_substitution(p);
    }
    word->pattern = word->pattern || strchr("*?[{", c);
    buf_append_char(out, c);
    return 0;
}

bool shell_begins_process(const struct shell_parser *p)
{
    return shell_sees(p, "<(") || shell_sees(p, ">(");
}

int shell_read_word(struct shell_parser *p, struct shell_word *ret_word)
{
    BUF_AUTO out = BUF_INIT(SHELL_LINE_MAX);
    struct shell_word word = {0};
    bool blank = false;
    int r = 0;
    const char *begin = p->at;
    if (++p->line->words > SHELL_WORDS_MAX)
        return error_set(p->err, -E2BIG, "it has too many words to be judged");
    while (r == 0 && !blank && p->at < p->end && (!is_meta(*p->at) || shell_begins_process(p))) {
        r = read_word_part(p, &word, &out, &blank);
        word.sure = word.open ? word.sure : out.len;
    }
    if (r < 0)
        return r;
    if (p->document_count && memchr(begin, '\n', (size_t)(p->at - begin)))
        shell_unsure(p, "a here-document that begins within a word");
    if (blank) { // $IFS ends it
        buf_truncate(&out, out.len - strlen("$IFS"));
        word.open = false;
    }
    word.text = buf_take_text(&out);
    *ret_word = word;
    return 0;
}
