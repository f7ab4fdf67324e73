/*
 * Dead letters and groups: a part of control_bus.h.
 */
#include <stdio.h>

#include "app/control_bus_parts.h"
#include "bus/dead.h"
#include "http/path.h"

enum { LIST = 100, LIST_MAX = 1000, PAGE = 100 };

enum letters_do { LETTERS_SHOW, LETTERS_RETRY, LETTERS_DROP };

/* Letters that are looked for, and what is done with each. */
struct letters {
    struct bus_job job;
    struct bus *bus;
    struct op_read read;
    enum letters_do what;
    struct buf out;
    char *group, *topic; /* only those of it; NULL: any */
    bool whole;          /* with their data; one only */
    uint64_t limit;      /* that are shown */
    uint64_t done, failed;
    size_t under_way;
    bool over;
    char why[240]; /* the first that failed */
};

static void look_further(struct letters *);

static void letters_free(struct letters *l)
{
    buf_deinit(&l->out);
    xfree(l->group);
    xfree(l->topic);
    xfree(l);
}

/* ------------------------------------------------------------------------ showing */

static bool is_text(const struct json_value *value, const char *text)
{
    struct buf plain = {0};
    json_unescape(value, &plain);
    bool same = slice_is(buf_slice(&plain), text);
    buf_deinit(&plain);
    return same;
}

static bool is_meant(const struct letters *l, const struct message *m,
                     const struct dead_letter *d)
{
    return (!l->group || is_text(&d->group, l->group)) &&
           (!l->topic || slice_is(m->topic, l->topic));
}

static void add_text(struct buf *out, const char *name, struct slice text)
{
    buf_addf(out, ",\"%s\":", name);
    if (text.len)
        json_write(out, text);
    else
        buf_adds(out, "null");
}

static void add_raw(struct buf *out, const char *name, struct slice json)
{
    buf_addf(out, ",\"%s\":", name);
    buf_add(out, json.len ? json : SLICE("null"));
}

static void write_letter(const struct letters *l, const struct message *m,
                         const struct dead_letter *d, struct buf *out)
{
    bool job = slice_starts(json_inner(&d->stream), SLICE("queue."));
    buf_addf(out, "{\"seq\":%llu", (unsigned long long)m->seq);
    add_text(out, job ? "queue" : "topic", m->topic);
    add_raw(out, "group", d->group.raw);
    add_raw(out, "stream", d->stream.raw);
    add_raw(out, "id", d->id.raw);
    buf_addf(out, ",\"original\":%llu,\"attempts\":%llu,\"time\":%llu,\"failed\":%llu",
             (unsigned long long)d->seq, (unsigned long long)d->attempts,
             (unsigned long long)d->time_ms, (unsigned long long)d->failed_ms);
    add_text(out, "key", m->key);
    add_text(out, "correlation", m->correlation);
    add_raw(out, "error", d->error.raw);
    buf_addf(out, ",\"size\":%llu", (unsigned long long)m->size);
    if (l->whole && m->blob.len)
        add_text(out, "file", m->blob);
    else if (l->whole)
        add_raw(out, "data", m->data);
    buf_addc(out, '}');
}

/* ------------------------------------------------------------------------ the end */

static void end(struct letters *l)
{
    struct exchange *x = bus_job_end(&l->job);
    if (x && l->whole && !l->out.len) {
        char text[80];
        snprintf(text, sizeof(text), "there is no dead letter %llu; nodey dead list shows them",
                 (unsigned long long)l->read.before - 1);
        control_refuse(x, 404, "not_found", slice_of(text), (struct slice){0});
    } else if (x && l->what == LETTERS_SHOW) {
        struct buf all = {0};
        buf_adds(&all, l->whole ? "" : "[");
        buf_add(&all, buf_slice(&l->out));
        buf_adds(&all, l->whole ? "\n" : "]\n");
        control_answer(x, buf_slice(&all));
        buf_deinit(&all);
    } else if (x) {
        buf_clear(&l->out);
        buf_addf(&l->out,
                 "{\"done\":%llu,\"failed\":%llu,\"why\":", (unsigned long long)l->done,
                 (unsigned long long)l->failed);
        json_write(&l->out, slice_of(l->why));
        buf_adds(&l->out, "}\n");
        control_answer(x, buf_slice(&l->out));
    }
    letters_free(l);
}

/* Those of a page are under way together; the last of them goes on. */
static void page_part_done(struct letters *l)
{
    if (--l->under_way == 0)
        look_further(l);
}

