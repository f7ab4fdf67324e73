#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "http/ranges.h"

#include <cmocka.h>

/* "0+4 10+2"; "whole" and "none" when there is nothing to obey, or to satisfy. */
static void describe(const char *field, uint64_t size, char *out, size_t room)
{
    struct byte_ranges ranges;
    size_t len = 0;
    out[0] = '\0';
    switch (ranges_read(slice_of(field), size, &ranges)) {
    case RANGES_WHOLE:
        snprintf(out, room, "whole");
        return;
    case RANGES_UNSATISFIABLE:
        snprintf(out, room, "none");
        return;
    case RANGES_PARTS:
        break;
    }
    for (size_t i = 0; i < ranges.count; i++)
        len += (size_t)snprintf(out + len, room - len, "%s%llu+%llu", i ? " " : "",
                                (unsigned long long)ranges.items[i].first,
                                (unsigned long long)ranges.items[i].length);
}

struct range_case {
    const char *field;
    uint64_t size;
    const char *want;
};

static const struct range_case cases[] = {
    {"bytes=0-0", 1000, "0+1"},
    {"bytes=0-999", 1000, "0+1000"},
    {"bytes=0-1000", 1000, "0+1000"},
    {"bytes=999-", 1000, "999+1"},
    {"bytes=1000-", 1000, "none"},
    {"bytes=-1", 1000, "999+1"},
    {"bytes=-5000", 1000, "0+1000"},
    {"bytes=-0", 1000, "none"},
    {"bytes=0-", 1000, "0+1000"},
    {"Bytes=1-2", 1000, "1+2"},
    {"bytes= 1-2 , 900-901", 1000, "1+2 900+2"},
    {"bytes=,,1-2,,", 1000, "1+2"},
    {"bytes=1-18446744073709551615", 1000, "1+999"},
    {"bytes=1-99999999999999999999", 1000, "1+999"},
    {"bytes=99999999999999999999-", 1000, "none"},
    {"bytes=99999999999999999999-5", 1000, "whole"},
    {"bytes=18446744073709551615-", UINT64_MAX, "none"},
    {"bytes=-18446744073709551615", UINT64_C(1) << 62, "0+4611686018427387904"},
    /* malformed, or of another unit: as if it were not there */
    {"", 1000, "whole"},
    {"bytes", 1000, "whole"},
    {"bytes=", 1000, "whole"},
    {"bytes=-", 1000, "whole"},
    {"bytes=5", 1000, "whole"},
    {"bytes=5-4", 1000, "whole"},
    {"bytes=a-b", 1000, "whole"},
    {"bytes=1-2x", 1000, "whole"},
    {"bytes=1--2", 1000, "whole"},
    {"bytes=--2", 1000, "whole"},
    {"bytes=+1-2", 1000, "whole"},
    {"bytes=0-1,5-4", 1000, "whole"},
    {"lines=0-1", 1000, "whole"},
    {"bytes 0-1", 1000, "whole"},
    /* several: those outside are left out, those that touch become one */
    {"bytes=0-1,5000-,900-", 1000, "0+2 900+100"},
    {"bytes=5000-,6000-", 1000, "none"},
    {"bytes=900-,0-1", 1000, "900+100 0+2"},
    {"bytes=0-9,5-14", 1000, "0+15"},
    {"bytes=5-14,0-9", 1000, "0+15"},
    {"bytes=0-9,10-19", 1000, "0+20"},
    {"bytes=0-9,138-140", 1000, "0+141"},
    {"bytes=0-9,139-140", 1000, "0+10 139+2"},
    {"bytes=0-9,400-409,200-209,10-399", 1000, "0+410"},
    {"bytes=900-909,0-9,500-509,5-14", 1000, "900+10 0+15 500+10"},
    {"bytes=0-,0-,0-,0-", 1000, "0+1000"},
    /* nothing lies within an empty file */
    {"bytes=0-", 0, "none"},
    {"bytes=-1", 0, "none"},
    /* sixteen, and one more */
    {"bytes=0-0,1-1,2-2,3-3,4-4,5-5,6-6,7-7,8-8,9-9,10-10,11-11,12-12,13-13,14-14,15-15", 1000,
     "0+16"},
    {"bytes=0-0,1-1,2-2,3-3,4-4,5-5,6-6,7-7,8-8,9-9,10-10,11-11,12-12,13-13,14-14,15-15,16-16",
     1000, "whole"},
    {"bytes=0-0,1000-1000,2000-2000,3000-3000,4000-4000,5000-5000,6000-6000,7000-7000,"
     "8000-8000,9000-9000,10000-10000,11000-11000,12000-12000,13000-13000,14000-14000,"
     "15000-15000",
     16000,
     "0+1 1000+1 2000+1 3000+1 4000+1 5000+1 6000+1 7000+1 8000+1 9000+1 10000+1 11000+1 "
     "12000+1 13000+1 14000+1 15000+1"},
};

static void ranges_are_read_as_they_are_written(void **state)
{
    (void)state;
    char text[512];
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        describe(cases[i].field, cases[i].size, text, sizeof(text));
        if (strcmp(text, cases[i].want) != 0)
            fail_msg("%s of %llu: %s, not %s", cases[i].field,
                     (unsigned long long)cases[i].size, text, cases[i].want);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ranges_are_read_as_they_are_written),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
