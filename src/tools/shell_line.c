#include "tools/shell_line.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/mem.h"
#include "tools/shell_parser.h"

/*
 * A recursive descent over the text. Substitutions are read where they stand, so the commands in
 * them are there before the one that they are a part of. Keywords are left out where a command may
 * begin ("if", "do", "{"), which leaves what they guard as commands like all others.
 */
static int read_commands(struct shell_parser *p, char closer, bool piped);

static void command_finish(struct shell_command *command)
{
    for (size_t i = 0; i < command->count; i++)
        shell_word_finish(&command->words[i]);
    for (size_t i = 0; i < command->assignment_count; i++)
        shell_word_finish(&command->assignments[i]);
    for (size_t i = 0; i < command->redirect_count; i++)
        shell_word_finish(&command->redirects[i].target);
    free(command->words);
    free(command->assignments);
    free(command->redirects);
    free(command->input);
}

void shell_line_finish(struct shell_line *line)
{
    for (size_t i = 0; i < line->count; i++)
        command_finish(&line->commands[i]);
    free(line->commands);
    *line = (struct shell_line){0};
}

static bool is_assignment(const struct shell_word *word)
{
    size_t len = 0;
    while (shell_is_name(word->text[len]))
        len++;
    return len && len < word->sure &&
           (word->text[len] == '=' || strncmp(word->text + len, "+=", 2) == 0) &&
           (word->text[0] < '0' || word->text[0] > '9');
}

static bool is_word(const struct shell_word *word, const char *text)
{
    return !word->quoted && !word->open && strcmp(word->text, text) == 0;
}

static bool is_keyword(const struct shell_word *word)
{
    static const char *const keywords[] = {"if",   "then",  "elif",  "else", "fi", "do",
                                           "done", "while", "until", "esac", "!",  "coproc"};
    for (size_t i = 0; i < ARRAY_LEN(keywords); i++)
        if (is_word(word, keywords[i]))
            return true;
    return false;
}

// Does this command of a function's body multiply the function?
static void notice_bomb(struct shell_parser *p, const struct shell_command *command)
{
    struct shell_line *line = p->line;
    bool calls = command->count && strcmp(command->words[0].text, p->function) == 0;
    if (!*p->function || !calls)
        return;
    const struct shell_command *before = line->count ? &line->commands[line->count - 1] : NULL;
    bool twice = command->piped && before && before->count &&
                 strcmp(before->words[0].text, p->function) == 0;
    line->bomb = line->bomb || twice || command->background;
}

// Puts the command into the line, if there is anything to it, and begins the next.
static int end_command(struct shell_parser *p, struct shell_command *command, bool next_piped)
{
    struct shell_line *line = p->line;
    bool empty = !command->count && !command->assignment_count && !command->redirect_count;
    if (!empty) {
        if (line->count == SHELL_COMMANDS_MAX)
            return error_set(p->err, -E2BIG, "it has too many commands to be judged");
        notice_bomb(p, command);
        for (size_t i = 0; i < p->document_count; i++)
            if (p->documents[i].command == command && p->documents[i].index == SIZE_MAX)
                p->documents[i].index = line->count;
        line->commands =
            mem_grow(line->commands, line->count, &line->capacity, sizeof *line->commands);
        line->commands[line->count++] = *command;
    } else
        command_finish(command);
    *command = (struct shell_command){.piped = next_piped};
    return 0;
}

static void end_documents(struct shell_parser *p)
{
    for (size_t i = 0; i < p->document_count; i++)
        free(p->documents[i].delimiter);
    p->document_count = 0;
}

