#include "http/router.h"

#include <stdlib.h>

#include "base/buf.h"
#include "base/list.h"
#include "http/field.h"
#include "http/path.h"

/* Patterns are equal when they differ only in the names of their parameters. */
struct route {
    struct list node;
    struct slice method; /* empty = any */
    void *target;
    struct slice names[ROUTER_MAX_PARAMS];
    size_t name_count;
};

/*
 * One segment of a pattern, with all that patterns put behind it:
 *
 *      "" ── users ──┬── me
 *                    ├── :       ":id" and ":name" are one node
 *                    └── *       what takes the rest
 */
struct node {
    struct slice text; /* literal */
    struct node **literals;
    size_t literal_count;
    struct node *param;
    struct list routes; /* of patterns that end here */
    struct list rest;   /* of patterns that end here with "*" */
};

struct router {
    struct arena arena; /* patterns and names */
    struct node root;
};

static void node_init(struct node *node, struct slice text)
{
    *node = (struct node){.text = text};
    list_init(&node->routes);
    list_init(&node->rest);
}

static struct node *node_new(struct slice text)
{
    struct node *node = xmalloc(sizeof(*node));
    node_init(node, text);
    return node;
}

static void routes_free(struct list *routes)
{
    list_each_safe (at, routes) {
        xfree(container_of(at, struct route, node));
    }
}

static void node_deinit(struct node *node)
{
    for (size_t i = 0; i < node->literal_count; i++) {
        node_deinit(node->literals[i]);
        xfree(node->literals[i]);
    }
    xfree(node->literals);
    if (node->param)
        node_deinit(node->param);
    xfree(node->param);
    routes_free(&node->routes);
    routes_free(&node->rest);
}

struct router *router_new(void)
{
    struct router *router = xcalloc(1, sizeof(*router));
    node_init(&router->root, SLICE(""));
    return router;
}

void router_free(struct router *router)
{
    if (!router)
        return;
    node_deinit(&router->root);
    arena_deinit(&router->arena);
    xfree(router);
}

/* Takes "/segment" off the front; `rest` begins with a slash. */
static struct slice take_segment(struct slice *rest)
{
    *rest = slice_from(*rest, 1);
    const char *slash = rest->len ? memchr(rest->ptr, '/', rest->len) : NULL;
    struct slice segment = {rest->ptr, slash ? (size_t)(slash - rest->ptr) : rest->len};
    *rest = slice_from(*rest, segment.len);
    return segment;
}

/* ---------------------------------------------------------------------- add */

static struct node *literal_find(const struct node *node, struct slice text)
{
    for (size_t i = 0; i < node->literal_count; i++)
        if (slice_eq(node->literals[i]->text, text))
            return node->literals[i];
    return NULL;
}

static struct node *literal_add(struct node *node, struct slice text)
{
    struct node *child = literal_find(node, text);
    if (child)
        return child;
    size_t size = (node->literal_count + 1) * sizeof(struct node *);
    node->literals = xrealloc(node->literals, size);
    child = node_new(text);
    node->literals[node->literal_count++] = child;
    return child;
}

static struct node *param_add(struct node *node)
{
    if (!node->param)
        node->param = node_new(SLICE(""));
    return node->param;
}

static int fault(struct err *err, struct slice pattern, const char *what)
{
    return err_set(err, -1, "the route \"" SLICE_FMT "\" %s", SLICE_ARG(pattern), what);
}

static int add_name(struct route *route, struct slice pattern, struct slice name,
                    struct err *err)
{
    if (name.len == 0)
        return fault(err, pattern, "has a \":\" without a name");
    if (route->name_count == ROUTER_MAX_PARAMS)
        return fault(err, pattern, "has too many parameters");
    for (size_t i = 0; i < route->name_count; i++)
        if (slice_eq(route->names[i], name))
            return fault(err, pattern, "names a parameter twice");
    route->names[route->name_count++] = name;
    return 0;
}

/* Finds the list that the pattern's routes are in, making the nodes on the way. */
static int place(struct router *router, struct route *route, struct slice pattern,
                 struct list **home, struct err *err)
{
    struct node *node = &router->root;
    struct slice rest = pattern;
    while (rest.len) {
        struct slice segment = take_segment(&rest);
        char kind = segment.len ? segment.ptr[0] : '\0';
        if (kind == '*') {
            struct slice name = segment.len > 1 ? slice_from(segment, 1) : segment;
            *home = &node->rest;
            return rest.len ? fault(err, pattern, "has a \"*\" that is not the last segment")
                            : add_name(route, pattern, name, err);
        }
        if (kind == ':') {
            if (add_name(route, pattern, slice_from(segment, 1), err))
                return -1;
            node = param_add(node);
        } else {
            if (!path_decode(segment, &router->arena, &segment))
                return fault(err, pattern, "has a malformed percent-encoding");
            node = literal_add(node, segment);
        }
    }
    *home = &node->routes;
    return 0;
}

static bool method_valid(struct slice method)
{
    for (size_t i = 0; i < method.len; i++)
        if (method.ptr[i] >= 'a' && method.ptr[i] <= 'z')
            return false;
    return method.len == 0 || token_valid(method);
}

