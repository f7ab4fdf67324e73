#include "loop/sig.h"

#include "loop/loop.h"

static void on_signal(uv_signal_t *handle, int signum)
{
    struct sig *s = container_of(handle, struct sig, handle);
    s->fire(s, signum);
}

int sig_start(struct sig *s, struct loop *loop, int signum, void (*fire)(struct sig *, int))
{
    s->fire = fire;
    int rc = uv_signal_init(&loop->uv, &s->handle);
    if (rc)
        return rc;
    uv_unref((uv_handle_t *)&s->handle);
    return uv_signal_start(&s->handle, on_signal, signum);
}

void sig_stop(struct sig *s)
{
    if (s->handle.loop && !uv_is_closing((uv_handle_t *)&s->handle))
        uv_close((uv_handle_t *)&s->handle, NULL);
}
