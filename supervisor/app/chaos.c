#include "app/chaos.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

#include "app/events_parts.h"
#include "base/buf.h"
#include "config/value.h"

enum {
    REORDER_MS = 50, /* among so many come those of one moment in any order */
    DELAY_MAX_S = 3600,
};

/* ---------------------------------------------------------------------------- words */

static int read_share(struct slice name, struct slice value, double *share, struct err *err)
{
    char text[32], *end;
    snprintf(text, sizeof(text), SLICE_FMT, SLICE_ARG(value));
    double n = strtod(text, &end);
    if (value.len == 0 || value.len >= sizeof(text) || end == text || strcmp(end, "%") != 0 ||
        !(n >= 0 && n <= 100))
        return err_set(err, -1,
                       SLICE_FMT " is a share such as 5%%, from 0%% to 100%%, not \"" SLICE_FMT
                                 "\"",
                       SLICE_ARG(name), SLICE_ARG(value));
    *share = n / 100;
    return 0;
}

static bool read_time(struct slice text, uint64_t *ms)
{
    uint64_t us = 0;
    if (slice_is(text, "0")) {
        *ms = 0;
        return true;
    }
    if (!text.len || value_duration(text, false, &us) != VALUE_GOOD ||
        us > DELAY_MAX_S * UINT64_C(1000000))
        return false;
    *ms = us / 1000;
    return true;
}

static int read_delay(struct slice value, struct chaos *c, struct err *err)
{
    size_t at = 0;
    while (at + 1 < value.len && memcmp(value.ptr + at, "..", 2) != 0)
        at++;
    bool range = at + 1 < value.len;
    struct slice low = {value.ptr, range ? at : 0};
    struct slice high = range ? slice_from(value, at + 2) : value;
    c->delay_min_ms = 0;
    if ((range && !read_time(low, &c->delay_min_ms)) || !read_time(high, &c->delay_max_ms) ||
        c->delay_max_ms < c->delay_min_ms)
        return err_set(
            err, -1, "delay is a time or two, such as 0..2s, at most 1h, not \"" SLICE_FMT "\"",
            SLICE_ARG(value));
    return 0;
}

static int read_word(struct slice name, struct slice value, struct chaos *c, struct err *err)
{
    if (slice_is(name, "dup"))
        return read_share(name, value, &c->dup, err);
    if (slice_is(name, "kill"))
        return read_share(name, value, &c->kill, err);
    if (slice_is(name, "nak") || slice_is(name, "nack"))
        return read_share(name, value, &c->nak, err);
    if (slice_is(name, "delay"))
        return read_delay(value, c, err);
    if (!slice_is(name, "reorder"))
        return err_set(err, -1,
                       "there is no \"" SLICE_FMT
                       "\": it knows dup, delay, reorder, kill and nak",
                       SLICE_ARG(name));
    if (!slice_is(value, "unkeyed"))
        return err_set(err, -1, "reorder is unkeyed: messages with a key keep their order");
    c->reorder = true;
    return 0;
}

int chaos_parse(const char *words, struct chaos *c, struct err *err)
{
    if (!*words)
        return err_set(err, -1, "it needs words, such as dup=5%%,delay=0..2s");
    while (*words) {
        size_t len = strcspn(words, ","), eq = strcspn(words, "=,");
        struct slice name = {words, eq};
        struct slice value = {words + eq + (eq < len), len - eq - (eq < len)};
        if (read_word(name, value, c, err))
            return -1;
        words += len + (words[len] == ',');
    }
    if (c->dup + c->kill + c->nak > 1)
        return err_set(err, -1, "dup, kill and nak are more than 100%% together");
    return 0;
}

void chaos_describe(const struct chaos *c, struct buf *out)
{
    const struct {
        const char *name;
        double share;
    } shares[] = {{"dup", c->dup}, {"kill", c->kill}, {"nak", c->nak}};

    const char *before = "";
    for (size_t i = 0; i < ARRAY_LEN(shares); i++) {
        if (shares[i].share <= 0)
            continue;
        buf_addf(out, "%s%s=%g%%", before, shares[i].name, shares[i].share * 100);
        before = ",";
    }
    if (c->delay_max_ms) {
        buf_addf(out, "%sdelay=%llums..%llums", before, (unsigned long long)c->delay_min_ms,
                 (unsigned long long)c->delay_max_ms);
        before = ",";
    }
    if (c->reorder)
        buf_addf(out, "%sreorder=unkeyed", before);
    buf_addf(out, " --seed %llu", (unsigned long long)c->seed);
}

