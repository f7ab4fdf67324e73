/*
 * store_kind: the embedded store, for what is tested of engines.
 */
#pragma once

#include "desk.h"

static inline struct engine *store_kind_open(struct loop *loop, const char *dir,
                                             const struct engine_events *events, void *owner,
                                             struct err *err)
{
    struct store_config config = {.dir = dir, .tail_cache = 1 << 20};
    return store_open(loop, &config, events, owner, err);
}

static const struct engine_kind STORE_KIND = {
    .name = "sqlite",
    .open = store_kind_open,
    .free = store_free,
    .durable = true,
    .dedupe = true,
    .replay = true,
    .delay = true,
    .atomic_outputs = true,
    .exact_lag = true,
    .gaps = true,
    .blobs = true,
    .bounded = true,
};
