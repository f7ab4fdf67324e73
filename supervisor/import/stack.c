#include "import/stack.h"

#include <ctype.h>
#include <errno.h>

const struct service *stack_find(const struct stack *s, struct slice name)
{
    for (size_t i = 0; i < s->count; i++)
        if (slice_eq(s->services[i].node->key, name))
            return &s->services[i];
    return NULL;
}

bool service_runs(const struct service *v)
{
    return v->role == ROLE_PROGRAM || v->role == ROLE_SERVER;
}

/* ------------------------------------------------------------------------- ports */

size_t stack_split(struct arena *a, struct slice text, const char **parts, size_t max)
{
    size_t count = 0, from = 0;
    unsigned braces = 0;
    for (size_t i = 0; i <= text.len; i++) {
        char c = i < text.len ? text.ptr[i] : ':';
        bool bracket = c == '[' || (c == '{' && i && text.ptr[i - 1] == '$');
        if (bracket)
            braces++;
        else if ((c == '}' || c == ']') && braces)
            braces--;
        if (i == text.len || (c == ':' && !braces && count + 1 < max)) {
            parts[count++] = arena_strdup(a, (struct slice){text.ptr + from, i - from});
            from = i + 1;
        }
    }
    return count;
}

unsigned stack_number(struct slice text)
{
    uint64_t n;
    const char *minus = memchr(text.ptr, '-', text.len);
    if (slice_to_u64(text, UINT16_MAX, &n))
        return (unsigned)n;
    if (!slice_starts(text, SLICE("${")) || !minus)
        return 0;
    struct slice word = slice_from(text, (size_t)(minus - text.ptr) + 1);
    word.len -= word.len > 0;
    return slice_to_u64(word, UINT16_MAX, &n) ? (unsigned)n : 0;
}

/* "3000", "3000-3005", "3000/udp". */
static unsigned port_of(const char *text, struct published *p)
{
    struct slice word = slice_of(text);
    const char *slash = strrchr(text, '/');
    if (slash) {
        p->udp = strcmp(slash, "/udp") == 0;
        word.len = (size_t)(slash - text);
    }
    const char *dash = text[0] != '$' ? memchr(word.ptr, '-', word.len) : NULL;
    if (dash) {
        p->range = true;
        word.len = (size_t)(dash - text);
    }
    return stack_number(word);
}

struct published stack_port(struct arena *a, const struct tree *node)
{
    struct published p = {0};
    const char *parts[3];
    if (node->type == TREE_MAP) {
        const struct tree *target = tree_get(node, "target"),
                          *out = tree_get(node, "published");
        const struct tree *protocol = tree_get(node, "protocol");
        p.target = tree_is_text(target) ? port_of(target->text.ptr, &p) : 0;
        if (tree_is_text(out)) {
            p.published = port_of(out->text.ptr, &p);
            p.published_text = out->text.ptr;
        }
        p.udp = tree_is_text(protocol) && slice_is(protocol->text, "udp");
        return p;
    }
    if (node->type != TREE_TEXT)
        return p;
    size_t count = stack_split(a, node->text, parts, 3);
    p.target = port_of(parts[count - 1], &p);
    if (count > 1) {
        p.published_text = parts[count - 2];
        p.published = port_of(parts[count - 2], &p);
    }
    if (p.range && p.published)
        p.published_text = text_format(a, "%u", p.published);
    return p;
}

static bool is_taken(const struct stack *s, const struct service *but, unsigned port)
{
    for (size_t i = 0; i < s->count; i++)
        if (&s->services[i] != but && service_runs(&s->services[i]) &&
            s->services[i].port == port)
            return true;
    if (s->listen) {
        const char *colon = strrchr(s->listen, ':');
        return colon && stack_number(slice_of(colon + 1)) == port;
    }
    return false;
}

void stack_assign_ports(struct stack *s)
{
    struct arena *a = &s->draft->arena;
    for (size_t i = 0; i < s->count; i++) {
        struct service *v = &s->services[i];
        if (service_runs(v) && v->published && !is_taken(s, v, v->published)) {
            v->port = v->published;
            v->port_text = v->published_text;
        }
    }
    for (size_t i = 0; i < s->count; i++) {
        struct service *v = &s->services[i];
        if (!service_runs(v) || v->port || !v->target)
            continue;
        v->port = v->target;
        while (is_taken(s, v, v->port) && v->port < UINT16_MAX)
            v->port++;
        v->port_text = text_format(a, "%u", v->port);
    }
}

/* ------------------------------------------------------------------- names of hosts */

static bool is_name_char(char c)
{
    return isalnum((unsigned char)c) || c == '_' || c == '-' || c == '.';
}

/* What follows a name of a host: the length of ":5432", or 0. */
static size_t port_behind(struct slice rest)
{
    size_t len = 1;
    if (rest.len < 2 || rest.ptr[0] != ':')
        return 0;
    while (len < rest.len && isdigit((unsigned char)rest.ptr[len]))
        len++;
    bool is_password = len < rest.len && rest.ptr[len] == '@';
    return len > 1 && !is_password ? len : 0;
}

/* Is text[at .. at + len] where an address has its host? */
static bool is_host(struct slice text, size_t at, size_t len, bool whole)
{
    struct slice rest = slice_from(text, at + len), before = {text.ptr, at};
    char last = at ? text.ptr[at - 1] : '\0', next = rest.len ? rest.ptr[0] : '\0';
    bool url = (at > 1 && memcmp(text.ptr + at - 2, "//", 2) == 0) || last == '@';
    bool dsn = at > 4 && memcmp(text.ptr + at - 5, "host=", 5) == 0;
    if (at == 0 && rest.len == 0)
        return whole;
    if (port_behind(rest))
        return before.len == 0 || strchr("/@,= \"'(", last);
    return (url && strchr("/?,", next)) || (url && rest.len == 0) ||
           (dsn && (rest.len == 0 || next == ' '));
}

static void add_host(struct buf *out, const struct service *v, struct slice *rest, bool url)
{
    size_t len = port_behind(*rest);
    buf_adds(out, "127.0.0.1");
    if (len == 0) {
        if (url && v->port && v->port != v->target)
            buf_addf(out, ":%s", v->port_text);
        return;
    }
    struct slice digits = {rest->ptr + 1, len - 1};
    if (v->port && stack_number(digits) == v->target)
        buf_addf(out, ":%s", v->port_text);
    else
        buf_append(out, rest->ptr, len);
    *rest = slice_from(*rest, len);
}

struct slice stack_rewrite(struct stack *s, struct slice text, bool whole, bool *changed)
{
    struct buf out = {0};
    struct slice rest = text;
    while (rest.len) {
        size_t at = text.len - rest.len, len = 0;
        while (len < rest.len && is_name_char(rest.ptr[len]))
            len++;
        const struct service *v = len ? stack_find(s, (struct slice){rest.ptr, len}) : NULL;
        if (v && service_runs(v) && !v->replicas && is_host(text, at, len, whole)) {
            rest = slice_from(rest, len);
            add_host(&out, v, &rest, at > 0 && text.ptr[at - 1] == '/');
            *changed = true;
            continue;
        }
        len = MAX(len, (size_t)1);
        buf_append(&out, rest.ptr, len);
        rest = slice_from(rest, len);
    }
    struct slice kept = {arena_strdup(&s->draft->arena, buf_slice(&out)), out.len};
    buf_deinit(&out);
    return kept;
}
