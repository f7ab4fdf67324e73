#include "app/flight.h"

#include <assert.h>
#include <stdio.h>
#include <time.h>

#include "app/compress.h"
#include "app/identity.h"
#include "app/line.h"
#include "app/outflow.h"
#include "app/reply.h"

enum {
    MARK_MS = 10 * 1000,   /* nobody waits for what could not be kept */
    BATCH_COUNT = 256,     /* who waited is answered in this many at a time, */
    BATCH_BYTES = 4 << 20, /* or so much: all at once could be the memory of thousands */
};

struct flight {
    struct call call;
    struct keymap_node node; /* in cached->open, while it may be joined */
    struct list link;        /* in cached->flights */
    struct list waiters;     /* struct waiter.node */
    struct timer batch;      /* answers more of them */
    struct cached *cached;
    struct pool *pool;
    struct arena arena;
    struct http_request request; /* as it is asked; its fields, target and id stay */
    struct slice line;
    struct slice id;  /* the key and the variant, if one is known: what joins must be equal */
    struct slice key; /* the beginning of it */
    uint64_t hash;    /* of the key */
    uint64_t ttl_ms;
    struct cache_ticket ticket;
    bool authorized; /* as its request was, as the next */
    bool no_store;
    bool alone;             /* nobody may join */
    bool is_open;           /* in cached->open */
    bool outdated;          /* the pool runs other code by now */
    struct stored *stored;  /* the answer, when all may have it */
    struct pending pending; /* of the one who has it in pieces */
    struct outflow outflow;
    bool streams; /* it is on its way to that one */
};

static struct loop *loop_of(const struct cached *c)
{
    return c->gateway->loop;
}

static void flight_close(struct flight *f)
{
    if (f->is_open)
        keymap_remove(&f->cached->open, &f->node);
    f->is_open = false;
}

static void flight_free(struct flight *f)
{
    assert(list_empty(&f->waiters));
    flight_close(f);
    timer_stop(loop_of(f->cached), &f->batch);
    list_del(&f->link);
    stored_drop(f->stored);
    arena_deinit(&f->arena);
    xfree(f);
}

/* The client has left: the others go on waiting. */
static void on_left(struct pending *pending)
{
    struct waiter *w = container_of(pending, struct waiter, pending);
    struct flight *f = w->flight;
    list_del(&w->node);
    if (!list_empty(&f->waiters))
        return;
    call_cancel(&f->call, "disconnect");
    flight_free(f);
}

struct waiter *waiter_new(struct exchange *x, uint64_t deadline_ms)
{
    struct waiter *w = arena_alloc(exchange_arena(x), sizeof(*w));
    *w = (struct waiter){
        .pending = {.gone = on_left}, .exchange = x, .deadline_ms = deadline_ms};
    list_init(&w->node);
    return w;
}

void flight_join(struct flight *f, struct waiter *w)
{
    list_add(&f->waiters, &w->node);
    w->flight = f;
    exchange_set_data(w->exchange, w);
}

static void leave(struct waiter *w)
{
    list_del(&w->node);
    w->flight = NULL;
    w->began = false;
}

/* The flight began with the request of this one, if it is still there. */
static struct waiter *starter_of(const struct flight *f)
{
    if (list_empty(&f->waiters))
        return NULL;
    struct waiter *w = list_first(&f->waiters, struct waiter, node);
    return w->began ? w : NULL;
}

/* ------------------------------------------------------------------ landing */

void flight_send_stored(struct exchange *x, struct stored *s, const struct cache_wish *wish,
                        bool is_hit, uint64_t now_ms)
{
    bool unchanged = s->status / 100 == 2 && not_modified(wish, s->etag, s->modified_s);
    exchange_send(x, &(struct stored_sending){.stored = s,
                                              .not_modified = unchanged,
                                              .is_hit = is_hit,
                                              .age_s = stored_age_s(s, now_ms)});
}

/* Whether what was asked for by one request is what another one gets. */
static bool fits(const struct flight *f, const struct waiter *w)
{
    if (w->began)
        return true;
    struct buf *values = &f->cached->values;
    buf_clear(values);
    vary_values(f->stored->vary, exchange_request(w->exchange), values);
    return slice_eq(f->stored->values, buf_slice(values));
}

