#include "base/secret.h"

#include <ctype.h>

enum { BUCKETS = 1024, PAIR_WORDS = 65536 / 64 };

static const struct slice mask = {"***", 3};

/* ------------------------------------------------------------------------- names */

static bool same_letter(char a, char b)
{
    return tolower((unsigned char)a) == tolower((unsigned char)b);
}

/* Where the word stands at or behind `from`; SIZE_MAX: nowhere. */
static size_t find_word(struct slice name, const char *word, size_t from)
{
    size_t len = strlen(word);
    for (size_t i = from; i + len <= name.len; i++)
        if (strncasecmp(name.ptr + i, word, len) == 0)
            return i;
    return SIZE_MAX;
}

static bool ends_with(struct slice name, const char *end)
{
    size_t len = strlen(end);
    return name.len >= len && strncasecmp(name.ptr + name.len - len, end, len) == 0;
}

/* In "apiKeyId" the part that ends with Key ends there; in KEYBOARD none does. */
static bool ends_part(struct slice name, size_t at)
{
    if (at < name.len && same_letter(name.ptr[at], 's'))
        at++;
    if (at >= name.len || !isalpha((unsigned char)name.ptr[at]))
        return true;
    return isupper((unsigned char)name.ptr[at]) && islower((unsigned char)name.ptr[at - 1]);
}

/* Of "PASS" and "PWD" also the beginning counts: COMPASS and PWD are nobody's secret. */
static bool has_part(struct slice name, const char *word, bool whole)
{
    for (size_t at = 0; (at = find_word(name, word, at)) != SIZE_MAX; at++) {
        bool begins = at == 0 || !isalnum((unsigned char)name.ptr[at - 1]);
        if (ends_part(name, at + strlen(word)) && (!whole || begins))
            return true;
    }
    return false;
}

/* "*" stands for any letters; in either case. */
static bool matches(const char *pattern, struct slice name)
{
    const char *star = NULL;
    size_t at = 0, resume = 0;
    while (at < name.len) {
        if (*pattern == '*') {
            star = pattern++;
            resume = at;
        } else if (*pattern && same_letter(*pattern, name.ptr[at])) {
            pattern++;
            at++;
        } else if (star) {
            pattern = star + 1;
            at = ++resume;
        } else {
            return false;
        }
    }
    while (*pattern == '*')
        pattern++;
    return *pattern == '\0';
}

bool secret_is_name(struct slice name, const char *const *patterns)
{
    static const char *const anywhere[] = {"password", "passwd",     "passphrase",
                                           "secret",   "credential", "private"};
    static const char *const places[] = {"_file", "_path", "_dir"};
    for (; patterns && *patterns; patterns++)
        if (matches(*patterns, name))
            return true;
    for (size_t i = 0; i < ARRAY_LEN(places); i++)
        if (ends_with(name, places[i]))
            return false;
    for (size_t i = 0; i < ARRAY_LEN(anywhere); i++)
        if (find_word(name, anywhere[i], 0) != SIZE_MAX)
            return true;
    if (slice_is(name, "PWD") || slice_is(name, "OLDPWD"))
        return false;
    return has_part(name, "key", false) || has_part(name, "token", false) ||
           has_part(name, "pass", true) || has_part(name, "pwd", true);
}

/* ------------------------------------------------------------------------- values */

struct slice secret_password(struct slice value)
{
    static const char scheme[] = "://";
    const char *at = memmem(value.ptr, value.len, scheme, 3), *end = value.ptr + value.len;
    if (!at || at == value.ptr)
        return (struct slice){0};
    at += 3;
    const char *colon = NULL, *host = NULL;
    for (const char *c = at; c < end && !strchr("/?# \t\"'", *c); c++) {
        if (*c == '@')
            host = c;
        if (*c == ':' && !colon)
            colon = c;
    }
    if (!colon || !host || colon > host)
        return (struct slice){0};
    return (struct slice){colon + 1, (size_t)(host - colon - 1)};
}

static void show_address(struct buf *out, struct slice value)
{
    struct slice password = secret_password(value);
    if (password.len == 0) {
        buf_add(out, value);
        return;
    }
    buf_append(out, value.ptr, (size_t)(password.ptr - value.ptr));
    buf_add(out, mask);
    const char *rest = password.ptr + password.len;
    buf_append(out, rest, (size_t)(value.ptr + value.len - rest));
}

void secret_show_value(struct buf *out, struct slice name, struct slice value,
                       const char *const *patterns)
{
    if (value.len && secret_is_name(name, patterns) && !secret_password(value).len)
        buf_add(out, mask);
    else
        show_address(out, value);
}

static struct slice name_of(const char *entry)
{
    return (struct slice){entry, strcspn(entry, "=")};
}

static struct slice value_of(const char *entry)
{
    const char *equals = strchr(entry, '=');
    return slice_of(equals ? equals + 1 : "");
}

void secret_show(struct buf *out, const char *entry, const char *const *patterns)
{
    buf_add(out, name_of(entry));
    buf_addc(out, '=');
    secret_show_value(out, name_of(entry), value_of(entry), patterns);
}

