#include "pool/use.h"

#include "pool/worker.h"

void use_begin(struct use *u, struct worker *w)
{
    u->worker = w;
    u->sent_ns = 0;
    u->answering = false;
    list_add(&w->used, &u->node);
    w->uses++;
}

void use_end(struct use *u)
{
    struct worker *w = u->worker;
    if (!w)
        return;
    u->worker = NULL;
    list_del(&u->node);
    w->uses--;
    if (!w->gone)
        worker_check_drained(w);
    else if (w->uses == 0)
        xfree(w);
}

bool use_is_over(const struct use *u)
{
    return u->worker->gone || u->worker->state == WORKER_STOPPED;
}
