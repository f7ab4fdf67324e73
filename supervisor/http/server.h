/*
 * server: listeners, their connections, and the door to whoever answers.
 *
 * A connection reads one request at a time, body collected, and hands it to the
 * handler as an exchange.  The handler answers now or later with one
 * exchange_respond() or exchange_fail(); until then the exchange is valid, unless
 * `gone` says that the client has left, after which it must not be touched.
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
    size_t body_bytes;          /* 413 */
    uint64_t header_timeout_ms; /* first byte to end of head, in all: 408 */
    uint64_t body_timeout_ms;   /* between two reads of a body: 408 */
    uint64_t idle_timeout_ms;   /* between two requests: closed */
    uint64_t send_timeout_ms;   /* the client takes nothing of an answer: reset */
    size_t connections;         /* beyond it the longest idle one goes, else 503 and close */
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
    struct slice host; /* of the Host field or the absolute-form target */
    struct slice body; /* whole, chunked coding removed */
    struct slice ip;   /* after trusted proxies */
    bool https;
    struct slice id;        /* X-Request-Id: from a trusted proxy, else made here */
    unsigned version_minor; /* HTTP/1.x */
    bool asterisk;          /* "OPTIONS *" */
};

struct http_handler {
    void (*request)(struct http_handler *, struct exchange *);

    /*
     * The client left before the answer; the exchange ends when this returns.  Comes
     * after `answered` with 499.  Also for what is under way in http_server_free().
     */
    void (*gone)(struct http_handler *, struct exchange *);

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

/* "http://127.0.0.1:8000" of the n-th listener, NULL past the last. */
const char *http_server_url(const struct http_server *, size_t n);

/*
 * Stops accepting; answers carry "Connection: close" from now on; connections that
 * idle are closed after a moment in which a request under way still arrives.
 * `drained` is called (from the loop) when no connection is left.
 */
void http_server_drain(struct http_server *, void (*drained)(void *), void *arg);

/* Closes everything at once and frees it when the handles are closed.  Takes NULL. */
void http_server_free(struct http_server *);

size_t http_server_connections(const struct http_server *);

/* ---------------------------------------------------------------- exchange */

const struct http_request *exchange_request(const struct exchange *);

/* The handler's own pointer. */
void exchange_set_data(struct exchange *, void *);
void *exchange_data(const struct exchange *);

/* Memory that ends with the exchange. */
struct arena *exchange_arena(struct exchange *);

/*
 * Answers.  Checks the answer first: false, and nothing was sent, when a field name
 * is no token, a value holds CR, LF or NUL, or the status is not 200..599; `why`
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
