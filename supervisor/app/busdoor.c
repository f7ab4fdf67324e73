#include "app/busdoor.h"

#include <stdarg.h>
#include <stdio.h>

#include "app/control_reply.h"
#include "base/json.h"
#include "bus/topic.h"
#include "http/mediatype.h"
#include "http/path.h"

enum { SHOWN_MAX = 80 };

/* One POST.  In memory of its own: what was begun is stored, whoever has left. */
struct posting {
    struct pending pending;
    struct publication publication;
    struct busdoor *door;
    struct exchange *exchange; /* NULL: nobody waits for it */
    struct slice topic;        /* in the exchange's arena, as all that is read of the request */
    struct buf body;           /* while it comes in pieces */
};

static void refuse(struct busdoor *door, struct exchange *x, unsigned status, const char *fmt,
                   ...) PRINTF_LIKE(4, 5);

static void refuse(struct busdoor *door, struct exchange *x, unsigned status, const char *fmt,
                   ...)
{
    char detail[600];
    va_list args;
    va_start(args, fmt);
    vsnprintf(detail, sizeof(detail), fmt, args);
    va_end(args);
    errorpage_send(door->errors, x,
                   &(struct failure){.status = status,
                                     .detail = slice_of(detail),
                                     .retry_after_s = status == 503 || status == 507});
}

/* ------------------------------------------------------------------------- JSON */

bool busdoor_json(struct slice text, struct arena *arena, struct slice *out, struct err *err)
{
    struct json_scan scan;
    struct json_value value;
    json_scan_init(&scan, text);
    scan.depth = 1; /* the frame around it */
    bool read = json_scan_value(&scan, &value);
    if (!read || !json_scan_done(&scan)) {
        const char *line = text.ptr;
        size_t lines = 1;
        for (const char *at = text.ptr; at < scan.ptr; at++)
            if (*at == '\n') {
                line = at + 1;
                lines++;
            }
        err_set(err, -1, "it is no JSON: line %zu, column %zu: %s", lines,
                (size_t)(scan.ptr - line) + 1,
                read ? "something follows the value" : scan.fault);
        return false;
    }
    if (scan.dirty) {
        err_set(err, -1, "it is no JSON: a string in it is not UTF-8");
        return false;
    }
    char *copy = arena_strdup(arena, value.raw);
    for (size_t i = 0; i < value.raw.len; i++)
        if (copy[i] == '\n' || copy[i] == '\r')
            copy[i] = ' ';
    *out = (struct slice){copy, value.raw.len};
    return true;
}

/* --------------------------------------------------------------------- publishing */

static void answer_stored(struct exchange *x, const struct message *m)
{
    char body[64];
    struct err err;
    int len = snprintf(body, sizeof(body), "{\"seq\":%llu%s}\n", (unsigned long long)m->seq,
                       m->duplicate ? ",\"duplicate\":true" : "");
    struct http_answer answer = {.status = m->duplicate ? 200 : 202,
                                 .content_type = SLICE("application/json"),
                                 .body = {body, (size_t)len}};
    IGNORE(!exchange_respond(x, &answer, &err)); /* an answer without fields can be sent */
}

static void on_done(struct publication *publication, enum publish_fault fault, const char *why)
{
    struct posting *p = container_of(publication, struct posting, publication);
    struct exchange *x = p->exchange;
    static const unsigned statuses[] = {
        [PUBLISH_INVALID] = 400, [PUBLISH_FULL] = 507, [PUBLISH_FAILED] = 503};
    if (x)
        exchange_set_data(x, NULL);
    if (x && fault)
        refuse(p->door, x, statuses[fault], "it is not stored: %s", why);
    else if (x)
        answer_stored(x, publication->messages[0]);
    xfree(p);
}

/* An Idempotency-Key may stand in quotes: it is a string of structured fields. */
static struct slice unquoted(struct slice value)
{
    value = slice_trim(value);
    if (value.len >= 2 && value.ptr[0] == '"' && value.ptr[value.len - 1] == '"')
        value = (struct slice){value.ptr + 1, value.len - 2};
    return value;
}

