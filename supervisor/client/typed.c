#include "client/typed.h"

#include <ctype.h>

#include "base/json.h"

enum { METHOD_MAX = 32 };

static bool is_word(struct slice word, bool any_case)
{
    for (size_t i = 0; i < word.len; i++) {
        char c = any_case ? (char)toupper((unsigned char)word.ptr[i]) : word.ptr[i];
        if (!(c >= 'A' && c <= 'Z') && c != '-')
            return false;
    }
    return word.len > 0 && word.len <= METHOD_MAX;
}

bool typed_is_method(const char *word)
{
    return is_word(slice_of(word), /* any_case= */ false);
}

static const char *upper(struct arena *arena, struct slice word)
{
    char *copy = arena_strdup(arena, word);
    for (char *c = copy; *c; c++)
        *c = (char)toupper((unsigned char)*c);
    return copy;
}

/* Whether a target may hold it as it is; "%" too, because it begins an escape. */
static bool is_plain(char c)
{
    return c > 0x20 && c < 0x7f && !strchr("\"<>\\^`{|}", c);
}

static const char *encode_target(struct arena *arena, struct slice text)
{
    struct buf out = {0};
    for (size_t i = 0; i < text.len; i++) {
        if (is_plain(text.ptr[i]))
            buf_addc(&out, text.ptr[i]);
        else
            buf_addf(&out, "%%%02X", (unsigned char)text.ptr[i]);
    }
    const char *kept = arena_strdup(arena, buf_slice(&out));
    buf_deinit(&out);
    return kept;
}

static struct slice first_word(struct slice text)
{
    size_t len = 0;
    while (len < text.len && !isspace((unsigned char)text.ptr[len]))
        len++;
    return (struct slice){text.ptr, len};
}

/* Where the target ends: a body begins behind a blank with a bracket or a quote. */
static size_t target_length(struct slice text, bool has_body)
{
    for (size_t i = 0; has_body && i + 1 < text.len; i++)
        if (isspace((unsigned char)text.ptr[i]) && strchr("{[\"", text.ptr[i + 1]))
            return i;
    return text.len;
}

int typed_read(struct typed *typed, struct arena *arena, struct slice text, bool has_body,
               struct err *err)
{
    *typed = (struct typed){0};
    text = slice_trim(text);
    struct slice word = first_word(text);
    struct slice rest = slice_trim(slice_from(text, word.len));
    if (is_word(word, /* any_case= */ rest.len && rest.ptr[0] == '/')) {
        typed->method = upper(arena, word);
        text = rest;
    }
    if (text.len == 0 && typed->method)
        return 0;
    if (text.len == 0 || text.ptr[0] != '/')
        return err_set(err, -1,
                       "\"%.100s\" is no request: write a method and a path, 'GET /path?a=1'",
                       arena_strdup(arena, text));
    size_t len = target_length(text, has_body);
    typed->target = encode_target(arena, slice_trim((struct slice){text.ptr, len}));
    typed->body = slice_trim(slice_from(text, len));
    return 0;
}

const char *typed_content_type(struct slice body)
{
    struct json_scan scan;
    struct json_value value;
    json_scan_init(&scan, body);
    if (json_scan_value(&scan, &value) && json_scan_done(&scan) && !scan.dirty)
        return "application/json";
    return utf8_valid(body) ? "text/plain; charset=utf-8" : "application/octet-stream";
}
