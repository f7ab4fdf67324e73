#include <stdio.h>
#include <time.h>

#include "app/control_bus_parts.h"
#include "app/events.h"
#include "bus/topic.h"
#include "http/path.h"

enum { ROWS_MAX = 10000, LAST_MAX = 100000 };

/* -------------------------------------------------------------------------- shared */

static void on_gone(struct pending *pending)
{
    container_of(pending, struct bus_job, pending)->exchange = NULL;
}

void bus_job_begin(struct bus_job *job, struct exchange *x)
{
    *job = (struct bus_job){.pending = {.gone = on_gone}, .exchange = x};
    exchange_set_data(x, &job->pending);
}

struct exchange *bus_job_end(struct bus_job *job)
{
    struct exchange *x = job->exchange;
    if (x)
        exchange_set_data(x, NULL);
    job->exchange = NULL;
    return x;
}

int64_t control_bus_now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

struct bus *control_bus_open(struct control *c, struct exchange *x, bool opens)
{
    struct events *e = c->host.events;
    struct err err;
    if (!opens && !e->bus && !e->tried_ms)
        return NULL;
    struct bus *bus = events_bus(e, &err);
    if (!bus)
        control_refuse(x, 503, "unavailable", slice_of(err.text), (struct slice){0});
    return bus;
}

/* Nobody has used it: what is asked for is not there. */
static bool is_unused(const struct control *c)
{
    return !c->host.events->bus && !c->host.events->tried_ms;
}

bool control_bus_failed(struct exchange *x, const struct op *op)
{
    static const struct {
        unsigned status;
        const char *code;
    } answers[] = {[ENGINE_FULL] = {507, "resource_exhausted"},
                   [ENGINE_UNKNOWN] = {404, "not_found"},
                   [ENGINE_INVALID] = {400, "invalid_argument"},
                   [ENGINE_BROKEN] = {503, "unavailable"}};

    if (op->status == ENGINE_OK)
        return false;
    control_refuse(x, answers[op->status].status, answers[op->status].code,
                   slice_of(op->error[0] ? op->error : "the store refuses it"),
                   (struct slice){0});
    return true;
}

bool control_bus_body(struct exchange *x, struct json_value *out)
{
    struct slice text;
    struct err err;
    struct json_scan scan;
    if (!busdoor_json(exchange_request(x)->body, exchange_arena(x), &text, &err)) {
        control_invalid(x, "the body must be JSON, and %s", err.text);
        return false;
    }
    json_scan_init(&scan, text);
    return json_scan_value(&scan, out);
}

bool control_bus_member(const struct json_value *object, const char *name,
                        struct json_value *out)
{
    struct json_scan it = json_iter(object);
    struct json_value key, value;
    bool found = false;
    while (object->type == JSON_OBJECT && json_next_member(&it, &key, &value))
        if (json_string_is(&key, name)) {
            *out = value;
            found = true;
        }
    return found;
}

struct slice control_bus_text(struct exchange *x, const struct json_value *object,
                              const char *name)
{
    struct json_value value;
    struct buf text = {0};
    if (!control_bus_member(object, name, &value) || value.type != JSON_STRING)
        return (struct slice){0};
    json_unescape(&value, &text);
    struct slice kept = arena_copy(exchange_arena(x), buf_slice(&text));
    buf_deinit(&text);
    return kept.ptr ? kept : SLICE("");
}

/* -------------------------------------------------------------------------- events */

static bool read_number(struct exchange *x, const char *name, uint64_t max, uint64_t *n)
{
    struct slice value;
    if (!control_parameter(exchange_request(x), name, &value) || slice_to_u64(value, max, n))
        return true;
    control_invalid(x, "%s is a number of at most %llu", name, (unsigned long long)max);
    return false;
}

static bool read_word(struct exchange *x, const char *name, struct slice *word)
{
    struct slice value;
    if (!control_parameter(exchange_request(x), name, &value))
        return true;
    if (path_decode(value, exchange_arena(x), word))
        return true;
    control_invalid(x, "%s is not percent-encoded as it should be", name);
    return false;
}