/* Returns about how many bytes went out. */
static size_t serve(struct flight *f, struct waiter *w)
{
    struct gateway *gateway = f->cached->gateway;
    bool is_hit = !w->began;
    bool shared = f->stored && fits(f, w);
    leave(w);
    if (shared) {
        flight_send_stored(w->exchange, f->stored, &w->wish, is_hit, loop_now(gateway->loop));
        return f->stored->body.len;
    }
    w->rounds++;
    gateway_route(gateway, w->exchange);
    return 0;
}

static void on_batch(struct timer *timer)
{
    struct flight *f = container_of(timer, struct flight, batch);
    size_t bytes = 0;
    for (int i = 0; i < BATCH_COUNT && bytes < BATCH_BYTES && !list_empty(&f->waiters); i++)
        bytes += serve(f, list_first(&f->waiters, struct waiter, node));
    if (!list_empty(&f->waiters))
        timer_start(loop_of(f->cached), timer, 0, on_batch);
    else if (!f->streams)
        flight_free(f);
}

/* NULL when the answer is for nobody but who asked. */
static struct stored *keep(struct flight *f, const struct http_answer *answer)
{
    struct cached *c = f->cached;
    struct buf vary = {0};
    struct stored *s = NULL;
    int64_t now_s = time(NULL);
    struct freshness fresh = freshness_judge(answer, f->ttl_ms, f->authorized, now_s, &vary);
    if (fresh.ttl_ms && !f->no_store) {
        struct buf packed = {0};
        struct http_answer coded = *answer;
        compress_kept(c->gateway, compress_coding(c->gateway, &f->request), &f->arena, &packed,
                      &coded);
        buf_clear(&c->values);
        vary_values(buf_slice(&vary), &f->request, &c->values);
        s = stored_new(&(struct stored_form){
            .key = f->key,
            .vary = buf_slice(&vary),
            .values = buf_slice(&c->values),
            .answer = &coded,
            .fresh = fresh,
            .owner = f->pool,
            .now_ms = loop_now(loop_of(c)),
            .now_s = now_s,
        });
        buf_deinit(&packed);
        if (!f->outdated)
            IGNORE(!cache_put(&c->cache, s, f->hash, f->ticket)); /* too large: only shared */
    }
    buf_deinit(&vary);
    return s;
}

/* So that nobody waits in vain for what cannot be kept. */
static void mark(struct flight *f)
{
    struct cached *c = f->cached;
    if (f->alone || f->outdated)
        return;
    struct stored *s = stored_new(&(struct stored_form){.key = f->key,
                                                        .fresh = {.ttl_ms = MARK_MS},
                                                        .owner = f->pool,
                                                        .now_ms = loop_now(loop_of(c))});
    IGNORE(!cache_put(&c->cache, s, f->hash, f->ticket)); /* then some wait in vain */
    stored_drop(s);
}

/* What the one who asked is told of the cache. */
static struct field cache_field(const struct flight *f)
{
    return (struct field){SLICE("X-Cache"), f->alone ? SLICE("BYPASS") : SLICE("MISS")};
}

/* The answer with X-Cache, for the one who asked. */
static void respond(struct flight *f, struct waiter *w, struct http_answer *answer)
{
    struct err err;
    struct slice name = SLICE("X-Cache");
    size_t count = 0;
    struct field *fields = arena_alloc(&f->arena, (answer->header_count + 1) * sizeof(*fields));
    for (size_t i = 0; i < answer->header_count; i++)
        if (!slice_eq_nocase(answer->headers[i].name, name))
            fields[count++] = answer->headers[i];
    fields[count++] = cache_field(f);
    answer->headers = fields;
    answer->header_count = count;
    leave(w);
    if (!compress_respond(f->cached->gateway, w->exchange, answer, &err))
        gateway_fail_answer(f->cached->gateway, w->exchange, f->pool, err.text);
}

static void settle(struct flight *f, const struct frame *frame)
{
    struct buf body = {0};
    struct http_answer answer;
    struct err err;
    struct waiter *starter = starter_of(f);
    bool usable =
        reply_read(frame, &f->arena, &body, &answer, &err) && response_check(&answer, &err);
    if (usable)
        f->stored = keep(f, &answer);
    if (!f->stored) {
        mark(f);
        if (starter && usable) {
            respond(f, starter, &answer);
        } else if (starter) {
            leave(starter);
            gateway_fail_answer(f->cached->gateway, starter->exchange, f->pool, err.text);
        }
    }
    buf_deinit(&body);
}

