#include "loop/timer.h"

#include "loop/loop.h"

static void place(struct loop *loop, size_t at, struct timer *t)
{
    loop->heap[at] = t;
    t->at = at + 1;
}

static void sift_up(struct loop *loop, size_t at)
{
    struct timer *t = loop->heap[at];
    while (at > 0) {
        size_t parent = (at - 1) / 2;
        if (loop->heap[parent]->key_ms <= t->key_ms)
            break;
        place(loop, at, loop->heap[parent]);
        at = parent;
    }
    place(loop, at, t);
}

static void sift_down(struct loop *loop, size_t at)
{
    struct timer *t = loop->heap[at];
    for (;;) {
        size_t child = at * 2 + 1;
        if (child >= loop->heap_len)
            break;
        if (child + 1 < loop->heap_len &&
            loop->heap[child + 1]->key_ms < loop->heap[child]->key_ms)
            child++;
        if (t->key_ms <= loop->heap[child]->key_ms)
            break;
        place(loop, at, loop->heap[child]);
        at = child;
    }
    place(loop, at, t);
}

static void heap_remove(struct loop *loop, struct timer *t)
{
    size_t at = t->at - 1;
    struct timer *last = loop->heap[--loop->heap_len];
    t->at = 0;
    if (last == t)
        return;
    place(loop, at, last);
    sift_up(loop, at);
    sift_down(loop, last->at - 1);
}

static void on_clock(uv_timer_t *clock);

/* libuv's timer stands at the earliest key; firing early is harmless, late is not. */
static void arm(struct loop *loop, uint64_t least_ms)
{
    if (loop->heap_len == 0) {
        uv_timer_stop(&loop->clock);
        return;
    }
    uint64_t now = uv_now(&loop->uv);
    uint64_t key = loop->heap[0]->key_ms;
    uv_timer_start(&loop->clock, on_clock, MAX(key > now ? key - now : 0, least_ms), 0);
}

static void on_clock(uv_timer_t *clock)
{
    struct loop *loop = container_of(clock, struct loop, clock);
    uint64_t now = uv_now(&loop->uv);
    /* One that starts itself anew with no delay waits for the next turn: others want theirs. */
    size_t left = loop->heap_len;
    while (left && loop->heap_len && loop->heap[0]->key_ms <= now) {
        struct timer *t = loop->heap[0];
        if (t->due_ms > now) { /* it has been pushed on since it was placed */
            t->key_ms = t->due_ms;
            sift_down(loop, 0);
            continue;
        }
        left--;
        heap_remove(loop, t);
        t->fire(t);
    }
    arm(loop, 1); /* 0 would be this turn once more */
}

void timer_start(struct loop *loop, struct timer *t, uint64_t delay_ms,
                 void (*fire)(struct timer *))
{
    uint64_t now = uv_now(&loop->uv);
    t->fire = fire;
    t->due_ms = delay_ms > UINT64_MAX - now ? UINT64_MAX : now + delay_ms;
    if (t->at && t->key_ms <= t->due_ms)
        return;
    if (t->at)
        heap_remove(loop, t);
    if (loop->heap_len == loop->heap_cap) {
        loop->heap_cap = loop->heap_cap ? loop->heap_cap * 2 : 64;
        loop->heap = xrealloc(loop->heap, loop->heap_cap * sizeof(struct timer *));
    }
    t->key_ms = t->due_ms;
    place(loop, loop->heap_len++, t);
    sift_up(loop, t->at - 1);
    if (t->at == 1)
        arm(loop, 0);
}

/* libuv's timer is left where it stands: it fires once for nothing at worst. */
void timer_stop(struct loop *loop, struct timer *t)
{
    if (!t->at)
        return;
    heap_remove(loop, t);
    if (loop->heap_len == 0)
        arm(loop, 0);
}
