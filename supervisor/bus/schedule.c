#include "bus/schedule.h"

#include <stdio.h>

#include "base/json.h"
#include "bus/bus_parts.h"
#include "bus/topic.h"

enum {
    LOOK_MS = 30000,        /* at least as often as this: clocks are set */
    AGAIN_MS = 1000,        /* it was not stored: once more */
    BACK_MAX_MS = 90000000, /* a clock that went back by more than 25 h was wrong before */
    MARK_MAX = 1024,
};

/* One [schedule.NAME]. */
struct plan {
    struct list node;
    struct schedules *all;
    const struct schedule_config *config; /* of the bus's configuration */
    struct zone *zone;
    struct schedule_time time;
    char spec[320];  /* with another one it starts anew */
    int64_t last_ms; /* the time that it ran for; 0 = not read yet */
    int64_t next_ms;
    int64_t running_ms; /* the time that it is being published for; 0 = none */
    uint64_t mark;      /* seq of the message that says when it last ran */
    uint64_t again_ms;  /* not before: by the monotonic clock */
    bool reading, gone;
    char error[200];
    struct op_read read;
    struct publication publication;
    char name[];
};

struct schedules {
    struct bus *bus;
    struct list plans;
    struct timer timer;
    bool stopped;
};

/* --------------------------------------------------------------------- pure */

/* Of cron's moments the latest that has come; few of them lie in between, or the last is near.
 */
static int64_t due_by_cron(const struct schedule_time *t, int64_t last_ms, int64_t now_ms,
                           int64_t *next_ms)
{
    int64_t due = 0, at = cron_next(&t->cron, t->zone, last_ms);
    for (int64_t step = 366LL * 86400000; at <= now_ms; step /= 4) {
        /* The last one in a long time is looked for in ever shorter spans before now. */
        int64_t from = now_ms - step > at ? now_ms - step : at;
        int64_t near = from > at ? cron_next(&t->cron, t->zone, from) : at;
        if (near <= now_ms)
            at = near;
        if (step < 60000)
            break;
    }
    for (; at <= now_ms; at = cron_next(&t->cron, t->zone, at))
        due = at;
    *next_ms = at;
    return due;
}

static int64_t due_by_interval(const struct schedule_time *t, int64_t last_ms, int64_t now_ms,
                               int64_t *next_ms)
{
    int64_t every = (int64_t)t->every_ms;
    int64_t passed = now_ms > last_ms ? (now_ms - last_ms) / every : 0;
    *next_ms = last_ms + (passed + 1) * every;
    return passed ? last_ms + passed * every : 0;
}

int64_t schedule_due(const struct schedule_time *t, int64_t last_ms, int64_t now_ms,
                     int64_t *next_ms)
{
    return t->by_cron ? due_by_cron(t, last_ms, now_ms, next_ms)
                      : due_by_interval(t, last_ms, now_ms, next_ms);
}

/* ------------------------------------------------------------------- config */

static int read_time(const struct schedule_config *cfg, struct schedule_time *t,
                     struct zone **zone, struct err *err)
{
    *t = (struct schedule_time){.by_cron = cfg->cron != NULL, .every_ms = cfg->every};
    *zone = NULL;
    if ((cfg->cron != NULL) == (cfg->every != 0))
        return err_set(err, -1, "it needs either cron or every");
    if (!cfg->cron)
        return 0;
    if (cron_parse(cfg->cron, &t->cron, err) < 0)
        return -1;
    *zone = zone_open(cfg->timezone ? cfg->timezone : "local", NULL, err);
    t->zone = *zone;
    if (!*zone)
        return -1;
    if (cron_next(&t->cron, *zone, bus_wall_ms()) != INT64_MAX)
        return 0;
    zone_free(*zone);
    *zone = NULL;
    return err_set(err, -1, "\"%s\" never comes", cfg->cron);
}

