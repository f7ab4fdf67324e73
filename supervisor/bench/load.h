/*
 * bench_load: asks a server the same question many times, and measures.
 *
 * Closed loop: each connection asks again as soon as it was answered.  Open loop: the
 * requests fall due at a fixed rate, whether or not earlier ones were answered, and
 * latency counts from the moment that a request was due.  A generator that waits for an
 * answer before it asks again and counts from the sending leaves out just those requests
 * that a stall would have delayed: coordinated omission (Gil Tene, "How NOT to Measure
 * Latency"; his wrk2 was the first to correct it this way).  What was due and has got no
 * answer at the end is counted with the time that it had waited by then.
 */
#pragma once

#include "base/histogram.h"
#include "http/client.h"

struct load_options {
    const struct peer *peer;
    struct slice request; /* whole, as client_request_write() writes it */
    bool is_head;
    unsigned connections; /* 1..LOAD_CONNECTIONS_MAX */
    double rate;          /* requests per second; 0: closed loop */
    uint64_t warmup_ms;   /* asked, and not counted */
    uint64_t duration_ms;
    uint64_t timeout_ms; /* of one request, and of a connection */
    const bool *stop;    /* when it has become true, after loop_stop(): ends early */
    void (*progress)(const struct load_options *, uint64_t done_ms, uint64_t answered);
    void *arg;
};

enum { LOAD_CONNECTIONS_MAX = 20000, LOAD_STATUSES = 1000, LOAD_FAILURES = CLIENT_INVALID + 1 };

struct load_result {
    struct histogram latency; /* ns */
    uint64_t answered;        /* in `elapsed_ns` */
    uint64_t received;        /* bytes of these, header included */
    uint64_t statuses[LOAD_STATUSES];
    uint64_t failures[LOAD_FAILURES]; /* by enum client_failure */
    uint64_t unanswered; /* asked or due, and not answered some time after the end */
    uint64_t reconnects; /* the server closed the connection after an answer */
    uint64_t elapsed_ns;
    char first_failure[256]; /* in words; empty when there was none */
};

/* Requests that came to nothing, for whatever reason. */
uint64_t load_failed(const struct load_result *);

/* Answers with a status of 400 or more. */
uint64_t load_refused(const struct load_result *);

/*
 * Runs to its end, on a loop that may have other things on it.  Whatever happens, the
 * result is filled in and no connection is left.
 */
void load_run(struct loop *, const struct load_options *, struct load_result *);
