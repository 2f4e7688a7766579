#include <ftw.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <cmocka.h>

#include "base/mem.h"
#include "codec/iso_time.h"
#include "loop/loop.h"
#include "scheduler/scheduler.h"
#include "store/run.h"
#include "support/fake_clock.h"
#include "support/store_fixture.h"
#include "tools/toolbox.h"

/*
 * A year of the scheduler whole: its timer, jobs.json, the store and its table of runs, by a clock
 * that a test holds. Jobs look at a page, which is answered where toolbox_answer_with() lets it be.
 * When something is due is told here by offsets that are written down, not by the zones of the
 * program.
 */
enum {
    MINUTE = 60 * 1000,
    LATE_MOST = 120 * MINUTE, // by which each of these jobs may be late
    LOOK = 60 * 1000,         // until a clock that was set, or a sleep, is noticed
    NEAR = 150 * 1000,        // before what is due a minute at a time passes
    RUNS_MAX = 2000,          // of a job
    CHANGES = 3,
    FAILS = 50, // looks at a page from one change, or failure, to the next
};
static const int64_t DAY = 24 * 60 * (int64_t)MINUTE;

static const struct place {
    const char *zone;
    int minutes[3];         // from UTC: before both changes, between them, and behind them
    const char *changes[2]; // UTC
} places[] = {
    {"Europe/Vienna", {60, 120, 60}, {"2027-03-28T01:00Z", "2027-10-31T01:00Z"}},
    {"America/New_York", {-300, -240, -300}, {"2027-03-14T07:00Z", "2027-11-07T06:00Z"}},
    {"Australia/Lord_Howe", {660, 630, 660}, {"2027-04-03T15:00Z", "2027-10-02T15:30Z"}},
};

enum { NIGHT, LATER, WORK, QUARTER, MONTH, HALF, ONCE, JOBS };
static const struct {
    const char *name, *schedule;
    int minutes[5];    // of the day; -1 ends them
    unsigned weekdays; // from Sunday, as bits
    bool first;        // only on the first of a month
} jobs[JOBS] = {
    {"night", "\"expr\": \"45 1 * * *\"", {105, -1}, 127, false},
    {"later", "\"expr\": \"10 2 * * *\"", {130, -1}, 127, false},
    {"work", "\"expr\": \"0 9 * * 1-5\"", {540, -1}, 62, false},
    {"quarter", "\"expr\": \"0 0,6,12,18 * * *\"", {0, 360, 720, 1080, -1}, 127, false},
    {"month", "\"expr\": \"0 0 1 * *\"", {0, -1}, 127, true},
    {"half", "\"kind\": \"interval\", \"minutes\": 720", {-1}, 0, false},
    {"once", "\"kind\": \"once\", \"run_at\": \"2027-04-20T12:34\"", {-1}, 0, false},
};

enum what {
    STOPS,  // the program does not run
    SLEEPS, // the machine does not: its monotonic clock stands still
    LEAPS,  // somebody sets the wall clock ahead
    BACK,   // or back
    DIES,   // as soon as a run has its row
};
static const struct event {
    const char *at; // by the clock of the place
    enum what what;
    int minutes;
} events[] = {
    {"2027-01-20T05:50", STOPS, 20},        // 6:00 comes late
    {"2027-02-10T08:30", SLEEPS, 60},       // so does 9:00
    {"2027-02-16T08:00", STOPS, 210},       // 9:00 is missed
    {"2027-03-10T06:00", DIES, 0},          //
    {"2027-03-17T17:59", DIES, 0},          // nothing is due
    {"2027-05-05T11:59", SLEEPS, 1},        // it wakes up just then
    {"2027-06-01T03:00", STOPS, 3 * 1440},  // of each job there is one, the last
    {"2027-08-11T06:30", BACK, 60},         // 6:00 comes a second time, and is not run
    {"2027-08-20T01:20", BACK, 20},         //
    {"2027-09-10T10:00", BACK, 20 * 60},    // what ran does not run again
    {"2027-10-12T11:00", LEAPS, 90},        // 12:00 comes late
    {"2027-11-16T10:00", LEAPS, 30 * 60},   // all but the last is gone, which is missed
    {"2027-12-24T17:00", SLEEPS, 5 * 1440}, //
};

