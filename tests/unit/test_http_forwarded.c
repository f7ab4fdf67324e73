#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include "http/forwarded.h"

#include <cmocka.h>

struct block_case {
    const char *block;
    const char *ip;
    bool has;
};

static const struct block_case block_cases[] = {
    {"10.0.0.1", "10.0.0.1", true},
    {"10.0.0.1", "10.0.0.2", false},
    {"10.0.0.0/8", "10.255.0.7", true},
    {"10.0.0.0/8", "11.0.0.1", false},
    {"10.0.0.0/31", "10.0.0.1", true},
    {"10.0.0.0/31", "10.0.0.2", false},
    {"172.16.0.0/12", "172.31.255.255", true},
    {"172.16.0.0/12", "172.32.0.0", false},
    {"0.0.0.0/0", "8.8.8.8", true},
    {"0.0.0.0/0", "::1", false}, /* all of IPv4, and only that */
    {"127.0.0.1", "::ffff:127.0.0.1", true},
    {"::1", "::1", true},
    {"::1", "::2", false},
    {"fd00::/8", "fdab:1::2", true},
    {"fd00::/8", "fe80::1", false},
    {"::/0", "8.8.8.8", true},
    {"10.0.0.0/33", "10.0.0.0", false}, /* malformed blocks trust nobody */
    {"10.0.0.0/", "10.0.0.0", false},
    {"10.0.0.0/-1", "10.0.0.0", false},
    {"10.0.0", "10.0.0.0", false},
    {"localhost", "127.0.0.1", false},
    {"", "127.0.0.1", false},
};

static void a_block_holds_its_addresses_and_no_others(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(block_cases); i++) {
        const struct block_case *c = &block_cases[i];
        struct trust trust;
        struct ip ip;
        trust_init(&trust, (const char *const[]){c->block, NULL});
        assert_true(ip_parse(slice_of(c->ip), &ip));
        if (trust_has(&trust, &ip) != c->has)
            fail_msg("%s in %s: expected %d", c->ip, c->block, c->has);
        trust_deinit(&trust);
    }
}

static void an_address_is_an_address_and_nothing_around_it(void **state)
{
    (void)state;
    static const char *const bad[] = {"",        "1.2.3",     "1.2.3.4.5", "1.2.3.4:80",
                                      "[::1]",   "1.2.3.256", " 1.2.3.4",  "fe80::1%lo",
                                      "unknown", ":"};
    struct ip ip;
    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        if (ip_parse(slice_of(bad[i]), &ip))
            fail_msg("\"%s\" was taken for an address", bad[i]);
    assert_false(ip_parse((struct slice){"1.2.3.4\0x", 9}, &ip));
    assert_true(slice_is(ip_plain(SLICE("::ffff:10.0.0.1")), "10.0.0.1"));
    assert_true(slice_is(ip_plain(SLICE("::ffff:0a00:1")), "::ffff:0a00:1"));
    assert_true(slice_is(ip_plain(SLICE("")), ""));
}

struct client_case {
    const char *values[3];
    const char *want;
};

/* The peer is 10.0.0.1; trusted are 10.0.0.0/8 and ::1. */
static const struct client_case client_cases[] = {
    {{NULL}, "10.0.0.1"},
    {{""}, "10.0.0.1"},
    {{" , ,"}, "10.0.0.1"},
    {{"203.0.113.9"}, "203.0.113.9"},
    {{"1.1.1.1, 203.0.113.9"}, "203.0.113.9"}, /* the left one is only a claim */
    {{"1.1.1.1, 203.0.113.9, 10.0.0.2"}, "203.0.113.9"},
    {{"1.1.1.1,203.0.113.9,10.0.0.2,10.9.9.9"}, "203.0.113.9"},
    {{"1.1.1.1", "203.0.113.9"}, "203.0.113.9"}, /* several fields are one list */
    {{"203.0.113.9", "10.0.0.3"}, "203.0.113.9"},
    {{"203.0.113.9", "10.0.0.3", "10.0.0.4"}, "203.0.113.9"},
    {{"10.0.0.7, 10.0.0.8"}, "10.0.0.7"}, /* all trusted: the farthest */
    {{"unknown"}, "10.0.0.1"},
    {{"203.0.113.9, unknown, 10.0.0.2"}, "10.0.0.2"}, /* the last one that is known */
    {{"203.0.113.9, <script>"}, "10.0.0.1"},
    {{"203.0.113.9:4711"}, "203.0.113.9"},
    {{"[2001:db8::5]:4711"}, "2001:db8::5"},
    {{"[2001:db8::5]"}, "2001:db8::5"},
    {{"2001:db8::5"}, "2001:db8::5"},
    {{"::ffff:203.0.113.9"}, "203.0.113.9"},
    {{"2001:db8::5, ::1"}, "2001:db8::5"},
    {{"[2001:db8::5"}, "10.0.0.1"},
};

static void the_client_is_the_rightmost_that_is_no_proxy(void **state)
{
    (void)state;
    struct trust trust;
    trust_init(&trust, (const char *const[]){"10.0.0.0/8", " ::1 ", "unix", "nonsense", NULL});
    assert_true(trust.unix_peers);
    assert_int_equal(trust.count, 2);
    for (size_t i = 0; i < ARRAY_LEN(client_cases); i++) {
        const struct client_case *c = &client_cases[i];
        struct slice values[3];
        size_t count = 0;
        for (; count < 3 && c->values[count]; count++)
            values[count] = slice_of(c->values[count]);
        struct slice got = forwarded_client(&trust, SLICE("10.0.0.1"), values, count);
        if (!slice_is(got, c->want))
            fail_msg("case %zu (\"%s\"): " SLICE_FMT ", not %s", i, c->values[0],
                     SLICE_ARG(got), c->want);
    }
    trust_deinit(&trust);
}

static void nobody_is_trusted_by_default(void **state)
{
    (void)state;
    struct trust trust;
    struct ip ip;
    trust_init(&trust, NULL);
    assert_true(ip_parse(SLICE("127.0.0.1"), &ip));
    assert_false(trust_has(&trust, &ip));
    assert_false(trust.unix_peers);
    trust_deinit(&trust);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_block_holds_its_addresses_and_no_others),
        cmocka_unit_test(an_address_is_an_address_and_nothing_around_it),
        cmocka_unit_test(the_client_is_the_rightmost_that_is_no_proxy),
        cmocka_unit_test(nobody_is_trusted_by_default),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
