#include "pool/limits.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "os/cgroup.h"
#include "os/proc_file.h"

enum {
    LOOK_MS = 1000,
    LOOK_SOON_MS = 100,
    FAST_BYTES_PER_MS = 200 * 1024, /* how fast memory is thought to grow at most */
    YIELD_BY = 5,                   /* of 19: how much nicer who has a CPU limit is */
    OOM_SCORE = 200,                /* how much rather than nodey a program is killed */
    OOM_SCORE_MAX = 1000,
    DATA_FACTOR = 2,
    DATA_EXTRA = 1 << 30,
};

static const struct worker_config *config_of(const struct worker *w)
{
    return w->pool->config;
}

/* Does the kernel keep this kind of limit? */
static bool has_controller(const struct pools *pools, enum cgroup_controller which)
{
    return pools->cgroups && (pools->cgroups->controllers & which);
}

static bool kept_by_cgroup(const struct worker *w, enum cgroup_controller which)
{
    return w->cgroup && has_controller(w->pool->pools, which);
}

/* ------------------------------------------------------------------ confinement */

static struct cgroup_limits limits_of(const struct worker_config *config)
{
    return (struct cgroup_limits){
        .memory = config->memory,
        .memory_reservation = config->memory_reservation,
        .cpus = config->cpus,
        .pids = config->pids,
    };
}

static bool needs_cgroup(const struct pools *pools, const struct worker_config *config)
{
    return ((config->memory || config->memory_reservation) &&
            has_controller(pools, CGROUP_MEMORY)) ||
           (config->cpus && has_controller(pools, CGROUP_CPU)) ||
           (config->pids && has_controller(pools, CGROUP_PIDS));
}

/* Made for this life alone, so that what an earlier one left is not counted in. */
static int make_cgroup(struct worker *w, struct err *err)
{
    const struct pools *pools = w->pool->pools;
    struct cgroup_limits limits = limits_of(config_of(w));
    if (w->cgroup || !needs_cgroup(pools, config_of(w)))
        return 0;
    char *name =
        xasprintf("%s-%u-%llu", config_of(w)->name, w->instance, (unsigned long long)w->life);
    w->cgroup = cgroup_make(pools->cgroups, name, &limits, err);
    xfree(name);
    return w->cgroup ? 0 : err->code;
}

/* Python raises MemoryError when memory is refused; others end, and not by our word. */
static bool is_python(const struct worker_config *config)
{
    const char *slash = strrchr(config->command.items[0], '/');
    const char *program = slash ? slash + 1 : config->command.items[0];
    return config->app || strncmp(program, "python", 6) == 0;
}

/* A limit that counts all processes of a user means one program only if it has its own. */
static bool has_own_user(const struct pool *pool, uid_t uid)
{
    struct account other;
    struct err err;
    if (uid == 0 || uid == geteuid())
        return false;
    list_each (at, &pool->pools->list) {
        const struct pool *p = container_of(at, struct pool, node);
        if (p != pool && p->config->user &&
            account_find(&other, p->config->user, NULL, &err) == 0 && other.uid == uid)
            return false;
    }
    return true;
}

static int become(const struct worker *w, struct confine *confine, struct account *account,
                  struct err *err)
{
    const struct worker_config *config = config_of(w);
    if (!config->user && !config->group)
        return 0;
    if (account_find(account, config->user, config->group, err))
        return err->code;
    if (!account_may_become(account))
        return err_set(err, -1, "it cannot run as user \"%s\": for that nodey must run as root",
                       config->user ? config->user : account->name);
    confine->has_user = true;
    confine->uid = account->uid;
    confine->gid = account->gid;
    confine->user = account->name[0] ? account->name : NULL;
    if (config->pids && !kept_by_cgroup(w, CGROUP_PIDS) && has_own_user(w->pool, account->uid))
        confine->nproc = config->pids * MAX(w->pool->wanted, (size_t)1);
    return 0;
}

static int own_oom_score(void)
{
    char text[32];
    return proc_file_read("/proc/self/oom_score_adj", text, sizeof(text)) > 0 ? atoi(text) : 0;
}

int limits_confine(struct worker *w, struct confine *confine, struct account *storage,
                   struct err *err)
{
    const struct worker_config *config = config_of(w);
    if (make_cgroup(w, err) || become(w, confine, storage, err))
        return err->code;
    confine->cgroup = w->cgroup;
    confine->no_new_privileges = config->no_new_privileges;
    confine->nofile = config->nofile;
    confine->core = config->core;
    confine->oom_score_adj = MIN(own_oom_score() + OOM_SCORE, (int)OOM_SCORE_MAX);
    if (config->cpus && !kept_by_cgroup(w, CGROUP_CPU))
        confine->nice = YIELD_BY;
    if (config->memory && !kept_by_cgroup(w, CGROUP_MEMORY) && is_python(config))
        confine->data = config->memory * DATA_FACTOR + DATA_EXTRA;
    return 0;
}

/* --------------------------------------------------------------------- measuring */

