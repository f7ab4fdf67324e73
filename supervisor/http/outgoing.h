/*
 * outgoing: answers, whole, in pieces, and as files.
 *
 * What is written here was checked before: see exchange.c.
 */
#pragma once

#include "http/conn.h"

/* Before anything is written: from now on it is watched whether the client takes it. */
void outgoing_watch(struct conn *);

/* Part of what was written has left: asks for more, when enough has. */
void outgoing_eased(struct conn *);

/* Each ends the exchange. */
void outgoing_answer(struct conn *, const struct http_answer *);
void outgoing_send(struct conn *, const struct stored_sending *);
bool outgoing_end(struct conn *, const struct field *trailers, size_t count);
void outgoing_abort(struct conn *);

/* See exchange_begin() and exchange_write().  has_length: `length` was announced. */
void outgoing_begin(struct conn *, const struct http_answer *, bool has_length,
                    uint64_t length);
bool outgoing_write(struct conn *, struct slice);

/* Small ones at once, and false when the file is shorter than announced; else true. */
bool outgoing_file(struct conn *, const struct http_answer *, const struct http_file *);

/* SENDING, and the connection ends before the file does. */
void outgoing_drop_file(struct conn *);

void outgoing_upgrade(struct conn *, const struct http_answer *);
