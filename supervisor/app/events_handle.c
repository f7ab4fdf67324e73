/*
 * What a worker does with a message that it is given: a part of events.h.
 */
#include <stdio.h>
#include <stdlib.h>

#include "app/chaos.h"
#include "app/events_parts.h"

enum {
    UNKNOWN_RUN_MS = 1000, /* until it is known how long one takes */
    CLEAR_MS = 10000,      /* what waits should be handled within */
};

/* A message that a worker has. */
struct handling {
    struct call call;
    struct delivery *delivery;
    struct listener *listener;
    uint64_t began_ns;
    struct worker *worker; /* NULL: it is kept back */
    struct list node;      /* events->kept_back */
    struct timer timer;    /* until it is given, and then until its worker is killed */
    bool struck;           /* its worker has been, by --chaos */
};

/* ------------------------------------------------------------------------- needs */

static int compare_runs(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return (x > y) - (x < y);
}

/* The median of the last ones. */
static double usual_run_ms(const struct listener *l)
{
    uint32_t runs[RUNS_KEPT];
    size_t count = MIN(l->run_count, (unsigned)RUNS_KEPT);
    if (!count)
        return UNKNOWN_RUN_MS;
    memcpy(runs, l->runs, count * sizeof(*runs));
    qsort(runs, count, sizeof(*runs), compare_runs);
    return runs[count / 2];
}

static void note_run(struct listener *l, uint64_t ns)
{
    l->runs[l->run_count++ % RUNS_KEPT] = (uint32_t)MIN(ns / 1000000, (uint64_t)UINT32_MAX);
}

/* How many instances its groups have work for. */
static void tell_need(struct feed *feed)
{
    double instances = 0;
    uint64_t waiting = 0;
    if (!feed || !scale_follows(feed->pool))
        return;
    list_each (at, &feed->events->listeners) {
        const struct listener *l = container_of(at, struct listener, node);
        if (l->feed != feed)
            continue;
        uint64_t backlog = group_backlog(l->group);
        uint64_t waits = backlog > l->out ? backlog - l->out : 0;
        double slots = l->out + (double)waits * usual_run_ms(l) / CLEAR_MS;
        instances += slots / MAX(l->max, 1u);
        waiting += waits;
    }
    event_need(feed->pool, instances, waiting);
}

/* -------------------------------------------------------------------- what came back */

/* What a settlement borrows until it is made. */
struct verdict_text {
    struct settlement settlement;
    struct buf name, message, stack;
    struct arena arena;
    char words[640];
    bool from_worker; /* the error is its own */
};

static void read_text(const struct json_value *v, struct buf *into)
{
    if (v->raw.len && v->type == JSON_STRING)
        json_unescape(v, into);
}

static void set_error(struct verdict_text *t)
{
    t->settlement.error_name = buf_slice(&t->name);
    t->settlement.error_message = buf_slice(&t->message);
    t->settlement.error_stack = buf_slice(&t->stack);
}

static void fail_with(struct verdict_text *t, const char *name, struct slice message)
{
    t->settlement.verdict = VERDICT_RETRY;
    t->settlement.delay_ms = UINT64_MAX;
    buf_clear(&t->name);
    buf_clear(&t->message);
    buf_adds(&t->name, name);
    buf_add(&t->message, message);
    set_error(t);
}

static void read_nack(struct verdict_text *t, const struct frame *f)
{
    struct json_scan it = json_iter(&f->failure);
    struct json_value key, value;
    t->settlement.verdict = f->dead ? VERDICT_DEAD : VERDICT_RETRY;
    t->settlement.delay_ms = f->has_delay ? f->delay_ms : UINT64_MAX;
    while (f->failure.raw.len && json_next_member(&it, &key, &value)) {
        if (json_string_is(&key, "name"))
            read_text(&value, &t->name);
        else if (json_string_is(&key, "message"))
            read_text(&value, &t->message);
        else if (json_string_is(&key, "stack"))
            read_text(&value, &t->stack);
    }
    t->from_worker = t->message.len > 0;
    if (!t->name.len && !t->message.len)
        buf_adds(&t->message, "it was refused without a reason");
    set_error(t);
}

/* An error frame means the same, in the words of answers. */
static void read_error(struct verdict_text *t, const struct frame *f)
{
    t->settlement.verdict = VERDICT_RETRY;
    t->settlement.delay_ms = UINT64_MAX;
    read_text(&f->code, &t->name);
    read_text(&f->message, &t->message);
    read_text(&f->stack, &t->stack);
    t->from_worker = t->message.len > 0;
    if (!t->name.len)
        buf_adds(&t->name, "Error");
    set_error(t);
}

/* An attempt counts that ended so: else the same would befall the next one. */
static void fail_by_chaos(struct verdict_text *t, const char *what)
{
    fail_with(t, "WorkerExit", slice_of(what));
    t->settlement.crashed = true;
}

