#include "http/wsframe.h"

enum {
    FIN = 0x80,
    RSV1 = 0x40,
    RSV2_RSV3 = 0x30,
    OPCODE = 0x0F,
    MASKED = 0x80,
    LENGTH = 0x7F,
    LENGTH_16 = 126, /* the length stands in the two bytes that follow, */
    LENGTH_64 = 127, /* or in eight */
    MASK_BYTES = 4,
};

static bool is_control(unsigned opcode)
{
    return opcode >= WS_CLOSE;
}

/* What the first two bytes tell.  NULL, or what is wrong. */
static const char *judge(unsigned first, unsigned second)
{
    unsigned opcode = first & OPCODE;
    if (first & RSV2_RSV3)
        return "a reserved bit is set";
    if ((opcode > WS_BINARY && opcode < WS_CLOSE) || opcode > WS_PONG)
        return "a frame has an opcode that does not exist";
    if (!(second & MASKED))
        return "a frame is not masked";
    if (is_control(opcode) && !(first & FIN))
        return "a control frame is fragmented";
    if (is_control(opcode) && (second & LENGTH) > WS_CONTROL_MAX)
        return "a control frame is longer than 125 bytes";
    return NULL;
}

static uint64_t number(const unsigned char *p, size_t bytes)
{
    uint64_t n = 0;
    for (size_t i = 0; i < bytes; i++)
        n = n << 8 | p[i];
    return n;
}

/* NULL, or what is wrong; each length has one spelling. */
static const char *judge_length(unsigned kind, uint64_t length)
{
    if (length >> 63)
        return "a frame is longer than can be";
    if ((kind == LENGTH_16 && length < LENGTH_16) || (kind == LENGTH_64 && length <= 0xFFFF))
        return "a frame's length takes more bytes than it needs";
    return NULL;
}

int ws_head_read(struct slice bytes, struct ws_head *head, const char **why)
{
    const unsigned char *p = (const unsigned char *)bytes.ptr;
    size_t size = 2;
    if (bytes.len < size)
        return 0;
    *why = judge(p[0], p[1]);
    if (*why)
        return -1;
    unsigned kind = p[1] & LENGTH;
    size_t extra = kind == LENGTH_64 ? 8 : kind == LENGTH_16 ? 2 : 0;
    if (bytes.len < size + extra)
        return 0;
    uint64_t length = extra ? number(p + size, extra) : kind;
    *why = judge_length(kind, length);
    if (*why)
        return -1;
    size += extra;
    if (bytes.len < size + MASK_BYTES)
        return 0;
    head->fin = (p[0] & FIN) != 0;
    head->packed = (p[0] & RSV1) != 0;
    head->opcode = (enum ws_opcode)(p[0] & OPCODE);
    head->length = length;
    memcpy(head->mask, p + size, MASK_BYTES);
    return (int)(size + MASK_BYTES);
}

size_t ws_head_write(char out[WS_HEAD_MAX], enum ws_opcode opcode, bool packed, size_t length)
{
    unsigned kind = length > 0xFFFF ? LENGTH_64 : length >= LENGTH_16 ? LENGTH_16 : 0;
    size_t extra = kind == LENGTH_64 ? 8 : kind == LENGTH_16 ? 2 : 0;
    out[0] = (char)(FIN | (packed ? RSV1 : 0) | opcode);
    out[1] = (char)(kind ? kind : length);
    for (size_t i = 0; i < extra; i++)
        out[2 + i] = (char)((uint64_t)length >> (8 * (extra - 1 - i)));
    return 2 + extra;
}

void ws_unmask(char *to, const char *from, size_t len, const unsigned char mask[4], uint64_t at)
{
    unsigned char key[8];
    uint64_t wide;
    size_t i = 0;
    for (size_t k = 0; k < sizeof(key); k++)
        key[k] = mask[(at + k) % 4];
    memcpy(&wide, key, sizeof(wide));
    for (; len - i >= 16; i += 16) {
        uint64_t words[2];
        memcpy(words, from + i, sizeof(words));
        words[0] ^= wide;
        words[1] ^= wide;
        memcpy(to + i, words, sizeof(words));
    }
    for (; i < len; i++)
        to[i] = (char)((unsigned char)from[i] ^ key[i % 4]);
}

bool ws_code_valid(unsigned code)
{
    return (code >= 1000 && code <= 1003) || (code >= 1007 && code <= 1014) ||
           (code >= 3000 && code <= 4999);
}
