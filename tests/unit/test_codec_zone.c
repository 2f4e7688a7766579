// links: codec/zone.c codec/suggest.c base/span.c base/mem.c base/error.c
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "base/mem.h"
#include "codec/zone.h"

static struct zone find(const char *name)
{
    struct zone zone;
    struct error err = ERROR_INIT;
    if (zone_find(span_of(name), &zone, &err) != 0)
        fail_msg("%s: %s", name, err.text);
    return zone;
}

static int64_t at(int64_t year, int month, int day, int hour, int minute)
{
    return zone_days((struct zone_date){year, month, day}) * 86400 + hour * 3600 + minute * 60;
}

// By Python's zoneinfo from the same tzdata: the seconds around each change of a year, and places
// that have none. All are past, so that no later tzdata changes them.
static const struct {
    const char *name;
    int64_t utc_s;
    int offset;
} cases[] = {
    {"UTC", 1580515200, 0},
    {"UTC", 1719792000, 0},
    {"GMT", 1580515200, 0},
    {"GMT", 1719792000, 0},
    {"Etc/GMT+5", 1580515200, -18000},
    {"Etc/GMT+5", 1719792000, -18000},
    {"Europe/Vienna", 1698541199, 7200},
    {"Europe/Vienna", 1698541200, 3600},
    {"Europe/Vienna", 1711846799, 3600},
    {"Europe/Vienna", 1711846800, 7200},
    {"Europe/Dublin", 1698541199, 3600},
    {"Europe/Dublin", 1698541200, 0},
    {"Europe/Dublin", 1711846799, 0},
    {"Europe/Dublin", 1711846800, 3600},
    {"Europe/Lisbon", 1698541199, 3600},
    {"Europe/Lisbon", 1698541200, 0},
    {"Europe/Lisbon", 1711846799, 0},
    {"Europe/Lisbon", 1711846800, 3600},
    {"US/Eastern", 1699163999, -14400},
    {"US/Eastern", 1699164000, -18000},
    {"US/Eastern", 1710053999, -18000},
    {"US/Eastern", 1710054000, -14400},
    {"America/New_York", 1699163999, -14400},
    {"America/New_York", 1699164000, -18000},
    {"America/New_York", 1710053999, -18000},
    {"America/New_York", 1710054000, -14400},
    {"America/St_Johns", 1699158599, -9000},
    {"America/St_Johns", 1699158600, -12600},
    {"America/St_Johns", 1710048599, -12600},
    {"America/St_Johns", 1710048600, -9000},
    {"America/Havana", 1699160399, -14400},
    {"America/Havana", 1699160400, -18000},
    {"America/Havana", 1710046799, -18000},
    {"America/Havana", 1710046800, -14400},
    {"America/Santiago", 1693713599, -14400},
    {"America/Santiago", 1693713600, -10800},
    {"America/Santiago", 1712458799, -10800},
    {"America/Santiago", 1712458800, -14400},
    {"America/Phoenix", 1580515200, -25200},
    {"America/Phoenix", 1719792000, -25200},
    {"America/Nuuk", 1711846799, -7200},
    {"America/Nuuk", 1711846800, -3600},
    {"America/Mexico_City", 1580515200, -21600},
    {"America/Mexico_City", 1719792000, -21600},
    {"Africa/Casablanca", 1710035999, 3600},
    {"Africa/Casablanca", 1710036000, 0},
    {"Africa/Casablanca", 1713059999, 0},
    {"Africa/Casablanca", 1713060000, 3600},
    {"Africa/Cairo", 1698353999, 10800},
    {"Africa/Cairo", 1698354000, 7200},
    {"Africa/Cairo", 1714082399, 7200},
    {"Africa/Cairo", 1714082400, 10800},
    {"Asia/Jerusalem", 1698533999, 10800},
    {"Asia/Jerusalem", 1698534000, 7200},
    {"Asia/Jerusalem", 1711670399, 7200},
    {"Asia/Jerusalem", 1711670400, 10800},
    {"Asia/Gaza", 1698447599, 10800},
    {"Asia/Gaza", 1698447600, 7200},
    {"Asia/Gaza", 1713571199, 7200},
    {"Asia/Gaza", 1713571200, 10800},
    {"Asia/Beirut", 1698526799, 10800},
    {"Asia/Beirut", 1698526800, 7200},
    {"Asia/Beirut", 1711835999, 7200},
    {"Asia/Beirut", 1711836000, 10800},
    {"Asia/Kolkata", 1580515200, 19800},
    {"Asia/Kolkata", 1719792000, 19800},
    {"Asia/Kathmandu", 1580515200, 20700},
    {"Asia/Kathmandu", 1719792000, 20700},
    {"Asia/Tehran", 1580515200, 12600},
    {"Asia/Tehran", 1719792000, 12600},
    {"Asia/Almaty", 1709229599, 21600},
    {"Asia/Almaty", 1709229600, 18000},
    {"Australia/Lord_Howe", 1696087799, 37800},
    {"Australia/Lord_Howe", 1696087800, 39600},
    {"Australia/Lord_Howe", 1712415599, 39600},
    {"Australia/Lord_Howe", 1712415600, 37800},
    {"Australia/Sydney", 1696089599, 36000},
    {"Australia/Sydney", 1696089600, 39600},
    {"Australia/Sydney", 1712419199, 39600},
    {"Australia/Sydney", 1712419200, 36000},
    {"Pacific/Chatham", 1695477599, 45900},
    {"Pacific/Chatham", 1695477600, 49500},
    {"Pacific/Chatham", 1712411999, 49500},
    {"Pacific/Chatham", 1712412000, 45900},
    {"Pacific/Kiritimati", 1580515200, 50400},
    {"Pacific/Kiritimati", 1719792000, 50400},
    {"Pacific/Apia", 1580515200, 50400},
    {"Pacific/Apia", 1719792000, 46800},
    {"Antarctica/Troll", 1698541199, 7200},
    {"Antarctica/Troll", 1698541200, 0},
    {"Antarctica/Troll", 1711846799, 0},
    {"Antarctica/Troll", 1711846800, 7200},
};