static bool read_from(struct exchange *x, struct follow_request *r)
{
    struct slice from = {0};
    uint64_t time_ms = 0, last = 0, seq = 0;
    if (!read_word(x, "from", &from) || !read_number(x, "time", INT64_MAX, &time_ms) ||
        !read_number(x, "last", LAST_MAX, &last))
        return false;
    r->from = FOLLOW_AFTER;
    if (time_ms) {
        r->from = FOLLOW_TIME;
        r->time_ms = (int64_t)time_ms;
    } else if (last) {
        r->from = FOLLOW_LAST;
        r->after = last;
    } else if (slice_is(from, "new") || (!from.len && r->goes_on)) {
        r->from = FOLLOW_NEW;
    } else if (!from.len || slice_is(from, "first")) {
        r->from = FOLLOW_FIRST;
    } else {
        if (!slice_to_u64(from, INT64_MAX, &seq)) {
            control_invalid(x, "from is first, new, or the seq of a message");
            return false;
        }
        r->after = seq ? seq - 1 : 0;
    }
    return true;
}

static void show_events(struct control *c, struct exchange *x)
{
    struct follow_request r = {.format = FOLLOW_NDJSON};
    struct slice follow = {0};
    if (!read_word(x, "follow", &follow) || !read_word(x, "topic", &r.pattern) ||
        !read_word(x, "stream", &r.stream) || !read_number(x, "limit", INT64_MAX, &r.limit))
        return;
    const char *why = r.pattern.len ? topic_pattern_check(r.pattern) : NULL;
    r.goes_on = slice_is(follow, "1");
    if (why)
        control_invalid(x, "topic is no pattern of topics: %s", why);
    else if (read_from(x, &r) && (is_unused(c) || control_bus_open(c, x, false)))
        follow_begin(c->host.follow, x, &r);
}

/* ----------------------------------------------------------------------------- bus */

struct describing {
    struct bus_job job;
    struct buf out;
};

static void on_described(void *arg)
{
    struct describing *d = arg;
    struct exchange *x = bus_job_end(&d->job);
    struct buf out = {0};
    bool closes = d->out.len == 2; /* "{}" */
    buf_adds(&out, closes ? "{\"open\":true" : "{\"open\":true,");
    buf_add(&out, slice_from(buf_slice(&d->out), 1));
    buf_addc(&out, '\n');
    if (x)
        control_answer(x, buf_slice(&out));
    buf_deinit(&out);
    buf_deinit(&d->out);
    xfree(d);
}

static void show_bus(struct control *c, struct exchange *x)
{
    if (is_unused(c)) {
        control_answer(x, SLICE("{\"open\":false,\"streams\":[],\"groups\":[],"
                                "\"schedules\":[]}\n"));
        return;
    }
    struct bus *bus = control_bus_open(c, x, /* opens= */ false);
    if (!bus)
        return;
    struct describing *d = xcalloc(1, sizeof(*d));
    bus_job_begin(&d->job, x);
    bus_describe(bus, &d->out, on_described, d);
}

struct question {
    struct bus_job job;
    struct op_query op;
    struct buf rows;
    char *text;
};

/* A line for each row, the columns' names first. */
static void on_asked(struct op *op)
{
    struct question *q = container_of(op, struct question, op.op);
    struct exchange *x = bus_job_end(&q->job);
    struct buf out = {0};
    struct slice rest = buf_slice(&q->rows);
    if (x && !control_bus_failed(x, op)) {
        const char *before = "{\"columns\":";
        size_t line = 0;
        for (const char *end; rest.len && (end = memchr(rest.ptr, '\n', rest.len)); line++) {
            size_t len = (size_t)(end - rest.ptr);
            buf_adds(&out, before);
            buf_add(&out, (struct slice){rest.ptr, len});
            rest = slice_from(rest, len + 1);
            before = line ? ",\n" : ",\"rows\":[\n";
        }
        buf_adds(&out, line > 1 ? "]}\n" : ",\"rows\":[]}\n");
        control_answer(x, buf_slice(&out));
    }
    buf_deinit(&out);
    buf_deinit(&q->rows);
    xfree(q->text);
    xfree(q);
}

