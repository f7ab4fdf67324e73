/*
 * websocket: an exchange that has become a WebSocket (RFC 6455), seen as messages.
 *
 *   OPEN ---- the client's close, answered at once ----------------> over
 *   OPEN ---- a fault of the client, told with a close ------------> over
 *   OPEN ---- websocket_close() --> CLOSING -- its close, or 5 s --> over
 *   either -- the client vanished, or is silent for too long ------> over
 *
 * Masks, fragments, pings, compression and the closing handshake are dealt with here.  Who
 * owns it is told `message` after `message`, in the order of their coming, and at last
 * `closed`, exactly once.  A client that is silent for half of the timeout is pinged, and
 * dropped when it stays silent for all of it; one timer does both, and idle it wakes nobody
 * else.
 */
#pragma once

#include "http/handshake.h"
#include "http/wsreader.h"
#include "loop/loop.h"

struct websocket;

/* What all of a loop share. */
struct websockets {
    struct loop *loop;
    struct list open; /* struct websocket.node */
    struct packer *packer;
    bool draining;
};

void websockets_init(struct websockets *, struct loop *);
void websockets_deinit(struct websockets *);

/* nodey stops: each is closed with 1001, and those that will yet be opened at once. */
void websockets_drain(struct websockets *);

struct websocket_ops {
    /* Borrowed.  Every function of the websocket may be called from within. */
    void (*message)(struct websocket *, bool text, struct slice bytes);

    /*
     * Over: the client's own code, WS_NO_CODE when it gave none, WS_VANISHED when it left
     * without a close, or the code that its fault was told with.  The exchange ends when this
     * returns.
     */
    void (*closed)(struct websocket *, unsigned code, struct slice reason);

    /* Little is left to send: see struct http_handler. */
    void (*drained)(struct websocket *);
};

/* In the memory of the exchange, or of its owner, that lives until `closed`. */
struct websocket {
    const struct websocket_ops *ops;
    struct websockets *all;
    struct list node;
    struct exchange *exchange;
    struct wsreader reader;
    struct compression compression;
    struct timer timer;
    struct task again; /* reads on at the end of the turn */
    uint64_t timeout_ms;
    uint64_t heard_ms;
    uint64_t written; /* bytes given to the exchange */
    uint64_t stuck;   /* of them taken when more could not be, at the last look; or none */
    bool closing;
    bool paused;
    bool reading;
    bool pinged;
    bool owes_pong;
    unsigned char pong_len;
    char pong[WS_CONTROL_MAX];
};

struct websocket_form {
    struct exchange *exchange; /* its request was checked, see handshake_check() */
    const struct websocket_ops *ops;
    size_t max_message;         /* bytes, unpacked; a longer one closes with 1009 */
    uint64_t timeout_ms;        /* of silence */
    const struct field *fields; /* more of the answer's */
    size_t field_count;
};

/*
 * Answers 101.  False with a sentence, and nothing was sent, when a field may not be.  On true
 * the exchange's `body`, `drained` and `gone` are to be handed to the three functions below.
 */
bool websocket_open(struct websocket *, struct websockets *, const struct websocket_form *,
                    struct err *why) MUST_CHECK;

/* May end the websocket. */
void websocket_body(struct websocket *);
void websocket_drained(struct websocket *);
void websocket_gone(struct websocket *);

/* Copied.  `text` must be UTF-8.  Dropped once it is closing. */
void websocket_send(struct websocket *, bool text, struct slice bytes);

/* Bytes that the kernel has not taken yet. */
size_t websocket_unsent(const struct websocket *);

/* No message comes until it is resumed, which may bring several, and may end the websocket. */
void websocket_pause(struct websocket *);
void websocket_resume(struct websocket *);

/*
 * Closes it, once: no more messages come; `closed` does when the client has answered.  A code
 * that may not be sent is left out; a reason is cut to fit.
 */
void websocket_close(struct websocket *, unsigned code, struct slice reason);
