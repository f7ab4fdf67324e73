#include "config/webapp.h"

#include <ctype.h>

static bool is_word(char c)
{
    return isalnum((unsigned char)c) || c == '_' || c == '$';
}

/* Its line begins as a comment does: //, * in a block, #. */
static bool is_comment(struct slice text, const char *at)
{
    const char *line = at;
    while (line > text.ptr && line[-1] != '\n')
        line--;
    while (line < at && (*line == ' ' || *line == '\t'))
        line++;
    return *line == '#' || *line == '*' || (*line == '/' && (line[1] == '/' || line[1] == '*'));
}

/* The next place where the words stand as code, not within a longer name. */
static const char *find_code(struct slice text, const char *from, const char *words)
{
    size_t len = strlen(words);
    const char *at = from, *end = text.ptr + text.len;
    for (; at && (at = memmem(at, (size_t)(end - at), words, len)); at++) {
        bool inside = is_word(*words) && at > text.ptr && is_word(at[-1]);
        if (!inside && !is_comment(text, at))
            return at;
    }
    return NULL;
}

/* require('express'), from "express", import('express') */
static bool imports(struct slice text, const char *module)
{
    size_t len = strlen(module);
    const char *end = text.ptr + text.len, *at = text.ptr;
    for (; (at = find_code(text, at, module)); at++) {
        char before = at > text.ptr ? at[-1] : '\0', after = at + len < end ? at[len] : '\0';
        if (before == after && (before == '\'' || before == '"' || before == '`'))
            return true;
    }
    return false;
}

/* What follows `words`, wherever they stand as code, up to the end of the line; else empty. */
static struct slice code_behind(struct slice text, const char **from, const char *words)
{
    const char *end = text.ptr + text.len, *at = find_code(text, *from, words);
    *from = at ? at + strlen(words) : NULL;
    struct slice rest = {*from, at ? (size_t)(end - *from) : 0};
    const char *line = rest.len ? memchr(rest.ptr, '\n', rest.len) : NULL;
    if (line)
        rest.len = (size_t)(line - rest.ptr);
    while (rest.len && (*rest.ptr == ' ' || *rest.ptr == '\t'))
        rest = slice_from(rest, 1);
    return rest;
}

static bool contains(struct slice text, const char *word)
{
    return text.len && memmem(text.ptr, text.len, word, strlen(word));
}

/* The first argument of a call, as far as it stands on one line. */
static struct slice first_argument(struct slice call)
{
    size_t len = 0, depth = 0;
    for (; len < call.len; len++) {
        char c = call.ptr[len];
        if (depth == 0 && (c == ',' || c == ')'))
            break;
        depth += c == '{' || c == '(';
        depth -= c == '}' || c == ')';
    }
    return (struct slice){call.ptr, len};
}

/* new WebSocketServer({ port: 8080 }), not ({ server }) or ({ noServer: true }) */
static bool opens_sockets(struct slice text)
{
    static const char *const calls[] = {"WebSocketServer(", "WebSocket.Server(", "ws.Server("};
    const char *end = text.ptr + text.len;
    for (size_t i = 0; i < ARRAY_LEN(calls); i++)
        for (const char *at = text.ptr; (at = find_code(text, at, calls[i]));) {
            at += strlen(calls[i]);
            const char *close = memchr(at, ')', (size_t)(end - at));
            struct slice options = {at, (size_t)((close ? close : end) - at)};
            for (const char *key = options.ptr; (key = find_code(options, key, "port")); key++)
                if (key + 4 == options.ptr + options.len || !is_word(key[4]))
                    return true;
        }
    return false;
}

/* new Server(3000) and io(process.env.PORT) of socket.io, not new Server(httpServer) */
static bool opens_port(struct slice text)
{
    static const char *const calls[] = {"new Server(", "require('socket.io')(",
                                        "require(\"socket.io\")("};
    for (size_t i = 0; i < ARRAY_LEN(calls); i++)
        for (const char *at = text.ptr; at;) {
            struct slice first = first_argument(code_behind(text, &at, calls[i]));
            if (first.len && (isdigit((unsigned char)*first.ptr) || contains(first, "PORT") ||
                              contains(first, "port")))
                return true;
        }
    return false;
}

