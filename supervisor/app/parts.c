#include "app/parts.h"

#include <stdio.h>
#include <unistd.h>

#include "app/gateway.h"
#include "base/siphash.h"

enum { PIECE = 64 * 1024, BOUNDARY_MAX = 40, TYPE_MAX = 80 };

/* Lives in the exchange's arena. */
struct parts {
    struct pending pending;
    struct exchange *exchange;
    int fd;
    uint64_t size;
    struct slice type;
    struct byte_ranges ranges;
    size_t at;     /* the part that is being sent */
    uint64_t done; /* bytes of it that were */
    char boundary[BOUNDARY_MAX];
};

/* What stands before a part; `n` one beyond the last: what ends them all. */
static struct slice delimiter(const struct parts *p, size_t n, char *text, size_t size)
{
    int len;
    if (n == p->ranges.count) {
        len = snprintf(text, size, "\r\n--%s--\r\n", p->boundary);
    } else {
        const struct byte_range *range = &p->ranges.items[n];
        len = snprintf(text, size,
                       "%s--%s\r\nContent-Type: " SLICE_FMT
                       "\r\nContent-Range: bytes %llu-%llu/%llu\r\n\r\n",
                       n ? "\r\n" : "", p->boundary, SLICE_ARG(p->type),
                       (unsigned long long)range->first,
                       (unsigned long long)(range->first + range->length - 1),
                       (unsigned long long)p->size);
    }
    return (struct slice){text, (size_t)len};
}

enum { DELIMITER_MAX = BOUNDARY_MAX + 256 };

static uint64_t length_of_all(const struct parts *p)
{
    char text[DELIMITER_MAX];
    uint64_t length = delimiter(p, p->ranges.count, text, sizeof(text)).len;
    for (size_t i = 0; i < p->ranges.count; i++)
        length += delimiter(p, i, text, sizeof(text)).len + p->ranges.items[i].length;
    return length;
}

/* False when the file has become shorter. */
static bool send_piece(struct parts *p)
{
    char text[DELIMITER_MAX], bytes[PIECE];
    const struct byte_range *range = &p->ranges.items[p->at];
    if (p->done == 0)
        exchange_write(p->exchange, delimiter(p, p->at, text, sizeof(text)));
    ssize_t n = pread(p->fd, bytes, (size_t)MIN(range->length - p->done, (uint64_t)PIECE),
                      (off_t)(range->first + p->done));
    if (n <= 0)
        return false;
    exchange_write(p->exchange, (struct slice){bytes, (size_t)n});
    p->done += (uint64_t)n;
    if (p->done == range->length) {
        p->at++;
        p->done = 0;
    }
    return true;
}

/* As far as the client keeps up. */
static void send_more(struct parts *p)
{
    char text[DELIMITER_MAX];
    while (p->at < p->ranges.count && exchange_unsent(p->exchange) <= EXCHANGE_LOW) {
        if (!send_piece(p)) {
            close(p->fd);
            exchange_abort(p->exchange);
            return;
        }
    }
    if (p->at < p->ranges.count)
        return;
    close(p->fd);
    exchange_write(p->exchange, delimiter(p, p->at, text, sizeof(text)));
    exchange_end(p->exchange, NULL, 0);
}

static void on_drained(struct pending *pending)
{
    send_more(container_of(pending, struct parts, pending));
}

static void on_gone(struct pending *pending)
{
    close(container_of(pending, struct parts, pending)->fd);
}

/* It tells of no secret: that no file holds it by accident is all that is wanted. */
static void make_boundary(struct parts *p, struct slice id)
{
    uint64_t hash = siphash(&(struct siphash_key){{0}}, id);
    snprintf(p->boundary, sizeof(p->boundary), "nodey-%016llx", (unsigned long long)hash);
}

void parts_send(struct exchange *x, const struct http_answer *answer, int fd, uint64_t size,
                const struct byte_ranges *ranges)
{
    struct arena *arena = exchange_arena(x);
    struct parts *p = arena_alloc(arena, sizeof(*p));
    *p = (struct parts){.pending = {.gone = on_gone, .drained = on_drained},
                        .exchange = x,
                        .fd = fd,
                        .size = size,
                        .type = answer->content_type,
                        .ranges = *ranges};
    make_boundary(p, exchange_request(x)->id);
    char type[TYPE_MAX], length[24];
    snprintf(type, sizeof(type), "multipart/byteranges; boundary=%s", p->boundary);
    snprintf(length, sizeof(length), "%llu", (unsigned long long)length_of_all(p));
    struct field *fields = arena_alloc(arena, (answer->header_count + 1) * sizeof(*fields));
    memcpy(fields, answer->headers, answer->header_count * sizeof(*fields));
    fields[answer->header_count] = (struct field){SLICE("Content-Length"), slice_of(length)};
    struct http_answer head = {.status = 206,
                               .headers = fields,
                               .header_count = answer->header_count + 1,
                               .content_type = slice_of(type)};
    struct err err;
    exchange_set_data(x, &p->pending);
    if (exchange_begin(x, &head, &err)) {
        send_more(p);
        return;
    }
    close(fd);
    exchange_fail(x, &(struct http_problem){.status = 500, .detail = slice_of(err.text)});
}
