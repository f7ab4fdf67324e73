#include "config/depends.h"

#include "base/buf.h"
#include "config/value.h"

enum visit { NOT_SEEN, ON_THE_WAY, SEEN };

/* A walk along the dependencies: each program is entered once. */
struct walk {
    const struct config *config;
    const struct depends_origin *origins;
    char *visits; /* enum visit of each */
    size_t *path; /* who is on the way */
    size_t depth;
};

/* Of the n-th dependency: a key of a table, an item of a list, or the only word. */
static struct toml_place place_of(const struct toml_node *value, size_t n)
{
    if (value->type == TOML_STRING)
        return value->at;
    const struct toml_node *item = value->items.first;
    while (n--)
        item = item->next;
    return value->type == TOML_TABLE ? item->key_at : item->at;
}

static size_t find(const struct config *c, const char *name)
{
    size_t i = 0;
    while (i < c->worker_count && strcmp(c->workers[i].name, name) != 0)
        i++;
    return i;
}

static int fail_unknown(const struct config *c, const struct depends_origin *o,
                        const struct dependency *d, struct toml_place at)
{
    struct nearest nearest = nearest_init(slice_of(d->name));
    for (size_t i = 0; i < c->worker_count; i++)
        nearest_offer(&nearest, c->workers[i].name);
    return reader_fail(o->reader, at,
                       "depends_on %s: there is no worker or service of that "
                       "name%s%s%s",
                       value_quote(o->reader->arena, slice_of(d->name)),
                       nearest.best ? "; did you mean \"" : "",
                       nearest.best ? nearest.best : "", nearest.best ? "\"?" : "");
}

static bool never_completes(const struct worker_config *w)
{
    return w->restart.when == RESTART_ALWAYS || w->restart.when == RESTART_UNLESS_STOPPED;
}

/* Of a worker its own word tells, of a service its check. */
static bool never_proves(const struct worker_config *w)
{
    return w->is_service && !worker_config_is_checked(w);
}

static int check_one(const struct config *c, const struct depends_origin *o, size_t owner,
                     size_t n)
{
    const struct dependency *d = &c->workers[owner].depends_on.items[n];
    struct toml_place at = place_of(o->value, n);
    size_t on = find(c, d->name);
    if (on == c->worker_count)
        return fail_unknown(c, o, d, at);
    if (on == owner)
        return reader_fail(o->reader, at, "%s cannot wait for itself", d->name);
    if (d->condition == DEPENDENCY_COMPLETED && never_completes(&c->workers[on]))
        return reader_fail(o->reader, at,
                           "%s never completes: it is started again whenever it ends; give it "
                           "restart = \"no\" or \"on-failure\"",
                           d->name);
    if (d->condition == DEPENDENCY_HEALTHY && never_proves(&c->workers[on]))
        return reader_fail(o->reader, at,
                           "nothing tells whether %s is healthy: give it a healthcheck or a "
                           "port, or write service_started here",
                           d->name);
    return 0;
}

static int fail_circle(const struct walk *walk, size_t last, size_t n)
{
    struct buf text = {0};
    const struct worker_config *all = walk->config->workers;
    const struct depends_origin *o = &walk->origins[last];
    const char *name = all[last].depends_on.items[n].name;
    size_t from = 0;
    while (strcmp(all[walk->path[from]].name, name) != 0)
        from++;
    for (size_t i = from; i < walk->depth; i++)
        buf_addf(&text, "%s -> ", all[walk->path[i]].name);
    int code = reader_fail(o->reader, place_of(o->value, n),
                           "these wait for each other, and none would ever start: %s%s",
                           buf_cstr(&text), name);
    buf_deinit(&text);
    return code;
}

static int enter(struct walk *walk, size_t i)
{
    const struct dependency_list *all = &walk->config->workers[i].depends_on;
    int code = 0;
    walk->visits[i] = ON_THE_WAY;
    walk->path[walk->depth++] = i;
    for (size_t n = 0; n < all->count && code == 0; n++) {
        size_t on = find(walk->config, all->items[n].name);
        if (walk->visits[on] == ON_THE_WAY)
            code = fail_circle(walk, i, n);
        else if (walk->visits[on] == NOT_SEEN)
            code = enter(walk, on);
    }
    walk->depth--;
    walk->visits[i] = SEEN;
    return code;
}

static int check_circles(const struct config *c, const struct depends_origin *origins)
{
    int code = 0;
    struct walk walk = {.config = c,
                        .origins = origins,
                        .visits = xcalloc(c->worker_count + 1, sizeof(*walk.visits)),
                        .path = xcalloc(c->worker_count + 1, sizeof(*walk.path))};
    for (size_t i = 0; i < c->worker_count && code == 0; i++)
        if (walk.visits[i] == NOT_SEEN)
            code = enter(&walk, i);
    xfree(walk.visits);
    xfree(walk.path);
    return code;
}

int depends_check(const struct config *c, const struct depends_origin *origins)
{
    for (size_t i = 0; i < c->worker_count; i++)
        for (size_t n = 0; n < c->workers[i].depends_on.count; n++)
            if (check_one(c, &origins[i], i, n) < 0)
                return origins[i].reader->err->code;
    return check_circles(c, origins);
}
