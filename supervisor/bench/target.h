/*
 * bench_target: whom a benchmark asks, and for what, by a URL, a route or a worker's name.
 */
#pragma once

#include "bench/child.h"
#include "bench/stage.h"

struct bench_target {
    char *url;              /* as it is shown */
    char *address;          /* for peer_resolve() */
    char *host;             /* for the Host field */
    char *path;             /* with its query */
    struct bench_child own; /* a nodey that was started for it */
};

struct bench_wish {
    const char *word;   /* "http://...", "HOST:PORT/...", "unix:PATH", "/route", or a worker */
    const char *file;   /* the configuration; NULL as in config_load() */
    const char *method; /* a worker is asked on the first route that takes it */
};

/*
 * A URL is taken as it is.  A route or a worker is one of the nodey that is up for the
 * configuration; or, when none is, of one that is started on a free port until
 * bench_target_close().  0, or a negative code with a sentence; close it in both cases.
 */
int bench_target_find(struct bench_target *, struct bench_stage *, const struct bench_wish *,
                      struct err *) MUST_CHECK;
void bench_target_close(struct bench_target *);

/* Takes a URL apart, into a zeroed target.  As above; pure. */
int bench_target_parse(struct bench_target *, const char *url, struct err *) MUST_CHECK;
