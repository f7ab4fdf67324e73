#include "http/exchange.h"

#include <assert.h>
#include <stdio.h>
#include <unistd.h>

#include "http/conn.h"
#include "http/outgoing.h"

enum { SPARES_MAX = 256, BODY_KEEP = 4096 };

struct exchange *exchange_take(struct front *f, struct conn *conn)
{
    struct exchange *x;
    if (list_empty(&f->spare)) {
        x = xcalloc(1, sizeof(*x));
        list_init(&x->node);
    } else {
        x = list_last(&f->spare, struct exchange, node);
        list_del(&x->node);
        f->spare_count--;
    }
    x->conn = conn;
    return x;
}

static void exchange_free(struct exchange *x)
{
    arena_deinit(&x->arena);
    buf_deinit(&x->body);
    buf_deinit(&x->trailer);
    xfree(x);
}

void exchange_give(struct front *f, struct exchange *x)
{
    if (x->tell.run)
        task_cancel(&x->tell);
    if (f->spare_count == SPARES_MAX) {
        exchange_free(x);
        return;
    }
    buf_deinit(&x->trailer);
    arena_reset(&x->arena);
    buf_clear(&x->body);
    if (x->body.cap > BODY_KEEP)
        buf_deinit(&x->body);
    *x = (struct exchange){.arena = x->arena, .body = x->body};
    list_add(&f->spare, &x->node);
    f->spare_count++;
}

void exchange_free_spares(struct front *f)
{
    list_each_safe (at, &f->spare) {
        list_del(at);
        exchange_free(container_of(at, struct exchange, node));
    }
    f->spare_count = 0;
}

const struct http_request *exchange_request(const struct exchange *x)
{
    return &x->request;
}

void exchange_set_data(struct exchange *x, void *data)
{
    x->data = data;
}

void exchange_set_endless(struct exchange *x)
{
    x->endless = true;
}

void *exchange_data(const struct exchange *x)
{
    return x->data;
}

struct arena *exchange_arena(struct exchange *x)
{
    return &x->arena;
}

bool exchange_respond(struct exchange *x, const struct http_answer *answer, struct err *why)
{
    if (!response_check(answer, why))
        return false;
    outgoing_answer(x->conn, answer);
    return true;
}

void exchange_send(struct exchange *x, const struct stored_sending *sending)
{
    outgoing_send(x->conn, sending);
}

void exchange_fail(struct exchange *x, const struct http_problem *problem)
{
    struct buf *body = &x->conn->front->scratch;
    struct field headers[2];
    size_t count = 0;
    char seconds[16];
    assert(problem->status >= 400 && problem->status <= 599);
    if (problem->retry_after_s) {
        int len = snprintf(seconds, sizeof(seconds), "%u", problem->retry_after_s);
        headers[count++] = (struct field){SLICE("Retry-After"), {seconds, (size_t)len}};
    }
    if (problem->allow.len)
        headers[count++] = (struct field){SLICE("Allow"), problem->allow};
    buf_clear(body);
    response_problem(body, problem->status, problem->detail, x->request.path, x->request.id,
                     problem->members);
    struct http_answer answer = {
        .status = problem->status,
        .headers = headers,
        .header_count = count,
        .content_type = SLICE("application/problem+json"),
        .body = buf_slice(body),
    };
    outgoing_answer(x->conn, &answer);
}

/* ------------------------------------------------------- an answer in pieces */

static bool complain(struct err *why, const char *what)
{
    IGNORE(err_set(why, -1, "%s", what)); /* the sentence is all that is wanted */
    return false;
}

bool exchange_inform(struct exchange *x, unsigned status, const struct field *fields,
                     size_t count, struct err *why)
{
    struct http_answer interim = {.status = status, .headers = fields, .header_count = count};
    if (status < 102 || status > 199)
        return complain(why, "the status of an interim answer must be 102 to 199");
    if (!response_check_fields(&interim, why))
        return false;
    if (x->request.version_minor == 0 || x->out.begun)
        return true;
    outgoing_watch(x->conn);
    response_interim(stream_out(&x->conn->stream), status, fields, count);
    return true;
}

bool exchange_begin(struct exchange *x, const struct http_answer *answer, struct err *why)
{
    uint64_t length;
    bool has_length;
    if (!response_check(answer, why) || !response_length(answer, &has_length, &length, why))
        return false;
    outgoing_begin(x->conn, answer, has_length, length);
    return true;
}

bool exchange_write(struct exchange *x, struct slice bytes)
{
    assert(x->out.begun);
    return outgoing_write(x->conn, bytes);
}

size_t exchange_unsent(const struct exchange *x)
{
    return stream_unsent(&x->conn->stream);
}

bool exchange_end(struct exchange *x, const struct field *trailers, size_t count)
{
    return outgoing_end(x->conn, trailers, count);
}

void exchange_abort(struct exchange *x)
{
    outgoing_abort(x->conn);
}

bool exchange_send_file(struct exchange *x, const struct http_answer *answer,
                        const struct http_file *file, struct err *why)
{
    if (response_check(answer, why)) {
        if (outgoing_file(x->conn, answer, file))
            return true;
        IGNORE(complain(why, "the file is shorter than what is to be sent of it"));
    }
    close(file->fd);
    return false;
}

bool exchange_upgrade(struct exchange *x, const struct http_answer *answer, struct err *why)
{
    if (answer->status != 101)
        return complain(why, "the status of an upgrade must be 101");
    if (!x->request.upgrade.len)
        return complain(why, "the client did not ask for an upgrade");
    if (!response_check_fields(answer, why))
        return false;
    outgoing_upgrade(x->conn, answer);
    return true;
}