int schedule_check(const struct schedule_config *cfg, struct err *err)
{
    struct schedule_time t;
    struct zone *zone;
    const char *name = cfg->topic ? cfg->topic : cfg->queue;
    if (!cfg->topic == !cfg->queue)
        return err_set(err, -1, "it needs either publish or enqueue");
    const char *why = topic_check(slice_of(name));
    if (why)
        return err_set(err, -1, "\"%s\": %s", name, why);
    if (read_time(cfg, &t, &zone, err) < 0)
        return -1;
    zone_free(zone);
    return 0;
}

/* -------------------------------------------------------------------- marks */

static struct message *compose(struct plan *p, int64_t at_ms)
{
    char msgid[MESSAGE_ID_MAX + 1];
    struct err err;
    const struct schedule_config *cfg = p->config;
    int len = snprintf(msgid, sizeof(msgid), "schedule/%s/%lld", p->name, (long long)at_ms);
    struct publish_request r = {
        .topic = slice_of(cfg->topic),
        .queue = cfg->topic ? (struct slice){0} : slice_of(cfg->queue),
        .key = slice_of(cfg->key),
        .msgid = {msgid, (size_t)MIN(len, MESSAGE_ID_MAX)},
        .origin = SLICE("schedule"),
        .data = cfg->data ? slice_of(cfg->data) : SLICE("{}"),
    };
    struct message *m = bus_compose(p->all->bus, &r, &err);
    if (!m && !p->error[0])
        bus_tell(p->all->bus, LOG_ERROR, "schedule \"%s\" cannot publish: %s", p->name,
                 err.text);
    if (!m)
        snprintf(p->error, sizeof(p->error), "%.199s", err.text);
    return m;
}

/* Says that it ran for that time. */
static struct message *mark_of(struct plan *p, int64_t at_ms)
{
    struct buf data = {0};
    buf_addf(&data, "{\"at\":%lld,\"spec\":", (long long)at_ms);
    json_write(&data, slice_of(p->spec));
    buf_adds(&data, ",\"name\":");
    json_write(&data, slice_of(p->name));
    buf_addc(&data, '}');
    struct message *m = message_new(&(struct message_parts){
        .stream = stream_of_times(p->all->bus)->name,
        .topic = slice_of(p->name),
        .origin = SLICE("schedule"),
        .data = buf_slice(&data),
    });
    buf_deinit(&data);
    return m;
}

static void wake(struct schedules *all);

static void plan_free(struct plan *p)
{
    list_del(&p->node);
    zone_free(p->zone);
    xfree(p);
}

static void on_published(struct publication *pub, enum publish_fault fault, const char *why)
{
    struct plan *p = container_of(pub, struct plan, publication);
    struct bus *bus = p->all->bus;
    int64_t ran_ms = p->running_ms;
    p->running_ms = 0;
    bus->jobs--;
    if (fault == PUBLISH_OK) {
        p->last_ms = ran_ms;
        p->mark = pub->messages[pub->count - 1]->seq;
        p->error[0] = '\0';
    } else {
        if (!p->error[0])
            bus_tell(bus, LOG_ERROR, "schedule \"%s\" cannot publish: %s", p->name, why);
        snprintf(p->error, sizeof(p->error), "%.199s", why);
        p->again_ms = bus_clock_ms() + AGAIN_MS;
    }
    if (p->gone)
        plan_free(p);
    else
        wake(p->all);
    bus_close_when_idle(bus);
}

/* In one transaction: what is to be published, and that it was. */
static void publish(struct plan *p, int64_t at_ms, bool only_mark)
{
    struct message *messages[2];
    size_t count = 0;
    if (!only_mark) {
        messages[count] = compose(p, at_ms);
        if (!messages[count]) {
            p->again_ms = bus_clock_ms() + LOOK_MS;
            return;
        }
        count++;
    }
    messages[count++] = mark_of(p, at_ms);
    p->running_ms = at_ms;
    p->all->bus->jobs++;
    p->publication.done = on_published;
    bus_replace(p->all->bus, &p->publication, messages, count, p->mark);
}

/* ------------------------------------------------------------------- begin */