static int read_document(struct shell_parser *p, const struct here_document *document)
{
    const char *begin = p->at, *end = p->end;
    size_t len = strlen(document->delimiter);
    bool ended = false;
    while (p->at < p->end) {
        const char *line = p->at;
        const char *newline = memchr(line, '\n', (size_t)(p->end - line));
        const char *line_end = newline ? newline : p->end;
        p->at = newline ? newline + 1 : p->end;
        while (document->tabs && line < line_end && *line == '\t')
            line++;
        if ((size_t)(line_end - line) == len && memcmp(line, document->delimiter, len) == 0) {
            end = line;
            ended = true;
            break;
        }
    }
    if (!ended || document->depth != p->depth)
        shell_unsure(p, "where a here-document ends");
    struct span body = {begin, (size_t)(end - begin)};
    if (document->index < p->line->count) {
        struct shell_command *command = &p->line->commands[document->index];
        free(command->input);
        command->input = mem_strndup(body.data, body.len);
    }
    return document->literal ? 0 : shell_read_nested(p, body, false);
}

// Behind the newline: what the here-documents that began before it hold.
static int read_documents(struct shell_parser *p)
{
    int r = 0;
    for (size_t i = 0; r == 0 && i < p->document_count; i++)
        r = read_document(p, &p->documents[i]);
    end_documents(p);
    return r;
}

// Letters, in quotes or behind a backslash or not, which all shells take for the same.
static bool is_plain_delimiter(struct span raw)
{
    if (raw.len && *raw.data == '\\')
        raw = span_skip(raw, 1);
    else if (raw.len > 2 && (*raw.data == '\'' || *raw.data == '"') &&
             raw.data[raw.len - 1] == *raw.data)
        raw = span_make(raw.data + 1, raw.len - 2);
    for (size_t i = 0; i < raw.len; i++)
        if (!shell_is_name(raw.data[i]) && !strchr("-.+:@", raw.data[i]))
            return false;
    return raw.len > 0;
}

static int begin_document(struct shell_parser *p, struct shell_command *command,
                          struct shell_word *word, bool tabs)
{
    if (p->document_count == HERE_DOCUMENTS_MAX)
        return error_set(p->err, -E2BIG, "it has too many here-documents to be judged");
    p->documents[p->document_count++] =
        (struct here_document){command, STEAL(word->text), word->quoted, tabs, SIZE_MAX, p->depth};
    return 0;
}

// At "<" or ">", or "&>".
static int read_redirect(struct shell_parser *p, struct shell_command *command)
{
    static const char *const operators[] = {"<<<", "<<-", "&>>", "<<", ">>", ">|",
                                            "<>",  "<&",  ">&",  "&>", "<",  ">"};
    const char *op = NULL;
    for (size_t i = 0; i < ARRAY_LEN(operators) && !op; i++)
        op = shell_sees(p, operators[i]) ? operators[i] : NULL;
    p->at += strlen(op);
    if (*op == '&')
        shell_unsure(p, "&>");
    while (p->at < p->end && (*p->at == ' ' || *p->at == '\t'))
        p->at++;
    const char *begin = p->at;
    CLEANUP(shell_word_finish) struct shell_word word = {0};
    int r = shell_read_word(p, &word);
    if (r < 0)
        return r;
    if (!*word.text && !word.quoted && !word.open)
        return error_set(p->err, -EINVAL, "a redirection leads nowhere");
    if (strncmp(op, "<<", 2) == 0 && op[2] != '<') {
        if (!is_plain_delimiter(span_make(begin, (size_t)(p->at - begin))))
            shell_unsure(p, "the end of a here-document");
        return begin_document(p, command, &word, op[2] == '-');
    }
    if (strcmp(op, "<<<") == 0) {
        free(command->input);
        command->input = STEAL(word.text);
        return 0;
    }
    command->redirects = mem_grow(command->redirects, command->redirect_count,
                                  &command->redirect_capacity, sizeof *command->redirects);
    command->redirects[command->redirect_count++] =
        (struct shell_redirect){word, strchr(op, '>') != NULL};
    word.text = NULL;
    return 0;
}

static void begin_function(struct shell_parser *p, const char *name)
{
    snprintf(p->function, sizeof p->function, "%s", name);
    p->braces = 0;
}

/*
 * "case" and "esac" decide which ")" closes a substitution. They are counted where they are sure to
 * be read as such, and one case at a time; a shell that saw another end would run what is taken for
 * a quoted text here.
 */
