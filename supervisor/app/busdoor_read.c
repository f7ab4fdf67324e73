/*
 * The store, read for those who are behind: a part of busdoor_follow.h.
 */
#include <fcntl.h>
#include <unistd.h>

#include "app/busdoor_parts.h"
#include "loop/work.h"

enum { READS_AT_ONCE = 4, PAGE_MIN = 8, PAGE_MAX = 256, SEEK_PAGE = 1000 };

static void read_next(struct follow *);

static void reading_free(struct reading *r)
{
    for (size_t i = 0; i < r->op.count; i++)
        message_release(r->op.messages[i]);
    xfree(r->op.messages);
    buf_deinit(&r->data);
    arena_deinit(&r->arena);
    xfree(r->path);
    xfree(r);
}

/* Another's turn.  What it reads next, its follower says. */
static void reading_end(struct reading *r)
{
    struct follow *follow = r->follow;
    list_del(&r->node);
    follow->read_count--;
    if (r->who)
        r->who->reading = NULL;
    reading_free(r);
    read_next(follow);
}

static bool is_all(const struct reading *r)
{
    return !r->op.next && r->op.count < r->op.limit;
}

/* ---------------------------------------------------------------- data in files */

static void load(struct work *work)
{
    struct reading *r = container_of(work, struct reading, work);
    ssize_t got = 1;
    int fd = open(r->path, O_RDONLY | O_CLOEXEC);
    r->trouble = fd < 0;
    while (fd >= 0 && got > 0 && r->data.len <= MESSAGE_DATA_MAX) {
        got = read(fd, buf_reserve(&r->data, LOOP_SCRATCH), LOOP_SCRATCH);
        r->data.len += got > 0 ? (size_t)got : 0;
        r->trouble |= got < 0;
    }
    if (fd >= 0)
        close(fd);
}

static void give(struct reading *);

static void on_loaded(struct work *work)
{
    struct reading *r = container_of(work, struct reading, work);
    r->loaded = true;
    give(r);
}

static void begin_load(struct reading *r, const struct message *m)
{
    xfree(r->path);
    r->path = xstrndup(m->blob.ptr, m->blob.len);
    buf_clear(&r->data);
    work_start(&r->work, r->follow->loop, load, on_loaded);
}

/* ------------------------------------------------------------------------ giving */

/* False: the follower has gone, with its last message. */
static bool give_one(struct reading *r, const struct message *m)
{
    struct buf text = {0};
    bool filed = m->blob.len > 0;
    if (filed && r->trouble) {
        log_line(LOG_WARN, "nodey",
                 "message %llu is left out of a stream of events: its data cannot be read",
                 (unsigned long long)m->seq);
        return true;
    }
    follow_write(r->who->request.format, m, filed ? buf_slice(&r->data) : m->data, &text);
    bool goes_on = follower_give(r->who, buf_slice(&text));
    buf_deinit(&text);
    return goes_on;
}

/* All of the page was given. */
static void page_done(struct reading *r)
{
    struct follower *f = r->who;
    if (r->op.next)
        f->pos = MAX(f->pos, r->op.next - 1);
    else if (is_all(r))
        f->pos = MAX(f->pos, r->mark);
    f->page = MIN(f->page * 2, (uint64_t)PAGE_MAX);
    bool ends = is_all(r) && !f->request.goes_on;
    reading_end(r);
    if (ends)
        follower_end(f, true);
    else
        follower_advance(f);
}

static void give(struct reading *r)
{
    struct follower *f = r->who;
    for (; f && r->at < r->op.count; r->at++) {
        const struct message *m = r->op.messages[r->at];
        if (m->seq > f->pos && follower_wants(f, m)) {
            if (follower_is_full(f))
                break;
            if (m->blob.len && !r->loaded) {
                begin_load(r, m);
                return;
            }
            f->pos = m->seq;
            r->loaded = false;
            if (!give_one(r, m))
                f = NULL;
        } else {
            f->pos = MAX(f->pos, m->seq);
        }
    }
    if (f && r->at == r->op.count) {
        page_done(r);
        return;
    }
    if (f)
        f->page = MAX(r->at, (size_t)PAGE_MIN); /* what it took at once it will take again */
    reading_end(r);
}

/* Counts from the newest on; what is given begins with the last that was counted. */
static void seek_last(struct reading *r)
{
    struct follower *f = r->who;
    size_t i = 0;
    for (; f->request.after && i < r->op.count; i++) {
        f->before = r->op.messages[i]->seq;
        f->request.after -= follower_wants(f, r->op.messages[i]);
    }
    if (r->op.next && i == r->op.count)
        f->before = r->op.next + 1;
    if (!f->request.after || is_all(r)) {
        f->seeks = false;
        f->pos = f->request.after ? 0 : f->before - 1;
    }
    reading_end(r);
    follower_advance(f);
}

