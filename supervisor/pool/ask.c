#include "pool/ask.h"

#include <stdio.h>
#include <stdlib.h>

#include "pool/pool.h"

enum {
    DEPTH_MAX = 64,
    OPEN_MAX = 10000, /* asks of one worker at a time */
    TIMEOUT_MS = 30000,
    TOKENS_NAMED = 20, /* in a sentence */
};

struct ask_target {
    char *token;
    struct pool *pool;
};

struct ask {
    struct call call;
    struct pools *pools;
    struct worker *asker;  /* NULL: it has ended */
    struct slot *for_slot; /* what it is asked for; may be NULL */
    struct list node;      /* in asker->asks */
    struct slice id;       /* as the asker wrote it */
    char *token;
    struct slice args;
    char from[80];
    struct arena arena;
};

/* ------------------------------------------------------------------- tokens */

static int compare_targets(const void *a, const void *b)
{
    const struct ask_target *x = a, *y = b;
    return strcmp(x->token, y->token);
}

struct pool *ask_find(const struct pools *pools, const char *token)
{
    struct ask_target key = {.token = (char *)token};
    const struct ask_target *found =
        pools->token_count
            ? bsearch(&key, pools->tokens, pools->token_count, sizeof(key), compare_targets)
            : NULL;
    return found ? found->pool : NULL;
}

void ask_describe_unknown(const struct pools *pools, const char *token, struct buf *out)
{
    const struct pool *by;
    const char *known, *before = "; known are ";
    buf_addf(out, "no worker answers the token \"%.128s\"", token);
    for (size_t i = 0; i < TOKENS_NAMED && (known = ask_token(pools, i, &by)); i++) {
        buf_addf(out, "%s%s", before, known);
        before = ", ";
    }
    if (pools->token_count > TOKENS_NAMED)
        buf_adds(out, ", ...");
    list_each (at, &pools->list) {
        const struct pool *pool = container_of(at, struct pool, node);
        if (pool->trouble[0])
            buf_addf(out, "; %s", pool->trouble);
    }
}

/* Kept sorted; the first pool that claims a token keeps it. */
static void add_token(struct pools *pools, struct pool *pool, struct slice name)
{
    char *token = xstrndup(name.ptr, name.len);
    struct pool *owner = ask_find(pools, token);
    if (owner) {
        if (owner != pool)
            pool_tell_once(pool, "token \"%s\" is answered by %s already", token,
                           owner->config->name);
        xfree(token);
        return;
    }
    size_t count = pools->token_count++;
    pools->tokens = xrealloc(pools->tokens, (count + 1) * sizeof(*pools->tokens));
    pools->tokens[count] = (struct ask_target){token, pool};
    qsort(pools->tokens, count + 1, sizeof(*pools->tokens), compare_targets);
}

static void forget_tokens(struct pools *pools)
{
    for (size_t i = 0; i < pools->token_count; i++)
        xfree(pools->tokens[i].token);
    xfree(pools->tokens);
    pools->tokens = NULL;
    pools->token_count = 0;
}

/* A pool without an instance at the moment keeps its tokens: its asks wait for it. */
static void keep_tokens(struct pools *pools, const struct ask_target *old, size_t count,
                        const struct pool *pool)
{
    for (size_t i = 0; i < count; i++)
        if (old[i].pool == pool)
            add_token(pools, old[i].pool, slice_of(old[i].token));
}

void ask_tokens_changed(struct pools *pools)
{
    struct pools old = {.tokens = pools->tokens, .token_count = pools->token_count};
    pools->tokens = NULL;
    pools->token_count = 0;
    list_each (at, &pools->list) {
        struct pool *pool = container_of(at, struct pool, node);
        if (pool->leaving)
            continue;
        for (size_t i = 0; i < pool->config->tokens.count; i++)
            add_token(pools, pool, slice_of(pool->config->tokens.items[i]));
        const struct ready *ready = pool_declaration(pool);
        if (!ready)
            keep_tokens(pools, old.tokens, old.token_count, pool);
        for (size_t i = 0; ready && i < ready->token_count; i++)
            add_token(pools, pool, ready->tokens[i]);
    }
    forget_tokens(&old);
    ask_retry_lost(pools);
}

/* ------------------------------------------------------------------- answers */

static void answer_error(struct ask *a, const char *code, struct slice text, struct slice data)
{
    if (a->asker && worker_alive(a->asker) && !a->asker->ending)
        frame_write_error(worker_out(a->asker), a->id, code, text, data);
}

static void answer_value(struct ask *a, struct slice value)
{
    if (a->asker && worker_alive(a->asker) && !a->asker->ending)
        frame_write_answer(worker_out(a->asker), a->id, value);
}

static void pass_error(struct ask *a, const struct frame *frame)
{
    struct buf code = {0}, text = {0};
    if (frame->code.raw.len)
        json_unescape(&frame->code, &code);
    if (frame->message.raw.len)
        json_unescape(&frame->message, &text);
    answer_error(a, code.len ? buf_cstr(&code) : "internal", buf_slice(&text), frame->data.raw);
    buf_deinit(&code);
    buf_deinit(&text);
}

