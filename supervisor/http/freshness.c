#include "http/freshness.h"

#include <time.h>

#include "http/field.h"
#include "http/server.h"

enum { DATE_TEXT_MAX = 40 };

/* --------------------------------------------------------------- directives */

/* What Cache-Control can say that matters here, of a request or of an answer. */
struct directives {
    bool no_store;
    bool no_cache;
    bool is_private;
    bool is_public;
    bool must_revalidate;
    bool only_if_cached;
    uint64_t max_age_s;  /* UINT64_MAX = not said */
    uint64_t s_maxage_s; /* the same */
};

static const struct directives nothing_said = {.max_age_s = UINT64_MAX,
                                               .s_maxage_s = UINT64_MAX};

/* The length up to the comma that ends a directive; commas within quotes do not. */
static size_t directive_len(struct slice rest)
{
    bool quoted = false;
    for (size_t i = 0; i < rest.len; i++) {
        char c = rest.ptr[i];
        if (c == '"')
            quoted = !quoted;
        else if (c == '\\' && quoted)
            i++;
        else if (c == ',' && !quoted)
            return i;
    }
    return rest.len;
}

static bool take_directive(struct slice *rest, struct slice *name, struct slice *value)
{
    while (rest->len) {
        size_t len = directive_len(*rest);
        struct slice whole = slice_trim((struct slice){rest->ptr, len});
        *rest = slice_from(*rest, MIN(len + 1, rest->len));
        if (!whole.len)
            continue;
        const char *equals = memchr(whole.ptr, '=', whole.len);
        size_t at = equals ? (size_t)(equals - whole.ptr) : whole.len;
        *name = slice_trim((struct slice){whole.ptr, at});
        *value = slice_trim(slice_from(whole, MIN(at + 1, whole.len)));
        return true;
    }
    return false;
}

/* A number that cannot be read is none at all: what it is about is stale (4.2.1). */
static uint64_t read_seconds(struct slice text)
{
    if (text.len > 1 && text.ptr[0] == '"' && text.ptr[text.len - 1] == '"')
        text = (struct slice){text.ptr + 1, text.len - 2};
    size_t digits = 0;
    while (digits < text.len && text.ptr[digits] >= '0' && text.ptr[digits] <= '9')
        digits++;
    if (!digits || digits < text.len)
        return 0;
    uint64_t seconds = FRESH_MAX_S;
    IGNORE(slice_to_u64(text, FRESH_MAX_S, &seconds)); /* stays as it is: too large to read */
    return seconds;
}

static void note_directive(struct directives *d, struct slice name, struct slice value)
{
    if (slice_eq_nocase(name, SLICE("no-store")))
        d->no_store = true;
    else if (slice_eq_nocase(name, SLICE("no-cache")))
        d->no_cache = true;
    else if (slice_eq_nocase(name, SLICE("private")))
        d->is_private = true;
    else if (slice_eq_nocase(name, SLICE("public")))
        d->is_public = true;
    else if (slice_eq_nocase(name, SLICE("must-revalidate")))
        d->must_revalidate = true;
    else if (slice_eq_nocase(name, SLICE("only-if-cached")))
        d->only_if_cached = true;
    else if (slice_eq_nocase(name, SLICE("max-age"))) /* said twice: the shorter one holds */
        d->max_age_s = MIN(d->max_age_s, read_seconds(value));
    else if (slice_eq_nocase(name, SLICE("s-maxage")))
        d->s_maxage_s = MIN(d->s_maxage_s, read_seconds(value));
}

static void read_directives(struct directives *d, struct slice field)
{
    struct slice name, value;
    while (take_directive(&field, &name, &value))
        note_directive(d, name, value);
}

/* ------------------------------------------------------------------ request */

