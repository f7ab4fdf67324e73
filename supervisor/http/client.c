#include "http/client.h"

#include <assert.h>
#include <stdio.h>

#include "http/field.h"

enum {
    FETCH_TIMEOUT_MS = 30 * 1000,
    FETCH_BODY_MAX = 64 << 20,
    DATA_KEEP = 4096, /* a larger buffer for chunks is not kept for the next answer */
};

/* --------------------------------------------------------------------- write */

static bool target_valid(struct slice target)
{
    for (size_t i = 0; i < target.len; i++)
        if ((unsigned char)target.ptr[i] <= 0x20 || target.ptr[i] == 0x7f)
            return false;
    return target.len > 0;
}

static bool has_field(const struct client_request *request, const char *name)
{
    for (size_t i = 0; i < request->field_count; i++)
        if (slice_eq_nocase(request->fields[i].name, slice_of(name)))
            return true;
    return false;
}

static int check_request(const struct client_request *request, struct slice method,
                         struct slice target, struct err *err)
{
    if (!token_valid(method))
        return err_set(err, UV_EINVAL, "\"" SLICE_FMT "\" is no HTTP method",
                       SLICE_ARG(method));
    if (!target_valid(target))
        return err_set(err, UV_EINVAL,
                       "\"" SLICE_FMT "\" is no path: blanks and control characters must be "
                       "percent-encoded",
                       SLICE_ARG(target));
    if (request->host && !value_valid(slice_of(request->host)))
        return err_set(err, UV_EINVAL, "\"%s\" is no host", request->host);
    for (size_t i = 0; i < request->field_count; i++) {
        const struct field *field = &request->fields[i];
        if (!token_valid(field->name) || !value_valid(field->value))
            return err_set(err, UV_EINVAL,
                           "\"" SLICE_FMT ": " SLICE_FMT "\" is no header field",
                           SLICE_ARG(field->name), SLICE_ARG(field->value));
    }
    return 0;
}

/* A body's length is said even when it is 0, unless the method has no body anyway. */
static bool says_length(const struct client_request *request, struct slice method)
{
    if (has_field(request, "content-length") || has_field(request, "transfer-encoding"))
        return false;
    return request->body.len || !(slice_is(method, "GET") || slice_is(method, "HEAD"));
}

int client_request_write(const struct client_request *request, struct buf *out, struct err *err)
{
    struct slice method = slice_of(request->method ? request->method : "GET");
    struct slice target = slice_of(request->target ? request->target : "/");
    const char *host = request->host;
    if (!host)
        host = strncmp(request->address, "unix:", 5) ? request->address : "localhost";
    int rc = check_request(request, method, target, err);
    if (rc)
        return rc;
    buf_addf(out, SLICE_FMT " " SLICE_FMT " HTTP/1.1\r\n", SLICE_ARG(method),
             SLICE_ARG(target));
    if (!has_field(request, "host"))
        buf_addf(out, "Host: %s\r\n", host);
    if (says_length(request, method))
        buf_addf(out, "Content-Length: %zu\r\n", request->body.len);
    for (size_t i = 0; i < request->field_count; i++)
        buf_addf(out, SLICE_FMT ": " SLICE_FMT "\r\n", SLICE_ARG(request->fields[i].name),
                 SLICE_ARG(request->fields[i].value));
    buf_adds(out, "\r\n");
    buf_add(out, request->body);
    return 0;
}

/* ------------------------------------------------------------------- failing */

static void fail(struct client *c, enum client_failure failure, int code, const char *why)
{
    c->state = CLIENT_ENDED;
    timer_stop(c->loop, &c->limit);
    stream_pause(&c->stream);
    c->ops->failed(c, failure, code, why);
}

static void fail_connect(struct client *c, enum client_failure failure, int code)
{
    char why[400];
    if (c->nth + 1 < c->peer->count) {
        c->again = true;
        stream_close(&c->stream);
        return;
    }
    snprintf(why, sizeof(why), "cannot connect to %s: %s", c->peer->name, loop_strerror(code));
    fail(c, failure, code, why);
}

static void on_late(struct timer *timer)
{
    struct client *c = container_of(timer, struct client, limit);
    if (c->state == CLIENT_OPENING)
        fail_connect(c, CLIENT_TIMEOUT, UV_ETIMEDOUT);
    else
        fail(c, CLIENT_TIMEOUT, UV_ETIMEDOUT, "no answer came in time");
}

/* ------------------------------------------------------------------- reading */

/* The state is told first: the owner may send the next request from `answered`. */
static void answered(struct client *c)
{
    bool reusable = c->answer.keep_alive && !c->stream.ended && !c->sending;
    timer_stop(c->loop, &c->limit);
    if (c->answer.data.cap > DATA_KEEP)
        buf_deinit(&c->answer.data);
    c->state = reusable ? CLIENT_IDLE : CLIENT_ENDED;
    c->ops->answered(c);
}

