#include "pool/inspector.h"

#include <arpa/inet.h>
#include <stdio.h>

#include "base/json.h"
#include "loop/connect.h"

enum {
    KEPT_MAX = 1 << 20, /* bytes of a message: a deep stack with all its variables' names */
    CALLS_MAX = 60,
    SCRIPTS_BYTES = 1 << 20,
    PATH_SIZE = 64,
};

struct inspector {
    struct stream stream;
    struct connect connect;
    struct peer peer;
    char path[PATH_SIZE];
    struct buf scripts; /* "\n123 file:///app/x.js" for each that it knows */
    void (*found)(void *owner, struct slice stack);
    void *owner;
    bool upgraded;
};

/* ------------------------------------------------------------------ its words */

bool inspector_is_chatter(struct slice line)
{
    static const char *const beginnings[] = {
        "Debugger listening on ws://", "For help, see: https://nodejs.org/",
        "Debugger attached.",          "Debugger ending on ws://",
        "Starting inspector on ",      "Waiting for the debugger to disconnect...",
    };

    for (size_t i = 0; i < ARRAY_LEN(beginnings); i++)
        if (slice_starts(line, slice_of(beginnings[i])))
            return true;
    return false;
}

bool inspector_has_failed(struct slice line)
{
    return slice_starts(line, SLICE("Starting inspector on "));
}

