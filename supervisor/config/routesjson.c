#include "config/routesjson.h"

#include <ctype.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>

#include "base/json.h"
#include "config/file.h"
#include "config/jsontext.h"
#include "config/language.h"
#include "config/pattern.h"
#include "config/settings.h"
#include "config/value.h"

static const char name[] = "routes.json";

enum { METHOD_MAX_LEN = 32, TOKEN_MAX_LEN = 128 };

struct reading {
    struct config *config;
    struct journal *journal;
    struct buf text;   /* with commas that are too many blanked out */
    struct buf routes; /* of struct route_config */
    size_t configured; /* the first so many are those of [[routes]] */
    size_t told;
    struct err *err;
};

/* One member of the list, its values still JSON. */
struct entry {
    const char *at;
    struct json_value path, method, target, description; /* raw.len 0: absent */
};

/* ---------------------------------------------------------------------- places */

static struct toml_place place_of(const struct reading *r, const char *at)
{
    return jsontext_place(buf_slice(&r->text), at);
}

static int PRINTF_LIKE(3, 4) fail(const struct reading *r, const char *at, const char *fmt, ...)
{
    char sentence[sizeof(r->err->text)];
    struct toml_place place = place_of(r, at);
    va_list args;
    va_start(args, fmt);
    vsnprintf(sentence, sizeof(sentence), fmt, args);
    va_end(args);
    return err_set(r->err, -EINVAL, "%s:%u:%u: %s", name, place.line, place.column, sentence);
}

/* Forgiven, but told of; not beyond what is kept, as finding a place takes its time. */
static void PRINTF_LIKE(3, 4) tell(struct reading *r, const char *at, const char *fmt, ...)
{
    char sentence[sizeof(r->err->text)];
    va_list args;
    va_start(args, fmt);
    vsnprintf(sentence, sizeof(sentence), fmt, args);
    va_end(args);
    if (r->told++ < JOURNAL_MAX_NOTES)
        journal_note(r->journal, "%s:%u: %s", name, place_of(r, at).line, sentence);
}

/* A string's text; quoted for sentences whatever else it is. */
static const char *text_of(const struct reading *r, const struct json_value *value)
{
    struct buf text = {0};
    if (value->type == JSON_STRING)
        json_unescape(value, &text);
    else
        buf_add(&text, value->raw);
    const char *kept = arena_strdup(&r->config->arena, buf_slice(&text));
    buf_deinit(&text);
    return kept;
}

static const char *quoted(const struct reading *r, const char *text)
{
    return value_quote(&r->config->arena, slice_of(text));
}

static void on_comma(void *arg, const char *comma, char bracket)
{
    tell(arg, comma, "the comma before \"%c\" is one too many: ignored", bracket);
}

/* --------------------------------------------------------------------- targets */

static struct slice name_of_target(const char *target)
{
    return (struct slice){target, strcspn(target, ":")};
}

/* Nobody has that name: "node" and "python" are known all the same. */
static int find_language(const struct reading *r, const struct json_value *value,
                         const char *target, const struct worker_config **found)
{
    struct slice wanted = name_of_target(target);
    const char *language = language_of(wanted);
    struct buf names = {0};
    int code = 0;
    *found = language ? language_worker(r->config, wanted, &names) : NULL;
    if (language && !*found && names.len)
        code = fail(r, value->raw.ptr,
                    "target %s may be any of the %s programs: write one of %s, or give one of "
                    "them that name",
                    quoted(r, target), language, buf_cstr(&names));
    else if (language && !*found)
        code = fail(r, value->raw.ptr, "target %s: no worker is a %s program",
                    quoted(r, target), language);
    buf_deinit(&names);
    return code;
}

