#include "app/events.h"

#include <stdio.h>
#include <unistd.h>

#include "app/events_parts.h"
#include "bus/dead.h"

enum { TRY_AGAIN_MS = 5000, CHATTER_PER_S = 20, ERROR_SHOWN = 300 };

static const char who[] = "nodey";

/* ------------------------------------------------------------- the bus's observer */

static void on_tell(struct bus_observer *observer, int level, const char *sentence)
{
    (void)observer;
    log_line((enum log_level)level, who, "%s", sentence);
}

static void add_text(struct buf *out, const char *before, const struct json_value *text)
{
    if (text->type != JSON_STRING || !json_inner(text).len)
        return;
    buf_adds(out, before);
    json_unescape(text, out);
}

/* "TypeError: no such member" */
static void add_error(struct buf *out, const struct json_value *error)
{
    struct json_scan it = json_iter(error);
    struct json_value key, value;
    while (error->raw.len && json_next_member(&it, &key, &value))
        if (json_string_is(&key, "name") || json_string_is(&key, "message"))
            add_text(out, ": ", &value);
}

/* All that is needed to find it, and to have it tried again when the program is mended. */
static void tell_dead(const struct message *m)
{
    struct dead_letter d;
    struct buf text = {0}, own = {0};
    if (!dead_read(m, &d))
        return;
    bool job = slice_starts(json_inner(&d.stream), SLICE("queue."));
    buf_addf(&text, "%s" SLICE_FMT " #%llu", job ? "job " : "", SLICE_ARG(m->topic),
             (unsigned long long)d.seq);
    buf_addf(&own, "%llu", (unsigned long long)d.seq);
    if (d.id.raw.len && !json_string_is(&d.id, buf_cstr(&own)))
        add_text(&text, ", id ", &d.id);
    add_text(&text, ", group ", &d.group);
    buf_addf(&text, ", after %llu attempt%s", (unsigned long long)d.attempts,
             d.attempts == 1 ? "" : "s");
    size_t shown = text.len + ERROR_SHOWN;
    add_error(&text, &d.error);
    log_line(LOG_WARN, who, "dead letter: %.*s; once it is mended: nodey dead retry %llu",
             (int)MIN(text.len, shown), buf_cstr(&text), (unsigned long long)m->seq);
    buf_deinit(&text);
    buf_deinit(&own);
}

static void on_stored(struct bus_observer *observer, const struct message *m)
{
    struct events *e = container_of(observer, struct events, observer);
    tell_dead(m);
    each_stored(e, m);
    list_each (at, &e->watchers) {
        struct events_watcher *watcher = container_of(at, struct events_watcher, node);
        watcher->stored(watcher, m);
    }
}

/* Where the message was, for a person: "comment.created #17", "job thumb #18". */
static void name_message(const struct delivery *d, char *text, size_t size)
{
    const struct message *m = d->message;
    bool job = slice_starts(m->stream, SLICE("queue."));
    snprintf(text, size, "%s" SLICE_FMT " #%llu", job ? "job " : "", SLICE_ARG(m->topic),
             (unsigned long long)m->seq);
}

static void tell_settled(struct events *e, const struct events_end *end)
{
    list_each (at, &e->watchers) {
        struct events_watcher *watcher = container_of(at, struct events_watcher, node);
        if (watcher->settled)
            watcher->settled(watcher, end);
    }
}

static void on_settled(struct bus_observer *observer, const struct delivery *d,
                       uint64_t waited_ms, uint64_t ran_ms, const char *error, bool dead)
{
    struct events *e = container_of(observer, struct events, observer);
    char name[320];
    tell_settled(e, &(struct events_end){.delivery = d,
                                         .program = handle_program(d),
                                         .waited_ms = waited_ms,
                                         .ran_ms = ran_ms,
                                         .error = error,
                                         .dead = dead});
    if (!error[0] || dead) /* a dead letter is told of when it is stored */
        return;
    name_message(d, name, sizeof(name));
    /* A worker has told what its handler threw, with the stack: once is enough. */
    int level = e->worker_says ? LOG_DEBUG : LOG_WARN;
    if (level == LOG_DEBUG || bucket_take(&e->chatter, CHATTER_PER_S, loop_now(e->host.loop)))
        log_line(level, who, "%s, group " SLICE_FMT ": attempt %u failed: %.*s", name,
                 SLICE_ARG(group_name(d->group)), d->attempt, ERROR_SHOWN, error);
}

static void on_closed(struct bus_observer *observer)
{
    container_of(observer, struct events, observer)->closed = true;
}

static const struct bus_observer bus_observer = {
    .tell = on_tell, .stored = on_stored, .settled = on_settled, .closed = on_closed};

/* ------------------------------------------------------------------------ opening */

static void on_resume(struct task *task)
{
    listeners_resume(container_of(task, struct events, resume));
}

static void on_relief(struct task *task)
{
    struct events *e = container_of(task, struct events, relief);
    e->awaits_relief = false;
    list_each (at, &e->host.pools->list) {
        struct pool *pool = container_of(at, struct pool, node);
        for (int state = WORKER_READY; state <= WORKER_DRAINING; state++)
            list_each (in, &pool->states[state])
                event_release(container_of(in, struct worker, node));
    }
}

void events_init(struct events *e, const struct events_host *host)
{
    *e = (struct events){.host = *host, .observer = bus_observer};
    list_init(&e->listeners);
    list_init(&e->feeds);
    list_init(&e->hearings);
    list_init(&e->publishings);
    list_init(&e->watchers);
    list_init(&e->kept_back);
    task_init(&e->resume, on_resume);
    task_init(&e->relief, on_relief);
}

