#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "agent/agent.h"
#include "agent/approval_policy.h"
#include "base/mem.h"
#include "tools/tool_source.h"

static const char *const denied[] = {"git push*"}, *const allowed[] = {"rm -r build"};

static struct agent_config config;
static struct approval_call call;

static int setup(void **state)
{
    config = (struct agent_config){.approvals_mode = "manual",
                                   .approvals_cron = "deny",
                                   .approvals_api = "deny",
                                   .approvals_deny = {denied, 1},
                                   .approvals_allow = {allowed, 1}};
    call = (struct approval_call){.tool = "terminal", .origin = "telegram", .taint = ""};
    return 0;
}

static void expect(const char *arguments, enum approval_decision decision, const char *why)
{
    call.arguments = span_of(arguments);
    struct approval_judgement judged = approval_judge(&config, &call);
    if (judged.decision != decision || !strstr(judged.why, why))
        fail_msg("%s: %d, \"%s\"", arguments, judged.decision, judged.why);
    assert_true(!judged.cleared || decision == APPROVAL_RUNS);
}

#define COMMAND(text) "{\"command\":\"" text "\"}"

static void commands(void **state)
{
    expect(COMMAND("ls"), APPROVAL_RUNS, "");
    expect(COMMAND("rm -r x"), APPROVAL_ASKS, "recursive delete: rm -r x");
    expect(COMMAND("rm -r build"), APPROVAL_RUNS, "");
    expect(COMMAND("rm -rf /"), APPROVAL_REFUSES, "no approval would change that");
    expect(COMMAND("git push"), APPROVAL_REFUSES, "approvals.deny");
    expect(COMMAND("rm \\u002dr x"), APPROVAL_ASKS, "rm -r x"); // as the tool will read it
    config.approvals_mode = "off";
    expect(COMMAND("rm -r x"), APPROVAL_RUNS, "");
    expect(COMMAND("rm -rf /"), APPROVAL_REFUSES, "");
    expect(COMMAND("git push"), APPROVAL_REFUSES, "");
    config.approvals_mode = "smart";
    expect(COMMAND("rm -r x"), APPROVAL_ASKS, "");
    expect("{\"command\":5}", APPROVAL_RUNS, ""); // the tool says what is wrong with these
    expect("{", APPROVAL_RUNS, "");
    call.tool = "process";
    expect(COMMAND("rm -r x"), APPROVAL_RUNS, "");
}

#define INPUT(action, text) "{\"action\":\"" action "\",\"data\":\"" text "\"}"

// What is put into a command that runs, which may be a shell.
static void input_of_commands(void **state)
{
    call.tool = "process";
    expect(INPUT("submit", "ls"), APPROVAL_RUNS, "");
    expect(INPUT("submit", "rm -rf /"), APPROVAL_REFUSES, "no approval would change that");
    expect(INPUT("write", "ls\\nrm -rf /\\n"), APPROVAL_REFUSES, "");
    expect(INPUT("write", "rm -r x\\n"), APPROVAL_ASKS, "recursive delete: rm -r x");
    expect(INPUT("submit", "git push"), APPROVAL_REFUSES, "approvals.deny");
    expect(INPUT("submit", "it's"), APPROVAL_ASKS, "no shell could read it");
    expect(INPUT("poll", "rm -rf /"), APPROVAL_RUNS, "");
    expect("{\"action\":\"submit\",\"data\":5}", APPROVAL_RUNS, ""); // the tool says what is wrong
    config.approvals_mode = "off";
    expect(INPUT("submit", "it's"), APPROVAL_RUNS, "");
    expect(INPUT("submit", "rm -rf /"), APPROVAL_REFUSES, "");
}

static void where_nobody_is_asked(void **state)
{
    call.unattended = true;
    expect(COMMAND("ls"), APPROVAL_RUNS, "");
    expect(COMMAND("rm -r x"), APPROVAL_REFUSES, "nobody can be asked here");
    config.approvals_cron = "approve";
    expect(COMMAND("rm -r x"), APPROVAL_RUNS, "");
    expect(COMMAND("rm -rf /"), APPROVAL_REFUSES, "");
    call.unattended = false;
    call.origin = "api";
    expect(COMMAND("rm -r x"), APPROVAL_REFUSES, "callers of the API are not asked");
    config.approvals_api = "approve";
    expect(COMMAND("rm -r x"), APPROVAL_RUNS, "");
}

