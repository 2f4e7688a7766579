#include "tools/command_rules.h"

#include <fnmatch.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/mem.h"
#include "tools/command_internal.h"

/*
 * A line is taken apart (shell_line.h), and each of its simple commands is judged: as it stands,
 * without what only goes before a command ("sudo", "timeout 5"), and as what it runs in its turn
 * (find -exec, sh -c). The strictest verdict is that of the line.
 */
static void judge_line(struct command_judge *judge, struct span line, bool must_parse);
static void judge_args(struct command_judge *judge, struct command_args args);

static void write_words(const struct command_args *args, struct buf *out)
{
    for (size_t i = 0; i < args->count; i++)
        buf_printf(out, "%s%s", i ? " " : "", args->words[i].text);
}

static void write_command(const struct command_args *args, struct buf *out)
{
    const struct shell_command *whole = args->whole;
    write_words(args, out);
    for (size_t i = 0; whole && i < whole->redirect_count; i++)
        buf_printf(out, " %c %s", whole->redirects[i].writes ? '>' : '<',
                   whole->redirects[i].target.text);
}

static bool matches(const char *const *globs, size_t count, const char *text)
{
    for (size_t i = 0; i < count; i++)
        if (fnmatch(globs[i], text, FNM_CASEFOLD) == 0)
            return true;
    return false;
}

static void judged(struct command_judge *judge, enum command_verdict verdict, const char *rule,
                   const char *command)
{
    if (verdict <= judge->judgement.verdict)
        return;
    judge->judgement.verdict = verdict;
    snprintf(judge->judgement.why, COMMAND_WHY_MAX, "%.80s%s%.200s", rule, *command ? ": " : "",
             command);
}

// `judged` is what the owner's globs are for, `shown` what the question tells.
static void ask_about(struct command_judge *judge, const char *rule, const char *command,
                      const char *shown)
{
    const struct command_globs *globs = judge->globs;
    if (!globs || !(matches(globs->allow, globs->allow_count, command) ||
                    matches(globs->allow, globs->allow_count, rule)))
        judged(judge, COMMAND_ASKS, rule, shown);
}

static void ask(struct command_judge *judge, const char *rule, const struct command_args *args)
{
    BUF_AUTO words = BUF_INIT(SHELL_LINE_MAX), text = BUF_INIT(2 * SHELL_LINE_MAX);
    write_words(args, &words);
    write_command(args, &text);
    ask_about(judge, rule, buf_text(&words), buf_text(&text));
}

static void never(struct command_judge *judge, const char *rule, const struct command_args *args)
{
    BUF_AUTO text = BUF_INIT(2 * SHELL_LINE_MAX);
    write_command(args, &text);
    judged(judge, COMMAND_NEVER, rule, buf_text(&text));
}

/* Commands within commands */

// Programs that run the command behind them, and how many words of their own stand before it.
static const struct runner {
    const char *name;
    size_t words;
} runners[] = {
    {"sudo", 0},     {"doas", 0},        {"env", 0},     {"nohup", 0},   {"nice", 0},
    {"ionice", 0},   {"timeout", 1},     {"setsid", 0},  {"stdbuf", 0},  {"time", 0},
    {"command", 0},  {"builtin", 0},     {"exec", 0},    {"xargs", 0},   {"busybox", 0},
    {"toybox", 0},   {"chroot", 1},      {"flock", 1},   {"taskset", 1}, {"chrt", 1},
    {"strace", 0},   {"unshare", 0},     {"nsenter", 0}, {"watch", 0},   {"runuser", 0},
    {"setpriv", 0},  {"prlimit", 0},     {"setarch", 1}, {"choom", 0},   {"linux32", 0},
    {"linux64", 0},  {"i386", 0},        {"x86_64", 0},  {"uname26", 0}, {"ltrace", 0},
    {"fakeroot", 0}, {"parallel", 0},    {"gosu", 1},    {"numactl", 0}, {"uclampset", 0},
    {"script", 0},   {"systemd-run", 0}, {"ld.so", 0}};

static const char what_is_fed[] = "what runs is read from elsewhere";

static bool is_of_options(const char *word)
{
    return *word == '-' || *word == '+' || strchr(word, '=');
}

