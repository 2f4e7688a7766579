//
// Lines as a pipe and as a terminal get them. Standard error is ours for as long as a line takes.
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include <cmocka.h>

#include "base/colour.h"
#include "base/log.h"

enum { SAID_MAX = 16 * 1024 };

struct listener {
    int kept, read_end;
    char said[SAID_MAX];
};

static char *plain[] = {NULL};
static char *no_color[] = {(char[]){"NO_COLOR=1"}, NULL};
static char *no_color_empty[] = {(char[]){"NO_COLOR="}, (char[]){"TERM=xterm"}, NULL};
static char *dumb[] = {(char[]){"TERM=dumb"}, NULL};

static void listen_to(struct listener *listener, int read_end, int write_end)
{
    listener->read_end = read_end;
    listener->kept = dup(STDERR_FILENO);
    dup2(write_end, STDERR_FILENO);
    close(write_end);
}

static const char *heard(struct listener *listener)
{
    fflush(stderr);
    dup2(listener->kept, STDERR_FILENO);
    close(listener->kept);
    fcntl(listener->read_end, F_SETFL, O_NONBLOCK);
    ssize_t n = read(listener->read_end, listener->said, SAID_MAX - 1);
    listener->said[n > 0 ? n : 0] = '\0';
    close(listener->read_end);
    return listener->said;
}

static void listen_on_pipe(struct listener *listener)
{
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    listen_to(listener, ends[0], ends[1]);
}

static void open_terminal(int ends[2])
{
    char name[64];
    ends[0] = posix_openpt(O_RDWR | O_NOCTTY);
    assert_true(ends[0] >= 0);
    assert_int_equal(grantpt(ends[0]), 0);
    assert_int_equal(unlockpt(ends[0]), 0);
    assert_int_equal(ptsname_r(ends[0], name, sizeof name), 0);
    ends[1] = open(name, O_RDWR | O_NOCTTY);
    assert_true(ends[1] >= 0);
}

static const char *on_terminal(struct listener *listener, enum log_level level)
{
    int ends[2];
    open_terminal(ends);
    listen_to(listener, ends[0], ends[1]);
    log_line(level, "x");
    usleep(10 * 1000); // the terminal's own thread hands it over
    return heard(listener);
}

static void levels(void **state)
{
    (void)state;
    struct listener listener;
    log_set_level(LOG_INFO);
    listen_on_pipe(&listener);
    log_error("a %d", 1);
    log_warning("b");
    log_info("c");
    log_debug("d");
    assert_string_equal(heard(&listener), "hermes: error: a 1\nhermes: warning: b\nhermes: c\n");
    log_set_level(LOG_ERROR);
    listen_on_pipe(&listener);
    log_error("a");
    log_warning("b");
    assert_string_equal(heard(&listener), "hermes: error: a\n");
    log_set_level(LOG_DEBUG);
    listen_on_pipe(&listener);
    log_debug("d");
    assert_string_equal(heard(&listener), "hermes: debug: d\n");
}

static void names(void **state)
{
    (void)state;
    enum log_level level = LOG_INFO;
    assert_false(log_parse_level("", &level));
    assert_false(log_parse_level("errors", &level));
    assert_int_equal(level, LOG_INFO);
    assert_true(log_parse_level("ERROR", &level)); // hermes-agent's way to write them
    assert_int_equal(level, LOG_ERROR);
    assert_true(log_parse_level("warning", &level));
    assert_int_equal(level, LOG_WARNING);
    assert_true(log_parse_level("debug", &level));
    assert_int_equal(level, LOG_DEBUG);
    assert_true(log_parse_level("info", &level));
    assert_int_equal(level, LOG_INFO);
}

// A line stays a line, whatever somebody else put into it.
static void controls_are_harmless(void **state)
{
    (void)state;
    struct listener listener;
    listen_on_pipe(&listener);
    log_info("%s", "a\nhermes: error: b\033[2J\r\t\x7f\x01 gr\xc3\xbc\xc3\x9f");
    assert_string_equal(heard(&listener),
                        "hermes: a?hermes: error: b?[2J???? gr\xc3\xbc\xc3\x9f\n");
    listen_on_pipe(&listener); // nor is a byte that belongs to no character
    log_info("%s", "\xff\xfe \x9b[2J \xc3 gr\xc3\xbc\xc3\x9f \xe4\xb8\x96 \xe4\xb8");
    assert_string_equal(heard(&listener), "hermes: ?? ?[2J ? gr\xc3\xbc\xc3\x9f \xe4\xb8\x96 ??\n");
}

