#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "base/mem.h"
#include "codec/iso_time.h"
#include "scheduler/job.h"

// A year of jobs by a clock that a test holds: both changes of several places, stops of the
// program, a machine that sleeps, and a clock that is set.

enum { MINUTE = 60 * 1000, RUNS_MAX = 60000 };
static const int64_t HOUR = 60 * MINUTE, DAY = 24 * 60 * (int64_t)MINUTE;

struct life {
    struct zone zone;
    struct job *job;
    int64_t now_ms;
    int64_t runs[RUNS_MAX];
    size_t count, missed;
};
static struct life life;

static int64_t at(const char *text)
{
    int64_t ms = 0;
    assert_true(iso_time_parse(span_of(text), &life.zone, &ms));
    return ms;
}

static void begin(const char *zone, const char *schedule, const char *now)
{
    struct error err = ERROR_INIT;
    job_unref(life.job);
    memset(&life, 0, sizeof life);
    assert_int_equal(zone_find(span_of(zone), &life.zone, NULL), 0);
    life.now_ms = at(now);
    life.job = job_create();
    snprintf(life.job->id, sizeof life.job->id, "abc");
    job_set(&life.job->name, "year");
    job_set(&life.job->prompt, "x");
    job_set(&life.job->display, schedule);
    if (schedule_parse(span_of(schedule), &life.zone, life.now_ms, &life.job->schedule, &err) != 0)
        fail_msg("%s", err.text);
    life.job->created_ms = life.now_ms;
    job_plan(life.job, &life.zone, life.now_ms);
}

// As the timer does.
static void look(void)
{
    int64_t due_ms;
    if (!job_is_due(life.job, life.now_ms))
        return;
    bool runs = job_take_due(life.job, &life.zone, life.now_ms, true, &due_ms);
    life.job->due_ms = due_ms;
    life.missed += !runs;
    if (runs)
        life.runs[life.count++] = due_ms;
    assert_true(life.count < RUNS_MAX);
    bool again = life.count > 1 && life.runs[life.count - 1] == life.runs[life.count - 2];
    assert_false(runs && again);
}

static void live(int64_t until_ms)
{
    for (; life.now_ms < until_ms; life.now_ms += MINUTE)
        look();
}

// Through the file, which keeps less than memory does, and what the store knows of runs.
static void restart(void)
{
    BUF_AUTO text = BUF_INIT(1 << 20);
    JSON_AUTO doc = JSON_INIT;
    struct json_writer w;
    json_writer_init(&w, &text);
    job_write(life.job, &life.zone, &w);
    assert_int_equal(json_parse(&doc, buf_span(&text), NULL), 0);
    struct job *again = job_read(json_root(&doc), &life.zone);
    assert_null(again->trouble);
    again->due_ms = life.job->due_ms;
    job_unref(life.job);
    life.job = again;
    job_plan(life.job, &life.zone, life.now_ms);
}

static void set_clock(int64_t ms)
{
    bool back = ms < life.now_ms;
    life.now_ms = ms;
    if (back)
        job_plan(life.job, &life.zone, life.now_ms);
}

static const struct {
    const char *zone, *schedule;
    size_t runs;
    // Three of them, by number from 0, as UTC: around the two changes of 2027, and the last.
    struct {
        size_t number;
        const char *utc;
    } some[4];
} years[] = {
    {"UTC",
     "daily at 2:30am",
     365,
     {{0, "2027-01-01T02:30Z"}, {86, "2027-03-28T02:30Z"}, {364, "2027-12-31T02:30Z"}}},
    {"Europe/Vienna",
     "daily at 2:30am",
     365,
     {{85, "2027-03-27T01:30Z"},
      {86, "2027-03-28T01:00Z"},
      {87, "2027-03-29T00:30Z"},
      {303, "2027-10-31T00:30Z"}}},
    {"America/New_York",
     "daily at 1:30am",
     365,
     {{72, "2027-03-14T06:30Z"}, {310, "2027-11-07T05:30Z"}, {311, "2027-11-08T06:30Z"}}},
    {"Australia/Lord_Howe",
     "daily at 2:10am",
     365,
     {{0, "2026-12-31T15:10Z"}, {275, "2027-10-02T15:30Z"}, {276, "2027-10-03T15:10Z"}}},
    {"Europe/Vienna", "0 * * * *", 365 * 24, {{0, "2026-12-31T23:00Z"}}},
    {"America/New_York",
     "weekdays at 9am",
     261,
     {{0, "2027-01-01T14:00Z"}, {50, "2027-03-12T14:00Z"}, {51, "2027-03-15T13:00Z"}}},
    {"Europe/Vienna", "every 2h", 365 * 12 - 1, {{0, "2027-01-01T01:00Z"}}},
    {"Asia/Kolkata", "every sunday at 6pm", 52, {{0, "2027-01-03T12:30Z"}}},
    {"UTC", "0 0 29 2 *", 0, {{0, NULL}}},
};

