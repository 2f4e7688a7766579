#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "sandbox/process.h"
#include "store/turn_read.h"
#include "support/agent_world.h"
#include "support/scripted_source.h"
#include "tools/tool_process.h"
#include "tools/toolbox.h"

/*
 * A turn whose program was stopped goes on where it was. Each test brings a turn to a place, takes
 * the agent away as a kill would (the store keeps what is on disk), and lets another agent take up
 * what it finds.
 */

static struct agent_world world;
static struct scripted_source scripted;
static tool_source_id scripted_id;

static void add_the_source(void)
{
    assert_int_equal(toolbox_add_source(world.toolbox, &scripted.source, &scripted_id, NULL), 0);
}

static int setup(void **state)
{
    agent_world_make(&world, NULL);
    scripted_source_init(&scripted, scripted_tools);
    add_the_source();
    tool_world_put_text(&world.tools, "f", "x\n");
    return 0;
}

static int teardown(void **state)
{
    agent_world_remove(&world);
    return 0;
}

static void start(const char *script, struct heard_turn *heard)
{
    assert_int_equal(agent_world_start(&world, "go", script, heard), 0);
}

// The process is gone; what it had in memory too.
static void stop_the_program(void)
{
    struct agent_env env = *agent_env(world.agent);
    agent_destroy(world.agent);
    agent_session_destroy(world.session);
    store_wait(world.store); // what was submitted is on disk
    world.agent = agent_create(&env);
    world.session = NULL;
}

struct found {
    int count;
    struct store_turn_row row;
    char id[64], session[64];
};

static bool on_row(void *context, const struct store_turn_row *row)
{
    struct found *found = context;
    found->count++;
    found->row = *row;
    snprintf(found->id, sizeof found->id, "%.*s", (int)row->id.len, row->id.data);
    snprintf(found->session, sizeof found->session, "%.*s", (int)row->session.len,
             row->session.data);
    found->row.id = span_of(found->id);
    found->row.session = span_of(found->session);
    return true;
}

static struct found the_open_turn(void)
{
    struct found found = {0};
    assert_int_equal(store_read_open_turns(world.store, on_row, &found, NULL), 0);
    return found;
}

static void begin_again(const char *script, struct heard_turn *heard)
{
    static struct found found; // its spans are borrowed by the row
    struct error err = ERROR_INIT;
    found = the_open_turn();
    found.row.id = span_of(found.id);
    found.row.session = span_of(found.session);
    assert_int_equal(found.count, 1);
    assert_int_equal(
        agent_session_load(store_view(world.store), found.row.session, &world.session, &err), 0);
    heard->world = &world;
    buf_init(&heard->log, 1 << 20);
    world.script = script;
    world.asked = 0;
    int r = agent_turn_resume(world.agent, world.session, found.row.id, NULL, agent_world_heard,
                              heard, &heard->id, &err);
    if (r < 0)
        fail_msg("%s", err.text);
}

static void end_as(enum turn_state state, struct heard_turn *heard)
{
    agent_world_wait(&world, heard);
    if (heard->state != state)
        fail_msg("ended as %d: %s", heard->state, heard->error);
    assert_int_equal(the_open_turn().count, 0);
}

static void go_on(const char *script, enum turn_state state, struct heard_turn *heard)
{
    begin_again(script, heard);
    end_as(state, heard);
}

static void history_is(const char *wanted)
{
    BUF_AUTO history = BUF_INIT(0);
    agent_world_history(&world, &history);
    assert_string_equal(buf_text(&history), wanted);
}

static void before_the_model_answered(void **state)
{
    HEARD_AUTO heard = {0}, again = {0};
    start("hang Once", &heard);
    agent_world_until(&world, &heard, "text");
    stop_the_program();
    go_on("say Here.", TURN_DONE, &again);
    assert_string_equal(again.text, "Here.");
    history_is("user: go\nassistant: Here.\n");
    assert_int_equal(agent_world_number(&world, "SELECT resumes FROM turns"), 1);
}

