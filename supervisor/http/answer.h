/*
 * answer: bytes to a server's answer.  Pure.
 *
 * The counterpart of parse: that reads what strangers ask of us, this reads what a
 * server says that we asked.  Lines may end with a bare LF, as RFC 9112 allows; what
 * makes the body's end doubtful is refused all the same.
 */
#pragma once

#include "base/buf.h"
#include "http/chunked.h"

enum {
    ANSWER_HEAD_BYTES = 64 * 1024,
    ANSWER_FIELDS = 256,
    ANSWER_INTERIMS = 64, /* interim answers before the one that counts */
};

struct answer_head {
    unsigned status;      /* 200..999; of GOT_INTERIM 1xx; 101 if it was asked for */
    unsigned minor;       /* HTTP/1.x */
    struct slice reason;  /* may be empty */
    struct field *fields; /* names in lower case, values trimmed */
    size_t field_count;
    bool keep_alive; /* the server will answer again on this connection */
    bool chunked;
    bool until_close; /* the body ends with the connection */
    uint64_t length;  /* of the body, when neither */
};

enum answer_state { ANSWER_HEAD, ANSWER_BODY, ANSWER_DONE };

/* One answer as it arrives; see answer_init(). */
struct answer {
    enum answer_state state;
    bool is_head; /* the answer to a HEAD: no body follows */

    /* May be set behind answer_init(). */
    bool tells_interim; /* 1xx are told of, and not skipped */
    bool may_switch;    /* a 101 is an answer: bytes of another protocol are its body */

    bool keep_alive;
    bool is_chunked;
    bool until_close;
    uint8_t interims; /* that came before */
    uint32_t scanned; /* bytes of the head in whole lines */
    uint64_t left;    /* of a body with a length */
    struct chunked chunked;
    struct buf data;    /* what a chunked piece held */
    struct buf trailer; /* the section behind a chunked body: see answer_trailers() */
};

enum answer_event {
    ANSWER_GOT_MORE,    /* needs more bytes */
    ANSWER_GOT_INTERIM, /* the head of an answer before the one that counts */
    ANSWER_GOT_HEAD,
    ANSWER_GOT_BODY, /* a piece of it */
    ANSWER_GOT_END,
    ANSWER_GOT_BAD,
};

/* What a call of answer_read() found; borrows from the bytes and from the answer. */
struct answer_step {
    size_t used;             /* of the bytes, whatever the event */
    struct answer_head head; /* GOT_HEAD, GOT_INTERIM */
    struct slice body;       /* GOT_BODY */
    const char *why;         /* GOT_BAD: a sentence */
    struct field fields[ANSWER_FIELDS];
};

/* Before the first byte of the next answer. */
void answer_init(struct answer *, bool is_head);
void answer_deinit(struct answer *);

/*
 * Reads on, up to the next event.  A head is read once it is whole: until then none of
 * the bytes are used, and they must be offered again with what follows.  The names in
 * them are changed to lower case.
 */
enum answer_event answer_read(struct answer *, struct slice bytes, struct answer_step *);

/* After its end: the fields behind a chunked body, see chunked_trailers(). */
const struct field *answer_trailers(const struct answer *, struct arena *, size_t *count);

/* The connection has ended: was that the answer's end? */
bool answer_ends(const struct answer *);
