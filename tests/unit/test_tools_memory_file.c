#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

#include "base/clock.h"
#include "base/fd.h"
#include "codec/entries.h"
#include "support/tool_world.h"
#include "tools/tool_process.h"
#include "tools/toolbox.h"

#define S "\xc2\xa7" // the section sign

static struct tool_world world; // its workspace is memories/

static int setup(void **state)
{
    tool_world_make(&world);
    return 0;
}

static int teardown(void **state)
{
    tool_world_remove(&world);
    return 0;
}

// Through the toolbox, as its process has it. In `arguments` ' stands for ".
static const char *run_limited(const char *arguments, int memory, int user)
{
    static char text[TOOL_TEXT_MAX];
    BUF_AUTO request = BUF_INIT(1 << 20);
    BUF_AUTO out = BUF_INIT(TOOL_TEXT_MAX);
    struct error err = ERROR_INIT;
    buf_append_text(&request, "{\"tool\":\"memory\",\"arguments\":");
    for (; *arguments; arguments++)
        buf_append_char(&request, *arguments == '\'' ? '"' : *arguments);
    buf_printf(&request, ",\"settings\":{\"memory_characters\":%d,\"user_characters\":%d}}", memory,
               user);
    int r = tool_process_function.run(world.fd, buf_span(&request), &out, &err);
    snprintf(text, sizeof text, "%s%s", r < 0 ? "refused: " : "",
             r < 0 ? err.text : buf_text(&out));
    return text;
}

static const char *run(const char *arguments)
{
    return run_limited(arguments, 100, 50);
}

#define says(arguments, wanted) assert_string_equal(run(arguments), wanted)
#define holds(name, text) assert_true(tool_world_holds(&world, name, text))

static size_t read_archive(struct buf *out)
{
    char path[1024];
    snprintf(path, sizeof path, "%s/ARCHIVE.jsonl", world.workspace);
    buf_clear(out);
    fd_read_file(path, out, NULL);
    size_t lines = 0;
    for (size_t i = 0; i < out->len; i++)
        lines += out->data[i] == '\n';
    return lines;
}

static void entries_come_and_go(void **state)
{
    says("{'target':'memory','action':'add','content':' first \\n'}",
         "saved; 5% of 100 characters; shown from the next conversation on");
    holds("MEMORY.md", "first\n");
    says("{'target':'memory','action':'add','new_text':'second thing'}",
         "saved; 20% of 100 characters; shown from the next conversation on");
    holds("MEMORY.md", "first\n" S "\nsecond thing\n");
    says("{'target':'user','action':'add','content':'is called Ann'}",
         "saved; 26% of 50 characters; shown from the next conversation on");
    says("{'target':'memory','action':'replace','old_text':'thing','content':'2nd'}",
         "replaced; 11% of 100 characters; shown from the next conversation on");
    holds("MEMORY.md", "first\n" S "\n2nd\n");
    says("{'target':'memory','action':'remove','old_text':'fir'}",
         "removed; 3% of 100 characters; shown from the next conversation on");
    says("{'target':'memory','action':'remove','old_text':'2nd'}",
         "removed; 0% of 100 characters; shown from the next conversation on");
    holds("MEMORY.md", "");
    holds("USER.md", "is called Ann\n");
    struct stat stat;
    assert_int_equal(fstatat(world.fd, "USER.md", &stat, 0), 0);
    assert_int_equal(stat.st_mode & 0777, 0600);
}

static void several_changes_at_once(void **state)
{
    tool_world_put_text(&world, "MEMORY.md", "one\n" S "\ntwo\n" S "\nthree\n");
    says("{'target':'memory','operations':[{'action':'remove','old_text':'two'},"
         "{'action':'replace','old_text':'thr','new_text':'3'},{'action':'add','content':'four'},"
         "{'action':'add','content':'one'}]}",
         "3 of 4 changes made; the others were there already; 14% of 100 characters; shown from "
         "the next conversation on");
    holds("MEMORY.md", "one\n" S "\n3\n" S "\nfour\n");
    // One that cannot be made: none is.
    says("{'target':'memory','operations':[{'action':'remove','old_text':'one'},"
         "{'action':'remove','old_text':'one'}]}",
         "refused: nothing was changed, because of operation 2 of 2: old_text is in no entry; they "
         "begin \"3\", \"four\"");
    says("{'target':'memory','operations':[{'action':'add','content':'x'},{'action':'ad'}]}",
         "refused: nothing was changed, because of operation 2 of 2: the parameter \"action\" must "
         "be add, replace or remove");
    holds("MEMORY.md", "one\n" S "\n3\n" S "\nfour\n");
    // A list of one speaks as a call without a list does.
    says("{'target':'memory','operations':[{'action':'remove','old_text':'3'}]}",
         "removed; 10% of 100 characters; shown from the next conversation on");
    says("{'target':'memory','operations':[{'action':'remove','old_text':'5'}]}",
         "refused: old_text is in no entry; they begin \"one\", \"four\"");
    // What is added and removed in one call was never there.
    says("{'target':'memory','operations':[{'action':'add','content':'gone'},"
         "{'action':'remove','old_text':'gone'}]}",
         "2 of 2 changes made; 10% of 100 characters; shown from the next conversation on");
    holds("MEMORY.md", "one\n" S "\nfour\n");
}

