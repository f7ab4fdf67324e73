/*
 * frame: the worker protocol's lines, read and written (protocol/PROTOCOL.md).
 *
 * Reading borrows: every slice and value in a frame points into the line it was
 * read from.  A peer's bad line is data, not an error: a verdict says what the
 * line is, and `fault` says why in words.  Writing appends one whole line, with
 * its LF, to a buffer.
 */
#pragma once

#include "base/json.h"

enum { FRAME_ID_MAX = 64 }; /* bytes of a worker's own string id */

enum frame_verdict {
    FRAME_OK,    /* a frame */
    FRAME_EMPTY, /* an empty line: ignore */
    FRAME_STRAY, /* no frame at all: a log line (PROTOCOL.md, malformed input, rules 1 and 3) */
    FRAME_BROKEN, /* meant to be a frame and unreadable (rule 2); `id` may be known */
};

enum frame_kind {
    FRAME_RESPONSE,
    FRAME_CHUNK,   /* more of a body that was begun with `more` */
    FRAME_END,     /* its end, or that of a WebSocket */
    FRAME_CREDIT,  /* so many bytes more of a request's body may be sent */
    FRAME_MESSAGE, /* of a WebSocket */
    FRAME_INFO,    /* an interim answer, 1xx */
    FRAME_READY,
    FRAME_ERROR,
    FRAME_ASK,
    FRAME_ANSWER,
    FRAME_CANCEL,
    FRAME_PONG,
    FRAME_LOG,
    FRAME_DRAIN,
    FRAME_PUBLISH,  /* a message for the bus */
    FRAME_ACK,      /* an event or a job is handled */
    FRAME_NACK,     /* it is not */
    FRAME_PROGRESS, /* its handler lives: its time begins anew */
    FRAME_SEEK,     /* a group is to begin elsewhere */
    FRAME_UNKNOWN,  /* a `type` that this supervisor does not know: ignore */
};

enum frame_id_kind { FRAME_ID_NONE, FRAME_ID_NULL, FRAME_ID_NUMBER, FRAME_ID_STRING };

/* Where a group begins: `from` of a subscription, `to` of a seek. */
enum frame_start_kind {
    FRAME_START_NEW,
    FRAME_START_FIRST,
    FRAME_START_SEQ,  /* `number` is the first seq that it gets */
    FRAME_START_TIME, /* `number` are ms since 1970 */
};

struct frame_start {
    enum frame_start_kind kind;
    uint64_t number;
};

struct frame_id {
    enum frame_id_kind kind;
    uint64_t number;  /* FRAME_ID_NUMBER: 0..2^53-1 */
    struct slice raw; /* as written, quotes included; "null" when there is none */
};

enum frame_body { FRAME_BODY_NONE, FRAME_BODY_TEXT, FRAME_BODY_BASE64, FRAME_BODY_JSON };

/*
 * Members that were absent have raw.len 0, status 0, false, or FRAME_ID_NONE.  Of a
 * FRAME_BROKEN line only `kind`, `type`, `id` and `fault` are filled in, `id` and `kind`
 * as far as they could be found.
 */