// Of xargs it is known: -n1 and -I{} have theirs already.
static bool may_take_word(const struct command_args *args, const char *word)
{
    if (!is_of_options(word) || strcmp(command_name(args), "xargs") != 0)
        return is_of_options(word);
    return command_begins(word, "--") ? !strchr(word, '=')
                                      : strchr("adEILnPs", word[strlen(word) - 1]) != NULL;
}

/*
 * Which options take a word of their own is not known of every program, so whatever may be the
 * command is judged as one: the first word that is no option, and while an option stands before it,
 * the next as well. What is an option, but for what is put into it then, may be a command as well.
 */
static void judge_run(struct command_judge *judge, const struct runner *runner,
                      const struct command_args *args)
{
    size_t own = runner->words;
    for (size_t i = 1; i < args->count; i++) {
        const struct shell_word *word = &args->words[i];
        const char *rule = strchr(word->text, '=') ? command_assignment_rule(word) : NULL;
        if (rule)
            ask(judge, rule, args);
        if (is_of_options(word->text)) {
            if (word->open && !word->quoted)
                ask(judge, "which program runs is only known then", args);
            continue;
        }
        bool sure = i == 1 || !may_take_word(args, args->words[i - 1].text);
        judge_args(judge, (struct command_args){word, args->count - i, args->whole});
        if (sure && own == 0)
            return;
        own -= sure;
    }
    if (judge->fed && !IS_ONE_OF(command_name(args), "xargs", "parallel"))
        ask(judge, what_is_fed, args);
}

// What xargs puts in the place of: "-I{}", "-I {}", "-i", "--replace".
static const char *place_of(const struct command_args *args)
{
    for (size_t i = 1; i < args->count; i++) {
        const char *word = args->words[i].text;
        if (command_begins(word, "-I") || command_begins(word, "-J"))
            return word[2] ? word + 2 : i + 1 < args->count ? args->words[i + 1].text : "{}";
        if (command_begins(word, "--replace="))
            return word + strlen("--replace=");
    }
    return "{}";
}

// Behind xargs and find -exec: is what they put there a program, or a script?
static bool is_fed(const struct command_judge *judge, const struct command_args *args)
{
    const char *name = command_name(args);
    if (!judge->fed)
        return false;
    if (*judge->fed && strstr(args->words->text, judge->fed))
        return true;
    if (!command_is_shell(name))
        return false;
    for (size_t i = 1; i < args->count; i++)
        if (!command_is_option(args->words[i].text))
            return *judge->fed && strstr(args->words[i].text, judge->fed);
    return true;
}

static void judge_text_of(struct command_judge *judge, const struct command_args *args,
                          size_t first)
{
    BUF_AUTO text = BUF_INIT(SHELL_LINE_MAX);
    for (size_t i = first; i < args->count; i++)
        buf_printf(&text, "%s%s", i > first ? " " : "", args->words[i].text);
    judge_line(judge, buf_span(&text), false);
}

static void judge_find(struct command_judge *judge, const struct command_args *args)
{
    for (size_t i = 1; i < args->count; i++) {
        const char *word = args->words[i].text;
        if (strcmp(word, "-exec") && strcmp(word, "-execdir") && strcmp(word, "-ok") &&
            strcmp(word, "-okdir"))
            continue;
        size_t end = i + 1;
        while (end < args->count && strcmp(args->words[end].text, ";") &&
               strcmp(args->words[end].text, "+"))
            end++;
        struct command_args inner = {args->words + i + 1, end - i - 1, args->whole};
        const char *before = judge->fed;
        judge->fed = "{}";
        judge_args(judge, inner);
        judge->fed = before;
        i = end;
    }
}

// Of a word, the script that an option of it brings along: --command=..., -qc...; NULL: none does.
// *ret_next: it may be the next word.
static const char *script_in(const char *word, bool *ret_next)
{
    static const char *const options[] = {"--command", "--session-command", "--split-string"};
    *ret_next = false;
    if (!command_begins(word, "--")) {
        const char *letter = *word == '-' ? strpbrk(word, "cS") : NULL;
        *ret_next = letter != NULL;
        return letter && letter[1] ? letter + 1 : NULL;
    }
    size_t len = strcspn(word, "=");
    for (size_t i = 0; i < ARRAY_LEN(options); i++)
        if (len > 2 && strncmp(word, options[i], len) == 0) {
            *ret_next = !word[len];
            return word[len] ? word + len + 1 : NULL;
        }
    return NULL;
}