#define X40 "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"
#define Y40 "yyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyy"

// Room is made for the last state, not for one on the way to it.
static void several_changes_need_room_at_the_end(void **state)
{
    BUF_AUTO archive = BUF_INIT(1 << 16);
    tool_world_put_text(&world, "MEMORY.md", "old\n" S "\n" X40 "\n");
    says("{'target':'memory','operations':[{'action':'add','content':'" Y40 "'},"
         "{'action':'add','content':'z" Y40 "'},{'action':'remove','old_text':'xx'}]}",
         "3 of 3 changes made; 90% of 100 characters; shown from the next conversation on");
    assert_int_equal(read_archive(&archive), 0);
    says("{'target':'memory','operations':[{'action':'add','content':'" X40 "'},"
         "{'action':'add','content':'a'}]}",
         "2 of 2 changes made; 88% of 100 characters; to make room the 2 oldest entries went to "
         "ARCHIVE.jsonl; shown from the next conversation on");
    assert_int_equal(read_archive(&archive), 2);
    says("{'target':'memory','operations':[{'action':'add','content':'1" X40 "'},"
         "{'action':'add','content':'2" X40 "'},{'action':'add','content':'3" X40 "'}]}",
         "refused: nothing was changed: the new entries have 129 characters together, and "
         "MEMORY.md may have 100 in all");
    holds("MEMORY.md", "z" Y40 "\n" S "\n" X40 "\n" S "\na\n");
    assert_int_equal(read_archive(&archive), 2);
}

static void a_list_that_is_none(void **state)
{
    static const char refusal[] =
        "refused: the parameter \"operations\" must be a list of 1 to 32 objects";
    BUF_AUTO many = BUF_INIT(4096);
    buf_append_text(&many, "{'target':'user','operations':[{}");
    for (int i = 0; i < 32; i++)
        buf_append_text(&many, ",{}");
    buf_append_text(&many, "]}");
    says(buf_text(&many), refusal);
    says("{'target':'user','operations':[]}", refusal);
    says("{'target':'user','operations':{}}", refusal);
    says("{'target':'user','operations':'add'}", refusal);
    says("{'target':'user','operations':[1,[]]}",
         "refused: nothing was changed, because of operation 1 of 2: the parameter \"action\" must "
         "be add, replace or remove");
    says("{'target':'user','operations':null,'action':'add','content':'x'}",
         "saved; 2% of 50 characters; shown from the next conversation on");
}

static void what_is_there_already(void **state)
{
    tool_world_put_text(&world, "MEMORY.md", "one\n" S "\ntwo\n" S "\n"); // as nobody writes it
    says("{'target':'memory','action':'add','content':'two'}",
         "nothing changed: it is there already; 9% of 100 characters");
    says("{'target':'memory','action':'replace','old_text':'tw','content':'two'}",
         "nothing changed: it is there already; 9% of 100 characters");
    holds("MEMORY.md", "one\n" S "\ntwo\n" S "\n");
    says("{'target':'memory','action':'replace','old_text':'one','content':'two'}",
         "replaced; 3% of 100 characters; shown from the next conversation on");
    holds("MEMORY.md", "two\n");
}

static void what_a_person_wrote_is_kept(void **state)
{
    tool_world_put_text(&world, "MEMORY.md",
                        "# a head\r\n\r\n  indented\r\n" S "\r\ncaf\xe9\r\n" S "\r\nlast");
    assert_int_equal(fchmodat(world.fd, "MEMORY.md", 0640, 0), 0);
    says("{'target':'memory','action':'replace','old_text':'last','content':'new'}",
         "replaced; 35% of 100 characters; shown from the next conversation on");
    holds("MEMORY.md", "# a head\r\n\r\n  indented\n" S "\ncaf\xe9\n" S "\nnew\n");
    struct stat stat;
    assert_int_equal(fstatat(world.fd, "MEMORY.md", &stat, 0), 0);
    assert_int_equal(stat.st_mode & 0777, 0640);
}

