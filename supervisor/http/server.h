/*
 * server: listeners, their connections, and the door to whoever answers.
 *
 * A connection reads one request at a time and hands it to the handler as an exchange: with
 * its whole body when that is small and its length known, else as soon as the head is
 * whole (`more`), and the body follows in pieces.  The handler answers now or later, with
 * one exchange_respond() or exchange_fail(), or in pieces from exchange_begin() to
 * exchange_end(); until then the exchange is valid, unless `gone` says that the client has
 * left, after which it must not be touched.
 * Answers leave in the order of the requests.  Bad requests never reach the
 * handler: the server answers them itself (400, 408, 413, 414, 417, 431, 501, 505).
 */
#pragma once

#include "base/arena.h"
#include "base/err.h"
#include "http/response.h"
#include "loop/loop.h"

struct http_server;
struct exchange;
struct stored_sending;

/* What a client is told whose request is not served. */
struct refusal {
    unsigned status;
    const char *detail; /* a static sentence */
};

struct http_limits {
    size_t head_bytes;          /* request line and fields: 431, or 414 for the line */
    size_t target_bytes;        /* request target: 414 */
    size_t header_count;        /* fields: 431 */
    uint64_t body_bytes;        /* 413 */
    uint64_t header_timeout_ms; /* first byte to end of head, in all: 408 */
    uint64_t body_timeout_ms;   /* between two reads of a body: 408 */
    uint64_t idle_timeout_ms;   /* between two requests: closed */
    uint64_t send_timeout_ms;   /* the client takes nothing of an answer: reset */
    size_t connections;         /* beyond it the longest idle one goes, else 503 and close */
    unsigned spare_files;       /* so many descriptors no connection may take */
};

/* What the client asked.  Borrowed from the exchange, valid as long as it is. */
struct http_request {
    struct slice method; /* as sent; methods are case-sensitive */
    struct slice path;   /* origin form, percent-encoded, dot segments resolved */
    bool has_query;
    struct slice query; /* without "?" */
    const struct field
        *headers; /* lower-case names, hop-by-hop removed, X-Forwarded-* judged */
    size_t header_count;
    struct slice host;  /* of the Host field or the absolute-form target */
    struct slice body;  /* whole, chunked coding removed; empty when `more` */
    bool more;          /* the body comes in pieces: exchange_body() */
    struct slice start; /* of that, what was consumed first, for people: EXCHANGE_SHOWN */
    bool has_length;    /* `length` is what Content-Length says; else it is chunked, or none */
    uint64_t length;
    struct slice upgrade; /* the protocol that the client would change to, lower case:
                             "websocket"; empty = none.  Only with HTTP/1.1 and no body */
    struct slice ip;      /* after trusted proxies */
    bool https;
    struct slice id;        /* X-Request-Id: from a trusted proxy, else made here */
    unsigned version_minor; /* HTTP/1.x */
    bool asterisk;          /* "OPTIONS *" */
};

struct http_handler {
    void (*request)(struct http_handler *, struct exchange *);

    /*
     * The client left before the answer was whole, or the rest of its body is refused (then
     * the server answers, if nothing was said yet); the exchange ends when this returns.
     * Comes after `answered`.  Also for what is under way in http_server_free().
     */
    void (*gone)(struct http_handler *, struct exchange *);

    /*
     * A request with `more`, or after exchange_upgrade(): more of the body is there, or it
     * has ended.  Comes from the loop, never from within a function of the exchange.  NULL:
     * all bodies are collected and handed over whole, whatever their length (`more` is false).
     */
    void (*body)(struct http_handler *, struct exchange *);

    /*
     * Of what exchange_write() was given little is left to send (EXCHANGE_LOW).  From the
     * loop; only after exchange_unsent() has been above that.  May be NULL.
     */
    void (*drained)(struct http_handler *, struct exchange *);

    /*
     * An answer has been handed to the connection (or its client left: status 499).
     * For the access log; the exchange is still whole.  May be NULL.
     */
    void (*answered)(struct http_handler *, struct exchange *, unsigned status,
                     uint64_t body_bytes, uint64_t took_us);

    /* A bad request, or one connection too many, was turned away.  May be NULL. */
    void (*refused)(struct http_handler *, struct slice ip, const struct refusal *);

    /*
     * A request whose head is whole is about to be turned away: another answer than the
     * usual one, of the same status, or false.  It is valid until the next call.  May be
     * NULL.
     */
    bool (*refusing)(struct http_handler *, const struct http_request *, const struct refusal *,
                     struct http_answer *);
};

struct http_options {
    struct http_limits limits;
    const char *const *trusted_proxies; /* addresses, CIDR blocks, "unix"; NULL-terminated */
    struct http_handler *handler;
};

/* Copies the options.  Never fails; opens nothing. */
struct http_server *http_server_new(struct loop *, const struct http_options *);

/*
 * Other limits from now on, also for connections that are open; other trusted proxies
 * for those that are yet to come.  The handler stays.
 */
void http_server_configure(struct http_server *, const struct http_options *);

/* Opens an address (see listener_open); may be called for several. */
int http_server_listen(struct http_server *, const char *address, struct err *) MUST_CHECK;

/* The same with a listening socket that was passed, see listener_take(); owns it. */
int http_server_take(struct http_server *, int fd, struct err *) MUST_CHECK;

