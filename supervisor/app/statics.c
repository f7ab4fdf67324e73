#include "app/statics.h"

#include <stdio.h>
#include <time.h>
#include <unistd.h>

#include "app/parts.h"
#include "http/etag.h"
#include "http/files.h"
#include "http/mediatype.h"
#include "http/negotiate.h"
#include "http/ranges.h"

enum {
    /* Up to here a file is read and leaves with its head in one system call. */
    SMALL = 64 * 1024,
    ETAG_MAX = 64,
    DATE_MAX = 32,
    FIELDS_MAX = 10,
};

/* A request for a file. */
struct asked {
    struct gateway *gateway;
    struct exchange *exchange;
    const struct http_request *request;
    const struct route_config *route;
    struct folder root;
    struct slice name; /* below the root */
};

/* What is sent: a file, or what lies beside it in a coding. */
struct found {
    struct file file;
    struct slice name;
    enum coding coding;
    bool packed; /* no coding is looked for */
};

/* ---------------------------------------------------------------------- refusing */

static void fail(const struct asked *a, unsigned status, const char *detail)
{
    errorpage_send(a->gateway->errors, a->exchange,
                   &(struct failure){.status = status,
                                     .detail = slice_of(detail),
                                     .retry_after_s = status == 503});
}

static void send_bodiless(const struct asked *a, struct http_answer *answer)
{
    struct err err;
    if (!exchange_respond(a->exchange, answer, &err))
        fail(a, 500, err.text);
}

/* The path as it was sent begins with one slash and holds no backslash: it cannot be taken for
 * another host. */
static void redirect(const struct asked *a)
{
    const struct http_request *req = a->request;
    struct buf to = {0};
    buf_add(&to, req->path);
    buf_addc(&to, '/');
    if (req->has_query) {
        buf_addc(&to, '?');
        buf_add(&to, req->query);
    }
    struct field location = {SLICE("Location"), buf_slice(&to)};
    send_bodiless(
        a, &(struct http_answer){.status = 301, .headers = &location, .header_count = 1});
    buf_deinit(&to);
}

/* ----------------------------------------------------------------------- sending */