static void files(void **state)
{
    call.tool = "write_file";
    expect("{\"path\":\"a.txt\",\"content\":\"AGENTS.md\"}", APPROVAL_RUNS, "");
    expect("{\"path\":\"a/AGENTS.md\"}", APPROVAL_ASKS, "a/AGENTS.md holds instructions");
    expect("{\"path\":\".env.local\"}", APPROVAL_REFUSES, "holds secrets");
    config.approvals_mode = "off"; // which these have never heard of
    expect("{\"path\":\"soul.md\"}", APPROVAL_ASKS, "");
    config.approvals_cron = "approve";
    call.unattended = true;
    expect("{\"path\":\"SOUL.md\"}", APPROVAL_REFUSES, "nobody can be asked");
    call.unattended = false;
    call.origin = "api";
    expect("{\"path\":\"SOUL.md\"}", APPROVAL_REFUSES, "nobody can be asked");
    call.origin = "console";
    call.tool = "patch";
    expect("{\"path\":\"CLAUDE.md\",\"mode\":\"replace\"}", APPROVAL_ASKS, "");
    expect("{\"patch\":\"*** Begin Patch\\n*** Update File: x/AGENTS.md\\n+a\\n\"}", APPROVAL_ASKS,
           "");
    expect("{\"patch\":\"--- a/x\\n+++ b/AGENTS.md\\t2026-01-01\\n@@\\n+a\\n\"}", APPROVAL_ASKS,
           "");
    expect("{\"patch\":\"*** Add File: AGENTS.md\\n*** Add File: .env\\n\"}", APPROVAL_REFUSES, "");
    expect("{\"patch\":\"*** Update File: x\\n+AGENTS.md\\n\"}", APPROVAL_RUNS, "");
    // However the tool takes it: without a blank, with a tab, of a file that goes.
    expect("{\"patch\":\"*** Update File:AGENTS.md\\n+a\\n\"}", APPROVAL_ASKS, "");
    expect("{\"patch\":\"*** Add File:\\tAGENTS.md\\n+a\\n\"}", APPROVAL_ASKS, "");
    expect("{\"patch\":\"*** Add File: x\\t/../.env\\n+a\\n\"}", APPROVAL_REFUSES, "");
    expect("{\"patch\":\"--- AGENTS.md\\n+++ /dev/null\\n\"}", APPROVAL_ASKS, "");
    // The tool says what is wrong with these; a line that is changed names no file.
    expect("{\"patch\":\"*** Update File: x\\n*** Move to: AGENTS.md\\n\"}", APPROVAL_RUNS, "");
    expect("{\"patch\":\"--- a\\n+++ a\\n@@ -1 +1 @@\\n--- AGENTS.md\\n+++ x\\n\"}", APPROVAL_RUNS,
           "");
}

static void tools_that_need_it(void **state)
{
    call.tool = "ring";
    call.flags = TOOL_NEEDS_APPROVAL;
    expect("{}", APPROVAL_ASKS, "");
    config.approvals_mode = "off";
    expect("{}", APPROVAL_RUNS, "");
    assert_true(approval_judge(&config, &call).cleared);
    call.flags = 0;
    assert_false(approval_judge(&config, &call).cleared);
}

static void what_lets_something_out(void **state)
{
    call.tool = "web_fetch";
    call.flags = TOOL_NETWORK;
    expect("{}", APPROVAL_RUNS, "");
    call.taint = "tainted by web_fetch of call 3";
    config.approvals_mode = "off";
    expect("{}", APPROVAL_ASKS, "tainted by web_fetch of call 3");
    call.copied = true;
    expect("{}", APPROVAL_RUNS, "");
    call.copied = false;
    call.unattended = true;
    config.approvals_cron = "approve";
    expect("{}", APPROVAL_REFUSES, "tainted by web_fetch of call 3");
    call.flags = TOOL_READS | TOOL_WRITES;
    expect("{}", APPROVAL_RUNS, "");
    call.tool = "memory"; // which is read in every later conversation
    expect("{}", APPROVAL_REFUSES, "tainted by web_fetch of call 3");
    call.taint = "";
    expect("{}", APPROVAL_RUNS, "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(commands, setup),
        cmocka_unit_test_setup(input_of_commands, setup),
        cmocka_unit_test_setup(where_nobody_is_asked, setup),
        cmocka_unit_test_setup(files, setup),
        cmocka_unit_test_setup(tools_that_need_it, setup),
        cmocka_unit_test_setup(what_lets_something_out, setup),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