static const struct maker {
    const char *module;
    const char *call;
} makers[] = {
    {"express", "express("},
    {"express", "require('express')("},
    {"express", "require(\"express\")("},
    {"koa", "new Koa("},
    {"koa", "new (require('koa'))("},
    {"fastify", "fastify("},
    {"fastify", "Fastify("},
    {"fastify", "require('fastify')("},
    {"fastify", "require(\"fastify\")("},
    {"hono", "new Hono("},
    {"polka", "polka("},
    {"connect", "connect("},
    {"restify", "restify.createServer("},
};

/* app = express() */
static bool is_made(struct slice text, const char *name)
{
    for (const char *at = text.ptr; at;) {
        struct slice rest = code_behind(text, &at, name);
        if (rest.len < 2 || *rest.ptr != '=' || rest.ptr[1] == '=')
            continue;
        rest = slice_trim(slice_from(rest, 1));
        for (size_t i = 0; i < ARRAY_LEN(makers); i++)
            if (slice_starts(rest, slice_of(makers[i].call)) && imports(text, makers[i].module))
                return true;
    }
    return false;
}

bool webapp_is_exported(struct slice text)
{
    static const char *const begins[] = {"module.exports", "export default"};
    for (size_t i = 0; text.len && i < ARRAY_LEN(begins); i++)
        for (const char *at = text.ptr; at;) {
            struct slice rest = code_behind(text, &at, begins[i]);
            if (i == 0 && rest.len && *rest.ptr == '=')
                rest = slice_trim(slice_from(rest, 1));
            char name[64];
            size_t len = 0;
            while (len < rest.len && len < sizeof(name) - 1 && is_word(rest.ptr[len]))
                len++;
            memcpy(name, rest.ptr ? rest.ptr : "", len);
            name[len] = '\0';
            if (len && is_made(text, name))
                return true;
        }
    return false;
}

bool webapp_listens(struct slice text)
{
    return text.len && find_code(text, text.ptr, ".listen(");
}

static bool serves_in_node(struct slice text)
{
    static const char *const modules[] = {
        "http",       "node:http", "https",      "node:https", "http2",
        "node:http2", "express",   "koa",        "fastify",    "@nestjs/core",
        "next",       "hono",      "restify",    "polka",      "nuxt",
        "h3",         "connect",   "@hapi/hapi", "socket.io",  "@hono/node-server",
    };
    const char *const begins[] = {".listen(", "serve(", ".start("};
    for (size_t i = 0; i < ARRAY_LEN(modules); i++) {
        bool other = strcmp(modules[i], "@hono/node-server") == 0;
        const char *begin = begins[other ? 1 : strcmp(modules[i], "@hapi/hapi") == 0 ? 2 : 0];
        if (imports(text, modules[i]) && find_code(text, text.ptr, begin))
            return true;
    }
    return (imports(text, "ws") && opens_sockets(text)) ||
           (imports(text, "socket.io") && opens_port(text)) || webapp_is_exported(text);
}

/* A WSGI or ASGI application without a framework: a function by one of the usual names. */
static bool has_callable(struct slice text)
{
    static const char *const heads[] = {
        "def application(environ",     "def app(environ",     "def wsgi(environ",
        "async def application(scope", "async def app(scope", "async def asgi(scope",
    };
    for (size_t i = 0; i < ARRAY_LEN(heads); i++) {
        const char *at = text.ptr;
        for (; (at = find_code(text, at, heads[i])); at++)
            if (at == text.ptr || at[-1] == '\n')
                return true;
    }
    return false;
}

static bool serves_in_python(struct slice text)
{
    static const char *const calls[] = {
        "Flask(",       "FastAPI(",        "Starlette(",
        "Quart(",       "Litestar(",       "get_wsgi_application(",
        "Bottle(",      "falcon.App(",     "get_asgi_application(",
        "uvicorn.run(", "make_server(",    "falcon.asgi.App(",
        "run_simple(",  "waitress.serve(",
    };
    for (size_t i = 0; i < ARRAY_LEN(calls); i++)
        if (find_code(text, text.ptr, calls[i]))
            return true;
    return has_callable(text);
}

bool webapp_in_text(struct slice text, enum script_kind kind)
{
    if (text.len == 0)
        return false;
    if (kind == SCRIPT_NODE)
        return serves_in_node(text);
    return kind == SCRIPT_PYTHON && serves_in_python(text);
}