/* The time that it last ran for, if it was by the same rule. */
static bool read_mark(const struct plan *p, const struct message *m, int64_t *at_ms)
{
    struct json_value object = {.type = JSON_OBJECT, .raw = m->data}, key, value;
    struct json_scan it = json_iter(&object);
    uint64_t at = 0;
    bool same = false;
    struct buf spec = {0};
    while (json_next_member(&it, &key, &value)) {
        if (json_string_is(&key, "at"))
            IGNORE(json_to_u64(&value, INT64_MAX, &at)); /* 0 when it is none */
        if (json_string_is(&key, "spec") && value.type == JSON_STRING) {
            buf_clear(&spec);
            json_unescape(&value, &spec);
            same = slice_is(buf_slice(&spec), p->spec);
        }
    }
    buf_deinit(&spec);
    *at_ms = (int64_t)at;
    return same && at && !it.fault;
}

static void on_read(struct op *op)
{
    struct plan *p = container_of(op, struct plan, read.op);
    struct bus *bus = p->all->bus;
    int64_t last_ms = 0;
    p->reading = false;
    bus->jobs--;
    if (p->read.count) {
        p->mark = p->read.messages[0]->seq;
        if (read_mark(p, p->read.messages[0], &last_ms))
            p->last_ms = last_ms;
    }
    for (size_t i = 0; i < p->read.count; i++)
        message_release(p->read.messages[i]);
    xfree(p->read.messages);
    p->read.messages = NULL;
    bool retry = op->status == ENGINE_BROKEN;
    if (retry)
        p->again_ms = bus_clock_ms() + AGAIN_MS;
    if (p->gone) {
        plan_free(p);
    } else {
        /* New: what is due from now on will be made up for, too, should we be down then. */
        if (!p->last_ms && !retry && !bus->closing)
            publish(p, bus_wall_ms(), true);
        wake(p->all);
    }
    bus_close_when_idle(bus);
}

static void read_last(struct plan *p)
{
    p->reading = true;
    p->all->bus->jobs++;
    p->read = (struct op_read){
        .op = {.kind = OP_READ, .done = on_read},
        .stream = stream_of_times(p->all->bus)->name,
        .pattern = slice_of(p->name),
        .from = {.kind = START_NEW},
        .limit = 1,
        .backwards = true,
    };
    engine_submit(p->all->bus->engine, &p->read.op);
}

/* --------------------------------------------------------------------- time */

static void run_plan(struct plan *p, int64_t now_ms)
{
    if (p->reading || p->running_ms || bus_clock_ms() < p->again_ms)
        return;
    if (!p->last_ms) {
        read_last(p);
        return;
    }
    if (p->last_ms > now_ms + BACK_MAX_MS) {
        bus_tell(p->all->bus, LOG_WARN,
                 "schedule \"%s\" last ran for a time in the future: the clock was set back, "
                 "and it counts from now on",
                 p->name);
        p->last_ms = now_ms;
    }
    int64_t due = schedule_due(&p->time, p->last_ms, now_ms, &p->next_ms);
    if (due)
        publish(p, due, false);
}

static bool is_valid(const struct plan *p)
{
    return p->time.by_cron || p->time.every_ms;
}

static void on_timer(struct timer *t)
{
    struct schedules *all = container_of(t, struct schedules, timer);
    int64_t now_ms = bus_wall_ms(), first = now_ms + LOOK_MS;
    if (all->stopped)
        return;
    list_each (at, &all->plans) {
        struct plan *p = container_of(at, struct plan, node);
        if (p->gone || !is_valid(p))
            continue;
        run_plan(p, now_ms);
        if (p->again_ms > bus_clock_ms())
            first = MIN(first, now_ms + AGAIN_MS);
        if (p->next_ms && !p->running_ms && !p->reading)
            first = MIN(first, p->next_ms);
    }
    if (!list_empty(&all->plans))
        timer_start(all->bus->loop, &all->timer, (uint64_t)MAX(first - now_ms, (int64_t)1),
                    on_timer);
}

static void wake(struct schedules *all)
{
    if (!all->stopped)
        timer_start(all->bus->loop, &all->timer, 0, on_timer);
}

/* ---------------------------------------------------------------- configure */

