#include "app/found.h"

#include <stdio.h>
#include <time.h>
#include <unistd.h>

#include "app/parts.h"
#include "http/etag.h"
#include "http/mediatype.h"
#include "http/ranges.h"

enum {
    /* Up to here a file is read and leaves with its head in one system call. */
    SMALL = FILECACHE_FILE_MAX,
    ETAG_MAX = 64,
    DATE_MAX = 32,
    RANGE_MAX = 80,
    LENGTH_MAX = 24,
    FIELDS_MAX = 10,
};

bool found_path(const struct asked *a, const struct found *f, char path[PATH_MAX])
{
    static const char *const suffixes[CODING_COUNT] = {[CODING_IDENTITY] = "",
                                                       [CODING_BR] = ".br",
                                                       [CODING_ZSTD] = ".zst",
                                                       [CODING_GZIP] = ".gz"};
    int len = snprintf(path, PATH_MAX, "%s/" SLICE_FMT "%s", a->route->root, SLICE_ARG(f->name),
                       suffixes[f->coding]);
    return len < PATH_MAX;
}

void found_close(const struct found *f)
{
    if (f->file.fd >= 0)
        close(f->file.fd);
}

void found_fail(const struct asked *a, unsigned status, const char *detail)
{
    errorpage_send(a->gateway->errors, a->exchange,
                   &(struct failure){.status = status,
                                     .detail = slice_of(detail),
                                     .retry_after_s = status == 503});
}

/* --------------------------------------------------------------------- the head */

/* The fields of an answer, with room for what they hold. */
struct head {
    struct field fields[FIELDS_MAX];
    size_t count;
    char etag[ETAG_MAX], date[DATE_MAX], range[RANGE_MAX], length[LENGTH_MAX];
};

static void add_field(struct head *h, struct slice name, struct slice value)
{
    h->fields[h->count++] = (struct field){name, value};
}

static void read_validators(const struct found *f, int64_t now_s, struct head *h,
                            struct validators *v)
{
    const struct stat *st = &f->file.st;
    bool coded = f->coding != CODING_IDENTITY;
    int len = snprintf(h->etag, sizeof(h->etag), "\"%llx-%llx-%llx%s%s\"",
                       (unsigned long long)st->st_mtim.tv_sec * 1000000000 +
                           (unsigned long long)st->st_mtim.tv_nsec,
                       (unsigned long long)st->st_size, (unsigned long long)st->st_ino,
                       coded ? "-" : "", coded ? coding_name(f->coding).ptr : "");
    *v = (struct validators){.etag = {h->etag, (size_t)len},
                             .modified_s = MIN((int64_t)st->st_mtim.tv_sec, now_s)};
}

/* What a 304 says as well. */
static void add_common(struct head *h, const struct asked *a, const struct found *f,
                       const struct validators *v)
{
    add_field(h, SLICE("ETag"), v->etag);
    if (a->route->cache_control)
        add_field(h, SLICE("Cache-Control"), slice_of(a->route->cache_control));
    if (!f->packed)
        add_field(h, SLICE("Vary"), SLICE("Accept-Encoding"));
}

static void add_content(struct head *h, const struct found *f, const struct validators *v)
{
    time_t when = (time_t)v->modified_s;
    struct tm utc;
    strftime(h->date, sizeof(h->date), "%a, %d %b %Y %H:%M:%S GMT", gmtime_r(&when, &utc));
    add_field(h, SLICE("Last-Modified"), slice_of(h->date));
    add_field(h, SLICE("Accept-Ranges"), SLICE("bytes"));
    add_field(h, SLICE("X-Content-Type-Options"), SLICE("nosniff"));
    if (f->coding != CODING_IDENTITY)
        add_field(h, SLICE("Content-Encoding"), coding_name(f->coding));
}

/* --------------------------------------------------------------------- the body */

static void send_answer(const struct asked *a, const struct http_answer *answer)
{
    struct err err;
    if (!exchange_respond(a->exchange, answer, &err))
        found_fail(a, 500, err.text);
}

static bool read_part(const struct http_file *part, struct buf *body)
{
    char *to = buf_reserve(body, (size_t)part->length);
    while (body->len < part->length) {
        ssize_t n = pread(part->fd, to + body->len, (size_t)part->length - body->len,
                          (off_t)(part->offset + body->len));
        if (n <= 0)
            return false;
        body->len += (size_t)n;
    }
    return true;
}

