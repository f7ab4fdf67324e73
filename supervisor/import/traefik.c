#include "import/traefik.h"

#include <ctype.h>

#include "import/webfiles.h"

enum { RULE_MAX = 32, RULE_MAX_DEPTH = 8 };

#define ROUTERS     "traefik.http.routers."
#define MIDDLEWARES "traefik.http.middlewares."
#define SERVICES    "traefik.http.services."
#define STICKY      ".loadbalancer.sticky.cookie"

/* One alternative of a rule: what all must be true. */
struct terms {
    struct string_list prefixes, paths, methods, hosts;
    const char *other; /* the first that nodey has no word for; or NULL */
};

static const struct tree *labels_of(struct arena *a, const struct service *v)
{
    const struct tree *labels = composefile_map(a, tree_get(v->node, "labels"));
    const struct tree *deployed = composefile_map(a, tree_path(v->node, "deploy.labels"));
    return labels ? labels : deployed;
}

/* The label "BEFORE<name>AFTER", or NULL. */
static const struct tree *label(const struct tree *labels, const char *before,
                                struct slice name, const char *after)
{
    for (const struct tree *at = labels ? labels->first : NULL; at; at = at->next) {
        struct slice key = at->key;
        if (!slice_starts(key, slice_of(before)) || at->type != TREE_TEXT)
            continue;
        key = slice_from(key, strlen(before));
        if (slice_starts(key, name) && slice_is(slice_from(key, name.len), after))
            return at;
    }
    return NULL;
}

bool traefik_routes_to(struct arena *a, const struct service *v)
{
    const struct tree *labels = labels_of(a, v);
    for (const struct tree *at = labels ? labels->first : NULL; at; at = at->next) {
        const char *dot = strrchr(at->key.ptr, '.');
        if (slice_starts(at->key, SLICE(ROUTERS)) && dot && strcmp(dot, ".rule") == 0)
            return true;
    }
    return false;
}

/* ------------------------------------------------------------------------- rules */

/* Adds what stands in quotes between the parentheses. */
static void add_arguments(struct arena *a, struct slice text, struct string_list *list)
{
    while (text.len) {
        char quote = text.ptr[0];
        const char *end =
            strchr("`\"'", quote) ? memchr(text.ptr + 1, quote, text.len - 1) : NULL;
        if (end) {
            struct slice word = {text.ptr + 1, (size_t)(end - text.ptr) - 1};
            text_list_add(a, list, arena_strdup(a, word));
            text = slice_from(text, word.len + 2);
        } else {
            text = slice_from(text, 1);
        }
    }
}

static void read_term(struct arena *a, struct slice term, struct terms *out)
{
    const char *open = memchr(term.ptr, '(', term.len);
    struct slice name =
        slice_trim((struct slice){term.ptr, open ? (size_t)(open - term.ptr) : term.len});
    struct string_list *list = slice_is(name, "PathPrefix") ? &out->prefixes
                               : slice_is(name, "Path")     ? &out->paths
                               : slice_is(name, "Method")   ? &out->methods
                               : slice_is(name, "Host")     ? &out->hosts
                                                            : NULL;
    if (list)
        add_arguments(a, slice_from(term, name.len), list);
    else if (term.len && !out->other)
        out->other = arena_strdup(a, term);
}

/* Alternatives: one of them must be true. */
struct rule {
    struct terms all[RULE_MAX];
    size_t count;
};

static void skip_blanks(struct slice *text)
{
    while (text->len && isspace((unsigned char)text->ptr[0]))
        *text = slice_from(*text, 1);
}

/* Takes "||" or "&&" off the front. */
static bool take(struct slice *text, struct slice word)
{
    skip_blanks(text);
    if (!slice_starts(*text, word))
        return false;
    *text = slice_from(*text, word.len);
    return true;
}

