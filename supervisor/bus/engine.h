/*
 * engine: where messages are kept, behind the operations that every store can serve.
 *
 * Storage only: who may have a message, how often, when again and after whom is decided above,
 * in bus/group.  An engine works on a thread of its own; ops are submitted from the loop and
 * come back to it, each exactly once, in the order of their ends.
 *
 * What an engine promises, and tests/unit/conformance checks of each:
 *   1. a publish is done with ENGINE_OK only when it is stored as durably as its stream says;
 *      what was not done is stored once or not at all, all messages of one op or none;
 *   2. a message is delivered only after that;
 *   3. for each consumer, a stored message that matches is delivered until it is settled; after
 *      a restart what was delivered and not settled is delivered again, before newer ones, in
 *      order of seq;
 *   4. a settle and its outputs are one transaction; done means durable;
 *   5. seq and time never decrease; a msgid within its window is stored once.
 */
#pragma once

#include "base/arena.h"
#include "base/err.h"
#include "base/list.h"
#include "bus/message.h"
#include "loop/loop.h"

struct engine;

enum engine_status {
    ENGINE_OK,
    ENGINE_FULL,    /* the stream's max_bytes, or the disk: try later */
    ENGINE_UNKNOWN, /* no such stream, consumer or message */
    ENGINE_INVALID, /* the op itself cannot be done, see `error` */
    ENGINE_BROKEN,  /* the store failed and none of the op is kept: see `error` */
};

enum durability {
    DURABILITY_FSYNC,  /* survives a loss of power */
    DURABILITY_OS,     /* survives the end of nodey, not of the machine */
    DURABILITY_MEMORY, /* survives nothing */
};

/* What an engine can do: said at start and by `nodey bus`. */
struct engine_caps {
    const char *name; /* "sqlite 3.40.1" */
    enum durability strongest;
    bool dedupe, replay, delay, atomic_outputs, key_order;
    uint64_t max_data; /* bytes */
};

enum op_kind {
    OP_STREAM,   /* struct op_stream: declare one, or change its limits */
    OP_CONSUMER, /* struct op_consumer: declare one; tells where it stands */
    OP_DROP,     /* struct op_drop: forget a consumer, or a stream with all it has */
    OP_PUBLISH,  /* struct op_publish */
    OP_CREDIT,   /* struct op_credit: so many more may be delivered */
    OP_TAKE,     /* struct op_take: deliver these that were put off */
    OP_SETTLE,   /* struct op_settle */
    OP_SEEK,     /* struct op_seek: a consumer starts anew from elsewhere */
    OP_READ,     /* struct op_read: browse without a consumer */
    OP_INFO,     /* struct op_info */
    OP_QUERY,    /* struct op_query: a read-only question in the engine's own language */
    OP_BACKUP,   /* struct op_backup: a whole copy while it works */
};

struct op {
    struct list node; /* the engine's, from submit to done */
    enum op_kind kind;
    enum engine_status status;
    char error[200];           /* a sentence when status is not OK */
    void (*done)(struct op *); /* on the loop, never from within submit; may be NULL */
};

struct op_stream {
    struct op op;
    struct slice name; /* borrowed until done, as all slices of ops */
    bool work;         /* what every consumer has settled is deleted */
    enum durability durability;
    uint64_t max_bytes;
    uint64_t max_age; /* ms; 0 = any; of what is settled by all durable consumers */
    bool discard_old; /* when full the oldest go, read or not; else publishes are refused */
    uint64_t dedupe_window; /* ms; 0 = none */
};

/* Where a new consumer begins. */
enum start_kind { START_NEW, START_FIRST, START_SEQ, START_TIME };

struct start {
    enum start_kind kind;
    uint64_t seq;    /* the first that it gets */
    int64_t time_ms; /* the first that is not older */
};

/* A message that was put off: unsettled, and not delivered until it is taken. */
struct put_off {
    uint64_t seq;
    uint32_t tries; /* times that it failed */
    int64_t due_ms; /* as settled */
    char *key;      /* or NULL */
};

struct op_consumer {
    struct op op;
    struct slice stream;
    struct slice name;
    struct slice config;          /* raw JSON that is given back when it exists already */
    const struct slice *patterns; /* of topics; those of an older declaration are replaced */
    size_t pattern_count;
    struct start start; /* when it is new */
    /* Filled in: */
    uint32_t id; /* unique in this engine */
    bool created;
    size_t open; /* delivered in an earlier run and not settled: they come first, by credit */
    struct put_off *put_off; /* all that it has, by seq; the owner frees with xfree, keys too */
    size_t put_off_count;
};

struct op_drop {
    struct op op;
    uint32_t consumer;   /* 0: the stream */
    struct slice stream; /* empty: the consumer */
};

/* All messages or none.  Each has its stream named; seq, time_ms and duplicate are filled in.
 */
struct op_publish {
    struct op op;
    struct message **messages; /* the caller's references, held by the op until done */
    size_t count;              /* may be 0 with `forget` */
    uint64_t forget; /* this message is deleted in the same transaction, and settled for whoever
                        has it; 0 = none */
};

struct op_credit {
    struct op op;
    uint32_t consumer;
    uint32_t more; /* what is delivered takes one each */
};

