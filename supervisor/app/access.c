#include "app/access.h"

#include <time.h>

#include "base/json.h"
#include "base/log.h"

enum { TARGET_SHOWN = 160 }; /* bytes of a path and its query */

#define DIM   "\x1b[2m"
#define RESET "\x1b[0m"

enum access_log access_kind(int configured, bool dev)
{
    if (configured == ACCESS_AUTO && !(dev && log_is_pretty()))
        return ACCESS_OFF;
    return (enum access_log)configured;
}

static struct slice header(const struct http_request *req, const char *name)
{
    for (size_t i = 0; i < req->header_count; i++)
        if (slice_is(req->headers[i].name, name))
            return req->headers[i].value;
    return (struct slice){0};
}

/* Quotes, backslashes and control bytes would let a client forge lines. */
static void add_quoted(struct buf *line, struct slice text)
{
    buf_addc(line, '"');
    for (size_t i = 0; i < text.len; i++) {
        unsigned char c = (unsigned char)text.ptr[i];
        if (c < 0x20 || c == '"' || c == '\\' || c >= 0x7f)
            buf_addf(line, "\\x%02x", c);
        else
            buf_addc(line, (char)c);
    }
    buf_addc(line, '"');
}

static void add_or_dash(struct buf *line, struct slice text)
{
    if (text.len)
        add_quoted(line, text);
    else
        buf_adds(line, "\"-\"");
}

static void add_request_line(struct buf *line, const struct http_request *req)
{
    struct buf text = {0};
    buf_add(&text, req->method);
    buf_addc(&text, ' ');
    buf_add(&text, req->asterisk ? SLICE("*") : req->path);
    if (req->has_query) {
        buf_addc(&text, '?');
        buf_add(&text, req->query);
    }
    buf_addf(&text, " HTTP/1.%u", req->version_minor);
    add_quoted(line, buf_slice(&text));
    buf_deinit(&text);
}

static void add_client(struct buf *line, struct slice ip)
{
    char when[40];
    time_t now = time(NULL);
    struct tm tm;
    strftime(when, sizeof(when), "%d/%b/%Y:%H:%M:%S %z", localtime_r(&now, &tm));
    buf_add(line, ip);
    buf_addf(line, " - - [%s] ", when);
}

/* NCSA combined, as Apache and nginx write it, with the request id at the end. */
static void add_combined(struct buf *line, const struct http_request *req, unsigned status,
                         uint64_t body_bytes)
{
    add_client(line, req->ip);
    add_request_line(line, req);
    buf_addf(line, " %u %llu ", status, (unsigned long long)body_bytes);
    add_or_dash(line, header(req, "referer"));
    buf_addc(line, ' ');
    add_or_dash(line, header(req, "user-agent"));
    buf_addc(line, ' ');
    buf_add(line, req->id);
    buf_addc(line, '\n');
}

static void add_member(struct buf *line, const char *name, struct slice value)
{
    buf_addf(line, ",\"%s\":", name);
    json_write(line, value);
}

static void add_time(struct buf *line)
{
    struct timespec ts;
    clock_gettime(CLOCK_REALTIME, &ts);
    buf_addf(line, "{\"time\":%lld.%03ld", (long long)ts.tv_sec, ts.tv_nsec / 1000000);
}

static void add_json(struct buf *line, const struct http_request *req, unsigned status,
                     uint64_t body_bytes, uint64_t took_us)
{
    add_time(line);
    add_member(line, "id", req->id);
    add_member(line, "ip", req->ip);
    add_member(line, "method", req->method);
    add_member(line, "path", req->path);
    if (req->has_query)
        add_member(line, "query", req->query);
    buf_addf(line, ",\"status\":%u,\"bytes\":%llu,\"ms\":%.3f", status,
             (unsigned long long)body_bytes, (double)took_us / 1000);
    add_member(line, "referer", header(req, "referer"));
    add_member(line, "user_agent", header(req, "user-agent"));
    buf_adds(line, "}\n");
}

static struct slice mask(const struct access *a, struct slice line, struct buf *scratch)
{
    return a->secrets ? secrets_mask(a->secrets, line, scratch) : line;
}