static void test_offsets(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct zone zone = find(cases[i].name);
        if (zone_offset(&zone, cases[i].utc_s) != cases[i].offset)
            fail_msg("%s at %lld: %d, not %d", cases[i].name, (long long)cases[i].utc_s,
                     zone_offset(&zone, cases[i].utc_s), cases[i].offset);
    }
}

static void test_days(void **state)
{
    (void)state;
    assert_int_equal(zone_days((struct zone_date){1970, 1, 1}), 0);
    assert_int_equal(zone_days((struct zone_date){2000, 2, 29}), 11016);
    assert_int_equal(zone_days((struct zone_date){2026, 13, 1}),
                     zone_days((struct zone_date){2027, 1, 1}));
    assert_int_equal(zone_weekday(0), 4);
    assert_int_equal(zone_weekday(-5), 6);
    assert_int_equal(zone_weekday(zone_days((struct zone_date){2026, 11, 21})), 6);
    struct zone_date before = zone_date_of(-200001);
    for (int64_t day = -200000; day < 200000; day++) {
        struct zone_date date = zone_date_of(day);
        assert_int_equal(zone_days(date), day);
        bool next_day =
            date.year == before.year && date.month == before.month && date.day == before.day + 1;
        bool next_month = date.day == 1 && (date.month == before.month + 1 ||
                                            (date.month == 1 && date.year == before.year + 1));
        assert_true(next_day || next_month);
        before = date;
    }
}

static void test_rules(void **state)
{
    (void)state;
    // Times of other days: 72 hours after a Monday is a Thursday, -1 the hour before Sunday.
    const struct zone zone = {0, 3600, {3, 2, 1, 72 * 3600}, {10, 5, 0, -2 * 3600}, NULL, 0};
    assert_int_equal(zone_offset(&zone, at(2026, 3, 11, 23, 59)), 0);
    assert_int_equal(zone_offset(&zone, at(2026, 3, 12, 0, 0)), 3600);
    assert_int_equal(zone_offset(&zone, at(2026, 10, 24, 21, 59)), 3600);
    assert_int_equal(zone_offset(&zone, at(2026, 10, 24, 22, 0)), 0);
}

