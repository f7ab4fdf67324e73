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
    return false;
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
