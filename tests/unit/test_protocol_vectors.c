/*
 * The shared vectors (protocol/vectors/README.md), run against the C codec.  One test for
 * each file; every line that fails is named.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/base64.h"
#include "protocol/c/frame.h"
#include "protocol/c/ready.h"
#include "tests/unit/tree.h"

#include <cmocka.h>

enum { MAX_FIELDS = 16 };

/* One line of a file, taken apart. */
struct vector {
    json_t *tree;
    const char *name;
    struct buf line;
    bool failed;
};

typedef void check_fn(struct vector *);

static void fail_vector(struct vector *v, const char *fmt, ...) PRINTF_LIKE(2, 3);

static void fail_vector(struct vector *v, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    fprintf(stderr, "    %s: ", v->name);
    vfprintf(stderr, fmt, args);
    fputc('\n', stderr);
    va_end(args);
    v->failed = true;
}

static const char *text_of(const json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));
    return text ? text : "";
}

static struct slice slice_of_string(const json_t *string)
{
    return (struct slice){json_string_value(string), json_string_length(string)};
}

static json_t *tree_of_raw(struct slice raw)
{
    json_t *tree = json_loadb(raw.ptr, raw.len, JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL);
    assert_non_null(tree);
    return tree;
}

static json_t *tree_of_buf(struct buf *b)
{
    json_t *tree = json_stringn(b->len ? b->ptr : "", b->len);
    assert_non_null(tree);
    buf_deinit(b);
    return tree;
}

static json_t *tree_of_string(const struct json_value *string)
{
    struct buf text = {0};
    json_unescape(string, &text);
    return tree_of_buf(&text);
}

/* Runs a check for each line of a file; returns how many lines there were. */
static size_t each_vector(const char *path, check_fn *check)
{
    FILE *file = fopen(path, "r");
    char *text = NULL;
    size_t cap = 0, count = 0, failed = 0;
    assert_non_null(file);
    while (getline(&text, &cap, file) > 0) {
        struct vector v = {.tree = json_loads(text, JSON_ALLOW_NUL, NULL)};
        assert_non_null(v.tree);
        v.name = text_of(v.tree, "name");
        const json_t *line = json_object_get(v.tree, "line");
        if (line)
            buf_add(&v.line, slice_of_string(line));
        else
            assert_true(base64_decode(&v.line, slice_of(text_of(v.tree, "line64"))));
        check(&v);
        count++;
        failed += v.failed;
        buf_deinit(&v.line);
        json_decref(v.tree);
    }
    free(text); /* getline's */
    fclose(file);
    assert_int_equal(failed, 0);
    return count;
}

static const char *const verdict_names[] = {
    [FRAME_OK] = "ok",
    [FRAME_EMPTY] = "empty",
    [FRAME_STRAY] = "stray",
    [FRAME_BROKEN] = "broken",
};

static const char *const kind_names[] = {
    [FRAME_RESPONSE] = "response", [FRAME_CHUNK] = "chunk",     [FRAME_END] = "end",
    [FRAME_CREDIT] = "credit",     [FRAME_MESSAGE] = "message", [FRAME_INFO] = "info",
    [FRAME_READY] = "ready",       [FRAME_ERROR] = "error",     [FRAME_ASK] = "ask",
    [FRAME_ANSWER] = "answer",     [FRAME_CANCEL] = "cancel",   [FRAME_PONG] = "pong",
    [FRAME_LOG] = "log",           [FRAME_DRAIN] = "drain",     [FRAME_PUBLISH] = "publish",
    [FRAME_ACK] = "ack",           [FRAME_NACK] = "nack",       [FRAME_PROGRESS] = "progress",
    [FRAME_SEEK] = "seek",         [FRAME_UNKNOWN] = "unknown",
};

/* NULL when there is no id. */
static json_t *tree_of_id(const struct frame_id *id)
{
    return id->kind == FRAME_ID_NONE ? NULL : tree_of_raw(id->raw);
}

static json_t *tree_of_headers(const struct json_value *headers)
{
    json_t *tree = json_object();
    struct json_scan it = json_iter(headers);
    struct json_value key, value;
    while (json_next_member(&it, &key, &value)) {
        struct buf name = {0};
        json_unescape(&key, &name);
        json_object_setn_new(tree, name.ptr, name.len, tree_of_raw(value.raw));
        buf_deinit(&name);
    }
    return tree;
}

static void put(json_t *tree, const char *name, json_t *value)
{
    if (value)
        json_object_set_new(tree, name, value);
}

