#include "agent/approval_policy.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "agent/agent.h"
#include "base/buf.h"
#include "base/mem.h"
#include "codec/text_patch.h"
#include "tools/clarify.h"
#include "tools/command_rules.h"
#include "tools/tool_source.h"

/*
 * Two kinds of reasons to ask. What a rule asks for (a tool that needs approval, a command of the
 * table) the owner may switch off, and decide in advance for work that nobody watches. What could
 * carry out what a stranger's text says is asked for whatever the mode: a change of the files whose
 * text the agent obeys, and sending something out once such text is in the prompt.
 *
 * The approval model is heard about the first kind alone, and not in a conversation that holds such
 * text, which may have been written for that model to read. So whoever talks it into anything gets
 * what the mode "off" would have let through, and no more.
 */
enum {
    COMMAND_MAX = 64 * 1024, // bytes, as the judge of commands reads
};

__attribute__((format(printf, 1, 2))) static struct approval_judgement refuse(const char *fmt, ...)
{
    struct approval_judgement judgement = {APPROVAL_REFUSES, false, ""};
    va_list values;
    va_start(values, fmt);
    vsnprintf(judgement.why, sizeof judgement.why, fmt, values);
    va_end(values);
    return judgement;
}

static bool is_api(const struct approval_call *call)
{
    return strcmp(call->origin, "api") == 0;
}

// Whatever the mode.
static struct approval_judgement must_ask(const struct approval_call *call, const char *why)
{
    struct approval_judgement judgement = {APPROVAL_ASKS, false, ""};
    if (call->unattended || is_api(call))
        return refuse(
            "not run: it needs somebody's approval (%.250s), and nobody can be asked here", why);
    snprintf(judgement.why, sizeof judgement.why, "%s", why);
    return judgement;
}

static struct approval_judgement ask_as_configured(const struct agent_config *config,
                                                   const struct approval_call *call,
                                                   const char *why)
{
    bool api = is_api(call), child = strcmp(call->origin, "delegate") == 0;
    const char *mode = child              ? "deny"
                       : api              ? config->approvals_api
                       : call->unattended ? config->approvals_cron
                                          : config->approvals_mode;
    bool consults = mode && strcmp(mode, "smart") == 0 && !*call->taint;
    if ((mode && (strcmp(mode, "off") == 0 || strcmp(mode, "approve") == 0)) ||
        (consults && call->verdict == APPROVAL_ALLOWED))
        return (struct approval_judgement){APPROVAL_RUNS, true, ""};
    if (consults && call->verdict == APPROVAL_UNHEARD) {
        struct approval_judgement judgement = {APPROVAL_CONSULTS, false, ""};
        snprintf(judgement.why, sizeof judgement.why, "%s", why);
        return judgement;
    }
    if (api && !call->unattended)
        return refuse("not run: it needs somebody's approval (%.250s), and callers of the API are "
                      "not asked",
                      why);
    return must_ask(call, why);
}

// A line for a shell, or (`input`) for a command that runs and may be one.
static struct approval_judgement judge_command(const struct agent_config *config,
                                               const struct approval_call *call,
                                               struct json_value line, bool input)
{
    BUF_AUTO command = BUF_INIT(COMMAND_MAX);
    struct command_globs globs = {
        .deny = config->approvals_deny.items,
        .deny_count = config->approvals_deny.count,
        .allow = config->approvals_allow.items,
        .allow_count = config->approvals_allow.count,
    };
    if (!json_string(line, &command))
        return buf_is_full(&command)
                   ? refuse("not run: the command is too long; put it into a script")
                   : (struct approval_judgement){APPROVAL_RUNS, false, ""}; // the tool refuses it
    struct command_judgement judged = input ? command_judge_input(buf_span(&command), &globs)
                                            : command_judge(buf_span(&command), &globs);
    if (judged.verdict == COMMAND_NEVER)
        return refuse("not run, and no approval would change that: %s", judged.why);
    if (judged.verdict == COMMAND_ASKS)
        return ask_as_configured(config, call, judged.why);
    return (struct approval_judgement){APPROVAL_RUNS, false, ""};
}

static struct approval_judgement judge_path(const struct approval_call *call, const char *path)
{
    if (command_is_env_file(path))
        return refuse("not run: %.200s holds secrets; tools do not write it", path);
    if (!command_is_instruction_file(path))
        return (struct approval_judgement){APPROVAL_RUNS, false, ""};
    char why[APPROVAL_WHY_MAX];
    snprintf(why, sizeof why, "%.200s holds instructions for the agent", path);
    return must_ask(call, why);
}

static bool is_question(const struct approval_judgement *judgement)
{
    return judgement->decision == APPROVAL_CONSULTS || judgement->decision == APPROVAL_ASKS;
}

