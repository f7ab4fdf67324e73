/*
 * control_bus_parts: what the files of control_bus share.  Nobody else includes it.
 */
#pragma once

#include "app/busdoor.h"
#include "app/control_bus.h"
#include "app/control_reply.h"
#include "base/json.h"

/*
 * Something at the bus that an exchange waits for.  In memory of its own, as what was begun
 * goes on when its client leaves.
 */
struct bus_job {
    struct pending pending;
    struct exchange *exchange; /* NULL: nobody waits for it */
};

void bus_job_begin(struct bus_job *, struct exchange *);

/* It is over: who waits, and is not to be told of the client any more; or NULL. */
struct exchange *bus_job_end(struct bus_job *);

/* 503: the bus is not open, or cannot be; else it is returned.  Opened when `opens`; then NULL
 * without an answer means that nobody has ever used it. */
struct bus *control_bus_open(struct control *, struct exchange *, bool opens);

/* Answers that an op has failed; false: it has not. */
bool control_bus_failed(struct exchange *, const struct op *);

/* The body as one JSON value on one line; false, and it has been answered, when it is none. */
bool control_bus_body(struct exchange *, struct json_value *out);

/* A string of an object, unescaped in the exchange's arena; empty when there is none. */
struct slice control_bus_text(struct exchange *, const struct json_value *object,
                              const char *name);
bool control_bus_member(const struct json_value *object, const char *name,
                        struct json_value *out);

/* What follows "/v1/dead": "", "/17", "/17/retry", "/drop". */
void control_dead(struct control *, struct exchange *, struct slice rest);

/* What follows "/v1/groups/". */
void control_groups(struct control *, struct exchange *, struct slice rest);

/* By the wall, in ms since 1970. */
int64_t control_bus_now_ms(void);

void control_publish(struct control *, struct exchange *);
void control_drop_stream(struct control *, struct exchange *);
