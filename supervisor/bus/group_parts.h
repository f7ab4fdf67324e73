/*
 * group_parts: what the files of groups share.  Nobody else includes it.
 *
 * A group is one consumer for each of its streams, and each consumer has entries: messages that
 * are not settled, as far as they have been delivered by the engine or put off.
 *
 *     engine ──> READY ──> OUT ──> SETTLING ──> gone
 *       │          ↑        │          │
 *       └──> BEHIND┘        └> CRASHED ┴──> WAITING ──> DUE ──> TAKING ──> READY, BEHIND
 *              └── SETTLING ──> PARKED ─────────────────┘
 *
 * Of one key the first in order of seq is the only one that may be READY or OUT; those after
 * it are BEHIND in memory, or PARKED in the store while the first one is put off.
 */
#pragma once

#include "base/histogram.h"
#include "bus/bus_parts.h"

enum {
    GROUP_WINDOW = 1024,           /* unsettled and not put off, for each consumer */
    GROUP_WINDOW_BYTES = 16 << 20, /* of them in memory, about */
    GROUP_PUT_OFF_MAX = 65536,     /* for each consumer: then it gets nothing new */
    GROUP_TAKE_MAX = 256,          /* put off, and taken back at a time */
    GROUP_TAKE_AHEAD = 32,         /* of one key */
    GROUP_SOON_MS = 1000,          /* put off for less: those behind it wait in memory */
    GROUP_TURN = 256,              /* deliveries of one group in a turn of the loop */
    GROUP_SPARE = 4096,            /* entries kept for the next ones */
};

enum entry_state {
    ENTRY_NEW,
    ENTRY_READY,   /* waits for a hand */
    ENTRY_BEHIND,  /* waits for the one before it of its key, in memory */
    ENTRY_OUT,     /* with the group's owner */
    ENTRY_CRASHED, /* its worker has ended: at the end of the turn it is decided what follows */
    ENTRY_SETTLING, /* an op about it is under way */
    ENTRY_WAITING,  /* put off until its time */
    ENTRY_PARKED,   /* put off until it is the first of its key */
    ENTRY_DUE,      /* put off, and to be taken back */
    ENTRY_TAKING,   /* asked for */
    ENTRY_VOID,     /* forgotten by a seek: freed when its op ends */
};

/* What a group subscribes to, as long as anybody handles by it. */
struct terms {
    unsigned holders;
    struct arena arena;
    struct subscription *items;
    size_t count;
};

/* Copied from a settlement whose consequences are decided later. */
struct failure {
    struct slice name, message, stack;
};

/* All entries of one key, by seq. */
struct keyed {
    struct keymap_node node;
    struct list chain; /* struct entry.chain */
    size_t len;
    char text[];
};

struct entry {
    struct delivery delivery; /* its message is NULL while it is put off */
    struct list node;         /* of those with this state */
    struct list mine;         /* the consumer's: all of them */
    struct list chain;        /* of its key */
    struct consumer *consumer;
    struct keyed *key;       /* NULL = none */
    struct terms *terms;     /* held while it is OUT */
    struct failure *failure; /* CRASHED */
    uint64_t seq;
    struct due due;     /* WAITING */
    uint64_t began_us;  /* OUT: by the monotonic clock */
    uint64_t waited_ms; /* OUT: before */
    int64_t since_ms;   /* wall clock: from when on it could have been handled */
    uint64_t delay_ms;  /* CRASHED */
    uint32_t tries;     /* failures */
    uint16_t crashes;   /* of those, in this run of nodey */
    uint8_t state;      /* enum entry_state */
    bool later;         /* SETTLING: to be put off, until due.at_ms */
    bool suspect;       /* to be tried alone */
    bool in_window;     /* counted in consumer->window */
    bool taken;         /* counted in consumer->taken */
    bool is_put_off;    /* the engine has it so: counted in consumer->put_off_count */
    bool indexed;       /* in consumer->put_off */
};

struct consumer {
    struct list node; /* group->consumers */
    struct group *group;
    struct bus_stream *stream;
    struct bus *bus;
    uint32_t id; /* 0 = not declared yet */
    bool declaring, declare_again, seeking, gone;
    bool seek_again;
    bool seek_then; /* as soon as it is declared */
    bool full;      /* GROUP_PUT_OFF_MAX was told */
    uint32_t epoch;
    unsigned ops; /* under way: it may not be freed */
    struct op_consumer declare;
    struct slice *patterns; /* of `declare`, in its own memory */
    struct op_seek seek;
    struct op_drop drop;

    uint32_t credit; /* given, and not used */
    uint32_t window; /* entries that the engine counts as delivered and open */
    uint32_t behind; /* of those, BEHIND */
    size_t replay;   /* open since an earlier run, and not here yet: nothing is taken before */
    uint64_t bytes;  /* of messages in memory */
    uint32_t mean_bytes;
    struct op_credit credit_op;
    bool credit_busy;