/* Reads it, and keeps it when it is all of the file. */
static void send_small(const struct asked *a, const struct found *f, struct http_answer *answer,
                       const struct http_file *part)
{
    struct buf *body = &a->gateway->body;
    char path[PATH_MAX];
    buf_clear(body);
    bool whole = read_part(part, body);
    close(part->fd);
    if (!whole) {
        found_fail(a, 500, "the file could not be read to its end");
        return;
    }
    answer->body = buf_slice(body);
    if (answer->status == 200 && found_path(a, f, path))
        filecache_put(&a->gateway->files, path, &f->file.st, answer->body, time(NULL));
    send_answer(a, answer);
}

static void send_part(const struct asked *a, const struct found *f, struct head *h,
                      struct http_answer *answer, const struct http_file *part)
{
    struct err err;
    if (part->fd >= 0 && slice_is(a->request->method, "HEAD")) {
        close(part->fd);
        int len =
            snprintf(h->length, sizeof(h->length), "%llu", (unsigned long long)part->length);
        add_field(h, SLICE("Content-Length"), (struct slice){h->length, (size_t)len});
        answer->header_count = h->count;
        send_answer(a, answer);
    } else if (part->fd < 0) {
        answer->body = f->kept;
        send_answer(a, answer);
    } else if (part->length <= SMALL) {
        send_small(a, f, answer, part);
    } else if (!exchange_send_file(a->exchange, answer, part, &err)) {
        found_fail(a, 500, err.text);
    }
}

static void send_unsatisfiable(const struct asked *a, struct head *h, uint64_t size)
{
    struct buf body = {0};
    int len = snprintf(h->range, sizeof(h->range), "bytes */%llu", (unsigned long long)size);
    struct field range = {SLICE("Content-Range"), {h->range, (size_t)len}};
    response_problem(&body, 416, SLICE("the file does not reach that far"), a->request->path,
                     a->request->id, (struct slice){0});
    send_answer(a, &(struct http_answer){.status = 416,
                                         .headers = &range,
                                         .header_count = 1,
                                         .content_type = SLICE("application/problem+json"),
                                         .body = buf_slice(&body)});
    buf_deinit(&body);
}

static void add_range(struct head *h, const struct byte_range *range, uint64_t size)
{
    int len = snprintf(
        h->range, sizeof(h->range), "bytes %llu-%llu/%llu", (unsigned long long)range->first,
        (unsigned long long)(range->first + range->length - 1), (unsigned long long)size);
    add_field(h, SLICE("Content-Range"), (struct slice){h->range, (size_t)len});
}

/* The conditions let it through. */
static void send_content(const struct asked *a, const struct found *f, struct head *h,
                         const struct validators *v, int64_t now_s)
{
    uint64_t size = (uint64_t)f->file.st.st_size;
    struct byte_ranges ranges = {.count = 0};
    enum ranges_verdict verdict = RANGES_WHOLE;
    if (a->range.len && etag_range_holds(a->request, v, now_s))
        verdict = ranges_read(a->range, size, &ranges);
    if (verdict == RANGES_UNSATISFIABLE) {
        found_close(f);
        send_unsatisfiable(a, h, size);
        return;
    }
    struct http_file part = {f->file.fd, 0, size};
    add_content(h, f, v);
    if (verdict == RANGES_PARTS && ranges.count == 1) {
        part.offset = ranges.items[0].first;
        part.length = ranges.items[0].length;
        add_range(h, &ranges.items[0], size);
    }
    struct http_answer answer = {.status = verdict == RANGES_PARTS ? 206 : 200,
                                 .headers = h->fields,
                                 .header_count = h->count,
                                 .content_type = mediatype_of(f->name)};
    if (ranges.count > 1)
        parts_send(a->exchange, &answer, f->file.fd, size, &ranges);
    else
        send_part(a, f, h, &answer, &part);
}

void found_send(const struct asked *a, const struct found *f)
{
    struct head head;
    struct validators v;
    int64_t now_s = time(NULL);
    head.count = 0;
    read_validators(f, now_s, &head, &v);
    enum condition verdict = etag_judge(a->request, &v);
    if (verdict == CONDITION_FAILED) {
        found_close(f);
        found_fail(a, 412, "the file is not as the request says that it must be");
        return;
    }
    add_common(&head, a, f, &v);
    if (verdict == CONDITION_TRUE) {
        send_content(a, f, &head, &v, now_s);
        return;
    }
    found_close(f);
    struct http_answer unchanged = {
        .status = 304, .headers = head.fields, .header_count = head.count};
    send_answer(a, &unchanged);
}
