#include "http/negotiate.h"

#include "http/field.h"

enum { WEIGHT_ONE = 1000, WEIGHT_UNSAID = -1 };

static const struct slice names[CODING_COUNT] = {
    [CODING_IDENTITY] = {"identity", 8},
    [CODING_GZIP] = {"gzip", 4},
    [CODING_BR] = {"br", 2},
    [CODING_ZSTD] = {"zstd", 4},
};

struct slice coding_name(enum coding coding)
{
    return names[coding];
}

bool coding_read(struct slice name, enum coding *coding)
{
    if (slice_eq_nocase(name, SLICE("x-gzip")))
        name = names[CODING_GZIP];
    for (unsigned i = 0; i < CODING_COUNT; i++) {
        if (slice_eq_nocase(name, names[i])) {
            *coding = (enum coding)i;
            return true;
        }
    }
    return false;
}

/* "0.75" in thousandths; what is no weight is 0: better plain than wrong. */
static int read_weight(struct slice text)
{
    int weight = 0, unit = WEIGHT_ONE;
    for (size_t i = 0; i < text.len; i++) {
        if (i == 1 && text.ptr[i] == '.')
            continue;
        if (text.ptr[i] < '0' || text.ptr[i] > '9' || i > strlen("0.000") - 1)
            return 0;
        weight += (text.ptr[i] - '0') * unit;
        unit /= 10;
    }
    return text.len && weight <= WEIGHT_ONE ? weight : 0;
}

/* What stands behind the first ";" of an item. */
static int weight_of(struct slice params)
{
    while (params.len) {
        const char *end = memchr(params.ptr, ';', params.len);
        size_t len = end ? (size_t)(end - params.ptr) : params.len;
        struct slice param = slice_trim((struct slice){params.ptr, len});
        if (param.len >= 2 && (param.ptr[0] | 0x20) == 'q' && param.ptr[1] == '=')
            return read_weight(slice_from(param, 2));
        params = slice_from(params, end ? len + 1 : len);
    }
    return WEIGHT_ONE;
}

static void read_field(struct slice field, int weights[CODING_COUNT], int *any)
{
    struct slice item;
    while (list_take(&field, &item)) {
        const char *end = memchr(item.ptr, ';', item.len);
        size_t len = end ? (size_t)(end - item.ptr) : item.len;
        struct slice name = slice_trim((struct slice){item.ptr, len});
        int weight = weight_of(slice_from(item, end ? len + 1 : len));
        enum coding coding;
        if (slice_is(name, "*"))
            *any = weight;
        else if (coding_read(name, &coding))
            weights[coding] = weight;
    }
}

enum coding negotiate_coding(const struct field *headers, size_t header_count,
                             const enum coding *offer, size_t offer_count)
{
    int weights[CODING_COUNT] = {WEIGHT_UNSAID, WEIGHT_UNSAID, WEIGHT_UNSAID, WEIGHT_UNSAID};
    int any = 0;
    for (size_t i = 0; i < header_count; i++)
        if (slice_is(headers[i].name, "accept-encoding"))
            read_field(headers[i].value, weights, &any);
    enum coding best = CODING_IDENTITY;
    int most = MAX(weights[CODING_IDENTITY], 0); /* unsaid: the last resort */
    for (size_t i = 0; i < offer_count; i++) {
        int weight = weights[offer[i]] == WEIGHT_UNSAID ? any : weights[offer[i]];
        /* Equal to an identity that is asked for by name, a coding still saves bytes. */
        if (weight > most || (weight && weight == most && best == CODING_IDENTITY)) {
            best = offer[i];
            most = weight;
        }
    }
    return best;
}
