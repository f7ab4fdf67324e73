/*
 * pool: the instances of one program, and the calls that wait for them.
 *
 * pool_submit() takes a call, call callbacks give its end: nothing else passes
 * between a pool and its users, so that pools may move to other threads.
 *
 * Calls wait here and not at an instance, so that a slow one delays nobody else.
 * Asks overtake requests (PROTOCOL.md, scheduling).  Queued requests have a bound
 * in number, bytes and time.
 */
#pragma once

#include "config/config.h"
#include "pool/quarantine.h"
#include "pool/restart.h"
#include "pool/scale.h"
#include "pool/startgate.h"
#include "pool/worker.h"

struct pools;

enum { POOL_RETRY_BURST = 200 }; /* started calls that may be tried again at once */

/* One place among the pool's instances. */
struct instance {
    struct worker *current; /* NULL only while the pool stops */
    struct worker *next;    /* is to take over as soon as it is ready */
    struct restart restart;
    bool again;        /* empty: starts anew, as soon as the one before has ended */
    uint64_t pause_ms; /* again: that much later */
    bool ended;        /* empty: its restart policy let it end */
    bool ended_badly;  /* ended: not with status 0 */
};

/* Why a pool does not run, without anything being wrong. */
enum pool_rest {
    POOL_RUNS,    /* it does, or tries to */
    POOL_WAITS,   /* for what it depends on */
    POOL_HELD,    /* a person stopped it */
    POOL_ENDED,   /* its processes ended, and its restart policy lets them */
    POOL_DORMANT, /* of a profile that nobody asked for */
};

struct pool {
    struct pools *pools;
    struct list node; /* in pools->list */
    const struct worker_config *config;
    struct restart_policy policy;
    struct instance *instances;
    size_t places; /* length of `instances`; `wanted` of them are in use */
    size_t wanted; /* as configured, as a person scaled it, or as the load needs */
    enum pool_rest rest;
    const char *waits_for;      /* POOL_WAITS: the name; else NULL */
    struct proc_exit last_exit; /* of the process that ended last */
    bool has_ended;             /* `last_exit` is one */
    bool ended_well;            /* POOL_ENDED: each of its processes ended with status 0 */
    uint64_t restarts;          /* starts of processes after a crash, all time */
    bool flapping;              /* ends soon after it was ready, again and again */
    struct window flaps;        /* ends of what had been ready */
    uint64_t flap_ms;           /* the last of them */
    size_t configured;          /* instances, when `wanted` was last taken from there */
    bool begun;                 /* it was to start once, or rests since its start */
    bool again;                 /* starts anew, as soon as all its processes have ended */
    bool hopeless;              /* POOL_WAITS: for what failed, or was stopped */
    bool told_to_stop;          /* with all of nodey */
    unsigned lives;             /* worker objects that exist */
    unsigned generation;        /* counts the versions of its program: see pool_renew() */
    uint64_t renewed_life;      /* no instance of the newest version has a smaller one */
    unsigned kept_generation;   /* for whoever keeps answers: whose they are */
    bool renewing;              /* a new generation gets ready behind the one that serves */
    bool proven;                /* one of the newest generation has been ready */
    bool leaving;               /* ends as soon as nothing is left to do */
    struct config *held;        /* leaving: what `config` is part of */
    struct task gone;           /* leaving: frees the pool */
    struct list states[WORKER_STATES]; /* struct worker.node */
    struct list asks;                  /* struct call.node: go before requests */
    struct list requests;              /* struct call.node */
    size_t waiting;                    /* length of `requests` */
    uint64_t waiting_bytes;
    bool takes_events;      /* messages of the bus: the observer hears of room */
    double event_instances; /* see event_need() */
    uint64_t event_backlog; /* likewise */
    double retry_budget;    /* started calls that may be tried again */
    bool settled;           /* it was ready, or failed to start, several times or for long */
    struct call_failure refusal;  /* what pool_submit() returned last */
    char refusal_text[256];       /* of it, when it is about the request itself */
    struct quarantine quarantine; /* requests that end workers */
    struct scale scale;           /* how `wanted` follows the load */
    char trouble[640];            /* why it has no instance, for a person; "" = none */
    char stale[400]; /* why an older version serves: "runs ..."; "" = it does not */
};

/* What a worker wrote that is no frame, or that a frame says for the log.  Borrowed. */
struct worker_line {
    const struct worker *worker;
    const struct call *call; /* what it was doing; NULL: nothing, or that is not known */
    enum log_level level;
    const char *stream; /* "stdout", "stderr", "log", or "error": why it cannot start */
    struct slice text;
    struct slice fields; /* of a log frame: a raw JSON object; of stdout and stderr: the whole
                            line, if it is one; empty = none */
    bool cut;            /* the line was longer: the rest of it is lost */
    struct slice stack;  /* of an error whose text does without it; empty = none */
};

/* What happens in pools, for whoever logs, counts and routes.  All are called from the loop. */
struct pool_observer {
    /* A sentence for the log; w may be NULL. */
    void (*tell)(struct pool_observer *, const struct pool *, const struct worker *w,
                 enum log_level, const char *sentence);

