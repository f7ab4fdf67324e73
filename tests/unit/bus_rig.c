#include "bus_rig.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { WAIT_MS = 10000, HOLDERS = 1000000, PATTERNS = 8 };

/* ----------------------------------------------------------------- observer */

static void tell(struct bus_observer *o, int level, const char *sentence)
{
    struct bus_rig *rig = container_of(o, struct bus_rig, observer);
    (void)level;
    if (rig->told_count < RIG_TOLD_MAX)
        snprintf(rig->told[rig->told_count++], sizeof(rig->told[0]), "%s", sentence);
}

bool bus_rig_told(struct bus_rig *rig, const char *words)
{
    for (size_t i = 0; i < rig->told_count; i++)
        if (strstr(rig->told[i], words))
            return true;
    return false;
}

static void stored(struct bus_observer *o, const struct message *m)
{
    (void)m;
    container_of(o, struct bus_rig, observer)->stored_count++;
}

static void settled(struct bus_observer *o, const struct delivery *d, uint64_t waited_ms,
                    uint64_t ran_ms, const char *error, bool dead)
{
    struct bus_rig *rig = container_of(o, struct bus_rig, observer);
    (void)d, (void)waited_ms, (void)ran_ms;
    rig->settled_count++;
    rig->dead_count += dead;
    snprintf(rig->last_error, sizeof(rig->last_error), "%s", error);
}

static void closed(struct bus_observer *o)
{
    container_of(o, struct bus_rig, observer)->closed = true;
}

/* --------------------------------------------------------------------- time */

static void on_timeout(struct timer *t)
{
    struct bus_rig *rig = container_of(t, struct bus_rig, timeout);
    loop_stop(&rig->loop);
}

/* Tasks run just before the loop would sleep, so what they bring about must not be slept over.
 */
static void run_once(struct bus_rig *rig)
{
    const struct timespec nap = {.tv_nsec = 100000};
    bool idle = list_empty(&rig->loop.tasks) && list_empty(&rig->loop.next);
    uv_run(&rig->loop.uv, UV_RUN_NOWAIT);
    if (idle)
        nanosleep(&nap, NULL);
}

void bus_rig_begin(struct bus_rig *rig)
{
    timer_start(&rig->loop, &rig->timeout, WAIT_MS, on_timeout);
}

void bus_rig_turn(struct bus_rig *rig, const char *awaited, const char *file, int line)
{
    if (!timer_runs(&rig->timeout)) {
        fprintf(stderr, "%s:%d: waited for %s in vain\n", file, line, awaited);
        for (size_t i = 0; i < rig->told_count; i++)
            fprintf(stderr, "told: %s\n", rig->told[i]);
        abort();
    }
    run_once(rig);
}

void bus_rig_linger(struct bus_rig *rig, uint64_t ms)
{
    timer_start(&rig->loop, &rig->timeout, ms, on_timeout);
    while (timer_runs(&rig->timeout))
        run_once(rig);
}

/* --------------------------------------------------------------- open, close */

static struct engine *open_store(struct loop *loop, const struct engine_events *events,
                                 void *owner, const void *how, struct err *err)
{
    const struct store_config config = {.dir = how, .tail_cache = 1 << 20};
    return store_open(loop, &config, events, owner, err);
}

static void open_real(struct bus_rig *rig)
{
    struct err err;
    rig->bus = bus_open_on(&rig->loop, rig->config, &rig->observer, open_store, store_free,
                           rig->dir, &err);
    if (!rig->bus) {
        fprintf(stderr, "%s\n", err.text);
        abort();
    }
}

void bus_rig_open_bus(struct bus_rig *rig)
{
    struct err err;
    rig->closed = false;
    if (rig->dir) {
        open_real(rig);
        return;
    }
    rig->bus = bus_open_on(&rig->loop, rig->config, &rig->observer, memory_engine_open,
                           memory_engine_free, rig->store, &err);
}

void bus_rig_open(struct bus_rig *rig)
{
    rig->told_count = rig->stored_count = rig->settled_count = rig->dead_count = 0;
    rig->timeout = (struct timer){0};
    if (loop_init(&rig->loop))
        abort();
    rig->config = xcalloc(1, sizeof(*rig->config));
    rig->config->holders = HOLDERS;
    rig->config->bus.max_bytes = 1 << 30;
    rig->config->bus.dedupe_window = 120000;
    rig->observer = (struct bus_observer){tell, stored, settled, closed};
    rig->store = memory_store_new();
    bus_rig_open_bus(rig);
}

void bus_rig_close_bus(struct bus_rig *rig)
{
    bus_close(rig->bus);
    bus_until(rig, rig->closed);
    bus_free(rig->bus);
    rig->bus = NULL;
}

void bus_rig_reopen(struct bus_rig *rig)
{
    bus_rig_close_bus(rig);
    bus_rig_open_bus(rig);
}

void bus_rig_close(struct bus_rig *rig)
{
    if (rig->bus)
        bus_rig_close_bus(rig);
    timer_stop(&rig->loop, &rig->timeout);
    memory_store_free(rig->store);
    xfree(rig->config);
    if (loop_deinit(&rig->loop)) {
        fprintf(stderr, "a handle was left behind\n");
        abort();
    }
}

/* -------------------------------------------------------------------- owner */

