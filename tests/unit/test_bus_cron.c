#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "bus/cron.h"

#include <cmocka.h>

static const char berlin[] = "CET-1CEST,M3.5.0,M10.5.0/3";

/* "2026-03-29 02:30" as seconds since 1970, as if it were UTC. */
static int64_t at(const char *text)
{
    int year;
    unsigned month, day, hour, minute;
    assert_int_equal(sscanf(text, "%d-%u-%u %u:%u", &year, &month, &day, &hour, &minute), 5);
    return (zone_days(year, month, day) * 24 + hour) * 3600 + minute * 60;
}

static const char *text_of(int64_t seconds, char *out, size_t size)
{
    time_t t = (time_t)seconds;
    struct tm tm;
    strftime(out, size, "%Y-%m-%d %H:%M", gmtime_r(&t, &tm));
    return out;
}

static struct zone *zone_by(const char *rule)
{
    struct err err;
    struct zone *z = zone_of_rule(rule, &err);
    assert_non_null(z);
    return z;
}

/* From a moment (UTC) on, the next ones are these (UTC). */
static void expect(const char *rule, const char *expression, const char *from,
                   const char *const *moments)
{
    struct cron cron;
    struct err err = {0};
    struct zone *z = zone_by(rule);
    char got[32];
    if (cron_parse(expression, &cron, &err) < 0)
        fail_msg("%s: %s", expression, err.text);
    int64_t now = at(from) * 1000;
    for (; *moments; moments++) {
        now = cron_next(&cron, z, now);
        assert_string_equal(text_of(now / 1000, got, sizeof(got)), *moments);
    }
    zone_free(z);
}

#define EXPECT(rule, expression, from, ...)                                                    \
    expect(rule, expression, from, (const char *const[]){__VA_ARGS__, NULL})

static void fields_say_when(void **state)
{
    (void)state;
    EXPECT("UTC0", "*/15 * * * *", "2026-01-01 00:00", "2026-01-01 00:15", "2026-01-01 00:30");
    EXPECT("UTC0", "0 8-18/5 * * mon-fri", "2026-01-02 09:00", "2026-01-02 13:00",
           "2026-01-02 18:00", "2026-01-05 08:00");
    EXPECT("UTC0", "30 4 1,15 * 5", "2026-01-01 05:00", "2026-01-02 04:30", "2026-01-09 04:30",
           "2026-01-15 04:30");
    EXPECT("UTC0", "0 0 13 * */7", "2026-01-01 00:00", "2026-09-13 00:00");
    EXPECT("UTC0", "0 0 * * 7", "2026-01-01 00:00", "2026-01-04 00:00", "2026-01-11 00:00");
    EXPECT("UTC0", "0 0 * JAN,dec Sun", "2026-01-20 00:00", "2026-01-25 00:00",
           "2026-12-06 00:00");
    EXPECT("UTC0", "5/20 * * * *", "2026-01-01 00:00", "2026-01-01 00:05", "2026-01-01 00:25",
           "2026-01-01 00:45", "2026-01-01 01:05");
    EXPECT("UTC0", "@hourly", "2026-01-01 00:00", "2026-01-01 01:00");
    EXPECT("UTC0", "@weekly", "2026-01-01 00:00", "2026-01-04 00:00");
    EXPECT("UTC0", "@monthly", "2026-01-01 00:00", "2026-02-01 00:00");
    EXPECT("UTC0", "@yearly", "2026-01-01 00:00", "2027-01-01 00:00");
    EXPECT("UTC0", "0 0 29 2 *", "2096-03-01 00:00", "2104-02-29 00:00");
    EXPECT("UTC0", "59 23 31 12 *", "2026-12-31 23:59", "2027-12-31 23:59");
}

static void a_time_that_the_clocks_skip_is_due_once_when_they_do(void **state)
{
    (void)state; /* on 2026-03-29 at 01:00 UTC clocks in Berlin go from 02:00 to 03:00 */
    EXPECT(berlin, "30 2 * * *", "2026-03-28 00:00", "2026-03-28 01:30", "2026-03-29 01:00",
           "2026-03-30 00:30");
    EXPECT(berlin, "0,30 2-3 29 3 *", "2026-03-29 00:00", "2026-03-29 01:00",
           "2026-03-29 01:30");
    EXPECT(berlin, "*/30 * * * *", "2026-03-29 00:00", "2026-03-29 00:30", "2026-03-29 01:00",
           "2026-03-29 01:30");
    EXPECT(berlin, "15 * * * *", "2026-03-29 00:00", "2026-03-29 00:15", "2026-03-29 01:15");
}

