#include "pool/blame.h"

#include <signal.h>
#include <stdio.h>

static bool identify(const struct call *call, struct call_identity *id)
{
    *id = (struct call_identity){0};
    if (!call || !call->ops->identify)
        return false;
    call->ops->identify(call, id);
    return true;
}

static bool suspect_of(const struct pool *pool, const struct call *call, struct suspect *s)
{
    struct call_identity id;
    if (!identify(call, &id))
        return false;
    *s = quarantine_suspect(&pool->quarantine, &id);
    return true;
}

/*
 * Sockets and event streams are under way all the time, whoever ends the worker: what has begun
 * to be answered is suspected of nothing.
 */
static bool may_be_blamed(const struct pool *pool, const struct call *call, struct suspect *s)
{
    return call && !call->answering && suspect_of(pool, call, s);
}

/* ---------------------------------------------------------------- what it was */

static void write_route(const struct call_identity *identity, char *route, size_t size)
{
    if (identity->route.len)
        snprintf(route, size, SLICE_FMT " " SLICE_FMT, SLICE_ARG(identity->method),
                 SLICE_ARG(identity->route));
}

static void describe_call(const struct call *call, char *what, char *route, char *id,
                          size_t id_size)
{
    enum { SIZE = sizeof(((struct blamed *)0)->what) };

    struct call_about about;
    struct call_identity identity;
    call_describe(call, &about);
    snprintf(what, SIZE, "%s", about.what);
    snprintf(id, id_size, SLICE_FMT, SLICE_ARG(about.request_id));
    if (identify(call, &identity))
        write_route(&identity, route, SIZE);
}

void blame_remember(struct slot *slot, const struct call *call)
{
    if (!slot_started(slot) || slot->past)
        return;
    struct past_call *past = xcalloc(1, sizeof(*past));
    past->known = may_be_blamed(slot->worker->pool, call, &past->suspect);
    describe_call(call, past->what, past->route, past->request_id, sizeof(past->request_id));
    slot->past = past;
}

void blame_describe(const struct slot *slot, struct blamed *out)
{
    *out = (struct blamed){.begun = slot_started(slot),
                           .ms = (loop_clock_ns() - slot->sent_ns) / 1000000,
                           .given_up = !slot->call};
    if (slot->call) {
        describe_call(slot->call, out->what, out->route, out->request_id,
                      sizeof(out->request_id));
    } else if (slot->past) {
        memcpy(out->what, slot->past->what, sizeof(out->what));
        memcpy(out->route, slot->past->route, sizeof(out->route));
        memcpy(out->request_id, slot->past->request_id, sizeof(out->request_id));
    }
}

void blame_describe_use(const struct use *use, struct blamed *out)
{
    struct call_about about = {0};
    struct call_identity identity = {0};
    *out = (struct blamed){.begun = use->sent_ns != 0};
    if (use->sent_ns)
        out->ms = (loop_clock_ns() - use->sent_ns) / 1000000;
    if (!use->ops)
        return;
    use->ops->describe(use, &about);
    use->ops->identify(use, &identity);
    snprintf(out->what, sizeof(out->what), "%s", about.what);
    snprintf(out->request_id, sizeof(out->request_id), SLICE_FMT, SLICE_ARG(about.request_id));
    write_route(&identity, out->route, sizeof(out->route));
}

/* --------------------------------------------------------------------- blaming */

/* Ends that what it worked on may have brought about: not those that somebody asked for. */
static bool may_be_their_fault(const struct worker *w)
{
    int signal = w->proc.exit.signal;
    switch (w->end) {
    case END_ITSELF:
        if (signal && signal == w->signalled) /* a person's word */
            return false;
        return signal != SIGTERM && signal != SIGINT && signal != SIGHUP && signal != SIGQUIT;
    case END_MEMORY:
    case END_PIDS:
    case END_STUCK:
    case END_FROZEN:
        return true;
    default:
        return false;
    }
}

static const char *victims(const struct pool *pool)
{
    return pool->config->is_service ? "processes" : "workers";
}

