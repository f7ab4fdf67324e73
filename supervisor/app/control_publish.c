/*
 * POST /v1/publish: a part of control_bus.h.
 */
#include <stdio.h>

#include "app/control_bus_parts.h"
#include "config/value.h"

struct order {
    struct bus_job job;
    struct publication publication;
    bool many; /* the answer is an array */
};

/* ------------------------------------------------------------------ what it says */

static bool read_time(const struct json_value *value, bool is_delay, int64_t *at_ms)
{
    uint64_t n = 0, us;
    struct slice text = json_inner(value);
    if (value->type == JSON_STRING && is_delay &&
        value_duration(text, false, &us) == VALUE_GOOD)
        n = us / 1000;
    else if (!json_to_u64(value, INT64_MAX / 2, &n))
        return false;
    *at_ms = (int64_t)n + (is_delay && n ? control_bus_now_ms() : 0);
    return true;
}

static bool is_strings(const struct json_value *object)
{
    struct json_scan it = json_iter(object);
    struct json_value key, value;
    bool good = object->type == JSON_OBJECT;
    while (good && json_next_member(&it, &key, &value))
        good = value.type == JSON_STRING;
    return good;
}

static int read_member(struct exchange *x, const struct json_value *object,
                       const struct json_value *key, const struct json_value *value,
                       struct publish_request *r, struct err *err)
{
    static const struct {
        const char *name;
        size_t at;
    } texts[] = {{"topic", offsetof(struct publish_request, topic)},
                 {"queue", offsetof(struct publish_request, queue)},
                 {"key", offsetof(struct publish_request, key)},
                 {"id", offsetof(struct publish_request, msgid)},
                 {"correlation", offsetof(struct publish_request, correlation)},
                 {"traceparent", offsetof(struct publish_request, traceparent)}};

    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        if (!json_string_is(key, texts[i].name))
            continue;
        if (value->type != JSON_STRING && value->type != JSON_NULL)
            return err_set(err, -1, "%s must be a string", texts[i].name);
        if (value->type == JSON_STRING)
            *(struct slice *)((char *)r + texts[i].at) =
                control_bus_text(x, object, texts[i].name);
        return 0;
    }
    bool is_delay = json_string_is(key, "delay");
    if (json_string_is(key, "data"))
        r->data = value->raw;
    else if (is_delay || json_string_is(key, "at"))
        return read_time(value, is_delay, &r->at_ms)
                   ? 0
                   : err_set(err, -1, "%s must be in milliseconds%s", is_delay ? "delay" : "at",
                             is_delay ? ", or a time such as \"10m\"" : " since 1970");
    else if (!json_string_is(key, "headers"))
        return err_set(err, -1, "there is no member %.*s", (int)MIN(key->raw.len, (size_t)40),
                       key->raw.ptr);
    else if (!is_strings(value))
        return err_set(err, -1, "headers must be an object of strings");
    else
        r->headers = value->raw.len > 2 ? value->raw : (struct slice){0};
    return 0;
}

static struct message *read_one(struct bus *bus, struct exchange *x,
                                const struct json_value *object, struct err *err)
{
    struct publish_request r = {
        .key = SLICE(""), .data = SLICE("null"), .origin = SLICE("cli")};
    struct json_value key, value;
    struct json_scan it = json_iter(object);
    if (object->type != JSON_OBJECT) {
        err_set(err, -1, "what is published must be an object with topic or queue, and data");
        return NULL;
    }
    while (json_next_member(&it, &key, &value))
        if (read_member(x, object, &key, &value, &r, err))
            return NULL;
    return bus_compose(bus, &r, err);
}

/* How many there are; 0, and none is kept, when one of them cannot be. */
static size_t read_all(struct bus *bus, struct exchange *x, const struct json_value *body,
                       struct message **messages)
{
    struct json_value item = *body;
    struct json_scan it = json_iter(body);
    struct err err = {.text = "nothing is to be published"};
    bool many = body->type == JSON_ARRAY, good = true;
    size_t count = 0;
    while (good && (many ? json_next_item(&it, &item) : count == 0)) {
        struct message *m = count < MESSAGE_OUTPUTS_MAX ? read_one(bus, x, &item, &err) : NULL;
        if (count == MESSAGE_OUTPUTS_MAX)
            err_set(&err, -1, "at most %d can be published at once", MESSAGE_OUTPUTS_MAX);
        good = m != NULL;
        if (good)
            messages[count++] = m;
    }
    if (good && count)
        return count;
    for (size_t i = 0; i < count; i++)
        message_release(messages[i]);
    if (many && count)
        control_invalid(x, "number %zu: %s", count + 1, err.text);
    else
        control_invalid(x, "%s", err.text);
    return 0;
}

/* ---------------------------------------------------------------------- answering */

static void write_stored(const struct message *m, struct buf *out)
{
    if (!m->seq && !m->duplicate) {
        buf_adds(out, "{\"delayed\":true}");
        return;
    }
    buf_addf(out, "{\"seq\":%llu%s}", (unsigned long long)m->seq,
             m->duplicate ? ",\"duplicate\":true" : "");
}

static void on_done(struct publication *publication, enum publish_fault fault, const char *why)
{
    struct order *o = container_of(publication, struct order, publication);
    struct exchange *x = bus_job_end(&o->job);
    struct buf out = {0};
    if (x && fault)
        control_refuse(x,
                       fault == PUBLISH_INVALID ? 400
                       : fault == PUBLISH_FULL  ? 507
                                                : 503,
                       fault == PUBLISH_INVALID ? "invalid_argument"
                       : fault == PUBLISH_FULL  ? "resource_exhausted"
                                                : "unavailable",
                       slice_of(why), (struct slice){0});
    else if (x) {
        buf_adds(&out, o->many ? "[" : "");
        for (size_t i = 0; i < publication->count; i++) {
            buf_adds(&out, i ? "," : "");
            write_stored(publication->messages[i], &out);
        }
        buf_adds(&out, o->many ? "]\n" : "\n");
        control_answer(x, buf_slice(&out));
    }
    buf_deinit(&out);
    xfree(o);
}

void control_publish(struct control *c, struct exchange *x)
{
    struct message *messages[MESSAGE_OUTPUTS_MAX];
    struct json_value body;
    if (!control_bus_body(x, &body))
        return;
    struct bus *bus = control_bus_open(c, x, /* opens= */ true);
    if (!bus)
        return;
    if (bus_is_congested(bus)) {
        control_refuse(x, 503, "unavailable",
                       SLICE("more is published than can be stored: try again"),
                       (struct slice){0});
        return;
    }
    size_t count = read_all(bus, x, &body, messages);
    if (!count)
        return;
    struct order *o = xcalloc(1, sizeof(*o));
    o->many = body.type == JSON_ARRAY;
    o->publication.done = on_done;
    bus_job_begin(&o->job, x);
    bus_publish(bus, &o->publication, messages, count);
}