// Of two questions both reasons are told.
static void take_stricter(struct approval_judgement *all, struct approval_judgement one)
{
    if (is_question(&one) && is_question(all)) {
        size_t len = strlen(all->why);
        snprintf(all->why + len, sizeof all->why - len, "%s%s", len && *one.why ? "; " : "",
                 one.why);
        if (one.decision > all->decision)
            all->decision = one.decision;
    } else if (one.decision > all->decision) {
        *all = one;
    }
}

// The files that a patch names, as the tool will read it. One that cannot be read it refuses.
static struct approval_judgement judge_patch(const struct approval_call *call, struct span text)
{
    struct approval_judgement all = {APPROVAL_RUNS, false, ""};
    TEXT_PATCH_AUTO patch = {0};
    if (text_patch_parse(text, &patch, NULL) < 0)
        return all;
    for (size_t i = 0; i < patch.file_count; i++) {
        struct span path = patch.files[i].path;
        CLEANUP(mem_cleanup) char *name = mem_strndup(path.data, path.len);
        take_stricter(&all, judge_path(call, name));
    }
    return all;
}

static struct approval_judgement judge_files(const struct approval_call *call,
                                             struct json_value arguments)
{
    struct approval_judgement all = {APPROVAL_RUNS, false, ""};
    BUF_AUTO path = BUF_INIT(COMMAND_MAX);
    BUF_AUTO patch = BUF_INIT(TEXT_PATCH_BYTES_MAX);
    if (json_string(json_get(arguments, "path"), &path))
        take_stricter(&all, judge_path(call, buf_text(&path)));
    if (json_string(json_get(arguments, "patch"), &patch))
        take_stricter(&all, judge_patch(call, buf_span(&patch)));
    return all;
}

// A question of the model's own. One that cannot be read the tool itself refuses.
static struct approval_judgement judge_question(const struct approval_call *call)
{
    CLEANUP(clarify_finish) struct clarification asked = {0};
    if (clarify_read(call->arguments, &asked, NULL) < 0)
        return (struct approval_judgement){APPROVAL_RUNS, false, ""};
    if (call->unattended || is_api(call))
        return refuse("nobody can be asked here; go on with what is most likely meant, and say "
                      "what you have assumed");
    return (struct approval_judgement){APPROVAL_ASKS, false, ""};
}

static bool puts_in(struct json_value arguments)
{
    struct json_value action = json_get(arguments, "action");
    return json_is(action, "write") || json_is(action, "submit");
}

// Of cronjob.
static bool only_looks(struct json_value arguments)
{
    struct json_value action = json_get(arguments, "action");
    return json_is(action, "list") || json_is(action, "show") || json_is(action, "history");
}

struct approval_judgement approval_judge(const struct agent_config *config,
                                         const struct approval_call *call)
{
    JSON_AUTO doc = JSON_INIT;
    struct approval_judgement all = {APPROVAL_RUNS, false, ""};
    bool parsed = json_parse(&doc, call->arguments, NULL) == 0;
    if (parsed && strcmp(call->tool, "terminal") == 0)
        take_stricter(&all,
                      judge_command(config, call, json_get(json_root(&doc), "command"), false));
    if (parsed && strcmp(call->tool, "process") == 0 && puts_in(json_root(&doc)))
        take_stricter(&all, judge_command(config, call, json_get(json_root(&doc), "data"), true));
    if (parsed && (strcmp(call->tool, "write_file") == 0 || strcmp(call->tool, "patch") == 0))
        take_stricter(&all, judge_files(call, json_root(&doc)));
    if (strcmp(call->tool, clarify_tool_name) == 0)
        return judge_question(call);
    // In the prompt of every later conversation, or what one is told to do.
    bool proposes = strcmp(call->tool, "skill_manage") == 0;
    bool kept = strcmp(call->tool, "memory") == 0 || proposes ||
                (strcmp(call->tool, "cronjob") == 0 && !(parsed && only_looks(json_root(&doc))));
    if (*call->taint && ((call->flags & TOOL_NETWORK && !call->copied) || kept))
        take_stricter(&all, must_ask(call, call->taint));
    bool cleared = false;
    if (proposes && call->flags & TOOL_NEEDS_APPROVAL) // it is what the setting is for
        take_stricter(&all, must_ask(call, "skills.write_approval"));
    else if (call->flags & TOOL_NEEDS_APPROVAL) {
        struct approval_judgement own = ask_as_configured(config, call, "");
        if (own.decision == APPROVAL_REFUSES)
            own = refuse("the tool \"%s\" runs only when somebody has approved the call, and "
                         "nobody can be asked here",
                         call->tool);
        cleared = own.cleared;
        take_stricter(&all, own);
    }
    all.cleared = all.decision == APPROVAL_RUNS && cleared;
    return all;
}
