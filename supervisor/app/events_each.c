/*
 * Events that every instance hears of, from now on and without an answer: a part of events.h.
 */
#include "app/events_parts.h"
#include "base/topic.h"

struct frame_event event_frame(const struct message *m, struct slice group)
{
    return (struct frame_event){
        .job = slice_starts(m->stream, SLICE("queue.")),
        .topic = m->topic,
        .group = group,
        .seq = m->seq,
        .msgid = m->msgid,
        .key = m->key,
        .time_ms = m->time_ms,
        .attempt = 1,
        .cause = m->cause,
        .correlation = m->correlation,
        .traceparent = m->traceparent,
        .headers = m->headers,
        .data = m->data,
        .file = m->blob,
        .size = m->size,
    };
}

void each_worker_ended(struct worker *w)
{
    struct hearing *h = w->hearing;
    if (!h)
        return;
    list_del(&h->node);
    xfree(h);
    w->hearing = NULL;
}

void each_declare(struct events *e, struct worker *w)
{
    const struct ready *ready = &w->ready;
    bool any = false;
    each_worker_ended(w);
    for (size_t i = 0; i < ready->subscription_count; i++)
        any |= ready->subscriptions[i].each;
    if (!any || !worker_has(w, FEATURE_EVENTS))
        return;
    struct hearing *h =
        xcalloc(1, sizeof(*h) + ready->subscription_count * sizeof(h->missed[0]));
    h->worker = w;
    h->count = ready->subscription_count;
    w->hearing = h;
    list_add(&e->hearings, &h->node);
}

static struct slice group_of(const struct worker *w, size_t i)
{
    const struct ready_subscription *s = &w->ready.subscriptions[i];
    return s->group.len ? s->group : slice_of(w->pool->config->name);
}

/* By this subscription, and by none before it of the same group. */
static bool hears(const struct worker *w, size_t i, const struct message *m)
{
    const struct ready_subscription *all = w->ready.subscriptions;
    if (!all[i].each || !topic_matches(all[i].topic, m->topic))
        return false;
    for (size_t j = 0; j < i; j++)
        if (all[j].each && slice_eq(group_of(w, j), group_of(w, i)) &&
            topic_matches(all[j].topic, m->topic))
            return false;
    return true;
}

/* What it has missed comes first. */
static bool catch_up(struct worker *w, struct slice group, struct missed *missed)
{
    struct buf line = {0};
    if (!missed->from)
        return true;
    frame_write_gap(&line, group, missed->from, missed->to);
    bool told = event_tell(w, buf_slice(&line));
    if (told)
        *missed = (struct missed){0};
    buf_deinit(&line);
    return told;
}

/* The line of one message, kept for the next worker that has the same group. */
struct each_line {
    const struct message *message;
    struct slice group;
    struct buf text;
};

static struct slice line_for(struct each_line *line, struct slice group)
{
    if (!line->text.len || !slice_eq(line->group, group)) {
        struct frame_event event = event_frame(line->message, group);
        buf_clear(&line->text);
        frame_write_event(&line->text, &event);
        line->group = group;
    }
    return buf_slice(&line->text);
}

static void tell(struct hearing *h, size_t i, struct each_line *line)
{
    struct missed *missed = &h->missed[i];
    struct slice group = group_of(h->worker, i);
    if (catch_up(h->worker, group, missed) && event_tell(h->worker, line_for(line, group)))
        return;
    if (!missed->from)
        missed->from = line->message->seq;
    missed->to = line->message->seq;
}

/* Jobs are orders for one, and dead letters are no news. */
static bool is_news(const struct message *m)
{
    return !slice_is(m->stream, "dead") && !slice_starts(m->stream, SLICE("queue.")) &&
           !m->only.len;
}

void each_stored(struct events *e, const struct message *m)
{
    struct each_line line = {.message = m};
    if (list_empty(&e->hearings) || !is_news(m))
        return;
    list_each (at, &e->hearings) {
        struct hearing *h = container_of(at, struct hearing, node);
        for (size_t i = 0; i < h->count; i++)
            if (hears(h->worker, i, m))
                tell(h, i, &line);
    }
    buf_deinit(&line.text);
}

void each_tell_gap(struct pool *pool, const void *kind, struct slice group, uint64_t from,
                   uint64_t to)
{
    struct buf line = {0};
    frame_write_gap(&line, group, from, to);
    for (int state = WORKER_BUSY; state >= WORKER_READY; state--) /* telling makes them busy */
        list_each_safe (at, &pool->states[state]) {
            struct worker *w = container_of(at, struct worker, node);
            if (event_takes(w, kind))
                IGNORE(event_tell(w, buf_slice(&line))); /* then it is too busy to care */
        }
    buf_deinit(&line);
}
