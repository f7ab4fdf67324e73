#include "base/json.h"
#include "bus/dead_count.h"
#include "bus/group_parts.h"

struct description {
    struct dead_wait wait;
    struct bus *bus;
    struct buf *out;
    struct op_info info;
    struct arena arena;
    void (*done)(void *arg);
    void *arg;
};

static const char *durability_name(enum durability d)
{
    static const char *const names[] = {"fsync", "os", "memory"};
    return names[d];
}

static void add_text(struct buf *out, const char *name, struct slice text)
{
    buf_addf(out, "\"%s\":", name);
    json_write(out, text);
}

/* One comma too much is easier to take back than one too few to find out about. */
static void end_list(struct buf *out, char bracket)
{
    if (out->ptr[out->len - 1] == ',')
        out->len--;
    buf_addc(out, bracket);
    buf_addc(out, ',');
}

/* ------------------------------------------------------------------- engine */

static void add_engine(struct buf *out, const struct bus *bus, const struct op_info *i)
{
    const struct engine_caps *caps = &bus->engine->caps;
    buf_adds(out, "\"engine\":{");
    add_text(out, "name", slice_of(caps->name));
    buf_addf(out,
             ",\"durability\":\"%s\",\"delayed\":%llu,\"disk_bytes\":%llu,\"wal_bytes\":%llu,"
             "\"blob_bytes\":%llu,\"commits\":%llu,\"committed\":%llu,\"batch\":%.1f,"
             "\"commit_p50_us\":%llu,\"commit_p99_us\":%llu,\"failures\":%llu,"
             "\"disk_full\":%s,\"waiting_bytes\":%llu,\"congested\":%s},",
             durability_name(caps->strongest), (unsigned long long)i->delayed,
             (unsigned long long)i->disk_bytes, (unsigned long long)i->wal_bytes,
             (unsigned long long)i->blob_bytes, (unsigned long long)i->commits,
             (unsigned long long)i->committed,
             i->commits ? (double)i->committed / (double)i->commits : 0.0,
             (unsigned long long)i->commit_p50_us, (unsigned long long)i->commit_p99_us,
             (unsigned long long)i->failures, i->disk_full ? "true" : "false",
             (unsigned long long)bus->waiting_bytes, bus->congested ? "true" : "false");
}

static void add_streams(struct buf *out, const struct op_info *i)
{
    buf_adds(out, "\"streams\":[");
    for (size_t n = 0; n < i->stream_count; n++) {
        const struct stream_info *s = &i->streams[n];
        buf_addc(out, '{');
        add_text(out, "name", s->name);
        buf_addf(out,
                 ",\"work\":%s,\"durability\":\"%s\",\"first\":%llu,\"last\":%llu,"
                 "\"messages\":%llu,\"bytes\":%llu,\"max_bytes\":%llu,"
                 "\"removed\":%llu,\"delayed\":%llu},",
                 s->work ? "true" : "false", durability_name(s->durability),
                 (unsigned long long)s->first, (unsigned long long)s->last,
                 (unsigned long long)s->messages, (unsigned long long)s->bytes,
                 (unsigned long long)s->max_bytes, (unsigned long long)s->removed,
                 (unsigned long long)s->delayed);
    }
    end_list(out, ']');
}

/* ------------------------------------------------------------------- groups */

/* Of all its consumers together. */
struct sum {
    uint64_t lag, open, put_off, parked;
    int64_t oldest_ms;
    bool full;
};

static void add_up(struct sum *sum, const struct consumer_info *i)
{
    sum->lag += i->lag;
    sum->open += i->open;
    sum->put_off += i->put_off;
    if (i->oldest_ms && (!sum->oldest_ms || i->oldest_ms < sum->oldest_ms))
        sum->oldest_ms = i->oldest_ms;
}

static struct sum sum_of(const struct group *g, const struct op_info *info)
{
    struct sum sum = {0};
    list_each (at, &g->consumers) {
        const struct consumer *c = container_of(at, struct consumer, node);
        for (size_t i = 0; i < info->consumer_count; i++)
            if (c->id && info->consumers[i].id == c->id)
                add_up(&sum, &info->consumers[i]);
        list_each (e, &c->entries)
            sum.parked += container_of(e, struct entry, mine)->state == ENTRY_PARKED;
        sum.full |= c->full;
    }
    return sum;
}

static void add_sum(struct buf *out, const struct sum *sum)
{
    int64_t now = bus_wall_ms();
    uint64_t age =
        sum->oldest_ms && sum->oldest_ms < now ? (uint64_t)(now - sum->oldest_ms) : 0;
    buf_addf(out, ",\"lag\":%llu,\"oldest_age_ms\":%llu,\"retrying\":%llu,\"parked\":%llu",
             (unsigned long long)sum->lag, (unsigned long long)age,
             (unsigned long long)(sum->put_off - MIN(sum->parked, sum->put_off)),
             (unsigned long long)sum->parked);
}

