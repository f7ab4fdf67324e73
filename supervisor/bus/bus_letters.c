#include <stdio.h>

#include "bus/bus_parts.h"
#include "bus/dead.h"
#include "bus/dead_count.h"

/* A person wants something done with a dead letter: it is read, and then replaced. */
struct wish {
    struct bus *bus;
    struct op_read read;
    struct publication publication;
    uint64_t seq;
    bool retry;
    void (*done)(void *arg, const char *error);
    void *arg;
};

static void end(struct wish *w, const char *error)
{
    struct bus *bus = w->bus;
    w->done(w->arg, error);
    xfree(w);
    bus->jobs--;
    bus_close_when_idle(bus);
}

static void on_replaced(struct publication *p, enum publish_fault fault, const char *why)
{
    struct wish *w = container_of(p, struct wish, publication);
    if (fault == PUBLISH_OK)
        dead_count_forget(w->bus, w->seq);
    end(w, fault == PUBLISH_OK ? NULL : why);
}

static bool replace(struct wish *w, const struct message *letter)
{
    struct dead_letter d;
    struct message *revived;
    if (!dead_read(letter, &d))
        return false;
    if (!w->retry) {
        bus_replace(w->bus, &w->publication, NULL, 0, w->seq);
        return true;
    }
    revived = dead_revive(letter, &d);
    /* It may be of a queue that nobody has used in this run: its stream is declared now. */
    if (slice_starts(revived->stream, SLICE(BUS_QUEUE)))
        stream_of_queue(w->bus, slice_from(revived->stream, strlen(BUS_QUEUE)));
    bus_replace(w->bus, &w->publication, &revived, 1, w->seq);
    return true;
}

static void on_read(struct op *op)
{
    struct wish *w = container_of(op, struct wish, read.op);
    char error[80];
    bool found = op->status == ENGINE_OK && w->read.count == 1 &&
                 w->read.messages[0]->seq == w->seq && replace(w, w->read.messages[0]);
    for (size_t i = 0; i < w->read.count; i++)
        message_release(w->read.messages[i]);
    xfree(w->read.messages);
    if (found)
        return;
    snprintf(error, sizeof(error), "there is no dead letter %llu; nodey dead list shows them",
             (unsigned long long)w->seq);
    end(w, op->status == ENGINE_BROKEN ? op->error : error);
}

static void wish(struct bus *bus, uint64_t seq, bool retry,
                 void (*done)(void *arg, const char *error), void *arg)
{
    if (bus->closing) {
        done(arg, "nodey is stopping");
        return;
    }
    struct wish *w = xcalloc(1, sizeof(*w));
    *w = (struct wish){.bus = bus, .seq = seq, .retry = retry, .done = done, .arg = arg};
    w->publication.done = on_replaced;
    w->read = (struct op_read){
        .op = {.kind = OP_READ, .done = on_read},
        .stream = SLICE(BUS_DEAD),
        .from = {.kind = START_SEQ, .seq = seq},
        .before = seq + 1,
        .limit = 1,
    };
    bus->jobs++;
    engine_submit(bus->engine, &w->read.op);
}

void bus_dead_retry(struct bus *bus, uint64_t seq, void (*done)(void *arg, const char *error),
                    void *arg)
{
    wish(bus, seq, true, done, arg);
}

void bus_dead_drop(struct bus *bus, uint64_t seq, void (*done)(void *arg, const char *error),
                   void *arg)
{
    wish(bus, seq, false, done, arg);
}
