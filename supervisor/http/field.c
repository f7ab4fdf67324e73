#include "http/field.h"

struct known {
    struct slice name;
    enum field_id id;
};

/* By length, so that a lookup stops at the first longer name. */
static const struct known known[] = {
    {{"te", 2}, FIELD_TE},
    {{"host", 4}, FIELD_HOST},
    {{"date", 4}, FIELD_DATE},
    {{"expect", 6}, FIELD_EXPECT},
    {{"trailer", 7}, FIELD_TRAILER},
    {{"upgrade", 7}, FIELD_UPGRADE},
    {{"forwarded", 9}, FIELD_FORWARDED},
    {{"x-real-ip", 9}, FIELD_X_REAL_IP},
    {{"connection", 10}, FIELD_CONNECTION},
    {{"keep-alive", 10}, FIELD_KEEP_ALIVE},
    {{"content-type", 12}, FIELD_CONTENT_TYPE},
    {{"x-request-id", 12}, FIELD_X_REQUEST_ID},
    {{"content-length", 14}, FIELD_CONTENT_LENGTH},
    {{"x-forwarded-for", 15}, FIELD_X_FORWARDED_FOR},
    {{"proxy-connection", 16}, FIELD_PROXY_CONNECTION},
    {{"x-forwarded-host", 16}, FIELD_X_FORWARDED_OTHER},
    {{"x-forwarded-port", 16}, FIELD_X_FORWARDED_OTHER},
    {{"transfer-encoding", 17}, FIELD_TRANSFER_ENCODING},
    {{"x-forwarded-proto", 17}, FIELD_X_FORWARDED_PROTO},
    {{"proxy-authenticate", 18}, FIELD_PROXY_AUTHENTICATE},
    {{"x-forwarded-prefix", 18}, FIELD_X_FORWARDED_OTHER},
    {{"x-forwarded-scheme", 18}, FIELD_X_FORWARDED_OTHER},
    {{"x-forwarded-server", 18}, FIELD_X_FORWARDED_OTHER},
    {{"proxy-authorization", 19}, FIELD_PROXY_AUTHORIZATION},
};

enum field_id field_lookup(struct slice name)
{
    if (name.len == 0)
        return FIELD_OTHER;
    char first = (char)(name.ptr[0] | 0x20);
    for (size_t i = 0; i < ARRAY_LEN(known) && known[i].name.len <= name.len; i++)
        if (known[i].name.len == name.len && known[i].name.ptr[0] == first &&
            slice_eq_nocase(known[i].name, name))
            return known[i].id;
    return FIELD_OTHER;
}

static const bool is_token[256] = {
    ['!'] = true,         ['#'] = true,         ['$'] = true, ['%'] = true,
    ['&'] = true,         ['\''] = true,        ['*'] = true, ['+'] = true,
    ['-'] = true,         ['.'] = true,         ['^'] = true, ['_'] = true,
    ['`'] = true,         ['|'] = true,         ['~'] = true, ['0' ... '9'] = true,
    ['A' ... 'Z'] = true, ['a' ... 'z'] = true,
};

bool token_valid(struct slice s)
{
    for (size_t i = 0; i < s.len; i++)
        if (!is_token[(unsigned char)s.ptr[i]])
            return false;
    return s.len > 0;
}

bool value_valid(struct slice s)
{
    for (size_t i = 0; i < s.len; i++) {
        unsigned char c = (unsigned char)s.ptr[i];
        if ((c < 0x20 && c != '\t') || c == 0x7f)
            return false;
    }
    return true;
}

bool list_take(struct slice *rest, struct slice *item)
{
    while (rest->len) {
        const char *comma = memchr(rest->ptr, ',', rest->len);
        size_t len = comma ? (size_t)(comma - rest->ptr) : rest->len;
        *item = slice_trim((struct slice){rest->ptr, len});
        *rest = slice_from(*rest, comma ? len + 1 : len);
        if (item->len)
            return true;
    }
    return false;
}
