/*
 * Random operations against an oracle that stands outside: who had what, and how it went.
 *
 * Two groups read one stream of messages with few keys.  Their owners take what they like, and
 * settle it in any order and any way; now and then the power goes, and the store is opened
 * anew.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bus/backoff.h"
#include "bus/dead.h"
#include "bus_rig.h"

#include <cmocka.h>

enum { SEEDS = 200, STEPS = 600, MOST = 4000, GROUPS = 2, KEYS = 5 };

enum fate { UNKNOWN, OUT, HANDLED };

struct fact {
    enum fate fate;
    uint32_t attempts; /* that have begun and failed */
    bool died;
};

struct world;

struct side {
    struct rig_owner owner;
    struct world *world;
    const char *name;
    struct fact facts[MOST]; /* by seq */
    size_t alone;
};

struct world {
    struct bus_rig rig;
    struct chance chance;
    struct side sides[GROUPS];
    size_t redelivered, crashes, deaths, outputs, handled;
    uint64_t seed;
};

static const uint64_t steps[] = {1, 2};
static const struct subscription like = {.attempts = 3, .backoff = steps, .backoff_count = 2};
static const char *const everything[] = {"fact.>", NULL};

static uint64_t any(struct world *w, uint64_t below)
{
    return chance_next(&w->chance) % below;
}