/* --------------------------------------------------------------------------- chances */

/* The finalizer of SplitMix64. */
static uint64_t mix(uint64_t n)
{
    n = (n ^ (n >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    n = (n ^ (n >> 27)) * UINT64_C(0x94d049bb133111eb);
    return n ^ (n >> 31);
}

/* Of this message in this group, whenever it is asked for. */
static uint64_t name_of(const struct chaos *c, const struct delivery *d)
{
    struct slice group = group_name(d->group);
    uint64_t n = mix(c->seed + d->message->seq * UINT64_C(0x9e3779b97f4a7c15));
    for (size_t i = 0; i < group.len; i++)
        n = mix(n + (unsigned char)group.ptr[i]);
    return n | 1;
}

enum { CHANCE_DELAY = 1, CHANCE_BLOW, CHANCE_MOMENT };

/* 0 <= x < 1 */
static double chance(const struct chaos *c, const struct delivery *d, unsigned what)
{
    uint64_t bits = mix(name_of(c, d) + d->attempt * 8 + what);
    return (double)(bits >> 11) / (double)(UINT64_C(1) << 53);
}

uint64_t chaos_delay(const struct chaos *c, const struct delivery *d)
{
    uint64_t span = c->delay_max_ms - c->delay_min_ms;
    uint64_t least = c->delay_min_ms;
    if (c->reorder && !d->message->key.len)
        span = MAX(span, (uint64_t)REORDER_MS);
    return span || least ? least + (uint64_t)(chance(c, d, CHANCE_DELAY) * (double)(span + 1))
                         : 0;
}

/* Of what a chance of a blow means, the part between doubling and failing. */
static bool is_deadly(const struct chaos *c, const struct delivery *d, double x)
{
    return !d->last && x >= c->dup && x < c->dup + c->kill;
}

/* 0, 1, 3, 7, ... 1023: a handler may take a millisecond or a second. */
uint64_t chaos_moment(const struct chaos *c, const struct delivery *d)
{
    enum { MOMENTS = 11 };

    if (!is_deadly(c, d, chance(c, d, CHANCE_BLOW)))
        return UINT64_MAX;
    return (UINT64_C(1) << (unsigned)(chance(c, d, CHANCE_MOMENT) * MOMENTS)) - 1;
}

bool chaos_kill(struct worker *w)
{
    list_each (at, &w->slots) {
        const struct delivery *d = handle_delivery(container_of(at, struct slot, node)->call);
        if (d && d->last)
            return false;
    }
    w->signalled = SIGKILL; /* no request of its is to blame */
    worker_kill(w, "killed by --chaos");
    return true;
}

/*
 * Whether this one is doubled now.  Its name is kept until it has come again, beside those of
 * others that are under way: who finds no place is not doubled, so nobody is for ever.
 */
static bool doubles(struct chaos *c, uint64_t name)
{
    enum { PLACES = 16 };

    uint64_t *empty = NULL;
    for (uint64_t i = 0; i < PLACES; i++) {
        uint64_t *place = &c->seen[(name + i) % CHAOS_SEEN];
        if (*place == name) {
            *place = 0;
            return false;
        }
        if (!*place && !empty)
            empty = place;
    }
    if (empty)
        *empty = name;
    return empty != NULL;
}

enum chaos_blow chaos_strike(struct chaos *c, const struct delivery *d)
{
    double x = chance(c, d, CHANCE_BLOW);
    if (x < c->dup)
        return doubles(c, name_of(c, d)) ? CHAOS_DUP : CHAOS_NONE;
    if (d->last || x >= c->dup + c->kill + c->nak)
        return CHAOS_NONE;
    return is_deadly(c, d, x) ? CHAOS_KILL : CHAOS_NAK;
}
