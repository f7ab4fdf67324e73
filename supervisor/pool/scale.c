#include "pool/scale.h"

#include <stdio.h>

#include "os/proc_file.h"
#include "os/usage.h"
#include "pool/limits.h"
#include "pool/pool.h"

enum {
    LATE_MS = 200,     /* a call that waited for longer ... */
    LATE_LOOKS = 2,    /* ... at so many looks in a row asks for more instances */
    HOT_LOOKS = 2,     /* so do instances that compute all the time */
    CLEAR_MS = 1000,   /* in which the new ones should have done what waits */
    AGAIN_MS = 500,    /* from one step up to the next */
    REFUSED_MS = 2000, /* until it is tried again after there was no memory */
    LOOK_MS = 100,     /* while calls wait */
    LOOK_HOT_MS = 250, /* while an event loop has several to do */
    LOOK_IDLE_MS = 1000,
    IDLE_LOOKS = 20,      /* within scale_idle, at least */
    FORGETS_IN = 6,       /* the mean forgets in that part of scale_idle */
    SAMPLE_MAX_MS = 3000, /* an older look says nothing about what is computed now */
    THOUSANDTHS = 1000,
};

static const double HOT = 0.85;     /* of its time: it can do no more */
static const double BEARABLE = 0.8; /* how much of the others' slots may be used without it */
static const double MEMORY_KEPT = 1.2; /* instances' worth of memory that stays free */

/* ----------------------------------------------------------------------- the rule */

/* What one less would have to bear.  A longer look counts for more. */
static void note_need(struct scale *s, const struct scale_view *v)
{
    double span = s->looked_ms ? (double)(v->now_ms - s->looked_ms) : 1e9;
    double forgets = MAX((double)v->idle_ms / FORGETS_IN, 1.0);
    s->used += (v->used - s->used) * span / (span + forgets);
    s->looked_ms = v->now_ms;
    bool spare = v->wanted > v->min && v->waiting == 0 && v->needed < v->wanted &&
                 s->used <= BEARABLE * (double)(v->wanted - 1);
    if (!spare)
        s->spare_ms = 0;
    else if (!s->spare_ms)
        s->spare_ms = v->now_ms;
}

/* Instances that would do all that waits in CLEAR_MS, at least one. */
static size_t needed_for_queue(const struct scale_view *v)
{
    double work_ms = (double)v->waiting * v->service_ms / (double)MAX(v->slots, (size_t)1);
    double needed = work_ms / CLEAR_MS;
    size_t whole = needed < (double)v->max ? (size_t)needed : v->max;
    return whole + ((double)whole < needed || whole == 0);
}

/* What the bus needs beyond those that there are to be. */
static size_t needed_for_backlog(const struct scale_view *v)
{
    size_t needed = MIN(v->needed, v->max);
    return needed > v->wanted ? needed - v->wanted : 0;
}

static size_t more(struct scale *s, const struct scale_view *v, enum scale_reason *reason)
{
    size_t coming = v->wanted > v->serving ? v->wanted - v->serving : 0, needed = 0;
    if (v->serving == 0 || v->now_ms < s->not_before_ms || v->wanted >= v->max)
        return 0;
    if (s->late >= LATE_LOOKS) {
        *reason = SCALE_WAITED;
        needed = needed_for_queue(v);
    } else if (s->hot >= HOT_LOOKS && v->wanted < v->cpus) {
        *reason = SCALE_COMPUTES;
        needed = 1;
    }
    needed = MIN(needed > coming ? needed - coming : 0, v->max - v->wanted);
    if (needed_for_backlog(v) > needed) {
        *reason = SCALE_BACKLOG;
        needed = needed_for_backlog(v);
    }
    return needed;
}

size_t scale_decide(struct scale *s, const struct scale_view *v, enum scale_reason *reason)
{
    *reason = SCALE_STAYS;
    s->late = v->waited_ms >= LATE_MS && !v->free && v->serving ? s->late + 1 : 0;
    s->hot = v->load >= HOT ? s->hot + 1 : 0;
    note_need(s, v);
    size_t extra = more(s, v, reason);
    if (extra) {
        s->not_before_ms = v->now_ms + AGAIN_MS;
        s->late = s->hot = 0;
        s->spare_ms = 0;
        return v->wanted + extra;
    }
    *reason = SCALE_STAYS;
    if (!s->spare_ms || v->now_ms - s->spare_ms < v->idle_ms)
        return v->wanted;
    s->spare_ms = v->now_ms; /* one at a time */
    *reason = SCALE_IDLE;
    return v->wanted - 1;
}

size_t scale_room(uint64_t available, uint64_t largest)
{
    double kept = MEMORY_KEPT * (double)largest;
    if (available == 0 || largest == 0) /* not known */
        return SIZE_MAX;
    return (double)available > kept ? (size_t)(((double)available - kept) / (double)largest)
                                    : 0;
}

/* ---------------------------------------------------------------- looking at a pool */

bool scale_follows(const struct pool *pool)
{
    const struct worker_config *config = pool->config;
    return !pool->scale.fixed && config->instances_min &&
           config->instances_min < config->instances;
}

