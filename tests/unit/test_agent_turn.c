#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "sandbox/process.h"
#include "support/agent_fixture.h"
#include "tools/tool_process.h"

// Turns that run to their end, good or bad.

enum { HOUR_MS = 3600 * 1000 };

static void history_is(const char *wanted)
{
    BUF_AUTO history = BUF_INIT(0);
    agent_world_history(&world, &history);
    assert_string_equal(buf_text(&history), wanted);
}

static void rows_are(const char *wanted)
{
    static const char sql[] =
        "SELECT group_concat(role || ':' || content || coalesce('#' || tool_call_id, ''), '|') "
        "FROM (SELECT * FROM messages ORDER BY id)";
    assert_string_equal(agent_world_text(&world, sql), wanted);
}

static void a_plain_answer(void **state)
{
    HEARD_AUTO heard = {0};
    agent_world_turn(&world, "hi", "say Hello, you.", TURN_DONE, &heard);
    assert_string_equal(buf_text(&heard.log), "text Hello\ntext , you.\n");
    assert_string_equal(heard.text, "Hello, you.");
    assert_string_equal(heard.error, "");
    assert_string_equal(heard.remark, "");
    assert_int_equal(heard.iterations, 1);
    assert_int_equal(heard.usage.prompt_tokens, 100);
    assert_int_equal(heard.usage.completion_tokens, 10);
    assert_int_equal(heard.usage.reasoning_tokens, -1);
    history_is("user: hi\nassistant: Hello, you.\n");
    rows_are("user:hi|assistant:Hello, you.");
    assert_string_equal(
        agent_world_text(&world,
                         "SELECT state || iteration || '/' || source || '/' || model || '/' || "
                         "input_tokens || '/' || output_tokens || '/' || cached_tokens || '/' || "
                         "cost_pico || '/' || (ended_ms IS NOT NULL) FROM turns"),
        "done1/console/scripted/100/10/1/7/1");
    assert_string_equal(agent_world_text(&world, "SELECT id FROM sessions"), world.session->id);
    assert_string_equal(agent_world_text(&world, "SELECT prompt FROM sessions"),
                        world.session->prompt);
    assert_string_equal(agent_world_text(&world, "SELECT turn IS NOT NULL FROM messages"), "1");
}

static void tools_side_by_side(void **state)
{
    HEARD_AUTO heard = {0};
    tool_world_put_text(&world.tools, "f", "x\n");
    agent_world_turn(&world, "go",
                     "call read_file {'path':'f'}; remember {'content':'c'}; current_time\n"
                     "say done",
                     TURN_DONE, &heard);
    // They end in another order than they were asked for in,
    const char *log = buf_text(&heard.log);
    const char *time = strstr(log, "result current_time ok"), *file = strstr(log, "result read_");
    assert_true(time && file && time < file);
    // but are told in that one.
    history_is("user: go\n"
               "assistant:  +read_file({\"path\":\"f\"})#c0 +remember({\"content\":\"c\"})#c1 "
               "+current_time({})#c2\n"
               "tool: 1|x\n\ntool: remembered\ntool: 2025-11-21T03:00:00Z (Friday, UTC)\n"
               "assistant: done\n");
    rows_are("user:go|assistant:|tool:1|x\n#c0|tool:remembered#c1|"
             "tool:2025-11-21T03:00:00Z (Friday, UTC)#c2|assistant:done");
    assert_string_equal(
        agent_world_text(&world, "SELECT group_concat(iteration || ordinal || call_id || name || "
                                 "arguments || state || (flags & 1) || failed || result, '|') FROM "
                                 "(SELECT * FROM tool_calls ORDER BY iteration, ordinal)"),
        "10c0read_file{\"path\":\"f\"}done101|x\n|11c1remember{\"content\":\"c\"}done00remembered|"
        "12c2current_time{}done102025-11-21T03:00:00Z (Friday, UTC)");
    assert_string_equal(agent_world_text(&world, "SELECT CAST(tool_calls AS TEXT) FROM messages "
                                                 "WHERE tool_calls IS NOT NULL"),
                        "[{\"id\":\"c0\",\"name\":\"read_file\",\"arguments\":\"{\\\"path\\\":"
                        "\\\"f\\\"}\"},{\"id\":\"c1\",\"name\":\"remember\",\"arguments\":"
                        "\"{\\\"content\\\":\\\"c\\\"}\"},{\"id\":\"c2\",\"name\":\"current_time\","
                        "\"arguments\":\"{}\"}]");
    assert_int_equal(heard.iterations, 2);
    assert_int_equal(heard.usage.prompt_tokens, 200);
    assert_int_equal(agent_world_number(&world, "SELECT input_tokens FROM turns"), 200);
}