// Some of them, so that no mistake of this test stands on both sides.
static const struct {
    int place, job;
    const char *due; // UTC
    enum store_run_outcome outcome;
} some[] = {
    {0, LATER, "2027-03-28T01:00Z", STORE_RUN_OK},    // 2:10 is not there
    {0, LATER, "2027-10-31T00:10Z", STORE_RUN_OK},    // nor is it there twice
    {0, WORK, "2027-02-10T08:00Z", STORE_RUN_OK},     //
    {0, WORK, "2027-02-16T08:00Z", STORE_RUN_MISSED}, //
    {0, WORK, "2027-06-03T07:00Z", STORE_RUN_MISSED}, //
    {0, NIGHT, "2027-06-03T23:45Z", STORE_RUN_OK},    // 1:45 of the fourth, at 3:00
    {0, QUARTER, "2027-11-17T11:00Z", STORE_RUN_MISSED},
    {0, ONCE, "2027-04-20T10:34Z", STORE_RUN_OK},
    {1, NIGHT, "2027-11-07T05:45Z", STORE_RUN_OK}, // the first 1:45
    {1, LATER, "2027-03-14T07:00Z", STORE_RUN_OK},
    {2, NIGHT, "2027-04-03T14:45Z", STORE_RUN_OK}, // the first 1:45
    {2, LATER, "2027-10-02T15:30Z", STORE_RUN_OK}, // 2:10 is not there, 2:30 is
};

struct row {
    int64_t due_ms, started_ms;
    enum store_run_outcome outcome;
    int attempts;
};

static struct year {
    const struct place *place;
    struct zone zone;
    char home[FIXTURE_PATH_MAX];
    struct fake_clock clock;
    struct loop *loop;
    struct store *store;
    struct toolbox *toolbox;
    struct scheduler_config config;
    struct scheduler *scheduler;
    int64_t last; // number of the newest row that is in `rows`
    struct row rows[JOBS][RUNS_MAX];
    size_t counts[JOBS];
    int looks[JOBS], restarts;
    enum store_run_outcome answered[JOBS]; // what the last look at its page leads to
} year;

static int64_t local(const char *text)
{
    int64_t ms = 0;
    assert_true(iso_time_parse(span_of(text), &ZONE_UTC, &ms));
    return ms;
}

// What a clock of the place that shows `local_ms` means: behind a gap, or the first of two.
static int64_t utc_of(const struct place *place, int64_t local_ms)
{
    int64_t from_ms = INT64_MIN;
    for (size_t i = 0;; i++) {
        int64_t ms = local_ms - (int64_t)place->minutes[i] * MINUTE;
        int64_t until_ms = i < 2 ? local(place->changes[i]) : INT64_MAX;
        if (ms < until_ms)
            return ms > from_ms ? ms : from_ms;
        from_ms = until_ms;
    }
}

static int64_t at(const char *text)
{
    return utc_of(year.place, local(text));
}

/* The program */

static int job_named(struct span name)
{
    for (int i = 0; i < JOBS; i++)
        if (span_is(name, jobs[i].name))
            return i;
    fail_msg("a row of %.*s", (int)name.len, name.data);
    return 0;
}

static int answer(void *context, const char *tool, const char *name, struct span arguments,
                  struct buf *out)
{
    struct year *own = context;
    struct span rest = arguments;
    assert_string_equal(name, "web_fetch");
    int at_slash = (int)span_find(rest, SPAN_LITERAL("page/"));
    assert_true(at_slash > 0);
    rest = span_skip(rest, (size_t)at_slash + 5);
    int job = job_named(span_cut(&rest, '"'));
    int look = own->looks[job]++;
    bool changed = look && look % CHANGES == 0;
    own->answered[job] = changed ? STORE_RUN_OK : STORE_RUN_SILENT;
    buf_printf(out, "%d", look / CHANGES);
    return TOOL_ENDED;
}

