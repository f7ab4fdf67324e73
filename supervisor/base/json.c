#include "base/json.h"

#include <stdlib.h>

#include "base/json_text.h"
#include "base/word.h"

static bool fail(struct json_scan *s, const char *fault)
{
    s->fault = fault;
    return false;
}

static bool fail_here(struct json_scan *s)
{
    return fail(s, s->ptr < s->end ? "a character that JSON does not have here"
                                   : "the text ends too early");
}

static void skip_space(struct json_scan *s)
{
    while (s->ptr < s->end &&
           (*s->ptr == ' ' || *s->ptr == '\t' || *s->ptr == '\n' || *s->ptr == '\r'))
        s->ptr++;
}

/* The next byte, or NUL at the end: no caller looks for a NUL. */
static char peek(const struct json_scan *s)
{
    return s->ptr < s->end ? *s->ptr : '\0';
}

/* At the opening quote; leaves ptr behind the closing one. */
static bool scan_string(struct json_scan *s, bool *escaped)
{
    const char *p = s->ptr + 1;
    *escaped = false;
    for (;;) {
        p = json_skip_plain(p, s->end);
        if (p == s->end)
            return fail(s, "a string that does not end");
        unsigned char c = (unsigned char)*p;
        if (c == '"') {
            s->ptr = p + 1;
            return true;
        }
        if (c == '\\') {
            uint32_t point;
            size_t len = json_read_escape(p, s->end, &point);
            if (len == 0)
                return fail(s, "an escape that JSON does not have");
            *escaped = true;
            s->dirty |= json_is_surrogate(point);
            p += len;
        } else if (c >= 0x80) {
            bool valid;
            p += utf8_step(p, s->end, &valid);
            s->dirty |= !valid;
        } else {
            return fail(s, "a raw control character in a string");
        }
    }
}

static bool scan_digits(struct json_scan *s)
{
    const char *start = s->ptr;
    while (s->ptr < s->end && *s->ptr >= '0' && *s->ptr <= '9')
        s->ptr++;
    return s->ptr > start;
}

static bool scan_number(struct json_scan *s)
{
    if (peek(s) == '-')
        s->ptr++;
    if (peek(s) == '0')
        s->ptr++;
    else if (!scan_digits(s))
        return fail(s, "a number that JSON does not have");
    if (peek(s) == '.') {
        s->ptr++;
        if (!scan_digits(s))
            return fail(s, "a number without digits after its point");
    }
    if (peek(s) == 'e' || peek(s) == 'E') {
        s->ptr++;
        if (peek(s) == '+' || peek(s) == '-')
            s->ptr++;
        if (!scan_digits(s))
            return fail(s, "a number without digits in its exponent");
    }
    return true;
}

static bool scan_word(struct json_scan *s, struct slice word)
{
    if (!slice_starts((struct slice){s->ptr, (size_t)(s->end - s->ptr)}, word))
        return fail(s, "a word that JSON does not have");
    s->ptr += word.len;
    return true;
}

/* Anything but an array or an object. */
static bool scan_scalar(struct json_scan *s, struct json_value *out)
{
    switch (peek(s)) {
    case '"':
        out->type = JSON_STRING;
        return scan_string(s, &out->escaped);
    case 't':
        out->type = JSON_TRUE;
        return scan_word(s, SLICE("true"));
    case 'f':
        out->type = JSON_FALSE;
        return scan_word(s, SLICE("false"));
    case 'n':
        out->type = JSON_NULL;
        return scan_word(s, SLICE("null"));
    case '-':
    case '0' ... '9':
        out->type = JSON_NUMBER;
        return scan_number(s);
    default:
        return fail_here(s);
    }
}

/* A member's name and its colon. */
static bool scan_key(struct json_scan *s, bool *escaped)
{
    skip_space(s);
    if (peek(s) != '"')
        return fail_here(s);
    if (!scan_string(s, escaped))
        return false;
    skip_space(s);
    if (peek(s) != ':')
        return fail_here(s);
    s->ptr++;
    return true;
}

/* The containers that are open: one bit for each level, set for an object. */
struct levels {
    uint64_t objects;
    unsigned depth;
};

static bool in_object(const struct levels *l)
{
    return l->objects & 1;
}