// Nothing but the message is there yet.
static void at_its_very_begin(void **state)
{
    HEARD_AUTO heard = {0}, again = {0};
    start("say never", &heard);
    stop_the_program();
    go_on("say Here.", TURN_DONE, &again);
    history_is("user: go\nassistant: Here.\n");
}

static void after_the_tools(void **state)
{
    HEARD_AUTO heard = {0}, again = {0};
    start("call remember {'content':'c'}\nhang And", &heard);
    agent_world_until(&world, &heard, "nd");
    stop_the_program();
    go_on("say Done.", TURN_DONE, &again);
    history_is("user: go\nassistant:  +remember({\"content\":\"c\"})#c0\ntool: remembered\n"
               "assistant: Done.\n");
    assert_int_equal(again.iterations, 2);
    assert_int_equal(agent_world_number(&world, "SELECT count(*) FROM memory"), 1);
    assert_int_equal(agent_world_number(&world, "SELECT input_tokens FROM turns"), 200);
}

// In the middle of its calls: what may be repeated is, of the rest the model is told.
static void in_the_middle_of_its_tools(void **state)
{
    HEARD_AUTO heard = {0}, again = {0};
    start("call remember {'content':'c'}; read_file {'path':'f'}\nsay never", &heard);
    agent_world_until(&world, &heard, "call read_file"); // on disk, and begun
    stop_the_program();
    // However far it came, that it ended was not written down.
    fixture_exec(store_path(world.store), "UPDATE tool_calls SET state = 'pending', result = NULL");
    go_on("say Done.", TURN_DONE, &again);
    assert_non_null(strstr(buf_text(&again.log), "result read_file ok 1|x"));
    assert_null(strstr(buf_text(&again.log), "remember"));
    BUF_AUTO history = BUF_INIT(0);
    agent_world_history(&world, &history);
    assert_non_null(strstr(buf_text(&history), "tool: interrupted: the program was stopped"));
    assert_non_null(strstr(buf_text(&history), "tool: 1|x"));
    assert_true(agent_world_number(&world, "SELECT count(*) FROM memory") <= 1);
    assert_string_equal(
        agent_world_text(&world, "SELECT group_concat(state) FROM (SELECT * FROM tool_calls "
                                 "ORDER BY ordinal)"),
        "interrupted,done");
}

// One call had ended and another had not: the first keeps its result.
static void with_one_call_done(void **state)
{
    HEARD_AUTO heard = {0}, again = {0};
    char file[4000];
    memset(file, 'a', sizeof file);
    tool_world_put(&world.tools, "slow", file, sizeof file);
    start("call remember {'content':'c'}; search_files {'pattern':"
          "'(a*)(a*)(a*)(a*)\\\\1\\\\2\\\\3b','path':'slow'}\nsay never",
          &heard);
    agent_world_until(&world, &heard, "result remember ok");
    stop_the_program();
    tool_world_put_text(&world.tools, "slow", "nothing\n");
    go_on("say Done.", TURN_DONE, &again);
    assert_non_null(strstr(buf_text(&again.log), "result search_files"));
    assert_null(strstr(buf_text(&again.log), "remember"));
    BUF_AUTO history = BUF_INIT(0);
    agent_world_history(&world, &history);
    assert_non_null(strstr(buf_text(&history), "tool: remembered\n"));
    assert_int_equal(agent_world_number(&world, "SELECT count(*) FROM memory"), 1);
}

// Both wait for their source when the program is stopped.
static void stop_in_the_middle_of_scripted_calls(void)
{
    HEARD_AUTO heard = {0};
    start("call slow; look\nsay never", &heard);
    agent_world_until(&world, &heard, "call look");
    stop_the_program();
    assert_int_equal(scripted.started, 2);
    assert_string_equal(agent_world_text(&world,
                                         "SELECT group_concat(name || state || flags) "
                                         "FROM (SELECT * FROM tool_calls ORDER BY ordinal)"),
                        "slowpending0,lookpending3");
}

