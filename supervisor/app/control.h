/*
 * control: the door for this machine's own commands (`nodey ps`, `stop`, `call`, `reload`,
 * ...).
 *
 * HTTP over a unix socket that only its owner may open.  It is a server of its own, so
 * that it answers when no worker is up, and nothing that a client of the port does can
 * reach it.
 *
 *   GET  /v1                   {"version","pid","private","settled","urls","config","dir",...}
 *   GET  /v1/programs          what runs and what rests: an array
 *   GET  /v1/programs/NAME     one of them, and with what it was started
 *   POST /v1/programs/NAME/VERB  start, stop, restart, reload, scale, signal, wait
 *   POST /v1/reload            {"changes":[...],"renewed":[...]}; 422 with the reason: nothing
 *                              has changed
 *   POST /v1/down              nodey ends
 *   POST /v1/ask/TOKEN         the body is the arguments, the answer the value, both JSON;
 *                              the field x-nodey-timeout: milliseconds
 *   anything, with the field x-nodey-worker: NAME
 *                              goes to that worker, whatever its path; "*": by its path, as
 *                              if it had come to the port
 *
 * CONTROL.md tells all of it, with examples.  Errors are application/problem+json, with the
 * protocol's `code` where there is one.
 */
#pragma once

#include "app/events.h"
#include "app/gateway.h"
#include "app/state.h"
#include "pool/pool.h"

struct follow;
struct story;

/* What a control door tells of and acts on; all of it outlives the door. */
struct control_host {
    struct pools *pools;
    struct gateway *gateway; /* whose routes say which paths are whose */
    struct events *events;
    struct follow *follow;         /* messages for who reads them as they are stored */
    struct story *story;           /* what happened to messages lately */
    struct state *state;           /* remembers who was stopped; NULL: nobody does */
    const struct secrets *secrets; /* values that are not told; NULL: none */

    /*
     * Loads the configuration again and applies it.  0, and a line for each thing that
     * changed (LF after each; none = nothing has); or -1 with a sentence, and nothing
     * has changed.  NULL: this run cannot.
     */
    int (*reload)(void *arg, struct buf *report, struct err *);

    /* Ends nodey as SIGTERM does, within limit_ms; 0: as configured.  Twice is as once. */
    void (*down)(void *arg, uint64_t limit_ms);

    /* The n-th address that is served, "http://127.0.0.1:8000"; NULL past the last. */
    const char *(*url)(void *arg, size_t n);
    void *arg; /* of all three */

    bool is_private; /* this run is for one command, see app_options.private_socket */
};

struct control {
    struct http_handler handler;
    struct control_host host;
    struct loop *loop;
    struct http_server *server; /* NULL while it is closed */
    struct list waiters;        /* struct waiter.node, see control_wait.h */
    struct timer look;          /* at what they wait for */
    struct task down;           /* once the answer to who said so has left */
    uint64_t down_ms;           /* the time that it was given */
};

/* Opens nothing.  Copies the host. */
void control_init(struct control *, struct loop *, const struct control_host *);

/*
 * Opens the door at `path`, which may be of any length.  What is there is replaced: it
 * was left by a nodey that was killed, as the lock on the data folder proves.  0, or a
 * negative code with a sentence.
 */
int control_open(struct control *, const char *path, struct err *) MUST_CHECK;

/* Closes it with all that is under way, and removes its file.  Also when never opened. */
void control_close(struct control *);

/*
 * This was told of a pool: who waits for the pool to start learns in these words why it does
 * not.  As pool_observer.tell.
 */
void control_told(struct control *, const struct pool *, enum log_level, const char *sentence);

/* "DATA_DIR/control.sock"; the caller frees it. */
char *control_path(const char *data_dir);

/*
 * Writes how to name a socket: "unix:PATH", or for a path longer than the kernel takes a
 * name by way of its folder's descriptor, which then stays open.  -1 with a sentence when
 * the folder cannot be opened.
 */
int control_address(const char *path, char *text, size_t size, struct err *) MUST_CHECK;