void events_watch(struct events *e, struct events_watcher *watcher)
{
    list_add(&e->watchers, &watcher->node);
}

static void tell_open(const struct events *e)
{
    static const char *const levels[] = {
        [DURABILITY_FSYNC] = "fsync", [DURABILITY_OS] = "os", [DURABILITY_MEMORY] = "memory"};
    const struct config *c = *e->host.config;
    const struct engine_caps *caps = bus_caps(e->bus);
    int level = MAX(c->bus.durability, (int)caps->strongest);
    const char *dir = c->server.data_dir;
    size_t len = strlen(c->dir);
    if (strncmp(dir, c->dir, len) == 0 && dir[len] == '/')
        dir += len + 1;
    log_line(LOG_INFO, who, "events and jobs: %s, durable at %s, in %s/bus", caps->name,
             levels[level], dir);
}

static int open_bus(struct events *e, struct err *err)
{
    e->tried_ms = loop_now(e->host.loop);
    e->bus = bus_open(e->host.loop, *e->host.config, &e->observer, err);
    snprintf(e->trouble, sizeof(e->trouble), "%s", e->bus ? "" : err->text);
    if (!e->bus)
        return -1;
    tell_open(e);
    return 0;
}

static bool is_configured(const struct config *c)
{
    bool configured = c->bus.configured;
    for (size_t i = 0; i < c->route_count && !configured; i++)
        configured = c->routes[i].publish.count || c->routes[i].events.count;
    return configured;
}

static bool was_used(const struct config *c)
{
    char *path = xasprintf("%s/bus/bus.db", c->server.data_dir);
    bool used = access(path, F_OK) == 0;
    xfree(path);
    return used;
}

int events_start(struct events *e, struct err *err)
{
    const struct config *c = *e->host.config;
    if (e->host.is_private || (!is_configured(c) && !was_used(c)))
        return 0;
    return open_bus(e, err);
}

struct bus *events_bus(struct events *e, struct err *err)
{
    uint64_t now = loop_now(e->host.loop);
    if (e->bus && !e->closing)
        return e->bus;
    if (e->host.is_private)
        err_set(err, -1, "events are for the nodey that is up: this is a run for one command");
    else if (e->closing)
        err_set(err, -1, "nodey is shutting down");
    else if (e->tried_ms && now - e->tried_ms < TRY_AGAIN_MS)
        err_set(err, -1, "%s", e->trouble);
    else if (open_bus(e, err) == 0)
        return e->bus;
    else
        log_line(LOG_ERROR, who, "events and jobs: %s", err->text);
    return NULL;
}

static void configure_bus(struct events *e)
{
    bus_configure(e->bus, *e->host.config);
    list_each (at, &e->host.pools->list) {
        struct pool *pool = container_of(at, struct pool, node);
        for (int state = WORKER_READY; state <= WORKER_BUSY; state++)
            list_each (in, &pool->states[state])
                listeners_declare(e, pool, container_of(in, struct worker, node));
    }
}

void events_configure(struct events *e)
{
    struct err err;
    if (e->bus && !e->closing)
        configure_bus(e);
    else if (is_configured(*e->host.config))
        IGNORE(events_bus(e, &err)); /* it has been told */
}

/* ------------------------------------------------------------ the pools' observer */

void events_ready(struct events *e, struct pool *pool, struct worker *w)
{
    struct err err;
    bool wants = w->ready.subscription_count > 0;
    if (wants && !worker_has(w, FEATURE_EVENTS)) {
        pool_tell_once(pool, "it subscribes to events, but did not declare \"events\"");
        wants = false;
    }
    if (wants && !events_bus(e, &err)) {
        pool_tell_once(pool, "it gets no events: %s", err.text);
        return;
    }
    if (!e->bus) /* nobody has ever wanted any */
        return;
    listeners_declare(e, pool, w);
    each_declare(e, w);
}

void events_ended(struct events *e, struct worker *w)
{
    each_worker_ended(w);
    publish_worker_ended(e, w);
}

void events_room(struct events *e, struct pool *pool)
{
    list_each (at, &e->feeds) {
        struct feed *feed = container_of(at, struct feed, node);
        if (feed->pool == pool && !feed->has_room) {
            feed->has_room = true;
            loop_defer(e->host.loop, &e->resume);
        }
    }
}

void events_framed(struct events *e, struct worker *w, const struct frame *f)
{
    publish_framed(e, w, f);
}

void events_pool_removed(struct events *e, struct pool *pool)
{
    listeners_pool_removed(e, pool);
    list_each (at, &e->watchers) {
        struct events_watcher *watcher = container_of(at, struct events_watcher, node);
        if (watcher->removed)
            watcher->removed(watcher, pool);
    }
}

void events_write_groups(const struct events *e, const struct pool *pool, struct buf *out)
{
    const char *before = "";
    buf_addc(out, '[');
    list_each (at, &e->listeners) {
        const struct listener *l = container_of(at, struct listener, node);
        if (!l->feed || l->feed->pool != pool)
            continue;
        buf_addf(out, "%s{\"name\":", before);
        json_write(out, group_name(l->group));
        buf_addf(out, ",\"backlog\":%llu}", (unsigned long long)group_backlog(l->group));
        before = ",";
    }
    buf_addc(out, ']');
}

/* ------------------------------------------------------------------------ closing */

void events_close(struct events *e)
{
    e->closing = true;
    task_cancel(&e->resume);
    handle_give_back_all(e);
    if (e->bus)
        bus_close(e->bus);
}

void events_deinit(struct events *e)
{
    task_cancel(&e->relief);
    if (e->bus)
        bus_free(e->bus);
    listeners_free(e);
}
