#include "app/reply.h"

enum { HEADERS_MAX = 128 };

static struct slice latin1(struct arena *arena, const struct json_value *value, bool *valid)
{
    if (!value->escaped && slice_is_ascii(json_inner(value)))
        return arena_copy(arena, json_inner(value));
    struct buf text = {0};
    *valid = *valid && json_unescape_latin1(value, &text);
    struct slice copy = arena_copy(arena, buf_slice(&text));
    buf_deinit(&text);
    return copy;
}

struct headers {
    struct field *fields;
    size_t count;
    bool valid;
};

static void add_header(struct headers *h, struct arena *arena, struct slice name,
                       const struct json_value *value)
{
    if (h->count == HEADERS_MAX) {
        h->valid = false;
        return;
    }
    h->fields[h->count++] = (struct field){name, latin1(arena, value, &h->valid)};
}

/* A member is a string, or an array of them for a field that comes several times. */
static struct headers read_headers(struct arena *arena, const struct json_value *object)
{
    struct headers h = {.valid = true};
    if (!object->raw.len)
        return h;
    h.fields = arena_alloc(arena, HEADERS_MAX * sizeof(struct field));
    struct json_scan members = json_iter(object);
    struct json_value key, value, item;
    while (json_next_member(&members, &key, &value)) {
        struct slice name = latin1(arena, &key, &h.valid);
        if (value.type == JSON_STRING) {
            add_header(&h, arena, name, &value);
            continue;
        }
        struct json_scan items = json_iter(&value);
        while (json_next_item(&items, &item))
            add_header(&h, arena, name, &item);
    }
    return h;
}

static struct slice content_type(enum frame_body kind)
{
    static const struct slice types[] = {
        [FRAME_BODY_NONE] = {0},
        [FRAME_BODY_TEXT] = {"text/plain; charset=utf-8", 25},
        [FRAME_BODY_BASE64] = {"application/octet-stream", 24},
        [FRAME_BODY_JSON] = {"application/json", 16},
    };
    return types[kind];
}

/* JSON passes through as it is; so does text without escapes. */
static struct slice body_of(const struct frame *frame, struct buf *body)
{
    if (frame->body_kind == FRAME_BODY_NONE)
        return (struct slice){0};
    if (frame->body_kind == FRAME_BODY_JSON)
        return frame->body.raw;
    if (frame->body_kind == FRAME_BODY_TEXT && !frame->body.escaped)
        return json_inner(&frame->body);
    frame_body_decode(frame, body);
    return buf_slice(body);
}

bool reply_read(const struct frame *frame, struct arena *arena, struct buf *body,
                struct http_answer *answer, struct err *why)
{
    struct headers headers = read_headers(arena, &frame->headers);
    bool valid = headers.valid;
    struct slice reason = {0};
    if (frame->reason.raw.len)
        reason = latin1(arena, &frame->reason, &valid);
    if (!valid) {
        IGNORE(err_set(why, -1, "its headers hold too much, or what no header can"));
        return false;
    }
    *answer = (struct http_answer){
        .status = frame->status ? (unsigned)frame->status : 200,
        .reason = reason,
        .headers = headers.fields,
        .header_count = headers.count,
        .content_type = content_type(frame->body_kind),
        .body = body_of(frame, body),
    };
    return true;
}