void secret_show_word(struct buf *out, struct slice word, const char *const *patterns)
{
    const char *equals = memchr(word.ptr, '=', word.len);
    struct slice name = {word.ptr, equals ? (size_t)(equals - word.ptr) : 0};
    bool plain = name.len > 0;
    while (name.len && name.ptr[0] == '-')
        name = slice_from(name, 1);
    for (size_t i = 0; i < name.len; i++)
        plain = plain && (isalnum((unsigned char)name.ptr[i]) || strchr("-_.", name.ptr[i]));
    if (!plain || !name.len) {
        show_address(out, word);
        return;
    }
    struct slice value = slice_from(word, (size_t)(equals - word.ptr) + 1);
    buf_append(out, word.ptr, (size_t)(value.ptr - word.ptr));
    secret_show_value(out, name, value, patterns);
}

/* ---------------------------------------------------------------------- the set */

void secrets_deinit(struct secrets *s)
{
    for (size_t i = 0; i < s->count; i++)
        xfree((void *)s->values[i].ptr);
    xfree(s->values);
    xfree(s->next);
    xfree(s->buckets);
    xfree(s->pairs);
    *s = (struct secrets){0};
}

static size_t pair_at(const char *text)
{
    return (size_t)(unsigned char)text[0] << 8 | (unsigned char)text[1];
}

static size_t bucket_of(const char *text)
{
    uint32_t hash = 2166136261U;
    for (size_t i = 0; i < SECRET_MIN; i++)
        hash = (hash ^ (unsigned char)text[i]) * 16777619U;
    return (hash ^ hash >> 16) % BUCKETS;
}

/* The longest value that the text begins with; 0: none. */
static size_t value_here(const struct secrets *s, struct slice text)
{
    size_t longest = 0;
    if (text.len < SECRET_MIN)
        return 0;
    for (uint32_t i = s->buckets[bucket_of(text.ptr)]; i; i = s->next[i - 1])
        if (s->values[i - 1].len > longest && slice_starts(text, s->values[i - 1]))
            longest = s->values[i - 1].len;
    return longest;
}

static void insert(struct secrets *s, struct slice value)
{
    if (value.len < SECRET_MIN || value.len > SECRET_MAX)
        return;
    if (!s->buckets) {
        s->buckets = xcalloc(BUCKETS, sizeof(*s->buckets));
        s->pairs = xcalloc(PAIR_WORDS, sizeof(*s->pairs));
    }
    if (value_here(s, value) == value.len)
        return;
    if (s->count == s->cap) {
        s->cap = s->cap ? s->cap * 2 : 16;
        s->values = xrealloc(s->values, s->cap * sizeof(*s->values));
        s->next = xrealloc(s->next, s->cap * sizeof(*s->next));
    }
    size_t bucket = bucket_of(value.ptr), pair = pair_at(value.ptr);
    s->values[s->count] = (struct slice){xstrndup(value.ptr, value.len), value.len};
    s->next[s->count] = s->buckets[bucket];
    s->buckets[bucket] = (uint32_t)++s->count;
    s->pairs[pair / 64] |= UINT64_C(1) << pair % 64;
}

/* What JSON writes otherwise; the rest of what it may escape is not what it must. */
static void insert_escaped(struct secrets *s, struct slice value)
{
    struct buf text = {0};
    for (size_t i = 0; i < value.len; i++) {
        char c = value.ptr[i];
        if (c == '"' || c == '\\')
            buf_addf(&text, "\\%c", c);
        else if (c == '\n')
            buf_adds(&text, "\\n");
        else
            buf_addc(&text, c);
    }
    if (text.len != value.len)
        insert(s, buf_slice(&text));
    buf_deinit(&text);
}

void secrets_add_value(struct secrets *s, struct slice value)
{
    insert(s, value);
    if (value.len >= SECRET_MIN && value.len <= SECRET_MAX)
        insert_escaped(s, value);
}

void secrets_add(struct secrets *s, const char *entry, const char *const *patterns)
{
    struct slice value = value_of(entry), password = secret_password(value);
    if (password.len)
        secrets_add_value(s, password);
    else if (secret_is_name(name_of(entry), patterns))
        secrets_add_value(s, value);
}

/* Where the next value begins at or behind `from`, and how long it is; or the text's end. */
static size_t next_value(const struct secrets *s, struct slice text, size_t from, size_t *len)
{
    for (size_t i = from; i + SECRET_MIN <= text.len; i++) {
        size_t pair = pair_at(text.ptr + i);
        if (!(s->pairs[pair / 64] >> pair % 64 & 1))
            continue;
        *len = value_here(s, slice_from(text, i));
        if (*len)
            return i;
    }
    *len = 0;
    return text.len;
}

struct slice secrets_mask(const struct secrets *s, struct slice text, struct buf *scratch)
{
    size_t len, done = 0;
    if (!s->count)
        return text;
    size_t at = next_value(s, text, 0, &len);
    if (!len)
        return text;
    buf_clear(scratch);
    while (len) {
        buf_append(scratch, text.ptr + done, at - done);
        buf_add(scratch, mask);
        done = at + len;
        at = next_value(s, text, done, &len);
    }
    buf_append(scratch, text.ptr + done, text.len - done);
    return buf_slice(scratch);
}