static int fail_target(const struct reading *r, const struct json_value *value,
                       const char *target)
{
    struct nearest nearest = nearest_init(name_of_target(target));
    for (size_t i = 0; i < r->config->worker_count; i++)
        nearest_offer(&nearest, r->config->workers[i].name);
    return fail(r, value->raw.ptr, "target names no worker %s%s%s%s", quoted(r, target),
                nearest.best ? "; did you mean \"" : "", nearest.best ? nearest.best : "",
                nearest.best ? "\"?" : "");
}

/* "worker" or "worker:Token", by the worker's own name. */
static int read_target(const struct reading *r, const struct json_value *value, const char **to)
{
    const char *target = text_of(r, value);
    struct slice wanted = name_of_target(target);
    const char *token = target[wanted.len] ? target + wanted.len + 1 : NULL;
    const struct worker_config *found = NULL;
    if (token && (!*token || strlen(token) > TOKEN_MAX_LEN))
        return fail(r, value->raw.ptr,
                    "target %s: the token after \":\" must have 1 to %d bytes",
                    quoted(r, target), TOKEN_MAX_LEN);
    for (size_t i = 0; i < r->config->worker_count && !found; i++)
        if (slice_is(wanted, r->config->workers[i].name))
            found = &r->config->workers[i];
    if (!found && find_language(r, value, target, &found) < 0)
        return r->err->code;
    if (!found)
        return fail_target(r, value, target);
    char *whole = xasprintf("%s%s%s", found->name, token ? ":" : "", token ? token : "");
    *to = arena_strdup(&r->config->arena, slice_of(whole));
    xfree(whole);
    return 0;
}

/* --------------------------------------------------------------------- methods */

static bool is_method(const char *text)
{
    size_t len = 0;
    while (isalpha((unsigned char)text[len]) || (len && text[len] == '-'))
        len++;
    return len > 0 && len <= METHOD_MAX_LEN && text[len] == '\0';
}

static bool has_method(const struct string_list *methods, const char *method)
{
    for (size_t i = 0; i < methods->count; i++)
        if (strcmp(methods->items[i], method) == 0)
            return true;
    return false;
}

/* Sets *any when it stands for all of them. */
static int add_method(const struct reading *r, const struct json_value *value, bool *any,
                      struct string_list *methods)
{
    char *text = (char *)text_of(r, value);
    if (value->type != JSON_STRING)
        return fail(r, value->raw.ptr, "method must be a string or a list of them, not %s",
                    quoted(r, text));
    for (char *at = text; *at; at++)
        *at = (char)toupper((unsigned char)*at);
    *any |= strcmp(text, "ALL") == 0 || strcmp(text, "*") == 0;
    if (*any || has_method(methods, text))
        return 0;
    if (!is_method(text))
        return fail(r, value->raw.ptr, "%s is no HTTP method", quoted(r, text));
    methods->items[methods->count++] = text;
    methods->items[methods->count] = NULL;
    return 0;
}

static int read_methods(const struct reading *r, const struct json_value *value,
                        struct string_list *methods)
{
    struct arena *a = &r->config->arena;
    struct json_value item;
    bool any = false;
    *methods = string_list_none(a);
    if (!value->raw.len || value->type == JSON_NULL)
        return 0;
    /* An item and its comma are two bytes at least. */
    methods->items = arena_alloc(a, (value->raw.len / 2 + 2) * sizeof(char *));
    methods->items[0] = NULL;
    if (value->type != JSON_ARRAY && add_method(r, value, &any, methods) < 0)
        return r->err->code;
    struct json_scan items = json_iter(value);
    while (value->type == JSON_ARRAY && json_next_item(&items, &item))
        if (add_method(r, &item, &any, methods) < 0)
            return r->err->code;
    if (any)
        *methods = string_list_none(a);
    return 0;
}

/* ---------------------------------------------------------------------- routes */

static const struct route_config *route_at(const struct reading *r, size_t i)
{
    return (const struct route_config *)(const void *)r->routes.ptr + i;
}

static size_t route_count(const struct reading *r)
{
    return r->routes.len / sizeof(struct route_config);
}

