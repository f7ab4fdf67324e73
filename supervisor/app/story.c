#include "app/story.h"

#include <stdio.h>
#include <time.h>

#include "app/control_reply.h"
#include "base/json.h"
#include "bus/topic.h"

enum {
    LEASE_MS = 10000,     /* a recorder that takes nothing for so long is gone */
    DATA_SHOWN = 1 << 20, /* bytes of data in a line; more is only counted */
    ERROR_MAX = 400,
};

static int64_t wall_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* -------------------------------------------------------------------------- the rings */

static void forget_message(struct story *s)
{
    struct message *m = s->messages[s->first];
    s->bytes -= message_bytes(m);
    message_release(m);
    s->first = (s->first + 1) % STORY_MESSAGES;
    s->count--;
}

static void remember(struct story *s, const struct message *m)
{
    if (!s->messages)
        s->messages = xcalloc(STORY_MESSAGES, sizeof(struct message *));
    s->bytes += message_bytes(m);
    while (s->count && (s->count == STORY_MESSAGES || s->bytes > STORY_BYTES))
        forget_message(s);
    s->messages[(s->first + s->count++) % STORY_MESSAGES] =
        message_hold((struct message *)m); /* the count is all that changes */
}

static uint16_t hand_of(struct story *s, struct slice group, const char *program)
{
    for (size_t i = 0; i <= s->hand_count; i++) {
        size_t n = i ? i - 1 : s->hand_last;
        if (n < s->hand_count && slice_is(group, s->hands[n].group) &&
            strcmp(s->hands[n].program, program) == 0) {
            s->hand_last = n;
            return (uint16_t)n;
        }
    }
    if (s->hand_count == STORY_HANDS)
        return STORY_HANDS - 1;
    s->hands[s->hand_count] =
        (struct story_hand){xstrndup(group.ptr, group.len), xstrdup(program)};
    return (uint16_t)s->hand_count++;
}

static struct story_end *remember_end(struct story *s)
{
    if (!s->ends)
        s->ends = xcalloc(STORY_ENDS, sizeof(*s->ends));
    if (s->end_count == STORY_ENDS) {
        xfree(s->ends[s->end_first].error);
        s->end_first = (s->end_first + 1) % STORY_ENDS;
        s->end_count--;
    }
    return &s->ends[(s->end_first + s->end_count++) % STORY_ENDS];
}

/* -------------------------------------------------------------------------- the words */

static void add_text(struct buf *out, const char *name, struct slice text)
{
    if (!text.len)
        return;
    buf_addf(out, ",\"%s\":", name);
    json_write(out, text);
}

/* Between the tokens of JSON a line's end is as good as a blank, and in a string none is. */
static void add_raw(struct buf *out, const char *name, struct slice json)
{
    buf_addf(out, ",\"%s\":", name);
    size_t from = out->len;
    buf_add(out, json);
    for (size_t i = from; i < out->len; i++)
        if (out->ptr[i] == '\n' || out->ptr[i] == '\r')
            out->ptr[i] = ' ';
}

void story_write_message(const struct message *m, struct buf *out)
{
    char id[MESSAGE_ID_MAX + 1];
    bool job = slice_starts(m->stream, SLICE("queue."));
    buf_addf(out, ",\"seq\":%llu,\"time\":%lld", (unsigned long long)m->seq,
             (long long)m->time_ms);
    add_text(out, "stream", m->stream);
    add_text(out, "from", m->origin);
    add_text(out, job ? "queue" : "topic", m->topic);
    add_text(out, "id", message_id(m, id));
    add_text(out, "key", m->key);
    add_text(out, "cause", m->cause);
    add_text(out, "correlation", m->correlation);
    if (m->headers.len)
        add_raw(out, "headers", m->headers);
    if (m->blob.len || m->data.len > DATA_SHOWN)
        buf_addf(out, ",\"size\":%llu", (unsigned long long)m->size);
    else
        add_raw(out, "data", m->data.len ? m->data : SLICE("null"));
}

void story_write_end(const struct story *s, const struct story_end *end, struct buf *out)
{
    const struct story_hand *hand = &s->hands[end->hand];
    buf_addf(out, "{\"seq\":%llu,\"time\":%lld", (unsigned long long)end->seq,
             (long long)end->at_ms);
    add_text(out, "program", slice_of(hand->program));
    add_text(out, "group", slice_of(hand->group));
    buf_addf(out, ",\"attempt\":%u,\"waited_ms\":%u,\"ran_ms\":%u", end->attempt,
             end->waited_ms, end->ran_ms);
    if (end->error)
        add_text(out, "error", slice_of(end->error));
    buf_adds(out, end->dead ? ",\"dead\":true}" : "}");
}