static void long_lines_are_cut(void **state)
{
    (void)state;
    struct listener listener;
    char text[8000];
    memset(text, 'a', sizeof text - 1);
    text[sizeof text - 1] = '\0';
    listen_on_pipe(&listener);
    log_info("%s", text);
    const char *said = heard(&listener);
    assert_in_range(strlen(said), 1000, 2100);
    assert_int_equal(said[strlen(said) - 1], '\n');
}

static void colours_where_a_person_looks(void **state)
{
    (void)state;
    struct listener listener;
    char **kept = environ;
    environ = plain;
    assert_string_equal(on_terminal(&listener, LOG_ERROR), "hermes: \033[31merror:\033[0m x\r\n");
    assert_string_equal(on_terminal(&listener, LOG_INFO), "hermes: x\r\n");
    environ = no_color;
    assert_string_equal(on_terminal(&listener, LOG_ERROR), "hermes: error: x\r\n");
    environ = kept;
}

static void when_colour_is_wanted(void **state)
{
    (void)state;
    int terminal[2], ends[2];
    char **kept = environ;
    open_terminal(terminal);
    assert_int_equal(pipe(ends), 0);
    environ = plain;
    assert_true(colour_wanted(terminal[1]));
    assert_false(colour_wanted(ends[1]));
    environ = no_color;
    assert_false(colour_wanted(terminal[1]));
    environ = no_color_empty;
    assert_true(colour_wanted(terminal[1]));
    environ = dumb;
    assert_false(colour_wanted(terminal[1]));
    environ = kept;
    for (int i = 0; i < 2; i++) {
        close(terminal[i]);
        close(ends[i]);
    }
}

/* Events and the sink */

struct kept {
    unsigned calls;
    enum log_level level;
    char event[64], id[64], text[64];
    size_t field_count;
    int64_t number;
    bool logs; // the sink itself
    int flushes;
};

static void keep(void *context, const struct log_record *record)
{
    struct kept *kept = context;
    kept->calls++;
    kept->level = record->level;
    snprintf(kept->event, sizeof kept->event, "%s", record->event);
    snprintf(kept->id, sizeof kept->id, "%s", record->id);
    snprintf(kept->text, sizeof kept->text, "%s", record->text ? record->text : "(none)");
    kept->field_count = record->field_count;
    if (record->field_count)
        kept->number = record->fields[record->field_count - 1].number;
    if (kept->logs)
        log_warning("the sink says");
}

static void events_go_to_the_sink_alone(void **state)
{
    (void)state;
    struct listener listener;
    struct kept kept = {.calls = 0};
    log_set_level(LOG_INFO);
    listen_on_pipe(&listener);
    LOG_EVENT(LOG_ERROR, "nobody.listens", "", LOG_NUMBER("n", 1));
    log_set_sink(keep, NULL, &kept, false);
    LOG_EVENT(LOG_INFO, "turn.end", "0123456789abcdef", LOG_TEXT("state", "done"),
              LOG_NUMBER("ms", -7));
    LOG_EVENT(LOG_DEBUG, "not.told", "", LOG_NUMBER("n", 1));
    log_set_sink(NULL, NULL, NULL, false);
    LOG_EVENT(LOG_INFO, "nobody", "", LOG_NUMBER("n", 1));
    assert_string_equal(heard(&listener), "");
    assert_int_equal(kept.calls, 1);
    assert_int_equal(kept.level, LOG_INFO);
    assert_string_equal(kept.event, "turn.end");
    assert_string_equal(kept.id, "0123456789abcdef");
    assert_string_equal(kept.text, "(none)");
    assert_int_equal(kept.field_count, 2);
    assert_int_equal(kept.number, -7);
}

