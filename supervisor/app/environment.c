#include "app/environment.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "pool/environ.h"
#include "pool/pool.h"

char *environment_path(const char *name, const char *first)
{
    const char *inherited = getenv(name);
    if (inherited && *inherited)
        return xasprintf("%s=%s:%s", name, first, inherited);
    return xasprintf("%s=%s", name, first);
}

void environment_new_run(char *text, size_t size)
{
    uint32_t words[4];
    arc4random_buf(words, sizeof(words));
    snprintf(text, size, "%08x%08x%08x%08x", words[0], words[1], words[2], words[3]);
}

/* Ours, inherited, with what every worker gets; see pool/environ.c for the rest. */
char **environment_new(const struct sdk *sdk, const char *run)
{
    size_t n = 0, at = 0;
    while (environ[n])
        n++;
    char **env = xcalloc(n + 8, sizeof(*env));
    for (; at < n; at++)
        env[at] = xstrdup(environ[at]);
    env[at++] = xstrdup("PYTHONUNBUFFERED=1");
    env[at++] = environment_path("PYTHONPATH", sdk->python);
    env[at++] = environment_path("NODE_PATH", sdk->node);
    env[at++] = xasprintf("NODEY_RUN=%s", run);
    return env;
}

/* For workers that shall inherit nothing; they must still find their interpreters. */
char **environment_new_bare(const struct sdk *sdk, const char *run)
{
    const char *path = getenv("PATH");
    char **env = xcalloc(6, sizeof(*env));
    env[0] = xasprintf("PATH=%s", path ? path : "/usr/local/bin:/usr/bin:/bin");
    env[1] = xstrdup("PYTHONUNBUFFERED=1");
    env[2] = xasprintf("PYTHONPATH=%s", sdk->python);
    env[3] = xasprintf("NODE_PATH=%s", sdk->node);
    env[4] = xasprintf("NODEY_RUN=%s", run);
    return env;
}

/* What only an instance has, which speaks the protocol or is counted. */
static bool is_of_instance(const char *entry)
{
    static const char *const names[] = {
        "NODEY",          "NODEY_PROTOCOL", "NODEY_FD",   "NODEY_WORKER",
        "NODEY_INSTANCE", "NODEY_LIFE",     "NODEY_RUN",  "NODEY_MAX_LINE",
        "NODEY_DEV",      "NODEY_WATCH",    "NODEY_PIDS",
    };
    struct slice name = {entry, strcspn(entry, "=")};
    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        if (slice_is(name, names[i]))
            return true;
    return false;
}

/* As the pool would make it, which needs no more of a worker than this. */
char **environment_of(const struct sdk *sdk, const struct worker_config *w)
{
    char **env = environment_new(sdk, ""), **bare = environment_new_bare(sdk, "");
    struct pools pools = {.env = (const char *const *)env,
                          .bare_env = (const char *const *)bare};
    struct pool pool = {.pools = &pools, .config = w};
    struct worker worker = {.pool = &pool};
    char **made = environ_new(&worker);
    size_t kept = 0;
    for (char **at = made; *at; at++)
        if (is_of_instance(*at))
            xfree(*at);
        else
            made[kept++] = *at;
    made[kept] = NULL;
    environment_free(env);
    environment_free(bare);
    return made;
}

void environment_free(char **env)
{
    for (char **at = env; at && *at; at++)
        xfree(*at);
    xfree(env);
}