/* "http://127.0.0.1:8000" of the n-th listener, NULL past the last. */
const char *http_server_url(const struct http_server *, size_t n);

/*
 * Stops accepting; answers carry "Connection: close" from now on; connections that
 * idle are closed after a moment in which a request under way still arrives.
 * `drained` is called (from the loop) when no connection is left.
 */
void http_server_drain(struct http_server *, void (*drained)(void *), void *arg);

/* Open connections without those whose answer is endless: how many end without a push. */
size_t http_server_ending(const struct http_server *);

/* Closes everything at once and frees it when the handles are closed.  Takes NULL. */
void http_server_free(struct http_server *);

size_t http_server_connections(const struct http_server *);

/* ---------------------------------------------------------------- exchange */

const struct http_request *exchange_request(const struct exchange *);

/* The handler's own pointer. */
void exchange_set_data(struct exchange *, void *);
void *exchange_data(const struct exchange *);

/* Its answer goes on until the handler is told to stop: see http_server_ending(). */
void exchange_set_endless(struct exchange *);

enum {
    EXCHANGE_INLINE = 64 * 1024, /* a body of a known length up to this is handed over whole */
    EXCHANGE_SHOWN = 4096,       /* bytes of a body in pieces that can be shown later */
    EXCHANGE_LOW = 64 * 1024,    /* unsent bytes below which an answer may be continued */
};

/* Memory that ends with the exchange. */
struct arena *exchange_arena(struct exchange *);

/*
 * Answers.  Checks the answer first: false, and nothing was sent, when a field name
 * is no token, a value holds CR, LF or NUL, or the status is not 200..999; `why`
 * says which.  On true the exchange has ended.
 */
bool exchange_respond(struct exchange *, const struct http_answer *,
                      struct err *why) MUST_CHECK;

/* Answers with bytes that exist already (http/stored.h).  Ends the exchange. */
void exchange_send(struct exchange *, const struct stored_sending *);

/*
 * Answers with application/problem+json (RFC 9457).  `detail` may be empty;
 * retry_after_s 0 = no Retry-After; `allow` is for 405, else empty.  Ends the exchange.
 */
struct http_problem {
    unsigned status;
    struct slice detail;
    unsigned retry_after_s;
    struct slice allow;
    struct slice members; /* more of the object, raw JSON: ",\"worker\":\"fib\"" */
};

void exchange_fail(struct exchange *, const struct http_problem *);

/* -------------------------------------------------- a request's body in pieces */

/* What is here and not consumed yet: borrowed until the next call.  The connection reads no
 * more while EXCHANGE_INLINE bytes lie here. */
struct slice exchange_body(const struct exchange *);
void exchange_consume(struct exchange *, size_t bytes);

/* Nothing follows what exchange_body() gives. */
bool exchange_body_ended(const struct exchange *);

/* After its end: the trailer fields that a chunked body had, names in lower case. */
const struct field *exchange_trailers(const struct exchange *, size_t *count);

/* The body is wanted: a client that waits for "100 Continue" is told so, once. */
void exchange_continue(struct exchange *);

/* ------------------------------------------------------- an answer in pieces */

/*
 * An interim answer, status 102..199; 100 is exchange_continue()'s and 101 is
 * exchange_upgrade()'s.  Nothing is sent to HTTP/1.0, or once the answer has begun.  False
 * with a sentence when it may not be sent.
 */
bool exchange_inform(struct exchange *, unsigned status, const struct field *, size_t count,
                     struct err *why) MUST_CHECK;

/*
 * The head of an answer, and its first piece (`body`, may be empty).  A Content-Length among
 * the fields is kept and must be met; without one the body is chunked, or ends with the
 * connection for HTTP/1.0.  False, and nothing was sent, as exchange_respond().
 */
bool exchange_begin(struct exchange *, const struct http_answer *, struct err *why) MUST_CHECK;

/* A piece; copied, and sent at the end of this turn.  False when it is beyond the announced
 * Content-Length: it was cut off there, and the answer can only be ended. */
bool exchange_write(struct exchange *, struct slice bytes);

/* Bytes of the answer that the kernel has not taken yet. */
size_t exchange_unsent(const struct exchange *);

/* The answer is whole, when as much as announced was written; else it is aborted, and false is
 * returned.  Ends the exchange.  Trailer fields are sent when the answer is chunked and they
 * are valid. */
bool exchange_end(struct exchange *, const struct field *trailers, size_t count);

/* The rest will never come, which the client sees: the connection is cut.  Ends the exchange.
 */
void exchange_abort(struct exchange *);

/*
 * Answers with a part of a file, by sendfile(2); `fd` is owned from now on and closed also on
 * failure.  Ends the exchange for the handler at once; the connection sends on by itself.
 * A file that turns out shorter cuts the connection.
 */
struct http_file {
    int fd;
    uint64_t offset;
    uint64_t length;
};

bool exchange_send_file(struct exchange *, const struct http_answer *, const struct http_file *,
                        struct err *why) MUST_CHECK;

/*
 * Answers 101 with these fields (Connection: Upgrade is added): from now on the connection is
 * a stream of bytes, read by exchange_body() and written by exchange_write(), neither with a
 * timeout of its own.  exchange_end() ends the writing side and the exchange; the client's end
 * is the body's.
 */
bool exchange_upgrade(struct exchange *, const struct http_answer *,
                      struct err *why) MUST_CHECK;
