#include "pool/quarantine.h"

#include <stdio.h>

enum { BODY_BYTES = 64 << 10 }; /* of a body that tell one request from another */

void quarantine_init(struct quarantine *q)
{
    *q = (struct quarantine){.key = siphash_key_new(), .generation = 1};
}

void quarantine_deinit(struct quarantine *q)
{
    xfree(q->entries);
    q->entries = NULL;
    q->count = 0;
}

/* Lengths go in front, so that parts do not run into each other. */
static void add_part(struct buf *text, struct slice part)
{
    buf_addf(text, "%zu:", part.len);
    buf_add(text, part);
}

struct suspect quarantine_suspect(const struct quarantine *q, const struct call_identity *id)
{
    struct suspect s;
    struct buf text = {0};
    add_part(&text, id->method);
    add_part(&text, id->route.len ? id->route : id->path);
    s.route = siphash(&q->key, buf_slice(&text));
    buf_clear(&text);
    add_part(&text, id->method);
    add_part(&text, id->path);
    add_part(&text, id->query);
    add_part(&text, (struct slice){id->body.ptr, MIN(id->body.len, (size_t)BODY_BYTES)});
    s.exact = siphash(&q->key, buf_slice(&text));
    buf_deinit(&text);
    return s;
}

static void drop(struct quarantine *q, struct quarantined *e)
{
    *e = q->entries[--q->count];
    if (q->count == 0)
        quarantine_deinit(q);
}

/* Nothing follows from it any more. */
static bool is_over(const struct quarantined *e, uint64_t now_ms)
{
    if (e->until_ms)
        return now_ms >= e->until_ms;
    return now_ms - e->last_ms >= (e->is_route ? CIRCUIT_MS : QUARANTINE_MS);
}

static struct quarantined *find(struct quarantine *q, uint64_t hash, bool is_route)
{
    for (size_t i = 0; i < q->count; i++)
        if (q->entries[i].hash == hash && q->entries[i].is_route == is_route)
            return &q->entries[i];
    return NULL;
}

/* What is over makes room, else what was last heard of longest ago. */
static void make_room(struct quarantine *q, uint64_t now_ms)
{
    struct quarantined *oldest = NULL;
    for (size_t i = 0; i < q->count;) {
        if (is_over(&q->entries[i], now_ms)) {
            drop(q, &q->entries[i]);
            continue;
        }
        if (!oldest || q->entries[i].last_ms < oldest->last_ms)
            oldest = &q->entries[i];
        i++;
    }
    if (q->count == QUARANTINE_ENTRIES)
        drop(q, oldest);
}

/* The entry, made when there is none that still means something. */
static struct quarantined *have(struct quarantine *q, uint64_t hash, bool is_route,
                                uint64_t now_ms)
{
    struct quarantined *e = find(q, hash, is_route);
    if (e && !is_over(e, now_ms))
        return e;
    if (!e) {
        if (q->count == QUARANTINE_ENTRIES)
            make_room(q, now_ms);
        if (!q->entries)
            q->entries = xcalloc(QUARANTINE_ENTRIES, sizeof(*q->entries));
        e = &q->entries[q->count++];
    }
    *e = (struct quarantined){.hash = hash, .is_route = is_route};
    return e;
}

/* False when this death is counted already. */
static bool count(struct quarantined *e, const struct death *death, uint64_t now_ms)
{
    if (e->life == death->life && e->deaths)
        return false;
    e->life = death->life;
    e->last_ms = now_ms;
    e->deaths++;
    snprintf(e->what, sizeof(e->what), "%s", death->what);
    snprintf(e->incident, sizeof(e->incident), "%s", death->incident);
    return true;
}

static bool refuse(struct quarantined *e, uint64_t until_ms)
{
    bool is_new = !e->until_ms;
    if (is_new)
        e->until_ms = until_ms;
    return is_new;
}

/* True when the route is refused from now on. */
static bool note_route(struct quarantined *e, const struct death *death, uint64_t now_ms)
{
    if (!count(e, death, now_ms))
        return false;
    uint64_t *before = &e->times[(e->deaths - 1) % CIRCUIT_DEATHS];
    bool often = e->deaths > CIRCUIT_DEATHS && now_ms - *before < CIRCUIT_MS;
    *before = now_ms;
    return often && refuse(e, now_ms + CIRCUIT_MS);
}

const struct quarantined *quarantine_note(struct quarantine *q, const struct suspect *s,
                                          const struct death *death, uint64_t now_ms)
{
    bool opened = note_route(have(q, s->route, true, now_ms), death, now_ms);
    struct quarantined *exact = have(q, s->exact, false, now_ms);
    if (count(exact, death, now_ms) && exact->deaths >= death->limit &&
        refuse(exact, now_ms + QUARANTINE_MS))
        return exact;
    return opened ? find(q, s->route, true) : NULL;
}

static const struct quarantined *refused(struct quarantine *q, uint64_t hash, bool is_route,
                                         uint64_t now_ms)
{
    struct quarantined *e = find(q, hash, is_route);
    if (!e)
        return NULL;
    if (is_over(e, now_ms)) {
        drop(q, e);
        return NULL;
    }
    return e->until_ms ? e : NULL;
}

const struct quarantined *quarantine_find(struct quarantine *q, const struct suspect *s,
                                          uint64_t now_ms)
{
    const struct quarantined *e = refused(q, s->exact, false, now_ms);
    return e ? e : refused(q, s->route, true, now_ms);
}

void quarantine_clear(struct quarantine *q, const struct suspect *s)
{
    struct quarantined *e = find(q, s->exact, false);
    if (e)
        drop(q, e);
    e = find(q, s->route, true);
    if (e && !e->until_ms)
        drop(q, e);
}

void quarantine_renew(struct quarantine *q, unsigned generation)
{
    if (generation <= q->generation)
        return;
    q->generation = generation;
    quarantine_deinit(q);
}