static void open_all(void)
{
    struct store_options options = {.clock = &year.clock.clock};
    year.store = fixture_open(year.home, &options);
    struct tool_env tools = {.store = year.store, .clock = &year.clock.clock, .loop = year.loop};
    year.toolbox = toolbox_create(&tools);
    toolbox_answer_with(year.toolbox, answer, &year);
    struct scheduler_env env = {.loop = year.loop,
                                .store = year.store,
                                .toolbox = year.toolbox,
                                .config = &year.config,
                                .zone = year.zone,
                                .home = year.home};
    year.scheduler = scheduler_create(&env);
    scheduler_start(year.scheduler);
}

static void close_all(void)
{
    scheduler_destroy(STEAL(year.scheduler));
    toolbox_destroy(STEAL(year.toolbox));
    store_close(STEAL(year.store));
}

static bool on_row(void *context, const struct store_run *run)
{
    int64_t *newest = context;
    if (run->number <= year.last)
        return false;
    if (run->number > *newest)
        *newest = run->number;
    int job = job_named(run->job);
    assert_true(year.counts[job] < RUNS_MAX);
    if (run->outcome != STORE_RUN_MISSED && run->outcome != year.answered[job])
        fail_msg("a run of %s ended as %s, not %s", jobs[job].name, store_run_words[run->outcome],
                 store_run_words[year.answered[job]]);
    year.rows[job][year.counts[job]++] =
        (struct row){run->due_ms, run->started_ms, run->outcome, run->attempts};
    return true;
}

// Until nothing runs; then each run has its end.
static void settle(void)
{
    enum { PASSES = 200, ROWS = 64 };
    struct scheduler_status status = {.running = 1};
    struct error err = ERROR_INIT;
    int64_t newest = year.last;
    for (int i = 0; i < PASSES && status.running; i++) {
        loop_run_once(year.loop, 0);
        store_wait(year.store);
        scheduler_status(year.scheduler, &status);
    }
    assert_int_equal(status.running, 0);
    if (store_read_runs(store_view(year.store), SPAN_LITERAL(""), STORE_RUN_OUTCOMES, ROWS, on_row,
                        &newest, &err) < 0)
        fail_msg("%s", err.text);
    year.last = newest;
}

static void pass(int64_t ms)
{
    year.clock.now_ms += ms;
    year.clock.wall_ms += ms;
    settle();
}

// The timer is what wakes it: between two passes the clock goes on to the next minute, or to what
// is due. Far from that it may be asleep for long.
static void live(int64_t until_ms)
{
    while (year.clock.wall_ms < until_ms) {
        struct scheduler_status status;
        scheduler_status(year.scheduler, &status);
        int64_t left_ms = until_ms - year.clock.wall_ms;
        int64_t due_ms = status.next_ms ? status.next_ms - year.clock.wall_ms : left_ms;
        int64_t step_ms = due_ms <= 0     ? 1000
                          : due_ms > NEAR ? due_ms - NEAR
                          : due_ms > LOOK ? LOOK
                                          : due_ms;
        pass(step_ms < left_ms ? step_ms : left_ms);
    }
}

static void restart(int64_t later_ms)
{
    close_all();
    year.clock.now_ms += later_ms;
    year.clock.wall_ms += later_ms;
    open_all();
    year.restarts++;
    settle();
}

// Its timer has called, the row is on disk, and that is the last thing that it does.
static void die(int64_t at_ms)
{
    live(at_ms - 1);
    year.clock.now_ms++;
    year.clock.wall_ms++;
    loop_run_once(year.loop, 0);
    restart(0);
}

static void meet(const struct event *event)
{
    int64_t ms = (int64_t)event->minutes * MINUTE;
    if (event->what == DIES) {
        die(at(event->at));
        return;
    }
    live(at(event->at));
    if (event->what == STOPS) {
        restart(ms);
    } else {
        year.clock.wall_ms += event->what == BACK ? -ms : ms;
        settle();
        pass(LOOK);
    }
}

