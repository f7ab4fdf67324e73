/*
 * What workers publish, and where they have groups begin anew: a part of events.h.
 */
#include <stdio.h>
#include <time.h>

#include "app/events_parts.h"

/* What a worker waits for, until it is stored. */
struct publishing {
    struct publication publication;
    struct list node; /* events->publishings */
    struct events *events;
    struct worker *worker; /* NULL: nobody waits for it */
    char *id;              /* as the worker wrote it */
};

/* ------------------------------------------------------------------ what it says */

static struct slice text_of(struct arena *arena, const struct json_value *string)
{
    struct buf text = {0};
    if (string->type != JSON_STRING || !string->raw.len)
        return (struct slice){0};
    if (!string->escaped)
        return json_inner(string);
    json_unescape(string, &text);
    struct slice kept = arena_copy(arena, buf_slice(&text));
    buf_deinit(&text);
    return kept;
}

static int64_t now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* {} has nothing to say. */
static bool has_members(const struct json_value *object)
{
    struct json_scan it = json_iter(object);
    struct json_value name, value;
    return object->raw.len && json_next_member(&it, &name, &value);
}

void publish_read(const struct frame *f, const struct delivery *handling, struct arena *arena,
                  struct publish_request *request)
{
    int64_t latest = INT64_MAX / 2;
    *request = (struct publish_request){
        .topic = text_of(arena, &f->topic),
        .queue = text_of(arena, &f->queue),
        .key =
            f->key.type == JSON_STRING && f->key.raw.len ? text_of(arena, &f->key) : SLICE(""),
        .msgid = text_of(arena, &f->msgid),
        .headers = has_members(&f->headers) ? f->headers.raw : (struct slice){0},
        .data = f->data.raw.len ? f->data.raw : SLICE("null"),
        .handling = handling,
    };
    if (f->has_at)
        request->at_ms = (int64_t)f->at_ms;
    else if (f->has_delay && f->delay_ms)
        request->at_ms = MIN(now_ms() + (int64_t)f->delay_ms, latest);
}

/* ---------------------------------------------------------------------- answers */

static void answer_error(struct worker *w, struct slice id, const char *code, const char *why)
{
    if (worker_alive(w) && !w->ending)
        frame_write_error(worker_out(w), id, code, slice_of(why), (struct slice){0});
}

static void answer_stored(struct worker *w, struct slice id, const struct message *m)
{
    if (worker_alive(w) && !w->ending)
        frame_write_published(worker_out(w), id, m ? m->seq : 0, m && m->duplicate);
}

static struct publishing *publishing_new(struct events *e, struct worker *w,
                                         const struct frame *f)
{
    struct publishing *p = xcalloc(1, sizeof(*p));
    p->events = e;
    list_init(&p->node);
    if (f->id.kind < FRAME_ID_NUMBER)
        return p;
    p->id = xstrndup(f->id.raw.ptr, f->id.raw.len);
    p->worker = w;
    w->publishing++;
    list_add(&e->publishings, &p->node);
    return p;
}

/* It is over; the worker may have waited for nothing else. */
static void publishing_free(struct publishing *p)
{
    struct worker *w = p->worker;
    list_del(&p->node);
    xfree(p->id);
    xfree(p);
    if (!w)
        return;
    w->publishing--;
    worker_check_drained(w);
}

void publish_worker_ended(struct events *e, struct worker *w)
{
    if (!w->publishing)
        return;
    list_each (at, &e->publishings) {
        struct publishing *p = container_of(at, struct publishing, node);
        if (p->worker == w)
            p->worker = NULL;
    }
    w->publishing = 0;
}

/* Nobody waits for the answer: the log is all there is. */
static void tell_refused(struct worker *w, const char *why)
{
    pool_tell_once(w->pool, "what it published is not stored: %s", why);
}

static void refuse(struct worker *w, const struct frame *f, const char *code, const char *why)
{
    if (f->id.kind >= FRAME_ID_NUMBER)
        answer_error(w, f->id.raw, code, why);
    else
        tell_refused(w, why);
}

