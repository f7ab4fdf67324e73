/*
 * engine: how fast the embedded store is by itself, through the engine's own ops.
 *
 *   engine publish DIR LEVEL BYTES IN_FLIGHT SECONDS
 *   engine fanout DIR LEVEL BYTES CONSUMERS SECONDS
 *   engine fill DIR COUNT BYTES
 *   engine start DIR
 *   engine catchup DIR SECONDS
 *   engine work DIR LEVEL BYTES IN_FLIGHT SECONDS
 *
 * One line of JSON with what was measured.  `make build/release/bench/engine` builds it, and
 * `tests/bench/run engine` has it measure what cases/engine.py says.
 */
#include "bus/engine.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/histogram.h"

enum {
    WINDOW = 1024,
    MOST_BYTES =
        1 << 30, /* of one run of `publish` and the like: memory and disks are finite */
};

struct bench;

struct flight {
    struct op_publish op;
    struct message *message;
    struct bench *bench;
    uint64_t begun_ns;
};

struct settling {
    struct op_settle op;
    struct list node;
    struct bench *bench;
};

struct bench {
    struct loop loop;
    struct engine *engine;
    struct op waited;
    bool closing, closed;
    struct message_parts parts;
    uint64_t until_ns, most; /* fly() ends at whichever comes first */
    unsigned flying;
    uint64_t published, refused, delivered, settled, settle_ops;
    bool settles;
    uint64_t consumers[64];
    struct list spare; /* struct settling */
    struct histogram latency_us;
};

static void publish(struct flight *f)
{
    struct bench *b = f->bench;
    f->message = message_new(&b->parts);
    f->begun_ns = loop_clock_ns();
    engine_submit(b->engine, &f->op.op);
}

static void on_published(struct op *op)
{
    struct flight *f = container_of(op, struct flight, op.op);
    struct bench *b = f->bench;
    uint64_t now = loop_clock_ns();
    histogram_add(&b->latency_us, (now - f->begun_ns) / 1000);
    message_release(f->message);
    if (op->status == ENGINE_OK)
        b->published++;
    else
        b->refused++;
    if (now < b->until_ns && b->published < b->most)
        publish(f);
    else
        b->flying--;
}

static void on_settled(struct op *op)
{
    struct settling *s = container_of(op, struct settling, op.op);
    struct bench *b = s->bench;
    b->settled += op->status == ENGINE_OK;
    list_add(&b->spare, &s->node);
}

static void on_credited(struct op *op)
{
    xfree(container_of(op, struct op_credit, op));
}

static void give(struct bench *b, uint32_t consumer, uint32_t more)
{
    struct op_credit *credit = xcalloc(1, sizeof(*credit));
    *credit = (struct op_credit){
        .op = {.kind = OP_CREDIT, .done = on_credited}, .consumer = consumer, .more = more};
    engine_submit(b->engine, &credit->op);
}

static void settle(struct bench *b, uint32_t consumer, uint64_t seq)
{
    struct settling *s;
    if (list_empty(&b->spare))
        s = xcalloc(1, sizeof(*s));
    else {
        s = list_first(&b->spare, struct settling, node);
        list_del(&s->node);
    }
    s->bench = b;
    s->op = (struct op_settle){.op = {.kind = OP_SETTLE, .done = on_settled},
                               .consumer = consumer,
                               .seq = seq,
                               .how = SETTLE_DONE};
    engine_submit(b->engine, &s->op.op);
}

static void on_deliver(struct engine *e, const struct delivery_note *notes, size_t count)
{
    struct bench *b = e->owner;
    uint32_t again[64] = {0};
    for (size_t i = 0; i < count; i++) {
        uint32_t id = notes[i].consumer;
        if (b->settles && !b->closing)
            settle(b, id, notes[i].message->seq);
        message_release(notes[i].message);
        again[id % 64]++;
    }
    b->delivered += count;
    if (b->closing)
        return;
    for (uint32_t id = 0; id < 64; id++)
        if (again[id])
            give(b, id, again[id]);
}

static void on_tell(struct engine *e, int level, const char *sentence)
{
    (void)e;
    fprintf(stderr, "%d %s\n", level, sentence);
}

static void on_closed(struct engine *e)
{
    ((struct bench *)e->owner)->closed = true;
}

