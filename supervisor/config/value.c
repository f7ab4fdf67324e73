#include "config/value.h"

#include <ctype.h>

enum { NEAREST_MAX_WORD = 64, QUOTE_MAX = 60 };

struct unit {
    const char *name;
    uint64_t factor;
};

static const struct unit durations[] = {
    {"d", UINT64_C(86400000000)},
    {"h", UINT64_C(3600000000)},
    {"m", 60000000},
    {"s", 1000000},
    {"ms", 1000},
    {"us", 1},
};

static const struct unit sizes[] = {
    {"G", 1 << 30}, {"GiB", 1 << 30}, {"M", 1 << 20}, {"MiB", 1 << 20},
    {"K", 1 << 10}, {"KiB", 1 << 10}, {"", 1},
};

static size_t count_if(struct slice s, int (*is)(int))
{
    size_t n = 0;
    while (n < s.len && is((unsigned char)s.ptr[n]))
        n++;
    return n;
}

/* Takes the leading digits off `s`. */
static enum value_verdict take_number(struct slice *s, uint64_t *out)
{
    struct slice digits = {s->ptr, count_if(*s, isdigit)};
    if (digits.len == 0)
        return VALUE_BAD;
    *s = slice_from(*s, digits.len);
    return slice_to_u64(digits, UINT64_MAX, out) ? VALUE_GOOD : VALUE_HUGE;
}

static bool multiply_add(uint64_t *sum, uint64_t n, uint64_t factor)
{
    uint64_t product;
    return !__builtin_mul_overflow(n, factor, &product) &&
           !__builtin_add_overflow(*sum, product, sum);
}

enum value_verdict value_duration(struct slice text, bool fine, uint64_t *us)
{
    uint64_t sum = 0;
    size_t unit = 0;
    bool huge = false;
    if (slice_is(text, "0") || slice_is(text, "off")) {
        *us = 0;
        return VALUE_GOOD;
    }
    if (text.len && count_if(text, isdigit) == text.len)
        return VALUE_BARE;
    do {
        uint64_t n = 0;
        enum value_verdict verdict = take_number(&text, &n);
        if (verdict == VALUE_BAD)
            return VALUE_BAD;
        struct slice name = {text.ptr, count_if(text, isalpha)};
        size_t end = ARRAY_LEN(durations) - (fine ? 0 : 1);
        while (unit < end && !slice_is(name, durations[unit].name))
            unit++;
        if (unit == end)
            return VALUE_BAD;
        huge |= verdict == VALUE_HUGE || !multiply_add(&sum, n, durations[unit].factor);
        unit++;
        text = slice_from(text, name.len);
    } while (text.len);
    if (huge)
        return VALUE_HUGE;
    *us = sum;
    return VALUE_GOOD;
}

enum value_verdict value_size(struct slice text, uint64_t *bytes)
{
    uint64_t n = 0, sum = 0;
    enum value_verdict verdict = take_number(&text, &n);
    if (verdict == VALUE_BAD)
        return VALUE_BAD;
    for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
        if (!slice_eq_nocase(text, slice_of(sizes[i].name)))
            continue;
        if (verdict == VALUE_HUGE || !multiply_add(&sum, n, sizes[i].factor))
            return VALUE_HUGE;
        *bytes = sum;
        return VALUE_GOOD;
    }
    return VALUE_BAD;
}

void value_add_duration(struct buf *b, uint64_t us)
{
    if (us == 0)
        buf_addc(b, '0');
    for (size_t i = 0; i < ARRAY_LEN(durations) && us; i++) {
        if (us < durations[i].factor)
            continue;
        buf_addu(b, us / durations[i].factor);
        buf_adds(b, durations[i].name);
        us %= durations[i].factor;
    }
}

void value_add_size(struct buf *b, uint64_t bytes)
{
    size_t i = 0;
    while (sizes[i].factor > 1 && (bytes == 0 || bytes % sizes[i].factor))
        i++;
    buf_addu(b, bytes / sizes[i].factor);
    buf_adds(b, sizes[i].name);
}

/* One word: `at` is where it begins, and afterwards where it ended. */
static const char *take_word(struct slice *at, char *to, size_t *len)
{
    char quote = 0;
    size_t i = 0, n = 0;
    for (; i < at->len; i++) {
        char c = at->ptr[i];
        if (!quote && isspace((unsigned char)c))
            break;
        if (quote ? c == quote : c == '"' || c == '\'') {
            quote = quote ? 0 : c;
        } else if (c == '\\' && quote != '\'') {
            if (++i == at->len)
                return "ends in a backslash";
            /* Between double quotes only these lose their backslash. */
            if (quote && !strchr("\"\\$`", at->ptr[i]))
                to[n++] = '\\';
            to[n++] = at->ptr[i];
        } else {
            to[n++] = c;
        }
    }
    if (quote)
        return quote == '"' ? "lacks a closing \"" : "lacks a closing '";
    *at = slice_from(*at, i);
    *len = n;
    return NULL;
}