/* Takes one "Name(`...`)" off the front. */
static struct slice take_term(struct slice *text)
{
    size_t len = 0;
    char quote = '\0';
    for (; len < text->len; len++) {
        char c = text->ptr[len];
        if (quote ? c == quote : c == '`' || c == '"')
            quote = quote ? '\0' : c;
        else if (!quote && c == ')')
            break;
    }
    len += len < text->len;
    struct slice term = {text->ptr, len};
    *text = slice_from(*text, len);
    return slice_trim(term);
}

static void join_lists(struct arena *a, struct string_list *to, const struct string_list *from)
{
    for (size_t i = 0; i < from->count; i++)
        text_list_add(a, to, from->items[i]);
}

/* Every alternative of one with every one of the other. */
static void multiply(struct arena *a, struct rule *rule, const struct rule *by)
{
    struct rule product = {0};
    for (size_t i = 0; i < rule->count; i++)
        for (size_t j = 0; j < by->count && product.count < RULE_MAX; j++) {
            struct terms t = rule->all[i];
            join_lists(a, &t.prefixes, &by->all[j].prefixes);
            join_lists(a, &t.paths, &by->all[j].paths);
            join_lists(a, &t.methods, &by->all[j].methods);
            join_lists(a, &t.hosts, &by->all[j].hosts);
            t.other = t.other ? t.other : by->all[j].other;
            product.all[product.count++] = t;
        }
    *rule = product;
}

static struct rule read_rule(struct arena *a, struct slice *text, unsigned depth);

static struct rule read_factor(struct arena *a, struct slice *text, unsigned depth)
{
    struct rule one = {.count = 1};
    if (depth < RULE_MAX_DEPTH && take(text, SLICE("("))) {
        one = read_rule(a, text, depth + 1);
        IGNORE(!take(text, SLICE(")"))); /* one that is missing changes nothing */
        return one;
    }
    skip_blanks(text);
    read_term(a, take_term(text), &one.all[0]);
    return one;
}

static struct rule read_rule(struct arena *a, struct slice *text, unsigned depth)
{
    struct rule sum = {0};
    do {
        struct rule product = read_factor(a, text, depth);
        while (take(text, SLICE("&&"))) {
            struct rule by = read_factor(a, text, depth);
            multiply(a, &product, &by);
        }
        for (size_t i = 0; i < product.count && sum.count < RULE_MAX; i++)
            sum.all[sum.count++] = product.all[i];
    } while (take(text, SLICE("||")));
    return sum;
}

/* ------------------------------------------------------------------- middlewares */

static bool is_needless_middleware(struct slice kind)
{
    return slice_starts(kind, SLICE("compress")) || slice_starts(kind, SLICE("retry"));
}

/* What a middleware of any service does: its strip prefixes, or what gets lost. */
static void read_middleware(struct stack *s, const struct tree *router, struct slice name,
                            struct string_list *strips)
{
    struct arena *a = &s->draft->arena;
    bool found = false;
    for (size_t i = 0; i < s->count; i++) {
        const struct tree *labels = labels_of(a, &s->services[i]);
        for (const struct tree *at = labels ? labels->first : NULL; at; at = at->next) {
            struct slice key = at->key;
            char *before = text_format(a, MIDDLEWARES SLICE_FMT ".", SLICE_ARG(name));
            if (!slice_starts(key, slice_of(before)))
                continue;
            key = slice_from(key, strlen(before));
            found = true;
            if (slice_starts(key, SLICE("stripprefix.prefixes"))) {
                for (const char *word = at->text.ptr; *word;) {
                    struct slice one = {word, strcspn(word, ",")};
                    text_list_add(a, strips, arena_strdup(a, slice_trim(one)));
                    word += one.len + (word[one.len] != '\0');
                }
            } else if (!is_needless_middleware(key) &&
                       !slice_starts(key, SLICE("stripprefix."))) {
                draft_lost(s->draft, at,
                           "the middleware " SLICE_FMT " (" SLICE_FMT
                           "): nodey has nothing like it",
                           SLICE_ARG(name), SLICE_ARG(key));
            }
        }
    }
    if (!found)
        draft_lost(s->draft, router,
                   "the middleware " SLICE_FMT ", which is defined somewhere else",
                   SLICE_ARG(name));
}