static void a_time_that_comes_twice_is_due_once(void **state)
{
    (void)state; /* on 2026-10-25 at 01:00 UTC they go from 03:00 back to 02:00 */
    EXPECT(berlin, "30 2 * * *", "2026-10-24 12:00", "2026-10-25 00:30", "2026-10-26 01:30");
    EXPECT(berlin, "30 * * * *", "2026-10-24 23:45", "2026-10-25 00:30", "2026-10-25 01:30",
           "2026-10-25 02:30");
}

static void what_is_no_expression_is_told(void **state)
{
    static const char *const bad[][2] = {
        {"60 * * * *", "no minute"},
        {"* 24 * * *", "no hour"},
        {"* * 0 * *", "day of the month"},
        {"* * * 13 *", "no month"},
        {"* * * * 8", "day of the week"},
        {"* * * *", "five fields"},
        {"* * * * * *", "five fields"},
        {"*/0 * * * *", "no minute"},
        {"5-1 * * * *", "no minute"},
        {"1,,2 * * * *", "no minute"},
        {"@never", "@hourly"},
        {"", "five fields"},
        {"1- * * * *", "no minute"},
        {"x * * * *", "no minute"},
        {"* * * foo *", "three letters"},
    };
    struct cron cron;
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        struct err err = {0};
        assert_int_equal(cron_parse(bad[i][0], &cron, &err), -1);
        const char *want = bad[i][1];
        if (!strstr(err.text, want))
            fail_msg("%s: \"%s\" does not say \"%s\"", bad[i][0], err.text, want);
    }
}

static void what_never_comes_is_known(void **state)
{
    struct cron cron;
    struct err err;
    struct zone *z = zone_by("UTC0");
    (void)state;
    assert_int_equal(cron_parse("0 0 30 2 *", &cron, &err), 0);
    assert_true(cron_next(&cron, z, 0) == INT64_MAX);
    zone_free(z);
}

/* --------------------------------------------------------------------- zone */

static void dates_are_those_of_the_c_library(void **state)
{
    (void)state;
    for (int64_t days = -200000; days < 400000; days += 37) {
        time_t t = (time_t)(days * 86400);
        struct tm tm;
        gmtime_r(&t, &tm);
        struct zone_date date = zone_date(days);
        assert_int_equal(date.year, tm.tm_year + 1900);
        assert_int_equal(date.month, tm.tm_mon + 1);
        assert_int_equal(date.day, tm.tm_mday);
        assert_int_equal(date.weekday, tm.tm_wday);
        assert_int_equal(zone_days(date.year, date.month, date.day), days);
    }
}

static void offsets_are(const char *tz, const struct zone *z, int64_t from, int64_t to)
{
    setenv("TZ", tz, 1);
    tzset();
    for (int64_t t = from; t < to; t += 6 * 3600 + 1801) {
        time_t time = (time_t)t;
        struct tm tm;
        localtime_r(&time, &tm);
        if (zone_offset(z, t) != (int32_t)tm.tm_gmtoff)
            fail_msg("%s at %lld: %d, not %ld", tz, (long long)t, zone_offset(z, t),
                     tm.tm_gmtoff);
    }
    unsetenv("TZ");
    tzset();
}

/* By the C library, which is asked one zone at a time. */
static void rules_and_files_say_what_the_c_library_says(void **state)
{
    static const char *const rules[] = {berlin,
                                        "EST5EDT,M3.2.0,M11.1.0",
                                        "<+1245>-12:45",
                                        "NZST-12NZDT,M9.5.0,M4.1.0/3",
                                        "IST-5:30",
                                        "AAA3BBB,J60/0,J300/1:30",
                                        "AAA3BBB,59,300/-2"};
    static const char *const names[] = {"Europe/Berlin",       "America/New_York",
                                        "Australia/Lord_Howe", "Asia/Kolkata",
                                        "Africa/Casablanca",   "Pacific/Apia"};
    struct err err;
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rules); i++) {
        struct zone *z = zone_by(rules[i]);
        offsets_are(rules[i], z, at("2020-01-01 00:00"), at("2029-01-01 00:00"));
        zone_free(z);
    }
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        struct zone *z = zone_open(names[i], NULL, &err);
        if (!z && strstr(err.text, "No such file"))
            continue; /* a machine without the database */
        assert_non_null(z);
        offsets_are(names[i], z, at("1950-01-01 00:00"), at("2060-01-01 00:00"));
        zone_free(z);
    }
}