static const char sentence[] = "interrupted: the program was stopped while this ran; it may have "
                               "had an effect, so look before you repeat it";

static void calls_of_a_source_that_did_not_come_back(void **state)
{
    HEARD_AUTO again = {0};
    stop_in_the_middle_of_scripted_calls();
    toolbox_remove_source(world.toolbox, scripted_id);
    go_on("say Done.", TURN_DONE, &again);
    assert_int_equal(scripted.started, 2);
    BUF_AUTO wanted = BUF_INIT(4096);
    buf_printf(&wanted,
               "user: go\nassistant:  +slow({})#c0 +look({})#c1\ntool: %s\n"
               "tool: error: there is no tool \"look\"\nassistant: Done.\n",
               sentence);
    history_is(buf_text(&wanted));
    assert_string_equal(agent_world_text(&world,
                                         "SELECT group_concat(name || state || flags) "
                                         "FROM (SELECT * FROM tool_calls ORDER BY ordinal)"),
                        "slowinterrupted0,lookdone3");
}

// What came back under these names says of itself the opposite: the row knows better.
static void calls_of_a_source_that_came_back_as_another(void **state)
{
    static const struct tool_description changed[] = {
        {"look", "Answers later.", SCRIPTED_SCHEMA, 0},
        {"slow", "Answers later.", SCRIPTED_SCHEMA, TOOL_REPEATABLE},
        {0},
    };
    HEARD_AUTO again = {0};
    struct scripted_source other;
    stop_in_the_middle_of_scripted_calls();
    toolbox_remove_source(world.toolbox, scripted_id);
    scripted_source_init(&other, changed);
    assert_int_equal(toolbox_add_source(world.toolbox, &other.source, &scripted_id, NULL), 0);
    begin_again("say Done.", &again);
    agent_world_until(&world, &again, "call look");
    scripted_source_answer(&other, 0, "seen", false);
    end_as(TURN_DONE, &again);
    assert_int_equal(other.started, 1);
    BUF_AUTO wanted = BUF_INIT(4096);
    buf_printf(&wanted,
               "user: go\nassistant:  +slow({})#c0 +look({})#c1\ntool: %s\ntool: seen\n"
               "assistant: Done.\n",
               sentence);
    history_is(buf_text(&wanted));
    toolbox_remove_source(world.toolbox, scripted_id);
}

// Nobody can say that it may run twice.
static void a_call_of_a_tool_that_nobody_has(void **state)
{
    HEARD_AUTO heard = {0}, again = {0};
    start("call launch_rocket; slow\nsay never", &heard);
    agent_world_until(&world, &heard, "result launch_rocket failed");
    stop_the_program();
    assert_int_equal(agent_world_number(&world, "SELECT flags FROM tool_calls"
                                                " WHERE name = 'launch_rocket'"),
                     0);
    fixture_exec(store_path(world.store), "UPDATE tool_calls SET state = 'pending', result = NULL");
    go_on("say Done.", TURN_DONE, &again);
    assert_null(strstr(buf_text(&again.log), "launch_rocket"));
    assert_int_equal(agent_world_number(&world, "SELECT count(*) FROM tool_calls"
                                                " WHERE state = 'interrupted'"),
                     2);
}

// A message that makes the program stop each time is given up after a few times.
static void stopped_too_often(void **state)
{
    HEARD_AUTO heard = {0}, again = {0}, next = {0};
    start("hang", &heard);
    agent_world_dispatch(&world);
    stop_the_program();
    fixture_exec(store_path(world.store), "UPDATE turns SET resumes = 3");
    go_on("say never", TURN_FAILED, &again);
    assert_int_equal(world.asked, 0);
    assert_non_null(strstr(again.error, "stopped 4 times"));
    agent_world_turn(&world, "next", "say Here.", TURN_DONE, &next);
}

