/*
 * wsreader: what a client says on a WebSocket, out of the bytes that it sends.  Pure.
 *
 * Puts fragments together, unpacks, checks; control frames may come between fragments.  A
 * fault is told at the first byte that makes it one.
 */
#pragma once

#include "base/utf8_check.h"
#include "http/deflate.h"
#include "http/wsframe.h"

enum ws_kind {
    WS_EVENT_NONE, /* more bytes are needed */
    WS_EVENT_MESSAGE,
    WS_EVENT_PING,
    WS_EVENT_PONG,
    WS_EVENT_CLOSE,
    WS_EVENT_FAULT, /* the WebSocket fails: nothing more can be read */
};

struct ws_event {
    enum ws_kind kind;
    bool text;          /* of a message: else binary */
    struct slice bytes; /* message, payload, or a close's reason: valid until the next call */
    unsigned code;      /* of a close, WS_NO_CODE when it has none; of a fault: to close with */
    const char *why;    /* of a fault: a static sentence */
};

struct wsreader {
    size_t max_message; /* bytes, unpacked */
    bool may_pack;      /* permessage-deflate was agreed on */

    struct ws_head head; /* of the frame that is being read */
    uint64_t at;         /* bytes of its payload that were read */
    bool in_frame;
    bool in_message; /* fragments are to follow */
    bool text;
    uint64_t received; /* bytes of the message, as they came */
    struct unpacker *unpacker;
    struct utf8_check utf8;
    struct buf message;
    char control[WS_CONTROL_MAX];
};

void wsreader_init(struct wsreader *, size_t max_message, bool may_pack);
void wsreader_deinit(struct wsreader *);

/*
 * Reads up to the next event and returns the bytes that it used; with WS_EVENT_NONE those
 * that it did not use are to be offered again with what follows.
 */
size_t wsreader_read(struct wsreader *, struct slice bytes, struct ws_event *);

/* The last event's bytes are of no more use: a reader that waits holds next to nothing. */
void wsreader_forget(struct wsreader *);
