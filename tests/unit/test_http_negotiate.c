#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include "http/negotiate.h"

#include <cmocka.h>

static const enum coding all[] = {CODING_ZSTD, CODING_BR, CODING_GZIP};

struct negotiate_case {
    const char *field; /* NULL: none */
    size_t offered;    /* of `all` */
    enum coding want;
};

static const struct negotiate_case cases[] = {
    {NULL, 3, CODING_IDENTITY},
    {"", 3, CODING_IDENTITY},
    {"gzip", 3, CODING_GZIP},
    {"gzip, br", 3, CODING_BR},
    {"gzip, deflate, br, zstd", 3, CODING_ZSTD},
    {"gzip, deflate, br, zstd", 0, CODING_IDENTITY},
    {"gzip", 2, CODING_IDENTITY},
    {"GZip", 3, CODING_GZIP},
    {"x-gzip", 3, CODING_GZIP},
    {"deflate, compress", 3, CODING_IDENTITY},
    {"gzip;q=1.0, br;q=0.5", 3, CODING_GZIP},
    {"gzip;q=0.8, br;q=0.9", 3, CODING_BR},
    {"gzip ; q=0.5 , br ;Q=0.4", 3, CODING_GZIP},
    {"gzip;q=0.001", 3, CODING_GZIP},
    {"gzip;q=0", 3, CODING_IDENTITY},
    {"gzip;q=0.000", 3, CODING_IDENTITY},
    {"*", 3, CODING_ZSTD},
    {"*;q=0", 3, CODING_IDENTITY},
    {"*, zstd;q=0", 3, CODING_BR},
    {"gzip;q=0.5, *;q=0.1", 3, CODING_GZIP},
    {"*;q=0, gzip", 3, CODING_GZIP},
    {"identity", 3, CODING_IDENTITY},
    {"identity, gzip", 3, CODING_GZIP},
    {"identity;q=1, gzip;q=0.5", 3, CODING_IDENTITY},
    {"identity;q=0.5, gzip", 3, CODING_GZIP},
    {"identity;q=0", 3, CODING_IDENTITY},
    {"identity;q=0, gzip", 3, CODING_GZIP},
    /* what is no weight accepts nothing */
    {"gzip;q=x", 3, CODING_IDENTITY},
    {"gzip;q=2", 3, CODING_IDENTITY},
    {"gzip;q=-1", 3, CODING_IDENTITY},
    {"gzip;q=0.1234", 3, CODING_IDENTITY},
    {"gzip;q=", 3, CODING_IDENTITY},
    {"gzip;level=9", 3, CODING_GZIP},
    {"gzip;level=9;q=0", 3, CODING_IDENTITY},
    {"gzipped, brr", 3, CODING_IDENTITY},
    {";;,,;q=1,;", 3, CODING_IDENTITY},
};

static void the_clients_weights_go_before_our_order(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct field field = {SLICE("accept-encoding"), slice_of(cases[i].field)};
        enum coding got =
            negotiate_coding(&field, cases[i].field ? 1 : 0, all, cases[i].offered);
        if (got != cases[i].want)
            fail_msg("%s: %s, not %s", cases[i].field ? cases[i].field : "(none)",
                     coding_name(got).ptr, coding_name(cases[i].want).ptr);
    }
}

static void several_fields_count_as_one(void **state)
{
    (void)state;
    const struct field fields[] = {
        {SLICE("accept"), SLICE("br")},
        {SLICE("accept-encoding"), SLICE("gzip;q=0.5")},
        {SLICE("accept-encoding"), SLICE("br;q=0.7")},
    };
    assert_int_equal(negotiate_coding(fields, 3, all, 3), CODING_BR);
    assert_int_equal(negotiate_coding(fields, 2, all, 3), CODING_GZIP);
    assert_int_equal(negotiate_coding(fields, 1, all, 3), CODING_IDENTITY);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_clients_weights_go_before_our_order),
        cmocka_unit_test(several_fields_count_as_one),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