static void the_oldest_make_room(void **state)
{
    BUF_AUTO archive = BUF_INIT(64 * 1024);
    tool_world_put_text(&world, "USER.md", "first, with \"quotes\"\n" S "\nsecond\n" S "\nthird");
    tool_world_put_text(&world, "ARCHIVE.jsonl", "{\"cut"); // by a stop of the machine
    says("{'target':'user','action':'add','content':'this one is really rather long'}",
         "saved; 94% of 50 characters; to make room the oldest entry went to ARCHIVE.jsonl; shown "
         "from the next conversation on");
    holds("USER.md", "second\n" S "\nthird\n" S "\nthis one is really rather long\n");
    assert_int_equal(read_archive(&archive), 2);
    assert_true(span_starts_with(buf_span(&archive),
                                 "{\"cut\n{\"target\":\"user\",\"content\":\"first, with "
                                 "\\\"quotes\\\"\",\"archived_at\":\"20"));
    says("{'target':'user','action':'add','content':"
         "'12345678901234567890123456789012345678901234567890'}",
         "saved; 100% of 50 characters; to make room the 3 oldest entries went to ARCHIVE.jsonl; "
         "shown from the next conversation on");
    assert_int_equal(read_archive(&archive), 5);
}

static void what_does_not_fit(void **state)
{
    tool_world_put_text(&world, "USER.md", "first\n" S "\nsecond");
    says("{'target':'user','action':'add','content':"
         "'123456789012345678901234567890123456789012345678901'}",
         "refused: the entry has 51 characters, and USER.md may have 50 in all");
    says("{'target':'user','action':'replace','old_text':'first','content':"
         "'12345678901234567890123456789012345678901234567890'}",
         "refused: USER.md would have 59 of 50 characters; shorten this entry or remove another "
         "one first");
    holds("USER.md", "first\n" S "\nsecond");
    assert_true(faccessat(world.fd, "ARCHIVE.jsonl", F_OK, 0) < 0);
}

static void a_file_that_is_too_long_may_shrink(void **state)
{
    tool_world_put_text(&world, "USER.md",
                        "12345678901234567890123456789012345678901234567890\n" S "\nlonger one");
    says("{'target':'user','action':'replace','old_text':'longer','content':'short'}",
         "replaced; 116% of 50 characters; shown from the next conversation on");
    says("{'target':'user','action':'remove','old_text':'short'}",
         "removed; 100% of 50 characters; shown from the next conversation on");
}

static void which_one_is_meant(void **state)
{
    says("{'target':'memory','action':'remove','old_text':'x'}",
         "refused: there are no entries yet");
    tool_world_put_text(&world, "MEMORY.md",
                        "the pi is on the shelf\n" S "\nthe nas\nis in the cellar of the house "
                        "behind the wall\n" S "\ntwin\n" S "\ntwin");
    says("{'target':'memory','action':'remove','old_text':'the '}",
         "refused: old_text is in 2 entries; say more of the one: \"the pi is on the shelf\", "
         "\"the nas is in the cellar of the house be...\"");
    says("{'target':'memory','action':'replace','old_text':'cat','content':'x'}",
         "refused: old_text is in no entry; they begin \"the pi is on the shelf\", "
         "\"the nas is in the cellar of the house be...\", \"twin\", \"twin\"");
    assert_int_equal(
        strncmp(run("{'target':'memory','action':'remove','old_text':'twin'}"), "removed", 7), 0);
    holds("MEMORY.md", "the pi is on the shelf\n" S "\nthe nas\nis in the cellar of the house "
                       "behind the wall\n" S "\ntwin\n");
}

static void what_is_refused(void **state)
{
    says("{}", "refused: the parameter \"target\" must be memory or user");
    says("{'target':'soul','action':'add','content':'x'}",
         "refused: the parameter \"target\" must be memory or user");
    says("{'target':'user'}", "refused: the parameter \"action\" must be add, replace or remove");
    says("{'target':'user','action':'add'}", "refused: the parameter \"content\" is missing");
    says("{'target':'user','action':'add','content':' \\n'}", "refused: the entry is empty");
    says("{'target':'user','action':'replace','old_text':'x','content':''}",
         "refused: the entry is empty; remove takes one away");
    says("{'target':'user','action':'remove'}", "refused: the parameter \"old_text\" is missing");
    says("{'target':'user','action':'remove','old_text':' '}",
         "refused: the parameter \"old_text\" is empty");
    says("{'target':'user','action':'add','content':'a\\n" S "\\nb'}",
         "refused: a line of the entry is only " S
         ", which separates entries; add them one by one");
    says("{'target':'user','action':'add','content':'a\\u200bb'}",
         "refused: the entry holds U+200B, a character that nobody sees; write it without");
    says("{'target':'user','action':'add','content':'a\\udb40\\udc41'}",
         "refused: the entry holds U+E0041, a character that nobody sees; write it without");
    assert_true(faccessat(world.fd, "USER.md", F_OK, 0) < 0);
    assert_string_equal(
        run_limited("{'target':'user','action':'add','content':'x'}", 100, 0),
        "refused: USER.md is switched off in the configuration (memory.user_profile_enabled)");
    assert_string_equal(
        run_limited("{'target':'memory','action':'add','content':'x'}", 0, 100),
        "refused: MEMORY.md is switched off in the configuration (memory.memory_enabled)");
    // What a model calls settings are none.
    assert_string_equal(
        run_limited("{'target':'memory','action':'add','content':'x',"
                    "'settings':{'memory_characters':9}}",
                    0, 0),
        "refused: MEMORY.md is switched off in the configuration (memory.memory_enabled)");
}

