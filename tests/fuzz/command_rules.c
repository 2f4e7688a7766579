#include "tools/command_rules.h"

#include "base/buf.h"
#include "base/mem.h"
#include "fuzz.h"
#include "tools/shell_line.h"

// Whatever the line is, putting the worst behind it is seen.
static void check_appended(struct span text)
{
    BUF_AUTO longer = BUF_INIT(2 * SHELL_LINE_MAX);
    buf_append_text(&longer, "rm -rf / ; ");
    buf_append_span(&longer, text);
    REQUIRE(command_judge(buf_span(&longer), NULL).verdict == COMMAND_NEVER);
}

static void check_parts(struct span text)
{
    CLEANUP(shell_line_finish) struct shell_line line = {0};
    struct error err = ERROR_INIT;
    if (shell_line_parse(text, &line, &err) < 0) {
        REQUIRE(err.text[0] && line.count == 0);
        return;
    }
    REQUIRE(line.count <= SHELL_COMMANDS_MAX);
    for (size_t i = 0; i < line.count; i++)
        for (size_t j = 0; j < line.commands[i].count; j++)
            REQUIRE(line.commands[i].words[j].text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct span text = span_make(data, size);
    const char *all = "*";
    struct command_globs deny = {.deny = &all, .deny_count = 1};
    struct command_judgement judged = command_judge(text, NULL);
    REQUIRE((judged.verdict == COMMAND_PLAIN) == !judged.why[0]);
    if (size && size <= SHELL_LINE_MAX)
        REQUIRE(command_judge(text, &deny).verdict == COMMAND_NEVER);
    check_parts(text);
    check_appended(text);
    return 0;
}
