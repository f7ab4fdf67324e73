#include "bus/dead_count.h"

#include "base/idmap.h"
#include "bus/bus_parts.h"
#include "bus/dead.h"

enum { PAGE = 1000 };

struct dead_group {
    struct list node;
    uint64_t count;
    char *name;
    bool is_queue;
};

struct dead_count {
    struct bus *bus;
    struct idmap letters; /* by seq: struct dead_group */
    struct list groups;
    struct list waiting; /* struct dead_wait.node */
    struct op_read read;
    uint64_t upto;    /* seq: what is newer has not been read */
    uint64_t removed; /* seq: what was removed for room */
};

static void read_on(struct dead_count *);

static void forget_all(struct dead_count *d)
{
    idmap_deinit(&d->letters);
    d->letters = (struct idmap){0};
    while (!list_empty(&d->groups)) {
        struct dead_group *g = list_first(&d->groups, struct dead_group, node);
        list_del(&g->node);
        xfree(g->name);
        xfree(g);
    }
    d->upto = 0;
}

static struct dead_group *find(const struct dead_count *d, struct slice name, bool is_queue)
{
    list_each (at, &d->groups) {
        struct dead_group *g = container_of(at, struct dead_group, node);
        if (g->is_queue == is_queue && slice_is(name, g->name))
            return g;
    }
    return NULL;
}

static void add(struct dead_count *d, const struct message *m)
{
    struct dead_letter letter;
    struct buf name = {0};
    if (m->seq <= d->upto || !dead_read(m, &letter))
        return;
    bool is_queue = slice_starts(json_inner(&letter.stream), SLICE(BUS_QUEUE));
    json_unescape(&letter.group, &name);
    struct dead_group *g = find(d, buf_slice(&name), is_queue);
    if (!g) {
        g = xcalloc(1, sizeof(*g));
        g->name = xstrndup(name.len ? name.ptr : "", name.len);
        g->is_queue = is_queue;
        list_add(&d->groups, &g->node);
    }
    g->count++;
    idmap_put(&d->letters, m->seq, g);
    buf_deinit(&name);
}

static void tell_all(struct dead_count *d)
{
    struct bus *bus = d->bus;
    while (!list_empty(&d->waiting)) {
        struct dead_wait *w = list_first(&d->waiting, struct dead_wait, node);
        list_del(&w->node);
        w->done(w);
    }
    bus->jobs--;
    bus_close_when_idle(bus);
}

static void on_page(struct op *op)
{
    struct dead_count *d = container_of(op, struct dead_count, read.op);
    struct op_read *r = &d->read;
    uint64_t last = r->next ? r->next - 1 : r->count ? r->messages[r->count - 1]->seq : 0;
    bool anew = r->removed > d->removed && d->letters.count;
    for (size_t i = 0; i < r->count; i++) {
        if (!anew)
            add(d, r->messages[i]);
        message_release(r->messages[i]);
    }
    xfree(r->messages);
    d->removed = MAX(d->removed, r->removed);
    if (anew)
        forget_all(d);
    else
        d->upto = MAX(d->upto, last);
    if (op->status == ENGINE_OK && (anew || r->next || r->count == r->limit))
        read_on(d);
    else
        tell_all(d);
}

static void read_on(struct dead_count *d)
{
    d->read = (struct op_read){.op = {.kind = OP_READ, .done = on_page},
                               .stream = SLICE(BUS_DEAD),
                               .from = {.kind = START_SEQ, .seq = d->upto + 1},
                               .limit = PAGE};
    engine_submit(d->bus->engine, &d->read.op);
}

void dead_count_refresh(struct bus *bus, struct dead_wait *wait)
{
    struct dead_count *d = bus->dead_count;
    if (!d) {
        d = bus->dead_count = xcalloc(1, sizeof(*d));
        d->bus = bus;
        list_init(&d->groups);
        list_init(&d->waiting);
    }
    bool under_way = !list_empty(&d->waiting);
    list_add(&d->waiting, &wait->node);
    if (under_way)
        return;
    bus->jobs++; /* the engine does not close meanwhile */
    read_on(d);
}

void dead_count_forget(struct bus *bus, uint64_t seq)
{
    struct dead_group *g =
        bus->dead_count ? idmap_remove(&bus->dead_count->letters, seq) : NULL;
    if (g)
        g->count--;
}

uint64_t dead_count_of(const struct bus *bus, struct slice group, bool is_queue)
{
    const struct dead_group *g =
        bus->dead_count ? find(bus->dead_count, group, is_queue) : NULL;
    return g ? g->count : 0;
}

void dead_count_free(struct dead_count *d)
{
    if (!d)
        return;
    forget_all(d);
    xfree(d);
}
