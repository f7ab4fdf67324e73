/*
 * worker: one process of a pool, from its start to its end.
 *
 *                    +--> FAILED --+ (tried again later)
 *                    |             v
 *   BACKOFF ------> STARTING ---> READY <---> BUSY
 *      ^              |             |   \     /  |
 *      |              |             |  UNHEALTHY |
 *      |              v             v      v     v
 *      +---------- STOPPED <----- DRAINING <-----+
 *
 * A worker is in the list of its state in its pool, and worker_set_state() is the
 * only one to move it.  A worker object is one life: what follows a crash is a new
 * one, which begins in BACKOFF or FAILED and holds the pause.
 *
 * Each line written to the process that needs an answer is a slot.  A slot outlives
 * its call: when the call is over (timed out, client gone, moved elsewhere) the slot
 * stays taken, without a call, until the process answers or ends, because until then
 * the process may be busy with it.
 */
#pragma once

#include "base/arena.h"
#include "base/idmap.h"
#include "base/log.h"
#include "base/metric.h"
#include "loop/proc.h"
#include "os/usage.h"
#include "pool/call.h"
#include "pool/postmortem.h"
#include "pool/use.h"
#include "protocol/c/ready.h"

enum worker_state {
    WORKER_BACKOFF,   /* waits before it is started again */
    WORKER_FAILED,    /* as backoff, but crashed too often: the pool does not count on it */
    WORKER_STARTING,  /* runs, has not said that it is ready */
    WORKER_READY,     /* takes work */
    WORKER_BUSY,      /* works at its limit; takes what may wait in its pipe */
    WORKER_UNHEALTHY, /* does not answer pings: gets nothing new */
    WORKER_DRAINING,  /* finishes what it has, then ends */
    WORKER_STOPPED,   /* has ended; freed when its handles are closed */
    WORKER_STATES,
};

/* Why a worker was ended, or ended by itself: what a report of it begins with. */
enum worker_end {
    END_ITSELF,  /* it exited, or was killed by somebody else: a crash, unless it was told to */
    END_PLANNED, /* stopped, scaled down, replaced by a new version, ttl, max_requests */
    END_START,   /* was not ready in time */
    END_FROZEN,  /* answered no ping, or failed its health checks */
    END_STUCK,   /* did not answer long after a request's deadline */
    END_MEMORY,  /* above `memory` */
    END_PIDS,    /* above `pids` */
    END_PIPE,    /* broke the protocol, or closed its pipes */
};

struct slot {
    struct list node; /* in worker->slots, in the order of writing */
    struct worker *worker;
    struct call *call; /* NULL: the answer will be dropped */
    uint64_t id;
    uint64_t end; /* position in the input pipe after its line */
    uint64_t sent_ns;
    uint64_t deadline_ms; /* of its call, also when that is over */
    unsigned asking;      /* asks it waits for */
    bool nested;          /* given while the worker waited in an ask */
    bool cancelled;
    uint64_t drained;       /* without a call: bytes of its answer that were thrown away */
    struct past_call *past; /* without a call: what it was, see blame.h; or NULL */
    struct seat *seat;      /* of a message, see event.h; else NULL */
};

/* An output that is lines for the log. */
struct plain_text {
    struct timer lull; /* a line has begun and does not go on */
    bool lulled;       /* what there is of it is shown as it is */
    bool cutting;      /* the rest of an overlong line is passed over */
};

