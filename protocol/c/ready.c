#include "protocol/c/ready.h"

#include <ctype.h>

#include "base/topic.h"

enum { TOKEN_MAX = 128, CONCURRENCY_MAX = 100000, PREFETCH_MAX = 1024, SHOWN_BYTES = 60 };

enum {
    GROUP_MAX = 128,
    UNSETTLED_MAX = 100000,
    ATTEMPTS_MAX = 1000,
    BACKOFFS_MAX = 64,
    SUBSCRIPTIONS_MAX = 1000,
};

enum { WINDOW_MIN = 1 << 10, WINDOW_MAX = 1 << 26, WINDOW_USUAL = 1 << 18 };

static const uint64_t TIMEOUT_MAX = (UINT64_C(1) << 53) - 1;

static const struct {
    const char *name;
    enum ready_feature feature;
} feature_names[] = {
    {"stream", FEATURE_STREAM}, {"cancel", FEATURE_CANCEL},
    {"ask", FEATURE_ASK},       {"nested", FEATURE_NESTED},
    {"events", FEATURE_EVENTS}, {"ping", FEATURE_PING},
    {"ws", FEATURE_WS},         {"upgrade", FEATURE_UPGRADE},
    {"drain", FEATURE_DRAIN},   {"sendfile", FEATURE_SENDFILE},
};

/* A text without escapes, kept in the arena. */
static struct slice keep_text(struct arena *arena, const struct json_value *string)
{
    if (!string->escaped)
        return arena_copy(arena, json_inner(string));
    struct buf text = {0};
    json_unescape(string, &text);
    struct slice kept = arena_copy(arena, buf_slice(&text));
    buf_deinit(&text);
    return kept;
}

