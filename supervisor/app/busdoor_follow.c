#include "app/busdoor_follow.h"

#include <stdio.h>

#include "app/busdoor_parts.h"
#include "bus/topic.h"

enum {
    KEPT_MAX = 1024,
    KEPT_BYTES = 4 << 20,
    BEAT_MS = 15000,
    FIRST_PAGE = 64,
    RETRY_MS = 1000, /* what a browser waits before it comes again */
};

struct tail_entry {
    struct message *message;
    struct buf text[FOLLOW_FORMATS]; /* made when the first needs it */
    size_t bytes;
};

/* ---------------------------------------------------------------------- the tail */

static struct tail_entry *tail_at(const struct follow *follow, size_t i)
{
    return &follow->tail[(follow->tail_first + i) % KEPT_MAX];
}

static void tail_drop(struct follow *follow)
{
    struct tail_entry *e = tail_at(follow, 0);
    follow->floor = e->message->seq;
    follow->tail_bytes -= e->bytes;
    message_release(e->message);
    for (size_t i = 0; i < FOLLOW_FORMATS; i++)
        buf_deinit(&e->text[i]);
    follow->tail_first = (follow->tail_first + 1) % KEPT_MAX;
    follow->tail_count--;
}

static void tail_clear(struct follow *follow)
{
    while (follow->tail_count)
        tail_drop(follow);
    xfree(follow->tail);
    follow->tail = NULL;
}

static void tail_add(struct follow *follow, const struct message *m)
{
    if (!follow->tail)
        follow->tail = xcalloc(KEPT_MAX, sizeof(*follow->tail));
    while (follow->tail_count == KEPT_MAX ||
           (follow->tail_count && follow->tail_bytes > KEPT_BYTES))
        tail_drop(follow);
    struct tail_entry *e = tail_at(follow, follow->tail_count++);
    *e = (struct tail_entry){.message = message_hold((struct message *)m),
                             .bytes = message_bytes(m)};
    follow->tail_bytes += e->bytes;
}

/* The first that is newer. */
static size_t tail_find(const struct follow *follow, uint64_t pos)
{
    size_t low = 0, high = follow->tail_count;
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (tail_at(follow, middle)->message->seq > pos)
            high = middle;
        else
            low = middle + 1;
    }
    return low;
}

static struct slice tail_text(struct follow *follow, struct tail_entry *e,
                              enum follow_format format)
{
    struct buf *text = &e->text[format];
    if (!text->len) {
        follow_write(format, e->message, e->message->data, text);
        e->bytes += text->len;
        follow->tail_bytes += text->len;
    }
    return buf_slice(text);
}

/* ---------------------------------------------------------------------- followers */

static bool is_allowed(const struct string_list *patterns, struct slice topic)
{
    bool allowed = !patterns;
    for (size_t i = 0; patterns && i < patterns->count && !allowed; i++)
        allowed = topic_matches(slice_of(patterns->items[i]), topic);
    return allowed;
}

bool follower_wants(const struct follower *f, const struct message *m)
{
    const struct follow_request *r = &f->request;
    if (r->stream.len ? !slice_eq(r->stream, m->stream)
                      : m->only.len || slice_is(m->stream, "dead") ||
                            slice_starts(m->stream, SLICE("queue.")))
        return false;
    return (!r->pattern.len || topic_matches(r->pattern, m->topic)) &&
           is_allowed(r->allowed, m->topic);
}

bool follower_is_full(const struct follower *f)
{
    return exchange_unsent(f->exchange) > EXCHANGE_LOW;
}

static void leave(struct follower *f)
{
    struct follow *follow = f->follow;
    list_del(&f->node);
    read_forget(f);
    exchange_set_data(f->exchange, NULL);
    if (!list_empty(&follow->followers))
        return;
    tail_clear(follow);
    task_cancel(&follow->flush);
    timer_stop(follow->loop, &follow->beat);
}

void follower_end(struct follower *f, bool whole)
{
    struct exchange *x = f->exchange;
    leave(f);
    if (whole)
        IGNORE(!exchange_end(x, NULL, 0)); /* no length was announced */
    else
        exchange_abort(x);
}