static void put_string(json_t *tree, const char *name, const struct json_value *string)
{
    if (string->raw.len)
        put(tree, name, tree_of_string(string));
}

static void put_any(json_t *tree, const char *name, const struct json_value *value)
{
    if (value->raw.len)
        put(tree, name, tree_of_raw(value->raw));
}

static void put_count(json_t *tree, const char *name, uint64_t n, bool there)
{
    if (there)
        put(tree, name, json_integer((json_int_t)n));
}

static void put_body(json_t *tree, const struct frame *f)
{
    struct buf bytes = {0};
    size_t size;
    frame_body_decode(f, &bytes);
    if (frame_body_size(f, &size))
        assert_int_equal(size, bytes.len);
    if (f->body_kind == FRAME_BODY_TEXT)
        put(tree, "body", json_stringn(bytes.len ? bytes.ptr : "", bytes.len));
    if (f->body_kind == FRAME_BODY_JSON)
        put(tree, "json", tree_of_raw(buf_slice(&bytes)));
    if (f->body_kind == FRAME_BODY_BASE64) {
        struct buf digits = {0};
        base64_encode(&digits, buf_slice(&bytes));
        put(tree, "body64", tree_of_buf(&digits));
    }
    buf_deinit(&bytes);
}

static json_t *tree_of_start(const struct frame_start *start)
{
    switch (start->kind) {
    case FRAME_START_NEW:
        return json_string("new");
    case FRAME_START_FIRST:
        return json_string("first");
    default:
        return json_pack("{s:I}", start->kind == FRAME_START_SEQ ? "seq" : "time",
                         (json_int_t)start->number);
    }
}

/* Of messages and of what becomes of them. */
static void put_bus(json_t *tree, const struct frame *f)
{
    put_string(tree, "topic", &f->topic);
    put_string(tree, "queue", &f->queue);
    put_any(tree, "key", &f->key);
    put_string(tree, "msgid", &f->msgid);
    put_string(tree, "cause", &f->cause);
    put_string(tree, "correlation", &f->correlation);
    put_string(tree, "traceparent", &f->traceparent);
    put_count(tree, "at", f->at_ms, f->has_at);
    put_count(tree, "delay", f->delay_ms, f->has_delay);
    put_any(tree, "publish", &f->outputs);
    if (f->dead)
        put(tree, "dead", json_true());
    put_any(tree, "error", &f->failure);
    put_string(tree, "group", &f->group);
    if (f->kind == FRAME_SEEK)
        put(tree, "to", tree_of_start(&f->to));
}

/* What was read, in the words of the vectors. */
static json_t *tree_of_frame(const struct frame *f)
{
    json_t *tree = json_object();
    if (f->prefix.len)
        put(tree, "prefix", json_stringn(f->prefix.ptr, f->prefix.len));
    if (f->kind == FRAME_UNKNOWN)
        put(tree, "type", json_stringn(f->type.ptr, f->type.len));
    put_count(tree, "status", f->status, f->status);
    put_string(tree, "reason", &f->reason);
    if (f->headers.raw.len)
        put(tree, f->kind == FRAME_END ? "trailers" : "headers", tree_of_headers(&f->headers));
    put_body(tree, f);
    if (f->more)
        put(tree, "more", json_true());
    put_string(tree, "file", &f->file);
    put_count(tree, "offset", f->offset, f->offset);
    put_count(tree, "length", f->length, f->has_length);
    put_count(tree, "bytes", f->bytes, f->bytes);
    put_count(tree, "code", f->close_code, f->close_code);
    put_string(tree, "code", &f->code);
    put_string(tree, "message", &f->message);
    put_string(tree, "stack", &f->stack);
    put_any(tree, "data", &f->data);
    put_string(tree, "token", &f->token);
    put_any(tree,
            f->kind == FRAME_ASK      ? "args"
            : f->kind == FRAME_ANSWER ? "value"
                                      : "fields",
            &f->payload);
    put(tree, "for", tree_of_id(&f->for_id));
    put_count(tree, "timeout", f->timeout_ms, f->has_timeout);
    put_count(tree, "grace", f->grace_ms, f->grace_ms);
    put_count(tree, "inflight", f->inflight, f->inflight);
    put_count(tree, "rss", f->rss, f->rss);
    put_string(tree, "level", &f->level);
    put_bus(tree, f);
    return tree;
}

