#include "loop/work.h"

#include <assert.h>

static void on_thread(uv_work_t *req)
{
    struct work *w = container_of(req, struct work, req);
    w->run(w);
}

/* Nobody cancels, so the status says nothing. */
static void on_done(uv_work_t *req, int status)
{
    struct work *w = container_of(req, struct work, req);
    (void)status;
    w->loop = NULL;
    w->done(w);
}

void work_start(struct work *w, struct loop *loop, void (*run)(struct work *),
                void (*done)(struct work *))
{
    assert(!w->loop);
    w->loop = loop;
    w->run = run;
    w->done = done;
    int rc = uv_queue_work(&loop->uv, &w->req, on_thread, on_done);
    assert(!rc); /* it only says that there is nothing to do */
    IGNORE(rc);
}
