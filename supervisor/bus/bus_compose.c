#include <stdio.h>

#include "base/utf8.h"
#include "bus/bus_parts.h"
#include "bus/topic.h"

enum {
    HEADERS_MAX = 65536,
    ORIGIN_MAX = 255,
    TRACE_BYTES = 55, /* "00-" 32 "-" 16 "-" 2 */
    TRACE_AT = 3,
    SPAN_AT = 36,
    AHEAD_MAX_DAYS = 3653,
    DAY_MS = 86400000,
};

/* -------------------------------------------------------------------- trace */

static bool is_hex(const char *p, size_t len, bool *zero)
{
    *zero = true;
    for (size_t i = 0; i < len; i++) {
        if (!((p[i] >= '0' && p[i] <= '9') || (p[i] >= 'a' && p[i] <= 'f')))
            return false;
        *zero = *zero && p[i] == '0';
    }
    return true;
}

/* W3C Trace Context, version 00; what is longer is of a version to come, and begins alike. */
static bool is_traceparent(struct slice t)
{
    bool zero, no_trace, no_span;
    if (t.len < TRACE_BYTES || t.ptr[2] != '-' || t.ptr[SPAN_AT - 1] != '-' ||
        t.ptr[TRACE_BYTES - 3] != '-' || (t.len > TRACE_BYTES && t.ptr[TRACE_BYTES] != '-'))
        return false;
    if (!is_hex(t.ptr, 2, &zero) || !memcmp(t.ptr, "ff", 2) || (zero && t.len != TRACE_BYTES))
        return false;
    return is_hex(t.ptr + TRACE_AT, 32, &no_trace) && !no_trace &&
           is_hex(t.ptr + SPAN_AT, 16, &no_span) && !no_span &&
           is_hex(t.ptr + TRACE_BYTES - 2, 2, &zero);
}

static void write_hex(char *to, uint64_t bits)
{
    static const char digits[] = "0123456789abcdef";
    for (int i = 15; i >= 0; i--, bits >>= 4)
        to[i] = digits[bits & 15];
}

/* Never all zeroes, which means that there is none. */
static uint64_t some_bits(struct bus *bus)
{
    return chance_next(&bus->chance) | 1;
}

/* The same trace with a span of its own, or a new trace. */
static void write_trace(struct bus *bus, struct slice given, char *to)
{
    memcpy(to, "00-", TRACE_AT);
    if (is_traceparent(given)) {
        memcpy(to + TRACE_AT, given.ptr + TRACE_AT, TRACE_BYTES - TRACE_AT);
    } else {
        write_hex(to + TRACE_AT, chance_next(&bus->chance));
        write_hex(to + TRACE_AT + 16, some_bits(bus));
        to[SPAN_AT - 1] = '-';
        memcpy(to + TRACE_BYTES - 3, "-01", 3);
    }
    write_hex(to + SPAN_AT, some_bits(bus));
}

/* -------------------------------------------------------------------- check */

static const char *check_name(const struct publish_request *r)
{
    if ((r->topic.len > 0) == (r->queue.len > 0))
        return "exactly one of topic and queue must be given";
    return topic_check(r->topic.len ? r->topic : r->queue);
}

static int check_id(struct slice id, const char *what, struct err *err)
{
    if (id.len > MESSAGE_ID_MAX)
        return err_set(err, -1, "the %s has %zu bytes: at most %d can be", what, id.len,
                       MESSAGE_ID_MAX);
    if (!utf8_valid(id))
        return err_set(err, -1, "the %s is no UTF-8", what);
    if (id.len && memchr(id.ptr, '\0', id.len))
        return err_set(err, -1, "the %s has a NUL in it", what);
    return 0;
}

static int check(struct bus *bus, const struct publish_request *r, struct err *err)
{
    const char *why = check_name(r);
    if (why) {
        struct slice name = r->topic.len ? r->topic : r->queue;
        return err_set(err, -1, "%s \"%.*s\": %s", r->queue.len ? "queue" : "topic",
                       (int)MIN(name.len, (size_t)80), name.len ? name.ptr : "", why);
    }
    if (check_id(r->key, "key", err) < 0 || check_id(r->msgid, "msgid", err) < 0 ||
        check_id(r->cause, "cause", err) < 0 ||
        check_id(r->correlation, "correlation", err) < 0)
        return -1;
    uint64_t most = bus->engine->caps.max_data;
    most = most ? MIN(most, (uint64_t)MESSAGE_DATA_MAX) : (uint64_t)MESSAGE_DATA_MAX;
    if (r->data.len > most)
        return err_set(err, -1, "the data has %zu bytes: at most %llu can be", r->data.len,
                       (unsigned long long)most);
    if (r->headers.len > HEADERS_MAX)
        return err_set(err, -1, "the headers have %zu bytes: at most %d can be", r->headers.len,
                       HEADERS_MAX);
    if (r->at_ms < 0 || r->at_ms > bus_wall_ms() + (int64_t)AHEAD_MAX_DAYS * DAY_MS)
        return err_set(err, -1, "its time lies more than ten years ahead, or before 1970");
    return 0;
}

/* ------------------------------------------------------------------ compose */

/* What comes from whoever is served: from outside, or from the message in hand. */
static void inherit(struct message_parts *p, const struct publish_request *r, char *id)
{
    const struct message *from = r->handling ? r->handling->message : NULL;
    p->cause = r->cause;
    p->correlation = r->correlation;
    if (!from)
        return;
    struct slice own = message_id(from, id);
    if (!p->cause.len)
        p->cause = own;
    if (!p->correlation.len)
        p->correlation = from->correlation.len ? from->correlation : own;
    if (!r->key.ptr)
        p->key = from->key;
}

static struct slice shorter(struct slice text, size_t most)
{
    return text.len > most ? (struct slice){0} : text;
}

struct message *bus_compose(struct bus *bus, const struct publish_request *r, struct err *err)
{
    char id[MESSAGE_ID_MAX + 1], trace[TRACE_BYTES];
    if (check(bus, r, err) < 0)
        return NULL;
    struct bus_stream *s =
        r->topic.len ? stream_of_topic(bus, r->topic) : stream_of_queue(bus, r->queue);
    if (!s) {
        err_set(err, -1, "there are %d streams and queues already", BUS_STREAMS_MAX);
        return NULL;
    }
    struct message_parts parts = {
        .stream = s->name,
        .topic = r->topic.len ? r->topic : r->queue,
        .key = r->key,
        .msgid = r->msgid,
        .headers = r->headers,
        .origin = shorter(r->origin, ORIGIN_MAX),
        .data = r->data,
        .due_ms = r->at_ms > bus_wall_ms() ? r->at_ms : 0,
    };
    inherit(&parts, r, id);
    struct slice before = r->traceparent;
    if (!before.len && r->handling)
        before = r->handling->message->traceparent;
    write_trace(bus, before, trace);
    parts.traceparent = (struct slice){trace, TRACE_BYTES};
    return message_new(&parts);
}
