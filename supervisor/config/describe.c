#include "base/buf.h"
#include "config/config.h"
#include "config/settings.h"
#include "config/value.h"

static const struct section *const sections[] = {
    &section_server, &section_worker, &section_service, &section_healthcheck, &section_route,
    &section_bus,    &section_stream, &section_queue,   &section_schedule};

/* How the sections are called in "server.listen". */
static const char *const section_names[] = {"server",      "workers", "services",
                                            "healthcheck", "routes",  "bus",
                                            "streams",     "queues",  "schedule"};

/* What stands at the top of a file and is no setting of a section. */
static const struct top {
    const char *key, *help, *example;
} tops[] = {
    {"include",
     "further files, by name or by pattern: their [defaults], [workers.NAME] and [[routes]] "
     "join.  Paths in them, and their .env, are relative to their own folders",
     "include = [\"*/nodey.toml\", \"more.toml\"]"},
    {"defaults",
     "what every worker of the file has before its own section: any key of [workers.NAME] "
     "but script, app and command.  [defaults.env] is joined with the worker's env",
     "[defaults]\ninstances = 2\nenv = { LEVEL = \"high\" }"},
};

static const char *type_name(const struct setting *s)
{
    static const char *const names[] = {
        [SETTING_BOOL] = "bool",         [SETTING_INT] = "integer",
        [SETTING_DURATION] = "duration", [SETTING_DURATION_US] = "duration",
        [SETTING_SIZE] = "size",         [SETTING_CHOICE] = "choice",
        [SETTING_STRING] = "string",     [SETTING_PATH] = "path",
        [SETTING_LIST] = "list",         [SETTING_ENV] = "table",
        [SETTING_COMMAND] = "command",   [SETTING_SCALE] = "integer",
        [SETTING_PORT] = "port",         [SETTING_CPUS] = "number",
        [SETTING_RESTART] = "choice",    [SETTING_SIGNAL] = "signal",
        [SETTING_DEPENDS] = "table",     [SETTING_TEST] = "command",
        [SETTING_TABLE] = "table",
    };
    return names[s->type];
}

/* -------------------------------------------------------------- a line for each */

static void describe_row(struct buf *out, const struct setting *s, int key, int fallback)
{
    buf_addf(out, "  %-*s  %-8s  %-*s  %s", key, s->key, type_name(s), fallback, s->fallback,
             s->help);
    for (size_t i = 0; s->choices && s->choices[i]; i++)
        buf_addf(out, "%s\"%s\"", i ? ", " : ": ", s->choices[i]);
    buf_adds(out, s->fixed ? " (a change needs a restart)\n" : "\n");
}

static void describe_section(struct buf *out, const struct section *section)
{
    size_t key = 0, fallback = 0;
    for (size_t i = 0; i < ARRAY_LEN(sections); i++) {
        for (size_t j = 0; j < sections[i]->count; j++) {
            key = MAX(key, strlen(sections[i]->rows[j].key));
            fallback = MAX(fallback, strlen(sections[i]->rows[j].fallback));
        }
    }
    buf_addf(out, "%s\n", section->title);
    for (size_t j = 0; j < section->count; j++)
        describe_row(out, &section->rows[j], (int)key, (int)fallback);
}

void config_describe(struct buf *out)
{
    buf_adds(out, "At the top of a file\n  include = [\"FILE\", ...]  further files\n"
                  "  [defaults]                what every worker has before its own section\n");
    for (size_t i = 0; i < ARRAY_LEN(sections); i++) {
        buf_addc(out, '\n');
        describe_section(out, sections[i]);
    }
    buf_adds(out, "\n`nodey help config KEY` says more about one: \"instances\", "
                  "\"server.listen\", \"include\".\n");
}

/* --------------------------------------------------------------- all about one */

static void add_number(struct buf *out, const struct setting *s, uint64_t n)
{
    if (s->type == SETTING_INT || s->type == SETTING_SCALE)
        buf_addu(out, n);
    else if (s->type == SETTING_SIZE)
        value_add_size(out, n);
    else
        value_add_duration(out, s->type == SETTING_DURATION ? n * 1000 : n);
}

