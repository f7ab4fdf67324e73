/*
 * fuzz_websocket: any bytes as what a client says on a WebSocket.
 *
 * The first byte decides how the rest is cut into pieces, and whether messages may be
 * compressed.  What is read must not depend on the cut, must be valid where it says to be, must
 * fit the limit, and takes memory for what came and not for what was announced.  Then the bytes
 * are a message that goes the other way and back.
 */
#include <assert.h>

#include "base/utf8.h"
#include "http/wsreader.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { LIMIT = 4096, ROOM = 64 * 1024 };

static void check_event(const struct ws_event *e)
{
    switch (e->kind) {
    case WS_EVENT_MESSAGE:
        assert(e->bytes.len <= LIMIT);
        assert(!e->text || utf8_valid(e->bytes));
        break;
    case WS_EVENT_PING:
    case WS_EVENT_PONG:
        assert(e->bytes.len <= WS_CONTROL_MAX);
        break;
    case WS_EVENT_CLOSE:
        assert(e->code == WS_NO_CODE ? !e->bytes.len : ws_code_valid(e->code));
        assert(e->bytes.len <= WS_REASON_MAX && utf8_valid(e->bytes));
        break;
    case WS_EVENT_FAULT:
        assert(e->code == WS_PROTOCOL_ERROR || e->code == WS_BAD_DATA || e->code == WS_TOO_BIG);
        assert(e->why && strlen(e->why) <= WS_REASON_MAX);
        break;
    case WS_EVENT_NONE:
        break;
    }
}

static void tell(struct buf *told, const struct ws_event *e)
{
    buf_addf(told, "%d %d %u ", (int)e->kind, (int)e->text, e->code);
    buf_add(told, e->bytes);
    buf_addc(told, '\n');
}

/*
 * Of the same wrong bytes a reader that sees more at once may tell another fault: what a
 * message unpacks to is checked piece by piece, and its size as well.  Which code it is may
 * differ; that it is a fault, and what came before it, may not.
 */
static void read_all(struct slice wire, unsigned seed, bool may_pack, struct buf *told)
{
    struct wsreader reader;
    struct ws_event event = {0};
    size_t from = 0, to = 0;
    wsreader_init(&reader, LIMIT, may_pack);
    while (to < wire.len && event.kind != WS_EVENT_FAULT) {
        size_t step = wire.len;
        if (seed) {
            seed = seed * 1103515245u + 12345u;
            step = 1 + (seed >> 16) % 24;
        }
        to = MIN(to + step, wire.len);
        do {
            /* Exactly as large as what has come, so that a sanitizer sees a read past it. */
            size_t len = to - from;
            char *copy = xmalloc(len);
            memcpy(copy, wire.ptr + from, len);
            size_t used = wsreader_read(&reader, (struct slice){copy, len}, &event);
            xfree(copy);
            assert(used <= len);
            from += used;
            check_event(&event);
            assert(reader.message.cap <= ROOM);
            if (event.kind == WS_EVENT_FAULT)
                event.code = 0;
            if (event.kind != WS_EVENT_NONE)
                tell(told, &event);
        } while (event.kind != WS_EVENT_NONE && event.kind != WS_EVENT_FAULT);
    }
    wsreader_deinit(&reader);
}

/* What we send, read as a client's: only the mask differs. */
static void go_and_return(struct slice message, unsigned bits)
{
    struct wsreader reader;
    struct ws_event event;
    struct packer *packer = packer_new();
    struct buf packed = {0}, wire = {0};
    bool is_packed = packer_pack(packer, bits, message, &packed);
    struct slice payload = is_packed ? buf_slice(&packed) : message;
    char head[WS_HEAD_MAX];
    size_t size = ws_head_write(head, WS_BINARY, is_packed, payload.len);
    head[1] = (char)(head[1] | 0x80);
    buf_append(&wire, head, size);
    buf_append(&wire, "\1\2\3\4", 4);
    ws_unmask(buf_reserve(&wire, payload.len), payload.ptr, payload.len,
              (const unsigned char *)"\1\2\3\4", 0);
    wire.len += payload.len;
    wsreader_init(&reader, message.len, true);
    size_t used = wsreader_read(&reader, buf_slice(&wire), &event);
    assert(used == wire.len && event.kind == WS_EVENT_MESSAGE && !event.text);
    assert(slice_eq(event.bytes, message));
    wsreader_deinit(&reader);
    packer_free(packer);
    buf_deinit(&packed);
    buf_deinit(&wire);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct buf whole = {0}, pieces = {0};
    if (size == 0)
        return 0;
    struct slice wire = {(const char *)data + 1, size - 1};
    bool may_pack = data[0] & 1;
    read_all(wire, 0, may_pack, &whole);
    read_all(wire, data[0] | 1, may_pack, &pieces);
    assert(slice_eq(buf_slice(&whole), buf_slice(&pieces)));
    go_and_return(wire, PACK_BITS_MIN + data[0] % 7);
    buf_deinit(&whole);
    buf_deinit(&pieces);
    return 0;
}