static void add_times(struct buf *out, const char *name, const struct histogram *us)
{
    buf_addf(out, ",\"%s\":{\"p50\":%.3f,\"p99\":%.3f,\"max\":%.3f}", name,
             us ? (double)histogram_at(us, 50) / 1000 : 0.0,
             us ? (double)histogram_at(us, 99) / 1000 : 0.0, us ? (double)us->max / 1000 : 0.0);
}

static void add_patterns(struct buf *out, const struct group *g)
{
    buf_addf(out, ",\"%s\":[", g->is_queue ? "queues" : "topics");
    for (size_t i = 0; i < g->terms->count; i++) {
        json_write(out, g->terms->items[i].pattern);
        buf_addc(out, ',');
    }
    end_list(out, ']');
    buf_adds(out, "\"streams\":[");
    list_each (at, &g->consumers) {
        json_write(out, container_of(at, struct consumer, node)->stream->name);
        buf_addc(out, ',');
    }
    end_list(out, ']');
    out->len--;
}

static void add_group(struct buf *out, const struct group *g, const struct op_info *info)
{
    const struct group_numbers *n = &g->numbers;
    struct sum sum = sum_of(g, info);
    buf_addc(out, '{');
    add_text(out, "name", group_name(g));
    add_patterns(out, g);
    add_sum(out, &sum);
    buf_addf(out,
             ",\"served\":%s,\"in_flight\":%u,\"most\":%u,\"ready\":%zu,\"suspects\":%zu,"
             "\"full\":%s,\"delivered\":%llu,\"handled\":%llu,\"failed\":%llu,"
             "\"crashed\":%llu,\"dead\":%llu,\"letters\":%llu",
             g->ops ? "true" : "false", g->out_count, g->most, list_count(&g->ready),
             list_count(&g->suspects), sum.full ? "true" : "false",
             (unsigned long long)n->delivered, (unsigned long long)n->handled,
             (unsigned long long)n->failed, (unsigned long long)n->crashed,
             (unsigned long long)n->dead,
             (unsigned long long)dead_count_of(g->bus, group_name(g), g->is_queue));
    add_times(out, "wait_ms", n->wait_us);
    add_times(out, "run_ms", n->run_us);
    buf_adds(out, "},");
}

/* Places that nobody has asked for in this run: they keep what they have not read. */
static void add_stranger(struct buf *out, const struct bus *bus, const struct consumer_info *i)
{
    struct sum sum = {0};
    if (idmap_get(&bus->consumers, i->id))
        return;
    add_up(&sum, i);
    buf_addc(out, '{');
    add_text(out, "name", i->name);
    buf_adds(out, ",\"streams\":[");
    json_write(out, i->stream);
    buf_addc(out, ']');
    add_sum(out, &sum);
    bool is_queue = slice_starts(i->stream, SLICE(BUS_QUEUE));
    buf_addf(out, ",\"served\":false,\"in_flight\":0,\"letters\":%llu},",
             (unsigned long long)dead_count_of(bus, i->name, is_queue));
}

static void on_counted(struct dead_wait *wait)
{
    struct description *d = container_of(wait, struct description, wait);
    struct bus *bus = d->bus;
    struct buf *out = d->out;
    buf_addc(out, '{');
    add_engine(out, bus, &d->info);
    add_streams(out, &d->info);
    buf_adds(out, "\"groups\":[");
    list_each (at, &bus->groups)
        add_group(out, container_of(at, struct group, node), &d->info);
    for (size_t i = 0; i < d->info.consumer_count; i++)
        add_stranger(out, bus, &d->info.consumers[i]);
    end_list(out, ']');
    buf_adds(out, "\"schedules\":");
    schedules_describe(bus->schedules, out);
    buf_addc(out, '}');
    arena_deinit(&d->arena);
    d->done(d->arg);
    xfree(d);
    bus->jobs--;
    bus_close_when_idle(bus);
}

static void on_info(struct op *op)
{
    struct description *d = container_of(op, struct description, info.op);
    dead_count_refresh(d->bus, &d->wait);
}

void bus_describe(struct bus *bus, struct buf *out, void (*done)(void *arg), void *arg)
{
    if (bus->engine_closing) {
        buf_adds(out, "{}");
        done(arg);
        return;
    }
    struct description *d = xcalloc(1, sizeof(*d));
    *d = (struct description){
        .wait.done = on_counted, .bus = bus, .out = out, .done = done, .arg = arg};
    d->info = (struct op_info){.op = {.kind = OP_INFO, .done = on_info}, .arena = &d->arena};
    bus->jobs++;
    engine_submit(bus->engine, &d->info.op);
}