/* Of all the names that matter only two lengths exist: most fields cost one comparison. */
void cache_wish_read(struct cache_wish *wish, const struct http_request *request)
{
    struct directives said = nothing_said;
    *wish = (struct cache_wish){.max_age_s = UINT64_MAX};
    for (size_t i = 0; i < request->header_count; i++) {
        const struct field *field = &request->headers[i];
        if (field->name.len == strlen("cache-control")) {
            if (slice_eq(field->name, SLICE("cache-control")))
                read_directives(&said, field->value);
            else if (slice_eq(field->name, SLICE("authorization")))
                wish->authorized = true;
            else if (slice_eq(field->name, SLICE("if-none-match")))
                wish->if_none_match = field->value;
        } else if (slice_eq(field->name, SLICE("if-modified-since"))) {
            wish->if_modified_since = field->value;
        }
    }
    wish->no_store = said.no_store;
    wish->no_cache = said.no_cache || said.max_age_s == 0;
    wish->only_if_cached = said.only_if_cached;
    wish->max_age_s = said.max_age_s;
}

/* ------------------------------------------------------------------- answer */

static bool has_name(struct slice names, struct slice name)
{
    while (names.len) {
        const char *end = memchr(names.ptr, '\n', names.len);
        size_t len = (size_t)(end - names.ptr);
        if (slice_eq_nocase((struct slice){names.ptr, len}, name))
            return true;
        names = slice_from(names, len + 1);
    }
    return false;
}

/* False when the answer varies by what cannot be compared, or by too much. */
static bool add_vary(struct buf *vary, struct slice field)
{
    struct slice name;
    size_t count = 0;
    while (list_take(&field, &name)) {
        if (!token_valid(name) || slice_is(name, "*") || ++count > VARY_NAMES_MAX ||
            vary->len + name.len > VARY_BYTES_MAX)
            return false;
        if (has_name(buf_slice(vary), name))
            continue;
        for (size_t i = 0; i < name.len; i++) {
            char c = name.ptr[i];
            buf_addc(vary, c >= 'A' && c <= 'Z' ? (char)(c | 0x20) : c);
        }
        buf_addc(vary, '\n');
    }
    return true;
}

/* The fields of an answer that say how long it may live. */
struct clues {
    struct directives said;
    bool refused; /* a field forbids it, whatever the others say */
    bool has_expires;
    int64_t expires_s; /* -1 = in the past */
    int64_t date_s;    /* -1 = not given */
    uint64_t age_s;
};

static void read_clue(struct clues *clues, const struct field *field, struct buf *vary)
{
    if (slice_eq_nocase(field->name, SLICE("cache-control"))) {
        read_directives(&clues->said, field->value);
    } else if (slice_eq_nocase(field->name, SLICE("vary"))) {
        clues->refused |= !add_vary(vary, field->value);
    } else if (slice_eq_nocase(field->name, SLICE("set-cookie"))) {
        clues->refused = true;
    } else if (slice_eq_nocase(field->name, SLICE("age"))) {
        clues->age_s = read_seconds(slice_trim(field->value));
    } else if (slice_eq_nocase(field->name, SLICE("date"))) {
        clues->date_s = http_date_read(field->value);
    } else if (slice_eq_nocase(field->name, SLICE("expires"))) {
        int64_t when = http_date_read(field->value);
        clues->expires_s = clues->has_expires ? MIN(clues->expires_s, when) : when;
        clues->has_expires = true;
    }
}

static bool is_kept_by_default(unsigned status)
{
    switch (status) {
    case 200:
    case 203:
    case 204:
    case 300:
    case 301:
    case 308:
    case 404:
    case 410:
        return true;
    default:
        return false;
    }
}

/* All of its life, in ms; what it has lived already is to be taken off. */
static uint64_t lifetime(const struct clues *clues, unsigned status, uint64_t default_ms,
                         int64_t now_s)
{
    if (clues->said.s_maxage_s != UINT64_MAX)
        return clues->said.s_maxage_s * 1000;
    if (clues->said.max_age_s != UINT64_MAX)
        return clues->said.max_age_s * 1000;
    if (clues->has_expires) {
        int64_t from = clues->date_s >= 0 ? clues->date_s : now_s;
        int64_t seconds = clues->expires_s > from ? clues->expires_s - from : 0;
        return (uint64_t)MIN(seconds, (int64_t)FRESH_MAX_S) * 1000;
    }
    return is_kept_by_default(status) ? default_ms : 0;
}

