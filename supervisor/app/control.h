/*
 * control: the door for this machine's own commands (`nodey call`, `ask`, `reload`, ...).
 *
 * HTTP over a unix socket that only its owner may open.  It is a server of its own, so
 * that it answers when no worker is up, and nothing that a client of the port does can
 * reach it.
 *
 *   GET  /v1             {"version","pid","private","settled","urls","config","dir"}
 *   GET  /v1/workers     [{"name","state","trouble","waiting","instances","routes","tokens"}]
 *   POST /v1/reload      {"changes":[...]}; 422 with the reason: nothing has changed
 *   POST /v1/ask/TOKEN   the body is the arguments, the answer the value, both JSON;
 *                        the field x-nodey-timeout: milliseconds
 *   anything, with the field x-nodey-worker: NAME
 *                        goes to that worker, whatever its path; "*": by its path, as
 *                        if it had come to the port
 *
 * Errors are application/problem+json, with the protocol's `code` where there is one.
 */
#pragma once

#include "app/gateway.h"
#include "pool/pool.h"

/* What a control door tells of and acts on; all of it outlives the door. */
struct control_host {
    struct pools *pools;
    struct gateway *gateway; /* whose routes say which paths are whose */

    /*
     * Loads the configuration again and applies it.  0, and a line for each thing that
     * changed (LF after each; none = nothing has); or -1 with a sentence, and nothing
     * has changed.  NULL: this run cannot.
     */
    int (*reload)(void *arg, struct buf *report, struct err *);

    /* The n-th address that is served, "http://127.0.0.1:8000"; NULL past the last. */
    const char *(*url)(void *arg, size_t n);
    void *arg; /* of both */

    bool is_private; /* this run is for one command, see app_options.private_socket */
};

struct control {
    struct http_handler handler;
    struct control_host host;
    struct loop *loop;
    struct http_server *server; /* NULL while it is closed */
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

/* "DATA_DIR/control.sock"; the caller frees it. */
char *control_path(const char *data_dir);

/*
 * Writes how to name a socket: "unix:PATH", or for a path longer than the kernel takes a
 * name by way of its folder's descriptor, which then stays open.  -1 with a sentence when
 * the folder cannot be opened.
 */
int control_address(const char *path, char *text, size_t size, struct err *) MUST_CHECK;