static void tell_taken(struct reading *r, const struct entry *e, const char *method,
                       const struct route_config *route, size_t by)
{
    tell(r, e->at, "%s%s%s is served by %s already, %s", method, *method ? " " : "",
         quoted(r, route->path),
         quoted(r, route_at(r, by)->to ? route_at(r, by)->to : route_at(r, by)->root),
         by < r->configured ? "which [[routes]] says" : "which an earlier entry says");
}

/* Forgets the methods that another route of this path has; false: nothing is left. */
static bool leave_new(struct reading *r, const struct entry *e, struct route_config *route)
{
    bool any = route->methods.count == 0;
    for (size_t i = 0; i < route_count(r); i++) {
        const struct route_config *other = route_at(r, i);
        if (strcmp(other->path, route->path) != 0)
            continue;
        if (any && other->methods.count == 0) {
            tell_taken(r, e, "", route, i);
            return false;
        }
        size_t kept = 0;
        for (size_t j = 0; j < route->methods.count; j++) {
            const char *method = route->methods.items[j];
            if (has_method(&other->methods, method))
                tell_taken(r, e, method, route, i);
            else
                route->methods.items[kept++] = method;
        }
        route->methods.count = kept;
        route->methods.items[kept] = NULL;
    }
    return any || route->methods.count;
}

static int add_route(struct reading *r, const struct entry *e, const char *path,
                     const struct route_config *model)
{
    struct arena *a = &r->config->arena;
    struct route_config route = *model;
    size_t size = (model->methods.count + 1) * sizeof(char *);
    route.path = path;
    route.methods.items = memcpy(arena_alloc(a, size), model->methods.items, size);
    if (!leave_new(r, e, &route))
        return 0;
    if (route_count(r) == CONFIG_MAX_ROUTES)
        return fail(r, e->at, "more than %d routes", CONFIG_MAX_ROUTES);
    buf_append(&r->routes, &route, sizeof(route));
    return 0;
}

static int read_path(struct reading *r, const struct json_value *value,
                     struct patterns *patterns)
{
    const char *why, *path = text_of(r, value);
    if (!value->raw.len)
        return 0;
    if (value->type != JSON_STRING)
        return fail(r, value->raw.ptr, "path must be a string, not %s", quoted(r, path));
    if (pattern_from_express(&r->config->arena, path, patterns, &why) < 0)
        return fail(r, value->raw.ptr, "path %s: %s", quoted(r, path), why);
    if (patterns->note)
        tell(r, value->raw.ptr, "path %s: %s", quoted(r, path), patterns->note);
    return 0;
}

static int require(const struct reading *r, const struct entry *e,
                   const struct json_value *value, const char *key)
{
    if (!value->raw.len)
        return fail(r, e->at,
                    "a route needs a %s: {\"path\": \"/users\", \"method\": \"GET\", "
                    "\"target\": \"WORKER\"}",
                    key);
    if (value->type != JSON_STRING)
        return fail(r, value->raw.ptr, "%s must be a string, not %s", key,
                    quoted(r, text_of(r, value)));
    return 0;
}

static int read_route(struct reading *r, const struct entry *e)
{
    struct route_config route = {.listed = true};
    struct patterns patterns = {0};
    struct reader reader = {.arena = &r->config->arena, .dir = r->config->dir, .err = r->err};
    reader_defaults(&reader, &section_route, &route);
    if (require(r, e, &e->path, "path") < 0 || require(r, e, &e->target, "target") < 0 ||
        read_path(r, &e->path, &patterns) < 0 ||
        read_methods(r, &e->method, &route.methods) < 0 ||
        read_target(r, &e->target, &route.to) < 0)
        return r->err->code;
    if (e->description.raw.len && e->description.type == JSON_STRING)
        route.description = text_of(r, &e->description);
    for (size_t i = 0; i < patterns.count; i++)
        if (add_route(r, e, patterns.items[i], &route) < 0)
            return r->err->code;
    return 0;
}

/* ------------------------------------------------------------------------ file */

