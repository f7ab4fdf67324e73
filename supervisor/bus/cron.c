#include "bus/cron.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

enum {
    DAY = 86400,
    TEXT_MAX = 256,
    /* February 29 is eight years away at most, around 2100; its weekday never matters alone. */
    DAYS_AHEAD = 366 * 9,
};

static const char *const month_names[] = {"jan", "feb", "mar", "apr", "may", "jun", "jul",
                                          "aug", "sep", "oct", "nov", "dec", NULL};
static const char *const day_names[] = {"sun", "mon", "tue", "wed", "thu", "fri", "sat", NULL};

struct field_kind {
    const char *what;
    unsigned low, high;
    const char *const *names; /* the first is `low`; or NULL */
};

static const struct field_kind kinds[] = {
    {"minute", 0, 59, NULL},
    {"hour", 0, 23, NULL},
    {"day of the month", 1, 31, NULL},
    {"month", 1, 12, month_names},
    {"day of the week", 0, 7, day_names}, /* 7 is Sunday, too */
};

static int fail(struct err *err, const struct field_kind *kind, const char *item)
{
    return err_set(err, -1,
                   "\"%s\" is no %s: that is %u to %u%s, \"*\", a range \"a-b\", a list "
                   "\"a,b\", or any of them with a step \"/n\"",
                   item, kind->what, kind->low, kind->high,
                   kind->names ? " or a name of three letters" : "");
}

static bool read_number(const char **at, unsigned *out)
{
    unsigned n = 0;
    const char *begin = *at;
    for (; **at >= '0' && **at <= '9' && *at - begin < 4; ++*at)
        n = n * 10 + (unsigned)(**at - '0');
    *out = n;
    return *at > begin;
}

static bool read_value(const char **at, const struct field_kind *kind, unsigned *out)
{
    for (unsigned i = 0; kind->names && kind->names[i]; i++)
        if (!strncasecmp(*at, kind->names[i], 3)) {
            *at += 3;
            *out = kind->low + i;
            return true;
        }
    return read_number(at, out) && *out >= kind->low && *out <= kind->high;
}

/* One of a list: "*", "a", "a-b", each also with "/n".  "a/n" goes on to the end. */
static bool read_item(const char *item, const struct field_kind *kind, uint64_t *bits)
{
    unsigned from = kind->low, to = kind->high, step = 1;
    const char *at = item;
    if (*at == '*') {
        at++;
    } else {
        if (!read_value(&at, kind, &from))
            return false;
        to = *at == '/' ? kind->high : from;
        if (*at == '-' && (at++, !read_value(&at, kind, &to)))
            return false;
    }
    if (*at == '/' && (at++, !read_number(&at, &step)))
        return false;
    if (*at || !step || from > to)
        return false;
    for (unsigned n = from; n <= to; n += step)
        *bits |= UINT64_C(1) << n;
    return true;
}

static int read_field(char *text, const struct field_kind *kind, uint64_t *bits,
                      struct err *err)
{
    *bits = 0;
    for (char *item = text, *end; item; item = end) {
        end = strchr(item, ',');
        if (end)
            *end++ = '\0';
        if (!read_item(item, kind, bits))
            return fail(err, kind, item);
    }
    return 0;
}

static const char *nickname(const char *text)
{
    static const char *const known[][2] = {
        {"@hourly", "0 * * * *"},   {"@daily", "0 0 * * *"},   {"@midnight", "0 0 * * *"},
        {"@weekly", "0 0 * * 0"},   {"@monthly", "0 0 1 * *"}, {"@yearly", "0 0 1 1 *"},
        {"@annually", "0 0 1 1 *"},
    };
    for (size_t i = 0; i < ARRAY_LEN(known); i++)
        if (!strcasecmp(text, known[i][0]))
            return known[i][1];
    return NULL;
}

int cron_parse(const char *text, struct cron *c, struct err *err)
{
    char copy[TEXT_MAX];
    char *fields[ARRAY_LEN(kinds) + 1], *rest = NULL;
    size_t count = 0;
    uint64_t bits[ARRAY_LEN(kinds)];
    if (*text == '@' && !nickname(text))
        return err_set(err, -1,
                       "\"%s\" is not known: there are @hourly, @daily, @weekly, "
                       "@monthly and @yearly",
                       text);
    if (snprintf(copy, sizeof(copy), "%s", *text == '@' ? nickname(text) : text) >= TEXT_MAX)
        return err_set(err, -1, "it is longer than %d bytes", TEXT_MAX - 1);
    for (char *f = strtok_r(copy, " \t", &rest); f && count <= ARRAY_LEN(kinds);
         f = strtok_r(NULL, " \t", &rest))
        fields[count++] = f;
    if (count != ARRAY_LEN(kinds))
        return err_set(err, -1,
                       "\"%s\" has not five fields: minute, hour, day of the month, "
                       "month, day of the week",
                       text);
    bool any_day = fields[2][0] == '*', any_weekday = fields[4][0] == '*';
    for (size_t i = 0; i < count; i++)
        if (read_field(fields[i], &kinds[i], &bits[i], err) < 0)
            return -1;
    *c = (struct cron){
        .minutes = bits[0],
        .hours = (uint32_t)bits[1],
        .days = (uint32_t)bits[2],
        .months = (uint16_t)bits[3],
        .weekdays = (uint8_t)((bits[4] & 0x7f) | bits[4] >> 7),
        .any_day = any_day,
        .any_weekday = any_weekday,
    };
    return 0;
}

static bool is_day(const struct cron *c, int64_t days)
{
    struct zone_date date = zone_date(days);
    if (!(c->months >> date.month & 1))
        return false;
    bool day = c->days >> date.day & 1, weekday = c->weekdays >> date.weekday & 1;
    return c->any_day || c->any_weekday ? day && weekday : day || weekday;
}

static bool every_hour(const struct cron *c)
{
    return c->hours == (UINT32_C(1) << 24) - 1;
}

/* That wall time's first moment after `after`, or INT64_MAX. */
static int64_t moment_after(const struct cron *c, const struct zone *z, int64_t wall,
                            int64_t after)
{
    struct zone_moments m = zone_moments(z, wall);
    if (m.skipped && every_hour(c))
        return INT64_MAX;
    if (m.first > after)
        return m.first;
    return every_hour(c) && m.second > after ? m.second : INT64_MAX;
}

static int64_t first_of_day(const struct cron *c, const struct zone *z, int64_t days,
                            int64_t after)
{
    int64_t best = INT64_MAX;
    for (unsigned hour = 0; hour < 24; hour++)
        for (unsigned minute = 0; minute < 60; minute++)
            if ((c->hours >> hour & 1) && (c->minutes >> minute & 1)) {
                int64_t wall = days * DAY + hour * 3600 + minute * 60;
                best = MIN(best, moment_after(c, z, wall, after));
            }
    return best;
}

int64_t cron_next(const struct cron *c, const struct zone *z, int64_t after_ms)
{
    int64_t after = after_ms / 1000 - (after_ms % 1000 < 0);
    int64_t wall = after + zone_offset(z, after);
    int64_t today = wall / DAY - (wall % DAY < 0);
    /* From the day before, which is not over where clocks are put back over midnight. */
    for (int64_t days = today - 1; days < today + DAYS_AHEAD; days++) {
        if (!is_day(c, days))
            continue;
        int64_t found = first_of_day(c, z, days, after);
        if (found != INT64_MAX)
            return found * 1000;
    }
    return INT64_MAX;
}