static void expect_equal(struct vector *v, const char *what, json_t *is, const json_t *must)
{
    if (!(is && must ? json_equal(is, must) : is == must)) {
        char *is_text = is ? json_dumps(is, JSON_ENCODE_ANY) : NULL;
        char *must_text = must ? json_dumps(must, JSON_ENCODE_ANY) : NULL;
        fail_vector(v, "%s is %s and must be %s", what, is_text ? is_text : "absent",
                    must_text ? must_text : "absent");
        free(is_text);
        free(must_text);
    }
    json_decref(is);
}

static json_t *tree_of_slices(const struct slice *list, size_t count)
{
    json_t *tree = json_array();
    for (size_t i = 0; i < count; i++)
        json_array_append_new(tree, json_stringn(list[i].ptr, list[i].len));
    return tree;
}

static json_t *tree_of_features(unsigned features)
{
    static const char *const names[] = {"stream", "cancel", "ask",     "nested", "events",
                                        "ping",   "ws",     "upgrade", "drain",  "sendfile"};
    json_t *tree = json_array();
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        if (features & (1u << i))
            json_array_append_new(tree, json_string(names[i]));
    }
    return tree;
}

static json_t *tree_of_routes(const struct ready *r)
{
    json_t *tree = json_array();
    for (size_t i = 0; i < r->route_count; i++) {
        const struct ready_route *route = &r->routes[i];
        json_t *item = json_object();
        put(item, "path", json_stringn(route->path.ptr, route->path.len));
        if (route->method.len)
            put(item, "method", json_stringn(route->method.ptr, route->method.len));
        put_count(item, "timeout", route->timeout_ms, route->timeout_ms);
        json_array_append_new(tree, item);
    }
    return tree;
}

static json_t *tree_of_subscription(const struct ready_subscription *s)
{
    json_t *item = json_object(), *backoff = json_array();
    put(item, s->job ? "queue" : "topic", json_stringn(s->topic.ptr, s->topic.len));
    if (s->group.len)
        put(item, "group", json_stringn(s->group.ptr, s->group.len));
    if (s->from.kind != FRAME_START_NEW)
        put(item, "from", tree_of_start(&s->from));
    if (s->each)
        put(item, "each", json_true());
    put_count(item, "max", s->max, s->max);
    put_count(item, "attempts", s->attempts, s->attempts);
    for (size_t i = 0; i < s->backoff_count; i++)
        json_array_append_new(backoff, json_integer((json_int_t)s->backoff[i]));
    if (s->backoff)
        put(item, "backoff", json_incref(backoff));
    json_decref(backoff);
    put_count(item, "timeout", s->timeout_ms, s->has_timeout);
    return item;
}

static json_t *tree_of_subscriptions(const struct ready *r, bool jobs)
{
    json_t *tree = json_array();
    for (size_t i = 0; i < r->subscription_count; i++)
        if (r->subscriptions[i].job == jobs)
            json_array_append_new(tree, tree_of_subscription(&r->subscriptions[i]));
    return tree;
}

static json_t *tree_of_ready(const struct ready *r)
{
    json_t *tree = json_object();
    put_count(tree, "protocol", r->protocol, true);
    put_count(tree, "concurrency", r->concurrency, true);
    put_count(tree, "prefetch", r->prefetch, true);
    put_count(tree, "window", r->window, true);
    put(tree, "features", tree_of_features(r->features));
    put(tree, "headers",
        r->headers == READY_HEADERS_LIST
            ? tree_of_slices(r->header_names, r->header_count)
            : json_string(r->headers == READY_HEADERS_ALL ? "all" : "none"));
    put(tree, "body", json_string(r->json_body ? "json" : "text"));
    put(tree, "routes", tree_of_routes(r));
    put(tree, "tokens", tree_of_slices(r->tokens, r->token_count));
    put(tree, "files", tree_of_slices(r->files, r->file_count));
    put(tree, "subscribe", tree_of_subscriptions(r, false));
    put(tree, "jobs", tree_of_subscriptions(r, true));
    put(tree, "sdk", json_stringn(r->sdk.len ? r->sdk.ptr : "", r->sdk.len));
    return tree;
}

