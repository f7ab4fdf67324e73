#include "command/busview.h"

#include "client/members.h"

uint64_t bus_view_number(const struct json_value *object, const char *name)
{
    struct json_value value;
    uint64_t n = 0;
    if (members_get(object, name, &value))
        IGNORE(!json_to_u64(&value, UINT64_MAX, &n)); /* then it is 0 */
    return n;
}

const char *bus_view_text(struct arena *arena, const struct json_value *object,
                          const char *name)
{
    char *text = members_text(object, name);
    const char *kept = text ? arena_strdup(arena, slice_of(text)) : "";
    xfree(text);
    return kept;
}

static double percentile(const struct json_value *group, const char *times, const char *which)
{
    struct json_value object, value;
    double ms = 0;
    if (members_get(group, times, &object) && members_get(&object, which, &value))
        IGNORE(!json_to_double(&value, &ms)); /* then it is 0 */
    return ms;
}

static size_t count_items(const struct json_value *array)
{
    struct json_scan it = json_iter(array);
    struct json_value item;
    size_t count = 0;
    while (json_next_item(&it, &item))
        count++;
    return count;
}

static const char *join(struct arena *arena, const struct json_value *object, const char *name)
{
    struct json_value list, item;
    struct buf text = {0};
    if (members_get(object, name, &list) && list.type == JSON_ARRAY) {
        struct json_scan it = json_iter(&list);
        while (json_next_item(&it, &item)) {
            buf_adds(&text, text.len ? " " : "");
            json_unescape(&item, &text);
        }
    }
    const char *kept = text.len ? arena_strdup(arena, buf_slice(&text)) : "";
    buf_deinit(&text);
    return kept;
}

static void read_group(struct bus_view *v, const struct json_value *json)
{
    struct group_view *g = &v->groups[v->group_count++];
    struct json_value queues;
    *g = (struct group_view){
        .name = bus_view_text(&v->arena, json, "name"),
        .streams = join(&v->arena, json, "streams"),
        .served = members_is_true(json, "served"),
        .lag = bus_view_number(json, "lag"),
        .oldest_ms = bus_view_number(json, "oldest_age_ms"),
        .in_flight = bus_view_number(json, "in_flight"),
        .retrying = bus_view_number(json, "retrying"),
        .handled = bus_view_number(json, "handled"),
        .dead = bus_view_number(json, "letters"),
        .wait_p50 = percentile(json, "wait_ms", "p50"),
        .wait_p99 = percentile(json, "wait_ms", "p99"),
        .run_p50 = percentile(json, "run_ms", "p50"),
        .run_p99 = percentile(json, "run_ms", "p99"),
    };
    g->is_queue = members_get(json, "queues", &queues) || strncmp(g->streams, "queue.", 6) == 0;
}

static void read_stream(struct bus_view *v, const struct json_value *json)
{
    v->streams[v->stream_count++] = (struct stream_view){
        .name = bus_view_text(&v->arena, json, "name"),
        .durability = bus_view_text(&v->arena, json, "durability"),
        .work = members_is_true(json, "work"),
        .first = bus_view_number(json, "first"),
        .last = bus_view_number(json, "last"),
        .messages = bus_view_number(json, "messages"),
        .bytes = bus_view_number(json, "bytes"),
        .max_bytes = bus_view_number(json, "max_bytes"),
        .delayed = bus_view_number(json, "delayed"),
    };
}

/* Jobs may wait in a queue that nobody has ever served. */
static void read_queue(struct bus_view *v, const struct stream_view *s)
{
    if (strncmp(s->name, "queue.", 6) != 0)
        return;
    for (size_t i = 0; i < v->group_count; i++)
        if (strcmp(v->groups[i].streams, s->name) == 0) {
            v->groups[i].delayed = s->delayed;
            return;
        }
    if (s->messages || s->delayed)
        v->groups[v->group_count++] = (struct group_view){.name = s->name + 6,
                                                          .streams = s->name,
                                                          .is_queue = true,
                                                          .is_unknown = true,
                                                          .lag = s->messages,
                                                          .delayed = s->delayed};
}

static void read_all(struct bus_view *v)
{
    struct json_value groups, streams, engine, item;
    v->open = members_is_true(&v->json, "open");
    if (members_get(&v->json, "engine", &engine))
        v->delayed = bus_view_number(&engine, "delayed");
    size_t stream_count = 0;
    if (members_get(&v->json, "streams", &streams) && streams.type == JSON_ARRAY) {
        stream_count = count_items(&streams);
        v->streams = arena_alloc(&v->arena, stream_count * sizeof(*v->streams));
        struct json_scan it = json_iter(&streams);
        while (json_next_item(&it, &item))
            read_stream(v, &item);
    }
    if (members_get(&v->json, "groups", &groups) && groups.type == JSON_ARRAY) {
        size_t most = count_items(&groups) + stream_count;
        v->groups = arena_alloc(&v->arena, most * sizeof(*v->groups));
        struct json_scan it = json_iter(&groups);
        while (json_next_item(&it, &item))
            read_group(v, &item);
        for (size_t i = 0; i < v->stream_count; i++)
            read_queue(v, &v->streams[i]);
    }
}

int bus_view_fetch(struct session *session, struct bus_view *v)
{
    *v = (struct bus_view){0};
    int rc = reach_fetch(session, "GET", "/v1/bus", 0, &v->answer, &v->json);
    if (rc)
        return rc;
    read_all(v);
    return 0;
}

void bus_view_deinit(struct bus_view *v)
{
    client_response_deinit(&v->answer);
    arena_deinit(&v->arena);
    *v = (struct bus_view){0};
}
