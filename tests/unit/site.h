/*
 * site: a server on a free port, a handler that does what the test says, and clients.
 *
 * Server and clients share the test's thread: whoever waits turns the loop.
 */
#pragma once

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "http/server.h"

#include <cmocka.h>

enum { BIG = 8 << 20, HELD_MAX = 8 };

struct site {
    struct loop loop;
    struct http_handler handler;
    struct http_server *server;
    uint16_t port;
    struct exchange *held[HELD_MAX]; /* "/hold": answered when the test says so */
    size_t held_count;
    unsigned requests;
    unsigned gone;
    unsigned answered;
    unsigned last_status;
    uint64_t last_bytes;
    unsigned refused;
    unsigned refused_status;
    unsigned bodies;  /* calls of `body` */
    unsigned drains;  /* calls of `drained` */
    bool drained;     /* the server */
    char *big;        /* BIG bytes */
    const char *path; /* listen here instead; NULL = on a free port */

    /* What the test wants to be done instead of the usual; NULL = nothing but counting. */
    void (*on_request)(struct exchange *);
    void (*on_body)(struct exchange *);
    void (*on_drained)(struct exchange *);

    struct buf got; /* of bodies, for whom wants to keep them */
};

extern struct site *site; /* one per test */

extern const struct http_limits usual;

/* The handler takes bodies in pieces only when on_body is set before. */
void start(struct http_limits limits);

int site_setup(void **state);

/* What is still open when a test ends is closed by the server; nothing may be left. */
int site_teardown(void **state);

#define SITE_TEST(name) cmocka_unit_test_setup_teardown(name, site_setup, site_teardown)

/* ------------------------------------------------------------------ handler */

void answer(struct exchange *, struct slice body);

/* Takes the exchange that was held last. */
struct exchange *take_held(void);

void on_site_drained(void *arg);

/* ------------------------------------------------------------------- client */

void turn(void);
void turns_for(uint64_t ms);

/* receive_buffer 0 = the usual. */
int dial(int receive_buffer);

/* Sends all of it, the loop turning meanwhile; false when the server does not take it. */
bool put(int fd, struct slice bytes);
void say(int fd, const char *text);

/* Resets the connection. */
void break_off(int fd);

enum ending { STILL_OPEN, ENDED, RESET };

/* Reads until the end, or until `ms` have passed without a byte. */
enum ending hear(int fd, struct buf *heard, uint64_t ms);

/* Reads until so much has been heard in all. */
void hear_bytes(int fd, struct buf *heard, size_t total);

/* Reads until `text` has come. */
void await(int fd, struct buf *heard, const char *text);

void await_count(const size_t *count, size_t want);
void await_number(const unsigned *count, unsigned want);

unsigned occurrences(struct buf *heard, const char *text);

/* One client that says something; what it hears until the end must begin with `want`. */
void assert_answer(const char *said, const char *want, bool closes);

#define GET(path)  "GET " path " HTTP/1.1\r\nHost: a\r\n\r\n"
#define POST(rest) "POST / HTTP/1.1\r\nHost: a\r\n" rest