static void count_cases(struct shell_parser *p, const struct shell_command *command,
                        const struct shell_word *word, int *cases)
{
    bool begins = is_word(word, "case"), ends = is_word(word, "esac");
    bool first = command->count == 0;
    if ((begins && first && p->cases) || (ends && (*cases <= 0 ? first : !first)))
        shell_unsure(p, "a case within another");
    if (!first || (!begins && !ends))
        return;
    if (command->assignment_count || command->redirect_count)
        shell_unsure(p, "a keyword behind an assignment");
    *cases += begins ? 1 : -1;
    p->cases += begins ? 1 : p->cases ? (unsigned)-1 : 0;
}

// "2>", of which dash takes one digit for such a number.
static bool is_descriptor(struct shell_parser *p, const struct shell_word *word)
{
    size_t digits = strspn(word->text, "0123456789");
    bool is = digits && !word->text[digits] && !word->quoted && !word->open && p->at < p->end &&
              (*p->at == '<' || *p->at == '>');
    if (is && digits > 1)
        shell_unsure(p, "a file's number of two digits");
    return is;
}

// A keyword of its own, or with options a program.
static bool is_time(struct shell_parser *p, const struct shell_word *word)
{
    const char *next = p->at;
    if (!is_word(word, "time"))
        return false;
    while (next < p->end && (*next == ' ' || *next == '\t'))
        next++;
    if (next == p->end || *next != '-')
        return true;
    shell_unsure(p, "options of time");
    return false;
}

// Is the word one that guards commands, and left out where a command begins?
static bool is_left_out(struct shell_parser *p, const struct shell_word *word)
{
    if (is_word(word, "coproc") || is_word(word, "function") || is_word(word, "select"))
        shell_unsure(p, word->text[0] == 'c'   ? "coproc"
                        : word->text[0] == 'f' ? "function"
                                               : "select");
    return is_keyword(word) || is_time(p, word);
}

// At "{" or "}" where a command begins, or behind "function f".
static int take_brace(struct shell_parser *p, struct shell_command *command, bool open)
{
    if (open && command->count == 2)
        begin_function(p, command->words[1].text);
    p->braces += open ? 1 : p->braces ? -1 : 0;
    int r = end_command(p, command, command->piped && open);
    if (!open && p->braces == 0)
        *p->function = '\0';
    return r;
}

// A word where a command is read: its name, an argument, an assignment or a keyword.
static int take_word(struct shell_parser *p, struct shell_command *command, int *cases)
{
    struct shell_word word;
    int r = shell_read_word(p, &word);
    if (r < 0)
        return r;
    bool first = command->count == 0;
    bool brace = is_word(&word, "{") || is_word(&word, "}");
    bool of_function = is_word(&word, "{") && command->count == 2 &&
                       strcmp(command->words[0].text, "function") == 0;
    count_cases(p, command, &word, cases);
    if (first && is_assignment(&word)) {
        command->assignments =
            mem_grow(command->assignments, command->assignment_count, &command->assignment_capacity,
                     sizeof *command->assignments);
        command->assignments[command->assignment_count++] = word;
        return 0;
    }
    if (brace && !first && !of_function)
        shell_unsure(p, "a brace behind a command");
    if (brace && (first || of_function)) {
        r = take_brace(p, command, is_word(&word, "{"));
        shell_word_finish(&word);
    } else if (is_descriptor(p, &word) || (first && is_left_out(p, &word)) ||
               (!*word.text && !word.quoted && !word.open))
        shell_word_finish(&word);
    else {
        command->words =
            mem_grow(command->words, command->count, &command->capacity, sizeof *command->words);
        command->words[command->count++] = word;
    }
    return r;
}