static void mistakes_are_told_to_the_model(void **state)
{
    HEARD_AUTO heard = {0};
    agent_world_turn(&world, "go",
                     "call read_fiel {'path':'f'}; read_file {'path'; read_file {}\n"
                     "say sorry",
                     TURN_DONE, &heard);
    BUF_AUTO history = BUF_INIT(0);
    agent_world_history(&world, &history);
    assert_non_null(strstr(buf_text(&history),
                           "tool: error: there is no tool \"read_fiel\"; did you mean "
                           "\"read_file\"?\ntool: error: the arguments are not JSON: "));
    assert_non_null(strstr(buf_text(&history),
                           "tool: error: the parameter \"path\" is missing\nassistant: "
                           "sorry\n"));
    assert_int_equal(agent_world_number(&world, "SELECT count(*) FROM tool_calls WHERE failed = 1 "
                                                "AND state = 'done'"),
                     3);
    // The store keeps what the model wrote, not what became of it.
    assert_string_equal(agent_world_text(&world, "SELECT CAST(arguments AS TEXT) FROM tool_calls "
                                                 "WHERE ordinal = 1"),
                        "{\"path\"");
}

static void too_many_steps(void **state)
{
    HEARD_AUTO heard = {0}, next = {0};
    world.config.max_turns = 3;
    agent_world_turn(&world, "go",
                     "call recall {'query':'a'}\ncall recall {'query':'b'}\n"
                     "call recall {'query':'c'}\nsay never",
                     TURN_FAILED, &heard);
    assert_string_equal(heard.error,
                        "stopped after 3 steps without an answer; raise agent.max_turns "
                        "or HERMES_MAX_ITERATIONS");
    assert_int_equal(world.asked, 3);
    assert_string_equal(agent_world_text(&world, "SELECT state || iteration || error FROM turns"),
                        "failed3stopped after 3 steps without an answer; raise agent.max_turns or "
                        "HERMES_MAX_ITERATIONS");
    agent_world_turn(&world, "and now?", "say Better.", TURN_DONE, &next);
    rows_are("user:go|assistant:|tool:nothing is remembered of it#c0|assistant:|"
             "tool:nothing is remembered of it#c0|assistant:|tool:nothing is remembered of it#c0|"
             "assistant:(no answer)|user:and now?|assistant:Better.");
}

static void the_same_again_and_again(void **state)
{
    HEARD_AUTO heard = {0}, varied = {0}, other_results = {0};
    agent_world_turn(&world, "go",
                     "call recall {'query':'a'}\ncall recall {'query':'a'}\n"
                     "call recall {'query':'a'}\nsay never",
                     TURN_FAILED, &heard);
    assert_string_equal(heard.error,
                        "stopped: the model made the same call 3 times and got the same result");
    // With another call in between, or another result, it is not the same.
    agent_world_turn(&world, "go",
                     "call recall {'query':'a'}\ncall recall {'query':'a'}\n"
                     "call remember {'content':'a'}\n"
                     "call recall {'query':'a'}\ncall recall {'query':'a'}\nsay fine",
                     TURN_DONE, &varied);
    static const char poll[] = "call recall {'query':''}; remember {'content':'a'}\n"
                               "call recall {'query':''}; remember {'content':'a'}\n"
                               "call recall {'query':''}; remember {'content':'a'}\n"
                               "call recall {'query':''}; remember {'content':'a'}\nsay fine";
    agent_world_turn(&world, "go", poll, TURN_DONE, &other_results);
}

static void too_long(void **state)
{
    HEARD_AUTO heard = {0}, unlimited = {0};
    assert_int_equal(agent_world_start(&world, "go", "call recall {'query':'a'}\nhang x", &heard),
                     0);
    world.ahead_ms += 60 * 1000 + 1000;
    agent_world_wait(&world, &heard);
    assert_int_equal(heard.state, TURN_FAILED);
    assert_string_equal(heard.error,
                        "stopped after 61 seconds without an answer; raise agent.gateway_timeout");
    assert_int_equal(world.asked, 0);

    world.config.turn_limit_ms = 0;
    assert_int_equal(
        agent_world_start(&world, "go", "call recall {'query':'a'}\nsay ok", &unlimited), 0);
    world.ahead_ms += 3600 * 1000;
    agent_world_wait(&world, &unlimited);
    assert_int_equal(unlimited.state, TURN_DONE);
}