    /* A worker wrote words for the log. */
    void (*wrote)(struct pool_observer *, const struct worker_line *);

    /*
     * The process of this worker has ended: proc.exit says how, `end` why if nodey decided it,
     * and what it worked on is still in its slots.  Before anybody is told of its calls' end.
     */
    void (*ended)(struct pool_observer *, struct pool *, struct worker *, const char *how);

    /* Its state, its number of instances, or why it rests is another one.  Optional. */
    void (*changed)(struct pool_observer *, struct pool *);

    /* An instance became ready: its declaration is new. */
    void (*ready)(struct pool_observer *, struct pool *, struct worker *);

    /* A process ended before it was ready, or could not be started. */
    void (*failed)(struct pool_observer *, struct pool *, struct worker *);

    /* The pool is ready for the first time, or has failed to start often or long enough. */
    void (*settled)(struct pool_observer *, struct pool *);

    /* There may be room for messages of the bus again.  Optional. */
    void (*room)(struct pool_observer *, struct pool *);

    /* A frame for the bus: a publish or a seek.  Optional. */
    void (*framed)(struct pool_observer *, struct worker *, const struct frame *);

    /* No process of any pool is left (after pools_stop). */
    void (*stopped)(struct pool_observer *);
};

/* A check of one instance of a service that is under way: whoever probes has more in it. */
struct probe;

/* How services are probed, for those who can speak HTTP. */
struct prober {
    /*
     * Begins one check as config->healthcheck says (none configured: does its port accept a
     * connection?), which takes at most its timeout.  `done` comes later, once, from the loop
     * and not after probe_cancel; `why` is for a person, "" when it is well.  worker->silent
     * says then whether there was no answer at all.
     */
    struct probe *(*start)(struct prober *, struct worker *,
                           void (*done)(struct worker *, bool well, const char *why));
    void (*cancel)(struct prober *, struct probe *);
};

/* What all pools of a loop share. */
struct pools {
    struct loop *loop;
    struct pool_observer *observer;
    struct prober *prober;   /* for services */
    struct cgroups *cgroups; /* where limits are kept; NULL: by watching */
    struct list list;        /* struct pool.node */
    struct list lost_asks;   /* struct ask.call.node: nobody answers their token yet */
    uint64_t *told;          /* hashes of what pool_tell_once() has told */
    size_t told_count;
    struct ask_target *tokens; /* sorted */
    size_t token_count;
    uint64_t next_id;
    uint64_t next_life;
    unsigned lives;              /* worker objects that exist */
    const char *const *env;      /* what every worker gets, "NAME=value", NULL-terminated */
    const char *const *bare_env; /* the same without what nodey inherited */
    const char *server;          /* "nodey/0.1.0" */
    bool dev;
    bool watching; /* files that workers load are watched: they may tell of more */
    struct string_list profiles; /* asked for; "*" is each of them */
    struct string_list only;     /* if there are any: these start, and what they depend on */
    bool stopping;
    uint64_t stop_at_ms; /* stopping: until then those that are depended on wait */
    struct timer hurry;
    struct task order; /* see pool/order.h */
    struct startgate startgate;
    uint16_t ports[64]; /* of loopback, that services were given last */
    unsigned ports_given;
    struct task stopped;
};

void pools_init(struct pools *, struct loop *, struct pool_observer *);

/* A pool for this worker; config must outlive it.  Starts nothing yet. */
struct pool *pool_new(struct pools *, const struct worker_config *);

/*
 * Starts when what it depends on lets it, unless it rests.  The first instance goes ahead;
 * the others follow when it is ready.
 */
void pool_start(struct pool *);

/*
 * Starts every pool that may: those that depend on others follow when these are as they must
 * be, see pool/order.h.  Those that rest (HELD, DORMANT) stay as they are.
 */
void pools_start(struct pools *);

/* ------------------------------------------------------------- by a person's word */

/* Ends all its instances, after what they have; it rests as HELD until pool_release(). */
void pool_hold(struct pool *, const char *why);

/*
 * What rests starts (also what ended, is dormant, or waits: whatever it waits for); one that
 * runs is left alone.
 */
void pool_release(struct pool *);

/*
 * Stops and starts anew: with a gap, unlike pool_renew(); what it works on is finished before.
 * So does what depends on it with restart = true.
 */
void pool_restart(struct pool *, const char *why);

/*
 * From now on so many instances (1..1024), until the configuration changes their number.
 * Never more than one of a service with a fixed port.
 */
void pool_scale(struct pool *, size_t instances);

/* Signals each of its processes' groups; returns how many. */
unsigned pool_signal(struct pool *, int signal);

/* It was ready and ended five times within a minute, and still does. */
bool pool_is_flapping(const struct pool *);

/* "worker" or "service", for people. */
const char *pool_kind(const struct pool *);

/*
 * From now on this configuration, of the same name, which must outlive the pool.  The
 * number of instances follows it; processes that run go on as they are, see pool_renew().
 */