// A turn that is stopped before it goes on does not go on; its call may have run before the kill.
static void cancelled_when_it_is_taken_up(void **state)
{
    HEARD_AUTO heard = {0}, again = {0};
    struct error err = ERROR_INIT;
    start("call read_file {'path':'f'}\nsay never", &heard);
    agent_world_until(&world, &heard, "call read_file");
    stop_the_program();
    fixture_exec(store_path(world.store), "UPDATE tool_calls SET state = 'pending', result = NULL");
    struct found found = the_open_turn();
    found.row.id = span_of(found.id);
    assert_int_equal(
        agent_session_load(store_view(world.store), span_of(found.session), &world.session, &err),
        0);
    again.world = &world;
    buf_init(&again.log, 1 << 20);
    assert_int_equal(agent_turn_resume(world.agent, world.session, found.row.id, NULL,
                                       agent_world_heard, &again, &again.id, &err),
                     0);
    agent_turn_cancel(world.agent, again.id);
    agent_world_wait(&world, &again);
    assert_int_equal(again.state, TURN_CANCELLED);
    assert_null(strstr(buf_text(&again.log), "call"));
    history_is("user: go\nassistant:  +read_file({\"path\":\"f\"})#c0\n"
               "tool: interrupted before it ended; it may have had an effect\n"
               "assistant: (no answer)\n");
}

// One question with more steps than a history has messages: it is not forgotten.
static void a_turn_that_is_longer_than_a_history(void **state)
{
    HEARD_AUTO heard = {0}, again = {0};
    start("hang Once", &heard);
    agent_world_until(&world, &heard, "text");
    stop_the_program();
    fixture_exec(store_path(world.store),
                 "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 500)"
                 " INSERT INTO messages(session, turn, role, content, created_ms)"
                 " SELECT 1, 1, 'assistant', 'step ' || i, 1 FROM n");
    go_on("say Done.", TURN_DONE, &again);
    assert_int_equal(strncmp(buf_text(&world.prompt), "system: ", 8), 0);
    assert_non_null(strstr(buf_text(&world.prompt), "\nuser: go\nassistant: step 1\n"));
}

/*
 * A turn of a schedule, say: another kind of work, a model of its own, limits of its own, and an
 * answer that goes to another chat than the session's. After a restart all of it holds.
 */
static void on_its_own_terms(void **state)
{
    HEARD_AUTO heard = {0}, again = {0};
    world.request = (struct turn_request){
        .terms = {.origin = SPAN_LITERAL("cron"),
                  .slot = SPAN_LITERAL("digest"),
                  .model = SPAN_LITERAL("tiny"),
                  .reply_channel = SPAN_LITERAL("post"),
                  .reply_chat = SPAN_LITERAL("9"),
                  .iterations_max = 1,
                  .limit_ms = 5000},
    };
    start("hang Once", &heard);
    agent_world_until(&world, &heard, "text");
    assert_string_equal(world.asked_as, "digest tiny");
    stop_the_program();
    go_on("call recall {'query':'x'}\nsay never", TURN_FAILED, &again);
    assert_string_equal(world.asked_as, "digest tiny");
    assert_string_equal(again.error, "stopped after 1 steps without an answer");
    assert_string_equal(agent_world_text(&world, "SELECT channel || chat || text FROM outbox"),
                        "post9⚠️ stopped after 1 steps without an answer");
    assert_string_equal(agent_world_text(&world, "SELECT source || slot || model FROM turns"),
                        "crondigesttiny");
}