/* "1 to 1024", "1ms to 1d", "\"off\" or \"on\"", or what a value of this type looks like. */
static void add_allowed(struct buf *out, const struct setting *s)
{
    switch (s->type) {
    case SETTING_INT:
    case SETTING_SIZE:
    case SETTING_DURATION:
    case SETTING_DURATION_US:
        add_number(out, s, s->min);
        buf_adds(out, " to ");
        add_number(out, s, s->max);
        break;
    case SETTING_CHOICE:
        for (size_t i = 0; s->choices[i]; i++)
            buf_addf(out, "%s\"%s\"", i ? ", " : "", s->choices[i]);
        break;
    case SETTING_BOOL:
        buf_adds(out, "true, false");
        break;
    case SETTING_STRING:
        buf_adds(out, "text");
        break;
    case SETTING_PATH:
        buf_adds(out, "relative to the file's folder");
        break;
    case SETTING_LIST:
        buf_adds(out, s->paths ? "a path, or a list of them" : "a string, or a list of them");
        break;
    case SETTING_ENV:
        buf_adds(out, "names with strings, numbers, true or false");
        break;
    case SETTING_COMMAND:
        buf_adds(out, "a string, or a list of words");
        break;
    case SETTING_SCALE:
        add_number(out, s, s->min);
        buf_adds(out, " to ");
        add_number(out, s, s->max);
        buf_adds(out, ", or { min, max }");
        break;
    case SETTING_PORT:
        buf_adds(out, "1 to 65535, or \"auto\"");
        break;
    case SETTING_CPUS:
        buf_adds(out, "a number, such as 0.5");
        break;
    case SETTING_RESTART:
        buf_adds(out,
                 "\"always\", \"no\", \"on-failure\", \"on-failure:N\", \"unless-stopped\"");
        break;
    case SETTING_SIGNAL:
        buf_adds(out, "a name, such as \"SIGINT\"");
        break;
    case SETTING_DEPENDS:
        buf_adds(out, "a list of names, or names with conditions");
        break;
    case SETTING_TEST:
        buf_adds(out, "a line for a shell, or a list of words");
        break;
    case SETTING_TABLE:
        for (size_t i = 0; i < s->inner->count; i++)
            buf_addf(out, "%s%s", i ? ", " : "", s->inner->rows[i].key);
        break;
    }
}

static const char *change_of(const struct setting *s)
{
    if (s->fixed)
        return "needs a restart of nodey";
    return s->renews ? "is applied by a reload, which replaces the instances one by one"
                     : "is applied by a reload";
}

static void describe_whole(struct buf *out, const struct section *section,
                           const struct setting *s)
{
    buf_addf(out, "%s%s %s\n\n  %s\n\n", out->len ? "\n" : "", section->title, s->key, s->help);
    buf_addf(out, "  type     %s: ", type_name(s));
    add_allowed(out, s);
    buf_addf(out, "\n  default  %s\n  example  %s\n  change   %s\n", s->fallback, s->example,
             change_of(s));
}

static bool describe_top(struct buf *out, struct slice key)
{
    for (size_t i = 0; i < ARRAY_LEN(tops); i++) {
        if (!slice_is(key, tops[i].key))
            continue;
        buf_addf(out, "%s\n\n  %s\n\n", tops[i].key, tops[i].help);
        for (const char *at = tops[i].example; *at; at += strcspn(at, "\n") + 1) {
            buf_addf(out, "  %.*s\n", (int)strcspn(at, "\n"), at);
            if (!at[strcspn(at, "\n")])
                break;
        }
        return true;
    }
    return false;
}

/* "[workers.fib] instances", "workers.fib.instances" and "workers.instances" are one. */
struct asked {
    struct slice section; /* empty: any */
    struct slice key;     /* empty: the section itself */
};

static size_t word_length(struct slice text)
{
    size_t len = 0;
    while (len < text.len && !strchr("[]. ", text.ptr[len]))
        len++;
    return len;
}

static struct asked split_key(const char *text)
{
    struct asked asked = {.key = {0}};
    struct slice rest = slice_of(text), word;
    size_t words = 0;
    while (rest.len) {
        word = (struct slice){rest.ptr, word_length(rest)};
        if (word.len && words++ == 0)
            asked.section = word;
        else if (word.len)
            asked.key = word;
        rest = slice_from(rest, MIN(word.len + 1, rest.len));
    }
    if (words == 1) {
        asked.key = asked.section;
        asked.section.len = 0;
    }
    return asked;
}

static bool is_section(struct slice name, size_t i)
{
    return slice_is(name, section_names[i]) ||
           (slice_is(name, "defaults") && sections[i] == &section_worker);
}

