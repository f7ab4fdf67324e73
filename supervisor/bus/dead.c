#include "bus/dead.h"

#include <stdio.h>

#include "bus/bus_parts.h"

/* Cut between two characters. */
static struct slice cut(struct slice text, size_t most)
{
    if (text.len <= most)
        return text;
    size_t len = most;
    while (len && ((unsigned char)text.ptr[len] & 0xC0) == 0x80)
        len--;
    return (struct slice){text.ptr, len};
}

/* The members of a header object but for ours, each followed by a comma. */
static void add_others(struct buf *out, struct slice headers)
{
    if (headers.len == 0)
        return;
    struct json_value object = {.type = JSON_OBJECT, .raw = headers}, key, value;
    struct json_scan it = json_iter(&object);
    while (json_next_member(&it, &key, &value)) {
        if (json_string_is(&key, DEAD_HEADER))
            continue;
        buf_add(out, key.raw);
        buf_addc(out, ':');
        buf_add(out, value.raw);
        buf_addc(out, ',');
    }
}

static void add_text(struct buf *out, const char *name, struct slice text)
{
    buf_addf(out, "\"%s\":", name);
    json_write(out, text);
    buf_addc(out, ',');
}

static void add_reason(struct buf *out, const struct message *m, const struct dead_reason *why)
{
    char id[MESSAGE_ID_MAX + 1];
    buf_adds(out, "\"" DEAD_HEADER "\":{");
    add_text(out, "group", why->group);
    add_text(out, "stream", m->stream);
    add_text(out, "id", message_id(m, id));
    buf_addf(out, "\"seq\":%llu,\"attempts\":%u,\"time\":%lld,\"failed\":%lld,\"error\":{",
             (unsigned long long)m->seq, why->attempts, (long long)m->time_ms,
             (long long)why->failed_ms);
    add_text(out, "name", cut(why->name, DEAD_NAME_MAX));
    add_text(out, "message", cut(why->message, DEAD_MESSAGE_MAX));
    add_text(out, "stack", cut(why->stack, DEAD_STACK_MAX));
    out->len--; /* the last comma */
    buf_adds(out, "}}");
}

struct message *dead_letter(const struct message *m, const struct dead_reason *why)
{
    char id[MESSAGE_ID_MAX + 1];
    struct buf headers = {0};
    buf_addc(&headers, '{');
    add_others(&headers, m->headers);
    add_reason(&headers, m, why);
    buf_addc(&headers, '}');
    struct slice own = message_id(m, id);
    struct message *letter = message_new(&(struct message_parts){
        .stream = SLICE(BUS_DEAD),
        .topic = m->topic,
        .key = m->key,
        .cause = own,
        .correlation = m->correlation.len ? m->correlation : own,
        .traceparent = m->traceparent,
        .headers = buf_slice(&headers),
        .origin = m->origin,
        .data = m->data,
        .blob = m->blob,
        .size = m->size,
    });
    buf_deinit(&headers);
    return letter;
}

static bool read_reason(const struct json_value *object, struct dead_letter *d)
{
    struct json_value key, value;
    struct json_scan it = json_iter(object);
    while (json_next_member(&it, &key, &value)) {
        bool is_text = value.type == JSON_STRING;
        if (json_string_is(&key, "group") && is_text)
            d->group = value;
        else if (json_string_is(&key, "stream") && is_text)
            d->stream = value;
        else if (json_string_is(&key, "id") && is_text)
            d->id = value;
        else if (json_string_is(&key, "error") && value.type == JSON_OBJECT)
            d->error = value;
        else if (json_string_is(&key, "seq"))
            IGNORE(json_to_u64(&value, UINT64_MAX, &d->seq)); /* 0 when it is none */
        else if (json_string_is(&key, "attempts"))
            IGNORE(json_to_u64(&value, UINT32_MAX, &d->attempts));
        else if (json_string_is(&key, "time"))
            IGNORE(json_to_u64(&value, INT64_MAX, &d->time_ms));
        else if (json_string_is(&key, "failed"))
            IGNORE(json_to_u64(&value, INT64_MAX, &d->failed_ms));
    }
    return !it.fault && d->group.raw.len && d->stream.raw.len;
}

bool dead_read(const struct message *m, struct dead_letter *d)
{
    *d = (struct dead_letter){0};
    if (!slice_is(m->stream, BUS_DEAD) || !m->headers.len)
        return false;
    struct json_value object = {.type = JSON_OBJECT, .raw = m->headers}, key, value;
    struct json_scan it = json_iter(&object);
    while (json_next_member(&it, &key, &value))
        if (json_string_is(&key, DEAD_HEADER) && value.type == JSON_OBJECT)
            return read_reason(&value, d);
    return false;
}

struct message *dead_revive(const struct message *letter, const struct dead_letter *d)
{
    struct buf headers = {0}, stream = {0}, group = {0};
    char msgid[48];
    int len = snprintf(msgid, sizeof(msgid), "dead/%llu", (unsigned long long)letter->seq);
    json_unescape(&d->stream, &stream);
    json_unescape(&d->group, &group);
    buf_addc(&headers, '{');
    add_others(&headers, letter->headers);
    if (headers.len > 1)
        headers.ptr[headers.len - 1] = '}';
    else
        buf_clear(&headers);
    struct message *m = message_new(&(struct message_parts){
        .stream = buf_slice(&stream),
        .topic = letter->topic,
        .key = letter->key,
        .msgid = {msgid, (size_t)len},
        .cause = letter->cause,
        .correlation = letter->correlation,
        .traceparent = letter->traceparent,
        .headers = buf_slice(&headers),
        .only = buf_slice(&group),
        .origin = letter->origin,
        .data = letter->data,
        .blob = letter->blob,
        .size = letter->size,
    });
    buf_deinit(&headers);
    buf_deinit(&stream);
    buf_deinit(&group);
    return m;
}
