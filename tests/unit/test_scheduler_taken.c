#include <setjmp.h>
#include <sqlite3.h>
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
#include "scheduler/job_file.h"
#include "scheduler/scheduler.h"
#include "store/run.h"
#include "support/fake_clock.h"
#include "support/store_fixture.h"

/*
 * What was due stays so in jobs.json until it has its row, whoever writes the file meanwhile: else
 * a kill between the two would lose it. Two jobs are due at once, the first too late; the second
 * has its row, and writes the file, while the disk keeps the first one's waiting.
 */
static struct {
    struct fake_clock clock;
    char home[FIXTURE_PATH_MAX];
    struct loop *loop;
    struct store *store;
    struct scheduler_config config;
    struct scheduler *scheduler;
} world;

static int64_t at(const char *text)
{
    int64_t ms = 0;
    assert_true(iso_time_parse(span_of(text), &ZONE_UTC, &ms));
    return ms;
}

static void write_jobs(void)
{
    static const char text[] =
        "{\"jobs\": [{\"id\": \"missed\", \"prompt\": \"x\", \"deliver\": \"local\","
        " \"schedule\": {\"kind\": \"cron\", \"expr\": \"0 6 * * *\"},"
        " \"next_run_at\": \"2027-01-02T06:00Z\"},"
        " {\"id\": \"late\", \"no_agent\": true, \"script\": \"none.sh\", \"deliver\": \"local\","
        " \"schedule\": {\"kind\": \"cron\", \"expr\": \"0 9 * * *\"},"
        " \"next_run_at\": \"2027-01-02T09:00Z\"}]}";
    char path[2 * FIXTURE_PATH_MAX];
    snprintf(path, sizeof path, "%s/cron", world.home);
    assert_int_equal(mkdir(path, 0700), 0);
    FILE *file = fopen(fixture_path(world.home, "cron/jobs.json"), "we");
    assert_non_null(file);
    assert_true(fputs(text, file) >= 0);
    assert_int_equal(fclose(file), 0);
}

static int64_t next_of(const char *id)
{
    struct job_file file;
    job_file_init(&file, world.home);
    assert_int_equal(job_file_load(&file, &ZONE_UTC, NULL), 1);
    const struct job *job = job_file_find(&file, id, NULL);
    assert_non_null(job);
    int64_t next_ms = job->next_ms;
    job_file_finish(&file);
    return next_ms;
}

static int64_t rows(void)
{
    return fixture_number(fixture_path(world.home, "state.db"), "SELECT count(*) FROM runs");
}

static void settle(void)
{
    for (int i = 0; i < 50; i++) {
        loop_run_once(world.loop, 0);
        store_wait(world.store);
    }
}

static void begin(void)
{
    struct store_options options = {.clock = &world.clock.clock};
    world.store = fixture_open(world.home, &options);
    struct scheduler_env env = {.loop = world.loop,
                                .store = world.store,
                                .config = &world.config,
                                .zone = ZONE_UTC,
                                .home = world.home};
    world.scheduler = scheduler_create(&env);
    scheduler_start(world.scheduler);
}

static void end(void)
{
    scheduler_destroy(world.scheduler);
    store_close(world.store);
}

static void what_is_due_stays_in_the_file_until_it_has_its_row(void **state)
{
    sqlite3 *other = NULL;
    memset(&world, 0, sizeof world);
    world.config = (struct scheduler_config){
        .catch_up = true, .parallel = 4, .timeout_ms = 60000, .script_ms = 60000};
    fixture_make_home(world.home);
    fake_clock_init(&world.clock, 1000);
    world.clock.wall_ms = at("2027-01-02T09:10Z");
    assert_int_equal(loop_create(&world.clock.clock, &world.loop, NULL), 0);
    write_jobs();
    begin();
    store_wait(world.store);
    assert_int_equal(rows(), 1);
    assert_int_equal(sqlite3_open_v2(fixture_path(world.home, "state.db"), &other,
                                     SQLITE_OPEN_READWRITE, "unix"),
                     SQLITE_OK);
    assert_int_equal(sqlite3_exec(other, "BEGIN IMMEDIATE", NULL, NULL, NULL), SQLITE_OK);
    loop_run_once(world.loop, 0);
    assert_int_equal(rows(), 1);
    assert_int_equal(next_of("late"), at("2027-01-03T09:00Z"));
    assert_int_equal(next_of("missed"), at("2027-01-02T06:00Z"));
    assert_int_equal(sqlite3_exec(other, "COMMIT", NULL, NULL, NULL), SQLITE_OK);
    sqlite3_close(other);
    for (int restarted = 0; restarted < 2; restarted++) {
        settle();
        assert_int_equal(rows(), 2);
        assert_int_equal(next_of("missed"), at("2027-01-03T06:00Z"));
        end();
        begin();
    }
    end();
    loop_destroy(world.loop);
    fixture_remove_home(world.home);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_due_stays_in_the_file_until_it_has_its_row),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