static void read_failure(struct verdict_text *t, const struct call_failure *failure,
                         const struct handling *h)
{
    const struct delivery *d = h->delivery;
    if (h->struck) {
        fail_by_chaos(t, "its worker was killed by --chaos while it handled it");
        return;
    }
    if (failure->ended && (!failure->begun || failure->planned)) {
        t->settlement.verdict = VERDICT_BACK;
        return;
    }
    if (strcmp(failure->code, "deadline_exceeded") == 0) {
        snprintf(t->words, sizeof(t->words), "it was not handled within %llu ms",
                 (unsigned long long)d->subscription->timeout_ms);
        fail_with(t, "Timeout", slice_of(t->words));
        return;
    }
    fail_with(t, failure->ended ? "WorkerExit" : "ProtocolError", slice_of(failure->text));
    t->settlement.crashed = failure->ended;
}

/* One object of an ack's `publish`; NULL with a sentence. */
static struct message *read_output(struct verdict_text *t, const struct handling *h,
                                   const struct json_value *item, struct err *err)
{
    const struct listener *l = h->listener;
    struct frame output;
    struct publish_request request;
    const char *fault = frame_read_output(item, &output);
    if (fault) {
        err_set(err, -1, "%s", fault);
        return NULL;
    }
    publish_read(&output, h->delivery, &t->arena, &request);
    if (!output.key.raw.len) /* not said, and so that of what is handled */
        request.key = (struct slice){0};
    request.origin = slice_of(l->feed ? l->feed->pool->config->name : l->name);
    return bus_compose(l->events->bus, &request, err);
}

/* All of them, or none and a sentence. */
static bool read_outputs(struct verdict_text *t, const struct frame *f,
                         const struct handling *h)
{
    struct json_scan it = json_iter(&f->outputs);
    struct json_value item;
    struct err err = {.text = "more than 1024 messages"};
    struct message **all =
        arena_alloc(&t->arena, MESSAGE_OUTPUTS_MAX * sizeof(struct message *));
    size_t count = 0;
    bool good = true;
    while (good && json_next_item(&it, &item)) {
        good = count < MESSAGE_OUTPUTS_MAX && (all[count] = read_output(t, h, &item, &err));
        count += good;
    }
    t->settlement.outputs = all;
    t->settlement.output_count = good ? count : 0;
    while (!good && count)
        message_release(all[--count]);
    if (!good)
        snprintf(t->words, sizeof(t->words), "what it published with its ack is refused: %s",
                 err.text);
    return good;
}

/* What --chaos does to a message that was handled; true: its ack is not to be taken. */
static bool befalls(struct verdict_text *t, const struct handling *h)
{
    struct chaos *chaos = h->listener->events->host.chaos;
    enum chaos_blow blow = chaos ? chaos_strike(chaos, h->delivery) : CHAOS_NONE;
    if (blow == CHAOS_DUP)
        t->settlement.verdict = VERDICT_BACK;
    else if (blow == CHAOS_NAK)
        fail_with(t, "Chaos", SLICE("it was handled, and is taken for failed"));
    if (blow != CHAOS_KILL)
        return blow != CHAOS_NONE;
    if (!h->struck && !chaos_kill(h->worker))
        return false;
    fail_by_chaos(t, "it was handled, and its worker killed by --chaos");
    return true;
}

static void read_ack(struct verdict_text *t, const struct frame *f, const struct handling *h)
{
    t->settlement.verdict = VERDICT_DONE;
    if (befalls(t, h))
        return;
    if (f->outputs.raw.len && !read_outputs(t, f, h))
        fail_with(t, "InvalidPublish", slice_of(t->words));
}

void handle_let_go(struct listener *l)
{
    if (!l->feed && l->out == 0)
        group_serve(l->group, NULL, NULL, 0);
}

static void on_done(struct call *call, const struct call_reply *reply)
{
    struct handling *h = container_of(call, struct handling, call);
    struct listener *l = h->listener;
    struct delivery *d = h->delivery;
    struct verdict_text t = {.settlement = {.verdict = VERDICT_DONE}};
    timer_stop(l->events->host.loop, &h->timer);
    if (reply->failure)
        read_failure(&t, reply->failure, h);
    else if (reply->frame->kind == FRAME_ACK)
        read_ack(&t, reply->frame, h);
    else if (reply->frame->kind == FRAME_NACK)
        read_nack(&t, reply->frame);
    else
        read_error(&t, reply->frame);
    l->out--;
    if (t.settlement.verdict != VERDICT_BACK)
        note_run(l, loop_clock_ns() - h->began_ns);
    xfree(h);
    l->events->worker_says = t.from_worker;
    bus_settle(d, &t.settlement);
    l->events->worker_says = false;
    buf_deinit(&t.name);
    buf_deinit(&t.message);
    buf_deinit(&t.stack);
    arena_deinit(&t.arena);
    handle_let_go(l);
    tell_need(l->feed);
}

/* ---------------------------------------------------------------------- delivering */

static void on_write(struct call *call, const struct worker *w, uint64_t id, uint64_t left_ms,
                     bool nested, struct buf *out)
{
    const struct handling *h = container_of(call, struct handling, call);
    const struct delivery *d = h->delivery;
    struct frame_event event = event_frame(d->message, group_name(d->group));
    (void)w;
    (void)left_ms;
    (void)nested; /* messages never are */
    event.id = id;
    event.job = h->listener->job;
    event.attempt = d->attempt;
    event.last = d->last;
    event.timeout_ms = d->subscription->timeout_ms;
    frame_write_event(out, &event);
}

