#include "app/incidents.h"

#include <stdio.h>
#include <time.h>

#include "base/json.h"

enum {
    SAME_MS = 60 * 1000, /* the same thing again within this is counted, not reported */
    NEW_MAX = 10,        /* reports of one program within SAME_MS */
    UPDATE_MS = 500,     /* files that have changed are written no more often */
    SLACK = 16,          /* a sixteenth too many may wait for the next look at the folder */
    LOOKED_MAX = 2000,   /* files that are read to find those of one program */
};

/* --------------------------------------------------------------- what nodey did */

static struct pool *pool_of(const struct incidents *is, const struct incident *i)
{
    return pools_find(is->pools, slice_of(i->program));
}

static void describe_pause(const struct worker *next, uint64_t ended_ms, struct buf *out)
{
    uint64_t due = next->timer.due_ms;
    uint64_t pause = due > ended_ms ? due - ended_ms : 0;
    if (next->state == WORKER_FAILED)
        buf_addf(out, "given up for now; tried again in %llu s",
                 (unsigned long long)pause / 1000);
    else if (next->state == WORKER_BACKOFF && pause)
        buf_addf(out, "started again after %llu ms", (unsigned long long)pause);
    else if (next->state <= WORKER_STARTING)
        buf_adds(out, "started again at once");
    else
        buf_adds(out, "another was ready to take its place");
}

static void describe_then(const struct incidents *is, const struct incident *i, struct buf *out)
{
    const struct pool *pool = pool_of(is, i);
    const struct instance *place =
        pool && i->instance < pool->places ? &pool->instances[i->instance] : NULL;
    if (is->pools->stopping)
        buf_adds(out, "nothing: nodey was stopping");
    else if (!pool || pool->leaving)
        buf_adds(out, "nothing: the program was removed");
    else if (pool->rest == POOL_HELD)
        buf_adds(out, "not started again: somebody stopped it");
    else if (pool->rest == POOL_ENDED)
        buf_adds(out, "not started again: its `restart` says so");
    else if (place && place->current)
        describe_pause(place->current, i->last_ms, out);
    else
        buf_adds(out, "to be started again when the old process has gone");
}

/* The request itself says more than its route. */
static bool is_refused(const struct pool *pool, const struct incident *i, bool is_route,
                       uint64_t now)
{
    for (size_t n = 0; pool && n < pool->quarantine.count; n++) {
        const struct quarantined *q = &pool->quarantine.entries[n];
        if (q->is_route == is_route && q->until_ms > now && strcmp(q->incident, i->id) == 0)
            return true;
    }
    return false;
}

static void write_quarantine(const struct incidents *is, const struct incident *i,
                             struct buf *out)
{
    const struct pool *pool = pool_of(is, i);
    uint64_t now = loop_now(is->loop);
    bool any = false, routes = !is_refused(pool, i, false, now);
    for (size_t n = 0; pool && n < pool->quarantine.count; n++) {
        const struct quarantined *q = &pool->quarantine.entries[n];
        if (q->until_ms <= now || q->is_route != routes || strcmp(q->incident, i->id) != 0)
            continue;
        struct slice what = {q->what, strcspn(q->what, "?")};
        buf_adds(out, any ? ",{\"what\":" : ",\"quarantine\":[{\"what\":");
        json_write(out, what);
        buf_addf(out, ",\"deaths\":%u,\"route\":%s,\"until\":\"", q->deaths,
                 q->is_route ? "true" : "false");
        incident_write_time(incident_wall_ms() + (q->until_ms - now), out);
        buf_adds(out, "\"}");
        any = true;
    }
    buf_adds(out, any ? "]" : "");
}

/* ---------------------------------------------------------------------- writing */

static void write_changing(const struct incidents *is, const struct incident *i,
                           struct buf *out)
{
    if (i->recovered_ms)
        buf_addf(out, ",\"recovered_ms\":%llu", (unsigned long long)i->recovered_ms);
    if (i->again) {
        buf_addf(out, ",\"again\":{\"count\":%u,\"last\":\"", i->again);
        incident_write_time(i->last_wall_ms, out);
        buf_adds(out, "\"}");
    }
    write_quarantine(is, i, out);
    buf_adds(out, "}\n");
}

static void save(struct incidents *is, struct incident *i)
{
    struct buf all = {0};
    struct err err;
    buf_add(&all, buf_slice(&i->text));
    write_changing(is, i, &all);
    int rc = incident_write(is->folder, i->id, buf_slice(&all), &err);
    if (rc && !is->failing)
        log_line(LOG_WARN, i->program, "%s: nodey why knows nothing of it", err.text);
    is->failing = rc != 0;
    i->changed = false;
    buf_deinit(&all);
}