// The sink gets the bytes as they are: it writes no terminal.
static void lines_go_to_both(void **state)
{
    (void)state;
    struct listener listener;
    struct kept kept = {.calls = 0};
    listen_on_pipe(&listener);
    log_set_sink(keep, NULL, &kept, false);
    log_warning("a\n%d", 1);
    log_debug("not told");
    log_set_sink(NULL, NULL, NULL, false);
    assert_string_equal(heard(&listener), "hermes: warning: a?1\n");
    assert_int_equal(kept.calls, 1);
    assert_string_equal(kept.event, "line");
    assert_string_equal(kept.id, "");
    assert_string_equal(kept.text, "a\n1");
}

static const char *echoed(struct listener *listener, const char *value)
{
    struct kept kept = {.calls = 0};
    listen_on_pipe(listener);
    log_set_sink(keep, NULL, &kept, true);
    LOG_EVENT(LOG_INFO, "e", "", LOG_TEXT("k", value));
    log_set_sink(NULL, NULL, NULL, false);
    return heard(listener);
}

static void events_are_echoed(void **state)
{
    (void)state;
    struct listener listener;
    struct kept kept = {.calls = 0};
    listen_on_pipe(&listener);
    log_set_sink(keep, NULL, &kept, true);
    LOG_EVENT(LOG_WARNING, "turn.end", "0123456789abcdef", LOG_TEXT("state", "failed"),
              LOG_NUMBER("ms", INT64_MIN));
    log_event(LOG_INFO, "bare", "abc", NULL, 0);
    log_set_sink(NULL, NULL, NULL, false);
    assert_string_equal(heard(&listener), "hermes: warning: turn.end id=01234567 state=failed "
                                          "ms=-9223372036854775808\n"
                                          "hermes: bare id=abc\n");
    assert_string_equal(echoed(&listener, ""), "hermes: e k=\"\"\n");
    assert_string_equal(echoed(&listener, "a b"), "hermes: e k=\"a b\"\n");
    assert_string_equal(echoed(&listener, "a=b"), "hermes: e k=\"a=b\"\n");
    assert_string_equal(echoed(&listener, "a\"\\"), "hermes: e k=\"a\\\"\\\\\"\n");
    assert_string_equal(echoed(&listener, "a\nhermes: error: b\033"),
                        "hermes: e k=\"a?hermes: error: b?\"\n");
    assert_string_equal(echoed(&listener, "\xc2\x9b"
                                          "2J\xc2\xa0"),
                        "hermes: e k=??2J\xc2\xa0\n");
    assert_string_equal(echoed(&listener, "a\xd8\x9c"
                                          "b\xe2\x80\xae"
                                          "c\xe2\x80\xa8"
                                          "d\xe2\x80\x90"),
                        "hermes: e k=a??b???c???d\xe2\x80\x90\n");
}

static void long_events_are_cut(void **state)
{
    (void)state;
    struct listener listener;
    char value[9000];
    memset(value, '"', sizeof value - 1);
    value[sizeof value - 1] = '\0';
    for (size_t less = 0; less < 40; less++) {
        memset(value, 'a', less);
        const char *said = echoed(&listener, value);
        assert_in_range(strlen(said), 1000, 2100);
        assert_string_equal(said + strlen(said) - 4, "...\n");
    }
}

static void a_sink_may_log(void **state)
{
    (void)state;
    struct listener listener;
    struct kept kept = {.logs = true};
    listen_on_pipe(&listener);
    log_set_sink(keep, NULL, &kept, false);
    log_info("x");
    log_info("y");
    log_set_sink(NULL, NULL, NULL, false);
    assert_string_equal(heard(&listener), "hermes: warning: the sink says\nhermes: x\n"
                                          "hermes: warning: the sink says\nhermes: y\n");
    assert_int_equal(kept.calls, 2);
}

static const char *hide(void *context, const char *text)
{
    return strstr(text, context) ? "(hidden)" : NULL;
}

static void what_is_told_is_filtered(void **state)
{
    (void)state;
    struct listener listener;
    char secret[] = "secret";
    listen_on_pipe(&listener);
    log_set_filter(hide, secret);
    log_error("a secret");
    log_info("a b");
    log_set_filter(NULL, NULL);
    log_info("a secret");
    assert_string_equal(heard(&listener),
                        "hermes: error: (hidden)\nhermes: a b\nhermes: a secret\n");
}

static void count_later(void *context)
{
    ++*(int *)context;
}