static void test_midnights(void **state)
{
    (void)state;
    struct zone zone = find("Europe/Vienna");
    assert_int_equal(zone_instant(&zone, at(2026, 11, 21, 0, 0)), at(2026, 11, 20, 23, 0));
    assert_int_equal(zone_instant(&zone, at(2026, 7, 1, 0, 0)), at(2026, 6, 30, 22, 0));
    assert_int_equal(zone_instant(&zone, at(2026, 3, 29, 2, 30)), at(2026, 3, 29, 1, 0));    // none
    assert_int_equal(zone_instant(&zone, at(2026, 10, 25, 2, 30)), at(2026, 10, 25, 0, 30)); // two

    // Midnights that there are not, and that there are twice.
    zone = (struct zone){7200, 10800, {3, 5, 0, -7200}, {10, 5, 0, -10800}, NULL, 0};
    assert_int_equal(zone_instant(&zone, at(2026, 3, 29, 0, 0)), at(2026, 3, 28, 22, 0));
    assert_int_equal(zone_local(&zone, at(2026, 3, 28, 22, 0)), at(2026, 3, 29, 1, 0));
    assert_int_equal(zone_instant(&zone, at(2026, 10, 25, 0, 0)), at(2026, 10, 24, 22, 0));
    zone = find("America/Havana");
    assert_int_equal(zone_instant(&zone, at(2024, 3, 10, 0, 0)), at(2024, 3, 10, 5, 0));
    assert_int_equal(zone_instant(&zone, at(2024, 11, 3, 0, 0)), at(2024, 11, 3, 4, 0));
}

static void test_names(void **state)
{
    (void)state;
    struct zone a = find("europe/VIENNA"), b = find("Europe/Vienna");
    assert_int_equal(a.standard_s, b.standard_s);
    assert_int_equal(a.daylight_s, 7200);
    find("UTC");
    find("GMT");
    find("US/Eastern");
    find("Africa/Abidjan");
    find("Zulu");

    static const char *const misses[][2] = {
        {"Europe/Viena", "did you mean \"Europe/Vienna\"?"},
        {"Vienna", "did you mean \"Europe/Vienna\"?"},
        {"new york", "did you mean \"America/New_York\"?"},
        {"America/New York", "did you mean \"America/New_York\"?"},
        {"Mars/Olympus_Mons", "names are like"},
        {"", "names are like"},
        {"Europe/Vienna2345678901234567890123456789012345678901234567890123456789", "names are"},
    };
    for (size_t i = 0; i < ARRAY_LEN(misses); i++) {
        struct zone zone;
        struct error err = ERROR_INIT;
        assert_int_equal(zone_find(span_of(misses[i][0]), &zone, &err), -ENOENT);
        if (!strstr(err.text, misses[i][1]))
            fail_msg("%s: %s", misses[i][0], err.text);
    }
}

// Compared with zoneinfo's: the GNU C library shows the same clock by both.
static void a_rule_is_what_posix_writes(void **state)
{
    static const struct {
        const char *name, *rule;
    } rules[] = {
        {"UTC", "<+0000>-0:00"},
        {"Asia/Kathmandu", "<+0545>-5:45"},
        {"Pacific/Marquesas", "<-0930>+9:30"},
        {"Europe/Vienna", "<+0100>-1:00<+0200>-2:00,M3.5.0/2:00,M10.5.0/3:00"},
        {"america/new_york", "<-0500>+5:00<-0400>+4:00,M3.2.0/2:00,M11.1.0/2:00"},
        {"America/St_Johns", "<-0330>+3:30<-0230>+2:30,M3.2.0/2:00,M11.1.0/2:00"},
        {"Australia/Lord_Howe", "<+1030>-10:30<+1100>-11:00,M10.1.0/2:00,M4.1.0/2:00"},
        {"America/Nuuk", "<-0200>+2:00<-0100>+1:00,M3.5.0/-1:00,M10.5.0/0:00"},
        {"Africa/Casablanca", "<+0000>-0:00"}, // Ramadan: listed, so what it is then
    };
    (void)state;
    for (size_t i = 0; i < sizeof rules / sizeof *rules; i++) {
        char text[ZONE_RULE_SIZE];
        struct zone zone = find(rules[i].name);
        zone_rule(&zone, at(2026, 3, 10, 12, 0), text);
        assert_string_equal(text, rules[i].rule);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_days),    cmocka_unit_test(test_rules),
        cmocka_unit_test(test_offsets), cmocka_unit_test(test_midnights),
        cmocka_unit_test(test_names),   cmocka_unit_test(a_rule_is_what_posix_writes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