// Work that nobody watches has the tools that it was given, if they may be used so.
static void with_tools_of_its_own(void **state)
{
    HEARD_AUTO heard = {0}, again = {0};
    world.request.terms = (struct store_turn_terms){.origin = SPAN_LITERAL("cron"),
                                                    .parent = SPAN_LITERAL("t0"),
                                                    .tools = SPAN_LITERAL("recall remember"),
                                                    .priority = CHAT_CRON,
                                                    .unattended = true};
    start("hang Once", &heard);
    agent_world_until(&world, &heard, "text");
    stop_the_program();
    go_on("call recall {'query':'x'}; remember {'text':'x'}; current_time {}\nsay Done.", TURN_DONE,
          &again);
    assert_non_null(strstr(buf_text(&world.prompt), "error: there is no tool \"remember\""));
    assert_non_null(strstr(buf_text(&world.prompt), "error: there is no tool \"current_time\""));
    assert_null(strstr(buf_text(&world.prompt), "error: there is no tool \"recall\""));
    assert_string_equal(
        agent_world_text(&world, "SELECT parent || priority || unattended FROM turns"), "t021");
    assert_int_equal(world.priority, CHAT_CRON);
}

static void with_a_limit_of_time_of_its_own(void **state)
{
    HEARD_AUTO heard = {0};
    world.request.terms.limit_ms = 5000;
    start("call read_file {'path':'f'}\nsay never", &heard);
    agent_world_until(&world, &heard, "call read_file");
    world.ahead_ms += 6000;
    agent_world_wait(&world, &heard);
    assert_int_equal(heard.state, TURN_FAILED);
    assert_string_equal(heard.error, "stopped after 6 seconds without an answer");
}

static void that_is_not_there(void **state)
{
    struct error err = ERROR_INIT;
    turn_id id = 0;
    assert_int_equal(agent_turn_resume(world.agent, world.session, SPAN_LITERAL("t9"), NULL,
                                       agent_world_heard, NULL, &id, &err),
                     -ENOENT);
    assert_string_equal(err.text, "there is no turn t9");
    assert_false(world.session->busy);
}

static void with_a_file_that_is_damaged_in_its_calls(void **state)
{
    HEARD_AUTO heard = {0}, again = {0}, next = {0};
    start("call remember {'content':'c'}\nhang", &heard);
    agent_world_until(&world, &heard, "result remember");
    agent_world_dispatch(&world);
    stop_the_program();
    fixture_exec(store_path(world.store),
                 "UPDATE turns SET state = 'tools'; UPDATE messages SET tool_calls = '[{]'");
    go_on("say never", TURN_FAILED, &again);
    assert_non_null(strstr(again.error, "not in its conversation"));
    assert_int_equal(world.asked, 0);
    agent_world_turn(&world, "next", "say Here.", TURN_DONE, &next);
}

int main(int argc, char **argv)
{
    if (argc > 1 && strcmp(argv[1], process_command) == 0)
        return process_main(argc - 2, argv + 2, &tool_process_function, 1);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(before_the_model_answered, setup, teardown),
        cmocka_unit_test_setup_teardown(at_its_very_begin, setup, teardown),
        cmocka_unit_test_setup_teardown(after_the_tools, setup, teardown),
        cmocka_unit_test_setup_teardown(in_the_middle_of_its_tools, setup, teardown),
        cmocka_unit_test_setup_teardown(with_one_call_done, setup, teardown),
        cmocka_unit_test_setup_teardown(calls_of_a_source_that_did_not_come_back, setup, teardown),
        cmocka_unit_test_setup_teardown(calls_of_a_source_that_came_back_as_another, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(a_call_of_a_tool_that_nobody_has, setup, teardown),
        cmocka_unit_test_setup_teardown(cancelled_when_it_is_taken_up, setup, teardown),
        cmocka_unit_test_setup_teardown(a_turn_that_is_longer_than_a_history, setup, teardown),
        cmocka_unit_test_setup_teardown(stopped_too_often, setup, teardown),
        cmocka_unit_test_setup_teardown(on_its_own_terms, setup, teardown),
        cmocka_unit_test_setup_teardown(with_tools_of_its_own, setup, teardown),
        cmocka_unit_test_setup_teardown(with_a_limit_of_time_of_its_own, setup, teardown),
        cmocka_unit_test_setup_teardown(that_is_not_there, setup, teardown),
        cmocka_unit_test_setup_teardown(with_a_file_that_is_damaged_in_its_calls, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