static void count_flush(void *context)
{
    ((struct kept *)context)->flushes++;
}

static void events_wait_for_company(void **state)
{
    (void)state;
    struct listener listener;
    struct kept kept = {.calls = 0};
    int later = 0;
    listen_on_pipe(&listener);
    log_set_sink(keep, count_flush, &kept, true);
    log_set_later(count_later, &later);
    int before = kept.flushes;
    log_event_often(LOG_INFO, "one", "", NULL, 0);
    log_event_often(LOG_INFO, "two", "", NULL, 0);
    assert_int_equal(kept.calls, 2); // the sink has them, and keeps them as long as it is let
    assert_int_equal(kept.flushes, before);
    assert_int_equal(later, 1);
    log_flush();
    assert_int_equal(kept.flushes, before + 1);
    log_event_often(LOG_INFO, "three", "", NULL, 0);
    assert_int_equal(later, 2);
    log_event_often(LOG_WARNING, "four", "", NULL,
                    0); // does not wait, and leaves behind what came first
    assert_int_equal(kept.flushes, before + 2);
    log_event_often(LOG_INFO, "five", "", NULL, 0);
    log_info("line");
    log_event_often(LOG_INFO, "six", "", NULL, 0);
    log_set_later(NULL, NULL); // nothing is forgotten
    log_event_often(LOG_INFO, "seven", "", NULL, 0);
    assert_int_equal(later, 4);
    log_set_sink(NULL, NULL, NULL, false);
    assert_string_equal(heard(&listener),
                        "hermes: one\nhermes: two\nhermes: three\nhermes: warning: four\n"
                        "hermes: five\nhermes: line\nhermes: six\nhermes: seven\n");
}

// More than is kept: nothing is lost, nothing is late for good.
static void many_events_wait(void **state)
{
    (void)state;
    enum { EVENTS = 5000 };
    struct kept kept = {.calls = 0};
    int later = 0;
    int file = memfd_create("stderr", MFD_CLOEXEC), stderr_before = dup(STDERR_FILENO);
    dup2(file, STDERR_FILENO);
    log_set_sink(keep, count_flush, &kept, true);
    log_set_later(count_later, &later);
    for (int i = 0; i < EVENTS; i++)
        LOG_OFTEN(LOG_INFO, "e", "", LOG_NUMBER("i", 10000 + i));
    log_set_later(NULL, NULL);
    log_set_sink(NULL, NULL, NULL, false);
    dup2(stderr_before, STDERR_FILENO);
    close(stderr_before);
    assert_int_equal(lseek(file, 0, SEEK_CUR), EVENTS * strlen("hermes: e i=10000\n"));
    close(file);
}

static void what_the_sink_gets_is_filtered(void **state)
{
    (void)state;
    struct listener listener;
    struct kept kept = {.calls = 0};
    char secret[] = "secret";
    listen_on_pipe(&listener);
    log_set_filter(hide, secret);
    log_set_sink(keep, NULL, &kept, true);
    log_info("a secret");
    assert_string_equal(kept.text, "(hidden)");
    LOG_EVENT(LOG_INFO, "e", "", LOG_TEXT("a", "my secret"), LOG_TEXT("b", "secret"),
              LOG_TEXT("c", "none"));
    log_set_sink(NULL, NULL, NULL, false);
    log_set_filter(NULL, NULL);
    assert_string_equal(heard(&listener),
                        "hermes: (hidden)\nhermes: e a=(hidden) b=(hidden) c=none\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(levels),
        cmocka_unit_test(names),
        cmocka_unit_test(controls_are_harmless),
        cmocka_unit_test(long_lines_are_cut),
        cmocka_unit_test(colours_where_a_person_looks),
        cmocka_unit_test(when_colour_is_wanted),
        cmocka_unit_test(events_go_to_the_sink_alone),
        cmocka_unit_test(lines_go_to_both),
        cmocka_unit_test(events_are_echoed),
        cmocka_unit_test(long_events_are_cut),
        cmocka_unit_test(a_sink_may_log),
        cmocka_unit_test(what_is_told_is_filtered),
        cmocka_unit_test(events_wait_for_company),
        cmocka_unit_test(many_events_wait),
        cmocka_unit_test(what_the_sink_gets_is_filtered),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