static bool takes_what_there_is(const struct follower *f)
{
    enum follow_from from = f->request.from;
    return !f->pos && from != FOLLOW_AFTER && from != FOLLOW_NEW;
}

/* Of several streams one may still have messages of that time: then it is not past them. */
static void tell_removed(struct follower *f, const struct op_read *op)
{
    uint64_t from = MAX(f->pos, f->told) + 1, to = op->removed;
    bool passed = !op->count || op->messages[0]->seq > to;
    f->told = MAX(f->told, to);
    if (takes_what_there_is(f) || to < from)
        return;
    struct buf text = {0};
    follow_write_gap(f->request.format, from, to, passed, &text);
    IGNORE(!exchange_write(f->exchange, buf_slice(&text))); /* no length was announced */
    buf_deinit(&text);
    f->wrote = true;
    if (passed)
        f->pos = to;
}

static void on_read(struct op *op)
{
    struct reading *r = container_of(op, struct reading, op.op);
    struct follower *f = r->who;
    if (!f || op->status == ENGINE_BROKEN) {
        reading_end(r);
        if (f)
            follower_end(f, false);
        return;
    }
    tell_removed(f, &r->op);
    if (f->seeks && f->request.from == FOLLOW_LAST) {
        seek_last(r);
        return;
    }
    f->seeks = false;
    give(r);
}

/* ----------------------------------------------------------------------- reading */

static struct start start_of(const struct follower *f)
{
    if (!f->seeks)
        return (struct start){.kind = START_SEQ, .seq = f->pos + 1};
    if (f->request.from == FOLLOW_TIME)
        return (struct start){.kind = START_TIME, .time_ms = f->request.time_ms};
    return (struct start){.kind = START_NEW};
}

static void read_begin(struct follow *follow, struct follower *f)
{
    struct reading *r = xcalloc(1, sizeof(*r));
    bool last = f->seeks && f->request.from == FOLLOW_LAST;
    r->follow = follow;
    r->who = f;
    r->mark = follow->newest;
    r->op = (struct op_read){
        .op = {.kind = OP_READ, .done = on_read},
        .stream = arena_copy(&r->arena, f->request.stream), /* it may go before this does */
        .pattern = arena_copy(&r->arena, f->request.pattern),
        .from = start_of(f),
        .before = last ? f->before : 0,
        .backwards = last,
        .limit = last ? SEEK_PAGE : f->page,
    };
    f->reading = r;
    follow->read_count++;
    list_add(&follow->reads, &r->node);
    engine_submit(bus_engine(follow->events->bus), &r->op.op);
}

static void read_next(struct follow *follow)
{
    while (follow->read_count < READS_AT_ONCE && !list_empty(&follow->waiting)) {
        struct follower *f = list_first(&follow->waiting, struct follower, turn);
        list_del(&f->turn);
        read_begin(follow, f);
    }
}

void read_wanted(struct follower *f)
{
    if (f->reading || !list_empty(&f->turn))
        return;
    list_add(&f->follow->waiting, &f->turn);
    read_next(f->follow);
}

void read_forget(struct follower *f)
{
    list_del(&f->turn);
    if (f->reading)
        f->reading->who = NULL;
    f->reading = NULL;
}

/* -------------------------------------------------------------------- the newest */

struct learning {
    struct op_read op;
    struct follow *follow;
};

static void on_learned(struct op *op)
{
    struct learning *l = container_of(op, struct learning, op.op);
    uint64_t newest = l->op.count ? l->op.messages[0]->seq : 0;
    for (size_t i = 0; i < l->op.count; i++)
        message_release(l->op.messages[i]);
    xfree(l->op.messages);
    l->follow->learning = false;
    follow_learned(l->follow, newest);
    xfree(l);
}

void read_newest(struct follow *follow)
{
    if (!follow->events->bus) { /* nothing was ever stored */
        follow_learned(follow, 0);
        return;
    }
    struct learning *l = xcalloc(1, sizeof(*l));
    l->follow = follow;
    l->op = (struct op_read){.op = {.kind = OP_READ, .done = on_learned},
                             .from = {.kind = START_NEW},
                             .backwards = true,
                             .limit = 1};
    follow->learning = true;
    engine_submit(bus_engine(follow->events->bus), &l->op.op);
}
