#include "app/statics.h"

#include <unistd.h>

#include "app/found.h"
#include "http/mediatype.h"

static bool open_root(struct asked *a)
{
    return a->root.fd >= 0 || folder_open(&a->root, a->route->root);
}

/* f: its name and coding are given. */
static enum files_kind find(struct asked *a, struct found *f)
{
    char path[PATH_MAX];
    f->file.fd = -1;
    f->kept = (struct slice){0};
    if (!found_path(a, f, path))
        return FILES_NONE;
    /* Parts are read from the file itself. */
    if (!a->range.len && filecache_find(&a->gateway->files, path, &f->file.st, &f->kept))
        return FILES_FILE;
    /* Most files have nothing beside them, which is quickly seen. */
    if (f->coding != CODING_IDENTITY && access(path, F_OK) != 0)
        return FILES_NONE;
    if (!open_root(a))
        return FILES_NONE;
    return files_open(&a->root, slice_of(path + strlen(a->route->root) + 1), &f->file);
}

static bool is_older(const struct stat *a, const struct stat *b)
{
    return a->st_mtim.tv_sec != b->st_mtim.tv_sec ? a->st_mtim.tv_sec < b->st_mtim.tv_sec
                                                  : a->st_mtim.tv_nsec < b->st_mtim.tv_nsec;
}

/* Puts what lies beside the file in this coding in its place, if it is as new. */
static bool take_coded(struct asked *a, struct found *f, enum coding coding)
{
    struct found coded = {.name = f->name, .coding = coding};
    if (find(a, &coded) != FILES_FILE)
        return false;
    if (is_older(&coded.file.st, &f->file.st)) {
        found_close(&coded);
        return false;
    }
    found_close(f);
    *f = coded;
    return true;
}

static void find_coded(struct asked *a, struct found *f)
{
    /* The smallest first: they cost nothing more to send. */
    enum coding offer[] = {CODING_BR, CODING_ZSTD, CODING_GZIP};
    const struct http_request *req = a->request;
    for (size_t count = ARRAY_LEN(offer); count;) {
        enum coding best = negotiate_coding(req->headers, req->header_count, offer, count);
        if (best == CODING_IDENTITY || take_coded(a, f, best))
            return;
        size_t kept = 0;
        for (size_t i = 0; i < count; i++)
            if (offer[i] != best)
                offer[kept++] = offer[i];
        count = kept;
    }
}

static void serve(struct asked *a, struct found *f)
{
    f->packed = mediatype_is_packed(f->name);
    if (!f->packed)
        find_coded(a, f);
    found_send(a, f);
}

/* folder: empty, or with its slash. */
static bool serve_index(struct asked *a, struct slice folder)
{
    struct arena *arena = exchange_arena(a->exchange);
    for (size_t i = 0; i < a->route->index.count; i++) {
        struct slice index = slice_of(a->route->index.items[i]);
        char *name = arena_alloc(arena, folder.len + index.len + 1);
        if (folder.len)
            memcpy(name, folder.ptr, folder.len);
        memcpy(name + folder.len, index.ptr, index.len);
        struct found f = {.name = {name, folder.len + index.len}};
        if (find(a, &f) == FILES_FILE) {
            serve(a, &f);
            return true;
        }
    }
    return false;
}

/*
 * The path as it was sent begins with one slash and holds no backslash: it cannot be taken for
 * another host.
 */
static void redirect(const struct asked *a)
{
    const struct http_request *req = a->request;
    struct err err;
    struct buf to = {0};
    buf_add(&to, req->path);
    buf_addc(&to, '/');
    if (req->has_query) {
        buf_addc(&to, '?');
        buf_add(&to, req->query);
    }
    struct field location = {SLICE("Location"), buf_slice(&to)};
    if (!exchange_respond(
            a->exchange,
            &(struct http_answer){.status = 301, .headers = &location, .header_count = 1},
            &err))
        found_fail(a, 404, "no such file");
    buf_deinit(&to);
}

/*
 * A page that only the program in the browser knows: it has no file's name, or a browser
 * goes there.
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

static void find_and_serve(struct asked *a)
{
    struct found f = {.name = a->name};
    enum files_kind kind = find(a, &f);
    bool asks_folder = a->request->path.ptr[a->request->path.len - 1] == '/';
    if (kind == FILES_FILE) {
        serve(a, &f);
        return;
    }
    if (kind == FILES_FOLDER && !asks_folder) {
        redirect(a);
        return;
    }
    if (kind == FILES_FOLDER && serve_index(a, a->name))
        return;
    if (a->route->spa && is_page(a) && serve_index(a, (struct slice){0}))
        return;
    if (open_root(a))
        found_fail(a, 404, "no such file");
    else
        found_fail(a, 503, "the folder of this route is not there");
}

/* A slash that is written as an escape is in no file's name, and separates nothing. */
static bool has_hidden_slash(struct slice path)
{
    return memmem(path.ptr, path.len, "%2f", 3) || memmem(path.ptr, path.len, "%2F", 3);
}

/* The value of Range; several of them are as good as none. */
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

void statics_serve(struct gateway *g, struct exchange *x, const struct router_match *match)
{
    const struct http_request *req = exchange_request(x);
    struct asked a = {.gateway = g,
                      .exchange = x,
                      .request = req,
                      .route = ((const struct route *)match->target)->files,
                      .root = {.fd = -1},
                      .range = range_of(req)};
    if (match->param_count)
        a.name = match->params[match->param_count - 1].value;
    if (has_hidden_slash(req->path) || !files_name_valid(a.name)) {
        found_fail(&a, 404, "no such file");
        return;
    }
    find_and_serve(&a);
    folder_close(&a.root);
}