/* A level 0 worker answers an ask as it answers a request. */
static void pass_response(struct ask *a, const struct frame *frame)
{
    unsigned status = frame->status ? (unsigned)frame->status : 200;
    if (status >= 200 && status < 300) {
        answer_value(a, frame->body.raw);
        return;
    }
    char text[64];
    snprintf(text, sizeof(text), "it was answered with status %u", status);
    answer_error(a, status == 404 ? "not_found" : "internal", slice_of(text),
                 (struct slice){0});
}

static void ask_free(struct ask *a)
{
    struct worker *asker = a->asker;
    if (a->for_slot)
        a->for_slot->asking--;
    list_del(&a->node);
    arena_deinit(&a->arena);
    xfree(a);
    if (asker)
        worker_check_drained(asker);
}

static void refuse(struct ask *a, const char *code, const char *text)
{
    answer_error(a, code, slice_of(text), (struct slice){0});
    ask_free(a);
}

static void on_done(struct call *call, const struct call_reply *reply)
{
    struct ask *a = container_of(call, struct ask, call);
    if (reply->failure) {
        refuse(a, reply->failure->code, reply->failure->text);
        return;
    }
    if (reply->frame->kind == FRAME_ANSWER)
        answer_value(a, reply->frame->payload.raw);
    else if (reply->frame->kind == FRAME_RESPONSE)
        pass_response(a, reply->frame);
    else
        pass_error(a, reply->frame);
    ask_free(a);
}

static void on_write(struct call *call, const struct worker *w, uint64_t id, uint64_t left_ms,
                     bool nested, struct buf *out)
{
    const struct ask *a = container_of(call, struct ask, call);
    if (!w->level0) {
        frame_write_ask(out, &(struct frame_ask){.id = id,
                                                 .token = slice_of(a->token),
                                                 .from = slice_of(a->from),
                                                 .timeout_ms = left_ms,
                                                 .depth = call->depth,
                                                 .nested = nested,
                                                 .args = a->args});
        return;
    }
    char path[256];
    snprintf(path, sizeof(path), "/.nodey/ask/%s", a->token);
    struct buf tail = {0};
    frame_write_request_tail(&tail, &(struct frame_request){.method = SLICE("POST"),
                                                            .path = slice_of(path),
                                                            .body = a->args});
    frame_write_request(out, id, left_ms, buf_slice(&tail));
    buf_deinit(&tail);
}

/* Its request is that of the work it is asked for, however many asks lie between. */
static void on_describe(const struct call *call, struct call_about *about)
{
    const struct ask *a = container_of(call, struct ask, call);
    if (a->for_slot && a->for_slot->call)
        call_describe(a->for_slot->call, about);
    snprintf(about->what, sizeof(about->what), "ask %s", a->token);
}

static void on_identify(const struct call *call, struct call_identity *id)
{
    const struct ask *a = container_of(call, struct ask, call);
    *id = (struct call_identity){
        .method = SLICE("ask"), .path = slice_of(a->token), .body = a->args};
}

static const struct call_ops ask_ops = {
    .write = on_write, .done = on_done, .describe = on_describe, .identify = on_identify};

/* ------------------------------------------------------------------- asking */

/* The work it is asked for; when the worker does not say, the newest it works on. */
static struct slot *asked_for(const struct worker *w, const struct frame *frame)
{
    if (frame->for_id.kind == FRAME_ID_NUMBER)
        return idmap_get(&w->open, frame->for_id.number);
    if (w->ready.concurrency > 1 || list_empty(&w->slots))
        return NULL;
    return worker_newest(w);
}

/* What the frame asks for, but no longer than the work it is asked for may take. */
static uint64_t timeout_of(const struct frame *frame, const struct slot *slot, uint64_t now)
{
    uint64_t timeout = frame->has_timeout && frame->timeout_ms ? frame->timeout_ms : TIMEOUT_MS;
    if (!slot || !slot->call)
        return timeout;
    uint64_t deadline = slot->call->deadline_ms;
    return MIN(timeout, deadline > now ? deadline - now : 1);
}

static struct ask *ask_new(struct worker *w, const struct frame *frame)
{
    struct ask *a = xcalloc(1, sizeof(*a));
    struct buf token = {0};
    json_unescape(&frame->token, &token);
    call_init(&a->call, CALL_ASK, &ask_ops);
    a->pools = w->pool->pools;
    a->asker = w;
    a->token = arena_strdup(&a->arena, buf_slice(&token));
    a->id = arena_copy(&a->arena, frame->id.raw);
    a->args = arena_copy(&a->arena, frame->payload.raw);
    a->call.size = a->args.len;
    a->for_slot = asked_for(w, frame);
    if (a->for_slot) {
        a->for_slot->asking++;
        a->call.depth = a->for_slot->call ? a->for_slot->call->depth + 1 : 1;
    }
    snprintf(a->from, sizeof(a->from), "%s", w->name);
    list_add(&w->asks, &a->node);
    buf_deinit(&token);
    return a;
}

