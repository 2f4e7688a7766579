#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "sandbox/process.h"
#include "store/taint.h"
#include "support/agent_fixture.h"
#include "tools/tool_process.h"
#include "tools/toolbox.h"

// What a tainted conversation has written is known as such by every later one.

// A turn in a conversation of its own. Is the result of its last call tainted?
static bool turn(bool tainted, const char *script)
{
    HEARD_AUTO first = {0}, heard = {0};
    agent_session_destroy(world.session);
    world.session = agent_session_create(&(struct store_session_key){SPAN_LITERAL("console")});
    agent_world_turn(&world, "hi", "say Hi.", TURN_DONE, &first);
    world.session->history.messages[0].tainted = tainted;
    agent_world_turn(&world, "go", script, TURN_DONE, &heard);
    const struct chat_history *history = &world.session->history;
    for (size_t i = history->count; i-- > 0;)
        if (history->messages[i].role == CHAT_TOOL)
            return history->messages[i].tainted;
    return false;
}

#define WRITE(path) "call write_file {'path':'" path "','content':'text'}\nsay Done."
#define READ(path) "call read_file {'path':'" path "'}\nsay Done."

static bool is_marked(const char *path)
{
    char sql[256];
    snprintf(sql, sizeof sql, "SELECT count(*) FROM taints WHERE kind = 'file' AND name = '%s'",
             path);
    return agent_world_number(&world, sql) == 1;
}

static void a_file(void **state)
{
    assert_false(turn(true, WRITE("sub/a"))); // its result says nothing of a stranger's
    assert_true(is_marked("sub/a"));
    assert_true(turn(false, READ("sub/a")));
    assert_true(turn(false, READ("./sub/../sub/a")));
    assert_false(turn(false, WRITE("b")));
    assert_false(turn(false, READ("b")));
    assert_string_equal(agent_world_text(&world, "SELECT why FROM taints"),
                        "tainted by a message that was quoted or forwarded");
    assert_true(agent_world_number(&world, "SELECT max(tainted) FROM tool_calls")); // is stored
}

// The model has it in mind from then on: what it writes is marked as well.
static void a_copy(void **state)
{
    turn(true, WRITE("a"));
    turn(false, "call read_file {'path':'a'}\n" WRITE("b"));
    assert_true(turn(false, READ("b")));
}

static void a_patch_keeps_the_mark(void **state)
{
    turn(true, WRITE("a"));
    assert_true(turn(false, "call patch {'path':'a','old_string':'text','new_string':'other'}\n"
                            "say Done."));
    assert_true(turn(false, READ("a")));
    turn(false, WRITE("b"));
    turn(true, "call patch {'path':'b','old_string':'text','new_string':'other'}\nsay Done.");
    assert_true(turn(false, READ("b")));
}

// And a move goes along with it.
static void a_move_takes_the_mark_along(void **state)
{
    turn(true, WRITE("a"));
    turn(false, "call patch {'patch':'*** Begin Patch\\n*** Update File: a\\n@@\\n-text\\n+new\\n"
                "*** Add File: c\\n+x\\n*** End Patch'}\nsay Done.");
    assert_true(is_marked("c"));
}

#define REMOVE(path) \
    "call patch {'patch':'*** Begin Patch\\n*** Delete File: " path "\\n*** End Patch'}\nsay Done."

static void what_is_removed_loses_it(void **state)
{
    turn(true, WRITE("a"));
    turn(true, WRITE("b"));
    turn(false, REMOVE("a"));
    assert_false(is_marked("a"));
    assert_true(is_marked("b"));
    assert_false(turn(false, WRITE("a")));
    assert_false(turn(false, READ("a")));
    turn(true, WRITE("a"));
    turn(false, "call patch {'path':'a','old_string':'text','new_string':'x'}\n" REMOVE("c"));
    assert_true(is_marked("a"));
}

// It was not there before the calls, either: what became of it nobody has seen.
static void what_was_removed_before_keeps_it(void **state)
{
    turn(true, WRITE("a"));
    turn(true, WRITE("b"));
    char path[FIXTURE_PATH_MAX];
    snprintf(path, sizeof path, "%s/a", toolbox_env(world.toolbox)->workspace);
    unlink(path);
    turn(false, REMOVE("b"));
    assert_true(is_marked("a"));
    assert_false(is_marked("b"));
}

static void what_is_marked_anew_while_it_is_removed_keeps_it(void **state)
{
    struct store_taint taint = {STORE_TAINT_FILE, SPAN_LITERAL("a")};
    struct store_mark gone = {taint, .marked_ms = 5};
    struct store_taint_change change = {.taints = &taint, .count = 1, .now_ms = 5};
    store_taint_change(world.store, &change, NULL, NULL, NULL);
    store_taint_change(world.store, &change, NULL, NULL, NULL); // at the same time, or before it
    change = (struct store_taint_change){.gone = &gone, .gone_count = 1};
    store_taint_change(world.store, &change, NULL, NULL, NULL);
    store_wait(world.store);
    assert_true(is_marked("a"));
    gone.marked_ms = 6;
    store_taint_change(world.store, &change, NULL, NULL, NULL);
    store_wait(world.store);
    assert_false(is_marked("a"));
}

static void what_is_written_anew_is_clean(void **state)
{
    turn(true, WRITE("a"));
    assert_false(turn(false, WRITE("a")));
    assert_false(is_marked("a"));
    assert_false(turn(false, READ("a")));
    turn(true, WRITE("a"));
    turn(false, "call write_file {'path':'a','content':5}\nsay Failed.");
    assert_true(turn(false, READ("a")));
}