#define holds(w, what)                                                                         \
    do {                                                                                       \
        if (!(what))                                                                           \
            fail_msg("seed %llu, line %d: not so: %s", (unsigned long long)(w)->seed,          \
                     __LINE__, #what);                                                         \
    } while (0)

/* Published by this test, not by a handler. */
static bool is_fact(const struct world *w, uint64_t seq)
{
    const struct message *m = memory_find(w->rig.store, seq);
    return m && slice_is(m->stream, "events") && slice_starts(m->topic, SLICE("fact."));
}

static struct fact *fact_of(struct side *s, uint64_t seq)
{
    assert_true(seq < MOST);
    return &s->facts[seq];
}

/* All before it that have its key are over, and stored as such; none of them is out. */
static void check_order(struct side *s, const struct message *m)
{
    if (!m->key.len)
        return;
    for (uint64_t seq = 1; seq < m->seq; seq++) {
        const struct message *before = memory_find(s->world->rig.store, seq);
        if (is_fact(s->world, seq) && before && slice_eq(before->key, m->key))
            holds(s->world, memory_is_settled(s->world->rig.store, "events", s->name, seq));
    }
    for (uint64_t seq = m->seq + 1; seq < MOST && seq <= memory_last(s->world->rig.store);
         seq++) {
        const struct message *after = memory_find(s->world->rig.store, seq);
        if (is_fact(s->world, seq) && after && slice_eq(after->key, m->key))
            holds(s->world, fact_of(s, seq)->fate != OUT);
    }
}

static void check(struct rig_owner *o, struct delivery *d)
{
    struct side *s = container_of(o, struct side, owner);
    struct fact *f = fact_of(s, d->message->seq);
    holds(s->world, is_fact(s->world, d->message->seq));
    holds(s->world, f->fate == UNKNOWN);
    holds(s->world, d->attempt == f->attempts + 1);
    holds(s->world, d->last == (d->attempt >= like.attempts));
    holds(s->world, !d->alone || s->alone == 0);
    check_order(s, d->message);
    s->alone += d->alone;
    f->fate = OUT;
}

/* ------------------------------------------------------------------- steps */

static void publish(struct world *w)
{
    char key[8] = "", topic[32];
    if (memory_last(w->rig.store) + 8 >= MOST)
        return;
    if (any(w, 4))
        snprintf(key, sizeof(key), "k%llu", (unsigned long long)any(w, KEYS));
    snprintf(topic, sizeof(topic), "fact.%llu", (unsigned long long)any(w, 3));
    bus_rig_publish(&w->rig, topic, key, "{}"); /* it may fail, as everything may */
}

static struct held *some_held(struct world *w, struct side *s)
{
    if (!s->owner.held_count)
        return NULL;
    size_t n = any(w, s->owner.held_count);
    struct list *at = s->owner.held.next;
    while (n--)
        at = at->next;
    return container_of(at, struct held, node);
}

static void settle_one(struct world *w, struct side *s, struct held *h, struct settlement *how)
{
    struct fact *f = fact_of(s, h->delivery->message->seq);
    s->alone -= h->delivery->alone;
    f->fate = how->verdict == VERDICT_DONE || how->verdict == VERDICT_DEAD ? HANDLED : UNKNOWN;
    if (how->verdict == VERDICT_RETRY) {
        f->attempts++;
        how->error_name = SLICE("Error");
        how->error_message = SLICE("no");
    }
    w->handled += f->fate == HANDLED;
    rig_settle(h, how);
}

/* One that has failed for the last time is over, too: the bus says so. */
static void on_settled(struct bus_observer *o, const struct delivery *d, uint64_t waited_ms,
                       uint64_t ran_ms, const char *error, bool dead)
{
    struct bus_rig *rig = container_of(o, struct bus_rig, observer);
    struct world *w = container_of(rig, struct world, rig);
    struct rig_owner *owner = group_owner(d->group);
    struct side *s = container_of(owner, struct side, owner);
    (void)waited_ms, (void)ran_ms;
    if (dead) {
        struct fact *f = fact_of(s, d->message->seq);
        f->fate = HANDLED;
        f->died = true;
        w->deaths++;
        holds(w, *error);
        holds(w, d->attempt >= like.attempts || !strcmp(error, "Dead: gone"));
    }
}

static void settle(struct world *w, struct side *s)
{
    struct held *h = some_held(w, s);
    struct settlement how = {.verdict = VERDICT_DONE};
    struct message *output = NULL;
    if (!h)
        return;
    switch (any(w, 8)) {
    case 0:
        how.verdict = VERDICT_RETRY;
        how.delay_ms = any(w, 2) ? UINT64_MAX : any(w, 5);
        break;
    case 1:
        how.verdict = VERDICT_BACK;
        break;
    case 2:
        how.verdict = VERDICT_DEAD;
        how.error_name = SLICE("Dead");
        how.error_message = SLICE("gone");
        break;
    case 3: {
        char msgid[40];
        struct err err;
        snprintf(msgid, sizeof(msgid), "%s-%llu", s->name,
                 (unsigned long long)h->delivery->message->seq);
        if (memory_last(w->rig.store) + 8 >= MOST)
            break;
        /* With no window for the msgid it would be stored twice if it were done twice. */
        output = bus_compose(w->rig.bus,
                             &(struct publish_request){.topic = SLICE("output"),
                                                       .headers = slice_of("{}"),
                                                       .data = slice_of("1"),
                                                       .origin = slice_of(msgid),
                                                       .handling = h->delivery},
                             &err);
        how.outputs = &output;
        how.output_count = 1;
        w->outputs++;
        break;
    }
    default:
        break;
    }
    settle_one(w, s, h, &how);
}

/* A worker ends, with one or some that it had. */
static void crash_worker(struct world *w, struct side *s)
{
    for (uint64_t n = 1 + any(w, 4); n--;) {
        struct held *h = some_held(w, s);
        struct settlement how = {
            .verdict = VERDICT_RETRY, .delay_ms = UINT64_MAX, .crashed = true};
        if (h)
            settle_one(w, s, h, &how);
    }
}

static void join(struct world *w)
{
    for (size_t i = 0; i < GROUPS; i++) {
        struct side *s = &w->sides[i];
        s->world = w;
        s->owner.check = check;
        s->owner.room = 1 + any(w, 20);
        bus_rig_group(&w->rig, &s->owner, s->name, everything, &like);
    }
    w->rig.bus->window = 8;
    w->rig.bus->soon_ms = 2;
    w->rig.bus->repeat_first_ms = 1;
    w->rig.observer.settled = on_settled;
}

/* What is known from now on is what the store says; it can only be less. */
static void learn(struct world *w, struct side *s)
{
    for (uint64_t seq = 1; seq <= memory_last(w->rig.store); seq++) {
        struct fact *f = fact_of(s, seq);
        bool over = memory_is_settled(w->rig.store, "events", s->name, seq);
        if (!is_fact(w, seq))
            continue;
        holds(w, !over || f->fate == HANDLED);
        w->redelivered += !over && f->fate == HANDLED;
        *f = (struct fact){.fate = over ? HANDLED : UNKNOWN, .died = over && f->died};
    }
}

/* Attempts of earlier runs are counted as far as they were stored. */
static void check_first_after(struct rig_owner *o, struct delivery *d)
{
    struct side *s = container_of(o, struct side, owner);
    fact_of(s, d->message->seq)->attempts =
        MAX(fact_of(s, d->message->seq)->attempts, d->attempt - 1);
    check(o, d);
}

static void lose_power(struct world *w)
{
    memory_store_freeze(w->rig.store);
    w->crashes++;
    for (size_t i = 0; i < GROUPS; i++)
        rig_give_all_back(&w->sides[i].owner);
    bus_rig_close_bus(&w->rig);
    for (size_t i = 0; i < GROUPS; i++) {
        learn(w, &w->sides[i]);
        w->sides[i].alone = 0;
    }
    bus_rig_open_bus(&w->rig);
    join(w);
    for (size_t i = 0; i < GROUPS; i++)
        w->sides[i].owner.check = check_first_after;
}

static void step(struct world *w)
{
    struct side *s = &w->sides[any(w, GROUPS)];
    uint64_t what = any(w, 100);
    if (what < 30)
        publish(w);
    else if (what < 75)
        settle(w, s);
    else if (what < 79)
        crash_worker(w, s);
    else if (what < 84)
        memory_store_fail(w->rig.store, (unsigned)any(w, 3),
                          any(w, 2) ? ENGINE_BROKEN : ENGINE_FULL);
    else if (what < 85)
        lose_power(w);
    else {
        s->owner.room = 1 + any(w, 20);
        group_resume(s->owner.group);
    }
    for (uint64_t n = any(w, 3); n--;)
        uv_run(&w->rig.loop.uv, UV_RUN_NOWAIT);
    holds(w, memory_open_count(w->rig.store, "events", s->name) <= w->rig.bus->window);
}

/* ---------------------------------------------------------------------- end */

static bool all_over(struct world *w)
{
    for (size_t i = 0; i < GROUPS; i++) {
        struct side *s = &w->sides[i];
        while (s->owner.held_count)
            settle_one(w, s, rig_first(&s->owner),
                       &(struct settlement){.verdict = VERDICT_DONE});
        group_resume(s->owner.group);
        for (uint64_t seq = 1; seq <= memory_last(w->rig.store); seq++)
            if (is_fact(w, seq) && !memory_is_settled(w->rig.store, "events", s->name, seq))
                return false;
    }
    return true;
}

/* Each death that was stored has one letter, and no other message has one. */
static void check_letters(struct world *w)
{
    for (uint64_t seq = 1; seq <= memory_last(w->rig.store); seq++) {
        const struct message *m = memory_find(w->rig.store, seq);
        struct dead_letter letter;
        if (!m || !dead_read(m, &letter))
            continue;
        struct side *s = &w->sides[json_string_is(&letter.group, "two")];
        holds(w, fact_of(s, letter.seq)->died);
        fact_of(s, letter.seq)->died = false;
    }
    for (size_t i = 0; i < GROUPS; i++)
        for (uint64_t seq = 1; seq <= memory_last(w->rig.store); seq++)
            holds(w, !w->sides[i].facts[seq].died);
}

/* What a handler has put out is there once for each handling that was stored. */
static void check_store(struct world *w)
{
    for (size_t i = 0; i < GROUPS; i++) {
        struct side *s = &w->sides[i];
        holds(w, memory_put_off(w->rig.store, "events", s->name) == 0);
        holds(w, memory_open_count(w->rig.store, "events", s->name) == 0);
        holds(w, group_backlog(s->owner.group) == 0);
    }
    for (uint64_t seq = 1; seq <= memory_last(w->rig.store); seq++) {
        const struct message *m = memory_find(w->rig.store, seq);
        for (uint64_t other = 1; m && slice_is(m->topic, "output") && other < seq; other++) {
            const struct message *o = memory_find(w->rig.store, other);
            holds(w, !o || !slice_is(o->topic, "output") || !slice_eq(o->origin, m->origin));
        }
    }
    check_letters(w);
}

static void run(struct world *w, uint64_t seed)
{
    w->seed = seed;
    w->chance = chance_seeded(seed);
    bus_rig_open(&w->rig);
    w->sides[0].name = "one";
    w->sides[1].name = "two";
    join(w);
    for (int i = 0; i < STEPS; i++)
        step(w);
    for (size_t i = 0; i < GROUPS; i++)
        w->sides[i].owner.room = 0;
    memory_store_fail(w->rig.store, 0, ENGINE_OK);
    bus_until(&w->rig, all_over(w));
    check_store(w);
    bus_rig_close(&w->rig);
}

static void everything_is_handled_once_in_order_whatever_happens(void **state)
{
    size_t redelivered = 0, crashes = 0, deaths = 0, outputs = 0, handled = 0;
    const char *only = getenv("SEED");
    (void)state;
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        struct world *w = xcalloc(1, sizeof(*w));
        run(w, only ? strtoull(only, NULL, 10) : seed);
        redelivered += w->redelivered;
        crashes += w->crashes;
        deaths += w->deaths;
        outputs += w->outputs;
        handled += w->handled;
        xfree(w);
    }
    print_message("%zu handled, %zu outputs, %zu dead letters, %zu losses of power, "
                  "%zu handled again after them\n",
                  handled, outputs, deaths, crashes, redelivered);
    assert_true(only || (redelivered && crashes && deaths && outputs && handled > 1000));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(everything_is_handled_once_in_order_whatever_happens),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
