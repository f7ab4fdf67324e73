#include "app/control_about.h"

#include <string.h>

#include "base/secret.h"
#include "pool/limits.h"

static void write_text(struct buf *out, const char *name, const char *text)
{
    buf_addf(out, ",\"%s\":", name);
    if (text)
        json_write(out, slice_of(text));
    else
        buf_adds(out, "null");
}

static void write_number(struct buf *out, const char *name, uint64_t n)
{
    buf_addf(out, ",\"%s\":%llu", name, (unsigned long long)n);
}

/* A list of words, each as `show` lets it be seen. */
static void write_words(struct buf *out, const char *name, const struct string_list *list,
                        void (*show)(struct buf *, const char *, const char *const *patterns),
                        const char *const *patterns)
{
    buf_addf(out, "\"%s\":[", name);
    for (size_t i = 0; i < list->count; i++) {
        struct buf shown = {0};
        show(&shown, list->items[i], patterns);
        buf_adds(out, i ? "," : "");
        json_write(out, buf_slice(&shown));
        buf_deinit(&shown);
    }
    buf_addc(out, ']');
}

static void show_word(struct buf *out, const char *word, const char *const *patterns)
{
    secret_show_word(out, slice_of(word), patterns);
}

static void show_plain(struct buf *out, const char *word, const char *const *patterns)
{
    (void)patterns;
    buf_adds(out, word);
}

static const char *const restart_words[] = {[RESTART_ALWAYS] = "always",
                                            [RESTART_NO] = "no",
                                            [RESTART_ON_FAILURE] = "on-failure",
                                            [RESTART_UNLESS_STOPPED] = "unless-stopped"};

static void write_restart(struct buf *out, const struct restart_config *restart)
{
    buf_addf(out, ",\"restart\":\"%s", restart_words[restart->when]);
    if (restart->most)
        buf_addf(out, ":%u", restart->most);
    buf_addc(out, '"');
}

static void write_dependencies(struct buf *out, const struct dependency_list *list)
{
    static const char *const conditions[] = {[DEPENDENCY_HEALTHY] = "service_healthy",
                                             [DEPENDENCY_STARTED] = "service_started",
                                             [DEPENDENCY_COMPLETED] =
                                                 "service_completed_successfully"};
    buf_adds(out, ",\"depends_on\":[");
    for (size_t i = 0; i < list->count; i++) {
        buf_adds(out, i ? ",{\"name\":" : "{\"name\":");
        json_write(out, slice_of(list->items[i].name));
        buf_addf(out, ",\"condition\":\"%s\",\"required\":%s}",
                 conditions[list->items[i].condition],
                 list->items[i].required ? "true" : "false");
    }
    buf_addc(out, ']');
}

/* How it is found out whether it is well, in words. */
static void write_health(struct buf *out, const struct worker_config *config)
{
    const struct healthcheck_config *check = &config->healthcheck;
    struct buf words = {0};
    if (!config->is_service)
        buf_addf(&words, config->ping_interval ? "pings each %llu ms" : "no pings",
                 (unsigned long long)config->ping_interval);
    else if (check->disabled)
        buf_adds(&words, "none");
    else if (check->test.count)
        for (size_t i = 0; i < check->test.count; i++)
            buf_addf(&words, "%s%s", i ? " " : "runs ", check->test.items[i]);
    else if (check->path)
        buf_addf(&words, "GET %s", check->path);
    else if (check->tcp)
        buf_addf(&words, "%s accepts a connection", check->tcp);
    else
        buf_adds(&words, config->port ? "its port accepts a connection" : "none");
    buf_adds(out, ",\"health\":{\"check\":");
    json_write(out, buf_slice(&words));
    if (config->is_service) {
        write_number(out, "interval_ms", check->interval);
        write_number(out, "timeout_ms", check->timeout);
        write_number(out, "retries", check->retries);
        write_number(out, "start_period_ms", check->start_period);
    }
    buf_addc(out, '}');
    buf_deinit(&words);
}

/* Who sees to the limits: the kernel by a cgroup, or nodey by looking. */
static bool has_cgroup(const struct pool *pool)
{
    for (int state = WORKER_STARTING; state < WORKER_STOPPED; state++)
        list_each (at, &pool->states[state])
            if (container_of(at, struct worker, node)->cgroup)
                return true;
    return false;
}

static void write_limits(struct buf *out, const struct pool *pool)
{
    const struct worker_config *config = pool->config;
    struct buf sentence = {0};
    buf_addf(out, ",\"limits\":{\"kept_by\":\"%s\"", has_cgroup(pool) ? "cgroup" : "watching");
    limits_describe(pool->pools, &sentence);
    if (sentence.len) {
        buf_adds(out, ",\"in_force\":");
        json_write(out, buf_slice(&sentence));
    }
    buf_deinit(&sentence);
    write_number(out, "memory", config->memory);
    write_number(out, "max_memory", config->max_memory);
    write_number(out, "memory_reservation", config->memory_reservation);
    write_number(out, "milli_cpus", config->cpus);
    write_number(out, "pids", config->pids);
    write_number(out, "nofile", config->nofile);
    buf_addc(out, '}');
}

void control_write_about(const struct control_host *host, const struct pool *pool,
                         struct buf *out)
{
    const struct worker_config *config = pool->config;
    const struct config *whole = host->gateway->routes->config;
    const char *const *patterns = (const char *const *)whole->server.secrets.items;
    buf_adds(out, ",\"about\":{");
    write_words(out, "command", &config->command, show_word, patterns);
    buf_addc(out, ',');
    write_words(out, "env", &config->env, secret_show, patterns);
    buf_addc(out, ',');
    write_words(out, "env_file", &config->env_file, show_plain, NULL);
    buf_addc(out, ',');
    write_words(out, "profiles", &config->profiles, show_plain, NULL);
    write_text(out, "cwd", config->cwd);
    write_text(out, "script", config->script);
    write_text(out, "user", config->user);
    write_text(out, "group", config->group);
    write_text(out, "stop_signal", sigabbrev_np(config->stop_signal));
    write_number(out, "stop_grace_period_ms", config->stop_grace_period);
    write_number(out, "timeout_ms", config->timeout);
    write_restart(out, &config->restart);
    write_dependencies(out, &config->depends_on);
    write_health(out, config);
    write_limits(out, pool);
    buf_addc(out, '}');
}
