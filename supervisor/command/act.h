/*
 * act: orders to programs of the nodey that is up, for the verbs that give them.
 */
#pragma once

#include "client/programs.h"
#include "client/reach.h"

struct act_order {
    const char *verb;      /* of the control socket: "start", "reload" */
    const char *parameter; /* "instances=3"; NULL: none */
    uint64_t wait_ms;      /* until it is done; 0: only begun */
    bool as_json;          /* the control socket's answer, instead of a sentence */
};

/* The order to this program; prints what came of it.  Returns the exit code. */
int act_give(struct session *, const char *name, const struct act_order *);

/* The same to each of them, one after the other; the first exit code that is not 0. */
int act_give_all(struct session *, const char *const *names, size_t count,
                 const struct act_order *);