static const struct engine_events EVENTS = {
    .deliver = on_deliver, .tell = on_tell, .closed = on_closed};

static void on_done(struct op *op)
{
    op->done = NULL;
}

static void run(struct bench *b, struct op *op, enum op_kind kind)
{
    op->kind = kind;
    op->done = on_done;
    engine_submit(b->engine, op);
    while (op->done)
        uv_run(&b->loop.uv, UV_RUN_ONCE);
    if (op->status != ENGINE_OK) {
        fprintf(stderr, "%s\n", op->error);
        exit(1);
    }
}

static void open_bench(struct bench *b, const char *dir)
{
    struct err err;
    struct store_config config = {.dir = dir, .min_free = 64 << 20, .tail_cache = 32 << 20};
    list_init(&b->spare);
    if (loop_init(&b->loop))
        abort();
    b->engine = store_open(&b->loop, &config, &EVENTS, b, &err);
    if (!b->engine) {
        fprintf(stderr, "%s\n", err.text);
        exit(1);
    }
}

static void declare(struct bench *b, const char *level, bool work)
{
    enum durability durability = strcmp(level, "fsync") == 0 ? DURABILITY_FSYNC
                                 : strcmp(level, "os") == 0  ? DURABILITY_OS
                                                             : DURABILITY_MEMORY;
    struct op_stream stream = {.name = SLICE("events"),
                               .work = work,
                               .durability = durability,
                               .max_bytes = UINT64_C(100) << 30,
                               .dedupe_window = 120000};
    run(b, &stream.op, OP_STREAM);
}

static uint32_t consume(struct bench *b, unsigned number, enum start_kind start)
{
    char name[32];
    struct slice pattern = SLICE(">");
    snprintf(name, sizeof(name), "group-%u", number);
    struct op_consumer consumer = {.stream = SLICE("events"),
                                   .name = slice_of(name),
                                   .patterns = &pattern,
                                   .pattern_count = 1,
                                   .start = {.kind = start}};
    run(b, &consumer.op, OP_CONSUMER);
    return consumer.id;
}

static void set_data(struct bench *b, size_t bytes)
{
    char *data = xmalloc(bytes);
    memset(data, 'x', bytes);
    data[0] = data[bytes - 1] = '"';
    b->most = MAX(MOST_BYTES / bytes, (size_t)1);
    b->parts = (struct message_parts){.stream = SLICE("events"),
                                      .topic = SLICE("post.created"),
                                      .key = SLICE("p1"),
                                      .data = {data, bytes}};
}

static void fly(struct bench *b, unsigned count, double seconds)
{
    struct flight *flights = xcalloc(count, sizeof(*flights));
    b->flying = count;
    b->until_ns = loop_clock_ns() + (uint64_t)(seconds * 1e9);
    for (unsigned i = 0; i < count; i++) {
        struct flight *f = &flights[i];
        f->bench = b;
        f->op = (struct op_publish){.op = {.kind = OP_PUBLISH, .done = on_published},
                                    .messages = &f->message,
                                    .count = 1};
        publish(f);
    }
    while (b->flying)
        uv_run(&b->loop.uv, UV_RUN_ONCE);
    xfree(flights);
}

static void report(struct bench *b, const char *what, double seconds)
{
    struct rusage usage;
    struct arena arena = {0};
    struct op_info info = {.arena = &arena};
    run(b, &info.op, OP_INFO);
    getrusage(RUSAGE_SELF, &usage);
    printf("{\"what\":\"%s\",\"seconds\":%.2f,\"published\":%llu,\"per_second\":%.0f,"
           "\"p50_us\":%llu,\"p99_us\":%llu,\"p999_us\":%llu,\"max_us\":%llu,"
           "\"delivered_per_second\":%.0f,\"settled_per_second\":%.0f,\"refused\":%llu,"
           "\"commits\":%llu,\"commit_p50_us\":%llu,\"commit_p99_us\":%llu,"
           "\"batch_mean\":%.2f,\"batch_p50\":%llu,\"batch_p99\":%llu,\"disk_mb\":%.1f,"
           "\"rss_mb\":%.1f}\n",
           what, seconds, (unsigned long long)b->published, (double)b->published / seconds,
           (unsigned long long)histogram_at(&b->latency_us, 50),
           (unsigned long long)histogram_at(&b->latency_us, 99),
           (unsigned long long)histogram_at(&b->latency_us, 99.9),
           (unsigned long long)b->latency_us.max, (double)b->delivered / seconds,
           (double)b->settled / seconds, (unsigned long long)b->refused,
           (unsigned long long)info.commits, (unsigned long long)info.commit_p50_us,
           (unsigned long long)info.commit_p99_us, info.batch_mean,
           (unsigned long long)info.batch_p50, (unsigned long long)info.batch_p99,
           (double)info.disk_bytes / 1e6, (double)usage.ru_maxrss / 1e3);
    arena_deinit(&arena);
}