/* A file is sent from where it lies, and is not kept. */
static void settle_file(struct flight *f, const struct frame *frame)
{
    struct waiter *starter = starter_of(f);
    mark(f);
    if (!starter)
        return;
    leave(starter);
    gateway_respond(f->cached->gateway, starter->exchange, f->pool, /* wrote= */ false, frame);
}

/* ---------------------------------------------------------------- in pieces */

/* The client has left, and nobody else wants this answer. */
static void on_stream_left(struct pending *pending)
{
    struct flight *f = container_of(pending, struct flight, pending);
    call_cancel(&f->call, "disconnect");
    outflow_gone(&f->outflow);
    f->streams = false;
    if (list_empty(&f->waiters))
        flight_free(f);
}

static void on_stream_drained(struct pending *pending)
{
    outflow_drained(&container_of(pending, struct flight, pending)->outflow);
}

/* An answer in pieces is not kept: it is for the one who asked, and the others ask anew. */
static void begin_stream(struct flight *f)
{
    struct waiter *starter = starter_of(f);
    flight_close(f);
    mark(f);
    if (!starter) {
        call_cancel(&f->call, "disconnect");
        return;
    }
    leave(starter);
    f->streams = true;
    f->pending = (struct pending){.gone = on_stream_left, .drained = on_stream_drained};
    f->outflow = (struct outflow){.gateway = f->cached->gateway,
                                  .exchange = starter->exchange,
                                  .call = &f->call,
                                  .pool = f->pool};
    exchange_set_data(starter->exchange, &f->pending);
}

static void on_part(struct call *call, const struct frame *frame, struct slice body)
{
    struct flight *f = container_of(call, struct flight, call);
    struct field field = cache_field(f);
    if (frame->kind == FRAME_INFO)
        return; /* there is nobody in particular to tell */
    bool first = !f->streams;
    if (first)
        begin_stream(f);
    if (f->streams)
        f->streams = outflow_part(&f->outflow, frame, body, &field);
    if (first || !f->streams)
        on_batch(&f->batch);
}

static void fail_all(struct flight *f, const struct call_reply *reply)
{
    while (!list_empty(&f->waiters)) {
        struct waiter *w = list_first(&f->waiters, struct waiter, node);
        leave(w);
        gateway_fail(f->cached->gateway, w->exchange, f->pool, reply);
    }
}

static void on_done(struct call *call, const struct call_reply *reply)
{
    struct flight *f = container_of(call, struct flight, call);
    struct waiter *starter = starter_of(f);
    flight_close(f);
    if (f->streams) {
        f->streams = false;
        outflow_done(&f->outflow, reply);
    } else if (reply->failure) {
        fail_all(f, reply);
    } else if (reply->frame->kind == FRAME_ERROR) {
        mark(f);
        if (starter) {
            leave(starter);
            gateway_fail(f->cached->gateway, starter->exchange, f->pool, reply);
        }
    } else if (reply->frame->file.raw.len) {
        settle_file(f, reply->frame);
    } else {
        settle(f, reply->frame);
    }
    on_batch(&f->batch);
}

static void on_write(struct call *call, const struct worker *w, uint64_t id, uint64_t left_ms,
                     bool nested, struct buf *out)
{
    const struct flight *f = container_of(call, struct flight, call);
    (void)w;
    (void)nested; /* requests never are */
    frame_write_request(out, id, left_ms, f->line);
}

static void on_describe(const struct call *call, struct call_about *about)
{
    const struct flight *f = container_of(call, struct flight, call);
    const struct http_request *req = &f->request;
    snprintf(about->what, sizeof(about->what), "GET " SLICE_FMT "%s" SLICE_FMT,
             SLICE_ARG(req->path), req->has_query ? "?" : "", SLICE_ARG(req->query));
    about->request_id = req->id;
}

static void on_identify(const struct call *call, struct call_identity *id)
{
    struct flight *f = container_of(call, struct flight, call);
    identity_read(f->cached->gateway, &f->request, &f->arena, id);
}

