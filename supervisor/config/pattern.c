#include "config/pattern.h"

#include <ctype.h>

#include "base/buf.h"

static const char no_front[] = "it must begin with \"/\"";
static const char star_inside[] = "\"*\" must be its last segment";
static const char not_known[] =
    "only \":name\" for a segment, and \"*\" for all that follows, are understood: write it "
    "with these, or as several routes";
static const char condition_lost[] =
    "what stands in \"()\" is no condition here: any segment fits";
static const char below_only[] =
    "it serves this path and all below it, but not what merely begins like it";

/* What an Express segment is to us. */
enum part { PART_PLAIN, PART_OPTIONAL, PART_REST, PART_BAD };

static size_t word_length(struct slice text)
{
    size_t n = 0;
    while (n < text.len && (isalnum((unsigned char)text.ptr[n]) || text.ptr[n] == '_'))
        n++;
    return n;
}

static bool is_literal(struct slice text)
{
    for (size_t i = 0; i < text.len; i++)
        if (!text.ptr[i] || strchr("*:()?+[]{}!\\#", text.ptr[i]))
            return false;
    return true;
}

/* Appends "*" or "*name". */
static enum part add_rest(struct buf *out, struct slice name)
{
    if (word_length(name) != name.len)
        return PART_BAD;
    buf_addc(out, '*');
    buf_add(out, name);
    return PART_REST;
}

/* ":id", ":id?", ":id*", ":id(\\d+)", ":id(.*)" */
static enum part add_param(struct buf *out, struct slice segment, const char **note)
{
    struct slice name = {segment.ptr + 1, word_length(slice_from(segment, 1))};
    struct slice rest = slice_from(segment, 1 + name.len);
    if (name.len == 0)
        return PART_BAD;
    if (slice_is(rest, "*") || slice_is(rest, "(.*)"))
        return add_rest(out, name);
    if (rest.len > 2 && rest.ptr[0] == '(') {
        const char *end = memchr(rest.ptr, ')', rest.len);
        if (!end)
            return PART_BAD;
        rest = slice_from(rest, (size_t)(end + 1 - rest.ptr));
        *note = condition_lost;
    }
    buf_addc(out, ':');
    buf_add(out, name);
    if (slice_is(rest, "?"))
        return PART_OPTIONAL;
    return rest.len ? PART_BAD : PART_PLAIN;
}

static enum part add_segment(struct buf *out, struct slice segment, const char **note)
{
    struct slice inner = segment;
    if (is_literal(segment)) {
        buf_add(out, segment);
        return PART_PLAIN;
    }
    if (slice_is(segment, "(.*)"))
        return add_rest(out, (struct slice){0});
    if (slice_starts(segment, SLICE("{*")) && segment.ptr[segment.len - 1] == '}')
        inner = (struct slice){segment.ptr + 1, segment.len - 2};
    if (inner.ptr[0] == '*')
        return add_rest(out, slice_from(inner, 1));
    if (segment.ptr[0] == ':')
        return add_param(out, segment, note);
    struct slice front = {segment.ptr, segment.len - 1};
    if (segment.ptr[front.len] != '*' || !is_literal(front))
        return PART_BAD;
    buf_add(out, front);
    buf_adds(out, "/*");
    *note = below_only;
    return PART_REST;
}

static void keep(struct arena *a, struct patterns *p, struct slice text)
{
    p->items[p->count++] = arena_strdup(a, text.len ? text : SLICE("/"));
}

/* Everything up to the last segment is plain; that may be left out, or stand for all. */
static const char *convert(struct arena *a, struct slice path, struct buf *out,
                           struct patterns *p)
{
    while (path.len) {
        size_t before = out->len;
        path = slice_from(path, 1);
        const char *slash = memchr(path.ptr, '/', path.len);
        struct slice segment = {path.ptr, slash ? (size_t)(slash - path.ptr) : path.len};
        path = slice_from(path, segment.len);
        buf_addc(out, '/');
        enum part part = add_segment(out, segment, &p->note);
        if (part == PART_BAD || (part == PART_OPTIONAL && path.len))
            return not_known;
        if (part == PART_REST && path.len)
            return star_inside;
        if (part == PART_OPTIONAL)
            keep(a, p, (struct slice){out->ptr, before});
    }
    keep(a, p, buf_slice(out));
    return NULL;
}

/* "/users{/:id}": without its braces, and without what is between them. */
static const char *convert_braces(struct arena *a, struct slice path, struct buf *out,
                                  struct patterns *p)
{
    const char *open = memmem(path.ptr, path.len, "{/", 2);
    if (!open)
        return convert(a, path, out, p);
    struct slice front = {path.ptr, (size_t)(open - path.ptr)};
    struct slice inner = slice_from(path, front.len + 1);
    if (!inner.len || inner.ptr[inner.len - 1] != '}' || memchr(inner.ptr, '{', inner.len))
        return not_known;
    inner.len--;
    const char *why = convert(a, front, out, p);
    if (why || p->count > 1)
        return why ? why : not_known;
    why = convert(a, inner, out, p);
    return why || p->count == 2 ? why : not_known;
}

int pattern_from_express(struct arena *a, const char *path, struct patterns *p,
                         const char **why)
{
    struct slice all = slice_of(path);
    struct buf out = {0};
    *p = (struct patterns){0};
    if (slice_is(all, "*") || slice_is(all, "(.*)"))
        all = SLICE("/*");
    *why = all.len && (all.ptr[0] == '/' || slice_starts(all, SLICE("{/")))
               ? convert_braces(a, all, &out, p)
               : no_front;
    buf_deinit(&out);
    return *why ? -1 : 0;
}