/* The least at which something is done about it; 0: at none. */
static uint64_t least_limit(const struct worker_config *config)
{
    uint64_t hard = config->memory, soft = config->max_memory;
    return hard && soft ? MIN(hard, soft) : MAX(hard, soft);
}

/*
 * What a forked process has of its parent is in both their numbers.  Before one is ended for
 * that, what is shared counts once; as it takes time to find out, not earlier.
 */
static void count_shared_once(struct worker *w, struct usage *usage)
{
    uint64_t limit = least_limit(config_of(w)), share;
    if (limit && usage->memory > limit && usage->processes > 1 &&
        usage_tree_share(w->proc.pid, &share))
        usage->memory = MIN(usage->memory, share);
}

/* A group knows of more than its tree does: of who has left for another parent, too. */
static void count_charged(const struct worker *w, struct usage *usage)
{
    struct usage charged = {0};
    if (!cgroup_usage(w->cgroup, &charged))
        return;
    usage->cpu_us = MAX(usage->cpu_us, charged.cpu_us);
    usage->processes = MAX(usage->processes, charged.processes);
    usage->threads = MAX(usage->threads, charged.threads);
    if (kept_by_cgroup(w, CGROUP_MEMORY))
        usage->memory = charged.memory;
}

static void measure(struct worker *w)
{
    struct usage usage = {0};
    if (!worker_alive(w) || !usage_add_tree(&usage, w->proc.pid))
        return;
    if (w->cgroup)
        count_charged(w, &usage);
    if (!kept_by_cgroup(w, CGROUP_MEMORY))
        count_shared_once(w, &usage);
    w->usage = usage;
    w->usage_ms = loop_now(w->pool->pools->loop);
}

static void on_each(struct worker *w, uint64_t arg)
{
    (void)arg;
    measure(w);
}

void limits_measure(struct pool *pool)
{
    pool_each_worker(pool, on_each, 0);
}

/* ---------------------------------------------------------------------- watching */

static void on_look(struct timer *timer);

/* What nodey itself has to see to. */
static uint64_t watched_memory(const struct worker *w)
{
    return kept_by_cgroup(w, CGROUP_MEMORY) ? 0 : config_of(w)->memory;
}

static uint64_t watched_pids(const struct worker *w)
{
    return kept_by_cgroup(w, CGROUP_PIDS) ? 0 : config_of(w)->pids;
}

static bool is_watched(const struct worker *w)
{
    return watched_memory(w) || watched_pids(w) || config_of(w)->max_memory;
}

/* "512M", "1.5G": as a person would have written it. */
static const char *size_text(uint64_t bytes, char text[24])
{
    enum { MIB = 1 << 20, GIB = 1 << 30 };

    if (bytes >= GIB)
        snprintf(text, 24, "%.1fG", (double)bytes / GIB);
    else
        snprintf(text, 24, "%.0fM", (double)bytes / MIB);
    return text;
}

/* True: it has been killed. */
static bool keep_hard_limits(struct worker *w)
{
    char used[24], most[24];
    uint64_t memory = watched_memory(w), pids = watched_pids(w);
    if (memory && w->usage.memory > memory) {
        snprintf(w->cause, sizeof(w->cause), "it used %s, above its memory limit of %s",
                 size_text(w->usage.memory, used), size_text(memory, most));
        w->end = END_MEMORY;
    } else if (pids && w->usage.threads > pids) {
        snprintf(w->cause, sizeof(w->cause),
                 "it had %llu processes and threads, above its pids limit of %llu",
                 (unsigned long long)w->usage.threads, (unsigned long long)pids);
        w->end = END_PIDS;
    } else {
        return false;
    }
    worker_kill(w, w->cause);
    return true;
}

/* Only one that serves, and that no other is to follow already. */
static void keep_soft_limit(struct worker *w)
{
    char used[24], most[24], why[160];
    const struct pool *pool = w->pool;
    uint64_t soft = pool->config->max_memory;
    bool serves =
        w->state == WORKER_READY || w->state == WORKER_BUSY || w->state == WORKER_UNHEALTHY;
    const struct instance *place = &pool->instances[w->instance];
    if (!soft || w->usage.memory <= soft || !serves || pool->pools->stopping ||
        place->current != w || place->next)
        return;
    snprintf(why, sizeof(why), "it uses %s, above its max_memory of %s",
             size_text(w->usage.memory, used), size_text(soft, most));
    pool_tell(pool, w, LOG_WARN, "%s: replaced as soon as another is ready and it is done",
              why);
    pool_replace_later(w, why);
}

/* The nearer the limit, the sooner. */
static uint64_t pause_of(const struct worker *w)
{
    uint64_t memory = watched_memory(w);
    if (!memory)
        return LOOK_MS;
    uint64_t left = memory - MIN(w->usage.memory, memory);
    return MIN(MAX(left / FAST_BYTES_PER_MS, (uint64_t)LOOK_SOON_MS), (uint64_t)LOOK_MS);
}