bool follower_give(struct follower *f, struct slice text)
{
    IGNORE(!exchange_write(f->exchange, text)); /* no length was announced */
    f->wrote = true;
    if (!f->request.limit || --f->request.limit)
        return true;
    follower_end(f, true);
    return false;
}

static void begin(struct follower *f)
{
    const struct follow_request *r = &f->request;
    uint64_t newest = f->follow->newest;
    f->begun = true;
    f->seeks = r->from == FOLLOW_TIME || r->from == FOLLOW_LAST;
    if (r->from == FOLLOW_NEW)
        f->pos = newest;
    else if (r->from == FOLLOW_AFTER && (r->after <= newest || r->format == FOLLOW_NDJSON))
        f->pos = r->after; /* else it was another store's: nothing of this one was seen */
}

static void advance_in_tail(struct follower *f)
{
    struct follow *follow = f->follow;
    for (size_t i = tail_find(follow, f->pos); i < follow->tail_count; i++) {
        struct tail_entry *e = tail_at(follow, i);
        if (follower_wants(f, e->message)) {
            if (follower_is_full(f))
                return;
            if (e->message->blob.len) { /* it is not in memory */
                read_wanted(f);
                return;
            }
            f->pos = e->message->seq;
            if (!follower_give(f, tail_text(follow, e, f->request.format)))
                return;
        }
        f->pos = e->message->seq;
    }
}

void follower_advance(struct follower *f)
{
    struct follow *follow = f->follow;
    if (!follow->known) {
        if (!follow->learning)
            read_newest(follow);
        return;
    }
    if (!f->begun)
        begin(f);
    if (f->reading || !list_empty(&f->turn) || follower_is_full(f))
        return;
    if (!f->seeks && f->request.goes_on && f->pos >= follow->floor)
        advance_in_tail(f);
    else if (follow->events->bus)
        read_wanted(f);
    else if (!f->request.goes_on)
        follower_end(f, true);
    else
        f->seeks = false; /* nothing was ever stored */
}

static void advance_all(struct follow *follow)
{
    list_each_safe (at, &follow->followers)
        follower_advance(container_of(at, struct follower, node));
}

void follow_learned(struct follow *follow, uint64_t newest)
{
    if (!follow->known) {
        follow->known = true;
        follow->newest = follow->floor = newest;
    }
    loop_defer(follow->loop, &follow->flush);
}

/* ------------------------------------------------------------------- what happens */

static void on_stored(struct events_watcher *watcher, const struct message *m)
{
    struct follow *follow = container_of(watcher, struct follow, watcher);
    /* The answer to which is the newest may overtake the news of it. */
    if (!follow->known || m->seq <= follow->newest) {
        follow->known = true;
        follow->floor = follow->newest = m->seq - 1;
    }
    if (list_empty(&follow->followers)) {
        follow->newest = follow->floor = m->seq;
        return;
    }
    /* Who has not begun does so before this. */
    list_each (at, &follow->followers) {
        struct follower *f = container_of(at, struct follower, node);
        if (!f->begun)
            begin(f);
    }
    follow->newest = m->seq;
    tail_add(follow, m);
    loop_defer(follow->loop, &follow->flush);
}

static void on_flush(struct task *task)
{
    advance_all(container_of(task, struct follow, flush));
}

/* So that who stands between does not take it for dead, and a client that is gone is found. */
static void on_beat(struct timer *timer)
{
    struct follow *follow = container_of(timer, struct follow, beat);
    list_each (at, &follow->followers) {
        struct follower *f = container_of(at, struct follower, node);
        if (f->request.format == FOLLOW_SSE && !f->wrote && !exchange_unsent(f->exchange))
            IGNORE(!exchange_write(f->exchange, SLICE(":\n\n"))); /* as above */
        f->wrote = false;
    }
    timer_start(follow->loop, timer, BEAT_MS, on_beat);
}

static void on_gone(struct pending *pending)
{
    leave(container_of(pending, struct follower, pending));
}

static void on_drained(struct pending *pending)
{
    follower_advance(container_of(pending, struct follower, pending));
}

/* --------------------------------------------------------------------- beginning */

