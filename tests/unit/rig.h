/*
 * rig: real pools on a real loop, with real processes, and a record of what happened.
 *
 * A worker is tests/unit/actor.py: it does what the Python in its start-up argument and
 * in each request says, so that a test tells in one place what the worker does and what
 * must follow.  The test program itself is the shim that starts children: its main() is
 * rig_main().
 */
#pragma once

#include "config/config.h"
#include "pool/pool.h"

struct rig {
    struct loop loop;
    struct pools pools;
    struct pool_observer observer;
    struct timer tick;
    uint64_t waits_since_ms;
    struct buf told;  /* sentences, one a line: "name: sentence" */
    struct buf wrote; /* "name stream: text" */
    struct buf about; /* "text < source of the job that it was written for" */
    unsigned readies;
    unsigned failures;
    unsigned settles;
    unsigned stops;
    unsigned ends;       /* of processes */
    unsigned changes;    /* of what people see */
    enum worker_end end; /* why the last process ended */
};

/* A request for an actor, and what became of it. */
struct job {
    struct call call;
    const char *source; /* what the actor is to do */
    unsigned writes;
    unsigned ends; /* how often `done` came */
    unsigned status;
    char code[40];
    char text[512]; /* the answer's body, or a sentence */
    char by[80];    /* the last worker that it was written to */
};

/* With the shim's verb it is the shim; otherwise it runs the tests. */
int rig_main(int argc, char **argv, int (*tests)(void));

/* On the heap, so that a test that fails leaves nothing dangling behind. */
struct rig *rig_new(void);

/* Stops all pools, checks that they end and that no handle is left. */
void rig_free(struct rig *);

/* An actor that runs `source` when it starts; short times, no pings, one instance. */
struct worker_config rig_config(const char *name, const char *source);

/* Any program; argv ends with a NULL and must outlive the configuration. */
struct worker_config rig_command(const char *name, const char **argv);

/* A service that is a shell script, with restart = "always". */
struct worker_config rig_service(const char *name, const char *script);

/* Started; the config must outlive the rig. */
struct pool *rig_pool(struct rig *, const struct worker_config *);

struct worker *rig_worker(const struct pool *, unsigned instance);

/* Submits; NULL, or why it was refused.  Options stand in job->call before: see job_init(). */
void job_init(struct job *, const char *source);
const struct call_failure *job_submit(struct job *, struct pool *, uint64_t timeout_ms);

/* job_init() and job_submit(), which must succeed. */
void job_send(struct job *, struct pool *, const char *source);

/* Has something been told that holds these words? */
bool rig_told(struct rig *, const char *words);
bool rig_wrote(struct rig *, const char *words);

/* How often these words have been told, or written by programs. */
unsigned rig_times_told(struct rig *, const char *words);
unsigned rig_times_wrote(struct rig *, const char *words);

/* Has a job that holds `source` been named as what these words were about? */
bool rig_wrote_about(struct rig *, const char *words, const char *source);

/* One short run of the loop; fails the test when it has waited for too long. */
void rig_turn(struct rig *, const char *awaited, const char *file, int line);
void rig_begin_wait(struct rig *);

/* Runs the loop until the condition holds. */
#define rig_until(rig, condition)                                                              \
    do {                                                                                       \
        rig_begin_wait(rig);                                                                   \
        while (!(condition))                                                                   \
            rig_turn(rig, #condition, __FILE__, __LINE__);                                     \
    } while (0)

/* Runs the loop for so long: for what must not happen. */
void rig_linger(struct rig *, uint64_t ms);

/* How much longer everything may take: NODEY_SLOW. */
uint64_t rig_slow(void);