struct frame {
    enum frame_kind kind;
    struct slice prefix; /* what stood before the frame on its line: log it */
    struct slice text;   /* the frame itself, without prefix and white space around it */
    struct slice type;   /* the `type` member's text as written, for FRAME_UNKNOWN */
    bool dirty;          /* mend the line and read it again: see frame_line_clean() */
    struct frame_id id;
    uint64_t status;           /* response, error, info */
    struct json_value reason;  /* response, cancel, end: a string */
    struct json_value headers; /* response, info; `trailers` of an end: an object of strings and
                                  arrays of strings; publish: an object of strings */
    enum frame_body body_kind;
    struct json_value body; /* response, chunk, end, message (text or base64) */
    bool more;
    struct json_value file; /* response: an absolute path, a string; raw.len 0 = none */
    uint64_t offset;        /* of a file: where to begin */
    bool has_length;        /* of a file: else up to its end */
    uint64_t length;
    uint64_t bytes;            /* credit: 1 .. 2^53-1 */
    uint64_t close_code;       /* end of a WebSocket: 1000..4999; 0 = none is given */
    struct json_value code;    /* error: a string */
    struct json_value message; /* error, log: a string */
    struct json_value stack;   /* error: a string */
    struct json_value data;    /* error, publish: anything */
    struct json_value token;   /* ask: a string */
    struct json_value payload; /* ask `args`, answer `value`, log `fields`: anything */
    struct frame_id for_id;    /* ask, publish: what the worker is serving */
    bool has_timeout;
    uint64_t timeout_ms;                               /* ask */
    uint64_t grace_ms;                                 /* drain */
    uint64_t inflight;                                 /* pong */
    uint64_t rss;                                      /* pong, bytes */
    struct json_value level;                           /* log: a string */
    struct json_value topic;                           /* publish: a string; or */
    struct json_value queue;                           /* publish: a string */
    struct json_value key;                             /* publish: a string, or null */
    struct json_value msgid;                           /* publish: a string */
    struct json_value cause, correlation, traceparent; /* publish: strings */
    bool has_at;
    uint64_t at_ms; /* publish: ms since 1970 */
    bool has_delay;
    uint64_t delay_ms;         /* publish, nack */
    struct json_value outputs; /* ack `publish`: an array of objects as of publish frames */
    bool dead;                 /* nack */
    struct json_value failure; /* nack `error`: an object */
    struct json_value group;   /* seek: a string */
    struct frame_start to;     /* seek */
    const char *fault;         /* FRAME_BROKEN, FRAME_STRAY: a static sentence */
};

/*
 * Reads one line (without its LF).  Always fills in `frame`.  When that is `dirty` (bytes
 * that are not UTF-8, lone surrogates), its values must not be spliced anywhere: the
 * caller mends the line with frame_line_clean() and reads the result.
 */
enum frame_verdict frame_read(struct slice line, struct frame *);

/*
 * True when the frame's id is one of the supervisor's: that of a response and what follows
 * it, of an answer, an error or a pong.  Only then may a broken frame fail what has that
 * id; the id of a worker's own ask is from another space.
 */
bool frame_answers(const struct frame *);

/* Appends the bytes that a frame's body stands for; raw JSON as it is. */
void frame_body_decode(const struct frame *, struct buf *);

/*
 * Those bytes, borrowed: from the line where they stand in it as they are, else from `scratch`,
 * to which they are added.
 */
struct slice frame_body_bytes(const struct frame *, struct buf *scratch);

/* The number of those bytes when it is cheap to say, that is without escapes. */
bool frame_body_size(const struct frame *, size_t *size);

/*
 * Makes a line safe to splice: when it holds bad UTF-8 or lone surrogates, writes
 * the mended line to `scratch` and returns that, otherwise returns the line itself.
 */
struct slice frame_line_clean(struct slice line, struct buf *scratch);

/*
 * The supervisor's id in the first 256 bytes of a line that could not be read, for
 * instance because it is too long; kind NONE if there is none, or when the line is of a
 * kind whose id is the worker's.
 */
struct frame_id frame_salvage_id(struct slice line);

struct frame_request {
    struct slice method;
    struct slice path;
    bool has_query;
    struct slice query;
    const struct field *headers; /* lower-case names, values as bytes */
    size_t header_count;
    struct slice ip;
    bool https;
    const struct field *params;
    size_t param_count;
    struct slice token;
    struct slice upgrade; /* "websocket", or another protocol; empty = none */
    struct slice body;    /* empty = none */
    bool body_as_json;    /* the body is validated JSON and the worker wants `json` */
    bool more;            /* chunks follow, up to an end */
};

/*
 * Everything of a request line that does not change when it is sent again: all but
 * the id and the time left, up to and with the LF.
 */