static const struct call_ops flight_ops = {.write = on_write,
                                           .done = on_done,
                                           .part = on_part,
                                           .describe = on_describe,
                                           .identify = on_identify};

/* ------------------------------------------------------------------- asking */

/* What makes an answer a part, or none, of what others may have as a whole. */
static bool is_conditional(struct slice name)
{
    return slice_is(name, "if-none-match") || slice_is(name, "if-modified-since") ||
           slice_is(name, "if-match") || slice_is(name, "if-unmodified-since") ||
           slice_is(name, "if-range") || slice_is(name, "range");
}

/* The request as the worker gets it, with fields that outlive the exchange. */
static void copy_request(struct flight *f, const struct http_request *req)
{
    struct field *fields = arena_alloc(&f->arena, req->header_count * sizeof(*fields));
    size_t count = 0;
    for (size_t i = 0; i < req->header_count; i++) {
        if (!f->alone && is_conditional(req->headers[i].name))
            continue;
        fields[count].name = arena_copy(&f->arena, req->headers[i].name);
        fields[count++].value = arena_copy(&f->arena, req->headers[i].value);
    }
    f->request = *req;
    f->request.method = SLICE("GET");
    f->request.id = arena_copy(&f->arena, req->id);
    f->request.path = arena_copy(&f->arena, req->path);
    f->request.query = arena_copy(&f->arena, req->query);
    f->request.headers = fields;
    f->request.header_count = count;
}

/* NULL, or why it cannot be. */
static const struct call_failure *submit(struct flight *f, const struct waiter *w,
                                         const struct router_match *match)
{
    struct gateway *gateway = f->cached->gateway;
    uint64_t now = loop_now(gateway->loop);
    copy_request(f, exchange_request(w->exchange));
    struct line_body body = {.bytes = f->request.body};
    f->line = line_write(&f->request, match, &body, &gateway->line, &f->arena);
    if (!f->line.len)
        return &line_too_long;
    call_init(&f->call, CALL_REQUEST, &flight_ops);
    f->call.idempotent = true;
    f->call.size = f->line.len;
    loop_spin(gateway->loop);
    return pool_submit(f->pool, &f->call, w->deadline_ms > now ? w->deadline_ms - now : 1);
}

static struct flight *flight_new(struct cached *c, const struct flight_form *form,
                                 const struct cache_wish *wish)
{
    const struct route *route = form->match->target;
    struct flight *f = xcalloc(1, sizeof(*f));
    f->cached = c;
    f->pool = route->pool;
    f->ttl_ms = route->cache.ttl_ms;
    f->authorized = wish->authorized;
    f->no_store = wish->no_store;
    f->alone = form->alone;
    f->id = arena_copy(&f->arena, form->id);
    f->key = (struct slice){f->id.ptr, form->key_bytes};
    f->hash = form->key_hash;
    f->ticket = form->ticket;
    list_init(&f->waiters);
    list_add(&c->flights, &f->link);
    return f;
}

void flight_begin(struct cached *c, const struct flight_form *form, struct waiter *w)
{
    struct flight *f = flight_new(c, form, &w->wish);
    const struct call_failure *refused = submit(f, w, form->match);
    if (refused) {
        struct pool *pool = f->pool;
        flight_free(f);
        gateway_fail(c->gateway, w->exchange, pool, &(struct call_reply){.failure = refused});
        return;
    }
    w->began = true;
    flight_join(f, w);
    if (f->alone)
        return;
    f->is_open = true;
    keymap_add(&c->open, &f->node, cache_hash(&c->cache, f->id));
}

struct flight *flight_find(const struct cached *c, struct slice id)
{
    struct keymap_node *node = keymap_find(&c->open, cache_hash(&c->cache, id));
    for (; node; node = keymap_next(node)) {
        struct flight *f = container_of(node, struct flight, node);
        if (slice_eq(f->id, id) && cache_ticket_valid(&c->cache, f->ticket))
            return f;
    }
    return NULL;
}

void flight_outdate(struct cached *c, const struct pool *pool)
{
    list_each (at, &c->flights) {
        struct flight *f = container_of(at, struct flight, link);
        if (f->pool != pool)
            continue;
        f->outdated = true;
        flight_close(f);
    }
}