// Scripts in arguments: what a shell would do with them is judged like the line itself.
static void judge_scripts(struct command_judge *judge, const struct command_args *args)
{
    const char *name = command_name(args);
    bool all = IS_ONE_OF(name, "eval", "trap", "watch");
    if (all)
        judge_text_of(judge, args, 1);
    for (size_t i = 1; all && i < args->count; i++)
        if (strpbrk(args->words[i].text, " \t\n"))
            judge_line(judge, span_of(args->words[i].text), false);
    bool takes =
        command_is_shell(name) || IS_ONE_OF(name, "su", "script", "flock", "env", "runuser");
    for (size_t i = 1; takes && i < args->count; i++) {
        bool next;
        const char *script = script_in(args->words[i].text, &next);
        if (script)
            judge_line(judge, span_of(script), false);
        if (next && i + 1 < args->count)
            judge_line(judge, span_of(args->words[i + 1].text), false);
    }
    if (command_is_shell(name) && args->whole && args->whole->input)
        judge_line(judge, span_of(args->whole->input), false);
}

static const struct runner *find_runner(const char *name)
{
    for (size_t i = 0; i < ARRAY_LEN(runners); i++)
        if (strcmp(runners[i].name, name) == 0)
            return &runners[i];
    return NULL;
}

static bool is_denied(const struct command_judge *judge, const struct command_args *args)
{
    const struct command_globs *globs = judge->globs;
    if (!globs || !globs->deny_count)
        return false;
    BUF_AUTO text = BUF_INIT(2 * SHELL_LINE_MAX);
    write_command(args, &text);
    const char *name = command_name(args);
    return matches(globs->deny, globs->deny_count, buf_text(&text)) ||
           matches(globs->deny, globs->deny_count, buf_text(&text) + (name - args->words->text));
}

enum { LOOK_COSTS = 128 }; // bytes that could be looked at in the time a look takes anyway

static bool is_too_much(struct command_judge *judge, size_t bytes)
{
    judge->judgement.looked_at += bytes + LOOK_COSTS;
    return judge->judgement.looked_at > COMMAND_LOOKED_AT_MAX;
}

static size_t bytes_of(const struct command_args *args)
{
    size_t bytes = 0;
    for (size_t i = 0; i < args->count; i++)
        bytes += strlen(args->words[i].text) + 1;
    return bytes;
}

// A command from its name on, whatever stood before it.
static void judge_args(struct command_judge *judge, struct command_args args)
{
    if (args.count == 0 || judge->judgement.verdict == COMMAND_NEVER)
        return; // it can get no stricter, and a line that is made to be slow ends here
    if (judge->depth >= COMMAND_NESTED_MAX) {
        never(judge, "nested too deep to be judged", &args);
        return;
    }
    if (is_too_much(judge, bytes_of(&args))) {
        never(judge, "too much to be judged; put it into a script", &args);
        return;
    }
    judge->depth++;
    const char *rule = command_never_rule(&args);
    if (rule)
        never(judge, rule, &args);
    if (is_denied(judge, &args))
        never(judge, "the owner's approvals.deny", &args);
    bool test = strcmp(args.words->text, "[") == 0 || strcmp(args.words->text, "[[") == 0;
    if (args.words->open || (args.words->pattern && !test))
        ask(judge, "which program runs is only known then", &args);
    else if ((rule = command_asks_rule(&args)))
        ask(judge, rule, &args);
    if (is_fed(judge, &args))
        ask(judge, what_is_fed, &args);
    judge_scripts(judge, &args);
    const char *name = command_name(&args);
    if (strcmp(name, "find") == 0)
        judge_find(judge, &args);
    if (IS_ONE_OF(name, "export", "declare", "typeset", "local", "readonly"))
        for (size_t i = 1; i < args.count; i++)
            if ((rule = command_assignment_rule(&args.words[i])))
                ask(judge, rule, &args);
    const struct runner *runner = find_runner(command_is_loader(&args) ? "ld.so" : name);
    const char *before = judge->fed;
    if (IS_ONE_OF(name, "xargs", "parallel"))
        judge->fed = place_of(&args);
    if (runner)
        judge_run(judge, runner, &args);
    judge->fed = before;
    judge->depth--;
}