static void check_ready(struct vector *v, struct slice line, const json_t *expect)
{
    struct ready ready;
    struct err err = {0};
    const json_t *fault = json_object_get(expect, "ready_fault");
    bool usable = ready_read(line, &ready, &err);
    if (usable == (fault != NULL)) {
        fail_vector(v, "ready_read() says \"%s\"", usable ? "usable" : err.text);
    } else if (!usable && !strstr(err.text, json_string_value(fault))) {
        fail_vector(v, "\"%s\" does not name \"%s\"", err.text, json_string_value(fault));
    } else if (usable) {
        json_t *tree = tree_of_ready(&ready);
        const char *key;
        json_t *must;
        json_object_foreach(json_object_get(expect, "ready"), key, must)
        {
            expect_equal(v, key, json_incref(json_object_get(tree, key)), must);
        }
        json_decref(tree);
    }
    if (usable)
        ready_deinit(&ready);
}

static void check_frame(struct vector *v, const struct frame *f, struct slice line)
{
    const json_t *expect = json_object_get(v->tree, "expect");
    const char *kind = text_of(v->tree, "kind");
    if (strcmp(kind, kind_names[f->kind]) != 0)
        fail_vector(v, "kind is %s and must be %s", kind_names[f->kind], kind);
    if (f->kind == FRAME_READY)
        check_ready(v, line, expect);
    if (!expect)
        return;
    json_t *members = json_deep_copy(expect);
    json_object_del(members, "ready");
    json_object_del(members, "ready_fault");
    expect_equal(v, "the frame", tree_of_frame(f), members);
    json_decref(members);
}

static void check_from_worker(struct vector *v)
{
    struct buf scratch = {0};
    struct slice line = buf_slice(&v->line);
    struct frame f;
    enum frame_verdict verdict = frame_read(line, &f);
    if (verdict == FRAME_OK && f.dirty) {
        line = frame_line_clean(line, &scratch);
        verdict = frame_read(line, &f);
        if (f.dirty)
            fail_vector(v, "still dirty after mending");
    }
    const char *must = text_of(v->tree, "verdict");
    const char *fault = text_of(v->tree, "fault");
    if (strcmp(must, verdict_names[verdict]) != 0) {
        fail_vector(v, "verdict is %s and must be %s (%s)", verdict_names[verdict], must,
                    f.fault ? f.fault : "no fault");
    } else {
        if ((verdict == FRAME_BROKEN || verdict == FRAME_STRAY) && !f.fault)
            fail_vector(v, "no fault is told");
        else if (!strstr(f.fault ? f.fault : "", fault))
            fail_vector(v, "\"%s\" does not say \"%s\"", f.fault, fault);
        expect_equal(v, "id", tree_of_id(&f.id), json_object_get(v->tree, "id"));
        if (verdict == FRAME_OK)
            check_frame(v, &f, line);
    }
    buf_deinit(&scratch);
}

/* A member's value as the line has it; empty when it has none. */
static struct slice raw_member(const struct vector *v, const char *name)
{
    const struct json_value object = {.type = JSON_OBJECT, .raw = buf_slice(&v->line)};
    struct json_scan it = json_iter(&object);
    struct json_value key, value;
    while (json_next_member(&it, &key, &value)) {
        if (json_string_is(&key, name))
            return value.raw;
    }
    return (struct slice){"", 0};
}

/* The fields of `headers` or `params`, an array as several; `bytes` holds what they name. */
static size_t read_fields(const json_t *object, bool latin1, struct field *fields,
                          struct arena *bytes)
{
    const char *key;
    json_t *value;
    size_t count = 0;
    json_object_foreach((json_t *)object, key, value)
    {
        size_t values = tree_is(value, TREE_ARRAY) ? json_array_size(value) : 1;
        for (size_t i = 0; i < values; i++) {
            const json_t *item = tree_is(value, TREE_ARRAY) ? json_array_get(value, i) : value;
            struct slice text = slice_of_string(item);
            struct buf quoted = {0}, plain = {0};
            json_write(&quoted, text);
            const struct json_value string = {JSON_STRING, true, buf_slice(&quoted)};
            if (latin1)
                assert_true(json_unescape_latin1(&string, &plain));
            else
                json_unescape(&string, &plain);
            assert_true(count < MAX_FIELDS);
            fields[count++] = (struct field){arena_copy(bytes, slice_of(key)),
                                             arena_copy(bytes, buf_slice(&plain))};
            buf_deinit(&quoted);
            buf_deinit(&plain);
        }
    }
    return count;
}

static uint64_t count_of(const json_t *object, const char *key)
{
    return (uint64_t)json_integer_value(json_object_get(object, key));
}

static void add_body(const json_t *expect, struct buf *bytes)
{
    if (json_object_get(expect, "body64"))
        assert_true(base64_decode(bytes, slice_of(text_of(expect, "body64"))));
    else if (json_object_get(expect, "body"))
        buf_add(bytes, slice_of_string(json_object_get(expect, "body")));
}

