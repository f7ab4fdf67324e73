/*
 * wsframe: the frames that a WebSocket consists of (RFC 6455, section 5).  Pure.
 */
#pragma once

#include "base/slice.h"

enum ws_opcode {
    WS_CONTINUATION = 0,
    WS_TEXT = 1,
    WS_BINARY = 2,
    WS_CLOSE = 8,
    WS_PING = 9,
    WS_PONG = 10,
};

enum {
    WS_CONTROL_MAX = 125, /* bytes that a close, a ping or a pong may carry */
    WS_REASON_MAX = 123,  /* of a close, behind its code */
    WS_HEAD_MAX = 14,     /* bytes of a frame's head, mask included */
};

/* Why a WebSocket ends; 3000..4999 are the programs' own. */
enum ws_code {
    WS_NORMAL = 1000,
    WS_GOING_AWAY = 1001,
    WS_PROTOCOL_ERROR = 1002,
    WS_NO_CODE = 1005,  /* a close without one; never on the wire */
    WS_VANISHED = 1006, /* no close came; never on the wire */
    WS_BAD_DATA = 1007, /* text that is not UTF-8 */
    WS_TOO_BIG = 1009,
    WS_INTERNAL_ERROR = 1011,
};

struct ws_head {
    bool fin;    /* the message ends with it */
    bool packed; /* RSV1: the message is compressed */
    enum ws_opcode opcode;
    uint64_t length; /* of the payload */
    unsigned char mask[4];
};

/*
 * Reads the head of a client's frame.  Returns its size; 0 when more bytes are needed; or -1
 * with a static sentence when no frame begins so, whatever follows.
 */
int ws_head_read(struct slice bytes, struct ws_head *, const char **why);

/* Writes the head of a frame of ours, unmasked and final; returns its size. */
size_t ws_head_write(char out[WS_HEAD_MAX], enum ws_opcode, bool packed, size_t length);

/* Copies `len` bytes unmasked; `at` is how many of the payload came before them. */
void ws_unmask(char *to, const char *from, size_t len, const unsigned char mask[4],
               uint64_t at);

/* May a close frame carry this code? */
bool ws_code_valid(unsigned code);
