#include "pool/health.h"

#include "pool/pool.h"
#include "pool/service.h"

static void on_ping(struct timer *timer);

static struct loop *loop_of(const struct worker *w)
{
    return w->pool->pools->loop;
}

static void send_ping(struct worker *w)
{
    w->ping_id = ++w->pool->pools->next_id;
    w->ping_sent_ms = loop_now(loop_of(w));
    w->ping_at = stream_position(&w->proc.in);
    frame_write_ping(worker_out(w), w->ping_id);
}

static void judge(struct worker *w)
{
    const struct worker_config *config = w->pool->config;
    if (w->held)
        return;
    uint64_t silent = loop_now(loop_of(w)) - w->ping_sent_ms;
    if (silent >= config->ping_kill) {
        w->end = END_FROZEN;
        worker_give_up(w, "it answers no ping");
    } else if (silent >= config->ping_timeout && w->state != WORKER_UNHEALTHY) {
        worker_set_state(w, WORKER_UNHEALTHY);
        pool_tell(w->pool, w, LOG_WARN, "unhealthy: no answer to a ping for %llu ms",
                  (unsigned long long)silent);
    }
}

static void on_ping(struct timer *timer)
{
    struct worker *w = container_of(timer, struct worker, ping);
    timer_start(loop_of(w), &w->ping, w->pool->config->ping_interval, on_ping);
    if (w->ping_id)
        judge(w);
    else if (w->ready.concurrency > 1 || w->slot_count == 0)
        send_ping(w);
}

void health_start(struct worker *w)
{
    if (w->pool->config->is_service) {
        service_watch(w);
        return;
    }
    uint64_t interval = w->pool->config->ping_interval;
    if (interval && worker_has(w, FEATURE_PING))
        timer_start(loop_of(w), &w->ping, interval, on_ping);
}

void health_stop(struct worker *w)
{
    timer_stop(loop_of(w), &w->ping);
    w->ping_id = 0;
    service_stop(w);
}

void health_pong(struct worker *w, const struct frame *frame)
{
    if (frame->id.kind != FRAME_ID_NUMBER || frame->id.number != w->ping_id)
        return;
    w->ping_id = 0;
    if (w->state != WORKER_UNHEALTHY)
        return;
    worker_set_state(w, WORKER_READY);
    worker_update_load(w);
    pool_tell(w->pool, w, LOG_INFO, "healthy again");
    pool_changed(w->pool);
    pool_dispatch(w->pool);
}
