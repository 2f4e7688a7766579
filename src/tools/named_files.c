#include "tools/named_files.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "codec/json.h"
#include "codec/text_patch.h"
#include "tools/shell_line.h"
#include "tools/tool.h"

enum {
    DIRECTORIES_MAX = 8, // that one command line goes to
    NESTED_MAX = 3,      // command lines within command lines
};

struct finder {
    const char *workspace;
    struct named_files *files;
    char *directories[DIRECTORIES_MAX]; // owned
    size_t directory_count;
};

void named_files_finish(struct named_files *files)
{
    for (size_t i = 0; i < files->count; i++)
        free(files->all[i].path);
    free(files->all);
    *files = (struct named_files){0};
}

// What of a text is below the workspace, if it can be.
static bool below(const char *workspace, const char *directory, struct span text, struct buf *out)
{
    static const char *const homes[] = {"~", "$HOME", "$PWD"}; // where commands begin, and live
    struct span root = span_of(workspace);
    bool absolute = span_starts_with(text, workspace);
    for (size_t i = 0; !absolute && i < ARRAY_LEN(homes); i++) {
        absolute = span_starts_with(text, homes[i]);
        root = absolute ? span_of(homes[i]) : root;
    }
    if (absolute) {
        text = span_skip(text, root.len);
        if (text.len && *text.data != '/')
            return false;
    } else if (text.len && *text.data == '/') {
        return false;
    } else {
        buf_append_text(out, directory);
        buf_append_char(out, '/');
    }
    return buf_append_span(out, text);
}

// The path without what leads nowhere; NULL: it leads out of the workspace.
static char *normalise(const char *workspace, const char *directory, struct span text)
{
    BUF_AUTO whole = BUF_INIT(2 * TOOL_PATH_MAX);
    BUF_AUTO path = BUF_INIT(2 * TOOL_PATH_MAX);
    if (text.len == 0 || text.len > TOOL_PATH_MAX || memchr(text.data, '\0', text.len) ||
        !below(workspace, directory, text, &whole))
        return NULL;
    struct span rest = buf_span(&whole);
    while (rest.len) {
        struct span part = span_cut(&rest, '/');
        if (part.len == 0 || span_is(part, "."))
            continue;
        if (span_is(part, "..")) {
            const char *slash = path.len ? strrchr(path.data, '/') : NULL;
            if (path.len == 0)
                return NULL;
            buf_truncate(&path, slash ? (size_t)(slash - path.data) : 0);
            continue;
        }
        if (path.len)
            buf_append_char(&path, '/');
        buf_append_span(&path, part);
    }
    return buf_is_full(&path) ? NULL : mem_strdup(buf_text(&path));
}

static void add(struct finder *finder, const char *directory, struct span text, bool pattern)
{
    struct named_files *files = finder->files;
    char *path = normalise(finder->workspace, directory, text);
    bool known = path == NULL;
    for (size_t i = 0; !known && i < files->count; i++)
        known = strcmp(files->all[i].path, path) == 0 && files->all[i].pattern == pattern;
    files->more = files->more || (!known && files->count == NAMED_FILES_MAX);
    if (known || files->count == NAMED_FILES_MAX) {
        free(path);
        return;
    }
    files->all = mem_grow(files->all, files->count, &files->capacity, sizeof *files->all);
    files->all[files->count++] = (struct named_file){path, pattern};
}

// A word as it is, behind "=" ("--file=x") and behind "@" ("-d @x").
static void add_word(struct finder *finder, const struct shell_word *word)
{
    struct span text = span_of(word->text), value = text;
    if (word->open && !span_starts_with(text, "$PWD"))
        return;
    span_cut(&value, '=');
    for (size_t i = 0; i < finder->directory_count; i++) {
        const char *directory = finder->directories[i];
        add(finder, directory, text, word->pattern);
        add(finder, directory, value, word->pattern);
        if (span_starts_with(text, "@"))
            add(finder, directory, span_skip(text, 1), word->pattern);
    }
}

