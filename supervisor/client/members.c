#include "client/members.h"

bool members_read(struct slice text, struct json_value *out)
{
    struct json_scan scan;
    json_scan_init(&scan, text);
    return json_scan_value(&scan, out) && json_scan_done(&scan);
}

bool members_get(const struct json_value *object, const char *name, struct json_value *out)
{
    struct json_value key, value;
    bool found = false;
    if (object->type != JSON_OBJECT)
        return false;
    struct json_scan it = json_iter(object);
    while (json_next_member(&it, &key, &value))
        if (json_string_is(&key, name)) {
            *out = value;
            found = true;
        }
    return found;
}

char *members_text(const struct json_value *object, const char *name)
{
    struct json_value value;
    struct buf text = {0};
    if (!members_get(object, name, &value) || value.type != JSON_STRING)
        return NULL;
    json_unescape(&value, &text);
    return buf_give(&text);
}

bool members_is_true(const struct json_value *object, const char *name)
{
    struct json_value value;
    return members_get(object, name, &value) && value.type == JSON_TRUE;
}

static const char *plain_path(const struct json_value *route, const char *method,
                              struct arena *arena)
{
    char *path = members_text(route, "path"), *own = members_text(route, "method");
    const char *found = NULL;
    if (path && own && !strchr(path, ':') &&
        (strcmp(own, "*") == 0 || strcmp(own, method) == 0)) {
        size_t len = strlen(path);
        if (len >= 2 && strcmp(path + len - 2, "/*") == 0)
            len -= 2;
        found = len ? arena_strdup(arena, (struct slice){path, len}) : "/";
    }
    xfree(path);
    xfree(own);
    return found;
}

const char *members_route(const struct json_value *worker, const char *method,
                          struct arena *arena)
{
    struct json_value routes, route;
    const char *found = NULL;
    if (!members_get(worker, "routes", &routes))
        return NULL;
    struct json_scan it = json_iter(&routes);
    while (!found && json_next_item(&it, &route))
        found = plain_path(&route, method, arena);
    return found;
}