static const char *code_of(enum publish_fault fault)
{
    return fault == PUBLISH_INVALID ? "invalid_argument"
           : fault == PUBLISH_FULL  ? "resource_exhausted"
                                    : "unavailable";
}

static void on_done(struct publication *publication, enum publish_fault fault, const char *why)
{
    struct publishing *p = container_of(publication, struct publishing, publication);
    if (p->worker && fault)
        answer_error(p->worker, slice_of(p->id), code_of(fault), why);
    else if (p->worker)
        answer_stored(p->worker, slice_of(p->id), publication->messages[0]);
    else if (fault && !p->id)
        log_line(LOG_WARN, "nodey", "what a worker published is not stored: %s", why);
    publishing_free(p);
}

/* ------------------------------------------------------------------- publishing */

/* What the worker is at, and so publishes for: what it says, or what one at a time must be. */
static const struct slot *published_for(const struct worker *w, const struct frame *f)
{
    if (f->for_id.kind == FRAME_ID_NUMBER)
        return idmap_get(&w->open, f->for_id.number);
    if (f->cause.raw.len || w->ready.concurrency > 1 || list_empty(&w->slots))
        return NULL;
    return worker_newest(w);
}

/* So much waits to be stored that those who publish must wait, too. */
static void hold_if_congested(struct events *e, struct worker *w)
{
    if (!bus_is_congested(e->bus))
        return;
    event_hold(w);
    if (!e->awaits_relief)
        bus_on_relief(e->bus, &e->relief);
    e->awaits_relief = true;
}

/* Of an event without an id nothing is known here but what the worker says of it. */
static void read_cause(const struct frame *f, struct arena *arena,
                       struct publish_request *request)
{
    request->cause = text_of(arena, &f->cause);
    request->correlation = text_of(arena, &f->correlation);
    request->traceparent = text_of(arena, &f->traceparent);
}

static void publish(struct events *e, struct bus *bus, struct worker *w, const struct frame *f)
{
    struct arena arena = {0};
    struct publish_request request;
    struct call_about about = {.what = ""};
    struct err err;
    const struct slot *slot = published_for(w, f);
    if (slot)
        call_describe(slot->call, &about);
    publish_read(f, handle_delivery(about.origin), &arena, &request);
    if (slot)
        request.traceparent = about.traceparent;
    else
        read_cause(f, &arena, &request);
    request.origin = slice_of(w->pool->config->name);
    struct message *m = bus_compose(bus, &request, &err);
    arena_deinit(&arena);
    if (!m) {
        refuse(w, f, "invalid_argument", err.text);
        return;
    }
    struct publishing *p = publishing_new(e, w, f);
    p->publication.done = on_done;
    bus_publish(bus, &p->publication, &m, 1);
    hold_if_congested(e, w);
}

/* ---------------------------------------------------------------------- seeking */

static void on_sought(void *arg, const char *error)
{
    struct publishing *p = arg;
    if (p->worker && error)
        answer_error(p->worker, slice_of(p->id), "unavailable", error);
    else if (p->worker)
        answer_stored(p->worker, slice_of(p->id), NULL);
    publishing_free(p);
}

static void seek(struct events *e, struct bus *bus, struct worker *w, const struct frame *f)
{
    struct arena arena = {0};
    struct slice name = text_of(&arena, &f->group);
    if (name.len == 0)
        name = slice_of(w->pool->config->name);
    struct group *group = bus_find_group(bus, name);
    if (group) {
        group_seek(group, events_start_of(&f->to), on_sought, publishing_new(e, w, f));
    } else {
        char text[256];
        snprintf(text, sizeof(text), "there is no group \"%.*s\"",
                 (int)MIN(name.len, (size_t)128), name.ptr);
        answer_error(w, f->id.raw, "not_found", text);
    }
    arena_deinit(&arena);
}

void publish_framed(struct events *e, struct worker *w, const struct frame *f)
{
    struct err err;
    struct bus *bus = events_bus(e, &err);
    if (!bus)
        refuse(w, f, "unavailable", err.text);
    else if (f->kind == FRAME_PUBLISH)
        publish(e, bus, w, f);
    else
        seek(e, bus, w, f);
}