/* Clients send secrets in addresses; what they send is in no other log either. */
static void write_masked(struct access *a, struct buf *line)
{
    struct buf scratch = {0};
    sink_write(a->sink, mask(a, buf_slice(line), &scratch));
    buf_deinit(&scratch);
    buf_deinit(line);
}

void access_note(struct access *a, const struct http_request *req, unsigned status,
                 uint64_t body_bytes, uint64_t took_us)
{
    struct buf line = {0};
    if (a->kind == ACCESS_JSON)
        add_json(&line, req, status, body_bytes, took_us);
    else
        add_combined(&line, req, status, body_bytes);
    write_masked(a, &line);
}

/* ------------------------------------------------------------- for a terminal */

/* What a client sent must not paint over the terminal. */
static void add_shown(struct buf *line, struct slice text)
{
    for (size_t i = 0; i < MIN(text.len, (size_t)TARGET_SHOWN); i++) {
        char c = text.ptr[i];
        buf_addc(line, c <= 0x20 || c >= 0x7f ? '?' : c);
    }
    if (text.len > TARGET_SHOWN)
        buf_adds(line, "...");
}

static void add_status(struct buf *line, unsigned status)
{
    static const char *const colours[] = {"", "", "32", "36", "33", "1;31"};
    buf_addf(line, "  " RESET "\x1b[%sm%u" RESET, status < 600 ? colours[status / 100] : "",
             status);
}

/* Thousands of requests a second are no reading matter. */
static bool may_show(struct access *a)
{
    long now = (long)time(NULL);
    if (now != a->second && a->untold)
        log_line(LOG_INFO, "nodey", "and %lu more requests", a->untold);
    if (now != a->second) {
        a->second = now;
        a->shown = 0;
        a->untold = 0;
    }
    if (a->shown == ACCESS_SHOWN_MAX) {
        a->untold++;
        return false;
    }
    a->shown++;
    return true;
}

static void show(const struct access *a, const char *who, struct buf *line)
{
    struct buf scratch = {0};
    log_write(&(struct log_entry){.level = LOG_INFO,
                                  .who = who,
                                  .text = mask(a, buf_slice(line), &scratch),
                                  .painted = true});
    buf_deinit(&scratch);
    buf_deinit(line);
}

void access_show(struct access *a, const char *who, const struct http_request *req,
                 unsigned status, uint64_t took_us)
{
    struct buf line = {0};
    if (!may_show(a))
        return;
    buf_adds(&line, DIM);
    add_shown(&line, req->method);
    buf_addc(&line, ' ');
    add_shown(&line, req->asterisk ? SLICE("*") : req->path);
    if (req->has_query) {
        buf_addc(&line, '?');
        add_shown(&line, req->query);
    }
    add_status(&line, status);
    buf_addf(&line, DIM "  %.*f ms%s" RESET, took_us < 100000, (double)took_us / 1000,
             status == 499 ? ", the client has left" : "");
    show(a, who, &line);
}

static void show_refused(struct access *a, const struct refusal *why)
{
    struct buf line = {0};
    if (!may_show(a))
        return;
    buf_adds(&line, DIM "a request was refused");
    add_status(&line, why->status);
    buf_addf(&line, DIM "  %s" RESET, why->detail);
    show(a, "nodey", &line);
}

/* ------------------------------------------------------------------- refused */

void access_note_refused(struct access *a, struct slice ip, const struct refusal *why)
{
    if (a->kind == ACCESS_AUTO) {
        show_refused(a, why);
        return;
    }
    struct buf line = {0};
    if (a->kind == ACCESS_JSON) {
        add_time(&line);
        add_member(&line, "ip", ip);
        buf_addf(&line, ",\"status\":%u", why->status);
        add_member(&line, "refused", slice_of(why->detail));
        buf_adds(&line, "}\n");
    } else {
        add_client(&line, ip);
        buf_addf(&line, "\"-\" %u 0 \"-\" \"-\" -\n", why->status);
    }
    write_masked(a, &line);
}