// At "(": a function that begins, a subshell, arithmetic of its own.
static int read_parenthesis(struct shell_parser *p, struct shell_command *command)
{
    p->at++;
    const char *next = p->at;
    while (next < p->end && (*next == ' ' || *next == '\t'))
        next++;
    if (command->count && next < p->end && *next == ')') {
        begin_function(p, command->words[command->count - 1].text);
        p->at = next + 1;
        command_finish(command);
        *command = (struct shell_command){0};
        return 0;
    }
    // Arithmetic, an array, a pattern of a shell that has such.
    bool pattern = command->count && strcmp(command->words[0].text, "case") == 0;
    if (shell_sees(p, "(") || ((command->count || command->assignment_count) && !pattern))
        shell_unsure(p, "a parenthesis behind a word");
    int r = shell_deeper(p);
    bool piped = command->piped && command->count == 0;
    if (r == 0)
        r = end_command(p, command, false);
    if (r == 0)
        r = read_commands(p, ')', piped);
    p->depth--;
    return r;
}

// At one of ";&|" or a newline.
static int read_operator(struct shell_parser *p, struct shell_command *command)
{
    char c = *p->at++;
    bool twice = p->at < p->end && *p->at == c && c != '\n';
    bool pipe = c == '|' && !twice;
    command->background = c == '&' && !twice;
    p->at += twice || (pipe && p->at < p->end && *p->at == '&');
    int r = end_command(p, command, pipe);
    return r == 0 && c == '\n' ? read_documents(p) : r;
}

static bool begins_redirect(const struct shell_parser *p)
{
    return (*p->at == '<' || *p->at == '>' || shell_sees(p, "&>")) && !shell_begins_process(p);
}

static int read_commands(struct shell_parser *p, char closer, bool piped)
{
    CLEANUP(command_finish) struct shell_command command = {.piped = piped};
    const char *begin = p->at;
    int r = 0, cases = 0;
    while (r == 0 && p->at < p->end) {
        char c = *p->at;
        if (c == ' ' || c == '\t')
            p->at++;
        else if (shell_sees(p, "\\\n")) {
            if (p->at == begin || !strchr(" \t\n", p->at[-1]))
                shell_unsure(p, "a line that goes on within a word");
            p->at += 2;
        } else if (c == '#')
            while (p->at < p->end && *p->at != '\n')
                p->at++;
        else if (c == ')' && closer && cases <= 0)
            break;
        else if (c == ')') {
            p->at++;
            r = end_command(p, &command, false);
        } else if (begins_redirect(p))
            r = read_redirect(p, &command);
        else if (c == '(')
            r = read_parenthesis(p, &command);
        else if (strchr(";&|\n", c))
            r = read_operator(p, &command);
        else
            r = take_word(p, &command, &cases);
    }
    if (r == 0 && closer && p->at == p->end)
        r = error_set(p->err, -EINVAL, "a parenthesis is not closed");
    if (r == 0)
        r = end_command(p, &command, false);
    p->at += r == 0 && closer;
    for (size_t i = 0; closer && i < p->document_count; i++)
        if (p->documents[i].depth == p->depth)
            shell_unsure(p, "a here-document behind a parenthesis");
    return r;
}

int shell_line_parse(struct span text, struct shell_line *ret_line, struct error *err)
{
    struct error own = ERROR_INIT;
    CLEANUP(shell_line_finish) struct shell_line line = {0};
    struct shell_parser p = {.at = text.data,
                             .end = text.data + text.len,
                             .line = &line,
                             .commands = read_commands,
                             .err = err ? err : &own};
    if (text.len > SHELL_LINE_MAX)
        return error_set(err, -E2BIG, "it is longer than %d bytes", SHELL_LINE_MAX);
    if (text.len && memchr(text.data, '\0', text.len))
        return error_set(err, -EINVAL, "it holds a NUL");
    if (text.len && memchr(text.data, '\r', text.len))
        shell_unsure(&p, "a carriage return");
    int r = read_commands(&p, '\0', false);
    if (r == 0)
        r = read_documents(&p);
    end_documents(&p);
    if (r < 0)
        return r;
    *ret_line = line;
    line = (struct shell_line){0};
    return 0;
}