static void write_spec(const struct schedule_config *cfg, char *out, size_t size)
{
    if (cfg->cron)
        snprintf(out, size, "%s %s", cfg->cron, cfg->timezone ? cfg->timezone : "local");
    else
        snprintf(out, size, "every %llu ms", (unsigned long long)cfg->every);
}

static struct plan *plan_new(struct schedules *all, const struct schedule_config *cfg)
{
    struct err err;
    size_t len = strlen(cfg->name);
    struct plan *p = xcalloc(1, sizeof(*p) + len + 1);
    memcpy(p->name, cfg->name, len);
    p->all = all;
    p->config = cfg;
    write_spec(cfg, p->spec, sizeof(p->spec));
    list_add(&all->plans, &p->node);
    if (schedule_check(cfg, &err) < 0 || read_time(cfg, &p->time, &p->zone, &err) < 0) {
        snprintf(p->error, sizeof(p->error), "%.199s", err.text);
        p->time = (struct schedule_time){0};
        bus_tell(all->bus, LOG_ERROR, "schedule \"%s\" does not run: %s", p->name, err.text);
    }
    return p;
}

static const struct schedule_config *still_there(const struct bus *bus, const struct plan *p)
{
    char spec[sizeof(p->spec)];
    for (size_t i = 0; i < bus->config->schedule_count; i++) {
        const struct schedule_config *cfg = &bus->config->schedules[i];
        write_spec(cfg, spec, sizeof(spec));
        if (!strcmp(cfg->name, p->name))
            return strcmp(spec, p->spec) ? NULL : cfg;
    }
    return NULL;
}

static bool is_known(const struct schedules *all, const struct schedule_config *cfg)
{
    list_each (at, &all->plans) {
        const struct plan *p = container_of(at, struct plan, node);
        if (!p->gone && p->config == cfg)
            return true;
    }
    return false;
}

void schedules_configure(struct schedules *all)
{
    const struct bus *bus = all->bus;
    list_each_safe (at, &all->plans) {
        struct plan *p = container_of(at, struct plan, node);
        const struct schedule_config *cfg = p->gone ? NULL : still_there(bus, p);
        if (cfg) {
            p->config = cfg;
            continue;
        }
        p->gone = true;
        if (!p->reading && !p->running_ms)
            plan_free(p);
    }
    for (size_t i = 0; i < bus->config->schedule_count; i++)
        if (!is_known(all, &bus->config->schedules[i]))
            plan_new(all, &bus->config->schedules[i]);
    if (!list_empty(&all->plans))
        wake(all);
}

struct schedules *schedules_new(struct bus *bus)
{
    struct schedules *all = xcalloc(1, sizeof(*all));
    all->bus = bus;
    list_init(&all->plans);
    schedules_configure(all);
    return all;
}

void schedules_stop(struct schedules *all)
{
    all->stopped = true;
    timer_stop(all->bus->loop, &all->timer);
}

void schedules_free(struct schedules *all)
{
    if (!all)
        return;
    while (!list_empty(&all->plans))
        plan_free(list_first(&all->plans, struct plan, node));
    xfree(all);
}

void schedules_describe(const struct schedules *all, struct buf *out)
{
    buf_addc(out, '[');
    list_each (at, &all->plans) {
        const struct plan *p = container_of(at, struct plan, node);
        if (p->gone)
            continue;
        buf_adds(out, out->ptr[out->len - 1] == '[' ? "{\"name\":" : ",{\"name\":");
        json_write(out, slice_of(p->name));
        buf_adds(out, ",\"when\":");
        json_write(out, slice_of(p->spec));
        buf_adds(out, p->config->topic ? ",\"publish\":" : ",\"enqueue\":");
        json_write(out, slice_of(p->config->topic ? p->config->topic : p->config->queue));
        buf_addf(out, ",\"last\":%lld,\"next\":%lld,\"error\":", (long long)p->last_ms,
                 (long long)p->next_ms);
        json_write(out, slice_of(p->error));
        buf_addc(out, '}');
    }
    buf_addc(out, ']');
}
