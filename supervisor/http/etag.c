#include "http/etag.h"

#include "http/freshness.h"
#include "http/server.h"

/* Takes a tag off a list, W/ and quotes included; false at its end or where it is malformed. */
static bool take_tag(struct slice *list, struct slice *tag)
{
    size_t at = 0;
    while (at < list->len && memchr(" \t,", list->ptr[at], 3))
        at++;
    *list = slice_from(*list, at);
    size_t open = slice_starts(*list, SLICE("W/")) ? 2 : 0;
    if (list->len < open + 2 || list->ptr[open] != '"')
        return false;
    const char *end = memchr(list->ptr + open + 1, '"', list->len - open - 1);
    if (!end)
        return false;
    *tag = (struct slice){list->ptr, (size_t)(end + 1 - list->ptr)};
    *list = slice_from(*list, tag->len);
    return true;
}

static bool is_weak(struct slice tag)
{
    return slice_starts(tag, SLICE("W/"));
}

/* Strong comparison: two weak tags are never equal (8.8.3.2). */
static bool same_tag(struct slice a, struct slice b, bool strongly)
{
    if (strongly)
        return !is_weak(a) && !is_weak(b) && slice_eq(a, b);
    return slice_eq(is_weak(a) ? slice_from(a, 2) : a, is_weak(b) ? slice_from(b, 2) : b);
}

/* "*" stands for any representation, and there is one. */
static bool is_listed(struct slice list, struct slice etag, bool strongly)
{
    struct slice tag;
    if (slice_is(slice_trim(list), "*"))
        return true;
    while (take_tag(&list, &tag))
        if (etag.len && same_tag(tag, etag, strongly))
            return true;
    return false;
}

/* What the four fields say; each list may stand in several of them. */
struct wishes {
    bool match, matched;
    bool none_match, none_matched;
    struct slice modified_since, unmodified_since;
};

static struct wishes read_wishes(const struct http_request *req, struct slice etag)
{
    struct wishes w = {0};
    for (size_t i = 0; i < req->header_count; i++) {
        const struct field *f = &req->headers[i];
        if (!slice_starts(f->name, SLICE("if-")))
            continue;
        if (slice_is(f->name, "if-match")) {
            w.match = true;
            w.matched |= is_listed(f->value, etag, /* strongly= */ true);
        } else if (slice_is(f->name, "if-none-match")) {
            w.none_match = true;
            w.none_matched |= is_listed(f->value, etag, /* strongly= */ false);
        } else if (slice_is(f->name, "if-modified-since")) {
            w.modified_since = f->value;
        } else if (slice_is(f->name, "if-unmodified-since")) {
            w.unmodified_since = f->value;
        }
    }
    return w;
}

/* A date that is none does not count, nor does any where the file's own is not known. */
static bool read_date(struct slice text, const struct validators *v, int64_t *date_s)
{
    *date_s = text.len ? http_date_read(text) : -1;
    return *date_s >= 0 && v->modified_s >= 0;
}

enum condition etag_judge(const struct http_request *req, const struct validators *v)
{
    struct wishes w = read_wishes(req, v->etag);
    int64_t date_s;
    if (w.match) {
        if (!w.matched)
            return CONDITION_FAILED;
    } else if (read_date(w.unmodified_since, v, &date_s) && v->modified_s > date_s) {
        return CONDITION_FAILED;
    }
    if (w.none_match)
        return w.none_matched ? CONDITION_NOT_MODIFIED : CONDITION_TRUE;
    if (read_date(w.modified_since, v, &date_s) && v->modified_s <= date_s)
        return CONDITION_NOT_MODIFIED;
    return CONDITION_TRUE;
}

bool etag_range_holds(const struct http_request *req, const struct validators *v, int64_t now_s)
{
    for (size_t i = 0; i < req->header_count; i++) {
        struct slice value = slice_trim(req->headers[i].value);
        if (!slice_is(req->headers[i].name, "if-range"))
            continue;
        if (memchr(value.ptr, '"', value.len))
            return same_tag(value, v->etag, /* strongly= */ true);
        return v->modified_s >= 0 && http_date_read(value) == v->modified_s &&
               now_s > v->modified_s + 1;
    }
    return true;
}
