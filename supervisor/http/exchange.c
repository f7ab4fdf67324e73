#include "http/exchange.h"

#include <assert.h>
#include <stdio.h>

#include "http/conn.h"

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
    xfree(x);
}

void exchange_give(struct front *f, struct exchange *x)
{
    if (f->spare_count == SPARES_MAX) {
        exchange_free(x);
        return;
    }
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
    conn_answer(x->conn, answer);
    return true;
}

void exchange_send(struct exchange *x, const struct stored_sending *sending)
{
    conn_send(x->conn, sending);
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
    conn_answer(x->conn, &answer);
}
