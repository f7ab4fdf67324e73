#include "client/moment.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/slice.h"
#include "config/value.h"

enum { MILLION = 1000000, YEAR_MIN = 1970, YEAR_MAX = 9999, DIGITS = 6 };

struct moment {
    struct tm tm;
    long us;
    bool utc;
    long ahead; /* seconds that its clock is ahead of UTC */
};

/* ".123": fractions of a second; NULL when there are no digits. */
static const char *read_fraction(const char *at, long *us)
{
    long scale = MILLION;
    const char *begin = ++at;
    for (*us = 0; *at >= '0' && *at <= '9'; at++) {
        scale /= 10;
        *us += (*at - '0') * scale;
    }
    return at > begin ? at : NULL;
}

/* "Z" or "+01:00" or nothing; NULL for something else. */
static const char *read_zone(const char *at, struct moment *m)
{
    int hours, minutes, len = 0;
    char sign = *at;
    if (!sign)
        return at;
    m->utc = true;
    if (sign == 'Z' || sign == 'z')
        return at + 1;
    if ((sign != '+' && sign != '-') ||
        sscanf(at + 1, "%2d:%2d%n", &hours, &minutes, &len) != 2 || len != 5)
        return NULL;
    m->ahead = (hours * 3600L + minutes * 60L) * (sign == '-' ? -1 : 1);
    return at + 1 + len;
}

/* "18:40", "18:40:02", "18:40:02.5", each with a zone behind it, to the end. */
static bool read_clock(const char *at, struct moment *m)
{
    int len = 0;
    if (sscanf(at, "%2d:%2d%n", &m->tm.tm_hour, &m->tm.tm_min, &len) != 2 || !len)
        return false;
    at += len;
    if (*at == ':') {
        len = 0;
        if (sscanf(at, ":%2d%n", &m->tm.tm_sec, &len) != 1 || !len)
            return false;
        at += len;
        if (*at == '.')
            at = read_fraction(at, &m->us);
    }
    at = at ? read_zone(at, m) : NULL;
    return at && !*at && m->tm.tm_hour < 24 && m->tm.tm_min < 60 && m->tm.tm_sec <= 60 &&
           m->tm.tm_hour >= 0 && m->tm.tm_min >= 0 && m->tm.tm_sec >= 0;
}

static bool read_date(const char *text, struct moment *m)
{
    int year, month, day, len = 0;
    if (sscanf(text, "%4d-%2d-%2d%n", &year, &month, &day, &len) != 3 || len != 10)
        return false;
    if (year < YEAR_MIN || year > YEAR_MAX || month < 1 || month > 12 || day < 1 || day > 31)
        return false;
    m->tm.tm_year = year - 1900;
    m->tm.tm_mon = month - 1;
    m->tm.tm_mday = day;
    const char *rest = text + len;
    if (!*rest)
        return true;
    return (*rest == 'T' || *rest == 't' || *rest == ' ') && read_clock(rest + 1, m);
}

static bool read_today(const char *text, struct moment *m)
{
    time_t now = time(NULL);
    struct tm today;
    localtime_r(&now, &today);
    m->tm.tm_year = today.tm_year;
    m->tm.tm_mon = today.tm_mon;
    m->tm.tm_mday = today.tm_mday;
    return read_clock(text, m) && !m->utc;
}

static void write_utc(time_t seconds, long us, char out[MOMENT_TEXT])
{
    struct tm tm;
    gmtime_r(&seconds, &tm);
    size_t len = strftime(out, MOMENT_TEXT, "%Y-%m-%dT%H:%M:%S", &tm);
    snprintf(out + len, MOMENT_TEXT - len, ".%06uZ", (unsigned)us % MILLION);
}

/* So long ago. */
static bool read_ago(const char *text, char out[MOMENT_TEXT])
{
    uint64_t us;
    struct timespec now;
    if (value_duration(slice_of(text), true, &us) != VALUE_GOOD)
        return false;
    clock_gettime(CLOCK_REALTIME, &now);
    uint64_t all = (uint64_t)now.tv_sec * MILLION + (uint64_t)now.tv_nsec / 1000;
    uint64_t then = all - MIN(us, all);
    write_utc((time_t)(then / MILLION), (long)(then % MILLION), out);
    return true;
}

int moment_read(const char *text, char out[MOMENT_TEXT], struct err *err)
{
    struct moment m = {.tm = {.tm_isdst = -1}};
    uint64_t seconds;
    if (slice_to_u64(slice_of(text), INT32_MAX, &seconds) && seconds) {
        write_utc((time_t)seconds, 0, out);
        return 0;
    }
    if (read_ago(text, out))
        return 0;
    if (!read_date(text, &m)) {
        m = (struct moment){.tm = {.tm_isdst = -1}};
        if (!read_today(text, &m))
            return err_set(err, -1,
                           "\"%s\" is no time: write 10m or 2h for so long ago, 18:40, "
                           "\"2026-11-21 10:00\" or 2026-11-21T10:00:00Z",
                           text);
    }
    write_utc(m.utc ? timegm(&m.tm) - m.ahead : mktime(&m.tm), m.us, out);
    return 0;
}