static void invalid(struct client *c, const char *why)
{
    char text[200];
    snprintf(text, sizeof(text), "the answer is not valid HTTP: %s", why);
    fail(c, CLIENT_INVALID, UV_EPROTO, text);
}

/* Takes one step; false when there is nothing more to do with these bytes. */
static bool step(struct client *c, struct slice *bytes)
{
    struct answer_step found;
    enum answer_event event = answer_read(&c->answer, *bytes, &found);
    *bytes = slice_from(*bytes, found.used);
    c->received += found.used;
    switch (event) {
    case ANSWER_GOT_INTERIM:
        c->ops->interim(c, &found.head);
        return true;
    case ANSWER_GOT_HEAD:
        c->ops->head(c, &found.head);
        return true;
    case ANSWER_GOT_BODY:
        c->ops->body(c, found.body);
        return true;
    case ANSWER_GOT_END:
        if (bytes->len)
            invalid(c, "more came than its header said");
        else
            answered(c);
        return false;
    case ANSWER_GOT_BAD:
        invalid(c, found.why);
        return false;
    default:
        return false;
    }
}

static size_t on_data(struct stream *s, struct slice bytes)
{
    struct client *c = container_of(s, struct client, stream);
    struct slice rest = bytes;
    if (c->state == CLIENT_IDLE) {
        fail(c, CLIENT_INVALID, UV_EPROTO, "the server sent what nobody asked for");
        return bytes.len;
    }
    c->heard = true;
    while (c->state == CLIENT_BUSY && !s->closed && step(c, &rest))
        ;
    size_t used = c->state == CLIENT_BUSY ? bytes.len - rest.len : bytes.len;
    return used;
}

static void on_ended(struct stream *s, int status)
{
    struct client *c = container_of(s, struct client, stream);
    if (c->state == CLIENT_ENDED)
        return; /* it was told why already */
    if (c->state == CLIENT_BUSY && status == UV_EOF && answer_ends(&c->answer)) {
        answered(c);
        return;
    }
    const char *why = c->state == CLIENT_IDLE ? "the server closed the connection"
                      : status == UV_EOF      ? "the connection ended before the answer did"
                                              : loop_strerror(status);
    fail(c, CLIENT_CLOSED, status, why);
}

static void on_eased(struct stream *s)
{
    struct client *c = container_of(s, struct client, stream);
    if (c->state == CLIENT_BUSY && c->ops->eased)
        c->ops->eased(c);
}

static void on_gone(struct stream *s);
static const struct stream_ops stream_ops = {
    .data = on_data,
    .ended = on_ended,
    .drained = on_eased,
    .gone = on_gone,
    .eased = on_eased,
};

/* ------------------------------------------------------------------- opening */

static void on_connected(struct connect *connect, int status)
{
    struct client *c = container_of(connect, struct client, connect);
    timer_stop(c->loop, &c->limit);
    if (status) {
        fail_connect(c, CLIENT_CONNECT, status);
        return;
    }
    c->state = CLIENT_IDLE;
    stream_start(&c->stream, 2 * ANSWER_HEAD_BYTES);
    c->ops->opened(c);
}

static void attempt(struct client *c)
{
    c->again = false;
    timer_start(c->loop, &c->limit, c->attempt_ms, on_late);
    connect_start(&c->connect, &c->stream, c->loop, c->peer, c->nth, &stream_ops, on_connected);
}

static void on_gone(struct stream *s)
{
    struct client *c = container_of(s, struct client, stream);
    if (c->again) {
        c->nth++;
        attempt(c);
        return;
    }
    answer_deinit(&c->answer);
    c->ops->gone(c);
}

void client_open(struct client *c, struct loop *loop, const struct peer *peer,
                 uint64_t timeout_ms, const struct client_ops *ops)
{
    *c = (struct client){
        .loop = loop,
        .peer = peer,
        .ops = ops,
        .state = CLIENT_OPENING,
        .attempt_ms = MAX(timeout_ms / peer->count, (uint64_t)1),
    };
    attempt(c);
}

static void begin(struct client *c, bool is_head)
{
    assert(c->state == CLIENT_IDLE);
    answer_init(&c->answer, is_head);
    c->answer.tells_interim = c->ops->interim;
    c->state = CLIENT_BUSY;
    c->sending = c->heard = false;
    c->begun_at = stream_position(&c->stream);
}

void client_send(struct client *c, struct slice request, bool is_head, uint64_t timeout_ms)
{
    begin(c, is_head);
    stream_write(&c->stream, request);
    stream_flush(&c->stream); /* one request a turn: waiting would gather nothing */
    timer_start(c->loop, &c->limit, timeout_ms, on_late);
}

void client_begin(struct client *c, const struct client_ask *ask)
{
    begin(c, ask->is_head);
    c->answer.may_switch = ask->may_switch;
    c->sending = ask->more;
    stream_write(&c->stream, ask->head);
    client_limit(c, ask->timeout_ms);
}

void client_write(struct client *c, struct slice bytes)
{
    stream_write(&c->stream, bytes);
}