static bool describe_found(struct buf *out, const struct asked *asked)
{
    size_t before = out->len;
    for (size_t i = 0; i < ARRAY_LEN(sections); i++) {
        if (asked->section.len && !is_section(asked->section, i))
            continue;
        for (size_t j = 0; j < sections[i]->count; j++)
            if (slice_is(asked->key, sections[i]->rows[j].key))
                describe_whole(out, sections[i], &sections[i]->rows[j]);
    }
    for (size_t i = 0; i < ARRAY_LEN(sections) && !asked->section.len; i++)
        if (slice_is(asked->key, section_names[i]))
            describe_section(out, sections[i]);
    return out->len > before;
}

/* Of the keys that are not among those shown already, the nearest and its section. */
static const char *next_nearest(struct slice key, const char *const *shown, size_t count,
                                size_t *section)
{
    struct nearest nearest = nearest_init(key);
    for (size_t i = 0; i < ARRAY_LEN(sections); i++) {
        for (size_t j = 0; j < sections[i]->count; j++) {
            const char *candidate = sections[i]->rows[j].key, *before = nearest.best;
            size_t k = 0;
            while (k < count && strcmp(shown[k], candidate) != 0)
                k++;
            if (k == count)
                nearest_offer(&nearest, candidate);
            if (nearest.best != before)
                *section = i;
        }
    }
    return nearest.best;
}

static void add_nearest(struct buf *out, struct slice key)
{
    const char *shown[3], *best;
    size_t count = 0, section = 0;
    while (count < ARRAY_LEN(shown) && (best = next_nearest(key, shown, count, &section))) {
        buf_addf(out, "%s%s.%s", count ? ", " : "; did you mean ", section_names[section],
                 best);
        shown[count++] = best;
    }
    buf_adds(out, count ? "?" : "; see nodey help config");
}

/* What other programs call it is as good a question. */
static bool describe_habit(struct buf *out, const struct asked *asked)
{
    for (size_t i = 0; i < ARRAY_LEN(sections); i++) {
        const struct setting *meant = section_habit(sections[i], asked->key);
        if (!meant || (asked->section.len && !is_section(asked->section, i)))
            continue;
        buf_addf(out, "%.*s is called %s here:\n", SLICE_ARG(asked->key), meant->key);
        describe_whole(out, sections[i], meant);
        return true;
    }
    return false;
}

bool config_describe_key(struct buf *out, const char *key)
{
    struct asked asked = split_key(key);
    if (!asked.section.len && describe_top(out, asked.key))
        return true;
    if (asked.key.len && (describe_found(out, &asked) || describe_habit(out, &asked)))
        return true;
    buf_addf(out, "there is no setting called %.*s", (int)MIN(asked.key.len, (size_t)60),
             asked.key.len ? asked.key.ptr : "");
    add_nearest(out, asked.key);
    buf_addc(out, '\n');
    return false;
}

/* -------------------------------------------------------------------- Markdown */

/* A cell of a table, where a bar would end it. */
static void add_cell(struct buf *out, const char *text)
{
    for (; *text; text++) {
        if (*text == '|')
            buf_addc(out, '\\');
        buf_addc(out, *text);
    }
}

static void add_markdown_row(struct buf *out, const struct setting *s)
{
    bool spoken = s->fallback[0] == '(';
    buf_addf(out, "| `%s` | %s: ", s->key, type_name(s));
    add_allowed(out, s);
    buf_addf(out, " | %s%s%s | ", spoken ? "" : "`", s->fallback, spoken ? "" : "`");
    add_cell(out, s->help);
    buf_addf(out, "%s | `", s->fixed ? " (a change needs a restart)" : "");
    add_cell(out, s->example);
    buf_adds(out, "` |\n");
}

void config_describe_markdown(struct buf *out)
{
    buf_adds(out, "At the top of the file, before any section:\n\n");
    for (size_t i = 0; i < ARRAY_LEN(tops); i++) {
        const char *bracket = strchr(tops[i].example, '[') == tops[i].example ? "[" : "";
        buf_addf(out, "- `%s%s%s`: %s\n", bracket, tops[i].key, *bracket ? "]" : "",
                 tops[i].help);
    }
    for (size_t i = 0; i < ARRAY_LEN(sections); i++) {
        buf_addf(out,
                 "\n### `%s`\n\n| setting | type | default | what it is | example |\n"
                 "|---|---|---|---|---|\n",
                 sections[i]->title);
        for (size_t j = 0; j < sections[i]->count; j++)
            add_markdown_row(out, &sections[i]->rows[j]);
    }
}

/* --------------------------------------------------------------------- summary */

