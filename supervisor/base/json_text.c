#include "base/json_text.h"

#include "base/block.h"
#include "base/json.h"
#include "base/word.h"

static bool byte_is_plain(unsigned char c)
{
    return c >= 0x20 && c < 0x80 && c != '"' && c != '\\';
}

const char *json_skip_plain(const char *p, const char *end)
{
#if BLOCK_SIZE
    for (; end - p >= BLOCK_SIZE; p += BLOCK_SIZE) {
        unsigned marks = block_not_plain(p);
        if (marks)
            return p + __builtin_ctz(marks);
    }
#endif
    for (; end - p >= WORD_SIZE; p += WORD_SIZE) {
        uint64_t word = word_load(p);
        uint64_t marks = word_below(word, 0x20) | word_equal(word, '"') |
                         word_equal(word, '\\') | word_high(word);
        if (marks)
            return p + word_first(marks);
    }
    while (p < end && byte_is_plain((unsigned char)*p))
        p++;
    return p;
}

static bool hex4(const char *p, const char *end, uint32_t *out)
{
    uint32_t n = 0;
    if (end - p < 4)
        return false;
    for (int i = 0; i < 4; i++) {
        char c = p[i];
        if (c >= '0' && c <= '9')
            n = n << 4 | (uint32_t)(c - '0');
        else if ((c | 0x20) >= 'a' && (c | 0x20) <= 'f')
            n = n << 4 | (uint32_t)((c | 0x20) - 'a' + 10);
        else
            return false;
    }
    *out = n;
    return true;
}

size_t json_read_escape(const char *p, const char *end, uint32_t *point)
{
    static const char short_forms[256] = {
        ['"'] = '"',  ['\\'] = '\\', ['/'] = '/',  ['b'] = '\b',
        ['f'] = '\f', ['n'] = '\n',  ['r'] = '\r', ['t'] = '\t',
    };
    uint32_t low;
    if (end - p < 2)
        return 0;
    if (p[1] != 'u') {
        *point = (unsigned char)short_forms[(unsigned char)p[1]];
        return *point ? 2 : 0;
    }
    if (!hex4(p + 2, end, point))
        return 0;
    bool high = *point >= 0xD800 && *point <= 0xDBFF;
    if (!high || end - p < 12 || p[6] != '\\' || p[7] != 'u' || !hex4(p + 8, end, &low) ||
        low < 0xDC00 || low > 0xDFFF)
        return 6;
    *point = 0x10000 + ((*point - 0xD800) << 10) + (low - 0xDC00);
    return 12;
}

bool json_string_is(const struct json_value *v, const char *ascii)
{
    if (v->type != JSON_STRING)
        return false;
    struct slice text = json_inner(v);
    if (!v->escaped)
        return slice_is(text, ascii);
    const char *p = text.ptr, *end = text.ptr + text.len;
    while (p < end) {
        uint32_t point = (unsigned char)*p;
        size_t len = *p == '\\' ? json_read_escape(p, end, &point) : 1;
        if (len == 0 || *ascii == '\0' || point != (unsigned char)*ascii)
            return false;
        p += len;
        ascii++;
    }
    return *ascii == '\0';
}

void json_unescape(const struct json_value *v, struct buf *out)
{
    struct slice text = json_inner(v);
    const char *p = text.ptr, *end = text.ptr + text.len;
    buf_reserve(out, text.len + 1);
    while (p < end) {
        const char *stop = v->escaped ? memchr(p, '\\', (size_t)(end - p)) : NULL;
        stop = stop ? stop : end;
        utf8_add_mended(out, (struct slice){p, (size_t)(stop - p)});
        for (p = stop; p < end && *p == '\\';) {
            uint32_t point = UTF8_REPLACEMENT;
            size_t len = json_read_escape(p, end, &point);
            utf8_add(out, json_is_surrogate(point) ? UTF8_REPLACEMENT : point);
            p += len ? len : 1; /* a scanned value has no escape of length 0 */
        }
    }
}

bool json_unescape_latin1(const struct json_value *v, struct buf *out)
{
    struct slice text = json_inner(v);
    const char *p = text.ptr, *end = text.ptr + text.len;
    char *start = buf_reserve(out, text.len + 1), *to = start;
    while (p < end) {
        unsigned char c = (unsigned char)*p;
        uint32_t point = c;
        size_t len = 1;
        if (c == '\\') {
            len = json_read_escape(p, end, &point);
        } else if (c >= 0x80) {
            bool two = (c == 0xC2 || c == 0xC3) && end - p >= 2 && (p[1] & 0xC0) == 0x80;
            len = two ? 2 : 0;
            point = two ? (uint32_t)(c & 3) << 6 | (p[1] & 0x3F) : 0;
        }
        if (len == 0 || point > 0xFF)
            return false;
        *to++ = (char)point;
        p += len;
    }
    out->len += (size_t)(to - start);
    return true;
}