static void read_middlewares(struct stack *s, const struct tree *list,
                             struct string_list *strips)
{
    for (const char *at = list ? list->text.ptr : ""; *at;) {
        struct slice one = {at, strcspn(at, ",")}, name = slice_trim(one);
        const char *provider = memchr(name.ptr, '@', name.len);
        if (provider)
            name.len = (size_t)(provider - name.ptr);
        read_middleware(s, list, name, strips);
        at += one.len + (at[one.len] != '\0');
    }
}

/* ------------------------------------------------------------------------ routes */

/* The cookie that keeps a client with its instance; NULL: none does. */
static const char *sticky_cookie(const struct tree *labels)
{
    const char *name = NULL;
    for (const struct tree *at = labels ? labels->first : NULL; at; at = at->next) {
        const char *key = strstr(at->key.ptr, STICKY);
        if (!slice_starts(at->key, SLICE(SERVICES)) || !key || !tree_is_text(at))
            continue;
        key += strlen(STICKY);
        if (strcmp(key, ".name") == 0)
            return at->text.ptr;
        if (*key == '.' || tree_is_true(at))
            name = "lb";
    }
    return name;
}

void traefik_write_route(struct stack *s, const struct service *v, const char *path,
                         const char *strip, const struct string_list *methods)
{
    struct draft *d = s->draft;
    if (v->role == ROLE_FILES) {
        webfiles_write_routes(s, v, path, methods);
        return;
    }
    const char *cookie = sticky_cookie(labels_of(&d->arena, v));
    draft_route(d, path, v->name, strip);
    if (cookie)
        draft_string(d, "policy", slice_of(text_format(&d->arena, "cookie:%s", cookie)));
    if (methods && methods->count)
        draft_list(d, "methods", methods);
}

/* The prefix to strip of those that the middlewares name; NULL: none fits. */
static const char *strip_of(const struct string_list *strips, const char *path)
{
    for (size_t i = 0; i < strips->count; i++)
        if (slice_starts(slice_of(path), slice_of(strips->items[i])) &&
            strcmp(strips->items[i], "/") != 0)
            return strips->items[i];
    return NULL;
}

/*
 * By path alone it would take what no other route has, of all hosts: a page for a few would be
 * open to everybody.
 */
static void write_host_only(struct stack *s, const struct service *v, const struct tree *rule,
                            const struct terms *t)
{
    struct draft *d = s->draft;
    draft_lost(d, rule,
               "the route to %s for the host %s alone: nodey's routes go by path, and this one "
               "would be for every host; if there is no other, take the # away",
               v->name, t->hosts.items[0]);
    size_t begin = d->out.len;
    traefik_write_route(s, v, "/*", NULL, &t->methods);
    draft_hide(d, begin);
}

static void write_paths(struct stack *s, const struct service *v, const struct terms *t,
                        const struct string_list *strips)
{
    struct arena *a = &s->draft->arena;
    for (size_t i = 0; i < t->prefixes.count; i++) {
        const char *prefix = t->prefixes.items[i];
        size_t len = strlen(prefix);
        bool slash = len && prefix[len - 1] == '/';
        traefik_write_route(s, v, text_format(a, "%s%s*", prefix, slash ? "" : "/"),
                            strip_of(strips, prefix), &t->methods);
    }
    for (size_t i = 0; i < t->paths.count; i++)
        traefik_write_route(s, v, t->paths.items[i], strip_of(strips, t->paths.items[i]),
                            &t->methods);
    if (t->prefixes.count == 0 && t->paths.count == 0)
        traefik_write_route(s, v, "/*", NULL, &t->methods);
}