static struct string_list *copy_list(struct arena *arena, const struct string_list *from)
{
    struct string_list *list = arena_alloc(arena, sizeof(*list));
    *list = (struct string_list){.count = from->count};
    list->items = arena_alloc(arena, (from->count + 1) * sizeof(*list->items));
    for (size_t i = 0; i < from->count; i++)
        list->items[i] = arena_strdup(arena, slice_of(from->items[i]));
    list->items[from->count] = NULL;
    return list;
}

static bool begin_answer(struct exchange *x, const struct follow_request *r)
{
    static const struct field fields[] = {{{"Cache-Control", 13}, {"no-store", 8}},
                                          {{"X-Accel-Buffering", 17}, {"no", 2}}};
    char retry[24];
    struct err err;
    int len = snprintf(retry, sizeof(retry), "retry: %d\n\n", RETRY_MS);
    bool sse = r->format == FOLLOW_SSE;
    struct http_answer answer = {
        .status = 200,
        .headers = fields,
        .header_count = ARRAY_LEN(fields),
        .content_type = sse ? SLICE("text/event-stream") : SLICE("application/x-ndjson"),
    };
    if (slice_is(exchange_request(x)->method, "HEAD")) {
        IGNORE(!exchange_respond(x, &answer, &err)); /* a constant answer is valid */
        return false;
    }
    if (sse)
        answer.body = (struct slice){retry, (size_t)len};
    return exchange_begin(x, &answer, &err);
}

void follow_begin(struct follow *follow, struct exchange *x,
                  const struct follow_request *request)
{
    struct arena *arena = exchange_arena(x);
    if (follow->closing) {
        exchange_fail(x, &(struct http_problem){.status = 503,
                                                .detail = SLICE("nodey is shutting down"),
                                                .retry_after_s = 1});
        return;
    }
    if (!begin_answer(x, request))
        return;
    struct follower *f = arena_alloc(arena, sizeof(*f));
    *f = (struct follower){.pending = {.gone = on_gone, .drained = on_drained},
                           .follow = follow,
                           .exchange = x,
                           .request = *request,
                           .page = FIRST_PAGE};
    f->request.stream = arena_copy(arena, request->stream);
    f->request.pattern = arena_copy(arena, request->pattern);
    f->request.allowed = request->allowed ? copy_list(arena, request->allowed) : NULL;
    f->path = request->route ? arena_strdup(arena, slice_of(request->route->path)) : NULL;
    f->request.route = NULL; /* the configuration may go */
    list_init(&f->turn);
    exchange_set_data(x, &f->pending);
    if (request->goes_on)
        exchange_set_endless(x);
    if (list_empty(&follow->followers)) {
        follow->floor = follow->newest;
        timer_start(follow->loop, &follow->beat, BEAT_MS, on_beat);
    }
    list_add(&follow->followers, &f->node);
    if (follow->known)
        begin(f);
    loop_defer(follow->loop, &follow->flush);
}

/* ------------------------------------------------------------------------ changes */

static bool is_same(const struct string_list *a, const struct string_list *b)
{
    bool same = a->count == b->count;
    for (size_t i = 0; i < a->count && same; i++)
        same = strcmp(a->items[i], b->items[i]) == 0;
    return same;
}

static bool has_route(const struct follower *f, const struct config *config)
{
    bool found = !f->path;
    for (size_t i = 0; i < config->route_count && !found; i++)
        found = strcmp(config->routes[i].path, f->path) == 0 &&
                is_same(&config->routes[i].events, f->request.allowed);
    return found;
}

void follow_configure(struct follow *follow, const struct config *config)
{
    list_each_safe (at, &follow->followers) {
        struct follower *f = container_of(at, struct follower, node);
        if (!has_route(f, config))
            follower_end(f, true);
    }
}

void follow_close(struct follow *follow)
{
    follow->closing = true;
    list_each_safe (at, &follow->followers)
        follower_end(container_of(at, struct follower, node), true);
}

void follow_init(struct follow *follow, struct loop *loop, struct events *events)
{
    *follow = (struct follow){.loop = loop, .events = events, .watcher = {.stored = on_stored}};
    list_init(&follow->followers);
    list_init(&follow->waiting);
    list_init(&follow->reads);
    task_init(&follow->flush, on_flush);
    events_watch(events, &follow->watcher);
}

void follow_deinit(struct follow *follow)
{
    task_cancel(&follow->flush);
    tail_clear(follow);
}