struct worker {
    struct pool *pool;
    struct list node; /* in pool->states[state] */
    enum worker_state state;
    unsigned instance;
    uint64_t life;       /* unique in this run of nodey */
    unsigned generation; /* of its pool when it was begun: which version it runs */
    char name[80];       /* "fib#0" */
    struct proc proc;
    bool spawned;
    bool overdue; /* it was not ready in time */
    bool level0;  /* declared no feature */
    bool standby; /* ready, but takes over only with the others of its generation */
    struct ready ready;
    struct idmap open; /* id -> slot */
    struct list slots; /* struct slot.node */
    unsigned slot_count;
    unsigned nested_count;
    struct list asks;        /* struct ask.node: what it waits for */
    struct list wants;       /* struct call.wants: have more of a body for it, in turns */
    const struct call *turn; /* whose turn it is among them */
    struct pace pace;
    uint64_t batch_ns; /* when answers were last read */
    uint64_t served;
    uint64_t recycle_at; /* retire when that many are served; 0 = never */
    uint64_t ready_ms;   /* when it became ready */
    struct timer timer;  /* of the state: pause, start timeout, ttl, drain limit */
    struct timer stop;   /* end of input -> SIGTERM -> SIGKILL */
    struct timer stall;  /* prefetched calls wait behind a slow one */
    uint64_t stall_id;
    bool stalled;
    struct timer stuck; /* nobody waits for it any more: its last chance to answer */
    uint64_t stuck_id;
    struct timer ping;
    uint64_t ping_id; /* 0 = none is out */
    uint64_t ping_sent_ms;
    uint64_t ping_at;      /* position in the input pipe before the last one */
    bool ending;           /* its input has been closed */
    bool closed_pipe;      /* it is killed because a pipe of it ended while it seemed to live */
    bool discarding;       /* the rest of an overlong line */
    size_t scanned;        /* bytes of the unfinished line known to hold no LF */
    struct window bad;     /* unreadable lines */
    struct bucket chatter; /* log lines */
    uint64_t dropped;      /* log lines over the rate, not yet reported */
    struct timer drops;    /* reports them */
    struct plain_text err_text;
    struct plain_text out_text; /* of a service */
    enum worker_end end;        /* why it ends, if nodey has decided it */
    int signalled;              /* what a person had nodey send it last; 0 = nothing */
    uint64_t started_ms;        /* when its process was started; 0 = not yet */
    char *cgroup;               /* its own group; NULL: none */
    struct usage usage;         /* as last measured, see pool/limits.h */
    struct timer watch;         /* looks at what it uses, see pool/limits.h */
    uint64_t usage_ms;          /* when; 0 = never */
    struct list gate;           /* waits for its turn to start, see pool/startgate.h */
    uint64_t gate_ticket;       /* the order of those who wait */
    bool gate_counts;           /* one of those that start now */
    struct timer gate_limit;    /* until it does not count any more */
    uint64_t worked_ns;         /* by its main thread, see pool/scale.h */
    uint64_t worked_at_ns;      /* when that was found out; 0 = never */
    uint64_t port;              /* of a service: where this instance listens; 0 = nowhere */
    struct list used;           /* of a service, struct use.node: what a proxy has at it */
    unsigned uses;              /* length of `used` */
    struct probe *probe;        /* of a service: the check that is under way */
    bool silent;                /* the last check that ended had no answer in its time */
    unsigned failures;          /* checks in a row that failed */
    uint64_t check_pause;       /* ms to the next one, until it was well for the first time */
    char unwell[200];           /* why the last one failed; "" = it did not */
    struct seat *seats;         /* what it takes of the bus, see event.h */
    unsigned publishing;        /* of the observer: it waits for so many to be stored */
    void *hearing;              /* of the observer: what it is told of the bus */
    bool held;                  /* what it writes is not read for now, see event.h */
    bool gone;                  /* only what uses it still knows it */
    char cause[512];            /* why it could not start, or why it is to go */
    bool explained;             /* it has said itself why it could not start: that is logged */
    char last_words[256];       /* its last line on stderr */
    struct postmortem *postmortem; /* what is known for a report of its end; or NULL */
    char incident[24];             /* that report, set by the observer's `ended`; "" = none */
};

/* Appends the line of this call to the worker's input; takes a slot. */
void worker_give(struct worker *, struct call *, bool nested);

/* May be written to, has room in its pipe, and works below its limit. */
bool worker_has_room(const struct worker *);

/* Little enough waits to be read by it. */
bool worker_pipe_has_room(const struct worker *);