/* Calls that it may be computing for. */
static unsigned unanswered(const struct worker *w)
{
    unsigned count = 0;
    list_each (at, &w->slots) {
        const struct call *call = container_of(at, struct slot, node)->call;
        count += call && !call->answering;
    }
    return count;
}

/*
 * How much of its time, since the last look, its main thread computed, or could not because
 * the processors were taken: that would be no better with fewer requests.  Below 0: not known.
 */
static double load_of(struct worker *w)
{
    char path[64], text[128];
    unsigned long long ran, queued;
    uint64_t now = loop_clock_ns(), span = now - w->worked_at_ns;
    bool fresh = w->worked_at_ns && span < SAMPLE_MAX_MS * UINT64_C(1000000);
    snprintf(path, sizeof(path), "/proc/%ld/schedstat", (long)w->proc.pid);
    if (proc_file_read(path, text, sizeof(text)) <= 0 ||
        sscanf(text, "%llu %llu", &ran, &queued) != 2)
        return -1;
    uint64_t worked = ran + queued, before = w->worked_ns;
    w->worked_ns = worked;
    w->worked_at_ns = now;
    return fresh && span && worked >= before ? (double)(worked - before) / (double)span : -1;
}

static uint64_t age(uint64_t now, uint64_t since)
{
    return now > since ? now - since : 0;
}

static void view_queue(const struct list *queue, struct scale_view *v)
{
    if (list_empty(queue))
        return;
    const struct call *head = list_first(queue, struct call, node);
    v->waiting += list_count(queue);
    v->waited_ms = MAX(v->waited_ms, age(v->now_ms, head->queued_ms));
}

/* One at a time: what lies in its pipe behind the first waits, too. */
static void view_one_at_a_time(const struct worker *w, struct scale_view *v)
{
    uint64_t now_ns = loop_clock_ns();
    double first_ms = 0;
    unsigned n = 0;
    list_each (at, &w->slots) {
        const struct slot *slot = container_of(at, struct slot, node);
        double ms = (double)age(now_ns, slot->sent_ns) / 1e6;
        if (n++ == 0) {
            first_ms = ms;
        } else if (slot->call && !slot->nested) {
            v->waiting++;
            v->waited_ms = MAX(v->waited_ms, (uint64_t)ms);
        }
    }
    v->service_ms = MAX(v->service_ms, MAX(first_ms, w->pace.mean_us / 1000));
    v->used += w->slot_count > 0;
    v->load = 0;
}

static void view_worker(struct worker *w, struct scale_view *v)
{
    v->serving++;
    v->slots = MAX((size_t)w->ready.concurrency, (size_t)1);
    v->free |= w->state == WORKER_READY;
    if (w->ready.concurrency == 1) {
        view_one_at_a_time(w, v);
        return;
    }
    double load = load_of(w), slots = (double)w->slot_count / (double)v->slots;
    double own = unanswered(w) > 1 ? load : 0;
    v->load = v->serving == 1 ? own : MIN(v->load, own);
    v->used += MAX(MIN(load, 1.0), slots);
    v->service_ms = MAX(v->service_ms, w->pace.mean_us / 1000);
}

/* As many as the bus needs, but no more than there may be. */
static size_t instances_for_events(const struct pool *pool)
{
    double needed = MIN(pool->event_instances, (double)pool->config->instances);
    return (size_t)needed + ((double)(size_t)needed < needed);
}

static struct scale_view view_of(const struct pool *pool)
{
    struct machine machine = {0};
    struct scale_view v = {
        .now_ms = loop_now(pool->pools->loop),
        .wanted = pool->wanted,
        .min = (size_t)pool->config->instances_min,
        .max = (size_t)pool->config->instances,
        .slots = 1,
        .idle_ms = pool->config->scale_idle,
        .needed = instances_for_events(pool),
        .backlog = pool->event_backlog,
    };
    for (int state = WORKER_READY; state <= WORKER_BUSY; state++)
        list_each (at, &pool->states[state])
            view_worker(container_of(at, struct worker, node), &v);
    view_queue(&pool->asks, &v);
    view_queue(&pool->requests, &v);
    if (v.load >= HOT)
        machine_read(&machine);
    v.cpus = (size_t)(machine.cpus / THOUSANDTHS);
    return v;
}

/* -------------------------------------------------------------------------- acting */

static const char *in_words(char *text, size_t size, enum scale_reason reason,
                            const struct scale_view *v)
{
    switch (reason) {
    case SCALE_WAITED:
        snprintf(text, size, "requests waited %llu ms", (unsigned long long)v->waited_ms);
        break;
    case SCALE_BACKLOG:
        snprintf(text, size, "%llu messages wait", (unsigned long long)v->backlog);
        break;
    case SCALE_COMPUTES:
        snprintf(text, size, "each computes %.0f %% of the time", MIN(v->load, 1.0) * 100);
        break;
    default:
        snprintf(text, size, "one was not needed for %g s", (double)v->idle_ms / 1000);
    }
    return text;
}

