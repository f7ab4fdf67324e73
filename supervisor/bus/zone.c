#include "bus/zone.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/buf.h"

enum {
    FILE_MAX = 1 << 20,
    HEADER = 44,
    DAY = 86400,
    HOUR = 3600,
    OFFSET_MAX = 26 * HOUR,
    NAME_MAX_BYTES = 200,
};

/* When a rule's summer begins or ends. */
struct turn {
    enum { TURN_WEEKDAY, TURN_JULIAN, TURN_DAY } kind;

    unsigned month, week, day; /* WEEKDAY: the week-th day; 5 = the last.  Else a day alone */
    int32_t time;              /* seconds after midnight, by the clocks until then */
};

struct rule {
    bool known;
    bool has_summer;
    int32_t standard, summer; /* offsets */
    struct turn begin, end;
};

struct change {
    int64_t at;
    int32_t offset;
};

struct zone {
    struct change *changes; /* by time */
    size_t count;
    int32_t before;   /* the offset before the first change */
    struct rule rule; /* after the last */
};

/* ---------------------------------------------------------------- calendar */

/* Howard Hinnant's days_from_civil: years begin in March, so that leap days come last. */
int64_t zone_days(int64_t year, unsigned month, unsigned day)
{
    year -= month <= 2;
    int64_t era = (year >= 0 ? year : year - 399) / 400;
    unsigned of_era = (unsigned)(year - era * 400);
    unsigned of_year = (153 * (month > 2 ? month - 3 : month + 9) + 2) / 5 + day - 1;
    return era * 146097 + (int64_t)(of_era * 365 + of_era / 4 - of_era / 100 + of_year) -
           719468;
}

struct zone_date zone_date(int64_t days)
{
    int64_t shifted = days + 719468;
    int64_t era = (shifted >= 0 ? shifted : shifted - 146096) / 146097;
    unsigned of_era = (unsigned)(shifted - era * 146097);
    unsigned year = (of_era - of_era / 1460 + of_era / 36524 - of_era / 146096) / 365;
    unsigned of_year = of_era - (365 * year + year / 4 - year / 100);
    unsigned march = (5 * of_year + 2) / 153;
    unsigned month = march < 10 ? march + 3 : march - 9;
    return (struct zone_date){
        .year = (int64_t)year + era * 400 + (month <= 2),
        .month = month,
        .day = of_year - (153 * march + 2) / 5 + 1,
        .weekday = (unsigned)(((days % 7) + 11) % 7), /* 1970 began on a Thursday */
    };
}

static int64_t floor_days(int64_t seconds)
{
    return seconds / DAY - (seconds % DAY < 0);
}

static bool is_leap(int64_t year)
{
    return year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
}

/* -------------------------------------------------------------------- rule */

/* Its moment in that year, as the clocks until then show it. */
static int64_t turn_wall(const struct turn *t, int64_t year)
{
    int64_t first = zone_days(year, 1, 1);
    if (t->kind == TURN_DAY)
        return (first + t->day) * DAY + t->time;
    if (t->kind == TURN_JULIAN) /* February 29 is never counted */
        return (first + t->day - 1 + (is_leap(year) && t->day >= 60)) * DAY + t->time;
    int64_t days = zone_days(year, t->month, 1);
    days += (t->day + 7 - zone_date(days).weekday) % 7;
    int64_t next_month =
        t->month == 12 ? zone_days(year + 1, 1, 1) : zone_days(year, t->month + 1, 1);
    days += 7 * (int64_t)(t->week - 1);
    while (days >= next_month)
        days -= 7;
    return days * DAY + t->time;
}

static int32_t rule_offset(const struct rule *r, int64_t utc)
{
    if (!r->has_summer)
        return r->standard;
    int64_t year = zone_date(floor_days(utc + r->standard)).year;
    int64_t begin = turn_wall(&r->begin, year) - r->standard;
    int64_t end = turn_wall(&r->end, year) - r->summer;
    bool summer = begin < end ? utc >= begin && utc < end : utc >= begin || utc < end;
    return summer ? r->summer : r->standard;
}

static bool read_number(const char **at, unsigned max, unsigned *out)
{
    unsigned n = 0;
    if (!isdigit((unsigned char)**at))
        return false;
    for (; isdigit((unsigned char)**at); ++*at) {
        n = n * 10 + (unsigned)(**at - '0');
        if (n > max)
            return false;
    }
    *out = n;
    return true;
}

/* "[+-]hh[:mm[:ss]]" */
static bool read_time(const char **at, unsigned max_hours, int32_t *out)
{
    int32_t sign = **at == '-' ? -1 : 1;
    unsigned hours, minutes = 0, seconds = 0;
    if (**at == '-' || **at == '+')
        ++*at;
    if (!read_number(at, max_hours, &hours))
        return false;
    if (**at == ':' && (++*at, !read_number(at, 59, &minutes)))
        return false;
    if (**at == ':' && (++*at, !read_number(at, 59, &seconds)))
        return false;
    *out = sign * (int32_t)(hours * HOUR + minutes * 60 + seconds);
    return true;
}

