#include <stdio.h>

#include "bus/bus_parts.h"

enum { TAIL_CACHE_BYTES = 32 << 20 };

static struct engine *open_store(struct loop *loop, const struct engine_events *events,
                                 void *owner, const void *how, struct err *err)
{
    return store_open(loop, how, events, owner, err);
}

struct bus *bus_open(struct loop *loop, struct config *config, struct bus_observer *observer,
                     struct err *err)
{
    const char *given = config->bus.dir;
    char *dir = given ? xstrdup(given) : xasprintf("%s/bus", config->server.data_dir);
    const struct store_config store = {
        .dir = dir,
        .min_free = config->bus.min_free,
        .tail_cache = TAIL_CACHE_BYTES,
    };
    struct bus *bus = bus_open_on(loop, config, observer, open_store, store_free, &store, err);
    xfree(dir);
    return bus;
}