void pool_configure(struct pool *, const struct worker_config *);

/*
 * The program, or what it is started with, is new.  Its processes are replaced all
 * together as soon as the new ones are ready, so that two versions never serve at the
 * same time.  One goes ahead; if it cannot start, the old ones go on, and nothing more
 * is tried until the next renewal.  A pool that does not serve starts anew at once.
 */
void pool_renew(struct pool *, const char *why);

/*
 * The pool answers what it has been given, then ends and is freed.  Nobody may submit
 * to it any more.  `config` is what its configuration is part of: it is held until then.
 */
void pool_remove(struct pool *, struct config *);

struct pool *pools_find(struct pools *, struct slice name);

/*
 * What the pool's instances declare, all alike: routes, tokens, which headers they
 * want.  NULL while none is ready.  Valid until the loop's next turn.
 */
const struct ready *pool_declaration(const struct pool *);

/* True when every pool has settled. */
bool pools_settled(const struct pools *);

/* Everything drains and ends within limit_ms; `stopped` is called then.  Once. */
void pools_stop(struct pools *, uint64_t limit_ms);

/* Kills everything at once; `stopped` is called when all is reaped. */
void pools_kill(struct pools *);

/* After `stopped`. */
void pools_deinit(struct pools *);

/*
 * Hands over a call; its ops->done comes later, never from within.  timeout_ms 0 is
 * the pool's own.  Returns NULL, or why the call was not taken: then `done` will not
 * come, and the reason is valid until the next call.
 */
const struct call_failure *pool_submit(struct pool *, struct call *, uint64_t timeout_ms);

/* --------------------------------------------- for the files of this room */

/* The instances that waited for the first to go ahead, or are new, start. */
void pool_fill(struct pool *);

/* So many places are in use from now on; those beyond them drain. */
void pool_set_wanted(struct pool *, size_t wanted, const char *why);

/* May processes of it be started now? */
bool pool_may_start(const struct pool *);

/* Is there a process of it, be it one that is about to end? */
bool pool_has_process(const struct pool *);

/* Can a process of it run while another is there?  Not when both want the same port. */
bool pool_overlaps(const struct pool *);

/* Nobody waits any longer for it to become ready. */
void pool_settle(struct pool *);

/* Something that people see of it is another one. */
void pool_changed(struct pool *);

/* Gives waiting calls to instances that can take them. */
void pool_dispatch(struct pool *);

/* It crashes so often before it is ready that nobody waits for it any more. */
bool pool_is_hopeless(const struct pool *, const struct instance *);

/* It has no instance and is not about to have one. */
bool pool_is_down(const struct pool *);

/* Fails what waits, because the pool is down or nodey stops. */
void pool_fail_waiting(struct pool *);

/* Back to the head of its queue, after a worker could not keep it. */
void pool_requeue(struct pool *, struct call *);

/* A call has left the queue. */
void pool_left_queue(struct pool *, struct call *);

/*
 * The worker ended with this call open: it is tried again when that is safe, else it
 * fails.  begun: the worker may have started it.
 */
void pool_call_lost(struct worker *, struct call *, bool begun, const char *how);

/* Why it is to start again, or not: for a person. */
void pool_note_trouble(struct pool *, const char *fmt, ...) PRINTF_LIKE(2, 3);

/* Its successor is given up. */
void pool_drop_next(struct instance *, const char *why);

/* Ends what runs in this place, and begins anew there once it is gone. */
void pool_restart_place(struct pool *, unsigned place, const char *why);

/* The process behind this worker has ended, or could not be started. */
void pool_worker_ended(struct worker *, const char *how, bool was_draining);
void pool_worker_ready(struct worker *);

/* A new life takes over at once (the old one drains) or once it is ready. */
void pool_replace_now(struct worker *);
void pool_replace_later(struct worker *, const char *why);

/* A worker object is gone from memory. */
void pool_worker_freed(struct pool *);
void pool_free(struct pool *);

/* Is an instance in service? */
bool pool_serves(const struct pool *);

/* Calls for each worker that has not ended; it may leave its list meanwhile. */
void pool_each_worker(struct pool *, void (*visit)(struct worker *, uint64_t), uint64_t arg);

/* Renewals: is this worker, which is ready, to stand by?  It does.  It has ended. */
bool pool_holds_back(const struct worker *);
void pool_standby(struct worker *);
bool pool_renewal_failed(struct worker *, const char *how);

/* An instance has ended: may those who stand by enter?  Must they, because one failed? */
void pool_check_renewal(struct pool *);
void pool_renewal_incomplete(struct pool *);

/* A leaving pool whose queue is empty lets its workers go. */
void pool_check_leaving(struct pool *);

/* A warning that is not repeated in this run of nodey. */
void pool_tell_once(const struct pool *, const char *fmt, ...) PRINTF_LIKE(2, 3);

void pool_tell(const struct pool *, const struct worker *, enum log_level, const char *fmt, ...)
    PRINTF_LIKE(4, 5);