/* "Debugger listening on ws://127.0.0.1:40123/1b9d6bcd-..." */
static bool read_address(struct inspector *in, struct slice line)
{
    static const struct slice before = {"Debugger listening on ws://127.0.0.1:", 37};
    uint64_t port;
    if (!slice_starts(line, before))
        return false;
    line = slice_from(line, before.len);
    const char *slash = memchr(line.ptr, '/', line.len);
    size_t digits = slash ? (size_t)(slash - line.ptr) : 0;
    if (!digits || line.len - digits >= PATH_SIZE ||
        !slice_to_u64((struct slice){line.ptr, digits}, UINT16_MAX, &port))
        return false;
    struct slice path = slice_from(line, digits);
    snprintf(in->path, sizeof(in->path), SLICE_FMT, SLICE_ARG(path));
    struct sockaddr_in *at = (struct sockaddr_in *)&in->peer.at[0].inet;
    *at = (struct sockaddr_in){.sin_family = AF_INET,
                               .sin_port = htons((uint16_t)port),
                               .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    snprintf(in->peer.name, sizeof(in->peer.name), "127.0.0.1:%u", (unsigned)port);
    in->peer.count = 1;
    return strcspn(in->path, "\r\n ") == strlen(in->path);
}

/* ------------------------------------------------------------------- the stack */

static bool member(const struct json_value *object, const char *name, struct json_value *out)
{
    struct json_value key;
    if (object->type != JSON_OBJECT)
        return false;
    struct json_scan it = json_iter(object);
    while (json_next_member(&it, &key, out))
        if (json_string_is(&key, name))
            return true;
    return false;
}

/* Counted from 0, shown from 1. */
static uint64_t number(const struct json_value *object, const char *name)
{
    struct json_value value;
    uint64_t n = 0;
    return member(object, name, &value) && json_to_u64(&value, UINT32_MAX, &n) ? n + 1 : 0;
}

static struct slice text_of(const struct json_value *object, const char *name, struct buf *text)
{
    struct json_value value;
    buf_clear(text);
    if (member(object, name, &value) && value.type == JSON_STRING)
        json_unescape(&value, text);
    return buf_slice(text);
}

static void note_script(const struct json_value *params, struct buf *scripts)
{
    struct buf id = {0}, url = {0};
    struct slice name = text_of(params, "url", &url);
    if (name.len && !memchr(name.ptr, '\n', name.len) && scripts->len < SCRIPTS_BYTES) {
        buf_addc(scripts, '\n');
        buf_add(scripts, text_of(params, "scriptId", &id));
        buf_addc(scripts, ' ');
        buf_add(scripts, name);
    }
    buf_deinit(&id);
    buf_deinit(&url);
}

/* The address of a script by its number; empty = not known. */
static struct slice script_of(const struct json_value *at, struct slice scripts)
{
    struct buf id = {0}, key = {0};
    buf_addf(&key, "\n" SLICE_FMT " ", SLICE_ARG(text_of(at, "scriptId", &id)));
    const char *found = scripts.len ? memmem(scripts.ptr, scripts.len, key.ptr, key.len) : NULL;
    struct slice rest = {0};
    if (found) {
        rest = slice_from(scripts, (size_t)(found - scripts.ptr) + key.len);
        const char *end = memchr(rest.ptr, '\n', rest.len);
        rest.len = end ? (size_t)(end - rest.ptr) : rest.len;
    }
    buf_deinit(&id);
    buf_deinit(&key);
    return rest;
}

static void add_call(struct buf *out, const struct json_value *call, struct slice scripts)
{
    static const struct slice scheme = {"file://", 7};
    struct json_value at;
    struct buf text = {0};
    struct slice name = text_of(call, "functionName", &text), script = {0};
    buf_adds(out, "at ");
    buf_add(out, name.len ? name : SLICE("(anonymous)"));
    bool placed = member(call, "location", &at);
    if (placed)
        script = script_of(&at, scripts);
    if (slice_starts(script, scheme))
        script = slice_from(script, scheme.len);
    buf_adds(out, " (");
    buf_add(out, script.len ? script : SLICE("?"));
    buf_deinit(&text);
    if (placed)
        buf_addf(out, ":%llu:%llu", (unsigned long long)number(&at, "lineNumber"),
                 (unsigned long long)number(&at, "columnNumber"));
    buf_adds(out, ")\n");
}

bool inspector_read(struct slice message, struct buf *scripts, struct buf *stack)
{
    struct json_scan scan;
    struct json_value value, method, params, calls, call;
    json_scan_init(&scan, message);
    if (!json_scan_value(&scan, &value) || !member(&value, "method", &method) ||
        !member(&value, "params", &params))
        return false;
    if (json_string_is(&method, "Debugger.scriptParsed"))
        note_script(&params, scripts);
    if (!json_string_is(&method, "Debugger.paused"))
        return false;
    if (!member(&params, "callFrames", &calls) || calls.type != JSON_ARRAY)
        return true;
    struct json_scan it = json_iter(&calls);
    for (int n = 0; n < CALLS_MAX && json_next_item(&it, &call); n++)
        add_call(stack, &call, buf_slice(scripts));
    return true;
}

/* ------------------------------------------------------------------ the socket */

static void tell(struct inspector *in, struct slice stack)
{
    void (*found)(void *, struct slice) = in->found;
    in->found = NULL;
    if (found)
        found(in->owner, stack);
}

/* A text frame; clients must mask, and a mask of zeroes changes nothing. */
static void send_text(struct inspector *in, const char *text)
{
    size_t len = strlen(text);
    const char head[] = {(char)0x81, (char)(0x80 | len), 0, 0, 0, 0}; /* below 126 bytes */
    stream_write(&in->stream, (struct slice){head, sizeof(head)});
    stream_write(&in->stream, (struct slice){text, len});
}

/* The length of the frame's head and body, or 0 when its head is not whole. */
static uint64_t measure(struct slice bytes, size_t *head)
{
    const unsigned char *at = (const unsigned char *)bytes.ptr;
    uint64_t len = bytes.len < 2 ? 0 : at[1] & 0x7f;
    size_t more = len == 127 ? 8 : len == 126 ? 2 : 0;
    *head = 2 + more;
    if (bytes.len < *head)
        return 0;
    if (more)
        len = 0;
    for (size_t i = 0; i < more; i++)
        len = len << 8 | at[2 + i];
    return *head + len;
}

static size_t take_frames(struct inspector *in, struct slice bytes)
{
    size_t used = 0, head;
    while (in->found) {
        struct slice rest = slice_from(bytes, used);
        uint64_t len = measure(rest, &head);
        if (len > KEPT_MAX)
            tell(in, (struct slice){0});
        if (!len || len > rest.len)
            break;
        struct buf stack = {0};
        struct slice body = {rest.ptr + head, (size_t)len - head};
        if (inspector_read(body, &in->scripts, &stack))
            tell(in, buf_slice(&stack));
        buf_deinit(&stack);
        used += (size_t)len;
    }
    return in->found ? used : bytes.len;
}

static size_t on_data(struct stream *s, struct slice bytes)
{
    struct inspector *in = container_of(s, struct inspector, stream);
    if (!in->found)
        return bytes.len;
    if (in->upgraded)
        return take_frames(in, bytes);
    const char *end = memmem(bytes.ptr, bytes.len, "\r\n\r\n", 4);
    if (!end)
        return 0;
    in->upgraded = true;
    if (!slice_starts(bytes, SLICE("HTTP/1.1 101"))) {
        tell(in, (struct slice){0});
        return bytes.len;
    }
    send_text(in, "{\"id\":1,\"method\":\"Debugger.enable\"}");
    send_text(in, "{\"id\":2,\"method\":\"Debugger.pause\"}");
    size_t head = (size_t)(end - bytes.ptr) + 4;
    return head + take_frames(in, slice_from(bytes, head));
}

static void on_ended(struct stream *s, int status)
{
    (void)status;
    tell(container_of(s, struct inspector, stream), (struct slice){0});
}

static void on_gone(struct stream *s)
{
    struct inspector *in = container_of(s, struct inspector, stream);
    buf_deinit(&in->scripts);
    xfree(in);
}

static const struct stream_ops stream_ops = {
    .data = on_data, .ended = on_ended, .gone = on_gone};

static void on_connected(struct connect *c, int status)
{
    struct inspector *in = container_of(c, struct inspector, connect);
    if (status) {
        tell(in, (struct slice){0});
        return;
    }
    stream_start(&in->stream, KEPT_MAX);
    buf_addf(stream_out(&in->stream),
             "GET %s HTTP/1.1\r\nHost: %s\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
             "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: bm9kZXkgYXNrcyB3aHk6Pw==\r\n\r\n",
             in->path, in->peer.name);
}

struct inspector *inspector_open(struct loop *loop, struct slice line,
                                 void (*found)(void *owner, struct slice stack), void *owner)
{
    struct inspector *in = xcalloc(1, sizeof(*in));
    if (!read_address(in, line)) {
        xfree(in);
        return NULL;
    }
    in->found = found;
    in->owner = owner;
    connect_start(&in->connect, &in->stream, loop, &in->peer, 0, &stream_ops, on_connected);
    return in;
}

void inspector_close(struct inspector *in)
{
    if (!in)
        return;
    in->found = NULL;
    stream_close(&in->stream);
}