static void check_year(size_t i)
{
    char text[ISO_TIME_SIZE];
    if (life.count != years[i].runs || life.missed)
        fail_msg("%s in %s: %zu runs, not %zu, and %zu missed", years[i].schedule, years[i].zone,
                 life.count, years[i].runs, life.missed);
    for (size_t s = 0; s < ARRAY_LEN(years[i].some) && years[i].some[s].utc; s++) {
        int64_t run = life.runs[years[i].some[s].number];
        if (run != at(years[i].some[s].utc))
            fail_msg("%s in %s, number %zu: %s, not %s", years[i].schedule, years[i].zone,
                     years[i].some[s].number, iso_time_format(run, &ZONE_UTC, text),
                     years[i].some[s].utc);
    }
}

static void a_year_as_it_goes(void **state)
{
    for (size_t i = 0; i < ARRAY_LEN(years); i++) {
        begin(years[i].zone, years[i].schedule, "2026-12-31T23:59:30");
        // "every 2h" counts from when it was made.
        if (life.job->schedule.kind == SCHEDULE_INTERVAL)
            begin(years[i].zone, years[i].schedule, "2027-01-01T00:00");
        live(at("2028-01-01T00:00"));
        check_year(i);
    }
}

static void a_year_with_a_restart_every_three_hours(void **state)
{
    for (size_t i = 0; i < ARRAY_LEN(years); i++) {
        begin(years[i].zone, years[i].schedule,
              strncmp(years[i].schedule, "every 2h", 8) == 0 ? "2027-01-01T00:00"
                                                             : "2026-12-31T23:59:30");
        for (int64_t end = at("2028-01-01T00:00"); life.now_ms < end;) {
            int64_t until = life.now_ms + 3 * HOUR;
            live(until < end ? until : end);
            restart();
        }
        check_year(i);
    }
}

// Stopped over each time by less than half the time between two: each is run late, once.
static void stops_are_caught_up(void **state)
{
    begin("Europe/Vienna", "daily at 2:30am", "2027-01-01T00:00");
    for (int day = 0; day < 365; day++) {
        live(life.now_ms + 2 * HOUR);
        restart();
        life.now_ms += 90 * MINUTE; // nobody was there
        restart();
        live(life.now_ms + DAY - 2 * HOUR - 90 * MINUTE);
    }
    assert_int_equal(life.missed, 0);
    assert_int_equal(life.count, 365);
}

static void what_is_too_late_is_missed(void **state)
{
    begin("Europe/Vienna", "daily at 7am", "2027-01-01T00:00");
    live(at("2027-03-01T06:00"));
    assert_int_equal(life.count, 59);
    life.now_ms = at("2027-03-05T09:30"); // four mornings; the last of them is 2:30 h ago
    restart();
    look();
    assert_int_equal(life.count, 59);
    assert_int_equal(life.missed, 1);
    live(at("2027-03-06T08:00"));
    assert_int_equal(life.count, 60);
    life.now_ms = at("2027-03-09T08:59"); // within two hours: once, and the others not at all
    look();
    assert_int_equal(life.count, 61);
    assert_int_equal(life.runs[60], at("2027-03-09T07:00"));
    assert_int_equal(life.missed, 1);
}

static void what_is_due_once(void **state)
{
    begin("UTC", "2027-05-01T12:00", "2027-01-01T00:00");
    live(at("2027-05-01T11:59"));
    restart();
    life.now_ms = at("2027-05-01T12:01:59");
    look();
    assert_int_equal(life.count, 1);
    restart();
    live(at("2027-06-01T00:00"));
    assert_int_equal(life.count, 1);
    begin("UTC", "in 30m", "2027-01-01T00:00");
    life.now_ms = at("2027-01-01T00:33");
    restart();
    look();
    assert_int_equal(life.count, 0);
    assert_int_equal(life.missed, 1);
}

// A time that had its run does not come again, however often the clock shows it.
static void the_clock_is_set_back(void **state)
{
    begin("UTC", "daily at 7am", "2027-01-01T00:00");
    live(at("2027-01-10T07:30"));
    assert_int_equal(life.count, 10);
    set_clock(at("2027-01-10T06:30"));
    restart();
    live(at("2027-01-11T06:59"));
    assert_int_equal(life.count, 10);
    live(at("2027-01-11T07:01"));
    assert_int_equal(life.count, 11);
    // It was wrong by years: those runs count no more.
    set_clock(at("2024-01-01T00:00"));
    restart();
    live(at("2024-01-03T00:00"));
    assert_int_equal(life.runs[11], at("2024-01-01T07:00"));
}

static void an_interval_and_a_clock_that_is_set(void **state)
{
    begin("UTC", "every 10m", "2027-01-01T00:00");
    live(at("2027-01-01T05:00"));
    size_t before = life.count;
    set_clock(at("2027-01-01T03:00")); // nothing waits for two hours
    live(at("2027-01-01T03:11"));
    assert_int_equal(life.count, before + 1);
    set_clock(at("2027-01-02T00:00")); // nor runs a hundred times
    look();
    look();
    assert_int_equal(life.count, before + 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_year_as_it_goes),
        cmocka_unit_test(a_year_with_a_restart_every_three_hours),
        cmocka_unit_test(stops_are_caught_up),
        cmocka_unit_test(what_is_too_late_is_missed),
        cmocka_unit_test(what_is_due_once),
        cmocka_unit_test(the_clock_is_set_back),
        cmocka_unit_test(an_interval_and_a_clock_that_is_set),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    job_unref(life.job);
    return failed;
}