static uint64_t largest_of(struct pool *pool)
{
    uint64_t largest = 0;
    limits_measure(pool);
    for (int state = WORKER_READY; state <= WORKER_BUSY; state++)
        list_each (at, &pool->states[state])
            largest = MAX(largest, container_of(at, struct worker, node)->usage.memory);
    return largest;
}

/* As many of `more` as the memory lets in; what is refused is told once. */
static size_t fit_in_memory(struct pool *pool, size_t extra, uint64_t now)
{
    enum { MEBIBYTE = 1 << 20 };

    struct scale *s = &pool->scale;
    struct machine machine = {0};
    uint64_t largest = largest_of(pool);
    machine_read(&machine);
    size_t room = scale_room(machine.memory_available, largest);
    if (room > 0) {
        s->short_of_memory = false;
        return MIN(extra, room);
    }
    s->not_before_ms = now + REFUSED_MS;
    snprintf(s->why, sizeof(s->why),
             "no more than %zu instance%s: one takes %llu MiB, and %llu MiB of memory are free",
             pool->wanted, pool->wanted == 1 ? "" : "s", (unsigned long long)largest / MEBIBYTE,
             (unsigned long long)machine.memory_available / MEBIBYTE);
    if (!s->short_of_memory)
        pool_tell(pool, NULL, LOG_WARN, "%s", s->why);
    s->short_of_memory = true;
    return 0;
}

static void step(struct pool *pool, size_t wanted, const char *why)
{
    snprintf(pool->scale.why, sizeof(pool->scale.why), "%zu -> %zu instance%s: %s",
             pool->wanted, wanted, wanted == 1 ? "" : "s", why);
    pool_tell(pool, NULL, LOG_INFO, "%s", pool->scale.why);
    pool_set_wanted(pool, wanted, "fewer instances are needed");
}

/* When it is looked at again; 0: there is nothing to decide until something happens. */
static uint64_t next_look(const struct scale_view *v)
{
    if ((v->waiting || v->needed > v->wanted) && v->wanted < v->max)
        return LOOK_MS;
    if (v->load != 0 && v->wanted < v->max) /* below 0: known when it is looked at again */
        return LOOK_HOT_MS;
    if (v->wanted <= v->min)
        return 0;
    return MIN(MAX(v->idle_ms / IDLE_LOOKS, (uint64_t)LOOK_MS), (uint64_t)LOOK_IDLE_MS);
}

static bool may_look(const struct pool *pool)
{
    return scale_follows(pool) && pool_may_start(pool) && pool_serves(pool);
}

static void on_look(struct timer *timer)
{
    struct pool *pool = container_of(timer, struct pool, scale.timer);
    enum scale_reason reason;
    char text[96];
    if (!may_look(pool))
        return;
    struct scale_view v = view_of(pool);
    size_t wanted = scale_decide(&pool->scale, &v, &reason);
    if (wanted > pool->wanted)
        wanted = pool->wanted + fit_in_memory(pool, wanted - pool->wanted, v.now_ms);
    if (wanted != pool->wanted)
        step(pool, wanted, in_words(text, sizeof(text), reason, &v));
    v.wanted = pool->wanted;
    uint64_t pause = next_look(&v);
    if (!pause && pool->scale.short_of_memory) { /* and nobody asks for more */
        pool->scale.short_of_memory = false;
        pool->scale.why[0] = '\0';
    }
    if (pause && !timer_runs(timer))
        timer_start(pool->pools->loop, timer, pause, on_look);
}

/* Cheap: it is asked at every call. */
static bool has_something_to_decide(const struct pool *pool)
{
    if (pool->wanted > pool->config->instances_min || !list_empty(&pool->requests) ||
        !list_empty(&pool->asks) || instances_for_events(pool) > pool->wanted)
        return true;
    for (int state = WORKER_READY; state <= WORKER_BUSY; state++)
        list_each (at, &pool->states[state])
            if (container_of(at, struct worker, node)->slot_count > 1)
                return true;
    return false;
}

void scale_wake(struct pool *pool)
{
    if (timer_runs(&pool->scale.timer) || !may_look(pool) || !has_something_to_decide(pool))
        return;
    pool->scale.late = pool->scale.hot = 0;
    timer_start(pool->pools->loop, &pool->scale.timer, LOOK_MS, on_look);
}

void scale_fix(struct pool *pool, size_t instances)
{
    struct scale *s = &pool->scale;
    timer_stop(pool->pools->loop, &s->timer);
    *s = (struct scale){.fixed = true};
    if (pool->config->instances_min < pool->config->instances)
        snprintf(s->why, sizeof(s->why), "a person wants %zu instance%s", instances,
                 instances == 1 ? "" : "s");
}

void scale_release(struct pool *pool)
{
    struct scale *s = &pool->scale;
    if (!s->fixed && scale_follows(pool))
        return;
    timer_stop(pool->pools->loop, &s->timer);
    *s = (struct scale){0};
    if (scale_follows(pool) && pool->wanted < pool->config->instances_min)
        pool_set_wanted(pool, (size_t)pool->config->instances_min, "");
    scale_wake(pool);
}

void scale_deinit(struct pool *pool)
{
    timer_stop(pool->pools->loop, &pool->scale.timer);
}