static bool deliver(struct group *g, struct delivery *d)
{
    struct rig_owner *o = group_owner(g);
    if (o->room && o->held_count >= o->room)
        return false;
    o->delivered++;
    if (o->check)
        o->check(o, d);
    if (o->settles) {
        bus_settle(d, &(struct settlement){.verdict = VERDICT_DONE});
        return true;
    }
    struct held *h = xcalloc(1, sizeof(*h));
    *h = (struct held){.delivery = d, .owner = o};
    d->owner = h;
    list_add(&o->held, &h->node);
    o->held_count++;
    return true;
}

static void drop(struct held *h)
{
    list_del(&h->node);
    h->owner->held_count--;
    xfree(h);
}

static void revoke_held(struct group *g, struct delivery *d)
{
    struct rig_owner *o = group_owner(g);
    o->revoked++;
    drop(d->owner);
}

static void gap(struct group *g, uint64_t from, uint64_t to)
{
    (void)from, (void)to;
    ((struct rig_owner *)group_owner(g))->gaps++;
}

static void changed(struct group *g)
{
    ((struct rig_owner *)group_owner(g))->changed++;
}

static const struct group_ops ops = {deliver, revoke_held, gap, changed};

static const uint64_t steps[] = {1};

static void subscribe(struct bus_rig *rig, struct rig_owner *o, struct group_config *cfg)
{
    struct err err;
    if (!o->held.next)
        list_init(&o->held);
    o->rig = rig;
    o->group = bus_group(rig->bus, cfg, &err);
    if (!o->group) {
        fprintf(stderr, "%s\n", err.text);
        abort();
    }
    group_serve(o->group, &ops, o, 1000);
    group_resume(o->group);
}

static struct subscription like_or_default(const struct subscription *like)
{
    return like ? *like
                : (struct subscription){.attempts = 3, .backoff = steps, .backoff_count = 1};
}

void bus_rig_group(struct bus_rig *rig, struct rig_owner *o, const char *name,
                   const char *const *patterns, const struct subscription *like)
{
    struct subscription subs[PATTERNS];
    size_t n = 0;
    for (; patterns[n]; n++) {
        subs[n] = like_or_default(like);
        subs[n].pattern = slice_of(patterns[n]);
    }
    subscribe(rig, o,
              &(struct group_config){.name = slice_of(name),
                                     .subscriptions = subs,
                                     .subscription_count = n,
                                     .start = {.kind = START_FIRST}});
}

void bus_rig_queue(struct bus_rig *rig, struct rig_owner *o, const char *queue,
                   const struct subscription *like)
{
    char *stream = xasprintf("queue.%s", queue);
    struct subscription sub = like_or_default(like);
    sub.pattern = slice_of(queue);
    subscribe(rig, o,
              &(struct group_config){.stream = slice_of(stream),
                                     .name = slice_of(queue),
                                     .subscriptions = &sub,
                                     .subscription_count = 1,
                                     .start = {.kind = START_NEW}});
    xfree(stream);
}

struct held *rig_first(struct rig_owner *o)
{
    return list_empty(&o->held) ? NULL : list_first(&o->held, struct held, node);
}

void rig_settle(struct held *h, const struct settlement *s)
{
    struct delivery *d = h->delivery;
    drop(h);
    bus_settle(d, s);
}

void rig_done(struct rig_owner *o)
{
    rig_settle(rig_first(o), &(struct settlement){.verdict = VERDICT_DONE});
}

void rig_fail(struct rig_owner *o, uint64_t delay_ms)
{
    rig_settle(rig_first(o), &(struct settlement){
                                 .verdict = VERDICT_RETRY,
                                 .delay_ms = delay_ms,
                                 .error_name = SLICE("Oops"),
                                 .error_message = SLICE("it went wrong"),
                                 .error_stack = SLICE("at line 1"),
                             });
}

uint64_t rig_first_seq(struct rig_owner *o)
{
    return rig_first(o) ? rig_first(o)->delivery->message->seq : 0;
}

void bus_rig_publish_all(struct bus_rig *rig, size_t count, const char *key)
{
    while (count--)
        if (!bus_rig_publish(rig, "a.b", key, "{\"n\":1}"))
            abort();
}

void rig_give_all_back(struct rig_owner *o)
{
    if (!o->held.next)
        return;
    while (rig_first(o))
        rig_settle(rig_first(o), &(struct settlement){.verdict = VERDICT_BACK});
}

/* ------------------------------------------------------------------ publish */

struct publishing {
    struct publication publication;
    bool done;
    enum publish_fault fault;
    uint64_t seq;
};

static void on_done(struct publication *p, enum publish_fault fault, const char *why)
{
    struct publishing *x = container_of(p, struct publishing, publication);
    (void)why;
    x->done = true;
    x->fault = fault;
    x->seq = p->messages[0]->seq;
}

uint64_t bus_rig_request(struct bus_rig *rig, const struct publish_request *request)
{
    struct err err;
    struct publishing x = {.publication = {.done = on_done}};
    struct message *m = bus_compose(rig->bus, request, &err);
    if (!m) {
        snprintf(rig->last_error, sizeof(rig->last_error), "%.399s", err.text);
        return 0;
    }
    bus_publish(rig->bus, &x.publication, &m, 1);
    bus_until(rig, x.done);
    return x.fault == PUBLISH_OK ? x.seq : 0;
}

uint64_t bus_rig_publish(struct bus_rig *rig, const char *topic, const char *key,
                         const char *data)
{
    return bus_rig_request(rig, &(struct publish_request){
                                    .topic = slice_of(topic),
                                    .key = slice_of(key),
                                    .data = slice_of(data),
                                });
}
