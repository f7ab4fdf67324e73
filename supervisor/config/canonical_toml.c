/*
 * The tree of canonical.h as TOML.
 */
#include <string.h>

#include "config/canonical.h"

/* A dollar sign would begin a variable. */
static void add_string(struct buf *out, const char *text)
{
    buf_addc(out, '"');
    for (; *text; text++) {
        unsigned char c = (unsigned char)*text;
        if (c == '"' || c == '\\')
            buf_addf(out, "\\%c", c);
        else if (c == '\n' || c == '\t' || c == '\r')
            buf_addf(out, "\\%c", c == '\n' ? 'n' : c == '\t' ? 't' : 'r');
        else if (c < 0x20 || c == 0x7f)
            buf_addf(out, "\\u%04X", c);
        else
            buf_adds(out, c == '$' ? "$$" : (const char[]){*text, '\0'});
    }
    buf_addc(out, '"');
}

static void add_key(struct buf *out, const char *key)
{
    static const char bare[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                               "0123456789_-";
    if (*key && key[strspn(key, bare)] == '\0')
        buf_adds(out, key);
    else
        buf_addf(out, "\"%s\"", key); /* names of programs and variables: nothing to escape */
}

static void add_value(struct buf *out, const json_t *value)
{
    const char *key, *between = "";
    json_t *item;
    size_t i;
    switch (json_typeof(value)) {
    case JSON_STRING:
        add_string(out, json_string_value(value));
        break;
    case JSON_INTEGER:
        buf_addf(out, "%lld", (long long)json_integer_value(value));
        break;
    case JSON_REAL:
        buf_addf(out, "%.6g", json_real_value(value));
        break;
    case JSON_ARRAY:
        buf_addc(out, '[');
        json_array_foreach(value, i, item)
        {
            buf_adds(out, i ? ", " : "");
            add_value(out, item);
        }
        buf_addc(out, ']');
        break;
    case JSON_OBJECT:
        buf_addc(out, '{');
        json_object_foreach((json_t *)value, key, item)
        {
            buf_addf(out, "%s ", between);
            between = ",";
            add_key(out, key);
            buf_adds(out, " = ");
            add_value(out, item);
        }
        buf_adds(out, " }");
        break;
    default:
        buf_adds(out, json_is_true(value) ? "true" : "false");
    }
}

/* `env` is long: it gets a header of its own, behind everything else. */
static void add_table(struct buf *out, const char *title, const json_t *table)
{
    const char *key;
    json_t *value;
    buf_addf(out, "%s%s\n", out->len ? "\n" : "", title);
    json_object_foreach((json_t *)table, key, value)
    {
        if (strcmp(key, "env") == 0)
            continue;
        add_key(out, key);
        buf_adds(out, " = ");
        add_value(out, value);
        buf_addc(out, '\n');
    }
}

static void add_programs(struct buf *out, const char *kind, const json_t *programs)
{
    const char *name;
    json_t *program;
    json_object_foreach((json_t *)programs, name, program)
    {
        struct buf title = {0}, inner = {0};
        buf_addf(&inner, "%s.", kind);
        add_key(&inner, name);
        buf_addf(&title, "[%s]", buf_cstr(&inner));
        add_table(out, buf_cstr(&title), program);
        buf_clear(&title);
        buf_addf(&title, "[%s.env]", buf_cstr(&inner));
        if (json_object_get(program, "env"))
            add_table(out, buf_cstr(&title), json_object_get(program, "env"));
        buf_deinit(&inner);
        buf_deinit(&title);
    }
}

/* One that the routes.json beside it brings along again. */
static void add_listed(struct buf *out, const json_t *route)
{
    const json_t *methods = json_object_get(route, "methods");
    json_t *method;
    size_t i;
    buf_adds(out, "\n# of routes.json: ");
    json_array_foreach(methods, i, method)
        buf_addf(out, "%s%s", i ? "," : "", json_string_value(method));
    buf_addf(out, "%s%s -> %s\n", json_array_size(methods) ? " " : "",
             json_string_value(json_object_get(route, "path")),
             json_string_value(json_object_get(route, "to")));
}

void config_canonical_toml(const json_t *tree, struct buf *out)
{
    json_t *route;
    size_t i;
    if (json_object_get(tree, "server")) /* what was chosen of it may have none */
        add_table(out, "[server]", json_object_get(tree, "server"));
    add_programs(out, "workers", json_object_get(tree, "workers"));
    add_programs(out, "services", json_object_get(tree, "services"));
    if (json_object_get(tree, "bus"))
        add_table(out, "[bus]", json_object_get(tree, "bus"));
    add_programs(out, "streams", json_object_get(tree, "streams"));
    add_programs(out, "queues", json_object_get(tree, "queues"));
    add_programs(out, "schedule", json_object_get(tree, "schedule"));
    json_array_foreach(json_object_get(tree, "routes"), i,
                       route) if (json_is_true(json_object_get(route, "listed")))
        add_listed(out, route);
    else add_table(out, "[[routes]]", route);
}