static void wall_times_have_one_moment_or_two_or_none(void **state)
{
    struct zone *z = zone_by(berlin);
    (void)state;
    struct zone_moments m = zone_moments(z, at("2026-07-01 12:00"));
    assert_int_equal(m.first, at("2026-07-01 10:00"));
    assert_int_equal(m.second, m.first);
    m = zone_moments(z, at("2026-10-25 02:30"));
    assert_int_equal(m.first, at("2026-10-25 00:30"));
    assert_int_equal(m.second, at("2026-10-25 01:30"));
    m = zone_moments(z, at("2026-03-29 02:30"));
    assert_true(m.skipped);
    assert_int_equal(m.first, at("2026-03-29 01:00"));
    assert_false(zone_moments(z, at("2026-03-29 03:00")).skipped);
    assert_false(zone_moments(z, at("2026-03-29 01:59")).skipped);
    zone_free(z);
}

static void what_is_no_zone_is_told(void **state)
{
    static const char *const bad[] = {
        "Europe/Nowhere", "../../etc/passwd", "/etc/localtime", "", "Europe/../Berlin", "a b"};
    static const char *const bad_rules[] = {
        "CET",    "CET-1CEST", "C-1", "CET-1CEST,M13.1.0,M1.1.0", "CET-1CEST,M3.5.0",
        "<+01-1", "CET-1x"};
    struct err err;
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        err.text[0] = '\0';
        assert_null(zone_open(bad[i], NULL, &err));
        assert_non_null(strstr(err.text, "time zone"));
    }
    for (size_t i = 0; i < ARRAY_LEN(bad_rules); i++)
        assert_null(zone_of_rule(bad_rules[i], &err));
    struct zone *utc = zone_open("UTC", "/nowhere", &err);
    assert_int_equal(zone_offset(utc, 1000000), 0);
    zone_free(utc);
}

/* A file that was cut or scribbled upon is refused, or read, and nothing worse. */
static void damaged_files_do_no_harm(void **state)
{
    struct err err;
    char dir[] = "/tmp/nodey-zone-XXXXXX", path[64], text[8192];
    FILE *file = fopen("/usr/share/zoneinfo/Europe/Berlin", "rb");
    (void)state;
    if (!file)
        return;
    size_t len = fread(text, 1, sizeof(text), file);
    fclose(file);
    assert_non_null(mkdtemp(dir));
    snprintf(path, sizeof(path), "%s/zone", dir);
    for (size_t i = 0; i < len; i++) {
        file = fopen(path, "wb");
        char kept = text[i];
        text[i] ^= (char)(1 << i % 8);
        fwrite(text, 1, i % 2 ? i : len, file);
        text[i] = kept;
        fclose(file);
        struct zone *z = zone_open("zone", dir, &err);
        assert_true(!z || i % 2 == 0); /* no part of it is taken for the whole */
        for (int64_t t = 0; z && t < 4000000000; t += 400000000)
            (void)zone_offset(z, t);
        zone_free(z);
    }
    remove(path);
    remove(dir);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fields_say_when),
        cmocka_unit_test(a_time_that_the_clocks_skip_is_due_once_when_they_do),
        cmocka_unit_test(a_time_that_comes_twice_is_due_once),
        cmocka_unit_test(what_is_no_expression_is_told),
        cmocka_unit_test(what_never_comes_is_known),
        cmocka_unit_test(dates_are_those_of_the_c_library),
        cmocka_unit_test(rules_and_files_say_what_the_c_library_says),
        cmocka_unit_test(wall_times_have_one_moment_or_two_or_none),
        cmocka_unit_test(what_is_no_zone_is_told),
        cmocka_unit_test(damaged_files_do_no_harm),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