static void change_case(struct slice text, int (*to)(int))
{
    char *p = (char *)text.ptr; /* from keep_text(): ours to write to */
    for (size_t i = 0; i < text.len; i++)
        p[i] = (char)to((unsigned char)p[i]);
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

/* An array of strings of 1 to `max` bytes each. */
static bool read_strings(struct arena *arena, const struct json_value *v, size_t max,
                         struct slice **texts, size_t *text_count)
{
    if (v->type != JSON_ARRAY)
        return false;
    struct slice *list = arena_alloc(arena, count_items(v) * sizeof(*list));
    size_t count = 0;
    struct json_scan it = json_iter(v);
    struct json_value item;
    while (json_next_item(&it, &item)) {
        if (item.type != JSON_STRING)
            return false;
        list[count] = keep_text(arena, &item);
        if (list[count].len == 0 || list[count].len > max)
            return false;
        count++;
    }
    *texts = list;
    *text_count = count;
    return true;
}

static bool read_protocol(struct ready *r, const struct json_value *v)
{
    return json_to_u64(v, 1, &r->protocol) && r->protocol == 1;
}

static bool read_concurrency(struct ready *r, const struct json_value *v)
{
    return json_to_u64(v, CONCURRENCY_MAX, &r->concurrency) && r->concurrency > 0;
}

static bool read_prefetch(struct ready *r, const struct json_value *v)
{
    return json_to_u64(v, PREFETCH_MAX, &r->prefetch);
}

static bool read_window(struct ready *r, const struct json_value *v)
{
    return json_to_u64(v, WINDOW_MAX, &r->window) && r->window >= WINDOW_MIN;
}

static bool read_features(struct ready *r, const struct json_value *v)
{
    if (v->type != JSON_ARRAY)
        return false;
    r->features = 0;
    struct json_scan it = json_iter(v);
    struct json_value name;
    while (json_next_item(&it, &name)) {
        if (name.type != JSON_STRING)
            return false;
        for (size_t i = 0; i < ARRAY_LEN(feature_names); i++) {
            if (json_string_is(&name, feature_names[i].name))
                r->features |= feature_names[i].feature;
        }
    }
    return true;
}

static bool read_headers(struct ready *r, const struct json_value *v)
{
    r->header_count = 0;
    if (json_string_is(v, "all")) {
        r->headers = READY_HEADERS_ALL;
        return true;
    }
    if (json_string_is(v, "none")) {
        r->headers = READY_HEADERS_NONE;
        return true;
    }
    r->headers = READY_HEADERS_LIST;
    if (!read_strings(&r->arena, v, v->raw.len, &r->header_names, &r->header_count))
        return false;
    for (size_t i = 0; i < r->header_count; i++)
        change_case(r->header_names[i], tolower);
    return true;
}

static bool read_body(struct ready *r, const struct json_value *v)
{
    r->json_body = json_string_is(v, "json");
    return r->json_body || json_string_is(v, "text");
}

static bool read_tokens(struct ready *r, const struct json_value *v)
{
    return read_strings(&r->arena, v, TOKEN_MAX, &r->tokens, &r->token_count);
}

static bool read_files(struct ready *r, const struct json_value *v)
{
    return read_strings(&r->arena, v, v->raw.len, &r->files, &r->file_count);
}

static bool read_sdk(struct ready *r, const struct json_value *v)
{
    if (v->type != JSON_STRING)
        return false;
    r->sdk = keep_text(&r->arena, v);
    return true;
}

static bool read_route_path(struct ready *r, struct ready_route *route,
                            const struct json_value *v)
{
    if (v->type != JSON_STRING)
        return false;
    route->path = keep_text(&r->arena, v);
    return slice_starts(route->path, SLICE("/"));
}

static bool read_route_method(struct ready *r, struct ready_route *route,
                              const struct json_value *v)
{
    if (v->type != JSON_STRING)
        return false;
    route->method = keep_text(&r->arena, v);
    change_case(route->method, toupper);
    return route->method.len > 0;
}

static bool read_route_timeout(struct ready *r, struct ready_route *route,
                               const struct json_value *v)
{
    (void)r;
    return json_to_u64(v, TIMEOUT_MAX, &route->timeout_ms);
}

static const char path_rule[] = "a text that begins with /";

static const struct {
    const char *name;
    const char *label;
    bool (*read)(struct ready *, struct ready_route *, const struct json_value *);
    const char *rule;
} route_members[] = {
    {"path", "a route's path", read_route_path, path_rule},
    {"method", "a route's method", read_route_method, "a method's name, or left out for any"},
    {"timeout", "a route's timeout", read_route_timeout, "whole milliseconds"},
};

/* One sentence: which member, what it was (cut short), what it must be. */
static bool unusable(struct err *err, const char *member, const struct json_value *v,
                     const char *rule)
{
    size_t len = MIN(v->raw.len, (size_t)SHOWN_BYTES);
    while (len < v->raw.len && ((unsigned char)v->raw.ptr[len] & 0xC0) == 0x80)
        len--; /* never half a character */
    err_set(err, -1, "ready: %s is %.*s%s; it must be %s", member, (int)len, v->raw.ptr,
            len < v->raw.len ? "..." : "", rule);
    return false;
}

static bool read_route(struct ready *r, const struct json_value *v, struct ready_route *route,
                       struct err *err)
{
    struct json_scan it = json_iter(v);
    struct json_value key, value;
    while (json_next_member(&it, &key, &value)) {
        for (size_t i = 0; i < ARRAY_LEN(route_members); i++) {
            if (json_string_is(&key, route_members[i].name) &&
                !route_members[i].read(r, route, &value))
                return unusable(err, route_members[i].label, &value, route_members[i].rule);
        }
    }
    if (route->path.len == 0) {
        const struct json_value missing = {.raw = SLICE("missing")};
        return unusable(err, "a route's path", &missing, path_rule);
    }
    return true;
}

static bool read_routes(struct ready *r, const struct json_value *v, struct err *err)
{
    static const char rule[] = "an array of objects";
    if (v->type != JSON_ARRAY)
        return unusable(err, "routes", v, rule);
    r->routes = arena_alloc(&r->arena, count_items(v) * sizeof(*r->routes));
    r->route_count = 0;
    r->says_routes = true;
    struct json_scan it = json_iter(v);
    struct json_value item;
    while (json_next_item(&it, &item)) {
        struct ready_route *route = &r->routes[r->route_count++];
        *route = (struct ready_route){0};
        if (item.type != JSON_OBJECT)
            return unusable(err, "routes", v, rule);
        if (!read_route(r, &item, route, err))
            return false;
    }
    return true;
}

/* ------------------------------------------------------------- subscriptions */

static bool read_text(struct ready *r, const struct json_value *v, size_t max,
                      struct slice *text)
{
    if (v->type != JSON_STRING)
        return false;
    *text = keep_text(&r->arena, v);
    return text->len > 0 && text->len <= max;
}

static bool read_topic(struct ready *r, struct ready_subscription *s,
                       const struct json_value *v)
{
    return read_text(r, v, TOPIC_MAX, &s->topic) && !topic_pattern_check(s->topic);
}

static bool read_queue(struct ready *r, struct ready_subscription *s,
                       const struct json_value *v)
{
    return read_text(r, v, TOPIC_MAX, &s->topic) && !topic_check(s->topic);
}

static bool read_group(struct ready *r, struct ready_subscription *s,
                       const struct json_value *v)
{
    return read_text(r, v, GROUP_MAX, &s->group);
}

static bool read_from(struct ready *r, struct ready_subscription *s, const struct json_value *v)
{
    (void)r;
    return frame_read_start(v, &s->from);
}

static bool read_each(struct ready *r, struct ready_subscription *s, const struct json_value *v)
{
    (void)r;
    s->each = v->type == JSON_TRUE;
    return v->type == JSON_TRUE || v->type == JSON_FALSE;
}

static bool read_max(struct ready *r, struct ready_subscription *s, const struct json_value *v)
{
    (void)r;
    return json_to_u64(v, UNSETTLED_MAX, &s->max) && s->max > 0;
}

static bool read_attempts(struct ready *r, struct ready_subscription *s,
                          const struct json_value *v)
{
    (void)r;
    return json_to_u64(v, ATTEMPTS_MAX, &s->attempts) && s->attempts > 0;
}

static bool read_backoff(struct ready *r, struct ready_subscription *s,
                         const struct json_value *v)
{
    size_t count = v->type == JSON_ARRAY ? count_items(v) : 0;
    if (count == 0 || count > BACKOFFS_MAX)
        return false;
    s->backoff = arena_alloc(&r->arena, count * sizeof(*s->backoff));
    s->backoff_count = 0;
    struct json_scan it = json_iter(v);
    struct json_value item;
    while (json_next_item(&it, &item))
        if (!json_to_u64(&item, TIMEOUT_MAX, &s->backoff[s->backoff_count++]))
            return false;
    return true;
}

static bool read_handling_timeout(struct ready *r, struct ready_subscription *s,
                                  const struct json_value *v)
{
    (void)r;
    s->has_timeout = true;
    return json_to_u64(v, TIMEOUT_MAX, &s->timeout_ms);
}

enum { OF_EVENTS = 1, OF_JOBS = 2 };

static const struct {
    const char *name;
    unsigned of;
    bool (*read)(struct ready *, struct ready_subscription *, const struct json_value *);
    const char *rule;
} subscription_members[] = {
    {"topic", OF_EVENTS, read_topic,
     "a topic such as \"comment.created\", in which \"*\" stands for one word and a last \">\" "
     "for the rest"},
    {"queue", OF_JOBS, read_queue,
     "a name of letters, digits, \"_\" and \"-\", with dots between"},
    {"group", OF_EVENTS, read_group, "a string of 1 to 128 bytes"},
    {"from", OF_EVENTS, read_from, "\"first\", \"new\", {\"seq\":n} or {\"time\":ms}"},
    {"each", OF_EVENTS, read_each, "true or false"},
    {"max", OF_EVENTS | OF_JOBS, read_max, "a whole number 1 to 100000"},
    {"attempts", OF_EVENTS | OF_JOBS, read_attempts, "a whole number 1 to 1000"},
    {"backoff", OF_EVENTS | OF_JOBS, read_backoff, "an array of 1 to 64 whole milliseconds"},
    {"timeout", OF_EVENTS | OF_JOBS, read_handling_timeout,
     "whole milliseconds, 0 for no limit"},
};

/* How its member is called in a sentence about it. */
static const char *label_of(struct ready *r, bool job, const char *member)
{
    struct buf text = {0};
    buf_addf(&text, "a %s's %s", job ? "job" : "subscription", member);
    const char *label = arena_strdup(&r->arena, buf_slice(&text));
    buf_deinit(&text);
    return label;
}

static bool read_subscription(struct ready *r, const struct json_value *v,
                              struct ready_subscription *s, struct err *err)
{
    struct json_scan it = json_iter(v);
    struct json_value key, value;
    unsigned kind = s->job ? OF_JOBS : OF_EVENTS;
    while (json_next_member(&it, &key, &value)) {
        for (size_t i = 0; i < ARRAY_LEN(subscription_members); i++)
            if ((subscription_members[i].of & kind) &&
                json_string_is(&key, subscription_members[i].name) &&
                !subscription_members[i].read(r, s, &value))
                return unusable(err, label_of(r, s->job, subscription_members[i].name), &value,
                                subscription_members[i].rule);
    }
    if (s->topic.len)
        return true;
    const struct json_value missing = {.raw = SLICE("missing")};
    return unusable(err, label_of(r, s->job, s->job ? "queue" : "topic"), &missing,
                    subscription_members[s->job].rule);
}

/* `subscribe` or `jobs`: both go into one list. */
static bool read_subscriptions(struct ready *r, const char *name, bool jobs,
                               const struct json_value *v, struct err *err)
{
    size_t count = v->type == JSON_ARRAY ? count_items(v) : 0;
    if (v->type != JSON_ARRAY || r->subscription_count + count > SUBSCRIPTIONS_MAX)
        return unusable(err, name, v, "an array of objects, with the others at most 1000");
    struct ready_subscription *all =
        arena_alloc(&r->arena, (r->subscription_count + count) * sizeof(*all));
    if (r->subscription_count)
        memcpy(all, r->subscriptions, r->subscription_count * sizeof(*all));
    r->subscriptions = all;
    struct json_scan it = json_iter(v);
    struct json_value item;
    while (json_next_item(&it, &item)) {
        struct ready_subscription *s = &all[r->subscription_count++];
        *s = (struct ready_subscription){.job = jobs};
        if (item.type != JSON_OBJECT)
            return unusable(err, name, v, "an array of objects");
        if (!read_subscription(r, &item, s, err))
            return false;
    }
    return true;
}

static const struct {
    const char *name;
    bool (*read)(struct ready *, const struct json_value *);
    const char *rule;
} members[] = {
    {"protocol", read_protocol, "1, the version that this supervisor speaks"},
    {"concurrency", read_concurrency, "a whole number 1 to 100000"},
    {"prefetch", read_prefetch, "a whole number 0 to 1024"},
    {"window", read_window, "a whole number of bytes, 1024 to 67108864"},
    {"features", read_features, "an array of strings"},
    {"headers", read_headers, "\"all\", \"none\" or an array of names"},
    {"body", read_body, "\"text\" or \"json\""},
    {"tokens", read_tokens, "an array of strings of 1 to 128 bytes"},
    {"files", read_files, "an array of paths"},
    {"sdk", read_sdk, "a string"},
};

static bool read_member(struct ready *r, const struct json_value *key,
                        const struct json_value *value, struct err *err)
{
    if (json_string_is(key, "routes"))
        return read_routes(r, value, err);
    if (json_string_is(key, "subscribe"))
        return read_subscriptions(r, "subscribe", false, value, err);
    if (json_string_is(key, "jobs"))
        return read_subscriptions(r, "jobs", true, value, err);
    for (size_t i = 0; i < ARRAY_LEN(members); i++) {
        if (!json_string_is(key, members[i].name))
            continue;
        if (!members[i].read(r, value))
            return unusable(err, members[i].name, value, members[i].rule);
        break;
    }
    return true;
}

bool ready_read(struct slice line, struct ready *out, struct err *err)
{
    struct frame frame;
    struct ready r = {.protocol = 1, .concurrency = 1, .window = WINDOW_USUAL};
    if (frame_read(line, &frame) != FRAME_OK || frame.kind != FRAME_READY) {
        err_set(err, -1, "ready: the line is no ready frame");
        return false;
    }
    const struct json_value object = {.type = JSON_OBJECT, .raw = frame.text};
    struct json_scan it = json_iter(&object);
    struct json_value key, value;
    while (json_next_member(&it, &key, &value)) {
        if (!read_member(&r, &key, &value, err)) {
            ready_deinit(&r);
            return false;
        }
    }
    *out = r;
    return true;
}

void ready_deinit(struct ready *r)
{
    arena_deinit(&r->arena);
    *r = (struct ready){0};
}