static void finish_text(struct incidents *is, struct incident *i)
{
    struct buf then = {0};
    const struct pool *pool = pool_of(is, i);
    describe_then(is, i, &then);
    buf_adds(&i->text, ",\"then\":");
    json_write(&i->text, buf_slice(&then));
    if (pool)
        buf_addf(&i->text, ",\"restarts\":%llu", (unsigned long long)pool->restarts);
    buf_deinit(&then);
    i->is_new = false;
}

/* A run for one command keeps none, and leaves what others keep. */
static void prune(struct incidents *is)
{
    if (is->keep)
        incident_prune(is->folder, is->keep);
    is->count = MIN(is->count, is->keep);
}

static void on_write(struct task *task)
{
    struct incidents *is = container_of(task, struct incidents, write);
    for (size_t n = 0; n < INCIDENT_CAUSES; n++) {
        struct incident *i = &is->items[n];
        if (!i->is_new)
            continue;
        finish_text(is, i);
        save(is, i);
        is->count++;
    }
    if (is->count > is->keep + is->keep / SLACK)
        prune(is);
}

static void on_update(struct timer *timer)
{
    struct incidents *is = container_of(timer, struct incidents, update);
    for (size_t n = 0; n < INCIDENT_CAUSES; n++)
        if (is->items[n].changed && !is->items[n].is_new)
            save(is, &is->items[n]);
}

static void mark_changed(struct incidents *is, struct incident *i)
{
    i->changed = true;
    if (!timer_runs(&is->update))
        timer_start(is->loop, &is->update, UPDATE_MS, on_update);
}

/* ------------------------------------------------------------------- collecting */

/* FNV-1a: nobody chooses these names to harm. */
static uint64_t hash_of(const struct worker *w)
{
    char route[160], text[320];
    uint64_t hash = 0xcbf29ce484222325u;
    incident_route(w, route, sizeof(route));
    snprintf(text, sizeof(text), "%s %d %d %lld %s", w->pool->config->name, w->end,
             w->proc.exit.signal, (long long)w->proc.exit.code, route);
    for (const char *at = text; *at; at++)
        hash = (hash ^ (unsigned char)*at) * 0x100000001b3u;
    return hash;
}

/* The report that this belongs to; NULL: it is new. */
static struct incident *find_same(struct incidents *is, const char *program, uint64_t cause)
{
    struct incident *newest = NULL;
    uint64_t now = loop_now(is->loop);
    unsigned count = 0;
    for (size_t n = 0; n < INCIDENT_CAUSES; n++) {
        struct incident *i = &is->items[n];
        if (!i->id[0] || strcmp(i->program, program) != 0)
            continue;
        if (i->cause == cause && now - i->last_ms < SAME_MS)
            return i;
        count += now - i->began_ms < SAME_MS;
        if (!newest || i->began_ms > newest->began_ms)
            newest = i;
    }
    return count >= NEW_MAX ? newest : NULL;
}

/* A place for another one: a free one, or that of what is longest ago. */
static struct incident *make_room(struct incidents *is)
{
    struct incident *oldest = &is->items[0];
    for (size_t n = 0; n < INCIDENT_CAUSES; n++) {
        struct incident *i = &is->items[n];
        if (!i->id[0])
            return i;
        if (!i->is_new && (oldest->is_new || i->last_ms < oldest->last_ms))
            oldest = i;
    }
    if (oldest->is_new)
        on_write(&is->write);
    if (oldest->changed)
        save(is, oldest);
    buf_deinit(&oldest->text);
    *oldest = (struct incident){0};
    return oldest;
}

/* Whoever is given up may have a successor that works by the time that it has ended. */
static bool is_down(const struct worker *w)
{
    const struct pool *pool = w->pool;
    const struct worker *now =
        w->instance < pool->places ? pool->instances[w->instance].current : NULL;
    return !now || now == w || (now->state != WORKER_READY && now->state != WORKER_BUSY);
}

static void begin(struct incidents *is, struct worker *w, uint64_t cause, const char *how)
{
    char day[32];
    struct tm tm;
    time_t now = time(NULL);
    struct incident *i = make_room(is);
    strftime(day, sizeof(day), "%Y-%m-%d", gmtime_r(&now, &tm));
    incident_next_id(is->last_id, day, i->id);
    memcpy(is->last_id, i->id, sizeof(is->last_id));
    snprintf(i->program, sizeof(i->program), "%s", w->pool->config->name);
    i->cause = cause;
    i->began_ms = loop_now(is->loop);
    i->is_new = true;
    incident_write_json(w, i->id, how, &is->secrets, &i->text);
    loop_defer(is->loop, &is->write);
    memcpy(w->incident, i->id, sizeof(w->incident));
    i->instance = w->instance;
    i->is_down = is_down(w);
    i->last_ms = i->began_ms;
}