/* -------------------------------------------------------------------------- the journal */

static void stop_recording(struct story *s)
{
    s->records = s->plays;
    buf_deinit(&s->journal);
}

static void on_lease(struct timer *timer)
{
    stop_recording(container_of(timer, struct story, lease));
}

/* Whole lines; who has not taken them learns how many there were. */
static void lose_half(struct story *s)
{
    size_t at = 0;
    while (at < s->journal.len / 2) {
        const char *lf = memchr(s->journal.ptr + at, '\n', s->journal.len - at);
        at = (size_t)(lf - s->journal.ptr) + 1;
        s->journal_lost++;
    }
    buf_consume(&s->journal, at);
}

static void begin_line(struct story *s, const char *kind)
{
    if (s->journal.len > STORY_JOURNAL)
        lose_half(s);
    buf_addf(&s->journal, "{\"kind\":\"%s\",\"t\":%lld", kind, (long long)wall_ms());
}

static void end_line(struct story *s)
{
    buf_adds(&s->journal, "}\n");
    s->journal_next++;
}

static size_t lines_in(struct slice text)
{
    size_t n = 0;
    for (const char *lf; (lf = memchr(text.ptr, '\n', text.len)); n++)
        text = slice_from(text, (size_t)(lf - text.ptr) + 1);
    return n;
}

/* What was taken is gone: a recorder asks for what follows. */
void story_take(struct story *s, uint64_t after, struct buf *out)
{
    struct slice text = buf_slice(&s->journal);
    uint64_t have = s->journal_next - (text.len ? lines_in(text) : 0);
    for (; have < after && text.len; have++) {
        const char *lf = memchr(text.ptr, '\n', text.len);
        text = slice_from(text, (size_t)(lf - text.ptr) + 1);
    }
    buf_addf(out, "\"next\":%llu,\"lost\":%llu,\"lines\":[\n",
             (unsigned long long)s->journal_next, (unsigned long long)s->journal_lost);
    size_t from = out->len;
    buf_add(out, text);
    for (size_t i = from; i + 1 < out->len; i++)
        if (out->ptr[i] == '\n')
            out->ptr[i] = ',';
    buf_addc(out, ']');
    buf_clear(&s->journal);
}

static void serve_record(struct story *s, struct exchange *x)
{
    struct slice value;
    uint64_t after = 0;
    struct buf out = {0};
    if (control_parameter(exchange_request(x), "after", &value) &&
        !slice_to_u64(value, INT64_MAX, &after)) {
        control_invalid(x, "after is the number of a line");
        return;
    }
    if (!s->records)
        after = s->journal_next;
    s->records = true;
    timer_start(s->events->host.loop, &s->lease, LEASE_MS, on_lease);
    buf_addc(&out, '{');
    story_take(s, after, &out);
    buf_adds(&out, "}\n");
    control_answer(x, buf_slice(&out));
    buf_deinit(&out);
}

/* ------------------------------------------------------------------------ what happens */

static bool is_wanted(const struct flow_interest *i, const struct message *m)
{
    bool job = slice_starts(m->stream, SLICE("queue."));
    return i->job == job && (!m->only.len || slice_is(m->only, i->group)) &&
           (job ? slice_is(m->topic, i->pattern)
                : topic_matches(slice_of(i->pattern), m->topic));
}

/* Two subscriptions of one group are one. */
static bool is_counted(const struct story *s, const struct flow_interest *i,
                       const struct message *m)
{
    bool job = i->job;
    if (i->each || !is_wanted(i, m))
        return false;
    list_each (at, &s->graph->interests) {
        const struct flow_interest *other = container_of(at, struct flow_interest, node);
        if (other == i)
            break;
        if (!other->each && other->job == job && strcmp(other->group, i->group) == 0 &&
            (job || topic_matches(slice_of(other->pattern), m->topic)))
            return false;
    }
    return true;
}

static void await_handlers(struct story *s, const struct message *m)
{
    if (slice_is(m->stream, "dead"))
        return;
    list_each (at, &s->graph->interests) {
        const struct flow_interest *i = container_of(at, struct flow_interest, node);
        s->unsettled += is_counted(s, i, m);
        s->is_heard |= i->each && is_wanted(i, m);
    }
}

