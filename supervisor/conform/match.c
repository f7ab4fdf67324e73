#include "conform/match.h"

#include "client/members.h"

static bool is_any(const struct json_value *expected)
{
    return members_is_true(expected, "$any");
}

static bool bind(const struct json_value *name, const struct json_value *actual,
                 struct match_bindings *b)
{
    if ((actual->type != JSON_NUMBER && actual->type != JSON_STRING) ||
        b->count == MATCH_BINDINGS)
        return false;
    b->items[b->count].name = arena_strdup(&b->arena, json_inner(name));
    b->items[b->count++].raw = arena_strdup(&b->arena, actual->raw);
    return true;
}

static bool same_text(const struct json_value *a, const struct json_value *b)
{
    struct buf left = {0}, right = {0};
    json_unescape(a, &left);
    json_unescape(b, &right);
    bool same = slice_eq(buf_slice(&left), buf_slice(&right));
    buf_deinit(&left);
    buf_deinit(&right);
    return same;
}

static bool same_number(const struct json_value *a, const struct json_value *b)
{
    double left, right;
    return slice_eq(a->raw, b->raw) ||
           (json_to_double(a, &left) && json_to_double(b, &right) && left == right);
}

static bool match(const struct json_value *expected, const struct json_value *actual,
                  struct match_bindings *b);

/* The value whose name is another's text. */
static bool get_by(const struct json_value *object, const struct json_value *name,
                   struct json_value *out)
{
    struct buf text = {0};
    json_unescape(name, &text);
    bool found = members_get(object, buf_cstr(&text), out);
    buf_deinit(&text);
    return found;
}

/* Each member that is expected is there, and as it should be. */
static bool has_expected(const struct json_value *expected, const struct json_value *actual,
                         struct match_bindings *b)
{
    struct json_scan it = json_iter(expected);
    struct json_value key, wanted, got;
    while (json_next_member(&it, &key, &wanted)) {
        bool there = get_by(actual, &key, &got);
        if (there ? !match(&wanted, &got, b) : !is_any(&wanted))
            return false;
    }
    return true;
}

/* The types of content that need not be said, see PROTOCOL.md, section 7. */
static bool is_default_type(const struct json_value *headers)
{
    static const char *const types[] = {"text/plain; charset=utf-8", "application/json",
                                        "application/octet-stream"};
    struct json_scan it = json_iter(headers);
    struct json_value key, value;
    while (json_next_member(&it, &key, &value)) {
        bool is_usual = false;
        for (size_t i = 0; i < ARRAY_LEN(types); i++)
            is_usual = is_usual || json_string_is(&value, types[i]);
        if (!json_string_is(&key, "content-type") || !is_usual)
            return false;
    }
    return true;
}

/* May a member that nobody expects stand there? */
static bool is_harmless(const struct json_value *key, const struct json_value *value)
{
    uint64_t number;
    if (json_string_is(key, "status"))
        return json_to_u64(value, 999, &number) && number == 200;
    return json_string_is(key, "headers") && value->type == JSON_OBJECT &&
           is_default_type(value);
}

static bool has_only_expected(const struct json_value *expected,
                              const struct json_value *actual, bool is_frame)
{
    struct json_scan it = json_iter(actual);
    struct json_value key, value, wanted;
    while (json_next_member(&it, &key, &value))
        if (!get_by(expected, &key, &wanted) && !(is_frame && is_harmless(&key, &value)))
            return false;
    return true;
}

static bool match_items(const struct json_value *expected, const struct json_value *actual,
                        struct match_bindings *b)
{
    struct json_scan left = json_iter(expected), right = json_iter(actual);
    struct json_value wanted, got;
    while (json_next_item(&left, &wanted))
        if (!json_next_item(&right, &got) || !match(&wanted, &got, b))
            return false;
    return !json_next_item(&right, &got);
}

/* Recurses as deep as the expectation, which is ours. */
static bool match(const struct json_value *expected, const struct json_value *actual,
                  struct match_bindings *b)
{
    struct json_value name;
    if (is_any(expected))
        return true;
    if (members_get(expected, "$bind", &name))
        return bind(&name, actual, b);
    if (expected->type != actual->type)
        return false;
    switch (expected->type) {
    case JSON_STRING:
        return same_text(expected, actual);
    case JSON_NUMBER:
        return same_number(expected, actual);
    case JSON_ARRAY:
        return match_items(expected, actual, b);
    case JSON_OBJECT:
        return has_expected(expected, actual, b) && has_only_expected(expected, actual, false);
    default:
        return true;
    }
}

bool match_has(const struct json_value *expected, const struct json_value *actual,
               struct match_bindings *b)
{
    return actual->type == JSON_OBJECT && has_expected(expected, actual, b);
}

bool match_frame(const struct json_value *expected, const struct json_value *actual,
                 struct match_bindings *b)
{
    struct json_value type;
    if (actual->type != JSON_OBJECT || !has_expected(expected, actual, b))
        return false;
    bool named_only = members_get(expected, "type", &type) &&
                      (json_string_is(&type, "ready") || json_string_is(&type, "error") ||
                       json_string_is(&type, "pong"));
    return named_only || has_only_expected(expected, actual, true);
}

void match_fill_in(struct slice line, const struct match_bindings *b, struct buf *out)
{
    while (line.len) {
        size_t used = 1;
        const char *raw = NULL;
        for (size_t i = 0; i < b->count && !raw; i++) {
            size_t len = strlen(b->items[i].name);
            if (line.len >= len + 3 && line.ptr[0] == '$' && line.ptr[1] == '{' &&
                memcmp(line.ptr + 2, b->items[i].name, len) == 0 && line.ptr[len + 2] == '}') {
                raw = b->items[i].raw;
                used = len + 3;
            }
        }
        if (raw)
            buf_adds(out, raw);
        else
            buf_addc(out, line.ptr[0]);
        line = slice_from(line, used);
    }
}
