#include "http/forwarded.h"

#include <arpa/inet.h>

enum { IP_TEXT = 64, MAPPED_BITS = 96 };

static const unsigned char mapped_prefix[12] = {[10] = 0xff, [11] = 0xff};

bool ip_parse(struct slice text, struct ip *out)
{
    char copy[IP_TEXT];
    struct ip ip;
    if (text.len == 0 || text.len >= sizeof(copy) || memchr(text.ptr, '\0', text.len))
        return false;
    memcpy(copy, text.ptr, text.len);
    copy[text.len] = '\0';
    if (inet_pton(AF_INET6, copy, ip.bytes) != 1) {
        memcpy(ip.bytes, mapped_prefix, sizeof(mapped_prefix));
        if (inet_pton(AF_INET, copy, ip.bytes + sizeof(mapped_prefix)) != 1)
            return false;
    }
    *out = ip;
    return true;
}

bool ip_block_parse(struct slice text, struct ip_block *out)
{
    const char *slash = text.len ? memchr(text.ptr, '/', text.len) : NULL;
    size_t len = slash ? (size_t)(slash - text.ptr) : text.len;
    struct slice address = {text.ptr, len};
    struct ip_block block = {.bits = 128};
    if (!ip_parse(address, &block.ip))
        return false;
    bool is_v4 = !memchr(address.ptr, ':', address.len);
    if (slash) {
        uint64_t bits;
        if (!slice_to_u64(slice_from(text, len + 1), is_v4 ? 32 : 128, &bits))
            return false;
        block.bits = (unsigned)bits + (is_v4 ? MAPPED_BITS : 0);
    }
    *out = block;
    return true;
}

void trust_init(struct trust *t, const char *const *list)
{
    size_t count = 0;
    while (list && list[count])
        count++;
    *t = (struct trust){.blocks = xcalloc(count, sizeof(struct ip_block))};
    for (size_t i = 0; i < count; i++) {
        struct slice item = slice_trim(slice_of(list[i]));
        if (slice_is(item, "unix") || slice_is(item, "unix:"))
            t->unix_peers = true;
        else if (ip_block_parse(item, &t->blocks[t->count]))
            t->count++;
    }
}

void trust_deinit(struct trust *t)
{
    xfree(t->blocks);
    *t = (struct trust){0};
}

static bool block_has(const struct ip_block *block, const struct ip *ip)
{
    size_t whole = block->bits / 8;
    unsigned rest = block->bits % 8;
    if (memcmp(block->ip.bytes, ip->bytes, whole) != 0)
        return false;
    return rest == 0 || ((block->ip.bytes[whole] ^ ip->bytes[whole]) >> (8 - rest)) == 0;
}

bool trust_has(const struct trust *t, const struct ip *ip)
{
    for (size_t i = 0; i < t->count; i++)
        if (block_has(&t->blocks[i], ip))
            return true;
    return false;
}

struct slice ip_plain(struct slice text)
{
    struct slice mapped = SLICE("::ffff:");
    bool is_mapped = text.len > mapped.len &&
                     slice_eq_nocase((struct slice){text.ptr, mapped.len}, mapped) &&
                     memchr(text.ptr, '.', text.len);
    return is_mapped ? slice_from(text, mapped.len) : text;
}

/* "1.2.3.4:80" and "[::1]:80" are written by some proxies: the address without the port. */
static struct slice without_port(struct slice item)
{
    if (item.len && item.ptr[0] == '[') {
        const char *end = memchr(item.ptr, ']', item.len);
        return end ? (struct slice){item.ptr + 1, (size_t)(end - item.ptr) - 1} : item;
    }
    const char *colon = item.len ? memchr(item.ptr, ':', item.len) : NULL;
    if (colon && !memchr(colon + 1, ':', (size_t)(item.ptr + item.len - colon) - 1))
        return (struct slice){item.ptr, (size_t)(colon - item.ptr)};
    return item;
}

/* Takes the last item off a comma-separated list. */
static struct slice take_last(struct slice *rest)
{
    const char *comma = memrchr(rest->ptr, ',', rest->len);
    size_t from = comma ? (size_t)(comma - rest->ptr) + 1 : 0;
    struct slice item = slice_trim(slice_from(*rest, from));
    rest->len = comma ? from - 1 : 0;
    return item;
}

struct slice forwarded_client(const struct trust *t, struct slice peer,
                              const struct slice *values, size_t count)
{
    struct slice client = peer;
    while (count--) {
        struct slice rest = values[count];
        while (rest.len) {
            struct slice item = without_port(take_last(&rest));
            struct ip ip;
            if (item.len == 0)
                continue;
            if (!ip_parse(item, &ip))
                return client; /* "unknown" and the like: the last one known is the best */
            client = ip_plain(item);
            if (!trust_has(t, &ip))
                return client;
        }
    }
    return client;
}