static void on_look(struct timer *timer)
{
    struct worker *w = container_of(timer, struct worker, watch);
    if (!worker_alive(w) || !is_watched(w))
        return;
    measure(w);
    if (keep_hard_limits(w))
        return;
    timer_start(w->pool->pools->loop, timer, pause_of(w), on_look);
    keep_soft_limit(w);
}

void limits_begin(struct worker *w)
{
    if (is_watched(w))
        timer_start(w->pool->pools->loop, &w->watch, LOOK_SOON_MS, on_look);
}

static void ask_the_kernel(struct worker *w)
{
    char most[24];
    bool killed = w->proc.exit.signal == SIGKILL && w->end == END_PLANNED;
    if ((w->end != END_ITSELF && !killed) || !cgroup_oom_kills(w->cgroup))
        return;
    w->end = END_MEMORY;
    snprintf(w->cause, sizeof(w->cause), "it needed more than its memory limit of %s",
             size_text(config_of(w)->memory, most));
}

/* One that has a successor ends without a word; but this is not what it was to end of. */
static void tell_of_replaced(const struct worker *w)
{
    const struct instance *place = &w->pool->instances[w->instance];
    if (w->state == WORKER_DRAINING || place->current != w || place->next)
        pool_tell(w->pool, w, LOG_WARN, "killed before it was done: %s", w->cause);
}

void limits_end(struct worker *w)
{
    timer_stop(w->pool->pools->loop, &w->watch);
    if (w->cgroup)
        ask_the_kernel(w);
    if (w->end == END_MEMORY || w->end == END_PIDS)
        tell_of_replaced(w);
    if (!w->cgroup)
        return;
    cgroup_kill(w->cgroup);
    cgroup_remove(w->pool->pools->cgroups, w->cgroup);
    w->cgroup = NULL;
}

static void apply(struct worker *w, uint64_t arg)
{
    (void)arg;
    struct err err;
    struct cgroup_limits limits = limits_of(config_of(w));
    if (w->cgroup) {
        const char *name = strrchr(w->cgroup, '/') + 1;
        char *folder = cgroup_make(w->pool->pools->cgroups, name, &limits, &err);
        if (!folder)
            pool_tell(w->pool, w, LOG_WARN, "its new limits cannot be set: %s", err.text);
        xfree(folder);
    }
    if (worker_alive(w))
        limits_begin(w);
}

void limits_apply(struct pool *pool)
{
    pool_each_worker(pool, apply, 0);
}

/* ------------------------------------------------------------------- in one sentence */

struct wishes {
    bool memory, reservation, cpus, pids;
};

static struct wishes wishes_of(const struct pools *pools)
{
    struct wishes all = {0};
    list_each (at, &pools->list) {
        const struct worker_config *config = container_of(at, struct pool, node)->config;
        all.memory |= config->memory != 0;
        all.reservation |= config->memory_reservation != 0;
        all.cpus |= config->cpus != 0;
        all.pids |= config->pids != 0;
    }
    return all;
}

static void name_kept(struct buf *out, const struct pools *pools, const struct wishes *want)
{
    const char *names[4];
    size_t count = 0;
    if (want->memory && has_controller(pools, CGROUP_MEMORY))
        names[count++] = "memory";
    if (want->reservation && has_controller(pools, CGROUP_MEMORY))
        names[count++] = "memory_reservation";
    if (want->cpus && has_controller(pools, CGROUP_CPU))
        names[count++] = "cpus";
    if (want->pids && has_controller(pools, CGROUP_PIDS))
        names[count++] = "pids";
    for (size_t i = 0; i < count; i++)
        buf_addf(out, "%s%s", i == 0 ? "" : i + 1 < count ? ", " : " and ", names[i]);
    if (count)
        buf_adds(out, " by cgroup");
}

bool limits_describe(const struct pools *pools, struct buf *out)
{
    struct wishes want = wishes_of(pools);

    const struct {
        bool weaker;
        const char *how;
    } others[] = {
        {want.memory && !has_controller(pools, CGROUP_MEMORY), "memory by watching"},
        {want.pids && !has_controller(pools, CGROUP_PIDS), "pids by watching"},
        {want.cpus && !has_controller(pools, CGROUP_CPU), "cpus by priority only"},
        {want.reservation && !has_controller(pools, CGROUP_MEMORY),
         "memory_reservation not at all"},
    };

    if (!want.memory && !want.reservation && !want.cpus && !want.pids)
        return true;
    buf_adds(out, "limits: ");
    size_t begin = out->len;
    bool weaker = false;
    name_kept(out, pools, &want);
    for (size_t i = 0; i < ARRAY_LEN(others); i++) {
        if (others[i].weaker)
            buf_addf(out, "%s%s", out->len > begin ? "; " : "", others[i].how);
        weaker |= others[i].weaker;
    }
    if (weaker)
        buf_addf(out, " (%s)",
                 pools->cgroups && pools->cgroups->why_not[0] ? pools->cgroups->why_not
                                                              : "no such cgroup controller");
    return !weaker;
}