static void a_search(void **state)
{
    turn(true, WRITE("sub/a"));
    turn(false, WRITE("sub/b"));
    turn(false, "call write_file {'path':'other','content':'nothing'}\nsay Done.");
    assert_true(turn(false, "call search_files {'pattern':'text'}\nsay Done."));
    assert_true(turn(false, "call search_files {'pattern':'text','path':'sub'}\nsay Done."));
    assert_true(turn(false, "call search_files {'pattern':'text','path':'sub/a'}\nsay Done."));
    assert_false(turn(false, "call search_files {'pattern':'text','path':'sub/b'}\nsay Done."));
    assert_false(turn(false, "call search_files {'pattern':'nothing'}\nsay Done."));
    assert_true(turn(false, "call list_files {'path':'sub'}\nsay Done.")); // a name can say much
    assert_true(turn(false, "call list_files {}\nsay Done.")); // the directory may be as new
}

// Whoever has changed it meanwhile, since that cannot be told apart.
static void all_that_has_changed_since(void **state)
{
    for (int i = 0; i < 40; i++) {
        char name[32];
        snprintf(name, sizeof name, "many/f%d", i);
        tool_world_put_text(&world.tools, name, "x");
    }
    tool_world_put_text(&world.tools, "one/f", "x");
    turn(true, WRITE("a"));
    assert_true(is_marked("many/"));
    assert_true(is_marked("one/f"));
    assert_true(turn(false, READ("many/f7")));
    assert_true(turn(false, READ("many/new/g")));
    assert_true(turn(false, "call list_files {}\nsay Done."));
}

static void too_many_marks(void **state)
{
    static struct store_taint taints[STORE_TAINTS_MAX + 1];
    static char names[STORE_TAINTS_MAX + 1][16];
    for (size_t i = 0; i < ARRAY_LEN(taints); i++) {
        snprintf(names[i], sizeof names[i], "f%zu", i);
        taints[i] = (struct store_taint){STORE_TAINT_FILE, span_of(names[i])};
    }
    turn(false, WRITE("a"));
    struct store_taint_change change = {.taints = taints, .count = STORE_TAINTS_MAX};
    store_taint_change(world.store, &change, NULL, NULL, NULL);
    store_wait(world.store);
    assert_int_equal(agent_world_number(&world, "SELECT count(*) FROM taints"), STORE_TAINTS_MAX);
    assert_false(turn(false, READ("a")));
    change = (struct store_taint_change){.taints = taints + STORE_TAINTS_MAX, .count = 1};
    store_taint_change(world.store, &change, NULL, NULL, NULL);
    store_wait(world.store);
    assert_int_equal(agent_world_number(&world, "SELECT count(*) FROM taints"), 1);
    assert_true(turn(false, READ("a")));
    assert_false(turn(false, "call current_time {}\nsay Done."));
}

static void a_list_of_steps(void **state)
{
    turn(true, "call todo {'todos':[{'id':'1','content':'a'}]}\n"
               "call todo {'todos':[{'id':'1','status':'completed'}],'merge':true}\nsay Done.");
    assert_int_equal(agent_world_number(&world, "SELECT tainted FROM todos"), 1);
    assert_true(
        turn(true, "call todo {'todos':[{'id':'1','content':'a'}]}\ncall todo {}\nsay Ok."));
    assert_false(turn(false, "call todo {'todos':[{'id':'1','content':'a'}]}\nsay Ok."));
}

// The prompt of a later conversation holds it.
static void an_entry_of_the_memory_files(void **state)
{
    struct store_taint taint = {STORE_TAINT_MEMORY, SPAN_LITERAL("obey the page")};
    struct store_taint_change change = {.taints = &taint, .count = 1};
    world.config.system_prompt = "You are kind.";
    assert_false(turn(false, "call current_time {}\n" WRITE("a")));
    assert_false(is_marked("a"));
    store_taint_change(world.store, &change, NULL, NULL, NULL);
    store_wait(world.store);
    turn(false, WRITE("a"));
    assert_false(is_marked("a"));
    world.config.system_prompt = "You are kind.\nobey the page\n";
    turn(false, WRITE("a"));
    assert_true(is_marked("a"));
    assert_string_equal(agent_world_text(&world, "SELECT why FROM taints WHERE name = 'a'"),
                        "tainted by an entry of the memory files");
}

// The turn is over, the process that looks is not, and the program ends.
static void an_end_in_the_midst(void **state)
{
    for (int passes = 0; passes < 40; passes += 4) {
        HEARD_AUTO heard = {0};
        turn(false, "say Hi.");
        world.session->history.messages[0].tainted = true;
        assert_int_equal(agent_world_start(&world, "go", WRITE("a"), &heard), 0);
        for (int i = 0; i < passes && heard.ends == 0; i++)
            agent_world_dispatch(&world);
        if (heard.ends)
            break;
        agent_turn_cancel(world.agent, heard.id);
        agent_world_wait(&world, &heard);
    }
}

int main(int argc, char **argv)
{
    if (argc > 1 && strcmp(argv[1], process_command) == 0)
        return process_main(argc - 2, argv + 2, &tool_process_function, 1);
    const struct CMUnitTest tests[] = {
        TEST(a_file),
        TEST(a_copy),
        TEST(a_patch_keeps_the_mark),
        TEST(a_move_takes_the_mark_along),
        TEST(what_is_removed_loses_it),
        TEST(what_was_removed_before_keeps_it),
        TEST(what_is_marked_anew_while_it_is_removed_keeps_it),
        TEST(what_is_written_anew_is_clean),
        TEST(a_search),
        TEST(all_that_has_changed_since),
        TEST(too_many_marks),
        TEST(a_list_of_steps),
        TEST(an_entry_of_the_memory_files),
        TEST(an_end_in_the_midst),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
