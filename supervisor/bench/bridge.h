/*
 * bench_bridge: what a request costs over nodey's pipe, and over an HTTP bridge.
 *
 * The same small handler runs behind both, in Node and in Python, on this machine, at the
 * same time.  The bridge is what people write: a Node server that forwards each request
 * by HTTP to a server in the other language, connections kept open.  What is said of a
 * request's cost is the median latency of one request at a time, less the time that the
 * handler itself takes, which its own process measures.
 */
#pragma once

#include "bench/stage.h"

enum { BRIDGE_WAYS = 4, BRIDGE_ROUNDS = 5 };

/* Of all rounds: the median, and between what they lay. */
struct bridge_figure {
    double median;
    double low;
    double high;
};

struct bridge_way {
    const char *language; /* "Node" */
    const char *key;      /* "node": the first part of its paths */
    bool is_pipe;
    bool measured;
    struct bridge_figure p50_us;  /* one request at a time */
    struct bridge_figure own_us;  /* the handler itself */
    struct bridge_figure cost_us; /* the former less the latter */
    struct bridge_figure rate;    /* requests per second with `connections` */
    uint64_t failed;              /* requests of all rounds that came to nothing, or errors */
};

struct bridge_result {
    struct bridge_way ways[BRIDGE_WAYS]; /* pipe and bridge of a language beside each other */
    unsigned rounds;                     /* that all ways were measured in */
    unsigned connections;
    double seconds;  /* of measuring */
    char node[48];   /* its version; empty: there is none, and so no bridge */
    char python[48]; /* empty: there is none, and that half is left out */
    unsigned cpus;
};

/*
 * Measures for about total_ms.  0; or a negative code with a sentence, and UV_ECANCELED
 * when it was stopped before there was anything to tell.  No process, port or file is
 * left in any case.
 */
int bridge_run(struct bench_stage *, unsigned connections, uint64_t total_ms,
               struct bridge_result *, struct err *) MUST_CHECK;