static void write_rule(struct stack *s, const struct service *v, const struct tree *rule,
                       const struct string_list *strips)
{
    struct arena *a = &s->draft->arena;
    struct slice text = rule->text;
    const struct rule read = read_rule(a, &text, 0);
    if (text.len)
        draft_lost(s->draft, rule, "the end of the rule, from \"%.60s\" on", text.ptr);
    for (size_t i = 0; i < read.count; i++) {
        const struct terms *t = &read.all[i];
        if (t->other) {
            draft_lost(s->draft, rule, "the route for %s: nodey cannot decide by that",
                       t->other);
            continue;
        }
        if (t->hosts.count && t->prefixes.count == 0 && t->paths.count == 0) {
            write_host_only(s, v, rule, t);
            continue;
        }
        if (t->hosts.count)
            draft_lost(s->draft, rule,
                       "the route is for the host %s only: nodey's routes go by path, for any "
                       "host",
                       t->hosts.items[0]);
        write_paths(s, v, t, strips);
    }
}

static void write_router(struct stack *s, const struct service *v, const struct tree *labels,
                         const struct tree *rule)
{
    size_t before = strlen(ROUTERS), after = strlen(".rule");
    struct slice name = {rule->key.ptr + before, rule->key.len - before - after};
    struct string_list strips = {0};
    buf_adds(&s->draft->out, "\n");
    draft_comment(s->draft, "%s: " SLICE_FMT, v->name, SLICE_ARG(rule->text));
    read_middlewares(s, label(labels, ROUTERS, name, ".middlewares"), &strips);
    const struct tree *tls = label(labels, ROUTERS, name, ".tls");
    const struct tree *resolver = label(labels, ROUTERS, name, ".tls.certresolver");
    if (tree_is_true(tls) || resolver)
        draft_lost(s->draft, tls ? tls : resolver,
                   "TLS: nodey speaks HTTP only; keep something before it that ends TLS");
    write_rule(s, v, rule, &strips);
}

/* Words of traefik's that are looked at, or mean nothing here. */
static bool is_understood(struct slice key)
{
    static const char *const ends[] = {
        ".rule",
        ".middlewares",
        ".entrypoints",
        ".service",
        ".tls",
        ".tls.certresolver",
        ".priority",
        ".loadbalancer.server.port",
        ".loadbalancer.passhostheader",
        ".loadbalancer.server.scheme",
        STICKY,
        STICKY ".name",
        STICKY ".httponly",
    };
    if (slice_is(key, "traefik.enable") || slice_is(key, "traefik.docker.network") ||
        slice_starts(key, SLICE(MIDDLEWARES)))
        return true;
    if (!slice_starts(key, SLICE(ROUTERS)) && !slice_starts(key, SLICE(SERVICES)))
        return false;
    for (size_t i = 0; i < ARRAY_LEN(ends); i++) {
        struct slice end = slice_of(ends[i]);
        if (key.len > end.len && slice_eq(slice_from(key, key.len - end.len), end))
            return true;
    }
    return false;
}

void traefik_write(struct stack *s)
{
    struct arena *a = &s->draft->arena;
    for (size_t i = 0; i < s->count; i++) {
        const struct service *v = &s->services[i];
        const struct tree *labels = labels_of(a, v);
        bool enabled = tree_is_true(tree_get(labels, "traefik.enable")) ||
                       !tree_get(labels, "traefik.enable");
        for (const struct tree *at = labels ? labels->first : NULL; at; at = at->next) {
            const char *dot = strrchr(at->key.ptr, '.');
            if (!slice_starts(at->key, SLICE("traefik.")))
                continue;
            bool routable = (service_runs(v) && v->port) || v->role == ROLE_FILES;
            if (enabled && routable && slice_starts(at->key, SLICE(ROUTERS)) &&
                strcmp(dot, ".rule") == 0)
                write_router(s, v, labels, at);
            else if (enabled && !is_understood(at->key))
                draft_lost(s->draft, at, "the label %s", at->key.ptr);
        }
    }
}