/* At an opening bracket.  *empty: the container has closed already. */
static bool scan_open(struct json_scan *s, struct levels *l, bool *empty)
{
    bool object = *s->ptr == '{', escaped;
    if (s->depth + l->depth >= JSON_MAX_DEPTH)
        return fail(s, "nested more than 64 levels deep");
    s->ptr++;
    skip_space(s);
    *empty = peek(s) == (object ? '}' : ']');
    if (*empty) {
        s->ptr++;
        return true;
    }
    l->objects = l->objects << 1 | object;
    l->depth++;
    return !object || scan_key(s, &escaped);
}

/*
 * Behind a value: closes the containers that end here, or passes the comma (and the key)
 * before the next value.
 */
static bool scan_after(struct json_scan *s, struct levels *l)
{
    bool escaped;
    while (l->depth) {
        skip_space(s);
        char c = peek(s);
        if (c == ',') {
            s->ptr++;
            return !in_object(l) || scan_key(s, &escaped);
        }
        if (c != (in_object(l) ? '}' : ']'))
            return fail_here(s);
        s->ptr++;
        l->objects >>= 1;
        l->depth--;
    }
    return true;
}

static bool scan_container(struct json_scan *s)
{
    struct levels levels = {0};
    struct json_value item;
    do {
        skip_space(s);
        bool ended = true;
        if (peek(s) == '{' || peek(s) == '[') {
            if (!scan_open(s, &levels, &ended))
                return false;
        } else if (!scan_scalar(s, &item)) {
            return false;
        }
        if (ended && !scan_after(s, &levels))
            return false;
    } while (levels.depth);
    return true;
}

void json_scan_init(struct json_scan *s, struct slice text)
{
    *s = (struct json_scan){.ptr = text.ptr, .end = text_end(text)};
}

bool json_scan_value(struct json_scan *s, struct json_value *out)
{
    struct json_value value = {.type = JSON_NULL};
    skip_space(s);
    const char *start = s->ptr;
    char c = peek(s);
    if (c == '{' || c == '[') {
        value.type = c == '{' ? JSON_OBJECT : JSON_ARRAY;
        if (!scan_container(s))
            return false;
    } else if (!scan_scalar(s, &value)) {
        return false;
    }
    value.raw = (struct slice){start, (size_t)(s->ptr - start)};
    *out = value;
    return true;
}

bool json_scan_done(struct json_scan *s)
{
    skip_space(s);
    return s->ptr == s->end;
}

struct json_scan json_iter(const struct json_value *container)
{
    struct json_scan it;
    json_scan_init(&it, slice_from(container->raw, 1));
    it.depth = 1;
    it.first = true;
    return it;
}

/* Goes to the next member or item; false at the closing bracket, and when there is a fault. */
static bool iter_next(struct json_scan *it, char close)
{
    bool first = it->first;
    it->first = false;
    skip_space(it);
    if (peek(it) == close) {
        it->ptr++;
        return false;
    }
    if (first)
        return true;
    if (peek(it) != ',')
        return fail_here(it);
    it->ptr++;
    return true;
}

bool json_next_member(struct json_scan *it, struct json_value *key, struct json_value *value)
{
    if (!iter_next(it, '}'))
        return false;
    skip_space(it);
    struct json_value name = {.type = JSON_STRING, .raw = {it->ptr, 0}};
    if (peek(it) != '"')
        return fail_here(it);
    if (!scan_string(it, &name.escaped))
        return false;
    name.raw.len = (size_t)(it->ptr - name.raw.ptr);
    skip_space(it);
    if (peek(it) != ':')
        return fail_here(it);
    it->ptr++;
    *key = name;
    return json_scan_value(it, value);
}

bool json_next_item(struct json_scan *it, struct json_value *value)
{
    return iter_next(it, ']') && json_scan_value(it, value);
}

struct slice json_inner(const struct json_value *v)
{
    return (struct slice){v->raw.ptr + 1, v->raw.len - 2};
}

bool json_to_u64(const struct json_value *v, uint64_t max, uint64_t *out)
{
    uint64_t n;
    if (v->type != JSON_NUMBER || !slice_to_u64(v->raw, UINT64_MAX, &n) || n > max)
        return false;
    *out = n;
    return true;
}

bool json_to_double(const struct json_value *v, double *out)
{
    char digits[64];
    if (v->type != JSON_NUMBER)
        return false;
    if (v->raw.len < sizeof(digits)) {
        memcpy(digits, v->raw.ptr, v->raw.len);
        digits[v->raw.len] = '\0';
        *out = strtod(digits, NULL);
        return true;
    }
    char *copy = xstrndup(v->raw.ptr, v->raw.len);
    *out = strtod(copy, NULL);
    xfree(copy);
    return true;
}