static void a_model_that_says_nothing(void **state)
{
    HEARD_AUTO heard = {0};
    world.config.turn_limit_ms = 1000;
    assert_int_equal(agent_world_start(&world, "go", "hang some words", &heard), 0);
    agent_world_wait(&world, &heard);
    assert_int_equal(heard.state, TURN_FAILED);
    assert_string_equal(heard.error,
                        "stopped after 1 seconds without an answer; raise agent.gateway_timeout");
    rows_are("user:go|assistant:some words"); // of what had come
}

static void keep_ms(void *context, const struct log_record *record)
{
    for (size_t i = 0; strcmp(record->event, "turn.tool") == 0 && i < record->field_count; i++)
        if (record->fields[i].name && strcmp(record->fields[i].name, "ms") == 0)
            *(int64_t *)context = record->fields[i].number;
}

// It waited an hour for memory: that is not how long it took.
static void the_time_of_a_call(void **state)
{
    HEARD_AUTO heard = {0};
    int64_t ms = -1;
    tool_world_put_text(&world.tools, "f", "x\n");
    assert_int_equal(agent_world_start(&world, "go", "call read_file {'path':'f'}\nsay ok", &heard),
                     0);
    agent_world_until(&world, &heard, "call read_file");
    world.ahead_ms += HOUR_MS;
    log_set_sink(keep_ms, NULL, &ms, false);
    agent_world_wait(&world, &heard);
    log_set_sink(NULL, NULL, NULL, false);
    assert_non_null(strstr(buf_text(&heard.log), "result read_file ok"));
    assert_true(ms >= 0 && ms < HOUR_MS);
}

static void a_model_that_fails(void **state)
{
    HEARD_AUTO heard = {0}, refused = {0}, later = {0}, next = {0};
    agent_world_turn(&world, "one", "fail Half the provider failed", TURN_FAILED, &heard);
    assert_int_equal(strncmp(heard.error, "the provider failed", 19), 0); // and what to do
    assert_string_equal(heard.text, "Half");
    agent_world_turn(&world, "two", "refuse no way", TURN_FAILED, &refused);
    assert_string_equal(refused.error, "no way");
    assert_string_equal(refused.text, "");
    agent_world_turn(&world, "three", "call recall {'query':'a'}\nrefuse not now", TURN_FAILED,
                     &later);
    assert_string_equal(later.error, "not now");
    agent_world_turn(&world, "four", "say Here.", TURN_DONE, &next);
    rows_are("user:one|assistant:Half|user:two|assistant:(no answer)|user:three|assistant:|"
             "tool:nothing is remembered of it#c0|assistant:(no answer)|"
             "user:four|assistant:Here.");
    assert_string_equal(
        agent_world_text(&world, "SELECT group_concat(state || coalesce(substr(error, 1, 19), '')) "
                                 "FROM turns"),
        "failedthe provider failed,failedno way,failednot now,done");
}

static void an_answer_cut_by_the_token_limit(void **state)
{
    HEARD_AUTO heard = {0};
    agent_world_turn(&world, "hi", "cut Once upon", TURN_DONE, &heard);
    assert_string_equal(heard.text, "Once upon");
    assert_non_null(strstr(heard.remark, "token limit"));
}

// The end of a reply that asks for tools is not the end of the answer.
static void a_cut_reply_before_the_answer(void **state)
{
    HEARD_AUTO heard = {0};
    agent_world_turn(&world, "hi", "cut-call current_time\nsay The whole answer.", TURN_DONE,
                     &heard);
    assert_string_equal(heard.text, "The whole answer.");
    assert_string_equal(heard.remark, "");
}