static void tell(const struct worker *w, const struct quarantined *e)
{
    const char *incident = e->incident[0] ? ", incident " : "";
    if (e->is_route)
        pool_tell(w->pool, w, LOG_ERROR,
                  "requests like %s ended more than %d %s within %d s: refused for as "
                  "long%s%s",
                  e->what, CIRCUIT_DEATHS, victims(w->pool), CIRCUIT_MS / 1000, incident,
                  e->incident);
    else
        pool_tell(w->pool, w, LOG_ERROR,
                  "%s ended %u %s in a row: refused for %d minutes, or until the program "
                  "changes%s%s",
                  e->what, e->deaths, victims(w->pool), QUARANTINE_MS / 60000, incident,
                  e->incident);
}

static void note(struct worker *w, const struct suspect *suspect, const char *what)
{
    struct pool *pool = w->pool;
    const struct quarantined *e =
        quarantine_note(&pool->quarantine, suspect,
                        &(struct death){.life = w->life,
                                        .what = what,
                                        .incident = w->incident,
                                        .limit = (unsigned)pool->config->quarantine},
                        loop_now(pool->pools->loop));
    if (e)
        tell(w, e);
}

static void count(struct worker *w, const struct slot *slot)
{
    struct suspect suspect;
    struct call_about about;
    if (!slot->call) {
        if (slot->past && slot->past->known)
            note(w, &slot->past->suspect, slot->past->what);
        return;
    }
    if (!may_be_blamed(w->pool, slot->call, &suspect))
        return;
    call_describe(slot->call, &about);
    note(w, &suspect, about.what);
}

static struct suspect suspect_of_use(const struct pool *pool, const struct use *use)
{
    struct call_identity id = {0};
    use->ops->identify(use, &id);
    return quarantine_suspect(&pool->quarantine, &id);
}

static void count_use(struct worker *w, const struct use *use)
{
    struct call_about about = {0};
    if (!use->ops || !use->sent_ns || use->answering)
        return;
    struct suspect suspect = suspect_of_use(w->pool, use);
    use->ops->describe(use, &about);
    note(w, &suspect, about.what);
}

void blame_ended(struct worker *w)
{
    struct pool *pool = w->pool;
    /* One of an older version says nothing of the new. */
    if (!pool->config->quarantine || pool->pools->stopping || !may_be_their_fault(w) ||
        w->generation != pool->quarantine.generation)
        return;
    list_each (at, &w->slots) {
        const struct slot *slot = container_of(at, struct slot, node);
        if (slot_started(slot))
            count(w, slot);
    }
    list_each (at, &w->used)
        count_use(w, container_of(at, struct use, node));
}

/* -------------------------------------------------------------------- refusing */

static const struct call_failure *look_up(struct pool *pool, const struct suspect *suspect)
{
    const struct quarantined *e =
        quarantine_find(&pool->quarantine, suspect, loop_now(pool->pools->loop));
    if (!e)
        return NULL;
    if (e->is_route)
        snprintf(pool->refusal_text, sizeof(pool->refusal_text),
                 "requests like this one ended more than %d %s within %d s, and are "
                 "refused for a moment%s%s",
                 CIRCUIT_DEATHS, victims(pool), CIRCUIT_MS / 1000,
                 e->incident[0] ? ": incident " : "", e->incident);
    else
        snprintf(pool->refusal_text, sizeof(pool->refusal_text),
                 "this request ended %u %s in a row, and is not given to another%s%s",
                 e->deaths, victims(pool), e->incident[0] ? ": incident " : "", e->incident);
    pool->refusal = (struct call_failure){
        .code = "internal", .status = 500, .text = pool->refusal_text, .incident = e->incident};
    return &pool->refusal;
}

const struct call_failure *blame_look_up(struct pool *pool, const struct call *call)
{
    struct suspect suspect;
    return suspect_of(pool, call, &suspect) ? look_up(pool, &suspect) : NULL;
}

const struct call_failure *blame_look_up_use(struct pool *pool, const struct use *use)
{
    struct suspect suspect = suspect_of_use(pool, use);
    return look_up(pool, &suspect);
}

void blame_forget_use(struct pool *pool, const struct use *use)
{
    struct suspect suspect = suspect_of_use(pool, use);
    quarantine_clear(&pool->quarantine, &suspect);
}

void blame_forget(struct pool *pool, const struct call *call)
{
    struct suspect suspect;
    if (suspect_of(pool, call, &suspect))
        quarantine_clear(&pool->quarantine, &suspect);
}
