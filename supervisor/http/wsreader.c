#include "http/wsreader.h"

#include "base/utf8.h"

enum {
    PIECE = 4096,      /* packed bytes that are unmasked at a time */
    KEEP_BYTES = 1024, /* a larger buffer does not outlive its message */
    PACKED_FACTOR = 2, /* packed, a message is at most so much longer than it may be unpacked */
};

void wsreader_init(struct wsreader *r, size_t max_message, bool may_pack)
{
    *r = (struct wsreader){.max_message = max_message, .may_pack = may_pack};
}

void wsreader_deinit(struct wsreader *r)
{
    unpacker_free(r->unpacker);
    r->unpacker = NULL;
    buf_deinit(&r->message);
}

/* False, for the callers' convenience. */
static bool fail(struct ws_event *event, unsigned code, const char *why)
{
    *event = (struct ws_event){.kind = WS_EVENT_FAULT, .code = code, .why = why};
    return false;
}

static bool is_control(const struct wsreader *r)
{
    return r->head.opcode >= WS_CLOSE;
}

/* -------------------------------------------------------------------- heads */

static bool too_big(struct ws_event *event)
{
    return fail(event, WS_TOO_BIG, "the message is too big");
}

/* Of a data frame: does it fit where it comes?  Begins a message. */
static bool begin_data(struct wsreader *r, struct ws_event *event)
{
    const struct ws_head *head = &r->head;
    bool first = head->opcode != WS_CONTINUATION;
    if (!first && !r->in_message)
        return fail(event, WS_PROTOCOL_ERROR, "a continuation continues nothing");
    if (first && r->in_message)
        return fail(event, WS_PROTOCOL_ERROR, "a message begins within another");
    if (first) {
        if (head->packed && !r->unpacker)
            r->unpacker = unpacker_new();
        r->in_message = true;
        r->text = head->opcode == WS_TEXT;
        r->utf8 = (struct utf8_check){0};
        r->received = 0;
        buf_clear(&r->message);
    }
    uint64_t most = r->unpacker ? (uint64_t)r->max_message * PACKED_FACTOR : r->max_message;
    if (head->length > most || r->received > most - head->length)
        return too_big(event);
    r->received += head->length;
    return true;
}

static bool begin_frame(struct wsreader *r, struct ws_event *event)
{
    bool first = r->head.opcode == WS_TEXT || r->head.opcode == WS_BINARY;
    if (r->head.packed && !(r->may_pack && first))
        return fail(event, WS_PROTOCOL_ERROR, "a reserved bit is set");
    r->in_frame = true;
    r->at = 0;
    return is_control(r) || begin_data(r, event);
}

/* ----------------------------------------------------------------- payloads */

static bool check_text(struct wsreader *r, size_t from, struct ws_event *event)
{
    struct slice news = slice_from(buf_slice(&r->message), from);
    if (r->text && !utf8_check_add(&r->utf8, news))
        return fail(event, WS_BAD_DATA, "a text is not UTF-8");
    return true;
}

static bool judge_unpacked(enum unpack_verdict verdict, struct ws_event *event)
{
    if (verdict == UNPACK_TOO_BIG)
        return too_big(event);
    if (verdict == UNPACK_BAD)
        return fail(event, WS_BAD_DATA, "a message cannot be unpacked");
    return true;
}

static bool add_packed(struct wsreader *r, struct slice masked, struct ws_event *event)
{
    char plain[PIECE];
    for (size_t done = 0; done < masked.len;) {
        size_t len = MIN(masked.len - done, sizeof(plain)), from = r->message.len;
        ws_unmask(plain, masked.ptr + done, len, r->head.mask, r->at + done);
        enum unpack_verdict verdict =
            unpacker_add(r->unpacker, (struct slice){plain, len}, r->max_message, &r->message);
        if (!check_text(r, from, event) || !judge_unpacked(verdict, event))
            return false;
        done += len;
    }
    return true;
}

