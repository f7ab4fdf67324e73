/*
 * The bus on the store as it is in service: everything once, in order, over restarts.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "bus/backoff.h"
#include "bus_rig.h"
#include "folder.h"

#include <cmocka.h>

enum { SEEDS = 4, RUNS = 4, STEPS = 250, MOST = 4000, KEYS = 4 };

struct world {
    struct bus_rig rig;
    struct rig_owner owner;
    struct chance chance;
    uint8_t key_of[MOST]; /* by seq; 0: it is none of ours */
    bool over[MOST], out[MOST];
    uint64_t last;
    size_t deaths, handled;
};

static const char *const all[] = {"fact.>", NULL};
static const uint64_t steps[] = {1, 2};
static const struct subscription like = {.attempts = 3, .backoff = steps, .backoff_count = 2};

static uint64_t any(struct world *w, uint64_t below)
{
    return chance_next(&w->chance) % below;
}

static void on_stored(struct bus_observer *o, const struct message *m)
{
    struct world *w =
        container_of(container_of(o, struct bus_rig, observer), struct world, rig);
    assert_true(m->seq > w->last && m->seq < MOST);
    w->last = m->seq;
    if (slice_is(m->stream, "events") && m->key.len)
        w->key_of[m->seq] = (uint8_t)m->key.ptr[0];
}

static void check(struct rig_owner *o, struct delivery *d)
{
    struct world *w = container_of(o, struct world, owner);
    uint64_t seq = d->message->seq;
    assert_true(w->key_of[seq]);
    assert_false(w->over[seq] || w->out[seq]);
    for (uint64_t n = 1; n <= w->last; n++)
        if (w->key_of[n] == w->key_of[seq])
            assert_true(n < seq ? w->over[n] : !w->out[n]);
    w->out[seq] = true;
}

static void on_settled(struct bus_observer *o, const struct delivery *d, uint64_t waited_ms,
                       uint64_t ran_ms, const char *error, bool dead)
{
    struct world *w =
        container_of(container_of(o, struct bus_rig, observer), struct world, rig);
    (void)waited_ms, (void)ran_ms;
    w->out[d->message->seq] = false;
    w->over[d->message->seq] = dead || !*error;
    w->deaths += dead;
    w->handled += !*error;
}

static void settle(struct world *w)
{
    struct held *h = rig_first(&w->owner);
    struct settlement how = {.verdict = VERDICT_DONE, .delay_ms = UINT64_MAX};
    if (!h)
        return;
    for (uint64_t n = any(w, w->owner.held_count); n--;)
        h = list_first(&h->node, struct held, node);
    uint64_t what = any(w, 10);
    if (what < 3)
        how.verdict = VERDICT_RETRY;
    else if (what == 3)
        how.verdict = VERDICT_DEAD;
    else if (what == 4)
        how.verdict = VERDICT_BACK;
    how.crashed = what == 2;
    w->out[h->delivery->message->seq] = false;
    rig_settle(h, &how);
}

static void step(struct world *w)
{
    const char key[2] = {(char)('a' + any(w, KEYS)), '\0'};
    if (any(w, 3) == 0)
        assert_true(bus_rig_publish(&w->rig, "fact.x", key, "{}") > 0);
    else
        settle(w);
    uv_run(&w->rig.loop.uv, UV_RUN_NOWAIT);
}

static void join(struct world *w)
{
    w->rig.observer.stored = on_stored;
    w->rig.observer.settled = on_settled;
    w->owner.check = check;
    bus_rig_group(&w->rig, &w->owner, "one", all, &like);
    w->rig.bus->window = 16;
    w->rig.bus->soon_ms = 2;
}

static void everything_once_in_order_over_restarts(void **state)
{
    struct world *w = xcalloc(1, sizeof(*w));
    size_t handled = 0, deaths = 0;
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        char dir[512];
        *w = (struct world){.chance = chance_seeded(seed)};
        snprintf(dir, sizeof(dir), "%s/%d", (const char *)*state, (int)seed);
        w->rig.dir = dir;
        bus_rig_open(&w->rig);
        for (int run = 0; run < RUNS; run++) {
            join(w);
            for (int i = 0; i < STEPS; i++)
                step(w);
            rig_give_all_back(&w->owner);
            memset(w->out, 0, sizeof(w->out));
            bus_rig_reopen(&w->rig);
        }
        join(w);
        w->owner.settles = true;
        for (uint64_t n = 1; n <= w->last; n++)
            if (w->key_of[n])
                bus_until(&w->rig, w->over[n]);
        bus_until(&w->rig, group_backlog(w->owner.group) == 0);
        bus_rig_close(&w->rig);
        handled += w->handled;
        deaths += w->deaths;
    }
    print_message("%zu handled, %zu dead letters, %d restarts\n", handled, deaths,
                  SEEDS * RUNS);
    assert_true(handled > 500 && deaths > 20);
    xfree(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(everything_once_in_order_over_restarts, folder_enter,
                                        folder_leave),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