static void submit(struct ask *a, struct pool *pool, uint64_t timeout_ms)
{
    const struct call_failure *refused = pool_submit(pool, &a->call, timeout_ms);
    if (refused)
        refuse(a, refused->code, refused->text);
}

static void on_lost(struct timer *timer)
{
    struct ask *a = container_of(timer, struct ask, call.timer);
    list_del(&a->call.node);
    refuse(a, "unavailable", "no worker that answers this token became ready in time");
}

static void refuse_unknown(struct ask *a)
{
    if (a->pools->stopping) {
        refuse(a, "unavailable", "nodey is shutting down");
        return;
    }
    struct buf text = {0};
    ask_describe_unknown(a->pools, a->token, &text);
    refuse(a, "unimplemented", buf_cstr(&text));
    buf_deinit(&text);
}

void ask_from_worker(struct worker *w, const struct frame *frame)
{
    struct pools *pools = w->pool->pools;
    uint64_t now = loop_now(pools->loop);
    struct ask *a = ask_new(w, frame);
    uint64_t timeout = timeout_of(frame, a->for_slot, now);
    struct pool *pool = ask_find(pools, a->token);
    if (a->call.depth > DEPTH_MAX) {
        refuse(a, "resource_exhausted",
               "asks are nested more than 64 deep: do they ask in a circle?");
    } else if (list_count(&w->asks) > OPEN_MAX) {
        refuse(a, "resource_exhausted", "too many asks are open: await some first");
    } else if (pool) {
        submit(a, pool, timeout);
    } else if (pools_settled(pools)) {
        refuse_unknown(a);
    } else {
        a->call.deadline_ms = now + timeout;
        list_add(&pools->lost_asks, &a->call.node);
        timer_start(pools->loop, &a->call.timer, timeout, on_lost);
    }
    pool_dispatch(w->pool); /* it may accept nested asks now */
}

void ask_retry_lost(struct pools *pools)
{
    struct list lost;
    list_init(&lost);
    list_splice(&lost, &pools->lost_asks);
    uint64_t now = loop_now(pools->loop);
    while (!list_empty(&lost)) {
        struct ask *a = list_first(&lost, struct ask, call.node);
        struct pool *pool = ask_find(pools, a->token);
        list_del(&a->call.node);
        if (!pool && !pools->stopping && !pools_settled(pools)) {
            list_add(&pools->lost_asks, &a->call.node);
            continue;
        }
        uint64_t left = a->call.deadline_ms > now ? a->call.deadline_ms - now : 1;
        timer_stop(pools->loop, &a->call.timer);
        if (pool)
            submit(a, pool, left);
        else
            refuse_unknown(a);
    }
}

/* ---------------------------------------------------------------- giving up */

/* The call ends without its answer, wherever it is. */
static void withdraw(struct ask *a, const char *reason)
{
    if (a->call.pool) {
        call_cancel(&a->call, reason);
        return;
    }
    timer_stop(a->pools->loop, &a->call.timer);
    list_del(&a->call.node);
}

void ask_cancelled(struct worker *w, const struct frame_id *id)
{
    list_each (at, &w->asks) {
        struct ask *a = container_of(at, struct ask, node);
        if (!slice_eq(a->id, id->raw))
            continue;
        withdraw(a, "disconnect");
        refuse(a, "cancelled", "the asker cancelled it");
        return;
    }
}

static struct ask *first_for(const struct slot *slot)
{
    list_each (at, &slot->worker->asks) {
        struct ask *a = container_of(at, struct ask, node);
        if (a->for_slot == slot)
            return a;
    }
    return NULL;
}

/* From the start each time: cancelling one may, around a circle of asks, end others. */
void ask_cancel_for(struct slot *slot)
{
    for (struct ask *a; slot->asking && (a = first_for(slot));) {
        withdraw(a, "disconnect");
        refuse(a, "cancelled", "what it was asked for is no longer wanted");
    }
}

void ask_orphan_of(struct slot *slot)
{
    if (!slot->asking)
        return;
    list_each (at, &slot->worker->asks) {
        struct ask *a = container_of(at, struct ask, node);
        if (a->for_slot == slot)
            a->for_slot = NULL;
    }
}

void ask_asker_gone(struct worker *w)
{
    while (!list_empty(&w->asks)) {
        struct ask *a = list_first(&w->asks, struct ask, node);
        withdraw(a, "disconnect");
        a->asker = NULL;
        ask_free(a);
    }
}

const char *ask_token(const struct pools *pools, size_t n, const struct pool **by)
{
    if (n >= pools->token_count)
        return NULL;
    *by = pools->tokens[n].pool;
    return pools->tokens[n].token;
}

void ask_deinit(struct pools *pools)
{
    forget_tokens(pools);
}