struct op_take {
    struct op op;
    uint32_t consumer;
    uint64_t *seqs; /* come as deliveries, with their tries; take no credit.  All have come
                       when an op ends that was submitted after this one's end.  UNKNOWN: one
                       is not there any more; the others come */
    size_t count;
};

enum settle_kind {
    SETTLE_DONE,  /* it is over for this consumer */
    SETTLE_LATER, /* it is put off: OP_TAKE brings it back, also after a restart */
};

struct op_settle {
    struct op op;
    uint32_t consumer;
    uint64_t seq;
    enum settle_kind how;
    uint32_t tries;           /* LATER: what is kept of it */
    int64_t due_ms;           /* LATER: likewise */
    struct slice why;         /* LATER: the last error, likewise; at most 1 KiB is kept */
    struct message **outputs; /* as of a publish, stored in the same transaction */
    size_t output_count;
};

struct op_seek {
    struct op op;
    uint32_t consumer;
    struct start start; /* what was open or put off is forgotten; what credit is left stays */
    uint32_t epoch;     /* of deliveries from here on; filled in: 1 before, and one more each */
};

struct op_read {
    struct op op;
    struct slice stream;       /* empty: all */
    struct slice pattern;      /* of topics; empty: all */
    struct start from;         /* START_NEW: the last ones */
    uint64_t before;           /* only smaller seqs; 0 = all */
    size_t limit;              /* 1..1000 */
    bool backwards;            /* the newest first */
    struct message **messages; /* filled in: `count` references, the owner's; xfree the array */
    size_t count;
    uint64_t next; /* a seq: what lies from there on was too much for one op; 0 = that is all */
    uint64_t removed; /* of these streams, see stream_info; 0 = nothing */
};

struct stream_info {
    struct slice name; /* copied into the op's arena */
    bool work;
    enum durability durability;
    uint64_t first, last; /* seq; 0 = none */
    uint64_t messages, bytes, max_bytes;
    uint64_t
        removed; /* seq: the newest that went as too old or for room; not of work streams */
    uint64_t delayed; /* messages whose time has not come */
};

struct consumer_info {
    uint32_t id;
    struct slice name, stream;
    uint64_t hi;   /* the last taken up */
    uint64_t lag;  /* matching messages that are not settled: exact */
    uint64_t open; /* delivered, not settled */
    uint64_t put_off;
    int64_t oldest_ms; /* of the unsettled; 0 = none */
};

struct op_info {
    struct op op;
    struct arena *arena; /* the owner's */
    struct stream_info *streams;
    size_t stream_count;
    struct consumer_info *consumers;
    size_t consumer_count;
    uint64_t delayed; /* messages whose time has not come */
    uint64_t disk_bytes, wal_bytes, blob_bytes;
    uint64_t commits, committed; /* transactions, and ops in them, since start */
    uint64_t commit_p50_us, commit_p99_us;
    uint64_t batch_p50, batch_p99; /* messages stored by one transaction that stores any */
    double batch_mean;
    uint64_t failures; /* writes or fsyncs that failed since start */
    bool disk_full;
};

struct op_query {
    struct op op;
    struct slice text;
    size_t limit;     /* rows */
    struct buf *rows; /* the owner's: a JSON array per line, the first has the column names */
};

struct op_backup {
    struct op op;
    const char *path; /* of a file that does not exist; with blobs, PATH.blobs/ is made, too */
};

/* One message for one consumer. */
struct delivery_note {
    struct message *message; /* a reference, the receiver's */
    uint32_t consumer;
    uint32_t epoch;
    uint32_t tries; /* times that it has failed before */
};

struct engine_events {
    /* In order of seq for each consumer, but for what was put off. */
    void (*deliver)(struct engine *, const struct delivery_note *, size_t count);

    /* Messages that were stored just now, in order of seq: for broadcasts.  Borrowed. */
    void (*stored)(struct engine *, struct message *const *, size_t count);

    /* A consumer with discard_old has lost what it had not read. */
    void (*gap)(struct engine *, uint32_t consumer, uint64_t from, uint64_t to);

    /* A sentence for the log. */
    void (*tell)(struct engine *, int level, const char *sentence);

    /* The engine has ended, after close: its memory is the owner's again. */
    void (*closed)(struct engine *);
};

/* Serves one kind of store.  Called from the loop only. */
struct engine_ops {
    void (*submit)(struct engine *, struct op *);

    /* What was submitted still ends; `closed` comes last. */
    void (*close)(struct engine *);
};

struct engine {
    const struct engine_ops *ops;
    const struct engine_events *events;
    struct engine_caps caps;
    void *owner;
};

static inline void engine_submit(struct engine *e, struct op *op)
{
    e->ops->submit(e, op);
}

/* --------------------------------------------------------- the embedded one */

struct store_config {
    const char
        *dir; /* absolute: bus.db, bus.db-wal, blobs/, reserve; made if it is not there */
    uint64_t min_free;   /* bytes: below it publishes are refused as ENGINE_FULL */
    uint64_t tail_cache; /* bytes of the newest messages kept in memory */
};

/*
 * Opens or makes the store, and recovers it: blocking, before anything is served.  NULL with a
 * sentence: another process has it, it is damaged, of a newer format, cannot be written.
 */
struct engine *store_open(struct loop *, const struct store_config *,
                          const struct engine_events *, void *owner, struct err *);

/* After `closed`. */
void store_free(struct engine *);