static void write_jobs(void)
{
    BUF_AUTO text = BUF_INIT(1 << 16);
    char path[2 * FIXTURE_PATH_MAX];
    buf_append_text(&text, "{\"jobs\": [");
    for (int i = 0; i < JOBS; i++)
        buf_printf(&text,
                   "%s{\"id\": \"%s\", \"no_agent\": true, \"monitor\": \"http://page/%s\","
                   " \"deliver\": \"local\", \"created_at\": \"2027-01-01T00:00\","
                   " \"schedule\": {%s}}",
                   i ? ", " : "", jobs[i].name, jobs[i].name, jobs[i].schedule);
    buf_append_text(&text, "]}");
    snprintf(path, sizeof path, "%s/cron", year.home);
    assert_int_equal(mkdir(path, 0700), 0);
    FILE *file = fopen(fixture_path(year.home, "cron/jobs.json"), "we");
    assert_non_null(file);
    assert_true(fputs(buf_text(&text), file) >= 0);
    assert_int_equal(fclose(file), 0);
}

/* What should have been */

struct due {
    int64_t ms;
    bool gone;              // another one came before anybody looked
    int64_t from_ms, to_ms; // when it begins
    bool missed;
};

static struct due wanted[RUNS_MAX];
static size_t wanted_count;

static void want(int64_t ms)
{
    assert_true(wanted_count < RUNS_MAX);
    wanted[wanted_count++] = (struct due){ms, false, ms, ms, false};
}

static void want_days(int job)
{
    int64_t first = local("2027-01-01T00:00"), end = local("2028-01-01T00:00");
    for (int64_t day = first; day < end; day += DAY) {
        char text[ISO_TIME_SIZE];
        int weekday = (int)((day / DAY + 4) % 7); // 1970 began with a Thursday
        iso_time_format(day, &ZONE_UTC, text);
        if (!(jobs[job].weekdays >> weekday & 1) ||
            (jobs[job].first && strncmp(text + 8, "01", 2) != 0))
            continue;
        for (const int *minute = jobs[job].minutes; *minute >= 0; minute++) {
            int64_t ms = utc_of(year.place, day + (int64_t)*minute * MINUTE);
            if (ms > at("2027-01-01T00:00")) // it was made then
                want(ms);
        }
    }
}

// Counted from one to the next; nobody waits longer than that because the clock was set back.
static void want_intervals(void)
{
    int64_t half = DAY / 2, ms = at("2027-01-01T00:00") + half;
    for (; ms <= at("2027-09-10T10:00"); ms += half)
        want(ms);
    for (ms = at("2027-09-09T14:00") + LOOK + half; ms < at("2028-01-01T00:00"); ms += half)
        want(ms);
}

// Of what falls into a time in which nobody looked, the last is run, or it is too late for that.
static void absent(const struct event *event)
{
    int64_t from_ms = at(event->at), to_ms = from_ms + (int64_t)event->minutes * MINUTE;
    struct due *last = NULL;
    if (event->what == BACK || event->what == DIES)
        return;
    for (size_t i = 0; i < wanted_count; i++) {
        struct due *due = &wanted[i];
        if (due->ms <= from_ms || due->ms > to_ms)
            continue;
        due->gone = true;
        last = due;
    }
    if (!last)
        return;
    last->gone = false;
    last->from_ms = to_ms;
    last->to_ms = to_ms + (event->what == STOPS ? 0 : LOOK);
    last->missed = to_ms - last->ms > LATE_MOST;
}

static void want_all(int job)
{
    wanted_count = 0;
    if (job == HALF)
        want_intervals();
    else if (job == ONCE)
        want(at("2027-04-20T12:34"));
    else
        want_days(job);
    for (size_t i = 0; i < ARRAY_LEN(events); i++)
        absent(&events[i]);
}

static const char *when(int64_t ms)
{
    static char text[4][ISO_TIME_SIZE];
    static unsigned next;
    return iso_time_format(ms, &ZONE_UTC, text[next++ % 4]);
}