/* Calls that may wait in its pipe now, beyond its limit. */
unsigned worker_ahead(const struct worker *);

/* All it works on waits in asks, and it accepts nested ones. */
bool worker_waits_in_ask(const struct worker *);

/* May the process have begun with this? */
bool slot_started(const struct slot *);

/*
 * A process that froze has begun nothing that came after a ping that it did not answer, since
 * it reads in order.  When it thaws before it is killed, it may.
 */
bool slot_is_behind_freeze(const struct slot *);

/* Its oldest unanswered line that is no nested ask, or NULL. */
struct slot *worker_oldest(const struct worker *);

/* The top of a one-at-a-time worker's stack: its newest nested ask, or else its oldest line. */
struct slot *worker_newest(const struct worker *);

/* The call and its slot part, if there is a call: it is returned. */
struct call *slot_release(struct slot *);

/* The slot is answered or given up: it is freed. */
void slot_close(struct slot *);

/* The call leaves its slot; the slot stays.  Tells the worker when it can. */
void slot_abandon(struct slot *, const char *reason);

/* ------------------------------------------------------------------- a life */

/*
 * A new life of instance number `instance`, begun after delay_ms in BACKOFF (or
 * FAILED) or at once.
 */
struct worker *worker_new(struct pool *, unsigned instance, uint64_t delay_ms, bool failed);

/* Starts its process; it is its turn.  It may have ended when this returns. */
void worker_start(struct worker *);

/* The only writer of `state`; asserts that the move is in the picture above. */
void worker_set_state(struct worker *, enum worker_state);

/* READY or BUSY, by how much it has to do. */
void worker_update_load(struct worker *);

/* It has said that it is ready: it takes work, or stands by until its pool lets it. */
void worker_became_ready(struct worker *);
void worker_enter(struct worker *);

/*
 * No new work; ends when what it has is answered, at the latest after limit_ms.
 * `why` is for the log and for those whose calls it takes down.
 */
void worker_drain(struct worker *, uint64_t limit_ms, const char *why);

/* SIGKILL, now. */
void worker_kill(struct worker *, const char *why);

/* Something is wrong with it: another takes over at once, and it is ended. */
void worker_give_up(struct worker *, const char *why);

/* A deadline passed while it worked: what waits behind that goes elsewhere. */
void worker_overdue(struct worker *);

/*
 * When nobody waits any more for what a one-at-a-time worker works on: it gets the
 * rest of that call's time and kill_after to answer after all, and is then given up.
 * Else it would be lost for ever.
 */
void worker_watch_stuck(struct worker *);

/* A draining worker ends as soon as nothing of it is open. */
void worker_check_drained(struct worker *);

/* Its process has ended, or never began; the worker is freed when its handles are. */
void worker_stopped(struct worker *, const char *how);

/* Asks it to end, without another word, and kills it when it does not: a crash. */
void worker_terminate(struct worker *, const char *why);

static inline struct buf *worker_out(struct worker *w)
{
    return stream_out(proc_in(&w->proc));
}

static inline bool worker_has(const struct worker *w, enum ready_feature feature)
{
    return (w->ready.features & feature) != 0;
}

/* --------------------------------------------------------- bodies in pieces */

/* Bytes of an answer that this worker may send before it is given credit. */
uint64_t worker_window(const struct worker *);

/* The call has just been given to the worker: the first pieces of its body may follow. */
void flow_begin(struct slot *);

/* This call was given up: what has come of its answer and was not passed on is thrown away. */
void flow_abandon(struct slot *, const struct call *);

/* The call leaves its slot: nothing of it waits for the pipe any more. */
void flow_leave(struct call *);

/* The pipe has room: those who have more to send get their turns. */
void flow_resume(struct worker *);

/* A frame of a body in pieces has come; returns how many answers it ends: 0 or 1. */
unsigned flow_take(struct worker *, struct slot *, const struct frame *);

/* Its process runs and may be written to. */
bool worker_alive(const struct worker *);
