/*
 * quarantine: requests that end the workers that begin with them.
 *
 * A request that kills whoever works on it must not go round a pool until nobody is left.
 * Two things are remembered of it, for a while and in a bounded table: what exactly was asked
 * (method, path, query and the body), and its route (method and path, parameters left open).
 *
 *      so many workers in a row ended by the same request     refused for QUARANTINE_MS
 *      more than CIRCUIT_DEATHS by one route in CIRCUIT_MS    refused for CIRCUIT_MS
 *
 * Of several that were under way each is suspected; one that is answered is innocent, and
 * forgotten, and so are the deaths of its route: workers that somebody kills under load are not
 * the fault of what is answered all the time.  Pure: knows no clock and no pool.
 */
#pragma once

#include "base/siphash.h"
#include "pool/call.h"

enum {
    QUARANTINE_ENTRIES = 256,
    QUARANTINE_MS = 10 * 60 * 1000, /* also how long a suspicion lasts */
    CIRCUIT_DEATHS = 3,
    CIRCUIT_MS = 10 * 1000,
};

/* A request, as the table knows it. */
struct suspect {
    uint64_t exact;
    uint64_t route;
};

struct quarantined {
    uint64_t hash;
    bool is_route;
    unsigned deaths; /* of a request: in a row */
    uint64_t life;   /* of the worker that it ended last: one death counts once */
    uint64_t last_ms;
    uint64_t until_ms;              /* refused until then; 0 = only suspected */
    uint64_t times[CIRCUIT_DEATHS]; /* of a route: when the last ones were, in turns */
    char what[160];                 /* "GET /poison", for a person */
    char incident[24];              /* of the last death; "" = none was written */
};

struct quarantine {
    struct siphash_key key;
    struct quarantined *entries;
    size_t count;        /* 0: nobody needs to be looked up */
    unsigned generation; /* of the program that this is known of */
};

/* One death that a request may be to blame for. */
struct death {
    uint64_t life;
    const char *what;
    const char *incident;
    unsigned limit; /* so many in a row: quarantine */
};

void quarantine_init(struct quarantine *);
void quarantine_deinit(struct quarantine *);

struct suspect quarantine_suspect(const struct quarantine *, const struct call_identity *);

/* Counts a death.  The entry when it is refused from now on, and was not before; else NULL. */
const struct quarantined *quarantine_note(struct quarantine *, const struct suspect *,
                                          const struct death *, uint64_t now_ms);

/* Why it is refused now, or NULL.  What is over is dropped. */
const struct quarantined *quarantine_find(struct quarantine *, const struct suspect *,
                                          uint64_t now_ms);

/* It has been answered. */
void quarantine_clear(struct quarantine *, const struct suspect *);

/* A worker of this generation is ready: what an older version died of is forgotten. */
void quarantine_renew(struct quarantine *, unsigned generation);