/* "CET", or "<+03>". */
static bool skip_name(const char **at)
{
    const char *begin = *at;
    if (**at == '<') {
        while (**at && **at != '>')
            ++*at;
        return *(*at)++ == '>';
    }
    while (isalpha((unsigned char)**at))
        ++*at;
    return *at - begin >= 3;
}

static bool read_turn(const char **at, struct turn *t)
{
    *t = (struct turn){.kind = TURN_DAY, .time = 2 * HOUR};
    if (**at == 'M') {
        t->kind = TURN_WEEKDAY;
        ++*at;
        if (!read_number(at, 12, &t->month) || t->month < 1 || *(*at)++ != '.' ||
            !read_number(at, 5, &t->week) || t->week < 1 || *(*at)++ != '.' ||
            !read_number(at, 6, &t->day))
            return false;
    } else {
        if (**at == 'J') {
            t->kind = TURN_JULIAN;
            ++*at;
        }
        if (!read_number(at, 365, &t->day) || (t->kind == TURN_JULIAN && t->day < 1))
            return false;
    }
    return **at != '/' || (++*at, read_time(at, 167, &t->time));
}

/* In TZ offsets are what must be added to get UTC: the other way round. */
static bool read_rule(const char *text, struct rule *r)
{
    const char *at = text;
    int32_t west;
    *r = (struct rule){0};
    if (!skip_name(&at) || !read_time(&at, 24, &west))
        return false;
    r->standard = -west;
    r->known = true;
    if (!*at)
        return true;
    r->has_summer = true;
    r->summer = r->standard + HOUR;
    if (!skip_name(&at))
        return false;
    if (*at && *at != ',') {
        if (!read_time(&at, 24, &west))
            return false;
        r->summer = -west;
    }
    return *at++ == ',' && read_turn(&at, &r->begin) && *at++ == ',' &&
           read_turn(&at, &r->end) && !*at;
}

/* -------------------------------------------------------------------- file */

static int64_t big_endian(const char *p, size_t bytes)
{
    uint64_t n = (unsigned char)*p & 0x80 ? UINT64_MAX : 0;
    for (size_t i = 0; i < bytes; i++)
        n = n << 8 | (unsigned char)p[i];
    return (int64_t)n;
}

struct counts {
    size_t utc, standard, leaps, times, types, letters;
};

/* One header with what it counts; false when that cannot be. */
static bool read_header(struct slice *rest, struct counts *c)
{
    if (rest->len < HEADER || memcmp(rest->ptr, "TZif", 4) != 0)
        return false;
    size_t n[6];
    for (size_t i = 0; i < 6; i++) {
        n[i] = (size_t)big_endian(rest->ptr + 20 + 4 * i, 4);
        if (n[i] > 100000)
            return false;
    }
    *c = (struct counts){n[0], n[1], n[2], n[3], n[4], n[5]};
    *rest = slice_from(*rest, HEADER);
    return c->types > 0;
}

static size_t body_size(const struct counts *c, size_t time)
{
    return c->times * (time + 1) + c->types * 6 + c->letters + c->leaps * (time + 4) +
           c->standard + c->utc;
}

/* Each type has an offset, a flag, and the index of its name. */
static int32_t type_offset(const char *types, size_t index)
{
    return (int32_t)big_endian(types + 6 * index, 4);
}

static bool read_changes(struct zone *z, struct slice body, const struct counts *c)
{
    const char *which = body.ptr + c->times * 8, *types = which + c->times;
    z->before = type_offset(types, 0);
    z->changes = xcalloc(c->times + 1, sizeof(*z->changes));
    z->count = c->times;
    for (size_t i = 0; i < c->times; i++) {
        size_t type = (unsigned char)which[i];
        struct change *change = &z->changes[i];
        if (type >= c->types)
            return false;
        *change = (struct change){big_endian(body.ptr + 8 * i, 8), type_offset(types, type)};
        if (change->offset < -OFFSET_MAX || change->offset > OFFSET_MAX ||
            (i && change->at <= z->changes[i - 1].at))
            return false;
    }
    return z->before >= -OFFSET_MAX && z->before <= OFFSET_MAX;
}

/* The second block has 64 bits for each time; the first one is for readers of old. */
static bool read_file(struct zone *z, struct slice text)
{
    struct counts c;
    if (!read_header(&text, &c) || text.len < body_size(&c, 4))
        return false;
    text = slice_from(text, body_size(&c, 4));
    if (!read_header(&text, &c) || text.len < body_size(&c, 8) || !read_changes(z, text, &c))
        return false;
    text = slice_from(text, body_size(&c, 8));
    if (text.len < 2 || text.ptr[0] != '\n')
        return false;
    char rule[128];
    const char *end = memchr(text.ptr + 1, '\n', text.len - 1);
    size_t len = end ? (size_t)(end - text.ptr) - 1 : sizeof(rule);
    if (len >= sizeof(rule))
        return false;
    memcpy(rule, text.ptr + 1, len);
    rule[len] = '\0';
    return !len || read_rule(rule, &z->rule);
}