void incidents_ended(struct incidents *is, struct worker *w, const char *how)
{
    if (!is->keep || incident_reason(w) == INCIDENT_NONE)
        return;
    uint64_t cause = hash_of(w);
    struct incident *i = find_same(is, w->pool->config->name, cause);
    if (!i) {
        begin(is, w, cause, how);
        return;
    }
    i->again++;
    i->last_ms = loop_now(is->loop);
    i->last_wall_ms = incident_wall_ms();
    i->instance = w->instance;
    i->is_down = is_down(w);
    memcpy(w->incident, i->id, sizeof(w->incident));
    mark_changed(is, i);
}

void incidents_ready(struct incidents *is, const struct worker *w)
{
    for (size_t n = 0; is->items && n < INCIDENT_CAUSES; n++) {
        struct incident *i = &is->items[n];
        if (!i->is_down || i->instance != w->instance ||
            strcmp(i->program, w->pool->config->name) != 0)
            continue;
        i->is_down = false;
        i->recovered_ms = MAX(loop_now(is->loop) - i->last_ms, (uint64_t)1);
        mark_changed(is, i);
    }
}

/* ------------------------------------------------------------------- beginning */

void incidents_init(struct incidents *is, struct pools *pools, const char *data_dir,
                    size_t keep, const struct incident_secrets *secrets)
{
    struct incident_ids ids;
    struct err err;
    *is = (struct incidents){
        .loop = pools->loop, .pools = pools, .keep = keep, .secrets = *secrets};
    is->folder = incident_folder(data_dir);
    is->items = xcalloc(INCIDENT_CAUSES, sizeof(*is->items));
    task_init(&is->write, on_write);
    if (incident_ids_read(&ids, is->folder, &err))
        log_line(LOG_WARN, "nodey", "%s", err.text);
    if (ids.count)
        memcpy(is->last_id, ids.items[0], sizeof(is->last_id));
    is->count = ids.count;
    incident_ids_deinit(&ids);
    prune(is);
}

void incidents_deinit(struct incidents *is)
{
    if (!is->items)
        return;
    task_cancel(&is->write);
    timer_stop(is->loop, &is->update);
    on_write(&is->write);
    on_update(&is->update);
    for (size_t n = 0; n < INCIDENT_CAUSES; n++)
        buf_deinit(&is->items[n].text);
    xfree(is->items);
    xfree(is->folder);
    *is = (struct incidents){0};
}

void incidents_configure(struct incidents *is, size_t keep, const char *const *names)
{
    is->secrets.names = names;
    is->keep = keep;
    prune(is);
}

/* --------------------------------------------------------------------- reading */

static bool is_of(struct slice json, struct slice program)
{
    struct json_value object = {.type = JSON_OBJECT, .raw = json}, key, value;
    if (!program.len)
        return true;
    struct json_scan it = json_iter(&object);
    while (json_next_member(&it, &key, &value))
        if (json_string_is(&key, "program"))
            return slice_eq(json_inner(&value), program);
    return false;
}

/* Is it whole?  What somebody has damaged must not spoil what is read of the others. */
static bool is_object(struct slice json)
{
    struct json_scan scan;
    struct json_value value;
    json_scan_init(&scan, json);
    return json_scan_value(&scan, &value) && value.type == JSON_OBJECT && json_scan_done(&scan);
}

void incidents_write_list(const char *folder, struct slice program, size_t max, struct buf *out)
{
    struct incident_ids ids;
    struct buf json = {0};
    struct err err;
    const char *before = "";
    buf_addc(out, '[');
    if (incident_ids_read(&ids, folder, &err))
        ids.count = 0;
    for (size_t n = 0; n < MIN(ids.count, (size_t)LOOKED_MAX) && max; n++) {
        buf_clear(&json);
        if (incident_read(folder, ids.items[n], &json, &err) || !is_object(buf_slice(&json)) ||
            !is_of(buf_slice(&json), program))
            continue;
        buf_adds(out, before);
        buf_add(out, buf_slice(&json));
        before = ",";
        max--;
    }
    buf_adds(out, "]\n");
    incident_ids_deinit(&ids);
    buf_deinit(&json);
}