static void on_one_done(void *arg, const char *error)
{
    struct letters *l = arg;
    if (error && !l->failed++)
        snprintf(l->why, sizeof(l->why), "%s", error);
    l->done += !error;
    page_part_done(l);
}

static void take(struct letters *l, const struct message *m)
{
    struct dead_letter d;
    if (!dead_read(m, &d) || !is_meant(l, m, &d))
        return;
    if (l->what == LETTERS_SHOW) {
        if (!l->limit)
            return;
        l->limit--;
        buf_adds(&l->out, l->out.len ? ",\n" : "");
        write_letter(l, m, &d, &l->out);
        return;
    }
    l->under_way++;
    if (l->what == LETTERS_RETRY)
        bus_dead_retry(l->bus, m->seq, on_one_done, l);
    else
        bus_dead_drop(l->bus, m->seq, on_one_done, l);
}

/* ---------------------------------------------------------------------- page by page */

/* The page that was read is the last: there are no more, or enough. */
static bool is_last(const struct letters *l)
{
    const struct op_read *r = &l->read;
    return !r->next && r->count < r->limit;
}

static void on_page(struct op *op)
{
    struct letters *l = container_of(op, struct letters, read.op);
    struct op_read *r = &l->read;
    if (op->status != ENGINE_OK) {
        struct exchange *x = bus_job_end(&l->job);
        if (x)
            control_bus_failed(x, op);
        letters_free(l);
        return;
    }
    struct message **messages = r->messages;
    uint64_t last = r->count ? messages[r->count - 1]->seq : 0;
    l->over = is_last(l);
    l->under_way = 1; /* ourselves */
    for (size_t i = 0; i < r->count; i++) {
        take(l, messages[i]);
        message_release(messages[i]);
    }
    xfree(messages);
    if (r->backwards)
        r->before = r->next ? r->next + 1 : last;
    else
        r->from.seq = r->next ? r->next : last + 1;
    l->over |= l->what == LETTERS_SHOW && !l->limit;
    page_part_done(l);
}

/* Who has left wants no more of it; and nodey may be about to end. */
static void look_further(struct letters *l)
{
    if (l->over || !l->job.exchange || !bus_takes_ops(l->bus)) {
        end(l);
        return;
    }
    l->read.op = (struct op){.kind = OP_READ, .done = on_page};
    engine_submit(bus_engine(l->bus), &l->read.op);
}

/* Those that are there now are meant: a letter that fails again is another one. */
static void on_newest(struct op *op)
{
    struct letters *l = container_of(op, struct letters, read.op);
    uint64_t newest = l->read.count ? l->read.messages[0]->seq : 0;
    for (size_t i = 0; i < l->read.count; i++)
        message_release(l->read.messages[i]);
    xfree(l->read.messages);
    l->read = (struct op_read){.stream = SLICE("dead"),
                               .from = {.kind = START_SEQ, .seq = 1},
                               .before = newest + 1,
                               .limit = PAGE};
    look_further(l);
}

static struct letters *letters_new(struct exchange *x, struct bus *bus, enum letters_do what)
{
    struct letters *l = xcalloc(1, sizeof(*l));
    l->bus = bus;
    l->what = what;
    l->limit = LIST;
    l->read = (struct op_read){
        .op = {.kind = OP_READ, .done = what == LETTERS_SHOW ? on_page : on_newest},
        .stream = SLICE("dead"),
        .from = {.kind = START_NEW},
        .backwards = true,
        .limit = what == LETTERS_SHOW ? PAGE : 1};
    bus_job_begin(&l->job, x);
    return l;
}

/* ------------------------------------------------------------------------- requests */

static char *parameter(struct exchange *x, const char *name)
{
    struct slice value;
    if (!control_parameter(exchange_request(x), name, &value) ||
        !path_decode(value, exchange_arena(x), &value) || !value.len)
        return NULL;
    return xstrndup(value.ptr, value.len);
}

static void show_list(struct control *c, struct exchange *x)
{
    struct slice limit;
    uint64_t count = LIST;
    if (control_parameter(exchange_request(x), "limit", &limit) &&
        (!slice_to_u64(limit, LIST_MAX, &count) || !count)) {
        control_invalid(x, "limit is a number from 1 to %d", LIST_MAX);
        return;
    }
    if (!c->host.events->bus && !c->host.events->tried_ms) {
        control_answer(x, SLICE("[]\n"));
        return;
    }
    struct bus *bus = control_bus_open(c, x, /* opens= */ false);
    if (!bus)
        return;
    struct letters *l = letters_new(x, bus, LETTERS_SHOW);
    l->group = parameter(x, "group");
    l->topic = parameter(x, "topic");
    l->limit = count;
    engine_submit(bus_engine(bus), &l->read.op);
}