static void go_to(struct finder *finder, const struct shell_word *word)
{
    size_t known = finder->directory_count; // each of them may be where it starts from
    for (size_t i = 0; i < known && finder->directory_count < DIRECTORIES_MAX; i++) {
        char *path = normalise(finder->workspace, finder->directories[i], span_of(word->text));
        if (path)
            finder->directories[finder->directory_count++] = path;
    }
}

static void find_directories(struct finder *finder, const struct shell_command *command)
{
    const struct shell_word *words = command->words;
    for (size_t i = 0; i + 1 < command->count; i++)
        if ((i == 0 && (strcmp(words[i].text, "cd") == 0 || strcmp(words[i].text, "pushd") == 0)) ||
            strcmp(words[i].text, "-C") == 0)
            go_to(finder, &words[i + 1]);
}

static void find_in_line(struct finder *finder, struct span text, int depth);

static void find_in_command(struct finder *finder, const struct shell_command *command, int depth)
{
    for (size_t i = 0; i < command->count; i++) {
        add_word(finder, &command->words[i]);
        if (command->words[i].quoted && strpbrk(command->words[i].text, " \t\n;|&<>"))
            find_in_line(finder, span_of(command->words[i].text), depth + 1); // sh -c '...'
    }
    for (size_t i = 0; i < command->assignment_count; i++)
        add_word(finder, &command->assignments[i]);
    for (size_t i = 0; i < command->redirect_count; i++)
        add_word(finder, &command->redirects[i].target);
    if (command->input)
        find_in_line(finder, span_of(command->input), depth + 1);
}

// Commands come in no particular order, so each may run in any directory that the line goes to.
static void find_in_line(struct finder *finder, struct span text, int depth)
{
    CLEANUP(shell_line_finish) struct shell_line line = {0};
    if (depth > NESTED_MAX || shell_line_parse(text, &line, NULL) < 0)
        return;
    for (size_t i = 0; i < line.count; i++)
        find_directories(finder, &line.commands[i]);
    for (size_t i = 0; i < line.count; i++)
        find_in_command(finder, &line.commands[i], depth);
}

static void find_of_command(struct finder *finder, struct json_value arguments)
{
    BUF_AUTO command = BUF_INIT(SHELL_LINE_MAX);
    BUF_AUTO workdir = BUF_INIT(TOOL_PATH_MAX);
    json_string(json_get(arguments, "command"), &command);
    json_string(json_get(arguments, "workdir"), &workdir);
    char *begin =
        normalise(finder->workspace, "", workdir.len ? buf_span(&workdir) : SPAN_LITERAL("."));
    if (!begin)
        return;
    finder->directories[finder->directory_count++] = begin;
    find_in_line(finder, buf_span(&command), 0);
    for (size_t i = 0; i < finder->directory_count; i++)
        free(finder->directories[i]);
}

static void find_of_file_tool(struct finder *finder, struct json_value arguments)
{
    BUF_AUTO path = BUF_INIT(TOOL_PATH_MAX);
    BUF_AUTO patch = BUF_INIT(TOOL_CONTENT_MAX);
    json_string(json_get(arguments, "path"), &path);
    json_string(json_get(arguments, "patch"), &patch);
    add(finder, "", path.len ? buf_span(&path) : SPAN_LITERAL("."), false);
    TEXT_PATCH_AUTO parsed = {0};
    if (patch.len && text_patch_parse(buf_span(&patch), &parsed, NULL) == 0)
        for (size_t i = 0; i < parsed.file_count; i++)
            add(finder, "", parsed.files[i].path, false);
}

void named_files_find(const char *workspace, const char *tool, struct span arguments,
                      struct named_files *ret_files)
{
    static const char *const file_tools[] = {"list_files", "patch", "read_file", "search_files",
                                             "write_file"};
    struct finder finder = {.workspace = workspace, .files = ret_files};
    *ret_files = (struct named_files){0};
    JSON_AUTO doc = JSON_INIT;
    if (!workspace || json_parse(&doc, arguments, NULL) < 0)
        return;
    if (strcmp(tool, "terminal") == 0)
        find_of_command(&finder, json_root(&doc));
    for (size_t i = 0; i < ARRAY_LEN(file_tools); i++)
        if (strcmp(tool, file_tools[i]) == 0)
            find_of_file_tool(&finder, json_root(&doc));
}