bool value_is_control(char c)
{
    return (unsigned char)c < 0x20 || c == 0x7f;
}

const char *value_quote(struct arena *a, struct slice text)
{
    struct buf b = {0};
    size_t len = MIN(text.len, (size_t)QUOTE_MAX);
    while (len < text.len && len && (text.ptr[len] & 0xc0) == 0x80)
        len--; /* not in the middle of a character */
    buf_addc(&b, '"');
    for (size_t i = 0; i < len; i++) {
        if (value_is_control(text.ptr[i]))
            buf_addf(&b, "\\x%02x", (unsigned char)text.ptr[i]);
        else
            buf_addc(&b, text.ptr[i]);
    }
    buf_adds(&b, len < text.len ? "...\"" : "\"");
    const char *quoted = arena_strdup(a, buf_slice(&b));
    buf_deinit(&b);
    return quoted;
}

struct string_list string_list_none(struct arena *a)
{
    struct string_list none = {arena_alloc(a, sizeof(char *)), 0};
    none.items[0] = NULL;
    return none;
}

struct string_list string_list_of(struct arena *a, const char *const *words, size_t count)
{
    struct string_list list = {arena_alloc(a, (count + 1) * sizeof(char *)), count};
    memcpy(list.items, words, count * sizeof(char *));
    list.items[count] = NULL;
    return list;
}

const char *value_words(struct slice text, struct arena *a, struct string_list *out)
{
    /* Every word but the last needs a blank after it. */
    struct string_list words = {arena_alloc(a, (text.len / 2 + 2) * sizeof(char *)), 0};
    char *to = arena_alloc(a, text.len + 1);
    for (;;) {
        text = slice_from(text, count_if(text, isspace));
        if (text.len == 0)
            break;
        size_t len;
        struct slice rest = text;
        const char *fault = take_word(&rest, to, &len);
        if (fault)
            return fault;
        words.items[words.count++] = arena_strdup(a, (struct slice){to, len});
        text = rest;
    }
    words.items[words.count] = NULL;
    *out = words;
    return NULL;
}

static bool same(char a, char b)
{
    return tolower((unsigned char)a) == tolower((unsigned char)b);
}

/* Damerau-Levenshtein: insertions, deletions, changes and swaps of neighbours. */
unsigned nearest_distance(struct slice a, struct slice b)
{
    a.len = MIN(a.len, (size_t)NEAREST_MAX_WORD);
    b.len = MIN(b.len, (size_t)NEAREST_MAX_WORD);
    unsigned rows[3][NEAREST_MAX_WORD + 1];
    unsigned *before = rows[0], *above = rows[1], *row = rows[2];
    for (unsigned j = 0; j <= b.len; j++)
        row[j] = j;
    for (unsigned i = 1; i <= a.len; i++) {
        unsigned *spare = before;
        before = above;
        above = row;
        row = spare;
        row[0] = i;
        for (unsigned j = 1; j <= b.len; j++) {
            bool equal = same(a.ptr[i - 1], b.ptr[j - 1]);
            row[j] = MIN(above[j - 1] + !equal, MIN(above[j], row[j - 1]) + 1);
            bool swapped = i > 1 && j > 1 && same(a.ptr[i - 1], b.ptr[j - 2]) &&
                           same(a.ptr[i - 2], b.ptr[j - 1]);
            if (swapped)
                row[j] = MIN(row[j], before[j - 2] + 1);
        }
    }
    return row[b.len];
}

struct nearest nearest_init(struct slice word)
{
    return (struct nearest){.word = word, .distance = UINT32_MAX};
}

void nearest_offer(struct nearest *n, const char *candidate)
{
    struct slice other = slice_of(candidate);
    if (n->word.len > NEAREST_MAX_WORD || other.len > NEAREST_MAX_WORD)
        return;
    unsigned d = nearest_distance(n->word, other);
    /* A third of the letters wrong is a typo; more is another word. */
    if (d < n->distance && d <= (MAX(n->word.len, other.len) + 2) / 3) {
        n->best = candidate;
        n->distance = d;
    }
}
