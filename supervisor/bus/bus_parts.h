/*
 * bus_parts: what the files of the bus share.  Nobody else includes it.
 */
#pragma once

#include "base/idmap.h"
#include "base/keymap.h"
#include "base/log.h"
#include "base/siphash.h"
#include "bus/backoff.h"
#include "bus/bus.h"
#include "bus/bus_due.h"
#include "bus/schedule.h"

enum {
    BUS_STREAMS_MAX = 10000,        /* queues included: workers name them */
    BUS_CONGESTED_BYTES = 64 << 20, /* submitted and not done: publishers are not read from */
    BUS_RELIEVED_BYTES = 32 << 20,  /* until it is less than this */
    BUS_REPEAT_MS = 250,            /* the first time; doubled up to the next */
    BUS_REPEAT_MAX_MS = 5000,
    BUS_PATIENCE_MS = 10000,
    BUS_TELL_MS = 60000, /* between two sentences about what is tried again */
    BUS_LOOK_MS = 1000,  /* between two looks at how much waits for groups with a full window */
};

#define BUS_DEAD  "dead"
#define BUS_REST  "events" /* takes every topic that no other stream takes */
#define BUS_QUEUE "queue."
#define BUS_TIMES "schedules" /* when they last ran */

/* What is declared of a stream; made from the configuration. */
struct stream_limits {
    bool work;
    enum durability durability;
    uint64_t max_bytes, max_age, dedupe_window;
    bool discard_old;
};

struct bus_stream {
    struct list node;           /* bus->streams */
    struct keymap_node by_name; /* bus->stream_names */
    struct bus *bus;
    struct op_stream op;
    bool busy;  /* `op` is under way */
    bool again; /* and is to be repeated with other limits */
    struct stream_limits limits;
    struct slice *topics; /* patterns; of [streams.NAME] */
    size_t topic_count;
    struct slice name; /* owned, as the patterns are */
};

struct bus {
    struct loop *loop;
    struct config *config; /* held */
    struct bus_observer *observer;
    struct engine *engine;
    void (*engine_free)(struct engine *);
    struct chance chance;
    struct siphash_key hash_key;
    struct list streams;
    struct keymap stream_names;

    /* Measures of each consumer, see group_parts.h; tests choose smaller ones. */
    uint32_t window;
    uint32_t put_off_max;
    uint64_t soon_ms;
    uint64_t repeat_first_ms; /* what the store was not able to do is tried again after this */

    struct list groups;     /* struct group.node */
    struct idmap consumers; /* by their ids */
    struct list woken;      /* groups that have something to do at the end of this turn */
    struct list crashed;    /* entries whose workers ended in this turn */
    struct task turn;
    bool in_turn;
    struct due_heap put_off;
    struct timer put_off_timer;
    struct list repeats; /* struct settling: the store was not able to */
    struct timer repeat_timer;
    uint64_t repeat_ms, repeat_told_ms;
    struct list spare_entries, spare_settlings;
    size_t spare_entry_count, spare_settling_count;
    struct timer look_timer;
    struct op_info look;
    struct arena look_arena;
    bool looking;

    uint64_t waiting_bytes; /* submitted and not done */
    bool congested;
    struct list relieved; /* tasks */
    struct list sendings; /* publications whose publishers wait, the oldest first */
    struct timer patience_timer;
    uint64_t patience_ms; /* so long they wait for a store that does not answer */
    struct timer strangers_timer;
    struct list refused; /* publications that were not even tried */
    struct task refuse;

    struct schedules *schedules;
    struct dead_count *dead_count; /* NULL: nobody has asked */
    uint64_t out;                  /* deliveries with their owners */
    uint64_t jobs; /* dead letters being read, and the like: closing waits for them */
    bool closing;
    bool engine_closing;
    bool closed;
};

/* Milliseconds since 1970, and by a clock that nobody sets. */
int64_t bus_wall_ms(void);
uint64_t bus_clock_ms(void);

void bus_tell(struct bus *, int level, const char *fmt, ...) PRINTF_LIKE(3, 4);

/* ------------------------------------------------------------------ opening */

/* Opens any engine: `how` is the opener's own. */
typedef struct engine *(*engine_open_fn)(struct loop *, const struct engine_events *,
                                         void *owner, const void *how, struct err *);

/* As bus_open(), with an engine of the caller's choice; `engine_free` after it has closed. */
struct bus *bus_open_on(struct loop *, struct config *, struct bus_observer *, engine_open_fn,
                        void (*engine_free)(struct engine *), const void *how, struct err *);

/* Closes the engine when nothing is out any more. */
void bus_close_when_idle(struct bus *);

/* What the store was not able to do is tried again, in so many ms. */
uint64_t bus_repeat_later(struct bus *);

void publish_init(struct bus *);
void publish_end(struct bus *);

/* As bus_publish(), also of nothing and for as long as it takes, and that message is forgotten
 * in the same transaction. */
void bus_replace(struct bus *, struct publication *, struct message *const *, size_t count,
                 uint64_t forget);

/* Stores them for nobody who waits; takes over the references, not the array. */
void bus_publish_quietly(struct bus *, struct message *const *, size_t count);

/* Counts what was given to the store, and what came back. */
void bus_count_in(struct bus *, uint64_t bytes);
void bus_count_out(struct bus *, uint64_t bytes);
uint64_t bus_bytes_of(struct message *const *, size_t count);

/* ------------------------------------------------------------------ streams */

/* Declares what is configured, and again what has changed. */
void streams_configure(struct bus *);
void streams_repeat(struct bus *);
void streams_free(struct bus *);

/* The stream of a topic, or of a queue, which is declared now if it was not; NULL: too many. */
struct bus_stream *stream_of_topic(struct bus *, struct slice topic);
struct bus_stream *stream_of_queue(struct bus *, struct slice queue);
struct bus_stream *stream_of_times(struct bus *);
struct bus_stream *stream_find(struct bus *, struct slice name);

/* Tells, once, what earlier runs have left in streams that nobody uses any more. */
void strangers_look(struct bus *);

/* Can a message of that pattern be in it? */
bool stream_may_have(struct bus *, const struct bus_stream *, struct slice pattern);