// The prompt is made once, of SOUL.md if there is one, and stays as it was.
static void the_prompt_is_frozen(void **state)
{
    HEARD_AUTO heard = {0}, again = {0};
    char path[FIXTURE_PATH_MAX + 16];
    snprintf(path, sizeof path, "%s/SOUL.md", world.home);
    FILE *soul = fopen(path, "we");
    fputs(" I am \xff Odysseus.\n", soul);
    fclose(soul);
    agent_world_turn(&world, "hi", "say a", TURN_DONE, &heard);
    assert_int_equal(
        strncmp(buf_text(&world.prompt), "system: I am \xef\xbf\xbd Odysseus.\n\nFiles: ", 33), 0);
    remove(path);
    BUF_AUTO before = BUF_INIT(1 << 20);
    buf_append(&before, world.prompt.data, world.prompt.len);
    agent_world_turn(&world, "again", "say b", TURN_DONE, &again);
    buf_append_text(&before, "assistant: a\nuser: again\n");
    assert_string_equal(buf_text(&world.prompt), buf_text(&before));
}

static void one_turn_at_a_time(void **state)
{
    HEARD_AUTO heard = {0}, second = {0}, third = {0};
    assert_int_equal(agent_world_start(&world, "one", "say a", &heard), 0);
    const char *script = world.script;
    assert_int_equal(agent_world_start(&world, "two", script, &second), -EBUSY);
    assert_string_equal(second.error, "a turn is already running in this conversation");
    agent_world_wait(&world, &heard);
    agent_world_turn(&world, "three", "say c", TURN_DONE, &third);
    rows_are("user:one|assistant:a|user:three|assistant:c");
}

static void start_the_next(struct heard_turn *heard)
{
    struct heard_turn *next = heard->context;
    assert_int_equal(agent_world_start(heard->world, "next", "say b", next), 0);
    assert_true(heard->world->session->busy);
}

// A channel with a queue begins the next turn from inside the end of the last.
static void the_next_turn_from_inside_the_end(void **state)
{
    HEARD_AUTO next = {0}, third = {0};
    HEARD_AUTO heard = {.at_end = start_the_next, .context = &next};
    assert_int_equal(agent_world_start(&world, "first", "say a", &heard), 0);
    agent_world_wait(&world, &heard);
    assert_true(world.session->busy);
    assert_int_equal(agent_world_start(&world, "third", world.script, &third), -EBUSY);
    agent_world_wait(&world, &next);
    assert_false(world.session->busy);
    rows_are("user:first|assistant:a|user:next|assistant:b");
}

static void end_the_session(struct heard_turn *heard)
{
    agent_session_destroy(heard->world->session);
    heard->world->session = NULL;
}

static void the_session_ends_with_its_turn(void **state)
{
    HEARD_AUTO heard = {.at_end = end_the_session};
    agent_world_turn(&world, "bye", "say Bye.", TURN_DONE, &heard);
    assert_null(world.session);
}

static void fifty_turns(void **state)
{
    for (int i = 0; i < 50; i++) {
        HEARD_AUTO heard = {0};
        agent_world_turn(&world, "go", i % 5 ? "say ok" : "call recall {'query':'a'}\nsay ok",
                         TURN_DONE, &heard);
    }
    assert_int_equal(world.session->history.count, 120);
    assert_int_equal(agent_world_number(&world, "SELECT count(*) FROM messages"), 120);
    assert_int_equal(agent_world_number(&world, "SELECT count(*) FROM turns WHERE state = 'done'"),
                     50);
    assert_int_equal(agent_world_number(&world, "SELECT count(*) FROM sessions"), 1);
}

int main(int argc, char **argv)
{
    if (argc > 1 && strcmp(argv[1], process_command) == 0)
        return process_main(argc - 2, argv + 2, &tool_process_function, 1);
    tool_world_set_zone("TZ=UTC0");
    const struct CMUnitTest tests[] = {
        TEST(a_plain_answer),
        TEST(tools_side_by_side),
        TEST(mistakes_are_told_to_the_model),
        TEST(too_many_steps),
        TEST(the_same_again_and_again),
        TEST(too_long),
        TEST(a_model_that_says_nothing),
        TEST(the_time_of_a_call),
        TEST(a_model_that_fails),
        TEST(an_answer_cut_by_the_token_limit),
        TEST(a_cut_reply_before_the_answer),
        TEST(the_prompt_is_frozen),
        TEST(one_turn_at_a_time),
        TEST(the_next_turn_from_inside_the_end),
        TEST(the_session_ends_with_its_turn),
        TEST(fifty_turns),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
