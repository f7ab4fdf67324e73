/*
 * bus_rig: a bus on an engine in memory, and an owner of groups that does what a test says.
 */
#pragma once

#include "bus/bus_parts.h"
#include "memory_engine.h"

enum { RIG_TOLD_MAX = 64 };

/* A delivery in the hands of a test; what it says can be read as long as it is there. */
struct held {
    struct list node;
    struct delivery *delivery;
    struct rig_owner *owner;
};

struct bus_rig {
    struct loop loop;
    struct config *config;
    struct memory_store *store;
    const char *dir; /* of a real store, instead of the one in memory; or NULL */
    struct bus *bus;
    struct bus_observer observer;
    char told[RIG_TOLD_MAX][400];
    size_t told_count;
    size_t stored_count;
    size_t settled_count, dead_count;
    char last_error[400];
    bool closed;
    struct timer timeout;
};

/* A group's owner. */
struct rig_owner {
    struct bus_rig *rig;
    struct group *group;
    struct list held; /* struct held, in the order of their coming */
    size_t held_count;
    size_t delivered, revoked, gaps, changed;
    size_t room;  /* refuses what would be more; 0 = takes everything */
    bool settles; /* as done, at once */
    void (*check)(struct rig_owner *, struct delivery *); /* of each that comes; or NULL */
};

/* Opened on an empty store: in memory, or in `dir` when that is set. */
void bus_rig_open(struct bus_rig *);

/* What is out is given back; closes, and opens what has been stored anew. */
void bus_rig_reopen(struct bus_rig *);
void bus_rig_close_bus(struct bus_rig *);
void bus_rig_open_bus(struct bus_rig *);
void bus_rig_close(struct bus_rig *);

/* Subscribes to the patterns, three attempts, back-off of 1 ms unless `steps` says another. */
void bus_rig_group(struct bus_rig *, struct rig_owner *, const char *name,
                   const char *const *patterns, const struct subscription *like);
void bus_rig_queue(struct bus_rig *, struct rig_owner *, const char *queue,
                   const struct subscription *like);

/* Publishes, waits until it is stored, and returns its seq; 0 when it is not. */
uint64_t bus_rig_publish(struct bus_rig *, const char *topic, const char *key,
                         const char *data);
/* So many of topic a.b. */
void bus_rig_publish_all(struct bus_rig *, size_t count, const char *key);
uint64_t bus_rig_request(struct bus_rig *, const struct publish_request *);

/* Settles the oldest that it holds, or `held`. */
void rig_done(struct rig_owner *);
void rig_settle(struct held *, const struct settlement *);
void rig_fail(struct rig_owner *, uint64_t delay_ms);
struct held *rig_first(struct rig_owner *);
uint64_t rig_first_seq(struct rig_owner *); /* 0: it holds nothing */
void rig_give_all_back(struct rig_owner *);

bool bus_rig_told(struct bus_rig *, const char *words);

void bus_rig_turn(struct bus_rig *, const char *awaited, const char *file, int line);
void bus_rig_begin(struct bus_rig *);
void bus_rig_linger(struct bus_rig *, uint64_t ms);

/* Runs the loop until the condition holds. */
#define bus_until(rig, condition)                                                              \
    do {                                                                                       \
        bus_rig_begin(rig);                                                                    \
        while (!(condition))                                                                   \
            bus_rig_turn(rig, #condition, __FILE__, __LINE__);                                 \
    } while (0)
