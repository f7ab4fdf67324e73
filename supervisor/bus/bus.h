/*
 * bus: facts that fan out and jobs that compete; who gets what, when, and how often.
 *
 * A stream keeps messages; a group is a named cursor on a stream, usually a pool's, whose
 * workers compete for what it gets.  Storage is an engine's; policy is here: attempts, back-off
 * with jitter, dead letters, order by key, suspects alone, delays, schedules, and what is
 * published together with an ack.  Nothing here knows what a worker is: a group's owner is
 * asked to deliver, and says later how it went.
 *
 * One message is at any time in one place of its group: not delivered (in the engine), waiting
 * for a hand (`ready`), behind another of its key, with a handler, or put off until its time.
 * Messages of one key are handled one at a time and in order, whatever happens to the first.
 */
#pragma once

#include "bus/engine.h"
#include "config/config.h"

struct bus;
struct group;
struct delivery;

/* How a handler's time and tries are counted; one for each pattern of a group. */
struct subscription {
    struct slice pattern;
    uint64_t timeout_ms;     /* of one attempt; 0 = none */
    uint32_t attempts;       /* 1..1000: then it is a dead letter */
    const uint64_t *backoff; /* ms before the second, third, ... attempt; the last repeats */
    size_t backoff_count;
};

struct group_config {
    struct slice stream; /* "" = the streams that its patterns name, one consumer in each */
    struct slice name;
    const struct subscription *subscriptions; /* of a queue: one, its name */
    size_t subscription_count;
    struct start start; /* when it is new */
};

/* A message in the hands of a group's owner, until bus_settle(). */
struct delivery {
    struct list node; /* the owner's */
    struct group *group;
    struct message *message; /* held */
    const struct subscription *subscription;
    uint32_t attempt; /* 1, 2, ... */
    bool last;        /* no attempt follows this one */
    bool alone;  /* a suspect: its owner gives it to a worker that has nothing else of the group
                  */
    void *owner; /* the owner's */
};

struct group_ops {
    /*
     * Somebody is to handle this now.  False: nobody can; it waits until group_resume().  The
     * owner may settle it from within.
     */
    bool (*deliver)(struct group *, struct delivery *);

    /* What it had is void (a seek, or the group is dropped): no settle is wanted for it. */
    void (*revoke)(struct group *, struct delivery *);

    /* Messages were lost to it, by discard = "old". */
    void (*gap)(struct group *, uint64_t from, uint64_t to);

    /* More, or less, waits than before: see group_backlog().  At most once a turn. */
    void (*changed)(struct group *);
};

/* What happens, for whoever logs, draws the flow, or passes it on.  All are called on the loop.
 */
struct bus_observer {
    void (*tell)(struct bus_observer *, int level, const char *sentence);

    /* Stored just now, in order: for broadcasts, event streams, the observed flow. */
    void (*stored)(struct bus_observer *, const struct message *);

    /* A delivery is over: `ran_ms` with its handler, `waited_ms` before; error "" = handled. */
    void (*settled)(struct bus_observer *, const struct delivery *, uint64_t waited_ms,
                    uint64_t ran_ms, const char *error, bool dead);

    void (*closed)(struct bus_observer *);
};

/*
 * Opens the store and declares the configured streams: blocking.  NULL with a sentence.
 * `dir` is data_dir's "bus"; the configuration is held.
 */
struct bus *bus_open(struct loop *, struct config *, struct bus_observer *, struct err *);

/* Another configuration: streams and schedules follow it. */
void bus_configure(struct bus *, struct config *);

/*
 * Nothing is delivered any more.  Deliveries that are out may still be settled, and must be:
 * the store closes after the last one, and `closed` comes then.
 */
void bus_close(struct bus *);

/* After `closed`. */
void bus_free(struct bus *);

const struct engine_caps *bus_caps(const struct bus *);

/* ------------------------------------------------------------------ publish */

enum publish_fault { PUBLISH_OK, PUBLISH_INVALID, PUBLISH_FULL, PUBLISH_FAILED };

/* In the publisher's memory from bus_publish() to `done`. */
struct publication {
    void (*done)(struct publication *, enum publish_fault, const char *why);
    struct message **messages; /* from bus_publish() until `done` returns: with their seqs, when
                                  they are stored */
    size_t count;
};

