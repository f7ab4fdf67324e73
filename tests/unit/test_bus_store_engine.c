/* The embedded store keeps what an engine promises: once from memory, once from the file. */
#include "engine_suite.h"
#include "store_kind.h"

/* Nothing is kept in memory, so that all is read from the file. */
static struct engine *open_without_cache(struct loop *loop, const char *dir,
                                         const struct engine_events *events, void *owner,
                                         struct err *err)
{
    struct store_config config = {.dir = dir};
    return store_open(loop, &config, events, owner, err);
}

int main(void)
{
    struct engine_kind cold = STORE_KIND;
    cold.name = "sqlite without a cache";
    cold.open = open_without_cache;
    int failed = engine_suite_run(&STORE_KIND);
    return failed + engine_suite_run(&cold);
}