static void take_member(struct reading *r, const struct json_value *key,
                        const struct json_value *value, struct entry *e)
{
    static const struct {
        const char *key;
        size_t offset;
    } keys[] = {
        {"path", offsetof(struct entry, path)},
        {"method", offsetof(struct entry, method)},
        {"methods", offsetof(struct entry, method)},
        {"target", offsetof(struct entry, target)},
        {"description", offsetof(struct entry, description)},
    };

    for (size_t i = 0; i < ARRAY_LEN(keys); i++)
        if (json_string_is(key, keys[i].key)) {
            *(struct json_value *)((char *)e + keys[i].offset) = *value;
            return;
        }
    tell(r, key->raw.ptr, "unknown key %s: ignored", quoted(r, text_of(r, key)));
}

static int read_entry(struct reading *r, const struct json_value *value)
{
    struct entry entry = {.at = value->raw.ptr};
    struct json_value key, member;
    struct json_scan members = json_iter(value);
    if (value->type != JSON_OBJECT)
        return fail(r, value->raw.ptr, "a route must be an object, not %s",
                    quoted(r, text_of(r, value)));
    while (json_next_member(&members, &key, &member))
        take_member(r, &key, &member, &entry);
    return read_route(r, &entry);
}

/* The list itself, or an object's "routes". */
static int find_list(struct reading *r, struct json_value *list)
{
    struct json_scan scan;
    json_scan_init(&scan, buf_slice(&r->text));
    if (!json_scan_value(&scan, list))
        return fail(r, scan.ptr, "%s", scan.fault);
    if (!json_scan_done(&scan))
        return fail(r, scan.ptr, "there is more behind the end of the list");
    struct json_value key, value;
    struct json_scan members = json_iter(list);
    while (list->type == JSON_OBJECT && json_next_member(&members, &key, &value))
        if (json_string_is(&key, "routes"))
            *list = value;
    if (list->type != JSON_ARRAY)
        return fail(r, list->raw.ptr,
                    "routes must be a list: [{\"path\": \"/users\", \"method\": \"GET\", "
                    "\"target\": \"WORKER\"}]");
    return 0;
}

static int read_all(struct reading *r)
{
    static const struct slice mark = {"\xef\xbb\xbf", 3};
    struct json_value list, item;
    if (r->text.len > ROUTESJSON_MAX_FILE)
        return err_set(r->err, -EFBIG, "%s: larger than %d MiB", name,
                       ROUTESJSON_MAX_FILE >> 20);
    if (slice_starts(buf_slice(&r->text), mark))
        buf_consume(&r->text, mark.len);
    jsontext_forgive(&r->text, on_comma, r);
    if (find_list(r, &list) < 0)
        return r->err->code;
    struct json_scan items = json_iter(&list);
    while (json_next_item(&items, &item))
        if (read_entry(r, &item) < 0)
            return r->err->code;
    return 0;
}

int routesjson_load(struct config *c, struct journal *journal, struct err *err)
{
    struct reading r = {.config = c, .journal = journal, .configured = c->route_count};
    r.err = err;
    char *path = xasprintf("%s/%s", c->dir, name);
    int code = file_read(path, ROUTESJSON_MAX_FILE, true, &r.text);
    xfree(path);
    if (code < 0 && code != -ENOENT)
        err_set(err, code, "%s: %s", name,
                code == -EINVAL ? "not a regular file" : strerror(-code));
    if (code == 0) {
        buf_append(&r.routes, c->routes, c->route_count * sizeof(*c->routes));
        code = read_all(&r);
    }
    if (code == 0) {
        c->routes = arena_alloc(&c->arena, r.routes.len);
        c->route_count = route_count(&r);
        if (r.routes.len)
            memcpy(c->routes, r.routes.ptr, r.routes.len);
    }
    buf_deinit(&r.text);
    buf_deinit(&r.routes);
    return code == -ENOENT ? 0 : code;
}
