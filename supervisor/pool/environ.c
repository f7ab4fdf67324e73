#include "pool/environ.h"

#include "base/account.h"
#include "pool/pool.h"

struct environ {
    char **items;
    size_t count;
    size_t cap;
};

static bool same_name(const char *a, const char *b)
{
    size_t len = strcspn(a, "=");
    return strncmp(a, b, len) == 0 && b[len] == '=';
}

/* Takes the string. */
static void put(struct environ *env, char *entry)
{
    for (size_t i = 0; i < env->count; i++)
        if (same_name(env->items[i], entry)) {
            xfree(env->items[i]);
            env->items[i] = entry;
            return;
        }
    if (env->count + 1 >= env->cap) {
        env->cap = env->cap ? env->cap * 2 : 64;
        env->items = xrealloc(env->items, env->cap * sizeof(*env->items));
    }
    env->items[env->count++] = entry;
    env->items[env->count] = NULL;
}

static const char *value_of(const struct environ *env, const char *entry)
{
    for (size_t i = 0; i < env->count; i++)
        if (same_name(env->items[i], entry))
            return strchr(env->items[i], '=') + 1;
    return NULL;
}

/* What is configured; where the SDKs are found stays in front of where else to look. */
static void put_configured(struct environ *env, const char *entry)
{
    const char *sdk = value_of(env, entry), *value = strchr(entry, '=') + 1;
    bool is_path = same_name("PYTHONPATH", entry) || same_name("NODE_PATH", entry);
    if (is_path && sdk && strcmp(sdk, value) != 0)
        put(env, xasprintf("%.*s=%s:%s", (int)(value - entry) - 1, entry, sdk, value));
    else
        put(env, xstrdup(entry));
}

/* What a login would have set: else it would look for its files in nodey's home. */
static void put_user(struct environ *env, const struct worker_config *config)
{
    struct account account;
    struct err err;
    if (!config->user || account_find(&account, config->user, config->group, &err))
        return; /* it cannot start at all then, and is told why */
    put(env, xasprintf("HOME=%s", account.home));
    put(env, xasprintf("USER=%s", account.name[0] ? account.name : config->user));
    put(env, xasprintf("LOGNAME=%s", account.name[0] ? account.name : config->user));
}

/* Nothing here makes a program believe that it is to speak the protocol. */
static void put_service(struct environ *env, const struct worker *w)
{
    put(env, xasprintf("NODEY_SERVICE=%s", w->pool->config->name));
    if (w->port)
        put(env, xasprintf("PORT=%llu", (unsigned long long)w->port));
}

static void put_protocol(struct environ *env, const struct worker *w)
{
    const struct worker_config *config = w->pool->config;
    put(env, xstrdup("NODEY=1"));
    put(env, xstrdup("NODEY_PROTOCOL=1"));
    put(env, xstrdup("NODEY_FD=3"));
    put(env, xasprintf("NODEY_WORKER=%s", config->name));
    put(env, xasprintf("NODEY_MAX_LINE=%llu", (unsigned long long)config->max_line));
    if (w->pool->pools->dev)
        put(env, xstrdup("NODEY_DEV=1"));
    if (w->pool->pools->watching)
        put(env, xstrdup("NODEY_WATCH=1"));
}

char **environ_new(const struct worker *w)
{
    const struct pools *pools = w->pool->pools;
    const struct worker_config *config = w->pool->config;
    struct environ env = {0};
    for (const char *const *at = config->env_clear ? pools->bare_env : pools->env; *at; at++)
        put(&env, xstrdup(*at));
    put_user(&env, config);
    for (size_t i = 0; i < config->env.count; i++)
        put_configured(&env, config->env.items[i]);
    put(&env, xasprintf("NODEY_INSTANCE=%u", w->instance));
    put(&env, xasprintf("NODEY_LIFE=%llu", (unsigned long long)w->life));
    if (config->is_service)
        put_service(&env, w);
    else
        put_protocol(&env, w);
    return env.items;
}

void environ_free(char **env)
{
    for (char **at = env; *at; at++)
        xfree(*at);
    xfree(env);
}
