/*
 * The suite for engines is not about one of them: the engine in memory, which other tests stand
 * on, keeps what it says it can as well.
 */
#include <stdio.h>

#include "engine_suite.h"
#include "folder.h"
#include "memory_engine.h"

/* What has been stored outlives the engine: one store for each folder, as if it were there. */
static struct {
    char dir[300];
    struct memory_store *store;
} kept;

static void forget(void)
{
    if (kept.store)
        memory_store_free(kept.store);
    kept.store = NULL;
}

static struct engine *open_memory(struct loop *loop, const char *dir,
                                  const struct engine_events *events, void *owner,
                                  struct err *err)
{
    if (!kept.store || strcmp(kept.dir, dir) != 0) {
        forget();
        kept.store = memory_store_new();
        snprintf(kept.dir, sizeof(kept.dir), "%s", dir);
    }
    return memory_engine_open(loop, events, owner, kept.store, err);
}

int main(void)
{
    const struct engine_kind kind = {
        .name = "memory",
        .open = open_memory,
        .free = memory_engine_free,
        .durable = true,
        .dedupe = true,
        .replay = true,
        .delay = true,
        .atomic_outputs = true,
        .exact_lag = true,
    };
    int failed = engine_suite_run(&kind);
    forget();
    return failed;
}
