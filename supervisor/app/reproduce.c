#include "app/reproduce.h"

#include "base/json.h"
#include "config/script.h"

enum { BODY_MAX = 2048 }; /* in a command line */

static bool is_plain(struct slice word)
{
    static const char safe[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
                               "_-./:=@%+,";
    for (size_t i = 0; i < word.len; i++)
        if (!memchr(safe, word.ptr[i], sizeof(safe) - 1))
            return false;
    return word.len > 0;
}

void reproduce_quote(struct buf *out, struct slice word)
{
    if (is_plain(word)) {
        buf_add(out, word);
        return;
    }
    buf_addc(out, '\'');
    for (size_t i = 0; i < word.len; i++) {
        if (word.ptr[i] == '\'')
            buf_adds(out, "'\\''");
        else
            buf_addc(out, word.ptr[i]);
    }
    buf_addc(out, '\'');
}

/* Can stand in a command line: no NUL, no control character, nothing that is no text. */
static bool has_body(const struct http_request *req)
{
    return req->body.len || req->more;
}

static bool is_text(struct slice body)
{
    for (size_t i = 0; i < body.len; i++) {
        unsigned char c = (unsigned char)body.ptr[i];
        if ((c < 0x20 && c != '\n' && c != '\t') || c == 0x7f)
            return false;
    }
    return utf8_valid(body);
}

static struct slice content_type(const struct http_request *req)
{
    for (size_t i = 0; i < req->header_count; i++)
        if (slice_is(req->headers[i].name, "content-type") && is_text(req->headers[i].value))
            return req->headers[i].value;
    return (struct slice){0};
}

static void add_url(struct buf *out, const struct http_request *req)
{
    struct buf url = {0};
    buf_adds(&url, req->https ? "https://" : "http://");
    buf_add(&url, req->host.len ? req->host : SLICE("127.0.0.1"));
    buf_add(&url, req->path);
    if (req->has_query) {
        buf_addc(&url, '?');
        buf_add(&url, req->query);
    }
    reproduce_quote(out, buf_slice(&url));
    buf_deinit(&url);
}

/* curl would make several addresses of them. */
static bool has_globs(struct slice text)
{
    for (size_t i = 0; i < text.len; i++)
        if (memchr("[]{}", text.ptr[i], 4))
            return true;
    return false;
}

void reproduce_by_curl(struct buf *out, const struct http_request *req)
{
    struct slice type = content_type(req);
    buf_adds(out, "curl -i");
    if (has_globs(req->path) || has_globs(req->query))
        buf_adds(out, " --globoff");
    if (slice_is(req->method, "HEAD")) {
        buf_adds(out, " --head");
    } else if (!slice_is(req->method, has_body(req) ? "POST" : "GET")) {
        buf_adds(out, " -X ");
        reproduce_quote(out, req->method);
    }
    buf_addc(out, ' ');
    add_url(out, req);
    if (has_body(req) && type.len) {
        struct buf field = {0};
        buf_adds(&field, "Content-Type: ");
        buf_add(&field, type);
        buf_adds(out, " -H ");
        reproduce_quote(out, buf_slice(&field));
        buf_deinit(&field);
    }
    if (!has_body(req))
        return;
    buf_adds(out, " --data-binary ");
    if (!req->more && req->body.len <= BODY_MAX && is_text(req->body) &&
        req->body.ptr[0] != '@')
        reproduce_quote(out, req->body);
    else
        buf_adds(out, "@BODY");
}

/* The request as a line of the protocol, typed by hand. */
static void add_line(struct buf *out, const struct http_request *req)
{
    struct slice type = content_type(req);
    buf_adds(out, "{\"id\":1,\"method\":");
    json_write(out, req->method);
    buf_adds(out, ",\"path\":");
    json_write(out, req->path);
    if (req->has_query) {
        buf_adds(out, ",\"query\":");
        json_write(out, req->query);
    }
    if (type.len) {
        buf_adds(out, ",\"headers\":{\"content-type\":");
        json_write(out, type);
        buf_addc(out, '}');
    }
    if (req->body.len) {
        buf_adds(out, ",\"body\":");
        json_write(out, req->body);
    }
    buf_addc(out, '}');
}

/* A path below the folder is short. */
static struct slice shorten(const char *path, const char *dir)
{
    size_t len = strlen(dir);
    bool below = strncmp(path, dir, len) == 0 && path[len] == '/';
    return slice_of(below ? path + len + 1 : path);
}

static void add_program(struct buf *out, const struct worker_config *config, const char *dir)
{
    const char *script = config->app ? NULL : config->script;
    if (!script) {
        for (size_t i = 0; i < config->command.count; i++) {
            if (i)
                buf_addc(out, ' ');
            reproduce_quote(out, shorten(config->command.items[i], dir));
        }
        return;
    }
    struct slice path = shorten(script, dir);
    if (script_kind(script) != SCRIPT_OTHER) { /* what runs it stands first in its command */
        reproduce_quote(out, shorten(config->command.items[0], dir));
        buf_addc(out, ' ');
    } else if (!memchr(path.ptr, '/', path.len)) {
        buf_adds(out, "./");
    }
    reproduce_quote(out, path);
}

bool reproduce_by_hand(struct buf *out, const struct http_request *req,
                       const struct worker_config *config, const char *dir, const char *sdk)
{
    if (req->more || req->body.len > BODY_MAX || !is_text(req->body))
        return false;
    struct buf line = {0};
    add_line(&line, req);
    /* Some shells' echo reads backslashes. */
    buf_adds(out, memchr(line.ptr, '\\', line.len) ? "printf '%s\\n' " : "echo ");
    reproduce_quote(out, buf_slice(&line));
    buf_adds(out, " | ");
    if (sdk) {
        struct slice value = slice_of(strchr(sdk, '=') + 1);
        buf_append(out, sdk, (size_t)(value.ptr - sdk));
        reproduce_quote(out, shorten(value.ptr, dir));
        buf_addc(out, ' ');
    }
    add_program(out, config, dir);
    buf_deinit(&line);
    return true;
}