struct freshness freshness_judge(const struct http_answer *answer, uint64_t default_ms,
                                 bool authorized, int64_t now_s, struct buf *vary)
{
    struct clues clues = {.said = nothing_said, .date_s = -1};
    const struct directives *said = &clues.said;
    if (answer->status >= 500 || answer->status == 206 || answer->status == 304)
        return (struct freshness){0};
    for (size_t i = 0; i < answer->header_count; i++)
        read_clue(&clues, &answer->headers[i], vary);
    struct freshness fresh = {
        .age_s = clues.age_s,
        .to_all = said->is_public || said->must_revalidate || said->s_maxage_s != UINT64_MAX,
    };
    if (clues.refused || said->no_store || said->no_cache || said->is_private ||
        (authorized && !fresh.to_all))
        return fresh;
    uint64_t life_ms = lifetime(&clues, answer->status, default_ms, now_s);
    uint64_t lived_ms = clues.age_s * 1000;
    fresh.ttl_ms = life_ms > lived_ms ? life_ms - lived_ms : 0;
    return fresh;
}

/* --------------------------------------------------------------------- vary */

/* Several fields of one name mean the same as one with all values. */
void vary_values(struct slice names, const struct http_request *request, struct buf *values)
{
    while (names.len) {
        const char *end = memchr(names.ptr, '\n', names.len);
        struct slice name = {names.ptr, (size_t)(end - names.ptr)};
        names = slice_from(names, name.len + 1);
        bool found = false;
        for (size_t i = 0; i < request->header_count; i++) {
            if (!slice_eq(request->headers[i].name, name))
                continue;
            buf_adds(values, found ? ", " : "=");
            buf_add(values, request->headers[i].value);
            found = true;
        }
        buf_addc(values, '\n');
    }
}

/* --------------------------------------------------------------- validators */

int64_t http_date_read(struct slice text)
{
    static const char *const forms[] = {
        "%a, %d %b %Y %H:%M:%S GMT",
        "%A, %d-%b-%y %H:%M:%S GMT",
        "%a %b %d %H:%M:%S %Y",
    };
    char copy[DATE_TEXT_MAX];
    text = slice_trim(text);
    if (text.len >= sizeof(copy))
        return -1;
    if (text.len)
        memcpy(copy, text.ptr, text.len);
    copy[text.len] = '\0';
    for (size_t i = 0; i < ARRAY_LEN(forms); i++) {
        struct tm tm = {0};
        const char *end = strptime(copy, forms[i], &tm);
        if (end && *end == '\0')
            return MAX((int64_t)timegm(&tm), (int64_t)-1);
    }
    return -1;
}

/* Without the "W/": a 304 may be given for either kind (RFC 9110, 13.1.2). */
static struct slice opaque_tag(struct slice tag)
{
    return slice_starts(tag, SLICE("W/")) ? slice_from(tag, 2) : tag;
}

/* Commas may stand within the quotes, so that this is no plain list. */
static bool tag_listed(struct slice list, struct slice etag)
{
    struct slice wanted = opaque_tag(etag);
    while (list.len) {
        size_t len = directive_len(list);
        if (slice_eq(opaque_tag(slice_trim((struct slice){list.ptr, len})), wanted))
            return true;
        list = slice_from(list, MIN(len + 1, list.len));
    }
    return false;
}

bool not_modified(const struct cache_wish *wish, struct slice etag, int64_t modified_s)
{
    if (wish->if_none_match.len) /* then the date does not count */
        return slice_is(wish->if_none_match, "*") ||
               (etag.len && tag_listed(wish->if_none_match, etag));
    if (!wish->if_modified_since.len || modified_s < 0)
        return false;
    return modified_s <= http_date_read(wish->if_modified_since);
}
