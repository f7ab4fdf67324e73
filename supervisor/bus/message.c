#include "bus/message.h"

#include <stdio.h>

/* Copies what is given to where `to` points, which moves on. */
static struct slice place(char **to, struct slice from)
{
    struct slice copy = {*to, from.len};
    if (from.len)
        memcpy(*to, from.ptr, from.len);
    *to += from.len;
    return copy;
}

struct message *message_new(const struct message_parts *p)
{
    size_t bytes = p->stream.len + p->topic.len + p->key.len + p->msgid.len + p->cause.len +
                   p->correlation.len + p->traceparent.len + p->headers.len + p->only.len +
                   p->origin.len + p->data.len + p->blob.len;
    struct message *m = xmalloc(sizeof(*m) + bytes);
    char *at = (char *)(m + 1);
    *m = (struct message){.due_ms = p->due_ms};
    atomic_init(&m->refs, 1);
    m->stream = place(&at, p->stream);
    m->topic = place(&at, p->topic);
    m->key = place(&at, p->key);
    m->msgid = place(&at, p->msgid);
    m->cause = place(&at, p->cause);
    m->correlation = place(&at, p->correlation);
    m->traceparent = place(&at, p->traceparent);
    m->headers = place(&at, p->headers);
    m->only = place(&at, p->only);
    m->origin = place(&at, p->origin);
    m->data = place(&at, p->data);
    m->blob = place(&at, p->blob);
    m->size = p->blob.len ? p->size : p->data.len;
    return m;
}

struct message *message_hold(struct message *m)
{
    atomic_fetch_add_explicit(&m->refs, 1, memory_order_relaxed);
    return m;
}

void message_release(struct message *m)
{
    if (m && atomic_fetch_sub_explicit(&m->refs, 1, memory_order_acq_rel) == 1)
        xfree(m);
}

/* `blob` is the last of its slices, so it ends where the allocation does. */
size_t message_bytes(const struct message *m)
{
    return (size_t)(m->blob.ptr + m->blob.len - (const char *)m);
}

struct slice message_id(const struct message *m, char *text)
{
    if (m->msgid.len)
        return m->msgid;
    int len = snprintf(text, MESSAGE_ID_MAX + 1, "%llu", (unsigned long long)m->seq);
    return (struct slice){text, (size_t)len};
}