    struct list entries; /* struct entry.mine */
    size_t entry_count;
    struct keymap keys;
    struct idmap put_off; /* by seq: entries without a message */
    size_t put_off_count; /* rows that the engine has of it, about */
    struct list due;
    struct list taking;
    uint32_t taken; /* asked for, or in memory after that */
    struct op_take take_op;
    uint64_t take_seqs[GROUP_TAKE_MAX];
    bool take_busy;
    bool take_failed;
    uint64_t take_again_ms; /* not before: the store was not able to */
    uint64_t unread;        /* in the engine, at the last look */
};

struct group_numbers {
    uint64_t delivered, handled, failed, crashed, dead;
    struct histogram *wait_us, *run_us; /* NULL until there is one */
};

/* Who waits for the ops of a seek or a drop, one for each consumer. */
struct group_wait {
    void (*done)(void *arg, const char *error); /* NULL: nobody waits */
    void *arg;
    unsigned left;
    char error[200];
};

struct group {
    struct list node;  /* bus->groups */
    struct list woken; /* bus->woken */
    struct bus *bus;
    const struct group_ops *ops; /* NULL: nobody is there */
    void *owner;
    uint32_t most;
    uint32_t out_count;
    bool is_queue;
    bool alone_out;
    bool gone;
    struct terms *terms;
    struct start start;
    struct list consumers;
    struct list ready;    /* entries */
    struct list suspects; /* READY ones that are to be tried alone, one after another */
    struct list out;
    struct group_wait wait;
    uint64_t told_backlog;
    struct group_numbers numbers;
    char name[]; /* as configured */
};

/* An op_settle with all that it borrows. */
struct settling {
    struct op_settle op;
    struct list node; /* bus->repeats, or spare */
    struct entry *entry;
    struct message *one; /* op.outputs, when it is one */
    uint64_t bytes;      /* of outputs */
    char *why;           /* op.why */
};

/* -------------------------------------------------------------------- group */

/* Something is to be done for it at the end of this turn. */
void group_wake(struct group *);
void group_free_if_gone(struct group *);

/* A consumer in each stream where its patterns may find something. */
void group_spread(struct group *, bool from_first);
void groups_spread(struct bus *);
void groups_free(struct bus *);
void groups_turn(struct task *);
void group_gap(struct bus *, uint32_t consumer, uint64_t from, uint64_t to);
void terms_drop(struct terms *);
const struct subscription *terms_match(const struct terms *, struct slice topic);
void consumer_was_declared(struct consumer *, const struct op *);
void consumer_seek(struct consumer *);
void consumer_drop_if_idle(struct consumer *);

/* An op of its is over: its group may have work, or it is gone, and this was the last. */
void consumer_go_on(struct consumer *);

/* Declares the consumer, or its patterns anew. */
void consumer_declare(struct consumer *);

/* ------------------------------------------------------------------ entries */

struct entry *entry_new(struct consumer *, uint64_t seq);

/* Removes it from wherever it is; its op, if there is one, finds it VOID. */
void entry_forget(struct entry *);
void entry_set_message(struct entry *, struct message *);
void entries_free_spare(struct bus *);

void entry_leave_behind(struct entry *);

/* It has a message: READY, BEHIND, or put off once more. */
void entry_place(struct entry *);

/* To the end, or back to the beginning, of what waits for a hand. */
void entry_make_ready(struct entry *, bool first);

/* The engine has put it off: it leaves memory. */
void entry_put_off(struct entry *);

/* With its owner no more: settled, revoked, or never taken. */
void entry_leave_out(struct entry *);

/* -------------------------------------------------------------------- order */

void order_join(struct entry *, struct slice key);

/* The next one of its key gets its turn. */
void order_leave(struct entry *);
bool order_is_first(const struct entry *);

/* The first of its key is put off: those behind it are parked. */
void order_put_off(struct entry *);

/* --------------------------------------------------------------------- flow */

void flow_deliver(struct bus *, const struct delivery_note *, size_t count);

/* More credit, and what is due, as far as there is room. */
void flow_refill(struct consumer *);

/* Its time or turn has come. */
void flow_due(struct entry *);
void flow_wait(struct entry *, uint64_t at_ms);
void flow_look(struct bus *);

/* ------------------------------------------------------------------- settle */

/* What follows for those whose workers ended in this turn. */
void settle_crashed(struct bus *);
void settle_park(struct entry *);
void settle_done_silently(struct entry *);

/* Once more those that the store was not able to do. */
void settle_repeat(struct bus *);
void settle_free_spare(struct bus *);