static bool add_plain(struct wsreader *r, struct slice masked, struct ws_event *event)
{
    size_t from = r->message.len;
    ws_unmask(buf_reserve(&r->message, masked.len), masked.ptr, masked.len, r->head.mask,
              r->at);
    r->message.len += masked.len;
    return check_text(r, from, event);
}

/* More of the frame's payload, as it came. */
static bool add_payload(struct wsreader *r, struct slice masked, struct ws_event *event)
{
    bool good = true;
    if (is_control(r))
        ws_unmask(r->control + r->at, masked.ptr, masked.len, r->head.mask, r->at);
    else if (r->unpacker)
        good = add_packed(r, masked, event);
    else
        good = add_plain(r, masked, event);
    r->at += masked.len;
    return good;
}

/* --------------------------------------------------------------------- ends */

static void end_close(struct wsreader *r, struct ws_event *event)
{
    const unsigned char *p = (const unsigned char *)r->control;
    struct slice payload = {r->control, (size_t)r->head.length};
    *event = (struct ws_event){.kind = WS_EVENT_CLOSE, .code = WS_NO_CODE};
    if (payload.len == 0)
        return;
    unsigned code = payload.len == 1 ? 0 : (unsigned)p[0] << 8 | p[1];
    if (!ws_code_valid(code)) {
        fail(event, WS_PROTOCOL_ERROR, "a close has a code that may not be sent");
        return;
    }
    event->code = code;
    event->bytes = slice_from(payload, 2);
    if (!utf8_valid(event->bytes))
        fail(event, WS_BAD_DATA, "the reason of a close is not UTF-8");
}

static void end_message(struct wsreader *r, struct ws_event *event)
{
    if (r->unpacker) {
        size_t from = r->message.len;
        enum unpack_verdict verdict = unpacker_end(r->unpacker, r->max_message, &r->message);
        unpacker_free(r->unpacker);
        r->unpacker = NULL;
        if (!check_text(r, from, event) || !judge_unpacked(verdict, event))
            return;
    }
    if (r->text && !utf8_check_whole(&r->utf8)) {
        fail(event, WS_BAD_DATA, "a text ends within a character");
        return;
    }
    r->in_message = false;
    *event = (struct ws_event){
        .kind = WS_EVENT_MESSAGE, .text = r->text, .bytes = buf_slice(&r->message)};
}

static void end_frame(struct wsreader *r, struct ws_event *event)
{
    struct slice payload = {r->control, (size_t)r->head.length};
    r->in_frame = false;
    switch (r->head.opcode) {
    case WS_CLOSE:
        end_close(r, event);
        break;
    case WS_PING:
        *event = (struct ws_event){.kind = WS_EVENT_PING, .bytes = payload};
        break;
    case WS_PONG:
        *event = (struct ws_event){.kind = WS_EVENT_PONG, .bytes = payload};
        break;
    default:
        if (r->head.fin)
            end_message(r, event);
    }
}

size_t wsreader_read(struct wsreader *r, struct slice bytes, struct ws_event *event)
{
    size_t used = 0;
    *event = (struct ws_event){.kind = WS_EVENT_NONE};
    if (bytes.len == 0)
        return 0;
    while (event->kind == WS_EVENT_NONE) {
        struct slice rest = slice_from(bytes, used);
        if (!r->in_frame) {
            const char *why = NULL;
            int size = ws_head_read(rest, &r->head, &why);
            if (size < 0)
                fail(event, WS_PROTOCOL_ERROR, why);
            if (size <= 0 || !begin_frame(r, event))
                break;
            used += (size_t)size;
            continue; /* it may be empty */
        }
        size_t len = (size_t)MIN((uint64_t)rest.len, r->head.length - r->at);
        if (len && !add_payload(r, (struct slice){rest.ptr, len}, event))
            break;
        used += len;
        if (r->at < r->head.length)
            break;
        end_frame(r, event);
    }
    return used;
}

void wsreader_forget(struct wsreader *r)
{
    if (!r->in_message && r->message.cap > KEEP_BYTES)
        buf_deinit(&r->message);
}
