#include "base/metric.h"

enum { MEAN_WEIGHT = 16, PEAK_WEIGHT = 64, MANY = 256 };

void pace_note(struct pace *p, double each_us, unsigned count)
{
    if (count > MANY)
        count = MANY;
    for (unsigned i = 0; i < count; i++) {
        p->mean_us += p->samples ? (each_us - p->mean_us) / MEAN_WEIGHT : each_us;
        p->peak_us -= p->peak_us / PEAK_WEIGHT;
        p->samples++;
    }
    p->peak_us = MAX(p->peak_us, each_us);
}

bool bucket_take(struct bucket *b, double rate, uint64_t now_ms)
{
    if (b->last_ms == 0)
        b->tokens = rate * 2;
    else if (now_ms > b->last_ms)
        b->tokens += rate * (double)(now_ms - b->last_ms) / 1000;
    b->last_ms = now_ms ? now_ms : 1;
    b->tokens = MIN(b->tokens, rate * 2);
    if (b->tokens < 1)
        return false;
    b->tokens -= 1;
    return true;
}

bool window_over(struct window *w, unsigned limit, uint64_t span_ms, uint64_t now_ms)
{
    if (w->count == 0 || now_ms - w->since_ms >= span_ms)
        *w = (struct window){.since_ms = now_ms};
    return ++w->count > limit;
}