static void files_that_are_left_alone(void **state)
{
    static char huge[ENTRIES_FILE_MAX + 1];
    tool_world_link(&world, "MEMORY.md", "../secret");
    says("{'target':'memory','action':'add','content':'x'}",
         "refused: MEMORY.md is a link and was left alone");
    assert_int_equal(mkdirat(world.fd, "USER.md", 0700), 0);
    says("{'target':'user','action':'add','content':'x'}",
         "refused: USER.md is not a regular file and was left alone");
    unlinkat(world.fd, "MEMORY.md", 0);
    memset(huge, 'a', sizeof huge);
    tool_world_put(&world, "MEMORY.md", huge, sizeof huge);
    says("{'target':'memory','action':'add','content':'x'}",
         "refused: MEMORY.md is larger than 256 KiB; its owner must shorten it");
}

static void calls_side_by_side(void **state)
{
    enum { CHILDREN = 12 };
    for (int i = 0; i < CHILDREN; i++) {
        char arguments[128];
        snprintf(arguments, sizeof arguments,
                 "{'target':'memory','action':'add','content':'entry %d'}", i);
        pid_t child = fork();
        if (child == 0)
            _exit(strncmp(run_limited(arguments, 2200, 1), "saved", 5) != 0);
        assert_true(child > 0);
    }
    for (int i = 0; i < CHILDREN; i++) {
        int status;
        assert_true(wait(&status) > 0);
        assert_int_equal(status, 0);
    }
    BUF_AUTO file = BUF_INIT(64 * 1024);
    struct entries entries;
    char path[1024];
    snprintf(path, sizeof path, "%s/MEMORY.md", world.workspace);
    assert_int_equal(fd_read_file(path, &file, NULL), 0);
    assert_true(entries_parse(buf_span(&file), &entries));
    assert_int_equal(entries.count, CHILDREN);
}

static void on_done(void *context, const struct tool_result *result)
{
    assert_true(result->failed);
    assert_true(span_is(result->text, "this program has no directory for it"));
    ++*(int *)context;
}

static void without_a_place_for_it(void **state)
{
    struct tool_env env = {.clock = &clock_system, .settings = {100, 100}};
    struct toolbox *toolbox = toolbox_create(&env);
    int calls = 0;
    assert_int_equal(toolbox_run(toolbox, toolbox_tools(toolbox), &(struct tool_call_context){0},
                                 "memory", SPAN_LITERAL("{}"), on_done, &calls),
                     0);
    assert_int_equal(calls, 1);
    toolbox_destroy(toolbox);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(entries_come_and_go, setup, teardown),
        cmocka_unit_test_setup_teardown(what_is_there_already, setup, teardown),
        cmocka_unit_test_setup_teardown(a_list_that_is_none, setup, teardown),
        cmocka_unit_test_setup_teardown(several_changes_need_room_at_the_end, setup, teardown),
        cmocka_unit_test_setup_teardown(several_changes_at_once, setup, teardown),
        cmocka_unit_test_setup_teardown(what_a_person_wrote_is_kept, setup, teardown),
        cmocka_unit_test_setup_teardown(the_oldest_make_room, setup, teardown),
        cmocka_unit_test_setup_teardown(what_does_not_fit, setup, teardown),
        cmocka_unit_test_setup_teardown(a_file_that_is_too_long_may_shrink, setup, teardown),
        cmocka_unit_test_setup_teardown(which_one_is_meant, setup, teardown),
        cmocka_unit_test_setup_teardown(what_is_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(files_that_are_left_alone, setup, teardown),
        cmocka_unit_test_setup_teardown(calls_side_by_side, setup, teardown),
        cmocka_unit_test(without_a_place_for_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