/* For a quote, a backslash and the control characters. */
static void add_escape(struct buf *out, unsigned char c)
{
    static const char short_forms[128] = {
        ['"'] = '"',  ['\\'] = '\\', ['\b'] = 'b', ['\f'] = 'f',
        ['\n'] = 'n', ['\r'] = 'r',  ['\t'] = 't',
    };
    char *to = buf_reserve(out, 6);
    to[0] = '\\';
    if (short_forms[c]) {
        to[1] = short_forms[c];
        out->len += 2;
        return;
    }
    memcpy(to + 1, "u00", 3);
    to[4] = (char)('0' + (c >> 4));
    to[5] = "0123456789abcdef"[c & 15];
    out->len += 6;
}

/* Nearly every name and value of a request line. */
static void write_plain(struct buf *out, struct slice text)
{
    char *to = buf_reserve(out, text.len + 2);
    to[0] = '"';
    if (text.len)
        memcpy(to + 1, text.ptr, text.len);
    to[text.len + 1] = '"';
    out->len += text.len + 2;
}

/*
 * Both writers: copies runs that need no change, `latin1` says what a byte from 0x80 is.
 */
static void write_string(struct buf *out, struct slice text, bool latin1)
{
    const char *end = text_end(text), *p = json_skip_plain(text.ptr, end), *run = text.ptr;
    if (p == end) {
        write_plain(out, text);
        return;
    }
    buf_reserve(out, text.len + 2);
    buf_addc(out, '"');
    for (; p < end; p = json_skip_plain(p, end)) {
        unsigned char c = (unsigned char)*p;
        bool keep = false;
        size_t len = 1;
        if (c >= 0x80 && !latin1)
            len = utf8_step(p, end, &keep);
        if (!keep) {
            buf_append(out, run, (size_t)(p - run));
            run = p + len;
            if (c < 0x80)
                add_escape(out, c);
            else
                utf8_add(out, latin1 ? c : UTF8_REPLACEMENT);
        }
        p += len;
    }
    buf_append(out, run, (size_t)(end - run));
    buf_addc(out, '"');
}

void json_write(struct buf *out, struct slice utf8)
{
    write_string(out, utf8, false);
}

void json_write_latin1(struct buf *out, struct slice bytes)
{
    write_string(out, bytes, true);
}

/*
 * Passes what is clean.  At the end `end`; otherwise *len is the length of what U+FFFD
 * must replace.
 */
static const char *skip_clean(const char *p, const char *end, size_t *len)
{
    while ((p = json_skip_plain(p, end)) < end) {
        unsigned char c = (unsigned char)*p;
        bool good = true;
        *len = 1;
        if (c >= 0x80) {
            *len = utf8_step(p, end, &good);
        } else if (c == '\\') {
            uint32_t point;
            *len = json_read_escape(p, end, &point);
            good = *len == 0 || !json_is_surrogate(point);
            *len = MAX(*len, (size_t)1);
        }
        if (!good)
            break;
        p += *len;
    }
    return p;
}

void json_write_clean(struct buf *out, struct slice raw)
{
    const char *p = raw.ptr, *end = text_end(raw);
    for (;;) {
        size_t len;
        const char *bad = skip_clean(p, end, &len);
        buf_append(out, p, (size_t)(bad - p));
        if (bad == end)
            return;
        utf8_add(out, UTF8_REPLACEMENT);
        p = bad + len;
    }
}

bool json_clean(struct slice raw)
{
    size_t len;
    return skip_clean(raw.ptr, text_end(raw), &len) == text_end(raw);
}

size_t json_count_escapes(struct slice utf8)
{
    const char *p = utf8.ptr, *end = text_end(utf8);
    size_t count = 0;
    while (p < end) {
        if (end - p >= WORD_SIZE && !word_below(word_load(p), 0x20)) {
            p += WORD_SIZE;
            continue;
        }
        const char *stop = end - p >= WORD_SIZE ? p + WORD_SIZE : end;
        for (; p < stop; p++) {
            unsigned char c = (unsigned char)*p;
            count += c < 0x20 && (c < '\b' || c == '\v' || c > '\r');
        }
    }
    return count;
}