static void show_one(struct control *c, struct exchange *x, uint64_t seq)
{
    struct bus *bus = control_bus_open(c, x, /* opens= */ true);
    if (!bus)
        return;
    struct letters *l = letters_new(x, bus, LETTERS_SHOW);
    l->whole = true;
    l->limit = 1;
    l->read.from = (struct start){.kind = START_SEQ, .seq = seq};
    l->read.before = seq + 1;
    l->read.backwards = false;
    l->read.limit = 1;
    engine_submit(bus_engine(bus), &l->read.op);
}

static void do_many(struct control *c, struct exchange *x, enum letters_do what)
{
    struct json_value body, all;
    if (!control_bus_body(x, &body))
        return;
    struct slice group = control_bus_text(x, &body, "group");
    struct slice topic = control_bus_text(x, &body, "topic");
    if (!group.len && !topic.len &&
        !(control_bus_member(&body, "all", &all) && all.type == JSON_TRUE)) {
        control_invalid(x, "the body says which: {\"group\": NAME}, {\"topic\": NAME}, or "
                           "{\"all\": true}");
        return;
    }
    struct bus *bus = control_bus_open(c, x, /* opens= */ true);
    if (!bus)
        return;
    struct letters *l = letters_new(x, bus, what);
    l->group = group.len ? xstrndup(group.ptr, group.len) : NULL;
    l->topic = topic.len ? xstrndup(topic.ptr, topic.len) : NULL;
    engine_submit(bus_engine(bus), &l->read.op);
}

/* One thing is done, or cannot be. */
struct wish {
    struct bus_job job;
};

static void on_wished(void *arg, const char *error)
{
    struct wish *w = arg;
    struct exchange *x = bus_job_end(&w->job);
    bool unknown = error && strncmp(error, "there is no", 11) == 0;
    if (x && error)
        control_refuse(x, unknown ? 404 : 409, unknown ? "not_found" : "failed_precondition",
                       slice_of(error), (struct slice){0});
    else if (x)
        control_answer(x, SLICE("{\"done\":true}\n"));
    xfree(w);
}

static struct wish *wish_new(struct exchange *x)
{
    struct wish *w = xcalloc(1, sizeof(*w));
    bus_job_begin(&w->job, x);
    return w;
}

static void do_one(struct control *c, struct exchange *x, uint64_t seq, enum letters_do what)
{
    struct bus *bus = control_bus_open(c, x, /* opens= */ true);
    if (bus && what == LETTERS_RETRY)
        bus_dead_retry(bus, seq, on_wished, wish_new(x));
    else if (bus)
        bus_dead_drop(bus, seq, on_wished, wish_new(x));
}

static void refuse_path(struct exchange *x)
{
    control_refuse(x, 404, "not_found",
                   SLICE("dead letters have numbers, and can be told: retry, drop"),
                   (struct slice){0});
}

void control_dead(struct control *c, struct exchange *x, struct slice rest)
{
    struct slice verb = rest.len ? slice_from(rest, 1) : rest;
    const char *slash = verb.len ? memchr(verb.ptr, '/', verb.len) : NULL;
    struct slice number = {verb.ptr, slash ? (size_t)(slash - verb.ptr) : verb.len};
    uint64_t seq = 0;
    bool one = verb.len && slice_to_u64(number, INT64_MAX - 1, &seq);
    if (one)
        verb = slash ? slice_from(verb, number.len + 1) : (struct slice){0};
    bool acts = slice_is(verb, "retry") || slice_is(verb, "drop");
    enum letters_do what = slice_is(verb, "retry") ? LETTERS_RETRY : LETTERS_DROP;
    const char *method = acts ? "POST" : "GET";
    if (verb.len && !acts)
        refuse_path(x);
    else if (!slice_is(exchange_request(x)->method, method))
        control_refuse_method(x, method);
    else if (one && acts)
        do_one(c, x, seq, what);
    else if (one)
        show_one(c, x, seq);
    else if (acts)
        do_many(c, x, what);
    else
        show_list(c, x);
}