static void on_stored(struct events_watcher *watcher, const struct message *m)
{
    struct story *s = container_of(watcher, struct story, watcher);
    s->moves++;
    remember(s, m);
    if (s->plays)
        await_handlers(s, m);
    if (!s->records)
        return;
    begin_line(s, "pub");
    story_write_message(m, &s->journal);
    end_line(s);
}

static void on_given(struct events_watcher *watcher, const struct delivery *d,
                     const char *program)
{
    struct story *s = container_of(watcher, struct story, watcher);
    s->moves++;
    if (!s->records)
        return;
    begin_line(s, "event");
    add_text(&s->journal, "program", slice_of(program));
    add_text(&s->journal, "group", group_name(d->group));
    buf_addf(&s->journal, ",\"seq\":%llu,\"attempt\":%u", (unsigned long long)d->message->seq,
             d->attempt);
    end_line(s);
}

static void on_settled(struct events_watcher *watcher, const struct events_end *e)
{
    struct story *s = container_of(watcher, struct story, watcher);
    const struct message *m = e->delivery->message;
    struct story_end *end = remember_end(s);
    bool failed = e->error[0] != '\0';
    *end = (struct story_end){
        .seq = m->seq,
        .at_ms = wall_ms(),
        .waited_ms = (uint32_t)MIN(e->waited_ms, (uint64_t)UINT32_MAX),
        .ran_ms = (uint32_t)MIN(e->ran_ms, (uint64_t)UINT32_MAX),
        .attempt = e->delivery->attempt,
        .hand = hand_of(s, group_name(e->delivery->group), e->program),
        .dead = e->dead,
        .error = failed ? xstrndup(e->error, strnlen(e->error, ERROR_MAX)) : NULL,
    };
    s->moves++;
    s->unsettled -= !failed || e->dead;
    if (!s->records)
        return;
    begin_line(s, failed ? "nack" : "ack");
    buf_adds(&s->journal, ",\"end\":");
    story_write_end(s, end, &s->journal);
    end_line(s);
}

/* ------------------------------------------------------------------------------ its life */

void story_init(struct story *s, struct events *events, struct flowgraph *graph, bool plays)
{
    *s = (struct story){
        .watcher = {.stored = on_stored, .given = on_given, .settled = on_settled},
        .events = events,
        .graph = graph,
        .plays = plays,
        .records = plays,
    };
    events_watch(events, &s->watcher);
}

void story_close(struct story *s)
{
    timer_stop(s->events->host.loop, &s->lease);
}

void story_deinit(struct story *s)
{
    while (s->count)
        forget_message(s);
    for (; s->end_count; s->end_count--)
        xfree(s->ends[(s->end_first + s->end_count - 1) % STORY_ENDS].error);
    for (size_t i = 0; i < s->hand_count; i++) {
        xfree(s->hands[i].group);
        xfree(s->hands[i].program);
    }
    xfree(s->messages);
    xfree(s->ends);
    buf_deinit(&s->journal);
}

/* -------------------------------------------------------------------------------- doors */

static void serve_flow(struct story *s, struct exchange *x)
{
    struct buf out = {0};
    flowgraph_describe(s->graph, &out);
    control_answer(x, buf_slice(&out));
    buf_deinit(&out);
}

bool story_serve(struct control *c, struct exchange *x)
{
    static const struct slice trace = {"/v1/trace/", 10};

    static const struct {
        const char *path, *method;
        void (*serve)(struct story *, struct exchange *);
    } doors[] = {{"/v1/flow", "GET", serve_flow},
                 {"/v1/record", "GET", serve_record},
                 {"/v1/story", "POST", story_play}};
    const struct http_request *req = exchange_request(x);
    bool traces = slice_starts(req->path, trace);
    if (traces && slice_is(req->method, "GET")) {
        story_trace(c->host.story, x, slice_from(req->path, trace.len));
        return true;
    }
    for (size_t i = 0; i < ARRAY_LEN(doors) && !traces; i++) {
        if (!slice_is(req->path, doors[i].path))
            continue;
        if (slice_is(req->method, doors[i].method))
            doors[i].serve(c->host.story, x);
        else
            control_refuse_method(x, doors[i].method);
        return true;
    }
    if (traces)
        control_refuse_method(x, "GET");
    return traces;
}