void client_finish(struct client *c)
{
    c->sending = false;
}

void client_shutdown(struct client *c)
{
    stream_shutdown(&c->stream);
}

void client_limit(struct client *c, uint64_t timeout_ms)
{
    if (timeout_ms)
        timer_start(c->loop, &c->limit, timeout_ms, on_late);
    else
        timer_stop(c->loop, &c->limit);
}

void client_pause(struct client *c)
{
    stream_pause(&c->stream);
}

void client_resume(struct client *c)
{
    stream_resume(&c->stream);
}

void client_close(struct client *c)
{
    c->state = CLIENT_ENDED;
    c->again = false;
    timer_stop(c->loop, &c->limit);
    stream_close(&c->stream);
}

/* --------------------------------------------------------------------- fetch */

struct fetch {
    struct loop loop;
    struct client client;
    struct peer peer;
    struct buf wire;
    const struct client_request *request;
    struct client_response response;
    struct err *err;
    uint64_t until_ms;
    size_t body_max;
    bool connected;
    int rc;
};

static struct fetch *fetch_of(struct client *c)
{
    return container_of(c, struct fetch, client);
}

static void on_fetch_opened(struct client *c)
{
    struct fetch *f = fetch_of(c);
    uint64_t now = loop_now(&f->loop);
    f->connected = true;
    const char *method = f->request->method;
    client_send(c, buf_slice(&f->wire), method && strcmp(method, "HEAD") == 0,
                f->until_ms > now ? f->until_ms - now : 0);
}

static void on_fetch_head(struct client *c, const struct answer_head *head)
{
    struct client_response *r = &fetch_of(c)->response;
    r->status = head->status;
    r->field_count = head->field_count;
    r->fields = arena_alloc(&r->arena, head->field_count * sizeof(*r->fields));
    for (size_t i = 0; i < head->field_count; i++)
        r->fields[i] = (struct field){arena_copy(&r->arena, head->fields[i].name),
                                      arena_copy(&r->arena, head->fields[i].value)};
}

static void on_fetch_body(struct client *c, struct slice bytes)
{
    struct fetch *f = fetch_of(c);
    if (bytes.len > f->body_max - f->response.body.len) {
        f->rc =
            err_set(f->err, UV_EMSGSIZE, "the answer is larger than %zu bytes", f->body_max);
        client_close(c);
        return;
    }
    buf_add(&f->response.body, bytes);
}

static void on_fetch_answered(struct client *c)
{
    fetch_of(c)->rc = 0;
    client_close(c);
}

static void on_fetch_failed(struct client *c, enum client_failure failure, int code,
                            const char *why)
{
    struct fetch *f = fetch_of(c);
    (void)failure;
    f->rc = f->connected ? err_set(f->err, code, "%s: %s", f->peer.name, why)
                         : err_set(f->err, code, "%s", why);
    client_close(c);
}

static void on_fetch_gone(struct client *c)
{
    (void)c; /* the loop ends with its last handle */
}

static const struct client_ops fetch_ops = {
    .opened = on_fetch_opened,
    .head = on_fetch_head,
    .body = on_fetch_body,
    .answered = on_fetch_answered,
    .failed = on_fetch_failed,
    .gone = on_fetch_gone,
};

static void fetch_run(struct fetch *f)
{
    uint64_t limit = f->request->timeout_ms ? f->request->timeout_ms : FETCH_TIMEOUT_MS;
    f->until_ms = loop_now(&f->loop) + limit;
    f->body_max = f->request->body_max ? f->request->body_max : FETCH_BODY_MAX;
    client_open(&f->client, &f->loop, &f->peer, limit, &fetch_ops);
    loop_run(&f->loop);
}

int client_fetch(const struct client_request *request, struct client_response *response,
                 struct err *err)
{
    struct fetch *f = xcalloc(1, sizeof(*f));
    f->request = request;
    f->err = err;
    f->rc = loop_init(&f->loop);
    if (f->rc) {
        int rc = err_set(err, f->rc, "cannot start an event loop: %s", loop_strerror(f->rc));
        xfree(f);
        return rc;
    }
    f->rc = peer_resolve(&f->peer, &f->loop, request->address, err);
    if (f->rc == 0)
        f->rc = client_request_write(request, &f->wire, err);
    if (f->rc == 0)
        fetch_run(f);
    if (f->rc == 0)
        *response = f->response;
    else
        client_response_deinit(&f->response);
    int rc = f->rc;
    buf_deinit(&f->wire);
    IGNORE(loop_deinit(&f->loop)); /* every handle is gone: the loop ran to its end */
    xfree(f);
    return rc;
}

void client_response_deinit(struct client_response *response)
{
    buf_deinit(&response->body);
    arena_deinit(&response->arena);
    *response = (struct client_response){0};
}

struct slice client_response_field(const struct client_response *response, const char *name)
{
    for (size_t i = 0; i < response->field_count; i++)
        if (slice_is(response->fields[i].name, name))
            return response->fields[i].value;
    return (struct slice){0};
}
