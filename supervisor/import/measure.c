#include "import/measure.h"

#include <ctype.h>
#include <math.h>
#include <stdlib.h>

#include "config/value.h"

struct unit {
    const char *name;
    double factor;
};

enum { TEXT_MAX = 64 };

/* The factor of the unit that the text begins with, whose length goes to *len; 0: none. */
static double take_unit(struct slice text, const struct unit *units, size_t count, size_t *len)
{
    size_t letters = 0;
    while (letters < text.len && isalpha((unsigned char)text.ptr[letters]))
        letters++;
    for (size_t i = 0; i < count; i++)
        if (slice_eq_nocase((struct slice){text.ptr, letters}, slice_of(units[i].name))) {
            *len = letters;
            return units[i].factor;
        }
    return 0;
}

/* Digits with or without a fraction; 0 in *len: none. */
static double take_number(struct slice text, size_t *len)
{
    char digits[TEXT_MAX];
    *len = 0;
    while (*len < text.len && *len + 1 < sizeof(digits) &&
           (isdigit((unsigned char)text.ptr[*len]) || (*len && text.ptr[*len] == '.')))
        (*len)++;
    memcpy(digits, text.ptr, *len);
    digits[*len] = '\0';
    return *len ? strtod(digits, NULL) : 0;
}

bool measure_duration(struct buf *out, struct slice text)
{
    static const struct unit units[] = {{"ns", 1e-6}, {"us", 1e-3}, {"ms", 1},
                                        {"s", 1e3},   {"m", 6e4},   {"h", 36e5},
                                        {"d", 864e5}, {"w", 6048e5}};
    double ms = 0;
    if (text.len == 0)
        return false;
    while (text.len) {
        size_t len, unit = 0;
        double number = take_number(text, &len), factor;
        if (len == 0)
            return false;
        text = slice_from(text, len);
        if (!(factor = take_unit(text, units, ARRAY_LEN(units), &unit)))
            return false;
        text = slice_from(text, unit);
        ms += number * factor;
    }
    if (ms > 1e13)
        return false;
    value_add_duration(out, (uint64_t)llround(ms) * 1000);
    return true;
}

bool measure_size(struct buf *out, struct slice text, uint64_t *bytes)
{
    static const struct unit units[] = {
        {"", 1},         {"b", 1},       {"k", 0x1p10},   {"kb", 0x1p10}, {"kib", 0x1p10},
        {"m", 0x1p20},   {"mb", 0x1p20}, {"mib", 0x1p20}, {"g", 0x1p30},  {"gb", 0x1p30},
        {"gib", 0x1p30}, {"t", 0x1p40},  {"tb", 0x1p40}};
    size_t len, unit = 0;
    double number = take_number(text, &len);
    struct slice rest = slice_trim(slice_from(text, len));
    double factor = take_unit(rest, units, ARRAY_LEN(units), &unit);
    if (len == 0 || factor < 1 || unit != rest.len || number * factor > 0x1p60)
        return false;
    *bytes = (uint64_t)(number * factor);
    value_add_size(out, *bytes);
    return true;
}

bool measure_number(struct slice text, double *out)
{
    size_t len;
    *out = take_number(text, &len);
    return len > 0 && len == text.len;
}