static void ask_sql(struct control *c, struct exchange *x)
{
    struct json_value body, limit;
    uint64_t rows = 1000;
    if (!control_bus_body(x, &body))
        return;
    struct slice text = control_bus_text(x, &body, "sql");
    if (!text.len ||
        (control_bus_member(&body, "limit", &limit) && !json_to_u64(&limit, ROWS_MAX, &rows))) {
        control_invalid(x, "the body is {\"sql\": \"SELECT ...\", \"limit\": 1..%d}", ROWS_MAX);
        return;
    }
    struct bus *bus = control_bus_open(c, x, /* opens= */ true);
    if (!bus)
        return;
    struct question *q = xcalloc(1, sizeof(*q));
    q->text = xstrndup(text.ptr, text.len);
    q->op = (struct op_query){.op = {.kind = OP_QUERY, .done = on_asked},
                              .text = slice_of(q->text),
                              .limit = MAX(rows, 1),
                              .rows = &q->rows};
    bus_job_begin(&q->job, x);
    engine_submit(bus_engine(bus), &q->op.op);
}

struct copying {
    struct bus_job job;
    struct op_backup op;
    char *path;
};

static void on_copied(struct op *op)
{
    struct copying *b = container_of(op, struct copying, op.op);
    struct exchange *x = bus_job_end(&b->job);
    struct buf out = {0};
    if (x && !control_bus_failed(x, op)) {
        buf_adds(&out, "{\"path\":");
        json_write(&out, slice_of(b->path));
        buf_adds(&out, "}\n");
        control_answer(x, buf_slice(&out));
    }
    buf_deinit(&out);
    xfree(b->path);
    xfree(b);
}

static void back_up(struct control *c, struct exchange *x)
{
    struct json_value body;
    if (!control_bus_body(x, &body))
        return;
    struct slice path = control_bus_text(x, &body, "path");
    if (!path.len || path.ptr[0] != '/' || memchr(path.ptr, '\0', path.len)) {
        control_invalid(x, "the body is {\"path\": \"/...\"}, of a file that is not there yet");
        return;
    }
    struct bus *bus = control_bus_open(c, x, /* opens= */ true);
    if (!bus)
        return;
    struct copying *b = xcalloc(1, sizeof(*b));
    b->path = xstrndup(path.ptr, path.len);
    b->op = (struct op_backup){.op = {.kind = OP_BACKUP, .done = on_copied}, .path = b->path};
    bus_job_begin(&b->job, x);
    engine_submit(bus_engine(bus), &b->op.op);
}

/* ----------------------------------------------------------------------- endpoints */

bool control_bus(struct control *c, struct exchange *x)
{
    static const struct {
        const char *path, *method;
        void (*serve)(struct control *, struct exchange *);
    } endpoints[] = {{"/v1/publish", "POST", control_publish},
                     {"/v1/events", "GET", show_events},
                     {"/v1/bus", "GET", show_bus},
                     {"/v1/bus/sql", "POST", ask_sql},
                     {"/v1/bus/backup", "POST", back_up},
                     {"/v1/bus/drop", "POST", control_drop_stream}};
    const struct http_request *req = exchange_request(x);
    static const struct slice dead = {"/v1/dead", 8}, groups = {"/v1/groups/", 11};
    for (size_t i = 0; i < ARRAY_LEN(endpoints); i++) {
        if (!slice_is(req->path, endpoints[i].path))
            continue;
        if (slice_is(req->method, endpoints[i].method))
            endpoints[i].serve(c, x);
        else
            control_refuse_method(x, endpoints[i].method);
        return true;
    }
    if (slice_is(req->path, "/v1/dead") || slice_starts(req->path, SLICE("/v1/dead/")))
        control_dead(c, x, slice_from(req->path, dead.len));
    else if (slice_starts(req->path, groups))
        control_groups(c, x, slice_from(req->path, groups.len));
    else
        return false;
    return true;
}