/* What is to be published: facts by topic, jobs by queue.  Slices are copied. */
struct publish_request {
    struct slice topic; /* exactly one of the two */
    struct slice queue;
    struct slice key; /* its ptr is NULL: that of `handling`; empty: none */
    struct slice msgid;
    struct slice headers, data; /* raw JSON, checked by the caller */
    struct slice origin;
    struct slice traceparent, correlation, cause; /* given from outside; else from `handling` */
    const struct delivery *handling; /* what it is published from within; or NULL */
    int64_t at_ms;                   /* 0 = now */
};

/*
 * A message of it with stream, cause, correlation and trace filled in; NULL with a sentence
 * about what cannot be published (topic, key, sizes).
 */
struct message *bus_compose(struct bus *, const struct publish_request *, struct err *);

/*
 * Stores all of them or none, then `done`, which comes later and once, and may free the
 * publication.  Takes over the references.  A store that does not answer within ten seconds is
 * PUBLISH_FAILED, too: then it may still be stored.  count 1..MESSAGE_OUTPUTS_MAX.
 */
void bus_publish(struct bus *, struct publication *, struct message *const *, size_t count);

/* True while so much waits for the store that publishers must not be read from. */
bool bus_is_congested(const struct bus *);

/* Called once, when it is no more. */
void bus_on_relief(struct bus *, struct task *);

/* ------------------------------------------------------------------- groups */

/*
 * Declares a group, or changes it; the same name gives the same group.  NULL with a sentence.
 * It delivers as soon as it has an owner and group_resume() was called.
 */
struct group *bus_group(struct bus *, const struct group_config *, struct err *);

/* A group of topics, else a queue's; "queue.NAME" is the queue's.  NULL: there is none. */
struct group *bus_find_group(struct bus *, struct slice name);

/* At most `most` deliveries at a time; ops NULL: nobody is there, what is out was settled. */
void group_serve(struct group *, const struct group_ops *, void *owner, uint32_t most);
void *group_owner(const struct group *);
struct slice group_name(const struct group *);

/* There is room again: deliver() is called for what is ready. */
void group_resume(struct group *);

/* Messages that are not settled, those with handlers included. */
uint64_t group_backlog(const struct group *);

/*
 * Begins elsewhere; what is out is revoked.  `done` may come at once, when it cannot be:
 * the group has another such wish under way.
 */
void group_seek(struct group *, struct start, void (*done)(void *arg, const char *error),
                void *arg);

/* The group and its place are forgotten: it is not to be used after `done`. */
void group_drop(struct group *, void (*done)(void *arg, const char *error), void *arg);

/* ------------------------------------------------------------------- settle */

enum verdict {
    VERDICT_DONE,  /* handled; outputs are stored with it */
    VERDICT_RETRY, /* it failed: again after delay_ms, or the back-off when that is UINT64_MAX
                    */
    VERDICT_DEAD,  /* it never will: to the dead letters */
    VERDICT_BACK,  /* it was not begun: again at once, no attempt is counted */
};

struct settlement {
    enum verdict verdict;
    uint64_t delay_ms;
    struct slice error_name, error_message, error_stack; /* of RETRY and DEAD */
    bool crashed; /* the worker ended: the message is a suspect, if others were with it */
    struct message *const *outputs; /* of DONE; the references are taken over */
    size_t output_count;
};

/* Exactly once for each delivery; it does not exist afterwards. */
void bus_settle(struct delivery *, const struct settlement *);

/* ----------------------------------------------------------------- for people */

/* The engine's own: read, info, query, backup.  For the control socket and event streams.  Who
 * submits one op after the other asks each time whether it still takes any. */
struct engine *bus_engine(struct bus *);
bool bus_takes_ops(const struct bus *);

/* A stream with all that it has, when nothing of this run uses it; a queue is "queue.NAME". */
void bus_drop_stream(struct bus *, struct slice name,
                     void (*done)(void *arg, const char *error), void *arg);

/* Dead letters: published again to where they failed, with a new msgid, for the group only; or
 * dropped. */
void bus_dead_retry(struct bus *, uint64_t seq, void (*done)(void *arg, const char *error),
                    void *arg);
void bus_dead_drop(struct bus *, uint64_t seq, void (*done)(void *arg, const char *error),
                   void *arg);

/* Appends a JSON object with everything: streams, groups (with lag, oldest age, in flight,
 * retrying, dead, wait and run times), schedules, the store.  `done` comes later. */
void bus_describe(struct bus *, struct buf *, void (*done)(void *arg), void *arg);