static void on_describe(const struct call *call, struct call_about *about)
{
    const struct handling *h = container_of(call, struct handling, call);
    const struct message *m = h->delivery->message;
    snprintf(about->what, sizeof(about->what), "%s " SLICE_FMT " #%llu",
             h->listener->job ? "job" : "event", SLICE_ARG(m->topic),
             (unsigned long long)m->seq);
    about->traceparent = m->traceparent;
}

static const struct call_ops handling_ops = {
    .write = on_write, .done = on_done, .describe = on_describe};

const struct delivery *handle_delivery(const struct call *call)
{
    bool is_event = call && call->kind == CALL_EVENT;
    return is_event ? container_of(call, struct handling, call)->delivery : NULL;
}

const char *handle_program(const struct delivery *d)
{
    const struct listener *l = group_owner(d->group);
    return l && l->feed ? l->feed->pool->config->name : "";
}

static void tell_given(const struct listener *l, const struct delivery *d)
{
    list_each (at, &l->events->watchers) {
        struct events_watcher *watcher = container_of(at, struct events_watcher, node);
        if (watcher->given)
            watcher->given(watcher, d, l->feed->pool->config->name);
    }
}

static struct handling *handling_new(struct listener *l, struct delivery *d)
{
    struct handling *h = xcalloc(1, sizeof(*h));
    *h = (struct handling){.delivery = d, .listener = l};
    list_init(&h->node);
    call_init(&h->call, CALL_EVENT, &handling_ops);
    h->call.size = d->message->data.len;
    d->owner = h;
    l->out++;
    return h;
}

static void on_moment(struct timer *timer)
{
    struct handling *h = container_of(timer, struct handling, timer);
    h->struck = chaos_kill(h->worker);
}

static void give(struct handling *h, struct worker *w)
{
    struct delivery *d = h->delivery;
    struct events *e = h->listener->events;
    uint64_t moment_ms = e->host.chaos ? chaos_moment(e->host.chaos, d) : UINT64_MAX;
    h->began_ns = loop_clock_ns();
    h->worker = w;
    tell_given(h->listener, d);
    if (moment_ms != UINT64_MAX)
        timer_start(e->host.loop, &h->timer, moment_ms, on_moment);
    event_give(w, &h->call, h->listener, d->alone, d->subscription->timeout_ms);
}

/* It is not given after all. */
static void give_back(struct handling *h)
{
    struct listener *l = h->listener;
    struct delivery *d = h->delivery;
    timer_stop(l->events->host.loop, &h->timer);
    list_del(&h->node);
    xfree(h);
    l->out--;
    bus_settle(d, &(struct settlement){.verdict = VERDICT_BACK});
    handle_let_go(l);
}

static void on_kept_back(struct timer *timer)
{
    enum { AGAIN_MS = 10 };
    struct handling *h = container_of(timer, struct handling, timer);
    struct listener *l = h->listener;
    struct worker *w = l->feed ? event_worker(l->feed->pool, l, h->delivery->alone) : NULL;
    if (!l->feed) {
        give_back(h);
        return;
    }
    if (!w) {
        timer_start(l->events->host.loop, timer, AGAIN_MS, on_kept_back);
        return;
    }
    list_del(&h->node);
    give(h, w);
}

void handle_give_back_all(struct events *e)
{
    while (!list_empty(&e->kept_back))
        give_back(list_first(&e->kept_back, struct handling, node));
}

static bool on_deliver(struct group *group, struct delivery *d)
{
    struct listener *l = group_owner(group);
    if (!l || !l->feed)
        return false;
    struct events *e = l->events;
    uint64_t delay_ms = e->host.chaos ? chaos_delay(e->host.chaos, d) : 0;
    if (delay_ms && !e->closing) {
        struct handling *h = handling_new(l, d);
        list_add(&e->kept_back, &h->node);
        timer_start(e->host.loop, &h->timer, delay_ms, on_kept_back);
        return true;
    }
    struct worker *w = event_worker(l->feed->pool, l, d->alone);
    if (!w)
        return false;
    give(handling_new(l, d), w);
    return true;
}

static void on_revoke(struct group *group, struct delivery *d)
{
    struct handling *h = d->owner;
    struct listener *l = h->listener;
    (void)group;
    timer_stop(l->events->host.loop, &h->timer);
    list_del(&h->node);
    if (h->worker)
        call_cancel(&h->call, "disconnect");
    xfree(h);
    l->out--;
}

static void on_gap(struct group *group, uint64_t from, uint64_t to)
{
    const struct listener *l = group_owner(group);
    if (l && l->feed)
        each_tell_gap(l->feed->pool, l, group_name(group), from, to);
}

static void on_changed(struct group *group)
{
    const struct listener *l = group_owner(group);
    if (l)
        tell_need(l->feed);
}

const struct group_ops handle_ops = {
    .deliver = on_deliver, .revoke = on_revoke, .gap = on_gap, .changed = on_changed};
