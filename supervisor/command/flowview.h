/*
 * flowview: the flow as the control socket tells it, and as pictures.
 */
#pragma once

#include <jansson.h>

#include "base/buf.h"

/* One way of a topic: from who publishes it to a group that gets it. */
struct flow_way {
    const char *from;    /* NULL: nobody has published it */
    const char *topic;   /* or a queue, or a pattern when `from` is NULL */
    const char *program; /* NULL: nobody handles it */
    const char *group;
    bool job;
    bool each;             /* every instance gets it, and nothing is counted */
    const json_t *counted; /* what is known of the handling; NULL: none has been seen */
};

struct flow_ways {
    struct flow_way *items;
    size_t count;
};

/* Borrows from the flow. */
void flow_ways_read(struct flow_ways *, const json_t *flow);
void flow_ways_deinit(struct flow_ways *);

/* Appends a picture. */
void flow_write_mermaid(const struct flow_ways *, struct buf *out);
void flow_write_dot(const struct flow_ways *, struct buf *out);

/*
 * A sentence for each fact of the shape, "posts publishes post.created", sorted, without
 * doubles: what --check compares.  An array of strings; the caller's.
 */
json_t *flow_facts(const json_t *flow);

/* Appends a value on one line. */
void flow_dump(const json_t *, struct buf *out);

/* The text of a member, or "". */
const char *flow_text(const json_t *object, const char *name);