/* Relative to the configuration's folder, where it lies in it. */
static const char *shorten(const struct config *c, const char *path)
{
    size_t len = strlen(c->dir);
    return strncmp(path, c->dir, len) == 0 && path[len] == '/' ? path + len + 1 : path;
}

static void add_source(struct buf *out, const struct config *c, const struct worker_config *w)
{
    if (w->app)
        buf_addf(out, "app %s", w->app);
    else if (w->script)
        buf_adds(out, shorten(c, w->script));
    for (size_t i = 0; !w->app && !w->script && i < w->command.count; i++)
        buf_addf(out, "%s%s", i ? " " : "", w->command.items[i]);
}

static void add_path(struct buf *out, const struct route_config *route)
{
    for (size_t i = 0; i < route->methods.count; i++)
        buf_addf(out, "%s%s", i ? "," : "", route->methods.items[i]);
    buf_addf(out, "%s%s", route->methods.count ? " " : "", route->path);
}

static void add_routes(struct buf *out, const struct config *c, const struct worker_config *w)
{
    for (size_t i = 0; i < c->route_count; i++) {
        const struct route_config *route = &c->routes[i];
        struct slice worker = route_config_worker(route);
        if (!slice_is(worker, w->name))
            continue;
        buf_adds(out, "  route ");
        add_path(out, route);
        if (worker.ptr[worker.len])
            buf_addf(out, " -> %s", worker.ptr + worker.len + 1);
        buf_addc(out, '\n');
    }
}

static void add_roots(struct buf *out, const struct config *c)
{
    for (size_t i = 0; i < c->route_count; i++) {
        const struct route_config *route = &c->routes[i];
        if (!route->root)
            continue;
        buf_addf(out, "files %s: route ", shorten(c, route->root));
        add_path(out, route);
        buf_adds(out, route->spa ? ", spa\n" : "\n");
    }
}

static void add_addresses(struct buf *out, const struct config *c)
{
    for (size_t i = 0; i < c->route_count; i++) {
        const struct route_config *route = &c->routes[i];
        for (size_t j = 0; j < route->urls.count; j++)
            buf_addf(out, "%s%s", j ? ", " : "address ", route->urls.items[j]);
        if (!route->urls.count)
            continue;
        buf_adds(out, ": route ");
        add_path(out, route);
        buf_addc(out, '\n');
    }
}

static void add_patterns(struct buf *out, const char *lead, const struct string_list *patterns)
{
    for (size_t i = 0; i < patterns->count; i++)
        buf_addf(out, "%s%s", i ? ", " : lead, patterns->items[i]);
}

/* What is said about events and jobs. */
static void add_events(struct buf *out, const struct config *c)
{
    for (size_t i = 0; i < c->route_count; i++) {
        const struct route_config *route = &c->routes[i];
        if (!route->publish.count && !route->events.count)
            continue;
        add_patterns(out, "publishes ", &route->publish);
        add_patterns(out, "events ", &route->events);
        buf_adds(out, ": route ");
        add_path(out, route);
        buf_addc(out, '\n');
    }
    for (size_t i = 0; i < c->stream_count; i++) {
        buf_addf(out, "stream %s: ", c->streams[i].name);
        add_patterns(out, "", &c->streams[i].topics);
        buf_addc(out, '\n');
    }
    for (size_t i = 0; i < c->queue_count; i++)
        buf_addf(out, "queue %s\n", c->queues[i].name);
    for (size_t i = 0; i < c->schedule_count; i++) {
        const struct schedule_config *s = &c->schedules[i];
        buf_addf(out, "schedule %s: ", s->name);
        if (s->cron)
            buf_adds(out, s->cron);
        else
            value_add_duration(out, s->every * 1000);
        buf_addf(out, " -> %s %s\n", s->topic ? "publish" : "enqueue",
                 s->topic ? s->topic : s->queue);
    }
}

void config_summary(const struct config *c, struct buf *out)
{
    for (size_t i = 0; i < c->notes.count; i++)
        buf_addf(out, "note: %s\n", c->notes.items[i]);
    for (size_t i = 0; i < c->worker_count; i++) {
        const struct worker_config *w = &c->workers[i];
        buf_addf(out, "%s %s: ", w->is_service ? "service" : "worker", w->name);
        add_source(out, c, w);
        buf_addf(out, ", %llu instance%s\n", (unsigned long long)w->instances,
                 w->instances == 1 ? "" : "s");
        add_routes(out, c, w);
    }
    add_roots(out, c);
    add_addresses(out, c);
    add_events(out, c);
}