void frame_write_request_tail(struct buf *, const struct frame_request *);

/* A whole request line: the head with id and time left (ms), then a tail. */
void frame_write_request(struct buf *, uint64_t id, uint64_t timeout_ms, struct slice tail);

struct frame_hello {
    struct slice server; /* "nodey/0.1.0" */
    struct slice worker;
    unsigned instance;
    bool dev;
    uint64_t max_line;
    uint64_t
        window; /* bytes of an answer's body that may be under way at first; 0 = not said */
    const char *const *tokens; /* NULL-terminated; may be NULL */
    const char *const *roots;  /* absolute: `file` may name what lies in these; may be NULL */
};

enum { FRAME_CHUNK_MAX = 65536 }; /* bytes of body in one chunk */

void frame_write_hello(struct buf *, const struct frame_hello *);

struct frame_ask {
    uint64_t id;
    struct slice token;
    struct slice from; /* "web#0" */
    uint64_t timeout_ms;
    unsigned depth;
    bool nested;
    struct slice args; /* raw JSON; empty = none */
};

void frame_write_ask(struct buf *, const struct frame_ask *);

/* A message for a handler, PROTOCOL.md 20.  Slices that are absent are empty. */
struct frame_event {
    uint64_t id; /* 0 = no answer is wanted */
    bool job;    /* `topic` is a queue's name */
    struct slice topic, group, msgid, key, cause, correlation, traceparent;
    struct slice headers; /* raw JSON */
    uint64_t seq;
    int64_t time_ms;
    unsigned attempt;
    bool last;
    uint64_t timeout_ms; /* 0 = none */
    struct slice data;   /* raw JSON; or */
    struct slice file;   /* the absolute path of its bytes, and */
    uint64_t size;       /* how many they are */
};

void frame_write_event(struct buf *, const struct frame_event *);

/* The answer to a publish: it is stored. */
void frame_write_published(struct buf *, struct slice id_raw, uint64_t seq, bool duplicate);

/* Messages from..to were removed before this group had read them. */
void frame_write_gap(struct buf *, struct slice group, uint64_t from, uint64_t to);

/*
 * One object of an ack's `publish`, read like a publish frame: NULL, or a static sentence when
 * it is none.
 */
const char *frame_read_output(const struct json_value *, struct frame *);

/* "first", "new", {"seq":n} or {"time":ms}; false when it is none of them. */
bool frame_read_start(const struct json_value *, struct frame_start *);

/* value: raw JSON; empty = null.  id is echoed as the asker wrote it. */
void frame_write_answer(struct buf *, struct slice id_raw, struct slice value);
void frame_write_error(struct buf *, struct slice id_raw, const char *code,
                       struct slice message, struct slice data);
/*
 * A piece of a body, at most FRAME_CHUNK_MAX bytes: as text when it is ASCII that needs no
 * escapes, else as base64, which readers decode faster than escapes.
 */
void frame_write_chunk(struct buf *, uint64_t id, struct slice bytes);

/* A WebSocket's message, whole; `text` must be valid UTF-8. */
void frame_write_message(struct buf *, uint64_t id, bool text, struct slice bytes);

/* The end of a body, or of a WebSocket. */
struct frame_end {
    const struct field *trailers; /* lower-case names */
    size_t trailer_count;
    unsigned close_code; /* of a WebSocket; 0 = none */
    struct slice reason; /* of a WebSocket: valid UTF-8 */
};

void frame_write_end(struct buf *, uint64_t id, const struct frame_end *);
void frame_write_credit(struct buf *, uint64_t id, uint64_t bytes);
void frame_write_cancel(struct buf *, uint64_t id, const char *reason);
void frame_write_ping(struct buf *, uint64_t id);
void frame_write_drain(struct buf *, uint64_t grace_ms);
void frame_write_shutdown(struct buf *, uint64_t grace_ms);

/* The HTTP status of an error code ("not_found" is 404); 500 for one not known. */
unsigned frame_code_status(struct slice code);