static void write_request(const struct vector *v, const json_t *expect, struct buf *out)
{
    struct arena arena = {0};
    struct field headers[MAX_FIELDS], params[MAX_FIELDS];
    struct buf bytes = {0}, tail = {0};
    struct frame_request r = {
        .method = slice_of(text_of(expect, "method")),
        .path = slice_of(text_of(expect, "path")),
        .has_query = json_object_get(expect, "query"),
        .query = slice_of(text_of(expect, "query")),
        .headers = headers,
        .header_count = read_fields(json_object_get(expect, "headers"), true, headers, &arena),
        .ip = slice_of(text_of(expect, "ip")),
        .https = strcmp(text_of(expect, "scheme"), "https") == 0,
        .params = params,
        .param_count = read_fields(json_object_get(expect, "params"), false, params, &arena),
        .token = slice_of(text_of(expect, "token")),
        .upgrade = slice_of(text_of(expect, "upgrade")),
        .more = json_object_get(expect, "more"),
        .body_as_json = json_object_get(expect, "json"),
    };
    if (json_object_get(v->tree, "raw"))
        buf_adds(&bytes, text_of(v->tree, "raw"));
    else if (r.body_as_json)
        buf_add(&bytes, raw_member(v, "json"));
    else
        add_body(expect, &bytes);
    r.body = buf_slice(&bytes);
    frame_write_request_tail(&tail, &r);
    frame_write_request(out, count_of(expect, "id"), count_of(expect, "timeout"),
                        buf_slice(&tail));
    buf_deinit(&bytes);
    buf_deinit(&tail);
    arena_deinit(&arena);
}

/* The strings of an array, NULL-terminated; NULL when there is none. */
static const char *const *read_list(const json_t *list, const char *into[MAX_FIELDS + 1])
{
    size_t count = json_array_size(list);
    assert_true(count <= MAX_FIELDS);
    for (size_t i = 0; i < count; i++)
        into[i] = json_string_value(json_array_get(list, i));
    into[count] = NULL;
    return list ? into : NULL;
}

static void write_hello(const json_t *expect, struct buf *out)
{
    const char *tokens[MAX_FIELDS + 1], *roots[MAX_FIELDS + 1];
    const json_t *limits = json_object_get(expect, "limits");
    frame_write_hello(out, &(struct frame_hello){
                               .server = slice_of(text_of(expect, "server")),
                               .worker = slice_of(text_of(expect, "worker")),
                               .instance = (unsigned)count_of(expect, "instance"),
                               .dev = json_object_get(expect, "dev"),
                               .max_line = count_of(limits, "max_line"),
                               .window = count_of(limits, "window"),
                               .tokens = read_list(json_object_get(expect, "tokens"), tokens),
                               .roots = read_list(json_object_get(expect, "roots"), roots),
                           });
}

static void write_piece(bool message, const json_t *expect, struct buf *out)
{
    struct buf bytes = {0};
    bool text = json_object_get(expect, "body");
    add_body(expect, &bytes);
    if (message)
        frame_write_message(out, count_of(expect, "id"), text, buf_slice(&bytes));
    else
        frame_write_chunk(out, count_of(expect, "id"), buf_slice(&bytes));
    buf_deinit(&bytes);
}

static void write_end(const json_t *expect, struct buf *out)
{
    struct arena arena = {0};
    struct field trailers[MAX_FIELDS];
    struct frame_end end = {
        .trailers = trailers,
        .trailer_count =
            read_fields(json_object_get(expect, "trailers"), true, trailers, &arena),
        .close_code = (unsigned)count_of(expect, "code"),
        .reason = slice_of(text_of(expect, "reason")),
    };
    frame_write_end(out, count_of(expect, "id"), &end);
    arena_deinit(&arena);
}

static void write_ask(const struct vector *v, const json_t *expect, struct buf *out)
{
    frame_write_ask(out, &(struct frame_ask){
                             .id = count_of(expect, "id"),
                             .token = slice_of(text_of(expect, "token")),
                             .from = slice_of(text_of(expect, "from")),
                             .timeout_ms = count_of(expect, "timeout"),
                             .depth = (unsigned)count_of(expect, "depth"),
                             .nested = json_object_get(expect, "nested"),
                             .args = raw_member(v, "args"),
                         });
}