static bool read_all(const char *path, struct buf *out)
{
    FILE *file = fopen(path, "rbe");
    if (!file)
        return false;
    buf_reserve(out, FILE_MAX);
    out->len = fread(out->ptr, 1, FILE_MAX, file);
    bool whole = !ferror(file) && feof(file);
    fclose(file);
    return whole;
}

static struct zone *from_path(const char *path, const char *name, struct err *err)
{
    struct buf text = {0};
    struct zone *z = xcalloc(1, sizeof(*z));
    errno = 0;
    if (!read_all(path, &text)) {
        err_set(err, -1, "there is no time zone \"%s\" (%s: %s)", name, path,
                errno ? strerror(errno) : "it is too long");
        zone_free(z);
        z = NULL;
    } else if (!read_file(z, buf_slice(&text))) {
        err_set(err, -1, "%s is no time zone file, or a damaged one", path);
        zone_free(z);
        z = NULL;
    }
    buf_deinit(&text);
    return z;
}

/* A name must not lead out of the database. */
static bool is_name(const char *name)
{
    size_t len = strlen(name);
    return len && len <= NAME_MAX_BYTES && name[0] != '/' && name[0] != '.' &&
           !strstr(name, "/.") &&
           strspn(name,
                  "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789+-_/.") == len;
}

static struct zone *by_name(const char *name, const char *root, struct err *err)
{
    char path[512];
    if (!is_name(name)) {
        err_set(err, -1, "\"%s\" is no name of a time zone, as \"Europe/Berlin\" is", name);
        return NULL;
    }
    snprintf(path, sizeof(path), "%s/%s", root, name);
    return from_path(path, name, err);
}

/* As the C library understands TZ; without any of it clocks show UTC. */
static struct zone *open_local(const char *root, struct err *err)
{
    struct err ignored;
    const char *tz = getenv("TZ");
    if (tz && *tz == ':')
        tz++;
    if (!tz) {
        struct zone *z = from_path("/etc/localtime", "local", &ignored);
        return z ? z : xcalloc(1, sizeof(*z));
    }
    if (!*tz)
        return xcalloc(1, sizeof(struct zone));
    if (*tz == '/')
        return from_path(tz, tz, err);
    struct zone *z = by_name(tz, root, &ignored);
    return z ? z : zone_of_rule(tz, err);
}

struct zone *zone_open(const char *name, const char *root, struct err *err)
{
    if (!root)
        root = "/usr/share/zoneinfo";
    if (!strcmp(name, "UTC")) /* also where there is no database */
        return xcalloc(1, sizeof(struct zone));
    if (!strcmp(name, "local"))
        return open_local(root, err);
    return by_name(name, root, err);
}

struct zone *zone_of_rule(const char *rule, struct err *err)
{
    struct zone *z = xcalloc(1, sizeof(*z));
    if (read_rule(rule, &z->rule))
        return z;
    err_set(err, -1, "\"%s\" is no time zone", rule);
    zone_free(z);
    return NULL;
}

void zone_free(struct zone *z)
{
    if (z)
        xfree(z->changes);
    xfree(z);
}

/* ------------------------------------------------------------------ moments */

int32_t zone_offset(const struct zone *z, int64_t utc)
{
    size_t low = 0, high = z->count; /* the changes before `low` have been */
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (z->changes[middle].at <= utc)
            low = middle + 1;
        else
            high = middle;
    }
    if (low == z->count && z->rule.known)
        return rule_offset(&z->rule, utc);
    return low ? z->changes[low - 1].offset : z->before;
}

/* The last moment of a span with an offset that is that of its begin: where it changes. */
static int64_t find_change(const struct zone *z, int64_t low, int64_t high)
{
    int32_t before = zone_offset(z, low);
    while (high - low > 1) {
        int64_t middle = low + (high - low) / 2;
        if (zone_offset(z, middle) == before)
            low = middle;
        else
            high = middle;
    }
    return high;
}

/*
 * Clocks change at most once within a day on either side, so the offsets there are the only
 * ones that this time can have been told with.
 */
struct zone_moments zone_moments(const struct zone *z, int64_t wall)
{
    int64_t early = wall - DAY - HOUR * 2, late = wall + DAY + HOUR * 2;
    int32_t old = zone_offset(z, early), new = zone_offset(z, late);
    if (old == new)
        return (struct zone_moments){wall - new, wall - new, false};
    bool by_old = zone_offset(z, wall - old) == old;
    bool by_new = zone_offset(z, wall - new) == new;
    if (!by_old && !by_new) {
        int64_t jump = find_change(z, early, late);
        return (struct zone_moments){jump, jump, true};
    }
    int64_t first = by_old ? wall - old : wall - new, second = by_new ? wall - new : first;
    return (struct zone_moments){MIN(first, second), MAX(first, second), false};
}
