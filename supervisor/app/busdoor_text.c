/*
 * How messages look to those who read them: a part of busdoor_follow.h.
 */
#include "app/busdoor_parts.h"
#include "base/json.h"

/* Between the tokens of JSON a line's end is as good as a blank, and in a string none is. */
static void add_on_one_line(struct buf *out, struct slice json)
{
    size_t from = out->len;
    buf_add(out, json);
    for (size_t i = from; i < out->len; i++)
        if (out->ptr[i] == '\n' || out->ptr[i] == '\r')
            out->ptr[i] = ' ';
}

static void write_sse(const struct message *m, struct slice data, struct buf *out)
{
    buf_addf(out, "id: %llu\nevent: " SLICE_FMT "\ndata: ", (unsigned long long)m->seq,
             SLICE_ARG(m->topic));
    add_on_one_line(out, data);
    buf_adds(out, "\n\n");
}

void follow_write_gap(enum follow_format format, uint64_t from, uint64_t to, bool passed,
                      struct buf *out)
{
    bool sse = format == FOLLOW_SSE;
    if (sse && passed)
        buf_addf(out, "id: %llu\n", (unsigned long long)to);
    buf_adds(out, sse ? "event: gap\ndata: " : "{\"gap\":");
    buf_addf(out, "{\"from\":%llu,\"to\":%llu}", (unsigned long long)from,
             (unsigned long long)to);
    buf_adds(out, sse ? "\n\n" : "}\n");
}

static void add_text(struct buf *out, const char *name, struct slice text)
{
    if (!text.len)
        return;
    buf_addf(out, ",\"%s\":", name);
    json_write(out, text);
}

static void write_ndjson(const struct message *m, struct slice data, struct buf *out)
{
    char id[MESSAGE_ID_MAX + 1];
    bool job = slice_starts(m->stream, SLICE("queue."));
    buf_addf(out, "{\"seq\":%llu,\"time\":%lld", (unsigned long long)m->seq,
             (long long)m->time_ms);
    add_text(out, "stream", m->stream);
    add_text(out, job ? "queue" : "topic", m->topic);
    add_text(out, "id", message_id(m, id));
    add_text(out, "key", m->key);
    add_text(out, "cause", m->cause);
    add_text(out, "correlation", m->correlation);
    add_text(out, "traceparent", m->traceparent);
    add_text(out, "only", m->only);
    add_text(out, "origin", m->origin);
    if (m->headers.len) {
        buf_adds(out, ",\"headers\":");
        add_on_one_line(out, m->headers);
    }
    buf_adds(out, ",\"data\":");
    add_on_one_line(out, data.len ? data : SLICE("null"));
    buf_adds(out, "}\n");
}

void follow_write(enum follow_format format, const struct message *m, struct slice data,
                  struct buf *out)
{
    if (format == FOLLOW_SSE)
        write_sse(m, data, out);
    else
        write_ndjson(m, data, out);
}