static struct slice key_of(const struct http_request *req)
{
    struct slice key = control_field(req, "x-nodey-key");
    return key.len ? key : SLICE("");
}

/* Ends the posting, or leaves it to the bus. */
static void publish(struct posting *p, struct slice body)
{
    struct busdoor *door = p->door;
    struct exchange *x = p->exchange;
    const struct http_request *req = exchange_request(x);
    struct slice data = SLICE("null");
    struct message *m = NULL;
    struct err err;
    struct bus *bus = events_bus(door->events, &err);
    exchange_set_data(x, NULL);
    if (!bus)
        refuse(door, x, 503, "%s", err.text);
    else if (bus_is_congested(bus))
        refuse(door, x, 503, "more is published than can be stored: try again");
    else if (body.len && !busdoor_json(body, exchange_arena(x), &data, &err))
        refuse(door, x, 400, "the body must be JSON, and %s", err.text);
    else if (!(m = bus_compose(bus,
                               &(struct publish_request){
                                   .topic = p->topic,
                                   .key = key_of(req),
                                   .msgid = unquoted(control_field(req, "idempotency-key")),
                                   .traceparent = control_field(req, "traceparent"),
                                   .origin = SLICE("http"),
                                   .data = data},
                               &err)))
        refuse(door, x, 400, "%s", err.text);
    if (!m) {
        xfree(p);
        return;
    }
    exchange_set_data(x, &p->pending);
    p->publication.done = on_done;
    bus_publish(bus, &p->publication, &m, 1);
}

/* ------------------------------------------------------------------- a long body */

static void on_gone(struct pending *pending)
{
    struct posting *p = container_of(pending, struct posting, pending);
    bool under_way = p->publication.done != NULL;
    p->exchange = NULL;
    buf_deinit(&p->body);
    if (!under_way)
        xfree(p);
}

static void on_body(struct pending *pending)
{
    struct posting *p = container_of(pending, struct posting, pending);
    struct exchange *x = p->exchange;
    struct slice piece = exchange_body(x);
    if (p->publication.done)
        return;
    if (piece.len > MESSAGE_DATA_MAX - p->body.len) {
        buf_deinit(&p->body);
        exchange_set_data(x, NULL);
        refuse(p->door, x, 413, "what is published may have %d bytes", MESSAGE_DATA_MAX);
        xfree(p);
        return;
    }
    buf_add(&p->body, piece);
    exchange_consume(x, piece.len);
    if (!exchange_body_ended(x))
        return;
    struct buf body = p->body;
    p->body = (struct buf){0};
    publish(p, buf_slice(&body)); /* which copies */
    buf_deinit(&body);
}

/* ---------------------------------------------------------------------- requests */

static bool allows(const struct string_list *patterns, struct slice topic)
{
    bool allowed = false;
    for (size_t i = 0; i < patterns->count && !allowed; i++)
        allowed = topic_matches(slice_of(patterns->items[i]), topic);
    return allowed;
}

static void refuse_topic(struct busdoor *door, struct exchange *x,
                         const struct string_list *patterns, const char *what,
                         struct slice topic)
{
    struct buf names = {0};
    for (size_t i = 0; i < patterns->count; i++)
        buf_addf(&names, "%s%s", i ? ", " : "", patterns->items[i]);
    refuse(door, x, 403, "this path %s %s, not %.*s", what, buf_cstr(&names),
           (int)MIN(topic.len, (size_t)SHOWN_MAX), topic.ptr);
    buf_deinit(&names);
}

static bool is_json(struct slice type)
{
    static const char *const types[] = {"application/json", "application/*+json", NULL};
    return !type.len || mediatype_fits(type, types, 2);
}