int router_add(struct router *router, struct slice method, struct slice pattern, void *target,
               void **taken, struct err *err)
{
    struct list *home = NULL;
    *taken = NULL;
    if (pattern.len == 0 || pattern.ptr[0] != '/')
        return fault(err, pattern, "does not begin with \"/\"");
    if (memchr(pattern.ptr, '?', pattern.len) || memchr(pattern.ptr, '#', pattern.len))
        return fault(err, pattern, "holds a \"?\" or \"#\": a route is a path");
    if (!method_valid(method))
        return fault(err, pattern, "has a method that is not written in upper case");
    struct route *route = xcalloc(1, sizeof(*route));
    route->target = target;
    route->method = arena_copy(&router->arena, method);
    if (place(router, route, arena_copy(&router->arena, pattern), &home, err)) {
        xfree(route);
        return -1;
    }
    list_each (at, home) {
        struct route *other = container_of(at, struct route, node);
        if (slice_eq(other->method, method)) {
            *taken = other->target;
            xfree(route);
            return 0;
        }
    }
    list_add(home, &route->node);
    return 0;
}

/* --------------------------------------------------------------------- find */

struct search {
    struct slice method;
    bool is_head;
    struct arena *arena;
    struct slice values[ROUTER_MAX_PARAMS];
    size_t value_count;
    const struct route *found;
    struct slice *allowed; /* methods of routes that fit the path alone */
    size_t allowed_count;
};

static void note_allowed(struct search *search, struct slice method)
{
    struct slice *grown =
        arena_alloc(search->arena, (search->allowed_count + 1) * sizeof(struct slice));
    for (size_t i = 0; i < search->allowed_count; i++) {
        if (slice_eq(search->allowed[i], method))
            return;
        grown[i] = search->allowed[i];
    }
    grown[search->allowed_count++] = method;
    search->allowed = grown;
}

/* Picks among routes of one pattern: this method, then GET for HEAD, then any. */
static bool pick(struct search *search, const struct list *routes)
{
    const struct route *get = NULL;
    const struct route *any = NULL;
    list_each (at, routes) {
        const struct route *route = container_of(at, struct route, node);
        if (slice_eq(route->method, search->method)) {
            search->found = route;
            return true;
        }
        if (route->method.len == 0)
            any = route;
        else if (search->is_head && slice_is(route->method, "GET"))
            get = route;
    }
    search->found = get ? get : any;
    if (search->found)
        return true;
    list_each (at, routes) {
        note_allowed(search, container_of(at, struct route, node)->method);
    }
    return false;
}

static bool pick_rest(struct search *search, const struct node *node, struct slice rest)
{
    if (list_empty(&node->rest))
        return false;
    struct slice value = rest.len ? slice_from(rest, 1) : rest;
    if (!path_decode(value, search->arena, &value))
        return false;
    search->values[search->value_count] = value;
    return pick(search, &node->rest);
}

/* As deep as the patterns, however deep the path is. */
static bool find(struct search *search, const struct node *node, struct slice rest)
{
    if (rest.len == 0)
        return pick(search, &node->routes) || pick_rest(search, node, rest);
    struct slice behind = rest;
    struct slice segment = take_segment(&behind);
    if (!path_decode(segment, search->arena, &segment))
        return false;
    const struct node *literal = literal_find(node, segment);
    if (literal && find(search, literal, behind))
        return true;
    if (node->param && segment.len) {
        search->values[search->value_count++] = segment;
        if (find(search, node->param, behind))
            return true;
        search->value_count--;
    }
    return pick_rest(search, node, rest);
}

static int by_text(const void *a, const void *b)
{
    const struct slice *left = a;
    const struct slice *right = b;
    int order = memcmp(left->ptr, right->ptr, MIN(left->len, right->len));
    return order ? order : (left->len > right->len) - (left->len < right->len);
}

/* "GET, HEAD, POST": HEAD is allowed where GET is. */
static struct slice list_allowed(struct search *search)
{
    for (size_t i = 0; i < search->allowed_count; i++)
        if (slice_is(search->allowed[i], "GET")) {
            note_allowed(search, SLICE("HEAD"));
            break;
        }
    qsort(search->allowed, search->allowed_count, sizeof(struct slice), by_text);
    struct buf text = {0};
    for (size_t i = 0; i < search->allowed_count; i++) {
        buf_adds(&text, i ? ", " : "");
        buf_add(&text, search->allowed[i]);
    }
    struct slice allow = arena_copy(search->arena, buf_slice(&text));
    buf_deinit(&text);
    return allow;
}

enum router_verdict router_find(const struct router *router, struct slice method,
                                struct slice path, struct arena *arena,
                                struct router_match *match)
{
    struct search search = {
        .method = method, .is_head = slice_is(method, "HEAD"), .arena = arena};
    match->target = NULL;
    match->param_count = 0;
    match->allow = (struct slice){0};
    if (path.len == 0 || path.ptr[0] != '/')
        return ROUTER_NOT_FOUND;
    if (!find(&search, &router->root, path)) {
        if (search.allowed_count == 0)
            return ROUTER_NOT_FOUND;
        match->allow = list_allowed(&search);
        return ROUTER_METHOD;
    }
    match->target = search.found->target;
    match->param_count = search.found->name_count;
    for (size_t i = 0; i < match->param_count; i++)
        match->params[i] = (struct field){search.found->names[i], search.values[i]};
    return ROUTER_FOUND;
}
