#include "app/proxy_lost.h"

#include <stdio.h>

#include "pool/blame.h"

enum {
    VERDICT_MS = 50, /* until a process whose connection broke is taken to live on */
    CALM_MS = 50,    /* after the end of one, until it is known who ended with it */
    DEATHS_MAX = 2,  /* so often a request is given to another when its process ended */
};

static uint64_t now_of(const struct proxied *p)
{
    return loop_now(p->proxy->gateway->loop);
}

/* Could all of the request be sent again? */
static bool is_replayable(const struct proxied *p)
{
    return !p->consumed;
}

/* Nothing of it had arrived: another, now or after a pause. */
static void try_another(struct proxied *p)
{
    proxied_leave(p, false);
    if (p->attempts++ < p->route->retries)
        proxied_choose(p);
    else
        proxied_wait(p, PROXIED_PAUSE_MS);
}

/* A kept link had been closed at the other side; that says nothing of the target. */
static void try_afresh(struct proxied *p)
{
    struct proxy_target *target = p->target;
    if (p->link)
        upstream_drop(p->link);
    p->link = NULL;
    p->begun = p->sending = false;
    if (target->upstream.closing) {
        proxied_leave(p, false);
        p->tried_count = 0;
        proxied_choose(p);
        return;
    }
    p->link = upstream_open(&target->upstream, p->route->connect_timeout, &proxied_ops, p);
}

static void fail_timeout(struct proxied *p)
{
    char text[512];
    snprintf(text, sizeof(text), "%s did not answer within %llu ms", proxied_name(p),
             (unsigned long long)p->timeout_ms);
    proxied_fail(p, 504, text);
}

static void fail_broken(struct proxied *p, enum client_failure failure, const char *why)
{
    char text[512];
    snprintf(text, sizeof(text), "%s %s: %s", proxied_name(p),
             failure == CLIENT_INVALID ? "sent an answer that cannot be used"
                                       : "gave no answer",
             why);
    log_line(LOG_WARN, proxied_log_name(p), "%s: %s", p->target->name, why);
    proxied_fail(p, 502, text);
}

/* Its process ended, and that is the reason. */
static void fail_dead(struct proxied *p)
{
    const struct worker *w = p->use.worker;
    char how[128], text[512];
    postmortem_describe_exit(&w->proc.exit, how, sizeof(how));
    snprintf(text, sizeof(text), "service %s ended while it handled this: %s", w->name, how);
    proxied_refuse(p, 502, text, w->incident);
}

/* May it be sent to another target although this one had begun with it? */
static bool may_go_on(struct proxied *p, bool died)
{
    unsigned *count = died ? &p->deaths : &p->retries;
    uint64_t most = died && p->route->retries ? DEATHS_MAX : p->route->retries;
    if (!p->idempotent || !is_replayable(p) || *count >= most || !target_may_retry(p->target))
        return false;
    ++*count;
    return true;
}

/*
 * Instances that end together (somebody kills them, their database goes away) do not do so in
 * the same instant: a request must not run from one that ends to the next one.
 */
static void calm_down(struct proxied *p)
{
    p->calm_ms = now_of(p) + CALM_MS;
    proxied_wait_until(p, p->calm_ms);
}

/* A begun request has lost its link: another target, or a 502. */
static void go_on(struct proxied *p, enum client_failure failure, bool died, const char *why)
{
    target_failed(p->target, p->route, proxied_log_name(p), why);
    if (may_go_on(p, died)) {
        proxied_leave(p, false);
        if (died)
            calm_down(p);
        else
            proxied_choose(p);
    } else if (died) {
        fail_dead(p);
    } else {
        fail_broken(p, failure, why);
    }
}

static void cut(struct proxied *p, const char *why)
{
    struct exchange *x = p->exchange;
    log_line(LOG_WARN, proxied_log_name(p), "%s: an answer is cut off: %s", p->target->name,
             why);
    proxied_end(p, false);
    exchange_abort(x);
}

void proxied_judge(struct proxied *p)
{
    bool died = use_is_over(&p->use);
    char why[sizeof(p->trouble)];
    memcpy(why, p->trouble, sizeof(why));
    p->broken = false;
    if (p->headed)
        cut(p, why);
    else if (p->use.worker->end == END_FROZEN && !p->unseen)
        fail_broken(p, CLIENT_CLOSED, why); /* what froze this one may freeze the next */
    else if (p->stale && !died && p->idempotent && is_replayable(p))
        try_afresh(p);
    else
        go_on(p, CLIENT_CLOSED, died, why);
}

/*
 * A connection ends a little earlier than its process is known to have.  What that one had
 * stays its own until then, so that its report names it.
 */
static void await_verdict(struct proxied *p, const char *why)
{
    const struct client *c = &p->link->client;
    p->unseen = client_untouched(c) && is_replayable(p);
    p->stale = p->link->kept && !c->heard;
    snprintf(p->trouble, sizeof(p->trouble), "%s", why);
    upstream_drop(p->link);
    p->link = NULL;
    p->sending = false;
    p->broken = true;
    proxied_wait_until(p, now_of(p) + VERDICT_MS);
    loop_defer(p->proxy->gateway->loop, &p->proxy->news); /* it may be known already */
}

void proxied_lost(struct proxied *p, enum client_failure failure, const char *why)
{
    struct client *c = &p->link->client;
    snprintf(p->trouble, sizeof(p->trouble), "%s", why);
    if (!p->begun) {
        target_failed(p->target, p->route, proxied_log_name(p), why);
        try_another(p);
        return;
    }
    bool stale = p->link->kept && failure == CLIENT_CLOSED && !c->heard;
    bool unseen = client_untouched(c) && is_replayable(p);
    if (stale && (unseen || (!p->use.worker && p->idempotent && is_replayable(p))))
        try_afresh(p);
    else if (failure == CLIENT_TIMEOUT)
        fail_timeout(p);
    else if (failure == CLIENT_CLOSED && p->use.worker)
        await_verdict(p, why);
    else
        go_on(p, failure, /* died= */ false, why);
}

void proxied_cut(struct proxied *p, enum client_failure failure, const char *why)
{
    if (failure == CLIENT_CLOSED && p->use.worker)
        await_verdict(p, why);
    else
        cut(p, why);
}

void proxied_answers(struct proxied *p)
{
    struct worker *w = p->use.worker;
    p->use.answering = true;
    if (w && !w->gone)
        blame_acquit_use(w->pool, &p->use);
}