static void write_event(const struct vector *v, const json_t *expect, struct buf *out)
{
    const char *queue = text_of(expect, "queue");
    frame_write_event(out, &(struct frame_event){
                               .id = count_of(expect, "id"),
                               .job = *queue,
                               .topic = slice_of(*queue ? queue : text_of(expect, "topic")),
                               .group = slice_of(text_of(expect, "group")),
                               .msgid = slice_of(text_of(expect, "msgid")),
                               .key = slice_of(text_of(expect, "key")),
                               .cause = slice_of(text_of(expect, "cause")),
                               .correlation = slice_of(text_of(expect, "correlation")),
                               .traceparent = slice_of(text_of(expect, "traceparent")),
                               .headers = raw_member(v, "headers"),
                               .seq = count_of(expect, "seq"),
                               .time_ms = (int64_t)count_of(expect, "time"),
                               .attempt = (unsigned)count_of(expect, "attempt"),
                               .last = json_object_get(expect, "last"),
                               .timeout_ms = count_of(expect, "timeout"),
                               .data = raw_member(v, "data"),
                               .file = slice_of(text_of(expect, "file")),
                               .size = count_of(expect, "size"),
                           });
}

/* False when there is no writer for this kind. */
static bool write_frame(const struct vector *v, const json_t *expect, struct buf *out)
{
    const char *kind = text_of(v->tree, "kind");
    if (strcmp(kind, "request") == 0)
        write_request(v, expect, out);
    else if (strcmp(kind, "hello") == 0)
        write_hello(expect, out);
    else if (strcmp(kind, "ask") == 0)
        write_ask(v, expect, out);
    else if (strcmp(kind, "chunk") == 0 || strcmp(kind, "message") == 0)
        write_piece(strcmp(kind, "message") == 0, expect, out);
    else if (strcmp(kind, "end") == 0)
        write_end(expect, out);
    else if (strcmp(kind, "credit") == 0)
        frame_write_credit(out, count_of(expect, "id"), count_of(expect, "bytes"));
    else if (strcmp(kind, "answer") == 0)
        frame_write_answer(out, raw_member(v, "id"), raw_member(v, "value"));
    else if (strcmp(kind, "error") == 0)
        frame_write_error(out, raw_member(v, "id"), text_of(expect, "code"),
                          slice_of(text_of(expect, "message")), raw_member(v, "data"));
    else if (strcmp(kind, "cancel") == 0)
        frame_write_cancel(out, count_of(expect, "id"), text_of(expect, "reason"));
    else if (strcmp(kind, "event") == 0)
        write_event(v, expect, out);
    else if (strcmp(kind, "ack") == 0)
        frame_write_published(out, raw_member(v, "id"), count_of(expect, "seq"),
                              json_object_get(expect, "duplicate"));
    else if (strcmp(kind, "gap") == 0)
        frame_write_gap(out, slice_of(text_of(expect, "group")), count_of(expect, "from"),
                        count_of(expect, "to"));
    else if (strcmp(kind, "ping") == 0)
        frame_write_ping(out, count_of(expect, "id"));
    else if (strcmp(kind, "drain") == 0)
        frame_write_drain(out, count_of(expect, "grace"));
    else if (strcmp(kind, "shutdown") == 0)
        frame_write_shutdown(out, count_of(expect, "grace"));
    else
        return false;
    return true;
}

static void check_to_worker(struct vector *v)
{
    if (!json_object_get(v->tree, "writer"))
        return;
    struct buf out = {0};
    struct buf must = {0};
    buf_add(&must, buf_slice(&v->line));
    buf_addc(&must, '\n');
    if (!write_frame(v, json_object_get(v->tree, "expect"), &out))
        fail_vector(v, "the C codec has no writer for it");
    else if (!slice_eq(buf_slice(&out), buf_slice(&must)))
        fail_vector(v, "wrote\n%sand must write\n%s", buf_cstr(&out), buf_cstr(&must));
    buf_deinit(&out);
    buf_deinit(&must);
}

static void what_workers_print_is_read_as_the_vectors_say(void **state)
{
    (void)state;
    assert_true(each_vector("protocol/vectors/from_worker.jsonl", check_from_worker) > 430);
}

static void what_the_supervisor_writes_is_what_the_vectors_say(void **state)
{
    (void)state;
    assert_true(each_vector("protocol/vectors/to_worker.jsonl", check_to_worker) > 180);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_workers_print_is_read_as_the_vectors_say),
        cmocka_unit_test(what_the_supervisor_writes_is_what_the_vectors_say),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