/* The fields of an answer, with room for what they hold. */
struct head {
    struct field fields[FIELDS_MAX];
    size_t count;
    char etag[ETAG_MAX], date[DATE_MAX], range[80], length[24];
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

static void send_small(const struct asked *a, struct http_answer *answer, struct http_file file)
{
    struct buf *body = &a->gateway->body;
    buf_clear(body);
    char *to = buf_reserve(body, SMALL);
    while (body->len < file.length) {
        ssize_t n = pread(file.fd, to + body->len, (size_t)file.length - body->len,
                          (off_t)(file.offset + body->len));
        if (n <= 0)
            break;
        body->len += (size_t)n;
    }
    close(file.fd);
    answer->body = buf_slice(body);
    if (body->len < file.length)
        fail(a, 500, "the file could not be read to its end");
    else
        send_bodiless(a, answer);
}

/* The file is this function's to close. */
static void send_part(const struct asked *a, struct head *h, struct http_answer *answer,
                      struct http_file file)
{
    struct err err;
    answer->headers = h->fields;
    answer->header_count = h->count;
    if (slice_is(a->request->method, "HEAD")) {
        close(file.fd);
        int len =
            snprintf(h->length, sizeof(h->length), "%llu", (unsigned long long)file.length);
        add_field(h, SLICE("Content-Length"), (struct slice){h->length, (size_t)len});
        answer->header_count = h->count;
        send_bodiless(a, answer);
    } else if (file.length <= SMALL) {
        send_small(a, answer, file);
    } else if (!exchange_send_file(a->exchange, answer, &file, &err)) {
        fail(a, 500, err.text);
    }
}

static void send_unsatisfiable(const struct asked *a, struct head *h, uint64_t size)
{
    struct buf body = {0};
    int len = snprintf(h->range, sizeof(h->range), "bytes */%llu", (unsigned long long)size);
    struct field range = {SLICE("Content-Range"), {h->range, (size_t)len}};
    response_problem(&body, 416, SLICE("the file does not reach that far"), a->request->path,
                     a->request->id, (struct slice){0});
    send_bodiless(a, &(struct http_answer){.status = 416,
                                           .headers = &range,
                                           .header_count = 1,
                                           .content_type = SLICE("application/problem+json"),
                                           .body = buf_slice(&body)});
    buf_deinit(&body);
}

static void send_range(const struct asked *a, struct head *h, struct http_answer *answer,
                       const struct found *f, const struct byte_range *range)
{
    int len = snprintf(h->range, sizeof(h->range), "bytes %llu-%llu/%llu",
                       (unsigned long long)range->first,
                       (unsigned long long)(range->first + range->length - 1),
                       (unsigned long long)f->file.st.st_size);
    add_field(h, SLICE("Content-Range"), (struct slice){h->range, (size_t)len});
    answer->status = 206;
    send_part(a, h, answer, (struct http_file){f->file.fd, range->first, range->length});
}

/* The value of Range, or nothing when there are several: then it is not obeyed. */
static struct slice range_of(const struct http_request *req)
{
    struct slice found = {0};
    if (!slice_is(req->method, "GET"))
        return found;
    for (size_t i = 0; i < req->header_count; i++) {
        if (!slice_is(req->headers[i].name, "range"))
            continue;
        if (found.len)
            return (struct slice){0};
        found = req->headers[i].value;
    }
    return found;
}

/* The conditions let it through. */
static void send_content(const struct asked *a, struct head *h, const struct found *f,
                         const struct validators *v, int64_t now_s)
{
    uint64_t size = (uint64_t)f->file.st.st_size;
    struct http_answer answer = {.status = 200, .content_type = mediatype_of(f->name)};
    struct byte_ranges ranges;
    struct slice wanted = range_of(a->request);
    enum ranges_verdict verdict = RANGES_WHOLE;
    if (wanted.len && etag_range_holds(a->request, v, now_s))
        verdict = ranges_read(wanted, size, &ranges);
    if (verdict == RANGES_UNSATISFIABLE) {
        close(f->file.fd);
        send_unsatisfiable(a, h, size);
        return;
    }
    add_content(h, f, v);
    if (verdict == RANGES_WHOLE) {
        send_part(a, h, &answer, (struct http_file){f->file.fd, 0, size});
    } else if (ranges.count == 1) {
        send_range(a, h, &answer, f, &ranges.items[0]);
    } else {
        answer.headers = h->fields;
        answer.header_count = h->count;
        parts_send(a->exchange, &answer, f->file.fd, size, &ranges);
    }
}

static void send_found(const struct asked *a, const struct found *f)
{
    struct head head = {.count = 0};
    struct validators v;
    int64_t now_s = time(NULL);
    read_validators(f, now_s, &head, &v);
    enum condition verdict = etag_judge(a->request, &v);
    if (verdict == CONDITION_FAILED) {
        close(f->file.fd);
        fail(a, 412, "the file is not as the request says that it must be");
        return;
    }
    add_common(&head, a, f, &v);
    if (verdict == CONDITION_TRUE) {
        send_content(a, &head, f, &v, now_s);
        return;
    }
    close(f->file.fd);
    send_bodiless(a, &(struct http_answer){
                         .status = 304, .headers = head.fields, .header_count = head.count});
}

/* ----------------------------------------------------------------------- finding */

static bool is_older(const struct stat *a, const struct stat *b)
{
    return a->st_mtim.tv_sec != b->st_mtim.tv_sec ? a->st_mtim.tv_sec < b->st_mtim.tv_sec
                                                  : a->st_mtim.tv_nsec < b->st_mtim.tv_nsec;
}

/* Puts what lies beside the file in the best coding in its place, if there is something. */
static void find_coded(const struct asked *a, struct found *f)
{
    static const char *const suffixes[CODING_COUNT] = {
        [CODING_BR] = ".br", [CODING_ZSTD] = ".zst", [CODING_GZIP] = ".gz"};

    /* The smallest first: they cost nothing more to send. */
    enum coding offer[] = {CODING_BR, CODING_ZSTD, CODING_GZIP};
    const struct http_request *req = a->request;
    for (size_t count = ARRAY_LEN(offer); count;) {
        enum coding best = negotiate_coding(req->headers, req->header_count, offer, count);
        if (best == CODING_IDENTITY)
            return;
        char name[FILES_NAME_MAX + 8];
        int len =
            snprintf(name, sizeof(name), SLICE_FMT "%s", SLICE_ARG(f->name), suffixes[best]);
        struct file coded;
        if (files_open(&a->root, (struct slice){name, (size_t)len}, &coded) == FILES_FILE) {
            if (!is_older(&coded.st, &f->file.st)) {
                close(f->file.fd);
                f->file = coded;
                f->coding = best;
                return;
            }
            close(coded.fd);
        }
        size_t kept = 0;
        for (size_t i = 0; i < count; i++)
            if (offer[i] != best)
                offer[kept++] = offer[i];
        count = kept;
    }
}

static void serve(const struct asked *a, struct slice name, const struct file *file)
{
    struct found f = {.file = *file, .name = name, .packed = mediatype_is_packed(name)};
    if (!f.packed)
        find_coded(a, &f);
    send_found(a, &f);
}

/* folder: empty, or with its slash. */
static bool serve_index(const struct asked *a, struct slice folder)
{
    struct arena *arena = exchange_arena(a->exchange);
    for (size_t i = 0; i < a->route->index.count; i++) {
        struct slice index = slice_of(a->route->index.items[i]);
        char *name = arena_alloc(arena, folder.len + index.len + 1);
        if (folder.len)
            memcpy(name, folder.ptr, folder.len);
        memcpy(name + folder.len, index.ptr, index.len);
        struct slice whole = {name, folder.len + index.len};
        struct file file;
        if (files_open(&a->root, whole, &file) == FILES_FILE) {
            serve(a, whole, &file);
            return true;
        }
    }
    return false;
}

/* A page that only the program in the browser knows: no file's name, or a browser goes there.
 */
static bool is_page(const struct asked *a)
{
    const char *slash = a->name.len ? memrchr(a->name.ptr, '/', a->name.len) : NULL;
    struct slice last =
        slash ? slice_from(a->name, (size_t)(slash + 1 - a->name.ptr)) : a->name;
    if (!last.len || !memchr(last.ptr, '.', last.len))
        return true;
    for (size_t i = 0; i < a->request->header_count; i++) {
        const struct field *f = &a->request->headers[i];
        if (slice_is(f->name, "accept") &&
            memmem(f->value.ptr, f->value.len, "text/html", strlen("text/html")))
            return true;
    }
    return false;
}

static void find_and_serve(const struct asked *a)
{
    struct file file;
    switch (files_open(&a->root, a->name, &file)) {
    case FILES_FILE:
        serve(a, a->name, &file);
        return;
    case FILES_FOLDER:
        if (a->request->path.ptr[a->request->path.len - 1] != '/') {
            redirect(a);
            return;
        }
        if (serve_index(a, a->name))
            return;
        break;
    case FILES_NONE:
        break;
    }
    if (!a->route->spa || !is_page(a) || !serve_index(a, (struct slice){0}))
        fail(a, 404, "no such file");
}

/* A slash that is written as an escape is in no file's name, and separates nothing. */
static bool has_hidden_slash(struct slice path)
{
    return memmem(path.ptr, path.len, "%2f", 3) || memmem(path.ptr, path.len, "%2F", 3);
}

void statics_serve(struct gateway *g, struct exchange *x, const struct router_match *match)
{
    const struct route *route = match->target;
    struct asked a = {
        .gateway = g, .exchange = x, .request = exchange_request(x), .route = route->files};
    if (match->param_count)
        a.name = match->params[match->param_count - 1].value;
    if (has_hidden_slash(a.request->path) || !files_name_valid(a.name)) {
        fail(&a, 404, "no such file");
    } else if (!folder_open(&a.root, a.route->root)) {
        fail(&a, 503, "the folder of this route is not there");
    } else {
        find_and_serve(&a);
        folder_close(&a.root);
    }
}