static void end(struct bench *b)
{
    b->closing = true;
    b->engine->ops->close(b->engine);
    while (!b->closed)
        uv_run(&b->loop.uv, UV_RUN_ONCE);
    store_free(b->engine);
}

static double since(uint64_t begin)
{
    return (double)(loop_clock_ns() - begin) / 1e9;
}

static void bench_publish(struct bench *b, char **arg)
{
    declare(b, arg[0], false);
    set_data(b, (size_t)atol(arg[1]));
    uint64_t begin = loop_clock_ns();
    fly(b, (unsigned)atoi(arg[2]), atof(arg[3]));
    report(b, "publish", since(begin));
}

/* Each message to all consumers, each settles it. */
static void bench_fanout(struct bench *b, char **arg, bool work)
{
    unsigned consumers = work ? 1 : (unsigned)atoi(arg[2]);
    unsigned flights = work ? (unsigned)atoi(arg[2]) : 64;
    declare(b, arg[0], work);
    set_data(b, (size_t)atol(arg[1]));
    b->settles = true;
    for (unsigned i = 0; i < consumers; i++)
        give(b, consume(b, i, START_NEW), WINDOW);
    uint64_t begin = loop_clock_ns();
    fly(b, flights, atof(arg[3]));
    while (b->settled < b->published * consumers && since(begin) < 60)
        uv_run(&b->loop.uv, UV_RUN_ONCE);
    report(b, work ? "work" : "fanout", since(begin));
}

static void bench_fill(struct bench *b, char **arg)
{
    uint64_t want = strtoull(arg[0], NULL, 10);
    declare(b, "os", false);
    consume(b, 0, START_FIRST); /* nobody reads it */
    set_data(b, (size_t)atol(arg[1]));
    b->most = want;
    uint64_t begin = loop_clock_ns();
    while (b->published < want)
        fly(b, 4096, 0.2);
    report(b, "fill", since(begin));
}

/* A consumer that begins at the first, while others publish with an fsync each. */
static void bench_catchup(struct bench *b, char **arg)
{
    declare(b, "fsync", false);
    set_data(b, 200);
    fly(b, 1, 1);
    report(b, "idle", 1);
    memset(&b->latency_us, 0, sizeof(b->latency_us));
    b->published = 0;
    b->settles = true;
    give(b, consume(b, 1, START_FIRST), WINDOW);
    uint64_t begin = loop_clock_ns();
    fly(b, 1, atof(arg[0]));
    report(b, "catchup", since(begin));
}

int main(int argc, char **argv)
{
    struct bench *b = xcalloc(1, sizeof(*b));
    if (argc < 3)
        return 2;
    char *none[8] = {0};
    for (int i = 3; i < argc && i < 11; i++)
        none[i - 3] = argv[i];
    uint64_t begin = loop_clock_ns();
    open_bench(b, argv[2]);
    fprintf(stderr, "opened in %.3f s\n", since(begin));
    if (strcmp(argv[1], "publish") == 0)
        bench_publish(b, none);
    else if (strcmp(argv[1], "fanout") == 0)
        bench_fanout(b, none, false);
    else if (strcmp(argv[1], "work") == 0)
        bench_fanout(b, none, true);
    else if (strcmp(argv[1], "fill") == 0)
        bench_fill(b, none);
    else if (strcmp(argv[1], "catchup") == 0)
        bench_catchup(b, none);
    else if (strcmp(argv[1], "start") == 0)
        report(b, "start", since(begin));
    else
        return 2;
    end(b);
    return 0;
}
