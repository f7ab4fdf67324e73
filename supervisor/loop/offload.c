#include "loop/offload.h"

#include <assert.h>
#include <limits.h>
#include <time.h>

/* Hands over what has come back; the thread may be replying meanwhile. */
static void hand_over(struct offload *o)
{
    struct list letters;
    list_init(&letters);
    pthread_mutex_lock(&o->mutex);
    list_splice(&letters, &o->out);
    pthread_mutex_unlock(&o->mutex);
    if (!list_empty(&letters))
        o->ops->back(o, &letters);
}

static void on_closed(uv_handle_t *handle)
{
    struct offload *o = container_of(handle, struct offload, async);
    pthread_cond_destroy(&o->cond);
    pthread_mutex_destroy(&o->mutex);
    o->ops->closed(o);
}

static void on_async(uv_async_t *async)
{
    struct offload *o = container_of(async, struct offload, async);
    pthread_mutex_lock(&o->mutex);
    bool ended = o->ended;
    pthread_mutex_unlock(&o->mutex);
    hand_over(o); /* after `ended` was read: then these were the last */
    if (ended && !uv_is_closing((uv_handle_t *)async)) {
        int rc = pthread_join(o->thread, NULL);
        assert(!rc);
        IGNORE(rc);
        uv_close((uv_handle_t *)async, on_closed);
    }
}

/* With the mutex: until there is a letter, the time has come, or the end is near. */
static void wait_for_letters(struct offload *o, uint64_t wake_at)
{
    struct timespec until = {(time_t)(wake_at / 1000), (long)(wake_at % 1000) * 1000000};
    int rc = 0;
    while (list_empty(&o->in) && !o->closing && rc == 0 && wake_at > 0)
        rc = wake_at == UINT64_MAX ? pthread_cond_wait(&o->cond, &o->mutex)
                                   : pthread_cond_timedwait(&o->cond, &o->mutex, &until);
}

static void *on_thread(void *arg)
{
    struct offload *o = arg;
    uint64_t wake_at = UINT64_MAX;
    pthread_mutex_lock(&o->mutex);
    for (;;) {
        wait_for_letters(o, wake_at);
        if (o->closing && list_empty(&o->in) && wake_at > 0)
            break;
        struct list letters;
        list_init(&letters);
        list_splice(&letters, &o->in);
        pthread_mutex_unlock(&o->mutex);
        wake_at = o->ops->run(o, &letters);
        pthread_mutex_lock(&o->mutex);
    }
    o->ended = true;
    pthread_mutex_unlock(&o->mutex);
    uv_async_send(&o->async); /* the loop joins before it closes the handle */
    return NULL;
}

static void flush(struct offload *o)
{
    task_cancel(&o->flush);
    o->waiting = 0;
    pthread_mutex_lock(&o->mutex);
    list_splice(&o->in, &o->posted);
    pthread_mutex_unlock(&o->mutex);
    pthread_cond_signal(&o->cond);
}

static void on_flush(struct task *task)
{
    flush(container_of(task, struct offload, flush));
}

int offload_open(struct offload *o, struct loop *loop, const struct offload_ops *ops)
{
    o->ops = ops;
    o->loop = loop;
    o->closing = o->ended = false;
    list_init(&o->posted);
    o->waiting = 0;
    o->hasty = UINT_MAX;
    list_init(&o->in);
    list_init(&o->out);
    task_init(&o->flush, on_flush);
    int rc = uv_async_init(&loop->uv, &o->async, on_async);
    if (rc)
        return rc;
    pthread_mutex_init(&o->mutex, NULL);
    pthread_cond_init(&o->cond, NULL); /* CLOCK_REALTIME is what it has by itself */
    rc = pthread_create(&o->thread, NULL, on_thread, o);
    assert(!rc); /* no thread is no memory */
    return -rc;
}

void offload_post(struct offload *o, struct list *node)
{
    assert(!o->closing);
    list_add(&o->posted, node);
    if (++o->waiting < o->hasty)
        loop_defer(o->loop, &o->flush);
    else
        flush(o);
}

void offload_reply(struct offload *o, struct list *node)
{
    struct list letters;
    list_init(&letters);
    list_add(&letters, node);
    offload_reply_all(o, &letters);
}

void offload_reply_all(struct offload *o, struct list *letters)
{
    pthread_mutex_lock(&o->mutex);
    bool wake = list_empty(&o->out) && !list_empty(letters);
    list_splice(&o->out, letters);
    pthread_mutex_unlock(&o->mutex);
    if (wake)
        uv_async_send(&o->async);
}

void offload_close(struct offload *o)
{
    assert(!o->closing);
    task_cancel(&o->flush);
    pthread_mutex_lock(&o->mutex);
    list_splice(&o->in, &o->posted);
    o->closing = true;
    pthread_mutex_unlock(&o->mutex);
    pthread_cond_signal(&o->cond);
}