static void compare(int job)
{
    size_t n = 0, twice = 0;
    want_all(job);
    for (size_t i = 0; i < wanted_count; i++) {
        const struct due *due = &wanted[i];
        if (due->gone)
            continue;
        const struct row *row = &year.rows[job][n];
        if (n == year.counts[job])
            fail_msg("%s, %s: no run of %s", year.place->zone, jobs[job].name, when(due->ms));
        if (row->due_ms != due->ms || row->started_ms < due->from_ms ||
            row->started_ms > due->to_ms || (row->outcome == STORE_RUN_MISSED) != due->missed)
            fail_msg("%s, %s: run %zu was that of %s, at %s, and %s; not that of %s, at %s",
                     year.place->zone, jobs[job].name, n, when(row->due_ms), when(row->started_ms),
                     store_run_words[row->outcome], when(due->ms), when(due->from_ms));
        twice += row->attempts > 1;
        n++;
    }
    if (n != year.counts[job])
        fail_msg("%s, %s: %zu runs, not %zu", year.place->zone, jobs[job].name, year.counts[job],
                 n);
    assert_int_equal(twice, job == QUARTER ? 1 : 0);
}

static void compare_some(size_t place)
{
    for (size_t i = 0; i < ARRAY_LEN(some); i++) {
        size_t found = 0;
        if ((size_t)some[i].place != place)
            continue;
        for (size_t n = 0; n < year.counts[some[i].job]; n++) {
            const struct row *row = &year.rows[some[i].job][n];
            found += row->due_ms == local(some[i].due) &&
                     (row->outcome == STORE_RUN_MISSED) == (some[i].outcome == STORE_RUN_MISSED);
        }
        if (found != 1)
            fail_msg("%s of %s in %s is there %zu times", jobs[some[i].job].name, some[i].due,
                     places[place].zone, found);
    }
}

/* A year */

static int drop(const char *path, const struct stat *stat, int kind, struct FTW *ftw)
{
    return remove(path);
}

static void begin(const struct place *place)
{
    memset(&year, 0, sizeof year);
    year.place = place;
    assert_int_equal(zone_find(span_of(place->zone), &year.zone, NULL), 0);
    year.config = (struct scheduler_config){
        .catch_up = true, .parallel = 2, .timeout_ms = 60 * MINUTE, .script_ms = 60 * MINUTE};
    fixture_make_home(year.home);
    fake_clock_init(&year.clock, 1000);
    year.clock.wall_ms = at("2027-01-01T00:00");
    assert_int_equal(loop_create(&year.clock.clock, &year.loop, NULL), 0);
    write_jobs();
    open_all();
    settle();
}

static void end(void)
{
    close_all();
    loop_destroy(year.loop);
    nftw(year.home, drop, 8, FTW_DEPTH | FTW_PHYS);
}

static void a_year(size_t place)
{
    enum { RESTART_DAYS = 5 };
    begin(&places[place]);
    int64_t next_ms = at("2027-01-03T03:33");
    for (size_t i = 0; i < ARRAY_LEN(events); i++) {
        for (; next_ms < at(events[i].at) - DAY; next_ms += RESTART_DAYS * DAY) {
            if (next_ms < year.clock.wall_ms)
                continue;
            live(next_ms);
            restart(0);
        }
        meet(&events[i]);
    }
    live(at("2028-01-01T00:00") - 1);
    for (int job = 0; job < JOBS; job++)
        compare(job);
    compare_some(place);
    assert_true(year.restarts > 60);
    end();
}

// One of the places, by turns from commit to commit; at full depth all of them.
static void a_year_with_all_that_happens_to_clocks(void **state)
{
    const char *depth = getenv("HERMES_TEST_DEPTH"), *turn = getenv("HERMES_TEST_TURN");
    bool full = depth && strcmp(depth, "full") == 0;
    int64_t number = 0;
    if (turn)
        span_to_i64(span_of(turn), &number);
    for (size_t place = 0; place < ARRAY_LEN(places); place++)
        if (full || place == (size_t)number % ARRAY_LEN(places))
            a_year(place);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_year_with_all_that_happens_to_clocks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