static void serve_publish(struct busdoor *door, struct exchange *x,
                          const struct route_config *route, struct slice topic)
{
    const struct http_request *req = exchange_request(x);
    struct slice type = control_field(req, "content-type");
    const char *why = topic_check(topic);
    if (why)
        refuse(door, x, 400, "\"%.*s\" is no topic: %s", (int)MIN(topic.len, (size_t)SHOWN_MAX),
               topic.len ? topic.ptr : "", why);
    else if (!allows(&route->publish, topic))
        refuse_topic(door, x, &route->publish, "publishes", topic);
    else if ((req->body.len || req->more) && !is_json(type))
        refuse(door, x, 415, "events are JSON: send Content-Type: application/json, not %.*s",
               (int)MIN(type.len, (size_t)SHOWN_MAX), type.ptr);
    else if (req->has_length && req->length > MESSAGE_DATA_MAX)
        refuse(door, x, 413, "what is published may have %d bytes", MESSAGE_DATA_MAX);
    else {
        struct posting *p = xcalloc(1, sizeof(*p));
        p->pending = (struct pending){.gone = on_gone, .body = on_body};
        p->door = door;
        p->exchange = x;
        p->topic = arena_copy(exchange_arena(x), topic);
        if (!req->more) {
            publish(p, req->body);
            return;
        }
        exchange_set_data(x, &p->pending);
        exchange_continue(x);
    }
}

/* A parameter of the query, decoded; an empty slice when there is none. */
static struct slice parameter(struct exchange *x, const char *name)
{
    struct slice value = {0};
    if (control_parameter(exchange_request(x), name, &value) &&
        !path_decode(value, exchange_arena(x), &value))
        value = SLICE("%");
    return value;
}

static bool read_from(struct exchange *x, struct follow_request *r, struct err *err)
{
    struct slice id = control_field(exchange_request(x), "last-event-id");
    struct slice from = parameter(x, "from");
    uint64_t seq;
    if (!id.len)
        id = parameter(x, "last_event_id");
    r->from = FOLLOW_AFTER;
    if (id.len) {
        if (slice_to_u64(id, INT64_MAX, &r->after))
            return true;
        err_set(err, -1, "Last-Event-ID is the id of an event of this stream, a number");
        return false;
    }
    if (!from.len || slice_is(from, "new"))
        r->from = FOLLOW_NEW;
    else if (slice_to_u64(from, INT64_MAX, &seq))
        r->after = seq ? seq - 1 : 0;
    else if (slice_is(from, "first"))
        r->from = FOLLOW_FIRST;
    else {
        err_set(err, -1, "from is first, new, or the id of the first event that is wanted");
        return false;
    }
    return true;
}

static void serve_events(struct busdoor *door, struct exchange *x,
                         const struct route_config *route)
{
    struct err err;
    struct follow_request r = {.format = FOLLOW_SSE,
                               .allowed = &route->events,
                               .pattern = parameter(x, "topic"),
                               .goes_on = true,
                               .route = route};
    const char *why = r.pattern.len ? topic_pattern_check(r.pattern) : NULL;
    bool overlaps = !r.pattern.len || why;
    for (size_t i = 0; i < route->events.count && !overlaps; i++)
        overlaps = topic_patterns_overlap(r.pattern, slice_of(route->events.items[i]));
    if (why)
        refuse(door, x, 400, "topic is no pattern of topics: %s", why);
    else if (!overlaps)
        refuse_topic(door, x, &route->events, "streams", r.pattern);
    else if (!read_from(x, &r, &err))
        refuse(door, x, 400, "%s", err.text);
    else if (!events_bus(door->events, &err))
        refuse(door, x, 503, "%s", err.text);
    else
        follow_begin(&door->follow, x, &r);
}

void busdoor_serve(struct busdoor *door, struct exchange *x, const struct router_match *match)
{
    const struct route *route = match->target;
    struct slice topic = {0};
    if (route->bus->events.count) {
        serve_events(door, x, route->bus);
        return;
    }
    for (size_t i = 0; i < match->param_count; i++)
        topic = match->params[i].value; /* the last is what stands for the star */
    serve_publish(door, x, route->bus, topic);
}

void busdoor_init(struct busdoor *door, struct loop *loop, struct events *events,
                  struct errorpage *errors)
{
    *door = (struct busdoor){.events = events, .errors = errors};
    follow_init(&door->follow, loop, events);
}

void busdoor_deinit(struct busdoor *door)
{
    follow_deinit(&door->follow);
}