static void judge_redirects(struct command_judge *judge, const struct shell_command *command)
{
    struct command_args args = {command->words, command->count, command};
    for (size_t i = 0; i < command->redirect_count; i++) {
        const struct shell_redirect *redirect = &command->redirects[i];
        if (!redirect->writes)
            continue;
        if (command_is_device(redirect->target.text))
            never(judge, "write to a device", &args);
        if (!command_may_write_protected(&redirect->target))
            continue;
        // A glob for the command's words ("echo *") allows no file: that wants one of its own.
        BUF_AUTO target = BUF_INIT(SHELL_LINE_MAX), text = BUF_INIT(2 * SHELL_LINE_MAX);
        buf_printf(&target, "> %s", redirect->target.text);
        write_command(&args, &text);
        ask_about(judge, "overwrite a protected file", buf_text(&target), buf_text(&text));
    }
}

static void judge_assignments(struct command_judge *judge, const struct shell_command *command)
{
    struct command_args args = {command->words, command->count, command};
    bool reads = command->count && strcmp(command->words[0].text, "read") == 0;
    for (size_t i = 0; i < command->assignment_count; i++) {
        const struct shell_word *word = &command->assignments[i];
        const char *rule = command_assignment_rule(word);
        if (command_begins(word->text, "IFS") && strchr("=+", word->text[3]) && !reads)
            rule = "assignment to IFS";
        if (rule)
            ask(judge, rule, &args);
    }
}

// What a client of a database reads may be printed by another command of the line.
static void judge_sql(struct command_judge *judge, const struct shell_line *line)
{
    bool talks = false;
    for (size_t i = 0; i < line->count && !talks; i++)
        talks = command_talks_sql(&line->commands[i]);
    for (size_t i = 0; talks && i < line->count; i++) {
        const struct shell_command *command = &line->commands[i];
        if (command_destroys_sql(command))
            ask(judge, "destructive SQL",
                &(struct command_args){command->words, command->count, command});
    }
}

static void judge_line(struct command_judge *judge, struct span line, bool must_parse)
{
    CLEANUP(shell_line_finish) struct shell_line parsed = {0};
    struct error err = ERROR_INIT;
    if (judge->depth >= COMMAND_NESTED_MAX) {
        judged(judge, COMMAND_NEVER, "nested too deep to be judged", "");
        return;
    }
    if (judge->judgement.verdict == COMMAND_NEVER)
        return;
    if (is_too_much(judge, line.len)) {
        judged(judge, COMMAND_NEVER, "too much to be judged; put it into a script", "");
        return;
    }
    if (shell_line_parse(line, &parsed, &err) < 0) {
        judged(judge, must_parse ? COMMAND_NEVER : COMMAND_ASKS, "no shell could read it",
               err.text);
        return;
    }
    judge->depth++;
    if (parsed.bomb)
        judged(judge, COMMAND_NEVER, "fork bomb", "");
    for (size_t i = 0; i < parsed.count; i++) {
        const struct shell_command *command = &parsed.commands[i];
        judge_redirects(judge, command);
        judge_assignments(judge, command);
        judge_args(judge, (struct command_args){command->words, command->count, command});
    }
    judge_sql(judge, &parsed);
    if (parsed.unsure)
        ask_about(judge, "shells may read it differently", parsed.unsure, parsed.unsure);
    judge->depth--;
}

static struct command_judgement judge_whole(struct span line, const struct command_globs *globs,
                                            bool must_parse)
{
    struct command_judge judge = {.globs = globs};
    judge_line(&judge, line, must_parse);
    if (globs && globs->deny_count && line.len <= SHELL_LINE_MAX) {
        CLEANUP(mem_cleanup) char *text = mem_strndup(line.data, line.len);
        if (matches(globs->deny, globs->deny_count, text))
            judged(&judge, COMMAND_NEVER, "the owner's approvals.deny", text);
    }
    return judge.judgement;
}

struct command_judgement command_judge(struct span line, const struct command_globs *globs)
{
    return judge_whole(line, globs, true);
}

struct command_judgement command_judge_input(struct span text, const struct command_globs *globs)
{
    return judge_whole(text, globs, false);
}
